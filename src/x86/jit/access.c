/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory in translated code: looking pages up, remembering them, and the look at the code map
 * after a store. See gen.h and jit.h. Thread: the VP's.
 */
#include "x86/jit/gen.h"

void gen_forget_facts(struct gen *g)
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

		if (k > n && (o->label || o->barrier))
			break;
		for (unsigned x = 0; x < 2; x++) {
			const struct jit_access *b = &o->access[x];

			if (!b->size || b == a || !jit_same_key(a, b) ||
			    (b->write && !a->write))
				continue;
			const s64 lo = b->offset < f->lo ? b->offset : f->lo;
			const s64 hi = b->offset + b->size > f->hi ? b->offset + b->size
								   : f->hi;

			if (hi - lo > GEN_RANGE_MAX || g->p->head->narrow)
				continue;
			f->lo = lo;
			f->hi = hi;
			*ret_again = true;
		}
	}
}

static bool in_user_mode(const struct gen *g)
{
	return g->p->head->mode & X86_MODE_USER;
}

struct jit_mem gen_tlb_field(const struct gen *g, size_t member)
{
	const size_t part = in_user_mode(g) ? sizeof(g->c->tlb[0]) * x86_tlb_part(2) : 0;

	return (struct jit_mem){ .base = (u8)g->t1,
				 .index = JIT_NONE,
				 .gs = true,
				 .disp = (s32)(offsetof(struct x86_cpu, tlb) + part +
					       member) };
}

static struct jit_mem segment_base(unsigned seg)
{
	struct jit_mem m = JIT_FIELD(seg_base);

	m.disp += (s32)(8 * seg);
	return m;
}

