/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a file must be to be opened as a VHDX: identifier, headers, log, regions, metadata, table, in
 * the order in which the specification reads them; see vhdx.h. Every number is looked at before
 * anything is done by it.
 */
#include <errno.h>

#include "base/checked.h"
#include "disk/crc32c.h"
#include "disk/vhdx.h"

typedef unsigned long long ull;

/* ---- headers --------------------------------------------------------------------------------- */

static int check_file(const struct vhdx *v, struct err *err)
{
	const struct storage *s = v->image.storage;
	char signature[8];
	int r;

	if (s->size < VHDX_MIB)
		return err_set(err, -EUCLEAN, "not a VHDX: %llu bytes are too short",
			       (ull)s->size);
	if (s->size > VHDX_MAX_FILE)
		return err_set(err, -EUCLEAN,
			       "a file of %llu bytes is larger than any VHDX",
			       (ull)s->size);
	r = storage_read(v->image.storage, signature, sizeof signature, 0);
	if (r < 0)
		return err_set(err, r, "it cannot be read: %s", err_words(r));
	if (memcmp(signature, VHDX_FILE_SIGNATURE, sizeof signature) != 0)
		return err_set(err, -EUCLEAN, "not a VHDX: it does not begin with '%s'",
			       VHDX_FILE_SIGNATURE);
	return 0;
}

static int read_header(struct vhdx *v, unsigned slot, struct vhdx_header *h)
{
	struct vhdx_header sum;
	int r = storage_read(v->image.storage, h, sizeof *h,
			     slot ? VHDX_HEADER_2 : VHDX_HEADER_1);

	if (r < 0)
		return r;
	sum = *h;
	sum.checksum = le32_of(0);
	v->header_bad[slot] = memcmp(h->signature, "head", 4) != 0 ||
			      le32_get(h->checksum) != crc32c(0, &sum, sizeof sum);
	return 0;
}

static int find_header(struct vhdx *v, struct err *err)
{
	struct vhdx_header h[2];
	u64 first, second;
	int r = read_header(v, 0, &h[0]);

	if (r == 0)
		r = read_header(v, 1, &h[1]);
	if (r < 0)
		return err_set(err, r, "the headers cannot be read: %s", err_words(r));
	if (v->header_bad[0] && v->header_bad[1])
		return err_set(err, -EUCLEAN, "both headers are damaged");
	first = le64_get(h[0].sequence);
	second = le64_get(h[1].sequence);
	if (!v->header_bad[0] && !v->header_bad[1] && first == second &&
	    memcmp(&h[0], &h[1], sizeof h[0]) != 0)
		return err_set(err, -EUCLEAN,
			       "both headers have the sequence number %llu, but they are "
			       "not the same",
			       (ull)first);
	v->header_slot = v->header_bad[0] || (!v->header_bad[1] && second > first);
	v->header = h[v->header_slot];
	return 0;
}

static int check_header(const struct vhdx *v, struct err *err)
{
	const struct vhdx_header *h = &v->header;
	u64 offset = le64_get(h->log_offset);
	u32 length = le32_get(h->log_length);

	if (le16_get(h->version) != 1)
		return err_set(err, -EUCLEAN, "format version %u is not known",
			       le16_get(h->version));
	if (le16_get(h->log_version) != 0)
		return err_set(err, -EUCLEAN, "log version %u is not known",
			       le16_get(h->log_version));
	if (le64_get(h->sequence) == UINT64_MAX)
		return err_set(err, -EUCLEAN,
			       "the header's sequence number is the last one there is");
	if (length == 0 || length % VHDX_MIB)
		return err_set(err, -EUCLEAN,
			       "the log's length of %u bytes is no multiple of 1 MiB",
			       length);
	if (length > VHDX_MAX_LOG)
		return err_set(err, -EUCLEAN,
			       "the log's length of %u bytes is over 64 MiB", length);
	if (offset < VHDX_MIB || offset % VHDX_MIB)
		return err_set(err, -EUCLEAN,
			       "the log is said to be at %llu, no multiple of 1 MiB "
			       "behind the headers",
			       (ull)offset);
	if (!range_inside(offset, length, v->image.storage->size))
		return err_set(err, -EUCLEAN, "the log is beyond the end of the file");
	return 0;
}

