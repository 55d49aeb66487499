/* SPDX-License-Identifier: Apache-2.0 */
/* What the firmware says; see firmware_log.h. */
#include "board/firmware_log.h"

#include <stdio.h>

#include "abi/board.h"
#include "wall/worker_end.h"

#define SOMEBODY_LISTENS 0xe9

static char *last(struct firmware_log *log)
{
	return log->line[(log->lines - 1) % FIRMWARE_LOG_LINES];
}

void firmware_log_put(struct firmware_log *log, u8 character)
{
	if (character == '\n' || log->lines == 0) {
		log->lines++;
		log->used = 0;
		last(log)[0] = '\0';
	}
	if (character < ' ' || character > '~' || log->used == FIRMWARE_LOG_WIDTH)
		return;
	last(log)[log->used++] = (char)character;
	last(log)[log->used] = '\0';
}

void firmware_log_reset(struct firmware_log *log)
{
	*log = (struct firmware_log){ 0 };
}

static u64 on_read(void *owner, u64 offset, unsigned size)
{
	return SOMEBODY_LISTENS;
}

static void on_write(void *owner, u64 offset, unsigned size, u64 value)
{
	firmware_log_put(owner, (u8)value);
}

static const struct worker_range_ops ops = { .read = on_read, .write = on_write };

int firmware_log_connect(struct firmware_log *log, struct worker_end *end,
			 struct err *err)
{
	return worker_add_range(end,
				&(struct worker_range){ .base = BOARD_PORT_FIRMWARE_LOG,
							.size = 1,
							.posted = true,
							.ops = &ops,
							.owner = log },
				err);
}

void firmware_log_inspect(const struct firmware_log *log, struct inspect *out)
{
	u64 first = log->lines > FIRMWARE_LOG_LINES ? log->lines - FIRMWARE_LOG_LINES : 0;
	char name[16];

	inspect_number(out, "firmware", "lines", log->lines);
	for (u64 k = first; k < log->lines; k++) {
		snprintf(name, sizeof name, "log.%03u", (unsigned)(k - first));
		inspect_words(out, "firmware", name, "%s",
			      log->line[k % FIRMWARE_LOG_LINES]);
	}
}
