/* SPDX-License-Identifier: Apache-2.0 */
/* See process.h. */
#include "base/process.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

enum { FIELD_USER = 14, FIELD_SYSTEM = 15, FIELD_BEGAN = 22 };

/* Fields are counted from 1; the second is the name, which may have anything in it. */
static u64 field_of(const char *behind_name, unsigned field)
{
	const char *p = behind_name;
	unsigned long long value = 0;

	for (unsigned n = 2; p && n < field; n++)
		p = strchr(p + 1, ' ');
	return p && sscanf(p, "%llu", &value) == 1 ? value : 0;
}

bool process_stat(pid_t pid, struct process_stat *ret_stat)
{
	const u64 tick_ns = NS_PER_SEC / (u64)sysconf(_SC_CLK_TCK);
	char path[32], text[1024];
	const char *behind_name;
	ssize_t n;

	memset(ret_stat, 0, sizeof *ret_stat);
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
	behind_name = strrchr(text, ')');
	if (!behind_name)
		return false;
	ret_stat->user_ns = field_of(behind_name, FIELD_USER) * tick_ns;
	ret_stat->system_ns = field_of(behind_name, FIELD_SYSTEM) * tick_ns;
	ret_stat->began = field_of(behind_name, FIELD_BEGAN);
	return true;
}
