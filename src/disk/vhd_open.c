/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a file must be to be opened as a VHD: every number of it is looked at here, before anything
 * is done by it; see vhd.h. The order is that of the file. Also what a check says beyond that, and
 * the names of the parent.
 */
#include <errno.h>
#include <stdio.h>

#include "base/checked.h"
#include "disk/text16.h"
#include "disk/vhd.h"

typedef unsigned long long ull;

u32 vhd_checksum(const void *data, size_t size, size_t checksum_offset)
{
	const u8 *p = data;
	u32 sum = 0;

	for (size_t i = 0; i < size; i++)
		if (i < checksum_offset || i >= checksum_offset + 4)
			sum += p[i];
	return ~sum;
}

void vhd_seal_footer(struct vhd_footer *footer)
{
	footer->checksum = be32_of(vhd_checksum(footer, sizeof *footer,
						offsetof(struct vhd_footer, checksum)));
}

void vhd_seal_header(struct vhd_header *header)
{
	header->checksum = be32_of(vhd_checksum(header, sizeof *header,
						offsetof(struct vhd_header, checksum)));
}

/* Zeros behind the footer of a growth that was cut: no more than a file system's block. */
#define GROWTH_TAIL (64u << 10)

static bool is_zero(const u8 *sector)
{
	static const u8 zeros[VHD_SECTOR];

	return memcmp(sector, zeros, sizeof zeros) == 0;
}

static bool footer_sealed(const struct vhd_footer *f)
{
	return memcmp(f->cookie, VHD_COOKIE, sizeof f->cookie) == 0 &&
	       be32_get(f->checksum) ==
		       vhd_checksum(f, sizeof *f, offsetof(struct vhd_footer, checksum));
}

/* ---- footer ---------------------------------------------------------------------------------- */

/* *ret_found: one was there. Before version 1.0, some footers had 511 bytes: not read. */
static int read_footer_at(struct storage *s, u64 offset, struct vhd_footer *ret_footer,
			  bool *ret_good)
{
	int r = storage_read(s, ret_footer, sizeof *ret_footer, offset);

	*ret_good = r == 0 && footer_sealed(ret_footer);
	return r;
}

static int find_footer_of_growth(struct vhd *v);

/* The last footer, else one behind which a fixed image was growing, else the copy. */
static int find_footer(struct vhd *v, struct err *err)
{
	struct storage *s = v->image.storage;
	struct vhd_footer copy, last;
	bool copy_good = false, last_good = false;
	int r;

	if (s->size < VHD_SECTOR)
		return err_set(err, -EUCLEAN,
			       "not a VHD: %llu bytes are too short for a footer",
			       (ull)s->size);
	r = read_footer_at(s, (s->size - VHD_SECTOR) & ~(u64)(VHD_SECTOR - 1), &last,
			   &last_good);
	if (r == 0)
		r = read_footer_at(s, 0, &copy, &copy_good);
	if (r < 0)
		return err_set(err, r, "the footer cannot be read: %s", err_words(r));
	v->last_footer_bad = !last_good;
	v->first_footer_bad = !copy_good;
	/* Before the copy: in a fixed image the first sector is the guest's. */
	if (!last_good && find_footer_of_growth(v) == 0)
		return 0;
	if (!last_good && !copy_good) {
		bool cookie = memcmp(last.cookie, VHD_COOKIE, 8) == 0 ||
			      memcmp(copy.cookie, VHD_COOKIE, 8) == 0;

		return err_set(err, -EUCLEAN,
			       cookie ? "the footer's checksum is wrong, and there is no "
					"good copy"
				      : "not a VHD: no footer at the end, no copy at the "
					"beginning");
	}
	v->footer = last_good ? last : copy;
	v->copy_differs = copy_good && last_good &&
			  memcmp(&copy, &last, sizeof copy) != 0;
	return 0;
}

