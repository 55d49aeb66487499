/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model-specific registers: those of the architecture live in vp_state, those of the APIC and of the
 * partition are the bus's, and a few of either vendor exist because operating systems touch them without
 * asking. Everything else is #GP. The model decides which vendor's exist.
 * SDM volume 4; AMD APM volume 2, appendix A. Thread: the VP's.
 */
#include "x86/system.h"

#include <x86intrin.h>

#include "x86/cpuid.h"

enum {
	MSR_TSC = 0x10,
	MSR_TSC_ADJUST = 0x3b,
	MSR_SPEC_CTRL = 0x48,
	MSR_PRED_CMD = 0x49,
	MSR_MICROCODE = 0x8b,
	MSR_ARCH_CAPABILITIES = 0x10a,
	MSR_MISC_ENABLE = 0x1a0,
	MSR_DEBUGCTL = 0x1d9,
	MSR_MTRR_PHYS = 0x200,
	MSR_MTRR_FIX64 = 0x250,
	MSR_MTRR_FIX16 = 0x258,
	MSR_MTRR_FIX4 = 0x268,
	MSR_PAT = 0x277,
	MSR_MTRR_DEF = 0x2ff,
};
#define MSR_EFER 0xc0000080u
#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u

/* Plain 64-bit words of vp_state, and what may be written to them. */
enum rule { ANY, CANONICAL, LOW32 };
struct word {
	u32 index;
	enum rule rule;
	u16 offset;
};
#define WORD(index, rule, field)                              \
	{                                                     \
		index, rule, offsetof(struct vp_state, field) \
	}
static const struct word words[] = {
	WORD(0x174, LOW32, sysenter_cs),      WORD(0x175, CANONICAL, sysenter_esp),
	WORD(0x176, CANONICAL, sysenter_eip), WORD(0xc0000081, ANY, star),
	WORD(0xc0000082, CANONICAL, lstar),   WORD(0xc0000083, CANONICAL, cstar),
	WORD(0xc0000084, LOW32, sfmask),      WORD(0xc0000102, CANONICAL, kernel_gs_base),
	WORD(0xc0000103, LOW32, tsc_aux),
};

/*
 * Registers that always read the same; writes either fault or change nothing.
 */
