/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors and segment registers: reading a descriptor with all checks, MOV/POP/LDS and the like,
 * LDT, TR and table registers, LAR, LSL, VERR, VERW, ARPL.
 *
 * Error codes: a selector without its RPL; while an event is being delivered that no INT n caused,
 * the EXT bit is added (x86_raise_selector).
 * SDM volume 3, chapters 3 and 5; volume 2 for the order of checks. Thread: the VP's.
 */
#include "x86/system.h"

/* ---- reading --------------------------------------------------------------------------------- */

void x86_raise_selector(struct x86_cpu *c, const struct x86_insn *i, u8 vector,
			u16 selector)
{
	u32 code = selector & 0xfffcu;

	if (c->event.valid && c->event.external)
		code |= 1;
	x86_raise_code(c, i, vector, code);
}

u64 x86_d_base(const struct x86_descriptor *d)
{
	return ((d->raw >> 16) & 0xffffff) | ((d->raw >> 32) & 0xff000000);
}

u32 x86_d_limit(const struct x86_descriptor *d)
{
	u32 limit = (u32)((d->raw & 0xffff) | ((d->raw >> 32) & 0xf0000));

	return d->raw & BIT64(55) ? (limit << 12) | 0xfff : limit;
}

struct vp_segment x86_d_segment(const struct x86_descriptor *d, u16 selector)
{
	return (struct vp_segment){
		.base = x86_d_base(d),
		.limit = x86_d_limit(d),
		.selector = selector,
		.attr = (u16)((d->raw >> 40) & 0xf0ff),
	};
}

static bool table_of(const struct x86_cpu *c, u16 selector, u64 *ret_base, u32 *ret_limit)
{
	if (selector & 4) {
		if (!(c->s.ldtr.attr & SEG_ATTR_P))
			return false;
		*ret_base = c->s.ldtr.base;
		*ret_limit = c->s.ldtr.limit;
	} else {
		*ret_base = c->s.gdtr.base;
		*ret_limit = c->s.gdtr.limit;
	}
	return true;
}

/* Linear addresses of system tables wrap at 4 GiB outside IA-32e mode. */
static gva_t table_address(const struct x86_cpu *c, u64 a)
{
	return x86_lma(c) ? a : (u32)a;
}

bool x86_read_descriptor(struct x86_cpu *c, const struct x86_insn *i, u16 selector,
			 struct x86_descriptor *ret_d)
{
	u64 base;
	u32 limit;

	if (!table_of(c, selector, &base, &limit) || (selector | 7u) > limit)
		return false;
	ret_d->at = table_address(c, base + (selector & ~7u));
	ret_d->raw = x86_load_system(c, i, ret_d->at, 8);
	ret_d->high = 0;
	return true;
}

bool x86_read_descriptor16(struct x86_cpu *c, const struct x86_insn *i, u16 selector,
			   struct x86_descriptor *ret_d)
{
	u64 base;
	u32 limit;

	if (!x86_read_descriptor(c, i, selector, ret_d))
		return false;
	if (!x86_lma(c))
		return true;
	if (!table_of(c, selector, &base, &limit) || (selector | 7u) + 8 > limit)
		return false;
	ret_d->high = x86_load_system(c, i, ret_d->at + 8, 8);
	return !(ret_d->high & 0x1f0000000000);
}

void x86_mark_accessed(struct x86_cpu *c, const struct x86_insn *i,
		       struct x86_descriptor *d)
{
	if (d->raw & BIT64(40))
		return;
	d->raw |= BIT64(40);
	x86_store_system(c, i, d->at + 5, 1, (d->raw >> 40) & 0xff);
}

/* ---- loading --------------------------------------------------------------------------------- */

void x86_set_real_segment(struct x86_cpu *c, unsigned seg, u16 selector)
{
	struct vp_segment *s = &c->s.seg[seg];

	s->selector = selector;
	s->base = (u64)selector << 4;
	if (x86_v86(c)) {
		s->limit = 0xffff;
		s->attr = 0xf3;
		return;
	}
	/* Real mode leaves limit and size as protected mode set them: "unreal mode". */
	s->attr = (u16)((s->attr & (SEG_ATTR_G | SEG_ATTR_DB | SEG_ATTR_AVL)) | 0x93);
}

