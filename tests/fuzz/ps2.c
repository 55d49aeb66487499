/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest does to the keyboard controller while somebody types and moves the mouse. Input: two bytes
 * a step. Then its state, and a state made of the input.
 */
#include "board/ps2.h"
#include "state/record.h"

static u64 time_ns;
static unsigned answers;

static u64 read_clock(const struct clock *clock)
{
	return time_ns += 1000000;
}

static const struct clock clock_of_fuzz = { .monotonic_ns = read_clock };

static void set_line(void *owner, unsigned line, bool level)
{
	if (line != PS2_LINE_KEYBOARD && line != PS2_LINE_MOUSE)
		abort();
}

static void nothing(void *owner) {}

static void leds(void *owner, u16 value)
{
	if (value > 7)
		abort();
}

static void done(void *owner, int r, const struct err *err)
{
	answers++;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	const struct ps2_config config = { &clock_of_fuzz, set_line, nothing,
					   leds,	   nothing,  NULL };
	struct stroke stroke = { 3, { KEY_SHIFT, KEY_ALTGR, 0x10 } };
	struct state_writer w = { 0 };
	static struct ps2 p, other;
	unsigned typed = 0;

	answers = 0;
	ps2_init(&p, &config);
	for (size_t at = 0; at + 2 <= size; at += 2) {
		u8 how = data[at], value = data[at + 1];

		switch (how & 7) {
		case 0:
		case 1:
			ps2_write(&p, how & 1 ? PS2_PORT_COMMAND : PS2_PORT_DATA, value);
			break;
		case 2:
			(void)ps2_read(&p, how & 8 ? PS2_PORT_COMMAND : PS2_PORT_DATA);
			break;
		case 3:
			ps2_key(&p, (u16)(value | (how & 0x18) << 5), how & 0x80);
			break;
		case 4:
			ps2_point(&p, (s32)value * 0x1000000, -(s32)value, how >> 4, how);
			break;
		case 5:
			stroke.key[2] = value;
			ps2_type(&p, &stroke, how >> 7, done, NULL);
			typed++;
			break;
		case 6:
			time_ns += value * 100000000ull;
			ps2_due(&p);
			break;
		case 7:
			if (value == 0xff)
				ps2_reset(&p);
			break;
		}
		if (p.keyboard.queue.count > PS2_QUEUE ||
		    p.mouse.queue.count > PS2_QUEUE || answers > typed ||
		    answers + 1 < typed)
			abort();
	}
	ps2_save(&p, &w);
	ps2_init(&other, &config);
	if (!w.failed && ps2_restore(&other, w.bytes, w.used) < 0)
		abort();
	if (ps2_restore(&other, data, size) == 0)
		(void)ps2_read(&other, PS2_PORT_DATA);
	ps2_done(&other);
	ps2_done(&p);
	free(w.bytes);
	return 0;
}
