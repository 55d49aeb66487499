/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code that is hostile to a translator: instructions over a page's end, of 15 bytes, entered in the
 * middle; code that writes the instruction behind it, in front of it, its neighbour, or data in its own
 * line; executed pages that are mapped anew, by this processor and for another one; code that another
 * processor changes meanwhile. Once in protected mode, once in 64-bit mode, with the same bytes, which
 * both understand. Each line counts what came out wrong.
 *
 * The second processor goes along where there is one.
 */
#include "startup.h"

#define WINDOW 0x40000000u /* two pages that are mapped anew */
#define ROUNDS 1000u

/* ECX and EDX are the code's arguments, EAX its result. The long one is entered by a far call. */
uint32_t call_plain(void *code, uint32_t ecx, uint32_t edx);
uint32_t call_long(void *code, uint32_t ecx, uint32_t edx);

__asm__(".text\n"
	"call_plain: push %ebx\n"
	"mov 8(%esp), %eax\n"
	"mov 12(%esp), %ecx\n"
	"mov 16(%esp), %edx\n"
	"call *%eax\n"
	"pop %ebx\n"
	"ret\n"
	"call_long: push %ebx\n"
	"push %esi\n"
	"push %edi\n"
	"mov 16(%esp), %eax\n"
	"mov 20(%esp), %ecx\n"
	"mov 24(%esp), %edx\n"
	"lcall *long_entry\n"
	"pop %edi\n"
	"pop %esi\n"
	"pop %ebx\n"
	"ret\n"
	".code64\n"
	"long_code: call *%rax\n"
	"lretl\n" /* 32-bit operands: what lcall pushed */
	".code32\n"
	".data\n"
	"long_entry: .long long_code\n"
	".word 0x18\n"
	".text\n");

static uint32_t (*call)(void *code, uint32_t ecx, uint32_t edx) = call_plain;
static uint8_t code[3 * 4096] __attribute__((aligned(4096)));
static uint8_t page_a[4096] __attribute__((aligned(4096)));
static uint8_t page_b[4096] __attribute__((aligned(4096)));
/* 32-bit: directory and table; long: PML4, PDPT, four directories' worth of 1 GiB in one, table. */
static uint32_t directory[1024] __attribute__((aligned(4096)));
static uint32_t table[1024] __attribute__((aligned(4096)));
static uint64_t pml4[512] __attribute__((aligned(4096)));
static uint64_t pdpt[512] __attribute__((aligned(4096)));
static uint64_t low[512] __attribute__((aligned(4096)));
static uint64_t high[512] __attribute__((aligned(4096)));
static uint64_t window_directory[512] __attribute__((aligned(4096)));
static uint64_t window_table[512] __attribute__((aligned(4096)));
static bool in_long_mode;

static void put(uint8_t *at, const char *bytes, unsigned size)
{
	while (size--)
		*(volatile uint8_t *)at++ = (uint8_t)*bytes++;
}
#define PUT(at, bytes) put(at, bytes, sizeof(bytes) - 1)

static void put32(uint8_t *at, uint32_t v)
{
	*(volatile uint32_t *)at = v;
}

/* ---- one processor ---------------------------------------------------------------------------- */

/* "mov $n, %eax; ret" over the end of a page, n changed on either side of it. */
static uint32_t page_crossing(void)
{
	uint32_t wrong = 0;

	for (unsigned before = 1; before <= 5; before++) {
		uint8_t *at = code + 4096 - before;

		PUT(at, "\xb8\0\0\0\0\xc3");
		for (uint32_t n = 0; n < ROUNDS; n++) {
			for (unsigned k = 0; k < 4; k++)
				*(volatile uint8_t *)(at + 1 + k) = (uint8_t)(n >> 8 * k);
			wrong += call(at, 0, 0) != n;
			*(volatile uint8_t *)(at + 1 + n % 4) ^= 0x5a;
			wrong += call(at, 0, 0) != (n ^ 0x5au << 8 * (n % 4));
		}
	}
	return wrong;
}

