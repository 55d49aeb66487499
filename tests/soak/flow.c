/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks with control flow: random instructions of generate.c between loops, near and short jumps,
 * calls, returns and indirect branches, since a translator that copies instructions goes wrong in
 * what it puts between them. See blocks.h.
 *
 *	a piece		what it is made of
 *	straight	random instructions
 *	loop		MOV R12D, count; body; DEC R12B; JNZ
 *	walk		a loop whose addresses move by the same distance in each round
 *	skip		Jcc, short or near, over random instructions
 *	jump		JMP over bytes that are no instruction, short, near, or through a register or memory
 *	overlap		JMP into the immediate of an instruction
 *	call		CALL, direct or through a register, of a subroutine behind the INT3
 *	return		the address of the next piece pushed, then RET
 *
 * Every loop ends, since nothing else writes R12. A RET whose address the block has overwritten
 * may lead anywhere, on both sides to the same place: also back, so that R10 counts them, and
 * after the last one comes an INT3. Both count in bytes, for those who come in the middle.
 */
#include "blocks.h"

enum { SUBROUTINES = 2, LOOPS = 40, RETURNS = 32 };

enum {
	WALK_BYTES = 150,
	TAIL_BYTES =
		SUBROUTINES * (2 * 15 + 7) + 1, /* of two instructions each; the INT3 */
};

struct flow {
	struct block *k;
	struct rng *r;
	struct progress *p;
	unsigned isa, room;
	unsigned call[SUBROUTINES][4], calls[SUBROUTINES]; /* displacements to be set */
};

/* ---- instructions that are put together here --------------------------------------------- */

static void begin_insn(struct flow *f)
{
	f->k->start[f->k->insns++] = (u16)f->k->size;
}

static void byte(struct flow *f, unsigned v)
{
	f->k->code[f->k->size++] = (u8)v;
}

static void imm32(struct flow *f, u32 v)
{
	memcpy(f->k->code + f->k->size, &v, 4);
	f->k->size += 4;
}

/* The displacement whose last byte is before `end`, to reach the block's present end. */
static void reach_here(struct flow *f, unsigned at, unsigned size)
{
	u32 disp = f->k->size - (at + size);

	memcpy(f->k->code + at, &disp, size);
}

/* Flags come here on several ways. */
static void label(struct flow *f)
{
	if (!f->p->no_undefined)
		f->p->undefined = ARITH;
}

static void straight(struct flow *f, unsigned most)
{
	unsigned count = 1 + (unsigned)rng_below(f->r, most);

	while (count--)
		add_insn(f->k, f->r, f->isa, f->p);
}

/* A register that no piece needs afterwards; not RSP, not a counter. */
static unsigned some_register(struct flow *f)
{
	static const u8 list[] = { 0, 1, 2, 3, 6, 7, 8, 9, 11, 13, 14, 15 };

	return list[rng_below(f->r, sizeof list)];
}

/* LEA reg, [RIP + ...]: returns where its displacement is. */
static unsigned take_address(struct flow *f, unsigned reg)
{
	begin_insn(f);
	byte(f, 0x48 | (reg & 8) >> 1);
	byte(f, 0x8d);
	byte(f, (reg & 7) << 3 | 5);
	imm32(f, 0);
	return f->k->size - 4;
}

/* JMP (4) or CALL (2) through a register. */
static void through_register(struct flow *f, unsigned reg, unsigned operation)
{
	begin_insn(f);
	if (reg & 8)
		byte(f, 0x41);
	byte(f, 0xff);
	byte(f, 0xc0 | operation << 3 | (reg & 7));
}

/* CMP or TEST of two registers: then any condition may be asked for. */
static void set_flags(struct flow *f)
{
	begin_insn(f);
	byte(f, 0x48 | (unsigned)rng_below(f->r, 2) << 2 | (unsigned)rng_below(f->r, 2));
	byte(f, rng_one_in(f->r, 2) ? 0x39 : 0x85);
	byte(f, 0xc0 | (unsigned)rng_below(f->r, 64));
	/* TEST leaves AF undefined; no condition asks for it. */
	if (!f->p->no_undefined)
		f->p->undefined = f->k->code[f->k->size - 2] == 0x85 ? 0x10 : 0;
	else if (f->k->code[f->k->size - 2] == 0x85)
		f->k->code[f->k->size - 2] = 0x39;
	f->p->ever_undefined |= f->p->undefined;
}

/* ---- pieces ----------------------------------------------------------------------------------- */

