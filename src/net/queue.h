/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames that wait for a port: a ring of bytes with a fixed size, filled by copies. Who has no room is
 * told so, and drops.
 *
 *	   free      used (whole records, each in one piece)       free
 *	[.........|rrrrrr|rrrrrrrrrrrrr|rrr|rrrrrrrrrrrrrrrrrrrr|............]
 *	          ^first                                        ^last
 *
 * A record that would not fit before the ring's end begins at its start; what is left over there is
 * marked by a record of size 0, or is too small for one.
 *
 * Thread: one.
 */
#pragma once

#include <linux/virtio_net.h>

#include "base/types.h"

struct net_port;

struct net_queue {
	u8 *ring;
	u32 capacity, first, last;
	u32 used;   /* bytes of records, their rests at the ring's end included */
	u32 frames; /* that wait */
};

/* capacity: >= 2 of the largest frames. 0 or -ENOMEM. */
int net_queue_init(struct net_queue *queue, u32 capacity) MUST_CHECK;
void net_queue_done(struct net_queue *queue);

/* False: no room. size <= NET_MAX_FRAME. */
bool net_queue_push(struct net_queue *queue, const struct virtio_net_hdr *todo,
		    const u8 *frame, u32 size);
/* As many as the port takes. True: none is left. */
bool net_queue_flush(struct net_queue *queue, struct net_port *port);
