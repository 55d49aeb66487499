/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between the worker and its owner; see owner.h. wall/wall.h has the layouts. */
#include "programs/worker/owner.h"

#include <errno.h>
#include <stdio.h>

#include "base/ipc.h"
#include "base/log.h"
#include "vsp/balloon/balloon.h"
#include "wall/guest_memory.h"

#define ORDER_FDS \
	(WORKER_FD_COUNT + WORKER_MAX_MODULES + WORKER_MAX_IMAGES + WORKER_MAX_NICS)
_Static_assert(ORDER_FDS <= IPC_MAX_FDS, "one message brings them all");
/* A worker cannot run without any of its fixed descriptors. */
#define FDS_NEEDED (BIT(WORKER_FD_COUNT) - 1)

static bool terminated(const char *text, size_t size)
{
	return memchr(text, 0, size) != NULL;
}

static bool page_multiple(u64 size)
{
	return size % WALL_PAGE_SIZE == 0;
}

static bool image_is_good(const struct worker_image *image)
{
	return terminated(image->name, sizeof image->name) &&
	       terminated(image->nbd_export, sizeof image->nbd_export) &&
	       image->format < DISK_FORMATS;
}

static bool place_is_good(const struct worker_config *c, const struct worker_disk *d)
{
	if (d->controller < WORKER_MAX_CONTROLLERS)
		return d->lun < WORKER_MAX_LUNS;
	return c->bios && d->controller < WORKER_IDE + WORKER_IDE_CHANNELS &&
	       d->lun < WORKER_IDE_DRIVES;
}

/* Each image belongs to one disk, in their order. */
static bool disks_are_good(const struct worker_config *c)
{
	u32 images = 0;

	if (c->disk_count > WORKER_MAX_DISKS || c->image_count > WORKER_MAX_IMAGES)
		return false;
	for (u32 i = 0; i < c->disk_count; i++) {
		const struct worker_disk *d = &c->disk[i];

		if (!place_is_good(c, d) || d->first_image != images ||
		    d->level_count > c->image_count - images ||
		    (d->level_count == 0 && !d->dvd))
			return false;
		images += d->level_count;
	}
	for (u32 i = 0; i < c->image_count; i++)
		if (!image_is_good(&c->image[i]))
			return false;
	return images == c->image_count;
}

static bool nics_are_good(const struct worker_config *c, unsigned *ret_plugged)
{
	*ret_plugged = 0;
	if (c->nic_count > WORKER_MAX_NICS)
		return false;
	for (u32 i = 0; i < c->nic_count; i++) {
		const struct worker_nic *n = &c->nic[i];

		if (n->port > WORKER_NIC_SOCKET || n->mac[0] & 1 || n->mtu < 576 ||
		    n->mtu > 9000)
			return false;
		*ret_plugged += n->port != WORKER_NIC_UNPLUGGED;
	}
	return true;
}

/* The owner is trusted, but a worker of another build would be worse than none. */
static const char *wrong_with(const struct worker_config *c, unsigned *ret_fds)
{
	unsigned plugged;

	if (c->kind != OWNER_WORKER_CONFIG || c->version != WALL_VERSION)
		return "version";
	if (c->vp_count == 0 || c->vp_count > WALL_MAX_VPS)
		return "number of processors";
	if (c->ram_size == 0 || !page_multiple(c->ram_size) ||
	    c->ram_size > BIT64(WALL_GPA_BITS) - GM_HIGH_BASE ||
	    c->ram_start > c->ram_size || !page_multiple(c->ram_start) ||
	    !page_multiple(c->vram_size) || !page_multiple(c->rom_size))
		return "size of memory";
	if ((c->fd_mask & FDS_NEEDED) != FDS_NEEDED || c->fd_mask & ~FDS_NEEDED)
		return "descriptors";
	if (c->module_count > WORKER_MAX_MODULES)
		return "number of modules";
	if (!terminated(c->kernel_name, sizeof c->kernel_name) ||
	    !terminated(c->cmdline, sizeof c->cmdline))
		return "kernel";
	for (u32 i = 0; i < c->module_count; i++)
		if (!terminated(c->module[i].name, sizeof c->module[i].name) ||
		    !terminated(c->module[i].args, sizeof c->module[i].args))
			return "module";
	if (!disks_are_good(c))
		return "disks";
	if (!nics_are_good(c, &plugged))
		return "network adapters";
	*ret_fds = WORKER_FD_COUNT + c->module_count + c->image_count + plugged;
	return NULL;
}

