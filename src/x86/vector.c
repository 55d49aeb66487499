/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which handler a vector instruction gets: the checks of features and of the processor's state,
 * and the re-encoding for a native thunk. See vector.h for the whole.
 *
 * Re-encoding: the opcode, its mandatory prefix or VEX fields and the immediate stay. A memory
 * operand becomes (RDX) or (R9). A general register becomes RAX; those that are implied (PCMPESTRI) stay what
 * they are. A vector register keeps its number in a particular thunk, and gets a standard one in
 * a standard thunk (thunk.h says when).
 *
 * Thread: the VP's.
 */
#include "x86/vector.h"

#include "x86/decode.h"
#include "x86/thunk.h"

/* A vector register operand while the thunk is put together. */
struct builder {
	const struct x86_decoded *d;
	struct thunk t;
	u8 host[16]; /* guest number -> host number */
	const ZydisDecodedOperand *memory;
	bool standard;
	u8 guests[4]; /* standard: guest register of slot 16 + k */
	unsigned guest_count;
	bool general_reg, general_rm; /* ModRM fields that name a general register */
	bool xmm0_implied;
};

static bool is_mmx(const struct x86_decoded *d)
{
	if (d->insn.mnemonic == ZYDIS_MNEMONIC_EMMS)
		return true;
	for (unsigned k = 0; k < d->insn.operand_count; k++)
		if (d->op[k].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ZydisRegisterGetClass(d->op[k].reg.value) == ZYDIS_REGCLASS_MMX)
			return true;
	return false;
}

/* What of c->vector_features the instruction needs; false: nothing of ours, or never shown. */
static bool needed_features(const struct x86_decoded *d, u32 *ret_needed)
{
	u32 n = 0;

	switch ((int)d->insn.meta.isa_set) {
	case ZYDIS_ISA_SET_PENTIUMMMX:
	case ZYDIS_ISA_SET_SSE:
	case ZYDIS_ISA_SET_SSE2:
	case ZYDIS_ISA_SET_SSE2MMX:
	case ZYDIS_ISA_SET_SSEMXCSR:
		break;
	case ZYDIS_ISA_SET_SSE3:
		n = X86_HAS_SSE3;
		break;
	case ZYDIS_ISA_SET_SSSE3:
	case ZYDIS_ISA_SET_SSSE3MMX:
		n = X86_HAS_SSSE3;
		break;
	case ZYDIS_ISA_SET_SSE4:
		n = X86_HAS_SSE41;
		break;
	case ZYDIS_ISA_SET_SSE42:
		n = X86_HAS_SSE42;
		break;
	case ZYDIS_ISA_SET_AES:
		n = X86_HAS_AES;
		break;
	case ZYDIS_ISA_SET_PCLMULQDQ:
		n = X86_HAS_PCLMUL;
		break;
	case ZYDIS_ISA_SET_SHA:
		n = X86_HAS_SHA;
		break;
	case ZYDIS_ISA_SET_GFNI:
		n = X86_HAS_GFNI;
		break;
	case ZYDIS_ISA_SET_AVX_GFNI:
		n = X86_HAS_GFNI | X86_HAS_AVX;
		break;
	case ZYDIS_ISA_SET_AVX:
		n = X86_HAS_AVX;
		if (d->insn.mnemonic == ZYDIS_MNEMONIC_VPCLMULQDQ)
			n |= X86_HAS_PCLMUL;
		break;
	case ZYDIS_ISA_SET_AVXAES:
		n = X86_HAS_AVX | X86_HAS_AES;
		break;
	case ZYDIS_ISA_SET_F16C:
		n = X86_HAS_AVX | X86_HAS_F16C;
		break;
	case ZYDIS_ISA_SET_FMA:
		n = X86_HAS_AVX | X86_HAS_FMA;
		break;
	case ZYDIS_ISA_SET_AVX2:
	case ZYDIS_ISA_SET_AVX2GATHER:
		n = X86_HAS_AVX | X86_HAS_AVX2;
		break;
	case ZYDIS_ISA_SET_VAES:
		n = X86_HAS_AVX | X86_HAS_VAES;
		break;
	case ZYDIS_ISA_SET_VPCLMULQDQ:
		n = X86_HAS_AVX | X86_HAS_VPCLMUL;
		break;
	default:
		return false;
	}
	*ret_needed = n;
	return d->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY ||
	       d->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
}

