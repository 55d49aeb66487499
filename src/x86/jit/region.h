/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a region consists of, before any host code: its instructions in the order in which the code
 * will lie, what each does to registers, flags and memory, and which addresses are known to be near
 * each other. Made by region.c, read by translate.c. Thread: the VP's.
 */
#pragma once

#include <Zydis/Zydis.h>

#include "x86/cache.h"
#include "x86/jit/emit.h"

#define JIT_OPS_MAX 128
#define JIT_BLOCKS_MAX 16
#define JIT_PLACES_MAX 16 /* look-ups in loops: bits of x86_block.restless */

enum jit_kind {
	JIT_STOP,    /* not translated: the interpreter's */
	JIT_PLAIN,   /* copied; with a memory operand if op->access[0].size */
	JIT_NOTHING, /* hints */
	JIT_LEA_RIP,
	JIT_PUSH_REG,
	JIT_PUSH_IMM,
	JIT_PUSH_MEM,
	JIT_POP_REG,
	JIT_LEAVE,
	JIT_RDTSC,
	JIT_RDTSCP,
	JIT_READ_SEGMENT, /* MOV from a segment register */
	JIT_READ_BASE,	  /* RDFSBASE, RDGSBASE */
	JIT_WRITE_BASE,
	JIT_CLI,
	JIT_STI,
	JIT_SWAPGS,
	JIT_STAC,
	JIT_CLAC,
	JIT_PUSHF,
	JIT_MOVS, /* with REP or without; op->cc is the logarithm of the size */
	JIT_STOS,
	JIT_CALL, /* direct */
	JIT_CALL_REG,
	JIT_CALL_MEM,
	JIT_JUMP, /* direct */
	JIT_JUMP_REG,
	JIT_JUMP_MEM,
	JIT_BRANCH, /* Jcc */
	JIT_RET,
};

/*
 * One access. Two accesses with the same key (base_origin .. rip) have addresses that differ by the
 * difference of their offsets, whatever the registers hold. An origin is a value that a register had at
 * some place; 0 is no register.
 */
struct jit_access {
	u32 base_origin, index_origin;
	u8 scale;
	u8 seg; /* SEG_FLAT, SEG_FS, SEG_GS */
	bool rip;
	bool write;
	u8 size;	/* bytes; 0: no access */
	s64 offset;	/* from the origins' sum; RIP: from the page's start */
	u8 base, index; /* guest registers, JIT_NONE */
	s32 disp;
	u8 group; /* of its loop, from 1; 0: none */
};

/* What an instruction makes of a 64-bit register: base + (index << scale), or minus that, + disp. */
struct jit_sum {
	bool valid, minus;
	u8 base, index, scale; /* registers, JIT_NONE */
	s32 disp;
};

struct jit_op {
	struct x86_block *block;
	u16 record;
	u16 page_offset;
	u8 length;
	u8 kind;
	u8 reg; /* pushed, popped, jumped to */
	u8 cc;
	bool in_loop; /* between a label and a jump back to it */
	bool barrier; /* looked-up pages are not the same before and after */
	bool rep;
	bool label;	/* something of the region jumps here */
	bool loop_head; /* and from behind */
	bool vector;	/* touches XMM, YMM or MXCSR */
	bool may_fault; /* the host may raise an exception in it */
	bool byte_high; /* names AH, CH, DH or BH */
	s32 imm;	/* pushed; RET's */
	s32 target;	/* direct branches: from the page's start */
	s16 target_op;	/* that instruction in this region, or -1 */
	u16 uses;	/* general registers that it names or implies */
	u16 writes;
	u32 flags_read, flags_written; /* X86_ARITH bits */
	u32 flags_perhaps;	       /* written if a count is not 0 */
	u32 live_in, live_out;
	struct jit_sum sum;	     /* of `reg` */
	struct jit_access access[2]; /* 0: memory operand, 1: stack */
	u32 origin_after[16];	     /* of every register when the instruction is done */
	s64 offset_after[16];
	u8 bytes[16];
	ZydisDecodedInstruction z;
};

