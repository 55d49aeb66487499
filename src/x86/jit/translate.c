/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host code for a region. How it looks is told in jit.h; what it is made from in region.h. Hot code is
 * written in the order of the instructions, what is rarely taken ("cold") behind it.
 * Thread: the VP's.
 */
#include "x86/jit/code.h"
#include "x86/jit/jit.h"

#define FACTS_MAX ARRAY_COUNT(((struct x86_cpu *)0)->jit.slot)
#define COLD_MAX 512
#define RANGE_MAX 256 /* bytes that one look-up covers */

#define IN_HOST 1u /* the flags are right in the host's register */
#define IN_SLOT 2u /* in c->flags */

/* A page that was looked up. T0 is the addend, or the host address of `lo` where the address is
 * not just a register and a displacement. */
struct fact {
	struct jit_access key;
	s64 lo, hi;
	bool write;
	bool saved;	 /* in jit.slot */
	bool code_saved; /* in jit.code */
};

struct cold {
	u32 jump; /* displacement to land */
	u8 kind;  /* JIT_SITE_... */
	u8 flags;
	u16 op;
	s32 rip;
	s32 disp;
	u16 size;
	u8 reg;
	bool swapped; /* the scratch pair is the one between regions already */
};

struct gen {
	struct x86_cpu *c;
	const struct jit_plan *p;
	struct jit_code k;
	unsigned t0, t1;
	u32 region;
	unsigned flags;
	struct fact fact[FACTS_MAX];
	unsigned fact_count;
	int in_t0;   /* the fact whose addend T0 holds, -1 */
	int code_t1; /* the fact whose code-map pointer T1 holds, -1 */
	int pending; /* a store through this fact is still to be followed by the look at the code map */
	unsigned pending_op;
	struct cold cold[COLD_MAX];
	unsigned cold_count;
	struct {
		u32 jump;
		u16 op;
	} fix[JIT_OPS_MAX];
	unsigned fix_count;
	u32 at[JIT_OPS_MAX]; /* where the code of an instruction that is a label begins */
	struct jit_region *r;
	bool failed;
};

static void op_emit(struct gen *g, unsigned n);
static void cold_emit(struct gen *g, const struct cold *cold);
static void exit_direct(struct gen *g, s32 rip);
static void exit_lookup(struct gen *g, unsigned n, s32 popped);

/* ---- small glue -------------------------------------------------------------------------------- */

static bool pair_is_usual(const struct gen *g)
{
	return g->t0 == 10 && g->t1 == 11;
}

static struct jit_mem guest_reg(unsigned reg)
{
	struct jit_mem m = JIT_FIELD(r);

	m.disp += (s32)(8 * reg);
	return m;
}

/* From the pair between regions to ours, or back. */
static void swap_pair(struct gen *g, bool enter)
{
	for (unsigned n = 0; n < 16; n++) {
		const bool ours = n == g->t0 || n == g->t1;
		const bool usual = n == 10 || n == 11;
		const struct jit_mem m = guest_reg(n);

		if (ours == usual)
			continue;
		if (ours == enter)
			jit_store(&g->k, &m, n);
		else
			jit_load(&g->k, n, &m);
	}
}

static void flags_store(struct jit_code *k, unsigned scratch)
{
	const struct jit_mem m = JIT_FIELD(flags);

	jit_move(k, scratch, JIT_AX);
	jit_flags_to_ax(k);
	jit_u8(k, 0x66);
	jit_op_mem(k, 0x89, false, JIT_AX, &m);
	jit_move(k, JIT_AX, scratch);
}

/* Flags that somebody needs go to the slot; the host's stay right. Takes T1. */
static void flags_save(struct gen *g)
{
	if (g->flags & IN_SLOT || !(g->flags & IN_HOST))
		return;
	flags_store(&g->k, g->t1);
	g->code_t1 = -1;
	g->flags |= IN_SLOT;
}

/* What follows destroys the host's flags. */
static void flags_clobber(struct gen *g, u32 live)
{
	if (live)
		flags_save(g);
	g->flags &= ~IN_HOST;
}

