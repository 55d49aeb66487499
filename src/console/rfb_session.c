/* SPDX-License-Identifier: Apache-2.0 */
/* A conversation with an RFB client; see rfb_session.h. In the order in which it goes. */
#include "console/rfb_session.h"

#include <errno.h>
#include <stdio.h>

#include "console/keysym.h"

/* A picture of text becomes a tenth of its size at the first level already. */
#define ZLIB_LEVEL 1

static u16 get16(const u8 *bytes)
{
	return (u16)(bytes[0] << 8 | bytes[1]);
}

static u32 get32(const u8 *bytes)
{
	return (u32)get16(bytes) << 16 | get16(bytes + 2);
}

static void over(struct rfb_session *s)
{
	s->state = RFB_STATE_OVER;
}

static u32 tiles(u32 pixels)
{
	return (pixels + RFB_TILE - 1) / RFB_TILE;
}

/* ---- life ------------------------------------------------------------------------------------ */

void rfb_session_init(struct rfb_session *s, const struct rfb_frame *frame,
		      const struct picture_hands *hands, void *owner, const char *name)
{
	u8 *at;

	*s = (struct rfb_session){
		.hands = hands,
		.frame = frame,
		.owner = owner,
		.name = name,
	};
	rfb_format_ours(&s->format);
	at = rfb_buffer_add(&s->out, RFB_VERSION_SIZE);
	if (at)
		memcpy(at, RFB_VERSION_TEXT, RFB_VERSION_SIZE);
}

static bool is_held(const struct rfb_session *s, u16 key)
{
	return s->held[key / 8] >> key % 8 & 1;
}

static void press(struct rfb_session *s, u16 key, bool down)
{
	if (key == 0 || key >= RFB_KEYS || (!down && !is_held(s, key)))
		return;
	s->held[key / 8] &= (u8) ~(1u << key % 8);
	s->held[key / 8] |= (u8)(down << key % 8);
	s->counts.keys++;
	s->hands->key(s->owner, key, down);
}

void rfb_session_done(struct rfb_session *s)
{
	for (u16 key = 0; key < RFB_KEYS; key++)
		press(s, key, false);
	if (s->has_stream)
		deflateEnd(&s->stream);
	s->has_stream = false;
	rfb_buffer_done(&s->out);
	rfb_buffer_done(&s->scratch);
}

/* ---- the handshake --------------------------------------------------------------------------- */

/* Each step takes what is in s->in, of a known size, and says something. */
static void on_version(struct rfb_session *s)
{
	unsigned major, minor;
	char text[RFB_VERSION_SIZE + 1] = { 0 };

	memcpy(text, s->in, RFB_VERSION_SIZE);
	if (text[11] != '\n' || sscanf(text, "RFB %3u.%3u\n", &major, &minor) != 2 ||
	    major < 3) {
		over(s);
		return;
	}
	/* Who says 3.5 means 3.3; who says more than we know speaks 3.8 with us. */
	s->minor = major > 3 || minor >= 8 ? 8 : minor == 7 ? 7 : 3;
	if (s->minor == 3) {
		rfb_put32(&s->out, RFB_SECURITY_NONE);
		s->state = RFB_STATE_INIT;
		return;
	}
	rfb_put8(&s->out, 1);
	rfb_put8(&s->out, RFB_SECURITY_NONE);
	s->state = RFB_STATE_SECURITY;
}

static void on_security(struct rfb_session *s)
{
	if (s->in[0] != RFB_SECURITY_NONE) {
		over(s);
		return;
	}
	if (s->minor == 8)
		rfb_put32(&s->out, 0); /* it is in */
	s->state = RFB_STATE_INIT;
}

static void set_size(struct rfb_session *s)
{
	s->width = s->frame->width;
	s->height = s->frame->height;
}

/* Whether it shares the screen is not asked: everybody does. */
static void on_init(struct rfb_session *s)
{
	u32 size = (u32)strlen(s->name);
	u8 *at;

	set_size(s);
	rfb_put16(&s->out, (u16)s->width);
	rfb_put16(&s->out, (u16)s->height);
	rfb_format_put(&s->format, &s->out);
	rfb_put32(&s->out, size);
	at = rfb_buffer_add(&s->out, size);
	if (at)
		memcpy(at, s->name, size);
	s->state = RFB_STATE_NORMAL;
	rfb_session_mark_all(s);
}

/* ---- what a client can do -------------------------------------------------------------------- */

static void on_format(struct rfb_session *s)
{
	if (rfb_format_parse(s->in + 4, &s->format) < 0) {
		over(s);
		return;
	}
	s->tell_colours = s->format.mapped;
	rfb_session_mark_all(s);
}

