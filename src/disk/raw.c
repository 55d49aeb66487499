/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks whose bytes are the file's: raw files, block devices passed through, NBD exports, ISO images (2048-byte
 * sectors, read only). The simplest image_ops; see image.h. Any thread.
 */
#include <errno.h>

#include "disk/image.h"

#define ISO_SECTOR 2048u

static int raw_map(struct image *im, u64 offset, u64 max, struct extent *ret_extent)
{
	*ret_extent =
		(struct extent){ .kind = EXTENT_HERE, .offset = offset, .size = max };
	return 0;
}

static int raw_zero(struct image *im, u64 offset, u64 size, bool exact, u64 *ret_done)
{
	int r = im->storage->ops->punch(im->storage, offset, size);

	*ret_done = size;
	return r;
}

static int raw_commit(struct image *im)
{
	return storage_flush(im->storage);
}

/* size 0: somebody else made the file or device larger. */
static int raw_resize(struct image *im, u64 size, struct err *err)
{
	int r = size == 0 && im->storage->ops->look ? im->storage->ops->look(im->storage)
						    : 0;

	if (r < 0)
		return err_set(err, r, "its size cannot be read: %s", err_words(r));
	if (size == 0)
		size = im->storage->size - im->storage->size % im->logical_block;
	if (size < im->size)
		return err_set(err, -EINVAL, "a disk can only grow, and has %llu bytes",
			       (unsigned long long)im->size);
	if (size % im->logical_block)
		return err_set(err, -EINVAL, "%llu is no multiple of the sector size %u",
			       (unsigned long long)size, im->logical_block);
	if (!im->storage->fixed_size && size > im->storage->size) {
		r = im->storage->ops->set_size(im->storage, size);
		if (r == 0)
			r = storage_flush(im->storage);
		if (r < 0)
			return err_set(err, r, "the file cannot grow: %s", err_words(r));
	} else if (size > im->storage->size) {
		return err_set(err, -EINVAL, "the device has %llu bytes only",
			       (unsigned long long)im->storage->size);
	}
	im->size = size;
	return 0;
}

static void raw_free(struct image *im)
{
	image_done(im);
	free(im);
}

static const struct image_ops raw_ops = {
	.format = DISK_RAW,
	.map = raw_map,
	.begin_write = raw_map,
	.zero = raw_zero,
	.commit = raw_commit,
	.resize = raw_resize,
	.free = raw_free,
	.straight = true,
};

static const struct image_ops iso_ops = {
	.format = DISK_ISO,
	.map = raw_map,
	.free = raw_free,
	.straight = true,
};

int raw_open(enum disk_format format, struct storage *storage, bool read_only,
	     struct image **ret_image, struct err *err)
{
	bool iso = format == DISK_ISO;
	u32 sector = iso ? ISO_SECTOR : storage->block;
	struct image *im;

	if (storage->size == 0)
		return err_set(err, -EUCLEAN, "it is empty");
	if (storage->size % sector) {
		err_set(err, -EUCLEAN,
			"its %llu bytes are no multiple of the sector size %u",
			(unsigned long long)storage->size, sector);
		return err_fix(err, "make it longer: truncate -s %%%u FILE", sector);
	}
	if (iso && !read_only)
		return err_set(err, -EROFS, "an ISO image is for reading only");
	im = calloc(1, sizeof *im);
	if (!im)
		return err_set(err, -ENOMEM, "no memory");
	image_init(im, iso ? &iso_ops : &raw_ops, storage, read_only);
	im->size = storage->size;
	im->logical_block = sector;
	im->physical_block = iso ? ISO_SECTOR : 4096;
	im->fixed = true;
	*ret_image = im;
	return 0;
}
