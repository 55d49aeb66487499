/* SPDX-License-Identifier: Apache-2.0 */
/* hv/memory_map.h: what lies where, and what may hide what. */
#include "harness.h"

#include "hv/memory_map.h"

#define RAM (64u << 20)
#define VRAM (4u << 20)
#define ROM (1u << 20)

struct fixture {
	struct memory_map map;
	_Atomic u8 code[RAM >> 12], dirty[RAM >> 12];
};

/* Host addresses that nobody follows. */
#define RAM_HOST ((u8 *)0x100000000)
#define VRAM_HOST ((u8 *)0x200000000)
#define ROM_HOST ((u8 *)0x300000000)

static struct fixture *fixture_new(u64 ram)
{
	struct fixture *f = calloc(1, sizeof *f);
	struct memory_region regions[] = { { RAM_HOST, ram },
					   { VRAM_HOST, VRAM },
					   { ROM_HOST, ROM } };

	if (f)
		memory_map_init(&f->map, regions, f->code, f->dirty);
	return f;
}

static int map(struct fixture *f, u32 slot, u32 kind, u32 region, u64 gpa, u64 size,
	       u64 offset)
{
	struct wall_request request = { .verb = WALL_VERB_MAP };

	request.u.map.slot = slot;
	request.u.map.kind = kind;
	request.u.map.region = region;
	request.u.map.gpa = gpa;
	request.u.map.size = size;
	request.u.map.offset = offset;
	return memory_map_set(&f->map, &request);
}

static u8 *at(struct fixture *f, gpa_t gpa)
{
	struct x86_page page;

	memory_map_resolve(&f->map, gpa, &page);
	return page.host;
}

static bool writable(struct fixture *f, gpa_t gpa)
{
	struct x86_page page;

	memory_map_resolve(&f->map, gpa, &page);
	return page.writable;
}

TEST(map_has_ram_but_for_the_video_hole)
{
	AUTO_FREE struct fixture *f = fixture_new(RAM);

	ASSERT(f);
	ASSERT(at(f, 0) == RAM_HOST);
	ASSERT(at(f, 0x9f123) == RAM_HOST + 0x9f000);
	ASSERT(!at(f, 0xa0000));
	ASSERT(!at(f, 0xbffff));
	ASSERT(at(f, 0xc0000) == RAM_HOST + 0xc0000);
	ASSERT(at(f, RAM - 1) == RAM_HOST + RAM - 4096);
	ASSERT(!at(f, RAM));
	ASSERT(!at(f, UINT64_MAX));
	ASSERT(writable(f, 0));
}

TEST(map_puts_ram_beyond_3_gib_at_4_gib)
{
	AUTO_FREE struct fixture *f = fixture_new(5ull << 30);
	struct x86_page page;

	ASSERT(f);
	ASSERT(at(f, 0xbfffffff) == RAM_HOST + 0xbffff000);
	ASSERT(!at(f, 0xc0000000));
	ASSERT(!at(f, 0xffffffff));
	memory_map_resolve(&f->map, 0x100000000, &page);
	ASSERT(page.host == RAM_HOST + 0xc0000000);
	ASSERT_EQ(page.ram_page, 0xc0000);
	ASSERT(at(f, 0x17fffffff) == RAM_HOST + (5ull << 30) - 4096);
	ASSERT(!at(f, 0x180000000));
}

