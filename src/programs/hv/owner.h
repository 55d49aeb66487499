/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM's owner at the other end of OWNER_FD: its configuration, its questions, what it is
 * told. hv trusts it. Thread: main's, which is the loop's.
 */
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "hv/partition.h"
#include "wall/wall.h"

#define OWNER_INSPECT_SIZE (256 * 1024)

struct owner {
	int socket;
	struct loop *loop;
	struct partition *partition; /* set before the loop runs */
	struct loop_watch *watch;
	char *text; /* OWNER_INSPECT_SIZE */
};

extern const struct partition_events owner_events; /* owner: struct owner */

/* Wait for the first message; the descriptors are ours, -1 where there is none. */
int owner_receive_config(int socket, struct hv_config *ret_config,
			 int ret_fds[HV_FD_COUNT], struct err *err) MUST_CHECK;

void owner_tell_ready(struct owner *owner, const char *report);
void owner_tell_failed(int socket, const struct err *err);

/* Answer from now on; the loop stops when the owner goes away. */
int owner_watch(struct owner *owner, struct err *err) MUST_CHECK;
