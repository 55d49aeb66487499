/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Translations as they lie in memory: regions, and sites, the places where translated code comes
 * back to us. Shared by translate.c, which writes them, and jit.c, which enters and leaves.
 * Thread: the VP's.
 */
#pragma once

#include "x86/jit/region.h"

enum jit_site_kind {
	JIT_SITE_RECORD, /* go on with block->insn[record] in the interpreter */
	JIT_SITE_JUMP,	 /* go on at page offset rip */
	JIT_SITE_LOOKUP, /* go on at jit.target; block->insn[record] is the branch */
	JIT_SITE_WRITTEN, /* a page of code was written to; then as JUMP, or LOOKUP if rip < 0 */
	JIT_SITE_FAULT, /* the host's exception at `patch`: as RECORD */
};

struct jit_site {
	struct x86_block *block;
	u32 region;
	s32 rip;
	u32 patch; /* JUMP: offset in the code memory of the jump to rewrite, 0: none;
		    * RECORD: where the code goes on if the page is in `large` after all */
	u16 record;
	u8 kind;
	u8 flags_in_host; /* FAULT; JUMP: at the entry that is jumped to */
	u8 ahead;	  /* RECORD: a read looked for the right to write */
	u8 place;	  /* RECORD: the look-up in a loop that used up the credit */
	s32 disp; /* WRITTEN: where, reg + disp, or in the page without reg; size 0: anywhere in it;
		    * reg JIT_IN_T0: the host's page, from the address in jit.t0.
		    * RECORD: the range of a look-up that covered more than the access; else size 0 */
	u16 size;
	u8 reg;
	u8 t0, t1;    /* FAULT: the scratch registers */
	u16 borrowed; /* FAULT: others whose guest's values are in c->r */
	s32 stack;    /* LOOKUP: bytes that RET has popped (CALL: -8), or JIT_NO_REDO */
};

#define JIT_IN_T0 0xfeu

#define IN_HOST 1u /* the flags are right in the host's register */
#define IN_SLOT 2u /* in c->flags */

/* Offsets in the code memory; the two are one where the flags are overwritten unread. */
struct jit_entries {
	u32 slot; /* the guest's flags are in c->flags */
	u32 host; /* they are the host's */
};

struct jit_region {
	u32 start, end;		  /* offsets in the code memory */
	struct jit_entries entry; /* that look at c->attention first */
	struct jit_entries
		forward; /* for jumps that cannot be part of a loop: jit.h, "Interrupts" */
	struct jit_entries stub; /* what the entries jump to when the region is dead */
	/* Behind all that: the scratch pair is the region's own, flags are where `flags` says. */
	u32 inner, inner_stub;
	u8 pair[2];
	u8 flags; /* IN_HOST, IN_SLOT, 0: the region does not read them */
	struct x86_block *head;
	x86_fn head_fn; /* the interpreter's first handler */
	u32 first_site, site_count;
	/* Look-ups that missed for what they covered: so many since the host's TSC was that. */
	u32 overreached;
	u64 overreached_since;
	bool dead;
};

#define JIT_NO_REDO INT32_MIN /* a direct jump: its target was made from RIP */

#define JIT_SITES_MAX (1u << 20)
#define JIT_REGIONS_MAX (1u << 17)

/* A VP's translations; c->jit.own. */
struct x86_jit {
	u8 *write_view; /* of our part of the code memory */
	const u8 *run_view;
	size_t size, used;
	struct jit_region *regions;
	u32 region_count; /* [0] is not used */
	struct jit_site *sites;
	u32 site_count;
	/* Offsets of routines in the code memory. */
	u32 enter, load_vectors, leave_tail, to_interpreter;
	u32 leave[16][16]
		 [2]; /* by scratch pair and where the flags are; 0: not yet written */
	u32 large[16][16][2]; /* by scratch pair, for reading or writing */
	u32 sticky_used;      /* of c->jit.sticky */
	bool full;
	struct jit_plan plan; /* scratch */
	u8 staging[1 << 16];
};

/* A routine that stores the guest's registers and returns to C; flags_in_host: the flags as well. */
u64 jit_leave_routine(struct x86_cpu *c, unsigned t0, unsigned t1, bool flags_in_host);

/*
 * The routine that a look-up in the TLB which missed jumps to, jit.site being a RECORD: looks in `large`, fills
 * the TLB's entry and goes on behind the look-up (jit_site.patch), or leaves there.
 */
u64 jit_large_routine(struct x86_cpu *c, unsigned t0, unsigned t1, bool write);

/* The address in reg becomes the offset of its entry in a part of `large`. */
void jit_large_offset(struct jit_code *k, unsigned reg);

extern const u8 jit_usual_pair[2]; /* between regions: R10, R11 */
bool jit_pair_is_usual(const u8 pair[2]);

/*
 * From one scratch pair to another: the guest's registers that made up the one come back from c->r, those that
 * are to make up the other go there.
 */
void jit_change_pair(struct jit_code *k, const u8 from[2], const u8 to[2]);

/* The host's flags into c->flags; AX is lost. */
void jit_flags_to_slot(struct jit_code *k);

u32 jit_site_new(struct x86_cpu *c, const struct jit_site *site);

/* Code for the plan; NULL: no space, or too large. */
struct jit_region *jit_translate(struct x86_cpu *c, const struct jit_plan *plan);
