/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of this process alone, in whole pages, for what is too large for the heap or wants to
 * begin on a page: zeroed, and taken from the host only where it is written. Any thread.
 */
#pragma once

#include "base/types.h"

/* NULL: there is none. */
void *memory_reserve(size_t size);

/* What memory_reserve or a mmap gave, with the size it was made with; NULL is nothing. */
void memory_release(void *pages, size_t size);
