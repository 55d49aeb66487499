/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames for the guest. Where the guest takes a frame in parts (coalesced segments), slots of
 * sub-allocations lie ready, and the port reads into them:
 *
 *	                 +---------------- a sub-allocation ----------------+
 *	slot.head <----- | first 128 bytes                                  |
 *	                 | RNDIS, infos | (those 128 bytes) | frame ....... |
 *	                 +--------------------------------------------------+
 *	                 | RNDIS, infos | frame goes on ................... |
 *	                 +--------------------------------------------------+
 *
 * The frame's beginning is read into private memory: its address, tag and flow are looked at there, and it
 * is written in front of the rest together with RNDIS' header. Where the guest takes no parts, each frame
 * is read into private memory, made into frames of the guest's size, and copied.
 *
 * Check sums are always finished here: a guest that was told that a sum is good may want to see it all the
 * same (ethtool -K rx off does not come to us).
 */
#include <errno.h>

#include "base/clock.h"
#include "net/finish.h"
#include "vsp/netvsp/adapter.h"
#include "wall/guest_memory.h"

#define ETH_TYPE_VLAN 0x8100u
#define DRAIN_MAX 4096
#define BATCH_MIN 4
#define NO_VLAN UINT32_MAX
/* Less would be many thousand pieces of one frame. */
#define SEGMENT_MIN 64
/* Sub-allocations that the pieces of one large frame may need. */
#define PIECES_ROOM 64
/* Sub-allocations that are kept for replies to what the guest asks. */
#define KEPT 4

/* What is known of a frame that goes to the guest. */
struct arrival {
	u32 size;
	u32 vlan; /* as NDIS has it; NO_VLAN */
	u32 sum;  /* RNDIS_RECEIVED_...; 0: nothing is known */
	bool has_hash;
	u32 hash;
	struct nic_channel *channel;
};

/* ---- where sub-allocations lie ---- */

static gpa_t sub_gpa(const struct netvsp *n, u32 sub, u32 offset)
{
	u64 at = (u64)sub * n->buffer.sub_size + offset;

	return n->receive_pages.page[at / VMBUS_PAGE] * VMBUS_PAGE + at % VMBUS_PAGE;
}

/* [from, to) of it was written by the port. */
static void mark_sub(struct netvsp *n, u32 sub, u32 from, u32 to)
{
	while (from < to) {
		gpa_t gpa = sub_gpa(n, sub, from);
		u32 size = (u32)min_u64(to - from, VMBUS_PAGE - gpa % VMBUS_PAGE);

		gm_written(n->config.gm, gpa, size, &n->receive.ticket);
		from += size;
	}
}

static int write_sub(struct netvsp *n, u32 sub, u32 at, const u8 *bytes, u32 size)
{
	while (size > 0) {
		gpa_t gpa = sub_gpa(n, sub, at);
		u32 piece = (u32)min_u64(size, VMBUS_PAGE - gpa % VMBUS_PAGE);
		int r = gm_write(n->config.gm, gpa, bytes, piece, &n->receive.ticket);

		if (r < 0)
			return r;
		at += piece;
		bytes += piece;
		size -= piece;
	}
	return 0;
}

static unsigned point_at_sub(const struct netvsp *n, u32 sub, u32 from, struct iovec *iov,
			     unsigned count)
{
	u32 to = n->buffer.sub_size;

	while (from < to) {
		gpa_t gpa = sub_gpa(n, sub, from);
		u32 size = (u32)min_u64(to - from, VMBUS_PAGE - gpa % VMBUS_PAGE);
		u8 *host = gm_pin(n->config.gm, gpa, size);

		if (!host || count == MAX_IOV)
			return 0;
		iov[count++] = (struct iovec){ host, size };
		from += size;
	}
	return count;
}

/* ---- is there anything to be had, and room for it? ---- */

bool nic_takes_parts(const struct netvsp *n)
{
	return nvsp_takes_parts(&n->nvsp) && n->rndis.coalesce4 && n->rndis.coalesce6;
}

