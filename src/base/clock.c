/* SPDX-License-Identifier: Apache-2.0 */
/* The host's clocks, and one that is turned by hand. Callable from any thread. */
#include "base/clock.h"

#include <time.h>

static s64 host_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (s64)t.tv_sec * (s64)NS_PER_SEC + t.tv_nsec;
}

static u64 host_monotonic_ns(const struct clock *clock)
{
	(void)clock;
	return (u64)host_ns(CLOCK_MONOTONIC);
}

static s64 host_realtime_ns(const struct clock *clock)
{
	(void)clock;
	return host_ns(CLOCK_REALTIME);
}

const struct clock host_clock = {
	.monotonic_ns = host_monotonic_ns,
	.realtime_ns = host_realtime_ns,
};

u64 clock_thread_ns(void)
{
	return (u64)host_ns(CLOCK_THREAD_CPUTIME_ID);
}

static u64 manual_monotonic_ns(const struct clock *clock)
{
	return CONTAINER_OF(clock, struct manual_clock, clock)->monotonic;
}

static s64 manual_realtime_ns(const struct clock *clock)
{
	return CONTAINER_OF(clock, struct manual_clock, clock)->realtime;
}

void manual_clock_init(struct manual_clock *clock, u64 monotonic_ns, s64 realtime_ns)
{
	*clock = (struct manual_clock){
		.clock = {
			.monotonic_ns = manual_monotonic_ns,
			.realtime_ns = manual_realtime_ns,
		},
		.monotonic = monotonic_ns,
		.realtime = realtime_ns,
	};
}

void manual_clock_advance(struct manual_clock *clock, u64 ns)
{
	clock->monotonic += ns;
	clock->realtime += (s64)ns;
}
