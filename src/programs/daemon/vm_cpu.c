/* SPDX-License-Identifier: Apache-2.0 */
/* Processor time of VMs; see vm_cpu.h. */
#include "programs/daemon/vm_cpu.h"

#include "base/clock.h"
#include "base/process.h"

#define OLD_NS (NS_PER_SEC / 2)

/* Of one process, 0: none. */
static u64 process_ns(s32 pid)
{
	struct process_stat stat;

	return pid > 0 && process_stat(pid, &stat) ? stat.user_ns + stat.system_ns : 0;
}

u64 vm_cpu_ns(const struct vm *vm)
{
	const struct launch_reply *k = &vm->known;

	return process_ns(k->owner) + process_ns(k->hv) + process_ns(k->worker) +
	       process_ns(k->nat);
}

unsigned vm_cpu_percent(struct vm *vm, u64 now_ns)
{
	u64 cpu, before = vm->cpu_at_ns ? vm->cpu_at_ns : vm->known.start_ns;

	if (vm->state == VM_OFF)
		return 0;
	if (vm->cpu_at_ns && now_ns < before + OLD_NS)
		return vm->cpu_percent;
	cpu = vm_cpu_ns(vm);
	if (now_ns > before && cpu >= vm->cpu_ns)
		vm->cpu_percent =
			(unsigned)((cpu - vm->cpu_ns) * 100 / (now_ns - before));
	vm->cpu_ns = cpu;
	vm->cpu_at_ns = now_ns;
	return vm->cpu_percent;
}
