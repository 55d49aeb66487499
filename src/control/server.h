/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API's server on a UNIX socket: clients, their requests, replies that may come later.
 *
 *	1. control_server_new	on a listening socket (control/socket.h)
 *	2. handle() is called with each request, and answers by one of the replies: from inside, or
 *	   whenever it can
 *	3. control_server_free	calls without a reply are dropped
 *
 * A client is served one request at a time, and sends the next when it has its reply. A client
 * that stops in the middle of a request, or does not take its reply, is gone after
 * CONTROL_PATIENCE; where CONTROL_CLIENTS are connected, a new one takes the place of the one that
 * has been silent for longest. Nobody waits for anybody else's reply.
 *
 * A struct control_call outlives its client: the reply is dropped then.
 *
 * Thread: the loop's.
 */
#pragma once

#include <jansson.h>

#include "base/err.h"
#include "base/loop.h"
#include "control/http.h"

#define CONTROL_CLIENTS 32
#define CONTROL_PATIENCE_SECONDS 30

struct control_server;
struct control_call;

/* body: JSON that was parsed, an object; NULL where there was none. The callee does not keep it. */
typedef void (*control_handle_fn)(void *owner, struct control_call *call,
				  const struct http_message *request, json_t *body);

struct control_server_config {
	struct loop *loop;
	int socket; /* listening, non-blocking; stays the caller's */
	control_handle_fn handle;
	void *owner;
	unsigned clients; /* at once; 0: CONTROL_CLIENTS */
};
int control_server_new(const struct control_server_config *config,
		       struct control_server **ret_server) MUST_CHECK;
void control_server_free(struct control_server *server);

/* Each ends the call. metadata is taken; NULL: an empty object. */
void control_reply(struct control_call *call, json_t *metadata);
/* Bytes of another type, "image/png". They are copied. */
void control_reply_bytes(struct control_call *call, const char *type, const void *bytes,
			 size_t size);
/* -ENOENT, -EBUSY and the like choose the status. */
void control_reply_err(struct control_call *call, const struct err *err);
/*
 * Anything else: a body of JSON, which is taken, or a text; with what else the head says. Ends the call.
 */
struct control_answer {
	unsigned status;
	json_t *json;
	const void *bytes; /* where json is NULL */
	size_t size;
	const char *type;	     /* of the bytes */
	const char *etag, *location; /* NULL: none */
};
void control_reply_with(struct control_call *call, const struct control_answer *answer);

/*
 * A reply that goes on (text/event-stream), until the client leaves or control_stream_end. A client that
 * does not take CONTROL_STREAM_ROOM of it is gone. False: it is gone, and the call waits to be ended.
 */
#define CONTROL_STREAM_ROOM 262144u
bool control_stream_begin(struct control_call *call);
bool control_stream_send(struct control_call *call, const char *text, size_t size);
void control_stream_end(struct control_call *call);

/* The status and the word of a problem. */
unsigned control_status_of(int code, const char **ret_word);

/* A path or method that there is not. */
void control_reply_unknown(struct control_call *call, const struct http_message *request);
