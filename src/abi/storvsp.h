/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol of the synthetic SCSI controller over a VMBus channel. Linux'
 * drivers/scsi/storvsc_drv.c is the witness. A packet's payload is a struct storvsp_packet;
 * every answer is a completion with a whole one.
 */
#pragma once

/* Tables aligned by hand. */
/* clang-format off */

#include "base/types.h"

enum storvsp_operation {
	STORVSP_COMPLETE_IO = 1, /* host to guest: every answer */
	STORVSP_REMOVE_DEVICE = 2,
	STORVSP_EXECUTE_SRB = 3,
	STORVSP_RESET_LUN = 4,
	STORVSP_RESET_ADAPTER = 5,
	STORVSP_RESET_BUS = 6,
	STORVSP_BEGIN_INIT = 7,
	STORVSP_END_INIT = 8,
	STORVSP_QUERY_VERSION = 9,
	STORVSP_QUERY_PROPERTIES = 10,
	STORVSP_ENUMERATE_BUS = 11, /* host to guest: look at what is there again */
	STORVSP_FCHBA_DATA = 12,
	STORVSP_CREATE_SUB_CHANNELS = 13,
	STORVSP_EVENT_NOTIFICATION = 14,
	STORVSP_OPERATIONS,
};

#define STORVSP_WANTS_COMPLETION 1u

/* Protocol versions, major << 8 | minor. */
#define STORVSP_WIN7 0x0402u
#define STORVSP_WIN8 0x0501u
#define STORVSP_WIN8_1 0x0600u
#define STORVSP_WIN10 0x0602u

/* NT's status words. */
#define STORVSP_OK 0u
#define STORVSP_FAILED 0xc0000001u
#define STORVSP_INVALID_PARAMETER 0xc000000du
#define STORVSP_REVISION_MISMATCH 0xc0000059u
#define STORVSP_INVALID_STATE 0xc0000184u

#define STORVSP_SENSE_SIZE 20
#define STORVSP_CDB_SIZE 16

struct storvsp_request {
	le16 size; /* 0x34 */
	u8 srb_status, scsi_status;
	u8 port, path, target, lun;
	u8 cdb_size, sense_size; /* in: room for sense; out: bytes of it */
	u8 data_in;		 /* enum storvsp_direction */
	u8 properties;
	le32 transfer; /* in: bytes to move; out: bytes moved */
	union {
		u8 cdb[STORVSP_CDB_SIZE];
		u8 sense[STORVSP_SENSE_SIZE];
	};
	/* since Windows 8 */
	le16 reserved;
	u8 queue_tag, queue_action;
	le32 srb_flags, timeout, sort_key;
} PACKED;
_Static_assert(sizeof(struct storvsp_request) == 52, "scsi request");

enum storvsp_direction { STORVSP_WRITE, STORVSP_READ, STORVSP_NO_DATA };

struct storvsp_properties {
	le32 reserved;
	le16 max_sub_channels;
	le16 reserved2;
	le32 flags;
	le32 max_transfer;
	le64 reserved3;
} PACKED;
_Static_assert(sizeof(struct storvsp_properties) == 24, "channel properties");
#define STORVSP_MULTI_CHANNEL 1u

struct storvsp_packet {
	le32 operation;
	le32 flags;
	le32 status;
	union {
		struct storvsp_request request;
		struct storvsp_properties properties;
		struct { le16 version, revision; } PACKED version;
		le16 sub_channels;
		u8 bytes[52];
	};
} PACKED;
_Static_assert(sizeof(struct storvsp_packet) == 64, "packet");
/* What guests before Windows 8 send: 16 bytes less at the end. */
#define STORVSP_OLD_PACKET 48u

enum storvsp_srb_status {
	SRB_SUCCESS = 0x01,
	SRB_ABORTED = 0x02,
	SRB_ERROR = 0x04,
	SRB_BUSY = 0x05,
	SRB_INVALID_REQUEST = 0x06,
	SRB_NO_DEVICE = 0x08,
	SRB_DATA_OVERRUN = 0x12,
	SRB_INVALID_LUN = 0x20,
	SRB_INVALID_TARGET = 0x21,
	SRB_AUTOSENSE_VALID = 0x80, /* ORed */
};
