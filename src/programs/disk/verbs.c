/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of tabique-disk; see verbs.h. */
#include "programs/disk/verbs.h"

#include <errno.h>

#include "disk/copy.h"
#include "disk/create.h"
#include "programs/disk/owner.h"

struct job {
	struct disk_pool *pool;
	const struct disk_order *order;
	int source, target;
};

/* ---- opening --------------------------------------------------------------------------------- */

static int open_storage(const struct job *job, int fd, const struct disk_image_name *n,
			bool read_only, struct storage **ret_storage, struct err *err)
{
	const struct disk_level level = {
		.fd = fd,
		.name = n->name,
		.format = (enum disk_format)n->format,
		.device_block = n->device_block,
		.nbd_export = n->nbd ? n->nbd_export : NULL,
	};
	int r = disk_open_storage(job->pool, &level, read_only, ret_storage, err);

	return r < 0 ? err_wrap(err, "'%s'", n->name) : 0;
}

static int open_image(const struct job *job, int fd, const struct disk_image_name *n,
		      bool read_only, struct image **ret_image, struct err *err)
{
	struct storage *storage;
	int r = open_storage(job, fd, n, read_only, &storage, err);

	if (r < 0)
		return r;
	r = image_open(n->format, storage, read_only, ret_image, err);
	return r < 0 ? err_wrap(err, "'%s'", n->name) : 0;
}

/* The chain below an image, level by level, each parent asked of the owner. */
static int open_parents(const struct job *job, struct image *leaf, bool parent_writable,
			struct err *err)
{
	struct image *im = leaf;
	bool writable = parent_writable;

	for (unsigned depth = 1; im->differencing; depth++) {
		struct disk_image_name name;
		struct disk_parent parent;
		struct image *next;
		int fd = -1, r;

		if (depth == DISK_MAX_DEPTH)
			return err_set(err, -ELOOP, "the chain has more than %d images",
				       DISK_MAX_DEPTH);
		memset(&parent, 0, sizeof parent);
		r = im->ops->read_parent(im, &parent, err);
		if (r == 0)
			r = owner_ask_parent(&parent, &name, &fd, err);
		if (r == 0)
			r = open_image(job, fd, &name, !writable, &next, err);
		if (r < 0)
			return r;
		r = image_set_parent(im, next, err);
		if (r < 0)
			return err_wrap(err, "parent '%s'", name.name);
		writable = false;
		im = next;
	}
	return 0;
}

static int open_source(const struct job *job, bool read_only, bool parent_writable,
		       struct image **ret_image, struct err *err)
{
	int r = open_image(job, job->source, &job->order->source, read_only, ret_image,
			   err);

	if (r < 0)
		return r;
	r = open_parents(job, *ret_image, parent_writable, err);
	if (r < 0)
		image_abandon(take_ptr(*ret_image));
	return r;
}

/* ---- verbs ----------------------------------------------------------------------------------- */

_Static_assert((int)DISK_TYPE_FIXED == (int)IMAGE_FIXED &&
		       (int)DISK_TYPE_DYNAMIC == (int)IMAGE_DYNAMIC &&
		       (int)DISK_TYPE_DIFFERENCING == (int)IMAGE_DIFFERENCING,
	       "types of images");

static int create(const struct job *job, struct err *err)
{
	const struct disk_order *o = job->order;
	struct image_create c = { .format = o->target.format,
				  .type = o->type,
				  .size = o->size,
				  .block_size = o->block_size,
				  .logical_block = o->logical_block };
	struct storage *storage;
	int r = open_storage(job, job->target, &o->target, false, &storage, err);

	if (r < 0)
		return r;
	if (job->source >= 0) {
		r = open_image(job, job->source, &o->source, true, &c.parent, err);
		c.parent_relative = o->parent_relative;
		c.parent_absolute = o->parent_absolute[0] ? o->parent_absolute : NULL;
	}
	if (r == 0) {
		r = image_create(storage, &c, err);
		if (r < 0)
			err_wrap(err, "'%s'", o->target.name);
	}
	image_abandon(c.parent);
	storage_close(storage);
	return r;
}

static int facts(const struct job *job, struct err *err)
{
	struct disk_parent parent = { 0 };
	struct image *im;
	int r = open_image(job, job->source, &job->order->source, true, &im, err);

	if (r < 0)
		return r;
	struct disk_facts f = {
		.format = im->ops->format,
		.type = im->differencing ? IMAGE_DIFFERENCING
			: im->fixed	 ? IMAGE_FIXED
					 : IMAGE_DYNAMIC,
		.size = im->size,
		.block_size = im->block_size,
		.file_size = im->storage->size,
		.logical_block = im->logical_block,
		.physical_block = im->physical_block,
	};
	memcpy(f.id, im->disk_id, sizeof f.id);
	if (im->differencing)
		r = im->ops->read_parent(im, &parent, err);
	memcpy(f.relative, parent.relative, sizeof f.relative);
	memcpy(f.absolute, parent.absolute, sizeof f.absolute);
	image_abandon(im);
	if (r < 0)
		return err_wrap(err, "'%s'", job->order->source.name);
	owner_say_facts(&f);
	return 0;
}

