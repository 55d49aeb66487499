/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network adapters of a VM that runs, as its owner sees them: which there are, and whether their cables are
 * in. Adapters are called nic0, nic1..., in the order of the command line.
 *
 * Thread: the loop's.
 */
#pragma once

#include <jansson.h>

#include "base/err.h"
#include "programs/cli/run_nics.h"

struct live_guest;

struct live_nics {
	const struct run_nics *nics;
	struct live_guest *guest;
	bool out[WORKER_MAX_NICS]; /* the cable */
};

bool live_nics_find(const struct live_nics *live, const char *id, unsigned *ret_nic);
/* The caller's. */
json_t *live_nics_show(const struct live_nics *live, unsigned nic);
json_t *live_nics_list(const struct live_nics *live);

/* Called once, perhaps from inside; r < 0: err says why. nic: as shown, the callee's. */
typedef void (*live_nic_fn)(void *owner, int r, json_t *nic, const struct err *err);
void live_nics_set_link(struct live_nics *live, unsigned nic, bool up, live_nic_fn done,
			void *owner);
