/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Provokes exceptions one by one and prints what arrived: vector, error code, CR2 and how far
 * behind the start of the attempt EIP points. Segments, paging with and without write protection,
 * single steps, debug registers.
 */
#include "kernel.h"

static volatile uint32_t seen_vector, seen_code, seen_cr2, seen_eip, seen_flags;
static uint32_t resume;

static void arrived(struct frame *frame, uint32_t vector, uint32_t code)
{
	uint32_t cr2;

	__asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
	seen_vector = vector;
	seen_code = code;
	seen_cr2 = cr2;
	seen_eip = frame->eip;
	seen_flags = frame->eflags;
	frame->eflags &= ~0x100u;
	frame->eip = resume;
}

#define PLAIN(n)                                                           \
	__attribute__((interrupt)) static void on_##n(struct frame *frame) \
	{                                                                  \
		arrived(frame, n, 0);                                      \
	}
#define CODED(n)                                                           \
	__attribute__((interrupt)) static void on_##n(struct frame *frame, \
						      unsigned long code)  \
	{                                                                  \
		arrived(frame, n, code);                                   \
	}
PLAIN(0)
PLAIN(1)
PLAIN(3)
PLAIN(4)
PLAIN(5)
PLAIN(6)
PLAIN(7)
CODED(10)
CODED(11)
CODED(12)
CODED(13)
CODED(14)

/* Runs one instruction (or two) and prints what came of it. */
#define TRY(name, text, ...)                                                        \
	do {                                                                        \
		uint32_t start_;                                                    \
		seen_vector = 0xff;                                                 \
		seen_code = seen_cr2 = 0;                                           \
		__asm__ volatile("movl $9f, %0\n"                                   \
				 "movl $8f, %1\n"                                   \
				 "8: " text "\n"                                    \
				 "9:"                                               \
				 : "=m"(resume), "=m"(start_)                       \
				 : __VA_ARGS__                                      \
				 : "eax", "ecx", "edx", "memory", "cc");            \
		print(name);                                                        \
		print(" vector ");                                                  \
		print_hex(seen_vector);                                             \
		print(" code ");                                                    \
		print_hex(seen_code);                                               \
		if (seen_vector == 14) {                                            \
			print(" cr2 ");                                             \
			print_hex(seen_cr2);                                        \
		}                                                                   \
		if (seen_vector == 14 && seen_eip == seen_cr2)                      \
			print(" in the fetch\n");                                   \
		else                                                                \
			report(" at", seen_vector == 0xff ? 0 : seen_eip - start_); \
	} while (0)

static uint32_t directory[1024] __attribute__((aligned(4096)));
static uint32_t table[1024] __attribute__((aligned(4096)));

void kernel_main(const uint32_t *info)
{
	static uint32_t bounds[2] = { 5, 10 };
	uint32_t cr0;

	(void)info;
	set_gate(0, on_0);
	set_gate(1, on_1);
	set_gate(3, on_3);
	set_gate(4, on_4);
	set_gate(5, on_5);
	set_gate(6, on_6);
	set_gate(7, on_7);
	set_gate(10, on_10);
	set_gate(11, on_11);
	set_gate(12, on_12);
	set_gate(13, on_13);
	set_gate(14, on_14);
	load_idt();

	TRY("divide by zero", "xor %%ecx, %%ecx; div %%ecx", "i"(0));
	TRY("divide overflow", "mov $-1, %%edx; mov $1, %%ecx; div %%ecx", "i"(0));
	TRY("breakpoint", "int3", "i"(0));
	TRY("overflow", "mov $0x7fffffff, %%eax; add $1, %%eax; into", "i"(0));
	TRY("no overflow", "xor %%eax, %%eax; into", "i"(0));
	TRY("bound", "mov $11, %%eax; bound %%eax, %2", "m"(bounds));
	TRY("undefined", "ud2", "i"(0));
	TRY("lock without memory", ".byte 0xf0, 0x90", "i"(0));
	TRY("lock on a load", ".byte 0xf0, 0x8b, 0x00", "i"(0));
	TRY("selector beyond the table", "mov $0x28, %%eax; mov %%eax, %%es", "i"(0));
	TRY("null into ss", "xor %%eax, %%eax; mov %%eax, %%ss", "i"(0));
	TRY("code into ss", "mov $8, %%eax; mov %%eax, %%ss", "i"(0));
	TRY("null into es", "xor %%eax, %%eax; mov %%eax, %%es", "i"(0));
	TRY("use of null es", "mov %%es:0, %%eax", "i"(0));
	__asm__ volatile("mov %0, %%es" ::"r"(DATA_SELECTOR));
	TRY("gate that is absent", "int $0x77", "i"(0));
	TRY("reserved bits of cr4",
	    "mov %%cr4, %%eax; or $0x80000000, %%eax; mov %%eax, %%cr4", "i"(0));
	TRY("paging without protection", "mov $0x80000000, %%eax; mov %%eax, %%cr0",
	    "i"(0));
	TRY("msr that is absent", "mov $0x12345, %%ecx; rdmsr", "i"(0));
	TRY("single step", "pushf; orl $0x100, (%%esp); popf; nop; nop", "i"(0));
	TRY("int1", ".byte 0xf1", "i"(0));

	/* A breakpoint on writing four bytes: a trap, behind the instruction. */
	__asm__ volatile("mov %0, %%dr0; mov %1, %%dr7" ::"r"(&table[7]), "r"(0xd0001));
	TRY("write watched", "movl $1, %2", "m"(table[7]));
	TRY("read not watched", "movl %2, %%eax", "m"(table[7]));
	__asm__ volatile("mov %0, %%dr7" ::"r"(0));
	__asm__ volatile("mov %%dr6, %0" : "=r"(cr0));
	report("dr6 low bits", cr0 & 0xf);

	/* Identity-mapped 4 MiB; page 0x300000 is read-only, 0x301000 absent. */
	for (uint32_t i = 0; i < 1024; i++)
		table[i] = i << 12 | 3;
	table[0x300] = 0x300000 | 1;
	table[0x301] = 0;
	directory[0] = (uint32_t)table | 3;
	__asm__ volatile("mov %0, %%cr3" ::"r"(directory));
	__asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
	cr0 |= 0x80000000;
	__asm__ volatile("mov %0, %%cr0" ::"r"(cr0));
	TRY("read of an absent page", "mov 0x301004, %%eax", "i"(0));
	TRY("write of an absent page", "movl $1, 0x301008", "i"(0));
	TRY("read over the edge", "mov 0x300ffe, %%eax", "i"(0));
	TRY("read of an absent table", "mov 0x12345678, %%eax", "i"(0));
	TRY("fetch of an absent page", "mov $0x301010, %%eax; jmp *%%eax", "i"(0));
	TRY("write protected, not enforced", "movl $1, 0x300000", "i"(0));
	__asm__ volatile("mov %0, %%cr0" ::"r"(cr0 | 0x10000));
	TRY("write protected", "movl $2, 0x300000", "i"(0));
	report("what was written", *(volatile uint32_t *)0x300000);
	report("accessed and dirty", table[0x300] & 0x60);

	/* A change without invlpg may be seen late, with it at once. */
	table[0x301] = 0x302000 | 3;
	__asm__ volatile("invlpg 0x301000" ::: "memory");
	TRY("read of a page that came", "mov 0x301000, %%eax", "i"(0));
	table[0x301] = 0;
	__asm__ volatile("invlpg 0x301000" ::: "memory");
	TRY("read of a page that went", "mov 0x301000, %%eax", "i"(0));
	leave(0);
}
