/* SPDX-License-Identifier: Apache-2.0 */
/* RFB: a client of the tests' own speaks with a session, and decodes what it is sent. */
#include "console/rfb_session.h"

#include <stdio.h>

#include "harness.h"

#define WIDE 200u
#define HIGH 130u

/* What hands were told, as words. */
static char told[256];

static void key(void *owner, u16 code, bool down)
{
	size_t used = strlen(told);

	snprintf(told + used, sizeof told - used, "%c%x ", down ? '+' : '-', code);
}

static void point(void *owner, u32 x, u32 y, u32 width, u32 height, u8 buttons, int wheel)
{
	size_t used = strlen(told);

	snprintf(told + used, sizeof told - used, "%u,%u/%ux%u:%u%+d ", x, y, width,
		 height, buttons, wheel);
}

static const struct picture_hands hands = { key, point };

struct fixture {
	struct rfb_frame frame;
	struct rfb_session session;
	/* the client's */
	u32 screen[WIDE * HIGH];
	z_stream stream;
	bool has_stream;
	unsigned pixel_size; /* of ZRLE */
	u32 width, height;
	unsigned rectangles, sizes, keys, leds, colours;
	u8 led;
};

/* A picture that needs every kind of tile: one colour, few, long runs, noise. */
static void draw(struct rfb_frame *f)
{
	for (u32 y = 0; y < f->height; y++) {
		for (u32 x = 0; x < f->width; x++) {
			u32 *p = &f->pixels[y * f->width + x];
			u32 tile = x / 64 + y / 64 * 4;

			*p = tile == 0	 ? 0x123456
			     : tile == 1 ? (x & y & 4 ? 0xffffff : 0x102030)
			     : tile == 2 ? (x * y * 2654435761u) >> 8
			     : tile == 3 ? (x / 3 % 13) * 0x111111
					 : y << 16 | tile;
		}
	}
}

static void begin(struct fixture *f)
{
	*f = (struct fixture){ .frame = { WIDE, HIGH, NULL }, .pixel_size = 3 };
	f->frame.pixels = calloc(WIDE * HIGH, sizeof(u32));
	told[0] = '\0';
	draw(&f->frame);
	rfb_session_init(&f->session, &f->frame, &hands, NULL, "name");
}

static void end(struct fixture *f)
{
	rfb_session_done(&f->session);
	if (f->has_stream)
		inflateEnd(&f->stream);
	free(f->frame.pixels);
}

static void say(struct fixture *f, const void *bytes, size_t size)
{
	rfb_session_hear(&f->session, bytes, size);
}

/* All that the session has to say, in one piece. */
static u8 *hear(struct fixture *f, size_t *ret_size)
{
	u8 *all = NULL;
	const u8 *bytes;
	size_t n;

	*ret_size = 0;
	while ((n = rfb_session_output(&f->session, &bytes)) > 0) {
		all = realloc(all, *ret_size + n);
		memcpy(all + *ret_size, bytes, n);
		*ret_size += n;
		rfb_session_sent(&f->session, n);
	}
	return all;
}

static bool expect(struct fixture *f, const void *bytes, size_t size)
{
	size_t got_size;
	AUTO_FREE u8 *got = hear(f, &got_size);

	CHECK_EQ(got_size, size);
	CHECK_MEM(got, bytes, size);
	return true;
}

static bool shake_hands(struct fixture *f)
{
	static const char init[] = "\0\xc8\0\x82 "
				   "\x18\0\1\0\xff\0\xff\0\xff\x10\x08\0\0\0\0"
				   "\0\0\0\4name";

	CHECK_OK(expect(f, "RFB 003.008\n", 12));
	say(f, "RFB 003.008\n", 12);
	CHECK_OK(expect(f, "\1\1", 2));
	say(f, "\1", 1);
	CHECK_OK(expect(f, "\0\0\0\0", 4));
	say(f, "\1", 1);
	CHECK_OK(expect(f, init, sizeof init - 1));
	f->width = WIDE;
	f->height = HIGH;
	return true;
}

