/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the bytes of an image lie: a descriptor (storage_file.c), a log that was replayed over
 * another storage in memory (storage_overlay.c), an NBD server (nbd.c), and in tests a memory that can lose power.
 *
 * Blocking but for start; any thread; concurrent calls on disjoint ranges are fine. Each call does all of its
 * bytes or fails. Reading past the end is -EIO: a file that was cut under us must not look like
 * zeros. Writing past the end makes the file larger, with zeros between.
 */
#pragma once

#include <sys/uio.h>

#include "base/queue.h"
#include "base/types.h"

struct storage;

/* What a storage can begin without making its caller wait. */
enum storage_op {
	STORAGE_READ,
	STORAGE_WRITE,
	STORAGE_FLUSH,
	STORAGE_ZERO,
	STORAGE_TRIM
};

/* Pieces of memory read one after the other: where a request is in its buffers. */
struct iov_cursor {
	const struct iovec *iov;
	unsigned count, index;
	size_t skip;
};

struct storage_request {
	/* The caller's; unchanged until ended(). */
	enum storage_op op;
	bool durable; /* write, zero: when it has ended */
	u64 offset, size;
	const struct iovec *iov; /* read, write: together exactly size bytes */
	unsigned iov_count;
	/* On a thread of the storage's, which must not be made to wait. 0 or an errno as of a disk. */
	void (*ended)(struct storage_request *request, int r);

	/* The storage's. */
	struct storage *storage;
	struct queue_link link;
	struct iov_cursor cursor;
	u64 done, piece;
	u8 *bounce;
	bool bounced, flushing; /* the piece under way */
	int result;
};

struct storage_ops {
	const char *name;
	int (*read)(struct storage *s, const struct iovec *iov, unsigned count,
		    u64 offset);
	int (*write)(struct storage *s, const struct iovec *iov, unsigned count,
		     u64 offset);
	/* What was written and returned before is durable, the size too. */
	int (*flush)(struct storage *s);
	int (*set_size)(struct storage *s, u64 size);
	/* Look how large it is now: others may have made it larger. NULL: they cannot. */
	int (*look)(struct storage *s);
	/* Zeros from now on, the space given back. -EOPNOTSUPP: write zeros instead. */
	int (*punch)(struct storage *s, u64 offset, u64 size);
	/*
	 * The next data at or after offset, *ret_start, and where it ends; -ENXIO: only holes up to
	 * the end. Not set: all is data.
	 */
	int (*next_data)(struct storage *s, u64 offset, u64 *ret_start, u64 *ret_end);
	/*
	 * Copy from another storage without taking the bytes into our memory; all of them or fails.
	 * -EOPNOTSUPP: not from that one, read and write; some may have been copied. NULL: never.
	 */
	int (*copy)(struct storage *s, u64 offset, struct storage *from, u64 from_offset,
		    u64 size);
	/*
	 * Begin, and return at once; ended() may come before that. Negative: not begun, and no ended().
	 * NULL: there are the calls that wait alone.
	 */
	int (*start)(struct storage *s, struct storage_request *request);
	void (*close)(struct storage *s);
};

struct storage {
	const struct storage_ops *ops;
	u64 size;	 /* bytes; kept up to date by the implementation */
	bool fixed_size; /* a block device: set_size is refused */
	bool read_only;
	u32 block; /* smallest unit that the device writes at once: 512 or 4096 */
	int fd;	   /* -1 when there is none */
};

/*
 * fd stays the caller's until storage_own_fd: then storage_close closes it. device_block: see
 * struct disk_level.
 */
int storage_open_file(int fd, bool read_only, u32 device_block,
		      struct storage **ret_storage) MUST_CHECK;
void storage_own_fd(struct storage *s);
void storage_close(struct storage *s); /* NULL is fine */

/*
 * While on, reads by this thread fail with -EAGAIN rather than wait: what they are for must be in
 * the host's cache. Memory never waits.
 */
void storage_read_at_once(bool on);

/* One buffer. */
int storage_read(struct storage *s, void *data, u64 size, u64 offset) MUST_CHECK;
int storage_write(struct storage *s, const void *data, u64 size, u64 offset) MUST_CHECK;
int storage_flush(struct storage *s) MUST_CHECK;
/* Zeros by whatever way there is. */
int storage_zero(struct storage *s, u64 offset, u64 size) MUST_CHECK;

/* So many go to the host in one call: a guest's largest transfer, 1 MiB, page by page. */
#define IOV_PIECES 257
/* Take at most max pieces and size bytes from a cursor; returns the bytes taken. */
u64 iov_take(struct iov_cursor *cursor, u64 size, struct iovec *ret_piece, unsigned max,
	     unsigned *ret_count);
void iov_fill_zero(struct iov_cursor *cursor, u64 size);
/* The next size bytes of the pieces, from or into one buffer. */
void iov_copy_from(struct iov_cursor *cursor, void *to, u64 size);
void iov_copy_to(struct iov_cursor *cursor, const void *from, u64 size);
u64 iov_size(const struct iovec *iov, unsigned count);
