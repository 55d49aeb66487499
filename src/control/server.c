/* SPDX-License-Identifier: Apache-2.0 */
/* The API's server; see server.h. In the order in which things happen to a client. */
#include "control/server.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"

#define PATIENCE_NS (CONTROL_PATIENCE_SECONDS * NS_PER_SEC)
#define MAX_INPUT (HTTP_MAX_HEAD + HTTP_MAX_BODY)

struct client {
	struct control_server *server;
	int fd; /* -1: free */
	struct loop_watch *watch;
	u64 since; /* of its last byte, either way */
	char *input;
	size_t input_size;
	char *output; /* NULL: none */
	size_t output_size, output_sent;
	bool keep_alive;
	bool stream;		   /* the output grows as it goes */
	struct control_call *call; /* that waits for its reply */
};

struct control_call {
	struct control_server *server;
	struct client *client; /* NULL: gone */
	struct control_call *next;
};

struct control_server {
	struct control_server_config config;
	struct loop_watch *watch;
	struct loop_alarm alarm;
	struct control_call *calls;
	unsigned client_count;
	struct client client[];
};

/* ---- clients come and go --------------------------------------------------------------------- */

static u64 now(void)
{
	return host_clock.monotonic_ns(&host_clock);
}

static void drop(struct client *c)
{
	loop_watch_remove(c->watch);
	close(c->fd);
	free(c->input);
	free(c->output);
	if (c->call)
		c->call->client = NULL;
	*c = (struct client){ .server = c->server, .fd = -1 };
}

/* Who waits for us is not silent. */
static bool silent(const struct client *c)
{
	return c->fd >= 0 && !c->call;
}

/* The alarm is for the client whose patience ends first. */
static void set_alarm(struct control_server *s)
{
	u64 first = UINT64_MAX;

	for (unsigned k = 0; k < s->client_count; k++)
		if (silent(&s->client[k]))
			first = min_u64(first, s->client[k].since + PATIENCE_NS);
	loop_alarm_set(&s->alarm, first);
}

static void on_alarm(void *owner)
{
	struct control_server *s = owner;

	for (unsigned k = 0; k < s->client_count; k++)
		if (silent(&s->client[k]) && s->client[k].since + PATIENCE_NS <= now())
			drop(&s->client[k]);
	set_alarm(s);
}

/* A free place, or that of the client that was silent for longest. */
static struct client *find_place(struct control_server *s)
{
	struct client *best = NULL;

	for (unsigned k = 0; k < s->client_count; k++) {
		struct client *c = &s->client[k];

		if (c->fd < 0)
			return c;
		if (silent(c) && (!best || c->since < best->since))
			best = c;
	}
	if (best)
		drop(best);
	return best;
}

static void on_client(void *owner, unsigned events);

