/* SPDX-License-Identifier: Apache-2.0 */
/* One instruction from bytes to a record: x86/decode.h. Zydis does the bytes; the VP's thread. */
#include "x86/decode.h"

#include <pthread.h>
#include <stdio.h>

#include "x86/jit/jit.h"

/* By width of code: 16, 32, 64 bits. */
static ZydisDecoder decoders[3];
static pthread_once_t decoders_once = PTHREAD_ONCE_INIT;

static void decoders_init(void);
static bool choose(const struct x86_decoded *d, struct x86_insn *i);

static const ZydisDecoder *decoder_of(u32 mode)
{
	return &decoders[mode & X86_MODE_LONG ? 2 : mode & X86_MODE_D ? 1 : 0];
}

int x86_decode_one(struct x86_cpu *c, const u8 *bytes, unsigned size, u32 mode,
		   u16 offset, struct x86_insn *ret_insn)
{
	struct x86_decoded d;
	struct x86_insn *i = ret_insn;

	pthread_once(&decoders_once, decoders_init);

	ZyanStatus status =
		ZydisDecoderDecodeFull(decoder_of(mode), bytes, size, &d.insn, d.op);

	if (!ZYAN_SUCCESS(status)) {
		if (status == ZYDIS_STATUS_NO_MORE_DATA)
			return size >= 15 ? -2 : -1;
		return status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG ? -2 : 0;
	}
	d.cpu = c;
	d.bytes = bytes;
	d.mode = mode;
	d.asz = d.insn.address_width;
	d.ssz = d.insn.stack_width;
	if (!(mode & X86_MODE_LONG))
		d.ssz = mode & X86_MODE_SS_B ? 32 : 16;
	d.osz = d.insn.operand_width;
	if (d.osz != 16 && d.osz != 32 && d.osz != 64) { /* 8-bit forms */
		bool wide = mode & (X86_MODE_LONG | X86_MODE_D);

		if (d.insn.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE)
			wide = !wide;
		d.osz = wide ? 32 : 16;
	}

	*i = (struct x86_insn){
		.base = R_ZERO,
		.index = R_ZERO,
		.seg = SEG_FLAT,
		.length = d.insn.length,
		.offset = offset,
	};
	if (d.insn.attributes & ZYDIS_ATTRIB_HAS_LOCK)
		i->flags |= X86_INSN_LOCK;
	if (d.insn.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE))
		i->flags |= X86_INSN_REP;
	if (d.insn.attributes & ZYDIS_ATTRIB_HAS_REPNE)
		i->flags |= X86_INSN_REPNE;

	if (!choose(&d, i))
		return 0;
	if (c->jit.own && !x86_jit_knows(&d))
		i->flags |= X86_INSN_ENDS;
	return d.insn.length;
}

bool x86_decode_raw(u32 mode, const u8 *bytes, unsigned size,
		    ZydisDecodedInstruction *ret_insn, ZydisDecodedOperand *ret_op)
{
	return ZYAN_SUCCESS(
		ZydisDecoderDecodeFull(decoder_of(mode), bytes, size, ret_insn, ret_op));
}

void x86_disassemble(u32 mode, const u8 *bytes, unsigned size, u64 rip, char *text,
		     size_t text_size)
{
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction z;
	ZydisFormatter formatter;
	char one[96];
	size_t at = 0;

	ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_ATT);
	for (unsigned n = 0; n < size && at < text_size; n += z.length) {
		if (!x86_decode_raw(mode, bytes + n, size - n, &z, op) ||
		    !ZYAN_SUCCESS(ZydisFormatterFormatInstruction(
			    &formatter, &z, op, z.operand_count_visible, one, sizeof(one),
			    rip + n, NULL)))
			return;
		at += (size_t)snprintf(text + at, text_size - at, "; %s", one);
	}
}

/* Ask the families; most frequent first. */
static bool choose(const struct x86_decoded *d, struct x86_insn *i)
{
	/* Not in any model that we present. */
	if (d->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX ||
	    d->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_MVEX ||
	    d->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_XOP ||
	    d->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_3DNOW)
		return false;

	const struct x86_insn start = *i;
	bool (*const families[])(const struct x86_decoded *, struct x86_insn *) = {
		x86_choose_integer, x86_choose_control, x86_choose_string,
		x86_choose_system,  x86_choose_vector,
	};

	for (unsigned n = 0; n < ARRAY_COUNT(families); n++) {
		if (families[n](d, i) && i->fn)
			return true;
		*i = start; /* what a family wrote before it declined */
	}
	return false;
}

unsigned x86_decode_reg(ZydisRegister reg)
{
	ZyanI8 id = ZydisRegisterGetId(reg);

	if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH)
		return (unsigned)(reg - ZYDIS_REGISTER_AH);
	if (ZydisRegisterGetClass(reg) == ZYDIS_REGCLASS_GPR8 &&
	    reg >= ZYDIS_REGISTER_SPL)
		return (unsigned)(reg - ZYDIS_REGISTER_SPL) + 4;
	return id < 0 ? 0 : (unsigned)id & 31;
}

unsigned x86_decode_reg8(ZydisRegister reg)
{
	if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH)
		return 8 * (unsigned)(reg - ZYDIS_REGISTER_AH) + 1;
	return 8 * (x86_decode_reg(reg) & 15);
}