static void set_null(struct x86_cpu *c, unsigned seg, u16 selector)
{
	/* Both vendors clear the base nowadays; CPUID 80000021.EAX[6] says so on AMD. */
	c->s.seg[seg] = (struct vp_segment){
		.selector = selector,
		.attr = seg == SEG_SS ? (u16)(c->cpl << SEG_ATTR_DPL_SHIFT) : 0,
	};
}

void x86_check_ss(struct x86_cpu *c, const struct x86_insn *i, u16 selector, unsigned cpl,
		  u8 vector, struct x86_descriptor *ret_d)
{
	if (x86_null(selector))
		x86_raise_selector(c, i, vector, 0);
	if (!x86_read_descriptor(c, i, selector, ret_d) || (selector & 3u) != cpl ||
	    !x86_d_writable_data(ret_d) || x86_d_dpl(ret_d) != cpl)
		x86_raise_selector(c, i, vector, selector);
	if (!x86_d_present(ret_d))
		x86_raise_selector(c, i, X86_SS, selector);
}

void x86_load_data_segment(struct x86_cpu *c, const struct x86_insn *i, unsigned seg,
			   u16 selector, u8 vector)
{
	struct x86_descriptor d;
	unsigned rpl = selector & 3;

	if (x86_null(selector)) {
		set_null(c, seg, selector);
		return;
	}
	if (!x86_read_descriptor(c, i, selector, &d) || !x86_d_s(&d))
		x86_raise_selector(c, i, vector, selector);
	if (x86_d_code(&d) && !(d.raw & BIT64(41)))
		x86_raise_selector(c, i, vector, selector);
	if (!(x86_d_code(&d) && x86_d_conforming(&d)) &&
	    (rpl > x86_d_dpl(&d) || c->cpl > x86_d_dpl(&d)))
		x86_raise_selector(c, i, vector, selector);
	if (!x86_d_present(&d))
		x86_raise_selector(c, i, X86_NP, selector);
	x86_mark_accessed(c, i, &d);
	c->s.seg[seg] = x86_d_segment(&d, selector);
}

void x86_load_segment(struct x86_cpu *c, const struct x86_insn *i, unsigned seg,
		      u16 selector)
{
	struct x86_descriptor d;

	if (!x86_protected(c) || x86_v86(c)) {
		x86_set_real_segment(c, seg, selector);
		return;
	}
	if (seg != SEG_SS) {
		x86_load_data_segment(c, i, seg, selector, X86_GP);
		return;
	}
	if (x86_null(selector) && (c->mode & X86_MODE_LONG) && c->cpl != 3 &&
	    (selector & 3) == c->cpl) {
		set_null(c, seg, selector);
		return;
	}
	x86_check_ss(c, i, selector, c->cpl, X86_GP, &d);
	x86_mark_accessed(c, i, &d);
	c->s.seg[SEG_SS] = x86_d_segment(&d, selector);
}

void x86_drop_privileged_segments(struct x86_cpu *c)
{
	static const u8 which[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };

	for (unsigned n = 0; n < ARRAY_COUNT(which); n++) {
		struct vp_segment *s = &c->s.seg[which[n]];
		unsigned dpl = (s->attr & SEG_ATTR_DPL) >> SEG_ATTR_DPL_SHIFT;

		/* One that is null becomes 0 whatever its RPL was; a base that came from an MSR stays. */
		if (!(s->attr & SEG_ATTR_P)) {
			s->selector = 0;
			continue;
		}
		if (dpl >= c->cpl)
			continue;
		if ((s->attr & SEG_ATTR_CODE) && (s->attr & SEG_ATTR_DC))
			continue;
		/* Null, but the base stays: 64-bit code goes on using FS and GS by it. */
		s->selector = 0;
		s->attr &= (u16)~SEG_ATTR_P;
	}
}

