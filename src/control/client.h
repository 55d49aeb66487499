/* SPDX-License-Identifier: Apache-2.0 */
/* One request to an API's server, and its reply. Blocks. Any thread. */
#pragma once

#include <jansson.h>

#include "base/err.h"

/*
 * body: taken, NULL for none. *ret_metadata is the caller's. What the server refuses comes back as
 * its sentence, with -ENOENT (404), -EBUSY (409), -EINVAL (400), -ETIMEDOUT (504) or -EIO.
 * -EPIPE: it went away before it had replied.
 */
int control_ask(int fd, const char *method, const char *path, json_t *body,
		json_t **ret_metadata, struct err *err) MUST_CHECK;

/* GET something that is no JSON: *ret_bytes is the caller's. Failures as of control_ask. */
int control_fetch(int fd, const char *path, u8 **ret_bytes, size_t *ret_size,
		  struct err *err) MUST_CHECK;
