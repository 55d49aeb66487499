/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One direction of a channel: a ring of packets in guest memory. Both ends of it are here, since
 * the host reads one ring and writes the other.
 *
 *	control page                     data pages, used as one circle of `size` bytes
 *	+-------+------+------+---------+   +----------------------------------------------+
 *	| write | read | mask | pending |   | free | packet | packet | packet | free        |
 *	+-------+------+------+---------+   +----------------------------------------------+
 *	                                           ^ read                   ^ write
 *
 *	packet: header (16 bytes), more header, payload, zeros up to 8, trailer (8 bytes)
 *
 * The guest may write anything anywhere, at any time. So: each index is loaded once and checked
 * before it is used; our own index is kept here and never read back; a packet is copied whole,
 * then looked at. What makes no sense gives -EPROTO for this and every later call: the ring is
 * broken until the channel is opened again.
 *
 * Three races, and the barrier that stops each:
 *
 *	empty or not	the reader clears its mask, BARRIER, looks again; the writer moves its
 *			index, BARRIER, looks at the mask. Without both, each may look before the
 *			other's store is seen: a packet lies there and nobody is told.
 *	full or not	the writer stores the size it waits for, BARRIER, looks again; the reader
 *			moves its index, BARRIER, looks at the size. The same, the other way round.
 *	payload		bytes first, then the index (release); index first (acquire), then bytes.
 *
 * Decoded code: where the packet's bytes landed in a page that a VP executes, the index waits
 * until hv has dropped the old decoding (wall/guest_memory.h).
 *
 * Thread: the channel's loop.
 */
#pragma once

#include "abi/vmbus.h"

struct guest_memory;

struct vmbus_ring {
	struct guest_memory *gm;
	gpa_t control;
	const u64 *page; /* of the data; the GPADL's, which is held */
	u32 size;	 /* bytes of data */
	u32 at;		 /* our index: read of a ring we read, write of one we write */
	u32 told;	 /* reader: the index that the guest knows */
	bool waits;	 /* writer: a pending size stands in the control page */
	bool broken;
};

/* page[0] is the control page, count - 1 pages of data follow; count >= 2. */
void vmbus_ring_init(struct vmbus_ring *ring, struct guest_memory *gm, const u64 *page,
		     u32 count);
/* After a restore: our index is the one that stands in memory. */
int vmbus_ring_resume(struct vmbus_ring *ring, bool reader) MUST_CHECK;

struct vmbus_packet {
	u16 type, flags;
	u64 transaction;
	u32 header_size; /* bytes from the packet's begin to the payload */
	u32 size;	 /* bytes in all, the trailer left out */
};

/* ---- the host reads ---- */

/*
 * Copy the next packet into buffer, header and all. 1: there was one; 0: the ring is empty;
 * -EPROTO. A packet longer than the buffer is against every protocol here: -EPROTO.
 */
int vmbus_ring_read(struct vmbus_ring *ring, void *buffer, u32 buffer_size,
		    struct vmbus_packet *ret_packet) MUST_CHECK;
/* Give the room of what was read back. *ret_signal: the guest waits for it. */
int vmbus_ring_read_done(struct vmbus_ring *ring, bool *ret_signal) MUST_CHECK;
/*
 * The guest need not signal (true), or must from now on (false). After false: look again, a
 * packet may have come in between.
 */
int vmbus_ring_mask(struct vmbus_ring *ring, bool masked) MUST_CHECK;

/* ---- the host writes ---- */

/*
 * Put a packet of payload into the ring. -EAGAIN: no room; the guest then signals when there is.
 * *ret_signal: the guest sleeps.
 */
int vmbus_ring_write(struct vmbus_ring *ring, u16 type, u16 flags, u64 transaction,
		     const void *payload, u32 size, bool *ret_signal) MUST_CHECK;
/* The same, with more of a header in front of the payload: a multiple of 8 bytes. */
int vmbus_ring_write_more(struct vmbus_ring *ring, u16 type, u16 flags, u64 transaction,
			  const void *more, u32 more_size, const void *payload, u32 size,
			  bool *ret_signal) MUST_CHECK;
/* Has the guest read all that was written? A ring that is broken: never. */
bool vmbus_ring_is_read(struct vmbus_ring *ring);
