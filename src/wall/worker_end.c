/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's end of the wall; see worker_end.h. Order: verbs, interrupts, accesses. */
#include "wall/worker_end.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/ipc.h"
#include "base/log.h"
#include "wall/guest_memory.h"

/* After an access another one often follows at once; longer would burn a processor. */
#define POLL_NS 20000
/* An access that wakes us this soon after the last one would have been seen by polling. */
#define POLL_MISSED_NS 50000
/* How long hv may leave the lines ring full before we call it gone. */
#define LINES_PATIENCE_NS (5 * NS_PER_SEC)
/* And how long a processor may take for the rest of an instruction. */
#define FINISH_PATIENCE_MS 5000

struct worker_end {
	struct wall_control *control;
	u32 vp_count;
	int verbs, access_event, hv_event;
	u32 seq;

	/* loop thread */
	struct worker_range range[WALL_MAX_IO_RANGES];
	unsigned range_count;
	unsigned last_hit; /* index of the range that answered last */
	u64 posted_tail;
	unsigned poll_history; /* bit 0: the last poll hit, or would have; bit 1: the one before */
	u64 idle_since; /* when we last ran out of accesses */
	struct worker_end_counts counts;
	worker_message_fn message_fn;
	void *message_owner;
	struct guest_memory *gm; /* for flags that are lent */
	int *vp_event;		 /* a VP; NULL: none are lent */

	/* any thread */
	_Atomic u64 signals;
	/* any thread: the producer's side of control->lines */
	pthread_mutex_t lines_lock;
	pthread_t serving; /* the loop thread, valid while in_access */
	_Atomic bool in_access;
};

int worker_end_open(const struct worker_end_config *config, struct worker_end **ret_end)
{
	struct worker_end *end;

	if (config->control->version != WALL_VERSION ||
	    config->control->vp_count != config->vp_count || config->vp_count == 0 ||
	    config->vp_count > WALL_MAX_VPS)
		return -EPROTO;
	end = calloc(1, sizeof *end);
	if (!end)
		return -ENOMEM;
	end->control = config->control;
	end->vp_count = config->vp_count;
	end->verbs = config->verbs;
	end->access_event = config->access_event;
	end->hv_event = config->hv_event;
	pthread_mutex_init(&end->lines_lock, NULL);
	*ret_end = end;
	return 0;
}

static void close_vp_events(struct worker_end *end)
{
	for (u32 vp = 0; end->vp_event && vp < end->vp_count; vp++)
		if (end->vp_event[vp] >= 0)
			close(end->vp_event[vp]);
	free(end->vp_event);
	end->vp_event = NULL;
}

void worker_end_close(struct worker_end *end)
{
	if (!end)
		return;
	close_vp_events(end);
	pthread_mutex_destroy(&end->lines_lock);
	free(end);
}

/* ---- verbs ---- */

/* The largest block that travels beside a request or a reply. */
#define BLOCK_MAX                                                                 \
	(sizeof(struct vp_state) > WALL_CHIP_STATE_SIZE ? sizeof(struct vp_state) \
							: WALL_CHIP_STATE_SIZE)

static const char *verb_words(u32 verb)
{
	static const char *const words[WALL_VERB_COUNT] = {
		[WALL_VERB_HELLO] = "hello",
		[WALL_VERB_MAP] = "map",
		[WALL_VERB_DIRTY_LOG] = "dirty log",
		[WALL_VERB_DIRTY_SYNC] = "dirty sync",
		[WALL_VERB_SET_VP] = "set vp",
		[WALL_VERB_GET_VP] = "get vp",
		[WALL_VERB_SET_CHIP] = "set chip",
		[WALL_VERB_GET_CHIP] = "get chip",
		[WALL_VERB_SET_CLOCK] = "set clock",
		[WALL_VERB_GET_CLOCK] = "get clock",
		[WALL_VERB_FWCFG] = "fw_cfg",
		[WALL_VERB_IO_RANGE] = "i/o range",
		[WALL_VERB_PCI_PRESENT] = "pci",
		[WALL_VERB_DOORBELL] = "doorbell",
		[WALL_VERB_POST] = "post",
		[WALL_VERB_RUN] = "run",
		[WALL_VERB_STOP] = "stop",
		[WALL_VERB_RESET] = "reset",
		[WALL_VERB_POWER_BUTTON] = "power button",
		[WALL_VERB_NMI] = "nmi",
		[WALL_VERB_MSI_EVENT] = "msi event",
		[WALL_VERB_LEND_EVENTS] = "lend events",
	};

	return verb < WALL_VERB_COUNT && words[verb] ? words[verb] : "?";
}

