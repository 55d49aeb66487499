/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing VHDX images; see vhdx.h. Any thread, under the locks of image.h. */
#include "disk/vhdx.h"

#include <errno.h>

#include "disk/create.h"
#include "disk/crc32c.h"

#define BITS_OF_PAGE (VHDX_PAGE * 8)
/* Pages that giving one block a place can change: its entry, the bitmap's entry, one of bits. */
#define PAGES_OF_WRITE 3u

/* ---- header ---------------------------------------------------------------------------------- */

int vhdx_write_header(struct vhdx *v)
{
	struct vhdx_header h = v->header;
	unsigned slot = 1 - v->header_slot;
	int r;

	h.sequence = le64_of(le64_get(h.sequence) + 1);
	h.checksum = le32_of(0);
	h.checksum = le32_of(crc32c(0, &h, sizeof h));
	r = storage_write(v->image.storage, &h, sizeof h,
			  slot ? VHDX_HEADER_2 : VHDX_HEADER_1);
	if (r == 0)
		r = storage_flush(v->image.storage);
	if (r < 0)
		return r;
	v->header = h;
	v->header_slot = slot;
	return 0;
}

int vhdx_note_change(struct vhdx *v)
{
	struct vhdx_header old = v->header;
	int r;

	if (v->changed)
		return 0;
	image_new_id(v->header.file_write.b);
	if (!v->image.keep_identity)
		image_new_id(v->header.data_write.b);
	r = vhdx_write_header(v);
	if (r < 0) {
		v->header = old;
		return r;
	}
	memcpy(v->image.link_id, v->header.data_write.b, sizeof v->image.link_id);
	v->changed = true;
	return 0;
}

/* ---- table and bitmaps ----------------------------------------------------------------------- */

u64 vhdx_table_entries(u64 blocks, u32 chunk_ratio, bool differencing)
{
	if (differencing)
		return (blocks + chunk_ratio - 1) / chunk_ratio * ((u64)chunk_ratio + 1);
	return blocks + (blocks - 1) / chunk_ratio;
}

static int entry_page(struct vhdx *v, u64 entry, struct page **ret_page, le64 **ret_entry)
{
	u64 offset = v->table_offset + entry * sizeof(le64);
	int r = pages_get(v->pages, offset - offset % VHDX_PAGE, ret_page);

	*ret_entry = r < 0 ? NULL : (le64 *)((*ret_page)->data + offset % VHDX_PAGE);
	return r;
}

static int get_entry(struct vhdx *v, u64 entry, u64 *ret_value)
{
	struct page *page;
	le64 *p;
	int r = entry_page(v, entry, &page, &p);

	if (r < 0 || !p)
		return r;
	*ret_value = le64_get(*p);
	return 0;
}

static int set_entry(struct vhdx *v, u64 entry, u64 value)
{
	struct page *page;
	le64 *p;
	int r = entry_page(v, entry, &page, &p);

	if (r < 0 || !p)
		return r;
	*p = le64_of(value);
	pages_mark_dirty(v->pages, page);
	return 0;
}

static u32 sectors_of_block(const struct vhdx *v)
{
	return (u32)(v->image.block_size / v->image.logical_block);
}

/* The page with the bit of a block's sector, and the number of the bit in it. */
static int bit_page(struct vhdx *v, u64 block, u32 sector, struct page **ret_page,
		    u32 *ret_bit)
{
	u64 bit = block % v->chunk_ratio * (u64)sectors_of_block(v) + sector;
	u64 bitmap = 0;
	int r = get_entry(v, vhdx_entry_of_bitmap(v, block), &bitmap);

	if (r < 0)
		return r;
	*ret_bit = (u32)(bit % BITS_OF_PAGE);
	return pages_get(v->pages, VHDX_PLACE(bitmap) + bit / BITS_OF_PAGE * VHDX_PAGE,
			 ret_page);
}

static bool bit_get(const struct page *page, u32 bit)
{
	return page->data[bit / 8] >> bit % 8 & 1;
}

/* How many sectors from there on, inside one page of bits, are alike. */
static int bit_run(struct vhdx *v, u64 block, u32 sector, u32 max, bool *ret_set,
		   u32 *ret_count)
{
	struct page *page = NULL;
	u32 bit = 0, count = 1;
	int r = bit_page(v, block, sector, &page, &bit);

	if (r < 0 || !page)
		return r;
	*ret_set = bit_get(page, bit);
	while (count < max && bit + count < BITS_OF_PAGE &&
	       bit_get(page, bit + count) == *ret_set)
		count++;
	*ret_count = count;
	return 0;
}

