/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One SCSI command on its way through a logical unit (scsi/unit.h). Whoever makes it owns it and
 * its buffers until done() is called.
 */
#pragma once

#include <sys/uio.h>

#include "abi/scsi.h"
#include "disk/disk.h"

#define SCSI_SENSE_SIZE 18

enum scsi_direction { SCSI_NO_DATA, SCSI_TO_UNIT, SCSI_FROM_UNIT };

struct scsi_unit;

struct scsi_command {
	/* the initiator's, unchanged until done() but for iov */
	u8 cdb[16]; /* zeros behind its end */
	u32 cdb_size;
	enum scsi_direction direction;
	u32 size; /* bytes that iov has room for */
	struct iovec
		*iov; /* the unit may shorten it; what it points to may change any time */
	unsigned iov_count;
	/* On the loop's thread, also from inside scsi_unit_execute. */
	void (*done)(struct scsi_command *command);
	void *owner;

	/* the unit's; valid in done() */
	enum scsi_status status;
	u8 sense[SCSI_SENSE_SIZE];
	u32 sense_size; /* 0 where there is none */
	u32 moved;	/* bytes, of size */
	bool absent;	/* there is no such unit: the transport has words for that */

	/* the unit's own */
	struct scsi_unit *unit;
	struct disk_request request;
	struct iovec own_iov;
	u8 *buffer;    /* of this command, freed at its end */
	u32 at, count; /* of what is done in steps */
};
