/* SPDX-License-Identifier: Apache-2.0 */
/* Frames that wait; see queue.h. */
#include "net/queue.h"

#include <errno.h>

#include "net/port.h"

/* In front of each frame, at a multiple of 4. */
struct record {
	u32 size; /* of the frame; 0: the ring goes on at its start */
	struct virtio_net_hdr todo;
};

static u32 record_size(u32 size)
{
	return ((u32)sizeof(struct record) + size + 3) & ~3u;
}

int net_queue_init(struct net_queue *q, u32 capacity)
{
	*q = (struct net_queue){ .ring = malloc(capacity), .capacity = capacity & ~3u };
	return q->ring ? 0 : -ENOMEM;
}

void net_queue_done(struct net_queue *q)
{
	free(q->ring);
	q->ring = NULL;
}

/* Room for a record in one piece; where it goes is last then. */
static bool make_room(struct net_queue *q, u32 need)
{
	static const struct record go_on;
	u32 rest = q->capacity - q->last;

	if (q->frames == 0)
		q->first = q->last = q->used = rest = 0;
	if (q->frames == 0)
		return need <= q->capacity;
	if (q->last < q->first)
		return need <= q->first - q->last;
	if (need <= rest)
		return q->last != q->first; /* equal and not empty: full */
	if (need > q->first || q->last == q->first)
		return false;
	if (rest >= sizeof go_on)
		memcpy(q->ring + q->last, &go_on, sizeof go_on);
	q->used += rest;
	q->last = 0;
	return true;
}

bool net_queue_push(struct net_queue *q, const struct virtio_net_hdr *todo,
		    const u8 *frame, u32 size)
{
	struct record r = { .size = size, .todo = *todo };
	u32 need = record_size(size);

	if (size == 0 || !make_room(q, need))
		return false;
	memcpy(q->ring + q->last, &r, sizeof r);
	memcpy(q->ring + q->last + sizeof r, frame, size);
	q->last += need;
	q->used += need;
	q->frames++;
	return true;
}

/* The record at a place, or at the ring's start where none is there. */
static u32 find_record(const struct net_queue *q, u32 at, struct record *ret_record)
{
	if (q->capacity - at >= sizeof *ret_record) {
		memcpy(ret_record, q->ring + at, sizeof *ret_record);
		if (ret_record->size)
			return at;
	}
	memcpy(ret_record, q->ring, sizeof *ret_record);
	return 0;
}

static void drop_first(struct net_queue *q)
{
	struct record r;
	u32 at = find_record(q, q->first, &r);

	if (at != q->first)
		q->used -= q->capacity - q->first;
	q->first = at + record_size(r.size);
	q->used -= record_size(r.size);
	q->frames--;
}

bool net_queue_flush(struct net_queue *q, struct net_port *port)
{
	struct net_frame frames[NET_BATCH];
	struct iovec iov[NET_BATCH];

	while (q->frames > 0) {
		unsigned count = (unsigned)min_u64(q->frames, NET_BATCH), sent;
		u32 at = q->first;

		for (unsigned k = 0; k < count; k++) {
			struct record r;

			at = find_record(q, at, &r);
			iov[k] = (struct iovec){ q->ring + at + sizeof r, r.size };
			frames[k] = (struct net_frame){ .todo = r.todo,
							.iov = &iov[k],
							.iov_count = 1,
							.size = r.size };
			at += record_size(r.size);
		}
		sent = net_port_send(port, frames, count);
		for (unsigned k = 0; k < sent; k++)
			drop_first(q);
		if (sent < count)
			return false;
	}
	return true;
}
