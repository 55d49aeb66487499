/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Bochs does otherwise than the processors and no case can be kept from: made alike after the case, for
 * the instruction in question and nothing else. The reasons are with AVOID_... in system.h.
 */
#include "system.h"

/* Stacks and code are the arena's through some window (all begin at multiples of 64 KiB), or the
 * kernel's own. */
static u8 *memory_of(u64 linear)
{
	return (u8 *)(linear >= 0x100000 && linear < ARENA ? linear
							   : ARENA + (linear & 0xffff));
}

static bool is_prefix(u8 b)
{
	return b == 0x66 || b == 0x67 || b == 0x2e || b == 0x36 || b == 0x3e ||
	       b == 0x26 || b == 0x64 || b == 0x65 || b == 0xf0 || b == 0xf2 ||
	       b == 0xf3 || (kind <= KIND_COMPAT16 && (b & 0xf0) == 0x40);
}

/* What the last exception interrupted. */
static u64 frame_word(unsigned n)
{
	static const u32 has_code = 0x27d00; /* 8 10-14 17 */
	const u8 *frame = memory_of(s_gpr[SP]);
	unsigned word = n + (has_code >> (s_vector & 31) & 1);

	return long_mode() ? ((const u64 *)frame)[word] : ((const u32 *)frame)[word];
}

static u64 interrupted_ip(void)
{
	return frame_word(0);
}

static unsigned interrupted_cs(void)
{
	return frame_word(1) & 0xfff8;
}

static const u8 *interrupted(void)
{
	const u8 *code = memory_of(interrupted_ip());

	while (is_prefix(*code))
		code++;
	return code;
}

/* Code of 16 bits, or with a base, as its descriptor is now; or of virtual-8086 mode. */
static bool in_other_code(void)
{
	const u8 *d = descriptor_of((u16)frame_word(1));

	return (frame_word(2) & 0x20000) || !(d[6] & 0x40) || d[2] || d[3] || d[4] ||
	       d[7];
}

bool strayed(void)
{
	u64 ip = interrupted_ip(), v = s_vector & 0xff;
	unsigned page = (unsigned)(memory_of(ip) - (u8 *)ARENA) >> 12;

	if (!avoids(AVOID_STRAYS) || v == 8 || v >= 32 ||
	    (kind != KIND_FLAT && kind != KIND_V86 && kind != KIND_PAE16 &&
	     kind != KIND_COMPAT16))
		return false;
	if (kind == KIND_FLAT && in_other_code())
		return true;
	/* In the kernel it is IRET that ended it, and a page fault may be that of the fetch. */
	if ((ip >= 0x100000 && ip < ARENA) ||
	    (v == 14 && (s_cr2 & 0xffff) == (ip & 0xffff)))
		return false;
	/* Inner fragments are not of 16 bits. */
	if (page == P_KCODE && (ip & 0xfff) >= 0x100 && interrupted_cs() == S_CODE16)
		return true;
	return page != P_CODE && page != P_KCODE;
}

bool overwrote_itself(const u8 *before)
{
	if (!avoids(AVOID_OWN_BYTES))
		return false;
	for (unsigned n = 0; n < repeated_count; n++) {
		u64 first = repeated[n].offset;

		for (u64 i = first; i < first + repeated[n].size; i++)
			if (((const u8 *)ARENA)[i] != before[i])
				return true;
	}
	return false;
}

static bool is_masked(const u8 *code)
{
	return code[0] == 0xc4 && (code[1] & 0x1f) == 2 && (code[3] & 0xfc) == 0x2c;
}

void forgive(void)
{
	u64 v = s_vector & 0xff;
	const u8 *code;

	if (v != 11 && v != 12 && v != 14)
		return;
	code = interrupted();
	if (avoids(AVOID_IRET_STACK) && (v == 11 || v == 12) && *code == 0xcf)
		s_vector = 11;
	if (avoids(AVOID_MASKED) && v == 14 && is_masked(code))
		s_cr2 = 0;
}
