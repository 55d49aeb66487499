/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A picture of a VM's screen as a PNG file: the worker writes its pixels into memory of ours, and a thread
 * makes the file of them, since that takes its time.
 *
 * Thread: the loop's.
 */
#pragma once

#include "base/loop.h"
#include "programs/cli/live_guest.h"

/* Called once, perhaps from inside. bytes are the callee's; r < 0: there are none, and err says why. */
typedef void (*live_picture_fn)(void *owner, int r, u8 *bytes, size_t size,
				const struct err *err);
void live_picture_take(struct loop *loop, struct live_guest *guest, live_picture_fn done,
		       void *owner);
/* The same, but the text on a screen in a text mode, in UTF-8. */
void live_picture_read(struct loop *loop, struct live_guest *guest, live_picture_fn done,
		       void *owner);
