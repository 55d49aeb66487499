/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tabique-worker: the parent's side of one VM. It is started by the VM's owner (the launcher or
 * `tabique run`) with a socket at OWNER_FD, over which everything else comes. It opens no path, and
 * after step 5 it could not.
 *
 * It ends quietly when its owner or the hypervisor closes, and with OWNER_FAILED and status 1 when it
 * cannot do what it was asked. One thread.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/inspect.h"
#include "base/ipc.h"
#include "base/log.h"
#include "base/loop.h"
#include "disk/nbd_library.h"
#include "jail/jail.h"
#include "machine/direct.h"
#include "programs/worker/guest.h"
#include "programs/worker/owner.h"
#include "vsp/balloon/balloon.h"
#include "wall/guest_memory.h"
#include "wall/worker_end.h"

#define INSPECT_SIZE (256 * 1024)

struct worker {
	struct start_order order;
	struct wall_control *control;
	u8 *rom, *vram;
	struct guest_memory *gm;
	struct worker_end *end;
	struct loop *loop;
	struct direct *machine;
	/* what the owner was told of memory, when, and when it is told again */
	struct balloon_figures memory;
	u64 memory_told_at;
	struct loop_alarm memory_alarm;
	struct loop_watch *owner_watch, *access_watch, *verbs_watch;
	struct jail_config jail;
	bool failed;
	bool quiet; /* no device is at work */
};

static int map_shared_memory(struct worker *w, struct err *err);
static int make_parts(struct worker *w, struct err *err);
static int enter_nbd_thread(void *owner)
{
	struct worker *w = owner;
	struct err err = { 0 };

	return jail_thread(&w->jail, JAIL_THREAD_DISK_NBD, &err);
}

static int enter_jail(struct worker *w, char *report, size_t size, struct err *err);
static int start_guest(struct worker *w, struct err *err);
static int end_guest(struct worker *w, struct err *err);

int main(void)
{
	static struct worker w;
	struct err err = { 0 };
	char report[OWNER_TEXT_SIZE] = "";

	/* 1. Our owner decides when we end, not who types at its terminal. */
	log_start("tabique-worker", LOG_INFO);
	if (!ipc_is_socket(OWNER_FD)) {
		log_error("'tabique run' starts this program; see 'tabique --help'");
		return 2;
	}
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);

	/* 2. The configuration and the descriptors. */
	int r = owner_receive_order(OWNER_FD, &w.order, &err);
	if (r == -EPIPE)
		return 0; /* the owner changed its mind */

	/* 3. Memory that we share with the hypervisor. */
	if (r == 0)
		r = map_shared_memory(&w, &err);

	/* 4. Parts that need descriptors of their own. */
	if (r == 0)
		r = make_parts(&w, &err);

	/* 5. Every right that is left goes. */
	if (r == 0)
		r = enter_jail(&w, report, sizeof report, &err);
	if (r == 0)
		owner_say(OWNER_FD, OWNER_READY, report);

	/* 6. From here on bytes of others are parsed: the kernel, then the guest's requests. */
	if (r == 0)
		r = start_guest(&w, &err);
	if (r == 0)
		owner_say(OWNER_FD, OWNER_LOADED, direct_kernel_kind(w.machine));

	/* 7. Serve until somebody closes. */
	if (r == 0)
		r = loop_run(w.loop);
	if (r < 0 && err.code == 0)
		err_set(&err, r, "event loop: %s", err_words(r));

	/* 8. What the guest has written reaches its disks. */
	if (w.machine && end_guest(&w, &err) < 0)
		r = err.code;
	/* A hypervisor that is gone has said why itself, or its end says it. */
	if (r < 0 && r != -EPIPE)
		owner_say_failed(OWNER_FD, &err);
	return r < 0 || w.failed ? 1 : 0;
}

/* ---- step 3 ---- */