static void loop(struct flow *f)
{
	unsigned head;

	begin_insn(f);
	byte(f, 0x41);
	byte(f, 0xbc);
	imm32(f, 1 + (u32)rng_below(f->r, rng_one_in(f->r, 4) ? LOOPS : 3));
	head = f->k->size;
	label(f);
	straight(f, 3);
	begin_insn(f);
	byte(f, 0x41);
	byte(f, 0xfe);
	byte(f, 0xcc);
	begin_insn(f);
	/* The random instructions may be long: a short jump reaches them seldom less. */
	if (f->k->size + 2 - head <= 128 && rng_one_in(f->r, 2)) {
		byte(f, 0x75);
		byte(f, head - (f->k->size + 1));
	} else {
		byte(f, 0x0f);
		byte(f, 0x85);
		imm32(f, head - (f->k->size + 4));
	}
}

/* An instruction with REX.W and [base + (index << scale) + disp]; index 4: none. */
static void with_memory(struct flow *f, unsigned opcode, unsigned reg, unsigned base,
			unsigned index, unsigned scale, s32 disp)
{
	const bool is_short = disp == (s8)disp;

	begin_insn(f);
	byte(f, 0x48 | (reg & 8) >> 1 | (index & 8) >> 2 | base >> 3);
	if (opcode > 0xff)
		byte(f, opcode >> 8);
	byte(f, opcode & 0xff);
	byte(f, (is_short ? 0x44 : 0x84) | (reg & 7) << 3);
	byte(f, scale << 6 | (index & 7) << 3 | (base & 7));
	if (is_short)
		byte(f, (u8)disp);
	else
		imm32(f, (u32)disp);
}

static void set_register(struct flow *f, unsigned reg, u64 v)
{
	begin_insn(f);
	byte(f, 0x48 | reg >> 3);
	byte(f, 0xb8 | (reg & 7));
	memcpy(f->k->code + f->k->size, &v, 8);
	f->k->size += 8;
}

/* ADD reg, imm8 or LEA reg, [reg + disp8]. */
static void move_register(struct flow *f, unsigned reg, unsigned by)
{
	if (rng_one_in(f->r, 3)) {
		with_memory(f, 0x8d, reg, reg, 4, 0, (s8)by);
		return;
	}
	begin_insn(f);
	byte(f, 0x48 | reg >> 3);
	byte(f, 0x83);
	byte(f, 0xc0 | (reg & 7));
	byte(f, by);
}

/*
 * Through the window with a pointer, and an index: loads, stores, additions, some of them through a sum of the two
 * that LEA made. Steps of both signs; from the window's ends into what is not mapped.
 */
static void walk(struct flow *f)
{
	static const u16 access[] = { 0x8b,   0x8b, 0x89, 0x01, 0x03,
				      0x0fb6, 0x88, 0x3b, 0x13 };
	/* The last one reads a flag. */
	const u64 kinds = ARRAY_COUNT(access) - !f->p->no_undefined;
	static const u8 steps[] = { 1, 8, 8, 4, 24, 0, 64, 0xf8, 0xff, 72 };
	const unsigned pointer = rng_one_in(f->r, 2) ? 6 : 13, index = 9, sum = 11;
	const unsigned scale = (unsigned)rng_below(f->r, 4);
	const u64 start = WINDOW_BASE + rng_below(f->r, WINDOW_SIZE);
	unsigned head;

	set_register(f, index, rng_below(f->r, 64));
	set_register(f, pointer, start - (start & rng_next(f->r) & 7));
	begin_insn(f);
	byte(f, 0x41);
	byte(f, 0xbc);
	imm32(f, 1 + (u32)rng_below(f->r, rng_one_in(f->r, 3) ? 6 : 120));
	head = f->k->size;
	label(f);
	for (unsigned n = 1 + (unsigned)rng_below(f->r, 4); n; n--) {
		const unsigned by = rng_one_in(f->r, 3) ? index : 4;
		const s32 disp = (s32)rng_below(f->r, rng_one_in(f->r, 3) ? 3000 : 128);
		const unsigned reg = rng_one_in(f->r, 8) ? pointer
							 : (unsigned)rng_below(f->r, 4);

		if (rng_one_in(f->r, 4)) {
			with_memory(f, 0x8d, sum, pointer, index, scale, 0);
			with_memory(f, access[rng_below(f->r, 5)], 1, sum, 4, 0, disp);
		} else if (rng_one_in(f->r, 6)) {
			move_register(f, pointer, 8);
		} else {
			with_memory(f, access[rng_below(f->r, kinds)], reg, pointer, by,
				    by == 4 ? 0 : scale, disp);
			label(f);
		}
	}
	if (rng_one_in(f->r, 8))
		straight(f, 1);
	move_register(f, index, steps[rng_below(f->r, 3)]);
	move_register(f, pointer, steps[rng_below(f->r, sizeof steps)]);
	begin_insn(f);
	byte(f, 0x41);
	byte(f, 0xfe);
	byte(f, 0xcc);
	begin_insn(f);
	byte(f, 0x0f);
	byte(f, 0x85);
	imm32(f, head - (f->k->size + 4));
}

