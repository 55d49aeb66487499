/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a person is told when their request cannot be done: one sentence that is built from
 * the inside out, and the cures that belong to it.
 *
 *	start 'web1': disk 'os.avhdx': parent 'os.vhdx': both headers damaged
 *
 * A function that takes a struct err returns a negative errno and sets the sentence, or
 * returns >= 0 and leaves it alone. The sentence lives inside the struct: nothing to free,
 * safe to copy, safe to send to another process.
 */
#pragma once

#include "base/types.h"

#define ERR_TEXT_SIZE 512
#define ERR_FIX_SIZE 256

struct err {
	int code;		  /* negative errno, 0 = nothing happened */
	char text[ERR_TEXT_SIZE]; /* one sentence, no line end, cut with "..." when too long */
	char fix[ERR_FIX_SIZE]; /* what to do about it; "" when there is nothing to say */
};

/* Set the sentence; returns code (a negative errno), so that one can `return err_set(...)`. */
int err_set(struct err *err, int code, const char *fmt, ...) PRINTF(3, 4);

/* Put "<context>: " before the sentence; returns err->code. */
int err_wrap(struct err *err, const char *fmt, ...) PRINTF(2, 3);

/* Say what cures it; returns err->code. */
int err_fix(struct err *err, const char *fmt, ...) PRINTF(2, 3);

/* The usual words for a negative errno ("No such file or directory"), lower case. */
const char *err_words(int code);
