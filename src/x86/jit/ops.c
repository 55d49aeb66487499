/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One instruction after the other: see gen.h. Thread: the VP's.
 */
#include "x86/jit/gen.h"

static void plain_emit(struct gen *g, unsigned n)
{
	const struct jit_op *o = &g->p->op[n];
	const struct jit_access *a = &o->access[0];
	const unsigned pair[] = { g->t0, g->t1 };
	struct jit_mem m;
	int at = -1;

	if (a->size)
		at = gen_access_begin(g, n, a, &m);
	gen_flags_before(g, o);
	for (unsigned x = 0; x < 2; x++)
		if (gen_names(o, pair[x]))
			gen_from_home(g, pair[x]);
	gen_fault_point(g, n);
	if (!a->size)
		jit_bytes(&g->k, o->bytes, o->length);
	else if (!jit_copy_with(&g->k, &o->z, o->bytes, &m))
		g->failed = true;
	for (unsigned x = 0; x < 2; x++)
		if (o->writes >> pair[x] & 1)
			gen_to_home(g, pair[x]);
	gen_flags_after(g, o);
	if (a->write)
		gen_stored(g, n, at);
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
		at = gen_access_begin(g, n, &o->access[1], &m);
		gen_access_keep(g, at);
		gen_access_begin(g, n, &o->access[0], &value);
		gen_fault_point(g, n);
		jit_load(&g->k, g->t1, &value);
		g->code_t1 = -1;
		gen_access_begin(g, n, &o->access[1], &m);
		gen_fault_point(g, n);
		jit_store(&g->k, &m, g->t1);
	} else {
		at = gen_access_begin(g, n, &o->access[1], &m);
		gen_fault_point(g, n);
		if (o->kind == JIT_PUSH_IMM)
			jit_store_imm32(&g->k, &m, (u32)o->imm, true);
		else
			jit_store(&g->k, &m, o->reg);
	}
	move_stack(g, -8);
	gen_stored(g, n, at);
}

/* Also of RSP itself, which then is what was popped. */
static void pop_emit(struct gen *g, unsigned n)
{
	const struct jit_op *o = &g->p->op[n];
	struct jit_mem m;

	gen_access_begin(g, n, &o->access[1], &m);
	gen_fault_point(g, n);
	jit_load(&g->k, o->reg, &m);
	if (o->reg != JIT_SP)
		move_stack(g, 8);
}

static void leave_emit(struct gen *g, unsigned n)
{
	const struct jit_op *o = &g->p->op[n];
	const struct jit_mem above = { .base = JIT_BP, .index = JIT_NONE, .disp = 8 };
	struct jit_mem m;

	gen_access_begin(g, n, &o->access[1], &m);
	gen_fault_point(g, n);
	jit_load(&g->k, g->t1, &m);
	g->code_t1 = -1;
	jit_lea(&g->k, JIT_SP, &above);
	jit_move(&g->k, JIT_BP, g->t1);
}

static void return_address(struct gen *g, const struct jit_op *o)
{
	const struct jit_mem page = JIT_FIELD(jit.rip_page);
	const struct jit_mem next = { .base = (u8)g->t1,
				      .index = JIT_NONE,
				      .disp = jit_rip_after(o) };

	jit_load(&g->k, g->t1, &page);
	jit_lea(&g->k, g->t1, &next);
	g->code_t1 = -1;
}

/* T0 = a place that is a distance from the page's start. */
void gen_place_in_t0(struct gen *g, s32 rip)
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
		gen_access_begin(g, n, &o->access[0], &m);
		gen_fault_point(g, n);
		jit_load(&g->k, g->t1, &m);
		jit_store(&g->k, &target, g->t1);
		g->code_t1 = -1;
	} else if (o->kind == JIT_CALL_REG) {
		jit_store(&g->k, &target, o->reg);
	}
	at = gen_access_begin(g, n, &o->access[1], &m);
	return_address(g, o);
	gen_fault_point(g, n);
	jit_store(&g->k, &m, g->t1);
	move_stack(g, -8);
	gen_code_check(g, n, at, o->kind == JIT_CALL ? o->target : -1);
	if (o->kind == JIT_CALL) {
		gen_exit_direct(g, o->target);
		return;
	}
	jit_load(&g->k, g->t0, &target);
	g->in_t0 = -1;
	gen_exit_lookup(g, n, -8);
}