static bool wants_frames(const struct netvsp *n)
{
	return n->channel[0].vmbus && n->buffer.count > 0 && n->rndis.initialized &&
	       n->rndis.filter != 0 && !n->paused && nic_link_is_up(n);
}

void nic_receive_update(struct netvsp *n)
{
	if (n->port)
		net_port_listen(n->port, wants_frames(n) && n->stall_end == UINT64_MAX);
}

static void stall(struct netvsp *n)
{
	if (n->stall_end != UINT64_MAX)
		return;
	n->drops.stalls++;
	n->stall_end = n->config.clock->monotonic_ns(n->config.clock) + NETVSP_STALL_NS;
	nic_set_alarm(n);
	nic_receive_update(n);
}

void nic_receive_resume(struct netvsp *n)
{
	if (n->stall_end == UINT64_MAX)
		return;
	n->stall_end = UINT64_MAX;
	nic_set_alarm(n);
	nic_receive_update(n);
}

int nic_receive_start(struct netvsp *n)
{
	int r = receive_buffer_init(&n->buffer, n->nvsp.receive.sub_size,
				    n->nvsp.receive.count);

	n->receive.batch = BATCH_MIN;
	return r;
}

void nic_receive_stop(struct netvsp *n)
{
	receive_buffer_done(&n->buffer);
	n->receive.ready = 0;
	for (unsigned k = 0; k < NET_BATCH; k++)
		n->receive.slot[k].subs = 0;
	for (unsigned k = 0; k < CHANNELS; k++)
		n->channel[k].transfer.ranges = n->channel[k].transfer.frames = 0;
	n->stall_end = UINT64_MAX;
}

void nic_receive_drain(struct netvsp *n, u64 *io_count)
{
	const struct iovec iov = { n->receive.large, NET_MAX_FRAME };
	struct net_frame frame = { .iov = &iov, .iov_count = 1 };

	for (unsigned k = 0; n->port && k < DRAIN_MAX; k++) {
		if (net_port_receive(n->port, &frame, 1) == 0)
			return;
		++*io_count;
	}
}

/* ---- packets to the guest ---- */

/* The chain that was collected for a channel goes as one packet. */
static void flush_transfer(struct nic_channel *c)
{
	const struct nvsp_message message = {
		.type = le32_of(NVSP_RNDIS),
		.rndis = { .channel = le32_of(NVSP_CHANNEL_DATA),
			   .section = le32_of(NVSP_NO_SECTION) },
	};
	struct netvsp *n = c->netvsp;
	u64 transaction;
	int r;

	if (c->transfer.ranges == 0)
		return;
	n->buffer.next[c->transfer.last] = RECEIVE_NONE;
	transaction = receive_buffer_lend(&n->buffer, c->transfer.first, c->index);
	c->transfer.head = (struct nvsp_transfer){
		.set = le16_of(NVSP_RECEIVE_BUFFER_ID),
		.count = le32_of(c->transfer.ranges),
	};
	/* Frames first: marked, and out of the way of code that executes there. */
	r = gm_wait_published(n->config.gm, n->receive.ticket);
	if (r == 0)
		r = vmbus_channel_send_more(
			c->vmbus, VMBUS_PACKET_TRANSFER_PAGES,
			VMBUS_PACKET_WANTS_COMPLETION, transaction, &c->transfer.head,
			(u32)(sizeof c->transfer.head +
			      c->transfer.ranges * sizeof *c->transfer.range),
			&message, sizeof message);
	if (r == 0) {
		n->counts.frames_in += c->transfer.frames;
		c->frames_in += c->transfer.frames;
	} else {
		(void)receive_buffer_return(&n->buffer, transaction, c->index);
		n->drops.ring_full += c->transfer.frames;
		n->counts.no_buffer += c->transfer.frames;
		stall(n);
	}
	c->transfer.ranges = c->transfer.frames = 0;
}

