/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine that is ours: processors of src/x86 behind hv/engine.h. Private to engine/soft.
 *
 *	soft.c	the table: VMs, VPs, running, state, dropping
 *	away.c	the bus as the processors see it: the same calls, noting that the VP is away
 *	lockstep*.c	a second, interpreted processor beside the only one, for tests
 *
 * Away
 *	A VP is away while it is not inside vp_run, or inside a bus call that may block. Who wants
 *	decoded code or write rights gone posts a request and waits for each VP that is not away; one that
 *	is away looks for requests before it goes on: it first says that it is back, then looks,
 *	while the other side first posts, then looks who is away. Both are sequentially consistent,
 *	so one of the two sees the other.
 */
#pragma once

#include "hv/engine.h"
#include "x86/cache.h"

struct lockstep;

struct engine_vm {
	struct engine_vm_config config;
	struct x86_vm x86;
	struct engine_vp *vp[X86_VPS_MAX];
};

struct engine_vp {
	struct x86_cpu cpu; /* first: the hot fields on its cache lines */
	struct engine_vm *vm;
	const struct x86_bus_ops *bus; /* hv's, and its argument */
	void *bus_vp;
	_Atomic bool away;
	struct lockstep *lockstep; /* HV_ENGINE_LOCKSTEP, else NULL */
	u64 idle_since,
		idle_used; /* when it was last asked whether it is idle; CPU time then */
};

/* How long a processor must be idle before its translations go; 0 (tests): at each HLT, busy or not. */
extern u64 soft_idle_ns;

/* What struct x86_cpu has as its bus; bus_vp is the struct engine_vp. */
extern const struct x86_bus_ops soft_bus_ops;

/* Before x86_run: the processor's registers into the host's, as far as they live there. */
void soft_vp_enters(struct engine_vp *vp);

/* The VP's thread goes away; comes back and looks for requests. */
void soft_vp_leaves(struct engine_vp *vp);
void soft_vp_returns(struct engine_vp *vp);
