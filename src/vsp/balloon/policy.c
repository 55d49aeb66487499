/* SPDX-License-Identifier: Apache-2.0 */
/* How much memory a guest shall have; see policy.h. */
#include "vsp/balloon/policy.h"

#include "base/checked.h"

#define PAGE 4096ull

static u64 bytes_of(u64 pages)
{
	return pages > UINT64_MAX / PAGE ? UINT64_MAX : pages * PAGE;
}

static u64 less(u64 a, u64 b)
{
	return a > b ? a - b : 0;
}

u64 policy_demand(const struct policy_report *r)
{
	/* The guest counts what is in the balloon as committed. */
	u64 committed = less(bytes_of(r->committed), r->out);
	u64 used = less(r->assigned, bytes_of(r->available));

	return max_u64(committed, used);
}

/* Demand and buffer. */
static u64 wanted(const struct policy_limits *l, u64 demand)
{
	unsigned __int128 want = (unsigned __int128)demand * (100 + l->buffer) / 100;

	return want > UINT64_MAX ? UINT64_MAX : (u64)want;
}

u64 policy_target(const struct policy_limits *l, u64 assigned, u64 demand, u64 host_free)
{
	u64 want = max_u64(min_u64(wanted(l, demand), l->max), l->min);
	u64 share = host_free / POLICY_MAX_WEIGHT * l->weight;

	/* Limits hold at once, wherever it is. */
	if (assigned < l->min)
		return l->min;
	if (assigned > l->max)
		return l->max;
	if (want >= assigned)
		return assigned + min_u64(want - assigned, share) / PAGE * PAGE;
	if (assigned - want < assigned / 32)
		return assigned;
	return max_u64(want, assigned - assigned / 8) / PAGE * PAGE;
}

const char *policy_status(const struct policy_limits *l, u64 assigned, u64 demand)
{
	if (demand > assigned)
		return "low";
	return wanted(l, demand) > assigned ? "warning" : "ok";
}
