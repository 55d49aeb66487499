/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Port 402: what SeaBIOS says while it starts. The last lines are kept for `inspect`, nothing is
 * printed: a guest may write what it likes. Reading gives e9, by which SeaBIOS knows that somebody
 * listens. Writes are posted. Thread: the loop's.
 */
#pragma once

#include "base/err.h"
#include "base/inspect.h"
#include "base/types.h"

#define FIRMWARE_LOG_LINES 64
#define FIRMWARE_LOG_WIDTH 100 /* what is longer is cut */

struct worker_end;

struct firmware_log {
	char line[FIRMWARE_LOG_LINES][FIRMWARE_LOG_WIDTH + 1];
	u64 lines;     /* that were begun */
	unsigned used; /* of the last one */
};

int firmware_log_connect(struct firmware_log *log, struct worker_end *end,
			 struct err *err) MUST_CHECK;
/* One character; only printable ones are kept. */
void firmware_log_put(struct firmware_log *log, u8 character);
void firmware_log_reset(struct firmware_log *log);
void firmware_log_inspect(const struct firmware_log *log, struct inspect *out);
