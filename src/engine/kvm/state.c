/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct vp_state <-> what KVM calls regs, sregs, xsave, xcrs, debugregs, events and MSRs; see
 * kvm.h. The VP stands. vp_state_check has seen a state before it comes here.
 */
#include <errno.h>
#include <sys/ioctl.h>

#include "engine/kvm/kvm.h"

/* ---- MSRs that are fields of struct vp_state: one table both ways -------------------------- */

struct msr_row {
	u32 index;
	size_t offset;
	bool optional; /* not every host's KVM has it */
};

#define MSR(index_, field)                                      \
	{                                                       \
		index_, offsetof(struct vp_state, field), false \
	}
#define MSR_OPTIONAL(index_, field)                            \
	{                                                      \
		index_, offsetof(struct vp_state, field), true \
	}

static const struct msr_row msr_rows[] = {
	MSR(0xc0000081, star),
	MSR(0xc0000082, lstar),
	MSR(0xc0000083, cstar),
	MSR(0xc0000084, sfmask),
	MSR(0xc0000102, kernel_gs_base),
	MSR(0x174, sysenter_cs),
	MSR(0x175, sysenter_esp),
	MSR(0x176, sysenter_eip),
	MSR(0x277, pat),
	MSR_OPTIONAL(0x10, tsc),
	MSR_OPTIONAL(0x3b, tsc_adjust),
	MSR_OPTIONAL(0xc0000103, tsc_aux),
	MSR_OPTIONAL(0x6e0, tsc_deadline),
	MSR_OPTIONAL(0x1a0, misc_enable),
	MSR_OPTIONAL(0x48, spec_ctrl),
	MSR_OPTIONAL(0xda0, xss),
	MSR_OPTIONAL(0x1d9, debugctl),
	MSR_OPTIONAL(0x2ff, mtrr_def_type),
	MSR_OPTIONAL(0x250, mtrr_fixed[0]),
	MSR_OPTIONAL(0x258, mtrr_fixed[1]),
	MSR_OPTIONAL(0x259, mtrr_fixed[2]),
	MSR_OPTIONAL(0x268, mtrr_fixed[3]),
	MSR_OPTIONAL(0x269, mtrr_fixed[4]),
	MSR_OPTIONAL(0x26a, mtrr_fixed[5]),
	MSR_OPTIONAL(0x26b, mtrr_fixed[6]),
	MSR_OPTIONAL(0x26c, mtrr_fixed[7]),
	MSR_OPTIONAL(0x26d, mtrr_fixed[8]),
	MSR_OPTIONAL(0x26e, mtrr_fixed[9]),
	MSR_OPTIONAL(0x26f, mtrr_fixed[10]),
	MSR_OPTIONAL(0x200, mtrr_base[0]),
	MSR_OPTIONAL(0x201, mtrr_mask[0]),
	MSR_OPTIONAL(0x202, mtrr_base[1]),
	MSR_OPTIONAL(0x203, mtrr_mask[1]),
	MSR_OPTIONAL(0x204, mtrr_base[2]),
	MSR_OPTIONAL(0x205, mtrr_mask[2]),
	MSR_OPTIONAL(0x206, mtrr_base[3]),
	MSR_OPTIONAL(0x207, mtrr_mask[3]),
	MSR_OPTIONAL(0x208, mtrr_base[4]),
	MSR_OPTIONAL(0x209, mtrr_mask[4]),
	MSR_OPTIONAL(0x20a, mtrr_base[5]),
	MSR_OPTIONAL(0x20b, mtrr_mask[5]),
	MSR_OPTIONAL(0x20c, mtrr_base[6]),
	MSR_OPTIONAL(0x20d, mtrr_mask[6]),
	MSR_OPTIONAL(0x20e, mtrr_base[7]),
	MSR_OPTIONAL(0x20f, mtrr_mask[7]),
};

static u64 *field(struct vp_state *state, const struct msr_row *row)
{
	return (u64 *)(void *)((u8 *)state + row->offset);
}

/*
 * One at a time: KVM stops a list at the first it does not know. 1: read; 0: there is none such.
 */