/*
 * Ask and wait. block/block_size go out after the request; ret_block gets ret_block_size bytes
 * that must come with a good reply.
 */
static int call_with_fd(struct worker_end *end, struct wall_request *request,
			const void *block, size_t block_size, int fd,
			struct wall_reply *ret_reply, void *ret_block,
			size_t ret_block_size, struct err *err)
{
	struct {
		struct wall_request request;
		u8 block[BLOCK_MAX];
	} out;
	struct {
		struct wall_reply reply;
		u8 block[BLOCK_MAX];
	} in;
	const char *verb = verb_words(request->verb);
	size_t size = 0;
	unsigned fd_count = 0;

	request->seq = ++end->seq;
	out.request = *request;
	if (block_size > 0)
		memcpy(out.block, block, block_size);
	int r = ipc_send(end->verbs, &out, sizeof out.request + block_size, &fd, fd >= 0);
	if (r == 0)
		r = ipc_receive(end->verbs, &in, sizeof in, &size, NULL, 0, &fd_count);
	if (r < 0)
		return err_set(err, r, "hypervisor: %s: %s", verb,
			       r == -EPIPE ? "it is gone" : err_words(r));
	if (size < sizeof in.reply || in.reply.verb != request->verb ||
	    in.reply.seq != request->seq)
		return err_set(err, -EPROTO,
			       "hypervisor: %s: the answer belongs to another question",
			       verb);
	if (in.reply.result < 0)
		return err_set(err, in.reply.result, "hypervisor: %s: %s", verb,
			       err_words(in.reply.result));
	if (size != sizeof in.reply + ret_block_size)
		return err_set(err, -EPROTO, "hypervisor: %s: the answer has %zu bytes",
			       verb, size);
	if (ret_reply)
		*ret_reply = in.reply;
	if (ret_block_size > 0)
		memcpy(ret_block, in.block, ret_block_size);
	return 0;
}

static int call(struct worker_end *end, struct wall_request *request, const void *block,
		size_t block_size, struct wall_reply *ret_reply, void *ret_block,
		size_t ret_block_size, struct err *err)
{
	return call_with_fd(end, request, block, block_size, -1, ret_reply, ret_block,
			    ret_block_size, err);
}

static int ask(struct worker_end *end, struct wall_request *request, struct err *err)
{
	return call(end, request, NULL, 0, NULL, NULL, 0, err);
}

int worker_hello(struct worker_end *end, u64 ram_size, struct err *err)
{
	struct wall_request request = { .verb = WALL_VERB_HELLO };
	struct wall_reply reply;

	request.u.hello.version = WALL_VERSION;
	request.u.hello.vp_count = end->vp_count;
	request.u.hello.ram_size = ram_size;
	int r = call(end, &request, NULL, 0, &reply, NULL, 0, err);
	if (r < 0)
		return r;
	if (reply.u.hello.version != WALL_VERSION)
		return err_set(err, -EPROTO,
			       "hypervisor: it speaks version %u, we speak %u",
			       reply.u.hello.version, WALL_VERSION);
	if (reply.u.hello.vp_count != end->vp_count || reply.u.hello.ram_size != ram_size)
		return err_set(err, -EPROTO,
			       "hypervisor: it was started for another machine");
	return 0;
}

int worker_map(struct worker_end *end, const struct worker_map *map, struct err *err)
{
	struct wall_request request = { .verb = WALL_VERB_MAP };

	request.u.map.slot = map->slot;
	request.u.map.kind = map->kind;
	request.u.map.gpa = map->gpa;
	request.u.map.size = map->size;
	request.u.map.region = map->region;
	request.u.map.log = map->log;
	request.u.map.offset = map->offset;
	return ask(end, &request, err);
}

int worker_fw_cfg(struct worker_end *end, u16 key, u64 rom_offset, u32 size,
		  struct err *err)
{
	struct wall_request request = { .verb = WALL_VERB_FWCFG };