static void flush_transfers(struct netvsp *n)
{
	for (unsigned k = 0; k < n->rndis.channels && k < CHANNELS; k++)
		if (n->channel[k].transfer.ranges > 0)
			flush_transfer(&n->channel[k]);
	n->receive.ticket = 0;
}

/* A sub-allocation with `used` bytes in it goes with the channel's next packet. */
static void add_range(struct nic_channel *c, u32 sub, u32 used)
{
	struct receive_buffer *b = &c->netvsp->buffer;

	if (c->transfer.ranges == 0)
		c->transfer.first = sub;
	else
		b->next[c->transfer.last] = sub;
	c->transfer.last = sub;
	c->transfer.range[c->transfer.ranges++] =
		(struct nvsp_transfer_range){ .size = le32_of(used),
					      .offset = le32_of(sub * b->sub_size) };
}

static u32 add_info(u8 *at, u32 used, u32 type, u32 value)
{
	const struct {
		struct rndis_info info;
		le32 value;
	} PACKED i = { { le32_of(sizeof i), le32_of(type), le32_of(sizeof i.info) },
		       le32_of(value) };

	memcpy(at + used, &i, sizeof i);
	return used + (u32)sizeof i;
}

/*
 * RNDIS' header with all that is said of the frame, at the beginning of a sub-allocation; the data, data_size
 * bytes, begins at data. part: RNDIS_PART..., 0: the frame is whole.
 */
static void make_header(u8 header[RECEIVE_HEADROOM], const struct arrival *a, u32 part,
			u32 data, u32 data_size)
{
	struct rndis_packet p = {
		.header = { le32_of(RNDIS_PACKET), le32_of(data + data_size) },
		.data_offset = le32_of(data - RNDIS_OFFSET_BASE),
		.data_size = le32_of(data_size),
	};
	u32 used = sizeof p;

	memset(header, 0, RECEIVE_HEADROOM);
	if (part == 0 || part & RNDIS_PART_FIRST) {
		if (a->sum)
			used = add_info(header, used, RNDIS_INFO_CHECKSUM, a->sum);
		if (a->vlan != NO_VLAN)
			used = add_info(header, used, RNDIS_INFO_VLAN, a->vlan);
		if (a->has_hash)
			used = add_info(header, used, RNDIS_INFO_HASH, a->hash);
	}
	if (part)
		used = add_info(header, used, (u32)RNDIS_INFO_PACKET_ID,
				1u | (u32)part << 8);
	if (used > sizeof p) {
		p.info_offset = le32_of(sizeof p - RNDIS_OFFSET_BASE);
		p.info_size = le32_of(used - (u32)sizeof p);
	}
	memcpy(header, &p, sizeof p);
}
_Static_assert(sizeof(struct rndis_packet) + 4 * (sizeof(struct rndis_info) + 4) <=
		       RECEIVE_HEADROOM,
	       "all that can be said of a frame");

/* ---- what is seen of a frame ---- */

/*
 * A tag in the frame is said beside it instead: the addresses move up, and the frame begins four bytes
 * later.
 */
static bool take_tag(u8 *frame, u32 size, u32 *ret_vlan)
{
	u32 tag;

	*ret_vlan = NO_VLAN;
	if (size < 14 + VLAN_TAG + 2 || net_get16(frame + 12) != ETH_TYPE_VLAN)
		return false;
	tag = net_get16(frame + 14);
	*ret_vlan = tag >> 13 | (tag >> 12 & 1) << 3 | (tag & 0xfff) << 4;
	memmove(frame + VLAN_TAG, frame, 12);
	return true;
}

static u32 sum_info(const u8 *frame, u32 size, const struct virtio_net_hdr *todo)
{
	u16 type = net_ether_type(frame, size);
	u32 proto = 0;

	if (!(todo->flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)))
		return 0;
	if (type == ETH_TYPE_IP4 && size >= ETH_HEADER + 20)
		proto = frame[ETH_HEADER + 9];
	else if (type == ETH_TYPE_IP6 && size >= ETH_HEADER + 40)
		proto = frame[ETH_HEADER + 6];
	if (proto == IP_PROTO_TCP)
		return RNDIS_RECEIVED_TCP_GOOD | RNDIS_RECEIVED_IP_GOOD;
	return proto == IP_PROTO_UDP ? RNDIS_RECEIVED_UDP_GOOD | RNDIS_RECEIVED_IP_GOOD
				     : 0;
}