static void on_connect(void *owner, unsigned events)
{
	struct control_server *s = owner;
	int fd = accept4(s->config.socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *c;

	if (fd < 0)
		return;
	c = find_place(s);
	if (!c) { /* all wait for us: one more will not */
		close(fd);
		return;
	}
	c->fd = fd;
	c->since = now();
	c->input = malloc(MAX_INPUT);
	if (!c->input ||
	    loop_watch_add(s->config.loop, fd, LOOP_READ, on_client, c, &c->watch) < 0)
		drop(c);
	set_alarm(s);
}

/* ---- replies --------------------------------------------------------------------------------- */

/* What the socket takes of the reply now; then the next request. */
static void send_output(struct client *c)
{
	ssize_t n = send(c->fd, c->output + c->output_sent,
			 c->output_size - c->output_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		drop(c);
		return;
	}
	if (n > 0) {
		c->since = now();
		c->output_sent += (size_t)n;
	}
	if (c->output_sent < c->output_size) {
		loop_watch_change(c->watch, LOOP_WRITE);
		return;
	}
	free(take_ptr(c->output));
	if (c->stream) {
		c->output_size = c->output_sent = 0;
		loop_watch_change(c->watch, 0);
		return;
	}
	if (!c->keep_alive) {
		drop(c);
		return;
	}
	loop_watch_change(c->watch, LOOP_READ);
}

static void take_reply(struct client *c, const struct control_answer *a)
{
	struct http_reply reply = { .status = a->status,
				    .etag = a->etag,
				    .location = a->location,
				    .keep_alive = c->keep_alive };
	AUTO_FREE char *dumped = a->json ? json_dumps(a->json, JSON_COMPACT) : NULL;
	const void *bytes = a->json ? dumped : a->bytes;
	char head[1024];
	size_t head_size;

	reply.type = !a->json		? a->type
		     : a->status >= 400 ? "application/problem+json"
					: "application/json";
	reply.body_size = dumped ? strlen(dumped) : a->size;
	head_size = http_reply_write(head, sizeof head, &reply);
	c->output = bytes && head_size < sizeof head ? malloc(head_size + reply.body_size)
						     : NULL;
	if (!c->output) {
		drop(c);
		return;
	}
	memcpy(c->output, head, head_size);
	memcpy(c->output + head_size, bytes, reply.body_size);
	c->output_size = head_size + reply.body_size;
	c->output_sent = 0;
	send_output(c);
}

static void call_free(struct control_call *call)
{
	struct control_server *s = call->server;

	for (struct control_call **p = &s->calls; *p; p = &(*p)->next) {
		if (*p != call)
			continue;
		*p = call->next;
		break;
	}
	if (call->client)
		call->client->call = NULL;
	free(call);
}

void control_reply_with(struct control_call *call, const struct control_answer *answer)
{
	struct control_server *s = call->server;
	struct client *c = call->client;

	call_free(call);
	if (c)
		take_reply(c, answer);
	json_decref(answer->json);
	set_alarm(s);
}

/* body is taken. */
static void reply(struct control_call *call, unsigned status, json_t *body)
{
	control_reply_with(call,
			   &(struct control_answer){ .status = status, .json = body });
}

void control_reply_bytes(struct control_call *call, const char *type, const void *bytes,
			 size_t size)
{
	control_reply_with(call, &(struct control_answer){ .status = 200,
							   .bytes = bytes,
							   .size = size,
							   .type = type });
}

void control_reply(struct control_call *call, json_t *metadata)
{
	reply(call, 200,
	      json_pack("{s:s, s:s, s:o}", "type", "sync", "status", "done", "metadata",
			metadata ? metadata : json_object()));
}

/* A sentence may have in it what somebody sent: where that is no UTF-8, '?' stands for it. */
static json_t *text_of(const char *text)
{
	json_t *json = json_string(text);
	char clean[ERR_TEXT_SIZE];
	size_t k = 0;

	for (; !json && text[k] && k + 1 < sizeof clean; k++)
		clean[k] = (u8)text[k] < 0x80 ? text[k] : '?';
	clean[k] = '\0';
	return json ? json : json_string(clean);
}

static json_t *problem(const char *code, const char *message, const char *fix)
{
	json_t *fixes = json_array();
	const char *cause;

	if (fix[0])
		json_array_append_new(fixes, text_of(fix));
	/* The sentence ends with its cause: "start 'web1': disk 'a.vhdx': it is in use". */
	cause = strstr(message, ": ") ? strrchr(message, ':') + 1 : message;
	return json_pack("{s:s, s:o, s:o, s:o}", "code", code, "message",
			 text_of(message), "cause", text_of(cause + strspn(cause, " ")),
			 "fix", fixes);
}

unsigned control_status_of(int code, const char **ret_word)
{
	static const struct {
		int code;
		unsigned status;
		const char *word;
	} rows[] = {
		{ -ENOENT, 404, "not-found" },
		{ -ENOTDIR, 404, "not-found" },
		{ -EBUSY, 409, "busy" },
		{ -ENOSPC, 409, "full" },
		{ -EINVAL, 400, "invalid" },
		{ -EROFS, 409, "read-only" },
		{ -E2BIG, 413, "too-large" },
		{ -EOPNOTSUPP, 501, "unsupported" },
		{ -ENODEV, 409, "no-device" },
		{ -ETIMEDOUT, 504, "timeout" },
		{ -EEXIST, 409, "exists" },
		{ -EALREADY, 409, "already" },
		{ -ENOTCONN, 409, "not-connected" },
		{ -ESTALE, 412, "changed" },
		{ -EHOSTDOWN, 503, "away" },
	};

	*ret_word = "failed";
	for (size_t k = 0; k < ARRAY_COUNT(rows); k++) {
		if (rows[k].code != code)
			continue;
		*ret_word = rows[k].word;
		return rows[k].status;
	}
	return 500;
}

void control_reply_err(struct control_call *call, const struct err *err)
{
	const char *word;
	unsigned status = control_status_of(err->code, &word);

	reply(call, status, problem(word, err->text, err->fix));
}

/* ---- replies that go on ---------------------------------------------------------------------- */

bool control_stream_begin(struct control_call *call)
{
	struct client *c = call->client;
	char head[256];
	size_t size = http_reply_write(head, sizeof head,
				       &(struct http_reply){ .status = 200 });

	if (!c)
		return false;
	c->stream = true;
	c->keep_alive = false;
	return control_stream_send(call, head, size);
}

bool control_stream_send(struct control_call *call, const char *text, size_t size)
{
	struct client *c = call->client;
	size_t left = c ? c->output_size - c->output_sent : 0;
	char *output;

	if (!c)
		return false;
	output = left + size <= CONTROL_STREAM_ROOM ? malloc(left + size) : NULL;
	if (!output) {
		drop(c);
		return false;
	}
	if (c->output)
		memcpy(output, c->output + c->output_sent, left);
	memcpy(output + left, text, size);
	free(c->output);
	c->output = output;
	c->output_size = left + size;
	c->output_sent = 0;
	send_output(c);
	return call->client;
}

void control_stream_end(struct control_call *call)
{
	struct control_server *s = call->server;
	struct client *c = call->client;

	call_free(call);
	if (c)
		drop(c);
	set_alarm(s);
}

void control_reply_unknown(struct control_call *call, const struct http_message *request)
{
	struct err err = { 0 };

	err_set(&err, -ENOENT, "there is no '%s %s'", request->method, request->path);
	err_fix(&err, "GET /1.0 lists what there is");
	control_reply_err(call, &err);
}

/* ---- requests -------------------------------------------------------------------------------- */

static struct control_call *call_new(struct client *c)
{
	struct control_call *call = calloc(1, sizeof *call);

	if (!call)
		return NULL;
	call->server = c->server;
	call->client = c;
	call->next = c->server->calls;
	c->server->calls = call;
	c->call = call;
	return call;
}

static void refuse(struct control_call *call, int code, const char *text)
{
	struct err err = { 0 };

	call->client->keep_alive = false;
	err_set(&err, code, "%s", text);
	control_reply_err(call, &err);
}

static void handle(struct control_call *call, const struct http_message *m,
		   const char *body)
{
	struct control_server *s = call->server;
	json_error_t where;
	json_t *json = NULL;

	if (m->body_size > 0) {
		json = json_loadb(body, m->body_size, JSON_REJECT_DUPLICATES, &where);
		if (!json_is_object(json)) {
			struct err err = { 0 };

			err_set(&err, -EINVAL, "the request's body is no JSON object: %s",
				json ? "it is something else" : where.text);
			err_fix(&err, "send {\"name\": value, ...}");
			json_decref(json);
			control_reply_err(call, &err);
			return;
		}
	}
	s->config.handle(s->config.owner, call, m, json);
	json_decref(json);
}

/* A whole request in the input is handled. */
static void look_for_request(struct client *c)
{
	struct http_message m;
	struct control_call *call;
	AUTO_FREE char *body = NULL;
	int r = http_parse_request(c->input, c->input_size, &m);

	if (r == 0)
		return;
	call = call_new(c);
	if (!call) {
		drop(c);
		return;
	}
	/* Nothing is heard until it has its reply. */
	loop_watch_change(c->watch, 0);
	if (r < 0) {
		c->input_size = 0;
		refuse(call, r == -EBADMSG ? -EINVAL : r,
		       r == -E2BIG	  ? "the request is too long"
		       : r == -EOPNOTSUPP ? "a body needs a Content-Length"
					  : "this is no HTTP/1.1 request");
		return;
	}
	/* Who sends the next request before it has its reply is served no further. */
	c->keep_alive = m.keep_alive && c->input_size == m.head_size + m.body_size;
	body = malloc(m.body_size + 1);
	if (!body) {
		refuse(call, -ENOMEM, err_words(-ENOMEM));
		return;
	}
	memcpy(body, c->input + m.head_size, m.body_size);
	c->input_size = 0;
	handle(call, &m, body);
}

static void on_client(void *owner, unsigned events)
{
	struct client *c = owner;
	struct control_server *s = c->server;
	ssize_t n;

	if (c->output) {
		send_output(c);
	} else if (c->call) {
		/* Nothing is asked of it but whether it is there. */
		if (events & LOOP_HANGUP)
			drop(c);
	} else {
		n = recv(c->fd, c->input + c->input_size, MAX_INPUT - c->input_size,
			 MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			drop(c);
		} else if (n > 0) {
			c->since = now();
			c->input_size += (size_t)n;
			look_for_request(c);
		}
	}
	set_alarm(s);
}

/* ---- life ------------------------------------------------------------------------------------ */

int control_server_new(const struct control_server_config *config,
		       struct control_server **ret_server)
{
	unsigned count = config->clients ? config->clients : CONTROL_CLIENTS;
	struct control_server *s = calloc(1, sizeof *s + count * sizeof s->client[0]);
	int r;

	if (!s)
		return -ENOMEM;
	s->config = *config;
	s->client_count = count;
	for (unsigned k = 0; k < s->client_count; k++)
		s->client[k] = (struct client){ .server = s, .fd = -1 };
	loop_alarm_init(config->loop, &s->alarm, on_alarm, s);
	r = loop_watch_add(config->loop, config->socket, LOOP_READ, on_connect, s,
			   &s->watch);
	if (r < 0) {
		free(s);
		return r;
	}
	*ret_server = s;
	return 0;
}

void control_server_free(struct control_server *s)
{
	if (!s)
		return;
	loop_watch_remove(s->watch);
	loop_alarm_set(&s->alarm, UINT64_MAX);
	for (unsigned k = 0; k < s->client_count; k++)
		if (s->client[k].fd >= 0)
			drop(&s->client[k]);
	while (s->calls) {
		struct control_call *call = s->calls;

		s->calls = call->next;
		free(call);
	}
	free(s);
}
