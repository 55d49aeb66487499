/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of a processor after power-on, INIT and SIPI, and the gate that every block from outside
 * passes. Neighbours: hv and the engines set and take blocks, boot/ makes the one a guest starts
 * with. SDM volume 3, table 10-1 (reset values) and section 27.3.1 (what a coherent state is).
 * Any thread: pure functions.
 */
#include "wall/vp_state.h"

#include <errno.h>

enum {
	CR0_PE = 1u << 0,
	CR0_NW = 1u << 29,
	CR0_CD = 1u << 30,
	CR4_PAE = 1u << 5,
	CR4_PCIDE = 1u << 17,
	CR4_OSXSAVE = 1u << 18,
	EFER_SCE = 1u << 0,
	EFER_LME = 1u << 8,
	EFER_LMA = 1u << 10,
	EFER_NXE = 1u << 11,
	EFER_AUTO_IBRS = 1u << 21,
	RFLAGS_VM = 1u << 17,
};
#define CR0_PG (1u << 31)
#define CR0_DEFINED 0xe005003full
/* TSD DE PSE PAE MCE PGE PCE OSFXSR OSXMMEXCPT UMIP FSGSBASE PCIDE OSXSAVE SMEP SMAP */
#define CR4_DEFINED 0x370ffcull
#define RFLAGS_DEFINED 0x3f7fd7ull
#define GPA_BITS 52

static void reset_segments(struct vp_state *s)
{
	for (unsigned i = 0; i < SEG_COUNT; i++)
		s->seg[i] = (struct vp_segment){ .limit = 0xffff, .attr = 0x93 };
	s->seg[SEG_CS] = (struct vp_segment){
		.base = 0xffff0000, .limit = 0xffff, .selector = 0xf000, .attr = 0x9b
	};
	s->ldtr = (struct vp_segment){ .limit = 0xffff, .attr = 0x82 };
	s->tr = (struct vp_segment){ .limit = 0xffff, .attr = 0x8b };
	s->gdtr = (struct vp_table){ .limit = 0xffff };
	s->idtr = (struct vp_table){ .limit = 0xffff };
}

void vp_state_reset(struct vp_state *state, bool bsp)
{
	const u16 fcw = 0x037f;
	const u32 mxcsr = 0x1f80, mxcsr_mask = 0xffff;

	memset(state, 0, sizeof *state);
	state->version = VP_STATE_VERSION;
	state->size = sizeof *state;
	state->rip = 0xfff0;
	state->rflags = 2;
	reset_segments(state);
	state->cr0 = 0x60000010;
	state->xcr0 = 1;
	state->dr6 = 0xffff0ff0;
	state->dr7 = 0x400;
	state->apic_base = bsp ? 0xfee00900 : 0xfee00800;
	state->pat = 0x0007040600070406;
	state->misc_enable = 1;
	state->activity = bsp ? VP_RUNNING : VP_WAIT_SIPI;
	memcpy(state->xsave, &fcw, sizeof fcw);
	memcpy(state->xsave + 24, &mxcsr, sizeof mxcsr);
	memcpy(state->xsave + 28, &mxcsr_mask, sizeof mxcsr_mask);
}

void vp_state_init(struct vp_state *state)
{
	bool bsp = state->apic_base & 0x100;

	memset(state->gpr, 0, sizeof state->gpr);
	state->rip = 0xfff0;
	state->rflags = 2;
	reset_segments(state);
	state->cr0 = (state->cr0 & (CR0_CD | CR0_NW)) | 0x10;
	state->cr2 = state->cr3 = state->cr4 = state->cr8 = 0;
	state->efer = 0;
	memset(state->dr, 0, sizeof state->dr);
	state->dr6 = 0xffff0ff0;
	state->dr7 = 0x400;
	state->activity = bsp ? VP_RUNNING : VP_WAIT_SIPI;
	state->interruptibility = 0;
	state->nmi_pending = 0;
	state->event_valid = state->event_vector = state->event_type = 0;
	state->event_has_code = state->event_code = 0;
}

void vp_state_sipi(struct vp_state *state, u8 vector)
{
	state->seg[SEG_CS].selector = (u16)(vector << 8);
	state->seg[SEG_CS].base = (u64)vector << 12;
	state->rip = 0;
	state->activity = VP_RUNNING;
}

/* ---- the gate -------------------------------------------------------------------------------- */

static bool canonical(u64 a)
{
	return (u64)((s64)(a << 16) >> 16) == a;
}

static bool memory_type(u64 type)
{
	return type == 0 || type == 1 || type == 4 || type == 5 || type == 6;
}

