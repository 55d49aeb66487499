/* SPDX-License-Identifier: Apache-2.0 */
/* Sums, products and ranges of outside numbers: base/checked.h. */
#include "harness.h"

#include "base/checked.h"

TEST(sum_that_does_not_fit_is_refused_and_not_written)
{
	u64 sum = 42;

	ASSERT(!add_u64(UINT64_MAX, 1, &sum));
	ASSERT_EQ(sum, 42);
	ASSERT(add_u64(UINT64_MAX - 1, 1, &sum));
	ASSERT_EQ(sum, UINT64_MAX);
}

TEST(product_that_does_not_fit_is_refused_and_not_written)
{
	u64 product = 42;

	ASSERT(!mul_u64(1ull << 32, 1ull << 32, &product));
	ASSERT_EQ(product, 42);
	ASSERT(mul_u64(1ull << 32, 1ull << 31, &product));
	ASSERT_EQ(product, 1ull << 63);
}

TEST(range_that_wraps_lies_nowhere)
{
	ASSERT(range_inside(0, 0, 0));
	ASSERT(range_inside(4, 6, 10));
	ASSERT(range_inside(10, 0, 10));
	ASSERT(!range_inside(11, 0, 10));
	ASSERT(!range_inside(4, 7, 10));
	ASSERT(!range_inside(UINT64_MAX, 2, UINT64_MAX));
}

TEST(ranges_that_only_touch_do_not_overlap)
{
	ASSERT(!ranges_overlap(0, 10, 10, 10));
	ASSERT(!ranges_overlap(10, 10, 0, 10));
	ASSERT(ranges_overlap(0, 11, 10, 10));
	ASSERT(ranges_overlap(0, 100, 10, 1));
}
