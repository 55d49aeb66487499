/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a unit says about itself: INQUIRY with its pages, MODE SENSE. SPC-4, SBC-3. Vendor and
 * product are those by which Linux and Windows know a virtual disk of Hyper-V: they then trust
 * it to know UNMAP and WRITE SAME.
 */
#include <stdio.h>

#include "scsi/execute.h"

/* Microsoft's company number in the NAA designator, as guests expect of this vendor. */
static const u8 naa_prefix[4] = { 0x60, 0x02, 0x24, 0x80 };

static void standard(const struct scsi_unit *unit, struct scsi_command *c)
{
	u8 data[64] = {
		[0] = unit->dvd ? SCSI_TYPE_CD : SCSI_TYPE_DISK,
		[1] = unit->dvd ? 0x80 : 0, /* removable medium */
		[2] = 5,		    /* SPC-3 */
		[3] = 2,
		[4] = sizeof data - 5,
		[7] = 2, /* command queueing */
	};

	memcpy(data + 8, "Msft    ", 8);
	memcpy(data + 16, unit->dvd ? "Virtual DVD-ROM " : "Virtual Disk    ", 16);
	memcpy(data + 32, "1.0 ", 4);
	scsi_reply(c, data, sizeof data, be16_at(c->cdb + 3));
}

static u32 page_serial(const struct scsi_unit *unit, u8 *p)
{
	for (unsigned k = 0; k < sizeof unit->id; k++)
		snprintf((char *)p + 2 * k, 3, "%02x", unit->id[k]);
	return 32;
}

static u32 page_identification(const struct scsi_unit *unit, u8 *p)
{
	/* NAA, binary */
	p[0] = 1;
	p[1] = 3;
	p[3] = 16;
	memcpy(p + 4, naa_prefix, sizeof naa_prefix);
	memcpy(p + 8, unit->id, 12);
	p += 20;
	/* T10 vendor, ASCII */
	p[0] = 2;
	p[1] = 1;
	p[3] = 8 + 32;
	memcpy(p + 4, "Msft    ", 8);
	page_serial(unit, p + 12);
	return 20 + 4 + 8 + 32;
}

static u32 page_limits(const struct scsi_unit *unit, u8 *p)
{
	const struct disk_info *info = disk_info(unit->disk);
	u32 grain = (u32)(info->trim_granularity / info->logical_block);

	p[0] = 1; /* WRITE SAME of 0 blocks is refused */
	if (info->thin) {
		be32_put(p + 16, 0xffffffff);
		be32_put(p + 20, SCSI_MAX_UNMAP_DESCRIPTORS);
		be32_put(p + 24, grain);
		be32_put(p + 28, grain > 0 ? 0x80000000 : 0); /* aligned from 0 on */
	}
	be64_put(p + 32, SCSI_MAX_WRITE_SAME_BYTES / info->logical_block);
	return 60;
}

static u32 page_characteristics(const struct scsi_unit *unit, u8 *p)
{
	be16_put(p, 1); /* does not rotate */
	return 60;
}

static u32 page_provisioning(const struct scsi_unit *unit, u8 *p)
{
	if (disk_info(unit->disk)->thin) {
		p[1] = 0xc0; /* UNMAP, WRITE SAME(16) with UNMAP */
		p[2] = 2;    /* thin */
	}
	return 4;
}

static const struct {
	u8 page;
	bool disk_only;
	u32 (*fill)(const struct scsi_unit *unit, u8 *p); /* returns the page's length */
} pages[] = {
	{ VPD_PAGES, false, NULL },
	{ VPD_SERIAL, false, page_serial },
	{ VPD_IDENTIFICATION, false, page_identification },
	{ VPD_BLOCK_LIMITS, true, page_limits },
	{ VPD_CHARACTERISTICS, true, page_characteristics },
	{ VPD_PROVISIONING, true, page_provisioning },
};

