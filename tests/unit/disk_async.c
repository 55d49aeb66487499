/* SPDX-License-Identifier: Apache-2.0 */
/* disk.h on a loop of its own: requests, completions, sizes, formats by name. */
#include <fcntl.h>
#include <sys/mman.h>

#include "disk/disk.h"
#include "unit/harness.h"

#define MIB (1ull << 20)

struct fixture {
	struct loop *loop;
	struct disk_pool *pool;
	struct disk *disk;
	unsigned waiting;
	int last;
	struct disk *other; /* opened without waiting */
	struct err why;
};

static bool build(struct fixture *f, u64 size, bool read_only)
{
	struct err err = { 0 };
	const struct disk_pool_config config = { .threads = 3 };
	int fd = memfd_create("disk", MFD_CLOEXEC);
	const struct disk_level level = { .fd = fd, .name = "a.img" };
	const struct disk_open open = { .level = &level,
					.level_count = 1,
					.read_only = read_only };

	memset(f, 0, sizeof *f);
	CHECK_ERR(ftruncate(fd, (off_t)size), 0);
	CHECK_ERR(loop_new(&f->loop), 0);
	CHECK_ERR(disk_pool_new(f->loop, &config, &f->pool, &err), 0);
	CHECK_ERR(disk_open(f->pool, &open, &f->disk, &err), 0);
	return true;
}

static void tear_down(struct fixture *f)
{
	EXPECT_EQ(disk_close(f->disk), 0);
	disk_pool_free(f->pool);
	loop_free(f->loop);
}

static void on_done(struct disk_request *request, int r)
{
	struct fixture *f = request->owner;

	f->last = r;
	if (--f->waiting == 0)
		loop_stop(f->loop);
}

static void submit(struct fixture *f, struct disk_request *request)
{
	request->owner = f;
	request->done = on_done;
	f->waiting++;
	disk_submit(f->disk, request);
}

static int wait_all(struct fixture *f)
{
	return f->waiting == 0 ? f->last : loop_run(f->loop) < 0 ? -1 : f->last;
}

static int one(struct fixture *f, struct disk_request request)
{
	submit(f, &request);
	return wait_all(f);
}

static int transfer(struct fixture *f, enum disk_op op, void *data, u64 size, u64 offset)
{
	const struct iovec iov = { .iov_base = data, .iov_len = size };

	return one(f, (struct disk_request){ .op = op,
					     .iov = &iov,
					     .iov_count = 1,
					     .size = size,
					     .offset = offset });
}

TEST(what_was_written_is_read)
{
	struct fixture f;
	u8 in[4096], out[4096] = { 0 };

	memset(in, 0x5a, sizeof in);
	ASSERT_OK(build(&f, MIB, false));
	ASSERT_ERR(transfer(&f, DISK_WRITE, in, sizeof in, 8192), 0);
	ASSERT_ERR(one(&f, (struct disk_request){ .op = DISK_FLUSH }), 0);
	ASSERT_ERR(transfer(&f, DISK_READ, out, sizeof out, 8192), 0);
	ASSERT_MEM(out, in, sizeof in);
	tear_down(&f);
}

TEST(five_hundred_requests_at_once_all_come_back)
{
	struct fixture f;
	static struct disk_request request[500];
	static struct iovec iov[500];
	static u8 data[500][512];
	u8 out[512];

	ASSERT_OK(build(&f, MIB, false));
	for (unsigned i = 0; i < 500; i++) {
		memset(data[i], (int)i, sizeof data[i]);
		iov[i] = (struct iovec){ .iov_base = data[i], .iov_len = 512 };
		request[i] = (struct disk_request){ .op = DISK_WRITE,
						    .iov = &iov[i],
						    .iov_count = 1,
						    .size = 512,
						    .offset = i * 512 };
		submit(&f, &request[i]);
	}
	ASSERT_ERR(wait_all(&f), 0);
	ASSERT_EQ(disk_in_flight(f.disk), 0);
	ASSERT_ERR(transfer(&f, DISK_READ, out, 512, 333 * 512), 0);
	ASSERT_MEM(out, data[333], 512);
	tear_down(&f);
}

TEST(requests_beyond_the_end_or_between_sectors_are_refused)
{
	struct fixture f;
	u8 data[1024] = { 0 };

	ASSERT_OK(build(&f, MIB, false));
	ASSERT_ERR(transfer(&f, DISK_READ, data, 1024, MIB - 512), EINVAL);
	ASSERT_ERR(transfer(&f, DISK_WRITE, data, 512, MIB), EINVAL);
	ASSERT_ERR(transfer(&f, DISK_WRITE, data, 512, UINT64_MAX - 511), EINVAL);
	ASSERT_ERR(transfer(&f, DISK_READ, data, 512, 100), EINVAL);
	ASSERT_ERR(transfer(&f, DISK_READ, data, 100, 0), EINVAL);
	tear_down(&f);
}

