/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The moves that kernels and C libraries execute most, between XMM/YMM and memory, in C: they
 * need no thunk's call. Moves between registers are thunks, which cost no call at all. Also
 * VZEROUPPER, VZEROALL, LDMXCSR, STMXCSR, and the places where vector state lives. See vector.h.
 *
 * Thread: the VP's.
 */
#include "x86/vector.h"

#include "x86/cpuid.h"
#include "x86/decode.h"
#include "x86/thunk.h"

/* ---- where the state lives ------------------------------------------------------------------------ */

#define XSAVE_MXCSR 24
#define XSAVE_XMM 160
#define XSAVE_BV 512
#define XSAVE_AVX 576

int x86_vector_open(struct err *err)
{
	return thunk_open(err);
}

void x86_vector_init(struct x86_cpu *c)
{
	static const struct {
		u32 leaf, subleaf;
		u8 reg, bit; /* reg: EAX EBX ECX EDX */
		u32 feature;
	} table[] = {
		{ 1, 0, 2, 0, X86_HAS_SSE3 },	   { 1, 0, 2, 9, X86_HAS_SSSE3 },
		{ 1, 0, 2, 19, X86_HAS_SSE41 },	   { 1, 0, 2, 20, X86_HAS_SSE42 },
		{ 1, 0, 2, 25, X86_HAS_AES },	   { 1, 0, 2, 1, X86_HAS_PCLMUL },
		{ 1, 0, 2, 26, X86_HAS_XSAVE },	   { 1, 0, 2, 28, X86_HAS_AVX },
		{ 1, 0, 2, 29, X86_HAS_F16C },	   { 1, 0, 2, 12, X86_HAS_FMA },
		{ 7, 0, 1, 5, X86_HAS_AVX2 },	   { 7, 0, 1, 29, X86_HAS_SHA },
		{ 7, 0, 1, 13, X86_HAS_FCS_GONE }, { 7, 0, 1, 6, X86_HAS_FDP_LAZY },
		{ 7, 0, 2, 8, X86_HAS_GFNI },	   { 7, 0, 2, 9, X86_HAS_VAES },
		{ 7, 0, 2, 10, X86_HAS_VPCLMUL },  { 13, 1, 0, 0, X86_HAS_XSAVEOPT },
		{ 13, 1, 0, 1, X86_HAS_XSAVEC },
	};

	c->vector_features = 0;
	for (unsigned k = 0; k < ARRAY_COUNT(table); k++) {
		u32 regs[4] = { 0 };

		x86_cpuid(x86_model_host(), 0, table[k].leaf, table[k].subleaf, regs);
		if (regs[table[k].reg] >> table[k].bit & 1)
			c->vector_features |= table[k].feature;
	}
}

u32 x86_mxcsr_get(const struct x86_cpu *c)
{
	u32 v = c->mxcsr;

	if (!c->mxcsr_swap)
		__asm__ volatile("stmxcsr %0" : "=m"(v));
	return v;
}

void x86_mxcsr_set(struct x86_cpu *c, u32 value)
{
	c->mxcsr = value;
	c->mxcsr_swap = (value & ~MXCSR_FLAGS) != MXCSR_DEFAULT;
	if (c->mxcsr_swap)
		value = c->host_mxcsr;
	__asm__ volatile("ldmxcsr %0" : : "m"(value));
}

static u64 header_bv(const struct x86_cpu *c)
{
	u64 bv;

	memcpy(&bv, c->s.xsave + XSAVE_BV, 8);
	return bv;
}

void x86_vector_enter(struct x86_cpu *c)
{
	u64 bv = header_bv(c);
	struct fxsave_image image;
	u32 mxcsr;

	for (unsigned k = 0; k < 16; k++) {
		if (bv & 2)
			memcpy(c->v[k], c->s.xsave + XSAVE_XMM + 16 * k, 16);
		else
			memset(c->v[k], 0, 16);
		if (bv & 4)
			memcpy(c->v[k] + 16, c->s.xsave + XSAVE_AVX + 16 * k, 16);
		else
			memset(c->v[k] + 16, 0, 16);
	}
	__asm__ volatile("stmxcsr %0" : "=m"(c->host_mxcsr));
	c->host_mxcsr &= ~MXCSR_FLAGS;
	memcpy(&image, c->s.xsave, sizeof(image));
	memcpy(&mxcsr, c->s.xsave + XSAVE_MXCSR, 4);
	if (bv & 1)
		x87_load(c, &image);
	else
		x87_init(c);
	x86_mxcsr_set(c, mxcsr & MXCSR_VALID);
}

