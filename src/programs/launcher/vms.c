/* SPDX-License-Identifier: Apache-2.0 */
/* The launcher's VMs, from start to end; see vms.h. */
#include "programs/launcher/vms.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/ipc.h"
#include "base/log.h"
#include "base/process.h"
#include "programs/launcher/groups.h"
#include "programs/launcher/requests.h"

/* The owner's socket in the owner. */
#define SOCKET_FD 3

enum { PROCESS_OWNER, PROCESS_HV, PROCESS_WORKER, PROCESS_NAT, PROCESSES };

struct vm {
	struct vm *next;
	struct launch_reply known; /* LAUNCH_VM */
	struct launch_reply ended; /* as its owner said; kind 0: it has not */
	u32 tag;		   /* of the start that waits for an answer, 0: none */
	int status;		   /* of wait, once that has been told */
	bool reaped, adopted;
	int socket;	      /* to the owner; -1: adopted */
	int pidfd[PROCESSES]; /* -1: none */
	struct loop_watch *socket_watch, *exit_watch;
};

/* RUN/vms/NAME/record: the file of one version is not read by another. */
struct record {
	struct launch_reply known;
	u64 began[PROCESSES]; /* ticks since boot, of /proc/PID/stat */
};

static struct vms_config config;
static struct vm *vms;
static unsigned count;

/* ---- folders and records --------------------------------------------------------------------- */

static int path_of(const char *name, const char *file, char *ret_path, size_t size)
{
	int n = snprintf(ret_path, size, "%s/vms/%s/%s", config.run, name, file);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

static void remove_folder(const char *name)
{
	static const char *const files[] = { "record", "control", "" };
	char path[PATH_MAX];

	for (size_t k = 0; k < ARRAY_COUNT(files); k++)
		if (path_of(name, files[k], path, sizeof path) == 0)
			(void)remove(path);
}

/* 0: there is no such process. */
static u64 began(pid_t pid)
{
	struct process_stat stat;

	return process_stat(pid, &stat) ? stat.began : 0;
}

static const s32 *pid_of(const struct launch_reply *known, unsigned process)
{
	const s32 *const pids[PROCESSES] = { &known->owner, &known->hv, &known->worker,
					     &known->nat };

	return pids[process];
}

static void write_record(const struct vm *vm)
{
	struct record r = { .known = vm->known };
	char path[PATH_MAX];

	for (unsigned k = 0; k < PROCESSES; k++)
		r.began[k] = *pid_of(&vm->known, k) ? began(*pid_of(&vm->known, k)) : 0;
	if (path_of(vm->known.name, "record", path, sizeof path) < 0)
		return;
	AUTO_CLOSE int fd =
		open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, &r, sizeof r) != sizeof r)
		log_warn("VM '%s': '%s' cannot be written; a launcher after this one "
			 "will not know it",
			 vm->known.name, path);
}

/* ---- the end --------------------------------------------------------------------------------- */

static struct vm *find(const char *name)
{
	struct vm *vm = vms;

	while (vm && strcmp(vm->known.name, name) != 0)
		vm = vm->next;
	return vm;
}

bool vm_runs(const char *name)
{
	return find(name) != NULL;
}

void vms_reaped(int pid, int status)
{
	for (struct vm *vm = vms; vm; vm = vm->next) {
		if (vm->known.owner != pid)
			continue;
		vm->status = status;
		vm->reaped = true;
	}
}

static void vm_free(struct vm *vm)
{
	for (struct vm **p = &vms; *p; p = &(*p)->next) {
		if (*p != vm)
			continue;
		*p = vm->next;
		count--;
		break;
	}
	loop_watch_remove(vm->socket_watch);
	loop_watch_remove(vm->exit_watch);
	for (unsigned k = 0; k < PROCESSES; k++)
		if (vm->pidfd[k] >= 0)
			close(vm->pidfd[k]);
	if (vm->socket >= 0)
		close(vm->socket);
	free(vm);
}

