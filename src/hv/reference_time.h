/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The partition's reference time (TLFS, Timers): units of 100 ns since the partition was made, by
 * the time stamp counter of its processors, so that the MSR and the page that the guest reads by
 * itself agree to the unit:
 *
 *	time = (tsc * scale >> 64) + offset
 *
 * It stands still while the VM stands (stop, save): when it runs again the offset is chosen
 * anew and the guest's page rewritten with another sequence number.
 *
 * Pure arithmetic; whoever calls brings the counter. Threads: changed while all VPs stand, read by
 * any VP.
 */
#pragma once

#include "abi/hv_tlfs.h"

struct reference_time {
	u64 scale; /* 0: the counter's rate is unknown; time stands still */
	u64 offset;
	bool runs;
	u64 stood_at; /* while it does not run */
};

void reference_time_init(struct reference_time *t, u64 tsc_hz);
/* While it stands. */
void reference_time_set_rate(struct reference_time *t, u64 tsc_hz);
/* tsc: of any VP now. */
void reference_time_run(struct reference_time *t, u64 tsc);
void reference_time_stop(struct reference_time *t, u64 tsc);
/* While it does not run: the time that it will go on from. */
void reference_time_set(struct reference_time *t, u64 time);
u64 reference_time_at(const struct reference_time *t, u64 tsc);

/* What the guest reads; sequence is not 0 when the page is to be believed. */
void reference_time_page(const struct reference_time *t, u32 sequence,
			 struct hv_reference_tsc_page *ret_page);
/* The sequence number after this one: neither 0 nor all ones. */
u32 reference_time_next(u32 sequence);
