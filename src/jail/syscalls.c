/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system calls that each kind of thread keeps; see jail.h. Anything else kills the process.
 * Two rules look at arguments: no mapping is ever made executable, and signals go to our own
 * threads only. The lists are data so that a test counts and tries them.
 */
#include <errno.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/types.h"
#include "jail/jail.h"

/* A VP runs guest code: it sleeps, wakes others, arms its own timer, writes to the console. */
static const int hv_vp_calls[] = {
	SYS_futex,	     /* sleep while halted or while the worker answers */
	SYS_read,	     /* own eventfds */
	SYS_write,	     /* eventfds, the console's socket, the log */
	SYS_timer_settime,   /* the LAPIC timer, by signal on this very thread */
	SYS_rt_sigreturn,    /* from that signal */
	SYS_rt_sigprocmask,  /* thread exit */
	SYS_clock_gettime,   /* where the vDSO cannot serve it */
	SYS_clock_nanosleep, /* calibrations at thread start */
	SYS_membarrier,	     /* newly decoded code, see cpu.h */
	SYS_sched_yield,     /* PAUSE loops on a host with fewer processors than VPs */
	SYS_tgkill,	     /* kick another VP; abort() */
	SYS_mmap,	     /* decoded code grows; never PROT_EXEC */
	SYS_munmap,
	SYS_madvise, /* give memory back; thread exit */
	SYS_exit,    /* this thread */
	SYS_exit_group,
};

/* hv's loop: verbs, rings, alarms, the console's input, the owner. */
static const int hv_loop_calls[] = {
	SYS_epoll_pwait,   SYS_epoll_pwait2,  SYS_epoll_ctl,	SYS_recvmsg,
	SYS_sendmsg,	   SYS_read,	      SYS_write,	SYS_close,
	SYS_futex,	   SYS_clock_gettime, SYS_rt_sigreturn, SYS_rt_sigprocmask,
	SYS_timer_settime, SYS_tgkill,	      SYS_mmap,		SYS_munmap,
	SYS_mremap,	   SYS_mprotect,      SYS_madvise,	SYS_brk,
	SYS_fallocate,	   SYS_membarrier,    SYS_sched_yield,	SYS_restart_syscall,
	SYS_exit,	   SYS_exit_group,
};

/* The worker: the same shape, and reading images through descriptors that it was given. */
static const int worker_calls[] = {
	SYS_epoll_pwait,  SYS_epoll_pwait2,
	SYS_epoll_ctl,	  SYS_recvmsg,
	SYS_sendmsg,	  SYS_read,
	SYS_write,	  SYS_close,
	SYS_futex,	  SYS_clock_gettime,
	SYS_rt_sigreturn, SYS_rt_sigprocmask,
	SYS_tgkill,	  SYS_mmap,
	SYS_munmap,	  SYS_mremap,
	SYS_mprotect,	  SYS_madvise,
	SYS_brk,	  SYS_fallocate,
	SYS_pread64,	  SYS_lseek,
	SYS_fstat,	  SYS_newfstatat,
	SYS_poll,	  SYS_restart_syscall,
	SYS_exit,	  SYS_exit_group,
};

const int *jail_thread_syscalls(enum jail_thread kind, unsigned *ret_count)
{
	switch (kind) {
	case JAIL_THREAD_HV_VP:
		*ret_count = ARRAY_COUNT(hv_vp_calls);
		return hv_vp_calls;
	case JAIL_THREAD_HV_LOOP:
		*ret_count = ARRAY_COUNT(hv_loop_calls);
		return hv_loop_calls;
	case JAIL_THREAD_WORKER:
		*ret_count = ARRAY_COUNT(worker_calls);
		return worker_calls;
	}
	*ret_count = 0;
	return NULL;
}

static int allow(scmp_filter_ctx filter, int call)
{
	switch (call) {
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

int jail_thread(const struct jail_config *config, enum jail_thread kind, struct err *err)
{
	unsigned count;
	const int *calls = jail_thread_syscalls(kind, &count);
	scmp_filter_ctx filter;
	int r = 0;

	if (config->leave_out & JAIL_NO_SECCOMP)
		return 0;
	filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (!filter)
		return err_set(err, -ENOMEM,
			       "jail: no memory for the system call filter");
	for (unsigned k = 0; k < count && r == 0; k++)
		r = allow(filter, calls[k]);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	if (r < 0)
		return err_set(err, r, "jail: cannot load the system call filter: %s",
			       err_words(r));
	return 0;
}