static void on_finding(void *owner, bool error, const char *text)
{
	owner_say_finding(error, text);
}

/*
 * What cannot be opened is an error by itself. With repair, the image is opened for writing, which
 * replays its log, and closed: that rewrites what a check warns of.
 */
static int check(const struct job *job, struct err *err)
{
	struct image_findings findings = { .say = on_finding };
	struct image *im;
	int r = open_source(job, !job->order->repair, false, &im, err);

	if (r < 0)
		return r;
	if (im->ops->check)
		im->ops->check(im, &findings);
	if (job->order->repair && im->ops->repair)
		r = im->ops->repair(im);
	if (job->order->repair && r == 0)
		return image_close(im) < 0 ? err_set(err, -EIO, "it cannot be written")
					   : 0;
	image_abandon(im);
	return r < 0 ? err_set(err, r, "it cannot be written: %s", err_words(r)) : 0;
}

static void on_progress(void *owner, u64 done, u64 total)
{
	owner_say_progress(done, total);
}
static const struct copy_progress progress = { .report = on_progress };

static int open_target(const struct job *job, const struct image *from,
		       struct image **ret_image, struct err *err)
{
	const struct disk_order *o = job->order;
	const struct image_create c = {
		.format = o->target.format,
		.type = o->type,
		.size = from->size,
		.block_size = o->block_size,
		.logical_block = o->logical_block ? o->logical_block
				 : o->target.format == DISK_VHDX &&
						 from->logical_block == 4096
					 ? 4096
					 : 512,
	};
	struct storage *storage;
	int r = open_storage(job, job->target, &o->target, false, &storage, err);

	if (r < 0)
		return r;
	r = storage->fixed_size ? 0 : image_create(storage, &c, err);
	if (r < 0) {
		storage_close(storage);
		return err_wrap(err, "'%s'", o->target.name);
	}
	return image_open(o->target.format, storage, false, ret_image, err);
}

static int convert(const struct job *job, struct err *err)
{
	struct image *from, *to;
	int r = open_source(job, true, false, &from, err), closed;

	if (r < 0)
		return r;
	r = open_target(job, from, &to, err);
	if (r == 0) {
		r = image_copy(job->pool, from, to, &progress, err);
		closed = image_close(to);
		if (r == 0 && closed < 0)
			r = err_set(err, closed, "'%s' cannot be written: %s",
				    job->order->target.name, err_words(closed));
	}
	image_abandon(from);
	return r;
}

static int resize(const struct job *job, struct err *err)
{
	struct image *im;
	int r = open_image(job, job->source, &job->order->source, false, &im, err),
	    closed;

	if (r < 0)
		return r;
	r = image_resize(im, job->order->size, err);
	if (r < 0)
		err_wrap(err, "'%s'", job->order->source.name);
	closed = image_close(im);
	if (r == 0 && closed < 0)
		r = err_set(err, closed, "'%s' cannot be written: %s",
			    job->order->source.name, err_words(closed));
	return r;
}

static int merge(const struct job *job, struct err *err)
{
	struct image *im, *parent;
	int r = open_source(job, true, true, &im, err), closed;

	if (r < 0)
		return r;
	r = image_merge(job->pool, im, &progress, err);
	parent = take_ptr(im->parent);
	image_abandon(im);
	closed = parent ? image_close(parent) : 0;
	if (r == 0 && closed < 0)
		r = err_set(err, closed, "the parent cannot be written: %s",
			    err_words(closed));
	return r;
}

int carry_out(struct disk_pool *pool, const struct disk_order *order, int source,
	      int target, struct err *err)
{
	const struct job job = {
		.pool = pool, .order = order, .source = source, .target = target
	};

	switch ((enum disk_order_verb)order->verb) {
	case DISK_VERB_CREATE:
		return create(&job, err);
	case DISK_VERB_FACTS:
		return facts(&job, err);
	case DISK_VERB_CHECK:
		return check(&job, err);
	case DISK_VERB_CONVERT:
		return convert(&job, err);
	case DISK_VERB_RESIZE:
		return resize(&job, err);
	case DISK_VERB_MERGE:
		return merge(&job, err);
	}
	return err_set(err, -EPROTO, "order %u is not known", order->verb);
}
