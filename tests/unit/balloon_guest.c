/* SPDX-License-Identifier: Apache-2.0 */
/* vsp/balloon against the driver of a mini-guest that does what it should. */
#include "harness.h"
#include "miniguest/miniballoon.h"
#include "vsp/balloon/guest.h"

#define MIB (1ull << 20)
#define FIRST 2048 /* below lie the guest's rings */

static void free_balloon(struct miniballoon **m)
{
	miniballoon_free(*m);
}
#define GUEST_OF __attribute__((cleanup(free_balloon))) struct miniballoon *

static int hold(struct miniballoon *m, u64 size, struct err *err)
{
	return balloon_change(m->balloon,
			      &(struct balloon_change){ BALLOON_SIZE, size, { 0 } }, err);
}

/* A guest that has reported and is held at that size. */
static struct miniballoon *held_at(u64 size)
{
	struct miniballoon *m = miniballoon_new(false);
	struct err err = { 0 };

	if (!miniballoon_start(m) || !miniballoon_report(m, 4096, 1000) ||
	    hold(m, size, &err) < 0)
		abort();
	return m;
}

/* One that has given the pages of 16 MiB from FIRST on. */
static struct miniballoon *with_16_out(void)
{
	static const u64 range[][2] = { { FIRST, 4096 } };
	struct miniballoon *m = held_at(16 * MIB);

	if (miniballoon_take(m) != BALLOON_UP || !miniballoon_give(m, false, range, 1))
		abort();
	return m;
}

TEST(guest_and_host_agree_on_each_version_that_there_is_and_on_no_other)
{
	static const struct {
		u32 version;
		u64 accepted;
	} rows[] = { { BALLOON_2_0, 1 }, { BALLOON_1_0, 1 }, { BALLOON_0_3, 1 },
		     { 0x30000, 0 },	 { 0, 0 },	     { UINT32_MAX, 0 } };

	for (unsigned k = 0; k < ARRAY_COUNT(rows); k++) {
		GUEST_OF m = miniballoon_new(false);
		const struct balloon_version v = { le32_of(rows[k].version), le32_of(0) };
		struct balloon_answer answer;

		ASSERT(miniballoon_open(m));
		ASSERT(miniballoon_say(m, BALLOON_VERSION_REQUEST, &v, sizeof v));
		ASSERT_EQ(miniballoon_take(m), BALLOON_VERSION_RESPONSE);
		memcpy(&answer, m->packet + 8, sizeof answer);
		ASSERT_EQ(le64_get(answer.accepted), rows[k].accepted);
	}
}

TEST(guest_hears_what_it_may_get_to)
{
	GUEST_OF m = miniballoon_new(false);
	struct balloon_info info;

	ASSERT(miniballoon_start(m));
	memcpy(&info, m->packet + 8, sizeof info);
	ASSERT_EQ(le32_get(info.type), BALLOON_INFO_MAX_PAGES);
	ASSERT_EQ(le64_get(info.max_pages), MINI_RAM / 4096);
}

TEST(guest_is_asked_for_nothing_before_it_reports_or_50_seconds_are_over)
{
	GUEST_OF m = miniballoon_new(false);
	struct err err = { 0 };

	ASSERT(miniballoon_start(m));
	ASSERT_EQ(hold(m, 16 * MIB, &err), 0);
	ASSERT_EQ(miniballoon_take(m), 0);
	miniballoon_advance(m, BALLOON_FIRST_SECONDS * NS_PER_SEC - 1);
	ASSERT_EQ(miniballoon_take(m), 0);
	miniballoon_advance(m, 1);
	ASSERT_EQ(miniballoon_take(m), BALLOON_UP);
	ASSERT_EQ(miniballoon_wanted(m), 4096);
}

TEST(pages_that_are_given_read_as_zeros_and_are_the_hosts)
{
	static const u64 range[][2] = { { FIRST, 512 }, { FIRST + 1024, 512 } };
	GUEST_OF m = held_at(28 * MIB);

	memset(mini_page(m->mini, FIRST), 0xaa, 4096);
	memset(mini_page(m->mini, FIRST + 512), 0xbb, 4096);
	ASSERT_EQ(miniballoon_take(m), BALLOON_UP);
	ASSERT_EQ(miniballoon_wanted(m), 1024);
	ASSERT(miniballoon_give(m, true, range, 1));
	ASSERT_EQ(*mini_page(m->mini, FIRST), 0);
	ASSERT_EQ(*mini_page(m->mini, FIRST + 512), 0xbb);
	ASSERT_EQ(miniballoon_shown(m, "assigned"), 30 * MIB);
	ASSERT_EQ(miniballoon_take(m), 0);
	ASSERT(miniballoon_give(m, false, range + 1, 1));
	ASSERT_EQ(miniballoon_shown(m, "assigned"), 28 * MIB);
	ASSERT_EQ(miniballoon_shown(m, "punched"), 4 * MIB);
	ASSERT_EQ(miniballoon_shown(m, "wrong"), 0);
}