enum writes { WRITES_FAULT, WRITES_DROPPED };
struct fixed {
	u32 index;
	u8 vendors; /* 1 Intel, 2 AMD, 3 both */
	enum writes writes;
	u64 value;
};
static const struct fixed fixed[] = {
	{ 0x17, 1, WRITES_FAULT, 0 },	    /* platform id */
	{ 0x2a, 1, WRITES_DROPPED, 0 },	    /* EBL_CR_POWERON */
	{ 0x34, 1, WRITES_FAULT, 0 },	    /* count of SMIs */
	{ 0x3a, 1, WRITES_FAULT, 1 },	    /* features locked: no VMX, no SGX */
	{ 0x79, 3, WRITES_DROPPED, 0 },	    /* microcode update */
	{ 0xce, 1, WRITES_FAULT, 0 },	    /* platform info: no CPUID faulting */
	{ 0xfe, 3, WRITES_FAULT, 0x508 },   /* MTRRs: 8, fixed ranges, WC */
	{ 0x179, 3, WRITES_FAULT, 0 },	    /* machine check: no banks */
	{ 0x17a, 3, WRITES_DROPPED, 0 },    /* machine check status */
	{ 0x198, 1, WRITES_FAULT, 0x1000 }, /* performance status */
	{ 0x1db, 3, WRITES_FAULT, 0 },	    /* last branches and exceptions */
	{ 0x1dc, 3, WRITES_FAULT, 0 },
	{ 0x1dd, 3, WRITES_FAULT, 0 },
	{ 0x1de, 3, WRITES_FAULT, 0 },
	/* CPUID cannot hide these four counters: every AMD processor has them. */
	{ 0xc0010000, 2, WRITES_DROPPED,
	  0 }, /* event select 0 of the K7: counts nothing */
	{ 0xc0010001, 2, WRITES_DROPPED,
	  0 }, /* event select 1 of the K7: counts nothing */
	{ 0xc0010002, 2, WRITES_DROPPED,
	  0 }, /* event select 2 of the K7: counts nothing */
	{ 0xc0010003, 2, WRITES_DROPPED,
	  0 }, /* event select 3 of the K7: counts nothing */
	{ 0xc0010004, 2, WRITES_DROPPED, 0 }, /* counter 0 of the K7: counts nothing */
	{ 0xc0010005, 2, WRITES_DROPPED, 0 }, /* counter 1 of the K7: counts nothing */
	{ 0xc0010006, 2, WRITES_DROPPED, 0 }, /* counter 2 of the K7: counts nothing */
	{ 0xc0010007, 2, WRITES_DROPPED, 0 }, /* counter 3 of the K7: counts nothing */
	{ 0xc0010010, 2, WRITES_DROPPED, 0 }, /* SYSCFG */
	{ 0xc0010015, 2, WRITES_DROPPED, BIT64(24) }, /* HWCR: TSC at P0's frequency */
	{ 0xc001001a, 2, WRITES_DROPPED, 0 },	      /* TOP_MEM */
	{ 0xc001001d, 2, WRITES_DROPPED, 0 },	      /* TOP_MEM2 */
	{ 0xc001001f, 2, WRITES_DROPPED, 0 },	      /* NB_CFG */
	{ 0xc0010055, 2, WRITES_DROPPED, 0 },	      /* interrupt pending message */
	{ 0xc0010058, 2, WRITES_DROPPED, 0 },	      /* MMIO configuration base */
	{ 0xc0010112, 2, WRITES_FAULT, 0 },	      /* TSEG base */
	{ 0xc0010113, 2, WRITES_FAULT, 0 },	      /* TSEG mask */
	{ 0xc0010114, 2, WRITES_FAULT, BIT64(4) | BIT64(3) }, /* VM_CR: SVM off, locked */
	{ 0xc0011020, 2, WRITES_DROPPED, 0 },		      /* LS_CFG */
	{ 0xc0011021, 2, WRITES_DROPPED, 0 },		      /* IC_CFG */
	{ 0xc0011022, 2, WRITES_DROPPED, 0 },		      /* DC_CFG */
	{ 0xc0011023, 2, WRITES_DROPPED, 0 },		      /* TW_CFG */
	{ 0xc0011029, 2, WRITES_DROPPED, 2 }, /* DE_CFG: LFENCE serializes */
	{ 0xc001102a, 2, WRITES_DROPPED, 0 }, /* BU_CFG2 */
};

u64 x86_tsc(const struct x86_cpu *c)
{
	const u64 now = __rdtsc() + (u64)c->tsc_offset;

	return UNLIKELY(c->bus->tsc) ? c->bus->tsc(c->bus_vp, now) : now;
}

/* AMD's first four counters have no CPUID bit to hide them by. Ours stand at 0. */
static bool old_counter(const struct x86_cpu *c, u32 index)
{
	return c->amd && index >= 0xc0010000 && index < 0xc0010008;
}

static const struct word *find_word(u32 index)
{
	for (unsigned n = 0; n < ARRAY_COUNT(words); n++)
		if (words[n].index == index)
			return &words[n];
	return NULL;
}

static const struct fixed *find_fixed(const struct x86_cpu *c, u32 index)
{
	for (unsigned n = 0; n < ARRAY_COUNT(fixed); n++)
		if (fixed[n].index == index && (fixed[n].vendors & (c->amd ? 2 : 1)))
			return &fixed[n];
	return NULL;
}

static u64 *word_of(struct x86_cpu *c, const struct word *w)
{
	return (u64 *)(void *)((u8 *)&c->s + w->offset);
}

