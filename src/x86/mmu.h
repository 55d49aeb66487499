/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address translation, between mmu.c (walk, TLB, address spaces), memory.c (accesses) and the code
 * cache (fetch). Thread: the VP's.
 */
#pragma once

#include "x86/cpu.h"

/* What an access wants. */
#define X86_ACCESS_WRITE 1u
#define X86_ACCESS_USER 2u
#define X86_ACCESS_FETCH 4u
#define X86_ACCESS_SMAP 8u /* supervisor that may not touch user pages */

/* Where one byte of an access is; the page around it is backed as `page` says. */
struct x86_place {
	gpa_t gpa;
	u8 *host;	      /* that byte, or NULL: MMIO */
	struct x86_page page; /* host, code, dirty, writable */
};

/* A page for decoding. */
struct x86_fetch {
	gpa_t gpa;	/* of the byte asked for */
	u8 *host;	/* first byte of the page, or NULL: MMIO */
	u64 ram_page;	/* X86_NO_RAM_PAGE: ROM */
	bool cacheable; /* tracked or never written: decoded code may be kept */
};

int x86_mmu_new(struct x86_cpu *c) MUST_CHECK;
void x86_mmu_free(struct x86_cpu *c);

/* The physical map changed: everything that came from bus->resolve goes. VP stands. */
void x86_mmu_map_changed(struct x86_cpu *c);
void x86_tlb_drop_write_rights(struct x86_cpu *c);
/* Pages of 2 MiB with this byte are written to by way of the TLB from now on. */
void x86_tlb_not_quiet(struct x86_cpu *c, const _Atomic u8 *any_code);

/*
 * Translate for one access within a page, setting A and D; raises #PF. The linear address is
 * canonical already. Enters the page into the TLB under `key` when it may be.
 */
void x86_translate(struct x86_cpu *c, const struct x86_insn *i, gva_t a, unsigned access,
		   u64 key, struct x86_place *ret_place);

/* What the present privilege is, as X86_ACCESS_... without WRITE, and the key to enter pages under. */
unsigned x86_access_now(const struct x86_cpu *c, u64 *ret_key);
/* The same for accesses of the processor itself (descriptor tables, TSS). */
unsigned x86_access_system(const struct x86_cpu *c, u64 *ret_key);

/* How a physical page is backed; remembered until the map changes. */
const struct x86_page *x86_physical_page(struct x86_cpu *c, gpa_t gpa);

/* CS:rip as a linear address; raises #GP(0) beyond the limit. */
u64 x86_fetch_linear(struct x86_cpu *c, u64 rip);
/* First byte of the page behind a linear address, as the mode wraps. */
static inline u64 x86_fetch_next(const struct x86_cpu *c, u64 linear)
{
	u64 next = (linear | 0xfff) + 1;

	return c->mode & X86_MODE_LONG ? next : (u32)next;
}
/* The page of a linear address, for execution; raises #PF, #GP (not canonical). i = NULL. */
void x86_fetch(struct x86_cpu *c, u64 linear, struct x86_fetch *ret_fetch);
/* The jump cache holds something of this page now: INVLPG of it must empty the cache. */
void x86_fetch_remembered(struct x86_cpu *c, u64 linear);

/* After a store by any way but the TLB's: the dirty mark, then the code byte. */
void x86_place_written(struct x86_cpu *c, const struct x86_place *place, unsigned size);

static inline bool x86_is_canonical(u64 a)
{
	return (u64)((s64)(a << 16) >> 16) == a;
}

/* State of memory.c that outlives one call. */
struct x86_split {
	struct x86_place place[2];
	unsigned first; /* bytes in place[0] */
};
struct x86_split *x86_mmu_split(struct x86_cpu *c);
/* The page that a pointer for writing was given for last, and its bytes in the maps. */
struct x86_written {
	gva_t page;
	_Atomic u8 *code;
	_Atomic u8 *dirty; /* NULL also where the TLB vouches for the mark */
};
struct x86_written *x86_mmu_written(struct x86_cpu *c);
