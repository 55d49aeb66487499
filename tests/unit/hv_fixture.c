/* SPDX-License-Identifier: Apache-2.0 */
/* A partition on a scripted engine; see hv_fixture.h. */
#include "hv_fixture.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <x86intrin.h>

#include "base/ipc.h"

#define RAM_SIZE (16u << 20)

/* ---- the engine ------------------------------------------------------------------------------ */

static struct machine *the_machine; /* a test is a process of its own */

struct engine_vm {
	int unused;
};

static int script_vm_new(const struct engine_vm_config *config, struct engine_vm **ret_vm,
			 struct err *err)
{
	(void)config;
	*ret_vm = calloc(1, sizeof **ret_vm);
	return *ret_vm ? 0 : err_set(err, -ENOMEM, "no memory");
}

static void script_vm_free(struct engine_vm *vm)
{
	free(vm);
}

static int script_map_changed(struct engine_vm *vm, const struct engine_slot *slots,
			      unsigned count, struct err *err)
{
	(void)vm;
	(void)slots;
	(void)count;
	(void)err;
	atomic_fetch_add(&the_machine->maps_changed, 1);
	return 0;
}

static int script_vp_new(struct engine_vm *vm, vp_index_t index,
			 const struct x86_bus_ops *bus, void *bus_vp,
			 struct engine_vp **ret_vp, struct err *err)
{
	struct script_vp *v = calloc(1, sizeof *v);

	(void)vm;
	if (!v)
		return err_set(err, -ENOMEM, "no memory");
	v->bus = bus;
	v->bus_vp = bus_vp;
	v->index = index;
	v->machine = the_machine;
	the_machine->vp[index] = v;
	*ret_vp = (struct engine_vp *)v;
	return 0;
}

static void script_vp_free(struct engine_vp *vp)
{
	free(vp);
}

static int script_thread_start(struct engine_vp *vp)
{
	(void)vp;
	return 0;
}

static void take_events(struct script_vp *v)
{
	int vector;

	if (atomic_load(&v->nmis_waiting) > 0) {
		atomic_fetch_sub(&v->nmis_waiting, 1);
		atomic_fetch_add(&v->nmis, 1);
		v->halted = false;
	}
	if (!v->interrupts_on || !atomic_exchange(&v->interrupt, false))
		return;
	vector = v->bus->interrupt_take(v->bus_vp);
	if (vector < 0)
		return;
	atomic_store(&v->taken, (u32)vector);
	atomic_fetch_add(&v->taken_count, 1);
	v->halted = false;
}

static enum engine_exit script_run(struct engine_vp *vp)
{
	struct script_vp *v = (struct script_vp *)vp;
	script_fn script = v->machine->script[v->index];

	atomic_fetch_add(&v->runs, 1);
	for (;;) {
		if (atomic_exchange(&v->kicked, false))
			return ENGINE_KICKED;
		take_events(v);
		if (v->halted)
			return ENGINE_HALTED;
		atomic_fetch_add(&v->calls, 1);
		switch (script ? script(v) : SCRIPT_HALT) {
		case SCRIPT_AGAIN:
			sched_yield();
			break;
		case SCRIPT_HALT:
			v->halted = true;
			break;
		case SCRIPT_TRIPLE_FAULT:
			return ENGINE_TRIPLE_FAULT;
		case SCRIPT_FAILED:
			return ENGINE_FAILED;
		}
	}
}

static void script_kick(struct engine_vp *vp)
{
	atomic_store(&((struct script_vp *)vp)->kicked, true);
}

static void script_interrupt(struct engine_vp *vp, bool pending)
{
	atomic_store(&((struct script_vp *)vp)->interrupt, pending);
}

static void script_nmi(struct engine_vp *vp)
{
	atomic_fetch_add(&((struct script_vp *)vp)->nmis_waiting, 1);
}

static bool script_can_wake(struct engine_vp *vp)
{
	struct script_vp *v = (struct script_vp *)vp;

	return atomic_load(&v->nmis_waiting) > 0 || (v->interrupts_on && v->interrupt);
}

static int script_get_state(struct engine_vp *vp, struct vp_state *ret_state)
{
	*ret_state = ((struct script_vp *)vp)->state;
	return 0;
}

static int script_set_state(struct engine_vp *vp, const struct vp_state *state,
			    struct err *err)
{
	struct script_vp *v = (struct script_vp *)vp;

	(void)err;
	v->state = *state;
	v->tsc_offset = (s64)(state->tsc - __rdtsc()); /* as an engine by itself can */
	v->halted = state->activity == VP_HALTED;
	v->interrupts_on = state->rflags & 0x200;
	return 0;
}

