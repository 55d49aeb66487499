/* SPDX-License-Identifier: Apache-2.0 */
/* Images beside what they must hold; see disk_model.h. */
#include "unit/disk_model.h"

#include "unit/harness.h"

#define KIB 1024ull
#define MIB (1024 * KIB)

#define GIB (1024 * MIB)

/* clang-format off */
const struct model_kind model_kinds[] = {
	{ "vhd-fixed", DISK_VHD, IMAGE_FIXED, 2 * MIB, 0, 512, 1, 0, 0, 0 },
	{ "vhd-dynamic", DISK_VHD, IMAGE_DYNAMIC, 2 * MIB + 512, 64 * KIB, 512, 1, 0, 0, 0 },
	{ "vhd-differencing", DISK_VHD, IMAGE_DIFFERENCING, 2 * MIB, 64 * KIB, 512, 3, 0, 0, 0 },
	{ "vhdx-fixed", DISK_VHDX, IMAGE_FIXED, 5 * MIB, MIB, 512, 1, 0, 0, 0 },
	{ "vhdx-dynamic", DISK_VHDX, IMAGE_DYNAMIC, 5 * MIB + 512, MIB, 512, 1, 0, 0, 0 },
	{ "vhdx-4096", DISK_VHDX, IMAGE_DYNAMIC, 5 * MIB, 2 * MIB, 4096, 1, 0, 0, 0 },
	{ "vhdx-differencing", DISK_VHDX, IMAGE_DIFFERENCING, 5 * MIB, MIB, 512, 3, 0, 0, 0 },
	{ "vhdx-differencing-4096", DISK_VHDX, IMAGE_DIFFERENCING, 5 * MIB, MIB, 4096, 3,
	  0, 0, 0 },
	/* with islands */
	{ "large-vhd-fixed", DISK_VHD, IMAGE_FIXED, 64 * MIB, 0, 512, 1,
	  32 * KIB, 2 * MIB, 0 },
	{ "large-vhd-dynamic", DISK_VHD, IMAGE_DYNAMIC, GIB, 64 * KIB, 512, 1,
	  32 * KIB, 32 * MIB, 0 },
	{ "large-vhd-differencing", DISK_VHD, IMAGE_DIFFERENCING, GIB, 64 * KIB, 512, 3,
	  32 * KIB, 32 * MIB, 0 },
	{ "large-vhdx-dynamic", DISK_VHDX, IMAGE_DYNAMIC, 3 * GIB, MIB, 512, 1,
	  32 * KIB, 96 * MIB, 0 },
	{ "large-vhdx-4096", DISK_VHDX, IMAGE_DYNAMIC, 3 * GIB, MIB, 4096, 1,
	  32 * KIB, 96 * MIB, 140 * GIB },
	{ "large-vhdx-differencing", DISK_VHDX, IMAGE_DIFFERENCING, 3 * GIB, MIB, 512, 3,
	  32 * KIB, 96 * MIB, 0 },
	{ "large-vhdx-differencing-grows", DISK_VHDX, IMAGE_DIFFERENCING, 3 * GIB, MIB, 4096, 2,
	  32 * KIB, 96 * MIB, 140 * GIB },
};
/* clang-format on */
const unsigned model_kind_count = ARRAY_COUNT(model_kinds);
const unsigned model_large_kinds = 7;
u64 model_step_offset, model_step_size;

const struct model_kind *model_kind_named(const char *name)
{
	for (unsigned i = 0; i < model_kind_count; i++)
		if (strcmp(model_kinds[i].name, name) == 0)
			return &model_kinds[i];
	abort();
}

u64 model_random(struct model *m, u64 limit)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return ((m->random * 0x2545f4914f6cdd1dull) >> 11) % limit;
}

/* ---- making ---------------------------------------------------------------------------------- */

int model_open_files(const struct model_kind *kind, struct power *power, bool read_only,
		     struct image **ret_image, struct err *err)
{
	struct image *parent = NULL, *im = NULL;
	int r = 0;