/* ---- a decoder ------------------------------------------------------------------------------- */

static u32 get(const u8 **io_at, unsigned size)
{
	u32 value = 0;

	while (size-- > 0)
		value = value << 8 | *(*io_at)++;
	return value;
}

static u32 get_pixel(const u8 **io_at, unsigned size)
{
	u32 value = 0;

	for (unsigned k = 0; k < size; k++)
		value |= (u32) * (*io_at)++ << 8 * k;
	return value;
}

static bool decode_tile(struct fixture *f, const u8 **io_at, u32 x0, u32 y0, u32 width,
			u32 height)
{
	u32 kind = get(io_at, 1), palette[16], run = 0, value = 0;
	unsigned bits = kind <= 2 ? 1 : kind <= 4 ? 2 : 4, left;

	CHECK(kind <= 16 || kind == 128);
	for (u32 k = 0; k < kind && kind <= 16; k++)
		palette[k] = get_pixel(io_at, f->pixel_size);
	for (u32 y = 0; y < height; y++) {
		left = 0;
		for (u32 x = 0; x < width; x++) {
			if (kind == 0)
				value = get_pixel(io_at, f->pixel_size);
			else if (kind == 1)
				value = palette[0];
			else if (kind == 128 && run == 0) {
				value = get_pixel(io_at, f->pixel_size);
				for (run = 1; **io_at == 255; (*io_at)++)
					run += 255;
				run += *(*io_at)++;
			} else if (kind <= 16) {
				left = left ?: 8;
				value = palette[**io_at >> (left - bits) &
						((1u << bits) - 1)];
				left -= bits;
				*io_at += left == 0;
			}
			run -= kind == 128;
			f->screen[(y0 + y) * WIDE + x0 + x] = value;
		}
		*io_at += left > 0;
	}
	CHECK_EQ(run, 0);
	return true;
}

static bool decode_zrle(struct fixture *f, const u8 **io_at, u32 x, u32 y, u32 width,
			u32 height)
{
	static u8 plain[WIDE * HIGH * 5];
	u32 size = get(io_at, 4);
	const u8 *at = plain;

	if (!f->has_stream)
		CHECK_EQ(inflateInit(&f->stream), Z_OK);
	f->has_stream = true;
	f->stream.next_in = (u8 *)*io_at;
	f->stream.avail_in = size;
	f->stream.next_out = plain;
	f->stream.avail_out = sizeof plain;
	CHECK_EQ(inflate(&f->stream, Z_SYNC_FLUSH), Z_OK);
	CHECK_EQ(f->stream.avail_in, 0);
	*io_at += size;
	for (u32 ty = 0; ty < height; ty += 64)
		for (u32 tx = 0; tx < width; tx += 64)
			CHECK_OK(decode_tile(f, &at, x + tx, y + ty,
					     (u32)min_u64(64, width - tx),
					     (u32)min_u64(64, height - ty)));
	CHECK_EQ(at - plain, sizeof plain - f->stream.avail_out);
	return true;
}

static bool decode_rectangle(struct fixture *f, const u8 **io_at)
{
	u32 x = get(io_at, 2), y = get(io_at, 2), w = get(io_at, 2), h = get(io_at, 2);
	s32 encoding = (s32)get(io_at, 4);

	switch (encoding) {
	case RFB_RAW:
		CHECK(x + w <= f->width && y + h <= f->height);
		for (u32 k = 0; k < w * h; k++)
			f->screen[(y + k / w) * WIDE + x + k % w] = get_pixel(io_at, 4);
		return true;
	case RFB_ZRLE:
		CHECK(x + w <= f->width && y + h <= f->height);
		return decode_zrle(f, io_at, x, y, w, h);
	case RFB_EXTENDED_DESKTOP_SIZE:
		*io_at += 20;
		f->sizes++;
		f->width = w;
		f->height = h;
		return true;
	case RFB_QEMU_KEYS:
		f->keys++;
		return true;
	case RFB_LED_STATE:
		f->leds++;
		f->led = (u8)get(io_at, 1);
		return true;
	default:
		CHECK(!"an encoding that was not asked for");
		return false;
	}
}

