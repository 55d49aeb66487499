/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disks of a VM that runs, as its owner knows them: by what file, at which unit. A disk that
 * comes is opened and locked by a thread, since a path may lie on storage that does not answer; one
 * at a time, the others wait for their turn. Then the worker gets the descriptors, and ours are
 * closed: the lock goes with the worker's.
 *
 *	attach: place taken -> images opened -> worker asked -> there, or gone
 *	detach, resize: worker asked -> gone, or there
 *	medium: image opened -> worker asked -> there
 *	the guest ejects: there, empty
 *
 * Thread: the loop's.
 */
#pragma once

#include <jansson.h>

#include "base/loop.h"
#include "programs/cli/run_disks.h"
#include "wall/wall.h"

struct live_disks;

/* The socket stays the caller's. initial: what the worker was started with. */
int live_disks_new(struct loop *loop, int worker_socket, const struct run_disks *initial,
		   struct live_disks **ret_disks) MUST_CHECK;
/* Nobody who waits is answered any more. */
void live_disks_free(struct live_disks *disks);

/* Called once for each change, perhaps from inside. metadata: taken; NULL where err says why not. */
typedef void (*live_disks_fn)(void *owner, json_t *metadata, const struct err *err);

struct live_attach {
	struct run_disk disk; /* path: absolute */
	int controller, lun;  /* -1: the first that is free */
	bool passthrough;     /* it must be a block device */
};
void live_disks_attach(struct live_disks *disks, const struct live_attach *attach,
		       live_disks_fn done, void *owner);
void live_disks_detach(struct live_disks *disks, u32 controller, u32 lun,
		       live_disks_fn done, void *owner);
/* size 0: look how large the file or device is now. */
void live_disks_resize(struct live_disks *disks, u32 controller, u32 lun, u64 size,
		       bool grow, live_disks_fn done, void *owner);

/*
 * Another medium for a DVD drive; path: absolute, NULL: none. force: though the guest has locked the
 * drive.
 */
void live_disks_set_medium(struct live_disks *disks, u32 controller, u32 lun,
			   const char *path, bool force, live_disks_fn done, void *owner);

/* An OWNER_DISK_DONE has come. */
void live_disks_hear(struct live_disks *disks, const struct owner_message *message);
/* An OWNER_DISK_EJECTED has come: the drive is empty, whatever shall come into it. */
void live_disks_hear_ejected(struct live_disks *disks,
			     const struct owner_message *message);

/* One disk, NULL: there is none; or a list of all. The caller's. */
json_t *live_disks_show(const struct live_disks *disks, u32 controller, u32 lun);
json_t *live_disks_list(const struct live_disks *disks);
