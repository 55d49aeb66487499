/* SPDX-License-Identifier: Apache-2.0 */
/* One virtual machine; see partition.h. */
#include "hv/partition.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/ipc.h"
#include "base/log.h"
#include "hv/vp.h"

/* At the end the console gets this long to take what the guest said last. */
#define LAST_WORDS_NS (2 * NS_PER_SEC)
#define LAST_WORDS_STEP_NS 1000000ull

/* ---- running and standing -------------------------------------------------------------------- */

REQUIRES(run_lock)
static void decide(struct partition *p)
{
	bool may = p->running && p->pauses == 0 && !atomic_load(&p->ended) && !p->quit;

	atomic_store(&p->may_run, may);
	if (p->pauses == 0 || p->quit)
		pthread_cond_broadcast(&p->go);
}

static void signal_all(struct partition *p)
{
	for (u32 k = 0; k < p->config.vp_count; k++) {
		if (p->vp[k])
			vp_signal(p->vp[k], VP_SIGNAL_STOP);
	}
}

void partition_step_out(struct partition *p)
{
	pthread_mutex_lock(&p->run_lock);
	if (--p->inside == 0)
		pthread_cond_signal(&p->stood);
	pthread_mutex_unlock(&p->run_lock);
}

/*
 * It may stand by now: then the instruction ends, the engine finds its kick, and the VP steps out
 * for good. Not while the loop changes what VPs read.
 */
void partition_step_back(struct vp *vp)
{
	struct partition *p = vp->partition;

	pthread_mutex_lock(&p->run_lock);
	while ((p->pauses > 0 || atomic_load(&p->ended)) && !p->quit)
		pthread_cond_wait(&p->go, &p->run_lock);
	p->inside++;
	vp->finishes = !atomic_load(&p->may_run);
	pthread_mutex_unlock(&p->run_lock);
}

bool partition_step_in(struct partition *p)
{
	bool quit;

	pthread_mutex_lock(&p->run_lock);
	while (!atomic_load(&p->may_run) && !p->quit)
		pthread_cond_wait(&p->go, &p->run_lock);
	p->inside++;
	quit = p->quit;
	pthread_mutex_unlock(&p->run_lock);
	return !quit;
}

/* Until the last VP is outside. They are told to by vp_signal; none can block inside. */
static void wait_outside(struct partition *p)
{
	signal_all(p);
	pthread_mutex_lock(&p->run_lock);
	while (p->inside > 0)
		pthread_cond_wait(&p->stood, &p->run_lock);
	pthread_mutex_unlock(&p->run_lock);
}

void partition_pause(struct partition *p)
{
	pthread_mutex_lock(&p->run_lock);
	p->pauses++;
	decide(p);
	pthread_mutex_unlock(&p->run_lock);
	wait_outside(p);
}

void partition_unpause(struct partition *p)
{
	pthread_mutex_lock(&p->run_lock);
	p->pauses--;
	decide(p);
	pthread_mutex_unlock(&p->run_lock);
}

static void set_running(struct partition *p, bool running)
{
	pthread_mutex_lock(&p->run_lock);
	p->running = running;
	decide(p);
	pthread_mutex_unlock(&p->run_lock);
}

/* Time goes on from where it stood: the counters are put back by what went by, timers are armed. */
static void let_time_go(struct partition *p)
{
	u64 ticks;

	if (!p->clock.stands)
		return;
	ticks = guest_clock_go(&p->clock);
	for (u32 k = 0; k < p->config.vp_count; k++)
		vp_time_goes(p->vp[k], ticks);
	chipset_time_goes(&p->chipset);
}

static void on_wall_events(void *owner, vp_index_t vp, unsigned word, u64 flags)
{
	struct partition *p = owner;

	synic_signal_word(&p->vp[vp]->synic, HV_SINT_VMBUS, word, flags);
}

void partition_take_events(struct partition *p)
{
	if (p->running)
		wall_hv_take_events(&p->wall, on_wall_events, p);
}

void partition_take_vp_events(struct vp *vp)
{
	wall_hv_take_vp_events(&vp->partition->wall, vp->index, on_wall_events,
			       vp->partition);
}

void partition_run(struct partition *p)
{
	if (p->running)
		return;
	guest_interface_run(p);
	let_time_go(p);
	guest_interface_synchronize(p);
	set_running(p, true);
	/* What came while the VPs stood; and timers by the time that starts anew. */
	partition_take_events(p);
	for (u32 k = 0; k < p->config.vp_count; k++) {
		synic_look(&p->vp[k]->synic);
		vp_signal(p->vp[k], VP_SIGNAL_TIMER);
	}
}