/* 14 prefixes and a NOP, at each place around the end of a page. */
static uint32_t fifteen_bytes(void)
{
	uint32_t wrong = 0;

	for (unsigned before = 0; before <= 16; before++) {
		uint8_t *at = code + 4096 - before;

		PUT(at, "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90"
			"\x89\xc8\xc3");
		for (uint32_t n = 0; n < 100; n++)
			wrong += call(at, n, 0) != n;
	}
	return wrong;
}

/* The same bytes as two different streams of instructions, in turn. */
static uint32_t overlapping(void)
{
	uint32_t wrong = 0;

	/* From 0: mov $0x2ab8, %eax; add %al, %bl; ret. From 1: mov $0x2a, %eax; ret. */
	PUT(code, "\xb8\xb8\x2a\0\0\0\xc3\xc3");
	for (uint32_t n = 0; n < ROUNDS; n++) {
		wrong += call(code, 0, 0) != 0x2ab8;
		wrong += call(code + 1, 0, 0) != 0x2a;
	}
	/* jmp over a byte that would eat what follows. */
	PUT(code, "\xeb\x01\xb8\x89\xc8\xc3");
	for (uint32_t n = 0; n < ROUNDS; n++)
		wrong += call(code, n, 0) != n;
	return wrong;
}

/* mov %cl, (%edx), and then the instruction that it wrote: at once, and a little later. */
static uint32_t writes_the_next(void)
{
	uint32_t wrong = 0;

	for (unsigned distance = 0; distance < 100; distance += 11) {
		uint8_t *at = code + 64;

		PUT(at, "\x88\x0a");
		for (unsigned k = 0; k < distance; k++)
			at[2 + k] = 0x90;
		PUT(at + 2 + distance, "\xb8\0\0\0\0\xc3");
		for (uint32_t n = 0; n < ROUNDS; n++)
			wrong += call(at, n & 0xff, (uint32_t)(at + 3 + distance)) !=
				 (n & 0xff);
	}
	return wrong;
}

/* The opcode itself: INC EAX becomes DEC EAX and back. */
static uint32_t writes_the_next_opcode(void)
{
	uint32_t wrong = 0;

	/* mov %ecx, %eax; mov %cl, (%edx); inc or dec %eax; ret */
	PUT(code, "\x89\xc8\x88\x0a\xff\xc0\xc3");
	for (uint32_t n = 0; n < ROUNDS; n++) {
		uint32_t dec = n % 3 == 0, modrm = dec ? 0xc8 : 0xc0;

		wrong += call(code, modrm, (uint32_t)(code + 5)) !=
			 (dec ? modrm - 1 : modrm + 1);
	}
	return wrong;
}

/* A loop that writes its own first instruction each time round. */
static uint32_t writes_the_loop(void)
{
	uint32_t wrong = 0;

	/* 1: mov $0, %eax; mov %cl, (%edx); dec %ecx; jnz 1b; ret */
	PUT(code, "\xb8\0\0\0\0\x88\x0a\xff\xc9\x75\xf5\xc3");
	for (uint32_t n = 2; n < 252; n++) {
		code[1] = 0;
		wrong += call(code, n, (uint32_t)(code + 1)) != 2;
	}
	return wrong;
}

/* Two functions in one line, each of which rewrites the other. */
static uint32_t writes_the_neighbour(void)
{
	uint8_t *a = code, *b = code + 16;
	uint32_t wrong = 0;

	PUT(a, "\x88\x0a\xb8\0\0\0\0\xc3");
	PUT(b, "\x88\x0a\xb8\0\0\0\0\xc3");
	for (uint32_t n = 0; n < ROUNDS; n++) {
		call(a, n & 0xff, (uint32_t)(b + 3));
		wrong += call(b, (n + 7) & 0xff, (uint32_t)(a + 3)) != (n & 0xff);
		wrong += call(a, n & 0xff, (uint32_t)(b + 3)) != ((n + 7) & 0xff);
	}
	return wrong;
}

