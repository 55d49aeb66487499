/* SPDX-License-Identifier: Apache-2.0 */
/* The disk program's end of the conversation of wall/disk_order.h. Any thread may say something. */
#pragma once

#include "base/err.h"
#include "disk/disk.h"
#include "wall/disk_order.h"

/* -EPIPE: the owner is gone. Descriptors that did not come are -1. */
int owner_receive_order(struct disk_order *ret_order, int *ret_source, int *ret_target,
			struct err *err) MUST_CHECK;
/* Ask for the parent of an image: its descriptor and name. */
int owner_ask_parent(const struct disk_parent *parent, struct disk_image_name *ret_name,
		     int *ret_fd, struct err *err) MUST_CHECK;

void owner_say_progress(u64 done, u64 total);
void owner_say_finding(bool error, const char *text);
void owner_say_facts(const struct disk_facts *facts);
void owner_say_done(void);
void owner_say_failed(const struct err *err);
