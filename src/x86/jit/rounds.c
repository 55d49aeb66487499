/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inner loops, several rounds at a time: region.h, "Rounds". See gen.h. Thread: the VP's.
 *
 *	head:	look at c->attention
 *		for each group: does what its addresses go through in so many rounds lie in the page of the
 *			last time? If not, look that up (cold); if it crosses a page: to `single`
 *		jit.limit = what the counter will be after these rounds
 *	top:	counter = jit.limit? to head
 *		the loop's instructions, addresses with the groups' addends; back to top
 *	...
 *	single:	(cold) the loop's instructions for one round, each looking up what it needs; back to head
 */
#include "x86/jit/gen.h"

const struct jit_loop *gen_loop_at(const struct gen *g, unsigned n)
{
	for (unsigned k = 0; k < g->p->loop_count; k++)
		if (g->p->loop[k].first == n)
			return &g->p->loop[k];
	return NULL;
}

/* How many bytes, from the lowest on, a group goes through in the rounds. */
static unsigned extent(const struct jit_loop *l, const struct jit_group *q)
{
	const s64 way = (q->step < 0 ? -q->step : q->step) * (l->rounds - 1);

	return (unsigned)(q->hi - q->lo + way);
}

/* reg = the lowest of these. */
static void lowest_address(struct gen *g, unsigned reg, const struct jit_loop *l,
			   const struct jit_group *q)
{
	struct jit_code *k = &g->k;
	const s64 way = q->step < 0 ? q->step * (l->rounds - 1) : 0;
	struct jit_mem m = { .base = JIT_NONE,
			     .index = JIT_NONE,
			     .disp = (s32)(q->lo + way) };

	if (q->rip) {
		const struct jit_mem page = JIT_FIELD(jit.rip_page);

		jit_load(k, reg, &page);
		m.base = (u8)reg;
	}
	/* RSP cannot be an index: first. */
	for (unsigned n = 0; n < 16 && m.base == JIT_NONE; n++) {
		const unsigned r = (JIT_SP + n) & 15;

		if (q->times[r] == 1)
			m.base = (u8)r;
	}
	const u8 first = m.base;

	for (unsigned n = 0; n < 16; n++) {
		if (!q->times[n] || n == first)
			continue;
		m.index = (u8)n;
		m.scale = (u8)__builtin_ctz((unsigned)q->times[n]);
		jit_lea(k, reg, &m);
		m = (struct jit_mem){ .base = (u8)reg, .index = JIT_NONE };
	}
	if (m.base != reg || m.disp)
		jit_lea(k, reg, &m);
}

static void group_check(struct gen *g, const struct jit_loop *l, unsigned which)
{
	struct jit_code *k = &g->k;
	const struct jit_group *q = &l->group[which];
	const u32 at = gen_sticky(g, g->group_sticky[which]);
	const struct jit_mem page = JIT_FIELD(jit.sticky[at].page);

	lowest_address(g, g->t1, l, q);
	jit_op_mem(k, 0x2b, true, g->t1, &page);
	jit_alu_imm(k, 7, true, g->t1, (s32)(4096 - extent(l, q)));

	struct cold *cold =
		gen_cold_new(g, jit_jump_forward(k, 7), GEN_COLD_GROUP, l->first);

	cold->which = (u8)which;
	cold->loop = (u8)(l - g->p->loop);
	cold->sticky = (s8)g->group_sticky[which];
	cold->back = jit_offset(k);
}

/* The page of a group is not that of the last time. */
static void group_emit(struct gen *g, const struct cold *cold)
{
	struct jit_code *k = &g->k;
	const struct jit_loop *l = &g->p->loop[cold->loop];
	const struct jit_group *q = &l->group[cold->which];
	const u32 at = gen_sticky(g, (unsigned)cold->sticky);
	const struct jit_mem page = JIT_FIELD(jit.sticky[at].page);
	const struct jit_mem addend = JIT_FIELD(jit.sticky[at].addend);
	const struct jit_mem code = JIT_FIELD(jit.sticky[at].code);
	const struct jit_mem last = { .base = (u8)g->t1,
				      .index = JIT_NONE,
				      .disp = (s32)extent(l, q) - 1 };
	struct jit_mem m;

	lowest_address(g, g->t1, l, q);
	jit_lea(k, g->t0, &last);

	const u32 miss = gen_tlb_compare_last(g, q->write);

	g->single[cold->loop].jump[g->single[cold->loop].count++] = miss;
	m = gen_tlb_field(g, offsetof(struct x86_tlb_entry, addend));
	jit_load(k, g->t0, &m);
	jit_store(k, &addend, g->t0);
	if (q->write) {
		m = gen_tlb_field(g, offsetof(struct x86_tlb_entry, code));
		jit_load(k, g->t1, &m);
		jit_store(k, &code, g->t1);
	}
	lowest_address(g, g->t1, l, q);
	jit_alu_imm(k, 4, true, g->t1, -4096);
	jit_store(k, &page, g->t1);
	jit_jump(k, JIT_ALWAYS, k->origin + cold->back);
}

