/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting the two processes of a VM; see vm_process.h. Each child gets standard error, /dev/null
 * twice, its owner's socket at OWNER_FD, and nothing else; everything further travels over that
 * socket.
 */
#include "programs/cli/vm_process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/ipc.h"
#include "wall/wall.h"

/* Uids of VM processes: UID_BASE + 4 * slot + role, see WALL section 5 in ARCHITECTURE.md. */
#define UID_BASE 0x78000000u
#define OWNER_UID_BASE 0x79000000u /* and the slot */
#define SLOT_COUNT 4096
#define SLOT_FOLDER "/run/tabique"
/* How long a process may take to end by itself before it is killed. */
#define END_MS 2000

/* Everything that is shared by the two before they have it. */
struct shared {
	int ram, vram, rom, dirty, code, control;
	int code_read_only; /* the code map as the worker gets it */
	int verbs[2];	    /* hv's end, the worker's end */
	int access_event, hv_event;
	int serial[2];	 /* ours, hv's */
	int owner_hv[2]; /* ours, theirs */
	int owner_worker[2];
};

static void shared_close(struct shared *s)
{
	int *fds = (int *)s;

	for (size_t k = 0; k < sizeof *s / sizeof(int); k++)
		if (fds[k] >= 0)
			close(fds[k]);
}

/* A sealed memory region; 0600, so that nobody opens it again by /proc. */
static int region_new(const char *name, u64 size)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (fchmod(fd, 0600) < 0 || ftruncate(fd, (off_t)size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		r = -errno;
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

/* The same region by a descriptor that cannot be mapped writable. */
static int open_read_only(int region)
{
	char path[32];
	int fd;

	snprintf(path, sizeof path, "/proc/self/fd/%d", region);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int write_control_header(int fd, const struct hv_config *hv)
{
	struct wall_control *control =
		mmap(NULL, WALL_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (control == MAP_FAILED)
		return -errno;
	control->version = WALL_VERSION;
	control->vp_count = hv->vp_count;
	control->ram_size = hv->ram_size;
	munmap(control, WALL_PAGE_SIZE);
	return 0;
}

static int shared_new(const struct hv_config *hv, struct shared *s, struct err *err)
{
	u64 map_size = (hv->ram_size + WALL_PAGE_SIZE - 1) >> WALL_PAGE_SHIFT;
	int r = 0;

	memset(s, -1, sizeof *s);
	map_size = (map_size + WALL_PAGE_SIZE - 1) & ~(u64)(WALL_PAGE_SIZE - 1);
	s->ram = region_new("tabique-ram", hv->ram_size);
	s->vram = region_new("tabique-vram", hv->vram_size);
	s->rom = region_new("tabique-rom", hv->rom_size);
	s->dirty = region_new("tabique-dirty", map_size);
	s->code = region_new("tabique-code", map_size);
	s->control = region_new("tabique-control", wall_control_size(hv->vp_count));
	s->access_event = ipc_event_new();
	s->hv_event = ipc_event_new();
	s->code_read_only = s->code < 0 ? s->code : open_read_only(s->code);
	for (const int *p = &s->ram; p <= &s->code_read_only && r == 0; p++)
		r = *p < 0 ? *p : 0;
	if (r == 0)
		r = s->access_event < 0 ? s->access_event
		    : s->hv_event < 0	? s->hv_event
					: 0;
	if (r == 0)
		r = write_control_header(s->control, hv);
	if (r == 0)
		r = ipc_pair(s->verbs);
	if (r == 0)
		r = ipc_pair(s->owner_hv);
	if (r == 0)
		r = ipc_pair(s->owner_worker);
	if (r == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s->serial) < 0)
		r = -errno;
	if (r < 0) {
		shared_close(s);
		return err_set(err, r, "the VM's memory and sockets cannot be made: %s",
			       err_words(r));
	}
	return 0;
}

/* ---- identities ------------------------------------------------------------------------------ */

int take_slot(u32 *ret_uid, int *ret_lock, struct err *err)
{
	char path[64];

	*ret_uid = 0;
	*ret_lock = -1;
	if (geteuid() != 0)
		return 0;
	if (mkdir(SLOT_FOLDER, 0755) < 0 && errno != EEXIST)
		return err_set(err, -errno, "'%s' cannot be made: %s", SLOT_FOLDER,
			       err_words(-errno));
	for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
		struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

		snprintf(path, sizeof path, SLOT_FOLDER "/slot.%u", slot);
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return err_set(err, -errno, "'%s' cannot be opened: %s", path,
				       err_words(-errno));
		if (fcntl(fd, F_OFD_SETLK, &lock) == 0) {
			*ret_uid = UID_BASE + 4 * slot;
			*ret_lock = fd;
			return 0;
		}
		close(fd);
	}
	return err_set(err, -EBUSY, "all %d places for VMs on this host are taken",
		       SLOT_COUNT);
}

u32 vm_process_owner_uid(const struct vm_process *vm)
{
	return OWNER_UID_BASE + (vm->uid - UID_BASE) / 4;
}

/* ---- programs -------------------------------------------------------------------------------- */

/* Beside ourselves in a build tree, in ../libexec/tabique when installed. */
static int find_program(const char *name, char *ret_path, size_t size, struct err *err)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	if (n < 0)
		return err_set(err, -errno, "/proc/self/exe cannot be read: %s",
			       err_words(-errno));
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	for (unsigned k = 0; k < 2; k++) {
		int length = k == 0 ? snprintf(ret_path, size, "%s/%s", self, name)
				    : snprintf(ret_path, size, "%s/../libexec/tabique/%s",
					       self, name);
		if (length > 0 && (size_t)length < size && access(ret_path, X_OK) == 0)
			return 0;
	}
	err_set(err, -ENOENT,
		"the program '%s' is neither beside 'tabique' nor in libexec", name);
	return err_fix(err, "build or install the whole of Tabique");
}

/* In the child, between fork and exec: async-signal-safe calls only. */
NORETURN static void become_program(const char *path, const char *name, int owner)
{
	char *argv[] = { (char *)(uintptr_t)name, NULL };
	char *environment[] = { NULL };
	sigset_t none;
	int nothing = open("/dev/null", O_RDWR);

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	/* A session of its own: Ctrl-C in our terminal is ours to handle. */
	setsid();
	if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 ||
	    dup2(nothing, STDOUT_FILENO) < 0)
		_exit(127);
	if (owner == OWNER_FD ? fcntl(owner, F_SETFD, 0) < 0 : dup2(owner, OWNER_FD) < 0)
		_exit(127);
	syscall(SYS_close_range, OWNER_FD + 1, ~0u, 0);
	execve(path, argv, environment);
	_exit(127);
}

