/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tabique-switch: a private switch between VMs that were started with --net socket=PATH. `tabique switch
 * run` starts it with a socket at OWNER_FD and gives it a listening socket and, where it shall
 * capture, a file (wall/net_config.h). It has no network of its own: what is connected to it is all that there
 * is.
 */
#include <errno.h>
#include <signal.h>

#include "base/ipc.h"
#include "base/log.h"
#include "base/loop.h"
#include "jail/jail.h"
#include "programs/switch/ports.h"
#include "wall/net_config.h"

static struct loop *loop;

static int receive_config(struct switch_config *c, int *ret_listener, int *ret_capture,
			  struct err *err)
{
	int fd[2] = { -1, -1 };
	unsigned fds = 0;
	size_t size = 0;
	int r = ipc_receive(OWNER_FD, c, sizeof *c, &size, fd, 2, &fds);

	if (r < 0)
		return err_set(err, r, "configuration: %s", err_words(r));
	if (size != sizeof *c || c->version != NET_CONFIG_VERSION ||
	    fds != 1u + (c->capture != 0)) {
		err_set(err, -EPROTO, "the configuration is another version's");
		return err_fix(err, "use programs of one version together");
	}
	*ret_listener = fd[0];
	*ret_capture = fd[1];
	return 0;
}

static void on_owner(void *owner, unsigned events)
{
	if (events & LOOP_HANGUP)
		loop_stop(loop);
}

/* What went through, for who reads the log. */
static void sum_up(const struct switch_ports *p)
{
	const struct net_switch *sw = &p->sw;

	log_info("%llu frames: %llu to one port, %llu to all, %llu from a forged "
		 "address, "
		 "%llu malformed; %llu copies dropped, their ports being full",
		 (unsigned long long)p->frames, (unsigned long long)sw->forwarded,
		 (unsigned long long)sw->flooded, (unsigned long long)sw->spoofed,
		 (unsigned long long)sw->malformed, (unsigned long long)p->dropped);
}

static int start(struct switch_ports *ports, const struct switch_config *config,
		 int listener, int capture_fd, struct err *err)
{
	static struct net_pcap capture = { .fd = -1 };
	struct loop_watch *owner;
	int r = loop_new(&loop);

	if (r == 0 && config->capture)
		r = net_pcap_init(&capture, capture_fd);
	if (r == 0)
		r = loop_watch_add(loop, OWNER_FD, LOOP_READ, on_owner, NULL, &owner);
	if (r < 0)
		return err_set(err, r, "%s", err_words(r));
	return switch_ports_init(ports, loop, listener, config->capture ? &capture : NULL,
				 config->isolated, config->spoofing, err);
}

int main(void)
{
	static struct switch_ports ports;
	struct jail_config jail = { .role = JAIL_WORKER };
	struct switch_config config = { 0 };
	struct err err = { 0 };
	char report[512] = "";
	int listener = -1, capture = -1;

	/* 1. The configuration. Our owner decides when we end, not who types at its terminal. */
	log_start("tabique-switch", LOG_INFO);
	if (!ipc_is_socket(OWNER_FD)) {
		log_error("'tabique switch' starts this program; see 'tabique --help'");
		return 2;
	}
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	int r = receive_config(&config, &listener, &capture, &err);
	if (r == 0)
		r = start(&ports, &config, listener, capture, &err);

	/* 2. Every right goes: a switch needs none. */
	jail.uid = config.uid;
	jail.leave_out = config.jail_flags;
	if (r == 0)
		r = jail_enter(&jail, report, sizeof report, &err);
	if (r == 0)
		r = jail_thread(&jail, JAIL_THREAD_SWITCH, &err);

	/* 3. From here on bytes of others come in. */
	net_program_say(OWNER_FD, r < 0 ? &err : NULL);
	if (r == 0) {
		r = loop_run(loop);
		sum_up(&ports);
	}
	return r < 0 ? 1 : 0;
}
