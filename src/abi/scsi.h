/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCSI numbers: operation codes, statuses, sense, pages. SPC-4, SBC-3, MMC-6. Numbers of several
 * bytes are big-endian on the wire.
 */
#pragma once

/* Tables aligned by hand. */
/* clang-format off */

#include "base/types.h"

enum scsi_opcode {
	SCSI_TEST_UNIT_READY = 0x00,
	SCSI_REQUEST_SENSE = 0x03,
	SCSI_FORMAT_UNIT = 0x04,
	SCSI_READ_6 = 0x08,
	SCSI_WRITE_6 = 0x0a,
	SCSI_INQUIRY = 0x12,
	SCSI_MODE_SELECT_6 = 0x15,
	SCSI_RESERVE_6 = 0x16,
	SCSI_RELEASE_6 = 0x17,
	SCSI_MODE_SENSE_6 = 0x1a,
	SCSI_START_STOP = 0x1b,
	SCSI_PREVENT_ALLOW = 0x1e,
	SCSI_READ_CAPACITY_10 = 0x25,
	SCSI_READ_10 = 0x28,
	SCSI_WRITE_10 = 0x2a,
	SCSI_SEEK_10 = 0x2b,
	SCSI_WRITE_VERIFY_10 = 0x2e,
	SCSI_VERIFY_10 = 0x2f,
	SCSI_SYNCHRONIZE_CACHE_10 = 0x35,
	SCSI_WRITE_SAME_10 = 0x41,
	SCSI_UNMAP = 0x42,
	SCSI_READ_TOC = 0x43,
	SCSI_GET_CONFIGURATION = 0x46,
	SCSI_GET_EVENT_STATUS = 0x4a,
	SCSI_READ_DISC_INFORMATION = 0x51,
	SCSI_MODE_SELECT_10 = 0x55,
	SCSI_RESERVE_10 = 0x56,
	SCSI_RELEASE_10 = 0x57,
	SCSI_MODE_SENSE_10 = 0x5a,
	SCSI_PERSISTENT_RESERVE_IN = 0x5e,
	SCSI_PERSISTENT_RESERVE_OUT = 0x5f,
	SCSI_READ_16 = 0x88,
	SCSI_WRITE_16 = 0x8a,
	SCSI_WRITE_VERIFY_16 = 0x8e,
	SCSI_VERIFY_16 = 0x8f,
	SCSI_SYNCHRONIZE_CACHE_16 = 0x91,
	SCSI_WRITE_SAME_16 = 0x93,
	SCSI_SERVICE_ACTION_IN_16 = 0x9e, /* 0x10: READ CAPACITY(16) */
	SCSI_REPORT_LUNS = 0xa0,
	SCSI_READ_12 = 0xa8,
	SCSI_WRITE_12 = 0xaa,
	SCSI_WRITE_VERIFY_12 = 0xae,
	SCSI_VERIFY_12 = 0xaf,
};
#define SCSI_SA_READ_CAPACITY_16 0x10u

enum scsi_status {
	SCSI_GOOD = 0x00,
	SCSI_CHECK_CONDITION = 0x02,
	SCSI_BUSY = 0x08,
	SCSI_RESERVATION_CONFLICT = 0x18,
};

enum scsi_sense_key {
	SENSE_NONE = 0x0,
	SENSE_NOT_READY = 0x2,
	SENSE_MEDIUM_ERROR = 0x3,
	SENSE_HARDWARE_ERROR = 0x4,
	SENSE_ILLEGAL_REQUEST = 0x5,
	SENSE_UNIT_ATTENTION = 0x6,
	SENSE_DATA_PROTECT = 0x7,
	SENSE_ABORTED = 0xb,
};

/* Additional sense: code << 8 | qualifier. */
enum scsi_additional_sense {
	ASC_NONE = 0x0000,
	ASC_BECOMING_READY = 0x0401,
	ASC_WRITE_ERROR = 0x0c00,
	ASC_READ_ERROR = 0x1100,
	ASC_PARAMETER_LIST_LENGTH = 0x1a00,
	ASC_INVALID_OPCODE = 0x2000,
	ASC_LBA_OUT_OF_RANGE = 0x2100,
	ASC_INVALID_FIELD_IN_CDB = 0x2400,
	ASC_INVALID_FIELD_IN_LIST = 0x2600,
	ASC_INVALID_RELEASE = 0x2604,
	ASC_NO_SUCH_UNIT = 0x2500,
	ASC_WRITE_PROTECTED = 0x2700,
	ASC_SPACE_ALLOCATION_FAILED = 0x2707,
	ASC_MEDIUM_CHANGED = 0x2800,
	ASC_RESET = 0x2900,
	ASC_CAPACITY_CHANGED = 0x2a09,
	ASC_NO_MEDIUM = 0x3a00,
	ASC_INTERNAL_FAILURE = 0x4400,
	ASC_REMOVAL_PREVENTED = 0x5302,
};

enum scsi_device_type { SCSI_TYPE_DISK = 0x00, SCSI_TYPE_CD = 0x05, SCSI_TYPE_NONE = 0x1f };
/* Peripheral qualifier of a LUN that is not there and cannot be: 3 << 5 | type 1f. */
#define SCSI_NOT_THERE 0x7f

enum scsi_vpd {
	VPD_PAGES = 0x00,
	VPD_SERIAL = 0x80,
	VPD_IDENTIFICATION = 0x83,
	VPD_BLOCK_LIMITS = 0xb0,
	VPD_CHARACTERISTICS = 0xb1,
	VPD_PROVISIONING = 0xb2,
};

enum scsi_mode_page {
	MODE_PAGE_CACHING = 0x08,
	MODE_PAGE_CONTROL = 0x0a,
	MODE_PAGE_CD_CAPABILITIES = 0x2a,
	MODE_PAGE_ALL = 0x3f,
};

static inline u16 be16_at(const u8 *p) { return (u16)(p[0] << 8 | p[1]); }
static inline u32 be32_at(const u8 *p) { return (u32)be16_at(p) << 16 | be16_at(p + 2); }
static inline u64 be64_at(const u8 *p) { return (u64)be32_at(p) << 32 | be32_at(p + 4); }
static inline void be16_put(u8 *p, u16 v) { p[0] = (u8)(v >> 8); p[1] = (u8)v; }
static inline void be32_put(u8 *p, u32 v) { be16_put(p, (u16)(v >> 16)); be16_put(p + 2, (u16)v); }
static inline void be64_put(u8 *p, u64 v) { be32_put(p, (u32)(v >> 32)); be32_put(p + 4, (u32)v); }