/*
 * Does the result, or what is signalled, depend on MXCSR? By opcode, since Zydis 4.0 does not list
 * MXCSR. Saying yes too often costs a comparison only.
 */
static bool depends_on_mxcsr(const ZydisDecodedInstruction *insn)
{
	u8 op = insn->opcode;

	switch ((int)insn->opcode_map) {
	case ZYDIS_OPCODE_MAP_0F:
		return op == 0x2a || (op >= 0x2c && op <= 0x2f) ||
		       (op >= 0x51 && op <= 0x53) || (op >= 0x58 && op <= 0x5f) ||
		       op == 0x7c || op == 0x7d || op == 0xc2 || op == 0xd0 || op == 0xe6;
	case ZYDIS_OPCODE_MAP_0F38:
		return op == 0x13 ||
		       ((op & 0xf) >= 6 && (op >> 4) >= 9 && (op >> 4) <= 11);
	case ZYDIS_OPCODE_MAP_0F3A:
		return (op >= 0x08 && op <= 0x0b) || op == 0x1d || op == 0x40 ||
		       op == 0x41;
	}
	return false;
}

/* Bits of the address that must be clear. */
static u8 alignment_of(const struct x86_decoded *d, unsigned size)
{
	switch ((int)d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_MOVUPS:
	case ZYDIS_MNEMONIC_MOVUPD:
	case ZYDIS_MNEMONIC_MOVDQU:
	case ZYDIS_MNEMONIC_LDDQU:
	case ZYDIS_MNEMONIC_PCMPESTRI:
	case ZYDIS_MNEMONIC_PCMPESTRM:
	case ZYDIS_MNEMONIC_PCMPISTRI:
	case ZYDIS_MNEMONIC_PCMPISTRM:
		return 0;
	case ZYDIS_MNEMONIC_VMOVAPS:
	case ZYDIS_MNEMONIC_VMOVAPD:
	case ZYDIS_MNEMONIC_VMOVDQA:
	case ZYDIS_MNEMONIC_VMOVNTDQ:
	case ZYDIS_MNEMONIC_VMOVNTDQA:
	case ZYDIS_MNEMONIC_VMOVNTPS:
	case ZYDIS_MNEMONIC_VMOVNTPD:
		return (u8)(size - 1);
	}
	/* AMD does not check SHA's operands (measured on Zen 4); Intel's manual does. */
	if (d->insn.meta.isa_set == ZYDIS_ISA_SET_SHA && d->cpu->amd)
		return 0;
	return d->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY && size == 16 ? 15
										   : 0;
}

/* ---- handlers ----------------------------------------------------------------------------------- */

void vector_raise_ud(struct x86_cpu *c, const struct x86_insn *i)
{
	x86_raise(c, i, X86_UD);
}

void vector_raise_nm(struct x86_cpu *c, const struct x86_insn *i)
{
	x86_raise(c, i, X86_NM);
}

/* CR0.EM or TS is set; EM comes first, and is #UD for all but x87. */
static void raise_unavailable(struct x86_cpu *c, const struct x86_insn *i)
{
	x86_raise(c, i, c->s.cr0 & BIT(2) ? X86_UD : X86_NM);
}

/* For VEX: EM is nothing to it. */
static void raise_nm(struct x86_cpu *c, const struct x86_insn *i)
{
	x86_raise(c, i, X86_NM);
}

const void *vector_read_slow(struct x86_cpu *c, const struct x86_insn *i, gva_t a,
			     unsigned size)
{
	const struct x86_tlb_entry *e = x86_tlb_at(c, a);
	void *scratch = vector_scratch(c);

	if (i->flags & VECTOR_WAITS)
		x87_wait(c, i);
	x86_check_aligned(c, i, a, size);
	x86_copy_from_guest(c, i, a, scratch, size);
	/* The copy filled the entry: the page itself, if it is one of plain memory. */
	return vector_hit(e->read_tag, c, a, size) ? (const void *)(a + e->addend)
						   : scratch;
}