static void flags_restore(struct gen *g)
{
	const struct jit_mem m = JIT_FIELD(flags);

	if (g->flags & IN_HOST)
		return;
	jit_move(&g->k, g->t1, JIT_AX);
	jit_op_mem(&g->k, 0x0fb7, false, JIT_AX, &m);
	jit_ax_to_flags(&g->k);
	jit_move(&g->k, JIT_AX, g->t1);
	g->code_t1 = -1;
	g->flags |= IN_HOST;
}

static struct cold *cold_new(struct gen *g, u32 jump, enum jit_site_kind kind, unsigned n)
{
	struct cold *cold = &g->cold[g->cold_count];

	if (g->cold_count + 1 < COLD_MAX)
		g->cold_count++;
	else
		g->failed = true;
	*cold = (struct cold){
		.jump = jump, .kind = (u8)kind, .flags = (u8)g->flags, .op = (u16)n
	};
	return cold;
}

/* ---- memory ------------------------------------------------------------------------------------ */

static void forget_facts(struct gen *g)
{
	g->fact_count = 0;
	g->in_t0 = g->code_t1 = -1;
}

static bool is_simple(const struct jit_access *a)
{
	return a->base != JIT_NONE && a->index == JIT_NONE && a->seg == SEG_FLAT;
}

static bool covers(const struct fact *f, const struct jit_access *a)
{
	return jit_same_key(&f->key, a) && a->offset >= f->lo &&
	       a->offset + a->size <= f->hi && (f->write || !a->write);
}

static int find_fact(const struct gen *g, const struct jit_access *a)
{
	for (unsigned n = 0; n < g->fact_count; n++)
		if (covers(&g->fact[n], a))
			return (int)n;
	return -1;
}

/* The range that accesses from op n on share with a; does anybody need it again? */
static void range_of(const struct gen *g, unsigned n, const struct jit_access *a,
		     struct fact *f, bool *ret_again)
{
	f->lo = a->offset;
	f->hi = a->offset + a->size;
	*ret_again = false;
	for (unsigned k = n; k < g->p->count; k++) {
		const struct jit_op *o = &g->p->op[k];

		if (k > n && o->label)
			break;
		for (unsigned x = 0; x < 2; x++) {
			const struct jit_access *b = &o->access[x];

			if (!b->size || b == a || !jit_same_key(a, b) ||
			    (b->write && !a->write))
				continue;
			const s64 lo = b->offset < f->lo ? b->offset : f->lo;
			const s64 hi = b->offset + b->size > f->hi ? b->offset + b->size
								   : f->hi;

			if (hi - lo > RANGE_MAX)
				continue;
			f->lo = lo;
			f->hi = hi;
			*ret_again = true;
		}
	}
}

static struct jit_mem tlb_field(const struct gen *g, size_t member)
{
	return (struct jit_mem){ .base = (u8)g->t1,
				 .index = JIT_NONE,
				 .gs = true,
				 .disp = (s32)(offsetof(struct x86_cpu, tlb) + member) };
}

static struct jit_mem segment_base(unsigned seg)
{
	struct jit_mem m = JIT_FIELD(seg_base);

	m.disp += (s32)(8 * seg);
	return m;
}

/* T1 = linear address of the fact's first byte. */
static void linear_address(struct gen *g, const struct jit_access *a, s32 disp)
{
	struct jit_code *k = &g->k;
	struct jit_mem m = {
		.base = a->base, .index = a->index, .scale = a->scale, .disp = disp
	};

	if (a->rip) {
		const struct jit_mem page = JIT_FIELD(jit.rip_page);

		jit_load(k, g->t1, &page);
		m.base = (u8)g->t1;
	}
	jit_lea(k, g->t1, &m);
	if (a->seg != SEG_FLAT) {
		const struct jit_mem base = segment_base(a->seg);

		jit_op_mem(k, 0x03, true, g->t1, &base);
	}
}

/* From the addend in T0 to the host address of the fact's first byte. */
static void finish_address(struct gen *g, const struct jit_access *a, s32 disp)
{
	struct jit_code *k = &g->k;
	struct jit_mem m = { .base = (u8)g->t0, .index = JIT_NONE, .disp = disp };

	if (a->rip) {
		const struct jit_mem page = JIT_FIELD(jit.rip_page);

		jit_op_mem(k, 0x03, true, g->t0, &page);
	}
	if (a->seg != SEG_FLAT) {
		const struct jit_mem base = segment_base(a->seg);

		jit_op_mem(k, 0x03, true, g->t0, &base);
	}
	m.index = a->base;
	if (disp || a->base != JIT_NONE) {
		/* RSP cannot be an index: it is the base then. */
		if (a->base == JIT_SP) {
			m.base = JIT_SP;
			m.index = (u8)g->t0;
		}
		jit_lea(k, g->t0, &m);
	}
	if (a->index != JIT_NONE) {
		m = (struct jit_mem){ .base = (u8)g->t0,
				      .index = a->index,
				      .scale = a->scale };
		jit_lea(k, g->t0, &m);
	}
}