static void script_drop_code(struct engine_vm *vm, u64 first, u64 count)
{
	(void)vm;
	atomic_store(&the_machine->dropped_first, first);
	atomic_store(&the_machine->dropped_count, count);
	atomic_fetch_add(&the_machine->drops, 1);
}

static void script_drop_rights(struct engine_vm *vm)
{
	(void)vm;
}

static void script_count(struct engine_vp *vp, struct hv_stats *io_stats)
{
	io_stats->instructions += ((struct script_vp *)vp)->calls;
}

static void script_call_get(struct engine_vp *vp, struct engine_call *ret_call)
{
	struct script_vp *v = (struct script_vp *)vp;

	*ret_call = v->call;
}

static void script_call_set(struct engine_vp *vp, const struct engine_call *call)
{
	((struct script_vp *)vp)->call = *call;
}

static void script_call_xmm(struct engine_vp *vp, u8 ret_xmm[6][16])
{
	memcpy(ret_xmm, ((struct script_vp *)vp)->xmm,
	       sizeof((struct script_vp *)vp)->xmm);
}

static void script_flush_tlb(struct engine_vm *vm, const struct engine_flush *flush)
{
	(void)vm;
	the_machine->flush = *flush;
	the_machine->flush_vps = flush->vps[0];
	atomic_fetch_add(&the_machine->flushes, 1);
}

static u64 script_tsc(struct engine_vp *vp)
{
	return __rdtsc() + (u64)((struct script_vp *)vp)->tsc_offset;
}

static s64 script_tsc_offset(struct engine_vp *vp)
{
	return ((struct script_vp *)vp)->tsc_offset;
}

static void script_set_tsc_offset(struct engine_vp *vp, s64 offset)
{
	((struct script_vp *)vp)->tsc_offset = offset;
}

/* Eventfds of the VPs alone; nobody makes an interrupt of them. */
static int script_event_add(struct engine_vm *vm, unsigned number,
			    const struct engine_route *route, int event)
{
	(void)vm;
	(void)event;
	if (number < ENGINE_VP_EVENT)
		return -EOPNOTSUPP;
	the_machine->event_route[number - ENGINE_VP_EVENT] = *route;
	return 0;
}

static int script_event_route(struct engine_vm *vm, unsigned number,
			      const struct engine_route *route)
{
	(void)vm;
	the_machine->event_route[number - ENGINE_VP_EVENT] = *route;
	return 0;
}

static void script_event_remove(struct engine_vm *vm, unsigned number, int event)
{
	static const struct engine_route none;

	(void)event;
	(void)script_event_route(vm, number, &none);
}

static const struct engine_ops script_ops = {
	.name = "scripted",
	.vm_new = script_vm_new,
	.vm_free = script_vm_free,
	.map_changed = script_map_changed,
	.vp_new = script_vp_new,
	.vp_free = script_vp_free,
	.vp_thread_start = script_thread_start,
	.vp_run = script_run,
	.vp_kick = script_kick,
	.vp_interrupt = script_interrupt,
	.vp_nmi = script_nmi,
	.vp_can_wake = script_can_wake,
	.vp_get_state = script_get_state,
	.vp_set_state = script_set_state,
	.drop_code = script_drop_code,
	.drop_write_rights = script_drop_rights,
	.vp_call_get = script_call_get,
	.vp_call_set = script_call_set,
	.vp_call_xmm = script_call_xmm,
	.flush_tlb = script_flush_tlb,
	.vp_tsc = script_tsc,
	.vp_tsc_offset = script_tsc_offset,
	.vp_set_tsc_offset = script_set_tsc_offset,
	.vp_count = script_count,
	.msi_event_add = script_event_add,
	.msi_event_remove = script_event_remove,
	.msi_event_route = script_event_route,
};

/* ---- the owner ------------------------------------------------------------------------------- */

static void on_first_entry(void *owner, u64 ns)
{
	struct machine *m = owner;

	(void)ns;
	atomic_fetch_add(&m->first_entries, 1);
}

static void on_ended(void *owner, enum vm_end end, u32 code, const char *text)
{
	struct machine *m = owner;

	m->end = end;
	m->end_code = code;
	snprintf(m->end_text, sizeof m->end_text, "%s", text);
	atomic_fetch_add(&m->ends, 1);
}

static void on_guest_reset(void *owner)
{
	struct machine *m = owner;

	atomic_fetch_add(&m->resets, 1);
}

static const struct partition_events events = { .first_entry = on_first_entry,
						.ended = on_ended,
						.guest_reset = on_guest_reset };

/* ---- the machine ----------------------------------------------------------------------------- */

