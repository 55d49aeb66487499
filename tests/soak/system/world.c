/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state in which a case begins. All of it is made good first, for the kind of case; then
 * a few things of it are broken. See system.h.
 */
#include "system.h"

enum kind kind;
unsigned start_cpl, code_bits;
u64 window;
bool x87_case;
u64 avoid;

u64 w_legacy, w_v86, w_inner, w_cr0, w_cr3, w_cr4, w_efer, w_xcr0, w_dr[8], w_gpr[16];
u64 w_fs_base, w_gs_base;
u32 w_far32[2];
u16 w_ds, w_es, w_fs, w_gs, w_ldt, w_tr;
struct pointer w_gdt, w_idt;
__typeof__(w_msr) w_msr;
u8 w_fpu[1024] __attribute__((aligned(64)));

/* The TSS is seen through the window: there only single pages may be broken, and not its first. */
static bool tss_in_window;

static const u16 selectors[] = {
	0,	 S_KCODE, S_KDATA, S_TSS,   S_LDT,     0x40,	 0x48,	   0x50,
	0x58,	 0x60,	  S_CODE0, S_DATA0, S_CODE3,   S_DATA3,	 S_CODE1,  S_DATA1,
	S_CODE2, S_DATA2, S_CODE3, S_DATA3, S_CONFORM, S_CODE16, S_DATA16, S_DOWN,
	S_SMALL, S_GATE,  S_GATE2, S_TSS2,  S_TASK,    S_RANDOM, 0x108,	   0x110,
	0x118,	 0x120,	  0x128,   0x130,   0x138,     0x140,
};

u16 any_selector(void)
{
	u16 s = PICK(selectors);

	if (one_in(5))
		s = (u16)(4 | below(10) << 3);
	/* Its base is the stubs': behind them is the kernel, which would go on somehow. */
	if (s == S_KCODE && !long_mode())
		s = S_CODE0;
	return (u16)(s | (one_in(3) ? below(4) : start_cpl));
}

/* For the SS of a frame. */
u16 stack_selector(u16 s)
{
	return s < 4 && avoids(AVOID_NULL_STACK) ? S_DATA3 | s : s;
}

static bool page16(void)
{
	return code_bits == 16;
}

/* An address for a base register of the start code: of the windows, near the edges of pages. */
u64 any_address(void)
{
	u64 a;
	static const signed char near[] = { 0,	0,  8,	16, 64,	 -1,  -2,  -3,
					    -4, -5, -7, -8, -12, -15, -16, -31 };
	u32 page = one_in(4) ? below(16) : below(4);
	u64 base = window;

	if (kind == KIND_LONG && one_in(3)) {
		static const u64 windows[] = { WIN_HIGH, WIN_EDGE, WIN_4G, WIN_OVER };
		u32 w = below(4);

		base = windows[w];
		page = w & 1 || w == 2 ? (w == 3 ? 0 : 16) : 0;
		if (one_in(2))
			page = below(17);
	} else if (!page16() && kind != KIND_FLAT && one_in(8)) {
		base = WIN_4G;
		page = below(17);
	}
	a = base + page * 4096 + (u64)(long)PICK(near) * (one_in(8) ? 2 : 1);
	if (one_in(4))
		a = base + page * 4096 + below(4096);
	if (one_in(6))
		a = base + page * 4096 + below(256) * 16;
	if (page16() || kind == KIND_V86)
		a = (a - window) & 0xffff;
	else if (kind != KIND_LONG && kind != KIND_FLAT && one_in(8))
		a = below(0x11000); /* for segments with a base */
	if (kind == KIND_LONG && one_in(30))
		a = random64();
	return kind == KIND_LONG ? a : (u32)a;
}

/* Canonical, and so is what lies behind it. */
static u64 canonical(u64 a)
{
	a = (u64)((long)(a << 16) >> 16);
	return (a & 0x7fffffffffff) >= 0x7fffffffffc0 ? a - 128 : a;
}

/* ---- paging ---------------------------------------------------------------------------------- */

#define P 1ull
#define W 2ull
#define U 4ull
#define A 0x20ull
#define D 0x40ull
#define PS 0x80ull
#define NX (1ull << 63)

static u64 *table(unsigned n)
{
	return (u64 *)PAGE(P_TABLES + n);
}

static u64 address_of(unsigned n)
{
	return ARENA + (P_TABLES + n) * 4096ull;
}

/* Page n's right in a window. */
static u64 leaf(unsigned n, u64 user_pages)
{
	u64 e = (ARENA + n * 4096ull) | P | W;

	if (user_pages >> n & 1)
		e |= U;
	if (!one_in(4))
		e |= A;
	if (!one_in(4))
		e |= A | D;
	if (one_in(8))
		e |= 0x100; /* global */
	return e;
}

static bool opened; /* pages that were the supervisor's may be the user's */

static u64 changed(u64 e, bool last, bool wide, bool large)
{
	switch (below(wide ? 14 : 8)) {
	case 0:
	case 1:
		return e ^ P;
	case 2:
	case 3:
		return e ^ W;
	case 4:
		return e ^ U;
	case 5:
		return e & ~(A | D);
	case 6:
		if (last)
			return e ^ 0x10 << below(2) * 4; /* PCD, G */
		return large ? (e & 0xfff) | PS | ARENA |
				       (one_in(3) ? 1ull << (13 + below(8)) : 0)
			     : e ^ PS;
	case 7:
		return e ^ (u64)below(8) << 9;
	case 8:
	case 9:
		return e ^ NX;
	case 10:
		return e | 1ull << 51;
	case 11:
		return e | (u64)below(128) << 52;
	case 12:
		return (e | NX | W) & ~U;
	default:
		return e ^ W ^ U;
	}
}

