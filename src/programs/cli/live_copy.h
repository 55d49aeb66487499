/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of the host's on its way into a guest: a thread opens it, since storage may not answer, says
 * how large it is, and puts its bytes into a pipe whose other end goes to the worker. A reader that
 * goes away ends it.
 *
 * Thread: the loop's.
 */
#pragma once

#include "base/err.h"
#include "base/loop.h"

/* Called once, never from inside. r < 0: err says why; else fd is the pipe's reading end,
 * non-blocking, the callee's. */
typedef void (*live_copy_fn)(void *owner, int r, u64 size, int fd, const struct err *err);

/* path: whole. -ENOMEM and the like: done is not called. */
int live_copy_open(struct loop *loop, const char *path, live_copy_fn done, void *owner)
	MUST_CHECK;
