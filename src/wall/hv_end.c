/* SPDX-License-Identifier: Apache-2.0 */
/* hv's end of the wall; see hv_end.h and, for the contract, wall.h. */
#include "wall/hv_end.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/ipc.h"

#define VERBS_A_ROUND 16
#define MAX_BLOCK sizeof(struct vp_state)
_Static_assert(WALL_CHIP_STATE_SIZE <= MAX_BLOCK, "the largest block of any verb");

static void PRINTF(2, 3) lie(struct wall_hv *end, const char *fmt, ...)
{
	char how[256];
	va_list ap;

	if (atomic_exchange(&end->lied, true))
		return;
	va_start(ap, fmt);
	vsnprintf(how, sizeof how, fmt, ap);
	va_end(ap);
	end->config.ops->lied(end->config.owner, how);
}

size_t wall_verb_request_block(u32 verb)
{
	switch (verb) {
	case WALL_VERB_SET_VP:
		return sizeof(struct vp_state);
	case WALL_VERB_SET_CHIP:
		return WALL_CHIP_STATE_SIZE;
	default:
		return 0;
	}
}

size_t wall_verb_reply_block(u32 verb)
{
	switch (verb) {
	case WALL_VERB_GET_VP:
		return sizeof(struct vp_state);
	case WALL_VERB_GET_CHIP:
		return WALL_CHIP_STATE_SIZE;
	default:
		return 0;
	}
}

void wall_hv_init(struct wall_hv *end, const struct wall_hv_config *config)
{
	*end = (struct wall_hv){ .config = *config };
	pthread_mutex_init(&end->lines_lock, NULL);
	pthread_mutex_init(&end->posted_lock, NULL);
}

void wall_hv_done(struct wall_hv *end)
{
	pthread_mutex_destroy(&end->lines_lock);
	pthread_mutex_destroy(&end->posted_lock);
}

/* ---- verbs ---------------------------------------------------------------------------------- */

struct verb_message {
	struct wall_request request;
	u8 block[MAX_BLOCK];
};

struct verb_answer {
	struct wall_reply reply;
	u8 block[MAX_BLOCK];
};

/* Answer; a worker that does not take its one answer is broken: we never wait for it. */
static void answer(struct wall_hv *end, const struct verb_answer *a)
{
	size_t size = sizeof a->reply;
	int r;

	if (a->reply.result == 0)
		size += wall_verb_reply_block(a->reply.verb);
	r = ipc_send(end->config.verbs, a, size, NULL, 0);
	if (r == -EAGAIN)
		lie(end, "it does not read the answers to its requests");
}

static void serve(struct wall_hv *end, struct verb_message *m, size_t size, int *io_fd)
{
	struct verb_answer a = { .reply = { .result = -EBADMSG } };
	u32 verb = m->request.verb;
	size_t block;

	if (size < sizeof m->request) {
		lie(end, "a request of %zu bytes", size);
		return answer(end, &a);
	}
	a.reply.verb = verb;
	a.reply.seq = m->request.seq;
	if (verb < WALL_VERB_HELLO || verb >= WALL_VERB_COUNT) {
		lie(end, "request number %u does not exist", verb);
		return answer(end, &a);
	}
	block = wall_verb_request_block(verb);
	if (size != sizeof m->request + block) {
		lie(end, "request %u has %zu bytes", verb, size);
		return answer(end, &a);
	}
	if (*io_fd >= 0 && verb != WALL_VERB_DOORBELL && verb != WALL_VERB_MSI_EVENT &&
	    verb != WALL_VERB_LEND_EVENTS) {
		lie(end, "request %u brought a descriptor", verb);
		return answer(end, &a);
	}
	atomic_fetch_add_explicit(&end->verbs, 1, memory_order_relaxed);
	a.reply.result = end->config.ops->serve(end->config.owner, &m->request,
						block ? m->block : NULL, io_fd, &a.reply,
						a.block);
	a.reply.verb = verb;
	a.reply.seq = m->request.seq;
	answer(end, &a);
}

