/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Task switches of the 286 and the 386: by far JMP or CALL, through task gates, by events, and back
 * by IRET. Only outside IA-32e mode.
 *
 * Order: check the descriptor and the new TSS; save the old task (after which the switch cannot be
 * undone, so both TSSs are probed first); read the new one; load TR, CR3, LDTR, registers;
 * then the segments one by one, whose faults already belong to the new task.
 * SDM volume 3, chapter 7 (7.3, table 7-1). Thread: the VP's.
 */
#include "x86/system.h"

/* Offsets in a TSS; SEG order is the encoding's: ES CS SS DS FS GS. */
struct tss_layout {
	u8 size; /* of a register's slot */
	u8 cr3, ip, flags, gpr, seg, ldt, trap;
	u8 seg_count, seg_step;
	u8 minimum; /* least limit */
	u8 first_saved, end_saved;
};

static const struct tss_layout tss32 = {
	.size = 4,
	.cr3 = 0x1c,
	.ip = 0x20,
	.flags = 0x24,
	.gpr = 0x28,
	.seg = 0x48,
	.ldt = 0x60,
	.trap = 0x64,
	.seg_count = 6,
	.seg_step = 4,
	.minimum = 0x67,
	.first_saved = 0x20,
	.end_saved = 0x60,
};
static const struct tss_layout tss16 = {
	.size = 2,
	.ip = 0x0e,
	.flags = 0x10,
	.gpr = 0x12,
	.seg = 0x22,
	.ldt = 0x2a,
	.seg_count = 4,
	.seg_step = 2,
	.minimum = 0x2b,
	.first_saved = 0x0e,
	.end_saved = 0x2a,
};

struct new_task {
	u64 ip, flags, cr3, gpr[8];
	u16 seg[SEG_COUNT], ldt;
	bool trap;
};

static void find_task(struct x86_cpu *c, const struct x86_insn *i, u16 selector,
		      enum x86_task_reason reason, struct x86_descriptor *ret_d)
{
	/* A back link that is wrong is the TSS's fault. */
	u8 vector = reason == X86_TASK_RETURN ? X86_TS : X86_GP;
	unsigned busy = reason == X86_TASK_RETURN ? 2 : 0, type;

	if ((selector & 4) || x86_null(selector) ||
	    !x86_read_descriptor(c, i, selector, ret_d) || x86_d_s(ret_d))
		x86_raise_selector(c, i, vector, selector);
	type = x86_d_type(ret_d);
	if (type != (X86_TYPE_TSS16 | busy) && type != (X86_TYPE_TSS32 | busy))
		x86_raise_selector(c, i, vector, selector);
	if (!x86_d_present(ret_d))
		x86_raise_selector(c, i, X86_NP, selector);
	if (x86_d_limit(ret_d) < (type & 8 ? tss32.minimum : tss16.minimum))
		x86_raise_selector(c, i, X86_TS, selector);
}

static void set_busy(struct x86_cpu *c, const struct x86_insn *i, gva_t at, bool busy)
{
	u64 access = x86_load_system(c, i, at + 5, 1);

	x86_store_system(c, i, at + 5, 1, busy ? access | 2 : access & ~2ull);
}

static u64 field(struct x86_cpu *c, const struct x86_insn *i, u64 base, unsigned at,
		 unsigned size)
{
	return x86_load_system(c, i, (u32)(base + at), size);
}

static void read_task(struct x86_cpu *c, const struct x86_insn *i, u64 base,
		      const struct tss_layout *l, struct new_task *t)
{
	memset(t, 0, sizeof *t);
	t->ip = field(c, i, base, l->ip, l->size);
	t->flags = field(c, i, base, l->flags, l->size);
	for (unsigned n = 0; n < 8; n++)
		t->gpr[n] = field(c, i, base, l->gpr + n * l->size, l->size);
	for (unsigned n = 0; n < l->seg_count; n++)
		t->seg[n] = (u16)field(c, i, base, l->seg + n * l->seg_step, 2);
	t->ldt = (u16)field(c, i, base, l->ldt, 2);
	if (l->cr3)
		t->cr3 = field(c, i, base, l->cr3, 4);
	if (l->trap)
		t->trap = field(c, i, base, l->trap, 2) & 1;
}

static void save_task(struct x86_cpu *c, const struct x86_insn *i, u64 base,
		      const struct tss_layout *l, u64 rip, u64 flags)
{
	x86_store_system(c, i, (u32)(base + l->ip), l->size, rip);
	x86_store_system(c, i, (u32)(base + l->flags), l->size, flags);
	for (unsigned n = 0; n < 8; n++)
		x86_store_system(c, i, (u32)(base + l->gpr + n * l->size), l->size,
				 c->r[n]);
	for (unsigned n = 0; n < l->seg_count; n++)
		x86_store_system(c, i, (u32)(base + l->seg + n * l->seg_step), 2,
				 c->s.seg[n].selector);
}

/* Writing a field of the old TSS back to itself: it faults now or not at all. */
static void probe_old(struct x86_cpu *c, const struct x86_insn *i, u64 base,
		      const struct tss_layout *l)
{
	static const u8 at[] = { 0, 1 };
	u8 where[ARRAY_COUNT(at)] = { l->first_saved, (u8)(l->end_saved - 1) };

	for (unsigned n = 0; n < ARRAY_COUNT(where); n++)
		x86_store_system(c, i, (u32)(base + where[n]), 1,
				 x86_load_system(c, i, (u32)(base + where[n]), 1));
}

