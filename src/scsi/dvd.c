/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a DVD drive knows beyond a disk: tray, table of contents, profiles, media events. MMC-6.
 * Written for what Linux' and Windows' CD drivers ask; the medium is one data track.
 */
#include "scsi/execute.h"

#define LEAD_OUT 0xaa
#define FRAMES_BEFORE_0 150 /* two seconds */
#define PROFILE_DVD_ROM 0x0010

/* Power conditions and spinning up or down: done at once. Eject is the drive's. */
void scsi_start_stop(struct scsi_unit *unit, struct scsi_command *c)
{
	bool load_eject = c->cdb[4] & 2, start = c->cdb[4] & 1;

	if (!unit->dvd || !load_eject || c->cdb[4] >> 4) {
		scsi_good(c);
		return;
	}
	if (start) {
		if (unit->disk)
			scsi_good(c);
		else
			scsi_fail(c, SENSE_NOT_READY, ASC_NO_MEDIUM);
		return;
	}
	if (unit->tray_locked) {
		scsi_fail(c, SENSE_ILLEGAL_REQUEST, ASC_REMOVAL_PREVENTED);
		return;
	}
	if (unit->disk && unit->in_flight > 1) {
		scsi_fail(c, SENSE_NOT_READY, ASC_NONE);
		return;
	}
	if (unit->disk) {
		unit->disk = NULL;
		unit->media_event = 3;
		if (unit->on_eject)
			unit->on_eject(unit->owner, unit);
	}
	scsi_good(c);
}

void scsi_prevent_allow(struct scsi_unit *unit, struct scsi_command *c)
{
	unit->tray_locked = c->cdb[4] & 1;
	scsi_good(c);
}

static u32 blocks_of_medium(const struct scsi_unit *unit)
{
	const struct disk_info *info = disk_info(unit->disk);

	return (u32)min_u64(info->size / info->logical_block, UINT32_MAX);
}

static void put_address(u8 *p, u32 lba, bool msf)
{
	u32 frames = lba + FRAMES_BEFORE_0;

	if (!msf) {
		be32_put(p, lba);
		return;
	}
	p[0] = 0;
	p[1] = (u8)(frames / (60 * 75));
	p[2] = (u8)(frames / 75 % 60);
	p[3] = (u8)(frames % 75);
}

void scsi_read_toc(struct scsi_unit *unit, struct scsi_command *c)
{
	bool msf = c->cdb[1] & 2;
	u8 format = c->cdb[2] & 0xf, from = c->cdb[6];
	u32 allocation = be16_at(c->cdb + 7), size = 4;
	u8 data[20] = { [2] = 1, [3] = 1 }; /* first and last track or session */

	/* Older drivers have the format in the last byte. */
	if (format == 0)
		format = c->cdb[9] >> 6;
	if (format > 1 || (format == 0 && from > 1 && from != LEAD_OUT)) {
		scsi_bad_field(c);
		return;
	}
	if (format == 1 || from <= 1) {
		data[size + 1] = 0x14; /* data track, copying not permitted: as pressed */
		data[size + 2] = 1;
		put_address(data + size + 4, 0, msf);
		size += 8;
	}
	if (format == 0) {
		data[size + 1] = 0x14;
		data[size + 2] = LEAD_OUT;
		put_address(data + size + 4, blocks_of_medium(unit), msf);
		size += 8;
	}
	be16_put(data, (u16)(size - 2));
	scsi_reply(c, data, size, allocation);
}

void scsi_get_configuration(struct scsi_unit *unit, struct scsi_command *c)
{
	u16 from = be16_at(c->cdb + 2);
	u8 kind = c->cdb[1] & 3;
	u8 data[64] = { 0 };
	u32 size = 8;
	static const struct {
		u16 feature;
		u8 flags; /* version, persistent, current */
		u8 length;
		u8 body[8];
	} features[] = {
		{ 0x0000, 3, 4, { 0x00, PROFILE_DVD_ROM, 1 } },
		{ 0x0001, 3, 4, { 0, 0, 0, 1 } },	      /* core: SCSI */
		{ 0x0003, 3, 4, { 0x29 } },		      /* tray, ejects, locks */
		{ 0x0010, 1, 8, { 0, 0, 8, 0, 0, 1, 1, 0 } }, /* 2048-byte blocks */
		{ 0x001f, 1, 0, { 0 } },		      /* reads DVD */
	};

	for (unsigned k = 0; k < ARRAY_COUNT(features); k++) {
		if (features[k].feature < from ||
		    (kind == 2 && features[k].feature != from))
			continue;
		be16_put(data + size, features[k].feature);
		data[size + 2] = features[k].flags;
		data[size + 3] = features[k].length;
		memcpy(data + size + 4, features[k].body, features[k].length);
		size += 4 + features[k].length;
	}
	be32_put(data, size - 4);
	be16_put(data + 6, unit->disk ? PROFILE_DVD_ROM : 0);
	scsi_reply(c, data, size, be16_at(c->cdb + 7));
}

void scsi_get_event_status(struct scsi_unit *unit, struct scsi_command *c)
{
	u8 data[8] = { 0, 0, 0, 0x10 }; /* the media class is all that we know */
	u32 size = 4;

	if (!(c->cdb[1] & 1)) { /* waiting for events is not offered */
		scsi_bad_field(c);
		return;
	}
	if (c->cdb[4] & 0x10) {
		be16_put(data, 6);
		data[2] = 4;
		data[4] = unit->media_event;
		data[5] = unit->disk ? 2 : 0; /* present */
		unit->media_event = 0;
		size = 8;
	} else {
		be16_put(data, 2);
		data[2] = 0x80;
	}
	scsi_reply(c, data, size, be16_at(c->cdb + 7));
}

void scsi_read_disc_information(struct scsi_unit *unit, struct scsi_command *c)
{
	u8 data[34] = { [2] = 0x0e, [3] = 1, [4] = 1, [5] = 1, [6] = 1 }; /* complete */

	be16_put(data, sizeof data - 2);
	scsi_reply(c, data, sizeof data, be16_at(c->cdb + 7));
}
