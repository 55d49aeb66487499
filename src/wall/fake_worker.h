/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker that has no devices, in the same process: what unit tests and fuzz targets give the
 * hypervisor's side to talk to. It makes the shared memory, sends verbs when the test says so,
 * and answers accesses from a thread of its own with a function of the test; or leaves them, so
 * that the test sees a VP wait. It can also lie: everything in the shared memory is the test's.
 *
 *	1. fake_worker_new	memory, sockets, eventfds
 *	2. fake_worker_start	the thread that answers accesses (leave out to answer nothing)
 *	3. fake_worker_verb ...	the test's thread; hv's loop must run on another
 *	4. fake_worker_free	closes the verbs socket and joins the thread
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "wall/wall.h"

struct fake_worker {
	/* hv's ends */
	int verbs, access_event, hv_event;
	/* the worker's end of the verbs */
	int worker_verbs;

	u64 ram_size, vram_size, rom_size;
	u32 vp_count;
	struct wall_control *control;
	u8 *ram, *vram, *rom;
	_Atomic u8 *dirty, *code;

	/*
	 * Answer an access in place: read or fill slot->data. Set before the start; NULL answers
	 * with zeros. On the fake's thread.
	 */
	void (*on_access)(void *owner, struct fake_worker *worker, vp_index_t vp,
			  struct wall_access *slot);
	void (*on_posted)(void *owner, const struct wall_posted_write *write);
	void *owner;
	_Atomic u64 accesses, posted;
	_Atomic bool hold; /* leave accesses unanswered for now */

	u64 lines_head, flushes_head, posted_tail;
	u32 seq;
	int stop_event;
	pthread_t thread;
	bool started;
};

/* 0 or negative errno. */
int fake_worker_new(u64 ram_size, u32 vp_count, struct fake_worker **ret_worker)
	MUST_CHECK;
int fake_worker_start(struct fake_worker *worker) MUST_CHECK;
void fake_worker_free(struct fake_worker *worker);

/*
 * Ask and wait for the answer: its result, or -EPIPE when hv closed. block and ret_block as
 * wall_verb_request_block and wall_verb_reply_block say, or NULL; fd is -1 or travels along.
 */
int fake_worker_verb(struct fake_worker *worker, struct wall_request *request,
		     const void *block, int fd, struct wall_reply *ret_reply,
		     void *ret_block);
/* The same without parameters. */
int fake_worker_ask(struct fake_worker *worker, enum wall_verb verb);

/* Push into the rings; ring hv's event where ring is true. */
void fake_worker_line(struct fake_worker *worker, unsigned line, bool level, bool ring);
void fake_worker_msi(struct fake_worker *worker, u64 address, u32 data, bool ring);
/* Returns the ticket. */
u64 fake_worker_flush(struct fake_worker *worker, u64 first_page, u64 count);
/* Answer what was held. */
void fake_worker_release(struct fake_worker *worker);
