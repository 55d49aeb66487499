/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts: work on an image is recorded below the image, the states that a cut at any moment could
 * have left are made again, and each is opened and compared with what must be there.
 *
 * A state: everything up to the last flush of the file before the cut; of what was written after
 * it, any part, each piece whole, missing or torn at a sector. Every sector of the disk must then
 * read as it was at the last flush that the guest saw done, or as a later write made it.
 */
#pragma once

#include "unit/disk_model.h"

enum crash_control {
	CRASH_HONEST,
	CRASH_LOST_FLUSH, /* flushes are said to be done and are not */
	CRASH_BIT_FLIP,	  /* one bit of the block table is wrong */
	CRASH_NO_BARRIERS, /* the flushes inside of a commit are left out, but for its last */
};

struct crash_run {
	const struct model_kind *kind;
	u64 seed;
	unsigned steps; /* of work before the cuts */
	bool grow, merge;
	bool wrap; /* VHDX: the log is almost at its end when the work begins */
	enum crash_control control;

	u64 states, failures, nested; /* results */
	bool wrapped;		      /* the log went around its end in the work */
	char first[256];	      /* of the failures */
};
/* Work once, then make at most max_states of its states. False: the work itself failed. */
bool crash_run(struct crash_run *run, u64 max_states);
