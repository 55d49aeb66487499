/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The RFB protocol 3.8 ("VNC"): RFC 6143, and the registered extensions that are spoken here. All
 * numbers on the wire are big-endian.
 */
#pragma once

#define RFB_VERSION_SIZE 12u
#define RFB_VERSION_TEXT "RFB 003.008\n"

enum rfb_security { RFB_SECURITY_INVALID = 0, RFB_SECURITY_NONE = 1 };

/* What a client says. */
enum rfb_client_message {
	RFB_SET_PIXEL_FORMAT = 0,
	RFB_SET_ENCODINGS = 2,
	RFB_UPDATE_REQUEST = 3,
	RFB_KEY_EVENT = 4,
	RFB_POINTER_EVENT = 5,
	RFB_CLIENT_CUT_TEXT = 6,
	RFB_SET_DESKTOP_SIZE = 251,
	RFB_QEMU_CLIENT = 255,
};
#define RFB_QEMU_KEY_EVENT 0u

/* What a server says. */
enum rfb_server_message { RFB_UPDATE = 0, RFB_SET_COLOUR_MAP = 1 };

/* Encodings; the negative ones are no pictures but abilities. */
#define RFB_RAW 0
#define RFB_ZRLE 16
#define RFB_DESKTOP_SIZE (-223)
#define RFB_LED_STATE (-261)
#define RFB_QEMU_KEYS (-258)
#define RFB_EXTENDED_DESKTOP_SIZE (-308)

/* A tile of ZRLE: pixels each way, and its sub-encodings. */
#define RFB_TILE 64u
#define RFB_TILE_RAW 0u
#define RFB_TILE_SOLID 1u
#define RFB_TILE_MOST_PACKED 16u /* colours; the sub-encoding is their number */
#define RFB_TILE_RLE 128u

/* Why a desktop has its size, and that a client may not change it. */
#define RFB_RESIZE_BY_SERVER 0u
#define RFB_RESIZE_BY_CLIENT 1u
#define RFB_RESIZE_PROHIBITED 1u