/* ---- regions --------------------------------------------------------------------------------- */

/* clang-format off */
const vhdx_guid vhdx_region_table_guid = { { 0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42,
	0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08 } };
const vhdx_guid vhdx_region_metadata_guid = { { 0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b,
	0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e } };
/* clang-format on */

static int read_regions(struct vhdx *v, unsigned slot, u8 *table)
{
	struct vhdx_region_table *t = (void *)table;
	le32 sum;
	int r = storage_read(v->image.storage, table, VHDX_REGIONS_SIZE,
			     slot ? VHDX_REGIONS_2 : VHDX_REGIONS_1);

	if (r < 0)
		return r;
	sum = t->checksum;
	t->checksum = le32_of(0);
	v->regions_bad[slot] = memcmp(t->signature, "regi", 4) != 0 ||
			       le32_get(sum) != crc32c(0, table, VHDX_REGIONS_SIZE);
	t->checksum = sum;
	return 0;
}

static int check_region(const struct vhdx *v, const struct vhdx_region *all, u32 n,
			struct err *err)
{
	u64 offset = le64_get(all[n].offset), length = le32_get(all[n].length);

	if (offset < VHDX_MIB || offset % VHDX_MIB)
		return err_set(err, -EUCLEAN,
			       "region %u is said to be at %llu, no multiple of 1 MiB "
			       "behind the headers",
			       n, (ull)offset);
	if (length == 0 || length % VHDX_MIB)
		return err_set(err, -EUCLEAN,
			       "the length of region %u, %llu bytes, is no multiple of "
			       "1 MiB",
			       n, (ull)length);
	if (!range_inside(offset, length, v->image.storage->size))
		return err_set(err, -EUCLEAN, "region %u is beyond the end of the file",
			       n);
	if (ranges_overlap(offset, length, le64_get(v->header.log_offset),
			   le32_get(v->header.log_length)))
		return err_set(err, -EUCLEAN, "region %u lies over the log", n);
	for (u32 i = 0; i < n; i++) {
		if (vhdx_same(&all[i].id, &all[n].id))
			return err_set(err, -EUCLEAN, "regions %u and %u are the same", i,
				       n);
		if (ranges_overlap(offset, length, le64_get(all[i].offset),
				   le32_get(all[i].length)))
			return err_set(err, -EUCLEAN,
				       "regions %u and %u lie over each other", i, n);
	}
	return 0;
}

static int take_regions(struct vhdx *v, const u8 *table, struct err *err)
{
	const struct vhdx_region_table *t = (const void *)table;
	const struct vhdx_region *all = (const void *)(t + 1);
	u32 count = le32_get(t->count);
	int r;

	if (count > VHDX_MAX_ENTRIES)
		return err_set(err, -EUCLEAN,
			       "a region table of %u entries: at most 2047 are possible",
			       count);
	for (u32 i = 0; i < count; i++) {
		r = check_region(v, all, i, err);
		if (r < 0)
			return r;
		if (vhdx_same(&all[i].id, &vhdx_region_table_guid)) {
			v->table_offset = le64_get(all[i].offset);
			v->table_length = le32_get(all[i].length);
		} else if (vhdx_same(&all[i].id, &vhdx_region_metadata_guid)) {
			v->metadata_offset = le64_get(all[i].offset);
			v->metadata_length = le32_get(all[i].length);
		} else if (le32_get(all[i].required) & 1) {
			return err_set(err, -EUCLEAN,
				       "region %u is required and of an unknown kind", i);
		}
	}
	if (!v->table_offset)
		return err_set(err, -EUCLEAN, "there is no block table region");
	if (!v->metadata_offset)
		return err_set(err, -EUCLEAN, "there is no metadata region");
	return 0;
}

static int find_regions(struct vhdx *v, struct err *err)
{
	AUTO_FREE u8 *table = malloc(2 * VHDX_REGIONS_SIZE);
	int r = table ? read_regions(v, 0, table) : -ENOMEM;

	if (r == 0)
		r = read_regions(v, 1, table + VHDX_REGIONS_SIZE);
	if (r < 0)
		return err_set(err, r, "the region tables cannot be read: %s",
			       err_words(r));
	if (v->regions_bad[0] && v->regions_bad[1])
		return err_set(err, -EUCLEAN, "both region tables are damaged");
	return take_regions(v, v->regions_bad[0] ? table + VHDX_REGIONS_SIZE : table,
			    err);
}