	request.u.fwcfg.key = key;
	request.u.fwcfg.size = size;
	request.u.fwcfg.offset = rom_offset;
	return ask(end, &request, err);
}

int worker_pci_present(struct worker_end *end, const u64 present[4], struct err *err)
{
	struct wall_request request = { .verb = WALL_VERB_PCI_PRESENT };

	memcpy(request.u.pci.present, present, sizeof request.u.pci.present);
	return ask(end, &request, err);
}

int worker_set_vp(struct worker_end *end, vp_index_t vp, const struct vp_state *state,
		  struct err *err)
{
	struct wall_request request = { .verb = WALL_VERB_SET_VP };

	request.u.vp.index = vp;
	return call(end, &request, state, sizeof *state, NULL, NULL, 0, err);
}

int worker_get_vp(struct worker_end *end, vp_index_t vp, struct vp_state *ret_state,
		  struct err *err)
{
	struct wall_request request = { .verb = WALL_VERB_GET_VP };

	request.u.vp.index = vp;
	return call(end, &request, NULL, 0, NULL, ret_state, sizeof *ret_state, err);
}

int worker_set_chip(struct worker_end *end, enum wall_chip chip, u32 index,
		    const void *block, struct err *err)
{
	struct wall_request request = { .verb = WALL_VERB_SET_CHIP };

	request.u.chip.chip = chip;
	request.u.chip.index = index;
	return call(end, &request, block, WALL_CHIP_STATE_SIZE, NULL, NULL, 0, err);
}

int worker_get_chip(struct worker_end *end, enum wall_chip chip, u32 index,
		    void *ret_block, struct err *err)
{
	struct wall_request request = { .verb = WALL_VERB_GET_CHIP };

	request.u.chip.chip = chip;
	request.u.chip.index = index;
	return call(end, &request, NULL, 0, NULL, ret_block, WALL_CHIP_STATE_SIZE, err);
}

int worker_set_clock(struct worker_end *end, const struct worker_clock *clock,
		     struct err *err)
{
	struct wall_request request = { .verb = WALL_VERB_SET_CLOCK };

	request.u.clock.realtime_offset_ns = clock->realtime_offset_ns;
	request.u.clock.reference_ns = clock->reference_ns;
	request.u.clock.tsc_hz = clock->tsc_hz;
	return ask(end, &request, err);
}

int worker_get_clock(struct worker_end *end, struct worker_clock *ret_clock,
		     struct err *err)
{
	struct wall_request request = { .verb = WALL_VERB_GET_CLOCK };
	struct wall_reply reply;
	int r = call(end, &request, NULL, 0, &reply, NULL, 0, err);

	if (r < 0)
		return r;
	ret_clock->realtime_offset_ns = reply.u.clock.realtime_offset_ns;
	ret_clock->reference_ns = reply.u.clock.reference_ns;
	ret_clock->tsc_hz = reply.u.clock.tsc_hz;
	return 0;
}

int worker_run(struct worker_end *end, struct err *err)
{
	return ask(end, &(struct wall_request){ .verb = WALL_VERB_RUN }, err);
}

/* A VP that waits for our answer has it, and ends its instruction. */
int worker_stop(struct worker_end *end, struct err *err)
{
	struct pollfd event = { .fd = end->access_event, .events = POLLIN };
	struct wall_reply reply = { 0 };

	for (;;) {
		struct wall_request request = { .verb = WALL_VERB_STOP };
		int r = call(end, &request, NULL, 0, &reply, NULL, 0, err);

		if (r < 0 || reply.u.stop.unfinished == 0)
			return r;
		/* Rung by who waits for an answer, and by who has done with it. */
		r = poll(&event, 1, FINISH_PATIENCE_MS);
		if (r == 0)
			return err_set(err, -ETIMEDOUT,
				       "hypervisor: stop: %u processors do not finish "
				       "their instruction",
				       reply.u.stop.unfinished);
		worker_serve(end);
	}
}

int worker_reset(struct worker_end *end, struct err *err)
{
	return ask(end, &(struct wall_request){ .verb = WALL_VERB_RESET }, err);
}

/* ---- interrupts ---- */

