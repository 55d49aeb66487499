/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time as the guest's chips see it: the host's monotonic clock less the time that the VM stood
 * (stopped, saved, carried to another engine). It stands from the beginning until the first RUN
 * and from STOP to RUN; the processors' time stamp counters stand for exactly as long. So the
 * blocks that are taken one after the other while the VM stands are all of one instant, and those
 * that are given back go on from one instant: no clock of the guest moves against another.
 *
 * Real time goes on: the RTC shows what the host's shows.
 *
 * Threads: stop and go on the loop thread while all VPs are outside; the rest any thread.
 */
#pragma once

#include "base/clock.h"

struct guest_clock {
	struct clock clock; /* what chips get */
	bool stands;
	u64 behind_ns; /* guest time = host time - this, while it goes */
	u64 stood_ns;  /* guest time, and */
	u64 stood_tsc; /* the host's time stamp counter, at the instant at which it stopped */
};

void guest_clock_init(struct guest_clock *clock);

/* Both may be called twice. go returns for how many ticks of the host's counter it stood. */
void guest_clock_stop(struct guest_clock *clock);
u64 guest_clock_go(struct guest_clock *clock);

/* When a time of the guest's will be by the host's monotonic clock. Only while it goes. */
u64 guest_clock_host_ns(const struct guest_clock *clock, u64 guest_ns);
