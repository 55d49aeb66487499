/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of both processes of a VM as one tree: {"hv": ..., "worker": ...}. Both are asked at
 * once and answer in pieces; who asks meanwhile gets the next round, which begins when this one is
 * over. A process that has not answered after RUN_INSPECT_SECONDS is shown as silent, and is asked
 * again only when its late answer is through.
 *
 * Thread: the loop's.
 */
#pragma once

#include <jansson.h>

#include "base/loop.h"
#include "wall/wall.h"

#define RUN_INSPECT_SECONDS 5

enum run_side { RUN_HV, RUN_WORKER, RUN_SIDES };

struct run_inspect;

/* The sockets stay the caller's. */
int run_inspect_new(struct loop *loop, int hv_socket, int worker_socket,
		    struct run_inspect **ret_inspect) MUST_CHECK;
/* Who waits gets NULL. */
void run_inspect_free(struct run_inspect *inspect);

/* done gets the tree, its own, perhaps from inside. -ENOMEM: it does not. */
typedef void (*run_inspect_fn)(void *owner, json_t *tree);
int run_inspect_ask(struct run_inspect *inspect, run_inspect_fn done, void *owner)
	MUST_CHECK;

/* An OWNER_INSPECT has come. */
void run_inspect_hear(struct run_inspect *inspect, enum run_side side,
		      const struct owner_message *message);
