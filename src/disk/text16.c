/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-16 and UTF-8 of disk images; see text16.h. */
#include "disk/text16.h"

#include "base/utf.h"

bool text16_read(const u8 *data, size_t size, bool big_endian, char *ret_text,
		 size_t text_size)
{
	size_t units = size / 2, used = 0;

	for (size_t k = 0; k < units;) {
		u8 bytes[4];
		size_t n;
		u32 c;

		k += utf16_get(data + 2 * k, units - k, big_endian, &c);
		if (c == 0)
			break;
		if (utf_is_surrogate(c) || c < 0x20 || c == 0x7f)
			return false;
		n = utf8_put(bytes, c == '\\' ? '/' : c);
		if (used + n >= text_size)
			return false;
		memcpy(ret_text + used, bytes, n);
		used += n;
	}
	ret_text[used] = '\0';
	return true;
}

size_t text16_write(const char *text, bool big_endian, u8 *ret_data, size_t size)
{
	const u8 *p = (const u8 *)text;
	size_t used = 0;

	while (*p) {
		u32 c = 0;
		size_t n = utf8_get(p, &c);

		if (n == 0 || used + 4 > size)
			return 0;
		p += n;
		used += 2 * utf16_put(ret_data + used, c == '/' ? '\\' : c, big_endian);
	}
	return used;
}
