/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing through a chain of images; see image.h. Any thread. */
#include "disk/image.h"

#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "disk/vhd.h"
#include "disk/vhdx.h"

/* Tables that changed are written at the latest when that many pieces of them did. */
#define MAX_DIRTY_TABLES 2048

/* ---- opening --------------------------------------------------------------------------------- */

void image_init(struct image *im, const struct image_ops *ops, struct storage *storage,
		bool read_only)
{
	im->ops = ops;
	im->storage = storage;
	im->read_only = read_only;
	pthread_rwlock_init(&im->gate, NULL);
	pthread_mutex_init(&im->lock, NULL);
	pthread_mutex_init(&im->commit_lock, NULL);
}

void image_done(struct image *im)
{
	pthread_mutex_destroy(&im->commit_lock);
	pthread_mutex_destroy(&im->lock);
	pthread_rwlock_destroy(&im->gate);
	storage_close(im->storage);
}

int image_open(enum disk_format format, struct storage *storage, bool read_only,
	       struct image **ret_image, struct err *err)
{
	int r = -EINVAL;

	switch (format) {
	case DISK_RAW:
	case DISK_ISO:
		r = raw_open(format, storage, read_only, ret_image, err);
		break;
	case DISK_VHD:
		r = vhd_open(storage, read_only, ret_image, err);
		break;
	case DISK_VHDX:
		r = vhdx_open(&storage, read_only, ret_image, err);
		break;
	case DISK_FORMATS:
		err_set(err, r, "the format is not known");
		break;
	}
	if (r < 0)
		storage_close(storage);
	return r;
}

int image_set_parent(struct image *im, struct image *parent, struct err *err)
{
	int r = 0;

	if (!im->differencing)
		r = err_set(err, -EINVAL, "it has no parent");
	else if (memcmp(im->parent_id, parent->link_id, sizeof im->parent_id) != 0)
		r = err_set(err, -EUCLEAN,
			    "the parent was changed or exchanged after this image was "
			    "made: its identity is another");
	else if (im->logical_block != parent->logical_block)
		r = err_set(err, -EUCLEAN, "the parent has sectors of %u bytes, not %u",
			    parent->logical_block, im->logical_block);
	if (r < 0) {
		image_abandon(parent);
		return r;
	}
	im->parent = parent;
	return 0;
}

void image_abandon(struct image *im)
{
	while (im) {
		struct image *parent = im->parent;

		im->ops->free(im);
		im = parent;
	}
}