static int check_footer(struct vhd *v, struct err *err)
{
	const struct vhd_footer *f = &v->footer;
	u64 size = be64_get(f->size);
	u32 type = be32_get(f->type);

	if (be32_get(f->version) >> 16 != VHD_VERSION >> 16)
		return err_set(err, -EUCLEAN, "format version 0x%x is not known",
			       be32_get(f->version));
	if (type != VHD_FIXED && type != VHD_DYNAMIC && type != VHD_DIFFERENCING)
		return err_set(err, -EUCLEAN, "disk type %u is not known", type);
	if (size == 0)
		return err_set(err, -EUCLEAN, "the disk has a size of 0");
	if (size % VHD_SECTOR)
		return err_set(err, -EUCLEAN,
			       "the disk's size of %llu bytes is not whole sectors",
			       (ull)size);
	if (size > VHD_MAX_SIZE)
		return err_set(err, -EUCLEAN,
			       "the disk's size of %llu bytes is over the 2040 GiB that "
			       "a VHD can have",
			       (ull)size);
	v->image.size = size;
	v->image.fixed = type == VHD_FIXED;
	v->image.differencing = type == VHD_DIFFERENCING;
	memcpy(v->image.link_id, f->id, sizeof f->id);
	memcpy(v->image.disk_id, f->id, sizeof f->id);
	return 0;
}

/* Behind what only holes follow, up to the end of the file. */
static int end_of_data(struct storage *s, u64 *ret_end)
{
	u64 low = 0, high = s->size, start, end;

	while (s->ops->next_data && low < high) {
		u64 middle = low + (high - low) / 2;
		int r = s->ops->next_data(s, middle, &start, &end);

		if (r < 0 && r != -ENXIO)
			return r;
		if (r < 0)
			high = middle;
		else
			low = max_u64(middle + 1, end);
	}
	*ret_end = high;
	return 0;
}

/*
 * A fixed image has one footer, at the end of the file. Where the host lost power while it grew, the
 * file may have its new size already and the new footer not yet: then the old footer is the last
 * thing in it, behind exactly the disk that it tells of. -ENOENT: there is none.
 */
static int find_footer_of_growth(struct vhd *v)
{
	struct storage *s = v->image.storage;
	AUTO_FREE u8 *tail = malloc(GROWTH_TAIL);
	u64 end = 0, from = 0, at;
	int r = tail ? end_of_data(s, &end) : -ENOMEM;

	end = min_u64(end + VHD_SECTOR - 1, s->size) & ~(u64)(VHD_SECTOR - 1);
	from = end > GROWTH_TAIL ? end - GROWTH_TAIL : 0;
	if (r == 0)
		r = storage_read(s, tail, end - from, from);
	if (r < 0)
		return r;
	for (at = end; at > from && is_zero(tail + (at - from) - VHD_SECTOR);)
		at -= VHD_SECTOR;
	if (at == from)
		return -ENOENT;
	at -= VHD_SECTOR;
	memcpy(&v->footer, tail + (at - from), sizeof v->footer);
	if (!footer_sealed(&v->footer) || be32_get(v->footer.type) != VHD_FIXED ||
	    be64_get(v->footer.size) != at)
		return -ENOENT;
	v->end = at;
	v->growth_was_cut = true;
	return 0;
}

static int check_fixed(struct vhd *v, struct err *err)
{
	const struct storage *s = v->image.storage;

	if (v->growth_was_cut)
		return 0;
	if (v->last_footer_bad)
		return err_set(err, -EUCLEAN,
			       "a fixed image without a footer at its end");
	if (v->image.size > s->size - VHD_SECTOR)
		return err_set(err, -EUCLEAN,
			       "the file is cut short: %llu bytes of a disk of %llu",
			       (ull)(s->size - VHD_SECTOR), (ull)v->image.size);
	v->end = s->size - VHD_SECTOR;
	v->footer_at_end = true;
	return 0;
}

/* ---- dynamic header -------------------------------------------------------------------------- */

