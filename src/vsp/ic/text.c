/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-16 from and to UTF-8; see text.h. */
#include "vsp/ic/text.h"

#include "base/utf.h"

#define REPLACEMENT 0xfffdu

size_t ic_text_write(const char *text, u8 *ret_data, size_t units)
{
	const u8 *p = (const u8 *)text;
	size_t at = 0;

	while (*p) {
		u32 c = 0;
		unsigned n = utf8_get(p, &c);

		/* The terminator has its room too. */
		if (n == 0 || at + (c >= 0x10000 ? 2 : 1) >= units)
			return 0;
		at += utf16_put(ret_data + 2 * at, c, false);
		p += n;
	}
	if (at >= units)
		return 0;
	utf16_put(ret_data + 2 * at, 0, false);
	return 2 * (at + 1);
}

void ic_text_read(const u8 *data, size_t size, char *ret_text, size_t text_size)
{
	size_t units = size / 2, used = 0;

	for (size_t k = 0; k < units;) {
		u8 bytes[4];
		unsigned n;
		u32 c;

		k += utf16_get(data + 2 * k, units - k, false, &c);
		if (c == 0)
			break;
		if (utf_is_surrogate(c) || c < 0x20 || (c >= 0x7f && c < 0xa0))
			c = REPLACEMENT;
		n = utf8_put(bytes, c);
		if (used + n >= text_size)
			break;
		memcpy(ret_text + used, bytes, n);
		used += n;
	}
	ret_text[used] = '\0';
}
