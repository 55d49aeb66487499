/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stack pointer in the width that the mode gives it, and pushing with it: for instructions
 * outside of 64-bit mode or of unusual operand size. VP's thread.
 */
#pragma once

#include "x86/cpu.h"

static inline unsigned x86_stack_width(const struct x86_cpu *c)
{
	return c->mode & X86_MODE_LONG ? 64 : c->mode & X86_MODE_SS_B ? 32 : 16;
}

/* A stack pointer cut to the width in force. */
static inline u64 x86_stack_cut(const struct x86_cpu *c, u64 sp)
{
	if (c->mode & X86_MODE_LONG)
		return sp;
	return c->mode & X86_MODE_SS_B ? (u32)sp : (u16)sp;
}

/* Offset in SS of the top of the stack. */
static inline u64 x86_stack_pointer(const struct x86_cpu *c)
{
	return x86_stack_cut(c, c->r[R_SP]);
}

/* The stack pointer = sp. A 16-bit one leaves the rest of ESP alone. */
static inline void x86_stack_set(struct x86_cpu *c, u64 sp)
{
	if (c->mode & (X86_MODE_LONG | X86_MODE_SS_B))
		c->r[R_SP] = x86_stack_cut(c, sp);
	else
		*(x86_u16 *)&c->r[R_SP] = (u16)sp;
}

/* Up by that many bytes (down: negative). */
static inline void x86_stack_move(struct x86_cpu *c, u64 bytes)
{
	x86_stack_set(c, c->r[R_SP] + bytes);
}

/* Flat, with a 32-bit pointer: the usual stack outside of 64-bit mode needs no checks. */
static inline bool x86_stack_flat32(const struct x86_cpu *c, unsigned size)
{
	return size == 4 && (c->mode & (X86_MODE_FLAT | X86_MODE_SS_B)) ==
				    (X86_MODE_FLAT | X86_MODE_SS_B);
}

/* What is at offset sp of SS. */
static inline u64 x86_stack_at(struct x86_cpu *c, const struct x86_insn *i, u64 sp,
			       unsigned size)
{
	return x86_stack_flat32(c, size) ? x86_load32(c, i, sp)
					 : x86_stack_load(c, i, sp, size);
}

/* Push an operand of size bytes (2, 4, 8); the pointer moves after the store. */
static inline void x86_push(struct x86_cpu *c, const struct x86_insn *i, unsigned size,
			    u64 v)
{
	const u64 sp = x86_stack_cut(c, c->r[R_SP] - size);

	if (x86_stack_flat32(c, size))
		x86_store32(c, i, sp, (u32)v);
	else
		x86_stack_store(c, i, sp, size, v);
	x86_stack_set(c, sp);
}
