/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk on a loop of its own, whose requests a test waits for.
 *
 *	ASSERT_ERR(asked_open(&a, &pool, &open, &err), 0);
 *	ASSERT_ERR(asked_transfer(&a, DISK_READ, data, 512, 0), 0);
 *	asked_close(&a);
 */
#pragma once

#include "disk/disk.h"

struct asked_disk {
	struct loop *loop;
	struct disk_pool *pool;
	struct disk *disk; /* NULL: it could not be opened */
	unsigned waiting;  /* requests that are under way */
	int last;	   /* what the first of them that failed ended with, or 0 */
};

/* What disk_open says; asked_close() it in either case. */
int asked_open(struct asked_disk *a, const struct disk_pool_config *pool,
	       const struct disk_open *open, struct err *err);
/* What disk_close says. */
int asked_close(struct asked_disk *a);

/* Begin a request, which stays where it is until asked_wait. */
void asked_submit(struct asked_disk *a, struct disk_request *request);
/* Until nothing is under way: what the first that failed ended with, or 0. */
int asked_wait(struct asked_disk *a);

/*
 * Write 512 bytes of data[n], all of them n, every `stride` bytes for each n below count, all at once;
 * what asked_wait says. Up to ASKED_AT_ONCE.
 */
#define ASKED_AT_ONCE 500
int asked_write_at_once(struct asked_disk *a, u8 (*data)[512], unsigned count,
			u64 stride);

/* A request from begin to end. */
int asked_do(struct asked_disk *a, struct disk_request request);
int asked_transfer(struct asked_disk *a, enum disk_op op, void *data, u64 size,
		   u64 offset);