void x86_load_ldt(struct x86_cpu *c, const struct x86_insn *i, u16 selector, u8 vector)
{
	struct x86_descriptor d;

	if (x86_null(selector)) {
		c->s.ldtr = (struct vp_segment){ .selector = selector };
		return;
	}
	if ((selector & 4) || !x86_read_descriptor16(c, i, selector, &d) || x86_d_s(&d) ||
	    x86_d_type(&d) != X86_TYPE_LDT)
		x86_raise_selector(c, i, vector, selector);
	if (!x86_d_present(&d))
		x86_raise_selector(c, i, vector == X86_TS ? X86_TS : X86_NP, selector);
	if (x86_lma(c) && !x86_canonical(x86_d_base(&d) | d.high << 32))
		x86_raise_selector(c, i, vector, selector);
	c->s.ldtr = x86_d_segment(&d, selector);
	if (x86_lma(c))
		c->s.ldtr.base |= d.high << 32;
}

/* ---- MOV, PUSH, POP, LDS ... ----------------------------------------------------------------- */

static u16 source16(struct x86_cpu *c, const struct x86_insn *i)
{
	if (i->extra & X86_EXTRA_MEM)
		return x86_load16(c, i, x86_ea(c, i, 2, false));
	return (u16)c->r[i->rm];
}

/* A 16-bit result: memory gets 16 bits, a register as many as the operand size says. */
static void store_result16(struct x86_cpu *c, const struct x86_insn *i, u16 value)
{
	if (i->extra & X86_EXTRA_MEM)
		x86_store16(c, i, x86_ea(c, i, 2, true), value);
	else if ((i->extra & X86_EXTRA_SIZE) == 2)
		c->r[i->rm] = (c->r[i->rm] & ~0xffffull) | value;
	else
		c->r[i->rm] = value;
}

X86_HANDLER(x86_mov_from_segment)
{
	store_result16(c, i, c->s.seg[i->reg].selector);
	NEXT(c, i);
}

X86_HANDLER(x86_mov_to_segment)
{
	x86_load_segment(c, i, i->reg, source16(c, i));
	if (i->reg == SEG_SS)
		c->interrupt_shadow |= VP_SHADOW_MOV_SS;
	x86_mode_changed(c);
	X86_LEAVE_NEXT(c, i);
}

X86_HANDLER(x86_push_segment)
{
	struct x86_stack st = x86_stack_now(c);
	unsigned size = i->extra & X86_EXTRA_SIZE;

	if (size == 4) {
		/* A slot of four bytes, of which processors since the Pentium write two. */
		x86_stack_room(c, i, &st, 4);
		st.sp -= 2;
		x86_stack_push(c, i, &st, 2, c->s.seg[i->reg].selector);
	} else {
		x86_stack_push(c, i, &st, size, c->s.seg[i->reg].selector);
	}
	x86_stack_commit(c, &st);
	NEXT_BY_LOOP(c, i);
}

X86_HANDLER(x86_pop_segment)
{
	struct x86_stack st = x86_stack_now(c);
	u16 selector = (u16)x86_stack_pop(c, i, &st, i->extra & X86_EXTRA_SIZE);

	x86_load_segment(c, i, i->reg, selector);
	if (i->reg == SEG_SS)
		c->interrupt_shadow |= VP_SHADOW_MOV_SS;
	/* The width of the pointer is that of the old SS. */
	x86_stack_commit(c, &st);
	x86_mode_changed(c);
	X86_LEAVE_NEXT(c, i);
}

X86_HANDLER(x86_load_far_pointer)
{
	unsigned size = i->extra & X86_EXTRA_SIZE;
	gva_t a = x86_ea(c, i, size + 2, false);
	u8 raw[10];
	u64 offset = 0;
	u16 selector;

	x86_copy_from_guest(c, i, a, raw, size + 2);
	memcpy(&offset, raw, size);
	memcpy(&selector, raw + size, 2);
	x86_load_segment(c, i, i->reg, selector);
	if (size == 2)
		c->r[i->rm] = (c->r[i->rm] & ~0xffffull) | offset;
	else
		c->r[i->rm] = offset;
	x86_mode_changed(c);
	X86_LEAVE_NEXT(c, i);
}

/* ---- tables ---------------------------------------------------------------------------------- */

