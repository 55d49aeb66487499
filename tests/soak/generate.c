/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random blocks: encodings put together from their parts (prefixes, REX or VEX, opcode, ModRM, SIB,
 * displacement, immediate), kept when Zydis decodes them as something that can be compared.
 * Memory operands are aimed at the window: pointer registers hold addresses in it, index
 * registers small numbers. See blocks.h.
 */
#include "blocks.h"

#include <stdio.h>

#include <Zydis/Zydis.h>

static ZydisDecoder decoder;
static ZydisFormatter formatter;

/* BX BP SI DI R11 R13 R14 R15 and SP point into the window. */
static const u8 pointers[] = { 3, 5, 6, 7, 11, 13, 14, 15, 4 };
static const u8 indexes[] = { 0, 1, 2, 8, 9, 10, 12 };

u64 rng_next(struct rng *r)
{
	u64 x = r->state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	r->state = x;
	return x * 0x2545f4914f6cdd1dull;
}

static void rng_seed(struct rng *r, u64 seed)
{
	r->state = (seed + 1) * 0x9e3779b97f4a7c15ull;
	for (int k = 0; k < 4; k++)
		rng_next(r);
}

void generate_init(void)
{
	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
	ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
	ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
	ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
}

/* ---- what is left out, and why ------------------------------------------------------------------- */

static const struct {
	ZydisMnemonic mnemonic;
	const char *why;
} excluded[] = {
	{ ZYDIS_MNEMONIC_SYSCALL, "enters the host's kernel" },
	{ ZYDIS_MNEMONIC_SYSENTER, "enters the host's kernel" },
	{ ZYDIS_MNEMONIC_SYSRET, "enters the host's kernel" },
	{ ZYDIS_MNEMONIC_SYSEXIT, "enters the host's kernel" },
	{ ZYDIS_MNEMONIC_INT, "enters the host's kernel" },
	{ ZYDIS_MNEMONIC_INT1, "the host's kernel takes it for a single step" },
	{ ZYDIS_MNEMONIC_CPUID, "the guest's model is not the host's; 9 us in a VM" },
	{ ZYDIS_MNEMONIC_RDTSC, "no two readings are equal" },
	{ ZYDIS_MNEMONIC_RDTSCP, "no two readings are equal" },
	{ ZYDIS_MNEMONIC_RDPID, "the host's processor number" },
	{ ZYDIS_MNEMONIC_RDRAND, "random" },
	{ ZYDIS_MNEMONIC_RDSEED, "random" },
	{ ZYDIS_MNEMONIC_RDPMC, "depends on the host's CR4.PCE" },
	{ ZYDIS_MNEMONIC_RDPRU, "not in the guest's model" },
	{ ZYDIS_MNEMONIC_XGETBV, "the host's XCR0 has more" },
	{ ZYDIS_MNEMONIC_XSETBV, "the host's XCR0 has more" },
	{ ZYDIS_MNEMONIC_SGDT, "the host's kernel emulates it under UMIP" },
	{ ZYDIS_MNEMONIC_SIDT, "the host's kernel emulates it under UMIP" },
	{ ZYDIS_MNEMONIC_SLDT, "the host's kernel emulates it under UMIP" },
	{ ZYDIS_MNEMONIC_STR, "the host's kernel emulates it under UMIP" },
	{ ZYDIS_MNEMONIC_SMSW, "the host's kernel emulates it under UMIP" },
	{ ZYDIS_MNEMONIC_LAR, "the host's descriptor table" },
	{ ZYDIS_MNEMONIC_LSL, "the host's descriptor table" },
	{ ZYDIS_MNEMONIC_VERR, "the host's descriptor table" },
	{ ZYDIS_MNEMONIC_VERW, "the host's descriptor table" },
	{ ZYDIS_MNEMONIC_LFS, "the host's descriptor table" },
	{ ZYDIS_MNEMONIC_LGS, "the host's descriptor table" },
	{ ZYDIS_MNEMONIC_LSS, "the host's descriptor table" },
	{ ZYDIS_MNEMONIC_RDFSBASE, "the C library's thread pointer" },
	{ ZYDIS_MNEMONIC_WRFSBASE, "the C library's thread pointer" },
	{ ZYDIS_MNEMONIC_WRGSBASE, "would outlive the block" },
	{ ZYDIS_MNEMONIC_POPF, "TF, AC and NT reach the host's kernel" },
	{ ZYDIS_MNEMONIC_POPFD, "TF, AC and NT reach the host's kernel" },
	{ ZYDIS_MNEMONIC_POPFQ, "TF, AC and NT reach the host's kernel" },
	{ ZYDIS_MNEMONIC_IRET, "selectors reach the host's kernel" },
	{ ZYDIS_MNEMONIC_IRETD, "selectors reach the host's kernel" },
	{ ZYDIS_MNEMONIC_IRETQ, "selectors reach the host's kernel" },
	{ ZYDIS_MNEMONIC_JMP, "where to?" },
	{ ZYDIS_MNEMONIC_CALL, "where to?" },
	{ ZYDIS_MNEMONIC_RET, "where to?" },
	{ ZYDIS_MNEMONIC_MONITOR, "not in the guest's model" },
	{ ZYDIS_MNEMONIC_MWAIT, "not in the guest's model" },
	{ ZYDIS_MNEMONIC_VMCALL, "reaches the host's hypervisor" },
	{ ZYDIS_MNEMONIC_VMMCALL, "reaches the host's hypervisor" },
	{ ZYDIS_MNEMONIC_XBEGIN, "not in the guest's model" },
	{ ZYDIS_MNEMONIC_XABORT, "not in the guest's model" },
	{ ZYDIS_MNEMONIC_XEND, "not in the guest's model" },
	{ ZYDIS_MNEMONIC_XTEST, "not in the guest's model" },
	{ ZYDIS_MNEMONIC_FXSAVE, "MXCSR_MASK and pointers are the host's; unit tests" },
	{ ZYDIS_MNEMONIC_FXSAVE64, "MXCSR_MASK and pointers are the host's; unit tests" },
	{ ZYDIS_MNEMONIC_FXRSTOR, "MXCSR_MASK and pointers are the host's; unit tests" },
	{ ZYDIS_MNEMONIC_FXRSTOR64, "MXCSR_MASK and pointers are the host's; unit "
				    "tests" },
	{ ZYDIS_MNEMONIC_UD0, "12 us of the outer hypervisor; and nothing to compare" },
	{ ZYDIS_MNEMONIC_UD1, "12 us of the outer hypervisor; and nothing to compare" },
	{ ZYDIS_MNEMONIC_UD2, "12 us of the outer hypervisor; and nothing to compare" },
};

