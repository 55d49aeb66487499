/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The serial console of a VM without a terminal: what the guest said last is kept, and who asks is told, at
 * once or when it says more. Each byte has a number, from 0 on; the kept ones are the last
 * LIVE_SERIAL_KEPT.
 *
 * Thread: the loop's.
 */
#pragma once

#include <jansson.h>

#include "base/err.h"
#include "base/loop.h"

#define LIVE_SERIAL_KEPT 65536u

struct live_serial;

/* guest: a stream socket, stays the caller's, made non-blocking. */
int live_serial_new(struct loop *loop, int guest, struct live_serial **ret_serial)
	MUST_CHECK;
/* Who waits gets NULL. NULL is fine. */
void live_serial_free(struct live_serial *serial);

/*
 * What the guest said from byte `from` on: {"from", "to", "text"}, once there is any. text is UTF-8: '?' stands for
 * what is not. done gets it, its own, perhaps from inside. -ENOMEM, -EBUSY: it does not.
 */
typedef void (*live_serial_fn)(void *owner, json_t *text);
int live_serial_read(struct live_serial *serial, u64 from, live_serial_fn done,
		     void *owner) MUST_CHECK;
/* To the guest. -EAGAIN: it takes no more now. */
int live_serial_write(struct live_serial *serial, const char *text, size_t size)
	MUST_CHECK;
