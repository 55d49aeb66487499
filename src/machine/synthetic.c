/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's VMBus and its devices; see synthetic.h. */
#include "machine/synthetic.h"

#include <errno.h>

#include "base/clock.h"
#include "base/loop.h"
#include "disk/disk.h"
#include "machine/nics.h"
#include "board/vga.h"
#include "machine/desk.h"
#include "machine/screen.h"
#include "vmbus/server.h"
#include "vmbus/wall_host.h"
#include "vsp/balloon/balloon.h"
#include "vsp/ic/components.h"
#include "wall/guest_memory.h"
#include "wall/worker_config.h"
#include "wall/worker_end.h"

struct synthetic {
	struct synthetic_parts parts;
	struct vmbus_wall_host *host;
	struct vmbus_server *server;
	struct disk_pool *pool;
	struct disks *disks;
	struct nics *nics;
	struct components *components;
	struct loop_alarm alarm; /* of the components */
	struct balloon *balloon;
	struct loop_alarm balloon_alarm;
	struct desk *desk;
	struct loop_alarm desk_alarm;
	struct screen *screen;
	int image_fd[WORKER_MAX_IMAGES]; /* -1: a disk's */
	/* the end, that waits for channels and then for disks */
	void (*quiet)(void *owner);
	void *quiet_owner;
};

/* ---- integration components ---- */

static void on_alarm(void *owner)
{
	struct synthetic *s = owner;

	components_due(s->components);
}

static void wake_components_at(void *owner, u64 when_ns)
{
	struct synthetic *s = owner;

	loop_alarm_set(&s->alarm, when_ns);
}

static bool reference_time(void *owner, u64 *ret_time)
{
	struct synthetic *s = owner;
	struct worker_clock clock;
	struct err err = { 0 };

	if (worker_get_clock(s->parts.end, &clock, &err) < 0)
		return false;
	*ret_time = clock.reference_ns / 100;
	return true;
}

static int new_components(struct synthetic *s)
{
	loop_alarm_init(s->parts.loop, &s->alarm, on_alarm, s);
	return components_new(
		&(struct components_config){
			.server = s->server,
			.clock = &host_clock,
			.loop = s->parts.loop,
			.wake_at = wake_components_at,
			.reference_time = reference_time,
			.owner = s,
		},
		&s->components);
}

struct components *synthetic_components(struct synthetic *s)
{
	return s->components;
}

/* ---- dynamic memory ---- */

static void on_balloon_alarm(void *owner)
{
	struct synthetic *s = owner;

	balloon_due(s->balloon);
}

static void wake_balloon_at(void *owner, u64 when_ns)
{
	struct synthetic *s = owner;

	loop_alarm_set(&s->balloon_alarm, when_ns);
}

static bool map_high(void *owner, u64 high)
{
	struct synthetic *s = owner;

	return s->parts.map_high && s->parts.map_high(s->parts.machine, high);
}

static void on_memory_changed(void *owner)
{
	struct synthetic *s = owner;

	if (s->balloon && s->parts.memory_changed)
		s->parts.memory_changed(s->parts.owner);
}

static int new_balloon(struct synthetic *s)
{
	const struct worker_memory *m = &s->parts.config->memory;
	const struct balloon_config config = {
		.server = s->server,
		.gm = s->parts.gm,
		.clock = &host_clock,
		.limits = {
			.min = m->min ? m->min : gm_ram_size(s->parts.gm),
			.max = m->max ? m->max : gm_ram_size(s->parts.gm),
			.buffer = m->dynamic ? m->buffer : POLICY_BUFFER,
			.weight = m->dynamic ? m->weight : POLICY_WEIGHT,
		},
		.dynamic = m->dynamic,
		.wake_at = wake_balloon_at,
		.map_high = map_high,
		.changed = on_memory_changed,
		.owner = s,
	};

	loop_alarm_init(s->parts.loop, &s->balloon_alarm, on_balloon_alarm, s);
	return balloon_new(&config, &s->balloon);
}

struct balloon *synthetic_balloon(struct synthetic *s)
{
	return s->balloon;
}

struct nics *synthetic_nics(struct synthetic *s)
{
	return s->nics;
}

/* ---- screen, keyboard, mouse ---- */

static void on_desk_alarm(void *owner)
{
	struct synthetic *s = owner;

	desk_due(s->desk);
}

static void wake_desk_at(void *owner, u64 when_ns)
{
	struct synthetic *s = owner;

	loop_alarm_set(&s->desk_alarm, when_ns);
}

/* With a BIOS a piece for VGA's text lies behind it. */
static u64 frame_size(const struct synthetic *s)
{
	u64 size = s->parts.config->vram_size;

	return s->parts.config->bios && size > VGA_TEXT_SIZE ? size - VGA_TEXT_SIZE
							     : size;
}