static void load_code_segment(struct x86_cpu *c, u16 selector)
{
	struct x86_descriptor d;
	unsigned rpl = selector & 3;

	if (x86_null(selector))
		x86_raise_selector(c, NULL, X86_TS, 0);
	if (!x86_read_descriptor(c, NULL, selector, &d) || !x86_d_code(&d) ||
	    (x86_d_conforming(&d) ? x86_d_dpl(&d) > rpl : x86_d_dpl(&d) != rpl))
		x86_raise_selector(c, NULL, X86_TS, selector);
	if (!x86_d_present(&d))
		x86_raise_selector(c, NULL, X86_NP, selector);
	x86_mark_accessed(c, NULL, &d);
	x86_set_cs(c, &d, selector, rpl);
}

static void load_stack_segment(struct x86_cpu *c, u16 selector, unsigned cpl)
{
	struct x86_descriptor d;

	x86_check_ss(c, NULL, selector, cpl, X86_TS, &d);
	x86_mark_accessed(c, NULL, &d);
	c->s.seg[SEG_SS] = x86_d_segment(&d, selector);
}

static void load_segments(struct x86_cpu *c, const struct new_task *t)
{
	static const u8 data[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };
	unsigned cpl = t->seg[SEG_CS] & 3;

	/* Until one is loaded it is its selector and nothing else. */
	for (unsigned n = 0; n < SEG_COUNT; n++)
		c->s.seg[n] = (struct vp_segment){ .selector = t->seg[n] };
	if (x86_v86(c)) {
		for (unsigned n = 0; n < SEG_COUNT; n++)
			x86_set_real_segment(c, n, t->seg[n]);
		c->cpl = 3;
		x86_mode_changed(c);
		x86_load_ldt(c, NULL, t->ldt, X86_TS);
		return;
	}
	c->cpl = (u8)cpl;
	c->s.seg[SEG_SS].attr = (u16)(cpl << SEG_ATTR_DPL_SHIFT);
	x86_mode_changed(c);
	x86_load_ldt(c, NULL, t->ldt, X86_TS);
	load_stack_segment(c, t->seg[SEG_SS], cpl);
	load_code_segment(c, t->seg[SEG_CS]);
	for (unsigned n = 0; n < ARRAY_COUNT(data); n++)
		x86_load_data_segment(c, NULL, data[n], t->seg[data[n]], X86_TS);
	x86_mode_changed(c);
}

void x86_task_switch(struct x86_cpu *c, const struct x86_insn *i, u16 selector,
		     enum x86_task_reason reason, u64 next_rip, const u32 *code)
{
	const struct tss_layout *old_layout, *layout;
	u64 old_base = c->s.tr.base, base, old_flags = x86_get_rflags(c);
	struct x86_descriptor d, own;
	struct new_task t;
	bool wide;

	find_task(c, i, selector, reason, &d);
	wide = x86_d_type(&d) & 8;
	layout = wide ? &tss32 : &tss16;
	old_layout = (c->s.tr.attr & SEG_ATTR_TYPE) & 8 ? &tss32 : &tss16;
	base = x86_d_base(&d);
	if (c->s.tr.limit <
	    old_layout->end_saved - 1u) /* what is written; no manual says more */
		x86_raise_selector(c, i, X86_TS, c->s.tr.selector);
	if (!x86_read_descriptor(c, i, c->s.tr.selector & ~4u, &own))
		x86_raise_selector(c, i, X86_TS, c->s.tr.selector);

	/* Everything that may fault as the old task. */
	probe_old(c, i, old_base, old_layout);
	read_task(c, i, base, layout, &t);
	if (reason == X86_TASK_CALL)
		x86_store_system(c, i, (u32)base, 2, c->s.tr.selector);

	if (reason != X86_TASK_CALL)
		set_busy(c, i, own.at, false);
	if (reason == X86_TASK_RETURN)
		old_flags &= ~(u64)X86_NT;
	save_task(c, i, old_base, old_layout, next_rip, old_flags);
	/* Where the two overlap, what was just saved is loaded. SDM volume 3, 7.3: the order. */
	read_task(c, i, base, layout, &t);
	if (reason != X86_TASK_RETURN)
		set_busy(c, i, d.at, true);

	/* From here on it is the new task. */
	c->s.tr = x86_d_segment(&d, selector);
	c->s.tr.attr |= 2;
	c->s.cr0 |= X86_CR0_TS;
	/* Local breakpoints are the old task's. */
	c->s.dr7 &= ~0x155ull;
	if (!wide) {
		t.flags |= old_flags & 0xffff0000 & ~(u64)(X86_VM | X86_RF);
		for (unsigned n = 0; n < 8; n++)
			t.gpr[n] |= 0xffff0000;
	}
	if (reason == X86_TASK_CALL)
		t.flags |= X86_NT;
	x86_load_flags(c, t.flags & 0x3f7fd7);
	for (unsigned n = 0; n < 8; n++)
		c->r[n] = t.gpr[n];
	c->rip = t.ip;
	if (wide && (c->s.cr0 & X86_CR0_PG)) {
		c->s.cr3 = t.cr3;
		if ((c->s.cr4 & X86_CR4_PAE) && !x86_pdptes_load(c, t.cr3))
			x86_raise_selector(c, NULL, X86_TS, selector);
		x86_cr3_changed(c, false);
	}
	x86_dr7_changed(c);
	load_segments(c, &t);
	if (code) {
		struct x86_stack st = x86_stack_now(c);

		x86_stack_push(c, NULL, &st, wide ? 4 : 2, *code);
		x86_stack_commit(c, &st);
	}
	if (t.ip > c->s.seg[SEG_CS].limit)
		x86_raise_selector(c, NULL, X86_GP, 0);
	if (t.trap)
		x86_raise_trap(c, X86_DR6_BT);
}
