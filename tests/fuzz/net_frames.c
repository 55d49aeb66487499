/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame and its header as a guest, or a peer of a switch, may send them: through all that looks into
 * frames, in the order in which tabique-nat does. The frame lies in memory of just its size. What comes out
 * is whole: right sums, and in all as many bytes as went in.
 */
#include "net/connections.h"
#include "net/finish.h"
#include "net/port.h"

static u8 scratch[NET_MAX_FRAME];

struct sum {
	u32 payload, pieces;
	bool tcp; /* segments, not fragments */
};

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void take_piece(void *owner, u8 *frame, u32 size)
{
	struct sum *sum = owner;
	struct net_headers h;

	require(net_find_headers(frame, size, &h) && h.end == size);
	if (sum->tcp) {
		require(h.payload != 0);
		sum->payload += h.end - h.payload;
		require(net_fold(net_sum(frame + h.l4, h.end - h.l4,
					 net_sum_pseudo(frame, &h))) == 0xffff);
	} else {
		sum->payload += h.end - h.l4;
	}
	if (h.version == 4)
		require(net_fold(net_sum(frame + h.l3, h.l4 - h.l3, 0)) == 0xffff);
	sum->pieces++;
}

static void take(u8 *frame, u32 size, const struct virtio_net_hdr *todo, u32 piece)
{
	static struct net_connections c = { .resolver = 0x01010101, .alias = 0x0302000a };
	struct sum segments = { .tcp = true }, fragments = { .tcp = false };
	struct net_headers h;

	(void)net_ether_type(frame, size);
	if (!net_find_headers(frame, size, &h))
		return;
	require(h.l3 < h.l4 && h.l4 <= h.end && h.end <= size);
	require(!h.payload || (h.payload > h.l4 && h.payload <= h.end));
	if (!net_finish_sum(frame, h.end, todo) || !net_find_headers(frame, size, &h))
		return;
	if (!net_connections_out(&c, frame, &h))
		return;
	(void)net_connections_in(&c, frame, &h);
	if (h.payload && h.proto == IP_PROTO_TCP) {
		net_segment(frame, &h, piece, scratch, take_piece, &segments);
		require(segments.payload == h.end - h.payload);
		net_write_ip_sum(frame, &h);
		net_write_tcp_sum(frame, &h);
	}
	if (h.version == 4 && !h.fragment) {
		net_fragment(frame, &h, 576 + piece % 8424, scratch, take_piece,
			     &fragments);
		require(fragments.payload == h.end - h.l4);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct virtio_net_hdr todo;
	AUTO_FREE u8 *frame = NULL;
	u32 piece, rest;

	if (size < sizeof todo + 2)
		return 0;
	memcpy(&todo, data, sizeof todo);
	piece = net_get16(data + sizeof todo) % 9000 + 64;
	rest = (u32)min_u64(size - sizeof todo - 2, NET_MAX_FRAME);
	frame = malloc(rest);
	if (!frame)
		return 0;
	memcpy(frame, data + sizeof todo + 2, rest);
	take(frame, rest, &todo, piece);
	return 0;
}
