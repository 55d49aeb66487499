/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eventfds of the worker that send a message-signalled interrupt: by the engine itself, without a
 * thread of ours; WALL.md section 3. An engine that cannot leaves the worker its ring of lines.
 *
 * Thread: loop thread.
 */
#pragma once

#include "base/types.h"
#include "wall/wall.h"

struct partition;

struct msi_events {
	/* By number: the descriptor, ours, and whether it is one (0 is a descriptor, too). */
	int event[WALL_MAX_MSI_EVENTS];
	bool used[WALL_MAX_MSI_EVENTS];
};

/*
 * The verb; the request's numbers are unchecked. Takes *io_fd (and sets it to -1) when it keeps it.
 * -EOPNOTSUPP where the engine has no such thing; -EINVAL: no eventfd, no interrupt's address.
 */
int msi_event_set(struct partition *p, const struct wall_request *request, int *io_fd)
	MUST_CHECK;
/* After the engine's VM is gone. */
void msi_events_done(struct msi_events *events);