int image_close(struct image *im)
{
	int r = 0;

	if (!im->read_only) {
		r = image_flush(im);
		if (r == 0 && im->ops->finish)
			r = im->ops->finish(im);
	}
	image_abandon(im);
	return r;
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool request_fits(const struct image *im, u64 offset, u64 size)
{
	return range_inside(offset, size, im->size) && offset % im->logical_block == 0 &&
	       size % im->logical_block == 0;
}

/* How locks are taken: by who can wait, and by who cannot (the first error wins). */
typedef int (*lock_fn)(pthread_mutex_t *lock);

static int map(struct image *im, u64 offset, u64 max, struct extent *ret_extent,
	       lock_fn lock)
{
	int r;

	if (lock(&im->lock) != 0)
		return -EAGAIN;
	r = im->ops->map(im, offset, max, ret_extent);
	pthread_mutex_unlock(&im->lock);
	return r;
}

/* Move size bytes between the cursor and the storage. */
static int move(struct image *im, struct iov_cursor *cursor, u64 size, u64 offset,
		int (*fn)(struct storage *, const struct iovec *, unsigned, u64))
{
	struct iovec piece[IOV_PIECES];
	unsigned count;
	int r = 0;

	while (size > 0 && r == 0) {
		u64 n = iov_take(cursor, size, piece, IOV_PIECES, &count);

		if (n == 0)
			return -EINVAL;
		r = fn(im->storage, piece, count, offset);
		offset += n;
		size -= n;
	}
	return r;
}

/* The depth of the recursion is that of the chain, at most DISK_MAX_DEPTH. */
static int read_level(struct image *im, struct iov_cursor *cursor, u64 offset, u64 size,
		      lock_fn lock)
{
	while (size > 0) {
		struct extent e;
		int r = 0;

		if (offset >= im->size) { /* a parent that is smaller */
			iov_fill_zero(cursor, size);
			return 0;
		}
		r = map(im, offset, min_u64(size, im->size - offset), &e, lock);
		if (r < 0)
			return r;
		if (e.kind == EXTENT_HERE)
			r = move(im, cursor, e.size, e.offset, im->storage->ops->read);
		else if (e.kind == EXTENT_PARENT && im->parent)
			r = read_level(im->parent, cursor, offset, e.size, lock);
		else
			iov_fill_zero(cursor, e.size);
		if (r < 0)
			return r;
		offset += e.size;
		size -= e.size;
	}
	return 0;
}

int image_read(struct image *im, const struct iovec *iov, unsigned count, u64 offset)
{
	struct iov_cursor cursor = { .iov = iov, .count = count };
	u64 size = iov_size(iov, count);
	int r = -EINVAL;

	pthread_rwlock_rdlock(&im->gate);
	if (request_fits(im, offset, size))
		r = read_level(im, &cursor, offset, size, pthread_mutex_lock);
	pthread_rwlock_unlock(&im->gate);
	return r;
}

int image_read_now(struct image *im, const struct iovec *iov, unsigned count, u64 offset)
{
	struct iov_cursor cursor = { .iov = iov, .count = count };
	u64 size = iov_size(iov, count);
	int r = -EINVAL;

	if (pthread_rwlock_tryrdlock(&im->gate) != 0)
		return -EAGAIN;
	storage_read_at_once(true);
	if (request_fits(im, offset, size))
		r = read_level(im, &cursor, offset, size, pthread_mutex_trylock);
	storage_read_at_once(false);
	pthread_rwlock_unlock(&im->gate);
	return r;
}

/* Gate held. */
static int find_place(struct image *im, u64 offset, u64 size, int *ret_fd,
		      u64 *ret_offset)
{
	struct extent e = { .kind = EXTENT_PARENT };

	for (; im && e.kind == EXTENT_PARENT; im = im->parent) {
		int r = range_inside(offset, size, im->size)
				? map(im, offset, size, &e, pthread_mutex_trylock)
				: -EAGAIN;

		if (r < 0 || e.size < size)
			return -EAGAIN;
		*ret_fd = im->storage->fd;
		*ret_offset = e.offset;
	}
	return e.kind == EXTENT_HERE && *ret_fd >= 0 ? 0 : -EAGAIN;
}

int image_begin_read(struct image *im, u64 offset, u64 size, int *ret_fd, u64 *ret_offset)
{
	int r = -EAGAIN;

	if (pthread_rwlock_tryrdlock(&im->gate) != 0)
		return -EAGAIN;
	storage_read_at_once(true);
	if (request_fits(im, offset, size))
		r = find_place(im, offset, size, ret_fd, ret_offset);
	storage_read_at_once(false);
	if (r < 0)
		pthread_rwlock_unlock(&im->gate);
	return r;
}

void image_end_read(struct image *im)
{
	pthread_rwlock_unlock(&im->gate);
}

int image_goes_straight(struct image *im, enum disk_op op, u64 offset, u64 size)
{
	bool writes = op == DISK_WRITE || op == DISK_ZERO || op == DISK_TRIM, failed;

	if (!im->ops->straight || !im->storage->ops->start || op == DISK_RESIZE)
		return -EAGAIN;
	if (writes && im->read_only)
		return -EROFS;
	if (op == DISK_TRIM ? !range_inside(offset, size, im->size)
			    : op != DISK_FLUSH && !request_fits(im, offset, size))
		return -EINVAL;
	if (pthread_mutex_trylock(&im->lock) != 0)
		return -EAGAIN;
	failed = im->failed;
	pthread_mutex_unlock(&im->lock);
	return failed ? -EIO : 0;
}

void image_has_failed(struct image *im)
{
	pthread_mutex_lock(&im->lock);
	im->failed = true;
	pthread_mutex_unlock(&im->lock);
}

/* Holes of the file are zeros too. */
static void look_for_holes(const struct image *im, struct extent *e)
{
	struct storage *s = im->storage;
	u64 start, end;
	int r;

	if (e->kind != EXTENT_HERE || !s->ops->next_data)
		return;
	r = s->ops->next_data(s, e->offset, &start, &end);
	if (r == -ENXIO || (r == 0 && start >= e->offset + e->size)) {
		e->kind = EXTENT_ZERO;
	} else if (r == 0 && start > e->offset) {
		u64 hole = (start - e->offset) & ~(u64)(im->logical_block - 1);

		if (hole) {
			e->kind = EXTENT_ZERO;
			e->size = hole;
		}
	} else if (r == 0) {
		u64 data = (end - e->offset + im->logical_block - 1) &
			   ~(u64)(im->logical_block - 1);

		e->size = min_u64(e->size, data);
	}
}

int image_extent(struct image *im, u64 offset, u64 max, struct extent *ret_extent)
{
	struct extent e = { .size = max };

	for (; im; im = im->parent) {
		int r;

		if (offset >= im->size) {
			e.kind = EXTENT_ZERO;
			break;
		}
		r = map(im, offset, min_u64(e.size, im->size - offset), &e,
			pthread_mutex_lock);
		if (r < 0)
			return r;
		look_for_holes(im, &e);
		if (e.kind != EXTENT_PARENT)
			break;
		if (!im->parent)
			e.kind = EXTENT_ZERO;
	}
	*ret_extent = e;
	return 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* What is written: memory, or bytes of a storage. */
struct payload {
	struct iov_cursor cursor;
	struct storage *from; /* NULL: memory */
	u64 from_offset;
};

static int move_payload(struct image *im, struct payload *p, const struct extent *e)
{
	struct storage *s = im->storage;
	int r;

	if (!p->from)
		return move(im, &p->cursor, e->size, e->offset, s->ops->write);
	r = s->ops->copy ? s->ops->copy(s, e->offset, p->from, p->from_offset, e->size)
			 : -EOPNOTSUPP;
	p->from_offset += e->size;
	return r;
}

/* After begin_write: data goes to its place, and that is noted. */
static int write_extent(struct image *im, struct payload *payload, u64 offset,
			const struct extent *e)
{
	int r = move_payload(im, payload, e), noted = 0;

	if (im->ops->end_write) {
		pthread_mutex_lock(&im->lock);
		noted = im->ops->end_write(im, offset, e->size, r == 0);
		pthread_mutex_unlock(&im->lock);
	}
	return r < 0 ? r : noted;
}

/* One extent. *ret_done: bytes that are seen to. */
static int write_some(struct image *im, struct payload *payload, u64 offset, u64 size,
		      u64 *ret_done)
{
	struct extent e;
	int r;

	pthread_mutex_lock(&im->lock);
	r = im->failed ? -EIO : im->ops->begin_write(im, offset, size, &e);
	pthread_mutex_unlock(&im->lock);
	if (r < 0)
		return r;
	r = write_extent(im, payload, offset, &e);
	*ret_done = e.size;
	return r;
}

/* Until all is done, or -EAGAIN, or an error; *offset and *size move on. */
static int write_level(struct image *im, struct payload *payload, u64 *offset, u64 *size)
{
	int r = 0;

	while (*size > 0 && r == 0) {
		u64 done = 0;

		r = write_some(im, payload, *offset, *size, &done);
		*offset += done;
		*size -= done;
	}
	return r;
}

/* Many tables changed and nobody flushes: do it for them, so that memory stays bounded. */
static int commit_when_much(struct image *im)
{
	bool much;

	pthread_mutex_lock(&im->lock);
	much = im->tables_dirty >= MAX_DIRTY_TABLES;
	pthread_mutex_unlock(&im->lock);
	return much ? image_flush(im) : 0;
}

static int write_payload(struct image *im, struct payload *payload, u64 size, u64 offset)
{
	int r;

	if (im->read_only)
		return -EROFS;
	do {
		pthread_rwlock_rdlock(&im->gate);
		r = request_fits(im, offset, size)
			    ? write_level(im, payload, &offset, &size)
			    : -EINVAL;
		pthread_rwlock_unlock(&im->gate);
		/* With the gate open, since a resize holds the commit lock and waits for it. */
		if (r == -EAGAIN && image_flush(im) < 0)
			r = -EIO;
	} while (r == -EAGAIN);
	return r == 0 ? commit_when_much(im) : r;
}

int image_write(struct image *im, const struct iovec *iov, unsigned count, u64 offset)
{
	struct payload payload = { .cursor = { .iov = iov, .count = count } };

	return write_payload(im, &payload, iov_size(iov, count), offset);
}

int image_write_from(struct image *im, struct storage *from, u64 from_offset, u64 size,
		     u64 offset)
{
	struct payload payload = { .from = from, .from_offset = from_offset };

	return write_payload(im, &payload, size, offset);
}

/* All of it in one extent that has its place already. */
static int overwrite(struct image *im, struct payload *payload, u64 offset, u64 size)
{
	struct extent e = { 0 };
	int r;

	if (pthread_mutex_trylock(&im->lock) != 0)
		return -EAGAIN;
	r = im->failed				   ? -EIO
	    : im->tables_dirty >= MAX_DIRTY_TABLES ? -EAGAIN
						   : im->ops->map(im, offset, size, &e);
	if (r == 0 && (e.kind != EXTENT_HERE || e.size < size))
		r = -EAGAIN;
	if (r == 0)
		r = im->ops->begin_write(im, offset, size, &e);
	pthread_mutex_unlock(&im->lock);
	if (r == 0)
		r = write_extent(im, payload, offset, &e);
	return r == 0 && e.size < size ? -EAGAIN : r;
}

int image_write_now(struct image *im, const struct iovec *iov, unsigned count, u64 offset)
{
	struct payload payload = { .cursor = { .iov = iov, .count = count } };
	u64 size = iov_size(iov, count);
	int r = -EINVAL;

	if (im->read_only)
		return -EROFS;
	if (pthread_rwlock_tryrdlock(&im->gate) != 0)
		return -EAGAIN;
	storage_read_at_once(true);
	if (request_fits(im, offset, size))
		r = overwrite(im, &payload, offset, size);
	storage_read_at_once(false);
	pthread_rwlock_unlock(&im->gate);
	return r;
}

#define ZERO_PIECE (256u << 10)
static const u8 zeros[ZERO_PIECE];

/* Zeros by writing them. Gate held, in any way. */
static int write_zeros(struct image *im, u64 offset, u64 size, u64 *ret_done)
{
	const struct iovec v = { .iov_base = (void *)(uintptr_t)zeros,
				 .iov_len = min_u64(size, ZERO_PIECE) };
	struct payload payload = { .cursor = { .iov = &v, .count = 1 } };
	u64 left = v.iov_len;
	int r = write_level(im, &payload, &offset, &left);

	*ret_done = v.iov_len - left;
	return r;
}

static int zero_some(struct image *im, u64 offset, u64 size, bool exact, u64 *ret_done)
{
	int r;

	pthread_mutex_lock(&im->lock);
	r = im->failed ? -EIO : im->ops->zero(im, offset, size, exact, ret_done);
	pthread_mutex_unlock(&im->lock);
	if (r != -EOPNOTSUPP)
		return r;
	if (exact)
		return write_zeros(im, offset, size, ret_done);
	*ret_done = min_u64(size, ZERO_PIECE);
	return 0;
}

/*
 * Blocks are taken away with the gate shut, a piece at a time, so that reads and writes of others
 * wait no longer than one piece takes.
 */
static int zero_range(struct image *im, u64 offset, u64 size, bool exact)
{
	int r = 0;

	while (size > 0 && r == 0) {
		u64 done = 0;

		pthread_rwlock_wrlock(&im->gate);
		r = range_inside(offset, size, im->size)
			    ? zero_some(im, offset, size, exact, &done)
			    : -EINVAL;
		pthread_rwlock_unlock(&im->gate);
		if (r == -EAGAIN)
			r = image_flush(im);
		else if (r == 0)
			r = commit_when_much(im);
		offset += done;
		size -= done;
	}
	return r;
}

int image_zero(struct image *im, u64 offset, u64 size)
{
	if (im->read_only)
		return -EROFS;
	if (offset % im->logical_block || size % im->logical_block)
		return -EINVAL;
	return zero_range(im, offset, size, true);
}

int image_trim(struct image *im, u64 offset, u64 size)
{
	u64 skip = (im->logical_block - offset % im->logical_block) % im->logical_block;

	if (im->read_only)
		return -EROFS;
	if (!range_inside(offset, size, im->size))
		return -EINVAL;
	if (size < skip + im->logical_block)
		return 0; /* no whole sector */
	size -= skip;
	return zero_range(im, offset + skip, size - size % im->logical_block, false);
}

/* ---- flush ----------------------------------------------------------------------------------- */

/*
 * Flushes that wait while another runs are answered together by the next one: its commit begins
 * after they were asked for.
 */
int image_flush(struct image *im)
{
	u64 mine, covers = 0;
	int r = 0;

	if (im->read_only)
		return 0;
	pthread_mutex_lock(&im->lock);
	mine = ++im->flush_wanted;
	pthread_mutex_unlock(&im->lock);

	pthread_mutex_lock(&im->commit_lock);
	pthread_mutex_lock(&im->lock);
	covers = im->flush_done >= mine ? 0 : im->flush_wanted;
	r = im->failed ? -EIO : 0;
	pthread_mutex_unlock(&im->lock);
	if (r == 0 && covers)
		r = im->ops->commit(im);
	if (r < 0 || covers) {
		pthread_mutex_lock(&im->lock);
		/* No space for a table: nothing is lost, it may be tried again. */
		if (r < 0 && r != -ENOSPC && r != -ENOMEM)
			im->failed = true;
		else if (r == 0)
			im->flush_done = covers;
		pthread_mutex_unlock(&im->lock);
	}
	pthread_mutex_unlock(&im->commit_lock);
	return r;
}

/* ---- size ------------------------------------------------------------------------------------ */

int image_resize(struct image *im, u64 size, struct err *err)
{
	int r;

	if (im->read_only)
		return err_set(err, -EROFS, "the image is open for reading only");
	if (!im->ops->resize)
		return err_set(err, -EOPNOTSUPP, "this format cannot be resized");
	pthread_mutex_lock(&im->commit_lock);
	pthread_rwlock_wrlock(&im->gate);
	r = im->failed ? -EIO : im->ops->commit(im);
	pthread_mutex_lock(&im->lock);
	if (r < 0) {
		im->failed = true;
		err_set(err, r, "the image cannot be written: %s", err_words(r));
	} else {
		r = im->ops->resize(im, size, err);
	}
	pthread_mutex_unlock(&im->lock);
	pthread_rwlock_unlock(&im->gate);
	pthread_mutex_unlock(&im->commit_lock);
	return r;
}
