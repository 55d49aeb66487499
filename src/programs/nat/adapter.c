/* SPDX-License-Identifier: Apache-2.0 */
/* Between a port and libslirp; see adapter.h. */
#include "programs/nat/adapter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <slirp/libslirp.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/finish.h"
#include "net/port.h"

/* One thread: frames as they come, and a frame that is made of another one. */
static u8 arrived[NET_BATCH][NET_MAX_FRAME + 1];
static u8 made[NET_MAX_FRAME + 1];

/* ---- what the guest sends -------------------------------------------------------------------- */

static void give(void *owner, u8 *frame, u32 size)
{
	struct nat_adapter *a = owner;

	a->to_slirp++;
	slirp_input(a->slirp, frame, (int)size);
}

static bool may_fragment(struct nat_adapter *a)
{
	u64 now = host_clock.monotonic_ns(&host_clock);
	u64 more = (now - a->fragments_ns) / (NS_PER_SEC / NAT_FRAGMENTS_SECOND);

	if (more > 0) {
		a->fragments = (u32)min_u64(NAT_FRAGMENTS, a->fragments + more);
		a->fragments_ns = now;
	}
	if (a->fragments == 0)
		return false;
	a->fragments--;
	return true;
}

/* Segments that the sender left to be made. libslirp takes them as one, if they are not too large for it. */
static bool input_segments(struct nat_adapter *a, u8 *frame, struct net_headers *h)
{
	u32 most = NET_SLIRP_MTU - (h->payload - h->l3);

	if (!h->payload || h->proto != IP_PROTO_TCP)
		return false;
	if (h->end - h->l3 > NET_SLIRP_MTU) {
		net_segment(frame, h, most, made, give, a);
		return true;
	}
	net_write_ip_sum(frame, h);
	net_write_tcp_sum(frame, h);
	give(a, frame, h->end);
	return true;
}

/* False: it is not what anybody should send. */
static bool input_ip(struct nat_adapter *a, u8 *frame, u32 size,
		     const struct virtio_net_hdr *todo)
{
	struct net_headers h;
	u8 gso = todo->gso_type & (u8)~VIRTIO_NET_HDR_GSO_ECN;

	if (!net_find_headers(frame, size, &h))
		return false;
	if (gso == VIRTIO_NET_HDR_GSO_NONE &&
	    (!net_finish_sum(frame, h.end, todo) || !net_find_headers(frame, size, &h)))
		return false;
	if (h.fragment && !may_fragment(a))
		return false;
	if (!net_connections_out(&a->connections, frame, &h))
		return false;
	if (gso == (h.version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6))
		return input_segments(a, frame, &h);
	if (gso != VIRTIO_NET_HDR_GSO_NONE)
		return false;
	give(a, frame, h.end);
	return true;
}

static void input(struct nat_adapter *a, u8 *frame, const struct net_frame *f)
{
	switch (net_ether_type(frame, f->size)) {
	case ETH_TYPE_ARP:
		give(a, frame, f->size);
		return;
	case ETH_TYPE_IP4:
	case ETH_TYPE_IP6:
		if (!input_ip(a, frame, f->size, &f->todo))
			a->malformed++;
		return;
	default:
		return; /* of no protocol that we speak */
	}
}

static void on_readable(void *owner)
{
	struct nat_adapter *a = owner;
	struct net_frame frames[NET_BATCH];
	struct iovec iov[NET_BATCH];
	unsigned count;

	for (unsigned k = 0; k < NET_BATCH; k++) {
		iov[k] = (struct iovec){ arrived[k], NET_MAX_FRAME };
		frames[k] = (struct net_frame){ .iov = &iov[k], .iov_count = 1 };
	}
	/* One batch a time: others have their turn. What is left wakes us again. */
	count = net_port_receive(a->port, frames, NET_BATCH);
	for (unsigned k = 0; k < count; k++)
		input(a, arrived[k], &frames[k]);
	nat_sockets_settle_soon(a->sockets);
}

/* ---- what the guest gets --------------------------------------------------------------------- */

static void put(struct nat_adapter *a, const struct virtio_net_hdr *todo, const u8 *frame,
		u32 size)
{
	a->to_guest++;
	if (!net_queue_push(&a->queue, todo, frame, size))
		a->dropped++;
}

