/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inner loops, several rounds at a time: region.h, "Rounds". See gen.h. Thread: the VP's.
 *
 *	head:	look at c->attention, if others jump back to here, too
 *		for each group: does what its addresses go through in so many rounds lie in the page of the
 *			last time? If not, look that up (cold); if it crosses a page: to `few`
 *		in a steady region: registers that the loop does not name are borrowed, for the groups'
 *			addends and the limit
 *		limit = what the counter will be after these rounds
 *	top:	counter = limit? to head, with a look at c->attention
 *		the loop's instructions, addresses with the groups' addends; back to top
 *	...
 *	few:	(cold) the same for a quarter of the rounds; if even they cross a page: to `single`
 *	single:	(cold) the loop's instructions for one round, each looking up what it needs, and a look at
 *			c->attention; back to head
 */
#include "x86/jit/gen.h"

const struct jit_loop *gen_loop_at(const struct gen *g, unsigned n)
{
	for (unsigned k = 0; k < g->p->loop_count; k++)
		if (g->p->loop[k].first == n)
			return &g->p->loop[k];
	return NULL;
}

/* Where the byte of a group's page in the code map is. */
static struct jit_mem group_code(const struct gen *g, const struct jit_loop *l,
				 unsigned group)
{
	const unsigned first = g->rounds[l - g->p->loop].sticky;
	const u32 at = gen_sticky(g, first + group);

	return (struct jit_mem)JIT_FIELD(jit.sticky[at].code);
}

/* How many bytes, from the lowest on, a group goes through in the rounds. */
static unsigned extent(const struct jit_group *q, unsigned rounds)
{
	const s64 way = (q->step < 0 ? -q->step : q->step) * (rounds - 1);

	return (unsigned)(q->hi - q->lo + way);
}

