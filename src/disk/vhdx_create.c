/* SPDX-License-Identifier: Apache-2.0 */
/* Making a VHDX and making one larger; see vhdx.h. */
#include <errno.h>
#include <stdio.h>

#include "disk/create.h"
#include "disk/crc32c.h"
#include "disk/text16.h"
#include "disk/vhdx.h"

typedef unsigned long long ull;

#define LOG_OFFSET VHDX_MIB
#define LOG_LENGTH VHDX_MIB
#define METADATA_OFFSET (2u * VHDX_MIB)
#define METADATA_LENGTH VHDX_MIB
#define TABLE_OFFSET (3u * VHDX_MIB)
#define ITEMS_OFFSET (64u << 10) /* in the metadata */
#define LOCATOR_SIZE 8192u

struct plan {
	const struct image_create *create;
	u64 size;
	u32 block_size, logical;
	u64 blocks;
	u32 chunk_ratio;
	u64 table_length; /* whole MiB */
	u64 end;	  /* behind the tables */
};

static u64 whole_mib(u64 size)
{
	return (size + VHDX_MIB - 1) & ~(u64)(VHDX_MIB - 1);
}

/* ---- planning -------------------------------------------------------------------------------- */

static int make_plan(const struct image_create *c, struct plan *p, struct err *err)
{
	p->create = c;
	p->size = c->size == 0 && c->parent ? c->parent->size : c->size;
	p->logical = c->logical_block ? c->logical_block
		     : c->parent      ? c->parent->logical_block
				      : 512;
	p->block_size = c->block_size		 ? c->block_size
			: p->size > (1ull << 40) ? 32u << 20
						 : 2u << 20;
	if (p->logical != 512 && p->logical != 4096)
		return err_set(err, -EINVAL, "sectors have 512 or 4096 bytes");
	if (p->size == 0 || p->size % p->logical)
		return err_set(err, -EINVAL, "the size must be whole sectors of %u bytes",
			       p->logical);
	if (p->size > VHDX_MAX_SIZE)
		return err_set(err, -EINVAL, "a VHDX has at most 64 TiB");
	if (p->block_size & (p->block_size - 1) || p->block_size < VHDX_MIN_BLOCK ||
	    p->block_size > VHDX_MAX_BLOCK)
		return err_set(err, -EINVAL,
			       "the block size must be a power of two between 1 MiB and "
			       "256 MiB");
	if ((c->type == IMAGE_DIFFERENCING) != (c->parent != NULL))
		return err_set(err, -EINVAL,
			       "a differencing image, and no other, has a parent");
	if (c->parent && c->parent->ops->format != DISK_VHDX)
		return err_set(err, -EINVAL, "the parent of a VHDX is a VHDX");
	if (c->parent && c->parent->logical_block != p->logical)
		return err_set(err, -EINVAL, "the parent has sectors of %u bytes",
			       c->parent->logical_block);
	p->blocks = (p->size + p->block_size - 1) / p->block_size;
	p->chunk_ratio = (u32)(((u64)p->logical << 23) / p->block_size);
	p->table_length =
		whole_mib(8 * vhdx_table_entries(p->blocks, p->chunk_ratio, c->parent));
	p->end = TABLE_OFFSET + p->table_length;
	return 0;
}

/* ---- regions --------------------------------------------------------------------------------- */

static void fill_regions(u8 *table, u64 table_offset, u64 table_length,
			 u64 metadata_offset, u64 metadata_length)
{
	struct vhdx_region_table *t = (void *)table;
	struct vhdx_region *region = (void *)(t + 1);

	memset(table, 0, VHDX_REGIONS_SIZE);
	memcpy(t->signature, "regi", 4);
	t->count = le32_of(2);
	region[0] = (struct vhdx_region){ .id = vhdx_region_table_guid,
					  .offset = le64_of(table_offset),
					  .length = le32_of((u32)table_length),
					  .required = le32_of(1) };
	region[1] = (struct vhdx_region){ .id = vhdx_region_metadata_guid,
					  .offset = le64_of(metadata_offset),
					  .length = le32_of((u32)metadata_length),
					  .required = le32_of(1) };
	t->checksum = le32_of(crc32c(0, table, VHDX_REGIONS_SIZE));
}

