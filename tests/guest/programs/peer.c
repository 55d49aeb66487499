/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two ends of a TCP connection, for guests and their hosts, static:
 *
 *	peer serve PORT			serve connections, one after the other, for ever
 *	peer send ADDRESS PORT BYTES	send so many; the server compares them
 *	peer receive ADDRESS PORT BYTES	the other way round
 *	peer ask ADDRESS PORT COUNT	so many bytes there and back, one at a time
 *	... xN				N connections at once, in as many threads
 *
 * ADDRESS: IPv4 or IPv6. Each says what it did in how many seconds, "send 1048576 in 0.012". The bytes
 * are a pattern whose length is prime, so that a piece that is lost, doubled or moved is seen. Exit status
 * 1: something was not as it should be.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATTERN 65521u
#define PIECE (256u << 10)

/* The pattern again and again: a piece may begin anywhere in its first one. */
static uint8_t pattern[PATTERN + PIECE];

struct order {
	uint64_t count;
	uint8_t what; /* 's', 'r' or 'a', as the client sees it */
	uint8_t zero[7];
};

static void make_pattern(void)
{
	uint32_t x = 1;

	for (size_t k = 0; k < PATTERN; k++) {
		x = x * 1664525 + 1013904223;
		pattern[k] = (uint8_t)(x >> 24);
	}
	for (size_t k = PATTERN; k < sizeof pattern; k++)
		pattern[k] = pattern[k - PATTERN];
}

static bool move_all(int fd, void *bytes, size_t size, bool in)
{
	uint8_t *p = bytes;

	while (size > 0) {
		ssize_t n = in ? read(fd, p, size) : write(fd, p, size);

		if (n <= 0)
			return false;
		p += n;
		size -= (size_t)n;
	}
	return true;
}

static bool send_pattern(int fd, uint64_t count)
{
	for (uint64_t at = 0; at < count;) {
		uint64_t left = count - at;
		ssize_t n =
			write(fd, pattern + at % PATTERN, left < PIECE ? left : PIECE);

		if (n <= 0)
			return false;
		at += (uint64_t)n;
	}
	return true;
}

static bool receive_pattern(int fd, uint64_t count)
{
	uint8_t *got = malloc(PIECE);
	uint64_t at = 0;

	while (got && at < count) {
		uint64_t left = count - at;
		ssize_t n = read(fd, got, left < PIECE ? left : PIECE);

		if (n <= 0 || memcmp(got, pattern + at % PATTERN, (size_t)n) != 0) {
			fprintf(stderr, "peer: bad bytes at %llu (%zd)\n",
				(unsigned long long)at, n);
			break;
		}
		at += (uint64_t)n;
	}
	free(got);
	return at == count;
}

/* ---- the server ---- */

static void *serve_one(void *arg)
{
	int fd = (int)(intptr_t)arg;
	struct order order;
	uint8_t ok = 1, byte;

	if (move_all(fd, &order, sizeof order, true)) {
		if (order.what == 's') {
			ok = receive_pattern(fd, order.count);
			(void)move_all(fd, &ok, 1, false);
		} else if (order.what == 'r') {
			(void)send_pattern(fd, order.count);
		} else {
			while (read(fd, &byte, 1) == 1 && write(fd, &byte, 1) == 1)
				;
		}
	}
	close(fd);
	return NULL;
}

static int serve(const char *port)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6,
				  .sin6_addr = in6addr_any,
				  .sin6_port = htons((uint16_t)atoi(port)) };
	int fd = socket(AF_INET6, SOCK_STREAM, 0), one = 1, client;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 64) < 0) {
		perror("peer: listen");
		return 1;
	}
	printf("peer: ready\n");
	fflush(stdout);
	while ((client = accept(fd, NULL, NULL)) >= 0) {
		pthread_t thread;

		setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		if (pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)client) ==
		    0)
			pthread_detach(thread);
	}
	return 1;
}

/* ---- the client ---- */

struct job {
	const char *address, *port;
	struct order order;
	bool ok;
};

static int connect_to(const char *address, const char *port)
{
	struct sockaddr_in a4 = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)atoi(port)) };
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = a4.sin_port };
	bool is4 = inet_pton(AF_INET, address, &a4.sin_addr) == 1;
	int one = 1;

	if (!is4 && inet_pton(AF_INET6, address, &a6.sin6_addr) != 1)
		return -1;
	for (int tries = 0; tries < 50; tries++) {
		int fd = socket(is4 ? AF_INET : AF_INET6, SOCK_STREAM, 0);

		if (connect(fd, is4 ? (void *)&a4 : (void *)&a6,
			    is4 ? sizeof a4 : sizeof a6) == 0) {
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
			return fd;
		}
		close(fd);
		usleep(100000);
	}
	return -1;
}

static bool ask(int fd, uint64_t count)
{
	uint8_t byte = 0, back;

	for (; count > 0; count--, byte++)
		if (write(fd, &byte, 1) != 1 || read(fd, &back, 1) != 1 || back != byte)
			return false;
	return true;
}

static void *do_job(void *arg)
{
	struct job *job = arg;
	int fd = connect_to(job->address, job->port);
	uint8_t ok = 0;

	if (fd < 0 || !move_all(fd, &job->order, sizeof job->order, false))
		return NULL;
	switch (job->order.what) {
	case 's':
		job->ok = send_pattern(fd, job->order.count) &&
			  move_all(fd, &ok, 1, true) && ok;
		break;
	case 'r':
		job->ok = receive_pattern(fd, job->order.count);
		break;
	default:
		job->ok = ask(fd, job->order.count);
	}
	close(fd);
	return NULL;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	static struct job jobs[64];
	pthread_t threads[64];
	unsigned count = 1;
	bool ok = true;
	double start;

	make_pattern();
	signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2]);
	if (argc == 6 && argv[5][0] == 'x')
		count = (unsigned)atoi(argv[5] + 1);
	if (argc < 5 || count < 1 || count > 64) {
		fprintf(stderr, "peer: serve PORT, or send|receive|ask ADDRESS PORT "
				"COUNT\n");
		return 2;
	}
	start = now();
	for (unsigned k = 0; k < count; k++) {
		jobs[k] = (struct job){ .address = argv[2],
					.port = argv[3],
					.order = { .count = strtoull(argv[4], NULL, 10),
						   .what = (uint8_t)argv[1][0] } };
		pthread_create(&threads[k], NULL, do_job, &jobs[k]);
	}
	for (unsigned k = 0; k < count; k++) {
		pthread_join(threads[k], NULL);
		ok = ok && jobs[k].ok;
	}
	printf("%s %llu in %.3f%s\n", argv[1],
	       (unsigned long long)jobs[0].order.count * count, now() - start,
	       ok ? "" : ": WRONG");
	return !ok;
}