static int map_vram(void *owner, gpa_t gpa)
{
	struct synthetic *s = owner;
	const struct worker_map map = {
		.slot = s->parts.video_slot,
		.kind = gpa == VIDEO_NOWHERE ? WALL_MAP_NONE : WALL_MAP_RW,
		.gpa = gpa == VIDEO_NOWHERE ? 0 : gpa,
		.size = gpa == VIDEO_NOWHERE ? 0 : frame_size(s),
		.region = WALL_REGION_VRAM,
	};
	struct err err = { 0 };

	return worker_map(s->parts.end, &map, &err);
}

static void on_picture(void *owner)
{
	struct synthetic *s = owner;

	if (s->screen)
		screen_changed(s->screen);
}

static void on_leds(void *owner, u16 leds)
{
	struct synthetic *s = owner;

	if (s->screen)
		screen_set_leds(s->screen, (u8)leds);
}

static void on_guest_reset(void *owner)
{
	struct synthetic *s = owner;

	s->parts.guest_reset(s->parts.owner);
}

static int new_desk(struct synthetic *s)
{
	int r;

	loop_alarm_init(s->parts.loop, &s->desk_alarm, on_desk_alarm, s);
	r = desk_new(
		&(struct desk_config){
			.server = s->server,
			.gm = s->parts.gm,
			.clock = &host_clock,
			.pci = s->parts.pci,
			.vram = s->parts.vram,
			.vram_size = frame_size(s),
			.pc = s->parts.config->bios,
			.end = s->parts.end,
			.window_slot = s->parts.window_slot,
			.reset = on_guest_reset,
			.map = map_vram,
			.changed = on_picture,
			.leds = on_leds,
			.wake_at = wake_desk_at,
			.owner = s,
		},
		&s->desk);
	return r < 0 ? r : screen_new(s->parts.loop, s->desk, &s->screen);
}

struct desk *synthetic_desk(struct synthetic *s)
{
	return s->desk;
}

struct screen *synthetic_screen(struct synthetic *s)
{
	return s->screen;
}

/* ---- life ---- */

int synthetic_new(const struct synthetic_parts *parts, struct synthetic **ret_synthetic,
		  struct err *err)
{
	struct synthetic *s = calloc(1, sizeof *s);
	int r = s ? 0 : -ENOMEM;

	if (r == 0) {
		s->parts = *parts;
		for (unsigned k = 0; k < WORKER_MAX_IMAGES; k++)
			s->image_fd[k] =
				k < parts->config->image_count ? parts->image_fd[k] : -1;
		r = vmbus_wall_host_new(parts->loop, parts->end, &s->host);
	}
	if (r == 0)
		r = worker_make_vp_events(parts->end);
	if (r == 0)
		r = vmbus_server_new(
			&(struct vmbus_server_config){
				.gm = parts->gm,
				.vp_count = parts->config->vp_count,
				.host_ops = &vmbus_wall_host_ops,
				.host = s->host,
			},
			&s->server);
	/* Before the disks, of which more may come: channels keep their numbers. */
	if (r == 0)
		r = new_components(s);
	if (r == 0)
		r = new_balloon(s);
	if (r == 0)
		r = new_desk(s);
	if (r == 0)
		r = disks_new(
			&(struct disks_config){
				.loop = parts->loop,
				.server = s->server,
				.gm = parts->gm,
				.vp_count = parts->config->vp_count,
				.ejected = parts->ejected,
				.owner = parts->owner,
				.attach_ide = parts->attach_ide,
				.machine = parts->machine,
			},
			&s->disks);
	if (r < 0)
		err_set(err, r, "VMBus: %s", err_words(r));
	/* Last: they take their descriptors, whatever becomes of them. */
	if (r == 0)
		r = nics_new(
			&(struct nics_config){
				.loop = parts->loop,
				.server = s->server,
				.gm = parts->gm,
				.config = parts->config,
			},
			parts->nic_fd, &s->nics, err);
	if (r < 0) {
		synthetic_free(s);
		return r;
	}
	*ret_synthetic = s;
	return 0;
}

int synthetic_start(struct synthetic *s, struct err *err)
{
	const struct disk_pool_config pool = {
		.enter = s->parts.enter_thread,
		.enter_nbd = s->parts.enter_nbd_thread,
		.owner = s->parts.owner,
		.ring = true,
	};

	int r;

	/* A machine that never has disks has no threads for them. */
	if (s->parts.config->disk_count == 0 && !s->parts.config->hot_disks)
		return 0;
	r = disk_pool_new(s->parts.loop, &pool, &s->pool, err);
	disks_set_pool(s->disks, s->pool);
	return r;
}

/* ---- disks ---- */

/* Levels of one disk lie one behind the other in the list of images, leaf first. */
int synthetic_open(struct synthetic *s, struct err *err)
{
	const struct worker_config *c = s->parts.config;
	int r = 0;

	for (u32 n = 0; r == 0 && n < c->disk_count; n++)
		r = disks_add(s->disks, &c->disk[n], &c->image[c->disk[n].first_image],
			      &s->image_fd[c->disk[n].first_image], err);
	return r;
}

void synthetic_change_disk(struct synthetic *s, const struct worker_disk_order *order,
			   int *image_fd, disks_done_fn done, void *owner)
{
	disks_change(s->disks, order, image_fd, done, owner);
}