static void kill_all(const struct vm *vm)
{
	for (unsigned k = 0; k < PROCESSES; k++)
		if (vm->pidfd[k] >= 0)
			(void)syscall(SYS_pidfd_send_signal, vm->pidfd[k], SIGKILL, NULL,
				      0);
}

/* An owner that ended without a word about it. */
static void guess_end(struct vm *vm)
{
	int status = vm->status;
	struct launch_reply *e = &vm->ended;

	e->kind = LAUNCH_ENDED;
	/* It was told to a launcher before us, or to nobody. */
	if (vm->socket < 0 && vm->adopted && (!vm->reaped || WIFEXITED(status))) {
		snprintf(e->end, sizeof e->end, "ended");
		e->code = vm->reaped ? WEXITSTATUS(status) : 0;
		return;
	}
	e->code = 1;
	snprintf(e->end, sizeof e->end, "failed");
	if (WIFSIGNALED(status))
		snprintf(e->text, sizeof e->text,
			 "the VM's owner process was killed by signal %d (%s)",
			 WTERMSIG(status), sigdescr_np(WTERMSIG(status)) ?: "unknown");
	else
		snprintf(e->text, sizeof e->text,
			 "the VM's owner process ended with status %d and no word about "
			 "it",
			 WEXITSTATUS(status));
}

static void take_messages(struct vm *vm);

/* The owner is gone, and with its sockets the others go; who does not is killed. */
static void on_owner_exit(void *owner, unsigned events)
{
	struct vm *vm = owner;
	struct launch_reply say;

	take_messages(vm);
	if (!vm->reaped)
		vm->reaped = waitpid(vm->known.owner, &vm->status, WNOHANG) > 0;
	kill_all(vm);
	if (vm->ended.kind != LAUNCH_ENDED)
		guess_end(vm);
	say = vm->ended;
	say.tag = vm->tag;
	/* It never ran: that is the answer to who started it. */
	say.kind = vm->tag ? LAUNCH_FAILED : LAUNCH_ENDED;
	if (vm->tag)
		say.code = -EIO;
	if (vm->tag && !say.text[0])
		snprintf(say.text, sizeof say.text, "the VM ended as it started (%s)",
			 say.end);
	memcpy(say.name, vm->known.name, sizeof say.name);
	remove_folder(vm->known.name);
	group_remove(vm->known.name);
	vm_free(vm);
	config.say(config.owner, &say);
}

/* ---- words of the owner ---------------------------------------------------------------------- */

static void take_started(struct vm *vm, const struct launch_reply *m, int *fds,
			 unsigned fd_count)
{
	struct launch_reply say;

	if (!vm->tag || fd_count < 2)
		return;
	for (unsigned k = 0; k < fd_count; k++)
		vm->pidfd[PROCESS_HV + k] = take_fd(&fds[k]);
	vm->known.hv = m->hv;
	vm->known.worker = m->worker;
	vm->known.nat = m->nat;
	vm->known.uid = m->uid;
	write_record(vm);
	say = vm->known;
	say.kind = LAUNCH_DONE;
	say.tag = vm->tag;
	vm->tag = 0;
	config.say(config.owner, &say);
}

static void take_end(struct vm *vm, const struct launch_reply *m)
{
	vm->ended = *m;
	vm->ended.end[sizeof m->end - 1] = '\0';
	vm->ended.text[sizeof m->text - 1] = '\0';
	vm->ended.fix[sizeof m->fix - 1] = '\0';
}

/* A few at a time: others wait as well. */
static void take_messages(struct vm *vm)
{
	static struct launch_reply m;

	for (unsigned n = 0; n < 8 && vm->socket >= 0; n++) {
		int fds[PROCESSES - 1] = { -1, -1, -1 };
		unsigned fd_count = 0;
		size_t size = 0;
		int r = ipc_receive(vm->socket, &m, sizeof m, &size, fds,
				    ARRAY_COUNT(fds), &fd_count);

		if (r == 0 && size == sizeof m && m.version == LAUNCH_VERSION) {
			if (m.kind == LAUNCH_DONE)
				take_started(vm, &m, fds, fd_count);
			else if (m.kind == LAUNCH_ENDED)
				take_end(vm, &m);
		}
		for (unsigned k = 0; k < fd_count; k++)
			if (fds[k] >= 0)
				close(fds[k]);
		if (r == -EAGAIN)
			return;
		if (r < 0) { /* its pidfd says what became of it */
			loop_watch_remove(vm->socket_watch);
			vm->socket_watch = NULL;
			close(take_fd(&vm->socket));
		}
	}
}

