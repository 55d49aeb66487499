/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-16 and UTF-8; see text16.h. */
#include "disk/text16.h"

static u32 unit_at(const u8 *p, bool big_endian)
{
	return big_endian ? (u32)p[0] << 8 | p[1] : (u32)p[1] << 8 | p[0];
}

static size_t put_utf8(u32 c, u8 *out)
{
	if (c < 0x80) {
		out[0] = (u8)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (u8)(0xc0 | c >> 6);
		out[1] = (u8)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (u8)(0xe0 | c >> 12);
		out[1] = (u8)(0x80 | (c >> 6 & 0x3f));
		out[2] = (u8)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (u8)(0xf0 | c >> 18);
	out[1] = (u8)(0x80 | (c >> 12 & 0x3f));
	out[2] = (u8)(0x80 | (c >> 6 & 0x3f));
	out[3] = (u8)(0x80 | (c & 0x3f));
	return 4;
}

bool text16_read(const u8 *data, size_t size, bool big_endian, char *ret_text,
		 size_t text_size)
{
	size_t used = 0;

	for (size_t i = 0; i + 1 < size; i += 2) {
		u32 c = unit_at(data + i, big_endian);
		u8 bytes[4];
		size_t n;

		if (c == 0)
			break;
		if (c >= 0xd800 && c < 0xdc00 && i + 3 < size) {
			u32 low = unit_at(data + i + 2, big_endian);

			if (low < 0xdc00 || low > 0xdfff)
				return false;
			c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
			i += 2;
		} else if (c >= 0xd800 && c < 0xe000) {
			return false;
		}
		if (c < 0x20 || c == 0x7f)
			return false;
		n = put_utf8(c == '\\' ? '/' : c, bytes);
		if (used + n >= text_size)
			return false;
		memcpy(ret_text + used, bytes, n);
		used += n;
	}
	ret_text[used] = '\0';
	return true;
}

/* One character of well-formed UTF-8; 0: it is not. */
static size_t get_utf8(const u8 *p, u32 *ret_c)
{
	size_t n = p[0] < 0x80		   ? 1
		   : (p[0] & 0xe0) == 0xc0 ? 2
		   : (p[0] & 0xf0) == 0xe0 ? 3
		   : (p[0] & 0xf8) == 0xf0 ? 4
					   : 0;
	u32 c = n == 1 ? p[0] : p[0] & (0x7fu >> n);

	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	*ret_c = c;
	return n;
}

static void put_unit(u8 *out, u32 unit, bool big_endian)
{
	out[big_endian ? 0 : 1] = (u8)(unit >> 8);
	out[big_endian ? 1 : 0] = (u8)unit;
}

size_t text16_write(const char *text, bool big_endian, u8 *ret_data, size_t size)
{
	const u8 *p = (const u8 *)text;
	size_t used = 0;

	while (*p) {
		u32 c = 0;
		size_t n = get_utf8(p, &c);

		if (n == 0 || used + 4 > size)
			return 0;
		p += n;
		if (c == '/')
			c = '\\';
		if (c >= 0x10000) {
			put_unit(ret_data + used, 0xd800 + ((c - 0x10000) >> 10),
				 big_endian);
			used += 2;
			c = 0xdc00 + ((c - 0x10000) & 0x3ff);
		}
		put_unit(ret_data + used, c, big_endian);
		used += 2;
	}
	return used;
}
