/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ADD OR ADC SBB AND SUB XOR CMP TEST, INC DEC NEG NOT in every form and width. The arithmetic is
 * the host's (alu_host.h); what is here is operands. LOCK forms are host atomics.
 *
 * Form names: r register, m memory, i immediate, destination first. Intel SDM volume 2. VP's thread.
 */
#include "x86/alu_host.h"
#include "x86/integer.h"

/* Tables aligned by hand. */
/* clang-format off */

struct alu_forms {
	x86_fn rr, ri;
	const x86_fn *mr, *mi, *rm;
	const x86_fn *lock_mr, *lock_mi;
};

#define ALU_WRITES(op, bits)                                                                       \
	X86_HANDLER(op##bits##_rr)                                                                 \
	{                                                                                          \
		x86_put##bits(c, i->reg, host_##op##bits(x86_get##bits(c, i->reg),                 \
							 x86_get##bits(c, i->rm), &c->flags));     \
		NEXT(c, i);                                                                        \
	}                                                                                          \
	X86_HANDLER(op##bits##_ri)                                                                 \
	{                                                                                          \
		x86_put##bits(c, i->reg,                                                           \
			      host_##op##bits(x86_get##bits(c, i->reg), (u##bits)i->imm, &c->flags)); \
		NEXT(c, i);                                                                        \
	}                                                                                          \
	X86_LOAD_HANDLERS(op##bits##_rm, bits,                                                     \
			  x86_put##bits(c, i->reg,                                                 \
					host_##op##bits(x86_get##bits(c, i->reg), v, &c->flags)))  \
	X86_MODIFY_HANDLERS(op##bits##_mr, bits,                                                   \
			    host_##op##bits##_at(p, x86_get##bits(c, i->reg), &c->flags))          \
	X86_MODIFY_HANDLERS(op##bits##_mi, bits,                                                   \
			    host_##op##bits##_at(p, (u##bits)i->imm, &c->flags))                   \
	X86_ATOMIC_HANDLERS(op##bits##_lock_mr, bits,                                              \
			    host_lock_##op##bits##_at(p, x86_get##bits(c, i->reg), &c->flags))     \
	X86_ATOMIC_HANDLERS(op##bits##_lock_mi, bits,                                              \
			    host_lock_##op##bits##_at(p, (u##bits)i->imm, &c->flags))

#define ALU_COMPARES(op, bits)                                                                     \
	X86_HANDLER(op##bits##_rr)                                                                 \
	{                                                                                          \
		host_##op##bits(x86_get##bits(c, i->reg), x86_get##bits(c, i->rm), &c->flags);     \
		NEXT(c, i);                                                                        \
	}                                                                                          \
	X86_HANDLER(op##bits##_ri)                                                                 \
	{                                                                                          \
		host_##op##bits(x86_get##bits(c, i->reg), (u##bits)i->imm, &c->flags);             \
		NEXT(c, i);                                                                        \
	}                                                                                          \
	X86_LOAD_HANDLERS(op##bits##_rm, bits,                                                     \
			  host_##op##bits(x86_get##bits(c, i->reg), v, &c->flags))                 \
	X86_LOAD_HANDLERS(op##bits##_mr, bits,                                                     \
			  host_##op##bits(v, x86_get##bits(c, i->reg), &c->flags))                 \
	X86_LOAD_HANDLERS(op##bits##_mi, bits, host_##op##bits(v, (u##bits)i->imm, &c->flags))

#define ALU_UNARY(op, bits)                                                                        \
	X86_HANDLER(op##bits##_r)                                                                  \
	{                                                                                          \
		x86_put##bits(c, i->reg, host_##op##bits(x86_get##bits(c, i->reg), &c->flags));    \
		NEXT(c, i);                                                                        \
	}                                                                                          \
	X86_MODIFY_HANDLERS(op##bits##_m, bits, host_##op##bits##_at(p, &c->flags))                \
	X86_ATOMIC_HANDLERS(op##bits##_lock_m, bits, host_lock_##op##bits##_at(p, &c->flags))

#define EACH_WIDTH(macro, op) macro(op, 8) macro(op, 16) macro(op, 32) macro(op, 64)

EACH_WIDTH(ALU_WRITES, add)
EACH_WIDTH(ALU_WRITES, or)
EACH_WIDTH(ALU_WRITES, adc)
EACH_WIDTH(ALU_WRITES, sbb)
EACH_WIDTH(ALU_WRITES, and)
EACH_WIDTH(ALU_WRITES, sub)
EACH_WIDTH(ALU_WRITES, xor)
EACH_WIDTH(ALU_COMPARES, cmp)
EACH_WIDTH(ALU_COMPARES, test)
EACH_WIDTH(ALU_UNARY, inc)
EACH_WIDTH(ALU_UNARY, dec)
EACH_WIDTH(ALU_UNARY, neg)
EACH_WIDTH(ALU_UNARY, not)

#define WRITES_AT(op, bits)                                                                        \
	{ op##bits##_rr, op##bits##_ri, op##bits##_mr, op##bits##_mi, op##bits##_rm,               \
	  op##bits##_lock_mr, op##bits##_lock_mi }
#define COMPARES_AT(op, bits)                                                                      \
	{ op##bits##_rr, op##bits##_ri, op##bits##_mr, op##bits##_mi, op##bits##_rm, NULL, NULL }
#define WRITES_ROW(op) { WRITES_AT(op, 8), WRITES_AT(op, 16), WRITES_AT(op, 32), WRITES_AT(op, 64) }
#define COMPARES_ROW(op)                                                                           \
	{ COMPARES_AT(op, 8), COMPARES_AT(op, 16), COMPARES_AT(op, 32), COMPARES_AT(op, 64) }

enum { ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST };

static const struct alu_forms two_operands[][4] = {
	[ADD] = WRITES_ROW(add),
	[OR] = WRITES_ROW(or),
	[ADC] = WRITES_ROW(adc),
	[SBB] = WRITES_ROW(sbb),
	[AND] = WRITES_ROW(and),
	[SUB] = WRITES_ROW(sub),
	[XOR] = WRITES_ROW(xor),
	[CMP] = COMPARES_ROW(cmp),
	[TEST] = COMPARES_ROW(test),
};

struct unary_forms {
	x86_fn r;
	const x86_fn *m, *lock_m;
};

#define UNARY_AT(op, bits) { op##bits##_r, op##bits##_m, op##bits##_lock_m }
#define UNARY_ROW(op) { UNARY_AT(op, 8), UNARY_AT(op, 16), UNARY_AT(op, 32), UNARY_AT(op, 64) }

enum { INC, DEC, NEG, NOT };

static const struct unary_forms one_operand[][4] = {
	[INC] = UNARY_ROW(inc),
	[DEC] = UNARY_ROW(dec),
	[NEG] = UNARY_ROW(neg),
	[NOT] = UNARY_ROW(not),
};

/*
 * XOR or SUB of a register with itself: compilers' way to write zero. 32-bit and 64-bit forms do
 * the same. XOR's AF is undefined and the host's is 0, SUB's is 0.
 */
X86_HANDLER(zero_r)
{
	c->r[i->reg] = 0;
	c->flags = (X86_ZF | X86_PF_FLAG) << 8;
	NEXT(c, i);
}

/* ---- a comparison and the conditional jump behind it -------------------------------------------
 * One handler does both records of the pair: the host's flags decide before they are stored for
 * whoever reads them next. The jump's record stays as it is and keeps link and target, and runs by
 * itself when the comparison had to go the slow way.
 */

#define THEN_JUMP(taken)                                                                           \
	do {                                                                                       \
		if (taken)                                                                         \
			X86_JUMP(c, i + 1);                                                        \
		/* Behind a jump stands the end record, which is a jump too. */                    \
		X86_JUMP(c, i + 2);                                                                \
	} while (0)

#define COMPARE_THEN(op, sfx, cond, a, b, taken)                                                     \
	do {                                                                                       \
		u16 f_;                                                                            \
		__asm__(#op sfx " %3, %2" HOST_FLAGS_OUT                                             \
			: "=a"(f_), "=@cc" #cond(taken) : "r"(a), "r"(b));                         \
		c->flags = f_;                                                                     \
	} while (0)

#define FUSED(op, bits, sfx, cond)                                                                   \
	X86_HANDLER(op##bits##_rr_j##cond)                                                         \
	{                                                                                          \
		bool taken;                                                                        \
		COMPARE_THEN(op, sfx, cond, x86_get##bits(c, i->reg), x86_get##bits(c, i->rm), taken); \
		THEN_JUMP(taken);                                                                  \
	}                                                                                          \
	X86_HANDLER(op##bits##_ri_j##cond)                                                         \
	{                                                                                          \
		bool taken;                                                                        \
		COMPARE_THEN(op, sfx, cond, x86_get##bits(c, i->reg), (u##bits)i->imm, taken);       \
		THEN_JUMP(taken);                                                                  \
	}                                                                                          \
	FUSED_LOAD(op, bits, sfx, cond, mi, plain, v, (u##bits)i->imm)                               \
	FUSED_LOAD(op, bits, sfx, cond, mi, full, v, (u##bits)i->imm)

#define FUSED_LOAD(op, bits, sfx, cond, operands, form, a_, b_)                                      \
	X86_HANDLER(op##bits##_##operands##_##form##_j##cond)                                      \
	{                                                                                          \
		const gva_t a = X86_EA_##form(c, i);                                               \
		const struct x86_tlb_entry *e = x86_tlb_at(c, a);                                  \
		bool taken;                                                                        \
                                                                                                   \
		if (UNLIKELY(x86_tlb_tag(c, a, bits / 8) != e->read_tag)) {                        \
			op##bits##_##operands##_slow(c, i);                                        \
			return;                                                                    \
		}                                                                                  \
		const u##bits v = *(const volatile x86_u##bits *)(a + e->addend);                  \
		COMPARE_THEN(op, sfx, cond, a_, b_, taken);                                          \
		THEN_JUMP(taken);                                                                  \
	}

/* By the condition's number; overflow and parity are rare. */
#define EACH_FUSED_CONDITION(macro, op, bits, sfx)                                                   \
	macro(op, bits, sfx, c) macro(op, bits, sfx, nc) macro(op, bits, sfx, z) macro(op, bits, sfx, nz)  \
	macro(op, bits, sfx, be) macro(op, bits, sfx, a) macro(op, bits, sfx, s) macro(op, bits, sfx, ns)  \
	macro(op, bits, sfx, l) macro(op, bits, sfx, ge) macro(op, bits, sfx, le) macro(op, bits, sfx, g)

EACH_FUSED_CONDITION(FUSED, cmp, 8, "b")
EACH_FUSED_CONDITION(FUSED, cmp, 32, "l")
EACH_FUSED_CONDITION(FUSED, cmp, 64, "q")
EACH_FUSED_CONDITION(FUSED, test, 8, "b")
EACH_FUSED_CONDITION(FUSED, test, 32, "l")
EACH_FUSED_CONDITION(FUSED, test, 64, "q")

#define FUSED_ROW(name)                                                                            \
	{ name, { NULL, NULL, name##_jc, name##_jnc, name##_jz, name##_jnz, name##_jbe, name##_ja, \
		  name##_js, name##_jns, NULL, NULL, name##_jl, name##_jge, name##_jle, name##_jg } }
#define FUSED_ROWS(name)                                                                           \
	FUSED_ROW(name##_rr), FUSED_ROW(name##_ri), FUSED_ROW(name##_mi_plain),                    \
	FUSED_ROW(name##_mi_full)

static const struct {
	x86_fn alone;
	x86_fn with_jump[16];
} fused[] = {
	FUSED_ROWS(cmp8),
	FUSED_ROWS(cmp32),
	FUSED_ROWS(cmp64),
	FUSED_ROWS(test8),
	FUSED_ROWS(test32),
	FUSED_ROWS(test64),
};

void x86_fuse(struct x86_insn *i)
{
	const int cc = x86_jump_condition(&i[1]);

	if (cc < 0)
		return;
	for (unsigned n = 0; n < ARRAY_COUNT(fused); n++) {
		if (fused[n].alone == i->fn && fused[n].with_jump[cc]) {
			i->fn = fused[n].with_jump[cc];
			return;
		}
	}
}

/* ---- choosing -------------------------------------------------------------------------------- */

static bool choose_two(const struct x86_decoded *d, struct x86_insn *i, unsigned op)
{
	const struct alu_forms *f = &two_operands[op][x86_width_index(d->op[0].size)];

	if (x86_decode_is_memory(d, 0)) {
		if (x86_decode_is_imm(d, 1)) {
			i->imm = d->op[1].imm.value.u;
			return x86_choose_memory(d, 0, i, x86_is_locked(d) ? f->lock_mi : f->mi);
		}
		i->reg = x86_choose_reg(&d->op[1]);
		return x86_choose_memory(d, 0, i, x86_is_locked(d) ? f->lock_mr : f->mr);
	}
	i->reg = x86_choose_reg(&d->op[0]);
	if (x86_decode_is_memory(d, 1))
		return x86_choose_memory(d, 1, i, f->rm);
	if (x86_decode_is_imm(d, 1)) {
		i->imm = d->op[1].imm.value.u;
		return x86_choose_fn(i, f->ri);
	}
	i->rm = x86_choose_reg(&d->op[1]);
	if ((op == XOR || op == SUB) && i->reg == i->rm && d->op[0].size >= 32)
		return x86_choose_fn(i, zero_r);
	return x86_choose_fn(i, f->rr);
}

static bool choose_one(const struct x86_decoded *d, struct x86_insn *i, unsigned op)
{
	const struct unary_forms *f = &one_operand[op][x86_width_index(d->op[0].size)];

	if (x86_decode_is_memory(d, 0))
		return x86_choose_memory(d, 0, i, x86_is_locked(d) ? f->lock_m : f->m);
	i->reg = x86_choose_reg(&d->op[0]);
	return x86_choose_fn(i, f->r);
}

bool x86_choose_alu(const struct x86_decoded *d, struct x86_insn *i)
{
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_ADD: return choose_two(d, i, ADD);
	case ZYDIS_MNEMONIC_OR: return choose_two(d, i, OR);
	case ZYDIS_MNEMONIC_ADC: return choose_two(d, i, ADC);
	case ZYDIS_MNEMONIC_SBB: return choose_two(d, i, SBB);
	case ZYDIS_MNEMONIC_AND: return choose_two(d, i, AND);
	case ZYDIS_MNEMONIC_SUB: return choose_two(d, i, SUB);
	case ZYDIS_MNEMONIC_XOR: return choose_two(d, i, XOR);
	case ZYDIS_MNEMONIC_CMP: return choose_two(d, i, CMP);
	case ZYDIS_MNEMONIC_TEST: return choose_two(d, i, TEST);
	case ZYDIS_MNEMONIC_INC: return choose_one(d, i, INC);
	case ZYDIS_MNEMONIC_DEC: return choose_one(d, i, DEC);
	case ZYDIS_MNEMONIC_NEG: return choose_one(d, i, NEG);
	case ZYDIS_MNEMONIC_NOT: return choose_one(d, i, NOT);
	default: return false;
	}
}
