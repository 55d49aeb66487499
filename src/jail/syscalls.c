/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system calls that each kind of thread keeps; see jail.h. Anything else kills the process.
 * Five rules look at arguments: no mapping is ever made executable, signals go to our own
 * threads only, ioctl is KVM's, of a few requests, or a socket's, fcntl the flags of descriptors, and
 * sockets are the Internet's. The lists are data so that a test counts and tries them.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/kvm.h>
#include <malloc.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/types.h"
#include "jail/jail.h"

/* A VP runs guest code: it sleeps, wakes others, arms its own timer, writes to the console. */
static const int hv_vp_calls[] = {
	SYS_futex,	    /* sleep while halted or while the worker answers */
	SYS_read,	    /* own eventfds */
	SYS_write,	    /* eventfds, the console's socket, the log */
	SYS_timer_settime,  /* the LAPIC timer, by signal on this very thread */
	SYS_rt_sigreturn,   /* from that signal */
	SYS_rt_sigprocmask, /* thread exit */
	SYS_clock_gettime,  /* where the vDSO cannot serve it */
	SYS_futex_waitv,    /* halted: for hv's own signals or the worker's events */
	SYS_membarrier,	    /* newly decoded code, see cpu.h */
	SYS_sched_yield,    /* PAUSE loops on a host with fewer processors than VPs */
	SYS_tgkill,	    /* kick another VP; abort() */
	SYS_mmap,	    /* decoded code grows; never PROT_EXEC */
	SYS_munmap,	    SYS_madvise, /* give memory back; thread exit */
	SYS_exit,			 /* this thread */
	SYS_exit_group,
};

/* A VP on KVM: its LAPIC's timer and its code are the kernel's. */
static const int hv_vp_kvm_calls[] = {
	SYS_ioctl,			 /* see kvm_requests */
	SYS_futex,			 /* sleep while the worker answers */
	SYS_read,			 /* own eventfds */
	SYS_write,			 /* eventfds, the console's socket, the log */
	SYS_timer_settime,		 /* the 8254's and the clock's timer */
	SYS_rt_sigreturn,		 /* from the kick */
	SYS_rt_sigprocmask,		 /* thread exit */
	SYS_clock_gettime,		 /* where the vDSO cannot serve it */
	SYS_sched_yield,		 /* a worker that is about to answer */
	SYS_tgkill,			 /* kick another VP; abort() */
	SYS_mmap,			 /* never PROT_EXEC */
	SYS_munmap,	    SYS_madvise, /* thread exit */
	SYS_exit,			 /* this thread */
	SYS_exit_group,
};

/* What is done to a VM and to its VPs that are there. */
static const unsigned long kvm_requests[] = {
	KVM_RUN,
	KVM_INTERRUPT,
	KVM_NMI,
	KVM_SIGNAL_MSI,
	KVM_SET_GSI_ROUTING,
	/* states */
	KVM_GET_REGS,
	KVM_SET_REGS,
	KVM_GET_SREGS,
	KVM_SET_SREGS,
	KVM_GET_MSRS,
	KVM_SET_MSRS,
	KVM_GET_XSAVE,
	KVM_GET_XSAVE2,
	KVM_SET_XSAVE,
	KVM_GET_XCRS,
	KVM_SET_XCRS,
	KVM_GET_DEBUGREGS,
	KVM_SET_DEBUGREGS,
	KVM_GET_VCPU_EVENTS,
	KVM_SET_VCPU_EVENTS,
	KVM_GET_MP_STATE,
	KVM_SET_MP_STATE,
	KVM_GET_LAPIC,
	KVM_SET_LAPIC,
	KVM_SET_CPUID2, /* with the first state: it holds the frequency that the guest was told */
	KVM_GET_DEVICE_ATTR, /* of a VP: the offset of its time stamp counter */
	KVM_SET_DEVICE_ATTR,
	/* memory: the loop's alone */
	KVM_SET_USER_MEMORY_REGION,
	KVM_GET_DIRTY_LOG,
	/* doorbells and interrupts by eventfd: the loop's too */
	KVM_IOEVENTFD,
	KVM_IRQFD,
};
#define KVM_LOOP_REQUESTS 4 /* at the list's end */

