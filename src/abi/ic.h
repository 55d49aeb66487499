/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The integration components as guests know them: one VMBus channel each, on which the host asks
 * and the guest answers. Linux' include/linux/hyperv.h, include/uapi/linux/hyperv.h and drivers/hv
 * are the witnesses. All numbers are little-endian.
 *
 * A packet's payload is a struct ic_header, then the body. The guest answers by sending the same
 * bytes back, changed where the answer stands.
 */
#pragma once

/* Tables aligned by hand. */
/* clang-format off */

#include "abi/vmbus.h"

/* Of the offer: a pipe of messages. */
#define IC_OFFER_FLAGS VMBUS_OFFER_PIPE
#define IC_PIPE_MESSAGES 4u	/* the first word of the offer's user data */
#define IC_PIPE_DATA 1u		/* of each packet */

enum ic_message {
	IC_NEGOTIATE,
	IC_HEARTBEAT,
	IC_KVP,
	IC_SHUTDOWN,
	IC_TIMESYNC,
	IC_VSS,
	IC_FCOPY = 7,
};

/* Bits of ic_header.flags: what the host sends, what comes back. */
#define IC_TRANSACTION 1u
#define IC_REQUEST 2u
#define IC_RESPONSE 4u

/* Status words. */
#define IC_OK 0u
#define IC_FAILED 0x80004005u
#define IC_UNSUPPORTED 0x80070032u
#define IC_NO_MORE 0x80070103u	/* the end of an enumeration, and for Linux' daemon every failure */

struct ic_header {
	le32 pipe;		/* IC_PIPE_DATA */
	le32 pipe_size;		/* bytes behind it */
	le16 fw_major, fw_minor;
	le16 message;		/* enum ic_message */
	le16 major, minor;	/* of the component's messages */
	le16 size;		/* of the body */
	le32 status;
	u8 transaction, flags;
	le16 reserved;
} PACKED;
_Static_assert(sizeof(struct ic_header) == 28, "pipe and message header");

struct ic_wire_version {
	le16 major, minor;
} PACKED;

/* Both lists follow, the framework's first. The guest leaves one of each, or none. */
struct ic_negotiate {
	le16 fw_count, count;
	le32 reserved;
} PACKED;
_Static_assert(sizeof(struct ic_negotiate) == 8, "negotiate");

struct ic_heartbeat {
	le64 sequence;		/* the guest adds one */
	le32 application, reserved[7];
} PACKED;
_Static_assert(sizeof(struct ic_heartbeat) == 40, "heartbeat");

struct ic_shutdown {
	le32 reason;
	le32 seconds;
	le32 flags;		/* what, and by force */
	u8 words[2048];
} PACKED;
_Static_assert(sizeof(struct ic_shutdown) == 2060, "shutdown");
#define IC_SHUTDOWN_FORCE 1u
#define IC_SHUTDOWN_REBOOT 2u
#define IC_SHUTDOWN_HIBERNATE 4u
#define IC_SHUTDOWN_PLANNED 0x80000000u /* of the reason */

/* Before version 4: the guest has no reference time to go by. */
struct ic_timesync_old {
	le64 host;
	le64 child, round_trip;
	u8 flags;
} PACKED;
_Static_assert(sizeof(struct ic_timesync_old) == 25, "old time");

struct ic_timesync {
	le64 host;		/* 100 ns since 1601, UTC */
	le64 reference;		/* the guest's reference time at that moment */
	u8 flags;
	u8 leap, stratum;
	u8 reserved[3];
} PACKED;
_Static_assert(sizeof(struct ic_timesync) == 22, "time");
#define IC_TIME_SYNC 1u		/* set the clock now */
#define IC_TIME_SAMPLE 2u	/* for who steers a clock by it */
#define IC_TIME_1970 116444736000000000ull

enum ic_kvp_operation {
	IC_KVP_GET, IC_KVP_SET, IC_KVP_DELETE, IC_KVP_ENUMERATE, IC_KVP_GET_IP, IC_KVP_SET_IP,
};
enum ic_kvp_pool { IC_KVP_EXTERNAL, IC_KVP_GUEST, IC_KVP_AUTO, IC_KVP_AUTO_EXTERNAL };
#define IC_KVP_POOLS 3		/* that a host reads */

struct ic_kvp_header {
	u8 operation, pool;
	le16 reserved;
} PACKED;

#define IC_KVP_STRING 1u	/* of a value: UTF-16, terminated */
#define IC_KVP_U32 4u
#define IC_KVP_U64 11u

struct ic_kvp_value {
	le32 type;
	le32 key_size, value_size; /* bytes, the terminator with them */
	u8 key[512];
	u8 value[2048];
} PACKED;
_Static_assert(sizeof(struct ic_kvp_value) == 2572, "key and value");

struct ic_kvp {
	struct ic_kvp_header header;
	union {
		struct ic_kvp_value value;			      /* get, set */
		struct { le32 index; struct ic_kvp_value value; } PACKED each; /* enumerate */
		struct { le32 key_size; u8 key[512]; } PACKED gone;    /* delete */
	};
} PACKED;
_Static_assert(sizeof(struct ic_kvp) == 2580, "kvp");

