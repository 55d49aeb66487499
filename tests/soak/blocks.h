/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random instruction blocks, executed by the host's processor, by the interpreter and by the
 * translator: all must end in the same state. The host is the oracle, since it is the same kind of
 * processor.
 *
 *	generate.c	a block of 1-8 user-mode instructions, and random registers
 *	flow.c		longer blocks with loops, calls, returns and indirect jumps in them
 *	native.c	a child process that executes batches of blocks on the host
 *	interpreter.c	the same batch by src/x86, with and without its translator
 *	compare.c	the differences, the instruction to blame, the words for it
 *	fuzz_blocks.c	the program: --seed, --count, --isa
 *
 * A block is code that ends in INT3, at the same linear address on both sides, in 64-bit mode at
 * CPL 3. It ends in the INT3's #BP or in an earlier exception. Memory that both sides have, and nothing else:
 *
 *	CODE_BASE	code, readable and executable
 *	WINDOW_BASE	two pages, readable and writable; neither neighbour is mapped
 *	READ_ONLY_BASE	one page, readable
 */
#pragma once

#include "base/types.h"

#define CODE_BASE 0x40000000ull
#define CODE_SLOT 1024u
#define WINDOW_BASE 0x50001000ull
#define WINDOW_SIZE 8192u
#define READ_ONLY_BASE 0x50005000ull
#define BATCH 128u
#define CODE_SIZE (BATCH * CODE_SLOT)
#define BLOCK_INSNS 96u
#define BLOCK_BYTES 408u

/* ISA_FLOW: not instructions, but blocks with control flow in them. */
enum {
	ISA_INTEGER = 1,
	ISA_X87 = 2,
	ISA_SSE = 4,
	ISA_AVX = 8,
	ISA_ALL = 15,
	ISA_FLOW = 16
};

struct block_state {
	u64 gpr[16];
	u64 rip, flags;
	u32 mxcsr;
	u16 fcw, fsw;
	u8 ftw; /* abridged, as in FXSAVE's image */
	u16 fop;
	u64 fip, fdp;
	u8 st[8][16]; /* ten bytes of each count */
	u8 ymm[16][32];
};

struct block {
	u64 seed; /* makes this block again */
	u64 rip;
	u8 code[BLOCK_BYTES + 7];
	unsigned size; /* with the INT3 */
	unsigned insns;
	u16 start[BLOCK_INSNS + 1]; /* offsets of the instructions and of the INT3 */
	bool rep_compare[BLOCK_INSNS];
	bool x87;	      /* has an x87 instruction */
	u8 jump[BLOCK_INSNS]; /* of a jump: where in it the displacement is; else 0 */
	u32 undefined_flags;  /* that may be left undefined */
	bool flow;	      /* made by flow.c: cannot be cut */
	struct block_state in;
};

/* How a block ended that did not come to an exception. */
enum {
	NATIVE_LOST = -1, /* the host's child died, or went on for ten seconds */
	OURS_ENDED = -2,  /* by anything but HLT at a handler */
	OURS_KICKED = -3, /* it went on for seconds */
};

struct outcome {
	struct block_state out;
	int vector; /* or NATIVE_LOST, OURS_... */
	u32 error_code;
	u64 address; /* CR2 of a #PF */
	u8 window[WINDOW_SIZE];
};

/* Ours. */
enum { INTERPRETER, TRANSLATOR, ENGINES };

/* What all sides share; the native child has it mapped, too. */
struct batch {
	unsigned count;
	u8 code[CODE_SIZE] __attribute__((aligned(4096)));
	u8 window[WINDOW_SIZE]; /* before each block */
	u8 read_only[4096];
	struct block blocks[BATCH];
	struct outcome native[BATCH], ours[ENGINES][BATCH];
	volatile unsigned current; /* which block the child is at */
	unsigned disturb; /* interrupt the child this often, in microseconds; 0: no */
};

/* xorshift64*: the same blocks on every machine. */
struct rng {
	u64 state;
};
u64 rng_next(struct rng *r);
static inline u64 rng_below(struct rng *r, u64 n)
{
	return rng_next(r) % n;
}
static inline bool rng_one_in(struct rng *r, u64 n)
{
	return rng_next(r) % n == 0;
}

/* generate.c */
void generate_init(void);
void generate_memory(struct batch *b, u64 seed);
void generate_block(struct block *k, unsigned slot, u64 seed, unsigned isa);
void block_place(struct batch *b, unsigned slot); /* into batch.code */
void block_cut(struct block *k, unsigned insns);  /* keep the first so many */
const char *block_text(const struct block *k, char *text, size_t size);
const char *insn_name(const struct block *k, unsigned insn);
/* Is this an instruction that blocks are not made of, since the host does it otherwise? In its own
 * code a block has near branches, and comes to what looks like an INT1. */
bool generate_excludes(const u8 *bytes, unsigned size, bool own);
/* Why an instruction that decodes is left out; NULL: it is not. For --excluded. */
void print_excluded(void);

/* ---- between generate.c and flow.c ---- */

#define ARITH 0x8d5u

struct progress {
	u32 undefined; /* flags that may be undefined now */
	u32 ever_undefined;
	bool jumped; /* a jump may skip what follows */
	/* flow.c's wishes for what add_insn() may choose: */
	bool no_jumps, no_undefined;
	bool keep_counters; /* R10 and R12 */
};

/* One random instruction behind the block's end, recorded in start[]. */
void add_insn(struct block *k, struct rng *r, unsigned isa, struct progress *p);
/* The block's instructions for these registers' purposes, at most `room` bytes with the INT3. */
void generate_flow(struct block *k, struct rng *r, unsigned isa, unsigned room,
		   struct progress *p);

/* native.c: the batch, and a child that lives on from batch to batch. 0 or negative errno. */
struct native;
int native_open(struct native **ret_native, struct batch **ret_batch);
/* Execute the batch from block `first` on, while the caller does something else. */
void native_begin(struct native *n, unsigned first);
/* false: the child died at batch.current, whose vector is NATIVE_LOST; begin again behind it. */
bool native_finish(struct native *n);
void native_close(struct native *n);

/* interpreter.c */
struct interpreter;
int interpreter_start(struct batch *b, unsigned engine,
		      struct interpreter **ret_interpreter);
void interpreter_run(struct interpreter *t);
void interpreter_stop(struct interpreter *t);
u64 interpreter_translations(const struct interpreter *t);

/* compare.c */
struct blocks_run {
	u64 seed, count;
	unsigned isa;
	bool keep_going;
	unsigned show;	/* differences to print in full */
	double seconds; /* stop after this long; 0 = never */
	/* Interrupt the host's blocks by a signal every so many microseconds: its kernel then saves and
	 * restores the registers in the middle of blocks. */
	unsigned disturb;
	/* results */
	u64 done, differences, instructions, lost;
	u64 translations; /* regions that the translator made */
	u64 strayed;	  /* blocks that came to bytes that are an excluded instruction */
	u64 forgotten; /* blocks in which the host's kernel forgot the x87 pointers; see compare.c */
	u64 vectors[33];
};
/* 0, or a negative errno when the sides could not be set up. */
int blocks_compare(struct blocks_run *run);
