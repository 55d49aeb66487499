/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File copy: one file at a time, from the host into the guest, in pieces that the guest answers one by
 * one. A program of the guest's writes it (Linux: hv_fcopy_daemon).
 *
 *	IDLE -> START -> (READ -> WRITE)... -> COMPLETE -> IDLE
 *	           |         |       |            |
 *	           +---------+-------+------------+--> CANCEL -> IDLE
 *
 * The file's bytes come through a pipe, so that storage that does not answer holds up nobody here. What
 * the guest has of a file that was not copied to its end it is told to remove, also where the copy
 * began on another host.
 *
 * Thread: the loop's.
 */
#pragma once

#include "base/loop.h"
#include "vsp/ic/request.h"

#define FCOPY_ANSWER_SECONDS 10

enum fcopy_state {
	FCOPY_IDLE,
	FCOPY_START,
	FCOPY_READ,
	FCOPY_WRITE,
	FCOPY_COMPLETE,
	FCOPY_CANCEL,
};

struct fcopy {
	struct ic_channel channel;
	struct ic_request request;
	enum fcopy_state state;
	bool begun; /* the guest has made the file: what it did not make it must not remove */
	int fd;	    /* the pipe's end; -1 */
	struct loop_watch *watch; /* while READ waits for bytes */
	u64 size, at;
	struct ic_fcopy_write piece; /* filled as bytes come */
	u32 filled;
	struct err why; /* of what is being cancelled */
	u64 copies, bytes, cancelled;
};

int fcopy_offer(struct fcopy *fcopy, struct ic_host *host) MUST_CHECK;
void fcopy_done(struct fcopy *fcopy);

struct fcopy_order {
	const char *name,
		*folder; /* in the guest; UTF-8, the folder with a '/' at its end */
	bool overwrite, make_path;
	u64 size;
};
/* fd: the reading end of a pipe, non-blocking, ours from here on, or it is closed; it gives size bytes. */
void fcopy_copy(struct fcopy *fcopy, const struct fcopy_order *order, int fd,
		ic_done_fn done, void *owner);