void vector_write_slow(struct x86_cpu *c, const struct x86_insn *i, gva_t a,
		       const void *from, unsigned size)
{
	x86_check_aligned(c, i, a, size);
	x86_copy_to_guest(c, i, a, from, size);
}

void vector_misaligned(struct x86_cpu *c, const struct x86_insn *i)
{
	if (i->flags & VECTOR_WAITS)
		x87_wait(c, i);
	x86_raise_code(c, i, X86_GP, 0);
}

/* i->imm = the thunk, i->reg = size, i->rm = alignment. */
static void op_read(struct x86_cpu *c, const struct x86_insn *i)
{
	gva_t a = vector_address(c, i, i->reg, false);

	((thunk_fn)i->imm)(c, i, vector_read(c, i, a, i->reg));
	NEXT(c, i);
}

static void op_write(struct x86_cpu *c, const struct x86_insn *i)
{
	gva_t a = vector_address(c, i, i->reg, true);
	const struct x86_tlb_entry *e = x86_tlb_at(c, a);

	if (vector_hit(e->write_tag, c, a, i->reg)) {
		((thunk_fn)i->imm)(c, i, (const void *)(a + e->addend));
		if (UNLIKELY(atomic_load_explicit(e->code, memory_order_relaxed)))
			x86_code_written(c, a, i->reg);
	} else {
		if (i->flags & VECTOR_WAITS)
			x87_wait(c, i);
		x86_check_aligned(c, i, a, i->reg);
		x86_probe(c, i, a, i->reg, true);
		((thunk_fn)i->imm)(c, i, vector_scratch(c));
		x86_copy_to_guest(c, i, a, vector_scratch(c), i->reg);
	}
	NEXT(c, i);
}

/* The same with standard registers: i->extra = the guest's, four bits each, the result's first. */
static void standard_in(struct x86_cpu *c, const struct x86_insn *i)
{
	for (unsigned k = 0; k < 4; k++)
		memcpy(c->v[16 + k], c->v[(i->extra >> (4 * k)) & 15], 32);
}

static void standard_out(struct x86_cpu *c, const struct x86_insn *i)
{
	memcpy(c->v[i->extra & 15], c->v[16], 32);
}

static void op_standard(struct x86_cpu *c, const struct x86_insn *i)
{
	standard_in(c, i);
	((thunk_fn)i->imm)(c, i, NULL);
	standard_out(c, i);
	NEXT(c, i);
}

static void op_read_standard(struct x86_cpu *c, const struct x86_insn *i)
{
	gva_t a = vector_address(c, i, i->reg, false);
	const void *p = vector_read(c, i, a, i->reg);

	standard_in(c, i);
	((thunk_fn)i->imm)(c, i, p);
	standard_out(c, i);
	NEXT(c, i);
}

static void op_write_standard(struct x86_cpu *c, const struct x86_insn *i)
{
	gva_t a = vector_address(c, i, i->reg, true);

	if (i->flags & VECTOR_WAITS)
		x87_wait(c, i);
	x86_check_aligned(c, i, a, i->reg);
	x86_probe(c, i, a, i->reg, true);
	standard_in(c, i);
	((thunk_fn)i->imm)(c, i, vector_scratch(c));
	x86_copy_to_guest(c, i, a, vector_scratch(c), i->reg);
	NEXT(c, i);
}

/* ---- re-encoding --------------------------------------------------------------------------------- */

static struct thunk_register *register_of(struct builder *b, unsigned guest)
{
	struct thunk *t = &b->t;

	for (unsigned k = 0; k < t->register_count; k++)
		if (t->registers[k].host == b->host[guest])
			return &t->registers[k];
	return NULL;
}

