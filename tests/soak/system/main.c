/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line says which cases: "seed=S first=F count=N", and "verbose" for all about them. A
 * line a case: number, kind, vector, and a hash of what the case left behind. See system.h.
 */
#include "system.h"

#define COM1 0x3f8

extern u32 boot_info;
static u64 state;
static u8 before[16 * 4096] __attribute__((aligned(4096)));
static u8 before_tables[16 * 4096] __attribute__((aligned(4096)));
static u64 hash;
static bool verbose;

u64 s_gpr[16], s_vector, s_flags, s_cr0, s_cr2, s_cr3, s_cr4, s_efer, s_xcr0;
u64 s_dr[8], s_fs_base, s_gs_base, s_kgs_base;
u16 s_ds, s_es, s_fs, s_gs, s_ss, s_ldt, s_tr;
struct pointer s_gdt, s_idt;
u8 s_fpu[1024] __attribute__((aligned(64)));

void main(void);

u64 random64(void)
{
	u64 z = state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* ---- output ---------------------------------------------------------------------------------- */

static void outb(u16 port, u8 v)
{
	__asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port));
}

static u8 inb(u16 port)
{
	u8 v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static void print(const char *text)
{
	for (; *text; text++) {
		while (!(inb(COM1 + 5) & 0x20))
			;
		outb(COM1, (u8)*text);
	}
}

static void print_number(u64 v, unsigned digits)
{
	char text[17], *p = text + 16;

	*p = 0;
	do {
		*--p = "0123456789abcdef"[v & 15];
		v >>= 4;
	} while (v || text + 16 - p < (long)digits);
	print(p);
}

static void print_decimal(u64 v)
{
	char text[24], *p = text + 23;

	*p = 0;
	do {
		*--p = (char)('0' + v % 10);
	} while (v /= 10);
	print(p);
}

static void leave(void)
{
	static const char shutdown[] = "Shutdown";

	outb(0xf4, 0);
	for (const char *p = shutdown; *p; p++)
		outb(0x8900, (u8)*p);
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* ---- what a case left behind ------------------------------------------------------------------ */

static void note(const char *name, u64 v)
{
	hash = (hash ^ v) * 0x9e3779b97f4a7c15;
	hash ^= hash >> 29;
	if (verbose) {
		print(name);
		print(" ");
		print_number(v, 1);
		print("\n");
	}
}

static void note_at(const char *name, unsigned index, u64 v)
{
	if (verbose) {
		print(name);
		print_number(index, 1);
	}
	note("", v);
}

/* Every word of the arena that changed. */
static void note_memory(const u8 *was, unsigned first, unsigned count, u64 mask)
{
	const u64 *p = (const u64 *)was, *q = (const u64 *)PAGE(first);

	for (unsigned n = 0; n < count * 512; n++)
		if (p[n] != q[n] && (p[n] & mask) != (q[n] & mask)) {
			note("at", (first << 12) + n * 8);
			note(" is", q[n] & mask);
		}
}

static bool faulted_in_paging;

/*
 * A breakpoint that is not enabled may be reported in DR6 all the same (SDM volume 3, 17.2.3), and
 * Bochs reports that of the next instruction along with a single step.
 */
static u64 not_watched(void)
{
	u64 bits = 0;

	for (unsigned n = 0; n < 4; n++)
		if (!(s_dr[7] >> 2 * n & 3) ||
		    ((s_dr[6] & 0x4000) && !(s_dr[7] >> (16 + 4 * n) & 3)))
			bits |= 1u << n;
	return bits;
}

static void note_result(void)
{
	static const char *const names[] = { "ax", "cx", "dx", "bx",
					     "sp", "bp", "si", "di" };

	note("vector", s_vector & 0xff);
	for (unsigned n = 0; n < 16; n++)
		note(n < 8 ? names[n] : "r", s_gpr[n]);
	note("flags", s_flags);
	note("cr0", s_cr0);
	note("cr2", s_cr2);
	note("cr3", s_cr3);
	note("cr4", s_cr4);
	note("efer", s_efer);
	note("xcr0", s_xcr0);
	note("ds", s_ds);
	note("es", s_es);
	note("fs", s_fs);
	note("gs", s_gs);
	note("ss", s_ss);
	note("ldt", s_ldt);
	note("tr", s_tr);
	if (long_mode()) {
		note("fsbase", s_fs_base);
		note("gsbase", s_gs_base);
	}
	note("kgsbase", s_kgs_base);
	note("gdt", s_gdt.base ^ (u64)s_gdt.limit << 48);
	note("idt", s_idt.base ^ (u64)s_idt.limit << 48);
	for (unsigned n = long_mode() ? 0 : 2; n < 8; n++)
		if (n != 4 && n != 5)
			note_at("dr", n, n == 6 ? s_dr[6] & ~not_watched() : s_dr[n]);
	/* Control, status, tags; not the pointers, which vendors keep in their own ways. */
	note("fcw", *(u16 *)s_fpu);
	note("fsw", *(u16 *)(s_fpu + 2));
	note("ftw", s_fpu[4]);
	note("mxcsr", *(u32 *)(s_fpu + 24));
	for (unsigned n = 0; n < 8; n++) {
		note_at("st", n, *(u64 *)(s_fpu + 32 + 16 * n));
		note("exp", *(u16 *)(s_fpu + 40 + 16 * n));
	}
	/* Components in their first state are not written by XSAVE. */
	for (unsigned n = 0; n < 32; n++)
		note_at("xmm", n, s_fpu[512] & 2 ? *(u64 *)(s_fpu + 160 + 8 * n) : 0);
	for (unsigned n = 0; n < 32; n++)
		note_at("ymm", n, s_fpu[512] & 4 ? *(u64 *)(s_fpu + 576 + 8 * n) : 0);
	if (avoids(AVOID_DF_RF) && !long_mode() && (s_vector & 0xff) == 8) {
		PAGE(P_TSS)[0xf00 + 0x26] &= 0xfe;
		PAGE(P_TSS2)[0x26] &= 0xfe;
	}
	note_memory(before, 0, 16, ~0ull);
	note_memory(before_tables, 16, 16,
		    faulted_in_paging ? ~(u64)0x2000000020 : ~0ull);
}

static void show_case(void)
{
	print("kind ");
	print_number(kind, 1);
	print(" cpl ");
	print_number(start_cpl, 1);
	print(" window ");
	print_number(window, 1);
	print("\nstart");
	for (unsigned n = 0; n < 5; n++) {
		print(" ");
		print_number(w_frame[n], 1);
	}
	print("\nw_cr0 ");
	print_number(w_cr0, 1);
	print(" w_cr4 ");
	print_number(w_cr4, 1);
	print(" w_efer ");
	print_number(w_efer, 1);
	print(" w_xcr0 ");
	print_number(w_xcr0, 1);
	print("\nsegments");
	print(" ");
	print_number(w_ds, 1);
	print(" ");
	print_number(w_es, 1);
	print(" ");
	print_number(w_fs, 1);
	print(" ");
	print_number(w_gs, 1);
	print("\ngpr");
	for (unsigned n = 0; n < 16; n++) {
		print(" ");
		print_number(w_gpr[n], 1);
	}
	print("\nw_dr");
	for (unsigned n = 0; n < 8; n++) {
		print(" ");
		print_number(w_dr[n], 1);
	}
	print("\ngdt");
	for (unsigned n = 0; n < GDT_SIZE; n += 8) {
		print(n & 31 ? " " : "\n ");
		print_number(*(u64 *)(PAGE(P_GDT) + n), 16);
	}
	print("\nldt");
	for (unsigned n = 0; n < 80; n += 8) {
		print(" ");
		print_number(*(u64 *)(PAGE(P_GDT) + 0x800 + n), 16);
	}
	print("\ngates");
	for (unsigned n = 0; n < 8; n++) {
		print(" ");
		print_number(((u64 *)PAGE(P_IDT))[long_mode() ? 0x60 + n : 0x30 + n], 16);
	}
	for (unsigned n = 0; n < FRAGMENTS; n++) {
		print("\ncode ");
		print_number(n, 1);
		print(" ");
		print_number(fragment[n].bits, 1);
		print(" ");
		print_number(fragment[n].offset, 1);
		print(" ");
		for (u32 i = 0; i < fragment[n].size; i++)
			print_number(((u8 *)ARENA)[fragment[n].offset + i], 2);
	}
	print("\n");
}

static void zero(void *p, unsigned size)
{
	for (unsigned n = 0; n < size; n++)
		((volatile u8 *)p)[n] = 0;
}

static void copy_pages(u8 *to, const u8 *from)
{
	for (unsigned n = 0; n < 16 * 512; n++)
		((u64 *)to)[n] = ((const u64 *)from)[n];
}

static void one(u64 seed, u64 number)
{
	bool left_open;

	state = seed * 0xd1342543de82ef95 + number * 0x2545f4914f6cdd1d;
	random64();
	/* Addresses just below the arena are used, too. */
	zero((u8 *)ARENA - 4096, 4096);
	make_world();
	copy_pages(before, PAGE(0));
	copy_pages(before_tables, PAGE(P_TABLES));
	zero(s_gpr, sizeof s_gpr);
	zero(s_dr, sizeof s_dr);
	zero(s_fpu, sizeof s_fpu);
	zero(&s_gdt, sizeof s_gdt);
	zero(&s_idt, sizeof s_idt);
	s_vector = s_flags = s_cr0 = s_cr2 = s_cr3 = s_cr4 = s_efer = s_xcr0 = 0;
	print_decimal(number);
	print(" ");
	if (verbose) {
		print("\n");
		show_case();
	}
	run_case();
	forgive();
	left_open = strayed() || overwrote_itself(before);
	hash = 0;
	faulted_in_paging = s_cr2 != 0 || (s_vector & 0xff) == 14;
	if (!left_open)
		note_result();
	print_number(kind, 1);
	print(" ");
	print_number(left_open ? 0xff : s_vector & 0xff, 2);
	print(" ");
	print_number(hash, 16);
	print("\n");
}

/* "cases=3,17,40": these alone. */
static bool listed(const char *line, u64 seed)
{
	static const char name[] = "cases=";
	const char *p = line;

	for (; *p; p++) {
		unsigned n = 0;

		while (name[n] && p[n] == name[n])
			n++;
		if (!name[n]) {
			p += n;
			break;
		}
	}
	if (!*p)
		return false;
	while (*p >= '0' && *p <= '9') {
		u64 v = 0;

		for (; *p >= '0' && *p <= '9'; p++)
			v = v * 10 + (u64)(*p - '0');
		one(seed, v);
		if (*p == ',')
			p++;
	}
	return true;
}

static u64 option(const char *line, const char *name, u64 otherwise)
{
	for (; *line; line++) {
		const char *p = line, *q = name;

		while (*q && *p == *q)
			p++, q++;
		if (!*q) {
			u64 v = 0;

			for (; *p >= '0' && *p <= '9'; p++)
				v = v * 10 + (u64)(*p - '0');
			return v;
		}
	}
	return otherwise;
}

void main(void)
{
	const u32 *info = (const u32 *)(u64)boot_info;
	static char line[512];
	const char *given = info[0] & 4 ? (const char *)(u64)info[4] : "";
	u64 seed, first, count;

	for (unsigned n = 0; n < sizeof line - 1 && given[n]; n++)
		line[n] = given[n];
	seed = option(line, "seed=", 1);
	first = option(line, "first=", 0);
	count = option(line, "count=", 10);
	verbose = option(line, "verbose=", 0);
	avoid = option(line, "avoid=", 0);
	/* The fastest rate; nothing interrupts. */
	outb(COM1 + 3, 0x83);
	outb(COM1, 1);
	outb(COM1 + 1, 0);
	outb(COM1 + 3, 3);
	outb(COM1 + 2, 7);
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	if (!listed(line, seed))
		for (u64 n = first; n < first + count; n++)
			one(seed, n);
	/* The lines that follow push it out of a UART that is not emptied at the end. */
	print("end\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n");
	leave();
}