static void slot_of(struct gen *g, unsigned fact, struct jit_mem *slot,
		    struct jit_mem *code)
{
	*slot = JIT_FIELD(jit.slot);
	*code = JIT_FIELD(jit.code);
	slot->disp += (s32)(8 * fact);
	code->disp += (s32)(8 * fact);
}

/* Look the page up: a new fact, in T0; for a write the code-map pointer is in T1. */
static int probe(struct gen *g, unsigned n, const struct jit_access *a)
{
	const struct jit_op *o = &g->p->op[n];
	struct jit_code *k = &g->k;
	struct fact f = { .key = *a, .write = a->write };
	struct jit_mem slot, code, m;
	bool again;

	range_of(g, n, a, &f, &again);
	if (f.lo - a->offset + a->disp != (s32)(f.lo - a->offset + a->disp)) {
		f.lo = a->offset;
		f.hi = a->offset + a->size;
	}
	s32 disp = (s32)(a->disp + (f.lo - a->offset));

	if (a->rip)
		disp = (s32)f.lo;
	const unsigned at = g->fact_count++;

	flags_clobber(g, o->live_in);
	g->code_t1 = -1;
	linear_address(g, a, disp);
	m = (struct jit_mem){ .base = (u8)g->t1,
			      .index = JIT_NONE,
			      .disp = (s32)(f.hi - f.lo - 1) };
	jit_lea(k, g->t0, &m);
	jit_shift(k, 5, false, g->t1, 7);
	jit_alu_imm(k, 4, false, g->t1, (X86_TLB_COUNT - 1) << 5);
	jit_alu_imm(k, 4, true, g->t0, -4096);
	m = JIT_FIELD(key);
	jit_op_mem(k, 0x0b, true, g->t0, &m);
	m = tlb_field(g, f.write ? offsetof(struct x86_tlb_entry, write_tag)
				 : offsetof(struct x86_tlb_entry, read_tag));
	jit_op_mem(k, 0x3b, true, g->t0, &m);
	cold_new(g, jit_jump_forward(k, 5), JIT_SITE_RECORD, n);
	m = tlb_field(g, offsetof(struct x86_tlb_entry, addend));
	jit_load(k, g->t0, &m);
	if (f.write) {
		m = tlb_field(g, offsetof(struct x86_tlb_entry, code));
		jit_load(k, g->t1, &m);
		g->code_t1 = (int)at;
	}
	if (!is_simple(a))
		finish_address(g, a, disp);
	slot_of(g, at, &slot, &code);
	if (again) {
		jit_store(k, &slot, g->t0);
		f.saved = true;
	}
	/* Flags that are in the way need T1 themselves; so do CALL and PUSH of memory. */
	if (f.write &&
	    (again || o->live_in || o->live_out || o->kind == JIT_PUSH_MEM ||
	     o->kind == JIT_CALL || o->kind == JIT_CALL_REG || o->kind == JIT_CALL_MEM)) {
		jit_store(k, &code, g->t1);
		f.code_saved = true;
	}
	g->fact[at] = f;
	g->in_t0 = (int)at;
	return (int)at;
}

/* T0 is right for the access; the host's operand. */
static int access_begin(struct gen *g, unsigned n, const struct jit_access *a,
			struct jit_mem *ret_mem)
{
	int at = find_fact(g, a);

	if (at >= 0 && at != g->in_t0 && !g->fact[at].saved)
		at = -1;
	if (at < 0)
		at = probe(g, n, a);
	if (g->in_t0 != at) {
		struct jit_mem slot, code;

		slot_of(g, (unsigned)at, &slot, &code);
		jit_load(&g->k, g->t0, &slot);
		g->in_t0 = at;
	}
	if (is_simple(a)) {
		*ret_mem = (struct jit_mem){ .base = a->base,
					     .index = (u8)g->t0,
					     .disp = a->disp };
	} else {
		*ret_mem = (struct jit_mem){ .base = (u8)g->t0,
					     .index = JIT_NONE,
					     .disp = (s32)(a->offset - g->fact[at].lo) };
	}
	return at;
}