static int read_header(struct vhd *v, struct err *err)
{
	u64 offset = be64_get(v->footer.header_offset);
	struct vhd_header *h = &v->header;
	int r;

	if (offset % VHD_SECTOR)
		return err_set(err, -EUCLEAN,
			       "the dynamic header is said to be at %llu, between "
			       "sectors",
			       (ull)offset);
	if (offset < VHD_SECTOR)
		return err_set(err, -EUCLEAN,
			       "the dynamic header is said to be where the footer's copy "
			       "is");
	if (!range_inside(offset, sizeof *h, v->image.storage->size))
		return err_set(err, -EUCLEAN,
			       "the dynamic header is said to be beyond the end of the "
			       "file");
	r = storage_read(v->image.storage, h, sizeof *h, offset);
	if (r < 0)
		return err_set(err, r, "the dynamic header cannot be read: %s",
			       err_words(r));
	if (memcmp(h->cookie, VHD_HEADER_COOKIE, sizeof h->cookie) != 0)
		return err_set(err, -EUCLEAN, "there is no dynamic header at %llu",
			       (ull)offset);
	if (be32_get(h->checksum) !=
	    vhd_checksum(h, sizeof *h, offsetof(struct vhd_header, checksum)))
		return err_set(err, -EUCLEAN, "the dynamic header's checksum is wrong");
	if (be32_get(h->version) >> 16 != VHD_VERSION >> 16)
		return err_set(err, -EUCLEAN, "dynamic header version 0x%x is not known",
			       be32_get(h->version));
	return 0;
}

static int check_header(struct vhd *v, struct err *err)
{
	const struct vhd_header *h = &v->header;
	u64 header = be64_get(v->footer.header_offset);
	u64 table = be64_get(h->table_offset), table_size;
	u32 block = be32_get(h->block_size), entries = be32_get(h->entries);
	u64 needed;

	if (block == 0 || block & (block - 1))
		return err_set(err, -EUCLEAN, "the block size %u is no power of two",
			       block);
	if (block < VHD_MIN_BLOCK || block > VHD_MAX_BLOCK)
		return err_set(err, -EUCLEAN,
			       "the block size %u is not between 64 KiB and 256 MiB",
			       block);
	needed = (v->image.size + block - 1) / block;
	if (entries < needed)
		return err_set(err, -EUCLEAN,
			       "the table has %u entries, a disk of that size needs %llu",
			       entries, (ull)needed);
	if (table % VHD_SECTOR)
		return err_set(err, -EUCLEAN,
			       "the table is said to be at %llu, between sectors",
			       (ull)table);
	/* Only what is needed is ever read: some writers round the number of entries up. */
	table_size = (needed * sizeof(be32) + VHD_SECTOR - 1) & ~(u64)(VHD_SECTOR - 1);
	if (!range_inside(table, table_size, v->image.storage->size))
		return err_set(err, -EUCLEAN,
			       "the table of %llu entries is beyond the end of the file",
			       (ull)needed);
	if (table < VHD_SECTOR ||
	    ranges_overlap(table, table_size, header, sizeof(struct vhd_header)))
		return err_set(err, -EUCLEAN, "the table lies over the headers");
	v->table_offset = table;
	v->entries = (u32)needed;
	v->bitmap_size = (block / VHD_SECTOR / 8 + VHD_SECTOR - 1) & ~(VHD_SECTOR - 1);
	v->image.block_size = block;
	if (v->image.differencing) {
		static const u8 none[16];

		memcpy(v->image.parent_id, h->parent_id, sizeof h->parent_id);
		if (memcmp(h->parent_id, none, sizeof none) == 0)
			return err_set(err, -EUCLEAN,
				       "a differencing image that does not say who its "
				       "parent is");
	}
	return 0;
}

/* ---- table ----------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
	u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return x < y ? -1 : x > y;
}

/* All entries that are in use, as sectors, unsorted. */
static int read_table(struct vhd *v, u32 **ret_sectors, u32 *ret_count, struct err *err)
{
	size_t size = (size_t)v->entries * sizeof(be32);
	u32 *sectors = malloc(size);
	u32 count = 0;
	int r = sectors ? storage_read(v->image.storage, sectors, size, v->table_offset)
			: -ENOMEM;

	if (r < 0) {
		free(sectors);
		return err_set(err, r, "the table cannot be read: %s", err_words(r));
	}
	for (u32 i = 0; i < v->entries; i++) {
		be32 entry = { sectors[i] };

		if (be32_get(entry) != VHD_UNUSED)
			sectors[count++] = be32_get(entry);
	}
	*ret_sectors = sectors;
	*ret_count = count;
	return 0;
}

