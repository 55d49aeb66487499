/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Native thunks: small routines that execute one guest instruction on the host. See vector.h for
 * the whole; this is the code memory and the writer of the routines.
 *
 * Code memory
 *	One memfd a process, mapped twice: writable (never executable) and executable (never
 *	writable), made before the jail closes, then sealed so that no third view can be
 *	writable. Routines are shared by all VPs: the same bytes are kept once. Nothing is ever
 *	taken out. When an eighth of the arena is used, thunk_make gives no more routines for
 *	particular registers; vector.c then asks for the form with standard registers (the handler
 *	moves the values): there are so few of these that they always fit.
 *
 * A thunk is called as void f(c, i, memory): RDI = the cpu, RSI = the record, RDX = the memory
 * operand. It may use RAX, RCX, RDX, R8, R9, the vector registers and the flags; RDI and RSI stay. The
 * registers it needs are loaded from fixed places in struct x86_cpu.
 *
 * Thread: any; making takes a lock.
 */
#pragma once

#include "base/err.h"
#include "x86/cpu.h"

typedef void (*thunk_fn)(struct x86_cpu *c, const struct x86_insn *i, const void *memory);

/* One vector register: which of the host's, which place in c->v, how wide. */
struct thunk_register {
	u8 host;
	u8 slot;
	bool load, store;
	bool wide; /* YMM; a store of VEX code always writes 32 bytes */
};

/* One general register that the instruction uses: host RAX, RCX or RDX for guest register `guest`. */
struct thunk_general {
	u8 host, guest;
	bool load, store;
};

struct thunk {
	u8 code[16]; /* the instruction as re-encoded */
	u8 size;
	u8 register_count, general_count;
	struct thunk_register registers[8];
	struct thunk_general generals[4];
	bool vex;
	bool memory_in_r9; /* RDX is needed for the instruction */
	bool mxcsr;	   /* depends on MXCSR */
	bool flags_in, flags_out;
	bool chain; /* no memory operand: the thunk is the handler and goes to the next record */
};

int thunk_open(struct err *err) MUST_CHECK;

/* The routine; NULL: no room left for particular ones (see above). standard: always gives one. */
thunk_fn thunk_make(const struct thunk *t, bool standard);

/* For tests: pretend the arena to be this small (0 = as it is). */
void thunk_limit(size_t bytes);
