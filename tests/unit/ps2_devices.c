/* SPDX-License-Identifier: Apache-2.0 */
/* The keyboard controller with its devices, as drivers use them. */
#include "board/ps2.h"

#include <stdio.h>

#include "harness.h"
#include "state/record.h"

static u64 time_ns;

static u64 read_clock(const struct clock *clock)
{
	return time_ns;
}

static const struct clock clock_of_test = { .monotonic_ns = read_clock };

/* Lines, resets and leds, as words. */
static char told[512];

static void say(const char *what, unsigned a, unsigned b)
{
	size_t used = strlen(told);

	snprintf(told + used, sizeof told - used, "%s%u=%u ", what, a, b);
}

static void set_line(void *owner, unsigned line, bool level)
{
	say("line", line, level);
}

static void reset(void *owner)
{
	say("reset", 0, 0);
}

static void leds(void *owner, u16 value)
{
	say("leds", 0, value);
}

static void wake(void *owner) {}

static const struct ps2_config config = { &clock_of_test, set_line, reset,
					  leds,		  wake,	    NULL };

static void begin(struct ps2 *p)
{
	told[0] = '\0';
	time_ns = NS_PER_SEC;
	ps2_init(p, &config);
}

/* All that is there to be read, as bytes in hexadecimal. */
static const char *drain(struct ps2 *p)
{
	static char bytes[512];
	size_t used = 0;

	bytes[0] = '\0';
	while (ps2_read(p, PS2_PORT_COMMAND) & 1 && used < 400)
		used += (size_t)snprintf(bytes + used, sizeof bytes - used, "%02x ",
					 ps2_read(p, PS2_PORT_DATA));
	return bytes;
}

static void to_mouse(struct ps2 *p, u8 byte)
{
	ps2_write(p, PS2_PORT_COMMAND, 0xd4);
	ps2_write(p, PS2_PORT_DATA, byte);
}

TEST(ps2_controller_tests_itself)
{
	struct ps2 p;

	begin(&p);
	ps2_write(&p, 0x64, 0xaa);
	ASSERT_STR(drain(&p), "55 ");
	ps2_write(&p, 0x64, 0xab);
	ASSERT_STR(drain(&p), "00 ");
	ps2_write(&p, 0x64, 0x60);
	ps2_write(&p, 0x60, 0x47);
	ps2_write(&p, 0x64, 0x20);
	ASSERT_STR(drain(&p), "47 ");
	ps2_write(&p, 0x64, 0xfe);
	ASSERT(strstr(told, "reset"));
}

TEST(ps2_keys_are_translated_and_interrupt)
{
	struct ps2 p;

	begin(&p);
	ps2_key(&p, 0x1e, true);
	ASSERT_STR(told, "line1=1 ");
	ASSERT_EQ(ps2_read(&p, 0x60), 0x1e);
	ASSERT_STR(told, "line1=1 line1=0 ");
	ps2_key(&p, 0x1e, false);
	ps2_key(&p, KEY_E0 | 0x48, true);
	ps2_key(&p, KEY_E0 | 0x48, false);
	ps2_key(&p, 0x41, true);
	ASSERT_STR(drain(&p), "9e e0 48 e0 c8 41 ");
}

TEST(ps2_keys_of_set_2_and_set_1)
{
	struct ps2 p;

	begin(&p);
	ps2_write(&p, 0x64, 0x60);
	ps2_write(&p, 0x60, 0x03); /* no translation */
	ps2_key(&p, 0x1e, true);
	ps2_key(&p, 0x1e, false);
	ps2_key(&p, KEY_E0 | 0x48, true);
	ps2_key(&p, KEY_E0 | 0x48, false);
	ps2_key(&p, 0x41, true);
	ASSERT_STR(drain(&p), "1c f0 1c e0 75 e0 f0 75 83 ");
	ps2_write(&p, 0x60, 0xf0);
	ps2_write(&p, 0x60, 1);
	ASSERT_STR(drain(&p), "fa fa ");
	ps2_key(&p, 0x1e, false);
	ASSERT_STR(drain(&p), "9e ");
	ps2_write(&p, 0x60, 0xf0);
	ps2_write(&p, 0x60, 0);
	ASSERT_STR(drain(&p), "fa fa 01 ");
}

