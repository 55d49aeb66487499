/* SPDX-License-Identifier: Apache-2.0 */
/* Headers and check sums; see frame.h. RFC 791, 8200, 9293, 1071, 1624. */
#include "net/frame.h"

#define IP4_HEADER 20u
#define IP6_HEADER 40u
#define TCP_HEADER 20u
#define UDP_HEADER 8u
#define TCP_SUM 16u

u16 net_ether_type(const u8 *frame, u32 size)
{
	return size < ETH_HEADER ? 0 : net_get16(frame + 12);
}

static bool find_ip4(const u8 *frame, u32 size, struct net_headers *h)
{
	const u8 *ip = frame + ETH_HEADER;
	u32 header, total, offset;

	if (size < ETH_HEADER + IP4_HEADER || ip[0] >> 4 != 4)
		return false;
	header = (ip[0] & 15u) * 4;
	total = net_get16(ip + 2);
	if (header < IP4_HEADER || total < header || total > size - ETH_HEADER)
		return false;
	offset = net_get16(ip + 6);
	h->version = 4;
	h->proto = ip[9];
	h->fragment = (offset & 0x3fff) != 0;
	h->l4 = ETH_HEADER + header;
	h->end = ETH_HEADER + total;
	return true;
}

/* Extension headers are not looked through: who sends them does without what we do for TCP. */
static bool find_ip6(const u8 *frame, u32 size, struct net_headers *h)
{
	const u8 *ip = frame + ETH_HEADER;
	u32 length;

	if (size < ETH_HEADER + IP6_HEADER || ip[0] >> 4 != 6)
		return false;
	length = net_get16(ip + 4);
	if (length > size - ETH_HEADER - IP6_HEADER)
		return false;
	h->version = 6;
	h->proto = ip[6];
	h->l4 = ETH_HEADER + IP6_HEADER;
	h->end = h->l4 + length;
	return true;
}

bool net_find_headers(const u8 *frame, u32 size, struct net_headers *h)
{
	u16 type = net_ether_type(frame, size);
	u32 room, header = 0;

	memset(h, 0, sizeof *h);
	h->l3 = ETH_HEADER;
	if (type == ETH_TYPE_IP4 ? !find_ip4(frame, size, h)
				 : type != ETH_TYPE_IP6 || !find_ip6(frame, size, h))
		return false;
	room = h->end - h->l4;
	if (h->fragment)
		return true;
	if (h->proto == IP_PROTO_UDP && room >= UDP_HEADER)
		header = UDP_HEADER;
	if (h->proto == IP_PROTO_TCP && room >= TCP_HEADER)
		header = (frame[h->l4 + 12] >> 4) * 4u;
	if (header >= UDP_HEADER && header <= room &&
	    (h->proto == IP_PROTO_UDP || header >= TCP_HEADER))
		h->payload = h->l4 + header;
	return true;
}

/* Words are added as they lie: the sum is right in either byte order (RFC 1071, 2 B). */
u64 net_sum(const u8 *bytes, u32 size, u64 before)
{
	u64 sum = before, more = 0;
	u32 a, b;
	u16 last;

	for (; size >= 8; size -= 8, bytes += 8) {
		memcpy(&a, bytes, 4);
		memcpy(&b, bytes + 4, 4);
		sum += a;
		more += b;
	}
	for (; size >= 2; size -= 2, bytes += 2) {
		memcpy(&last, bytes, 2);
		sum += last;
	}
	if (size) {
		last = 0;
		memcpy(&last, bytes, 1);
		sum += last;
	}
	return sum + more;
}

u16 net_fold(u64 sum)
{
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return (u16)sum;
}

u64 net_sum_pseudo(const u8 *frame, const struct net_headers *h)
{
	const u8 *ip = frame + h->l3;
	u8 rest[8] = { 0 };

	net_put32(rest, h->end - h->l4);
	rest[7] = h->proto;
	return h->version == 4 ? net_sum(ip + 12, 8, net_sum(rest, 8, 0))
			       : net_sum(ip + 8, 32, net_sum(rest, 8, 0));
}

/* RFC 1624, 3: HC' = ~(~HC + ~m + m'). */
void net_sum_replace(u8 *sum, const u8 *was, const u8 *is)
{
	u16 hc, m, m2;

	memcpy(&hc, sum, 2);
	memcpy(&m, was, 2);
	memcpy(&m2, is, 2);
	hc = (u16)~net_fold((u64)(u16)~hc + (u16)~m + m2);
	memcpy(sum, &hc, 2);
}

void net_write_ip_sum(u8 *frame, const struct net_headers *h)
{
	u8 *ip = frame + h->l3;
	u16 sum = 0;

	if (h->version != 4)
		return;
	memcpy(ip + 10, &sum, 2);
	sum = (u16)~net_fold(net_sum(ip, h->l4 - h->l3, 0));
	memcpy(ip + 10, &sum, 2);
}

void net_write_tcp_partial(u8 *frame, const struct net_headers *h)
{
	u16 sum = net_fold(net_sum_pseudo(frame, h));

	memcpy(frame + h->l4 + TCP_SUM, &sum, 2);
}

void net_write_tcp_sum(u8 *frame, const struct net_headers *h)
{
	u16 sum;

	net_write_tcp_partial(frame, h);
	sum = (u16)~net_fold(net_sum(frame + h->l4, h->end - h->l4, 0));
	memcpy(frame + h->l4 + TCP_SUM, &sum, 2);
}
