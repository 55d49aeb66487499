/* SPDX-License-Identifier: Apache-2.0 */
/* Orders about the guest and their answers; see live_guest.h. */
#include "programs/cli/live_guest.h"

#include <errno.h>

#include "base/ipc.h"
#include "base/log.h"

struct waiter {
	u32 id;
	live_guest_fn done;
	void *owner;
	struct waiter *next;
};

struct live_guest {
	int socket;
	u32 last_id;
	struct waiter *waiters;
};

/* The waiter leaves the list; the caller's. NULL: nobody waits for that. */
static struct waiter *take_waiter(struct live_guest *g, u32 id)
{
	for (struct waiter **p = &g->waiters; *p; p = &(*p)->next) {
		struct waiter *w = *p;

		if (w->id != id)
			continue;
		*p = w->next;
		return w;
	}
	return NULL;
}

static void end(struct waiter *w, int r, const struct err *err)
{
	w->done(w->owner, r, err);
	free(w);
}

void live_guest_ask(struct live_guest *g, struct worker_guest_order *order,
		    live_guest_fn done, void *owner)
{
	struct waiter *w = calloc(1, sizeof *w);
	struct err err = { 0 };
	int r = w ? 0 : -ENOMEM;

	order->kind = OWNER_GUEST;
	order->id = ++g->last_id;
	if (r == 0)
		r = ipc_send(g->socket, order, sizeof *order, NULL, 0);
	if (r < 0) {
		free(w);
		err_set(&err, r, "the worker process takes no order: %s", err_words(r));
		err_fix(&err, "look what it does: tabique vm inspect");
		done(owner, r, &err);
		return;
	}
	*w = (struct waiter){ order->id, done, owner, g->waiters };
	g->waiters = w;
}

void live_guest_hear(struct live_guest *g, const struct owner_message *m)
{
	struct waiter *w = take_waiter(g, m->u.guest_done.id);
	struct err err = { .code = m->u.guest_done.code };

	if (!w) {
		log_warn("the worker answers what it was not asked");
		return;
	}
	memcpy(err.text, m->u.guest_done.text, sizeof err.text);
	memcpy(err.fix, m->u.guest_done.fix, sizeof err.fix);
	err.text[sizeof err.text - 1] = '\0';
	err.fix[sizeof err.fix - 1] = '\0';
	end(w, err.code < 0 ? err.code : 0, &err);
}

int live_guest_new(int worker_socket, struct live_guest **ret_guest)
{
	struct live_guest *g = calloc(1, sizeof *g);

	if (!g)
		return -ENOMEM;
	g->socket = worker_socket;
	*ret_guest = g;
	return 0;
}

void live_guest_free(struct live_guest *g)
{
	struct err err = { 0 };

	if (!g)
		return;
	err_set(&err, -ESHUTDOWN, "the VM has ended before the guest answered");
	err_fix(&err, "start it again");
	while (g->waiters)
		end(take_waiter(g, g->waiters->id), err.code, &err);
	free(g);
}
