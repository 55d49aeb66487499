/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports of network adapters; see port.h. A tap takes one frame a system call, a socket a batch. Both
 * wait in the loop, level-triggered: what was not received is there at the next turn.
 */
#include "net/port.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/loop.h"

#define MAX_IOV 64
/* The header in front; behind it a byte that shows when a frame had no room. */
#define EXTRA_IOV 2

struct net_port {
	struct net_port_config config;
	struct loop_watch *watch;
	unsigned events; /* that the loop watches for */
	bool listens;	 /* the owner wants frames */
	bool waits;	 /* and to know when there is room */
	bool down;
	struct {
		u64 frames_out, bytes_out, frames_in, bytes_in;
		u64 refused;  /* out: by the other side, for good */
		u64 too_long; /* in */
		u64 full;     /* out: times that there was no room */
	} counts;
	u8 spare; /* where the first byte of what is too long goes */
	/* of one batch */
	struct mmsghdr message[NET_BATCH];
	struct iovec iov[NET_BATCH][MAX_IOV + EXTRA_IOV];
};

/* ---- life ---- */

static void watch_as_wanted(struct net_port *p)
{
	unsigned events = (p->listens ? LOOP_READ : 0) | (p->waits ? LOOP_WRITE : 0);

	if (p->down || events == p->events)
		return;
	p->events = events;
	loop_watch_change(p->watch, events);
}

static void go_down(struct net_port *p)
{
	p->down = true;
	loop_watch_remove(p->watch);
	p->watch = NULL;
	p->config.link(p->config.owner, false);
}

static void on_events(void *owner, unsigned events)
{
	struct net_port *p = owner;
	u64 before = p->counts.frames_in;

	if (events & LOOP_WRITE && p->waits) {
		p->waits = false;
		watch_as_wanted(p);
		p->config.writable(p->config.owner);
	}
	if (events & LOOP_READ && p->listens)
		p->config.readable(p->config.owner);
	/* What it sent before it went is still there, and is taken first. */
	if (events & LOOP_HANGUP && p->counts.frames_in == before)
		go_down(p);
}

int net_port_new(const struct net_port_config *config, struct net_port **ret_port,
		 struct err *err)
{
	struct net_port *p = calloc(1, sizeof *p);
	int flags = fcntl(config->fd, F_GETFL), r = p ? 0 : -ENOMEM;

	if (r == 0 && (flags < 0 || fcntl(config->fd, F_SETFL, flags | O_NONBLOCK) < 0))
		r = -errno;
	if (r == 0) {
		p->config = *config;
		r = loop_watch_add(config->loop, config->fd, 0, on_events, p, &p->watch);
	}
	if (r < 0) {
		free(p);
		close(config->fd);
		return err_set(err, r, "port of a network adapter: %s", err_words(r));
	}
	*ret_port = p;
	return 0;
}

void net_port_free(struct net_port *p)
{
	if (!p)
		return;
	loop_watch_remove(p->watch);
	close(p->config.fd);
	free(p);
}

void net_port_listen(struct net_port *p, bool on)
{
	p->listens = on;
	watch_as_wanted(p);
}

bool net_port_is_up(const struct net_port *p)
{
	return !p->down;
}

/* ---- both ways ---- */

/* The system call's list of frame number k: header, frame, and for receiving the byte behind. */
static struct iovec *list_of(struct net_port *p, unsigned k, const struct net_frame *f,
			     bool receives, unsigned *ret_count)
{
	struct iovec *iov = p->iov[k];
	unsigned n = f->iov_count < MAX_IOV ? f->iov_count : MAX_IOV;

	/* Whether it is written to, the call decides. */
	iov[0] = (struct iovec){ (void *)(uintptr_t)&f->todo, sizeof f->todo };
	memcpy(iov + 1, f->iov, n * sizeof *iov);
	if (receives)
		iov[1 + n] = (struct iovec){ &p->spare, 1 };
	*ret_count = 1 + n + receives;
	return iov;
}

static void prepare(struct net_port *p, const struct net_frame *f, unsigned count,
		    bool receives)
{
	for (unsigned k = 0; k < count; k++) {
		unsigned n;
		struct iovec *iov = list_of(p, k, &f[k], receives, &n);

		p->message[k] = (struct mmsghdr){ .msg_hdr = { .msg_iov = iov,
							       .msg_iovlen = n } };
	}
}

/* ---- out ---- */

static void sent(struct net_port *p, const struct net_frame *f)
{
	p->counts.frames_out++;
	p->counts.bytes_out += f->size;
}

