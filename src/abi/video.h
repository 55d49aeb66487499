/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The synthetic video device as guests know it: Linux' drivers/video/fbdev/hyperv_fb.c and
 * drivers/gpu/drm/hyperv are the witnesses. All numbers are little-endian. A packet's payload is a
 * struct video_header, then the body.
 */
#pragma once

/* Tables aligned by hand. */
/* clang-format off */

#include "abi/vmbus.h"

#define VIDEO_GUID_CLASS GUID(0xda0a7802, 0xe377, 0x4aac, 0x8e, 0x77, 0x05, 0x58, 0xeb, 0x10, 0x73, 0xf8)
#define VIDEO_GUID_INSTANCE GUID(0x5620e0c7, 0x8062, 0x4dce, 0xae, 0xb7, 0x52, 0x0c, 0x7e, 0xf7, 0x61, 0x71)

#define VIDEO_PIPE_DATA 1u

/* minor << 16 | major */
#define VIDEO_3_2 0x00020003u
#define VIDEO_3_5 0x00050003u

enum video_message {
	VIDEO_VERSION_REQUEST = 1, VIDEO_VERSION_RESPONSE,
	VIDEO_VRAM_LOCATION, VIDEO_VRAM_LOCATION_ACK,
	VIDEO_SITUATION, VIDEO_SITUATION_ACK,
	VIDEO_POINTER_POSITION, VIDEO_POINTER_SHAPE,
	VIDEO_FEATURE_CHANGE,		/* host to guest */
	VIDEO_DIRT,
	VIDEO_BIOS_REQUEST, VIDEO_BIOS_RESPONSE,
	VIDEO_RESOLUTIONS_REQUEST, VIDEO_RESOLUTIONS_RESPONSE,
};

struct video_header {
	le32 pipe;	/* VIDEO_PIPE_DATA */
	le32 pipe_size; /* bytes behind it */
	le32 type;	/* enum video_message */
	le32 size;	/* of the body and these last two */
} PACKED;
_Static_assert(sizeof(struct video_header) == 16, "pipe and message header");

struct video_version_request { le32 version; } PACKED;
struct video_version_response { le32 version; u8 accepted, outputs; } PACKED;

struct video_vram_location { le64 context; u8 given; le64 gpa; } PACKED;
struct video_ack { le64 context; } PACKED; /* of location and situation */

struct video_output {
	u8 active;
	le32 offset;	/* in VRAM */
	u8 depth;	/* bits a pixel */
	le32 width, height, pitch;
} PACKED;
struct video_situation { le64 context; u8 outputs; struct video_output output[1]; } PACKED;
_Static_assert(sizeof(struct video_situation) == 27, "situation");

struct video_pointer_position { u8 visible, output; le32 x, y; } PACKED;

struct video_pointer_shape {
	u8 part;	/* VIDEO_POINTER_WHOLE */
	u8 argb;
	le32 width, height, hot_x, hot_y;
	/* pixels follow */
} PACKED;
_Static_assert(sizeof(struct video_pointer_shape) == 18, "pointer shape");
#define VIDEO_POINTER_WHOLE 0xffu
#define VIDEO_POINTER_MOST 96u	/* pixels each way */

struct video_feature_change { u8 dirt, position, shape, situation; } PACKED;

struct video_rectangle { le32 x1, y1, x2, y2; } PACKED; /* signed; x2, y2 are not in it */
struct video_dirt { u8 output, count; /* rectangles follow */ } PACKED;

struct video_resolutions_request { u8 most; } PACKED;
struct video_resolution { le16 width, height; } PACKED;
#define VIDEO_EDID_SIZE 128
#define VIDEO_MAX_RESOLUTIONS 64
struct video_resolutions_response {
	u8 edid[VIDEO_EDID_SIZE];
	u8 count, preferred, standard;
	struct video_resolution list[VIDEO_MAX_RESOLUTIONS];
} PACKED;
_Static_assert(sizeof(struct video_resolutions_response) == 387, "resolutions");
