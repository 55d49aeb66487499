/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logical units: which command is whose, what holds before each, and how commands end; see
 * unit.h.
 */
#include "scsi/unit.h"

#include <errno.h>
#include <stdio.h>

#include "scsi/execute.h"

/* ---- the table ---- */

enum {
	DISK = 1, /* a disk knows it */
	DVD = 2,  /* a DVD drive knows it */
	BOTH = 3,
	NO_ATTENTION = 4, /* executed though a unit attention waits */
	MEDIUM = 8,	  /* fails where there is no medium */
};
/*
 * SPC reports a unit attention with all commands but three. Here MODE SENSE is spared as well:
 * Linux' storvsc makes a success of every INQUIRY and every MODE SENSE, whatever came. One that
 * asked for the caching page in the middle of a growth lost the notice, and took the zeros that it
 * got for a disk without a cache: it never flushed again.
 */

static void test_unit_ready(struct scsi_unit *unit, struct scsi_command *c)
{
	scsi_good(c);
}

static void request_sense(struct scsi_unit *unit, struct scsi_command *c)
{
	u8 sense[SCSI_SENSE_SIZE];

	scsi_sense_fill(sense, SENSE_NONE, ASC_NONE);
	if (unit->attention_count > 0) {
		scsi_sense_fill(sense, SENSE_UNIT_ATTENTION, unit->attention[0]);
		unit->attention_count--;
		memmove(unit->attention, unit->attention + 1,
			unit->attention_count * sizeof unit->attention[0]);
	} else if (!unit->disk) {
		scsi_sense_fill(sense, SENSE_NOT_READY, ASC_NO_MEDIUM);
	}
	scsi_reply(c, sense, sizeof sense, c->cdb[4]);
}

/* There is one initiator, so the old reservations always succeed. */
static void reserve_old(struct scsi_unit *unit, struct scsi_command *c)
{
	scsi_good(c);
}

/* A bus answers it for all LUNs (bus.c); a transport that has none gets this unit alone. */
static void report_luns(struct scsi_unit *unit, struct scsi_command *c)
{
	u8 list[16] = { [3] = 8 };

	scsi_reply(c, list, sizeof list, be32_at(c->cdb + 6));
}

static const struct {
	u8 opcode, flags;
	void (*execute)(struct scsi_unit *unit, struct scsi_command *c);
} table[] = {
	{ SCSI_TEST_UNIT_READY, BOTH | MEDIUM, test_unit_ready },
	{ SCSI_REQUEST_SENSE, BOTH | NO_ATTENTION, request_sense },
	{ SCSI_READ_6, DISK | MEDIUM, scsi_read },
	{ SCSI_WRITE_6, DISK | MEDIUM, scsi_write },
	{ SCSI_INQUIRY, BOTH | NO_ATTENTION, scsi_inquiry },
	{ SCSI_MODE_SELECT_6, BOTH, scsi_mode_select },
	{ SCSI_RESERVE_6, DISK, reserve_old },
	{ SCSI_RELEASE_6, DISK, reserve_old },
	{ SCSI_MODE_SENSE_6, BOTH | NO_ATTENTION, scsi_mode_sense },
	{ SCSI_START_STOP, BOTH, scsi_start_stop },
	{ SCSI_PREVENT_ALLOW, BOTH, scsi_prevent_allow },
	{ SCSI_READ_CAPACITY_10, BOTH | MEDIUM, scsi_read_capacity_10 },
	{ SCSI_READ_10, BOTH | MEDIUM, scsi_read },
	{ SCSI_WRITE_10, DISK | MEDIUM, scsi_write },
	{ SCSI_SEEK_10, BOTH | MEDIUM, test_unit_ready },
	{ SCSI_WRITE_VERIFY_10, DISK | MEDIUM, scsi_write },
	{ SCSI_VERIFY_10, BOTH | MEDIUM, scsi_verify },
	{ SCSI_SYNCHRONIZE_CACHE_10, DISK | MEDIUM, scsi_synchronize },
	{ SCSI_WRITE_SAME_10, DISK | MEDIUM, scsi_write_same },
	{ SCSI_UNMAP, DISK | MEDIUM, scsi_unmap },
	{ SCSI_READ_TOC, DVD | MEDIUM, scsi_read_toc },
	{ SCSI_GET_CONFIGURATION, DVD | NO_ATTENTION, scsi_get_configuration },
	{ SCSI_GET_EVENT_STATUS, DVD | NO_ATTENTION, scsi_get_event_status },
	{ SCSI_READ_DISC_INFORMATION, DVD | MEDIUM, scsi_read_disc_information },
	{ SCSI_MODE_SELECT_10, BOTH, scsi_mode_select },
	{ SCSI_RESERVE_10, DISK, reserve_old },
	{ SCSI_RELEASE_10, DISK, reserve_old },
	{ SCSI_MODE_SENSE_10, BOTH | NO_ATTENTION, scsi_mode_sense },
	{ SCSI_PERSISTENT_RESERVE_IN, DISK, scsi_persistent_in },
	{ SCSI_PERSISTENT_RESERVE_OUT, DISK, scsi_persistent_out },
	{ SCSI_READ_16, DISK | MEDIUM, scsi_read },
	{ SCSI_WRITE_16, DISK | MEDIUM, scsi_write },
	{ SCSI_WRITE_VERIFY_16, DISK | MEDIUM, scsi_write },
	{ SCSI_VERIFY_16, DISK | MEDIUM, scsi_verify },
	{ SCSI_SYNCHRONIZE_CACHE_16, DISK | MEDIUM, scsi_synchronize },
	{ SCSI_WRITE_SAME_16, DISK | MEDIUM, scsi_write_same },
	{ SCSI_SERVICE_ACTION_IN_16, DISK | MEDIUM, scsi_service_action_in },
	{ SCSI_REPORT_LUNS, BOTH | NO_ATTENTION, report_luns },
	{ SCSI_READ_12, BOTH | MEDIUM, scsi_read },
	{ SCSI_WRITE_12, DISK | MEDIUM, scsi_write },
	{ SCSI_WRITE_VERIFY_12, DISK | MEDIUM, scsi_write },
	{ SCSI_VERIFY_12, BOTH | MEDIUM, scsi_verify },
};

