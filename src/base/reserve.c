/* SPDX-License-Identifier: Apache-2.0 */
/* Pages from the host; see reserve.h. */
#include "base/reserve.h"

#include <sys/mman.h>

void *memory_reserve(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

void memory_release(void *pages, size_t size)
{
	if (pages)
		munmap(pages, size);
}
