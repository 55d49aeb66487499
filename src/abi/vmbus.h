/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMBus as guests know it: channel messages, offers, GPADLs, rings and packets. Linux'
 * include/linux/hyperv.h and the TLFS are the witnesses. All numbers are little-endian.
 *
 * A channel message begins with struct vmbus_header; offsets in comments count from there.
 */
#pragma once

/* Tables aligned by hand. */
/* clang-format off */

#include "base/types.h"

/* Microsoft's mixed-endian form: the first three fields are little-endian numbers. */
struct guid {
	u8 bytes[16];
};
#define GUID(a, b, c, d0, d1, d2, d3, d4, d5, d6, d7)                                      \
	{ { (u8)(a), (u8)((a) >> 8), (u8)((a) >> 16), (u8)((a) >> 24), (u8)(b),            \
	    (u8)((b) >> 8), (u8)(c), (u8)((c) >> 8), d0, d1, d2, d3, d4, d5, d6, d7 } }

#define VMBUS_SINT 2
#define VMBUS_MESSAGE_TYPE 1	 /* of the SynIC message, both ways */
#define VMBUS_MAX_MESSAGE 240
#define VMBUS_CONNECTION_CLASSIC 1 /* message ports: before 5.0, since 5.0 */
#define VMBUS_CONNECTION_MULTI 4
#define VMBUS_MAX_RELID 2047
#define VMBUS_PAGE 4096u
#define VMBUS_NO_VP 0xffffffffu

#define VMBUS_VERSION(major, minor) ((u32)(major) << 16 | (minor))
#define VMBUS_2_4 VMBUS_VERSION(2, 4) /* Windows 8 */
#define VMBUS_3_0 VMBUS_VERSION(3, 0)
#define VMBUS_4_0 VMBUS_VERSION(4, 0) /* Windows 10 */
#define VMBUS_4_1 VMBUS_VERSION(4, 1)
#define VMBUS_5_0 VMBUS_VERSION(5, 0)
#define VMBUS_5_1 VMBUS_VERSION(5, 1)
#define VMBUS_5_2 VMBUS_VERSION(5, 2)
#define VMBUS_5_3 VMBUS_VERSION(5, 3) /* Windows Server 2022; the newest that Linux 6.1 asks */

enum vmbus_message_type {
	VMBUS_OFFER = 1,		/* host to guest */
	VMBUS_RESCIND = 2,		/* host to guest */
	VMBUS_REQUEST_OFFERS = 3,
	VMBUS_ALL_OFFERS = 4,		/* host to guest */
	VMBUS_OPEN = 5,
	VMBUS_OPEN_RESULT = 6,		/* host to guest */
	VMBUS_CLOSE = 7,
	VMBUS_GPADL_HEADER = 8,
	VMBUS_GPADL_BODY = 9,
	VMBUS_GPADL_CREATED = 10,	/* host to guest */
	VMBUS_GPADL_TEARDOWN = 11,
	VMBUS_GPADL_TORNDOWN = 12,	/* host to guest */
	VMBUS_RELID_RELEASED = 13,
	VMBUS_INITIATE_CONTACT = 14,
	VMBUS_VERSION_RESPONSE = 15,	/* host to guest */
	VMBUS_UNLOAD = 16,
	VMBUS_UNLOAD_RESPONSE = 17,	/* host to guest */
	VMBUS_OPEN_RESERVED = 18,
	VMBUS_CLOSE_RESERVED = 19,
	VMBUS_CLOSE_RESERVED_RESPONSE = 20, /* host to guest */
	VMBUS_TL_CONNECT = 21,
	VMBUS_MODIFY_CHANNEL = 22,
	VMBUS_TL_CONNECT_RESULT = 23,	/* host to guest */
	VMBUS_MODIFY_RESPONSE = 24,	/* host to guest, since 5.3 */
	VMBUS_MESSAGE_TYPES,
};

/* Status words. */
#define VMBUS_OK 0u
#define VMBUS_FAILED 0xc0000001u /* NT's "unsuccessful" */
#define VMBUS_REFUSED 0xc0000236u

struct vmbus_header {
	le32 type;
	le32 reserved;
} PACKED;

/* 1: 196 bytes */
struct vmbus_offer_message {
	struct vmbus_header header;
	struct guid interface; /* 8 */
	struct guid instance;  /* 24 */
	le64 reserved[2];      /* 40 */
	le16 flags;	       /* 56 */
	le16 mmio_mib;	       /* 58 */
	u8 user[120];	       /* 60 */
	le16 sub_index;	       /* 180 */
	le16 mmio_optional_mib;
	le32 relid;	       /* 184 */
	u8 monitor_id;	       /* 188: 0xff none */
	u8 monitor_allocated;
	le16 dedicated;	       /* 190: bit 0: signal by hypercall alone */
	le32 connection;       /* 192 */
} PACKED;
_Static_assert(sizeof(struct vmbus_offer_message) == 196, "offer");
#define VMBUS_OFFER_ENUMERATE 1u
#define VMBUS_OFFER_PIPE 0x10u

/* 2, 7, 13, 20 */
struct vmbus_relid_message {
	struct vmbus_header header;
	le32 relid;
} PACKED;
_Static_assert(sizeof(struct vmbus_relid_message) == 12, "relid");

