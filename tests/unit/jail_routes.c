/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "The parent partition cannot write the hypervisor": a process in hv's jail holds a secret, a
 * process in the worker's jail tries every route to it that Linux knows. The system call filter
 * is left out, so that the attacker gets as far as the other layers let it; jail_threads.c shows
 * that the filter alone ends it at the first of these calls.
 *
 * The negative controls leave the layers out and must find the routes open: they keep this
 * test honest.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "base/ipc.h"
#include "harness.h"
#include "jail/jail.h"

#define UID_HV 0x78ffff00u
#define UID_WORKER 0x78ffff01u
#define SECRET 0x1234
#define EVERY_LAYER                                                         \
	(JAIL_NO_LANDLOCK | JAIL_NO_UID | JAIL_NO_DUMPABLE | JAIL_NO_ROOT | \
	 JAIL_NO_NAMESPACES | JAIL_NO_CAPS)

enum {
	ROUTE_PTRACE = 1,
	ROUTE_VM_WRITEV = 2,
	ROUTE_PROC_MEM = 4,
	ROUTE_GETFD = 8,
	ROUTE_PROC_FD = 16,
	ROUTE_MADVISE = 32,
	ROUTE_KILL = 64,
	WRITES = ROUTE_PTRACE | ROUTE_VM_WRITEV | ROUTE_PROC_MEM | ROUTE_GETFD |
		 ROUTE_PROC_FD,
};

/* At the same address in both, since both are forks of this process. */
static volatile int secret = SECRET;

struct routes {
	unsigned open; /* ROUTE_... */
	bool secret_intact;
};

static void victim(u32 leave_out, int socket, int memory)
{
	struct jail_config config = { .role = JAIL_HV,
				      .leave_out = leave_out,
				      .uid = UID_HV };
	struct err err;
	char report[512], c;
	int intact;

	if (dup2(memory, 100) != 100 ||
	    jail_enter(&config, report, sizeof report, &err) < 0)
		_exit(1);
	if (write(socket, "r", 1) != 1 || read(socket, &c, 1) != 1)
		_exit(1);
	intact = secret == SECRET;
	_exit(write(socket, &intact, sizeof intact) == sizeof intact ? 0 : 1);
}

/* Everything that needs a path is opened by the attacker itself, inside its jail. */
static unsigned try_routes(pid_t pid)
{
	int evil = 0x666;
	struct iovec from = { &evil, sizeof evil };
	struct iovec to = { (void *)(uintptr_t)&secret, sizeof evil };
	struct iovec page = { (void *)((uintptr_t)&secret & ~4095ul), 4096 };
	char path[64];
	unsigned open_routes = 0;
	int pidfd, fd;

	if (ptrace(PTRACE_ATTACH, pid, 0, 0) == 0) {
		waitpid(pid, NULL, 0);
		ptrace(PTRACE_DETACH, pid, 0, 0);
		open_routes |= ROUTE_PTRACE;
	}
	if (process_vm_writev(pid, &from, 1, &to, 1, 0) == sizeof evil)
		open_routes |= ROUTE_VM_WRITEV;
	snprintf(path, sizeof path, "/proc/%d/mem", pid);
	fd = open(path, O_RDWR);
	if (fd >= 0 &&
	    pwrite(fd, &evil, sizeof evil, (off_t)(uintptr_t)&secret) == sizeof evil)
		open_routes |= ROUTE_PROC_MEM;
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd >= 0 && syscall(SYS_pidfd_getfd, pidfd, 100, 0) >= 0)
		open_routes |= ROUTE_GETFD;
	snprintf(path, sizeof path, "/proc/%d/fd/100", pid);
	if (open(path, O_RDWR) >= 0)
		open_routes |= ROUTE_PROC_FD;
	if (pidfd >= 0 &&
	    syscall(SYS_process_madvise, pidfd, &page, 1, MADV_PAGEOUT, 0) >= 0)
		open_routes |= ROUTE_MADVISE;
	if (kill(pid, 0) == 0)
		open_routes |= ROUTE_KILL;
	return open_routes;
}

