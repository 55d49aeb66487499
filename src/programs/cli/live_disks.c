/* SPDX-License-Identifier: Apache-2.0 */
/* The disks of a VM that runs; see live_disks.h. */
#include "programs/cli/live_disks.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "base/ipc.h"
#include "base/log.h"

enum live_state { NONE, WAITS, OPENS, ASKED, THERE };

struct live_disk {
	enum live_state state;
	u32 controller, lun;
	struct run_disk disk;
	/* a change that is under way */
	u32 id;
	u32 op; /* enum worker_disk_op */
	bool passthrough;
	struct run_disk medium; /* that comes; path "": none */
	bool force;
	live_disks_fn done;
	void *owner;
};

/* What the thread works on; it alone while it runs. */
struct opening {
	pthread_t thread;
	int event;
	struct run_disk disk;
	bool passthrough;
	struct disk_images images;
	struct err err;
	int r;
};

struct live_disks {
	struct loop *loop;
	int socket;
	u32 last_id;
	struct live_disk place[WORKER_MAX_DISKS];
	struct opening *opening; /* of the place that OPENS */
	struct loop_watch *watch;
};

static const struct run_disk empty_drive = { .dvd = true,
					     .read_only = true,
					     .format = DISK_ISO };

/* ---- places ---------------------------------------------------------------------------------- */

static struct live_disk *find(const struct live_disks *d, u32 controller, u32 lun)
{
	for (unsigned n = 0; n < WORKER_MAX_DISKS; n++) {
		const struct live_disk *p = &d->place[n];

		if (p->state != NONE && p->controller == controller && p->lun == lun)
			return (struct live_disk *)(uintptr_t)p;
	}
	return NULL;
}

static struct live_disk *find_state(struct live_disks *d, enum live_state state)
{
	for (unsigned n = 0; n < WORKER_MAX_DISKS; n++)
		if (d->place[n].state == state)
			return &d->place[n];
	return NULL;
}

static json_t *show(const struct live_disk *p)
{
	static const char *const states[] = { "", "waits", "opens", "changes", "there" };
	enum disk_format format = p->disk.format >= 0 ? (enum disk_format)p->disk.format
						      : disk_format_of_name(p->disk.path);
	char id[32];

	snprintf(id, sizeof id, "scsi%u:%u", p->controller, p->lun);
	return json_pack("{s:s, s:s, s:s, s:s, s:b, s:s}", "id", id, "kind",
			 p->disk.dvd ? "dvd" : "disk", "file", p->disk.path, "format",
			 disk_format_name(format), "read_only", p->disk.read_only,
			 "state", states[p->state]);
}

json_t *live_disks_show(const struct live_disks *d, u32 controller, u32 lun)
{
	const struct live_disk *p = find(d, controller, lun);

	return p ? show(p) : NULL;
}

