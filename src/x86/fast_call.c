/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SYSCALL, SYSRET, SYSENTER, SYSEXIT. The vendors differ outside 64-bit mode: Intel has SYSCALL only in
 * 64-bit mode and SYSENTER everywhere; AMD has SYSCALL everywhere and SYSENTER only outside IA-32e mode.
 * TF is looked at after SYSCALL and SYSRET and not before them, so that a kernel which masks it is not
 * trapped at its entry, and the user's single step is reported after the call as a whole.
 * SDM volume 2; AMD APM volume 3. Thread: the VP's.
 */
#include "x86/system.h"

#define CODE64 0xa09bu
#define CODE32 0xc09bu
#define DATA32 0xc093u

static void set_flat(struct x86_cpu *c, unsigned seg, u16 selector, u32 attr,
		     unsigned cpl)
{
	c->s.seg[seg] = (struct vp_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.attr = (u16)(attr | cpl << SEG_ATTR_DPL_SHIFT),
	};
}

static void enter(struct x86_cpu *c, u16 selector, u32 code, unsigned cpl, u16 ss)
{
	set_flat(c, SEG_CS, selector, code, cpl);
	set_flat(c, SEG_SS, ss, DATA32, cpl);
	c->cpl = (u8)cpl;
}

X86_HANDLER(x86_syscall)
{
	bool long_code = c->mode & X86_MODE_LONG;
	u16 selector = (u16)(c->s.star >> 32) & 0xfffc;
	u64 next = x86_next_rip(c, i);

	if (!(c->s.efer & X86_EFER_SCE) || !x86_protected(c) || (!long_code && !c->amd))
		x86_raise(c, i, X86_UD);
	c->r[R_CX] = next;
	if (x86_lma(c)) {
		u64 flags = x86_get_rflags(c);

		c->r[R_11] = flags & ~(u64)X86_RF;
		c->rip = long_code ? c->s.lstar : c->s.cstar;
		x86_set_rflags(c, flags & ~(u64)(u32)c->s.sfmask & ~(u64)X86_RF);
		enter(c, selector, CODE64, 0, (u16)(selector + 8));
	} else {
		c->rip = (u32)c->s.star;
		c->eflags &= ~(X86_VM | X86_IF | X86_RF);
		enter(c, selector, CODE32, 0, (u16)(selector + 8));
	}
	c->step_tf = c->eflags & X86_TF;
	x86_mode_changed(c);
	X86_LEAVE(c, i, c->rip);
}

X86_HANDLER(x86_sysret)
{
	bool wide = (i->extra & X86_EXTRA_SIZE) == 8;
	u16 selector = (u16)(c->s.star >> 48);
	u64 target = wide ? c->r[R_CX] : (u32)c->r[R_CX];

	if (!(c->s.efer & X86_EFER_SCE) || !x86_protected(c) ||
	    (!c->amd && !(c->mode & X86_MODE_LONG)))
		x86_raise(c, i, X86_UD);
	x86_need_cpl0(c, i);
	if (!c->amd && !x86_canonical(target))
		x86_raise_code(c, i, X86_GP, 0);
	/* Not in compatibility mode either: only 64-bit code has R11. */
	if (c->mode & X86_MODE_LONG)
		x86_load_flags(c, c->r[R_11] & 0x3c7fd7);
	else
		c->eflags |= X86_IF;
	/* STAR's selectors lose their RPL bits to 3. */
	enter(c, (u16)((wide ? selector + 16 : selector) | 3), wide ? CODE64 : CODE32, 3,
	      (u16)((selector + 8) | 3));
	/* A single step of the user's ends here, though it did not begin as one. */
	c->step_tf = c->eflags & X86_TF;
	if (c->step_tf)
		atomic_fetch_or(&c->attention, X86_ATTN_TRAP);
	x86_mode_changed(c);
	X86_LEAVE(c, i, target);
}

X86_HANDLER(x86_sysenter)
{
	u16 selector = (u16)c->s.sysenter_cs & 0xfffc;
	bool lma = x86_lma(c);

	if (c->amd && lma)
		x86_raise(c, i, X86_UD);
	if (!x86_protected(c) || !selector)
		x86_raise_code(c, i, X86_GP, 0);
	c->eflags &= ~(X86_VM | X86_IF | X86_RF);
	enter(c, selector, lma ? CODE64 : CODE32, 0, (u16)(selector + 8));
	c->r[R_SP] = lma ? c->s.sysenter_esp : (u32)c->s.sysenter_esp;
	c->rip = lma ? c->s.sysenter_eip : (u32)c->s.sysenter_eip;
	x86_mode_changed(c);
	X86_LEAVE(c, i, c->rip);
}

X86_HANDLER(x86_sysexit)
{
	bool wide = (i->extra & X86_EXTRA_SIZE) == 8;
	u16 selector = (u16)c->s.sysenter_cs & 0xfffc;
	u64 target = c->r[R_DX], sp = c->r[R_CX];

	if (c->amd && x86_lma(c))
		x86_raise(c, i, X86_UD);
	if (!x86_protected(c) || !selector || c->cpl)
		x86_raise_code(c, i, X86_GP, 0);
	if (wide && (!x86_canonical(target) || !x86_canonical(sp)))
		x86_raise_code(c, i, X86_GP, 0);
	if (!wide) {
		target = (u32)target;
		sp = (u32)sp;
	}
	enter(c, (u16)((selector + (wide ? 32 : 16)) | 3), wide ? CODE64 : CODE32, 3,
	      (u16)((selector + (wide ? 40 : 24)) | 3));
	c->r[R_SP] = sp;
	x86_mode_changed(c);
	X86_LEAVE(c, i, target);
}
