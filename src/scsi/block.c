/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands about blocks: capacity, read, write, verify, synchronize, unmap, write same. SBC-3.
 * Every block number and count of the initiator goes through find_blocks.
 */
#include <errno.h>

#include "base/checked.h"
#include "scsi/execute.h"

/* A pattern is written in pieces of this many bytes. */
#define WRITE_SAME_PIECE (64u << 10)

/* ---- capacity ---- */

static u64 block_count(const struct scsi_unit *unit)
{
	const struct disk_info *info = disk_info(unit->disk);

	return info->size / info->logical_block;
}

void scsi_read_capacity_10(struct scsi_unit *unit, struct scsi_command *c)
{
	u64 count = block_count(unit);
	u8 data[8];

	if (count == 0) {
		scsi_fail(c, SENSE_NOT_READY, ASC_NO_MEDIUM);
		return;
	}
	be32_put(data, (u32)min_u64(count - 1, UINT32_MAX));
	be32_put(data + 4, disk_info(unit->disk)->logical_block);
	scsi_reply(c, data, sizeof data, sizeof data);
}

void scsi_service_action_in(struct scsi_unit *unit, struct scsi_command *c)
{
	const struct disk_info *info = disk_info(unit->disk);
	u8 data[32] = { 0 };
	u32 exponent = 0;

	if ((c->cdb[1] & 0x1f) != SCSI_SA_READ_CAPACITY_16) {
		scsi_bad_field(c);
		return;
	}
	if (block_count(unit) == 0) {
		scsi_fail(c, SENSE_NOT_READY, ASC_NO_MEDIUM);
		return;
	}
	while (exponent < 15 &&
	       info->logical_block << (exponent + 1) <= info->physical_block)
		exponent++;
	be64_put(data, block_count(unit) - 1);
	be32_put(data + 8, info->logical_block);
	data[13] = (u8)exponent;
	data[14] = info->thin ? 0x80 : 0; /* logical block provisioning */
	scsi_reply(c, data, sizeof data, be32_at(c->cdb + 10));
}

/* ---- which blocks ---- */

struct blocks {
	u64 offset, size; /* bytes */
};

/* Block number and count as the CDB's length has them. */
static void decode(const u8 *cdb, u64 *ret_lba, u32 *ret_count)
{
	switch (cdb[0] >> 5) {
	case 0:
		*ret_lba = be32_at(cdb) & 0x1fffff;
		*ret_count = cdb[4] ? cdb[4] : 256;
		return;
	case 1:
	case 2:
		*ret_lba = be32_at(cdb + 2);
		*ret_count = be16_at(cdb + 7);
		return;
	case 5:
		*ret_lba = be32_at(cdb + 2);
		*ret_count = be32_at(cdb + 6);
		return;
	default:
		*ret_lba = be64_at(cdb + 2);
		*ret_count = be32_at(cdb + 10);
	}
}

static bool find_blocks(const struct scsi_unit *unit, u64 lba, u64 count,
			struct blocks *ret_blocks)
{
	u32 block = disk_info(unit->disk)->logical_block;

	if (!range_inside(lba, count, block_count(unit)))
		return false;
	ret_blocks->offset = lba * block;
	ret_blocks->size = count * block;
	return true;
}

/* The command's blocks; where they lie outside the disk it has ended. */
static bool blocks_of(const struct scsi_unit *unit, struct scsi_command *c,
		      struct blocks *ret_blocks)
{
	u64 lba;
	u32 count;

