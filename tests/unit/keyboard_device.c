/* SPDX-License-Identifier: Apache-2.0 */
/* vsp/keyboard.h against the driver of a mini-guest. */
#include <errno.h>

#include "harness.h"
#include "miniguest/minidesk.h"

static void free_desk(struct minidesk **m)
{
	minidesk_free(*m);
}
#define GUEST_OF_DESK __attribute__((cleanup(free_desk))) struct minidesk *

static const struct stroke a = { 1, { 0x1e } };
static const struct stroke ctrl_alt_del = { 3, { KEY_CTRL, KEY_ALT, KEY_E0 | 0x53 } };

struct end {
	unsigned times;
	int r;
};

static void on_end(void *owner, int r, const struct err *err)
{
	struct end *end = owner;

	end->times++;
	end->r = r;
}

/* The next event, as make code and flags; 0: none. */
static u32 take_event(struct minidesk *m)
{
	struct keyboard_event e;

	if (!minidesk_take(m, DESK_KEYBOARD) || m->packet_size < sizeof e)
		return 0;
	memcpy(&e, m->packet, sizeof e);
	if (le32_get(e.type) != KEYBOARD_EVENT)
		return 0;
	return (u32)le16_get(e.make) << 8 | le32_get(e.flags);
}

#define EVENT(make, flags) ((make) << 8 | (flags))

TEST(request_gets_its_completion_and_its_answer)
{
	const struct keyboard_request foreign = { le32_of(KEYBOARD_REQUEST),
						  le32_of(0x20000) };
	GUEST_OF_DESK m = minidesk_new();
	struct end end = { 0 };

	ASSERT(minidesk_start(m));
	ASSERT(minidesk_say(m, DESK_KEYBOARD, &foreign, sizeof foreign, false));
	ASSERT(minidesk_take(m, DESK_KEYBOARD));
	ASSERT_EQ(m->packet[0], KEYBOARD_RESPONSE);
	ASSERT_EQ(m->packet[4], 0);
	keyboard_type(&m->keyboard, &a, 1, on_end, &end);
	ASSERT_EQ(end.r, -ENOTCONN);
	ASSERT(minidesk_start_keyboard(m));
	ASSERT_EQ(m->keyboard.state, KEYBOARD_READY);
}

TEST(keys_of_a_stroke_are_pressed_in_turn_and_released_in_reverse)
{
	GUEST_OF_DESK m = minidesk_new();
	struct end end = { 0 };

	ASSERT(minidesk_start(m));
	ASSERT(minidesk_start_keyboard(m));
	keyboard_type(&m->keyboard, &ctrl_alt_del, 1, on_end, &end);
	minidesk_advance(m, 0);
	ASSERT_EQ(take_event(m), EVENT(0x1d, 0));
	ASSERT_EQ(take_event(m), EVENT(0x38, 0));
	ASSERT_EQ(take_event(m), EVENT(0x53, KEYBOARD_E0));
	ASSERT_EQ(take_event(m), EVENT(0x53, KEYBOARD_E0 | KEYBOARD_BREAK));
	ASSERT_EQ(take_event(m), EVENT(0x38, KEYBOARD_BREAK));
	ASSERT_EQ(take_event(m), EVENT(0x1d, KEYBOARD_BREAK));
	ASSERT_EQ(end.times, 0);
	minidesk_advance(m, KEYBOARD_PACE_NS);
	ASSERT_EQ(end.times, 1);
	ASSERT_EQ(end.r, 0);
}

TEST(next_stroke_waits_until_the_guest_has_read_the_last)
{
	GUEST_OF_DESK m = minidesk_new();
	struct stroke text[100];
	struct end end = { 0 };

	for (unsigned k = 0; k < 100; k++)
		text[k] = a;
	ASSERT(minidesk_start(m));
	ASSERT(minidesk_start_keyboard(m));
	keyboard_type(&m->keyboard, text, 100, on_end, &end);
	for (unsigned k = 0; k < 100; k++) {
		minidesk_advance(m, NS_PER_SEC);
		ASSERT_EQ(end.times, 0);
		ASSERT_EQ(take_event(m), EVENT(0x1e, 0));
		ASSERT_EQ(take_event(m), EVENT(0x1e, KEYBOARD_BREAK));
		ASSERT_EQ(take_event(m), 0);
	}
	minidesk_advance(m, KEYBOARD_PACE_NS);
	ASSERT_EQ(end.times, 1);
	ASSERT_EQ(end.r, 0);
	ASSERT_EQ(keyboard_when(&m->keyboard), UINT64_MAX);
}

TEST(guest_that_reads_nothing_is_given_up_and_can_be_typed_at_again)
{
	GUEST_OF_DESK m = minidesk_new();
	const struct stroke text[] = { a, a, a };
	struct end end = { 0 }, other = { 0 };

	ASSERT(minidesk_start(m));
	ASSERT(minidesk_start_keyboard(m));
	keyboard_type(&m->keyboard, text, 3, on_end, &end);
	minidesk_advance(m, KEYBOARD_PATIENCE_NS - 1);
	ASSERT_EQ(end.times, 0);
	minidesk_advance(m, KEYBOARD_PACE_NS);
	ASSERT_EQ(end.times, 1);
	ASSERT_EQ(end.r, -ETIMEDOUT);
	ASSERT_EQ(m->keyboard.counts.lost, 2);
	while (take_event(m))
		;
	keyboard_type(&m->keyboard, &a, 1, on_end, &other);
	minidesk_advance(m, 0);
	ASSERT_EQ(take_event(m), EVENT(0x1e, 0));
	minidesk_advance(m, KEYBOARD_PACE_NS);
	/* Its release has not been read. */
	ASSERT_EQ(other.times, 0);
	ASSERT_EQ(take_event(m), EVENT(0x1e, KEYBOARD_BREAK));
	minidesk_advance(m, KEYBOARD_PACE_NS);
	ASSERT_EQ(other.times, 1);
	ASSERT_EQ(other.r, 0);
}