/* Sectors whose bits are in one page: as far as one write or zero of a partial block goes. */
static u64 until_end_of_bits(const struct vhdx *v, u64 block, u64 in)
{
	u64 bit = block % v->chunk_ratio * (u64)sectors_of_block(v) +
		  in / v->image.logical_block;

	return (BITS_OF_PAGE - bit % BITS_OF_PAGE) * v->image.logical_block;
}

static int set_bits(struct vhdx *v, u64 block, u32 sector, u32 count, bool value)
{
	struct page *page = NULL;
	u32 bit = 0;
	int r = bit_page(v, block, sector, &page, &bit);
	bool changed = false;

	if (r < 0 || !page)
		return r;
	for (u32 b = bit; b < bit + count; b++) {
		if (bit_get(page, b) == value)
			continue;
		page->data[b / 8] ^= (u8)(1u << b % 8);
		changed = true;
	}
	if (changed)
		pages_mark_dirty(v->pages, page);
	return 0;
}

/* ---- reading --------------------------------------------------------------------------------- */

static int vhdx_map(struct image *im, u64 offset, u64 max, struct extent *ret_extent)
{
	struct vhdx *v = vhdx_of(im);
	u64 block = offset / im->block_size, in = offset % im->block_size, entry = 0;
	bool here = true;
	u32 count = 0;
	int r = get_entry(v, vhdx_entry_of_block(v, block), &entry);

	if (r < 0)
		return r;
	max = min_u64(max, im->block_size - in);
	*ret_extent = (struct extent){ .kind = EXTENT_ZERO, .size = max };
	if (VHDX_STATE(entry) == VHDX_NOT_PRESENT && im->differencing)
		ret_extent->kind = EXTENT_PARENT;
	if (VHDX_STATE(entry) < VHDX_PRESENT)
		return 0;
	if (VHDX_STATE(entry) == VHDX_PARTIAL) {
		r = bit_run(v, block, (u32)(in / im->logical_block),
			    (u32)(max / im->logical_block), &here, &count);
		if (r < 0)
			return r;
		ret_extent->size = (u64)count * im->logical_block;
	}
	ret_extent->kind = here ? EXTENT_HERE : EXTENT_PARENT;
	ret_extent->offset = VHDX_PLACE(entry) + in;
	return 0;
}

/* ---- places ---------------------------------------------------------------------------------- */

/* size bytes of zeros behind everything. */
static int place_at_end(struct vhdx *v, u64 size, u64 *ret_place)
{
	struct storage *s = v->image.storage;
	int r = 0;

	if (v->end + size > VHDX_MAX_FILE)
		return -ENOSPC;
	/* What an opening that was not closed left there goes, so that zeros come after it. */
	if (!v->end_is_end && s->size > v->end)
		r = s->ops->set_size(s, v->end);
	if (r < 0)
		return r;
	v->end_is_end = true;
	r = s->ops->set_size(s, v->end + size);
	if (r < 0)
		return r;
	*ret_place = v->end;
	v->end += size;
	return 0;
}

static int place_block(struct vhdx *v, u64 *ret_place)
{
	if (free_blocks_take(&v->free, ret_place))
		return 0;
	return place_at_end(v, v->image.block_size, ret_place);
}

/* The bitmap of a block's chunk. */
static int need_bitmap(struct vhdx *v, u64 block)
{
	u64 n = vhdx_entry_of_bitmap(v, block), entry = 0, place = 0;
	int r = get_entry(v, n, &entry);

	if (r < 0 || VHDX_STATE(entry) == VHDX_PRESENT)
		return r;
	r = place_at_end(v, VHDX_MIB, &place);
	if (r < 0)
		return r;
	pages_forget(v->pages, place, VHDX_MIB);
	return set_entry(v, n, place | VHDX_PRESENT);
}

/*
 * A block of a differencing image that has been the parent's until now: its bits must be clear.
 * They are, but for images of others; those bits are cleared in the same commit.
 */
