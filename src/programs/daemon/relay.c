/* SPDX-License-Identifier: Apache-2.0 */
/* A request to an owner; see relay.h. In the order in which things happen. */
#include "programs/daemon/relay.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "control/http.h"

struct relay {
	struct loop *loop;
	int fd;
	struct loop_watch *watch;
	struct loop_alarm alarm;
	relay_fn done;
	void *owner;
	char *output, *input;
	size_t output_size, output_sent, input_size, input_room;
};

static void finish(struct relay *r, const struct relay_answer *answer)
{
	relay_fn done = r->done;
	void *owner = r->owner;

	loop_watch_remove(r->watch);
	loop_alarm_set(&r->alarm, UINT64_MAX);
	if (r->fd >= 0)
		close(r->fd);
	done(owner, answer);
	json_decref(answer->json);
	free(r->output);
	free(r->input);
	free(r);
}

static void fail(struct relay *r, int code)
{
	struct err err = { 0 };

	if (code == -ETIMEDOUT)
		err_set(&err, code, "the VM's owner process does not answer");
	else
		err_set(&err, -EHOSTDOWN, "the VM's owner process cannot be asked: %s",
			err_words(code));
	err_fix(&err, "see its last words in the launcher's log; vm stop --force ends "
		      "it");
	finish(r, &(struct relay_answer){ .err = &err });
}

static void on_alarm(void *owner)
{
	fail(owner, -ETIMEDOUT);
}

/* ---- the answer ------------------------------------------------------------------------------ */

static int make_room(struct relay *r)
{
	char *larger;

	if (r->input_size < r->input_room)
		return 0;
	if (r->input_room >= HTTP_MAX_HEAD + HTTP_MAX_REPLY)
		return -E2BIG;
	larger = realloc(r->input, r->input_room * 2 + 4096);
	if (!larger)
		return -ENOMEM;
	r->input = larger;
	r->input_room = r->input_room * 2 + 4096;
	return 0;
}

static void take_answer(struct relay *r, const struct http_message *m)
{
	struct relay_answer answer = {
		.status = m->status,
		.json = json_loadb(r->input + m->head_size, m->body_size, 0, NULL),
		.bytes = r->input + m->head_size,
		.size = m->body_size,
	};

	finish(r, &answer);
}

static void receive(struct relay *r)
{
	struct http_message m;
	int code = make_room(r);
	ssize_t n;

	if (code < 0) {
		fail(r, code);
		return;
	}
	n = recv(r->fd, r->input + r->input_size, r->input_room - r->input_size,
		 MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		fail(r, n < 0 ? -errno : -EPIPE);
		return;
	}
	r->input_size += (size_t)n;
	code = http_parse_reply(r->input, r->input_size, &m);
	if (code < 0)
		fail(r, code);
	else if (code > 0)
		take_answer(r, &m);
}

/* ---- the question ---------------------------------------------------------------------------- */

static void on_socket(void *owner, unsigned events)
{
	struct relay *r = owner;
	ssize_t n;

	if (r->output_sent == r->output_size) {
		receive(r);
		return;
	}
	n = send(r->fd, r->output + r->output_sent, r->output_size - r->output_sent,
		 MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		fail(r, -errno);
		return;
	}
	r->output_sent += (size_t)n;
	if (r->output_sent == r->output_size)
		loop_watch_change(r->watch, LOOP_READ);
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	AUTO_CLOSE int fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (strlen(path) >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
		return -errno;
	return take_fd(&fd);
}

/* Everything but letters, digits and a few more as %xx: a path came decoded. */
static void encode(const char *path, char *ret_path, size_t size)
{
	size_t used = 0;

	for (; *path && used + 4 < size; path++) {
		unsigned char c = (unsigned char)*path;

		if (c > ' ' && c < 0x7f && c != '%' && c != '?' && c != '#')
			ret_path[used++] = (char)c;
		else
			used += (size_t)snprintf(ret_path + used, size - used, "%%%02x",
						 c);
	}
	ret_path[used] = '\0';
}

static int write_request(struct relay *r, const char *method, const char *path,
			 const json_t *body)
{
	AUTO_FREE char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	char whole[3 * HTTP_PATH_SIZE + 8];
	int n;

	if (body && !text)
		return -ENOMEM;
	encode(path, whole, sizeof whole);
	n = asprintf(&r->output,
		     "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
		     "Content-Length: %zu\r\n\r\n%s",
		     method, whole, text ? strlen(text) : 0, text ? text : "");
	if (n < 0) {
		r->output = NULL;
		return -ENOMEM;
	}
	r->output_size = (size_t)n;
	return 0;
}

void relay_ask(struct loop *loop, const char *socket, const char *method,
	       const char *path, const json_t *body, unsigned seconds, relay_fn done,
	       void *owner)
{
	struct relay *r = calloc(1, sizeof *r);
	struct err err = { 0 };
	int code;

	if (!r) {
		err_set(&err, -ENOMEM, "%s", err_words(-ENOMEM));
		done(owner, &(struct relay_answer){ .err = &err });
		return;
	}
	*r = (struct relay){ .loop = loop, .fd = -1, .done = done, .owner = owner };
	loop_alarm_init(loop, &r->alarm, on_alarm, r);
	code = write_request(r, method, path, body);
	if (code == 0) {
		r->fd = connect_to(socket);
		code = r->fd < 0 ? r->fd : 0;
	}
	if (code == 0)
		code = loop_watch_add(loop, r->fd, LOOP_WRITE, on_socket, r, &r->watch);
	if (code < 0) {
		fail(r, code);
		return;
	}
	if (seconds)
		loop_alarm_set(&r->alarm, host_clock.monotonic_ns(&host_clock) +
						  seconds * NS_PER_SEC);
}
