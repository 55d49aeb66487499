/* SPDX-License-Identifier: Apache-2.0 */
/* Making a VHD and making one larger; see vhd.h. */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "disk/create.h"
#include "disk/text16.h"
#include "disk/vhd.h"

#define SECONDS_1970_TO_2000 946684800ll
#define LOCATOR_SPACE 2048u /* bytes for each name of a parent */

typedef unsigned long long ull;

/* The geometry that the specification computes for a size. */
static void set_geometry(struct vhd_footer *footer, u64 size)
{
	u64 sectors = min_u64(size / VHD_SECTOR, 65535ull * 16 * 255);
	u64 tracks;
	u32 heads, per_track;

	if (sectors >= 65535ull * 16 * 63) {
		per_track = 255;
		heads = 16;
		tracks = sectors / per_track;
	} else {
		per_track = 17;
		tracks = sectors / per_track;
		heads = (u32)((tracks + 1023) / 1024);
		if (heads < 4)
			heads = 4;
		if (tracks >= heads * 1024ull || heads > 16) {
			per_track = 31;
			heads = 16;
			tracks = sectors / per_track;
		}
		if (tracks >= heads * 1024ull) {
			per_track = 63;
			heads = 16;
			tracks = sectors / per_track;
		}
	}
	footer->cylinders = be16_of((u16)(tracks / heads));
	footer->heads = (u8)heads;
	footer->sectors_per_track = (u8)per_track;
}

static void make_footer(struct vhd_footer *f, enum vhd_type type, u64 size)
{
	*f = (struct vhd_footer){
		.features = be32_of(2),
		.version = be32_of(VHD_VERSION),
		.header_offset = be64_of(type == VHD_FIXED ? VHD_NO_OFFSET : VHD_SECTOR),
		.time = be32_of((u32)(time(NULL) - SECONDS_1970_TO_2000)),
		/*
		 * Hyper-V's: readers take the size from the footer for this creator, and from the
		 * geometry, which is a little less, for unknown ones.
		 */
		.creator = { 'w', 'i', 'n', ' ' },
		.creator_version = be32_of(0x000a0000),
		.creator_host = { 'W', 'i', '2', 'k' },
		.original_size = be64_of(size),
		.size = be64_of(size),
		.type = be32_of(type),
	};
	memcpy(f->cookie, VHD_COOKIE, sizeof f->cookie);
	set_geometry(f, size);
	image_new_id(f->id);
	vhd_seal_footer(f);
}

static int check_size(u64 size, struct err *err)
{
	if (size == 0 || size % VHD_SECTOR)
		return err_set(err, -EINVAL,
			       "the size must be whole sectors of 512 bytes");
	if (size > VHD_MAX_SIZE) {
		err_set(err, -EINVAL, "a VHD has at most 2040 GiB");
		return err_fix(err, "use .vhdx");
	}
	return 0;
}

static int write_failed(int r, struct err *err)
{
	return r < 0 ? err_set(err, r, "it cannot be written: %s", err_words(r)) : 0;
}

/* ---- making ---------------------------------------------------------------------------------- */

static int create_fixed(struct storage *s, u64 size, struct err *err)
{
	struct vhd_footer footer;
	int r;

	make_footer(&footer, VHD_FIXED, size);
	r = storage_write(s, &footer, sizeof footer, size);
	if (r == 0)
		r = storage_flush(s);
	return write_failed(r, err);
}

static int put_locator(struct storage *s, struct vhd_locator *l, u32 platform,
		       const char *name, u64 offset, struct err *err)
{
	u8 text[LOCATOR_SPACE] = { 0 };
	size_t length = text16_write(name, false, text, sizeof text);

	if (length == 0)
		return err_set(err, -EINVAL,
			       "the parent's name '%s' is too long or no UTF-8", name);
	*l = (struct vhd_locator){
		.platform = be32_of(platform),
		.space = be32_of(LOCATOR_SPACE),
		.length = be32_of((u32)length),
		.offset = be64_of(offset),
	};
	return write_failed(storage_write(s, text, sizeof text, offset), err);
}