static int clear_bits(struct vhdx *v, u64 block)
{
	u32 sectors = sectors_of_block(v);
	int r = 0;

	for (u32 done = 0; done < sectors && r == 0;) {
		u64 in = (u64)done * v->image.logical_block;
		u32 n = (u32)(until_end_of_bits(v, block, in) / v->image.logical_block);

		if (n > sectors - done)
			n = sectors - done;
		r = set_bits(v, block, done, n, false);
		done += n;
	}
	return r;
}

static int allocate(struct vhdx *v, u64 block, u64 old, u64 *ret_entry)
{
	bool partial = v->image.differencing && VHDX_STATE(old) == VHDX_NOT_PRESENT;
	u64 place = 0;
	int r = partial ? need_bitmap(v, block) : 0;

	if (r == 0 && partial)
		r = clear_bits(v, block);
	if (r == 0)
		r = place_block(v, &place);
	if (r < 0)
		return r;
	*ret_entry = place | (partial ? VHDX_PARTIAL : VHDX_PRESENT);
	return set_entry(v, vhdx_entry_of_block(v, block), *ret_entry);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Is there room in the next commit for what one call may change? */
static bool room_for(const struct vhdx *v, unsigned pages)
{
	return pages_dirty(v->pages) + v->reserved + pages <= v->page_limit;
}

static unsigned pages_to_clear(const struct vhdx *v)
{
	return v->image.differencing ? sectors_of_block(v) / BITS_OF_PAGE + 1 : 0;
}

static int vhdx_begin_write(struct image *im, u64 offset, u64 max,
			    struct extent *ret_extent)
{
	struct vhdx *v = vhdx_of(im);
	u64 block = offset / im->block_size, in = offset % im->block_size, entry = 0;
	int r;

	if (!room_for(v, PAGES_OF_WRITE + pages_to_clear(v)))
		return -EAGAIN;
	r = vhdx_note_change(v);
	if (r == 0)
		r = get_entry(v, vhdx_entry_of_block(v, block), &entry);
	if (r == 0 && VHDX_STATE(entry) < VHDX_PRESENT)
		r = allocate(v, block, entry, &entry);
	if (r < 0)
		return r;
	max = min_u64(max, im->block_size - in);
	if (im->differencing) {
		max = min_u64(max, until_end_of_bits(v, block, in));
		v->reserved++;
	}
	*ret_extent = (struct extent){ .kind = EXTENT_HERE,
				       .offset = VHDX_PLACE(entry) + in,
				       .size = max };
	return 0;
}

static int vhdx_end_write(struct image *im, u64 offset, u64 size, bool done)
{
	struct vhdx *v = vhdx_of(im);
	u64 block = offset / im->block_size, entry = 0;
	int r;

	if (!im->differencing)
		return 0;
	v->reserved--;
	r = done ? get_entry(v, vhdx_entry_of_block(v, block), &entry) : 0;
	if (r < 0 || VHDX_STATE(entry) != VHDX_PARTIAL)
		return r;
	return set_bits(v, block, (u32)(offset % im->block_size / im->logical_block),
			(u32)(size / im->logical_block), true);
}

/* A whole block goes: zeros that need no place. */
static int free_block(struct vhdx *v, u64 block, u64 entry)
{
	u64 state = v->image.differencing ? VHDX_ZERO : VHDX_NOT_PRESENT;
	int r = set_entry(v, vhdx_entry_of_block(v, block), state);

	if (r == 0 && VHDX_STATE(entry) >= VHDX_PRESENT)
		free_blocks_add(&v->free, VHDX_PLACE(entry));
	return r;
}

static int vhdx_zero(struct image *im, u64 offset, u64 size, bool exact, u64 *ret_done)
{
	struct vhdx *v = vhdx_of(im);
	u64 block = offset / im->block_size, in = offset % im->block_size, entry = 0;
	u64 used = min_u64(im->block_size, im->size - block * im->block_size);
	u32 state;
	int r;

	if (!room_for(v, PAGES_OF_WRITE))
		return -EAGAIN;
	r = vhdx_note_change(v);
	if (r == 0)
		r = get_entry(v, vhdx_entry_of_block(v, block), &entry);
	if (r < 0)
		return r;
	state = VHDX_STATE(entry);
	size = min_u64(size, used - in);
	if (size == used && !v->leave_allocated &&
	    (state >= VHDX_PRESENT || (state == VHDX_NOT_PRESENT && im->differencing))) {
		*ret_done = size;
		return free_block(v, block, entry);
	}
	if (state == VHDX_NOT_PRESENT && im->differencing && exact)
		return -EOPNOTSUPP;
	if (state == VHDX_PARTIAL)
		size = min_u64(size, until_end_of_bits(v, block, in));
	*ret_done = size;
	if (state < VHDX_PRESENT)
		return 0;
	r = storage_zero(im->storage, VHDX_PLACE(entry) + in, size);
	if (r == 0 && state == VHDX_PARTIAL && exact)
		r = set_bits(v, block, (u32)(in / im->logical_block),
			     (u32)(size / im->logical_block), true);
	return r;
}

/* ---- commit ---------------------------------------------------------------------------------- */

static int vhdx_commit(struct image *im)
{
	struct vhdx *v = vhdx_of(im);
	struct page_batch batch;
	u64 file_size;
	int r;

	pthread_mutex_lock(&im->lock);
	r = pages_take(v->pages, v->page_limit, &batch);
	free_blocks_commit(&v->free);
	file_size = im->storage->size;
	pthread_mutex_unlock(&im->lock);
	if (r == 0)
		r = storage_flush(im->storage);
	if (r == 0 && batch.count > 0)
		r = vhdx_log_write(v, &batch, file_size);
	pthread_mutex_lock(&im->lock);
	pages_written(v->pages, &batch, r < 0);
	free_blocks_committed(&v->free, im->storage, r == 0);
	pthread_mutex_unlock(&im->lock);
	return r;
}

static int vhdx_new_identity(struct image *im)
{
	struct vhdx *v = vhdx_of(im);
	int r;

	pthread_mutex_lock(&im->commit_lock);
	pthread_mutex_lock(&im->lock);
	v->changed = false;
	r = vhdx_note_change(v);
	pthread_mutex_unlock(&im->lock);
	pthread_mutex_unlock(&im->commit_lock);
	return r;
}

/* After a commit: its pages durable in their places, then no log. */
static int vhdx_finish(struct image *im)
{
	struct vhdx *v = vhdx_of(im);
	int r;

	if (!v->log_used)
		return 0;
	r = storage_flush(im->storage);
	memset(&v->header.log, 0, sizeof v->header.log);
	if (r == 0)
		r = vhdx_write_header(v);
	if (r == 0)
		v->log_used = false;
	return r;
}

/* Both headers, both region tables, and the file's end. Opening has replayed the log. */
static int vhdx_repair(struct image *im)
{
	struct vhdx *v = vhdx_of(im);
	struct storage *s = im->storage;
	AUTO_FREE u8 *regions = malloc(VHDX_REGIONS_SIZE);
	int r = regions ? 0 : -ENOMEM;

	if (r == 0 && v->regions_bad[0] != v->regions_bad[1]) {
		r = storage_read(s, regions, VHDX_REGIONS_SIZE,
				 v->regions_bad[0] ? VHDX_REGIONS_2 : VHDX_REGIONS_1);
		if (r == 0)
			r = storage_write(s, regions, VHDX_REGIONS_SIZE,
					  v->regions_bad[0] ? VHDX_REGIONS_1
							    : VHDX_REGIONS_2);
	}
	if (r == 0 && s->size > v->end)
		r = s->ops->set_size(s, v->end);
	for (int i = 0; i < 2 && r == 0 && (v->header_bad[0] || v->header_bad[1]); i++)
		r = vhdx_write_header(v);
	return r < 0 ? r : storage_flush(s);
}

static void vhdx_free(struct image *im)
{
	struct vhdx *v = vhdx_of(im);

	pages_free(v->pages);
	free_blocks_done(&v->free);
	image_done(im);
	free(v);
}

const struct image_ops vhdx_ops = {
	.format = DISK_VHDX,
	.map = vhdx_map,
	.begin_write = vhdx_begin_write,
	.end_write = vhdx_end_write,
	.zero = vhdx_zero,
	.commit = vhdx_commit,
	.resize = vhdx_resize,
	.new_identity = vhdx_new_identity,
	.finish = vhdx_finish,
	.check = vhdx_check,
	.repair = vhdx_repair,
	.read_parent = vhdx_read_parent,
	.free = vhdx_free,
};
