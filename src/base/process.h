/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel says of a process: proc(5), /proc/PID/stat. Any thread. */
#pragma once

#include <sys/types.h>

#include "base/types.h"

struct process_stat {
	u64 user_ns, system_ns; /* processor time of all its threads */
	u64 began; /* ticks since the host's start: with the number it names one process for ever */
};

/* false: there is none, and all is 0. */
bool process_stat(pid_t pid, struct process_stat *ret_stat);