/* ---- table ----------------------------------------------------------------------------------- */

/* A bit for each MiB of the file: what is taken. Its size is bounded by that of the file. */
struct taken {
	u8 *bits;
	u64 count;
	u64 end; /* behind the last one taken */
};

static bool take(struct taken *t, u64 offset, u64 size)
{
	u64 first = offset / VHDX_MIB, last = (offset + size - 1) / VHDX_MIB;
	bool fresh = true;

	for (u64 i = first; i <= last && i < t->count; i++) {
		fresh &= !(t->bits[i / 8] >> i % 8 & 1);
		t->bits[i / 8] |= (u8)(1u << i % 8);
	}
	t->end = max_u64(t->end, (last + 1) * VHDX_MIB);
	return fresh;
}

static int check_place(const struct vhdx *v, struct taken *taken, u64 entry, u64 n,
		       u64 size, struct err *err)
{
	u64 place = VHDX_PLACE(entry);

	if (place < VHDX_MIB)
		return err_set(err, -EUCLEAN, "table entry %llu lies over the headers",
			       (ull)n);
	if (!range_inside(place, size, v->image.storage->size))
		return err_set(err, -EUCLEAN,
			       "table entry %llu is beyond the end of the file", (ull)n);
	if (!take(taken, place, size))
		return err_set(err, -EUCLEAN, "table entry %llu lies over something else",
			       (ull)n);
	return 0;
}

static int check_entry(const struct vhdx *v, struct taken *taken, u64 entry, u64 n,
		       struct err *err)
{
	bool bitmap = (n + 1) % ((u64)v->chunk_ratio + 1) == 0;
	u64 state = VHDX_STATE(entry);

	if (entry & VHDX_RESERVED_BITS)
		return err_set(err, -EUCLEAN, "table entry %llu has reserved bits set",
			       (ull)n);
	if (bitmap && state != VHDX_NOT_PRESENT && state != VHDX_PRESENT)
		return err_set(err, -EUCLEAN,
			       "table entry %llu, of a bitmap, has the state %llu",
			       (ull)n, (ull)state);
	if (bitmap && state == VHDX_PRESENT && !v->image.differencing)
		return err_set(err, -EUCLEAN,
			       "table entry %llu is a bitmap, in an image without a "
			       "parent",
			       (ull)n);
	if (state == 4 || state == 5)
		return err_set(err, -EUCLEAN, "table entry %llu has the state %llu",
			       (ull)n, (ull)state);
	if (state == VHDX_PARTIAL && !v->image.differencing)
		return err_set(err, -EUCLEAN,
			       "table entry %llu is partly present, in an image without "
			       "a "
			       "parent",
			       (ull)n);
	if (state < VHDX_PRESENT)
		return 0;
	return check_place(v, taken, entry, n, bitmap ? VHDX_MIB : v->image.block_size,
			   err);
}

/* Partly present blocks need the bitmap of their chunk, whose entry comes behind them. */
struct chunk {
	bool partial;
	u64 block_entry;
};

static int check_chunk(const struct vhdx *v, struct chunk *chunk, u64 entry, u64 n,
		       struct err *err)
{
	if ((n + 1) % ((u64)v->chunk_ratio + 1) != 0) {
		if (VHDX_STATE(entry) == VHDX_PARTIAL && !chunk->partial)
			*chunk = (struct chunk){ .partial = true, .block_entry = n };
		return 0;
	}
	if (chunk->partial && VHDX_STATE(entry) != VHDX_PRESENT)
		return err_set(err, -EUCLEAN,
			       "table entry %llu is partly present, but there is no "
			       "bitmap",
			       (ull)chunk->block_entry);
	chunk->partial = false;
	return 0;
}

#define TABLE_PIECE 65536u

