/* SPDX-License-Identifier: Apache-2.0 */
/* Devices for test kernels; see test_devices.h. */
#include "machine/test_devices.h"

#include <errno.h>

#include "base/ipc.h"
#include "base/log.h"
#include "base/loop.h"
#include "wall/guest_memory.h"
#include "wall/worker_end.h"

enum {
	PORT_DISK = 0x3100,
	PORT_STRING = 0x3120,
	PORT_POSTED = 0x3130,
	PORT_BELL = 0x3140,
	BELL_VALUE = 7,
	BELL_CONNECTION = 0x2345,
	BELL_MSI = 0, /* number of its MSI event */
	DISK_LINE = 11,
	DISK_MAX = 1 << 20,
	STRING_BYTES = 8192,
	LATCH_SIZE = 4096,
};
#define LATCH_GPA 0xfe800000u

enum disk_status { DISK_IDLE, DISK_BUSY, DISK_DONE, DISK_FAILED };
enum { DISK_START = 1, DISK_ACKNOWLEDGE = 2 };

struct disk {
	u32 pattern, address_low, address_high, length, interrupt;
	enum disk_status status;
	u32 done;
	bool line;
	int work; /* eventfd: a command waits */
	struct loop_watch *watch;
};

struct test_devices {
	struct worker_end *end;
	struct guest_memory *gm;
	struct disk disk;
	struct {
		u8 bytes[STRING_BYTES];
		u32 head, tail; /* free-running */
		u32 crossings;
	} string;
	struct {
		u32 sum, count;
	} posted;
	struct {
		int event;	/* the guest rings it */
		int interrupt;	/* rings the guest, where the engine watches it */
		bool by_engine; /* ... which it does */
		struct loop_watch *watch;
		u32 rings, others, vector;
	} bell;
	u8 latch[LATCH_SIZE];
};

/* ---- the disk ---- */

static void disk_set_line(struct test_devices *d, bool level)
{
	if (d->disk.line == level)
		return;
	d->disk.line = level;
	if (worker_set_line(d->end, DISK_LINE, level) < 0)
		log_warn("test disk: the hypervisor takes no interrupts, so this one is "
			 "lost");
}

/* As a disk: payload first, then what tells the guest that it is there. */
static void disk_work(struct test_devices *d)
{
	struct disk *k = &d->disk;
	u64 gpa = (u64)k->address_high << 32 | k->address_low, ticket = 0;
	u8 code[8] = { 0xb8, 0, 0, 0, 0, 0xc3, 0x90, 0x90 };
	u8 *to = NULL;

	if (k->length > 0 && k->length <= DISK_MAX && k->length % sizeof code == 0)
		to = gm_pin(d->gm, gpa, k->length);
	if (!to) {
		k->status = DISK_FAILED;
		return;
	}
	memcpy(code + 1, &k->pattern, sizeof k->pattern);
	for (u32 i = 0; i < k->length; i += sizeof code)
		memcpy(to + i, code, sizeof code);
	gm_written(d->gm, gpa, k->length, &ticket);
	if (gm_wait_published(d->gm, ticket) < 0) {
		log_warn("test disk: the hypervisor flushes no code, so the read fails");
		k->status = DISK_FAILED;
		return;
	}
	k->status = DISK_DONE;
	k->done++;
	if (k->interrupt)
		disk_set_line(d, true);
}

static void on_disk_work(void *owner, unsigned events)
{
	struct test_devices *d = owner;

	if (ipc_event_clear(d->disk.work) && d->disk.status == DISK_BUSY)
		disk_work(d);
}

static void disk_command(struct test_devices *d, u32 command)
{
	switch (command) {
	case DISK_START:
		if (d->disk.status == DISK_BUSY)
			return;
		d->disk.status = DISK_BUSY;
		ipc_event_ring(d->disk.work);
		return;
	case DISK_ACKNOWLEDGE:
		disk_set_line(d, false);
		return;
	}
}

static u64 disk_read(void *owner, u64 offset, unsigned size)
{
	struct test_devices *d = owner;

	switch (offset) {
	case 0x10:
		return d->disk.status;
	case 0x18:
		return d->disk.done;
	}
	return UINT64_MAX;
}

