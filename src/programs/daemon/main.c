/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tabiqued: the host's inventory of VMs and its API (HTTP on RUN/api). It starts as root to take its places,
 * then drops every right: another uid, no capabilities, and Landlock lets it write its state and read /proc
 * and RUN, nothing else. What needs more it asks of tabique-launcher.
 *
 * It may be killed or upgraded at any time: what VMs are is in files, which of them run the launcher says,
 * and how they are their owners do.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/host_paths.h"
#include "control/socket.h"
#include "jail/jail.h"
#include "programs/daemon/api.h"
#include "programs/daemon/lifecycle.h"

struct program {
	struct daemon daemon;
	struct control_place place;
	struct control_server *server;
	struct loop_watch *signal_watch;
	int signal_fd;
	char launcher[600];
};

static const char usage[] =
	"usage: tabiqued [--run DIR] [--state DIR]\n\n"
	"Keeps the VMs of this host and serves the API. See tabiqued(8).\n"
	"  --run DIR     folder of sockets, the launcher's too (default " HOST_RUN ")\n"
	"  --state DIR   folder of what is kept (default " HOST_STATE ")\n";

static int read_options(struct daemon *d, int argc, char **argv)
{
	for (int k = 1; k < argc; k++) {
		if (strcmp(argv[k], "--run") == 0 && k + 1 < argc) {
			d->run = argv[++k];
		} else if (strcmp(argv[k], "--state") == 0 && k + 1 < argc) {
			d->state = argv[++k];
		} else if (strcmp(argv[k], "--help") == 0) {
			fputs(usage, stdout);
			return 1;
		} else {
			fprintf(stderr,
				"tabiqued: unknown option '%s'\nfix: see 'tabiqued "
				"--help'\n",
				argv[k]);
			return -EINVAL;
		}
	}
	return 0;
}

/* ---- places ---------------------------------------------------------------------------------- */

static int make_folder(const char *path, u32 uid, u32 gid, mode_t mode, struct err *err)
{
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return err_set(err, -errno, "'%s' cannot be made: %s", path,
			       err_words(-errno));
	if (geteuid() == 0 && uid != 0 && lchown(path, uid, gid) < 0)
		return err_set(err, -errno, "'%s': %s", path, err_words(-errno));
	return 0;
}

/* Whole paths, since RUN becomes our folder. */
static int settle(struct daemon *d, struct err *err)
{
	d->run = realpath(d->run, NULL);
	d->state = realpath(d->state, NULL);
	if (!d->run || !d->state || chdir(d->run) < 0)
		return err_set(err, -errno, "folders: %s", err_words(-errno));
	return 0;
}

/* The folders and the socket, while we may. Who is of the daemon's group may use the API. */
static int take_places(struct program *p, u32 uid, u32 gid, struct err *err)
{
	struct daemon *d = &p->daemon;
	char path[600];
	int r = make_folder(d->run, 0, 0, 0755, err);

	if (r == 0)
		r = make_folder(d->state, uid, gid, 0700, err);
	snprintf(path, sizeof path, "%s/vms", d->state);
	if (r == 0)
		r = make_folder(path, uid, gid, 0700, err);
	if (r == 0)
		r = settle(d, err);
	if (r < 0)
		return r;
	snprintf(path, sizeof path, "%s/api", d->run);
	if (r == 0)
		r = control_listen(path, CONTROL_OF_DAEMON, &p->place, err);
	if (r == 0 && geteuid() == 0 &&
	    (chown(p->place.path, uid, gid) < 0 || chmod(p->place.path, 0660) < 0))
		r = err_set(err, -errno, "'%s': %s", path, err_words(-errno));
	return r;
}

/* ---- parts ----------------------------------------------------------------------------------- */

static int make_parts(struct program *p, struct err *err)
{
	struct daemon *d = &p->daemon;
	int r = inventory_open(&d->inventory, d->state, err);

	if (r < 0)
		return r;
	r = events_new(&d->events);
	if (r == 0)
		r = operations_new(d->events, &d->operations);
	if (r == 0)
		r = launcher_link_new(
			&(struct launcher_link_config){
				.loop = d->loop,
				.socket = p->launcher,
				.list_begins = on_list_begins,
				.list_has = on_list_has,
				.list_is_over = on_list_is_over,
				.ended = on_vm_ended,
				.owner = d,
			},
			&d->launcher);
	if (r == 0)
		r = control_server_new(
			&(struct control_server_config){
				.loop = d->loop,
				.socket = p->place.fd,
				.handle = api_handle,
				.owner = d,
				.clients = 256,
			},
			&p->server);
	return r < 0 ? err_set(err, r, "the daemon cannot start: %s", err_words(r)) : 0;
}

static void free_parts(struct program *p)
{
	struct daemon *d = &p->daemon;

	launcher_link_free(d->launcher);
	events_free(d->events);
	control_server_free(p->server);
	operations_free(d->operations);
	inventory_close(&d->inventory);
	loop_watch_remove(p->signal_watch);
	loop_free(d->loop);
}

static void on_signal(void *owner, unsigned events)
{
	struct program *p = owner;

	loop_stop(p->daemon.loop);
}

static int catch_signals(struct program *p)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	p->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (p->signal_fd < 0)
		return -errno;
	return loop_watch_add(p->daemon.loop, p->signal_fd, LOOP_READ, on_signal, p,
			      &p->signal_watch);
}

/* ---- main ------------------------------------------------------------------------------------ */

static int run(struct program *p, struct err *err)
{
	struct daemon *d = &p->daemon;
	char report[512] = "";
	u32 uid, gid;
	int r;

	/* 1. Places: folders and the socket. */
	host_daemon_ids(&uid, &gid);
	r = take_places(p, uid, gid, err);
	if (r < 0)
		return r;
	gethostname(d->node, sizeof d->node - 1);
	snprintf(p->launcher, sizeof p->launcher, "%s/launcher", d->run);

	/* 2. Every right goes but for those files. */
	r = jail_service(
		&(struct jail_service){
			.uid = geteuid() == 0 ? uid : 0,
			.gid = gid,
			.writable = { d->state },
			.readable = { "/proc", d->run },
		},
		report, sizeof report, err);
	if (r < 0)
		return r;

	/* 3. What there is, and who asks for it. */
	r = loop_new(&d->loop);
	if (r == 0)
		r = catch_signals(p);
	if (r < 0)
		return err_set(err, r, "event loop: %s", err_words(r));
	r = make_parts(p, err);
	if (r < 0)
		return r;
	log_info("ready on '%s/api', %u VMs, %s", d->run, d->inventory.count, report);
	r = loop_run(d->loop);
	return r < 0 ? err_set(err, r, "event loop: %s", err_words(r)) : 0;
}

int main(int argc, char **argv)
{
	static struct program p = { .daemon = { .run = HOST_RUN, .state = HOST_STATE },
				    .place = { .fd = -1 },
				    .signal_fd = -1 };
	struct err err = { 0 };
	int r = read_options(&p.daemon, argc, argv);

	if (r != 0)
		return r == 1 ? 0 : 2;
	log_start("tabiqued", LOG_INFO);
	p.daemon.start_ns = host_clock.monotonic_ns(&host_clock);
	r = run(&p, &err);
	if (r < 0) {
		log_error("%s", err.text);
		if (err.fix[0])
			fprintf(stderr, "fix: %s\n", err.fix);
	}
	free_parts(&p);
	return r < 0 ? 1 : 0;
}