/* ---- metadata -------------------------------------------------------------------------------- */

struct items {
	u8 *region; /* its first 128 KiB */
	u32 count, used;
};

static void add_item(struct items *items, const vhdx_guid *id, const void *data, u32 size,
		     u32 flags)
{
	struct vhdx_metadata_table *t = (void *)items->region;
	struct vhdx_metadata *m = (void *)(t + 1);

	m[items->count++] = (struct vhdx_metadata){
		.id = *id,
		.offset = le32_of(ITEMS_OFFSET + items->used),
		.length = le32_of(size),
		.flags = le32_of(flags | VHDX_IS_REQUIRED),
	};
	memcpy(items->region + ITEMS_OFFSET + items->used, data, size);
	items->used += (size + 15) & ~15u;
	t->count = le16_of((u16)items->count);
}

static u32 put_text(u8 *locator, u32 at, const char *text, le32 *offset, le16 *length)
{
	size_t n = text16_write(text, false, locator + at, LOCATOR_SIZE - at);

	*offset = le32_of(at);
	*length = le16_of((u16)n);
	return at + (u32)n;
}

/* '/' becomes '\' on the way, which guids do not have. */
static int make_locator(const struct image_create *c, u8 *locator, u32 *ret_size,
			struct err *err)
{
	const u8 *g = c->parent->link_id;
	struct vhdx_locator *l = (void *)locator;
	struct vhdx_locator_entry *e = (void *)(l + 1);
	char linkage[48];
	const char *pair[3][2] = {
		{ "parent_linkage", linkage },
		{ "relative_path", c->parent_relative },
		{ "absolute_win32_path", c->parent_absolute },
	};
	unsigned count = c->parent_absolute ? 3 : 2;
	u32 at = (u32)(sizeof *l + count * sizeof *e);

	snprintf(linkage, sizeof linkage,
		 "{%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x}",
		 g[3], g[2], g[1], g[0], g[5], g[4], g[7], g[6], g[8], g[9], g[10], g[11],
		 g[12], g[13], g[14], g[15]);
	l->type = vhdx_locator_type;
	l->count = le16_of((u16)count);
	for (unsigned i = 0; i < count; i++) {
		at = put_text(locator, at, pair[i][0], &e[i].key_offset,
			      &e[i].key_length);
		at = put_text(locator, at, pair[i][1], &e[i].value_offset,
			      &e[i].value_length);
		if (le16_get(e[i].value_length) == 0)
			return err_set(err, -EINVAL,
				       "the parent's name '%s' is too long or no UTF-8",
				       pair[i][1]);
	}
	*ret_size = at;
	return 0;
}

static int fill_metadata(const struct plan *p, struct items *items, struct err *err)
{
	const struct image_create *c = p->create;
	const struct vhdx_parameters parameters = {
		.block_size = le32_of(p->block_size),
		.flags = le32_of((c->type == IMAGE_FIXED ? VHDX_LEAVE_ALLOCATED : 0) |
				 (c->parent ? VHDX_HAS_PARENT : 0)),
	};
	le64 size = le64_of(p->size);
	le32 logical = le32_of(p->logical), physical = le32_of(4096);
	u8 id[16];

	image_new_id(id);
	if (c->parent)
		memcpy(id, c->parent->disk_id, sizeof id);
	memcpy(items->region, "metadata", 8);
	add_item(items, &vhdx_item_parameters, &parameters, sizeof parameters, 0);
	add_item(items, &vhdx_item_size, &size, sizeof size, VHDX_IS_DISK);
	add_item(items, &vhdx_item_disk_id, id, sizeof id, VHDX_IS_DISK);
	add_item(items, &vhdx_item_logical, &logical, sizeof logical, VHDX_IS_DISK);
	add_item(items, &vhdx_item_physical, &physical, sizeof physical, VHDX_IS_DISK);
	if (c->parent) {
		u8 locator[LOCATOR_SIZE] = { 0 };
		u32 locator_size = 0;
		int r = make_locator(c, locator, &locator_size, err);

		if (r < 0)
			return r;
		add_item(items, &vhdx_item_locator, locator, locator_size, 0);
	}
	return 0;
}