struct ic_kvp_ip {
	u8 operation, pool;
	u8 adapter[256];	/* UTF-16: the card's instance, as a GUID in braces */
	u8 family;		/* bits: 1 IPv4, 2 IPv6 */
	u8 dhcp;
	u8 address[2048], mask[2048]; /* UTF-16 lists, ';' between */
	u8 gateway[1024];
	u8 dns[2048];
} PACKED;
_Static_assert(sizeof(struct ic_kvp_ip) == 7428, "addresses");
#define IC_KVP_IPV4 1u
#define IC_KVP_IPV6 2u

enum ic_vss_operation {
	IC_VSS_CREATE, IC_VSS_DELETE, IC_VSS_HOT_BACKUP, IC_VSS_DM_INFO, IC_VSS_COMPLETE,
	IC_VSS_FREEZE, IC_VSS_THAW, IC_VSS_AUTO_RECOVER,
};

struct ic_vss {
	u8 operation;
	u8 reserved[7];
	le32 flags;
} PACKED;
_Static_assert(sizeof(struct ic_vss) == 12, "vss");

enum ic_fcopy_operation { IC_FCOPY_START, IC_FCOPY_WRITE, IC_FCOPY_COMPLETE, IC_FCOPY_CANCEL };
#define IC_FCOPY_OVERWRITE 1u
#define IC_FCOPY_MAKE_PATH 2u
#define IC_FCOPY_NAME 260	/* of UTF-16 units, the terminator with them */
#define IC_FCOPY_FRAGMENT 6144u

struct ic_fcopy_header {
	le32 operation;
	struct guid service[2];
} PACKED;
_Static_assert(sizeof(struct ic_fcopy_header) == 36, "fcopy");

struct ic_fcopy_start {
	struct ic_fcopy_header header;
	le16 name[IC_FCOPY_NAME], folder[IC_FCOPY_NAME];
	le32 flags;
	le64 size;
} PACKED;
_Static_assert(sizeof(struct ic_fcopy_start) == 1088, "fcopy start");

struct ic_fcopy_write {
	struct ic_fcopy_header header;
	le32 reserved;
	le64 offset;
	le32 size;
	u8 data[IC_FCOPY_FRAGMENT];
} PACKED;
_Static_assert(sizeof(struct ic_fcopy_write) == 6196, "fcopy write");

#define IC_MAX_BODY 7428u	/* of all of them: addresses */

/* Device classes and the instances that real hosts offer. */
#define IC_GUID_HEARTBEAT GUID(0x57164f39, 0x9115, 0x4e78, 0xab, 0x55, 0x38, 0x2f, 0x3b, 0xd5, 0x42, 0x2d)
#define IC_GUID_KVP	  GUID(0xa9a0f4e7, 0x5a45, 0x4d96, 0xb8, 0x27, 0x8a, 0x84, 0x1e, 0x8c, 0x03, 0xe6)
#define IC_GUID_SHUTDOWN  GUID(0x0e0b6031, 0x5213, 0x4934, 0x81, 0x8b, 0x38, 0xd9, 0x0c, 0xed, 0x39, 0xdb)
#define IC_GUID_TIMESYNC  GUID(0x9527e630, 0xd0ae, 0x497b, 0xad, 0xce, 0xe8, 0x0a, 0xb0, 0x17, 0x5c, 0xaf)
#define IC_GUID_VSS	  GUID(0x35fa2e29, 0xea23, 0x4236, 0x96, 0xae, 0x3a, 0x6e, 0xba, 0xcb, 0xa4, 0x40)
#define IC_GUID_FCOPY	  GUID(0x34d14be3, 0xdee4, 0x41c8, 0x9a, 0xe7, 0x6b, 0x17, 0x49, 0x77, 0xc1, 0x92)

#define IC_INSTANCE_HEARTBEAT GUID(0xfd149e91, 0x82e0, 0x4a7d, 0xaf, 0xa6, 0x2a, 0x41, 0x66, 0xcb, 0xd7, 0xc0)
#define IC_INSTANCE_KVP	      GUID(0x242ff919, 0x07db, 0x4180, 0x9c, 0x2e, 0xb8, 0x6c, 0xb6, 0x8c, 0x8c, 0x55)
#define IC_INSTANCE_SHUTDOWN  GUID(0xb6650ff7, 0x33bc, 0x4840, 0x80, 0x48, 0xe0, 0x67, 0x67, 0x86, 0xf3, 0x93)
#define IC_INSTANCE_TIMESYNC  GUID(0x2dd1ce17, 0x079e, 0x403c, 0xb3, 0x52, 0xa1, 0x92, 0x1e, 0xe2, 0x07, 0xee)
#define IC_INSTANCE_VSS	      GUID(0x2450ee40, 0x33bf, 0x4fbd, 0x89, 0x2e, 0x9f, 0xb0, 0x6e, 0x92, 0x14, 0xcf)
#define IC_INSTANCE_FCOPY     GUID(0xeb765408, 0x105f, 0x49b6, 0xb4, 0xaa, 0xc1, 0x23, 0xb6, 0x4d, 0x17, 0xd4)