static const char *excluded_why(const ZydisDecodedInstruction *insn)
{
	for (unsigned k = 0; k < ARRAY_COUNT(excluded); k++)
		if (excluded[k].mnemonic == insn->mnemonic)
			return excluded[k].why;
	return NULL;
}

bool generate_excludes(const u8 *bytes, unsigned size, bool own)
{
	ZydisDecodedInstruction insn;

	if (!ZYAN_SUCCESS(
		    ZydisDecoderDecodeInstruction(&decoder, NULL, bytes, size, &insn)))
		return false;
	return own ? insn.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR ||
			       insn.mnemonic == ZYDIS_MNEMONIC_INT1
		   : excluded_why(&insn) != NULL;
}

void print_excluded(void)
{
	for (unsigned k = 0; k < ARRAY_COUNT(excluded); k++)
		printf("%-12s %s\n", ZydisMnemonicGetString(excluded[k].mnemonic),
		       excluded[k].why);
}

/* Which family the decoded instruction belongs to; 0: none that the guest's model has. */
static unsigned isa_of(const ZydisDecodedInstruction *insn)
{
	if (insn->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
	    insn->encoding != ZYDIS_INSTRUCTION_ENCODING_VEX)
		return 0;
	if (insn->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT &&
	    ((insn->opcode >= 0xd8 && insn->opcode <= 0xdf) || insn->opcode == 0x9b))
		return ISA_X87;
	switch ((int)insn->meta.isa_set) {
	case ZYDIS_ISA_SET_I86:
	case ZYDIS_ISA_SET_I186:
	case ZYDIS_ISA_SET_I386:
	case ZYDIS_ISA_SET_I486:
	case ZYDIS_ISA_SET_I486REAL:
	case ZYDIS_ISA_SET_PENTIUMREAL:
	case ZYDIS_ISA_SET_PPRO:
	case ZYDIS_ISA_SET_CMOV:
	case ZYDIS_ISA_SET_LONGMODE:
	case ZYDIS_ISA_SET_LAHF:
	case ZYDIS_ISA_SET_FAT_NOP:
	case ZYDIS_ISA_SET_PAUSE:
	case ZYDIS_ISA_SET_BMI1:
	case ZYDIS_ISA_SET_BMI2:
	case ZYDIS_ISA_SET_LZCNT:
	case ZYDIS_ISA_SET_POPCNT:
	case ZYDIS_ISA_SET_ADOX_ADCX:
	case ZYDIS_ISA_SET_MOVBE:
	case ZYDIS_ISA_SET_CMPXCHG16B:
	case ZYDIS_ISA_SET_PREFETCH_NOP:
	case ZYDIS_ISA_SET_SSE_PREFETCH:
	case ZYDIS_ISA_SET_CLFSH:
	case ZYDIS_ISA_SET_CLFLUSHOPT:
		return ISA_INTEGER;
	case ZYDIS_ISA_SET_PENTIUMMMX:
	case ZYDIS_ISA_SET_SSE:
	case ZYDIS_ISA_SET_SSE2:
	case ZYDIS_ISA_SET_SSE2MMX:
	case ZYDIS_ISA_SET_SSEMXCSR:
	case ZYDIS_ISA_SET_SSE3:
	case ZYDIS_ISA_SET_SSSE3:
	case ZYDIS_ISA_SET_SSSE3MMX:
	case ZYDIS_ISA_SET_SSE4:
	case ZYDIS_ISA_SET_SSE42:
	case ZYDIS_ISA_SET_AES:
	case ZYDIS_ISA_SET_PCLMULQDQ:
	case ZYDIS_ISA_SET_SHA:
		return insn->mnemonic == ZYDIS_MNEMONIC_CRC32 ? ISA_INTEGER : ISA_SSE;
	case ZYDIS_ISA_SET_AVX:
	case ZYDIS_ISA_SET_AVX2:
	case ZYDIS_ISA_SET_AVX2GATHER:
	case ZYDIS_ISA_SET_AVXAES:
	case ZYDIS_ISA_SET_F16C:
	case ZYDIS_ISA_SET_FMA:
		return ISA_AVX;
	}
	return 0;
}

