/* SPDX-License-Identifier: Apache-2.0 */
/* tabique-switch, in its jail: what is connected to its socket, and its capture. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "nat_guest.h"

struct lan {
	pid_t pid;
	int owner;
	char path[64];
	int port[3];
};

static const u8 macs[3][6] = { { 0, 0x15, 0x5d, 0, 0, 1 },
			       { 0, 0x15, 0x5d, 0, 0, 2 },
			       { 0, 0x15, 0x5d, 0, 0, 3 } };

static bool lan_start(struct lan *l, struct switch_config config, int capture)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct owner_message answer = { 0 };
	int fds[2] = { socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0), capture };

	memset(l, 0, sizeof *l);
	snprintf(l->path, sizeof l->path, "/tmp/unit-switch.%d", getpid());
	snprintf(at.sun_path, sizeof at.sun_path, "%s", l->path);
	unlink(l->path);
	CHECK_EQ(bind(fds[0], (struct sockaddr *)&at, sizeof at), 0);
	CHECK_EQ(listen(fds[0], 8), 0);
	config.version = NET_CONFIG_VERSION;
	config.uid = geteuid() == 0 ? 0x78ffff03u : 0;
	config.capture = capture >= 0;
	CHECK_OK(start_with_config("tabique-switch", &config, sizeof config, fds,
				   1 + (capture >= 0), &l->pid, &l->owner, &answer));
	CHECK_STR(answer.kind == OWNER_FAILED ? answer.u.failed.text : "", "");
	CHECK_EQ(answer.kind, OWNER_READY);
	for (unsigned k = 0; k < 3; k++) {
		l->port[k] = socket(AF_UNIX, SOCK_SEQPACKET, 0);
		CHECK_EQ(connect(l->port[k], (struct sockaddr *)&at, sizeof at), 0);
	}
	return true;
}

static void lan_end(struct lan *l)
{
	int status;

	close(l->owner);
	EXPECT_EQ(waitpid(l->pid, &status, 0), l->pid);
	EXPECT_EQ(status, 0);
	unlink(l->path);
}

/* A frame of a type that nobody has, with one byte and a number of others in it. */
static bool lan_send(struct lan *l, unsigned from, const u8 *source, const u8 *target,
		     u8 byte, u32 size)
{
	static u8 frame[70000];
	struct virtio_net_hdr todo = { .gso_type = VIRTIO_NET_HDR_GSO_NONE };
	struct iovec iov[2] = { { &todo, sizeof todo }, { frame, 14 + size } };

	memcpy(frame, target, 6);
	memcpy(frame + 6, source, 6);
	frame[12] = 0x88, frame[13] = 0xb5;
	memset(frame + 14, byte, size);
	CHECK_EQ(writev(l->port[from], iov, 2), sizeof todo + 14 + size);
	return true;
}

/* The byte of the next frame, or -1 when none comes. */
static int lan_receive(struct lan *l, unsigned at, int ms)
{
	static u8 bytes[80000];
	struct pollfd p = { .fd = l->port[at], .events = POLLIN };

	if (poll(&p, 1, ms) != 1 || read(l->port[at], bytes, sizeof bytes) <
					    (ssize_t)sizeof(struct virtio_net_hdr) + 15)
		return -1;
	return bytes[sizeof(struct virtio_net_hdr) + 14];
}

static const u8 everybody[6] = { 255, 255, 255, 255, 255, 255 };

TEST(switch_carries_frames_to_whom_they_are_meant_for_alone)
{
	static struct lan l;

	ASSERT_OK(lan_start(&l, (struct switch_config){ 0 }, -1));
	ASSERT_OK(lan_send(&l, 0, macs[0], everybody, 1, 50));
	ASSERT_EQ(lan_receive(&l, 1, 5000), 1);
	ASSERT_EQ(lan_receive(&l, 2, 5000), 1);
	ASSERT_OK(lan_send(&l, 1, macs[1], macs[0], 2, 65000));
	ASSERT_EQ(lan_receive(&l, 0, 5000), 2);
	ASSERT_OK(lan_send(&l, 0, macs[0], macs[1], 3, 50));
	ASSERT_EQ(lan_receive(&l, 1, 5000), 3);
	/* Had anything else come to the third, it would have come before this. */
	ASSERT_OK(lan_send(&l, 0, macs[0], everybody, 4, 50));
	ASSERT_EQ(lan_receive(&l, 2, 5000), 4);
	lan_end(&l);
}

