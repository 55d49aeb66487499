/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The units behind one controller by their number, and what is answered for those that are not
 * there. A guest that scans must neither find phantoms nor give up: INQUIRY of an absent unit
 * succeeds and says "nobody here" (Linux' storvsc makes a success of every INQUIRY, with whatever
 * bytes there are), REPORT LUNS works everywhere.
 *
 * Units stay their owners'. Loop's thread.
 */
#pragma once

#include "scsi/unit.h"

#define SCSI_BUS_UNITS 64

struct scsi_bus {
	struct scsi_unit *unit[SCSI_BUS_UNITS];
};

/* path and target other than 0 are empty. */
void scsi_bus_execute(struct scsi_bus *bus, u8 path, u8 target, u8 lun,
		      struct scsi_command *command);
