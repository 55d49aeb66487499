/* SPDX-License-Identifier: Apache-2.0 */
/* disk.h on a loop of its own: requests, completions, sizes, formats by name. */
#include <fcntl.h>
#include <sys/mman.h>

#include "unit/disk_asked.h"
#include "unit/harness.h"

#define MIB (1ull << 20)

static bool build(struct asked_disk *a, u64 size, bool read_only)
{
	struct err err = { 0 };
	const struct disk_pool_config config = { .threads = 3 };
	int fd = memfd_create("disk", MFD_CLOEXEC);
	const struct disk_level level = { .fd = fd, .name = "a.img" };
	const struct disk_open open = { .level = &level,
					.level_count = 1,
					.read_only = read_only };

	CHECK_ERR(ftruncate(fd, (off_t)size), 0);
	CHECK_ERR(asked_open(a, &config, &open, &err), 0);
	return true;
}

static void tear_down(struct asked_disk *a)
{
	EXPECT_EQ(asked_close(a), 0);
}

TEST(what_was_written_is_read)
{
	struct asked_disk a;
	u8 in[4096], out[4096] = { 0 };

	memset(in, 0x5a, sizeof in);
	ASSERT_OK(build(&a, MIB, false));
	ASSERT_ERR(asked_transfer(&a, DISK_WRITE, in, sizeof in, 8192), 0);
	ASSERT_ERR(asked_do(&a, (struct disk_request){ .op = DISK_FLUSH }), 0);
	ASSERT_ERR(asked_transfer(&a, DISK_READ, out, sizeof out, 8192), 0);
	ASSERT_MEM(out, in, sizeof in);
	tear_down(&a);
}

TEST(five_hundred_requests_at_once_all_come_back)
{
	struct asked_disk a;
	static u8 data[500][512];
	u8 out[512];

	ASSERT_OK(build(&a, MIB, false));
	ASSERT_ERR(asked_write_at_once(&a, data, 500, 512), 0);
	ASSERT_EQ(disk_in_flight(a.disk), 0);
	ASSERT_ERR(asked_transfer(&a, DISK_READ, out, 512, 333 * 512), 0);
	ASSERT_MEM(out, data[333], 512);
	tear_down(&a);
}

TEST(requests_beyond_the_end_or_between_sectors_are_refused)
{
	struct asked_disk a;
	u8 data[1024] = { 0 };

	ASSERT_OK(build(&a, MIB, false));
	ASSERT_ERR(asked_transfer(&a, DISK_READ, data, 1024, MIB - 512), EINVAL);
	ASSERT_ERR(asked_transfer(&a, DISK_WRITE, data, 512, MIB), EINVAL);
	ASSERT_ERR(asked_transfer(&a, DISK_WRITE, data, 512, UINT64_MAX - 511), EINVAL);
	ASSERT_ERR(asked_transfer(&a, DISK_READ, data, 512, 100), EINVAL);
	ASSERT_ERR(asked_transfer(&a, DISK_READ, data, 100, 0), EINVAL);
	tear_down(&a);
}

TEST(read_only_disk_refuses_every_change)
{
	struct asked_disk a;
	u8 data[512] = { 0 };

	ASSERT_OK(build(&a, MIB, true));
	ASSERT_ERR(asked_transfer(&a, DISK_WRITE, data, 512, 0), EROFS);
	ASSERT_ERR(asked_do(&a, (struct disk_request){ .op = DISK_ZERO, .size = 512 }),
		   EROFS);
	ASSERT_ERR(asked_do(&a, (struct disk_request){ .op = DISK_TRIM, .size = 512 }),
		   EROFS);
	ASSERT_ERR(asked_do(&a,
			    (struct disk_request){ .op = DISK_RESIZE, .size = 2 * MIB }),
		   EROFS);
	ASSERT_ERR(asked_transfer(&a, DISK_READ, data, 512, 0), 0);
	tear_down(&a);
}

TEST(disk_grows_while_it_is_open)
{
	struct asked_disk a;
	u8 data[512];

	ASSERT_OK(build(&a, MIB, false));
	ASSERT_ERR(asked_do(&a,
			    (struct disk_request){ .op = DISK_RESIZE, .size = 2 * MIB }),
		   0);
	ASSERT_EQ(disk_info(a.disk)->size, 2 * MIB);
	ASSERT_ERR(asked_transfer(&a, DISK_READ, data, 512, 2 * MIB - 512), 0);
	ASSERT_ERR(asked_do(&a, (struct disk_request){ .op = DISK_RESIZE, .size = MIB }),
		   EINVAL);
	tear_down(&a);
}

TEST(zeroed_and_trimmed_bytes_read_as_zeros)
{
	struct asked_disk a;
	static u8 data[65536], zeros[65536];

	memset(data, 0xff, sizeof data);
	ASSERT_OK(build(&a, MIB, false));
	ASSERT_ERR(asked_transfer(&a, DISK_WRITE, data, sizeof data, 0), 0);
	ASSERT_ERR(asked_do(&a, (struct disk_request){ .op = DISK_ZERO,
						       .offset = 512,
						       .size = 32768,
						       .flags = DISK_FUA }),
		   0);
	ASSERT_ERR(asked_transfer(&a, DISK_READ, data, 65536, 0), 0);
	ASSERT_EQ(data[511], 0xff);
	ASSERT_MEM(data + 512, zeros, 32768);
	ASSERT_EQ(data[512 + 32768], 0xff);
	tear_down(&a);
}

struct opening {
	struct loop *loop;
	int result;
	struct disk *disk;
	struct err why;
};

static void on_opened(void *owner, int r, struct disk *disk, const struct err *err)
{
	struct opening *o = owner;

	o->result = r;
	o->disk = disk;
	o->why = *err;
	loop_stop(o->loop);
}

static void on_closed(void *owner, int r)
{
	struct opening *o = owner;

	o->result = r;
	loop_stop(o->loop);
}

TEST(disks_open_and_close_without_anybody_waiting)
{
	struct asked_disk a;
	struct opening o = { 0 };
	int fd = memfd_create("other", MFD_CLOEXEC);
	struct disk_level level = { .fd = fd, .name = "b.vhdx", .format = DISK_VHDX };
	const struct disk_open open = { .level = &level, .level_count = 1 };
	struct err err = { 0 };

	ASSERT_OK(build(&a, MIB, false));
	o.loop = a.loop;
	ASSERT_ERR(ftruncate(fd, MIB), 0);
	ASSERT_ERR(disk_open_start(a.pool, &open, on_opened, &o, &err), 0);
	ASSERT_ERR(loop_run(a.loop), 0);
	ASSERT(o.result < 0);
	ASSERT(!o.disk);
	ASSERT(strncmp(o.why.text, "disk 'b.vhdx': ", 15) == 0);
	/* The descriptor went with the failure. */
	ASSERT_EQ(fcntl(fd, F_GETFD), -1);

	level = (struct disk_level){ .fd = memfd_create("c", MFD_CLOEXEC), .name = "c" };
	ASSERT_ERR(ftruncate(level.fd, 2 * MIB), 0);
	ASSERT_ERR(disk_open_start(a.pool, &open, on_opened, &o, &err), 0);
	ASSERT_ERR(loop_run(a.loop), 0);
	ASSERT_ERR(o.result, 0);
	ASSERT_EQ(disk_info(o.disk)->size, 2 * MIB);
	disk_close_start(o.disk, on_closed, &o);
	ASSERT_ERR(loop_run(a.loop), 0);
	ASSERT_ERR(o.result, 0);
	ASSERT_EQ(fcntl(level.fd, F_GETFD), -1);
	tear_down(&a);
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