/*
 * hv empties the ring on its loop thread and moves tail. It wakes nobody for that, since a full
 * ring is so rare: we sleep while tail stands, and look again every millisecond.
 */
static bool wait_for_room(struct worker_end *end, u64 head) REQUIRES(end->lines_lock)
{
	struct wall_lines *lines = &end->control->lines;
	const struct timespec millisecond = { .tv_nsec = 1000000 };
	u64 give_up = 0, tail;

	while (head - (tail = atomic_load_explicit(&lines->tail, memory_order_acquire)) >=
	       WALL_LINES) {
		u64 now = host_clock.monotonic_ns(&host_clock);

		if (give_up == 0) {
			give_up = now + LINES_PATIENCE_NS;
			ipc_event_ring(end->hv_event);
		}
		if (now >= give_up)
			return false;
		syscall(SYS_futex, &lines->tail, FUTEX_WAIT, (u32)tail, &millisecond,
			NULL, 0);
	}
	return true;
}

static int push_line(struct worker_end *end, struct wall_line line)
{
	struct wall_lines *lines = &end->control->lines;
	int r = 0;

	pthread_mutex_lock(&end->lines_lock);
	u64 head = atomic_load_explicit(&lines->head, memory_order_relaxed);
	if (wait_for_room(end, head)) {
		lines->entry[head % WALL_LINES] = line;
		/* Release: whoever sees the new head sees the entry. */
		atomic_store_explicit(&lines->head, head + 1, memory_order_release);
	} else {
		r = -EPIPE;
	}
	if (line.kind == WALL_LINE_LEVEL)
		end->counts.lines++;
	else
		end->counts.msis++;
	pthread_mutex_unlock(&end->lines_lock);
	/* The VP that waits for our answer empties the ring before it goes on: no bell needed. */
	if (!(atomic_load(&end->in_access) &&
	      pthread_equal(end->serving, pthread_self())))
		ipc_event_ring(end->hv_event);
	return r;
}

int worker_set_line(struct worker_end *end, unsigned line, bool level)
{
	return push_line(end, (struct wall_line){
				      .kind = WALL_LINE_LEVEL,
				      .a = line,
				      .b = level,
			      });
}

int worker_msi(struct worker_end *end, u64 address, u32 data)
{
	return push_line(end, (struct wall_line){
				      .kind = WALL_LINE_MSI,
				      .a = address,
				      .b = data,
			      });
}

int worker_msi_event(struct worker_end *end, u32 number, u64 address, u32 data, int event,
		     struct err *err)
{
	struct wall_request request = { .verb = WALL_VERB_MSI_EVENT };

	request.u.msi_event.number = number;
	request.u.msi_event.remove = event < 0;
	request.u.msi_event.address = address;
	request.u.msi_event.data = data;
	request.u.msi_event.reserved = 0;
	return call_with_fd(end, &request, NULL, 0, event, NULL, NULL, 0, err);
}

/* ---- doorbells ---- */

int worker_doorbell(struct worker_end *end, const struct worker_doorbell *doorbell,
		    int event, struct err *err)
{
	struct wall_request request = { .verb = WALL_VERB_DOORBELL };

	request.u.doorbell.kind = doorbell->mmio ? WALL_DOORBELL_MMIO : WALL_DOORBELL_PIO;
	request.u.doorbell.size = doorbell->size;
	request.u.doorbell.address = doorbell->address;
	request.u.doorbell.match = doorbell->match;
	request.u.doorbell.any_value = doorbell->any_value;
	request.u.doorbell.remove = event < 0;
	return call_with_fd(end, &request, NULL, 0, event, NULL, NULL, 0, err);
}

/* ---- synthetic interrupts ---- */

/* Status of a hypercall: nobody listens at this connection. */
#define UNKNOWN_CONNECTION 0x12

void worker_on_message(struct worker_end *end, worker_message_fn fn, void *owner)
{
	end->message_fn = fn;
	end->message_owner = owner;
}

static int set_connection(struct worker_end *end, u32 connection, int event, bool remove,
			  struct err *err)
{
	struct wall_request request = { .verb = WALL_VERB_DOORBELL };