static void put_piece(void *owner, u8 *frame, u32 size)
{
	static const struct virtio_net_hdr todo;

	put(owner, &todo, frame, size);
}

static void put_large(struct nat_adapter *a, u8 *frame, const struct net_headers *h,
		      u32 segment)
{
	const struct virtio_net_hdr todo = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = h->version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4
					    : VIRTIO_NET_HDR_GSO_TCPV6,
		.hdr_len = (u16)h->payload,
		.gso_size = (u16)segment,
		.csum_start = (u16)h->l4,
		.csum_offset = 16,
	};

	net_write_tcp_partial(frame, h);
	put(a, &todo, frame, h->end);
}

static void output_ip(struct nat_adapter *a, u8 *frame, const struct net_headers *h)
{
	static const struct virtio_net_hdr right = {
		.flags = VIRTIO_NET_HDR_F_DATA_VALID
	};
	u32 segment = net_connections_in(&a->connections, frame, h);

	if (h->proto == IP_PROTO_TCP && h->payload && h->end - h->payload > segment)
		put_large(a, frame, h, segment);
	else if (h->end - h->l3 <= a->config.mtu)
		put(a, h->payload ? &right : &(struct virtio_net_hdr){ 0 }, frame,
		    h->end);
	else if (h->version == 4)
		net_fragment(frame, h, a->config.mtu, made, put_piece, a);
	else
		a->dropped++; /* IPv6's fragments are the sender's to make */
}

static ssize_t on_output(const void *bytes, size_t size, void *owner)
{
	static u8 frame[NET_MAX_FRAME];
	struct nat_adapter *a = owner;
	struct net_headers h;

	if (size > sizeof frame) {
		a->dropped++;
		return (ssize_t)size;
	}
	memcpy(frame, bytes, size);
	if (net_find_headers(frame, (u32)size, &h))
		output_ip(a, frame, &h);
	else
		put_piece(a, frame, (u32)size); /* ARP */
	nat_sockets_settle_soon(a->sockets);
	return (ssize_t)size;
}

static void on_writable(void *owner)
{
	struct nat_adapter *a = owner;

	(void)net_queue_flush(&a->queue, a->port);
	nat_sockets_settle_soon(a->sockets);
}

/* The worker is gone, and with it soon our owner. */
static void on_link(void *owner, bool up) {}

bool nat_adapter_is_full(const struct nat_adapter *a)
{
	return a->queue.frames > 0 && a->queue.used > NAT_QUEUE / 2;
}

void nat_adapter_poll(struct nat_adapter *a)
{
	slirp_pollfds_poll(a->slirp, 0, nat_sockets_ready, a->sockets);
	(void)net_queue_flush(&a->queue, a->port);
}

void nat_adapter_fill(struct nat_adapter *a, u32 *timeout_ms)
{
	slirp_pollfds_fill(a->slirp, timeout_ms, nat_sockets_want, a->sockets);
}

/* ---- what else libslirp asks for ------------------------------------------------------------- */

static void on_guest_error(const char *text, void *owner)
{
	log_guest("%s", text);
}

static int64_t on_clock(void *owner)
{
	return (int64_t)host_clock.monotonic_ns(&host_clock);
}

/* Router advertisements: the only timer that libslirp makes. */
struct timer {
	struct loop_alarm alarm;
	SlirpTimerCb fn;
	void *fn_owner;
	struct nat_adapter *adapter;
};

static void on_alarm(void *owner)
{
	struct timer *t = owner;

	t->fn(t->fn_owner);
	nat_sockets_settle_soon(t->adapter->sockets);
}

static void *on_timer_new(SlirpTimerCb fn, void *fn_owner, void *owner)
{
	struct nat_adapter *a = owner;
	struct timer *t = calloc(1, sizeof *t);

	if (!t)
		abort(); /* libslirp knows no answer to that */
	*t = (struct timer){ .fn = fn, .fn_owner = fn_owner, .adapter = a };
	loop_alarm_init(a->sockets->loop, &t->alarm, on_alarm, t);
	return t;
}

static void on_timer_free(void *timer, void *owner)
{
	struct timer *t = timer;

	loop_alarm_set(&t->alarm, UINT64_MAX);
	free(t);
}

static void on_timer_set(void *timer, int64_t ms, void *owner)
{
	struct timer *t = timer;

	loop_alarm_set(&t->alarm, (u64)ms * (NS_PER_SEC / 1000));
}