json_t *live_disks_list(const struct live_disks *d)
{
	json_t *list = json_array();

	for (u32 controller = 0; controller < WORKER_MAX_CONTROLLERS; controller++) {
		for (u32 lun = 0; lun < WORKER_MAX_LUNS; lun++) {
			const struct live_disk *p = find(d, controller, lun);

			if (p)
				json_array_append_new(list, show(p));
		}
	}
	return list;
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void start_opening(struct live_disks *d);

/* The change is over; the place has its new state. size: where the worker said it. */
static void succeed(struct live_disk *p, u64 size)
{
	if (p->op == WORKER_DISK_MEDIUM)
		p->disk = p->medium;
	json_t *metadata = show(p);

	if (p->op != WORKER_DISK_DETACH)
		json_object_set_new(metadata, "size", json_integer((json_int_t)size));
	else
		p->state = NONE;
	p->done(p->owner, metadata, NULL);
}

static bool was_there(const struct live_disk *p)
{
	return p->op != WORKER_DISK_ATTACH;
}

static void fail(struct live_disk *p, bool there, const struct err *err)
{
	p->state = there ? THERE : NONE;
	p->done(p->owner, NULL, err);
}

/* ---- the worker ------------------------------------------------------------------------------ */

static void ask(struct live_disks *d, struct live_disk *p,
		struct worker_disk_order *order, const int *fd)
{
	struct err err = { 0 };
	int r;

	p->state = ASKED;
	p->id = ++d->last_id;
	order->kind = OWNER_DISK;
	order->op = p->op;
	order->id = p->id;
	order->disk.controller = p->controller;
	order->disk.lun = p->lun;
	r = ipc_send(d->socket, order, sizeof *order, fd, order->disk.level_count);
	if (r == 0)
		return;
	err_set(&err, -EBUSY, "the worker process takes no order: %s", err_words(r));
	err_fix(&err, "look what it does: tabique vm inspect");
	fail(p, was_there(p), &err);
}

void live_disks_hear(struct live_disks *d, const struct owner_message *m)
{
	struct err err = { .code = m->u.disk_done.code };

	for (unsigned n = 0; n < WORKER_MAX_DISKS; n++) {
		struct live_disk *p = &d->place[n];

		if (p->state != ASKED || p->id != m->u.disk_done.id)
			continue;
		if (err.code < 0) {
			memcpy(err.text, m->u.disk_done.text, sizeof err.text);
			memcpy(err.fix, m->u.disk_done.fix, sizeof err.fix);
			err.text[sizeof err.text - 1] = '\0';
			err.fix[sizeof err.fix - 1] = '\0';
			fail(p, m->u.disk_done.there, &err);
			return;
		}
		p->state = THERE;
		succeed(p, m->u.disk_done.size);
		return;
	}
	log_warn("the worker speaks of a disk that it was not asked about");
}

void live_disks_hear_ejected(struct live_disks *d, const struct owner_message *m)
{
	struct live_disk *p = find(d, m->u.ejected.controller, m->u.ejected.lun);

	if (p && p->disk.dvd)
		p->disk = empty_drive;
	else
		log_warn("the worker speaks of a drive that there is not");
}

/* ---- images: a thread, one at a time --------------------------------------------------------- */

static void *open_images(void *arg)
{
	struct opening *o = arg;
	bool not_found;

	o->r = run_disk_open(&o->disk, &o->images, &not_found, &o->err);
	if (o->r == 0 && o->passthrough && o->images.image[0].device_block == 0) {
		err_set(&o->err, -EINVAL, "'%s' is no block device", o->disk.path);
		o->r = err_fix(&o->err, "leave --passthrough out: it is an image");
	}
	ipc_event_ring(o->event);
	return NULL;
}

static void opening_free(struct opening *o)
{
	disk_images_close(&o->images);
	if (o->event >= 0)
		close(o->event);
	free(o);
}

static void on_opened(void *owner, unsigned events)
{
	struct live_disks *d = owner;
	struct opening *o = take_ptr(d->opening);
	struct live_disk *p = find_state(d, OPENS);
	AUTO_FREE struct worker_disk_order *order = calloc(1, sizeof *order);

	loop_watch_remove(d->watch);
	d->watch = NULL;
	pthread_join(o->thread, NULL);
	if (o->r == 0 && !order)
		o->r = err_set(&o->err, -ENOMEM, "%s", err_words(-ENOMEM));
	if (o->r < 0) {
		fail(p, was_there(p), &o->err);
	} else {
		order->disk.dvd = p->disk.dvd;
		order->disk.read_only = p->disk.read_only;
		order->force = p->force;
		order->disk.level_count = o->images.count;
		memcpy(order->image, o->images.image, sizeof order->image);
		ask(d, p, order, o->images.fd);
	}
	opening_free(o);
	start_opening(d);
}

/* The next that waits, if none is being opened. */
static void start_opening(struct live_disks *d)
{
	struct live_disk *p = find_state(d, WAITS);
	struct err err = { 0 };
	struct opening *o;
	int r;

	if (!p || d->opening)
		return;
	o = calloc(1, sizeof *o);
	r = o ? 0 : -ENOMEM;
	if (r == 0) {
		o->disk = was_there(p) ? p->medium : p->disk;
		o->passthrough = p->passthrough;
		o->event = ipc_event_new();
		r = o->event < 0 ? o->event : 0;
	}
	if (r == 0)
		r = loop_watch_add(d->loop, o->event, LOOP_READ, on_opened, d, &d->watch);
	if (r == 0) {
		r = -pthread_create(&o->thread, NULL, open_images, o);
		if (r < 0) {
			loop_watch_remove(d->watch);
			d->watch = NULL;
		}
	}
	if (r == 0) {
		p->state = OPENS;
		d->opening = o;
		return;
	}
	if (o)
		opening_free(o);
	err_set(&err, r, "disk '%s': %s", p->disk.path, err_words(r));
	fail(p, was_there(p), &err);
}

/* ---- changes --------------------------------------------------------------------------------- */

static void refuse(live_disks_fn done, void *owner, int code, const char *text,
		   const char *fix)
{
	struct err err = { 0 };

	err_set(&err, code, "%s", text);
	err_fix(&err, "%s", fix);
	done(owner, NULL, &err);
}

/* The first unit that is free, of the controller that was named or of any. */
static bool choose(const struct live_disks *d, const struct live_attach *a,
		   u32 *ret_controller, u32 *ret_lun)
{
	u32 c = a->controller >= 0 ? (u32)a->controller : 0;

	for (; c < WORKER_MAX_CONTROLLERS; c++) {
		for (u32 lun = a->lun >= 0 ? (u32)a->lun : 0; lun < WORKER_MAX_LUNS;
		     lun++) {
			if (!find(d, c, lun)) {
				*ret_controller = c;
				*ret_lun = lun;
				return true;
			}
			if (a->lun >= 0)
				break;
		}
		if (a->controller >= 0 || a->lun >= 0)
			break;
	}
	return false;
}

void live_disks_attach(struct live_disks *d, const struct live_attach *a,
		       live_disks_fn done, void *owner)
{
	struct live_disk *p = find_state(d, NONE);
	u32 controller, lun;

	if (!p) {
		refuse(done, owner, -ENOSPC, "the VM has as many disks as it can have",
		       "detach one");
		return;
	}
	if (!choose(d, a, &controller, &lun)) {
		refuse(done, owner, -EBUSY, "there is a disk at that place already",
		       "take another --lun, or leave --lun out");
		return;
	}
	*p = (struct live_disk){
		.state = WAITS,
		.controller = controller,
		.lun = lun,
		.disk = a->disk,
		.op = WORKER_DISK_ATTACH,
		.passthrough = a->passthrough,
		.done = done,
		.owner = owner,
	};
	start_opening(d);
}

/* A disk that is there, for one more change. */
static struct live_disk *take(struct live_disks *d, u32 controller, u32 lun, u32 op,
			      live_disks_fn done, void *owner)
{
	struct live_disk *p = find(d, controller, lun);

	if (!p) {
		refuse(done, owner, -ENOENT, "there is no disk at that place",
		       "see which there are: tabique vm show");
		return NULL;
	}
	if (p->state != THERE) {
		refuse(done, owner, -EBUSY, "the disk is being changed already",
		       "try again when that is done");
		return NULL;
	}
	p->op = op;
	p->done = done;
	p->owner = owner;
	return p;
}

void live_disks_detach(struct live_disks *d, u32 controller, u32 lun, live_disks_fn done,
		       void *owner)
{
	static struct worker_disk_order order;
	struct live_disk *p = take(d, controller, lun, WORKER_DISK_DETACH, done, owner);

	order = (struct worker_disk_order){ 0 };
	if (p)
		ask(d, p, &order, NULL);
}

void live_disks_resize(struct live_disks *d, u32 controller, u32 lun, u64 size, bool grow,
		       live_disks_fn done, void *owner)
{
	static struct worker_disk_order order;
	struct live_disk *p = take(d, controller, lun, WORKER_DISK_RESIZE, done, owner);

	order = (struct worker_disk_order){ .size = size, .grow = grow };
	if (p)
		ask(d, p, &order, NULL);
}

void live_disks_set_medium(struct live_disks *d, u32 controller, u32 lun,
			   const char *path, bool force, live_disks_fn done, void *owner)
{
	static struct worker_disk_order order;
	struct live_disk *p = find(d, controller, lun);

	if (p && !p->disk.dvd) {
		refuse(done, owner, -EINVAL, "only a DVD drive changes its medium",
		       "detach the disk, and attach another one");
		return;
	}
	p = take(d, controller, lun, WORKER_DISK_MEDIUM, done, owner);
	if (!p)
		return;
	p->force = force;
	p->medium = empty_drive;
	if (path) {
		snprintf(p->medium.path, sizeof p->medium.path, "%s", path);
		p->state = WAITS;
		start_opening(d);
		return;
	}
	order = (struct worker_disk_order){ .force = force };
	ask(d, p, &order, NULL);
}

/* ---- life ------------------------------------------------------------------------------------ */

int live_disks_new(struct loop *loop, int worker_socket, const struct run_disks *initial,
		   struct live_disks **ret_disks)
{
	struct live_disks *d = calloc(1, sizeof *d);

	if (!d)
		return -ENOMEM;
	d->loop = loop;
	d->socket = worker_socket;
	for (unsigned n = 0; n < initial->count; n++)
		d->place[n] = (struct live_disk){
			.state = THERE,
			.controller = n / WORKER_MAX_LUNS,
			.lun = n % WORKER_MAX_LUNS,
			.disk = initial->disk[n],
		};
	*ret_disks = d;
	return 0;
}

void live_disks_free(struct live_disks *d)
{
	if (!d)
		return;
	loop_watch_remove(d->watch);
	/* Its storage may never answer: it ends with the process, and what it works on stays. */
	if (d->opening)
		pthread_detach(d->opening->thread);
	free(d);
}