u8 x86_decode_segment(const struct x86_decoded *d, ZydisRegister segment)
{
	switch (segment) {
	case ZYDIS_REGISTER_FS:
		return SEG_FS;
	case ZYDIS_REGISTER_GS:
		return SEG_GS;
	case ZYDIS_REGISTER_ES:
	case ZYDIS_REGISTER_CS:
	case ZYDIS_REGISTER_SS:
	case ZYDIS_REGISTER_DS:
		if (d->mode & X86_MODE_LONG)
			return SEG_FLAT;
		return (u8)(SEG_ES + (segment - ZYDIS_REGISTER_ES));
	default:
		return d->mode & X86_MODE_LONG ? SEG_FLAT : SEG_DS;
	}
}

void x86_decode_memory(const struct x86_decoded *d, const ZydisDecodedOperand *op,
		       struct x86_insn *i)
{
	s64 disp = op->mem.disp.has_displacement ? op->mem.disp.value : 0;

	i->seg = x86_decode_segment(d, op->mem.segment);
	if (d->asz != 64)
		i->flags |= X86_INSN_SLOW_EA |
			    (d->asz == 32 ? X86_INSN_ADDR32 : X86_INSN_ADDR16);

	/*
	 * No base but a displacement, whatever REX.B says. Zydis 4.0 overlooks that with an address
	 * size of 32 bits.
	 */
	if (d->asz != 16 && op->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM &&
	    d->insn.raw.modrm.mod == 0 && d->insn.raw.modrm.rm == 4 &&
	    d->insn.raw.sib.base == 5) {
		disp = d->insn.raw.disp.value;
	} else if (op->mem.base == ZYDIS_REGISTER_RIP ||
		   op->mem.base == ZYDIS_REGISTER_EIP) {
		i->base = R_BLOCK;
		disp += i->offset + i->length;
		if (disp !=
		    (s32)disp) { /* near +2 GiB: x86_ea_slow() adds what is lost */
			i->flags |= X86_INSN_SLOW_EA | X86_INSN_WRAP;
		}
	} else if (d->asz == 32 && d->mode & X86_MODE_LONG &&
		   op->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM &&
		   d->insn.raw.modrm.mod == 0 && d->insn.raw.modrm.rm == 4 &&
		   d->insn.raw.sib.base == 5) {
		/* No base but a displacement; Zydis 4.0 says R13D and none when REX.B is set. */
		disp = (s32)d->insn.raw.disp.value;
	} else if (op->mem.base != ZYDIS_REGISTER_NONE) {
		i->base = (u8)(x86_decode_reg(op->mem.base) & 15);
	}
	if (op->mem.index != ZYDIS_REGISTER_NONE) {
		i->index = (u8)(x86_decode_reg(op->mem.index) & 15);
		i->scale = (u8)__builtin_ctz(op->mem.scale ? op->mem.scale : 1);
	}
	if (x86_decode_is_moffs64(d)) {
		i->imm = (u64)disp;
		disp = 0;
	}
	i->disp = (s32)disp;
}

/* A displacement below this is taken for an address, one above it for a distance. */
#define LOWEST_DISTANCE (-0x1000000)

bool x86_decode_flat(const struct x86_decoded *d, struct x86_insn *i)
{
	bool based = i->base != R_ZERO || i->index != R_ZERO;

	if (!(i->flags & X86_INSN_SLOW_EA))
		return true;
	if (d->mode & X86_MODE_LONG || !(d->mode & X86_MODE_FLAT) || d->asz != 32)
		return false;
	switch (i->seg) {
	case SEG_ES:
	case SEG_SS:
	case SEG_DS:
		i->seg = SEG_FLAT;
		break;
	case SEG_FS:
		i->seg = SEG_FS_FLAT;
		based = true;
		break;
	case SEG_GS:
		i->seg = SEG_GS_FLAT;
		based = true;
		break;
	default: /* CS is not writable */
		return false;
	}
	if (i->disp >= (based ? LOWEST_DISTANCE : 0))
		return true;
	if (i->base == R_ZERO) {
		i->base = R_TOP;
	} else if (i->index == R_ZERO) {
		i->index = R_TOP;
		i->scale = 0;
	} else if (i->seg == SEG_FLAT) {
		i->seg = SEG_TOP;
	}
	return true;
}

bool x86_decode_is_moffs64(const struct x86_decoded *d)
{
	if (d->insn.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT || d->insn.opcode < 0xa0 ||
	    d->insn.opcode > 0xa3 || d->asz != 64)
		return false;
	for (unsigned n = 0; n < 2; n++) {
		if (d->op[n].type == ZYDIS_OPERAND_TYPE_MEMORY)
			return d->op[n].mem.disp.value != (s32)d->op[n].mem.disp.value;
	}
	return false;
}

void x86_decode_branch(const struct x86_decoded *d, struct x86_insn *i)
{
	s64 disp = d->op[0].imm.value.s + i->offset + i->length;

	i->imm = 0;
	i->disp = (s32)disp;
	if (disp != (s32)disp)
		i->flags |= X86_INSN_WRAP;
}

static void decoders_init(void)
{
	static const struct {
		ZydisMachineMode machine;
		ZydisStackWidth stack;
	} widths[3] = {
		{ ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16 },
		{ ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32 },
		{ ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64 },
	};

	for (unsigned n = 0; n < 3; n++) {
		ZydisDecoderInit(&decoders[n], widths[n].machine, widths[n].stack);
		ZydisDecoderEnableMode(&decoders[n], ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
		ZydisDecoderEnableMode(&decoders[n], ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
		ZydisDecoderEnableMode(&decoders[n], ZYDIS_DECODER_MODE_CLDEMOTE,
				       ZYAN_FALSE);
	}
}
