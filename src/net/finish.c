/* SPDX-License-Identifier: Apache-2.0 */
/* Check sums, segments and fragments; see finish.h. */
#include "net/finish.h"

bool net_finish_sum(u8 *frame, u32 size, const struct virtio_net_hdr *todo)
{
	u32 start = todo->csum_start, at = start + todo->csum_offset;
	u16 sum;

	if (!(todo->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return true;
	if (start < ETH_HEADER || at + 2 > size || start > size)
		return false;
	sum = (u16)~net_fold(net_sum(frame + start, size - start, 0));
	/* 0 means "none" to UDP, and 0xffff is as good to everybody (RFC 768). */
	if (sum == 0)
		sum = 0xffff;
	memcpy(frame + at, &sum, 2);
	return true;
}

/* The packet is this long now. */
static void set_length(u8 *frame, struct net_headers *h, u32 end)
{
	h->end = end;
	if (h->version == 4)
		net_put16(frame + h->l3 + 2, end - h->l3);
	else
		net_put16(frame + h->l3 + 4, end - h->l4);
}

void net_segment(const u8 *frame, const struct net_headers *h, u32 piece, u8 *scratch,
		 net_piece_fn fn, void *owner)
{
	u32 data = h->end - h->payload, done = 0, seq = net_get32(frame + h->l4 + 4);
	u32 id = net_get16(frame + h->l3 + 4);
	u8 flags = frame[h->l4 + 13];
	struct net_headers own = *h;

	memcpy(scratch, frame, h->payload);
	do {
		u32 size = (u32)min_u64(piece, data - done);
		u8 drop = 0;

		if (done + size < data)
			drop |= TCP_FLAG_FIN | TCP_FLAG_PSH;
		if (done > 0)
			drop |= TCP_FLAG_CWR;
		memcpy(scratch + h->payload, frame + h->payload + done, size);
		set_length(scratch, &own, h->payload + size);
		if (h->version == 4)
			net_put16(scratch + h->l3 + 4, id++);
		net_put32(scratch + h->l4 + 4, seq + done);
		scratch[h->l4 + 13] = flags & (u8)~drop;
		net_write_ip_sum(scratch, &own);
		net_write_tcp_sum(scratch, &own);
		fn(owner, scratch, own.end);
		done += size;
	} while (done < data);
}

void net_fragment(const u8 *frame, const struct net_headers *h, u32 mtu, u8 *scratch,
		  net_piece_fn fn, void *owner)
{
	u32 header = h->l4 - h->l3, data = h->end - h->l4, done = 0;
	u32 piece = (mtu - header) & ~7u, offset = net_get16(frame + h->l3 + 6);
	struct net_headers own = *h;

	memcpy(scratch, frame, h->l4);
	do {
		u32 size = (u32)min_u64(piece, data - done);
		u32 more = done + size < data ? 0x2000 : offset & 0x2000;

		memcpy(scratch + h->l4, frame + h->l4 + done, size);
		set_length(scratch, &own, h->l4 + size);
		net_put16(scratch + h->l3 + 6, (offset & 0xdfff) + done / 8 + more);
		net_write_ip_sum(scratch, &own);
		fn(owner, scratch, own.end);
		done += size;
	} while (done < data);
}
