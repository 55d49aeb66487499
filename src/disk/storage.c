/* SPDX-License-Identifier: Apache-2.0 */
/* What all storages share, and pieces of memory; see storage.h. Any thread. */
#include "disk/storage.h"

#include <errno.h>

void storage_close(struct storage *s)
{
	if (s)
		s->ops->close(s);
}

int storage_read(struct storage *s, void *data, u64 size, u64 offset)
{
	struct iovec iov = { .iov_base = data, .iov_len = size };

	return s->ops->read(s, &iov, 1, offset);
}

int storage_write(struct storage *s, const void *data, u64 size, u64 offset)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = size };

	return s->ops->write(s, &iov, 1, offset);
}

int storage_flush(struct storage *s)
{
	int r = s->ops->flush(s);

	/* Written data for which there is no space after all is lost: no ENOSPC to be tried again. */
	return r == -ENOSPC ? -EIO : r;
}

static const u8 zeros[65536];

int storage_zero(struct storage *s, u64 offset, u64 size)
{
	int r = s->ops->punch(s, offset, size);

	if (r != -EOPNOTSUPP)
		return r;
	for (r = 0; size > 0 && r == 0;) {
		u64 n = min_u64(size, sizeof zeros);

		r = storage_write(s, zeros, n, offset);
		offset += n;
		size -= n;
	}
	return r;
}

u64 iov_take(struct iov_cursor *cursor, u64 size, struct iovec *ret_piece, unsigned max,
	     unsigned *ret_count)
{
	unsigned count = 0;
	u64 taken = 0;

	while (taken < size && count < max && cursor->index < cursor->count) {
		const struct iovec *v = &cursor->iov[cursor->index];
		u64 n = min_u64(v->iov_len - cursor->skip, size - taken);

		if (n > 0)
			ret_piece[count++] = (struct iovec){
				.iov_base = (u8 *)v->iov_base + cursor->skip, .iov_len = n
			};
		taken += n;
		cursor->skip += n;
		if (cursor->skip == v->iov_len) {
			cursor->index++;
			cursor->skip = 0;
		}
	}
	*ret_count = count;
	return taken;
}

void iov_fill_zero(struct iov_cursor *cursor, u64 size)
{
	struct iovec piece[IOV_PIECES];
	unsigned count;

	while (size > 0) {
		u64 n = iov_take(cursor, size, piece, IOV_PIECES, &count);

		for (unsigned i = 0; i < count; i++)
			memset(piece[i].iov_base, 0, piece[i].iov_len);
		if (n == 0)
			return;
		size -= n;
	}
}

void iov_copy_from(struct iov_cursor *cursor, void *to, u64 size)
{
	struct iovec piece;
	unsigned count;

	for (u64 n; size > 0; size -= n) {
		n = iov_take(cursor, size, &piece, 1, &count);
		if (n == 0)
			return;
		to = mempcpy(to, piece.iov_base, n);
	}
}

void iov_copy_to(struct iov_cursor *cursor, const void *from, u64 size)
{
	const u8 *p = from;
	struct iovec piece;
	unsigned count;

	for (u64 n; size > 0; size -= n, p += n) {
		n = iov_take(cursor, size, &piece, 1, &count);
		if (n == 0)
			return;
		memcpy(piece.iov_base, p, n);
	}
}

u64 iov_size(const struct iovec *iov, unsigned count)
{
	u64 size = 0;

	for (unsigned i = 0; i < count; i++)
		size += iov[i].iov_len;
	return size;
}
