/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The synthetic network adapter; see netvsp.h. In the order in which things happen: the channel opens,
 * packets come, answers go, the link changes, the channel closes.
 */
#include "vsp/netvsp/netvsp.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "vsp/netvsp/adapter.h"
#include "wall/guest_memory.h"

/* Header, ranges of a large frame, the message. */
#define MAX_PACKET 4096
#define PACKETS_A_ROUND 128
#define ANNOUNCES 3
/* How long a guest may not hear of an answer that it does not wait for. */
#define QUIET_NS 250000ull
#define ANNOUNCE_NS 100000000ull

static const struct vmbus_device_ops ops;

static u64 now(const struct netvsp *n)
{
	return n->config.clock->monotonic_ns(n->config.clock);
}

/* ---- opens ---- */

static u32 open_channels(const struct netvsp *n)
{
	u32 count = 0;

	while (count < CHANNELS && n->channel[count].vmbus)
		count++;
	return count;
}

static int on_open(void *owner, struct vmbus_channel *vmbus)
{
	struct netvsp *n = owner;
	struct nic_channel *c;

	/* From a saved state it may be anything. */
	if (vmbus->offer->sub_index >= CHANNELS)
		return -EPROTO;
	c = &n->channel[vmbus->offer->sub_index];
	if (c->vmbus)
		return -EBUSY;
	memset(c, 0, sizeof *c);
	c->netvsp = n;
	c->vmbus = vmbus;
	c->index = vmbus->offer->sub_index;
	vmbus->device = c;
	n->rndis.channels = open_channels(n);
	return 0;
}

static void on_gone(void *owner, u32 relid)
{
	struct netvsp *n = owner;

	for (unsigned k = 1; k < CHANNELS; k++)
		if (n->sub_relid[k] == relid)
			n->sub_relid[k] = 0;
}

static void offer_sub_channels(struct netvsp *n, u32 count)
{
	const struct vmbus_offer offer = { .interface = VMBUS_GUID_NIC,
					   .instance = n->config.instance,
					   .flags = VMBUS_OFFER_ENUMERATE,
					   .primary = n->relid };

	vmbus_server_add_sub_channels(n->config.server, offer, &ops, n, count,
				      n->sub_relid);
}

/* ---- answers ---- */

static bool put_answer(struct nic_channel *c, const struct answer *a, bool quietly)
{
	const struct nvsp_message m = { .type = le32_of(NVSP_RNDIS_COMPLETE),
					.rndis_complete = { le32_of(a->status) } };

	return (quietly ? vmbus_channel_send_quietly(c->vmbus, VMBUS_PACKET_COMPLETION, 0,
						     a->transaction, &m, sizeof m)
			: vmbus_channel_send(c->vmbus, VMBUS_PACKET_COMPLETION, 0,
					     a->transaction, &m, sizeof m)) != -EAGAIN;
}

void nic_answer(struct nic_channel *c, u64 transaction, u32 status, bool quietly)
{
	struct netvsp *n = c->netvsp;
	const struct answer a = { transaction, status };

	/* One at a time: a guest that goes on sending has something to be told of. */
	quietly = quietly && !c->vmbus->owed;
	if (c->answers == 0 && put_answer(c, &a, quietly)) {
		if (c->vmbus->owed && n->tell_at == UINT64_MAX) {
			n->tell_at = now(n) + QUIET_NS;
			nic_set_alarm(n);
		}
		return;
	}
	/* There is room: what comes of one round is less, and there is no other before it is out. */
	if (c->answers < ANSWERS)
		c->answer[c->answers++] = a;
}

static void tell_all(struct netvsp *n)
{
	n->tell_at = UINT64_MAX;
	for (unsigned k = 0; k < CHANNELS; k++)
		if (n->channel[k].vmbus)
			vmbus_channel_tell(n->channel[k].vmbus);
}