/* The groups' pages as facts, which nothing in the loop makes forgotten. */
static void groups_known(struct gen *g, const struct jit_loop *l)
{
	for (unsigned n = 0; n < l->group_count; n++) {
		g->fact[n] = (struct fact){ .write = l->group[n].write,
					    .code_saved = true,
					    .sticky = (s8)g->group_sticky[n] };
		g->fact[n].key.base_origin = ~0u;
	}
	g->loop = (s8)(l - g->p->loop);
	gen_forget_facts(g);
}

static void body_emit(struct gen *g, const struct jit_loop *l)
{
	for (unsigned n = l->first; n < l->last; n++) {
		gen_flush_pending(g);
		if (g->fact_count + 2 > GEN_FACTS)
			gen_forget_facts(g);
		gen_op_emit(g, n);
	}
	gen_flush_pending(g);
}

/* The jump at the loop's end, to a place that we have already. */
static void jump_back(struct gen *g, const struct jit_loop *l, u32 to)
{
	gen_flags_restore(g);
	if (g->p->op[l->first].live_in)
		gen_flags_save(g);
	jit_jump(&g->k, g->p->op[l->last].cc, g->k.origin + to);
}

/* At the label: true if the loop was written here, and it goes on behind its last instruction. */
bool gen_loop_emit(struct gen *g, unsigned n)
{
	const struct jit_loop *l = gen_loop_at(g, n);
	struct jit_code *k = &g->k;
	const struct jit_mem limit = JIT_FIELD(jit.limit);
	const unsigned flags = g->flags;
	unsigned place;

	if (!l || g->place_count == JIT_PLACES_MAX)
		return false;
	place = g->place_count++;
	if (g->p->head->restless >> place & 1)
		return false;

	const unsigned index = (unsigned)(l - g->p->loop);

	g->single[index].count = 0;
	g->single[index].place = (u8)place;
	g->single[index].written = true;
	for (unsigned q = 0; q < l->group_count; q++) {
		g->group_sticky[q] = (u8)++g->sticky_count;
		group_check(g, l, q);
	}
	if (l->counter != JIT_NONE) {
		const struct jit_mem after = { .base = l->counter,
					       .index = JIT_NONE,
					       .disp = (s32)l->counter_step * l->rounds };

		jit_lea(k, g->t1, &after);
		jit_store(k, &limit, g->t1);
	}

	const u32 top = jit_offset(k);

	if (l->counter != JIT_NONE) {
		jit_op_mem(k, 0x3b, true, l->counter, &limit);
		jit_jump(k, 4, k->origin + g->at[n]);
	} else {
		gen_look_at_attention(g, n);
	}
	groups_known(g, l);
	body_emit(g, l);
	jump_back(g, l, top);
	g->loop = -1;
	gen_forget_facts(g);
	g->single[index].flags = (u8)flags;
	return true;
}

/* Out of the way: one round, each access by itself. */
void gen_single_emit(struct gen *g, unsigned index)
{
	const struct jit_loop *l = &g->p->loop[index];
	const struct jit_mem credit = JIT_FIELD(jit.sticky_credit);

	if (!g->single[index].written)
		return;
	/* Of the cold pieces the groups' first: they jump to here. */
	for (unsigned n = 0; n < g->cold_count; n++) {
		struct cold *cold = &g->cold[n];

		if (cold->kind != GEN_COLD_GROUP || cold->loop != index)
			continue;
		jit_land(&g->k, cold->jump);
		group_emit(g, cold);
		cold->kind = GEN_COLD_DONE;
	}
	for (unsigned n = 0; n < g->single[index].count; n++)
		jit_land(&g->k, g->single[index].jump[n]);
	g->flags = g->single[index].flags;
	gen_forget_facts(g);
	jit_decrement(&g->k, &credit);
	gen_miss(g, jit_jump_forward(&g->k, 8), l->first)->place = g->single[index].place;
	g->in_single = true;
	body_emit(g, l);
	jump_back(g, l, g->at[l->first]);
	g->in_single = false;
	gen_end_of_loop(g, l->last);
}