/* A loop that counts in its own line, in its page, and over the page's end. */
static uint32_t data_beside_code(void)
{
	static const unsigned places[] = { 12, 128, 4094 };
	uint32_t wrong = 0;

	/* 1: incl (%edx); dec %ecx; jnz 1b; ret */
	PUT(code, "\xff\x02\xff\xc9\x75\xfa\xc3");
	for (unsigned p = 0; p < 3; p++) {
		volatile uint32_t *counter = (uint32_t *)(code + places[p]);

		*counter = 0;
		for (uint32_t n = 1; n <= 50; n++)
			call(code, 100, (uint32_t)counter);
		wrong += *counter != 5000;
	}
	return wrong;
}

/* ---- pages mapped anew ------------------------------------------------------------------------- */

static void map_window(const uint8_t *page)
{
	*(volatile uint32_t *)table = (uint32_t)page | 3;
	*(volatile uint64_t *)window_table = (uint32_t)page | 3;
}

static void forget_window(void)
{
	__asm__ volatile("invlpg (%0)" ::"r"(WINDOW) : "memory");
}

static uint32_t mapped_anew(void)
{
	uint32_t wrong = 0;

	PUT(page_a, "\xb8\x0a\0\0\0\xc3");
	PUT(page_b, "\xb8\x0b\0\0\0\xc3");
	for (uint32_t n = 0; n < ROUNDS; n++) {
		map_window(n % 2 ? page_b : page_a);
		forget_window();
		for (unsigned k = 0; k < 3; k++)
			wrong += call((void *)WINDOW, 0, 0) != (n % 2 ? 0xb : 0xa);
		/* By the other name of the page. */
		put32((n % 2 ? page_b : page_a) + 1, n);
		wrong += call((void *)WINDOW, 0, 0) != n;
		put32((n % 2 ? page_b : page_a) + 1, n % 2 ? 0xb : 0xa);
	}
	return wrong;
}

/* ---- modes -------------------------------------------------------------------------------------- */

static void fill_tables(void)
{
	for (uint32_t n = 0; n < 1024; n++)
		directory[n] = n << 22 | 0x83;
	directory[WINDOW >> 22] = (uint32_t)table | 3;
	pml4[0] = (uint32_t)pdpt | 3;
	pdpt[0] = (uint32_t)low | 3;
	pdpt[1] = (uint32_t)window_directory | 3;
	pdpt[3] = (uint32_t)high | 3;
	window_directory[0] = (uint32_t)window_table | 3;
	for (uint32_t n = 0; n < 512; n++) {
		low[n] = n << 21 | 0x83;
		high[n] = (3u << 30 | n << 21) | 0x83;
	}
}

static void paging_on(void)
{
	uint32_t v;

	__asm__ volatile("mov %%cr4, %0" : "=r"(v));
	__asm__ volatile("mov %0, %%cr4" ::"r"(v | 0x10));
	__asm__ volatile("mov %0, %%cr3" ::"r"(directory) : "memory");
	__asm__ volatile("mov %%cr0, %0" : "=r"(v));
	__asm__ volatile("mov %0, %%cr0" ::"r"(v | 0x80000000) : "memory");
}

/* To long mode; this code goes on in its 32-bit half. */
static void long_mode_on(void)
{
	uint32_t cr0, v;

	__asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
	__asm__ volatile("mov %0, %%cr0" ::"r"(cr0 & 0x7fffffff) : "memory");
	__asm__ volatile("mov %%cr4, %0" : "=r"(v));
	__asm__ volatile("mov %0, %%cr4" ::"r"(v | 0x20));
	__asm__ volatile("mov %0, %%cr3" ::"r"(pml4) : "memory");
	__asm__ volatile("rdmsr; or $0x100, %%eax; wrmsr" ::"c"(0xc0000080)
			 : "eax", "edx", "memory");
	__asm__ volatile("mov %0, %%cr0" ::"r"(cr0 | 0x80000000) : "memory");
}

