/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk-fill MIB IMAGE [PARENT...] - write so many MiB from the beginning of a disk, in a differencing
 * image or any other, whose chain is named: what a guest would have done before a merge is measured.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "disk/image.h"

#define MIB (1u << 20)

static struct image *open_level(const char *path, bool read_only, struct err *err)
{
	int fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	struct storage *storage;
	struct image *im;

	if (fd < 0 || storage_open_file(fd, read_only, 0, &storage) < 0) {
		err_set(err, -EIO, "%s cannot be opened", path);
		return NULL;
	}
	storage_own_fd(storage);
	return image_open(disk_format_of_name(path), storage, read_only, &im, err) < 0
		       ? NULL
		       : im;
}

static int fill(struct image *im, u64 count)
{
	static u8 piece[MIB];
	struct iovec iov = { .iov_base = piece, .iov_len = sizeof piece };

	for (u64 n = 0; n < count; n++) {
		int r;

		for (u32 k = 0; k < MIB; k++)
			piece[k] = (u8)(n * 7 + k / 512 + k);
		r = image_write(im, &iov, 1, n * MIB);
		if (r < 0)
			return r;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct image *im = NULL;
	struct err err = { 0 };

	if (argc < 3) {
		fprintf(stderr, "usage: disk-fill MIB IMAGE [PARENT...]\n");
		return 2;
	}
	for (int k = argc - 1; k >= 2; k--) {
		struct image *child = open_level(argv[k], k > 2, &err);

		if (child && im && image_set_parent(child, im, &err) < 0)
			child = NULL;
		im = child;
		if (!im)
			break;
	}
	if (!im || fill(im, strtoull(argv[1], NULL, 10)) < 0 || image_close(im) < 0) {
		fprintf(stderr, "disk-fill: %s\n",
			err.code ? err.text : "it cannot be written");
		return 1;
	}
	return 0;
}
