/* SPDX-License-Identifier: Apache-2.0 */
/* The disks of a machine; see disks.h. */
#include "machine/disks.h"

#include <errno.h>
#include <stdio.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "disk/disk.h"
#include "scsi/unit.h"
#include "state/record.h"
#include "vsp/storvsp.h"

/* Instances of the SCSI controllers: the last byte counts. Guests know them by it for ever. */
static const struct guid controller_instance =
	GUID(0x7ab19e00, 0x5c51, 0x4d29, 0x8a, 0x01, 0x54, 0x61, 0x62, 0x69, 0x71, 0);

/* Those of IDE disks say which one in bytes 0 to 3 (channel) and 4, 5 (drive). */
static const struct guid ide_instance =
	GUID(0, 0, 0x8899, 0, 0, 0x54, 0x61, 0x62, 0x69, 0x71, 0);

enum place_state { FREE, OPENING, WAITING, THERE, RESIZING, CHANGING, LEAVING };

/* Time in which guests notice what they were told. */
#define TICK_NS (NS_PER_SEC / 10)
#define TICKS_A_REMINDER 10
#define TICKS_OF_PATIENCE 100
static const unsigned remind_at[] = { 5, 10, 20, 40, 80 }; /* ticks after it came */

struct place {
	struct disks *disks;
	enum place_state state;
	struct worker_disk where;
	struct worker_image image[WORKER_MAX_IMAGES];
	struct scsi_unit *unit;
	struct disk *disk; /* NULL: an empty DVD drive */
	unsigned ticks;	   /* that it waits, or is there and the guest may not know it */
	/* the change that is under way */
	struct disk_level level[WORKER_MAX_IMAGES];
	struct disk_open open;
	u32 id;
	disks_done_fn done;
	void *owner;
	struct disk *medium; /* that comes in place of disk; NULL: none */
	struct worker_image medium_image;
	struct err err; /* of an opening that failed, until the image is closed again */
};

/* The SCSI controllers, then one for each IDE disk. */
#define CONTROLLERS (WORKER_MAX_CONTROLLERS + WORKER_IDE_CHANNELS * WORKER_IDE_DRIVES)

struct disks {
	struct disks_config config;
	struct disk_pool *pool;
	struct storvsp *controller[CONTROLLERS]; /* see controller_index */
	struct place place[WORKER_MAX_DISKS];
	struct loop_alarm tick;
	void (*quiet)(void *owner);
	void *quiet_owner;
};

/* ---- places ---------------------------------------------------------------------------------- */

static struct place *find(struct disks *d, const struct worker_disk *where)
{
	for (unsigned n = 0; n < WORKER_MAX_DISKS; n++) {
		struct place *p = &d->place[n];

		if (p->state != FREE && p->where.controller == where->controller &&
		    p->where.lun == where->lun)
			return p;
	}
	return NULL;
}

static struct place *find_free(struct disks *d)
{
	for (unsigned n = 0; n < WORKER_MAX_DISKS; n++)
		if (d->place[n].state == FREE)
			return &d->place[n];
	return NULL;
}

static bool is_ide(const struct worker_disk *where)
{
	return where->controller >= WORKER_IDE;
}

/* "scsi0:3", "ide1:0"; returns buffer. */
static const char *place_words(const struct worker_disk *where, char buffer[32])
{
	snprintf(buffer, 32, "%s%u:%u", is_ide(where) ? "ide" : "scsi",
		 is_ide(where) ? where->controller - WORKER_IDE : where->controller,
		 where->lun);
	return buffer;
}

static int wrap_place(const struct worker_disk *where, struct err *err)
{
	char words[32];

	return err_wrap(err, "%s", place_words(where, words));
}

/* A place for a disk that comes: its images' descriptors are in it, ready to be opened. */
static int take_place(struct disks *d, const struct worker_disk *where,
		      const struct worker_image *image, int *image_fd,
		      struct place **ret_place, struct err *err)
{
	struct place *p = find_free(d);
	int r = 0;

