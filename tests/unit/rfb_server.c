/* SPDX-License-Identifier: Apache-2.0 */
/* RFB clients on sockets: who is let in, what is looked at and when. */
#include "console/rfb_server.h"

#include <sys/socket.h>

#include "harness.h"

#define WIDE 100u
#define HIGH 70u

struct fixture {
	struct loop *loop;
	struct rfb_server *server;
	struct loop_alarm stop;
	u32 pixel; /* all of them */
	bool dirty, watched;
	unsigned lines; /* that were looked at */
	u16 released;
};

static bool size(void *owner, u32 *ret_width, u32 *ret_height)
{
	*ret_width = WIDE;
	*ret_height = HIGH;
	return true;
}

static int line(void *owner, u32 y, u32 *ret_pixels)
{
	struct fixture *f = owner;

	f->lines++;
	for (u32 x = 0; x < WIDE; x++)
		ret_pixels[x] = f->pixel;
	return 0;
}

static bool dirt(void *owner, struct picture_area *ret_area)
{
	struct fixture *f = owner;
	bool dirty = f->dirty;

	f->dirty = false;
	*ret_area = (struct picture_area){ 0, 0, WIDE, HIGH };
	return dirty;
}

static void watch(void *owner, bool on)
{
	struct fixture *f = owner;

	f->watched = on;
}

static void key(void *owner, u16 code, bool down)
{
	struct fixture *f = owner;

	if (!down)
		f->released = code;
}

static void point(void *owner, u32 x, u32 y, u32 width, u32 height, u8 buttons, int wheel)
{
}

static const struct picture_source source = { size, line, dirt, watch };
static const struct picture_hands hands = { key, point };

static void on_stop(void *owner)
{
	struct fixture *f = owner;

	loop_stop(f->loop);
}

static bool begin(struct fixture *f)
{
	*f = (struct fixture){ .pixel = 0x112233 };
	CHECK_EQ(loop_new(&f->loop), 0);
	loop_alarm_init(f->loop, &f->stop, on_stop, f);
	CHECK_EQ(rfb_server_new(&(struct rfb_server_config){ .loop = f->loop,
							     .clock = &host_clock,
							     .source = &source,
							     .hands = &hands,
							     .owner = f,
							     .name = "x" },
				&f->server),
		 0);
	return true;
}

static void end(struct fixture *f)
{
	rfb_server_free(f->server);
	loop_free(f->loop);
}

/* The server's time: so much of it. */
static bool turn(struct fixture *f, unsigned ms)
{
	loop_alarm_set(&f->stop,
		       host_clock.monotonic_ns(&host_clock) + ms * (NS_PER_SEC / 1000));
	CHECK_EQ(loop_run(f->loop), 0);
	return true;
}

static bool join(struct fixture *f, int *ret_fd)
{
	int fd[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	CHECK_EQ(rfb_server_add(f->server, fd[0]), 0);
	*ret_fd = fd[1];
	return true;
}

static bool say(int fd, const void *bytes, size_t count)
{
	CHECK_EQ(write(fd, bytes, count), count);
	return true;
}

/* Turns until that many bytes have come. */
static bool hear(struct fixture *f, int fd, u8 *ret_bytes, size_t count)
{
	for (size_t got = 0; got < count;) {
		ssize_t n = recv(fd, ret_bytes + got, count - got, MSG_DONTWAIT);

		CHECK(n != 0);
		if (n > 0)
			got += (size_t)n;
		else
			CHECK_OK(turn(f, 5));
	}
	return true;
}

static const u8 ask[] = { 3, 1, 0, 0, 0, 0, 0, WIDE, 0, HIGH };
#define HELLO (12 + 2 + 4 + 24 + 1)
#define PICTURE (4 + 2 * 12 + WIDE * HIGH * 4)

TEST(rfb_server_looks_when_something_changed_and_somebody_waits)
{
	static u8 bytes[PICTURE];
	struct fixture f;
	unsigned lines;
	int fd = -1;

	ASSERT_OK(begin(&f));
	ASSERT(!f.watched);
	ASSERT_OK(join(&f, &fd));
	ASSERT(f.watched);
	ASSERT_OK(say(fd, "RFB 003.008\n\1\1", 14));
	ASSERT_OK(hear(&f, fd, bytes, HELLO));
	ASSERT_EQ(bytes[19], WIDE);
	ASSERT_OK(say(fd, ask, sizeof ask));
	ASSERT_OK(hear(&f, fd, bytes, PICTURE));
	ASSERT_EQ(bytes[3], 2); /* two rows of tiles */
	ASSERT_EQ(bytes[16] | bytes[17] << 8 | bytes[18] << 16, 0x112233);
	/* Nobody waits: nothing is looked at, whatever changes. */
	lines = f.lines;
	f.pixel = 0x445566;
	f.dirty = true;
	rfb_server_changed(f.server);
	ASSERT_OK(turn(&f, 100));
	ASSERT_EQ(f.lines, lines);
	/* Somebody does. */
	ASSERT_OK(say(fd, ask, sizeof ask));
	ASSERT_OK(hear(&f, fd, bytes, PICTURE));
	ASSERT_EQ(bytes[16] | bytes[17] << 8 | bytes[18] << 16, 0x445566);
	ASSERT_EQ(f.lines, lines + HIGH);
	/* And goes, a key held. */
	ASSERT_OK(say(fd, "\4\1\0\0\0\0\0a", 8));
	ASSERT_OK(turn(&f, 20));
	close(fd);
	ASSERT_OK(turn(&f, 20));
	ASSERT_EQ(f.released, 0x1e);
	ASSERT(!f.watched);
	end(&f);
}

TEST(rfb_server_has_room_for_eight)
{
	int fd[RFB_CLIENTS], pair[2];
	struct fixture f;

	ASSERT_OK(begin(&f));
	for (unsigned k = 0; k < RFB_CLIENTS; k++)
		ASSERT_OK(join(&f, &fd[k]));
	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ASSERT_ERR(rfb_server_add(f.server, pair[0]), EBUSY);
	close(fd[3]);
	ASSERT_OK(turn(&f, 20));
	ASSERT_OK(join(&f, &fd[3]));
	/* Who talks nonsense makes room too. */
	ASSERT_OK(say(fd[5], "GET / HTTP/1.1\r\n", 16));
	ASSERT_OK(turn(&f, 20));
	ASSERT_OK(join(&f, &fd[5]));
	end(&f);
}

TEST(rfb_server_waits_ten_seconds_for_a_handshake)
{
	struct fixture f;
	u8 bytes[12];
	int fd = -1;

	ASSERT_OK(begin(&f));
	ASSERT_OK(join(&f, &fd));
	ASSERT_OK(hear(&f, fd, bytes, sizeof bytes));
	ASSERT_OK(turn(&f, 9000));
	ASSERT_EQ(recv(fd, bytes, 1, MSG_DONTWAIT), -1);
	ASSERT_OK(turn(&f, 1500));
	ASSERT_EQ(recv(fd, bytes, 1, MSG_DONTWAIT), 0);
	ASSERT(!f.watched);
	end(&f);
}
