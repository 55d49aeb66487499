/* SPDX-License-Identifier: Apache-2.0 */
/* Frames that wait come out as they went in, whatever the ring's state, or not at all. */
#include <sys/socket.h>

#include "base/ipc.h"
#include "base/loop.h"
#include "harness.h"
#include "net/port.h"
#include "net/queue.h"

static void nothing(void *owner) {}

static void no_link(void *owner, bool up) {}

/* What went in, by number: the frame's size and bytes follow from it. */
static u32 size_of(u32 n)
{
	return n * 2654435761u % 3000 + 1;
}

static bool drain(int fd, u32 *io_next, u32 until)
{
	static u8 bytes[70000];

	while (*io_next < until) {
		ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
		u32 size = size_of(*io_next);

		if (n < 0)
			return true;
		CHECK_EQ(n, sizeof(struct virtio_net_hdr) + size);
		CHECK_EQ(bytes[1], *io_next % 4);
		for (u32 k = 0; k < size; k++)
			CHECK_EQ(bytes[sizeof(struct virtio_net_hdr) + k],
				 (u8)(*io_next + k));
		(*io_next)++;
	}
	return true;
}

TEST(queue_keeps_order_and_bytes_over_many_turns_of_its_ring)
{
	static u8 frame[4000];
	struct net_queue q;
	struct net_port *port;
	struct loop *loop;
	struct err err;
	u32 in = 0, out = 0, refused = 0;
	int pair[2];

	ASSERT_EQ(ipc_pair(pair), 0);
	ASSERT_EQ(loop_new(&loop), 0);
	ASSERT_EQ(net_queue_init(&q, 16384), 0);
	ASSERT_EQ(net_port_new(&(struct net_port_config){ .kind = NET_PORT_SOCKET,
							  .fd = pair[0],
							  .loop = loop,
							  .readable = nothing,
							  .writable = nothing,
							  .link = no_link },
			       &port, &err),
		  0);
	for (u32 step = 0; step < 60000; step++) {
		struct virtio_net_hdr todo = { .gso_type = (u8)(in % 4) };

		for (u32 k = 0; k < size_of(in); k++)
			frame[k] = (u8)(in + k);
		if (net_queue_push(&q, &todo, frame, size_of(in)))
			in++;
		else
			refused++;
		ASSERT(q.used <= q.capacity);
		if (step * 2654435761u >> 29 == 0)
			(void)net_queue_flush(&q, port);
		if (step * 2246822519u >> 28 == 0)
			ASSERT_OK(drain(pair[1], &out, in));
	}
	while (!net_queue_flush(&q, port))
		ASSERT_OK(drain(pair[1], &out, in));
	ASSERT_OK(drain(pair[1], &out, in));
	ASSERT_EQ(out, in);
	ASSERT(in > 1000 && refused > 1000);
	net_queue_done(&q);
	net_port_free(port);
	close(pair[1]);
	loop_free(loop);
}
