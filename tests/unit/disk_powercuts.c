/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No power cut loses what was flushed; and the harness that says so notices when it is not so. Hours of
 * it: make soak.
 */
#include "unit/disk_crash.h"
#include "unit/harness.h"

#define STATES 120

static bool no_loss_of(const char *kind, u64 seed, unsigned steps, bool grow, bool merge)
{
	struct crash_run run = { .kind = model_kind_named(kind),
				 .seed = seed,
				 .steps = steps,
				 .grow = grow,
				 .merge = merge };

	CHECK_OK(crash_run(&run, STATES));
	if (run.failures)
		harness_fail(__FILE__, __LINE__, "%llu of %llu states: %s",
			     (unsigned long long)run.failures,
			     (unsigned long long)run.states, run.first);
	CHECK_EQ(run.failures, 0);
	CHECK(run.states > (steps < STATES / 4 ? steps : STATES / 4));
	return true;
}

static bool no_loss(const char *kind, u64 seed, bool grow, bool merge)
{
	return no_loss_of(kind, seed, 40, grow, merge);
}

TEST_TIMEOUT(power_cuts_lose_nothing_of_a_dynamic_vhd, 60)
{
	ASSERT_OK(no_loss("large-vhd-dynamic", 1, false, false));
	ASSERT_OK(no_loss("large-vhd-dynamic", 2, true, false));
}

/*
 * The file was longer already and the new footer not yet in it: such an image was refused. Little
 * work, so that many of the cuts are in the growth.
 */
TEST_TIMEOUT(power_cuts_lose_nothing_of_a_fixed_vhd_that_grows, 60)
{
	for (u64 seed = 1; seed <= 12; seed++)
		ASSERT_OK(no_loss_of("large-vhd-fixed", seed, 4, true, false));
	ASSERT_OK(no_loss("large-vhd-fixed", 20, true, false));
}

TEST_TIMEOUT(power_cuts_lose_nothing_of_a_differencing_vhd, 60)
{
	ASSERT_OK(no_loss("large-vhd-differencing", 1, false, false));
	ASSERT_OK(no_loss("large-vhd-differencing", 2, true, false));
}

TEST_TIMEOUT(power_cuts_lose_nothing_of_a_dynamic_vhdx, 60)
{
	ASSERT_OK(no_loss("large-vhdx-dynamic", 1, false, false));
	ASSERT_OK(no_loss("large-vhdx-4096", 2, true, false));
}

TEST_TIMEOUT(power_cuts_lose_nothing_of_a_differencing_vhdx, 60)
{
	ASSERT_OK(no_loss("large-vhdx-differencing", 1, false, false));
	ASSERT_OK(no_loss("large-vhdx-differencing-grows", 2, true, false));
}

/* Entries that lie partly at the log's end and partly at its beginning. */
TEST_TIMEOUT(power_cuts_where_the_log_goes_around_its_end_lose_nothing, 60)
{
	struct crash_run run = { .kind = model_kind_named("large-vhdx-differencing"),
				 .seed = 4,
				 .steps = 40,
				 .wrap = true };

	ASSERT_OK(crash_run(&run, STATES));
	ASSERT(run.wrapped);
	if (run.failures)
		FAIL("%s", run.first);
	ASSERT(run.states > STATES / 4);
}

TEST_TIMEOUT(power_cuts_in_a_merge_lose_nothing, 60)
{
	ASSERT_OK(no_loss("large-vhd-differencing", 3, false, true));
	ASSERT_OK(no_loss("large-vhdx-differencing", 3, false, true));
}

/* ---- negative controls: each must be caught ---- */

static u64 caught(const char *kind, enum crash_control control, u64 states)
{
	u64 failures = 0;

	for (u64 seed = 1; seed <= 3 && failures == 0; seed++) {
		struct crash_run run = { .kind = model_kind_named(kind),
					 .seed = seed,
					 .steps = 60,
					 .control = control };

		if (!crash_run(&run, states))
			return 0;
		failures += run.failures;
	}
	return failures;
}

TEST_TIMEOUT(flush_that_is_said_and_not_done_is_noticed, 60)
{
	ASSERT(caught("large-vhd-dynamic", CRASH_LOST_FLUSH, 200) > 0);
	ASSERT(caught("large-vhdx-dynamic", CRASH_LOST_FLUSH, 200) > 0);
}

TEST_TIMEOUT(bit_that_flips_in_the_block_table_is_noticed, 60)
{
	ASSERT(caught("large-vhd-dynamic", CRASH_BIT_FLIP, 100) > 0);
	ASSERT(caught("large-vhdx-dynamic", CRASH_BIT_FLIP, 100) > 0);
}

TEST_TIMEOUT(commit_without_its_inner_barriers_is_noticed, 60)
{
	ASSERT(caught("large-vhd-differencing", CRASH_NO_BARRIERS, 400) > 0);
	ASSERT(caught("large-vhdx-dynamic", CRASH_NO_BARRIERS, 400) > 0);
	ASSERT(caught("large-vhdx-differencing", CRASH_NO_BARRIERS, 400) > 0);
}
