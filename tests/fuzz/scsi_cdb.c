/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands to a disk and to a DVD drive with a medium. The input is a row of commands: direction,
 * sizes, 16 bytes of CDB, data. Each ends once, with no more moved than there was room.
 */
#include <sys/mman.h>

#include "scsi/bus.h"

struct state {
	struct loop *loop;
	struct disk_pool *pool;
	struct scsi_bus bus;
	struct disk *medium; /* in the drive, until the guest presses eject */
	unsigned done;
	bool waiting;
};

static void require(bool ok)
{
	if (!ok)
		abort();
}

static struct disk *new_disk(struct state *s, u64 size, enum disk_format format)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);
	const struct disk_level level = { .fd = fd, .name = "fuzz", .format = format };
	const struct disk_open open = { .level = &level,
					.level_count = 1,
					.read_only = format == DISK_ISO };
	struct err err = { 0 };
	struct disk *disk;

	require(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	require(disk_open(s->pool, &open, &disk, &err) == 0);
	return disk;
}

static void start(struct state *s)
{
	const struct disk_pool_config pool = { .threads = 1 };
	struct scsi_unit_config unit = { 0 };
	struct err err = { 0 };

	require(loop_new(&s->loop) == 0);
	require(disk_pool_new(s->loop, &pool, &s->pool, &err) == 0);
	unit.disk = new_disk(s, 8 << 20, DISK_RAW);
	require(scsi_unit_new(&unit, &s->bus.unit[0]) == 0);
	unit.dvd = true;
	unit.disk = s->medium = new_disk(s, 1 << 20, DISK_ISO);
	require(scsi_unit_new(&unit, &s->bus.unit[1]) == 0);
}

static void on_done(struct scsi_command *c)
{
	struct state *s = c->owner;

	s->done++;
	if (s->waiting)
		loop_stop(s->loop);
}

static void on_medium(void *owner) {}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct state s;
	static u8 room[16384];

	if (!s.loop)
		start(&s);
	if (!s.bus.unit[1]->disk)
		scsi_unit_set_medium(s.bus.unit[1], s.medium, on_medium, NULL);
	while (size >= 20) {
		struct iovec iov[2];
		struct scsi_command c = {
			.cdb_size = 1 + data[1] % 16,
			.direction = (enum scsi_direction)(data[0] % 3),
			.size = (u32)data[2] * 32,
			.iov = iov,
			.iov_count = 2,
			.done = on_done,
			.owner = &s,
		};
		u32 n = (u32)min_u64(data[3], size - 20), first = c.size / 3;

		iov[0] = (struct iovec){ room, first };
		iov[1] = (struct iovec){ room + 4096 - first % 512, c.size - first };
		memcpy(room, data + 20, n);
		memcpy(c.cdb, data + 4, c.cdb_size);
		s.done = 0;
		scsi_bus_execute(&s.bus, 0, 0, data[0] >> 6, &c);
		s.waiting = true;
		if (s.done == 0)
			require(loop_run(s.loop) == 0);
		s.waiting = false;
		require(s.done == 1 && c.moved <= c.size && c.buffer == NULL);
		require(c.status != SCSI_CHECK_CONDITION || c.sense_size > 0);
		data += 20 + n;
		size -= 20 + n;
	}
	return 0;
}