static bool flush_answers(struct nic_channel *c)
{
	unsigned k = 0;

	while (k < c->answers && put_answer(c, &c->answer[k], false))
		k++;
	c->answers -= k;
	memmove(c->answer, c->answer + k, c->answers * sizeof *c->answer);
	return c->answers == 0;
}

/* An answer to what is not RNDIS: the guest waits for it, so that the ring has room. */
static void answer_message(struct nic_channel *c, u64 transaction,
			   const struct nvsp_message *m)
{
	if (vmbus_channel_send(c->vmbus, VMBUS_PACKET_COMPLETION, 0, transaction, m,
			       sizeof *m) == -EAGAIN)
		c->netvsp->drops.replies_lost++;
}

static void flush_replies(struct netvsp *n)
{
	unsigned k = 0;

	while (k < n->replies && n->channel[0].vmbus &&
	       nic_receive_control(n, n->reply[k].bytes, n->reply[k].size))
		k++;
	n->replies -= k;
	memmove(n->reply, n->reply + k, n->replies * sizeof *n->reply);
}

/* ---- the link ---- */

bool nic_link_is_up(const struct netvsp *n)
{
	return n->cable && n->port && net_port_is_up(n->port);
}

void nic_set_alarm(struct netvsp *n)
{
	u64 when = min_u64(n->stall_end, n->tell_at);

	if (n->rndis.initialized && n->link_shown != n->rndis.link_up)
		when = min_u64(when, n->link_next);
	if (n->announces > 0)
		when = min_u64(when, n->announce_at);
	n->config.wake_at(n->config.owner, when);
}

/* The guest is told, unless it asked meanwhile, or it was told too short ago. */
void nic_show_link(struct netvsp *n)
{
	n->rndis.link_up = nic_link_is_up(n);
	nic_receive_update(n);
	if (n->rndis.initialized && n->link_shown != n->rndis.link_up &&
	    now(n) >= n->link_next && n->replies < REPLIES) {
		n->reply[n->replies].size = rndis_indicate(
			n->rndis.link_up ? RNDIS_MEDIA_CONNECT : RNDIS_MEDIA_DISCONNECT,
			n->reply[n->replies].bytes);
		n->replies++;
		n->link_shown = n->rndis.link_up;
		n->link_next = now(n) + NETVSP_LINK_NS;
		n->drops.links++;
		flush_replies(n);
	}
	nic_set_alarm(n);
}

void netvsp_link(struct netvsp *n, bool in)
{
	n->cable = in;
	nic_show_link(n);
}

/* ---- buffers ---- */

int nic_hold(struct netvsp *n, u32 gpadl, struct held_buffer *ret_buffer, u64 *ret_size)
{
	struct vmbus_protocol *p = vmbus_server_protocol(n->config.server);
	struct gpadl *g = vmbus_protocol_hold(p, n->relid, gpadl);
	u32 pages = 0;

	*ret_size = 0;
	if (!g)
		return -ENOENT;
	ret_buffer->gpadl = g;
	ret_buffer->page = gpadl_pages(g, &pages);
	if (!ret_buffer->page) {
		vmbus_protocol_let_go(p, g);
		*ret_buffer = (struct held_buffer){ 0 };
		return -EINVAL;
	}
	*ret_size = (u64)pages * VMBUS_PAGE;
	return 0;
}

static void let_go(struct netvsp *n, struct held_buffer *buffer)
{
	struct gpadl *g = buffer->gpadl;

	*buffer = (struct held_buffer){ 0 };
	if (g)
		vmbus_protocol_let_go(vmbus_server_protocol(n->config.server), g);
}

static void drop_receive_buffer(struct netvsp *n)
{
	nic_receive_stop(n);
	nic_receive_update(n);
	let_go(n, &n->receive_pages);
}

static void drop_send_buffer(struct netvsp *n)
{
	/* Frames that wait for the port may lie in it. */
	nic_send_drop(n, NULL);
	let_go(n, &n->send_pages);
}

