/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's line to tabique-launcher (wall/launch_order.h). Where nobody is at the other end, requests
 * are refused at once, and it is tried again each second; a new line begins with the list of VMs that run.
 *
 * Thread: the loop's.
 */
#pragma once

#include "base/loop.h"
#include "wall/launch_order.h"

struct launcher_link;

struct launcher_link_config {
	struct loop *loop;
	const char *socket; /* path, stays the caller's */
	/* A list begins, has this one, is over; a VM is over. */
	void (*list_begins)(void *owner);
	void (*list_has)(void *owner, const struct launch_reply *vm);
	void (*list_is_over)(void *owner);
	void (*ended)(void *owner, const struct launch_reply *end);
	void *owner;
};
int launcher_link_new(const struct launcher_link_config *config,
		      struct launcher_link **ret_link) MUST_CHECK;
void launcher_link_free(struct launcher_link *link);
bool launcher_link_is_up(const struct launcher_link *link);

/* done once, when the answer is there; reply->kind: LAUNCH_DONE or LAUNCH_FAILED. Negative: it will not be. */
typedef void (*launcher_link_fn)(void *owner, const struct launch_reply *reply);
int launcher_link_ask(struct launcher_link *link, struct launch_request *request,
		      launcher_link_fn done, void *owner, struct err *err) MUST_CHECK;
