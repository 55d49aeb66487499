/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which handler a system instruction gets, and the small ones: flags, HLT, CPUID, time stamps, FS and
 * GS bases, translations and caches, hypercalls. The larger families have files of their own: see
 * system.h. Thread: the VP's.
 */
#include "x86/system.h"

#include <x86intrin.h>

#include "x86/decode.h"

/* ---- flags ----------------------------------------------------------------------------------- */

static X86_HANDLER(cli)
{
	if (x86_protected(c) && c->cpl > x86_iopl(c))
		x86_raise_code(c, i, X86_GP, 0);
	c->eflags &= ~X86_IF;
	NEXT(c, i);
}

static X86_HANDLER(sti)
{
	if (x86_protected(c) && c->cpl > x86_iopl(c))
		x86_raise_code(c, i, X86_GP, 0);
	if (!(c->eflags & X86_IF)) {
		c->eflags |= X86_IF;
		c->interrupt_shadow |= VP_SHADOW_STI;
	}
	X86_LEAVE_NEXT(c, i);
}

static X86_HANDLER(pushf)
{
	struct x86_stack st = x86_stack_now(c);

	if (x86_v86(c) && x86_iopl(c) < 3)
		x86_raise_code(c, i, X86_GP, 0);
	x86_stack_push(c, i, &st, i->extra & X86_EXTRA_SIZE,
		       x86_get_rflags(c) & ~(u64)(X86_RF | X86_VM));
	x86_stack_commit(c, &st);
	NEXT_BY_LOOP(c, i);
}

static X86_HANDLER(popf)
{
	unsigned size = i->extra & X86_EXTRA_SIZE;
	struct x86_stack st = x86_stack_now(c);
	u64 mask = x86_flags_mask(c, size), old = x86_get_rflags(c), image;

	if (x86_v86(c) && x86_iopl(c) < 3)
		x86_raise_code(c, i, X86_GP, 0);
	image = x86_stack_pop(c, i, &st, size);
	x86_set_rflags(c, (old & ~mask & ~(u64)X86_RF) | (image & mask));
	x86_stack_commit(c, &st);
	x86_flags_changed(c);
	X86_LEAVE_NEXT(c, i);
}

static X86_HANDLER(pushf64)
{
	x86_push64(c, i, x86_get_rflags(c) & ~(u64)X86_RF);
	NEXT(c, i);
}

static X86_HANDLER(clac)
{
	if (c->cpl)
		x86_raise(c, i, X86_UD);
	c->eflags &= ~X86_AC_FLAG;
	/* x86_tlb_key(), but for what cannot have changed: Linux does this at every copy. */
	x86_key_set(c, (c->key & ~3ull) | !!(c->s.cr4 & X86_CR4_SMAP));
	NEXT(c, i);
}

static X86_HANDLER(stac)
{
	if (c->cpl)
		x86_raise(c, i, X86_UD);
	c->eflags |= X86_AC_FLAG;
	x86_key_set(c, c->key & ~3ull);
	NEXT(c, i);
}

static X86_HANDLER(hlt)
{
	x86_need_cpl0(c, i);
	c->s.activity = VP_HALTED;
	X86_LEAVE_NEXT(c, i);
}

/* ---- CPUID and clocks ------------------------------------------------------------------------ */

static u32 xsave_size(u64 components, bool compacted)
{
	u32 size = 576;

	if (components & 4)
		size = compacted ? size + 256 : 832;
	return size;
}

