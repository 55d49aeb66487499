/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many requests at once on one image, through the threads of the pool: writes, flushes, zeros, trims
 * and growth together, each writer on sectors of its own, so that the end is known.
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "disk/copy.h"
#include "disk/create.h"
#include "disk/disk.h"
#include "unit/harness.h"

#define MIB (1ull << 20)
#define LANES 24
#define LANE_SIZE 65536u
#define ROUNDS 30

struct bench;
/* One request after another over lanes that lie far apart. */
struct lane {
	struct bench *bench;
	struct disk_request request;
	struct iovec iov;
	u8 data[LANE_SIZE];
	u64 offset;
	unsigned round;
	bool zeros;
};
struct bench {
	struct loop *loop;
	struct disk_pool *pool;
	struct disk *disk;
	struct lane lane[LANES];
	struct disk_request flush;
	unsigned busy, flushes;
	int failed;
};

static void make_next(struct lane *l)
{
	enum disk_op op = l->round % 7 == 6 ? DISK_ZERO : DISK_WRITE;

	l->zeros = op == DISK_ZERO;
	memset(l->data, (int)(l->round * 31 + l->offset / LANE_SIZE + 1), sizeof l->data);
	l->iov = (struct iovec){ .iov_base = l->data, .iov_len = sizeof l->data };
	l->request.op = op;
	l->request.offset = l->offset;
	l->request.size = LANE_SIZE;
	l->request.iov = &l->iov;
	l->request.iov_count = 1;
	l->request.flags = l->round % 5 == 4 ? DISK_FUA : 0;
}

static void end_one(struct bench *b, int r)
{
	if (r < 0)
		b->failed = r;
	if (--b->busy == 0)
		loop_stop(b->loop);
}

/* Every second lane tries without the threads first. */
static void next_of_lane(struct lane *l)
{
	bool at_once = (l - l->bench->lane) % 2;

	for (; l->round < ROUNDS; l->round++) {
		make_next(l);
		if (at_once && disk_do_now(l->bench->disk, &l->request))
			continue;
		disk_submit(l->bench->disk, &l->request);
		return;
	}
	end_one(l->bench, 0);
}

static void on_lane(struct disk_request *request, int r)
{
	struct lane *l = request->owner;

	l->round++;
	if (r < 0)
		end_one(l->bench, r);
	else
		next_of_lane(l);
}

/* Flushes, trims beside the lanes, and one growth, for as long as there are lanes. */
static void on_flush(struct disk_request *request, int r)
{
	struct bench *b = request->owner;

	if (r < 0 || b->busy == 1) {
		end_one(b, r);
		return;
	}
	b->flushes++;
	*request =
		(struct disk_request){ .op = DISK_FLUSH, .done = on_flush, .owner = b };
	if (b->flushes % 3 == 0) {
		request->op = DISK_TRIM;
		request->offset = 300 * MIB;
		request->size = 8 * MIB;
	}
	if (b->flushes == 10) {
		request->op = DISK_RESIZE;
		request->offset = 0;
		request->size = 600 * MIB;
	}
	disk_submit(b->disk, request);
}

static bool make_image(int fd, const struct image_create *create)
{
	struct storage *s;
	struct err err = { 0 };

	CHECK_ERR(storage_open_file(fd, false, 0, &s), 0);
	CHECK_ERR(image_create(s, create, &err), 0);
	storage_close(s);
	return true;
}

static bool open_disk(struct bench *b, const int *fd, unsigned levels,
		      enum disk_format format)
{
	struct disk_level level[2];
	struct disk_open open = { .level = level, .level_count = levels };
	struct err err = { 0 };

	for (unsigned i = 0; i < levels; i++)
		level[i] = (struct disk_level){ .fd = fcntl(fd[i], F_DUPFD_CLOEXEC, 3),
						.name = "a",
						.format = format };
	CHECK_ERR(disk_open(b->pool, &open, &b->disk, &err), 0);
	return true;
}