/* Something of an entry that is not as it should be. */
static u64 broken(u64 e, bool last, bool wide, bool large)
{
	u64 new = changed(e, last, wide, large);

	opened |= ((new ^ e) & (U | PS)) != 0;
	return new;
}

struct level {
	u16 table, index;
};
/* Ways from the top to the window's table of pages; the last level's index is page 0's. */
struct window_path {
	struct level level[4];
};
static const struct window_path long_paths[] = {
	{ { { 0, 0 }, { 1, 1 }, { 2, 2 }, { 3, 0 } } },		/* MAIN */
	{ { { 0, 256 }, { 4, 0 }, { 5, 0 }, { 6, 0 } } },	/* HIGH */
	{ { { 0, 255 }, { 7, 511 }, { 8, 511 }, { 9, 496 } } }, /* EDGE */
	{ { { 0, 0 }, { 1, 3 }, { 10, 511 }, { 11, 496 } } },	/* 4G */
	{ { { 0, 0 }, { 1, 4 }, { 12, 0 }, { 13, 0 } } },	/* OVER */
};

static void clear(unsigned from, unsigned count)
{
	u64 *p = table(from);

	for (unsigned n = 0; n < count * 512; n++)
		p[n] = 0;
}

static unsigned any_page(void)
{
	unsigned n = tss_in_window && one_in(2) ? 13 : one_in(3) ? below(16) : below(4);

	return n == P_TSS && tss_in_window ? P_TSS + 1 : n;
}

static void break_paging(const struct window_path *paths, unsigned count, unsigned first)
{
	unsigned times = one_in(3) ? 0 : 1 + below(4);

	while (times--) {
		const struct window_path *w = &paths[one_in(2) ? 0 : below(count)];
		unsigned l = one_in(2) || tss_in_window ? 3 : first + below(4 - first),
			 page = any_page();
		u64 *e = table(w->level[l].table) + w->level[l].index;

		if (l == 3)
			e += page;
		*e = broken(*e, l == 3, true, l == 2);
		if (avoids(AVOID_STRAYS) && l == 1 && !(*e & 0xffffffffff000))
			*e |= PS;
		if (l == 1 && first == 0 && w == paths && one_in(6)) {
			*e = (*e & 0xffb) | P | PS | U; /* 1 GiB, from 0 on */
			opened = true;
		}
	}
}

static void paging_long(u64 user)
{
	for (unsigned n = 0; n < 5; n++) {
		const struct window_path *w = &long_paths[n];

		for (unsigned l = 0; l < 3; l++)
			table(w->level[l].table)[w->level[l].index] =
				address_of(w->level[l + 1].table) | P | W | U |
				(one_in(2) ? A : 0);
		for (unsigned p = 0; p < WINDOW_PAGES; p++)
			table(w->level[3].table)[w->level[3].index + p] = leaf(p, user);
	}
	break_paging(long_paths, 5, 0);
	table(1)[0] = (u64)safe_pd | P | W | A;
	table(0)[0] |= P | W;
	table(0)[0] &= ~(PS | NX | 1ull << 51);
	w_cr3 = address_of(0);
}

static const struct window_path pae_paths[] = {
	{ { { 0, 0 }, { 0, 1 }, { 2, 2 }, { 3, 0 } } },	    /* MAIN */
	{ { { 0, 0 }, { 0, 3 }, { 4, 511 }, { 5, 496 } } }, /* 4G */
	{ { { 0, 0 }, { 0, 0 }, { 1, 0 }, { 6, 0x40 } } },  /* V86 */
};

static void paging_pae(u64 user)
{
	for (unsigned n = 0; n < 3; n++) {
		const struct window_path *w = &pae_paths[n];

		table(0)[w->level[1].index] = address_of(w->level[2].table) | P;
		table(w->level[2].table)[w->level[2].index] =
			address_of(w->level[3].table) | P | W | U;
		for (unsigned p = 0; p < WINDOW_PAGES; p++)
			table(w->level[3].table)[w->level[3].index + p] = leaf(p, user);
	}
	break_paging(pae_paths, 3, 2);
	if (one_in(30) && !tss_in_window)
		table(0)[1 + below(2) * 2] ^= one_in(2) ? P : W | 1ull << 40;
	/* The harness below 2 MiB, around the window for virtual-8086 mode. */
	for (unsigned n = 0x100; n < 512; n++)
		table(6)[n] = n << 12 | P | W | A | D;
	table(1)[0] |= P | W;
	table(1)[0] = (table(1)[0] & 0xff7 & ~PS) | address_of(6);
	table(1)[1] = 0x2000e3;
	table(1)[2] = 0x4000e3;
	w_cr3 = address_of(0);
}

