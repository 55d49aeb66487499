/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hv_netvsc of the mini-guest: initializes a network adapter, sends and receives frames. The other end of
 * the adapter's port is a socket here.
 */
#pragma once

#include "abi/netvsp.h"
#include "base/clock.h"
#include "miniguest/miniguest.h"
#include "vsp/netvsp/netvsp.h"

#define MININIC_RECEIVE_PAGES 1024
#define MININIC_SEND_PAGES 32

struct mininic {
	struct mini *mini;
	struct netvsp *netvsp;
	struct manual_clock clock;
	u64 wake_at;
	int wire; /* the port's other end */
	struct netvsp_config config;
	struct mini_channel channel;
	u64 transaction;
	u32 version;
	u64 can; /* told in NDIS_CONFIG */
	u32 mtu; /* the same, header included */
	/* what the host said */
	u32 sub_size, sub_count, section_size;
	u64 receive_page, send_page, control_page;
};

/* A frame that came to the guest, put together again. */
struct mininic_frame {
	u32 size;
	u8 bytes[70000];
	u32 parts;
	bool has_sum, has_vlan, has_hash;
	u32 sum, vlan, hash;
	u64 transaction; /* give it back by mininic_return */
};

extern const u8 mininic_mac[6];

struct mininic *mininic_new(u16 max_sub_channels, bool spoofing);
void mininic_free(struct mininic *m);

/* An NVSP message and its answer; false: none came. */
bool mininic_ask(struct mininic *m, struct nvsp_message *io_message);
/* The same without an answer. */
bool mininic_tell(struct mininic *m, const struct nvsp_message *message);
/* Connect, open, agree, give buffers, initialize, set the filter: frames go. */
bool mininic_start(struct mininic *m);
/* All but RNDIS. */
bool mininic_begin(struct mininic *m);

/* An RNDIS control message in a page of its own; the reply's bytes, 0: none. */
u32 mininic_control(struct mininic *m, const void *message, u32 size, u8 reply[512]);
/* Query and set; the status. *io_size: room, then what came. */
u32 mininic_query(struct mininic *m, u32 oid, void *ret_data, u32 *io_size);
u32 mininic_set(struct mininic *m, u32 oid, const void *data, u32 size);

/* An RNDIS frame with these infos (each of 4 bytes) in front of it; its size in all. */
struct mininic_info {
	u32 type, value;
};
u32 mininic_make(u8 *to, const void *frame, u32 size, const struct mininic_info *infos,
		 unsigned count);
/* Send RNDIS bytes in a section of the send buffer, or in pages; the status of the answer, 0: none. */
u32 mininic_send_section(struct mininic *m, u32 section, const void *rndis, u32 size);
u32 mininic_send_pages(struct mininic *m, const void *rndis, u32 size);
/* What came out at the wire: its size with the header of 10 bytes, 0: nothing. */
u32 mininic_wire(struct mininic *m, u8 *ret_bytes, u32 size);

/* A frame arrives at the wire; the host looks at it. */
bool mininic_arrive(struct mininic *m, const struct virtio_net_hdr *todo,
		    const void *frame, u32 size);
/* Let the host work. */
void mininic_turn(struct mininic *m);
/* The guest takes the next packet: frames of it, at most count; how many. */
unsigned mininic_take(struct mininic *m, struct mini_channel *channel,
		      struct mininic_frame *ret_frames, unsigned count);
bool mininic_return(struct mini_channel *channel, u64 transaction);

/* The next control message that came unasked; 0: none. */
u32 mininic_heard(struct mininic *m, u8 message[512]);
/* Time passes. */
void mininic_advance(struct mininic *m, u64 ns);
/* To another host; false: what was saved is not taken. */
bool mininic_move(struct mininic *m);
