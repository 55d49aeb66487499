/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes in memory over a storage; see storage_overlay.h. They are kept in the order in which
 * they were made and put over what is read in that order. After the replay nothing is written any
 * more, so that reads need no lock.
 */
#include "disk/storage_overlay.h"

#include <errno.h>

struct change {
	struct change *next;
	u64 offset, size;
	bool zero;
	u8 data[];
};

struct overlay {
	struct storage storage;
	struct storage *below;
	struct change *first, **last;
	u64 bytes;
};

/* What all changes of one image may take. */
#define MAX_BYTES (512ull << 20)

static struct overlay *overlay_of(struct storage *s)
{
	return CONTAINER_OF(s, struct overlay, storage);
}

/* The part of a change that falls into [offset, offset + size). */
static void put_over(const struct change *c, u8 *data, u64 size, u64 offset)
{
	u64 from = max_u64(offset, c->offset);
	u64 to = min_u64(offset + size, c->offset + c->size);

	if (from >= to)
		return;
	if (c->zero)
		memset(data + (from - offset), 0, to - from);
	else
		memcpy(data + (from - offset), c->data + (from - c->offset), to - from);
}

static int read_piece(struct overlay *o, u8 *data, u64 size, u64 offset)
{
	u64 below = offset < o->below->size ? min_u64(size, o->below->size - offset) : 0;
	int r = below ? storage_read(o->below, data, below, offset) : 0;

	if (r < 0)
		return r;
	memset(data + below, 0, size - below);
	for (const struct change *c = o->first; c; c = c->next)
		put_over(c, data, size, offset);
	return 0;
}

static int overlay_read(struct storage *s, const struct iovec *iov, unsigned count,
			u64 offset)
{
	struct overlay *o = overlay_of(s);
	int r = 0;

	for (unsigned i = 0; i < count && r == 0; i++) {
		if (offset > s->size || iov[i].iov_len > s->size - offset)
			return -EIO;
		r = read_piece(o, iov[i].iov_base, iov[i].iov_len, offset);
		offset += iov[i].iov_len;
	}
	return r;
}

static int add(struct overlay *o, u64 offset, u64 size, const struct iovec *iov,
	       unsigned count)
{
	struct change *c;
	u8 *p;

	if (iov && o->bytes + size > MAX_BYTES)
		return -ENOMEM;
	c = malloc(sizeof *c + (iov ? size : 0));
	if (!c)
		return -ENOMEM;
	*c = (struct change){ .offset = offset, .size = size, .zero = !iov };
	p = c->data;
	for (unsigned i = 0; i < count; i++) {
		memcpy(p, iov[i].iov_base, iov[i].iov_len);
		p += iov[i].iov_len;
	}
	*o->last = c;
	o->last = &c->next;
	o->bytes += iov ? size : 0;
	return 0;
}

static int overlay_write(struct storage *s, const struct iovec *iov, unsigned count,
			 u64 offset)
{
	u64 size = iov_size(iov, count);
	int r = add(overlay_of(s), offset, size, iov, count);

	if (r == 0)
		s->size = max_u64(s->size, offset + size);
	return r;
}

static int overlay_flush(struct storage *s)
{
	return 0;
}

static int overlay_set_size(struct storage *s, u64 size)
{
	if (size < s->size)
		return -EOPNOTSUPP;
	s->size = size;
	return 0;
}

static int overlay_punch(struct storage *s, u64 offset, u64 size)
{
	return add(overlay_of(s), offset, size, NULL, 0);
}

static void overlay_close(struct storage *s)
{
	struct overlay *o = overlay_of(s);

	while (o->first) {
		struct change *c = o->first;

		o->first = c->next;
		free(c);
	}
	storage_close(o->below);
	free(o);
}

static const struct storage_ops overlay_ops = {
	.name = "overlay",
	.read = overlay_read,
	.write = overlay_write,
	.flush = overlay_flush,
	.set_size = overlay_set_size,
	.punch = overlay_punch,
	.close = overlay_close,
};

int storage_overlay_new(struct storage *below, struct storage **ret_storage)
{
	struct overlay *o = calloc(1, sizeof *o);

	if (!o)
		return -ENOMEM;
	o->below = below;
	o->last = &o->first;
	o->storage = (struct storage){ .ops = &overlay_ops,
				       .size = below->size,
				       .read_only = true,
				       .block = below->block,
				       .fd = -1 };
	*ret_storage = &o->storage;
	return 0;
}
