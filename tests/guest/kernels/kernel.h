/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a bare test kernel in C starts with: multiboot 1 header, flat 32-bit protected mode, a
 * stack, a GDT that has 64-bit code at 0x18, an empty IDT to fill; ports, COM1, and the end through
 * port 0xF4. A kernel is one file, includes this, and defines kernel_main. No library, no paging,
 * interrupts off. Other processors: startup.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define COM1 0x3f8
#define LAPIC ((volatile uint32_t *)0xfee00000)
#define CODE_SELECTOR 0x08
#define DATA_SELECTOR 0x10

/* What the processor pushes at an interrupt without a change of ring. */
struct frame {
	uint32_t eip, cs, eflags;
};

void kernel_main(const uint32_t *info);

__asm__(".section .multiboot, \"ax\"\n"
	".balign 4\n"
	".long 0x1badb002, 3, -(0x1badb002 + 3)\n"
	".text\n"
	".globl _start\n"
	"_start: cld\n"
	"mov $stack_top, %esp\n"
	"lgdt gdt_pointer\n"
	"ljmp $0x08, $1f\n"
	"1: mov $0x10, %eax\n"
	"mov %eax, %ds\n"
	"mov %eax, %es\n"
	"mov %eax, %ss\n"
	"push %ebx\n"
	"call kernel_main\n"
	"2: hlt\n"
	"jmp 2b\n"
	".section .rodata\n"
	".balign 8\n"
	".globl gdt_pointer\n"
	"gdt: .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff\n"
	"gdt_pointer: .word . - gdt - 1\n"
	".long gdt\n"
	".bss\n"
	".balign 16\n"
	".skip 16384\n"
	"stack_top:\n"
	".text\n");

static inline void outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void outl(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port));
}

static inline void print(const char *text)
{
	for (; *text; text++) {
		while (!(inb(COM1 + 5) & 0x20))
			;
		outb(COM1, (uint8_t)*text);
	}
}

static inline void print_hex(uint32_t value)
{
	char text[9];

	for (int i = 7; i >= 0; i--, value >>= 4)
		text[i] = "0123456789abcdef"[value & 15];
	text[8] = 0;
	print(text);
}

/* "name 0000002a" and a line end. */
static inline void report(const char *name, uint32_t value)
{
	print(name);
	print(" ");
	print_hex(value);
	print("\n");
}

static inline void leave(uint8_t code)
{
	outb(0xf4, code);
	for (;;)
		__asm__ volatile("cli; hlt");
}

static struct {
	uint16_t low, selector, flags, high;
} idt[256] __attribute__((aligned(8)));

static inline void set_gate(unsigned vector, void *handler)
{
	uint32_t address = (uint32_t)handler;

	idt[vector].low = (uint16_t)address;
	idt[vector].selector = CODE_SELECTOR;
	idt[vector].flags = 0x8e00;
	idt[vector].high = (uint16_t)(address >> 16);
}

static inline void load_idt(void)
{
	struct {
		uint16_t size;
		uint32_t base;
	} __attribute__((packed)) pointer = { sizeof idt - 1, (uint32_t)idt };

	__asm__ volatile("lidt %0" ::"m"(pointer));
}

/* Both 8259s: vectors from 0x20 and 0x28 on, everything masked. */
static inline void start_pics(void)
{
	outb(0x20, 0x11);
	outb(0xa0, 0x11);
	outb(0x21, 0x20);
	outb(0xa1, 0x28);
	outb(0x21, 4);
	outb(0xa1, 2);
	outb(0x21, 1);
	outb(0xa1, 1);
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
}
