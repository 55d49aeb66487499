/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is left of the user's integer instructions: flags by themselves, BOUND, random numbers,
 * fences, hints and no-operations. And x86_choose_integer(), which asks the files of the family.
 *
 * Intel SDM volume 2. VP's thread.
 */
#include <cpuid.h>
#include <sched.h>

#include "x86/integer.h"

/* Tables aligned by hand. */
/* clang-format off */

X86_HANDLER(nop)
{
	NEXT(c, i);
}

X86_HANDLER(mfence)
{
	__asm__ volatile("mfence" : : : "memory");
	NEXT(c, i);
}

/* CLFLUSH and its kin read, as far as faults go. */
X86_HANDLER(flush_line)
{
	x86_probe(c, i, x86_ea(c, i, 1, false), 1, false);
	NEXT(c, i);
}

/* ---- flags ----------------------------------------------------------------------------------- */

X86_HANDLER(clc)
{
	c->ah &= (u8)~X86_CF;
	NEXT(c, i);
}
X86_HANDLER(stc)
{
	c->ah |= X86_CF;
	NEXT(c, i);
}
X86_HANDLER(cmc)
{
	c->ah ^= X86_CF;
	NEXT(c, i);
}
X86_HANDLER(cld)
{
	c->eflags &= ~X86_DF_FLAG;
	NEXT(c, i);
}
X86_HANDLER(std)
{
	c->eflags |= X86_DF_FLAG;
	NEXT(c, i);
}
X86_HANDLER(lahf)
{
	x86_put8(c, 8 * R_AX + 1, (c->ah & 0xd5) | 2);
	NEXT(c, i);
}
X86_HANDLER(sahf)
{
	c->ah = (x86_get8(c, 8 * R_AX + 1) & 0xd5) | 2;
	NEXT(c, i);
}
X86_HANDLER(salc)
{
	x86_put8(c, 8 * R_AX, c->ah & X86_CF ? 0xff : 0);
	NEXT(c, i);
}

/*
 * ---- BOUND: two signed numbers in memory --------------------------------------------------------
 * Two operands: the second's address wraps by itself (measured on Zen 4).
 */

X86_HANDLER(bound)
{
	const unsigned size = i->extra;
	const gva_t a = x86_ea(c, i, size, false);
	s32 low, high, index;

	if (size == 2) {
		low = (s16)x86_load16(c, i, a);
		high = (s16)x86_load16(c, i, x86_ea_beside(c, i, 2, 2, false));
		index = (s16)c->r[i->reg];
	} else {
		low = (s32)x86_load32(c, i, a);
		high = (s32)x86_load32(c, i, x86_ea_beside(c, i, 4, 4, false));
		index = (s32)c->r[i->reg];
	}
	if (index < low || index > high)
		x86_raise(c, i, X86_BR);
	NEXT(c, i);
}

/* ---- random numbers: the host's --------------------------------------------------------------- */

/* CF says whether there was one; the destination is 0 if not. i->extra is the width. */
#define RANDOM(name)                                                                               \
	X86_HANDLER(name)                                                                          \
	{                                                                                          \
		u64 v;                                                                             \
		bool ok;                                                                           \
                                                                                                   \
		__asm__ volatile(#name " %0\n\tsetc %1" : "=r"(v), "=q"(ok) : : "cc");             \
		x86_put(c, i->reg, i->extra, v);                                                   \
		c->flags = (u16)(ok << 8);                                                         \
		NEXT(c, i);                                                                        \
	}
RANDOM(rdrand)
RANDOM(rdseed)

/* Decoded once per place in the guest, so CPUID may cost what it costs. */
static bool host_has_rdrand(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_RDRND);
}

static bool host_has_rdseed(void)
{
	unsigned a, b, c, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_RDSEED);
}

static bool choose_random(const struct x86_decoded *d, struct x86_insn *i, x86_fn fn)
{
	i->reg = x86_choose_reg(&d->op[0]);
	i->extra = d->op[0].size;
	return x86_choose_fn(i, fn);
}

/*
 * PAUSE says that this processor waits for another. Where the host has fewer processors than the guest,
 * the other cannot come before we let it: now and then we do.
 */
#define PAUSES_BEFORE_YIELD 32u