TEST(what_waits_is_bounded)
{
	static struct stroke text[KEYBOARD_STROKES];
	GUEST_OF_DESK m = minidesk_new();
	struct end end = { 0 }, more = { 0 };

	for (unsigned k = 0; k < KEYBOARD_STROKES; k++)
		text[k] = a;
	ASSERT(minidesk_start(m));
	ASSERT(minidesk_start_keyboard(m));
	keyboard_type(&m->keyboard, text, KEYBOARD_STROKES, on_end, &end);
	ASSERT_EQ(end.times, 0);
	keyboard_type(&m->keyboard, &a, 1, on_end, &more);
	ASSERT_EQ(more.r, -EBUSY);
	ASSERT(mini_close_and_wait(&m->channel[DESK_KEYBOARD]));
	ASSERT_EQ(end.times, 1);
	ASSERT_EQ(end.r, -ENOTCONN);
	ASSERT_EQ(m->keyboard.counts.lost, KEYBOARD_STROKES);
}

TEST(guest_that_closes_when_it_has_read_the_last_key_has_read_it)
{
	GUEST_OF_DESK m = minidesk_new();
	struct end end = { 0 };

	ASSERT(minidesk_start(m));
	ASSERT(minidesk_start_keyboard(m));
	keyboard_type(&m->keyboard, &ctrl_alt_del, 1, on_end, &end);
	minidesk_advance(m, 0);
	while (take_event(m))
		;
	ASSERT_EQ(end.times, 0);
	ASSERT(mini_close_and_wait(&m->channel[DESK_KEYBOARD]));
	ASSERT_EQ(end.times, 1);
	ASSERT_EQ(end.r, 0);
}

TEST(lamps_and_nonsense_of_the_guest)
{
	const struct keyboard_leds leds = { le32_of(KEYBOARD_LEDS), le16_of(4),
					    le16_of(0) };
	GUEST_OF_DESK m = minidesk_new();
	const u8 nonsense[12] = { 99 };

	ASSERT(minidesk_start(m));
	ASSERT(minidesk_start_keyboard(m));
	ASSERT(minidesk_say(m, DESK_KEYBOARD, &leds, sizeof leds, false));
	ASSERT_EQ(m->keyboard.leds, 4);
	ASSERT(minidesk_say(m, DESK_KEYBOARD, nonsense, sizeof nonsense, false));
	ASSERT_EQ(m->keyboard.counts.unknown, 1);
	ASSERT(minidesk_say(m, DESK_KEYBOARD, nonsense, 0, false));
	ASSERT_EQ(m->keyboard.counts.malformed, 1);
}

TEST(what_is_being_typed_goes_on_elsewhere)
{
	const struct stroke text[] = { a, ctrl_alt_del };
	GUEST_OF_DESK m = minidesk_new();
	struct end end = { 0 };

	ASSERT(minidesk_start(m));
	ASSERT(minidesk_start_keyboard(m));
	keyboard_type(&m->keyboard, text, 2, on_end, &end);
	minidesk_advance(m, 0);
	ASSERT_EQ(take_event(m), EVENT(0x1e, 0));
	ASSERT(minidesk_move(m));
	ASSERT_EQ(take_event(m), EVENT(0x1e, KEYBOARD_BREAK));
	minidesk_advance(m, 2 * KEYBOARD_PACE_NS);
	ASSERT_EQ(take_event(m), EVENT(0x1d, 0));
	/* Who asked is elsewhere. */
	ASSERT_EQ(end.times, 0);
}

TEST(guest_that_stands_is_not_typed_at)
{
	const struct stroke text[] = { a, a };
	GUEST_OF_DESK m = minidesk_new();
	struct end end = { 0 }, refused = { 0 };

	ASSERT(minidesk_start(m));
	ASSERT(minidesk_start_keyboard(m));
	keyboard_type(&m->keyboard, text, 2, on_end, &end);
	minidesk_advance(m, 0);
	ASSERT(take_event(m) && take_event(m));
	keyboard_pause(&m->keyboard);
	keyboard_type(&m->keyboard, &a, 1, on_end, &refused);
	ASSERT_EQ(refused.r, -EBUSY);
	minidesk_advance(m, 100 * KEYBOARD_PATIENCE_NS);
	ASSERT_EQ(take_event(m), 0);
	keyboard_resume(&m->keyboard);
	minidesk_advance(m, KEYBOARD_PACE_NS);
	ASSERT(take_event(m) && take_event(m));
	minidesk_advance(m, KEYBOARD_PACE_NS);
	ASSERT_EQ(end.r, 0);
	ASSERT_EQ(end.times, 1);
}