void scsi_begin(struct scsi_command *c, struct scsi_unit *unit)
{
	c->unit = unit;
	c->status = SCSI_GOOD;
	c->absent = false;
	c->sense_size = c->moved = 0;
	c->buffer = NULL;
}

/* SPC: the group code says how long a CDB is. */
static u32 cdb_size_of(u8 opcode)
{
	static const u8 sizes[8] = { 6, 10, 10, 16, 16, 12, 6, 6 };

	return sizes[opcode >> 5];
}

void scsi_unit_execute(struct scsi_unit *unit, struct scsi_command *c)
{
	u8 opcode = c->cdb[0];

	scsi_begin(c, unit);
	unit->in_flight++;
	unit->counters.commands++;
	for (unsigned k = 0; k < ARRAY_COUNT(table); k++) {
		u8 flags = table[k].flags;

		if (table[k].opcode != opcode || !(flags & (unit->dvd ? DVD : DISK)))
			continue;
		if (c->cdb_size < cdb_size_of(opcode)) {
			scsi_bad_field(c);
		} else if (!(flags & NO_ATTENTION) && unit->attention_count > 0) {
			u16 additional = unit->attention[0];

			unit->attention_count--;
			memmove(unit->attention, unit->attention + 1,
				unit->attention_count * sizeof additional);
			scsi_fail(c, SENSE_UNIT_ATTENTION, additional);
		} else if (flags & MEDIUM && unit->medium_done) {
			scsi_fail(c, SENSE_NOT_READY, ASC_BECOMING_READY);
		} else if (flags & MEDIUM && !unit->disk) {
			scsi_fail(c, SENSE_NOT_READY, ASC_NO_MEDIUM);
		} else {
			table[k].execute(unit, c);
		}
		return;
	}
	scsi_fail(c, SENSE_ILLEGAL_REQUEST, ASC_INVALID_OPCODE);
}

/* ---- ends ---- */

static void change_medium_if_idle(struct scsi_unit *unit);

static void end(struct scsi_command *c)
{
	free(c->buffer);
	c->buffer = NULL;
	/* NULL: nobody is there, the bus answers (bus.c). */
	if (c->unit) {
		c->unit->in_flight--;
		c->unit->counters.failures += c->status != SCSI_GOOD;
		change_medium_if_idle(c->unit);
	}
	c->done(c);
}

void scsi_good(struct scsi_command *c)
{
	c->status = SCSI_GOOD;
	end(c);
}

