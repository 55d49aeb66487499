/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tabique-nat: the networks of a VM whose adapters are on 'nat'. It is started with a socket at
 * OWNER_FD, gets its adapters' ports over it (wall/net_config.h) and carries their frames to the host's
 * network by libslirp. It lives in the host's network namespace, since its sockets are the host's, and
 * has nothing else of the host: no files, no other process, and none of the guest's memory.
 */
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/ipc.h"
#include "base/log.h"
#include "base/loop.h"
#include "jail/jail.h"
#include "programs/nat/adapter.h"

/*
 * What libslirp may take. Each connection has two buffers of 128 KiB; besides there are packets that a
 * guest sends out of order. One that asks for more than this has no network any more.
 */
#define MOST_MEMORY (512ull << 20)

struct nat {
	struct nat_config config;
	int port[WORKER_MAX_NICS];
	struct loop *loop;
	struct loop_watch *owner;
	struct nat_sockets sockets;
	struct nat_adapter *adapter[WORKER_MAX_NICS];
};

/* ---- the owner ------------------------------------------------------------------------------- */

/* The owner is trusted, but one of another build would be worse than none. */
static bool is_right(const struct nat_config *c, size_t size, unsigned fds)
{
	if (size != sizeof *c || c->version != NET_CONFIG_VERSION ||
	    c->adapter_count == 0 || c->adapter_count > WORKER_MAX_NICS ||
	    fds != c->adapter_count)
		return false;
	for (u32 k = 0; k < c->adapter_count; k++) {
		const struct nat_adapter_config *a = &c->adapter[k];

		if (a->net >= WORKER_MAX_NICS || a->forward_count > NAT_MAX_FORWARDS ||
		    a->mtu < NET_MIN_MTU || a->mtu > NET_MAX_MTU)
			return false;
	}
	return true;
}

static int receive_config(struct nat *nat, struct err *err)
{
	unsigned fds = 0;
	size_t size = 0;
	int r = ipc_receive(OWNER_FD, &nat->config, sizeof nat->config, &size, nat->port,
			    WORKER_MAX_NICS, &fds);

	if (r < 0)
		return err_set(err, r, "configuration: %s", err_words(r));
	if (is_right(&nat->config, size, fds))
		return 0;
	err_set(err, -EPROTO, "the configuration is another version's");
	return err_fix(err, "use programs of one version together");
}

static void on_owner(void *owner, unsigned events)
{
	struct nat *nat = owner;

	if (events & LOOP_HANGUP)
		loop_stop(nat->loop);
}

/* ---- the work -------------------------------------------------------------------------------- */

/* See sockets.h. */
static void settle(void *owner)
{
	struct nat *nat = owner;
	u32 timeout_ms = UINT32_MAX;
	bool deaf = false;

	for (u32 k = 0; k < nat->config.adapter_count; k++) {
		nat_adapter_poll(nat->adapter[k]);
		deaf |= nat_adapter_is_full(nat->adapter[k]);
	}
	nat_sockets_told(&nat->sockets);
	nat_sockets_begin(&nat->sockets, deaf);
	for (u32 k = 0; k < nat->config.adapter_count; k++)
		nat_adapter_fill(nat->adapter[k], &timeout_ms);
	nat_sockets_end(&nat->sockets, timeout_ms);
}

/*
 * What libslirp has to say through glib goes to our log. glib is libslirp's, not ours: we have no headers of
 * it, and its own way to write a line would look for a journal, which the jail does not have.
 */
static int on_glib_log(unsigned level, const void *fields, size_t count, void *owner)
{
	log_guest("libslirp complains of a packet");
	return 1; /* G_LOG_WRITER_HANDLED */
}

static void catch_glib_log(void)
{
	typedef int (*writer_fn)(unsigned, const void *, size_t, void *);
	void (*set_writer)(writer_fn, void *, void (*)(void *));
	void *symbol = dlsym(RTLD_DEFAULT, "g_log_set_writer_func");

	memcpy(&set_writer, &symbol, sizeof symbol);
	if (symbol)
		set_writer(on_glib_log, NULL, NULL);
}

static int limit_memory(struct err *err)
{
	const struct rlimit most = { MOST_MEMORY, MOST_MEMORY };

	if (setrlimit(RLIMIT_DATA, &most) < 0)
		return err_set(err, -errno, "memory cannot be limited: %s",
			       err_words(-errno));
	return 0;
}

static int start(struct nat *nat, struct err *err)
{
	int r = loop_new(&nat->loop);

	if (r < 0)
		return err_set(err, r, "event loop: %s", err_words(r));
	r = nat_sockets_init(&nat->sockets, nat->loop, settle, nat, err);
	for (u32 k = 0; k < nat->config.adapter_count && r == 0; k++)
		r = nat_adapter_new(&nat->config.adapter[k], nat->config.resolver,
				    &nat->sockets, &nat->adapter[k], err);
	for (u32 k = 0; k < nat->config.adapter_count && r == 0; k++)
		r = nat_adapter_plug(nat->adapter[k], nat->port[k], err);
	if (r == 0) {
		r = loop_watch_add(nat->loop, OWNER_FD, LOOP_READ, on_owner, nat,
				   &nat->owner);
		if (r < 0)
			err_set(err, r, "owner: %s", err_words(r));
	}
	return r;
}

int main(void)
{
	static struct nat nat;
	struct jail_config jail = { .role = JAIL_NAT };
	struct err err = { 0 };
	char report[512] = "";

	/* 1. The configuration. Our owner decides when we end, not who types at its terminal. */
	log_start("tabique-nat", LOG_INFO);
	if (!ipc_is_socket(OWNER_FD)) {
		log_error("'tabique run' starts this program; see 'tabique --help'");
		return 2;
	}
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	int r = receive_config(&nat, &err);

	/* 2. Networks, and the host's ports below 1024 while we still have the right. */
	catch_glib_log();
	if (r == 0)
		r = start(&nat, &err);

	/* 3. Every right goes but that of sockets to the network. */
	jail.uid = nat.config.uid;
	jail.leave_out = nat.config.jail_flags;
	if (r == 0)
		r = limit_memory(&err);
	if (r == 0)
		r = jail_enter(&jail, report, sizeof report, &err);
	if (r == 0)
		r = jail_thread(&jail, JAIL_THREAD_NAT, &err);

	/* 4. From here on bytes of others are parsed. */
	net_program_say(OWNER_FD, r < 0 ? &err : NULL);
	if (r == 0) {
		settle(&nat);
		r = loop_run(nat.loop);
	}
	return r < 0 ? 1 : 0;
}
