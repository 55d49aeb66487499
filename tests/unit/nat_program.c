/* SPDX-License-Identifier: Apache-2.0 */
/* tabique-nat, in its jail, from a guest's side; see nat_guest.h. */
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "nat_guest.h"

#define GATEWAY 0x0a000202
#define NAME_SERVER 0x0a000203

static bool started(struct nat_guest *g)
{
	struct nat_config config = nat_guest_config();

	CHECK_OK(nat_guest_start(g, &config));
	CHECK_OK(nat_guest_dhcp(g));
	return true;
}

static int listen_somewhere(int type, const char *address, u16 port, u16 *ret_port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	socklen_t size = sizeof at;
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, address, &at.sin_addr);
	if (bind(fd, (struct sockaddr *)&at, size) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 4) < 0) ||
	    getsockname(fd, (struct sockaddr *)&at, &size) < 0) {
		close(fd);
		return -1;
	}
	*ret_port = ntohs(at.sin_port);
	return fd;
}

static void fill(u8 *bytes, u32 size, u32 seed)
{
	for (u32 k = 0; k < size; k++)
		bytes[k] = (u8)((k + seed) * 2654435761u >> 24);
}

TEST(nat_gives_the_guest_an_address_by_dhcp)
{
	static struct nat_guest g;

	ASSERT_OK(started(&g));
	ASSERT_EQ(g.address, 0x0a00020f);
	nat_guest_end(&g);
}

TEST(nat_gives_each_adapter_a_network_of_its_own)
{
	static struct nat_guest g;
	struct nat_config config = nat_guest_config();

	config.adapter[0].net = 3;
	ASSERT_OK(nat_guest_start(&g, &config));
	ASSERT_OK(nat_guest_dhcp(&g));
	ASSERT_EQ(g.address, 0x0a00050f);
	nat_guest_end(&g);
}

TEST(nat_gateway_answers_a_ping_larger_than_the_mtu_in_fragments)
{
	static struct nat_guest g;
	static u8 ping[3008], frame[4000];
	u32 got = 0;

	ASSERT_OK(started(&g));
	fill(ping, sizeof ping, 1);
	ping[0] = 8, ping[1] = ping[2] = ping[3] = 0;
	u16 sum = (u16)~plain_sum(ping, sizeof ping, 0);
	ping[2] = (u8)(sum >> 8), ping[3] = (u8)sum;
	ASSERT_OK(nat_guest_send(&g, NULL, frame,
				 nat_guest_ip(&g, frame, 1, GATEWAY, ping, sizeof ping)));
	for (int k = 0; k < 3; k++) {
		ASSERT(nat_guest_receive_ip(&g, 1, 5000));
		ASSERT(g.size <= 14 + 1500);
		u32 offset = ((u32)g.frame[20] << 8 | g.frame[21]) % 0x2000 * 8;
		u32 size = g.size - 34;
		ASSERT_EQ(offset, got);
		ASSERT_MEM(g.frame + 34 + (offset ? 0 : 8),
			   ping + offset + (offset ? 0 : 8), size - (offset ? 0 : 8));
		got += size;
	}
	ASSERT_EQ(got, sizeof ping);
	nat_guest_end(&g);
}

