/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much memory a guest shall have, from what it says of itself: a pure function.
 *
 *	demand	what it has promised to its programs, or what is not available to them, if that is more
 *	wanted	demand and the buffer, within minimum and maximum
 *	target	wanted; but a guest shrinks by an eighth of what it has at most, and not for less than
 *		a thirty-second; and it grows by its weight's share of what the host has left
 *
 * All sizes in bytes, unless they are the guest's own words. Any thread.
 */
#pragma once

#include "base/types.h"

#define POLICY_MAX_BUFFER 2000 /* percent */
#define POLICY_MAX_WEIGHT 10000
#define POLICY_BUFFER 20
#define POLICY_WEIGHT 5000
#define POLICY_SHRINK_SECONDS 10 /* from one step down to the next */

/* What a guest may have. */
struct policy_limits {
	u64 min, max; /* min <= max */
	u32 buffer;   /* percent of the demand */
	u32 weight;   /* of POLICY_MAX_WEIGHT */
};

/* What it has, and says. */
struct policy_report {
	u64 assigned, out; /* out: in the balloon; not part of assigned */
	/* pages; any numbers */
	u64 committed, available;
};

u64 policy_demand(const struct policy_report *report);
/* host_free: what the host can give at most; UINT64_MAX: nobody has said. */
u64 policy_target(const struct policy_limits *limits, u64 assigned, u64 demand,
		  u64 host_free);
/* "ok"; "warning": there is no room for the buffer; "low": not even for the demand. */
const char *policy_status(const struct policy_limits *limits, u64 assigned, u64 demand);
