/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a VHD file looks like: Virtual Hard Disk Image Format Specification 1.0 (Microsoft, 2006).
 * All numbers are big-endian.
 *
 *	fixed		data ... | footer
 *	dynamic,	copy of the footer | dynamic header | table | block | block ... | footer
 *	differencing
 *
 * A block is a bitmap of its sectors (whole sectors long, the first sector of the block is the
 * highest bit of the first byte) and then its data. The table has one entry a block: the sector
 * where it begins, or VHD_UNUSED. In a differencing image, a sector whose bit is clear is the
 * parent's.
 */
#pragma once

#include "base/types.h"

/* clang-format off */
typedef struct { u16 raw; } __attribute__((packed)) be16;
typedef struct { u32 raw; } __attribute__((packed)) be32;
typedef struct { u64 raw; } __attribute__((packed)) be64;

static inline u16 be16_get(be16 v) { return be16toh(v.raw); }
static inline u32 be32_get(be32 v) { return be32toh(v.raw); }
static inline u64 be64_get(be64 v) { return be64toh(v.raw); }
static inline be16 be16_of(u16 v) { return (be16){ htobe16(v) }; }
static inline be32 be32_of(u32 v) { return (be32){ htobe32(v) }; }
static inline be64 be64_of(u64 v) { return (be64){ htobe64(v) }; }
/* clang-format on */

#define VHD_SECTOR 512u
#define VHD_COOKIE "conectix"
#define VHD_HEADER_COOKIE "cxsparse"
#define VHD_VERSION 0x00010000u
#define VHD_NO_OFFSET UINT64_MAX
#define VHD_UNUSED 0xffffffffu
#define VHD_MAX_SIZE (2040ull << 30)
#define VHD_BLOCK_SIZE (2u << 20) /* what everybody uses */
/* Blocks that we take: the smaller, the more entries a table of hostile make could have. */
#define VHD_MIN_BLOCK (64u << 10)
#define VHD_MAX_BLOCK (256u << 20)

enum vhd_type { VHD_FIXED = 2, VHD_DYNAMIC = 3, VHD_DIFFERENCING = 4 };

struct vhd_footer {
	char cookie[8];
	be32 features; /* 2: reserved, always set */
	be32 version;
	be64 header_offset; /* VHD_NO_OFFSET in a fixed image */
	be32 time;	    /* seconds since 2000, UTC */
	char creator[4];
	be32 creator_version;
	char creator_host[4];
	be64 original_size, size;
	be16 cylinders;
	u8 heads, sectors_per_track;
	be32 type;
	be32 checksum; /* complement of the sum of all other bytes */
	u8 id[16];
	u8 saved_state;
	u8 reserved[427];
} PACKED;
_Static_assert(sizeof(struct vhd_footer) == 512, "VHD footer");

#define VHD_LOCATORS 8
enum {
	VHD_W2RU = 0x57327275, /* relative name, UTF-16LE */
	VHD_W2KU = 0x57326b75  /* absolute name, UTF-16LE */
};

struct vhd_locator {
	be32 platform;
	be32 space; /* bytes or sectors, writers disagree */
	be32 length;
	be32 reserved;
	be64 offset;
} PACKED;

struct vhd_header {
	char cookie[8];
	be64 next_offset; /* VHD_NO_OFFSET */
	be64 table_offset;
	be32 version;
	be32 entries;
	be32 block_size;
	be32 checksum;
	u8 parent_id[16];
	be32 parent_time;
	be32 reserved;
	be16 parent_name[256];
	struct vhd_locator locator[VHD_LOCATORS];
	u8 reserved_end[256];
} PACKED;
_Static_assert(sizeof(struct vhd_header) == 1024, "VHD dynamic header");
_Static_assert(offsetof(struct vhd_header, locator) == 576, "VHD parent locators");

/* Over a footer or header, as it must stand in its checksum field. */
u32 vhd_checksum(const void *data, size_t size, size_t checksum_offset);