static int write_metadata(struct storage *s, const struct plan *p, struct err *err)
{
	AUTO_FREE u8 *region = calloc(1, 2 * ITEMS_OFFSET);
	struct items items = { .region = region };
	int r = region ? fill_metadata(p, &items, err)
		       : err_set(err, -ENOMEM, "no memory");

	if (r < 0)
		return r;
	r = storage_write(s, region, 2ull * ITEMS_OFFSET, METADATA_OFFSET);
	return r < 0 ? err_set(err, r, "it cannot be written: %s", err_words(r)) : 0;
}

/* ---- making ---------------------------------------------------------------------------------- */

/* All blocks of a fixed image have their places from the beginning. */
static int write_full_table(struct storage *s, const struct plan *p)
{
	u64 entries = vhdx_table_entries(p->blocks, p->chunk_ratio, false);
	u64 place = p->end;
	le64 piece[8192];
	int r = 0;

	for (u64 n = 0; n < entries && r == 0;) {
		u64 first = n, count = min_u64(entries - n, ARRAY_COUNT(piece));

		for (; n < first + count; n++) {
			bool bitmap = (n + 1) % ((u64)p->chunk_ratio + 1) == 0;

			piece[n - first] = le64_of(bitmap ? 0 : place | VHDX_PRESENT);
			place += bitmap ? 0 : p->block_size;
		}
		r = storage_write(s, piece, count * sizeof *piece,
				  TABLE_OFFSET + first * sizeof *piece);
	}
	return r;
}

/* Bitmaps that an empty differencing image has at most: 1 GiB of holes. */
#define BITMAPS_AT_ONCE 1024u

/*
 * Bitmaps of a differencing image, all clear. They could come when they are needed, but libvhdi
 * (20210425) takes a bitmap that is not there for one at the beginning of the file.
 */
static int write_bitmap_entries(struct storage *s, const struct plan *p, u64 *ret_size)
{
	u64 count = (p->blocks + p->chunk_ratio - 1) / p->chunk_ratio;
	int r = 0;

	*ret_size = 0;
	if (count > BITMAPS_AT_ONCE)
		return 0;
	for (u64 i = 0; i < count && r == 0; i++) {
		le64 entry = le64_of((p->end + i * VHDX_MIB) | VHDX_PRESENT);
		u64 n = (i + 1) * ((u64)p->chunk_ratio + 1) - 1;

		r = storage_write(s, &entry, sizeof entry, TABLE_OFFSET + 8 * n);
	}
	*ret_size = count * VHDX_MIB;
	return r;
}

static int write_headers(struct storage *s)
{
	struct vhdx_header h = {
		.signature = { 'h', 'e', 'a', 'd' },
		.version = le16_of(1),
		.log_length = le32_of(LOG_LENGTH),
		.log_offset = le64_of(LOG_OFFSET),
	};
	int r = 0;

	image_new_id(h.file_write.b);
	image_new_id(h.data_write.b);
	for (u64 i = 0; i < 2 && r == 0; i++) {
		h.sequence = le64_of(i + 1);
		h.checksum = le32_of(0);
		h.checksum = le32_of(crc32c(0, &h, sizeof h));
		r = storage_write(s, &h, sizeof h, i ? VHDX_HEADER_2 : VHDX_HEADER_1);
	}
	return r;
}

