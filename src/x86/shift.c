/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shifts and rotates: ROL ROR RCL RCR SHL SHR SAR by an immediate, by 1 and by CL, SHLD SHRD, and
 * BMI2's RORX SARX SHLX SHRX. The host does the work with the guest's flags in its own, so a count
 * of 0 leaves them alone and what is undefined is what the host leaves.
 *
 * A count of 0 still clears the upper half of a 32-bit destination and still writes memory.
 * Intel SDM volume 2. VP's thread.
 */
#include "x86/alu_host.h"
#include "x86/integer.h"

/* Tables aligned by hand. */
/* clang-format off */

struct shift_forms {
	x86_fn ri, rc, ri_some;
	const x86_fn *mi, *mc;
};

#define SHIFT(op, bits)                                                                            \
	X86_HANDLER(op##bits##_ri)                                                                 \
	{                                                                                          \
		x86_put##bits(c, i->reg, host_##op##bits(x86_get##bits(c, i->reg), (u8)i->imm,     \
							 &c->flags));                              \
		NEXT(c, i);                                                                        \
	}                                                                                          \
	X86_HANDLER(op##bits##_rc)                                                                 \
	{                                                                                          \
		x86_put##bits(c, i->reg, host_##op##bits(x86_get##bits(c, i->reg),                 \
							 (u8)c->r[R_CX], &c->flags));              \
		NEXT(c, i);                                                                        \
	}                                                                                          \
	X86_MODIFY_HANDLERS(op##bits##_mi, bits, host_##op##bits##_at(p, (u8)i->imm, &c->flags))   \
	X86_MODIFY_HANDLERS(op##bits##_mc, bits, host_##op##bits##_at(p, (u8)c->r[R_CX], &c->flags))

/* The frequent ones: a known count that is not 0. */
#define SHIFT_SOME(op, bits)                                                                       \
	X86_HANDLER(op##bits##_ri_some)                                                            \
	{                                                                                          \
		x86_put##bits(c, i->reg, host_##op##bits##_some(x86_get##bits(c, i->reg),          \
								(u8)i->imm, &c->flags));           \
		NEXT(c, i);                                                                        \
	}

#define EACH_WIDTH(macro, op) macro(op, 8) macro(op, 16) macro(op, 32) macro(op, 64)

EACH_WIDTH(SHIFT, rol)
EACH_WIDTH(SHIFT, ror)
EACH_WIDTH(SHIFT, rcl)
EACH_WIDTH(SHIFT, rcr)
EACH_WIDTH(SHIFT, shl)
EACH_WIDTH(SHIFT, shr)
EACH_WIDTH(SHIFT, sar)
EACH_WIDTH(SHIFT_SOME, shl)
EACH_WIDTH(SHIFT_SOME, shr)
EACH_WIDTH(SHIFT_SOME, sar)

#define ROTATE_AT(op, bits) \
	{ op##bits##_ri, op##bits##_rc, op##bits##_ri, op##bits##_mi, op##bits##_mc }
#define SHIFT_AT(op, bits) \
	{ op##bits##_ri, op##bits##_rc, op##bits##_ri_some, op##bits##_mi, op##bits##_mc }
#define ROTATE_ROW(op) { ROTATE_AT(op, 8), ROTATE_AT(op, 16), ROTATE_AT(op, 32), ROTATE_AT(op, 64) }
#define SHIFT_ROW(op) { SHIFT_AT(op, 8), SHIFT_AT(op, 16), SHIFT_AT(op, 32), SHIFT_AT(op, 64) }

enum { ROL, ROR, RCL, RCR, SHL, SHR, SAR };

static const struct shift_forms shifts[][4] = {
	[ROL] = ROTATE_ROW(rol),
	[ROR] = ROTATE_ROW(ror),
	[RCL] = ROTATE_ROW(rcl),
	[RCR] = ROTATE_ROW(rcr),
	[SHL] = SHIFT_ROW(shl),
	[SHR] = SHIFT_ROW(shr),
	[SAR] = SHIFT_ROW(sar),
};

static bool choose_shift(const struct x86_decoded *d, struct x86_insn *i, unsigned op)
{
	const struct shift_forms *f = &shifts[op][x86_width_index(d->op[0].size)];
	const bool by_cl = x86_decode_is_reg(d, 1);

	if (!by_cl)
		i->imm = d->op[1].imm.value.u;
	if (x86_decode_is_memory(d, 0))
		return x86_choose_memory(d, 0, i, by_cl ? f->mc : f->mi);
	i->reg = x86_choose_reg(&d->op[0]);
	if (by_cl)
		return x86_choose_fn(i, f->rc);
	return x86_choose_fn(i, i->imm & (d->op[0].size == 64 ? 63 : 31) ? f->ri_some : f->ri);
}

/* ---- SHLD, SHRD ------------------------------------------------------------------------------ */

#define DOUBLE(op, bits)                                                                           \
	X86_HANDLER(op##bits##_ri)                                                                 \
	{                                                                                          \
		x86_put##bits(c, i->rm, host_##op##bits(x86_get##bits(c, i->rm),                   \
							x86_get##bits(c, i->reg), (u8)i->imm,      \
							&c->flags));                               \
		NEXT(c, i);                                                                        \
	}                                                                                          \
	X86_HANDLER(op##bits##_rc)                                                                 \
	{                                                                                          \
		x86_put##bits(c, i->rm, host_##op##bits(x86_get##bits(c, i->rm),                   \
							x86_get##bits(c, i->reg),                  \
							(u8)c->r[R_CX], &c->flags));               \
		NEXT(c, i);                                                                        \
	}                                                                                          \
	X86_MODIFY_HANDLERS(op##bits##_mi, bits,                                                   \
			    *p = host_##op##bits(*p, x86_get##bits(c, i->reg), (u8)i->imm,         \
						 &c->flags))                                       \
	X86_MODIFY_HANDLERS(op##bits##_mc, bits,                                                   \
			    *p = host_##op##bits(*p, x86_get##bits(c, i->reg), (u8)c->r[R_CX],     \
						 &c->flags))
