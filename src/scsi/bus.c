/* SPDX-License-Identifier: Apache-2.0 */
/* Units by number; see bus.h. */
#include "scsi/bus.h"

#include "scsi/execute.h"

static void report_luns(const struct scsi_bus *bus, bool empty, struct scsi_command *c)
{
	u8 list[8 + 8 * SCSI_BUS_UNITS] = { 0 };
	u32 size = 8;

	for (unsigned lun = 0; lun < SCSI_BUS_UNITS && !empty; lun++) {
		if (!bus->unit[lun])
			continue;
		list[size + 1] = (u8)lun;
		size += 8;
	}
	be32_put(list, size - 8);
	scsi_reply(c, list, size, be32_at(c->cdb + 6));
}

static void inquiry_of_nobody(struct scsi_command *c)
{
	u8 data[36] = { SCSI_NOT_THERE, 0, 5, 2, sizeof data - 5 };

	memset(data + 8, ' ', sizeof data - 8);
	scsi_reply(c, data, sizeof data, be16_at(c->cdb + 3));
}

void scsi_bus_execute(struct scsi_bus *bus, u8 path, u8 target, u8 lun,
		      struct scsi_command *c)
{
	bool empty = path != 0 || target != 0;
	struct scsi_unit *unit = !empty && lun < SCSI_BUS_UNITS ? bus->unit[lun] : NULL;

	if (unit && c->cdb[0] != SCSI_REPORT_LUNS) {
		scsi_unit_execute(unit, c);
		return;
	}
	scsi_begin(c, NULL);
	switch (c->cdb[0]) {
	case SCSI_REPORT_LUNS:
		report_luns(bus, empty, c);
		return;
	case SCSI_INQUIRY:
		inquiry_of_nobody(c);
		return;
	default:
		c->absent = true;
		scsi_fail(c, SENSE_ILLEGAL_REQUEST, ASC_NO_SUCH_UNIT);
	}
}