/* hv's loop: verbs, rings, alarms, the console's input, the owner. */
#define HV_LOOP_CALLS                                                                 \
	SYS_epoll_pwait, SYS_epoll_pwait2, SYS_epoll_ctl, SYS_recvmsg, SYS_sendmsg,   \
		SYS_read, SYS_write, SYS_close, SYS_futex, SYS_clock_gettime,         \
		SYS_rt_sigreturn, SYS_rt_sigprocmask, SYS_timer_settime, SYS_tgkill,  \
		SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise, SYS_brk, \
		SYS_fallocate, SYS_membarrier, SYS_sched_yield, SYS_restart_syscall,  \
		SYS_exit, SYS_exit_group
static const int hv_loop_calls[] = { HV_LOOP_CALLS };
static const int hv_loop_kvm_calls[] = { HV_LOOP_CALLS, SYS_ioctl };

/*
 * The worker: the same shape; reading kernels through descriptors that it was given, and what of
 * images is in the host's cache; and a ring that was made to read and nothing else (disk/ring.h);
 * and frames (net/port.h). It is the first thread, which never ends alone and whose heap needs no
 * mprotect. Without tgkill, abort() ends by SIGSYS.
 */
static const int worker_calls[] = {
	SYS_poll,     SYS_epoll_pwait2,	 SYS_epoll_ctl,	      SYS_recvmsg,
	SYS_sendmsg,  SYS_read,		 SYS_write,	      SYS_close,
	SYS_futex,    SYS_clock_gettime, SYS_rt_sigreturn,    SYS_io_uring_enter,
	SYS_mmap,     SYS_munmap,	 SYS_mremap,	      SYS_madvise,
	SYS_brk,      SYS_fallocate,	 SYS_pread64,	      SYS_preadv2,
	SYS_fstat,    SYS_newfstatat,	 SYS_pwritev,	      SYS_writev,
	SYS_recvmmsg, SYS_sendmmsg,	 SYS_restart_syscall, SYS_exit_group,
};

/* Reads and writes images through descriptors that are there already. */
/* clang-format off */
#define DISK_CALLS \
	SYS_preadv,	   /* data */ \
	SYS_pwritev,	   /* data */ \
	SYS_fdatasync,	   /* flushes */ \
	SYS_fallocate,	   /* space given back */ \
	SYS_ftruncate,	   /* images that grow */ \
	SYS_lseek,	   /* holes; the size of a device */ \
	SYS_fstat,	   /* file or device? */ \
	SYS_newfstatat,	   /* the same, as newer libraries call it */ \
	SYS_getrandom,	   /* identities of images */ \
	SYS_close,	   /* images */ \
	SYS_write,	   /* the eventfd of the loop, the log */ \
	SYS_futex,	   /* sleep while there is no work */ \
	SYS_clock_gettime, /* where the vDSO cannot serve it */ \
	SYS_mmap,	   /* memory; never PROT_EXEC */ \
	SYS_munmap, \
	SYS_mremap, \
	SYS_mprotect, \
	SYS_madvise, /* thread exit */ \
	SYS_brk, \
	SYS_rt_sigreturn, \
	SYS_rt_sigprocmask, /* thread exit */ \
	SYS_tgkill,	    /* abort() */ \
	SYS_restart_syscall, \
	SYS_exit, /* this thread */ \
	SYS_exit_group
static const int disk_calls[] = { DISK_CALLS };
static const int disk_tool_calls[] = { DISK_CALLS, SYS_sendmsg, SYS_recvmsg,
				       SYS_copy_file_range /* merges */ };
/* clang-format on */

/* What NBD servers say is parsed here: sockets that are there already, and no image. */
static const int disk_nbd_calls[] = {
	SYS_poll,	   /* for the servers, and for what our own threads want */
	SYS_recvfrom,	   /* data */
	SYS_sendto,	   /* data */
	SYS_shutdown,	   /* a server that is given up */
	SYS_fcntl,	   /* a new connection: see fcntl_commands */
	SYS_read,	   /* own eventfd */
	SYS_write,	   /* the eventfd of the loop, the log */
	SYS_close,	   /* connections */
	SYS_futex,	   /* who waits for an answer */
	SYS_clock_gettime, /* where the vDSO cannot serve it */
	SYS_mmap,	   /* memory; never PROT_EXEC */
	SYS_munmap,
	SYS_mremap,
	SYS_mprotect,
	SYS_madvise, /* thread exit */
	SYS_brk,
	SYS_rt_sigreturn,
	SYS_rt_sigprocmask, /* thread exit */
	SYS_tgkill,	    /* abort() */
	SYS_restart_syscall,
	SYS_exit, /* this thread */
	SYS_exit_group,
};
/* Lists a line each. */
/* clang-format off */

