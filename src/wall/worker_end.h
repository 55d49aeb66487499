/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's end of the wall: verbs asked of hv, lines and MSIs pushed, accesses of the guest
 * served by a table of handlers. Guest RAM is guest_memory.h's. WALL.md sections 2 to 4.
 *
 *	1. worker_end_open, worker_hello
 *	2. worker_add_range for each device: handler first, then hv is told of it
 *	3. worker_run; worker_serve whenever access_event is readable
 *	4. worker_stop; worker_end_close
 *
 * Threads: the loop thread, but for worker_set_line and worker_msi, which any thread may call.
 * Handlers run on the loop thread, while the VP that asked stands.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include "wall/wall.h"

struct guest_memory;
struct worker_end;

/* The control memory must have been made for vp_count. fds stay the caller's. */
struct worker_end_config {
	struct wall_control *control;
	u32 vp_count;
	int verbs, access_event, hv_event;
};
int worker_end_open(const struct worker_end_config *config, struct worker_end **ret_end)
	MUST_CHECK;
void worker_end_close(struct worker_end *end);

/*
 * ---- verbs: each sleeps until hv has answered ----
 * 0, or negative errno with the sentence: hv's own refusal, -EPIPE when hv is gone, -EPROTO when
 * the answer is not one to this question.
 */
int worker_hello(struct worker_end *end, u64 ram_size, struct err *err) MUST_CHECK;

struct worker_map {
	u32 slot; /* < WALL_MAX_SLOTS */
	enum wall_map_kind kind;
	gpa_t gpa;
	u64 size;
	enum wall_region region;
	u64 offset;
	bool log;
};
int worker_map(struct worker_end *end, const struct worker_map *map, struct err *err)
	MUST_CHECK;
int worker_fw_cfg(struct worker_end *end, u16 key, u64 rom_offset, u32 size,
		  struct err *err) MUST_CHECK;
int worker_pci_present(struct worker_end *end, const u64 present[4], struct err *err)
	MUST_CHECK;
int worker_set_vp(struct worker_end *end, vp_index_t vp, const struct vp_state *state,
		  struct err *err) MUST_CHECK;
int worker_get_vp(struct worker_end *end, vp_index_t vp, struct vp_state *ret_state,
		  struct err *err) MUST_CHECK;
/* A block of a chip: WALL_CHIP_STATE_SIZE bytes. */
int worker_set_chip(struct worker_end *end, enum wall_chip chip, u32 index,
		    const void *block, struct err *err) MUST_CHECK;
int worker_get_chip(struct worker_end *end, enum wall_chip chip, u32 index,
		    void *ret_block, struct err *err) MUST_CHECK;
struct worker_clock {
	s64 realtime_offset_ns; /* guest's real time - host's */
	u64 reference_ns;
	u64 tsc_hz; /* as the guest knows it; 0 = as hv measured it */
};
int worker_set_clock(struct worker_end *end, const struct worker_clock *clock,
		     struct err *err) MUST_CHECK;
int worker_get_clock(struct worker_end *end, struct worker_clock *ret_clock,
		     struct err *err) MUST_CHECK;
int worker_run(struct worker_end *end, struct err *err) MUST_CHECK;
/* Accesses that wait are served, so that every VP stands between two instructions. */
int worker_stop(struct worker_end *end, struct err *err) MUST_CHECK;
int worker_reset(struct worker_end *end, struct err *err) MUST_CHECK;

/*
 * ---- interrupts ----
 * In the order of the calls. What is pushed while an access is served takes effect before the VP
 * that asked goes on. -EPIPE: hv takes nothing any more.
 */
int worker_set_line(struct worker_end *end, unsigned line, bool level);
int worker_msi(struct worker_end *end, u64 address, u32 data);

/*
 * From now on event (an eventfd, stays the caller's) sends that message, without hv's loop where the
 * engine can; event -1 takes number back. number < WALL_MAX_MSI_EVENTS. -EOPNOTSUPP: the engine
 * cannot, so use worker_msi; -EINVAL: no eventfd, or the address is no interrupt's.
 */
