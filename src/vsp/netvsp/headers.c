/* SPDX-License-Identifier: Apache-2.0 */
/* Headers of frames that a guest sends; see headers.h. */
#include "vsp/netvsp/headers.h"

#include "base/checked.h"
#include "net/frame.h"
#include "net/port.h"

#define MAX_INFOS 16
#define ETH_TYPE_VLAN 0x8100u
#define TCP_SUM 16u
#define UDP_SUM 6u
#define TCP_MIN 20u

bool frame_infos_read(const u8 *bytes, u32 size, struct frame_infos *ret_infos)
{
	struct frame_infos infos = { 0 };
	u32 at = 0;

	for (unsigned k = 0; at < size; k++) {
		struct rndis_info info;
		u32 info_size, type, offset;
		le32 value;

		if (k == MAX_INFOS || !range_inside(at, sizeof info, size))
			return false;
		memcpy(&info, bytes + at, sizeof info);
		info_size = le32_get(info.size);
		type = le32_get(info.type);
		offset = le32_get(info.offset);
		if (info_size < sizeof info || !range_inside(at, info_size, size))
			return false;
		if (type == RNDIS_INFO_CHECKSUM || type == RNDIS_INFO_LSO ||
		    type == RNDIS_INFO_VLAN) {
			if (!range_inside(offset, sizeof value, info_size))
				return false;
			memcpy(&value, bytes + at + offset, sizeof value);
		}
		if (type == RNDIS_INFO_CHECKSUM) {
			infos.has_sum = true;
			infos.sum = le32_get(value);
		} else if (type == RNDIS_INFO_LSO) {
			infos.has_lso = true;
			infos.lso = le32_get(value);
		} else if (type == RNDIS_INFO_VLAN) {
			infos.has_vlan = true;
			infos.vlan = le32_get(value);
		}
		at += info_size;
	}
	*ret_infos = infos;
	return true;
}

/* Where IP begins: behind a tag that lies in the frame. */
static u32 find_ip(const u8 *frame, u32 size)
{
	return net_ether_type(frame, size) == ETH_TYPE_VLAN ? ETH_HEADER + VLAN_TAG
							    : ETH_HEADER;
}

/* Where TCP or UDP begins, when the guest does not say; 0: nowhere. */
static u32 find_l4(const u8 *frame, u32 size, u32 l3)
{
	if (size < l3 + 40)
		return 0;
	return frame[l3] >> 4 == 6 ? l3 + 40 : l3 + (frame[l3] & 15u) * 4;
}

static bool ask_for_sum(const u8 *frame, u32 head_size, u32 frame_size, u32 asked,
			struct virtio_net_hdr *todo)
{
	u32 l3 = find_ip(frame, head_size), l4 = asked >> 16 & 0x3ff, at;

	if (asked & RNDIS_SEND_IP_HEADER && asked & RNDIS_SEND_IPV4) {
		const struct net_headers h = { .version = 4,
					       .l3 = l3,
					       .l4 = find_l4(frame, head_size, l3) };

		if (h.l4 < l3 + 20 || h.l4 > head_size)
			return false;
		net_write_ip_sum((u8 *)(uintptr_t)frame, &h);
	}
	if (!(asked & (RNDIS_SEND_TCP | RNDIS_SEND_UDP)))
		return true;
	if (l4 == 0)
		l4 = find_l4(frame, head_size, l3);
	at = asked & RNDIS_SEND_TCP ? TCP_SUM : UDP_SUM;
	if (l4 < l3 + 20 || l4 + at + 2 > frame_size)
		return false;
	todo->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	todo->csum_start = (u16)l4;
	todo->csum_offset = (u16)at;
	return true;
}

/*
 * One large segment: guests leave lengths and sums of its headers open. They become those of the whole,
 * as the kernels on the other side of a port expect them.
 */
static bool ask_for_segments(u8 *frame, u32 head_size, u32 frame_size, u32 asked,
			     struct virtio_net_hdr *todo)
{
	u32 mss = asked & 0xfffff, l3 = find_ip(frame, head_size), payload;
	struct net_headers h = { .version = asked & RNDIS_LSO_IPV6 ? 6 : 4,
				 .proto = IP_PROTO_TCP,
				 .l3 = l3,
				 .l4 = asked >> 20 & 0x3ff,
				 .end = frame_size };

	if (!(asked & RNDIS_LSO_V2) || mss == 0 || mss > UINT16_MAX)
		return false;
	if (h.l4 == 0)
		h.l4 = find_l4(frame, head_size, l3);
	if (h.l4 < l3 + (h.version == 4 ? 20 : 40) || h.l4 + TCP_MIN > head_size ||
	    frame[l3] >> 4 != h.version || frame_size - l3 > UINT16_MAX)
		return false;
	payload = h.l4 + (frame[h.l4 + 12] >> 4) * 4u;
	if (payload < h.l4 + TCP_MIN || payload > head_size || payload >= frame_size)
		return false;
	if (h.version == 4) {
		net_put16(frame + l3 + 2, frame_size - l3);
		net_write_ip_sum(frame, &h);
	} else {
		net_put16(frame + l3 + 4, frame_size - l3 - 40);
	}
	net_write_tcp_partial(frame, &h);
	*todo = (struct virtio_net_hdr){ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					 .csum_start = (u16)h.l4,
					 .csum_offset = TCP_SUM };
	if (frame_size - payload > mss) {
		todo->gso_type = h.version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4
						: VIRTIO_NET_HDR_GSO_TCPV6;
		todo->gso_size = (u16)mss;
		todo->hdr_len = (u16)payload;
	}
	return true;
}

/* NDIS has the priority in the lowest bits, the wire in the highest. */
static void put_tag(struct frame_head *head, u32 vlan, struct virtio_net_hdr *todo)
{
	u32 tag = (vlan & 7) << 13 | (vlan >> 3 & 1) << 12 | (vlan >> 4 & 0xfff);

	memmove(head->bytes, head->bytes + VLAN_TAG, 12);
	net_put16(head->bytes + 12, ETH_TYPE_VLAN);
	net_put16(head->bytes + 14, tag);
	head->start = 0;
	head->size += VLAN_TAG;
	if (todo->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		todo->csum_start += VLAN_TAG;
	if (todo->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		todo->hdr_len += VLAN_TAG;
}

bool frame_head_finish(struct frame_head *head, u32 frame_size,
		       const struct frame_infos *infos, struct virtio_net_hdr *ret_todo,
		       u32 *ret_size)
{
	u8 *frame = head->bytes + VLAN_TAG;

	*ret_todo = (struct virtio_net_hdr){ 0 };
	*ret_size = frame_size;
	head->start = VLAN_TAG;
	if (infos->has_lso) {
		if (!ask_for_segments(frame, head->size, frame_size, infos->lso,
				      ret_todo))
			return false;
	} else if (frame_size > NET_MAX_FRAME - VLAN_TAG) {
		return false;
	} else if (infos->has_sum &&
		   !ask_for_sum(frame, head->size, frame_size, infos->sum, ret_todo)) {
		return false;
	}
	if (infos->has_vlan) {
		put_tag(head, infos->vlan, ret_todo);
		*ret_size += VLAN_TAG;
	}
	return true;
}