	if (find(d, where))
		r = err_set(err, -EBUSY, "there is a disk already");
	else if (!p)
		r = err_set(err, -ENOSPC, "a VM can have at most %d disks",
			    WORKER_MAX_DISKS);
	if (r < 0) {
		for (u32 k = 0; k < where->level_count; k++)
			close(take_fd(&image_fd[k]));
		return wrap_place(where, err);
	}
	*p = (struct place){ .disks = d, .state = OPENING, .where = *where };
	for (u32 k = 0; k < where->level_count; k++) {
		p->image[k] = image[k];
		p->level[k] = (struct disk_level){
			.fd = take_fd(&image_fd[k]),
			.name = p->image[k].name,
			.format = (enum disk_format)image[k].format,
			.device_block = image[k].device_block,
			.nbd_export = image[k].nbd ? p->image[k].nbd_export : NULL,
		};
	}
	p->open = (struct disk_open){
		.level = p->level,
		.level_count = where->level_count,
		.read_only = where->read_only,
	};
	*ret_place = p;
	return 0;
}

/* ---- a disk comes ---------------------------------------------------------------------------- */

/*
 * An IDE disk has a controller of its own on the VMBus, by which guests that know it reach the same disk
 * (hv_storvsc; their IDE driver leaves it alone then). DVD drives stay with IDE.
 */
static u32 controller_index(const struct worker_disk *w)
{
	return is_ide(w)
		       ? WORKER_MAX_CONTROLLERS +
				 (w->controller - WORKER_IDE) * WORKER_IDE_DRIVES + w->lun
		       : w->controller;
}

static struct storvsp *controller_of(const struct place *p)
{
	return p->disks->controller[controller_index(&p->where)];
}

/* The number of the unit behind its controller. */
static u32 lun_of(const struct place *p)
{
	return is_ide(&p->where) ? 0 : p->where.lun;
}

static int controller_for(struct disks *d, const struct worker_disk *w,
			  struct storvsp **ret_storvsp)
{
	u32 n = controller_index(w);
	struct storvsp_config config = {
		.server = d->config.server,
		.gm = d->config.gm,
		.instance = controller_instance,
		/* A channel for each processor is what Linux asks for. */
		.max_sub_channels =
			(u16)min_u64(d->config.vp_count - 1, STORVSP_MAX_SUB_CHANNELS),
	};
	int r = 0;

	config.instance.bytes[15] = (u8)n;
	if (is_ide(w)) {
		config.ide = true;
		config.max_sub_channels = 0;
		config.instance = ide_instance;
		config.instance.bytes[0] = (u8)(w->controller - WORKER_IDE);
		config.instance.bytes[4] = (u8)w->lun;
	}
	if (!d->controller[n])
		r = storvsp_new(&config, &d->controller[n]);
	*ret_storvsp = d->controller[n];
	return r;
}

static void tick_soon(struct disks *d)
{
	loop_alarm_set(&d->tick, host_clock.monotonic_ns(&host_clock) + TICK_NS);
}

static void on_eject(void *owner, struct scsi_unit *unit);

static bool on_vmbus(const struct worker_disk *w)
{
	return !is_ide(w) || !w->dvd;
}

static int plug_into_ide(struct place *p, struct err *err)
{
	const struct disks_config *c = &p->disks->config;

	if (!c->attach_ide)
		return err_set(err, -ENODEV, "this machine has no IDE");
	return c->attach_ide(c->machine, p->where.controller - WORKER_IDE, p->where.lun,
			     p->unit, err);
}

/*
 * Its disk is open, or it is an empty drive: the guest may see it. -EAGAIN, without words: not
 * yet, see storvsp_attach.
 */
