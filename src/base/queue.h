/* SPDX-License-Identifier: Apache-2.0 */
/*
 * First come, first served. What waits has a link in it and stands in one queue at a time:
 *
 *	queue_add(&pool->waiting, &request->link);
 *	...
 *	struct queue_link *first = queue_take(&pool->waiting);
 *	request = first ? CONTAINER_OF(first, struct disk_request, link) : NULL;
 *
 * No lock: whoever shares a queue among threads has one.
 */
#pragma once

#include "base/types.h"

struct queue_link {
	struct queue_link *next;
};

struct queue {
	struct queue_link *first, **last;
};

static inline void queue_init(struct queue *q)
{
	q->first = NULL;
	q->last = &q->first;
}

static inline void queue_add(struct queue *q, struct queue_link *link)
{
	link->next = NULL;
	*q->last = link;
	q->last = &link->next;
}

/* NULL: it is empty. */
static inline struct queue_link *queue_take(struct queue *q)
{
	struct queue_link *link = q->first;

	if (link) {
		q->first = link->next;
		if (!q->first)
			q->last = &q->first;
	}
	return link;
}

/* All that is in it, linked in its order; NULL: it was empty. */
static inline struct queue_link *queue_take_all(struct queue *q)
{
	struct queue_link *first = q->first;

	queue_init(q);
	return first;
}
