/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads by io_uring: what is not in the host's cache is fetched without a thread that waits for it.
 * The kernel takes calls of a ring past the process's filter of system calls; therefore this one is
 * made disabled, restricted to reading from descriptors, and only then enabled. Nothing can be
 * allowed to it afterwards.
 *
 *	1. ring_new	where the host has no io_uring or forbids it: negative, and threads read
 *	2. ring_read	any number, until it says that the ring is full
 *	3. ring_ended	whenever the event rings
 *	4. ring_free	when nothing is under way
 *
 * Thread: one, which needs io_uring_enter.
 */
#pragma once

#include <sys/uio.h>

#include "base/types.h"

struct ring;

/* event is rung when something ended; it stays the caller's. */
int ring_new(unsigned entries, int event, struct ring **ret_ring) MUST_CHECK;
void ring_free(struct ring *ring); /* NULL is fine */

/* iov stays as it is until the end. -EBUSY: full. owner is not NULL. */
int ring_read(struct ring *ring, int fd, const struct iovec *iov, unsigned count,
	      u64 offset, void *owner) MUST_CHECK;
/* The next that ended: its owner, and bytes read or a negative errno. NULL: no more. */
void *ring_ended(struct ring *ring, int *ret_result);