static void disk_write(void *owner, u64 offset, unsigned size, u64 value)
{
	struct test_devices *d = owner;
	u32 v = (u32)value;

	/* The registers hold still while the disk works from them. */
	if (d->disk.status == DISK_BUSY && offset != 0x10)
		return;
	switch (offset) {
	case 0x00:
		d->disk.pattern = v;
		return;
	case 0x04:
		d->disk.address_low = v;
		return;
	case 0x08:
		d->disk.address_high = v;
		return;
	case 0x0c:
		d->disk.length = v;
		return;
	case 0x10:
		disk_command(d, v);
		return;
	case 0x14:
		d->disk.interrupt = v & 1;
		return;
	}
}

/* ---- the string port ---- */

static void string_put(struct test_devices *d, u64 value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		if (d->string.head - d->string.tail < STRING_BYTES)
			d->string.bytes[d->string.head++ % STRING_BYTES] =
				(u8)(value >> (8 * i));
}

static u64 string_take(struct test_devices *d, unsigned size)
{
	u64 value = 0;

	for (unsigned i = 0; i < size; i++)
		if (d->string.head != d->string.tail)
			value |= (u64)d->string.bytes[d->string.tail++ % STRING_BYTES]
				 << (8 * i);
	return value;
}

static u64 string_read(void *owner, u64 offset, unsigned size)
{
	struct test_devices *d = owner;

	return offset == 0   ? string_take(d, size)
	       : offset == 4 ? d->string.crossings
			     : UINT64_MAX;
}

static void string_write(void *owner, u64 offset, unsigned size, u64 value)
{
	if (offset == 0)
		string_put(owner, value, size);
}

static void string_read_many(void *owner, u64 offset, unsigned size, unsigned count,
			     u8 *ret_data)
{
	struct test_devices *d = owner;

	d->string.crossings++;
	for (unsigned i = 0; i < count; i++) {
		u64 value = string_read(d, offset, size);

		memcpy(ret_data + (size_t)i * size, &value, size);
	}
}

static void string_write_many(void *owner, u64 offset, unsigned size, unsigned count,
			      const u8 *data)
{
	struct test_devices *d = owner;

	d->string.crossings++;
	for (unsigned i = 0; i < count; i++) {
		u64 value = 0;

		memcpy(&value, data + (size_t)i * size, size);
		string_write(d, offset, size, value);
	}
}

/* ---- the posted port ---- */

static u64 posted_read(void *owner, u64 offset, unsigned size)
{
	struct test_devices *d = owner;

	return offset == 0 ? d->posted.sum : offset == 4 ? d->posted.count : UINT64_MAX;
}

static void posted_write(void *owner, u64 offset, unsigned size, u64 value)
{
	struct test_devices *d = owner;

	if (offset != 0)
		return;
	d->posted.sum = d->posted.sum * 31 + (u32)value;
	d->posted.count++;
}

/* ---- the bell ---- */

/* Take what the eventfd counted. */
static u32 bell_take(struct test_devices *d)
{
	u64 count = 0;

	if (read(d->bell.event, &count, sizeof count) != sizeof count)
		return 0;
	d->bell.rings += (u32)count;
	return (u32)count;
}

static u64 bell_address(void)
{
	return 0xfee00000u; /* APIC 0, physical */
}

static void on_bell(void *owner, unsigned events)
{
	struct test_devices *d = owner;

	if (bell_take(d) == 0 || d->bell.vector == 0)
		return;
	if (d->bell.by_engine)
		ipc_event_ring(d->bell.interrupt);
	else if (worker_msi(d->end, bell_address(), d->bell.vector) < 0)
		log_warn("the bell: the hypervisor takes no interrupts");
}

static void bell_set_vector(struct test_devices *d, u32 vector)
{
	struct err err;
	int r = 0;

	if (d->bell.by_engine)
		r = worker_msi_event(d->end, BELL_MSI, 0, 0, -1, &err);
	d->bell.by_engine = false;
	d->bell.vector = vector;
	if (r == 0 && vector)
		r = worker_msi_event(d->end, BELL_MSI, bell_address(), vector,
				     d->bell.interrupt, &err);
	if (r < 0 && r != -EOPNOTSUPP)
		log_warn("the bell: %s", err.text);
	d->bell.by_engine = vector && r == 0;
}

static u64 bell_read(void *owner, u64 offset, unsigned size)
{
	struct test_devices *d = owner;

	switch (offset) {
	case 0x4:
		/* Whoever waits for an interrupt reads nothing: the loop may come first. */
		(void)bell_take(d);
		return d->bell.rings;
	case 0x8:
		return d->bell.others;
	case 0xc:
		return d->bell.by_engine;
	}
	return UINT64_MAX;
}

static void bell_write(void *owner, u64 offset, unsigned size, u64 value)
{
	struct test_devices *d = owner;

	if (offset == 0)
		d->bell.others++;
	else if (offset == 0xc)
		bell_set_vector(d, (u32)value & 0xff);
}

