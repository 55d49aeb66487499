/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of guest pages: a header and bodies of any numbers. What comes out ready has pages in RAM
 * alone, as many as its ranges say.
 */
#include "abi/vmbus.h"
#include "vmbus/gpadl.h"
#include "wall/guest_memory.h"

#define RAM (64ull << 20)

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void check(const struct gpadl *g)
{
	u32 count = 0, at = 0;
	u64 offset;
	const u64 *page = gpadl_pages(g, &count);
	struct gm_layout ram;

	gm_layout_init(&ram, RAM, RAM);
	require(g->ready && g->words_have == g->word_count);
	for (u32 k = 0; page && k < count; k++)
		require(gm_ram_offset(&ram, page[k] * VMBUS_PAGE, VMBUS_PAGE, &offset));
	for (u32 k = 0; k < g->range_count; k++) {
		u64 size = (u32)g->word[at], first = g->word[at] >> 32;

		at += 1 + (u32)((size + first + VMBUS_PAGE - 1) / VMBUS_PAGE);
		require(size > 0 && at <= g->word_count);
	}
	require(at == g->word_count);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct gm_layout ram;
	struct gpadls all;
	u32 relid = 0;

	gm_layout_init(&ram, RAM, RAM);
	gpadls_init(&all, &ram);
	while (size >= 8) {
		struct gpadl *g = NULL;
		u32 id = data[0] & 7, n = (u32)min_u64(data[1], size - 8);
		/* Most page numbers of random bytes lie outside: make some that do not. */
		u64 words[32];

		memset(words, 0, sizeof words);
		memcpy(words, data + 8, n);
		for (u32 k = 0; k < n / 8; k++)
			if (data[2] >> (k % 8) & 1)
				words[k] &= 0x3fff;
		int r = data[0] & 8 ? gpadls_body(&all, id, words, n, &relid, &g)
				    : gpadls_header(&all, data[0] >> 6, id,
						    (u32)data[3] * 8 + (data[4] & 1),
						    data[5] & 7, words, n, &g);
		if (r == 0 && g->ready)
			check(g);
		if (r == 0 && data[6] == 0)
			gpadls_drop(&all, g);
		data += 8 + n;
		size -= 8 + n;
	}
	gpadls_done(&all);
	require(all.count == 0 && all.words == 0);
	return 0;
}
