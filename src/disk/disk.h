/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual disk: an image file or block device, with the chain of its parents below it. Knows no
 * VM: storvsp, the IDE disk and the tools sit on it, each with its own idea of a command.
 *
 *	1. disk_pool_new	threads that do the I/O; one pool for all disks of a process
 *	2. disk_open		from descriptors: no path is ever opened here
 *	3. disk_submit		reads, writes, flushes...; done() is called on the loop's thread
 *	4. disk_close		when nothing is in flight
 *	5. disk_pool_free
 *
 * Rules:
 * - All of it on the loop's thread, but for what says otherwise.
 * - Offsets and sizes of reads, writes, zeros are multiples of disk_info.logical_block and lie
 *   inside the disk; else the request ends with -EINVAL. Requests in flight have no order
 *   among each other; that two writes to one place are in flight at once is the guest's own doing.
 * - A flush makes durable what was done() before it was submitted. A write with DISK_FUA is
 *   durable when it is done().
 * - After an error of the host's storage on a flush, the disk only gives -EIO: what the host's
 *   cache has lost cannot be written again, and to go on would look like success.
 * - done() gets 0 or a negative errno: -EINVAL (see above), -EROFS, -ENOSPC (the host's disk is
 *   full; the request may be submitted again), -EIO, -EOPNOTSUPP. It is never called from inside
 *   disk_submit. It may submit again, also the same request.
 */
#pragma once

#include <sys/uio.h>

#include "base/disk_format.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/queue.h"
#include "base/types.h"
#include "disk/storage.h"

struct disk;
struct disk_pool;

/* How many images one chain may have. */
#define DISK_MAX_DEPTH 64

/* One image of a chain. */
struct disk_level {
	int fd;		  /* regular file or block device; see disk_open */
	const char *name; /* for messages; need not outlive the call */
	enum disk_format format;
	u32 device_block; /* block device: its logical block size (BLKSSZGET); else 0 */
	/* fd is a socket to an NBD server: the export's name, "" its own choice. NULL: it is not. */
	const char *nbd_export;
};

struct disk_open {
	const struct disk_level *level; /* [0] is the leaf, then its parent, ... the root */
	unsigned level_count;
	bool read_only; /* leaf; parents always are */
};

struct disk_info {
	u64 size; /* bytes, a multiple of logical_block */
	u32 logical_block, physical_block;
	enum disk_format format; /* of the leaf */
	unsigned depth;		 /* images in the chain */
	bool read_only;
	bool thin; /* DISK_TRIM gives space back */
	u8 id[16]; /* of the disk, the same in all images of a chain; 0 when it has none */
	u64 trim_granularity; /* bytes: what is worth a DISK_TRIM */
};

/* ---- the threads ----------------------------------------------------------------------------- */

struct disk_pool_config {
	unsigned threads; /* 0: what is usual */
	/*
	 * Called on each new thread before its first work: the place for its system call filter
	 * (JAIL_THREAD_DISK). NULL: nothing to do.
	 */
	int (*enter)(void *owner);
	/*
	 * The same for the thread that speaks with NBD servers (JAIL_THREAD_DISK_NBD), which there is
	 * where nbd_library_load went well before. NULL: no such disks.
	 */
	int (*enter_nbd)(void *owner);
	void *owner;
	unsigned nbd_patience; /* ms, see nbd.h; 0: what is usual */
	/* Read by io_uring where the host has it; the loop's thread needs io_uring_enter. */
	bool ring;
};
/* Makes threads: after the process's rights are gone, before the loop's thread filters itself. */
int disk_pool_new(struct loop *loop, const struct disk_pool_config *config,
		  struct disk_pool **ret_pool, struct err *err) MUST_CHECK;
void disk_pool_free(struct disk_pool *pool); /* after all its disks are closed */

/*
 * Run fn on count of the threads at once and wait until all have returned: long work of tools.
 */
void disk_pool_run(struct disk_pool *pool, void (*fn)(void *owner), void *owner,
		   unsigned count);

