/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-16, as integration components speak, from and to UTF-8. Bounded, any thread. */
#pragma once

#include "base/types.h"

/*
 * UTF-8 into UTF-16 with a terminator, of at most `units` with it. The size in bytes, terminator and
 * all; 0 where it does not fit or is no UTF-8.
 */
size_t ic_text_write(const char *text, u8 *ret_data, size_t units);

/*
 * What a guest sent: up to the terminator, or `size` bytes. Always terminated, always UTF-8: what
 * makes no sense or would move a terminal's cursor becomes U+FFFD; what does not fit is cut.
 */
void ic_text_read(const u8 *data, size_t size, char *ret_text, size_t text_size);