/* ---- encodings ------------------------------------------------------------------------------------ */

struct encoding {
	u8 bytes[40];
	unsigned size;
	bool rip_relative;
};

static void put(struct encoding *e, u64 v, unsigned size)
{
	memcpy(e->bytes + e->size, &v, size);
	e->size += size;
}

/* ModRM, SIB and displacement; the bits that go into REX or VEX are chosen first. */
static void put_modrm(struct encoding *e, struct rng *r, unsigned base, unsigned index,
		      bool memory)
{
	unsigned reg = (unsigned)rng_below(r, 8);

	if (!memory) {
		put(e, 0xc0 | reg << 3 | rng_below(r, 8), 1);
		return;
	}
	if (rng_one_in(
		    r,
		    12)) { /* RIP-relative; the displacement is set when the length is known */
		put(e, reg << 3 | 5, 1);
		e->rip_relative = true;
		put(e, 0, 4);
		return;
	}
	bool sib = (base & 7) == 4 || rng_one_in(r, 4);
	unsigned mod = rng_one_in(r, 8) ? 2 : rng_one_in(r, 2) || (base & 7) == 5 ? 1 : 0;

	put(e, mod << 6 | reg << 3 | (sib ? 4 : base & 7), 1);
	if (sib)
		put(e, rng_below(r, 4) << 6 | (index & 7) << 3 | (base & 7), 1);
	if (mod == 1)
		put(e, rng_one_in(r, 3) ? rng_below(r, 256) : 8 * rng_below(r, 8), 1);
	if (mod == 2)
		put(e, (u64)(s64)((s64)rng_below(r, 128) - 64), 4);
}

