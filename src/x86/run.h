/* SPDX-License-Identifier: Apache-2.0 */
/* The run loop, for engine/soft and for tests. Thread: the VP's. */
#pragma once

#include "x86/cpu.h"

enum x86_exit {
	X86_EXIT_KICKED,       /* X86_ATTN_KICK was set (and is cleared) */
	X86_EXIT_HALTED,       /* nothing to do until a line rises */
	X86_EXIT_TRIPLE_FAULT, /* c->s.activity is VP_SHUTDOWN */
};

/*
 * Execute from c->rip until one of the above; always at an instruction boundary, with every
 * register in c. What another thread wants is in c->attention and c->lines.
 */
enum x86_exit x86_run(struct x86_cpu *c);

/*
 * For somebody who wants to look at the processor again and again (engine/soft/lockstep.c): one round
 * of that loop. It ends when an interrupt or a fault was delivered, and its handler's first
 * instruction is the next; or where code leaves to the loop. true: it is at its end, and what
 * x86_run() would have come back with is in *ret_exit.
 *
 * x86_run_toward: ends after one block at the latest (of a REP string instruction perhaps a piece), and
 * if an instruction at `stop` is in that block, before it: then one instruction at a time is run.
 */
bool x86_run_round(struct x86_cpu *c, enum x86_exit *ret_exit);
bool x86_run_toward(struct x86_cpu *c, u64 stop, enum x86_exit *ret_exit);

/* Could the halted processor take what waits in c->lines? */
bool x86_can_wake(const struct x86_cpu *c);