static int msr_read(struct engine_vp *vp, u32 index, u64 *ret_value)
{
	struct kvm_one_msr one = { .count = 1, .entry.index = index };
	int n = ioctl(vp->fd, KVM_GET_MSRS, &one);

	if (n == 1)
		*ret_value = one.entry.data;
	return n < 0 ? -errno : n;
}

static int msr_get(struct engine_vp *vp, struct vp_state *state,
		   const struct msr_row *row)
{
	int n = msr_read(vp, row->index, field(state, row));

	if (n < 0)
		return n;
	return n == 1 || row->optional ? 0 : -ENOTSUP;
}

static int msr_set(struct engine_vp *vp, u32 index, u64 value)
{
	struct kvm_one_msr one = { .count = 1,
				   .entry = { .index = index, .data = value } };
	int n = ioctl(vp->fd, KVM_SET_MSRS, &one);

	if (n < 0)
		return -errno;
	return n == 1 ? 0 : -ENOTSUP;
}

/* ---- segments -------------------------------------------------------------------------------- */

static struct kvm_segment segment_to_kvm(const struct vp_segment *s)
{
	return (struct kvm_segment){
		.base = s->base,
		.limit = s->limit,
		.selector = s->selector,
		.type = s->attr & SEG_ATTR_TYPE,
		.s = !!(s->attr & SEG_ATTR_S),
		.dpl = (s->attr & SEG_ATTR_DPL) >> SEG_ATTR_DPL_SHIFT,
		.present = !!(s->attr & SEG_ATTR_P),
		.avl = !!(s->attr & SEG_ATTR_AVL),
		.l = !!(s->attr & SEG_ATTR_L),
		.db = !!(s->attr & SEG_ATTR_DB),
		.g = !!(s->attr & SEG_ATTR_G),
		.unusable = !(s->attr & SEG_ATTR_P),
	};
}

static struct vp_segment segment_from_kvm(const struct kvm_segment *s)
{
	unsigned attr = (unsigned)(s->type & 15) | (s->s ? SEG_ATTR_S : 0u) |
			(unsigned)s->dpl << SEG_ATTR_DPL_SHIFT |
			(s->present && !s->unusable ? SEG_ATTR_P : 0u) |
			(s->avl ? SEG_ATTR_AVL : 0u) | (s->l ? SEG_ATTR_L : 0u) |
			(s->db ? SEG_ATTR_DB : 0u) | (s->g ? SEG_ATTR_G : 0u);

	return (struct vp_segment){ .base = s->base,
				    .limit = s->limit,
				    .selector = s->selector,
				    .attr = (u16)attr };
}

/* ---- general registers ------------------------------------------------------------------------ */

/* In the order of R_AX..R_15. */
static void gpr_to_kvm(const u64 gpr[GPR_COUNT], struct kvm_regs *ret)
{
	ret->rax = gpr[R_AX];
	ret->rcx = gpr[R_CX];
	ret->rdx = gpr[R_DX];
	ret->rbx = gpr[R_BX];
	ret->rsp = gpr[R_SP];
	ret->rbp = gpr[R_BP];
	ret->rsi = gpr[R_SI];
	ret->rdi = gpr[R_DI];
	memcpy(&ret->r8, &gpr[R_8], 8 * sizeof(u64));
}

static void gpr_from_kvm(const struct kvm_regs *regs, u64 ret_gpr[GPR_COUNT])
{
	ret_gpr[R_AX] = regs->rax;
	ret_gpr[R_CX] = regs->rcx;
	ret_gpr[R_DX] = regs->rdx;
	ret_gpr[R_BX] = regs->rbx;
	ret_gpr[R_SP] = regs->rsp;
	ret_gpr[R_BP] = regs->rbp;
	ret_gpr[R_SI] = regs->rsi;
	ret_gpr[R_DI] = regs->rdi;
	memcpy(&ret_gpr[R_8], &regs->r8, 8 * sizeof(u64));
}

/* ---- activity and events ---------------------------------------------------------------------- */

