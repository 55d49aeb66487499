/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of NBD servers; see nbd_address.h. */
#include "programs/cli/nbd_address.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#define USUAL_PORT "10809"
#define CONNECT_MS 10000

/* ---- words ------------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c | 0x20) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* size characters with their %41 undone; a NUL or what is too long cannot be. */
static bool decode(const char *from, size_t size, char *to, size_t to_size)
{
	size_t n = 0;

	for (size_t k = 0; k < size; k++) {
		int c = (u8)from[k];

		if (c == '%') {
			int high = k + 2 < size ? hex_digit(from[k + 1]) : -1;
			int low = high >= 0 ? hex_digit(from[k + 2]) : -1;

			if (low < 0)
				return false;
			c = high << 4 | low;
			k += 2;
		}
		if (c == 0 || n + 1 >= to_size)
			return false;
		to[n++] = (char)c;
	}
	to[n] = '\0';
	return true;
}

static int wrong(const char *address, struct err *err)
{
	err_set(err, -EINVAL, "'%.200s' is no address of an NBD export", address);
	return err_fix(err, "nbd://HOST[:PORT]/EXPORT or nbd+unix:///EXPORT?socket=PATH");
}

/* HOST[:PORT], an IPv6 address between brackets. */
static bool parse_host(const char *text, size_t size, struct nbd_address *a)
{
	const char *end = text + size, *colon, *host = text, *host_end;

	if (size > 0 && text[0] == '[') {
		host = text + 1;
		host_end = memchr(host, ']', size - 1);
		if (!host_end)
			return false;
		colon = host_end + 1;
	} else {
		colon = memchr(text, ':', size);
		host_end = colon ? colon : end;
		colon = host_end;
	}
	if (colon < end && *colon != ':')
		return false;
	if (colon + 1 < end) {
		size_t n = (size_t)(end - colon - 1);

		if (n > 5 || strspn(colon + 1, "0123456789") < n)
			return false;
		memcpy(a->port, colon + 1, n);
		a->port[n] = '\0';
	} else {
		snprintf(a->port, sizeof a->port, "%s", USUAL_PORT);
	}
	return host_end > host &&
	       decode(host, (size_t)(host_end - host), a->host, sizeof a->host);
}

int nbd_address_parse(const char *address, struct nbd_address *ret_address,
		      struct err *err)
{
	const char *host = strstr(address, "://") + 3, *path, *query, *end;
	struct nbd_address a = { .local = address[3] == '+' };
	bool good;

	path = host + strcspn(host, "/?#");
	query = path + strcspn(path, "?#");
	end = address + strlen(address);
	good = decode(path + (*path == '/'), (size_t)(query - path) - (*path == '/'),
		      a.export, sizeof a.export);
	if (a.local)
		good = good && path == host && strncmp(query, "?socket=", 8) == 0 &&
		       query[8] != '\0' && !strpbrk(query + 8, "&#") &&
		       decode(query + 8, (size_t)(end - query) - 8, a.path,
			      sizeof a.path);
	else
		good = good && query == end &&
		       parse_host(host, (size_t)(path - host), &a);
	if (!good)
		return wrong(address, err);
	*ret_address = a;
	return 0;
}

/* ---- connections ------------------------------------------------------------------------------- */

static int finish(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	socklen_t size = sizeof(int);
	int n, error = 0;

	do
		n = poll(&p, 1, CONNECT_MS);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return -ETIMEDOUT;
	if (n < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		return -errno;
	return -error;
}

/* A socket, or negative. */
static int connect_to(int family, const struct sockaddr *to, socklen_t size)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r = fd < 0 ? -errno : 0, on = 1;

	if (r == 0 && connect(fd, to, size) < 0)
		r = errno == EINPROGRESS ? finish(fd) : -errno;
	/* Requests are small and wait for nobody. */
	if (r == 0 && family != AF_UNIX)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (r == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return r;
}

static int cannot(const char *address, int r, const char *why, struct err *err)
{
	err_set(err, r, "disk '%.200s': its server cannot be reached: %s", address, why);
	return err_fix(err, "check that it runs, and the address");
}

static int connect_local(const char *address, const struct nbd_address *a,
			 struct err *err)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd;

	memcpy(to.sun_path, a->path, strlen(a->path) + 1);
	fd = connect_to(AF_UNIX, (const struct sockaddr *)&to, sizeof to);
	return fd < 0 ? cannot(address, fd, err_words(fd), err) : fd;
}

int nbd_address_connect(const char *address, const struct nbd_address *a, struct err *err)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	int fd = -EHOSTUNREACH, r;

	if (a->local)
		return connect_local(address, a, err);
	r = getaddrinfo(a->host, a->port, &hints, &list);
	if (r != 0)
		return cannot(address, -EHOSTUNREACH, gai_strerror(r), err);
	for (const struct addrinfo *i = list; i && fd < 0; i = i->ai_next)
		fd = connect_to(i->ai_family, i->ai_addr, i->ai_addrlen);
	freeaddrinfo(list);
	return fd < 0 ? cannot(address, fd, err_words(fd), err) : fd;
}
