/* SPDX-License-Identifier: Apache-2.0 */
/* jail/syscalls.c: each kind of thread keeps its own calls, and every other one kills. */
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "harness.h"
#include "jail/jail.h"

enum { ENDED = 0, KILLED_BY_FILTER = 1, SOMETHING_ELSE = 2 };

/* Run one system call in a child that has taken the list of `kind`: how did the child end? */
static int try_call(enum jail_thread kind, long call, long a, long b, long c, long d,
		    long e)
{
	struct jail_config config = { .role = JAIL_HV };
	struct err err;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (jail_thread(&config, kind, &err) < 0)
			_exit(9);
		syscall(call, a, b, c, d, e, 0);
		syscall(SYS_exit_group, 0);
	}
	if (waitpid(pid, &status, 0) != pid)
		return SOMETHING_ELSE;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		return KILLED_BY_FILTER;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? ENDED : SOMETHING_ELSE;
}

TEST(vp_thread_has_16_system_calls_at_most)
{
	unsigned count;

	ASSERT(jail_thread_syscalls(JAIL_THREAD_HV_VP, &count) != NULL);
	ASSERT(count <= 16);
	ASSERT(jail_thread_syscalls(JAIL_THREAD_HV_VP_KVM, &count) != NULL);
	ASSERT(count <= 16);
}

TEST(loop_threads_have_28_system_calls_at_most)
{
	unsigned count;

	ASSERT(jail_thread_syscalls(JAIL_THREAD_HV_LOOP, &count) != NULL);
	ASSERT(count <= 28);
	ASSERT(jail_thread_syscalls(JAIL_THREAD_HV_LOOP_KVM, &count) != NULL);
	ASSERT(count <= 28);
	ASSERT(jail_thread_syscalls(JAIL_THREAD_WORKER, &count) != NULL);
	ASSERT(count <= 28);
}

static bool every_foreign_call_kills(enum jail_thread kind)
{
	static const struct {
		long call, a, b, c, d, e;
	} rows[] = {
		{ SYS_openat, AT_FDCWD, (long)"/etc/passwd", O_RDONLY, 0, 0 },
		{ SYS_open, (long)"/etc/passwd", O_RDONLY, 0, 0, 0 },
		{ SYS_execve, (long)"/bin/true", 0, 0, 0, 0 },
		{ SYS_socket, AF_INET, SOCK_STREAM, 0, 0, 0 },
		{ SYS_socket, AF_UNIX, SOCK_STREAM, 0, 0, 0 },
		{ SYS_fork, 0, 0, 0, 0, 0 },
		{ SYS_clone, SIGCHLD, 0, 0, 0, 0 },
		{ SYS_ptrace, 16 /* attach */, 1, 0, 0, 0 },
		{ SYS_process_vm_writev, 1, 0, 0, 0, 0 },
		{ SYS_pidfd_open, 1, 0, 0, 0, 0 },
		{ SYS_pidfd_getfd, 1, 0, 0, 0, 0 },
		{ SYS_kill, 1, 0, 0, 0, 0 },
		{ SYS_tgkill, 1, 1, 0, 0, 0 },
		{ SYS_mount, 0, 0, 0, 0, 0 },
		{ SYS_unshare, 0x10000000, 0, 0, 0, 0 },
		{ SYS_bpf, 0, 0, 0, 0, 0 },
		{ SYS_io_uring_setup, 4, 0, 0, 0, 0 },
		{ SYS_userfaultfd, 0, 0, 0, 0, 0 },
		{ SYS_ioctl, 0, 0, 0, 0, 0 },
		{ SYS_ioctl, -1, 0x5412 /* TIOCSTI */, 0, 0, 0 },
		{ SYS_ioctl, -1, (long)KVM_CREATE_VM, 0, 0, 0 },
		{ SYS_ioctl, -1, (long)KVM_CREATE_VCPU, 0, 0, 0 },
		{ SYS_keyctl, 0, 0, 0, 0, 0 },
		{ SYS_prctl, 0, 0, 0, 0, 0 },
		{ SYS_setuid, 0, 0, 0, 0, 0 },
		{ SYS_process_madvise, -1, 0, 0, 0, 0 },
		{ 0x40000000 | SYS_getpid, 0, 0, 0, 0, 0 }, /* x32 */
		{ SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
		  -1 },
		{ SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		  MAP_PRIVATE | MAP_ANONYMOUS, -1 },
		{ SYS_mprotect, 0, 4096, PROT_EXEC, 0, 0 },
		{ SYS_pkey_mprotect, 0, 4096, PROT_EXEC, -1, 0 },
	};

	for (size_t k = 0; k < ARRAY_COUNT(rows); k++) {
		int how = try_call(kind, rows[k].call, rows[k].a, rows[k].b, rows[k].c,
				   rows[k].d, rows[k].e);
		if (how != KILLED_BY_FILTER)
			harness_fail(__FILE__, __LINE__,
				     "system call %ld: not killed (%d)", rows[k].call,
				     how);
		CHECK_EQ(how, KILLED_BY_FILTER);
	}
	return true;
}

