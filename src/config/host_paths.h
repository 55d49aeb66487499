/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things are on a host, and which of its files VMs may use. Any thread.
 *
 *	RUN/launcher		the launcher's socket (wall/launch_order.h), for the daemon alone
 *	RUN/api			the daemon's socket (HTTP), for its group
 *	RUN/vms/NAME/control	of each VM that runs, its owner's (HTTP), for the daemon alone
 *	STATE/vms/NAME.json	what each VM is configured with, written by the daemon alone
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

#define HOST_RUN "/run/tabique"
#define HOST_STATE "/var/lib/tabique"
#define HOST_ALLOW "/etc/tabique/allow"

/*
 * The daemon's uid and gid: those of the account 'tabique', or of a number that is nobody's where there is
 * none. Not root: our own.
 */
#define HOST_DAEMON_ACCOUNT "tabique"
#define HOST_DAEMON_UID 0x77fffff0u
void host_daemon_ids(u32 *ret_uid, u32 *ret_gid);

/*
 * What VMs may use, a line each: "folder /var/lib/tabique/images", "tap tap0", comments with '#'. Only
 * root (or who we are) may write the file.
 */
#define HOST_MAX_FOLDERS 64
#define HOST_MAX_TAPS 64
struct host_allow {
	unsigned folder_count, tap_count;
	int folder[HOST_MAX_FOLDERS]; /* opened, O_PATH */
	char path[HOST_MAX_FOLDERS][1024];
	char tap[HOST_MAX_TAPS][16];
};
int host_allow_read(const char *path, struct host_allow *ret_allow, struct err *err)
	MUST_CHECK;

/*
 * Opens a whole path that lies below one of the folders: not by any symbolic link, nor out of the folder.
 * -EACCES: below none. Negative errno.
 */
int host_allow_open(const struct host_allow *allow, const char *path, int flags)
	MUST_CHECK;
bool host_allow_tap(const struct host_allow *allow, const char *name);