static int scan_table(const struct vhdx *v, struct taken *taken, struct err *err)
{
	u64 entries =
		vhdx_table_entries(v->blocks, v->chunk_ratio, v->image.differencing);
	AUTO_FREE le64 *piece = malloc(TABLE_PIECE);
	struct chunk chunk = { 0 };
	int r = piece ? 0 : err_set(err, -ENOMEM, "no memory");

	for (u64 done = 0; done < entries && r == 0;) {
		u64 n = min_u64(entries - done, TABLE_PIECE / sizeof(le64));

		r = storage_read(v->image.storage, piece, n * sizeof(le64),
				 v->table_offset + done * sizeof(le64));
		if (r < 0)
			return err_set(err, r, "the block table cannot be read: %s",
				       err_words(r));
		for (u64 i = 0; i < n && r == 0; i++) {
			u64 entry = le64_get(piece[i]);

			if (entry || (done + i + 1) % ((u64)v->chunk_ratio + 1) == 0)
				r = check_entry(v, taken, entry, done + i, err);
			if (r == 0 && v->image.differencing)
				r = check_chunk(v, &chunk, entry, done + i, err);
		}
		done += n;
	}
	return r;
}

static int check_table(struct vhdx *v, struct err *err)
{
	u64 entries =
		vhdx_table_entries(v->blocks, v->chunk_ratio, v->image.differencing);
	struct taken taken = { .count = v->image.storage->size / VHDX_MIB + 1 };
	int r;

	if (entries * sizeof(le64) > v->table_length)
		return err_set(err, -EUCLEAN,
			       "the block table needs %llu entries and has room for %llu",
			       (ull)entries, (ull)(v->table_length / sizeof(le64)));
	taken.bits = calloc(1, taken.count / 8 + 1);
	if (!taken.bits)
		return err_set(err, -ENOMEM, "no memory");
	take(&taken, 0, VHDX_MIB);
	take(&taken, le64_get(v->header.log_offset), le32_get(v->header.log_length));
	take(&taken, v->table_offset, v->table_length);
	take(&taken, v->metadata_offset, v->metadata_length);
	r = scan_table(v, &taken, err);
	free(taken.bits);
	v->end = taken.end;
	v->end_is_end = v->end == v->image.storage->size;
	return r;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int read_all(struct vhdx *v, struct storage **storage, bool read_only,
		    struct err *err)
{
	int r = check_file(v, err);

	if (r == 0)
		r = find_header(v, err);
	if (r == 0)
		r = check_header(v, err);
	if (r == 0)
		r = vhdx_log_replay(v, storage, read_only, err);
	if (r == 0)
		r = find_regions(v, err);
	if (r == 0)
		r = vhdx_read_metadata(v, err);
	if (r == 0)
		r = check_table(v, err);
	if (r < 0)
		return r;
	v->page_limit = vhdx_log_capacity(le32_get(v->header.log_length));
	r = pages_new(v->image.storage, VHDX_PAGE, &v->pages);
	return r < 0 ? err_set(err, r, "no memory") : 0;
}

int vhdx_open(struct storage **storage, bool read_only, struct image **ret_image,
	      struct err *err)
{
	struct vhdx *v = calloc(1, sizeof *v);
	int r;

	if (!v)
		return err_set(err, -ENOMEM, "no memory");
	v->image.storage = *storage;
	r = read_all(v, storage, read_only, err);
	if (r < 0) {
		free(v);
		return r;
	}
	image_init(&v->image, &vhdx_ops, *storage, read_only);
	memcpy(v->image.link_id, v->header.data_write.b, sizeof v->image.link_id);
	v->image.fixed = v->leave_allocated && !v->image.differencing;
	v->free.size = v->image.block_size;
	*ret_image = &v->image;
	return 0;
}

/* ---- check ----------------------------------------------------------------------------------- */

static void say(struct image_findings *findings, const char *text)
{
	findings->warnings++;
	findings->say(findings->owner, false, text);
}

void vhdx_check(struct image *im, struct image_findings *findings)
{
	struct vhdx *v = vhdx_of(im);

	if (v->header_bad[0] || v->header_bad[1])
		say(findings, "one of the two headers is damaged");
	if (v->regions_bad[0] || v->regions_bad[1])
		say(findings, "one of the two region tables is damaged");
	if (v->replayed)
		say(findings, "the image was not closed; its log holds changes that "
			      "opening makes");
	if (im->storage->size > v->end)
		say(findings, "behind the last block lies space that nothing uses");
}
