/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ranges of guest pages that a GPA-direct packet lists behind its header, taken apart. The bytes
 * are a private copy; each turn uses up some of them.
 */
#pragma once

#include "base/types.h"

/*
 * add() is called for each piece, which lies within one page, in order, for the first `limit` bytes of
 * what is listed; false from it ends the walk. False: the list makes no sense, or add() said so.
 */
bool guest_ranges_walk(const u8 *bytes, u32 size, u32 limit,
		       bool (*add)(void *owner, gpa_t gpa, u32 size), void *owner);
