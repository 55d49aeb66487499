/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VP on KVM: the run loop and its exits; see kvm.h.
 *
 * A kick that must not be lost: the kicker sets `kicked`, then signals the thread if it may be
 * inside KVM_RUN. The runner sets `in_run`, then looks at `kicked`. Whoever comes second sees the
 * other; and a signal that arrives between that look and the entry sets immediate_exit in its
 * handler, so KVM_RUN returns at once. An NMI and the 8259's interrupt travel the same way.
 */
#include "engine/kvm/kvm.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <x86intrin.h>

#include "base/log.h"

/* ---- life ------------------------------------------------------------------------------------ */

int kvm_vp_new(struct engine_vm *vm, vp_index_t index, const struct x86_bus_ops *bus,
	       void *bus_vp, struct engine_vp **ret_vp, struct err *err)
{
	struct engine_vp *vp = calloc(1, sizeof *vp);
	int r = 0;

	if (!vp)
		return err_set(err, -ENOMEM, "KVM: %s", err_words(-ENOMEM));
	vp->vm = vm;
	vp->index = index;
	vp->bus = bus;
	vp->bus_vp = bus_vp;
	vp->run = MAP_FAILED;
	vp->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)index);
	if (vp->fd >= 0)
		vp->run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			       vp->fd, 0);
	if (vp->fd < 0 || vp->run == MAP_FAILED) {
		r = -errno;
	} else if (vm->has_synic && kvm_enable(vp->fd, KVM_CAP_HYPERV_SYNIC2, 0) < 0) {
		vm->has_synic = false;
	}
	if (r < 0) {
		kvm_vp_free(vp);
		return err_set(err, r, "KVM: virtual processor %u cannot be made: %s",
			       index, err_words(r));
	}
	vm->vp[index] = vp;
	*ret_vp = vp;
	return 0;
}

void kvm_vp_free(struct engine_vp *vp)
{
	if (!vp)
		return;
	vp->vm->vp[vp->index] = NULL;
	if (vp->run != MAP_FAILED)
		munmap(vp->run, vp->vm->run_size);
	if (vp->fd >= 0)
		close(vp->fd);
	free(vp);
}

/* Which VP this thread runs, for the signal handler. */
static _Thread_local struct engine_vp *this_vp;

static void on_kick(int signal_number)
{
	if (this_vp)
		this_vp->run->immediate_exit = 1;
}

