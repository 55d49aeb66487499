/* SPDX-License-Identifier: Apache-2.0 */
/* A file as a pipe; see live_copy.h. */
#include "programs/cli/live_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/ipc.h"

#define CHUNK 65536

/* Two hold it: the loop until it was told, the thread until it ends. */
struct copy {
	_Atomic unsigned holders;
	char *path;
	int pipe[2]; /* [0] the loop's, [1] the thread's */
	int event;
	/* the thread's until the event rings, then the loop's */
	int r;
	u64 size;
	struct err err;
	/* the loop's */
	struct loop_watch *watch;
	live_copy_fn done;
	void *owner;
};

static void unhold(struct copy *c)
{
	if (atomic_fetch_sub(&c->holders, 1) > 1)
		return;
	for (unsigned k = 0; k < 2; k++)
		if (c->pipe[k] >= 0)
			close(c->pipe[k]);
	if (c->event >= 0)
		close(c->event);
	free(c->path);
	free(c);
}

/* ---- the thread ------------------------------------------------------------------------------ */

static int open_file(struct copy *c)
{
	AUTO_CLOSE int fd = open(c->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0) {
		int r = -errno;

		err_set(&c->err, r, "'%s' cannot be opened: %s", c->path, err_words(r));
		return err_fix(&c->err, "check the path, and who may read it");
	}
	if (fstat(fd, &st) < 0)
		return err_set(&c->err, -errno, "'%s': %s", c->path, err_words(-errno));
	if (!S_ISREG(st.st_mode)) {
		err_set(&c->err, -EINVAL, "'%s' is not a plain file", c->path);
		return err_fix(&c->err, "copy files one by one, or an archive of them");
	}
	c->size = (u64)st.st_size;
	return take_fd(&fd);
}

/* Whatever goes wrong here the reader sees as an early end. */
static void pump(int from, int to)
{
	u8 bytes[CHUNK];
	ssize_t n;

	while ((n = read(from, bytes, sizeof bytes)) > 0) {
		for (ssize_t at = 0; at < n;) {
			ssize_t written = write(to, bytes + at, (size_t)(n - at));

			if (written < 0)
				return;
			at += written;
		}
	}
}

static void *run(void *arg)
{
	struct copy *c = arg;
	int to = c->pipe[1];
	AUTO_CLOSE int fd = open_file(c);

	c->r = fd < 0 ? fd : 0;
	ipc_event_ring(c->event);
	if (fd >= 0)
		pump(fd, to);
	/* The reader waits for the end, whoever still holds this. */
	close(take_fd(&c->pipe[1]));
	unhold(c);
	return NULL;
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void on_opened(void *owner, unsigned events)
{
	struct copy *c = owner;

	loop_watch_remove(c->watch);
	c->done(c->owner, c->r, c->size, c->r < 0 ? -1 : take_fd(&c->pipe[0]), &c->err);
	unhold(c);
}

int live_copy_open(struct loop *loop, const char *path, live_copy_fn done, void *owner)
{
	struct copy *c = calloc(1, sizeof *c);
	pthread_t thread;
	int r;

	if (!c)
		return -ENOMEM;
	*c = (struct copy){ .holders = 1,
			    .path = strdup(path),
			    .pipe = { -1, -1 },
			    .event = ipc_event_new(),
			    .done = done,
			    .owner = owner };
	r = !c->path ? -ENOMEM : c->event < 0 ? c->event : 0;
	if (r == 0 && pipe2(c->pipe, O_CLOEXEC) < 0)
		r = -errno;
	if (r == 0 && fcntl(c->pipe[0], F_SETFL, O_NONBLOCK) < 0)
		r = -errno;
	if (r == 0)
		r = loop_watch_add(loop, c->event, LOOP_READ, on_opened, c, &c->watch);
	if (r == 0) {
		atomic_fetch_add(&c->holders, 1);
		r = -pthread_create(&thread, NULL, run, c);
		if (r == 0) {
			pthread_detach(thread);
			return 0;
		}
		loop_watch_remove(c->watch);
		atomic_fetch_sub(&c->holders, 1);
	}
	unhold(c);
	return r;
}
