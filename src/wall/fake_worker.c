/* SPDX-License-Identifier: Apache-2.0 */
/* A worker without devices, for tests; see fake_worker.h. */
#include "wall/fake_worker.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/ipc.h"
#include "wall/hv_end.h"

static void *shared(u64 size)
{
	void *p = mmap(NULL, size ? size : 1, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

int fake_worker_new(u64 ram_size, u32 vp_count, struct fake_worker **ret_worker)
{
	struct fake_worker *w = calloc(1, sizeof *w);
	int pair[2], r;

	if (!w)
		return -ENOMEM;
	w->verbs = w->worker_verbs = w->access_event = w->hv_event = w->stop_event = -1;
	w->ram_size = ram_size;
	w->vram_size = w->rom_size = 1 << 20;
	w->vp_count = vp_count;
	w->control = shared(wall_control_size(vp_count));
	w->ram = shared(ram_size);
	w->vram = shared(w->vram_size);
	w->rom = shared(w->rom_size);
	w->dirty = shared(ram_size >> WALL_PAGE_SHIFT);
	w->code = shared(ram_size >> WALL_PAGE_SHIFT);
	w->access_event = ipc_event_new();
	w->hv_event = ipc_event_new();
	w->stop_event = ipc_event_new();
	r = ipc_pair(pair);
	if (r == 0) {
		w->verbs = pair[0];
		w->worker_verbs = pair[1];
	}
	if (r < 0 || !w->control || !w->ram || !w->vram || !w->rom || !w->dirty ||
	    !w->code || w->access_event < 0 || w->hv_event < 0 || w->stop_event < 0) {
		fake_worker_free(w);
		return r < 0 ? r : -ENOMEM;
	}
	w->control->version = WALL_VERSION;
	w->control->vp_count = vp_count;
	w->control->ram_size = ram_size;
	*ret_worker = w;
	return 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void fake_worker_free(struct fake_worker *w)
{
	if (!w)
		return;
	if (w->started) {
		ipc_event_ring(w->stop_event);
		pthread_join(w->thread, NULL);
	}
	close_fd(&w->verbs);
	close_fd(&w->worker_verbs);
	close_fd(&w->access_event);
	close_fd(&w->hv_event);
	close_fd(&w->stop_event);
	if (w->control)
		munmap(w->control, wall_control_size(w->vp_count));
	if (w->ram)
		munmap(w->ram, w->ram_size);
	if (w->vram)
		munmap(w->vram, w->vram_size);
	if (w->rom)
		munmap(w->rom, w->rom_size);
	if (w->dirty)
		munmap((void *)w->dirty, w->ram_size >> WALL_PAGE_SHIFT);
	if (w->code)
		munmap((void *)w->code, w->ram_size >> WALL_PAGE_SHIFT);
	free(w);
}

static void serve_posted(struct fake_worker *w)
{
	struct wall_posted *ring = &w->control->posted;
	u64 head = atomic_load_explicit(&ring->head, memory_order_acquire);

	for (; w->posted_tail != head; w->posted_tail++) {
		if (w->on_posted)
			w->on_posted(w->owner,
				     &ring->entry[w->posted_tail % WALL_POSTED]);
		atomic_fetch_add(&w->posted, 1);
	}
	atomic_store_explicit(&ring->tail, w->posted_tail, memory_order_release);
}

static void serve_accesses(struct fake_worker *w)
{
	serve_posted(w);
	for (u32 vp = 0; vp < w->vp_count && !atomic_load(&w->hold); vp++) {
		struct wall_access *slot = &w->control->access[vp];
		u32 asked = WALL_ACCESS_ASKED;

		if (atomic_load(&slot->state) != WALL_ACCESS_ASKED)
			continue;
		serve_posted(w);
		if (w->on_access)
			w->on_access(w->owner, w, vp, slot);
		else
			memset(slot->data, 0, sizeof slot->data);
		atomic_fetch_add(&w->accesses, 1);
		if (atomic_compare_exchange_strong(&slot->state, &asked,
						   WALL_ACCESS_DONE))
			syscall(SYS_futex, &slot->state, FUTEX_WAKE, INT32_MAX, NULL,
				NULL, 0);
	}
}

static void *fake_main(void *arg)
{
	struct fake_worker *w = arg;
	struct pollfd fds[2] = { { .fd = w->access_event, .events = POLLIN },
				 { .fd = w->stop_event, .events = POLLIN } };

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (fds[1].revents)
			return NULL;
		(void)ipc_event_clear(w->access_event);
		serve_accesses(w);
	}
}

int fake_worker_start(struct fake_worker *w)
{
	int r = -pthread_create(&w->thread, NULL, fake_main, w);

	w->started = r == 0;
	return r;
}

void fake_worker_release(struct fake_worker *w)
{
	atomic_store(&w->hold, false);
	ipc_event_ring(w->access_event);
}

int fake_worker_verb(struct fake_worker *w, struct wall_request *request,
		     const void *block, int fd, struct wall_reply *ret_reply,
		     void *ret_block)
{
	struct {
		struct wall_request request;
		u8 block[4096];
	} out = { .request = *request };
	struct {
		struct wall_reply reply;
		u8 block[4096];
	} in;
	size_t size = wall_verb_request_block(request->verb);
	int fds[1], r;
	unsigned fd_count;

	out.request.seq = ++w->seq;
	if (block)
		memcpy(out.block, block, size);
	r = ipc_send(w->worker_verbs, &out, sizeof out.request + size, &fd, fd >= 0);
	if (r < 0)
		return r;
	r = ipc_receive(w->worker_verbs, &in, sizeof in, &size, fds, 1, &fd_count);
	if (r < 0)
		return r;
	if (size < sizeof in.reply || in.reply.seq != out.request.seq ||
	    in.reply.verb != request->verb)
		return -EBADMSG;
	if (ret_reply)
		*ret_reply = in.reply;
	if (in.reply.result == 0 && ret_block)
		memcpy(ret_block, in.block, wall_verb_reply_block(request->verb));
	return in.reply.result;
}

int fake_worker_ask(struct fake_worker *w, enum wall_verb verb)
{
	struct wall_request request = { .verb = verb };

	return fake_worker_verb(w, &request, NULL, -1, NULL, NULL);
}

static void push_line(struct fake_worker *w, u32 kind, u64 a, u32 b, bool ring)
{
	struct wall_lines *lines = &w->control->lines;

	lines->entry[w->lines_head % WALL_LINES] =
		(struct wall_line){ .kind = kind, .a = a, .b = b };
	atomic_store_explicit(&lines->head, ++w->lines_head, memory_order_release);
	if (ring)
		ipc_event_ring(w->hv_event);
}

void fake_worker_line(struct fake_worker *w, unsigned line, bool level, bool ring)
{
	push_line(w, WALL_LINE_LEVEL, line, level, ring);
}

void fake_worker_msi(struct fake_worker *w, u64 address, u32 data, bool ring)
{
	push_line(w, WALL_LINE_MSI, address, data, ring);
}

u64 fake_worker_flush(struct fake_worker *w, u64 first_page, u64 count)
{
	struct wall_flushes *flushes = &w->control->flushes;

	flushes->entry[w->flushes_head % WALL_FLUSHES] =
		(struct wall_flush){ .first_page = first_page, .count = count };
	atomic_store_explicit(&flushes->head, ++w->flushes_head, memory_order_release);
	ipc_event_ring(w->hv_event);
	return w->flushes_head;
}
