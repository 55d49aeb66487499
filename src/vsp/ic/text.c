/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-16 from and to UTF-8; see text.h. */
#include "vsp/ic/text.h"

#define REPLACEMENT 0xfffdu

/* ---- UTF-8 ----------------------------------------------------------------------------------- */

/* The next character of a terminated text and how many bytes it has; 0: it is none. */
static unsigned next_character(const u8 *text, u32 *ret_character)
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
		if (c < forms[n].least || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
			return 0;
		*ret_character = c;
		return n + 1;
	}
	return 0;
}

static unsigned put_character(u8 *to, u32 c)
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

/* ---- UTF-16 ---------------------------------------------------------------------------------- */

static void put_unit(u8 *data, size_t at, u32 unit)
{
	data[2 * at] = (u8)unit;
	data[2 * at + 1] = (u8)(unit >> 8);
}

size_t ic_text_write(const char *text, u8 *ret_data, size_t units)
{
	const u8 *p = (const u8 *)text;
	size_t at = 0;

	while (*p) {
		u32 c = 0;
		unsigned n = next_character(p, &c);
		size_t need = c >= 0x10000 ? 2 : 1;

		if (n == 0 || at + need >= units)
			return 0;
		if (need == 2) {
			put_unit(ret_data, at, 0xd800 + ((c - 0x10000) >> 10));
			put_unit(ret_data, at + 1, 0xdc00 + (c & 0x3ff));
		} else {
			put_unit(ret_data, at, c);
		}
		at += need;
		p += n;
	}
	if (at >= units)
		return 0;
	put_unit(ret_data, at, 0);
	return 2 * (at + 1);
}

static u32 unit_at(const u8 *data, size_t at)
{
	return (u32)(data[2 * at] | data[2 * at + 1] << 8);
}

void ic_text_read(const u8 *data, size_t size, char *ret_text, size_t text_size)
{
	size_t units = size / 2, used = 0;

	for (size_t k = 0; k < units; k++) {
		u32 c = unit_at(data, k);
		u8 bytes[4];
		unsigned n;

		if (c == 0)
			break;
		if (c >= 0xd800 && c < 0xdc00 && k + 1 < units &&
		    (unit_at(data, k + 1) & 0xfc00) == 0xdc00)
			c = 0x10000 + ((c & 0x3ff) << 10) + (unit_at(data, ++k) & 0x3ff);
		else if ((c >= 0xd800 && c < 0xe000) || c < 0x20 ||
			 (c >= 0x7f && c < 0xa0))
			c = REPLACEMENT;
		n = put_character(bytes, c);
		if (used + n >= text_size)
			break;
		memcpy(ret_text + used, bytes, n);
		used += n;
	}
	ret_text[used] = '\0';
}