static const char *bad_control(const struct vp_state *s, u64 xcr0_allowed)
{
	bool paging = s->cr0 & CR0_PG;

	if ((s->cr0 & ~CR0_DEFINED) || (paging && !(s->cr0 & CR0_PE)) ||
	    ((s->cr0 & CR0_NW) && !(s->cr0 & CR0_CD)))
		return "cr0";
	if (s->efer & ~(u64)(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | EFER_AUTO_IBRS))
		return "efer";
	if (!!(s->efer & EFER_LMA) != (paging && (s->efer & EFER_LME)))
		return "efer.lma";
	if (s->cr4 & ~CR4_DEFINED)
		return "cr4";
	if (((s->efer & EFER_LMA) && !(s->cr4 & CR4_PAE)) ||
	    ((s->cr4 & CR4_PCIDE) && !(s->efer & EFER_LMA)))
		return "cr4";
	if (s->cr3 >> GPA_BITS)
		return "cr3";
	if (s->cr8 > 15)
		return "cr8";
	if (!(s->xcr0 & 1) || (s->xcr0 & ~xcr0_allowed) ||
	    ((s->xcr0 & 4) && !(s->xcr0 & 2)))
		return "xcr0";
	if (!(xcr0_allowed & 2) && (s->cr4 & CR4_OSXSAVE))
		return "cr4.osxsave";
	if (s->dr6 >> 32)
		return "dr6";
	if (s->dr7 >> 32)
		return "dr7";
	return NULL;
}

static const char *bad_flags(const struct vp_state *s)
{
	if ((s->rflags & ~RFLAGS_DEFINED) || !(s->rflags & 2))
		return "rflags";
	if ((s->rflags & RFLAGS_VM) && (!(s->cr0 & CR0_PE) || (s->efer & EFER_LMA)))
		return "rflags.vm";
	return NULL;
}

/* Bits that no descriptor has, and a limit that no descriptor could have given. */
static bool segment_shape(const struct vp_segment *d)
{
	if (d->attr & 0x0f00)
		return false;
	if (!(d->attr & SEG_ATTR_P))
		return true;
	if (d->attr & SEG_ATTR_G)
		return (d->limit & 0xfff) == 0xfff;
	return d->limit <= 0xfffff;
}

static const char *bad_system_segments(const struct vp_state *s)
{
	unsigned type = s->tr.attr & (SEG_ATTR_S | SEG_ATTR_TYPE);

	if (!segment_shape(&s->tr) || !(s->tr.attr & SEG_ATTR_P) ||
	    !canonical(s->tr.base) ||
	    (type != 11 && (type != 3 || (s->efer & EFER_LMA))) || (s->tr.selector & 4))
		return "tr";
	if (!segment_shape(&s->ldtr) || !canonical(s->ldtr.base) ||
	    ((s->ldtr.attr & SEG_ATTR_P) &&
	     ((s->ldtr.attr & (SEG_ATTR_S | SEG_ATTR_TYPE)) != 2 ||
	      (s->ldtr.selector & 4))))
		return "ldtr";
	if (!canonical(s->gdtr.base) || s->gdtr.limit > 0xffff)
		return "gdtr";
	if (!canonical(s->idtr.base) || s->idtr.limit > 0xffff)
		return "idtr";
	return NULL;
}

static const char *const seg_names[SEG_COUNT] = { "es", "cs", "ss", "ds", "fs", "gs" };

static const char *bad_segments(const struct vp_state *s)
{
	const struct vp_segment *cs = &s->seg[SEG_CS], *ss = &s->seg[SEG_SS];
	unsigned cs_dpl = (cs->attr & SEG_ATTR_DPL) >> SEG_ATTR_DPL_SHIFT;
	unsigned cpl = (ss->attr & SEG_ATTR_DPL) >> SEG_ATTR_DPL_SHIFT;
	bool conforming = cs->attr & SEG_ATTR_DC;
	bool long_mode = s->efer & EFER_LMA;

	for (unsigned i = 0; i < SEG_COUNT; i++) {
		const struct vp_segment *d = &s->seg[i];
		bool far_base = i == SEG_FS || i == SEG_GS;

		if (!segment_shape(d) || (far_base ? !canonical(d->base) : d->base >> 32))
			return seg_names[i];
		if (far_base && !long_mode && d->base >> 32)
			return seg_names[i];
		if ((s->rflags & RFLAGS_VM) && (d->attr != 0xf3 || d->limit != 0xffff ||
						d->base != (u64)d->selector << 4))
			return seg_names[i];
		/* A usable one is code or data, never a system segment. */
		if ((d->attr & SEG_ATTR_P) && !(d->attr & SEG_ATTR_S))
			return seg_names[i];
	}
	if (!(s->cr0 & CR0_PE))
		return cpl != 0 ? "ss.dpl" : !(cs->attr & SEG_ATTR_P) ? "cs" : NULL;
	if (s->rflags & RFLAGS_VM)
		return NULL;

	/* Right after CR0.PE was set, CS is still what real mode left: writable data. */
	if (!(cs->attr & SEG_ATTR_P) || (!(cs->attr & SEG_ATTR_CODE) && cpl != 0))
		return "cs";
	if ((cs->attr & SEG_ATTR_L) && (!long_mode || (cs->attr & SEG_ATTR_DB)))
		return "cs.l";
	if (!(cs->attr & SEG_ATTR_CODE) || !conforming ? cs_dpl != cpl : cs_dpl > cpl)
		return "cs.dpl";
	if ((ss->attr & SEG_ATTR_P) &&
	    ((ss->attr & SEG_ATTR_CODE) || !(ss->attr & SEG_ATTR_RW)))
		return "ss";
	return NULL;
}

