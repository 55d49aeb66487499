/* SPDX-License-Identifier: Apache-2.0 */
/* Characters of UTF-8 and UTF-16; see utf.h. */
#include "base/utf.h"

unsigned utf8_get(const u8 *text, u32 *ret_character)
{
	static const struct {
		u8 mask, lead;
		u32 least;
	} forms[] = { { 0x80, 0, 0 },
		      { 0xe0, 0xc0, 0x80 },
		      { 0xf0, 0xe0, 0x800 },
		      { 0xf8, 0xf0, 0x10000 } };

	for (unsigned n = 0; n < ARRAY_COUNT(forms); n++) {
		u32 c = text[0] & (u8)~forms[n].mask;

		if ((text[0] & forms[n].mask) != forms[n].lead)
			continue;
		for (unsigned k = 1; k <= n; k++) {
			if ((text[k] & 0xc0) != 0x80)
				return 0;
			c = c << 6 | (text[k] & 0x3f);
		}
		if (c < forms[n].least || c > 0x10ffff || utf_is_surrogate(c))
			return 0;
		*ret_character = c;
		return n + 1;
	}
	return 0;
}

unsigned utf8_put(u8 *to, u32 c)
{
	if (c < 0x80) {
		to[0] = (u8)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (u8)(0xc0 | c >> 6);
		to[1] = (u8)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (u8)(0xe0 | c >> 12);
		to[1] = (u8)(0x80 | (c >> 6 & 0x3f));
		to[2] = (u8)(0x80 | (c & 0x3f));
		return 3;
	}
	to[0] = (u8)(0xf0 | c >> 18);
	to[1] = (u8)(0x80 | (c >> 12 & 0x3f));
	to[2] = (u8)(0x80 | (c >> 6 & 0x3f));
	to[3] = (u8)(0x80 | (c & 0x3f));
	return 4;
}

static u32 unit_at(const u8 *p, bool big_endian)
{
	return big_endian ? (u32)p[0] << 8 | p[1] : (u32)p[1] << 8 | p[0];
}

static void put_unit(u8 *to, u32 unit, bool big_endian)
{
	to[big_endian ? 0 : 1] = (u8)(unit >> 8);
	to[big_endian ? 1 : 0] = (u8)unit;
}

unsigned utf16_get(const u8 *data, size_t units, bool big_endian, u32 *ret_character)
{
	u32 c = unit_at(data, big_endian), low = 0;

	if (c >= 0xd800 && c < 0xdc00 && units > 1)
		low = unit_at(data + 2, big_endian);
	if ((low & 0xfc00) != 0xdc00) {
		*ret_character = c;
		return 1;
	}
	*ret_character = 0x10000 + ((c & 0x3ff) << 10) + (low & 0x3ff);
	return 2;
}

unsigned utf16_put(u8 *to, u32 c, bool big_endian)
{
	if (c < 0x10000) {
		put_unit(to, c, big_endian);
		return 1;
	}
	put_unit(to, 0xd800 + ((c - 0x10000) >> 10), big_endian);
	put_unit(to + 2, 0xdc00 + (c & 0x3ff), big_endian);
	return 2;
}