static int write_tables(struct storage *s, const struct plan *p)
{
	AUTO_FREE u8 *regions = malloc(VHDX_REGIONS_SIZE);
	u64 size = p->end, bitmaps = 0;
	int r = regions ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	if (p->create->type == IMAGE_FIXED)
		size += p->blocks * p->block_size;
	fill_regions(regions, TABLE_OFFSET, p->table_length, METADATA_OFFSET,
		     METADATA_LENGTH);
	r = storage_write(s, regions, VHDX_REGIONS_SIZE, VHDX_REGIONS_1);
	if (r == 0)
		r = storage_write(s, regions, VHDX_REGIONS_SIZE, VHDX_REGIONS_2);
	if (r == 0 && p->create->type == IMAGE_FIXED)
		r = write_full_table(s, p);
	if (r == 0 && p->create->parent)
		r = write_bitmap_entries(s, p, &bitmaps);
	if (r == 0)
		r = s->ops->set_size(s, size + bitmaps);
	if (r == 0)
		r = write_headers(s);
	return r;
}

int vhdx_create(struct storage *s, const struct image_create *c, struct err *err)
{
	struct vhdx_file_id id = { 0 };
	struct plan p;
	int r = make_plan(c, &p, err);

	if (r == 0)
		r = write_metadata(s, &p, err);
	if (r < 0)
		return r;
	r = write_tables(s, &p);
	/* Before it has its signature, it is no image. */
	if (r == 0)
		r = storage_flush(s);
	memcpy(id.signature, VHDX_FILE_SIGNATURE, sizeof id.signature);
	text16_write("Tabique " TABIQUE_VERSION, false, id.creator, sizeof id.creator);
	if (r == 0)
		r = storage_write(s, &id, sizeof id, 0);
	if (r == 0)
		r = storage_flush(s);
	return r < 0 ? err_set(err, r, "it cannot be written: %s", err_words(r)) : 0;
}

/* ---- growing --------------------------------------------------------------------------------- */

/* What one log entry changes at once. */
struct change {
	u64 offset[4];
	u8 data[4][VHDX_PAGE];
	unsigned count;
};

static u8 *add_page(struct change *c, u64 offset)
{
	c->offset[c->count] = offset;
	return c->data[c->count++];
}

/* The page of the file with a place in it, as it is now. */
static int add_changed(struct vhdx *v, struct change *c, u64 offset, const void *data,
		       u32 size)
{
	u64 start = offset - offset % VHDX_PAGE;
	u8 *page = add_page(c, start);
	int r;

	if (offset % VHDX_PAGE + size > VHDX_PAGE)
		return -EOPNOTSUPP; /* over two pages: nobody writes that */
	r = storage_read(v->image.storage, page, VHDX_PAGE, start);
	if (r == 0)
		memcpy(page + offset % VHDX_PAGE, data, size);
	return r;
}

static int copy_table(struct vhdx *v, u64 used, u64 to)
{
	AUTO_FREE u8 *piece = malloc(VHDX_MIB);
	int r = piece ? 0 : -ENOMEM;

	for (u64 done = 0; done < used && r == 0;) {
		u64 n = min_u64(used - done, VHDX_MIB);

		r = storage_read(v->image.storage, piece, n, v->table_offset + done);
		if (r == 0)
			r = storage_write(v->image.storage, piece, n, to + done);
		done += n;
	}
	return r;
}

/*
 * A copy of the table with more room, behind everything. Region tables of others may have regions
 * that we do not know, which are kept: only the place of the table changes.
 */
static int move_table(struct vhdx *v, u64 used, u64 length, struct change *change,
		      u64 *ret_offset)
{
	struct storage *s = v->image.storage;
	AUTO_FREE u8 *regions = malloc(VHDX_REGIONS_SIZE);
	struct vhdx_region_table *t = (void *)regions;
	struct vhdx_region *region = (void *)(t + 1);
	u64 to = v->end;
	int r = regions ? storage_read(s, regions, VHDX_REGIONS_SIZE,
				       v->regions_bad[0] ? VHDX_REGIONS_2
							 : VHDX_REGIONS_1)
			: -ENOMEM;

	if (r == 0 && s->size > to)
		r = s->ops->set_size(s, to);
	if (r == 0)
		r = s->ops->set_size(s, to + length);
	if (r == 0)
		r = copy_table(v, used, to);
	if (r < 0)
		return r;
	v->end_is_end = true;
	v->end = to + length;
	for (u32 i = 0; i < le32_get(t->count); i++) {
		if (!vhdx_same(&region[i].id, &vhdx_region_table_guid))
			continue;
		region[i].offset = le64_of(to);
		region[i].length = le32_of((u32)length);
	}
	t->checksum = le32_of(0);
	t->checksum = le32_of(crc32c(0, regions, VHDX_REGIONS_SIZE));
	memcpy(add_page(change, VHDX_REGIONS_1), regions, VHDX_PAGE);
	memcpy(add_page(change, VHDX_REGIONS_2), regions, VHDX_PAGE);
	*ret_offset = to;
	return 0;
}