static void vital_page(const struct scsi_unit *unit, struct scsi_command *c)
{
	u8 data[256] = { unit->dvd ? SCSI_TYPE_CD : SCSI_TYPE_DISK, c->cdb[2] };
	u32 size = 0;

	for (unsigned k = 0; k < ARRAY_COUNT(pages); k++) {
		if (pages[k].disk_only && unit->dvd)
			continue;
		if (c->cdb[2] == VPD_PAGES) {
			data[4 + size++] = pages[k].page;
			continue;
		}
		if (pages[k].page != c->cdb[2])
			continue;
		size = pages[k].fill(unit, data + 4);
		break;
	}
	if (size == 0) {
		scsi_bad_field(c);
		return;
	}
	be16_put(data + 2, (u16)size);
	scsi_reply(c, data, 4 + size, be16_at(c->cdb + 3));
}

void scsi_inquiry(struct scsi_unit *unit, struct scsi_command *c)
{
	if (c->cdb[1] & 1)
		vital_page(unit, c);
	else if (c->cdb[1] & 2 || c->cdb[2])
		scsi_bad_field(c);
	else
		standard(unit, c);
}

/* ---- modes ---- */

enum { MODE_CHANGEABLE = 1, MODE_SAVED = 3 };

static u32 mode_page(const struct scsi_unit *unit, u8 page, bool changeable, u8 *p)
{
	u32 size = 0;

	switch (page) {
	case MODE_PAGE_CACHING:
		size = 20;
		/* Writes are cached: durable after SYNCHRONIZE CACHE or with FUA. */
		p[2] = changeable ? 0 : 4;
		break;
	case MODE_PAGE_CONTROL:
		size = 12;
		p[3] = changeable ? 0 : 0x10; /* commands may be reordered */
		break;
	case MODE_PAGE_CD_CAPABILITIES:
		if (!unit->dvd)
			return 0;
		size = 22;
		if (!changeable) {
			p[2] = 0x3b; /* reads CD-R, CD-RW, DVD-ROM, DVD-R, DVD-RAM */
			p[6] = 0x29; /* locks, ejects, has a tray */
			be16_put(p + 8, 706);
			be16_put(p + 14, 706);
		}
		break;
	default:
		return 0;
	}
	p[0] = page;
	p[1] = (u8)(size - 2);
	return size;
}

void scsi_mode_sense(struct scsi_unit *unit, struct scsi_command *c)
{
	static const u8 all[] = { MODE_PAGE_CACHING, MODE_PAGE_CONTROL,
				  MODE_PAGE_CD_CAPABILITIES };
	bool ten = c->cdb[0] == SCSI_MODE_SENSE_10;
	u8 control = c->cdb[2] >> 6, wanted = c->cdb[2] & 0x3f, sub_page = c->cdb[3];
	u8 data[128] = { 0 };
	u32 header = ten ? 8 : 4, size = header, pages_from;
	bool read_only = unit->dvd || disk_info(unit->disk)->read_only;

	if (control == MODE_SAVED || (sub_page != 0 && sub_page != 0xff)) {
		scsi_bad_field(c);
		return;
	}
	/* Write-protected; FUA is understood. */
	data[ten ? 3 : 2] = (u8)((read_only ? 0x80 : 0) | (unit->dvd ? 0 : 0x10));
	if (!unit->dvd && !(c->cdb[1] & 8)) {
		const struct disk_info *info = disk_info(unit->disk);

		be32_put(data + size,
			 (u32)min_u64(info->size / info->logical_block, UINT32_MAX));
		be32_put(data + size + 4, info->logical_block & 0xffffff);
		data[ten ? 7 : 3] = 8;
		size += 8;
	}
	pages_from = size;
	for (unsigned k = 0; k < ARRAY_COUNT(all); k++)
		if (wanted == all[k] || wanted == MODE_PAGE_ALL)
			size += mode_page(unit, all[k], control == MODE_CHANGEABLE,
					  data + size);
	if (size == pages_from) {
		scsi_bad_field(c);
		return;
	}
	if (ten)
		be16_put(data, (u16)(size - 2));
	else
		data[0] = (u8)(size - 1);
	scsi_reply(c, data, size, ten ? be16_at(c->cdb + 7) : c->cdb[4]);
}

/* Nothing can be changed: an empty list is fine, anything else is refused. */
void scsi_mode_select(struct scsi_unit *unit, struct scsi_command *c)
{
	u32 size = c->cdb[0] == SCSI_MODE_SELECT_10 ? be16_at(c->cdb + 7) : c->cdb[4];

	if (size == 0)
		scsi_good(c);
	else
		scsi_fail(c, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_LIST);
}