TEST(calls_outside_its_list_kill_a_vp_thread)
{
	if (UNDER_TSAN)
		SKIP("the thread sanitizer's runtime hangs behind the filter");
	ASSERT_OK(every_foreign_call_kills(JAIL_THREAD_HV_VP));
}

TEST(calls_outside_its_list_kill_an_hv_loop)
{
	if (UNDER_TSAN)
		SKIP("the thread sanitizer's runtime hangs behind the filter");
	ASSERT_OK(every_foreign_call_kills(JAIL_THREAD_HV_LOOP));
}

TEST(calls_outside_their_lists_kill_threads_of_a_partition_on_kvm)
{
	if (UNDER_TSAN)
		SKIP("the thread sanitizer's runtime hangs behind the filter");
	ASSERT_OK(every_foreign_call_kills(JAIL_THREAD_HV_VP_KVM));
	ASSERT_OK(every_foreign_call_kills(JAIL_THREAD_HV_LOOP_KVM));
}

TEST(only_the_loop_changes_the_memory_of_a_partition_on_kvm)
{
	long request = (long)KVM_SET_USER_MEMORY_REGION;

	if (UNDER_TSAN)
		SKIP("the thread sanitizer's runtime hangs behind the filter");
	/* no such descriptor: past the filter the kernel says EBADF */
	ASSERT_EQ(try_call(JAIL_THREAD_HV_LOOP_KVM, SYS_ioctl, -1, request, 0, 0, 0),
		  ENDED);
	ASSERT_EQ(try_call(JAIL_THREAD_HV_VP_KVM, SYS_ioctl, -1, request, 0, 0, 0),
		  KILLED_BY_FILTER);
	ASSERT_EQ(try_call(JAIL_THREAD_HV_VP_KVM, SYS_ioctl, -1, (long)KVM_RUN, 0, 0, 0),
		  ENDED);
}

TEST(calls_outside_its_list_kill_a_worker)
{
	if (UNDER_TSAN)
		SKIP("the thread sanitizer's runtime hangs behind the filter");
	ASSERT_OK(every_foreign_call_kills(JAIL_THREAD_WORKER));
}

TEST(calls_outside_its_list_kill_a_disk_thread)
{
	unsigned count;

	if (UNDER_TSAN)
		SKIP("the thread sanitizer's runtime hangs behind the filter");
	ASSERT(jail_thread_syscalls(JAIL_THREAD_DISK, &count) != NULL);
	ASSERT(count <= 28);
	ASSERT_OK(every_foreign_call_kills(JAIL_THREAD_DISK));
}

TEST(calls_outside_its_list_kill_a_thread_that_speaks_with_nbd_servers)
{
	unsigned count;

	if (UNDER_TSAN)
		SKIP("the thread sanitizer's runtime hangs behind the filter");
	ASSERT(jail_thread_syscalls(JAIL_THREAD_DISK_NBD, &count) != NULL);
	ASSERT(count <= 28);
	ASSERT_OK(every_foreign_call_kills(JAIL_THREAD_DISK_NBD));
	ASSERT_EQ(try_call(JAIL_THREAD_DISK_NBD, SYS_fcntl, 0, F_GETFL, 0, 0, 0), ENDED);
	ASSERT_EQ(try_call(JAIL_THREAD_DISK_NBD, SYS_fcntl, 0, F_DUPFD, 0, 0, 0),
		  KILLED_BY_FILTER);
}

TEST(calls_outside_its_list_kill_a_switch)
{
	unsigned count;

	if (UNDER_TSAN)
		SKIP("the thread sanitizer's runtime hangs behind the filter");
	ASSERT(jail_thread_syscalls(JAIL_THREAD_SWITCH, &count) != NULL);
	ASSERT(count <= 28);
	ASSERT_OK(every_foreign_call_kills(JAIL_THREAD_SWITCH));
}