static void take_receive_buffer(struct netvsp *n, u32 gpadl, struct nvsp_message *reply)
{
	u64 size;

	(void)nic_hold(n, gpadl, &n->receive_pages, &size);
	nvsp_receive_buffer(&n->nvsp, gpadl, size, reply);
	if (n->nvsp.receive.size > 0 && nic_receive_start(n) == 0)
		return;
	if (n->nvsp.receive.size > 0) {
		memset(&n->nvsp.receive, 0, sizeof n->nvsp.receive);
		reply->receive_buffer_complete.status = le32_of(NVSP_FAILED);
	}
	let_go(n, &n->receive_pages);
}

static void take_send_buffer(struct netvsp *n, u32 gpadl, struct nvsp_message *reply)
{
	u64 size;

	(void)nic_hold(n, gpadl, &n->send_pages, &size);
	nvsp_send_buffer(&n->nvsp, gpadl, size, reply);
	if (n->nvsp.send.size == 0)
		let_go(n, &n->send_pages);
}

/* ---- a packet comes ---- */

static void take_message(struct nic_channel *c, u64 transaction, const u8 *ranges,
			 u32 ranges_size, const u8 *message, u32 size)
{
	struct netvsp *n = c->netvsp;
	struct nvsp_output out;
	le32 type;

	/* Everything but frames is the primary channel's. */
	if (c->index > 0) {
		memcpy(&type, message, sizeof type);
		if (le32_get(type) != NVSP_RNDIS) {
			n->nvsp.malformed++;
			return;
		}
	}
	nvsp_take(&n->nvsp, message, size, &out);
	switch (out.action) {
	case NVSP_DO_NOTHING:
		return;
	case NVSP_DO_RNDIS:
		nic_send_packet(c, transaction, &out, ranges, ranges_size);
		return;
	case NVSP_DO_RECEIVE_BUFFER:
		take_receive_buffer(n, out.gpadl, &out.reply);
		break;
	case NVSP_DO_SEND_BUFFER:
		take_send_buffer(n, out.gpadl, &out.reply);
		break;
	case NVSP_DO_DROP_RECEIVE_BUFFER:
		drop_receive_buffer(n);
		return;
	case NVSP_DO_DROP_SEND_BUFFER:
		drop_send_buffer(n);
		return;
	case NVSP_DO_ANSWER:
	case NVSP_DO_SUB_CHANNELS:
		break;
	}
	answer_message(c, transaction, &out.reply);
	if (out.action == NVSP_DO_SUB_CHANNELS)
		offer_sub_channels(n, out.count);
}

static void handle(struct nic_channel *c, const u8 *bytes, const struct vmbus_packet *p)
{
	struct netvsp *n = c->netvsp;
	u32 size = p->size - p->header_size;
	u32 ranges = p->header_size - (u32)sizeof(struct vmbus_packet_header);

	if (p->type == VMBUS_PACKET_COMPLETION) {
		if (!receive_buffer_return(&n->buffer, p->transaction, c->index))
			n->drops.bad_returns++;
		else
			nic_receive_resume(n);
		return;
	}
	if (size < sizeof(struct nvsp_message) - 36 ||
	    (p->type != VMBUS_PACKET_INBAND && p->type != VMBUS_PACKET_GPA_DIRECT)) {
		n->nvsp.malformed++;
		return;
	}
	take_message(c, p->transaction, bytes + sizeof(struct vmbus_packet_header),
		     p->type == VMBUS_PACKET_GPA_DIRECT ? ranges : 0,
		     bytes + p->header_size, size);
}

