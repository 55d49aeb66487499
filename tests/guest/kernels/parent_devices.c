/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other test devices of the parent's side (src/machine/test_devices.h): string instructions
 * cross the wall once, posted writes are in order and seen by the next read, MMIO of every size.
 */
#include "kernel.h"

#define STRING 0x3120
#define POSTED 0x3130
#define LATCH ((volatile uint8_t *)0xfe800000)

/* Page by page: a string instruction is cut where its memory is. */
static uint8_t from[8192] __attribute__((aligned(4096))),
	to[8192] __attribute__((aligned(4096)));

static void string_port(void)
{
	uint32_t wrong = 0, count = 1024;
	const void *source = from;
	void *target = to;

	for (unsigned i = 0; i < sizeof from; i++)
		from[i] = (uint8_t)(i * 13 + i / 256);
	__asm__ volatile("rep outsl"
			 : "+S"(source), "+c"(count)
			 : "d"(STRING)
			 : "memory");
	count = 2048;
	__asm__ volatile("rep insw" : "+D"(target), "+c"(count) : "d"(STRING) : "memory");
	for (unsigned i = 0; i < 4096; i++)
		wrong += from[i] != to[i];
	report("string bytes wrong", wrong);
	report("crossings", inl(STRING + 4));
	report("bytes left", inl(STRING));
	/* Against the direction, a byte at a time. */
	source = from + 99;
	count = 100;
	__asm__ volatile("std; rep outsb; cld"
			 : "+S"(source), "+c"(count)
			 : "d"(STRING)
			 : "memory");
	wrong = 0;
	for (unsigned i = 0; i < 100; i++)
		wrong += inb(STRING) != from[99 - i];
	report("backward bytes wrong", wrong);
}

static void posted_port(void)
{
	uint32_t sum = 0, wrong = 0;

	for (uint32_t i = 1; i <= 5000; i++) {
		outl(POSTED, i);
		sum = sum * 31 + i;
		if (i % 64 == 0 && inl(POSTED) != sum)
			wrong++;
	}
	report("posted sums wrong", wrong + (inl(POSTED) != sum));
	report("posted writes", inl(POSTED + 4));
}

static void latch(void)
{
	uint32_t wrong = 0;

	LATCH[1] = 0x12;
	*(volatile uint16_t *)(LATCH + 2) = 0x3456;
	*(volatile uint32_t *)(LATCH + 4) = 0x789abcde;
	wrong += *(volatile uint32_t *)LATCH != 0x34561200;
	wrong += *(volatile uint16_t *)(LATCH + 5) != 0x9abc;
	__asm__ volatile("lock addl $0x22, %0" : "+m"(*(volatile uint32_t *)(LATCH + 4)));
	wrong += *(volatile uint32_t *)(LATCH + 4) != 0x789abd00;
	wrong += LATCH[4095] != 0;
	report("latch wrong", wrong);
	for (unsigned i = 0; i < 64; i++)
		from[i] = (uint8_t)(i + 1);
	const void *source = from;
	void *target = (void *)(LATCH + 0x100);
	uint32_t count = 64;
	__asm__ volatile("rep movsb" : "+S"(source), "+D"(target), "+c"(count)::"memory");
	source = (const void *)(LATCH + 0x100);
	target = to;
	count = 16;
	__asm__ volatile("rep movsl" : "+S"(source), "+D"(target), "+c"(count)::"memory");
	wrong = 0;
	for (unsigned i = 0; i < 64; i++)
		wrong += to[i] != i + 1;
	report("copied bytes wrong", wrong);
}

void kernel_main(const uint32_t *info)
{
	(void)info;
	string_port();
	posted_port();
	latch();
	leave(0);
}
