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

/* Could the halted processor take what waits in c->lines? */
bool x86_can_wake(const struct x86_cpu *c);
