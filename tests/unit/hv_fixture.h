/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A partition whose processors execute a function of the test instead of instructions, a fake
 * worker at the other end of the wall, and a thread that is hv's loop.
 *
 *	machine_new(vps)	everything made, VPs stand
 *	m->script[n] = f	what VP n executes; before RUN
 *	fake_worker_ask(m->worker, WALL_VERB_RUN)
 *	machine_free(m)
 *
 * A script is called again and again on the VP's thread; it uses vp->bus as an engine would, and
 * says how to go on.
 */
#pragma once

#include <stdatomic.h>

#include "harness.h"

#include "hv/partition.h"
#include "hv/vp.h"
#include "wall/fake_worker.h"
#include "wall/worker_end.h"

enum script_result {
	SCRIPT_AGAIN, /* call me again */
	SCRIPT_HALT,  /* HLT, then call me again */
	SCRIPT_TRIPLE_FAULT,
	SCRIPT_FAILED,
};

struct script_vp {
	const struct x86_bus_ops *bus;
	void *bus_vp;
	vp_index_t index;
	struct machine *machine;
	struct vp_state state;
	s64 tsc_offset;
	bool interrupts_on; /* IF */
	bool halted;
	struct engine_call call; /* registers of a hypercall */
	u8 xmm[6][16];		 /* and these */
	_Atomic unsigned step;	 /* the script's own */
	_Atomic bool kicked, interrupt;
	_Atomic u32 nmis_waiting;
	/* what happened */
	_Atomic u32 calls, runs, nmis, taken_count;
	_Atomic u32 taken;     /* the last vector */
	_Atomic u64 result[8]; /* for the script to leave and the test to read */
};

typedef enum script_result (*script_fn)(struct script_vp *vp);

struct machine {
	struct fake_worker *worker;
	struct partition *partition;
	struct loop *loop;
	pthread_t thread;
	bool started;
	script_fn script[WALL_MAX_VPS];
	struct script_vp *vp[WALL_MAX_VPS];
	int serial; /* our end of COM1 */
	int serial_hv;
	bool debug_exit, test_devices, portable;
	int start_result;
	struct err err;
	_Atomic bool up;

	/* what the partition told its owner, and the engine was told */
	_Atomic u32 first_entries, ends, resets;
	enum vm_end end;
	u32 end_code;
	char end_text[256];
	_Atomic u64 drops, dropped_first, dropped_count, maps_changed;
	struct engine_route event_route[WALL_MAX_VPS]; /* of the VPs' eventfds */
	_Atomic u32 flushes;
	struct engine_flush flush; /* the last one */
	u64 flush_vps;
};

/* NULL when it cannot be made (the reason was noted as a failure). */
struct machine *machine_new(u32 vp_count);
/* As above, with the flags of the machine set by prepare before the partition is made. */
struct machine *machine_new_with(u32 vp_count, void (*prepare)(struct machine *m));
/* The first VP executes this, and all are let run. */
struct machine *machine_that_runs(u32 vp_count, script_fn first);
void machine_free(struct machine *m);
static inline void cleanup_machine(struct machine **m)
{
	machine_free(*m);
}
#define AUTO_MACHINE __attribute__((cleanup(cleanup_machine)))

int machine_run(struct machine *m);
/* Subscribe a range as the worker does; notes a failure. */
void machine_io_range(struct machine *m, bool mmio, bool posted, u64 base, u64 size);

/* The worker's own end of the wall, for who needs more than verbs. worker_end_close() it. */
struct worker_end *machine_worker_end(struct machine *m);
/* A VP other than the first, which would wait for a startup message, begins as the first. */
bool machine_start_vp(struct machine *m, u32 index);

/* Wait (10 s) until a condition of other threads holds. */
#define WAIT_FOR(cond)                                         \
	do {                                                   \
		for (int n_ = 0; n_ < 100000 && !(cond); n_++) \
			usleep(100);                           \
		ASSERT(cond);                                  \
	} while (0)

/* Scripts that many tests use. */
enum script_result script_halt(struct script_vp *vp);
/* Software-enable the LAPIC and let interrupts in. */
void script_open_lapic(struct script_vp *vp);

#define LAPIC_GPA 0xfee00000ull