int owner_receive_order(int owner, struct start_order *ret_order, struct err *err)
{
	struct worker_config *config = &ret_order->config;
	int fds[ORDER_FDS];
	unsigned count = 0, wanted = 0, next = WORKER_FD_COUNT;
	const char *wrong;
	size_t size = 0;
	int r = ipc_receive(owner, config, sizeof *config, &size, fds, ORDER_FDS, &count);

	if (r < 0)
		return err_set(err, r, "start order: %s", err_words(r));
	wrong = size == sizeof *config ? wrong_with(config, &wanted) : "size";
	if (!wrong && count != wanted)
		wrong = "descriptors";
	if (wrong) {
		for (unsigned i = 0; i < count; i++)
			close(fds[i]);
		err_set(err, -EPROTO, "start order: wrong %s", wrong);
		return err_fix(err, "use programs of one version together");
	}
	memcpy(ret_order->fd, fds, sizeof ret_order->fd);
	for (u32 i = 0; i < config->module_count; i++)
		ret_order->module_fd[i] = fds[next++];
	for (u32 i = 0; i < config->image_count; i++)
		ret_order->image_fd[i] = fds[next++];
	for (u32 i = 0; i < config->nic_count; i++)
		ret_order->nic_fd[i] =
			config->nic[i].port == WORKER_NIC_UNPLUGGED ? -1 : fds[next++];
	return 0;
}

static bool order_is_good(const struct worker_disk_order *o, size_t size,
			  unsigned fd_count)
{
	const struct worker_disk *d = &o->disk;

	if (size != sizeof *o || o->op > WORKER_DISK_MEDIUM ||
	    d->controller >= WORKER_MAX_CONTROLLERS || d->lun >= WORKER_MAX_LUNS ||
	    d->level_count != fd_count || d->first_image != 0)
		return false;
	if (o->op == WORKER_DISK_DETACH || o->op == WORKER_DISK_RESIZE)
		return d->level_count == 0;
	for (u32 k = 0; k < d->level_count; k++)
		if (!image_is_good(&o->image[k]))
			return false;
	return o->op == WORKER_DISK_MEDIUM ? d->level_count <= 1
					   : d->level_count > 0 || d->dvd;
}

static bool guest_order_is_good(const struct worker_guest_order *o, size_t size,
				unsigned fd_count)
{
	return size == sizeof *o && o->op < WORKER_GUEST_OPS &&
	       fd_count == (o->op == WORKER_GUEST_COPY || o->op == WORKER_GUEST_PICTURE ||
			    o->op == WORKER_GUEST_SCREEN) &&
	       terminated(o->name, sizeof o->name) &&
	       terminated(o->text, sizeof o->text) &&
	       terminated(o->ip.address, sizeof o->ip.address) &&
	       terminated(o->ip.mask, sizeof o->ip.mask) &&
	       terminated(o->ip.gateway, sizeof o->ip.gateway) &&
	       terminated(o->ip.dns, sizeof o->ip.dns);
}

int owner_receive_news(int owner, union owner_news *ret_news,
		       int ret_fd[WORKER_MAX_IMAGES])
{
	unsigned count = 0;
	size_t size = 0;
	bool good;
	int r;

	memset(ret_fd, -1, WORKER_MAX_IMAGES * sizeof *ret_fd);
	r = ipc_receive(owner, ret_news, sizeof *ret_news, &size, ret_fd,
			WORKER_MAX_IMAGES, &count);
	if (r < 0)
		return r == -EMSGSIZE ? -EPROTO : r;
	good = size >= sizeof ret_news->message.kind &&
	       (ret_news->message.kind == OWNER_DISK
			? order_is_good(&ret_news->disk, size, count)
		: ret_news->message.kind == OWNER_GUEST
			? guest_order_is_good(&ret_news->guest, size, count)
			: size == sizeof ret_news->message && count == 0);
	if (good)
		return 0;
	for (unsigned k = 0; k < count; k++)
		close(take_fd(&ret_fd[k]));
	return -EPROTO;
}

