/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing VHD images; see vhd.h. Any thread, under the locks of image.h. */
#include "disk/vhd.h"

#include <errno.h>

/* Pieces of tables that one commit writes at once. */
#define BATCH 4096

/* ---- table and bitmaps ----------------------------------------------------------------------- */

/* The page of the table with the entry of a block, and the entry's place in it. */
static int entry_of(struct vhd *v, u64 block, struct page **ret_page, be32 **ret_entry)
{
	u64 offset = v->table_offset + block * sizeof(be32);
	int r = pages_get(v->pages, offset - offset % VHD_SECTOR, ret_page);

	*ret_entry = r < 0 ? NULL : (be32 *)((*ret_page)->data + offset % VHD_SECTOR);
	return r;
}

/* Where a block begins; 0: nowhere. */
static int block_start(struct vhd *v, u64 block, u64 *ret_start)
{
	struct page *page;
	be32 *entry = NULL;
	int r = entry_of(v, block, &page, &entry);

	if (r < 0 || !entry)
		return r;
	*ret_start = be32_get(*entry) == VHD_UNUSED ? 0
						    : (u64)be32_get(*entry) * VHD_SECTOR;
	return 0;
}

static int set_block_start(struct vhd *v, u64 block, u64 start)
{
	struct page *page;
	be32 *entry = NULL;
	int r = entry_of(v, block, &page, &entry);

	if (r < 0 || !entry)
		return r;
	*entry = be32_of(start ? (u32)(start / VHD_SECTOR) : VHD_UNUSED);
	pages_mark_dirty(v->pages, page);
	v->image.tables_dirty = pages_dirty(v->pages);
	return 0;
}

static bool bit_get(const u8 *bits, u32 n)
{
	return bits[n / 8] & 0x80 >> n % 8;
}

/* How many sectors from first on, at most max, have the same bit as it; *ret_set: which. */
static int bit_run(struct vhd *v, u64 start, u32 first, u32 max, bool *ret_set,
		   u32 *ret_count)
{
	u32 bits_of_page = VHD_SECTOR * 8, count = 0;
	struct page *page = NULL;

	while (count < max) {
		u32 n = first + count;

		if (!page || n % bits_of_page == 0) {
			int r = pages_get(v->pages,
					  start + (u64)(n / bits_of_page) * VHD_SECTOR,
					  &page);
			if (r < 0)
				return r;
		}
		bool set = bit_get(page->data, n % bits_of_page);
		if (count == 0)
			*ret_set = set;
		else if (set != *ret_set)
			break;
		count++;
	}
	*ret_count = count;
	return 0;
}

static int set_bits(struct vhd *v, u64 start, u32 first, u32 count)
{
	u32 bits_of_page = VHD_SECTOR * 8;
	struct page *page = NULL;

	for (u32 n = first; n < first + count; n++) {
		u8 mask = (u8)(0x80 >> n % 8);
		u8 *byte;

		if (!page || n % bits_of_page == 0) {
			int r = pages_get(v->pages,
					  start + (u64)(n / bits_of_page) * VHD_SECTOR,
					  &page);
			if (r < 0)
				return r;
		}
		byte = &page->data[n % bits_of_page / 8];
		if (!(*byte & mask)) {
			*byte |= mask;
			pages_mark_dirty(v->pages, page);
		}
	}
	v->image.tables_dirty = pages_dirty(v->pages);
	return 0;
}

/* ---- fixed ----------------------------------------------------------------------------------- */

static int fixed_map(struct image *im, u64 offset, u64 max, struct extent *ret_extent)
{
	*ret_extent =
		(struct extent){ .kind = EXTENT_HERE, .offset = offset, .size = max };
	return 0;
}

static int fixed_zero(struct image *im, u64 offset, u64 size, bool exact, u64 *ret_done)
{
	*ret_done = size;
	return im->storage->ops->punch(im->storage, offset, size);
}

