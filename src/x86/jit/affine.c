/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inner loops whose addresses move by the same distance in each round: region.h, "Rounds". What an address
 * is made of is followed through the loop as a sum of the registers' values at its head, each times a
 * small number, and a constant. Thread: the VP's.
 */
#include "x86/jit/region.h"

#define REACH_MAX 256 /* bytes between first and last of a group in one round */
#define STEP_MAX 64   /* bytes that an address moves in a round */
#define SMALL_STEP 16

/* A register's value; not known: nothing is said. */
struct form {
	bool known;
	s8 times[16]; /* of the registers at the head */
	s64 add;
};

struct loop_state {
	struct form reg[16];
};

static void state_begin(struct loop_state *s)
{
	memset(s, 0, sizeof(*s));
	for (unsigned n = 0; n < 16; n++) {
		s->reg[n].known = true;
		s->reg[n].times[n] = 1;
	}
}

/* f += b * times; not known where a factor grows beyond what an address can need. */
static void form_add(struct form *f, const struct form *b, int times)
{
	f->known &= b->known;
	for (unsigned n = 0; n < 16; n++) {
		const int factor = f->times[n] + b->times[n] * times;

		if (factor < -8 || factor > 8)
			f->known = false;
		f->times[n] = (s8)factor;
	}
	f->add = (s64)((u64)f->add + (u64)b->add * (u64)(s64)times);
}

static struct form address_form(const struct loop_state *s, u8 base, u8 index, int times,
				s64 disp)
{
	struct form f = { .known = true, .add = disp };

	if (base != JIT_NONE)
		form_add(&f, &s->reg[base], 1);
	if (index != JIT_NONE)
		form_add(&f, &s->reg[index], times);
	return f;
}

static void state_step(struct loop_state *s, const struct jit_op *o)
{
	const struct jit_sum *q = &o->sum;
	const int times = (q->minus ? -1 : 1) * (1 << q->scale);
	struct form value;

	if (q->valid)
		value = address_form(s, q->base, q->index, times, q->disp);
	for (unsigned n = 0; n < 16; n++)
		if (o->writes >> n & 1)
			s->reg[n].known = false;
	if (q->valid)
		s->reg[o->reg] = value;
}

/* By how much each register moves in a round; false: it does not move by a constant. */
static bool step_of(const struct loop_state *end, unsigned n, s64 *ret_step)
{
	const struct form *f = &end->reg[n];

	if (!f->known)
		return false;
	for (unsigned k = 0; k < 16; k++)
		if (f->times[k] != (k == n))
			return false;
	*ret_step = f->add;
	return true;
}

static bool is_address(const struct jit_plan *p, const struct form *f,
		       const struct loop_state *end, s64 *ret_step)
{
	unsigned terms = 0;

	*ret_step = 0;
	/* What is at home is not counted with. */
	if (f->times[p->t0] || f->times[p->t1])
		return false;
	if (!f->known || f->add > INT32_MAX / 2 || f->add < INT32_MIN / 2)
		return false;
	for (unsigned n = 0; n < 16; n++) {
		s64 step;

		if (!f->times[n])
			continue;
		if (f->times[n] < 0 || f->times[n] & (f->times[n] - 1) ||
		    (n == JIT_SP && f->times[n] != 1) || !step_of(end, n, &step) ||
		    step > INT16_MAX || step < INT16_MIN)
			return false;
		*ret_step += step * f->times[n];
		terms++;
	}
	return terms <= 4 && *ret_step >= -STEP_MAX && *ret_step <= STEP_MAX;
}

/* The group of an access, a new one if need be; 0: no room. */
static u8 group_of(struct jit_loop *l, const struct jit_access *a, const struct form *f,
		   s64 step)
{
	const s64 lo = f->add, hi = f->add + a->size;

	for (unsigned n = 0; n < l->group_count; n++) {
		struct jit_group *q = &l->group[n];
		const s64 low = lo < q->lo ? lo : q->lo, high = hi > q->hi ? hi : q->hi;

		if (q->rip != a->rip || memcmp(q->times, f->times, sizeof(q->times)) ||
		    high - low > REACH_MAX)
			continue;
		q->lo = low;
		q->hi = high;
		q->write |= a->write;
		return (u8)(n + 1);
	}
	if (l->group_count == JIT_GROUPS_MAX)
		return 0;

	struct jit_group *q = &l->group[l->group_count++];

	*q = (struct jit_group){
		.rip = a->rip, .lo = lo, .hi = hi, .step = step, .write = a->write
	};
	memcpy(q->times, f->times, sizeof(q->times));
	return (u8)l->group_count;
}

