/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things are in an Ethernet frame, and its check sums. The bytes are somebody else's: nothing
 * of a frame is believed beyond its size. Without state; any thread.
 */
#pragma once

#include "base/types.h"

#define ETH_HEADER 14u
#define ETH_TYPE_IP4 0x0800u
#define ETH_TYPE_ARP 0x0806u
#define ETH_TYPE_IP6 0x86ddu

enum { IP_PROTO_TCP = 6, IP_PROTO_UDP = 17 };
enum { TCP_FLAG_FIN = 1, TCP_FLAG_SYN = 2, TCP_FLAG_PSH = 8, TCP_FLAG_CWR = 0x80 };

/* Numbers in network order at any address. */
static inline u16 net_get16(const u8 *p)
{
	return (u16)(p[0] << 8 | p[1]);
}

static inline u32 net_get32(const u8 *p)
{
	return (u32)net_get16(p) << 16 | net_get16(p + 2);
}

static inline void net_put16(u8 *p, u32 n)
{
	p[0] = (u8)(n >> 8);
	p[1] = (u8)n;
}

static inline void net_put32(u8 *p, u32 n)
{
	net_put16(p, n >> 16);
	net_put16(p + 2, n);
}

/* An IP packet without a VLAN tag. Offsets are from the frame's beginning and inside it. */
struct net_headers {
	u8 version;    /* 4 or 6 */
	u8 proto;      /* what follows; of a fragment too */
	bool fragment; /* IPv4: not a whole packet */
	u32 l3, l4;    /* the headers of IP and of what follows */
	u32 payload; /* behind the headers of TCP or UDP; 0: neither, or a fragment, or cut short */
	u32 end; /* of the packet: a frame may have padding behind it */
};

u16 net_ether_type(const u8 *frame, u32 size); /* 0: cut short */
/* False: no IP packet, or one that is not all there. */
bool net_find_headers(const u8 *frame, u32 size, struct net_headers *ret_headers);

/* The Internet check sum: add up, from 0 or what was before (whole 16-bit words), then fold. */
u64 net_sum(const u8 *bytes, u32 size, u64 before);
u16 net_fold(
	u64 sum); /* as it is written to memory: not inverted, network order as it lies */
/* Of addresses, protocol and length (that of what follows IP's header). */
u64 net_sum_pseudo(const u8 *frame, const struct net_headers *h);

/* A 16-bit word below this check sum changes from what it was; at any address. */
void net_sum_replace(u8 *sum, const u8 *was, const u8 *is);

/* Whole, from scratch: of IPv4's header, of TCP with all that belongs to it. */
void net_write_ip_sum(u8 *frame, const struct net_headers *h);
void net_write_tcp_sum(u8 *frame, const struct net_headers *h);
/* TCP's field as it is where somebody else adds the rest: the sum of the pseudo header. */
void net_write_tcp_partial(u8 *frame, const struct net_headers *h);
