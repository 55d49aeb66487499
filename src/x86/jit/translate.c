/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host code for a region, as a whole: entries, instructions, end, cold code. How it looks is told in
 * jit.h; what it is made from in region.h; the parts are in glue.c, access.c, ops.c, system.c and
 * leave.c. Thread: the VP's.
 */
#include "x86/jit/gen.h"
#include "x86/jit/jit.h"

#define NO_EPOCH (~0ull)

void gen_look_at_attention(struct gen *g, unsigned n)
{
	const struct jit_mem m = JIT_FIELD(attention);

	jit_test_mem32(&g->k, &m);

	struct cold *cold = gen_cold_new(g, jit_jump_forward(&g->k, 5), JIT_SITE_JUMP, n);

	cold->rip = g->p->op[n].page_offset;
	cold->attention = true;
}

/* Who falls through does with the flags what the jumps do: branch_emit(), end_emit(). */
static void label_emit(struct gen *g, unsigned n)
{
	const struct jit_op *o = &g->p->op[n];
	const unsigned where = o->loop_head ? IN_SLOT : IN_HOST;

	if (o->live_in && o->loop_head)
		gen_flags_save(g);
	else if (o->live_in)
		gen_flags_restore(g);
	g->at[n] = jit_offset(&g->k);
	g->flags = o->live_in ? where : 0;
	gen_forget_facts(g);
	if (o->loop_head && !gen_loop_polls(g, n))
		gen_look_at_attention(g, n);
}

/* The look at c->attention between the entries: out by what a dead region has for it. */
static u32 look_at_entry(struct gen *g)
{
	const struct jit_mem m = JIT_FIELD(attention);

	jit_test_mem32(&g->k, &m);
	return jit_jump_forward(&g->k, 5);
}

static u32 here(const struct gen *g)
{
	return g->r->start + jit_offset(&g->k);
}

/*
 * Flags that the region reads are the host's when it begins, but where what is done at its beginning
 * destroys them: vectors are loaded, pages of the last time are forgotten.
 */
static unsigned flags_at_start(const struct jit_plan *p, unsigned sticky)
{
	if (!p->op[0].live_in)
		return 0;
	return p->vector || sticky ? IN_SLOT : IN_HOST;
}

/* Returns the jump to stub.slot. */
static u32 entries_emit(struct gen *g)
{
	struct jit_region *r = g->r;
	u32 out;

	r->entry.host = here(g);
	if (g->flags)
		gen_flags_store(&g->k, 10);
	r->entry.slot = here(g);
	out = look_at_entry(g);
	r->forward.slot = here(g);
	if (g->flags & IN_HOST)
		gen_flags_load(&g->k, 10);
	r->forward.host = g->flags & IN_SLOT ? r->entry.host : here(g);
	gen_swap_pair(g, true);
	r->inner = here(g);
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
	gen_epoch_check(g);
	return out;
}

/* What the entries of a dead region are made to jump to; `out` jumps there as well. */
static void dead_emit(struct gen *g, u32 out)
{
	const struct jit_site site = { .kind = JIT_SITE_JUMP,
				       .rip = g->p->op[0].page_offset,
				       .region = g->region };

	g->r->stub.host = here(g);
	gen_leave_by(g, &site, true, g->p->op[0].live_in ? IN_HOST : 0);
	jit_land(&g->k, out);
	g->r->stub.slot = here(g);
	gen_leave_by(g, &site, true, 0);
	g->r->inner_stub = here(g);
	gen_swap_pair(g, false);
	jit_jump(&g->k, JIT_ALWAYS,
		 (u64)(uintptr_t)g->c->jit.own->run_view +
			 (g->r->flags & IN_HOST ? g->r->stub.host : g->r->stub.slot));
}

static void end_emit(struct gen *g)
{
	const struct jit_plan *p = g->p;

	gen_flush_pending(g);
	if (p->end == -1)
		return;
	if (p->end_op >= 0) {
		if (p->op[p->end_op].live_in)
			gen_flags_save(g);
		gen_jump_to_op(g, (unsigned)p->end_op, JIT_ALWAYS);
		return;
	}
	if (p->end >= 0) {
		gen_exit_direct(g, p->end);
		return;
	}
	const struct jit_site site = { .kind = JIT_SITE_RECORD,
				       .block = p->end_block,
				       .record = p->end_record,
				       .region = g->region };

	gen_leave_by(g, &site, false, g->flags);
}

