/* SPDX-License-Identifier: Apache-2.0 */
/* The VMBus server's way over the wall; see wall_host.h. */
#include "vmbus/wall_host.h"

#include <errno.h>

#include "base/ipc.h"
#include "base/log.h"
#include "base/loop.h"
#include "wall/worker_end.h"

struct bell {
	struct vmbus_wall_host *host;
	int event;
	struct loop_watch *watch;
	u32 relid; /* 0: free */
};

struct vmbus_wall_host {
	struct worker_end *end;
	struct vmbus_server *server;
	struct bell bell[VMBUS_WALL_CHANNELS];
};

static struct bell *find_bell(struct vmbus_wall_host *host, u32 relid)
{
	for (unsigned k = 0; k < VMBUS_WALL_CHANNELS; k++)
		if (host->bell[k].relid == relid)
			return &host->bell[k];
	return NULL;
}

/* ---- the server's side ---- */

static int on_post(void *owner, vp_index_t vp, const void *message, u32 size)
{
	struct vmbus_wall_host *host = owner;

	return worker_post(host->end, vp, VMBUS_SINT, VMBUS_MESSAGE_TYPE, message, size);
}

static void on_signal(void *owner, vp_index_t vp, u32 flag)
{
	struct vmbus_wall_host *host = owner;

	worker_signal(host->end, vp, flag);
}

static int on_connect(void *owner, u32 connection, u32 relid)
{
	struct vmbus_wall_host *host = owner;
	struct bell *bell = find_bell(host, 0);
	struct err err = { 0 };

	if (!bell)
		return -ENOSPC;
	/* What rang for the channel that had it before is no news to this one. */
	(void)ipc_event_clear(bell->event);
	int r = worker_connect(host->end, connection, bell->event, &err);
	if (r == 0)
		bell->relid = relid;
	return r;
}

static void on_disconnect(void *owner, u32 connection, u32 relid)
{
	struct vmbus_wall_host *host = owner;
	struct bell *bell = find_bell(host, relid);
	struct err err = { 0 };

	if (bell)
		bell->relid = 0;
	int r = bell ? worker_disconnect(host->end, connection, &err) : 0;
	/* An hv that is gone has forgotten it as well. */
	if (r < 0 && r != -EPIPE)
		log_warn("vmbus: connection %#x stays in the hypervisor: %s", connection,
			 err.text);
}

static void on_wake(void *owner, u32 relid)
{
	struct bell *bell = find_bell(owner, relid);

	if (bell)
		ipc_event_ring(bell->event);
}

const struct vmbus_host_ops vmbus_wall_host_ops = {
	.post = on_post,
	.signal = on_signal,
	.connect = on_connect,
	.disconnect = on_disconnect,
	.wake = on_wake,
};

/* ---- the guest's side ---- */

static u16 on_message(void *owner, u32 connection, u32 type, const void *payload,
		      u32 size)
{
	struct vmbus_wall_host *host = owner;

	return vmbus_server_message(host->server, connection, type, payload, size);
}

static void on_bell(void *owner, unsigned events)
{
	struct bell *bell = owner;

	if (ipc_event_clear(bell->event) && bell->relid && bell->host->server)
		vmbus_server_signalled(bell->host->server, bell->relid);
}

void vmbus_wall_host_serve(struct vmbus_wall_host *host, struct vmbus_server *server)
{
	host->server = server;
	worker_on_message(host->end, on_message, host);
}

void vmbus_wall_host_flush(struct vmbus_wall_host *host)
{
	if (host->server)
		vmbus_server_flush(host->server);
}

/* ---- life ---- */

int vmbus_wall_host_new(struct loop *loop, struct worker_end *end,
			struct vmbus_wall_host **ret_host)
{
	struct vmbus_wall_host *host = calloc(1, sizeof *host);
	int r = host ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	host->end = end;
	for (unsigned k = 0; k < VMBUS_WALL_CHANNELS; k++)
		host->bell[k].event = -1;
	for (unsigned k = 0; r == 0 && k < VMBUS_WALL_CHANNELS; k++) {
		struct bell *bell = &host->bell[k];

		bell->host = host;
		bell->event = ipc_event_new();
		r = bell->event < 0 ? bell->event
				    : loop_watch_add(loop, bell->event, LOOP_READ,
						     on_bell, bell, &bell->watch);
	}
	if (r < 0) {
		vmbus_wall_host_free(host);
		return r;
	}
	*ret_host = host;
	return 0;
}

void vmbus_wall_host_free(struct vmbus_wall_host *host)
{
	if (!host)
		return;
	worker_on_message(host->end, NULL, NULL);
	for (unsigned k = 0; k < VMBUS_WALL_CHANNELS; k++) {
		loop_watch_remove(host->bell[k].watch);
		if (host->bell[k].event >= 0)
			close(host->bell[k].event);
	}
	free(host);
}
