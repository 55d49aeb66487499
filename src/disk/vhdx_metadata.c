/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metadata region of a VHDX: sizes, identities, and what a differencing image says about its
 * parent; see vhdx.h, [MS-VHDX] 2.6.
 */
#include <errno.h>
#include <stdio.h>

#include "base/checked.h"
#include "disk/text16.h"
#include "disk/vhdx.h"

typedef unsigned long long ull;

#define TABLE_SIZE (64u << 10)
#define LOCATOR_MAX (64u << 10)

/* clang-format off */
const vhdx_guid vhdx_item_parameters = { { 0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d,
	0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b } };
const vhdx_guid vhdx_item_size = { { 0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48,
	0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8 } };
const vhdx_guid vhdx_item_disk_id = { { 0xab, 0x12, 0xca, 0xbe, 0xe6, 0xb2, 0x23, 0x45,
	0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46 } };
const vhdx_guid vhdx_item_logical = { { 0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47,
	0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f } };
const vhdx_guid vhdx_item_physical = { { 0xc7, 0x48, 0xa3, 0xcd, 0x5d, 0x44, 0x71, 0x44,
	0x9c, 0xc9, 0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56 } };
const vhdx_guid vhdx_item_locator = { { 0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d, 0x45,
	0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c } };
const vhdx_guid vhdx_locator_type = { { 0xb7, 0xef, 0x4a, 0xb0, 0x9e, 0xd1, 0x81, 0x4a,
	0xb7, 0x89, 0x25, 0xb8, 0xe9, 0x44, 0x59, 0x13 } };
/* clang-format on */

/* The items that we know; what is not in the file stays NULL. */
struct items {
	const struct vhdx_metadata *parameters, *size, *disk_id, *logical, *physical,
		*locator;
};

static const struct vhdx_metadata **slot_of(struct items *items, const vhdx_guid *id)
{
	return vhdx_same(id, &vhdx_item_parameters) ? &items->parameters
	       : vhdx_same(id, &vhdx_item_size)	    ? &items->size
	       : vhdx_same(id, &vhdx_item_disk_id)  ? &items->disk_id
	       : vhdx_same(id, &vhdx_item_logical)  ? &items->logical
	       : vhdx_same(id, &vhdx_item_physical) ? &items->physical
	       : vhdx_same(id, &vhdx_item_locator)  ? &items->locator
						    : NULL;
}

static int take_item(const struct vhdx *v, struct items *items,
		     const struct vhdx_metadata *m, u32 n, struct err *err)
{
	const struct vhdx_metadata **slot = slot_of(items, &m->id);
	u32 offset = le32_get(m->offset), length = le32_get(m->length);

	if (length &&
	    (offset < TABLE_SIZE || !range_inside(offset, length, v->metadata_length)))
		return err_set(err, -EUCLEAN,
			       "metadata item %u lies outside of the metadata", n);
	if (!slot && le32_get(m->flags) & VHDX_IS_REQUIRED)
		return err_set(err, -EUCLEAN,
			       "metadata item %u is required and of an unknown kind", n);
	if (slot && *slot)
		return err_set(err, -EUCLEAN, "metadata item %u is there twice", n);
	if (slot)
		*slot = m;
	return 0;
}

static int take_items(const struct vhdx *v, const u8 *table, struct items *items,
		      struct err *err)
{
	const struct vhdx_metadata_table *t = (const void *)table;
	const struct vhdx_metadata *all = (const void *)(t + 1);
	u32 count = le16_get(t->count);
	int r = 0;

	if (memcmp(t->signature, "metadata", 8) != 0)
		return err_set(err, -EUCLEAN, "the metadata table has no signature");
	if (count > VHDX_MAX_ENTRIES)
		return err_set(err, -EUCLEAN,
			       "a metadata table of %u entries: at most 2047 are "
			       "possible",
			       count);
	for (u32 i = 0; i < count && r == 0; i++)
		r = take_item(v, items, &all[i], i, err);
	return r;
}

static int read_item(const struct vhdx *v, const struct vhdx_metadata *m,
		     const char *what, void *data, u32 size, struct err *err)
{
	int r;

	if (!m)
		return err_set(err, -EUCLEAN, "the metadata does not tell the %s", what);
	if (le32_get(m->length) != size)
		return err_set(err, -EUCLEAN,
			       "the %s in the metadata has %u bytes, not %u", what,
			       le32_get(m->length), size);
	r = storage_read(v->image.storage, data, size,
			 v->metadata_offset + le32_get(m->offset));
	return r < 0 ? err_set(err, r, "the metadata cannot be read: %s", err_words(r))
		     : 0;
}

