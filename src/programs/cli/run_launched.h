/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tabique run --launched FD`: the owner of a VM that tabique-launcher started, FD its socket to it. The
 * same program as in the foreground, but
 *
 *	1. it opens only what the host's list allows (programs/cli/may_open.h)
 *	2. the serial console is kept in memory, for who asks (live_serial.h)
 *	3. once the VM's processes are there it drops every right that it has: what it goes on with are
 *	   sockets; and when the guest executes it tells the launcher
 *	4. how the VM ended goes to the launcher, which may be another one by then, or none
 *
 * Thread: the loop's.
 */
#pragma once

#include "base/err.h"
#include "config/host_paths.h"
#include "programs/cli/vm_process.h"

struct run_launched {
	int socket; /* -1: in the foreground, and the functions below do nothing */
	struct host_allow allow;
	bool said;	/* that the guest executes */
	struct err why; /* the VM failed, and why */
};

/* Takes the socket's number, and reads the list of that path. */
int run_launched_open(struct run_launched *launched, int socket, const char *allow,
		      struct err *err) MUST_CHECK;
/* The VM's processes are there, and the control socket, which becomes the daemon's: rights go. */
int run_launched_drop(struct run_launched *launched, const struct vm_process *vm,
		      const char *control, struct err *err) MUST_CHECK;
/* The guest executes: the launcher is told. */
int run_launched_runs(struct run_launched *launched, const struct vm_process *vm,
		      struct err *err) MUST_CHECK;
void run_launched_failed(struct run_launched *launched, const struct err *err);
void run_launched_ended(struct run_launched *launched, const char *end, int code);
