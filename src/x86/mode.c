/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the processor is in now: c->mode for the decoder, c->key for the TLB, the segment bases,
 * CPL. Everything that changes CR0, CR4, EFER, XCR0, a segment, CPL or a flag that matters comes by here.
 * Neighbours: mmu.c gives the key. SDM volume 3, 2.2, 5.2. Thread: the VP's.
 */
#include "x86/system.h"

#include "x86/cpuid.h"

#define FLAT_WRITABLE(a) (((a)&0x409e) == 0x4092) /* P S data, up, writable, big */

static bool flat(const struct x86_cpu *c)
{
	const struct vp_segment *cs = &c->s.seg[SEG_CS];

	if (cs->base || cs->limit != 0xffffffff || (cs->attr & 0x409a) != 0x409a)
		return false;
	for (unsigned n = 0; n < 3; n++) {
		static const u8 which[] = { SEG_SS, SEG_DS, SEG_ES };
		const struct vp_segment *d = &c->s.seg[which[n]];

		if (d->base || d->limit != 0xffffffff || !FLAT_WRITABLE(d->attr))
			return false;
	}
	return true;
}

/* Base of FS or GS for x86_decode_flat(). */
static u64 flat_base(const struct vp_segment *s)
{
	return s->limit == 0xffffffff && (s->attr & 0x9e) == 0x92 ? s->base : SEG_NOWHERE;
}

void x86_mode_changed(struct x86_cpu *c)
{
	const struct vp_segment *seg = c->s.seg;
	u32 mode = 0;

	if (x86_lma(c) && (seg[SEG_CS].attr & SEG_ATTR_L)) {
		mode = X86_MODE_LONG | X86_MODE_PE | X86_MODE_FLAT;
		c->seg_base[SEG_ES] = c->seg_base[SEG_CS] = 0;
		c->seg_base[SEG_SS] = c->seg_base[SEG_DS] = 0;
		c->seg_base[SEG_FS] = seg[SEG_FS].base;
		c->seg_base[SEG_GS] = seg[SEG_GS].base;
	} else {
		for (unsigned n = 0; n < SEG_COUNT; n++)
			c->seg_base[n] = seg[n].base;
		c->seg_base[SEG_TOP] = c->r[R_TOP] = BIT64(32);
		c->seg_base[SEG_FS_FLAT] = flat_base(&seg[SEG_FS]);
		c->seg_base[SEG_GS_FLAT] = flat_base(&seg[SEG_GS]);
		if (seg[SEG_CS].attr & SEG_ATTR_DB)
			mode |= X86_MODE_D;
		if (seg[SEG_SS].attr & SEG_ATTR_DB)
			mode |= X86_MODE_SS_B;
		if (x86_protected(c))
			mode |= X86_MODE_PE;
		if (x86_v86(c))
			mode |= X86_MODE_V86;
		else if (x86_protected(c) && flat(c))
			mode |= X86_MODE_FLAT;
	}
	if (c->cpl == 3)
		mode |= X86_MODE_USER;
	if (c->s.cr0 & (X86_CR0_EM | X86_CR0_TS))
		mode |= X86_MODE_NO_FPU;
	if (c->s.cr0 & X86_CR0_TS)
		mode |= X86_MODE_NO_VEX;
	if (!(c->s.cr4 & X86_CR4_OSFXSR) || (c->s.cr0 & X86_CR0_EM))
		mode |= X86_MODE_NO_SSE;
	if (!(c->s.cr4 & X86_CR4_OSXSAVE) || !(c->s.xcr0 & 4))
		mode |= X86_MODE_NO_AVX;
	if ((c->eflags & X86_TF) || (c->s.dr7 & 0xff))
		mode |= X86_MODE_STEP;
	c->mode = mode;
	x86_key_set(c, x86_tlb_key(c));
}

void x86_flags_changed(struct x86_cpu *c)
{
	bool step = (c->eflags & X86_TF) || (c->s.dr7 & 0xff);

	/* VM changes with segments only, and those who change them tell x86_mode_changed. */
	if (step != !!(c->mode & X86_MODE_STEP)) {
		x86_mode_changed(c);
		return;
	}
	/* AC matters to SMAP and to alignment checks. */
	x86_key_set(c, x86_tlb_key(c));
}

void x86_load_flags(struct x86_cpu *c, u64 flags)
{
	/*
	 * RF says "no execution breakpoint at the next instruction" and goes away with it. With no
	 * breakpoint armed nothing could tell, and we do not want to step for that.
	 */
	if (!(c->s.dr7 & 0xff))
		flags &= ~(u64)X86_RF;
	x86_set_rflags(c, flags);
}

u64 x86_flags_mask(const struct x86_cpu *c, unsigned osz)
{
	u64 mask = X86_ARITH | X86_TF | X86_DF_FLAG | X86_NT;

	if (osz > 2)
		mask |= X86_AC_FLAG | X86_ID;
	if (c->cpl <= x86_iopl(c))
		mask |= X86_IF;
	if (c->cpl == 0)
		mask |= X86_IOPL;
	return mask;
}

void x86_system_init(struct x86_cpu *c)
{
	const struct x86_model *m = x86_model_host();

	c->amd = m->amd;
	c->physical_mask = (BIT64(m->physical_bits) - 1) & ~0xfffull;
	c->xcr0_allowed = m->xcr0;
	c->efer_allowed = x86_model_efer(m);
	c->cr4_allowed = x86_model_cr4(m);
}

void x86_system_loaded(struct x86_cpu *c)
{
	c->cpl = (c->s.seg[SEG_SS].attr & SEG_ATTR_DPL) >> SEG_ATTR_DPL_SHIFT;
	if (!x86_protected(c))
		c->cpl = 0;
	else if (x86_v86(c))
		c->cpl = 3;
	c->interrupt_shadow =
		(u8)(c->s.interruptibility & (VP_SHADOW_STI | VP_SHADOW_MOV_SS));
	c->event = (struct x86_event){ 0 };
	c->dr6_pending = 0;
	c->db_trap = false;
	c->step_tf = false;
	x86_mode_changed(c);
}
