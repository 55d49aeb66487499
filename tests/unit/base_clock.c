/* SPDX-License-Identifier: Apache-2.0 */
/* The clocks: base/clock.h. */
#include "harness.h"

#include "base/clock.h"

TEST(manual_clock_moves_only_when_it_is_told_to)
{
	struct manual_clock manual;
	const struct clock *clock = &manual.clock;

	manual_clock_init(&manual, 1000, -5);
	ASSERT_EQ(clock->monotonic_ns(clock), 1000);
	ASSERT_EQ(clock->monotonic_ns(clock), 1000);
	ASSERT_EQ(clock->realtime_ns(clock), -5);
	manual_clock_advance(&manual, 7);
	ASSERT_EQ(clock->monotonic_ns(clock), 1007);
	ASSERT_EQ(clock->realtime_ns(clock), 2);
}

TEST(host_clock_never_goes_back)
{
	u64 last = host_clock.monotonic_ns(&host_clock);

	for (int i = 0; i < 100000; i++) {
		u64 now = host_clock.monotonic_ns(&host_clock);

		ASSERT(now >= last);
		last = now;
	}
}
