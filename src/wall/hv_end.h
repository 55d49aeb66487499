/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hv's end of the wall (wall.h): takes everything that the worker writes for hostile, copies it
 * once, checks it, and hands what is left to the partition through struct wall_hv_ops. It knows
 * no partition and no chip.
 *
 *	1. wall_hv_init		loop thread, before the VPs run
 *	2. wall_hv_on_verbs, wall_hv_on_event: loop thread, when the descriptor is readable
 *	   wall_hv_access, wall_hv_post, wall_hv_drain_lines: VP threads
 *	3. wall_hv_cancel	any thread: the VM ended, every waiting access comes back
 *	4. wall_hv_done		after the VP threads have ended
 *
 * Who writes what in the shared memory stands in wall.h. What matters here: an index of the
 * worker's is compared with our private copy and never used to address anything before that; what
 * we publish for the worker (tail, done) is never read back.
 *
 * A lie (a broken contract that the worker we built cannot commit) is reported once through
 * ops->lied; from then on this end takes nothing more.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/types.h"
#include "wall/wall.h"

struct wall_hv_ops {
	/*
	 * Serve one verb; loop thread. The request is whole: its verb is known, block has
	 * exactly wall_verb_blocks(verb) bytes or is NULL. *io_fd is the descriptor that came
	 * with it or -1; set it to -1 to keep it. The reply's payload is zero before;
	 * ret_block has room for the verb's reply block, which travels when the result is 0.
	 * Returns the result: 0 or a negative errno.
	 */
	int (*serve)(void *owner, const struct wall_request *request, const void *block,
		     int *io_fd, struct wall_reply *reply, void *ret_block);
	/* In ring order, under the lines lock; loop thread or a VP's. line < 24. */
	void (*line)(void *owner, unsigned line, bool level);
	void (*msi)(void *owner, u64 address, u32 data);
	/* Loop thread; the range lies inside RAM. Returns when nobody executes older code. */
	void (*drop_code)(void *owner, u64 first_page, u64 count);
	/*
	 * Loop thread: some VP may have events (wall.h: signalled). The owner takes them with
	 * wall_hv_take_events when the VM runs, else later.
	 */
	void (*events)(void *owner);
	/* Any thread, once: the VM has to end. how is a sentence. */
	void (*lied)(void *owner, const char *how);
	/* Loop thread: the verbs socket was closed. */
	void (*gone)(void *owner);
};

/* How many bytes follow the request, or its reply, of a verb. */
size_t wall_verb_request_block(u32 verb);
size_t wall_verb_reply_block(u32 verb);

struct wall_hv_config {
	struct wall_control *control; /* mapped shared, wall_control_size(vp_count) bytes */
	u32 vp_count;
	u64 ram_pages;
	int verbs, access_event, hv_event; /* stay the caller's */
	const struct wall_hv_ops *ops;
	void *owner;
};

struct wall_hv {
	struct wall_hv_config config;
	_Atomic bool lied;
	_Atomic bool cancelled;
	/* Lines are applied in ring order, whichever thread finds them: under this lock. */
	pthread_mutex_t lines_lock;
	u64 lines_tail;
	/* Loop thread. */
	u64 flushes_done;
	/* All VPs produce posted writes: under this lock. */
	pthread_mutex_t posted_lock;
	u64 posted_head;
	/* Any thread, for inspect. */
	_Atomic u64 accesses, posted, verbs;
};

void wall_hv_init(struct wall_hv *end, const struct wall_hv_config *config);
void wall_hv_done(struct wall_hv *end);

/* Serve the verbs that wait, a bounded number. Loop thread. */
void wall_hv_on_verbs(struct wall_hv *end);
/* hv_event was rung: lines and flushes. Loop thread. */
void wall_hv_on_event(struct wall_hv *end);
/* Apply the lines that were in the ring when called. Any thread that holds no other lock. */
void wall_hv_drain_lines(struct wall_hv *end);

/*
 * The events of all VPs, 64 flags a call: word * 64 on. Any thread.
 */
void wall_hv_take_events(struct wall_hv *end,
			 void (*signal)(void *owner, vp_index_t vp, unsigned word,
					u64 flags),
			 void *owner);

/*
 * The same for one VP, on its thread, also while another takes all; and the word that it sleeps on:
 * begin, and unless that said that events wait sleep while the word is 1, then end.
 */
void wall_hv_take_vp_events(struct wall_hv *end, vp_index_t vp,
			    void (*signal)(void *owner, vp_index_t vp, unsigned word,
					   u64 flags),
			    void *owner);
bool wall_hv_park_begin(struct wall_hv *end, vp_index_t vp, _Atomic u32 **ret_word);
void wall_hv_park_end(struct wall_hv *end, vp_index_t vp);
/* Where the worker may set the VP's event flags itself, or WALL_NOT_LENT. */
void wall_hv_lend_events(struct wall_hv *end, vp_index_t vp, gpa_t flags);

/*
 * Ask the worker and sleep until it has answered. kind and size are ours, count * size <=
 * WALL_ACCESS_DATA; data is read for writes and filled for reads. Does not drain lines: the
 * caller does, once it may go on. 0, or -ECANCELED when the VM ended (data is then all ones for
 * reads). on_slow is called once if there is no answer within WALL_ACCESS_SLOW_NS, and again with
 * false when the answer came after all.
 */
#define WALL_ACCESS_SLOW_NS 5000000000ull
int wall_hv_access(struct wall_hv *end, vp_index_t vp, enum wall_access_kind kind,
		   u64 address, unsigned size, unsigned count, void *data,
		   void (*on_slow)(void *owner, bool slow), void *slow_owner);

/*
 * HvCallPostMessage: as wall_hv_access, and drains no lines either. The caller filled *message
 * (copied from the guest, size <= 240); the worker's answer is *ret_status, 16 bits. -ECANCELED when
 * the VM ended.
 */
int wall_hv_post_message(struct wall_hv *end, vp_index_t vp,
			 const struct wall_message *message,
			 void (*on_slow)(void *owner, bool slow), void *slow_owner,
			 u16 *ret_status);

/*
 * Queue a posted write; false when there is no room: make it an access then. (The worker drains
 * the ring before it answers, so that the order holds.)
 */
bool wall_hv_post(struct wall_hv *end, enum wall_access_kind kind, u64 address,
		  unsigned size, u64 value);

/* Any thread: nobody waits for the worker any more. */
void wall_hv_cancel(struct wall_hv *end);
