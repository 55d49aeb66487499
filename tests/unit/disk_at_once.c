/* SPDX-License-Identifier: Apache-2.0 */
/* What needs no other thread: disk_do_now, the ring; and what must not be tried without. */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "disk/create.h"
#include "unit/disk_asked.h"
#include "unit/harness.h"

#define MIB (1ull << 20)

struct fixture {
	struct asked_disk a;
	int fd; /* of the image's file, the test's own */
};

static bool now(struct fixture *f, enum disk_op op, u32 flags, void *data, u64 size,
		u64 offset)
{
	struct iovec iov = { .iov_base = data, .iov_len = size };
	struct disk_request rq = { .op = op,
				   .flags = flags,
				   .iov = &iov,
				   .iov_count = 1,
				   .size = size,
				   .offset = offset };

	return disk_do_now(f->a.disk, &rq);
}

static int flush(struct fixture *f)
{
	return asked_do(&f->a, (struct disk_request){ .op = DISK_FLUSH });
}

/* A disk of 64 MiB in a file without a name. */
static bool build(struct fixture *f, enum disk_format format)
{
	const struct disk_pool_config config = { .threads = 2, .ring = true };
	const char *dir = getenv("TMPDIR");
	struct disk_level level = { .name = "a", .format = format };
	const struct disk_open open_it = { .level = &level, .level_count = 1 };
	const struct image_create create = { .format = format,
					     .type = IMAGE_DYNAMIC,
					     .size = 64 * MIB };
	struct storage *s;
	struct err err = { 0 };

	f->fd = open(dir ? dir : "/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	CHECK(f->fd >= 0);
	if (format == DISK_RAW) {
		CHECK_ERR(ftruncate(f->fd, 64 * MIB), 0);
	} else {
		CHECK_ERR(storage_open_file(f->fd, false, 0, &s), 0);
		CHECK_ERR(image_create(s, &create, &err), 0);
		storage_close(s);
	}
	level.fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 3);
	CHECK_ERR(asked_open(&f->a, &config, &open_it, &err), 0);
	return true;
}

static void tear_down(struct fixture *f)
{
	EXPECT_EQ(asked_close(&f->a), 0);
	close(f->fd);
}

/* Does the host say that this byte is in its cache? Not every file system can. */
static bool is_cached(struct fixture *f, u64 offset)
{
	u8 byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };

	return preadv2(f->fd, &iov, 1, (off_t)offset, RWF_NOWAIT) == 1;
}

TEST(cached_bytes_are_read_and_overwritten_at_once)
{
	static const enum disk_format formats[] = { DISK_RAW, DISK_VHD, DISK_VHDX };
	static u8 in[4096], out[4096];

	for (unsigned k = 0; k < ARRAY_COUNT(formats); k++) {
		struct fixture f;
		struct disk_counters n;

		memset(in, 0x5a + (int)k, sizeof in);
		ASSERT_OK(build(&f, formats[k]));
		ASSERT_ERR(asked_transfer(&f.a, DISK_WRITE, in, sizeof in, MIB), 0);
		if (!is_cached(&f, 0)) {
			tear_down(&f);
			SKIP("the file system of TMPDIR knows no RWF_NOWAIT");
		}
		ASSERT(now(&f, DISK_READ, 0, out, sizeof out, MIB));
		ASSERT_MEM(out, in, sizeof in);
		memset(in, 0x11, sizeof in);
		ASSERT(now(&f, DISK_WRITE, 0, in, sizeof in, MIB));
		ASSERT_ERR(asked_transfer(&f.a, DISK_READ, out, sizeof out, MIB), 0);
		ASSERT_MEM(out, in, sizeof in);
		disk_count(f.a.disk, &n);
		ASSERT_EQ(n.at_once, 2);
		ASSERT_EQ(n.reads, 2);
		ASSERT_EQ(n.written_bytes, 2 * sizeof in);
		tear_down(&f);
	}
}

