/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dynamic memory: messages in packets in band, without a pipe's header. What Linux' hv_balloon.c
 * speaks; G: the guest sends it, H: the host.
 */
#pragma once

#include "abi/vmbus.h"

/* clang-format off */
#define BALLOON_GUID_CLASS    GUID(0x525074dc, 0x8985, 0x46e2, 0x80, 0x57, 0xa3, 0x07, 0xdc, 0x18, 0xa5, 0x02)
#define BALLOON_GUID_INSTANCE GUID(0x1eccfd72, 0x4b41, 0x45ef, 0xb7, 0x3a, 0x4a, 0x6e, 0x44, 0xc1, 0x29, 0x24)
/* clang-format on */

enum balloon_type {
	BALLOON_VERSION_REQUEST = 1,   /* G, balloon_version */
	BALLOON_VERSION_RESPONSE = 2,  /* H, balloon_answer */
	BALLOON_CAPS = 3,	       /* G, balloon_caps */
	BALLOON_CAPS_RESPONSE = 4,     /* H, balloon_answer */
	BALLOON_STATUS = 5,	       /* G, balloon_status */
	BALLOON_UP = 6,		       /* H, balloon_up */
	BALLOON_UP_RESPONSE = 7,       /* G, balloon_pages, any number of them */
	BALLOON_DOWN = 8,	       /* H, balloon_pages, any number of them */
	BALLOON_DOWN_RESPONSE = 9,     /* G, nothing; after the last */
	BALLOON_HOT_ADD = 10,	       /* H, balloon_hot_add */
	BALLOON_HOT_ADD_RESPONSE = 11, /* G, balloon_hot_added */
	BALLOON_INFO = 12,	       /* H, balloon_info */
};

#define BALLOON_MAX_MESSAGE 4096u /* header and all */

struct balloon_header {
	le16 type;
	le16 size; /* of the message, with the header */
	le32 transaction;
} PACKED;

/* major << 16 | minor, newest first */
#define BALLOON_2_0 0x20000u
#define BALLOON_1_0 0x10000u
#define BALLOON_0_3 0x3u

struct balloon_version {
	le32 version;
	le32 last_attempt; /* bit 0 */
} PACKED;

struct balloon_answer {
	le64 accepted; /* bit 0 */
} PACKED;

#define BALLOON_CAN_BALLOON BIT64(0)
#define BALLOON_CAN_HOT_ADD BIT64(1)
#define BALLOON_ALIGN_SHIFT \
	2 /* four bits: log2 of the alignment of what is added, in MiB */
#define BALLOON_ALIGN_MASK 0xfu

struct balloon_caps {
	le64 caps;
	le64 min_pages; /* the guest keeps them */
	le64 max_page_number;
} PACKED;

/* Pages. What is in the balloon counts as committed. */
struct balloon_status {
	le64 available, committed, page_file, zero_free;
	le32 page_file_writes, io_difference;
} PACKED;

struct balloon_up {
	le32 pages;
	le32 reserved;
} PACKED;

/* BALLOON_UP_RESPONSE: then come the ranges. */
struct balloon_given {
	le32 reserved;
	le32 more_and_count; /* bit 0: more messages follow; 31:1 how many ranges do */
} PACKED;
/* BALLOON_DOWN: then come the ranges. */
struct balloon_back {
	le32 more;  /* bit 0 */
	le32 count; /* of ranges */
} PACKED;

/* 39:0 the first page's number, 63:40 how many */
#define BALLOON_PFN_BITS 40
#define BALLOON_RANGE_PAGES 0xffffffu
#define BALLOON_MAX_RANGES \
	((BALLOON_MAX_MESSAGE - sizeof(struct balloon_header) - 8) / sizeof(le64))

struct balloon_hot_add {
	le64 range;
	le64 region; /* where more may come later */
} PACKED;
struct balloon_hot_added {
	le32 pages;
	le32 result; /* 1: as it can be; without pages: never again. 0: later perhaps */
} PACKED;

#define BALLOON_INFO_MAX_PAGES 0u
struct balloon_info {
	le32 reserved;
	le32 size; /* of what follows */
	le32 type;
	le32 type_size;
	le64 max_pages;
} PACKED;

_Static_assert(sizeof(struct balloon_header) == 8, "in front of everything");
_Static_assert(sizeof(struct balloon_caps) == 24, "G 3");
_Static_assert(sizeof(struct balloon_status) == 40, "G 5");
_Static_assert(sizeof(struct balloon_info) == 24, "H 12");
