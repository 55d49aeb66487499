/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A learning Ethernet switch: which ports a frame goes to. It sees addresses alone, moves no bytes, and
 * has no clock: frames and times are given to it.
 *
 * Guarded (the default), a port has one address, that of its first frame: what claims to come from another one
 * is dropped, and so is what claims to come from an address that another port has. So a guest can neither
 * take another one's frames nor fill the table. With spoofing a port may have any number; then the
 * table's places are the limit, and who has none is reached by flooding, as in any switch.
 *
 * Frames to 01:80:c2:00:00:0x (bridges' own: IEEE 802.1Q, 8.6.3) end here.
 *
 * Thread: one.
 */
#pragma once

#include "base/inspect.h"
#include "base/types.h"

#define SWITCH_PORTS 64
#define SWITCH_PLACES 1024
/* How long an address stays that is not heard from (802.1Q, 8.8.3). */
#define SWITCH_AGE_NS (300ull * 1000000000)

struct net_switch {
	bool isolated; /* ports reach the lowest one that is up, and it reaches them */
	bool spoofing;
	u64 up; /* ports, a bit each */
	struct switch_place {
		u8 address[6];
		u8 port;
		bool used;
		u64 seen_ns;
	} place[SWITCH_PLACES];
	struct {
		bool known;
		u8 address[6];
	} own[SWITCH_PORTS];			    /* guarded */
	u64 forwarded, flooded, spoofed, malformed; /* frames */
};

void net_switch_init(struct net_switch *sw, bool isolated, bool spoofing);
/* A port with nothing learned; its number or -1: all are taken. */
int net_switch_connect(struct net_switch *sw);
/* Its addresses are forgotten. */
void net_switch_disconnect(struct net_switch *sw, unsigned port);

/* Where a frame goes that came from a port which is up: a bit each; never back. */
u64 net_switch_forward(struct net_switch *sw, unsigned port, const u8 *frame, u32 size,
		       u64 now_ns);
