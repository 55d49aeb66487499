/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's only way to guest RAM: range-checked copies by guest-physical address. hv's memory
 * map decides what lies where for the guest; the worker reaches RAM only, never a ROM or an
 * MMIO window (so a DMA can never dispatch to a device).
 *
 *	1. gm_open	maps RAM, dirty map and code map
 *	2. gm_read, gm_write, gm_fill, gm_pin/gm_unpin: any thread
 *	3. gm_close
 *
 * Every write marks the dirty map after its last byte; then a full barrier; then it reads the code
 * map and queues a flush for pages that hold decoded code. The caller publishes nothing (ring
 * index, status, interrupt) before gm_published(ticket). Writers before the guest runs may ignore
 * the ticket.
 *
 * RAM layout (struct gm_layout): what the machine starts with lies from 0 to 3 GiB at most, the rest
 * from 4 GiB up; what comes while the guest runs follows at 4 GiB. What has not come yet is no RAM, for
 * devices neither.
 */
#pragma once

#include <stdatomic.h>

#include "base/err.h"
#include "base/types.h"
#include "wall/wall.h"

/* RAM below the hole ends here at the latest; the rest continues at 4 GiB. */
#define GM_LOW_MAX 0xc0000000ull
#define GM_HIGH_BASE 0x100000000ull

/* Where RAM is; behind the low part's bytes in the region come those of the high one. */
struct gm_layout {
	u64 low;	  /* bytes from 0 */
	_Atomic u64 high; /* bytes from GM_HIGH_BASE */
};

/* Of a machine that started with `start` bytes and has `size` now. */
static inline void gm_layout_init(struct gm_layout *layout, u64 start, u64 size)
{
	layout->low = start < GM_LOW_MAX ? start : GM_LOW_MAX;
	atomic_init(&layout->high, size - layout->low);
}

/* Offset in the RAM region of a guest-physical range; false where it is not all RAM. */
static inline bool gm_ram_offset(const struct gm_layout *layout, gpa_t gpa, u64 size,
				 u64 *ret_offset)
{
	u64 high = atomic_load_explicit(&layout->high, memory_order_relaxed);

	if (gpa <= layout->low && size <= layout->low - gpa) {
		*ret_offset = gpa;
		return true;
	}
	if (gpa < GM_HIGH_BASE || high == 0)
		return false;
	gpa -= GM_HIGH_BASE;
	if (gpa > high || size > high - gpa)
		return false;
	*ret_offset = layout->low + gpa;
	return true;
}

struct guest_memory;

/*
 * ram_fd, dirty_fd, code_fd stay the caller's; control is mapped by the caller and outlives gm;
 * hv_event is written when a flush is queued. 0 or negative errno.
 */
int gm_open(int ram_fd, u64 ram_size, int dirty_fd, int code_fd,
	    struct wall_control *control, int hv_event, struct guest_memory **ret_gm)
	MUST_CHECK;
void gm_close(struct guest_memory *gm);

/*
 * Before anybody reads or writes: only `start` bytes of the region are RAM at first. -EINVAL: that is no
 * number of pages, or more than there are.
 */
int gm_start_with(struct guest_memory *gm, u64 start) MUST_CHECK;
/* RAM ends there from now on, as far as devices are concerned: bytes from GM_HIGH_BASE. -EINVAL. */
int gm_set_high(struct guest_memory *gm, u64 high) MUST_CHECK;

/* Bytes at the machine's start, and of the region: what there can be at most. */
u64 gm_ram_size(const struct guest_memory *gm);
u64 gm_region_size(const struct guest_memory *gm);
/* As it is; stays where it is. */
const struct gm_layout *gm_layout(const struct guest_memory *gm);

/* -EFAULT where the range is not all RAM; nothing is copied then. */
int gm_read(struct guest_memory *gm, gpa_t gpa, void *to, u64 size) MUST_CHECK;

/*
 * As gm_read, the other way. *io_ticket becomes the newest flush ticket that covers the write
 * and is left alone where no code was touched; start it at 0.
 */
int gm_write(struct guest_memory *gm, gpa_t gpa, const void *from, u64 size,
	     u64 *io_ticket) MUST_CHECK;
int gm_fill(struct guest_memory *gm, gpa_t gpa, u8 byte, u64 size, u64 *io_ticket)
	MUST_CHECK;

/*
 * A word that guest and host share while both run: aligned to 4 bytes, loaded once with acquire,
 * stored with release. A store marks as gm_write does and ends with a full barrier.
 */
int gm_load32(struct guest_memory *gm, gpa_t gpa, u32 *ret_value) MUST_CHECK;
int gm_store32(struct guest_memory *gm, gpa_t gpa, u32 value, u64 *io_ticket) MUST_CHECK;

/* The same for 64 bits at an address that is aligned to 8: set some, locked; the value before. */
int gm_or64(struct guest_memory *gm, gpa_t gpa, u64 bits, u64 *ret_old, u64 *io_ticket)
	MUST_CHECK;

/*
 * Give all of RAM back to the host: it reads as zeros from now on. The guest stands. Marks and
 * flushes as a write of everything.
 */
int gm_clear(struct guest_memory *gm, u64 *io_ticket) MUST_CHECK;

/*
 * The same with some pages, while the guest runs: it has given them up. Whoever touches them later finds
 * zeros. -EFAULT where they are not all RAM.
 */
int gm_release(struct guest_memory *gm, gpa_t gpa, u64 size, u64 *io_ticket) MUST_CHECK;

/* Has hv flushed all that the ticket stands for? 0 is always done. */
bool gm_published(const struct guest_memory *gm, u64 ticket);
/* Sleep until it has; -ETIMEDOUT after 5 s (hv is gone or stopped answering). */
int gm_wait_published(struct guest_memory *gm, u64 ticket) MUST_CHECK;

/*
 * For payload that nobody parses (disk sectors, frames): a host pointer to a range that is all
 * RAM, or NULL. After the last byte was written through it: gm_written().
 */
u8 *gm_pin(struct guest_memory *gm, gpa_t gpa, u64 size);
void gm_written(struct guest_memory *gm, gpa_t gpa, u64 size, u64 *io_ticket);
