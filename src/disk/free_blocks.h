/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places of blocks that an image no longer uses. A place may be used again only when the table that
 * does not name it any more is durable: else a power cut would bring back the old table, with
 * another block's data in that place. So it goes through three lists: freed, in the commit that is
 * under way, ready. The image's lock is held in every call.
 */
#pragma once

#include "base/types.h"
#include "disk/storage.h"

struct offsets {
	u64 *at;
	u32 count, room;
};
struct free_blocks {
	struct offsets freed, committing, ready;
	u64 size; /* of each place; all are the same */
};

/* No memory: the place is lost until the image is converted; no error. */
void free_blocks_add(struct free_blocks *f, u64 offset);
/* A commit begins: what was freed until now is in it. */
void free_blocks_commit(struct free_blocks *f);
/* It ended. Done: the places are made zeros, given back to the host, and ready. */
void free_blocks_committed(struct free_blocks *f, struct storage *storage, bool done);
/* A place full of zeros; false: there is none. */
bool free_blocks_take(struct free_blocks *f, u64 *ret_offset);
void free_blocks_done(struct free_blocks *f);