static int plug_in(struct place *p, struct err *err)
{
	const struct worker_disk *w = &p->where;
	const struct scsi_unit_config unit = {
		.dvd = w->dvd,
		.disk = p->disk,
		.id = { 'T', 'a', 'b', 'i', 'q', 'u', 'e', 0, (u8)w->controller,
			(u8)w->lun },
	};
	struct storvsp *storvsp;
	int r = p->unit ? 0 : scsi_unit_new(&unit, &p->unit);

	if (r == 0) {
		p->unit->on_eject = on_eject;
		p->unit->owner = p;
		if (on_vmbus(w))
			r = controller_for(p->disks, w, &storvsp);
	}
	if (r == 0 && on_vmbus(w))
		r = storvsp_attach(storvsp, lun_of(p), p->unit);
	if (r == -EAGAIN)
		return r;
	if (r < 0)
		return err_set(err, r, "%s", err_words(r));
	if (is_ide(w))
		r = plug_into_ide(p, err);
	if (r < 0)
		return r;
	p->state = THERE;
	p->ticks = 0;
	tick_soon(p->disks);
	return 0;
}

/* What became of it is gone; its disk is closed. */
static void give_back(struct place *p)
{
	scsi_unit_free(p->unit);
	p->unit = NULL;
	p->disk = NULL;
	p->state = FREE;
}

int disks_add(struct disks *d, const struct worker_disk *where,
	      const struct worker_image *image, int *image_fd, struct err *err)
{
	struct place *p;
	int r = take_place(d, where, image, image_fd, &p, err);

	if (r < 0)
		return r;
	if (where->level_count > 0)
		r = disk_open(d->pool, &p->open, &p->disk, err);
	if (r == 0) {
		r = plug_in(p, err);
		if (r < 0)
			wrap_place(where, err);
	}
	if (r < 0) {
		(void)disk_close(p->disk);
		give_back(p);
	}
	return r;
}

/* ---- changes --------------------------------------------------------------------------------- */

static void tell_quiet(struct disks *d)
{
	void (*quiet)(void *owner) = d->quiet;

	for (unsigned n = 0; n < WORKER_MAX_DISKS; n++)
		if (d->place[n].state != FREE && d->place[n].state != THERE)
			return;
	d->quiet = NULL;
	if (!quiet)
		return;
	/* Nor is the guest told anything. */
	loop_alarm_set(&d->tick, UINT64_MAX);
	quiet(d->quiet_owner);
}

/* The place has its new state. */
static void answer(struct place *p, int r, const struct err *err)
{
	bool there = p->state == THERE;
	u64 size = there && p->disk ? disk_info(p->disk)->size : 0;

	p->done(p->owner, p->id, r, there, size, err);
	tell_quiet(p->disks);
}

/* ---- what guests have not noticed yet -------------------------------------------------------- */

static void end_attach(struct place *p, int r, struct err *err);

static void give_up(struct place *p)
{
	struct err err = { 0 };

	err_set(&err, -EBUSY,
		"the guest has not noticed yet that the disk before it left");
	err_fix(&err, "try again, or take another number");
	end_attach(p, -EBUSY, &err);
}

static void try_again(struct place *p)
{
	struct err err = { 0 };
	int r = plug_in(p, &err);

	if (r != -EAGAIN)
		end_attach(p, r, &err);
	else if (++p->ticks == TICKS_OF_PATIENCE)
		give_up(p);
	else if (p->ticks % TICKS_A_REMINDER == 0)
		storvsp_rescan(controller_of(p));
}

/* The guest was told that the disk is there. True: it may have to be told again. */
static bool look_after(struct place *p)
{
	struct storvsp *storvsp = controller_of(p);
	const unsigned last = remind_at[ARRAY_COUNT(remind_at) - 1];

	if (is_ide(&p->where) || p->ticks >= last ||
	    !storvsp_overlooked(storvsp, p->where.lun))
		return false;
	p->ticks++;
	for (unsigned k = 0; k < ARRAY_COUNT(remind_at); k++)
		if (p->ticks == remind_at[k])
			storvsp_rescan(storvsp);
	return true;
}