/* Where in the guest's registers, after instruction n, is the address of the fact's first byte? */
static void written_range(const struct gen *g, unsigned n, const struct fact *f,
			  struct cold *cold)
{
	const struct jit_op *o = &g->p->op[n];

	cold->size = 0;
	if (!is_simple(&f->key))
		return;
	for (unsigned reg = 0; reg < 16; reg++) {
		const s64 disp = f->lo - o->offset_after[reg];

		if (o->origin_after[reg] != f->key.base_origin || disp != (s32)disp)
			continue;
		cold->reg = (u8)reg;
		cold->disp = (s32)disp;
		cold->size = (u16)(f->hi - f->lo);
		return;
	}
}

/* The look at the code map after instruction n has stored through the fact. rip: how it goes on
 * if there was code, -1: at jit.target. */
static void code_check(struct gen *g, unsigned n, int at, s32 rip)
{
	const struct jit_op *o = &g->p->op[n];
	const struct fact *f = &g->fact[at];
	struct jit_mem slot, code, m;

	flags_clobber(g, o->live_out);
	if (g->code_t1 != at) {
		slot_of(g, (unsigned)at, &slot, &code);
		jit_load(&g->k, g->t1, &code);
		g->code_t1 = f->code_saved ? at : -1;
		if (!f->code_saved)
			g->failed = true;
	}
	m = (struct jit_mem){ .base = (u8)g->t1, .index = JIT_NONE };
	jit_test_mem8(&g->k, &m);

	struct cold *cold = cold_new(g, jit_jump_forward(&g->k, 5), JIT_SITE_WRITTEN, n);

	cold->rip = rip;
	written_range(g, n, f, cold);
}

static s32 rip_after(const struct jit_op *o)
{
	return o->page_offset + o->length;
}

static void flush_pending(struct gen *g)
{
	if (g->pending < 0)
		return;
	const int at = g->pending;

	g->pending = -1;
	code_check(g, g->pending_op, at, rip_after(&g->p->op[g->pending_op]));
}

/* A run of pushes looks once, at its end. */
static bool continues_run(const struct gen *g, const struct jit_op *o)
{
	return !o->label && (o->kind == JIT_PUSH_REG || o->kind == JIT_PUSH_IMM) &&
	       g->pending >= 0 && g->fact[g->pending].code_saved &&
	       find_fact(g, &o->access[1]) == g->pending;
}

static void stored(struct gen *g, unsigned n, int at)
{
	g->pending = at;
	g->pending_op = n;
}

/* ---- instructions ------------------------------------------------------------------------------ */

static void flags_before(struct gen *g, const struct jit_op *o)
{
	u32 needs = o->flags_read;

	if (o->flags_written | o->flags_perhaps)
		needs |= o->live_out & ~o->flags_written;
	if (needs)
		flags_restore(g);
}

static void flags_after(struct gen *g, const struct jit_op *o)
{
	if (o->flags_written)
		g->flags = IN_HOST;
	else if (o->flags_perhaps)
		g->flags = o->live_out ? IN_HOST : 0;
}

static void note_fault(struct gen *g, unsigned n)
{
	const struct jit_op *o = &g->p->op[n];
	const struct jit_site site = {
		.kind = JIT_SITE_FAULT,
		.block = o->block,
		.record = o->record,
		.region = g->region,
		.patch = g->r->start + jit_offset(&g->k),
		.flags_in_host = !!(g->flags & IN_HOST),
		.t0 = (u8)g->t0,
		.t1 = (u8)g->t1,
	};

	jit_site_new(g->c, &site);
}

static void plain_emit(struct gen *g, unsigned n)
{
	const struct jit_op *o = &g->p->op[n];
	const struct jit_access *a = &o->access[0];
	struct jit_mem m;
	int at = -1;

	if (a->size)
		at = access_begin(g, n, a, &m);
	flags_before(g, o);
	if (o->may_fault)
		note_fault(g, n);
	if (!a->size)
		jit_bytes(&g->k, o->bytes, o->length);
	else if (!jit_copy_with(&g->k, &o->z, o->bytes, &m))
		g->failed = true;
	flags_after(g, o);
	if (a->write)
		stored(g, n, at);
}

