/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One virtual machine as the hypervisor sees it: processors, memory map, interrupt controllers,
 * timing-critical chips, and the wall to the worker.
 *
 *	1. partition_new	loop thread: everything is allocated, VPs in their reset state
 *	2. partition_start	VP threads begin, confine themselves, and stand
 *	3. loop_run		the worker loads the guest and says RUN
 *	4. partition_end	any thread: the guest, or we, came to an end; VPs stand for good
 *	5. partition_free	loop thread
 *
 * When a VP may run
 *
 *	may_run = running && pauses == 0 && !ended
 *
 *	running  the worker's RUN and STOP verbs; a guest reset clears it
 *	pauses   the loop thread wants all VPs to stand for a moment (the map changes)
 *	ended    for good
 *
 *	A VP is INSIDE the guest, or it is OUTSIDE: standing between two runs, or in an access
 *	that the worker answers, or ringing a doorbell. It goes INSIDE only while may_run holds,
 *	under run_lock; so after partition_pause returned nothing of the guest moves, whatever
 *	the worker does. A halted VP counts as INSIDE (it may wake any moment): it is told to
 *	step out like one that executes.
 *
 *	A VP that comes back from an access while the VM is stopped (not paused, not ended)
 *	finishes its instruction, and then stands: no state of a VP has half an instruction in it.
 *
 * Lock order: wall_hv.lines_lock, chipset lock, a SynIC's lock, a LAPIC's lock, run_lock. The last
 * holds nothing else and calls nobody.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/loop.h"
#include "hv/chipset.h"
#include "hv/engine.h"
#include "hv/guest_clock.h"
#include "hv/guest_interface.h"
#include "hv/hyperv_testdev.h"
#include "hv/io_map.h"
#include "hv/memory_map.h"
#include "hv/msi_event.h"
#include "wall/hv_end.h"
#include "wall/wall.h"
#include "x86/cpuid.h"

struct vp;

/* What the partition tells its program. Loop thread. */
struct partition_events {
	void (*first_entry)(void *owner, u64 monotonic_ns);
	void (*ended)(void *owner, enum vm_end end, u32 code, const char *text);
	/* The guest asked for a reset; all VPs stand. */
	void (*guest_reset)(void *owner);
};

struct partition_config {
	const struct engine_ops *engine;
	enum hv_engine engine_kind;
	int kvm_fd;	/* or -1 */
	u64 code_cache; /* engine.h */
	u32 vp_count;
	bool debug_exit, test_devices, portable;
	bool hardware_apics; /* on engines with local APICs of their own: an EOI is no exit */
	struct memory_region region[WALL_REGION_COUNT];
	_Atomic u8 *code_map, *dirty_map;
	struct wall_control *control;
	int verbs, access_event, hv_event;
	int serial[2]; /* stream sockets, non-blocking; -1 = nobody listens */
	struct loop *loop;
	u64 tsc_hz; /* of the host's counter, as measured */
	/* Last step of every VP thread before it may run guest code; may be NULL. */
	int (*confine_thread)(void *owner, struct err *err);
	const struct partition_events *events;
	void *owner; /* of events and confine_thread */
};

struct partition {
	/* Set by partition_new, constant afterwards. */
	struct partition_config config;
	struct engine_vm *engine_vm;
	struct vp **vp;
	struct x86_model
		model;	/* what CPUID says; tsc_hz: see guest_interface_set_tsc_hz */
	bool park;	/* VPs sleep on two words: vp_can_park */
	int self_event; /* VP threads and signal handlers -> loop: look at the flags */

	struct memory_map memory; /* changed while all VPs stand */
	struct io_map io;	  /* changed while all VPs stand */
	struct msi_events msi_events;
	struct chipset chipset; /* has its lock */
	struct wall_hv wall;
	struct guest_clock clock;     /* of all chips; changed while all VPs stand */
	struct guest_interface guest; /* has its lock */
	struct hyperv_testdev *hyperv_test; /* NULL without --test-devices; chipset lock */

