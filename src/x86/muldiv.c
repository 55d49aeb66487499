/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MUL IMUL DIV IDIV MULX, and decimal arithmetic: DAA DAS AAA AAS AAM AAD.
 *
 * Division is checked first: #DE is raised from here, the host's own never happens. What DIV and
 * IDIV do to the flags is undefined; they stay. Intel SDM volume 2. VP's thread.
 */
#include "x86/alu_host.h"
#include "x86/integer.h"

/* Tables aligned by hand. */
/* clang-format off */

__extension__ typedef unsigned __int128 wide_u;
__extension__ typedef __int128 wide_s;

/* Four flags are undefined: left as they were, or what the host makes of them. */

/* ---- MUL, IMUL with the accumulator ---------------------------------------------------------- */

#define MULTIPLY(op, bits, s, A, D)                                                                \
	static ALWAYS_INLINE void op##_wide##bits(struct x86_cpu *c, u##bits v)                    \
	{                                                                                          \
		u64 low = c->r[R_AX], high, ax = c->flags;                                         \
		__asm__(HOST_FLAGS_IN "mov %1, %%rax\n\t" op##_name s                              \
			" %3\n\tmov %%rax, %1" HOST_FLAGS_OUT                                      \
			: "+&a"(ax), "+&r"(low), "=&d"(high) : "r"(v) : "cc");                     \
		c->flags = (u16)ax;                                                                \
		A;                                                                                 \
		D;                                                                                 \
	}                                                                                          \
	X86_SOURCE_HANDLERS(op##bits, bits, op##_wide##bits(c, v))

#define mul_name "mul"
#define imul_name "imul"
/* The 8-bit form's result is AX alone. */
MULTIPLY(mul, 8, "b", x86_put16(c, R_AX, (u16)low), (void)high)
MULTIPLY(imul, 8, "b", x86_put16(c, R_AX, (u16)low), (void)high)
MULTIPLY(mul, 16, "w", x86_put16(c, R_AX, (u16)low), x86_put16(c, R_DX, (u16)high))
MULTIPLY(imul, 16, "w", x86_put16(c, R_AX, (u16)low), x86_put16(c, R_DX, (u16)high))
MULTIPLY(mul, 32, "l", x86_put32(c, R_AX, (u32)low), x86_put32(c, R_DX, (u32)high))
MULTIPLY(imul, 32, "l", x86_put32(c, R_AX, (u32)low), x86_put32(c, R_DX, (u32)high))
MULTIPLY(mul, 64, "q", x86_put64(c, R_AX, low), x86_put64(c, R_DX, high))
MULTIPLY(imul, 64, "q", x86_put64(c, R_AX, low), x86_put64(c, R_DX, high))

/* ---- IMUL reg, r/m and IMUL reg, r/m, imm ----------------------------------------------------- */

#define IMUL_REG(bits, s)                                                                          \
	static ALWAYS_INLINE u##bits host_imul##bits(u##bits a, u##bits b, u16 *flags)             \
	{                                                                                          \
		u16 f = *flags;                                                                    \
		__asm__(HOST_FLAGS_IN "imul" s " %2, %0" HOST_FLAGS_OUT                            \
			: "+r"(a), "+&a"(f) : "r"(b) : "cc");                                      \
		*flags = f;                                                                        \
		return a;                                                                          \
	}                                                                                          \
	X86_SOURCE_HANDLERS(imul##bits##_reg, bits,                                                \
			    x86_put##bits(c, i->reg,                                               \
					  host_imul##bits(x86_get##bits(c, i->reg), v, &c->flags))) \
	X86_SOURCE_HANDLERS(imul##bits##_imm, bits,                                                \
			    x86_put##bits(c, i->reg,                                               \
					  host_imul##bits((u##bits)i->imm, v, &c->flags)))
IMUL_REG(16, "w")
IMUL_REG(32, "l")
IMUL_REG(64, "q")

/* ---- DIV, IDIV ------------------------------------------------------------------------------- */

static ALWAYS_INLINE void div_8(struct x86_cpu *c, const struct x86_insn *i, u8 v)
{
	const u16 n = (u16)c->r[R_AX];

	if (v == 0 || (n >> 8) >= v)
		x86_raise(c, i, X86_DE);
	x86_put16(c, R_AX, (u16)(((n % v) << 8) | (n / v)));
}

static ALWAYS_INLINE void div_16(struct x86_cpu *c, const struct x86_insn *i, u16 v)
{
	const u32 n = (u32)(c->r[R_DX] & 0xffff) << 16 | (u16)c->r[R_AX];

	if (v == 0 || (n >> 16) >= v)
		x86_raise(c, i, X86_DE);
	x86_put16(c, R_AX, (u16)(n / v));
	x86_put16(c, R_DX, (u16)(n % v));
}

static ALWAYS_INLINE void div_32(struct x86_cpu *c, const struct x86_insn *i, u32 v)
{
	const u64 n = c->r[R_DX] << 32 | (u32)c->r[R_AX];

	if (v == 0 || (n >> 32) >= v)
		x86_raise(c, i, X86_DE);
	x86_put32(c, R_AX, (u32)(n / v));
	x86_put32(c, R_DX, (u32)(n % v));
}

static ALWAYS_INLINE void div_64(struct x86_cpu *c, const struct x86_insn *i, u64 v)
{
	u64 low = c->r[R_AX], high = c->r[R_DX];

	/* Also v == 0. */
	if (high >= v)
		x86_raise(c, i, X86_DE);
	__asm__("divq %2" : "+a"(low), "+d"(high) : "r"(v) : "cc");
	c->r[R_AX] = low;
	c->r[R_DX] = high;
}

static ALWAYS_INLINE void idiv_8(struct x86_cpu *c, const struct x86_insn *i, u8 v)
{
	const s32 n = (s16)c->r[R_AX], by = (s8)v;

	if (by == 0 || n / by != (s8)(n / by))
		x86_raise(c, i, X86_DE);
	x86_put16(c, R_AX, (u16)((u8)(n % by) << 8 | (u8)(n / by)));
}

static ALWAYS_INLINE void idiv_16(struct x86_cpu *c, const struct x86_insn *i, u16 v)
{
	const s64 n = (s32)((u32)(c->r[R_DX] & 0xffff) << 16 | (u16)c->r[R_AX]);
	const s64 by = (s16)v;

	if (by == 0 || n / by != (s16)(n / by))
		x86_raise(c, i, X86_DE);
	x86_put16(c, R_AX, (u16)(n / by));
	x86_put16(c, R_DX, (u16)(n % by));
}

static ALWAYS_INLINE void idiv_32(struct x86_cpu *c, const struct x86_insn *i, u32 v)
{
	const s64 n = (s64)(c->r[R_DX] << 32 | (u32)c->r[R_AX]);
	const s64 by = (s32)v;

	/* -2^63 / -1 does not even fit 64 bits. */
	if (by == 0 || (n == INT64_MIN && by == -1) || n / by != (s32)(n / by))
		x86_raise(c, i, X86_DE);
	x86_put32(c, R_AX, (u32)(n / by));
	x86_put32(c, R_DX, (u32)(n % by));
}

/* Does the quotient fit? By magnitudes: it must be below 2^63, or 2^63 itself if negative. */
static bool idiv_64_fits(u64 high, u64 low, u64 v)
{
	const bool negative = (s64)high < 0, by_negative = (s64)v < 0;
	wide_u n = (wide_u)high << 64 | low;
	u64 by = by_negative ? -v : v, rest, quotient;

	if (negative)
		n = -n;
	if (by == 0 || (u64)(n >> 64) >= by)
		return false;
	__asm__("divq %4" : "=a"(quotient), "=d"(rest)
		: "0"((u64)n), "1"((u64)(n >> 64)), "r"(by) : "cc");
	return quotient <= (u64)INT64_MAX + (negative != by_negative);
}

static ALWAYS_INLINE void idiv_64(struct x86_cpu *c, const struct x86_insn *i, u64 v)
{
	u64 low = c->r[R_AX], high = c->r[R_DX];

	/* The usual case is CQO before: no need to divide twice. */
	if (UNLIKELY(v + 1 <= 1 || high != (u64)((s64)low >> 63)) && !idiv_64_fits(high, low, v))
		x86_raise(c, i, X86_DE);
	__asm__("idivq %2" : "+a"(low), "+d"(high) : "r"(v) : "cc");
	c->r[R_AX] = low;
	c->r[R_DX] = high;
}

#define DIVIDE(bits)                                                                               \
	X86_SOURCE_HANDLERS(div##bits, bits, div_##bits(c, i, v))                                  \
	X86_SOURCE_HANDLERS(idiv##bits, bits, idiv_##bits(c, i, v))
DIVIDE(8)
DIVIDE(16)
DIVIDE(32)
DIVIDE(64)

enum { MUL, IMUL, DIV, IDIV };

#define ROW(op) { X86_SOURCE(op##8), X86_SOURCE(op##16), X86_SOURCE(op##32), X86_SOURCE(op##64) }
static const struct x86_source_fns accumulator[][4] = {
	[MUL] = ROW(mul),
	[IMUL] = ROW(imul),
	[DIV] = ROW(div),
	[IDIV] = ROW(idiv),
};
static const struct x86_source_fns imul_reg[4] = {
	{ NULL, NULL }, X86_SOURCE(imul16_reg), X86_SOURCE(imul32_reg), X86_SOURCE(imul64_reg)
};
static const struct x86_source_fns imul_imm[4] = {
	{ NULL, NULL }, X86_SOURCE(imul16_imm), X86_SOURCE(imul32_imm), X86_SOURCE(imul64_imm)
};

static bool choose_accumulator(const struct x86_decoded *d, struct x86_insn *i, unsigned op)
{
	return x86_choose_source(d, 0, i, &accumulator[op][x86_width_index(d->op[0].size)]);
}

static bool choose_imul(const struct x86_decoded *d, struct x86_insn *i)
{
	const unsigned w = x86_width_index(d->op[0].size);

	if (d->insn.operand_count_visible == 1)
		return choose_accumulator(d, i, IMUL);
	i->reg = x86_choose_reg(&d->op[0]);
	if (d->insn.operand_count_visible == 2)
		return x86_choose_source(d, 1, i, &imul_reg[w]);
	i->imm = d->op[2].imm.value.u;
	return x86_choose_source(d, 1, i, &imul_imm[w]);
}

/* ---- MULX: low half to extra, high half to reg, in this order when they are the same ---------- */

static ALWAYS_INLINE void mulx_32(struct x86_cpu *c, const struct x86_insn *i, u32 v)
{
	const u64 product = (u64)(u32)c->r[R_DX] * v;

	c->r[i->extra] = (u32)product;
	c->r[i->reg] = product >> 32;
}

static ALWAYS_INLINE void mulx_64(struct x86_cpu *c, const struct x86_insn *i, u64 v)
{
	const wide_u product = (wide_u)c->r[R_DX] * v;

	c->r[i->extra] = (u64)product;
	c->r[i->reg] = (u64)(product >> 64);
}

X86_SOURCE_HANDLERS(mulx32, 32, mulx_32(c, i, v))
X86_SOURCE_HANDLERS(mulx64, 64, mulx_64(c, i, v))

static bool choose_mulx(const struct x86_decoded *d, struct x86_insn *i)
{
	static const struct x86_source_fns fns[2] = { X86_SOURCE(mulx32), X86_SOURCE(mulx64) };

	if (!x86_allows_vex(d) || !__builtin_cpu_supports("bmi2"))
		return false;
	i->reg = x86_choose_reg(&d->op[0]);
	i->extra = x86_choose_reg(&d->op[1]);
	return x86_choose_source(d, 2, i, &fns[d->op[0].size == 64]);
}

/* ---- decimal arithmetic, not in 64-bit mode --------------------------------------------------- */

/* SF, ZF and PF of a byte, and the AF and CF given; OF is undefined: 0. */
static void decimal_flags(struct x86_cpu *c, u8 v, bool af, bool cf)
{
	c->ah = (u8)((v & X86_SF) | (v == 0 ? X86_ZF : 0) |
		     (__builtin_parity(v) ? 0 : X86_PF_FLAG) | (af ? X86_AF : 0) | (cf ? X86_CF : 0));
	c->of = 0;
}

static void adjust_packed(struct x86_cpu *c, int sign)
{
	const u8 al = (u8)c->r[R_AX];
	const bool af = (al & 15) > 9 || (c->ah & X86_AF);
	const bool high = al > 0x99 || (c->ah & X86_CF);
	const u8 v = (u8)(al + sign * ((af ? 6 : 0) + (high ? 0x60 : 0)));
	/* DAS: the low half's borrow counts as well. */
	const bool borrow = sign < 0 && af && al < 6;

	x86_put8(c, 8 * R_AX, v);
	decimal_flags(c, v, af, high || borrow);
}

X86_HANDLER(daa)
{
	adjust_packed(c, 1);
	NEXT(c, i);
}
X86_HANDLER(das)
{
	adjust_packed(c, -1);
	NEXT(c, i);
}

static void adjust_unpacked(struct x86_cpu *c, int sign)
{
	u16 ax = (u16)c->r[R_AX];
	const bool adjust = (ax & 15) > 9 || (c->ah & X86_AF);

	if (adjust)
		ax = (u16)(ax + sign * 0x106);
	ax &= 0xff0f;
	x86_put16(c, R_AX, ax);
	decimal_flags(c, (u8)ax, adjust, adjust);
}

X86_HANDLER(aaa)
{
	adjust_unpacked(c, 1);
	NEXT(c, i);
}
X86_HANDLER(aas)
{
	adjust_unpacked(c, -1);
	NEXT(c, i);
}

X86_HANDLER(aam)
{
	const u8 al = (u8)c->r[R_AX], by = (u8)i->imm;

	if (by == 0)
		x86_raise(c, i, X86_DE);
	x86_put16(c, R_AX, (u16)((al / by) << 8 | al % by));
	decimal_flags(c, al % by, false, false);
	NEXT(c, i);
}

X86_HANDLER(aad)
{
	const u16 ax = (u16)c->r[R_AX];
	const u8 v = (u8)(ax + (ax >> 8) * (u8)i->imm);

	x86_put16(c, R_AX, v);
	decimal_flags(c, v, false, false);
	NEXT(c, i);
}

static bool choose_decimal(const struct x86_decoded *d, struct x86_insn *i, x86_fn fn)
{
	if (d->mode & X86_MODE_LONG)
		return false;
	if (x86_decode_is_imm(d, 0))
		i->imm = d->op[0].imm.value.u;
	return x86_choose_fn(i, fn);
}

bool x86_choose_muldiv(const struct x86_decoded *d, struct x86_insn *i)
{
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_MUL: return choose_accumulator(d, i, MUL);
	case ZYDIS_MNEMONIC_IMUL: return choose_imul(d, i);
	case ZYDIS_MNEMONIC_DIV: return choose_accumulator(d, i, DIV);
	case ZYDIS_MNEMONIC_IDIV: return choose_accumulator(d, i, IDIV);
	case ZYDIS_MNEMONIC_MULX: return choose_mulx(d, i);
	case ZYDIS_MNEMONIC_DAA: return choose_decimal(d, i, daa);
	case ZYDIS_MNEMONIC_DAS: return choose_decimal(d, i, das);
	case ZYDIS_MNEMONIC_AAA: return choose_decimal(d, i, aaa);
	case ZYDIS_MNEMONIC_AAS: return choose_decimal(d, i, aas);
	case ZYDIS_MNEMONIC_AAM: return choose_decimal(d, i, aam);
	case ZYDIS_MNEMONIC_AAD: return choose_decimal(d, i, aad);
	default: return false;
	}
}
