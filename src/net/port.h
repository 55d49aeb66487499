/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A port: where a network adapter's frames leave the VM and come in. Behind it is a descriptor
 * that the owner opened:
 *
 *	tap	a tap device with IFF_VNET_HDR | IFF_NO_PI
 *	socket	one end of a SOCK_SEQPACKET connection: tabique-nat, or a switch
 *
 * Both carry the same: one frame a message, a struct virtio_net_hdr of 10 bytes in front of it
 * (linux/virtio_net.h: what the other side has still to do of check sums and segments), then the
 * Ethernet frame without its check sequence. What a sender leaves to be done (VIRTIO_NET_HDR_F_NEEDS_CSUM,
 * gso_type), every receiver on our side understands.
 *
 *	1. net_port_new		takes the descriptor
 *	2. net_port_send, net_port_receive, net_port_listen
 *	3. net_port_free	closes it
 *
 * A port keeps no frames: what can't be sent now is still the sender's, what is not received
 * waits outside, where it is bounded. Nothing of a frame is read or believed here.
 *
 * Thread: the loop's. Callbacks are never called from inside a call of the port's.
 */
#pragma once

#include <linux/virtio_net.h>
#include <sys/uio.h>

#include "base/err.h"
#include "base/inspect.h"
#include "base/types.h"

struct loop;
struct net_port;

/* A segmented frame at its largest: 64 KiB of IP behind an Ethernet header with one VLAN tag. */
#define NET_MAX_FRAME (65535u + 18u)
#define NET_BATCH 64 /* frames of one call */

enum net_port_kind { NET_PORT_TAP, NET_PORT_SOCKET };

struct net_frame {
	struct virtio_net_hdr todo;
	const struct iovec *iov; /* the frame itself; for receiving: where it may lie */
	unsigned iov_count;	 /* <= 64 */
	u32 size; /* bytes; received: of the frame, <= the room that iov has */
};

struct net_port_config {
	enum net_port_kind kind;
	int fd; /* ours from net_port_new on, also when that fails; made non-blocking */
	struct loop *loop;
	void (*readable)(
		void *owner); /* while net_port_listen; then receive until -EAGAIN */
	void (*writable)(void *owner); /* once after a send that took less than all */
	void (*link)(void *owner,
		     bool up); /* the other side is gone (a port begins up) */
	void *owner;
};
int net_port_new(const struct net_port_config *config, struct net_port **ret_port,
		 struct err *err) MUST_CHECK;
void net_port_free(struct net_port *port);

/* Is the guest to be told of frames? A port begins deaf. */
void net_port_listen(struct net_port *port, bool on);
bool net_port_is_up(const struct net_port *port);

/*
 * How many of the count (<= NET_BATCH) went, from the first on; writable() follows when it is less
 * than all. A frame that the other side refuses for good (down, too long) counts as gone, and in the
 * port's counters as dropped.
 */
unsigned net_port_send(struct net_port *port, const struct net_frame *frames,
		       unsigned count);
/*
 * How many came, at most count (<= NET_BATCH); todo and size are filled. 0: none now, readable() will be
 * called. A frame that has more bytes than its iov has room is dropped and counted; among those that
 * came it has size 0.
 */
unsigned net_port_receive(struct net_port *port, struct net_frame *frames,
			  unsigned count);

/* branch: for instance "nic.0.port". */
void net_port_inspect(const struct net_port *port, const char *branch,
		      struct inspect *out);