void x86_vector_leave(struct x86_cpu *c)
{
	struct fxsave_image image = { 0 };
	u64 bv = 1;
	u64 low = 0, high = 0;

	x87_save(c, &image);
	image.mxcsr = x86_mxcsr_get(c);
	image.mxcsr_mask = MXCSR_VALID;
	for (unsigned k = 0; k < 16; k++) {
		u64 v[4];

		memcpy(v, c->v[k], 32);
		low |= v[0] | v[1];
		high |= v[2] | v[3];
		memcpy(image.xmm[k], c->v[k], 16);
		memcpy(c->s.xsave + XSAVE_AVX + 16 * k, c->v[k] + 16, 16);
	}
	if (low)
		bv |= 2;
	if (high)
		bv |= 4;
	memcpy(c->s.xsave, &image, sizeof(image));
	memset(c->s.xsave + XSAVE_BV, 0, 64);
	memcpy(c->s.xsave + XSAVE_BV, &bv, 8);
	__asm__ volatile("fninit; ldmxcsr %0" : : "m"(c->host_mxcsr));
}

/* ---- handlers: i->reg = register, i->rm = alignment ------------------------------------------------ */

/* Load size bytes; zero to: the register is cleared up to there first. */
#define LOAD(name, size, cleared)                                                 \
	static void name(struct x86_cpu *c, const struct x86_insn *i)             \
	{                                                                         \
		gva_t a = vector_address(c, i, size, false);                      \
		const void *p = vector_read(c, i, a, size);                       \
		u8 *v = c->v[i->reg];                                             \
                                                                                  \
		memcpy(v, p, size);                                               \
		if (cleared > size)                                               \
			memset(v + size, 0, cleared > size ? cleared - size : 0); \
		NEXT(c, i);                                                       \
	}

#define STORE(name, size)                                             \
	static void name(struct x86_cpu *c, const struct x86_insn *i) \
	{                                                             \
		gva_t a = vector_address(c, i, size, true);           \
                                                                      \
		vector_write(c, i, a, c->v[i->reg], size);            \
		NEXT(c, i);                                           \
	}

LOAD(op_load16, 16, 16)
LOAD(op_load8_16, 8, 16)
LOAD(op_load4_16, 4, 16)
LOAD(op_load16_32, 16, 32)
LOAD(op_load32, 32, 32)
LOAD(op_load8_32, 8, 32)
LOAD(op_load4_32, 4, 32)
STORE(op_store32, 32)
STORE(op_store16, 16)
STORE(op_store8, 8)
STORE(op_store4, 4)

static void op_vzeroupper(struct x86_cpu *c, const struct x86_insn *i)
{
	for (unsigned k = 0; k < (c->mode & X86_MODE_LONG ? 16 : 8); k++)
		memset(c->v[k] + 16, 0, 16);
	NEXT(c, i);
}

static void op_vzeroall(struct x86_cpu *c, const struct x86_insn *i)
{
	memset(c->v, 0, (c->mode & X86_MODE_LONG ? 16 : 8) * sizeof(c->v[0]));
	NEXT(c, i);
}

static void op_ldmxcsr(struct x86_cpu *c, const struct x86_insn *i)
{
	u32 v = x86_load32(c, i, x86_ea(c, i, 4, false));

	if (v & ~MXCSR_VALID)
		x86_raise_code(c, i, X86_GP, 0);
	x86_mxcsr_set(c, v);
	NEXT(c, i);
}

static void op_stmxcsr(struct x86_cpu *c, const struct x86_insn *i)
{
	x86_store32(c, i, x86_ea(c, i, 4, true), x86_mxcsr_get(c));
	NEXT(c, i);
}

/* ---- choosing ------------------------------------------------------------------------------------- */

struct move {
	ZydisMnemonic mnemonic;
	bool aligned;
	u8 size; /* of the memory operand; 0 = 16 or 32, as it is */
};

