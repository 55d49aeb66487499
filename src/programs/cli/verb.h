/* SPDX-License-Identifier: Apache-2.0 */
/* What a verb of the command line is: one file cmd_<verb>.c, one line in main.c's table. */
#pragma once

#include "base/err.h"

/* Exit codes of the program (tabique(1)). */
enum {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NOT_FOUND = 3,
	EXIT_BUSY = 4,
	EXIT_GUEST_RESET = 10,
	EXIT_GUEST_CRASH = 12,
	EXIT_TRIPLE_FAULT = 14,
	EXIT_TIMEOUT = 124,
	EXIT_FAILED_DEBUG_EXIT = 126, /* our failure, where odd codes are the guest's */
};

struct verb {
	const char *name;
	const char *summary; /* one line for --help */
	int (*run)(int argc,
		   char **argv); /* argv[0] is the verb; returns the exit code */
};

extern const struct verb verb_op, verb_events, verb_run, verb_disk, verb_nic, verb_switch,
	verb_vm;

/* "tabique: <text>" and "fix: <fix>" on standard error. */
void print_error(const struct err *err);

/* The exit code for a person's request that failed with a negative errno; 0 is EXIT_DONE. */
int exit_code_of(int r);