int synthetic_connect(struct synthetic *s, struct err *err)
{
	int r = desk_connect(s->desk, err);

	vmbus_wall_host_serve(s->host, s->server);
	return r < 0 ? r : worker_borrow_events(s->parts.end, s->parts.gm, err);
}

/* ---- resets and the end ---- */

void synthetic_stop(struct synthetic *s, void (*done)(void *owner), void *owner)
{
	vmbus_server_close_all(s->server, done, owner);
}

void synthetic_reset(struct synthetic *s)
{
	vmbus_server_reset(s->server);
	balloon_reset(s->balloon);
	nics_reset(s->nics);
	desk_reset(s->desk);
}

static void on_stopped(void *owner)
{
	struct synthetic *s = owner;

	disks_quiet(s->disks, s->quiet, s->quiet_owner);
}

void synthetic_quiet(struct synthetic *s, void (*done)(void *owner), void *owner)
{
	s->quiet = done;
	s->quiet_owner = owner;
	synthetic_stop(s, on_stopped, s);
}

/* ---- going on elsewhere ---- */

static void on_no_changes(void *owner)
{
	struct synthetic *s = owner;

	components_pause(s->components);
	balloon_pause(s->balloon);
	nics_pause(s->nics);
	desk_pause(s->desk);
	vmbus_server_pause(s->server, s->quiet, s->quiet_owner);
}

void synthetic_pause(struct synthetic *s, void (*done)(void *owner), void *owner)
{
	s->quiet = done;
	s->quiet_owner = owner;
	disks_quiet(s->disks, on_no_changes, s);
}

void synthetic_resume(struct synthetic *s)
{
	vmbus_server_resume(s->server);
	nics_resume(s->nics);
	components_resume(s->components);
	balloon_resume(s->balloon);
	desk_resume(s->desk);
}

int synthetic_save(const struct synthetic *s, struct state_writer *w, struct err *err)
{
	int r = vmbus_server_save(s->server, w);

	if (r == 0)
		r = disks_save(s->disks, w);
	if (r == 0)
		r = nics_save(s->nics, w);
	if (r == 0)
		components_save(s->components, w);
	if (r == 0)
		balloon_save(s->balloon, w);
	if (r == 0)
		desk_save(s->desk, w);
	if (r == 0)
		pci_bus_save(s->parts.pci, w);
	if (r == 0 && w->failed)
		r = -ENOMEM;
	return r < 0 ? err_set(err, r, "save devices: %s", err_words(r)) : 0;
}

int synthetic_restore_memory(struct synthetic *s, const u8 *bytes, size_t size,
			     struct err *err)
{
	int r = balloon_restore_memory(s->balloon, bytes, size);

	return r < 0 ? err_set(err, r, "restore memory: %s", err_words(r)) : 0;
}

int synthetic_restore(struct synthetic *s, const u8 *bytes, size_t size, struct err *err)
{
	int r;

	components_pause(s->components);
	balloon_pause(s->balloon);
	nics_pause(s->nics);
	desk_pause(s->desk);
	r = vmbus_server_restore(s->server, bytes, size);
	if (r == 0)
		r = disks_restore(s->disks, bytes, size);
	if (r == 0)
		r = nics_restore(s->nics, bytes, size);
	if (r == 0)
		r = components_restore(s->components, bytes, size);
	if (r == 0)
		r = balloon_restore(s->balloon, bytes, size);
	/* The BAR first: the guest's own choice goes over it. */
	if (r == 0)
		r = pci_bus_restore(s->parts.pci, bytes, size);
	if (r == 0)
		r = desk_restore(s->desk, bytes, size);
	return r < 0 ? err_set(err, r, "restore devices: %s", err_words(r)) : 0;
}

void synthetic_flush(struct synthetic *s)
{
	vmbus_wall_host_flush(s->host);
}

void synthetic_free(struct synthetic *s)
{
	if (!s)
		return;
	disks_free(s->disks);
	if (s->components)
		loop_alarm_set(&s->alarm, UINT64_MAX);
	components_free(s->components);
	if (s->balloon)
		loop_alarm_set(&s->balloon_alarm, UINT64_MAX);
	balloon_free(s->balloon);
	nics_free(s->nics);
	if (s->desk)
		loop_alarm_set(&s->desk_alarm, UINT64_MAX);
	screen_free(s->screen);
	desk_free(s->desk);
	vmbus_server_free(s->server);
	vmbus_wall_host_free(s->host);
	if (s->pool)
		disk_pool_free(s->pool);
	for (unsigned k = 0; k < WORKER_MAX_IMAGES; k++)
		if (s->image_fd[k] >= 0)
			close(s->image_fd[k]);
	free(s);
}

void synthetic_inspect(const struct synthetic *s, struct inspect *out)
{
	vmbus_server_inspect(s->server, out);
	components_inspect(s->components, out);
	balloon_inspect(s->balloon, out);
	desk_inspect(s->desk, out);
	screen_inspect(s->screen, out);
	disks_inspect(s->disks, out);
	nics_inspect(s->nics, out);
}
