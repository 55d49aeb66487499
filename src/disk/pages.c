/* SPDX-License-Identifier: Apache-2.0 */
/* A cache of table pages; see pages.h. */
#include "disk/pages.h"

#include <errno.h>

#define BUCKETS 4096
/* What the cache may hold of clean pages: 16 MiB. */
#define CLEAN_BYTES (16u << 20)

struct pages {
	struct storage *storage;
	u32 page_size;
	unsigned count, dirty, limit;
	unsigned sweep;		     /* bucket where the next drop looks */
	struct page_link dirty_list; /* a ring */
	struct page *bucket[BUCKETS];
};

int pages_new(struct storage *storage, u32 page_size, struct pages **ret_pages)
{
	struct pages *p = calloc(1, sizeof *p);

	if (!p)
		return -ENOMEM;
	p->storage = storage;
	p->page_size = page_size;
	p->limit = CLEAN_BYTES / page_size;
	p->dirty_list.older = p->dirty_list.newer = &p->dirty_list;
	*ret_pages = p;
	return 0;
}

void pages_free(struct pages *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < BUCKETS; i++) {
		while (p->bucket[i]) {
			struct page *page = p->bucket[i];

			p->bucket[i] = page->next;
			free(page);
		}
	}
	free(p);
}

static struct page **bucket_of(struct pages *p, u64 offset)
{
	u64 n = offset / p->page_size;

	return &p->bucket[(n * 0x9e3779b97f4a7c15ull) >> 52];
}

static struct page **find(struct pages *p, u64 offset)
{
	struct page **at = bucket_of(p, offset);

	while (*at && (*at)->offset != offset)
		at = &(*at)->next;
	return at;
}

/* Drop clean pages until a tenth is free; buckets in turn, once around at most. */
static void drop_clean(struct pages *p)
{
	unsigned target = p->limit - p->limit / 10;

	for (unsigned i = 0; i < BUCKETS && p->count - p->dirty > target; i++) {
		struct page **at = &p->bucket[p->sweep];

		p->sweep = (p->sweep + 1) % BUCKETS;
		while (*at) {
			struct page *page = *at;

			if (page->dirty || page->writing) {
				at = &page->next;
				continue;
			}
			*at = page->next;
			free(page);
			p->count--;
		}
	}
}

int pages_get(struct pages *p, u64 offset, struct page **ret_page)
{
	struct page **at = find(p, offset);
	struct page *page = *at;
	int r;

	if (page) {
		*ret_page = page;
		return 0;
	}
	if (p->count - p->dirty >= p->limit) {
		drop_clean(p);
		at = find(p, offset);
	}
	page = calloc(1, sizeof *page + p->page_size);
	if (!page)
		return -ENOMEM;
	r = storage_read(p->storage, page->data, p->page_size, offset);
	if (r < 0) {
		free(page);
		return r;
	}
	page->offset = offset;
	*at = page;
	p->count++;
	*ret_page = page;
	return 0;
}

static void list_in(struct pages *p, struct page *page)
{
	struct page_link *last = p->dirty_list.older, *link = &page->dirty_link;

	link->older = last;
	link->newer = &p->dirty_list;
	last->newer = link;
	p->dirty_list.older = link;
	page->dirty = true;
	p->dirty++;
}

static void list_out(struct pages *p, struct page *page)
{
	struct page_link *link = &page->dirty_link;

	link->older->newer = link->newer;
	link->newer->older = link->older;
	page->dirty = false;
	p->dirty--;
}

void pages_mark_dirty(struct pages *p, struct page *page)
{
	if (!page->dirty)
		list_in(p, page);
}

unsigned pages_dirty(const struct pages *p)
{
	return p->dirty;
}

void pages_forget(struct pages *p, u64 offset, u64 size)
{
	for (u64 o = offset; o < offset + size; o += p->page_size) {
		struct page **at = find(p, o), *page = *at;

		if (!page)
			continue;
		if (page->dirty)
			list_out(p, page);
		*at = page->next;
		free(page);
		p->count--;
	}
}

static int by_offset(const void *a, const void *b)
{
	const struct page *p = *(struct page *const *)a, *q = *(struct page *const *)b;

	return p->offset < q->offset ? -1 : p->offset > q->offset;
}

int pages_take(struct pages *p, unsigned max, struct page_batch *ret_batch)
{
	unsigned count = p->dirty < max ? p->dirty : max, n = 0;
	AUTO_FREE struct page **list = NULL;
	AUTO_FREE u64 *offset = NULL;
	AUTO_FREE u8 *data = NULL;

	*ret_batch = (struct page_batch){ 0 };
	if (count == 0)
		return 0;
	list = malloc(count * sizeof *list);
	offset = malloc(count * sizeof *offset);
	data = malloc((size_t)count * p->page_size);
	if (!list || !offset || !data)
		return -ENOMEM;
	for (struct page_link *link = p->dirty_list.newer; n < count; link = link->newer)
		list[n++] = CONTAINER_OF(link, struct page, dirty_link);
	qsort(list, count, sizeof *list, by_offset);
	for (unsigned i = 0; i < count; i++) {
		list_out(p, list[i]);
		list[i]->writing = true;
		offset[i] = list[i]->offset;
		memcpy(data + (size_t)i * p->page_size, list[i]->data, p->page_size);
	}
	ret_batch->count = count;
	ret_batch->offset = take_ptr(offset);
	ret_batch->data = take_ptr(data);
	return 0;
}

void pages_written(struct pages *p, struct page_batch *batch, bool failed)
{
	for (unsigned i = 0; i < batch->count; i++) {
		struct page *page = *find(p, batch->offset[i]);

		if (!page)
			continue; /* forgotten meanwhile */
		page->writing = false;
		if (failed)
			pages_mark_dirty(p, page);
	}
	free(batch->offset);
	free(batch->data);
	*batch = (struct page_batch){ 0 };
}

int pages_write(const struct pages *p, const struct page_batch *batch)
{
	int r = 0;

	for (unsigned i = 0, n; i < batch->count && r == 0; i += n) {
		for (n = 1;
		     i + n < batch->count &&
		     batch->offset[i + n] == batch->offset[i] + (u64)n * p->page_size;
		     n++)
			;
		r = storage_write(p->storage, batch->data + (size_t)i * p->page_size,
				  (u64)n * p->page_size, batch->offset[i]);
	}
	return r;
}
