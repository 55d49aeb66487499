/* SPDX-License-Identifier: Apache-2.0 */
/* control/server.h and control/socket.h on a loop of their own, clients played by the test. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "control/server.h"
#include "control/socket.h"
#include "unit/harness.h"

struct fixture {
	struct loop *loop;
	struct control_server *server;
	struct control_place place;
	char path[64];
	struct control_call *held; /* of GET /later */
	unsigned handled;
};

static void on_request(void *owner, struct control_call *call,
		       const struct http_message *request, json_t *body)
{
	struct fixture *f = owner;

	f->handled++;
	if (strcmp(request->path, "/later") == 0)
		f->held = call;
	else if (strcmp(request->path, "/body") == 0)
		control_reply(call, json_incref(json_object_get(body, "x")));
	else
		control_reply_unknown(call, request);
}

static bool build(struct fixture *f)
{
	struct err err = { 0 };

	memset(f, 0, sizeof *f);
	snprintf(f->path, sizeof f->path, "/tmp/tabique-unit-%d", getpid());
	CHECK_ERR(control_listen(f->path, CONTROL_OF_VM, &f->place, &err), 0);
	CHECK_ERR(loop_new(&f->loop), 0);
	CHECK_ERR(
		control_server_new(&(struct control_server_config){ .loop = f->loop,
								    .socket = f->place.fd,
								    .handle = on_request,
								    .owner = f },
				   &f->server),
		0);
	return true;
}

static void tear_down(struct fixture *f)
{
	control_server_free(f->server);
	control_unlisten(&f->place);
	EXPECT(access(f->path, F_OK) < 0);
	loop_free(f->loop);
}

