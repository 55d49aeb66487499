/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FXSAVE, FXRSTOR, XSAVE, XSAVEOPT, XSAVEC, XRSTOR: images of the vector state in guest
 * memory. XSAVES and XRSTORS are not in our model; XGETBV and XSETBV are system.c's.
 *
 *	0	x87 and MXCSR, MXCSR_MASK at 24, 28
 *	160	XMM0-15 (XMM8-15 in long mode only)
 *	512	header: XSTATE_BV, XCOMP_BV, 48 bytes 0
 *	576	upper halves of YMM0-15; also in the compacted format, as nothing stands before it
 *
 * In use (XINUSE) is decided by value: a component that has its initial value counts as not used.
 *
 * Specification: Intel SDM volume 1, chapter 13.
 * Thread: the VP's.
 */
#include "x86/decode.h"
#include "x86/vector.h"

#define COMPONENT_X87 1ull
#define COMPONENT_SSE 2ull
#define COMPONENT_AVX 4ull
#define ALL_COMPONENTS 7ull

#define OFFSET_MXCSR 24
#define OFFSET_ST 32
#define OFFSET_XMM 160
#define OFFSET_HEADER 512
#define OFFSET_AVX 576
#define AREA_SIZE 832

#define CR0_TS BIT(3)
#define CR0_EM BIT(2)
#define CR4_OSFXSR BIT(9)
#define CR4_OSXSAVE BIT(18)

/* i->extra */
#define WIDE 1u	   /* REX.W: 64-bit pointers */
#define OPT 2u	   /* XSAVEOPT: what has its initial value is not written */
#define COMPACT 4u /* XSAVEC */

static unsigned xmm_count(const struct x86_cpu *c)
{
	return c->mode & X86_MODE_LONG ? 16 : 8;
}

/* The first 160 bytes, as the instruction's pointer format wants them. */
static void fill_legacy(struct x86_cpu *c, const struct x86_insn *i,
			struct fxsave_image *image)
{
	x87_save(c, image);
	if (c->amd && !(image->fsw & 0x80)) {
		/* AMD: pointers of errors only (measured on Zen 4). */
		image->fop = 0;
		image->fip = image->fdp = 0;
	} else if (!(i->extra & WIDE)) {
		image->fip = (u32)c->fip | (u64)c->fcs << 32;
		image->fdp = (u32)c->fdp | (u64)c->fds << 32;
	}
	image->mxcsr = x86_mxcsr_get(c);
	image->mxcsr_mask = MXCSR_VALID;
}

static void load_legacy(struct x86_cpu *c, const struct x86_insn *i,
			const struct fxsave_image *image)
{
	x87_load(c, image);
	if (!(i->extra & WIDE)) {
		bool gone = c->vector_features & X86_HAS_FCS_GONE;

		c->fcs = gone ? 0 : (u16)(image->fip >> 32);
		c->fds = gone ? 0 : (u16)(image->fdp >> 32);
		c->fip = (u32)image->fip;
		c->fdp = (u32)image->fdp;
	}
}

/* ---- FXSAVE, FXRSTOR ------------------------------------------------------------------------------- */

static void require_fx(struct x86_cpu *c, const struct x86_insn *i)
{
	if (c->s.cr0 & (CR0_EM | CR0_TS))
		x86_raise(c, i, X86_NM);
}

static void require_aligned(struct x86_cpu *c, const struct x86_insn *i, gva_t a,
			    unsigned to)
{
	if (a & (to - 1))
		x86_raise_code(c, i, X86_GP, 0);
}

/*
 * Which end of an area that lies in two pages faults: FXSAVE and FXRSTOR ask for the last byte first,
 * XSAVE and XRSTOR for the first. Their alignment is #GP; where alignment is checked, the first two
 * raise #AC for addresses that are no multiple of 4 (all measured on Zen 4).
 */
static void probe_fx(struct x86_cpu *c, const struct x86_insn *i, gva_t a, bool write)
{
	x86_check_aligned(c, i, a, 4);
	require_aligned(c, i, a, 16);
	x86_probe(c, i, a + 511, 1, write);
	x86_probe(c, i, a, 1, write);
}

