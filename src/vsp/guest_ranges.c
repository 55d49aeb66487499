/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of guest pages in packets; see guest_ranges.h. */
#include "vsp/guest_ranges.h"

#include "abi/vmbus.h"
#include "wall/wall.h"

static bool take(const u8 **io_bytes, u32 *io_size, void *to, u32 size)
{
	if (*io_size < size)
		return false;
	memcpy(to, *io_bytes, size);
	*io_bytes += size;
	*io_size -= size;
	return true;
}

bool guest_ranges_walk(const u8 *bytes, u32 size, u32 limit,
		       bool (*add)(void *owner, gpa_t gpa, u32 size), void *owner)
{
	struct vmbus_gpa_direct h;

	if (!take(&bytes, &size, &h, sizeof h))
		return false;
	for (u32 k = le32_get(h.range_count); k > 0 && limit > 0; k--) {
		struct vmbus_range range;
		u32 offset, length;

		if (!take(&bytes, &size, &range, sizeof range))
			return false;
		offset = le32_get(range.offset);
		length = le32_get(range.size);
		if (offset >= VMBUS_PAGE || length == 0)
			return false;
		while (length > 0) {
			u32 n = (u32)min_u64(length, VMBUS_PAGE - offset);
			le64 page;

			if (!take(&bytes, &size, &page, sizeof page) ||
			    le64_get(page) >= BIT64(WALL_GPA_BITS - WALL_PAGE_SHIFT))
				return false;
			length -= n;
			n = (u32)min_u64(n, limit);
			if (n > 0 && !add(owner, le64_get(page) * VMBUS_PAGE + offset, n))
				return false;
			limit -= n;
			offset = 0;
		}
	}
	return true;
}