static void skip(struct flow *f)
{
	unsigned condition = (unsigned)rng_below(f->r, 16), at, size;

	if (f->p->undefined & ~0x10u || rng_one_in(f->r, 2))
		set_flags(f);
	begin_insn(f);
	size = rng_one_in(f->r, 2) ? 1 : 4;
	if (size == 4)
		byte(f, 0x0f);
	byte(f, (size == 4 ? 0x80 : 0x70) | condition);
	at = f->k->size;
	f->k->size += size;
	straight(f, 2);
	reach_here(f, at, size);
	label(f);
}

static void jump(struct flow *f)
{
	unsigned reg = some_register(f), at, size = 4;

	switch (rng_below(f->r, 3)) {
	case 0:
		at = take_address(f, reg);
		through_register(f, reg, 4);
		break;
	case 1:
		begin_insn(f);
		byte(f, 0xeb);
		at = f->k->size;
		byte(f, 0);
		size = 1;
		break;
	default:
		begin_insn(f);
		byte(f, 0xe9);
		at = f->k->size;
		imm32(f, 0);
	}
	/* No instruction, and never executed. */
	for (unsigned n = (unsigned)rng_below(f->r, 5); n; n--) {
		begin_insn(f);
		byte(f, 0x06);
	}
	reach_here(f, at, size);
}

/* EB 01 B8: what follows are the last bytes of a MOV EAX for whoever decodes in order. */
static void overlap(struct flow *f)
{
	begin_insn(f);
	byte(f, 0xeb);
	byte(f, 1);
	begin_insn(f);
	byte(f, rng_one_in(f->r, 2) ? 0xb8 : 0x0f);
}

static void call(struct flow *f)
{
	unsigned to = (unsigned)rng_below(f->r, SUBROUTINES), at;

	if (f->calls[to] == ARRAY_COUNT(f->call[to]))
		return;
	if (rng_one_in(f->r, 3)) {
		unsigned reg = some_register(f);

		at = take_address(f, reg);
		through_register(f, reg, 2);
	} else {
		begin_insn(f);
		byte(f, 0xe8);
		at = f->k->size;
		imm32(f, 0);
	}
	f->call[to][f->calls[to]++] = at;
	label(f);
}

/* DEC R10B; JNZ over an INT3; RET. */
static void ret(struct flow *f)
{
	begin_insn(f);
	byte(f, 0x41);
	byte(f, 0xfe);
	byte(f, 0xca);
	begin_insn(f);
	byte(f, 0x75);
	byte(f, 1);
	begin_insn(f);
	byte(f, 0xcc);
	begin_insn(f);
	byte(f, 0xc3);
}

static void back(struct flow *f)
{
	unsigned reg = some_register(f), at = take_address(f, reg);

	begin_insn(f);
	if (reg & 8)
		byte(f, 0x41);
	byte(f, 0x50 | (reg & 7));
	ret(f);
	reach_here(f, at, 4);
}

static void piece(struct flow *f)
{
	switch (rng_below(f->r, 10)) {
	case 0:
	case 1:
		loop(f);
		break;
	case 9:
		if (f->k->size + WALK_BYTES + TAIL_BYTES <= f->room)
			walk(f);
		break;
	case 2:
	case 3:
		skip(f);
		break;
	case 4:
		jump(f);
		break;
	case 5:
		overlap(f);
		break;
	case 6:
	case 7:
		call(f);
		break;
	default:
		back(f);
	}
}

void generate_flow(struct block *k, struct rng *r, unsigned isa, unsigned room,
		   struct progress *p)
{
	struct flow f = { .k = k, .r = r, .p = p, .isa = isa, .room = room };
	const unsigned largest = 3 * 15 + 16; /* but for walk() */

	k->flow = true;
	p->no_jumps = p->keep_counters = true;
	p->no_undefined = rng_one_in(r, 2);
	begin_insn(&f);
	byte(&f, 0x41);
	byte(&f, 0xba);
	imm32(&f, 1 + (u32)rng_below(r, RETURNS));
	for (unsigned left = 1 + (unsigned)rng_below(r, 8);
	     left && k->size + largest + 30 + TAIL_BYTES <= room; left--) {
		if (rng_one_in(r, 2))
			straight(&f, 2);
		piece(&f);
	}
	begin_insn(&f);
	byte(&f, 0xcc);
	for (unsigned n = 0; n < SUBROUTINES; n++) {
		if (!f.calls[n])
			continue;
		for (unsigned j = 0; j < f.calls[n]; j++)
			reach_here(&f, f.call[n][j], 4);
		label(&f);
		straight(&f, 2);
		ret(&f);
	}
	k->start[k->insns] = (u16)k->size;
	byte(&f, 0xcc);
}