static void load_table(struct x86_cpu *c, const struct x86_insn *i,
		       struct vp_table *table)
{
	unsigned size = i->extra &
			X86_EXTRA_SIZE; /* of the base: 8, 4, or 2 for 24 bits */
	unsigned bytes = 2 + (size == 8 ? 8 : 4);
	u8 raw[10];
	u64 base = 0;
	u16 limit;

	x86_need_cpl0(c, i);
	x86_copy_from_guest(c, i, x86_ea(c, i, bytes, false), raw, bytes);
	memcpy(&limit, raw, 2);
	memcpy(&base, raw + 2, bytes - 2);
	if (size == 2)
		base &= 0xffffff;
	if (size == 8 && !x86_canonical(base))
		x86_raise_code(c, i, X86_GP, 0);
	table->base = base;
	table->limit = limit;
}

static void store_table(struct x86_cpu *c, const struct x86_insn *i,
			const struct vp_table *table)
{
	unsigned bytes = c->mode & X86_MODE_LONG ? 10 : 6;
	u16 limit = (u16)table->limit;
	u8 raw[10];

	if ((c->s.cr4 & X86_CR4_UMIP) && c->cpl)
		x86_raise_code(c, i, X86_GP, 0);
	memcpy(raw, &limit, 2);
	memcpy(raw + 2, &table->base, 8);

	gva_t a = x86_ea(c, i, bytes, true);

	x86_check_aligned(c, i, a, 4); /* SDM volume 3, 6.15, #AC */
	x86_copy_to_guest(c, i, a, raw, bytes);
}

X86_HANDLER(x86_lgdt)
{
	load_table(c, i, &c->s.gdtr);
	NEXT(c, i);
}

X86_HANDLER(x86_lidt)
{
	load_table(c, i, &c->s.idtr);
	NEXT(c, i);
}

X86_HANDLER(x86_sgdt)
{
	store_table(c, i, &c->s.gdtr);
	NEXT(c, i);
}

X86_HANDLER(x86_sidt)
{
	store_table(c, i, &c->s.idtr);
	NEXT(c, i);
}

X86_HANDLER(x86_lldt)
{
	x86_need_cpl0(c, i);
	x86_load_ldt(c, i, source16(c, i), X86_GP);
	NEXT(c, i);
}

X86_HANDLER(x86_ltr)
{
	struct x86_descriptor d;
	u16 selector;
	unsigned type;

	x86_need_cpl0(c, i);
	selector = source16(c, i);
	if (x86_null(selector))
		x86_raise_code(c, i, X86_GP, 0);
	if ((selector & 4) || !x86_read_descriptor16(c, i, selector, &d) || x86_d_s(&d))
		x86_raise_selector(c, i, X86_GP, selector);
	type = x86_d_type(&d);
	if (type != X86_TYPE_TSS32 && (type != X86_TYPE_TSS16 || x86_lma(c)))
		x86_raise_selector(c, i, X86_GP, selector);
	if (!x86_d_present(&d))
		x86_raise_selector(c, i, X86_NP, selector);
	if (x86_lma(c) && !x86_canonical(x86_d_base(&d) | d.high << 32))
		x86_raise_selector(c, i, X86_GP, selector);
	d.raw |= BIT64(41); /* busy */
	x86_store_system(c, i, d.at + 5, 1, (d.raw >> 40) & 0xff);
	c->s.tr = x86_d_segment(&d, selector);
	if (x86_lma(c))
		c->s.tr.base |= d.high << 32;
	NEXT_BY_LOOP(c, i);
}

static void store_selector(struct x86_cpu *c, const struct x86_insn *i, u16 selector)
{
	if ((c->s.cr4 & X86_CR4_UMIP) && c->cpl)
		x86_raise_code(c, i, X86_GP, 0);
	store_result16(c, i, selector);
}

X86_HANDLER(x86_sldt)
{
	store_selector(c, i, c->s.ldtr.selector);
	NEXT(c, i);
}

X86_HANDLER(x86_str)
{
	store_selector(c, i, c->s.tr.selector);
	NEXT(c, i);
}

/* ---- looking at descriptors ------------------------------------------------------------------ */

static void set_zf(struct x86_cpu *c, bool zf)
{
	c->ah = (u8)(zf ? c->ah | X86_ZF : c->ah & ~X86_ZF);
}

