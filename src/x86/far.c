/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Far jumps, calls and returns, call gates, and the stacks that they and events push on.
 *
 * Each works out everything on locals, touches memory, and only then changes registers: whatever
 * faults leaves the instruction not begun. (Bytes below the stack pointer may have been written.)
 * SDM volume 3, 5.8; volume 2, CALL, JMP, RET. Thread: the VP's.
 */
#include "x86/system.h"

/* ---- stacks ---------------------------------------------------------------------------------- */

struct x86_stack x86_stack_of(const struct x86_cpu *c, const struct vp_segment *ss,
			      u64 sp, bool wide, unsigned cpl, u16 error)
{
	struct x86_stack st = {
		.base = wide ? 0 : ss->base,
		.sp = sp,
		.mask = wide			 ? ~0ull
			: ss->attr & SEG_ATTR_DB ? 0xffffffff
						 : 0xffff,
		.limit = ss->limit,
		.attr = ss->attr,
		.wide = wide,
		.system = cpl < c->cpl,
		.error = error,
	};

	return st;
}

struct x86_stack x86_stack_now(const struct x86_cpu *c)
{
	return x86_stack_of(c, &c->s.seg[SEG_SS], c->r[R_SP], c->mode & X86_MODE_LONG,
			    c->cpl, 0);
}

static bool inside(const struct x86_stack *st, u64 offset, unsigned size)
{
	u64 last = offset + size - 1;

	if (st->wide)
		return x86_canonical(offset) && x86_canonical(last);
	if (!(st->attr & SEG_ATTR_P))
		return false;
	if ((st->attr & SEG_ATTR_DC) && !(st->attr & SEG_ATTR_CODE))
		return offset > st->limit &&
		       last <= (st->attr & SEG_ATTR_DB ? 0xffffffff : 0xffff);
	return last <= st->limit;
}

static gva_t stack_address(const struct x86_stack *st, u64 offset)
{
	return st->wide ? offset : (u32)(st->base + offset);
}

static u64 load_plain(struct x86_cpu *c, const struct x86_insn *i, gva_t a, unsigned size)
{
	switch (size) {
	case 2:
		return x86_load16(c, i, a);
	case 4:
		return x86_load32(c, i, a);
	default:
		return x86_load64(c, i, a);
	}
}

static void store_plain(struct x86_cpu *c, const struct x86_insn *i, gva_t a,
			unsigned size, u64 value)
{
	switch (size) {
	case 2:
		x86_store16(c, i, a, (u16)value);
		break;
	case 4:
		x86_store32(c, i, a, (u32)value);
		break;
	default:
		x86_store64(c, i, a, value);
	}
}

void x86_stack_push(struct x86_cpu *c, const struct x86_insn *i, struct x86_stack *st,
		    unsigned size, u64 value)
{
	u64 offset = (st->sp - size) & st->mask;

	if (!inside(st, offset, size))
		x86_raise_selector(c, i, X86_SS, st->error);
	if (st->system)
		x86_store_system(c, i, stack_address(st, offset), size, value);
	else
		store_plain(c, i, stack_address(st, offset), size, value);
	st->sp = offset;
}

u64 x86_stack_pop(struct x86_cpu *c, const struct x86_insn *i, struct x86_stack *st,
		  unsigned size)
{
	u64 offset = st->sp & st->mask, value;

	if (!inside(st, offset, size))
		x86_raise_selector(c, i, X86_SS, st->error);
	value = load_plain(c, i, stack_address(st, offset), size);
	st->sp = (offset + size) & st->mask;
	return value;
}

void x86_stack_pop_frame(struct x86_cpu *c, const struct x86_insn *i,
			 struct x86_stack *st, unsigned size, unsigned count,
			 u64 *ret_words)
{
	bool down = x86_protected(c) && !x86_v86(c);

	for (unsigned n = 0; n < count; n++) {
		unsigned k = down ? count - 1 - n : n;
		struct x86_stack at = *st;

		at.sp += k * size;
		ret_words[k] = x86_stack_pop(c, i, &at, size);
	}
	st->sp = (st->sp + count * size) & st->mask;
}

void x86_stack_room(struct x86_cpu *c, const struct x86_insn *i,
		    const struct x86_stack *st, unsigned bytes)
{
	u64 sp = st->sp;

	/* By twos: the pointer may wrap within the segment, and each slot is looked at. */
	for (unsigned n = 0; n < bytes; n += 2) {
		sp = (sp - 2) & st->mask;
		if (!inside(st, sp, 2))
			x86_raise_selector(c, i, X86_SS, st->error);
	}
}