TEST(map_has_what_comes_later_only_by_a_slot_and_in_its_own_place)
{
	AUTO_FREE struct fixture *f = calloc(1, sizeof *f);
	const u64 start = 1 << 20, high = 0x100000000;
	struct memory_region regions[] = { { RAM_HOST, RAM, start },
					   { VRAM_HOST, VRAM },
					   { ROM_HOST, ROM } };

	ASSERT(f);
	memory_map_init(&f->map, regions, f->code, f->dirty);
	ASSERT(at(f, start - 1) == RAM_HOST + start - 4096);
	ASSERT(!at(f, start));
	ASSERT(!at(f, high));
	/* Below 4 GiB nothing is added, nor anywhere else than where those bytes belong. */
	ASSERT_ERR(map(f, 2, WALL_MAP_RW, WALL_REGION_RAM, start, start, start), EEXIST);
	ASSERT_ERR(map(f, 2, WALL_MAP_RW, WALL_REGION_RAM, high, start, 2 * start),
		   EEXIST);
	ASSERT_ERR(map(f, 2, WALL_MAP_RW, WALL_REGION_RAM, high, RAM, start), EINVAL);
	/* Nor does anything else lie where it may come. */
	ASSERT_ERR(map(f, 3, WALL_MAP_RW, WALL_REGION_VRAM, high, 4096, 0), EEXIST);
	ASSERT_EQ(map(f, 2, WALL_MAP_RW, WALL_REGION_RAM, high, start, start), 0);
	ASSERT(at(f, high) == RAM_HOST + start);
	ASSERT(!at(f, high + start));
	/* The same slot grows, and goes. */
	ASSERT_EQ(map(f, 2, WALL_MAP_RW, WALL_REGION_RAM, high, RAM - start, start), 0);
	ASSERT(at(f, high + RAM - start - 1) == RAM_HOST + RAM - 4096);
	ASSERT(writable(f, high));
	ASSERT_EQ(map(f, 2, WALL_MAP_NONE, 0, 0, 0, 0), 0);
	ASSERT(!at(f, high));
	ASSERT(at(f, 0) == RAM_HOST);
}

TEST(map_lets_rom_hide_ram_only_by_its_name)
{
	AUTO_FREE struct fixture *f = fixture_new(RAM);

	ASSERT(f);
	ASSERT_ERR(map(f, 0, WALL_MAP_RO, WALL_REGION_ROM, 0xe0000, 0x20000, 0), EEXIST);
	ASSERT_ERR(map(f, 0, WALL_MAP_RW, WALL_REGION_ROM, 0xfff00000, 0x1000, 0),
		   EINVAL);
	ASSERT_EQ(map(f, 0, WALL_MAP_ROM, WALL_REGION_ROM, 0xe0000, 0x20000, 0x1000), 0);
	ASSERT(at(f, 0xe0000) == ROM_HOST + 0x1000);
	ASSERT(!writable(f, 0xe0000));
	ASSERT(at(f, 0xdffff) == RAM_HOST + 0xdf000);
	ASSERT(at(f, 0x100000) == RAM_HOST + 0x100000);
	/* Taken away, the RAM is there again. */
	ASSERT_EQ(map(f, 0, WALL_MAP_NONE, 0, 0, 0, 0), 0);
	ASSERT(at(f, 0xe0000) == RAM_HOST + 0xe0000);
	ASSERT(writable(f, 0xe0000));
}

TEST(map_lets_video_memory_into_the_hole_and_nowhere_else)
{
	AUTO_FREE struct fixture *f = fixture_new(RAM);

	ASSERT(f);
	ASSERT_EQ(map(f, 1, WALL_MAP_RW, WALL_REGION_VRAM, 0xa0000, 0x20000, 0), 0);
	ASSERT(at(f, 0xa1000) == VRAM_HOST + 0x1000);
	ASSERT_ERR(map(f, 2, WALL_MAP_RW, WALL_REGION_VRAM, 0x100000, 0x1000, 0), EEXIST);
	ASSERT_ERR(map(f, 2, WALL_MAP_RW, WALL_REGION_VRAM, 0xb0000, 0x20000, 0), EEXIST);
	ASSERT_EQ(map(f, 2, WALL_MAP_RW, WALL_REGION_VRAM, 0xe0000000, VRAM, 0), 0);
	ASSERT(at(f, 0xe03fffff) == VRAM_HOST + VRAM - 4096);
	/* Our interrupt controllers are not to be hidden. */
	ASSERT_ERR(map(f, 3, WALL_MAP_RW, WALL_REGION_VRAM, 0xfee00000, 0x1000, 0),
		   EEXIST);
	ASSERT_ERR(map(f, 3, WALL_MAP_RW, WALL_REGION_VRAM, 0xfe000000, 0x1000000, 0),
		   EINVAL);
}