/* ---- a disk ---------------------------------------------------------------------------------- */

/*
 * Waits for the pool, whose threads do all of it: the caller's own needs no right to files. Reads
 * the images' tables and, where an image was not closed cleanly, replays its log (read_only: in
 * memory). -ENOENT when a differencing chain lacks its next level; -EUCLEAN when an image is
 * malformed; err says which level and what is wrong. The descriptors are the disk's from here on,
 * whatever is returned.
 */
int disk_open(struct disk_pool *pool, const struct disk_open *open,
	      struct disk **ret_disk, struct err *err) MUST_CHECK;
/* Nothing may be in flight. Waits until what is cached is written; negative: that failed. */
int disk_close(struct disk *disk);

/*
 * The same without waiting, while other disks work: done() is called on the loop's thread, never
 * from inside. *open and what it points to stay until then. Negative: no memory, and no done().
 */
typedef void (*disk_opened_fn)(void *owner, int r, struct disk *disk,
			       const struct err *err);
int disk_open_start(struct disk_pool *pool, const struct disk_open *open,
		    disk_opened_fn done, void *owner, struct err *err) MUST_CHECK;
void disk_close_start(struct disk *disk, void (*done)(void *owner, int r), void *owner);

const struct disk_info *disk_info(const struct disk *disk);

enum disk_op {
	DISK_READ,
	DISK_WRITE,
	DISK_FLUSH,
	DISK_ZERO, /* [offset, offset + size) reads as zeros afterwards */
	DISK_TRIM, /* nobody needs these bytes: they read as before or as zeros; any alignment */
	DISK_RESIZE, /* size = the new size; 0: look how large the file or device is now */
};
enum { DISK_FUA = 1u, /* write, zero: durable when done */ };

struct disk_request {
	/* The caller's; unchanged until done(). */
	enum disk_op op;
	u32 flags;
	u64 offset, size;
	const struct iovec *iov; /* read, write: together exactly size bytes */
	unsigned iov_count;
	void (*done)(struct disk_request *request, int r);
	void *owner;
	struct err *err; /* resize: why it failed; NULL: nobody asks */

	/* The disk's. */
	struct disk *disk;
	struct storage_request straight;
	int (*perform)(struct disk_request *request);
	struct queue_link link;
	int result;
};
void disk_submit(struct disk *disk, struct disk_request *request);
/*
 * A read or write whose bytes are in the host's cache needs no other thread, and each change of
 * threads costs more than 4 KiB of copying. True: it was done here, well, and done() is not
 * called. False: disk_submit it. The caller's thread needs preadv2 and pwritev.
 */
bool disk_do_now(struct disk *disk, struct disk_request *request) MUST_CHECK;
unsigned disk_in_flight(const struct disk *disk);

struct disk_counters {
	u64 reads, writes, flushes, trims, errors;
	u64 read_bytes, written_bytes;
	u64 at_once;   /* reads and writes without another thread */
	u64 by_ring;   /* reads by io_uring */
	u64 by_server; /* what went to an NBD server without a thread that waits for it */
};
void disk_count(const struct disk *disk, struct disk_counters *ret_counters);

/*
 * Any thread but the loop's: the storage that a level is, its descriptor the storage's, whatever is
 * returned.
 */
int disk_open_storage(struct disk_pool *pool, const struct disk_level *level,
		      bool read_only, struct storage **ret_storage, struct err *err)
	MUST_CHECK;

/* ---- chains ---------------------------------------------------------------------------------- */

#define DISK_NAME_SIZE 1024

/* What a differencing image says about its parent. Hostile text: the opener checks it. */
struct disk_parent {
	bool needed;		       /* false: this image has no parent */
	u8 id[16];		       /* that the parent must have; disk_open checks */
	char relative[DISK_NAME_SIZE]; /* UTF-8, '/' between names; "" when not told */
	char absolute[DISK_NAME_SIZE];
};
