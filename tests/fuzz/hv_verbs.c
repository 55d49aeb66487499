/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hv against a worker that says anything: requests with random contents, sizes and descriptors,
 * rings and access slots with random bytes, while two VPs touch ports and addresses of every
 * kind. Each input has a partition of its own, so that a finding can be looked at again. What
 * must hold: no crash, no sanitizer report, and the loop thread comes back from every call, so
 * that the VM can always be stopped.
 *
 * An input is a list of actions: a byte that chooses, then what the action eats.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/ipc.h"
#include "base/log.h"
#include "hv/partition.h"
#include "hv/vp.h"
#include "wall/fake_worker.h"

#define RAM (4u << 20)
#define VPS 2

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

/* ---- an engine that touches what the input says ----------------------------------------------- */

struct engine_vp {
	const struct x86_bus_ops *bus;
	void *bus_vp;
	u32 index;
	struct vp_state state;
	_Atomic bool kicked;
	u32 seed;
	struct engine_call call;
};

#include "no_engine.h"

static _Atomic u32 activity; /* what the VPs do; changes with the input */

/* Touches the first and the last byte of everything that is mapped: hv must never map wrongly. */
static int fuzz_map_changed(struct engine_vm *vm, const struct engine_slot *slots,
			    unsigned count, struct err *e)
{
	volatile u8 sum = 0;

	(void)vm;
	(void)e;
	for (unsigned k = 0; k < count; k++) {
		if (k > 0 && slots[k].gpa < slots[k - 1].gpa + slots[k - 1].size)
			abort();
		sum = (u8)(sum + slots[k].host[0] + slots[k].host[slots[k].size - 1]);
	}
	return 0;
}

static int fuzz_vp_new(struct engine_vm *vm, vp_index_t index,
		       const struct x86_bus_ops *bus, void *bus_vp,
		       struct engine_vp **ret, struct err *e)
{
	(void)vm;
	(void)e;
	*ret = calloc(1, sizeof **ret);
	if (!*ret)
		abort();
	(*ret)->bus = bus;
	(*ret)->bus_vp = bus_vp;
	(*ret)->index = index;
	return 0;
}

static int fuzz_thread_start(struct engine_vp *vp)
{
	(void)vp;
	return 0;
}

