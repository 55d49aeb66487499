/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VMBus of one VM: the protocol's state machine (vmbus/protocol.h) put to work. It carries
 * messages to and from the guest, opens channels on the guest's rings, and tells devices (VSPs)
 * when a channel opens, has something, closes.
 *
 *	1. vmbus_server_new	host: how messages and signals travel (vmbus/wall_host.h, or a test)
 *	2. vmbus_server_add	each device, in the order in which guests shall find them
 *	3. the guest lives
 *	4. vmbus_server_close_all	before a reset, the end
 *	5. vmbus_server_reset or vmbus_server_free
 *
 * To go on elsewhere: vmbus_server_pause, vmbus_server_save, there vmbus_server_restore.
 *
 * A device's life with one channel:
 *
 *	open() -> ready() ... ready() -> close() -> (I/O drains) -> vmbus_channel_closed()
 *
 * Between close() and vmbus_channel_closed() the guest's pages may still be written; afterwards not.
 * A device may send in ready() and from its own completions, until it has called
 * vmbus_channel_closed().
 *
 * Thread: the loop's. Callbacks of devices are never called from inside a call of theirs.
 */
#pragma once

#include "base/err.h"
#include "base/inspect.h"
#include "vmbus/protocol.h"
#include "vmbus/ring.h"

struct guest_memory;
struct vmbus_server;

/* Status of the hypercall HvCallPostMessage. */
enum {
	VMBUS_POSTED = 0,
	VMBUS_BAD_PARAMETER = 5,
	VMBUS_UNKNOWN_CONNECTION = 0x12,
	VMBUS_NO_BUFFERS = 0x13, /* the guest tries again later */
};

struct vmbus_host_ops {
	/* A SynIC message; -EAGAIN: vmbus_server_flush is called when there may be room. */
	int (*post)(void *host, vp_index_t vp, const void *message, u32 size);
	void (*signal)(void *host, vp_index_t vp, u32 flag);
	/* From now on (no longer) call vmbus_server_signalled(relid) when the guest signals. */
	int (*connect)(void *host, u32 connection, u32 relid);
	void (*disconnect)(void *host, u32 connection, u32 relid);
	/* Call vmbus_server_signalled(relid) soon, but not from here. */
	void (*wake)(void *host, u32 relid);
};

struct vmbus_channel {
	struct vmbus_server *server;
	u32 relid;
	const struct vmbus_offer *offer; /* primary: offer->sub_index 0 */
	const u8 *user;			 /* 120 bytes that came with the open */
	void *device;			 /* the device's own, for this channel */
	/* the server's */
	struct vmbus_ring in, out; /* guest to host, host to guest */
	bool masked, dead;
	bool owed;	      /* a signal, for what was sent without one */
	unsigned unread_done; /* packets read since the guest was told */
	struct {
		u64 packets_in, packets_out, signals_in, signals_out, full;
	} counts;
};

struct vmbus_device_ops {
	const char *name;
	/* 0, or negative: the guest is told that it failed. */
	int (*open)(void *owner, struct vmbus_channel *channel);
	void (*ready)(void *owner, struct vmbus_channel *channel);
	void (*close)(void *owner, struct vmbus_channel *channel);
	/* The offer is gone: relid may be another's. May be NULL. */
	void (*gone)(void *owner, u32 relid);
	/* Nothing is under way that its saved state would not have. NULL: never is. */
	bool (*at_rest)(const void *owner);
};

struct vmbus_server_config {
	struct guest_memory *gm;
	u32 vp_count;
	const struct vmbus_host_ops *host_ops;
	void *host;
};
int vmbus_server_new(const struct vmbus_server_config *config,
		     struct vmbus_server **ret_server) MUST_CHECK;
/* No channel is open, or nobody writes through one any more. */
void vmbus_server_free(struct vmbus_server *server);

/* As vmbus_protocol_offer and vmbus_protocol_revoke. */
int vmbus_server_add(struct vmbus_server *server, const struct vmbus_offer *offer,
		     const struct vmbus_device_ops *ops, void *owner, u32 *ret_relid)
	MUST_CHECK;
