/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time by several chips: interrupts of the 8254 through the 8259, the local APIC's timer, the PM
 * timer's and the TSC's progress beside them. Prints "ok" or what was wrong for each.
 */
#include "kernel.h"

#define PM_TIMER 0x608
#define PM_HZ 3579545u

static volatile uint32_t pit_ticks, apic_ticks;

__attribute__((interrupt)) static void on_pit(struct frame *frame)
{
	(void)frame;
	pit_ticks++;
	outb(0x20, 0x20);
}

__attribute__((interrupt)) static void on_apic(struct frame *frame)
{
	(void)frame;
	apic_ticks++;
	LAPIC[0xb0 / 4] = 0;
}

static void wait_for(volatile uint32_t *ticks, uint32_t count)
{
	/* HLT with the interrupt window of STI: none can slip in between. */
	for (;;) {
		__asm__ volatile("cli");
		if (*ticks >= count)
			break;
		__asm__ volatile("sti; hlt");
	}
}

static void judge(const char *name, uint32_t value, uint32_t low, uint32_t high)
{
	if (value >= low && value <= high) {
		print(name);
		print(" ok\n");
	} else {
		report(name, value);
	}
}

void kernel_main(const uint32_t *info)
{
	uint32_t pm, tsc_low, tsc_high, later_low, later_high;

	(void)info;
	start_pics();
	set_gate(0x20, on_pit);
	set_gate(0x40, on_apic);
	load_idt();

	/* 8254, channel 0, mode 2, 100 Hz: 50 ticks are half a second of the PM timer. */
	outb(0x43, 0x34);
	outb(0x40, 11932 & 0xff);
	outb(0x40, 11932 >> 8);
	outb(0x21, 0xfe);
	wait_for(&pit_ticks, 1);
	pm = inl(PM_TIMER);
	__asm__ volatile("rdtsc" : "=a"(tsc_low), "=d"(tsc_high));
	wait_for(&pit_ticks, 51);
	pm = (inl(PM_TIMER) - pm) & 0xffffff;
	__asm__ volatile("rdtsc" : "=a"(later_low), "=d"(later_high));
	outb(0x21, 0xff);
	judge("pit against pm timer", pm, PM_HZ / 2 * 8 / 10, PM_HZ / 2 * 12 / 10);
	judge("tsc goes on", later_high > tsc_high || later_low > tsc_low, 1, 1);

	/* The local APIC: divide by 16, periodic; ten ticks, and it stands when it is masked. */
	LAPIC[0xf0 / 4] = 0x1ff;
	LAPIC[0x3e0 / 4] = 3;
	LAPIC[0x320 / 4] = 0x20040;
	LAPIC[0x380 / 4] = 500000;
	wait_for(&apic_ticks, 10);
	LAPIC[0x320 / 4] = 0x30040;
	judge("apic timer", apic_ticks, 10, 11);
	LAPIC[0x380 / 4] = 0;
	judge("apic timer that is stopped", LAPIC[0x390 / 4], 0, 0);

	/* One shot, then quiet. */
	apic_ticks = 0;
	LAPIC[0x320 / 4] = 0x40;
	LAPIC[0x380 / 4] = 100000;
	wait_for(&apic_ticks, 1);
	pm = inl(PM_TIMER);
	__asm__ volatile("sti");
	while (((inl(PM_TIMER) - pm) & 0xffffff) < PM_HZ / 50)
		;
	__asm__ volatile("cli");
	judge("apic one shot", apic_ticks, 1, 1);
	leave(0);
}
