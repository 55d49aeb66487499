/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to the launcher and its news; see launcher_link.h. */
#include "programs/daemon/launcher_link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/ipc.h"
#include "base/log.h"
#include "control/socket.h"

struct asked {
	struct asked *next;
	u32 tag;
	launcher_link_fn done;
	void *owner;
};

struct launcher_link {
	struct launcher_link_config config;
	int fd; /* -1: nobody is there */
	struct loop_watch *watch;
	struct loop_alarm again;
	struct asked *asked;
	u32 tag;
};

static struct asked **find(struct launcher_link *l, u32 tag)
{
	struct asked **p = &l->asked;

	while (*p && (*p)->tag != tag)
		p = &(*p)->next;
	return p;
}

static void answer(struct launcher_link *l, u32 tag, const struct launch_reply *reply)
{
	struct asked **p = find(l, tag), *a = *p;

	if (!a)
		return;
	*p = a->next;
	a->done(a->owner, reply);
	free(a);
}

/* What was asked is not answered any more: perhaps it was done, and the next list says so. */
static void hang_up(struct launcher_link *l)
{
	static const struct launch_reply gone = {
		.kind = LAUNCH_FAILED,
		.code = -EHOSTDOWN,
		.text = "the launcher (tabique-launcher) went away before it answered",
		.fix = "see its log; it takes over what runs when it is started again",
	};

	loop_watch_remove(l->watch);
	l->watch = NULL;
	close(take_fd(&l->fd));
	while (l->asked)
		answer(l, l->asked->tag, &gone);
	log_warn("the launcher is gone; VMs run on, none can be started until it is "
		 "back");
	loop_alarm_set(&l->again, host_clock.monotonic_ns(&host_clock) + NS_PER_SEC);
}

static void take(struct launcher_link *l, const struct launch_reply *m)
{
	switch ((enum launch_kind)m->kind) {
	case LAUNCH_DONE:
	case LAUNCH_FAILED:
		answer(l, m->tag, m);
		return;
	case LAUNCH_VM:
		l->config.list_has(l->config.owner, m);
		return;
	case LAUNCH_ENDED:
		l->config.ended(l->config.owner, m);
		return;
	case LAUNCH_START:
	case LAUNCH_KILL:
	case LAUNCH_LIMITS:
	case LAUNCH_LIST:
		return; /* not for us */
	}
}

static void on_launcher(void *owner, unsigned events)
{
	static struct launch_reply m;
	struct launcher_link *l = owner;
	unsigned fds;
	size_t size;

	for (unsigned k = 0; k < 64 && l->fd >= 0; k++) {
		int r = ipc_receive(l->fd, &m, sizeof m, &size, NULL, 0, &fds);

		if (r == -EAGAIN)
			return;
		if (r < 0 || size != sizeof m || m.version != LAUNCH_VERSION) {
			hang_up(l);
			return;
		}
		m.name[sizeof m.name - 1] = m.end[sizeof m.end - 1] = '\0';
		m.text[sizeof m.text - 1] = m.fix[sizeof m.fix - 1] = '\0';
		take(l, &m);
	}
}

static void on_list(void *owner, const struct launch_reply *reply)
{
	struct launcher_link *l = owner;

	if (reply->kind == LAUNCH_DONE)
		l->config.list_is_over(l->config.owner);
}

static void connect_now(void *owner)
{
	static struct launch_request request;
	struct launcher_link *l = owner;
	struct err err = { 0 };
	int size = 4 << 20, fd = -1;
	int r = control_connect(l->config.socket, CONTROL_OF_LAUNCHER, &fd, &err);

	if (r == 0) {
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
		fcntl(fd, F_SETFL, O_NONBLOCK);
		l->fd = fd;
		r = loop_watch_add(l->config.loop, fd, LOOP_READ, on_launcher, l,
				   &l->watch);
	}
	if (r < 0) {
		if (l->fd >= 0)
			close(take_fd(&l->fd));
		loop_alarm_set(&l->again,
			       host_clock.monotonic_ns(&host_clock) + NS_PER_SEC);
		return;
	}
	loop_alarm_set(&l->again, UINT64_MAX);
	l->config.list_begins(l->config.owner);
	request = (struct launch_request){ .kind = LAUNCH_LIST };
	if (launcher_link_ask(l, &request, on_list, l, &err) < 0)
		log_warn("launcher: %s", err.text);
}

int launcher_link_ask(struct launcher_link *l, struct launch_request *request,
		      launcher_link_fn done, void *owner, struct err *err)
{
	struct asked *a;
	int r;

	/* It may just have come. */
	if (l->fd < 0)
		connect_now(l);
	if (l->fd < 0) {
		err_set(err, -EHOSTDOWN, "the launcher (tabique-launcher) does not run");
		return err_fix(err, "start it as root: tabique-launcher, or systemctl "
				    "start "
				    "tabique-launcher");
	}
	a = calloc(1, sizeof *a);
	if (!a)
		return err_set(err, -ENOMEM, "%s", err_words(-ENOMEM));
	l->tag = l->tag % 0xffffff + 1;
	*a = (struct asked){ l->asked, l->tag, done, owner };
	request->version = LAUNCH_VERSION;
	request->tag = l->tag;
	r = ipc_send(l->fd, request, sizeof *request, NULL, 0);
	if (r < 0) {
		free(a);
		return err_set(err, r == -EAGAIN ? -EBUSY : r,
			       "the launcher takes no request: %s", err_words(r));
	}
	l->asked = a;
	return 0;
}

bool launcher_link_is_up(const struct launcher_link *l)
{
	return l->fd >= 0;
}

int launcher_link_new(const struct launcher_link_config *config,
		      struct launcher_link **ret_link)
{
	struct launcher_link *l = calloc(1, sizeof *l);

	if (!l)
		return -ENOMEM;
	l->config = *config;
	l->fd = -1;
	loop_alarm_init(config->loop, &l->again, connect_now, l);
	*ret_link = l;
	connect_now(l);
	return 0;
}

void launcher_link_free(struct launcher_link *l)
{
	if (!l)
		return;
	loop_alarm_set(&l->again, UINT64_MAX);
	loop_watch_remove(l->watch);
	if (l->fd >= 0)
		close(l->fd);
	while (l->asked) {
		struct asked *a = l->asked;

		l->asked = a->next;
		free(a);
	}
	free(l);
}