int kvm_vp_thread_start(struct engine_vp *vp)
{
	struct sigaction action = { .sa_handler = on_kick };
	sigset_t set;

	this_vp = vp;
	vp->process = getpid();
	vp->thread = (pid_t)syscall(SYS_gettid);
	sigemptyset(&set);
	sigaddset(&set, KVM_KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	return sigaction(KVM_KICK_SIGNAL, &action, NULL) < 0 ? -errno : 0;
}

/* ---- exits ----------------------------------------------------------------------------------- */

static void exit_io(struct engine_vp *vp)
{
	struct kvm_run *run = vp->run;
	u8 *data = (u8 *)run + run->io.data_offset;
	u16 port = run->io.port;
	unsigned size = run->io.size, count = run->io.count;
	u32 value = 0;

	if (count != 1) {
		if (run->io.direction == KVM_EXIT_IO_IN)
			vp->bus->pio_read_string(vp->bus_vp, port, size, data, count);
		else
			vp->bus->pio_write_string(vp->bus_vp, port, size, data, count);
		return;
	}
	if (run->io.direction == KVM_EXIT_IO_IN) {
		value = vp->bus->pio_read(vp->bus_vp, port, size);
		memcpy(data, &value, size);
	} else {
		memcpy(&value, data, size);
		vp->bus->pio_write(vp->bus_vp, port, size, value);
	}
}

static void exit_mmio(struct engine_vp *vp)
{
	struct kvm_run *run = vp->run;
	u64 value = 0;

	if (run->mmio.is_write) {
		memcpy(&value, run->mmio.data, run->mmio.len);
		vp->bus->mmio_write(vp->bus_vp, run->mmio.phys_addr, run->mmio.len,
				    value);
	} else {
		value = vp->bus->mmio_read(vp->bus_vp, run->mmio.phys_addr,
					   run->mmio.len);
		memcpy(run->mmio.data, &value, run->mmio.len);
	}
}

/* Of the synthetic MSRs alone: the filter lets every other one be KVM's. */
static void exit_msr(struct engine_vp *vp, bool write)
{
	struct kvm_run *run = vp->run;
	u64 value = run->msr.data;

	if (write)
		run->msr.error = !vp->bus->msr_write(vp->bus_vp, run->msr.index, value);
	else
		run->msr.error = !vp->bus->msr_read(vp->bus_vp, run->msr.index, &value);
	run->msr.data = value;
}

/* One exit. True: stay in the loop; else *ret_exit says why vp_run returns. */
static bool handle_exit(struct engine_vp *vp, enum engine_exit *ret_exit)
{
	struct kvm_run *run = vp->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		exit_io(vp);
		return true;
	case KVM_EXIT_MMIO:
		exit_mmio(vp);
		return true;
	case KVM_EXIT_X86_RDMSR:
		exit_msr(vp, false);
		return true;
	case KVM_EXIT_X86_WRMSR:
		exit_msr(vp, true);
		return true;
	case KVM_EXIT_IOAPIC_EOI:
		vp->bus->eoi(vp->bus_vp, run->eoi.vector);
		return true;
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_INTR:
		return true;
	case KVM_EXIT_HLT: /* only without an in-kernel LAPIC */
		*ret_exit = ENGINE_HALTED;
		return false;
	case KVM_EXIT_SHUTDOWN:
		*ret_exit = ENGINE_TRIPLE_FAULT;
		return false;
	case KVM_EXIT_INTERNAL_ERROR:
		log_error("vp %u: KVM cannot go on: internal error %u", vp->index,
			  run->internal.suberror);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		log_error("vp %u: KVM cannot enter the guest: hardware reason 0x%llx",
			  vp->index,
			  (unsigned long long)
				  run->fail_entry.hardware_entry_failure_reason);
		break;
	default:
		log_error("vp %u: KVM came back for an unknown reason %u", vp->index,
			  run->exit_reason);
		break;
	}
	*ret_exit = ENGINE_FAILED;
	return false;
}

/* ---- running --------------------------------------------------------------------------------- */

/* The 8259's interrupt goes in by hand; that of a LAPIC is KVM's business. */
static void inject_extint(struct engine_vp *vp)
{
	struct kvm_run *run = vp->run;

	run->request_interrupt_window = 0;
	if (!atomic_load(&vp->extint))
		return;
	if (!run->ready_for_interrupt_injection) {
		run->request_interrupt_window = 1;
		return;
	}
	int vector = vp->bus->interrupt_take(vp->bus_vp);
	if (vector >= 0) {
		struct kvm_interrupt irq = { .irq = (u32)vector };

		vp->interrupts++;
		if (ioctl(vp->fd, KVM_INTERRUPT, &irq) < 0)
			log_warn("vp %u: KVM takes no interrupt: %s; it is dropped",
				 vp->index, err_words(-errno));
	}
	if (atomic_load(&vp->extint))
		run->request_interrupt_window = 1;
}

static int run_once(struct engine_vp *vp)
{
	int r = 0;

	atomic_store(&vp->in_run, true);
	if (atomic_load(&vp->kicked) || atomic_load(&vp->nmi) ||
	    (atomic_load(&vp->extint) && !vp->run->request_interrupt_window))
		vp->run->immediate_exit = 1;
	if (ioctl(vp->fd, KVM_RUN, 0) < 0)
		r = -errno;
	atomic_store(&vp->in_run, false);
	vp->run->immediate_exit = 0;
	vp->exits++;
	return r;
}

/*
 * A kicked VP stands at an instruction boundary: KVM finishes a pending access at the next entry,
 * which immediate_exit ends before the guest runs. An access in several parts comes back for each;
 * the longest is a page of a string instruction, byte by byte, so the bound is never reached.
 */
static bool finish_access(struct engine_vp *vp, enum engine_exit *ret_why)
{
	for (unsigned k = 0; k < 2 * WALL_PAGE_SIZE; k++) {
		int r;

		vp->run->immediate_exit = 1;
		r = ioctl(vp->fd, KVM_RUN, 0);
		vp->run->immediate_exit = 0;
		if (r < 0)
			return true;
		if (!handle_exit(vp, ret_why))
			return false;
	}
	return true;
}

