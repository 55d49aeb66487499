/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying between images; see copy.h. Each thread takes the next piece of the disk, looks what it is
 * made of, reads and writes it. Pieces are blocks of both images, so that two threads never give a
 * place to the same block.
 */
#include "disk/copy.h"

#include <errno.h>

#define PIECE (1ull << 20)
#define THREADS 4
/* Zeros inside of data are left out in steps of this. */
#define GRAIN (64u << 10)
/* The host begins to write after this much, so that its devices work while the rest is copied. */
#define WRITE_STEP (32ull << 20)
/* Of one report to the next. */
#define REPORT_STEP (64ull << 20)

struct copy {
	struct image *from, *to;
	bool own_level; /* merge: what from itself holds, not its chain */
	u64 total;
	u64 piece;
	struct copy_progress progress;

	pthread_mutex_t lock;
	u64 next, done, reported;
	u64 written,
		begun; /* bytes of data; those of them that were made durable meanwhile */
	bool by_memory; /* the kernel cannot copy from this storage to that one */
	int r;
};

static bool all_zero(const u8 *p, u64 size)
{
	return p[0] == 0 && memcmp(p, p + 1, size - 1) == 0;
}

/* Data that is not all zeros, as runs. */
static int write_data(struct copy *c, u8 *data, u64 offset, u64 size)
{
	u64 from = 0;
	int r = 0;

	for (u64 at = 0; at < size && r == 0;) {
		u64 n = min_u64(GRAIN, size - at);
		bool zero = all_zero(data + at, n);

		if (zero || at + n == size) {
			u64 end = zero ? at : at + n;
			struct iovec iov = { .iov_base = data + from,
					     .iov_len = end - from };

			if (end > from)
				r = image_write(c->to, &iov, 1, offset + from);
			from = at + n;
		}
		at += n;
	}
	return r;
}

static int by_memory(struct copy *c, u8 *data, u64 offset, u64 size)
{
	struct iovec iov = { .iov_base = data, .iov_len = size };
	int r = image_read(c->from, &iov, 1, offset);

	return r < 0 ? r : image_write(c->to, &iov, 1, offset);
}

/*
 * A merge must write zeros too: they cover what the parent has there. So nobody needs to look at
 * the bytes, and the kernel can copy them, which costs half of what reading and writing does.
 */
static int merge_data(struct copy *c, u8 *data, u64 offset, const struct extent *e)
{
	int r = -EOPNOTSUPP;

	if (!__atomic_load_n(&c->by_memory, __ATOMIC_RELAXED))
		r = image_write_from(c->to, c->from->storage, e->offset, e->size, offset);
	if (r == -EOPNOTSUPP) {
		__atomic_store_n(&c->by_memory, true, __ATOMIC_RELAXED);
		r = by_memory(c, data, offset, e->size);
	}
	return r;
}

static int copy_data(struct copy *c, u8 *data, u64 offset, u64 size)
{
	struct iovec iov = { .iov_base = data, .iov_len = size };
	int r = image_read(c->from, &iov, 1, offset);

	return r < 0 ? r : write_data(c, data, offset, size);
}

static int own_extent(struct image *im, u64 offset, u64 max, struct extent *ret_extent)
{
	int r;

	pthread_mutex_lock(&im->lock);
	r = im->ops->map(im, offset, max, ret_extent);
	pthread_mutex_unlock(&im->lock);
	return r;
}

/*
 * Data was written; now and then one thread waits until it is durable, while the others copy. What
 * tables say of it comes with the flush at the end.
 */
static int note_written(struct copy *c, u64 size)
{
	bool step;

	pthread_mutex_lock(&c->lock);
	c->written += size;
	step = c->written - c->begun >= WRITE_STEP;
	if (step)
		c->begun = c->written;
	pthread_mutex_unlock(&c->lock);
	return step ? storage_flush(c->to->storage) : 0;
}