static void attacker(u32 leave_out, pid_t pid, int out)
{
	struct jail_config config = { .role = JAIL_WORKER,
				      .leave_out = leave_out,
				      .uid = UID_WORKER };
	struct err err;
	char report[512];
	unsigned open_routes;

	if (jail_enter(&config, report, sizeof report, &err) < 0)
		_exit(1);
	open_routes = try_routes(pid);
	_exit(write(out, &open_routes, sizeof open_routes) == sizeof open_routes ? 0 : 1);
}

static bool attack(u32 leave_out_hv, u32 leave_out_worker, struct routes *ret)
{
	int s[2], out[2], intact;
	int memory = memfd_create("secret", MFD_CLOEXEC);
	char c;
	pid_t hv, worker;

	CHECK_EQ(ipc_pair(s), 0);
	CHECK_EQ(pipe(out), 0);
	hv = fork();
	if (hv == 0)
		victim(leave_out_hv, s[1], memory);
	CHECK_EQ(read(s[0], &c, 1), 1);
	worker = fork();
	if (worker == 0)
		attacker(leave_out_worker, hv, out[1]);
	CHECK_EQ(read(out[0], &ret->open, sizeof ret->open), sizeof ret->open);
	CHECK_EQ(waitpid(worker, NULL, 0), worker);
	CHECK_EQ(write(s[0], "q", 1), 1);
	CHECK_EQ(read(s[0], &intact, sizeof intact), sizeof intact);
	CHECK_EQ(waitpid(hv, NULL, 0), hv);
	ret->secret_intact = intact;
	return true;
}

#define NEEDS_ROOT()                        \
	do {                                \
		if (geteuid() != 0)         \
			SKIP("needs root"); \
	} while (0)

TEST(worker_has_no_route_to_the_hypervisor)
{
	struct routes r;

	NEEDS_ROOT();
	ASSERT_OK(attack(0, 0, &r));
	ASSERT_EQ(r.open, 0);
	ASSERT(r.secret_intact);
}

TEST(control_without_the_jail_every_route_is_open)
{
	struct routes r;

	NEEDS_ROOT();
	ASSERT_OK(attack(EVERY_LAYER, EVERY_LAYER, &r));
	ASSERT_EQ(r.open & (WRITES | ROUTE_KILL), WRITES | ROUTE_KILL);
	ASSERT(!r.secret_intact);
}

TEST(another_uid_alone_closes_every_write)
{
	struct routes r;

	NEEDS_ROOT();
	ASSERT_OK(attack(EVERY_LAYER & ~(JAIL_NO_UID | JAIL_NO_CAPS),
			 EVERY_LAYER & ~(JAIL_NO_UID | JAIL_NO_CAPS), &r));
	ASSERT_EQ(r.open & WRITES, 0);
	ASSERT(r.secret_intact);
}

TEST(landlock_on_the_attacker_alone_closes_every_write)
{
	struct routes r;

	NEEDS_ROOT();
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 0)
		SKIP("this kernel has no Landlock");
	ASSERT_OK(attack(EVERY_LAYER, EVERY_LAYER & ~JAIL_NO_LANDLOCK, &r));
	ASSERT_EQ(r.open & WRITES, 0);
	ASSERT(r.secret_intact);
}

TEST(control_landlock_on_the_victim_alone_closes_nothing)
{
	struct routes r;

	NEEDS_ROOT();
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 0)
		SKIP("this kernel has no Landlock");
	ASSERT_OK(attack(EVERY_LAYER & ~JAIL_NO_LANDLOCK, EVERY_LAYER, &r));
	ASSERT_EQ(r.open & WRITES, WRITES);
}

/* ---- a userfaultfd that was received ----------------------------------------------------------
 *
 * Whoever holds another process's userfaultfd writes that process's private memory, whatever
 * its uid and dumpable flag are. So none is ever passed; and were one to arrive, the worker's
 * filter has no ioctl to use it with.
 */
static char *fault_page;

static int fault_descriptor(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { .start = (uintptr_t)fault_page, .len = 4096 },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0 ||
	    ioctl(fd, UFFDIO_REGISTER, &range) < 0)
		return -1;
	return fd;
}

