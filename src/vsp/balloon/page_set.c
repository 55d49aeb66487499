/* SPDX-License-Identifier: Apache-2.0 */
/* Pages that a guest has given back; see page_set.h. */
#include "vsp/balloon/page_set.h"

#include <errno.h>

#include "base/checked.h"
#include "base/reserve.h"

int page_set_init(struct page_set *set, u64 pages)
{
	*set = (struct page_set){ .pages = pages };
	set->word = memory_reserve(page_set_size(set));
	return set->word ? 0 : -ENOMEM;
}

void page_set_done(struct page_set *set)
{
	if (set->word)
		memory_release(set->word, page_set_size(set));
	*set = (struct page_set){ 0 };
}

void page_set_clear(struct page_set *set)
{
	if (set->count > 0)
		memset(set->word, 0, page_set_size(set));
	set->count = set->hint = 0;
}

/* The first page of [from, to) that is (not) in it; to where there is none. */
static u64 next(const struct page_set *set, u64 from, u64 to, bool in)
{
	u64 keep = ~0ull << from % 64;

	for (u64 n = from / 64; n * 64 < to; n++, keep = ~0ull) {
		u64 bits = (in ? set->word[n] : ~set->word[n]) & keep;

		if (bits)
			return min_u64(n * 64 + (u64)__builtin_ctzll(bits), to);
	}
	return to;
}

/* The bits of [first, first + count) that lie in word n. */
static u64 bits_of(u64 n, u64 first, u64 count)
{
	u64 from = first > n * 64 ? first - n * 64 : 0;
	u64 to = min_u64(first + count - n * 64, 64);

	return ~0ull << from & ~0ull >> (64 - to);
}

bool page_set_add(struct page_set *set, u64 first, u64 count)
{
	if (!range_inside(first, count, set->pages))
		return false;
	if (count == 0)
		return true;
	if (next(set, first, first + count, true) < first + count)
		return false;
	for (u64 n = first / 64; n <= (first + count - 1) / 64; n++)
		set->word[n] |= bits_of(n, first, count);
	set->count += count;
	set->hint = min_u64(set->hint, first);
	return true;
}

void page_set_remove(struct page_set *set, u64 first, u64 count)
{
	if (count == 0)
		return;
	for (u64 n = first / 64; n <= (first + count - 1) / 64; n++)
		set->word[n] &= ~bits_of(n, first, count);
	set->count -= count;
	if (first == set->hint)
		set->hint = first + count;
}

bool page_set_find(const struct page_set *set, u64 from, u64 most, u64 *ret_first,
		   u64 *ret_count)
{
	u64 first;

	if (set->count == 0 || from >= set->pages || most == 0)
		return false;
	first = next(set, max_u64(from, set->hint), set->pages, true);
	if (first == set->pages)
		return false;
	*ret_first = first;
	most = min_u64(most, set->pages - first);
	*ret_count = next(set, first, first + most, false) - first;
	return true;
}

bool page_set_restore(struct page_set *set, const void *bytes, size_t size)
{
	u64 beyond = set->pages % 64;

	if (size != page_set_size(set))
		return false;
	memcpy(set->word, bytes, size);
	set->count = set->hint = 0;
	if (beyond && size > 0 && set->word[set->pages / 64] & ~0ull << beyond)
		return false;
	for (size_t n = 0; n < size / 8; n++)
		set->count += (u64)__builtin_popcountll(set->word[n]);
	return true;
}