static const char *bad_addresses(const struct vp_state *s)
{
	bool wide = (s->efer & EFER_LMA) && (s->seg[SEG_CS].attr & SEG_ATTR_L);

	if (wide ? !canonical(s->rip) : s->rip >> 32)
		return "rip";
	if (!canonical(s->lstar))
		return "lstar";
	if (!canonical(s->cstar))
		return "cstar";
	if (!canonical(s->kernel_gs_base))
		return "kernel_gs_base";
	if (!canonical(s->sysenter_esp))
		return "sysenter_esp";
	if (!canonical(s->sysenter_eip))
		return "sysenter_eip";
	if (s->apic_base >> GPA_BITS || (s->apic_base & 0x2ff))
		return "apic_base";
	return NULL;
}

static const char *bad_memory_types(const struct vp_state *s)
{
	for (unsigned i = 0; i < 8; i++) {
		u64 type = (s->pat >> (8 * i)) & 0xff;

		/* 7 is UC-, of PAT alone */
		if (!memory_type(type) && type != 7)
			return "pat";
		if (s->mtrr_base[i] >> GPA_BITS || (s->mtrr_base[i] & 0xf00) ||
		    !memory_type(s->mtrr_base[i] & 0xff))
			return "mtrr_base";
		if (s->mtrr_mask[i] >> GPA_BITS || (s->mtrr_mask[i] & 0x7ff))
			return "mtrr_mask";
	}
	for (unsigned i = 0; i < ARRAY_COUNT(s->mtrr_fixed); i++)
		for (unsigned k = 0; k < 8; k++)
			if (!memory_type((s->mtrr_fixed[i] >> (8 * k)) & 0xff))
				return "mtrr_fixed";
	if ((s->mtrr_def_type & ~0xcffull) || !memory_type(s->mtrr_def_type & 0xff))
		return "mtrr_def_type";
	return NULL;
}

static const char *bad_xsave(const struct vp_state *s, u64 xcr0_allowed)
{
	u64 header[8];
	u32 mxcsr;

	memcpy(&mxcsr, s->xsave + 24, sizeof mxcsr);
	memcpy(header, s->xsave + 512, sizeof header);
	if (mxcsr & ~0xffffu)
		return "xsave.mxcsr";
	/* x87 and SSE have their place without XSAVE, too. */
	if (header[0] & ~(xcr0_allowed | 3))
		return "xsave.xstate_bv";
	for (unsigned i = 1; i < ARRAY_COUNT(header); i++)
		if (header[i])
			return "xsave.header";
	return NULL;
}

static const char *bad_event(const struct vp_state *s)
{
	if (s->activity > VP_SHUTDOWN)
		return "activity";
	if (s->interruptibility & ~(VP_SHADOW_STI | VP_SHADOW_MOV_SS | VP_NMI_BLOCKED))
		return "interruptibility";
	if (s->nmi_pending > 1)
		return "nmi_pending";
	if (s->event_valid > 1 || s->event_has_code > 1)
		return "event_valid";
	if (!s->event_valid)
		return NULL;
	if (s->event_vector > 255)
		return "event_vector";
	switch (s->event_type) {
	case VP_EVENT_EXTINT:
	case VP_EVENT_SOFT_INT:
		return NULL;
	case VP_EVENT_NMI:
		return s->event_vector == 2 ? NULL : "event_vector";
	case VP_EVENT_FAULT:
	case VP_EVENT_PRIV_SOFT:
	case VP_EVENT_SOFT_TRAP:
		return s->event_vector < 32 ? NULL : "event_vector";
	default:
		return "event_type";
	}
}

int vp_state_check(const struct vp_state *state, u64 xcr0_allowed, struct err *err)
{
	const char *bad = NULL;

	if (state->version != VP_STATE_VERSION || state->size != sizeof *state)
		bad = "version";
	for (unsigned i = 0; i < sizeof state->reserved && !bad; i++)
		if (state->reserved[i])
			bad = "reserved";
	if (!bad)
		bad = bad_control(state, xcr0_allowed);
	if (!bad)
		bad = bad_flags(state);
	if (!bad)
		bad = bad_system_segments(state);
	if (!bad)
		bad = bad_segments(state);
	if (!bad)
		bad = bad_addresses(state);
	if (!bad)
		bad = bad_memory_types(state);
	if (!bad)
		bad = bad_xsave(state, xcr0_allowed);
	if (!bad)
		bad = bad_event(state);
	if (bad)
		return err_set(err, -EINVAL, "processor state: %s is not possible", bad);
	return 0;
}
