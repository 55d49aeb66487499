/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VMs that the launcher has started: each one's owner process, its socket, and pidfds of all its
 * processes.
 *
 *	none --vm_start--> starting --the owner says so--> running --the owner ends--> none
 *
 * What is known of a VM that runs also stands in RUN/vms/NAME/record, so that a launcher that comes after
 * us (an upgrade by execve, or a crash) takes it over: vms_adopt. A process is still who it was if it
 * began when the record says.
 *
 * Thread: the loop's.
 */
#pragma once

#include "base/loop.h"
#include "wall/launch_order.h"

#define LAUNCH_MAX_VMS 4096

struct vms_config {
	struct loop *loop;
	const char *run;   /* folder */
	const char *allow; /* file */
	/* A VM started or failed to (tag: the request's), or is over (LAUNCH_ENDED). */
	void (*say)(void *owner, const struct launch_reply *reply);
	void *owner;
};
/* -ENOMEM, or the folders cannot be made. */
int vms_open(const struct vms_config *config, struct err *err) MUST_CHECK;
void vms_adopt(void);

/* The request was checked. 0: say() answers; negative: err does. */
int vm_start(const struct launch_request *request, struct err *err) MUST_CHECK;
int vm_kill(const char *name, struct err *err) MUST_CHECK;
bool vm_runs(const char *name);
/* Who waits for any child of ours tells what it got. */
void vms_reaped(int pid, int status);

/* Each VM as a LAUNCH_VM. */
void vms_each(void (*fn)(void *owner, const struct launch_reply *reply), void *owner);
