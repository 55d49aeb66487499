/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x87: arithmetic by native thunks on the host's own x87 registers, which hold the guest's while
 * the VP runs (vector.h); the environment images, and the pointers to the last instruction, which
 * are kept in software, in C.
 *
 * Environment image (FNSTENV; FNSAVE appends the eight registers), words or dwords:
 *	0 FCW	1 FSW	2 FTW	3 FIP	4 FCS, FOP << 16	5 FDP	6 FDS		protected
 *	0 FCW	1 FSW	2 FTW	3 FIP	4 FOP, FIP >> 16 << 12	5 FDP	6 FDP >> 16 << 12 real, V86
 *
 * Specification: Intel SDM volume 1, chapter 8; AMD APM volume 5.
 * Thread: the VP's.
 */
#include "x86/decode.h"
#include "x86/thunk.h"
#include "x86/vector.h"

struct environment { /* the host's: 32-bit protected format */
	u32 fcw, fsw, ftw, fip, fcs_fop, fdp, fds;
	u8 st[8][10];
};

void x87_init(struct x86_cpu *c)
{
	__asm__ volatile("fninit");
	c->fip = c->fdp = 0;
	c->fop = c->fcs = c->fds = 0;
}

void x87_save(struct x86_cpu *c, struct fxsave_image *image)
{
	struct fxsave_image host;

	__asm__ volatile("fxsave64 %0" : "=m"(host));
	image->fcw = host.fcw;
	image->fsw = host.fsw;
	image->ftw = host.ftw;
	image->reserved = 0;
	image->fop = c->fop;
	image->fip = c->fip;
	image->fdp = c->fdp;
	memcpy(image->st, host.st, sizeof(image->st));
}

void x87_load(struct x86_cpu *c, const struct fxsave_image *image)
{
	struct fxsave_image host;

	__asm__ volatile("fxsave64 %0" : "=m"(host)); /* for XMM and MXCSR: they stay */
	host.fcw = image->fcw;
	host.fsw = image->fsw;
	host.ftw = image->ftw;
	host.fop = 0;
	host.fip = host.fdp = 0;
	for (unsigned k = 0; k < 8; k++)
		memcpy(host.st[k], image->st[k], 10);
	__asm__ volatile("fxrstor64 %0" : : "m"(host));
	c->fop = image->fop & 0x7ff;
	c->fip = image->fip;
	c->fdp = image->fdp;
	c->fcs = c->fds = 0;
}

/* What a waiting instruction does first. */
void x87_wait(struct x86_cpu *c, const struct x86_insn *i)
{
	u16 status;

	__asm__ volatile("fnstsw %0" : "=a"(status));
	if (LIKELY(!(status & 0x80)))
		return;
	if (c->s.cr0 & BIT(5))
		x86_raise(c, i, X86_MF);
	__asm__ volatile("fnclex"); /* see thunk.c on CR0.NE = 0 */
}

/* ---- arithmetic ---------------------------------------------------------------------------------
 * i->imm = thunk, i->extra = FOP, i->reg = size of the memory operand, i->index of a register form is
 * R_ZERO as always.
 */
static void set_pointers(struct x86_cpu *c, const struct x86_insn *i)
{
	c->fop = i->extra;
	c->fip = x86_insn_rip(c, i);
	c->fcs = c->vector_features & X86_HAS_FCS_GONE ? 0 : c->s.seg[SEG_CS].selector;
}

static void set_data_pointer(struct x86_cpu *c, const struct x86_insn *i, gva_t a)
{
	unsigned seg = i->seg;
	u16 status;

	if (c->vector_features & X86_HAS_FDP_LAZY) {
		__asm__ volatile("fnstsw %0" : "=a"(status));
		if (!(status & 0x80))
			return;
	}
	c->fdp = a - c->seg_base[seg];
	if (seg == SEG_FLAT)
		seg = i->base == R_SP || i->base == R_BP ? SEG_SS : SEG_DS;
	c->fds = c->vector_features & X86_HAS_FCS_GONE ? 0 : c->s.seg[seg].selector;
}

static void op_register(struct x86_cpu *c, const struct x86_insn *i)
{
	((thunk_fn)i->imm)(c, i, NULL);
	set_pointers(c, i);
	NEXT(c, i);
}