/*
 * Entries that were not in use until now must be 0. Our images have zeros there; where others do
 * not, they are written now, behind what the table's present size uses.
 */
static int clear_entries(struct vhdx *v, u64 table, u64 used, u64 wanted)
{
	u64 from = (used + VHDX_PAGE - 1) & ~(u64)(VHDX_PAGE - 1);
	struct storage *s = v->image.storage;
	u8 page[VHDX_PAGE];
	int r = storage_read(s, page, sizeof page, table + used - used % VHDX_PAGE);

	if (r == 0 && used % VHDX_PAGE) {
		memset(page + used % VHDX_PAGE, 0, VHDX_PAGE - used % VHDX_PAGE);
		r = storage_write(s, page, sizeof page, table + used - used % VHDX_PAGE);
	}
	if (r == 0 && wanted > from)
		r = storage_zero(s, table + from, wanted - from);
	return r;
}

static int grow(struct vhdx *v, u64 size)
{
	struct image *im = &v->image;
	u64 blocks = (size + im->block_size - 1) / im->block_size;
	u64 used = 8 * vhdx_table_entries(v->blocks, v->chunk_ratio, im->differencing);
	u64 wanted = 8 * vhdx_table_entries(blocks, v->chunk_ratio, im->differencing);
	u64 table = v->table_offset, length = v->table_length;
	le64 new_size = le64_of(size);
	AUTO_FREE struct change *change = calloc(1, sizeof *change);
	int r = change ? vhdx_note_change(v) : -ENOMEM;

	if (r == 0 && wanted > length) {
		length = whole_mib(wanted);
		r = move_table(v, used, length, change, &table);
	}
	if (r == 0)
		r = clear_entries(v, table, used, wanted);
	if (r == 0)
		r = add_changed(v, change, v->size_item, &new_size, sizeof new_size);
	if (r == 0)
		r = storage_flush(im->storage);
	if (r < 0)
		return r;
	const struct page_batch batch = { .count = change->count,
					  .offset = change->offset,
					  .data = change->data[0] };
	r = vhdx_log_write(v, &batch, im->storage->size);
	if (r < 0)
		return r;
	if (table != v->table_offset) {
		pages_forget(v->pages, v->table_offset, v->table_length);
		memset(v->regions_bad, 0, sizeof v->regions_bad);
	} else {
		pages_forget(v->pages, table + used - used % VHDX_PAGE,
			     wanted - used + VHDX_PAGE);
	}
	v->table_offset = table;
	v->table_length = length;
	v->blocks = blocks;
	im->size = size;
	return 0;
}

int vhdx_resize(struct image *im, u64 size, struct err *err)
{
	int r;

	if (size == 0 || size == im->size)
		return 0;
	if (size < im->size)
		return err_set(err, -EINVAL, "a disk can only grow, and has %llu bytes",
			       (ull)im->size);
	if (size % im->logical_block)
		return err_set(err, -EINVAL, "the size must be whole sectors of %u bytes",
			       im->logical_block);
	if (size > VHDX_MAX_SIZE)
		return err_set(err, -EINVAL, "a VHDX has at most 64 TiB");
	r = grow(vhdx_of(im), size);
	return r < 0 ? err_set(err, r, "it cannot be written: %s", err_words(r)) : 0;
}