/* Blocks lie in the file, behind the headers, over nothing and not over one another. */
static int check_blocks(struct vhd *v, const u32 *sectors, u32 count, struct err *err)
{
	u64 whole = v->bitmap_size + v->image.block_size, end = 0, declared;
	u64 header = be64_get(v->footer.header_offset);
	u64 table_size = ((u64)v->entries * sizeof(be32) + VHD_SECTOR - 1) &
			 ~(u64)(VHD_SECTOR - 1);

	for (u32 i = 0; i < count; i++) {
		u64 start = (u64)sectors[i] * VHD_SECTOR;

		if (!range_inside(start, whole, v->image.storage->size))
			return err_set(err, -EUCLEAN,
				       "a block at %llu is beyond the end of the file",
				       (ull)start);
		if (start < VHD_SECTOR ||
		    ranges_overlap(start, whole, header, sizeof(struct vhd_header)))
			return err_set(err, -EUCLEAN,
				       "a block at %llu lies over the headers",
				       (ull)start);
		if (ranges_overlap(start, whole, v->table_offset, table_size))
			return err_set(err, -EUCLEAN,
				       "a block at %llu lies over the table", (ull)start);
		if (start < end)
			return err_set(err, -EUCLEAN,
				       "two blocks lie over each other at %llu",
				       (ull)start);
		end = start + whole;
	}
	/* New blocks go behind all that the header claims, where that is possible. */
	declared = (u64)be32_get(v->header.entries) * sizeof(be32);
	if (range_inside(v->table_offset, declared, v->image.storage->size))
		table_size = max_u64(table_size, declared);
	v->end = max_u64(max_u64(end, v->table_offset + table_size),
			 header + sizeof(struct vhd_header));
	return 0;
}

static int check_table(struct vhd *v, struct err *err)
{
	AUTO_FREE u32 *sectors = NULL;
	u32 count = 0;
	int r = read_table(v, &sectors, &count, err);

	if (r < 0)
		return r;
	qsort(sectors, count, sizeof *sectors, by_value);
	return check_blocks(v, sectors, count, err);
}