static void paging_32(u64 user)
{
	static const struct {
		u16 directory, table, index;
	} paths[] = { { 0x101, 1, 0 }, { 1023, 2, 1008 }, { 0, 3, 0x40 } };
	u32 *directory = (u32 *)table(0);
	unsigned times = one_in(3) ? 0 : 1 + below(4);

	for (unsigned n = 0; n < 3; n++) {
		directory[paths[n].directory] = (u32)address_of(paths[n].table) | 7;
		for (unsigned p = 0; p < WINDOW_PAGES; p++)
			((u32 *)table(paths[n].table))[paths[n].index + p] =
				(u32)leaf(p, user);
	}
	while (times--) {
		unsigned n = one_in(2) ? 0 : below(3);
		u32 *e = &((u32 *)table(paths[n].table))[paths[n].index + any_page()];

		if (n < 2 && !tss_in_window && one_in(3)) {
			e = &directory[paths[n].directory];
			*e = (u32)broken(*e, false, false, true);
		} else {
			*e = (u32)broken(*e, true, false, false);
		}
	}
	for (unsigned n = 0x100; n < 1024; n++)
		((u32 *)table(3))[n] = n << 12 | 0x63;
	for (unsigned n = 0; n < 1024; n++)
		((u32 *)table(4))[n] = (0x400 + n) << 12 | 0x63;
	directory[0] |= 3;
	directory[1] = (u32)address_of(4) | 3;
	w_cr3 = address_of(0);
}

/* ---- segments -------------------------------------------------------------------------------- */

#define CODE 0x1b
#define DATA 0x13

/* access: as in the descriptor, with P and DPL; flags: G D/B L AVL. */
static u64 descriptor(u32 base, u32 limit, unsigned access, unsigned flags)
{
	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)access << 40 |
	       (u64)(limit >> 16 & 15) << 48 | (u64)flags << 52 | (u64)(base >> 24) << 56;
}

static void set_gdt(unsigned selector, u64 value)
{
	((u64 *)PAGE(P_GDT))[selector / 8] = value;
}

static u64 flat_code(unsigned dpl, bool l)
{
	return descriptor(0, 0xfffff, 0x9b | dpl << 5, l ? 0xa : 0xc);
}

static u64 flat_data(unsigned dpl)
{
	return descriptor(0, 0xfffff, 0x93 | dpl << 5, 0xc);
}

/* A descriptor of any type and size, most of them of use. */
static u64 any_descriptor(void)
{
	static const u32 limits[] = { 0,      1,      0xff,   0xfff,  0x1000,
				      0x1fff, 0x2ffb, 0x7fff, 0xffff, 0xfffff };
	u32 base = one_in(2) ? 0 : (u32)window + (one_in(3) ? below(0x4000) : 0);
	u32 limit = one_in(3) ? below(0x4000) : PICK(limits);
	unsigned access = 0x80 | (one_in(3) ? below(4) : start_cpl) << 5;
	unsigned flags = below(16);

	access |= one_in(4) ? below(32) : 0x10 | below(16);
	if (avoids(AVOID_TASK_FAULT) && !long_mode() && (access & 0x15) == 1)
		access |= 0x10; /* no TSS */
	if (one_in(10))
		access &= 0x7f;
	if (base == 0 && one_in(2))
		limit = 0xfffff, flags |= 8;
	return descriptor(base, limit, access, flags);
}

static u64 gate(unsigned selector, u64 offset, unsigned type, unsigned dpl, unsigned low)
{
	return (offset & 0xffff) | (u64)selector << 16 | (u64)(low & 0xff) << 32 |
	       (u64)(0x80 | type | dpl << 5) << 40 | (offset >> 16 & 0xffff) << 48;
}

static u64 fragment_address(unsigned n, unsigned bits)
{
	return bits == 16 ? fragment[n].offset : window + fragment[n].offset;
}

/* A call gate; in long mode it has two slots. */
static void set_call_gate(unsigned selector, unsigned n)
{
	static const u16 targets[] = { S_CODE0,	  S_CODE0, S_CODE1,
				       S_CONFORM, S_CODE2, S_CODE3 };
	u16 target = PICK(targets);
	unsigned type = !long_mode() && one_in(5) ? 4 : 12;

	if (type == 4)
		target = S_CODE16;
	if (one_in(12))
		target = any_selector();
	set_gdt(selector, gate(target, fragment_address(n, type == 4 ? 16 : 32), type,
			       one_in(6) ? below(4) : 3, long_mode() ? 0 : below(4)));
	if (long_mode())
		set_gdt(selector + 8,
			window >> 32 | (one_in(20) ? 1ull << (32 + below(13)) : 0));
	if (one_in(20))
		((u8 *)PAGE(P_GDT))[selector + 5] ^= (u8)(1 << below(8));
	if (long_mode() && one_in(20))
		((u8 *)PAGE(P_GDT))[selector + 12] = 0x80; /* not canonical */
}

static u32 tss_limit(void)
{
	u32 limit = one_in(10) ? below(0x200) : 0x100 + 64;

	if (avoids(AVOID_TSS_LIMIT) && limit < 0x1c &&
	    ((limit & 7) == 1 || (limit & 7) == 2))
		limit += 2;
	return limit;
}