TEST(guest_that_gives_less_is_asked_again_and_one_that_gives_nothing_later)
{
	static const u64 range[][2] = { { FIRST, 100 } };
	GUEST_OF m = held_at(28 * MIB);

	ASSERT_EQ(miniballoon_take(m), BALLOON_UP);
	ASSERT(miniballoon_give(m, false, range, 1));
	ASSERT_EQ(miniballoon_take(m), BALLOON_UP);
	ASSERT_EQ(miniballoon_wanted(m), 924);
	ASSERT(miniballoon_give(m, false, NULL, 0));
	ASSERT_EQ(miniballoon_take(m), 0);
	miniballoon_advance(m, BALLOON_AGAIN_SECONDS * NS_PER_SEC);
	ASSERT_EQ(miniballoon_take(m), BALLOON_UP);
}

TEST(guest_gets_back_what_it_gave_and_nothing_else)
{
	GUEST_OF m = with_16_out();
	struct err err = { 0 };
	struct balloon_back head;
	le64 range;

	ASSERT_EQ(hold(m, 24 * MIB, &err), 0);
	ASSERT_EQ(miniballoon_take(m), BALLOON_DOWN);
	memcpy(&head, m->packet + 8, sizeof head);
	memcpy(&range, m->packet + 16, sizeof range);
	ASSERT_EQ(le32_get(head.count), 1);
	ASSERT_EQ(le32_get(head.more), 0);
	ASSERT_EQ(le64_get(range), FIRST | 2048ull << BALLOON_PFN_BITS);
	/* Nothing else is asked before its answer. */
	ASSERT_EQ(hold(m, 32 * MIB, &err), 0);
	ASSERT_EQ(miniballoon_take(m), 0);
	ASSERT(miniballoon_say(m, BALLOON_DOWN_RESPONSE, NULL, 0));
	ASSERT_EQ(miniballoon_take(m), BALLOON_DOWN);
	ASSERT_EQ(miniballoon_got(m), 2048);
	ASSERT(miniballoon_say(m, BALLOON_DOWN_RESPONSE, NULL, 0));
	ASSERT_EQ(miniballoon_take(m), 0);
	ASSERT_EQ(miniballoon_shown(m, "assigned"), 32 * MIB);
	ASSERT_EQ(miniballoon_shown(m, "out"), 0);
}

/* One that has given 3,000 pages, none beside another, and has no more. */
static struct miniballoon *with_single_pages_out(void)
{
	struct miniballoon *m = held_at(20 * MIB);
	u64 range[500][2];

	if (miniballoon_take(m) != BALLOON_UP)
		abort();
	for (unsigned part = 0; part < 6; part++) {
		for (unsigned k = 0; k < 500; k++) {
			range[k][0] = FIRST + 2 * (part * 500 + k);
			range[k][1] = 1;
		}
		if (!miniballoon_give(m, part < 5, (const u64(*)[2])range, 500))
			abort();
	}
	if (miniballoon_take(m) != BALLOON_UP || !miniballoon_give(m, false, NULL, 0))
		abort();
	return m;
}

TEST(single_pages_go_back_in_as_many_messages_as_they_need)
{
	GUEST_OF m = with_single_pages_out();
	struct err err = { 0 };
	unsigned messages = 0;
	u64 got = 0;

	ASSERT_EQ(miniballoon_shown(m, "out"), 3000 * 4096);
	ASSERT_EQ(hold(m, 32 * MIB, &err), 0);
	/* A ring of four pages holds three of them: the others follow as it is read. */
	while (miniballoon_take(m) == BALLOON_DOWN) {
		got += miniballoon_got(m);
		messages++;
	}
	ASSERT_EQ(got, 3000);
	ASSERT_EQ(messages, 6);
	ASSERT(miniballoon_say(m, BALLOON_DOWN_RESPONSE, NULL, 0));
	ASSERT_EQ(miniballoon_shown(m, "assigned"), 32 * MIB);
}

