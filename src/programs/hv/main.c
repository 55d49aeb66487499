/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tabique-hv: the hypervisor of one VM. Started by the VM's owner with a socket at OWNER_FD and
 * nothing else; everything comes over that socket. It executes the guest, holds its memory and
 * the chips that have to be near, and takes the worker for hostile. See hv/partition.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/ipc.h"
#include "base/log.h"
#include "base/loop.h"
#include "hv/partition.h"
#include "jail/jail.h"
#include "programs/hv/engines.h"
#include "programs/hv/owner.h"
#include "programs/hv/tsc.h"

struct hv {
	struct hv_config config;
	int fd[HV_FD_COUNT];
	struct jail_config jail;
	struct owner owner;
};

/* Memory that the worker has too must keep its size: a shrunk one would kill us by SIGBUS. */
static int map_region(int fd, u64 size, int protection, const char *name,
		      void **ret_memory, struct err *err)
{
	struct stat st;
	void *p;
	int seals;

	*ret_memory = NULL;
	if (size == 0)
		return 0;
	if (fd < 0)
		return err_set(err, -EBADF, "%s is missing", name);
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) < 0 ||
	    (u64)st.st_size < size)
		return err_set(err, -EINVAL, "%s is not sealed or too small", name);
	p = mmap(NULL, size, protection, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (p == MAP_FAILED)
		return err_set(err, -errno, "%s cannot be mapped: %s", name,
			       err_words(-errno));
	*ret_memory = p;
	return 0;
}

static int map_memory(struct hv *hv, struct partition_config *config, struct err *err)
{
	const struct hv_config *c = &hv->config;
	u64 pages = c->ram_size >> WALL_PAGE_SHIFT;
	const struct {
		int fd;
		u64 size;
		int protection;
		const char *name;
		void **to;
	} regions[] = {
		{ hv->fd[HV_FD_RAM], c->ram_size, PROT_READ | PROT_WRITE, "guest RAM",
		  (void **)&config->region[WALL_REGION_RAM].host },
		{ hv->fd[HV_FD_VRAM], c->vram_size, PROT_READ | PROT_WRITE,
		  "video memory", (void **)&config->region[WALL_REGION_VRAM].host },
		{ hv->fd[HV_FD_ROM], c->rom_size, PROT_READ, "the ROM region",
		  (void **)&config->region[WALL_REGION_ROM].host },
		{ hv->fd[HV_FD_DIRTY], pages, PROT_READ | PROT_WRITE, "the dirty map",
		  (void **)&config->dirty_map },
		{ hv->fd[HV_FD_CODE], pages, PROT_READ | PROT_WRITE, "the code map",
		  (void **)&config->code_map },
		{ hv->fd[HV_FD_CONTROL], wall_control_size(c->vp_count),
		  PROT_READ | PROT_WRITE, "the control page", (void **)&config->control },
	};

	if (c->vp_count == 0 || c->vp_count > WALL_MAX_VPS)
		return err_set(err, -EINVAL, "%u processors: 1 to %u are possible",
			       c->vp_count, WALL_MAX_VPS);
	if (pages == 0 || c->ram_start > c->ram_size ||
	    ((c->ram_size | c->ram_start | c->vram_size | c->rom_size) &
	     (WALL_PAGE_SIZE - 1)))
		return err_set(err, -EINVAL, "memory sizes are not whole pages");
	for (unsigned k = 0; k < ARRAY_COUNT(regions); k++) {
		int r = map_region(regions[k].fd, regions[k].size, regions[k].protection,
				   regions[k].name, regions[k].to, err);

		if (r < 0)
			return r;
	}
	config->region[WALL_REGION_RAM].size = c->ram_size;
	config->region[WALL_REGION_RAM].start = c->ram_start;
	config->region[WALL_REGION_VRAM].size = c->vram_size;
	config->region[WALL_REGION_ROM].size = c->rom_size;
	return 0;
}

