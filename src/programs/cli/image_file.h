/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening images for a process that may not: path, lock, parent. What is inside an image is looked
 * at by others; of a parent only the names come here, which are hostile text.
 *
 * An image is locked for as long as its open description lives, in whatever process: writable
 * against everybody, read-only against writers. So the caller closes its descriptor once it is
 * passed on.
 */
#pragma once

#include "base/disk_format.h"
#include "base/err.h"
#include "base/types.h"

struct image_file {
	int fd;
	u32 device_block; /* a block device's logical block size, else 0 */
	enum disk_format format;
	bool nbd; /* fd is a socket to an NBD server, which gives this export */
	char nbd_export[DISK_EXPORT_SIZE];
};

/*
 * -ENOENT; -EBUSY when somebody else has it. An address of an NBD server is connected to; locking is
 * the server's.
 */
int image_file_open(const char *path, bool writable, struct image_file *ret_file,
		    struct err *err) MUST_CHECK;

/* Folders besides the child's own in which parents are looked for. */
#define IMAGE_FOLDERS 16
struct image_folders {
	const char *folder[IMAGE_FOLDERS];
	unsigned count;
};
/*
 * The parent of child_path, which calls it relative and absolute. Only in the child's folder and
 * the given ones and below them, never through a symbolic link. ret_path (of size bytes) is
 * where it was found.
 */
int image_file_open_parent(const char *child_path, const char *relative,
			   const char *absolute, const struct image_folders *folders,
			   bool writable, char *ret_path, size_t size,
			   struct image_file *ret_file, struct err *err) MUST_CHECK;

/* How a file is called from the folder of another: "./base.vhdx", "../base/os.vhdx". */
int image_file_relative(const char *from_path, const char *to_path, char *ret_relative,
			char *ret_absolute, size_t size, struct err *err) MUST_CHECK;

/*
 * A new file beside which nothing is left when it is not finished: it gets its name at the end.
 * name must not exist.
 */
struct new_file {
	int fd;
	const char *path;
	bool named; /* the file system has no nameless files */
};
int new_file_make(const char *path, struct new_file *ret_file, struct err *err)
	MUST_CHECK;
/* Durable under its name. */
int new_file_finish(struct new_file *file, struct err *err) MUST_CHECK;
/* Closes; an unfinished one is gone. */
void new_file_close(struct new_file *file);