void x86_stack_commit(struct x86_cpu *c, const struct x86_stack *st)
{
	if (st->mask == 0xffff)
		c->r[R_SP] = (c->r[R_SP] & ~0xffffull) | (st->sp & 0xffff);
	else
		c->r[R_SP] = st->sp & st->mask;
}

/* ---- TSS stacks ------------------------------------------------------------------------------ */

void x86_tss_stack(struct x86_cpu *c, const struct x86_insn *i, unsigned cpl, u16 *ret_ss,
		   u64 *ret_sp)
{
	const struct vp_segment *tr = &c->s.tr;
	bool wide = (tr->attr & SEG_ATTR_TYPE) == X86_TYPE_TSS32_BUSY;
	u32 at = wide ? 4 + 8 * cpl : 2 + 4 * cpl;

	if (at + (wide ? 5 : 3) > tr->limit || !(tr->attr & SEG_ATTR_P))
		x86_raise_selector(c, i, X86_TS, tr->selector);
	*ret_sp = x86_load_system(c, i, (u32)(tr->base + at), wide ? 4 : 2);
	*ret_ss = (u16)x86_load_system(c, i, (u32)(tr->base + at + (wide ? 4 : 2)), 2);
}

u64 x86_tss_stack64(struct x86_cpu *c, const struct x86_insn *i, unsigned slot)
{
	const struct vp_segment *tr = &c->s.tr;
	/* RSP0-2 at 4, 12, 20; IST1-7 at 36 and on: slot 3 is reserved space. */
	u32 at = 4 + 8 * slot;
	u64 sp;

	if (at + 7 > tr->limit || !(tr->attr & SEG_ATTR_P))
		x86_raise_selector(c, i, X86_TS, tr->selector);
	sp = x86_load_system(c, i, tr->base + at, 8);
	if (!x86_canonical(sp))
		x86_raise_selector(c, i, X86_SS, 0);
	return sp;
}

/* ---- CS -------------------------------------------------------------------------------------- */

void x86_check_offset(struct x86_cpu *c, const struct x86_insn *i,
		      const struct x86_descriptor *cs, u64 offset)
{
	bool wide = x86_lma(c) && x86_d_long(cs);

	if (wide ? !x86_canonical(offset) : offset > x86_d_limit(cs))
		x86_raise_selector(c, i, X86_GP, 0);
}

void x86_set_cs(struct x86_cpu *c, const struct x86_descriptor *d, u16 selector,
		unsigned cpl)
{
	c->s.seg[SEG_CS] = x86_d_segment(d, (u16)((selector & ~3u) | cpl));
	if (!x86_lma(c))
		c->s.seg[SEG_CS].attr &= (u16)~SEG_ATTR_L;
	c->cpl = (u8)cpl;
}

void x86_set_null_ss(struct x86_cpu *c, u16 selector, unsigned cpl)
{
	c->s.seg[SEG_SS] = (struct vp_segment){
		.selector = selector,
		.attr = (u16)(cpl << SEG_ATTR_DPL_SHIFT),
	};
}

/* A 64-bit code segment has D clear; both set is reserved. */
static bool reserved_size(const struct x86_cpu *c, const struct x86_descriptor *d)
{
	return x86_lma(c) && x86_d_long(d) && x86_d_db(d);
}

static void real_transfer(struct x86_cpu *c, const struct x86_insn *i, u16 selector,
			  u64 offset)
{
	if (offset > c->s.seg[SEG_CS].limit)
		x86_raise_code(c, i, X86_GP, 0);
}

/* ---- the operand ----------------------------------------------------------------------------- */

/* imm = selector << 32 | offset when it is in the instruction. */
static u64 far_operand(struct x86_cpu *c, const struct x86_insn *i, u16 *ret_selector)
{
	unsigned size = i->extra & X86_EXTRA_SIZE;
	u64 offset = 0;
	u8 raw[10];

	if (!(i->extra & X86_EXTRA_MEM)) {
		*ret_selector = (u16)(i->imm >> 32);
		return (u32)i->imm;
	}
	x86_copy_from_guest(c, i, x86_ea(c, i, size + 2, false), raw, size + 2);
	memcpy(&offset, raw, size);
	memcpy(ret_selector, raw + size, 2);
	return offset;
}

/* The checks on a code segment that a far JMP or CALL names directly. */
static void check_direct_cs(struct x86_cpu *c, const struct x86_insn *i, u16 selector,
			    const struct x86_descriptor *d)
{
	unsigned dpl = x86_d_dpl(d);

	if (reserved_size(c, d))
		x86_raise_selector(c, i, X86_GP, selector);
	if (x86_d_conforming(d) ? dpl > c->cpl
				: dpl != c->cpl || (selector & 3u) > c->cpl)
		x86_raise_selector(c, i, X86_GP, selector);
	if (!x86_d_present(d))
		x86_raise_selector(c, i, X86_NP, selector);
}

