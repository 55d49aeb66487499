/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-16, as disk images spell the names of their parents, from and to UTF-8. Bounded, any thread. */
#pragma once

#include "base/types.h"

/*
 * UTF-16 of count bytes into ret_text (terminated), '\' becoming '/'. Stops at a terminator.
 * False: an odd surrogate, a control character, or too long.
 */
bool text16_read(const u8 *data, size_t size, bool big_endian, char *ret_text,
		 size_t text_size);

/* UTF-8 into UTF-16, '/' becoming '\', not terminated; the size in bytes, 0 when it cannot be. */
size_t text16_write(const char *text, bool big_endian, u8 *ret_data, size_t size);