u32 partition_stop(struct partition *p)
{
	u32 unfinished = 0;

	set_running(p, false);
	wait_outside(p);
	guest_clock_stop(&p->clock);
	guest_interface_stop(p);
	/* What the worker said before it asked belongs to the state that it will find. */
	wall_hv_drain_lines(&p->wall);
	partition_pause(p);
	for (u32 k = 0; k < p->config.vp_count; k++)
		unfinished += atomic_load(&p->vp[k]->in_access);
	partition_unpause(p);
	return unfinished;
}

int partition_reset(struct partition *p)
{
	if (p->running)
		return -EBUSY;
	partition_pause(p);
	for (u32 k = 0; k < p->config.vp_count; k++)
		vp_reset(p->vp[k]);
	chipset_reset(&p->chipset);
	guest_interface_reset(p);
	if (p->hyperv_test)
		hyperv_testdev_reset(p);
	atomic_store(&p->reset_asked, false);
	partition_unpause(p);
	return 0;
}

/* ---- what VPs ask of the loop ---------------------------------------------------------------- */

void partition_end(struct partition *p, enum vm_end end, u32 code, const char *fmt, ...)
{
	va_list ap;
	bool first, crash;

	pthread_mutex_lock(&p->end_lock);
	first = !atomic_load(&p->ended);
	/* However it goes after it said that it crashed: that is what happened. */
	crash = end == VM_END_CRASH ||
		(atomic_load(&p->guest.crashed) &&
		 (end == VM_END_POWER_OFF || end == VM_END_TRIPLE_FAULT));
	if (crash)
		end = VM_END_CRASH;
	if (first) {
		p->end = end;
		p->end_code = code;
		va_start(ap, fmt);
		vsnprintf(p->end_text, sizeof p->end_text, fmt, ap);
		va_end(ap);
		if (crash)
			guest_interface_crash_words(p, p->end_text, sizeof p->end_text);
		atomic_store(&p->ended, true);
	}
	pthread_mutex_unlock(&p->end_lock);
	if (!first)
		return;
	pthread_mutex_lock(&p->run_lock);
	decide(p);
	pthread_mutex_unlock(&p->run_lock);
	signal_all(p);
	wall_hv_cancel(&p->wall);
	ipc_event_ring(p->self_event);
}

static void end_crashed(void *owner)
{
	struct partition *p = owner;

	partition_end(p, VM_END_CRASH, 0, "the guest crashed");
}

void partition_guest_crashed(struct partition *p)
{
	if (!atomic_exchange(&p->guest.crashed, true))
		ipc_event_ring(p->self_event);
}

void partition_ask_reset(struct partition *p)
{
	if (atomic_load(&p->guest.crashed)) {
		end_crashed(p);
		return;
	}
	if (atomic_exchange(&p->reset_asked, true))
		return;
	set_running(p, false);
	signal_all(p);
	ipc_event_ring(p->self_event);
}

void partition_ask_remap(struct partition *p)
{
	atomic_fetch_add(&p->remaps_asked, 1);
	ipc_event_ring(p->self_event);
}

void partition_wait_remap(struct vp *vp)
{
	struct partition *p = vp->partition;
	u64 ticket = atomic_load(&p->remaps_asked);

	atomic_store(&vp->in_access, true);
	partition_step_out(p);
	pthread_mutex_lock(&p->run_lock);
	while (p->remaps_done < ticket && !p->quit)
		pthread_cond_wait(&p->go, &p->run_lock);
	pthread_mutex_unlock(&p->run_lock);
	partition_step_back(vp);
	atomic_store(&vp->in_access, false);
}

static void do_remaps(struct partition *p)
{
	u64 asked = atomic_load(&p->remaps_asked);
	struct err err = { 0 };

	if (asked == p->remaps_done)
		return;
	partition_pause(p);
	if (p->config.engine->map_changed(p->engine_vm, p->memory.flat,
					  p->memory.flat_count, &err) < 0)
		partition_end(p, VM_END_ENGINE, 0, "%s", err.text);
	partition_unpause(p);
	pthread_mutex_lock(&p->run_lock);
	p->remaps_done = asked;
	pthread_cond_broadcast(&p->go);
	pthread_mutex_unlock(&p->run_lock);
}

/* ---- the loop's part ------------------------------------------------------------------------- */

static void forget_worker(struct partition *p)
{
	p->worker_gone = true;
	loop_watch_remove(p->verbs_watch);
	loop_watch_remove(p->hv_event_watch);
	p->verbs_watch = p->hv_event_watch = NULL;
}

