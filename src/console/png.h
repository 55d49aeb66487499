/* SPDX-License-Identifier: Apache-2.0 */
/* A picture as a PNG file in memory. Pure, any thread; takes tens of milliseconds. */
#pragma once

#include "base/types.h"

#define PNG_MOST 4096u /* pixels each way */

/* width * height pixels of XRGB, line by line. *ret_bytes is the caller's. -ENOMEM, -EINVAL. */
int png_write(const u32 *pixels, u32 width, u32 height, u8 **ret_bytes, size_t *ret_size)
	MUST_CHECK;
