/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The four synthetic timers of one VP (TLFS, Timers): one-shot at an absolute reference time, or
 * periodic; told by an interrupt (direct mode) or by a message of a SINT.
 *
 *	off --CONFIG.enable, COUNT != 0--> armed --time--> told --periodic--> armed
 *	 ^					              |one-shot
 *	 '----------------------------------------------------'
 *
 *	A message that cannot go yet (its slot is full) waits in the SynIC. A periodic timer whose
 *	last message still waits tells nothing more meanwhile; expirations that were missed are
 *	not made up for (lazy and not lazy alike), the phase is kept.
 *
 * The owner's reference time may stand still (paused) and start anew elsewhere: stimer_look finds
 * the deadlines again.
 *
 * Threads: the VP's, or any one while it stands.
 */
#pragma once

#include "abi/hv_tlfs.h"
#include "hv/chips/chip.h"

#define STIMER_NEVER UINT64_MAX
/* A periodic timer tells no more often than this; in units of reference time (20 us). */
#define STIMER_MIN_PERIOD 200u

struct stimer_ops {
	u64 (*now)(void *owner); /* reference time */
	/* When stimer_look is to be called next, reference time, or STIMER_NEVER. */
	void (*alarm)(void *owner, u64 when);
	void (*interrupt)(void *owner, u8 vector);
	/* See synic_timer_message, synic_timer_cancel. */
	bool (*message)(void *owner, unsigned timer, unsigned sint, u64 expiry);
	void (*cancel)(void *owner, unsigned timer);
};

struct stimer {
	u64 config, count;
	u64 expiry; /* reference time; STIMER_NEVER: not armed */
};

struct stimers {
	const struct stimer_ops *ops;
	void *owner;
	struct stimer timer[HV_STIMERS];
	u64 fired[HV_STIMERS]; /* counter */
};

void stimer_init(struct stimers *t, const struct stimer_ops *ops, void *owner);
void stimer_reset(struct stimers *t);

/* HV_MSR_STIMER0_CONFIG to HV_MSR_STIMER3_COUNT; false: #GP. */
bool stimer_msr_read(const struct stimers *t, u32 index, u64 *ret_value);
bool stimer_msr_write(struct stimers *t, u32 index, u64 value);

/* The alarm's time has come, or reference time has jumped: tell what is due, set the alarm. */
void stimer_look(struct stimers *t);

/* Saved state: what a block of its owner (synic_state.h) holds. Checked by stimer_restore. */
struct stimer_state {
	le64 config, count, expiry;
} PACKED;
void stimer_save(const struct stimers *t, struct stimer_state ret_state[HV_STIMERS]);
int stimer_restore(struct stimers *t, const struct stimer_state state[HV_STIMERS])
	MUST_CHECK;
void stimer_inspect(const struct stimers *t, struct inspect *out);