static void make_gdt(void)
{
	bool l = long_mode();
	u32 tss = (u32)(ARENA + P_TSS * 4096 + 0xf00),
	    ldt = (u32)(ARENA + P_GDT * 4096 + 0x800);
	u64 *entries = (u64 *)PAGE(P_GDT);

	for (unsigned n = 0; n < 512; n++)
		entries[n] = 0;
	if (tss_in_window)
		tss = (u32)(window + P_TSS * 4096 + 0xf00);
	if (kind != KIND_FLAT && one_in(4))
		ldt = (u32)(window + P_GDT * 4096 + 0x800);
	set_gdt(S_KCODE, l ? flat_code(0, true)
			   : descriptor((u32)(u64)stub32, 0xfffff, 0x9b, 0xc));
	set_gdt(S_KDATA, flat_data(0));
	if (!l)
		set_gdt(S_DFTSS, descriptor((u32)(u64)df_tss, 103, 0x89, 0));
	set_gdt(S_TSS, descriptor(tss, tss_limit(), l || !one_in(8) ? 0x89 : 0x81, 0));
	set_gdt(S_LDT, descriptor(ldt, one_in(10) ? below(0x80) : 79, 0x82, 0));
	for (unsigned n = 0; n < 10; n++)
		entries[256 + n] = any_descriptor();
	set_gdt(0x40, flat_code(0, l));
	set_gdt(0x48, flat_data(0));
	set_gdt(0x50, flat_code(3, false));
	set_gdt(0x58, flat_data(3));
	set_gdt(0x60, flat_code(3, l));
	for (unsigned n = 0; n < 3; n++) {
		static const u8 code[] = { S_CODE0, S_CODE1, S_CODE2 };

		set_gdt(code[n], flat_code(n, l));
		set_gdt(code[n] + 8u, flat_data(n));
	}
	set_gdt(S_CODE3, flat_code(3, kind == KIND_LONG));
	set_gdt(S_DATA3, flat_data(3));
	set_gdt(S_CONFORM, flat_code(below(4), l) | 4ull << 40);
	set_gdt(S_CODE16, descriptor((u32)window, 0xffff, 0x9b | start_cpl << 5, 0));
	set_gdt(S_DATA16, descriptor((u32)window, 0xffff, 0x93 | start_cpl << 5, 0));
	set_gdt(S_DOWN, descriptor(one_in(2) ? (u32)window : 0,
				   one_in(2) ? below(0x3000) : below(0x100),
				   0x97 | start_cpl << 5, one_in(2) ? 0 : below(16)));
	set_gdt(S_SMALL, descriptor(one_in(2) ? (u32)window : (u32)window + below(0x2000),
				    one_in(2) ? 0xfff : below(0x2000),
				    (one_in(4) ? 0x91 : 0x93) | start_cpl << 5,
				    one_in(3) ? 0 : 4));
	for (unsigned n = S_RANDOM; n < GDT_SIZE; n += 8)
		set_gdt(n, any_descriptor());
	set_gdt(S_TSS2,
		descriptor((u32)(ARENA + P_TSS2 * 4096), one_in(10) ? below(120) : 103,
			   (one_in(8) ? 0x81 : 0x89) | (one_in(6) ? 2 : 0) |
				   (one_in(3) ? 0x60 : 0),
			   0));
	set_gdt(S_TASK, gate(one_in(8) ? any_selector() : S_TSS2, 0, 5, 3, 0));
	if (l) {
		set_gdt(S_TSS + 8, 0);
		set_gdt(S_LDT + 8, 0);
	}
	set_call_gate(S_GATE, 2);
	set_call_gate(S_GATE2, 3);
	/* Break something that the stubs can do without. */
	for (unsigned times = one_in(3) ? 1 + below(2) : 0; times--;) {
		unsigned n = S_SYSTEM / 8 + below((GDT_SIZE - S_SYSTEM) / 8);

		unsigned bit = one_in(4) ? below(64) : 40 + below(16);

		if (!avoids(AVOID_CONFORMING) || bit != 42)
			entries[n] ^= 1ull << bit;
	}
	w_gdt.base = ARENA + P_GDT * 4096;
	w_gdt.limit = GDT_SIZE - 1;
	w_ldt = one_in(20) ? 0 : S_LDT;
	w_tr = S_TSS;
}

static void set_idt(unsigned vector, unsigned selector, u64 offset, unsigned type,
		    unsigned dpl, unsigned ist)
{
	u64 *e = (u64 *)PAGE(P_IDT) + (long_mode() ? vector * 2 : vector);

	e[0] = gate(selector, offset, type, dpl, ist);
	if (long_mode())
		e[1] = offset >> 32;
}

const u8 *descriptor_of(u16 selector)
{
	return PAGE(P_GDT) + (selector & 4 ? 0x800 : 0) + (selector & 0xff8);
}

bool is_conforming(u16 selector)
{
	return (descriptor_of(selector)[5] & 0x1c) == 0x1c;
}

bool is_64_bit(u16 selector)
{
	return descriptor_of(selector)[6] & 0x20;
}

/* An IST. Not the first, which is the double fault's: code that goes round on the kernel's stack would
 * write over the kernel. */
static unsigned arena_stack(void)
{
	unsigned n = below(8);

	return n == 1 ? 0 : n;
}

