/* SPDX-License-Identifier: Apache-2.0 */
/* Where viewers connect; see run_screen.h. */
#include "programs/cli/run_screen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/ipc.h"
#include "base/log.h"
#include "programs/cli/words.h"
#include "wall/worker_config.h"

#define BACKLOG 16

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* ---- addresses ------------------------------------------------------------------------------- */

static bool is_path(const char *where)
{
	return strchr(where, '/') != NULL;
}

static int bad(const char *where, const char *why, struct err *err)
{
	err_set(err, -EINVAL, "--screen: '%.80s' %s", where, why);
	return err_fix(err, "give 127.0.0.1, 127.0.0.1:5901, [::1]:5901, or the path of "
			    "a "
			    "socket that is to be made: ./screen.sock");
}

/* What stands behind the last colon, outside of brackets. *ret_host is without brackets. */
static int split(const char *where, char *ret_host, size_t size, u16 *ret_port,
		 struct err *err)
{
	const char *end, *rest;
	u64 port = SCREEN_PORT;
	size_t length;

	if (where[0] == '[') {
		where++;
		end = strchr(where, ']');
		if (!end)
			return bad(where - 1, "has no closing bracket", err);
		rest = end + 1;
	} else {
		end = where + strcspn(where, ":");
		rest = end;
		/* Several colons: an IPv6 address alone. */
		if (*end && strchr(end + 1, ':'))
			rest = end = where + strlen(where);
	}
	length = (size_t)(end - where);
	if (*rest && (*rest != ':' || !parse_number(rest + 1, &port, &rest) || *rest ||
		      port > 65535))
		return bad(where, "has no port between 0 and 65535 at its end", err);
	if (length >= size)
		return bad(where, "is too long", err);
	memcpy(ret_host, where, length);
	ret_host[length] = '\0';
	*ret_port = (u16)port;
	return 0;
}

static int parse(const char *where, union address *ret_address, struct err *err)
{
	union address a = { 0 };
	char host[64];
	bool loopback;
	u16 port;
	int r = split(where, host, sizeof host, &port, err);

	if (r < 0)
		return r;
	if (host[0] == '\0' || strcmp(host, "localhost") == 0)
		snprintf(host, sizeof host, "127.0.0.1");
	if (inet_pton(AF_INET, host, &a.v4.sin_addr) == 1) {
		a.v4.sin_family = AF_INET;
		a.v4.sin_port = htons(port);
		loopback = ntohl(a.v4.sin_addr.s_addr) >> 24 == 127;
	} else if (inet_pton(AF_INET6, host, &a.v6.sin6_addr) == 1) {
		a.v6.sin6_family = AF_INET6;
		a.v6.sin6_port = htons(port);
		loopback = IN6_IS_ADDR_LOOPBACK(&a.v6.sin6_addr);
	} else {
		return bad(where, "is not an address", err);
	}
	if (!loopback) {
		err_set(err, -EINVAL,
			"--screen: '%.80s' would show the screen to the network, without "
			"a password or encryption",
			where);
		return err_fix(err, "listen on 127.0.0.1, and come from elsewhere by ssh "
				    "-L 5900:127.0.0.1:5900 HOST");
	}
	*ret_address = a;
	return 0;
}

int run_screen_check(const char *where, struct err *err)
{
	union address address;

	return is_path(where) ? 0 : parse(where, &address, err);
}

/* ---- listening ------------------------------------------------------------------------------- */

static int listen_on(const union address *a, int *ret_fd)
{
	socklen_t size = a->any.sa_family == AF_INET ? sizeof a->v4 : sizeof a->v6;
	AUTO_CLOSE int fd =
		socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)) < 0 ||
	    bind(fd, &a->any, size) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* The port may have been the system's choice. */
static void announce(int fd)
{
	union address a = { 0 };
	socklen_t size = sizeof a;
	char host[INET6_ADDRSTRLEN] = "";

	if (getsockname(fd, &a.any, &size) < 0)
		return;
	if (a.any.sa_family == AF_INET)
		fprintf(stderr, "tabique: the screen is at %s:%u\n",
			inet_ntop(AF_INET, &a.v4.sin_addr, host, sizeof host),
			ntohs(a.v4.sin_port));
	else
		fprintf(stderr, "tabique: the screen is at [%s]:%u\n",
			inet_ntop(AF_INET6, &a.v6.sin6_addr, host, sizeof host),
			ntohs(a.v6.sin6_port));
}

static int open_port(struct run_screen *s, const char *where, struct err *err)
{
	union address address;
	int r = parse(where, &address, err);

	if (r < 0)
		return r;
	r = listen_on(&address, &s->place.fd);
	if (r == -EADDRINUSE) {
		err_set(err, r, "--screen: somebody listens on '%s' already", where);
		return err_fix(err, "choose another port: --screen 127.0.0.1:5901, or :0 "
				    "for any that is free");
	}
	if (r < 0)
		return err_set(err, r, "--screen: cannot listen on '%s': %s", where,
			       err_words(r));
	announce(s->place.fd);
	return 0;
}

int run_screen_open(struct run_screen *s, const char *where, struct err *err)
{
	int r;

	*s = (struct run_screen){ .place = { .fd = -1 } };
	if (!is_path(where))
		return open_port(s, where, err);
	r = control_listen(where, CONTROL_OF_SCREEN, &s->place, err);
	if (r == 0)
		fprintf(stderr, "tabique: the screen is at %s\n", where);
	return r;
}

/* ---- connections ----------------------------------------------------------------------------- */

/* The worker has its own copy then; it drops whom it has no room for. */
static void on_connection(void *owner, unsigned events)
{
	const struct worker_guest_order order = { .kind = OWNER_GUEST,
						  .op = WORKER_GUEST_SCREEN };
	struct run_screen *s = owner;
	AUTO_CLOSE int fd = accept4(s->place.fd, NULL, NULL, SOCK_CLOEXEC);
	int r;

	if (fd < 0)
		return;
	/* A UNIX socket has no such option, and needs none. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	r = ipc_send(s->worker_socket, &order, sizeof order, &fd, 1);
	if (r < 0)
		log_warn("a viewer of the screen was turned away: %s", err_words(r));
}

int run_screen_start(struct run_screen *s, struct loop *loop, int worker_socket,
		     struct err *err)
{
	int r = loop_watch_add(loop, s->place.fd, LOOP_READ, on_connection, s, &s->watch);

	s->worker_socket = worker_socket;
	return r < 0 ? err_set(err, r, "--screen: %s", err_words(r)) : 0;
}

void run_screen_close(struct run_screen *s)
{
	loop_watch_remove(take_ptr(s->watch));
	if (s->place.path)
		control_unlisten(&s->place);
	else if (s->place.fd >= 0)
		close(take_fd(&s->place.fd));
}