static void on_owner(void *owner, unsigned events)
{
	take_messages(owner);
}

/* ---- the start ------------------------------------------------------------------------------- */

/* Beside ourselves in a build tree, in ../../bin when we are in libexec/tabique. */
static int find_tabique(char *ret_path, size_t size)
{
	static const char *const places[] = { "tabique", "../../bin/tabique",
					      "../bin/tabique" };
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	if (n < 0)
		return -errno;
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	for (size_t k = 0; k < ARRAY_COUNT(places); k++) {
		int length = snprintf(ret_path, size, "%s/%s", self, places[k]);

		if (length > 0 && (size_t)length < size && access(ret_path, X_OK) == 0)
			return 0;
	}
	return -ENOENT;
}

/* In the child: async-signal-safe calls only, but for the group's, which allocates nothing. */
NORETURN static void become_owner(const char *path, const struct launch_words *words,
				  const char *name, int socket)
{
	char *environment[] = { NULL };
	sigset_t none;
	int nothing = open("/dev/null", O_RDWR);

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	group_join(name);
	setsid();
	if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 ||
	    dup2(nothing, STDOUT_FILENO) < 0)
		_exit(127);
	if (socket == SOCKET_FD ? fcntl(socket, F_SETFD, 0) < 0
				: dup2(socket, SOCKET_FD) < 0)
		_exit(127);
	syscall(SYS_close_range, SOCKET_FD + 1, ~0u, 0);
	execve(path, (char **)(uintptr_t)words->argv, environment);
	_exit(127);
}

static int make_folder(const char *name, char *ret_control, size_t size)
{
	char path[PATH_MAX];
	int r = path_of(name, "", path, sizeof path);

	if (r == 0)
		r = path_of(name, "control", ret_control, size);
	if (r < 0)
		return r;
	remove_folder(name);
	return mkdir(path, 0755) < 0 ? -errno : 0;
}

static int watch(struct vm *vm)
{
	int r = loop_watch_add(config.loop, vm->pidfd[PROCESS_OWNER], LOOP_READ,
			       on_owner_exit, vm, &vm->exit_watch);

	if (r < 0 || vm->socket < 0)
		return r;
	fcntl(vm->socket, F_SETFL, O_NONBLOCK);
	return loop_watch_add(config.loop, vm->socket, LOOP_READ, on_owner, vm,
			      &vm->socket_watch);
}

static struct vm *vm_new(const char *name)
{
	struct vm *vm = calloc(1, sizeof *vm);

	if (!vm)
		return NULL;
	memset(vm->pidfd, -1, sizeof vm->pidfd);
	vm->socket = -1;
	vm->known.kind = LAUNCH_VM;
	vm->known.version = LAUNCH_VERSION;
	snprintf(vm->known.name, sizeof vm->known.name, "%s", name);
	vm->next = vms;
	vms = vm;
	count++;
	return vm;
}

static int fork_owner(struct vm *vm, const struct launch_request *request)
{
	static struct launch_words words;
	char path[PATH_MAX], control[PATH_MAX];
	int pair[2], r = find_tabique(path, sizeof path);
	pid_t pid;

	if (r == 0)
		r = make_folder(request->name, control, sizeof control);
	if (r == 0)
		r = ipc_pair(pair);
	if (r < 0)
		return r;
	launch_words_make(request, control, config.allow, SOCKET_FD, &words);
	group_make(request->name, &request->limits);
	pid = fork();
	if (pid == 0)
		become_owner(path, &words, request->name, pair[1]);
	close(pair[1]);
	vm->socket = pair[0];
	if (pid < 0)
		return -errno;
	vm->known.owner = pid;
	vm->known.start_ns = host_clock.monotonic_ns(&host_clock);
	vm->pidfd[PROCESS_OWNER] = (int)syscall(SYS_pidfd_open, pid, 0);
	return vm->pidfd[PROCESS_OWNER] < 0 ? -errno : watch(vm);
}

