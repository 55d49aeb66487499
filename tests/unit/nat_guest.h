/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tabique-nat as a guest and its owner see it: the program runs in its jail, the test holds the other
 * ends of its sockets. Packets are made and checked here by plain code of its own.
 */
#pragma once

#include <linux/virtio_net.h>
#include <sys/types.h>

#include "harness.h"
#include "wall/net_config.h"

#define GUEST_SEGMENT 1460

struct nat_guest {
	pid_t pid;
	int owner, frames;
	u8 gateway_mac[6];
	u32 address; /* host order; from DHCP */

	/* what came last */
	struct virtio_net_hdr todo;
	u8 frame[70000];
	u32 size;
};

struct nat_guest_tcp {
	u32 to; /* host order */
	u16 port, own_port;
	u32 seq, ack;
};

/*
 * A program of bin/ with its configuration and descriptors (which are closed); *ret_owner is our end.
 * What it answers.
 */
bool start_with_config(const char *name, const void *config, size_t size, const int *fds,
		       unsigned fd_count, pid_t *ret_pid, int *ret_owner,
		       struct owner_message *ret_answer);

/* The program is up; a child that ends with the test. */
bool nat_guest_start(struct nat_guest *g, const struct nat_config *config);
/* What it answers to its configuration. */
bool nat_guest_start_answer(struct nat_guest *g, const struct nat_config *config,
			    struct owner_message *ret_answer);
void nat_guest_end(struct nat_guest *g);
struct nat_config nat_guest_config(void);

bool nat_guest_send(struct nat_guest *g, const struct virtio_net_hdr *todo,
		    const u8 *frame, u32 size);
/* The next frame; false: none within the time. */
bool nat_guest_receive(struct nat_guest *g, int ms);
/* The same, but only an IPv4 packet of that protocol. */
bool nat_guest_receive_ip(struct nat_guest *g, u8 proto, int ms);

/* An IPv4 packet behind an Ethernet header, right in all its parts; returns the frame's size. */
u32 nat_guest_ip(struct nat_guest *g, u8 *frame, u8 proto, u32 to, const u8 *payload,
		 u32 size);
u32 nat_guest_udp(struct nat_guest *g, u8 *frame, u32 to, u16 from_port, u16 to_port,
		  const u8 *data, u32 size);
u16 plain_sum(const u8 *bytes, u32 size, u32 before); /* host order, not inverted */
u32 plain_pseudo(const u8 *ip, u8 proto, u32 length);

bool nat_guest_dhcp(struct nat_guest *g);

/* A segment of a connection. The check sum is left to be done where partial. */
bool nat_guest_tcp_send(struct nat_guest *g, struct nat_guest_tcp *c, u8 flags,
			const u8 *data, u32 size, u16 gso);
/* The next segment of it in g->frame; its data; acknowledged in c, not yet to the peer. */
bool nat_guest_tcp_receive(struct nat_guest *g, struct nat_guest_tcp *c, u8 *ret_flags,
			   const u8 **ret_data, u32 *ret_size);
bool nat_guest_tcp_connect(struct nat_guest *g, struct nat_guest_tcp *c, u32 to,
			   u16 port);
