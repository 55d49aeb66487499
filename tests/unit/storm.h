/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of hostile guests measure with: time that a storm lasts, memory that it costs. */
#pragma once

#include <malloc.h>

#include "base/clock.h"

/* Bytes that the program has from malloc. */
static inline size_t memory_used(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* How long the storms last: TABIQUE_HOSTILE_SECONDS, or a moment. */
static inline u64 storm_ns(void)
{
	const char *seconds = getenv("TABIQUE_HOSTILE_SECONDS");

	return seconds ? strtoull(seconds, NULL, 10) * NS_PER_SEC : NS_PER_SEC / 2;
}

static inline u64 now_ns(void)
{
	return host_clock.monotonic_ns(&host_clock);
}