int worker_msi_event(struct worker_end *end, u32 number, u64 address, u32 data, int event,
		     struct err *err) MUST_CHECK;

/*
 * ---- doorbells ----
 * A write of the guest's that rings event (an eventfd, stays the caller's) and does nothing else:
 * the VP does not wait. Hides what a range of the worker's answers there. event -1 takes it away.
 */
struct worker_doorbell {
	bool mmio;
	u32 size; /* of the access: 1, 2, 4 or 8; 0 = any */
	u64 address;
	bool any_value;
	u64 match; /* the value that rings, else */
};
int worker_doorbell(struct worker_end *end, const struct worker_doorbell *doorbell,
		    int event, struct err *err) MUST_CHECK;

/*
 * ---- accesses ----
 * A device's registers. offset is relative to base; size is 1, 2, 4 or 8 and offset + size may
 * lie beyond the range (a guest may ask that): the handler decides. A write's value has no bits
 * above size; a read's are cut. The string functions may be NULL: then element by element.
 * For ports 0xcfc-0xcff the upper half of offset is the PCI address latch.
 */
struct worker_range_ops {
	u64 (*read)(void *owner, u64 offset, unsigned size);
	void (*write)(void *owner, u64 offset, unsigned size, u64 value);
	void (*read_string)(void *owner, u64 offset, unsigned size, unsigned count,
			    u8 *ret_data);
	void (*write_string)(void *owner, u64 offset, unsigned size, unsigned count,
			     const u8 *data);
};

struct worker_range {
	bool mmio;
	bool posted; /* writes do not wait: nothing but values may come of them */
	u64 base, size;
	const struct worker_range_ops *ops;
	void *owner;
};

/* -EEXIST where a range is already answered, -ENOSPC at WALL_MAX_IO_RANGES, or hv's refusal. */
int worker_add_range(struct worker_end *end, const struct worker_range *range,
		     struct err *err) MUST_CHECK;
int worker_remove_range(struct worker_end *end, bool mmio, u64 base, struct err *err)
	MUST_CHECK;

/*
 * Answer every access and posted write that waits, then look for more for up to 20 us if looking
 * was worth it the last two times.
 */
void worker_serve(struct worker_end *end);

/*
 * ---- synthetic interrupts ----
 * What the guest posts by hypercall comes to fn on the loop thread while the VP waits; fn's result
 * is the hypercall's status. NULL: every connection is unknown (0x12).
 */
typedef u16 (*worker_message_fn)(void *owner, u32 connection, u32 type,
				 const void *payload, u32 size);
void worker_on_message(struct worker_end *end, worker_message_fn fn, void *owner);

/* SignalEvent on a connection rings event (an eventfd, stays the caller's). */
int worker_connect(struct worker_end *end, u32 connection, int event, struct err *err)
	MUST_CHECK;
int worker_disconnect(struct worker_end *end, u32 connection, struct err *err) MUST_CHECK;

/*
 * Queue a SynIC message for a VP; -EAGAIN where hv's queue is full: again later. size <= 240.
 */
int worker_post(struct worker_end *end, vp_index_t vp, u32 sint, u32 type,
		const void *payload, u32 size) MUST_CHECK;
/* Set an event flag (1-2047) of a VP's VMBus interrupt source. */
void worker_signal(struct worker_end *end, vp_index_t vp, u32 flag);
/*
 * Where the engine can, flags are set in the guest's memory right there, which spares the way through
 * hv's loop: first make an eventfd a VP (before the thread is confined), then ask, once. gm outlives
 * the end.
 */
int worker_make_vp_events(struct worker_end *end) MUST_CHECK;
int worker_borrow_events(struct worker_end *end, struct guest_memory *gm, struct err *err)
	MUST_CHECK;

struct worker_end_counts {
	u64 accesses, posted, strings, lines, msis;
	u64 polls, poll_hits;
	u64 messages_in, messages_out, signals;
};
void worker_end_count(const struct worker_end *end, struct worker_end_counts *ret_counts);
