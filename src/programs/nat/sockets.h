/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libslirp's sockets and its clock in our event loop. libslirp wants to be asked before each sleep which
 * sockets it waits for, and to be told after it which are ready, all of them, as poll(2) would have it. Here
 * the answers are kept, and only what changed goes to an epoll instance of their own, which the loop
 * watches: a descriptor that nobody waits for costs nothing, and a connection whose other half is
 * closed wakes nobody.
 *
 * A round of the program:
 *
 *	something happens --> nat_sockets_settle_soon --> at the loop's end of events:
 *		settle(): for each adapter slirp_pollfds_poll, with nat_sockets_ready
 *			  nat_sockets_begin, for each adapter slirp_pollfds_fill, with nat_sockets_want
 *			  nat_sockets_end(how long libslirp may be left alone)
 *
 * Thread: the loop's.
 */
#pragma once

#include "base/err.h"
#include "base/loop.h"

/* The limit of descriptors of the process (jail.c). */
#define NAT_MAX_SOCKETS 1024

struct nat_socket {
	u32 wanted; /* of epoll, what it was told; 0: not in it */
	u32 ready;  /* of epoll, since the last settling */
	u32 round;  /* when it was last wanted */
};

struct nat_sockets {
	struct loop *loop;
	struct loop_watch *watch;
	struct loop_alarm settle, timeout;
	int epoll;
	u32 round;
	bool deaf; /* nothing may be read now: frames wait for the guest */
	u32 count; /* in epoll */
	struct nat_socket socket[NAT_MAX_SOCKETS]; /* by descriptor */
	u16 in[NAT_MAX_SOCKETS];		   /* the descriptors in epoll */
};

int nat_sockets_init(struct nat_sockets *sockets, struct loop *loop,
		     void (*settle)(void *owner), void *owner, struct err *err)
	MUST_CHECK;

void nat_sockets_settle_soon(struct nat_sockets *sockets);

void nat_sockets_begin(struct nat_sockets *sockets, bool deaf);
void nat_sockets_end(struct nat_sockets *sockets, u32 timeout_ms);
/* SlirpAddPollCb, SlirpGetREventsCb; opaque: the sockets. */
int nat_sockets_want(int fd, int events, void *sockets);
int nat_sockets_ready(int fd, void *sockets);
/* All that was ready has been told. */
void nat_sockets_told(struct nat_sockets *sockets);
/* About to be closed. */
void nat_sockets_forget(struct nat_sockets *sockets, int fd);
