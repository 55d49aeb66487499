/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of a translation while it is written, and what its authors share: glue.c (flags, scratch
 * pair), access.c (memory), ops.c and system.c (instructions), leave.c (ways out), translate.c (the
 * whole). Private to these. Thread: the VP's.
 */
#pragma once

#include "x86/jit/code.h"

#define GEN_FACTS ARRAY_COUNT(((struct x86_cpu *)0)->jit.slot)
#define GEN_COLD_MAX 512
#define GEN_ADDRESS 100
#define GEN_RANGE_MAX 256 /* bytes that one look-up covers */

/*
 * A page that was looked up; through RSP all regions share one of the last time (jit.stack). T0 is the addend, or the host address of `lo` where the address is
 * not just a register and a displacement.
 *
 * Sticky: the look-up lies in a loop. It first compares with the page that the same place met the last
 * time (jit.sticky), and goes to the TLB only if it is another one. `addend` is that, or where
 * the address is not just a register and a displacement the host's page. A region forgets all of its
 * pages when it is entered in another epoch (cpu.h) than the last time. In the beginning
 * page and addend are such that what hits nevertheless, an address that is not canonical, is not
 * canonical for the host either: it faults, and the interpreter does the instruction.
 */
struct fact {
	struct jit_access key;
	s64 lo, hi;
	bool write;
	bool unproved; /* stack: nothing was accessed yet; what is no address faults then */
	bool saved;    /* in jit.slot */
	bool code_saved; /* in jit.code, or in jit.sticky */
	bool no_code; /* what is stored through it needs no look at the code map any more */
	s8 sticky;    /* which one of the region's, from 1; 0: none */
};

/* What a cold piece is; the first ones are sites. */
enum {
	GEN_COLD_FILL = 16, /* sticky: another page than in the last round */
	GEN_COLD_SMALL,	    /* wide: not in `large` */
	GEN_COLD_EPOCH,	    /* the pages of the last time are no longer right */
	GEN_COLD_GROUP,	    /* another page than the last time for the rounds of a loop */
	GEN_COLD_CODE,	    /* the page of a group has code */
	GEN_COLD_STACK,	    /* another page than the last time through RSP */
	GEN_COLD_AGAIN,	    /* the rounds of a loop are over: to its head */
	GEN_COLD_LABEL,	    /* to an instruction of the region, with its own registers */
	GEN_COLD_DONE,
};

struct cold {
	u32 jump; /* displacement to land */
	u8 kind;  /* JIT_SITE_..., GEN_COLD_... */
	u8 flags;
	u16 op;
	s32 rip;
	s32 disp;
	u16 size; /* GROUP: rounds */
	u8 reg;
	bool attention; /* JUMP: a look at c->attention, which no link may replace */
	bool large;	/* RECORD: a look-up missed, its page may be in `large` */
	bool write;	/* that look-up was for writing */
	bool ahead;	/* RECORD: as jit_site */
	s8 sticky;	/* FILL */
	u8 place;	/* FILL, AGAIN, and the RECORD behind it: jit_site */
	u8 which;	/* FILL, SMALL: the access of the instruction; GROUP: which one */
	u8 loop;	/* GROUP */
	u8 code_in;   /* WRITTEN: the register that points to the byte in the code map */
	u16 borrowed; /* to be given back first */
	s16 to;	      /* LABEL */
	u32 back; /* FILL, SMALL, EPOCH, GROUP, STACK, AGAIN, LOOKUP: where it goes on */
};

/* A loop's, while it is written. */
struct gen_rounds {
	bool written;
	u8 place;
	u8 flags;  /* at its head */
	u8 sticky; /* of its first group */
	u32 top;
};

struct gen {
	struct x86_cpu *c;
	const struct jit_plan *p;
	struct jit_code k;
	unsigned t0, t1;
	u32 region;
	unsigned flags;
	struct fact fact[GEN_FACTS];
	unsigned fact_count;
	unsigned sticky_count;
	unsigned place_count;	   /* look-ups in loops */
	unsigned sticky_forgotten; /* so many are when the epoch is another */
	u64 sticky_host;	   /* bit n: addend of the n-th is the host's page */
	u32 sticky_first;	   /* their epoch, in jit.sticky */
	int in_t0;		   /* the fact whose addend T0 holds, -1, GEN_ADDRESS */
	const struct jit_access *address; /* whose host address T0 holds then */
	s8 loop;	/* that we are in, several rounds at a time; -1 */
	bool in_single; /* in one round of a loop */
	/* No other VP: while a region is executed nobody marks code. A page that has none is looked at once. */
	bool alone;
	/* Registers that the loop does not name and that we have meanwhile, theirs being in c->r: what for. */
	u16 borrowed;
	u8 addend_in[JIT_GROUPS_MAX], code_in[JIT_GROUPS_MAX], limit_in; /* JIT_NONE */
	struct gen_rounds rounds[JIT_LOOPS_MAX];
	int code_t1; /* the fact whose code-map pointer T1 holds, -1 */
	int pending; /* a store through this fact is still to be followed by the look at the code map */
	unsigned pending_op;
	struct cold cold[GEN_COLD_MAX];
	unsigned cold_count;
	struct {
		u32 jump;
		u16 op;
	} fix[2 * JIT_OPS_MAX];
	unsigned fix_count;
	u32 at[JIT_OPS_MAX]; /* where the code of an instruction that is a label begins */
	struct jit_region *r;
	bool failed;
};

static inline s32 jit_rip_after(const struct jit_op *o)
{
	return o->page_offset + o->length;
}

/* ---- glue.c ---- */