static bool run_lanes(struct bench *b)
{
	for (unsigned i = 0; i < LANES; i++) {
		struct lane *l = &b->lane[i];

		*l = (struct lane){ .bench = b,
				    .request = { .done = on_lane, .owner = l },
				    .offset = i * 12 * MIB + i * LANE_SIZE };
		b->busy++;
		next_of_lane(l);
	}
	b->busy++;
	b->flush =
		(struct disk_request){ .op = DISK_FLUSH, .done = on_flush, .owner = b };
	disk_submit(b->disk, &b->flush);
	CHECK_ERR(loop_run(b->loop), 0);
	CHECK_EQ(b->failed, 0);
	return true;
}

static int last_result;

static void on_read(struct disk_request *request, int r)
{
	last_result = r;
	loop_stop(request->owner);
}

static bool compare_lanes(struct bench *b)
{
	static u8 now[LANE_SIZE], zeros[LANE_SIZE];

	for (unsigned i = 0; i < LANES; i++) {
		struct iovec iov = { .iov_base = now, .iov_len = sizeof now };
		struct disk_request rq = { .op = DISK_READ,
					   .offset = b->lane[i].offset,
					   .size = LANE_SIZE,
					   .iov = &iov,
					   .iov_count = 1,
					   .done = on_read,
					   .owner = b->loop };

		if (i % 2 == 0 || !disk_do_now(b->disk, &rq)) {
			disk_submit(b->disk, &rq);
			CHECK_ERR(loop_run(b->loop), 0);
			CHECK_ERR(last_result, 0);
		}
		CHECK_MEM(now, b->lane[i].zeros ? zeros : b->lane[i].data, LANE_SIZE);
	}
	return true;
}

static bool lanes_hold(enum disk_format format, enum image_type type, u32 block)
{
	static struct bench b;
	const struct disk_pool_config config = { .threads = 6, .ring = true };
	struct image_create create = { .format = format,
				       .type = type == IMAGE_DIFFERENCING ? IMAGE_DYNAMIC
									  : type,
				       .size = 400 * MIB,
				       .block_size = block };
	int fd[2] = { memfd_create("leaf", MFD_CLOEXEC),
		      memfd_create("root", MFD_CLOEXEC) };
	unsigned levels = type == IMAGE_DIFFERENCING ? 2 : 1;
	struct err err = { 0 };

	memset(&b, 0, sizeof b);
	CHECK_OK(make_image(fd[levels - 1], &create));
	if (levels == 2) {
		struct storage *s;

		CHECK_ERR(storage_open_file(fd[1], true, 0, &s), 0);
		CHECK_ERR(image_open(format, s, true, &create.parent, &err), 0);
		create.type = IMAGE_DIFFERENCING;
		create.parent_relative = "./root";
		CHECK_OK(make_image(fd[0], &create));
		image_abandon(create.parent);
	}
	CHECK_ERR(loop_new(&b.loop), 0);
	CHECK_ERR(disk_pool_new(b.loop, &config, &b.pool, &err), 0);
	CHECK_OK(open_disk(&b, fd, levels, format));
	CHECK_OK(run_lanes(&b));
	CHECK_EQ(disk_info(b.disk)->size, b.flushes >= 10 ? 600 * MIB : 400 * MIB);
	CHECK_OK(compare_lanes(&b));
	CHECK_ERR(disk_close(b.disk), 0);
	CHECK_OK(open_disk(&b, fd, levels, format));
	CHECK_OK(compare_lanes(&b));
	CHECK_ERR(disk_close(b.disk), 0);
	disk_pool_free(b.pool);
	loop_free(b.loop);
	close(fd[0]);
	close(fd[1]);
	return true;
}

TEST_TIMEOUT(requests_at_once_on_a_dynamic_vhdx_all_hold, 60)
{
	ASSERT_OK(lanes_hold(DISK_VHDX, IMAGE_DYNAMIC, 1 << 20));
}

TEST_TIMEOUT(requests_at_once_on_a_differencing_vhdx_all_hold, 60)
{
	ASSERT_OK(lanes_hold(DISK_VHDX, IMAGE_DIFFERENCING, 1 << 20));
}

TEST_TIMEOUT(requests_at_once_on_a_dynamic_vhd_all_hold, 60)
{
	ASSERT_OK(lanes_hold(DISK_VHD, IMAGE_DYNAMIC, 0));
}

TEST_TIMEOUT(requests_at_once_on_a_differencing_vhd_all_hold, 60)
{
	ASSERT_OK(lanes_hold(DISK_VHD, IMAGE_DIFFERENCING, 0));
}
