/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C by the processor's instruction, else by a table; see crc32c.h. */
#include "disk/crc32c.h"

#include <pthread.h>

static u32 table[256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void make_table(void)
{
	for (u32 i = 0; i < 256; i++) {
		u32 c = i;

		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
		table[i] = c;
	}
}

static u32 by_table(u32 crc, const u8 *p, size_t size)
{
	pthread_once(&table_once, make_table);
	for (size_t i = 0; i < size; i++)
		crc = table[(u8)(crc ^ p[i])] ^ crc >> 8;
	return crc;
}

__attribute__((target("sse4.2"))) static u32 by_instruction(u32 crc, const u8 *p,
							    size_t size)
{
	u64 c = crc;

	for (; size >= 8; p += 8, size -= 8) {
		u64 v;

		memcpy(&v, p, sizeof v);
		c = __builtin_ia32_crc32di(c, v);
	}
	for (; size > 0; p++, size--)
		c = __builtin_ia32_crc32qi((u32)c, *p);
	return (u32)c;
}

u32 crc32c(u32 start, const void *data, size_t size)
{
	u32 crc = ~start;

	crc = __builtin_cpu_supports("sse4.2") ? by_instruction(crc, data, size)
					       : by_table(crc, data, size);
	return ~crc;
}
