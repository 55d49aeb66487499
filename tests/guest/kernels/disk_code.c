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
#include "kernel.h"

#define LAPIC ((volatile uint32_t *)0xfee00000)
#define IOAPIC ((volatile uint32_t *)0xfec00000)
#define TRAMPOLINE 0x8000u
#define DISK 0x3100
#define DISK_LINE 11
#define DISK_VECTOR 0x40
#define FUNCTIONS 512

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
	"mov $second_stack, %esp\n"
	"call second_main\n"
	".bss\n"
	".balign 16\n"
	".skip 4096\n"
	"second_stack:\n"
	".text\n");
extern const char trampoline[], trampoline_end[];

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

static inline void outl(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port));
}

static uint32_t call(uint32_t function)
{
	uint32_t value;

	__asm__ volatile("call *%1"
			 : "=a"(value)
			 : "r"(memory.page + function % FUNCTIONS * 8)
			 : "memory", "cc");
	return value;
}

/* What another agent wrote is sure to be executed only behind a serializing instruction. */
static void serialize(void)
{
	__asm__ volatile("xor %%eax, %%eax; cpuid" ::
				 : "eax", "ebx", "ecx", "edx", "memory");
}

void second_main(void);
void second_main(void)
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

static void wake_second(void)
{
	uint8_t *to = (uint8_t *)TRAMPOLINE;

	for (const char *from = trampoline; from < trampoline_end; from++)
		*to++ = (uint8_t)*from;
	LAPIC[0xf0 / 4] = 0x1ff;
	LAPIC[0x310 / 4] = 1 << 24;
	LAPIC[0x300 / 4] = 0x4500;
	for (volatile int i = 0; i < 10000; i++)
		;
	LAPIC[0x310 / 4] = 1 << 24;
	LAPIC[0x300 / 4] = 0x4600 | TRAMPOLINE >> 12;
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
	wake_second();
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
