/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The synthetic keyboard as guests know it: Linux' drivers/input/serio/hyperv-keyboard.c is the
 * witness. All numbers are little-endian. A packet's payload is one of these, without a pipe's header.
 */
#pragma once

/* Tables aligned by hand. */
/* clang-format off */

#include "abi/vmbus.h"

#define KEYBOARD_GUID_CLASS GUID(0xf912ad6d, 0x2b17, 0x48ea, 0xbd, 0x65, 0xf9, 0x27, 0xa6, 0x1c, 0x76, 0x84)
#define KEYBOARD_GUID_INSTANCE GUID(0xd34b2567, 0xb9b6, 0x42b9, 0x87, 0x78, 0x0a, 0x4e, 0xc0, 0xb9, 0x55, 0xbf)

#define KEYBOARD_VERSION 0x10000u

enum keyboard_message {
	KEYBOARD_REQUEST = 1,	/* guest to host, as LEDS */
	KEYBOARD_RESPONSE,
	KEYBOARD_EVENT,
	KEYBOARD_LEDS,
};

struct keyboard_request { le32 type, version; } PACKED;
struct keyboard_response { le32 type, status; } PACKED;
#define KEYBOARD_ACCEPTED 1u

struct keyboard_event {
	le32 type;
	le16 make;	/* of scan code set 1 */
	le16 reserved;
	le32 flags;
} PACKED;
_Static_assert(sizeof(struct keyboard_event) == 12, "event");
#define KEYBOARD_UNICODE 1u
#define KEYBOARD_BREAK 2u	/* released */
#define KEYBOARD_E0 4u
#define KEYBOARD_E1 8u

struct keyboard_leds { le32 type; le16 leds, reserved; } PACKED;
