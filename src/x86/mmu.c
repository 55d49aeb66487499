/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Page walk, software TLB, numbers of address spaces, fetch. SDM volume 3, chapter 4; memory.c
 * stands on this. Thread: the VP's.
 *
 * Address spaces
 *	A TLB tag holds a number (1-1023), not CR3. A CR3 load takes a new number, or with CR4.PCIDE and bit
 *	63 the one that the PCID had if its table is still the same. What was entered under older
 *	numbers can never hit again. When the numbers run out everything is flushed.
 *
 *	With CR4.PGE the supervisor has a number for itself, KERNEL_SPACE, whatever CR3 is. What is entered under it
 *	and is not global (the kernel at a user's page, as a rule) is noted and forgotten at the next
 *	CR3 load. A kernel that keeps its own pages from being global (page-table isolation) would
 *	lose them at each: when its code is seen to be such, the supervisor goes back to the number of the
 *	address space until everything is flushed. In user mode global pages are entered under the address space's
 *	number, so they are forgotten earlier than they must be, never later.
 *
 *	32-bit code under a 64-bit system (compatibility mode) has a number of its own beside the one
 *	of its address space: under a number that code outside of 64-bit mode uses there must be no page
 *	above 4 GiB (cpu.h, x86_decode_flat).
 *
 * The jump cache (RIP -> block) is valid for a key of mode, number and a generation; INVLPG of a page
 * that code was fetched from starts a new generation, for RIPs with bit 63 or for those without.
 */
#include "x86/mmu.h"

#include <errno.h>

#include "base/reserve.h"
#include "x86/cache.h"

#define SPACE_MAX 1023
#define PHYS_COUNT 512
#define FETCH_COUNT 1024
#define EXEC_BITS 8192
#define LARGE_2M_BITS 4096
#define LARGE_1G_BITS 1024

#define KERNEL_SPACE 1

/* Page-table entry bits. */
#define PTE_P BIT64(0)
#define PTE_W BIT64(1)
#define PTE_U BIT64(2)
#define PTE_A BIT64(5)
#define PTE_D BIT64(6)
#define PTE_PS BIT64(7)
#define PTE_G BIT64(8)
#define PTE_NX BIT64(63)

#define PF_P 1u
#define PF_W 2u
#define PF_U 4u
#define PF_RSVD 8u
#define PF_I 16u

#define CR0_PG BIT64(31)
#define CR0_WP BIT64(16)
#define CR0_AM BIT64(18)
#define CR4_PSE BIT64(4)
#define CR4_PAE BIT64(5)
#define CR4_PGE BIT64(7)
#define CR4_PCIDE BIT64(17)
#define CR4_SMEP BIT64(20)
#define CR4_SMAP BIT64(21)
#define EFER_LMA BIT64(10)
#define EFER_NXE BIT64(11)

struct x86_mmu {
	u32 space; /* number now in force */
	u32 next_space;
	u32 generation[2]; /* of the jump cache; RIPs with bit 63 in [1] */
	bool shared;	   /* the supervisor's number is KERNEL_SPACE */
	u64 local[2 * X86_TLB_COUNT / 64]; /* entries of KERNEL_SPACE that are not global */
	u64 code_base;			   /* of CS: what its RIPs are offsets from */
	u64 pdpte[4];
	struct {
		u64 root;   /* CR3 without PCID */
		u32 space;  /* 0: none */
		u32 compat; /* number of compatibility mode, 0: none yet */
	} pcid[4096];
	struct {
		gpa_t gpa; /* of the page, | 1 when valid */
		struct x86_page page;
	} phys[PHYS_COUNT];
	struct {
		u64 tag;
		struct x86_fetch fetch;
	} fetch[FETCH_COUNT];
	u64 exec[2][EXEC_BITS /
		    64]; /* pages that the jump cache may hold, hashed; by bit 63 */
	/* Where fragments of large pages are, hashed: regions of 2 MiB; regions of 1 GiB. */
	u64 large[LARGE_2M_BITS / 64];
	u64 huge[LARGE_1G_BITS / 64];
	struct x86_split split;
	struct x86_written written;
};

/* A translation. */
struct walk {
	gpa_t gpa;
	bool may_write; /* for the privilege that asked */
	bool dirty;	/* D is set */
	unsigned shift; /* of the page's size */
	bool global;
};

enum walk_result { WALK_OK, WALK_FAULT, WALK_AGAIN };

static enum walk_result walk(struct x86_cpu *c, gva_t a, unsigned access, struct walk *w,
			     u32 *ret_code);
static enum walk_result walk_32(struct x86_cpu *c, gva_t a, unsigned access,
				struct walk *w, u32 *ret_code);
static bool allowed(const struct x86_cpu *c, unsigned access, bool rw, bool us, bool nx);
static u64 pte_read(struct x86_cpu *c, gpa_t at, unsigned size);
static bool pte_set(struct x86_cpu *c, gpa_t at, unsigned size, u64 old, u64 bits);
static void walk_or_raise(struct x86_cpu *c, const struct x86_insn *i, gva_t a,
			  unsigned access, struct walk *w);
static void new_space(struct x86_cpu *c);
static void forget_translations(struct x86_cpu *c);
static void forget_local(struct x86_cpu *c);
static void keys_changed(struct x86_cpu *c);
static void jump_keys_changed(struct x86_cpu *c);

/* For pages that are writable memory but not tracked. */
static _Atomic u8 never_code;

int x86_mmu_new(struct x86_cpu *c)
{
	struct x86_mmu *m = memory_reserve(sizeof(*m));

	if (!m)
		return -ENOMEM;
	c->mmu = m;
	forget_translations(c);
	return 0;
}

void x86_mmu_free(struct x86_cpu *c)
{
	memory_release(c->mmu, sizeof(*c->mmu));
	c->mmu = NULL;
}

struct x86_split *x86_mmu_split(struct x86_cpu *c)
{
	return &c->mmu->split;
}

struct x86_written *x86_mmu_written(struct x86_cpu *c)
{
	return &c->mmu->written;
}

/* ---- keys and flushes ------------------------------------------------------------------------ */

/* The number to look up under in the mode that c->mode says. */
static u32 space_now(struct x86_cpu *c)
{
	struct x86_mmu *m = c->mmu;

	if (c->mode & X86_MODE_LONG || !(c->s.efer & EFER_LMA))
		return m->shared && c->cpl != 3 ? KERNEL_SPACE : m->space;

	unsigned pcid = c->s.cr4 & CR4_PCIDE ? c->s.cr3 & 0xfff : 0;

	if (!m->pcid[pcid].compat) {
		if (m->next_space > SPACE_MAX) {
			forget_translations(c);
			m->pcid[pcid].root = c->s.cr3 & ~0xfffull;
			m->pcid[pcid].space = m->space;
		}
		m->pcid[pcid].compat = m->next_space++;
	}
	return m->pcid[pcid].compat;
}

u64 x86_tlb_key(struct x86_cpu *c)
{
	unsigned privilege = 0;
	u32 space = space_now(c);

	jump_keys_changed(c);
	if (c->cpl == 3)
		privilege = c->s.cr0 & CR0_AM && c->eflags & X86_AC_FLAG ? 3 : 2;
	else if (c->s.cr4 & CR4_SMAP && !(c->eflags & X86_AC_FLAG))
		privilege = 1;
	return (u64)space << 2 | privilege;
}

/* Code with bit 63 is the same in all address spaces, for this privilege. */
static bool code_is_shared(const struct x86_cpu *c)
{
	return c->mmu->shared && c->mode & X86_MODE_LONG && c->cpl != 3;
}

/* Nothing in the jump cache holds any more whose RIP has this bit 63. The caller sets the keys. */
static void new_generation(struct x86_cpu *c, unsigned half)
{
	struct x86_mmu *m = c->mmu;

	memset(m->exec[half], 0, sizeof(m->exec[half]));
	if (++m->generation[half] == 0) /* wrapped: entries of 2^32 ago would hit */
		memset(c->jump, 0, sizeof(c->jump));
}

static void jump_keys_changed(struct x86_cpu *c)
{
	struct x86_mmu *m = c->mmu;

	/* Entries are by RIP: another base of CS, other code. */
	if (c->seg_base[SEG_CS] != m->code_base) {
		m->code_base = c->seg_base[SEG_CS];
		new_generation(c, 0);
		new_generation(c, 1);
	}
	/* Single steps go through the run loop: no entry has this key. */
	if (c->mode & X86_MODE_STEP) {
		c->jump_keys[0] = c->jump_keys[1] = ~0ull;
		return;
	}
	const u32 supervisor = code_is_shared(c) ? KERNEL_SPACE : m->space;

	c->jump_keys[0] = (u64)m->generation[0] << 32 | m->space << 16 | c->mode;
	c->jump_keys[1] = (u64)m->generation[1] << 32 | supervisor << 16 | c->mode;
}

unsigned x86_access_now(const struct x86_cpu *c, u64 *ret_key)
{
	*ret_key = c->key;
	switch (c->key & 3) {
	case 0:
		return 0;
	case 1:
		return X86_ACCESS_SMAP;
	default:
		*ret_key = (c->key & ~3ull) | 2;
		return X86_ACCESS_USER;
	}
}

unsigned x86_access_system(const struct x86_cpu *c, u64 *ret_key)
{
	bool smap = c->s.cr4 & CR4_SMAP;

	*ret_key = (u64)(c->mmu->shared ? KERNEL_SPACE : c->mmu->space) << 2 | smap;
	return smap ? X86_ACCESS_SMAP : 0;
}

void x86_cr3_changed(struct x86_cpu *c, bool keep)
{
	struct x86_mmu *m = c->mmu;
	bool pcids = c->s.cr4 & CR4_PCIDE;
	unsigned pcid = pcids ? c->s.cr3 & 0xfff : 0;
	u64 root = c->s.cr3 & ~0xfffull;

	forget_local(c);
	if (pcids && keep && m->pcid[pcid].space && m->pcid[pcid].root == root) {
		m->space = m->pcid[pcid].space;
	} else {
		new_space(c);
		m->pcid[pcid].root = root;
		m->pcid[pcid].space = m->space;
		m->pcid[pcid].compat = 0;
	}
	x86_mode_changed(c);
}

/* Go on under a number that nothing was entered under. The caller sets the keys. */
static void new_space(struct x86_cpu *c)
{
	struct x86_mmu *m = c->mmu;

	if (m->next_space > SPACE_MAX)
		forget_translations(c);
	m->space = m->next_space++;
}

/* What remembers a page of the TLB by itself, a translated loop, must forget it. */
static void entries_taken_out(struct x86_cpu *c)
{
	c->flushes += 4096;
	x86_stack_forget(c, 0);
	x86_stack_forget(c, 1);
}

static void entry_empty(struct x86_tlb_entry *e)
{
	e->read_tag = e->write_tag = X86_TAG_NONE;
}

static const struct x86_tlb_large no_large = {
	.read_tag = X86_TAG_NONE,
	.write_tag = X86_TAG_NONE,
	.quiet_tag = X86_TAG_NONE,
};

static void large_empty(struct x86_cpu *c)
{
	for (unsigned part = 0; part < X86_TLB_PARTS; part++)
		for (unsigned n = 0; n < X86_TLB_LARGE_COUNT; n++)
			c->large[part][n] = no_large;
}

static bool is_kernel_space(u64 key)
{
	return (key & 0xfff) >> 2 == KERNEL_SPACE;
}

/* What a CR3 load forgets of KERNEL_SPACE. */
static void forget_local(struct x86_cpu *c)
{
	struct x86_mmu *m = c->mmu;

	entries_taken_out(c);
	for (unsigned word = 0; word < ARRAY_COUNT(m->local); word++) {
		for (; m->local[word]; m->local[word] &= m->local[word] - 1) {
			unsigned n =
				word * 64 + (unsigned)__builtin_ctzll(m->local[word]);

			entry_empty(&c->tlb[n / X86_TLB_COUNT][n % X86_TLB_COUNT]);
		}
	}
}

/* Empty everything; all numbers are free again, the present one is the first. */
static void forget_translations(struct x86_cpu *c)
{
	struct x86_mmu *m = c->mmu;

	entries_taken_out(c);
	for (unsigned part = 0; part < X86_TLB_PARTS; part++)
		for (unsigned n = 0; n < X86_TLB_COUNT; n++)
			entry_empty(&c->tlb[part][n]);
	large_empty(c);
	for (unsigned n = 0; n < FETCH_COUNT; n++)
		m->fetch[n].tag = X86_TAG_NONE;
	for (unsigned n = 0; n < ARRAY_COUNT(m->pcid); n++)
		m->pcid[n].space = m->pcid[n].compat = 0;
	memset(m->large, 0, sizeof(m->large));
	memset(m->huge, 0, sizeof(m->huge));
	memset(m->local, 0, sizeof(m->local));
	m->space = KERNEL_SPACE + 1;
	m->next_space = m->space + 1;
	m->shared = c->s.cr4 & CR4_PGE;
	new_generation(c, 0);
	new_generation(c, 1);
}

static void keys_changed(struct x86_cpu *c)
{
	x86_key_set(c, (u64)space_now(c) << 2 | (c->key & 3));
	jump_keys_changed(c);
}

void x86_tlb_flush_all(struct x86_cpu *c)
{
	struct x86_mmu *m = c->mmu;
	unsigned pcid = c->s.cr4 & CR4_PCIDE ? c->s.cr3 & 0xfff : 0;

	forget_translations(c);
	m->pcid[pcid].root = c->s.cr3 & ~0xfffull;
	m->pcid[pcid].space = m->space;
	keys_changed(c);
}

void x86_tlb_flush_space(struct x86_cpu *c, u64 cr3)
{
	struct x86_mmu *m = c->mmu;
	bool pcids = c->s.cr4 & CR4_PCIDE;
	unsigned pcid = pcids ? cr3 & 0xfff : 0;
	bool present = !pcids || pcid == (c->s.cr3 & 0xfff);

	m->pcid[pcid].space = m->pcid[pcid].compat = 0;
	if (!present)
		return;
	forget_local(c);
	new_space(c);
	m->pcid[pcid].root = c->s.cr3 & ~0xfffull;
	m->pcid[pcid].space = m->space;
	keys_changed(c);
}

static unsigned exec_bit(u64 page)
{
	return (unsigned)(page ^ page >> 12) & (EXEC_BITS - 1);
}

static unsigned large_bit(u64 a)
{
	u64 region = a >> 21;

	return (unsigned)(region ^ region >> 12) & (LARGE_2M_BITS - 1);
}

static unsigned huge_bit(u64 a)
{
	u64 region = a >> 30;

	return (unsigned)(region ^ region >> 10) & (LARGE_1G_BITS - 1);
}

static unsigned large_index(u64 a)
{
	return (unsigned)(a >> 21) & (X86_TLB_LARGE_COUNT - 1);
}

static bool bit_of(const u64 *bits, unsigned n)
{
	return bits[n / 64] >> n % 64 & 1;
}

static void bit_set(u64 *bits, unsigned n)
{
	bits[n / 64] |= BIT64(n % 64);
}

/* A fragment of a page of 2 MiB or more has been entered. 4 MiB are treated as 1 GiB. */
static void note_large(struct x86_mmu *m, gva_t a, unsigned shift)
{
	if (shift == 21)
		bit_set(m->large, large_bit(a));
	else if (shift > 21)
		bit_set(m->huge, huge_bit(a));
}

/* Pages first to last, if they are in entries e[first] to e[last]. */
static void part_forget(struct x86_tlb_entry *part, u64 first, u64 last)
{
	u64 count = last - first < X86_TLB_COUNT ? last - first + 1 : X86_TLB_COUNT;

	for (u64 n = first; n < first + count; n++) {
		struct x86_tlb_entry *e = &part[n & (X86_TLB_COUNT - 1)];

		if (e->read_tag >> 12 >= first && e->read_tag >> 12 <= last)
			e->read_tag = X86_TAG_NONE;
		if (e->write_tag >> 12 >= first && e->write_tag >> 12 <= last)
			e->write_tag = X86_TAG_NONE;
	}
}

void x86_tlb_flush_page(struct x86_cpu *c, gva_t a)
{
	struct x86_mmu *m = c->mmu;
	u64 first = a >> 12, last = first;

	/* INVLPG of a large page forgets all of it. */
	if (bit_of(m->huge, huge_bit(a))) {
		first &= ~0x3ffffull;
		last = first + 0x3ffff;
	} else if (bit_of(m->large, large_bit(a))) {
		first &= ~0x1ffull;
		last = first + 0x1ff;
	}
	u64 count = last - first + 1;

	entries_taken_out(c);
	for (unsigned part = 0; part < X86_TLB_PARTS; part++) {
		part_forget(c->tlb[part], first, last);
		c->large[part][large_index(a)] = no_large;
	}
	if (bit_of(m->huge, huge_bit(a)))
		large_empty(c);
	for (u64 n = 0; n < (count < FETCH_COUNT ? count : FETCH_COUNT); n++) {
		u64 *tag = &m->fetch[(first + n) & (FETCH_COUNT - 1)].tag;

		if (*tag >> 12 >= first && *tag >> 12 <= last)
			*tag = X86_TAG_NONE;
	}
	if (count > 1 || bit_of(m->exec[a >> 63], exec_bit(first))) {
		new_generation(c, a >> 63);
		jump_keys_changed(c);
	}
}

void x86_tlb_invpcid(struct x86_cpu *c, unsigned type, u16 pcid, gva_t a)
{
	switch (type) {
	case 0:
		x86_tlb_flush_page(c, a);
		break;
	case 1:
		x86_tlb_flush_space(c, pcid);
		break;
	default:
		x86_tlb_flush_all(c);
	}
}

void x86_mmu_map_changed(struct x86_cpu *c)
{
	memset(c->mmu->phys, 0, sizeof(c->mmu->phys));
	x86_tlb_flush_all(c);
}

void x86_tlb_drop_write_rights(struct x86_cpu *c)
{
	entries_taken_out(c);
	for (unsigned part = 0; part < X86_TLB_PARTS; part++)
		for (unsigned n = 0; n < X86_TLB_COUNT; n++)
			c->tlb[part][n].write_tag = X86_TAG_NONE;
	/* They are made where nothing is logged. */
	large_empty(c);
}

/* ---- translation ------------------------------------------------------------------------------ */

const struct x86_page *x86_physical_page(struct x86_cpu *c, gpa_t gpa)
{
	struct x86_mmu *m = c->mmu;
	gpa_t page = gpa & ~0xfffull;
	unsigned n = (unsigned)(page >> 12) & (PHYS_COUNT - 1);

	if (m->phys[n].gpa != (page | 1)) {
		struct x86_page p = { 0 };

		c->bus->resolve(c->bus_vp, page, &p);
		m->phys[n].page = p;
		m->phys[n].gpa = page | 1;
	}
	return &m->phys[n].page;
}

/* The 2 MiB around `a`, if they are such that translated code may do without asking us. */
static void enter_large(struct x86_cpu *c, gva_t a, u64 key, const struct walk *w)
{
	const u64 within = X86_LARGE_SIZE - 1;
	const struct x86_page *page = x86_physical_page(c, w->gpa & ~within);
	struct x86_tlb_large *e = &c->large[x86_tlb_part(key)][large_index(a)];
	const bool write = w->dirty && w->may_write && page->writable;
	const bool watched = c->s.dr7 & 0xff;

	if (page->span < X86_LARGE_SIZE || page->ram_page % 512 || page->dirty ||
	    watched || (is_kernel_space(key) && !w->global))
		return;
	*e = no_large;
	e->read_tag = (a & ~within) | key;
	e->addend = (u64)(uintptr_t)page->host - (a & ~within);
	e->code = page->code;
	e->any_code = &c->vm->any_code[page->ram_page / 512];
	if (!write)
		return;
	e->write_tag = e->read_tag;
	if (!atomic_load(e->any_code))
		e->quiet_tag = e->read_tag;
}

void x86_tlb_not_quiet(struct x86_cpu *c, const _Atomic u8 *any_code)
{
	for (unsigned part = 0; part < X86_TLB_PARTS; part++)
		for (unsigned n = 0; n < X86_TLB_LARGE_COUNT; n++)
			if (c->large[part][n].any_code == any_code)
				c->large[part][n].quiet_tag = X86_TAG_NONE;
}

void x86_translate(struct x86_cpu *c, const struct x86_insn *i, gva_t a, unsigned access,
		   u64 key, struct x86_place *ret_place)
{
	struct walk w;

	if (!(c->s.efer & EFER_LMA))
		a = (u32)a;
	c->tlb_misses++;
	walk_or_raise(c, i, a, access, &w);

	const struct x86_page *page = x86_physical_page(c, w.gpa);

	ret_place->gpa = w.gpa;
	ret_place->page = *page;
	ret_place->host = page->host ? page->host + (a & 0xfff) : NULL;
	if (!page->host || x86_page_watched(c, a))
		return;

	unsigned part = x86_tlb_part(key), n = (unsigned)(a >> 12) & (X86_TLB_COUNT - 1);
	struct x86_tlb_entry *e = &c->tlb[part][n];
	u64 tag = (a & ~0xfffull) | key;
	bool write = w.dirty && w.may_write && page->writable;

	if (write && page->dirty) {
		if (access & X86_ACCESS_WRITE)
			atomic_store(page->dirty, 1);
		else
			write = atomic_load(page->dirty);
	}
	e->read_tag = tag;
	e->write_tag = write ? tag : X86_TAG_NONE;
	e->addend = (u64)(uintptr_t)page->host - (a & ~0xfffull);
	e->code = page->code ? page->code : &never_code;
	if (is_kernel_space(key)) {
		n += part * X86_TLB_COUNT;
		if (w.global)
			c->mmu->local[n / 64] &= ~BIT64(n % 64);
		else
			bit_set(c->mmu->local, n);
	}
	if (w.shift > 12) {
		note_large(c->mmu, a, w.shift);
		enter_large(c, a, key, &w);
	}
}

u64 x86_fetch_linear(struct x86_cpu *c, u64 rip)
{
	if (c->mode & X86_MODE_LONG)
		return rip;
	if (rip > c->s.seg[SEG_CS].limit)
		x86_raise_code(c, NULL, X86_GP, 0);
	return (u32)(rip + c->s.seg[SEG_CS].base);
}

void x86_fetch(struct x86_cpu *c, u64 linear, struct x86_fetch *ret_fetch)
{
	struct x86_mmu *m = c->mmu;
	unsigned n = (unsigned)(linear >> 12) & (FETCH_COUNT - 1);
	bool shared = linear >> 63 && code_is_shared(c);
	u64 tag = (linear & ~0xfffull) | (u64)(shared ? KERNEL_SPACE : m->space) << 2 |
		  (c->cpl == 3 ? 2 : 0);

	if (m->fetch[n].tag != tag) {
		struct walk w;

		if (c->mode & X86_MODE_LONG && !x86_is_canonical(linear))
			x86_raise_code(c, NULL, X86_GP, 0);
		walk_or_raise(c, NULL, linear,
			      X86_ACCESS_FETCH | (c->cpl == 3 ? X86_ACCESS_USER : 0), &w);

		if (shared && !w.global) {
			m->shared = false;
			keys_changed(c);
			tag = (linear & ~0xfffull) | (u64)m->space << 2;
		}

		const struct x86_page *page = x86_physical_page(c, w.gpa);

		m->fetch[n].fetch = (struct x86_fetch){
			.gpa = w.gpa & ~0xfffull,
			.host = page->host,
			.ram_page = page->code ? page->ram_page : X86_NO_RAM_PAGE,
			.cacheable = page->host && (page->code || !page->writable),
		};
		m->fetch[n].tag = tag;
		if (w.shift > 12)
			note_large(m, linear, w.shift);
	}
	*ret_fetch = m->fetch[n].fetch;
	ret_fetch->gpa |= linear & 0xfff;
}

void x86_fetch_remembered(struct x86_cpu *c, u64 linear)
{
	bit_set(c->mmu->exec[linear >> 63], exec_bit(linear >> 12));
}

static void walk_or_raise(struct x86_cpu *c, const struct x86_insn *i, gva_t a,
			  unsigned access, struct walk *w)
{
	u32 code = 0;

	/*
	 * Again when another processor changed an entry under us. It made progress each time; the
	 * bound only keeps a bug of ours from hanging the thread: the last answer is then taken.
	 */
	for (unsigned n = 0; n < 1000; n++) {
		enum walk_result r = walk(c, a, access, w, &code);

		if (r == WALK_OK)
			return;
		if (r == WALK_FAULT)
			break;
	}
	if (access & X86_ACCESS_WRITE)
		code |= PF_W;
	if (access & X86_ACCESS_USER)
		code |= PF_U;
	if (access & X86_ACCESS_FETCH &&
	    (c->s.cr4 & CR4_SMEP || (c->s.efer & EFER_NXE && c->s.cr4 & CR4_PAE)))
		code |= PF_I;
	c->s.cr2 = a;
	x86_raise_code(c, i, X86_PF, code);
}

/* Bits of an 8-byte entry that must be 0: above MAXPHYADDR, NX when it is off. */
static u64 reserved_bits(const struct x86_cpu *c)
{
	u64 bits = ~c->physical_mask & 0x000ffffffffff000ull;

	if (!(c->s.efer & EFER_NXE))
		bits |= PTE_NX;
	if (!(c->s.efer & EFER_LMA))
		bits |= 0x7ff0000000000000ull;
	return bits;
}

static enum walk_result walk(struct x86_cpu *c, gva_t a, unsigned access, struct walk *w,
			     u32 *ret_code)
{
	w->shift = 12;
	w->global = false;
	w->dirty = true;
	w->may_write = true;
	if (!(c->s.cr0 & CR0_PG)) {
		w->gpa = a;
		return WALK_OK;
	}
	if (!(c->s.cr4 & CR4_PAE))
		return walk_32(c, a, access, w, ret_code);

	u64 reserved = reserved_bits(c);
	bool rw = true, us = true, nx = false;
	gpa_t table = c->s.cr3 & c->physical_mask & ~0xfffull;
	unsigned level = 4;

	if (!(c->s.efer & EFER_LMA)) {
		u64 pdpte = c->mmu->pdpte[(a >> 30) & 3];

		*ret_code = 0;
		if (!(pdpte & PTE_P))
			return WALK_FAULT;
		table = pdpte & c->physical_mask & ~0xfffull;
		level = 2;
	}
	for (;; level--) {
		unsigned shift = 12 + 9 * (level - 1);
		gpa_t at = table + ((a >> shift) & 511) * 8;
		u64 pte = pte_read(c, at, 8);

		*ret_code = 0;
		if (!(pte & PTE_P))
			return WALK_FAULT;
		*ret_code = PF_P | PF_RSVD;
		bool leaf = level == 1 || pte & PTE_PS;

		if (pte & reserved || (level == 4 && pte & PTE_PS))
			return WALK_FAULT;
		/* bit 12 of a large page's entry is PAT */
		if (leaf && level > 1 && pte & (BIT64(shift) - 1) & ~0x1fffull)
			return WALK_FAULT;
		rw &= !!(pte & PTE_W);
		us &= !!(pte & PTE_U);
		nx |= !!(pte & PTE_NX);
		if (!leaf) {
			if (!(pte & PTE_A) && !pte_set(c, at, 8, pte, PTE_A))
				return WALK_AGAIN;
			table = pte & c->physical_mask & ~0xfffull;
			continue;
		}
		*ret_code = PF_P;
		if (!allowed(c, access, rw, us, nx))
			return WALK_FAULT;
		u64 set = PTE_A | (access & X86_ACCESS_WRITE ? PTE_D : 0);

		if ((pte & set) != set && !pte_set(c, at, 8, pte, set))
			return WALK_AGAIN;
		w->dirty = (pte | set) & PTE_D;
		w->may_write = allowed(c, (access & ~X86_ACCESS_FETCH) | X86_ACCESS_WRITE,
				       rw, us, nx);
		w->shift = shift;
		w->global = pte & PTE_G && c->s.cr4 & CR4_PGE;
		w->gpa = (pte & c->physical_mask & ~(BIT64(shift) - 1)) |
			 (a & (BIT64(shift) - 1));
		return WALK_OK;
	}
}

/* Two levels of 4-byte entries, 4 MiB pages with PSE-36. */
static enum walk_result walk_32(struct x86_cpu *c, gva_t a, unsigned access,
				struct walk *w, u32 *ret_code)
{
	bool pse = c->s.cr4 & CR4_PSE;
	gpa_t at = (c->s.cr3 & 0xfffff000ull) + ((a >> 22) & 1023) * 4;
	u64 pde = pte_read(c, at, 4);

	*ret_code = 0;
	if (!(pde & PTE_P))
		return WALK_FAULT;
	bool rw = pde & PTE_W, us = pde & PTE_U;
	bool large = pse && pde & PTE_PS;
	u64 pte = pde;

	if (large) {
		*ret_code = PF_P | PF_RSVD;
		if (pde & BIT64(21))
			return WALK_FAULT;
	} else {
		if (!(pde & PTE_A) && !pte_set(c, at, 4, pde, PTE_A))
			return WALK_AGAIN;
		at = (pde & 0xfffff000ull) + ((a >> 12) & 1023) * 4;
		pte = pte_read(c, at, 4);
		if (!(pte & PTE_P))
			return WALK_FAULT;
		rw &= !!(pte & PTE_W);
		us &= !!(pte & PTE_U);
	}
	*ret_code = PF_P;
	if (!allowed(c, access, rw, us, false))
		return WALK_FAULT;
	u64 set = PTE_A | (access & X86_ACCESS_WRITE ? PTE_D : 0);

	if ((pte & set) != set && !pte_set(c, at, 4, pte, set))
		return WALK_AGAIN;
	w->dirty = (pte | set) & PTE_D;
	w->may_write = allowed(c, (access & ~X86_ACCESS_FETCH) | X86_ACCESS_WRITE, rw, us,
			       false);
	w->shift = large ? 22 : 12;
	w->global = pte & PTE_G && c->s.cr4 & CR4_PGE;
	if (large)
		w->gpa = (pte & 0xffc00000ull) | ((pte >> 13 & 0xff) << 32) |
			 (a & 0x3fffff);
	else
		w->gpa = (pte & 0xfffff000ull) | (a & 0xfff);
	w->gpa &= c->physical_mask | 0xfff;
	return WALK_OK;
}

static bool allowed(const struct x86_cpu *c, unsigned access, bool rw, bool us, bool nx)
{
	if (access & X86_ACCESS_FETCH) {
		if (nx)
			return false;
		return access & X86_ACCESS_USER ? us : !(us && c->s.cr4 & CR4_SMEP);
	}
	if (access & X86_ACCESS_USER)
		return us && (rw || !(access & X86_ACCESS_WRITE));
	if (us && access & X86_ACCESS_SMAP)
		return false;
	return rw || !(access & X86_ACCESS_WRITE) || !(c->s.cr0 & CR0_WP);
}

/* Entries are aligned: one access. All ones where there is no memory answers as well. */
static u64 pte_read(struct x86_cpu *c, gpa_t at, unsigned size)
{
	const struct x86_page *p = x86_physical_page(c, at);

	if (!p->host)
		return c->bus->mmio_read(c->bus_vp, at, size);
	const u8 *host = p->host + (at & 0xfff);

	if (size == 4)
		return atomic_load_explicit((const _Atomic u32 *)host,
					    memory_order_relaxed);
	return atomic_load_explicit((const _Atomic u64 *)host, memory_order_relaxed);
}

/* false: the entry is not what it was. In ROM and MMIO nothing is set, as nothing can be. */
static bool pte_set(struct x86_cpu *c, gpa_t at, unsigned size, u64 old, u64 bits)
{
	struct x86_place place = { .gpa = at, .page = *x86_physical_page(c, at) };

	if (!place.page.host || !place.page.writable)
		return true;
	place.host = place.page.host + (at & 0xfff);
	if (size == 4) {
		u32 expected = (u32)old;

		if (!atomic_compare_exchange_strong((_Atomic u32 *)place.host, &expected,
						    (u32)(old | bits)))
			return false;
	} else {
		u64 expected = old;

		if (!atomic_compare_exchange_strong((_Atomic u64 *)place.host, &expected,
						    old | bits))
			return false;
	}
	x86_place_written(c, &place, size);
	return true;
}

void x86_place_written(struct x86_cpu *c, const struct x86_place *place, unsigned size)
{
	if (place->page.dirty)
		atomic_store_explicit(place->page.dirty, 1, memory_order_release);
	if (place->page.code &&
	    atomic_load_explicit(place->page.code, memory_order_relaxed))
		x86_code_hit(c, place->page.code, (unsigned)place->gpa & 0xfff, size);
}

bool x86_pdptes_load(struct x86_cpu *c, u64 cr3)
{
	u64 pdpte[4];
	u64 reserved = (~c->physical_mask & ~0xfffull) | 0x1e6;

	for (unsigned n = 0; n < 4; n++) {
		pdpte[n] = pte_read(c, (cr3 & 0xffffffe0ull) + n * 8, 8);
		if (pdpte[n] & PTE_P && pdpte[n] & reserved)
			return false;
	}
	memcpy(c->mmu->pdpte, pdpte, sizeof(pdpte));
	return true;
}