static int put_parent(struct storage *s, const struct image_create *c,
		      struct vhd_header *h, u64 *end, struct err *err)
{
	const char *name = strrchr(c->parent_relative, '/');
	unsigned n = 0;
	int r;

	memcpy(h->parent_id, c->parent->link_id, sizeof h->parent_id);
	h->parent_time = be32_of((u32)(time(NULL) - SECONDS_1970_TO_2000));
	text16_write(name ? name + 1 : c->parent_relative, true, (u8 *)h->parent_name,
		     sizeof h->parent_name - 2);
	r = put_locator(s, &h->locator[n++], VHD_W2RU, c->parent_relative, *end, err);
	*end += LOCATOR_SPACE;
	if (r == 0 && c->parent_absolute) {
		r = put_locator(s, &h->locator[n++], VHD_W2KU, c->parent_absolute, *end,
				err);
		*end += LOCATOR_SPACE;
	}
	return r;
}

/* Entries that name nothing: all ones, also the rest of the table's last sector. */
static int write_empty_table(struct storage *s, u64 offset, u64 size)
{
	AUTO_FREE u8 *ones = malloc(64u << 10);
	int r = ones ? 0 : -ENOMEM;

	if (ones)
		memset(ones, 0xff, 64u << 10);
	while (size > 0 && r == 0) {
		u64 n = min_u64(size, 64u << 10);

		r = storage_write(s, ones, n, offset);
		offset += n;
		size -= n;
	}
	return r;
}

static int create_blocks(struct storage *s, const struct image_create *c, u64 size,
			 struct err *err)
{
	u32 block = c->block_size ? c->block_size : VHD_BLOCK_SIZE;
	u64 entries = (size + block - 1) / block;
	u64 table_size = (entries * sizeof(be32) + VHD_SECTOR - 1) &
			 ~(u64)(VHD_SECTOR - 1);
	struct vhd_header h = {
		.next_offset = be64_of(VHD_NO_OFFSET),
		.table_offset = be64_of(VHD_SECTOR + sizeof h),
		.version = be32_of(VHD_VERSION),
		.entries = be32_of((u32)entries),
		.block_size = be32_of(block),
	};
	u64 end = VHD_SECTOR + sizeof h + table_size;
	struct vhd_footer footer;
	int r;

	memcpy(h.cookie, VHD_HEADER_COOKIE, sizeof h.cookie);
	make_footer(&footer, c->parent ? VHD_DIFFERENCING : VHD_DYNAMIC, size);
	r = write_failed(write_empty_table(s, VHD_SECTOR + sizeof h, table_size), err);
	if (r == 0 && c->parent)
		r = put_parent(s, c, &h, &end, err);
	if (r < 0)
		return r;
	vhd_seal_header(&h);
	r = storage_write(s, &h, sizeof h, VHD_SECTOR);
	if (r == 0)
		r = storage_write(s, &footer, sizeof footer, end);
	if (r == 0)
		r = storage_write(s, &footer, sizeof footer, 0);
	if (r == 0)
		r = storage_flush(s);
	return write_failed(r, err);
}

int vhd_create(struct storage *s, const struct image_create *c, struct err *err)
{
	u64 size = c->size == 0 && c->parent ? c->parent->size : c->size;
	u32 block = c->block_size;
	int r = check_size(size, err);

	if (r < 0)
		return r;
	if (c->logical_block > VHD_SECTOR) {
		err_set(err, -EINVAL, "a VHD has sectors of 512 bytes");
		return err_fix(err, "use .vhdx");
	}
	if (block &&
	    (block < VHD_MIN_BLOCK || block > VHD_MAX_BLOCK || block & (block - 1)))
		return err_set(err, -EINVAL,
			       "the block size must be a power of two between 64 KiB and "
			       "256 MiB");
	if ((c->type == IMAGE_DIFFERENCING) != (c->parent != NULL))
		return err_set(err, -EINVAL,
			       "a differencing image, and no other, has a parent");
	if (c->parent && c->parent->ops->format != DISK_VHD)
		return err_set(err, -EINVAL, "the parent of a VHD is a VHD");
	return c->type == IMAGE_FIXED ? create_fixed(s, size, err)
				      : create_blocks(s, c, size, err);
}

