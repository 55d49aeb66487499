/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's VMBus and its devices; see synthetic.h. */
#include "machine/synthetic.h"

#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "disk/disk.h"
#include "scsi/unit.h"
#include "vmbus/wall_host.h"
#include "vsp/storvsp.h"
#include "wall/worker_config.h"

/* Instances of the SCSI controllers: the last byte counts. Guests know them by it for ever. */
static const struct guid controller_instance =
	GUID(0x7ab19e00, 0x5c51, 0x4d29, 0x8a, 0x01, 0x54, 0x61, 0x62, 0x69, 0x71, 0);

struct synthetic {
	struct synthetic_parts parts;
	struct vmbus_wall_host *host;
	struct vmbus_server *server;
	struct disk_pool *pool;
	struct storvsp *controller[WORKER_MAX_CONTROLLERS];
	struct scsi_unit *unit[WORKER_MAX_DISKS];
	struct disk *disk[WORKER_MAX_DISKS]; /* NULL: an empty DVD drive */
	int image_fd[WORKER_MAX_IMAGES];     /* -1: a disk's */
};

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
		r = vmbus_server_new(
			&(struct vmbus_server_config){
				.gm = parts->gm,
				.vp_count = parts->config->vp_count,
				.host_ops = &vmbus_wall_host_ops,
				.host = s->host,
			},
			&s->server);
	if (r < 0) {
		synthetic_free(s);
		return err_set(err, r, "VMBus: %s", err_words(r));
	}
	*ret_synthetic = s;
	return 0;
}

int synthetic_start(struct synthetic *s, struct err *err)
{
	const struct disk_pool_config pool = {
		.enter = s->parts.enter_thread,
		.owner = s->parts.owner,
	};

	/* A machine without disks has no threads for them. */
	if (s->parts.config->disk_count == 0)
		return 0;
	return disk_pool_new(s->parts.loop, &pool, &s->pool, err);
}

/* ---- disks ---- */

/* Levels of one disk lie one behind the other in the list of images, leaf first. */
static int open_disk(struct synthetic *s, const struct worker_disk *d,
		     struct disk **ret_disk, struct err *err)
{
	struct disk_level level[WORKER_MAX_IMAGES];
	const struct disk_open open = {
		.level = level,
		.level_count = d->level_count,
		.read_only = d->read_only,
	};

	for (u32 k = 0; k < d->level_count; k++) {
		const struct worker_image *image =
			&s->parts.config->image[d->first_image + k];

		level[k] = (struct disk_level){
			.fd = take_fd(&s->image_fd[d->first_image + k]),
			.name = image->name,
			.format = (enum disk_format)image->format,
			.device_block = image->device_block,
		};
	}
	return disk_open(s->pool, &open, ret_disk, err);
}

static int controller_for(struct synthetic *s, u32 n, struct storvsp **ret_storvsp)
{
	struct storvsp_config config = {
		.server = s->server,
		.gm = s->parts.gm,
		.instance = controller_instance,
		/* A channel for each processor is what Linux asks for. */
		.max_sub_channels = (u16)min_u64(s->parts.config->vp_count - 1,
						 STORVSP_MAX_SUB_CHANNELS),
	};
	int r = 0;

	config.instance.bytes[15] = (u8)n;
	if (!s->controller[n])
		r = storvsp_new(&config, &s->controller[n]);
	*ret_storvsp = s->controller[n];
	return r;
}

static int add_disk(struct synthetic *s, u32 n, struct err *err)
{
	const struct worker_disk *d = &s->parts.config->disk[n];
	struct scsi_unit_config unit = {
		.dvd = d->dvd,
		.id = { 'T', 'a', 'b', 'i', 'q', 'u', 'e', 0, (u8)d->controller,
			(u8)d->lun },
	};
	struct storvsp *storvsp;
	int r = 0;

	if (d->level_count > 0)
		r = open_disk(s, d, &s->disk[n], err);
	if (r < 0)
		return r;
	unit.disk = s->disk[n];
	r = scsi_unit_new(&unit, &s->unit[n]);
	if (r == 0)
		r = controller_for(s, d->controller, &storvsp);
	if (r == 0)
		r = storvsp_attach(storvsp, d->lun, s->unit[n]);
	return r < 0 ? err_set(err, r, "SCSI controller %u, unit %u: %s", d->controller,
			       d->lun, err_words(r))
		     : 0;
}

int synthetic_open(struct synthetic *s, struct err *err)
{
	int r = 0;

	for (u32 n = 0; r == 0 && n < s->parts.config->disk_count; n++)
		r = add_disk(s, n, err);
	return r;
}

void synthetic_connect(struct synthetic *s)
{
	vmbus_wall_host_serve(s->host, s->server);
}

/* ---- resets and the end ---- */

void synthetic_stop(struct synthetic *s, void (*done)(void *owner), void *owner)
{
	vmbus_server_close_all(s->server, done, owner);
}

void synthetic_reset(struct synthetic *s)
{
	vmbus_server_reset(s->server);
}

void synthetic_flush(struct synthetic *s)
{
	vmbus_wall_host_flush(s->host);
}

void synthetic_free(struct synthetic *s)
{
	if (!s)
		return;
	for (unsigned n = 0; n < WORKER_MAX_DISKS; n++) {
		int r = s->disk[n] ? disk_close(s->disk[n]) : 0;

		if (r < 0)
			log_error("disk %u: what was cached is not written: %s", n,
				  err_words(r));
		scsi_unit_free(s->unit[n]);
	}
	for (unsigned n = 0; n < WORKER_MAX_CONTROLLERS; n++)
		storvsp_free(s->controller[n]);
	vmbus_server_free(s->server);
	vmbus_wall_host_free(s->host);
	if (s->pool)
		disk_pool_free(s->pool);
	for (unsigned k = 0; k < WORKER_MAX_IMAGES; k++)
		if (s->image_fd[k] >= 0)
			close(s->image_fd[k]);
	free(s);
}

size_t synthetic_inspect(const struct synthetic *s, char *text, size_t size)
{
	size_t at = vmbus_server_inspect(s->server, text, size);

	for (unsigned n = 0; n < WORKER_MAX_CONTROLLERS; n++)
		if (s->controller[n])
			at += storvsp_inspect(s->controller[n],
					      at < size ? text + at : NULL,
					      at < size ? size - at : 0);
	return at;
}