static void on_socket_new(int fd, void *owner) {}

static void on_socket_gone(int fd, void *owner)
{
	struct nat_adapter *a = owner;

	nat_sockets_forget(a->sockets, fd);
}

/* A guest has read: there is room for more. */
static void on_notify(void *owner)
{
	struct nat_adapter *a = owner;

	nat_sockets_settle_soon(a->sockets);
}

static const SlirpCb callbacks = {
	.send_packet = on_output,
	.guest_error = on_guest_error,
	.clock_get_ns = on_clock,
	.timer_new = on_timer_new,
	.timer_free = on_timer_free,
	.timer_mod = on_timer_set,
	.register_poll_fd = on_socket_new,
	.unregister_poll_fd = on_socket_gone,
	.notify = on_notify,
};

/* ---- start ----------------------------------------------------------------------------------- */

static struct in_addr address(u32 net, u32 last)
{
	return (struct in_addr){ htonl(0x0a000200 + (net << 8) + last) };
}

static struct in6_addr address6(u32 net, u32 last)
{
	struct in6_addr a = { .s6_addr = { 0xfd, 0x00, 0x74, 0x61, 0x62, 0x69 } };

	a.s6_addr[7] = (u8)(2 + net);
	a.s6_addr[15] = (u8)last;
	return a;
}

static int forward(struct nat_adapter *a, const struct nat_forward *f, struct err *err)
{
	struct in_addr host = { f->host }, guest = { f->guest };
	char text[INET_ADDRSTRLEN];
	int r;

	if (slirp_add_hostfwd(a->slirp, f->udp != 0, host, f->host_port, guest,
			      f->guest_port) == 0)
		return 0;
	r = errno ? -errno : -EIO;
	inet_ntop(AF_INET, &host, text, sizeof text);
	err_set(err, r, "port %u of %s on this host cannot be forwarded: %s",
		f->host_port, text, err_words(r));
	if (r == -EACCES)
		return err_fix(err, "take a port from 1024 on, or run as root");
	return err_fix(err, r == -EADDRINUSE ? "take another port, or end who has it: ss "
					       "-ltnup"
					     : "check the address: ip address");
}

int nat_adapter_new(const struct nat_adapter_config *config, u32 resolver,
		    struct nat_sockets *sockets, struct nat_adapter **ret_adapter,
		    struct err *err)
{
	struct nat_adapter *a = calloc(1, sizeof *a);
	u32 net = config->net;
	const SlirpConfig slirp = {
		.version = 3,
		.in_enabled = true,
		.vnetwork = address(net, 0),
		.vnetmask = { htonl(0xffffff00) },
		.vhost = address(net, 2),
		.vnameserver = address(net, 3),
		.vdhcp_start = address(net, 15),
		.in6_enabled = true,
		.vprefix_addr6 = address6(net, 0),
		.vprefix_len = 64,
		.vhost6 = address6(net, 2),
		.vnameserver6 = address6(net, 3),
		.if_mtu = NET_SLIRP_MTU,
		.if_mru = NET_SLIRP_MTU,
		.disable_dns = true, /* connections.h */
	};
	int r = a ? net_queue_init(&a->queue, NAT_QUEUE) : -ENOMEM;

	if (r < 0)
		return err_set(err, r, "%s", err_words(r));
	a->config = *config;
	a->sockets = sockets;
	a->connections.resolver = resolver;
	a->connections.alias = address(net, 3).s_addr;
	a->fragments = NAT_FRAGMENTS;
	a->slirp = slirp_new(&slirp, &callbacks, a);
	if (!a->slirp)
		return err_set(err, -EINVAL, "libslirp refused its configuration");
	for (u32 k = 0; k < config->forward_count && r == 0; k++)
		r = forward(a, &config->forward[k], err);
	*ret_adapter = a;
	return r;
}

int nat_adapter_plug(struct nat_adapter *a, int fd, struct err *err)
{
	const struct net_port_config config = {
		.kind = NET_PORT_SOCKET,
		.fd = fd,
		.loop = a->sockets->loop,
		.readable = on_readable,
		.writable = on_writable,
		.link = on_link,
		.owner = a,
	};
	int r = net_port_new(&config, &a->port, err);

	if (r == 0)
		net_port_listen(a->port, true);
	return r;
}
