/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RNDIS control messages of a network adapter, as a state machine: initialize, query, set, keep-alive,
 * reset, halt go in, replies come out; indications are made here. Frames are not its business, but what
 * the guest set for them is: filter, offloads, receive side scaling, address.
 *
 * No guest memory, no clock, no channel: the adapter (netvsp.c), unit tests and a fuzz target call the
 * same functions. abi/netvsp.h has the layouts.
 */
#pragma once

#include "abi/netvsp.h"
#include "vsp/netvsp/rss.h"

#define RNDIS_MAX_REQUEST 1024u
#define RNDIS_MAX_REPLY 320u
/* Messages of one packet that we take; told to the guest. Frames begin at multiples of 8 in it. */
#define RNDIS_MAX_PACKETS 8u
#define RNDIS_ALIGNMENT 3u

struct rndis_counts {
	u64 frames_out, frames_in;
	u64 errors_out, errors_in, no_buffer;
};

struct rndis {
	/* the host's, for the life of the adapter */
	u8 permanent[6];
	u16 mtu;
	bool spoofing;
	/* the host's, that changes */
	bool link_up;
	u32 channels; /* open, the primary among them */
	u32 queues;   /* there could be */
	bool parts;   /* the guest takes frames in several sub-allocations */
	const struct rndis_counts *counts;
	/* the guest's */
	bool initialized;
	u32 filter; /* 0: no frames */
	u8 mac[6];
	bool coalesce4, coalesce6; /* it wants frames of many segments */
	bool offloads_set;	   /* since it initialized; see set_offloads */
	bool begun_before; /* it has initialized more than once since it started */
	struct rss rss;
	u64 requests, refused, malformed;
};

/* mac, mtu, spoofing, queues, counts are the caller's to set before. */
void rndis_init(struct rndis *r);
/* The channel has closed, or the guest halted: it begins anew. */
void rndis_reset(struct rndis *r);
/* And it is another guest's system, or the same one started again. */
void rndis_forget(struct rndis *r);

/* One message, any bytes, copied. The reply's size; 0: there is none. */
u32 rndis_take(struct rndis *r, const u8 *message, u32 size, u8 reply[RNDIS_MAX_REPLY]);
/* An indication's size; status RNDIS_MEDIA_CONNECT and the like. */
u32 rndis_indicate(u32 status, u8 message[RNDIS_MAX_REPLY]);

/* Does the guest want a frame with this destination? */
bool rndis_wants(const struct rndis *r, const u8 destination[6]);
