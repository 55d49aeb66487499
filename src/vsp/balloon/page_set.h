/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pages of the RAM region a guest has given back: a bit for each, so that no order in which a guest
 * gives them costs more memory than another. A page is in it once.
 *
 * Thread: its owner's.
 */
#pragma once

#include "base/types.h"

struct page_set {
	u64 *word;
	u64 pages; /* that there are */
	u64 count; /* that are in it */
	u64 hint;  /* no page before it is in it */
};

/* -ENOMEM. Memory is taken where pages are put in. */
int page_set_init(struct page_set *set, u64 pages) MUST_CHECK;
void page_set_done(struct page_set *set);
void page_set_clear(struct page_set *set);

/* All of them, or none (false): one is in it already, or there are not so many. */
bool page_set_add(struct page_set *set, u64 first, u64 count);
/* They are in it. */
void page_set_remove(struct page_set *set, u64 first, u64 count);
/* The first pages at or behind `from` that are in it without a gap, `most` at most. False: none is. */
bool page_set_find(const struct page_set *set, u64 from, u64 most, u64 *ret_first,
		   u64 *ret_count);

/* For saved state: bit k of byte n is page 8n + k. */
static inline size_t page_set_size(const struct page_set *set)
{
	return (size_t)((set->pages + 63) / 64 * 8);
}
/* False: of another number of pages. */
bool page_set_restore(struct page_set *set, const void *bytes, size_t size);