/* ---- growing --------------------------------------------------------------------------------- */

/* The new footer first: with it behind it, the old one is a sector of the disk, and zeroed. */
static int grow_fixed(struct vhd *v, const struct vhd_footer *footer, u64 size)
{
	struct storage *s = v->image.storage;
	u64 old = v->end;
	int r = storage_write(s, footer, sizeof *footer, size);

	if (r == 0)
		r = storage_flush(s);
	if (r == 0)
		r = storage_zero(s, old, VHD_SECTOR);
	if (r == 0)
		r = storage_flush(s);
	if (r == 0)
		v->end = size;
	return r;
}

/* A larger copy of the table behind the last block; the footer moves behind it. */
static int move_table(struct vhd *v, u64 entries)
{
	struct storage *s = v->image.storage;
	u64 size = (entries * sizeof(be32) + VHD_SECTOR - 1) & ~(u64)(VHD_SECTOR - 1);
	u64 old_size = (u64)v->entries * sizeof(be32), to = v->end;
	AUTO_FREE u8 *table = malloc(size);
	struct vhd_header h = v->header;
	int r = table ? storage_read(s, table, old_size, v->table_offset) : -ENOMEM;

	if (r == 0)
		r = storage_write(s, &v->footer, sizeof v->footer, to + size);
	if (r < 0)
		return r;
	memset(table + old_size, 0xff, size - old_size);
	h.table_offset = be64_of(to);
	h.entries = be32_of((u32)entries);
	vhd_seal_header(&h);
	r = storage_write(s, table, size, to);
	if (r == 0)
		r = storage_flush(s);
	/* What changes lies in the first sector, so the header is the old or the new one. */
	if (r == 0)
		r = storage_write(s, &h, VHD_SECTOR, be64_get(v->footer.header_offset));
	if (r == 0)
		r = storage_flush(s);
	if (r < 0)
		return r;
	pages_forget(v->pages, v->table_offset,
		     (old_size + VHD_SECTOR - 1) & ~(u64)(VHD_SECTOR - 1));
	v->header = h;
	v->table_offset = to;
	v->entries = (u32)entries;
	v->end = to + size;
	return 0;
}

static int grow_blocks(struct vhd *v, const struct vhd_footer *footer, u64 size)
{
	struct storage *s = v->image.storage;
	u64 entries = (size + v->image.block_size - 1) / v->image.block_size;
	int r = vhd_place_footer(v);

	if (r == 0 && entries > v->entries)
		r = move_table(v, entries);
	if (r == 0)
		r = storage_write(s, footer, sizeof *footer, 0);
	if (r == 0)
		r = storage_flush(s);
	if (r == 0)
		r = storage_write(s, footer, sizeof *footer, v->end);
	if (r == 0)
		r = storage_flush(s);
	return r;
}

int vhd_resize(struct image *im, u64 size, struct err *err)
{
	struct vhd *v = vhd_of(im);
	struct vhd_footer footer = v->footer;
	int r;

	if (size == 0 || size == im->size)
		return 0;
	if (size < im->size)
		return err_set(err, -EINVAL, "a disk can only grow, and has %llu bytes",
			       (ull)im->size);
	r = check_size(size, err);
	if (r < 0)
		return r;
	footer.size = be64_of(size);
	set_geometry(&footer, size);
	vhd_seal_footer(&footer);
	r = im->fixed ? grow_fixed(v, &footer, size) : grow_blocks(v, &footer, size);
	if (r < 0)
		return write_failed(r, err);
	v->footer = footer;
	im->size = size;
	return 0;
}
