/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop of a process: descriptors and alarms, one thread. It sleeps in epoll_pwait until
 * something happens; an idle loop costs nothing.
 *
 *	1. loop_new
 *	2. loop_watch, loop_alarm_init, loop_alarm_set: on the loop's thread or before it runs
 *	3. loop_run until loop_stop (any thread, async-signal-safe)
 *	4. loop_free
 *
 * Callbacks run on the loop's thread, no lock held. A callback may unwatch anything, itself too.
 */
#pragma once

#include "base/types.h"

struct loop;
struct loop_watch;

enum { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_HANGUP = 4 };

typedef void (*loop_fd_fn)(void *owner, unsigned events);
typedef void (*loop_alarm_fn)(void *owner);

int loop_new(struct loop **ret_loop) MUST_CHECK;
void loop_free(struct loop *loop);

/* Watch fd (stays the caller's) for events; hang-up is always reported. */
int loop_watch_add(struct loop *loop, int fd, unsigned events, loop_fd_fn fn, void *owner,
		   struct loop_watch **ret_watch) MUST_CHECK;
void loop_watch_change(struct loop_watch *watch, unsigned events);
void loop_watch_remove(struct loop_watch *watch); /* NULL is fine */

/* An alarm, embedded in its owner. */
struct loop_alarm {
	struct loop *loop;
	struct loop_alarm *next; /* list sorted by when */
	u64 when;		 /* ns, CLOCK_MONOTONIC; UINT64_MAX = not set */
	loop_alarm_fn fn;
	void *owner;
};
void loop_alarm_init(struct loop *loop, struct loop_alarm *alarm, loop_alarm_fn fn,
		     void *owner);
/* Any time, also from another alarm; UINT64_MAX takes it away. Loop's thread only. */
void loop_alarm_set(struct loop_alarm *alarm, u64 when_ns);

/* 0 after loop_stop, or negative errno of epoll. May run again afterwards. */
int loop_run(struct loop *loop) MUST_CHECK;
void loop_stop(struct loop *loop);
