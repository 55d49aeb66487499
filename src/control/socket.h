/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The place of a control socket, or of a switch's, in the file system. Mode 0600: its owner and root alone
 * connect.
 *
 * A socket that nobody listens on any more is replaced; one that somebody listens on, or a file of
 * another kind, is refused. The folder is locked meanwhile, so that of two that find the same stale
 * socket one alone replaces it. Any thread.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

/* What is spoken there: HTTP, a switch's frames or the launcher's requests in packets, or RFB. */
enum control_kind {
	CONTROL_OF_VM,
	CONTROL_OF_SWITCH,
	CONTROL_OF_SCREEN,
	CONTROL_OF_DAEMON,
	CONTROL_OF_LAUNCHER
};

struct control_place {
	int fd; /* listening, non-blocking; -1: none */
	char *path;
	u64 device, inode; /* of what we made */
};

/* -EBUSY: in use; -EEXIST: something else is there; -ENAMETOOLONG. */
int control_listen(const char *path, enum control_kind kind,
		   struct control_place *ret_place, struct err *err) MUST_CHECK;
/* Closes, and removes what was made, if it is still that. */
void control_unlisten(struct control_place *place);

/* A connection, blocking. -ENOENT: no such socket, or nobody listens there. */
int control_connect(const char *path, enum control_kind kind, int *ret_fd,
		    struct err *err) MUST_CHECK;
