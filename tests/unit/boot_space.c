/* SPDX-License-Identifier: Apache-2.0 */
/* boot/space.h: who lies where. */
#include "boot_fixture.h"

TEST(memory_map_leaves_out_the_hole)
{
	struct boot_region r[BOOT_REGIONS];

	ASSERT_EQ(boot_memory_map(MIB, r), 3);
	ASSERT_EQ(boot_memory_map(3 * GIB, r), 4);
	ASSERT_EQ(r[3].base + r[3].size, 3 * GIB);
	ASSERT_EQ(boot_memory_map(3 * GIB + 4096, r), 5);
	ASSERT_EQ(r[4].base, 4 * GIB);
	ASSERT_EQ(r[4].size, 4096);
	ASSERT_EQ(boot_memory_map(64 * GIB, r), 5);
	ASSERT_EQ(r[3].size + r[4].size + MIB, 64 * GIB);
}

TEST(two_claims_never_share_a_byte)
{
	struct boot_space s;
	struct err err;
	gpa_t at;

	boot_space_init(&s, 2 * MIB);
	ASSERT_EQ(boot_space_claim(&s, MIB, 4096, "a", &err), 0);
	ASSERT_ERR(boot_space_claim(&s, MIB + 4095, 2, "b", &err), EEXIST);
	ASSERT_STR(err.text, "b wants to lie at 0x100fff, where a is");
	ASSERT_ERR(boot_space_claim(&s, 2 * MIB - 1, 2, "b", &err), ENOMEM);
	ASSERT_ERR(boot_space_claim(&s, UINT64_MAX - 1, 4, "b", &err), ENOMEM);
	ASSERT_EQ(boot_space_find(&s, BOOT_LOWEST, 8192, 4096, MIB, GIB, "c", &at, &err),
		  0);
	ASSERT_EQ(at, MIB + 4096);
	ASSERT_EQ(boot_space_find(&s, BOOT_HIGHEST, 4097, 4096, MIB, GIB, "d", &at, &err),
		  0);
	ASSERT_EQ(at, 2 * MIB - 8192);
	ASSERT_EQ(boot_space_find(&s, BOOT_HIGHEST, 4096, 4096, MIB, GIB, "e", &at, &err),
		  0);
	ASSERT_EQ(at, 2 * MIB - 3 * 4096);
	ASSERT_ERR(boot_space_find(&s, BOOT_LOWEST, MIB, 4096, MIB, GIB, "f", &at, &err),
		   ENOMEM);
	ASSERT_ERR(boot_space_find(&s, BOOT_HIGHEST, MIB, 4096, MIB, GIB, "f", &at, &err),
		   ENOMEM);
	ASSERT_ERR(boot_space_find(&s, BOOT_HIGHEST, UINT64_MAX, 4096, 0, GIB, "f", &at,
				   &err),
		   ENOMEM);
	ASSERT_ERR(boot_space_find(&s, BOOT_LOWEST, 1, 4096, GIB, MIB, "f", &at, &err),
		   ENOMEM);
}

TEST(more_claims_than_the_table_holds_are_refused)
{
	struct boot_space s;
	struct err err;
	gpa_t at;

	boot_space_init(&s, 64 * MIB);
	for (unsigned i = s.count; i < BOOT_CLAIMS; i++)
		ASSERT_EQ(boot_space_find(&s, BOOT_LOWEST, 1, 4096, MIB, GIB, "x", &at,
					  &err),
			  0);
	ASSERT_ERR(boot_space_find(&s, BOOT_LOWEST, 1, 4096, MIB, GIB, "x", &at, &err),
		   E2BIG);
	ASSERT_ERR(boot_space_claim(&s, 32 * MIB, 1, "x", &err), E2BIG);
}
