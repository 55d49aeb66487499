/* SPDX-License-Identifier: Apache-2.0 */
/* Ports over sockets: what goes in comes out, and what does not fit is counted. */
#include "net/port.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "base/loop.h"
#include "harness.h"

struct end {
	struct loop *loop;
	struct net_port *port;
	int peer;
	unsigned readable, writable;
	struct net_frame *take; /* readable: receive into it */
	unsigned taken;
	bool went;
};

static void on_readable(void *owner)
{
	struct end *e = owner;

	e->readable++;
	if (e->take && net_port_receive(e->port, e->take, 1) == 1)
		e->taken += e->take->size;
	loop_stop(e->loop);
}

static void on_writable(void *owner)
{
	struct end *e = owner;

	e->writable++;
	loop_stop(e->loop);
}

static void on_link(void *owner, bool up)
{
	struct end *e = owner;

	e->went = !up;
	loop_stop(e->loop);
}

static void free_end(struct end *e)
{
	net_port_free(e->port);
	if (e->peer >= 0)
		close(e->peer);
	loop_free(e->loop);
}
#define END __attribute__((cleanup(free_end))) struct end

static bool new_end(struct end *e)
{
	int pair[2];
	struct err err = { 0 };

	CHECK_EQ(loop_new(&e->loop), 0);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	e->peer = pair[1];
	CHECK_EQ(net_port_new(&(struct net_port_config){ .kind = NET_PORT_SOCKET,
							 .fd = pair[0],
							 .loop = e->loop,
							 .readable = on_readable,
							 .writable = on_writable,
							 .link = on_link,
							 .owner = e },
			      &e->port, &err),
		 0);
	return true;
}

TEST(port_sends_headers_and_pieces_as_one_message_each)
{
	END e = { .peer = -1 };
	u8 got[64];
	const struct iovec a[] = { { (char[]){ "ab" }, 2 }, { (char[]){ "cde" }, 3 } };
	const struct iovec b[] = { { (char[]){ "xyz" }, 3 } };
	const struct net_frame frames[] = {
		{ .todo = { .flags = 1, .csum_start = 34 },
		  .iov = a,
		  .iov_count = 2,
		  .size = 5 },
		{ .iov = b, .iov_count = 1, .size = 3 },
	};

	ASSERT_OK(new_end(&e));
	ASSERT_EQ(net_port_send(e.port, frames, 2), 2);
	ASSERT_EQ(recv(e.peer, got, sizeof got, 0), 15);
	ASSERT_EQ(got[0], 1);
	ASSERT_EQ(got[6], 34);
	ASSERT_MEM(got + 10, "abcde", 5);
	ASSERT_EQ(recv(e.peer, got, sizeof got, 0), 13);
	ASSERT_MEM(got + 10, "xyz", 3);
}

TEST(port_receives_a_batch_and_tells_of_frames_without_room_or_header)
{
	END e = { .peer = -1 };
	u8 room[4][8] = { 0 };
	struct iovec iov[4][2];
	struct net_frame frames[4];

	ASSERT_OK(new_end(&e));
	for (unsigned k = 0; k < 4; k++) {
		iov[k][0] = (struct iovec){ room[k], 3 };
		iov[k][1] = (struct iovec){ room[k] + 3, 5 };
		frames[k] = (struct net_frame){ .iov = iov[k], .iov_count = 2 };
	}
	ASSERT_EQ(send(e.peer, "0123456789FRAME", 15, 0), 15);
	ASSERT_EQ(send(e.peer, "0123456789too long", 18, 0), 18);
	ASSERT_EQ(send(e.peer, "short", 5, 0), 5);
	ASSERT_EQ(send(e.peer, "9876543210EIGHT888", 18, 0), 18);
	ASSERT_EQ(loop_run((net_port_listen(e.port, true), e.loop)), 0);
	ASSERT_EQ(e.readable, 1);
	ASSERT_EQ(net_port_receive(e.port, frames, 4), 4);
	ASSERT_EQ(frames[0].size, 5);
	ASSERT_MEM(room[0], "FRAME", 5);
	ASSERT_MEM(&frames[0].todo, "0123456789", 10);
	ASSERT_EQ(frames[1].size, 8);
	ASSERT_EQ(frames[2].size, 0);
	ASSERT_EQ(frames[3].size, 8);
	ASSERT_MEM(room[3], "EIGHT888", 8);
	ASSERT_EQ(net_port_receive(e.port, frames, 4), 0);
}

TEST(frame_that_is_one_byte_too_long_has_size_0)
{
	END e = { .peer = -1 };
	u8 room[8];
	const struct iovec iov = { room, sizeof room };
	struct net_frame frame = { .iov = &iov, .iov_count = 1 };

	ASSERT_OK(new_end(&e));
	ASSERT_EQ(send(e.peer, "0123456789nine byte", 19, 0), 19);
	ASSERT_EQ(net_port_receive(e.port, &frame, 1), 1);
	ASSERT_EQ(frame.size, 0);
}

TEST(port_says_when_a_full_socket_has_room_again)
{
	END e = { .peer = -1 };
	static u8 bytes[2048];
	const struct iovec iov = { bytes, sizeof bytes };
	struct net_frame frames[NET_BATCH];
	unsigned sent = 0, n;

	ASSERT_OK(new_end(&e));
	for (unsigned k = 0; k < NET_BATCH; k++)
		frames[k] =
			(struct net_frame){ .iov = &iov, .iov_count = 1, .size = 2048 };
	while ((n = net_port_send(e.port, frames, NET_BATCH)) == NET_BATCH)
		sent += n;
	sent += n;
	ASSERT(sent > 0);
	ASSERT_EQ(e.writable, 0);
	/* All that was taken is there, and then there is room. */
	for (; sent > 0; sent--)
		ASSERT_EQ(recv(e.peer, bytes, sizeof bytes, MSG_DONTWAIT | MSG_TRUNC),
			  2058);
	ASSERT_EQ(loop_run(e.loop), 0);
	ASSERT_EQ(e.writable, 1);
}

TEST(port_whose_other_side_goes_gives_what_it_sent_before_and_goes_down)
{
	END e = { .peer = -1 };
	u8 room[8];
	const struct iovec iov = { room, sizeof room };
	struct net_frame frame = { .iov = &iov, .iov_count = 1, .size = 8 };

	ASSERT_OK(new_end(&e));
	ASSERT_EQ(send(e.peer, "0123456789last", 14, 0), 14);
	close(take_fd(&e.peer));
	e.take = &frame;
	net_port_listen(e.port, true);
	while (!e.went)
		ASSERT_EQ(loop_run(e.loop), 0);
	ASSERT_EQ(e.taken, 4);
	ASSERT(!net_port_is_up(e.port));
	/* Frames for nobody vanish; nobody waits. */
	ASSERT_EQ(net_port_send(e.port, &frame, 1), 1);
	ASSERT_EQ(net_port_receive(e.port, &frame, 1), 0);
}
