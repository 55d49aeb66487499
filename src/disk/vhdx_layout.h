/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a VHDX file looks like: [MS-VHDX] 2. All numbers are little-endian; checksums are CRC-32C over
 * the whole structure with the checksum field zero.
 *
 *	0	file type identifier
 *	64K	header 1	the one with the higher sequence number counts; they are
 *	128K	header 2	written in turn
 *	192K	region table 1	both the same: where block table and metadata are
 *	256K	region table 2
 *	1M...	log, block table, metadata, blocks: in any order, at multiples of 1 MiB
 *
 * Block table: one entry for each payload block; in between, after each chunk ratio of them, one for
 * the bitmap of the sectors of these blocks (differencing images only use it).
 */
#pragma once

#include "base/types.h"

#define VHDX_MIB (1u << 20)
#define VHDX_PAGE 4096u /* what the log writes at once */

#define VHDX_HEADER_1 (64u << 10)
#define VHDX_HEADER_2 (128u << 10)
#define VHDX_REGIONS_1 (192u << 10)
#define VHDX_REGIONS_2 (256u << 10)
#define VHDX_REGIONS_SIZE (64u << 10)
#define VHDX_MAX_ENTRIES 2047u /* of a region or metadata table */

#define VHDX_MAX_SIZE (64ull << 40)
#define VHDX_MAX_FILE (1ull << 47)
#define VHDX_MAX_LOG \
	(64u << 20) /* a limit of ours: others make them of 1 MiB, some of a few */
#define VHDX_MIN_BLOCK VHDX_MIB
#define VHDX_MAX_BLOCK (256u << 20)

typedef struct {
	u8 b[16];
} vhdx_guid;

#define VHDX_FILE_SIGNATURE "vhdxfile"
struct vhdx_file_id {
	char signature[8];
	u8 creator[512]; /* UTF-16 */
} PACKED;

struct vhdx_header {
	char signature[4]; /* "head" */
	le32 checksum;
	le64 sequence;
	vhdx_guid file_write, data_write, log;
	le16 log_version, version;
	le32 log_length;
	le64 log_offset;
	u8 reserved[4016];
} PACKED;
_Static_assert(sizeof(struct vhdx_header) == 4096, "VHDX header");

struct vhdx_region_table {
	char signature[4]; /* "regi" */
	le32 checksum;
	le32 count;
	le32 reserved;
} PACKED;
struct vhdx_region {
	vhdx_guid id;
	le64 offset;
	le32 length;
	le32 required;
} PACKED;
_Static_assert(sizeof(struct vhdx_region) == 32, "VHDX region");

struct vhdx_metadata_table {
	char signature[8]; /* "metadata" */
	le16 reserved;
	le16 count;
	u8 reserved_end[20];
} PACKED;
_Static_assert(sizeof(struct vhdx_metadata_table) == 32, "VHDX metadata table");
enum { VHDX_IS_USER = 1, VHDX_IS_DISK = 2, VHDX_IS_REQUIRED = 4 };
struct vhdx_metadata {
	vhdx_guid id;
	le32 offset, length; /* in the region; at least 64 KiB from its start */
	le32 flags;
	le32 reserved;
} PACKED;
_Static_assert(sizeof(struct vhdx_metadata) == 32, "VHDX metadata entry");

enum { VHDX_LEAVE_ALLOCATED = 1, VHDX_HAS_PARENT = 2 };
struct vhdx_parameters {
	le32 block_size;
	le32 flags;
} PACKED;

struct vhdx_locator {
	vhdx_guid type;
	le16 reserved;
	le16 count;
} PACKED;
struct vhdx_locator_entry {
	le32 key_offset, value_offset; /* from the locator's start */
	le16 key_length, value_length; /* bytes of UTF-16 */
} PACKED;

/* A table entry: state in the low bits, the place in the file from bit 20 on. */
enum vhdx_state {
	VHDX_NOT_PRESENT = 0, /* zeros, or the parent's */
	VHDX_UNDEFINED = 1,
	VHDX_ZERO = 2,
	VHDX_UNMAPPED = 3,
	VHDX_PRESENT = 6,
	VHDX_PARTIAL = 7, /* by the bitmap, sector by sector */
};
#define VHDX_STATE(entry) ((entry)&7)
#define VHDX_PLACE(entry) ((entry) & ~(u64)(VHDX_MIB - 1))
#define VHDX_RESERVED_BITS 0xffff8ull

/* Log: entries of whole pages, each header + descriptors, then a page for each data descriptor. */
struct vhdx_log_entry {
	char signature[4]; /* "loge" */
	le32 checksum;
	le32 length;
	le32 tail; /* where the oldest entry that must be replayed is */
	le64 sequence;
	le32 count;
	le32 reserved;
	vhdx_guid log;
	le64 flushed_size, last_size; /* of the file */
} PACKED;
_Static_assert(sizeof(struct vhdx_log_entry) == 64, "VHDX log entry");
struct vhdx_log_descriptor {
	char signature[4]; /* "desc" or "zero" */
	le32 trailing;	   /* desc: the page's last 4 bytes */
	le64 leading;	   /* desc: its first 8 bytes; zero: the length */
	le64 offset;
	le64 sequence;
} PACKED;
_Static_assert(sizeof(struct vhdx_log_descriptor) == 32, "VHDX log descriptor");
struct vhdx_log_data {
	char signature[4]; /* "data" */
	le32 sequence_high;
	u8 data[4084];
	le32 sequence_low;
} PACKED;
_Static_assert(sizeof(struct vhdx_log_data) == 4096, "VHDX log data");

extern const vhdx_guid vhdx_region_table_guid, vhdx_region_metadata_guid;
extern const vhdx_guid vhdx_item_parameters, vhdx_item_size, vhdx_item_disk_id,
	vhdx_item_logical, vhdx_item_physical, vhdx_item_locator, vhdx_locator_type;

static inline bool vhdx_same(const vhdx_guid *a, const vhdx_guid *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}
