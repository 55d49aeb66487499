/* SPDX-License-Identifier: Apache-2.0 */
/* How fast the host's time stamp counter runs; see tsc.h. */
#include "programs/hv/tsc.h"

#include <cpuid.h>
#include <time.h>
#include <x86intrin.h>

#include "base/clock.h"

#define CPUID_TSC 0x15
#define CPUID_HYPERVISOR 0x40000000
#define CPUID_HYPERVISOR_TIMING 0x40000010 /* VMware's leaf, which KVM hosts offer too */
#define TSC_CHECK_NS 500000ull

struct tsc_sample tsc_sample_now(void)
{
	struct tsc_sample best = { 0 };
	u64 shortest = UINT64_MAX;

	/* The reading that was least disturbed of a few. */
	for (unsigned k = 0; k < 5; k++) {
		u64 before = __rdtsc(), ns = host_clock.monotonic_ns(&host_clock);
		u64 after = __rdtsc();

		if (after - before < shortest) {
			shortest = after - before;
			best = (struct tsc_sample){ .tsc = before + shortest / 2,
						    .ns = ns };
		}
	}
	return best;
}

static u64 hz_of_cpuid(void)
{
	unsigned a, b, c, d;

	if (__get_cpuid(CPUID_TSC, &a, &b, &c, &d) && a && b && c)
		return (u64)c * b / a;
	__cpuid(1, a, b, c, d);
	if (!(c & BIT(31)))
		return 0;
	__cpuid(CPUID_HYPERVISOR, a, b, c, d);
	if (a < CPUID_HYPERVISOR_TIMING || a > CPUID_HYPERVISOR + 0xff)
		return 0;
	__cpuid(CPUID_HYPERVISOR_TIMING, a, b, c, d);
	return (u64)a * 1000;
}

static u64 measure(const struct tsc_sample *since, const struct tsc_sample *now)
{
	return (u64)((__uint128_t)(now->tsc - since->tsc) * NS_PER_SEC /
		     (now->ns - since->ns));
}

/* Asleep, not spinning: the worker loads the guest meanwhile. */
static struct tsc_sample wait_since(const struct tsc_sample *since, u64 ns)
{
	u64 now = host_clock.monotonic_ns(&host_clock);

	if (now - since->ns < ns) {
		u64 left = since->ns + ns - now;
		struct timespec t = { .tv_sec = (time_t)(left / NS_PER_SEC),
				      .tv_nsec = (long)(left % NS_PER_SEC) };
		nanosleep(&t, NULL);
	}
	return tsc_sample_now();
}

u64 tsc_find_hz(const struct tsc_sample *since)
{
	u64 said = hz_of_cpuid(), measured;
	struct tsc_sample now;

	if (said) {
		now = wait_since(since, TSC_CHECK_NS);
		measured = measure(since, &now);
		/* A word that is 1 % beside the truth is not about this counter. */
		if (said > measured - measured / 100 && said < measured + measured / 100)
			return said;
	}
	now = wait_since(since, TSC_MEASURE_NS);
	return measure(since, &now);
}
