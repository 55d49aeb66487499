/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tabique-disk: one order about images that no VM uses: make, check, convert, resize, merge. It is
 * started with a socket at OWNER_FD and gets opened descriptors over it (wall/disk_order.h); it
 * opens no path, and after step 2 it could not. What it reads is hostile.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "base/ipc.h"
#include "base/log.h"
#include "base/loop.h"
#include "disk/disk.h"
#include "disk/nbd_library.h"
#include "jail/jail.h"
#include "programs/disk/owner.h"
#include "programs/disk/verbs.h"
#include "wall/wall.h"

static int enter_thread(void *owner)
{
	struct err err = { 0 };

	return jail_thread(owner, JAIL_THREAD_DISK_TOOL, &err);
}

static int enter_nbd_thread(void *owner)
{
	struct err err = { 0 };

	return jail_thread(owner, JAIL_THREAD_DISK_NBD, &err);
}

int main(void)
{
	static struct disk_order order;
	struct disk_pool_config pool_config = { .enter = enter_thread,
						.enter_nbd = enter_nbd_thread };
	struct jail_config jail = { .role = JAIL_WORKER };
	struct disk_pool *pool = NULL;
	struct loop *loop = NULL;
	struct err err = { 0 };
	char report[512] = "";
	int source = -1, target = -1;

	/* 1. The order. Our owner decides when we end, not who types at its terminal. */
	log_start("tabique-disk", LOG_INFO);
	if (!ipc_is_socket(OWNER_FD)) {
		log_error("'tabique disk' starts this program; see 'tabique --help'");
		return 2;
	}
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	int r = owner_receive_order(&order, &source, &target, &err);
	if (r == -EPIPE)
		return 0; /* the owner changed its mind */

	/* 2. Every right goes; the threads that touch images come after that. */
	if (r == 0 && order.source.nbd)
		r = nbd_library_load(&err);
	jail.uid = order.uid;
	jail.leave_out = order.jail_flags;
	pool_config.owner = &jail;
	if (r == 0)
		r = jail_enter(&jail, report, sizeof report, &err);
	if (r == 0) {
		r = loop_new(&loop);
		if (r < 0)
			err_set(&err, r, "event loop: %s", err_words(r));
	}
	if (r == 0)
		r = disk_pool_new(loop, &pool_config, &pool, &err);
	if (r == 0)
		r = jail_thread(&jail, JAIL_THREAD_DISK_TOOL, &err);

	/* 3. From here on bytes of others are parsed. */
	if (r == 0)
		r = carry_out(pool, &order, source, target, &err);
	if (r == 0)
		owner_say_done();
	else
		owner_say_failed(&err);
	return r < 0 ? 1 : 0;
}
