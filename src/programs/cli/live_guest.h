/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest that runs is asked for, as the VM's owner sees it: orders to the worker, and who
 * waits for their answers. What the guest has to say comes as pairs before the answer.
 *
 * Thread: the loop's.
 */
#pragma once

#include <jansson.h>

#include "base/err.h"
#include "wall/worker_config.h"

struct live_guest;

/* The socket stays the caller's. */
int live_guest_new(int worker_socket, struct live_guest **ret_guest) MUST_CHECK;
/* Who still waits is told that the VM is over. */
void live_guest_free(struct live_guest *guest);

/*
 * Called once, perhaps from inside. r < 0: err says why. pairs: {pool: {key: value}}, where some came;
 * not the callee's.
 */
typedef void (*live_guest_fn)(void *owner, int r, json_t *pairs, const struct err *err);
/*
 * op and what belongs to it are filled in; the rest is not the caller's. fd goes with it and stays
 * the caller's; -1: none.
 */
void live_guest_ask(struct live_guest *guest, struct worker_guest_order *order, int fd,
		    live_guest_fn done, void *owner);

/* An OWNER_GUEST_... has come. */
void live_guest_hear(struct live_guest *guest, const struct owner_message *message);
