/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events: exceptions, interrupts and INT n on their way through the IDT, in every mode.
 *
 *	x86_raise ----> run loop ----> x86_deliver_fault --+
 *	LAPIC, NMI ------------------> x86_deliver_... ----+--> deliver: real, protected, long
 *	INT n, INT3, INTO, INT1 ------------- x86_software_interrupt --+
 *
 * While deliver works, c->event says what it delivers. A fault on the way (the gate, the stack, the
 * TSS) longjmps to the run loop, which comes back to x86_deliver_fault: there the two become a
 * double fault, or the second is delivered in place of the first, or the processor shuts
 * down. deliver changes registers only after its last access, so the second delivery starts
 * from the same state (a task gate is the exception: from the new task's).
 *
 * SDM volume 3, chapter 6 (tables 6-4, 6-5 for double faults). Thread: the VP's.
 */
#include "x86/system.h"

/* What a gate and the event agreed on; common to protected and long mode. */
struct entry {
	struct x86_descriptor gate, cs;
	u64 offset;
	unsigned cpl;	/* of the handler */
	bool interrupt; /* gate clears IF */
};

static u64 flags_image(const struct x86_cpu *c)
{
	u64 flags = x86_get_rflags(c);

	/* Faults are restarted past their own breakpoint; traps and aborts are not restarted. */
	if (c->event.type == VP_EVENT_FAULT && c->event.vector != X86_DB &&
	    c->event.vector != X86_DF && c->event.vector != X86_MC)
		flags |= X86_RF;
	return flags;
}

static bool software(const struct x86_cpu *c)
{
	return c->event.type == VP_EVENT_SOFT_INT || c->event.type == VP_EVENT_SOFT_TRAP;
}

/* Codes that name the IDT's entry. */
NORETURN static void raise_gate(struct x86_cpu *c, const struct x86_insn *i, u8 vector)
{
	x86_raise_code(c, i, vector,
		       (u32)c->event.vector * 8 + 2 + (c->event.external ? 1 : 0));
}

static void clear_flags(struct x86_cpu *c, bool interrupt)
{
	u32 clear = X86_TF | X86_NT | X86_RF | X86_VM;

	c->eflags &= ~(clear | (interrupt ? X86_IF : 0));
}

/* ---- real mode ------------------------------------------------------------------------------- */

static void deliver_real(struct x86_cpu *c, const struct x86_insn *i, u64 return_rip)
{
	struct x86_stack st = x86_stack_now(c);
	unsigned at = c->event.vector * 4;
	u32 target;

	if (at + 3 > c->s.idtr.limit)
		raise_gate(c, i, X86_GP);
	target = (u32)x86_load_system(c, i, (u32)(c->s.idtr.base + at), 4);
	x86_stack_room(c, i, &st, 6);
	x86_stack_push(c, i, &st, 2, flags_image(c));
	x86_stack_push(c, i, &st, 2, c->s.seg[SEG_CS].selector);
	x86_stack_push(c, i, &st, 2, return_rip);
	x86_stack_commit(c, &st);
	clear_flags(c, true);
	c->eflags &= ~X86_AC_FLAG;
	x86_set_real_segment(c, SEG_CS, (u16)(target >> 16));
	c->rip = target & 0xffff;
}

/* ---- the gate -------------------------------------------------------------------------------- */

static void find_entry(struct x86_cpu *c, const struct x86_insn *i, struct entry *e)
{
	bool wide = x86_lma(c);
	unsigned size = wide ? 16 : 8, at = c->event.vector * size, type;
	u16 selector;

	if (at + size - 1 > c->s.idtr.limit)
		raise_gate(c, i, X86_GP);
	e->gate.at = wide ? c->s.idtr.base + at : (u32)(c->s.idtr.base + at);
	e->gate.raw = x86_load_system(c, i, e->gate.at, 8);
	e->gate.high = wide ? x86_load_system(c, i, e->gate.at + 8, 8) : 0;
	type = x86_d_type(&e->gate);
	if (x86_d_s(&e->gate) || (type & 6) != 6) {
		/* not an interrupt or trap gate: a task gate, perhaps */
		if (wide || x86_d_s(&e->gate) || type != X86_TYPE_TASK_GATE)
			raise_gate(c, i, X86_GP);
	} else if (wide && !(type & 8)) {
		raise_gate(c, i, X86_GP);
	}
	if (software(c) && x86_d_dpl(&e->gate) < c->cpl)
		raise_gate(c, i, X86_GP);
	if (!x86_d_present(&e->gate))
		raise_gate(c, i, X86_NP);
	if (type == X86_TYPE_TASK_GATE)
		return;

	selector = x86_gate_selector(&e->gate);
	e->interrupt = !(type & 1);
	if (x86_null(selector))
		x86_raise_selector(c, i, X86_GP, 0);
	if (!x86_read_descriptor(c, i, selector, &e->cs) || !x86_d_code(&e->cs) ||
	    x86_d_dpl(&e->cs) > c->cpl)
		x86_raise_selector(c, i, X86_GP, selector);
	if (wide && (!x86_d_long(&e->cs) || x86_d_db(&e->cs)))
		x86_raise_selector(c, i, X86_GP, selector);
	if (!x86_d_present(&e->cs))
		x86_raise_selector(c, i, X86_NP, selector);
	e->offset = x86_gate_offset(&e->gate);
	if (wide)
		e->offset |= e->gate.high << 32;
	else if (!(type & 8))
		e->offset &= 0xffff;
	e->cpl = x86_d_conforming(&e->cs) ? c->cpl : x86_d_dpl(&e->cs);
	if (x86_v86(c) && e->cpl != 0)
		x86_raise_selector(c, i, X86_GP, selector);
}

/* ---- protected mode -------------------------------------------------------------------------- */

static void deliver_task(struct x86_cpu *c, const struct x86_insn *i,
			 const struct entry *e, u64 return_rip)
{
	u32 code = c->event.code;

	x86_task_switch(c, i, x86_gate_selector(&e->gate), X86_TASK_CALL, return_rip,
			c->event.has_code ? &code : NULL);
}

static void deliver_protected(struct x86_cpu *c, const struct x86_insn *i, u64 return_rip)
{
	struct vp_segment new_ss = c->s.seg[SEG_SS];
	struct x86_descriptor ss = { 0 };
	bool v86 = x86_v86(c), inner;
	struct entry e = { 0 };
	struct x86_stack st;
	unsigned size, bytes;
	u16 selector;
	u64 sp;

	find_entry(c, i, &e);
	if (x86_d_type(&e.gate) == X86_TYPE_TASK_GATE) {
		deliver_task(c, i, &e, return_rip);
		return;
	}
	size = x86_d_type(&e.gate) & 8 ? 4 : 2;
	inner = e.cpl < c->cpl;
	bytes = size *
		(3 + (inner ? 2 : 0) + (v86 ? 4 : 0) + (c->event.has_code ? 1 : 0));
	if (inner) {
		x86_tss_stack(c, i, e.cpl, &selector, &sp);
		x86_check_ss(c, i, selector, e.cpl, X86_TS, &ss);
		new_ss = x86_d_segment(&ss, selector);
		st = x86_stack_of(c, &new_ss, sp, false, e.cpl, selector);
	} else {
		st = x86_stack_now(c);
	}
	x86_stack_room(c, i, &st, bytes);
	x86_check_offset(c, i, &e.cs, e.offset);
	if (v86) {
		x86_stack_push(c, i, &st, size, c->s.seg[SEG_GS].selector);
		x86_stack_push(c, i, &st, size, c->s.seg[SEG_FS].selector);
		x86_stack_push(c, i, &st, size, c->s.seg[SEG_DS].selector);
		x86_stack_push(c, i, &st, size, c->s.seg[SEG_ES].selector);
	}
	if (inner) {
		x86_stack_push(c, i, &st, size, c->s.seg[SEG_SS].selector);
		x86_stack_push(c, i, &st, size, c->r[R_SP]);
	}
	x86_stack_push(c, i, &st, size, flags_image(c));
	x86_stack_push(c, i, &st, size, c->s.seg[SEG_CS].selector);
	x86_stack_push(c, i, &st, size, return_rip);
	if (c->event.has_code)
		x86_stack_push(c, i, &st, size, c->event.code);
	x86_mark_accessed(c, i, &e.cs);
	if (inner) {
		x86_mark_accessed(c, i, &ss);
		new_ss.attr |= SEG_ATTR_ACCESSED;
	}

	clear_flags(c, e.interrupt);
	if (v86)
		for (unsigned n = 0; n < SEG_COUNT; n++)
			if (n != SEG_CS && n != SEG_SS)
				c->s.seg[n] = (struct vp_segment){ 0 };
	x86_set_cs(c, &e.cs, x86_gate_selector(&e.gate), e.cpl);
	c->s.seg[SEG_SS] = new_ss;
	x86_stack_commit(c, &st);
	c->rip = e.offset;
}

/* ---- long mode ------------------------------------------------------------------------------- */

static void deliver_long(struct x86_cpu *c, const struct x86_insn *i, u64 return_rip)
{
	struct vp_segment new_ss = c->s.seg[SEG_SS];
	struct entry e = { 0 };
	struct x86_stack st;
	unsigned ist;
	u64 sp = c->r[R_SP];
	bool inner;

	find_entry(c, i, &e);
	inner = e.cpl < c->cpl;
	ist = (e.gate.raw >> 32) & 7;
	if (ist)
		sp = x86_tss_stack64(c, i, 3 + ist);
	else if (inner)
		sp = x86_tss_stack64(c, i, e.cpl);
	if (inner)
		new_ss = (struct vp_segment){
			.selector = (u16)e.cpl,
			.attr = (u16)(e.cpl << SEG_ATTR_DPL_SHIFT),
		};
	x86_check_offset(c, i, &e.cs, e.offset);
	st = x86_stack_of(c, &new_ss, sp & ~15ull, true, e.cpl, 0);
	x86_stack_push(c, i, &st, 8, c->s.seg[SEG_SS].selector);
	x86_stack_push(c, i, &st, 8, c->r[R_SP]);
	x86_stack_push(c, i, &st, 8, flags_image(c));
	x86_stack_push(c, i, &st, 8, c->s.seg[SEG_CS].selector);
	x86_stack_push(c, i, &st, 8, return_rip);
	if (c->event.has_code)
		x86_stack_push(c, i, &st, 8, c->event.code);
	x86_mark_accessed(c, i, &e.cs);

	clear_flags(c, e.interrupt);
	x86_set_cs(c, &e.cs, x86_gate_selector(&e.gate), e.cpl);
	c->s.seg[SEG_SS] = new_ss;
	x86_stack_commit(c, &st);
	c->rip = e.offset;
}

/* ---- all modes ------------------------------------------------------------------------------- */

/* c->event is what to deliver; i = NULL unless an instruction asked for it. */
static void deliver(struct x86_cpu *c, const struct x86_insn *i, u64 return_rip)
{
	if (!x86_protected(c))
		deliver_real(c, i, return_rip);
	else if (x86_lma(c))
		deliver_long(c, i, return_rip);
	else
		deliver_protected(c, i, return_rip);
	c->event.valid = false;
	c->interrupt_shadow = 0;
	x86_mode_changed(c);
}

static bool contributory(u8 vector)
{
	return vector == X86_DE || (vector >= X86_TS && vector <= X86_GP);
}

/* SDM table 6-5; false: shutdown. */
static bool combine(struct x86_cpu *c, u8 second)
{
	bool hard = c->event.type == VP_EVENT_FAULT;
	u8 first = c->event.vector;

	if (!hard || !(contributory(second) || second == X86_PF))
		return true;
	if (first == X86_DF)
		return false;
	if (first == X86_PF || (contributory(first) && contributory(second))) {
		c->fault.vector = X86_DF;
		c->fault.has_code = true;
		c->fault.code = 0;
	}
	return true;
}

/*
 * The event comes between two instructions. A data breakpoint that its frame was pushed over is a trap before
 * the handler's first instruction.
 */
static void deliver_between(struct x86_cpu *c)
{
	u32 dr6;

	deliver(c, NULL, c->rip);
	dr6 = c->dr6_pending;
	c->dr6_pending = 0;
	if (UNLIKELY(dr6))
		x86_raise_trap(c, dr6);
}

bool x86_deliver_fault(struct x86_cpu *c)
{
	if (c->event.valid && !combine(c, c->fault.vector)) {
		c->event.valid = false;
		c->s.activity = VP_SHUTDOWN;
		c->rip = c->fault.rip;
		return false;
	}
	c->s.activity = VP_RUNNING;
	c->rip = c->fault.rip;
	/* What the instruction, or the event's delivery, had touched before it faulted is no matter: it
	 * will be touched again. Not so what MOV SS had. */
	if (!(c->interrupt_shadow & VP_SHADOW_MOV_SS))
		c->dr6_pending = 0;
	c->event = (struct x86_event){
		.valid = true,
		.external = true,
		.type = VP_EVENT_FAULT,
		.vector = c->fault.vector,
		/* In real mode there is no place for one. */
		.has_code = c->fault.has_code && x86_protected(c),
		.code = c->fault.code,
	};
	/* The handler may set breakpoints: access to DR7 is free again. */
	if (c->fault.vector == X86_DB)
		c->s.dr7 &= ~X86_DR7_GD;
	deliver_between(c);
	return true;
}

void x86_deliver_interrupt(struct x86_cpu *c, u8 vector)
{
	c->s.activity = VP_RUNNING;
	c->event = (struct x86_event){
		.valid = true, .external = true, .type = VP_EVENT_EXTINT, .vector = vector
	};
	deliver_between(c);
}

void x86_deliver_nmi(struct x86_cpu *c)
{
	c->s.activity = VP_RUNNING;
	c->s.interruptibility |= VP_NMI_BLOCKED;
	c->event = (struct x86_event){
		.valid = true, .external = true, .type = VP_EVENT_NMI, .vector = X86_NMI
	};
	deliver_between(c);
}

void x86_software_interrupt(struct x86_cpu *c, const struct x86_insn *i, u8 vector,
			    u8 type)
{
	c->event = (struct x86_event){
		.valid = true,
		.external = type == VP_EVENT_PRIV_SOFT,
		.type = type,
		.vector = vector,
	};
	deliver(c, i, x86_next_rip(c, i));
	/* Its own TF does not trap: the flag went with the frame. */
	c->step_tf = false;
}

X86_HANDLER(x86_int)
{
	if (x86_v86(c) && x86_iopl(c) < 3)
		x86_raise_code(c, i, X86_GP, 0);
	x86_software_interrupt(c, i, (u8)i->imm, VP_EVENT_SOFT_INT);
	X86_LEAVE(c, i, c->rip);
}

X86_HANDLER(x86_int3)
{
	x86_software_interrupt(c, i, X86_BP, VP_EVENT_SOFT_TRAP);
	X86_LEAVE(c, i, c->rip);
}

X86_HANDLER(x86_into)
{
	if (!c->of)
		NEXT(c, i);
	x86_software_interrupt(c, i, X86_OF, VP_EVENT_SOFT_TRAP);
	X86_LEAVE(c, i, c->rip);
}

X86_HANDLER(x86_int1)
{
	/* A data breakpoint that MOV SS held back is reported by this #DB. */
	if (c->dr6_pending) {
		c->s.dr6 = (c->s.dr6 & ~15ull) | c->dr6_pending;
		c->dr6_pending = 0;
	}
	x86_software_interrupt(c, i, X86_DB, VP_EVENT_PRIV_SOFT);
	X86_LEAVE(c, i, c->rip);
}
