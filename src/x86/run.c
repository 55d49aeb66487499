/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The run loop: events between blocks, the way from block to block, and the way out of a fault.
 * Neighbours: cache.c finds blocks; interrupt.c delivers events; handlers come back here by
 * X86_LEAVE or by x86_raise(). Thread: the VP's.
 */
#include "x86/run.h"

#include "x86/cache.h"
#include "x86/decode.h"
#include "x86/mmu.h"

static bool boundary(struct x86_cpu *c, enum x86_exit *ret_exit);
static bool take_event(struct x86_cpu *c);
static bool is_within_block(struct x86_cpu *c, u64 rip);
static void run_block(struct x86_cpu *c, bool alone);
static void resume_event(struct x86_cpu *c);

enum x86_exit x86_run(struct x86_cpu *c)
{
	enum x86_exit result;

	if (_setjmp(c->on_fault)) {
		c->exceptions++;
		c->link = NULL;
		/* May raise again, and come back to the line above. */
		if (!x86_deliver_fault(c))
			return X86_EXIT_TRIPLE_FAULT;
	} else if (c->s.event_valid) {
		resume_event(c);
	}
	for (;;) {
		if (boundary(c, &result))
			return result;
		run_block(c, false);
	}
}

/* One round of the loop of x86_run(); stop: see x86_run_toward(), NULL: on from block to block. */
static bool run_round(struct x86_cpu *c, const u64 *stop, enum x86_exit *ret_exit)
{
	const u64 interrupts = c->interrupts;

	if (_setjmp(c->on_fault)) {
		c->exceptions++;
		c->link = NULL;
		*ret_exit = X86_EXIT_TRIPLE_FAULT;
		return !x86_deliver_fault(c);
	}
	if (c->s.event_valid)
		resume_event(c);
	if (boundary(c, ret_exit))
		return true;
	if (c->interrupts != interrupts)
		return false;
	/* With attention wanted nothing goes on from block to block. */
	if (stop)
		atomic_fetch_or(&c->attention, X86_ATTN_INTERRUPT);
	run_block(c, stop && is_within_block(c, *stop));
	return false;
}

bool x86_run_round(struct x86_cpu *c, enum x86_exit *ret_exit)
{
	return run_round(c, NULL, ret_exit);
}

bool x86_run_toward(struct x86_cpu *c, u64 stop, enum x86_exit *ret_exit)
{
	return run_round(c, &stop, ret_exit);
}

/* What there is to do between two blocks; true: leave. */
static bool boundary(struct x86_cpu *c, enum x86_exit *ret_exit)
{
	u32 attention = atomic_load_explicit(&c->attention, memory_order_relaxed);

	if (UNLIKELY(attention)) {
		/* An acquire for what was written before the bit was set. */
		attention = atomic_load(&c->attention);
		if (attention & X86_ATTN_DROP)
			x86_drop_handle(c);
		if (attention & X86_ATTN_TRAP) {
			atomic_fetch_and(&c->attention, ~X86_ATTN_TRAP);
			x86_step_after(c);
		}
		atomic_fetch_and(&c->attention, ~(X86_ATTN_INTERRUPT | X86_ATTN_NMI));
		if (attention & X86_ATTN_KICK) {
			atomic_fetch_and(&c->attention, ~X86_ATTN_KICK);
			*ret_exit = X86_EXIT_KICKED;
			return true;
		}
	}
	if (UNLIKELY(atomic_load_explicit(&c->lines, memory_order_acquire)) &&
	    c->s.activity <= VP_HALTED)
		take_event(c);
	if (UNLIKELY(c->s.activity != VP_RUNNING)) {
		*ret_exit = c->s.activity == VP_SHUTDOWN ? X86_EXIT_TRIPLE_FAULT
							 : X86_EXIT_HALTED;
		if (c->s.activity == VP_HALTED)
			c->halts++;
		return true;
	}
	return false;
}