	/* run_lock */
	pthread_mutex_t run_lock;
	pthread_cond_t go;    /* may_run became true, or quit */
	pthread_cond_t stood; /* a VP stepped out, or a thread is ready */
	_Atomic bool running; /* written under the lock; the loop reads it without */
	unsigned pauses;
	unsigned inside; /* VPs that are INSIDE */
	unsigned ready;	 /* threads that confined themselves */
	u64 remaps_done;
	bool quit;	      /* threads end */
	struct err start_err; /* of the first thread that could not start */
	/* Written under run_lock, read by anybody. */
	_Atomic bool may_run;

	/* The end: the first one counts. Text is complete before ended is set. */
	pthread_mutex_t end_lock;
	_Atomic bool ended;
	enum vm_end end;
	u32 end_code;
	char end_text[256];

	/* Flags for the loop thread; ring self_event after setting one. */
	_Atomic bool reset_asked;
	_Atomic u64 first_entry_ns;
	_Atomic u64 remaps_asked;

	/* Loop thread. */
	struct loop_watch *verbs_watch, *hv_event_watch, *self_watch;
	struct loop_alarm end_alarm; /* the console takes the guest's last words */
	struct loop_alarm crash_alarm;
	u64 end_deadline_ns;
	bool end_seen, end_told, first_entry_told, crash_seen;
	bool worker_gone; /* or it lied: its descriptors are no longer watched */

	/* Counters, any thread. */
	_Atomic u64 slow_accesses;
	_Atomic u32
		slow_now; /* accesses that have lasted over 5 s: > 0 = critical-paused */
};

int partition_new(const struct partition_config *config, struct partition **ret_partition,
		  struct err *err) MUST_CHECK;
/* Returns when every VP thread is confined, or the first error. */
int partition_start(struct partition *p, struct err *err) MUST_CHECK;
void partition_free(struct partition *p);

/* Loop thread. All VPs step out; may be nested. */
void partition_pause(struct partition *p);
void partition_unpause(struct partition *p);
/* The worker's verbs. Loop thread. */
void partition_run(struct partition *p);
/* VPs that have an instruction to finish, when what they wait for is done: then stop again. */
u32 partition_stop(struct partition *p);
/* The worker has events for VPs: deliver them if the VM runs. Loop thread. */
void partition_take_events(struct partition *p);
/* Those of one VP. Its thread, inside. */
void partition_take_vp_events(struct vp *vp);
/* Chips, VPs, map and ranges as after partition_new. Stopped before. Loop thread. */
int partition_reset(struct partition *p) MUST_CHECK;

/* Any thread, any lock but run_lock. */
void partition_end(struct partition *p, enum vm_end end, u32 code, const char *fmt, ...)
	PRINTF(4, 5);
void partition_ask_reset(struct partition *p);

/* The guest said that it crashed: the VM ends with the guest, or soon. VP's thread. */
void partition_guest_crashed(struct partition *p);

/* The guest page was to be unmapped and mapped again (test device): ask, any lock but run_lock;
 * then, on the VP's thread with no lock held, wait until it was done. */
void partition_ask_remap(struct partition *p);
void partition_wait_remap(struct vp *vp);

/* Any thread, for VPs only: step out of the guest and back in; false = the thread must end. */
void partition_step_out(struct partition *p);
bool partition_step_in(struct partition *p);
/* Back in from an access, in the middle of an instruction. The VP's thread. */
void partition_step_back(struct vp *vp);

/* Loop thread. */
void partition_stats(struct partition *p, struct hv_stats *ret_stats);
/* Text of everything below path ("" = all); cut at size - 1. Pauses the VPs for a moment. */
void partition_inspect(struct partition *p, const char *path, char *ret_text,
		       size_t size);

/* The verbs socket was closed. Loop thread. */
void partition_worker_gone(struct partition *p);

extern const struct wall_hv_ops partition_wall_ops; /* verbs.c */