TEST(nat_carries_tcp_to_a_server_on_the_host_whole_and_in_large_frames)
{
	static struct nat_guest g;
	static u8 out[60000], in[400000], back[400000];
	struct nat_guest_tcp c;
	const u8 *data;
	u32 size, got = 0;
	bool large = false;
	u8 flags;
	u16 port;
	AUTO_CLOSE int server = listen_somewhere(SOCK_STREAM, "127.0.0.1", 0, &port);

	ASSERT(server >= 0);
	ASSERT_OK(started(&g));
	ASSERT_OK(nat_guest_tcp_connect(&g, &c, GATEWAY, port));
	AUTO_CLOSE int peer = accept(server, NULL, NULL);
	ASSERT(peer >= 0);

	/* One frame of many segments, its check sum to be made. */
	fill(out, sizeof out, 2);
	ASSERT_OK(nat_guest_tcp_send(&g, &c, 0x18, out, sizeof out, GUEST_SEGMENT));
	ASSERT_EQ(recv(peer, in, sizeof out, MSG_WAITALL), sizeof out);
	ASSERT_MEM(in, out, sizeof out);

	/* And back: frames that say how large segments are. */
	fill(back, sizeof back, 3);
	if (fork() == 0)
		_exit(send(peer, back, sizeof back, 0) != sizeof back);
	while (got < sizeof back) {
		u32 seq = c.ack;

		ASSERT_OK(nat_guest_tcp_receive(&g, &c, &flags, &data, &size));
		if (size == 0)
			continue;
		ASSERT_EQ(c.ack, seq + size);
		if (g.todo.gso_type == VIRTIO_NET_HDR_GSO_NONE)
			ASSERT(size <= GUEST_SEGMENT);
		else
			ASSERT_EQ(g.todo.gso_size, GUEST_SEGMENT);
		large |= g.todo.gso_type == VIRTIO_NET_HDR_GSO_TCPV4;
		memcpy(in + got, data, size);
		got += size;
		ASSERT_OK(nat_guest_tcp_send(&g, &c, 0x10, NULL, 0, 0));
	}
	ASSERT_MEM(in, back, sizeof back);
	ASSERT(large);
	ASSERT(wait(NULL) > 0);
	nat_guest_end(&g);
}

TEST(nat_forwards_a_port_of_the_host_to_the_guest)
{
	static struct nat_guest g;
	struct nat_config config = nat_guest_config();
	struct nat_guest_tcp c = { .own_port = 22, .seq = 5000 };
	struct sockaddr_in at = { .sin_family = AF_INET };
	const u8 *data;
	char text[8] = "";
	u32 size;
	u8 flags;
	u16 port;
	int taken = listen_somewhere(SOCK_STREAM, "127.0.0.1", 0, &port);

	/* A port that was free a moment ago. */
	ASSERT(taken >= 0);
	close(taken);
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	at.sin_port = htons(port);
	config.adapter[0].forward_count = 1;
	config.adapter[0].forward[0] = (struct nat_forward){
		.host = htonl(INADDR_LOOPBACK), .host_port = port, .guest_port = 22
	};
	ASSERT_OK(nat_guest_start(&g, &config));
	ASSERT_OK(nat_guest_dhcp(&g));
	AUTO_CLOSE int peer = socket(AF_INET, SOCK_STREAM, 0);
	ASSERT_EQ(connect(peer, (struct sockaddr *)&at, sizeof at), 0);
	ASSERT_OK(nat_guest_tcp_receive(&g, &c, &flags, &data, &size));
	ASSERT_EQ(flags, 2);
	c.to = ntohl(*(const u32 *)(const void *)(g.frame + 26));
	c.port = ntohs(*(const u16 *)(const void *)(g.frame + 34));
	ASSERT_EQ(c.to, GATEWAY);
	ASSERT_OK(nat_guest_tcp_send(&g, &c, 0x12, NULL, 0, 0));
	ASSERT_OK(nat_guest_tcp_receive(&g, &c, &flags, &data, &size));
	ASSERT_OK(nat_guest_tcp_send(&g, &c, 0x18, (const u8 *)"hello", 5, 0));
	ASSERT_EQ(recv(peer, text, 5, MSG_WAITALL), 5);
	ASSERT_STR(text, "hello");
	nat_guest_end(&g);
}

TEST(nat_says_which_port_cannot_be_forwarded)
{
	static struct nat_guest g;
	struct nat_config config = nat_guest_config();
	struct owner_message m = { 0 };
	int status;
	u16 port;
	AUTO_CLOSE int taken = listen_somewhere(SOCK_STREAM, "127.0.0.1", 0, &port);

	ASSERT(taken >= 0);
	config.adapter[0].forward_count = 1;
	config.adapter[0].forward[0] = (struct nat_forward){
		.host = htonl(INADDR_LOOPBACK), .host_port = port, .guest_port = 22
	};
	ASSERT_OK(nat_guest_start_answer(&g, &config, &m));
	ASSERT_EQ(m.kind, OWNER_FAILED);
	ASSERT(strstr(m.u.failed.text, "cannot be forwarded: address already in use"));
	ASSERT(strstr(m.u.failed.fix, "take another port"));
	ASSERT_EQ(waitpid(g.pid, &status, 0), g.pid);
	ASSERT_EQ(WEXITSTATUS(status), 1);
}

