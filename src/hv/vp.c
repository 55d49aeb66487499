/* SPDX-License-Identifier: Apache-2.0 */
/* A virtual processor and its thread; see vp.h. */
#include "hv/vp.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <x86intrin.h>

#include "base/ipc.h"
#include "hv/bus.h"
#include "hv/engine_apic.h"
#include "hv/partition.h"

#define TIMER_SIGNAL (SIGRTMIN + 1)
#define VP_STACK_SIZE (512 * 1024)

/* ---- waking --------------------------------------------------------------------------------- */

static void wake(struct vp *vp)
{
	syscall(SYS_futex, &vp->signals, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void vp_signal(struct vp *vp, u32 bits)
{
	u32 old = atomic_fetch_or(&vp->signals, bits);

	if (old & VP_SLEEPING)
		wake(vp);
	else
		vp->partition->config.engine->vp_kick(vp->engine_vp);
}

void vp_nmi(struct vp *vp)
{
	vp->partition->config.engine->vp_nmi(vp->engine_vp);
	if (atomic_fetch_or(&vp->signals, VP_SIGNAL_INTERRUPT) & VP_SLEEPING)
		wake(vp);
}

/*
 * Sleep until a signal bit is set or the worker has an event, which so costs no other thread of
 * ours. What the worker does to its word cannot keep our signals from us.
 */
static void park(struct vp *vp)
{
	struct wall_hv *wall = &vp->partition->wall;
	_Atomic u32 *events;
	struct futex_waitv words[2] = {
		{ .val = VP_SLEEPING,
		  .uaddr = (u64)(uintptr_t)&vp->signals,
		  .flags = FUTEX_32 | FUTEX_PRIVATE_FLAG },
		{ .val = 1, .flags = FUTEX_32 },
	};

	if (!wall_hv_park_begin(wall, vp->index, &events)) {
		words[1].uaddr = (u64)(uintptr_t)events;
		syscall(SYS_futex_waitv, words, 2, 0, NULL, 0);
	}
	wall_hv_park_end(wall, vp->index);
	partition_take_vp_events(vp);
}

/* Sleep until a signal bit is set; at once back when one is. */
static void sleep_until_signal(struct vp *vp)
{
	u32 nothing = 0;

	if (!atomic_compare_exchange_strong(&vp->signals, &nothing, VP_SLEEPING))
		return;
	/* Whatever ends it (a wake-up, our timer's signal, chance): the caller looks again. */
	if (vp->partition->park)
		park(vp);
	else
		syscall(SYS_futex, &vp->signals, FUTEX_WAIT_PRIVATE, VP_SLEEPING, NULL,
			NULL, 0);
	atomic_fetch_and(&vp->signals, ~VP_SLEEPING);
}

/* Before there is anything to wait for: a call without words says whether the kernel has it. */
bool vp_can_park(void)
{
	return syscall(SYS_futex_waitv, NULL, 0, 0, NULL, 0) < 0 && errno != ENOSYS;
}

/* ---- the timer ------------------------------------------------------------------------------ */

/* On the VP's own thread, between any two instructions of it. */
static void on_timer_signal(int number, siginfo_t *info, void *context)
{
	struct vp *vp = info->si_value.sival_ptr;
	int saved = errno;

	(void)number;
	(void)context;
	if (!(atomic_fetch_or(&vp->signals, VP_SIGNAL_TIMER) & VP_SLEEPING))
		vp->partition->config.engine->vp_kick(vp->engine_vp);
	errno = saved;
}

static int make_timer(struct vp *vp)
{
	struct sigaction action = { .sa_sigaction = on_timer_signal,
				    .sa_flags = SA_SIGINFO | SA_ONSTACK };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID,
				  .sigev_signo = TIMER_SIGNAL,
				  .sigev_value.sival_ptr = vp };

	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	sigfillset(&action.sa_mask);
	if (sigaction(TIMER_SIGNAL, &action, NULL) < 0 ||
	    timer_create(CLOCK_MONOTONIC, &event, &vp->timer) < 0)
		return -errno;
	vp->timer_made = true;
	return 0;
}

/* ---- the local APIC -------------------------------------------------------------------------- */

static void on_apic_notify(void *owner)
{
	struct vp *vp = owner;

	vp->partition->config.engine->vp_interrupt(vp->engine_vp, true);
	/* No kick: a running engine looks by itself. */
	if (atomic_fetch_or(&vp->signals, VP_SIGNAL_INTERRUPT) & VP_SLEEPING)
		wake(vp);
}

static void on_apic_nmi(void *owner)
{
	vp_nmi(owner);
}

static void on_apic_signal(void *owner)
{
	vp_signal(owner, VP_SIGNAL_APIC);
}

static void on_apic_send(void *owner, const struct apic_message *message)
{
	struct vp *vp = owner;

	apic_bus_send(&vp->partition->chipset.apic_bus, message, &vp->lapic);
}

static void on_apic_eoi(void *owner, u8 vector)
{
	struct vp *vp = owner;

	chipset_eoi(&vp->partition->chipset, vector);
}

static bool own_lapic(const struct vp *vp)
{
	return vp->partition->config.engine->own_lapic;
}

/* Set the timer to timer_when; where time stands, vp_time_goes will. */
static void arm(struct vp *vp)
{
	const struct guest_clock *clock = &vp->partition->clock;
	struct itimerspec t = { 0 };
	u64 when_ns = vp->timer_when;

	if (!vp->timer_made || clock->stands)
		return;
	if (when_ns != CHIP_NO_ALARM) {
		/* 0 would disarm; what is past is due at once. */
		when_ns = max_u64(guest_clock_host_ns(clock, when_ns), 1);
		t.it_value.tv_sec = (time_t)(when_ns / NS_PER_SEC);
		t.it_value.tv_nsec = (long)(when_ns % NS_PER_SEC);
	}
	timer_settime(vp->timer, TIMER_ABSTIME, &t, NULL);
}

void vp_set_alarm(struct vp *vp, enum vp_alarm which, u64 when_ns)
{
	vp->alarm[which] = when_ns;
	for (unsigned k = 0; k < VP_ALARM_COUNT; k++)
		when_ns = min_u64(when_ns, vp->alarm[k]);
	if (vp->timer_when == when_ns)
		return;
	vp->timer_when = when_ns;
	arm(vp);
}

static void on_apic_alarm(void *owner, u64 when_ns)
{
	struct vp *vp = owner;

	if (!own_lapic(vp))
		vp_set_alarm(vp, VP_ALARM_LAPIC, when_ns);
}

s64 vp_tsc_offset(struct vp *vp)
{
	const struct engine_ops *engine = vp->partition->config.engine;

	return vp->has_new_state ? vp->new_tsc_offset
				 : engine->vp_tsc_offset(vp->engine_vp);
}

u64 vp_tsc(struct vp *vp)
{
	const struct guest_clock *clock = &vp->partition->clock;
	const struct engine_ops *engine = vp->partition->config.engine;

	return clock->stands ? clock->stood_tsc + (u64)vp_tsc_offset(vp)
			     : engine->vp_tsc(vp->engine_vp);
}

static u64 on_apic_tsc(void *owner)
{
	return vp_tsc(owner);
}

void vp_time_goes(struct vp *vp, u64 ticks)
{
	const struct engine_ops *engine = vp->partition->config.engine;
	s64 offset = engine->vp_tsc_offset(vp->engine_vp);

	engine->vp_set_tsc_offset(vp->engine_vp, (s64)((u64)offset - ticks));
	vp->new_tsc_offset = (s64)((u64)vp->new_tsc_offset - ticks);
	arm(vp);
}

static const struct lapic_ops lapic_ops = {
	.notify = on_apic_notify,
	.nmi = on_apic_nmi,
	.signal = on_apic_signal,
	.send = on_apic_send,
	.eoi = on_apic_eoi,
	.alarm = on_apic_alarm,
	.tsc = on_apic_tsc,
};

static bool interrupt_waits(const struct vp *vp)
{
	return lapic_pending(&vp->lapic) || lapic_extint_pending(&vp->lapic);
}

int vp_take_interrupt(struct vp *vp)
{
	int vector;

	/* Its LAPIC says what is acceptable and asks us for the 8259's vectors alone. */
	if (own_lapic(vp))
		return chipset_ack_pic(&vp->partition->chipset);
	if (lapic_extint_pending(&vp->lapic)) {
		vector = chipset_ack_pic(&vp->partition->chipset);
		lapic_extint_taken(&vp->lapic);
	} else {
		vector = lapic_take(&vp->lapic);
	}
	/* The engine's flag went with the call: raise it again for what is left. */
	if (interrupt_waits(vp))
		vp->partition->config.engine->vp_interrupt(vp->engine_vp, true);
	return vector;
}

/* ---- states --------------------------------------------------------------------------------- */

static int give_state(struct vp *vp, const struct vp_state *state, struct err *err)
{
	int r = vp->partition->config.engine->vp_set_state(vp->engine_vp, state, err);

	if (r < 0)
		return r;
	/* Who halted is for the engine to know where it sleeps itself. */
	vp->halted = state->activity == VP_HALTED && !own_lapic(vp);
	vp->activity = state->activity == VP_HALTED ? VP_RUNNING
						    : (enum vp_activity)state->activity;
	return 0;
}

/* What arrived while the VP was in an access. It was checked then. */
static void take_new_state(struct vp *vp)
{
	struct err err = { 0 };

	if (!vp->has_new_state)
		return;
	if (give_state(vp, &vp->new_state, &err) < 0)
		partition_end(vp->partition, VM_END_ENGINE, 0, "vp %u: %s", vp->index,
			      err.text);
	vp->partition->config.engine->vp_set_tsc_offset(vp->engine_vp,
							vp->new_tsc_offset);
	vp->has_new_state = false;
}

int vp_set_state(struct vp *vp, const struct vp_state *state, struct err *err)
{
	const struct guest_clock *clock = &vp->partition->clock;
	const struct engine_ops *engine = vp->partition->config.engine;
	/* Exact, so that counters which agree go on agreeing, however long we take between VPs. */
	u64 tsc = clock->stands ? clock->stood_tsc : __rdtsc();
	s64 offset = (s64)(state->tsc - tsc);
	int r;

	if (!atomic_load(&vp->in_access)) {
		r = give_state(vp, state, err);
		if (r == 0)
			engine->vp_set_tsc_offset(vp->engine_vp, offset);
		return r;
	}
	vp->new_tsc_offset = offset;
	vp->new_state = *state;
	vp->has_new_state = true;
	vp_signal(vp, VP_SIGNAL_STATE);
	return 0;
}

int vp_get_state(struct vp *vp, struct vp_state *ret_state)
{
	int r;

	if (vp->has_new_state) {
		*ret_state = vp->new_state;
		return 0;
	}
	if (atomic_load(&vp->in_access))
		return -EBUSY;
	r = vp->partition->config.engine->vp_get_state(vp->engine_vp, ret_state);
	if (r < 0)
		return r;
	ret_state->tsc = vp_tsc(vp);
	if (own_lapic(vp))
		return 0;
	/* These two live in the LAPIC; its own block carries them back. */
	ret_state->apic_base = atomic_load(&vp->lapic.base);
	ret_state->tsc_deadline = vp->lapic.deadline;
	ret_state->activity = vp->halted ? VP_HALTED : vp->activity;
	return 0;
}

void vp_reset(struct vp *vp)
{
	struct vp_state state;
	struct err err = { 0 };
	int r;

	atomic_fetch_and(&vp->signals, VP_SLEEPING | VP_SIGNAL_STOP);
	vp_synthetic_reset(vp);
	lapic_reset(&vp->lapic);
	vp_state_reset(&state, vp->index == 0);
	r = vp_set_state(vp, &state, &err);
	if (r == 0 && own_lapic(vp)) {
		r = engine_apic_reset(vp);
		if (r < 0)
			err_set(&err, r, "local APIC: %s", err_words(r));
	}
	if (r < 0)
		partition_end(vp->partition, VM_END_ENGINE, 0, "vp %u: reset: %s",
			      vp->index, err.text);
}

/* The engine's state, changed by INIT or startup. */
static void change_state(struct vp *vp, const char *what, const struct vp_state *state,
			 int r)
{
	const struct engine_ops *engine = vp->partition->config.engine;
	struct err err = { 0 };
	s64 offset = engine->vp_tsc_offset(vp->engine_vp);

	if (r == 0)
		r = give_state(vp, state, &err);
	/* Time went by since the state was taken; the counter does not lose it. */
	if (r == 0)
		engine->vp_set_tsc_offset(vp->engine_vp, offset);
	if (r < 0)
		partition_end(vp->partition, VM_END_ENGINE, 0, "vp %u: %s: %s", vp->index,
			      what, err.code ? err.text : err_words(r));
}

static void do_init(struct vp *vp)
{
	struct vp_state state;
	int r = vp->partition->config.engine->vp_get_state(vp->engine_vp, &state);

	lapic_reset_by_init(&vp->lapic);
	state.apic_base = atomic_load(&vp->lapic.base);
	vp_state_init(&state);
	change_state(vp, "INIT", &state, r);
}

static void do_startup(struct vp *vp, u8 vector)
{
	struct vp_state state;
	int r;

	if (vp->activity != VP_WAIT_SIPI)
		return; /* the second of INIT-SIPI-SIPI, usually */
	r = vp->partition->config.engine->vp_get_state(vp->engine_vp, &state);
	vp_state_sipi(&state, vector);
	change_state(vp, "startup", &state, r);
}

static void take_apic_signals(struct vp *vp)
{
	u8 vector = 0;
	u32 what = lapic_take_signals(&vp->lapic, &vector);

	if (what & LAPIC_SIGNAL_INIT)
		do_init(vp);
	if (what & LAPIC_SIGNAL_STARTUP)
		do_startup(vp, vector);
}

int vp_save_lapic(struct vp *vp, void *ret_block)
{
	if (own_lapic(vp))
		return engine_apic_save(vp, ret_block);
	lapic_save(&vp->lapic, ret_block);
	return 0;
}

int vp_restore_lapic(struct vp *vp, const void *block)
{
	int r;

	if (own_lapic(vp))
		return engine_apic_restore(vp, block);
	r = lapic_restore(&vp->lapic, block);

	if (r == 0)
		on_apic_notify(vp);
	return r;
}

/* ---- the thread ----------------------------------------------------------------------------- */

static void note_first_entry(struct vp *vp)
{
	struct partition *p = vp->partition;
	u64 none = 0;

	if (LIKELY(atomic_load_explicit(&p->first_entry_ns, memory_order_relaxed) != 0))
		return;
	if (atomic_compare_exchange_strong(&p->first_entry_ns, &none,
					   host_clock.monotonic_ns(&host_clock)))
		ipc_event_ring(p->self_event);
}

static void handle_signals(struct vp *vp)
{
	u32 bits = atomic_exchange(&vp->signals, 0);

	if (bits & VP_SIGNAL_STATE)
		take_new_state(vp);
	if (bits & VP_SIGNAL_APIC)
		take_apic_signals(vp);
	if (bits & VP_SIGNAL_TIMER) {
		vp->timer_when = CHIP_NO_ALARM;
		for (unsigned k = 0; k < VP_ALARM_COUNT; k++)
			vp->alarm[k] = CHIP_NO_ALARM;
		if (!own_lapic(vp))
			lapic_on_alarm(&vp->lapic);
		stimer_look(&vp->stimers);
	}
}

/* Execute until the VP has to stand. */
static void run_guest(struct vp *vp)
{
	struct partition *p = vp->partition;
	const struct engine_ops *engine = p->config.engine;

	for (;;) {
		handle_signals(vp);
		if (!atomic_load(&p->may_run))
			return;
		if (vp->activity == VP_SHUTDOWN ||
		    (vp->activity == VP_WAIT_SIPI && !own_lapic(vp))) {
			sleep_until_signal(vp);
			continue;
		}
		if (vp->halted) {
			/*
			 * What the engine remembers may be old (the task priority rose since).
			 * A request that comes now sets its signal after the engine's flag, so
			 * the sleep below ends at once.
			 */
			engine->vp_interrupt(vp->engine_vp, interrupt_waits(vp));
			if (!engine->vp_can_wake(vp->engine_vp)) {
				sleep_until_signal(vp);
				continue;
			}
		}
		vp->halted = false;
		note_first_entry(vp);
		switch (engine->vp_run(vp->engine_vp)) {
		case ENGINE_KICKED:
			break;
		case ENGINE_HALTED:
			vp->halted = true;
			break;
		case ENGINE_TRIPLE_FAULT:
			vp->activity = VP_SHUTDOWN;
			partition_end(p, VM_END_TRIPLE_FAULT, 0, "vp %u: triple fault",
				      vp->index);
			break;
		case ENGINE_FAILED:
			partition_end(p, VM_END_ENGINE, 0,
				      "vp %u: the %s engine cannot go on", vp->index,
				      engine->name);
			return;
		}
	}
}

/* The worker that stops the VM waits for VPs in accesses: it may ask again. */
static void tell_finished(struct vp *vp)
{
	if (vp->finishes)
		ipc_event_ring(vp->partition->wall.config.access_event);
	vp->finishes = false;
}

static void *vp_main(void *arg)
{
	struct vp *vp = arg;
	struct partition *p = vp->partition;
	struct err err = { 0 };
	char name[16];
	int r;

	/* 1. What needs rights that go in step 2. */
	snprintf(name, sizeof name, "vp %u", vp->index);
	prctl(PR_SET_NAME, name, 0, 0, 0);
	r = make_timer(vp);
	if (r < 0)
		err_set(&err, r, "vp %u: no timer: %s", vp->index, err_words(r));
	if (r == 0) {
		r = p->config.engine->vp_thread_start(vp->engine_vp);
		if (r < 0)
			err_set(&err, r, "vp %u: the engine cannot start here: %s",
				vp->index, err_words(r));
	}
	/* 2. Rights. */
	if (r == 0 && p->config.confine_thread)
		r = p->config.confine_thread(p->config.owner, &err);
	pthread_mutex_lock(&p->run_lock);
	p->ready++;
	if (r < 0 && p->start_err.code == 0)
		p->start_err = err;
	pthread_cond_signal(&p->stood);
	pthread_mutex_unlock(&p->run_lock);
	if (r < 0)
		return NULL;

	/* 3. The guest. */
	while (partition_step_in(p)) {
		run_guest(vp);
		partition_step_out(p);
		tell_finished(vp);
	}
	return NULL;
}

int vp_new(struct partition *p, vp_index_t index, struct vp **ret_vp, struct err *err)
{
	struct vp *vp = aligned_alloc(64, (sizeof *vp + 63) & ~63ull);
	int r;

	if (!vp)
		return err_set(err, -ENOMEM, "no memory for a processor");
	*vp = (struct vp){ .partition = p,
			   .index = index,
			   .activity = VP_WAIT_SIPI,
			   .timer_when = CHIP_NO_ALARM,
			   .alarm = { CHIP_NO_ALARM, CHIP_NO_ALARM } };
	r = p->config.engine->vp_new(p->engine_vm, index, &hv_bus_ops, vp, &vp->engine_vp,
				     err);
	if (r < 0) {
		free(vp);
		return r;
	}
	lapic_init(&vp->lapic, &lapic_ops, vp, &p->clock.clock, index, index == 0,
		   p->model.physical_bits, p->config.tsc_hz);
	vp_synthetic_init(vp);
	*ret_vp = vp;
	return 0;
}

int vp_start(struct vp *vp, struct err *err)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int r;

	/* Signals are the main thread's; a VP takes its timer's alone. */
	sigfillset(&all);
	sigdelset(&all, TIMER_SIGNAL);
	sigdelset(&all, SIGFPE); /* engines give meaning to these: faults are their own */
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGTRAP);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, VP_STACK_SIZE);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&vp->thread, &attr, vp_main, vp);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (r < 0)
		return err_set(err, r, "no thread for processor %u: %s", vp->index,
			       err_words(r));
	vp->thread_made = true;
	return 0;
}

void vp_free(struct vp *vp)
{
	if (!vp)
		return;
	if (vp->timer_made)
		timer_delete(vp->timer);
	vp_synthetic_done(vp);
	vp->partition->config.engine->vp_free(vp->engine_vp);
	free(vp);
}
