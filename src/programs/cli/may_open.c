/* SPDX-License-Identifier: Apache-2.0 */
/* Opening what is allowed; see may_open.h. */
#include "programs/cli/may_open.h"

#include <errno.h>
#include <fcntl.h>

static const struct host_allow *only; /* NULL: everything */

void may_open_only(const struct host_allow *allow)
{
	only = allow;
}

int may_open(const char *path, int flags)
{
	int fd;

	if (only)
		return host_allow_open(only, path, flags);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

bool may_use_tap(const char *name)
{
	return !only || host_allow_tap(only, name);
}

const char *may_open_cure(int r)
{
	if (!only || (r != -EACCES && r != -ELOOP && r != -EXDEV))
		return NULL;
	return "list its folder in " HOST_ALLOW " ('folder /PATH'); symbolic links are "
	       "not followed";
}
