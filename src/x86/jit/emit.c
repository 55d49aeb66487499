/* SPDX-License-Identifier: Apache-2.0 */
/* Host instructions: see emit.h. */
#include "x86/jit/emit.h"

#include <string.h>

void jit_align(struct jit_code *k, unsigned to)
{
	/* NOP of so many bytes: SDM volume 2B, NOP, table 4-12. */
	static const u8 nop[9][9] = {
		{ 0x90 },
		{ 0x66, 0x90 },
		{ 0x0f, 0x1f, 0x00 },
		{ 0x0f, 0x1f, 0x40, 0x00 },
		{ 0x0f, 0x1f, 0x44, 0x00, 0x00 },
		{ 0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00 },
		{ 0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00 },
		{ 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00 },
		{ 0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00 },
	};
	unsigned left = -(unsigned)(k->origin + jit_offset(k)) & (to - 1);

	while (left) {
		const unsigned size = left < 9 ? left : 9;

		jit_bytes(k, nop[size - 1], size);
		left -= size;
	}
}

void jit_bytes(struct jit_code *k, const void *bytes, unsigned size)
{
	if (k->full || (size_t)(k->end - k->at) < size) {
		k->full = true;
		return;
	}
	memcpy(k->at, bytes, size);
	k->at += size;
}

void jit_u8(struct jit_code *k, unsigned v)
{
	u8 b = (u8)v;

	jit_bytes(k, &b, 1);
}

void jit_u32(struct jit_code *k, u32 v)
{
	jit_bytes(k, &v, 4);
}

static void opcode_bytes(struct jit_code *k, unsigned opcode)
{
	if (opcode > 0xffff)
		jit_u8(k, opcode >> 16);
	if (opcode > 0xff)
		jit_u8(k, opcode >> 8 & 0xff);
	jit_u8(k, opcode & 0xff);
}

/* REX bits that a memory operand asks for: X and B. */
static unsigned rex_of(const struct jit_mem *m)
{
	unsigned rex = 0;

	if (m->index != JIT_NONE && m->index & 8)
		rex |= 2;
	if (m->base != JIT_NONE && m->base & 8)
		rex |= 1;
	return rex;
}

static void modrm_mem(struct jit_code *k, unsigned reg, const struct jit_mem *m)
{
	const unsigned field = (reg & 7) << 3;
	const unsigned index = m->index == JIT_NONE ? 4 : m->index & 7;

	if (m->base == JIT_NONE) { /* SIB without base: disp32 */
		jit_u8(k, 0x04 | field);
		jit_u8(k, (unsigned)m->scale << 6 | index << 3 | 5);
		jit_u32(k, (u32)m->disp);
		return;
	}
	const bool sib = m->index != JIT_NONE || (m->base & 7) == JIT_SP;
	unsigned mod = m->disp == (s8)m->disp ? 0x40 : 0x80;

	if (m->disp == 0 && (m->base & 7) != JIT_BP)
		mod = 0;
	jit_u8(k, mod | field | (sib ? 4 : m->base & 7));
	if (sib)
		jit_u8(k, (unsigned)m->scale << 6 | index << 3 | (m->base & 7));
	if (mod == 0x40)
		jit_u8(k, (u8)m->disp);
	else if (mod == 0x80)
		jit_u32(k, (u32)m->disp);
}

void jit_op_mem(struct jit_code *k, unsigned opcode, bool wide, unsigned reg,
		const struct jit_mem *m)
{
	const unsigned rex = rex_of(m) | (wide ? 8u : 0) | (reg & 8 ? 4u : 0);

	if (m->gs)
		jit_u8(k, 0x65);
	if (rex)
		jit_u8(k, 0x40 | rex);
	opcode_bytes(k, opcode);
	modrm_mem(k, reg, m);
}

