/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine's screen for RFB ("VNC") clients, over sockets that are connected already; who may
 * connect is decided by who listens.
 *
 *	1. rfb_server_new
 *	2. rfb_server_add		a connection, at any time
 *	3. rfb_server_changed		whenever the source has new dirt
 *	4. rfb_server_set_leds
 *	5. rfb_server_free		drops everybody
 *
 * One copy of the picture serves all clients. It is compared with the source, where that says something
 * may have changed, at most RFB_RATE times a second and only while a client waits for an update: a
 * screen that nobody looks at costs nothing, and a client that does not read costs its own buffer. Who
 * has not finished the handshake within RFB_HANDSHAKE_NS is dropped.
 *
 * Thread: the loop's.
 */
#pragma once

#include "base/clock.h"
#include "base/inspect.h"
#include "base/loop.h"
#include "console/picture.h"

#define RFB_CLIENTS 8u
#define RFB_RATE 30u
#define RFB_HANDSHAKE_NS (10 * NS_PER_SEC)

struct rfb_server_config {
	struct loop *loop;
	const struct clock *clock;
	const struct picture_source *source;
	const struct picture_hands *hands;
	void *owner;	  /* of both */
	const char *name; /* of the machine; outlives the server */
};

struct rfb_server;

int rfb_server_new(const struct rfb_server_config *config, struct rfb_server **ret_server)
	MUST_CHECK;
void rfb_server_free(struct rfb_server *server);

/* fd is taken in any case. -EBUSY: there are RFB_CLIENTS of them. */
int rfb_server_add(struct rfb_server *server, int fd) MUST_CHECK;
void rfb_server_changed(struct rfb_server *server);
/* As a keyboard has them: scroll 1, num 2, caps 4. */
void rfb_server_set_leds(struct rfb_server *server, u8 leds);
void rfb_server_inspect(const struct rfb_server *server, struct inspect *out);
