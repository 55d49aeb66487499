/* SPDX-License-Identifier: Apache-2.0 */
/* The stream of events; see events.h. WHATWG HTML, section 9.2. */
#include "programs/daemon/events.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

struct events {
	u64 next;		 /* number of the next one */
	char *kept[EVENTS_KEPT]; /* as sent; number n is at n % EVENTS_KEPT */
	struct control_call *listener[EVENTS_LISTENERS];
};

int events_new(struct events **ret_events)
{
	*ret_events = calloc(1, sizeof **ret_events);
	return *ret_events ? 0 : -ENOMEM;
}

void events_free(struct events *e)
{
	if (!e)
		return;
	for (unsigned k = 0; k < EVENTS_LISTENERS; k++)
		if (e->listener[k])
			control_stream_end(e->listener[k]);
	for (unsigned k = 0; k < EVENTS_KEPT; k++)
		free(e->kept[k]);
	free(e);
}

static void send(struct events *e, unsigned listener, const char *text)
{
	struct control_call **call = &e->listener[listener];

	if (*call && !control_stream_send(*call, text, strlen(text)))
		control_stream_end(take_ptr(*call));
}

void events_post(struct events *e, const char *type, json_t *data)
{
	AUTO_FREE char *json = NULL;
	char *text = NULL;

	json_object_set_new(data, "time", json_integer((json_int_t)time(NULL)));
	json = json_dumps(data, JSON_COMPACT);
	json_decref(data);
	if (!json || asprintf(&text, "id: %llu\nevent: %s\ndata: %s\n\n",
			      (unsigned long long)e->next, type, json) < 0)
		return;
	for (unsigned k = 0; k < EVENTS_LISTENERS; k++)
		send(e, k, text);
	free(e->kept[e->next % EVENTS_KEPT]);
	e->kept[e->next++ % EVENTS_KEPT] = text;
}

void events_listen(struct events *e, struct control_call *call)
{
	struct err err = { 0 };
	unsigned k = 0;

	/* A place of one that has left shows only when something is sent to it. */
	for (unsigned n = 0; n < EVENTS_LISTENERS; n++)
		send(e, n, ": listening\n\n");
	while (k < EVENTS_LISTENERS && e->listener[k])
		k++;
	if (k == EVENTS_LISTENERS) {
		err_set(&err, -EBUSY, "%d listen to the events already",
			EVENTS_LISTENERS);
		err_fix(&err, "end one of them");
		control_reply_err(call, &err);
		return;
	}
	if (!control_stream_begin(call)) {
		control_stream_end(call);
		return;
	}
	e->listener[k] = call;
	for (u64 n = e->next > EVENTS_KEPT ? e->next - EVENTS_KEPT : 0; n < e->next; n++)
		send(e, k, e->kept[n % EVENTS_KEPT]);
}
