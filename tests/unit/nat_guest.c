/* SPDX-License-Identifier: Apache-2.0 */
/* A guest of tabique-nat's; see nat_guest.h. */
#include "nat_guest.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "base/ipc.h"

static const u8 own_mac[6] = { 0x00, 0x15, 0x5d, 1, 2, 3 };

static void put16(u8 *p, u32 n)
{
	p[0] = (u8)(n >> 8);
	p[1] = (u8)n;
}

static void put32(u8 *p, u32 n)
{
	put16(p, n >> 16);
	put16(p + 2, n);
}

static u32 get16(const u8 *p)
{
	return (u32)p[0] << 8 | p[1];
}

static u32 get32(const u8 *p)
{
	return get16(p) << 16 | get16(p + 2);
}

/* ---- the program ---- */

struct nat_config nat_guest_config(void)
{
	return (struct nat_config){
		.version = NET_CONFIG_VERSION,
		.uid = geteuid() == 0 ? 0x78ffff03u : 0,
		.adapter_count = 1,
		.adapter = { { .mtu = 1500 } },
	};
}

static void become(const char *name, int owner)
{
	char self[PATH_MAX], path[PATH_MAX + 64], *argv[] = { path, NULL },
						  *none[] = { NULL };
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	if (n < 0)
		_exit(126);
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	snprintf(path, sizeof path, "%s/../../bin/%s", self, name);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (owner == OWNER_FD ? fcntl(owner, F_SETFD, 0) < 0 : dup2(owner, OWNER_FD) < 0)
		_exit(126);
	execve(path, argv, none);
	_exit(127);
}

bool start_with_config(const char *name, const void *config, size_t size, const int *fds,
		       unsigned fd_count, pid_t *ret_pid, int *ret_owner,
		       struct owner_message *ret_answer)
{
	unsigned answer_fds;
	size_t answer_size;
	int owner[2];

	CHECK_EQ(ipc_pair(owner), 0);
	*ret_pid = fork();
	if (*ret_pid == 0)
		become(name, owner[1]);
	close(owner[1]);
	*ret_owner = owner[0];
	CHECK_EQ(ipc_send(owner[0], config, size, fds, fd_count), 0);
	for (unsigned k = 0; k < fd_count; k++)
		close(fds[k]);
	CHECK_EQ(ipc_receive(owner[0], ret_answer, sizeof *ret_answer, &answer_size, NULL,
			     0, &answer_fds),
		 0);
	return true;
}

bool nat_guest_start_answer(struct nat_guest *g, const struct nat_config *config,
			    struct owner_message *ret_answer)
{
	int frames[2];

	memset(g, 0, sizeof *g);
	CHECK_EQ(ipc_pair(frames), 0);
	g->frames = frames[0];
	return start_with_config("tabique-nat", config, sizeof *config, &frames[1], 1,
				 &g->pid, &g->owner, ret_answer);
}

bool nat_guest_start(struct nat_guest *g, const struct nat_config *config)
{
	struct owner_message m = { 0 };

	CHECK_OK(nat_guest_start_answer(g, config, &m));
	if (m.kind == OWNER_FAILED)
		CHECK_STR(m.u.failed.text, "");
	CHECK_EQ(m.kind, OWNER_READY);
	return true;
}

void nat_guest_end(struct nat_guest *g)
{
	int status;

	close(g->frames);
	close(g->owner);
	EXPECT_EQ(waitpid(g->pid, &status, 0), g->pid);
	EXPECT_EQ(status, 0);
}

/* ---- frames ---- */

bool nat_guest_send(struct nat_guest *g, const struct virtio_net_hdr *todo,
		    const u8 *frame, u32 size)
{
	static const struct virtio_net_hdr nothing;
	struct iovec iov[2] = { { (void *)(uintptr_t)(todo ? todo : &nothing),
				  sizeof nothing },
				{ (void *)(uintptr_t)frame, size } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };

	CHECK_EQ(sendmsg(g->frames, &m, MSG_NOSIGNAL), sizeof nothing + size);
	return true;
}