int start_program(const char *name, int owner, pid_t *ret_pid, int *ret_pidfd,
		  struct err *err)
{
	char path[PATH_MAX];
	int r = find_program(name, path, sizeof path, err);
	pid_t pid;

	if (r < 0)
		return r;
	pid = fork();
	if (pid < 0)
		return err_set(err, -errno, "'%s' cannot be started: %s", name,
			       err_words(-errno));
	if (pid == 0)
		become_program(path, name, owner);
	*ret_pid = pid;
	*ret_pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (*ret_pidfd < 0)
		return err_set(err, -errno, "'%s' cannot be watched: %s", name,
			       err_words(-errno));
	return 0;
}

/* ---- first messages -------------------------------------------------------------------------- */

static int send_hv_config(const struct shared *s, const struct vm_process_config *config,
			  u32 uid, struct err *err)
{
	struct owner_message m = { .kind = OWNER_HV_CONFIG, .size = sizeof m.u.hv };
	int fds[HV_FD_COUNT];
	unsigned count = 0;
	const int all[HV_FD_COUNT] = {
		[HV_FD_RAM] = s->ram,		[HV_FD_VRAM] = s->vram,
		[HV_FD_ROM] = s->rom,		[HV_FD_DIRTY] = s->dirty,
		[HV_FD_CODE] = s->code,		[HV_FD_CONTROL] = s->control,
		[HV_FD_VERBS] = s->verbs[0],	[HV_FD_ACCESS_EVENT] = s->access_event,
		[HV_FD_HV_EVENT] = s->hv_event, [HV_FD_SERIAL0] = s->serial[1],
		[HV_FD_SERIAL1] = -1,		[HV_FD_KVM] = config->kvm,
	};
	int r;

	m.u.hv = config->hv;
	m.u.hv.version = WALL_VERSION;
	m.u.hv.uid = uid ? uid + ROLE_HV : 0;
	m.u.hv.fd_mask = 0;
	for (unsigned k = 0; k < HV_FD_COUNT; k++) {
		if (all[k] < 0)
			continue;
		m.u.hv.fd_mask |= BIT(k);
		fds[count++] = all[k];
	}
	r = ipc_send(s->owner_hv[0], &m, sizeof m, fds, count);
	return r < 0 ? err_set(err, r, "tabique-hv takes no configuration: %s",
			       err_words(r))
		     : 0;
}