	request.u.doorbell.kind = WALL_DOORBELL_CONNECTION;
	request.u.doorbell.size = 0;
	request.u.doorbell.address = connection;
	request.u.doorbell.match = 0;
	request.u.doorbell.any_value = 1;
	request.u.doorbell.remove = remove;
	return call_with_fd(end, &request, NULL, 0, event, NULL, NULL, 0, err);
}

int worker_connect(struct worker_end *end, u32 connection, int event, struct err *err)
{
	return set_connection(end, connection, event, false, err);
}

int worker_disconnect(struct worker_end *end, u32 connection, struct err *err)
{
	return set_connection(end, connection, -1, true, err);
}

int worker_post(struct worker_end *end, vp_index_t vp, u32 sint, u32 type,
		const void *payload, u32 size)
{
	struct wall_request request = { .verb = WALL_VERB_POST };
	struct err err;

	if (vp >= end->vp_count || sint >= WALL_SINTS ||
	    size > sizeof request.u.post.payload)
		return -EINVAL;
	request.u.post.vp = vp;
	request.u.post.sint = sint;
	request.u.post.type = type;
	request.u.post.size = size;
	memset(request.u.post.payload, 0, sizeof request.u.post.payload);
	memcpy(request.u.post.payload, payload, size);
	int r = ask(end, &request, &err);
	if (r == 0)
		end->counts.messages_out++;
	return r;
}

int worker_make_vp_events(struct worker_end *end)
{
	int r = 0;

	end->vp_event = malloc(end->vp_count * sizeof end->vp_event[0]);
	if (!end->vp_event)
		return -ENOMEM;
	for (u32 vp = 0; vp < end->vp_count; vp++) {
		end->vp_event[vp] = r < 0 ? -1 : ipc_event_new();
		if (end->vp_event[vp] < 0 && r == 0)
			r = end->vp_event[vp];
	}
	return r;
}

int worker_borrow_events(struct worker_end *end, struct guest_memory *gm, struct err *err)
{
	int r = 0;

	end->gm = gm;
	for (u32 vp = 0; end->vp_event && vp < end->vp_count && r == 0; vp++) {
		struct wall_request request = { .verb = WALL_VERB_LEND_EVENTS };

		request.u.vp.index = vp;
		r = call_with_fd(end, &request, NULL, 0, end->vp_event[vp], NULL, NULL, 0,
				 err);
	}
	if (r != -EOPNOTSUPP)
		return r;
	/* The engine cannot: hv sets all flags. */
	close_vp_events(end);
	return 0;
}

/* Set the flag where the guest has it. False: hv has to. */
static bool set_lent_flag(struct worker_end *end, vp_index_t vp, u32 flag)
{
	gpa_t flags = atomic_load(&end->control->synic[vp].lent);
	u64 bit = BIT64(flag % 64), old, ticket = 0;

	if (!end->vp_event || flags == WALL_NOT_LENT ||
	    gm_or64(end->gm, flags + flag / 64 * sizeof(u64), bit, &old, &ticket) < 0)
		return false;
	/* Whoever set it before us rings, or has rung: the guest will see it. */
	if (!(old & bit) && gm_wait_published(end->gm, ticket) == 0)
		ipc_event_ring(end->vp_event[vp]);
	return true;
}

