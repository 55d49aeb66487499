/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ATA and ATAPI as hosts see them: registers, commands, bits. ATA/ATAPI-6 (T13 1410D), SFF-8038i for
 * the bus master.
 */
#pragma once

/* Tables aligned by hand. */
/* clang-format off */

#include "base/types.h"

#define ATA_SECTOR 512u
#define ATA_CDB_SIZE 12u /* of a packet */
#define ATA_CD_BLOCK 2048u

/* Offsets in the command block; the control block is one port. */
enum ata_register {
	ATA_DATA, ATA_ERROR, ATA_COUNT, ATA_LOW, ATA_MID, ATA_HIGH, ATA_DEVICE, ATA_STATUS,
	ATA_FEATURE = ATA_ERROR, ATA_COMMAND = ATA_STATUS,
};

#define ATA_STATUS_ERR	0x01u
#define ATA_STATUS_DRQ	0x08u
#define ATA_STATUS_DSC	0x10u
#define ATA_STATUS_DRDY 0x40u
#define ATA_STATUS_BSY	0x80u

#define ATA_ERROR_ABRT	0x04u
#define ATA_ERROR_IDNF	0x10u
#define ATA_ERROR_UNC	0x40u

#define ATA_DEVICE_SECOND 0x10u
#define ATA_DEVICE_LBA	0x40u

#define ATA_CONTROL_NIEN 0x02u
#define ATA_CONTROL_SRST 0x04u
#define ATA_CONTROL_HOB	0x80u

/* A packet's interrupt reason, in the count register. */
#define ATA_REASON_COMMAND 0x01u
#define ATA_REASON_IN	0x02u

#define ATA_FEATURE_DMA	0x01u /* of a packet */

enum ata_command {
	ATA_DEVICE_RESET = 0x08,
	ATA_RECALIBRATE = 0x10,		/* to 0x1f */
	ATA_READ = 0x20, ATA_READ_ONCE = 0x21, ATA_READ_EXT = 0x24, ATA_READ_DMA_EXT = 0x25,
	ATA_NATIVE_MAX_EXT = 0x27, ATA_READ_MULTIPLE_EXT = 0x29,
	ATA_WRITE = 0x30, ATA_WRITE_ONCE = 0x31, ATA_WRITE_EXT = 0x34, ATA_WRITE_DMA_EXT = 0x35,
	ATA_WRITE_MULTIPLE_EXT = 0x39, ATA_WRITE_DMA_FUA_EXT = 0x3d,
	ATA_VERIFY = 0x40, ATA_VERIFY_ONCE = 0x41, ATA_VERIFY_EXT = 0x42,
	ATA_SEEK = 0x70, ATA_DIAGNOSTIC = 0x90, ATA_PARAMETERS = 0x91,
	ATA_PACKET = 0xa0, ATA_IDENTIFY_PACKET = 0xa1,
	ATA_READ_MULTIPLE = 0xc4, ATA_WRITE_MULTIPLE = 0xc5, ATA_SET_MULTIPLE = 0xc6,
	ATA_READ_DMA = 0xc8, ATA_READ_DMA_ONCE = 0xc9,
	ATA_WRITE_DMA = 0xca, ATA_WRITE_DMA_ONCE = 0xcb,
	ATA_STANDBY_NOW = 0xe0, ATA_IDLE_NOW = 0xe1, ATA_STANDBY = 0xe2, ATA_IDLE = 0xe3,
	ATA_CHECK_POWER = 0xe5, ATA_SLEEP = 0xe6, ATA_FLUSH = 0xe7, ATA_FLUSH_EXT = 0xea,
	ATA_IDENTIFY = 0xec, ATA_SET_FEATURES = 0xef, ATA_NATIVE_MAX = 0xf8,
};

enum ata_set_features {
	ATA_WRITE_CACHE_ON = 0x02, ATA_TRANSFER_MODE = 0x03, ATA_LOOK_AHEAD_OFF = 0x55,
	ATA_WRITE_CACHE_OFF = 0x82, ATA_LOOK_AHEAD_ON = 0xaa,
};

/* Signature in the registers after a reset. */
#define ATA_SIGNATURE_PACKET_MID 0x14u
#define ATA_SIGNATURE_PACKET_HIGH 0xebu

/* ---- the bus master: eight ports a channel ---- */
#define BM_COMMAND 0
#define BM_STATUS 2
#define BM_TABLE 4
#define BM_CHANNEL_SIZE 8u

#define BM_COMMAND_START 0x01u
#define BM_COMMAND_TO_MEMORY 0x08u
#define BM_STATUS_ACTIVE 0x01u
#define BM_STATUS_ERROR	0x02u
#define BM_STATUS_IRQ	0x04u
#define BM_STATUS_DRIVES 0x60u /* which drives can do it: the guest's own notes */

struct bm_entry { le32 base; le16 size /* 0: 64 KiB */, flags; } PACKED;
#define BM_ENTRY_LAST 0x8000u
