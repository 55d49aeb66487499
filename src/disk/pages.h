/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cache of the pages of an image's tables (block allocation table, sector bitmaps): read when
 * first needed, changed in memory, written by the image's commit. What is changed stays until it
 * is written; what is not may be dropped, so that the tables of the largest image fit.
 *
 * No lock of its own: the image's lock is held in every call. A page's pointer is good until the
 * next call of pages_get.
 */
#pragma once

#include "base/types.h"
#include "disk/storage.h"

struct pages;

/* A place in the ring of dirty pages. */
struct page_link {
	struct page_link *older, *newer;
};

struct page {
	u64 offset;	   /* in the storage, a multiple of the page size */
	struct page *next; /* of the same hash */
	struct page_link dirty_link;
	bool dirty, writing;
	u8 data[];
};

int pages_new(struct storage *storage, u32 page_size, struct pages **ret_pages)
	MUST_CHECK;
void pages_free(struct pages *pages);

/* Where a page is not in the storage (past its end): -EIO. */
int pages_get(struct pages *pages, u64 offset, struct page **ret_page) MUST_CHECK;
/* Its data was changed. */
void pages_mark_dirty(struct pages *pages, struct page *page);
unsigned pages_dirty(const struct pages *pages);
/* Forget [offset, offset + size), also what was changed in it: others live there now. */
void pages_forget(struct pages *pages, u64 offset, u64 size);

/* Copies of changed pages, in the order of their offsets. */
struct page_batch {
	unsigned count;
	u64 *offset;
	u8 *data; /* page after page */
};
/* At most max; they count as clean from now on, but stay in the cache. */
int pages_take(struct pages *pages, unsigned max, struct page_batch *ret_batch)
	MUST_CHECK;
/* The batch has reached its place; or (failed) it has not, and its pages are dirty again. */
void pages_written(struct pages *pages, struct page_batch *batch, bool failed);
/* Write a batch to its place. No lock needed. */
int pages_write(const struct pages *pages, const struct page_batch *batch) MUST_CHECK;