/* An update that was asked for; false where there is none, or it is wrong. */
static bool decode_update(struct fixture *f)
{
	size_t size;
	AUTO_FREE u8 *bytes = NULL;
	const u8 *at;

	rfb_session_update(&f->session);
	at = bytes = hear(f, &size);
	CHECK(size >= 4);
	if (*at == RFB_SET_COLOUR_MAP) {
		f->colours++;
		at += 6 + 256 * 6;
	}
	CHECK_EQ(get(&at, 2), 0);
	f->rectangles = get(&at, 2);
	for (u32 k = 0; k < f->rectangles; k++)
		CHECK_OK(decode_rectangle(f, &at));
	CHECK_EQ(at - bytes, size);
	return true;
}

static void ask(struct fixture *f, bool incremental)
{
	u8 request[10] = { RFB_UPDATE_REQUEST, incremental, 0, 0, 0, 0, 0, WIDE, 0, HIGH };

	say(f, request, sizeof request);
}

#define ENCODINGS(...)                                    \
	say(&f,                                           \
	    (u8[]){                                       \
		    2,                                    \
		    0,                                    \
		    0,                                    \
		    sizeof((u8[][4]){ __VA_ARGS__ }) / 4, \
	    },                                            \
	    4);                                           \
	say(&f, (u8[][4]){ __VA_ARGS__ }, sizeof((u8[][4]){ __VA_ARGS__ }))
#define ZRLE                \
	{                   \
		0, 0, 0, 16 \
	}
#define EXTENDED_SIZE                  \
	{                              \
		0xff, 0xff, 0xfe, 0xcc \
	}
#define QEMU_KEYS                      \
	{                              \
		0xff, 0xff, 0xfe, 0xfe \
	}
#define LEDS                           \
	{                              \
		0xff, 0xff, 0xfe, 0xfb \
	}

/* ---- cases ----------------------------------------------------------------------------------- */

TEST(rfb_client_of_3_3_is_asked_nothing)
{
	struct fixture f;

	begin(&f);
	ASSERT_OK(expect(&f, "RFB 003.008\n", 12));
	say(&f, "RFB 003.003\n", 12);
	ASSERT_OK(expect(&f, "\0\0\0\1", 4));
	ASSERT_EQ(f.session.state, RFB_STATE_INIT);
	end(&f);
}

TEST(rfb_picture_arrives_raw)
{
	struct fixture f;

	begin(&f);
	ASSERT_OK(shake_hands(&f));
	ask(&f, false);
	ASSERT_OK(decode_update(&f));
	ASSERT_MEM(f.screen, f.frame.pixels, sizeof f.screen);
	end(&f);
}

TEST(rfb_picture_arrives_by_zrle_and_then_what_changes)
{
	struct fixture f;

	begin(&f);
	ASSERT_OK(shake_hands(&f));
	ENCODINGS(ZRLE);
	ask(&f, false);
	ASSERT_OK(decode_update(&f));
	ASSERT_MEM(f.screen, f.frame.pixels, sizeof f.screen);
	ask(&f, true);
	rfb_session_update(&f.session);
	ASSERT(f.session.asked); /* nothing has changed: no answer yet */
	f.frame.pixels[70 * WIDE + 70] ^= 0xff;
	rfb_session_mark(&f.session, 1, 1);
	ASSERT_OK(decode_update(&f));
	ASSERT_EQ(f.rectangles, 1);
	ASSERT_MEM(f.screen, f.frame.pixels, sizeof f.screen);
	end(&f);
}