void wall_hv_on_verbs(struct wall_hv *end)
{
	for (unsigned k = 0; k < VERBS_A_ROUND && !end->lied; k++) {
		struct verb_message m = { 0 };
		unsigned fd_count = 0;
		AUTO_CLOSE int fd = -1;
		size_t size = 0;
		int r;

		r = ipc_receive(end->config.verbs, &m, sizeof m, &size, &fd, 1,
				&fd_count);
		if (r == -EAGAIN)
			return;
		if (fd_count == 0)
			fd = -1;
		if (r == -EPIPE) {
			end->config.ops->gone(end->config.owner);
			return;
		}
		if (r < 0) {
			lie(end, "a request that is too long or brings too many "
				 "descriptors");
			return;
		}
		serve(end, &m, size, &fd);
	}
}

/* ---- rings ---------------------------------------------------------------------------------- */

static void apply_line(struct wall_hv *end, const struct wall_line *line)
{
	switch (line->kind) {
	case WALL_LINE_LEVEL:
		if (line->a >= 24 || line->b > 1) {
			lie(end, "line %llu cannot be set to %u",
			    (unsigned long long)line->a, line->b);
			return;
		}
		end->config.ops->line(end->config.owner, (unsigned)line->a, line->b);
		return;
	case WALL_LINE_MSI:
		end->config.ops->msi(end->config.owner, line->a, line->b);
		return;
	default:
		lie(end, "an entry of kind %u in the lines ring", line->kind);
	}
}

void wall_hv_drain_lines(struct wall_hv *end)
{
	struct wall_lines *ring = &end->config.control->lines;

	pthread_mutex_lock(&end->lines_lock);
	/* Acquire: the entries below head were written before it. */
	u64 head = atomic_load_explicit(&ring->head, memory_order_acquire);
	if (head - end->lines_tail > WALL_LINES) {
		lie(end, "the lines ring holds more than it has room for");
	} else {
		while (end->lines_tail != head && !end->lied) {
			/* A volatile copy: read once, whatever the compiler thinks of it. */
			struct wall_line line =
				*(volatile struct wall_line *)&ring
					 ->entry[end->lines_tail % WALL_LINES];
			end->lines_tail++;
			apply_line(end, &line);
		}
		/* Release: the worker may overwrite what we have read. */
		atomic_store_explicit(&ring->tail, end->lines_tail, memory_order_release);
	}
	pthread_mutex_unlock(&end->lines_lock);
}

static void publish_flushes(struct wall_hv *end)
{
	struct wall_flushes *ring = &end->config.control->flushes;

	atomic_store_explicit(&ring->done, end->flushes_done, memory_order_release);
	atomic_store_explicit(&ring->done_futex, (u32)end->flushes_done,
			      memory_order_seq_cst);
	/* The worker stores waiting, then looks at done: one of the two sees the other. */
	if (atomic_load_explicit(&ring->waiting, memory_order_seq_cst))
		syscall(SYS_futex, &ring->done_futex, FUTEX_WAKE, INT32_MAX, NULL, NULL,
			0);
}

/* Neighbouring entries become one flush: a disk read of 1 MiB is one stop of the VPs, not many. */
static void drain_flushes(struct wall_hv *end)
{
	struct wall_flushes *ring = &end->config.control->flushes;
	u64 head = atomic_load_explicit(&ring->head, memory_order_acquire);
	u64 first = 0, count = 0;

	if (head == end->flushes_done)
		return;
	if (head - end->flushes_done > WALL_FLUSHES) {
		lie(end, "the flush ring holds more than it has room for");
		return;
	}
	for (u64 n = end->flushes_done; n != head; n++) {
		struct wall_flush f =
			*(volatile struct wall_flush *)&ring->entry[n % WALL_FLUSHES];

		if (!range_inside(f.first_page, f.count, end->config.ram_pages)) {
			lie(end, "a flush of pages that are not RAM");
			return;
		}
		if (count > 0 && f.first_page == first + count) {
			count += f.count;
			continue;
		}
		if (count > 0)
			end->config.ops->drop_code(end->config.owner, first, count);
		first = f.first_page;
		count = f.count;
	}
	if (count > 0)
		end->config.ops->drop_code(end->config.owner, first, count);
	end->flushes_done = head;
	publish_flushes(end);
}

