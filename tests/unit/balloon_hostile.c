/* SPDX-License-Identifier: Apache-2.0 */
/* vsp/balloon against a mini-guest that lies: reliability case 19, and states that make no sense. */
#include "harness.h"
#include "miniguest/miniballoon.h"
#include "vsp/balloon/guest.h"

#define MIB (1ull << 20)
#define FIRST 2048

static void free_balloon(struct miniballoon **m)
{
	miniballoon_free(*m);
}
#define GUEST_OF __attribute__((cleanup(free_balloon))) struct miniballoon *

static struct miniballoon *asked_for(u64 pages)
{
	struct miniballoon *m = miniballoon_new(false);
	const struct balloon_change change = { BALLOON_SIZE,
					       MINIBALLOON_START - pages * 4096,
					       { 0 } };
	struct err err = { 0 };

	if (!miniballoon_start(m) || !miniballoon_report(m, 4096, 1000) ||
	    balloon_change(m->balloon, &change, &err) < 0 ||
	    miniballoon_take(m) != BALLOON_UP)
		abort();
	return m;
}

TEST(ranges_that_are_no_memory_of_the_guests_change_nothing)
{
	static const u64 bad[][2] = {
		{ MINIBALLOON_PAGES, 1 },
		{ MINIBALLOON_PAGES - 1, 2 },
		{ 0, MINIBALLOON_PAGES + 1 },
		{ FIRST, 0 },
		{ FIRST, BALLOON_RANGE_PAGES },
		{ BIT64(40) - 1, 1 },
		{ BIT64(40) - 1, BALLOON_RANGE_PAGES },
		{ 3ull << 18, 1 },	   /* the hole */
		{ GM_HIGH_BASE >> 12, 1 }, /* what may come, and has not */
	};
	GUEST_OF m = asked_for(1024);

	ASSERT(miniballoon_give(m, true, bad, ARRAY_COUNT(bad)));
	ASSERT_EQ(miniballoon_shown(m, "wrong"), ARRAY_COUNT(bad));
	ASSERT_EQ(miniballoon_shown(m, "out"), 0);
	ASSERT_EQ(miniballoon_shown(m, "punched"), 0);
}

TEST(page_that_is_given_twice_is_taken_once)
{
	static const u64 twice[][2] = { { FIRST, 16 }, { FIRST + 15, 16 }, { FIRST, 1 } };
	GUEST_OF m = asked_for(1024);

	ASSERT(miniballoon_give(m, true, twice, 3));
	ASSERT_EQ(miniballoon_shown(m, "wrong"), 2);
	ASSERT_EQ(miniballoon_shown(m, "out"), 16 * 4096);
}

TEST(guest_may_give_more_than_it_was_asked_for)
{
	static const u64 all[][2] = { { FIRST, MINIBALLOON_PAGES - FIRST } };
	GUEST_OF m = asked_for(16);

	ASSERT(miniballoon_give(m, false, all, 1));
	ASSERT_EQ(miniballoon_shown(m, "given_pages"), all[0][1]);
	/* And then it has less than it shall have. */
	ASSERT_EQ(miniballoon_take(m), BALLOON_DOWN);
	ASSERT_EQ(miniballoon_got(m), all[0][1] - 16);
}

TEST(ranges_that_a_message_only_speaks_of_are_not_read)
{
	const struct balloon_given given = { .more_and_count = le32_of(UINT32_MAX) };
	GUEST_OF m = asked_for(1024);

	ASSERT(miniballoon_say(m, BALLOON_UP_RESPONSE, &given, sizeof given));
	ASSERT_EQ(miniballoon_shown(m, "malformed"), 1);
	ASSERT_EQ(miniballoon_shown(m, "out"), 0);
}

TEST(answers_to_nothing_are_counted_and_change_nothing)
{
	static const u64 range[][2] = { { FIRST, 16 } };
	const struct balloon_hot_added added = { le32_of(4096), le32_of(1) };
	const struct balloon_version version = { le32_of(BALLOON_2_0), le32_of(0) };
	GUEST_OF m = miniballoon_new(false);

	ASSERT(miniballoon_start(m));
	ASSERT(miniballoon_give(m, false, range, 1));
	ASSERT(miniballoon_say(m, BALLOON_DOWN_RESPONSE, NULL, 0));
	ASSERT(miniballoon_say(m, BALLOON_HOT_ADD_RESPONSE, &added, sizeof added));
	ASSERT(miniballoon_say(m, BALLOON_VERSION_REQUEST, &version, sizeof version));
	for (u32 type = 0; type < 300; type++)
		if (type != BALLOON_STATUS)
			ASSERT(miniballoon_say(m, (enum balloon_type)type, &version,
					       sizeof version));
	ASSERT_EQ(miniballoon_shown(m, "unexpected"), 4 + 299);
	ASSERT_EQ(miniballoon_shown(m, "assigned"), MINIBALLOON_START);
	ASSERT_EQ(miniballoon_take(m), 0);
}

