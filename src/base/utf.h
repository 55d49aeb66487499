/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One character of UTF-8 or UTF-16 at a time, to read and to write. What a text may hold, and what
 * becomes of what it may not, is the caller's: disk/text16.h, vsp/ic/text.h. Bounded, any thread.
 */
#pragma once

#include "base/types.h"

static inline bool utf_is_surrogate(u32 c)
{
	return c >= 0xd800 && c < 0xe000;
}

/* The next character of a terminated text and how many bytes it has; 0: it is none. */
unsigned utf8_get(const u8 *text, u32 *ret_character);
/* How many bytes it has: 4 at most. */
unsigned utf8_put(u8 *to, u32 character);

/*
 * The next character of `units` > 0 units and how many it has: 1 or 2. A surrogate alone is given as
 * it is (utf_is_surrogate).
 */
unsigned utf16_get(const u8 *data, size_t units, bool big_endian, u32 *ret_character);
/* How many units it has; room for two. */
unsigned utf16_put(u8 *to, u32 character, bool big_endian);