enum engine_exit kvm_vp_run(struct engine_vp *vp)
{
	enum engine_exit why;

	vp->has_run = true;
	for (;;) {
		int r;

		if (atomic_exchange(&vp->nmi, false))
			(void)ioctl(vp->fd, KVM_NMI, 0);
		inject_extint(vp);
		r = run_once(vp);
		if (r == 0 && !handle_exit(vp, &why))
			return why;
		if (r < 0 && r != -EINTR && r != -EAGAIN) {
			log_error("vp %u: KVM_RUN: %s", vp->index, err_words(r));
			return ENGINE_FAILED;
		}
		if (!atomic_load(&vp->kicked))
			continue;
		if (!finish_access(vp, &why))
			return why;
		atomic_store(&vp->kicked, false);
		return ENGINE_KICKED;
	}
}

/* By number, not by pthread_kill, which asks for more system calls than the jail leaves. */
static void signal_thread(struct engine_vp *vp)
{
	syscall(SYS_tgkill, vp->process, vp->thread, KVM_KICK_SIGNAL);
}

/* Any thread, async-signal-safe. */
void kvm_vp_kick(struct engine_vp *vp)
{
	atomic_store(&vp->kicked, true);
	if (!atomic_load(&vp->in_run))
		return;
	if (this_vp == vp)
		vp->run->immediate_exit = 1;
	else
		signal_thread(vp);
}

void kvm_vp_interrupt(struct engine_vp *vp, bool pending)
{
	if (atomic_exchange(&vp->extint, pending) != pending && pending &&
	    atomic_load(&vp->in_run) && this_vp != vp)
		signal_thread(vp);
}

void kvm_vp_nmi(struct engine_vp *vp)
{
	atomic_store(&vp->nmi, true);
	if (atomic_load(&vp->in_run) && this_vp != vp)
		signal_thread(vp);
}

#define MSR_TSC 0x10
#define MSR_TSC_DEADLINE 0x6e0

u64 kvm_vp_tsc(struct engine_vp *vp)
{
	struct kvm_one_msr tsc = { .count = 1, .entry.index = MSR_TSC };

	return ioctl(vp->fd, KVM_GET_MSRS, &tsc) == 1 ? tsc.entry.data : 0;
}

/* Linux 5.16 says the offset itself; before, it is as exact as two readings can be. */
s64 kvm_vp_tsc_offset(struct engine_vp *vp)
{
	u64 offset = 0;
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL,
					.attr = KVM_VCPU_TSC_OFFSET,
					.addr = (u64)(uintptr_t)&offset };

	if (ioctl(vp->fd, KVM_GET_DEVICE_ATTR, &attr) < 0)
		offset = kvm_vp_tsc(vp) - __rdtsc();
	return (s64)offset;
}

void kvm_vp_set_tsc_offset(struct engine_vp *vp, s64 offset)
{
	u64 value = (u64)offset;
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL,
					.attr = KVM_VCPU_TSC_OFFSET,
					.addr = (u64)(uintptr_t)&value };
	struct kvm_one_msr deadline = { .count = 1, .entry.index = MSR_TSC_DEADLINE };
	struct kvm_one_msr tsc = { .count = 1, .entry.index = MSR_TSC };

	if (ioctl(vp->fd, KVM_SET_DEVICE_ATTR, &attr) < 0) {
		tsc.entry.data = __rdtsc() + value;
		(void)ioctl(vp->fd, KVM_SET_MSRS, &tsc);
	}
	/* The kernel's timer was set by the old offset: once more by the new one. */
	if (ioctl(vp->fd, KVM_GET_MSRS, &deadline) == 1 && deadline.entry.data)
		(void)ioctl(vp->fd, KVM_SET_MSRS, &deadline);
}

/* KVM sleeps itself when the guest halts. */
bool kvm_vp_can_wake(struct engine_vp *vp)
{
	return true;
}

void kvm_vp_count(struct engine_vp *vp, struct hv_stats *io_stats)
{
	io_stats->interrupts += vp->interrupts;
}