static const struct move moves[] = {
	{ ZYDIS_MNEMONIC_MOVUPS, false, 0 },  { ZYDIS_MNEMONIC_MOVUPD, false, 0 },
	{ ZYDIS_MNEMONIC_MOVDQU, false, 0 },  { ZYDIS_MNEMONIC_LDDQU, false, 0 },
	{ ZYDIS_MNEMONIC_MOVAPS, true, 0 },   { ZYDIS_MNEMONIC_MOVAPD, true, 0 },
	{ ZYDIS_MNEMONIC_MOVDQA, true, 0 },   { ZYDIS_MNEMONIC_VMOVUPS, false, 0 },
	{ ZYDIS_MNEMONIC_VMOVUPD, false, 0 }, { ZYDIS_MNEMONIC_VMOVDQU, false, 0 },
	{ ZYDIS_MNEMONIC_VLDDQU, false, 0 },  { ZYDIS_MNEMONIC_VMOVAPS, true, 0 },
	{ ZYDIS_MNEMONIC_VMOVAPD, true, 0 },  { ZYDIS_MNEMONIC_VMOVDQA, true, 0 },
	{ ZYDIS_MNEMONIC_MOVSS, false, 4 },   { ZYDIS_MNEMONIC_MOVSD, false, 8 },
	{ ZYDIS_MNEMONIC_MOVQ, false, 8 },    { ZYDIS_MNEMONIC_MOVD, false, 4 },
	{ ZYDIS_MNEMONIC_VMOVSS, false, 4 },  { ZYDIS_MNEMONIC_VMOVSD, false, 8 },
	{ ZYDIS_MNEMONIC_VMOVQ, false, 8 },   { ZYDIS_MNEMONIC_VMOVD, false, 4 },
};

static bool choose_plain(const struct x86_decoded *d, struct x86_insn *i)
{
	switch ((int)d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_VZEROUPPER:
		i->fn = op_vzeroupper;
		return true;
	case ZYDIS_MNEMONIC_VZEROALL:
		i->fn = op_vzeroall;
		return true;
	case ZYDIS_MNEMONIC_LDMXCSR:
	case ZYDIS_MNEMONIC_VLDMXCSR:
		i->fn = op_ldmxcsr;
		break;
	case ZYDIS_MNEMONIC_STMXCSR:
	case ZYDIS_MNEMONIC_VSTMXCSR:
		i->fn = op_stmxcsr;
		break;
	default:
		return false;
	}
	x86_decode_memory(d, &d->op[0], i);
	return true;
}

static x86_fn load_handler(unsigned size, bool vex)
{
	switch (size) {
	case 4:
		return vex ? op_load4_32 : op_load4_16;
	case 8:
		return vex ? op_load8_32 : op_load8_16;
	case 16:
		return vex ? op_load16_32 : op_load16;
	}
	return op_load32;
}

static x86_fn store_handler(unsigned size)
{
	switch (size) {
	case 4:
		return op_store4;
	case 8:
		return op_store8;
	case 16:
		return op_store16;
	}
	return op_store32;
}

bool vector_choose_move(const struct x86_decoded *d, struct x86_insn *i)
{
	const struct move *m = NULL;

	if (choose_plain(d, i))
		return true;
	for (unsigned k = 0; k < ARRAY_COUNT(moves) && !m; k++)
		if (moves[k].mnemonic == d->insn.mnemonic)
			m = &moves[k];
	if (!m || d->insn.operand_count_visible != 2)
		return false;

	bool store = x86_decode_is_memory(d, 0);
	const ZydisDecodedOperand *memory = &d->op[store ? 0 : 1];
	const ZydisDecodedOperand *reg = &d->op[store ? 1 : 0];
	ZydisRegisterClass class = reg->type == ZYDIS_OPERAND_TYPE_REGISTER
					   ? ZydisRegisterGetClass(reg->reg.value)
					   : ZYDIS_REGCLASS_INVALID;

	if (memory->type != ZYDIS_OPERAND_TYPE_MEMORY ||
	    (class != ZYDIS_REGCLASS_XMM && class != ZYDIS_REGCLASS_YMM))
		return false;
	unsigned size = m->size ? m->size : class == ZYDIS_REGCLASS_YMM ? 32 : 16;
	/* MOVD with REX.W moves eight bytes; Zydis calls it MOVQ, but let the operand decide. */
	if (memory->size != size * 8)
		return false;
	x86_decode_memory(d, memory, i);
	i->reg = (u8)x86_decode_reg(reg->reg.value);
	i->rm = m->aligned ? (u8)(size - 1) : 0;
	i->fn = store ? store_handler(size)
		      : load_handler(size,
				     d->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX);
	return true;
}
