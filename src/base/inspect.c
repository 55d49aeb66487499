/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of inspect; see inspect.h. */
#include "base/inspect.h"

#include <stdarg.h>
#include <stdio.h>

void inspect_line(struct inspect *out, const char *name, const char *fmt, ...)
{
	size_t room = out->size - out->used;
	char value[512];
	va_list ap;
	int n;

	if (room == 0)
		return;
	va_start(ap, fmt);
	vsnprintf(value, sizeof value, fmt, ap);
	va_end(ap);
	n = snprintf(out->text + out->used, room, "%s: %s\n", name, value);
	if (n > 0)
		out->used += min_u64((u64)n, room - 1);
}

void inspect_number(struct inspect *out, const char *branch, const char *name, u64 number)
{
	char path[128];

	snprintf(path, sizeof path, "%s.%s", branch, name);
	inspect_line(out, path, "%llu", (unsigned long long)number);
}
