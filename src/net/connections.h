/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is remembered of a guest's connections, each thing in a table that has one place for each of
 * them, by a hash: a newer one takes an older one's place, and what is not remembered has an answer that is
 * right, if slower. So a guest cannot make a table grow.
 *
 *	segments	the largest that the guest takes, from its SYN. libslirp is told a larger one, so
 *			that what it sends comes in large frames; they go on to the guest as such, with
 *			this size beside them (GSO). Not known: 536 (RFC 9293, 3.7.1).
 *	name servers	the guest asks the address that DHCP gave it, and we ask the host's name server. The
 *			answer must come from where it was expected. libslirp could do that, but reads
 *			/etc/resolv.conf again and again for it.
 *
 * Thread: the loop's.
 */
#pragma once

#include "net/frame.h"

#define NET_CONNECTIONS 4096
#define NET_DEFAULT_SEGMENT 536u
/* Of IP packets between us and libslirp. */
#define NET_SLIRP_MTU 33000u

struct net_connections {
	u32 resolver; /* the host's name server, as on the wire; 0: none */
	u32 alias;    /* what the guest takes for one */
	struct {
		u64 key;
		u16 size;
	} segment[NET_CONNECTIONS];
	u64 asked[NET_CONNECTIONS]; /* who asked the alias */
};

/*
 * A packet of the guest's, before libslirp gets it: headers are changed in place. A check sum that was
 * wrong stays wrong. False: it is to be dropped.
 */
bool net_connections_out(struct net_connections *c, u8 *frame,
			 const struct net_headers *h);
/* A packet for the guest. Returns how large segments of TCP may be. */
u32 net_connections_in(struct net_connections *c, u8 *frame, const struct net_headers *h);
