/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time synchronization: the host's time of day, with the guest's reference time at that moment, so
 * that how long the message takes does not matter. The guest is told to set its clock when its driver
 * starts and whenever it has stood; in between it gets samples for whoever steers a clock by them
 * (Linux: /dev/ptp0).
 *
 * Thread: the loop's.
 */
#pragma once

#include "vsp/ic/channel.h"

#define TIMESYNC_SECONDS 5

struct timesync {
	struct ic_channel channel;
	bool set; /* the guest shall set its clock, as soon as it can be told */
	u64 sets, samples;
};

int timesync_offer(struct timesync *timesync, struct ic_host *host) MUST_CHECK;