static void *map_region(int fd, u64 size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

static int map_shared_memory(struct worker *w, struct err *err)
{
	const struct worker_config *c = &w->order.config;
	const int *fd = w->order.fd;
	int r;

	w->control = map_region(fd[WORKER_FD_CONTROL], wall_control_size(c->vp_count));
	if (!w->control)
		return err_set(err, -errno, "map control memory: %s", err_words(-errno));
	if (c->rom_size > 0) {
		w->rom = map_region(fd[WORKER_FD_ROM], c->rom_size);
		if (!w->rom)
			return err_set(err, -errno, "map ROM: %s", err_words(-errno));
	}
	if (c->vram_size > 0) {
		w->vram = map_region(fd[WORKER_FD_VRAM], c->vram_size);
		if (!w->vram)
			return err_set(err, -errno, "map VRAM: %s", err_words(-errno));
	}
	r = gm_open(fd[WORKER_FD_RAM], c->ram_size, fd[WORKER_FD_DIRTY],
		    fd[WORKER_FD_CODE], w->control, fd[WORKER_FD_HV_EVENT], &w->gm);
	if (r == 0 && c->ram_start > 0)
		r = gm_start_with(w->gm, c->ram_start);
	if (r < 0)
		return err_set(err, r, "map guest memory: %s", err_words(r));
	return 0;
}

/* ---- step 4 ---- */

static void on_owner(void *owner, unsigned events);
static void on_access(void *owner, unsigned events);
static void on_verbs(void *owner, unsigned events);
static int enter_disk_thread(void *owner);
static void on_ejected(void *owner, u32 controller, u32 lun);
static void on_memory_changed(void *owner);
static void tell_memory(void *owner);
static int enter_nbd_thread(void *owner);

/* What disks over NBD need must be loaded now; a disk that comes later says why it cannot. */
static int load_libraries(const struct worker_config *c, struct err *err)
{
	struct err ignored = { 0 };

	for (u32 n = 0; n < c->image_count; n++)
		if (c->image[n].nbd)
			return nbd_library_load(err);
	if (c->hot_disks)
		(void)nbd_library_load(&ignored);
	return 0;
}

/* The owner decides what a reset is. */
static void on_guest_reset(void *owner)
{
	owner_say(OWNER_FD, OWNER_GUEST_RESET, "");
}

static int make_parts(struct worker *w, struct err *err)
{
	const struct worker_config *c = &w->order.config;
	const int *fd = w->order.fd;
	const struct worker_end_config end = {
		.control = w->control,
		.vp_count = c->vp_count,
		.verbs = fd[WORKER_FD_VERBS],
		.access_event = fd[WORKER_FD_ACCESS_EVENT],
		.hv_event = fd[WORKER_FD_HV_EVENT],
	};
	int r = worker_end_open(&end, &w->end);

	if (r == 0)
		r = loop_new(&w->loop);
	if (r == 0)
		r = loop_watch_add(w->loop, OWNER_FD, LOOP_READ, on_owner, w,
				   &w->owner_watch);
	if (r == 0)
		r = loop_watch_add(w->loop, fd[WORKER_FD_ACCESS_EVENT], LOOP_READ,
				   on_access, w, &w->access_watch);
	/* hv never begins a conversation: only its end can be heard here. */
	if (r == 0)
		r = loop_watch_add(w->loop, fd[WORKER_FD_VERBS], LOOP_READ, on_verbs, w,
				   &w->verbs_watch);
	if (r < 0)
		return err_set(err, r, "start: %s", err_words(r));
	loop_alarm_init(w->loop, &w->memory_alarm, tell_memory, w);
	const struct direct_parts parts = {
		.config = c,
		.gm = w->gm,
		.end = w->end,
		.loop = w->loop,
		.rom = w->rom,
		.vram = w->vram,
		.kernel_fd = fd[WORKER_FD_KERNEL],
		.module_fd = w->order.module_fd,
		.image_fd = w->order.image_fd,
		.nic_fd = w->order.nic_fd,
		.enter_thread = enter_disk_thread,
		.enter_nbd_thread = enter_nbd_thread,
		.ejected = c->hot_disks ? on_ejected : NULL,
		.guest_reset = on_guest_reset,
		.memory_changed = on_memory_changed,
		.owner = w,
	};
	r = load_libraries(c, err);
	return r < 0 ? r : direct_new(&parts, &w->machine, err);
}

/* ---- step 5 ---- */

/* Threads of the disks read and write images, and nothing else. */
static int enter_disk_thread(void *owner)
{
	struct worker *w = owner;
	struct err err = { 0 };

	return jail_thread(&w->jail, JAIL_THREAD_DISK, &err);
}

static int enter_jail(struct worker *w, char *report, size_t size, struct err *err)
{
	int r;

	w->jail = (struct jail_config){
		.role = JAIL_WORKER,
		.leave_out = w->order.config.jail_flags,
		.uid = w->order.config.uid,
	};
	r = jail_enter(&w->jail, report, size, err);
	if (r == 0)
		r = direct_start(w->machine, err);
	return r < 0 ? r : jail_thread(&w->jail, JAIL_THREAD_WORKER, err);
}

/* ---- step 6 ---- */

static int start_guest(struct worker *w, struct err *err)
{
	int r = direct_load(w->machine, err);

	if (r == 0)
		r = direct_power_on(w->machine, err);
	if (r == 0)
		on_memory_changed(w);
	return r;
}

/* ---- step 7 ---- */

static void on_access(void *owner, unsigned events)
{
	struct worker *w = owner;

	worker_serve(w->end);
	direct_flush(w->machine);
}

static void on_verbs(void *owner, unsigned events)
{
	struct worker *w = owner;

	loop_stop(w->loop);
}

static void on_reset(void *owner, int r, const struct err *cause)
{
	struct worker *w = owner;
	struct err err = *cause;

	if (r == 0) {
		owner_say(OWNER_FD, OWNER_LOADED, direct_kernel_kind(w->machine));
		return;
	}
	w->failed = true;
	err_wrap(&err, "reset");
	if (err.code != -EPIPE)
		owner_say_failed(OWNER_FD, &err);
	loop_stop(w->loop);
}

/* Text in pieces of a message's size, then an empty one: the end. */
static void say_text(const char *text)
{
	char piece[OWNER_TEXT_SIZE];

	while (*text) {
		size_t n = strnlen(text, sizeof piece - 1);

		memcpy(piece, text, n);
		piece[n] = 0;
		owner_say(OWNER_FD, OWNER_INSPECT, piece);
		text += n;
	}
	owner_say(OWNER_FD, OWNER_INSPECT, "");
}

static void inspect(struct worker *w)
{
	struct worker_end_counts n;
	static char text[INSPECT_SIZE];
	struct inspect out = { .text = text, .size = sizeof text };

	worker_end_count(w->end, &n);
	inspect_line(&out, "vm.kernel", "%s", direct_kernel_kind(w->machine));
	inspect_number(&out, "wall", "accesses", n.accesses);
	inspect_number(&out, "wall", "string_accesses", n.strings);
	inspect_number(&out, "wall", "posted_writes", n.posted);
	inspect_number(&out, "wall", "lines", n.lines);
	inspect_number(&out, "wall", "msis", n.msis);
	inspect_number(&out, "wall", "polls", n.polls);
	inspect_number(&out, "wall", "poll_hits", n.poll_hits);
	inspect_number(&out, "wall", "messages_in", n.messages_in);
	inspect_number(&out, "wall", "messages_out", n.messages_out);
	inspect_number(&out, "wall", "signals", n.signals);
	direct_inspect(w->machine, &out);
	say_text(text);
}

static void on_disk_changed(void *owner, u32 id, int r, bool there, u64 size,
			    const struct err *err)
{
	owner_say_disk(OWNER_FD, id, r, there, size, err);
}

static void on_ejected(void *owner, u32 controller, u32 lun)
{
	owner_say_ejected(OWNER_FD, controller, lun);
}

/* However often the guest reports: once a second. */
static void on_memory_changed(void *owner)
{
	struct worker *w = owner;

	if (w->memory_alarm.when == UINT64_MAX)
		loop_alarm_set(&w->memory_alarm, w->memory_told_at + NS_PER_SEC);
}

static void tell_memory(void *owner)
{
	struct worker *w = owner;
	struct balloon_figures figures;

	balloon_show(direct_balloon(w->machine), &figures);
	if (memcmp(&figures, &w->memory, sizeof figures) == 0)
		return;
	w->memory = figures;
	w->memory_told_at = host_clock.monotonic_ns(&host_clock);
	owner_say_memory(OWNER_FD, &figures);
}

static void on_owner(void *owner, unsigned events)
{
	struct worker *w = owner;
	static union owner_news news; /* large */
	int fd[WORKER_MAX_IMAGES];
	int r = owner_receive_news(OWNER_FD, &news, fd);

	if (r == -EAGAIN)
		return;
	if (r == 0 && news.message.kind == OWNER_DISK && !w->order.config.hot_disks)
		r = -EPROTO;
	for (unsigned k = 0; r < 0 && k < ARRAY_COUNT(fd); k++)
		if (fd[k] >= 0)
			close(fd[k]);
	if (r == -EPROTO)
		log_warn("a message of the owner that makes no sense is ignored");
	else if (r < 0)
		loop_stop(w->loop);
	else if (news.message.kind == OWNER_RESET)
		direct_reset(w->machine, on_reset, w);
	else if (news.message.kind == OWNER_INSPECT_ASK)
		inspect(w);
	else if (news.message.kind == OWNER_HOST_MEMORY)
		balloon_set_host_free(direct_balloon(w->machine),
				      news.message.u.host_free);
	else if (news.message.kind == OWNER_DISK)
		direct_change_disk(w->machine, &news.disk, fd, on_disk_changed, w);
	else if (news.message.kind == OWNER_GUEST)
		guest_order(OWNER_FD, w->machine, &news.guest, fd[0]);
	else
		log_warn("message %u of the owner is ignored", news.message.kind);
}

/* ---- step 8 ---- */

static void on_quiet(void *owner)
{
	struct worker *w = owner;

	w->quiet = true;
	loop_stop(w->loop);
}

/* Who closed has nothing to say any more; the disks' completions still come by the loop. */
static int end_guest(struct worker *w, struct err *err)
{
	int r = 0;

	loop_watch_remove(w->owner_watch);
	loop_watch_remove(w->access_watch);
	loop_watch_remove(w->verbs_watch);
	loop_alarm_set(&w->memory_alarm, UINT64_MAX);
	direct_quiet(w->machine, on_quiet, w);
	while (r == 0 && !w->quiet)
		r = loop_run(w->loop);
	if (w->quiet)
		direct_free(w->machine);
	return r < 0 ? err_set(err, r, "disks: %s", err_words(r)) : 0;
}
