/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wakes every other processor by INIT and SIPI, has each count itself and come back in protected
 * mode, and then has one write the code that another executes, 5,000 times; and
 * the same within one processor.
 */
#include "kernel.h"

#define LAPIC ((volatile uint32_t *)0xfee00000)
#define TRAMPOLINE 0x8000u
#define ROUNDS 5000

/* Real mode at 0x8000, then flat 32-bit; a stack each by taking a number. */
__asm__(".section .rodata\n"
	".code16\n"
	"trampoline: cli\n"
	"xor %ax, %ax\n"
	"mov %ax, %ds\n"
	"lgdtl 0x8000 + gdt16 - trampoline\n"
	"mov $0x11, %eax\n"
	"mov %eax, %cr0\n"
	"ljmpl $0x08, $1f\n"
	".balign 8\n"
	"gdt16: .word 23\n"
	".long gdt\n"
	"trampoline_end:\n"
	".code32\n"
	".text\n"
	"1: mov $0x10, %eax\n"
	"mov %eax, %ds\n"
	"mov %eax, %es\n"
	"mov %eax, %ss\n"
	"mov $4096, %eax\n"
	"lock xadd %eax, next_stack\n"
	"lea stacks + 4096(%eax), %esp\n"
	"call processor_main\n"
	".data\n"
	"next_stack: .long 0\n"
	".bss\n"
	".balign 16\n"
	"stacks: .skip 64 * 4096\n"
	".text\n");
extern const char trampoline[], trampoline_end[];

static volatile uint32_t awake, wanted, answered;
static volatile uint32_t mismatches;
/* mov $imm32, %eax; ret */
static uint8_t code[16] __attribute__((aligned(64)));

void processor_main(void);
void processor_main(void)
{
	uint32_t me = __atomic_add_fetch(&awake, 1, __ATOMIC_SEQ_CST);

	/* The first to come executes what the boot processor writes. */
	if (me == 1) {
		for (uint32_t round = 1; round <= ROUNDS; round++) {
			uint32_t value;

			while (__atomic_load_n(&wanted, __ATOMIC_ACQUIRE) != round)
				__asm__ volatile("pause");
			/* The manual wants a serializing instruction before new code. */
			__asm__ volatile("xor %%eax, %%eax; cpuid" ::
						 : "eax", "ebx", "ecx", "edx", "memory");
			__asm__ volatile("call *%1" : "=a"(value) : "r"(code) : "memory");
			if (value != round)
				mismatches++;
			__atomic_store_n(&answered, round, __ATOMIC_RELEASE);
		}
	}
	for (;;)
		__asm__ volatile("cli; hlt");
}

static void send(uint32_t command)
{
	LAPIC[0x310 / 4] = 0;
	LAPIC[0x300 / 4] = command;
	while (LAPIC[0x300 / 4] & 0x1000)
		;
}

static uint32_t fw_cfg_16(uint16_t key)
{
	uint32_t low;

	__asm__ volatile("outw %0, %1" ::"a"(key), "Nd"((uint16_t)0x510));
	low = inb(0x511);
	return low | (uint32_t)inb(0x511) << 8;
}

void kernel_main(const uint32_t *info)
{
	uint8_t *to = (uint8_t *)TRAMPOLINE;
	uint32_t count;

	(void)info;
	for (const char *from = trampoline; from < trampoline_end; from++)
		*to++ = (uint8_t)*from;
	count = fw_cfg_16(5);
	report("processors", count);
	LAPIC[0xf0 / 4] = 0x1ff;
	send(0xc4500); /* INIT to all others */
	for (volatile int i = 0; i < 10000; i++)
		;
	send(0xc4600 | TRAMPOLINE >> 12);
	while (awake != count - 1)
		__asm__ volatile("pause");
	/* A second SIPI must not start anybody again. */
	send(0xc4600 | TRAMPOLINE >> 12);
	for (volatile int i = 0; i < 100000; i++)
		;
	report("awake", awake + 1);

	code[0] = 0xb8;
	code[5] = 0xc3;
	/* With a crowd, the two would be waiting for a host processor most of the time. */
	for (uint32_t round = 1; count > 1 && count <= 4 && round <= ROUNDS; round++) {
		*(volatile uint32_t *)(code + 1) = round;
		__atomic_store_n(&wanted, round, __ATOMIC_RELEASE);
		while (__atomic_load_n(&answered, __ATOMIC_ACQUIRE) != round)
			__asm__ volatile("pause");
	}
	report("old code executed", mismatches);

	/* The same on one processor: each call sees the byte just written. */
	mismatches = 0;
	for (uint32_t round = 1; round <= ROUNDS; round++) {
		uint32_t value;

		*(volatile uint32_t *)(code + 1) = round;
		__asm__ volatile("call *%1" : "=a"(value) : "r"(code) : "memory");
		mismatches += value != round;
	}
	report("own old code executed", mismatches);
	leave(0);
}
