/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VP's event flags, lent to the worker; WALL.md section 3.
 *
 *	ask	the worker asks once a VP, with an eventfd, which the engine makes an interrupt
 *	lend	the guest can get events of the VMBus: the eventfd gets their vector, the
 *		control page the flags' place. The worker sets a flag and rings: no thread of hv
 *	take	before the guest changes where they are, or whether: the place goes, and the
 *		worker is asked, as for an access, so that it is no longer at a flag of the old
 *		place when it has answered. Then the change, then lend again
 *
 * Only where the engine has such eventfds (KVM); a SINT that is masked or polled is not lent. Then events come by the pending bits, and by hv, as they always may. The worker gains
 * nothing: it could write that page and send that interrupt before.
 *
 * Threads: the VP's, outside of any lock, or the loop's while the VP stands.
 */
#pragma once

#include "base/types.h"

struct vp;

struct event_lease {
	int event; /* ours; -1: the worker has not asked */
	bool lent;
};

void event_lease_init(struct vp *vp);
/* The engine's VP is still there. */
void event_lease_done(struct vp *vp);

/*
 * The verb; loop, VPs outside. Takes *io_fd (and sets it to -1) when it keeps it. -EOPNOTSUPP where the
 * engine has no such thing; -EEXIST; -EINVAL: no eventfd.
 */
int event_lease_ask(struct vp *vp, int *io_fd) MUST_CHECK;

/* Lend, if there is something to be lent. Else nothing. */
void event_lease_lend(struct vp *vp);
/* Take it back. VP's thread: it may wait for the worker. */
void event_lease_take(struct vp *vp);
/* The same at the worker's own request (reset, restore): it waits for us, and is at no flag. */
void event_lease_drop(struct vp *vp);