bool nat_guest_receive(struct nat_guest *g, int ms)
{
	struct pollfd p = { .fd = g->frames, .events = POLLIN };
	struct iovec iov[2] = { { &g->todo, sizeof g->todo },
				{ g->frame, sizeof g->frame } };
	ssize_t n;

	if (poll(&p, 1, ms) != 1)
		return false;
	n = readv(g->frames, iov, 2);
	if (n <= (ssize_t)sizeof g->todo)
		return false;
	g->size = (u32)n - (u32)sizeof g->todo;
	return true;
}

/* ARP for our address is answered meanwhile, as a guest's kernel does. */
static bool answer_arp(struct nat_guest *g)
{
	u8 reply[42];

	if (get16(g->frame + 12) != 0x0806)
		return false;
	if (get16(g->frame + 20) == 1 && get32(g->frame + 38) == g->address) {
		memcpy(reply, g->frame, sizeof reply);
		memcpy(reply, g->frame + 6, 6);
		memcpy(reply + 6, own_mac, 6);
		put16(reply + 20, 2);
		memcpy(reply + 22, own_mac, 6);
		put32(reply + 28, g->address);
		memcpy(reply + 32, g->frame + 22, 10);
		(void)nat_guest_send(g, NULL, reply, sizeof reply);
	}
	return true;
}

bool nat_guest_receive_ip(struct nat_guest *g, u8 proto, int ms)
{
	while (nat_guest_receive(g, ms)) {
		if (answer_arp(g))
			continue;
		if (get16(g->frame + 12) == 0x0800 && g->frame[23] == proto)
			return true;
	}
	return false;
}

u16 plain_sum(const u8 *bytes, u32 size, u32 before)
{
	u32 sum = before;

	for (u32 k = 0; k < size; k++) {
		sum += k % 2 ? bytes[k] : (u32)bytes[k] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (u16)sum;
}

u32 plain_pseudo(const u8 *ip, u8 proto, u32 length)
{
	return (u32)plain_sum(ip + 12, 8, 0) + proto + length;
}

u32 nat_guest_ip(struct nat_guest *g, u8 *frame, u8 proto, u32 to, const u8 *payload,
		 u32 size)
{
	u8 *ip = frame + 14;

	memset(frame, 0, 34);
	memcpy(frame, g->gateway_mac, 6);
	if (to == 0xffffffff)
		memset(frame, 0xff, 6);
	memcpy(frame + 6, own_mac, 6);
	put16(frame + 12, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, 20 + size);
	ip[8] = 64;
	ip[9] = proto;
	put32(ip + 12, g->address);
	put32(ip + 16, to);
	put16(ip + 10, (u16)~plain_sum(ip, 20, 0));
	memmove(ip + 20, payload, size);
	return 34 + size;
}

u32 nat_guest_udp(struct nat_guest *g, u8 *frame, u32 to, u16 from_port, u16 to_port,
		  const u8 *data, u32 size)
{
	static u8 udp[65536];
	u32 n;

	put16(udp, from_port);
	put16(udp + 2, to_port);
	put16(udp + 4, 8 + size);
	put16(udp + 6, 0);
	memcpy(udp + 8, data, size);
	n = nat_guest_ip(g, frame, 17, to, udp, 8 + size);
	put16(frame + 40, (u16)~plain_sum(frame + 34, 8 + size,
					  plain_pseudo(frame + 14, 17, 8 + size)));
	return n;
}

/* ---- DHCP ---- */

static bool dhcp_ask(struct nat_guest *g, u8 type, u32 wanted)
{
	u8 m[300] = { 1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78 }, frame[512];
	u8 *o = m + 240;

	memcpy(m + 28, own_mac, 6);
	put32(m + 236, 0x63825363);
	*o++ = 53, *o++ = 1, *o++ = type;
	if (wanted) {
		*o++ = 50, *o++ = 4;
		put32(o, wanted);
		o += 4;
	}
	*o = 255;
	return nat_guest_send(g, NULL, frame,
			      nat_guest_udp(g, frame, 0xffffffff, 68, 67, m, sizeof m));
}

/* The offer's or acknowledgement's kind, address and gateway. */
static bool dhcp_hear(struct nat_guest *g, u8 type, u32 *ret_address)
{
	const u8 *m = g->frame + 42;

	CHECK(nat_guest_receive_ip(g, 17, 5000));
	CHECK(g->size >= 42 + 244);
	CHECK_EQ(get32(m + 4), 0x12345678);
	CHECK_EQ(get32(m + 236), 0x63825363);
	CHECK_EQ(m[240], 53);
	CHECK_EQ(m[242], type);
	*ret_address = get32(m + 16);
	memcpy(g->gateway_mac, g->frame + 6, 6);
	return true;
}

bool nat_guest_dhcp(struct nat_guest *g)
{
	u32 address;

	memset(g->gateway_mac, 0xff, 6);
	CHECK_OK(dhcp_ask(g, 1, 0));
	CHECK_OK(dhcp_hear(g, 2, &address));
	CHECK_OK(dhcp_ask(g, 3, address));
	CHECK_OK(dhcp_hear(g, 5, &g->address));
	CHECK_EQ(g->address, address);
	return true;
}

/* ---- TCP ---- */

bool nat_guest_tcp_send(struct nat_guest *g, struct nat_guest_tcp *c, u8 flags,
			const u8 *data, u32 size, u16 gso)
{
	static u8 tcp[70000], frame[70000];
	u32 header = flags & 2 ? 24 : 20, n;
	struct virtio_net_hdr todo = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = 34,
		.csum_offset = 16,
		.gso_type = gso ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_NONE,
		.gso_size = gso,
		.hdr_len = (u16)(34 + header),
	};

	memset(tcp, 0, 24);
	put16(tcp, c->own_port);
	put16(tcp + 2, c->port);
	put32(tcp + 4, c->seq);
	put32(tcp + 8, c->ack);
	tcp[12] = (u8)(header / 4 << 4);
	tcp[13] = flags;
	put16(tcp + 14, 65535);
	if (flags & 2) {
		tcp[20] = 2, tcp[21] = 4;
		put16(tcp + 22, GUEST_SEGMENT);
	}
	memcpy(tcp + header, data, size);
	n = nat_guest_ip(g, frame, 6, c->to, tcp, header + size);
	put16(frame + 50,
	      plain_sum(frame, 0, plain_pseudo(frame + 14, 6, header + size)));
	c->seq += size + !!(flags & 3);
	return nat_guest_send(g, &todo, frame, n);
}