/*
 * A call took none of the frames from number k on: is the first of them gone for good? Otherwise
 * there is no room. That the other side is gone, the loop hears as well: until then frames vanish.
 */
static bool is_refused(struct net_port *p, int error)
{
	if (error == EAGAIN || error == EINTR) {
		p->counts.full++;
		p->waits = true;
		watch_as_wanted(p);
		return false;
	}
	p->counts.refused++;
	return true;
}

static unsigned send_to_tap(struct net_port *p, const struct net_frame *f, unsigned count)
{
	for (unsigned k = 0; k < count; k++) {
		unsigned n;
		const struct iovec *iov = list_of(p, 0, &f[k], false, &n);

		if (writev(p->config.fd, iov, (int)n) >= 0)
			sent(p, &f[k]);
		else if (!is_refused(p, errno))
			return k;
	}
	return count;
}

static unsigned send_to_socket(struct net_port *p, const struct net_frame *f,
			       unsigned count)
{
	unsigned k = 0;

	prepare(p, f, count, false);
	while (k < count) {
		int n = sendmmsg(p->config.fd, p->message + k, count - k, MSG_NOSIGNAL);

		if (n <= 0) {
			if (!is_refused(p, errno))
				return k;
			k++;
			continue;
		}
		for (; n > 0; n--)
			sent(p, &f[k++]);
	}
	return count;
}

unsigned net_port_send(struct net_port *p, const struct net_frame *frames, unsigned count)
{
	if (p->down) {
		p->counts.refused += count;
		return count;
	}
	return p->config.kind == NET_PORT_TAP ? send_to_tap(p, frames, count)
					      : send_to_socket(p, frames, count);
}

/* ---- in ---- */

static u64 room_of(const struct net_frame *f)
{
	u64 room = 0;

	for (unsigned k = 0; k < f->iov_count; k++)
		room += f->iov[k].iov_len;
	return room;
}

/* size bytes came for this frame, the header's among them: is it one? */
static bool received(struct net_port *p, struct net_frame *f, size_t size)
{
	f->size = 0;
	if (size <= sizeof f->todo)
		return false;
	size -= sizeof f->todo;
	if (size > room_of(f)) {
		p->counts.too_long++;
		return false;
	}
	f->size = (u32)size;
	p->counts.frames_in++;
	p->counts.bytes_in += size;
	return true;
}

static unsigned receive_from_tap(struct net_port *p, struct net_frame *f, unsigned count)
{
	unsigned k = 0;

	for (unsigned tries = 0; k < count && tries < NET_BATCH; tries++) {
		unsigned n;
		const struct iovec *iov = list_of(p, 0, &f[k], true, &n);
		/* As readv: the jail knows this one already. */
		ssize_t size = preadv2(p->config.fd, iov, (int)n, -1, 0);

		if (size < 0)
			break;
		k += received(p, &f[k], (size_t)size);
	}
	return k;
}

static unsigned receive_from_socket(struct net_port *p, struct net_frame *f,
				    unsigned count)
{
	int n;

	prepare(p, f, count, true);
	n = recvmmsg(p->config.fd, p->message, count, MSG_DONTWAIT, NULL);
	for (int k = 0; k < n; k++)
		received(p, &f[k], p->message[k].msg_len);
	return n < 0 ? 0 : (unsigned)n;
}

unsigned net_port_receive(struct net_port *p, struct net_frame *frames, unsigned count)
{
	if (p->down)
		return 0;
	return p->config.kind == NET_PORT_TAP ? receive_from_tap(p, frames, count)
					      : receive_from_socket(p, frames, count);
}

void net_port_inspect(const struct net_port *p, const char *branch, struct inspect *out)
{
	inspect_words(out, branch, "kind", "%s",
		      p->config.kind == NET_PORT_TAP ? "tap" : "socket");
	inspect_words(out, branch, "state", "%s", p->down ? "gone" : "up");
	inspect_number(out, branch, "frames_out", p->counts.frames_out);
	inspect_number(out, branch, "bytes_out", p->counts.bytes_out);
	inspect_number(out, branch, "frames_in", p->counts.frames_in);
	inspect_number(out, branch, "bytes_in", p->counts.bytes_in);
	inspect_number(out, branch, "dropped_refused", p->counts.refused);
	inspect_number(out, branch, "dropped_too_long", p->counts.too_long);
	inspect_number(out, branch, "full", p->counts.full);
}
