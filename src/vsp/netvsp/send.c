/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of the guest's: from packets to the port. A packet's RNDIS messages lie in a section of the
 * send buffer, in pages that it lists, or in the one and then the other. What is decided upon (RNDIS'
 * header, what is said of the frame, the frame's headers) is copied first; the rest of a frame goes out
 * of the guest's pages, which nobody here looks at.
 */
#include <errno.h>

#include "base/checked.h"
#include "vsp/guest_ranges.h"
#include "vsp/netvsp/adapter.h"
#include "wall/guest_memory.h"

/* Of one packet: a frame with its headers in pages, and the section. */
#define MAX_PIECES 80
#define MAX_BYTES (128u << 10)
/* RNDIS' header and what is said of a frame; guests put it in front of the frame. */
#define MAX_PREFIX 320u

struct scatter {
	struct netvsp *netvsp;
	struct {
		gpa_t gpa;
		u32 size;
	} piece[MAX_PIECES];
	unsigned pieces;
	u32 size;
};

static bool add_piece(void *owner, gpa_t gpa, u32 size)
{
	struct scatter *s = owner;

	if (s->pieces > 0 &&
	    s->piece[s->pieces - 1].gpa + s->piece[s->pieces - 1].size == gpa) {
		s->piece[s->pieces - 1].size += size;
	} else {
		if (s->pieces == MAX_PIECES)
			return false;
		s->piece[s->pieces].gpa = gpa;
		s->piece[s->pieces++].size = size;
	}
	s->size += size;
	return s->size <= MAX_BYTES;
}

static bool add_section(struct scatter *s, u32 section, u32 size)
{
	const struct nvsp *nvsp = &s->netvsp->nvsp;
	const u64 *page = s->netvsp->send_pages.page;
	u64 at = (u64)section * nvsp->send.section_size;

	if (section == NVSP_NO_SECTION)
		return true;
	if (!page || section >= nvsp->send.count || size > nvsp->send.section_size)
		return false;
	while (size > 0) {
		u32 in_page = at % VMBUS_PAGE;
		u32 n = (u32)min_u64(size, VMBUS_PAGE - in_page);

		if (!add_piece(s, page[at / VMBUS_PAGE] * VMBUS_PAGE + in_page, n))
			return false;
		at += n;
		size -= n;
	}
	return true;
}

/* Copy [at, at + size), which lies inside. */
static bool copy_out(const struct scatter *s, u32 at, u8 *to, u32 size)
{
	for (unsigned k = 0; k < s->pieces && size > 0; k++) {
		u32 n;

		if (at >= s->piece[k].size) {
			at -= s->piece[k].size;
			continue;
		}
		n = (u32)min_u64(size, s->piece[k].size - at);
		if (gm_read(s->netvsp->config.gm, s->piece[k].gpa + at, to, n) < 0)
			return false;
		to += n;
		size -= n;
		at = 0;
	}
	return size == 0;
}

/* [at, at + size) as the port sends it; its number of pieces, 0: too many, or no memory there. */
static unsigned point_at(const struct scatter *s, u32 at, u32 size, struct iovec *iov,
			 unsigned room)
{
	unsigned count = 0;

	for (unsigned k = 0; k < s->pieces && size > 0; k++) {
		u32 n;
		u8 *host;

		if (at >= s->piece[k].size) {
			at -= s->piece[k].size;
			continue;
		}
		n = (u32)min_u64(size, s->piece[k].size - at);
		host = gm_pin(s->netvsp->config.gm, s->piece[k].gpa + at, n);
		if (!host || count == room)
			return 0;
		iov[count++] = (struct iovec){ host, n };
		size -= n;
		at = 0;
	}
	return count;
}

/* ---- one frame ---- */

static bool may_send(struct netvsp *n, const u8 *frame)
{
	if (!nic_link_is_up(n)) {
		n->drops.unplugged++;
		return false;
	}
	if (!n->config.spoofing && memcmp(frame + 6, n->rndis.mac, 6) != 0) {
		n->drops.spoofed++;
		return false;
	}
	return true;
}

/* The frame in [at, at + size) of what the packet carries. False: it makes no sense. */
static bool add_frame(struct netvsp *n, const struct scatter *s, u32 at, u32 size,
		      const struct frame_infos *infos)
{
	struct frame_head *head = &n->send.head[n->send.frames];
	struct net_frame *frame = &n->send.frame[n->send.frames];
	struct iovec *iov = &n->send.iov[n->send.iovs];
	unsigned rest = 0;
	u32 wire_size;

	head->size = (u32)min_u64(size, FRAME_HEAD);
	if (!copy_out(s, at, head->bytes + VLAN_TAG, head->size))
		return false;
	if (!may_send(n, head->bytes + VLAN_TAG))
		return true;
	if (size > head->size) {
		rest = point_at(s, at + head->size, size - head->size, iov + 1,
				MAX_IOV - 1);
		if (rest == 0)
			return false;
	}
	if (!frame_head_finish(head, size, infos, &frame->todo, &wire_size))
		return false;
	iov[0] = (struct iovec){ head->bytes + head->start, head->size };
	frame->iov = iov;
	frame->iov_count = 1 + rest;
	frame->size = wire_size;
	n->send.iovs += 1 + rest;
	n->send.frames++;
	return true;
}

/* The RNDIS message at `at`; its size, 0: it makes no sense. */
static u32 add_message(struct netvsp *n, const struct scatter *s, u32 at)
{
	u8 prefix[MAX_PREFIX];
	u32 have = (u32)min_u64(s->size - at, sizeof prefix), size;
	struct rndis_packet p;
	struct frame_infos infos = { 0 };
	u64 data, info;
	u32 data_size, info_size;

	if (have < sizeof p || !copy_out(s, at, prefix, have))
		return 0;
	memcpy(&p, prefix, sizeof p);
	size = le32_get(p.header.size);
	data = (u64)RNDIS_OFFSET_BASE + le32_get(p.data_offset);
	data_size = le32_get(p.data_size);
	info = (u64)RNDIS_OFFSET_BASE + le32_get(p.info_offset);
	info_size = le32_get(p.info_size);
	if (le32_get(p.header.type) != RNDIS_PACKET || size < sizeof p ||
	    size > s->size - at || data < sizeof p || data_size < 14 ||
	    data_size > NET_MAX_FRAME || !range_inside(data, data_size, size))
		return 0;
	if (info_size > 0 && (info < sizeof p || !range_inside(info, info_size, size) ||
			      !range_inside(info, info_size, have) ||
			      !frame_infos_read(prefix + info, info_size, &infos)))
		return 0;
	return add_frame(n, s, at + (u32)data, data_size, &infos) ? size : 0;
}

/* ---- packets ---- */

static u32 add_data(struct netvsp *n, const struct scatter *s)
{
	u32 at = 0;

	if (n->rndis.filter == 0 && !n->rndis.initialized)
		return NVSP_FAILED;
	for (unsigned k = 0; k < RNDIS_MAX_PACKETS && at < s->size; k++) {
		u32 size = add_message(n, s, at);

		if (size == 0) {
			n->drops.malformed++;
			n->counts.errors_out++;
			return NVSP_BAD_RNDIS;
		}
		/* The next one begins where the alignment that we told has it. */
		at = (u32)min_u64(((u64)at + size + 7) & ~7ull, UINT32_MAX);
	}
	return NVSP_OK;
}

static u32 take_control(struct netvsp *n, const struct scatter *s)
{
	u8 request[RNDIS_MAX_REQUEST];
	u32 size = (u32)min_u64(s->size, sizeof request), reply_size;
	bool initialized;

	if (!copy_out(s, 0, request, size))
		return NVSP_BAD_RNDIS;
	/* A guest that takes no replies gets none. */
	if (n->replies == REPLIES) {
		n->drops.replies_lost++;
		return NVSP_BUSY;
	}
	initialized = n->rndis.initialized;
	n->rndis.parts = nvsp_takes_parts(&n->nvsp);
	reply_size = rndis_take(&n->rndis, request, size, n->reply[n->replies].bytes);
	if (reply_size > 0)
		n->reply[n->replies++].size = reply_size;
	/* A guest asks for the link when it begins. */
	if (!initialized)
		n->link_shown = n->rndis.link_up;
	return NVSP_OK;
}

void nic_send_packet(struct nic_channel *c, u64 transaction,
		     const struct nvsp_output *message, const u8 *ranges, u32 size)
{
	struct netvsp *n = c->netvsp;
	unsigned before = n->send.frames;
	u32 status = NVSP_BAD_RNDIS;
	struct scatter s;

	s.netvsp = n;
	s.pieces = 0;
	s.size = 0;
	if (add_section(&s, message->section, message->size) &&
	    (size == 0 || guest_ranges_walk(ranges, size, MAX_BYTES, add_piece, &s))) {
		if (message->channel == NVSP_CHANNEL_CONTROL)
			status = take_control(n, &s);
		else
			status = add_data(n, &s);
	} else {
		n->drops.malformed++;
	}
	if (message->channel == NVSP_CHANNEL_CONTROL) {
		nic_answer(c, transaction, status, false);
		return;
	}
	c->frames_out += n->send.frames - before;
	n->send.done[n->send.dones].channel = c;
	n->send.done[n->send.dones].transaction = transaction;
	n->send.done[n->send.dones].status = status;
	n->send.done[n->send.dones].copied = size == 0;
	n->send.done[n->send.dones++].frames = n->send.frames;
}

/* ---- to the port ---- */

bool nic_send_is_full(const struct netvsp *n)
{
	return n->send.dones == NET_BATCH ||
	       n->send.frames + RNDIS_MAX_PACKETS > NET_BATCH ||
	       n->send.iovs + RNDIS_MAX_PACKETS * MAX_IOV > ARRAY_COUNT(n->send.iov);
}

/*
 * Answer what has gone. Where it is one small packet that the guest need not hear of, as in a conversation
 * of question and answer, the frame that comes back tells it: one interrupt, not two.
 */
static void answer_done(struct netvsp *n)
{
	bool alone = n->send.dones == 1 && n->send.done[0].copied;

	while (n->send.told < n->send.dones &&
	       n->send.done[n->send.told].frames <= n->send.sent) {
		unsigned k = n->send.told++;

		if (n->send.done[k].channel)
			nic_answer(n->send.done[k].channel, n->send.done[k].transaction,
				   n->send.done[k].status, alone);
	}
	if (n->send.told < n->send.dones || n->send.sent < n->send.frames)
		return;
	n->send.frames = n->send.sent = n->send.iovs = 0;
	n->send.dones = n->send.told = 0;
	n->send.blocked = false;
}

void nic_send_flush(struct netvsp *n)
{
	unsigned left = n->send.frames - n->send.sent, sent = left;

	if (left > 0 && n->port)
		sent = net_port_send(n->port, n->send.frame + n->send.sent, left);
	n->counts.frames_out += sent;
	n->send.sent += sent;
	n->send.blocked = sent < left;
	answer_done(n);
}

void nic_send_drop(struct netvsp *n, const struct nic_channel *c)
{
	for (unsigned k = n->send.told; k < n->send.dones; k++)
		if (n->send.done[k].channel == c)
			n->send.done[k].channel = NULL;
	n->counts.errors_out += n->send.frames - n->send.sent;
	n->send.sent = n->send.frames;
	answer_done(n);
}