static void op_load(struct x86_cpu *c, const struct x86_insn *i)
{
	gva_t a = x86_ea(c, i, i->reg, false);

	((thunk_fn)i->imm)(c, i, vector_read(c, i, a, i->reg));
	set_pointers(c, i);
	set_data_pointer(c, i, a);
	NEXT(c, i);
}

static void store(struct x86_cpu *c, const struct x86_insn *i, gva_t a)
{
	const struct x86_tlb_entry *e = x86_tlb_at(c, a);

	if (vector_hit(e->write_tag, c, a, i->reg)) {
		((thunk_fn)i->imm)(c, i, (const void *)(a + e->addend));
		if (UNLIKELY(atomic_load_explicit(e->code, memory_order_relaxed)))
			x86_code_written(c, a, i->reg);
		return;
	}
	x87_wait(c, i);
	x86_check_aligned(c, i, a, i->reg);
	x86_probe(c, i, a, i->reg, true);
	u8 *p = vector_scratch(c);

	/* An unmasked invalid operation stores nothing: then write what was there. */
	x86_copy_from_guest(c, i, a, p, i->reg);
	((thunk_fn)i->imm)(c, i, p);
	x86_copy_to_guest(c, i, a, p, i->reg);
}

static void op_store(struct x86_cpu *c, const struct x86_insn *i)
{
	gva_t a = x86_ea(c, i, i->reg, true);

	store(c, i, a);
	set_pointers(c, i);
	set_data_pointer(c, i, a);
	NEXT(c, i);
}

/* Control instructions leave the pointers alone. */
static void op_control_load(struct x86_cpu *c, const struct x86_insn *i)
{
	gva_t a = x86_ea(c, i, i->reg, false);

	((thunk_fn)i->imm)(c, i, vector_read(c, i, a, i->reg));
	NEXT(c, i);
}

static void op_fninit(struct x86_cpu *c, const struct x86_insn *i)
{
	x87_init(c);
	NEXT(c, i);
}

static void op_fnstsw(struct x86_cpu *c, const struct x86_insn *i)
{
	u16 status;

	__asm__ volatile("fnstsw %0" : "=m"(status));
	x86_store16(c, i, x86_ea(c, i, 2, true), status);
	NEXT_BY_LOOP(c, i);
}

static void op_fnstcw(struct x86_cpu *c, const struct x86_insn *i)
{
	u16 control;

	__asm__ volatile("fnstcw %0" : "=m"(control));
	x86_store16(c, i, x86_ea(c, i, 2, true), control);
	NEXT_BY_LOOP(c, i);
}

/* FWAIT looks at CR0.MP together with TS, not at EM. */
static void op_fwait_blocked(struct x86_cpu *c, const struct x86_insn *i)
{
	if ((c->s.cr0 & (BIT(1) | BIT(3))) == (BIT(1) | BIT(3)))
		x86_raise(c, i, X86_NM);
	x87_wait(c, i);
	NEXT(c, i);
}

static void op_fwait(struct x86_cpu *c, const struct x86_insn *i)
{
	x87_wait(c, i);
	NEXT(c, i);
}

/* ---- the environment: i->reg = size, i->extra = 1 where 16 bits --------------------------------------- */

static bool is_real(const struct x86_cpu *c)
{
	return !(c->mode & X86_MODE_PE) || (c->mode & X86_MODE_V86);
}

/* Registers behind the environment: at 14 or 28. */
static unsigned format_environment(const struct x86_cpu *c, const struct x86_insn *i,
				   const struct environment *e, u8 *to)
{
	u32 w[7] = { 0xffff0000u | e->fcw, 0xffff0000u | e->fsw, 0xffff0000u | e->ftw };
	u32 fip = (u32)c->fip, fdp = (u32)c->fdp;

	if (is_real(c)) {
		fip += (u32)c->fcs << 4;
		fdp += (u32)c->fds << 4;
		w[3] = fip & 0xffff;
		w[4] = c->fop | fip >> 16 << 12;
		w[5] = fdp & 0xffff;
		w[6] = fdp >> 16 << 12;
		w[3] |= i->extra ? 0 : 0xffff0000u;
		w[5] |= i->extra ? 0 : 0xffff0000u;
	} else {
		w[3] = fip;
		w[4] = c->fcs | (u32)c->fop << 16;
		w[5] = fdp;
		w[6] = 0xffff0000u | c->fds;
	}
	if (!i->extra) {
		memcpy(to, w, 28);
		return 28;
	}
	for (unsigned k = 0; k < 7; k++) {
		u16 half = (u16)w[k];

		memcpy(to + 2 * k, &half, 2);
	}
	return 14;
}