static int send_worker_config(const struct shared *s,
			      const struct vm_process_config *config, u32 uid,
			      struct err *err)
{
	AUTO_FREE struct worker_config *w = malloc(sizeof *w);
	int fds[WORKER_FD_COUNT + WORKER_MAX_MODULES + WORKER_MAX_IMAGES +
		WORKER_MAX_NICS];
	unsigned count = 0;
	const int all[WORKER_FD_COUNT] = {
		[WORKER_FD_RAM] = s->ram,
		[WORKER_FD_VRAM] = s->vram,
		[WORKER_FD_ROM] = s->rom,
		[WORKER_FD_DIRTY] = s->dirty,
		[WORKER_FD_CODE] = s->code_read_only,
		[WORKER_FD_CONTROL] = s->control,
		[WORKER_FD_VERBS] = s->verbs[1],
		[WORKER_FD_ACCESS_EVENT] = s->access_event,
		[WORKER_FD_HV_EVENT] = s->hv_event,
		[WORKER_FD_KERNEL] = config->kernel,
	};
	int r;

	if (!w)
		return err_set(err, -ENOMEM, "%s", err_words(-ENOMEM));
	*w = config->worker;
	w->kind = OWNER_WORKER_CONFIG;
	w->version = WALL_VERSION;
	w->uid = uid ? uid + ROLE_WORKER : 0;
	w->vp_count = config->hv.vp_count;
	w->ram_size = config->hv.ram_size;
	w->ram_start = config->hv.ram_start;
	w->vram_size = config->hv.vram_size;
	w->rom_size = config->hv.rom_size;
	w->jail_flags = config->hv.jail_flags;
	w->debug_exit = config->hv.debug_exit;
	w->test_devices = config->hv.test_devices;
	w->fd_mask = 0;
	for (unsigned k = 0; k < WORKER_FD_COUNT; k++) {
		if (all[k] < 0)
			continue;
		w->fd_mask |= BIT(k);
		fds[count++] = all[k];
	}
	for (unsigned k = 0; k < w->module_count; k++)
		fds[count++] = config->module[k];
	for (unsigned k = 0; k < w->image_count; k++)
		fds[count++] = config->images.fd[k];
	for (unsigned k = 0; k < w->nic_count; k++)
		if (w->nic[k].port != WORKER_NIC_UNPLUGGED)
			fds[count++] = config->nic[k];
	r = ipc_send(s->owner_worker[0], w, sizeof *w, fds, count);
	return r < 0 ? err_set(err, r, "tabique-worker takes no configuration: %s",
			       err_words(r))
		     : 0;
}

/* ---- the address translator ------------------------------------------------------------------ */

static int start_nat(const struct vm_process_config *config, u32 uid,
		     struct vm_process *vm, struct err *err)
{
	struct nat_config nat = config->nat;
	int pair[2], r;

	if (nat.adapter_count == 0)
		return 0;
	r = ipc_pair(pair);
	if (r < 0)
		return err_set(err, r, "tabique-nat: %s", err_words(r));
	vm->nat_socket = pair[0];
	r = start_program("tabique-nat", pair[1], &vm->nat_pid, &vm->nat_pidfd, err);
	close(pair[1]);
	if (r < 0)
		return r;
	nat.version = NET_CONFIG_VERSION;
	nat.uid = uid ? uid + ROLE_NET : 0;
	nat.jail_flags = config->hv.jail_flags;
	r = ipc_send(vm->nat_socket, &nat, sizeof nat, config->nat_port,
		     nat.adapter_count);
	return r < 0 ? err_set(err, r, "tabique-nat takes no configuration: %s",
			       err_words(r))
		     : 0;
}

int program_ready(int socket, const char *what, struct err *err)
{
	struct owner_message m;
	unsigned fds;
	size_t size = 0;
	int r = ipc_receive(socket, &m, sizeof m, &size, NULL, 0, &fds);

	if (r == 0 && size == sizeof m && m.kind == OWNER_READY)
		return 0;
	if (r < 0 || size != sizeof m || m.kind != OWNER_FAILED)
		return err_set(err, -EPIPE, "%s did not start", what);
	owner_failed_err(&m, err);
	return err->code;
}