void scsi_sense_fill(u8 sense[SCSI_SENSE_SIZE], enum scsi_sense_key key, u16 additional)
{
	memset(sense, 0, SCSI_SENSE_SIZE);
	sense[0] = 0x70; /* current, fixed format */
	sense[2] = (u8)key;
	sense[7] = SCSI_SENSE_SIZE - 8;
	be16_put(sense + 12, additional);
}

void scsi_fail(struct scsi_command *c, enum scsi_sense_key key, u16 additional)
{
	c->status = SCSI_CHECK_CONDITION;
	c->moved = 0;
	c->sense_size = SCSI_SENSE_SIZE;
	scsi_sense_fill(c->sense, key, additional);
	end(c);
}

void scsi_bad_field(struct scsi_command *c)
{
	scsi_fail(c, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
}

void scsi_conflict(struct scsi_command *c)
{
	c->status = SCSI_RESERVATION_CONFLICT;
	c->moved = 0;
	end(c);
}

void scsi_disk_failed(struct scsi_command *c, int r)
{
	bool write = c->request.op != DISK_READ;

	switch (r) {
	case -ENOSPC:
		scsi_fail(c, SENSE_DATA_PROTECT, ASC_SPACE_ALLOCATION_FAILED);
		return;
	case -EROFS:
		scsi_fail(c, SENSE_DATA_PROTECT, ASC_WRITE_PROTECTED);
		return;
	case -EIO:
		scsi_fail(c, SENSE_MEDIUM_ERROR,
			  write ? ASC_WRITE_ERROR : ASC_READ_ERROR);
		return;
	case -EOPNOTSUPP:
		scsi_fail(c, SENSE_ILLEGAL_REQUEST, ASC_INVALID_OPCODE);
		return;
	case -EINVAL: /* it was inside the disk when we looked, and the disk has shrunk */
		scsi_fail(c, SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
		return;
	default:
		scsi_fail(c, SENSE_HARDWARE_ERROR, ASC_INTERNAL_FAILURE);
	}
}

/* ---- data ---- */

static u32 copy(const struct scsi_command *c, void *to, const void *from, u32 size)
{
	u32 done = 0;

	for (unsigned k = 0; k < c->iov_count && done < size; k++) {
		u32 n = (u32)min_u64(c->iov[k].iov_len, size - done);

		if (to)
			memcpy((u8 *)to + done, c->iov[k].iov_base, n);
		else
			memcpy(c->iov[k].iov_base, (const u8 *)from + done, n);
		done += n;
	}
	return done;
}

void scsi_reply(struct scsi_command *c, const void *bytes, u32 size, u32 allocation)
{
	size = (u32)min_u64(size, allocation);
	c->moved = c->direction == SCSI_FROM_UNIT ? copy(c, NULL, bytes, size) : 0;
	scsi_good(c);
}

u32 scsi_fetch(const struct scsi_command *c, void *to, u32 size)
{
	return c->direction == SCSI_TO_UNIT ? copy(c, to, NULL, size) : 0;
}

bool scsi_trim_iov(struct scsi_command *c, u32 size)
{
	for (unsigned k = 0; k < c->iov_count; k++) {
		if (c->iov[k].iov_len < size) {
			size -= (u32)c->iov[k].iov_len;
			continue;
		}
		c->iov[k].iov_len = size;
		c->iov_count = size > 0 ? k + 1 : k;
		return true;
	}
	return size == 0;
}

/* ---- life ---- */

int scsi_unit_new(const struct scsi_unit_config *config, struct scsi_unit **ret_unit)
{
	static const u8 none[16];
	struct scsi_unit *unit;

	if (!config->dvd && !config->disk)
		return -EINVAL;
	unit = calloc(1, sizeof *unit);
	if (!unit)
		return -ENOMEM;
	unit->dvd = config->dvd;
	unit->disk = config->disk;
	memcpy(unit->id, config->id, sizeof unit->id);
	if (unit->disk && memcmp(disk_info(unit->disk)->id, none, sizeof none) != 0)
		memcpy(unit->id, disk_info(unit->disk)->id, sizeof unit->id);
	*ret_unit = unit;
	return 0;
}

void scsi_unit_free(struct scsi_unit *unit)
{
	free(unit);
}

void scsi_unit_attention(struct scsi_unit *unit, u16 additional_sense)
{
	for (unsigned k = 0; k < unit->attention_count; k++)
		if (unit->attention[k] == additional_sense)
			return;
	if (unit->attention_count < SCSI_MAX_ATTENTIONS)
		unit->attention[unit->attention_count++] = additional_sense;
}

static void on_resized(struct disk_request *request, int r)
{
	struct scsi_unit *unit = request->owner;
	void (*done)(void *owner, int r) = unit->resize_done;

	unit->resize_done = NULL;
	unit->in_flight--;
	if (r == 0)
		scsi_unit_attention(unit, ASC_CAPACITY_CHANGED);
	done(unit->resize_owner, r);
}

int scsi_unit_resize(struct scsi_unit *unit, u64 size, void (*done)(void *owner, int r),
		     void *owner)
{
	if (unit->dvd)
		return -EINVAL;
	if (unit->resize_done)
		return -EBUSY;
	unit->resize_done = done;
	unit->resize_owner = owner;
	unit->resize_err = (struct err){ 0 };
	unit->resize = (struct disk_request){
		.op = DISK_RESIZE,
		.size = size,
		.done = on_resized,
		.owner = unit,
		.err = &unit->resize_err,
	};
	unit->in_flight++;
	disk_submit(unit->disk, &unit->resize);
	return 0;
}

static void change_medium_if_idle(struct scsi_unit *unit)
{
	void (*done)(void *owner) = unit->medium_done;

	if (!done || unit->in_flight > 0)
		return;
	unit->medium_done = NULL;
	unit->disk = unit->next_medium;
	unit->tray_locked = false;
	scsi_unit_other_medium(unit);
	done(unit->medium_owner);
}

void scsi_unit_other_medium(struct scsi_unit *unit)
{
	unit->media_event = unit->disk ? 2 : 3;
	if (unit->disk)
		scsi_unit_attention(unit, ASC_MEDIUM_CHANGED);
}

void scsi_unit_set_medium(struct scsi_unit *unit, struct disk *disk,
			  void (*done)(void *owner), void *owner)
{
	unit->next_medium = disk;
	unit->medium_done = done;
	unit->medium_owner = owner;
	change_medium_if_idle(unit);
}

void scsi_unit_reset(struct scsi_unit *unit)
{
	unit->tray_locked = false;
	scsi_unit_attention(unit, ASC_RESET);
}

void scsi_unit_inspect(const struct scsi_unit *unit, const char *branch,
		       struct inspect *out)
{
	const struct disk_info *info = unit->disk ? disk_info(unit->disk) : NULL;
	const struct scsi_unit_counters *n = &unit->counters;
	struct disk_counters d = { 0 };
	char name[96];

	inspect_words(out, branch, "kind", "%s", unit->dvd ? "dvd" : "disk");
	inspect_words(out, branch, "format", "%s",
		      info ? disk_format_name(info->format) : "empty");
	if (info) {
		inspect_number(out, branch, "size", info->size);
		inspect_number(out, branch, "block", info->logical_block);
		inspect_number(out, branch, "images", info->depth);
		inspect_number(out, branch, "read_only", info->read_only);
	}
	inspect_number(out, branch, "in_flight", unit->in_flight);
	inspect_number(out, branch, "commands", n->commands);
	inspect_number(out, branch, "reads", n->reads);
	inspect_number(out, branch, "writes", n->writes);
	inspect_number(out, branch, "flushes", n->flushes);
	inspect_number(out, branch, "unmaps", n->unmaps);
	inspect_number(out, branch, "failures", n->failures);
	inspect_number(out, branch, "read_bytes", n->read_bytes);
	inspect_number(out, branch, "written_bytes", n->written_bytes);
	inspect_number(out, branch, "attentions", unit->attention_count);
	inspect_number(out, branch, "registered", unit->reservation.key != 0);
	inspect_number(out, branch, "reserved", unit->reservation.held);
	if (!info)
		return;
	disk_count(unit->disk, &d);
	snprintf(name, sizeof name, "%s.image", branch);
	inspect_number(out, name, "in_flight", disk_in_flight(unit->disk));
	inspect_number(out, name, "reads", d.reads);
	inspect_number(out, name, "writes", d.writes);
	inspect_number(out, name, "flushes", d.flushes);
	inspect_number(out, name, "trims", d.trims);
	inspect_number(out, name, "errors", d.errors);
}
