/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debug registers, breakpoints, single step.
 *
 *	execution	a fault before the instruction: x86_step_before
 *	data, I/O	a trap after it: noted in dr6_pending when the access is made, raised by x86_step_after
 *	single step	a trap after it, by the TF that was set when it began
 *
 * While any breakpoint is armed or TF is set the mode has X86_MODE_STEP and blocks are one instruction
 * long. Pages with a data breakpoint stay out of the TLB, so that each access passes x86_watch_access.
 * SDM volume 3, 17.2, 17.3. Thread: the VP's.
 */
#include "x86/system.h"

enum { RW_EXECUTE, RW_WRITE, RW_IO, RW_ACCESS };

#define DR6_FIXED 0xffff0ff0u
#define DR6_WRITABLE 0xe00fu

static bool armed(const struct x86_cpu *c, unsigned n)
{
	return c->s.dr7 >> (2 * n) & 3;
}
static unsigned kind(const struct x86_cpu *c, unsigned n)
{
	return c->s.dr7 >> (16 + 4 * n) & 3;
}
static unsigned length(const struct x86_cpu *c, unsigned n)
{
	static const u8 bytes[] = { 1, 2, 8, 4 };

	return bytes[c->s.dr7 >> (18 + 4 * n) & 3];
}

static bool overlaps(const struct x86_cpu *c, unsigned n, u64 a, unsigned size)
{
	u64 first = c->s.dr[n] & ~(u64)(length(c, n) - 1);

	return a < first + length(c, n) && first < a + size;
}

/* B0-B3 say what matched this time; the other bits are for software to clear. */
static void note(struct x86_cpu *c, u32 bits)
{
	c->s.dr6 = (c->s.dr6 & ~15ull) | bits;
}

void x86_raise_trap(struct x86_cpu *c, u32 dr6)
{
	note(c, dr6);
	c->db_trap = true;
	x86_raise(c, NULL, X86_DB);
}

void x86_dr7_changed(struct x86_cpu *c)
{
	for (unsigned n = 0; n < 4; n++)
		if (armed(c, n) && (kind(c, n) & 1)) {
			x86_tlb_flush_all(c);
			break;
		}
	x86_mode_changed(c);
}

void x86_step_before(struct x86_cpu *c)
{
	u64 at = c->rip + (c->mode & X86_MODE_LONG ? 0 : c->s.seg[SEG_CS].base);
	u32 hits = 0;

	c->step_tf = c->eflags & X86_TF;
	if (!(c->mode & X86_MODE_LONG))
		at = (u32)at;
	if (!(c->eflags & X86_RF))
		for (unsigned n = 0; n < 4; n++)
			if (armed(c, n) && kind(c, n) == RW_EXECUTE && c->s.dr[n] == at)
				hits |= BIT(n);
	/* RF serves one instruction; one that sets it anew (IRET) does so after this. */
	c->eflags &= ~X86_RF;
	if (hits) {
		note(c, hits);
		c->db_trap = false;
		x86_raise(c, NULL, X86_DB);
	}
}

void x86_step_after(struct x86_cpu *c)
{
	u32 dr6 = c->dr6_pending;

	/* After MOV SS and POP SS everything waits for one instruction, and BS is lost. */
	if (c->interrupt_shadow & VP_SHADOW_MOV_SS)
		return;
	if (c->step_tf)
		dr6 |= (u32)X86_DR6_BS;
	c->dr6_pending = 0;
	c->step_tf = false;
	if (dr6)
		x86_raise_trap(c, dr6);
}

bool x86_page_watched(const struct x86_cpu *c, gva_t a)
{
	if (LIKELY(!(c->s.dr7 & 0xff)))
		return false;
	for (unsigned n = 0; n < 4; n++)
		if (armed(c, n) && (kind(c, n) & 1) &&
		    overlaps(c, n, a & ~0xfffull, 4096))
			return true;
	return false;
}

void x86_watch_access(struct x86_cpu *c, gva_t a, unsigned size, bool write)
{
	if (LIKELY(!(c->s.dr7 & 0xff)))
		return;
	for (unsigned n = 0; n < 4; n++)
		if (armed(c, n) && (kind(c, n) & 1) &&
		    (write || kind(c, n) == RW_ACCESS) && overlaps(c, n, a, size))
			c->dr6_pending |= BIT(n);
}

void x86_watch_port(struct x86_cpu *c, u16 port, unsigned size)
{
	if (LIKELY(!(c->s.dr7 & 0xff)) || !(c->s.cr4 & X86_CR4_DE))
		return;
	for (unsigned n = 0; n < 4; n++)
		if (armed(c, n) && kind(c, n) == RW_IO && overlaps(c, n, port, size))
			c->dr6_pending |= BIT(n);
}

/* DR4 and DR5 are DR6 and DR7 by another name unless CR4.DE is set. */
static unsigned number(struct x86_cpu *c, const struct x86_insn *i)
{
	if (i->reg == 4 || i->reg == 5) {
		if (c->s.cr4 & X86_CR4_DE)
			x86_raise(c, i, X86_UD);
		return i->reg + 2u;
	}
	return i->reg;
}

static void check_access(struct x86_cpu *c, const struct x86_insn *i)
{
	x86_need_cpl0(c, i);
	if (c->s.dr7 & X86_DR7_GD) {
		c->s.dr6 |= X86_DR6_BD;
		c->db_trap = false;
		x86_raise(c, i, X86_DB);
	}
}

X86_HANDLER(x86_mov_from_dr)
{
	unsigned n = number(c, i);
	u64 v;

	check_access(c, i);
	v = n == 6 ? c->s.dr6 : n == 7 ? c->s.dr7 : c->s.dr[n & 3];
	c->r[i->rm] = c->mode & X86_MODE_LONG ? v : (u32)v;
	NEXT(c, i);
}

X86_HANDLER(x86_mov_to_dr)
{
	u64 v = c->mode & X86_MODE_LONG ? c->r[i->rm] : (u32)c->r[i->rm];
	unsigned n = number(c, i);

	check_access(c, i);
	if (n >= 6 && v >> 32)
		x86_raise_code(c, i, X86_GP, 0);
	switch (n) {
	case 6:
		c->s.dr6 = (v & DR6_WRITABLE) | DR6_FIXED;
		break;
	case 7:
		c->s.dr7 = (v & 0xffff2bff) | 0x400;
		break;
	default:
		c->s.dr[n & 3] = v;
	}
	if (n != 6)
		x86_dr7_changed(c);
	X86_LEAVE_NEXT(c, i);
}