TEST(read_only_disk_refuses_every_change)
{
	struct fixture f;
	u8 data[512] = { 0 };

	ASSERT_OK(build(&f, MIB, true));
	ASSERT_ERR(transfer(&f, DISK_WRITE, data, 512, 0), EROFS);
	ASSERT_ERR(one(&f, (struct disk_request){ .op = DISK_ZERO, .size = 512 }), EROFS);
	ASSERT_ERR(one(&f, (struct disk_request){ .op = DISK_TRIM, .size = 512 }), EROFS);
	ASSERT_ERR(one(&f, (struct disk_request){ .op = DISK_RESIZE, .size = 2 * MIB }),
		   EROFS);
	ASSERT_ERR(transfer(&f, DISK_READ, data, 512, 0), 0);
	tear_down(&f);
}

TEST(disk_grows_while_it_is_open)
{
	struct fixture f;
	u8 data[512];

	ASSERT_OK(build(&f, MIB, false));
	ASSERT_ERR(one(&f, (struct disk_request){ .op = DISK_RESIZE, .size = 2 * MIB }),
		   0);
	ASSERT_EQ(disk_info(f.disk)->size, 2 * MIB);
	ASSERT_ERR(transfer(&f, DISK_READ, data, 512, 2 * MIB - 512), 0);
	ASSERT_ERR(one(&f, (struct disk_request){ .op = DISK_RESIZE, .size = MIB }),
		   EINVAL);
	tear_down(&f);
}

TEST(zeroed_and_trimmed_bytes_read_as_zeros)
{
	struct fixture f;
	static u8 data[65536], zeros[65536];

	memset(data, 0xff, sizeof data);
	ASSERT_OK(build(&f, MIB, false));
	ASSERT_ERR(transfer(&f, DISK_WRITE, data, sizeof data, 0), 0);
	ASSERT_ERR(one(&f, (struct disk_request){ .op = DISK_ZERO,
						  .offset = 512,
						  .size = 32768,
						  .flags = DISK_FUA }),
		   0);
	ASSERT_ERR(transfer(&f, DISK_READ, data, 65536, 0), 0);
	ASSERT_EQ(data[511], 0xff);
	ASSERT_MEM(data + 512, zeros, 32768);
	ASSERT_EQ(data[512 + 32768], 0xff);
	tear_down(&f);
}

static void on_opened(void *owner, int r, struct disk *disk, const struct err *err)
{
	struct fixture *f = owner;

	f->last = r;
	f->other = disk;
	f->why = *err;
	loop_stop(f->loop);
}

static void on_closed(void *owner, int r)
{
	struct fixture *f = owner;

	f->last = r;
	loop_stop(f->loop);
}

TEST(disks_open_and_close_without_anybody_waiting)
{
	struct fixture f;
	int fd = memfd_create("other", MFD_CLOEXEC);
	struct disk_level level = { .fd = fd, .name = "b.vhdx", .format = DISK_VHDX };
	const struct disk_open open = { .level = &level, .level_count = 1 };
	struct err err = { 0 };

	ASSERT_OK(build(&f, MIB, false));
	ASSERT_ERR(ftruncate(fd, MIB), 0);
	ASSERT_ERR(disk_open_start(f.pool, &open, on_opened, &f, &err), 0);
	ASSERT_ERR(loop_run(f.loop), 0);
	ASSERT(f.last < 0);
	ASSERT(!f.other);
	ASSERT(strncmp(f.why.text, "disk 'b.vhdx': ", 15) == 0);
	/* The descriptor went with the failure. */
	ASSERT_EQ(fcntl(fd, F_GETFD), -1);

	level = (struct disk_level){ .fd = memfd_create("c", MFD_CLOEXEC), .name = "c" };
	ASSERT_ERR(ftruncate(level.fd, 2 * MIB), 0);
	ASSERT_ERR(disk_open_start(f.pool, &open, on_opened, &f, &err), 0);
	ASSERT_ERR(loop_run(f.loop), 0);
	ASSERT_ERR(f.last, 0);
	ASSERT_EQ(disk_info(f.other)->size, 2 * MIB);
	disk_close_start(f.other, on_closed, &f);
	ASSERT_ERR(loop_run(f.loop), 0);
	ASSERT_ERR(f.last, 0);
	ASSERT_EQ(fcntl(level.fd, F_GETFD), -1);
	tear_down(&f);
}

TEST(format_comes_from_the_end_of_the_name)
{
	ASSERT_EQ(disk_format_of_name("a.vhdx"), DISK_VHDX);
	ASSERT_EQ(disk_format_of_name("A.VHD"), DISK_VHD);
	ASSERT_EQ(disk_format_of_name("x.avhdx"), DISK_VHDX);
	ASSERT_EQ(disk_format_of_name("x.avhd"), DISK_VHD);
	ASSERT_EQ(disk_format_of_name("debian.iso"), DISK_ISO);
	ASSERT_EQ(disk_format_of_name("disk.img"), DISK_RAW);
	ASSERT_EQ(disk_format_of_name(".vhd"), DISK_RAW);
	ASSERT_EQ(disk_format_of_name("vhdx"), DISK_RAW);
}