/* The range of the BALLOON_HOT_ADD that was taken. */
static struct balloon_hot_add hot_add(const struct miniballoon *m)
{
	struct balloon_hot_add add;

	memcpy(&add, m->packet + 8, sizeof add);
	return add;
}

static bool added(struct miniballoon *m, u32 pages, u32 result)
{
	const struct balloon_hot_added said = { le32_of(pages), le32_of(result) };

	return miniballoon_say(m, BALLOON_HOT_ADD_RESPONSE, &said, sizeof said);
}

TEST(memory_is_there_before_the_guest_hears_of_it)
{
	GUEST_OF m = held_at(44 * MIB);
	u64 at = GM_HIGH_BASE, ticket = 0;
	u8 byte = 1;

	/* 12 MiB more, in whole blocks of 8. */
	ASSERT_EQ(miniballoon_take(m), BALLOON_HOT_ADD);
	ASSERT_EQ(le64_get(hot_add(m).range), at >> 12 | 4096ull << BALLOON_PFN_BITS);
	ASSERT_EQ(le64_get(hot_add(m).region), le64_get(hot_add(m).range));
	ASSERT_EQ(m->high, 16 * MIB);
	ASSERT_EQ(gm_write(m->mini->gm, at + 16 * MIB - 1, &byte, 1, &ticket), 0);
	ASSERT_ERR(gm_write(m->mini->gm, at + 16 * MIB, &byte, 1, &ticket), EFAULT);
	ASSERT(added(m, 4096, 1));
	ASSERT_EQ(miniballoon_shown(m, "added"), 16 * MIB);
	/* What was more than it shall have comes back by the balloon. */
	ASSERT_EQ(miniballoon_take(m), BALLOON_UP);
	ASSERT_EQ(miniballoon_wanted(m), 1024);
}

TEST(what_was_added_can_be_given_and_gone_back)
{
	static const u64 range[][2] = { { GM_HIGH_BASE >> 12, 1024 } };
	GUEST_OF m = held_at(44 * MIB);
	struct err err = { 0 };
	le64 back;

	ASSERT_EQ(miniballoon_take(m), BALLOON_HOT_ADD);
	ASSERT(added(m, 4096, 1));
	ASSERT_EQ(miniballoon_take(m), BALLOON_UP);
	ASSERT(miniballoon_give(m, false, range, 1));
	ASSERT_EQ(miniballoon_shown(m, "assigned"), 44 * MIB);
	ASSERT_EQ(hold(m, 48 * MIB, &err), 0);
	ASSERT_EQ(miniballoon_take(m), BALLOON_DOWN);
	memcpy(&back, m->packet + 16, sizeof back);
	ASSERT_EQ(le64_get(back), GM_HIGH_BASE >> 12 | 1024ull << BALLOON_PFN_BITS);
}

TEST(guest_that_adds_less_is_asked_for_the_rest_later)
{
	GUEST_OF m = held_at(64 * MIB);

	ASSERT_EQ(miniballoon_take(m), BALLOON_HOT_ADD);
	ASSERT(added(m, 2048, 1));
	ASSERT_EQ(miniballoon_take(m), 0);
	miniballoon_advance(m, BALLOON_ADD_SECONDS * NS_PER_SEC);
	ASSERT_EQ(miniballoon_take(m), BALLOON_HOT_ADD);
	ASSERT_EQ(le64_get(hot_add(m).range),
		  (GM_HIGH_BASE + 8 * MIB) >> 12 | 6144ull << BALLOON_PFN_BITS);
}

TEST(guest_that_can_never_add_is_not_asked_again)
{
	GUEST_OF m = held_at(64 * MIB);

	ASSERT_EQ(miniballoon_take(m), BALLOON_HOT_ADD);
	ASSERT(added(m, 0, 1));
	miniballoon_advance(m, 3600 * NS_PER_SEC);
	ASSERT_EQ(miniballoon_take(m), 0);
	ASSERT_EQ(m->wake_at, UINT64_MAX);
}

TEST(memory_that_cannot_be_mapped_is_not_offered)
{
	GUEST_OF m = miniballoon_new(false);
	struct err err = { 0 };

	m->refuse_map = true;
	ASSERT(miniballoon_start(m));
	ASSERT(miniballoon_report(m, 4096, 1000));
	ASSERT_EQ(hold(m, 64 * MIB, &err), 0);
	ASSERT_EQ(miniballoon_take(m), 0);
	m->refuse_map = false;
	miniballoon_advance(m, BALLOON_ADD_SECONDS * NS_PER_SEC);
	ASSERT_EQ(miniballoon_take(m), BALLOON_HOT_ADD);
}

