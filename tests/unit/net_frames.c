/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames that are finished, checked by plain code: sums byte by byte, pieces put together again.
 */
#include "harness.h"
#include "net/connections.h"
#include "net/finish.h"
#include "net/port.h"

static u32 seed;

static u32 any(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

/* The Internet check sum as RFC 1071 has it, not inverted. */
static u16 plain_sum(const u8 *bytes, u32 size, u32 sum)
{
	for (u32 k = 0; k < size; k++) {
		sum += k % 2 ? bytes[k] : (u32)bytes[k] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (u16)sum;
}

/* 0xffff: of addresses, protocol, length and what follows, its check sum among it. */
static u16 plain_l4(const u8 *frame, const struct net_headers *h)
{
	u32 addresses = h->version == 4 ? 12 : 8;
	u32 sum = plain_sum(frame + h->l3 + addresses, h->version == 4 ? 8 : 32, 0);
	u32 length = h->end - h->l4;

	sum += h->proto + (length & 0xffff) + (length >> 16);
	return plain_sum(frame + h->l4, length, sum);
}

static void make_tcp(u8 *frame, u8 version, u32 options, u32 data)
{
	u32 l4 = ETH_HEADER + (version == 4 ? 20 : 40), header = 20 + options;

	for (u32 k = 0; k < l4 + header + data; k++)
		frame[k] = (u8)any();
	net_put16(frame + 12, version == 4 ? ETH_TYPE_IP4 : ETH_TYPE_IP6);
	frame[ETH_HEADER] = version == 4 ? 0x45 : 0x60;
	if (version == 4) {
		net_put16(frame + 16, 20 + header + data);
		net_put16(frame + 20, 0x4000);
		frame[23] = IP_PROTO_TCP;
	} else {
		net_put16(frame + 18, header + data);
		frame[20] = IP_PROTO_TCP;
	}
	frame[l4 + 12] = (u8)(header / 4 << 4);
	memset(frame + l4 + 20, 1, options);
}

struct collected {
	u8 frames[80][10000];
	u32 size[80];
	unsigned count;
};

static void collect(void *owner, u8 *frame, u32 size)
{
	struct collected *c = owner;

	if (c->count < ARRAY_COUNT(c->size) && size <= sizeof c->frames[0]) {
		memcpy(c->frames[c->count], frame, size);
		c->size[c->count] = size;
	}
	c->count++;
}

TEST(sums_are_those_of_the_plain_way_at_every_size_and_place)
{
	u8 bytes[600];

	for (u32 k = 0; k < sizeof bytes; k++)
		bytes[k] = (u8)any();
	memset(bytes + 100, 0xff, 200);
	for (u32 size = 0; size < 300; size++) {
		for (u32 at = 0; at < 9; at++) {
			u16 sum = net_fold(net_sum(bytes + at * 31, size, 0));
			u8 words[2];

			memcpy(words, &sum, 2);
			ASSERT_EQ(net_get16(words), plain_sum(bytes + at * 31, size, 0));
		}
	}
}

TEST(partial_sum_is_finished_as_the_plain_way_would)
{
	static u8 frame[2000];
	struct net_headers h;

	for (u32 round = 0; round < 2000; round++) {
		struct virtio_net_hdr todo = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM };
		u32 data = any() % 1400;

		make_tcp(frame, round % 2 ? 4 : 6, any() % 11 * 4, data);
		ASSERT(net_find_headers(frame, sizeof frame, &h));
		ASSERT_EQ(h.end - h.payload, data);
		net_write_tcp_partial(frame, &h);
		todo.csum_start = (u16)h.l4;
		todo.csum_offset = 16;
		ASSERT(net_finish_sum(frame, h.end, &todo));
		ASSERT_EQ(plain_l4(frame, &h), 0xffff);
	}
}

TEST(nonsense_about_a_sum_is_refused)
{
	static u8 frame[100];
	struct virtio_net_hdr todo = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM };
	static const struct {
		u16 start, offset;
	} rows[] = { { 0, 16 },	   { 13, 16 },	  { 84, 16 },	    { 99, 0 }, { 101, 0 },
		     { 65535, 0 }, { 34, 65535 }, { 65535, 65535 }, { 34, 65 } };

	for (size_t k = 0; k < ARRAY_COUNT(rows); k++) {
		todo.csum_start = rows[k].start;
		todo.csum_offset = rows[k].offset;
		ASSERT(!net_finish_sum(frame, sizeof frame, &todo));
	}
	todo.csum_start = 34;
	todo.csum_offset = 64;
	ASSERT(net_finish_sum(frame, sizeof frame, &todo));
}