/* When all that were promised are open, the guest is told how to spread what it sends. */
static void tell_table(struct netvsp *n)
{
	struct nvsp_indirection_table t = {
		.header = { .type = le32_of(NVSP_INDIRECTION_TABLE),
			    .indirection = { le32_of(NVSP_INDIRECTIONS),
					     le32_of(sizeof t.header) } },
	};

	if (n->table_told || n->nvsp.sub_channels == 0 ||
	    n->rndis.channels != n->nvsp.sub_channels + 1)
		return;
	for (unsigned k = 0; k < NVSP_INDIRECTIONS; k++)
		t.channel[k] = le32_of(k % n->rndis.channels);
	n->table_told = vmbus_channel_send(n->channel[0].vmbus, VMBUS_PACKET_INBAND, 0, 0,
					   &t, sizeof t) != -EAGAIN;
}

/* What a round of packets may have changed. */
static void after_packets(struct netvsp *n, u32 filter_before)
{
	if (n->replies > 0)
		flush_replies(n);
	if (!n->table_told)
		tell_table(n);
	if (n->rndis.filter == filter_before)
		return;
	/* What came while the guest was deaf is not what it wants to hear now. */
	if (filter_before == 0)
		nic_receive_drain(n, &n->drops.unwanted);
	nic_show_link(n);
}

/* Take packets while there is room for what comes of them. */
static void work(struct nic_channel *c)
{
	struct netvsp *n = c->netvsp;
	u32 filter = n->rndis.filter;
	struct vmbus_packet p;
	u8 bytes[MAX_PACKET];

	for (unsigned k = 0;; k++) {
		if (!flush_answers(c) || n->send.blocked) {
			vmbus_channel_pause(c->vmbus);
			break; /* the guest makes room and signals, or the port does */
		}
		if (k == PACKETS_A_ROUND) {
			vmbus_channel_pause(c->vmbus);
			vmbus_channel_again(c->vmbus);
			break;
		}
		if (vmbus_channel_read(c->vmbus, bytes, sizeof bytes, &p) != 1)
			break;
		handle(c, bytes, &p);
		if (nic_send_is_full(n))
			nic_send_flush(n);
	}
	if (n->send.dones > 0 && !n->send.blocked)
		nic_send_flush(n);
	after_packets(n, filter);
}

static void on_ready(void *owner, struct vmbus_channel *vmbus)
{
	struct nic_channel *c = vmbus->device;

	work(c);
	nic_receive_resume(c->netvsp);
}

/* ---- the port speaks ---- */

static void on_readable(void *owner)
{
	nic_receive(owner);
}

static void on_writable(void *owner)
{
	struct netvsp *n = owner;

	nic_send_flush(n);
	for (unsigned k = 0; k < CHANNELS && !n->send.blocked; k++)
		if (n->channel[k].vmbus)
			vmbus_channel_again(n->channel[k].vmbus);
}

static void on_port_link(void *owner, bool up)
{
	struct netvsp *n = owner;

	/* Its owner says so to people: at the VM's end it is no news. */
	log_debug("network adapter: the other side of its port is gone");
	on_writable(n);
	nic_show_link(n);
}

int netvsp_plug(struct netvsp *n, enum net_port_kind kind, int fd, struct err *err)
{
	int r = net_port_new(&(struct net_port_config){ .kind = kind,
							.fd = fd,
							.loop = n->config.loop,
							.readable = on_readable,
							.writable = on_writable,
							.link = on_port_link,
							.owner = n },
			     &n->port, err);

	nic_show_link(n);
	return r;
}

/* ---- closes ---- */

static void forget_guest(struct netvsp *n)
{
	drop_receive_buffer(n);
	let_go(n, &n->send_pages);
	nvsp_reset(&n->nvsp);
	rndis_reset(&n->rndis);
	n->replies = 0;
	n->table_told = false;
}

static void on_close(void *owner, struct vmbus_channel *vmbus)
{
	struct netvsp *n = owner;
	struct nic_channel *c = vmbus->device;

	nic_send_drop(n, c);
	receive_buffer_return_all(&n->buffer, c->index);
	c->vmbus = NULL;
	n->rndis.channels = (u32)max_u64(open_channels(n), 1);
	if (c->index == 0)
		forget_guest(n);
	nic_receive_update(n);
	nic_set_alarm(n);
	vmbus_channel_closed(vmbus);
}

