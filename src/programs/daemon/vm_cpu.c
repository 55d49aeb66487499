/* SPDX-License-Identifier: Apache-2.0 */
/* Processor time of VMs; see vm_cpu.h. */
#include "programs/daemon/vm_cpu.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/clock.h"

#define OLD_NS (NS_PER_SEC / 2)

/* User and system time of one process: the 14th and 15th field. */
static u64 process_ns(s32 pid)
{
	unsigned long long user = 0, system = 0;
	char path[32], text[512], *p;
	ssize_t n;

	if (pid <= 0)
		return 0;
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	p = strrchr(text, ')');
	for (unsigned field = 2; p && field < 14; field++)
		p = strchr(p + 1, ' ');
	if (!p || sscanf(p, "%llu %llu", &user, &system) != 2)
		return 0;
	return (user + system) * (NS_PER_SEC / (u64)sysconf(_SC_CLK_TCK));
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