	for (unsigned i = kind->levels; i-- > 0;) {
		r = image_open(kind->format, &power[i].storage, read_only || i > 0, &im,
			       err);
		if (r == 0 && parent) {
			r = image_set_parent(im, parent, err);
			parent = NULL;
			if (r < 0)
				image_abandon(im);
		}
		if (r < 0) {
			image_abandon(parent);
			return r;
		}
		parent = im;
	}
	*ret_image = im;
	return 0;
}

bool model_open(struct model *m, bool read_only)
{
	struct err err = { 0 };
	int r = model_open_files(m->kind, m->power, read_only, &m->image, &err);

	if (r < 0) {
		harness_fail(__FILE__, __LINE__, "open: %s", err.text);
		return false;
	}
	return true;
}

bool model_close(struct model *m)
{
	CHECK_ERR(image_close(take_ptr(m->image)), 0);
	return true;
}

/* Level i of the chain, its parent being level i + 1. */
static bool make_level(struct model *m, unsigned i)
{
	const struct model_kind *k = m->kind;
	struct power_file empty = { 0 };
	struct err err = { 0 };
	struct image_create create = {
		.format = k->format,
		.type = k->type == IMAGE_DIFFERENCING && i + 1 == k->levels
				? IMAGE_DYNAMIC
				: k->type,
		.size = k->size,
		.block_size = k->block_size,
		.logical_block = k->logical_block,
	};

	if (i + 1 < k->levels) {
		CHECK_ERR(image_open(k->format, &m->power[i + 1].storage, true,
				     &create.parent, &err),
			  0);
		create.parent_relative = "./parent";
		create.parent_absolute = "/images/parent";
	}
	power_open(&m->power[i], &empty);
	int r = image_create(&m->power[i].storage, &create, &err);
	if (create.parent)
		image_abandon(create.parent);
	if (r < 0) {
		harness_fail(__FILE__, __LINE__, "create: %s", err.text);
		return false;
	}
	return true;
}

/* Something for the levels above to cover. */
static bool fill_level(struct model *m, unsigned i)
{
	struct model_kind below = *m->kind;
	struct err err = { 0 };

	below.levels = m->kind->levels - i;
	CHECK_ERR(model_open_files(&below, m->power + i, false, &m->image, &err), 0);
	for (unsigned n = 0; n < 20; n++)
		CHECK_OK(model_step(m));
	return model_close(m);
}

bool model_new(struct model *m, const struct model_kind *kind, u64 seed)
{
	memset(m, 0, sizeof *m);
	m->kind = kind;
	m->disk_size = kind->size;
	m->size = kind->island ? kind->size / kind->stride * kind->island : kind->size;
	m->random = seed * 0x9e3779b97f4a7c15ull + 1;
	m->expected = calloc(1, 4 * m->size);
	CHECK(m->expected);
	for (unsigned i = kind->levels; i-- > 0;) {
		CHECK_OK(make_level(m, i));
		if (i > 0)
			CHECK_OK(fill_level(m, i));
	}
	return true;
}

void model_free(struct model *m)
{
	if (m->image)
		image_abandon(m->image);
	for (unsigned i = 0; i < MODEL_LEVELS; i++)
		power_free(&m->power[i]);
	free(m->expected);
}

/* ---- work ------------------------------------------------------------------------------------ */

/* Where a byte of the model is on the disk. */
static u64 place(const struct model *m, u64 offset)
{
	const struct model_kind *k = m->kind;

	return k->island ? offset / k->island * k->stride + offset % k->island : offset;
}

bool model_write(struct model *m, u64 offset, u64 size)
{
	/* In up to three pieces, as a guest's pages are. */
	u64 first = size / 3, second = size / 2;
	const struct iovec iov[3] = {
		{ m->expected + offset, first },
		{ m->expected + offset + first, second - first },
		{ m->expected + offset + second, size - second },
	};

	for (u64 i = 0; i < size; i += 8) {
		u64 v = model_random(m, UINT64_MAX);

		memcpy(m->expected + offset + i, &v, sizeof v);
	}
	CHECK_ERR(image_write(m->image, iov, 3, place(m, offset)), 0);
	return true;
}

