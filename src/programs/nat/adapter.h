/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One adapter's network, as the guest sees it: a gateway, a name server and DHCP, and behind the gateway
 * whatever the host reaches. libslirp is that network; here is what stands between it and the port.
 *
 *	guest --port--> checks, check sums finished, what libslirp should not see dropped --> libslirp
 *	guest <--port-- queue <-- large TCP packets marked for segments, others cut to the MTU <-- libslirp
 *
 * What a guest sends is hostile. What is kept has a limit: the queue by its size, connections by
 * the process's descriptors, fragments of IP by their number in a time; the process's memory besides
 * (main.c).
 *
 * Thread: the loop's.
 */
#pragma once

#include "base/err.h"
#include "net/queue.h"
#include "net/connections.h"
#include "programs/nat/sockets.h"
#include "wall/net_config.h"

struct Slirp;
struct net_port;

/* Frames for a guest that does not read: more are dropped; from half of it on none are fetched. */
#define NAT_QUEUE (4u << 20)

/*
 * Fragments that libslirp waits with, half a minute at most, for the rest of a packet: so many at once,
 * and then so many a second.
 */
#define NAT_FRAGMENTS 1024
#define NAT_FRAGMENTS_SECOND 32

struct nat_adapter {
	struct nat_adapter_config config;
	struct nat_sockets *sockets;
	struct Slirp *slirp;
	struct net_port *port;
	struct net_queue queue;
	struct net_connections connections;
	u32 fragments; /* that may still come, as of then */
	u64 fragments_ns;
	u64 to_slirp, to_guest, malformed, dropped; /* frames */
};

/*
 * Its network, and the host's ports that lead into it, while we may still bind them. The port comes
 * later. -EADDRINUSE and the like with the sentence.
 */
int nat_adapter_new(const struct nat_adapter_config *config, u32 resolver,
		    struct nat_sockets *sockets, struct nat_adapter **ret_adapter,
		    struct err *err) MUST_CHECK;
/* fd: ours from now on. */
int nat_adapter_plug(struct nat_adapter *adapter, int fd, struct err *err) MUST_CHECK;

/* Steps of a settling (sockets.h). */
void nat_adapter_poll(struct nat_adapter *adapter);
void nat_adapter_fill(struct nat_adapter *adapter, u32 *timeout_ms);
/* Frames wait for the guest: libslirp should not fetch more. */
bool nat_adapter_is_full(const struct nat_adapter *adapter);
