/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disks of a machine: which image lies behind which unit of which SCSI controller. Disks are
 * there from the start (disks_add) or come, grow and leave while the guest runs.
 *
 *	opening --image is whole--> there --detach--> leaving --last request, image closed--> gone
 *	    \--it is not--> gone       \--resize--> resizing --> there
 *	opening --the guest still thinks of the disk before--> waiting --it noticed--> there
 *	                                                          \--it does not in ten seconds--> gone
 *
 *	there --another medium, or none--> changing --the drive is idle, the old one closed--> there
 *	there --the guest ejects--> changing --closed--> there, empty
 *
 * One change of a disk at a time; a second one is refused, not queued. Nobody waits: images are
 * opened, grown and closed by threads of the pool, while the other disks serve the guest.
 *
 * A guest that was told of a new disk and may have overlooked it (storvsp_overlooked) is told again,
 * a few times in eight seconds.
 *
 * Controllers are offered to the guest when their first disk comes, and stay.
 *
 * Thread: the loop's.
 */
#pragma once

#include "base/err.h"
#include "base/inspect.h"
#include "wall/worker_config.h"

struct disk_pool;
struct disks;
struct guest_memory;
struct loop;
struct scsi_unit;
struct vmbus_server;

struct disks_config {
	struct loop *loop;
	struct vmbus_server *server;
	struct guest_memory *gm;
	u32 vp_count;
	/* What the guest has ejected is closed now; the loop's thread. NULL: nobody wants to know. */
	void (*ejected)(void *owner, u32 controller, u32 lun);
	void *owner;
	/* A drive of IDE has its unit; NULL: there is no IDE. */
	int (*attach_ide)(void *machine, unsigned channel, unsigned drive,
			  struct scsi_unit *unit, struct err *err);
	void *machine;
};
int disks_new(const struct disks_config *config, struct disks **ret_disks) MUST_CHECK;
/* Once, before any disk comes. */
void disks_set_pool(struct disks *disks, struct disk_pool *pool);
/* Quiet, and the channels are closed: what is open is closed here. Before the server's end. */
void disks_free(struct disks *disks);

/* Descriptors are taken, whatever comes of it: image_fd[k] is -1 afterwards. Waits. */
int disks_add(struct disks *disks, const struct worker_disk *disk,
	      const struct worker_image *image, int *image_fd, struct err *err)
	MUST_CHECK;

/*
 * One change. done is called once, perhaps from inside: r and, where it is negative, err; is there a
 * disk at that place now, and its size.
 */
typedef void (*disks_done_fn)(void *owner, u32 id, int r, bool there, u64 size,
			      const struct err *err);
void disks_change(struct disks *disks, const struct worker_disk_order *order,
		  int *image_fd, disks_done_fn done, void *owner);

/*
 * done is called when no change is under way any more; none may be asked for meanwhile. Disks that
 * wait for the guest to notice something do not wait any longer.
 */
void disks_quiet(struct disks *disks, void (*done)(void *owner), void *owner);

/*
 * Controllers with what hangs on them, as records; no change is under way, the server is at rest.
 * Restore: the same disks were added, and the server has its state. A DVD drive that had a medium must have
 * one: what was in it when the state was saved, which disks_saved_medium tells; another one is told to
 * the guest as such.
 */
struct state_writer;
int disks_save(const struct disks *disks, struct state_writer *writer) MUST_CHECK;
int disks_restore(struct disks *disks, const u8 *bytes, size_t size) MUST_CHECK;
/* The name of the image in that drive, "": it was empty. -ENOENT: there is no such drive. */
int disks_saved_medium(const u8 *bytes, size_t size, u32 controller, u32 lun,
		       char ret_name[WORKER_NAME_SIZE]) MUST_CHECK;

void disks_inspect(const struct disks *disks, struct inspect *out);
