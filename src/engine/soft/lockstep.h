/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lock-step: a second processor, always interpreted, goes the same way as the VP's, on memory of
 * its own, and must come to the same states. See lockstep.c. Private to engine/soft.
 * Everything on the VP's thread, but new and free, and what stands while the VP stands.
 */
#pragma once

#include "engine/soft/soft.h"
#include "x86/run.h"

struct lockstep;

/* For the only VP of a machine, whose bus it wraps. */
int lockstep_new(struct engine_vp *vp, u64 ram_size, struct lockstep **ret_lockstep,
		 struct err *err) MUST_CHECK;
void lockstep_free(struct lockstep *l);

/* The VP's registers or the memory map were set: the second processor begins anew from them. */
int lockstep_map_changed(struct lockstep *l, const struct engine_slot *slots,
			 unsigned count, struct err *err) MUST_CHECK;
void lockstep_restart(struct lockstep *l);

/* In place of x86_run() and what is around it. false: the two have parted; it is logged. */
bool lockstep_run(struct lockstep *l, enum x86_exit *ret_exit);
