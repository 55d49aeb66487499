/* SPDX-License-Identifier: Apache-2.0 */
/* Sub-allocations of a receive buffer; see receive_buffer.h. */
#include "vsp/netvsp/receive_buffer.h"

#include <errno.h>

int receive_buffer_init(struct receive_buffer *b, u32 sub_size, u32 count)
{
	*b = (struct receive_buffer){ .sub_size = sub_size, .count = count };
	b->free = calloc(count, sizeof *b->free);
	b->next = calloc(count, sizeof *b->next);
	b->head = calloc(count, sizeof *b->head);
	if (!b->free || !b->next || !b->head) {
		receive_buffer_done(b);
		return -ENOMEM;
	}
	/* The lowest is taken first. */
	for (u32 k = count; k-- > 0;)
		b->free[b->free_count++] = k;
	return 0;
}

void receive_buffer_done(struct receive_buffer *b)
{
	free(b->free);
	free(b->next);
	free(b->head);
	*b = (struct receive_buffer){ 0 };
}

u32 receive_buffer_take(struct receive_buffer *b)
{
	return b->free_count > 0 ? b->free[--b->free_count] : RECEIVE_NONE;
}

void receive_buffer_give(struct receive_buffer *b, u32 sub)
{
	b->free[b->free_count++] = sub;
}

u64 receive_buffer_lend(struct receive_buffer *b, u32 first, unsigned channel)
{
	b->head[first] = (u16)(channel + 1);
	return (u64)first + 1;
}

static void give_chain(struct receive_buffer *b, u32 first)
{
	b->head[first] = 0;
	for (u32 sub = first; sub != RECEIVE_NONE; sub = b->next[sub])
		receive_buffer_give(b, sub);
}

bool receive_buffer_return(struct receive_buffer *b, u64 transaction, unsigned channel)
{
	if (transaction == 0 || transaction > b->count ||
	    b->head[transaction - 1] != channel + 1)
		return false;
	give_chain(b, (u32)(transaction - 1));
	return true;
}

void receive_buffer_return_all(struct receive_buffer *b, unsigned channel)
{
	for (u32 k = 0; k < b->count; k++)
		if (b->head[k] == channel + 1)
			give_chain(b, k);
}