static void move_stack(struct gen *g, s32 by)
{
	const struct jit_mem m = { .base = JIT_SP, .index = JIT_NONE, .disp = by };

	jit_lea(&g->k, JIT_SP, &m);
}

static void push_emit(struct gen *g, unsigned n)
{
	const struct jit_op *o = &g->p->op[n];
	struct jit_mem m, value;
	int at;

	if (o->kind == JIT_PUSH_MEM) {
		/* Both looked up before anything is written, the stack first, as T1 will have the value. */
		at = access_begin(g, n, &o->access[1], &m);
		if (!g->fact[at].saved) {
			struct jit_mem slot, code;

			slot_of(g, (unsigned)at, &slot, &code);
			jit_store(&g->k, &slot, g->t0);
			g->fact[at].saved = true;
		}
		access_begin(g, n, &o->access[0], &value);
		jit_load(&g->k, g->t1, &value);
		g->code_t1 = -1;
		access_begin(g, n, &o->access[1], &m);
		jit_store(&g->k, &m, g->t1);
	} else {
		at = access_begin(g, n, &o->access[1], &m);
		if (o->kind == JIT_PUSH_IMM)
			jit_store_imm32(&g->k, &m, (u32)o->imm, true);
		else
			jit_store(&g->k, &m, o->reg);
	}
	move_stack(g, -8);
	stored(g, n, at);
}

static void return_address(struct gen *g, const struct jit_op *o)
{
	const struct jit_mem page = JIT_FIELD(jit.rip_page);
	const struct jit_mem next = { .base = (u8)g->t1,
				      .index = JIT_NONE,
				      .disp = rip_after(o) };

	jit_load(&g->k, g->t1, &page);
	jit_lea(&g->k, g->t1, &next);
	g->code_t1 = -1;
}

/* T0 = a place that is a distance from the page's start. */
static void place_in_t0(struct gen *g, s32 rip)
{
	const struct jit_mem page = JIT_FIELD(jit.rip_page);
	const struct jit_mem place = { .base = (u8)g->t0,
				       .index = JIT_NONE,
				       .disp = rip };

	jit_load(&g->k, g->t0, &page);
	jit_lea(&g->k, g->t0, &place);
	g->in_t0 = -1;
}

static void call_emit(struct gen *g, unsigned n)
{
	const struct jit_op *o = &g->p->op[n];
	const struct jit_mem target = JIT_FIELD(jit.target);
	struct jit_mem m;
	int at;

	if (o->kind == JIT_CALL_MEM) {
		access_begin(g, n, &o->access[0], &m);
		jit_load(&g->k, g->t1, &m);
		jit_store(&g->k, &target, g->t1);
		g->code_t1 = -1;
	} else if (o->kind == JIT_CALL_REG) {
		jit_store(&g->k, &target, o->reg);
	}
	at = access_begin(g, n, &o->access[1], &m);
	return_address(g, o);
	jit_store(&g->k, &m, g->t1);
	move_stack(g, -8);
	code_check(g, n, at, o->kind == JIT_CALL ? o->target : -1);
	if (o->kind == JIT_CALL) {
		exit_direct(g, o->target);
		return;
	}
	jit_load(&g->k, g->t0, &target);
	g->in_t0 = -1;
	exit_lookup(g, n, -8);
}

static void ret_emit(struct gen *g, unsigned n)
{
	const struct jit_op *o = &g->p->op[n];
	const s32 popped = 8 + (o->imm & 0xffff);
	struct jit_mem m;

	access_begin(g, n, &o->access[1], &m);
	jit_load(&g->k, g->t0, &m);
	g->in_t0 = -1;
	move_stack(g, popped);
	exit_lookup(g, n, popped);
}

static void branch_emit(struct gen *g, unsigned n)
{
	const struct jit_op *o = &g->p->op[n];

	flags_restore(g);
	if (o->target_op >= 0) {
		if (g->p->op[o->target_op].live_in)
			flags_save(g);
		g->fix[g->fix_count].op = (u16)o->target_op;
		g->fix[g->fix_count++].jump = jit_jump_forward(&g->k, o->cc);
		return;
	}
	struct cold *cold = cold_new(g, jit_jump_forward(&g->k, o->cc), JIT_SITE_JUMP, n);

	cold->rip = o->target;
}

