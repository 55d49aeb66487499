/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who answers at a port or at an address that is no memory: a chip of ours, the worker (waiting
 * for its answer, or posted), a doorbell, nobody.
 *
 *	ports	one byte a port names its owner; an access of several bytes to a byte-wide chip,
 *		or to nobody, is split; everybody else gets it whole
 *	MMIO	LAPIC page, IOAPIC page, test latch; then doorbells; then the worker's ranges
 *
 * What the worker subscribes never hides a chip of ours, but for the minimal i8042 and port 0xe9
 * (where the worker has better ones). Reads of nobody are all ones.
 *
 * Threads: accesses on the VP's thread, no lock held. Changes on the loop's thread while all VPs
 * are outside (partition.h).
 */
#pragma once

#include <stdatomic.h>

#include "abi/hv_tlfs.h"
#include "base/types.h"
#include "wall/wall.h"

struct partition;
struct vp;

struct io_range {
	u64 base, size;
	bool mmio, posted;
};

struct doorbell {
	u32 kind; /* enum wall_doorbell_kind */
	u32 size; /* 0 = any */
	u64 address, match;
	bool any_value;
	bool by_engine; /* the engine rings it; what it does not match still comes to us */
	int event;	/* ours */
};

/* Who answers at a port: a class number, and whether doorbells hang on it. */
#define IO_PORT_DOORBELL 0x80u

struct io_map {
	struct partition *partition;
	u8 *port; /* [65536] */
	struct io_range range[WALL_MAX_IO_RANGES];
	unsigned range_count;
	struct doorbell doorbell[WALL_MAX_DOORBELLS];
	unsigned doorbell_count, mmio_doorbells;
	/*
	 * A VP that rings is outside, so its doorbell may be taken away meanwhile; the descriptor
	 * is closed once nobody rings.
	 */
	_Atomic u32 ringing;
	int retired[WALL_MAX_DOORBELLS];
	unsigned retired_count;
};

int io_map_init(struct io_map *map, struct partition *partition) MUST_CHECK;
void io_map_done(struct io_map *map);

/* Verbs; loop thread, VPs outside. The request's numbers are unchecked. */
int io_map_set_range(struct io_map *map, const struct wall_request *request) MUST_CHECK;
/* Takes *io_fd (and sets it to -1) when it keeps it. */
int io_map_set_doorbell(struct io_map *map, const struct wall_request *request,
			int *io_fd) MUST_CHECK;

/* The VP's thread. */
u32 io_map_pio_read(struct vp *vp, u16 port, unsigned size);
void io_map_pio_write(struct vp *vp, u16 port, unsigned size, u32 value);
void io_map_pio_read_string(struct vp *vp, u16 port, unsigned size, void *data,
			    unsigned count);
void io_map_pio_write_string(struct vp *vp, u16 port, unsigned size, const void *data,
			     unsigned count);
u64 io_map_mmio_read(struct vp *vp, gpa_t gpa, unsigned size);
void io_map_mmio_write(struct vp *vp, gpa_t gpa, unsigned size, u64 value);
/* Ring the connection's event; false: there is none. */
bool io_map_ring_connection(struct vp *vp, u64 connection);
/* Hand the worker a message that the guest posts; the guest's status. */
enum hv_status io_map_post_message(struct vp *vp, u32 connection, u32 type,
				   const void *payload, u32 size);
/* Wait until the worker is at no event flag that was lent to it. */
void io_map_ask_events_back(struct vp *vp);
