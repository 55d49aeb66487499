/* SPDX-License-Identifier: Apache-2.0 */
/* One order to tabique-disk, from its start to its answer; see wall/disk_order.h. */
#pragma once

#include "base/err.h"
#include "programs/cli/image_file.h"
#include "wall/disk_order.h"

struct disk_work {
	struct disk_order order;	  /* version, uid and descriptors are filled in */
	const char *source_path;	  /* where the search for parents begins */
	struct image_file source, target; /* fd -1: none; become disk_process_run's */
	const struct image_folders *folders;
	bool parent_writable; /* merge: the first parent */

	/* Answers; any may be NULL. */
	void (*progress)(u64 done, u64 total);
	void (*finding)(bool error, const char *text);
	void (*facts)(const struct disk_facts *facts);
	/* The path of the first parent, for merge. */
	char parent_path[4096];
};
int disk_process_run(struct disk_work *work, struct err *err) MUST_CHECK;