static u32 activity_from_kvm(u32 mp_state)
{
	switch (mp_state) {
	case KVM_MP_STATE_HALTED:
		return VP_HALTED;
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_INIT_RECEIVED:
	case KVM_MP_STATE_SIPI_RECEIVED:
		return VP_WAIT_SIPI;
	default:
		return VP_RUNNING;
	}
}

static u32 activity_to_kvm(u32 activity)
{
	switch (activity) {
	case VP_HALTED:
		return KVM_MP_STATE_HALTED;
	case VP_WAIT_SIPI:
		return KVM_MP_STATE_INIT_RECEIVED;
	default:
		return KVM_MP_STATE_RUNNABLE;
	}
}

static void events_from_kvm(const struct kvm_vcpu_events *e, struct vp_state *s)
{
	s->interruptibility =
		(e->interrupt.shadow & KVM_X86_SHADOW_INT_STI ? VP_SHADOW_STI : 0) |
		(e->interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS ? VP_SHADOW_MOV_SS : 0) |
		(e->nmi.masked ? VP_NMI_BLOCKED : 0);
	s->nmi_pending = !!e->nmi.pending;
	if (e->exception.injected) {
		s->event_valid = 1;
		s->event_type = VP_EVENT_FAULT;
		s->event_vector = e->exception.nr;
		s->event_has_code = e->exception.has_error_code;
		s->event_code = e->exception.error_code;
	} else if (e->interrupt.injected) {
		s->event_valid = 1;
		s->event_type = e->interrupt.soft ? VP_EVENT_SOFT_INT : VP_EVENT_EXTINT;
		s->event_vector = e->interrupt.nr;
	} else if (e->nmi.injected) {
		s->event_valid = 1;
		s->event_type = VP_EVENT_NMI;
		s->event_vector = 2;
	}
}

static void events_to_kvm(const struct vp_state *s, struct kvm_vcpu_events *e)
{
	memset(e, 0, sizeof *e);
	e->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	e->interrupt.shadow =
		(s->interruptibility & VP_SHADOW_STI ? KVM_X86_SHADOW_INT_STI : 0) |
		(s->interruptibility & VP_SHADOW_MOV_SS ? KVM_X86_SHADOW_INT_MOV_SS : 0);
	e->nmi.masked = !!(s->interruptibility & VP_NMI_BLOCKED);
	e->nmi.pending = !!s->nmi_pending;
	if (!s->event_valid)
		return;
	switch (s->event_type) {
	case VP_EVENT_EXTINT:
	case VP_EVENT_SOFT_INT:
		e->interrupt.injected = 1;
		e->interrupt.soft = s->event_type == VP_EVENT_SOFT_INT;
		e->interrupt.nr = (u8)s->event_vector;
		break;
	case VP_EVENT_NMI:
		e->nmi.injected = 1;
		break;
	default:
		e->exception.injected = 1;
		e->exception.nr = (u8)s->event_vector;
		e->exception.has_error_code = !!s->event_has_code;
		e->exception.error_code = s->event_code;
		break;
	}
}

/* ---- whole states ----------------------------------------------------------------------------- */

#define XSAVE_HEADER 512

static int xsave_get(struct engine_vp *vp, struct vp_state *s)
{
	static _Thread_local u8 area[16384] __attribute__((aligned(64)));
	unsigned long request = vp->vm->has_xsave2 ? KVM_GET_XSAVE2 : KVM_GET_XSAVE;

	if (ioctl(vp->fd, request, area) < 0)
		return -errno;
	memcpy(s->xsave, area, sizeof s->xsave);
	/* What the host has beyond x87, SSE and AVX no guest of ours sees: never set up. */
	s->xsave[XSAVE_HEADER] &= 7;
	memset(s->xsave + XSAVE_HEADER + 1, 0, 63);
	return 0;
}

static int xsave_set(struct engine_vp *vp, const struct vp_state *s)
{
	static _Thread_local u8 area[16384] __attribute__((aligned(64)));

	memset(area, 0, sizeof area);
	memcpy(area, s->xsave, sizeof s->xsave);
	return ioctl(vp->fd, KVM_SET_XSAVE, area) < 0 ? -errno : 0;
}