static void choose_channel(struct netvsp *n, struct arrival *a, const u8 *frame, u32 size)
{
	const struct rss *rss = &n->rndis.rss;
	u32 k = 0;

	a->channel = &n->channel[0];
	a->has_hash = rss->on && n->rndis.channels > 1 &&
		      rss_hash(rss, frame, size, &a->hash);
	if (a->has_hash)
		k = rss->table[a->hash & (rss->entries - 1)];
	if (k < n->rndis.channels && n->channel[k].vmbus)
		a->channel = &n->channel[k];
}

/* ---- frames in parts ---- */

/* Sub-allocations for the largest frame. */
static unsigned parts_of(const struct netvsp *n, u32 size)
{
	u32 room = n->buffer.sub_size - RECEIVE_HEADROOM;

	return (size + room - 1) / room;
}

static bool make_ready(struct netvsp *n, unsigned k)
{
	struct slot *s = &n->receive.slot[k];
	unsigned wanted = parts_of(n, NET_MAX_FRAME), count = 1;

	while (s->subs < wanted) {
		u32 sub = n->buffer.free_count > KEPT ? receive_buffer_take(&n->buffer)
						      : RECEIVE_NONE;

		if (sub == RECEIVE_NONE)
			return false;
		s->sub[s->subs++] = sub;
	}
	s->iov[0] = (struct iovec){ s->head, RECEIVE_HEAD };
	for (unsigned part = 0; part < wanted && count > 0; part++)
		count = point_at_sub(n, s->sub[part],
				     RECEIVE_HEADROOM + (part == 0 ? RECEIVE_HEAD : 0),
				     s->iov, count);
	n->receive.frame[k].iov = s->iov;
	n->receive.frame[k].iov_count = count;
	return count > 0;
}

/* The sum of [start, size) of a frame that lies in pieces, all but the last of even sizes. */
static u16 sum_of(const struct slot *s, u32 start, u32 size)
{
	u64 sum = 0;

	for (unsigned k = 0; k < MAX_IOV && size > 0; k++) {
		u32 n = (u32)min_u64(s->iov[k].iov_len, size);

		if (start < n)
			sum = net_sum((const u8 *)s->iov[k].iov_base + start, n - start,
				      net_fold(sum));
		start -= (u32)min_u64(start, n);
		size -= n;
	}
	return (u16)~net_fold(sum);
}