static X86_HANDLER(cpuid)
{
	u32 leaf = (u32)c->r[R_AX], subleaf = (u32)c->r[R_CX], r[4];

	c->bus->cpuid(c->bus_vp, leaf, subleaf, r);
	if (leaf == 1 && (c->s.cr4 & X86_CR4_OSXSAVE))
		r[2] |= BIT(27);
	/* An APIC that is switched off in its base register is not there. */
	if ((leaf == 1 || (leaf == 0x80000001 && c->amd)) && (r[3] & BIT(9))) {
		u64 base;

		if (c->bus->msr_read(c->bus_vp, 0x1b, &base) && !(base & BIT(11)))
			r[3] &= ~BIT(9);
	}
	if (leaf == 0xd && subleaf == 0 && r[1])
		r[1] = xsave_size(c->s.xcr0, false);
	if (leaf == 0xd && subleaf == 1 && r[1])
		r[1] = xsave_size(c->s.xcr0, true);
	c->r[R_AX] = r[0];
	c->r[R_BX] = r[1];
	c->r[R_CX] = r[2];
	c->r[R_DX] = r[3];
	NEXT_BY_LOOP(c, i);
}

static void need_tsc(struct x86_cpu *c, const struct x86_insn *i)
{
	if ((c->s.cr4 & X86_CR4_TSD) && c->cpl)
		x86_raise_code(c, i, X86_GP, 0);
}

static X86_HANDLER(rdtsc)
{
	u64 v;

	need_tsc(c, i);
	v = x86_tsc(c);
	c->r[R_AX] = (u32)v;
	c->r[R_DX] = v >> 32;
	NEXT(c, i);
}

static X86_HANDLER(rdtscp)
{
	u64 v;

	need_tsc(c, i);
	v = x86_tsc(c);
	c->r[R_AX] = (u32)v;
	c->r[R_DX] = v >> 32;
	c->r[R_CX] = (u32)c->s.tsc_aux;
	NEXT(c, i);
}

static X86_HANDLER(rdpid)
{
	c->r[i->rm] = (u32)c->s.tsc_aux;
	NEXT(c, i);
}

/* No counter exists, so no index is right. */
static X86_HANDLER(rdpmc)
{
	x86_raise_code(c, i, X86_GP, 0);
}

/* ---- FS, GS ---------------------------------------------------------------------------------- */

static X86_HANDLER(swapgs)
{
	u64 base = c->s.seg[SEG_GS].base;

	x86_need_cpl0(c, i);
	c->s.seg[SEG_GS].base = c->s.kernel_gs_base;
	c->s.kernel_gs_base = base;
	x86_segment_base_changed(c, SEG_GS);
	NEXT(c, i);
}

static X86_HANDLER(read_base)
{
	u64 v = c->s.seg[i->reg].base;

	if (!(c->s.cr4 & X86_CR4_FSGSBASE))
		x86_raise(c, i, X86_UD);
	c->r[i->rm] = (i->extra & X86_EXTRA_SIZE) == 8 ? v : (u32)v;
	NEXT(c, i);
}

static X86_HANDLER(write_base)
{
	u64 v = c->r[i->rm];

	if (!(c->s.cr4 & X86_CR4_FSGSBASE))
		x86_raise(c, i, X86_UD);
	if ((i->extra & X86_EXTRA_SIZE) != 8)
		v = (u32)v;
	if (!x86_canonical(v))
		x86_raise_code(c, i, X86_GP, 0);
	c->s.seg[i->reg].base = v;
	x86_segment_base_changed(c, i->reg);
	NEXT(c, i);
}

/* ---- translations and caches ----------------------------------------------------------------- */

/* No fault but that of privilege: neither limit nor rights are asked for (SDM volume 2, INVLPG). */
static X86_HANDLER(invlpg)
{
	gva_t a;

	x86_need_cpl0(c, i);
	a = x86_ea_offset(c, i) + c->seg_base[i->seg];
	if (!(c->mode & X86_MODE_LONG))
		a = (u32)a;
	x86_tlb_flush_page(c, a);
	X86_LEAVE_NEXT(c, i);
}

static X86_HANDLER(invpcid)
{
	u64 type, descriptor[2];

	x86_need_cpl0(c, i);
	type = c->r[i->reg];
	if (!(c->mode & X86_MODE_LONG))
		type = (u32)type;
	x86_copy_from_guest(c, i, x86_ea(c, i, 16, false), descriptor, 16);
	if (type > 3 || descriptor[0] >> 12)
		x86_raise_code(c, i, X86_GP, 0);
	if (type < 2 && descriptor[0] && !(c->s.cr4 & X86_CR4_PCIDE))
		x86_raise_code(c, i, X86_GP, 0);
	if (type == 0 && !x86_canonical(descriptor[1]))
		x86_raise_code(c, i, X86_GP, 0);
	x86_tlb_invpcid(c, (unsigned)type, (u16)descriptor[0], descriptor[1]);
	X86_LEAVE_NEXT(c, i);
}