/* It says at once whether the host's ports can be had. */
static int hear_nat(const struct vm_process *vm, struct err *err)
{
	if (vm->nat_pid == 0 ||
	    program_ready(vm->nat_socket, "the address translator (tabique-nat)", err) ==
		    0)
		return 0;
	return err_wrap(err, "--net nat");
}

/* ---- life ------------------------------------------------------------------------------------ */

int vm_process_start(const struct vm_process_config *config, struct vm_process *ret_vm,
		     struct err *err)
{
	struct vm_process vm = { .hv_pidfd = -1,
				 .worker_pidfd = -1,
				 .nat_pidfd = -1,
				 .hv_socket = -1,
				 .worker_socket = -1,
				 .nat_socket = -1,
				 .serial = -1,
				 .slot_lock = -1 };
	struct shared s;
	u32 uid;
	int r = take_slot(&uid, &vm.slot_lock, err);

	if (r < 0)
		return r;
	vm.uid = uid;
	r = shared_new(&config->hv, &s, err);
	if (r < 0) {
		vm_process_end(&vm);
		return r;
	}
	r = start_nat(config, uid, &vm, err);
	if (r == 0)
		r = start_program("tabique-hv", s.owner_hv[1], &vm.hv_pid, &vm.hv_pidfd,
				  err);
	if (r == 0)
		r = start_program("tabique-worker", s.owner_worker[1], &vm.worker_pid,
				  &vm.worker_pidfd, err);
	if (r == 0)
		r = send_hv_config(&s, config, uid, err);
	if (r == 0)
		r = send_worker_config(&s, config, uid, err);
	vm.hv_socket = take_fd(&s.owner_hv[0]);
	vm.worker_socket = take_fd(&s.owner_worker[0]);
	vm.serial = take_fd(&s.serial[0]);
	shared_close(&s);
	if (r == 0)
		r = hear_nat(&vm, err);
	if (r < 0) {
		vm_process_end(&vm);
		return r;
	}
	*ret_vm = vm;
	return 0;
}

static bool take_status(pid_t *pid, int *ret_status, struct rusage *ret_usage,
			int options)
{
	if (*pid == 0)
		return true;
	if (wait4(*pid, ret_status, options, ret_usage) != *pid)
		return false;
	*pid = 0;
	return true;
}

bool vm_process_hv_ended(struct vm_process *vm)
{
	return take_status(&vm->hv_pid, &vm->hv_status, &vm->hv_usage, WNOHANG);
}

bool vm_process_worker_ended(struct vm_process *vm)
{
	return take_status(&vm->worker_pid, &vm->worker_status, &vm->worker_usage,
			   WNOHANG);
}

bool vm_process_nat_ended(struct vm_process *vm)
{
	return take_status(&vm->nat_pid, &vm->nat_status, &vm->nat_usage, WNOHANG);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Its own words, terminated whatever came. */
void owner_failed_err(const struct owner_message *m, struct err *err)
{
	*err = (struct err){ .code = m->u.failed.code };
	memcpy(err->text, m->u.failed.text, sizeof err->text);
	memcpy(err->fix, m->u.failed.fix, sizeof err->fix);
	err->text[sizeof err->text - 1] = '\0';
	err->fix[sizeof err->fix - 1] = '\0';
}

/* Wait until a process ends by itself, since its owner's socket has closed. */
static void wait_for_end(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	if (pidfd >= 0)
		(void)poll(&p, 1, END_MS);
}

void vm_process_end(struct vm_process *vm)
{
	close_fd(&vm->serial);
	close_fd(&vm->worker_socket);
	close_fd(&vm->hv_socket);
	wait_for_end(vm->worker_pidfd);
	wait_for_end(vm->hv_pidfd);
	/* Last: a worker that still lives would complain of its adapters' links. */
	close_fd(&vm->nat_socket);
	wait_for_end(vm->nat_pidfd);
	if (vm->worker_pid)
		kill(vm->worker_pid, SIGKILL);
	if (vm->hv_pid)
		kill(vm->hv_pid, SIGKILL);
	if (vm->nat_pid)
		kill(vm->nat_pid, SIGKILL);
	take_status(&vm->worker_pid, &vm->worker_status, &vm->worker_usage, 0);
	take_status(&vm->hv_pid, &vm->hv_status, &vm->hv_usage, 0);
	take_status(&vm->nat_pid, &vm->nat_status, &vm->nat_usage, 0);
	close_fd(&vm->hv_pidfd);
	close_fd(&vm->nat_pidfd);
	close_fd(&vm->worker_pidfd);
	close_fd(&vm->slot_lock);
}
