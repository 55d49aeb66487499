/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory in translated code: looking pages up, remembering them, and the look at the code map
 * after a store. See gen.h and jit.h. Thread: the VP's.
 */
#include "x86/jit/gen.h"

/* A look-up for access `a` of an instruction: `size` bytes from `disp` beyond its registers. */
struct look {
	unsigned op;
	const struct jit_access *a;
	bool write;
	s32 disp;
	unsigned size;
};

void gen_forget_facts(struct gen *g)
{
	g->fact_count = g->loop >= 0 ? g->p->loop[g->loop].group_count : 0;
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

/*
 * The range that accesses from op n on share with a, and whether one of them writes; does anybody need it
 * again?
 */
static void range_of(const struct gen *g, unsigned n, const struct jit_access *a,
		     struct fact *f, bool *ret_again)
{
	const bool ahead = is_simple(a) && !g->p->head->narrow;

	f->lo = a->offset;
	f->hi = a->offset + a->size;
	f->write = a->write;
	*ret_again = false;
	for (unsigned k = n; k < g->p->count; k++) {
		const struct jit_op *o = &g->p->op[k];

		if (k > n && (o->label || o->barrier))
			break;
		for (unsigned x = 0; x < 2; x++) {
			const struct jit_access *b = &o->access[x];

			if (!b->size || b == a || !jit_same_key(a, b) ||
			    (b->write && !a->write && !ahead))
				continue;
			const s64 lo = b->offset < f->lo ? b->offset : f->lo;
			const s64 hi = b->offset + b->size > f->hi ? b->offset + b->size
								   : f->hi;

			if (hi - lo > GEN_RANGE_MAX || g->p->head->narrow)
				continue;
			f->lo = lo;
			f->hi = hi;
			f->write |= b->write;
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

/* T1 is a register of the address: it takes the guest's value. */
static void address_from_home(struct gen *g, const struct jit_access *a)
{
	if (a->base == g->t1 || a->index == g->t1)
		gen_from_home(g, g->t1);
}

/* reg = linear address of the fact's first byte. */
static void linear_address(struct gen *g, unsigned reg, const struct jit_access *a,
			   s32 disp)
{
	struct jit_code *k = &g->k;
	struct jit_mem m = {
		.base = a->base, .index = a->index, .scale = a->scale, .disp = disp
	};

	address_from_home(g, a);

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
		const struct jit_mem base = JIT_FIELD(seg_base[a->seg]);

		jit_op_mem(k, 0x03, true, reg, &base);
	}
}

/* From the addend in T0 to the host address of the fact's first byte. */
static void finish_address(struct gen *g, const struct jit_access *a, s32 disp)
{
	struct jit_code *k = &g->k;
	struct jit_mem m = { .base = (u8)g->t0, .index = JIT_NONE, .disp = disp };

	address_from_home(g, a);
	if (a->rip) {
		const struct jit_mem page = JIT_FIELD(jit.rip_page);

		jit_op_mem(k, 0x03, true, g->t0, &page);
	}
	if (a->seg != SEG_FLAT) {
		const struct jit_mem base = JIT_FIELD(seg_base[a->seg]);

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

/* T1 = entry of the TLB for the range, T0 = the tag that it must have; the displacement of the jump if it
 * has not. */
static u32 compare_small(struct gen *g, const struct look *l)
{
	const bool simple = is_simple(l->a);
	struct jit_mem last = { .base = (u8)g->t1,
				.index = JIT_NONE,
				.disp = (s32)l->size - 1 };

	if (simple && l->disp == 0) {
		address_from_home(g, l->a);
		last.base = l->a->base;
		jit_lea(&g->k, g->t0, &last);
		jit_rotate_into(&g->k, g->t1, l->a->base, 7);
		return compare_tags(g, l->write);
	}
	linear_address(g, g->t1, l->a, l->disp);
	jit_lea(&g->k, g->t0, &last);
	return gen_tlb_compare_last(g, l->write);
}

/* A miss; C looks whether it was for more than the access. */
static void range_miss(struct gen *g, u32 jump, const struct look *l)
{
	struct cold *cold = gen_tlb_miss(g, jump, l->op, l->write);

	if (is_simple(l->a) && (l->size > l->a->size || l->write != l->a->write)) {
		cold->reg = l->a->base;
		cold->disp = l->disp;
		cold->size = (u16)l->size;
		cold->ahead = l->write != l->a->write;
	}
}

/* T0 = addend, for writing T1 = byte of the code map; by way of the TLB. */
static void probe_small(struct gen *g, const struct look *l)
{
	struct jit_code *k = &g->k;
	struct jit_mem m;

	range_miss(g, compare_small(g, l), l);
	m = gen_tlb_field(g, offsetof(struct x86_tlb_entry, addend));
	jit_load(k, g->t0, &m);
	if (l->write) {
		m = gen_tlb_field(g, offsetof(struct x86_tlb_entry, code));
		jit_load(k, g->t1, &m);
	}
}

/* A cold piece that goes on with the look-up. */
static struct cold *cold_look(struct gen *g, u32 jump, unsigned kind,
			      const struct look *l)
{
	struct cold *cold = gen_cold_new(g, jump, kind, l->op);

	cold->which = l->a == &g->p->op[l->op].access[1];
	cold->write = l->write;
	cold->disp = l->disp;
	cold->size = (u16)l->size;
	return cold;
}

static struct look look_of(const struct gen *g, const struct cold *cold)
{
	return (struct look){ .op = cold->op,
			      .a = &g->p->op[cold->op].access[cold->which],
			      .write = cold->write,
			      .disp = cold->disp,
			      .size = cold->size };
}

/* Displacement from the registers of the access to the first byte of the fact. */
static s32 first_byte(const struct jit_access *a, const struct fact *f)
{
	return (s32)(a->rip ? f->lo : a->disp + (f->lo - a->offset));
}

/* The page of the last round, or the cold part. */
static void probe_sticky(struct gen *g, const struct look *l, unsigned which,
			 unsigned place)
{
	struct jit_code *k = &g->k;
	const u32 at = gen_sticky(g, which);
	const struct jit_mem page = JIT_FIELD(jit.sticky[at].page);
	const struct jit_mem addend = JIT_FIELD(jit.sticky[at].addend);

	/* How far into that page; from there to the host's page, or to the addend. */
	const unsigned reg = is_simple(l->a) ? g->t1 : g->t0;

	linear_address(g, reg, l->a, l->disp);
	jit_op_mem(k, 0x2b, true, reg, &page);
	jit_alu_imm(k, 7, true, reg, (s32)(4096 - l->size));
	struct cold *cold = cold_look(g, jit_jump_forward(k, 7), GEN_COLD_FILL, l);

	cold->sticky = (s8)which;
	cold->place = (u8)place;
	cold->back = jit_offset(k);
	if (is_simple(l->a)) {
		jit_load(k, g->t0, &addend);
	} else {
		g->sticky_host |= BIT64(which);
		jit_op_mem(k, 0x03, true, g->t0, &addend);
	}
}

void gen_fill_emit(struct gen *g, const struct cold *cold)
{
	struct jit_code *k = &g->k;
	const struct look l = look_of(g, cold);
	const u32 at = gen_sticky(g, (unsigned)cold->sticky);
	const struct jit_mem page = JIT_FIELD(jit.sticky[at].page);
	const struct jit_mem addend = JIT_FIELD(jit.sticky[at].addend);
	const struct jit_mem code = JIT_FIELD(jit.sticky[at].code);
	const struct jit_mem credit = JIT_FIELD(jit.sticky_credit);
	const u8 place = cold->place;

	jit_decrement(k, &credit);
	gen_miss(g, jit_jump_forward(k, 8), cold->op)->place = place;
	probe_small(g, &l);
	if (l.write)
		jit_store(k, &code, g->t1);
	linear_address(g, g->t1, l.a, l.disp);
	jit_alu_imm(k, 4, true, g->t1, -4096);
	jit_store(k, &page, g->t1);
	if (is_simple(l.a)) {
		jit_store(k, &addend, g->t0);
	} else {
		jit_op_reg(k, 0x03, true, g->t0, g->t1);
		jit_store(k, &addend, g->t0);
		linear_address(g, g->t0, l.a, l.disp);
		jit_op_mem(k, 0x2b, true, g->t0, &page);
	}
	jit_jump(k, JIT_ALWAYS, k->origin + cold->back);
}

void gen_epoch_check(struct gen *g)
{
	struct jit_code *k = &g->k;
	const struct jit_mem key = JIT_FIELD(key), flushes = JIT_FIELD(flushes);
	const u32 at = gen_sticky(g, 0);
	const struct jit_mem epoch = JIT_FIELD(jit.sticky[at].page);

	if (!g->sticky_forgotten)
		return;
	jit_load(k, g->t1, &key);
	jit_op_mem(k, 0x0b, true, g->t1, &flushes);
	jit_op_mem(k, 0x3b, true, g->t1, &epoch);

	struct cold *cold = gen_cold_new(g, jit_jump_forward(k, 5), GEN_COLD_EPOCH, 0);

	cold->back = jit_offset(k);
}

/* Sticky look-ups begin with a page that no good address lies in: gen.h. T1 is the epoch. */
void gen_epoch_emit(struct gen *g, const struct cold *cold)
{
	struct jit_code *k = &g->k;
	const u64 nowhere = BIT64(63);
	const u32 first = gen_sticky(g, 0);
	const struct jit_mem epoch = JIT_FIELD(jit.sticky[first].page);

	jit_store(k, &epoch, g->t1);
	jit_load_imm64(k, g->t1, nowhere);
	for (unsigned n = 1; n <= g->sticky_forgotten; n++) {
		const u32 at = gen_sticky(g, n);
		const struct jit_mem page = JIT_FIELD(jit.sticky[at].page);
		const struct jit_mem addend = JIT_FIELD(jit.sticky[at].addend);

		jit_store(k, &page, g->t1);
		if (g->sticky_host >> n & 1)
			jit_store(k, &addend, g->t1);
		else
			jit_store_imm32(k, &addend, 0, true);
	}
	jit_jump(k, JIT_ALWAYS, k->origin + cold->back);
}

/* ---- the stack ---- */

static struct jit_mem stack_field(const struct gen *g, size_t member)
{
	struct jit_mem m = JIT_FIELD(jit.stack);

	m.disp += (s32)(member + in_user_mode(g) * sizeof(struct x86_jit_sticky));
	return m;
}

/* T0 = addend, for writing T1 = byte of the code map; by way of the last page met through RSP. */
static void probe_stack(struct gen *g, const struct look *l)
{
	struct jit_code *k = &g->k;
	const struct jit_mem page = stack_field(g, offsetof(struct x86_jit_sticky, page));
	const struct jit_mem addend =
		stack_field(g, offsetof(struct x86_jit_sticky, addend));
	const struct jit_mem code = stack_field(g, offsetof(struct x86_jit_sticky, code));

	linear_address(g, g->t1, l->a, l->disp);
	jit_op_mem(k, 0x2b, true, g->t1, &page);
	jit_alu_imm(k, 7, true, g->t1, (s32)(4096 - l->size));

	struct cold *cold = cold_look(g, jit_jump_forward(k, 7), GEN_COLD_STACK, l);

	jit_load(k, g->t0, &addend);
	if (l->write)
		jit_load(k, g->t1, &code);
	cold->back = jit_offset(k);
}

/* Remembered if it may be written to, for all who come. */
void gen_stack_emit(struct gen *g, const struct cold *cold)
{
	struct jit_code *k = &g->k;
	const struct look l = look_of(g, cold);
	const struct jit_mem page = stack_field(g, offsetof(struct x86_jit_sticky, page));
	const struct jit_mem addend =
		stack_field(g, offsetof(struct x86_jit_sticky, addend));
	const struct jit_mem code = stack_field(g, offsetof(struct x86_jit_sticky, code));
	struct jit_mem m = gen_tlb_field(g, offsetof(struct x86_tlb_entry, write_tag));
	const u64 back = k->origin + cold->back;

	range_miss(g, compare_small(g, &l), &l);
	if (!l.write)
		jit_op_mem(k, 0x3b, true, g->t0, &m);

	const u32 read_only = l.write ? 0 : jit_jump_forward(k, 5);

	m = gen_tlb_field(g, offsetof(struct x86_tlb_entry, addend));
	jit_load(k, g->t0, &m);
	jit_store(k, &addend, g->t0);
	m = gen_tlb_field(g, offsetof(struct x86_tlb_entry, code));
	jit_load(k, g->t1, &m);
	jit_store(k, &code, g->t1);
	linear_address(g, g->t1, l.a, l.disp);
	jit_alu_imm(k, 4, true, g->t1, -4096);
	jit_store(k, &page, g->t1);
	if (l.write)
		jit_load(k, g->t1, &code);
	jit_jump(k, JIT_ALWAYS, back);
	if (l.write)
		return;
	jit_land(k, read_only);
	m = gen_tlb_field(g, offsetof(struct x86_tlb_entry, addend));
	jit_load(k, g->t0, &m);
	jit_jump(k, JIT_ALWAYS, back);
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

/* T0 = addend; for writing T1 = byte of the code map, or one for the whole of the 2 MiB. User mode. */
static void probe_wide(struct gen *g, const struct look *l)
{
	struct jit_code *k = &g->k;
	const struct jit_mem key = JIT_FIELD(key);
	const struct jit_mem last = { .base = (u8)g->t1,
				      .index = JIT_NONE,
				      .disp = (s32)l->size - 1 };
	const struct jit_mem tag =
		large_field(g, l->write ? offsetof(struct x86_tlb_large, quiet_tag)
					: offsetof(struct x86_tlb_large, read_tag));
	struct jit_mem m;

	linear_address(g, g->t1, l->a, l->disp);
	jit_lea(k, g->t0, &last);
	jit_large_offset(k, g->t1);
	jit_alu_imm(k, 4, true, g->t0, -(s32)X86_LARGE_SIZE);
	jit_op_mem(k, 0x0b, true, g->t0, &key);
	jit_op_mem(k, 0x3b, true, g->t0, &tag);

	struct cold *cold = cold_look(g, jit_jump_forward(k, 5), GEN_COLD_SMALL, l);

	m = large_field(g, offsetof(struct x86_tlb_large, addend));
	jit_load(k, g->t0, &m);
	if (l->write) {
		m = large_field(g, offsetof(struct x86_tlb_large, any_code));
		jit_load(k, g->t1, &m);
	}
	cold->back = jit_offset(k);
}

void gen_small_emit(struct gen *g, const struct cold *cold)
{
	const struct look l = look_of(g, cold);

	probe_small(g, &l);
	jit_jump(&g->k, JIT_ALWAYS, g->k.origin + cold->back);
}

/* The place of a look-up in a loop; its number of a sticky one, or 0. */
static int sticky_new(struct gen *g, const struct jit_op *o, unsigned *ret_place)
{
	const struct x86_block *head = g->p->head;

	if (!o->in_loop || g->in_single || head->wide || g->p->changes_key ||
	    g->place_count == JIT_PLACES_MAX)
		return 0;
	*ret_place = g->place_count++;
	if (head->restless >> *ret_place & 1)
		return 0;
	return (int)++g->sticky_count;
}

/* Look the page up: a new fact, in T0; for a write the code-map pointer may be in T1. */
static int probe(struct gen *g, unsigned n, const struct jit_access *a)
{
	const struct jit_op *o = &g->p->op[n];
	struct jit_code *k = &g->k;
	struct fact f = { .key = *a };
	unsigned place = 0;
	bool again;

	range_of(g, n, a, &f, &again);
	if (f.lo - a->offset + a->disp != (s32)(f.lo - a->offset + a->disp)) {
		f.lo = a->offset;
		f.hi = a->offset + a->size;
		f.write = a->write;
	}
	const struct look l = { .op = n,
				.a = a,
				.write = f.write,
				.disp = first_byte(a, &f),
				.size = (unsigned)(f.hi - f.lo) };
	const unsigned at = g->fact_count++;
	const struct jit_mem slot = JIT_FIELD(jit.slot[at]);
	const struct jit_mem code = JIT_FIELD(jit.code[at]);

	f.unproved = is_simple(a) && a->base == JIT_SP;
	f.sticky = f.unproved ? 0 : (s8)sticky_new(g, o, &place);
	gen_flags_clobber(g, o->live_in);
	g->code_t1 = -1;
	if (f.sticky) {
		probe_sticky(g, &l, (unsigned)f.sticky, place);
		f.code_saved = f.write;
	} else {
		if (f.unproved)
			probe_stack(g, &l);
		else if (g->p->head->wide)
			probe_wide(g, &l);
		else
			probe_small(g, &l);
		if (f.write)
			g->code_t1 = (int)at;
		/* Flags that are in the way need T1 themselves; so do CALL, PUSH of memory, the guest. */
		if (f.write && ((again && !(g->alone && a->write)) || o->live_in ||
				o->live_out || o->kind == JIT_PUSH_MEM ||
				o->kind == JIT_CALL || o->kind == JIT_CALL_REG ||
				o->kind == JIT_CALL_MEM || gen_names(o, g->t1))) {
			jit_store(k, &code, g->t1);
			f.code_saved = true;
		}
		if (!is_simple(a) && f.write) {
			finish_address(g, a, l.disp);
		} else if (!is_simple(a)) {
			/* Again, but beside the load of the addend instead of behind it. */
			linear_address(g, g->t1, a, l.disp);
			jit_op_reg(k, 0x03, true, g->t0, g->t1);
		}
	}
	if (again) {
		jit_store(k, &slot, g->t0);
		f.saved = true;
	}
	g->fact[at] = f;
	g->in_t0 = (int)at;
	return (int)at;
}

void gen_access_keep(struct gen *g, int at)
{
	const struct jit_mem slot = JIT_FIELD(jit.slot[at]);

	if (g->fact[at].saved)
		return;
	jit_store(&g->k, &slot, g->t0);
	g->fact[at].saved = true;
}

/* An access whose page is known for all rounds: the host's operand; the fact's number. */
static int group_access(struct gen *g, const struct jit_op *o, const struct jit_access *a,
			struct jit_mem *ret_mem)
{
	const int at = a->group - 1;
	const u32 sticky = gen_sticky(g, (unsigned)g->fact[at].sticky);
	const struct jit_mem addend = JIT_FIELD(jit.sticky[sticky].addend);
	const s32 disp = (s32)(a->rip ? a->offset : a->disp);
	const u8 addend_in = g->addend_in[at];

	if (is_simple(a) && addend_in != JIT_NONE) {
		*ret_mem = (struct jit_mem){ .base = a->base,
					     .index = addend_in,
					     .disp = a->disp };
		return at;
	}
	if (is_simple(a)) {
		if (g->in_t0 != at)
			jit_load(&g->k, g->t0, &addend);
		g->in_t0 = at;
		*ret_mem = (struct jit_mem){ .base = a->base,
					     .index = (u8)g->t0,
					     .disp = a->disp };
		return at;
	}
	/* The same base and another group: neighbours for the guest, not for the host. */
	if (g->in_t0 != GEN_ADDRESS || g->address->group != a->group ||
	    !jit_same_key(g->address, a)) {
		if (addend_in != JIT_NONE) {
			linear_address(g, g->t0, a, disp);
		} else if (o->live_in && !a->rip) {
			/* ADD would take the flags with it. */
			jit_load(&g->k, g->t0, &addend);
			finish_address(g, a, disp);
		} else {
			gen_flags_clobber(g, o->live_in);
			linear_address(g, g->t0, a, disp);
			jit_op_mem(&g->k, 0x03, true, g->t0, &addend);
		}
		g->in_t0 = GEN_ADDRESS;
		g->address = a;
	}
	*ret_mem = (struct jit_mem){ .base = (u8)g->t0,
				     .index = addend_in,
				     .disp = (s32)(a->offset - g->address->offset) };
	return at;
}

/* T0 is right for the access; the host's operand. */
int gen_access_begin(struct gen *g, unsigned n, const struct jit_access *a,
		     struct jit_mem *ret_mem)
{
	if (g->loop >= 0 && a->group)
		return group_access(g, &g->p->op[n], a, ret_mem);

	int at = find_fact(g, a);

	if (at >= 0 && at != g->in_t0 && !g->fact[at].saved)
		at = -1;
	if (at < 0)
		at = probe(g, n, a);
	if (g->in_t0 != at) {
		const struct jit_mem slot = JIT_FIELD(jit.slot[at]);

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
	if (g->loop >= 0 && o->access[0].group) {
		const struct jit_access *a = &o->access[0];

		if (!is_simple(a) && g->in_t0 == GEN_ADDRESS) {
			cold->reg = JIT_IN_T0;
			cold->disp = (s32)(a->offset - g->address->offset);
			cold->size = a->size;
		} else if (is_simple(a) && !(o->writes >> a->base & 1)) {
			cold->reg = a->base;
			cold->disp = a->disp;
			cold->size = a->size;
		}
		return;
	}
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
	const u32 sticky = gen_sticky(g, (unsigned)f->sticky);
	const struct jit_mem code = f->sticky ? JIT_FIELD(jit.sticky[sticky].code)
					      : JIT_FIELD(jit.code[at]);
	struct jit_mem m;

	const u8 code_in = g->loop >= 0 && o->access[0].group ? g->code_in[at] : JIT_NONE;

	if (f->no_code)
		return;
	g->fact[at].no_code = g->alone;
	gen_flags_clobber(g, o->live_out);
	if (code_in != JIT_NONE) {
		/* We have it. */
	} else if (g->code_t1 != at) {
		jit_load(&g->k, g->t1, &code);
		g->code_t1 = f->code_saved ? at : -1;
		if (!f->code_saved)
			g->failed = true;
	}
	m = (struct jit_mem){ .base = code_in != JIT_NONE ? code_in : (u8)g->t1,
			      .index = JIT_NONE };
	jit_test_mem8(&g->k, &m);

	struct cold *cold =
		gen_cold_new(g, jit_jump_forward(&g->k, 5), JIT_SITE_WRITTEN, n);

	cold->rip = rip;
	cold->code_in = m.base;
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
	const bool fact = g->in_t0 >= 0 && g->in_t0 != GEN_ADDRESS;
	const bool sticky =
		(g->loop >= 0 && o->access[0].group) ||
		(fact && (g->fact[g->in_t0].sticky || g->fact[g->in_t0].unproved));
	const struct jit_site site = {
		.kind = JIT_SITE_FAULT,
		.block = o->block,
		.record = o->record,
		.region = g->region,
		.patch = g->r->start + jit_offset(&g->k),
		.flags_in_host = !!(g->flags & IN_HOST),
		.t0 = (u8)g->t0,
		.t1 = (u8)g->t1,
		.borrowed = g->borrowed,
	};

	if (o->may_fault || sticky)
		jit_site_new(g->c, &site);
	if (fact)
		g->fact[g->in_t0].unproved = false;
}
