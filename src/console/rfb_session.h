/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A conversation with one RFB client, as a pure machine: bytes of the client's in, bytes for it out; no
 * socket, no clock. rfb_server.h has those.
 *
 *	VERSION --> SECURITY --> INIT --> NORMAL           any nonsense --> OVER
 *
 * Updates go out when the client has asked for one, something in its area has changed, and the
 * one before is out. One update is made in pieces, each when the piece before has left, so that
 * what waits stays below RFB_OUTPUT and one tile's height of lines, however large the screen is.
 * The client's texts (its clipboard) are skipped. Keys that it holds are released when it goes.
 *
 * Thread: the loop's.
 */
#pragma once

#include "abi/rfb.h"
#include "console/rfb_encode.h"

#define RFB_OUTPUT (256u << 10) /* no further rectangle is begun behind that */
#define RFB_INPUT 32u		/* the longest message without its tail */
#define RFB_TILES (PICTURE_MOST / RFB_TILE)
#define RFB_KEYS 0x200u

enum rfb_state {
	RFB_STATE_VERSION,
	RFB_STATE_SECURITY,
	RFB_STATE_INIT,
	RFB_STATE_NORMAL,
	RFB_STATE_OVER,
};

struct rfb_session {
	const struct picture_hands *hands;
	const struct rfb_frame *frame;
	void *owner; /* of the hands */
	const char *name;
	enum rfb_state state;
	unsigned minor; /* of the version: 3, 7 or 8 */
	/* input: a message that is not whole, and a tail that is coming */
	u8 in[RFB_INPUT];
	unsigned in_size;
	u64 skip;	    /* bytes that nobody wants */
	u32 encodings_left; /* of a SetEncodings */
	/* what the client can do */
	struct rfb_format format;
	bool zrle, chosen; /* chosen: the first picture encoding of its list was met */
	bool can_resize, can_resize_extended, can_qemu_keys, can_leds;
	/* what it is to be told with the next update */
	bool tell_size, tell_keys, tell_leds, tell_colours;
	u32 size_reason, size_status;
	u8 leds; /* caps 4, num 2, scroll 1, as on the wire */
	/* what it believes, and what it asks for */
	u32 width, height;
	bool asked;
	/* tiles: changed since they were sent, and those of the update that goes out now */
	u8 dirty[RFB_TILES][RFB_TILES], sending[RFB_TILES][RFB_TILES];
	u32 dirty_count;
	bool in_update;
	u32 next_row; /* of the tiles that go out */
	bool has_stream;
	z_stream stream;
	struct rfb_buffer out, scratch;
	size_t sent; /* of out */
	/* hands */
	u8 buttons;
	u8 held[RFB_KEYS / 8];
	struct {
		u64 updates, rectangles, keys, points, skipped;
	} counts;
};

/* Says its version. frame and hands outlive it; the frame may change and grow at any time. */
void rfb_session_init(struct rfb_session *session, const struct rfb_frame *frame,
		      const struct picture_hands *hands, void *owner, const char *name);
void rfb_session_done(struct rfb_session *session);

/* Bytes of the client's. state OVER: it is to be dropped. */
void rfb_session_hear(struct rfb_session *session, const u8 *bytes, size_t size);

/* That tile of the frame has changed; or all of it has, and perhaps its size. */
void rfb_session_mark(struct rfb_session *session, u32 column, u32 row);
void rfb_session_mark_all(struct rfb_session *session);
void rfb_session_set_leds(struct rfb_session *session, u8 leds);

/* The client waits for changes. */
bool rfb_session_waits(const struct rfb_session *session);
/* Begin the update that was asked for, if there is something to say. */
void rfb_session_update(struct rfb_session *session);
/* What is to be sent; more of an update is made when there is nothing left of it. */
size_t rfb_session_output(struct rfb_session *session, const u8 **ret_bytes);
void rfb_session_sent(struct rfb_session *session, size_t size);