int kvm_state_get(struct engine_vp *vp, struct vp_state *ret_state)
{
	struct vp_state *s = ret_state;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_debugregs debug;
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp;
	struct kvm_xcrs xcrs = { 0 };
	int r;

	memset(s, 0, sizeof *s);
	s->version = VP_STATE_VERSION;
	s->size = sizeof *s;
	if (ioctl(vp->fd, KVM_GET_REGS, &regs) < 0 ||
	    ioctl(vp->fd, KVM_GET_SREGS, &sregs) < 0 ||
	    ioctl(vp->fd, KVM_GET_DEBUGREGS, &debug) < 0 ||
	    ioctl(vp->fd, KVM_GET_VCPU_EVENTS, &events) < 0 ||
	    ioctl(vp->fd, KVM_GET_MP_STATE, &mp) < 0 ||
	    (vp->vm->has_xcrs && ioctl(vp->fd, KVM_GET_XCRS, &xcrs) < 0))
		return -errno;
	gpr_from_kvm(&regs, s->gpr);
	s->rip = regs.rip;
	s->rflags = regs.rflags;
	s->seg[SEG_ES] = segment_from_kvm(&sregs.es);
	s->seg[SEG_CS] = segment_from_kvm(&sregs.cs);
	s->seg[SEG_SS] = segment_from_kvm(&sregs.ss);
	s->seg[SEG_DS] = segment_from_kvm(&sregs.ds);
	s->seg[SEG_FS] = segment_from_kvm(&sregs.fs);
	s->seg[SEG_GS] = segment_from_kvm(&sregs.gs);
	s->tr = segment_from_kvm(&sregs.tr);
	s->ldtr = segment_from_kvm(&sregs.ldt);
	s->gdtr = (struct vp_table){ .base = sregs.gdt.base, .limit = sregs.gdt.limit };
	s->idtr = (struct vp_table){ .base = sregs.idt.base, .limit = sregs.idt.limit };
	s->cr0 = sregs.cr0;
	s->cr2 = sregs.cr2;
	s->cr3 = sregs.cr3;
	s->cr4 = sregs.cr4;
	s->cr8 = sregs.cr8;
	s->efer = sregs.efer;
	s->apic_base = sregs.apic_base;
	s->xcr0 = 1;
	for (u32 k = 0; k < xcrs.nr_xcrs && k < KVM_MAX_XCRS; k++)
		if (xcrs.xcrs[k].xcr == 0)
			s->xcr0 = xcrs.xcrs[k].value;
	memcpy(s->dr, debug.db, sizeof s->dr);
	s->dr6 = debug.dr6;
	s->dr7 = debug.dr7;
	s->activity = activity_from_kvm(mp.mp_state);
	events_from_kvm(&events, s);
	for (size_t k = 0; k < ARRAY_COUNT(msr_rows); k++) {
		r = msr_get(vp, s, &msr_rows[k]);
		if (r < 0)
			return r;
	}
	return xsave_get(vp, s);
}