/* Tell once, when the console has everything or had its time. */
static void tell_end(void *owner)
{
	struct partition *p = owner;
	u64 now = host_clock.monotonic_ns(&host_clock);
	bool drained = true;

	if (p->end_told)
		return;
	for (unsigned k = 0; k < 2; k++)
		drained = serial_drained(&p->chipset.serial[k]) && drained;
	if (!drained && now < p->end_deadline_ns) {
		loop_alarm_set(&p->end_alarm, now + LAST_WORDS_STEP_NS);
		return;
	}
	p->end_told = true;
	p->config.events->ended(p->config.owner, p->end, p->end_code, p->end_text);
}

static void on_end(struct partition *p)
{
	if (p->end_seen)
		return;
	p->end_seen = true;
	wait_outside(p);
	pthread_mutex_lock(&p->chipset.lock);
	debug_port_flush(&p->chipset.debug);
	pthread_mutex_unlock(&p->chipset.lock);
	if (p->end == VM_END_WORKER_LIED)
		forget_worker(p);
	p->end_deadline_ns = host_clock.monotonic_ns(&host_clock) + LAST_WORDS_NS;
	tell_end(p);
}

static void on_self(void *owner, unsigned events)
{
	struct partition *p = owner;

	(void)events;
	(void)ipc_event_clear(p->self_event);
	chipset_run_alarms(&p->chipset);
	for (unsigned k = 0; k < 2; k++) {
		if (atomic_load(&p->chipset.serial[k].look))
			serial_look(&p->chipset.serial[k]);
	}
	if (!p->first_entry_told && atomic_load(&p->first_entry_ns)) {
		p->first_entry_told = true;
		p->config.events->first_entry(p->config.owner,
					      atomic_load(&p->first_entry_ns));
	}
	do_remaps(p);
	if (!p->crash_seen && atomic_load(&p->guest.crashed)) {
		p->crash_seen = true;
		loop_alarm_set(&p->crash_alarm, host_clock.monotonic_ns(&host_clock) +
							GUEST_CRASH_GRACE_NS);
	}
	if (atomic_load(&p->ended)) {
		on_end(p);
	} else if (atomic_load(&p->reset_asked)) {
		wait_outside(p);
		if (!p->running) {
			guest_clock_stop(&p->clock);
			guest_interface_stop(p);
		}
		atomic_store(&p->reset_asked, false);
		p->config.events->guest_reset(p->config.owner);
	}
}

static void on_verbs(void *owner, unsigned events)
{
	struct partition *p = owner;

	(void)events;
	if (!p->worker_gone)
		wall_hv_on_verbs(&p->wall);
}

static void on_hv_event(void *owner, unsigned events)
{
	struct partition *p = owner;

	(void)events;
	if (!p->worker_gone)
		wall_hv_on_event(&p->wall);
}

/* ---- the wall's callbacks -------------------------------------------------------------------- */

void partition_worker_gone(struct partition *p)
{
	forget_worker(p);
	partition_end(p, VM_END_WORKER_GONE, 0, "the worker process is gone");
}

/* ---- life ------------------------------------------------------------------------------------ */

