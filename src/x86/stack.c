/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PUSH POP of registers, memory and immediates, PUSHA POPA, ENTER LEAVE. Segment registers and the
 * flags are the system family's. The 64-bit forms of 64-bit mode are handlers of their own; all
 * others go by x86_stack_load/store(), with the widths of stack pointer and operand apart.
 *
 * Nothing changes before the last access that can fault. Intel SDM volume 2. VP's thread.
 */
#include "x86/stack.h"

#include "x86/integer.h"

/* Tables aligned by hand. */
/* clang-format off */

/* ---- 64-bit mode, 64 bits -------------------------------------------------------------------- */

/* Push `value`, an expression of u64. */
#define PUSH64(name, value)                                                                        \
	X86_SLOW_HANDLER(name##_slow)                                                              \
	{                                                                                          \
		x86_push64(c, i, value);                                                           \
		NEXT(c, i);                                                                        \
	}                                                                                          \
	X86_HANDLER(name)                                                                          \
	{                                                                                          \
		const gva_t a = c->r[R_SP] - 8;                                                    \
		const struct x86_tlb_entry *e = x86_tlb_at(c, a);                                  \
                                                                                                   \
		if (UNLIKELY(x86_tlb_tag(c, a, 8) != e->write_tag)) {                              \
			name##_slow(c, i);                                                         \
			return;                                                                    \
		}                                                                                  \
		*(volatile x86_u64 *)(a + e->addend) = (value);                                    \
		c->r[R_SP] = a;                                                                    \
		X86_STORED(64, e, a);                                                              \
		NEXT(c, i);                                                                        \
	}
PUSH64(push64_r, c->r[i->reg])
PUSH64(push64_i, i->imm)

X86_SLOW_HANDLER(pop64_r_slow)
{
	const u64 v = x86_pop64(c, i);

	c->r[i->reg] = v;
	NEXT(c, i);
}

/* POP RSP: what was popped wins over the increment. */
X86_HANDLER(pop64_r)
{
	const gva_t a = c->r[R_SP];
	const struct x86_tlb_entry *e = x86_tlb_at(c, a);

	if (UNLIKELY(x86_tlb_tag(c, a, 8) != e->read_tag)) {
		pop64_r_slow(c, i);
		return;
	}
	c->r[R_SP] = a + 8;
	c->r[i->reg] = *(const volatile x86_u64 *)(a + e->addend);
	NEXT(c, i);
}

X86_HANDLER(push64_m)
{
	x86_push64(c, i, x86_load64(c, i, x86_ea(c, i, 8, false)));
	NEXT(c, i);
}

X86_SLOW_HANDLER(leave64_slow)
{
	const u64 a = c->r[R_BP];
	const u64 v = x86_stack_load(c, i, a, 8);

	c->r[R_SP] = a + 8;
	c->r[R_BP] = v;
	NEXT(c, i);
}

X86_HANDLER(leave64)
{
	const gva_t a = c->r[R_BP];
	const struct x86_tlb_entry *e = x86_tlb_at(c, a);

	if (UNLIKELY(x86_tlb_tag(c, a, 8) != e->read_tag)) {
		leave64_slow(c, i);
		return;
	}
	c->r[R_SP] = a + 8;
	c->r[R_BP] = *(const volatile x86_u64 *)(a + e->addend);
	NEXT(c, i);
}

/* ---- any width: i->extra is the operand size in bytes ----------------------------------------- */

X86_HANDLER(push_r)
{
	x86_push(c, i, i->extra, c->r[i->reg]);
	NEXT(c, i);
}

X86_HANDLER(push_i)
{
	x86_push(c, i, i->extra, i->imm);
	NEXT(c, i);
}

static u64 load(struct x86_cpu *c, const struct x86_insn *i, gva_t a, unsigned size)
{
	switch (size) {
	case 2: return x86_load16(c, i, a);
	case 4: return x86_load32(c, i, a);
	default: return x86_load64(c, i, a);
	}
}

static void store(struct x86_cpu *c, const struct x86_insn *i, gva_t a, unsigned size, u64 v)
{
	switch (size) {
	case 2: x86_store16(c, i, a, (u16)v); break;
	case 4: x86_store32(c, i, a, (u32)v); break;
	default: x86_store64(c, i, a, v);
	}
}

X86_HANDLER(push_m)
{
	x86_push(c, i, i->extra, load(c, i, x86_ea(c, i, i->extra, false), i->extra));
	NEXT(c, i);
}

X86_HANDLER(pop_r)
{
	const unsigned size = i->extra;
	const u64 v = x86_stack_at(c, i, x86_stack_pointer(c), size);

	x86_stack_move(c, size);
	x86_put(c, i->reg, 8 * size, v);
	NEXT(c, i);
}

/* An address made with the stack pointer is made with the one after the increment. */
X86_HANDLER(pop_m)
{
	const unsigned size = i->extra;
	const u64 v = x86_stack_at(c, i, x86_stack_pointer(c), size);
	const gva_t a = x86_ea_beside(c, i, i->base == R_SP ? size : 0, size, true);

	store(c, i, a, size, v);
	x86_stack_move(c, size);
	NEXT(c, i);
}

X86_HANDLER(pusha)
{
	const unsigned size = i->extra;
	const u64 top = c->r[R_SP];
	u64 sp = top;

	/* One by one: those before a fault are in memory (measured on Zen 4). */
	for (unsigned n = 0; n < 8; n++) {
		sp = x86_stack_cut(c, top - (n + 1) * size);
		x86_stack_store(c, i, sp, size, c->r[n]);
	}
	x86_stack_set(c, sp);
	NEXT(c, i);
}

X86_HANDLER(popa)
{
	const unsigned size = i->extra;
	const u64 top = c->r[R_SP];
	u64 v[8];

	for (unsigned n = 0; n < 8; n++)
		v[n] = x86_stack_load(c, i, x86_stack_cut(c, top + n * size), size);
	for (unsigned n = 0; n < 8; n++)
		if (7 - n != R_SP)
			x86_put(c, 7 - n, 8 * size, v[n]);
	x86_stack_set(c, top + 8 * size);
	NEXT(c, i);
}

/* i->imm bytes of locals, i->reg levels. */
X86_HANDLER(enter)
{
	const unsigned size = i->extra, levels = i->reg;
	const u64 frame = x86_stack_cut(c, c->r[R_SP] - size);
	u64 bp = c->r[R_BP], sp = frame;

	x86_stack_store(c, i, sp, size, bp);
	for (unsigned n = 1; n < levels; n++) {
		bp = x86_stack_cut(c, bp - size);
		const u64 v = x86_stack_at(c, i, bp, size);

		sp = x86_stack_cut(c, sp - size);
		x86_stack_store(c, i, sp, size, v);
	}
	if (levels > 0) {
		sp = x86_stack_cut(c, sp - size);
		x86_stack_store(c, i, sp, size, frame);
	}
	sp = x86_stack_cut(c, sp - i->imm);
	x86_stack_probe(c, i, sp, size);
	x86_stack_set(c, sp);
	x86_put(c, R_BP, 8 * size, frame);
	NEXT(c, i);
}

X86_HANDLER(leave)
{
	const unsigned size = i->extra;
	const u64 bp = x86_stack_cut(c, c->r[R_BP]);
	const u64 v = x86_stack_at(c, i, bp, size);

	x86_stack_set(c, bp + size);
	x86_put(c, R_BP, 8 * size, v);
	NEXT(c, i);
}

/* ---- choosing -------------------------------------------------------------------------------- */

/* Operand size in bytes: in 64-bit mode 8, or 2 with the prefix. */
static unsigned operand_size(const struct x86_decoded *d)
{
	if (d->mode & X86_MODE_LONG)
		return d->osz == 16 ? 2 : 8;
	return d->osz / 8;
}

static bool is_general(ZydisRegister reg)
{
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64: return true;
	default: return false;
	}
}

