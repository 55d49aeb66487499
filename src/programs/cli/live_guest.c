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
	json_t *pairs;
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
	w->done(w->owner, r, w->pairs, err);
	json_decref(w->pairs);
	free(w);
}

void live_guest_ask(struct live_guest *g, struct worker_guest_order *order, int fd,
		    live_guest_fn done, void *owner)
{
	struct waiter *w = calloc(1, sizeof *w);
	struct err err = { 0 };
	int r = w ? 0 : -ENOMEM;

	order->kind = OWNER_GUEST;
	order->id = ++g->last_id;
	if (r == 0)
		r = ipc_send(g->socket, order, sizeof *order, &fd, fd >= 0);
	if (r < 0) {
		free(w);
		err_set(&err, r, "the worker process takes no order: %s", err_words(r));
		err_fix(&err, "look what it does: tabique vm inspect");
		done(owner, r, NULL, &err);
		return;
	}
	*w = (struct waiter){
		.id = order->id, .done = done, .owner = owner, .next = g->waiters
	};
	g->waiters = w;
}

static void keep_pair(struct live_guest *g, const struct owner_message *m)
{
	static const char *const pools[] = { "external", "guest", "auto" };
	char key[OWNER_KEY_SIZE], value[OWNER_VALUE_SIZE];
	struct waiter *w = g->waiters;

	while (w && w->id != m->u.guest_pair.id)
		w = w->next;
	if (!w || m->u.guest_pair.pool >= ARRAY_COUNT(pools))
		return;
	if (!w->pairs)
		w->pairs = json_pack("{s:{}, s:{}, s:{}}", "auto", "guest", "external");
	memcpy(key, m->u.guest_pair.key, sizeof key);
	memcpy(value, m->u.guest_pair.value, sizeof value);
	key[sizeof key - 1] = value[sizeof value - 1] = '\0';
	json_object_set_new(json_object_get(w->pairs, pools[m->u.guest_pair.pool]), key,
			    json_string(value));
}

void live_guest_hear(struct live_guest *g, const struct owner_message *m)
{
	struct err err = { .code = m->u.guest_done.code };
	struct waiter *w;

	if (m->kind == OWNER_GUEST_PAIR) {
		keep_pair(g, m);
		return;
	}
	w = take_waiter(g, m->u.guest_done.id);
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
