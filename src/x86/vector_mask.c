/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Masked moves and gathers: instructions whose memory accesses, and so whose faults, are those of
 * their elements. Done in C, element by element. See vector.h.
 *
 * Specification: Intel SDM volume 2, VMASKMOV, VPMASKMOV, MASKMOVDQU, VPGATHER; a gather that
 * faults keeps what it has gathered and has cleared those elements' masks; the others' masks stay
 * as they were (Intel's pseudo code spreads their signs; Zen 4 does not). Elements that are masked
 * out may lie beyond the segment's limit, too, in a segment that is null or not writable; and the
 * address wraps for each element by itself (measured on Zen 4).
 * Thread: the VP's.
 */
#include "x86/vector.h"

#include "x86/decode.h"
#include "x86/integer.h"

/* ---- VMASKMOV, VPMASKMOV: i->reg = data, i->rm = mask, i->extra = total size | element << 8 --------- */

static u64 element(const u8 *v, unsigned k, unsigned size)
{
	u64 x = 0;

	memcpy(&x, v + k * size, size);
	return x;
}

static bool mask_set(const u8 *mask, unsigned k, unsigned size)
{
	return mask[k * size + size - 1] & 0x80;
}

static void op_mask_load(struct x86_cpu *c, const struct x86_insn *i)
{
	unsigned total = i->extra & 0xff, size = i->extra >> 8;
	u8 result[32] = { 0 };

	for (unsigned k = 0; k < total / size; k++) {
		if (!mask_set(c->v[i->rm], k, size))
			continue;
		const gva_t at = x86_ea_beside(c, i, k * size, size, false);
		u64 v = size == 4 ? x86_load32(c, i, at) : x86_load64(c, i, at);

		memcpy(result + k * size, &v, size);
	}
	memcpy(c->v[i->reg], result, 32);
	NEXT(c, i);
}

static void op_mask_store(struct x86_cpu *c, const struct x86_insn *i)
{
	unsigned total = i->extra & 0xff, size = i->extra >> 8;

	/* All elements can be written, or none is. */
	for (unsigned k = 0; k < total / size; k++)
		if (mask_set(c->v[i->rm], k, size))
			x86_probe(c, i, x86_ea_beside(c, i, k * size, size, true), size,
				  true);
	for (unsigned k = 0; k < total / size; k++) {
		if (!mask_set(c->v[i->rm], k, size))
			continue;
		u64 v = element(c->v[i->reg], k, size);

		const gva_t at = x86_ea_beside(c, i, k * size, size, true);

		if (size == 4)
			x86_store32(c, i, at, (u32)v);
		else
			x86_store64(c, i, at, v);
	}
	NEXT(c, i);
}

/* ---- MASKMOVDQU, MASKMOVQ: bytes to [RDI] ------------------------------------------------------------ */

static void store_bytes(struct x86_cpu *c, const struct x86_insn *i, const u8 *data,
			const u8 *mask, unsigned size)
{
	gva_t a = x86_ea(c, i, size, true);

	/* The whole operand must be writable, whatever the mask (measured on Zen 4; the manuals leave
	 * it open). */
	x86_probe(c, i, a, size, true);
	for (unsigned k = 0; k < size; k++)
		if (mask[k] & 0x80)
			x86_store8(c, i, a + k, data[k]);
}

static void op_maskmovdqu(struct x86_cpu *c, const struct x86_insn *i)
{
	store_bytes(c, i, c->v[i->reg], c->v[i->rm], 16);
	NEXT(c, i);
}

static void op_maskmovq(struct x86_cpu *c, const struct x86_insn *i)
{
	struct fxsave_image image;
	u32 touched;

	x87_wait(c, i);
	/* Becoming MMX registers is not undone by a fault (measured on Zen 4). TOP is 0 then. */
	__asm__ volatile("movd %%mm0, %0" : "=r"(touched));
	x87_save(c, &image);
	store_bytes(c, i, image.st[i->reg], image.st[i->rm], 8);
	NEXT_BY_LOOP(c, i);
}

/*
 * ---- gathers -------------------------------------------------------------------------------------
 * i->reg = destination, i->index = index vector (the address is base + disp without it), i->rm =
 * mask, i->extra: element size 4 or 8 | index size 4 or 8 << 4 | count of elements << 8.
 * The base is in i->base and so on, with i->index moved to imm.
 */
static void op_gather(struct x86_cpu *c, const struct x86_insn *i)
{
	unsigned size = i->extra & 15, index_size = i->extra >> 4 & 15,
		 count = i->extra >> 8;
	unsigned index_register = i->imm & 15, scale = i->imm >> 4 & 3;
	u8 *dest = c->v[i->reg], *mask = c->v[i->rm];

	for (unsigned k = 0; k < count; k++) {
		if (!mask_set(mask, k, size)) {
			memset(mask + k * size, 0, size);
			continue;
		}
		u64 index = element(c->v[index_register], k, index_size);

		if (index_size == 4)
			index = (u64)(s64)(s32)index;
		gva_t a = x86_ea_beside(c, i, (s64)(index << scale), size, false);
		u64 v = size == 4 ? x86_load32(c, i, a) : x86_load64(c, i, a);

		memcpy(dest + k * size, &v, size);
		memset(mask + k * size, 0, size);
	}
	memset(dest + count * size, 0, 32 - count * size);
	memset(mask, 0, 32);
	NEXT(c, i);
}

static bool choose_gather(const struct x86_decoded *d, struct x86_insn *i, unsigned size,
			  unsigned index_size)
{
	const ZydisDecodedOperand *m = &d->op[1];
	unsigned reg = x86_decode_reg(d->op[0].reg.value);
	unsigned mask = x86_decode_reg(d->op[2].reg.value);
	unsigned index = x86_decode_reg(m->mem.index);
	ZydisDecodedOperand base = *m;

	if (reg == mask || reg == index || mask == index)
		return false;
	bool wide = d->op[0].size == 256 ||
		    ZydisRegisterGetClass(m->mem.index) == ZYDIS_REGCLASS_YMM;
	unsigned bytes = wide ? 32 : 16;
	unsigned largest = size > index_size ? size : index_size;

	base.mem.index = ZYDIS_REGISTER_NONE;
	base.mem.scale = 0;
	x86_decode_memory(d, &base, i);
	i->reg = (u8)reg;
	i->rm = (u8)mask;
	i->imm = index | (u64)d->insn.raw.sib.scale << 4;
	i->extra = (u16)(size | index_size << 4 | bytes / largest << 8);
	i->fn = op_gather;
	return true;
}

/* ---- choosing --------------------------------------------------------------------------------------- */

static bool choose_mask(const struct x86_decoded *d, struct x86_insn *i, unsigned size)
{
	bool store = x86_decode_is_memory(d, 0);

	x86_decode_memory(d, &d->op[store ? 0 : 2], i);
	i->reg = (u8)x86_decode_reg(d->op[store ? 2 : 0].reg.value);
	i->rm = (u8)x86_decode_reg(d->op[1].reg.value);
	i->extra = (u16)(d->op[1].size / 8 | size << 8);
	i->fn = store ? op_mask_store : op_mask_load;
	return true;
}

static bool choose_bytes(const struct x86_decoded *d, struct x86_insn *i, x86_fn fn)
{
	x86_decode_memory(d, &d->op[2], i);
	i->reg = (u8)x86_decode_reg(d->op[0].reg.value);
	i->rm = (u8)x86_decode_reg(d->op[1].reg.value);
	i->fn = fn;
	return true;
}

bool vector_choose_mask(const struct x86_decoded *d, struct x86_insn *i)
{
	switch ((int)d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_VMASKMOVPS:
	case ZYDIS_MNEMONIC_VPMASKMOVD:
		return choose_mask(d, i, 4);
	case ZYDIS_MNEMONIC_VMASKMOVPD:
	case ZYDIS_MNEMONIC_VPMASKMOVQ:
		return choose_mask(d, i, 8);
	case ZYDIS_MNEMONIC_MASKMOVDQU:
	case ZYDIS_MNEMONIC_VMASKMOVDQU:
		return choose_bytes(d, i, op_maskmovdqu);
	case ZYDIS_MNEMONIC_MASKMOVQ:
		return choose_bytes(d, i, op_maskmovq);
	case ZYDIS_MNEMONIC_VPGATHERDD:
	case ZYDIS_MNEMONIC_VGATHERDPS:
		return choose_gather(d, i, 4, 4);
	case ZYDIS_MNEMONIC_VPGATHERDQ:
	case ZYDIS_MNEMONIC_VGATHERDPD:
		return choose_gather(d, i, 8, 4);
	case ZYDIS_MNEMONIC_VPGATHERQD:
	case ZYDIS_MNEMONIC_VGATHERQPS:
		return choose_gather(d, i, 4, 8);
	case ZYDIS_MNEMONIC_VPGATHERQQ:
	case ZYDIS_MNEMONIC_VGATHERQPD:
		return choose_gather(d, i, 8, 8);
	}
	return false;
}