/* What a selector of a far JMP or CALL turned out to be. */
enum far_kind { FAR_CODE, FAR_CALL_GATE, FAR_TASK };

static enum far_kind far_target(struct x86_cpu *c, const struct x86_insn *i, u16 selector,
				struct x86_descriptor *ret_d)
{
	unsigned type, dpl;

	if (x86_null(selector))
		x86_raise_code(c, i, X86_GP, 0);
	if (!x86_read_descriptor(c, i, selector, ret_d))
		x86_raise_selector(c, i, X86_GP, selector);
	if (x86_d_s(ret_d)) {
		if (!x86_d_code(ret_d))
			x86_raise_selector(c, i, X86_GP, selector);
		check_direct_cs(c, i, selector, ret_d);
		return FAR_CODE;
	}
	type = x86_d_type(ret_d);
	dpl = x86_d_dpl(ret_d);
	if (type == X86_TYPE_CALL32 || (!x86_lma(c) && type == X86_TYPE_CALL16)) {
		/* In IA-32e mode it is 16 bytes long. */
		if (!x86_read_descriptor16(c, i, selector, ret_d) || dpl < c->cpl ||
		    dpl < (selector & 3u))
			x86_raise_selector(c, i, X86_GP, selector);
		if (!x86_d_present(ret_d))
			x86_raise_selector(c, i, X86_NP, selector);
		return FAR_CALL_GATE;
	}
	if (!x86_lma(c) && (type == X86_TYPE_TASK_GATE || type == X86_TYPE_TSS16 ||
			    type == X86_TYPE_TSS32)) {
		if (dpl < c->cpl || dpl < (selector & 3u))
			x86_raise_selector(c, i, X86_GP, selector);
		if (type == X86_TYPE_TASK_GATE && !x86_d_present(ret_d))
			x86_raise_selector(c, i, X86_NP, selector);
		return FAR_TASK;
	}
	x86_raise_selector(c, i, X86_GP, selector);
}

static void far_task(struct x86_cpu *c, const struct x86_insn *i, u16 selector,
		     const struct x86_descriptor *d, enum x86_task_reason reason)
{
	if (x86_d_type(d) == X86_TYPE_TASK_GATE)
		selector = x86_gate_selector(d);
	x86_task_switch(c, i, selector, reason, x86_next_rip(c, i), NULL);
}

/* The code segment behind a call gate. */
static u64 gate_target(struct x86_cpu *c, const struct x86_insn *i,
		       const struct x86_descriptor *gate, bool jump,
		       struct x86_descriptor *ret_cs)
{
	u16 selector = x86_gate_selector(gate);
	u64 offset = x86_gate_offset(gate);
	unsigned dpl;

	if (x86_null(selector))
		x86_raise_code(c, i, X86_GP, 0);
	if (!x86_read_descriptor(c, i, selector, ret_cs) || !x86_d_code(ret_cs))
		x86_raise_selector(c, i, X86_GP, selector);
	dpl = x86_d_dpl(ret_cs);
	if (dpl > c->cpl || (jump && !x86_d_conforming(ret_cs) && dpl != c->cpl))
		x86_raise_selector(c, i, X86_GP, selector);
	if (x86_lma(c) && (!x86_d_long(ret_cs) || x86_d_db(ret_cs)))
		x86_raise_selector(c, i, X86_GP, selector);
	if (!x86_d_present(ret_cs))
		x86_raise_selector(c, i, X86_NP, selector);
	if (x86_lma(c))
		offset |= gate->high << 32;
	else if (x86_d_type(gate) == X86_TYPE_CALL16)
		offset &= 0xffff;
	return offset;
}

/* ---- JMP ------------------------------------------------------------------------------------- */

X86_HANDLER(x86_far_jump)
{
	struct x86_descriptor d, cs;
	u16 selector;
	u64 offset = far_operand(c, i, &selector);

	if (!x86_protected(c) || x86_v86(c)) {
		real_transfer(c, i, selector, offset);
		x86_set_real_segment(c, SEG_CS, selector);
		x86_mode_changed(c);
		X86_LEAVE(c, i, offset);
	}
	switch (far_target(c, i, selector, &d)) {
	case FAR_CODE:
		x86_check_offset(c, i, &d, offset);
		x86_mark_accessed(c, i, &d);
		x86_set_cs(c, &d, selector, c->cpl);
		break;
	case FAR_CALL_GATE:
		offset = gate_target(c, i, &d, true, &cs);
		x86_check_offset(c, i, &cs, offset);
		x86_mark_accessed(c, i, &cs);
		x86_set_cs(c, &cs, x86_gate_selector(&d), c->cpl);
		break;
	case FAR_TASK:
		far_task(c, i, selector, &d, X86_TASK_JUMP);
		X86_LEAVE(c, i, c->rip);
	}
	x86_mode_changed(c);
	X86_LEAVE(c, i, offset);
}

