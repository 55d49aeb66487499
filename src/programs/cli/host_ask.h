/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of the command line to the host's daemon, and its operations. The daemon's socket is that of
 * this host, or what --host and TABIQUE_HOST say: a path, or unix:PATH. Blocks. Any thread.
 */
#pragma once

#include <jansson.h>

#include "base/err.h"

/* As control_ask; path: whole. -ENOENT: the daemon does not run. */
int host_ask(const char *method, const char *path, json_t *body, json_t **ret_metadata,
	     struct err *err) MUST_CHECK;
int host_fetch(const char *path, u8 **ret_bytes, size_t *ret_size, struct err *err)
	MUST_CHECK;

/* Where metadata is an operation, until it is over: a failure is the operation's own. Anything else: 0. */
int host_wait(const json_t *metadata, struct err *err) MUST_CHECK;

/* A connection to the daemon, the caller's. */
int host_connect(int *ret_fd, struct err *err) MUST_CHECK;
