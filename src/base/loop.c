/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop; see loop.h. Alarms are a sorted list: a process has a handful. A watch that is
 * removed while events are handed out stays on a list of dead ones until the round is over, since
 * a later event of the same round may still point to it.
 */
#include "base/loop.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <time.h>

#include "base/clock.h"
#include "base/ipc.h"

#define ROUND_EVENTS 32

struct loop_watch {
	struct loop *loop;
	int fd;
	bool dead;
	loop_fd_fn fn;
	void *owner;
	struct loop_watch *next_dead;
};

struct loop {
	int epoll;
	int wake; /* eventfd: loop_stop from elsewhere */
	atomic_bool stop;
	struct loop_alarm *alarms; /* earliest first */
	struct loop_watch *dead;
};

static u32 epoll_bits(unsigned events)
{
	return (events & LOOP_READ ? EPOLLIN : 0u) |
	       (events & LOOP_WRITE ? EPOLLOUT : 0u) | EPOLLRDHUP;
}

int loop_new(struct loop **ret_loop)
{
	struct loop *loop = calloc(1, sizeof *loop);
	struct epoll_event event = { .events = EPOLLIN };
	int r;

	if (!loop)
		return -ENOMEM;
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	loop->wake = ipc_event_new();
	if (loop->epoll < 0 || loop->wake < 0 ||
	    epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->wake, &event) < 0) {
		r = loop->wake < 0 ? loop->wake : -errno;
		loop_free(loop);
		return r;
	}
	*ret_loop = loop;
	return 0;
}

static void free_dead(struct loop *loop)
{
	while (loop->dead) {
		struct loop_watch *w = loop->dead;
		loop->dead = w->next_dead;
		free(w);
	}
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	free_dead(loop);
	if (loop->epoll >= 0)
		close(loop->epoll);
	if (loop->wake >= 0)
		close(loop->wake);
	free(loop);
}

int loop_watch_add(struct loop *loop, int fd, unsigned events, loop_fd_fn fn, void *owner,
		   struct loop_watch **ret_watch)
{
	struct loop_watch *w = calloc(1, sizeof *w);
	struct epoll_event event = { .events = epoll_bits(events), .data.ptr = w };

	if (!w)
		return -ENOMEM;
	*w = (struct loop_watch){ .loop = loop, .fd = fd, .fn = fn, .owner = owner };
	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		int r = -errno;
		free(w);
		return r;
	}
	*ret_watch = w;
	return 0;
}

void loop_watch_change(struct loop_watch *watch, unsigned events)
{
	struct epoll_event event = { .events = epoll_bits(events), .data.ptr = watch };

	(void)epoll_ctl(watch->loop->epoll, EPOLL_CTL_MOD, watch->fd, &event);
}

void loop_watch_remove(struct loop_watch *watch)
{
	if (!watch || watch->dead)
		return;
	(void)epoll_ctl(watch->loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->dead = true;
	watch->next_dead = watch->loop->dead;
	watch->loop->dead = watch;
}

void loop_alarm_init(struct loop *loop, struct loop_alarm *alarm, loop_alarm_fn fn,
		     void *owner)
{
	*alarm = (struct loop_alarm){
		.loop = loop, .when = UINT64_MAX, .fn = fn, .owner = owner
	};
}

void loop_alarm_set(struct loop_alarm *alarm, u64 when_ns)
{
	struct loop_alarm **p = &alarm->loop->alarms;

	for (; alarm->when != UINT64_MAX && *p; p = &(*p)->next) {
		if (*p == alarm) {
			*p = alarm->next;
			break;
		}
	}
	alarm->when = when_ns;
	if (when_ns == UINT64_MAX)
		return;
	for (p = &alarm->loop->alarms; *p && (*p)->when <= when_ns; p = &(*p)->next)
		;
	alarm->next = *p;
	*p = alarm;
}

/* Run the alarms that are due; what they set for now or earlier waits for the next round. */
static void run_alarms(struct loop *loop)
{
	u64 now = host_clock.monotonic_ns(&host_clock);
	unsigned bound = 1024;

	while (loop->alarms && loop->alarms->when <= now && bound-- > 0) {
		struct loop_alarm *a = loop->alarms;
		loop->alarms = a->next;
		a->when = UINT64_MAX;
		a->fn(a->owner);
	}
}

static int wait_events(struct loop *loop, struct epoll_event *events)
{
	struct timespec left = { 0 }, *timeout = NULL;

	if (loop->alarms) {
		u64 now = host_clock.monotonic_ns(&host_clock), when = loop->alarms->when;
		u64 ns = when > now ? when - now : 0;

		left.tv_sec = (time_t)(ns / NS_PER_SEC);
		left.tv_nsec = (long)(ns % NS_PER_SEC);
		timeout = &left;
	}
	return epoll_pwait2(loop->epoll, events, ROUND_EVENTS, timeout, NULL);
}

int loop_run(struct loop *loop)
{
	struct epoll_event events[ROUND_EVENTS];

	/* A stop ends one run, also when it was asked for before the run began. */
	while (!atomic_exchange(&loop->stop, false)) {
		int n = wait_events(loop, events);

		if (n < 0 && errno != EINTR)
			return -errno;
		for (int k = 0; k < n; k++) {
			struct loop_watch *w = events[k].data.ptr;
			u32 e = events[k].events;

			if (!w) { /* the stop event: the loop's condition sees the flag */
				(void)ipc_event_clear(loop->wake);
				continue;
			}
			if (w->dead)
				continue;
			w->fn(w->owner, (e & EPOLLIN ? LOOP_READ : 0) |
						(e & EPOLLOUT ? LOOP_WRITE : 0) |
						(e & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)
							 ? LOOP_HANGUP
							 : 0));
		}
		free_dead(loop);
		run_alarms(loop);
	}
	return 0;
}

void loop_stop(struct loop *loop)
{
	atomic_store(&loop->stop, true);
	ipc_event_ring(loop->wake);
}
