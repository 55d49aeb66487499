/* SPDX-License-Identifier: Apache-2.0 */
/* libslirp's sockets in the loop; see sockets.h. */
#include "programs/nat/sockets.h"

#include <errno.h>
#include <slirp/libslirp.h>
#include <sys/epoll.h>

#include "base/clock.h"

/* What libslirp says where it needs no timer: it names a second at most, whatever it is asked for. */
#define NO_TIMEOUT_MS 1000
#define EVENTS 64
#define SPARE_SOCKETS 64
#define SCARCE_NS (5 * NS_PER_MS)
#define NS_PER_MS 1000000ull

static const struct {
	int slirp;
	u32 epoll;
} bits[] = {
	{ SLIRP_POLL_IN, EPOLLIN },   { SLIRP_POLL_OUT, EPOLLOUT },
	{ SLIRP_POLL_PRI, EPOLLPRI }, { SLIRP_POLL_ERR, EPOLLERR },
	{ SLIRP_POLL_HUP, EPOLLHUP },
};

/* ---- what is ready --------------------------------------------------------------------------- */

static void on_ready(void *owner, unsigned events)
{
	struct nat_sockets *s = owner;
	struct epoll_event ready[EVENTS];
	struct timespec now = { 0 };
	int n = epoll_pwait2(s->epoll, ready, EVENTS, &now, NULL);

	for (int k = 0; k < n; k++)
		s->socket[ready[k].data.u32].ready |= ready[k].events;
	nat_sockets_settle_soon(s);
}

int nat_sockets_ready(int fd, void *sockets)
{
	struct nat_sockets *s = sockets;
	int events = 0;

	if (fd < 0)
		return 0;
	for (size_t k = 0; k < ARRAY_COUNT(bits); k++)
		if (s->socket[fd].ready & bits[k].epoll)
			events |= bits[k].slirp;
	return events;
}

void nat_sockets_told(struct nat_sockets *s)
{
	for (u32 k = 0; k < s->count; k++)
		s->socket[s->in[k]].ready = 0;
}

/* ---- what is waited for ---------------------------------------------------------------------- */

static void take_in(struct nat_sockets *s, int fd, u32 wanted)
{
	struct nat_socket *socket = &s->socket[fd];
	struct epoll_event event = { .events = wanted, .data.u32 = (u32)fd };
	int how = socket->wanted ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	/* It was closed and its number given to another one: we were not told. */
	if (epoll_ctl(s->epoll, how, fd, &event) < 0 && how == EPOLL_CTL_MOD)
		(void)epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event);
	if (!socket->wanted)
		s->in[s->count++] = (u16)fd;
	socket->wanted = wanted;
	socket->ready &= wanted | EPOLLERR | EPOLLHUP;
}

int nat_sockets_want(int fd, int events, void *sockets)
{
	struct nat_sockets *s = sockets;
	u32 wanted = EPOLLERR;

	if (fd < 0 || fd >= NAT_MAX_SOCKETS)
		return -1;
	for (size_t k = 0; k < ARRAY_COUNT(bits); k++)
		if (events & bits[k].slirp)
			wanted |= bits[k].epoll;
	if (s->deaf)
		wanted &= ~(u32)(EPOLLIN | EPOLLPRI);
	/* Nothing is left but what can't be masked, and would wake us for ever. */
	if (!(wanted & (EPOLLIN | EPOLLOUT)))
		return -1;
	if (wanted != s->socket[fd].wanted)
		take_in(s, fd, wanted);
	s->socket[fd].round = s->round;
	return fd;
}

static void take_out(struct nat_sockets *s, u32 k)
{
	int fd = s->in[k];

	(void)epoll_ctl(s->epoll, EPOLL_CTL_DEL, fd, NULL);
	s->socket[fd] = (struct nat_socket){ 0 };
	s->in[k] = s->in[--s->count];
}

void nat_sockets_forget(struct nat_sockets *s, int fd)
{
	if (fd < 0 || fd >= NAT_MAX_SOCKETS || !s->socket[fd].wanted)
		return;
	for (u32 k = 0; k < s->count; k++) {
		if (s->in[k] == fd) {
			take_out(s, k);
			return;
		}
	}
}

/* ---- rounds ---------------------------------------------------------------------------------- */

/*
 * Where all descriptors are taken, a connection to a forwarded port waits, can't be accepted, and wakes us
 * again and again: then a little later each time.
 */
void nat_sockets_settle_soon(struct nat_sockets *s)
{
	bool scarce = s->count > NAT_MAX_SOCKETS - SPARE_SOCKETS;

	if (s->settle.when == UINT64_MAX)
		loop_alarm_set(&s->settle,
			       scarce ? host_clock.monotonic_ns(&host_clock) + SCARCE_NS
				      : 0);
}

static void on_timeout(void *owner)
{
	nat_sockets_settle_soon(owner);
}

void nat_sockets_begin(struct nat_sockets *s, bool deaf)
{
	s->round++;
	s->deaf = deaf;
}

void nat_sockets_end(struct nat_sockets *s, u32 timeout_ms)
{
	for (u32 k = 0; k < s->count;) {
		if (s->socket[s->in[k]].round == s->round)
			k++;
		else
			take_out(s, k);
	}
	loop_alarm_set(&s->timeout, timeout_ms >= NO_TIMEOUT_MS
					    ? UINT64_MAX
					    : host_clock.monotonic_ns(&host_clock) +
						      timeout_ms * NS_PER_MS);
}

int nat_sockets_init(struct nat_sockets *s, struct loop *loop,
		     void (*settle)(void *owner), void *owner, struct err *err)
{
	int r;

	memset(s, 0, sizeof *s);
	s->loop = loop;
	loop_alarm_init(loop, &s->settle, settle, owner);
	loop_alarm_init(loop, &s->timeout, on_timeout, s);
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	r = s->epoll < 0
		    ? -errno
		    : loop_watch_add(loop, s->epoll, LOOP_READ, on_ready, s, &s->watch);
	return r < 0 ? err_set(err, r, "sockets cannot be watched: %s", err_words(r)) : 0;
}