TEST(switch_drops_what_comes_from_a_forged_address)
{
	static struct lan l;

	ASSERT_OK(lan_start(&l, (struct switch_config){ 0 }, -1));
	ASSERT_OK(lan_send(&l, 0, macs[0], everybody, 1, 50));
	ASSERT_EQ(lan_receive(&l, 1, 5000), 1);
	ASSERT_OK(lan_send(&l, 1, macs[0], everybody, 2, 50)); /* another's */
	ASSERT_OK(lan_send(&l, 0, macs[2], everybody, 3, 50)); /* a second one */
	ASSERT_OK(lan_send(&l, 0, macs[0], everybody, 4, 50));
	ASSERT_EQ(lan_receive(&l, 1, 5000), 4);
	ASSERT_EQ(lan_receive(&l, 2, 5000), 1);
	ASSERT_EQ(lan_receive(&l, 2, 5000), 4);
	lan_end(&l);
}

TEST(switch_frees_the_port_of_who_disconnects_and_its_address)
{
	static struct lan l;

	ASSERT_OK(lan_start(&l, (struct switch_config){ 0 }, -1));
	ASSERT_OK(lan_send(&l, 0, macs[0], everybody, 1, 50));
	ASSERT_EQ(lan_receive(&l, 1, 5000), 1);
	close(l.port[0]);
	/* It is gone when its address is another's. */
	for (int got = -1; got != 2;) {
		ASSERT_OK(lan_send(&l, 2, macs[0], everybody, 2, 50));
		got = lan_receive(&l, 1, 50);
	}
	lan_end(&l);
}

TEST(switch_captures_what_it_passes_on_and_nothing_else)
{
	static struct lan l;
	static u8 file[100000];
	char path[64];
	ssize_t size;

	snprintf(path, sizeof path, "/tmp/unit-switch.%d.pcap", getpid());
	int capture = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600), again = dup(capture);
	ASSERT(again >= 0);
	unlink(path);
	ASSERT_OK(lan_start(&l, (struct switch_config){ 0 }, capture));
	ASSERT_OK(lan_send(&l, 0, macs[0], everybody, 1, 50));
	ASSERT_EQ(lan_receive(&l, 1, 5000), 1);
	ASSERT_OK(lan_send(&l, 1, macs[0], everybody, 2, 50)); /* forged */
	ASSERT_OK(lan_send(&l, 1, macs[1], macs[0], 3, 60000));
	ASSERT_EQ(lan_receive(&l, 0, 5000), 3);
	lan_end(&l);
	size = pread(again, file, sizeof file, 0);
	ASSERT_EQ(size, 24 + 16 + 64 + 16 + 60014);
	ASSERT_MEM(file, "\x4d\x3c\xb2\xa1", 4);
	ASSERT_MEM(file + 24 + 16 + 6, macs[0], 6);
	ASSERT_MEM(file + 24 + 16 + 64 + 16 + 6, macs[1], 6);
	ASSERT_EQ(file[size - 1], 3);
	close(again);
}

/* One VM stands still: the others talk, and the switch does not grow. */
TEST(switch_port_that_does_not_read_holds_up_nobody)
{
	static struct lan l;

	ASSERT_OK(lan_start(&l, (struct switch_config){ 0 }, -1));
	for (u32 k = 0; k < 2000; k++) {
		ASSERT_OK(lan_send(&l, 0, macs[0], everybody, (u8)(k % 200), 9000));
		ASSERT_EQ(lan_receive(&l, 1, 5000), (int)(k % 200));
	}
	lan_end(&l);
}