TEST(segments_put_together_are_the_frame)
{
	static u8 frame[NET_MAX_FRAME], scratch[NET_MAX_FRAME];
	static struct collected c;
	struct net_headers h, p;

	for (u32 round = 0; round < 60; round++) {
		u32 data = any() % 60000 + 1, piece = any() % 8000 + 900, done = 0;
		u32 seq, id;

		make_tcp(frame, round % 2 ? 4 : 6, any() % 11 * 4, data);
		ASSERT(net_find_headers(frame, sizeof frame, &h));
		frame[h.l4 + 13] = 0x99; /* CWR, ACK, PSH, FIN */
		seq = net_get32(frame + h.l4 + 4);
		id = net_get16(frame + h.l3 + 4);
		c.count = 0;
		net_segment(frame, &h, piece, scratch, collect, &c);
		ASSERT_EQ(c.count, (data + piece - 1) / piece);
		for (unsigned k = 0; k < c.count; k++) {
			const u8 *f = c.frames[k];
			bool last = k + 1 == c.count;

			ASSERT(net_find_headers(f, c.size[k], &p));
			ASSERT_EQ(p.end, c.size[k]);
			ASSERT_EQ(plain_l4(f, &p), 0xffff);
			ASSERT_EQ(net_get32(f + p.l4 + 4), (u32)(seq + done));
			ASSERT_EQ(f[p.l4 + 13], 0x10 | (last ? 9 : 0) | (k ? 0 : 0x80));
			if (p.version == 4) {
				ASSERT_EQ(plain_sum(f + p.l3, 20, 0), 0xffff);
				ASSERT_EQ(net_get16(f + p.l3 + 4), (u16)(id + k));
			}
			ASSERT_MEM(f + p.payload, frame + h.payload + done,
				   p.end - p.payload);
			done += p.end - p.payload;
		}
		ASSERT_EQ(done, data);
	}
}

TEST(fragments_put_together_are_the_packet)
{
	static u8 frame[NET_MAX_FRAME], scratch[NET_MAX_FRAME];
	static struct collected c;
	struct net_headers h, p;

	for (u32 round = 0; round < 60; round++) {
		u32 data = any() % 30000 + 2000, mtu = any() % 8000 + 576, done = 0;

		make_tcp(frame, 4, 0, data);
		net_put16(frame + 20, 0);
		ASSERT(net_find_headers(frame, sizeof frame, &h));
		c.count = 0;
		net_fragment(frame, &h, mtu, scratch, collect, &c);
		for (unsigned k = 0; k < c.count; k++) {
			const u8 *f = c.frames[k];
			u32 offset;

			ASSERT(net_find_headers(f, c.size[k], &p));
			ASSERT(p.end - p.l3 <= mtu);
			ASSERT_EQ(plain_sum(f + p.l3, 20, 0), 0xffff);
			offset = net_get16(f + p.l3 + 6);
			ASSERT_EQ(offset % 0x2000 * 8, done);
			ASSERT_EQ(offset / 0x2000, k + 1 < c.count);
			ASSERT_MEM(f + p.l4, frame + h.l4 + done, p.end - p.l4);
			done += p.end - p.l4;
		}
		ASSERT_EQ(done, h.end - h.l4);
	}
}