	decode(c->cdb, &lba, &count);
	if (find_blocks(unit, lba, count, ret_blocks))
		return true;
	scsi_fail(c, SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
	return false;
}

static bool writable(struct scsi_unit *unit, struct scsi_command *c)
{
	if (!disk_info(unit->disk)->read_only)
		return true;
	scsi_fail(c, SENSE_DATA_PROTECT, ASC_WRITE_PROTECTED);
	return false;
}

/* ---- read and write ---- */

static void make_request(struct scsi_command *c, enum disk_op op, u32 flags,
			 const struct blocks *blocks,
			 void (*done)(struct disk_request *request, int r))
{
	c->request = (struct disk_request){
		.op = op,
		.flags = flags,
		.offset = blocks->offset,
		.size = blocks->size,
		.done = done,
		.owner = c,
	};
	if (op == DISK_READ || op == DISK_WRITE) {
		c->request.iov = c->iov;
		c->request.iov_count = c->iov_count;
	}
}

static void submit(struct scsi_unit *unit, struct scsi_command *c, enum disk_op op,
		   u32 flags, const struct blocks *blocks,
		   void (*done)(struct disk_request *request, int r))
{
	make_request(c, op, flags, blocks, done);
	disk_submit(unit->disk, &c->request);
}

static void on_moved(struct disk_request *request, int r)
{
	struct scsi_command *c = request->owner;
	struct scsi_unit_counters *n = &c->unit->counters;

	if (r < 0) {
		scsi_disk_failed(c, r);
		return;
	}
	c->moved = (u32)request->size;
	if (request->op == DISK_READ)
		n->read_bytes += request->size;
	else
		n->written_bytes += request->size;
	scsi_good(c);
}

/* Data of the initiator's, the shortest way. */
static void transfer(struct scsi_unit *unit, struct scsi_command *c, enum disk_op op,
		     u32 flags, const struct blocks *blocks)
{
	make_request(c, op, flags, blocks, on_moved);
	if (disk_do_now(unit->disk, &c->request))
		on_moved(&c->request, 0);
	else
		disk_submit(unit->disk, &c->request);
}

static void on_done(struct disk_request *request, int r)
{
	struct scsi_command *c = request->owner;

	if (r < 0)
		scsi_disk_failed(c, r);
	else
		scsi_good(c);
}

/* Data for exactly these blocks must have been offered. */
static bool fits(struct scsi_command *c, enum scsi_direction direction, u64 size)
{
	if (c->direction == direction && size <= c->size && scsi_trim_iov(c, (u32)size))
		return true;
	scsi_bad_field(c);
	return false;
}

void scsi_read(struct scsi_unit *unit, struct scsi_command *c)
{
	struct blocks b;

	unit->counters.reads++;
	if (!blocks_of(unit, c, &b))
		return;
	if (b.size == 0)
		scsi_good(c);
	else if (fits(c, SCSI_FROM_UNIT, b.size))
		transfer(unit, c, DISK_READ, 0, &b);
}

static bool wants_fua(const u8 *cdb)
{
	switch (cdb[0]) {
	case SCSI_WRITE_10:
	case SCSI_WRITE_12:
	case SCSI_WRITE_16:
		return cdb[1] & 8;
	case SCSI_WRITE_VERIFY_10:
	case SCSI_WRITE_VERIFY_12:
	case SCSI_WRITE_VERIFY_16:
		return true; /* what is verified is on the medium */
	}
	return false;
}

void scsi_write(struct scsi_unit *unit, struct scsi_command *c)
{
	struct blocks b;

	unit->counters.writes++;
	if (!writable(unit, c) || !blocks_of(unit, c, &b))
		return;
	if (b.size == 0)
		scsi_good(c);
	else if (fits(c, SCSI_TO_UNIT, b.size))
		transfer(unit, c, DISK_WRITE, wants_fua(c->cdb) ? DISK_FUA : 0, &b);
}

/* The medium's own check is the host's affair; comparing bytes is not offered. */
void scsi_verify(struct scsi_unit *unit, struct scsi_command *c)
{
	struct blocks b;

	if (c->cdb[1] & 6)
		scsi_bad_field(c);
	else if (blocks_of(unit, c, &b))
		scsi_good(c);
}

void scsi_synchronize(struct scsi_unit *unit, struct scsi_command *c)
{
	struct blocks b;

	unit->counters.flushes++;
	if (!blocks_of(unit, c, &b))
		return;
	b.offset = b.size = 0; /* all of it: nobody keeps caches by the block */
	submit(unit, c, DISK_FLUSH, 0, &b, on_done);
}

/* ---- unmap: descriptor after descriptor ---- */

static void unmap_next(struct scsi_unit *unit, struct scsi_command *c);

static void on_unmapped(struct disk_request *request, int r)
{
	struct scsi_command *c = request->owner;

	if (r < 0)
		scsi_disk_failed(c, r);
	else
		unmap_next(c->unit, c);
}

static void unmap_next(struct scsi_unit *unit, struct scsi_command *c)
{
	struct blocks b;

	while (c->at < c->count) {
		const u8 *d = c->buffer + 8 + 16 * c->at++;

		/* They were checked; but the disk may have another size by now. */
		if (!find_blocks(unit, be64_at(d), be32_at(d + 8), &b)) {
			scsi_fail(c, SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
			return;
		}
		if (b.size == 0)
			continue;
		submit(unit, c, DISK_TRIM, 0, &b, on_unmapped);
		return;
	}
	scsi_good(c);
}

void scsi_unmap(struct scsi_unit *unit, struct scsi_command *c)
{
	u32 list_size = be16_at(c->cdb + 7), got;
	struct blocks b;

	unit->counters.unmaps++;
	if (!writable(unit, c))
		return;
	if (c->cdb[1] & 1) { /* anchored blocks: not offered */
		scsi_bad_field(c);
		return;
	}
	if (list_size < 8) {
		if (list_size == 0)
			scsi_good(c);
		else
			scsi_fail(c, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
		return;
	}
	c->buffer = malloc(list_size);
	if (!c->buffer) {
		scsi_fail(c, SENSE_HARDWARE_ERROR, ASC_INTERNAL_FAILURE);
		return;
	}
	got = scsi_fetch(c, c->buffer, list_size);
	if (got < list_size || be16_at(c->buffer + 2) > list_size - 8) {
		scsi_fail(c, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
		return;
	}
	c->moved = got;
	c->at = 0;
	c->count = be16_at(c->buffer + 2) / 16;
	if (c->count > SCSI_MAX_UNMAP_DESCRIPTORS) {
		scsi_fail(c, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_LIST);
		return;
	}
	/* All or nothing, as far as we can know beforehand. */
	for (u32 k = 0; k < c->count; k++) {
		const u8 *d = c->buffer + 8 + 16 * k;

		if (!find_blocks(unit, be64_at(d), be32_at(d + 8), &b)) {
			scsi_fail(c, SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
			return;
		}
	}
	unmap_next(unit, c);
}

/* ---- write same ---- */

static void same_next(struct scsi_unit *unit, struct scsi_command *c);

static void on_same_written(struct disk_request *request, int r)
{
	struct scsi_command *c = request->owner;

	if (r < 0)
		scsi_disk_failed(c, r);
	else
		same_next(c->unit, c);
}

/* at and count: bytes written, bytes in all. */
static void same_next(struct scsi_unit *unit, struct scsi_command *c)
{
	struct blocks b;
	u64 lba;
	u32 blocks;

	if (c->at == c->count) {
		c->unit->counters.written_bytes += c->count;
		scsi_good(c);
		return;
	}
	decode(c->cdb, &lba, &blocks);
	b.offset = lba * disk_info(unit->disk)->logical_block + c->at;
	b.size = min_u64(WRITE_SAME_PIECE, c->count - c->at);
	c->own_iov = (struct iovec){ c->buffer, b.size };
	c->at += (u32)b.size;
	submit(unit, c, DISK_WRITE, 0, &b, on_same_written);
}

static bool all_zero(const u8 *bytes, u32 size)
{
	for (u32 k = 0; k < size; k++)
		if (bytes[k])
			return false;
	return true;
}

void scsi_write_same(struct scsi_unit *unit, struct scsi_command *c)
{
	bool sixteen = c->cdb[0] == SCSI_WRITE_SAME_16;
	bool no_data = sixteen && c->cdb[1] & 1;
	u32 block = disk_info(unit->disk)->logical_block;
	struct blocks b;

	unit->counters.writes++;
	if (!writable(unit, c) || !blocks_of(unit, c, &b))
		return;
	/* PBDATA, LBDATA, anchor; a count of 0 (to the end), as VPD page b0 says. */
	if (c->cdb[1] & 0x16 || b.size == 0) {
		scsi_bad_field(c);
		return;
	}
	if (!no_data) {
		c->buffer = malloc(max_u64(block, WRITE_SAME_PIECE));
		if (!c->buffer) {
			scsi_fail(c, SENSE_HARDWARE_ERROR, ASC_INTERNAL_FAILURE);
			return;
		}
		c->moved = scsi_fetch(c, c->buffer, block);
		if (c->moved < block) {
			scsi_bad_field(c);
			return;
		}
	}
	if (no_data || all_zero(c->buffer, block)) {
		submit(unit, c, DISK_ZERO, 0, &b, on_done);
		return;
	}
	if (b.size > SCSI_MAX_WRITE_SAME_BYTES) {
		scsi_bad_field(c);
		return;
	}
	for (u32 at = block; at < WRITE_SAME_PIECE; at += block)
		memcpy(c->buffer + at, c->buffer, block);
	c->at = 0;
	c->count = (u32)b.size;
	/* The pattern is ours from here on. */
	c->iov = &c->own_iov;
	c->iov_count = 1;
	same_next(unit, c);
}
