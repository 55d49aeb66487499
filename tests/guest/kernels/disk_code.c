/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code that a disk writes into a page which another processor executes all the time. Processor 0
 * orders reads of the test disk (src/machine/test_devices.h) and learns of each one's end by
 * polling, then by interrupt; processor 1 calls functions in the page without a pause. Read n
 * fills the page with `mov $n, %eax; ret`. Whoever knows that read n is done and that none has
 * been ordered since must get n from every function.
 *
 * "rounds=N" on the command line; 1000 else.
 */
#include "startup.h"

#define IOAPIC ((volatile uint32_t *)0xfec00000)
#define DISK 0x3100
#define DISK_LINE 11
#define DISK_VECTOR 0x40
#define FUNCTIONS 512

/* The page, and one behind it that the disk must leave alone. */
static struct {
	uint8_t page[4096];
	volatile uint8_t after[4096];
} memory __attribute__((aligned(4096)));

static volatile uint32_t ordered; /* the newest read that was begun */
static volatile uint32_t done;	  /* the newest one that processor 0 knows to be done */
static volatile uint32_t checked; /* the newest one that processor 1 got right */
static volatile uint32_t calls, calls_in_flight, stale, own_stale;
static volatile uint32_t interrupted;

static uint32_t call(uint32_t function)
{
	uint32_t value;

	__asm__ volatile("call *%1"
			 : "=a"(value)
			 : "r"(memory.page + function % FUNCTIONS * 8)
			 : "memory", "cc");
	return value;
}

void processor_main(void)
{
	uint32_t function = 0;

	for (;;) {
		uint32_t before = ordered;
		uint32_t known = done;

		serialize();
		uint32_t value = call(function);
		calls++;
		function += 7;
		if (known == before && ordered == before) {
			/* Nothing was on its way: the page has one meaning. */
			if (value != known)
				stale++;
			checked = known;
		} else {
			calls_in_flight++;
		}
		/* Where the host has few processors, the disk needs ours now and then. */
		if (calls % 4 == 0)
			__asm__ volatile("pause");
	}
}

__attribute__((interrupt)) static void on_disk(struct frame *frame)
{
	(void)frame;
	outl(DISK + 0x10, 2);
	LAPIC[0xb0 / 4] = 0;
	interrupted = 1;
}

static void start_interrupt(void)
{
	set_gate(DISK_VECTOR, on_disk);
	load_idt();
	start_pics();
	IOAPIC[0] = 0x10 + 2 * DISK_LINE + 1;
	IOAPIC[4] = 0; /* to processor 0 */
	IOAPIC[0] = 0x10 + 2 * DISK_LINE;
	IOAPIC[4] = 0x8000 | DISK_VECTOR; /* level, active high, fixed */
	outl(DISK + 0x14, 1);
}

static void read_and_check(uint32_t n, bool by_interrupt)
{
	ordered = n;
	outl(DISK, n);
	interrupted = 0;
	outl(DISK + 0x10, 1);
	if (by_interrupt) {
		while (!interrupted)
			__asm__ volatile("sti; hlt; cli");
	} else {
		uint32_t status;

		while ((status = inl(DISK + 0x10)) == 1)
			;
		if (status != 2) {
			report("read failed", n);
			leave(2);
		}
	}
	serialize();
	if (call(n) != n || call(0) != n)
		own_stale++;
	done = n;
	while (checked != n)
		__asm__ volatile("pause");
}

static uint32_t rounds_wanted(const char *line)
{
	uint32_t rounds = 0;

	for (; *line; line++) {
		const char *a = line, *b = "rounds=";

		while (*b && *a == *b)
			a++, b++;
		if (*b)
			continue;
		while (*a >= '0' && *a <= '9')
			rounds = rounds * 10 + (uint32_t)(*a++ - '0');
		return rounds;
	}
	return 1000;
}

void kernel_main(const uint32_t *info)
{
	uint32_t rounds = rounds_wanted((const char *)info[4]);
	uint32_t n = 0;

	/* A first meaning, by hand. */
	for (unsigned i = 0; i < FUNCTIONS; i++) {
		memory.page[i * 8] = 0xb8;
		memory.page[i * 8 + 5] = 0xc3;
	}
	outl(DISK + 4, (uint32_t)memory.page);
	outl(DISK + 8, 0);
	outl(DISK + 0xc, sizeof memory.page);
	start_others();
	for (uint32_t i = 0; i < rounds; i++)
		read_and_check(++n, false);
	report("polled", inl(DISK + 0x18));
	start_interrupt();
	for (uint32_t i = 0; i < rounds; i++)
		read_and_check(++n, true);
	report("by interrupt", inl(DISK + 0x18) - rounds);
	report("old code executed", stale);
	report("own old code executed", own_stale);
	for (unsigned i = 0; i < sizeof memory.after; i++)
		if (memory.after[i]) {
			print("the disk wrote too far\n");
			leave(3);
		}
	/* Reads that must be refused: nowhere, and a length that is no multiple of 8. */
	outl(DISK + 8, 0xffffffff);
	outl(DISK + 0x10, 1);
	while (inl(DISK + 0x10) == 1)
		;
	report("read into nowhere", inl(DISK + 0x10));
	print(calls_in_flight ? "calls met reads in flight\n"
			      : "no call met a read in flight\n");
	leave(stale || own_stale);
}