static void put_prefixes(struct encoding *e, struct rng *r, unsigned isa)
{
	static const u8 segments[] = { 0x2e, 0x36, 0x3e, 0x26, 0x65 };

	if (isa == ISA_INTEGER && rng_one_in(r, 12))
		put(e, 0x66, 1);
	if (isa == ISA_INTEGER && rng_one_in(r, 24))
		put(e, rng_one_in(r, 2) ? 0xf2 : 0xf3, 1);
	if (isa == ISA_INTEGER && rng_one_in(r, 24))
		put(e, 0xf0, 1);
	if (rng_one_in(r, 48))
		put(e, 0x67, 1);
	if (rng_one_in(r, 48))
		put(e, segments[rng_below(r, sizeof(segments))], 1);
	if (rng_one_in(r, 200))
		put(e, 0x66, 1);
}

static void put_vex(struct encoding *e, struct rng *r, unsigned base, unsigned index,
		    unsigned isa)
{
	unsigned map = isa == ISA_INTEGER ? 2u + rng_one_in(r, 8)
					  : 1 + (unsigned)rng_below(r, 3);
	unsigned pp = rng_below(r, 4), l = isa == ISA_INTEGER ? 0 : rng_below(r, 2);
	unsigned vvvv = rng_one_in(r, 2) ? 15 : rng_below(r, 16), w = rng_below(r, 2);

	if (map == 1 && !(base & 8) && !(index & 8) && rng_one_in(r, 2)) {
		put(e, 0xc5, 1);
		put(e, rng_below(r, 2) << 7 | vvvv << 3 | l << 2 | pp, 1);
		return;
	}
	put(e, 0xc4, 1);
	put(e,
	    rng_below(r, 2) << 7 | (index & 8 ? 0 : 0x40) | (base & 8 ? 0 : 0x20) | map,
	    1);
	put(e, w << 7 | vvvv << 3 | l << 2 | pp, 1);
}

static void encode(struct encoding *e, struct rng *r, unsigned isa)
{
	unsigned base = pointers[rng_below(r, sizeof(pointers))];
	unsigned index = indexes[rng_below(r, sizeof(indexes))];
	bool memory = !rng_one_in(r, 3), modrm = true;
	unsigned map = 0;

	e->size = 0;
	e->rip_relative = false;
	if (rng_one_in(r, 100)) { /* anything */
		put(e, rng_next(r), 8);
		put(e, rng_next(r), 8);
		return;
	}
	put_prefixes(e, r, isa);
	if (isa == ISA_AVX || (isa == ISA_INTEGER && rng_one_in(r, 10))) {
		put_vex(e, r, base, index, isa);
		put(e, rng_below(r, 256), 1);
		put_modrm(e, r, base, index, memory);
		put(e, rng_next(r), 8);
		return;
	}
	static const u8 mandatory[] = { 0, 0x66, 0xf2, 0xf3 };

	if (isa == ISA_SSE) {
		u8 m = mandatory[rng_below(r, 4)];

		if (m)
			put(e, m, 1);
		map = rng_one_in(r, 3) ? 2 + rng_below(r, 2) : 1;
	} else if (isa == ISA_INTEGER) {
		map = rng_one_in(r, 3) ? (rng_one_in(r, 5) ? 2 : 1) : 0;
	}
	if (rng_one_in(r, 2) || base & 8 || index & 8)
		put(e,
		    0x40 | rng_below(r, 2) << 3 | rng_below(r, 2) << 2 |
			    (index & 8) >> 2 | (base & 8) >> 3,
		    1);
	if (map)
		put(e, 0x0f, 1);
	if (map == 2)
		put(e, 0x38, 1);
	if (map == 3)
		put(e, 0x3a, 1);
	if (isa == ISA_X87) {
		modrm = !rng_one_in(r, 60);
		put(e, modrm ? 0xd8 + rng_below(r, 8) : 0x9b, 1);
	} else {
		put(e, rng_below(r, 256), 1);
	}
	if (modrm)
		put_modrm(e, r, base, index, memory);
	/* Immediates: small ones are more telling. */
	put(e, rng_one_in(r, 2) ? rng_next(r) : rng_below(r, 64), 8);
}

/* ---- blocks ------------------------------------------------------------------------------------------ */

