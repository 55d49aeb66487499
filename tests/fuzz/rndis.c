/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RNDIS' state machine and what is said of frames. Rows: a byte of kind, a byte of size, the message.
 * Kind's lowest bit: a control message; else a frame's infos and then its headers.
 */
#include "vsp/netvsp/headers.h"
#include "vsp/netvsp/rndis.h"

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void control(struct rndis *r, const u8 *data, u32 size)
{
	u8 reply[RNDIS_MAX_REPLY];
	struct rndis_header h;
	u32 n = rndis_take(r, data, size, reply);

	require(n <= sizeof reply);
	if (n > 0) {
		memcpy(&h, reply, sizeof h);
		require(le32_get(h.size) == n && le32_get(h.type) & RNDIS_COMPLETE);
	}
	require(r->rss.entries <= NDIS_RSS_ENTRIES);
	for (u32 k = 0; k < r->rss.entries; k++)
		require(r->rss.table[k] < r->queues);
	require(!(r->mac[0] & 1));
}

static void frame(const struct rndis *r, u8 kind, const u8 *data, u32 size)
{
	u32 info_size = (u32)min_u64(kind & 0xf0, size), wire, hash;
	u32 frame_size = (size - info_size) * (kind & 8 ? 700 : 1);
	struct frame_infos infos;
	struct frame_head head = { .size = (u32)min_u64(size - info_size, FRAME_HEAD) };
	struct virtio_net_hdr todo;

	if (!frame_infos_read(data, info_size, &infos) || size - info_size < 14)
		return;
	memcpy(head.bytes + VLAN_TAG, data + info_size, head.size);
	(void)rss_hash(&r->rss, head.bytes + VLAN_TAG, head.size, &hash);
	(void)rndis_wants(r, head.bytes + VLAN_TAG);
	if (!frame_head_finish(&head, frame_size, &infos, &todo, &wire))
		return;
	require(head.start + head.size <= sizeof head.bytes);
	require(wire >= frame_size && wire <= frame_size + VLAN_TAG);
	if (todo.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		require((u32)todo.csum_start + todo.csum_offset + 2 <= wire);
	if (todo.gso_type)
		require(todo.gso_size > 0 && todo.hdr_len < wire);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const struct rndis_counts counts;
	struct rndis r = { .permanent = { 0, 0x15, 0x5d },
			   .mtu = 1500,
			   .queues = 4,
			   .parts = true,
			   .counts = &counts };

	rndis_init(&r);
	while (size >= 2) {
		u8 kind = data[0];
		u32 length = (u32)min_u64(data[1] * 4u, size - 2);

		r.spoofing = kind & 2;
		if (kind & 1)
			control(&r, data + 2, length);
		else
			frame(&r, kind, data + 2, length);
		data += 2 + length;
		size -= 2 + length;
	}
	return 0;
}
