/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of one virtual processor as a fixed-size block: what crosses the wall to load a
 * guest, what a saved state and a migration carry, what every engine can take and give. It
 * holds architecture, nothing of an engine (no TLB, no decoded code).
 *
 * Little-endian host layout; the only hosts are x86-64. Unused bytes are 0. hv takes a block
 * for hostile: vp_state_check() is the gate, and what passes it can be run.
 *
 * Specification: Intel SDM volume 3, chapters 2 to 10; AMD APM volume 2.
 */
#pragma once

/* Tables aligned by hand. */
/* clang-format off */

#include "base/err.h"
#include "base/types.h"

#define VP_STATE_VERSION 1

/* Order of general registers: the encoding's, so that REX.B:modrm indexes them. */
enum { R_AX, R_CX, R_DX, R_BX, R_SP, R_BP, R_SI, R_DI, R_8, R_9, R_10, R_11, R_12, R_13, R_14,
       R_15, GPR_COUNT };

/* Order of segment registers: the encoding's. */
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_COUNT };

/*
 * A segment register with its hidden part. attr is the descriptor's bits 40-55 with the limit
 * bits (48-51) cleared: type 0-3, S 4, DPL 5-6, P 7, AVL 12, L 13, D/B 14, G 15. limit is in
 * bytes, already scaled by G. An unusable (null) segment has P = 0.
 */
struct vp_segment {
	u64 base;
	u32 limit;
	u16 selector;
	u16 attr;
};

#define SEG_ATTR_TYPE 0x000f
#define SEG_ATTR_ACCESSED 0x0001
#define SEG_ATTR_RW 0x0002 /* data: writable; code: readable */
#define SEG_ATTR_DC 0x0004 /* data: expands down; code: conforming */
#define SEG_ATTR_CODE 0x0008
#define SEG_ATTR_S 0x0010
#define SEG_ATTR_DPL_SHIFT 5
#define SEG_ATTR_DPL 0x0060
#define SEG_ATTR_P 0x0080
#define SEG_ATTR_AVL 0x1000
#define SEG_ATTR_L 0x2000
#define SEG_ATTR_DB 0x4000
#define SEG_ATTR_G 0x8000

struct vp_table { /* GDTR, IDTR */
	u64 base;
	u32 limit;
	u32 reserved;
};

/* Why the processor executes nothing. */
enum vp_activity {
	VP_RUNNING = 0,
	VP_HALTED = 1,	   /* HLT: an interrupt wakes it */
	VP_WAIT_SIPI = 2,  /* after INIT, application processors at reset */
	VP_SHUTDOWN = 3,   /* triple fault */
};

/* Interruptibility for one instruction boundary. */
#define VP_SHADOW_STI 1u
#define VP_SHADOW_MOV_SS 2u
#define VP_NMI_BLOCKED 4u

struct vp_state {
	u32 version; /* VP_STATE_VERSION */
	u32 size;    /* sizeof(struct vp_state) */

	u64 gpr[GPR_COUNT];
	u64 rip;
	u64 rflags;
	struct vp_segment seg[SEG_COUNT];
	struct vp_segment ldtr, tr;
	struct vp_table gdtr, idtr;

	u64 cr0, cr2, cr3, cr4, cr8;
	u64 xcr0;
	u64 dr[4], dr6, dr7;

	u64 efer;
	u64 apic_base; /* MSR 0x1b */
	u64 star, lstar, cstar, sfmask, kernel_gs_base;
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
	u64 pat, tsc_aux;
	u64 tsc;	/* the value that RDTSC would give when the block was taken */
	u64 tsc_adjust;
	u64 tsc_deadline;
	u64 misc_enable, spec_ctrl, xss, debugctl;
	u64 mtrr_def_type, mtrr_fixed[11], mtrr_base[8], mtrr_mask[8];

	u32 activity;	  /* enum vp_activity */
	u32 interruptibility; /* VP_SHADOW_..., VP_NMI_BLOCKED */
	u32 nmi_pending;  /* 0 or 1 */
	/* An event whose delivery was begun and must be done again: 0 = none. */
	u32 event_valid, event_vector, event_type, event_has_code, event_code;

	/* XSAVE standard (not compacted) format: legacy area, header, AVX at 576. */
	u8 xsave[1024];

	u8 reserved[512];
};
_Static_assert(sizeof(struct vp_state) % 8 == 0, "no tail padding");

/* Event types, as in the VMX interruption-information field. */
enum { VP_EVENT_EXTINT = 0, VP_EVENT_NMI = 2, VP_EVENT_FAULT = 3, VP_EVENT_SOFT_INT = 4,
       VP_EVENT_PRIV_SOFT = 5, VP_EVENT_SOFT_TRAP = 6 };

/*
 * The state after power-on: real mode at F000:FFF0 (bsp) or waiting for SIPI. A loader that plays
 * firmware also sets what firmware sets, or Linux says so: mtrr_def_type = 0xc06 (enabled, WB).
 */
void vp_state_reset(struct vp_state *state, bool bsp);

/* INIT: as power-on, but the FPU, the MSRs, the MTRRs and the clock stay. */
void vp_state_init(struct vp_state *state);

/* The SIPI that a VP in VP_WAIT_SIPI takes: real mode at vector:0, running. */
void vp_state_sipi(struct vp_state *state, u8 vector);

/*
 * Can this block be run? Reserved bits of control registers, of EFER and of the flags, canonical
 * bases, a coherent mode (CR0.PG needs PE; LMA = LME && PG; CS.L only in long mode), an XSAVE header
 * within xcr0_allowed. 0, or -EINVAL with the field's name in the sentence. Any thread.
 */
int vp_state_check(const struct vp_state *state, u64 xcr0_allowed, struct err *err) MUST_CHECK;