/* Inside one island, where there are any. */
static void random_range(struct model *m, u64 *ret_offset, u64 *ret_size)
{
	u32 sector = m->image->logical_block;
	u64 room = m->kind->island ? m->kind->island : m->size;
	u64 sectors = room / sector;
	u64 max = model_random(m, 4) ? 16 : model_random(m, 4) ? 300 : 3000;
	u64 n = 1 + model_random(m, min_u64(max, sectors));

	*ret_offset = model_random(m, sectors - n + 1) * sector;
	if (m->kind->island)
		*ret_offset += model_random(m, m->size / room) * room;
	*ret_size = n * sector;
}

int model_read(const struct model *m, struct image *im, void *data, u64 size, u64 offset)
{
	u64 room = m->kind->island ? m->kind->island : m->size;
	int r = 0;

	for (u64 done = 0; done < size && r == 0;) {
		u64 n = min_u64(size - done, room - (offset + done) % room);
		struct iovec iov = { .iov_base = (u8 *)data + done, .iov_len = n };

		r = image_read(im, &iov, 1, place(m, offset + done));
		done += n;
	}
	return r;
}

/* After a trim, bytes are as before or zeros, sector by sector. */
static bool trim(struct model *m, u64 offset, u64 size)
{
	AUTO_FREE u8 *now = malloc(size);
	u32 sector = m->image->logical_block;
	static const u8 zeros[4096];
	u64 disk_size = size;

	/* Of an island's block, nothing else is used: let the whole of it go at times. */
	if (m->kind->island && size == m->kind->island)
		disk_size = min_u64(m->image->block_size, m->kind->stride);
	CHECK_ERR(image_trim(m->image, place(m, offset), disk_size), 0);
	CHECK_ERR(model_read(m, m->image, now, size, offset), 0);
	for (u64 i = 0; i < size; i += sector)
		CHECK(memcmp(now + i, zeros, sector) == 0 ||
		      memcmp(now + i, m->expected + offset + i, sector) == 0);
	memcpy(m->expected + offset, now, size);
	return true;
}

static bool zero(struct model *m, u64 offset, u64 size)
{
	memset(m->expected + offset, 0, size);
	CHECK_ERR(image_zero(m->image, place(m, offset), size), 0);
	return true;
}

bool model_step(struct model *m)
{
	u64 offset, size, what = model_random(m, 10);

	random_range(m, &offset, &size);
	if (m->kind->island && what == 1 && model_random(m, 2)) {
		offset -= offset % m->kind->island;
		size = m->kind->island;
	}
	model_step_offset = offset;
	model_step_size = what == 2 ? 0 : size;
	switch (what) {
	case 0:
		return zero(m, offset, size);
	case 1:
		return trim(m, offset, size);
	case 2:
		CHECK_ERR(image_flush(m->image), 0);
		return true;
	default:
		return model_write(m, offset, size);
	}
}

bool model_grow(struct model *m)
{
	const struct model_kind *k = m->kind;
	u64 size = k->grow_to ? k->grow_to : (m->disk_size + m->disk_size / 2) & ~4095ull;
	u64 islands = k->island ? m->size / k->island + 10 : 0;
	struct err err = { 0 };
	int r = image_resize(m->image, size, &err);

	if (r < 0) {
		harness_fail(__FILE__, __LINE__, "resize: %s", err.text);
		return false;
	}
	m->disk_size = size;
	m->size = islands ? islands * k->island : size;
	return true;
}

bool model_compare(struct model *m)
{
	AUTO_FREE u8 *now = malloc(m->size);

	CHECK_EQ(m->image->size, m->disk_size);
	memset(now, 0xee, m->size);
	CHECK_ERR(model_read(m, m->image, now, m->size, 0), 0);
	CHECK_MEM(now, m->expected, m->size);
	return true;
}
