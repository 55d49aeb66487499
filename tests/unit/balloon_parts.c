/* SPDX-License-Identifier: Apache-2.0 */
/* vsp/balloon/page_set.h and vsp/balloon/policy.h: what needs no guest. */
#include "harness.h"
#include "vsp/balloon/page_set.h"
#include "vsp/balloon/policy.h"

#define MIB (1ull << 20)

static void done(struct page_set *set)
{
	page_set_done(set);
}
#define SET __attribute__((cleanup(done))) struct page_set

TEST(page_is_in_the_set_once)
{
	SET s = { 0 };

	ASSERT_EQ(page_set_init(&s, 1000), 0);
	ASSERT(page_set_add(&s, 10, 100));
	ASSERT(!page_set_add(&s, 109, 1));
	ASSERT(!page_set_add(&s, 0, 11));
	ASSERT(!page_set_add(&s, 50, 1));
	ASSERT_EQ(s.count, 100);
	ASSERT(page_set_add(&s, 0, 10));
	ASSERT(page_set_add(&s, 110, 890));
	ASSERT_EQ(s.count, 1000);
}

TEST(pages_that_there_are_not_are_refused)
{
	SET s = { 0 };

	ASSERT_EQ(page_set_init(&s, 100), 0);
	ASSERT(!page_set_add(&s, 100, 1));
	ASSERT(!page_set_add(&s, 99, 2));
	ASSERT(!page_set_add(&s, UINT64_MAX, 2));
	ASSERT(!page_set_add(&s, 1, UINT64_MAX));
	ASSERT_EQ(s.count, 0);
	ASSERT(page_set_add(&s, 99, 1));
}

TEST(pages_are_found_as_runs_and_in_order)
{
	SET s = { 0 };
	u64 first = 0, count = 0;

	ASSERT_EQ(page_set_init(&s, 1000), 0);
	ASSERT(!page_set_find(&s, 0, 1000, &first, &count));
	/* Two that touch are one; words of 64 end inside. */
	ASSERT(page_set_add(&s, 200, 100) && page_set_add(&s, 60, 10) &&
	       page_set_add(&s, 70, 60));
	ASSERT(page_set_find(&s, 0, 1000, &first, &count));
	ASSERT_EQ(first, 60);
	ASSERT_EQ(count, 70);
	ASSERT(page_set_find(&s, 61, 3, &first, &count));
	ASSERT_EQ(first, 61);
	ASSERT_EQ(count, 3);
	ASSERT(page_set_find(&s, 130, 1000, &first, &count));
	ASSERT_EQ(first, 200);
	ASSERT_EQ(count, 100);
	ASSERT(!page_set_find(&s, 300, 1000, &first, &count));
	page_set_remove(&s, 60, 70);
	ASSERT(page_set_find(&s, 0, 1000, &first, &count));
	ASSERT_EQ(first, 200);
	ASSERT_EQ(s.count, 100);
}

TEST(set_agrees_with_one_of_bytes_after_random_changes)
{
	static u8 model[777];
	SET s = { 0 };
	u64 seed = 12345, first, count, in = 0;

	ASSERT_EQ(page_set_init(&s, sizeof model), 0);
	for (unsigned k = 0; k < 20000; k++) {
		bool free_range = true, full_range = true;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		first = (seed >> 33) % sizeof model;
		count = 1 + (seed >> 20) % 90;
		if (first + count > sizeof model)
			count = sizeof model - first;
		for (u64 n = first; n < first + count; n++) {
			free_range &= !model[n];
			full_range &= model[n];
		}
		if (full_range) {
			page_set_remove(&s, first, count);
			memset(model + first, 0, count);
			in -= count;
		} else {
			ASSERT_EQ(page_set_add(&s, first, count), free_range);
			if (free_range) {
				memset(model + first, 1, count);
				in += count;
			}
		}
		ASSERT_EQ(s.count, in);
	}
	for (u64 at = 0; page_set_find(&s, at, sizeof model, &first, &count);
	     at = first + count) {
		for (u64 n = at; n < first; n++)
			ASSERT(!model[n]);
		for (u64 n = first; n < first + count; n++)
			ASSERT(model[n]);
		in -= count;
	}
	ASSERT_EQ(in, 0);
}