static int take_parameters(struct vhdx *v, const struct items *items, struct err *err)
{
	struct vhdx_parameters p = { 0 };
	u32 flags, block;
	int r = read_item(v, items->parameters, "block size", &p, sizeof p, err);

	if (r < 0)
		return r;
	block = le32_get(p.block_size);
	flags = le32_get(p.flags);
	if (block == 0 || block & (block - 1))
		return err_set(err, -EUCLEAN, "the block size %u is no power of two",
			       block);
	if (block < VHDX_MIN_BLOCK || block > VHDX_MAX_BLOCK)
		return err_set(err, -EUCLEAN,
			       "the block size %u is not between 1 MiB and 256 MiB",
			       block);
	if (flags & ~(u32)(VHDX_LEAVE_ALLOCATED | VHDX_HAS_PARENT))
		return err_set(err, -EUCLEAN, "file parameters 0x%x are not known",
			       flags);
	v->image.block_size = block;
	v->leave_allocated = flags & VHDX_LEAVE_ALLOCATED;
	v->image.differencing = flags & VHDX_HAS_PARENT;
	return 0;
}

static int take_sectors(struct vhdx *v, const struct items *items, struct err *err)
{
	le32 logical = { 0 }, physical = { 0 };
	int r = read_item(v, items->logical, "logical sector size", &logical,
			  sizeof logical, err);

	if (r == 0)
		r = read_item(v, items->physical, "physical sector size", &physical,
			      sizeof physical, err);
	if (r < 0)
		return r;
	v->image.logical_block = le32_get(logical);
	v->image.physical_block = le32_get(physical);
	if (v->image.logical_block != 512 && v->image.logical_block != 4096)
		return err_set(err, -EUCLEAN,
			       "the logical sector size is %u, not 512 or 4096",
			       v->image.logical_block);
	if (v->image.physical_block != 512 && v->image.physical_block != 4096)
		return err_set(err, -EUCLEAN,
			       "the physical sector size is %u, not 512 or 4096",
			       v->image.physical_block);
	v->chunk_ratio = (u32)(((u64)v->image.logical_block << 23) / v->image.block_size);
	return 0;
}

static int take_size(struct vhdx *v, const struct items *items, struct err *err)
{
	le64 size = { 0 };
	int r = read_item(v, items->size, "disk's size", &size, sizeof size, err);

	if (r < 0)
		return r;
	v->image.size = le64_get(size);
	v->size_item = v->metadata_offset + le32_get(items->size->offset);
	if (v->image.size == 0)
		return err_set(err, -EUCLEAN, "the disk has a size of 0");
	if (v->image.size > VHDX_MAX_SIZE)
		return err_set(err, -EUCLEAN,
			       "the disk's size of %llu bytes is over the 64 TiB that a "
			       "VHDX can have",
			       (ull)v->image.size);
	if (v->image.size % v->image.logical_block)
		return err_set(err, -EUCLEAN,
			       "the disk's size of %llu bytes is not whole sectors",
			       (ull)v->image.size);
	v->blocks = (v->image.size + v->image.block_size - 1) / v->image.block_size;
	return 0;
}

/* ---- parent ---------------------------------------------------------------------------------- */

struct text {
	const char *key;
	char value[DISK_NAME_SIZE];
};

static bool inside(const u8 *data, u32 size, u32 offset, u32 length)
{
	return range_inside(offset, length, size);
}

/* The pairs of the locator whose keys are asked for. */
static int read_pairs(const u8 *data, u32 size, struct text *texts, unsigned text_count,
		      struct err *err)
{
	const struct vhdx_locator *l = (const void *)data;
	const struct vhdx_locator_entry *e = (const void *)(l + 1);
	u32 count;

	if (size < sizeof *l || !vhdx_same(&l->type, &vhdx_locator_type))
		return err_set(err, -EUCLEAN, "the parent locator is of an unknown kind");
	count = le16_get(l->count);
	if (sizeof *l + (u64)count * sizeof *e > size)
		return err_set(err, -EUCLEAN,
			       "the parent locator has %u entries in %u bytes", count,
			       size);
	for (u32 i = 0; i < count; i++) {
		u32 ko = le32_get(e[i].key_offset), kl = le16_get(e[i].key_length);
		u32 vo = le32_get(e[i].value_offset), vl = le16_get(e[i].value_length);
		char key[64];

		if (!inside(data, size, ko, kl) || !inside(data, size, vo, vl))
			return err_set(err, -EUCLEAN,
				       "entry %u of the parent locator lies outside of "
				       "it",
				       i);
		if (!text16_read(data + ko, kl, false, key, sizeof key))
			continue; /* none that we know */
		for (unsigned k = 0; k < text_count; k++)
			if (strcmp(key, texts[k].key) == 0 &&
			    !text16_read(data + vo, vl, false, texts[k].value,
					 sizeof texts[k].value))
				return err_set(err, -EUCLEAN,
					       "the parent locator's '%s' is no text",
					       key);
	}
	return 0;
}

