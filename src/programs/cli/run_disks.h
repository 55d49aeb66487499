/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disks of `tabique run`: --disk FILE[,ro][,bus=scsi|ide][,format=NAME] and --cdrom FILE, parsed
 * without touching a file, then opened and locked, with the parents that differencing images name
 * (each image's names are read by tabique-disk). Units get their numbers in the order of the
 * command line, from 0 of the first SCSI controller on.
 */
#pragma once

#include "base/err.h"
#include "wall/worker_config.h"

struct run_disk {
	char path[4096];
	bool dvd, read_only, ide;
	bool bus_given;
	int format; /* enum disk_format, or -1: by the file's name */
};

/* IDE drives in the order of the command line: first channel, its second drive, and so on. */
#define RUN_MAX_IDE (WORKER_IDE_CHANNELS * WORKER_IDE_DRIVES)

struct run_disks {
	unsigned count;
	struct run_disk disk[WORKER_MAX_DISKS];
};

/* One option's value. -EINVAL with the sentence. */
int run_disks_add(struct run_disks *disks, const char *value, bool dvd, struct err *err)
	MUST_CHECK;

/*
 * With a BIOS, DVD drives are IDE's unless told otherwise; without one nothing can be. -EINVAL with the
 * sentence: also where there are too many, or none of which a BIOS could start.
 */
int run_disks_settle(struct run_disks *disks, bool bios, struct err *err) MUST_CHECK;

/* Images of disks, opened and locked: each disk's leaf, its parent, and so on. */
struct disk_images {
	u32 count;
	struct worker_image image[WORKER_MAX_IMAGES];
	int fd[WORKER_MAX_IMAGES]; /* count of them, the caller's, also after a failure */
};
/*
 * One disk's behind those that are there. *ret_not_found: a file is not there. May wait for long;
 * one thread of a process at a time.
 */
int run_disk_open(const struct run_disk *disk, struct disk_images *images,
		  bool *ret_not_found, struct err *err) MUST_CHECK;
void disk_images_close(struct disk_images *images);

/* All of them, and what the worker is told of them. */
int run_disks_open(const struct run_disks *disks, struct worker_config *config,
		   struct disk_images *images, bool *ret_not_found, struct err *err)
	MUST_CHECK;