void wall_hv_on_event(struct wall_hv *end)
{
	(void)ipc_event_clear(end->config.hv_event);
	if (end->lied)
		return;
	wall_hv_drain_lines(end);
	drain_flushes(end);
	end->config.ops->events(end->config.owner);
}

static void take_events_of(struct wall_hv *end, vp_index_t vp,
			   void (*signal)(void *owner, vp_index_t vp, unsigned word,
					  u64 flags),
			   void *owner)
{
	struct wall_synic *synic = &end->config.control->synic[vp];

	for (unsigned word = 0; word < ARRAY_COUNT(synic->pending); word++) {
		u64 flags;

		if (!atomic_load_explicit(&synic->pending[word], memory_order_relaxed))
			continue;
		flags = atomic_exchange(&synic->pending[word], 0);
		if (flags)
			signal(owner, vp, word, flags);
	}
}

void wall_hv_take_events(struct wall_hv *end,
			 void (*signal)(void *owner, vp_index_t vp, unsigned word,
					u64 flags),
			 void *owner)
{
	struct wall_control *control = end->config.control;

	for (unsigned k = 0; k < ARRAY_COUNT(control->signalled); k++) {
		/* First this, then pending: an event that comes between the two sets it anew. */
		u64 vps = atomic_exchange(&control->signalled[k], 0);

		while (vps) {
			unsigned vp = k * 64 + (unsigned)__builtin_ctzll(vps);

			vps &= vps - 1;
			if (vp < end->config.vp_count)
				take_events_of(end, vp, signal, owner);
		}
	}
}

void wall_hv_take_vp_events(struct wall_hv *end, vp_index_t vp,
			    void (*signal)(void *owner, vp_index_t vp, unsigned word,
					   u64 flags),
			    void *owner)
{
	_Atomic u64 *signalled = &end->config.control->signalled[vp / 64];
	u64 bit = BIT64(vp % 64);

	if (atomic_load(signalled) & bit && atomic_fetch_and(signalled, ~bit) & bit)
		take_events_of(end, vp, signal, owner);
}

void wall_hv_lend_events(struct wall_hv *end, vp_index_t vp, gpa_t flags)
{
	atomic_store(&end->config.control->synic[vp].lent, flags);
}

bool wall_hv_park_begin(struct wall_hv *end, vp_index_t vp, _Atomic u32 **ret_word)
{
	struct wall_control *control = end->config.control;

	*ret_word = &control->synic[vp].parked;
	atomic_store(*ret_word, 1);
	/* The worker does it the other way round: one of us sees the other. */
	return atomic_load(&control->signalled[vp / 64]) & BIT64(vp % 64);
}

void wall_hv_park_end(struct wall_hv *end, vp_index_t vp)
{
	atomic_store(&end->config.control->synic[vp].parked, 0);
}

/* ---- accesses ------------------------------------------------------------------------------- */

/* Sleep while *word is value; returns false when timeout_ns went by. */
static bool wait_word(_Atomic u32 *word, u32 value, u64 timeout_ns)
{
	struct timespec t = { .tv_sec = (time_t)(timeout_ns / NS_PER_SEC),
			      .tv_nsec = (long)(timeout_ns % NS_PER_SEC) };

	/* EINTR (a timer's signal) starts the time anew: it is a figure for people. */
	return syscall(SYS_futex, word, FUTEX_WAIT, value, timeout_ns ? &t : NULL, NULL,
		       0) == 0 ||
	       errno != ETIMEDOUT;
}

static int failed_access(bool read, void *data, size_t bytes)
{
	if (read)
		memset(data, 0xff, bytes);
	return -ECANCELED;
}

