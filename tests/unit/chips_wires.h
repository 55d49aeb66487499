/* SPDX-License-Identifier: Apache-2.0 */
/* A chip's surroundings: a clock that is turned by hand, one alarm, one output. */
#pragma once

#include "harness.h"

#include "base/clock.h"
#include "hv/chips/chip.h"

struct wires {
	struct manual_clock clock;
	u64 alarm; /* CHIP_NO_ALARM: none */
	bool output;
	unsigned rises; /* of the output */
};

static inline void wires_init(struct wires *w, u64 monotonic_ns, s64 realtime_ns)
{
	*w = (struct wires){ .alarm = CHIP_NO_ALARM };
	manual_clock_init(&w->clock, monotonic_ns, realtime_ns);
}

static inline void wires_set(void *owner, unsigned line, bool level)
{
	struct wires *w = owner;

	EXPECT(w->output != level);
	w->output = level;
	w->rises += level;
}

static inline void wires_alarm(void *owner, unsigned id, u64 when_ns)
{
	((struct wires *)owner)->alarm = when_ns;
}

#define WIRES_PIN(w) (&(struct chip_pin){ .set = wires_set, .owner = (w) })
#define WIRES_ALARM(w) (&(struct chip_alarm){ .set = wires_alarm, .owner = (w) })

/* Let time go by; what comes due calls on_alarm(chip). */
static inline void wires_advance(struct wires *w, u64 ns, void (*on_alarm)(void *chip),
				 void *chip)
{
	u64 until = w->clock.monotonic + ns;

	for (unsigned n = 0; n < 100000 && w->alarm <= until; n++) {
		if (w->alarm > w->clock.monotonic)
			manual_clock_advance(&w->clock, w->alarm - w->clock.monotonic);
		w->alarm = CHIP_NO_ALARM;
		on_alarm(chip);
	}
	manual_clock_advance(&w->clock, until - w->clock.monotonic);
}
