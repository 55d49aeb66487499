/* SPDX-License-Identifier: Apache-2.0 */
/* Operations; see operations.h. */
#include "programs/daemon/operations.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "config/words.h"

#define MAX_WAITING 16

enum operation_state { RUNNING, SUCCESS, FAILURE, CANCELLED };

struct operation {
	struct operations *all;
	struct operation *next; /* newest first */
	u64 id;
	char what[24], vm[64], text[96];
	unsigned percent;
	time_t since;
	enum operation_state state;
	struct err err; /* FAILURE */
	operation_cancel_fn cancel;
	void *owner;
	struct control_call *waiting[MAX_WAITING];
	unsigned waiting_count;
};

struct operations {
	struct events *events;
	struct operation *first;
	u64 next_id;
	unsigned running, over;
};

/* ---- shown ----------------------------------------------------------------------------------- */

static json_t *show(const struct operation *o)
{
	static const char *const states[] = { "running", "success", "failure",
					      "cancelled" };
	const char *word;
	char url[48];
	json_t *json;

	snprintf(url, sizeof url, "/1.0/operations/%llu", (unsigned long long)o->id);
	json = json_pack("{s:I, s:s, s:s, s:s, s:s, s:I, s:{s:i, s:s}, s:b}", "id",
			 (json_int_t)o->id, "url", url, "what", o->what, "vm", o->vm,
			 "status", states[o->state], "since", (json_int_t)o->since,
			 "progress", "percent", (int)o->percent, "text", o->text,
			 "can_cancel", o->cancel && o->state == RUNNING);
	if (o->state != FAILURE)
		return json;
	control_status_of(o->err.code, &word);
	json_object_set_new(json, "error",
			    json_pack("{s:s, s:s, s:[s]}", "code", word, "message",
				      o->err.text, "fix", o->err.fix));
	return json;
}

static void post(const struct operation *o)
{
	events_post(o->all->events, "operation", show(o));
}

json_t *operations_list(const struct operations *all)
{
	json_t *list = json_array();

	for (const struct operation *o = all->first; o; o = o->next)
		json_array_append_new(list, show(o));
	return list;
}

unsigned operations_running(const struct operations *all)
{
	return all->running;
}

/* ---- life ------------------------------------------------------------------------------------ */

int operations_new(struct events *events, struct operations **ret_operations)
{
	struct operations *all = calloc(1, sizeof *all);

	if (!all)
		return -ENOMEM;
	all->events = events;
	all->next_id = 1;
	*ret_operations = all;
	return 0;
}

void operations_free(struct operations *all)
{
	while (all && all->first) {
		struct operation *o = all->first;

		all->first = o->next;
		free(o);
	}
	free(all);
}

struct operation *operation_new(struct operations *all, const char *what, const char *vm,
				operation_cancel_fn cancel, void *owner)
{
	struct operation *o = all->running < OPERATIONS_RUNNING ? calloc(1, sizeof *o)
								: NULL;

	if (!o)
		return NULL;
	*o = (struct operation){ .all = all,
				 .next = all->first,
				 .id = all->next_id++,
				 .since = time(NULL),
				 .cancel = cancel,
				 .owner = owner };
	snprintf(o->what, sizeof o->what, "%s", what);
	snprintf(o->vm, sizeof o->vm, "%s", vm);
	all->first = o;
	all->running++;
	post(o);
	return o;
}

/* The oldest that is over goes. */
static void forget_one(struct operations *all)
{
	struct operation **oldest = NULL, *o;

	for (struct operation **p = &all->first; *p; p = &(*p)->next)
		if ((*p)->state != RUNNING)
			oldest = p;
	if (!oldest)
		return;
	o = *oldest;
	*oldest = o->next;
	free(o);
	all->over--;
}

void operation_progress(struct operation *o, unsigned percent, const char *text)
{
	o->percent = percent;
	snprintf(o->text, sizeof o->text, "%s", text);
	post(o);
}

static void end(struct operation *o, enum operation_state state)
{
	o->state = state;
	o->all->running--;
	o->all->over++;
	if (state == SUCCESS)
		o->percent = 100;
	post(o);
	for (unsigned k = 0; k < o->waiting_count; k++)
		control_reply(o->waiting[k], show(o));
	o->waiting_count = 0;
	if (o->all->over > OPERATIONS_KEPT)
		forget_one(o->all);
}

void operation_end(struct operation *o, const struct err *err)
{
	if (o->state != RUNNING)
		return;
	if (err && err->code)
		o->err = *err;
	end(o, err && err->code ? FAILURE : SUCCESS);
}

void operation_accept(struct operation *o, struct control_call *call)
{
	char url[48];

	snprintf(url, sizeof url, "/1.0/operations/%llu", (unsigned long long)o->id);
	control_reply_with(call, &(struct control_answer){
					 .status = 202,
					 .location = url,
					 .json = json_pack("{s:s, s:s, s:s, s:o}", "type",
							   "async", "status", "accepted",
							   "operation", url, "metadata",
							   show(o)),
				 });
}

/* ---- asked for ------------------------------------------------------------------------------- */

/* NULL: it was answered. */
static struct operation *find(struct operations *all, const char *id,
			      struct control_call *call)
{
	const char *rest = "x";
	struct err err = { 0 };
	u64 n = 0;

	if (parse_number(id, &n, &rest) && !*rest)
		for (struct operation *o = all->first; o; o = o->next)
			if (o->id == n)
				return o;
	err_set(&err, -ENOENT, "there is no operation '%.40s'", id);
	err_fix(&err, "see which there are: tabique op list");
	control_reply_err(call, &err);
	return NULL;
}

void operations_show(struct operations *all, const char *id, struct control_call *call)
{
	const struct operation *o = find(all, id, call);

	if (o)
		control_reply(call, show(o));
}

void operations_wait(struct operations *all, const char *id, struct control_call *call)
{
	struct operation *o = find(all, id, call);
	struct err err = { 0 };

	if (!o)
		return;
	if (o->state == RUNNING && o->waiting_count < MAX_WAITING) {
		o->waiting[o->waiting_count++] = call;
	} else if (o->state == RUNNING) {
		err_set(&err, -EBUSY, "%d wait for that operation already", MAX_WAITING);
		err_fix(&err, "look at it again and again instead");
		control_reply_err(call, &err);
	} else {
		control_reply(call, show(o));
	}
}

void operations_cancel(struct operations *all, const char *id, struct control_call *call)
{
	struct operation *o = find(all, id, call);
	struct err err = { 0 };

	if (!o)
		return;
	if (o->state != RUNNING || !o->cancel) {
		err_set(&err, -EBUSY, "operation %s %s", id,
			o->state == RUNNING ? "cannot be cancelled" : "is over");
		err_fix(&err, "see its state: GET /1.0/operations/%s", id);
		control_reply_err(call, &err);
		return;
	}
	o->cancel(o->owner, o);
	if (o->state == RUNNING)
		end(o, CANCELLED);
	control_reply(call, show(o));
}