int kvm_state_set(struct engine_vp *vp, const struct vp_state *state, struct err *err)
{
	const struct vp_state *s = state;
	struct kvm_regs regs = { .rip = s->rip, .rflags = s->rflags };
	struct kvm_sregs sregs = { 0 };
	struct kvm_debugregs debug = { .dr6 = s->dr6, .dr7 = s->dr7 };
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp = { .mp_state = activity_to_kvm(s->activity) };
	struct kvm_xcrs xcrs = { .nr_xcrs = 1,
				 .xcrs = { { .xcr = 0, .value = s->xcr0 } } };
	const char *what = "CPUID";
	u64 now = 0;
	int r = kvm_cpuid_set(vp);

	gpr_to_kvm(s->gpr, &regs);
	sregs.es = segment_to_kvm(&s->seg[SEG_ES]);
	sregs.cs = segment_to_kvm(&s->seg[SEG_CS]);
	sregs.ss = segment_to_kvm(&s->seg[SEG_SS]);
	sregs.ds = segment_to_kvm(&s->seg[SEG_DS]);
	sregs.fs = segment_to_kvm(&s->seg[SEG_FS]);
	sregs.gs = segment_to_kvm(&s->seg[SEG_GS]);
	sregs.tr = segment_to_kvm(&s->tr);
	sregs.ldt = segment_to_kvm(&s->ldtr);
	sregs.gdt.base = s->gdtr.base;
	sregs.gdt.limit = (u16)s->gdtr.limit;
	sregs.idt.base = s->idtr.base;
	sregs.idt.limit = (u16)s->idtr.limit;
	sregs.cr0 = s->cr0;
	sregs.cr2 = s->cr2;
	sregs.cr3 = s->cr3;
	sregs.cr4 = s->cr4;
	sregs.cr8 = s->cr8;
	sregs.efer = s->efer;
	sregs.apic_base = s->apic_base;
	memcpy(debug.db, s->dr, sizeof debug.db);
	events_to_kvm(s, &events);

	if (r == 0 &&
	    (what = "system registers", ioctl(vp->fd, KVM_SET_SREGS, &sregs) < 0))
		r = -errno;
	if (r == 0 &&
	    (what = "general registers", ioctl(vp->fd, KVM_SET_REGS, &regs) < 0))
		r = -errno;
	if (r == 0 && vp->vm->has_xcrs &&
	    (what = "XCR0", ioctl(vp->fd, KVM_SET_XCRS, &xcrs) < 0))
		r = -errno;
	if (r == 0 && (what = "XSAVE area", xsave_set(vp, s) < 0))
		r = -errno;
	if (r == 0 &&
	    (what = "debug registers", ioctl(vp->fd, KVM_SET_DEBUGREGS, &debug) < 0))
		r = -errno;
	for (size_t k = 0; k < ARRAY_COUNT(msr_rows) && r == 0; k++) {
		const struct msr_row *row = &msr_rows[k];

		u64 value = *(const u64 *)(const void *)((const u8 *)s + row->offset);

		what = "MSRs";
		/* The host's log gets a line for each write that it ignores. */
		if (row->optional && msr_read(vp, row->index, &now) == 1 && now == value)
			continue;
		r = msr_set(vp, row->index, value);
		if (r == -ENOTSUP && row->optional)
			r = 0;
	}
	if (r == 0 && (what = "events", ioctl(vp->fd, KVM_SET_VCPU_EVENTS, &events) < 0))
		r = -errno;
	if (r == 0 && (what = "activity", ioctl(vp->fd, KVM_SET_MP_STATE, &mp) < 0))
		r = -errno;
	if (r < 0)
		return err_set(err, r,
			       "KVM: virtual processor %u does not take its %s: %s",
			       vp->index, what, err_words(r));
	return 0;
}

/* ---- a hypercall ------------------------------------------------------------------------------ */

void kvm_vp_call_get(struct engine_vp *vp, struct engine_call *ret_call)
{
	struct kvm_regs regs = { 0 };
	struct kvm_sregs sregs = { 0 };

	*ret_call = (struct engine_call){ 0 };
	if (ioctl(vp->fd, KVM_GET_REGS, &regs) < 0 ||
	    ioctl(vp->fd, KVM_GET_SREGS, &sregs) < 0)
		return; /* not privileged: nothing comes of it */
	vp->call_regs = regs;
	gpr_from_kvm(&regs, ret_call->gpr);
	ret_call->wide = sregs.cs.l && sregs.efer & BIT(10);
	ret_call->privileged = (sregs.cr0 & 1) && sregs.ss.dpl == 0 &&
			       !(regs.rflags & BIT(17));
}

void kvm_vp_call_set(struct engine_vp *vp, const struct engine_call *call)
{
	struct kvm_regs regs = vp->call_regs;

	/* RIP stays at the OUT: KVM steps over it at the next entry, if it still stands there. */
	gpr_to_kvm(call->gpr, &regs);
	(void)ioctl(vp->fd, KVM_SET_REGS, &regs);
}
