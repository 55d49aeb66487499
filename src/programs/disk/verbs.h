/* SPDX-License-Identifier: Apache-2.0 */
/* What tabique-disk can do with images; see wall/disk_order.h. Runs on a thread of the pool. */
#pragma once

#include "base/err.h"
#include "disk/disk.h"
#include "wall/disk_order.h"

/* The descriptors become its own. */
int carry_out(struct disk_pool *pool, const struct disk_order *order, int source,
	      int target, struct err *err) MUST_CHECK;