/* The list is taken number by number: it may have 65,535. */
static void on_encodings(struct rfb_session *s)
{
	s->encodings_left = get16(s->in + 2);
	s->chosen = s->zrle = false;
	s->can_resize = s->can_resize_extended = s->can_qemu_keys = s->can_leds = false;
}

static void on_encoding(struct rfb_session *s)
{
	s->encodings_left--;
	switch ((s32)get32(s->in)) {
	case RFB_RAW:
		s->chosen = true;
		return;
	case RFB_ZRLE:
		s->zrle |= !s->chosen;
		s->chosen = true;
		return;
	case RFB_DESKTOP_SIZE:
		s->can_resize = true;
		return;
	case RFB_EXTENDED_DESKTOP_SIZE:
		s->can_resize_extended = true;
		return;
	case RFB_QEMU_KEYS:
		s->can_qemu_keys = s->tell_keys = true;
		return;
	case RFB_LED_STATE:
		s->can_leds = s->tell_leds = true;
		return;
	default:
		return;
	}
}

/* ---- hands ----------------------------------------------------------------------------------- */

static void on_key(struct rfb_session *s)
{
	press(s, key_of_keysym(get32(s->in + 4)), s->in[1]);
}

static void on_qemu_key(struct rfb_session *s)
{
	u16 key = key_of_qemu(get32(s->in + 8));

	if (s->in[1] != RFB_QEMU_KEY_EVENT) {
		over(s); /* its size is not known */
		return;
	}
	press(s, key ?: key_of_keysym(get32(s->in + 4)), get16(s->in + 2));
}

static void on_pointer(struct rfb_session *s)
{
	/* Left, middle, right; wheel away, towards, to the left, to the right; back, as they come. */
	u8 now = s->in[1], before = s->buttons;
	u8 buttons = (u8)((now & 1) | (now >> 1 & 2) | (now << 1 & 4) | (now >> 4 & 8));
	int wheel = (now & ~before & 8 ? 1 : 0) - (now & ~before & 16 ? 1 : 0);
	u32 x = get16(s->in + 2), y = get16(s->in + 4);

	s->buttons = now;
	s->counts.points++;
	if (s->width > 0 && s->height > 0)
		s->hands->point(s->owner, (u32)min_u64(x, s->width - 1),
				(u32)min_u64(y, s->height - 1), s->width, s->height,
				buttons, wheel);
}

/* ---- what a client asks ---------------------------------------------------------------------- */

/*
 * The area is not remembered: clients ask for all of it, and what is outside of what they asked for does
 * no harm, since it is inside of their screen.
 */
static void on_update_request(struct rfb_session *s)
{
	s->asked = true;
	if (s->in[1])
		return;
	rfb_session_mark_all(s);
	if (s->can_resize_extended) {
		s->tell_size = true;
		s->size_reason = RFB_RESIZE_BY_SERVER;
		s->size_status = 0;
	}
}

static void on_cut_text(struct rfb_session *s)
{
	s32 size = (s32)get32(s->in + 4);

	/* Extended clipboards have a negative size. */
	s->skip = size < 0 ? -(u64)(s64)size : (u64)size;
	s->counts.skipped += s->skip;
}

/* The guest decides. */
static void on_desktop_size(struct rfb_session *s)
{
	s->skip = s->in[6] * 16u;
	if (s->can_resize_extended) {
		s->tell_size = true;
		s->size_reason = RFB_RESIZE_BY_CLIENT;
		s->size_status = RFB_RESIZE_PROHIBITED;
	}
}

/* ---- messages -------------------------------------------------------------------------------- */

static const struct {
	unsigned size;
	void (*handle)(struct rfb_session *s);
} messages[256] = {
	[RFB_SET_PIXEL_FORMAT] = { 20, on_format },
	[RFB_SET_ENCODINGS] = { 4, on_encodings },
	[RFB_UPDATE_REQUEST] = { 10, on_update_request },
	[RFB_KEY_EVENT] = { 8, on_key },
	[RFB_POINTER_EVENT] = { 6, on_pointer },
	[RFB_CLIENT_CUT_TEXT] = { 8, on_cut_text },
	[RFB_SET_DESKTOP_SIZE] = { 8, on_desktop_size },
	[RFB_QEMU_CLIENT] = { 12, on_qemu_key },
};