/* INVD and WBINVD: the host keeps its caches coherent. */
static X86_HANDLER(wbinvd)
{
	x86_need_cpl0(c, i);
	NEXT(c, i);
}

/* CLFLUSH and its like read a byte, as far as faults go. */
static X86_HANDLER(clflush)
{
	(void)x86_load8(c, i, x86_ea(c, i, 1, false));
	NEXT(c, i);
}

/* ---- hypercalls ------------------------------------------------------------------------------ */

static X86_HANDLER(hypercall)
{
	if (c->cpl || !x86_protected(c))
		x86_raise(c, i, X86_UD);
	c->hypercalls++;
	if (!c->bus->hypercall(c->bus_vp))
		x86_raise(c, i, X86_UD);
	X86_LEAVE_NEXT(c, i);
}

/* ---- choosing -------------------------------------------------------------------------------- */

static bool is_class(const struct x86_decoded *d, unsigned n, ZydisRegisterClass class)
{
	return x86_decode_is_reg(d, n) &&
	       ZydisRegisterGetClass(d->op[n].reg.value) == class;
}

static bool ends(struct x86_insn *i, x86_fn fn)
{
	i->fn = fn;
	i->flags |= X86_INSN_ENDS;
	return true;
}

static bool goes_on(struct x86_insn *i, x86_fn fn)
{
	i->fn = fn;
	return true;
}

/* An operand that is a register (number to rm) or memory. */
static void rm_operand(const struct x86_decoded *d, unsigned n, struct x86_insn *i)
{
	if (x86_decode_is_memory(d, n)) {
		x86_decode_memory(d, &d->op[n], i);
		i->extra |= X86_EXTRA_MEM;
	} else {
		i->rm = (u8)x86_decode_reg(d->op[n].reg.value);
	}
}

/* Protected mode alone has these; in real and virtual-8086 mode they are undefined. */
static bool protected_only(const struct x86_decoded *d)
{
	return (d->mode & X86_MODE_PE) && !(d->mode & X86_MODE_V86);
}

static bool choose_mov(const struct x86_decoded *d, struct x86_insn *i)
{
	if (is_class(d, 0, ZYDIS_REGCLASS_SEGMENT)) {
		i->reg = (u8)x86_decode_reg(d->op[0].reg.value);
		rm_operand(d, 1, i);
		return i->reg != SEG_CS && ends(i, x86_mov_to_segment);
	}
	if (is_class(d, 1, ZYDIS_REGCLASS_SEGMENT)) {
		i->reg = (u8)x86_decode_reg(d->op[1].reg.value);
		rm_operand(d, 0, i);
		return goes_on(i, x86_mov_from_segment);
	}
	for (unsigned to = 0; to < 2; to++) {
		bool cr = is_class(d, !to, ZYDIS_REGCLASS_CONTROL);

		if (!cr && !is_class(d, !to, ZYDIS_REGCLASS_DEBUG))
			continue;
		i->reg = (u8)x86_decode_reg(d->op[!to].reg.value);
		i->rm = (u8)x86_decode_reg(d->op[to].reg.value);
		if (cr && (i->reg == 1 || (i->reg > 4 && i->reg != 8) || i->reg > 8))
			return false;
		if (!cr && i->reg > 7)
			return false;
		if (to)
			return ends(i, cr ? x86_mov_to_cr : x86_mov_to_dr);
		return goes_on(i, cr ? x86_mov_from_cr : x86_mov_from_dr);
	}
	return false;
}