/* Shifts and rotates leave flags alone when the count is 0, which the table cannot say. */
static bool may_keep_flags(const ZydisDecodedInstruction *insn)
{
	return insn->meta.category == ZYDIS_CATEGORY_SHIFT ||
	       insn->meta.category == ZYDIS_CATEGORY_ROTATE ||
	       insn->meta.category == ZYDIS_CATEGORY_STRINGOP;
}

static bool flags_fit(const ZydisDecodedInstruction *insn, struct progress *p)
{
	u32 undefined = 0, defined = 0, tested = 0;

	if (insn->cpu_flags) {
		undefined = insn->cpu_flags->undefined & ARITH;
		defined = (insn->cpu_flags->modified | insn->cpu_flags->set_0 |
			   insn->cpu_flags->set_1) &
			  ARITH;
		tested = insn->cpu_flags->tested & ARITH;
	}
	switch ((int)insn->mnemonic) {
	case ZYDIS_MNEMONIC_PUSHF:
	case ZYDIS_MNEMONIC_PUSHFD:
	case ZYDIS_MNEMONIC_PUSHFQ:
	case ZYDIS_MNEMONIC_LAHF:
		tested = ARITH;
		break;
	case ZYDIS_MNEMONIC_BSF: /* only ZF is promised */
	case ZYDIS_MNEMONIC_BSR:
		undefined = ARITH & ~0x40u;
		break;
	}
	if (tested & p->undefined || (undefined && p->no_undefined))
		return false;
	if (!may_keep_flags(insn) && !p->jumped)
		p->undefined &= ~defined;
	p->undefined |= undefined;
	return true;
}

/* Can the jump be made one to a later instruction of the block? It is patched when they are known. */
static bool is_short_jump(const ZydisDecodedInstruction *insn)
{
	return insn->meta.branch_type == ZYDIS_BRANCH_TYPE_SHORT &&
	       (insn->meta.category == ZYDIS_CATEGORY_COND_BR ||
		insn->mnemonic == ZYDIS_MNEMONIC_JMP) &&
	       insn->raw.imm[0].size == 8;
}

static bool has_byte(const ZydisDecodedInstruction *insn, u8 one, u8 other)
{
	for (unsigned k = 0; k < insn->raw.prefix_count; k++)
		if (insn->raw.prefixes[k].value == one ||
		    insn->raw.prefixes[k].value == other)
			return true;
	return false;
}

