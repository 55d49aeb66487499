/* SPDX-License-Identifier: Apache-2.0 */
/* base/ipc.h: messages, descriptors, events. */
#include <fcntl.h>
#include <sys/socket.h>

#include "base/ipc.h"
#include "harness.h"

TEST(message_arrives_whole_with_its_descriptors)
{
	int s[2], got[4];
	size_t size;
	unsigned count;
	char text[16];
	AUTO_CLOSE int file = open("/dev/null", O_RDWR | O_CLOEXEC);

	ASSERT_EQ(ipc_pair(s), 0);
	AUTO_CLOSE int a = s[0];
	AUTO_CLOSE int b = s[1];
	ASSERT_EQ(ipc_send(a, "hello", 6, (int[]){ file, file }, 2), 0);
	ASSERT_EQ(ipc_receive(b, text, sizeof text, &size, got, 4, &count), 0);
	ASSERT_EQ(size, 6);
	ASSERT_STR(text, "hello");
	ASSERT_EQ(count, 2);
	ASSERT(fcntl(got[0], F_GETFD) & FD_CLOEXEC);
	close(got[0]);
	close(got[1]);
}

TEST(descriptors_beyond_the_limit_are_closed_and_refused)
{
	int s[2], got[1] = { -1 };
	size_t size;
	unsigned count;
	char text[16];
	AUTO_CLOSE int file = open("/dev/null", O_RDWR | O_CLOEXEC);

	ASSERT_EQ(ipc_pair(s), 0);
	ASSERT_EQ(ipc_send(s[0], "x", 1, (int[]){ file, file, file }, 3), 0);
	int next = dup(file);
	close(next);
	ASSERT_ERR(ipc_receive(s[1], text, sizeof text, &size, got, 1, &count), EMSGSIZE);
	int after = dup(file); /* nothing leaked: the lowest free number is the same */
	ASSERT_EQ(after, next);
	close(after);
}

TEST(message_longer_than_the_buffer_is_refused)
{
	int s[2];
	size_t size;
	unsigned count;
	char text[4];

	ASSERT_EQ(ipc_pair(s), 0);
	ASSERT_EQ(ipc_send(s[0], "longer", 6, NULL, 0), 0);
	ASSERT_ERR(ipc_receive(s[1], text, sizeof text, &size, NULL, 0, &count),
		   EMSGSIZE);
}

TEST(closed_peer_is_EPIPE_both_ways)
{
	int s[2];
	size_t size;
	unsigned count;
	char text[4];

	ASSERT_EQ(ipc_pair(s), 0);
	close(s[0]);
	ASSERT_ERR(ipc_receive(s[1], text, sizeof text, &size, NULL, 0, &count), EPIPE);
	ASSERT_ERR(ipc_send(s[1], "x", 1, NULL, 0), EPIPE);
}

TEST(event_is_set_until_cleared)
{
	AUTO_CLOSE int event = ipc_event_new();

	ASSERT(event >= 0);
	ASSERT(!ipc_event_clear(event));
	ipc_event_ring(event);
	ipc_event_ring(event);
	ASSERT(ipc_event_clear(event));
	ASSERT(!ipc_event_clear(event));
}