static void op_emit(struct gen *g, unsigned n)
{
	const struct jit_op *o = &g->p->op[n];
	struct jit_mem m;

	switch ((enum jit_kind)o->kind) {
	case JIT_PLAIN:
		plain_emit(g, n);
		break;
	case JIT_NOTHING:
		break;
	case JIT_LEA_RIP:
		/* In place: the register may not be T0's. */
		place_in_t0(g, rip_after(o) + (s32)o->z.raw.disp.value);
		jit_move(&g->k, o->reg, g->t0);
		break;
	case JIT_PUSH_REG:
	case JIT_PUSH_IMM:
	case JIT_PUSH_MEM:
		push_emit(g, n);
		break;
	case JIT_POP_REG:
		access_begin(g, n, &o->access[1], &m);
		jit_load(&g->k, o->reg, &m);
		move_stack(g, 8);
		break;
	case JIT_LEAVE: {
		const struct jit_mem above = { .base = JIT_BP,
					       .index = JIT_NONE,
					       .disp = 8 };

		access_begin(g, n, &o->access[1], &m);
		jit_lea(&g->k, JIT_SP, &above);
		jit_load(&g->k, JIT_BP, &m);
		break;
	}
	case JIT_CALL:
	case JIT_CALL_REG:
	case JIT_CALL_MEM:
		call_emit(g, n);
		break;
	case JIT_JUMP:
		exit_direct(g, o->target);
		break;
	case JIT_JUMP_REG:
		jit_move(&g->k, g->t0, o->reg);
		g->in_t0 = -1;
		exit_lookup(g, n, 0);
		break;
	case JIT_JUMP_MEM:
		access_begin(g, n, &o->access[0], &m);
		jit_load(&g->k, g->t0, &m);
		g->in_t0 = -1;
		exit_lookup(g, n, 0);
		break;
	case JIT_BRANCH:
		branch_emit(g, n);
		break;
	case JIT_RET:
		ret_emit(g, n);
		break;
	case JIT_STOP:
		g->failed = true;
		break;
	}
}

/* ---- ways out ---------------------------------------------------------------------------------- */

static void leave_by(struct gen *g, const struct jit_site *site, bool usual_pair,
		     unsigned flags)
{
	const struct jit_mem m = JIT_FIELD(jit.site);
	const u32 id = jit_site_new(g->c, site);

	jit_store_imm32(&g->k, &m, id, false);
	jit_jump(&g->k, JIT_ALWAYS,
		 jit_leave_routine(g->c, usual_pair ? 10 : g->t0, usual_pair ? 11 : g->t1,
				   flags & IN_HOST));
}

/* To a place whose distance from the page's start is known. */
static void exit_direct(struct gen *g, s32 rip)
{
	const unsigned n = g->p->count - 1;

	if (rip < 0 || rip > 4095) {
		place_in_t0(g, rip);
		exit_lookup(g, n, JIT_NO_REDO);
		return;
	}
	if (!pair_is_usual(g))
		swap_pair(g, false);

	const u32 jump = jit_jump_forward(&g->k, JIT_ALWAYS);
	const struct jit_site site = {
		.kind = JIT_SITE_JUMP,
		.rip = rip,
		.region = g->region,
		.patch = g->r->start + jump,
		.direct = !!(g->flags & IN_HOST),
	};

	jit_land(&g->k, jump);
	leave_by(g, &site, true, g->flags);
}