/* reg = linear address of the fact's first byte. */
static void linear_address(struct gen *g, unsigned reg, const struct jit_access *a,
			   s32 disp)
{
	struct jit_code *k = &g->k;
	struct jit_mem m = {
		.base = a->base, .index = a->index, .scale = a->scale, .disp = disp
	};

	if (a->rip) {
		const struct jit_mem page = JIT_FIELD(jit.rip_page);

		jit_load(k, reg, &page);
		m.base = (u8)reg;
	}
	if (m.base != JIT_NONE && m.index == JIT_NONE && disp == 0)
		jit_move(k, reg, m.base);
	else
		jit_lea(k, reg, &m);
	if (a->seg != SEG_FLAT) {
		const struct jit_mem base = segment_base(a->seg);

		jit_op_mem(k, 0x03, true, reg, &base);
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

static void slot_of(unsigned fact, struct jit_mem *slot, struct jit_mem *code)
{
	*slot = JIT_FIELD(jit.slot);
	*code = JIT_FIELD(jit.code);
	slot->disp += (s32)(8 * fact);
	code->disp += (s32)(8 * fact);
}

/* T1 is the entry's offset, T0 the last byte. */
static u32 compare_tags(struct gen *g, bool write)
{
	struct jit_code *k = &g->k;
	const struct jit_mem key = JIT_FIELD(key);
	const struct jit_mem tag =
		gen_tlb_field(g, write ? offsetof(struct x86_tlb_entry, write_tag)
				       : offsetof(struct x86_tlb_entry, read_tag));

	jit_alu_imm(k, 4, false, g->t1, (X86_TLB_COUNT - 1) << 5);
	if (!in_user_mode(g)) {
		const struct jit_mem base = JIT_FIELD(tlb_base);

		jit_op_mem(k, 0x03, false, g->t1, &base);
	}
	jit_alu_imm(k, 4, true, g->t0, -4096);
	jit_op_mem(k, 0x0b, true, g->t0, &key);
	jit_op_mem(k, 0x3b, true, g->t0, &tag);
	return jit_jump_forward(k, 5);
}

u32 gen_tlb_compare_last(struct gen *g, bool write)
{
	jit_shift(&g->k, 5, false, g->t1, 7);
	return compare_tags(g, write);
}

/* T1 = entry of the TLB for the access's range, T0 = the tag that it must have; the displacement of the
 * jump if it has not. */
static u32 compare_small(struct gen *g, const struct jit_access *a, s32 disp,
			 unsigned size)
{
	const bool simple = is_simple(a);
	struct jit_mem last = { .base = (u8)g->t1,
				.index = JIT_NONE,
				.disp = (s32)size - 1 };

	if (simple && disp == 0) {
		last.base = a->base;
		jit_lea(&g->k, g->t0, &last);
		jit_rotate_into(&g->k, g->t1, a->base, 7);
		return compare_tags(g, a->write);
	}
	linear_address(g, g->t1, a, disp);
	jit_lea(&g->k, g->t0, &last);
	return gen_tlb_compare_last(g, a->write);
}

/* A miss; C looks whether it was the range that crossed a page. */
static void range_miss(struct gen *g, u32 jump, unsigned n, const struct jit_access *a,
		       s32 disp, unsigned size)
{
	struct cold *cold = gen_tlb_miss(g, jump, n, a->write);

	if (is_simple(a) && size > a->size) {
		cold->reg = a->base;
		cold->disp = disp;
		cold->size = (u16)size;
	}
}

/* T0 = addend, of a write T1 = byte of the code map; by way of the TLB. */
static void probe_small(struct gen *g, unsigned n, const struct jit_access *a, s32 disp,
			unsigned size)
{
	struct jit_code *k = &g->k;
	struct jit_mem m;

	range_miss(g, compare_small(g, a, disp, size), n, a, disp, size);
	m = gen_tlb_field(g, offsetof(struct x86_tlb_entry, addend));
	jit_load(k, g->t0, &m);
	if (a->write) {
		m = gen_tlb_field(g, offsetof(struct x86_tlb_entry, code));
		jit_load(k, g->t1, &m);
	}
}

static struct jit_mem sticky_field(unsigned sticky, size_t member)
{
	struct jit_mem m = JIT_FIELD(jit.sticky);

	m.disp += (s32)(sticky * sizeof(struct x86_jit_sticky) + member);
	return m;
}

/* Displacement from the registers of the access to the first byte of the fact. */
static s32 first_byte(const struct jit_access *a, const struct fact *f)
{
	return (s32)(a->rip ? f->lo : a->disp + (f->lo - a->offset));
}

/* The page of the last round, or the cold part. */
static void probe_sticky(struct gen *g, unsigned n, const struct jit_access *a,
			 const struct fact *f)
{
	struct jit_code *k = &g->k;
	const unsigned which = (unsigned)f->sticky;
	const struct jit_mem page =
		sticky_field(which, offsetof(struct x86_jit_sticky, page));
	const struct jit_mem addend =
		sticky_field(which, offsetof(struct x86_jit_sticky, addend));

	/* How far into that page; from there to the host's page, or to the addend. */
	const unsigned reg = is_simple(a) ? g->t1 : g->t0;

	linear_address(g, reg, a, first_byte(a, f));
	jit_op_mem(k, 0x2b, true, reg, &page);
	jit_alu_imm(k, 7, true, reg, (s32)(4096 - (f->hi - f->lo)));
	struct cold *cold = gen_cold_new(g, jit_jump_forward(k, 7), GEN_COLD_FILL, n);

	cold->sticky = f->sticky;
	cold->which = a == &g->p->op[n].access[1];
	cold->disp = first_byte(a, f);
	cold->size = (u16)(f->hi - f->lo);
	cold->back = jit_offset(k);
	if (is_simple(a)) {
		jit_load(k, g->t0, &addend);
	} else {
		g->sticky_host |= BIT(which);
		jit_op_mem(k, 0x03, true, g->t0, &addend);
	}
}

void gen_fill_emit(struct gen *g, const struct cold *cold)
{
	struct jit_code *k = &g->k;
	const struct jit_access *a = &g->p->op[cold->op].access[cold->which];
	const unsigned which = (unsigned)cold->sticky;
	const struct jit_mem page =
		sticky_field(which, offsetof(struct x86_jit_sticky, page));
	const struct jit_mem addend =
		sticky_field(which, offsetof(struct x86_jit_sticky, addend));
	const struct jit_mem code =
		sticky_field(which, offsetof(struct x86_jit_sticky, code));

	const struct jit_mem credit = JIT_FIELD(jit.sticky_credit);

	jit_decrement(k, &credit);
	gen_miss(g, jit_jump_forward(k, 8), cold->op);
	probe_small(g, cold->op, a, cold->disp, cold->size);
	if (a->write)
		jit_store(k, &code, g->t1);
	linear_address(g, g->t1, a, cold->disp);
	jit_alu_imm(k, 4, true, g->t1, -4096);
	jit_store(k, &page, g->t1);
	if (is_simple(a)) {
		jit_store(k, &addend, g->t0);
	} else {
		jit_op_reg(k, 0x03, true, g->t0, g->t1);
		jit_store(k, &addend, g->t0);
		linear_address(g, g->t0, a, cold->disp);
		jit_op_reg(k, 0x2b, true, g->t0, g->t1);
	}
	jit_jump(k, JIT_ALWAYS, k->origin + cold->back);
}

/* ---- pages of 2 MiB ---- */

static struct jit_mem large_field(const struct gen *g, size_t member)
{
	const size_t part = sizeof(g->c->large[0]) * x86_tlb_part(2);

	return (struct jit_mem){ .base = (u8)g->t1,
				 .index = JIT_NONE,
				 .gs = true,
				 .disp = (s32)(offsetof(struct x86_cpu, large) + part +
					       member) };
}

/* T0 = addend; of a write, T1 = byte of the code map, or one for the whole of the 2 MiB. User mode. */
static void probe_wide(struct gen *g, unsigned n, const struct jit_access *a, s32 disp,
		       unsigned size)
{
	struct jit_code *k = &g->k;
	const struct jit_mem key = JIT_FIELD(key);
	const struct jit_mem last = { .base = (u8)g->t1,
				      .index = JIT_NONE,
				      .disp = (s32)size - 1 };
	const struct jit_mem tag =
		large_field(g, a->write ? offsetof(struct x86_tlb_large, quiet_tag)
					: offsetof(struct x86_tlb_large, read_tag));
	struct jit_mem m;

	linear_address(g, g->t1, a, disp);
	jit_lea(k, g->t0, &last);
	jit_large_offset(k, g->t1);
	jit_alu_imm(k, 4, true, g->t0, -(s32)X86_LARGE_SIZE);
	jit_op_mem(k, 0x0b, true, g->t0, &key);
	jit_op_mem(k, 0x3b, true, g->t0, &tag);

	struct cold *cold = gen_cold_new(g, jit_jump_forward(k, 5), GEN_COLD_SMALL, n);

	m = large_field(g, offsetof(struct x86_tlb_large, addend));
	jit_load(k, g->t0, &m);
	if (a->write) {
		m = large_field(g, offsetof(struct x86_tlb_large, any_code));
		jit_load(k, g->t1, &m);
	}
	cold->which = a == &g->p->op[n].access[1];
	cold->disp = disp;
	cold->size = (u16)size;
	cold->back = jit_offset(k);
}

void gen_small_emit(struct gen *g, const struct cold *cold)
{
	probe_small(g, cold->op, &g->p->op[cold->op].access[cold->which], cold->disp,
		    cold->size);
	jit_jump(&g->k, JIT_ALWAYS, g->k.origin + cold->back);
}

/* Look the page up: a new fact, in T0; for a write the code-map pointer may be in T1. */
static int probe(struct gen *g, unsigned n, const struct jit_access *a)
{
	const struct jit_op *o = &g->p->op[n];
	const struct x86_block *head = g->p->head;
	struct jit_code *k = &g->k;
	struct fact f = { .key = *a, .write = a->write, .sticky = -1 };
	struct jit_mem slot, code;
	bool again;

	range_of(g, n, a, &f, &again);
	if (f.lo - a->offset + a->disp != (s32)(f.lo - a->offset + a->disp)) {
		f.lo = a->offset;
		f.hi = a->offset + a->size;
	}
	const s32 disp = first_byte(a, &f);
	const unsigned at = g->fact_count++;

	if (o->in_loop && !head->restless && !head->wide && g->sticky_count < GEN_STICKY)
		f.sticky = (s8)g->sticky_count++;
	gen_flags_clobber(g, o->live_in);
	g->code_t1 = -1;
	if (f.sticky >= 0) {
		probe_sticky(g, n, a, &f);
		f.code_saved = f.write;
	} else {
		const unsigned size = (unsigned)(f.hi - f.lo);

		if (head->wide)
			probe_wide(g, n, a, disp, size);
		else
			probe_small(g, n, a, disp, size);
		if (f.write)
			g->code_t1 = (int)at;
		if (!is_simple(a) && f.write) {
			finish_address(g, a, disp);
		} else if (!is_simple(a)) {
			/* Again, but beside the load of the addend instead of behind it. */
			linear_address(g, g->t1, a, disp);
			jit_op_reg(k, 0x03, true, g->t0, g->t1);
		}
	}
	slot_of(at, &slot, &code);
	if (again) {
		jit_store(k, &slot, g->t0);
		f.saved = true;
	}
	/* Flags that are in the way need T1 themselves; so do CALL and PUSH of memory. */
	if (f.write && !f.code_saved &&
	    (again || o->live_in || o->live_out || o->kind == JIT_PUSH_MEM ||
	     o->kind == JIT_CALL || o->kind == JIT_CALL_REG || o->kind == JIT_CALL_MEM)) {
		jit_store(k, &code, g->t1);
		f.code_saved = true;
	}
	g->fact[at] = f;
	g->in_t0 = (int)at;
	return (int)at;
}

void gen_access_keep(struct gen *g, int at)
{
	struct jit_mem slot, code;

	if (g->fact[at].saved)
		return;
	slot_of((unsigned)at, &slot, &code);
	jit_store(&g->k, &slot, g->t0);
	g->fact[at].saved = true;
}

/* T0 is right for the access; the host's operand. */
int gen_access_begin(struct gen *g, unsigned n, const struct jit_access *a,
		     struct jit_mem *ret_mem)
{
	int at = find_fact(g, a);

	if (at >= 0 && at != g->in_t0 && !g->fact[at].saved)
		at = -1;
	if (at < 0)
		at = probe(g, n, a);
	if (g->in_t0 != at) {
		struct jit_mem slot, code;

		slot_of((unsigned)at, &slot, &code);
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
	if (f->key.rip) {
		cold->reg = JIT_NONE;
		cold->disp = (s32)f->lo & 0xfff;
		cold->size = (u16)(f->hi - f->lo);
	}
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
void gen_code_check(struct gen *g, unsigned n, int at, s32 rip)
{
	const struct jit_op *o = &g->p->op[n];
	const struct fact *f = &g->fact[at];
	struct jit_mem slot, code, m;

	gen_flags_clobber(g, o->live_out);
	if (g->code_t1 != at) {
		slot_of((unsigned)at, &slot, &code);
		if (f->sticky >= 0)
			code = sticky_field((unsigned)f->sticky,
					    offsetof(struct x86_jit_sticky, code));
		jit_load(&g->k, g->t1, &code);
		g->code_t1 = f->code_saved ? at : -1;
		if (!f->code_saved)
			g->failed = true;
	}
	m = (struct jit_mem){ .base = (u8)g->t1, .index = JIT_NONE };
	jit_test_mem8(&g->k, &m);

	struct cold *cold =
		gen_cold_new(g, jit_jump_forward(&g->k, 5), JIT_SITE_WRITTEN, n);

	cold->rip = rip;
	written_range(g, n, f, cold);
}

void gen_flush_pending(struct gen *g)
{
	if (g->pending < 0)
		return;
	const int at = g->pending;

	g->pending = -1;
	gen_code_check(g, g->pending_op, at, jit_rip_after(&g->p->op[g->pending_op]));
}

/* A run of pushes looks once, at its end. */
bool gen_continues_run(const struct gen *g, const struct jit_op *o)
{
	return !o->label && (o->kind == JIT_PUSH_REG || o->kind == JIT_PUSH_IMM) &&
	       g->pending >= 0 && g->fact[g->pending].code_saved &&
	       find_fact(g, &o->access[1]) == g->pending;
}

void gen_stored(struct gen *g, unsigned n, int at)
{
	g->pending = at;
	g->pending_op = n;
}

void gen_fault_point(struct gen *g, unsigned n)
{
	const struct jit_op *o = &g->p->op[n];
	const bool sticky = g->in_t0 >= 0 && g->fact[g->in_t0].sticky >= 0;
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

	if (o->may_fault || sticky)
		jit_site_new(g->c, &site);
}