/* Of both programs that move frames between VMs and others. */
#define NET_COMMON_CALLS \
	SYS_futex, \
	SYS_clock_gettime, \
	SYS_mmap, /* memory; never PROT_EXEC */ \
	SYS_munmap, \
	SYS_mremap, \
	SYS_mprotect, \
	SYS_madvise, \
	SYS_brk, \
	SYS_rt_sigreturn, \
	SYS_rt_sigprocmask, \
	SYS_tgkill, /* abort() */ \
	SYS_restart_syscall, \
	SYS_exit, \
	SYS_exit_group

/*
 * tabique-nat: the sockets are libslirp's, of the Internet's families alone. Frames come and go over a
 * socket that is there already.
 */
static const int nat_calls[] = {
	SYS_epoll_pwait2,
	SYS_epoll_ctl,
	SYS_recvmmsg, /* frames */
	SYS_sendmmsg,
	SYS_socket, /* see allow_socket */
	SYS_connect,
	SYS_accept, /* forwarded ports */
	SYS_sendto, /* data */
	SYS_recvfrom,
	SYS_recvmsg, /* what came of a datagram; the owner */
	SYS_sendmsg,
	SYS_getsockopt,
	SYS_setsockopt,
	SYS_getsockname,
	SYS_getpeername,
	SYS_shutdown,
	SYS_ioctl, /* see nat_requests */
	SYS_fcntl, /* see fcntl_commands */
	SYS_read,
	SYS_write, /* the log */
	SYS_close,
	NET_COMMON_CALLS,
};
static const unsigned long nat_requests[] = { FIONREAD, FIONBIO };

/* tabique-switch: VMs connect to a socket that is there already; a capture is written. */
static const int switch_calls[] = {
	SYS_epoll_pwait2,
	SYS_epoll_ctl,
	SYS_recvmmsg, /* frames */
	SYS_sendmmsg,
	SYS_accept4,	/* a VM comes */
	SYS_setsockopt, /* how much may wait in its socket */
	SYS_recvmsg,	/* the owner */
	SYS_sendmsg,
	SYS_fcntl, /* a connection that shall not block: see fcntl_commands */
	SYS_read,
	SYS_write, /* the log, the capture */
	SYS_writev,
	SYS_close,
	NET_COMMON_CALLS,
};
/* clang-format on */
static const int fcntl_commands[] = { F_GETFL, F_SETFL, F_GETFD, F_SETFD };

const int *jail_thread_syscalls(enum jail_thread kind, unsigned *ret_count)
{
	switch (kind) {
	case JAIL_THREAD_HV_VP:
		*ret_count = ARRAY_COUNT(hv_vp_calls);
		return hv_vp_calls;
	case JAIL_THREAD_HV_LOOP:
		*ret_count = ARRAY_COUNT(hv_loop_calls);
		return hv_loop_calls;
	case JAIL_THREAD_HV_VP_KVM:
		*ret_count = ARRAY_COUNT(hv_vp_kvm_calls);
		return hv_vp_kvm_calls;
	case JAIL_THREAD_HV_LOOP_KVM:
		*ret_count = ARRAY_COUNT(hv_loop_kvm_calls);
		return hv_loop_kvm_calls;
	case JAIL_THREAD_WORKER:
		*ret_count = ARRAY_COUNT(worker_calls);
		return worker_calls;
	case JAIL_THREAD_DISK:
		*ret_count = ARRAY_COUNT(disk_calls);
		return disk_calls;
	case JAIL_THREAD_DISK_NBD:
		*ret_count = ARRAY_COUNT(disk_nbd_calls);
		return disk_nbd_calls;
	case JAIL_THREAD_DISK_TOOL:
		*ret_count = ARRAY_COUNT(disk_tool_calls);
		return disk_tool_calls;
	case JAIL_THREAD_NAT:
		*ret_count = ARRAY_COUNT(nat_calls);
		return nat_calls;
	case JAIL_THREAD_SWITCH:
		*ret_count = ARRAY_COUNT(switch_calls);
		return switch_calls;
	}
	*ret_count = 0;
	return NULL;
}

