/* SPDX-License-Identifier: Apache-2.0 */
/* `tabique run --stats FILE`: how a run ended and what it cost, as one JSON object. */
#pragma once

#include <stdio.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/err.h"
#include "programs/cli/vm_process.h"
#include "wall/wall.h"

struct run_stats {
	FILE *file; /* NULL: nobody asked */
	const char *path;

	const char *end; /* a word: power-off, reset, timeout, ... */
	int code;	 /* exit code */
	u64 wall_ns, first_entry_ns;
	bool have_hv;
	struct hv_stats counters;
	struct run_stats_process {
		struct rusage usage;
		u64 pss;    /* bytes, all mappings, at the end */
		u64 shared; /* bytes of that in guest memory regions */
	} hv, worker, nat;  /* nat: all 0 where there is none */
};

/* Opened before the VM starts, so that a path that cannot be written costs no run. */
int run_stats_open(struct run_stats *stats, const char *path, struct err *err) MUST_CHECK;

/* Look at the memory of the processes while they still live; who is gone is left out. */
void run_stats_memory(struct run_stats *stats, const struct vm_process *vm);

/* Writes and closes; 0 when nobody asked. */
int run_stats_write(struct run_stats *stats, struct err *err) MUST_CHECK;
