/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `tabique vm inspect` shows: lines "name: value". Dots in a name are the branches of a tree:
 *
 *	scsi.0.lun.3.reads: 17
 *
 * Everybody appends to one text, which is cut silently at its end and always terminated. Any
 * thread.
 */
#pragma once

#include "base/types.h"

struct inspect {
	char *text;
	size_t size, used; /* size > 0 */
};

/* A value is cut at 511 characters. */
void inspect_line(struct inspect *out, const char *name, const char *fmt, ...)
	PRINTF(3, 4);

/* The same below a branch: "<branch>.<name>: <words>"; and a number there. */
void inspect_words(struct inspect *out, const char *branch, const char *name,
		   const char *fmt, ...) PRINTF(4, 5);
void inspect_number(struct inspect *out, const char *branch, const char *name,
		    u64 number);
