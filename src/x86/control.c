/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Near control flow: JMP Jcc LOOPcc JCXZ CALL RET, direct and indirect. Far transfers and
 * interrupts are the system family's. Direct branches link blocks (X86_JUMP), the others look
 * their target up (X86_GOTO).
 *
 * A branch checks its target before anything changes; a 16-bit operand size cuts RIP to 16 bits
 * (outside of 64-bit mode, where the prefix is ignored as Intel does). Intel SDM volume 2.
 * VP's thread.
 */
#include "x86/integer.h"
#include "x86/stack.h"

/* Tables aligned by hand. */
/* clang-format off */

/* ---- direct jumps ---------------------------------------------------------------------------- */

X86_HANDLER(jump)
{
	X86_JUMP(c, i);
}

/* Operand size 16. */
X86_HANDLER(jump16)
{
	const u64 to = (u16)x86_jump_target(c, i);

	x86_check_target(c, i, to);
	X86_GOTO(c, i, to);
}

#define JUMP_IF(cc)                                                                                \
	X86_HANDLER(jump_if_##cc)                                                                  \
	{                                                                                          \
		if (x86_condition(c, cc))                                                          \
			X86_JUMP(c, i);                                                            \
		X86_JUMP(c, i + 1);                                                                      \
	}
JUMP_IF(0) JUMP_IF(1) JUMP_IF(2) JUMP_IF(3) JUMP_IF(4) JUMP_IF(5) JUMP_IF(6) JUMP_IF(7)
JUMP_IF(8) JUMP_IF(9) JUMP_IF(10) JUMP_IF(11) JUMP_IF(12) JUMP_IF(13) JUMP_IF(14) JUMP_IF(15)

/* Not taken: what follows is the end record, a jump too. */
static const x86_fn jump_if[16] = {
	jump_if_0, jump_if_1, jump_if_2, jump_if_3, jump_if_4, jump_if_5, jump_if_6, jump_if_7,
	jump_if_8, jump_if_9, jump_if_10, jump_if_11, jump_if_12, jump_if_13, jump_if_14, jump_if_15
};

int x86_jump_condition(const struct x86_insn *i)
{
	if (i->extra >= 16 || i->fn != jump_if[i->extra])
		return -1;
	return i->extra;
}

/* i->extra is the condition. */
X86_HANDLER(jump16_if)
{
	if (x86_condition(c, i->extra)) {
		const u64 to = (u16)x86_jump_target(c, i);

		x86_check_target(c, i, to);
		X86_GOTO(c, i, to);
	}
	NEXT(c, i);
}

/* ---- LOOP, LOOPE, LOOPNE, JCXZ: i->extra is the width of the counter -------------------------- */

/* Does the jump happen? reg is what to look at: */
enum { LOOP, LOOPE, LOOPNE, JCXZ };

/* i->rm: operand size is 16. */
X86_HANDLER(loop)
{
	const unsigned width = i->extra;
	const u64 count = (c->r[R_CX] - (i->reg != JCXZ)) & x86_mask(width);
	const bool zf = c->ah & X86_ZF;
	const bool taken = i->reg == JCXZ ? count == 0 :
			   count != 0 && (i->reg == LOOP || zf == (i->reg == LOOPE));
	u64 to = 0;

	if (taken) {
		to = x86_jump_target(c, i);
		if (i->rm)
			to = (u16)to;
		x86_check_target(c, i, to);
	}
	if (i->reg != JCXZ)
		x86_put(c, R_CX, width, count);
	if (!taken)
		NEXT(c, i);
	if (i->rm)
		X86_GOTO(c, i, to);
	X86_JUMP(c, i);
}

/* ---- CALL ------------------------------------------------------------------------------------ */

X86_SLOW_HANDLER(call64_slow)
{
	x86_check_target(c, i, x86_jump_target(c, i));
	x86_push64(c, i, x86_next_rip(c, i));
	X86_JUMP(c, i);
}

X86_HANDLER(call64)
{
	const u64 to = c->r[R_BLOCK] + (u64)(s64)i->disp;
	const gva_t a = c->r[R_SP] - 8;
	const struct x86_tlb_entry *e = x86_tlb_at(c, a);

	if (UNLIKELY(x86_tlb_tag(c, a, 8) != e->write_tag || (u64)((s64)(to << 16) >> 16) != to ||
		     atomic_load_explicit(e->code, memory_order_relaxed))) {
		call64_slow(c, i);
		return;
	}
	*(volatile x86_u64 *)(a + e->addend) = x86_insn_rip(c, i) + i->length;
	c->r[R_SP] = a;
	X86_JUMP(c, i);
}

/* Outside of 64-bit mode; i->extra is the operand size. */
X86_HANDLER(call)
{
	u64 to = x86_jump_target(c, i);

	if (i->extra == 16)
		to = (u16)to;
	x86_check_target(c, i, to);
	x86_push(c, i, i->extra / 8, x86_next_rip(c, i));
	if (i->extra == 16)
		X86_GOTO(c, i, to);
	X86_JUMP(c, i);
}

/* ---- indirect -------------------------------------------------------------------------------- */

/* Both end the handler. */
#define JUMP_TO(to)                                                                                \
	do {                                                                                       \
		x86_check_target(c, i, to);                                                        \
		X86_GOTO(c, i, to);                                                                \
	} while (0)
#define CALL_TO(to, size)                                                                          \
	do {                                                                                       \
		x86_check_target(c, i, to);                                                        \
		if ((size) == 8)                                                                   \
			x86_push64(c, i, x86_next_rip(c, i));                                      \
		else                                                                               \
			x86_push(c, i, size, x86_next_rip(c, i));                                  \
		X86_GOTO(c, i, to);                                                                \
	} while (0)

/* As X86_SOURCE_HANDLERS, but control does not go on. */
#define INDIRECT(name, bits, ...)                                                                  \
	X86_HANDLER(name##_r)                                                                      \
	{                                                                                          \
		const u##bits v = x86_get##bits(c, i->rm);                                         \
		__VA_ARGS__;                                                                       \
	}                                                                                          \
	X86_HANDLER(name##_m)                                                                      \
	{                                                                                          \
		const u##bits v = x86_load##bits(c, i, x86_ea(c, i, bits / 8, false));             \
		__VA_ARGS__;                                                                       \
	}
INDIRECT(jump16_to, 16, JUMP_TO(v))
INDIRECT(jump32_to, 32, JUMP_TO(v))
INDIRECT(jump64_to, 64, JUMP_TO(v))
INDIRECT(call16_to, 16, CALL_TO(v, 2))
INDIRECT(call32_to, 32, CALL_TO(v, 4))
INDIRECT(call64_to, 64, CALL_TO(v, 8))

/* [width][memory] */
static const x86_fn jump_indirect[4][2] = {
	{ NULL, NULL },
	{ jump16_to_r, jump16_to_m },
	{ jump32_to_r, jump32_to_m },
	{ jump64_to_r, jump64_to_m },
};
static const x86_fn call_indirect[4][2] = {
	{ NULL, NULL },
	{ call16_to_r, call16_to_m },
	{ call32_to_r, call32_to_m },
	{ call64_to_r, call64_to_m },
};

/* ---- RET: i->imm bytes of arguments ---------------------------------------------------------- */

X86_SLOW_HANDLER(ret64_slow)
{
	const u64 sp = c->r[R_SP];
	const u64 to = x86_pop64(c, i);

	/* A wrong target leaves RSP alone. */
	if ((u64)((s64)(to << 16) >> 16) != to) {
		c->r[R_SP] = sp;
		x86_check_target(c, i, to);
	}
	c->r[R_SP] += i->imm;
	X86_GOTO(c, i, to);
}

X86_HANDLER(ret64)
{
	const gva_t a = c->r[R_SP];
	const struct x86_tlb_entry *e = x86_tlb_at(c, a);

	if (UNLIKELY(x86_tlb_tag(c, a, 8) != e->read_tag)) {
		ret64_slow(c, i);
		return;
	}
	const u64 to = *(const volatile x86_u64 *)(a + e->addend);
	if (UNLIKELY((u64)((s64)(to << 16) >> 16) != to)) {
		ret64_slow(c, i);
		return;
	}
	c->r[R_SP] = a + 8 + i->imm;
	X86_GOTO(c, i, to);
}

/* Outside of 64-bit mode; i->extra is the operand size. */
X86_HANDLER(ret)
{
	const unsigned size = i->extra / 8;
	const u64 to = x86_stack_at(c, i, x86_stack_pointer(c), size);

	x86_check_target(c, i, to);
	x86_stack_move(c, size + i->imm);
	X86_GOTO(c, i, to);
}

/* ---- choosing -------------------------------------------------------------------------------- */

static bool is_long(const struct x86_decoded *d)
{
	return d->mode & X86_MODE_LONG;
}

static bool choose_jump(const struct x86_decoded *d, struct x86_insn *i)
{
	if (d->insn.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
		return false;
	i->flags |= X86_INSN_ENDS;
	if (x86_decode_is_imm(d, 0)) {
		x86_decode_branch(d, i);
		return x86_choose_fn(i, is_long(d) || d->osz == 32 ? jump : jump16);
	}
	const unsigned w = x86_width_index(is_long(d) ? 64 : d->osz);
	if (x86_decode_is_memory(d, 0))
		x86_decode_memory(d, &d->op[0], i);
	else
		i->rm = x86_choose_reg(&d->op[0]);
	return x86_choose_fn(i, jump_indirect[w][x86_decode_is_memory(d, 0)]);
}

static bool choose_jump_if(const struct x86_decoded *d, struct x86_insn *i)
{
	i->flags |= X86_INSN_ENDS;
	i->extra = d->insn.opcode & 15;
	x86_decode_branch(d, i);
	return x86_choose_fn(i, is_long(d) || d->osz == 32 ? jump_if[i->extra] : jump16_if);
}

static bool choose_loop(const struct x86_decoded *d, struct x86_insn *i, unsigned kind)
{
	i->flags |= X86_INSN_ENDS;
	i->extra = d->asz;
	i->reg = (u8)kind;
	i->rm = !is_long(d) && d->osz == 16;
	x86_decode_branch(d, i);
	return x86_choose_fn(i, loop);
}

static bool choose_call(const struct x86_decoded *d, struct x86_insn *i)
{
	if (d->insn.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
		return false;
	i->flags |= X86_INSN_ENDS;
	if (x86_decode_is_imm(d, 0)) {
		i->extra = d->osz;
		x86_decode_branch(d, i);
		return x86_choose_fn(i, is_long(d) ? call64 : call);
	}
	const unsigned w = x86_width_index(is_long(d) ? 64 : d->osz);
	if (x86_decode_is_memory(d, 0))
		x86_decode_memory(d, &d->op[0], i);
	else
		i->rm = x86_choose_reg(&d->op[0]);
	return x86_choose_fn(i, call_indirect[w][x86_decode_is_memory(d, 0)]);
}

static bool choose_ret(const struct x86_decoded *d, struct x86_insn *i)
{
	if (d->insn.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
		return false;
	i->flags |= X86_INSN_ENDS;
	i->extra = d->osz;
	if (x86_decode_is_imm(d, 0))
		i->imm = (u16)d->op[0].imm.value.u;
	return x86_choose_fn(i, is_long(d) ? ret64 : ret);
}

bool x86_choose_control(const struct x86_decoded *d, struct x86_insn *i)
{
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_JMP: return choose_jump(d, i);
	case ZYDIS_MNEMONIC_JO:
	case ZYDIS_MNEMONIC_JNO:
	case ZYDIS_MNEMONIC_JB:
	case ZYDIS_MNEMONIC_JNB:
	case ZYDIS_MNEMONIC_JZ:
	case ZYDIS_MNEMONIC_JNZ:
	case ZYDIS_MNEMONIC_JBE:
	case ZYDIS_MNEMONIC_JNBE:
	case ZYDIS_MNEMONIC_JS:
	case ZYDIS_MNEMONIC_JNS:
	case ZYDIS_MNEMONIC_JP:
	case ZYDIS_MNEMONIC_JNP:
	case ZYDIS_MNEMONIC_JL:
	case ZYDIS_MNEMONIC_JNL:
	case ZYDIS_MNEMONIC_JLE:
	case ZYDIS_MNEMONIC_JNLE: return choose_jump_if(d, i);
	case ZYDIS_MNEMONIC_LOOP: return choose_loop(d, i, LOOP);
	case ZYDIS_MNEMONIC_LOOPE: return choose_loop(d, i, LOOPE);
	case ZYDIS_MNEMONIC_LOOPNE: return choose_loop(d, i, LOOPNE);
	case ZYDIS_MNEMONIC_JCXZ:
	case ZYDIS_MNEMONIC_JECXZ:
	case ZYDIS_MNEMONIC_JRCXZ: return choose_loop(d, i, JCXZ);
	case ZYDIS_MNEMONIC_CALL: return choose_call(d, i);
	case ZYDIS_MNEMONIC_RET: return choose_ret(d, i);
	default: return x86_choose_stack(d, i);
	}
}
