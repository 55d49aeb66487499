/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tabique switch run: a private switch in the foreground, until a signal ends it. It makes the socket
 * and the capture's file, starts tabique-switch, and waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "base/ipc.h"
#include "control/socket.h"
#include "programs/cli/verb.h"
#include "programs/cli/vm_process.h"
#include "wall/net_config.h"

struct run_switch {
	const char *path, *capture;
	struct switch_config config;
	struct control_place place;
	int capture_fd, socket, pidfd, slot_lock;
	pid_t pid;
};

/* ---- words ----------------------------------------------------------------------------------- */

static void print_help(FILE *to)
{
	fputs("usage: tabique switch run SOCKET [--capture FILE] [--isolate] "
	      "[--spoofing]\n\n"
	      "A private switch between VMs that are started with --net socket=SOCKET; "
	      "it "
	      "leads\n"
	      "nowhere else. It runs until Ctrl-C or another signal ends it.\n\n"
	      "  --capture FILE  write every frame that it passes on there (pcap)\n"
	      "  --isolate       VMs reach the one that connected first, and no other\n"
	      "  --spoofing      a VM may send from any address, not from one alone\n",
	      to);
}

static int parse(int argc, char **argv, struct run_switch *s, struct err *err)
{
	for (int k = 2; k < argc; k++) {
		const char *word = argv[k];

		if (strcmp(word, "--isolate") == 0) {
			s->config.isolated = true;
		} else if (strcmp(word, "--spoofing") == 0) {
			s->config.spoofing = true;
		} else if (strcmp(word, "--capture") == 0 && k + 1 < argc) {
			s->capture = argv[++k];
		} else if (strncmp(word, "--capture=", 10) == 0 && word[10]) {
			s->capture = word + 10;
		} else if (strcmp(word, "--capture") == 0) {
			err_set(err, -EINVAL, "switch run: --capture needs a value");
			return err_fix(err, "--capture FILE");
		} else if (word[0] == '-' || s->path) {
			err_set(err, -EINVAL, "switch run: unknown word '%s'", word);
			return err_fix(err, "see 'tabique switch --help'");
		} else {
			s->path = word;
		}
	}
	if (s->path && *s->path)
		return 0;
	err_set(err, -EINVAL, "switch run: where are VMs to connect?");
	return err_fix(err, "name a socket: tabique switch run SOCKET");
}

/* ---- start ----------------------------------------------------------------------------------- */

static int open_capture(struct run_switch *s, struct err *err)
{
	if (!s->capture)
		return 0;
	s->config.capture = true;
	s->capture_fd = open(s->capture, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (s->capture_fd >= 0)
		return 0;
	err_set(err, -errno, "--capture: '%s' cannot be written: %s", s->capture,
		err_words(-errno));
	return err_fix(err, "name a file in a folder where you may write");
}

static int start_process(struct run_switch *s, struct err *err)
{
	int fds[2] = { s->place.fd, s->capture_fd }, pair[2];
	u32 uid;
	int r = take_slot(&uid, &s->slot_lock, err);

	if (r < 0)
		return r;
	r = ipc_pair(pair);
	if (r < 0)
		return err_set(err, r, "tabique-switch: %s", err_words(r));
	s->socket = pair[0];
	r = start_program("tabique-switch", pair[1], &s->pid, &s->pidfd, err);
	close(pair[1]);
	if (r < 0)
		return r;
	s->config.version = NET_CONFIG_VERSION;
	s->config.uid = uid ? uid + ROLE_NET : 0;
	r = ipc_send(s->socket, &s->config, sizeof s->config, fds,
		     1 + (s->capture_fd >= 0));
	if (r == 0)
		return program_ready(s->socket, "the switch (tabique-switch)", err);
	return err_set(err, r, "tabique-switch takes no configuration: %s", err_words(r));
}

/* ---- life ------------------------------------------------------------------------------------ */

/* Until a signal comes, or the process ends. */
static int wait_for_end(struct run_switch *s, int signals, struct err *err)
{
	struct pollfd p[2] = { { .fd = signals, .events = POLLIN },
			       { .fd = s->pidfd, .events = POLLIN } };
	int status;

	while (poll(p, 2, -1) < 0 && errno == EINTR)
		;
	if (p[0].revents)
		return 0;
	if (waitpid(s->pid, &status, 0) != s->pid)
		return err_set(err, -ECHILD, "the switch (tabique-switch) is gone");
	s->pid = 0;
	if (WIFSIGNALED(status))
		return err_set(err, -EPIPE,
			       "the switch (tabique-switch) was killed by signal %d (%s)",
			       WTERMSIG(status),
			       sigdescr_np(WTERMSIG(status)) ?: "unknown");
	return err_set(err, -EPIPE,
		       "the switch (tabique-switch) ended by itself with status %d",
		       WEXITSTATUS(status));
}

static int catch_signals(struct err *err)
{
	static const int ours[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	sigset_t set;
	int fd;

	sigemptyset(&set);
	for (size_t k = 0; k < ARRAY_COUNT(ours); k++)
		sigaddset(&set, ours[k]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	return fd < 0 ? err_set(err, -errno, "signals: %s", err_words(-errno)) : fd;
}

static void end(struct run_switch *s)
{
	control_unlisten(&s->place);
	if (s->socket >= 0)
		close(s->socket);
	if (s->pid)
		waitpid(s->pid, NULL, 0);
	if (s->pidfd >= 0)
		close(s->pidfd);
	if (s->capture_fd >= 0)
		close(s->capture_fd);
	if (s->slot_lock >= 0)
		close(s->slot_lock);
}

static int run_switch(struct run_switch *s, struct err *err)
{
	AUTO_CLOSE int signals = catch_signals(err);
	int r = signals < 0 ? signals : open_capture(s, err);

	if (r == 0)
		r = control_listen(s->path, CONTROL_OF_SWITCH, &s->place, err);
	if (r == 0)
		r = start_process(s, err);
	if (r == 0) {
		printf("switch on '%s'\n", s->path);
		fflush(stdout);
		r = wait_for_end(s, signals, err);
	}
	end(s);
	return r;
}

static int run(int argc, char **argv)
{
	struct run_switch s = { .place = { .fd = -1 },
				.capture_fd = -1,
				.socket = -1,
				.pidfd = -1,
				.slot_lock = -1 };
	const char *word = argc > 1 ? argv[1] : "";
	struct err err = { 0 };
	int r;

	if (argc < 2 || strcmp(word, "--help") == 0) {
		print_help(argc < 2 ? stderr : stdout);
		return argc < 2 ? EXIT_USAGE : EXIT_DONE;
	}
	if (strcmp(word, "run") != 0) {
		err_set(&err, -EINVAL, "'switch %s' is not part of this version", word);
		r = err_fix(&err, "see 'tabique switch --help'");
	} else {
		r = parse(argc, argv, &s, &err);
		if (r == 0)
			r = run_switch(&s, &err);
	}
	if (r < 0)
		print_error(&err);
	return exit_code_of(r);
}

const struct verb verb_switch = {
	.name = "switch",
	.summary = "a private switch between VMs",
	.run = run,
};