int vm_start(const struct launch_request *request, struct err *err)
{
	struct vm *vm;
	int r;

	if (find(request->name)) {
		err_set(err, -EBUSY, "VM '%s' runs", request->name);
		return err_fix(err, "stop it first");
	}
	if (count == LAUNCH_MAX_VMS)
		return err_set(err, -ENOSPC, "%d VMs run already", LAUNCH_MAX_VMS);
	vm = vm_new(request->name);
	if (!vm)
		return err_set(err, -ENOMEM, "%s", err_words(-ENOMEM));
	vm->tag = request->tag;
	r = fork_owner(vm, request);
	if (r == 0)
		return 0;
	kill_all(vm);
	remove_folder(request->name);
	group_remove(request->name);
	vm_free(vm);
	return err_set(err, r, "the VM's owner process cannot be started: %s",
		       err_words(r));
}

int vm_kill(const char *name, struct err *err)
{
	const struct vm *vm = find(name);

	if (!vm)
		return err_set(err, -ENOENT, "VM '%s' does not run", name);
	kill_all(vm);
	return 0;
}

void vms_each(void (*fn)(void *owner, const struct launch_reply *reply), void *owner)
{
	for (const struct vm *vm = vms; vm; vm = vm->next)
		if (!vm->tag)
			fn(owner, &vm->known);
}

/* ---- who ran before us ----------------------------------------------------------------------- */

static int adopt_processes(struct vm *vm, const struct record *r)
{
	for (unsigned k = 0; k < PROCESSES; k++) {
		pid_t pid = *pid_of(&r->known, k);

		if (!pid)
			continue;
		vm->pidfd[k] = (int)syscall(SYS_pidfd_open, pid, 0);
		/* A pidfd of another one that has the number now is of no use. */
		if (vm->pidfd[k] >= 0 && began(pid) != r->began[k])
			close(take_fd(&vm->pidfd[k]));
	}
	return vm->pidfd[PROCESS_OWNER] < 0 ? -ESRCH : 0;
}

static void adopt(const char *name)
{
	static struct record r;
	char path[PATH_MAX];
	struct vm *vm;

	if (path_of(name, "record", path, sizeof path) < 0)
		return;
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || read(fd, &r, sizeof r) != sizeof r ||
	    r.known.version != LAUNCH_VERSION ||
	    strncmp(r.known.name, name, LAUNCH_NAME)) {
		remove_folder(name);
		return;
	}
	vm = vm_new(name);
	if (!vm)
		return;
	if (adopt_processes(vm, &r) < 0 || watch(vm) < 0) {
		kill_all(vm);
		remove_folder(name);
		group_remove(name);
		vm_free(vm);
		return;
	}
	vm->known = r.known;
	vm->adopted = true;
}

void vms_adopt(void)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *folder;

	snprintf(path, sizeof path, "%s/vms", config.run);
	folder = opendir(path);
	while (folder && (entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			adopt(entry->d_name);
	if (folder)
		closedir(folder);
}

int vms_open(const struct vms_config *c, struct err *err)
{
	char path[PATH_MAX];

	config = *c;
	snprintf(path, sizeof path, "%s/vms", c->run);
	if ((mkdir(c->run, 0755) < 0 && errno != EEXIST) ||
	    (mkdir(path, 0755) < 0 && errno != EEXIST)) {
		err_set(err, -errno, "'%s' cannot be made: %s", path, err_words(-errno));
		return err_fix(err, "run as root, or give another folder: --run DIR");
	}
	return 0;
}
