/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hypervisor that executes nothing, in the same process: what unit tests and fuzz targets give
 * the worker's side to talk to. It makes the shared memory, answers verbs from a thread of its
 * own, keeps what it was told, and lets the test play the VPs: fake_hv_access asks as a VP does.
 *
 *	1. fake_hv_new		memory, sockets, eventfds
 *	2. fake_hv_start	the thread that answers verbs (leave out to answer nothing)
 *	3. fake_hv_free		closes the verbs socket and joins the thread
 *
 * Flushes are done by the verbs thread as they come, unless hold_flushes is set; then the test
 * says when (fake_hv_flush_done).
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "wall/wall.h"

#define FAKE_HV_REQUESTS 256

struct fake_hv {
	/* descriptors of the memory, and the worker's ends of everything else */
	int ram_fd, vram_fd, rom_fd, dirty_fd, code_fd, control_fd;
	int verbs;	  /* the worker's end */
	int access_event; /* hv -> worker */
	int hv_event;	  /* worker -> hv */

	u64 ram_size, vram_size, rom_size;
	u32 vp_count;
	struct wall_control *control;
	u8 *ram;
	_Atomic u8 *dirty, *code;

	/* written by the verbs thread: what the worker said, in order */
	struct wall_request request[FAKE_HV_REQUESTS];
	_Atomic unsigned request_count;
	struct vp_state vp[WALL_MAX_VPS];
	_Atomic bool running;
	/* answer this verb with this errno (negative) instead of 0; 0 = none */
	_Atomic u32 refuse_verb;
	_Atomic int refuse_with;

	_Atomic bool hold_flushes;

	/* events of connections, by WALL_VERB_DOORBELL; ours */
	struct {
		u32 connection;
		int event;
	} doorbell[WALL_MAX_DOORBELLS];
	_Atomic unsigned doorbell_count;

	/* of WALL_VERB_LEND_EVENTS, by VP; ours; -1: not asked */
	int vp_event[WALL_MAX_VPS];

	/* the test's side of the rings */
	pthread_mutex_t lines_lock;
	u64 lines_tail;

	int hv_verbs; /* our end */
	pthread_t thread;
	bool started;
	int stop_event;
};

/* 0 or negative errno. */
int fake_hv_new(u64 ram_size, u64 rom_size, u32 vp_count, struct fake_hv **ret_hv)
	MUST_CHECK;
int fake_hv_start(struct fake_hv *hv) MUST_CHECK;
void fake_hv_free(struct fake_hv *hv);

/* The n-th request with this verb, NULL when there were fewer. */
const struct wall_request *fake_hv_request(const struct fake_hv *hv, u32 verb,
					   unsigned n);

/* Take the oldest line or MSI out of the ring; false when it is empty. */
bool fake_hv_take_line(struct fake_hv *hv, struct wall_line *ret_line);

/* Say that every flush up to the ticket is done, and wake who waits for it. */
void fake_hv_flush_done(struct fake_hv *hv, u64 ticket);
u64 fake_hv_flushes_asked(const struct fake_hv *hv);

/*
 * Ask as VP `vp` does and sleep until the answer is there; count elements of size bytes at data
 * go in or out. 0, or -ETIMEDOUT after 5 s.
 */
int fake_hv_access(struct fake_hv *hv, vp_index_t vp, enum wall_access_kind kind,
		   u64 address, u32 size, u32 count, void *data) MUST_CHECK;

/* HvCallPostMessage of VP `vp`: the status, or -ETIMEDOUT after 5 s. */
int fake_hv_post_message(struct fake_hv *hv, vp_index_t vp, u32 connection, u32 type,
			 const void *payload, u32 size) MUST_CHECK;

/* HvCallSignalEvent; false where nobody has connected. */
bool fake_hv_signal_event(struct fake_hv *hv, u32 connection);

/* Take an event flag that the worker set: true if it was. */
bool fake_hv_take_flag(struct fake_hv *hv, vp_index_t vp, u32 flag);

/* Queue a posted write; false when the ring is full. */
bool fake_hv_post(struct fake_hv *hv, enum wall_access_kind kind, u64 address, u32 size,
		  u64 value);
