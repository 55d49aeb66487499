/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest's driver of dynamic memory (abi/balloon.h) and its host say to each other: a state
 * machine without I/O, locks or clocks.
 *
 *	        opens          version          capabilities
 *	CLOSED -------> OPEN -----------> CAPS -------------> READY <-----------------------+
 *	   ^              | none of ours                        | too much: give pages back --> UP
 *	   |              v                                     | too little: take yours -----> DOWN
 *	   +-- closes -- REFUSED                                | too little, none is out: more ADDING
 *
 * One thing is asked at a time, and the guest has as long as it likes: what it was asked while it owed
 * an answer it would forget (Linux). That it is late is counted, and shown.
 *
 * Nothing is asked before the guest has said how it is for the first time, or for 50 seconds: Windows
 * Server 2019 falls over what comes earlier.
 *
 * Pages that come are looked at one by one: RAM of the guest's, and not here already. How many had been
 * asked for is not looked at. Only what the guest gave is given back to it. One that closes and opens
 * again may be another kernel, to which the pages are RAM as all other: they are forgotten then.
 *
 * Thread: the loop's.
 */
#pragma once

#include "abi/balloon.h"
#include "base/clock.h"
#include "base/inspect.h"
#include "state/record.h"
#include "vsp/balloon/page_set.h"
#include "wall/guest_memory.h"

#define BALLOON_FIRST_SECONDS 50
#define BALLOON_LATE_SECONDS 60 /* after that an answer is overdue */
#define BALLOON_AGAIN_SECONDS 5 /* until a guest is asked again that gave nothing */
#define BALLOON_ADD_SECONDS \
	30 /* until it is asked again to take more that it could not */

struct balloon_ops {
	/* To the guest; false: there is no room now. Then balloon_guest_room() when there may be. */
	bool (*send)(void *owner, const void *message, u32 size);
	/* These pages are the host's, whatever is in them. */
	void (*release)(void *owner, gpa_t gpa, u64 size);
	/* RAM ends there now, bytes from GM_HIGH_BASE. False: it cannot be. */
	bool (*set_high)(void *owner, u64 high);
	/* The guest has said how it is: balloon_guest.report. */
	void (*reported)(void *owner, u64 now_ns);
};

enum balloon_state {
	BALLOON_CLOSED,
	BALLOON_OPEN,
	BALLOON_CAPS_DUE,
	BALLOON_REFUSED,
	BALLOON_READY,
	BALLOON_GIVING, /* UP */
	BALLOON_TAKING, /* DOWN */
	BALLOON_ADDING,
	BALLOON_STATES,
};

struct balloon_guest {
	const struct balloon_ops *ops;
	void *owner;
	const struct gm_layout *ram;
	u64 start, room; /* bytes of RAM at the machine's start, and of the region */
	u64 max;	 /* what the guest is told that it may get to */

	enum balloon_state state;
	u32 version;
	u64 caps;
	u32 transaction;
	struct page_set out;  /* pages of the region */
	u64 target;	      /* bytes that it shall have; 0: nobody has said */
	u64 ready_at, ask_at; /* nothing is asked before, */
	u64 up_at, add_time;  /* nor for pages, nor to add any */
	u64 late_at;	      /* UINT64_MAX: it owes nothing, or is known to be late */
	u64 owed;	      /* pages that it shall give, take back, or add */
	bool sending;	      /* TAKING: messages are not all out */
	bool gave;	      /* GIVING: anything */

	u64 added;  /* bytes that it has taken */
	u64 add_at; /* where the next are, bytes from GM_HIGH_BASE */
	bool add_never;

	struct balloon_report {
		bool any;
		u64 available, committed; /* pages */
	} report;
	struct {
		u64 reports, given, taken, asked_up, asked_down, asked_add, added, late,
			malformed, unexpected, wrong;
	} counts;
};

/* ram outlives it. -ENOMEM. */
int balloon_guest_init(struct balloon_guest *b, const struct balloon_ops *ops,
		       void *owner, const struct gm_layout *ram, u64 start, u64 region)
	MUST_CHECK;
void balloon_guest_done(struct balloon_guest *b);

void balloon_guest_open(struct balloon_guest *b);
void balloon_guest_close(struct balloon_guest *b);
/* The machine begins anew: closed, with the RAM of its start. */
void balloon_guest_reset(struct balloon_guest *b);

/* One message of the guest's, of any bytes. */
void balloon_guest_receive(struct balloon_guest *b, const u8 *message, u32 size,
			   u64 now_ns);
/* The ring has room again. */
void balloon_guest_room(struct balloon_guest *b, u64 now_ns);
/* What it shall have from now on; it is asked for it when it can be. */
void balloon_guest_set_target(struct balloon_guest *b, u64 bytes, u64 now_ns);

/* The guest stood, or is elsewhere: what it owes it has time for anew. */
void balloon_guest_resume(struct balloon_guest *b, u64 now_ns);

/*
 * State: fields with ids below BALLOON_GUEST_FIELDS in a record of the caller's. saved_high: where RAM
 * ended then; restore: when it ends there again, and the channel is open or is not. 0 or -EPROTO.
 */
#define BALLOON_GUEST_FIELDS 64
void balloon_guest_save(const struct balloon_guest *b, struct state_writer *writer);
int balloon_guest_saved_high(const struct balloon_guest *b, struct state_record record,
			     u64 *ret_high) MUST_CHECK;
int balloon_guest_restore(struct balloon_guest *b, struct state_record record, bool open,
			  u64 now_ns) MUST_CHECK;

/* Below a branch. */
void balloon_guest_inspect(const struct balloon_guest *b, const char *branch,
			   struct inspect *out);

/* When something is due (UINT64_MAX: nothing is), and doing it. */
u64 balloon_guest_when(const struct balloon_guest *b);
void balloon_guest_due(struct balloon_guest *b, u64 now_ns);

static inline bool balloon_guest_is_there(const struct balloon_guest *b)
{
	return b->state >= BALLOON_READY;
}
static inline u64 balloon_guest_out(const struct balloon_guest *b)
{
	return b->out.count << WALL_PAGE_SHIFT;
}
static inline u64 balloon_guest_assigned(const struct balloon_guest *b)
{
	u64 has = b->start + b->added, out = balloon_guest_out(b);

	/* A guest can give pages that it was offered and did not take. */
	return has > out ? has - out : 0;
}
