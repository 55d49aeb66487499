/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IN and OUT, and who may: IOPL, and the permission bitmap of the TSS. (INS and OUTS are string
 * instructions; they ask x86_io_check.) SDM volume 1, chapter 19. Thread: the VP's.
 */
#include "x86/system.h"

static bool bitmap_allows(struct x86_cpu *c, const struct x86_insn *i, u16 port,
			  unsigned size)
{
	const struct vp_segment *tr = &c->s.tr;
	u32 map, at, bits;

	if (!(tr->attr & SEG_ATTR_P) ||
	    (tr->attr & SEG_ATTR_TYPE) != X86_TYPE_TSS32_BUSY || tr->limit < 0x67)
		return false;
	map = (u32)x86_load_system(c, i, tr->base + 0x66, 2);
	at = map + port / 8;
	/* Two bytes are always read: the ports may lie across a boundary. */
	if (at + 1 > tr->limit)
		return false;
	bits = (u32)x86_load_system(c, i, tr->base + at, 2);
	return !(bits >> (port & 7) & (BIT(size) - 1));
}

void x86_io_check(struct x86_cpu *c, const struct x86_insn *i, u16 port, unsigned size)
{
	if (x86_protected(c) && (c->cpl > x86_iopl(c) || x86_v86(c)) &&
	    !bitmap_allows(c, i, port, size))
		x86_raise_code(c, i, X86_GP, 0);
	x86_watch_port(c, port, size);
}

/* reg: 1 = the port is DX, else imm; extra: bytes */
static u16 port_of(const struct x86_cpu *c, const struct x86_insn *i)
{
	return i->reg ? (u16)c->r[R_DX] : (u16)i->imm;
}

X86_HANDLER(x86_in)
{
	unsigned size = i->extra & X86_EXTRA_SIZE;
	u16 port = port_of(c, i);
	u32 v;

	x86_io_check(c, i, port, size);
	c->exits_pio++;
	v = c->bus->pio_read(c->bus_vp, port, size);
	if (size == 4)
		c->r[R_AX] = v;
	else if (size == 2)
		c->r[R_AX] = (c->r[R_AX] & ~0xffffull) | (u16)v;
	else
		c->r[R_AX] = (c->r[R_AX] & ~0xffull) | (u8)v;
	X86_LEAVE_NEXT(c, i);
}

X86_HANDLER(x86_out)
{
	unsigned size = i->extra & X86_EXTRA_SIZE;
	u16 port = port_of(c, i);
	u32 v = (u32)c->r[R_AX];

	x86_io_check(c, i, port, size);
	c->exits_pio++;
	if (size < 4)
		v &= BIT(8 * size) - 1;
	c->bus->pio_write(c->bus_vp, port, size, v);
	X86_LEAVE_NEXT(c, i);
}
