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
 * The LAPIC's timer is a POSIX timer that signals this very thread: no other thread and no other
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

struct partition;

#define VP_SLEEPING 1u	       /* the VP's thread, about to sleep */
#define VP_SIGNAL_INTERRUPT 2u /* look again at what can wake you */
#define VP_SIGNAL_TIMER 4u     /* the LAPIC timer may be due */
#define VP_SIGNAL_APIC 8u      /* INIT or SIPI: lapic_take_signals */
#define VP_SIGNAL_STOP 16u
#define VP_SIGNAL_STATE 32u /* new_state waits */

struct vp {
	struct partition *partition;
	vp_index_t index;
	struct engine_vp *engine_vp;

	/* Any thread. */
	_Atomic u32 signals; /* the futex word */

	/* The VP's thread, or the loop's while the VP stands between two runs. */
	enum vp_activity activity; /* RUNNING, WAIT_SIPI or SHUTDOWN */
	bool halted;

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
	_Atomic u64 exits_pio, exits_mmio, exits_worker;

	pthread_t thread;
	bool thread_made, timer_made;
	timer_t timer;
	u64 timer_when; /* by the guest's clock */

	struct lapic lapic; /* its own rules: lapic.h */
};

int vp_new(struct partition *p, vp_index_t index, struct vp **ret_vp, struct err *err)
	MUST_CHECK;
int vp_start(struct vp *vp, struct err *err) MUST_CHECK;
/* The thread must have ended or never begun. */
void vp_free(struct vp *vp);

/* Any thread. */
void vp_signal(struct vp *vp, u32 bits);
void vp_nmi(struct vp *vp);

/* The guest's time stamp counter; it stands while time does. VP's thread, or any while it stands. */
u64 vp_tsc(struct vp *vp);
/* Loop thread, all VPs stand: time stood for so many ticks of the host's counter, and goes now. */
void vp_time_goes(struct vp *vp, u64 ticks);

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