/* The sum that the sender left open. False: its header makes no sense. */
static bool finish_sum(struct slot *s, u32 size, const struct virtio_net_hdr *todo)
{
	u32 at = (u32)todo->csum_start + todo->csum_offset;
	u16 sum;

	if (!(todo->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return true;
	/* Nobody has so long headers in front of TCP. */
	if (todo->csum_start < 14 || todo->csum_start & 1 || at + 2 > RECEIVE_HEAD ||
	    at + 2 > size)
		return false;
	sum = sum_of(s, todo->csum_start, size);
	if (sum == 0)
		sum = 0xffff;
	memcpy(s->head + at, &sum, sizeof sum);
	return true;
}

/* The slot's first parts are the guest's now. */
static void use_up(struct slot *s, unsigned parts)
{
	s->subs -= parts;
	memmove(s->sub, s->sub + parts, s->subs * sizeof *s->sub);
}

static void deliver_parts(struct netvsp *n, struct slot *s, const struct arrival *a,
			  u32 skip)
{
	u8 front[RECEIVE_HEADROOM + RECEIVE_HEAD];
	u32 room = n->buffer.sub_size - RECEIVE_HEADROOM;
	u32 head = (u32)min_u64(a->size, RECEIVE_HEAD);
	unsigned parts = parts_of(n, a->size);
	struct nic_channel *c = a->channel;

	if (c->transfer.ranges + parts > RANGES)
		flush_transfer(c);
	for (unsigned k = 0; k < parts; k++) {
		u32 size = (u32)min_u64(a->size - k * room, room);
		u32 begin = k == 0 ? skip : 0, written = k == 0 ? head : 0;
		u32 part = parts == 1 ? 0
				      : RNDIS_PART | (k == 0 ? RNDIS_PART_FIRST : 0) |
						(k + 1 == parts ? RNDIS_PART_LAST : 0);

		make_header(front, a, part, RECEIVE_HEADROOM + begin, size - begin);
		if (k == 0)
			memcpy(front + RECEIVE_HEADROOM, s->head, head);
		(void)write_sub(n, s->sub[k], 0, front, RECEIVE_HEADROOM + written);
		mark_sub(n, s->sub[k], RECEIVE_HEADROOM + written,
			 RECEIVE_HEADROOM + size);
		add_range(c, s->sub[k], RECEIVE_HEADROOM + size);
	}
	c->transfer.frames++;
	use_up(s, parts);
}

static void take_slot(struct netvsp *n, unsigned k)
{
	const struct net_frame *f = &n->receive.frame[k];
	struct slot *s = &n->receive.slot[k];
	struct arrival a = { .size = f->size };
	u32 head = (u32)min_u64(f->size, RECEIVE_HEAD), skip;

	if (f->size < 14 || !finish_sum(s, f->size, &f->todo)) {
		n->drops.unreadable++;
		n->counts.errors_in++;
		return;
	}
	if (!rndis_wants(&n->rndis, s->head)) {
		n->drops.unwanted++;
		return;
	}
	skip = take_tag(s->head, head, &a.vlan) ? VLAN_TAG : 0;
	a.sum = sum_info(s->head + skip, head - skip, &f->todo);
	choose_channel(n, &a, s->head + skip, head - skip);
	deliver_parts(n, s, &a, skip);
}

static void receive_parts(struct netvsp *n)
{
	unsigned ready = 0, got;

	while (ready < n->receive.batch && make_ready(n, ready))
		ready++;
	if (ready == 0) {
		stall(n);
		return;
	}
	got = net_port_receive(n->port, n->receive.frame, ready);
	for (unsigned k = 0; k < got; k++)
		take_slot(n, k);
	if (got == ready && n->receive.batch < NET_BATCH)
		n->receive.batch *= 2;
	else if (got < n->receive.batch / 4 && n->receive.batch > BATCH_MIN)
		n->receive.batch /= 2;
}

/* ---- frames as wholes ---- */

static void deliver_copy(struct netvsp *n, const u8 *frame, u32 size, u32 vlan, u32 sum)
{
	struct arrival a = { .size = size, .vlan = vlan, .sum = sum };
	u8 header[RECEIVE_HEADROOM];
	u32 sub;

	if (size > n->buffer.sub_size - RECEIVE_HEADROOM) {
		n->drops.unreadable++;
		return;
	}
	sub = receive_buffer_take(&n->buffer);
	if (sub == RECEIVE_NONE) {
		n->drops.no_buffer++;
		n->counts.no_buffer++;
		return;
	}
	choose_channel(n, &a, frame, size);
	make_header(header, &a, 0, RECEIVE_HEADROOM, size);
	(void)write_sub(n, sub, 0, header, sizeof header);
	(void)write_sub(n, sub, RECEIVE_HEADROOM, frame, size);
	if (a.channel->transfer.ranges == RANGES)
		flush_transfer(a.channel);
	add_range(a.channel, sub, RECEIVE_HEADROOM + size);
	a.channel->transfer.frames++;
}

static void on_piece(void *owner, u8 *frame, u32 size)
{
	struct netvsp *n = owner;

	deliver_copy(n, frame, size, n->receive.vlan_of_pieces,
		     RNDIS_RECEIVED_TCP_GOOD | RNDIS_RECEIVED_IP_GOOD);
}

/* A frame in private memory. False: it makes no sense. */
static bool take_whole(struct netvsp *n, const struct net_frame *f)
{
	u8 *frame = n->receive.large;
	u32 size = f->size, vlan;
	struct virtio_net_hdr todo = f->todo;
	struct net_headers h;

	if (size < 14)
		return false;
	if (!rndis_wants(&n->rndis, frame)) {
		n->drops.unwanted++;
		return true;
	}
	if (take_tag(frame, size, &vlan)) {
		frame += VLAN_TAG;
		size -= VLAN_TAG;
		todo.csum_start = (u16)(todo.csum_start - VLAN_TAG);
	}
	if (todo.gso_type == VIRTIO_NET_HDR_GSO_NONE) {
		if (!net_finish_sum(frame, size, &todo))
			return false;
		deliver_copy(n, frame, size, vlan, sum_info(frame, size, &todo));
		return true;
	}
	if (todo.gso_size < SEGMENT_MIN || !net_find_headers(frame, size, &h) ||
	    h.proto != IP_PROTO_TCP || h.payload == 0 || h.payload >= h.end)
		return false;
	n->receive.vlan_of_pieces = vlan;
	net_segment(frame, &h, todo.gso_size, n->receive.large + NET_MAX_FRAME, on_piece,
		    n);
	return true;
}

static void receive_whole(struct netvsp *n)
{
	const struct iovec iov = { n->receive.large, NET_MAX_FRAME };
	struct net_frame frame = { .iov = &iov, .iov_count = 1 };

	for (unsigned k = 0; k < NET_BATCH; k++) {
		if (n->buffer.free_count < min_u64(PIECES_ROOM, n->buffer.count)) {
			stall(n);
			return;
		}
		if (net_port_receive(n->port, &frame, 1) == 0)
			return;
		if (!take_whole(n, &frame)) {
			n->drops.unreadable++;
			n->counts.errors_in++;
		}
	}
}

/* ---- the port has frames ---- */

void nic_receive(struct netvsp *n)
{
	if (!wants_frames(n) || n->stall_end != UINT64_MAX) {
		nic_receive_update(n);
		return;
	}
	n->receive.ticket = 0;
	if (nic_takes_parts(n))
		receive_parts(n);
	else
		receive_whole(n);
	flush_transfers(n);
}

bool nic_receive_control(struct netvsp *n, const u8 *bytes, u32 size)
{
	const struct nvsp_message message = {
		.type = le32_of(NVSP_RNDIS),
		.rndis = { .channel = le32_of(NVSP_CHANNEL_CONTROL),
			   .section = le32_of(NVSP_NO_SECTION) },
	};
	struct {
		struct nvsp_transfer head;
		struct nvsp_transfer_range range;
	} PACKED t = { .head = { .set = le16_of(NVSP_RECEIVE_BUFFER_ID),
				 .count = le32_of(1) } };
	struct nic_channel *c = &n->channel[0];
	u32 sub = n->buffer.count > 0 ? receive_buffer_take(&n->buffer) : RECEIVE_NONE;
	u64 transaction;
	int r;

	if (sub == RECEIVE_NONE)
		return false;
	n->receive.ticket = 0;
	r = write_sub(n, sub, 0, bytes, size);
	if (r == 0)
		r = gm_wait_published(n->config.gm, n->receive.ticket);
	t.range = (struct nvsp_transfer_range){ le32_of(size),
						le32_of(sub * n->buffer.sub_size) };
	n->buffer.next[sub] = RECEIVE_NONE;
	transaction = receive_buffer_lend(&n->buffer, sub, c->index);
	if (r == 0)
		r = vmbus_channel_send_more(c->vmbus, VMBUS_PACKET_TRANSFER_PAGES,
					    VMBUS_PACKET_WANTS_COMPLETION, transaction,
					    &t, sizeof t, &message, sizeof message);
	if (r == 0)
		return true;
	(void)receive_buffer_return(&n->buffer, transaction, c->index);
	return false;
}
