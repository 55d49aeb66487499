/* SPDX-License-Identifier: Apache-2.0 */
/* The owner's words with tabique-launcher; see run_launched.h. */
#include "programs/cli/run_launched.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/ipc.h"
#include "base/log.h"
#include "jail/jail.h"
#include "programs/cli/may_open.h"
#include "wall/launch_order.h"

int run_launched_open(struct run_launched *l, int socket, const char *allow,
		      struct err *err)
{
	if (!ipc_is_socket(socket)) {
		err_set(err, -EINVAL, "--launched is what tabique-launcher gives");
		return err_fix(err, "leave it out");
	}
	l->socket = socket;
	fcntl(socket, F_SETFD, FD_CLOEXEC);
	int r = host_allow_read(allow, &l->allow, err);
	if (r == 0)
		may_open_only(&l->allow);
	return r;
}

static int say(const struct run_launched *l, struct launch_reply *m, const int *fds,
	       unsigned count)
{
	m->version = LAUNCH_VERSION;
	return ipc_send(l->socket, m, sizeof *m, fds, count);
}

/* From here on a path means nothing to us. */
static void close_folders(struct host_allow *allow)
{
	while (allow->folder_count > 0)
		close(allow->folder[--allow->folder_count]);
	allow->tap_count = 0;
}

int run_launched_drop(struct run_launched *l, const struct vm_process *vm,
		      const char *control, struct err *err)
{
	struct jail_config jail = { .role = JAIL_OWNER };
	char report[512] = "";
	u32 uid, gid;
	int r;

	if (l->socket < 0)
		return 0;
	host_daemon_ids(&uid, &gid);
	if (geteuid() == 0 && chown(control, uid, gid) < 0)
		return err_set(err, -errno, "'%s': %s", control, err_words(-errno));
	jail.uid = vm->uid ? vm_process_owner_uid(vm) : 0;
	close_folders(&l->allow);
	r = jail_enter(&jail, report, sizeof report, err);
	if (r == 0)
		log_debug("owner: %s", report);
	return r;
}

int run_launched_runs(struct run_launched *l, const struct vm_process *vm,
		      struct err *err)
{
	const int fds[] = { vm->hv_pidfd, vm->worker_pidfd, vm->nat_pidfd };
	struct launch_reply m = { .kind = LAUNCH_DONE,
				  .owner = getpid(),
				  .hv = vm->hv_pid,
				  .worker = vm->worker_pid,
				  .nat = vm->nat_pid,
				  .uid = vm->uid };
	int r;

	if (l->socket < 0 || l->said)
		return 0;
	l->said = true;
	/* A launcher that came after it does not know of us. */
	r = say(l, &m, fds, vm->nat_pidfd >= 0 ? 3 : 2);
	return r < 0 ? err_set(err, r, "the launcher is gone: %s", err_words(r)) : 0;
}

void run_launched_failed(struct run_launched *l, const struct err *err)
{
	if (l->socket >= 0)
		l->why = *err;
}

void run_launched_ended(struct run_launched *l, const char *end, int code)
{
	struct launch_reply m = { .kind = LAUNCH_ENDED, .code = code };

	if (l->socket < 0)
		return;
	snprintf(m.end, sizeof m.end, "%s", end);
	memcpy(m.text, l->why.text, sizeof m.text);
	memcpy(m.fix, l->why.fix, sizeof m.fix);
	/* Where nobody listens, a launcher that came later sees the end of our process. */
	if (say(l, &m, NULL, 0) < 0)
		log_debug("the launcher does not listen");
}
