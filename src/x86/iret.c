/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IRET, the way back from interrupt.c: real mode, virtual-8086, protected (also into virtual-8086
 * and by back link), IA-32e mode. SDM volume 2, IRET. Thread: the VP's.
 */
#include "x86/system.h"

/* Popped but for NMIs, which open again whichever way an IRET went. */
static void done(struct x86_cpu *c)
{
	c->s.interruptibility &= ~VP_NMI_BLOCKED;
	x86_mode_changed(c);
}

/* Flags that an IRET may set, from CPL's rights. Ring 0 also has VIF and VIP, but not in real mode. */
static void return_flags(struct x86_cpu *c, u64 image, unsigned size)
{
	u64 mask = x86_flags_mask(c, size), old = x86_get_rflags(c);

	if (size > 2)
		mask |= X86_RF;
	if (size > 2 && c->cpl == 0 && x86_protected(c))
		mask |= X86_VIF | X86_VIP;
	x86_load_flags(c, (old & ~mask & ~(u64)X86_RF) | (image & mask));
}

static void return_real(struct x86_cpu *c, const struct x86_insn *i)
{
	unsigned size = i->extra & X86_EXTRA_SIZE;
	struct x86_stack st = x86_stack_now(c);
	u64 rip, flags;
	u16 cs;

	if (x86_v86(c) && x86_iopl(c) < 3)
		x86_raise_code(c, i, X86_GP, 0);
	rip = x86_stack_pop(c, i, &st, size);
	cs = (u16)x86_stack_pop(c, i, &st, size);
	flags = x86_stack_pop(c, i, &st, size);
	if (rip > c->s.seg[SEG_CS].limit)
		x86_raise_code(c, i, X86_GP, 0);
	/* CPL 3 in virtual-8086 mode keeps IOPL; IF may change since IOPL is 3. */
	return_flags(c, flags, size);
	x86_set_real_segment(c, SEG_CS, cs);
	x86_stack_commit(c, &st);
	c->rip = rip;
	done(c);
}

static void return_to_v86(struct x86_cpu *c, const struct x86_insn *i,
			  struct x86_stack *st, u64 rip, u16 cs, u64 flags)
{
	u64 sp = x86_stack_pop(c, i, st, 4);
	u16 selector[SEG_COUNT];

	selector[SEG_CS] = cs;
	selector[SEG_SS] = (u16)x86_stack_pop(c, i, st, 4);
	selector[SEG_ES] = (u16)x86_stack_pop(c, i, st, 4);
	selector[SEG_DS] = (u16)x86_stack_pop(c, i, st, 4);
	selector[SEG_FS] = (u16)x86_stack_pop(c, i, st, 4);
	selector[SEG_GS] = (u16)x86_stack_pop(c, i, st, 4);

	x86_load_flags(c, flags & 0x3f7fd7);
	for (unsigned n = 0; n < SEG_COUNT; n++)
		x86_set_real_segment(c, n, selector[n]);
	c->cpl = 3;
	c->r[R_SP] = (u32)sp;
	c->rip = rip & 0xffff;
	done(c);
}

static void return_from_task(struct x86_cpu *c, const struct x86_insn *i)
{
	u16 link = (u16)x86_load_system(c, i, (u32)c->s.tr.base, 2);

	x86_task_switch(c, i, link, X86_TASK_RETURN, x86_next_rip(c, i), NULL);
	done(c);
}

static void return_protected(struct x86_cpu *c, const struct x86_insn *i)
{
	unsigned size = i->extra & X86_EXTRA_SIZE, rpl;
	bool long_code = c->mode & X86_MODE_LONG, outer, usable = false;
	struct x86_stack st = x86_stack_now(c);
	struct x86_descriptor cs, ss = { 0 };
	u64 frame[3];

	x86_stack_pop_frame(c, i, &st, size, 3, frame);

	u64 rip = frame[0], flags = frame[2], sp = 0;
	u16 cs_selector = (u16)frame[1], ss_selector = 0;

	if ((flags & X86_VM) && size == 4 && c->cpl == 0 && !x86_lma(c)) {
		return_to_v86(c, i, &st, rip, cs_selector, flags);
		return;
	}
	x86_check_return_cs(c, i, cs_selector, &cs);
	rpl = cs_selector & 3;
	outer = rpl != c->cpl;
	/* 64-bit code always pops them. */
	if (outer || long_code) {
		x86_stack_pop_frame(c, i, &st, size, 2, frame);
		sp = frame[0];
		ss_selector = (u16)frame[1];
		usable = x86_check_return_ss(c, i, &cs, cs_selector, ss_selector, &ss);
	}
	x86_check_offset(c, i, &cs, rip);
	x86_mark_accessed(c, i, &cs);
	if (usable)
		x86_mark_accessed(c, i, &ss);

	/* Rights over flags are those from before. */
	return_flags(c, flags, size);
	x86_set_cs(c, &cs, cs_selector, rpl);
	if (outer || long_code) {
		if (usable)
			c->s.seg[SEG_SS] = x86_d_segment(&ss, ss_selector);
		else
			x86_set_null_ss(c, ss_selector, rpl);
		st = x86_stack_of(c, &c->s.seg[SEG_SS], sp, x86_lma(c) && x86_d_long(&cs),
				  rpl, 0);
	}
	x86_stack_commit(c, &st);
	if (outer)
		x86_drop_privileged_segments(c);
	c->rip = rip;
	done(c);
}

X86_HANDLER(x86_iret)
{
	if (!x86_protected(c) || x86_v86(c)) {
		return_real(c, i);
	} else if (c->eflags & X86_NT) {
		if (x86_lma(c))
			x86_raise_code(c, i, X86_GP, 0);
		return_from_task(c, i);
	} else {
		return_protected(c, i);
	}
	X86_LEAVE(c, i, c->rip);
}