/* ---- the latch ---- */

static u64 latch_read(void *owner, u64 offset, unsigned size)
{
	struct test_devices *d = owner;
	u64 value = UINT64_MAX;

	if (offset <= LATCH_SIZE - size)
		memcpy(&value, d->latch + offset, size);
	return value;
}

static void latch_write(void *owner, u64 offset, unsigned size, u64 value)
{
	struct test_devices *d = owner;

	if (offset <= LATCH_SIZE - size)
		memcpy(d->latch + offset, &value, size);
}

/* ---- life ---- */

static const struct worker_range_ops disk_ops = { .read = disk_read,
						  .write = disk_write };
static const struct worker_range_ops string_ops = {
	.read = string_read,
	.write = string_write,
	.read_string = string_read_many,
	.write_string = string_write_many,
};
static const struct worker_range_ops posted_ops = {
	.read = posted_read,
	.write = posted_write,
};
static const struct worker_range_ops bell_ops = { .read = bell_read,
						  .write = bell_write };
static const struct worker_range_ops latch_ops = { .read = latch_read,
						   .write = latch_write };

int test_devices_new(struct worker_end *end, struct guest_memory *gm, struct loop *loop,
		     struct test_devices **ret_devices, struct err *err)
{
	struct test_devices *d = calloc(1, sizeof *d);
	int r;

	if (!d)
		return err_set(err, -ENOMEM, "test devices: %s", err_words(-ENOMEM));
	d->end = end;
	d->gm = gm;
	d->disk.work = ipc_event_new();
	r = d->disk.work;
	if (r >= 0)
		r = loop_watch_add(loop, d->disk.work, LOOP_READ, on_disk_work, d,
				   &d->disk.watch);
	d->bell.event = ipc_event_new();
	d->bell.interrupt = ipc_event_new();
	if (r >= 0)
		r = d->bell.event < 0 ? d->bell.event : d->bell.interrupt;
	if (r >= 0)
		r = loop_watch_add(loop, d->bell.event, LOOP_READ, on_bell, d,
				   &d->bell.watch);
	if (r < 0) {
		test_devices_free(d);
		return err_set(err, r, "test devices: %s", err_words(r));
	}
	*ret_devices = d;
	return 0;
}

int test_devices_connect(struct test_devices *d, struct err *err)
{
	const struct worker_range ranges[] = {
		{ .base = PORT_DISK, .size = 0x20, .ops = &disk_ops },
		{ .base = PORT_STRING, .size = 8, .ops = &string_ops },
		{ .base = PORT_POSTED, .size = 8, .ops = &posted_ops, .posted = true },
		{ .base = PORT_BELL, .size = 0x10, .ops = &bell_ops },
		{ .base = LATCH_GPA, .size = LATCH_SIZE, .ops = &latch_ops, .mmio = true },
	};

	for (unsigned i = 0; i < ARRAY_COUNT(ranges); i++) {
		struct worker_range range = ranges[i];

		range.owner = d;
		int r = worker_add_range(d->end, &range, err);
		if (r < 0)
			return err_wrap(err, "test devices");
	}
	const struct worker_doorbell bell = { .address = PORT_BELL,
					      .size = 4,
					      .match = BELL_VALUE };

	int r = worker_doorbell(d->end, &bell, d->bell.event, err);
	if (r == 0)
		r = worker_connect(d->end, BELL_CONNECTION, d->bell.event, err);
	return r < 0 ? err_wrap(err, "test devices") : 0;
}

void test_devices_free(struct test_devices *d)
{
	if (!d)
		return;
	loop_watch_remove(d->disk.watch);
	loop_watch_remove(d->bell.watch);
	if (d->disk.work >= 0)
		close(d->disk.work);
	if (d->bell.event >= 0)
		close(d->bell.event);
	if (d->bell.interrupt >= 0)
		close(d->bell.interrupt);
	free(d);
}

void test_devices_reset(struct test_devices *d)
{
	int work = d->disk.work;
	struct loop_watch *watch = d->disk.watch;

	disk_set_line(d, false);
	d->disk = (struct disk){ .work = work, .watch = watch };
	d->string.head = d->string.tail = d->string.crossings = 0;
	d->posted.sum = d->posted.count = 0;
	bell_set_vector(d, 0);
	(void)bell_take(d);
	d->bell.rings = d->bell.others = 0;
	memset(d->latch, 0, sizeof d->latch);
}
