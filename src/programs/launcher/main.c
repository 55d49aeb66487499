/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tabique-launcher: the part of the server that has root's rights, and little else. It takes requests of
 * one fixed size (wall/launch_order.h) from the daemon's uid on RUN/launcher, starts the owner of each VM,
 * and kills. It reads no file that others may write, and speaks with no network.
 *
 * The daemon may come and go: VMs run on, and LAUNCH_LIST tells the next one of them. SIGHUP: the program
 * becomes the one that now lies at its path (an upgrade), and takes the VMs over; so does one that is started
 * after a crash. SIGTERM ends the launcher, not the VMs.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/ipc.h"
#include "base/log.h"
#include "base/loop.h"
#include "config/host_paths.h"
#include "control/socket.h"
#include "programs/launcher/groups.h"
#include "programs/launcher/requests.h"
#include "programs/launcher/vms.h"

#define MAX_CLIENTS 8

struct client {
	struct launcher *launcher;
	int fd; /* -1: free */
	struct loop_watch *watch;
};

struct launcher {
	const char *run, *allow;
	struct loop *loop;
	struct control_place place;
	struct loop_watch *listen_watch, *signal_watch;
	int signal_fd;
	u32 daemon_uid;
	struct client client[MAX_CLIENTS];
	bool again; /* become the program at our path */
	char self[4096];
};

/* ---- clients --------------------------------------------------------------------------------- */

static void drop(struct client *c)
{
	loop_watch_remove(c->watch);
	close(c->fd);
	c->watch = NULL;
	c->fd = -1;
}

static void say_to(struct client *c, const struct launch_reply *reply)
{
	struct launch_reply m = *reply;

	m.version = LAUNCH_VERSION;
	/* One that does not listen loses its place; it asks for the list when it comes back. */
	if (ipc_send(c->fd, &m, sizeof m, NULL, 0) < 0)
		drop(c);
}

/* An answer goes to whoever asked: tags are the client's, its number is in the upper byte. */
static void say(void *owner, const struct launch_reply *reply)
{
	struct launcher *l = owner;

	for (unsigned k = 0; k < MAX_CLIENTS; k++) {
		struct launch_reply m = *reply;

		if (l->client[k].fd < 0 || (m.tag && m.tag >> 24 != k + 1))
			continue;
		m.tag &= 0xffffff;
		say_to(&l->client[k], &m);
	}
}

struct listing {
	struct client *client;
	u32 tag;
};

static void list_one(void *owner, const struct launch_reply *reply)
{
	struct listing *listing = owner;
	struct launch_reply m = *reply;

	m.tag = listing->tag;
	if (listing->client->fd >= 0)
		say_to(listing->client, &m);
}

static void answer(struct client *c, const struct launch_request *r, int code,
		   const struct err *err)
{
	struct launch_reply m = { .kind = code < 0 ? LAUNCH_FAILED : LAUNCH_DONE,
				  .tag = r->tag & 0xffffff,
				  .code = code };

	snprintf(m.name, sizeof m.name, "%.*s", LAUNCH_NAME - 1, r->name);
	if (code < 0) {
		memcpy(m.text, err->text, sizeof m.text);
		memcpy(m.fix, err->fix, sizeof m.fix);
	}
	if (c->fd >= 0)
		say_to(c, &m);
}

static void handle(struct client *c, struct launch_request *r)
{
	struct listing listing = { c, r->tag & 0xffffff };
	struct err err = { 0 };
	int code = launch_request_check(r, &err);

	r->tag &= 0xffffff;
	if (code < 0) {
		answer(c, r, code, &err);
		return;
	}
	switch ((enum launch_kind)r->kind) {
	case LAUNCH_START:
		r->tag |= (u32)(c - c->launcher->client + 1) << 24;
		code = vm_start(r, &err);
		if (code == 0)
			return; /* say() does */
		break;
	case LAUNCH_KILL:
		code = vm_kill(r->name, &err);
		break;
	case LAUNCH_LIMITS:
		code = vm_runs(r->name) ? group_set(r->name, &r->limits) : -ENOENT;
		if (code < 0) {
			err_set(&err, code, "VM '%s': limits cannot be set: %s", r->name,
				code == -EOPNOTSUPP ? groups_report() : err_words(code));
			err_fix(&err, "give the launcher a control group for cpu");
		}
		break;
	case LAUNCH_LIST:
		vms_each(list_one, &listing);
		break;
	case LAUNCH_DONE:
	case LAUNCH_FAILED:
	case LAUNCH_VM:
	case LAUNCH_ENDED:
		return;
	}
	answer(c, r, code, &err);
}

static void on_client(void *owner, unsigned events)
{
	static struct launch_request r;
	struct client *c = owner;
	unsigned fd_count;
	size_t size;
	int code = ipc_receive(c->fd, &r, sizeof r, &size, NULL, 0, &fd_count);

	if (code == -EAGAIN)
		return;
	if (code == 0 && size == sizeof r)
		handle(c, &r);
	else
		drop(c);
}

static bool may_ask(const struct launcher *l, int fd)
{
	struct ucred peer;
	socklen_t size = sizeof peer;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	       (peer.uid == 0 || peer.uid == l->daemon_uid);
}

