/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's half of the VMBus protocol as a state machine: messages of the guest and events of
 * the host go in, outputs come out through one function. No guest memory, no locks, no clock, no
 * device: the same functions serve the server (vmbus/server.h), unit tests, fuzzers and saved
 * states.
 *
 * The connection:
 *
 *	            contact, version we speak           request offers
 *	DISCONNECTED ---------------------> CONNECTED ------------------> OFFERED
 *	     ^                                  |  contact or unload          |
 *	     |   every channel closed,          v                             |
 *	     +--- answer what waits ------- LEAVING <-------------------------+
 *
 * A channel, for each relid:
 *
 *	          open                  opened(ok)          close, rescind, leaving
 *	CLOSED ----------> OPENING ---------------> OPEN ---------------------------> CLOSING
 *	   ^                  | opened(failed)                                           |
 *	   +------------------+<--------------------------- closed() --------------------+
 *
 * rescinded: the host took the offer back; the slot is free when the guest has released the relid
 * (or left) and the channel is closed. The host answers OPENING by vmbus_protocol_opened and
 * CLOSING by vmbus_protocol_closed, at once or later, never from inside the output function.
 *
 * What is answered when: a guest that waits for an answer gets one, a failure where it has to be;
 * messages that nobody waits for and that make no sense in their state are counted and ignored.
 * The whole table is tests/unit/vmbus_protocol.c.
 */
#pragma once

#include "abi/vmbus.h"
#include "vmbus/gpadl.h"

#define VMBUS_MAX_CHANNELS 255 /* relids 1 to 255 */
#define VMBUS_CONNECTION_OF(relid) (0x10000u | (relid))

enum vmbus_output_kind {
	VMBUS_OUT_MESSAGE,  /* send size bytes of message to vp */
	VMBUS_OUT_OPEN,	    /* open relid: its slot says how; answer with opened() */
	VMBUS_OUT_CLOSE,    /* close relid; answer with closed() */
	VMBUS_OUT_RETARGET, /* relid's interrupts go to vp from now on */
	VMBUS_OUT_GONE, /* relid is free, its offer forgotten: it had been rescinded, or was a
			     * sub-channel of a guest that has left */
};

struct vmbus_output {
	enum vmbus_output_kind kind;
	u32 relid;
	u32 vp;
	u32 size;
	u8 message[VMBUS_MAX_MESSAGE];
};

struct vmbus_offer {
	struct guid interface, instance;
	u16 flags, mmio_mib;
	u16 sub_index; /* 0: a primary channel */
	u32 primary;   /* relid of the primary channel where sub_index > 0 */
	u8 user[120];
};

enum vmbus_connection_state {
	VMBUS_DISCONNECTED,
	VMBUS_CONNECTED,
	VMBUS_OFFERED,
	VMBUS_LEAVING,
};
enum vmbus_channel_state {
	VMBUS_CHANNEL_CLOSED,
	VMBUS_CHANNEL_OPENING,
	VMBUS_CHANNEL_OPEN,
	VMBUS_CHANNEL_CLOSING,
};

struct vmbus_slot {
	bool used;
	bool offered;	/* the guest has been told */
	bool rescinded; /* and that it is gone */
	bool released;	/* and it has said that it forgot */
	bool close;	/* closes as soon as it is open */
	enum vmbus_channel_state state;
	struct vmbus_offer offer;
	/* as the guest opened it; valid unless CLOSED */
	u32 open_id, vp, downstream;
	struct gpadl *ring;
	u8 user[120];
};

struct vmbus_contact {
	u32 version, vp, connection;
	bool speakable; /* all of it makes sense to us */
};

struct vmbus_protocol {
	u32 vp_count;
	void (*emit)(void *owner, const struct vmbus_output *output);
	void *owner;

	enum vmbus_connection_state state;
	u32 version, vp;
	/* LEAVING: what is answered when the last channel has closed */
	bool unload_waits, contact_waits;
	u32 unload_vp;
	struct vmbus_contact contact;
	struct vmbus_slot slot[VMBUS_MAX_CHANNELS + 1]; /* by relid; 0 unused */
	struct gpadls gpadls;
	struct {
		u64 messages, malformed, ignored, refused;
	} counts;
};

void vmbus_protocol_init(struct vmbus_protocol *p, u32 vp_count,
			 const struct gm_layout *ram,
			 void (*emit)(void *owner, const struct vmbus_output *output),
			 void *owner);
void vmbus_protocol_done(struct vmbus_protocol *p);
/*
 * The guest is reset: no answers, no outputs but GONE. Nothing of the host uses rings or GPADLs
 * any more.
 */
void vmbus_protocol_reset(struct vmbus_protocol *p);

/* Close every channel, as before an unload, but answer nothing: the host wants it (then: reset). */
void vmbus_protocol_leave(struct vmbus_protocol *p);

/* A message that the guest posted to a connection id. Any bytes. */
void vmbus_protocol_message(struct vmbus_protocol *p, u32 connection, const void *message,
			    u32 size);

/*
 * A device, or a sub-channel of one whose primary is there. -ENOSPC, -EEXIST (the same interface,
 * instance and sub_index), -ENOENT (no such primary).
 */
int vmbus_protocol_offer(struct vmbus_protocol *p, const struct vmbus_offer *offer,
			 u32 *ret_relid) MUST_CHECK;
/* Take it back, its sub-channels too; GONE comes at once or when the guest has released it. */
void vmbus_protocol_revoke(struct vmbus_protocol *p, u32 relid);

void vmbus_protocol_opened(struct vmbus_protocol *p, u32 relid, bool ok);
void vmbus_protocol_closed(struct vmbus_protocol *p, u32 relid);

/* Devices' own GPADLs (not rings): hold before use, let go at the latest before closed(). */
struct gpadl *vmbus_protocol_hold(struct vmbus_protocol *p, u32 relid, u32 gpadl);
void vmbus_protocol_let_go(struct vmbus_protocol *p, struct gpadl *gpadl);

/*
 * State, by records "vmbus", "gpadl", "channel" (state/record.h). Save: -EBUSY while a channel opens
 * or closes or the guest leaves. Restore: into a protocol that has offered the same devices, in the
 * same order, to nobody yet; -EPROTO where it is not a state of such a one, and the protocol is
 * good for nothing but done() then. Records of other names are skipped.
 */
struct state_writer;
int vmbus_protocol_save(const struct vmbus_protocol *p, struct state_writer *writer)
	MUST_CHECK;
int vmbus_protocol_restore(struct vmbus_protocol *p, const u8 *bytes, size_t size)
	MUST_CHECK;

/* The list that a channel can be opened on: whole pages, room for both rings. NULL: it is none. */
struct gpadl *vmbus_protocol_find_ring(struct vmbus_protocol *p, u32 relid, u32 gpadl,
				       u32 downstream);

/* NULL where relid is not in use. */
struct vmbus_slot *vmbus_protocol_slot(struct vmbus_protocol *p, u32 relid);