static unsigned parse_environment(struct x86_cpu *c, const struct x86_insn *i,
				  const u8 *from, struct environment *e)
{
	u32 w[7];

	if (i->extra) {
		for (unsigned k = 0; k < 7; k++)
			w[k] = from[2 * k] | (u32)from[2 * k + 1] << 8;
	} else {
		memcpy(w, from, 28);
	}
	memset(e, 0, sizeof(*e));
	e->fcw = w[0] & 0xffff;
	e->fsw = w[1] & 0xffff;
	e->ftw = w[2] & 0xffff;
	c->fcs = c->fds = 0;
	c->fop = 0;
	if (is_real(c)) {
		c->fip = (w[3] & 0xffff) | (w[4] >> 12 & 0xffff) << 16;
		c->fdp = (w[5] & 0xffff) | (w[6] >> 12 & 0xffff) << 16;
		c->fop = w[4] & 0x7ff;
	} else {
		c->fip = w[3];
		c->fdp = w[5];
		c->fcs = (u16)w[4];
		c->fds = (u16)w[6];
		if (!i->extra)
			c->fop = w[4] >> 16 & 0x7ff;
	}
	if (c->vector_features & X86_HAS_FCS_GONE)
		c->fcs = c->fds = 0;
	return i->extra ? 14 : 28;
}

/* The first word and then the last byte, so that a fault beyond the page boundary has the last one's
 * address (measured on Zen 4). */
static void probe_image(struct x86_cpu *c, const struct x86_insn *i, gva_t a, bool write)
{
	x86_check_aligned(c, i, a, i->extra ? 2 : 4);
	x86_probe(c, i, a, i->extra ? 2 : 4, write);
	x86_probe(c, i, a + i->reg - 1, 1, write);
}

static void op_fnstenv(struct x86_cpu *c, const struct x86_insn *i)
{
	gva_t a = x86_ea(c, i, i->reg, true);
	struct environment e;
	u8 image[28];
	u16 control;

	probe_image(c, i, a, true);
	__asm__ volatile("fnstcw %1; fnstenv %0" : "=m"(e), "=m"(control));
	x86_copy_to_guest(c, i, a, image, format_environment(c, i, &e, image));
	NEXT_BY_LOOP(c, i);
}

static void op_fnsave(struct x86_cpu *c, const struct x86_insn *i)
{
	gva_t a = x86_ea(c, i, i->reg, true);
	struct environment e;
	u8 image[108];

	probe_image(c, i, a, true);
	__asm__ volatile("fnsave %0" : "=m"(e));
	unsigned n = format_environment(c, i, &e, image);

	memcpy(image + n, e.st, sizeof(e.st));
	x86_copy_to_guest(c, i, a, image, n + sizeof(e.st));
	x87_init(c);
	NEXT_BY_LOOP(c, i);
}

static void op_fldenv(struct x86_cpu *c, const struct x86_insn *i)
{
	gva_t a = x86_ea(c, i, i->reg, false);
	struct environment e;
	u8 image[28];

	x87_wait(c, i);
	probe_image(c, i, a, false);
	x86_copy_from_guest(c, i, a, image, i->reg);
	parse_environment(c, i, image, &e);
	__asm__ volatile("fldenv %0" : : "m"(e));
	NEXT_BY_LOOP(c, i);
}

static void op_frstor(struct x86_cpu *c, const struct x86_insn *i)
{
	gva_t a = x86_ea(c, i, i->reg, false);
	struct environment e;
	u8 image[108];

	x87_wait(c, i);
	probe_image(c, i, a, false);
	x86_copy_from_guest(c, i, a, image, i->reg);
	unsigned n = parse_environment(c, i, image, &e);

	memcpy(e.st, image + n, sizeof(e.st));
	__asm__ volatile("frstor %0" : : "m"(e));
	NEXT_BY_LOOP(c, i);
}

