/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens on the host, as a stream (GET /1.0/events, server-sent events): each event has a number, a
 * type and an object. The last EVENTS_KEPT are sent to who comes later, so that nothing falls between a list
 * and the stream. Thread: the loop's.
 */
#pragma once

#include <jansson.h>

#include "control/server.h"

#define EVENTS_KEPT 64
#define EVENTS_LISTENERS 16

struct events;

int events_new(struct events **ret_events) MUST_CHECK;
void events_free(struct events *events);

/* type: vm, operation, ...; data is taken. */
void events_post(struct events *events, const char *type, json_t *data);
/* The call becomes a stream. */
void events_listen(struct events *events, struct control_call *call);
