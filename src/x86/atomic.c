/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exchanges: XCHG with memory (always atomic), XADD, CMPXCHG, CMPXCHG8B and CMPXCHG16B, with and
 * without LOCK. The host's own instructions work on the page itself; what crosses a page or is no
 * plain memory goes under the VM's split lock. The other LOCK forms are with their families.
 *
 * CMPXCHG always writes: the old value when it does not match. Intel SDM volume 2. VP's thread.
 */
#include "x86/integer.h"

/* Tables aligned by hand. */
/* clang-format off */

#define FLAGS_OUT "\n\tlahf\n\tseto %%al"

/* ---- XCHG, XADD ------------------------------------------------------------------------------ */

/* XCHG has a LOCK of its own. */
#define EXCHANGE(bits, s)                                                                          \
	static ALWAYS_INLINE u##bits host_xchg##bits(x86_u##bits *p, u##bits v)                    \
	{                                                                                          \
		__asm__ volatile("xchg" s " %1, %0" : "+m"(*p), "+r"(v) : : "memory");             \
		return v;                                                                          \
	}                                                                                          \
	X86_ATOMIC_HANDLERS(xchg##bits, bits,                                                      \
			    x86_put##bits(c, i->reg, host_xchg##bits(p, x86_get##bits(c, i->reg)))) \
	static ALWAYS_INLINE u##bits host_lock_xadd##bits(x86_u##bits *p, u##bits v, u16 *flags)   \
	{                                                                                          \
		u16 f;                                                                             \
		__asm__ volatile("lock xadd" s " %1, %0" FLAGS_OUT                                 \
				 : "+m"(*p), "+r"(v), "=&a"(f) : : "cc", "memory");                \
		*flags = f;                                                                        \
		return v;                                                                          \
	}                                                                                          \
	X86_ATOMIC_HANDLERS(xadd##bits##_m, bits,                                                  \
			    x86_put##bits(c, i->reg,                                               \
					  host_lock_xadd##bits(p, x86_get##bits(c, i->reg),        \
							       &c->flags)))                        \
	X86_HANDLER(xadd##bits##_r)                                                                \
	{                                                                                          \
		u##bits to = x86_get##bits(c, i->rm), v = x86_get##bits(c, i->reg);                \
		u16 f;                                                                             \
		__asm__("xadd" s " %1, %0" FLAGS_OUT : "+r"(to), "+r"(v), "=&a"(f) : : "cc");      \
		c->flags = f;                                                                      \
		/* The sum last: it wins where both are one register. */                           \
		x86_put##bits(c, i->reg, v);                                                       \
		x86_put##bits(c, i->rm, to);                                                       \
		NEXT(c, i);                                                                        \
	}
EXCHANGE(8, "b")
EXCHANGE(16, "w")
EXCHANGE(32, "l")
EXCHANGE(64, "q")

static bool choose_xchg(const struct x86_decoded *d, struct x86_insn *i)
{
	static const x86_fn *const fns[4] = { xchg8, xchg16, xchg32, xchg64 };
	const unsigned memory = x86_decode_is_memory(d, 0) ? 0 : 1;

	if (!x86_decode_is_memory(d, memory))
		return false;
	i->reg = x86_choose_reg(&d->op[1 - memory]);
	return x86_choose_memory(d, memory, i, fns[x86_width_index(d->op[0].size)]);
}

static bool choose_xadd(const struct x86_decoded *d, struct x86_insn *i)
{
	static const x86_fn *const m[4] = { xadd8_m, xadd16_m, xadd32_m, xadd64_m };
	static const x86_fn r[4] = { xadd8_r, xadd16_r, xadd32_r, xadd64_r };
	const unsigned w = x86_width_index(d->op[0].size);

	i->reg = x86_choose_reg(&d->op[1]);
	if (x86_decode_is_memory(d, 0))
		return x86_choose_memory(d, 0, i, m[w]);
	i->rm = x86_choose_reg(&d->op[0]);
	return x86_choose_fn(i, r[w]);
}

/* ---- CMPXCHG: whole registers in and out, so that the host decides on upper halves ------------ */

#define COMPARE_EXCHANGE_AT(name, lock, bits, s, k)                                                \
	static ALWAYS_INLINE void host_##name##bits(struct x86_cpu *c, x86_u##bits *p, u64 v)      \
	{                                                                                          \
		u64 accumulator = c->r[R_AX], ax;                                                  \
		__asm__ volatile(lock "cmpxchg" s " %" k "3, %0\n\tmov %%rax, %1" FLAGS_OUT        \
				 : "+m"(*p), "=&r"(accumulator), "=&a"(ax)                         \
				 : "r"(v), "2"(accumulator) : "cc", "memory");                     \
		c->flags = (u16)ax;                                                                \
		c->r[R_AX] = accumulator;                                                          \
	}

#define COMPARE_EXCHANGE(bits, s, k)                                                               \
	COMPARE_EXCHANGE_AT(cmpxchg, "", bits, s, k)                                               \
	COMPARE_EXCHANGE_AT(lock_cmpxchg, "lock ", bits, s, k)                                     \
	X86_MODIFY_HANDLERS(cmpxchg##bits##_m, bits,                                               \
			    host_cmpxchg##bits(c, p, x86_get##bits(c, i->reg)))                    \
	X86_ATOMIC_HANDLERS(cmpxchg##bits##_lock_m, bits,                                          \
			    host_lock_cmpxchg##bits(c, p, x86_get##bits(c, i->reg)))               \
	X86_HANDLER(cmpxchg##bits##_r)                                                             \
	{                                                                                          \
		u64 accumulator = c->r[R_AX], ax;                                                  \
		const unsigned shift = bits == 8 && (i->rm & 1) ? 8 : 0;                           \
		u64 *const at = &c->r[bits == 8 ? i->rm >> 3 : i->rm];                             \
		const u64 whole = *at;                                                             \
		u64 to = whole >> shift;                                                           \
		__asm__("cmpxchg" s " %" k "3, %" k "0\n\tmov %%rax, %1" FLAGS_OUT                 \
			: "+r"(to), "=&r"(accumulator), "=&a"(ax)                                  \
			: "r"((u64)x86_get##bits(c, i->reg)), "2"(accumulator) : "cc");            \
		c->flags = (u16)ax;                                                                \
		c->r[R_AX] = accumulator;                                                          \
		/* The destination is written last, but only if they matched: it may be AX. */     \
		if (c->ah & X86_ZF) {                                                              \
			if (bits == 8)                                                             \
				x86_put8(c, i->rm, (u8)to);                                        \
			else                                                                       \
				*at = to;                                                          \
		} else if (bits == 32 && at != &c->r[R_AX]) {                                      \
			*at = to;                                                                  \
		}                                                                                  \
		NEXT(c, i);                                                                        \
	}
COMPARE_EXCHANGE(8, "b", "b")
COMPARE_EXCHANGE(16, "w", "w")
COMPARE_EXCHANGE(32, "l", "k")
COMPARE_EXCHANGE(64, "q", "q")

static bool choose_cmpxchg(const struct x86_decoded *d, struct x86_insn *i)
{
	static const struct {
		x86_fn r;
		const x86_fn *m, *lock_m;
	} fns[4] = {
		{ cmpxchg8_r, cmpxchg8_m, cmpxchg8_lock_m },
		{ cmpxchg16_r, cmpxchg16_m, cmpxchg16_lock_m },
		{ cmpxchg32_r, cmpxchg32_m, cmpxchg32_lock_m },
		{ cmpxchg64_r, cmpxchg64_m, cmpxchg64_lock_m },
	};
	const unsigned w = x86_width_index(d->op[0].size);

	i->reg = x86_choose_reg(&d->op[1]);
	if (x86_decode_is_memory(d, 0))
		return x86_choose_memory(d, 0, i, x86_is_locked(d) ? fns[w].lock_m : fns[w].m);
	i->rm = x86_choose_reg(&d->op[0]);
	return x86_choose_fn(i, fns[w].r);
}

/* ---- CMPXCHG8B, CMPXCHG16B: ZF alone changes -------------------------------------------------- */

static void set_zf(struct x86_cpu *c, bool zf)
{
	c->ah = (u8)((c->ah & ~X86_ZF) | (zf ? X86_ZF : 0));
}

X86_HANDLER(cmpxchg8b)
{
	const gva_t a = x86_ea(c, i, 8, true);
	const u64 expected = c->r[R_DX] << 32 | (u32)c->r[R_AX];
	const u64 wanted = c->r[R_CX] << 32 | (u32)c->r[R_BX];
	x86_u64 *p = x86_pointer_for_write(c, i, a, 8);
	u64 old = expected;

	if (p) {
		__asm__ volatile("lock cmpxchgq %2, %0" : "+m"(*p), "+a"(old) : "r"(wanted)
				 : "cc", "memory");
		x86_code_check(c, a, 8);
	} else {
		old = x86_split_begin(c, i, a, 8, NULL);
		x86_split_end(c, i, a, 8, old == expected ? wanted : old, NULL);
	}
	set_zf(c, old == expected);
	if (old != expected) {
		x86_put32(c, R_AX, (u32)old);
		x86_put32(c, R_DX, (u32)(old >> 32));
	}
	NEXT(c, i);
}

X86_HANDLER(cmpxchg16b)
{
	const gva_t a = x86_ea(c, i, 16, true);
	const u64 expected[2] = { c->r[R_AX], c->r[R_DX] };
	const u64 wanted[2] = { c->r[R_BX], c->r[R_CX] };
	u64 old[2] = { expected[0], expected[1] };
	struct pair {
		u64 half[2];
	} *p;
	bool same;

	if (a & 15)
		x86_raise_code(c, i, X86_GP, 0);
	p = x86_pointer_for_write(c, i, a, 16);
	if (p) {
		__asm__ volatile("lock cmpxchg16b %0"
				 : "+m"(*p), "+a"(old[0]), "+d"(old[1])
				 : "b"(wanted[0]), "c"(wanted[1]) : "cc", "memory");
		x86_code_check(c, a, 16);
		same = old[0] == expected[0] && old[1] == expected[1];
	} else {
		x86_split_begin(c, i, a, 16, old);
		same = old[0] == expected[0] && old[1] == expected[1];
		x86_split_end(c, i, a, 16, 0, same ? wanted : old);
	}
	set_zf(c, same);
	if (!same) {
		c->r[R_AX] = old[0];
		c->r[R_DX] = old[1];
	}
	NEXT_BY_LOOP(c, i);
}

bool x86_choose_atomic(const struct x86_decoded *d, struct x86_insn *i)
{
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_XCHG: return choose_xchg(d, i);
	case ZYDIS_MNEMONIC_XADD: return choose_xadd(d, i);
	case ZYDIS_MNEMONIC_CMPXCHG: return choose_cmpxchg(d, i);
	case ZYDIS_MNEMONIC_CMPXCHG8B:
		x86_decode_memory(d, &d->op[0], i);
		return x86_choose_fn(i, cmpxchg8b);
	case ZYDIS_MNEMONIC_CMPXCHG16B:
		x86_decode_memory(d, &d->op[0], i);
		return x86_choose_fn(i, cmpxchg16b);
	default: return false;
	}
}
