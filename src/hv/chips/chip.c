/* SPDX-License-Identifier: Apache-2.0 */
/* The little that all chips share: heads of saved blocks. Any thread. */
#include "hv/chips/chip.h"

#include "wall/wall.h"

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
