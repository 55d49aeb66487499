/* SPDX-License-Identifier: Apache-2.0 */
/* The guest-physical map; see memory_map.h. */
#include "hv/memory_map.h"

#include <errno.h>

#include "base/checked.h"

/* The video window: no RAM answers here unless a slot says so. */
#define HOLE_START 0xa0000ull
#define HOLE_END 0xc0000ull
/* IOAPIC, LAPIC and what else of ours stands below 4 GiB: no slot may hide it. */
#define OWN_MMIO_START 0xfec00000ull
#define OWN_MMIO_END 0xfef00000ull

enum layer { LAYER_RAM, LAYER_DEVICE };

static enum layer slot_layer(const struct map_slot *s)
{
	return s->region == WALL_REGION_RAM && s->kind == WALL_MAP_RW ? LAYER_RAM
								      : LAYER_DEVICE;
}

/* ---- the flat map --------------------------------------------------------------------------- */

/* Cut [gpa, gpa + size) out of what is there. */
static void cut(struct memory_map *map, gpa_t gpa, u64 size)
{
	gpa_t end = gpa + size;
	unsigned count = map->flat_count;

	for (unsigned k = 0; k < count; k++) {
		struct engine_slot *f = &map->flat[k];
		gpa_t f_end = f->gpa + f->size;

		if (f->size == 0 || !ranges_overlap(gpa, size, f->gpa, f->size))
			continue;
		if (f_end > end) { /* the part behind */
			struct engine_slot behind = *f;
			u64 skip = end - f->gpa;

			behind.gpa = end;
			behind.size = f_end - end;
			behind.host += skip;
			behind.ram_page += skip >> WALL_PAGE_SHIFT;
			map->flat[map->flat_count++] = behind;
		}
		f->size = f->gpa < gpa ? gpa - f->gpa : 0;
	}
}

static void put(struct memory_map *map, gpa_t gpa, u64 size, u32 region, u64 offset,
		bool writable, bool log)
{
	if (size == 0)
		return;
	cut(map, gpa, size);
	map->flat[map->flat_count++] = (struct engine_slot){
		.gpa = gpa,
		.size = size,
		.host = map->region[region].host + offset,
		.writable = writable,
		.log = region == WALL_REGION_RAM && (log || map->log_all),
		.is_ram = region == WALL_REGION_RAM,
		.ram_page = region == WALL_REGION_RAM ? offset >> WALL_PAGE_SHIFT : 0,
	};
}

static void put_built_in(struct memory_map *map)
{
	u64 low = map->ram.low;

	put(map, 0, min_u64(low, HOLE_START), WALL_REGION_RAM, 0, true, false);
	if (low > HOLE_END)
		put(map, HOLE_END, low - HOLE_END, WALL_REGION_RAM, HOLE_END, true,
		    false);
	put(map, GM_HIGH_BASE, map->ram.high, WALL_REGION_RAM, low, true, false);
}

static void put_layer(struct memory_map *map, enum layer layer)
{
	for (unsigned k = 0; k < WALL_MAX_SLOTS; k++) {
		const struct map_slot *s = &map->slot[k];

		if (s->used && slot_layer(s) == layer)
			put(map, s->gpa, s->size, s->region, s->offset,
			    s->kind == WALL_MAP_RW, s->log);
	}
}

static int by_gpa(const void *a, const void *b)
{
	const struct engine_slot *x = a, *y = b;

	return x->gpa < y->gpa ? -1 : x->gpa > y->gpa;
}

static void rebuild(struct memory_map *map)
{
	unsigned n = 0;

	map->flat_count = 0;
	put_built_in(map);
	put_layer(map, LAYER_RAM);
	put_layer(map, LAYER_DEVICE);
	for (unsigned k = 0; k < map->flat_count; k++) {
		if (map->flat[k].size > 0)
			map->flat[n++] = map->flat[k];
	}
	map->flat_count = n;
	qsort(map->flat, n, sizeof map->flat[0], by_gpa);
}

/* ---- changes -------------------------------------------------------------------------------- */

void memory_map_init(struct memory_map *map, const struct memory_region *regions,
		     _Atomic u8 *code_map, _Atomic u8 *dirty_map)
{
	*map = (struct memory_map){ .code_map = code_map, .dirty_map = dirty_map };
	memcpy(map->region, regions, sizeof map->region);
	u64 size = regions[WALL_REGION_RAM].size, start = regions[WALL_REGION_RAM].start;
	gm_layout_init(&map->ram, start ? start : size, start ? start : size);
	gm_layout_init(&map->ram_at_most, start ? start : size, size);
	rebuild(map);
}

