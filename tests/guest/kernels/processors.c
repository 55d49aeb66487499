/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wakes every other processor by INIT and SIPI, has each count itself and come back in protected
 * mode, and then has one write the code that another executes, 5,000 times; and
 * the same within one processor.
 */
#include "startup.h"

#define ROUNDS 5000

static volatile uint32_t awake, wanted, answered;
static volatile uint32_t mismatches;
/* mov $imm32, %eax; ret */
static uint8_t code[16] __attribute__((aligned(64)));

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
			serialize();
			__asm__ volatile("call *%1" : "=a"(value) : "r"(code) : "memory");
			if (value != round)
				mismatches++;
			__atomic_store_n(&answered, round, __ATOMIC_RELEASE);
		}
	}
	for (;;)
		__asm__ volatile("cli; hlt");
}

void kernel_main(const uint32_t *info)
{
	const uint32_t count = processor_count();

	(void)info;
	report("processors", count);
	start_others();
	while (awake != count - 1)
		__asm__ volatile("pause");
	/* A second SIPI must not start anybody again. */
	lapic_send(SIPI_OTHERS);
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