/* ---- choosing ------------------------------------------------------------------------------------- */

static bool choose_environment(const struct x86_decoded *d, struct x86_insn *i)
{
	i->extra = d->osz == 16;
	switch ((int)d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_FNSTENV:
		i->fn = op_fnstenv;
		break;
	case ZYDIS_MNEMONIC_FLDENV:
		i->fn = op_fldenv;
		break;
	case ZYDIS_MNEMONIC_FNSAVE:
		i->fn = op_fnsave;
		break;
	case ZYDIS_MNEMONIC_FRSTOR:
		i->fn = op_frstor;
		break;
	default:
		i->extra = 0;
		return false;
	}
	i->reg = i->extra ? 14 : 28;
	if (d->insn.mnemonic == ZYDIS_MNEMONIC_FNSAVE ||
	    d->insn.mnemonic == ZYDIS_MNEMONIC_FRSTOR)
		i->reg += 80;
	x86_decode_memory(d, &d->op[0], i);
	return true;
}

bool x87_choose(const struct x86_decoded *d, struct x86_insn *i)
{
	const ZydisDecodedInstruction *insn = &d->insn;
	bool memory = insn->opcode != 0x9b && insn->raw.modrm.mod != 3;
	struct thunk t = { .size = 2, .code = { insn->opcode, insn->raw.modrm.rm } };
	const ZydisDecodedOperand *m = NULL;

	if (insn->opcode == 0x9b) {
		i->fn = d->mode & X86_MODE_NO_FPU ? op_fwait_blocked : op_fwait;
		return true;
	}
	if (d->mode & X86_MODE_NO_FPU) {
		i->fn = vector_raise_nm;
		i->flags |= X86_INSN_ENDS;
		return true;
	}
	if (choose_environment(d, i))
		return true;
	for (unsigned k = 0; k < insn->operand_count && !m; k++)
		if (d->op[k].type == ZYDIS_OPERAND_TYPE_MEMORY)
			m = &d->op[k];
	if (memory != (m != NULL))
		return false;
	t.code[1] = (u8)((memory ? 0x02 : 0xc0 | insn->raw.modrm.rm) | insn->raw.modrm.reg
									       << 3);
	if (memory) {
		x86_decode_memory(d, m, i);
		i->reg = (u8)(m->size / 8);
		i->flags |= VECTOR_WAITS;
		i->fn = m->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE ? op_store : op_load;
	} else {
		i->fn = op_register;
	}
	i->extra = (u16)((insn->opcode & 7) << 8 |
			 (insn->raw.modrm.mod << 6 | insn->raw.modrm.reg << 3 |
			  insn->raw.modrm.rm));
	switch ((int)insn->mnemonic) {
	case ZYDIS_MNEMONIC_FNINIT:
		i->fn = op_fninit;
		return true;
	case ZYDIS_MNEMONIC_FNSTCW:
		i->fn = op_fnstcw;
		return true;
	case ZYDIS_MNEMONIC_FNSTSW:
		if (memory) {
			i->fn = op_fnstsw;
			return true;
		}
		t.generals[0] = (struct thunk_general){ 0, R_AX, true, true };
		t.general_count = 1;
		t.chain = true;
		break;
	case ZYDIS_MNEMONIC_FNCLEX:
	case ZYDIS_MNEMONIC_FENI8087_NOP:
	case ZYDIS_MNEMONIC_FDISI8087_NOP:
	case ZYDIS_MNEMONIC_FSETPM287_NOP:
		t.chain = true;
		break;
	case ZYDIS_MNEMONIC_FLDCW:
		i->fn = op_control_load;
		break;
	}
	if (insn->cpu_flags) {
		const ZydisAccessedFlags *f = insn->cpu_flags;

		t.flags_out = (f->modified | f->set_0 | f->set_1 | f->undefined) &
			      X86_ARITH;
		t.flags_in = t.flags_out || (f->tested & X86_ARITH);
	}
	/* There are few hundred x87 thunks in all: they may use the reserve. */
	thunk_fn f = thunk_make(&t, true);

	if (!f)
		return false;
	i->imm = (u64)(uintptr_t)f;
	if (t.chain)
		i->fn = (x86_fn)(uintptr_t)f;
	return true;
}