int wall_hv_access(struct wall_hv *end, vp_index_t vp, enum wall_access_kind kind,
		   u64 address, unsigned size, unsigned count, void *data,
		   void (*on_slow)(void *owner, bool slow), void *slow_owner)
{
	struct wall_access *slot = &end->config.control->access[vp];
	bool write = kind != WALL_PIO_READ && kind != WALL_MMIO_READ;
	bool read = !write || kind == WALL_POST_MESSAGE;
	size_t bytes = (size_t)size * count;
	bool slow = false;
	u32 state;

	if (end->lied || end->cancelled)
		return failed_access(read, data, bytes);
	slot->kind = kind;
	slot->size = size;
	slot->address = address;
	slot->count = count;
	if (write)
		memcpy(slot->data, data, bytes);
	atomic_store_explicit(&slot->state, WALL_ACCESS_ASKED, memory_order_release);
	atomic_fetch_add_explicit(&end->accesses, 1, memory_order_relaxed);
	/* wall_hv_cancel sets its flag, then looks for ASKED: one of us sees the other. */
	atomic_thread_fence(memory_order_seq_cst);
	if (end->cancelled)
		wall_hv_cancel(end);
	ipc_event_ring(end->config.access_event);

	for (;;) {
		state = atomic_load_explicit(&slot->state, memory_order_acquire);
		if (state != WALL_ACCESS_ASKED || end->cancelled)
			break;
		if (!wait_word(&slot->state, WALL_ACCESS_ASKED,
			       slow ? 0 : WALL_ACCESS_SLOW_NS)) {
			slow = true;
			on_slow(slow_owner, true);
		}
	}
	if (slow)
		on_slow(slow_owner, false);
	if (end->cancelled)
		return failed_access(read, data, bytes);
	if (state != WALL_ACCESS_DONE) {
		lie(end, "access slot %u has state %u", vp, state);
		return failed_access(read, data, bytes);
	}
	if (read)
		memcpy(data, slot->data, bytes);
	atomic_store_explicit(&slot->state, WALL_ACCESS_IDLE, memory_order_relaxed);
	return 0;
}

int wall_hv_post_message(struct wall_hv *end, vp_index_t vp,
			 const struct wall_message *message,
			 void (*on_slow)(void *owner, bool slow), void *slow_owner,
			 u16 *ret_status)
{
	struct wall_message m = *message;
	int r = wall_hv_access(end, vp, WALL_POST_MESSAGE, m.connection, 1, sizeof m, &m,
			       on_slow, slow_owner);

	/* Only the status is the worker's to say; what else it wrote there is not read. */
	if (r == 0)
		*ret_status = (u16)m.status;
	return r;
}

bool wall_hv_post(struct wall_hv *end, enum wall_access_kind kind, u64 address,
		  unsigned size, u64 value)
{
	struct wall_posted *ring = &end->config.control->posted;
	bool room;

	pthread_mutex_lock(&end->posted_lock);
	/* A lie about tail costs the worker its own entries, nothing of ours. */
	u64 tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
	room = end->posted_head - tail < WALL_POSTED;
	if (room) {
		ring->entry[end->posted_head % WALL_POSTED] = (struct wall_posted_write){
			.kind = kind, .size = size, .address = address, .value = value
		};
		end->posted_head++;
		/* Release: the entry is there before head says so. */
		atomic_store_explicit(&ring->head, end->posted_head,
				      memory_order_release);
	}
	pthread_mutex_unlock(&end->posted_lock);
	if (!room)
		return false;
	atomic_fetch_add_explicit(&end->posted, 1, memory_order_relaxed);
	ipc_event_ring(end->config.access_event);
	return true;
}

void wall_hv_cancel(struct wall_hv *end)
{
	struct wall_control *control = end->config.control;

	atomic_store(&end->cancelled, true);
	for (u32 k = 0; k < end->config.vp_count; k++) {
		struct wall_access *slot = &control->access[k];
		u32 asked = WALL_ACCESS_ASKED;

		/* Whoever takes state away from ASKED owns the slot. */
		(void)atomic_compare_exchange_strong(&slot->state, &asked,
						     WALL_ACCESS_IDLE);
		syscall(SYS_futex, &slot->state, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
	}
}
