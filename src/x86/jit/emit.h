/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing host instructions: the few forms that glue is made of, and guest instructions copied
 * with another memory operand. Knows nothing of regions or of the guest's state.
 *
 * A buffer is ordinary memory; `origin` says where its first byte will be executed, so that relative
 * jumps out of it come out right. A full buffer swallows what does not fit and says so at the end.
 * Encodings: Intel SDM volume 2, chapter 2. Thread: the VP's.
 */
#pragma once

#include <Zydis/Zydis.h>

#include "base/types.h"

struct jit_code {
	u8 *start, *at, *end;
	u64 origin; /* host address of start when executed */
	bool full;
};

/* Host registers by their encoding; also the guest's. */
enum { JIT_AX, JIT_CX, JIT_DX, JIT_BX, JIT_SP, JIT_BP, JIT_SI, JIT_DI };
#define JIT_NONE 0xff

/*
 * A memory operand: base + (index << scale) + disp, or GS:disp with neither (struct x86_cpu, the
 * GS base of a thread that is in translated code).
 */
struct jit_mem {
	u8 base, index, scale;
	bool gs;
	s32 disp;
};

/* A field of struct x86_cpu. */
#define JIT_FIELD(member)                     \
	((struct jit_mem){ .base = JIT_NONE,  \
			   .index = JIT_NONE, \
			   .gs = true,        \
			   .disp = (s32)offsetof(struct x86_cpu, member) })

static inline u64 jit_here(const struct jit_code *k)
{
	return k->origin + (u64)(k->at - k->start);
}
static inline u32 jit_offset(const struct jit_code *k)
{
	return (u32)(k->at - k->start);
}

void jit_bytes(struct jit_code *k, const void *bytes, unsigned size);
void jit_u8(struct jit_code *k, unsigned v);
/* The next instruction begins at a multiple of `to`, <= 64, a power of two; nothing is done until there. */
void jit_align(struct jit_code *k, unsigned to);
void jit_u32(struct jit_code *k, u32 v);

/*
 * opcode with register and memory operand. wide: 64 bits. opcode above 0xff: the bytes of a
 * two- or three-byte opcode, as 0x0fb6.
 */
void jit_op_mem(struct jit_code *k, unsigned opcode, bool wide, unsigned reg,
		const struct jit_mem *m);
void jit_op_reg(struct jit_code *k, unsigned opcode, bool wide, unsigned reg,
		unsigned rm);

/* 64 bits wide unless the name has a width. */
void jit_move(struct jit_code *k, unsigned to, unsigned from);
void jit_load(struct jit_code *k, unsigned to, const struct jit_mem *m);
void jit_store(struct jit_code *k, const struct jit_mem *m, unsigned from);
void jit_lea(struct jit_code *k, unsigned to, const struct jit_mem *m);
void jit_load_imm64(struct jit_code *k, unsigned to, u64 v);
void jit_store_imm32(struct jit_code *k, const struct jit_mem *m, u32 v, bool wide);
/* ext: ADD 0, OR 1, AND 4, SUB 5, XOR 6, CMP 7 */
void jit_alu_imm(struct jit_code *k, unsigned ext, bool wide, unsigned reg, s32 v);
void jit_shift(struct jit_code *k, unsigned ext, bool wide, unsigned reg, unsigned count);
/* CMP with 0. */
void jit_test_mem8(struct jit_code *k, const struct jit_mem *m);
void jit_test_mem32(struct jit_code *k, const struct jit_mem *m);

/* 32 bits; SF tells when it went below 0. */
void jit_decrement(struct jit_code *k, const struct jit_mem *m);
/* The low half of `from`, turned right, into `to`; no flags change. */
void jit_rotate_into(struct jit_code *k, unsigned to, unsigned from, unsigned count);

/* Jumps to a host address; near form always, so that they can be patched. Return the offset of the
 * displacement in the buffer. cc is the condition, or JIT_ALWAYS. */
#define JIT_ALWAYS 16u
u32 jit_jump(struct jit_code *k, unsigned cc, u64 target);
/* The same with the target filled in later, by jit_land() at the place itself. */
u32 jit_jump_forward(struct jit_code *k, unsigned cc);
void jit_land(struct jit_code *k, u32 displacement);
void jit_jump_mem(struct jit_code *k, const struct jit_mem *m);

/* AX's low half <-> flags, as LAHF and SETO %AL leave them. Other registers stay. */
void jit_flags_to_ax(struct jit_code *k);
void jit_ax_to_flags(struct jit_code *k);

/*
 * The guest's instruction at bytes, its memory operand (ModRM) replaced by m; REQUIRES no register
 * operand AH, CH, DH or BH, which cannot stand beside a REX prefix. false: an encoding that this
 * does not know; nothing was written.
 */
bool jit_copy_with(struct jit_code *k, const ZydisDecodedInstruction *z, const u8 *bytes,
		   const struct jit_mem *m);