static void touch(struct engine_vp *v, u32 what)
{
	static const u16 ports[] = { 0x20,  0x3f8, 0x60,  0x70,	 0x71,	 0xcf8,	 0xcfc,
				     0x510, 0x511, 0x600, 0x604, 0x1000, 0x1001, 0x2000,
				     0xe9,  0xe4,  0xb8,  0xbc,	 0x3000 };
	/* not the reset and the crash: they end what the others could still find */
	static const u32 msrs[] = { 0x40000000, 0x40000001, 0x40000002, 0x40000020,
				    0x40000021, 0x40000073, 0x40000080, 0x40000081,
				    0x40000082, 0x40000083, 0x40000084, 0x40000092,
				    0x4000009f, 0x400000b0, 0x400000b1, 0x40000100 };
	static const u32 codes[] = { 0x5c, 0x1005d, 0x1000b, 0x2,  0x13,
				     0x8,  0x8001,  0x15,    0x5d, 0xffff };
	u16 port = ports[(what >> 4) % ARRAY_COUNT(ports)];
	u8 data[300];

	switch (what & 15) {
	case 0:
		v->bus->pio_read(v->bus_vp, port, 1u << ((what >> 8) % 3));
		break;
	case 1: /* not the sleep register's enable bit: that ends the VM */
		v->bus->pio_write(v->bus_vp, port, 1u << ((what >> 8) % 3),
				  what & 0x5f5f);
		break;
	case 2:
		v->bus->pio_read_string(v->bus_vp, port, 1, data,
					(what >> 8) % sizeof data);
		break;
	case 3:
		memset(data, (int)what, sizeof data);
		v->bus->pio_write_string(v->bus_vp, port == 0x604 ? 0x80 : port, 2, data,
					 (what >> 8) % (sizeof data / 2));
		break;
	case 4:
		v->bus->mmio_read(v->bus_vp, 0xe0000000 + (what >> 8) % 0x3000, 4);
		break;
	case 5:
		v->bus->mmio_write(v->bus_vp, 0xe0000000 + (what >> 8) % 0x3000, 8, what);
		break;
	case 6:
		v->bus->mmio_write(v->bus_vp, 0xfee00000 + ((what >> 8) % 0x40) * 16, 4,
				   what);
		break;
	case 7:
		v->bus->mmio_write(v->bus_vp, 0xfec00000 + ((what >> 8) % 5) * 16, 4,
				   what);
		break;
	case 8: {
		struct x86_page page;

		v->bus->resolve(v->bus_vp, (what >> 8) * 4096ull, &page);
		if (page.host)
			(void)*(volatile u8 *)page.host;
		break;
	}
	case 9:
		(void)v->bus->interrupt_take(v->bus_vp);
		break;
	case 10: {
		u64 value;

		(void)v->bus->msr_read(v->bus_vp, msrs[(what >> 4) % ARRAY_COUNT(msrs)],
				       &value);
		break;
	}
	case 11: /* pages of RAM, small numbers */
		(void)v->bus->msr_write(v->bus_vp, msrs[(what >> 4) % ARRAY_COUNT(msrs)],
					what & 0x1ff);
		(void)v->bus->msr_write(v->bus_vp, msrs[(what >> 4) % ARRAY_COUNT(msrs)],
					(what & 0x3ff000) | 1);
		break;
	case 12:
		v->call = (struct engine_call){ .wide = what & 16, .privileged = true };
		v->call.gpr[R_CX] = codes[(what >> 8) % ARRAY_COUNT(codes)];
		v->call.gpr[R_AX] = v->call.gpr[R_CX];
		v->call.gpr[R_DX] = what & 0x1ff8;
		v->call.gpr[R_8] = what >> 20;
		(void)v->bus->hypercall(v->bus_vp);
		break;
	}
}

static enum engine_exit fuzz_run(struct engine_vp *v)
{
	for (unsigned n = 0; n < 1000; n++) {
		if (atomic_exchange(&v->kicked, false))
			return ENGINE_KICKED;
		v->seed = v->seed * 1664525 + 1013904223 + atomic_load(&activity);
		touch(v, v->seed >> 7);
	}
	return atomic_load(&activity) & 1 ? ENGINE_HALTED : ENGINE_KICKED;
}

static void fuzz_kick(struct engine_vp *v)
{
	atomic_store(&v->kicked, true);
}

static bool fuzz_can_wake(struct engine_vp *v)
{
	return !(atomic_load(&activity) & 1) || (v->seed & 2);
}

static void fuzz_drop_rights(struct engine_vm *vm)
{
	(void)vm;
}

static void fuzz_count(struct engine_vp *v, struct hv_stats *io_stats)
{
	(void)v;
	(void)io_stats;
}

static u64 fuzz_tsc(struct engine_vp *v)
{
	(void)v;
	return host_clock.monotonic_ns(&host_clock);
}

static int fuzz_event_add(struct engine_vm *vm, unsigned number,
			  const struct engine_route *route, int event)
{
	(void)vm;
	(void)event;
	if (number >= ENGINE_MSI_EVENTS || (route->valid && route->data > 0xffff))
		abort();
	return 0;
}

static void fuzz_event_remove(struct engine_vm *vm, unsigned number, int event)
{
	(void)vm;
	if (number >= ENGINE_MSI_EVENTS || event < 0)
		abort();
}

static int fuzz_event_route(struct engine_vm *vm, unsigned number,
			    const struct engine_route *route)
{
	return fuzz_event_add(vm, number, route, -1);
}