static void ret_emit(struct gen *g, unsigned n)
{
	const struct jit_op *o = &g->p->op[n];
	const s32 popped = 8 + (o->imm & 0xffff);
	struct jit_mem m;

	gen_access_begin(g, n, &o->access[1], &m);
	gen_fault_point(g, n);
	jit_load(&g->k, g->t0, &m);
	g->in_t0 = -1;
	move_stack(g, popped);
	gen_exit_lookup(g, n, popped);
}

void gen_jump_to_op(struct gen *g, unsigned n, unsigned cc)
{
	g->fix[g->fix_count].op = (u16)n;
	g->fix[g->fix_count++].jump = jit_jump_forward(&g->k, cc);
}

static void branch_emit(struct gen *g, unsigned n)
{
	const struct jit_op *o = &g->p->op[n];

	gen_flags_restore(g);
	if (o->target_op >= 0) {
		if (g->p->op[o->target_op].loop_head && g->p->op[o->target_op].live_in)
			gen_flags_save(g);
		if (g->borrowed)
			gen_cold_new(g, jit_jump_forward(&g->k, o->cc), GEN_COLD_LABEL, n)
				->to = o->target_op;
		else
			gen_jump_to_op(g, (unsigned)o->target_op, o->cc);
		return;
	}
	struct cold *cold =
		gen_cold_new(g, jit_jump_forward(&g->k, o->cc), JIT_SITE_JUMP, n);

	cold->rip = o->target;
}

void gen_op_emit(struct gen *g, unsigned n)
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
		gen_place_in_t0(g, jit_rip_after(o) + (s32)o->z.raw.disp.value);
		jit_move(&g->k, o->reg, g->t0);
		break;
	case JIT_PUSH_REG:
	case JIT_PUSH_IMM:
	case JIT_PUSH_MEM:
		push_emit(g, n);
		break;
	case JIT_POP_REG:
		pop_emit(g, n);
		break;
	case JIT_LEAVE:
		leave_emit(g, n);
		break;
	case JIT_CALL:
	case JIT_CALL_REG:
	case JIT_CALL_MEM:
		call_emit(g, n);
		break;
	case JIT_JUMP:
		gen_exit_direct(g, o->target);
		break;
	case JIT_JUMP_REG:
		jit_move(&g->k, g->t0, o->reg);
		g->in_t0 = -1;
		gen_exit_lookup(g, n, 0);
		break;
	case JIT_JUMP_MEM:
		gen_access_begin(g, n, &o->access[0], &m);
		gen_fault_point(g, n);
		jit_load(&g->k, g->t0, &m);
		g->in_t0 = -1;
		gen_exit_lookup(g, n, 0);
		break;
	case JIT_BRANCH:
		branch_emit(g, n);
		break;
	case JIT_RET:
		ret_emit(g, n);
		break;
	case JIT_READ_SEGMENT:
		m = JIT_FIELD(s.seg[o->z.raw.modrm.reg].selector);
		jit_op_mem(&g->k, 0x0fb7, false, o->reg, &m);
		break;
	case JIT_RDTSC:
	case JIT_RDTSCP:
	case JIT_READ_BASE:
	case JIT_WRITE_BASE:
	case JIT_CLI:
	case JIT_STI:
	case JIT_SWAPGS:
	case JIT_STAC:
	case JIT_CLAC:
	case JIT_PUSHF:
	case JIT_MOVS:
	case JIT_STOS:
		gen_system_emit(g, n);
		break;
	case JIT_STOP:
		g->failed = true;
		break;
	}
}
