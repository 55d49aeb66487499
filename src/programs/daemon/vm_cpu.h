/* SPDX-License-Identifier: Apache-2.0 */
/* How much processor time the processes of a VM take, as /proc says. Thread: the loop's. */
#pragma once

#include "programs/daemon/inventory.h"

/* Percent of one processor since it was last asked for, at least half a second ago; at first since the start. */
unsigned vm_cpu_percent(struct vm *vm, u64 now_ns);
/* All it took. */
u64 vm_cpu_ns(const struct vm *vm);