static int make_vps(struct partition *p, struct err *err)
{
	struct engine_vm_config config = {
		.vp_count = p->config.vp_count,
		.portable = p->config.portable,
		.ram_size = p->config.region[WALL_REGION_RAM].size,
		.code_map = p->config.code_map,
		.dirty_map = p->config.dirty_map,
		.kvm_fd = p->config.kvm_fd,
		.code_cache = p->config.code_cache,
		.kind = p->config.engine_kind,
	};
	int r;

	r = p->config.engine->vm_new(&config, &p->engine_vm, err);
	if (r < 0)
		return r;
	for (u32 k = 0; k < p->config.vp_count; k++) {
		r = vp_new(p, k, &p->vp[k], err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int watch(struct partition *p, struct err *err)
{
	struct loop *loop = p->config.loop;
	int r;

	r = loop_watch_add(loop, p->self_event, LOOP_READ, on_self, p, &p->self_watch);
	if (r == 0)
		r = loop_watch_add(loop, p->config.verbs, LOOP_READ, on_verbs, p,
				   &p->verbs_watch);
	if (r == 0)
		r = loop_watch_add(loop, p->config.hv_event, LOOP_READ, on_hv_event, p,
				   &p->hv_event_watch);
	loop_alarm_init(loop, &p->end_alarm, tell_end, p);
	loop_alarm_init(loop, &p->crash_alarm, end_crashed, p);
	return r < 0 ? err_set(err, r, "cannot watch the worker: %s", err_words(r)) : 0;
}

static int build(struct partition *p, struct err *err)
{
	const struct partition_config *config = &p->config;
	struct wall_hv_config wall = {
		.control = config->control,
		.vp_count = config->vp_count,
		.ram_pages = config->region[WALL_REGION_RAM].size >> WALL_PAGE_SHIFT,
		.verbs = config->verbs,
		.access_event = config->access_event,
		.hv_event = config->hv_event,
		.ops = &partition_wall_ops,
		.owner = p,
	};
	int r;

	guest_clock_init(&p->clock);
	wall_hv_init(&p->wall, &wall);
	p->self_event = ipc_event_new();
	if (p->self_event < 0)
		return err_set(err, p->self_event, "no event descriptor: %s",
			       err_words(p->self_event));
	p->vp = calloc(config->vp_count, sizeof(*p->vp));
	if (!p->vp || io_map_init(&p->io, p) < 0)
		return err_set(err, -ENOMEM, "no memory for the virtual machine");
	x86_model_init(&p->model, config->vp_count, config->tsc_hz);
	guest_interface_init(p);
	/* An engine with LAPICs of its own sleeps by itself. */
	p->park = !config->engine->own_lapic && vp_can_park();
	if (config->test_devices) {
		p->hyperv_test = calloc(1, sizeof *p->hyperv_test);
		if (!p->hyperv_test)
			return err_set(err, -ENOMEM, "no memory for the test devices");
	}
	memory_map_init(&p->memory, config->region, config->code_map, config->dirty_map);
	r = make_vps(p, err);
	if (r < 0)
		return r;
	r = chipset_init(&p->chipset, p, err);
	if (r < 0)
		return r;
	r = config->engine->map_changed(p->engine_vm, p->memory.flat,
					p->memory.flat_count, err);
	if (r < 0)
		return r;
	for (u32 k = 0; k < config->vp_count; k++)
		vp_reset(p->vp[k]);
	return watch(p, err);
}

int partition_new(const struct partition_config *config, struct partition **ret_partition,
		  struct err *err)
{
	struct partition *p;
	int r;

	if (config->vp_count == 0 || config->vp_count > WALL_MAX_VPS)
		return err_set(err, -EINVAL, "%u processors: 1 to %u are possible",
			       config->vp_count, WALL_MAX_VPS);
	p = calloc(1, sizeof *p);
	if (!p)
		return err_set(err, -ENOMEM, "no memory for the virtual machine");
	p->config = *config;
	p->self_event = -1;
	pthread_mutex_init(&p->run_lock, NULL);
	pthread_mutex_init(&p->end_lock, NULL);
	pthread_cond_init(&p->go, NULL);
	pthread_cond_init(&p->stood, NULL);
	r = build(p, err);
	if (r < 0) {
		partition_free(p);
		return r;
	}
	*ret_partition = p;
	return 0;
}

int partition_start(struct partition *p, struct err *err)
{
	unsigned made = 0;
	int r = chipset_start(&p->chipset, err);

	for (; r == 0 && made < p->config.vp_count; made++) {
		r = vp_start(p->vp[made], err);
		if (r < 0)
			break;
	}
	pthread_mutex_lock(&p->run_lock);
	while (p->ready < made)
		pthread_cond_wait(&p->stood, &p->run_lock);
	if (r == 0 && p->start_err.code < 0) {
		*err = p->start_err;
		r = err->code;
	}
	pthread_mutex_unlock(&p->run_lock);
	return r;
}

void partition_free(struct partition *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->run_lock);
	p->quit = true;
	decide(p);
	pthread_mutex_unlock(&p->run_lock);
	if (p->vp) {
		signal_all(p);
		wall_hv_cancel(&p->wall);
	}
	for (u32 k = 0; p->vp && k < p->config.vp_count; k++) {
		if (p->vp[k] && p->vp[k]->thread_made)
			pthread_join(p->vp[k]->thread, NULL);
	}
	loop_watch_remove(p->self_watch);
	forget_worker(p);
	if (p->end_alarm.loop) {
		loop_alarm_set(&p->end_alarm, UINT64_MAX);
		loop_alarm_set(&p->crash_alarm, UINT64_MAX);
	}
	chipset_done(&p->chipset);
	for (u32 k = 0; p->vp && k < p->config.vp_count; k++)
		vp_free(p->vp[k]);
	if (p->engine_vm)
		p->config.engine->vm_free(p->engine_vm);
	msi_events_done(&p->msi_events);
	io_map_done(&p->io);
	wall_hv_done(&p->wall);
	guest_interface_done(p);
	free(p->hyperv_test);
	if (p->self_event >= 0)
		close(p->self_event);
	free(p->vp);
	pthread_cond_destroy(&p->go);
	pthread_cond_destroy(&p->stood);
	pthread_mutex_destroy(&p->run_lock);
	pthread_mutex_destroy(&p->end_lock);
	free(p);
}
