/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums and products of numbers that came from outside. Each returns true when the result
 * fits; *ret_sum / *ret_product is written only then.
 */
#pragma once

#include "base/types.h"

static inline bool add_u64(u64 a, u64 b, u64 *ret_sum)
{
	u64 v;

	if (__builtin_add_overflow(a, b, &v))
		return false;
	*ret_sum = v;
	return true;
}

static inline bool mul_u64(u64 a, u64 b, u64 *ret_product)
{
	u64 v;

	if (__builtin_mul_overflow(a, b, &v))
		return false;
	*ret_product = v;
	return true;
}

/* Does [start, start + size) lie inside [0, limit)? An empty range at the end does. */
static inline bool range_inside(u64 start, u64 size, u64 limit)
{
	return start <= limit && size <= limit - start;
}

/* To a multiple of align, a power of two. What would not fit wraps. */
static inline u64 round_up(u64 value, u64 align)
{
	return (value + align - 1) & ~(align - 1);
}

/* Do [a, a + a_size) and [b, b + b_size) share a byte? Neither may wrap. */
static inline bool ranges_overlap(u64 a, u64 a_size, u64 b, u64 b_size)
{
	return a < b + b_size && b < a + a_size;
}