/* Viewers on slow lines ask for 8 bits. */
TEST(rfb_pixels_come_in_the_clients_format)
{
	static const u8 format[20] = { 0, 0, 0, 0, 8, 8, 0, 1, 0, 7, 0, 7, 0, 3, 0, 3, 6 };
	struct fixture f;

	begin(&f);
	f.pixel_size = 1;
	ASSERT_OK(shake_hands(&f));
	say(&f, format, sizeof format);
	ENCODINGS(ZRLE);
	for (u32 k = 0; k < WIDE * HIGH; k++)
		f.frame.pixels[k] = k % 2 ? 0xff0080 : 0x00ff00;
	ask(&f, false);
	ASSERT_OK(decode_update(&f));
	ASSERT_EQ(f.screen[0], 7 << 3);
	ASSERT_EQ(f.screen[1], 7 | 2 << 6);
	end(&f);
}

TEST(rfb_client_with_a_map_of_colours_gets_one)
{
	static const u8 format[20] = { 0, 0, 0, 0, 8, 8 };
	struct fixture f;

	begin(&f);
	f.pixel_size = 1;
	ASSERT_OK(shake_hands(&f));
	say(&f, format, sizeof format);
	ENCODINGS(ZRLE);
	ask(&f, false);
	ASSERT_OK(decode_update(&f));
	ASSERT_EQ(f.colours, 1);
	ask(&f, false);
	ASSERT_OK(decode_update(&f));
	ASSERT_EQ(f.colours, 1);
	end(&f);
}

TEST(rfb_screen_that_changes_its_size_is_followed)
{
	struct fixture f;

	begin(&f);
	ASSERT_OK(shake_hands(&f));
	ENCODINGS(ZRLE, EXTENDED_SIZE);
	ask(&f, false);
	ASSERT_OK(decode_update(&f));
	ASSERT_EQ(f.sizes, 1);
	f.frame.width = 100;
	f.frame.height = 65;
	ask(&f, true);
	ASSERT_OK(decode_update(&f));
	ASSERT_EQ(f.width, 100);
	ASSERT_EQ(f.height, 65);
	ASSERT_EQ(f.sizes, 2);
	for (u32 y = 0; y < 65; y++)
		ASSERT_MEM(f.screen + y * WIDE, f.frame.pixels + y * 100, 100 * 4);
	end(&f);
}

/* The frame shrinks while an update of its old size is on its way. */
TEST(rfb_screen_that_shrinks_in_the_middle_of_an_update_is_black_there)
{
	struct fixture f;

	begin(&f);
	ASSERT_OK(shake_hands(&f));
	ask(&f, false);
	rfb_session_update(&f.session);
	f.frame.width = 10;
	f.frame.height = 10;
	ASSERT_OK(decode_update(&f));
	ASSERT_EQ(f.screen[9 * WIDE + 9], f.frame.pixels[9 * 10 + 9]);
	ASSERT_EQ(f.screen[9 * WIDE + 10], 0);
	ASSERT_EQ(f.screen[10 * WIDE], 0);
	end(&f);
}

TEST(rfb_keys_and_leds_of_the_extensions)
{
	static const u8 down[12] = { 255, 0, 0, 1, 0, 0, 0, 0xf1, 0, 0, 0, 0x27 };
	static const u8 end_key[12] = { 255, 0, 0, 1, 0, 0, 0xff, 0x57, 0, 0, 0, 0xcf };
	struct fixture f;

	begin(&f);
	ASSERT_OK(shake_hands(&f));
	ENCODINGS(QEMU_KEYS, LEDS);
	rfb_session_set_leds(&f.session, 4);
	ask(&f, true);
	ASSERT_OK(decode_update(&f));
	ASSERT_EQ(f.keys, 1);
	ASSERT_EQ(f.leds, 1);
	ASSERT_EQ(f.led, 4);
	say(&f, down, sizeof down);
	say(&f, end_key, sizeof end_key);
	ASSERT_STR(told, "+27 +14f ");
	end(&f);
	/* What it held when it went is released. */
	ASSERT_STR(told, "+27 +14f -27 -14f ");
}