static void op_fxsave(struct x86_cpu *c, const struct x86_insn *i)
{
	struct fxsave_image image;
	unsigned size = OFFSET_XMM;

	require_fx(c, i);
	gva_t a = x86_ea(c, i, 512, true);

	probe_fx(c, i, a, true);
	memset(&image, 0, sizeof(image));
	fill_legacy(c, i, &image);
	if (c->s.cr4 & CR4_OSFXSR) {
		for (unsigned k = 0; k < xmm_count(c); k++)
			memcpy(image.xmm[k], c->v[k], 16);
		size += 16 * xmm_count(c);
	}
	x86_copy_to_guest(c, i, a, &image, size);
	NEXT_BY_LOOP(c, i);
}

static void op_fxrstor(struct x86_cpu *c, const struct x86_insn *i)
{
	struct fxsave_image image;

	require_fx(c, i);
	gva_t a = x86_ea(c, i, 512, false);

	probe_fx(c, i, a, false);
	x86_copy_from_guest(c, i, a, &image, sizeof(image));
	if (image.mxcsr & ~MXCSR_VALID)
		x86_raise_code(c, i, X86_GP, 0);
	load_legacy(c, i, &image);
	x86_mxcsr_set(c, image.mxcsr);
	if (c->s.cr4 & CR4_OSFXSR)
		for (unsigned k = 0; k < xmm_count(c); k++)
			memcpy(c->v[k], image.xmm[k], 16);
	NEXT_BY_LOOP(c, i);
}

/* ---- XSAVE ------------------------------------------------------------------------------------------ */

static void require_xsave(struct x86_cpu *c, const struct x86_insn *i)
{
	if (!(c->s.cr4 & CR4_OSXSAVE))
		x86_raise(c, i, X86_UD);
	if (c->s.cr0 & CR0_TS)
		x86_raise(c, i, X86_NM);
}

static u64 requested(const struct x86_cpu *c)
{
	return (((u64)(u32)c->r[R_DX] << 32) | (u32)c->r[R_AX]) & c->s.xcr0;
}

static u64 in_use(struct x86_cpu *c, const struct fxsave_image *image)
{
	u64 used = 0, low = 0, high = 0;
	static const u8 zero[128];

	if (image->fcw != 0x37f || image->fsw || image->ftw || image->fop || image->fip ||
	    image->fdp || memcmp(image->st, zero, sizeof(zero)))
		used |= COMPONENT_X87;
	for (unsigned k = 0; k < xmm_count(c); k++) {
		u64 v[4];

		memcpy(v, c->v[k], 32);
		low |= v[0] | v[1];
		high |= v[2] | v[3];
	}
	return used | (low ? COMPONENT_SSE : 0) | (high ? COMPONENT_AVX : 0);
}

/* XSAVE's and XRSTOR's area. That it is not aligned comes before its segment's limit (measured on Zen 4;
 * FXSAVE's alignment comes after it). */
static gva_t area_address(struct x86_cpu *c, const struct x86_insn *i, unsigned size,
			  bool write)
{
	require_aligned(c, i, x86_ea_offset(c, i) + c->seg_base[i->seg], 64);
	return x86_ea(c, i, size, write);
}

