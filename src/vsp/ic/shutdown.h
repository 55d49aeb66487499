/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shutdown: the guest's kernel is asked to power off or to restart, and says whether it will. That
 * it has done so is seen when the machine ends.
 *
 * Thread: the loop's.
 */
#pragma once

#include "vsp/ic/request.h"

#define SHUTDOWN_ANSWER_SECONDS 10

struct shutdown {
	struct ic_channel channel;
	struct ic_request request;
	u64 accepted, refused;
};

int shutdown_offer(struct shutdown *shutdown, struct ic_host *host) MUST_CHECK;

/* done: the guest has begun to (0), will not (-EPERM), cannot be asked, has not answered (-ETIMEDOUT). */
void shutdown_ask(struct shutdown *shutdown, bool reboot, ic_done_fn done, void *owner);