static bool writes_counter(const ZydisDecodedOperand *op)
{
	ZydisRegister whole;

	if (op->type != ZYDIS_OPERAND_TYPE_REGISTER ||
	    !(op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
		return false;
	whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64,
						 op->reg.value);
	return whole == ZYDIS_REGISTER_R10 || whole == ZYDIS_REGISTER_R12;
}

static bool acceptable(const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *op,
		       unsigned isa, const struct progress *p)
{
	if (!(isa_of(insn) & isa))
		return false;
	if (p->no_jumps && insn->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE)
		return false;
	if (excluded_why(insn) && !is_short_jump(insn))
		return false;
	if (insn->meta.category == ZYDIS_CATEGORY_COND_BR && !is_short_jump(insn))
		return false;
	/* A REP prefix decides what LOOPE and LOOPNE wait for; nobody documents it. */
	if ((insn->mnemonic == ZYDIS_MNEMONIC_LOOPE ||
	     insn->mnemonic == ZYDIS_MNEMONIC_LOOPNE) &&
	    has_byte(insn, 0xf2, 0xf3))
		return false;
	/* A register form of PREFETCH: Intel's NOP, AMD's #UD. */
	if (insn->opcode_map == ZYDIS_OPCODE_MAP_0F && insn->opcode == 0x0d &&
	    insn->raw.modrm.mod == 3)
		return false;
	/* Intel ignores the prefix, AMD cuts RIP to 16 bits. */
	if (is_short_jump(insn) && has_byte(insn, 0x66, 0x66))
		return false;
	for (unsigned k = 0; k < insn->operand_count; k++) {
		/* FS is the C library's; segment registers are the host kernel's affair. */
		if (op[k].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    op[k].mem.segment == ZYDIS_REGISTER_FS)
			return false;
		if (op[k].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ZydisRegisterGetClass(op[k].reg.value) == ZYDIS_REGCLASS_SEGMENT &&
		    op[k].visibility != ZYDIS_OPERAND_VISIBILITY_HIDDEN)
			return false;
		if (p->keep_counters && writes_counter(&op[k]))
			return false;
	}
	if (insn->attributes & ZYDIS_ATTRIB_HAS_SEGMENT_FS)
		return false;
	return true;
}

static unsigned pick_isa(struct rng *r, unsigned isa)
{
	for (;;) {
		unsigned one = 1u << rng_below(r, 4);

		if (one & isa)
			return one;
	}
}

void add_insn(struct block *k, struct rng *r, unsigned isa, struct progress *p)
{
	for (;;) {
		struct encoding e;
		ZydisDecodedInstruction insn;
		ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
		unsigned one = pick_isa(r, isa);

		encode(&e, r, one);
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, e.bytes, e.size, &insn,
							 op)) ||
		    !acceptable(&insn, op, one, p) || !flags_fit(&insn, p))
			continue;
		u8 *at = k->code + k->size;

		memcpy(at, e.bytes, insn.length);
		if (e.rip_relative && insn.raw.disp.size == 32) {
			u64 to = WINDOW_BASE + (rng_one_in(r, 4)
							? WINDOW_SIZE - rng_below(r, 40)
							: rng_below(r, WINDOW_SIZE));
			u32 disp = (u32)(to - (k->rip + k->size + insn.length));

			memcpy(at + insn.raw.disp.offset, &disp, 4);
		}
		if (is_short_jump(&insn)) {
			k->jump[k->insns] = insn.raw.imm[0].offset;
			p->jumped = true;
		}
		k->rep_compare[k->insns] = insn.attributes & (ZYDIS_ATTRIB_HAS_REPE |
							      ZYDIS_ATTRIB_HAS_REPNE);
		k->x87 |= isa_of(&insn) == ISA_X87;
		k->start[k->insns++] = (u16)k->size;
		k->size += insn.length;
		p->ever_undefined |= p->undefined;
		return;
	}
}

static u64 random_u64(struct rng *r)
{
	static const u64 edges[] = { 0,
				     1,
				     2,
				     0x7f,
				     0x80,
				     0xff,
				     0x7fff,
				     0x8000,
				     0xffff,
				     0x7fffffff,
				     0x80000000,
				     0xffffffff,
				     0x100000000,
				     0x7fffffffffffffff,
				     0x8000000000000000,
				     0xffffffffffffffff };

	switch (rng_below(r, 4)) {
	case 0:
		return edges[rng_below(r, ARRAY_COUNT(edges))];
	case 1:
		return rng_below(r, 100);
	case 2:
		return rng_next(r) >> rng_below(r, 64);
	}
	return rng_next(r);
}

static u64 random_pointer(struct rng *r)
{
	u64 a;

	switch (rng_below(r, 10)) {
	case 0:
	case 1:
		a = WINDOW_BASE + WINDOW_SIZE - rng_below(r, 80);
		break;
	case 2:
		a = WINDOW_BASE + rng_below(r, 80) - 20;
		break;
	case 3:
		a = WINDOW_BASE + 4096 - rng_below(r, 80);
		break;
	case 4:
		a = READ_ONLY_BASE + rng_below(r, 4096);
		break;
	default:
		a = WINDOW_BASE + rng_below(r, WINDOW_SIZE);
	}
	return rng_one_in(r, 2) ? a & ~31ull : a;
}

/* One 32-bit or 64-bit lane: floating-point numbers of every kind. */
static void random_lane(struct rng *r, u8 *to, unsigned size)
{
	static const u32 single[] = { 0,	  0x80000000, 0x3f800000, 0xbf800000,
				      0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001,
				      1,	  0x007fffff, 0x00800000, 0x7f7fffff,
				      0x40490fdb, 0x4f000000, 0xcf000000, 0x5f000000 };
	static const u64 full[] = { 0,
				    0x8000000000000000,
				    0x3ff0000000000000,
				    0x7ff0000000000000,
				    0xfff0000000000000,
				    0x7ff8000000000000,
				    0x7ff0000000000001,
				    1,
				    0x000fffffffffffff,
				    0x0010000000000000,
				    0x7fefffffffffffff,
				    0x400921fb54442d18,
				    0x41e0000000000000,
				    0x43e0000000000000 };
	u64 v;

	if (rng_one_in(r, 2))
		v = size == 4 ? single[rng_below(r, ARRAY_COUNT(single))]
			      : full[rng_below(r, ARRAY_COUNT(full))];
	else if (rng_one_in(r, 2)) /* a number of moderate size */
		v = size == 4 ? (rng_next(r) & 0x80ffffff) | 0x3f000000
			      : (rng_next(r) & 0x801fffffffffffff) | 0x3fe0000000000000;
	else
		v = rng_next(r);
	memcpy(to, &v, size);
}

