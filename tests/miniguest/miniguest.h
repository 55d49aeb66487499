/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's side of VMBus, in the same process and thread: what a driver does, without a
 * processor. It has memory, posts messages, opens channels on rings of its own, sends and receives
 * packets as hv_vmbus does; and it can do all of it wrongly.
 *
 *	1. mini_new		memory, a VMBus server, an event loop
 *	2. vmbus_server_add	the devices under test, to mini->server
 *	3. mini_connect, mini_open, mini_send, mini_wait ...
 *	4. mini_free		the devices were freed before
 *
 * The host's side runs inside the calls: what it does at once has happened when a call returns;
 * what takes disk I/O happens in mini_wait.
 */
#pragma once

#include "base/loop.h"
#include "vmbus/server.h"
#include "wall/fake_hv.h"
#include "wall/guest_memory.h"

#define MINI_RAM (64ull << 20)
#define MINI_VPS 4
/* Pages below are the test's own, allocation begins here. */
#define MINI_FIRST_PAGE 1024

struct mini_ring {
	u64 page[512]; /* [0] is the control page */
	u32 size;      /* of the data */
};

struct mini_channel {
	struct mini *mini;
	u32 relid, gpadl;
	struct mini_ring out, in; /* guest to host, host to guest */
	u32 signals;		  /* of the host, seen so far */
};

struct mini {
	struct fake_hv *hv;
	struct guest_memory *gm;
	struct vmbus_server *server;
	struct loop *loop;
	u64 next_page,
		first_page; /* first: where allocation begins again at the end of memory */
	u32 next_gpadl;
	/* messages of the host, oldest first */
	struct {
		u32 vp, size;
		u8 bytes[VMBUS_MAX_MESSAGE];
	} message[2048];
	u32 message_first, message_count;
	bool refuse_messages;		  /* as an hv whose queue is full */
	u32 flag[VMBUS_MAX_CHANNELS + 1]; /* signals of the host by relid */
	u32 flag_vp[VMBUS_MAX_CHANNELS + 1];
	bool connected[VMBUS_MAX_CHANNELS + 1];
	bool woken[VMBUS_MAX_CHANNELS + 1];
};

struct mini *mini_new(void);
void mini_free(struct mini *mini);

/*
 * Another host for the same guest, whose memory stays: a new server without devices. The old
 * one's devices are freed by their owner before.
 */
void mini_move(struct mini *mini);

/* A page of the guest's, by number. */
u8 *mini_page(struct mini *mini, u64 page);
u64 mini_alloc(struct mini *mini, u32 pages);

/* Post; the hypercall's status. type goes into the header. */
u16 mini_post(struct mini *mini, u32 type, void *message, u32 size);
/* Take the oldest message of the host; false: none of this type was next. */
bool mini_take(struct mini *mini, u32 type, void *ret_message, u32 size);
/* Throw away what the host said. */
void mini_forget(struct mini *mini);

/* Contact with a version, ask for offers; false where it was refused. Offers stay in the queue. */
bool mini_connect(struct mini *mini, u32 version);
/* The next offer. */
bool mini_take_offer(struct mini *mini, struct vmbus_offer_message *ret_offer);
bool mini_unload(struct mini *mini);

/* A list of `pages` pages from first_page on, as header and bodies; the status of CREATED. */
u32 mini_gpadl(struct mini *mini, u32 relid, u32 id, const u64 *page, u32 pages);
/* Rings of out_pages and in_pages with their control pages; false: refused. */
bool mini_open(struct mini *mini, u32 relid, u32 out_pages, u32 in_pages,
	       struct mini_channel *ret_channel);
void mini_close(struct mini_channel *channel);
/* Close and tear down; true when the host has answered. */
bool mini_close_and_wait(struct mini_channel *channel);

/*
 * Send a packet whose bytes after its 16-byte header are given; header_size counts from the
 * packet's begin. False: the ring is full. Signals as Linux does.
 */
bool mini_send(struct mini_channel *channel, u16 type, u16 flags, u64 transaction,
	       const void *bytes, u32 size, u32 header_size);
/* The same without a signal, and the signal alone. */
bool mini_put(struct mini_channel *channel, u16 type, u16 flags, u64 transaction,
	      const void *bytes, u32 size, u32 header_size);
void mini_signal(struct mini_channel *channel);
/* The next packet of the host: its size in all, 0 where there is none. */
u32 mini_receive(struct mini_channel *channel, void *ret_packet, u32 size);
/* Until there is one, at most five seconds; 0: none came. */
u32 mini_wait(struct mini_channel *channel, void *ret_packet, u32 size);
/* Let the host work until cond() holds; false: not within five seconds. */
bool mini_until(struct mini *mini, bool (*cond)(void *owner), void *owner);

/* A field of a ring's control page. */
u32 mini_field(struct mini *mini, const struct mini_ring *ring, u32 field);
void mini_set_field(struct mini *mini, const struct mini_ring *ring, u32 field,
		    u32 value);
