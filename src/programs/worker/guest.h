/* SPDX-License-Identifier: Apache-2.0 */
/* Orders about the guest: what it is asked for by its integration components, and standing still. */
#pragma once

#include "base/err.h"
#include "wall/worker_config.h"

struct direct;

/*
 * Do it; the owner is answered when it is done. The order was checked; fd is what came with it, ours
 * now, or -1. Loop thread.
 */
void guest_order(int owner, struct direct *machine,
		 const struct worker_guest_order *order, int fd);
