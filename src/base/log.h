/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines on standard error: "tabique-hv: warn: vp 3: ...". Callable from any thread; one
 * write(2) a line, no allocation, no lock held across it.
 *
 * warn means that we go on, and the line says how. What a guest can trigger goes through
 * log_guest, which lets at most LOG_GUEST_BURST lines of one call site pass in a minute
 * and then says how many it held back.
 */
#pragma once

#include <stdatomic.h>

#include "base/types.h"

#define LOG_GUEST_BURST 10

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* name: the program's, a string that stays; level: the lowest that is printed. */
void log_start(const char *name, enum log_level level);
enum log_level log_lowest(void);

void log_line(enum log_level level, const char *fmt, ...) PRINTF(2, 3);

struct log_site {
	_Atomic u64 window_start; /* ns of CLOCK_MONOTONIC */
	_Atomic u32 count;
};
void log_guest_line(struct log_site *site, const char *fmt, ...) PRINTF(2, 3);

#define log_debug(...)                                    \
	do {                                              \
		if (log_lowest() == LOG_DEBUG)            \
			log_line(LOG_DEBUG, __VA_ARGS__); \
	} while (0)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_guest(...)                               \
	do {                                         \
		static struct log_site site_;        \
		log_guest_line(&site_, __VA_ARGS__); \
	} while (0)
