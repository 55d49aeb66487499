/* SPDX-License-Identifier: Apache-2.0 */
/* Rings in guest memory; see ring.h. */
#include "vmbus/ring.h"

#include <errno.h>
#include <stdatomic.h>

#include "wall/guest_memory.h"

void vmbus_ring_init(struct vmbus_ring *ring, struct guest_memory *gm, const u64 *page,
		     u32 count)
{
	*ring = (struct vmbus_ring){
		.gm = gm,
		.control = page[0] * VMBUS_PAGE,
		.page = page + 1,
		.size = (count - 1) * VMBUS_PAGE,
	};
}

static int broken(struct vmbus_ring *ring)
{
	ring->broken = true;
	return -EPROTO;
}

/* An index of the guest's: one load, then a number that is good to use or an error. */
static int load_index(struct vmbus_ring *ring, u32 field, u32 *ret_index)
{
	u32 index;

	if (gm_load32(ring->gm, ring->control + field, &index) < 0 ||
	    index >= ring->size || index % 8 != 0)
		return broken(ring);
	*ret_index = index;
	return 0;
}

int vmbus_ring_resume(struct vmbus_ring *ring, bool reader)
{
	int r = load_index(ring, reader ? VMBUS_RING_READ : VMBUS_RING_WRITE, &ring->at);

	ring->told = ring->at;
	return r;
}

static u32 forward(const struct vmbus_ring *ring, u32 index, u32 by)
{
	u64 sum = (u64)index + by;

	return (u32)(sum < ring->size ? sum : sum - ring->size);
}

/* Bytes from read to write. */
static u32 used(const struct vmbus_ring *ring, u32 read, u32 write)
{
	return write >= read ? write - read : ring->size - read + write;
}

/* Copy out of or into the circle, a page at a time. size <= ring->size. */
static int copy(struct vmbus_ring *ring, u32 index, void *to, const void *from, u32 size,
		u64 *io_ticket)
{
	for (u32 done = 0; done < size;) {
		u32 in_page = index % VMBUS_PAGE;
		u32 n = (u32)min_u64(size - done, VMBUS_PAGE - in_page);
		gpa_t gpa = ring->page[index / VMBUS_PAGE] * VMBUS_PAGE + in_page;
		int r = to ? gm_read(ring->gm, gpa, (u8 *)to + done, n)
			   : gm_write(ring->gm, gpa, (const u8 *)from + done, n,
				      io_ticket);

		if (r < 0)
			return r;
		done += n;
		index = forward(ring, index, n);
	}
	return 0;
}

/* ---- the host reads ---- */

int vmbus_ring_read(struct vmbus_ring *ring, void *buffer, u32 buffer_size,
		    struct vmbus_packet *ret_packet)
{
	struct vmbus_packet_header h;
	u32 write, available, header_size, size;

	if (ring->broken || load_index(ring, VMBUS_RING_WRITE, &write) < 0)
		return -EPROTO;
	available = used(ring, ring->at, write);
	if (available == 0)
		return 0;
	if (available < sizeof h + VMBUS_PACKET_TRAILER || buffer_size < sizeof h ||
	    copy(ring, ring->at, &h, NULL, sizeof h, NULL) < 0)
		return broken(ring);
	header_size = le16_get(h.header_size) * 8u;
	size = le16_get(h.size) * 8u;
	if (header_size < sizeof h || header_size > size || size > buffer_size ||
	    size + VMBUS_PACKET_TRAILER > available)
		return broken(ring);
	/* The copy that was checked is the copy that is used. */
	memcpy(buffer, &h, sizeof h);
	if (copy(ring, forward(ring, ring->at, sizeof h), (u8 *)buffer + sizeof h, NULL,
		 size - (u32)sizeof h, NULL) < 0)
		return broken(ring);
	*ret_packet = (struct vmbus_packet){
		.type = le16_get(h.type),
		.flags = le16_get(h.flags),
		.transaction = le64_get(h.transaction),
		.header_size = header_size,
		.size = size,
	};
	ring->at = forward(ring, ring->at, size + VMBUS_PACKET_TRAILER);
	return 1;
}

int vmbus_ring_read_done(struct vmbus_ring *ring, bool *ret_signal)
{
	u32 pending, write, free_before, free_now;
	u64 ticket = 0;

	*ret_signal = false;
	if (ring->broken)
		return -EPROTO;
	if (ring->at == ring->told)
		return 0;
	if (gm_store32(ring->gm, ring->control + VMBUS_RING_READ, ring->at, &ticket) < 0)
		return broken(ring);
	/* The index is out before we look at the size that the writer waits for. */
	atomic_thread_fence(memory_order_seq_cst);
	if (gm_load32(ring->gm, ring->control + VMBUS_RING_PENDING_SIZE, &pending) < 0)
		return broken(ring);
	/* Some guests store one less than they need; packets come in units of eight. */
	pending &= ~7u;
	if (pending > 0) {
		if (load_index(ring, VMBUS_RING_WRITE, &write) < 0)
			return -EPROTO;
		free_before = ring->size - used(ring, ring->told, write);
		free_now = ring->size - used(ring, ring->at, write);
		/* A signal too many does no harm, one too few is a hang: both borders count. */
		*ret_signal = free_before <= pending + 8u && free_now >= pending;
	}
	ring->told = ring->at;
	return 0;
}

