/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an NBD server says: records { le16 size, size bytes }, the first for the negotiation, then one
 * for each request, which comes when the request has come; then the server is gone. Whatever it
 * was, the negotiation ends, and so does each request. Seeds: what good servers said to these.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/log.h"
#include "disk/nbd.h"
#include "disk/nbd_library.h"

/* As much as a socket takes without a reader. */
#define MOST 65536
/* For an answer that does not come whole. */
#define PATIENCE 20

static int enter(void *owner)
{
	return 0;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static bool over;

static void on_ended(struct storage_request *rq, int r)
{
	pthread_mutex_lock(&lock);
	over = true;
	pthread_cond_signal(&moved);
	pthread_mutex_unlock(&lock);
}

/* The server's next record; nothing more: it is gone. */
static void say(int server, const u8 **data, size_t *size)
{
	size_t n = *size < 2 ? 0 : min_u64((*data)[0] | (*data)[1] << 8, *size - 2);

	if (*size < 2) {
		shutdown(server, SHUT_WR);
		return;
	}
	(void)!send(server, *data + 2, min_u64(n, MOST), MSG_DONTWAIT | MSG_NOSIGNAL);
	*data += 2 + n;
	*size -= 2 + n;
}

/* What the client has said until now; or wait a little for it. */
static void hear(int server, int wait)
{
	static u8 heard[MOST];
	struct pollfd p = { .fd = server, .events = POLLIN };

	if (poll(&p, 1, wait) > 0)
		while (recv(server, heard, sizeof heard, MSG_DONTWAIT) > 0)
			;
}

static void use(struct storage *s, int server, const u8 *data, size_t size)
{
	static u8 buffer[4096];
	static const struct iovec all = { .iov_base = buffer, .iov_len = 4096 },
				  sector = { .iov_base = buffer, .iov_len = 512 };
	static const struct storage_request requests[] = {
		{ .op = STORAGE_READ, .iov = &all, .iov_count = 1, .size = 4096 },
		{ .op = STORAGE_WRITE, .iov = &sector, .iov_count = 1, .size = 512 },
		{ .op = STORAGE_ZERO, .size = 4096 },
		{ .op = STORAGE_FLUSH },
		{ .op = STORAGE_READ, .iov = &sector, .iov_count = 1, .size = 512 },
	};

	for (unsigned n = 0; n < ARRAY_COUNT(requests); n++) {
		struct storage_request rq = requests[n];

		hear(server, 0);
		over = false;
		rq.ended = on_ended;
		if (s->ops->start(s, &rq) < 0)
			continue;
		hear(server, 20);
		say(server, &data, &size);
		/* A request of which a part was answered ends when the server is gone. */
		if (n + 1 == ARRAY_COUNT(requests))
			shutdown(server, SHUT_WR);
		pthread_mutex_lock(&lock);
		while (!over)
			pthread_cond_wait(&moved, &lock);
		pthread_mutex_unlock(&lock);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct nbd_thread *thread;
	struct err err = { 0 };
	struct storage *s;
	int ends[2];

	if (!thread) {
		log_start("fuzz-nbd", LOG_ERROR);
		if (nbd_library_load(&err) < 0)
			return 0;
		if (nbd_thread_new(enter, NULL, PATIENCE, &thread) < 0)
			abort();
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		abort();
	say(ends[1], &data, &size);
	if (nbd_open(thread, ends[0], "", false, &s, &err) == 0) {
		use(s, ends[1], data, size);
		storage_close(s);
	}
	close(ends[1]);
	return 0;
}