static void random_vector(struct rng *r, u8 *to, unsigned size)
{
	unsigned lane = rng_one_in(r, 2) ? 4 : 8;

	for (unsigned k = 0; k < size; k += lane)
		random_lane(r, to + k, lane);
}

static void random_x87(struct rng *r, struct block_state *s)
{
	s->fcw = rng_one_in(r, 3) ? (u16)(rng_next(r) & 0x1f7f) | 0x40 : 0x37f;
	s->fsw = (u16)(rng_below(r, 8) << 11);
	if (rng_one_in(r, 4))
		s->fsw |= rng_next(r) & 0x4700;
	if (rng_one_in(r, 16))
		s->fsw |= rng_next(r) & 0x7f;
	s->ftw = rng_one_in(r, 3) ? (u8)rng_next(r) : rng_one_in(r, 2) ? 0xff : 0;
	for (unsigned k = 0; k < 8; k++) {
		static const u16 exponents[] = { 0,	 0x8000, 0x3fff, 0xbfff, 0x7fff,
						 0xffff, 1,	 0x7ffe, 0x3ffe, 0x4000,
						 0x403e, 0x401e, 0x3f81, 0x3c01 };
		u64 mantissa = rng_one_in(r, 4) ? 0
						: rng_next(r) >> (rng_below(r, 4) * 16);
		u16 exponent = rng_one_in(r, 3)
				       ? (u16)rng_next(r)
				       : exponents[rng_below(r, ARRAY_COUNT(exponents))];

		if (!rng_one_in(r, 6))
			mantissa |= 0x8000000000000000;
		memset(s->st[k], 0, 16);
		memcpy(s->st[k], &mantissa, 8);
		memcpy(s->st[k] + 8, &exponent, 2);
	}
}

static void random_state(struct block *k, struct rng *r)
{
	struct block_state *s = &k->in;

	memset(s, 0, sizeof(*s));
	for (unsigned n = 0; n < 16; n++)
		s->gpr[n] = random_u64(r);
	for (unsigned n = 0; n < sizeof(indexes); n++)
		if (!rng_one_in(r, 4))
			s->gpr[indexes[n]] = rng_below(r, 40);
	for (unsigned n = 0; n < sizeof(pointers); n++)
		if (!rng_one_in(r, 20))
			s->gpr[pointers[n]] = random_pointer(r);
	s->rip = k->rip;
	/* IF is set at CPL 3 on any host; DF at times. */
	s->flags = 0x202 | (rng_next(r) & ARITH) | (rng_one_in(r, 5) ? 0x400 : 0);
	s->mxcsr = rng_one_in(r, 2) ? 0x1f80 : (u32)rng_next(r) & 0xffff;
	if (rng_one_in(r, 2))
		s->mxcsr |= 0x1f80;
	random_x87(r, s);
	for (unsigned n = 0; n < 16; n++)
		random_vector(r, s->ymm[n], 32);
	/* Between programs that use AVX the upper halves are zero, and the translator loads none. */
	for (unsigned n = 0; n < 16 && k->seed & 1; n++)
		memset(s->ymm[n] + 16, 0, 16);
}

void generate_memory(struct batch *b, u64 seed)
{
	struct rng r;

	rng_seed(&r, seed ^ 0x6d656d6f7279);
	for (unsigned k = 0; k < WINDOW_SIZE; k += 32)
		random_vector(&r, b->window + k, 32);
	for (unsigned k = 0; k < 4096; k += 32)
		random_vector(&r, b->read_only + k, 32);
}