/* The names of the parent lie in the file; blocks begin behind them. */
static int check_locators(struct vhd *v, struct err *err)
{
	for (unsigned i = 0; i < VHD_LOCATORS; i++) {
		const struct vhd_locator *l = &v->header.locator[i];
		u64 offset = be64_get(l->offset);
		u32 length = be32_get(l->length), space;

		if (be32_get(l->platform) == 0)
			continue;
		if (!range_inside(offset, length, v->image.storage->size))
			return err_set(err, -EUCLEAN,
				       "the name of the parent is beyond the end of the "
				       "file");
		if (length > 64u << 10)
			return err_set(err, -EUCLEAN,
				       "the name of the parent is %u bytes long", length);
		/* Space in sectors, as the specification has it, or in bytes. */
		space = be32_get(l->space);
		if (space <= 128)
			space *= VHD_SECTOR;
		space = space > (64u << 10) || space < length ? length : space;
		v->end = max_u64(v->end, offset + space);
	}
	return 0;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int read_all(struct vhd *v, struct err *err)
{
	struct storage *s = v->image.storage;
	int r = find_footer(v, err);

	if (r == 0)
		r = check_footer(v, err);
	if (r < 0 || v->image.fixed)
		return r < 0 ? r : check_fixed(v, err);
	r = read_header(v, err);
	if (r == 0)
		r = check_header(v, err);
	if (r == 0)
		r = check_table(v, err);
	if (r == 0 && v->image.differencing)
		r = check_locators(v, err);
	if (r < 0)
		return r;
	v->end = (v->end + VHD_SECTOR - 1) & ~(u64)(VHD_SECTOR - 1);
	v->footer_at_end = !v->last_footer_bad && s->size == v->end + VHD_SECTOR;
	r = pages_new(s, VHD_SECTOR, &v->pages);
	return r < 0 ? err_set(err, r, "no memory") : 0;
}

int vhd_open(struct storage *storage, bool read_only, struct image **ret_image,
	     struct err *err)
{
	struct vhd *v = calloc(1, sizeof *v);
	int r;

	if (!v)
		return err_set(err, -ENOMEM, "no memory");
	v->image.storage = storage;
	r = read_all(v, err);
	if (r < 0) {
		free(v);
		return r;
	}
	if (v->growth_was_cut && !read_only) {
		r = vhd_place_footer(v);
		if (r == 0)
			r = storage_flush(storage);
		if (r < 0) {
			free(v);
			return err_set(err, r, "its growth cannot be undone: %s",
				       err_words(r));
		}
	}
	image_init(&v->image, v->image.fixed ? &vhd_fixed_ops : &vhd_block_ops, storage,
		   read_only);
	v->image.logical_block = VHD_SECTOR;
	v->image.physical_block = VHD_SECTOR;
	v->free.size = v->bitmap_size + v->image.block_size;
	*ret_image = &v->image;
	return 0;
}

/* ---- check ----------------------------------------------------------------------------------- */

static void say(struct image_findings *findings, bool error, const char *text)
{
	if (error)
		findings->errors++;
	else
		findings->warnings++;
	findings->say(findings->owner, error, text);
}

void vhd_check(struct image *im, struct image_findings *findings)
{
	struct vhd *v = vhd_of(im);
	const struct vhd_footer *f = &v->footer;
	u64 cylinder = (u64)f->heads * f->sectors_per_track * VHD_SECTOR;

	if (v->growth_was_cut)
		say(findings, false,
		    "the file was growing when the host stopped; it is as before");
	else if (v->last_footer_bad)
		say(findings, false,
		    "the footer at the end is damaged; its copy at the beginning is "
		    "good");
	if (v->first_footer_bad && !im->fixed)
		say(findings, false,
		    "the copy of the footer at the beginning is damaged");
	if (v->copy_differs && !im->fixed)
		say(findings, false, "the footer and its copy are not the same");
	if (!v->last_footer_bad && !v->footer_at_end)
		say(findings, false,
		    "behind the last block lies space that nothing uses: the image was "
		    "not "
		    "closed");
	/* Some round the number of cylinders up. */
	if (be16_get(f->cylinders) * cylinder > im->size + cylinder)
		say(findings, false, "the geometry is larger than the disk");
	if (f->saved_state)
		say(findings, false, "it belongs to a machine in saved state");
}

/* ---- parent ---------------------------------------------------------------------------------- */

static int read_locator(struct vhd *v, const struct vhd_locator *l, char *ret_name)
{
	u32 length = be32_get(l->length);
	AUTO_FREE u8 *data = malloc(length ? length : 1);
	int r = data ? storage_read(v->image.storage, data, length, be64_get(l->offset))
		     : -ENOMEM;

	if (r == 0 && !text16_read(data, length, false, ret_name, DISK_NAME_SIZE))
		r = -EUCLEAN;
	return r;
}

int vhd_read_parent(struct image *im, struct disk_parent *ret_parent, struct err *err)
{
	struct vhd *v = vhd_of(im);
	struct disk_parent p = { .needed = true };

	memcpy(p.id, im->parent_id, sizeof p.id);
	for (unsigned i = 0; i < VHD_LOCATORS; i++) {
		const struct vhd_locator *l = &v->header.locator[i];
		u32 platform = be32_get(l->platform);
		char *name = platform == VHD_W2RU   ? p.relative
			     : platform == VHD_W2KU ? p.absolute
						    : NULL;

		if (name && !name[0] && read_locator(v, l, name) < 0)
			return err_set(err, -EUCLEAN,
				       "the name of the parent is no text");
	}
	if (!p.relative[0] && !p.absolute[0] &&
	    !text16_read((const u8 *)v->header.parent_name, sizeof v->header.parent_name,
			 true, p.relative, sizeof p.relative))
		return err_set(err, -EUCLEAN, "the name of the parent is no text");
	if (!p.relative[0] && !p.absolute[0])
		return err_set(err, -EUCLEAN,
			       "a differencing image that does not name its parent");
	*ret_parent = p;
	return 0;
}