static void say(int owner, const struct owner_message *message)
{
	int r = ipc_send(owner, message, sizeof *message, NULL, 0);

	if (r < 0 && r != -EPIPE)
		log_warn("message %u to the owner is lost: %s", message->kind,
			 err_words(r));
}

void owner_say(int owner, enum owner_kind kind, const char *text)
{
	struct owner_message message = { .kind = kind };

	message.size =
		(u32)snprintf(message.u.text, sizeof message.u.text, "%s", text) + 1;
	if (message.size > sizeof message.u.text)
		message.size = sizeof message.u.text;
	say(owner, &message);
}

void owner_say_failed(int owner, const struct err *err)
{
	struct owner_message message = { .kind = OWNER_FAILED,
					 .size = sizeof message.u.failed };

	message.u.failed.code = err->code;
	memcpy(message.u.failed.text, err->text, sizeof message.u.failed.text);
	memcpy(message.u.failed.fix, err->fix, sizeof message.u.failed.fix);
	say(owner, &message);
}

void owner_say_disk(int owner, u32 id, int r, bool there, u64 size, const struct err *err)
{
	struct owner_message message = { .kind = OWNER_DISK_DONE,
					 .size = sizeof message.u.disk_done };

	message.u.disk_done.id = id;
	message.u.disk_done.code = r;
	message.u.disk_done.there = there;
	message.u.disk_done.size = size;
	if (r < 0) {
		memcpy(message.u.disk_done.text, err->text,
		       sizeof message.u.disk_done.text);
		memcpy(message.u.disk_done.fix, err->fix, sizeof message.u.disk_done.fix);
	}
	say(owner, &message);
}

void owner_say_guest(int owner, u32 id, int r, const struct err *err)
{
	struct owner_message message = { .kind = OWNER_GUEST_DONE,
					 .size = sizeof message.u.guest_done };

	message.u.guest_done.id = id;
	message.u.guest_done.code = r;
	if (r < 0) {
		memcpy(message.u.guest_done.text, err->text,
		       sizeof message.u.guest_done.text);
		memcpy(message.u.guest_done.fix, err->fix,
		       sizeof message.u.guest_done.fix);
	}
	say(owner, &message);
}

void owner_say_ejected(int owner, u32 controller, u32 lun)
{
	struct owner_message message = { .kind = OWNER_DISK_EJECTED,
					 .size = sizeof message.u.ejected };

	message.u.ejected.controller = controller;
	message.u.ejected.lun = lun;
	say(owner, &message);
}

void owner_say_pair(int owner, u32 id, u32 pool, const char *key, const char *value)
{
	struct owner_message message = { .kind = OWNER_GUEST_PAIR,
					 .size = sizeof message.u.guest_pair };

	message.u.guest_pair.id = id;
	message.u.guest_pair.pool = pool;
	snprintf(message.u.guest_pair.key, sizeof message.u.guest_pair.key, "%s", key);
	snprintf(message.u.guest_pair.value, sizeof message.u.guest_pair.value, "%s",
		 value);
	say(owner, &message);
}

void owner_say_memory(int owner, const struct balloon_figures *f)
{
	struct owner_message message = { .kind = OWNER_MEMORY,
					 .size = sizeof message.u.memory };

	message.u.memory.assigned = f->assigned;
	message.u.memory.demand = f->demand;
	message.u.memory.target = f->target;
	message.u.memory.min = f->limits.min;
	message.u.memory.max = f->limits.max;
	message.u.memory.buffer = f->limits.buffer;
	message.u.memory.weight = f->limits.weight;
	message.u.memory.dynamic = f->dynamic;
	snprintf(message.u.memory.status, sizeof message.u.memory.status, "%s",
		 f->status);
	say(owner, &message);
}