static void fault_victim(int socket)
{
	struct jail_config config = { .role = JAIL_HV, .uid = UID_HV };
	struct err err;
	char report[512], c;
	int fd = fault_descriptor();

	if (fd < 0 || jail_enter(&config, report, sizeof report, &err) < 0)
		_exit(1);
	if (ipc_send(socket, "f", 1, &fd, 1) < 0 || read(socket, &c, 1) != 1)
		_exit(1);
	close(fd); /* an untouched page now reads as zero */
	_exit(*(volatile char *)fault_page == 'E' ? 66 : 0);
}

static void fault_attacker(int fault_fd, u32 leave_out)
{
	struct jail_config config = { .role = JAIL_WORKER,
				      .uid = UID_WORKER,
				      .leave_out = leave_out };
	static char evil[4096] __attribute__((aligned(4096)));
	struct uffdio_copy copy = { .dst = (uintptr_t)fault_page,
				    .src = (uintptr_t)evil,
				    .len = sizeof evil };
	struct err err;
	char report[512];

	memset(evil, 'E', sizeof evil);
	if (jail_enter(&config, report, sizeof report, &err) < 0 ||
	    jail_thread(&config, JAIL_THREAD_WORKER, &err) < 0)
		_exit(1);
	_exit(ioctl(fault_fd, UFFDIO_COPY, &copy) == 0 ? 0 : 2);
}

static bool fault_attack(u32 leave_out, int *ret_victim, int *ret_attacker)
{
	int s[2], fd;
	unsigned count;
	size_t size;
	char c;
	pid_t hv, worker;

	fault_page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	CHECK_EQ(ipc_pair(s), 0);
	hv = fork();
	if (hv == 0)
		fault_victim(s[1]);
	CHECK_EQ(ipc_receive(s[0], &c, 1, &size, &fd, 1, &count), 0);
	CHECK_EQ(count, 1);
	worker = fork();
	if (worker == 0)
		fault_attacker(fd, leave_out);
	CHECK_EQ(waitpid(worker, ret_attacker, 0), worker);
	close(fd);
	CHECK_EQ(write(s[0], "q", 1), 1);
	CHECK_EQ(waitpid(hv, ret_victim, 0), hv);
	return true;
}

static bool have_userfaultfd(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

TEST(received_userfaultfd_is_of_no_use_to_a_worker)
{
	int hv, worker;

	NEEDS_ROOT();
	if (!have_userfaultfd())
		SKIP("userfaultfd cannot be had here");
	ASSERT_OK(fault_attack(0, &hv, &worker));
	ASSERT(WIFSIGNALED(worker) && WTERMSIG(worker) == SIGSYS);
	ASSERT(WIFEXITED(hv) && WEXITSTATUS(hv) == 0);
}

TEST(control_received_userfaultfd_writes_through_every_other_layer)
{
	int hv, worker;

	NEEDS_ROOT();
	if (!have_userfaultfd())
		SKIP("userfaultfd cannot be had here");
	ASSERT_OK(fault_attack(JAIL_NO_SECCOMP, &hv, &worker));
	ASSERT(WIFEXITED(worker) && WEXITSTATUS(worker) == 0);
	ASSERT(WIFEXITED(hv) && WEXITSTATUS(hv) == 66);
}

/* ---- the jail itself ------------------------------------------------------------------------- */

TEST(jail_has_no_files_no_network_and_no_way_up)
{
	struct jail_config config = { .role = JAIL_WORKER, .uid = UID_WORKER };
	struct err err;
	char report[512];
	int status;
	pid_t pid;

	NEEDS_ROOT();
	pid = fork();
	if (pid == 0) {
		if (jail_enter(&config, report, sizeof report, &err) < 0)
			_exit(100);
		if (open("/etc/passwd", O_RDONLY) >= 0 || open("/", O_RDONLY) >= 0)
			_exit(1);
		if (open("/x", O_WRONLY | O_CREAT, 0600) >= 0)
			_exit(2);
		if (setuid(0) == 0 || getuid() != UID_WORKER || getgid() != UID_WORKER)
			_exit(3);
		if (mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
		    MAP_FAILED)
			_exit(4);
		_exit(0);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	ASSERT_EQ(status, 0);
}