/*
 * How a region looks pages up. A look-up covers the accesses that follow through the same base, and is one
 * for writing if one of them writes; in a loop it first looks at the page of the last time (sticky). By what was
 * seen of it (struct x86_block has these bits):
 *	narrow		each access by itself: look-ups that covered several met pages' ends too often, or
 *			looked for the right to write where nothing was written
 *	restless	a bit for each place in a loop that looks in the TLB at once: the page of its last
 *			round was seldom that of this one; and for each inner loop that seldom could do
 *			several rounds at a time
 *	steady		loops that do several rounds at a time go on for many: they borrow registers
 *	wide		pages of 2 MiB first: those of 4 KiB were seldom in the TLB, and fetched from there.
 *			For user mode. Stores rely on quiet_tag
 */

/*
 * Rounds: an inner loop whose addresses move by the same few bytes in each round does several at a time. At
 * its head it is seen whether all that a group of accesses will meet in so many rounds lies in one page;
 * then nothing is looked up in these. A group: addresses that are the same sum of registers, as these are at
 * the head, but for a constant. Found by affine.c, written by rounds.c.
 */
#define JIT_LOOPS_MAX 4
#define JIT_GROUPS_MAX 4
/* struct x86_jit_sticky of a region. */
#define JIT_STICKY_MAX (1 + JIT_PLACES_MAX + JIT_LOOPS_MAX * JIT_GROUPS_MAX)

struct jit_group {
	s8 times[16]; /* of each register: 0, 1, 2, 4, 8 */
	bool rip;     /* and where the page of the code is */
	bool write;
	s64 lo, hi; /* constants of the first round, first byte and behind the last */
	s64 step;
};

struct jit_loop {
	u16 first, last; /* instructions; the last one jumps to the first */
	u8 rounds;	 /* at a time */
	u8 group_count;
	bool others; /* accesses that are in no group */
	bool shared; /* it is not the only jump back to its head */
	u16 uses;    /* registers that it names or implies */
	u8 counter; /* a register that moves in each round by counter_step; JIT_NONE: no address moves */
	s32 counter_step;
	struct jit_group group[JIT_GROUPS_MAX];
};

/* The general registers that instructions name or imply, by what that means for the pair T0, T1. */
struct jit_names {
	u16 any;
	u16 bound;  /* by others than PLAIN: cannot be of the pair */
	u16 memory; /* beside memory operands: cannot be T0 */
	u8 count[16];
};

struct jit_plan {
	struct x86_block *head;
	unsigned block_count;
	unsigned count;
	/* How it goes on behind the last instruction: a page offset, -1: it does not (the last one leaves
	 * by itself), -2: with the record end_block->insn[end_record], which is not translated. */
	s32 end;
	struct x86_block *end_block;
	u16 end_record;
	s16 end_op; /* end is this instruction of the region, or -1 */
	struct jit_names names;
	bool vector;
	bool changes_key; /* of the TLB: the same place may be allowed more or less from time to time */
	u8 t0, t1; /* with instructions that name them: "Homes" in jit.h */
	unsigned loop_count;
	struct jit_loop loop[JIT_LOOPS_MAX];
	struct jit_op op[JIT_OPS_MAX];
};

/* What kind of instruction it is in that mode; JIT_STOP: the interpreter's. */
enum jit_kind jit_classify(const ZydisDecodedInstruction *z,
			   const ZydisDecodedOperand *op, u32 mode);
bool jit_touches_vector(const ZydisDecodedInstruction *z, const ZydisDecodedOperand *op);
/* NULL: it has none. */
const ZydisDecodedOperand *jit_memory_operand(const ZydisDecodedInstruction *z,
					      const ZydisDecodedOperand *op);

/* false: nothing to gain from a region at head. */
bool jit_plan_make(struct x86_cpu *c, struct x86_block *head, struct jit_plan *plan);

/* The part of it that finds the loops of `plan`; its instructions and labels stand. */
void jit_find_rounds(struct jit_plan *plan);

static inline bool jit_same_key(const struct jit_access *a, const struct jit_access *b)
{
	return a->base_origin == b->base_origin && a->index_origin == b->index_origin &&
	       a->scale == b->scale && a->seg == b->seg && a->rip == b->rip;
}
