/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVSP, the outer protocol of a network adapter, as a state machine: the guest's messages go in, what
 * is to be done and said comes out. No guest memory, no clock, no channel: the adapter (netvsp.c), unit
 * tests and a fuzz target call the same functions. abi/netvsp.h has the layouts.
 *
 *	          init                 ndis config, ndis version,
 *	NEW ---------------> SPEAKING  receive buffer, send buffer, then RNDIS and sub-channels
 *	 ^                       |
 *	 +----- channel closes --+
 *
 * A message that makes no sense where it comes is answered with a failure, where the guest waits for
 * an answer, and counted.
 */
#pragma once

#include "abi/netvsp.h"

/* What the adapter does for the guest. */
enum nvsp_action {
	NVSP_DO_NOTHING,
	NVSP_DO_ANSWER,		/* with reply, and nothing else */
	NVSP_DO_RECEIVE_BUFFER, /* hold that list of pages, then nvsp_receive_buffer */
	NVSP_DO_SEND_BUFFER,	/* the same, nvsp_send_buffer */
	NVSP_DO_DROP_RECEIVE_BUFFER,
	NVSP_DO_DROP_SEND_BUFFER,
	NVSP_DO_RNDIS,	      /* what the packet carries */
	NVSP_DO_SUB_CHANNELS, /* answer with reply, then offer count of them */
};

struct nvsp_output {
	enum nvsp_action action;
	u32 gpadl;		    /* of a buffer */
	u32 count;		    /* of sub-channels */
	u32 channel, section, size; /* of RNDIS */
	struct nvsp_message reply;
};

struct nvsp {
	u16 max_sub_channels;
	/* what the guest and we agreed on */
	u32 version; /* 0: nothing yet */
	u32 ndis_major, ndis_minor;
	u32 mtu; /* of frames, Ethernet's header included; 0: not said */
	u64 can; /* NVSP_CAN_... */
	/* the buffers that it gave; size 0: none */
	struct {
		u32 gpadl, size, sub_size, count;
	} receive;
	struct {
		u32 gpadl, size, section_size, count;
	} send;
	u32 sub_channels; /* promised */
	u64 malformed;
};

#define NVSP_SECTION_SIZE 6144u
/* Sub-allocations of the receive buffer: whole ones to a page, or whole pages each. */
#define NVSP_SUB_MIN 2048u
#define NVSP_SUB_MAX 16384u
#define NVSP_SUB_COUNT_MAX 16384u
/* MTU 9000, Ethernet's header, a tag. */
#define NVSP_MAX_MTU (9000u + 18u)

void nvsp_init(struct nvsp *n, u16 max_sub_channels);
/* The channel has closed, or opens: the guest begins anew. */
void nvsp_reset(struct nvsp *n);

/* One message, any bytes, copied. */
void nvsp_take(struct nvsp *n, const void *message, u32 size,
	       struct nvsp_output *ret_output);

/* size: the buffer's in bytes, 0: there is no such list of pages. The answer for the guest. */
void nvsp_receive_buffer(struct nvsp *n, u32 gpadl, u64 size,
			 struct nvsp_message *ret_reply);
void nvsp_send_buffer(struct nvsp *n, u32 gpadl, u64 size,
		      struct nvsp_message *ret_reply);

/* Can the guest take one frame in several sub-allocations? */
bool nvsp_takes_parts(const struct nvsp *n);