static int hex(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* {83ed0ec3-24c8-49a6-a959-5e4bd1288015}, the first three numbers little-endian in memory. */
static bool read_guid(const char *text, u8 *ret_guid)
{
	static const u8 place[16] = {
		3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15
	};
	unsigned n = 0;

	if (*text++ != '{')
		return false;
	while (n < 16) {
		int high, low;

		if (*text == '-')
			text++;
		high = hex(text[0]);
		low = high < 0 ? -1 : hex(text[1]);
		if (low < 0)
			return false;
		ret_guid[place[n++]] = (u8)(high << 4 | low);
		text += 2;
	}
	return text[0] == '}' && text[1] == '\0';
}

enum { LINKAGE, RELATIVE, ABSOLUTE, TEXTS };

static int read_locator(const struct vhdx *v, struct text *texts, struct err *err)
{
	AUTO_FREE u8 *data = malloc(v->locator_length ? v->locator_length : 1);
	int r = data ? storage_read(v->image.storage, data, v->locator_length,
				    v->locator_offset)
		     : -ENOMEM;

	if (r < 0)
		return err_set(err, r, "the parent locator cannot be read: %s",
			       err_words(r));
	texts[LINKAGE] = (struct text){ .key = "parent_linkage" };
	texts[RELATIVE] = (struct text){ .key = "relative_path" };
	texts[ABSOLUTE] = (struct text){ .key = "absolute_win32_path" };
	return read_pairs(data, v->locator_length, texts, TEXTS, err);
}

static int take_locator(struct vhdx *v, const struct vhdx_metadata *m, struct err *err)
{
	struct text texts[TEXTS];
	int r;

	if (!v->image.differencing)
		return 0;
	if (!m)
		return err_set(err, -EUCLEAN,
			       "a differencing image that does not say who its parent "
			       "is");
	v->locator_offset = v->metadata_offset + le32_get(m->offset);
	v->locator_length = le32_get(m->length);
	if (v->locator_length > LOCATOR_MAX)
		return err_set(err, -EUCLEAN, "a parent locator of %u bytes",
			       v->locator_length);
	r = read_locator(v, texts, err);
	if (r == 0 && !read_guid(texts[LINKAGE].value, v->image.parent_id))
		return err_set(err, -EUCLEAN, "the parent's identity '%.60s' is none",
			       texts[LINKAGE].value);
	return r;
}

int vhdx_read_parent(struct image *im, struct disk_parent *ret_parent, struct err *err)
{
	struct text texts[TEXTS];
	int r = read_locator(vhdx_of(im), texts, err);

	if (r < 0)
		return r;
	if (!texts[RELATIVE].value[0] && !texts[ABSOLUTE].value[0])
		return err_set(err, -EUCLEAN,
			       "a differencing image that does not name its parent");
	*ret_parent = (struct disk_parent){ .needed = true };
	memcpy(ret_parent->id, im->parent_id, sizeof ret_parent->id);
	memcpy(ret_parent->relative, texts[RELATIVE].value, DISK_NAME_SIZE);
	memcpy(ret_parent->absolute, texts[ABSOLUTE].value, DISK_NAME_SIZE);
	return 0;
}

/* ---- all of it ------------------------------------------------------------------------------- */

int vhdx_read_metadata(struct vhdx *v, struct err *err)
{
	AUTO_FREE u8 *table = malloc(TABLE_SIZE);
	struct items items = { 0 };
	int r = table ? storage_read(v->image.storage, table, TABLE_SIZE,
				     v->metadata_offset)
		      : -ENOMEM;

	if (r < 0)
		return err_set(err, r, "the metadata cannot be read: %s", err_words(r));
	r = take_items(v, table, &items, err);
	if (r == 0)
		r = take_parameters(v, &items, err);
	if (r == 0)
		r = take_sectors(v, &items, err);
	if (r == 0)
		r = take_size(v, &items, err);
	if (r == 0)
		r = read_item(v, items.disk_id, "disk's identity", v->image.disk_id,
			      sizeof v->image.disk_id, err);
	if (r == 0)
		r = take_locator(v, items.locator, err);
	return r;
}