/* reg = the lowest of these. */
static void lowest_address(struct gen *g, unsigned reg, const struct jit_group *q,
			   unsigned rounds)
{
	struct jit_code *k = &g->k;
	const s64 way = q->step < 0 ? q->step * (rounds - 1) : 0;
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

/* Once for all rounds: with code in a page that is written to, they are done one by one. */
static void code_check(struct gen *g, const struct jit_loop *l)
{
	for (unsigned n = 0; n < l->group_count; n++) {
		const struct jit_mem code = group_code(g, l, n);
		const struct jit_mem byte = { .base = (u8)g->t1, .index = JIT_NONE };

		if (!l->group[n].write)
			continue;
		jit_load(&g->k, g->t1, &code);
		jit_test_mem8(&g->k, &byte);
		gen_cold_new(g, jit_jump_forward(&g->k, 5), GEN_COLD_CODE, l->first)
			->loop = (u8)(l - g->p->loop);
	}
}

static void groups_check(struct gen *g, const struct jit_loop *l, unsigned rounds)
{
	struct jit_code *k = &g->k;
	const unsigned index = (unsigned)(l - g->p->loop);

	for (unsigned n = 0; n < l->group_count; n++) {
		const struct jit_group *q = &l->group[n];
		const u32 at = gen_sticky(g, g->rounds[index].sticky + n);
		const struct jit_mem page = JIT_FIELD(jit.sticky[at].page);

		lowest_address(g, g->t1, q, rounds);
		jit_op_mem(k, 0x2b, true, g->t1, &page);
		jit_alu_imm(k, 7, true, g->t1, (s32)(4096 - extent(q, rounds)));

		struct cold *cold =
			gen_cold_new(g, jit_jump_forward(k, 7), GEN_COLD_GROUP, l->first);

		cold->which = (u8)n;
		cold->loop = (u8)index;
		cold->size = (u16)rounds;
		cold->back = jit_offset(k);
	}
	if (g->alone)
		code_check(g, l);
}

/* The page of a group is not that of the last time. Returns the jump that is taken if it is not in the TLB. */
static u32 group_emit(struct gen *g, const struct cold *cold)
{
	struct jit_code *k = &g->k;
	const unsigned rounds = cold->size;
	const struct jit_loop *l = &g->p->loop[cold->loop];
	const struct jit_group *q = &l->group[cold->which];
	const u32 at = gen_sticky(g, g->rounds[cold->loop].sticky + cold->which);
	const struct jit_mem page = JIT_FIELD(jit.sticky[at].page);
	const struct jit_mem addend = JIT_FIELD(jit.sticky[at].addend);
	const struct jit_mem code = group_code(g, l, cold->which);
	const struct jit_mem credit = JIT_FIELD(jit.sticky_credit);
	const struct jit_mem last = { .base = (u8)g->t1,
				      .index = JIT_NONE,
				      .disp = (s32)extent(q, rounds) - 1 };
	struct jit_mem m;

	jit_land(k, cold->jump);
	lowest_address(g, g->t1, q, rounds);
	jit_lea(k, g->t0, &last);

	const u32 miss = gen_tlb_compare_last(g, q->write);

	jit_decrement(k, &credit);
	gen_miss(g, jit_jump_forward(k, 8), cold->op)->place =
		g->rounds[cold->loop].place;
	m = gen_tlb_field(g, offsetof(struct x86_tlb_entry, addend));
	jit_load(k, g->t0, &m);
	jit_store(k, &addend, g->t0);
	if (q->write) {
		m = gen_tlb_field(g, offsetof(struct x86_tlb_entry, code));
		jit_load(k, g->t1, &m);
		jit_store(k, &code, g->t1);
	}
	lowest_address(g, g->t1, q, rounds);
	jit_alu_imm(k, 4, true, g->t1, -4096);
	jit_store(k, &page, g->t1);
	jit_jump(k, JIT_ALWAYS, k->origin + cold->back);
	return miss;
}

/* The groups of a loop that have cold pieces; behind them is where all go that are not in the TLB. */
static void groups_emit(struct gen *g, unsigned index)
{
	u32 miss[2 * JIT_GROUPS_MAX];
	unsigned count = 0;

	g->flags = g->rounds[index].flags;
	for (unsigned n = 0; n < g->cold_count; n++) {
		struct cold *cold = &g->cold[n];

		if (cold->loop != index)
			continue;
		if (cold->kind == GEN_COLD_GROUP)
			miss[count++] = group_emit(g, cold);
		else if (cold->kind == GEN_COLD_CODE)
			miss[count++] = cold->jump;
		else
			continue;
		cold->kind = GEN_COLD_DONE;
	}
	while (count)
		jit_land(&g->k, miss[--count]);
}

/* The groups' pages as facts, which nothing in the loop makes forgotten. */
static void groups_known(struct gen *g, const struct jit_loop *l)
{
	const unsigned first = g->rounds[l - g->p->loop].sticky;

	for (unsigned n = 0; n < l->group_count; n++) {
		g->fact[n] = (struct fact){ .write = l->group[n].write,
					    .code_saved = true,
					    .no_code = g->alone,
					    .sticky = (s8)(first + n) };
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

/* A register that nobody has: its guest's value goes to c->r. */
static u8 borrow_one(struct gen *g, const struct jit_loop *l)
{
	for (unsigned n = 0; n < 16; n++) {
		const struct jit_mem m = JIT_FIELD(r[n]);

		if (n == JIT_SP || n == g->t0 || n == g->t1 || (l->uses >> n & 1) ||
		    (g->borrowed >> n & 1))
			continue;
		g->borrowed |= (u16)BIT(n);
		jit_store(&g->k, &m, n);
		return (u8)n;
	}
	return JIT_NONE;
}

/* The rounds of a loop are over, for now. */
void gen_again_emit(struct gen *g, const struct cold *cold)
{
	const struct jit_mem credit = JIT_FIELD(jit.steady_credit);

	if (!g->p->head->steady) {
		jit_decrement(&g->k, &credit);
		gen_miss(g, jit_jump_forward(&g->k, 8), cold->op)->place = cold->place;
	}
	gen_look_at_attention(g, cold->op);
	jit_jump(&g->k, JIT_ALWAYS, g->k.origin + cold->back);
}

/* Where every access is in a group, so that none leaves with them but by a fault. */
static void borrow(struct gen *g, const struct jit_loop *l)
{
	const unsigned first = g->rounds[l - g->p->loop].sticky;

	memset(g->addend_in, JIT_NONE, sizeof(g->addend_in));
	memset(g->code_in, JIT_NONE, sizeof(g->code_in));
	g->limit_in = JIT_NONE;
	if (!g->p->head->steady || l->others)
		return;
	for (unsigned n = 0; n < l->group_count; n++) {
		const u32 at = gen_sticky(g, first + n);
		const struct jit_mem m = JIT_FIELD(jit.sticky[at].addend);

		g->addend_in[n] = borrow_one(g, l);
		if (g->addend_in[n] != JIT_NONE)
			jit_load(&g->k, g->addend_in[n], &m);
	}
	if (l->counter != JIT_NONE)
		g->limit_in = borrow_one(g, l);
	for (unsigned n = 0; n < l->group_count; n++) {
		const struct jit_mem m = group_code(g, l, n);

		if (!l->group[n].write || g->alone)
			continue;
		g->code_in[n] = borrow_one(g, l);
		if (g->code_in[n] != JIT_NONE)
			jit_load(&g->k, g->code_in[n], &m);
	}
}

static void limit_emit(struct gen *g, const struct jit_loop *l, unsigned rounds)
{
	const struct jit_mem limit = JIT_FIELD(jit.limit);
	const struct jit_mem after = { .base = l->counter,
				       .index = JIT_NONE,
				       .disp = l->counter_step * (s32)rounds };

	if (l->counter == JIT_NONE)
		return;
	jit_lea(&g->k, g->limit_in != JIT_NONE ? g->limit_in : g->t1, &after);
	if (g->limit_in == JIT_NONE)
		jit_store(&g->k, &limit, g->t1);
}

static void limit_check(struct gen *g, const struct jit_loop *l)
{
	const struct jit_mem limit = JIT_FIELD(jit.limit);

	if (g->limit_in != JIT_NONE)
		jit_op_reg(&g->k, 0x3b, true, l->counter, g->limit_in);
	else
		jit_op_mem(&g->k, 0x3b, true, l->counter, &limit);

	struct cold *cold =
		gen_cold_new(g, jit_jump_forward(&g->k, 4), GEN_COLD_AGAIN, l->first);

	cold->back = g->at[l->first];
	cold->place = g->rounds[l - g->p->loop].place;
}

/* Of the loop that comes next. */
static bool is_wanted(const struct gen *g)
{
	return g->place_count < JIT_PLACES_MAX &&
	       !(g->p->head->restless >> g->place_count & 1);
}

bool gen_loop_polls(const struct gen *g, unsigned n)
{
	const struct jit_loop *l = gen_loop_at(g, n);

	return l && !l->shared && is_wanted(g);
}

/* At the label: true if the loop was written here, and it goes on behind its last instruction. */
bool gen_loop_emit(struct gen *g, unsigned n)
{
	const struct jit_loop *l = gen_loop_at(g, n);
	const bool wanted = l && is_wanted(g);
	unsigned place;

	if (!l || g->place_count == JIT_PLACES_MAX)
		return false;
	place = g->place_count++;
	if (!wanted)
		return false;

	struct gen_rounds *r = &g->rounds[l - g->p->loop];

	*r = (struct gen_rounds){ .written = true,
				  .place = (u8)place,
				  .flags = (u8)g->flags,
				  .sticky = (u8)(g->sticky_count + 1) };
	g->sticky_count += l->group_count;
	groups_check(g, l, l->rounds);
	borrow(g, l);
	limit_emit(g, l, l->rounds);
	jit_align(&g->k, 32);
	r->top = jit_offset(&g->k);
	if (l->counter != JIT_NONE)
		limit_check(g, l);
	else
		gen_look_at_attention(g, n);
	groups_known(g, l);
	body_emit(g, l);
	jump_back(g, l, r->top);
	gen_give_back(g, g->borrowed);
	g->borrowed = 0;
	g->loop = -1;
	gen_forget_facts(g);
	return true;
}

/* Fewer rounds; behind it is where all go for whom those are too many. */
static void few_emit(struct gen *g, unsigned index)
{
	const struct jit_loop *l = &g->p->loop[index];
	const unsigned few = l->rounds / 4;

	if (l->counter == JIT_NONE)
		return;
	g->flags = g->rounds[index].flags;
	groups_check(g, l, few);
	borrow(g, l);
	limit_emit(g, l, few);
	jit_jump(&g->k, JIT_ALWAYS, g->k.origin + g->rounds[index].top);
	g->borrowed = 0;
	groups_emit(g, index);
}

/* Out of the way: one round, each access by itself. */
static void single_emit(struct gen *g, unsigned index)
{
	const struct jit_loop *l = &g->p->loop[index];
	const struct jit_mem credit = JIT_FIELD(jit.sticky_credit);

	g->flags = g->rounds[index].flags;
	gen_forget_facts(g);
	jit_decrement(&g->k, &credit);
	gen_miss(g, jit_jump_forward(&g->k, 8), l->first)->place = g->rounds[index].place;
	gen_look_at_attention(g, l->first);
	g->in_single = true;
	body_emit(g, l);
	jump_back(g, l, g->at[l->first]);
	g->in_single = false;
	gen_end_of_loop(g, l->last);
}

void gen_loop_rest_emit(struct gen *g, unsigned index)
{
	if (!g->rounds[index].written)
		return;
	groups_emit(g, index);
	few_emit(g, index);
	single_emit(g, index);
}