TEST(nat_asks_the_hosts_name_server_in_the_guests_name)
{
	static struct nat_guest g;
	static u8 frame[512];
	struct nat_config config = nat_guest_config();
	struct sockaddr_in from;
	socklen_t from_size = sizeof from;
	char question[16] = "";
	u16 port;
	AUTO_CLOSE int server = listen_somewhere(SOCK_DGRAM, "127.43.21.9", 53, &port);

	if (server < 0)
		SKIP("port 53 cannot be had");
	config.resolver = inet_addr("127.43.21.9");
	ASSERT_OK(nat_guest_start(&g, &config));
	ASSERT_OK(nat_guest_dhcp(&g));
	ASSERT_OK(nat_guest_send(&g, NULL, frame,
				 nat_guest_udp(&g, frame, NAME_SERVER, 3333, 53,
					       (const u8 *)"where?", 6)));
	ASSERT_EQ(recvfrom(server, question, sizeof question, 0, (struct sockaddr *)&from,
			   &from_size),
		  6);
	ASSERT_STR(question, "where?");
	ASSERT_EQ(sendto(server, "there", 5, 0, (struct sockaddr *)&from, from_size), 5);
	ASSERT(nat_guest_receive_ip(&g, 17, 5000));
	ASSERT_EQ(ntohl(*(const u32 *)(const void *)(g.frame + 26)), NAME_SERVER);
	ASSERT_EQ(plain_sum(g.frame + 14, 20, 0), 0xffff);
	ASSERT_EQ(plain_sum(g.frame + 34, 13, plain_pseudo(g.frame + 14, 17, 13)),
		  0xffff);
	ASSERT_MEM(g.frame + 42, "there", 5);
	nat_guest_end(&g);
}

/* Its memory in KiB. */
static u64 resident(pid_t pid)
{
	char path[64], line[128];
	unsigned long long kib = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/status", pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof line, f))
		sscanf(line, "VmRSS: %llu", &kib);
	if (f)
		fclose(f);
	return kib;
}

TEST(nat_keeps_few_fragments_of_a_guest_that_never_ends_its_packets)
{
	static struct nat_guest g;
	static u8 data[1400], frame[2000];
	u64 before;

	ASSERT_OK(started(&g));
	before = resident(g.pid);
	for (u32 k = 0; k < 100000; k++) {
		u32 size = nat_guest_ip(&g, frame, 17, 0x08080808, data, sizeof data);

		frame[18] = (u8)(k >> 8), frame[19] = (u8)k;
		frame[16 + 4] = 0x20; /* more to come */
		frame[24] = frame[25] = 0;
		u16 sum = (u16)~plain_sum(frame + 14, 20, 0);
		frame[24] = (u8)(sum >> 8), frame[25] = (u8)sum;
		ASSERT_OK(nat_guest_send(&g, NULL, frame, size));
	}
	/* It has taken them all when it answers what came behind them. */
	ASSERT_OK(nat_guest_dhcp(&g));
	ASSERT(resident(g.pid) < before + 24 * 1024);
	nat_guest_end(&g);
}

TEST(nat_outlives_a_guest_that_takes_all_of_its_sockets)
{
	static struct nat_guest g;
	static u8 frame[256];
	struct nat_guest_tcp c;
	u16 port;
	AUTO_CLOSE int server = listen_somewhere(SOCK_STREAM, "127.0.0.1", 0, &port);

	ASSERT(server >= 0);
	ASSERT_OK(started(&g));
	for (u32 k = 0; k < 3000; k++) {
		c = (struct nat_guest_tcp){
			.to = GATEWAY, .port = port, .own_port = (u16)(1000 + k), .seq = k
		};
		ASSERT_OK(nat_guest_tcp_send(&g, &c, 2, NULL, 0, 0));
		ASSERT_OK(
			nat_guest_send(&g, NULL, frame,
				       nat_guest_udp(&g, frame, GATEWAY, (u16)(1000 + k),
						     9, (const u8 *)"x", 1)));
		while (nat_guest_receive(&g, 0))
			;
	}
	ASSERT_OK(nat_guest_dhcp(&g));
	ASSERT(resident(g.pid) < 200 * 1024);
	nat_guest_end(&g);
}