static void op_xsave(struct x86_cpu *c, const struct x86_insn *i)
{
	u8 area[AREA_SIZE] __attribute__((aligned(16))) = { 0 };
	struct fxsave_image *image = (struct fxsave_image *)area;

	require_xsave(c, i);
	u64 wanted = requested(c);
	unsigned size = wanted & COMPONENT_AVX ? AREA_SIZE : OFFSET_AVX;
	gva_t a = area_address(c, i, size, true);

	x86_probe(c, i, a, 1, true);
	x86_probe(c, i, a + size - 1, 1, true);
	fill_legacy(c, i, image);
	u64 used = in_use(c, image), bv = used & wanted, put = wanted;

	if (i->extra & COMPACT) {
		if ((wanted & COMPONENT_SSE) && image->mxcsr != MXCSR_DEFAULT)
			bv |= COMPONENT_SSE;
		put = bv;
	} else {
		bv |= x86_load64(c, i, a + OFFSET_HEADER) & ~wanted;
		/* XSAVEOPT counts SSE as used, too, when MXCSR is not what it was at first. */
		if ((wanted & COMPONENT_SSE) && image->mxcsr != MXCSR_DEFAULT)
			bv |= COMPONENT_SSE;
		if (i->extra & OPT)
			put = bv & wanted;
	}
	if (put & COMPONENT_X87) {
		x86_copy_to_guest(c, i, a, area, OFFSET_MXCSR);
		x86_copy_to_guest(c, i, a + OFFSET_ST, area + OFFSET_ST,
				  OFFSET_XMM - OFFSET_ST);
	}
	if (i->extra & COMPACT ? put & COMPONENT_SSE
			       : wanted & (COMPONENT_SSE | COMPONENT_AVX))
		x86_copy_to_guest(c, i, a + OFFSET_MXCSR, &image->mxcsr, 8);
	if (put & COMPONENT_SSE) {
		for (unsigned k = 0; k < xmm_count(c); k++)
			memcpy(area + OFFSET_XMM + 16 * k, c->v[k], 16);
		x86_copy_to_guest(c, i, a + OFFSET_XMM, area + OFFSET_XMM,
				  16 * xmm_count(c));
	}
	if (put & COMPONENT_AVX) {
		for (unsigned k = 0; k < xmm_count(c); k++)
			memcpy(area + OFFSET_AVX + 16 * k, c->v[k] + 16, 16);
		x86_copy_to_guest(c, i, a + OFFSET_AVX, area + OFFSET_AVX,
				  16 * xmm_count(c));
	}
	x86_store64(c, i, a + OFFSET_HEADER, bv);
	if (i->extra & COMPACT)
		x86_store64(c, i, a + OFFSET_HEADER + 8, wanted | BIT64(63));
	NEXT_BY_LOOP(c, i);
}

/* ---- XRSTOR ------------------------------------------------------------------------------------------ */

/* The header, checked. *ret_compact: format. */
static u64 read_header(struct x86_cpu *c, const struct x86_insn *i, gva_t a,
		       bool *ret_compact)
{
	u64 h[8], rest = 0;

	x86_copy_from_guest(c, i, a + OFFSET_HEADER, h, sizeof(h));
	bool compact = h[1] >> 63;

	for (unsigned k = 3; k < 8; k++)
		rest |= h[k];
	if (compact ? !(c->vector_features & X86_HAS_XSAVEC) ||
			      (h[1] & ~BIT64(63) & ~c->s.xcr0) || (h[0] & ~h[1]) ||
			      h[2] || rest
		    : (h[0] & ~c->s.xcr0) || h[1] || h[2])
		x86_raise_code(c, i, X86_GP, 0);
	*ret_compact = compact;
	return h[0];
}

static void restore_x87(struct x86_cpu *c, const struct x86_insn *i, const u8 *area,
			bool from_area)
{
	if (from_area)
		load_legacy(c, i, (const struct fxsave_image *)area);
	else {
		static const struct fxsave_image initial = { .fcw = 0x37f };

		x87_load(c, &initial); /* the registers too, unlike FNINIT */
	}
}