/* Up to eight instructions; jumps go forward. */
static void generate_straight(struct block *k, struct rng *r, unsigned isa,
			      struct progress *p)
{
	unsigned count = 1 + (unsigned)rng_below(r, 8);

	for (unsigned n = 0; n < count; n++)
		add_insn(k, r, isa, p);
	k->start[k->insns] = (u16)k->size;
	k->code[k->size++] = 0xcc;
	for (unsigned n = 0; n < count; n++) {
		if (!k->jump[n])
			continue;
		unsigned to = n + 1 + (unsigned)rng_below(r, count - n);

		k->code[k->start[n] + k->jump[n]] = (u8)(k->start[to] - k->start[n + 1]);
	}
}

void generate_block(struct block *k, unsigned slot, u64 seed, unsigned isa)
{
	struct rng r;
	struct progress p = { 0 };

	rng_seed(&r, seed);
	memset(k, 0, sizeof(*k));
	k->seed = seed;
	/* Every fourth block may cross into the next page, where the next one begins late. */
	unsigned offset = slot % 4 == 3 && slot + 1 < BATCH
				  ? 880 + (unsigned)rng_below(&r, 144)
				  : 160 + (unsigned)rng_below(&r, 700);

	if (isa & ISA_FLOW) { /* longer ones, up to where the next one may begin */
		unsigned room = CODE_SLOT + 160 - offset;

		if (slot % 4 != 3) {
			offset = 160 + (unsigned)rng_below(&r, 440);
			room = BLOCK_BYTES;
		}
		k->rip = CODE_BASE + slot * CODE_SLOT + offset;
		generate_flow(k, &r, isa & ISA_ALL,
			      room < BLOCK_BYTES ? room : BLOCK_BYTES, &p);
	} else {
		k->rip = CODE_BASE + slot * CODE_SLOT + offset;
		generate_straight(k, &r, isa, &p);
	}
	/* A fault may come at any of them, so whatever was undefined once may be at the end. */
	k->undefined_flags = p.ever_undefined;
	random_state(k, &r);
}

void block_place(struct batch *b, unsigned slot)
{
	const struct block *k = &b->blocks[slot];

	memcpy(b->code + (k->rip - CODE_BASE), k->code, k->size);
}

void block_cut(struct block *k, unsigned insns)
{
	k->insns = insns;
	k->size = k->start[insns];
	k->code[k->size++] = 0xcc;
	for (unsigned n = 0; n < insns; n++)
		if (k->jump[n] &&
		    k->start[n + 1] + k->code[k->start[n] + k->jump[n]] > k->start[insns])
			k->code[k->start[n] + k->jump[n]] =
				(u8)(k->start[insns] - k->start[n + 1]);
}

/* ---- words ------------------------------------------------------------------------------------------- */

static bool decode_at(const struct block *k, unsigned insn,
		      ZydisDecodedInstruction *ret_insn, ZydisDecodedOperand *op)
{
	return ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, k->code + k->start[insn],
						   k->size - k->start[insn], ret_insn,
						   op));
}

const char *insn_name(const struct block *k, unsigned insn)
{
	ZydisDecodedInstruction i;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];

	return decode_at(k, insn, &i, op) ? ZydisMnemonicGetString(i.mnemonic) : "?";
}

const char *block_text(const struct block *k, char *text, size_t size)
{
	size_t n = 0;

	for (unsigned j = 0; j <= k->insns; j++) {
		ZydisDecodedInstruction i;
		ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
		char line[120] = "?";
		unsigned length = 1;

		if (decode_at(k, j, &i, op)) {
			ZydisFormatterFormatInstruction(&formatter, &i, op,
							i.operand_count_visible, line,
							sizeof(line),
							k->rip + k->start[j], NULL);
			length = i.length;
		}
		n += (size_t)snprintf(text + n, size - n, "  %llx  ",
				      (unsigned long long)(k->rip + k->start[j]));
		for (unsigned b = 0; b < length && n < size; b++)
			n += (size_t)snprintf(text + n, size - n, "%02x",
					      k->code[k->start[j] + b]);
		if (n < size)
			n += (size_t)snprintf(text + n, size - n, "%*s%s\n",
					      (int)(32 - 2 * length), "", line);
		if (n >= size)
			break;
	}
	return text;
}
