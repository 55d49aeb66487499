/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A synthetic network adapter on VMBus channels (abi/netvsp.h), between a guest and a port
 * (net/port.h).
 *
 *	1. netvsp_new		offers itself on the server, without a cable
 *	2. netvsp_plug		a port; the link is up while its other side is there and netvsp_link says so
 *	3. the guest lives
 *	4. netvsp_free		its channels are closed (vmbus_server_close_all); closes the port
 *
 * To stand still: netvsp_pause, then vmbus_server_pause. To go on: netvsp_resume.
 *
 * How it is made:
 *
 *	nvsp.c, rndis.c, rss.c	what guest and host say to each other: pure state machines
 *	receive_buffer.c	who has which part of the receive buffer
 *	netvsp.c		channels, messages, replies, link: this device's life
 *	send.c, headers.c	frames of the guest's
 *	receive.c		frames for the guest
 *	state.c			saved state, inspect
 *
 * A frame of the guest's goes to the port out of the guest's pages, but for its headers, which are
 * copied, checked and sent from the copy. A frame for the guest is read into its receive buffer, but for
 * its beginning, which is looked at first. Nothing is allocated for a frame; what cannot be sent waits in
 * the guest's ring, what cannot be received outside.
 *
 * Thread: the loop's.
 */
#pragma once

#include "base/err.h"
#include "base/inspect.h"
#include "net/port.h"
#include "vmbus/server.h"

#define NETVSP_MAX_SUB_CHANNELS 15
/* Linux works on one change of the link in two seconds, and may lose one that comes sooner. */
#define NETVSP_LINK_NS 5000000000ull
/* Frames that a guest has no room for so long are old, and dropped. */
#define NETVSP_STALL_NS 1000000000ull

struct clock;
struct guest_memory;
struct netvsp;
struct state_writer;

struct netvsp_config {
	struct vmbus_server *server;
	struct guest_memory *gm;
	struct loop *loop; /* of the port */
	const struct clock *clock;
	/* Call netvsp_due then; UINT64_MAX: not at all. */
	void (*wake_at)(void *owner, u64 when_ns);
	void *owner;
	struct guid instance; /* stable over the VM's life */
	u8 mac[6];
	u16 mtu;	      /* of the port */
	bool spoofing;	      /* the guest may send from other addresses than mac */
	u16 max_sub_channels; /* <= NETVSP_MAX_SUB_CHANNELS */
};
int netvsp_new(const struct netvsp_config *config, struct netvsp **ret_netvsp) MUST_CHECK;
void netvsp_free(struct netvsp *netvsp);
void netvsp_due(struct netvsp *netvsp);
/* The guest starts again: its address is the first one. Its channels are closed. */
void netvsp_reset(struct netvsp *netvsp);

/* fd is ours from here on, also when it fails. Once. */
int netvsp_plug(struct netvsp *netvsp, enum net_port_kind kind, int fd, struct err *err)
	MUST_CHECK;
/* The cable is in, or out. The guest hears of it, at the earliest NETVSP_LINK_NS after the last time. */
void netvsp_link(struct netvsp *netvsp, bool in);

/*
 * Frames stand still: none is under way when pause returns. announce: the guest goes on in another
 * place, and who knows its address shall hear of it.
 */
void netvsp_pause(struct netvsp *netvsp);
void netvsp_resume(struct netvsp *netvsp, bool announce);

/*
 * State, a record "netvsp" with the adapter's instance in it; restore finds its own among the records,
 * after vmbus_server_restore. -EPROTO: there is no such state.
 */
int netvsp_save(const struct netvsp *netvsp, struct state_writer *writer) MUST_CHECK;
int netvsp_restore(struct netvsp *netvsp, const u8 *bytes, size_t size) MUST_CHECK;

/* branch: the adapter's, for instance "nic.0". */
void netvsp_inspect(const struct netvsp *netvsp, const char *branch, struct inspect *out);