/* Does the range touch RAM that is or may come (the hole has none)? */
static bool touches_ram(const struct memory_map *map, gpa_t gpa, u64 size)
{
	u64 low = map->ram_at_most.low, high = map->ram_at_most.high;

	return ranges_overlap(gpa, size, 0, min_u64(low, HOLE_START)) ||
	       (low > HOLE_END && ranges_overlap(gpa, size, HOLE_END, low - HOLE_END)) ||
	       (high > 0 && ranges_overlap(gpa, size, GM_HIGH_BASE, high));
}

/* May this slot, its numbers in range, lie where it wants to? */
static bool place_allowed(const struct memory_map *map, const struct map_slot *s)
{
	u64 offset;

	if (ranges_overlap(s->gpa, s->size, OWN_MMIO_START,
			   OWN_MMIO_END - OWN_MMIO_START))
		return false;
	switch ((enum wall_region)s->region) {
	case WALL_REGION_RAM:
		/* One place for each byte: the code map has one mark for it. */
		return gm_ram_offset(&map->ram_at_most, s->gpa, s->size, &offset) &&
		       offset == s->offset;
	case WALL_REGION_VRAM:
		return !touches_ram(map, s->gpa, s->size);
	case WALL_REGION_ROM:
		return s->kind == WALL_MAP_ROM || !touches_ram(map, s->gpa, s->size);
	case WALL_REGION_COUNT:
		break;
	}
	return false;
}

int memory_map_set(struct memory_map *map, const struct wall_request *request)
{
	const u64 page = WALL_PAGE_SIZE - 1;
	struct map_slot s = {
		.used = true,
		.kind = request->u.map.kind,
		.gpa = request->u.map.gpa,
		.size = request->u.map.size,
		.region = request->u.map.region,
		.offset = request->u.map.offset,
		.log = request->u.map.log == 1,
	};
	u32 number = request->u.map.slot;

	if (number >= WALL_MAX_SLOTS || s.kind > WALL_MAP_ROM)
		return -EINVAL;
	if (s.kind == WALL_MAP_NONE) {
		map->slot[number] = (struct map_slot){ 0 };
		rebuild(map);
		return 0;
	}
	if (((s.gpa | s.size | s.offset) & page) || s.size == 0 ||
	    s.region >= WALL_REGION_COUNT || request->u.map.log > 1 ||
	    !range_inside(s.gpa, s.size, BIT64(WALL_GPA_BITS)) ||
	    !range_inside(s.offset, s.size, map->region[s.region].size) ||
	    (s.region == WALL_REGION_ROM && s.kind == WALL_MAP_RW))
		return -EINVAL;
	if (!place_allowed(map, &s))
		return -EEXIST;
	for (unsigned k = 0; k < WALL_MAX_SLOTS; k++) {
		const struct map_slot *o = &map->slot[k];

		if (k != number && o->used && slot_layer(o) == slot_layer(&s) &&
		    ranges_overlap(s.gpa, s.size, o->gpa, o->size))
			return -EEXIST;
	}
	map->slot[number] = s;
	rebuild(map);
	return 0;
}

void memory_map_log_all(struct memory_map *map, bool on)
{
	map->log_all = on;
	rebuild(map);
}

/* ---- look-up -------------------------------------------------------------------------------- */

static const struct engine_slot *find(const struct memory_map *map, gpa_t gpa)
{
	unsigned low = 0, high = map->flat_count;

	while (low < high) {
		unsigned middle = (low + high) / 2;
		const struct engine_slot *f = &map->flat[middle];

		if (gpa < f->gpa)
			high = middle;
		else if (gpa - f->gpa >= f->size)
			low = middle + 1;
		else
			return f;
	}
	return NULL;
}

void memory_map_resolve(const struct memory_map *map, gpa_t gpa,
			struct x86_page *ret_page)
{
	const struct engine_slot *f = find(map, gpa);
	u64 skip;

	*ret_page = (struct x86_page){ 0 };
	if (!f)
		return;
	skip = (gpa - f->gpa) & ~(u64)(WALL_PAGE_SIZE - 1);
	ret_page->host = f->host + skip;
	ret_page->writable = f->writable;
	if (!f->is_ram)
		return;
	ret_page->ram_page = f->ram_page + (skip >> WALL_PAGE_SHIFT);
	ret_page->code = map->code_map + ret_page->ram_page;
	ret_page->span = f->size - skip;
	if (f->log)
		ret_page->dirty = map->dirty_map + ret_page->ram_page;
}