TEST(message_that_is_shorter_than_its_kind_or_than_it_says_is_counted)
{
	static const u32 types[] = { BALLOON_STATUS, BALLOON_UP_RESPONSE };
	struct balloon_header h = { le16_of(BALLOON_STATUS), le16_of(48), le32_of(0) };
	GUEST_OF m = asked_for(1024);

	for (unsigned k = 0; k < ARRAY_COUNT(types); k++)
		ASSERT(miniballoon_say(m, (enum balloon_type)types[k], NULL, 0));
	ASSERT(mini_send(&m->channel, VMBUS_PACKET_INBAND, 0, 1, &h, sizeof h, 16));
	h.size = le16_of(7);
	ASSERT(mini_send(&m->channel, VMBUS_PACKET_INBAND, 0, 1, &h, sizeof h, 16));
	h.size = le16_of(0);
	ASSERT(mini_send(&m->channel, VMBUS_PACKET_INBAND, 0, 1, &h, 0, 16));
	ASSERT(mini_send(&m->channel, VMBUS_PACKET_COMPLETION, 0, 1, &h, sizeof h, 16));
	ASSERT_EQ(miniballoon_shown(m, "malformed"), 6);
}

TEST(guest_that_adds_more_than_it_was_offered_has_what_it_was_offered)
{
	GUEST_OF m = miniballoon_new(false);
	const struct balloon_change change = { BALLOON_SIZE, MINI_RAM, { 0 } };
	const struct balloon_hot_added added = { le32_of(UINT32_MAX), le32_of(1) };
	struct err err = { 0 };

	ASSERT(miniballoon_start(m));
	ASSERT(miniballoon_report(m, 4096, 1000));
	ASSERT_EQ(balloon_change(m->balloon, &change, &err), 0);
	ASSERT_EQ(miniballoon_take(m), BALLOON_HOT_ADD);
	ASSERT(miniballoon_say(m, BALLOON_HOT_ADD_RESPONSE, &added, sizeof added));
	ASSERT_EQ(miniballoon_shown(m, "wrong"), 1);
	ASSERT_EQ(miniballoon_shown(m, "assigned"), MINI_RAM);
}

TEST(guest_that_gives_what_it_was_offered_and_did_not_add_has_nothing_below_zero)
{
	static const u64 all[][2] = { { 0, FIRST / 2 },
				      { FIRST, MINIBALLOON_PAGES - FIRST },
				      { GM_HIGH_BASE >> 12, 8192 } };
	const struct balloon_hot_added none = { le32_of(0), le32_of(0) };
	const struct balloon_change more = { BALLOON_SIZE, MINI_RAM, { 0 } },
				    less = { BALLOON_SIZE, 4096, { 0 } };
	GUEST_OF m = miniballoon_new(false);
	struct err err = { 0 };

	ASSERT(miniballoon_start(m));
	ASSERT(miniballoon_report(m, 4096, 1000));
	ASSERT_EQ(balloon_change(m->balloon, &more, &err), 0);
	ASSERT_EQ(miniballoon_take(m), BALLOON_HOT_ADD);
	ASSERT(miniballoon_say(m, BALLOON_HOT_ADD_RESPONSE, &none, sizeof none));
	ASSERT_EQ(balloon_change(m->balloon, &less, &err), 0);
	ASSERT_EQ(miniballoon_take(m), BALLOON_UP);
	ASSERT(miniballoon_give(m, false, all, 3));
	ASSERT_EQ(miniballoon_shown(m, "assigned"), 0);
}

