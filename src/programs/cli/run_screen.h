/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --screen: where RFB ("VNC") viewers connect. `tabique run` listens alone; each connection is handed to
 * the worker, which speaks with it.
 *
 * RFB has no protection worth its name, so the place is the loopback or a UNIX socket of mode 0600, and
 * from elsewhere people come through an SSH tunnel.
 *
 * Thread: the loop's.
 */
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "control/socket.h"

#define SCREEN_PORT 5900

struct run_screen {
	struct control_place place; /* of a UNIX socket, or a descriptor alone */
	struct loop_watch *watch;
	int worker_socket;
};

/* Is it an address that can be listened on? ADDRESS[:PORT] of the loopback, or a path. */
int run_screen_check(const char *where, struct err *err) MUST_CHECK;

/* Listen there. Says on standard error where that is. */
int run_screen_open(struct run_screen *screen, const char *where, struct err *err)
	MUST_CHECK;
int run_screen_start(struct run_screen *screen, struct loop *loop, int worker_socket,
		     struct err *err) MUST_CHECK;
void run_screen_close(struct run_screen *screen);