/* How many bytes the next step takes. 0: there is no such message. */
static unsigned wanted(const struct rfb_session *s)
{
	switch (s->state) {
	case RFB_STATE_VERSION:
		return RFB_VERSION_SIZE;
	case RFB_STATE_SECURITY:
	case RFB_STATE_INIT:
		return 1;
	case RFB_STATE_NORMAL:
		if (s->encodings_left > 0)
			return 4;
		return s->in_size == 0 ? 1 : messages[s->in[0]].size;
	case RFB_STATE_OVER:
		break;
	}
	return 0;
}

static void step(struct rfb_session *s)
{
	switch (s->state) {
	case RFB_STATE_VERSION:
		on_version(s);
		return;
	case RFB_STATE_SECURITY:
		on_security(s);
		return;
	case RFB_STATE_INIT:
		on_init(s);
		return;
	case RFB_STATE_NORMAL:
		if (s->encodings_left > 0)
			on_encoding(s);
		else
			messages[s->in[0]].handle(s);
		return;
	case RFB_STATE_OVER:
		return;
	}
}

/* Takes some bytes at least, or the session is over. */
static size_t take(struct rfb_session *s, const u8 *bytes, size_t size)
{
	unsigned whole = wanted(s);
	size_t n;

	if (s->skip > 0) {
		n = min_u64(s->skip, size);
		s->skip -= n;
		return n;
	}
	if (whole == 0) {
		over(s);
		return size;
	}
	n = min_u64(whole - s->in_size, size);
	memcpy(s->in + s->in_size, bytes, n);
	s->in_size += (unsigned)n;
	/* The first byte of a message says how long it is. */
	if (s->in_size == wanted(s)) {
		step(s);
		s->in_size = 0;
	}
	return n;
}

void rfb_session_hear(struct rfb_session *s, const u8 *bytes, size_t size)
{
	while (size > 0 && s->state != RFB_STATE_OVER) {
		size_t n = take(s, bytes, size);

		bytes += n;
		size -= n;
	}
	if (s->out.failed)
		over(s);
}

/* ---- what has changed ------------------------------------------------------------------------ */

void rfb_session_mark(struct rfb_session *s, u32 column, u32 row)
{
	if (column >= tiles(s->width) || row >= tiles(s->height))
		return;
	s->dirty_count += !s->dirty[row][column];
	s->dirty[row][column] = true;
}

void rfb_session_mark_all(struct rfb_session *s)
{
	for (u32 row = 0; row < tiles(s->height); row++)
		for (u32 column = 0; column < tiles(s->width); column++)
			rfb_session_mark(s, column, row);
}

void rfb_session_set_leds(struct rfb_session *s, u8 leds)
{
	s->tell_leds |= s->can_leds && s->leds != leds;
	s->leds = leds;
}

bool rfb_session_waits(const struct rfb_session *s)
{
	return s->state == RFB_STATE_NORMAL && s->asked && !s->in_update;
}

/* ---- updates --------------------------------------------------------------------------------- */

/* The next rectangle of a row of tiles, from a column on: neighbours go together. */
static bool find_rectangle(const struct rfb_session *s, u32 row, u32 *io_column,
			   struct picture_area *ret_area)
{
	u32 columns = tiles(s->width), first, end;

	for (first = *io_column; first < columns && !s->sending[row][first]; first++)
		;
	if (first == columns)
		return false;
	for (end = first; end < columns && s->sending[row][end]; end++)
		;
	*io_column = end;
	*ret_area = (struct picture_area){ .x = first * RFB_TILE, .y = row * RFB_TILE };
	ret_area->width = (u32)min_u64(end * RFB_TILE, s->width) - ret_area->x;
	ret_area->height = (u32)min_u64((row + 1) * RFB_TILE, s->height) - ret_area->y;
	return true;
}

static u32 count_rectangles(const struct rfb_session *s)
{
	struct picture_area area;
	u32 count = 0;

	for (u32 row = 0; row < tiles(s->height); row++)
		for (u32 column = 0; find_rectangle(s, row, &column, &area);)
			count++;
	return count;
}

static void put_header(struct rfb_session *s, u32 x, u32 y, u32 width, u32 height,
		       s32 encoding)
{
	rfb_put16(&s->out, (u16)x);
	rfb_put16(&s->out, (u16)y);
	rfb_put16(&s->out, (u16)width);
	rfb_put16(&s->out, (u16)height);
	rfb_put32(&s->out, (u32)encoding);
	s->counts.rectangles++;
}

static bool can_follow(const struct rfb_session *s)
{
	return s->can_resize || s->can_resize_extended;
}

