/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hv's own chips have in common. A chip is a plain struct with register functions; it knows
 * no partition, no thread, no file: what it moves (a pin, a vector, a timer) goes out through a
 * small struct of functions that it was given. Locks are the caller's: chips other than the LAPICs
 * share the chipset lock; each LAPIC has its own (see lapic.h).
 *
 * Every chip has: init, reset, register access, save, restore (fixed-size block, checked),
 * inspect (one line of text per field).
 */
#pragma once

#include "base/clock.h"
#include "base/inspect.h"
#include "base/types.h"

/* An output pin: level 0 or 1 of `line`. Callers pass every change, and only changes. */
struct chip_pin {
	void (*set)(void *owner, unsigned line, bool level);
	void *owner;
	unsigned line;
};

static inline void chip_pin_set(const struct chip_pin *pin, bool level)
{
	if (pin->set)
		pin->set(pin->owner, pin->line, level);
}

/*
 * One alarm of a chip: the owner calls the chip's on_alarm at or after `when` (ns of the chip's
 * clock, absolute). Setting it again moves it; CHIP_NO_ALARM takes it away.
 */
#define CHIP_NO_ALARM UINT64_MAX
struct chip_alarm {
	void (*set)(void *owner, unsigned id, u64 when_ns);
	void *owner;
	unsigned id;
};

static inline void chip_alarm_set(const struct chip_alarm *alarm, u64 when_ns)
{
	if (alarm->set)
		alarm->set(alarm->owner, alarm->id, when_ns);
}

/*
 * The head of every saved block of a chip. What follows is the chip's own packed struct; the
 * rest of the WALL_CHIP_STATE_SIZE bytes is 0.
 */
struct chip_state_head {
	le16 version;
	le16 size; /* of head and struct */
} PACKED;

/*
 * Save: write state (its head is filled in here) into the block, zeroes behind it.
 * state: a packed struct that begins with struct chip_state_head.
 */
void chip_state_finish(void *block, u16 version, void *state, size_t size);

/* Restore: copy the block into state once; false when the head is not the one expected. */
bool chip_state_take(const void *block, u16 version, void *ret_state, size_t size);