TEST(address_translator_has_sockets_of_the_internet_and_no_files)
{
	static const enum jail_thread nat = JAIL_THREAD_NAT;

	if (UNDER_TSAN)
		SKIP("the thread sanitizer's runtime hangs behind the filter");
	ASSERT_EQ(try_call(nat, SYS_socket, AF_INET, SOCK_STREAM, 0, 0, 0), ENDED);
	ASSERT_EQ(try_call(nat, SYS_socket, AF_NETLINK, SOCK_RAW, 0, 0, 0),
		  KILLED_BY_FILTER);
	ASSERT_EQ(try_call(nat, SYS_socket, AF_PACKET, SOCK_RAW, 0, 0, 0),
		  KILLED_BY_FILTER);
	ASSERT_EQ(try_call(nat, SYS_bind, -1, 0, 0, 0, 0), KILLED_BY_FILTER);
	ASSERT_EQ(try_call(nat, SYS_listen, -1, 0, 0, 0, 0), KILLED_BY_FILTER);
	ASSERT_EQ(try_call(nat, SYS_ioctl, -1, FIONREAD, 0, 0, 0), ENDED);
	ASSERT_EQ(try_call(nat, SYS_ioctl, -1, 0x5412 /* TIOCSTI */, 0, 0, 0),
		  KILLED_BY_FILTER);
	ASSERT_EQ(try_call(nat, SYS_fcntl, 0, F_DUPFD, 0, 0, 0), KILLED_BY_FILTER);
	ASSERT_EQ(try_call(nat, SYS_open, (long)"/etc/passwd", 0, 0, 0, 0),
		  KILLED_BY_FILTER);
	ASSERT_EQ(try_call(nat, SYS_execve, (long)"/bin/true", 0, 0, 0, 0),
		  KILLED_BY_FILTER);
	ASSERT_EQ(try_call(nat, SYS_clone, SIGCHLD, 0, 0, 0, 0), KILLED_BY_FILTER);
	ASSERT_EQ(try_call(nat, SYS_kill, 1, 0, 0, 0, 0), KILLED_BY_FILTER);
	ASSERT_EQ(try_call(nat, SYS_mprotect, 0, 4096, PROT_EXEC, 0, 0),
		  KILLED_BY_FILTER);
	ASSERT_EQ(try_call(nat, SYS_process_vm_writev, 1, 0, 0, 0, 0), KILLED_BY_FILTER);
}

static void *free_much(void *arg)
{
	struct jail_config config = { .role = JAIL_WORKER };
	void *piece[64];
	struct err err;

	if (jail_thread(&config, JAIL_THREAD_DISK, &err) < 0)
		_exit(9);
	for (unsigned k = 0; k < ARRAY_COUNT(piece); k++)
		piece[k] = malloc(100000);
	for (unsigned k = ARRAY_COUNT(piece); k-- > 0;)
		free(piece[k]);
	syscall(SYS_exit_group, 0);
	return NULL;
}

/* glibc opened a file of /proc when the heap of a thread shrank, and the worker was killed for it. */
TEST(thread_that_frees_much_memory_is_not_killed)
{
	pid_t pid = fork();
	pthread_t thread;
	int status;

	if (UNDER_TSAN)
		SKIP("the thread sanitizer's runtime hangs behind the filter");
	if (pid == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (pthread_create(&thread, NULL, free_much, NULL) == 0)
			pthread_join(thread, NULL);
		_exit(9);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	ASSERT(WIFEXITED(status));
	ASSERT_EQ(WEXITSTATUS(status), 0);
}

static int by_value(const void *a, const void *b)
{
	const u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return (x > y) - (x < y);
}

/* glibc asked for the host's memory at the first sort of more than a KiB, and the disk program was killed. */
TEST(thread_that_sorts_much_is_not_killed)
{
	struct jail_config config = { .role = JAIL_WORKER };
	pid_t pid = fork();
	struct err err;
	u64 list[512];
	int status;

	if (UNDER_TSAN)
		SKIP("the thread sanitizer's runtime hangs behind the filter");
	if (pid == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		for (unsigned n = 0; n < ARRAY_COUNT(list); n++)
			list[n] = ARRAY_COUNT(list) - n;
		if (jail_thread(&config, JAIL_THREAD_DISK, &err) < 0)
			_exit(9);
		qsort(list, ARRAY_COUNT(list), sizeof list[0], by_value);
		syscall(SYS_exit_group, list[0] == 1 ? 0 : 8);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	ASSERT(WIFEXITED(status));
	ASSERT_EQ(WEXITSTATUS(status), 0);
}

TEST(calls_of_its_list_do_not_kill)
{
	ASSERT_EQ(try_call(JAIL_THREAD_WORKER, SYS_clock_gettime, 0, 0, 0, 0, 0), ENDED);
	ASSERT_EQ(try_call(JAIL_THREAD_HV_VP, SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1),
		  ENDED);
}