TEST(guest_without_a_driver_is_said_to_have_none)
{
	GUEST_OF m = miniballoon_new(false);
	struct balloon_figures f;
	struct err err = { 0 };

	ASSERT_EQ(hold(m, 16 * MIB, &err), -ENOTCONN);
	ASSERT(strstr(err.text, "no driver") && strstr(err.fix, "hv_balloon"));
	balloon_show(m->balloon, &f);
	ASSERT_STR(f.status, "no driver");
}

TEST(size_that_the_machine_has_no_room_for_is_refused)
{
	GUEST_OF m = held_at(32 * MIB);
	struct err err = { 0 };

	ASSERT_EQ(hold(m, MINI_RAM + 4096, &err), -EINVAL);
	ASSERT(strstr(err.text, "64 MiB"));
}

TEST(limits_that_cannot_be_are_refused_and_change_nothing)
{
	static const struct balloon_change bad[] = {
		{ BALLOON_MIN, 0, { .min = MINI_RAM + 4096 } },
		{ BALLOON_MAX, 0, { .max = 4 * MIB } },
		{ BALLOON_MAX, 0, { .max = MINI_RAM + 4096 } },
		{ BALLOON_BUFFER, 0, { .buffer = POLICY_MAX_BUFFER + 1 } },
		{ BALLOON_WEIGHT, 0, { .weight = POLICY_MAX_WEIGHT + 1 } },
	};
	GUEST_OF m = miniballoon_new(true);
	struct balloon_figures f;

	for (unsigned k = 0; k < ARRAY_COUNT(bad); k++) {
		struct err err = { 0 };

		ASSERT(balloon_change(m->balloon, &bad[k], &err) < 0);
	}
	balloon_show(m->balloon, &f);
	ASSERT_EQ(f.limits.min, 8 * MIB);
	ASSERT_EQ(f.limits.max, MINI_RAM);
	ASSERT_EQ(f.limits.buffer, 25);
}

TEST(policy_keeps_still_until_the_guest_reports)
{
	GUEST_OF m = miniballoon_new(true);

	ASSERT(miniballoon_start(m));
	miniballoon_advance(m, 3600 * NS_PER_SEC);
	ASSERT_EQ(miniballoon_take(m), 0);
	/* 8 MiB are committed, and 10 wanted, of 32: it goes there by eighths. */
	ASSERT(miniballoon_report(m, 6144, 2048));
	ASSERT_EQ(miniballoon_take(m), BALLOON_UP);
	ASSERT_EQ(miniballoon_wanted(m), 1024);
}

TEST(policy_gives_at_once_and_takes_every_ten_seconds)
{
	static const u64 range[][2] = { { FIRST, 1024 }, { FIRST + 1024, 896 } };
	GUEST_OF m = miniballoon_new(true);

	ASSERT(miniballoon_start(m));
	ASSERT(miniballoon_report(m, 6144, 2048));
	ASSERT_EQ(miniballoon_take(m), BALLOON_UP);
	ASSERT(miniballoon_give(m, false, range, 1));
	for (unsigned k = 0; k < 9; k++) {
		miniballoon_advance(m, NS_PER_SEC);
		ASSERT(miniballoon_report(m, 6144, 2048 + 1024));
		ASSERT_EQ(miniballoon_take(m), 0);
	}
	miniballoon_advance(m, NS_PER_SEC);
	ASSERT(miniballoon_report(m, 6144, 2048 + 1024));
	ASSERT_EQ(miniballoon_take(m), BALLOON_UP);
	ASSERT_EQ(miniballoon_wanted(m), 896);
	ASSERT(miniballoon_give(m, false, range + 1, 1));
	miniballoon_advance(m, NS_PER_SEC);
	/* All that it has is committed: a fourth more. */
	ASSERT(miniballoon_report(m, 0, 8192));
	ASSERT_EQ(miniballoon_take(m), BALLOON_DOWN);
	ASSERT_EQ(miniballoon_got(m), 6272 / 4);
}

TEST(who_says_a_size_has_the_policy_keep_still_until_limits_are_said)
{
	GUEST_OF m = miniballoon_new(true);
	struct err err = { 0 };

	ASSERT(miniballoon_start(m));
	ASSERT_EQ(hold(m, 32 * MIB, &err), 0);
	ASSERT(miniballoon_report(m, 6144, 2048));
	ASSERT_EQ(miniballoon_take(m), 0);
	ASSERT_EQ(balloon_change(
			  m->balloon,
			  &(struct balloon_change){ BALLOON_BUFFER, 0, { .buffer = 50 } },
			  &err),
		  0);
	ASSERT_EQ(miniballoon_take(m), BALLOON_UP);
}