void gen_end_of_loop(struct gen *g, unsigned n)
{
	const struct jit_op *next = &g->p->op[n + 1];

	if (n + 1 == g->p->count) {
		end_emit(g);
		return;
	}
	/* As label_emit() has them. */
	if (next->live_in && next->loop_head)
		gen_flags_save(g);
	else if (next->live_in)
		gen_flags_restore(g);
	gen_jump_to_op(g, n + 1, JIT_ALWAYS);
}

/* All of it, into the staging buffer; it has so many sticky look-ups. */
static void write_region(struct gen *g, unsigned sticky)
{
	struct x86_jit *j = g->c->jit.own;
	const struct jit_plan *p = g->p;

	j->site_count = g->r->first_site;
	g->k = (struct jit_code){
		.start = j->staging,
		.at = j->staging,
		.end = j->staging + sizeof(j->staging),
		.origin = (u64)(uintptr_t)j->run_view + j->used,
	};
	g->sticky_forgotten = sticky;
	g->fact_count = g->cold_count = g->fix_count = g->sticky_count = 0;
	g->place_count = 0;
	g->loop = -1;
	g->borrowed = 0;
	g->in_single = false;
	g->alone = g->c->vm->cpu_count == 1;
	memset(g->rounds, 0, sizeof(g->rounds));
	g->in_t0 = g->code_t1 = g->pending = -1;
	g->failed = false;
	g->flags = flags_at_start(p, sticky);
	g->r->flags = (u8)g->flags;

	const u32 out = entries_emit(g);

	for (unsigned n = 0; n < p->count; n++) {
		const struct jit_op *o = &p->op[n];

		if (!gen_continues_run(g, o))
			gen_flush_pending(g);
		if (o->barrier || (g->fact_count + 2 > GEN_FACTS && g->pending < 0))
			gen_forget_facts(g);
		if (o->label)
			label_emit(g, n);
		if (o->label && gen_loop_emit(g, n)) {
			n = gen_loop_at(g, n)->last;
			continue;
		}
		gen_op_emit(g, n);
		if (o->barrier)
			gen_forget_facts(g);
	}
	end_emit(g);
	for (unsigned n = 0; n < p->loop_count; n++)
		gen_loop_rest_emit(g, n);
	for (unsigned n = 0; n < g->cold_count; n++) {
		const struct cold cold = g->cold[n];

		gen_cold_emit(g, &cold);
	}
	dead_emit(g, out);
	for (unsigned n = 0; n < g->fix_count; n++) {
		const u32 distance = g->at[g->fix[n].op] - (g->fix[n].jump + 4);

		memcpy(g->k.start + g->fix[n].jump, &distance, 4);
	}
}

/*
 * The code map of pages not met yet: rounds.c looks there before it finds out that an address which passes for
 * one in such a page is not canonical.
 */
static const u8 no_code;

struct jit_region *jit_translate(struct x86_cpu *c, const struct jit_plan *p)
{
	struct x86_jit *j = c->jit.own;
	static __thread struct gen gen;
	struct gen *g = &gen;

	/* Routines first: they lie in the same memory. */
	jit_leave_routine(c, p->t0, p->t1, false);
	jit_leave_routine(c, p->t0, p->t1, true);
	jit_large_routine(c, p->t0, p->t1, false);
	jit_large_routine(c, p->t0, p->t1, true);
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
		.pair = { p->t0, p->t1 },
	};
	g->sticky_host = 0;
	g->sticky_first = j->sticky_used;
	write_region(g, 0);
	if (g->sticky_count)
		write_region(g, g->sticky_count);
	if (g->failed || g->k.full || j->full || j->used + jit_offset(&g->k) > j->size) {
		j->site_count = g->r->first_site;
		return NULL;
	}
	memcpy(j->write_view + j->used, j->staging, jit_offset(&g->k));
	j->used = (j->used + jit_offset(&g->k) + 15) & ~(size_t)15;
	g->r->end = (u32)j->used;
	g->r->site_count = j->site_count - g->r->first_site;
	j->region_count++;
	if (g->sticky_count) {
		c->jit.sticky[g->sticky_first].page = NO_EPOCH;
		for (unsigned n = 1; n <= g->sticky_count; n++)
			c->jit.sticky[g->sticky_first + n].code =
				(u64)(uintptr_t)&no_code;
		j->sticky_used += 1 + g->sticky_count;
	}
	return g->r;
}