/* ---- life ---- */

int netvsp_new(const struct netvsp_config *config, struct netvsp **ret_netvsp)
{
	struct vmbus_offer offer = { .interface = VMBUS_GUID_NIC,
				     .instance = config->instance,
				     .flags = VMBUS_OFFER_ENUMERATE };
	struct netvsp *n = calloc(1, sizeof *n);
	int r = n ? 0 : -ENOMEM;

	if (config->max_sub_channels > NETVSP_MAX_SUB_CHANNELS)
		r = -EINVAL;
	if (r == 0) {
		n->config = *config;
		n->cable = true;
		n->stall_end = n->tell_at = UINT64_MAX;
		nvsp_init(&n->nvsp, config->max_sub_channels);
		memcpy(n->rndis.permanent, config->mac, sizeof n->rndis.permanent);
		n->rndis.mtu = config->mtu;
		n->rndis.spoofing = config->spoofing;
		n->rndis.queues = config->max_sub_channels + 1u;
		n->rndis.counts = &n->counts;
		rndis_init(&n->rndis);
		n->receive.large = malloc(2 * (size_t)NET_MAX_FRAME);
		r = n->receive.large
			    ? vmbus_server_add(config->server, &offer, &ops, n, &n->relid)
			    : -ENOMEM;
	}
	if (r < 0) {
		if (n)
			free(n->receive.large);
		free(n);
		return r;
	}
	*ret_netvsp = n;
	return 0;
}

void netvsp_free(struct netvsp *n)
{
	if (!n)
		return;
	net_port_free(n->port);
	nic_receive_stop(n);
	free(n->receive.large);
	free(n);
}

void netvsp_reset(struct netvsp *n)
{
	rndis_forget(&n->rndis);
}

/* ---- standing still ---- */

void netvsp_pause(struct netvsp *n)
{
	n->paused = true;
	n->stall_end = UINT64_MAX;
	nic_receive_update(n);
	nic_send_drop(n, NULL);
}

/* Reverse ARP: "who am I?". Nobody answers, but every switch learns where the address is now. */
static void announce(struct netvsp *n)
{
	static const u8 begin[] = { 0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3 };
	u8 bytes[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	const struct iovec iov = { bytes, sizeof bytes };
	const struct net_frame frame = { .iov = &iov,
					 .iov_count = 1,
					 .size = sizeof bytes };

	memcpy(bytes + 6, n->rndis.mac, 6);
	memcpy(bytes + 12, begin, sizeof begin);
	memcpy(bytes + 22, n->rndis.mac, 6);
	memcpy(bytes + 32, n->rndis.mac, 6);
	if (nic_link_is_up(n))
		(void)net_port_send(n->port, &frame, 1);
}

void netvsp_resume(struct netvsp *n, bool moved)
{
	n->paused = false;
	if (moved) {
		n->announces = ANNOUNCES;
		n->announce_at = now(n);
	}
	nic_show_link(n);
	netvsp_due(n);
}

void netvsp_due(struct netvsp *n)
{
	u64 time = now(n);

	if (n->tell_at <= time)
		tell_all(n);
	if (n->stall_end <= time) {
		u64 dropped = 0;

		nic_receive_drain(n, &dropped);
		n->drops.no_buffer += dropped;
		n->counts.no_buffer += dropped;
		n->stall_end = time + NETVSP_STALL_NS;
	}
	if (n->announces > 0 && n->announce_at <= time) {
		announce(n);
		n->announces--;
		n->announce_at = time + ANNOUNCE_NS;
	}
	nic_show_link(n);
}

static const struct vmbus_device_ops ops = {
	.name = "network",
	.open = on_open,
	.ready = on_ready,
	.close = on_close,
	.gone = on_gone,
};
