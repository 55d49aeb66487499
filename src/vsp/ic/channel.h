/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all integration components have in common (abi/ic.h): a channel on which versions are agreed,
 * and on which the host then asks one thing at a time.
 *
 *	         guest opens         question sent          versions agreed
 *	CLOSED -------------> OPEN ----------------> AGREEING ---------------> READY <-----------+
 *	   ^                                            |                       |                |
 *	   |                                            | none in common        | asked          | answer
 *	   |                                            v                       v                |
 *	   +------ guest closes, from anywhere ------ REFUSED                 ASKED -------------+
 *	                                                                        | time is over   |
 *	                                                                        v   late answer  |
 *	                                                                      SILENT ------------+
 *
 * One packet is on its way to the guest at most: its drivers read one at an interrupt, and what lies
 * behind it would stay there. So a guest that owes an answer is asked nothing else, and a question
 * that comes while versions are being agreed waits here for its turn, within its own time.
 *
 * A component is a struct ic_kind and an owner. Time is the host's clock; the guest's can stand.
 *
 * Thread: the loop's.
 */
#pragma once

#include "abi/ic.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/inspect.h"
#include "state/record.h"
#include "vmbus/server.h"

struct loop;

/* What all components of a machine share. */
struct ic_host {
	struct vmbus_server *server;
	const struct clock *clock;
	/* What is due of some component has changed. */
	void (*wake)(void *owner);
	/* The guest's reference time, in 100 ns; false: it cannot be had. */
	bool (*reference_time)(void *owner, u64 *ret_time);
	void *owner;
	struct loop *loop;
	bool paused; /* the guest stands: nothing is put into a ring */
};

struct ic_version {
	u16 major, minor;
};
#define IC_VERSIONS 4

struct ic_kind {
	const char *name;
	struct guid interface, instance;
	u16 message;				/* enum ic_message */
	struct ic_version version[IC_VERSIONS]; /* newest first, zeros behind */
	/* Called with nothing of the channel's on the stack: each may ask. NULL where not of interest. */
	void (*ready)(void *owner); /* versions are agreed */
	void (*answered)(void *owner, u32 status, const u8 *body, u32 size);
	void (*silent)(void *owner);	       /* no answer in time */
	void (*late)(void *owner, u32 status); /* the answer came after that */
	void (*closed)(void *owner);	       /* no answer will come */
	void (*timer)(void *owner);	       /* ic_timer_set's time has come */
	void (*resumed)(
		void *owner); /* the guest moves again: its time stood, or it is elsewhere */
	void (*inspect)(const void *owner, const char *branch, struct inspect *out);
	/* One number that goes with the state; before resumed(). */
	u64 (*keep)(const void *owner);
	void (*kept)(void *owner, u64 number);
};

enum ic_state {
	IC_CLOSED,
	IC_OPEN,
	IC_AGREEING,
	IC_REFUSED,
	IC_READY,
	IC_ASKED,
	IC_SILENT,
	IC_STATES,
};

struct ic_channel {
	struct ic_host *host;
	const struct ic_kind *kind;
	void *owner;
	struct vmbus_device_ops ops; /* with the component's name */
	u32 relid;
	struct vmbus_channel *vmbus; /* NULL: closed */
	enum ic_state state;
	struct ic_version framework, version; /* agreed: from READY on */
	u8 transaction;
	u64 deadline; /* of what was asked or waits; UINT64_MAX: none */
	u64 timer;    /* the component's own; UINT64_MAX: not set */
	bool waits;   /* the body below, for versions to be agreed */
	u32 size;
	u8 body[IC_MAX_BODY];
	struct {
		u64 asked, answered, silent, late, malformed, unexpected;
	} counts;
};

/* Offer it. The channel is embedded in its owner, which outlives the server's interest in it. */
int ic_channel_offer(struct ic_channel *channel, struct ic_host *host,
		     const struct ic_kind *kind, void *owner) MUST_CHECK;

/*
 * Ask: answered(), silent() or closed() follows, never from inside.
 * -ENOTCONN: the guest has no
 * driver for it, or none that we understand; -EBUSY: it owes an answer, or stands; -EIO: its ring
 * is broken or has no room.
 */
int ic_ask(struct ic_channel *channel, const void *body, u32 size, u64 timeout_ns)
	MUST_CHECK;
/* The sentence for a failure of ic_ask. Returns r. */
int ic_why_not(const struct ic_channel *channel, int r, struct err *err);

static inline bool ic_is_ready(const struct ic_channel *channel)
{
	return channel->state == IC_READY;
}

/* timer() is called then, once; UINT64_MAX: not. It is not while the guest stands. */
void ic_timer_set(struct ic_channel *channel, u64 when_ns);
u64 ic_now(const struct ic_channel *channel);

/* When something is due, and doing what is. */
u64 ic_channel_when(const struct ic_channel *channel);
void ic_channel_due(struct ic_channel *channel, u64 now_ns);
/* The guest moves again after host->paused. */
void ic_channel_resume(struct ic_channel *channel);

/*
 * State, a record "ic" with the instance in it. An answer that was due comes late after a restore:
 * who asked is elsewhere. The channel itself is vmbus_server's; restore after it. -EPROTO.
 */
void ic_channel_save(const struct ic_channel *channel, struct state_writer *writer);
int ic_channel_restore(struct ic_channel *channel, const u8 *bytes, size_t size)
	MUST_CHECK;

/* At branch ic.NAME. */
void ic_channel_inspect(const struct ic_channel *channel, struct inspect *out);
