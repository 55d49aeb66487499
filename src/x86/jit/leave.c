/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ways out of a region, and what is rarely taken. See gen.h. Thread: the VP's.
 */
#include "x86/jit/gen.h"

void gen_leave_by(struct gen *g, const struct jit_site *site, bool usual_pair,
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
void gen_exit_direct(struct gen *g, s32 rip)
{
	const unsigned n = g->p->count - 1;

	if (rip < 0 || rip > 4095) {
		gen_place_in_t0(g, rip);
		gen_exit_lookup(g, n, JIT_NO_REDO);
		return;
	}
	/* To be linked before the pair is changed: the other region may have the same one. */
	const u32 jump = jit_jump_forward(&g->k, JIT_ALWAYS);
	const struct jit_site site = {
		.kind = JIT_SITE_JUMP,
		.rip = rip,
		.region = g->region,
		.patch = g->r->start + jump,
		.flags_in_host = !!(g->flags & IN_HOST),
	};

	jit_land(&g->k, jump);
	gen_swap_pair(g, false);
	gen_leave_by(g, &site, true, g->flags);
}

static struct jit_mem jump_field(const struct gen *g, size_t member)
{
	return (struct jit_mem){ .base = (u8)g->t1,
				 .index = JIT_NONE,
				 .gs = true,
				 .disp = (s32)(offsetof(struct x86_cpu, jump) + member) };
}

/* Has the entry at T1 the RIP in T0? */
static void compare_rip(struct gen *g)
{
	const struct jit_mem rip = jump_field(g, offsetof(struct x86_jump_entry, rip));

	jit_op_mem(&g->k, 0x3b, true, g->t0, &rip);
}

/* To the RIP in T0: through the table of jumps. The flags go through the slot. */
void gen_exit_lookup(struct gen *g, unsigned n, s32 popped)
{
	struct jit_code *k = &g->k;
	const struct jit_mem target = JIT_FIELD(jit.target);
	const struct jit_mem key = jump_field(g, offsetof(struct x86_jump_entry, key));
	const struct jit_mem code = jump_field(g, offsetof(struct x86_jump_entry, code));
	struct jit_mem m;
	u32 miss[2], back;

	gen_flags_save(g);
	g->flags &= ~IN_HOST;
	jit_store(k, &target, g->t0);
	/* T1 = x86_jump_index(T0) * 32 */
	_Static_assert(sizeof(struct x86_jump_entry) == 32, "the shift below");
	jit_op_reg(k, 0x69, false, g->t1, g->t0);
	jit_u32(k, X86_JUMP_HASH);
	jit_shift(k, 5, false, g->t1, 32 - X86_JUMP_BITS - 5);
	jit_alu_imm(k, 4, false, g->t1, (X86_JUMP_COUNT - 1) << 5);
	compare_rip(g);
	miss[0] = jit_jump_forward(k, 5);
	back = jit_offset(k);
	/* T0 = start of the page: RIP without its last bits */
	jit_alu_imm(k, 4, true, g->t0, -4096);
	m = JIT_FIELD(jit.rip_page);
	jit_store(k, &m, g->t0);
	/* In user mode the two keys are one. */
	m = JIT_FIELD(jump_keys);
	if (!(g->p->head->mode & X86_MODE_USER)) {
		jit_shift(k, 5, true, g->t0, 63);
		m.index = (u8)g->t0;
		m.scale = 3;
	}
	jit_load(k, g->t0, &m);
	jit_op_mem(k, 0x3b, true, g->t0, &key);
	miss[1] = jit_jump_forward(k, 5);
	if (jit_pair_is_usual(g->r->pair)) {
		jit_jump_mem(k, &code);
	} else {
		m = JIT_FIELD(jit.ret);
		jit_load(k, g->t1, &code);
		jit_store(k, &m, g->t1);
		gen_swap_pair(g, false);
		jit_jump_mem(k, &m);
	}
	for (unsigned x = 0; x < 2; x++) {
		struct cold *cold = gen_cold_new(g, miss[x], JIT_SITE_LOOKUP, n);

		cold->disp = popped;
		cold->back = x == 0 ? back : 0;
	}
}

/* Perhaps the other entry of the set has the RIP in T0. */
static void look_at_next(struct gen *g, u32 back)
{
	jit_alu_imm(&g->k, 6, false, g->t1, sizeof(struct x86_jump_entry));
	compare_rip(g);
	jit_jump(&g->k, 4, g->k.origin + back);
}

static void look_in_large(struct gen *g, const struct cold *cold, struct jit_site *site)
{
	const struct jit_mem m = JIT_FIELD(jit.site);

	site->patch = g->r->start + cold->jump + 4;
	jit_store_imm32(&g->k, &m, jit_site_new(g->c, site), false);
	jit_jump(&g->k, JIT_ALWAYS, jit_large_routine(g->c, g->t0, g->t1, cold->write));
}

void gen_cold_emit(struct gen *g, const struct cold *cold)
{
	const struct jit_op *o = &g->p->op[cold->op];

	if (cold->kind == GEN_COLD_DONE)
		return;
	jit_land(&g->k, cold->jump);
	g->flags = cold->flags;
	if (cold->kind == JIT_SITE_WRITTEN) {
		const struct jit_mem t0 = JIT_FIELD(jit.t0), t1 = JIT_FIELD(jit.t1);

		jit_store(&g->k, &t1, cold->code_in);
		if (cold->reg == JIT_IN_T0)
			jit_store(&g->k, &t0, g->t0);
	}
	gen_give_back(g, cold->borrowed);
	if (cold->kind == GEN_COLD_AGAIN) {
		gen_again_emit(g, cold);
		return;
	}
	if (cold->kind == GEN_COLD_LABEL) {
		gen_jump_to_op(g, (unsigned)cold->to, JIT_ALWAYS);
		return;
	}
	if (cold->kind == GEN_COLD_FILL) {
		gen_fill_emit(g, cold);
		return;
	}
	if (cold->kind == GEN_COLD_SMALL) {
		gen_small_emit(g, cold);
		return;
	}
	if (cold->kind == GEN_COLD_STACK) {
		gen_stack_emit(g, cold);
		return;
	}
	if (cold->kind == GEN_COLD_EPOCH) {
		gen_epoch_emit(g, cold);
		return;
	}
	struct jit_site site = {
		.kind = cold->kind,
		.block = o->block,
		.record = o->record,
		.region = g->region,
		.rip = cold->rip,
	};

	switch ((enum jit_site_kind)cold->kind) {
	case JIT_SITE_JUMP:
		if (cold->attention) {
			gen_leave_by(g, &site, false, g->flags);
			return;
		}
		g->in_t0 = g->code_t1 = -1;
		gen_exit_direct(g, cold->rip);
		return;
	case JIT_SITE_LOOKUP:
		if (cold->back)
			look_at_next(g, cold->back);
		site.stack = cold->disp;
		break;
	case JIT_SITE_WRITTEN:
		site.reg = cold->reg;
		site.disp = cold->disp;
		site.size = cold->size;
		break;
	case JIT_SITE_RECORD:
		site.reg = cold->reg;
		site.disp = cold->disp;
		site.size = cold->size;
		site.ahead = cold->ahead;
		site.place = cold->place;
		if (cold->large) {
			look_in_large(g, cold, &site);
			return;
		}
		break;
	case JIT_SITE_FAULT:
		break;
	}
	gen_leave_by(g, &site, false, g->flags);
}

struct cold *gen_tlb_miss(struct gen *g, u32 jump, unsigned n, bool write)
{
	struct cold *cold = gen_cold_new(g, jump, JIT_SITE_RECORD, n);

	cold->large = true;
	cold->write = write;
	return cold;
}

struct cold *gen_miss(struct gen *g, u32 jump, unsigned n)
{
	return gen_cold_new(g, jump, JIT_SITE_RECORD, n);
}
