/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small glue: flags in and out of the way, the scratch pair between regions. See gen.h.
 * Thread: the VP's.
 */
#include "x86/jit/gen.h"

const u8 jit_usual_pair[2] = { 10, 11 };

bool jit_pair_is_usual(const u8 pair[2])
{
	return pair[0] == jit_usual_pair[0] && pair[1] == jit_usual_pair[1];
}

static bool is_one_of(const u8 pair[2], unsigned reg)
{
	return reg == pair[0] || reg == pair[1];
}

void jit_change_pair(struct jit_code *k, const u8 from[2], const u8 to[2])
{
	for (unsigned n = 0; n < 16; n++) {
		const struct jit_mem m = JIT_FIELD(r[n]);

		if (is_one_of(from, n) && !is_one_of(to, n))
			jit_load(k, n, &m);
		else if (!is_one_of(from, n) && is_one_of(to, n))
			jit_store(k, &m, n);
	}
}

void gen_swap_pair(struct gen *g, bool enter)
{
	if (enter)
		jit_change_pair(&g->k, jit_usual_pair, g->r->pair);
	else
		jit_change_pair(&g->k, g->r->pair, jit_usual_pair);
}

void jit_flags_to_slot(struct jit_code *k)
{
	const struct jit_mem m = JIT_FIELD(flags);

	jit_flags_to_ax(k);
	jit_u8(k, 0x66);
	jit_op_mem(k, 0x89, false, JIT_AX, &m);
}

void gen_flags_store(struct jit_code *k, unsigned scratch)
{
	jit_move(k, scratch, JIT_AX);
	jit_flags_to_slot(k);
	jit_move(k, JIT_AX, scratch);
}

/* Flags that somebody needs go to the slot; the host's stay right. Takes T1. */
void gen_flags_save(struct gen *g)
{
	if (g->flags & IN_SLOT || !(g->flags & IN_HOST))
		return;
	gen_flags_store(&g->k, g->t1);
	g->code_t1 = -1;
	g->flags |= IN_SLOT;
}

/* What follows destroys the host's flags. */
void gen_flags_clobber(struct gen *g, u32 live)
{
	if (live)
		gen_flags_save(g);
	g->flags &= ~IN_HOST;
}

void gen_flags_load(struct jit_code *k, unsigned scratch)
{
	const struct jit_mem m = JIT_FIELD(flags);

	jit_move(k, scratch, JIT_AX);
	jit_op_mem(k, 0x0fb7, false, JIT_AX, &m);
	jit_ax_to_flags(k);
	jit_move(k, JIT_AX, scratch);
}

void gen_flags_restore(struct gen *g)
{
	if (g->flags & IN_HOST)
		return;
	gen_flags_load(&g->k, g->t1);
	g->code_t1 = -1;
	g->flags |= IN_HOST;
}

void gen_from_home(struct gen *g, unsigned reg)
{
	const struct jit_mem home = JIT_FIELD(r[reg]);

	jit_load(&g->k, reg, &home);
	if (reg == g->t0)
		g->in_t0 = -1;
	else
		g->code_t1 = -1;
}

void gen_to_home(struct gen *g, unsigned reg)
{
	const struct jit_mem home = JIT_FIELD(r[reg]);

	jit_store(&g->k, &home, reg);
}

void gen_give_back(struct gen *g, u16 borrowed)
{
	for (unsigned n = 0; n < 16; n++) {
		const struct jit_mem m = JIT_FIELD(r[n]);

		if (borrowed >> n & 1)
			jit_load(&g->k, n, &m);
	}
}

struct cold *gen_cold_new(struct gen *g, u32 jump, unsigned kind, unsigned n)
{
	struct cold *cold = &g->cold[g->cold_count];

	if (g->cold_count + 1 < GEN_COLD_MAX)
		g->cold_count++;
	else
		g->failed = true;
	*cold = (struct cold){ .jump = jump,
			       .kind = (u8)kind,
			       .flags = (u8)g->flags,
			       .op = (u16)n,
			       .borrowed = g->borrowed,
			       .code_in = (u8)g->t1 };
	return cold;
}

void gen_flags_before(struct gen *g, const struct jit_op *o)
{
	u32 needs = o->flags_read;

	if (o->flags_written | o->flags_perhaps)
		needs |= o->live_out & ~o->flags_written;
	if (needs)
		gen_flags_restore(g);
}

void gen_flags_after(struct gen *g, const struct jit_op *o)
{
	if (o->flags_written)
		g->flags = IN_HOST;
	else if (o->flags_perhaps)
		g->flags = o->live_out ? IN_HOST : 0;
}
