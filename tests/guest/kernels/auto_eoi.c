/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupts of the SynIC that end by themselves (SINT bit 17), beside those that do not: who gets one
 * without writing EOI. It spins, rather than halt. --test-devices.
 */
#include "kernel.h"

#define RAISE 3 /* of the test device */
#define SPINS 300000
#define ROUNDS 100
#define SELF_ENDING (1u << 17)

#define HIGH_SINT 3
#define HIGH_VECTOR 0x61
#define LOW_SINT 4
#define LOW_VECTOR 0x41

enum { SCONTROL = 0x40000080, SINT0 = 0x40000090 };

static volatile uint32_t high, low;

__attribute__((interrupt)) static void on_high(struct frame *frame)
{
	(void)frame;
	high++;
}

__attribute__((interrupt)) static void on_low(struct frame *frame)
{
	(void)frame;
	low++;
}

static void wrmsr(uint32_t index, uint32_t value)
{
	__asm__ volatile("wrmsr" ::"c"(index), "a"(value), "d"(0));
}

static void raise_sint(uint32_t sint)
{
	outl(0x3000, RAISE << 16 | sint);
}

static bool comes(volatile uint32_t *counter, uint32_t count)
{
	for (uint32_t k = 0; k < SPINS && *counter < count; k++)
		__asm__ volatile("pause");
	return *counter == count;
}

static bool in_service(uint32_t vector)
{
	return LAPIC[(0x100 + vector / 32 * 16) / 4] >> vector % 32 & 1;
}

static void end_of_interrupt(void)
{
	LAPIC[0xb0 / 4] = 0;
}

static uint32_t test_self_ending(void)
{
	high = 0;
	wrmsr(SINT0 + HIGH_SINT, HIGH_VECTOR | SELF_ENDING);
	for (uint32_t k = 1; k <= ROUNDS; k++) {
		raise_sint(HIGH_SINT);
		if (!comes(&high, k))
			return k;
		if (in_service(HIGH_VECTOR))
			return 0x100 + k;
	}
	return 0;
}

/* The one of lower priority is held up by nothing, and is in service until it is ended. */
static uint32_t test_beside_another(void)
{
	low = 0;
	raise_sint(HIGH_SINT);
	raise_sint(LOW_SINT);
	if (!comes(&low, 1) || !in_service(LOW_VECTOR))
		return 1;
	high = 0;
	raise_sint(HIGH_SINT);
	if (!comes(&high, 1) || !in_service(LOW_VECTOR))
		return 2;
	raise_sint(LOW_SINT);
	if (comes(&low, 2))
		return 3;
	end_of_interrupt();
	if (!comes(&low, 2))
		return 4;
	end_of_interrupt();
	return in_service(LOW_VECTOR) ? 5 : 0;
}

/* The same vector without the bit is an interrupt like any other. */
static uint32_t test_no_longer(void)
{
	high = 0;
	wrmsr(SINT0 + HIGH_SINT, HIGH_VECTOR);
	raise_sint(HIGH_SINT);
	if (!comes(&high, 1) || !in_service(HIGH_VECTOR))
		return 1;
	raise_sint(HIGH_SINT);
	if (comes(&high, 2))
		return 2;
	end_of_interrupt();
	if (!comes(&high, 2))
		return 3;
	end_of_interrupt();
	return in_service(HIGH_VECTOR) ? 4 : 0;
}

void kernel_main(const uint32_t *info)
{
	(void)info;
	start_pics();
	set_gate(HIGH_VECTOR, on_high);
	set_gate(LOW_VECTOR, on_low);
	load_idt();
	LAPIC[0xf0 / 4] = 0x1ff;
	wrmsr(SCONTROL, 1);
	wrmsr(SINT0 + LOW_SINT, LOW_VECTOR);
	__asm__ volatile("sti");
	report("self-ending", test_self_ending());
	report("beside another", test_beside_another());
	report("no longer", test_no_longer());
	leave(0);
}