void vmbus_server_remove(struct vmbus_server *server, u32 relid);
/*
 * Offer sub-channels 1 to count, by the relids; one that is not 0 is there already. What can't be offered is
 * said in the log. offer: interface, instance, flags, and the primary channel that they belong to.
 */
void vmbus_server_add_sub_channels(struct vmbus_server *server, struct vmbus_offer offer,
				   const struct vmbus_device_ops *ops, void *owner,
				   unsigned count, u32 *relid);

/* HvCallPostMessage: the status. Any numbers, any bytes. */
u16 vmbus_server_message(struct vmbus_server *server, u32 connection, u32 type,
			 const void *payload, u32 size);
void vmbus_server_signalled(struct vmbus_server *server, u32 relid);
/* Messages that waited for room go out. */
void vmbus_server_flush(struct vmbus_server *server);

/*
 * Close every open channel; done is called when the last device has let go, at once where there
 * is none. The guest stands. Then reset: the guest has forgotten us.
 */
void vmbus_server_close_all(struct vmbus_server *server, void (*done)(void *owner),
			    void *owner);
void vmbus_server_reset(struct vmbus_server *server);

/*
 * Nothing more is read from any ring; done is called when everything is at rest, at once where it
 * is: then state can be saved. The guest stands. resume: as if nothing had been.
 */
void vmbus_server_pause(struct vmbus_server *server, void (*done)(void *owner),
			void *owner);
void vmbus_server_resume(struct vmbus_server *server);

/*
 * State of the connection and of all channels, as vmbus_protocol_save and _restore, and the messages
 * that the guest has not taken yet. The guest stands and devices are at rest. After a restore each
 * open channel was given to its device by open(), and is woken both ways: what the one side wrote
 * before the save, the other may not have been told.
 */
int vmbus_server_save(const struct vmbus_server *server, struct state_writer *writer)
	MUST_CHECK;
int vmbus_server_restore(struct vmbus_server *server, const u8 *bytes, size_t size)
	MUST_CHECK;

/* vmbus: the connection; vmbus.channel.N: each channel by its number. */
void vmbus_server_inspect(const struct vmbus_server *server, struct inspect *out);
struct vmbus_protocol *vmbus_server_protocol(struct vmbus_server *server);

/* ---- for devices ---- */

/*
 * The next packet, copied. 1: there is one; 0: none, and the guest signals the next; -EPROTO: the
 * guest broke the ring, nothing comes any more until it closes the channel.
 */
int vmbus_channel_read(struct vmbus_channel *channel, void *buffer, u32 size,
		       struct vmbus_packet *ret_packet) MUST_CHECK;
/* Enough for now: the room is given back; ready() is called again after vmbus_channel_again. */
void vmbus_channel_pause(struct vmbus_channel *channel);
void vmbus_channel_again(struct vmbus_channel *channel);
/*
 * Send and signal where needed. -EAGAIN: the ring is full; ready() is called when the guest has
 * made room. -EPROTO as above.
 */
int vmbus_channel_send(struct vmbus_channel *channel, u16 type, u16 flags,
		       u64 transaction, const void *payload, u32 size) MUST_CHECK;
/* The same, with more of a header in front of the payload: a multiple of 8 bytes. */
int vmbus_channel_send_more(struct vmbus_channel *channel, u16 type, u16 flags,
			    u64 transaction, const void *more, u32 more_size,
			    const void *payload, u32 size) MUST_CHECK;
/*
 * The same without a signal, where the guest need not hear of it soon: it does with the next packet
 * that is sent, or by vmbus_channel_tell, which the caller sees to.
 */
int vmbus_channel_send_quietly(struct vmbus_channel *channel, u16 type, u16 flags,
			       u64 transaction, const void *payload, u32 size) MUST_CHECK;
void vmbus_channel_tell(struct vmbus_channel *channel);
/* Has the guest read all that was sent? */
bool vmbus_channel_is_read(struct vmbus_channel *channel);
/* Less is under way than was: a device with at_rest() says so each time. */
void vmbus_channel_rested(struct vmbus_channel *channel);
/* close() has done its work. */
void vmbus_channel_closed(struct vmbus_channel *channel);
