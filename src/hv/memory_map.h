/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest-physical map: which address is which byte of RAM, VRAM or ROM. What is not here is
 * MMIO (io_map.h) or nothing.
 *
 * Layers, lowest first; what lies in one layer never overlaps, a higher layer hides a lower one:
 *
 *	built in	RAM of the start as wall/guest_memory.h lays it out, less the hole A0000-BFFFF
 *	RAM slots	slots of region RAM, at the place that the layout gives those bytes
 *			(what comes while the guest runs; the hole; logging for a range)
 *	device slots	VRAM where no RAM is or can come (the hole, 3-4 GiB, above RAM); ROM, over RAM only
 *			by the kind WALL_MAP_ROM; RAM as RO or ROM (PAM: shadowed, writes dropped)
 *
 * Threads: changed on the loop's thread while all VPs stand; resolve on any VP's thread.
 */
#pragma once

#include <stdatomic.h>

#include "base/types.h"
#include "hv/engine.h"
#include "wall/guest_memory.h"
#include "wall/wall.h"
#include "x86/bus.h"

struct memory_region {
	u8 *host;
	u64 size;  /* bytes, page-aligned; 0 = there is none */
	u64 start; /* RAM: bytes that are built in; 0 = all */
};

struct map_slot {
	bool used;
	u32 kind; /* enum wall_map_kind */
	gpa_t gpa;
	u64 size;
	u32 region; /* enum wall_region */
	u64 offset;
	bool log;
};

/* A slot cuts at most one piece of a lower layer in two. */
#define MEMORY_MAP_FLAT_MAX (2 * WALL_MAX_SLOTS + 8)

struct memory_map {
	struct memory_region region[WALL_REGION_COUNT];
	_Atomic u8 *code_map;  /* a byte a RAM page */
	_Atomic u8 *dirty_map; /* a byte a RAM page */
	struct map_slot slot[WALL_MAX_SLOTS];
	struct gm_layout ram, ram_at_most; /* built in; the place of each byte */
	bool log_all;
	/* The map as it is, sorted by gpa, nothing overlapping. */
	struct engine_slot flat[MEMORY_MAP_FLAT_MAX];
	unsigned flat_count;
};

void memory_map_init(struct memory_map *map, const struct memory_region *regions,
		     _Atomic u8 *code_map, _Atomic u8 *dirty_map);

/*
 * One MAP verb, its numbers unchecked. 0, or -EINVAL (not a page, outside the region, unknown
 * number), -EEXIST (overlaps what it may not); the map is as before then.
 */
int memory_map_set(struct memory_map *map, const struct wall_request *request) MUST_CHECK;

/* All RAM logs its writes, or only the slots that say so. */
void memory_map_log_all(struct memory_map *map, bool on);

/* Any VP. host is NULL where there is no memory. */
void memory_map_resolve(const struct memory_map *map, gpa_t gpa,
			struct x86_page *ret_page);