static bool choose_far(const struct x86_decoded *d, struct x86_insn *i, x86_fn fn)
{
	if (d->insn.meta.branch_type != ZYDIS_BRANCH_TYPE_FAR)
		return false;
	i->extra = d->osz / 8;
	if (x86_decode_is_memory(d, 0)) {
		rm_operand(d, 0, i);
	} else {
		i->imm = (u64)d->op[0].ptr.segment << 32 | (u32)d->op[0].ptr.offset;
		if (d->osz == 16)
			i->imm &= 0xffff0000ffffull;
	}
	return ends(i, fn);
}

static bool choose_io(const struct x86_decoded *d, struct x86_insn *i, bool in)
{
	unsigned data = in ? 0 : 1, port = !data;

	i->extra = d->op[data].size / 8;
	i->reg = x86_decode_is_reg(d, port);
	if (!i->reg)
		i->imm = d->op[port].imm.value.u & 0xff;
	return ends(i, in ? x86_in : x86_out);
}

static bool choose_flags_stack(const struct x86_decoded *d, struct x86_insn *i, bool push)
{
	i->extra = d->osz / 8;
	if (d->mode & X86_MODE_LONG && d->osz != 16)
		i->extra = 8;
	if (!push)
		return ends(i, popf);
	return goes_on(i, i->extra == 8 ? pushf64 : pushf);
}

static bool choose_table(const struct x86_decoded *d, struct x86_insn *i, x86_fn fn)
{
	rm_operand(d, 0, i);
	i->extra |= d->mode & X86_MODE_LONG ? 8 : d->osz / 8;
	return goes_on(i, fn);
}

static bool choose_rm16(const struct x86_decoded *d, struct x86_insn *i, x86_fn fn,
			unsigned n)
{
	rm_operand(d, n, i);
	i->extra |= d->osz / 8;
	return goes_on(i, fn);
}

static bool choose_base(const struct x86_decoded *d, struct x86_insn *i, unsigned seg,
			x86_fn fn)
{
	if (!(d->mode & X86_MODE_LONG))
		return false;
	i->reg = (u8)seg;
	i->rm = (u8)x86_decode_reg(d->op[0].reg.value);
	i->extra = d->op[0].size / 8;
	return goes_on(i, fn);
}

static bool choose_far_pointer(const struct x86_decoded *d, struct x86_insn *i,
			       unsigned seg)
{
	i->rm = (u8)x86_decode_reg(d->op[0].reg.value);
	x86_decode_memory(d, &d->op[1], i);
	i->reg = (u8)seg;
	i->extra = d->osz / 8;
	return ends(i, x86_load_far_pointer);
}

