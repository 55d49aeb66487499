/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CR0, CR2, CR3, CR4, CR8 and XCR0: what may be written, and what follows from it.
 * Neighbours: mode.c recomputes, mmu.c flushes. SDM volume 3, 2.5, 2.6, 4.1.2. Thread: the VP's.
 */
#include "x86/system.h"

#define CR0_WRITABLE 0xe005003full
/* Bits whose change lets no translation stand. */
#define CR0_FLUSH (X86_CR0_PG | X86_CR0_PE | X86_CR0_WP)
#define CR4_FLUSH                                                                 \
	(X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PCIDE | X86_CR4_SMEP | \
	 X86_CR4_SMAP)
#define CR4_PDPTES (X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PSE | X86_CR4_SMEP)
#define CR3_NOFLUSH BIT64(63)

/* Outside IA-32e mode PAE paging keeps four entries; loading them checks them. */
static void load_pdptes(struct x86_cpu *c, const struct x86_insn *i, u64 cr3)
{
	if (!x86_pdptes_load(c, cr3))
		x86_raise_code(c, i, X86_GP, 0);
}

static void write_cr0(struct x86_cpu *c, const struct x86_insn *i, u64 v)
{
	u64 old = c->s.cr0, changed;
	bool enters, leaves;

	if (v >> 32 || ((v & X86_CR0_PG) && !(v & X86_CR0_PE)) ||
	    ((v & X86_CR0_NW) && !(v & X86_CR0_CD)))
		x86_raise_code(c, i, X86_GP, 0);
	v = (v & CR0_WRITABLE) | X86_CR0_ET;
	changed = v ^ old;
	enters = (changed & v & X86_CR0_PG) && (c->s.efer & X86_EFER_LME);
	leaves = (changed & old & X86_CR0_PG) && x86_lma(c);
	if (enters &&
	    (!(c->s.cr4 & X86_CR4_PAE) || (c->s.seg[SEG_CS].attr & SEG_ATTR_L) ||
	     (c->s.tr.attr & SEG_ATTR_TYPE) == X86_TYPE_TSS16_BUSY))
		x86_raise_code(c, i, X86_GP, 0);
	if (leaves && ((c->mode & X86_MODE_LONG) || (c->s.cr4 & X86_CR4_PCIDE)))
		x86_raise_code(c, i, X86_GP, 0);
	if (!enters && !x86_lma(c) && (v & X86_CR0_PG) && (c->s.cr4 & X86_CR4_PAE) &&
	    (changed & (X86_CR0_PG | X86_CR0_CD | X86_CR0_NW)))
		load_pdptes(c, i, c->s.cr3);

	c->s.cr0 = v;
	if (enters)
		c->s.efer |= X86_EFER_LMA;
	if (leaves)
		c->s.efer &= ~X86_EFER_LMA;
	if (changed & CR0_FLUSH)
		x86_tlb_flush_all(c);
	x86_mode_changed(c);
}

static void write_cr3(struct x86_cpu *c, const struct x86_insn *i, u64 v)
{
	bool keep = false;

	if (c->s.cr4 & X86_CR4_PCIDE) {
		keep = v & CR3_NOFLUSH;
		v &= ~CR3_NOFLUSH;
	}
	if (x86_lma(c)) {
		if (v & ~(c->physical_mask | 0xfff))
			x86_raise_code(c, i, X86_GP, 0);
	} else if ((c->s.cr0 & X86_CR0_PG) && (c->s.cr4 & X86_CR4_PAE)) {
		load_pdptes(c, i, (u32)v);
	}
	c->s.cr3 = v;
	x86_cr3_changed(c, keep);
}

static void write_cr4(struct x86_cpu *c, const struct x86_insn *i, u64 v)
{
	u64 changed = v ^ c->s.cr4;

	if (v & ~c->cr4_allowed)
		x86_raise_code(c, i, X86_GP, 0);
	if (x86_lma(c) && !(v & X86_CR4_PAE))
		x86_raise_code(c, i, X86_GP, 0);
	if ((changed & v & X86_CR4_PCIDE) && (!x86_lma(c) || (c->s.cr3 & 0xfff)))
		x86_raise_code(c, i, X86_GP, 0);
	if ((c->s.cr0 & X86_CR0_PG) && !x86_lma(c) && (v & X86_CR4_PAE) &&
	    (changed & CR4_PDPTES))
		load_pdptes(c, i, c->s.cr3);
	c->s.cr4 = v;
	if (changed & CR4_FLUSH)
		x86_tlb_flush_all(c);
	x86_mode_changed(c);
}

