/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon's parts share: one of each, on the loop's thread. */
#pragma once

#include "base/loop.h"
#include "programs/daemon/events.h"
#include "programs/daemon/inventory.h"
#include "programs/daemon/launcher_link.h"
#include "programs/daemon/operations.h"

struct daemon {
	const char *run, *state; /* folders */
	char node[64];		 /* the host's name */
	struct loop *loop;
	struct inventory inventory;
	struct events *events;
	struct operations *operations;
	struct launcher_link *launcher;
	u64 requests, refused; /* since the start, for /metrics */
	u64 start_ns;
};