static bool choose_segment(const struct x86_decoded *d, struct x86_insn *i)
{
	i->extra = d->osz / 8;
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
		return choose_mov(d, i);
	case ZYDIS_MNEMONIC_PUSH:
	case ZYDIS_MNEMONIC_POP:
		if (!is_class(d, 0, ZYDIS_REGCLASS_SEGMENT))
			return false;
		i->reg = (u8)x86_decode_reg(d->op[0].reg.value);
		if ((d->mode & X86_MODE_LONG) && d->osz != 16)
			i->extra = 8;
		if (d->insn.mnemonic == ZYDIS_MNEMONIC_PUSH)
			return goes_on(i, x86_push_segment);
		return i->reg != SEG_CS && ends(i, x86_pop_segment);
	case ZYDIS_MNEMONIC_LDS:
		return choose_far_pointer(d, i, SEG_DS);
	case ZYDIS_MNEMONIC_LES:
		return choose_far_pointer(d, i, SEG_ES);
	case ZYDIS_MNEMONIC_LFS:
		return choose_far_pointer(d, i, SEG_FS);
	case ZYDIS_MNEMONIC_LGS:
		return choose_far_pointer(d, i, SEG_GS);
	case ZYDIS_MNEMONIC_LSS:
		return choose_far_pointer(d, i, SEG_SS);
	case ZYDIS_MNEMONIC_JMP:
		return choose_far(d, i, x86_far_jump);
	case ZYDIS_MNEMONIC_CALL:
		return choose_far(d, i, x86_far_call);
	case ZYDIS_MNEMONIC_RET:
		if (d->insn.meta.branch_type != ZYDIS_BRANCH_TYPE_FAR)
			return false;
		if (d->insn.raw.imm[0].size)
			i->imm = d->insn.raw.imm[0].value.u & 0xffff;
		return ends(i, x86_far_return);
	case ZYDIS_MNEMONIC_LGDT:
	case ZYDIS_MNEMONIC_LIDT:
	case ZYDIS_MNEMONIC_SGDT:
	case ZYDIS_MNEMONIC_SIDT: {
		static const x86_fn fn[] = { x86_lgdt, x86_lidt, x86_sgdt, x86_sidt };
		unsigned n = d->insn.mnemonic == ZYDIS_MNEMONIC_LGDT   ? 0
			     : d->insn.mnemonic == ZYDIS_MNEMONIC_LIDT ? 1
			     : d->insn.mnemonic == ZYDIS_MNEMONIC_SGDT ? 2
								       : 3;

		i->extra = 0;
		return choose_table(d, i, fn[n]);
	}
	case ZYDIS_MNEMONIC_LLDT:
		return protected_only(d) && choose_rm16(d, i, x86_lldt, 0);
	case ZYDIS_MNEMONIC_LTR:
		return protected_only(d) && choose_rm16(d, i, x86_ltr, 0);
	case ZYDIS_MNEMONIC_SLDT:
		return protected_only(d) && choose_rm16(d, i, x86_sldt, 0);
	case ZYDIS_MNEMONIC_STR:
		return protected_only(d) && choose_rm16(d, i, x86_str, 0);
	case ZYDIS_MNEMONIC_VERR:
		return protected_only(d) && choose_rm16(d, i, x86_verr, 0);
	case ZYDIS_MNEMONIC_VERW:
		return protected_only(d) && choose_rm16(d, i, x86_verw, 0);
	case ZYDIS_MNEMONIC_LAR:
	case ZYDIS_MNEMONIC_LSL:
		i->reg = (u8)x86_decode_reg(d->op[0].reg.value);
		return protected_only(d) &&
		       choose_rm16(d, i,
				   d->insn.mnemonic == ZYDIS_MNEMONIC_LAR ? x86_lar
									  : x86_lsl,
				   1);
	case ZYDIS_MNEMONIC_ARPL:
		i->reg = (u8)x86_decode_reg(d->op[1].reg.value);
		return protected_only(d) && choose_rm16(d, i, x86_arpl, 0);
	default:
		return false;
	}
}

