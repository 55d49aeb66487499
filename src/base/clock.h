/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where time comes from. Everything that reads or waits for time takes a struct clock, so that
 * tests can stop it and turn it by hand.
 */
#pragma once

#include "base/types.h"

#define NS_PER_SEC 1000000000ull

struct clock {
	u64 (*monotonic_ns)(const struct clock *clock); /* never goes back */
	s64 (*realtime_ns)(const struct clock *clock);	/* since 1970, UTC */
};

/* The host's clocks. */
extern const struct clock host_clock;

/* How long the calling thread has been executed, in user space and in the kernel. */
u64 clock_thread_ns(void);

/* A clock that stands still until it is told to move. */
struct manual_clock {
	struct clock clock;
	u64 monotonic;
	s64 realtime;
};
void manual_clock_init(struct manual_clock *clock, u64 monotonic_ns, s64 realtime_ns);
void manual_clock_advance(struct manual_clock *clock, u64 ns);
