/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One image of a chain, blocking: what the threads of disk.c, the tools and the tests call. A
 * format (raw.c, vhd.c, vhdx.c) answers where bytes lie; reading through the chain, locks and
 * group commits of flushes are here.
 *
 * Two locks. The gate is shared by reads and writes while their data moves, and exclusive for
 * what takes blocks away or moves tables (free, resize). The lock guards a format's tables and is
 * never held while data moves. Order: commit_lock, gate, lock.
 *
 * The life of a write, and why no power cut hurts:
 *	1. begin_write: a block gets its place; its entry changes in memory only
 *	2. the data goes there, no lock held
 *	3. end_write: bits of sectors that have come true, in memory only
 *	4. flush: what changed in memory is copied; then the file's data is made durable; then the
 *	   copies are written (VHDX: through its log); then they are made durable
 * So no entry on the disk ever points to what is not there, and a write that nobody flushed costs
 * no wait.
 */
#pragma once

#include <pthread.h>

#include "base/err.h"
#include "base/types.h"
#include "disk/disk.h"
#include "disk/storage.h"

struct image;

enum extent_kind {
	EXTENT_HERE,   /* at offset of this image's storage */
	EXTENT_ZERO,   /* reads as zeros */
	EXTENT_PARENT, /* the parent's bytes at the same place; none: zeros */
};
struct extent {
	enum extent_kind kind;
	u64 offset;
	u64 size; /* at least 1 */
};

/* What a check found. */
struct image_findings {
	unsigned errors, warnings; /* errors: bytes may be lost */
	void (*say)(void *owner, bool error, const char *text);
	void *owner;
};

struct image_ops {
	enum disk_format format;
	/* offset < size; the extent is cut to max. Lock held. */
	int (*map)(struct image *im, u64 offset, u64 max, struct extent *ret_extent);
	/*
	 * Give [offset, ...) a place: always EXTENT_HERE. -EAGAIN: too much has changed, commit
	 * first. Lock held, gate shared.
	 */
	int (*begin_write)(struct image *im, u64 offset, u64 max,
			   struct extent *ret_extent);
	/* done: the data is there; else it could not be written. Lock held. NULL: nothing to note. */
	int (*end_write)(struct image *im, u64 offset, u64 size, bool done);
	/*
	 * Zeros, space given back where possible. *ret_done: bytes that it saw to, from offset.
	 * exact: all must read as zeros; else blocks that are awkward stay as they are.
	 * -EOPNOTSUPP: write zeros. -EAGAIN: commit first. Gate exclusive, lock held.
	 */
	int (*zero)(struct image *im, u64 offset, u64 size, bool exact, u64 *ret_done);
	/* Steps of 4 above, by the thread that holds commit_lock. */
	int (*commit)(struct image *im);
	/* Grow; size 0: look how large the storage is now (raw). Commit lock, gate exclusive and lock held. */
	int (*resize)(struct image *im, u64 size, struct err *err);
	/* Children that were made until now are refused from now on. NULL: they cannot be. */
	int (*new_identity)(struct image *im);
	/* Everything is committed. Writes "closed" into the file where the format has that. */
	int (*finish)(struct image *im);
	/* Look through the tables beyond what opening did. NULL: nothing to look at. */
	void (*check)(struct image *im, struct image_findings *findings);
	/* Write again what a check warns of, as far as closing does not. NULL: nothing to do. */
	int (*repair)(struct image *im);
	/* differencing: what it says about its parent. */
	int (*read_parent)(struct image *im, struct disk_parent *ret_parent,
			   struct err *err);
	void (*free)(struct image *im);
	bool straight; /* its bytes are the storage's, each at its own place */
};

struct image {
	const struct image_ops *ops;
	struct storage *storage;
	struct image *parent; /* owned */
	u64 size;
	u32 logical_block, physical_block;
	u64 block_size; /* of the format's blocks; 0: none */
	bool read_only;
	bool differencing, fixed;
	bool keep_identity; /* what is written now does not change what a child reads */
	u8 disk_id[16];	    /* virtual disk id (VHDX) */
	u8 link_id[16];	    /* what a child remembers of this image */
	u8 parent_id[16];   /* link_id of the parent */