static bool choose_control_regs(const struct x86_decoded *d, struct x86_insn *i)
{
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_SMSW:
		return choose_rm16(d, i, x86_smsw, 0);
	case ZYDIS_MNEMONIC_LMSW:
		rm_operand(d, 0, i);
		return ends(i, x86_lmsw);
	case ZYDIS_MNEMONIC_CLTS:
		return ends(i, x86_clts);
	case ZYDIS_MNEMONIC_XGETBV:
		return goes_on(i, x86_xgetbv);
	case ZYDIS_MNEMONIC_XSETBV:
		return ends(i, x86_xsetbv);
	case ZYDIS_MNEMONIC_RDMSR:
		return goes_on(i, x86_rdmsr);
	case ZYDIS_MNEMONIC_WRMSR:
		return ends(i, x86_wrmsr);
	case ZYDIS_MNEMONIC_INVLPG:
		x86_decode_memory(d, &d->op[0], i);
		return ends(i, invlpg);
	case ZYDIS_MNEMONIC_INVPCID:
		i->reg = (u8)x86_decode_reg(d->op[0].reg.value);
		x86_decode_memory(d, &d->op[1], i);
		return !(d->mode & X86_MODE_V86) && ends(i, invpcid);
	case ZYDIS_MNEMONIC_INVD:
	case ZYDIS_MNEMONIC_WBINVD:
		return goes_on(i, wbinvd);
	case ZYDIS_MNEMONIC_CLFLUSH:
	case ZYDIS_MNEMONIC_CLFLUSHOPT:
	case ZYDIS_MNEMONIC_CLWB:
		x86_decode_memory(d, &d->op[0], i);
		return goes_on(i, clflush);
	case ZYDIS_MNEMONIC_RDFSBASE:
		return choose_base(d, i, SEG_FS, read_base);
	case ZYDIS_MNEMONIC_RDGSBASE:
		return choose_base(d, i, SEG_GS, read_base);
	case ZYDIS_MNEMONIC_WRFSBASE:
		return choose_base(d, i, SEG_FS, write_base);
	case ZYDIS_MNEMONIC_WRGSBASE:
		return choose_base(d, i, SEG_GS, write_base);
	case ZYDIS_MNEMONIC_SWAPGS:
		return (d->mode & X86_MODE_LONG) && goes_on(i, swapgs);
	case ZYDIS_MNEMONIC_RDTSC:
		return goes_on(i, rdtsc);
	case ZYDIS_MNEMONIC_RDTSCP:
		return goes_on(i, rdtscp);
	case ZYDIS_MNEMONIC_RDPID:
		i->rm = (u8)x86_decode_reg(d->op[0].reg.value);
		return goes_on(i, rdpid);
	case ZYDIS_MNEMONIC_RDPMC:
		return ends(i, rdpmc);
	case ZYDIS_MNEMONIC_CPUID:
		return goes_on(i, cpuid);
	default:
		return false;
	}
}

bool x86_choose_system(const struct x86_decoded *d, struct x86_insn *i)
{
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_CLI:
		return goes_on(i, cli);
	case ZYDIS_MNEMONIC_STI:
		return ends(i, sti);
	case ZYDIS_MNEMONIC_CLAC:
		return goes_on(i, clac);
	case ZYDIS_MNEMONIC_STAC:
		return goes_on(i, stac);
	case ZYDIS_MNEMONIC_PUSHF:
	case ZYDIS_MNEMONIC_PUSHFD:
	case ZYDIS_MNEMONIC_PUSHFQ:
		return choose_flags_stack(d, i, true);
	case ZYDIS_MNEMONIC_POPF:
	case ZYDIS_MNEMONIC_POPFD:
	case ZYDIS_MNEMONIC_POPFQ:
		return choose_flags_stack(d, i, false);
	case ZYDIS_MNEMONIC_HLT:
		return ends(i, hlt);
	case ZYDIS_MNEMONIC_IN:
		return choose_io(d, i, true);
	case ZYDIS_MNEMONIC_OUT:
		return choose_io(d, i, false);
	case ZYDIS_MNEMONIC_INT:
		i->imm = d->op[0].imm.value.u & 0xff;
		return ends(i, x86_int);
	case ZYDIS_MNEMONIC_INT3:
		return ends(i, x86_int3);
	case ZYDIS_MNEMONIC_INTO:
		return ends(i, x86_into);
	case ZYDIS_MNEMONIC_INT1:
		return ends(i, x86_int1);
	case ZYDIS_MNEMONIC_IRET:
	case ZYDIS_MNEMONIC_IRETD:
	case ZYDIS_MNEMONIC_IRETQ:
		i->extra = d->osz / 8;
		return ends(i, x86_iret);
	case ZYDIS_MNEMONIC_SYSCALL:
		return ends(i, x86_syscall);
	case ZYDIS_MNEMONIC_SYSRET:
		i->extra = d->osz / 8;
		return ends(i, x86_sysret);
	case ZYDIS_MNEMONIC_SYSENTER:
		return ends(i, x86_sysenter);
	case ZYDIS_MNEMONIC_SYSEXIT:
		i->extra = d->osz / 8;
		return ends(i, x86_sysexit);
	case ZYDIS_MNEMONIC_VMCALL:
	case ZYDIS_MNEMONIC_VMMCALL:
		return ends(i, hypercall);
	default:
		return choose_segment(d, i) || choose_control_regs(d, i);
	}
}
