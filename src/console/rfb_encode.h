/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pixels as an RFB client wants them: its pixel format, and the encodings Raw and ZRLE (RFC 6143,
 * 7.7.1 and 7.7.6). A rectangle is appended to a buffer, behind its header. Pure, any thread.
 */
#pragma once

#include <zlib.h>

#include "base/types.h"
#include "console/picture.h"

/* Bytes that wait to be sent. Memory is kept from one use to the next. */
struct rfb_buffer {
	u8 *bytes;
	size_t size, room;
	bool failed; /* no memory: what is in it is worth nothing */
};

void rfb_buffer_done(struct rfb_buffer *buffer);
/* Room for size more bytes, which are then in it; NULL: no memory, and the buffer has failed. */
u8 *rfb_buffer_add(struct rfb_buffer *buffer, size_t size);
void rfb_put8(struct rfb_buffer *buffer, u8 value);
void rfb_put16(struct rfb_buffer *buffer, u16 value);
void rfb_put32(struct rfb_buffer *buffer, u32 value);

#define RFB_FORMAT_SIZE 16u

struct rfb_format {
	u8 bits; /* of a pixel: 8, 16 or 32 */
	u8 depth;
	bool big_endian;
	bool mapped; /* the client has a map of colours, which we set: 3, 3 and 2 bits */
	u16 max[3];  /* red, green, blue */
	u8 shift[3];
	/* made of these */
	u32 part[3][256];    /* what an intensity contributes to a pixel */
	unsigned size;	     /* bytes of a pixel */
	unsigned small_size; /* the same in ZRLE */
	unsigned small_from; /* the first of them, least significant byte 0 */
};

/* What we have ourselves: 32 bits, 0x00RRGGBB, little-endian. */
void rfb_format_ours(struct rfb_format *ret_format);
/* What a client asks for. -EPROTO: there is no such format. */
int rfb_format_parse(const u8 bytes[RFB_FORMAT_SIZE], struct rfb_format *ret_format)
	MUST_CHECK;
void rfb_format_put(const struct rfb_format *format, struct rfb_buffer *buffer);

/* The picture that all clients get, as it was when it was looked at last. */
struct rfb_frame {
	u32 width, height;
	u32 *pixels; /* width * height of them, XRGB */
};

/* What lies outside of the frame is black: it may have become smaller. */
void rfb_encode_raw(const struct rfb_frame *frame, const struct picture_area *area,
		    const struct rfb_format *format, struct rfb_buffer *buffer);
/* stream: the client's, as deflateInit made it; -EIO: it is of no use any more. */
int rfb_encode_zrle(const struct rfb_frame *frame, const struct picture_area *area,
		    const struct rfb_format *format, z_stream *stream,
		    struct rfb_buffer *scratch, struct rfb_buffer *buffer) MUST_CHECK;
