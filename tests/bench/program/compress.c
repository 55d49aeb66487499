/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of compression, memory to memory; see rows.h. The libraries are Debian's. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "rows.h"

/* Something like source text, the same each time. */
static u8 *make_text(size_t size)
{
	static const char *const words[16] = {
		"the ",	    "quick ",  "kernel ", "page ", "fault ", "int ",
		"return ",  "struct ", "0x",	  "{\n",   "}\n",    "virtual ",
		"machine ", "of ",     "a ",	  "bus "
	};
	u8 *text = malloc(size);
	u64 x = 12345;
	size_t at = 0;

	if (!text)
		abort();
	while (at < size - 16) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;

		const char *word = words[x >> 40 & 15];
		size_t length = strlen(word);

		memcpy(text + at, word, length);
		at += length;
		if ((x >> 50 & 7) == 0) {
			for (int z = 0; z < 4; z++)
				text[at++] = (u8)('0' + (x >> z * 4 & 7));
		}
	}
	while (at < size)
		text[at++] = ' ';
	return text;
}

static u64 result(u8 *text, u8 *packed, u8 *unpacked, size_t size, size_t packed_size)
{
	bool same = memcmp(text, unpacked, size) == 0;

	free(text);
	free(packed);
	free(unpacked);
	return same ? packed_size : 0;
}

u64 row_gzip(long n)
{
	size_t size = (size_t)n << 20;
	uLongf packed_size = compressBound(size), unpacked_size = size;
	u8 *text = make_text(size), *packed = malloc(packed_size),
	   *unpacked = malloc(size);

	if (!packed || !unpacked ||
	    compress2(packed, &packed_size, text, size, 6) != Z_OK ||
	    uncompress(unpacked, &unpacked_size, packed, packed_size) != Z_OK)
		abort();
	return result(text, packed, unpacked, size, packed_size);
}

u64 row_zstd(long n)
{
	size_t size = (size_t)n << 20, bound = ZSTD_compressBound(size);
	u8 *text = make_text(size), *packed = malloc(bound), *unpacked = malloc(size);

	if (!packed || !unpacked)
		abort();

	size_t packed_size = ZSTD_compress(packed, bound, text, size, 3);

	if (ZSTD_isError(packed_size) ||
	    ZSTD_isError(ZSTD_decompress(unpacked, size, packed, packed_size)))
		abort();
	return result(text, packed, unpacked, size, packed_size);
}
