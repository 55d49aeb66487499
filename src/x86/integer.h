/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the integer handlers are made of: register access by width, conditions, and the three
 * handlers of each instruction with a memory operand:
 *
 *	plain	[base + disp], no segment base: most of them
 *	full	every other 64-bit or flat address
 *	slow	what the first two jump to on a TLB miss, and the handler of addresses that need
 *		x86_ea_slow(): may call out
 *
 * plain and full are leaves without a stack frame; everything that could call is a tail call. A
 * handler that has jumped to `slow` has changed nothing before.
 *
 * The X86_..._HANDLERS macros define NAME_plain, NAME_full and NAME_slow, and NAME, the array of
 * the three for x86_choose_memory(). Their last argument is the instruction itself.
 *
 * Used by alu.c, move.c, shift.c, muldiv.c, bits.c, atomic.c, control.c, stack.c. VP's thread.
 */
#pragma once

/* Tables aligned by hand. */
/* clang-format off */

#include "x86/cpu.h"
#include "x86/decode.h"

#define X86_HANDLER(name) static void name(struct x86_cpu *c, const struct x86_insn *i)
#define X86_SLOW_HANDLER(name) \
	static NOINLINE COLD void name(struct x86_cpu *c, const struct x86_insn *i)

/* ---- registers: number n, but byte offset n for 8 bits --------------------------------------- */

static ALWAYS_INLINE u8 x86_get8(const struct x86_cpu *c, unsigned n) { return ((const u8 *)c->r)[n]; }
static ALWAYS_INLINE u16 x86_get16(const struct x86_cpu *c, unsigned n) { return (u16)c->r[n]; }
static ALWAYS_INLINE u32 x86_get32(const struct x86_cpu *c, unsigned n) { return (u32)c->r[n]; }
static ALWAYS_INLINE u64 x86_get64(const struct x86_cpu *c, unsigned n) { return c->r[n]; }
static ALWAYS_INLINE void x86_put8(struct x86_cpu *c, unsigned n, u8 v) { ((u8 *)c->r)[n] = v; }
static ALWAYS_INLINE void x86_put16(struct x86_cpu *c, unsigned n, u16 v) { *(x86_u16 *)&c->r[n] = v; }
static ALWAYS_INLINE void x86_put32(struct x86_cpu *c, unsigned n, u32 v) { c->r[n] = v; }
static ALWAYS_INLINE void x86_put64(struct x86_cpu *c, unsigned n, u64 v) { c->r[n] = v; }

/* By a width known at run time: for what is rare. bits is 8, 16, 32 or 64. */
static inline u64 x86_get(const struct x86_cpu *c, unsigned n, unsigned bits)
{
	switch (bits) {
	case 8: return x86_get8(c, n);
	case 16: return x86_get16(c, n);
	case 32: return x86_get32(c, n);
	default: return c->r[n];
	}
}

static inline void x86_put(struct x86_cpu *c, unsigned n, unsigned bits, u64 v)
{
	switch (bits) {
	case 8: x86_put8(c, n, (u8)v); break;
	case 16: x86_put16(c, n, (u16)v); break;
	case 32: x86_put32(c, n, (u32)v); break;
	default: c->r[n] = v;
	}
}

static inline u64 x86_mask(unsigned bits)
{
	return bits == 64 ? ~0ull : (1ull << bits) - 1;
}

/* ---- conditions: the low four bits of Jcc, SETcc and CMOVcc ---------------------------------- */

static ALWAYS_INLINE bool x86_condition(const struct x86_cpu *c, unsigned cc)
{
	bool yes;

	switch (cc >> 1) {
	case 0: yes = c->of; break;
	case 1: yes = c->ah & X86_CF; break;
	case 2: yes = c->ah & X86_ZF; break;
	case 3: yes = c->ah & (X86_CF | X86_ZF); break;
	case 4: yes = c->ah & X86_SF; break;
	case 5: yes = c->ah & X86_PF_FLAG; break;
	case 6: yes = (c->ah >> 7) != c->of; break;
	default: yes = (c->ah >> 7) != c->of || (c->ah & X86_ZF); break;
	}
	return yes != (cc & 1);
}

/* ---- addresses and the TLB ------------------------------------------------------------------- */

#define X86_EA_plain(c, i) ((c)->r[(i)->base] + (u64)(s64)(i)->disp)
#define X86_EA_full(c, i)                                                                          \
	((c)->r[(i)->base] + ((c)->r[(i)->index] << (i)->scale) + (u64)(s64)(i)->disp +            \
	 (c)->seg_base[(i)->seg])

/* The address `by` bytes beside the memory operand; it wraps with the address size. */
static inline gva_t x86_ea_beside(struct x86_cpu *c, const struct x86_insn *i, s64 by,
				  unsigned size, bool write)
{
	u64 offset = x86_ea_offset(c, i) + (u64)by;

	if (i->flags & X86_INSN_ADDR32)
		offset = (u32)offset;
	else if (i->flags & X86_INSN_ADDR16)
		offset = (u16)offset;
	return x86_linear(c, i, i->seg, offset, size, write);
}