void jit_op_reg(struct jit_code *k, unsigned opcode, bool wide, unsigned reg, unsigned rm)
{
	const unsigned rex = (wide ? 8u : 0) | (reg & 8 ? 4u : 0) | (rm & 8 ? 1u : 0);

	if (rex)
		jit_u8(k, 0x40 | rex);
	opcode_bytes(k, opcode);
	jit_u8(k, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

void jit_move(struct jit_code *k, unsigned to, unsigned from)
{
	jit_op_reg(k, 0x8b, true, to, from);
}

void jit_load(struct jit_code *k, unsigned to, const struct jit_mem *m)
{
	jit_op_mem(k, 0x8b, true, to, m);
}

void jit_store(struct jit_code *k, const struct jit_mem *m, unsigned from)
{
	jit_op_mem(k, 0x89, true, from, m);
}

void jit_lea(struct jit_code *k, unsigned to, const struct jit_mem *m)
{
	jit_op_mem(k, 0x8d, true, to, m);
}

void jit_load_imm64(struct jit_code *k, unsigned to, u64 v)
{
	jit_u8(k, 0x48 | to >> 3);
	jit_u8(k, 0xb8 | (to & 7));
	jit_bytes(k, &v, 8);
}

void jit_store_imm32(struct jit_code *k, const struct jit_mem *m, u32 v, bool wide)
{
	jit_op_mem(k, 0xc7, wide, 0, m);
	jit_u32(k, v);
}

void jit_alu_imm(struct jit_code *k, unsigned ext, bool wide, unsigned reg, s32 v)
{
	if (v == (s8)v) {
		jit_op_reg(k, 0x83, wide, ext, reg);
		jit_u8(k, (u8)v);
	} else {
		jit_op_reg(k, 0x81, wide, ext, reg);
		jit_u32(k, (u32)v);
	}
}

void jit_shift(struct jit_code *k, unsigned ext, bool wide, unsigned reg, unsigned count)
{
	jit_op_reg(k, 0xc1, wide, ext, reg);
	jit_u8(k, count);
}

void jit_test_mem8(struct jit_code *k, const struct jit_mem *m)
{
	jit_op_mem(k, 0x80, false, 7, m);
	jit_u8(k, 0);
}

void jit_test_mem32(struct jit_code *k, const struct jit_mem *m)
{
	jit_op_mem(k, 0x83, false, 7, m);
	jit_u8(k, 0);
}

void jit_decrement(struct jit_code *k, const struct jit_mem *m)
{
	jit_op_mem(k, 0x83, false, 5, m);
	jit_u8(k, 1);
}

void jit_rotate_into(struct jit_code *k, unsigned to, unsigned from, unsigned count)
{
	jit_u8(k, 0xc4); /* RORX */
	jit_u8(k, 0x43 | (to & 8 ? 0 : 0x80u) | (from & 8 ? 0 : 0x20u));
	jit_u8(k, 0x7b);
	jit_u8(k, 0xf0);
	jit_u8(k, 0xc0 | (to & 7) << 3 | (from & 7));
	jit_u8(k, count);
}

/* ---- jumps ------------------------------------------------------------------------------------- */

u32 jit_jump(struct jit_code *k, unsigned cc, u64 target)
{
	if (cc == JIT_ALWAYS) {
		jit_u8(k, 0xe9);
	} else {
		jit_u8(k, 0x0f);
		jit_u8(k, 0x80 | cc);
	}
	const u32 at = jit_offset(k);

	jit_u32(k, (u32)(target - (jit_here(k) + 4)));
	return at;
}

u32 jit_jump_forward(struct jit_code *k, unsigned cc)
{
	return jit_jump(k, cc, jit_here(k));
}

void jit_land(struct jit_code *k, u32 displacement)
{
	const u32 distance = jit_offset(k) - (displacement + 4);

	if (!k->full)
		memcpy(k->start + displacement, &distance, 4);
}

void jit_jump_mem(struct jit_code *k, const struct jit_mem *m)
{
	jit_op_mem(k, 0xff, false, 4, m);
}

void jit_flags_to_ax(struct jit_code *k)
{
	static const u8 code[] = { 0x9f, 0x0f, 0x90, 0xc0 }; /* lahf; seto %al */

	jit_bytes(k, code, sizeof(code));
}

void jit_ax_to_flags(struct jit_code *k)
{
	static const u8 code[] = { 0x04, 0x7f, 0x9e }; /* add $0x7f, %al; sahf */

	jit_bytes(k, code, sizeof(code));
}

/* ---- copies ------------------------------------------------------------------------------------ */

/* Immediate bytes: what follows ModRM, SIB and displacement. */
static void copy_tail(struct jit_code *k, const ZydisDecodedInstruction *z,
		      const u8 *bytes)
{
	const bool sib = z->raw.modrm.mod != 3 && z->raw.modrm.rm == 4;
	const unsigned from =
		z->raw.modrm.offset + 1u + (sib ? 1u : 0) + z->raw.disp.size / 8u;

	jit_bytes(k, bytes + from, z->length - from);
}

static bool copy_vex(struct jit_code *k, const ZydisDecodedInstruction *z,
		     const u8 *bytes, const struct jit_mem *m)
{
	const unsigned at = z->raw.modrm.offset;
	const unsigned rex = rex_of(m);

	if (m->gs)
		jit_u8(k, 0x65);
	if (at >= 3 && bytes[at - 3] == 0xc5) {
		const unsigned b = bytes[at - 2];

		if (rex) {
			jit_u8(k, 0xc4);
			jit_u8(k, (b & 0x80) | (rex & 2 ? 0 : 0x40) |
					  (rex & 1 ? 0 : 0x20) | 1);
			jit_u8(k, b & 0x7f);
		} else {
			jit_u8(k, 0xc5);
			jit_u8(k, b);
		}
	} else if (at >= 4 && bytes[at - 4] == 0xc4) {
		jit_u8(k, 0xc4);
		jit_u8(k, (bytes[at - 3] & 0x9f) | (rex & 2 ? 0 : 0x40) |
				  (rex & 1 ? 0 : 0x20));
		jit_u8(k, bytes[at - 2]);
	} else {
		return false;
	}
	jit_u8(k, bytes[at - 1]);
	modrm_mem(k, z->raw.modrm.reg & 7, m);
	copy_tail(k, z, bytes);
	return true;
}

bool jit_copy_with(struct jit_code *k, const ZydisDecodedInstruction *z, const u8 *bytes,
		   const struct jit_mem *m)
{
	if (!(z->attributes & ZYDIS_ATTRIB_HAS_MODRM))
		return false;
	if (z->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
		return copy_vex(k, z, bytes, m);
	if (z->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return false;

	unsigned opcode = z->raw.modrm.offset - 1u;

	if (z->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
		opcode -= z->opcode_map == ZYDIS_OPCODE_MAP_0F ? 1 : 2;

	const bool had_rex = z->attributes & ZYDIS_ATTRIB_HAS_REX;
	const unsigned old = had_rex ? bytes[opcode - 1] : 0;
	const unsigned rex = (old & 0x0c) | rex_of(m);

	if (m->gs)
		jit_u8(k, 0x65);
	for (unsigned n = 0; n < opcode - (had_rex ? 1 : 0); n++)
		if (bytes[n] == 0x66 || bytes[n] == 0xf0 || bytes[n] == 0xf2 ||
		    bytes[n] == 0xf3)
			jit_u8(k, bytes[n]);
	if (rex || had_rex)
		jit_u8(k, 0x40 | rex);
	jit_bytes(k, bytes + opcode, z->raw.modrm.offset - opcode);
	modrm_mem(k, z->raw.modrm.reg & 7, m);
	copy_tail(k, z, bytes);
	return true;
}