static void add_vector(struct builder *b, const ZydisDecodedOperand *op)
{
	unsigned guest = x86_decode_reg(op->reg.value);
	bool written = op->actions & (ZYDIS_OPERAND_ACTION_MASK_WRITE);
	bool read = op->actions & (ZYDIS_OPERAND_ACTION_MASK_READ);
	struct thunk_register *r = b->host[guest] == 0xff ? NULL : register_of(b, guest);

	if (!r) {
		r = &b->t.registers[b->t.register_count++];
		if (b->standard) {
			r->host = guest == 0 && b->xmm0_implied
					  ? 0
					  : (u8)(1 + b->guest_count);
			r->slot = (u8)(16 + b->guest_count);
			b->guests[b->guest_count++] = (u8)guest;
		} else {
			r->host = r->slot = (u8)guest;
		}
		b->host[guest] = r->host;
	}
	/* Legacy instructions may keep a part of their destination, VEX ones never do. */
	r->load |= read || !b->t.vex;
	r->store |= written;
	r->wide |= ZydisRegisterGetClass(op->reg.value) == ZYDIS_REGCLASS_YMM;
}

static void add_general(struct builder *b, const ZydisDecodedOperand *op)
{
	struct thunk_general *g = &b->t.generals[b->t.general_count++];
	unsigned guest = x86_decode_reg(op->reg.value);

	g->guest = (u8)guest;
	g->host = (u8)guest; /* implied: RAX, RCX, RDX */
	if (op->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG) {
		b->general_reg = true;
		g->host = 0;
	} else if (op->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM) {
		b->general_rm = true;
		g->host = 0;
	} else if (g->host == 2) {
		b->t.memory_in_r9 = true;
	}
	g->load = true;
	g->store = op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
}

/* PCMPESTRM and PCMPISTRM leave their result in XMM0. */
static bool makes_mask(const ZydisDecodedInstruction *insn)
{
	switch ((int)insn->mnemonic) {
	case ZYDIS_MNEMONIC_PCMPESTRM:
	case ZYDIS_MNEMONIC_PCMPISTRM:
	case ZYDIS_MNEMONIC_VPCMPESTRM:
	case ZYDIS_MNEMONIC_VPCMPISTRM:
		return true;
	}
	return false;
}