static int make_partition(struct machine *m)
{
	struct fake_worker *w = m->worker;
	struct partition_config config = {
		.engine = &script_ops,
		.engine_kind = HV_ENGINE_SOFT,
		.kvm_fd = -1,
		.vp_count = w->vp_count,
		.debug_exit = m->debug_exit,
		.test_devices = m->test_devices,
		.portable = m->portable,
		.region = { [WALL_REGION_RAM] = { w->ram, w->ram_size },
			    [WALL_REGION_VRAM] = { w->vram, w->vram_size },
			    [WALL_REGION_ROM] = { w->rom, w->rom_size } },
		.code_map = w->code,
		.dirty_map = w->dirty,
		.control = w->control,
		.verbs = w->verbs,
		.access_event = w->access_event,
		.hv_event = w->hv_event,
		.serial = { m->serial_hv, -1 },
		.loop = m->loop,
		.tsc_hz = NS_PER_SEC,
		.events = &events,
		.owner = m,
	};
	int r = partition_new(&config, &m->partition, &m->err);

	return r < 0 ? r : partition_start(m->partition, &m->err);
}

static void *loop_main(void *arg)
{
	struct machine *m = arg;

	m->start_result = make_partition(m);
	atomic_store(&m->up, true);
	if (m->start_result == 0 && loop_run(m->loop) < 0)
		m->start_result = -EIO;
	partition_free(m->partition);
	return NULL;
}

struct machine *machine_new_with(u32 vp_count, void (*prepare)(struct machine *m))
{
	struct machine *m = calloc(1, sizeof *m);
	int pair[2];

	the_machine = m;
	if (!m || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0 ||
	    fake_worker_new(RAM_SIZE, vp_count, &m->worker) < 0 ||
	    loop_new(&m->loop) < 0) {
		harness_fail(__FILE__, __LINE__, "the machine cannot be made");
		return NULL;
	}
	m->serial = pair[0];
	m->serial_hv = pair[1];
	fcntl(m->worker->verbs, F_SETFL, O_NONBLOCK);
	if (prepare)
		prepare(m);
	m->started = pthread_create(&m->thread, NULL, loop_main, m) == 0;
	while (m->started && !atomic_load(&m->up))
		usleep(100);
	if (!m->started || m->start_result < 0) {
		harness_fail(__FILE__, __LINE__, "the partition cannot start: %s",
			     m->err.text);
		return NULL;
	}
	return m;
}

struct machine *machine_new(u32 vp_count)
{
	return machine_new_with(vp_count, NULL);
}

void machine_free(struct machine *m)
{
	if (!m)
		return;
	if (m->started) {
		loop_stop(m->loop);
		pthread_join(m->thread, NULL);
	}
	loop_free(m->loop);
	fake_worker_free(m->worker);
	close(m->serial);
	close(m->serial_hv);
	free(m);
}

struct machine *machine_that_runs(u32 vp_count, script_fn first)
{
	struct machine *m = machine_new(vp_count);

	if (!m)
		return NULL;
	m->script[0] = first;
	EXPECT_EQ(machine_run(m), 0);
	return m;
}

int machine_run(struct machine *m)
{
	return fake_worker_ask(m->worker, WALL_VERB_RUN);
}

void machine_io_range(struct machine *m, bool mmio, bool posted, u64 base, u64 size)
{
	struct wall_request request = { .verb = WALL_VERB_IO_RANGE };

	request.u.io_range.mmio = mmio;
	request.u.io_range.posted = posted;
	request.u.io_range.base = base;
	request.u.io_range.size = size;
	EXPECT_EQ(fake_worker_verb(m->worker, &request, NULL, -1, NULL, NULL), 0);
}

struct worker_end *machine_worker_end(struct machine *m)
{
	struct worker_end_config config = { .control = m->worker->control,
					    .vp_count = m->worker->vp_count,
					    .verbs = m->worker->worker_verbs,
					    .access_event = m->worker->access_event,
					    .hv_event = m->worker->hv_event };
	struct worker_end *end = NULL;

	EXPECT_EQ(worker_end_open(&config, &end), 0);
	return end;
}

bool machine_start_vp(struct machine *m, u32 index)
{
	struct wall_request request = { .verb = WALL_VERB_SET_VP };
	struct vp_state state;

	vp_state_reset(&state, true);
	request.u.vp.index = index;
	CHECK_EQ(fake_worker_verb(m->worker, &request, &state, -1, NULL, NULL), 0);
	return true;
}

enum script_result script_halt(struct script_vp *vp)
{
	(void)vp;
	return SCRIPT_HALT;
}

void script_open_lapic(struct script_vp *vp)
{
	/* Who uses the APICs masks the 8259s: their output is an interrupt too (virtual wire). */
	vp->bus->pio_write(vp->bus_vp, 0x21, 1, 0xff);
	vp->bus->pio_write(vp->bus_vp, 0xa1, 1, 0xff);
	vp->bus->mmio_write(vp->bus_vp, LAPIC_GPA + 0xf0, 4, 0x1ff);
	vp->interrupts_on = true;
}