/* The MTRR that an index names, or NULL. *ret_mask: bits that must be 0. */
static u64 *mtrr(struct x86_cpu *c, u32 index)
{
	if (index >= MSR_MTRR_PHYS && index < MSR_MTRR_PHYS + 16) {
		unsigned n = (index - MSR_MTRR_PHYS) / 2;

		return index & 1 ? &c->s.mtrr_mask[n] : &c->s.mtrr_base[n];
	}
	if (index == MSR_MTRR_FIX64)
		return &c->s.mtrr_fixed[0];
	if (index == MSR_MTRR_FIX16 || index == MSR_MTRR_FIX16 + 1)
		return &c->s.mtrr_fixed[1 + index - MSR_MTRR_FIX16];
	if (index >= MSR_MTRR_FIX4 && index < MSR_MTRR_FIX4 + 8)
		return &c->s.mtrr_fixed[3 + index - MSR_MTRR_FIX4];
	if (index == MSR_MTRR_DEF)
		return &c->s.mtrr_def_type;
	return NULL;
}

static bool memory_type(u64 type)
{
	return type < 7 && type != 2 && type != 3;
}

static bool mtrr_allows(const struct x86_cpu *c, u32 index, u64 v)
{
	u64 address = c->physical_mask;

	if (index == MSR_MTRR_DEF)
		return !(v & ~0xcffull) && memory_type(v & 0xff);
	if (index < MSR_MTRR_PHYS + 16) {
		if (index & 1)
			return !(v & ~(address | 0x800));
		return !(v & ~(address | 0xff)) && memory_type(v & 0xff);
	}
	for (unsigned n = 0; n < 8; n++)
		if (!memory_type((v >> (8 * n)) & 0xff))
			return false;
	return true;
}

static bool partition_owns(u32 index)
{
	return index == 0x1b || index == 0x6e0 || (index >= 0x800 && index < 0x900) ||
	       (index >= 0x40000000 && index < 0x40000200);
}

bool x86_msr_read(struct x86_cpu *c, u32 index, u64 *ret_value)
{
	const struct word *w = find_word(index);
	const struct fixed *f;
	const u64 *m;

	if (w) {
		*ret_value = *word_of(c, w);
		return true;
	}
	if (partition_owns(index))
		return c->bus->msr_read(c->bus_vp, index, ret_value);
	switch (index) {
	case MSR_TSC:
		*ret_value = x86_tsc(c);
		return true;
	case MSR_TSC_ADJUST:
		*ret_value = c->s.tsc_adjust;
		return true;
	case MSR_SPEC_CTRL:
		*ret_value = c->s.spec_ctrl;
		return true;
	case MSR_MICROCODE:
		*ret_value = x86_model_host()->microcode;
		if (!c->amd)
			*ret_value <<= 32;
		return true;
	case MSR_ARCH_CAPABILITIES:
		*ret_value = x86_model_arch_capabilities();
		return true;
	case MSR_MISC_ENABLE:
		*ret_value = c->s.misc_enable;
		return true;
	case MSR_DEBUGCTL:
		*ret_value = c->s.debugctl;
		return true;
	case MSR_PAT:
		*ret_value = c->s.pat;
		return true;
	case MSR_EFER:
		*ret_value = c->s.efer;
		return true;
	case MSR_FS_BASE:
		*ret_value = c->s.seg[SEG_FS].base;
		return true;
	case MSR_GS_BASE:
		*ret_value = c->s.seg[SEG_GS].base;
		return true;
	}
	m = mtrr(c, index);
	if (m) {
		*ret_value = *m;
		return true;
	}
	if (old_counter(c, index)) {
		*ret_value = 0;
		return true;
	}
	f = find_fixed(c, index);
	if (f)
		*ret_value = f->value;
	return f;
}

static bool write_efer(struct x86_cpu *c, u64 v)
{
	u64 changed;

	/* LMA is the processor's own. */
	v = (v & ~X86_EFER_LMA) | (c->s.efer & X86_EFER_LMA);
	changed = v ^ c->s.efer;
	if (v & ~c->efer_allowed)
		return false;
	if ((changed & X86_EFER_LME) && (c->s.cr0 & X86_CR0_PG))
		return false;
	c->s.efer = v;
	if (changed & X86_EFER_NXE)
		x86_tlb_flush_all(c);
	return true;
}