X86_HANDLER(x86_mov_from_cr)
{
	u64 v = 0;

	x86_need_cpl0(c, i);
	switch (i->reg) {
	case 0:
		v = c->s.cr0;
		break;
	case 2:
		v = c->s.cr2;
		break;
	case 3:
		v = c->s.cr3;
		break;
	case 4:
		v = c->s.cr4;
		break;
	case 8:
		v = c->bus->tpr_get(c->bus_vp);
		break;
	}
	c->r[i->rm] = c->mode & X86_MODE_LONG ? v : (u32)v;
	NEXT(c, i);
}

X86_HANDLER(x86_mov_to_cr)
{
	u64 v = c->mode & X86_MODE_LONG ? c->r[i->rm] : (u32)c->r[i->rm];

	x86_need_cpl0(c, i);
	switch (i->reg) {
	case 0:
		write_cr0(c, i, v);
		break;
	case 2:
		c->s.cr2 = v;
		break;
	case 3:
		write_cr3(c, i, v);
		break;
	case 4:
		write_cr4(c, i, v);
		break;
	case 8:
		if (v > 15)
			x86_raise_code(c, i, X86_GP, 0);
		c->bus->tpr_set(c->bus_vp, (u8)v);
		break;
	}
	X86_LEAVE_NEXT(c, i);
}

X86_HANDLER(x86_smsw)
{
	if ((c->s.cr4 & X86_CR4_UMIP) && c->cpl)
		x86_raise_code(c, i, X86_GP, 0);
	if (i->extra & X86_EXTRA_MEM)
		x86_store16(c, i, x86_ea(c, i, 2, true), (u16)c->s.cr0);
	else if ((i->extra & X86_EXTRA_SIZE) == 2)
		c->r[i->rm] = (c->r[i->rm] & ~0xffffull) | (u16)c->s.cr0;
	else
		c->r[i->rm] = c->s.cr0;
	NEXT(c, i);
}

X86_HANDLER(x86_lmsw)
{
	u64 v;

	x86_need_cpl0(c, i);
	if (i->extra & X86_EXTRA_MEM)
		v = x86_load16(c, i, x86_ea(c, i, 2, false));
	else
		v = c->r[i->rm];
	/* PE, MP, EM, TS; PE can be set, never cleared. */
	v = (c->s.cr0 & ~0xeull) | (v & 0xf);
	write_cr0(c, i, v);
	X86_LEAVE_NEXT(c, i);
}

X86_HANDLER(x86_clts)
{
	x86_need_cpl0(c, i);
	c->s.cr0 &= ~X86_CR0_TS;
	x86_mode_changed(c);
	X86_LEAVE_NEXT(c, i);
}

X86_HANDLER(x86_xgetbv)
{
	if (!(c->s.cr4 & X86_CR4_OSXSAVE))
		x86_raise(c, i, X86_UD);
	if ((u32)c->r[R_CX] != 0)
		x86_raise_code(c, i, X86_GP, 0);
	c->r[R_AX] = (u32)c->s.xcr0;
	c->r[R_DX] = c->s.xcr0 >> 32;
	NEXT(c, i);
}

X86_HANDLER(x86_xsetbv)
{
	u64 v = c->r[R_DX] << 32 | (u32)c->r[R_AX];

	if (!(c->s.cr4 & X86_CR4_OSXSAVE))
		x86_raise(c, i, X86_UD);
	x86_need_cpl0(c, i);
	if ((u32)c->r[R_CX] != 0 || !(v & 1) || (v & ~c->xcr0_allowed) ||
	    ((v & 4) && !(v & 2)))
		x86_raise_code(c, i, X86_GP, 0);
	c->s.xcr0 = v;
	x86_mode_changed(c);
	X86_LEAVE_NEXT(c, i);
}