static int fixed_commit(struct image *im)
{
	return storage_flush(im->storage);
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static int block_map(struct image *im, u64 offset, u64 max, struct extent *ret_extent)
{
	struct vhd *v = vhd_of(im);
	u64 in = offset % im->block_size, start;
	bool here = true;
	int r = block_start(v, offset / im->block_size, &start);

	if (r < 0)
		return r;
	max = min_u64(max, im->block_size - in);
	*ret_extent =
		(struct extent){ .kind = im->differencing ? EXTENT_PARENT : EXTENT_ZERO,
				 .size = max };
	if (start == 0)
		return 0;
	if (im->differencing) {
		u32 count;

		r = bit_run(v, start, (u32)(in / VHD_SECTOR), (u32)(max / VHD_SECTOR),
			    &here, &count);
		if (r < 0)
			return r;
		ret_extent->size = (u64)count * VHD_SECTOR;
	}
	if (here) {
		ret_extent->kind = EXTENT_HERE;
		ret_extent->offset = start + v->bitmap_size + in;
	}
	return 0;
}

int vhd_place_footer(struct vhd *v)
{
	struct storage *s = v->image.storage;
	int r;

	if (v->footer_at_end)
		return 0;
	r = storage_write(s, &v->footer, sizeof v->footer, v->end);
	/* The file is cut only when the footer before the cut is there for sure. */
	if (r == 0 && s->size > v->end + VHD_SECTOR) {
		r = storage_flush(s);
		if (r == 0)
			r = s->ops->set_size(s, v->end + VHD_SECTOR);
	}
	if (r == 0)
		v->footer_at_end = true;
	return r;
}

/* Behind the last block, the data at a multiple of 4096: the footer moves there first. */
static int place_at_end(struct vhd *v, u64 *ret_start)
{
	u64 data = (v->end + v->bitmap_size + 4095) & ~4095ull;
	u64 start = data - v->bitmap_size;
	u64 end = data + v->image.block_size;
	int r = vhd_place_footer(v);

	if (r < 0)
		return r;
	if (start / VHD_SECTOR >= VHD_UNUSED)
		return -ENOSPC;
	r = storage_write(v->image.storage, &v->footer, sizeof v->footer, end);
	if (r < 0)
		return r;
	v->end = end;
	*ret_start = start;
	return 0;
}

static int allocate(struct vhd *v, u64 block, u64 *ret_start)
{
	AUTO_FREE u8 *bitmap = malloc(v->bitmap_size);
	u64 start;
	int r;

	if (!bitmap)
		return -ENOMEM;
	memset(bitmap, v->image.differencing ? 0 : 0xff, v->bitmap_size);
	if (!free_blocks_take(&v->free, &start)) {
		r = place_at_end(v, &start);
		if (r < 0)
			return r;
	}
	pages_forget(v->pages, start, v->bitmap_size);
	r = storage_write(v->image.storage, bitmap, v->bitmap_size, start);
	if (r == 0)
		r = set_block_start(v, block, start);
	if (r == 0)
		*ret_start = start;
	return r;
}

static int block_begin_write(struct image *im, u64 offset, u64 max,
			     struct extent *ret_extent)
{
	struct vhd *v = vhd_of(im);
	u64 in = offset % im->block_size, start;
	int r = block_start(v, offset / im->block_size, &start);

	if (r == 0 && start == 0)
		r = allocate(v, offset / im->block_size, &start);
	if (r < 0)
		return r;
	*ret_extent = (struct extent){ .kind = EXTENT_HERE,
				       .offset = start + v->bitmap_size + in,
				       .size = min_u64(max, im->block_size - in) };
	return 0;
}

static int block_end_write(struct image *im, u64 offset, u64 size, bool done)
{
	struct vhd *v = vhd_of(im);
	u64 start;
	int r;

	if (!im->differencing || !done)
		return 0;
	r = block_start(v, offset / im->block_size, &start);
	if (r < 0 || start == 0)
		return r;
	return set_bits(v, start, (u32)(offset % im->block_size / VHD_SECTOR),
			(u32)(size / VHD_SECTOR));
}

static int block_zero(struct image *im, u64 offset, u64 size, bool exact, u64 *ret_done)
{
	struct vhd *v = vhd_of(im);
	u64 block = offset / im->block_size, in = offset % im->block_size, start;
	u64 used = min_u64(im->block_size, im->size - block * im->block_size);
	int r = block_start(v, block, &start);

	size = min_u64(size, used - in);
	if (r < 0)
		return r;
	if (start == 0 && im->differencing && exact)
		return -EOPNOTSUPP;
	*ret_done = size;
	if (start == 0)
		return 0;
	if (!im->differencing && size == used) {
		r = set_block_start(v, block, 0);
		if (r == 0)
			free_blocks_add(&v->free, start);
		return r;
	}
	r = storage_zero(im->storage, start + v->bitmap_size + in, size);
	if (r == 0 && im->differencing && exact)
		r = set_bits(v, start, (u32)(in / VHD_SECTOR), (u32)(size / VHD_SECTOR));
	return r;
}

/* ---- commit ---------------------------------------------------------------------------------- */

/* Steps of image.h: copies first, then the data durable, then the tables, then these durable. */
static int commit_batch(struct vhd *v, bool *ret_more)
{
	struct image *im = &v->image;
	struct page_batch batch;
	int r;

	pthread_mutex_lock(&im->lock);
	r = pages_take(v->pages, BATCH, &batch);
	*ret_more = pages_dirty(v->pages) > 0;
	im->tables_dirty = pages_dirty(v->pages);
	if (!*ret_more)
		free_blocks_commit(&v->free);
	pthread_mutex_unlock(&im->lock);
	if (r < 0)
		return r;
	r = storage_flush(im->storage);
	if (r == 0 && batch.count > 0) {
		r = pages_write(v->pages, &batch);
		if (r == 0)
			r = storage_flush(im->storage);
	}
	pthread_mutex_lock(&im->lock);
	pages_written(v->pages, &batch, r < 0);
	im->tables_dirty = pages_dirty(v->pages);
	if (!*ret_more || r < 0)
		free_blocks_committed(&v->free, im->storage, r == 0);
	pthread_mutex_unlock(&im->lock);
	return r;
}

static int block_commit(struct image *im)
{
	struct vhd *v = vhd_of(im);
	bool more = true;
	int r = 0;

	while (more && r == 0)
		r = commit_batch(v, &more);
	return r;
}

/* The footer where it belongs, and the copy as it is. */
static int vhd_repair(struct image *im)
{
	struct vhd *v = vhd_of(im);
	int r;

	pthread_mutex_lock(&im->lock);
	r = vhd_place_footer(v);
	if (r == 0)
		r = storage_flush(im->storage);
	if (r == 0 && (v->first_footer_bad || v->copy_differs))
		r = storage_write(im->storage, &v->footer, sizeof v->footer, 0);
	pthread_mutex_unlock(&im->lock);
	return r;
}

static void vhd_free(struct image *im)
{
	struct vhd *v = vhd_of(im);

	pages_free(v->pages);
	free_blocks_done(&v->free);
	image_done(im);
	free(v);
}

const struct image_ops vhd_fixed_ops = {
	.format = DISK_VHD,
	.map = fixed_map,
	.begin_write = fixed_map,
	.zero = fixed_zero,
	.commit = fixed_commit,
	.resize = vhd_resize,
	.check = vhd_check,
	.free = vhd_free,
};

const struct image_ops vhd_block_ops = {
	.format = DISK_VHD,
	.map = block_map,
	.begin_write = block_begin_write,
	.end_write = block_end_write,
	.zero = block_zero,
	.commit = block_commit,
	.resize = vhd_resize,
	.check = vhd_check,
	.repair = vhd_repair,
	.read_parent = vhd_read_parent,
	.free = vhd_free,
};
