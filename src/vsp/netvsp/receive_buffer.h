/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The receive buffer of a network adapter: guest pages, divided into sub-allocations of one size.
 * Each is free, the host's, or the guest's until it gives a whole chain back by the transaction number
 * of the packet that brought it.
 *
 * This is bookkeeping only; guest memory is not touched. Thread: the loop's.
 */
#pragma once

#include "base/types.h"

/* In front of a frame's bytes: RNDIS' header and all that can be said of the frame. */
#define RECEIVE_HEADROOM 112u
#define RECEIVE_NONE UINT32_MAX

struct receive_buffer {
	u32 sub_size, count; /* 0: there is none */
	u32 free_count;
	u32 *free; /* a stack of numbers */
	u32 *next; /* in a chain; RECEIVE_NONE: the last */
	u16 *head; /* the first of a chain that the guest has: its channel and one; else 0 */
};

int receive_buffer_init(struct receive_buffer *b, u32 sub_size, u32 count) MUST_CHECK;
void receive_buffer_done(struct receive_buffer *b);

/* RECEIVE_NONE where all are taken. */
u32 receive_buffer_take(struct receive_buffer *b);
/* One that was taken, and the guest does not have. */
void receive_buffer_give(struct receive_buffer *b, u32 sub);

/* A chain of what was taken: each has its next set. The guest gets it under the number returned. */
u64 receive_buffer_lend(struct receive_buffer *b, u32 first, unsigned channel);
/* The guest gives a chain back. False: it has no such one of that channel. */
bool receive_buffer_return(struct receive_buffer *b, u64 transaction, unsigned channel);
/* All that the guest has of a channel: it is closed. */
void receive_buffer_return_all(struct receive_buffer *b, unsigned channel);
