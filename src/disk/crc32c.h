/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli), with which VHDX seals its structures. Any thread. */
#pragma once

#include "base/types.h"

/* Over several pieces: the result of one is the start of the next; the first start is 0. */
u32 crc32c(u32 start, const void *data, size_t size);