/* The frame has another size: the client is told before it gets a pixel of it. */
static void follow_size(struct rfb_session *s)
{
	if (!can_follow(s) ||
	    (s->width == s->frame->width && s->height == s->frame->height))
		return;
	memset(s->dirty, 0, sizeof s->dirty);
	s->dirty_count = 0;
	set_size(s);
	rfb_session_mark_all(s);
	s->tell_size = true;
	s->size_reason = RFB_RESIZE_BY_SERVER;
	s->size_status = 0;
}

static void put_size(struct rfb_session *s)
{
	if (!s->can_resize_extended) {
		put_header(s, 0, 0, s->width, s->height, RFB_DESKTOP_SIZE);
		return;
	}
	put_header(s, s->size_reason, s->size_status, s->width, s->height,
		   RFB_EXTENDED_DESKTOP_SIZE);
	rfb_put32(&s->out, 1u << 24); /* one screen; padding */
	rfb_put32(&s->out, 0);	      /* its number */
	rfb_put32(&s->out, 0);	      /* where it is */
	rfb_put16(&s->out, (u16)s->width);
	rfb_put16(&s->out, (u16)s->height);
	rfb_put32(&s->out, 0);
}

/* 3, 3 and 2 bits of red, green and blue. */
static void put_colours(struct rfb_session *s)
{
	rfb_put8(&s->out, RFB_SET_COLOUR_MAP);
	rfb_put8(&s->out, 0);
	rfb_put16(&s->out, 0);
	rfb_put16(&s->out, 256);
	for (u32 k = 0; k < 256; k++) {
		rfb_put16(&s->out, (u16)((k >> 5) * 65535 / 7));
		rfb_put16(&s->out, (u16)((k >> 2 & 7) * 65535 / 7));
		rfb_put16(&s->out, (u16)((k & 3) * 65535 / 3));
	}
}

void rfb_session_update(struct rfb_session *s)
{
	u32 count;

	if (!rfb_session_waits(s) || s->out.size > s->sent)
		return;
	follow_size(s);
	s->tell_keys &= s->can_qemu_keys;
	s->tell_leds &= s->can_leds;
	s->tell_size &= can_follow(s);
	if (s->dirty_count == 0 && !s->tell_keys && !s->tell_leds && !s->tell_size)
		return;
	if (s->tell_colours)
		put_colours(s);
	memcpy(s->sending, s->dirty, sizeof s->sending);
	memset(s->dirty, 0, sizeof s->dirty);
	s->dirty_count = 0;
	count = count_rectangles(s) + s->tell_size + s->tell_keys + s->tell_leds;
	rfb_put8(&s->out, RFB_UPDATE);
	rfb_put8(&s->out, 0);
	rfb_put16(&s->out, (u16)count);
	if (s->tell_size)
		put_size(s);
	if (s->tell_keys)
		put_header(s, 0, 0, 0, 0, RFB_QEMU_KEYS);
	if (s->tell_leds) {
		put_header(s, 0, 0, 0, 0, RFB_LED_STATE);
		rfb_put8(&s->out, s->leds);
	}
	s->tell_size = s->tell_keys = s->tell_leds = s->tell_colours = false;
	s->asked = false;
	s->in_update = true;
	s->next_row = 0;
	s->counts.updates++;
}

static int put_area(struct rfb_session *s, const struct picture_area *a)
{
	put_header(s, a->x, a->y, a->width, a->height, s->zrle ? RFB_ZRLE : RFB_RAW);
	if (!s->zrle) {
		rfb_encode_raw(s->frame, a, &s->format, &s->out);
		return 0;
	}
	if (!s->has_stream && deflateInit(&s->stream, ZLIB_LEVEL) != Z_OK)
		return -ENOMEM;
	s->has_stream = true;
	return rfb_encode_zrle(s->frame, a, &s->format, &s->stream, &s->scratch, &s->out);
}

/* Rows of tiles, until there is enough to send or the update is whole. */
static void go_on(struct rfb_session *s)
{
	while (s->in_update && s->out.size < RFB_OUTPUT) {
		struct picture_area area;

		if (s->next_row == tiles(s->height)) {
			s->in_update = false;
			break;
		}
		for (u32 column = 0; find_rectangle(s, s->next_row, &column, &area);)
			if (put_area(s, &area) < 0)
				over(s);
		s->next_row++;
	}
	if (s->out.failed)
		over(s);
}

size_t rfb_session_output(struct rfb_session *s, const u8 **ret_bytes)
{
	if (s->sent == s->out.size) {
		s->sent = s->out.size = 0;
		go_on(s);
	}
	if (s->state == RFB_STATE_OVER)
		return 0;
	*ret_bytes = s->out.bytes + s->sent;
	return s->out.size - s->sent;
}

void rfb_session_sent(struct rfb_session *s, size_t size)
{
	s->sent += size;
}