/* ---- CALL ------------------------------------------------------------------------------------ */

/* Through a gate to more privilege, outside IA-32e mode: the parameters move to the new stack. */
static struct x86_stack inner_stack(struct x86_cpu *c, const struct x86_insn *i,
				    unsigned cpl, unsigned size, unsigned count,
				    struct vp_segment *ret_ss)
{
	struct x86_stack old = x86_stack_now(c), st;
	struct x86_descriptor ss;
	u32 parameter[32];
	u16 selector;
	u64 sp;

	x86_tss_stack(c, i, cpl, &selector, &sp);
	x86_check_ss(c, i, selector, cpl, X86_TS, &ss);
	*ret_ss = x86_d_segment(&ss, selector);
	st = x86_stack_of(c, ret_ss, sp, false, cpl, selector);
	x86_stack_room(c, i, &st, (count + 4) * size);
	for (unsigned n = 0; n < count; n++)
		parameter[n] = (u32)x86_stack_pop(c, i, &old, size);
	x86_stack_push(c, i, &st, size, c->s.seg[SEG_SS].selector);
	x86_stack_push(c, i, &st, size, c->r[R_SP]);
	for (unsigned n = count; n-- > 0;)
		x86_stack_push(c, i, &st, size, parameter[n]);
	x86_mark_accessed(c, i, &ss);
	ret_ss->attr |= SEG_ATTR_ACCESSED;
	return st;
}

static struct x86_stack inner_stack64(struct x86_cpu *c, const struct x86_insn *i,
				      unsigned cpl, struct vp_segment *ret_ss)
{
	struct x86_stack st;
	u64 sp = x86_tss_stack64(c, i, cpl);

	*ret_ss = (struct vp_segment){
		.selector = (u16)cpl,
		.attr = (u16)(cpl << SEG_ATTR_DPL_SHIFT),
	};
	st = x86_stack_of(c, ret_ss, sp, true, cpl, 0);
	x86_stack_push(c, i, &st, 8, c->s.seg[SEG_SS].selector);
	x86_stack_push(c, i, &st, 8, c->r[R_SP]);
	return st;
}

static void call_through_gate(struct x86_cpu *c, const struct x86_insn *i,
			      const struct x86_descriptor *gate)
{
	bool wide = x86_lma(c);
	unsigned size = wide ? 8 : x86_d_type(gate) == X86_TYPE_CALL32 ? 4 : 2;
	struct vp_segment ss = c->s.seg[SEG_SS];
	struct x86_descriptor cs;
	struct x86_stack st;
	u64 offset = gate_target(c, i, gate, false, &cs);
	unsigned cpl = c->cpl;

	if (!x86_d_conforming(&cs) && x86_d_dpl(&cs) < c->cpl) {
		cpl = x86_d_dpl(&cs);
		if (wide)
			st = inner_stack64(c, i, cpl, &ss);
		else
			st = inner_stack(c, i, cpl, size, (gate->raw >> 32) & 31, &ss);
	} else {
		/* In compatibility mode the frame is already a 64-bit one. */
		st = x86_stack_of(c, &ss, c->r[R_SP], wide, cpl, 0);
		x86_stack_room(c, i, &st, 2 * size);
	}
	x86_stack_push(c, i, &st, size, c->s.seg[SEG_CS].selector);
	x86_stack_push(c, i, &st, size, x86_next_rip(c, i));
	x86_check_offset(c, i, &cs, offset);
	x86_mark_accessed(c, i, &cs);
	x86_set_cs(c, &cs, x86_gate_selector(gate), cpl);
	c->s.seg[SEG_SS] = ss;
	x86_stack_commit(c, &st);
	c->rip = offset;
}