static void make_idt(void)
{
	u64 *entries = (u64 *)PAGE(P_IDT);
	unsigned gate_words = long_mode() ? 8 : 4;

	for (unsigned n = 0; n < 512; n++)
		entries[n] = 0;
	for (unsigned n = 0; n < 64; n++) {
		u64 offset = long_mode() ? (u64)stub64 + n * STUB_SIZE : n * STUB_SIZE;

		set_idt(n, S_KCODE, offset, one_in(6) ? 15 : 14,
			n == 3 || n == 4 || n >= 32 ? 3 : 0,
			long_mode() && one_in(12) ? 2 + below(2) : 0);
	}
	if (avoids(AVOID_IRET_STACK)) /* #SS' gate differs from #NP's in the stub alone */
		((u16 *)entries)[12 * gate_words + 2] =
			((u16 *)entries)[11 * gate_words + 2];
	/* The gates that a program may use: fragments of the case. */
	for (unsigned n = 0; n < 4; n++) {
		static const u16 targets[] = { S_CODE0,	  S_CODE0, S_CODE1,
					       S_CONFORM, S_CODE2, S_CODE3 };
		u16 target = PICK(targets);
		unsigned type = one_in(2) ? 14 : 15;
		u64 offset = fragment_address(2 + (n & 1), 32);

		if (!long_mode() && one_in(6)) {
			type -= 8;
			target = S_CODE16;
			offset = fragment_address(2 + (n & 1), 16);
		}
		if (!long_mode() && one_in(10)) {
			type = 5;
			target = S_TSS2;
		}
		if (one_in(12))
			target = any_selector();
		if (avoids(AVOID_CONFORMING) && is_conforming(target))
			target = S_CODE0;
		set_idt(0x30 + n, target, offset, type, one_in(5) ? below(4) : 3,
			long_mode() && one_in(4) ? arena_stack() : 0);
		if (one_in(12))
			((u8 *)entries)[(0x30 + n) * (long_mode() ? 16 : 8) + 5] ^=
				(u8)(1 << below(8));
		if (long_mode() && one_in(20) && !avoids(AVOID_EARLY_PUSH))
			entries[(0x30 + n) * 2 + 1] ^= 1ull << below(32);
	}
	if (one_in(5)) {
		static const u8 vectors[] = { 10, 11, 12, 13 };
		unsigned v = PICK(vectors);

		set_idt(v, S_CODE0, fragment_address(4, 32), 14, 0, 0);
		if (avoids(AVOID_IRET_STACK) && (v == 11 || v == 12))
			set_idt(23 - v, S_CODE0, fragment_address(4, 32), 14, 0, 0);
	}
	if (long_mode())
		set_idt(8, S_KCODE, (u64)stub64 + 8 * STUB_SIZE, 14, 0, 1);
	else
		set_idt(8, S_DFTSS, 0, 5, 0, 0);
	w_idt.base = ARENA + P_IDT * 4096;
	w_idt.limit = (u16)((one_in(20) ? 0x32 : 0x38) * (long_mode() ? 16 : 8) - 1);
}

/* ---- TSS ------------------------------------------------------------------------------------- */

static u32 *tss32(unsigned page, unsigned offset)
{
	return (u32 *)(PAGE(page) + offset);
}

/* A stack pointer of an inner ring, as a linear address or an offset for 16-bit data. */
static u64 inner_stack_top(void)
{
	u64 sp = window + P_KSTACK * 4096 + 8192 - below(64) * 8;

	if (one_in(10))
		sp = window + P_KSTACK * 4096 + 4096 + below(9) * 4; /* over an edge */
	/* Not with SMAP: the manuals do not say whether AC opens the user's pages to these pushes. */
	if (one_in(20) && !(w_cr4 & 1 << 21))
		sp = any_address();
	return avoids(AVOID_FAR_STACK) && long_mode() ? canonical(sp) : sp;
}

static void make_task(u32 *t, unsigned n)
{
	static const u16 codes[] = { S_CODE0, S_CODE0, S_CODE3, S_CODE1 };
	u16 cs = PICK(codes);
	unsigned ring = cs == S_CODE0 ? 0 : cs == S_CODE3 ? 3 : 1;

	for (unsigned i = 0; i < 26; i++)
		t[i] = (u32)any_address();
	t[0] = one_in(4) ? S_TSS : 0;
	for (unsigned i = 0; i < 3; i++) {
		t[1 + 2 * i] = (u32)inner_stack_top();
		t[2 + 2 * i] = (S_DATA0 + (i ? 0x18u + 16 * (i - 1) - 8 : 0)) | i;
	}
	t[2] = S_DATA0;
	t[4] = S_DATA1 | 1;
	t[6] = S_DATA2 | 2;
	t[7] = (u32)w_cr3;
	t[8] = (u32)(window + fragment[n].offset);
	t[9] = 2 | (one_in(6) ? below(0x1000) << 4 & 0x7cd5 : 0) |
	       (one_in(20) ? 1u << 17 : 0);
	t[14] = (u32)(window + P_STACK * 4096 + 8192 - 64);
	cs |= one_in(10) && !avoids(AVOID_TASK_STACK) ? below(4) : ring;
	for (unsigned i = 18; i < 24; i++)
		t[i] = ring ? S_DATA3 | ring : S_DATA0;
	if (ring == 1)
		t[20] = S_DATA1 | 1;
	if (one_in(3))
		t[18 + below(6)] = any_selector();
	if (avoids(AVOID_TASK_STACK))
		t[20] = ring == 3 ? S_DATA3 | 3 : ring == 1 ? S_DATA1 | 1 : S_DATA0;
	t[19] = cs;
	if (avoids(AVOID_TASK_FAULT) && (descriptor_of(cs)[5] | 1) != (0x9b | ring << 5))
		t[18] = t[21] = t[22] = t[23] = 0;
	t[24] = one_in(3) ? S_LDT : 0;
	t[25] = (one_in(10) ? 1 : 0) | 104u << 16;
}