/* ---- the second processor ------------------------------------------------------------------------ */

static volatile uint32_t second_awake, order, done, value, second_wrong;
enum { NOTHING, GO_LONG, EXECUTE, FOLLOW };

static void say_done(uint32_t number)
{
	__atomic_store_n(&done, number, __ATOMIC_SEQ_CST);
}

/* Calls code while it is changed: each value is the last one or a later one, until ROUNDS. */
static void follow_changes(void)
{
	uint32_t last = 0, v;

	do {
		v = call(code + 3, 0, 0);
		second_wrong += v < last || v > ROUNDS;
		last = v;
	} while (v != ROUNDS);
}

void processor_main(void)
{
	uint32_t number = 0;

	paging_on();
	__atomic_store_n(&second_awake, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		uint32_t next;

		while ((next = __atomic_load_n(&order, __ATOMIC_SEQ_CST)) >> 8 == number)
			__asm__ volatile("pause");
		number = next >> 8;
		switch (next & 0xff) {
		case GO_LONG:
			long_mode_on();
			break;
		case EXECUTE:
			forget_window();
			for (unsigned k = 0; k < 3; k++)
				second_wrong += call((void *)WINDOW, 0, 0) != value;
			break;
		case FOLLOW:
			follow_changes();
			break;
		}
		say_done(number);
	}
}

static uint32_t orders;

static void begin(uint32_t what)
{
	orders++;
	__atomic_store_n(&order, orders << 8 | what, __ATOMIC_SEQ_CST);
}

static void finish(void)
{
	while (__atomic_load_n(&done, __ATOMIC_SEQ_CST) != orders)
		__asm__ volatile("pause");
}

/* What it executes is mapped anew, and the pages written to, from here. */
static uint32_t mapped_anew_for_another(void)
{
	second_wrong = 0;
	for (uint32_t n = 1; n <= ROUNDS; n++) {
		uint8_t *page = n % 2 ? page_b : page_a;

		if (n % 5 == 0) {
			put32(page + 1, n);
			value = n;
		} else {
			put32(page + 1, n % 2 ? 0xb : 0xa);
			value = n % 2 ? 0xb : 0xa;
		}
		map_window(page);
		begin(EXECUTE);
		finish();
	}
	return second_wrong;
}

static uint32_t changed_meanwhile(void)
{
	/* The constant lies aligned: an old one or a new one, never a mixture. */
	PUT(code + 3, "\xb8\0\0\0\0\xc3");
	second_wrong = 0;
	begin(FOLLOW);
	for (uint32_t n = 1; n <= ROUNDS; n++) {
		put32(code + 4, n);
		for (volatile unsigned k = 0; k < 200; k++)
			;
	}
	finish();
	return second_wrong;
}

/* ---- all of it ----------------------------------------------------------------------------------- */

static void wake_second(void)
{
	start_others();
	while (!second_awake)
		__asm__ volatile("pause");
}

static void all(bool second)
{
	print(in_long_mode ? "64-bit mode\n" : "protected mode\n");
	report("over a page's end", page_crossing());
	report("15 bytes", fifteen_bytes());
	report("overlapping", overlapping());
	report("writes the next instruction", writes_the_next());
	report("writes the next opcode", writes_the_next_opcode());
	report("writes the loop", writes_the_loop());
	report("writes the neighbour", writes_the_neighbour());
	report("data beside code", data_beside_code());
	report("mapped anew", mapped_anew());
	if (!second)
		return;
	report("mapped anew for another", mapped_anew_for_another());
	report("changed meanwhile", changed_meanwhile());
}

void kernel_main(const uint32_t *info)
{
	bool second = processor_count() == 2;

	(void)info;
	fill_tables();
	paging_on();
	if (second)
		wake_second();
	all(second);
	if (second) {
		begin(GO_LONG);
		finish();
	}
	long_mode_on();
	in_long_mode = true;
	call = call_long;
	all(second);
	leave(0);
}
