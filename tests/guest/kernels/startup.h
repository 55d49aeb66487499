/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other processors of a bare test kernel: start_others() sends them INIT and SIPI, a trampoline
 * in real mode leads them to flat 32-bit protected mode and a stack of their own, and there they
 * call the kernel's processor_main(), which does not return.
 */
#pragma once

#include "kernel.h"

#define TRAMPOLINE 0x8000u
#define INIT_OTHERS 0xc4500u
#define SIPI_OTHERS (0xc4600u | TRAMPOLINE >> 12)

void processor_main(void);

/* A stack each by taking a number. */
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
	"gdt16: .word gdt_pointer - gdt - 1\n"
	".long gdt\n"
	"trampoline_end:\n"
	".code32\n"
	".text\n"
	"1: mov $0x10, %eax\n"
	"mov %eax, %ds\n"
	"mov %eax, %es\n"
	"mov %eax, %ss\n"
	"mov $8192, %eax\n"
	"lock xadd %eax, next_stack\n"
	"lea stacks + 8192(%eax), %esp\n"
	"call processor_main\n"
	".data\n"
	"next_stack: .long 0\n"
	".bss\n"
	".balign 16\n"
	"stacks: .skip 64 * 8192\n"
	".text\n");
extern const char trampoline[], trampoline_end[];

static inline void lapic_send(uint32_t command)
{
	LAPIC[0x310 / 4] = 0;
	LAPIC[0x300 / 4] = command;
	while (LAPIC[0x300 / 4] & 0x1000)
		;
}

static inline void start_others(void)
{
	uint8_t *to = (uint8_t *)TRAMPOLINE;

	for (const char *from = trampoline; from < trampoline_end; from++)
		*to++ = (uint8_t)*from;
	LAPIC[0xf0 / 4] = 0x1ff;
	lapic_send(INIT_OTHERS);
	for (volatile int i = 0; i < 10000; i++)
		;
	lapic_send(SIPI_OTHERS);
}

/* How many there are with this one: fw_cfg's number. */
static inline uint32_t processor_count(void)
{
	uint32_t low_byte;

	__asm__ volatile("outw %0, %1" ::"a"((uint16_t)5), "Nd"((uint16_t)0x510));
	low_byte = inb(0x511);
	return low_byte | (uint32_t)inb(0x511) << 8;
}

/* What another agent wrote is sure to be executed only behind a serializing instruction. */
static inline void serialize(void)
{
	__asm__ volatile("xor %%eax, %%eax; cpuid" ::
				 : "eax", "ebx", "ecx", "edx", "memory");
}
