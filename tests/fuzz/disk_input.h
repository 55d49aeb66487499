/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disk images for fuzz targets: an input is a list of changes to a good image, whose checksums are
 * sealed again so that what lies behind them is reached. Then the image is opened, read, written,
 * grown and closed.
 *
 *	byte 0: FUZZ_... ; then records { u8 area, le16 offset, u8 size, size bytes }
 */
#pragma once

#include <errno.h>
#include <stdio.h>

#include "disk/create.h"
#include "disk/image.h"

#define FUZZ_SEAL 1u
#define FUZZ_READ_ONLY 2u
#define FUZZ_OTHER 4u /* differencing */
#define FUZZ_LOG 8u   /* VHDX: with a log that holds an entry */

#define FUZZ_ROOM (24u << 20) /* as large as a file here can get with bytes in it */
#define FUZZ_PAGE 4096u

/* A file in memory; only pages that were touched are made as before for the next input. */
struct fuzz_file {
	struct storage storage;
	u8 *now, *base;
	u64 base_size;
	u8 touched[FUZZ_ROOM / FUZZ_PAGE];
};

static inline struct fuzz_file *fuzz_file_of(struct storage *s)
{
	return CONTAINER_OF(s, struct fuzz_file, storage);
}

static inline void fuzz_touch(struct fuzz_file *f, u64 offset, u64 size)
{
	for (u64 p = offset / FUZZ_PAGE; p <= (offset + size - 1) / FUZZ_PAGE; p++)
		f->touched[p] = 1;
}

static inline int fuzz_read(struct storage *s, const struct iovec *iov, unsigned count,
			    u64 offset)
{
	struct fuzz_file *f = fuzz_file_of(s);

	for (unsigned i = 0; i < count; i++) {
		u64 size = iov[i].iov_len;
		u64 have = offset < FUZZ_ROOM ? min_u64(size, FUZZ_ROOM - offset) : 0;

		if (offset > s->size || size > s->size - offset)
			return -EIO;
		memcpy(iov[i].iov_base, f->now + (have ? offset : 0), have);
		memset((u8 *)iov[i].iov_base + have, 0, size - have);
		offset += size;
	}
	return 0;
}

static inline int fuzz_write(struct storage *s, const struct iovec *iov, unsigned count,
			     u64 offset)
{
	struct fuzz_file *f = fuzz_file_of(s);

	for (unsigned i = 0; i < count; i++) {
		u64 size = iov[i].iov_len;

		if (offset >= FUZZ_ROOM || size > FUZZ_ROOM - offset)
			return -ENOSPC;
		if (size == 0)
			continue;
		memcpy(f->now + offset, iov[i].iov_base, size);
		fuzz_touch(f, offset, size);
		offset += size;
		s->size = max_u64(s->size, offset);
	}
	return 0;
}

static inline int fuzz_flush(struct storage *s)
{
	return 0;
}

static inline int fuzz_punch(struct storage *s, u64 offset, u64 size)
{
	struct fuzz_file *f = fuzz_file_of(s);

	if (offset < FUZZ_ROOM && size > 0) {
		size = min_u64(size, FUZZ_ROOM - offset);
		memset(f->now + offset, 0, size);
		fuzz_touch(f, offset, size);
	}
	return 0;
}

static inline int fuzz_set_size(struct storage *s, u64 size)
{
	if (size < s->size)
		fuzz_punch(s, size, s->size - size);
	s->size = size;
	return 0;
}

static inline void fuzz_close(struct storage *s) {}

static const struct storage_ops fuzz_ops = {
	.name = "fuzz",
	.read = fuzz_read,
	.write = fuzz_write,
	.flush = fuzz_flush,
	.set_size = fuzz_set_size,
	.punch = fuzz_punch,
	.close = fuzz_close,
};

static inline void fuzz_file_new(struct fuzz_file *f)
{
	f->now = calloc(1, FUZZ_ROOM);
	f->base = calloc(1, FUZZ_ROOM);
	if (!f->now || !f->base)
		abort();
	f->storage = (struct storage){ .ops = &fuzz_ops, .block = 512, .fd = -1 };
}

