/* SPDX-License-Identifier: Apache-2.0 */
/* A hypervisor that executes nothing, for tests of the worker's side; see fake_hv.h. */
#include "wall/fake_hv.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/ipc.h"

static int memory_new(const char *name, u64 size)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && ftruncate(fd, (off_t)size) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void *map_whole(int fd, u64 size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

int fake_hv_new(u64 ram_size, u64 rom_size, u32 vp_count, struct fake_hv **ret_hv)
{
	struct fake_hv *hv = calloc(1, sizeof *hv);
	u64 pages = ram_size >> WALL_PAGE_SHIFT;
	int pair[2] = { -1, -1 };

	if (!hv)
		return -ENOMEM;
	hv->ram_size = ram_size;
	hv->rom_size = rom_size;
	hv->vram_size = WALL_PAGE_SIZE;
	hv->vp_count = vp_count;
	pthread_mutex_init(&hv->lines_lock, NULL);
	hv->ram_fd = memory_new("ram", ram_size);
	hv->vram_fd = memory_new("vram", hv->vram_size);
	hv->rom_fd = memory_new("rom", rom_size);
	hv->dirty_fd = memory_new("dirty", pages);
	hv->code_fd = memory_new("code", pages);
	hv->control_fd = memory_new("control", wall_control_size(vp_count));
	hv->access_event = ipc_event_new();
	hv->hv_event = ipc_event_new();
	hv->stop_event = ipc_event_new();
	for (unsigned i = 0; i < WALL_MAX_VPS; i++)
		hv->vp_event[i] = -1;
	int r = ipc_pair(pair);
	hv->verbs = pair[0];
	hv->hv_verbs = pair[1];
	hv->ram = map_whole(hv->ram_fd, ram_size);
	hv->dirty = map_whole(hv->dirty_fd, pages);
	hv->code = map_whole(hv->code_fd, pages);
	hv->control = map_whole(hv->control_fd, wall_control_size(vp_count));
	if (r < 0 || !hv->ram || !hv->dirty || !hv->code || !hv->control ||
	    hv->access_event < 0 || hv->hv_event < 0 || hv->stop_event < 0) {
		fake_hv_free(hv);
		return r < 0 ? r : -ENOMEM;
	}
	hv->control->version = WALL_VERSION;
	hv->control->vp_count = vp_count;
	hv->control->ram_size = ram_size;
	*ret_hv = hv;
	return 0;
}

static void *verbs_main(void *arg);

int fake_hv_start(struct fake_hv *hv)
{
	int r = pthread_create(&hv->thread, NULL, verbs_main, hv);

	hv->started = r == 0;
	return -r;
}

void fake_hv_free(struct fake_hv *hv)
{
	if (!hv)
		return;
	if (hv->started) {
		ipc_event_ring(hv->stop_event);
		pthread_join(hv->thread, NULL);
	}
	for (unsigned i = 0; i < atomic_load(&hv->doorbell_count); i++)
		close(hv->doorbell[i].event);
	for (unsigned i = 0; i < WALL_MAX_VPS; i++)
		if (hv->vp_event[i] >= 0)
			close(hv->vp_event[i]);
	if (hv->ram)
		munmap(hv->ram, hv->ram_size);
	if (hv->dirty)
		munmap((void *)hv->dirty, hv->ram_size >> WALL_PAGE_SHIFT);
	if (hv->code)
		munmap((void *)hv->code, hv->ram_size >> WALL_PAGE_SHIFT);
	if (hv->control)
		munmap(hv->control, wall_control_size(hv->vp_count));
	const int fds[] = { hv->ram_fd,	  hv->vram_fd,	  hv->rom_fd,	   hv->dirty_fd,
			    hv->code_fd,  hv->control_fd, hv->verbs,	   hv->hv_verbs,
			    hv->hv_event, hv->stop_event, hv->access_event };
	for (unsigned i = 0; i < ARRAY_COUNT(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(hv);
}

const struct wall_request *fake_hv_request(const struct fake_hv *hv, u32 verb, unsigned n)
{
	unsigned count = atomic_load(&hv->request_count);

	for (unsigned i = 0; i < count; i++)
		if (hv->request[i].verb == verb && n-- == 0)
			return &hv->request[i];
	return NULL;
}

bool fake_hv_take_line(struct fake_hv *hv, struct wall_line *ret_line)
{
	struct wall_lines *lines = &hv->control->lines;
	bool any;

	pthread_mutex_lock(&hv->lines_lock);
	any = atomic_load_explicit(&lines->head, memory_order_acquire) != hv->lines_tail;
	if (any) {
		*ret_line = lines->entry[hv->lines_tail++ % WALL_LINES];
		atomic_store_explicit(&lines->tail, hv->lines_tail, memory_order_release);
	}
	pthread_mutex_unlock(&hv->lines_lock);
	return any;
}

void fake_hv_flush_done(struct fake_hv *hv, u64 ticket)
{
	struct wall_flushes *flushes = &hv->control->flushes;

	if (ticket <= atomic_load(&flushes->done))
		return;
	atomic_store(&flushes->done, ticket);
	atomic_store(&flushes->done_futex, (u32)ticket);
	if (atomic_exchange(&flushes->waiting, 0))
		syscall(SYS_futex, &flushes->done_futex, FUTEX_WAKE, INT32_MAX, NULL,
			NULL, 0);
}

u64 fake_hv_flushes_asked(const struct fake_hv *hv)
{
	return atomic_load(&hv->control->flushes.head);
}

int fake_hv_access(struct fake_hv *hv, vp_index_t vp, enum wall_access_kind kind,
		   u64 address, u32 size, u32 count, void *data)
{
	struct wall_access *access = &hv->control->access[vp];
	bool write = kind != WALL_PIO_READ && kind != WALL_MMIO_READ;
	bool read = !write || kind == WALL_POST_MESSAGE;
	struct timespec end;

	access->kind = kind;
	access->size = size;
	access->address = address;
	access->count = count;
	if (write)
		memcpy(access->data, data, (size_t)size * count);
	atomic_store(&access->state, WALL_ACCESS_ASKED);
	ipc_event_ring(hv->access_event);
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += 5;
	while (atomic_load(&access->state) == WALL_ACCESS_ASKED) {
		/* FUTEX_WAIT_BITSET takes an absolute time. */
		long r = syscall(SYS_futex, &access->state, FUTEX_WAIT_BITSET,
				 WALL_ACCESS_ASKED, &end, NULL, FUTEX_BITSET_MATCH_ANY);
		if (r < 0 && errno == ETIMEDOUT)
			return -ETIMEDOUT;
	}
	if (read)
		memcpy(data, access->data, (size_t)size * count);
	atomic_store(&access->state, WALL_ACCESS_IDLE);
	return 0;
}

int fake_hv_post_message(struct fake_hv *hv, vp_index_t vp, u32 connection, u32 type,
			 const void *payload, u32 size)
{
	struct wall_message m = { .connection = connection, .type = type, .size = size };
	int r;

	memcpy(m.payload, payload, size < sizeof m.payload ? size : sizeof m.payload);
	r = fake_hv_access(hv, vp, WALL_POST_MESSAGE, connection, 1, sizeof m, &m);
	return r < 0 ? r : (int)m.status;
}

bool fake_hv_signal_event(struct fake_hv *hv, u32 connection)
{
	for (unsigned k = 0; k < atomic_load(&hv->doorbell_count); k++) {
		if (hv->doorbell[k].connection != connection)
			continue;
		ipc_event_ring(hv->doorbell[k].event);
		return true;
	}
	return false;
}

bool fake_hv_take_flag(struct fake_hv *hv, vp_index_t vp, u32 flag)
{
	u64 bit = BIT64(flag % 64);

	return atomic_fetch_and(&hv->control->synic[vp].pending[flag / 64], ~bit) & bit;
}

bool fake_hv_post(struct fake_hv *hv, enum wall_access_kind kind, u64 address, u32 size,
		  u64 value)
{
	struct wall_posted *posted = &hv->control->posted;
	u64 head = atomic_load(&posted->head);

	if (head - atomic_load(&posted->tail) >= WALL_POSTED)
		return false;
	posted->entry[head % WALL_POSTED] = (struct wall_posted_write){
		.kind = kind,
		.size = size,
		.address = address,
		.value = value,
	};
	atomic_store(&posted->head, head + 1);
	ipc_event_ring(hv->access_event);
	return true;
}

/* ---- the verbs thread ---- */

/* Connections alone; the descriptor is kept. */
static int keep_doorbell(struct fake_hv *hv, const struct wall_request *request,
			 int *io_fd)
{
	unsigned count = atomic_load(&hv->doorbell_count), at = 0;
	u32 connection = (u32)request->u.doorbell.address;

	if (request->u.doorbell.kind != WALL_DOORBELL_CONNECTION)
		return 0;
	while (at < count && hv->doorbell[at].connection != connection)
		at++;
	if (request->u.doorbell.remove) {
		if (at == count)
			return -ENOENT;
		close(hv->doorbell[at].event);
		hv->doorbell[at] = hv->doorbell[count - 1];
		atomic_store(&hv->doorbell_count, count - 1);
		return 0;
	}
	if (at < count)
		return -EEXIST;
	if (*io_fd < 0 || count == WALL_MAX_DOORBELLS)
		return -EINVAL;
	hv->doorbell[count].connection = connection;
	hv->doorbell[count].event = take_fd(io_fd);
	atomic_store(&hv->doorbell_count, count + 1);
	return 0;
}

/* Larger than any request with its block. */
union verb_message {
	struct wall_request request;
	u8 bytes[sizeof(struct wall_request) + sizeof(struct vp_state) +
		 WALL_CHIP_STATE_SIZE];
};

static void serve_one(struct fake_hv *hv, const union verb_message *message, size_t size,
		      int *io_fd)
{
	const struct wall_request *request = &message->request;
	struct {
		struct wall_reply reply;
		struct vp_state state;
	} out = { .reply = { .verb = request->verb, .seq = request->seq } };
	size_t out_size = sizeof out.reply;
	unsigned n = atomic_load(&hv->request_count);
	u32 vp = request->u.vp.index;

	if (n < FAKE_HV_REQUESTS) {
		hv->request[n] = *request;
		atomic_store(&hv->request_count, n + 1);
	}
	switch (request->verb) {
	case WALL_VERB_HELLO:
		out.reply.u.hello.version = WALL_VERSION;
		out.reply.u.hello.vp_count = hv->vp_count;
		out.reply.u.hello.ram_size = hv->ram_size;
		break;
	case WALL_VERB_SET_VP:
		if (vp >= hv->vp_count ||
		    size != sizeof *request + sizeof(struct vp_state))
			out.reply.result = -EBADMSG;
		else
			memcpy(&hv->vp[vp], message->bytes + sizeof *request,
			       sizeof hv->vp[vp]);
		break;
	case WALL_VERB_GET_VP:
		if (vp < hv->vp_count) {
			out.state = hv->vp[vp];
			out_size = sizeof out;
		}
		break;
	case WALL_VERB_DOORBELL:
		out.reply.result = keep_doorbell(hv, request, io_fd);
		break;
	case WALL_VERB_LEND_EVENTS:
		if (vp >= hv->vp_count || *io_fd < 0 || hv->vp_event[vp] >= 0)
			out.reply.result = -EINVAL;
		else
			hv->vp_event[vp] = take_fd(io_fd);
		break;
	case WALL_VERB_RUN:
		atomic_store(&hv->running, true);
		break;
	case WALL_VERB_STOP:
		atomic_store(&hv->running, false);
		break;
	default:
		break;
	}
	if (request->verb == atomic_load(&hv->refuse_verb))
		out.reply.result = atomic_load(&hv->refuse_with);
	if (ipc_send(hv->hv_verbs, &out, out_size, NULL, 0) < 0)
		ipc_event_ring(hv->stop_event);
}

static void *verbs_main(void *arg)
{
	struct fake_hv *hv = arg;
	struct pollfd p[] = {
		{ .fd = hv->hv_verbs, .events = POLLIN },
		{ .fd = hv->hv_event, .events = POLLIN },
		{ .fd = hv->stop_event, .events = POLLIN },
	};

	for (;;) {
		if (poll(p, ARRAY_COUNT(p), -1) < 0 && errno != EINTR)
			return NULL;
		if (p[2].revents)
			return NULL;
		if (p[1].revents && ipc_event_clear(hv->hv_event) &&
		    !atomic_load(&hv->hold_flushes))
			fake_hv_flush_done(hv, fake_hv_flushes_asked(hv));
		if (p[0].revents) {
			union verb_message message;
			AUTO_CLOSE int fd = -1;
			unsigned fd_count;
			size_t size;

			if (ipc_receive(hv->hv_verbs, &message, sizeof message, &size,
					&fd, 1, &fd_count) < 0)
				return NULL;
			if (fd_count == 0)
				fd = -1;
			if (size >= sizeof message.request)
				serve_one(hv, &message, size, &fd);
		}
	}
}