/* A loop of instructions that leave no doubt, with no other way in than its head. */
static bool is_inner(const struct jit_plan *p, unsigned first, unsigned last)
{
	for (unsigned n = first; n <= last; n++) {
		const struct jit_op *o = &p->op[n];

		if (n > first && o->label)
			return false;
		if (n < last && o->kind == JIT_BRANCH && o->target_op == (s16)first)
			return false;
		if (o->kind != JIT_PLAIN && o->kind != JIT_NOTHING &&
		    o->kind != JIT_LEA_RIP && o->kind != JIT_BRANCH)
			return false;
	}
	return true;
}

/* The register that tells how many rounds there were: one that moves an address. */
static void choose_counter(struct jit_loop *l, const struct loop_state *end)
{
	s64 step;

	l->counter = JIT_NONE;
	for (unsigned n = 0; n < l->group_count; n++) {
		for (unsigned k = 0; k < 16 && l->group[n].step; k++) {
			if (!l->group[n].times[k] || !step_of(end, k, &step) || !step)
				continue;
			l->counter = (u8)k;
			l->counter_step = (s32)step;
			return;
		}
	}
}

static void group_accesses(struct jit_plan *p, struct jit_loop *l,
			   const struct loop_state *end)
{
	struct loop_state s;

	state_begin(&s);
	for (unsigned n = l->first; n <= l->last; n++) {
		struct jit_op *o = &p->op[n];
		struct jit_access *a = &o->access[0];

		if (a->size && a->seg == SEG_FLAT) {
			struct form f = address_form(&s, a->base, a->index, 1 << a->scale,
						     a->disp);
			s64 step;

			if (a->rip)
				f.add += o->page_offset + o->length;
			if (is_address(p, &f, end, &step))
				a->group = group_of(l, a, &f, step);
		}
		l->others |= a->size && !a->group;
		l->uses |= o->uses | o->writes;
		state_step(&s, o);
	}
}

static void loop_make(struct jit_plan *p, unsigned first, unsigned last)
{
	struct jit_loop *l = &p->loop[p->loop_count];
	struct loop_state end;
	s64 longest = 0;

	*l = (struct jit_loop){ .first = (u16)first, .last = (u16)last };
	state_begin(&end);
	for (unsigned n = first; n <= last; n++)
		state_step(&end, &p->op[n]);
	group_accesses(p, l, &end);
	if (!l->group_count)
		return;
	l->shared = p->end_op == (s16)first;
	for (unsigned n = last + 1; n < p->count; n++)
		l->shared |= p->op[n].kind == JIT_BRANCH &&
			     p->op[n].target_op == (s16)first;
	choose_counter(l, &end);
	for (unsigned n = 0; n < l->group_count; n++) {
		const s64 step = l->group[n].step;

		if (step > longest || -step > longest)
			longest = step > 0 ? step : -step;
	}
	l->rounds = longest <= SMALL_STEP / 2 ? 32 : longest <= SMALL_STEP ? 16 : 8;
	if (last + 1 < p->count)
		p->op[last + 1].label = true;
	p->loop_count++;
}

void jit_find_rounds(struct jit_plan *p)
{
	p->loop_count = 0;
	if (p->changes_key || p->head->wide)
		return;
	for (unsigned n = 0; n < p->count && p->loop_count < JIT_LOOPS_MAX; n++) {
		const struct jit_op *o = &p->op[n];

		if (o->kind == JIT_BRANCH && o->target_op >= 0 &&
		    o->target_op <= (s16)n && is_inner(p, (unsigned)o->target_op, n))
			loop_make(p, (unsigned)o->target_op, n);
	}
}