/* From the pair between regions to ours, or back. */
void gen_swap_pair(struct gen *g, bool enter);
/* Save the host's flags in c->flags; nothing but `scratch` changes. */
void gen_flags_store(struct jit_code *k, unsigned scratch);
/* And back. */
void gen_flags_load(struct jit_code *k, unsigned scratch);
/* Save them if they are not there yet. Takes T1. */
void gen_flags_save(struct gen *g);
/* What follows destroys the host's flags; `live` says whether somebody needs them. Takes T1. */
void gen_flags_clobber(struct gen *g, u32 live);
/* The host's flags are the guest's. Takes T1. */
void gen_flags_restore(struct gen *g);
/* The flags before an instruction that reads some, or leaves some alone; and after it. */
void gen_flags_before(struct gen *g, const struct jit_op *o);
void gen_flags_after(struct gen *g, const struct jit_op *o);
/* Does the instruction name a register of the pair? Its guest's value is then in c->r: jit.h, "Homes". */
static inline bool gen_names(const struct jit_op *o, unsigned reg)
{
	return o->uses >> reg & 1;
}
/* From there, or back. What the register had been used for is forgotten. */
void gen_from_home(struct gen *g, unsigned reg);
void gen_to_home(struct gen *g, unsigned reg);
/* The guest's own values of the registers that a loop has borrowed. */
void gen_give_back(struct gen *g, u16 borrowed);
/* A cold piece for the jump whose displacement is at `jump`; flags as they are now. */
struct cold *gen_cold_new(struct gen *g, u32 jump, unsigned kind, unsigned n);

/* ---- access.c ---- */

void gen_forget_facts(struct gen *g);
/*
 * Makes T0 right for access a of instruction n and gives the host's operand; the fact's number. Destroys
 * flags (saved if live) and T1. Call gen_fault_point() right before the host instruction that uses it.
 */
int gen_access_begin(struct gen *g, unsigned n, const struct jit_access *a,
		     struct jit_mem *ret_mem);
/* The same place may be needed again after T0 was used for something else. */
void gen_access_keep(struct gen *g, int at);
/* The next host instruction may raise an exception that is the guest's. */
void gen_fault_point(struct gen *g, unsigned n);
/* Instruction n has stored through the fact: look at the code map, now; rip: how it goes on if there
 * was code, -1: at jit.target. */
void gen_code_check(struct gen *g, unsigned n, int at, s32 rip);
/* The same, but a run of pushes looks once, at its end. */
void gen_stored(struct gen *g, unsigned n, int at);
void gen_flush_pending(struct gen *g);
bool gen_continues_run(const struct gen *g, const struct jit_op *o);
void gen_stack_emit(struct gen *g, const struct cold *cold);
/* One of the region's sticky pages; 0: its `page` is the epoch. */
static inline u32 gen_sticky(const struct gen *g, unsigned which)
{
	return g->sticky_first + which;
}
/* The cold parts of a sticky look-up and of a wide one. */
void gen_fill_emit(struct gen *g, const struct cold *cold);
void gen_small_emit(struct gen *g, const struct cold *cold);
/* At the entry: are the sticky pages of this epoch? Takes T1 and the host's flags. */
void gen_epoch_check(struct gen *g);
void gen_epoch_emit(struct gen *g, const struct cold *cold);
/* First byte's address in T1, last byte's in T0, less than 4 MiB apart. T1 becomes the entry of the TLB (its
 * offset from gen_tlb_field's), T0 the tag that it must have; the displacement of the jump if it has not. */
u32 gen_tlb_compare_last(struct gen *g, bool write);
struct jit_mem gen_tlb_field(const struct gen *g, size_t member);

/* ---- rounds.c ---- */

/* Behind label n: was the loop that begins there written? */
bool gen_loop_emit(struct gen *g, unsigned n);
const struct jit_loop *gen_loop_at(const struct gen *g, unsigned n);
/* Will it be written, and look at c->attention itself? Before its label is. */
bool gen_loop_polls(const struct gen *g, unsigned n);
/* The parts of it that are seldom needed. */
void gen_loop_rest_emit(struct gen *g, unsigned index);
void gen_again_emit(struct gen *g, const struct cold *cold);

/* ---- translate.c ---- */

void gen_look_at_attention(struct gen *g, unsigned n);
/* Instruction n, the last of a loop, has not jumped: to the one behind it. */
void gen_end_of_loop(struct gen *g, unsigned n);

/* ---- ops.c, system.c ---- */

/* A jump to the label at instruction n. */
void gen_jump_to_op(struct gen *g, unsigned n, unsigned cc);
void gen_op_emit(struct gen *g, unsigned n);
void gen_system_emit(struct gen *g, unsigned n);
/* T0 = a place that is a distance from the page's start. */
void gen_place_in_t0(struct gen *g, s32 rip);

/* ---- leave.c ---- */

void gen_leave_by(struct gen *g, const struct jit_site *site, bool usual_pair,
		  unsigned flags);
/* To a place whose distance from the page's start is known. */
void gen_exit_direct(struct gen *g, s32 rip);
/* To the RIP in T0: through the table of jumps. The flags go through the slot. popped: jit_site.stack. */
void gen_exit_lookup(struct gen *g, unsigned n, s32 popped);
void gen_cold_emit(struct gen *g, const struct cold *cold);
/* The jump at `jump` is a look-up that gen_tlb_compare_last() has written, of instruction n. */
struct cold *gen_tlb_miss(struct gen *g, u32 jump, unsigned n, bool write);
/* Instruction n is the interpreter's after all if the jump at `jump` is taken. */
struct cold *gen_miss(struct gen *g, u32 jump, unsigned n);