static void on_tick(void *owner)
{
	struct disks *d = owner;
	bool more = false;

	for (unsigned n = 0; n < WORKER_MAX_DISKS; n++) {
		struct place *p = &d->place[n];

		if (p->state == WAITING)
			try_again(p);
		if (p->state == WAITING || (p->state == THERE && look_after(p)))
			more = true;
	}
	if (more)
		tick_soon(d);
}

static void on_closed_again(void *owner, int r)
{
	struct place *p = owner;

	give_back(p);
	answer(p, p->err.code, &p->err);
}

/* It is there, or it never will be. */
static void end_attach(struct place *p, int r, struct err *err)
{
	if (r < 0) {
		wrap_place(&p->where, err);
		p->state = OPENING;
	}
	if (r < 0 && p->disk) {
		p->err = *err;
		disk_close_start(p->disk, on_closed_again, p);
		return;
	}
	if (r < 0)
		give_back(p);
	answer(p, r, err);
}

static void on_opened(void *owner, int r, struct disk *disk, const struct err *why)
{
	struct place *p = owner;
	struct err err = *why;

	p->disk = disk;
	if (r == 0)
		r = plug_in(p, &err);
	if (r != -EAGAIN) {
		end_attach(p, r, &err);
		return;
	}
	p->state = WAITING;
	p->ticks = 0;
	if (p->disks->quiet)
		give_up(p);
	else
		tick_soon(p->disks);
}

static void attach(struct disks *d, const struct worker_disk_order *o, int *image_fd,
		   disks_done_fn done, void *owner)
{
	struct err err = { 0 };
	struct place *p;
	int r = take_place(d, &o->disk, o->image, image_fd, &p, &err);

	if (r < 0) {
		done(owner, o->id, r, false, 0, &err);
		return;
	}
	p->id = o->id;
	p->done = done;
	p->owner = owner;
	if (o->disk.level_count == 0) {
		on_opened(p, 0, NULL, &err);
		return;
	}
	r = disk_open_start(d->pool, &p->open, on_opened, p, &err);
	if (r < 0)
		on_opened(p, r, NULL, &err);
}

static void on_closed(void *owner, int r)
{
	struct place *p = owner;
	struct err err = { 0 };

	if (r < 0) {
		err_set(&err, r, "what was cached is not written: %s", err_words(r));
		wrap_place(&p->where, &err);
	}
	give_back(p);
	answer(p, r, &err);
}

static void on_detached(void *owner, struct scsi_unit *unit)
{
	struct place *p = owner;

	if (p->disk)
		disk_close_start(p->disk, on_closed, p);
	else
		on_closed(p, 0);
}

static void on_resized(void *owner, int r)
{
	struct place *p = owner;
	struct err err = p->unit->resize_err;

	p->state = THERE;
	if (r < 0 && err.code == 0)
		err_set(&err, r, "%s", err_words(r));
	if (r == -EINVAL)
		err_fix(&err, "give a larger size, in whole sectors");
	if (r < 0)
		wrap_place(&p->where, &err);
	/* It may have nothing to say to this disk for long: so that it looks now. */
	else
		storvsp_rescan(controller_of(p));
	answer(p, r, &err);
}

/* ---- media ----------------------------------------------------------------------------------- */

/* The medium before is closed; whose closing failed says so, the new one is there all the same. */
static void on_medium_closed(void *owner, int r)
{
	struct place *p = owner;
	struct err err = { 0 };

	p->state = THERE;
	if (r < 0) {
		err_set(&err, r, "what was cached is not written: %s", err_words(r));
		wrap_place(&p->where, &err);
	}
	answer(p, r, &err);
}

static void on_medium_changed(void *owner)
{
	struct place *p = owner;
	struct disk *old = p->disk;

	p->disk = take_ptr(p->medium);
	p->where.level_count = p->disk ? 1 : 0;
	p->image[0] = p->medium_image;
	if (old)
		disk_close_start(old, on_medium_closed, p);
	else
		on_medium_closed(p, 0);
}

