/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual processor: its thread, what wakes it, and its local APIC.
 *
 * States of the thread
 *
 *	standing --may_run--> running --HLT--> sleeping
 *	   ^                    |  ^--signal------'|
 *	   '----!may_run--------'------------------'
 *
 *	A VP that waits for SIPI sleeps. Whoever has something for a VP sets a bit in `signals`; if
 *	the VP sleeps (VP_SLEEPING is the whole word) that wakes its futex, else it kicks the engine.
 *	The VP takes all bits at once before it runs or sleeps: nothing is lost between the two.
 *
 * The LAPIC's timer and the synthetic timers share a POSIX timer that signals this very thread: no other thread and no other
 * processor takes part in a tick. The handler sets VP_SIGNAL_TIMER and kicks the engine; while the
 * VP sleeps the signal itself ends the futex wait.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/types.h"
#include "hv/chips/lapic.h"
#include "hv/engine.h"
#include "hv/event_lease.h"
#include "hv/stimer.h"
#include "hv/synic.h"

struct partition;

#define VP_SLEEPING 1u	       /* the VP's thread, about to sleep */
#define VP_SIGNAL_INTERRUPT 2u /* look again at what can wake you */
#define VP_SIGNAL_TIMER 4u     /* the LAPIC's timer or a synthetic one may be due */
#define VP_SIGNAL_APIC 8u      /* INIT or SIPI: lapic_take_signals */
#define VP_SIGNAL_STOP 16u
#define VP_SIGNAL_STATE 32u /* new_state waits */

enum vp_alarm { VP_ALARM_LAPIC, VP_ALARM_STIMER, VP_ALARM_COUNT };

struct vp {
	struct partition *partition;
	vp_index_t index;
	struct engine_vp *engine_vp;

	/* Any thread. */
	_Atomic u32 signals; /* the futex word */

	/* The VP's thread, or the loop's while the VP stands between two runs. */
	enum vp_activity activity; /* RUNNING, WAIT_SIPI or SHUTDOWN */
	bool halted;
	bool finishes; /* came back from an access while the VM stands: own thread */

	/*
	 * A state that arrived while the VP was in an access: applied when vp_run has returned.
	 * The loop writes it while the VP stands, then sets VP_SIGNAL_STATE.
	 */
	bool has_new_state;
	struct vp_state new_state;
	s64 new_tsc_offset; /* of new_state's TSC */

	/* Own thread writes; inspect reads. */
	_Atomic bool in_access;
	_Atomic u64 access_since_ns;
	_Atomic u64 exits_pio, exits_mmio, exits_worker, port_calls;

	pthread_t thread;
	bool thread_made, timer_made;
	timer_t timer;
	u64 timer_when;		   /* by the guest's clock: the earliest of */
	u64 alarm[VP_ALARM_COUNT]; /* when; CHIP_NO_ALARM */

	struct lapic lapic; /* its own rules: lapic.h */
	struct synic synic; /* its own lock */
	/* The VP's thread, or the loop's while it stands. */
	struct event_lease lease;
	struct stimers stimers;
	u64 assist_page; /* HV_MSR_VP_ASSIST_PAGE: kept, written there by the engine at most */
};

int vp_new(struct partition *p, vp_index_t index, struct vp **ret_vp, struct err *err)
	MUST_CHECK;
int vp_start(struct vp *vp, struct err *err) MUST_CHECK;
/* The thread must have ended or never begun. */
void vp_free(struct vp *vp);

/* Can VPs sleep for the worker's events as well as for ours? Before the jail closes. */
bool vp_can_park(void);

/* Any thread. */
void vp_signal(struct vp *vp, u32 bits);
void vp_nmi(struct vp *vp);

/* The guest's time stamp counter; it stands while time does. VP's thread, or any while it stands. */
u64 vp_tsc(struct vp *vp);
/* What it is ahead of the host's. The same. */
s64 vp_tsc_offset(struct vp *vp);
/* Loop thread, all VPs stand: time stood for so many ticks of the host's counter, and goes now. */
void vp_time_goes(struct vp *vp, u64 ticks);
/* A fixed, edge-triggered interrupt to this VP. Any thread, any lock but a LAPIC's and run_lock. */
void vp_interrupt(struct vp *vp, u8 vector);

/* The guest's PostMessage and SignalEvent on this VP: its thread, no lock; may block. */
enum hv_status vp_post_message(struct vp *vp, u32 connection, u32 type,
			       const void *payload, u32 size);
enum hv_status vp_signal_event(struct vp *vp, u32 connection);

/* vp_synthetic.c: the SynIC and the synthetic timers of a VP. */
void vp_synthetic_init(struct vp *vp);
void vp_synthetic_done(struct vp *vp);
void vp_synthetic_reset(struct vp *vp);
/* A register of the SynIC, by MSR; false: #GP. The VP's thread, no lock; may block. */
bool vp_write_synic(struct vp *vp, u32 index, u64 value);
/* HV_MSR_VP_ASSIST_PAGE: any value. VP's thread, or any while it stands. */
void vp_set_assist_page(struct vp *vp, u64 value);
/* State block of WALL_CHIP_SYNIC; the VP stands. -EINVAL and nothing changed. */
void vp_save_synthetic(struct vp *vp, void *ret_block);
int vp_restore_synthetic(struct vp *vp, const void *block) MUST_CHECK;
void vp_inspect_synthetic(struct vp *vp, struct inspect *out);
/* When the alarm is to come next, by the guest's clock. VP's thread, or any while it stands. */
void vp_set_alarm(struct vp *vp, enum vp_alarm which, u64 when_ns);

/* The VP's thread: the highest interrupt that waits, its vector; -1 = none after all. */
int vp_take_interrupt(struct vp *vp);

/*
 * Loop thread, all VPs stand. A VP in an access takes a state when it comes out; it gives none:
 * -EBUSY.
 */
int vp_set_state(struct vp *vp, const struct vp_state *state, struct err *err) MUST_CHECK;
int vp_get_state(struct vp *vp, struct vp_state *ret_state) MUST_CHECK;
void vp_reset(struct vp *vp);
int vp_restore_lapic(struct vp *vp, const void *block) MUST_CHECK;
int vp_save_lapic(struct vp *vp, void *ret_block) MUST_CHECK;