/* Case 19: up and down at ten a second, with whatever figures make the host do it. */
TEST(guest_that_swings_its_figures_is_asked_once_a_second_at_most)
{
	static const u64 figures[][2] = { { 0, 0 },
					  { 0, UINT32_MAX },
					  { UINT32_MAX, 0 },
					  { UINT32_MAX, UINT32_MAX },
					  { UINT64_MAX, UINT64_MAX } };
	u64 range[1][2] = { { FIRST, 1024 } };
	GUEST_OF m = miniballoon_new(true);
	u64 asked, tenths = 600;

	ASSERT(miniballoon_start(m));
	for (u64 k = 0; k < tenths; k++) {
		const u64 *f = figures[k / 7 % ARRAY_COUNT(figures)];
		u32 type;

		ASSERT(miniballoon_report(m, f[0], f[1]));
		miniballoon_advance(m, NS_PER_SEC / 10);
		while ((type = miniballoon_take(m)) != 0) {
			const struct balloon_hot_added added = { le32_of(2048),
								 le32_of(1) };

			if (type == BALLOON_UP)
				ASSERT(miniballoon_give(m, false, (const u64(*)[2])range,
							1));
			if (type == BALLOON_DOWN)
				ASSERT(miniballoon_say(m, BALLOON_DOWN_RESPONSE, NULL,
						       0));
			if (type == BALLOON_HOT_ADD)
				ASSERT(miniballoon_say(m, BALLOON_HOT_ADD_RESPONSE,
						       &added, sizeof added));
		}
		ASSERT(miniballoon_shown(m, "assigned") <= MINI_RAM);
	}
	asked = miniballoon_shown(m, "asked_up") + miniballoon_shown(m, "asked_down") +
		miniballoon_shown(m, "asked_add");
	ASSERT(asked > 0);
	ASSERT(asked <= tenths / 10 + BALLOON_ADD_SECONDS);
}

TEST(guest_that_reads_nothing_costs_nothing)
{
	GUEST_OF m = miniballoon_new(true);

	ASSERT(miniballoon_start(m));
	for (unsigned k = 0; k < 5000; k++) {
		ASSERT(miniballoon_report(m, k & 1 ? 0 : UINT32_MAX, k & 1 ? 8192 : 0));
		miniballoon_advance(m, NS_PER_SEC / 10);
	}
	/* One question, which is never answered. */
	ASSERT_EQ(miniballoon_shown(m, "asked_up"), 1);
	ASSERT_EQ(miniballoon_shown(m, "late"), 1);
}

/* A record of one field beside those of a guest that is ready. */
static int restore_with(u16 id, u64 value, bool open)
{
	GUEST_OF m = miniballoon_new(false);
	struct state_writer w = { 0 };
	int r;

	if (open && !miniballoon_open(m))
		abort();
	state_begin(&w, "balloon", 1);
	state_number(&w, 1, open ? BALLOON_READY : BALLOON_CLOSED);
	state_number(&w, 9, 0);
	state_number(&w, 10, 0);
	state_number(&w, id, value);
	state_end(&w);
	r = balloon_restore_memory(m->balloon, w.bytes, w.used);
	if (r == 0)
		r = balloon_restore(m->balloon, w.bytes, w.used);
	free(w.bytes);
	return r;
}

TEST(state_that_makes_no_sense_is_refused)
{
	static const struct {
		u16 id;
		u64 value;
	} bad[] = {
		{ 1, BALLOON_STATES },
		{ 1, BALLOON_CLOSED },
		{ 1, 1ull << 40 },
		{ 5, 4095 },
		{ 6, 1ull << 33 },
		{ 7, 1 }, /* sending */
		{ 8, 4095 },
		{ 8, MINI_RAM },
		{ 9, 4096 },
		{ 10, 4095 },
		{ 10, MINI_RAM },
		{ 10, UINT64_MAX - 4095 },
		{ 11, 1 },
		{ 65, 0 },
		{ 66, MINI_RAM * 2 },
		{ 67, UINT64_MAX },
		{ 68, UINT64_MAX },
	};

	ASSERT_EQ(restore_with(2, BALLOON_2_0, true), 0);
	ASSERT_EQ(restore_with(2, BALLOON_2_0, false), 0);
	ASSERT_EQ(restore_with(1, BALLOON_READY, false), -EPROTO);
	for (unsigned k = 0; k < ARRAY_COUNT(bad); k++)
		ASSERT_EQ(restore_with(bad[k].id, bad[k].value, true), -EPROTO);
}

TEST(pages_out_of_a_state_that_are_not_there_are_refused)
{
	static u8 out[MINI_RAM / 4096 / 8];
	GUEST_OF m = miniballoon_new(false);
	struct state_writer w = { 0 };

	ASSERT(miniballoon_open(m));
	out[MINIBALLOON_PAGES / 8] = 1;
	state_begin(&w, "balloon", 1);
	state_number(&w, 1, BALLOON_READY);
	state_bytes(&w, 11, out, sizeof out);
	state_end(&w);
	EXPECT_EQ(balloon_restore(m->balloon, w.bytes, w.used), -EPROTO);
	free(w.bytes);
}

TEST(state_of_a_machine_without_dynamic_memory_is_one_of_a_guest_that_has_all)
{
	GUEST_OF m = miniballoon_new(false);

	ASSERT_EQ(balloon_restore_memory(m->balloon, NULL, 0), 0);
	ASSERT_EQ(balloon_restore(m->balloon, NULL, 0), 0);
	ASSERT_EQ(miniballoon_shown(m, "assigned"), MINIBALLOON_START);
}