/* To the RIP in T0: through the table of jumps. The flags go through the slot. */
static void exit_lookup(struct gen *g, unsigned n, s32 popped)
{
	struct jit_code *k = &g->k;
	const size_t jump = offsetof(struct x86_cpu, jump);
	struct jit_mem target = JIT_FIELD(jit.target), m;
	struct jit_mem entry = { .base = (u8)g->t1, .index = JIT_NONE, .gs = true };
	u32 miss[2];

	flags_save(g);
	g->flags &= ~IN_HOST;
	jit_store(k, &target, g->t0);
	/* T1 = x86_jump_index(T0) * 32 */
	jit_op_reg(k, 0x8b, true, g->t1, g->t0);
	jit_shift(k, 5, true, g->t1, 11);
	jit_op_reg(k, 0x33, false, g->t1, g->t0);
	jit_alu_imm(k, 4, false, g->t1, X86_JUMP_COUNT - 1);
	jit_shift(k, 4, false, g->t1, 5);
	entry.disp = (s32)(jump + offsetof(struct x86_jump_entry, rip));
	jit_op_mem(k, 0x3b, true, g->t0, &entry);
	miss[0] = jit_jump_forward(k, 5);
	/* T0 = start of the page: RIP without its last bits */
	jit_alu_imm(k, 4, true, g->t0, -4096);
	m = JIT_FIELD(jit.rip_page);
	jit_store(k, &m, g->t0);
	m = JIT_FIELD(jump_key);
	jit_load(k, g->t0, &m);
	entry.disp = (s32)(jump + offsetof(struct x86_jump_entry, key));
	jit_op_mem(k, 0x3b, true, g->t0, &entry);
	miss[1] = jit_jump_forward(k, 5);
	entry.disp = (s32)(jump + offsetof(struct x86_jump_entry, code));
	if (pair_is_usual(g)) {
		jit_jump_mem(k, &entry);
	} else {
		m = JIT_FIELD(jit.ret);
		jit_load(k, g->t1, &entry);
		jit_store(k, &m, g->t1);
		swap_pair(g, false);
		jit_jump_mem(k, &m);
	}
	for (unsigned x = 0; x < 2; x++) {
		struct cold *cold = cold_new(g, miss[x], JIT_SITE_LOOKUP, n);

		cold->disp = popped;
	}
}

static void cold_emit(struct gen *g, const struct cold *cold)
{
	const struct jit_op *o = &g->p->op[cold->op];
	struct jit_site site = {
		.kind = cold->kind,
		.block = o->block,
		.record = o->record,
		.region = g->region,
		.rip = cold->rip,
	};

	jit_land(&g->k, cold->jump);
	g->flags = cold->flags;
	switch ((enum jit_site_kind)cold->kind) {
	case JIT_SITE_JUMP:
		if (cold->swapped) { /* a look at attention: no link */
			leave_by(g, &site, false, g->flags);
			return;
		}
		g->in_t0 = g->code_t1 = -1;
		exit_direct(g, cold->rip);
		return;
	case JIT_SITE_LOOKUP:
		site.stack = cold->disp;
		break;
	case JIT_SITE_WRITTEN:
		site.reg = cold->reg;
		site.disp = cold->disp;
		site.size = cold->size;
		{
			const struct jit_mem m = JIT_FIELD(jit.t1);

			jit_store(&g->k, &m, g->t1);
		}
		break;
	case JIT_SITE_RECORD:
	case JIT_SITE_FAULT:
		break;
	}
	leave_by(g, &site, false, g->flags);
}

/* ---- the whole --------------------------------------------------------------------------------- */

static void look_at_attention(struct gen *g, unsigned n)
{
	const struct jit_mem m = JIT_FIELD(attention);

	jit_test_mem32(&g->k, &m);

	struct cold *cold = cold_new(g, jit_jump_forward(&g->k, 5), JIT_SITE_JUMP, n);

	cold->rip = g->p->op[n].page_offset;
	cold->swapped = true;
}

static void label_emit(struct gen *g, unsigned n)
{
	const struct jit_op *o = &g->p->op[n];

	if (n > 0) {
		/* Who falls through does what the jumps do. */
		if (o->live_in)
			flags_save(g);
	}
	g->at[n] = jit_offset(&g->k);
	g->flags = o->live_in ? IN_SLOT : 0;
	forget_facts(g);
	look_at_attention(g, n);
}

static void entries_emit(struct gen *g)
{
	const struct jit_op *o = &g->p->op[0];

	g->r->direct = g->r->start + jit_offset(&g->k);
	if (o->live_in)
		flags_store(&g->k, 10);
	g->r->entry = g->r->start + jit_offset(&g->k);
	if (!pair_is_usual(g))
		swap_pair(g, true);
	if (g->p->vector) {
		const struct jit_mem live = JIT_FIELD(jit.vector_live);
		const struct jit_mem ret = JIT_FIELD(jit.ret);

		jit_test_mem8(&g->k, &live);
		const u32 over = jit_jump_forward(&g->k, 5);
		/* lea of the place behind the jump */
		jit_u8(&g->k, 0x48 | (g->t1 & 8 ? 4 : 0));
		jit_u8(&g->k, 0x8d);
		jit_u8(&g->k, 0x05 | (g->t1 & 7) << 3);
		const u32 distance = jit_offset(&g->k);

		jit_u32(&g->k, 0);
		jit_store(&g->k, &ret, g->t1);
		jit_jump(&g->k, JIT_ALWAYS,
			 (u64)(uintptr_t)g->c->jit.own->run_view +
				 g->c->jit.own->load_vectors);
		jit_land(&g->k, distance);
		jit_land(&g->k, over);
	}
}