/* Room for a list of many VMs, since we wait for nobody. */
static void widen(int fd)
{
	int size = 4 << 20;

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

static void on_connect(void *owner, unsigned events)
{
	struct launcher *l = owner;
	int fd = accept4(l->place.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	for (unsigned k = 0; fd >= 0 && may_ask(l, fd) && k < MAX_CLIENTS; k++) {
		struct client *c = &l->client[k];

		if (c->fd >= 0)
			continue;
		c->fd = take_fd(&fd);
		widen(c->fd);
		if (loop_watch_add(l->loop, c->fd, LOOP_READ, on_client, c, &c->watch) <
		    0)
			drop(c);
	}
	if (fd >= 0)
		close(fd);
}

/* ---- signals --------------------------------------------------------------------------------- */

/* Children of owners that ended before they had waited for them become ours. */
static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		vms_reaped(pid, status);
}

static void on_signal(void *owner, unsigned events)
{
	struct launcher *l = owner;
	struct signalfd_siginfo info;

	if (read(l->signal_fd, &info, sizeof info) != sizeof info)
		return;
	if (info.ssi_signo == SIGCHLD) {
		reap();
		return;
	}
	l->again = info.ssi_signo == SIGHUP;
	loop_stop(l->loop);
}

static int catch_signals(struct launcher *l)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	l->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (l->signal_fd < 0)
		return -errno;
	return loop_watch_add(l->loop, l->signal_fd, LOOP_READ, on_signal, l,
			      &l->signal_watch);
}

/* Our path, before an upgrade takes the file away. */
static void find_self(struct launcher *l)
{
	ssize_t n = readlink("/proc/self/exe", l->self, sizeof l->self - 1);

	l->self[n > 0 ? n : 0] = '\0';
}

/* ---- main ------------------------------------------------------------------------------------ */

static const char usage[] = "usage: tabique-launcher [--run DIR] [--allow FILE]\n\n"
			    "Starts and kills VMs for tabiqued, as root. See "
			    "tabique-launcher(8).\n"
			    "  --run DIR     folder of sockets (default " HOST_RUN ")\n"
			    "  --allow FILE  what VMs may use (default " HOST_ALLOW ")\n";

static int read_options(struct launcher *l, int argc, char **argv)
{
	for (int k = 1; k < argc; k++) {
		if (strcmp(argv[k], "--run") == 0 && k + 1 < argc) {
			l->run = argv[++k];
		} else if (strcmp(argv[k], "--allow") == 0 && k + 1 < argc) {
			l->allow = argv[++k];
		} else if (strcmp(argv[k], "--help") == 0) {
			fputs(usage, stdout);
			return 1;
		} else {
			fprintf(stderr,
				"tabique-launcher: unknown option '%s'\nfix: see "
				"'tabique-launcher --help'\n",
				argv[k]);
			return -EINVAL;
		}
	}
	return 0;
}

static int listen_for_daemon(struct launcher *l, struct err *err)
{
	char path[512];
	u32 gid;
	int r;

	host_daemon_ids(&l->daemon_uid, &gid);
	snprintf(path, sizeof path, "%s/launcher", l->run);
	r = control_listen(path, CONTROL_OF_LAUNCHER, &l->place, err);
	if (r < 0)
		return r;
	if (geteuid() == 0 && chown(l->place.path, l->daemon_uid, gid) < 0)
		return err_set(err, -errno, "'%s': %s", path, err_words(-errno));
	r = loop_watch_add(l->loop, l->place.fd, LOOP_READ, on_connect, l,
			   &l->listen_watch);
	return r < 0 ? err_set(err, r, "event loop: %s", err_words(r)) : 0;
}

int main(int argc, char **argv)
{
	static struct launcher l = { .run = HOST_RUN,
				     .allow = HOST_ALLOW,
				     .place = { .fd = -1 } };
	struct err err = { 0 };
	struct host_allow *allow = calloc(1, sizeof *allow);
	int r = read_options(&l, argc, argv);

	if (r != 0 || !allow)
		return r == 1 ? 0 : 2;
	log_start("tabique-launcher", LOG_INFO);
	for (unsigned k = 0; k < MAX_CLIENTS; k++)
		l.client[k] = (struct client){ .launcher = &l, .fd = -1 };

	find_self(&l);

	/* 1. What VMs may use, now rather than when the first one starts. */
	r = host_allow_read(l.allow, allow, &err);

	/* 2. Orphans of owners come to us, so that none is left unwaited for. */
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	groups_open();

	/* 3. The daemon's requests; but first who runs already, of a launcher before us. */
	if (r == 0 && (r = loop_new(&l.loop)) < 0)
		err_set(&err, r, "event loop: %s", err_words(r));
	if (r == 0)
		r = vms_open(&(struct vms_config){ .loop = l.loop,
						   .run = l.run,
						   .allow = l.allow,
						   .say = say,
						   .owner = &l },
			     &err);
	if (r == 0 && (r = catch_signals(&l)) < 0)
		err_set(&err, r, "signals: %s", err_words(r));
	if (r == 0)
		r = listen_for_daemon(&l, &err);
	if (r == 0) {
		vms_adopt();
		log_info("ready in '%s', %s", l.run, groups_report());
		r = loop_run(l.loop);
	}
	control_unlisten(&l.place);

	/* 4. An upgrade: the same words to the program that lies there now. */
	if (r == 0 && l.again) {
		execv(l.self, argv);
		r = err_set(&err, -errno, "upgrade: %s", err_words(-errno));
	}
	if (r < 0) {
		log_error("%s", err.text);
		if (err.fix[0])
			fprintf(stderr, "fix: %s\n", err.fix);
	}
	return r < 0 ? 1 : 0;
}
