/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of guest pages; see gpadl.h. */
#include "vmbus/gpadl.h"

#include <errno.h>

#include "abi/vmbus.h"
#include "wall/guest_memory.h"

#define MAX_PAGE_NUMBER (BIT64(WALL_GPA_BITS) / VMBUS_PAGE)

void gpadls_init(struct gpadls *all, const struct gm_layout *ram)
{
	*all = (struct gpadls){ .ram = ram };
}

void gpadls_done(struct gpadls *all)
{
	while (all->first)
		gpadls_drop(all, all->first);
}

struct gpadl *gpadls_find(const struct gpadls *all, u32 relid, u32 id)
{
	for (struct gpadl *g = all->first; g; g = g->next)
		if (g->id == id && g->relid == relid)
			return g;
	return NULL;
}

static struct gpadl *find_assembling(const struct gpadls *all, u32 id)
{
	for (struct gpadl *g = all->first; g; g = g->next)
		if (g->id == id && !g->ready)
			return g;
	return NULL;
}

void gpadls_drop(struct gpadls *all, struct gpadl *gpadl)
{
	struct gpadl **at = &all->first;

	while (*at != gpadl)
		at = &(*at)->next;
	*at = gpadl->next;
	all->count--;
	all->words -= gpadl->word_count;
	free(gpadl->word);
	free(gpadl);
}

static u32 range_pages(u64 word, u32 *ret_size, u32 *ret_offset)
{
	*ret_size = (u32)word;
	*ret_offset = (u32)(word >> 32);
	return (u32)(((u64)*ret_size + *ret_offset + VMBUS_PAGE - 1) / VMBUS_PAGE);
}

static bool page_is_ram(const struct gm_layout *ram, u64 page)
{
	u64 offset;

	return page < MAX_PAGE_NUMBER &&
	       gm_ram_offset(ram, page * VMBUS_PAGE, VMBUS_PAGE, &offset);
}

static bool good(const struct gpadls *all, const struct gpadl *g)
{
	u32 at = 0, size, offset;

	for (u32 range = 0; range < g->range_count; range++) {
		if (at == g->word_count)
			return false;
		u32 pages = range_pages(g->word[at++], &size, &offset);
		if (size == 0 || offset >= VMBUS_PAGE || pages > g->word_count - at)
			return false;
		for (u32 end = at + pages; at < end; at++)
			if (!page_is_ram(all->ram, g->word[at]))
				return false;
	}
	return at == g->word_count;
}

/* Words that came: keep them, and check the list when it is whole. */
static int append(struct gpadls *all, struct gpadl *g, const void *words, u32 size)
{
	u32 count = (u32)min_u64(size / sizeof(u64), g->word_count - g->words_have);

	if (count > 0)
		memcpy(g->word + g->words_have, words, count * sizeof(u64));
	g->words_have += count;
	/* Nothing new would keep a list assembling for ever; a guest that sends that is broken. */
	if (count == 0 || (g->words_have == g->word_count && !good(all, g))) {
		gpadls_drop(all, g);
		return -EINVAL;
	}
	g->ready = g->words_have == g->word_count;
	return 0;
}

int gpadls_header(struct gpadls *all, u32 relid, u32 id, u32 range_bytes, u32 range_count,
		  const void *words, u32 size, struct gpadl **ret_gpadl)
{
	u32 count = range_bytes / sizeof(u64);
	struct gpadl *g;

	if (gpadls_find(all, relid, id) || find_assembling(all, id))
		return -EEXIST;
	if (range_count == 0 || range_bytes % sizeof(u64) != 0 ||
	    (u64)range_count * 2 > count)
		return -EINVAL;
	if (all->count == GPADLS_MAX || count > GPADLS_MAX_WORDS - all->words)
		return -ENOSPC;
	g = calloc(1, sizeof *g);
	if (!g)
		return -ENOMEM;
	g->word = calloc(count, sizeof(u64));
	if (!g->word) {
		free(g);
		return -ENOMEM;
	}
	g->id = id;
	g->relid = relid;
	g->range_count = range_count;
	g->word_count = count;
	g->next = all->first;
	all->first = g;
	all->count++;
	all->words += count;
	int r = append(all, g, words, size);
	if (r == 0)
		*ret_gpadl = g;
	return r;
}

int gpadls_body(struct gpadls *all, u32 id, const void *words, u32 size, u32 *ret_relid,
		struct gpadl **ret_gpadl)
{
	struct gpadl *g = find_assembling(all, id);
	int r;

	if (!g)
		return -ENOENT;
	*ret_relid = g->relid;
	r = append(all, g, words, size);
	if (r == 0)
		*ret_gpadl = g;
	return r;
}

const u64 *gpadl_pages(const struct gpadl *g, u32 *ret_count)
{
	u32 size, offset, pages;

	if (!g->ready || g->range_count != 1)
		return NULL;
	pages = range_pages(g->word[0], &size, &offset);
	if (offset != 0 || size % VMBUS_PAGE != 0)
		return NULL;
	*ret_count = pages;
	return g->word + 1;
}
