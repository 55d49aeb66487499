/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which instructions may be translated, and how: region.h. Thread: any.
 */
#include "x86/decode.h"
#include "x86/jit/jit.h"
#include "x86/jit/region.h"

static bool operands_are_plain(const ZydisDecodedInstruction *z,
			       const ZydisDecodedOperand *op)
{
	for (unsigned n = 0; n < z->operand_count_visible; n++) {
		if (op[n].type == ZYDIS_OPERAND_TYPE_POINTER)
			return false;
		if (op[n].type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		switch (ZydisRegisterGetClass(op[n].reg.value)) {
		case ZYDIS_REGCLASS_GPR8:
		case ZYDIS_REGCLASS_GPR16:
		case ZYDIS_REGCLASS_GPR32:
		case ZYDIS_REGCLASS_GPR64:
		case ZYDIS_REGCLASS_XMM:
		case ZYDIS_REGCLASS_YMM:
			break;
		default:
			return false;
		}
	}
	return true;
}

const ZydisDecodedOperand *jit_memory_operand(const ZydisDecodedInstruction *z,
					      const ZydisDecodedOperand *op)
{
	for (unsigned n = 0; n < z->operand_count_visible; n++)
		if (op[n].type == ZYDIS_OPERAND_TYPE_MEMORY)
			return &op[n];
	return NULL;
}

static bool is_vector_extension(const ZydisDecodedInstruction *z)
{
	switch (z->meta.isa_ext) {
	case ZYDIS_ISA_EXT_SSE:
	case ZYDIS_ISA_EXT_SSE2:
	case ZYDIS_ISA_EXT_SSE3:
	case ZYDIS_ISA_EXT_SSSE3:
	case ZYDIS_ISA_EXT_SSE4:
	case ZYDIS_ISA_EXT_AVX:
	case ZYDIS_ISA_EXT_AVX2:
	case ZYDIS_ISA_EXT_AVXAES:
	case ZYDIS_ISA_EXT_F16C:
	case ZYDIS_ISA_EXT_FMA:
	case ZYDIS_ISA_EXT_AES:
	case ZYDIS_ISA_EXT_PCLMULQDQ:
	case ZYDIS_ISA_EXT_SHA:
	case ZYDIS_ISA_EXT_VAES:
	case ZYDIS_ISA_EXT_VPCLMULQDQ:
		return true;
	default:
		return false;
	}
}

/* Of the extensions above, what is not done in place. */
static bool vector_exception(ZydisMnemonic m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_LDMXCSR:
	case ZYDIS_MNEMONIC_STMXCSR:
	case ZYDIS_MNEMONIC_VLDMXCSR:
	case ZYDIS_MNEMONIC_VSTMXCSR:
	case ZYDIS_MNEMONIC_MASKMOVQ:
	case ZYDIS_MNEMONIC_MASKMOVDQU:
	case ZYDIS_MNEMONIC_VMASKMOVDQU:
	case ZYDIS_MNEMONIC_VMASKMOVPS:
	case ZYDIS_MNEMONIC_VMASKMOVPD:
	case ZYDIS_MNEMONIC_VPMASKMOVD:
	case ZYDIS_MNEMONIC_VPMASKMOVQ:
	case ZYDIS_MNEMONIC_MONITOR:
	case ZYDIS_MNEMONIC_MWAIT:
	case ZYDIS_MNEMONIC_CLFLUSH:
	case ZYDIS_MNEMONIC_PAUSE:
	case ZYDIS_MNEMONIC_FXSAVE:
	case ZYDIS_MNEMONIC_FXRSTOR:
	case ZYDIS_MNEMONIC_FXSAVE64:
	case ZYDIS_MNEMONIC_FXRSTOR64:
	case ZYDIS_MNEMONIC_FISTTP:
		return true;
	default:
		return false;
	}
}