TEST(answer_that_does_not_come_is_counted_and_still_waited_for)
{
	static const u64 range[][2] = { { FIRST, 4096 } };
	GUEST_OF m = held_at(16 * MIB);

	ASSERT_EQ(miniballoon_take(m), BALLOON_UP);
	miniballoon_advance(m, 3600 * NS_PER_SEC);
	ASSERT_EQ(miniballoon_shown(m, "late"), 1);
	ASSERT_EQ(miniballoon_take(m), 0);
	ASSERT(miniballoon_give(m, false, range, 1));
	ASSERT_EQ(miniballoon_shown(m, "assigned"), 16 * MIB);
}

TEST(guest_that_closes_and_opens_again_is_another_one)
{
	GUEST_OF m = with_16_out();
	const struct balloon_version version = { le32_of(BALLOON_2_0), le32_of(0) };

	ASSERT_EQ(miniballoon_shown(m, "assigned"), 16 * MIB);
	ASSERT(mini_close_and_wait(&m->channel));
	/* The next kernel has all of it, and is never told to take what it has not given. */
	ASSERT_EQ(miniballoon_shown(m, "assigned"), 32 * MIB);
	ASSERT(miniballoon_open_channel(m));
	ASSERT(miniballoon_say(m, BALLOON_VERSION_REQUEST, &version, sizeof version));
	ASSERT_EQ(miniballoon_take(m), BALLOON_VERSION_RESPONSE);
}

TEST(reset_makes_the_machines_memory_whole_and_no_more)
{
	GUEST_OF m = held_at(48 * MIB);

	ASSERT_EQ(miniballoon_take(m), BALLOON_HOT_ADD);
	ASSERT(added(m, 4096, 1));
	ASSERT(mini_close_and_wait(&m->channel));
	balloon_reset(m->balloon);
	ASSERT_EQ(m->high, 0);
	ASSERT_EQ(miniballoon_shown(m, "assigned"), 32 * MIB);
	ASSERT(!gm_pin(m->mini->gm, GM_HIGH_BASE, 1));
}

TEST(state_goes_on_elsewhere_with_what_is_out_and_what_was_added)
{
	static const u64 range[][2] = { { FIRST, 1024 }, { GM_HIGH_BASE >> 12, 1 } };
	GUEST_OF m = held_at(64 * MIB);
	struct err err = { 0 };

	ASSERT_EQ(miniballoon_take(m), BALLOON_HOT_ADD);
	ASSERT(added(m, 8192, 1));
	ASSERT_EQ(hold(m, 48 * MIB, &err), 0);
	ASSERT_EQ(miniballoon_take(m), BALLOON_UP);
	ASSERT(miniballoon_give(m, true, range, 1));
	ASSERT(miniballoon_move(m));
	ASSERT_EQ(m->high, 32 * MIB);
	ASSERT(gm_pin(m->mini->gm, GM_HIGH_BASE, 32 * MIB));
	ASSERT_EQ(miniballoon_shown(m, "assigned"), 60 * MIB);
	ASSERT_EQ(miniballoon_shown(m, "target"), 48 * MIB);
	/* It owed the rest of its answer, and is not asked anew. */
	ASSERT_EQ(miniballoon_take(m), 0);
	ASSERT(miniballoon_give(m, false, range + 1, 1));
	ASSERT_EQ(miniballoon_shown(m, "assigned"), 60 * MIB - 4096);
	ASSERT_EQ(miniballoon_take(m), BALLOON_UP);
	ASSERT(miniballoon_give(m, false, range, 1));
	ASSERT_EQ(miniballoon_shown(m, "wrong"), 1);
}

TEST(state_between_two_messages_back_goes_on_elsewhere)
{
	GUEST_OF m = with_single_pages_out();
	struct err err = { 0 };
	u64 got = 0;

	ASSERT_EQ(hold(m, 32 * MIB, &err), 0);
	ASSERT(miniballoon_shown(m, "owed_pages") > 0);
	ASSERT(miniballoon_move(m));
	while (miniballoon_take(m) == BALLOON_DOWN)
		got += miniballoon_got(m);
	ASSERT_EQ(got, 3000);
}