X86_HANDLER(x86_far_call)
{
	unsigned size = i->extra & X86_EXTRA_SIZE;
	struct x86_stack st = x86_stack_now(c);
	struct x86_descriptor d;
	u16 selector;
	u64 offset = far_operand(c, i, &selector);
	bool real = !x86_protected(c) || x86_v86(c);

	if (real) {
		real_transfer(c, i, selector, offset);
	} else {
		switch (far_target(c, i, selector, &d)) {
		case FAR_CODE:
			break;
		case FAR_CALL_GATE:
			call_through_gate(c, i, &d);
			x86_mode_changed(c);
			X86_LEAVE(c, i, c->rip);
		case FAR_TASK:
			far_task(c, i, selector, &d, X86_TASK_CALL);
			X86_LEAVE(c, i, c->rip);
		}
		x86_check_offset(c, i, &d, offset);
	}
	x86_stack_room(c, i, &st, 2 * size);
	x86_stack_push(c, i, &st, size, c->s.seg[SEG_CS].selector);
	x86_stack_push(c, i, &st, size, x86_next_rip(c, i));
	if (real) {
		x86_set_real_segment(c, SEG_CS, selector);
	} else {
		x86_mark_accessed(c, i, &d);
		x86_set_cs(c, &d, selector, c->cpl);
	}
	x86_stack_commit(c, &st);
	x86_mode_changed(c);
	X86_LEAVE(c, i, offset);
}

/* ---- RET ------------------------------------------------------------------------------------- */

void x86_check_return_cs(struct x86_cpu *c, const struct x86_insn *i, u16 selector,
			 struct x86_descriptor *ret_d)
{
	unsigned rpl = selector & 3;

	if (x86_null(selector))
		x86_raise_code(c, i, X86_GP, 0);
	if (!x86_read_descriptor(c, i, selector, ret_d) || !x86_d_code(ret_d) ||
	    rpl < c->cpl || reserved_size(c, ret_d))
		x86_raise_selector(c, i, X86_GP, selector);
	if (x86_d_conforming(ret_d) ? x86_d_dpl(ret_d) > rpl : x86_d_dpl(ret_d) != rpl)
		x86_raise_selector(c, i, X86_GP, selector);
	if (!x86_d_present(ret_d))
		x86_raise_selector(c, i, X86_NP, selector);
}

bool x86_check_return_ss(struct x86_cpu *c, const struct x86_insn *i,
			 const struct x86_descriptor *cs, u16 cs_selector, u16 ss,
			 struct x86_descriptor *ret_d)
{
	unsigned rpl = cs_selector & 3;

	if (x86_null(ss) && x86_lma(c) && x86_d_long(cs) && rpl != 3 && (ss & 3u) == rpl)
		return false;
	x86_check_ss(c, i, ss, rpl, X86_GP, ret_d);
	return true;
}

X86_HANDLER(x86_far_return)
{
	unsigned size = i->extra & X86_EXTRA_SIZE;
	u64 release = i->imm;
	struct x86_stack st = x86_stack_now(c);
	u64 frame[2];

	x86_stack_pop_frame(c, i, &st, size, 2, frame);

	u64 offset = frame[0];
	u16 selector = (u16)frame[1], ss_selector;
	struct x86_descriptor cs, ss;
	struct vp_segment new_ss;
	bool usable;
	u64 sp;

	if (!x86_protected(c) || x86_v86(c)) {
		real_transfer(c, i, selector, offset);
		x86_set_real_segment(c, SEG_CS, selector);
		st.sp += release;
		x86_stack_commit(c, &st);
		x86_mode_changed(c);
		X86_LEAVE(c, i, offset);
	}
	x86_check_return_cs(c, i, selector, &cs);
	st.sp += release;
	if ((selector & 3) == c->cpl) {
		x86_check_offset(c, i, &cs, offset);
		x86_mark_accessed(c, i, &cs);
		x86_set_cs(c, &cs, selector, c->cpl);
		x86_stack_commit(c, &st);
		x86_mode_changed(c);
		X86_LEAVE(c, i, offset);
	}

	x86_stack_pop_frame(c, i, &st, size, 2, frame);
	sp = frame[0];
	ss_selector = (u16)frame[1];
	usable = x86_check_return_ss(c, i, &cs, selector, ss_selector, &ss);
	x86_check_offset(c, i, &cs, offset);
	x86_mark_accessed(c, i, &cs);
	if (usable)
		x86_mark_accessed(c, i, &ss);
	x86_set_cs(c, &cs, selector, selector & 3);
	if (usable)
		c->s.seg[SEG_SS] = x86_d_segment(&ss, ss_selector);
	else
		x86_set_null_ss(c, ss_selector, selector & 3);
	x86_mode_changed(c);
	new_ss = c->s.seg[SEG_SS];
	st = x86_stack_of(c, &new_ss, sp + release, c->mode & X86_MODE_LONG, c->cpl, 0);
	x86_stack_commit(c, &st);
	x86_drop_privileged_segments(c);
	x86_mode_changed(c);
	X86_LEAVE(c, i, offset);
}