X86_HANDLER(pause_)
{
	if (++c->pauses % PAUSES_BEFORE_YIELD == 0)
		sched_yield();
	NEXT(c, i);
}

/* F3 49 90: REP means nothing to XCHG R8, rAX. */
X86_HANDLER(xchg_r8)
{
	const u64 a = c->r[R_AX], b = c->r[R_8];

	x86_put(c, R_AX, i->extra, b);
	x86_put(c, R_8, i->extra, a);
	NEXT(c, i);
}

static bool choose_xchg_r8(const struct x86_decoded *d, struct x86_insn *i)
{
	i->extra = d->insn.raw.rex.W ? 64 : d->insn.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE ? 16 : 32;
	return x86_choose_fn(i, xchg_r8);
}

/* ---- choosing -------------------------------------------------------------------------------- */

bool x86_choose_plain(const struct x86_decoded *d, struct x86_insn *i)
{
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_PAUSE:
		/* With REX.B the bytes are those of XCHG with R8, which Zydis does not see. */
		if (d->insn.attributes & ZYDIS_ATTRIB_HAS_REX && d->insn.raw.rex.B)
			return choose_xchg_r8(d, i);
		return x86_choose_fn(i, pause_);
	case ZYDIS_MNEMONIC_NOP:
	case ZYDIS_MNEMONIC_PREFETCH:
	case ZYDIS_MNEMONIC_PREFETCHNTA:
	case ZYDIS_MNEMONIC_PREFETCHT0:
	case ZYDIS_MNEMONIC_PREFETCHT1:
	case ZYDIS_MNEMONIC_PREFETCHT2:
	case ZYDIS_MNEMONIC_PREFETCHW:
	case ZYDIS_MNEMONIC_PREFETCHWT1:
	case ZYDIS_MNEMONIC_ENDBR32:
	case ZYDIS_MNEMONIC_ENDBR64:
	case ZYDIS_MNEMONIC_LFENCE:
	case ZYDIS_MNEMONIC_SFENCE: return x86_choose_fn(i, nop);
	case ZYDIS_MNEMONIC_MFENCE: return x86_choose_fn(i, mfence);
	case ZYDIS_MNEMONIC_CLFLUSH:
	case ZYDIS_MNEMONIC_CLFLUSHOPT:
	case ZYDIS_MNEMONIC_CLWB:
		x86_decode_memory(d, &d->op[0], i);
		return x86_choose_fn(i, flush_line);
	case ZYDIS_MNEMONIC_CLC: return x86_choose_fn(i, clc);
	case ZYDIS_MNEMONIC_STC: return x86_choose_fn(i, stc);
	case ZYDIS_MNEMONIC_CMC: return x86_choose_fn(i, cmc);
	case ZYDIS_MNEMONIC_CLD: return x86_choose_fn(i, cld);
	case ZYDIS_MNEMONIC_STD: return x86_choose_fn(i, std);
	case ZYDIS_MNEMONIC_LAHF: return x86_choose_fn(i, lahf);
	case ZYDIS_MNEMONIC_SAHF: return x86_choose_fn(i, sahf);
	case ZYDIS_MNEMONIC_SALC: return !(d->mode & X86_MODE_LONG) && x86_choose_fn(i, salc);
	case ZYDIS_MNEMONIC_BOUND:
		i->reg = x86_choose_reg(&d->op[0]);
		i->extra = d->op[0].size / 8;
		x86_decode_memory(d, &d->op[1], i);
		return !(d->mode & X86_MODE_LONG) && x86_choose_fn(i, bound);
	case ZYDIS_MNEMONIC_RDRAND:
		return host_has_rdrand() && choose_random(d, i, rdrand);
	case ZYDIS_MNEMONIC_RDSEED:
		return host_has_rdseed() && choose_random(d, i, rdseed);
	default: return false;
	}
}

bool x86_choose_integer(const struct x86_decoded *d, struct x86_insn *i)
{
	return x86_choose_move(d, i) || x86_choose_alu(d, i) || x86_choose_shift(d, i) ||
	       x86_choose_bits(d, i) || x86_choose_muldiv(d, i) || x86_choose_atomic(d, i) ||
	       x86_choose_plain(d, i);
}
