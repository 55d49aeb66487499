/* SPDX-License-Identifier: Apache-2.0 */
/* How fast the host's time stamp counter runs. */
#pragma once

#include "base/types.h"

struct tsc_sample {
	u64 tsc, ns;
};

/* Take one early ... */
struct tsc_sample tsc_sample_now(void);
/*
 * ... and ask late: ticks a second, from CPUID where it says so, else from the time since the
 * sample (waits until that was TSC_MEASURE_NS).
 */
#define TSC_MEASURE_NS 10000000ull
u64 tsc_find_hz(const struct tsc_sample *since);