/* After a store through e: on, unless it hit code. */
#define X86_STORED(bits, e, a)                                                                     \
	do {                                                                                       \
		if (UNLIKELY(atomic_load_explicit((e)->code, memory_order_relaxed))) {             \
			x86_code_written_next##bits(c, i, a);                                           \
			return;                                                                    \
		}                                                                                  \
	} while (0)

/* v = the memory operand; then the instruction. */
#define X86_LOAD_FAST(name, form, bits, ...)                                                       \
	X86_HANDLER(name##_##form)                                                                 \
	{                                                                                          \
		const gva_t a = X86_EA_##form(c, i);                                               \
		const struct x86_tlb_entry *e = x86_tlb_at(c, a);                                     \
                                                                                                   \
		if (UNLIKELY(x86_tlb_tag(c, a, bits / 8) != e->read_tag)) {                            \
			name##_slow(c, i);                                                         \
			return;                                                                    \
		}                                                                                  \
		const u##bits v = *(const volatile x86_u##bits *)(a + e->addend);                  \
		__VA_ARGS__;                                                                       \
		NEXT(c, i);                                                                        \
	}
#define X86_LOAD_HANDLERS(name, bits, ...)                                                         \
	X86_SLOW_HANDLER(name##_slow)                                                              \
	{                                                                                          \
		const gva_t a = x86_ea(c, i, bits / 8, false);                                     \
		const u##bits v = x86_load##bits(c, i, a);                                         \
		__VA_ARGS__;                                                                       \
		NEXT(c, i);                                                                        \
	}                                                                                          \
	X86_LOAD_FAST(name, plain, bits, __VA_ARGS__)                                              \
	X86_LOAD_FAST(name, full, bits, __VA_ARGS__)                                               \
	static const x86_fn name[3] = { name##_plain, name##_full, name##_slow };

/* The memory operand = value, an expression. */
#define X86_STORE_FAST(name, form, bits, value)                                                    \
	X86_HANDLER(name##_##form)                                                                 \
	{                                                                                          \
		const gva_t a = X86_EA_##form(c, i);                                               \
		const struct x86_tlb_entry *e = x86_tlb_at(c, a);                                     \
                                                                                                   \
		if (UNLIKELY(x86_tlb_tag(c, a, bits / 8) != e->write_tag)) {                           \
			name##_slow(c, i);                                                         \
			return;                                                                    \
		}                                                                                  \
		*(volatile x86_u##bits *)(a + e->addend) = (u##bits)(value);                       \
		X86_STORED(bits, e, a);                                                            \
		NEXT(c, i);                                                                        \
	}
#define X86_STORE_HANDLERS(name, bits, value)                                                      \
	X86_SLOW_HANDLER(name##_slow)                                                              \
	{                                                                                          \
		x86_store##bits(c, i, x86_ea(c, i, bits / 8, true), (u##bits)(value));             \
		NEXT(c, i);                                                                        \
	}                                                                                          \
	X86_STORE_FAST(name, plain, bits, value)                                                   \
	X86_STORE_FAST(name, full, bits, value)                                                    \
	static const x86_fn name[3] = { name##_plain, name##_full, name##_slow };

/*
 * p points to the memory operand, which the instruction reads and always writes. Nothing in it can
 * fault. Where memory is no plain page, p points to a copy; with `lock` (true or false) the copy
 * is taken and put back under the VM's split lock.
 */
#define X86_MODIFY_FAST(name, form, bits, ...)                                                     \
	X86_HANDLER(name##_##form)                                                                 \
	{                                                                                          \
		const gva_t a = X86_EA_##form(c, i);                                               \
		const struct x86_tlb_entry *e = x86_tlb_at(c, a);                                     \
                                                                                                   \
		if (UNLIKELY(x86_tlb_tag(c, a, bits / 8) != e->write_tag)) {                           \
			name##_slow(c, i);                                                         \
			return;                                                                    \
		}                                                                                  \
		x86_u##bits *const p = (x86_u##bits *)(a + e->addend);                             \
		__VA_ARGS__;                                                                       \
		X86_STORED(bits, e, a);                                                            \
		NEXT(c, i);                                                                        \
	}
#define X86_MODIFY_SLOW(name, bits, lock, ...)                                                     \
	X86_SLOW_HANDLER(name##_slow)                                                              \
	{                                                                                          \
		const gva_t a = x86_ea(c, i, bits / 8, true);                                      \
		x86_u##bits *p = x86_pointer_for_write(c, i, a, bits / 8);                         \
                                                                                                   \
		if (p) {                                                                           \
			__VA_ARGS__;                                                               \
			x86_code_check(c, a, bits / 8);                                            \
		} else {                                                                           \
			u##bits copy = (u##bits)(lock ? x86_split_begin(c, i, a, bits / 8, NULL) :     \
							x86_load_rmw_slow(c, i, a, bits / 8)); \
			p = (x86_u##bits *)&copy;                                                  \
			__VA_ARGS__;                                                               \
			if (lock)                                                                  \
				x86_split_end(c, i, a, bits / 8, copy, NULL);                      \
			else                                                                       \
				x86_store##bits(c, i, a, copy);                                    \
		}                                                                                  \
		NEXT(c, i);                                                                        \
	}
#define X86_MODIFY_HANDLERS(name, bits, ...)                                                       \
	X86_MODIFY_SLOW(name, bits, false, __VA_ARGS__)                                            \
	X86_MODIFY_FAST(name, plain, bits, __VA_ARGS__)                                            \
	X86_MODIFY_FAST(name, full, bits, __VA_ARGS__)                                             \
	static const x86_fn name[3] = { name##_plain, name##_full, name##_slow };
/* Atomic ones are rarer: no plain form. */
#define X86_ATOMIC_HANDLERS(name, bits, ...)                                                       \
	X86_MODIFY_SLOW(name, bits, true, __VA_ARGS__)                                             \
	X86_MODIFY_FAST(name, full, bits, __VA_ARGS__)                                             \
	static const x86_fn name[3] = { name##_full, name##_full, name##_slow };

/* A source operand in a register or in memory, `v` in either: NAME_r and NAME_m. */
#define X86_SOURCE_HANDLERS(name, bits, ...)                                                       \
	X86_HANDLER(name##_r)                                                                      \
	{                                                                                          \
		const u##bits v = x86_get##bits(c, i->rm);                                         \
		__VA_ARGS__;                                                                       \
		NEXT(c, i);                                                                        \
	}                                                                                          \
	X86_LOAD_HANDLERS(name##_m, bits, __VA_ARGS__)

struct x86_source_fns {
	x86_fn r;
	const x86_fn *m;
};
#define X86_SOURCE(name) { name##_r, name##_m }

/* ---- choosing -------------------------------------------------------------------------------- */

/* Index of a width in the tables: 8, 16, 32, 64 -> 0 to 3. */
static inline unsigned x86_width_index(unsigned bits)
{
	return bits == 8 ? 0 : bits == 16 ? 1 : bits == 32 ? 2 : 3;
}

/* A register operand as handlers of this width want it. */
static inline u8 x86_choose_reg(const ZydisDecodedOperand *op)
{
	return (u8)(op->size == 8 ? x86_decode_reg8(op->reg.value) : x86_decode_reg(op->reg.value));
}

/* Take the memory operand and the one handler of the three that fits it. */
static inline bool x86_choose_memory(const struct x86_decoded *d, unsigned n, struct x86_insn *i,
				     const x86_fn fns[3])
{
	x86_decode_memory(d, &d->op[n], i);
	if (x86_decode_is_moffs64(d) || !x86_decode_flat(d, i))
		i->fn = fns[2];
	else if (i->index == R_ZERO && i->seg == SEG_FLAT)
		i->fn = fns[0];
	else
		i->fn = fns[1];
	return true;
}

static inline bool x86_choose_fn(struct x86_insn *i, x86_fn fn)
{
	i->fn = fn;
	return fn != NULL;
}

static inline bool x86_is_locked(const struct x86_decoded *d)
{
	return d->insn.attributes & ZYDIS_ATTRIB_HAS_LOCK;
}

static inline bool x86_choose_source(const struct x86_decoded *d, unsigned n, struct x86_insn *i,
				     const struct x86_source_fns *fns)
{
	if (x86_decode_is_memory(d, n))
		return fns->m && x86_choose_memory(d, n, i, fns->m);
	i->rm = x86_choose_reg(&d->op[n]);
	return x86_choose_fn(i, fns->r);
}

/* VEX encodings exist in protected mode only. */
static inline bool x86_allows_vex(const struct x86_decoded *d)
{
	return (d->mode & X86_MODE_PE) && !(d->mode & X86_MODE_V86);
}

/* The condition of a record that is a conditional jump which x86_fuse() can take along, or -1. */
int x86_jump_condition(const struct x86_insn *i);

/* The families of x86_choose_integer(), each in the file of its name. */
bool x86_choose_alu(const struct x86_decoded *d, struct x86_insn *i);
bool x86_choose_move(const struct x86_decoded *d, struct x86_insn *i);
bool x86_choose_shift(const struct x86_decoded *d, struct x86_insn *i);
bool x86_choose_muldiv(const struct x86_decoded *d, struct x86_insn *i);
bool x86_choose_bits(const struct x86_decoded *d, struct x86_insn *i);
bool x86_choose_atomic(const struct x86_decoded *d, struct x86_insn *i);
bool x86_choose_plain(const struct x86_decoded *d, struct x86_insn *i);
bool x86_choose_stack(const struct x86_decoded *d, struct x86_insn *i);