/* We never wait for the worker, nor for who reads the console. */
static int set_non_blocking(struct hv *hv, struct err *err)
{
	static const enum hv_fd which[] = { HV_FD_VERBS, HV_FD_SERIAL0, HV_FD_SERIAL1 };

	for (unsigned k = 0; k < ARRAY_COUNT(which); k++) {
		int fd = hv->fd[which[k]];

		if (fd >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
			return err_set(err, -errno, "a socket cannot be set up: %s",
				       err_words(-errno));
	}
	if (hv->fd[HV_FD_VERBS] < 0 || hv->fd[HV_FD_ACCESS_EVENT] < 0 ||
	    hv->fd[HV_FD_HV_EVENT] < 0)
		return err_set(err, -EBADF, "the worker's sockets are missing");
	return 0;
}

static int confine_vp(void *owner, struct err *err)
{
	struct hv *hv = CONTAINER_OF(owner, struct hv, owner);

	return jail_thread(&hv->jail,
			   hv->config.engine == HV_ENGINE_KVM ? JAIL_THREAD_HV_VP_KVM
							      : JAIL_THREAD_HV_VP,
			   err);
}

static int start(struct hv *hv, struct err *err)
{
	struct tsc_sample since = tsc_sample_now();
	struct partition_config config = { 0 };
	char report[OWNER_TEXT_SIZE] = "";
	int r;

	/* 1. What the owner wants, and its descriptors. */
	r = owner_receive_config(OWNER_FD, &hv->config, hv->fd, err);
	if (r < 0)
		return r;
	r = engine_find(hv->config.engine, &config.engine, err);
	if (r < 0)
		return r;

	/* 2. Memory: guest RAM and what is shared with the worker. */
	r = map_memory(hv, &config, err);
	if (r == 0)
		r = set_non_blocking(hv, err);
	if (r < 0)
		return r;
	hv->owner.text = malloc(OWNER_INSPECT_SIZE);
	if (!hv->owner.text)
		return err_set(err, -ENOMEM, "no memory for texts");
	r = loop_new(&hv->owner.loop);
	if (r < 0)
		return err_set(err, r, "no event loop: %s", err_words(r));

	/* 3. Rights that the whole process gives up. */
	hv->jail = (struct jail_config){ .role = JAIL_HV,
					 .leave_out = hv->config.jail_flags,
					 .uid = hv->config.uid };
	r = jail_enter(&hv->jail, report, sizeof report, err);
	if (r < 0)
		return r;

	/* 4. The machine. */
	config.engine_kind = hv->config.engine;
	config.kvm_fd = hv->fd[HV_FD_KVM];
	config.code_cache = (u64)hv->config.code_cache << 20;
	config.vp_count = hv->config.vp_count;
	config.debug_exit = hv->config.debug_exit;
	config.test_devices = hv->config.test_devices;
	config.portable = hv->config.portable;
	config.hardware_apics = hv->config.hardware_apics;
	config.verbs = hv->fd[HV_FD_VERBS];
	config.access_event = hv->fd[HV_FD_ACCESS_EVENT];
	config.hv_event = hv->fd[HV_FD_HV_EVENT];
	config.serial[0] = hv->fd[HV_FD_SERIAL0];
	config.serial[1] = hv->fd[HV_FD_SERIAL1];
	config.loop = hv->owner.loop;
	config.tsc_hz = tsc_find_hz(&since);
	config.confine_thread = confine_vp;
	config.events = &owner_events;
	config.owner = &hv->owner;
	r = partition_new(&config, &hv->owner.partition, err);
	if (r < 0)
		return r;
	/* The VM and its VPs are there: no other one will be made. */
	if (hv->fd[HV_FD_KVM] >= 0)
		close(take_fd(&hv->fd[HV_FD_KVM]));

	/* 5. Threads; each gives up its system calls before it stands ready. */
	r = partition_start(hv->owner.partition, err);
	if (r == 0)
		r = owner_watch(&hv->owner, err);

	/* 6. Our own system calls: from here on this thread is the loop and nothing else. */
	if (r == 0)
		r = jail_thread(&hv->jail,
				hv->config.engine == HV_ENGINE_KVM
					? JAIL_THREAD_HV_LOOP_KVM
					: JAIL_THREAD_HV_LOOP,
				err);
	if (r == 0)
		owner_tell_ready(&hv->owner, report);
	return r;
}

int main(void)
{
	static struct hv hv = { .owner.socket = OWNER_FD };
	struct err err = { 0 };
	int r;

	log_start("tabique-hv", LOG_WARN);
	if (!ipc_is_socket(OWNER_FD)) {
		log_error("'tabique run' starts this program; see 'tabique --help'");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	r = start(&hv, &err);
	if (r < 0) {
		owner_tell_failed(OWNER_FD, &err);
		_exit(1);
	}
	/* 7. Serve until the owner closes its end. What is left the kernel cleans up. */
	r = loop_run(hv.owner.loop);
	if (r < 0)
		log_error("the event loop failed: %s", err_words(r));
	_exit(r < 0);
}
