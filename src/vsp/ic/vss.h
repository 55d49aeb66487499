/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volume shadow copy: the guest's file systems stand still for as long as a backup takes its picture.
 * A program of the guest's does it (Linux: hv_vss_daemon).
 *
 *	      freeze             done              thaw, or VSS_SECONDS over
 *	IDLE --------> FREEZING ------> FROZEN --------------------------------+
 *	  ^               | no answer in time                                  v
 *	  |               +---------> LATE --- answer: it has frozen -----> THAWING
 *	  +--------------- done, or it will not at all ------------------------+
 *
 * Whatever happens, a guest is told to thaw VSS_SECONDS after it was asked to freeze, or as soon as it
 * takes a message after that: where nobody asks for it, where who asked is gone, where it answers late,
 * and where it has meanwhile moved to another host. A guest that will not thaw is told so
 * VSS_THAW_TRIES times.
 *
 * Thread: the loop's.
 */
#pragma once

#include "vsp/ic/request.h"

#define VSS_SECONDS 10
#define VSS_THAW_TRIES 5

enum vss_state { VSS_IDLE, VSS_FREEZING, VSS_FROZEN, VSS_LATE, VSS_THAWING };

struct vss {
	struct ic_channel channel;
	struct ic_request request;
	enum vss_state state;
	unsigned tries;		   /* to thaw */
	u64 freezes, thaws, alone; /* alone: thawed though nobody asked */
};

int vss_offer(struct vss *vss, struct ic_host *host) MUST_CHECK;

/* done: everything is frozen, for VSS_SECONDS at most since it was asked. */
void vss_freeze(struct vss *vss, ic_done_fn done, void *owner);
/* done: thawed. -EALREADY: it was not frozen any more, so that what was done meanwhile is no picture of one moment. */
void vss_thaw(struct vss *vss, ic_done_fn done, void *owner);