/* What is there now is what every input begins with. */
static inline void fuzz_file_keep(struct fuzz_file *f)
{
	memcpy(f->base, f->now, FUZZ_ROOM);
	f->base_size = f->storage.size;
	memset(f->touched, 0, sizeof f->touched);
}

static inline void fuzz_file_reset(struct fuzz_file *f)
{
	for (u64 p = 0; p < FUZZ_ROOM / FUZZ_PAGE; p++) {
		if (!f->touched[p])
			continue;
		memcpy(f->now + p * FUZZ_PAGE, f->base + p * FUZZ_PAGE, FUZZ_PAGE);
		f->touched[p] = 0;
	}
	f->storage.size = f->base_size;
}

/* A good image with some data in it; parent NULL or the file of one that was made. */
static inline void fuzz_file_make(struct fuzz_file *f, enum disk_format format,
				  struct fuzz_file *parent, u64 size, u32 block)
{
	struct image_create create = {
		.format = format,
		.type = parent ? IMAGE_DIFFERENCING : IMAGE_DYNAMIC,
		.size = size,
		.block_size = block,
		.parent_relative = "./parent",
	};
	struct iovec iov = { .iov_base = f, .iov_len = 4096 };
	struct image *im;
	struct err err;

	fuzz_file_new(f);
	if (parent &&
	    image_open(format, &parent->storage, true, &create.parent, &err) < 0)
		abort();
	if (image_create(&f->storage, &create, &err) < 0 ||
	    image_open(format, &f->storage, false, &im, &err) < 0 ||
	    image_write(im, &iov, 1, 8192) < 0 || image_close(im) < 0)
		abort();
	if (create.parent)
		image_abandon(create.parent);
	fuzz_file_keep(f);
}

/* The changes; area_start tells where an area begins, or UINT64_MAX: its number is a new size. */
static inline void fuzz_change(struct fuzz_file *f, const u8 *data, size_t size,
			       const u64 *area_start, unsigned areas)
{
	while (size >= 4) {
		unsigned area = data[0] % areas;
		u64 offset = (u64)data[1] | (u64)data[2] << 8;
		size_t n = min_u64(data[3] % 64, size - 4);
		struct iovec iov = { .iov_base = (void *)(uintptr_t)(data + 4),
				     .iov_len = n };
		u64 v = 0;

		memcpy(&v, data + 4, n < 8 ? n : 8);
		if (area_start[area] == UINT64_MAX)
			fuzz_set_size(&f->storage, v % (3ull << 47));
		else
			(void)fuzz_write(&f->storage, &iov, 1, area_start[area] + offset);
		data += 4 + n;
		size -= 4 + n;
	}
}

/* All that a guest or a tool can do with it. What it answers does not matter. */
static inline void fuzz_use(struct fuzz_file *f, enum disk_format format, bool read_only)
{
	static u8 data[1 << 16];
	struct iovec iov = { .iov_base = data, .iov_len = sizeof data };
	struct disk_parent parent;
	struct extent extent;
	struct image *im;
	struct err err;
	int r;

	if (image_open(format, &f->storage, read_only, &im, &err) < 0)
		return;
	if (im->differencing)
		(void)!im->ops->read_parent(im, &parent, &err);
	for (u64 o = 0, n = 0; o < im->size && n < 64; n++) {
		u64 end = im->size - im->size % sizeof data;

		(void)!image_extent(im, o, im->size - o, &extent);
		r = image_read(im, &iov, 1, o < end ? o : 0);
		if (r == 0 && n % 3 == 0)
			r = image_write(im, &iov, 1, o < end ? o : 0);
		if (n % 5 == 0)
			(void)!image_zero(im, o, min_u64(im->size - o, 3 << 20));
		if (n % 7 == 0)
			(void)!image_flush(im);
		o += im->size / 50 - im->size / 50 % im->logical_block +
		     im->logical_block;
	}
	(void)!image_trim(im, 0, min_u64(im->size, 8 << 20));
	(void)!image_resize(im, im->size + (1 << 20), &err);
	(void)!image_close(im);
}