DOUBLE(shld, 16)
DOUBLE(shld, 32)
DOUBLE(shld, 64)
DOUBLE(shrd, 16)
DOUBLE(shrd, 32)
DOUBLE(shrd, 64)

#define DOUBLE_AT(op, bits) { op##bits##_ri, op##bits##_rc, NULL, op##bits##_mi, op##bits##_mc }
#define DOUBLE_ROW(op) { { NULL }, DOUBLE_AT(op, 16), DOUBLE_AT(op, 32), DOUBLE_AT(op, 64) }

static const struct shift_forms double_shifts[2][4] = { DOUBLE_ROW(shld), DOUBLE_ROW(shrd) };

static bool choose_double(const struct x86_decoded *d, struct x86_insn *i, unsigned op)
{
	const struct shift_forms *f = &double_shifts[op][x86_width_index(d->op[0].size)];
	const bool by_cl = x86_decode_is_reg(d, 2);

	if (!by_cl)
		i->imm = d->op[2].imm.value.u;
	i->reg = x86_choose_reg(&d->op[1]);
	if (x86_decode_is_memory(d, 0))
		return x86_choose_memory(d, 0, i, by_cl ? f->mc : f->mi);
	i->rm = x86_choose_reg(&d->op[0]);
	return x86_choose_fn(i, by_cl ? f->rc : f->ri);
}

/* ---- BMI2: no flags; the count is a register (extra) or an immediate -------------------------- */

static ALWAYS_INLINE u32 rotate32(u32 v, unsigned n)
{
	return (v >> (n & 31)) | (v << (-n & 31));
}
static ALWAYS_INLINE u64 rotate64(u64 v, unsigned n)
{
	return (v >> (n & 63)) | (v << (-n & 63));
}

X86_SOURCE_HANDLERS(rorx32, 32, x86_put32(c, i->reg, rotate32(v, (unsigned)i->imm)))
X86_SOURCE_HANDLERS(rorx64, 64, x86_put64(c, i->reg, rotate64(v, (unsigned)i->imm)))
X86_SOURCE_HANDLERS(sarx32, 32, x86_put32(c, i->reg, (u32)((s32)v >> (c->r[i->extra] & 31))))
X86_SOURCE_HANDLERS(sarx64, 64, x86_put64(c, i->reg, (u64)((s64)v >> (c->r[i->extra] & 63))))
X86_SOURCE_HANDLERS(shlx32, 32, x86_put32(c, i->reg, v << (c->r[i->extra] & 31)))
X86_SOURCE_HANDLERS(shlx64, 64, x86_put64(c, i->reg, v << (c->r[i->extra] & 63)))
X86_SOURCE_HANDLERS(shrx32, 32, x86_put32(c, i->reg, v >> (c->r[i->extra] & 31)))
X86_SOURCE_HANDLERS(shrx64, 64, x86_put64(c, i->reg, v >> (c->r[i->extra] & 63)))

enum { RORX, SARX, SHLX, SHRX };

static const struct x86_source_fns flagless[][2] = {
	[RORX] = { X86_SOURCE(rorx32), X86_SOURCE(rorx64) },
	[SARX] = { X86_SOURCE(sarx32), X86_SOURCE(sarx64) },
	[SHLX] = { X86_SOURCE(shlx32), X86_SOURCE(shlx64) },
	[SHRX] = { X86_SOURCE(shrx32), X86_SOURCE(shrx64) },
};

static bool choose_flagless(const struct x86_decoded *d, struct x86_insn *i, unsigned op)
{
	if (!x86_allows_vex(d) || !__builtin_cpu_supports("bmi2"))
		return false;
	i->reg = x86_choose_reg(&d->op[0]);
	if (op == RORX)
		i->imm = d->op[2].imm.value.u;
	else
		i->extra = x86_choose_reg(&d->op[2]);
	return x86_choose_source(d, 1, i, &flagless[op][d->op[0].size == 64]);
}

bool x86_choose_shift(const struct x86_decoded *d, struct x86_insn *i)
{
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_ROL: return choose_shift(d, i, ROL);
	case ZYDIS_MNEMONIC_ROR: return choose_shift(d, i, ROR);
	case ZYDIS_MNEMONIC_RCL: return choose_shift(d, i, RCL);
	case ZYDIS_MNEMONIC_RCR: return choose_shift(d, i, RCR);
	case ZYDIS_MNEMONIC_SHL: return choose_shift(d, i, SHL);
	case ZYDIS_MNEMONIC_SHR: return choose_shift(d, i, SHR);
	case ZYDIS_MNEMONIC_SAR: return choose_shift(d, i, SAR);
	case ZYDIS_MNEMONIC_SHLD: return choose_double(d, i, 0);
	case ZYDIS_MNEMONIC_SHRD: return choose_double(d, i, 1);
	case ZYDIS_MNEMONIC_RORX: return choose_flagless(d, i, RORX);
	case ZYDIS_MNEMONIC_SARX: return choose_flagless(d, i, SARX);
	case ZYDIS_MNEMONIC_SHLX: return choose_flagless(d, i, SHLX);
	case ZYDIS_MNEMONIC_SHRX: return choose_flagless(d, i, SHRX);
	default: return false;
	}
}
