/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of a network adapter share; see netvsp.h. Nobody else includes this.
 *
 * Whose is what:
 *
 *	a packet of the guest's		ours until its answer is in the ring, or among the answers that
 *					found no room; while there is one, nothing more is read
 *	frames of such packets		in send.frame until the port has taken them; while it has not,
 *					nothing more is read from any channel
 *	a sub-allocation		receive_buffer.h; those that lie ready for the port are in the
 *					slots of receive
 */
#pragma once

#include "vsp/netvsp/headers.h"
#include "vsp/netvsp/netvsp.h"
#include "vsp/netvsp/nvsp.h"
#include "vsp/netvsp/receive_buffer.h"
#include "vsp/netvsp/rndis.h"

#define CHANNELS (NETVSP_MAX_SUB_CHANNELS + 1)
#define MAX_IOV 64
/* Frames of one packet and its answer are kept together: room for so many answers of a round. */
#define ANSWERS 256
#define REPLIES 16
/* Ranges of one transfer-pages packet. */
#define RANGES 128
/* The beginning of a frame for the guest that we look at. */
#define RECEIVE_HEAD 128u
/* Parts of the largest frame where sub-allocations are the smallest. */
#define MAX_PARTS 34
_Static_assert(MAX_PARTS *(NVSP_SUB_MIN - RECEIVE_HEADROOM) >= NET_MAX_FRAME, "parts");
_Static_assert(RECEIVE_HEADROOM + RECEIVE_HEAD <= NVSP_SUB_MIN, "head");

struct answer {
	u64 transaction;
	u32 status; /* enum nvsp_status, of NVSP_RNDIS_COMPLETE */
};

struct nic_channel {
	struct netvsp *netvsp;
	struct vmbus_channel *vmbus; /* NULL: not open */
	unsigned index;
	/* what found no room in the ring; while there is some, no packet is read */
	struct answer answer[ANSWERS];
	unsigned answers;
	/* frames of one round that go to this channel */
	struct {
		struct nvsp_transfer head; /* and the ranges behind it */
		struct nvsp_transfer_range range[RANGES];
		u32 ranges, frames, first, last;
	} transfer;
	u64 frames_in, frames_out;
};

/* A buffer of the guest's that we hold. */
struct held_buffer {
	struct gpadl *gpadl;
	const u64 *page;
};

/* Where one frame for the guest may lie. */
struct slot {
	u32 sub[MAX_PARTS];
	unsigned subs;
	struct iovec iov[MAX_IOV];
	u8 head[RECEIVE_HEAD];
};

struct netvsp {
	struct netvsp_config config;
	struct net_port *port; /* NULL: none */
	bool cable;	       /* is in */
	u32 relid, sub_relid[CHANNELS];
	struct nic_channel channel[CHANNELS];
	struct nvsp nvsp;
	struct rndis rndis;
	struct rndis_counts counts;
	struct held_buffer send_pages, receive_pages;
	struct receive_buffer buffer;
	bool table_told; /* how the guest shall spread what it sends */
	bool paused;
	/* replies of RNDIS that wait for room */
	struct {
		u32 size;
		u8 bytes[RNDIS_MAX_REPLY];
	} reply[REPLIES];
	unsigned replies;
	bool link_shown;
	u64 link_next; /* ns: the guest may be told again */
	u64 stall_end; /* ns: what waits outside is dropped; UINT64_MAX: nothing waits */
	u64 tell_at;   /* ns: answers that were put quietly are told; UINT64_MAX: none */
	u64 announce_at;
	unsigned announces; /* that are still to be made */
	struct {
		struct net_frame frame[NET_BATCH];
		struct frame_head head[NET_BATCH];
		struct iovec iov[NET_BATCH * 24];
		unsigned frames, sent, iovs;
		/* packets whose frames these are: answered when so many have gone */
		struct {
			struct nic_channel *channel; /* NULL: it has closed */
			u64 transaction;
			u32 status;
			unsigned frames;
			bool copied; /* the guest had copied it: it holds nothing for it */
		} done[NET_BATCH];
		unsigned dones, told;
		bool blocked; /* the port says when it has room */
	} send;
	struct {
		struct net_frame frame[NET_BATCH];
		struct slot slot[NET_BATCH];
		unsigned ready; /* slots, from the first on */
		unsigned batch; /* how many are made ready */
		u64 ticket;
		u8 *large; /* two of the largest frames, where the guest takes no parts */
		u32 vlan_of_pieces;
	} receive;
	struct {
		u64 spoofed;	 /* out: from another's address */
		u64 malformed;	 /* out */
		u64 unplugged;	 /* out: no link */
		u64 no_buffer;	 /* in: the guest gave no buffers back */
		u64 ring_full;	 /* in */
		u64 unwanted;	 /* in: not for this guest */
		u64 unreadable;	 /* in: makes no sense */
		u64 bad_returns; /* of sub-allocations that the guest does not have */
		u64 stalls, replies_lost, links;
	} drops;
};

/* ---- netvsp.c ---- */
/* Answer a packet; the ring may be full. quietly: what comes next may tell the guest of it. */
void nic_answer(struct nic_channel *c, u64 transaction, u32 status, bool quietly);
void nic_set_alarm(struct netvsp *n);
bool nic_link_is_up(const struct netvsp *n);
void nic_show_link(struct netvsp *n);
int nic_hold(struct netvsp *n, u32 gpadl, struct held_buffer *ret_buffer, u64 *ret_size);

/* ---- send.c ---- */
/* A packet with RNDIS in it: message.section and message.size of the send buffer, then ranges. */
void nic_send_packet(struct nic_channel *c, u64 transaction,
		     const struct nvsp_output *message, const u8 *ranges, u32 size);
bool nic_send_is_full(const struct netvsp *n);
void nic_send_flush(struct netvsp *n);
/* What the port has not taken is dropped; packets are answered, but for those of c. */
void nic_send_drop(struct netvsp *n, const struct nic_channel *c);

/* ---- receive.c ---- */
int nic_receive_start(struct netvsp *n);
void nic_receive_stop(struct netvsp *n);
/* The port has frames. */
void nic_receive(struct netvsp *n);
/* Whether the port is listened to is looked at again: something has changed. */
void nic_receive_update(struct netvsp *n);
/* The guest has given back, or read: what stalled may go on. */
void nic_receive_resume(struct netvsp *n);
/* Frames that wait outside are dropped, counted in *io_count. */
void nic_receive_drain(struct netvsp *n, u64 *io_count);
/* One RNDIS control message to the guest. False: no room now. */
bool nic_receive_control(struct netvsp *n, const u8 *message, u32 size);
/* Does the guest take frames in parts, and want them? */
bool nic_takes_parts(const struct netvsp *n);
