/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heartbeat: every two seconds the guest's kernel is asked for a number one higher. A guest that has
 * not answered for HEARTBEAT_LOST_SECONDS hangs, or is starved.
 *
 * Thread: the loop's.
 */
#pragma once

#include "vsp/ic/channel.h"

#define HEARTBEAT_SECONDS 2
#define HEARTBEAT_LOST_SECONDS 10

struct heartbeat {
	struct ic_channel channel;
	u64 sequence;
	u64 last_ns; /* of the last right answer */
	bool lost;
	u64 wrong, losses;
};

int heartbeat_offer(struct heartbeat *heartbeat, struct ic_host *host) MUST_CHECK;
