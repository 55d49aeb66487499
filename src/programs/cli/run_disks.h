/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disks of `tabique run`: --disk FILE[,ro][,bus=scsi][,format=NAME] and --cdrom FILE, parsed
 * without touching a file, then opened and locked, with the parents that differencing images name
 * (each image's names are read by tabique-disk). Units get their numbers in the order of the
 * command line, from 0 of the first SCSI controller on.
 */
#pragma once

#include "base/err.h"
#include "wall/worker_config.h"

struct run_disk {
	char path[4096];
	bool dvd, read_only;
	int format; /* enum disk_format, or -1: by the file's name */
};

struct run_disks {
	unsigned count;
	struct run_disk disk[WORKER_MAX_DISKS];
};

/* One option's value. -EINVAL with the sentence. */
int run_disks_add(struct run_disks *disks, const char *value, bool dvd, struct err *err)
	MUST_CHECK;

/*
 * Open them all into the worker's configuration; image_fd gets config->image_count descriptors,
 * the caller's, also after a failure. *ret_not_found: a file is not there.
 */
int run_disks_open(const struct run_disks *disks, struct worker_config *config,
		   int *ret_image_fd, bool *ret_not_found, struct err *err) MUST_CHECK;
