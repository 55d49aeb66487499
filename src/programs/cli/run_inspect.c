/* SPDX-License-Identifier: Apache-2.0 */
/* Rounds of questions to both processes; see run_inspect.h. */
#include "programs/cli/run_inspect.h"

#include <errno.h>

#include "base/clock.h"
#include "base/ipc.h"
#include "control/inspect_tree.h"

#define MAX_TEXT (1u << 20) /* more than either of them says */

struct side {
	int socket;
	bool asked;    /* its last piece has not come */
	bool in_round; /* the round waits for it */
	bool late;     /* what comes belongs to a round that is over */
	char *text;
	size_t size;
};

struct waiter {
	run_inspect_fn done;
	void *owner;
	struct waiter *next;
};

struct run_inspect {
	struct side side[RUN_SIDES];
	struct loop_alarm alarm;
	struct waiter *now, *next; /* of this round, of the one behind it */
};

static void start_round(struct run_inspect *ri);

/* ---- a round's end --------------------------------------------------------------------------- */

static json_t *tree_of(struct side *s)
{
	if (s->asked || !s->text)
		return json_string("does not answer");
	return inspect_tree(s->text);
}

static void finish_round(struct run_inspect *ri)
{
	struct waiter *w = take_ptr(ri->now);
	json_t *tree = json_pack("{s:o, s:o}", "hv", tree_of(&ri->side[RUN_HV]), "worker",
				 tree_of(&ri->side[RUN_WORKER]));

	loop_alarm_set(&ri->alarm, UINT64_MAX);
	for (unsigned k = 0; k < RUN_SIDES; k++) {
		struct side *s = &ri->side[k];

		s->late = s->asked;
		s->in_round = false;
		free(take_ptr(s->text));
		s->size = 0;
	}
	while (w) {
		struct waiter *next = w->next;

		w->done(w->owner, json_incref(tree));
		free(w);
		w = next;
	}
	json_decref(tree);
	if (ri->next && !ri->now)
		start_round(ri);
}

static void look(struct run_inspect *ri)
{
	for (unsigned k = 0; k < RUN_SIDES; k++)
		if (ri->side[k].in_round)
			return;
	finish_round(ri);
}

static void on_alarm(void *owner)
{
	finish_round(owner);
}

/* ---- a round --------------------------------------------------------------------------------- */

static void start_round(struct run_inspect *ri)
{
	static const struct owner_message ask = { .kind = OWNER_INSPECT_ASK };

	ri->now = take_ptr(ri->next);
	loop_alarm_set(&ri->alarm, host_clock.monotonic_ns(&host_clock) +
					   RUN_INSPECT_SECONDS * NS_PER_SEC);
	for (unsigned k = 0; k < RUN_SIDES; k++) {
		struct side *s = &ri->side[k];

		if (!s->asked)
			s->asked = s->in_round =
				ipc_send(s->socket, &ask, sizeof ask, NULL, 0) == 0;
	}
	look(ri);
}

int run_inspect_ask(struct run_inspect *ri, run_inspect_fn done, void *owner)
{
	struct waiter *w = calloc(1, sizeof *w);

	if (!w)
		return -ENOMEM;
	*w = (struct waiter){ .done = done, .owner = owner, .next = ri->next };
	ri->next = w;
	if (!ri->now)
		start_round(ri);
	return 0;
}

static void keep(struct side *s, const char *piece, size_t size)
{
	char *text;

	if (s->size + size >= MAX_TEXT)
		return;
	text = realloc(s->text, s->size + size + 1);
	if (!text)
		return;
	memcpy(text + s->size, piece, size);
	s->size += size;
	text[s->size] = '\0';
	s->text = text;
}

void run_inspect_hear(struct run_inspect *ri, enum run_side side,
		      const struct owner_message *m)
{
	struct side *s = &ri->side[side];
	size_t size = strnlen(m->u.text, sizeof m->u.text);

	if (!s->asked)
		return;
	if (size > 0) {
		if (!s->late)
			keep(s, m->u.text, size);
		return;
	}
	s->asked = false;
	if (s->late) {
		s->late = false;
		return;
	}
	s->in_round = false;
	look(ri);
}

/* ---- life ------------------------------------------------------------------------------------ */

int run_inspect_new(struct loop *loop, int hv_socket, int worker_socket,
		    struct run_inspect **ret_inspect)
{
	struct run_inspect *ri = calloc(1, sizeof *ri);

	if (!ri)
		return -ENOMEM;
	ri->side[RUN_HV].socket = hv_socket;
	ri->side[RUN_WORKER].socket = worker_socket;
	loop_alarm_init(loop, &ri->alarm, on_alarm, ri);
	*ret_inspect = ri;
	return 0;
}

static void free_waiters(struct waiter *w)
{
	while (w) {
		struct waiter *next = w->next;

		w->done(w->owner, NULL);
		free(w);
		w = next;
	}
}

void run_inspect_free(struct run_inspect *ri)
{
	if (!ri)
		return;
	loop_alarm_set(&ri->alarm, UINT64_MAX);
	free_waiters(ri->now);
	free_waiters(ri->next);
	for (unsigned k = 0; k < RUN_SIDES; k++)
		free(ri->side[k].text);
	free(ri);
}
