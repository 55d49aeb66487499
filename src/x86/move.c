/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving data: MOV MOVZX MOVSX MOVSXD MOVBE MOVNTI LEA CMOVcc SETcc BSWAP XLAT, XCHG of registers,
 * and the sign extensions of the accumulator (CBW ... CQO). Moves of segment, control and debug
 * registers are the system family's; XCHG with memory is atomic.c's.
 *
 * Intel SDM volume 2. VP's thread.
 */
#include "x86/integer.h"

/* Tables aligned by hand. */
/* clang-format off */

#define EACH_WIDTH(macro) macro(8) macro(16) macro(32) macro(64)

/* ---- MOV ------------------------------------------------------------------------------------- */

#define MOV(bits)                                                                                  \
	X86_HANDLER(mov##bits##_rr)                                                                \
	{                                                                                          \
		x86_put##bits(c, i->reg, x86_get##bits(c, i->rm));                                 \
		NEXT(c, i);                                                                        \
	}                                                                                          \
	X86_HANDLER(mov##bits##_ri)                                                                \
	{                                                                                          \
		x86_put##bits(c, i->reg, (u##bits)i->imm);                                         \
		NEXT(c, i);                                                                        \
	}                                                                                          \
	X86_LOAD_HANDLERS(mov##bits##_rm, bits, x86_put##bits(c, i->reg, v))                       \
	X86_STORE_HANDLERS(mov##bits##_mr, bits, x86_get##bits(c, i->reg))                         \
	X86_STORE_HANDLERS(mov##bits##_mi, bits, i->imm)                                           \
	/* The accumulator and an absolute address of 64 bits. */                                  \
	X86_HANDLER(mov##bits##_load_moffs64)                                                      \
	{                                                                                          \
		x86_put##bits(c, R_AX, x86_load##bits(c, i, i->imm + c->seg_base[i->seg]));        \
		NEXT(c, i);                                                                        \
	}                                                                                          \
	X86_HANDLER(mov##bits##_store_moffs64)                                                     \
	{                                                                                          \
		x86_store##bits(c, i, i->imm + c->seg_base[i->seg], x86_get##bits(c, R_AX));       \
		NEXT(c, i);                                                                        \
	}
EACH_WIDTH(MOV)

static const struct {
	x86_fn rr, ri;
	const x86_fn *rm, *mr, *mi;
	x86_fn load_moffs64, store_moffs64;
} mov_forms[4] = {
#define MOV_AT(bits)                                                                               \
	{ mov##bits##_rr, mov##bits##_ri, mov##bits##_rm, mov##bits##_mr, mov##bits##_mi,          \
	  mov##bits##_load_moffs64, mov##bits##_store_moffs64 }
	MOV_AT(8), MOV_AT(16), MOV_AT(32), MOV_AT(64)
};

static bool choose_mov(const struct x86_decoded *d, struct x86_insn *i)
{
	const unsigned w = x86_width_index(d->op[0].size);

	if (x86_decode_is_memory(d, 0)) {
		if (x86_decode_is_imm(d, 1)) {
			i->imm = d->op[1].imm.value.u;
			return x86_choose_memory(d, 0, i, mov_forms[w].mi);
		}
		if (d->op[1].reg.value >= ZYDIS_REGISTER_ES && d->op[1].reg.value <= ZYDIS_REGISTER_GS)
			return false;
		i->reg = x86_choose_reg(&d->op[1]);
		if (!x86_decode_is_moffs64(d))
			return x86_choose_memory(d, 0, i, mov_forms[w].mr);
		x86_decode_memory(d, &d->op[0], i);
		return x86_choose_fn(i, mov_forms[w].store_moffs64);
	}
	switch (ZydisRegisterGetClass(d->op[0].reg.value)) {
	case ZYDIS_REGCLASS_GPR8:
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		break;
	default:
		return false;
	}
	i->reg = x86_choose_reg(&d->op[0]);
	if (x86_decode_is_imm(d, 1)) {
		i->imm = d->op[1].imm.value.u;
		return x86_choose_fn(i, mov_forms[w].ri);
	}
	if (x86_decode_is_memory(d, 1)) {
		if (!x86_decode_is_moffs64(d))
			return x86_choose_memory(d, 1, i, mov_forms[w].rm);
		x86_decode_memory(d, &d->op[1], i);
		return x86_choose_fn(i, mov_forms[w].load_moffs64);
	}
	switch (ZydisRegisterGetClass(d->op[1].reg.value)) {
	case ZYDIS_REGCLASS_GPR8:
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		i->rm = x86_choose_reg(&d->op[1]);
		return x86_choose_fn(i, mov_forms[w].rr);
	default:
		return false;
	}
}

/* ---- MOVZX, MOVSX, MOVSXD, MOVBE ------------------------------------------------------------- */

#define EXTEND(name, to, from, type)                                                               \
	X86_HANDLER(name##to##_##from##_rr)                                                        \
	{                                                                                          \
		x86_put##to(c, i->reg, (u##to)(type)x86_get##from(c, i->rm));                      \
		NEXT(c, i);                                                                        \
	}                                                                                          \
	X86_LOAD_HANDLERS(name##to##_##from##_rm, from, x86_put##to(c, i->reg, (u##to)(type)v))

EXTEND(movzx, 16, 8, u8)
EXTEND(movzx, 32, 8, u8)
EXTEND(movzx, 64, 8, u8)
EXTEND(movzx, 16, 16, u16)
EXTEND(movzx, 32, 16, u16)
EXTEND(movzx, 64, 16, u16)
EXTEND(movsx, 16, 8, s8)
EXTEND(movsx, 32, 8, s8)
EXTEND(movsx, 64, 8, s8)
EXTEND(movsx, 16, 16, s16)
EXTEND(movsx, 32, 16, s16)
EXTEND(movsx, 64, 16, s16)
EXTEND(movsx, 16, 32, s32)
EXTEND(movsx, 32, 32, s32)
EXTEND(movsx, 64, 32, s32)

struct extend_forms {
	x86_fn rr;
	const x86_fn *rm;
};
#define EXTEND_AT(name, to, from) { name##to##_##from##_rr, name##to##_##from##_rm }
#define EXTEND_ROW(name, from)                                                                     \
	{ { NULL, NULL }, EXTEND_AT(name, 16, from), EXTEND_AT(name, 32, from), EXTEND_AT(name, 64, from) }

/* [from][to] */
static const struct extend_forms movzx_forms[3][4] = {
	EXTEND_ROW(movzx, 8), EXTEND_ROW(movzx, 16)
};
static const struct extend_forms movsx_forms[3][4] = {
	EXTEND_ROW(movsx, 8), EXTEND_ROW(movsx, 16), EXTEND_ROW(movsx, 32)
};

static bool choose_extend(const struct x86_decoded *d, struct x86_insn *i,
			  const struct extend_forms forms[3][4])
{
	const unsigned from = x86_width_index(d->op[1].size);
	const unsigned to = x86_width_index(d->op[0].size);

	if (from > 2)
		return false;
	i->reg = x86_choose_reg(&d->op[0]);
	if (x86_decode_is_memory(d, 1))
		return forms[from][to].rm && x86_choose_memory(d, 1, i, forms[from][to].rm);
	i->rm = x86_choose_reg(&d->op[1]);
	return x86_choose_fn(i, forms[from][to].rr);
}

X86_LOAD_HANDLERS(movbe16_rm, 16, x86_put16(c, i->reg, __builtin_bswap16(v)))
X86_LOAD_HANDLERS(movbe32_rm, 32, x86_put32(c, i->reg, __builtin_bswap32(v)))
X86_LOAD_HANDLERS(movbe64_rm, 64, x86_put64(c, i->reg, __builtin_bswap64(v)))
X86_STORE_HANDLERS(movbe16_mr, 16, __builtin_bswap16(x86_get16(c, i->reg)))
X86_STORE_HANDLERS(movbe32_mr, 32, __builtin_bswap32(x86_get32(c, i->reg)))
X86_STORE_HANDLERS(movbe64_mr, 64, __builtin_bswap64(x86_get64(c, i->reg)))

static bool choose_movbe(const struct x86_decoded *d, struct x86_insn *i)
{
	static const x86_fn *const load[4] = { NULL, movbe16_rm, movbe32_rm, movbe64_rm };
	static const x86_fn *const store[4] = { NULL, movbe16_mr, movbe32_mr, movbe64_mr };
	const unsigned w = x86_width_index(d->op[0].size);

	if (w == 0)
		return false;
	if (x86_decode_is_memory(d, 0)) {
		i->reg = x86_choose_reg(&d->op[1]);
		return x86_choose_memory(d, 0, i, store[w]);
	}
	i->reg = x86_choose_reg(&d->op[0]);
	return x86_choose_memory(d, 1, i, load[w]);
}

static bool choose_movnti(const struct x86_decoded *d, struct x86_insn *i)
{
	i->reg = x86_choose_reg(&d->op[1]);
	return x86_choose_memory(d, 0, i, mov_forms[x86_width_index(d->op[0].size)].mr);
}

/* ---- LEA: no segment, cut to the address size and then to the operand size -------------------- */

#define LEA_SUM(c, i)                                                                              \
	((c)->r[(i)->base] + ((c)->r[(i)->index] << (i)->scale) + (u64)(s64)(i)->disp)
#define LEA_PLAIN(c, i) ((c)->r[(i)->base] + (u64)(s64)(i)->disp)

#define LEA(name, sum, bits, cut)                                                                  \
	X86_HANDLER(name)                                                                          \
	{                                                                                          \
		x86_put##bits(c, i->reg, (u##bits)(cut)(sum(c, i)));                               \
		NEXT(c, i);                                                                        \
	}
LEA(lea64_plain, LEA_PLAIN, 64, u64)
LEA(lea64, LEA_SUM, 64, u64)
LEA(lea32_plain, LEA_PLAIN, 32, u32)
LEA(lea32, LEA_SUM, 32, u32)
LEA(lea32_a16, LEA_SUM, 32, u16)
LEA(lea16, LEA_SUM, 16, u16)
/* RIP-relative, and the displacement does not fit the record. */
X86_HANDLER(lea64_far)
{
	x86_put64(c, i->reg, x86_ea_offset(c, i));
	NEXT(c, i);
}

static bool choose_lea(const struct x86_decoded *d, struct x86_insn *i)
{
	bool plain;

	i->reg = x86_choose_reg(&d->op[0]);
	x86_decode_memory(d, &d->op[1], i);
	plain = i->index == R_ZERO;
	if (d->op[0].size == 16)
		return x86_choose_fn(i, lea16);
	if (d->asz == 16)
		return x86_choose_fn(i, lea32_a16);
	/* A 32-bit address in a 64-bit register is zero-extended: the 32-bit form. */
	if (d->op[0].size == 32 || d->asz == 32)
		return x86_choose_fn(i, plain ? lea32_plain : lea32);
	if (i->flags & X86_INSN_WRAP)
		return x86_choose_fn(i, lea64_far);
	return x86_choose_fn(i, plain ? lea64_plain : lea64);
}

/* ---- CMOVcc, SETcc --------------------------------------------------------------------------- */

/* The load happens and may fault whatever the condition is; 32-bit forms clear the upper half. */
#define CONDITIONAL(cc)                                                                            \
	X86_HANDLER(cmov32_rr_##cc)                                                                \
	{                                                                                          \
		const unsigned from = x86_condition(c, cc) ? i->rm : i->reg;                       \
		x86_put32(c, i->reg, x86_get32(c, from));                                          \
		NEXT(c, i);                                                                        \
	}                                                                                          \
	X86_HANDLER(cmov64_rr_##cc)                                                                \
	{                                                                                          \
		const unsigned from = x86_condition(c, cc) ? i->rm : i->reg;                       \
		x86_put64(c, i->reg, x86_get64(c, from));                                          \
		NEXT(c, i);                                                                        \
	}                                                                                          \
	X86_HANDLER(set_r_##cc)                                                                    \
	{                                                                                          \
		x86_put8(c, i->reg, x86_condition(c, cc));                                         \
		NEXT(c, i);                                                                        \
	}

#define EACH_CONDITION(macro)                                                                      \
	macro(0) macro(1) macro(2) macro(3) macro(4) macro(5) macro(6) macro(7)                    \
	macro(8) macro(9) macro(10) macro(11) macro(12) macro(13) macro(14) macro(15)

EACH_CONDITION(CONDITIONAL)

#define CONDITION_TABLE(prefix)                                                                    \
	{ prefix##0, prefix##1, prefix##2, prefix##3, prefix##4, prefix##5, prefix##6, prefix##7,  \
	  prefix##8, prefix##9, prefix##10, prefix##11, prefix##12, prefix##13, prefix##14, prefix##15 }

static const x86_fn cmov32_rr[16] = CONDITION_TABLE(cmov32_rr_);
static const x86_fn cmov64_rr[16] = CONDITION_TABLE(cmov64_rr_);
static const x86_fn set_r[16] = CONDITION_TABLE(set_r_);

/* i->extra is the condition. */
X86_HANDLER(cmov16_rr)
{
	if (x86_condition(c, i->extra))
		x86_put16(c, i->reg, x86_get16(c, i->rm));
	NEXT(c, i);
}
X86_LOAD_HANDLERS(cmov16_rm, 16, x86_put16(c, i->reg, x86_condition(c, i->extra) ? v : x86_get16(c, i->reg)))
X86_LOAD_HANDLERS(cmov32_rm, 32, x86_put32(c, i->reg, x86_condition(c, i->extra) ? v : x86_get32(c, i->reg)))
X86_LOAD_HANDLERS(cmov64_rm, 64, x86_put64(c, i->reg, x86_condition(c, i->extra) ? v : x86_get64(c, i->reg)))
X86_STORE_HANDLERS(set_m, 8, x86_condition(c, i->extra))

static bool choose_cmov(const struct x86_decoded *d, struct x86_insn *i)
{
	static const x86_fn *const load[4] = { NULL, cmov16_rm, cmov32_rm, cmov64_rm };
	const unsigned cc = d->insn.opcode & 15;
	const unsigned w = x86_width_index(d->op[0].size);

	i->extra = (u16)cc;
	i->reg = x86_choose_reg(&d->op[0]);
	if (x86_decode_is_memory(d, 1))
		return x86_choose_memory(d, 1, i, load[w]);
	i->rm = x86_choose_reg(&d->op[1]);
	return x86_choose_fn(i, w == 1 ? cmov16_rr : w == 2 ? cmov32_rr[cc] : cmov64_rr[cc]);
}

static bool choose_set(const struct x86_decoded *d, struct x86_insn *i)
{
	i->extra = d->insn.opcode & 15;
	if (x86_decode_is_memory(d, 0))
		return x86_choose_memory(d, 0, i, set_m);
	i->reg = x86_choose_reg(&d->op[0]);
	return x86_choose_fn(i, set_r[i->extra]);
}

/* ---- registers alone ------------------------------------------------------------------------- */

#define XCHG(bits)                                                                                 \
	X86_HANDLER(xchg##bits##_rr)                                                               \
	{                                                                                          \
		const u##bits a = x86_get##bits(c, i->reg), b = x86_get##bits(c, i->rm);           \
                                                                                                   \
		x86_put##bits(c, i->reg, b);                                                       \
		x86_put##bits(c, i->rm, a);                                                        \
		NEXT(c, i);                                                                        \
	}
EACH_WIDTH(XCHG)

static bool choose_xchg(const struct x86_decoded *d, struct x86_insn *i)
{
	static const x86_fn fns[4] = { xchg8_rr, xchg16_rr, xchg32_rr, xchg64_rr };

	if (x86_decode_is_memory(d, 0) || x86_decode_is_memory(d, 1))
		return false;
	i->reg = x86_choose_reg(&d->op[0]);
	i->rm = x86_choose_reg(&d->op[1]);
	return x86_choose_fn(i, fns[x86_width_index(d->op[0].size)]);
}

X86_HANDLER(bswap32_r)
{
	x86_put32(c, i->reg, __builtin_bswap32(x86_get32(c, i->reg)));
	NEXT(c, i);
}
X86_HANDLER(bswap64_r)
{
	x86_put64(c, i->reg, __builtin_bswap64(x86_get64(c, i->reg)));
	NEXT(c, i);
}
/* Undefined by the books; processors write zero. */
X86_HANDLER(bswap16_r)
{
	x86_put16(c, i->reg, 0);
	NEXT(c, i);
}

X86_HANDLER(cbw)
{
	x86_put16(c, R_AX, (u16)(s8)c->r[R_AX]);
	NEXT(c, i);
}
X86_HANDLER(cwde)
{
	x86_put32(c, R_AX, (u32)(s16)c->r[R_AX]);
	NEXT(c, i);
}
X86_HANDLER(cdqe)
{
	x86_put64(c, R_AX, (u64)(s32)c->r[R_AX]);
	NEXT(c, i);
}
X86_HANDLER(cwd)
{
	x86_put16(c, R_DX, (u16)((s16)c->r[R_AX] >> 15));
	NEXT(c, i);
}
X86_HANDLER(cdq)
{
	x86_put32(c, R_DX, (u32)((s32)c->r[R_AX] >> 31));
	NEXT(c, i);
}
X86_HANDLER(cqo)
{
	x86_put64(c, R_DX, (u64)((s64)c->r[R_AX] >> 63));
	NEXT(c, i);
}

/* base is BX as decoded; the index AL cannot be in the record, so the sum is made here. */
X86_HANDLER(xlat)
{
	const u64 offset = (c->r[R_BX] + (u8)c->r[R_AX]) & x86_mask(i->extra);

	x86_put8(c, 8 * R_AX, x86_load8(c, i, x86_linear(c, i, i->seg, offset, 1, false)));
	NEXT(c, i);
}

static bool choose_xlat(const struct x86_decoded *d, struct x86_insn *i)
{
	for (unsigned n = 0; n < d->insn.operand_count; n++)
		if (x86_decode_is_memory(d, n))
			x86_decode_memory(d, &d->op[n], i);
	i->extra = d->asz;
	return x86_choose_fn(i, xlat);
}

bool x86_choose_move(const struct x86_decoded *d, struct x86_insn *i)
{
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_MOV: return choose_mov(d, i);
	case ZYDIS_MNEMONIC_MOVZX: return choose_extend(d, i, movzx_forms);
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD: return choose_extend(d, i, movsx_forms);
	case ZYDIS_MNEMONIC_MOVBE: return choose_movbe(d, i);
	case ZYDIS_MNEMONIC_MOVNTI: return choose_movnti(d, i);
	case ZYDIS_MNEMONIC_LEA: return choose_lea(d, i);
	case ZYDIS_MNEMONIC_CMOVO:
	case ZYDIS_MNEMONIC_CMOVNO:
	case ZYDIS_MNEMONIC_CMOVB:
	case ZYDIS_MNEMONIC_CMOVNB:
	case ZYDIS_MNEMONIC_CMOVZ:
	case ZYDIS_MNEMONIC_CMOVNZ:
	case ZYDIS_MNEMONIC_CMOVBE:
	case ZYDIS_MNEMONIC_CMOVNBE:
	case ZYDIS_MNEMONIC_CMOVS:
	case ZYDIS_MNEMONIC_CMOVNS:
	case ZYDIS_MNEMONIC_CMOVP:
	case ZYDIS_MNEMONIC_CMOVNP:
	case ZYDIS_MNEMONIC_CMOVL:
	case ZYDIS_MNEMONIC_CMOVNL:
	case ZYDIS_MNEMONIC_CMOVLE:
	case ZYDIS_MNEMONIC_CMOVNLE: return choose_cmov(d, i);
	case ZYDIS_MNEMONIC_SETO:
	case ZYDIS_MNEMONIC_SETNO:
	case ZYDIS_MNEMONIC_SETB:
	case ZYDIS_MNEMONIC_SETNB:
	case ZYDIS_MNEMONIC_SETZ:
	case ZYDIS_MNEMONIC_SETNZ:
	case ZYDIS_MNEMONIC_SETBE:
	case ZYDIS_MNEMONIC_SETNBE:
	case ZYDIS_MNEMONIC_SETS:
	case ZYDIS_MNEMONIC_SETNS:
	case ZYDIS_MNEMONIC_SETP:
	case ZYDIS_MNEMONIC_SETNP:
	case ZYDIS_MNEMONIC_SETL:
	case ZYDIS_MNEMONIC_SETNL:
	case ZYDIS_MNEMONIC_SETLE:
	case ZYDIS_MNEMONIC_SETNLE: return choose_set(d, i);
	case ZYDIS_MNEMONIC_XCHG: return choose_xchg(d, i);
	case ZYDIS_MNEMONIC_BSWAP:
		i->reg = x86_choose_reg(&d->op[0]);
		return x86_choose_fn(i, d->op[0].size == 64 ? bswap64_r :
					d->op[0].size == 32 ? bswap32_r : bswap16_r);
	case ZYDIS_MNEMONIC_CBW: return x86_choose_fn(i, cbw);
	case ZYDIS_MNEMONIC_CWDE: return x86_choose_fn(i, cwde);
	case ZYDIS_MNEMONIC_CDQE: return x86_choose_fn(i, cdqe);
	case ZYDIS_MNEMONIC_CWD: return x86_choose_fn(i, cwd);
	case ZYDIS_MNEMONIC_CDQ: return x86_choose_fn(i, cdq);
	case ZYDIS_MNEMONIC_CQO: return x86_choose_fn(i, cqo);
	case ZYDIS_MNEMONIC_XLAT: return choose_xlat(d, i);
	default: return false;
	}
}
