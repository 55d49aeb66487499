/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's clock, which stands while the VM does; see guest_clock.h. */
#include "hv/guest_clock.h"

#include <x86intrin.h>

/* Both clocks at one instant: of a few tries the one that took least time. */
static void read_both(u64 *ret_ns, u64 *ret_tsc)
{
	u64 best = UINT64_MAX;

	for (unsigned n = 0; n < 5; n++) {
		u64 before = __rdtsc();
		u64 ns = host_clock.monotonic_ns(&host_clock);
		u64 took = __rdtsc() - before;

		if (took >= best)
			continue;
		best = took;
		*ret_ns = ns;
		*ret_tsc = before + took / 2;
	}
}

static u64 monotonic_ns(const struct clock *clock)
{
	const struct guest_clock *g =
		CONTAINER_OF(clock, const struct guest_clock, clock);

	if (g->stands)
		return g->stood_ns;
	return host_clock.monotonic_ns(&host_clock) - g->behind_ns;
}

static s64 realtime_ns(const struct clock *clock)
{
	(void)clock;
	return host_clock.realtime_ns(&host_clock);
}

void guest_clock_init(struct guest_clock *clock)
{
	*clock = (struct guest_clock){
		.clock = { .monotonic_ns = monotonic_ns, .realtime_ns = realtime_ns },
		.stands = true,
	};
	read_both(&clock->stood_ns, &clock->stood_tsc);
}

void guest_clock_stop(struct guest_clock *clock)
{
	u64 ns = 0;

	if (clock->stands)
		return;
	read_both(&ns, &clock->stood_tsc);
	clock->stood_ns = ns - clock->behind_ns;
	clock->stands = true;
}

u64 guest_clock_go(struct guest_clock *clock)
{
	u64 ns = 0, tsc = 0;

	if (!clock->stands)
		return 0;
	read_both(&ns, &tsc);
	clock->behind_ns = ns - clock->stood_ns;
	clock->stands = false;
	return tsc - clock->stood_tsc;
}

u64 guest_clock_host_ns(const struct guest_clock *clock, u64 guest_ns)
{
	return guest_ns > UINT64_MAX - clock->behind_ns ? UINT64_MAX
							: guest_ns + clock->behind_ns;
}