static bool add_operands(struct builder *b)
{
	const struct x86_decoded *d = b->d;

	static const ZydisDecodedOperand xmm0_result = {
		.type = ZYDIS_OPERAND_TYPE_REGISTER,
		.visibility = ZYDIS_OPERAND_VISIBILITY_HIDDEN,
		.actions = ZYDIS_OPERAND_ACTION_WRITE,
		.reg.value = ZYDIS_REGISTER_XMM0,
	};

	/* Zydis 4.0 does not list it. First, so that it is the result of a standard thunk. */
	if (makes_mask(&d->insn)) {
		b->xmm0_implied = true;
		add_vector(b, &xmm0_result);
	}
	for (unsigned k = 0; k < d->insn.operand_count; k++)
		b->xmm0_implied |= d->op[k].type == ZYDIS_OPERAND_TYPE_REGISTER &&
				   d->op[k].visibility ==
					   ZYDIS_OPERAND_VISIBILITY_HIDDEN &&
				   d->op[k].reg.value == ZYDIS_REGISTER_XMM0;
	for (unsigned k = 0; k < d->insn.operand_count; k++) {
		const ZydisDecodedOperand *op = &d->op[k];

		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
			if (op->mem.type != ZYDIS_MEMOP_TYPE_MEM || b->memory ||
			    op->visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
				return false;
			b->memory = op;
			continue;
		}
		if (op->type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		switch ((int)ZydisRegisterGetClass(op->reg.value)) {
		case ZYDIS_REGCLASS_XMM:
		case ZYDIS_REGCLASS_YMM:
			if (b->t.register_count == 4)
				return false;
			add_vector(b, op);
			break;
		case ZYDIS_REGCLASS_GPR16:
		case ZYDIS_REGCLASS_GPR32:
		case ZYDIS_REGCLASS_GPR64:
			if (b->t.general_count == ARRAY_COUNT(b->t.generals))
				return false;
			add_general(b, op);
			break;
		}
	}
	return true;
}

static unsigned copy_immediate(struct builder *b, u8 *code, unsigned n)
{
	const struct x86_decoded *d = b->d;

	for (unsigned k = 0; k < 2 && d->insn.raw.imm[k].size; k++) {
		unsigned size = d->insn.raw.imm[k].size / 8;

		memcpy(code + n, d->bytes + d->insn.raw.imm[k].offset, size);
		n += size;
	}
	return n;
}

/* The ModRM byte; what goes into the R and B bits is returned. */
static u8 encode_modrm(struct builder *b, bool *ret_r, bool *ret_b)
{
	const struct x86_decoded *d = b->d;
	unsigned reg = d->insn.raw.modrm.reg, rm = d->insn.raw.modrm.rm;

	for (unsigned k = 0; k < d->insn.operand_count; k++) {
		const ZydisDecodedOperand *op = &d->op[k];

		if (op->type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		bool vector = ZydisRegisterGetClass(op->reg.value) ==
				      ZYDIS_REGCLASS_XMM ||
			      ZydisRegisterGetClass(op->reg.value) == ZYDIS_REGCLASS_YMM;

		if (op->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG && vector)
			reg = b->host[x86_decode_reg(op->reg.value)];
		if (op->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM && vector)
			rm = b->host[x86_decode_reg(op->reg.value)];
	}
	if (b->general_reg)
		reg = 0;
	if (b->general_rm)
		rm = 0;
	if (b->memory)
		rm = b->t.memory_in_r9 ? 9 : 2;
	*ret_r = reg & 8;
	*ret_b = rm & 8;
	return (u8)((b->memory ? 0 : 0xc0) | (reg & 7) << 3 | (rm & 7));
}

static bool encode_legacy(struct builder *b)
{
	const struct x86_decoded *d = b->d;
	u8 *code = b->t.code;
	unsigned n = 0;
	bool r, rb;
	bool modrm = d->insn.attributes & ZYDIS_ATTRIB_HAS_MODRM;
	u8 m = modrm ? encode_modrm(b, &r, &rb) : 0;

	for (unsigned k = 0; k < d->insn.raw.prefix_count; k++)
		if (d->insn.raw.prefixes[k].type == ZYDIS_PREFIX_TYPE_MANDATORY)
			code[n++] = d->insn.raw.prefixes[k].value;
	/* W chooses the size of a general register, and of nothing else. */
	bool wide = d->insn.attributes & ZYDIS_ATTRIB_HAS_REX && d->insn.raw.rex.W &&
		    (b->t.general_count || b->memory);
	u8 rex = wide ? 0x48 : 0;

	if (modrm && r)
		rex |= 0x44;
	if (modrm && rb)
		rex |= 0x41;
	if (rex)
		code[n++] = rex;
	switch ((int)d->insn.opcode_map) {
	case ZYDIS_OPCODE_MAP_DEFAULT:
		break;
	case ZYDIS_OPCODE_MAP_0F:
		code[n++] = 0x0f;
		break;
	case ZYDIS_OPCODE_MAP_0F38:
		code[n++] = 0x0f;
		code[n++] = 0x38;
		break;
	case ZYDIS_OPCODE_MAP_0F3A:
		code[n++] = 0x0f;
		code[n++] = 0x3a;
		break;
	default:
		return false;
	}
	code[n++] = d->insn.opcode;
	if (modrm)
		code[n++] = m;
	b->t.size = (u8)copy_immediate(b, code, n);
	return true;
}

static bool encode_vex(struct builder *b)
{
	const struct x86_decoded *d = b->d;
	const u8 *vex = d->bytes + d->insn.raw.vex.offset;
	bool three = vex[0] == 0xc4, r = false, rb = false;
	u8 map = three ? vex[1] & 0x1f : 1, last = three ? vex[2] : vex[1] & 0x7f;
	u8 *code = b->t.code, m = 0;

	if (!(d->insn.attributes & ZYDIS_ATTRIB_HAS_MODRM))
		return false;
	m = encode_modrm(b, &r, &rb);
	/* W chooses 64-bit general registers in long mode only. */
	if (!(d->mode & X86_MODE_LONG) && b->t.general_count)
		last &= 0x7f;
	for (unsigned k = 0; k < d->insn.operand_count; k++) {
		const ZydisDecodedOperand *op = &d->op[k];

		if (op->type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    op->encoding == ZYDIS_OPERAND_ENCODING_NDSNDD)
			last = (u8)((last & 0x87) |
				    (~b->host[x86_decode_reg(op->reg.value)] & 15) << 3);
	}
	code[0] = 0xc4;
	code[1] = (u8)((r ? 0 : 0x80) | 0x40 | (rb ? 0 : 0x20) | map);
	code[2] = last;
	code[3] = d->insn.opcode;
	code[4] = m;
	unsigned n = copy_immediate(b, code, 5);

	for (unsigned k = 0; k < d->insn.operand_count; k++) {
		const ZydisDecodedOperand *op = &d->op[k];

		if (op->type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    op->encoding == ZYDIS_OPERAND_ENCODING_IS4) {
			code[5] = (u8)((d->bytes[d->insn.length - 1] & 15) |
				       b->host[x86_decode_reg(op->reg.value)] << 4);
			n = 6;
		}
	}
	b->t.size = (u8)n;
	return true;
}

static bool build(struct builder *b, const struct x86_decoded *d, bool standard)
{
	memset(b, 0, sizeof(*b));
	memset(b->host, 0xff, sizeof(b->host));
	b->d = d;
	b->standard = standard;
	b->t.vex = d->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
	if (!add_operands(b))
		return false;
	b->t.mxcsr = depends_on_mxcsr(&d->insn);
	if (d->insn.cpu_flags) {
		const ZydisAccessedFlags *f = d->insn.cpu_flags;

		b->t.flags_out = (f->modified | f->set_0 | f->set_1 | f->undefined) &
				 X86_ARITH;
		b->t.flags_in = b->t.flags_out || (f->tested & X86_ARITH);
	}
	return b->t.vex ? encode_vex(b) : encode_legacy(b);
}

bool vector_choose_thunk(const struct x86_decoded *d, struct x86_insn *i)
{
	struct builder b;
	bool standard = false;
	thunk_fn f;

	if (!build(&b, d, false))
		return false;
	b.t.chain = !b.memory;
	f = thunk_make(&b.t, false);
	if (!f) {
		standard = true;
		if (!build(&b, d, true))
			return false;
		f = thunk_make(&b.t, true);
		if (!f)
			return false;
		for (unsigned k = 0; k < 4; k++)
			i->extra |=
				(u16)((k < b.guest_count ? b.guests[k] : 0) << (4 * k));
	}
	i->imm = (u64)(uintptr_t)f;
	if (!b.memory) {
		/* The chaining thunk has the signature of a handler, and one argument more. */
		i->fn = standard ? op_standard : (x86_fn)(uintptr_t)f;
		return true;
	}
	x86_decode_memory(d, b.memory, i);
	i->reg = (u8)(b.memory->size / 8);
	i->rm = alignment_of(d, i->reg);
	if (is_mmx(d))
		i->flags |= VECTOR_WAITS;
	if (b.memory->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
		i->fn = standard ? op_write_standard : op_write;
	else
		i->fn = standard ? op_read_standard : op_read;
	return true;
}

/* ---- choosing ------------------------------------------------------------------------------------ */

bool x86_choose_vector(const struct x86_decoded *d, struct x86_insn *i)
{
	const ZydisDecodedInstruction *insn = &d->insn;
	u32 needed;

	if (xsave_is(d))
		return xsave_choose(d, i);
	if (insn->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT &&
	    ((insn->opcode >= 0xd8 && insn->opcode <= 0xdf) || insn->opcode == 0x9b))
		return x87_choose(d, i);
	if (!needed_features(d, &needed) || (needed & ~d->cpu->vector_features))
		return false;
	bool vex = insn->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;

	/* #UD comes before #NM. EM is part of NO_SSE; MMX alone looks at EM itself. */
	if (vex ? (d->mode & X86_MODE_NO_AVX) || !(d->mode & X86_MODE_PE) ||
			    (d->mode & X86_MODE_V86)
		: !is_mmx(d) && (d->mode & X86_MODE_NO_SSE)) {
		i->fn = vector_raise_ud;
		i->flags |= X86_INSN_ENDS;
		return true;
	}
	if (d->mode & (vex ? X86_MODE_NO_VEX : X86_MODE_NO_FPU)) {
		i->fn = vex ? raise_nm : raise_unavailable;
		i->flags |= X86_INSN_ENDS;
		return true;
	}
	return vector_choose_move(d, i) || vector_choose_mask(d, i) ||
	       vector_choose_thunk(d, i);
}
