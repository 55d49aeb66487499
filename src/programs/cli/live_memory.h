/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much memory a VM that runs has, as its owner sees it: what the worker said last, and what of it
 * somebody wants to be otherwise.
 *
 * Thread: the loop's.
 */
#pragma once

#include <jansson.h>

#include "base/err.h"
#include "wall/worker_config.h"

struct live_memory {
	bool known; /* the worker has said anything */
	struct owner_message said;
};

void live_memory_hear(struct live_memory *memory, const struct owner_message *message);
/* NULL: nothing is known yet. A new reference. */
json_t *live_memory_show(const struct live_memory *memory);

/* What the host has left, to the worker. A host that does not say, or a worker that is gone, is fine. */
void live_memory_tell_host(int worker_socket);

/*
 * {"memory": bytes, "memory.min": bytes, "memory.max": bytes, "memory.buffer": percent,
 * "memory.weight": number}, some of them, into an order. -EINVAL.
 */
int live_memory_read(const json_t *body, struct worker_memory_change *ret_change,
		     struct err *err) MUST_CHECK;
/* The same from a word of a command line, "memory.min=256M", as a pair of such an object. */
int live_memory_read_word(const char *word, json_t *body, struct err *err) MUST_CHECK;