void worker_signal(struct worker_end *end, vp_index_t vp, u32 flag)
{
	struct wall_synic *synic = &end->control->synic[vp];
	u64 bit = BIT64(flag % 64);

	if (vp >= end->vp_count || flag >= 64 * ARRAY_COUNT(synic->pending))
		return;
	atomic_fetch_add_explicit(&end->signals, 1, memory_order_relaxed);
	if (set_lent_flag(end, vp, flag))
		return;
	/*
	 * Whoever set the bit before us woke hv, which takes it after that: a bit that is still
	 * set is yet to be seen, with all that was written before it.
	 */
	if (atomic_fetch_or(&synic->pending[flag / 64], bit) & bit)
		return;
	atomic_fetch_or(&end->control->signalled[vp / 64], BIT64(vp % 64));
	u32 asleep = 1;
	if (atomic_compare_exchange_strong(&synic->parked, &asleep, 0))
		syscall(SYS_futex, &synic->parked, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	else
		ipc_event_ring(end->hv_event);
}

/* ---- accesses ---- */

static struct worker_range *find_range(struct worker_end *end, bool mmio, u64 address)
{
	struct worker_range *r = &end->range[end->last_hit];

	if (end->last_hit < end->range_count && r->mmio == mmio && address >= r->base &&
	    address - r->base < r->size)
		return r;
	for (unsigned i = 0; i < end->range_count; i++) {
		r = &end->range[i];
		if (r->mmio == mmio && address >= r->base &&
		    address - r->base < r->size) {
			end->last_hit = i;
			return r;
		}
	}
	return NULL;
}

static int tell_range(struct worker_end *end, const struct worker_range *range,
		      bool remove, struct err *err)
{
	struct wall_request request = { .verb = WALL_VERB_IO_RANGE };

	request.u.io_range.mmio = range->mmio;
	request.u.io_range.posted = range->posted;
	request.u.io_range.base = range->base;
	request.u.io_range.size = range->size;
	request.u.io_range.remove = remove;
	return ask(end, &request, err);
}

int worker_add_range(struct worker_end *end, const struct worker_range *range,
		     struct err *err)
{
	u64 limit = range->mmio ? BIT64(WALL_GPA_BITS) : 0x10000;
	unsigned long long base = range->base, size = range->size;

	if (size == 0 || !range_inside(base, size, limit))
		return err_set(err, -EINVAL, "range %#llx+%#llx is none", base, size);
	for (unsigned i = 0; i < end->range_count; i++)
		if (end->range[i].mmio == range->mmio &&
		    ranges_overlap(end->range[i].base, end->range[i].size, base, size))
			return err_set(err, -EEXIST, "range %#llx+%#llx is taken", base,
				       size);
	if (end->range_count == WALL_MAX_IO_RANGES)
		return err_set(err, -ENOSPC, "more than %d ranges", WALL_MAX_IO_RANGES);
	/* The handler stands before hv can send the first access to it. */
	end->range[end->range_count++] = *range;
	int r = tell_range(end, range, false, err);
	if (r < 0)
		end->range_count--;
	return r;
}

int worker_remove_range(struct worker_end *end, bool mmio, u64 base, struct err *err)
{
	for (unsigned i = 0; i < end->range_count; i++) {
		if (end->range[i].mmio != mmio || end->range[i].base != base)
			continue;
		int r = tell_range(end, &end->range[i], true, err);
		if (r == 0)
			end->range[i] = end->range[--end->range_count];
		return r;
	}
	return err_set(err, -ENOENT, "no range begins at %#llx",
		       (unsigned long long)base);
}

static bool good_size(u32 size)
{
	return size == 1 || size == 2 || size == 4 || size == 8;
}

static u64 cut(u64 value, unsigned size)
{
	return size == 8 ? value : value & (BIT64(size * 8) - 1);
}

/* Posted writes, in order, up to what was there when we looked. Returns how many. */
static u64 serve_posted(struct worker_end *end)
{
	struct wall_posted *posted = &end->control->posted;
	u64 head = atomic_load_explicit(&posted->head, memory_order_acquire);
	u64 count = head - end->posted_tail;

	while (end->posted_tail != head) {
		struct wall_posted_write w =
			posted->entry[end->posted_tail % WALL_POSTED];
		bool mmio = w.kind == WALL_MMIO_WRITE;
		struct worker_range *r = find_range(end, mmio, w.address);

		if (r && good_size(w.size))
			r->ops->write(r->owner, w.address - r->base, w.size,
				      cut(w.value, w.size));
		end->posted_tail++;
		/* One by one, so that a full ring has room as early as possible. */
		atomic_store_explicit(&posted->tail, end->posted_tail,
				      memory_order_release);
	}
	end->counts.posted += count;
	return count;
}

static void read_elements(struct worker_range *r, u64 offset, u32 size, u32 count,
			  u8 *data)
{
	if (count > 1 && r->ops->read_string) {
		r->ops->read_string(r->owner, offset, size, count, data);
		return;
	}
	for (u32 i = 0; i < count; i++) {
		u64 value = r->ops->read(r->owner, offset, size);

		memcpy(data + (size_t)i * size, &value, size);
	}
}

static void write_elements(struct worker_range *r, u64 offset, u32 size, u32 count,
			   const u8 *data)
{
	if (count > 1 && r->ops->write_string) {
		r->ops->write_string(r->owner, offset, size, count, data);
		return;
	}
	for (u32 i = 0; i < count; i++) {
		u64 value = 0;

		memcpy(&value, data + (size_t)i * size, size);
		r->ops->write(r->owner, offset, size, value);
	}
}

static void serve_message(struct worker_end *end, struct wall_access *access)
{
	struct wall_message m;

	memcpy(&m, access->data, sizeof m);
	end->counts.messages_in++;
	m.status = UNKNOWN_CONNECTION;
	if (end->message_fn && m.size <= sizeof m.payload)
		m.status = end->message_fn(end->message_owner, m.connection, m.type,
					   m.payload, m.size);
	memcpy(access->data, &m, sizeof m);
}

/* Answer in place; hv wrote the request before ASKED and leaves the slot alone until DONE. */
static void serve_access(struct worker_end *end, struct wall_access *access)
{
	u32 kind = access->kind, size = access->size, count = access->count;
	u64 address = access->address;
	bool write = kind == WALL_PIO_WRITE || kind == WALL_MMIO_WRITE;
	bool mmio = kind == WALL_MMIO_READ || kind == WALL_MMIO_WRITE;
	/* Above a port there may be the PCI address latch: it stays in the offset. */
	struct worker_range *r = find_range(end, mmio, mmio ? address : (u16)address);

	if (kind == WALL_POST_MESSAGE) {
		serve_message(end, access);
		return;
	}
	/* Flags are set on this thread: it is at none now. */
	if (kind == WALL_EVENTS_BACK)
		return;
	end->counts.accesses++;
	if (!good_size(size) || count == 0 || count > WALL_ACCESS_DATA / size) {
		log_warn("an access of %u elements of %u bytes is ignored", count, size);
		return;
	}
	end->counts.strings += count > 1;
	if (!r && !write)
		memset(access->data, 0xff, (size_t)size * count);
	else if (r && write)
		write_elements(r, address - r->base, size, count, access->data);
	else if (r)
		read_elements(r, address - r->base, size, count, access->data);
}

/* One look at everything; true if there was anything. */
static bool serve_all(struct worker_end *end)
{
	bool any = serve_posted(end) > 0;

	for (u32 vp = 0; vp < end->vp_count; vp++) {
		struct wall_access *access = &end->control->access[vp];

		if (atomic_load_explicit(&access->state, memory_order_acquire) !=
		    WALL_ACCESS_ASKED)
			continue;
		any = true;
		/* What this VP posted before it asked comes first. */
		serve_posted(end);
		end->serving = pthread_self();
		atomic_store(&end->in_access, true);
		serve_access(end, access);
		atomic_store(&end->in_access, false);
		/* hv may have taken the slot back because the VM ends: then it is not ours. */
		u32 asked = WALL_ACCESS_ASKED;
		if (atomic_compare_exchange_strong(&access->state, &asked,
						   WALL_ACCESS_DONE))
			syscall(SYS_futex, &access->state, FUTEX_WAKE, INT_MAX, NULL,
				NULL, 0);
	}
	return any;
}

void worker_serve(struct worker_end *end)
{
	u64 now = host_clock.monotonic_ns(&host_clock);

	ipc_event_clear(end->access_event);
	if (!serve_all(end))
		return;
	end->poll_history = end->poll_history << 1 |
			    (now - end->idle_since < POLL_MISSED_NS);
	/* The event is rung again meanwhile; the loop then comes back once for nothing. */
	while ((end->poll_history & 3) == 3) {
		u64 start = host_clock.monotonic_ns(&host_clock);
		bool hit = false;

		while (!hit && host_clock.monotonic_ns(&host_clock) - start < POLL_NS) {
			__builtin_ia32_pause();
			hit = serve_all(end);
		}
		end->counts.polls++;
		end->counts.poll_hits += hit;
		end->poll_history = end->poll_history << 1 | hit;
	}
	end->idle_since = host_clock.monotonic_ns(&host_clock);
}

void worker_end_count(const struct worker_end *end, struct worker_end_counts *ret_counts)
{
	*ret_counts = end->counts;
	ret_counts->signals = atomic_load(&end->signals);
}
