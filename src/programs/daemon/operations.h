/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What takes a while: an operation is answered at once with 202, and looked at, waited for and cancelled at
 * /1.0/operations/N.
 *
 *	running --operation_end--> success or failure
 *	    \--DELETE--> cancelled, where it can be
 *
 * The last OPERATIONS_KEPT that are over are kept. Thread: the loop's.
 */
#pragma once

#include <jansson.h>

#include "control/server.h"
#include "programs/daemon/events.h"

#define OPERATIONS_KEPT 256
#define OPERATIONS_RUNNING 4096

struct operations;
struct operation;

int operations_new(struct events *events, struct operations **ret_operations) MUST_CHECK;
void operations_free(struct operations *operations);

/* Who carries it out forgets it then. */
typedef void (*operation_cancel_fn)(void *owner, struct operation *operation);
/* what: "start", "stop"; vm: its name. NULL: no memory, or too many. cancel: NULL where it cannot be. */
struct operation *operation_new(struct operations *operations, const char *what,
				const char *vm, operation_cancel_fn cancel, void *owner);
/* 0 to 100, and what is done. */
void operation_progress(struct operation *operation, unsigned percent, const char *text);
/* It is over: err NULL or code 0: well. A cancelled one stays that. The operation is ours to forget then. */
void operation_end(struct operation *operation, const struct err *err);

/* 202 with the operation. */
void operation_accept(struct operation *operation, struct control_call *call);

/* GET /1.0/operations, /N, /N/wait (held until it is over), DELETE /N. */
json_t *operations_list(const struct operations *operations);
void operations_show(struct operations *operations, const char *id,
		     struct control_call *call);
void operations_wait(struct operations *operations, const char *id,
		     struct control_call *call);
void operations_cancel(struct operations *operations, const char *id,
		       struct control_call *call);
unsigned operations_running(const struct operations *operations);