static const struct engine_ops fuzz_ops = {
	.name = "fuzz",
	NO_ENGINE_OPS,
	.map_changed = fuzz_map_changed,
	.vp_new = fuzz_vp_new,
	.vp_thread_start = fuzz_thread_start,
	.vp_run = fuzz_run,
	.vp_kick = fuzz_kick,
	.vp_can_wake = fuzz_can_wake,
	.drop_write_rights = fuzz_drop_rights,
	.vp_tsc = fuzz_tsc,
	.vp_count = fuzz_count,
	.msi_event_add = fuzz_event_add,
	.msi_event_remove = fuzz_event_remove,
	.msi_event_route = fuzz_event_route,
};

/* ---- the partition; this thread is its loop ---------------------------------------------------- */

static struct fake_worker *worker;
static struct partition *partition;
static struct loop *loop;
static int serial[2];

static void on_ended(void *owner, enum vm_end end, u32 code, const char *text)
{
	(void)owner;
	(void)end;
	(void)code;
	if (strlen(text) == 0)
		abort();
}

static const struct partition_events events = { no_first_entry, on_ended,
						no_guest_reset };

static void make(void)
{
	struct partition_config config = { .engine = &fuzz_ops,
					   .kvm_fd = -1,
					   .vp_count = VPS,
					   .test_devices = true,
					   .tsc_hz = NS_PER_SEC,
					   .events = &events };
	struct err err = { 0 };

	log_start("fuzz", LOG_ERROR);
	if (fake_worker_new(RAM, VPS, &worker) < 0 || loop_new(&loop) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, serial) < 0)
		abort();
	fcntl(worker->verbs, F_SETFL, O_NONBLOCK);
	fcntl(worker->worker_verbs, F_SETFL, O_NONBLOCK);
	config.region[WALL_REGION_RAM] = (struct memory_region){ worker->ram, RAM };
	config.region[WALL_REGION_VRAM] =
		(struct memory_region){ worker->vram, worker->vram_size };
	config.region[WALL_REGION_ROM] =
		(struct memory_region){ worker->rom, worker->rom_size };
	config.code_map = worker->code;
	config.dirty_map = worker->dirty;
	config.control = worker->control;
	config.verbs = worker->verbs;
	config.access_event = worker->access_event;
	config.hv_event = worker->hv_event;
	config.serial[0] = serial[0];
	config.serial[1] = -1;
	config.loop = loop;
	if (partition_new(&config, &partition, &err) < 0 ||
	    partition_start(partition, &err) < 0 || fake_worker_start(worker) < 0)
		abort();
}

static void unmake(void)
{
	partition_free(partition);
	loop_free(loop);
	fake_worker_free(worker);
	close(serial[0]);
	close(serial[1]);
}

/* One look of the loop at what waits: it must come back. */
static void on_enough(void *owner)
{
	(void)owner;
	loop_stop(loop);
}

struct input {
	const u8 *data;
	size_t left;
};

static void eat(struct input *in, void *to, size_t size)
{
	size_t n = size < in->left ? size : in->left;

	memset(to, 0, size);
	memcpy(to, in->data, n);
	in->data += n;
	in->left -= n;
}

static u8 eat_u8(struct input *in)
{
	u8 v;

	eat(in, &v, 1);
	return v;
}

static void drain_answers(void)
{
	u8 answer[8192];
	size_t size;
	int fd;
	unsigned count;

	while (ipc_receive(worker->worker_verbs, answer, sizeof answer, &size, &fd, 1,
			   &count) == 0)
		;
}

