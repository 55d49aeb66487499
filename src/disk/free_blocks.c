/* SPDX-License-Identifier: Apache-2.0 */
/* Places to use again; see free_blocks.h. */
#include "disk/free_blocks.h"

static bool add(struct offsets *o, u64 offset)
{
	if (o->count == o->room) {
		u32 room = o->room ? 2 * o->room : 64;
		u64 *at = realloc(o->at, room * sizeof *at);

		if (!at)
			return false;
		o->at = at;
		o->room = room;
	}
	o->at[o->count++] = offset;
	return true;
}

void free_blocks_add(struct free_blocks *f, u64 offset)
{
	(void)add(&f->freed, offset);
}

static void move_all(struct offsets *from, struct offsets *to)
{
	for (u32 i = 0; i < from->count; i++)
		(void)add(to, from->at[i]);
	from->count = 0;
}

void free_blocks_commit(struct free_blocks *f)
{
	move_all(&f->freed, &f->committing);
}

void free_blocks_committed(struct free_blocks *f, struct storage *storage, bool done)
{
	if (!done) {
		move_all(&f->committing, &f->freed);
		return;
	}
	for (u32 i = 0; i < f->committing.count; i++) {
		u64 offset = f->committing.at[i];

		if (storage_zero(storage, offset, f->size) == 0)
			(void)add(&f->ready, offset);
	}
	f->committing.count = 0;
}

bool free_blocks_take(struct free_blocks *f, u64 *ret_offset)
{
	if (f->ready.count == 0)
		return false;
	*ret_offset = f->ready.at[--f->ready.count];
	return true;
}

void free_blocks_done(struct free_blocks *f)
{
	free(f->freed.at);
	free(f->committing.at);
	free(f->ready.at);
	memset(f, 0, sizeof *f);
}
