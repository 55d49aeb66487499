/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sender of a frame left to be done (struct virtio_net_hdr), done: check sums, segments of TCP,
 * fragments of IPv4. For who gives frames to somebody that knows nothing of such headers. Without
 * state; any thread.
 */
#pragma once

#include <linux/virtio_net.h>

#include "net/frame.h"

/* One finished frame; it is the callee's only while it is called. */
typedef void (*net_piece_fn)(void *owner, u8 *frame, u32 size);

/*
 * VIRTIO_NET_HDR_F_NEEDS_CSUM of a frame without segments. It may have been written over headers: who has
 * looked at them looks again. False: the header is nonsense.
 */
bool net_finish_sum(u8 *frame, u32 size, const struct virtio_net_hdr *todo);

/*
 * A TCP packet of any size becomes pieces with at most piece bytes of data each, and whole check
 * sums; the last one may be smaller. scratch: room for one, headers and all. h: of this frame, with a
 * payload. piece > 0.
 */
void net_segment(const u8 *frame, const struct net_headers *h, u32 piece, u8 *scratch,
		 net_piece_fn fn, void *owner);

/* An IPv4 packet becomes fragments of at most mtu (>= 68) bytes of IP each. */
void net_fragment(const u8 *frame, const struct net_headers *h, u32 mtu, u8 *scratch,
		  net_piece_fn fn, void *owner);