TEST(headers_that_are_cut_short_or_lie_are_not_believed)
{
	static u8 frame[2000], copy[2000];
	struct net_headers h;

	make_tcp(frame, 4, 12, 100);
	for (u32 size = 0; size < ETH_HEADER + 20 + 32 + 100; size++)
		ASSERT(!net_find_headers(frame, size, &h));
	memcpy(copy, frame, sizeof copy);
	copy[ETH_HEADER] = 0x44; /* a header of 16 bytes */
	ASSERT(!net_find_headers(copy, sizeof copy, &h));
	copy[ETH_HEADER] = 0x4f; /* of 60: TCP is what is left */
	ASSERT(net_find_headers(copy, sizeof copy, &h));
	memcpy(copy, frame, sizeof copy);
	copy[ETH_HEADER + 20 + 12] = 0x40; /* TCP's of 16 */
	ASSERT(net_find_headers(copy, sizeof copy, &h));
	ASSERT_EQ(h.payload, 0);
	copy[ETH_HEADER + 20 + 12] = 0xf0;
	net_put16(copy + 16, 20 + 59);
	ASSERT(net_find_headers(copy, sizeof copy, &h));
	ASSERT_EQ(h.payload, 0);
	memcpy(copy, frame, sizeof copy);
	net_put16(copy + 20, 0x2000); /* a fragment */
	ASSERT(net_find_headers(copy, sizeof copy, &h));
	ASSERT(h.fragment);
	ASSERT_EQ(h.payload, 0);
}

/* A SYN whose segment size stands at an odd place: the sum must follow. */
TEST(segment_size_is_remembered_and_the_sum_follows_wherever_it_stands)
{
	static struct net_connections c;
	static u8 frame[2000], back[6000];
	struct net_headers h, hb;

	for (u32 odd = 0; odd < 2; odd++) {
		make_tcp(frame, 4, 8, 0);
		frame[30] = 10; /* the target is no address of the host's own */
		frame[34 + 13] = TCP_FLAG_SYN;
		memcpy(frame + 54 + odd, (u8[4]){ 2, 4, 0x05, 0xb4 }, 4);
		ASSERT(net_find_headers(frame, sizeof frame, &h));
		net_write_tcp_sum(frame, &h);
		ASSERT_EQ(plain_l4(frame, &h), 0xffff);
		ASSERT(net_connections_out(&c, frame, &h));
		ASSERT_EQ(plain_l4(frame, &h), 0xffff);
		ASSERT(net_get16(frame + 56 + odd) > 16000);
		ASSERT_EQ(net_get16(frame + 56 + odd) % 1460, 0);

		make_tcp(back, 4, 0, 5000);
		memcpy(back + 26, frame + 30, 4);
		memcpy(back + 30, frame + 26, 4);
		memcpy(back + 34, frame + 36, 2);
		memcpy(back + 36, frame + 34, 2);
		ASSERT(net_find_headers(back, sizeof back, &hb));
		ASSERT_EQ(net_connections_in(&c, back, &hb), 1460);
		back[34] ^= 1; /* another one's */
		ASSERT_EQ(net_connections_in(&c, back, &hb), NET_DEFAULT_SEGMENT);
	}
}

TEST(addresses_of_the_host_itself_are_not_reached_by_name)
{
	static struct net_connections c;
	static u8 frame[2000];
	struct net_headers h;

	make_tcp(frame, 4, 0, 0);
	frame[30] = 127;
	ASSERT(net_find_headers(frame, sizeof frame, &h));
	ASSERT(!net_connections_out(&c, frame, &h));
	make_tcp(frame, 6, 0, 0);
	memset(frame + 38, 0, 15);
	frame[53] = 1;
	ASSERT(net_find_headers(frame, sizeof frame, &h));
	ASSERT(!net_connections_out(&c, frame, &h));
}
