/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VMBus server's way to the guest over the wall: SynIC messages are the verb POST, signals to
 * the guest its event flags, signals of the guest an eventfd a channel.
 *
 *	1. vmbus_wall_host_new	outside the jail: makes the eventfds
 *	2. vmbus_wall_host_serve	with the server, before the guest runs
 *	3. vmbus_wall_host_flush	when hv may have room for messages again
 *	4. vmbus_wall_host_free
 *
 * Thread: the loop's.
 */
#pragma once

#include "vmbus/server.h"

struct loop;
struct worker_end;
struct vmbus_wall_host;

/* How many channels can be open at a time. */
#define VMBUS_WALL_CHANNELS 128

extern const struct vmbus_host_ops vmbus_wall_host_ops; /* host: struct vmbus_wall_host */

int vmbus_wall_host_new(struct loop *loop, struct worker_end *end,
			struct vmbus_wall_host **ret_host) MUST_CHECK;
void vmbus_wall_host_free(struct vmbus_wall_host *host);

/* Messages that the guest posts go to the server from here on. */
void vmbus_wall_host_serve(struct vmbus_wall_host *host, struct vmbus_server *server);
void vmbus_wall_host_flush(struct vmbus_wall_host *host);
