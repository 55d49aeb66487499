/* SPDX-License-Identifier: Apache-2.0 */
/* `tabique run --stats FILE`: how a run ended and what it cost, as one JSON object. */
#pragma once

#include <stdio.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/err.h"
#include "wall/wall.h"

struct run_stats {
	FILE *file; /* NULL: nobody asked */
	const char *path;

	const char *end; /* a word: power-off, reset, timeout, ... */
	int code;	 /* exit code */
	u64 wall_ns, first_entry_ns;
	bool have_hv;
	struct hv_stats hv;
	struct rusage hv_usage, worker_usage;
	u64 hv_pss, worker_pss;	      /* bytes, all mappings, at the end */
	u64 hv_shared, worker_shared; /* bytes of that in guest memory regions */
};

/* Opened before the VM starts, so that a path that cannot be written costs no run. */
int run_stats_open(struct run_stats *stats, const char *path, struct err *err) MUST_CHECK;

/* Look at the memory of both processes while they still live; pid 0 is left out. */
void run_stats_memory(struct run_stats *stats, pid_t hv, pid_t worker);

/* Writes and closes; 0 when nobody asked. */
int run_stats_write(struct run_stats *stats, struct err *err) MUST_CHECK;
