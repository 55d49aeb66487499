/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From bytes to records. decode.c lets Zydis take one instruction apart and then asks the families
 * of instructions, one after the other, to choose the handler and to fill the record:
 *
 *	integer	alu, move, shift, muldiv, bits		x86_choose_integer
 *	control	jumps, calls, returns, loops		x86_choose_control
 *	string	MOVS, STOS, INS ...			x86_choose_string
 *	system	segments, far, interrupts, CRs, MSRs	x86_choose_system
 *	vector	x87, MMX, SSE, AVX, XSAVE		x86_choose_vector
 *
 * The first that returns true owns the instruction; when nobody does it is #UD. Before the families
 * are asked, decode.c has set i->offset, i->length, X86_INSN_LOCK/REP/REPNE, and base = index =
 * R_ZERO, seg = SEG_FLAT, everything else 0. A chooser sets i->fn and what its handler reads.
 *
 * What a chooser must say
 *   - X86_INSN_ENDS in i->flags when the instruction is the last of its block: every control transfer
 *     (also conditional), and whatever may change mode, paging, IF, TF, segments, or must be looked
 *     at by the run loop. The decoder puts an end record behind it, so that NEXT of a branch that is
 *     not taken still works: it goes on with the following instruction's block.
 *   - whether the instruction is allowed at all in d->mode (raise #UD by returning false).
 *
 * Zydis has already refused LOCK where it is illegal, lengths over 15, and undefined opcodes. It is
 * set up as an Intel processor without MPX and CET (their hint encodings come as NOP).
 *
 * Thread: the VP's.
 */
#pragma once

#include <Zydis/Zydis.h>

#include "x86/cpu.h"

struct x86_decoded {
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	const struct x86_cpu *cpu; /* for what the CPUID model allows; no registers! */
	const u8 *bytes;	   /* insn.length of them */
	u32 mode;		   /* X86_MODE_... */
	u8 osz; /* effective operand size in bits: 16, 32, 64 (8-bit forms too) */
	u8 asz; /* effective address size in bits */
	u8 ssz; /* width of the stack pointer in bits */
};

/* Zydis alone: the instruction's parts. false: not an instruction of this mode. */
bool x86_decode_raw(u32 mode, const u8 *bytes, unsigned size,
		    ZydisDecodedInstruction *ret_insn, ZydisDecodedOperand *ret_op);

/* For the log: "; mov %rax, %rbx; ret", as far as the bytes and the text go. */
void x86_disassemble(u32 mode, const u8 *bytes, unsigned size, u64 rip, char *text,
		     size_t text_size);

/* Longest block, in instructions. */
#define X86_BLOCK_MAX 64

/* Number 0-15 of a general register of any width (AH is 0 too); the number of XMM, YMM, MMX, ST,
 * CR, DR and segment registers likewise. */
unsigned x86_decode_reg(ZydisRegister reg);

/* Byte offset into c->r of a general register of 8 bits: 8 * number, AH CH DH BH 1 more. */
unsigned x86_decode_reg8(ZydisRegister reg);

/*
 * Put a memory operand into the record: base, index, scale, disp, seg and SLOW_EA/ADDR flags, for
 * x86_ea(). d->op of type ZYDIS_OPERAND_TYPE_MEMORY (also LEA's). MOV's 64-bit absolute address (moffs) goes
 * to i->imm and not to disp: see x86_decode_is_moffs64().
 */
void x86_decode_memory(const struct x86_decoded *d, const ZydisDecodedOperand *op,
		       struct x86_insn *i);

/* An absolute address that does not fit disp: x86_decode_memory put it in i->imm, disp is 0, and
 * the effective address is x86_ea() + i->imm. */
bool x86_decode_is_moffs64(const struct x86_decoded *d);

/*
 * After x86_decode_memory(): may a handler that does not look at X86_INSN_SLOW_EA before it hits do the
 * access? Always with an address size of 64 bits; with 32 in flat segments, for which the record is changed:
 * cpu.h. Only for records whose other uses of i->seg, base and index are x86_ea() and
 * x86_linear().
 */
bool x86_decode_flat(const struct x86_decoded *d, struct x86_insn *i);

/* The segment that an implicit or explicit memory operand uses, as x86_ea wants it in i->seg:
 * SEG_FLAT where base is 0 and nothing is checked. */
u8 x86_decode_segment(const struct x86_decoded *d, ZydisRegister segment);

/* A relative branch: i->disp = target - R_BLOCK, i->imm = 0 (the link slot of x86_jump()). */
void x86_decode_branch(const struct x86_decoded *d, struct x86_insn *i);

/* Operand n is a register / memory / immediate? */
static inline bool x86_decode_is_reg(const struct x86_decoded *d, unsigned n)
{
	return d->op[n].type == ZYDIS_OPERAND_TYPE_REGISTER;
}
static inline bool x86_decode_is_memory(const struct x86_decoded *d, unsigned n)
{
	return d->op[n].type == ZYDIS_OPERAND_TYPE_MEMORY;
}
static inline bool x86_decode_is_imm(const struct x86_decoded *d, unsigned n)
{
	return d->op[n].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
}

/*
 * Decode one instruction of at most `size` bytes. Returns its length, 0 when the bytes are not an
 * instruction (#UD), -1 when more bytes are needed, -2 when it is longer than 15 (#GP).
 */
int x86_decode_one(struct x86_cpu *c, const u8 *bytes, unsigned size, u32 mode,
		   u16 offset, struct x86_insn *ret_insn);

/* The last two records of a block: let the first do both where there is a handler for it. alu.c. */
void x86_fuse(struct x86_insn *i);

/* The record behind every block: goes on with the next instruction's block. */
void x86_end_record(struct x86_cpu *c, const struct x86_insn *i);