TEST(what_is_not_cached_is_left_to_the_threads)
{
	struct fixture f;
	static u8 data[65536];

	ASSERT_OK(build(&f, DISK_RAW));
	ASSERT_ERR(asked_transfer(&f.a, DISK_WRITE, data, sizeof data, MIB), 0);
	ASSERT_ERR(flush(&f), 0);
	ASSERT_ERR(posix_fadvise(f.fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	if (is_cached(&f, MIB)) {
		tear_down(&f);
		SKIP("the host keeps what it was told to forget");
	}
	ASSERT(!now(&f, DISK_READ, 0, data, sizeof data, MIB));
	ASSERT_ERR(asked_transfer(&f.a, DISK_READ, data, sizeof data, MIB), 0);
	tear_down(&f);
}

TEST(blocks_without_a_place_are_written_by_the_threads)
{
	static const enum disk_format formats[] = { DISK_VHD, DISK_VHDX };
	static u8 data[4096];

	for (unsigned k = 0; k < ARRAY_COUNT(formats); k++) {
		struct fixture f;

		ASSERT_OK(build(&f, formats[k]));
		ASSERT_ERR(asked_transfer(&f.a, DISK_WRITE, data, sizeof data, 0), 0);
		ASSERT(!now(&f, DISK_WRITE, 0, data, sizeof data, 32 * MIB));
		tear_down(&f);
	}
}

TEST(first_write_and_durable_writes_are_the_threads)
{
	struct fixture f;
	static u8 data[4096];

	ASSERT_OK(build(&f, DISK_RAW));
	ASSERT(!now(&f, DISK_WRITE, 0, data, sizeof data, 0));
	ASSERT_ERR(asked_transfer(&f.a, DISK_WRITE, data, sizeof data, 0), 0);
	ASSERT(!now(&f, DISK_WRITE, DISK_FUA, data, sizeof data, 0));
	tear_down(&f);
}

TEST(while_a_flush_is_under_way_writes_are_the_threads)
{
	struct fixture f;
	struct disk_request under_way = { .op = DISK_FLUSH };
	static u8 data[4096];

	ASSERT_OK(build(&f, DISK_RAW));
	ASSERT_ERR(asked_transfer(&f.a, DISK_WRITE, data, sizeof data, 0), 0);
	asked_submit(&f.a, &under_way);
	ASSERT(!now(&f, DISK_WRITE, 0, data, sizeof data, 0));
	ASSERT_ERR(asked_wait(&f.a), 0);
	tear_down(&f);
}

TEST(what_is_wrong_is_said_by_the_threads)
{
	struct fixture f;
	static u8 data[4096];

	ASSERT_OK(build(&f, DISK_RAW));
	ASSERT(!now(&f, DISK_READ, 0, data, sizeof data, 64 * MIB));
	ASSERT(!now(&f, DISK_READ, 0, data, 100, 0));
	ASSERT(!now(&f, DISK_READ, 0, data, sizeof data, 100));
	ASSERT_ERR(asked_transfer(&f.a, DISK_READ, data, 100, 0), EINVAL);
	tear_down(&f);
}

/* ---- the ring ---- */

/* The descriptor of this process's ring; -1: it has none. */
static int find_ring(void)
{
	for (int fd = 3; fd < 64; fd++) {
		char path[32], name[64];
		ssize_t n;

		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		n = readlink(path, name, sizeof name - 1);
		if (n > 0 && strncmp(name, "anon_inode:[io_uring]", (size_t)n) == 0)
			return fd;
	}
	return -1;
}

TEST(bytes_that_are_not_cached_are_read_by_the_ring)
{
	static const enum disk_format formats[] = { DISK_RAW, DISK_VHD, DISK_VHDX };
	static u8 in[65536], out[65536];

	for (unsigned k = 0; k < ARRAY_COUNT(formats); k++) {
		struct fixture f;
		struct disk_counters n;

		memset(in, 0x33 + (int)k, sizeof in);
		ASSERT_OK(build(&f, formats[k]));
		if (find_ring() < 0) {
			tear_down(&f);
			SKIP("this host has no io_uring for us");
		}
		ASSERT_ERR(asked_transfer(&f.a, DISK_WRITE, in, sizeof in, MIB), 0);
		ASSERT_ERR(flush(&f), 0);
		ASSERT_ERR(posix_fadvise(f.fd, 0, 0, POSIX_FADV_DONTNEED), 0);
		ASSERT_ERR(asked_transfer(&f.a, DISK_READ, out, sizeof out, MIB), 0);
		ASSERT_MEM(out, in, sizeof in);
		disk_count(f.a.disk, &n);
		ASSERT_EQ(n.by_ring, 1);
		ASSERT_EQ(n.reads, 1);
		/* What has no place is zeros, without the ring. */
		ASSERT_ERR(asked_transfer(&f.a, DISK_READ, out, sizeof out, 32 * MIB), 0);
		ASSERT_EQ(out[0], 0);
		disk_count(f.a.disk, &n);
		ASSERT_EQ(n.by_ring, formats[k] == DISK_RAW ? 2 : 1);
		tear_down(&f);
	}
}

TEST(file_that_was_cut_under_a_read_of_the_ring_is_an_error)
{
	struct fixture f;
	static u8 data[4096];

	ASSERT_OK(build(&f, DISK_RAW));
	ASSERT_ERR(ftruncate(f.fd, MIB), 0);
	ASSERT_ERR(asked_transfer(&f.a, DISK_READ, data, sizeof data, 2 * MIB), EIO);
	tear_down(&f);
}

TEST(ring_can_be_given_nothing_but_reads)
{
	struct fixture f;
	struct iovec iov = { .iov_base = &f, .iov_len = sizeof f };
	int fd;

	ASSERT_OK(build(&f, DISK_RAW));
	fd = find_ring();
	if (fd < 0) {
		tear_down(&f);
		SKIP("this host has no io_uring for us");
	}
	ASSERT_EQ(syscall(SYS_io_uring_register, fd, IORING_REGISTER_BUFFERS, &iov, 1),
		  -1);
	ASSERT_EQ(errno, EACCES);
	tear_down(&f);
}
