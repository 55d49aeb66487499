/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The test bell (src/machine/test_devices.h): writes of one value ring it, each once; others, and
 * other widths, reach the device as ever. It is rung as the hypercall page signals an event. Then an eventfd of the parent's interrupts us, a thousand
 * times one after the other.
 */
#include "kernel.h"

#define BELL 0x3140
#define VECTOR 0x41
#define RINGS 20000
#define ROUNDS 1000
#define SIGNAL 0xb8
#define CONNECTION 0x2345
#define SIGNALS 5000
#define APIC ((volatile uint32_t *)0xfee00000)

static volatile uint32_t interrupts;

static inline void outw(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port));
}

__attribute__((interrupt)) static void on_bell(struct frame *frame)
{
	(void)frame;
	interrupts++;
	APIC[0xb0 / 4] = 0;
}

static void rings(void)
{
	for (uint32_t i = 0; i < RINGS; i++) {
		outl(BELL, 7);
		if (i % 2000 == 0) {
			outl(BELL, 8);
			outw(BELL, 7);
			outb(BELL, 7);
		}
	}
	report("rings", inl(BELL + 4));
	report("others", inl(BELL + 8));
}

static void wrmsr(uint32_t msr, uint32_t low)
{
	__asm__ volatile("wrmsr" ::"c"(msr), "a"(low), "d"(0));
}

static void signals(void)
{
	static uint8_t page[4096] __attribute__((aligned(4096)));

	wrmsr(0x40000000, 1);
	wrmsr(0x40000001, (uint32_t)page | 1);
	for (uint32_t i = 0; i < SIGNALS; i++)
		outl(SIGNAL, CONNECTION);
	outl(SIGNAL, CONNECTION + 1);
	report("rings", inl(BELL + 4));
}

static void interrupted(void)
{
	start_pics();
	set_gate(VECTOR, (void *)on_bell);
	load_idt();
	APIC[0xf0 / 4] = 0x1ff;
	outl(BELL + 0xc, VECTOR);
	for (uint32_t i = 1; i <= ROUNDS; i++) {
		outl(BELL, 7);
		/* Without HLT: see tests/tools/nested-rig for where STI and HLT may part. */
		while (interrupts < i)
			__asm__ volatile("sti; pause; cli" ::: "memory");
	}
	report("interrupts", interrupts);
	outl(BELL + 0xc, 0);
	outl(BELL, 7);
	report("rings", inl(BELL + 4));
	__asm__ volatile("sti; nop; nop; cli");
	report("interrupts", interrupts);
}

void kernel_main(const uint32_t *info)
{
	(void)info;
	rings();
	signals();
	interrupted();
	leave(0);
}