static void op_xrstor(struct x86_cpu *c, const struct x86_insn *i)
{
	u8 area[AREA_SIZE] __attribute__((aligned(16)));
	struct fxsave_image *image = (struct fxsave_image *)area;
	bool compact, mxcsr_from_area;

	require_xsave(c, i);
	u64 wanted = requested(c);
	unsigned size = wanted & COMPONENT_AVX ? AREA_SIZE : OFFSET_AVX;
	gva_t a = area_address(c, i, size, false);

	x86_probe(c, i, a, 1, false);
	u64 bv = read_header(c, i, a, &compact);
	u64 load = bv & wanted;

	x86_probe(c, i, a + size - 1, 1, false);

	x86_copy_from_guest(c, i, a, area, OFFSET_HEADER);
	if (load & COMPONENT_AVX)
		x86_copy_from_guest(c, i, a + OFFSET_AVX, area + OFFSET_AVX,
				    16 * xmm_count(c));
	mxcsr_from_area = compact ? load & COMPONENT_SSE
				  : wanted & (COMPONENT_SSE | COMPONENT_AVX);
	if (mxcsr_from_area && (image->mxcsr & ~MXCSR_VALID))
		x86_raise_code(c, i, X86_GP, 0);

	if (wanted & COMPONENT_X87)
		restore_x87(c, i, area, load & COMPONENT_X87);
	if (mxcsr_from_area)
		x86_mxcsr_set(c, image->mxcsr);
	else if (compact && (wanted & COMPONENT_SSE))
		x86_mxcsr_set(c, MXCSR_DEFAULT);
	for (unsigned k = 0; k < xmm_count(c); k++) {
		if (load & COMPONENT_SSE)
			memcpy(c->v[k], image->xmm[k], 16);
		else if (wanted & COMPONENT_SSE)
			memset(c->v[k], 0, 16);
		if (load & COMPONENT_AVX)
			memcpy(c->v[k] + 16, area + OFFSET_AVX + 16 * k, 16);
		else if (wanted & COMPONENT_AVX)
			memset(c->v[k] + 16, 0, 16);
	}
	NEXT_BY_LOOP(c, i);
}

/* ---- choosing ------------------------------------------------------------------------------------------ */

struct family {
	ZydisMnemonic mnemonic;
	x86_fn fn;
	u16 extra;
	u32 features;
};

static const struct family families[] = {
	{ ZYDIS_MNEMONIC_FXSAVE, op_fxsave, 0, 0 },
	{ ZYDIS_MNEMONIC_FXSAVE64, op_fxsave, WIDE, 0 },
	{ ZYDIS_MNEMONIC_FXRSTOR, op_fxrstor, 0, 0 },
	{ ZYDIS_MNEMONIC_FXRSTOR64, op_fxrstor, WIDE, 0 },
	{ ZYDIS_MNEMONIC_XSAVE, op_xsave, 0, X86_HAS_XSAVE },
	{ ZYDIS_MNEMONIC_XSAVE64, op_xsave, WIDE, X86_HAS_XSAVE },
	{ ZYDIS_MNEMONIC_XSAVEOPT, op_xsave, OPT, X86_HAS_XSAVEOPT },
	{ ZYDIS_MNEMONIC_XSAVEOPT64, op_xsave, WIDE | OPT, X86_HAS_XSAVEOPT },
	{ ZYDIS_MNEMONIC_XSAVEC, op_xsave, COMPACT, X86_HAS_XSAVEC },
	{ ZYDIS_MNEMONIC_XSAVEC64, op_xsave, WIDE | COMPACT, X86_HAS_XSAVEC },
	{ ZYDIS_MNEMONIC_XRSTOR, op_xrstor, 0, X86_HAS_XSAVE },
	{ ZYDIS_MNEMONIC_XRSTOR64, op_xrstor, WIDE, X86_HAS_XSAVE },
};

static const struct family *family_of(const struct x86_decoded *d)
{
	for (unsigned k = 0; k < ARRAY_COUNT(families); k++)
		if (families[k].mnemonic == d->insn.mnemonic)
			return &families[k];
	return NULL;
}

bool xsave_is(const struct x86_decoded *d)
{
	return family_of(d) != NULL;
}

bool xsave_choose(const struct x86_decoded *d, struct x86_insn *i)
{
	const struct family *f = family_of(d);

	if (f->features & ~d->cpu->vector_features)
		return false;
	i->fn = f->fn;
	i->extra = f->extra;
	if (d->insn.operand_count && x86_decode_is_memory(d, 0))
		x86_decode_memory(d, &d->op[0], i);
	return true;
}