static void change_medium(struct place *p, struct disk *medium)
{
	p->medium = medium;
	scsi_unit_set_medium(p->unit, medium, on_medium_changed, p);
}

static void on_medium_opened(void *owner, int r, struct disk *disk, const struct err *why)
{
	struct place *p = owner;
	struct err err = *why;

	if (r == 0) {
		change_medium(p, disk);
		return;
	}
	p->state = THERE;
	wrap_place(&p->where, &err);
	answer(p, r, &err);
}

static int start_medium(struct place *p, const struct worker_disk_order *o, int *image_fd,
			struct err *err)
{
	bool comes = o->disk.level_count > 0;
	int r = 0;

	if (!p->where.dvd) {
		r = err_set(err, -EINVAL, "only a DVD drive changes its medium");
	} else if (p->unit->tray_locked && p->unit->disk && !o->force) {
		err_set(err, -EBUSY, "the guest has locked the drive");
		r = err_fix(err, "unmount the disc in the guest, or use --force");
	}
	if (r < 0)
		return r;
	p->state = CHANGING;
	p->medium_image = o->image[0];
	if (!comes) {
		change_medium(p, NULL);
		return 0;
	}
	p->level[0] = (struct disk_level){
		.fd = take_fd(image_fd),
		.name = p->medium_image.name,
		.format = (enum disk_format)p->medium_image.format,
		.device_block = p->medium_image.device_block,
	};
	p->open = (struct disk_open){ .level = p->level,
				      .level_count = 1,
				      .read_only = true };
	r = disk_open_start(p->disks->pool, &p->open, on_medium_opened, p, err);
	if (r < 0)
		p->state = THERE;
	return r;
}

static void on_ejected(void *owner, int r)
{
	struct place *p = owner;
	const struct disks_config *config = &p->disks->config;

	p->state = THERE;
	if (config->ejected)
		config->ejected(config->owner, p->where.controller, p->where.lun);
	tell_quiet(p->disks);
}

/* The guest has: its medium is free again. Where a change is under way, that closes it. */
static void on_eject(void *owner, struct scsi_unit *unit)
{
	struct place *p = owner;

	if (p->state != THERE || !p->disk)
		return;
	p->state = CHANGING;
	p->where.level_count = 0;
	disk_close_start(take_ptr(p->disk), on_ejected, p);
}

static int new_size(const struct place *p, const struct worker_disk_order *o,
		    u64 *ret_size, struct err *err)
{
	if (!p->disk || p->where.dvd)
		return err_set(err, -EINVAL, "a DVD drive has no size to change");
	if (p->where.read_only && o->size > 0)
		return err_set(err, -EROFS, "the disk is read-only");
	*ret_size = o->size;
	if (o->grow && !add_u64(disk_info(p->disk)->size, o->size, ret_size))
		return err_set(err, -EINVAL, "so large a disk cannot be");
	return 0;
}

static int resize(struct place *p, const struct worker_disk_order *o, struct err *err)
{
	u64 size = 0;
	int r = new_size(p, o, &size, err);

	if (r < 0)
		return r;
	p->state = RESIZING;
	r = scsi_unit_resize(p->unit, size, on_resized, p);
	if (r < 0) {
		p->state = THERE;
		err_set(err, r, "%s", err_words(r));
	}
	return r;
}

static int detach(struct place *p, struct err *err)
{
	struct storvsp *storvsp = controller_of(p);
	int r;

	if (is_ide(&p->where))
		return err_set(err, -EOPNOTSUPP, "IDE drives stay in the machine");
	p->state = LEAVING;
	r = storvsp_detach(storvsp, p->where.lun, on_detached, p);
	if (r < 0) {
		p->state = THERE;
		err_set(err, r, "%s", err_words(r));
	}
	return r;
}