/* Descriptors of LDTs and TSSs have 16 bytes in 64-bit mode, those of call gates in all of long mode;
 * then they count only if the second half has no type. AMD64 APM volume 3, LAR and LSL. */
static bool has_second_half(const struct x86_cpu *c, const struct x86_descriptor *d)
{
	return !x86_d_s(d) && x86_lma(c) &&
	       ((c->mode & X86_MODE_LONG) || x86_d_type(d) == X86_TYPE_CALL32);
}

/* Is it there, of a type in `types` when it is a system one, and may we see it? */
static bool visible(struct x86_cpu *c, const struct x86_insn *i, u16 selector, u32 types,
		    struct x86_descriptor *ret_d)
{
	if (x86_null(selector) || !x86_read_descriptor(c, i, selector, ret_d))
		return false;
	if (!x86_d_s(ret_d) && !(types >> x86_d_type(ret_d) & 1))
		return false;
	if (has_second_half(c, ret_d) && !x86_read_descriptor16(c, i, selector, ret_d))
		return false;
	if (x86_d_code(ret_d) && x86_d_conforming(ret_d))
		return true;
	return c->cpl <= x86_d_dpl(ret_d) && (selector & 3u) <= x86_d_dpl(ret_d);
}

#define TYPES_LSL_LEGACY (BIT(1) | BIT(2) | BIT(3) | BIT(9) | BIT(11))
#define TYPES_LAR_LEGACY (TYPES_LSL_LEGACY | BIT(4) | BIT(5) | BIT(12))
#define TYPES_LSL_LONG (BIT(2) | BIT(9) | BIT(11))
#define TYPES_LAR_LONG (TYPES_LSL_LONG | BIT(12))

static void set_result(struct x86_cpu *c, const struct x86_insn *i, u32 value)
{
	if ((i->extra & X86_EXTRA_SIZE) == 2)
		c->r[i->reg] = (c->r[i->reg] & ~0xffffull) | (value & 0xffff);
	else
		c->r[i->reg] = value;
}

X86_HANDLER(x86_lar)
{
	struct x86_descriptor d;
	bool ok = visible(c, i, source16(c, i),
			  x86_lma(c) ? TYPES_LAR_LONG : TYPES_LAR_LEGACY, &d);

	if (ok)
		set_result(c, i, (u32)(d.raw >> 32) & 0xf0ff00);
	set_zf(c, ok);
	NEXT_BY_LOOP(c, i);
}

X86_HANDLER(x86_lsl)
{
	struct x86_descriptor d;
	bool ok = visible(c, i, source16(c, i),
			  x86_lma(c) ? TYPES_LSL_LONG : TYPES_LSL_LEGACY, &d);

	if (ok)
		set_result(c, i, x86_d_limit(&d));
	set_zf(c, ok);
	NEXT_BY_LOOP(c, i);
}

X86_HANDLER(x86_verr)
{
	struct x86_descriptor d;
	bool ok = visible(c, i, source16(c, i), 0, &d);

	set_zf(c, ok && (!x86_d_code(&d) || (d.raw & BIT64(41))));
	NEXT_BY_LOOP(c, i);
}

X86_HANDLER(x86_verw)
{
	struct x86_descriptor d;
	bool ok = visible(c, i, source16(c, i), 0, &d);

	set_zf(c, ok && x86_d_writable_data(&d));
	NEXT_BY_LOOP(c, i);
}

X86_HANDLER(x86_arpl)
{
	u16 source = (u16)c->r[i->reg];
	gva_t a = 0;
	u16 dest;

	if (i->extra & X86_EXTRA_MEM) {
		a = x86_ea(c, i, 2, true);
		dest = x86_load_rmw16(c, i, a);
	} else {
		dest = (u16)c->r[i->rm];
	}
	if ((dest & 3) >= (source & 3)) {
		set_zf(c, false);
		NEXT(c, i);
	}
	dest = (u16)((dest & ~3u) | (source & 3));
	if (i->extra & X86_EXTRA_MEM)
		x86_store16(c, i, a, dest);
	else
		c->r[i->rm] = (c->r[i->rm] & ~0xffffull) | dest;
	set_zf(c, true);
	NEXT(c, i);
}