TEST(map_shadows_ram_read_only_in_its_own_place)
{
	AUTO_FREE struct fixture *f = fixture_new(RAM);

	ASSERT(f);
	ASSERT_EQ(map(f, 5, WALL_MAP_RO, WALL_REGION_RAM, 0xf0000, 0x10000, 0xf0000), 0);
	ASSERT(at(f, 0xf0000) == RAM_HOST + 0xf0000);
	ASSERT(!writable(f, 0xf0000));
	ASSERT(writable(f, 0xef000));
	/* Elsewhere those bytes would have two code marks in one. */
	ASSERT_ERR(map(f, 6, WALL_MAP_RW, WALL_REGION_RAM, 0xd0000000, 0x1000, 0),
		   EEXIST);
	ASSERT_ERR(map(f, 6, WALL_MAP_RO, WALL_REGION_RAM, 0x1000, 0x1000, 0x2000),
		   EEXIST);
	/* The hole can be opened. */
	ASSERT_EQ(map(f, 6, WALL_MAP_RW, WALL_REGION_RAM, 0xa0000, 0x20000, 0xa0000), 0);
	ASSERT(at(f, 0xa0000) == RAM_HOST + 0xa0000);
}

TEST(map_refuses_numbers_that_are_out_of_range)
{
	AUTO_FREE struct fixture *f = fixture_new(RAM);
	struct x86_page page;

	ASSERT(f);
	ASSERT_ERR(map(f, WALL_MAX_SLOTS, WALL_MAP_RW, WALL_REGION_VRAM, 0xe0000000, 4096,
		       0),
		   EINVAL);
	ASSERT_ERR(map(f, 0, 99, WALL_REGION_VRAM, 0xe0000000, 4096, 0), EINVAL);
	ASSERT_ERR(map(f, 0, WALL_MAP_RW, 3, 0xe0000000, 4096, 0), EINVAL);
	ASSERT_ERR(map(f, 0, WALL_MAP_RW, WALL_REGION_VRAM, 0xe0000001, 4096, 0), EINVAL);
	ASSERT_ERR(map(f, 0, WALL_MAP_RW, WALL_REGION_VRAM, 0xe0000000, 4095, 0), EINVAL);
	ASSERT_ERR(map(f, 0, WALL_MAP_RW, WALL_REGION_VRAM, 0xe0000000, 0, 0), EINVAL);
	ASSERT_ERR(map(f, 0, WALL_MAP_RW, WALL_REGION_VRAM, 0xe0000000, VRAM, 4096),
		   EINVAL);
	ASSERT_ERR(map(f, 0, WALL_MAP_RW, WALL_REGION_VRAM, 0xe0000000, 4096,
		       UINT64_MAX & ~4095ull),
		   EINVAL);
	ASSERT_ERR(map(f, 0, WALL_MAP_RW, WALL_REGION_VRAM, UINT64_MAX & ~4095ull, 8192,
		       0),
		   EINVAL);
	memory_map_resolve(&f->map, 0xe0000000, &page);
	ASSERT(!page.host);
}

TEST(map_keeps_marks_of_ram_pages_right_when_it_is_cut_to_pieces)
{
	AUTO_FREE struct fixture *f = fixture_new(RAM);
	struct x86_page page;

	ASSERT(f);
	for (u32 k = 0; k < WALL_MAX_SLOTS; k++) {
		u64 gpa = 0x200000 + k * 0x2000ull;
		ASSERT_EQ(map(f, k, WALL_MAP_ROM, WALL_REGION_ROM, gpa, 0x1000,
			      k * 0x1000ull),
			  0);
	}
	for (u32 k = 0; k < WALL_MAX_SLOTS; k++) {
		u64 gpa = 0x200000 + k * 0x2000ull;
		ASSERT(at(f, gpa) == ROM_HOST + k * 0x1000ull);
		memory_map_resolve(&f->map, gpa + 0x1000, &page);
		ASSERT(page.host == RAM_HOST + gpa + 0x1000);
		ASSERT(page.code == f->code + ((gpa + 0x1000) >> 12));
	}
	memory_map_resolve(&f->map, 0x5000, &page);
	ASSERT(!page.dirty);
	memory_map_log_all(&f->map, true);
	memory_map_resolve(&f->map, 0x5000, &page);
	ASSERT(page.dirty == f->dirty + 5);
}
