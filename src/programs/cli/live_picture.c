/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures; see live_picture.h. */
#include "programs/cli/live_picture.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/ipc.h"
#include "console/png.h"

#define MOST_TEXT (1 << 20)

/* Two hold it while the thread is at work. */
struct picture {
	_Atomic unsigned holders;
	int fd;	   /* what the worker writes into */
	int event; /* the thread's end */
	/* the thread's until the event rings, then the loop's */
	int r;
	u8 *bytes;
	size_t size;
	/* the loop's */
	bool text; /* is wanted, no picture */
	struct loop *loop;
	struct loop_watch *watch;
	live_picture_fn done;
	void *owner;
};

static void unhold(struct picture *p)
{
	if (atomic_fetch_sub(&p->holders, 1) > 1)
		return;
	if (p->fd >= 0)
		close(p->fd);
	if (p->event >= 0)
		close(p->event);
	free(p->bytes);
	free(p);
}

static void end(struct picture *p, int r, const struct err *cause)
{
	struct err err = { 0 };

	if (r < 0 && !cause) {
		err_set(&err, r, "the picture cannot be made: %s", err_words(r));
		err_fix(&err, "try again");
		cause = &err;
	}
	p->done(p->owner, r, take_ptr(p->bytes), p->size, cause);
	unhold(p);
}

/* ---- the thread ------------------------------------------------------------------------------ */

static int read_all(int fd, void *to, size_t size, off_t at)
{
	while (size > 0) {
		ssize_t n = pread(fd, to, size, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPROTO;
		to = (u8 *)to + n;
		at += n;
		size -= (size_t)n;
	}
	return 0;
}

/* What the worker wrote is believed no more than a guest's bytes. */
static int make(struct picture *p)
{
	AUTO_FREE u32 *pixels = NULL;
	struct worker_picture head;
	size_t size;
	int r = read_all(p->fd, &head, sizeof head, 0);

	if (r < 0)
		return r;
	if (head.width == 0 || head.width > PNG_MOST || head.height == 0 ||
	    head.height > PNG_MOST)
		return -EPROTO;
	size = (size_t)head.width * head.height * sizeof *pixels;
	pixels = malloc(size);
	if (!pixels)
		return -ENOMEM;
	r = read_all(p->fd, pixels, size, sizeof head);
	return r < 0 ? r
		     : png_write(pixels, head.width, head.height, &p->bytes, &p->size);
}

static void *run(void *arg)
{
	struct picture *p = arg;

	p->r = make(p);
	ipc_event_ring(p->event);
	unhold(p);
	return NULL;
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void on_made(void *owner, unsigned events)
{
	struct picture *p = owner;

	loop_watch_remove(p->watch);
	end(p, p->r, NULL);
}

static int start_thread(struct picture *p)
{
	pthread_t thread;
	int r;

	p->event = ipc_event_new();
	r = p->event < 0
		    ? p->event
		    : loop_watch_add(p->loop, p->event, LOOP_READ, on_made, p, &p->watch);
	if (r < 0)
		return r;
	atomic_fetch_add(&p->holders, 1);
	r = -pthread_create(&thread, NULL, run, p);
	if (r == 0) {
		pthread_detach(thread);
		return 0;
	}
	loop_watch_remove(p->watch);
	atomic_fetch_sub(&p->holders, 1);
	return r;
}

/* What the worker wrote is short, or not believed. */
static int read_text(struct picture *p)
{
	struct stat st;

	if (fstat(p->fd, &st) < 0)
		return -errno;
	if (st.st_size > MOST_TEXT)
		return -EPROTO;
	p->size = (size_t)st.st_size;
	p->bytes = malloc(p->size + 1);
	return p->bytes ? read_all(p->fd, p->bytes, p->size, 0) : -ENOMEM;
}

static void on_taken(void *owner, int r, json_t *pairs, const struct err *err)
{
	struct picture *p = owner;

	if (r < 0) {
		end(p, r, err);
		return;
	}
	r = p->text ? read_text(p) : start_thread(p);
	if (r < 0 || p->text)
		end(p, r, NULL);
}

static void take(struct loop *loop, struct live_guest *guest, bool text,
		 live_picture_fn done, void *owner)
{
	struct worker_guest_order order = { .op = WORKER_GUEST_PICTURE, .yes = text };
	struct picture *p = calloc(1, sizeof *p);
	struct err err = { 0 };

	if (!p) {
		err_set(&err, -ENOMEM, "%s", err_words(-ENOMEM));
		done(owner, err.code, NULL, 0, &err);
		return;
	}
	*p = (struct picture){ .holders = 1,
			       .fd = memfd_create("tabique-picture", MFD_CLOEXEC),
			       .event = -1,
			       .loop = loop,
			       .text = text,
			       .done = done,
			       .owner = owner };
	if (p->fd < 0)
		end(p, -errno, NULL);
	else
		live_guest_ask(guest, &order, p->fd, on_taken, p);
}

void live_picture_take(struct loop *loop, struct live_guest *guest, live_picture_fn done,
		       void *owner)
{
	take(loop, guest, false, done, owner);
}

void live_picture_read(struct loop *loop, struct live_guest *guest, live_picture_fn done,
		       void *owner)
{
	take(loop, guest, true, done, owner);
}