void disks_change(struct disks *d, const struct worker_disk_order *o, int *image_fd,
		  disks_done_fn done, void *owner)
{
	struct place *p = find(d, &o->disk);
	struct err err = { 0 };
	int r;

	if (o->op == WORKER_DISK_ATTACH) {
		attach(d, o, image_fd, done, owner);
		return;
	}
	if (!p) {
		r = err_set(&err, -ENOENT, "there is no disk");
	} else if (p->state != THERE) {
		err_set(&err, -EBUSY, "the disk is being changed already");
		r = err_fix(&err, "try again in a moment");
	} else {
		p->id = o->id;
		p->done = done;
		p->owner = owner;
		r = o->op == WORKER_DISK_MEDIUM	  ? start_medium(p, o, image_fd, &err)
		    : o->op == WORKER_DISK_DETACH ? detach(p, &err)
						  : resize(p, o, &err);
	}
	if (r < 0) {
		for (u32 k = 0; k < o->disk.level_count; k++)
			if (image_fd[k] >= 0)
				close(take_fd(&image_fd[k]));
		wrap_place(&o->disk, &err);
		done(owner, o->id, r, p != NULL, 0, &err);
	}
}

void disks_quiet(struct disks *d, void (*done)(void *owner), void *owner)
{
	d->quiet = done;
	d->quiet_owner = owner;
	for (unsigned n = 0; n < WORKER_MAX_DISKS; n++)
		if (d->place[n].state == WAITING)
			give_up(&d->place[n]);
	if (d->quiet)
		tell_quiet(d);
}

/* ---- state ----------------------------------------------------------------------------------- */

/* In saved state; never changes. */
static u32 unit_place(const struct place *p)
{
	return p->where.controller << 8 | p->where.lun;
}

/*
 * A record "medium" for each DVD drive: what the guest's medium is called, since it may have come after
 * the start. Nothing: the drive is empty.
 */
enum { MEDIUM_PLACE = 1, MEDIUM_NAME };

static int save_medium(const struct place *p, struct state_writer *w)
{
	const char *name = p->disk ? p->image[0].name : "";

	state_begin(w, "medium", 1);
	state_number(w, MEDIUM_PLACE, unit_place(p));
	state_bytes(w, MEDIUM_NAME, name, strnlen(name, WORKER_NAME_SIZE - 1));
	state_end(w);
	return w->failed ? -ENOMEM : 0;
}

/* One record: whose, and the name; false: it is of another place. */
static bool is_medium_of(struct state_record record, u32 place,
			 char ret_name[WORKER_NAME_SIZE])
{
	struct state_field f;
	bool ours = false;

	ret_name[0] = '\0';
	while (state_next_field(&record, &f) == 1) {
		if (f.id == MEDIUM_PLACE)
			ours = f.number == place;
		if (f.id == MEDIUM_NAME && f.size < WORKER_NAME_SIZE) {
			memcpy(ret_name, f.bytes, f.size);
			ret_name[f.size] = '\0';
		}
	}
	return ours;
}

int disks_saved_medium(const u8 *bytes, size_t size, u32 controller, u32 lun,
		       char ret_name[WORKER_NAME_SIZE])
{
	struct state_record record;
	int r;

	while ((r = state_next_record(&bytes, &size, &record)) == 1)
		if (strcmp(record.name, "medium") == 0 &&
		    is_medium_of(record, controller << 8 | lun, ret_name))
			return 0;
	return r < 0 ? r : -ENOENT;
}

/*
 * The unit has its state. What lies in the drive here is what the guest knows, or it hears of another one;
 * where the guest has ejected, what was put in again is closed.
 */
static int restore_medium(struct place *p, const u8 *bytes, size_t size)
{
	char name[WORKER_NAME_SIZE];
	int r = disks_saved_medium(bytes, size, p->where.controller, p->where.lun, name);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (p->unit->disk) {
		if (strcmp(name, p->image[0].name) != 0)
			scsi_unit_other_medium(p->unit);
		return 0;
	}
	p->where.level_count = 0;
	return disk_close(take_ptr(p->disk));
}

