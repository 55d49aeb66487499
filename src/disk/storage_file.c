/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storage behind a descriptor: a regular file or a block device; see storage.h. Buffered by the
 * host; fdatasync makes durable. Any thread: the size alone is shared, an atomic that only grows
 * but by set_size, which its caller orders.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <sys/stat.h>

#include "disk/storage.h"

struct file {
	struct storage storage;
	bool device, own_fd;
	bool no_punch; /* the file system cannot: asked once */
};

static struct file *file_of(struct storage *s)
{
	return CONTAINER_OF(s, struct file, storage);
}

/* What is left of iov after done bytes, in place. */
static unsigned advance(struct iovec *iov, unsigned count, u64 done)
{
	unsigned i = 0;

	while (i < count && done >= iov[i].iov_len)
		done -= iov[i++].iov_len;
	if (i < count) {
		iov[i].iov_base = (u8 *)iov[i].iov_base + done;
		iov[i].iov_len -= done;
	}
	memmove(iov, iov + i, (count - i) * sizeof *iov);
	return count - i;
}

typedef ssize_t (*vector_fn)(int fd, const struct iovec *iov, int count, off_t offset);

static int transfer(struct storage *s, const struct iovec *iov, unsigned count,
		    u64 offset, vector_fn fn, int at_end)
{
	struct iov_cursor cursor = { .iov = iov, .count = count };
	struct iovec piece[IOV_PIECES];
	unsigned n = 0;

	for (;;) {
		if (n == 0)
			iov_take(&cursor, UINT64_MAX, piece, IOV_PIECES, &n);
		if (n == 0)
			return 0;
		ssize_t done = fn(s->fd, piece, (int)n, (off_t)offset);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		if (done == 0)
			return at_end;
		offset += (u64)done;
		n = advance(piece, n, (u64)done);
	}
}

static _Thread_local bool at_once;

void storage_read_at_once(bool on)
{
	at_once = on;
}

static ssize_t read_from_cache(int fd, const struct iovec *iov, int count, off_t offset)
{
	ssize_t n = preadv2(fd, iov, count, offset, RWF_NOWAIT);

	/* File systems that cannot tell: as if it were not there. */
	if (n < 0 && errno == EOPNOTSUPP)
		errno = EAGAIN;
	return n;
}

static int file_read(struct storage *s, const struct iovec *iov, unsigned count,
		     u64 offset)
{
	return transfer(s, iov, count, offset, at_once ? read_from_cache : preadv, -EIO);
}

static void grow_to(struct storage *s, u64 end)
{
	u64 old = __atomic_load_n(&s->size, __ATOMIC_RELAXED);

	while (end > old &&
	       !__atomic_compare_exchange_n(&s->size, &old, end, true, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED))
		;
}

static int file_write(struct storage *s, const struct iovec *iov, unsigned count,
		      u64 offset)
{
	u64 end = offset + iov_size(iov, count);
	int r;

	if (s->fixed_size && end > s->size)
		return -EIO;
	r = transfer(s, iov, count, offset, pwritev, -ENOSPC);
	if (r == 0)
		grow_to(s, end);
	return r;
}

static int file_copy(struct storage *s, u64 offset, struct storage *from, u64 from_offset,
		     u64 size)
{
	off_t at = (off_t)offset, from_at = (off_t)from_offset;
	u64 end = offset + size;

	if (from->ops != s->ops || (s->fixed_size && end > s->size))
		return -EOPNOTSUPP;
	while (size > 0) {
		ssize_t n = copy_file_range(from->fd, &from_at, s->fd, &at, size, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == ENOSPC || errno == EIO || errno == EDQUOT))
			return -errno;
		/* Devices, other file systems, a file that was cut: the ordinary way says it. */
		if (n <= 0)
			return -EOPNOTSUPP;
		size -= (u64)n;
	}
	grow_to(s, end);
	return 0;
}

static int file_flush(struct storage *s)
{
	int r;

	do
		r = fdatasync(s->fd);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

static int file_set_size(struct storage *s, u64 size)
{
	if (s->fixed_size)
		return -EOPNOTSUPP;
	if (ftruncate(s->fd, (off_t)size) < 0)
		return -errno;
	__atomic_store_n(&s->size, size, __ATOMIC_RELAXED);
	return 0;
}

static int file_look(struct storage *s)
{
	off_t size = lseek(s->fd, 0, SEEK_END);

	if (size < 0)
		return -errno;
	__atomic_store_n(&s->size, (u64)size, __ATOMIC_RELAXED);
	return 0;
}

static int file_punch(struct storage *s, u64 offset, u64 size)
{
	struct file *f = file_of(s);

	if (size == 0)
		return 0;
	if (__atomic_load_n(&f->no_punch, __ATOMIC_RELAXED))
		return -EOPNOTSUPP;
	if (fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
		      (off_t)size) == 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != ENODEV && errno != EINVAL)
		return -errno;
	if (errno != EINVAL) /* a device refuses ranges that its blocks do not divide */
		__atomic_store_n(&f->no_punch, true, __ATOMIC_RELAXED);
	return -EOPNOTSUPP;
}

static int file_next_data(struct storage *s, u64 offset, u64 *ret_start, u64 *ret_end)
{
	struct file *f = file_of(s);
	off_t start, end;

	if (f->device) {
		*ret_start = offset;
		*ret_end = s->size;
		return offset < s->size ? 0 : -ENXIO;
	}
	start = lseek(s->fd, (off_t)offset, SEEK_DATA);
	if (start < 0)
		return -errno;
	end = lseek(s->fd, start, SEEK_HOLE);
	if (end < 0)
		return -errno;
	*ret_start = (u64)start;
	*ret_end = (u64)end;
	return 0;
}

static void file_close(struct storage *s)
{
	if (file_of(s)->own_fd)
		close(s->fd);
	free(file_of(s));
}

static const struct storage_ops file_ops = {
	.name = "file",
	.read = file_read,
	.write = file_write,
	.copy = file_copy,
	.flush = file_flush,
	.set_size = file_set_size,
	.look = file_look,
	.punch = file_punch,
	.next_data = file_next_data,
	.close = file_close,
};

int storage_open_file(int fd, bool read_only, u32 device_block,
		      struct storage **ret_storage)
{
	struct stat st;
	struct file *f;
	off_t size;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return -ENOTBLK;
	size = S_ISREG(st.st_mode) ? st.st_size : lseek(fd, 0, SEEK_END);
	if (size < 0)
		return -errno;
	f = calloc(1, sizeof *f);
	if (!f)
		return -ENOMEM;
	f->device = S_ISBLK(st.st_mode);
	f->storage = (struct storage){
		.ops = &file_ops,
		.size = (u64)size,
		.fixed_size = f->device,
		.read_only = read_only,
		.block = device_block == 4096 ? 4096 : 512,
		.fd = fd,
	};
	*ret_storage = &f->storage;
	return 0;
}

void storage_own_fd(struct storage *s)
{
	file_of(s)->own_fd = true;
}