TEST(rfb_keysyms_are_keys_of_a_us_keyboard)
{
	struct fixture f;

	begin(&f);
	ASSERT_OK(shake_hands(&f));
	say(&f, "\4\1\0\0\0\0\xff\xe1\4\1\0\0\0\0\0A\4\0\0\0\0\0\0A\4\0\0\0\0\0\xff\xe1",
	    32);
	ASSERT_STR(told, "+2a +1e -1e -2a ");
	told[0] = '\0';
	/* No such key; one that is not held. */
	say(&f, "\4\1\0\0\1\0\x20\xac\4\0\0\0\0\0\0B", 16);
	ASSERT_STR(told, "");
	end(&f);
}

TEST(rfb_pointer_turns_and_clicks)
{
	struct fixture f;

	begin(&f);
	ASSERT_OK(shake_hands(&f));
	say(&f,
	    "\5\1\0\1\0\2\5\4\0\x03\0\4\5\x08\0\3\0\4\5\x08\0\3\0\4\5\x10\xff\xff\xff"
	    "\xff",
	    30);
	ASSERT_STR(told, "1,2/200x130:1+0 3,4/200x130:2+0 3,4/200x130:0+1 "
			 "3,4/200x130:0+0 "
			 "199,129/200x130:0-1 ");
	end(&f);
}

TEST(rfb_clipboards_are_skipped)
{
	struct fixture f;

	begin(&f);
	ASSERT_OK(shake_hands(&f));
	say(&f, "\6\0\0\0\0\0\0\x05\4\4\4\4\4", 13);
	say(&f, "\6\0\0\0\xff\xff\xff\xfe\4\4", 10);
	say(&f, "\4\1\0\0\0\0\0b", 8);
	ASSERT_STR(told, "+30 ");
	end(&f);
}

TEST(rfb_nonsense_ends_a_session)
{
	static const u8 formats[][20] = {
		{ 0, 0, 0, 0, 24, 24, 0, 1 },
		{ 0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 32 },
		{ 0, 0, 0, 0, 8, 8, 0, 1, 0, 255, 0, 0, 0, 0, 4 },
		{ 0, 0, 0, 0, 16, 8, 0, 0 },
	};
	struct fixture f;

	for (size_t k = 0; k < ARRAY_COUNT(formats); k++) {
		begin(&f);
		ASSERT_OK(shake_hands(&f));
		say(&f, formats[k], 20);
		EXPECT_EQ(f.session.state, RFB_STATE_OVER);
		end(&f);
	}
	begin(&f);
	say(&f, "GET / HTTP/1.1\r\n", 16);
	EXPECT_EQ(f.session.state, RFB_STATE_OVER);
	end(&f);
	begin(&f);
	ASSERT_OK(shake_hands(&f));
	say(&f, "\xc8.", 2);
	EXPECT_EQ(f.session.state, RFB_STATE_OVER);
	end(&f);
}

/* However large the screen is, what waits for a client that does not read is a few rows of tiles. */
TEST(rfb_output_has_a_limit)
{
	struct fixture f;
	const u8 *bytes;
	u64 all = 0;
	size_t n;

	begin(&f);
	free(f.frame.pixels);
	f.frame = (struct rfb_frame){ 4096, 4096, malloc(4096 * 4096 * 4) };
	ASSERT(f.frame.pixels);
	for (u32 k = 0; k < 4096 * 4096; k++)
		f.frame.pixels[k] = k * 2654435761u >> 8;
	say(&f, "RFB 003.008\n\1\1", 14);
	free(hear(&f, &n));
	ask(&f, false);
	rfb_session_update(&f.session);
	while ((n = rfb_session_output(&f.session, &bytes)) > 0) {
		ASSERT(n <= RFB_OUTPUT + 64 * 4096 * 4 + 4096);
		all += n;
		rfb_session_sent(&f.session, n);
	}
	ASSERT(all > 4096ull * 4096 * 4);
	end(&f);
}