/* 5 */
struct vmbus_open_message {
	struct vmbus_header header;
	le32 relid;
	le32 open_id;
	le32 gpadl;
	le32 vp;
	le32 downstream; /* pages of the guest-to-host ring, its control page included */
	u8 user[120];
} PACKED;
_Static_assert(sizeof(struct vmbus_open_message) == 148, "open");

/* 6 */
struct vmbus_open_result {
	struct vmbus_header header;
	le32 relid;
	le32 open_id;
	le32 status;
} PACKED;
_Static_assert(sizeof(struct vmbus_open_result) == 20, "open result");

/* 8: ranges follow, as much as fits; the rest comes in bodies */
struct vmbus_gpadl_header {
	struct vmbus_header header;
	le32 relid;
	le32 gpadl;
	le16 range_bytes; /* of all ranges, over all messages */
	le16 range_count;
} PACKED;
_Static_assert(sizeof(struct vmbus_gpadl_header) == 20, "gpadl header");

/* 9 */
struct vmbus_gpadl_body {
	struct vmbus_header header;
	le32 number; /* Linux leaves 0: the order is that of arrival */
	le32 gpadl;
} PACKED;
_Static_assert(sizeof(struct vmbus_gpadl_body) == 16, "gpadl body");

/* A range of guest memory, here and in packets; page numbers follow. */
struct vmbus_range {
	le32 size;   /* bytes */
	le32 offset; /* of the first byte in its page */
} PACKED;

/* 10 */
struct vmbus_gpadl_created {
	struct vmbus_header header;
	le32 relid;
	le32 gpadl;
	le32 status;
} PACKED;
_Static_assert(sizeof(struct vmbus_gpadl_created) == 20, "gpadl created");

/* 11 */
struct vmbus_gpadl_teardown {
	struct vmbus_header header;
	le32 relid;
	le32 gpadl;
} PACKED;

/* 12 */
struct vmbus_gpadl_torndown {
	struct vmbus_header header;
	le32 gpadl;
} PACKED;
_Static_assert(sizeof(struct vmbus_gpadl_torndown) == 12, "gpadl torndown");

/* 14 */
struct vmbus_initiate_contact {
	struct vmbus_header header;
	le32 version;
	le32 vp;
	u8 sint; /* 16: since 5.0; before, an interrupt page's address in 8 bytes */
	u8 vtl;
	u8 reserved[6];
	le64 monitor[2];
} PACKED;
_Static_assert(sizeof(struct vmbus_initiate_contact) == 40, "contact");

/* 15 */
struct vmbus_version_response {
	struct vmbus_header header;
	u8 supported;
	u8 state; /* 0 well, 2 failed */
	le16 reserved;
	le32 connection; /* since 5.0; before, the version */
} PACKED;
_Static_assert(sizeof(struct vmbus_version_response) == 16, "version response");

/* 21, without the silo's GUID that newer guests add; 23 */
struct vmbus_tl_connect {
	struct vmbus_header header;
	struct guid endpoint, service;
} PACKED;
struct vmbus_tl_connect_result {
	struct vmbus_header header;
	struct guid endpoint, service;
	le32 status;
} PACKED;
_Static_assert(sizeof(struct vmbus_tl_connect_result) == 44, "tl connect result");

/* 22, 24 */
struct vmbus_modify_channel {
	struct vmbus_header header;
	le32 relid;
	le32 vp;
} PACKED;
struct vmbus_modify_response {
	struct vmbus_header header;
	le32 relid;
	le32 status;
} PACKED;
_Static_assert(sizeof(struct vmbus_modify_response) == 16, "modify response");

/*
 * A ring: a control page, then data pages. Offsets in the data are bytes, multiples of 8; the
 * ring is never completely full, so that equal offsets mean empty.
 */
enum {
	VMBUS_RING_WRITE = 0,	     /* by the writer */
	VMBUS_RING_READ = 4,	     /* by the reader */
	VMBUS_RING_MASK = 8,	     /* by the reader: do not signal me */
	VMBUS_RING_PENDING_SIZE = 12, /* by the writer: signal me when so much is free */
	VMBUS_RING_FEATURES = 64,    /* bit 0: the writer uses the pending size */
};

struct vmbus_packet_header {
	le16 type;
	le16 header_size; /* in units of 8 bytes: where the payload begins */
	le16 size;	  /* in units of 8 bytes: without the trailer */
	le16 flags;
	le64 transaction;
} PACKED;
_Static_assert(sizeof(struct vmbus_packet_header) == 16, "packet");
#define VMBUS_PACKET_TRAILER 8u

enum vmbus_packet_type {
	VMBUS_PACKET_INBAND = 6,
	VMBUS_PACKET_TRANSFER_PAGES = 7,
	VMBUS_PACKET_GPADL = 8,
	VMBUS_PACKET_GPA_DIRECT = 9,
	VMBUS_PACKET_COMPLETION = 11,
};
#define VMBUS_PACKET_WANTS_COMPLETION 1u

/* After the header of a GPA-direct packet: ranges, each with its page numbers. */
struct vmbus_gpa_direct {
	le32 reserved;
	le32 range_count;
} PACKED;

/* Device classes. */
#define VMBUS_GUID_IDE GUID(0x32412632, 0x86cb, 0x44a2, 0x9b, 0x5c, 0x50, 0xd1, 0x41, 0x73, 0x54, 0xf5)
#define VMBUS_GUID_SCSI GUID(0xba6163d9, 0x04a1, 0x4d29, 0xb6, 0x05, 0x72, 0xe2, 0xff, 0xb1, 0xdc, 0x7f)