	pthread_rwlock_t gate;
	pthread_mutex_t lock;
	pthread_mutex_t commit_lock;
	u64 flush_wanted, flush_done; /* lock */
	bool failed;		      /* lock: a flush has failed, for good */
	unsigned tables_dirty;	      /* lock: changed tables since the last commit */
};

/* ---- opening --------------------------------------------------------------------------------- */

/* storage becomes the image's, also on failure. No parent yet. */
int image_open(enum disk_format format, struct storage *storage, bool read_only,
	       struct image **ret_image, struct err *err) MUST_CHECK;
/*
 * The parent, checked: identity, size, sectors. It becomes the child's, also on failure. An
 * image that needs one reads nothing before it has it.
 */
int image_set_parent(struct image *im, struct image *parent, struct err *err) MUST_CHECK;
/* Commits, says "closed" in the file, closes the chain. Negative: that failed; closed anyway. */
int image_close(struct image *im);
/* Closes without writing anything: what a killed process leaves. */
void image_abandon(struct image *im);

/* ---- data ------------------------------------------------------------------------------------ */

int image_read(struct image *im, const struct iovec *iov, unsigned count, u64 offset)
	MUST_CHECK;
int image_write(struct image *im, const struct iovec *iov, unsigned count, u64 offset)
	MUST_CHECK;
/*
 * The same from a storage, without its bytes in our memory. -EOPNOTSUPP: read them and write them; a
 * part may have been done.
 */
int image_write_from(struct image *im, struct storage *from, u64 from_offset, u64 size,
		     u64 offset) MUST_CHECK;
/*
 * Reading and writing where nothing has to be waited for, not even a lock: all that is read is in the host's
 * cache; what is written overwrites what has its place in this image, and the host takes it into
 * its cache. Else -EAGAIN: do it in the ordinary way. A part may have been done.
 */
int image_read_now(struct image *im, const struct iovec *iov, unsigned count, u64 offset)
	MUST_CHECK;
int image_write_now(struct image *im, const struct iovec *iov, unsigned count, u64 offset)
	MUST_CHECK;
/*
 * Where all of [offset, offset + size) lies in one place of one file of the chain: that place, for
 * who reads from there himself and then calls image_end_read. Nothing is taken away or moved
 * meanwhile. -EAGAIN: read it in the ordinary way. The same thread ends that began.
 */
int image_begin_read(struct image *im, u64 offset, u64 size, int *ret_fd, u64 *ret_offset)
	MUST_CHECK;
void image_end_read(struct image *im);
/*
 * 0: a request may go to the storage itself, past this image, see storage_ops.start. Negative: do it
 * in the ordinary way, which may be to say what is wrong with it. Never waits.
 */
int image_goes_straight(struct image *im, enum disk_op op, u64 offset, u64 size)
	MUST_CHECK;
/* A flush that went past it has failed. */
void image_has_failed(struct image *im);
int image_zero(struct image *im, u64 offset, u64 size) MUST_CHECK;
int image_trim(struct image *im, u64 offset, u64 size) MUST_CHECK;
int image_flush(struct image *im) MUST_CHECK;
int image_resize(struct image *im, u64 size, struct err *err) MUST_CHECK;
/*
 * What [offset, ...) is made of in the whole chain: HERE or PARENT means data (no offset), ZERO
 * that it is known to read as zeros. For copying.
 */
int image_extent(struct image *im, u64 offset, u64 max, struct extent *ret_extent)
	MUST_CHECK;

/* ---- for formats ----------------------------------------------------------------------------- */

void image_init(struct image *im, const struct image_ops *ops, struct storage *storage,
		bool read_only);
void image_done(struct image *im); /* locks and storage */

/* Formats: storage stays the caller's on failure. */
int raw_open(enum disk_format format, struct storage *storage, bool read_only,
	     struct image **ret_image, struct err *err) MUST_CHECK;