/* An NMI or interrupt, if the processor takes it now. */
static bool take_event(struct x86_cpu *c)
{
	u32 lines = atomic_load(&c->lines);

	if (lines & X86_LINE_NMI && !(c->s.interruptibility & VP_NMI_BLOCKED) &&
	    !(c->interrupt_shadow & VP_SHADOW_MOV_SS)) {
		atomic_fetch_and(&c->lines, ~X86_LINE_NMI);
		c->s.activity = VP_RUNNING;
		c->link = NULL;
		x86_deliver_nmi(c);
		return true;
	}
	if (lines & X86_LINE_INTERRUPT && c->eflags & X86_IF && !c->interrupt_shadow) {
		/* First lower the line, then ask: whoever raises it meanwhile is not lost. */
		atomic_fetch_and(&c->lines, ~X86_LINE_INTERRUPT);
		int vector = c->bus->interrupt_take(c->bus_vp);

		if (vector >= 0) {
			atomic_fetch_or(&c->lines, X86_LINE_INTERRUPT); /* perhaps more */
			c->s.activity = VP_RUNNING;
			c->link = NULL;
			c->interrupts++;
			x86_deliver_interrupt(c, (u8)vector);
			return true;
		}
	}
	return false;
}

bool x86_can_wake(const struct x86_cpu *c)
{
	u32 lines = atomic_load(&c->lines);

	if (c->s.activity == VP_RUNNING)
		return true;
	if (c->s.activity != VP_HALTED)
		return false;
	return (lines & X86_LINE_NMI && !(c->s.interruptibility & VP_NMI_BLOCKED)) ||
	       (lines & X86_LINE_INTERRUPT && c->eflags & X86_IF);
}

/* A saved state says that a delivery had begun; do it from the start. */
static void resume_event(struct x86_cpu *c)
{
	c->s.event_valid = 0;
	switch (c->s.event_type) {
	case VP_EVENT_EXTINT:
		x86_deliver_interrupt(c, (u8)c->s.event_vector);
		break;
	case VP_EVENT_NMI:
		x86_deliver_nmi(c);
		break;
	default: /* INT n is begun again by executing it */
		if (c->s.event_type != VP_EVENT_FAULT)
			break;
		if (c->s.event_has_code)
			x86_raise_code(c, NULL, (u8)c->s.event_vector, c->s.event_code);
		x86_raise(c, NULL, (u8)c->s.event_vector);
	}
}

/* Is there an address behind the first one of the block at c->rip? May raise. */
static bool is_within_block(struct x86_cpu *c, u64 rip)
{
	bool kept;

	if (rip == c->rip || c->mode & X86_MODE_STEP) /* a block is one instruction */
		return false;
	return rip - c->rip < x86_block_find(c, &kept)->bytes;
}

/* The jump cache has b, at c->rip. */
static void remember_pages(struct x86_cpu *c, const struct x86_block *b)
{
	const u64 linear = x86_fetch_linear(c, c->rip);

	x86_fetch_remembered(c, linear);
	if (b->ram_page2 != X86_NO_RAM_PAGE)
		x86_fetch_remembered(c, x86_fetch_next(c, linear));
}

/*
 * The branch that led here goes to b by itself from now on. Not if b crosses: it depends on where a second
 * page is mapped.
 */
static void link_to(struct x86_cpu *c, struct x86_block *b)
{
	if (c->link && b->ram_page2 == X86_NO_RAM_PAGE)
		*c->link = (u64)b;
	c->link = NULL;
}

