/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of inspect; see inspect.h. */
#include "base/inspect.h"

#include <stdarg.h>
#include <stdio.h>

/* branch: "" at the root of the tree. */
PRINTF(4, 0)
static void append(struct inspect *out, const char *branch, const char *name,
		   const char *fmt, va_list ap)
{
	size_t room = out->size - out->used;
	char value[512];
	int n;

	if (room == 0)
		return;
	vsnprintf(value, sizeof value, fmt, ap);
	n = snprintf(out->text + out->used, room, "%s%s%s: %s\n", branch,
		     branch[0] ? "." : "", name, value);
	if (n > 0)
		out->used += min_u64((u64)n, room - 1);
}

void inspect_line(struct inspect *out, const char *name, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	append(out, "", name, fmt, ap);
	va_end(ap);
}

void inspect_words(struct inspect *out, const char *branch, const char *name,
		   const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	append(out, branch, name, fmt, ap);
	va_end(ap);
}

void inspect_number(struct inspect *out, const char *branch, const char *name, u64 number)
{
	inspect_words(out, branch, name, "%llu", (unsigned long long)number);
}