TEST(set_comes_back_from_its_bytes_and_refuses_others)
{
	SET s = { 0 }, t = { 0 }, shorter = { 0 };
	u8 bytes[16] = { 0 };

	ASSERT_EQ(page_set_init(&s, 100), 0);
	ASSERT_EQ(page_set_init(&t, 100), 0);
	ASSERT_EQ(page_set_init(&shorter, 60), 0);
	ASSERT(page_set_add(&s, 7, 90));
	ASSERT(page_set_restore(&t, s.word, page_set_size(&s)));
	ASSERT_EQ(t.count, 90);
	ASSERT(!page_set_add(&t, 96, 1));
	ASSERT(page_set_add(&t, 97, 1));
	ASSERT(!page_set_restore(&shorter, s.word, page_set_size(&s)));
	/* A page behind the last one. */
	bytes[12] = 0x10;
	ASSERT(!page_set_restore(&t, bytes, sizeof bytes));
	bytes[12] = 0x08;
	ASSERT(page_set_restore(&t, bytes, sizeof bytes));
	ASSERT_EQ(t.count, 1);
}

static const struct policy_limits limits = {
	.min = 512 * MIB, .max = 2048 * MIB, .buffer = 20, .weight = POLICY_MAX_WEIGHT
};

TEST(demand_is_what_is_committed_without_the_balloon_or_what_is_not_available)
{
	ASSERT_EQ(policy_demand(&(struct policy_report){ .assigned = 600 * MIB,
							 .out = 400 * MIB,
							 .committed = 700 * 256,
							 .available = 500 * 256 }),
		  300 * MIB);
	ASSERT_EQ(policy_demand(&(struct policy_report){ .assigned = 600 * MIB,
							 .out = 400 * MIB,
							 .committed = 700 * 256,
							 .available = 100 * 256 }),
		  500 * MIB);
}

TEST(demand_of_crafted_figures_is_a_number)
{
	static const u64 figures[] = { 0, 1, UINT32_MAX, BIT64(52), UINT64_MAX };

	for (unsigned k = 0; k < ARRAY_COUNT(figures); k++) {
		for (unsigned n = 0; n < ARRAY_COUNT(figures); n++) {
			const struct policy_report r = { .assigned = 1024 * MIB,
							 .committed = figures[k],
							 .available = figures[n] };
			u64 target = policy_target(&limits, 1024 * MIB, policy_demand(&r),
						   UINT64_MAX);

			ASSERT(target >= limits.min && target <= limits.max);
			ASSERT_EQ(target % 4096, 0);
		}
	}
}

TEST(guest_grows_at_once_to_its_demand_and_the_buffer)
{
	ASSERT_EQ(policy_target(&limits, 1024 * MIB, 1000 * MIB, UINT64_MAX), 1200 * MIB);
	ASSERT_EQ(policy_target(&limits, 1024 * MIB, 3000 * MIB, UINT64_MAX), limits.max);
}

TEST(guest_grows_by_its_weights_share_of_what_the_host_has)
{
	struct policy_limits half = limits;

	half.weight = POLICY_MAX_WEIGHT / 2;
	ASSERT_EQ(policy_target(&half, 1024 * MIB, 3000 * MIB, 10000 * MIB), limits.max);
	ASSERT_EQ(policy_target(&half, 1024 * MIB, 3000 * MIB, 10000 * 4096),
		  1024 * MIB + 5000 * 4096);
	ASSERT_EQ(policy_target(&half, 1024 * MIB, 3000 * MIB, 0), 1024 * MIB);
}

TEST(guest_shrinks_by_steps_and_not_for_little)
{
	ASSERT_EQ(policy_target(&limits, 1024 * MIB, 100 * MIB, UINT64_MAX), 896 * MIB);
	ASSERT_EQ(policy_target(&limits, 520 * MIB, 100 * MIB, UINT64_MAX), 520 * MIB);
	ASSERT_EQ(policy_target(&limits, 544 * MIB, 100 * MIB, UINT64_MAX), 512 * MIB);
	ASSERT_EQ(policy_target(&limits, 1024 * MIB, 840 * MIB, UINT64_MAX), 1024 * MIB);
}

TEST(limits_hold_at_once_wherever_the_guest_is)
{
	ASSERT_EQ(policy_target(&limits, 100 * MIB, 0, 0), limits.min);
	ASSERT_EQ(policy_target(&limits, 4096 * MIB, 5000 * MIB, UINT64_MAX), limits.max);
}

TEST(status_says_what_there_is_no_room_for)
{
	ASSERT_STR(policy_status(&limits, 1024 * MIB, 800 * MIB), "ok");
	ASSERT_STR(policy_status(&limits, 1024 * MIB, 900 * MIB), "warning");
	ASSERT_STR(policy_status(&limits, 1024 * MIB, 1025 * MIB), "low");
}