/* What the entries of a dead region are made to jump to. */
static void dead_emit(struct gen *g)
{
	const struct jit_site site = { .kind = JIT_SITE_JUMP,
				       .rip = g->p->op[0].page_offset,
				       .region = g->region };

	g->r->dead_direct = g->r->start + jit_offset(&g->k);
	leave_by(g, &site, true, g->p->op[0].live_in ? IN_HOST : 0);
	g->r->dead_entry = g->r->start + jit_offset(&g->k);
	leave_by(g, &site, true, 0);
}

static void end_emit(struct gen *g)
{
	const struct jit_plan *p = g->p;

	if (p->end == -1)
		return;
	flush_pending(g);
	if (p->end_op >= 0) {
		if (p->op[p->end_op].live_in)
			flags_save(g);
		g->fix[g->fix_count].op = (u16)p->end_op;
		g->fix[g->fix_count++].jump = jit_jump_forward(&g->k, JIT_ALWAYS);
		return;
	}
	if (p->end >= 0) {
		exit_direct(g, p->end);
		return;
	}
	const struct jit_site site = { .kind = JIT_SITE_RECORD,
				       .block = p->end_block,
				       .record = p->end_record,
				       .region = g->region };

	leave_by(g, &site, false, g->flags);
}

struct jit_region *jit_translate(struct x86_cpu *c, const struct jit_plan *p)
{
	struct x86_jit *j = c->jit.own;
	static __thread struct gen gen;
	struct gen *g = &gen;

	/* Routines first: they lie in the same memory. */
	jit_leave_routine(c, p->t0, p->t1, false);
	jit_leave_routine(c, p->t0, p->t1, true);
	g->c = c;
	g->p = p;
	g->t0 = p->t0;
	g->t1 = p->t1;
	g->region = j->region_count;
	g->r = &j->regions[g->region];
	*g->r = (struct jit_region){
		.start = (u32)j->used,
		.head = p->head,
		.first_site = j->site_count,
	};
	g->k = (struct jit_code){
		.start = j->staging,
		.at = j->staging,
		.end = j->staging + sizeof(j->staging),
		.origin = (u64)(uintptr_t)j->run_view + j->used,
	};
	g->fact_count = g->cold_count = g->fix_count = 0;
	g->in_t0 = g->code_t1 = g->pending = -1;
	g->failed = false;
	g->flags = p->op[0].live_in ? IN_SLOT : 0;

	entries_emit(g);
	for (unsigned n = 0; n < p->count; n++) {
		if (!continues_run(g, &p->op[n]))
			flush_pending(g);
		if (g->fact_count + 2 > FACTS_MAX && g->pending < 0)
			forget_facts(g);
		if (n == 0 || p->op[n].label)
			label_emit(g, n);
		op_emit(g, n);
	}
	end_emit(g);
	flush_pending(g);
	for (unsigned n = 0; n < g->cold_count; n++)
		cold_emit(g, &g->cold[n]);
	dead_emit(g);
	for (unsigned n = 0; n < g->fix_count; n++) {
		const u32 distance = g->at[g->fix[n].op] - (g->fix[n].jump + 4);

		memcpy(g->k.start + g->fix[n].jump, &distance, 4);
	}
	if (g->failed || g->k.full || j->used + jit_offset(&g->k) > j->size) {
		j->site_count = g->r->first_site;
		return NULL;
	}
	memcpy(j->write_view + j->used, j->staging, jit_offset(&g->k));
	j->used = (j->used + jit_offset(&g->k) + 15) & ~(size_t)15;
	g->r->end = (u32)j->used;
	g->r->site_count = j->site_count - g->r->first_site;
	j->region_count++;
	return g->r;
}