/* The kernel looks at the low 32 bits of a request. */
static int allow_ioctl(scmp_filter_ctx filter, enum jail_thread kind)
{
	const unsigned long *requests = kvm_requests;
	size_t count = ARRAY_COUNT(kvm_requests);
	int r = 0;

	if (kind == JAIL_THREAD_NAT) {
		requests = nat_requests;
		count = ARRAY_COUNT(nat_requests);
	} else if (kind != JAIL_THREAD_HV_LOOP_KVM) {
		count -= KVM_LOOP_REQUESTS;
	}
	for (size_t k = 0; k < count && r == 0; k++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SYS_ioctl, 1,
				     SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff,
					     requests[k]));
	return r;
}

static int allow_socket(scmp_filter_ctx filter)
{
	int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SYS_socket, 1,
				 SCMP_A0(SCMP_CMP_EQ, AF_INET));

	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SYS_socket, 1,
				     SCMP_A0(SCMP_CMP_EQ, AF_INET6));
	return r;
}

/*
 * What libslirp and libc try now and then, and do without: the host's resolv.conf (connections.h has the name
 * server), names of network interfaces, a terminal.
 */
static int refuse_gently(scmp_filter_ctx filter, enum jail_thread kind)
{
	int r = 0;

	if (kind != JAIL_THREAD_NAT)
		return 0;
	r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SYS_openat, 0);
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SYS_newfstatat, 0);
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SYS_socket, 1,
				     SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	return r;
}

static int allow_fcntl(scmp_filter_ctx filter)
{
	int r = 0;

	for (size_t k = 0; k < ARRAY_COUNT(fcntl_commands) && r == 0; k++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SYS_fcntl, 1,
				     SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff,
					     (scmp_datum_t)fcntl_commands[k]));
	return r;
}

static int allow(scmp_filter_ctx filter, enum jail_thread kind, int call)
{
	switch (call) {
	case SYS_ioctl:
		return allow_ioctl(filter, kind);
	case SYS_socket:
		return allow_socket(filter);
	case SYS_fcntl:
		return allow_fcntl(filter);
	case SYS_mmap:
	case SYS_mprotect:
		return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1,
					SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	case SYS_tgkill:
		return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1,
					SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	default:
		return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
	}
}

/*
 * What a thread frees at the end of its heap, glibc gives back to the kernel, and before it does so
 * for the first time it opens /proc/sys/vm/overcommit_memory. So it keeps it. Large pieces are
 * mappings of their own, and go back as before.
 */
static void keep_heaps(void)
{
	(void)mallopt(M_TRIM_THRESHOLD, INT_MAX);
}

static int never_differs(const void *a, const void *b)
{
	return 0;
}

/* At the first sort of more than a KiB glibc's qsort() asks for the host's memory, by sysinfo(2): now. */
static void sort_once(void)
{
	u8 items[64][32] = { 0 };

	qsort(items, ARRAY_COUNT(items), sizeof(items[0]), never_differs);
}

int jail_thread(const struct jail_config *config, enum jail_thread kind, struct err *err)
{
	unsigned count;
	const int *calls = jail_thread_syscalls(kind, &count);
	scmp_filter_ctx filter;
	int r = 0;

	if (config->leave_out & JAIL_NO_SECCOMP)
		return 0;
	keep_heaps();
	sort_once();
	filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (!filter)
		return err_set(err, -ENOMEM,
			       "jail: no memory for the system call filter");
	for (unsigned k = 0; k < count && r == 0; k++)
		r = allow(filter, kind, calls[k]);
	if (r == 0)
		r = refuse_gently(filter, kind);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	if (r < 0)
		return err_set(err, r, "jail: cannot load the system call filter: %s",
			       err_words(r));
	return 0;
}
