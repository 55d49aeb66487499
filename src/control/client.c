/* SPDX-License-Identifier: Apache-2.0 */
/* A client of the API; see client.h. */
#include "control/client.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "control/http.h"

static int send_all(int fd, const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == ECONNRESET ? -EPIPE : -errno;
		bytes += n;
		size -= (size_t)n;
	}
	return 0;
}

static int send_request(int fd, const char *method, const char *path, json_t *body)
{
	AUTO_FREE char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	size_t size = text ? strlen(text) : 0;
	char head[HTTP_PATH_SIZE + 256];
	int n = snprintf(head, sizeof head,
			 "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
			 "application/json\r\nContent-Length: %zu\r\n\r\n",
			 method, path, size);
	int r;

	if (body && !text)
		return -ENOMEM;
	if (n < 0 || (size_t)n >= sizeof head)
		return -ENAMETOOLONG;
	r = send_all(fd, head, (size_t)n);
	return r < 0 ? r : send_all(fd, text, size);
}

/* A whole reply in a buffer that grows with it: *ret_bytes is the caller's, also on failure. */
static int receive_reply(int fd, char **ret_bytes, struct http_message *ret_reply)
{
	size_t size = 0, room = 0;
	int r = 0;

	while (r == 0) {
		ssize_t n;

		if (size == room) {
			char *larger = realloc(*ret_bytes, room = room * 2 + 16384);

			if (!larger)
				return -ENOMEM;
			*ret_bytes = larger;
		}
		n = recv(fd, *ret_bytes + size, room - size, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return -EPIPE;
		if (n < 0)
			return -errno;
		size += (size_t)n;
		r = http_parse_reply(*ret_bytes, size, ret_reply);
	}
	return r < 0 ? r : 0;
}

static int take_problem(unsigned status, const json_t *body, struct err *err)
{
	static const struct {
		unsigned status;
		int code;
	} rows[] = {
		{ 400, -EINVAL }, { 404, -ENOENT },    { 409, -EBUSY },
		{ 412, -ESTALE }, { 503, -EHOSTDOWN }, { 504, -ETIMEDOUT },
	};
	const char *text = json_string_value(json_object_get(body, "message"));
	const char *fix =
		json_string_value(json_array_get(json_object_get(body, "fix"), 0));
	int code = -EIO;

	for (size_t k = 0; k < ARRAY_COUNT(rows); k++)
		if (rows[k].status == status)
			code = rows[k].code;
	err_set(err, code, "%s", text ? text : "the VM refused without a word");
	return fix ? err_fix(err, "%s", fix) : code;
}

/* Ask; body is taken, *ret_bytes the caller's in any case. */
static int exchange(int fd, const char *method, const char *path, json_t *body,
		    char **ret_bytes, struct http_message *ret_reply, struct err *err)
{
	int r = send_request(fd, method, path, body);

	json_decref(body);
	/* One that has refused a request unread may have said why. */
	if (r == 0 || r == -EPIPE)
		r = receive_reply(fd, ret_bytes, ret_reply);
	if (r == -EPIPE)
		return err_set(err, r, "the VM ended before it had answered");
	if (r < 0)
		return err_set(err, r, "the VM's answer cannot be read: %s",
			       err_words(r));
	return 0;
}

/* The JSON of a reply, a problem where it is one. */
static int take_json(const char *bytes, const struct http_message *reply,
		     json_t **ret_json, struct err *err)
{
	json_t *json = json_loadb(bytes + reply->head_size, reply->body_size, 0, NULL);
	int r = 0;

	if (!json)
		return err_set(err, -EBADMSG, "the VM's answer cannot be read: %s",
			       err_words(-EBADMSG));
	if (reply->status < 200 || reply->status >= 300) {
		r = take_problem(reply->status, json, err);
		json_decref(json);
		return r;
	}
	*ret_json = json;
	return 0;
}

int control_ask(int fd, const char *method, const char *path, json_t *body,
		json_t **ret_metadata, struct err *err)
{
	AUTO_FREE char *bytes = NULL;
	struct http_message reply = { 0 };
	json_t *json = NULL;
	int r = exchange(fd, method, path, body, &bytes, &reply, err);

	if (r == 0)
		r = take_json(bytes, &reply, &json, err);
	if (r < 0)
		return r;
	*ret_metadata = json_incref(json_object_get(json, "metadata"));
	json_decref(json);
	return *ret_metadata
		       ? 0
		       : err_set(err, -EBADMSG, "the VM's answer is of another version");
}

int control_fetch(int fd, const char *path, u8 **ret_bytes, size_t *ret_size,
		  struct err *err)
{
	AUTO_FREE char *bytes = NULL;
	struct http_message reply = { 0 };
	json_t *json = NULL;
	int r = exchange(fd, "GET", path, NULL, &bytes, &reply, err);

	if (r < 0)
		return r;
	if (reply.status != 200)
		return take_json(bytes, &reply, &json, err);
	memmove(bytes, bytes + reply.head_size, reply.body_size);
	*ret_size = reply.body_size;
	*ret_bytes = (u8 *)take_ptr(bytes);
	return 0;
}