bool nat_guest_tcp_receive(struct nat_guest *g, struct nat_guest_tcp *c, u8 *ret_flags,
			   const u8 **ret_data, u32 *ret_size)
{
	const u8 *ip = g->frame + 14, *tcp = g->frame + 34;
	u32 length;

	do {
		CHECK(nat_guest_receive_ip(g, 6, 5000));
	} while (get16(tcp + 2) != c->own_port);
	length = get16(ip + 2) - 20;
	CHECK_EQ(g->size, 34 + length);
	CHECK_EQ(plain_sum(ip, 20, 0), 0xffff);
	if (g->todo.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		CHECK_EQ(get16(tcp + 16),
			 plain_sum(ip, 0, plain_pseudo(ip, 6, length)) % 0xffff);
	else
		CHECK_EQ(plain_sum(tcp, length, plain_pseudo(ip, 6, length)), 0xffff);
	*ret_flags = tcp[13];
	*ret_data = tcp + (tcp[12] >> 4) * 4;
	*ret_size = length - (u32)(tcp[12] >> 4) * 4;
	c->ack = get32(tcp + 4) + *ret_size + !!(*ret_flags & 3);
	return true;
}

bool nat_guest_tcp_connect(struct nat_guest *g, struct nat_guest_tcp *c, u32 to, u16 port)
{
	const u8 *data;
	u32 size;
	u8 flags;

	*c = (struct nat_guest_tcp){
		.to = to, .port = port, .own_port = 40000, .seq = 1000
	};
	CHECK_OK(nat_guest_tcp_send(g, c, 2, NULL, 0, 0));
	CHECK_OK(nat_guest_tcp_receive(g, c, &flags, &data, &size));
	CHECK_EQ(flags, 0x12);
	CHECK_OK(nat_guest_tcp_send(g, c, 0x10, NULL, 0, 0));
	return true;
}
