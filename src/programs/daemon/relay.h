/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request of ours to the owner of a VM that runs, on RUN/vms/NAME/control: sent and answered while the
 * loop goes on. What comes back is bounded and checked as any reply (control/http.h): owners hear guests'
 * processes.
 *
 * Thread: the loop's.
 */
#pragma once

#include <jansson.h>

#include "base/err.h"
#include "base/loop.h"

struct relay_answer {
	unsigned status; /* 0: there was none, and err says why */
	json_t *json;	 /* an object; NULL: the body is something else */
	const char *bytes;
	size_t size;
	const struct err *err;
};
typedef void (*relay_fn)(void *owner, const struct relay_answer *answer);

/* seconds 0: as long as it takes. body: borrowed, NULL for none. done is always called once, perhaps from inside. */
void relay_ask(struct loop *loop, const char *socket, const char *method,
	       const char *path, const json_t *body, unsigned seconds, relay_fn done,
	       void *owner);
