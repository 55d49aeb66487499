/* SPDX-License-Identifier: Apache-2.0 */
/* A tabique-hv and what it shares with the test; see hv_process.h. */
#include "move/hv_process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/ipc.h"

#define VRAM_SIZE (8u << 20)
#define ROM_SIZE (4u << 20)
/* What hv becomes where the test is root: no VM of this host has it. */
#define HV_UID (0x78000000u + 4 * 5000)

static int region_new(const char *name, u64 size)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (fchmod(fd, 0600) < 0 || ftruncate(fd, (off_t)size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

/* A byte a page, in whole pages. */
static u64 map_size(u64 ram_size)
{
	u64 pages = ram_size >> WALL_PAGE_SHIFT;

	return (pages + WALL_PAGE_SIZE - 1) & ~(u64)(WALL_PAGE_SIZE - 1);
}

int hv_memory_new(u64 ram_size, struct hv_memory *ret_memory, struct err *err)
{
	struct hv_memory m = {
		.ram = region_new("move-ram", ram_size),
		.vram = region_new("move-vram", VRAM_SIZE),
		.rom = region_new("move-rom", ROM_SIZE),
		.dirty = region_new("move-dirty", map_size(ram_size)),
		.ram_size = ram_size,
		.vram_size = VRAM_SIZE,
		.rom_size = ROM_SIZE,
	};

	m.vram_bytes =
		mmap(NULL, VRAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, m.vram, 0);
	m.rom_bytes = mmap(NULL, ROM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, m.rom, 0);
	if (m.ram < 0 || m.vram < 0 || m.rom < 0 || m.dirty < 0 ||
	    m.rom_bytes == MAP_FAILED || m.vram_bytes == MAP_FAILED)
		return err_set(err, -ENOMEM, "no memory regions");
	*ret_memory = m;
	return 0;
}

/* In the child, as the owner of a VM starts its programs. */
static NORETURN void become(const char *program, int owner)
{
	char *argv[] = { (char *)(uintptr_t) "tabique-hv", NULL };
	char *environment[] = { NULL };
	int nothing = open("/dev/null", O_RDWR);

	if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 ||
	    dup2(nothing, STDOUT_FILENO) < 0)
		_exit(127);
	if (owner == OWNER_FD ? fcntl(owner, F_SETFD, 0) < 0 : dup2(owner, OWNER_FD) < 0)
		_exit(127);
	syscall(SYS_close_range, OWNER_FD + 1, ~0u, 0);
	execve(program, argv, environment);
	_exit(127);
}

/* Everything that is this hv's alone. their = its ends of the pairs: verbs, owner, serial. */
static int make_shared(const struct hv_order *order, const struct hv_memory *memory,
		       struct hv_process *hv, int their[3])
{
	int verbs[2], owner[2], serial[2];

	hv->control_size = wall_control_size(order->vp_count);
	hv->control_fd = region_new("move-control", hv->control_size);
	hv->code = region_new("move-code", map_size(memory->ram_size));
	hv->access_event = ipc_event_new();
	hv->hv_event = ipc_event_new();
	if (hv->control_fd < 0 || hv->code < 0 || hv->access_event < 0 ||
	    hv->hv_event < 0)
		return -ENOMEM;
	hv->control = mmap(NULL, hv->control_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			   hv->control_fd, 0);
	if (hv->control == MAP_FAILED || ipc_pair(verbs) < 0 || ipc_pair(owner) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, serial) < 0)
		return -ENOMEM;
	hv->control->version = WALL_VERSION;
	hv->control->vp_count = order->vp_count;
	hv->control->ram_size = memory->ram_size;
	hv->verbs = verbs[0];
	hv->owner = owner[0];
	hv->serial = serial[0];
	their[0] = verbs[1];
	their[1] = owner[1];
	their[2] = serial[1];
	return 0;
}

static int send_config(const struct hv_order *order, const struct hv_memory *memory,
		       const struct hv_process *hv, const int their[3])
{
	struct owner_message m = { .kind = OWNER_HV_CONFIG, .size = sizeof m.u.hv };
	const int all[HV_FD_COUNT] = {
		[HV_FD_RAM] = memory->ram,
		[HV_FD_VRAM] = memory->vram,
		[HV_FD_ROM] = memory->rom,
		[HV_FD_DIRTY] = memory->dirty,
		[HV_FD_CODE] = hv->code,
		[HV_FD_CONTROL] = hv->control_fd,
		[HV_FD_VERBS] = their[0],
		[HV_FD_ACCESS_EVENT] = hv->access_event,
		[HV_FD_HV_EVENT] = hv->hv_event,
		[HV_FD_SERIAL0] = their[2],
		[HV_FD_SERIAL1] = -1,
		[HV_FD_KVM] = order->engine == HV_ENGINE_KVM ? order->kvm : -1,
	};
	int fds[HV_FD_COUNT];
	unsigned count = 0;

	m.u.hv = (struct hv_config){ .version = WALL_VERSION,
				     .vp_count = order->vp_count,
				     .engine = order->engine,
				     .portable = true,
				     .ram_size = memory->ram_size,
				     .ram_start = memory->ram_start,
				     .vram_size = memory->vram_size,
				     .rom_size = memory->rom_size,
				     .uid = geteuid() == 0 ? HV_UID : 0 };
	for (unsigned k = 0; k < HV_FD_COUNT; k++) {
		if (all[k] < 0)
			continue;
		m.u.hv.fd_mask |= BIT(k);
		fds[count++] = all[k];
	}
	return ipc_send(hv->owner, &m, sizeof m, fds, count);
}

static int wait_ready(struct hv_process *hv, struct err *err)
{
	struct owner_message m;
	unsigned fd_count;
	size_t size;
	int r = ipc_receive(hv->owner, &m, sizeof m, &size, NULL, 0, &fd_count);

	if (r < 0)
		return err_set(err, r, "tabique-hv does not start: %s", err_words(r));
	if (m.kind == OWNER_FAILED)
		return err_set(err, -EIO, "tabique-hv: %s", m.u.failed.text);
	if (m.kind != OWNER_READY)
		return err_set(err, -EPROTO, "tabique-hv says %u", m.kind);
	return 0;
}

int hv_process_start(const struct hv_order *order, const struct hv_memory *memory,
		     struct hv_process *ret_hv, struct err *err)
{
	struct hv_process *hv = ret_hv;
	int their[3], r;

	*hv = (struct hv_process){ 0 };
	r = make_shared(order, memory, hv, their);
	if (r < 0)
		return err_set(err, r, "nothing to share with tabique-hv");
	hv->pid = fork();
	if (hv->pid == 0)
		become(order->program, their[1]);
	if (hv->pid < 0)
		return err_set(err, -errno, "fork: %s", err_words(-errno));
	r = send_config(order, memory, hv, their);
	for (unsigned k = 0; k < 3; k++)
		close(their[k]);
	if (r < 0)
		return err_set(err, r, "tabique-hv takes no configuration: %s",
			       err_words(r));
	return wait_ready(hv, err);
}

void hv_process_end(struct hv_process *hv)
{
	const int fds[] = { hv->owner,	  hv->serial, hv->verbs,     hv->access_event,
			    hv->hv_event, hv->code,   hv->control_fd };

	for (unsigned k = 0; k < ARRAY_COUNT(fds); k++)
		close(fds[k]);
	munmap(hv->control, hv->control_size);
	waitpid(hv->pid, NULL, 0);
}