TEST(ps2_keyboard_says_what_it_is_and_shows_leds)
{
	struct ps2 p;

	begin(&p);
	ps2_write(&p, 0x60, 0xff);
	ASSERT_STR(drain(&p), "fa aa ");
	ps2_write(&p, 0x60, 0xf2);
	ASSERT_STR(drain(&p), "fa ab 41 ");
	told[0] = '\0';
	ps2_write(&p, 0x60, 0xed);
	ps2_write(&p, 0x60, 4);
	ASSERT_STR(drain(&p), "fa fa ");
	ASSERT(strstr(told, "leds0=4"));
}

TEST(ps2_mouse_has_a_wheel_for_who_knocks)
{
	struct ps2 p;

	begin(&p);
	to_mouse(&p, 0xff);
	ASSERT_STR(drain(&p), "fa aa 00 ");
	for (unsigned k = 0; k < 3; k++) {
		to_mouse(&p, 0xf3);
		to_mouse(&p, (u8[]){ 200, 100, 80 }[k]);
		ASSERT_STR(drain(&p), "fa fa ");
	}
	to_mouse(&p, 0xf2);
	ASSERT_STR(drain(&p), "fa 03 ");
	to_mouse(&p, 0xf4);
	ASSERT_STR(drain(&p), "fa ");
	ps2_point(&p, 3, 5, 1, 1);
	ASSERT(ps2_read(&p, 0x64) & 0x20);
	ASSERT_STR(drain(&p), "29 03 fb ff ");
	/* Farther than a report goes: in two. */
	ps2_point(&p, -300, 0, 0, 0);
	ASSERT_STR(drain(&p), "18 01 00 00 18 d3 00 00 ");
}

static void done(void *owner, int r, const struct err *err)
{
	*(int *)owner = r;
}

/* A BIOS keeps fifteen keys: they come one by one. */
TEST(ps2_typed_text_waits_for_its_reader)
{
	static const struct stroke strokes[] = { { 2, { KEY_SHIFT, 0x23 } },
						 { 1, { 0x17 } } };
	struct ps2 p;
	int result = 1;

	begin(&p);
	ps2_type(&p, strokes, 2, done, &result);
	ASSERT_STR(drain(&p), "2a 23 a3 aa ");
	time_ns += PS2_PACE_NS;
	ASSERT_EQ(ps2_when(&p), time_ns);
	ps2_due(&p);
	ASSERT_EQ(result, 1);
	ASSERT_STR(drain(&p), "17 97 ");
	ASSERT_EQ(result, 0);
	ASSERT_EQ(ps2_when(&p), UINT64_MAX);
	/* Nobody reads. */
	ps2_type(&p, strokes, 2, done, &result);
	time_ns += PS2_PACE_NS;
	ps2_due(&p);
	time_ns += PS2_PATIENCE_NS;
	ps2_due(&p);
	ASSERT_EQ(result, -ETIMEDOUT);
	ps2_done(&p);
}

TEST(ps2_state_goes_on_elsewhere)
{
	struct state_writer w = { 0 };
	struct ps2 p, other;

	begin(&p);
	to_mouse(&p, 0xf4);
	(void)drain(&p);
	ps2_key(&p, 0x1e, true);
	ps2_key(&p, 0x1e, false);
	ps2_point(&p, 1, 1, 0, 0);
	ps2_save(&p, &w);
	ps2_init(&other, &config);
	ASSERT_EQ(ps2_restore(&other, w.bytes, w.used), 0);
	ASSERT_STR(drain(&other), "1e 9e 28 01 ff ");
	ASSERT_ERR(ps2_restore(&other, w.bytes, w.used - 1), EPROTO);
	free(w.bytes);
}
