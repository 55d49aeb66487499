/* SPDX-License-Identifier: Apache-2.0 */
/* The ports of a switch; see ports.h. */
#include "programs/switch/ports.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/port.h"

/* One thread: frames as they come. */
static u8 arrived[NET_BATCH][NET_MAX_FRAME];

/* ---- frames ---------------------------------------------------------------------------------- */

/* io_touched: ports that have something to send now. */
static void pass_on(struct switch_ports *all, unsigned from, const struct net_frame *f,
		    const u8 *bytes, u64 now_ns, u64 *io_touched)
{
	u64 to = net_switch_forward(&all->sw, from, bytes, f->size, now_ns);

	all->frames++;
	if (to && all->capture)
		net_pcap_add(all->capture, &f->todo, bytes, f->size);
	*io_touched |= to;
	while (to) {
		unsigned k = (unsigned)__builtin_ctzll(to);

		to &= to - 1;
		if (!net_queue_push(&all->port[k].queue, &f->todo, bytes, f->size))
			all->dropped++;
	}
}

static void on_readable(void *owner)
{
	struct switch_port *p = owner;
	struct switch_ports *all = p->all;
	struct net_frame frames[NET_BATCH];
	struct iovec iov[NET_BATCH];
	u64 now = host_clock.monotonic_ns(&host_clock), touched = 0;
	unsigned count;

	for (unsigned k = 0; k < NET_BATCH; k++) {
		iov[k] = (struct iovec){ arrived[k], NET_MAX_FRAME };
		frames[k] = (struct net_frame){ .iov = &iov[k], .iov_count = 1 };
	}
	/* One batch a time: other ports have their turn. What is left wakes us again. */
	count = net_port_receive(p->port, frames, NET_BATCH);
	for (unsigned k = 0; k < count; k++)
		if (frames[k].size > 0)
			pass_on(all, (unsigned)(p - all->port), &frames[k], arrived[k],
				now, &touched);
	for (unsigned k = 0; touched; touched >>= 1, k++)
		if (touched & 1)
			(void)net_queue_flush(&all->port[k].queue, all->port[k].port);
	if (all->capture)
		net_pcap_flush(all->capture);
}

static void on_writable(void *owner)
{
	struct switch_port *p = owner;

	(void)net_queue_flush(&p->queue, p->port);
}

/* ---- who comes and goes ---------------------------------------------------------------------- */

static void on_gone(void *owner)
{
	struct switch_port *p = owner;
	unsigned number = (unsigned)(p - p->all->port);

	net_port_free(take_ptr(p->port));
	net_queue_done(&p->queue);
	net_switch_disconnect(&p->all->sw, number);
	log_info("port %u: disconnected", number);
}

static void on_link(void *owner, bool up)
{
	struct switch_port *p = owner;

	if (!up)
		loop_alarm_set(&p->gone, 0);
}

static int connect_port(struct switch_ports *all, unsigned number, int fd,
			struct err *err)
{
	struct switch_port *p = &all->port[number];
	const struct net_port_config config = {
		.kind = NET_PORT_SOCKET,
		.fd = fd,
		.loop = all->loop,
		.readable = on_readable,
		.writable = on_writable,
		.link = on_link,
		.owner = p,
	};
	int room = SWITCH_QUEUE, r = net_queue_init(&p->queue, SWITCH_QUEUE);

	if (r < 0) {
		close(fd);
		return err_set(err, r, "%s", err_words(r));
	}
	/* The kernel counts what waits in a socket to its sender, and allows few frames. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	p->all = all;
	loop_alarm_init(all->loop, &p->gone, on_gone, p);
	r = net_port_new(&config, &p->port, err);
	if (r < 0)
		net_queue_done(&p->queue);
	else
		net_port_listen(p->port, true);
	return r;
}

static void take_connection(struct switch_ports *all, int fd)
{
	int number = net_switch_connect(&all->sw);
	struct err err = { 0 };

	if (number < 0) {
		log_warn("all %d ports are taken: a connection is refused", SWITCH_PORTS);
		close(fd);
	} else if (connect_port(all, (unsigned)number, fd, &err) < 0) {
		log_warn("port %d: %s", number, err.text);
		net_switch_disconnect(&all->sw, (unsigned)number);
	} else {
		log_info("port %d: connected", number);
	}
}

/* All that wait: who has connected gets the frames that others send from then on. */
static void on_connection(void *owner, unsigned events)
{
	struct switch_ports *all = owner;

	for (unsigned k = 0; k < SWITCH_PORTS; k++) {
		int fd = accept4(all->listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			return;
		take_connection(all, fd);
	}
}

int switch_ports_init(struct switch_ports *all, struct loop *loop, int listener,
		      struct net_pcap *capture, bool isolated, bool spoofing,
		      struct err *err)
{
	int r;

	memset(all, 0, sizeof *all);
	all->loop = loop;
	all->listener = listener;
	all->capture = capture;
	net_switch_init(&all->sw, isolated, spoofing);
	r = loop_watch_add(loop, listener, LOOP_READ, on_connection, all, &all->watch);
	return r < 0 ? err_set(err, r, "socket: %s", err_words(r)) : 0;
}