static void make_tss(void)
{
	u8 *main_tss = PAGE(P_TSS) + 0xf00;

	for (unsigned n = 0; n < 0x800; n += 8)
		*(u64 *)(main_tss + n) = 0;
	if (long_mode()) {
		for (unsigned n = 0; n < 3; n++)
			*(u64 *)(main_tss + 4 + 8 * n) = inner_stack_top();
		*(u64 *)(main_tss + 36) = (u64)df_stack_top;
		for (unsigned n = 1; n < 7; n++)
			*(u64 *)(main_tss + 36 + 8 * n) = inner_stack_top();
	} else {
		make_task((u32 *)main_tss, 0);
		if (((u8 *)PAGE(P_GDT))[S_TSS + 5] ==
		    0x81) { /* 16-bit: SP and SS in words */
			u16 *t = (u16 *)main_tss;

			for (unsigned n = 0; n < 3; n++) {
				t[1 + 2 * n] =
					(u16)(P_KSTACK * 4096 + 8192 - below(64) * 2);
				t[2 + 2 * n] =
					(u16)((n ? n == 1 ? S_DATA1 : S_DATA2 : S_DATA0) |
					      n);
			}
		}
		make_task(tss32(P_TSS2, 0), 5);
		for (unsigned n = 0; n < 26; n++)
			((u32 *)df_tss)[n] = 0;
		((u32 *)df_tss)[7] = (u32)w_cr3;
		((u32 *)df_tss)[8] = 8 * STUB_SIZE;
		((u32 *)df_tss)[9] = 2;
		((u32 *)df_tss)[14] = (u32)(u64)df_stack_top;
		((u32 *)df_tss)[19] = S_KCODE;
		for (unsigned n = 18; n < 24; n++)
			if (n != 19)
				((u32 *)df_tss)[n] = S_KDATA;
	}
	/* The permission map's bits from 0x100 on; ports 0x80-0x9f are asked about. */
	*(u16 *)(main_tss + 102) = (u16)(one_in(6) ? below(0x180) : 0x100 - 8);
	for (unsigned n = 0; n < 64; n++)
		main_tss[0x100 - 8 + n] = one_in(3) ? (u8)random64() : 0;
}

/* ---- registers ------------------------------------------------------------------------------- */

static void make_control(void)
{
	u64 cr4 = 0;

	w_cr0 = 0x11 | (kind != KIND_FLAT ? 1ull << 31 : 0);
	w_cr0 |= one_in(2) ? 1 << 16 : 0; /* WP */
	w_cr0 |= one_in(2) ? 0x22 : 0;	  /* NE MP */
	w_cr0 |= one_in(4) ? 1 << 18 : 0; /* AM */
	w_cr0 |= one_in(10) ? 8 : 0;	  /* TS */
	w_cr0 |= one_in(20) ? 4 : 0;	  /* EM */
	w_cr0 |= 0x20;
	cr4 |= one_in(2) ? 1 << 7 : 0;			       /* PGE */
	cr4 |= one_in(4) ? 1 << 20 : 0;			       /* SMEP */
	cr4 |= one_in(4) ? 1 << 21 : 0;			       /* SMAP */
	cr4 |= one_in(4) ? 1 << 2 : 0;			       /* TSD */
	cr4 |= one_in(4) ? 1 << 3 : 0;			       /* DE */
	cr4 |= one_in(4) && !avoids(AVOID_UMIP) ? 1 << 11 : 0; /* UMIP */
	cr4 |= one_in(2) ? 1 << 16 : 0;			       /* FSGSBASE */
	cr4 |= one_in(10) ? 0 : 1 << 9;			       /* OSFXSR */
	cr4 |= one_in(4) ? 0 : 1 << 10;			       /* OSXMMEXCPT */
	cr4 |= one_in(6) ? 0 : 1 << 18;			       /* OSXSAVE */
	if (long_mode() || kind == KIND_PAE || kind == KIND_PAE16)
		cr4 |= 1 << 5;
	else if (one_in(2))
		cr4 |= 1 << 4; /* PSE */
	if (kind == KIND_V86 && (cr4 & 0))
		cr4 |= 1;
	w_cr4 = cr4;
	w_efer = (long_mode() ? 0x100 : 0) | (one_in(6) ? 0 : 1) |
		 (one_in(6) ? 0 : 0x800);
	w_xcr0 = one_in(8) ? 3 : one_in(16) ? 1 : 7;
}

static void make_msrs(void)
{
	static const u32 indexes[MSR_COUNT] = { 0xc0000081, 0xc0000082, 0xc0000083,
						0xc0000084, 0x174,	0x175,
						0x176,	    0xc0000102 };
	u64 v[MSR_COUNT];
	u64 entry = fragment_address(3, 32);

	v[0] = (u64)(one_in(8) ? any_selector() : S_SYSTEM) << 32 |
	       (u64)(one_in(8) ? any_selector() : S_USER | 3) << 48 | (u32)entry;
	v[1] = entry;
	v[2] = entry;
	v[3] = one_in(2) ? 0x4700 : random64() & 0x7ffff;
	if (avoids(AVOID_SYSCALL_TF))
		v[3] &= ~0x100ull;
	v[4] = one_in(6) ? 0 : S_SYSTEM;
	v[5] = inner_stack_top();
	v[6] = entry;
	v[7] = one_in(3) ? any_address() & 0x7fffffffffff : window;
	for (unsigned n = 5; n < 8; n++)
		v[n] = (u64)((long)(v[n] << 16) >> 16);
	for (unsigned n = 0; n < MSR_COUNT; n++) {
		w_msr[n].index = indexes[n];
		w_msr[n].value = v[n];
	}
}