bool jit_touches_vector(const ZydisDecodedInstruction *z, const ZydisDecodedOperand *op)
{
	for (unsigned n = 0; n < z->operand_count; n++) {
		if (op[n].type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		ZydisRegisterClass class = ZydisRegisterGetClass(op[n].reg.value);

		if (class == ZYDIS_REGCLASS_XMM || class == ZYDIS_REGCLASS_YMM)
			return true;
	}
	return z->mnemonic == ZYDIS_MNEMONIC_VZEROUPPER ||
	       z->mnemonic == ZYDIS_MNEMONIC_VZEROALL;
}

static enum jit_kind classify_vector(const ZydisDecodedInstruction *z,
				     const ZydisDecodedOperand *op, u32 mode)
{
	if (z->meta.category == ZYDIS_CATEGORY_PREFETCH)
		return JIT_NOTHING;
	if (vector_exception(z->mnemonic) || z->meta.category == ZYDIS_CATEGORY_GATHER ||
	    z->meta.category == ZYDIS_CATEGORY_AVX2GATHER)
		return JIT_STOP;
	if (!jit_touches_vector(z, op)) {
		switch (z->mnemonic) {
		case ZYDIS_MNEMONIC_LFENCE:
		case ZYDIS_MNEMONIC_MFENCE:
		case ZYDIS_MNEMONIC_SFENCE:
		case ZYDIS_MNEMONIC_MOVNTI:
		case ZYDIS_MNEMONIC_CRC32:
		case ZYDIS_MNEMONIC_POPCNT:
			return JIT_PLAIN;
		default:
			return JIT_STOP;
		}
	}
	if (mode & (X86_MODE_NO_FPU | X86_MODE_NO_SSE))
		return JIT_STOP;
	if (z->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX && mode & X86_MODE_NO_AVX)
		return JIT_STOP;
	return JIT_PLAIN;
}

static enum jit_kind classify_branch(const ZydisDecodedInstruction *z,
				     const ZydisDecodedOperand *op, enum jit_kind direct,
				     enum jit_kind by_reg, enum jit_kind by_mem)
{
	if (z->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR ||
	    z->attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE)
		return JIT_STOP;
	switch (op[0].type) {
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		return direct;
	case ZYDIS_OPERAND_TYPE_REGISTER:
		return by_reg;
	case ZYDIS_OPERAND_TYPE_MEMORY:
		return by_mem;
	default:
		return JIT_STOP;
	}
}

static enum jit_kind classify_stack(const ZydisDecodedInstruction *z,
				    const ZydisDecodedOperand *op)
{
	if (z->attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE)
		return JIT_STOP;
	if (z->mnemonic == ZYDIS_MNEMONIC_PUSH) {
		switch (op[0].type) {
		case ZYDIS_OPERAND_TYPE_REGISTER:
			return JIT_PUSH_REG;
		case ZYDIS_OPERAND_TYPE_IMMEDIATE:
			return JIT_PUSH_IMM;
		case ZYDIS_OPERAND_TYPE_MEMORY:
			return JIT_PUSH_MEM;
		default:
			return JIT_STOP;
		}
	}
	if (z->mnemonic == ZYDIS_MNEMONIC_POP &&
	    op[0].type == ZYDIS_OPERAND_TYPE_REGISTER)
		return JIT_POP_REG;
	return JIT_STOP;
}

/* MOVS and STOS on whole pages at most; what the interpreter is left with is rare. */
static enum jit_kind classify_string(const ZydisDecodedInstruction *z)
{
	if (z->address_width != 64 ||
	    z->attributes & (ZYDIS_ATTRIB_HAS_SEGMENT_FS | ZYDIS_ATTRIB_HAS_SEGMENT_GS |
			     ZYDIS_ATTRIB_HAS_REPNE))
		return JIT_STOP;
	switch (z->mnemonic) {
	case ZYDIS_MNEMONIC_MOVSB:
	case ZYDIS_MNEMONIC_MOVSW:
	case ZYDIS_MNEMONIC_MOVSD:
	case ZYDIS_MNEMONIC_MOVSQ:
		return JIT_MOVS;
	case ZYDIS_MNEMONIC_STOSB:
	case ZYDIS_MNEMONIC_STOSW:
	case ZYDIS_MNEMONIC_STOSD:
	case ZYDIS_MNEMONIC_STOSQ:
		return JIT_STOS;
	default:
		return JIT_STOP;
	}
}

/* What system.c writes; JIT_STOP: nothing of its. */
static enum jit_kind classify_system(const ZydisDecodedInstruction *z,
				     const ZydisDecodedOperand *op, u32 mode)
{
	if (z->meta.category == ZYDIS_CATEGORY_STRINGOP)
		return classify_string(z);
	switch (z->mnemonic) {
	case ZYDIS_MNEMONIC_RDTSC:
		return JIT_RDTSC;
	case ZYDIS_MNEMONIC_RDTSCP:
		return JIT_RDTSCP;
	case ZYDIS_MNEMONIC_PUSHFQ:
		return JIT_PUSHF;
	case ZYDIS_MNEMONIC_RDFSBASE:
	case ZYDIS_MNEMONIC_RDGSBASE:
		return JIT_READ_BASE;
	case ZYDIS_MNEMONIC_WRFSBASE:
	case ZYDIS_MNEMONIC_WRGSBASE:
		return JIT_WRITE_BASE;
	case ZYDIS_MNEMONIC_MOV:
		return z->operand_width >= 32 &&
				       op[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
				       op[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
				       ZydisRegisterGetClass(op[1].reg.value) ==
					       ZYDIS_REGCLASS_SEGMENT
			       ? JIT_READ_SEGMENT
			       : JIT_STOP;
	default:
		break;
	}
	if (mode & X86_MODE_USER)
		return JIT_STOP;
	switch (z->mnemonic) {
	case ZYDIS_MNEMONIC_CLI:
		return JIT_CLI;
	case ZYDIS_MNEMONIC_STI:
		return JIT_STI;
	case ZYDIS_MNEMONIC_SWAPGS:
		return JIT_SWAPGS;
	case ZYDIS_MNEMONIC_STAC:
		return JIT_STAC;
	case ZYDIS_MNEMONIC_CLAC:
		return JIT_CLAC;
	default:
		return JIT_STOP;
	}
}

static enum jit_kind classify_plain(const ZydisDecodedInstruction *z,
				    const ZydisDecodedOperand *op)
{
	const ZydisDecodedOperand *m = jit_memory_operand(z, op);

	switch (z->meta.category) {
	case ZYDIS_CATEGORY_BINARY:
	case ZYDIS_CATEGORY_LOGICAL:
	case ZYDIS_CATEGORY_DATAXFER:
	case ZYDIS_CATEGORY_SHIFT:
	case ZYDIS_CATEGORY_ROTATE:
	case ZYDIS_CATEGORY_CMOV:
	case ZYDIS_CATEGORY_SETCC:
	case ZYDIS_CATEGORY_CONVERT:
	case ZYDIS_CATEGORY_SEMAPHORE:
	case ZYDIS_CATEGORY_BMI1:
	case ZYDIS_CATEGORY_BMI2:
	case ZYDIS_CATEGORY_LZCNT:
		return JIT_PLAIN;
	case ZYDIS_CATEGORY_BITBYTE:
		/* A bit string in memory reaches beyond its operand. */
		if (m && op[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    (z->mnemonic == ZYDIS_MNEMONIC_BT ||
		     z->mnemonic == ZYDIS_MNEMONIC_BTS ||
		     z->mnemonic == ZYDIS_MNEMONIC_BTR ||
		     z->mnemonic == ZYDIS_MNEMONIC_BTC))
			return JIT_STOP;
		return JIT_PLAIN;
	case ZYDIS_CATEGORY_NOP:
	case ZYDIS_CATEGORY_WIDENOP:
		return JIT_NOTHING;
	default:
		break;
	}
	switch (z->mnemonic) {
	case ZYDIS_MNEMONIC_CLC:
	case ZYDIS_MNEMONIC_STC:
	case ZYDIS_MNEMONIC_CMC:
	case ZYDIS_MNEMONIC_LAHF:
	case ZYDIS_MNEMONIC_SAHF:
	case ZYDIS_MNEMONIC_POPCNT:
	case ZYDIS_MNEMONIC_ADCX:
	case ZYDIS_MNEMONIC_ADOX:
		return JIT_PLAIN;
	default:
		return JIT_STOP;
	}
}

enum jit_kind jit_classify(const ZydisDecodedInstruction *z,
			   const ZydisDecodedOperand *op, u32 mode)
{
	const ZydisDecodedOperand *m = jit_memory_operand(z, op);

	if (!(mode & X86_MODE_LONG))
		return JIT_STOP;
	const enum jit_kind system = classify_system(z, op, mode);

	if (system != JIT_STOP)
		return system;
	if (!operands_are_plain(z, op))
		return JIT_STOP;
	if (z->mnemonic == ZYDIS_MNEMONIC_LEA)
		return m->mem.base == ZYDIS_REGISTER_EIP   ? JIT_STOP
		       : m->mem.base != ZYDIS_REGISTER_RIP ? JIT_PLAIN
		       : z->operand_width == 64		   ? JIT_LEA_RIP
							   : JIT_STOP;
	if (z->meta.category == ZYDIS_CATEGORY_WIDENOP ||
	    z->meta.category == ZYDIS_CATEGORY_NOP)
		return JIT_NOTHING;
	if (m && (z->address_width != 64 || m->size == 0 || m->size > 256 ||
		  !(z->attributes & ZYDIS_ATTRIB_HAS_MODRM) ||
		  m->mem.type != ZYDIS_MEMOP_TYPE_MEM))
		return JIT_STOP;
	if (z->attributes &
	    (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE))
		return JIT_STOP;
	if (is_vector_extension(z))
		return classify_vector(z, op, mode);
	switch (z->meta.category) {
	case ZYDIS_CATEGORY_COND_BR:
		if (z->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && z->opcode >= 0xe0)
			return JIT_STOP;
		return classify_branch(z, op, JIT_BRANCH, JIT_STOP, JIT_STOP);
	case ZYDIS_CATEGORY_UNCOND_BR:
		return classify_branch(z, op, JIT_JUMP, JIT_JUMP_REG, JIT_JUMP_MEM);
	case ZYDIS_CATEGORY_CALL:
		return classify_branch(z, op, JIT_CALL, JIT_CALL_REG, JIT_CALL_MEM);
	case ZYDIS_CATEGORY_RET:
		return z->mnemonic == ZYDIS_MNEMONIC_RET &&
				       z->meta.branch_type != ZYDIS_BRANCH_TYPE_FAR &&
				       !(z->attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE)
			       ? JIT_RET
			       : JIT_STOP;
	case ZYDIS_CATEGORY_PUSH:
	case ZYDIS_CATEGORY_POP:
		return classify_stack(z, op);
	default:
		break;
	}
	if (z->mnemonic == ZYDIS_MNEMONIC_LEAVE &&
	    !(z->attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE))
		return JIT_LEAVE;
	return classify_plain(z, op);
}

bool x86_jit_knows(const struct x86_decoded *d)
{
	/* Elsewhere nothing is translated, and blocks may be long. */
	return !(d->mode & X86_MODE_LONG) ||
	       jit_classify(&d->insn, d->op, d->mode) != JIT_STOP;
}
