/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that a guest is beside its memory and its disks: hv's part as blocks (processors, hv's
 * chips, the clock), the worker's as records (the VMBus, its devices). What a saved state and a migration carry,
 * and what lets a guest go on under another hv and another worker, on another engine. WALL.md section 4.
 *
 *	1. direct_save		all clocks of the guest stand from here on; devices come to rest, and
 *				then, what they have said being hv's by now, the blocks are taken
 *	   another hv, another worker: direct_new, direct_start
 *	2. direct_restore	map, ranges, fw_cfg as at power-on; the blocks; the devices
 *	3. worker_run
 *
 * Loop thread.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include "state/record.h"
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
	struct state_writer devices; /* the worker's, as records: direct.h fills it */
};

/* What take allocated goes with machine_blocks_done, also after an error. */
int machine_blocks_take(struct worker_end *end, u32 vp_count,
			struct machine_blocks *ret_blocks, struct err *err) MUST_CHECK;
int machine_blocks_give(struct worker_end *end, const struct machine_blocks *blocks,
			struct err *err) MUST_CHECK;
void machine_blocks_done(struct machine_blocks *blocks);