static bool choose_push(const struct x86_decoded *d, struct x86_insn *i)
{
	const unsigned size = operand_size(d);

	i->extra = (u16)size;
	if (x86_decode_is_memory(d, 0)) {
		x86_decode_memory(d, &d->op[0], i);
		return x86_choose_fn(i, size == 8 ? push64_m : push_m);
	}
	if (x86_decode_is_imm(d, 0)) {
		i->imm = d->op[0].imm.value.u;
		return x86_choose_fn(i, size == 8 ? push64_i : push_i);
	}
	if (!is_general(d->op[0].reg.value))
		return false;
	i->reg = (u8)x86_decode_reg(d->op[0].reg.value);
	return x86_choose_fn(i, size == 8 ? push64_r : push_r);
}

static bool choose_pop(const struct x86_decoded *d, struct x86_insn *i)
{
	const unsigned size = operand_size(d);

	i->extra = (u16)size;
	if (x86_decode_is_memory(d, 0)) {
		x86_decode_memory(d, &d->op[0], i);
		return x86_choose_fn(i, pop_m);
	}
	if (!is_general(d->op[0].reg.value))
		return false;
	i->reg = (u8)x86_decode_reg(d->op[0].reg.value);
	return x86_choose_fn(i, size == 8 ? pop64_r : pop_r);
}

bool x86_choose_stack(const struct x86_decoded *d, struct x86_insn *i)
{
	const bool is_long = d->mode & X86_MODE_LONG;

	i->extra = (u16)operand_size(d);
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_PUSH: return choose_push(d, i);
	case ZYDIS_MNEMONIC_POP: return choose_pop(d, i);
	case ZYDIS_MNEMONIC_PUSHA:
	case ZYDIS_MNEMONIC_PUSHAD: return !is_long && x86_choose_fn(i, pusha);
	case ZYDIS_MNEMONIC_POPA:
	case ZYDIS_MNEMONIC_POPAD: return !is_long && x86_choose_fn(i, popa);
	case ZYDIS_MNEMONIC_ENTER:
		i->imm = (u16)d->op[0].imm.value.u;
		i->reg = d->op[1].imm.value.u & 31;
		return x86_choose_fn(i, enter);
	case ZYDIS_MNEMONIC_LEAVE:
		return x86_choose_fn(i, i->extra == 8 ? leave64 : leave);
	default:
		i->extra = 0;
		return false;
	}
}
