/* SPDX-License-Identifier: Apache-2.0 */
/* The little that all chips share: lines of inspect, heads of saved blocks. Any thread. */
#include "hv/chips/chip.h"

#include <stdarg.h>
#include <stdio.h>

#include "wall/wall.h"

/* "name: value", each on a line of its own. A value is cut at 511 characters. */
void inspect_line(struct inspect *out, const char *name, const char *fmt, ...)
{
	size_t room = out->size - out->used;
	char value[512];
	va_list ap;
	int n;

	if (room == 0)
		return;
	va_start(ap, fmt);
	vsnprintf(value, sizeof value, fmt, ap);
	va_end(ap);
	n = snprintf(out->text + out->used, room, "%s: %s\n", name, value);
	if (n > 0)
		out->used += min_u64((u64)n, room - 1);
}

void chip_state_finish(void *block, u16 version, void *state, size_t size)
{
	struct chip_state_head head = {
		.version = le16_of(version),
		.size = le16_of((u16)size),
	};

	memcpy(state, &head, sizeof head);
	memset(block, 0, WALL_CHIP_STATE_SIZE);
	memcpy(block, state, size);
}

bool chip_state_take(const void *block, u16 version, void *ret_state, size_t size)
{
	struct chip_state_head head;

	memcpy(ret_state, block, size);
	memcpy(&head, ret_state, sizeof head);
	return le16_get(head.version) == version && le16_get(head.size) == size;
}