static int join(struct fixture *f)
{
	struct err err = { 0 };
	int fd = -1;

	EXPECT_EQ(control_connect(f->path, CONTROL_OF_VM, &fd, &err), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void on_turn(void *owner)
{
	loop_stop(((struct fixture *)owner)->loop);
}

/* Let the loop do everything that is there to do. */
static void turn(struct fixture *f)
{
	for (unsigned k = 0; k < 8; k++) {
		struct loop_alarm alarm;

		loop_alarm_init(f->loop, &alarm, on_turn, f);
		loop_alarm_set(&alarm, 0);
		EXPECT_EQ(loop_run(f->loop), 0);
	}
}

static void say(int fd, const char *text)
{
	EXPECT_EQ(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* What has come: -1 nothing, 0 the end. */
static ssize_t hear(int fd, char *ret_text, size_t size)
{
	ssize_t n = recv(fd, ret_text, size - 1, 0);

	ret_text[n > 0 ? n : 0] = '\0';
	return n;
}

TEST(replies_come_when_they_are_there_and_nobody_waits_for_anothers)
{
	struct fixture f;
	char text[1024];

	ASSERT_OK(build(&f));
	int slow = join(&f), quick = join(&f);
	say(slow, "GET /later HTTP/1.1\r\n\r\n");
	turn(&f);
	say(quick, "PUT /body HTTP/1.1\r\nContent-Length: 9\r\n\r\n{\"x\":");
	turn(&f);
	ASSERT_EQ(hear(quick, text, sizeof text), -1);
	say(quick, "{ } ");
	say(quick, "}");
	turn(&f);
	/* One byte more than the length: the first nine are no JSON. */
	ASSERT(hear(quick, text, sizeof text) > 0);
	ASSERT(strncmp(text, "HTTP/1.1 400 ", 13) == 0);
	ASSERT_EQ(hear(slow, text, sizeof text), -1);
	control_reply(f.held, NULL);
	ASSERT(hear(slow, text, sizeof text) > 0);
	ASSERT(strstr(text, "\r\n\r\n{\"type\":\"sync\",\"status\":\"done\",\"metadata\":"
			    "{}}"));
	/* The same connection again. */
	say(slow, "PUT /body HTTP/1.1\r\nContent-Length: 7\r\n\r\n{\"x\":7}");
	turn(&f);
	ASSERT(hear(slow, text, sizeof text) > 0);
	ASSERT(strstr(text, "\"metadata\":7}"));
	close(slow);
	close(quick);
	tear_down(&f);
}

TEST(bytes_that_are_no_json_come_as_they_are_and_in_pieces)
{
	const size_t size = 3u << 20;
	AUTO_FREE u8 *bytes = malloc(size), *back = malloc(size + 1024);
	size_t heard = 0, head;
	struct http_message m = { 0 };
	struct fixture f;

	ASSERT(bytes && back);
	for (size_t k = 0; k < size; k++)
		bytes[k] = (u8)(k * 7 >> 3);
	ASSERT_OK(build(&f));
	int fd = join(&f);
	say(fd, "GET /later HTTP/1.1\r\n\r\n");
	turn(&f);
	control_reply_bytes(f.held, "image/png", bytes, size);
	for (unsigned k = 0; k < 10000 && heard < size + 1024; k++) {
		ssize_t n = recv(fd, back + heard, size + 1024 - heard, 0);

		heard += n > 0 ? (size_t)n : 0;
		if (http_parse_reply((char *)back, heard, &m) == 1)
			break;
		turn(&f);
	}
	head = m.head_size;
	ASSERT_EQ(m.body_size, size);
	ASSERT_EQ(heard, head + size);
	ASSERT(memmem(back, head, "Content-Type: image/png\r\n", 25));
	ASSERT_MEM(back + head, bytes, size);
	close(fd);
	tear_down(&f);
}

/* A path in another encoding was in the sentence, and the client got no answer at all. */
TEST(path_that_is_no_utf8_is_refused_in_utf8)
{
	struct fixture f;
	char text[1024];

	ASSERT_OK(build(&f));
	int fd = join(&f);
	say(fd, "GET /espa%f1a HTTP/1.1\r\n\r\n");
	turn(&f);
	ASSERT(hear(fd, text, sizeof text) > 0);
	ASSERT(strstr(text, "404 Not Found"));
	ASSERT(strstr(text, "/espa?a"));
	close(fd);
	tear_down(&f);
}

/* One reply after the other to clients that stay, until one of them leaves. */
TEST(stream_goes_to_who_listens_and_ends_with_it)
{
	struct fixture f;
	char text[1024];

	ASSERT_OK(build(&f));
	int fd = join(&f);
	say(fd, "GET /later HTTP/1.1\r\n\r\n");
	turn(&f);
	ASSERT(control_stream_begin(f.held));
	ASSERT(control_stream_send(f.held, "data: 1\n\n", 9));
	turn(&f);
	ASSERT(hear(fd, text, sizeof text) > 0);
	ASSERT(strstr(text, "text/event-stream") && strstr(text, "data: 1"));
	ASSERT(!strstr(text, "Content-Length"));
	close(fd);
	turn(&f);
	ASSERT(!control_stream_send(f.held, "data: 2\n\n", 9));
	control_stream_end(f.held);
	tear_down(&f);
}

TEST(call_outlives_its_client_and_dies_with_its_server)
{
	struct fixture f;

	ASSERT_OK(build(&f));
	int fd = join(&f);
	say(fd, "GET /later HTTP/1.1\r\n\r\n");
	turn(&f);
	close(fd);
	turn(&f);
	control_reply(f.held, json_object());
	fd = join(&f);
	say(fd, "GET /later HTTP/1.1\r\n\r\n");
	turn(&f);
	ASSERT_EQ(f.handled, 2);
	tear_down(&f);
	close(fd);
}

TEST(new_client_takes_the_place_of_the_one_that_was_silent_for_longest)
{
	struct fixture f;
	int fd[CONTROL_CLIENTS + 1];
	char text[1024];

	ASSERT_OK(build(&f));
	for (unsigned k = 0; k <= CONTROL_CLIENTS; k++) {
		fd[k] = join(&f);
		if (k == 0) /* the oldest waits for us: it is not silent */
			say(fd[k], "GET /later HTTP/1.1\r\n\r\n");
		else if (k < CONTROL_CLIENTS)
			say(fd[k], "GET / HT");
		else
			say(fd[k], "GET / HTTP/1.1\r\n\r\n");
		turn(&f);
	}
	ASSERT(hear(fd[CONTROL_CLIENTS], text, sizeof text) > 0);
	ASSERT(strncmp(text, "HTTP/1.1 404 ", 13) == 0);
	ASSERT_EQ(hear(fd[0], text, sizeof text), -1);
	ASSERT_EQ(hear(fd[1], text, sizeof text), 0);
	ASSERT_EQ(hear(fd[2], text, sizeof text), -1);
	for (unsigned k = 0; k <= CONTROL_CLIENTS; k++)
		close(fd[k]);
	tear_down(&f);
}

TEST(socket_belongs_to_its_owner_alone_and_is_not_taken_from_a_listener)
{
	struct fixture f;
	struct control_place other = { .fd = -1 };
	struct err err = { 0 };
	struct stat st;

	ASSERT_OK(build(&f));
	ASSERT_EQ(stat(f.path, &st), 0);
	ASSERT_EQ(st.st_mode & 0777, 0600);
	ASSERT_ERR(control_listen(f.path, CONTROL_OF_VM, &other, &err), EBUSY);
	/* Its name was given to something else: that stays. */
	ASSERT_EQ(unlink(f.path), 0);
	ASSERT_EQ(mkdir(f.path, 0700), 0);
	control_server_free(f.server);
	control_unlisten(&f.place);
	ASSERT_EQ(rmdir(f.path), 0);
	loop_free(f.loop);
}