int vmbus_ring_mask(struct vmbus_ring *ring, bool masked)
{
	u64 ticket = 0;

	if (ring->broken)
		return -EPROTO;
	if (gm_store32(ring->gm, ring->control + VMBUS_RING_MASK, masked, &ticket) < 0)
		return broken(ring);
	/* The mask is out before the caller looks at the write index again. */
	atomic_thread_fence(memory_order_seq_cst);
	return 0;
}

/* ---- the host writes ---- */

/* The guest's read index, and with it the room; a ring is never filled to the last byte. */
static int has_room(struct vmbus_ring *ring, u32 need, bool *ret_room)
{
	u32 read;

	if (load_index(ring, VMBUS_RING_READ, &read) < 0)
		return -EPROTO;
	*ret_room = need < ring->size - used(ring, read, ring->at);
	return 0;
}

static int set_pending(struct vmbus_ring *ring, u32 size)
{
	u64 ticket = 0;

	ring->waits = size > 0;
	return gm_store32(ring->gm, ring->control + VMBUS_RING_PENDING_SIZE, size,
			  &ticket) < 0
		       ? broken(ring)
		       : 0;
}

/* Room for `need` bytes; where there is none, the guest is asked to say when there is. */
static int make_room(struct vmbus_ring *ring, u32 need)
{
	bool room;
	int r = has_room(ring, need, &room);

	if (r < 0)
		return r;
	if (room)
		return ring->waits ? set_pending(ring, 0) : 0;
	r = set_pending(ring, need);
	if (r < 0)
		return r;
	/* The size is out before we look at the read index again. */
	atomic_thread_fence(memory_order_seq_cst);
	r = has_room(ring, need, &room);
	if (r < 0)
		return r;
	return room ? set_pending(ring, 0) : -EAGAIN;
}

int vmbus_ring_write(struct vmbus_ring *ring, u16 type, u16 flags, u64 transaction,
		     const void *payload, u32 size, bool *ret_signal)
{
	return vmbus_ring_write_more(ring, type, flags, transaction, NULL, 0, payload,
				     size, ret_signal);
}

int vmbus_ring_write_more(struct vmbus_ring *ring, u16 type, u16 flags, u64 transaction,
			  const void *more, u32 more_size, const void *payload, u32 size,
			  bool *ret_signal)
{
	static const u8 zeros[8];
	u32 padded = (size + 7) & ~7u;
	u32 header = (u32)sizeof(struct vmbus_packet_header) + more_size, whole = header;
	u32 start = ring->at, index = start, read, mask;
	u64 ticket = 0;
	int r;

	*ret_signal = false;
	if (ring->broken)
		return -EPROTO;
	whole += padded;
	if (whole / 8 > UINT16_MAX || whole + VMBUS_PACKET_TRAILER >= ring->size)
		return -EMSGSIZE;
	r = make_room(ring, whole + VMBUS_PACKET_TRAILER);
	if (r < 0)
		return r;
	const struct vmbus_packet_header h = {
		.type = le16_of(type),
		.header_size = le16_of((u16)(header / 8)),
		.size = le16_of((u16)(whole / 8)),
		.flags = le16_of(flags),
		.transaction = le64_of(transaction),
	};
	const struct {
		le32 zero, start;
	} trailer = { .start = le32_of(start) };
	const struct {
		const void *bytes;
		u32 size;
	} part[] = { { &h, sizeof h },
		     { more, more_size },
		     { payload, size },
		     { zeros, padded - size },
		     { &trailer, sizeof trailer } };

	for (unsigned k = 0; k < ARRAY_COUNT(part); k++) {
		if (copy(ring, index, NULL, part[k].bytes, part[k].size, &ticket) < 0)
			return broken(ring);
		index = forward(ring, index, part[k].size);
	}
	if (gm_wait_published(ring->gm, ticket) < 0 ||
	    gm_store32(ring->gm, ring->control + VMBUS_RING_WRITE, index, &ticket) < 0)
		return broken(ring);
	ring->at = index;
	/* The index is out before we look whether the reader sleeps. */
	atomic_thread_fence(memory_order_seq_cst);
	if (load_index(ring, VMBUS_RING_READ, &read) < 0 ||
	    gm_load32(ring->gm, ring->control + VMBUS_RING_MASK, &mask) < 0)
		return broken(ring);
	/* A reader that had not come to the end will see this packet by itself. */
	*ret_signal = mask == 0 && read == start;
	return 0;
}

bool vmbus_ring_is_read(struct vmbus_ring *ring)
{
	u32 read;

	return !ring->broken && load_index(ring, VMBUS_RING_READ, &read) == 0 &&
	       read == ring->at;
}
