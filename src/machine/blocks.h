/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that hv holds of a guest beside its memory, as blocks: processors, hv's chips, the
 * clock. What a saved state and a migration carry, and what lets a guest go on under another hv, on
 * another engine. WALL.md section 4.
 *
 *	1. worker_stop		all clocks of the guest stand from here on
 *	2. machine_blocks_take
 *	   the other hv: map, ranges, fw_cfg as at power-on (direct_connect)
 *	3. machine_blocks_give
 *	4. worker_run
 *
 * Loop thread.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include "wall/worker_end.h"

#define MACHINE_CHIPS 11   /* blocks of chips that are there once */
#define MACHINE_VP_CHIPS 4 /* and of those that each VP has */

struct machine_vp_blocks {
	struct vp_state state;
	u8 chip[MACHINE_VP_CHIPS][WALL_CHIP_STATE_SIZE];
};

struct machine_blocks {
	u32 vp_count;
	struct worker_clock clock;
	u8 chip[MACHINE_CHIPS][WALL_CHIP_STATE_SIZE]; /* in the order of their table */
	struct machine_vp_blocks *vp;		      /* [vp_count] */
};

/* What take allocated goes with machine_blocks_done, also after an error. */
int machine_blocks_take(struct worker_end *end, u32 vp_count,
			struct machine_blocks *ret_blocks, struct err *err) MUST_CHECK;
int machine_blocks_give(struct worker_end *end, const struct machine_blocks *blocks,
			struct err *err) MUST_CHECK;
void machine_blocks_done(struct machine_blocks *blocks);