static bool write_pat(struct x86_cpu *c, u64 v)
{
	for (unsigned n = 0; n < 8; n++) {
		u64 type = (v >> (8 * n)) & 0xff;

		if (!memory_type(type) && type != 7)
			return false;
	}
	c->s.pat = v;
	return true;
}

/* IBRS, STIBP, SSBD: kept for the guest to read; there is nothing here that they would stop. */
static bool write_spec_ctrl(struct x86_cpu *c, u64 v)
{
	if (v & ~7ull)
		return false;
	c->s.spec_ctrl = v;
	return true;
}

static bool write_word(struct x86_cpu *c, const struct word *w, u64 v)
{
	if (w->rule == CANONICAL && !x86_canonical(v)) {
		/* AMD keeps SYSENTER's at 32 bits and never complains. */
		return false;
	}
	if (w->rule == LOW32 && v >> 32) {
		/* SYSENTER_CS drops them, and so does AMD's TSC_AUX; the others fault. */
		if (w->index != 0x174 && !(c->amd && w->index == 0xc0000103))
			return false;
		v = (u32)v;
	}
	*word_of(c, w) = v;
	return true;
}

static void move_tsc(struct x86_cpu *c, u64 moved)
{
	c->tsc_offset = (s64)((u64)c->tsc_offset + moved);
	if (moved && c->bus->tsc_moved)
		c->bus->tsc_moved(c->bus_vp);
}

bool x86_msr_write(struct x86_cpu *c, u32 index, u64 value)
{
	const struct word *w = find_word(index);
	const struct fixed *f;
	u64 *m;

	if (w)
		return write_word(c, w, value);
	if (partition_owns(index))
		return c->bus->msr_write(c->bus_vp, index, value);
	switch (index) {
	case MSR_TSC: {
		u64 moved = value - x86_tsc(c);

		c->s.tsc_adjust += moved;
		move_tsc(c, moved);
		return true;
	}
	case MSR_TSC_ADJUST: {
		u64 moved = value - c->s.tsc_adjust;

		c->s.tsc_adjust = value;
		move_tsc(c, moved);
		return true;
	}
	case MSR_SPEC_CTRL:
		return write_spec_ctrl(c, value);
	case MSR_PRED_CMD:
		return !(value & ~1ull);
	case MSR_MICROCODE:
		return value == 0 || c->amd;
	case MSR_MISC_ENABLE:
		c->s.misc_enable = value;
		return true;
	case MSR_DEBUGCTL:
		if (value & ~3ull)
			return false;
		c->s.debugctl = value;
		return true;
	case MSR_PAT:
		return write_pat(c, value);
	case MSR_EFER:
		return write_efer(c, value);
	case MSR_FS_BASE:
	case MSR_GS_BASE:
		if (!x86_canonical(value))
			return false;
		c->s.seg[index == MSR_FS_BASE ? SEG_FS : SEG_GS].base = value;
		return true;
	}
	m = mtrr(c, index);
	if (m) {
		if (!mtrr_allows(c, index, value))
			return false;
		*m = value;
		return true;
	}
	if (old_counter(c, index))
		return value == 0;
	f = find_fixed(c, index);
	return f && f->writes == WRITES_DROPPED;
}

X86_HANDLER(x86_rdmsr)
{
	u64 v;

	x86_need_cpl0(c, i);
	if (!x86_msr_read(c, (u32)c->r[R_CX], &v))
		x86_raise_code(c, i, X86_GP, 0);
	c->r[R_AX] = (u32)v;
	c->r[R_DX] = v >> 32;
	NEXT_BY_LOOP(c, i);
}

X86_HANDLER(x86_wrmsr)
{
	x86_need_cpl0(c, i);
	if (!x86_msr_write(c, (u32)c->r[R_CX], c->r[R_DX] << 32 | (u32)c->r[R_AX]))
		x86_raise_code(c, i, X86_GP, 0);
	x86_mode_changed(c);
	X86_LEAVE_NEXT(c, i);
}