static int restore_unit(struct place *p, const u8 *bytes, size_t size)
{
	int r = scsi_unit_restore(p->unit, unit_place(p), bytes, size);

	return r == 0 && p->where.dvd ? restore_medium(p, bytes, size) : r;
}

int disks_save(const struct disks *d, struct state_writer *w)
{
	int r = 0;

	for (unsigned n = 0; r == 0 && n < CONTROLLERS; n++)
		if (d->controller[n])
			r = storvsp_save(d->controller[n], w);
	for (unsigned n = 0; r == 0 && n < WORKER_MAX_DISKS; n++) {
		const struct place *p = &d->place[n];

		if (p->state == THERE)
			r = scsi_unit_save(p->unit, unit_place(p), w);
		if (r == 0 && p->state == THERE && p->where.dvd)
			r = save_medium(p, w);
	}
	return r;
}

int disks_restore(struct disks *d, const u8 *bytes, size_t size)
{
	int r = 0;

	for (unsigned n = 0; r == 0 && n < CONTROLLERS; n++)
		if (d->controller[n])
			r = storvsp_restore(d->controller[n], bytes, size);
	for (unsigned n = 0; r == 0 && n < WORKER_MAX_DISKS; n++)
		if (d->place[n].state == THERE)
			r = restore_unit(&d->place[n], bytes, size);
	return r;
}

/* ---- life ------------------------------------------------------------------------------------ */

int disks_new(const struct disks_config *config, struct disks **ret_disks)
{
	struct disks *d = calloc(1, sizeof *d);

	if (!d)
		return -ENOMEM;
	d->config = *config;
	loop_alarm_init(config->loop, &d->tick, on_tick, d);
	*ret_disks = d;
	return 0;
}

void disks_set_pool(struct disks *d, struct disk_pool *pool)
{
	d->pool = pool;
}

void disks_free(struct disks *d)
{
	if (!d)
		return;
	loop_alarm_set(&d->tick, UINT64_MAX);
	for (unsigned n = 0; n < WORKER_MAX_DISKS; n++) {
		struct place *p = &d->place[n];
		int r = p->disk ? disk_close(p->disk) : 0;
		char words[32];

		if (r < 0)
			log_error("disk %s: what was cached is not written: %s",
				  place_words(&p->where, words), err_words(r));
		scsi_unit_free(p->unit);
	}
	for (unsigned n = 0; n < CONTROLLERS; n++)
		storvsp_free(d->controller[n]);
	free(d);
}

void disks_inspect(const struct disks *d, struct inspect *out)
{
	static const char *const states[] = { "free",	  "opening",  "waiting", "there",
					      "resizing", "changing", "leaving" };
	char name[64], words[32];

	for (unsigned n = 0; n < CONTROLLERS; n++) {
		if (n < WORKER_MAX_CONTROLLERS)
			snprintf(name, sizeof name, "scsi.%u", n);
		else
			snprintf(name, sizeof name, "scsi.ide%u:%u",
				 (n - WORKER_MAX_CONTROLLERS) / WORKER_IDE_DRIVES,
				 (n - WORKER_MAX_CONTROLLERS) % WORKER_IDE_DRIVES);
		if (d->controller[n])
			storvsp_inspect(d->controller[n], name, out);
	}
	for (unsigned n = 0; n < WORKER_MAX_DISKS; n++) {
		const struct place *p = &d->place[n];

		if (p->state == FREE)
			continue;
		snprintf(name, sizeof name, "disks.%s", place_words(&p->where, words));
		inspect_words(out, name, "state", "%s", states[p->state]);
		inspect_words(out, name, "image", "%s",
			      p->where.level_count > 0 ? p->image[0].name : "");
	}
}