/* The block at c->rip, and all that it goes on to by itself; alone: its first instruction. */
static void run_block(struct x86_cpu *c, bool alone)
{
	u64 rip = c->rip;
	struct x86_jump_entry *e = x86_jump_at(c, rip);
	struct x86_block *b = e->block;
	bool step = c->mode & X86_MODE_STEP;

	if (UNLIKELY(step)) {
		x86_step_before(c); /* may raise */
	} else if (UNLIKELY(c->interrupt_shadow &&
			    atomic_load_explicit(&c->lines, memory_order_relaxed))) {
		/*
		 * Something waits for the end of the shadow: "sti; nop; cli" lets it in, so the NOP
		 * is a block of its own. A fault's delivery recomputes the mode.
		 */
		alone = true;
	}
	if (UNLIKELY(alone && !step)) {
		c->mode |= X86_MODE_STEP;
		x86_key_set(c, x86_tlb_key(c));
	}
	if (e->rip != rip || e->key != x86_jump_key(c, rip) || !b || b->dead || step ||
	    alone) {
		bool kept;

		b = x86_block_find(c, &kept);
		if (kept && !step && !alone) {
			if (e->rip != rip)
				c->jump[(unsigned)(e - c->jump) ^ 1] = *e;
			*e = (struct x86_jump_entry){
				.rip = rip,
				.key = x86_jump_key(c, rip),
				.block = b,
				.code = c->jit.no_code,
			};
			remember_pages(c, b);
		} else {
			c->link = NULL;
		}
	}
	link_to(c, b);
	if (UNLIKELY(c->interrupt_shadow)) {
		/* A translation may come back here before its first instruction. */
		c->jit.skip = b->region || b->heat == 1;
		c->interrupt_shadow = 0;
	}

	/* With tail calls a handler comes back here only to leave or by NEXT_BY_LOOP. */
	c->next = x86_enter(c, b, rip);
	do {
		c->next->fn(c, c->next);
	} while (c->next);
	if (UNLIKELY(alone))
		x86_mode_changed(c);
	if (UNLIKELY(step))
		x86_step_after(c);
}

/* ---- from block to block --------------------------------------------------------------------- */

void x86_end_record(struct x86_cpu *c, const struct x86_insn *i)
{
	X86_JUMP(c, i);
}

/*
 * May a record of c->block jump to rip without a look-up from now on? Within the page, in modes
 * where RIP is the linear address: then whatever linear page the block is run in, source
 * and target are there together. A block that crosses depends on a second page.
 */
static bool may_link(const struct x86_cpu *c, u64 rip)
{
	if (c->mode & X86_MODE_STEP || c->block->ram_page2 != X86_NO_RAM_PAGE ||
	    c->block->dead || c->block->once || (rip ^ c->r[R_BLOCK]) >> 12)
		return false;
	return c->mode & X86_MODE_LONG ||
	       (c->mode & (X86_MODE_FLAT | X86_MODE_D)) == (X86_MODE_FLAT | X86_MODE_D);
}

void x86_jump_unlinked(struct x86_cpu *c, const struct x86_insn *i)
{
	u64 rip = x86_jump_target(c, i);

	x86_check_target(c, i, rip);
	if (!i->imm && may_link(c, rip))
		c->link = (u64 *)(uintptr_t)&i->imm;
	else
		c->link = NULL;

	const struct x86_jump_entry *e = x86_jump_at(c, rip);

	if (LIKELY(e->rip == rip && e->key == x86_jump_key(c, rip) &&
		   !atomic_load_explicit(&c->attention, memory_order_relaxed))) {
		link_to(c, e->block);
		const struct x86_insn *to = x86_enter(c, e->block, rip);

		X86_RUN(c, to);
	}
	X86_LEAVE(c, i, rip);
}

void x86_check_target_slow(struct x86_cpu *c, const struct x86_insn *i, u64 rip)
{
	if (c->mode & X86_MODE_LONG || rip > c->s.seg[SEG_CS].limit)
		x86_raise_code(c, i, X86_GP, 0);
}

/* ---- faults ----------------------------------------------------------------------------------- */

static NORETURN void raise_now(struct x86_cpu *c, const struct x86_insn *i, u8 vector,
			       bool has_code, u32 code)
{
	c->fault.vector = vector;
	c->fault.type = VP_EVENT_FAULT;
	c->fault.has_code = has_code;
	c->fault.code = code;
	c->fault.rip = i ? x86_insn_rip(c, i) : c->rip;
	if (i && c->block)
		c->instructions -= (u64)(c->block->count - (i - c->block->insn) - 1);
	_longjmp(c->on_fault, 1);
}

void x86_raise(struct x86_cpu *c, const struct x86_insn *i, u8 vector)
{
	raise_now(c, i, vector, false, 0);
}

void x86_raise_code(struct x86_cpu *c, const struct x86_insn *i, u8 vector, u32 code)
{
	raise_now(c, i, vector, true, code);
}