static void make_fpu(void)
{
	for (unsigned n = 0; n < sizeof w_fpu; n += 8)
		*(u64 *)(w_fpu + n) = 0;
	*(u16 *)w_fpu = one_in(3) ? (u16)(0x0340 | below(64) | below(4) << 10) : 0x37f;
	*(u32 *)(w_fpu + 24) = one_in(3) ? 0x1f80 & (u32)random64() : 0x1f80;
	for (unsigned n = 0; n < 8; n++) {
		u8 *st = w_fpu + 32 + 16 * n;

		*(u64 *)st = random64() | 1ull << 63;
		*(u16 *)(st + 8) = (u16)(0x3ff0 + below(32));
	}
	w_fpu[4] = one_in(2) ? 0 : (u8)random64(); /* tags */
	for (unsigned n = 160; n < 416; n += 8)
		*(u64 *)(w_fpu + n) = one_in(2) ? random64() : below(200);
	for (unsigned n = 576; n < 832; n += 8)
		*(u64 *)(w_fpu + n) = random64();
	*(u64 *)(w_fpu + 512) = 7;
}

static void make_start(void)
{
	u16 cs, ss, data;
	u64 sp = window + P_STACK * 4096 + 4096 + below(0x80) * 8,
	    ip = fragment_address(0, code_bits);
	u64 flags = 2 | below(4) << 12;

	switch (start_cpl) {
	case 0:
		cs = S_CODE0, ss = S_DATA0;
		break;
	case 1:
		cs = S_CODE1, ss = S_DATA1;
		break;
	case 2:
		cs = S_CODE2, ss = S_DATA2;
		break;
	default:
		cs = S_CODE3, ss = S_DATA3;
	}
	data = S_DATA3 | 3;
	if (code_bits == 16) {
		cs = S_CODE16;
		ss = data = S_DATA16;
		sp -= window;
	} else if (kind == KIND_COMPAT && start_cpl != 3) {
		cs = S_RANDOM; /* the fixed ones are 64-bit */
		set_gdt(cs, flat_code(start_cpl, false));
	}
	if (one_in(16))
		sp = any_address();
	if (code_bits == 16 && sp < 64 && avoids(AVOID_WRAPPED_FRAME))
		sp += 64;
	if (one_in(30))
		sp &= ~0xfffull;
	cs = (u16)(cs | start_cpl);
	ss = (u16)(ss | start_cpl);
	if (one_in(60))
		cs = any_selector();
	if (one_in(40))
		ss = stack_selector(
			any_selector() &
			0xfffb); /* the LDT may fault before or after RPL does */
	if (one_in(3))
		flags |= random64() & 0xcd5;
	if (one_in(8))
		flags |= 1 << 18; /* AC */
	if (one_in(20))
		flags |= 1 << 14; /* NT */
	if (one_in(12))
		flags |= 0x200;
	if (long_mode() && one_in(8))
		flags |= 0x100; /* TF */
	if (long_mode() && one_in(20))
		flags |= 1 << 16; /* RF */
	w_ds = one_in(3) ? any_selector() : data;
	w_es = one_in(3) ? any_selector() : data;
	w_fs = one_in(3) ? any_selector() : data;
	w_gs = one_in(3) ? any_selector() : data;
	/* A selector that cannot be loaded would end the case: it is left to the code. */
	if (!one_in(40)) {
		u16 *s[] = { &w_ds, &w_es, &w_fs, &w_gs };

		for (unsigned n = 0; n < 4; n++) {
			u64 d = *(u64 *)(PAGE(P_GDT) + (*s[n] & 4 ? 0x800 : 0) +
					 (*s[n] & 0xfff8));

			if ((*s[n] & ~3) != 0 &&
			    ((d >> 44 & 1) == 0 || (d >> 47 & 1) == 0 ||
			     (d >> 40 & 10) == 8 || (*s[n] & 4 && (*s[n] >> 3) > 9)))
				*s[n] = data;
		}
	}
	w_fs_base = long_mode() && one_in(2) ? window : 0;
	w_gs_base = long_mode() && one_in(2) ? window + 0x1000 : 0;
	w_frame[0] = ip;
	w_frame[1] = cs;
	w_frame[2] = flags;
	w_frame[3] = sp;
	w_frame[4] = ss;
	w_v86 = kind == KIND_V86;
	w_legacy = !long_mode();
	w_inner = w_legacy && !w_v86 && (cs & 3) == 0;
	if (w_v86) {
		static const u16 segments[] = { WIN_V86 >> 4, WIN_V86 >> 4,
						(WIN_V86 >> 4) + 0x100, 0x4fff };

		flags |= 1 << 17;
		cs = ss = WIN_V86 >> 4;
		w_frame32[5] = PICK(segments);
		w_frame32[6] = PICK(segments);
		w_frame32[7] = PICK(segments);
		w_frame32[8] = PICK(segments);
	}
	w_frame32[0] = w_far32[0] = (u32)ip;
	w_frame32[1] = w_far32[1] = cs;
	w_frame32[2] = w_flags32 = (u32)flags & (w_inner ? ~0x4100u : ~0u);
	w_frame32[3] = (u32)sp;
	w_frame32[4] = ss;
	for (unsigned n = 0; n < 16; n++)
		w_gpr[n] = n == AX || n == CX || n == DX
				   ? random64() & (one_in(2) ? 0xffffffffffffffff : 0xff)
				   : any_address();
	/* Upper halves are 64-bit code's; in other modes what becomes of them is left open. */
	for (unsigned n = 0; n < 16 && kind != KIND_LONG; n++)
		w_gpr[n] = (u32)w_gpr[n];
	if (avoids(AVOID_AC_FIRST) && (w_cr0 & 1 << 18))
		for (unsigned n = 3; n < 16; n++)
			w_gpr[n] = canonical(w_gpr[n]);
	if (one_in(2))
		w_gpr[CX] = below(20);
	/* Not what the stubs' delivery reads: that would never end. */
	for (unsigned n = 0; n < 4; n++) {
		w_dr[n] = window + fragment[0].offset + below(20);
		if (one_in(2))
			w_dr[n] = window + below(4) * 4096 + below(2) * 4088 + below(16);
		else if (one_in(4))
			w_dr[n] = window + (P_STACK + below(4)) * 4096 + below(512) * 8;
	}
	if (!long_mode())
		for (unsigned n = 0; n < 4; n++)
			w_dr[n] = (u32)w_dr[n];
	else
		for (unsigned n = 0; n < 4; n++)
			w_dr[n] = (u64)((long)(w_dr[n] << 16) >> 16);
	w_dr[6] = 0xffff0ff0;
	w_dr[7] = 0x400;
	if (one_in(8)) {
		u32 n = below(4);

		w_dr[7] |= 3u << 2 * n;
		w_dr[7] |= (one_in(2) ? below(3) + 1 + 4 * below(4) : 0) << (16 + 4 * n);
		if (long_mode() && one_in(10) &&
		    (start_cpl == 0 || !avoids(AVOID_GENERAL_DETECT)))
			w_dr[7] |= 0x2000; /* GD */
	}
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void make_data(void)
{
	for (unsigned n = 0; n < 16; n++) {
		u64 *p = (u64 *)PAGE(n), v;

		if (n >= P_GDT && n <= P_TSS2)
			continue;
		v = random64();
		for (unsigned i = 0; i < 512; i++) {
			v = v * 6364136223846793005ull + 1442695040888963407ull;
			p[i] = v;
			/* Without paging every address is somewhere: let it be in the arena. */
			if (n == P_CODE || n == P_KCODE)
				p[i] = 0xcccccccccccccccc; /* who strays is stopped by INT3 */
			else if (kind == KIND_FLAT)
				p[i] = (v & 0x1ffff0001ffff) | ARENA << 32 | ARENA;
		}
	}
	/* Far pointers and frames where the stack and the base registers point. */
	for (unsigned n = 0; n < 40; n++) {
		u8 *at = PAGE(one_in(2) ? 0 : P_STACK) + below(0x300) * 8 +
			 (one_in(2) ? 0 : 0x800);
		unsigned size = long_mode() && one_in(2) ? 8
				: one_in(4)		 ? 2
							 : 4,
			 bits = size == 2 ? 16 : 32;
		static const u8 forward[] = { 5, 6, 7 };
		/* The second may be taken for an SS as well. */
		u64 words[5] = { fragment_address(PICK(forward), bits),
				 stack_selector(any_selector()),
				 2 | (random64() & (one_in(3) ? 0x47fd5 : 0xcd5)),
				 any_address(), stack_selector(any_selector()) };

		for (unsigned i = 0; i < 5; i++)
			for (unsigned b = 0; b < size; b++)
				at[i * size + b] = (u8)(words[i] >> 8 * b);
	}
}

void make_world(void)
{
	u64 user;

	kind = one_in(3) ? KIND_LONG : below(KIND_COUNT);
	start_cpl = one_in(2) ? 3 : one_in(2) ? 0 : below(4);
	code_bits = kind == KIND_LONG ? 64
		    : kind == KIND_COMPAT16 || kind == KIND_PAE16 || kind == KIND_V86
			    ? 16
			    : 32;
	if (kind == KIND_V86)
		start_cpl = 3;
	window = kind == KIND_FLAT ? ARENA : kind == KIND_V86 ? WIN_V86 : WIN_MAIN;
	x87_case = one_in(2);
	tss_in_window = kind != KIND_FLAT && kind != KIND_V86 && one_in(8);
	clear(0, 16);
	user = start_cpl == 3 ? 0xc0df : one_in(4) ? 0xf : 0;
	opened = false;
	make_control();
	if (long_mode())
		paging_long(user);
	else if (kind == KIND_PAE || kind == KIND_PAE16)
		paging_pae(user);
	else if (kind != KIND_FLAT)
		paging_32(user);
	else
		w_cr3 = 0;
	if (opened && avoids(AVOID_SMAP_PUSH))
		w_cr4 &= ~(1ull << 21);
	place_fragments();
	make_data();
	make_gdt();
	make_idt();
	make_tss();
	make_msrs();
	make_fpu();
	make_start();
	fill_fragments();
}