static int copy_some(struct copy *c, u8 *data, u64 offset, u64 max, u64 *ret_done)
{
	struct extent e;
	int r;

	if (c->own_level) {
		r = own_extent(c->from, offset, max, &e);
	} else {
		r = image_extent(c->from, offset, max, &e);
	}
	if (r < 0)
		return r;
	*ret_done = e.size;
	if (e.kind == EXTENT_HERE || (e.kind == EXTENT_PARENT && !c->own_level)) {
		r = c->own_level ? merge_data(c, data, offset, &e)
				 : copy_data(c, data, offset, e.size);
		return r < 0 ? r : note_written(c, e.size);
	}
	if (e.kind == EXTENT_ZERO && c->own_level)
		return image_zero(c->to, offset, e.size);
	return 0;
}

static int copy_piece(struct copy *c, u8 *data, u64 offset, u64 size)
{
	int r = 0;

	while (size > 0 && r == 0) {
		u64 done = 0;

		r = copy_some(c, data, offset, min_u64(size, PIECE), &done);
		offset += done;
		size -= done;
	}
	return r;
}

static void report(struct copy *c, bool last)
{
	if (!c->progress.report || (!last && c->done - c->reported < REPORT_STEP))
		return;
	c->reported = c->done;
	c->progress.report(c->progress.owner, c->done, c->total);
}

static void copy_thread(void *owner)
{
	struct copy *c = owner;
	AUTO_FREE u8 *data = malloc(PIECE);

	pthread_mutex_lock(&c->lock);
	if (!data)
		c->r = -ENOMEM;
	while (c->r == 0 && c->next < c->total) {
		u64 offset = c->next, size = min_u64(c->piece, c->total - offset);
		int r;

		c->next += size;
		pthread_mutex_unlock(&c->lock);
		r = copy_piece(c, data, offset, size);
		pthread_mutex_lock(&c->lock);
		c->done += size;
		if (r < 0 && c->r == 0)
			c->r = r;
		report(c, false);
	}
	pthread_mutex_unlock(&c->lock);
}

static int run(struct copy *c, struct disk_pool *pool,
	       const struct copy_progress *progress, struct err *err)
{
	pthread_mutex_init(&c->lock, NULL);
	if (progress)
		c->progress = *progress;
	c->piece = max_u64(max_u64(c->from->block_size, c->to->block_size), 4 * PIECE);
	if (pool)
		disk_pool_run(pool, copy_thread, c, THREADS);
	else
		copy_thread(c);
	if (c->r == 0)
		c->r = image_flush(c->to);
	if (c->r == 0)
		report(c, true);
	pthread_mutex_destroy(&c->lock);
	if (c->r < 0)
		return err_set(err, c->r, "copying: %s", err_words(c->r));
	return 0;
}

int image_copy(struct disk_pool *pool, struct image *from, struct image *to,
	       const struct copy_progress *progress, struct err *err)
{
	struct copy c = { .from = from, .to = to, .total = from->size };

	if (to->size < from->size)
		return err_set(err, -EINVAL, "the target is smaller than the source");
	if (to->logical_block > from->logical_block && from->size % to->logical_block)
		return err_set(err, -EINVAL,
			       "a disk of %llu bytes has no whole sectors of %u bytes",
			       (unsigned long long)from->size, to->logical_block);
	return run(&c, pool, progress, err);
}

int image_merge(struct disk_pool *pool, struct image *child,
		const struct copy_progress *progress, struct err *err)
{
	struct copy c = { .from = child,
			  .to = child->parent,
			  .own_level = true,
			  .total = child->size };
	int r = 0;

	if (!child->parent)
		return err_set(err, -EINVAL, "it has no parent to be merged into");
	if (child->parent->read_only)
		return err_set(err, -EROFS, "the parent is open for reading only");
	child->parent->keep_identity = true;
	if (child->parent->size < child->size)
		r = image_resize(child->parent, child->size, err);
	if (r == 0)
		r = run(&c, pool, progress, err);
	child->parent->keep_identity = false;
	if (r == 0 && child->parent->ops->new_identity) {
		r = child->parent->ops->new_identity(child->parent);
		if (r < 0)
			err_set(err, r, "the parent cannot be written: %s", err_words(r));
	}
	return r;
}
