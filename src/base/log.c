/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines: formatted on the caller's stack, one write(2) each. Anything that could break
 * the line or the reader's terminal is replaced: words of the guest may be among the arguments.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"

#define LINE_SIZE 1024
#define GUEST_WINDOW_NS (60 * NS_PER_SEC)

static const char *program = "tabique";
static enum log_level lowest = LOG_INFO;

void log_start(const char *name, enum log_level level)
{
	program = name;
	lowest = level;
}

enum log_level log_lowest(void)
{
	return lowest;
}

static const char *level_name(enum log_level level)
{
	switch (level) {
	case LOG_DEBUG:
		return "debug";
	case LOG_INFO:
		return "info";
	case LOG_WARN:
		return "warn";
	case LOG_ERROR:
		return "error";
	}
	return "?";
}

static void PRINTF(2, 0) write_line(enum log_level level, const char *fmt, va_list ap)
{
	int saved_errno = errno;
	char line[LINE_SIZE];
	size_t start, size;
	int n;

	start = (size_t)snprintf(line, sizeof line, "%.64s: %s: ", program,
				 level_name(level));
	/* One byte is kept for the line end. */
	n = vsnprintf(line + start, sizeof line - 1 - start, fmt, ap);
	if (n < 0)
		return;
	size = start + (size_t)n;
	if (size > sizeof line - 2)
		size = sizeof line - 2;
	for (size_t i = start; i < size; i++)
		if ((u8)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[size++] = '\n';
	/* A log that nobody can read any more must not stop the machine. */
	while (write(STDERR_FILENO, line, size) < 0 && errno == EINTR)
		;
	errno = saved_errno;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (level < lowest)
		return;
	va_start(ap, fmt);
	write_line(level, fmt, ap);
	va_end(ap);
}

void log_guest_line(struct log_site *site, const char *fmt, ...)
{
	u64 now = host_clock.monotonic_ns(&host_clock);
	u64 start = atomic_load(&site->window_start);
	u32 held_back = 0;
	va_list ap;

	if (start == 0 || now - start >= GUEST_WINDOW_NS) {
		/* One thread opens the new window and accounts for the old one. */
		if (atomic_compare_exchange_strong(&site->window_start, &start, now)) {
			u32 seen = atomic_exchange(&site->count, 0);

			if (seen > LOG_GUEST_BURST)
				held_back = seen - LOG_GUEST_BURST;
		}
	}
	if (held_back)
		log_line(LOG_WARN, "%u more lines like the next were held back",
			 held_back);
	if (atomic_fetch_add(&site->count, 1) >= LOG_GUEST_BURST)
		return;
	if (LOG_WARN < lowest)
		return;
	va_start(ap, fmt);
	write_line(LOG_WARN, fmt, ap);
	va_end(ap);
}
