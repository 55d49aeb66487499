/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_merge on files, whose bytes the kernel copies. The crash harness (disk_crash_states.c) merges on
 * storages in memory that copy, or cease to, or never did.
 */
#include <sys/mman.h>

#include "disk/copy.h"
#include "disk/create.h"
#include "unit/harness.h"

#define MIB (1u << 20)
#define SIZE (16u * MIB)

static u8 expected[SIZE], found[SIZE];

static bool make(int fd, enum disk_format format, struct image *parent, struct err *err)
{
	const struct image_create create = {
		.format = format,
		.type = parent ? IMAGE_DIFFERENCING : IMAGE_DYNAMIC,
		.size = SIZE,
		.parent = parent,
		.parent_relative = "./parent",
	};
	struct storage *s;

	CHECK_ERR(storage_open_file(fd, false, 0, &s), 0);
	CHECK_ERR(image_create(s, &create, err), 0);
	storage_close(s);
	return true;
}

static bool open_it(int fd, enum disk_format format, struct image **ret_image,
		    struct err *err)
{
	struct storage *s;

	CHECK_ERR(storage_open_file(fd, false, 0, &s), 0);
	CHECK_ERR(image_open(format, s, false, ret_image, err), 0);
	return true;
}

static bool put(struct image *im, u8 value, u64 offset, u64 size)
{
	struct iovec iov = { .iov_base = expected + offset, .iov_len = size };

	memset(expected + offset, value, size);
	CHECK_ERR(image_write(im, &iov, 1, offset), 0);
	return true;
}

static bool merged_parent_reads_as_its_child(enum disk_format format)
{
	AUTO_CLOSE int parent_fd = memfd_create("parent", MFD_CLOEXEC);
	AUTO_CLOSE int child_fd = memfd_create("child", MFD_CLOEXEC);
	struct iovec all = { .iov_base = found, .iov_len = SIZE };
	struct image *parent, *child;
	struct err err = { 0 };

	memset(expected, 0, SIZE);
	CHECK_OK(make(parent_fd, format, NULL, &err));
	CHECK_OK(open_it(parent_fd, format, &parent, &err));
	CHECK_OK(put(parent, 0x11, 0, 5 * MIB));
	CHECK_OK(make(child_fd, format, parent, &err));
	CHECK_OK(open_it(child_fd, format, &child, &err));
	CHECK_ERR(image_set_parent(child, parent, &err), 0);
	/* over data, in pieces of a block; where there is none; zeros over data */
	CHECK_OK(put(child, 0x22, MIB - 512, 1024));
	CHECK_OK(put(child, 0x33, 3 * MIB, 3 * MIB));
	CHECK_OK(put(child, 0x44, 12 * MIB + 4096, 512));
	CHECK_OK(put(child, 0x00, 2 * MIB, 65536));
	CHECK_ERR(image_merge(NULL, child, NULL, &err), 0);
	child->parent = NULL;
	image_abandon(child);
	CHECK_ERR(image_close(parent), 0);
	CHECK_OK(open_it(parent_fd, format, &parent, &err));
	CHECK_ERR(image_read(parent, &all, 1, 0), 0);
	CHECK_ERR(image_close(parent), 0);
	CHECK_MEM(found, expected, SIZE);
	return true;
}

TEST(parent_that_a_file_was_merged_into_reads_as_it_did)
{
	ASSERT_OK(merged_parent_reads_as_its_child(DISK_VHD));
	ASSERT_OK(merged_parent_reads_as_its_child(DISK_VHDX));
}