static void say(struct input *in)
{
	struct {
		struct wall_request request;
		u8 block[8192];
	} m = { 0 };
	u8 how = eat_u8(in);
	u8 verb = eat_u8(in), length = eat_u8(in);
	size_t size;
	AUTO_CLOSE int event = -1;
	bool rings; /* takes an eventfd */

	m.request.verb = verb < 0xf0 ? 1 + verb % WALL_VERB_COUNT : verb;
	eat(in, &m.request.u, length);
	/* Small numbers in the first fields: what passes the first check sees the second. */
	if (how & 0x40)
		for (unsigned k = 0; k < 8; k += 4)
			m.request.u.bytes[k] &= 3,
				m.request.u.bytes[k + 1] = 0,
						      m.request.u.bytes[k + 2] = 0,
						      m.request.u.bytes[k + 3] = 0;
	size = sizeof m.request + wall_verb_request_block(m.request.verb);
	if (wall_verb_request_block(m.request.verb)) {
		struct vp_state *state = (void *)m.block;

		if (how & 0x20)
			vp_state_reset(state, true);
		eat(in, m.block + (eat_u8(in) * 8u), eat_u8(in));
	}
	if ((how & 0x1f) == 1) /* of the wrong size, seldom: it ends the VM */
		size = size > how ? size - eat_u8(in) : size;
	rings = m.request.verb == WALL_VERB_DOORBELL ||
		m.request.verb == WALL_VERB_MSI_EVENT ||
		m.request.verb == WALL_VERB_LEND_EVENTS;
	if ((how & 0x80) || rings)
		event = eventfd(0, EFD_NONBLOCK);
	if (event >= 0 && !rings && (how & 0x1f) > 1) {
		close(event);
		event = -1;
	}
	(void)!ipc_send(worker->worker_verbs, &m, size, &event, event >= 0);
}

/* Anywhere in the shared memory, but mostly where somebody looks. */
static void scribble(struct input *in)
{
	struct wall_control *c = worker->control;
	u8 where = eat_u8(in);
	u64 value = 0;

	eat(in, &value, where & 0x80 ? 1 : 8);
	switch (where & 7) {
	case 0: {
		struct wall_line *line = &c->lines.entry[worker->lines_head % WALL_LINES];

		line->kind = value & 1;
		line->a = where & 0x40 ? value >> 1 : (value >> 1) % 25;
		line->b = where & 0x20 ? (u32)(value >> 8) : value & 1;
		atomic_store(&c->lines.head, ++worker->lines_head);
		break;
	}
	case 1: {
		struct wall_flush *f =
			&c->flushes.entry[worker->flushes_head % WALL_FLUSHES];

		f->first_page = value % 1030;
		f->count = (value >> 32) % 1030;
		atomic_store(&c->flushes.head, ++worker->flushes_head);
		break;
	}
	case 2:
		atomic_fetch_add(&c->lines.head, value % 520);
		worker->lines_head = c->lines.head;
		break;
	case 3:
		atomic_store(&c->posted.tail, value);
		break;
	case 4:
		atomic_store(&c->flushes.waiting, (u32)value);
		atomic_store(&c->flushes.done, value);
		break;
	case 5:
		atomic_store(&c->access[value % VPS].state, (u32)(value >> 8) % 4);
		break;
	case 6:
		memset(&c->access[value % VPS], (int)(value >> 8), 16);
		break;
	case 7:
		memset((u8 *)&c->lines + value % sizeof c->lines, (int)value, 1);
		worker->lines_head = c->lines.head;
		break;
	}
	ipc_event_ring(worker->hv_event);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = { data, size };
	struct loop_alarm enough;

	make();
	while (in.left > 0) {
		switch (eat_u8(&in) % 8) {
		case 0:
		case 1:
		case 2:
		case 3:
			say(&in);
			break;
		case 4:
		case 5:
			scribble(&in);
			break;
		case 6:
			atomic_store(&activity, eat_u8(&in));
			break;
		case 7:
			atomic_store(&worker->hold, in.left & 1);
			ipc_event_ring(worker->access_event);
			break;
		}
		/* The loop, as long as something waits. */
		wall_hv_on_verbs(&partition->wall);
		wall_hv_on_event(&partition->wall);
		drain_answers();
		if (atomic_load(&partition->ended))
			break;
	}
	/* Whatever was said: it can be stopped, looked at, and its loop goes round. */
	partition_stop(partition);
	loop_alarm_init(loop, &enough, on_enough, NULL);
	loop_alarm_set(&enough, 1);
	if (loop_run(loop) < 0)
		abort();
	unmake();
	return 0;
}
