/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The synthetic mouse as guests know it, a HID device: Linux' drivers/hid/hid-hyperv.c is the witness.
 * All numbers are little-endian. A packet's payload is a struct mouse_header, then the body.
 */
#pragma once

/* Tables aligned by hand. */
/* clang-format off */

#include "abi/vmbus.h"

#define MOUSE_GUID_CLASS GUID(0xcfa8b69e, 0x5b4a, 0x4cc0, 0xb9, 0x8b, 0x8b, 0xa1, 0xa1, 0xf3, 0xf9, 0x5a)
#define MOUSE_GUID_INSTANCE GUID(0x58f75a6d, 0xd949, 0x4320, 0x99, 0xe1, 0xa2, 0xa2, 0x57, 0x6d, 0x58, 0x1c)

#define MOUSE_PIPE_DATA 1u
#define MOUSE_VERSION 0x20000u

enum mouse_message {
	MOUSE_REQUEST,		/* guest to host, as DEVICE_ACK */
	MOUSE_RESPONSE,
	MOUSE_DEVICE,
	MOUSE_DEVICE_ACK,
	MOUSE_REPORT,
};

struct mouse_header {
	le32 pipe;	/* MOUSE_PIPE_DATA */
	le32 pipe_size; /* bytes behind it */
	le32 type;	/* enum mouse_message */
	le32 size;	/* of the body */
} PACKED;
_Static_assert(sizeof(struct mouse_header) == 16, "pipe and message header");

struct mouse_request { le32 version; } PACKED;
struct mouse_response { le32 version; u8 approved; } PACKED;

struct mouse_device {
	le32 size;		/* of these 32 bytes */
	le16 vendor, product, version;
	le16 reserved[11];
	struct {		/* HID 1.11, 6.2.1 */
		u8 length, type;
		le16 version;
		u8 country, descriptors, report_type;
		le16 report_size;
	} PACKED hid;
	/* the report descriptor follows */
} PACKED;
_Static_assert(sizeof(struct mouse_device) == 41, "device");

/* What the report descriptor describes. */
struct mouse_report {
	u8 buttons;
	le16 x, y;	/* 0 to MOUSE_MOST */
	le16 wheel;	/* signed */
} PACKED;
_Static_assert(sizeof(struct mouse_report) == 7, "report");
#define MOUSE_MOST 0x7fffu
