/* SPDX-License-Identifier: Apache-2.0 */
/* A network adapter as its guest's driver uses it: start, frames both ways, offloads, link, moves. */
#include "abi/vmbus.h"
#include "harness.h"
#include "miniguest/mininic.h"
#include "net/finish.h"
#include "net/frame.h"
#include "vsp/netvsp/rss.h"

static void free_nic(struct mininic **m)
{
	mininic_free(*m);
}
#define NIC __attribute__((cleanup(free_nic))) struct mininic *

static const u8 other_mac[6] = { 0x02, 1, 2, 3, 4, 5 };
static struct mininic_frame got[64];

/* Ethernet, IPv4, TCP and `data` bytes of a pattern; sums are right. Its size. */
static u32 make_tcp(u8 *frame, bool to_guest, u32 data)
{
	u32 size = 54 + data;
	struct net_headers h;

	memset(frame, 0, 54);
	memcpy(frame, to_guest ? mininic_mac : other_mac, 6);
	memcpy(frame + 6, to_guest ? other_mac : mininic_mac, 6);
	net_put16(frame + 12, ETH_TYPE_IP4);
	frame[14] = 0x45;
	net_put16(frame + 16, size - 14);
	frame[22] = 64;
	frame[23] = IP_PROTO_TCP;
	net_put32(frame + 26, 0x0a090001);
	net_put32(frame + 30, 0x0a090002);
	net_put16(frame + 34, 5001);
	net_put16(frame + 36, 40000);
	frame[46] = 0x50;
	for (u32 k = 0; k < data; k++)
		frame[54 + k] = (u8)(k * 7 + k / 251);
	net_find_headers(frame, size, &h);
	net_write_ip_sum(frame, &h);
	net_write_tcp_sum(frame, &h);
	return size;
}

/* The same with TCP's sum left open, as a sender with offloads has it. */
static u32 make_open_tcp(u8 *frame, bool to_guest, u32 data)
{
	u32 size = make_tcp(frame, to_guest, data);
	struct net_headers h;

	net_find_headers(frame, size, &h);
	net_write_tcp_partial(frame, &h);
	return size;
}

static bool sums_are_right(u8 *frame, u32 size)
{
	u8 tcp[2], ip[2];
	struct net_headers h;

	CHECK(net_find_headers(frame, size, &h));
	memcpy(tcp, frame + h.l4 + 16, 2);
	memcpy(ip, frame + 24, 2);
	net_write_ip_sum(frame, &h);
	net_write_tcp_sum(frame, &h);
	CHECK_MEM(frame + h.l4 + 16, tcp, 2);
	CHECK_MEM(frame + 24, ip, 2);
	return true;
}

/* ---- the start ---- */

TEST(adapter_starts_at_each_version_and_refuses_others)
{
	static const u32 versions[] = { NVSP_1, NVSP_2, NVSP_4, NVSP_5, NVSP_6, NVSP_6_1 };

	for (unsigned k = 0; k < ARRAY_COUNT(versions); k++) {
		NIC m = mininic_new(0, false);
		struct nvsp_message later = { .type = le32_of(NVSP_INIT),
					      .init = { le32_of(0x70000),
							le32_of(0x70000) } };

		m->version = versions[k];
		ASSERT(mininic_start(m));
		ASSERT_EQ(m->section_size, 6144);
		ASSERT(mininic_ask(m, &later));
		ASSERT(le32_get(later.init_complete.status) != NVSP_OK);
	}
}

TEST(guest_is_told_what_linux_asks_for)
{
	NIC m = mininic_new(3, false);
	struct ndis_offload o;
	struct ndis_rss_capabilities rss;
	u8 mac[6], text[64];
	le32 number;
	u32 size;

	ASSERT(mininic_start(m));
	size = sizeof mac;
	ASSERT_EQ(mininic_query(m, OID_PERMANENT_ADDRESS, mac, &size), RNDIS_OK);
	ASSERT_EQ(size, 6);
	ASSERT_MEM(mac, mininic_mac, 6);
	size = sizeof number;
	ASSERT_EQ(mininic_query(m, OID_MEDIA_CONNECT_STATUS, &number, &size), RNDIS_OK);
	ASSERT_EQ(le32_get(number), 0);
	ASSERT_EQ(mininic_query(m, OID_MAXIMUM_FRAME_SIZE, &number, &size), RNDIS_OK);
	ASSERT_EQ(le32_get(number), 9000);
	size = sizeof text;
	ASSERT_EQ(mininic_query(m, OID_FRIENDLY_NAME, text, &size), RNDIS_OK);
	ASSERT_EQ(size, 30);
	size = sizeof o;
	ASSERT_EQ(mininic_query(m, (u32)OID_OFFLOAD_CAPABILITIES, &o, &size), RNDIS_OK);
	ASSERT_EQ(size, 156);
	ASSERT_EQ(o.header.type, NDIS_OFFLOAD);
	ASSERT_EQ(le16_get(o.header.size), 156);
	ASSERT_EQ(le32_get(o.sum_ipv4.send) & 0x14, 0x14);
	ASSERT_EQ(le32_get(o.sum_ipv6.send) & 0x15, 0x15);
	ASSERT_EQ(le32_get(o.lso_ipv4.encapsulation) & 2, 2);
	ASSERT_EQ(le32_get(o.lso_ipv6.options), 5);
	ASSERT_EQ(o.rsc_ipv4 & o.rsc_ipv6, 1);
	size = sizeof rss;
	ASSERT_EQ(mininic_query(m, OID_RSS_CAPABILITIES, &rss, &size), RNDIS_OK);
	ASSERT_EQ(le32_get(rss.queues), 4);
	size = sizeof text;
	ASSERT_EQ(mininic_query(m, 0x0dead0, text, &size), RNDIS_NOT_SUPPORTED);
}

TEST(keep_alive_reset_and_halt_are_known)
{
	const struct rndis_keep_alive alive = {
		{ le32_of(RNDIS_KEEP_ALIVE), le32_of(12) }, le32_of(9)
	};
	const struct rndis_header reset = { le32_of(RNDIS_RESET), le32_of(12) };
	const struct rndis_header halt = { le32_of(RNDIS_HALT), le32_of(12) };
	NIC m = mininic_new(0, false);
	u8 reply[512], frame[100] = { 0 }, message[12];

	ASSERT(mininic_start(m));
	ASSERT_EQ(mininic_control(m, &alive, sizeof alive, reply), 16);
	ASSERT_EQ(reply[0], RNDIS_KEEP_ALIVE);
	ASSERT_EQ(reply[8], 9);
	memcpy(message, &reset, sizeof reset);
	ASSERT_EQ(mininic_control(m, message, 12, reply), 16);
	ASSERT_EQ(reply[0], RNDIS_RESET);
	/* The filter is gone: nothing comes. */
	memset(frame, 0xff, 6);
	ASSERT(mininic_arrive(m, NULL, frame, sizeof frame));
	ASSERT_EQ(mininic_take(m, &m->channel, got, 64), 0);
	memcpy(message, &halt, sizeof halt);
	ASSERT_EQ(mininic_control(m, message, 12, reply), 0);
	/* Nothing is sent before it begins again. */
	memcpy(frame + 6, mininic_mac, 6);
	u8 rndis[200];
	u32 size = mininic_make(rndis, frame, sizeof frame, NULL, 0);
	ASSERT_EQ(mininic_send_section(m, 0, rndis, size), NVSP_FAILED);
}

/* ---- sending ---- */

TEST(frames_in_a_section_and_in_pages_come_out_at_the_wire)
{
	NIC m = mininic_new(0, false);
	u8 frame[1514], rndis[4096], wire[2048];
	u32 size, a, b;

	ASSERT(mininic_start(m));
	size = make_tcp(frame, false, 1000);
	a = mininic_make(rndis, frame, size, NULL, 0);
	ASSERT_EQ(mininic_send_section(m, 3, rndis, a), NVSP_OK);
	ASSERT_EQ(mininic_wire(m, wire, sizeof wire), 10 + size);
	ASSERT_MEM(wire + 10, frame, size);
	ASSERT_EQ(mininic_send_pages(m, rndis, a), NVSP_OK);
	ASSERT_EQ(mininic_wire(m, wire, sizeof wire), 10 + size);
	ASSERT_MEM(wire + 10, frame, size);
	/* Two in one section, the second at the next multiple of 8. */
	size = make_tcp(frame, false, 3);
	a = mininic_make(rndis, frame, size, NULL, 0);
	b = (a + 7) & ~7u;
	memcpy(rndis + b, rndis, a);
	ASSERT_EQ(mininic_send_section(m, 0, rndis, b + a), NVSP_OK);
	ASSERT_EQ(mininic_wire(m, wire, sizeof wire), 10 + size);
	ASSERT_EQ(mininic_wire(m, wire, sizeof wire), 10 + size);
	ASSERT_MEM(wire + 10, frame, size);
	ASSERT_EQ(mininic_wire(m, wire, sizeof wire), 0);
}

TEST(sums_segments_and_tags_that_a_guest_asks_for_are_said_to_the_port)
{
	NIC m = mininic_new(0, false);
	static u8 frame[66000], rndis[66200], wire[66100];
	struct mininic_info infos[2] = {
		{ RNDIS_INFO_CHECKSUM, RNDIS_SEND_IPV4 | RNDIS_SEND_TCP | 34 << 16 },
		{ RNDIS_INFO_VLAN, 5 | 77 << 4 },
	};
	struct virtio_net_hdr todo;
	struct net_headers h;
	u32 size, all;

	ASSERT(mininic_start(m));
	size = make_open_tcp(frame, false, 200);
	all = mininic_make(rndis, frame, size, infos, 1);
	ASSERT_EQ(mininic_send_section(m, 0, rndis, all), NVSP_OK);
	ASSERT_EQ(mininic_wire(m, wire, sizeof wire), 10 + size);
	memcpy(&todo, wire, 10);
	ASSERT_EQ(todo.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	ASSERT_EQ(todo.csum_start, 34);
	ASSERT_EQ(todo.csum_offset, 16);
	ASSERT(net_finish_sum(wire + 10, size, &todo));
	ASSERT_OK(sums_are_right(wire + 10, size));
	/* With a tag. */
	all = mininic_make(rndis, frame, size, infos, 2);
	ASSERT_EQ(mininic_send_section(m, 0, rndis, all), NVSP_OK);
	ASSERT_EQ(mininic_wire(m, wire, sizeof wire), 14 + size);
	memcpy(&todo, wire, 10);
	ASSERT_EQ(todo.csum_start, 38);
	ASSERT_EQ(net_get16(wire + 22), 0x8100);
	ASSERT_EQ(net_get16(wire + 24), 5 << 13 | 77);
	ASSERT_MEM(wire + 26, frame + 12, size - 12);
	/* Large: Linux leaves length and sums of IP open, and TCP's is without a length. */
	size = make_open_tcp(frame, false, 60000);
	memset(frame + 16, 0, 2);
	memset(frame + 24, 0, 2);
	infos[0] =
		(struct mininic_info){ RNDIS_INFO_LSO, 1448 | 34 << 20 | RNDIS_LSO_V2 };
	all = mininic_make(rndis, frame, size, infos, 1);
	ASSERT_EQ(mininic_send_pages(m, rndis, all), NVSP_OK);
	ASSERT_EQ(mininic_wire(m, wire, sizeof wire), 10 + size);
	memcpy(&todo, wire, 10);
	ASSERT_EQ(todo.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	ASSERT_EQ(todo.gso_size, 1448);
	ASSERT_EQ(todo.hdr_len, 54);
	ASSERT(net_find_headers(wire + 10, size, &h));
	ASSERT_EQ(h.end, size);
	ASSERT(net_finish_sum(wire + 10, size, &todo));
	ASSERT_OK(sums_are_right(wire + 10, size));
	ASSERT_MEM(wire + 10 + 54, frame + 54, 60000);
}

TEST(frames_from_anothers_address_are_dropped_unless_that_is_allowed)
{
	for (unsigned spoofing = 0; spoofing < 2; spoofing++) {
		NIC m = mininic_new(0, spoofing);
		u8 frame[200], rndis[400], wire[400];
		u32 size = make_tcp(frame, false, 20), all;

		frame[11] ^= 1;
		ASSERT(mininic_start(m));
		all = mininic_make(rndis, frame, size, NULL, 0);
		ASSERT_EQ(mininic_send_section(m, 0, rndis, all), NVSP_OK);
		ASSERT_EQ(mininic_wire(m, wire, sizeof wire), spoofing ? 10 + size : 0);
	}
}

TEST(guest_may_take_another_address_where_it_may_send_from_it)
{
	for (unsigned spoofing = 0; spoofing < 2; spoofing++) {
		NIC m = mininic_new(0, spoofing);
		static const char name[] = "NetworkAddress", value[] = "0a1B2c3d4E5f";
		static const u8 wanted[6] = { 0x0a, 0x1b, 0x2c, 0x3d, 0x4e, 0x5f };
		struct rndis_config_parameter p = {
			.name_offset = le32_of(sizeof p),
			.name_size = le32_of(28),
			.type = le32_of(2),
			.value_offset = le32_of(sizeof p + 28),
			.value_size = le32_of(24),
		};
		u8 set[sizeof p + 52] = { 0 }, mac[6];
		u32 size = 6;

		memcpy(set, &p, sizeof p);
		for (unsigned k = 0; k < 14; k++)
			set[sizeof p + 2 * k] = (u8)name[k];
		for (unsigned k = 0; k < 12; k++)
			set[sizeof p + 28 + 2 * k] = (u8)value[k];
		ASSERT(mininic_start(m));
		ASSERT_EQ(mininic_set(m, OID_CONFIG_PARAMETER, set, sizeof set),
			  spoofing ? RNDIS_OK : RNDIS_FAILED);
		ASSERT_EQ(mininic_query(m, OID_CURRENT_ADDRESS, mac, &size), RNDIS_OK);
		ASSERT_MEM(mac, spoofing ? wanted : mininic_mac, 6);
	}
}

TEST(packets_that_the_port_has_no_room_for_wait_and_are_answered_then)
{
	NIC m = mininic_new(0, false);
	static u8 frame[1514], rndis[2000], wire[2000];
	struct nvsp_message message = { .type = le32_of(NVSP_RNDIS) };
	unsigned sent = 0, answered = 0, arrived = 0;
	u32 size, all;

	ASSERT(mininic_start(m));
	size = make_tcp(frame, false, 1400);
	all = mininic_make(rndis, frame, size, NULL, 0);
	memcpy(mini_page(m->mini, m->send_page), rndis, all);
	message.rndis.section_size = le32_of(all);
	/* Until the ring takes no more: the host stopped reading when the socket was full. */
	while (sent < 5000 && mini_send(&m->channel, VMBUS_PACKET_INBAND, 1, 1000 + sent,
					&message, sizeof message, 16)) {
		sent++;
		while (mini_receive(&m->channel, wire, sizeof wire))
			answered++;
	}
	ASSERT(sent < 5000);
	ASSERT(answered < sent);
	for (unsigned turn = 0; turn < 1000 && arrived < sent; turn++) {
		while (mininic_wire(m, wire, sizeof wire))
			arrived++;
		mininic_turn(m);
		while (mini_receive(&m->channel, wire, sizeof wire))
			answered++;
	}
	ASSERT_EQ(arrived, sent);
	ASSERT_EQ(answered, sent);
}

TEST(answer_to_one_small_packet_is_told_with_the_frame_that_comes_back_or_soon)
{
	NIC m = mininic_new(0, false);
	struct nvsp_message message = { .type = le32_of(NVSP_RNDIS) };
	u8 frame[200], rndis[400];
	u32 size = make_tcp(frame, false, 1), all, told;

	ASSERT(mininic_start(m));
	all = mininic_make(rndis, frame, size, NULL, 0);
	memcpy(mini_page(m->mini, m->send_page), rndis, all);
	message.rndis.section_size = le32_of(all);
	told = m->mini->flag[m->channel.relid];
	/* The answer is in the ring, but nobody says so, until time has gone by. */
	ASSERT(mini_send(&m->channel, VMBUS_PACKET_INBAND, 1, 5, &message, sizeof message,
			 16));
	ASSERT_EQ(m->mini->flag[m->channel.relid], told);
	mininic_advance(m, 250000);
	ASSERT_EQ(m->mini->flag[m->channel.relid], told + 1);
	ASSERT(mini_receive(&m->channel, rndis, sizeof rndis) > 0);
	/* Or a frame comes: one signal for both. */
	ASSERT(mini_send(&m->channel, VMBUS_PACKET_INBAND, 1, 5, &message, sizeof message,
			 16));
	ASSERT_EQ(m->mini->flag[m->channel.relid], told + 1);
	make_tcp(frame, true, 1);
	ASSERT(mininic_arrive(m, NULL, frame, size));
	ASSERT_EQ(m->mini->flag[m->channel.relid], told + 2);
	mininic_advance(m, 250000);
	ASSERT_EQ(m->mini->flag[m->channel.relid], told + 2);
	/* A second packet before that is told as ever. */
	while (mini_receive(&m->channel, rndis, sizeof rndis))
		;
	for (unsigned k = 0; k < 2; k++)
		ASSERT(mini_send(&m->channel, VMBUS_PACKET_INBAND, 1, 5, &message,
				 sizeof message, 16));
	ASSERT_EQ(m->mini->flag[m->channel.relid], told + 3);
}

/* ---- receiving ---- */

TEST(frame_that_arrives_comes_to_the_guest_as_the_filter_has_it)
{
	NIC m = mininic_new(0, false);
	u8 frame[1514];
	u32 size = make_tcp(frame, true, 500);

	ASSERT(mininic_start(m));
	ASSERT(mininic_arrive(m, NULL, frame, size));
	ASSERT_EQ(mininic_take(m, &m->channel, got, 64), 1);
	ASSERT_EQ(got[0].size, size);
	ASSERT_MEM(got[0].bytes, frame, size);
	ASSERT(!got[0].has_sum);
	ASSERT(mininic_return(&m->channel, got[0].transaction));
	/* For everybody, for many, for another. */
	memset(frame, 0xff, 6);
	ASSERT(mininic_arrive(m, NULL, frame, size));
	ASSERT_EQ(mininic_take(m, &m->channel, got, 64), 1);
	frame[1] = 0;
	ASSERT(mininic_arrive(m, NULL, frame, size));
	ASSERT_EQ(mininic_take(m, &m->channel, got, 64), 1);
	memcpy(frame, other_mac, 6);
	ASSERT(mininic_arrive(m, NULL, frame, size));
	ASSERT_EQ(mininic_take(m, &m->channel, got, 64), 0);
	/* The smallest, and the largest of MTU 1500 with a tag. */
	memset(frame, 0xff, 6);
	ASSERT(mininic_arrive(m, NULL, frame, 14));
	ASSERT_EQ(mininic_take(m, &m->channel, got, 64), 1);
	ASSERT_EQ(got[0].size, 14);
}

TEST(sums_that_a_sender_left_open_are_right_in_the_guest)
{
	NIC m = mininic_new(0, false);
	static u8 frame[66000];
	struct virtio_net_hdr todo = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				       .csum_start = 34,
				       .csum_offset = 16 };

	ASSERT(mininic_start(m));
	for (u32 data = 1; data < 66000 - 54; data = data * 3 + 1) {
		u32 size = make_open_tcp(frame, true, data);

		todo.gso_type = data > 1448 ? VIRTIO_NET_HDR_GSO_TCPV4 : 0;
		todo.gso_size = 1448;
		ASSERT(mininic_arrive(m, &todo, frame, size));
		ASSERT_EQ(mininic_take(m, &m->channel, got, 64), 1);
		ASSERT_EQ(got[0].size, size);
		ASSERT_EQ(got[0].sum & RNDIS_RECEIVED_TCP_GOOD, RNDIS_RECEIVED_TCP_GOOD);
		ASSERT_OK(sums_are_right(got[0].bytes, size));
		ASSERT_MEM(got[0].bytes + 54, frame + 54, data);
		ASSERT(mininic_return(&m->channel, got[0].transaction));
	}
}

TEST(large_frame_comes_in_parts_or_in_segments_where_the_guest_takes_none)
{
	static u8 frame[66000];
	const struct virtio_net_hdr todo = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					     .csum_start = 34,
					     .csum_offset = 16,
					     .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
					     .gso_size = 1448,
					     .hdr_len = 54 };

	for (unsigned parts = 0; parts < 2; parts++) {
		NIC m = mininic_new(0, false);
		u32 size = make_open_tcp(frame, true, 60000), at = 0;
		unsigned n;

		if (!parts)
			m->can = NVSP_CAN_8021Q;
		ASSERT(mininic_start(m));
		ASSERT(mininic_arrive(m, &todo, frame, size));
		n = mininic_take(m, &m->channel, got, 64);
		ASSERT_EQ(n, parts ? 1 : (60000 + 1447) / 1448);
		for (unsigned k = 0; k < n; k++) {
			ASSERT(parts || got[k].parts == 1);
			ASSERT(parts || got[k].size <= 1502);
			ASSERT_OK(sums_are_right(got[k].bytes, got[k].size));
			ASSERT_MEM(got[k].bytes + 54, frame + 54 + at, got[k].size - 54);
			at += got[k].size - 54;
		}
		ASSERT_EQ(at, 60000);
	}
}

TEST(linux_may_switch_coalescing_off_but_not_by_its_first_word)
{
	NIC m = mininic_new(0, false);
	static u8 frame[8000];
	const struct virtio_net_hdr todo = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					     .csum_start = 34,
					     .csum_offset = 16,
					     .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
					     .gso_size = 1448 };
	u8 set[28] = { NDIS_OFFLOAD, 3, 28 };
	u32 size = make_open_tcp(frame, true, 4000);

	ASSERT(mininic_start(m));
	set[NDIS_SET_SUM_IPV4] = set[NDIS_SET_RSC4] = set[NDIS_SET_RSC6] = NDIS_OFF;
	for (unsigned k = 0; k < 2; k++) {
		ASSERT_EQ(mininic_set(m, (u32)OID_OFFLOAD_PARAMETERS, set, sizeof set),
			  RNDIS_OK);
		ASSERT(mininic_arrive(m, &todo, frame, size));
		ASSERT_EQ(mininic_take(m, &m->channel, got, 64), k == 0 ? 1 : 3);
	}
	set[NDIS_SET_RSC4] = set[NDIS_SET_RSC6] = NDIS_RSC_ON;
	ASSERT_EQ(mininic_set(m, (u32)OID_OFFLOAD_PARAMETERS, set, sizeof set), RNDIS_OK);
	ASSERT(mininic_arrive(m, &todo, frame, size));
	ASSERT_EQ(mininic_take(m, &m->channel, got, 64), 1);
}

TEST(tag_of_a_frame_is_said_beside_it)
{
	for (unsigned parts = 0; parts < 2; parts++) {
		NIC m = mininic_new(0, false);
		u8 frame[1518], tagged[1518];
		u32 size = make_open_tcp(frame, true, 1000);
		struct virtio_net_hdr todo = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					       .csum_start = 38,
					       .csum_offset = 16 };

		if (!parts)
			m->can = 0;
		ASSERT(mininic_start(m));
		memcpy(tagged, frame, 12);
		net_put16(tagged + 12, 0x8100);
		net_put16(tagged + 14, 3 << 13 | 1 << 12 | 1234);
		memcpy(tagged + 16, frame + 12, size - 12);
		ASSERT(mininic_arrive(m, &todo, tagged, size + 4));
		ASSERT_EQ(mininic_take(m, &m->channel, got, 64), 1);
		ASSERT_EQ(got[0].size, size);
		ASSERT(got[0].has_vlan);
		ASSERT_EQ(got[0].vlan, 3 | 1 << 3 | 1234 << 4);
		ASSERT_OK(sums_are_right(got[0].bytes, size));
		ASSERT_MEM(got[0].bytes + 54, frame + 54, 1000);
	}
}

TEST(jumbo_frames_come_and_go_at_mtu_9000)
{
	NIC m = mininic_new(0, false);
	static u8 frame[9018], rndis[9100], wire[9100];
	u32 size, all;

	m->mtu = 9014;
	ASSERT(mininic_start(m));
	ASSERT(m->sub_size >= 9014 + 112);
	size = make_tcp(frame, true, 8960);
	ASSERT_EQ(size, 9014);
	ASSERT(mininic_arrive(m, NULL, frame, size));
	ASSERT_EQ(mininic_take(m, &m->channel, got, 64), 1);
	ASSERT_EQ(got[0].parts, 1);
	ASSERT_MEM(got[0].bytes, frame, size);
	size = make_tcp(frame, false, 8960);
	all = mininic_make(rndis, frame, size, NULL, 0);
	ASSERT_EQ(mininic_send_pages(m, rndis, all), NVSP_OK);
	ASSERT_EQ(mininic_wire(m, wire, sizeof wire), 10 + size);
	ASSERT_MEM(wire + 10, frame, size);
}

TEST(guest_that_gives_nothing_back_gets_what_there_is_and_drops_are_counted)
{
	NIC m = mininic_new(0, false);
	u8 frame[600];
	static char text[65536];
	u32 size = make_tcp(frame, true, 500);
	unsigned came = 0, k;
	struct inspect out = { .text = text, .size = sizeof text };

	ASSERT(mininic_start(m));
	/* It reads its ring, but keeps the buffers. */
	for (k = 0; k < 3000; k++) {
		if (!mininic_arrive(m, NULL, frame, size))
			mininic_advance(m, NETVSP_STALL_NS + 1);
		came += mininic_take(m, &m->channel, got, 64);
	}
	ASSERT(came > 0);
	ASSERT(came <= m->sub_count);
	mininic_advance(m, NETVSP_STALL_NS + 1);
	netvsp_inspect(m->netvsp, "nic.0", &out);
	ASSERT(strstr(text, "nic.0.stalls: ") != NULL);
	ASSERT(strstr(text, "nic.0.dropped_no_buffer: 0\n") == NULL);
	/* It gives one back, and is served. */
	ASSERT(mininic_return(&m->channel, got[0].transaction));
	for (k = 0; k < 200; k++)
		mininic_return(&m->channel, k + 1);
	ASSERT(mininic_arrive(m, NULL, frame, size));
	ASSERT_EQ(mininic_take(m, &m->channel, got, 64), 1);
}

TEST(guest_that_never_reads_its_ring_costs_nothing_and_drops_are_counted)
{
	NIC m = mininic_new(0, false);
	static char text[65536];
	struct inspect out = { .text = text, .size = sizeof text };
	static u8 frame[66000];
	const struct virtio_net_hdr todo = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					     .csum_start = 34,
					     .csum_offset = 16,
					     .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
					     .gso_size = 1448 };
	u32 size = make_open_tcp(frame, true, 65000);

	ASSERT(mininic_start(m));
	for (unsigned k = 0; k < 2000; k++)
		if (!mininic_arrive(m, &todo, frame, size))
			mininic_advance(m, NETVSP_STALL_NS + 1);
	netvsp_inspect(m->netvsp, "nic.0", &out);
	ASSERT(strstr(text, "nic.0.dropped_no_buffer: 0\n") == NULL);
	ASSERT(strstr(text, "nic.0.bad_returns: 0\n") != NULL);
}

/* ---- receive side scaling ---- */

/* Microsoft's own example of the hash. */
TEST(toeplitz_hashes_are_those_of_the_specification)
{
	static const u8 key[40] = { 0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2,
				    0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
				    0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4,
				    0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
				    0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa };
	struct rss rss = { .on = true, .types = NDIS_HASH_TCP4 | NDIS_HASH_IPV4 };
	u8 frame[64] = { [12] = 8, 0, 0x45, [23] = 6 };
	u32 hash;

	memcpy(rss.key, key, sizeof key);
	net_put32(frame + 26, 66u << 24 | 9 << 16 | 149 << 8 | 187);
	net_put32(frame + 30, 161u << 24 | 142 << 16 | 100 << 8 | 80);
	net_put16(frame + 34, 2794);
	net_put16(frame + 36, 1766);
	ASSERT(rss_hash(&rss, frame, 64, &hash));
	ASSERT_EQ(hash, 0x51ccc178);
	rss.types = NDIS_HASH_IPV4;
	ASSERT(rss_hash(&rss, frame, 64, &hash));
	ASSERT_EQ(hash, 0x323e8fc2);
	/* Cut short, or something else. */
	ASSERT(!rss_hash(&rss, frame, 30, &hash));
	frame[13] = 6;
	ASSERT(!rss_hash(&rss, frame, 64, &hash));
}

static bool open_sub_channels(struct mininic *m, struct mini_channel *sub, unsigned count)
{
	struct nvsp_message ask = { .type = le32_of(NVSP_SUB_CHANNELS),
				    .sub_channels = { le32_of(1), le32_of(count) } };
	struct vmbus_offer_message offer[3];

	CHECK(count <= ARRAY_COUNT(offer) && mininic_ask(m, &ask));
	CHECK_EQ(le32_get(ask.sub_channels_complete.status), NVSP_OK);
	CHECK_EQ(le32_get(ask.sub_channels_complete.count), count);
	for (unsigned k = 0; k < count; k++)
		CHECK(mini_take_offer(m->mini, &offer[k]));
	for (unsigned k = 0; k < count; k++) {
		CHECK_EQ(le16_get(offer[k].sub_index), k + 1);
		CHECK(mini_open(m->mini, le32_get(offer[k].relid), 16, 16, &sub[k]));
	}
	return true;
}

static u32 set_rss(struct mininic *m, unsigned channels)
{
	struct ndis_rss_parameters p = {
		.header = { NDIS_RSS_PARAMETERS, 2, le16_of(sizeof p) },
		.hash = le32_of(NDIS_RSS_TOEPLITZ | NDIS_HASH_TCP4 | NDIS_HASH_IPV4),
		.table_size = le16_of(512),
		.table_offset = le32_of(sizeof p),
		.key_size = le16_of(40),
		.key_offset = le32_of(sizeof p + 512),
	};
	u8 set[sizeof p + 552];

	memcpy(set, &p, sizeof p);
	for (u32 k = 0; k < 128; k++)
		memcpy(set + sizeof p + 4 * k, &(u32){ k % channels }, 4);
	for (u32 k = 0; k < 40; k++)
		set[sizeof p + 512 + k] = (u8)(k * 37 + 11);
	return mininic_set(m, OID_RSS_PARAMETERS, set, sizeof set);
}

TEST(flows_spread_over_the_sub_channels_and_each_stays_where_it_is)
{
	NIC m = mininic_new(3, false);
	struct mini_channel sub[3];
	struct nvsp_indirection_table table;
	u8 frame[200], bytes[512];
	u32 size = make_tcp(frame, true, 50);
	unsigned in_channel[4] = { 0 };

	ASSERT(mininic_start(m));
	ASSERT_OK(open_sub_channels(m, sub, 3));
	/* How it shall spread what it sends. */
	mininic_turn(m);
	ASSERT_EQ(mini_receive(&m->channel, bytes, sizeof bytes), 16 + sizeof table);
	memcpy(&table, bytes + 16, sizeof table);
	ASSERT_EQ(le32_get(table.header.type), NVSP_INDIRECTION_TABLE);
	ASSERT_EQ(le32_get(table.channel[7]), 3);
	ASSERT_EQ(set_rss(m, 4), RNDIS_OK);
	for (unsigned k = 0; k < 256; k++) {
		unsigned first = 4;

		for (unsigned again = 0; again < 2; again++) {
			net_put16(frame + 36, 30000 + k);
			ASSERT(mininic_arrive(m, NULL, frame, size));
			for (unsigned c = 0; c < 4; c++) {
				struct mini_channel *channel = c ? &sub[c - 1]
								 : &m->channel;

				if (mininic_take(m, channel, got, 64) == 0)
					continue;
				ASSERT(got[0].has_hash);
				ASSERT_EQ(got[0].hash % 4, c);
				ASSERT(again == 0 || first == c);
				first = c;
				in_channel[c]++;
				ASSERT(mininic_return(channel, got[0].transaction));
			}
		}
		ASSERT(first < 4);
	}
	for (unsigned c = 0; c < 4; c++)
		ASSERT(in_channel[c] > 64);
	/* More than there can be, and twice: refused. */
	ASSERT_EQ(set_rss(m, 5), RNDIS_INVALID_DATA);
	struct nvsp_message ask = { .type = le32_of(NVSP_SUB_CHANNELS),
				    .sub_channels = { le32_of(1), le32_of(1) } };
	ASSERT(mininic_ask(m, &ask));
	ASSERT(le32_get(ask.sub_channels_complete.status) != NVSP_OK);
}

/* ---- link ---- */

TEST(link_changes_are_told_five_seconds_apart_and_the_last_one_counts)
{
	NIC m = mininic_new(0, false);
	struct rndis_indicate i;
	u8 heard[512], frame[100] = { 0 }, rndis[200], wire[200];
	u32 size;

	ASSERT(mininic_start(m));
	netvsp_link(m->netvsp, false);
	ASSERT_EQ(mininic_heard(m, heard), sizeof i);
	memcpy(&i, heard, sizeof i);
	ASSERT_EQ(le32_get(i.status), RNDIS_MEDIA_DISCONNECT);
	/* Without a link nothing goes out, and what is sent is answered. */
	memcpy(frame + 6, mininic_mac, 6);
	size = mininic_make(rndis, frame, sizeof frame, NULL, 0);
	ASSERT_EQ(mininic_send_section(m, 0, rndis, size), NVSP_OK);
	ASSERT_EQ(mininic_wire(m, wire, sizeof wire), 0);
	netvsp_link(m->netvsp, true);
	netvsp_link(m->netvsp, false);
	netvsp_link(m->netvsp, true);
	ASSERT_EQ(mininic_heard(m, heard), 0);
	mininic_advance(m, NETVSP_LINK_NS - 1);
	ASSERT_EQ(mininic_heard(m, heard), 0);
	mininic_advance(m, 1);
	ASSERT_EQ(mininic_heard(m, heard), sizeof i);
	memcpy(&i, heard, sizeof i);
	ASSERT_EQ(le32_get(i.status), RNDIS_MEDIA_CONNECT);
	mininic_advance(m, 3 * NETVSP_LINK_NS);
	ASSERT_EQ(mininic_heard(m, heard), 0);
	/* The other side of the port goes. */
	close(m->wire);
	mininic_turn(m);
	ASSERT_EQ(mininic_heard(m, heard), sizeof i);
	memcpy(&i, heard, sizeof i);
	ASSERT_EQ(le32_get(i.status), RNDIS_MEDIA_DISCONNECT);
	m->wire = -1;
}

/* ---- moves ---- */

TEST(adapter_goes_on_elsewhere_in_the_middle_of_traffic_and_its_address_is_announced)
{
	NIC m = mininic_new(3, false);
	struct mini_channel sub[3];
	u8 frame[200], rndis[400], wire[400], bytes[512];
	u32 size = make_tcp(frame, true, 50), all;
	static char before[65536], after[65536];
	struct inspect out = { .text = before, .size = sizeof before };
	u64 held;

	ASSERT(mininic_start(m));
	ASSERT_OK(open_sub_channels(m, sub, 3));
	mininic_turn(m);
	ASSERT(mini_receive(&m->channel, bytes, sizeof bytes) > 0);
	ASSERT_EQ(set_rss(m, 4), RNDIS_OK);
	/* One frame is the guest's, one lies in a ring. */
	net_put16(frame + 36, 1);
	ASSERT(mininic_arrive(m, NULL, frame, size));
	net_put16(frame + 36, 2);
	ASSERT(mininic_arrive(m, NULL, frame, size));
	unsigned took = 0, where = 0;
	for (unsigned c = 0; c < 4 && took == 0; c++, where = took ? where : c)
		took = mininic_take(m, c ? &sub[c - 1] : &m->channel, got, 1);
	ASSERT_EQ(took, 1);
	held = got[0].transaction;
	netvsp_inspect(m->netvsp, "nic.0", &out);
	ASSERT(mininic_move(m));
	out = (struct inspect){ .text = after, .size = sizeof after };
	netvsp_inspect(m->netvsp, "nic.0", &out);
	ASSERT(strstr(after, "version: 6.1") != NULL);
	ASSERT(strstr(after, "buffers_free: 1024") == NULL ||
	       strstr(before, "buffers_free: 1024") != NULL);
	/* Everybody is told where it is now, three times. */
	for (unsigned k = 0; k < 3; k++) {
		ASSERT_EQ(mininic_wire(m, wire, sizeof wire), 70);
		ASSERT_EQ(net_get16(wire + 10 + 12), 0x8035);
		ASSERT_MEM(wire + 10 + 6, mininic_mac, 6);
		mininic_advance(m, NS_PER_SEC / 10);
	}
	ASSERT_EQ(mininic_wire(m, wire, sizeof wire), 0);
	/* Both ways; the frame in the ring is there, what the guest holds it can give back once. */
	make_tcp(frame, false, 50);
	all = mininic_make(rndis, frame, size, NULL, 0);
	unsigned left = 0;
	for (unsigned c = 0; c < 4; c++)
		left += mininic_take(m, c ? &sub[c - 1] : &m->channel, got, 64);
	ASSERT_EQ(left, 1);
	ASSERT_EQ(mininic_send_section(m, 0, rndis, all), NVSP_OK);
	ASSERT_EQ(mininic_wire(m, wire, sizeof wire), 10 + size);
	make_tcp(frame, true, 50);
	net_put16(frame + 36, 1);
	ASSERT(mininic_arrive(m, NULL, frame, size));
	left = 0;
	for (unsigned c = 0; c < 4; c++)
		left += mininic_take(m, c ? &sub[c - 1] : &m->channel, got, 64);
	ASSERT_EQ(left, 1);
	(void)held;
}

TEST(adapter_starts_again_after_its_channel_closed)
{
	NIC m = mininic_new(3, false);
	struct mini_channel sub[3];
	u8 frame[1514];
	u32 size = make_tcp(frame, true, 500);
	struct vmbus_header h;

	for (unsigned k = 0; k < 3; k++) {
		ASSERT(mininic_start(m));
		ASSERT_OK(open_sub_channels(m, sub, 3));
		ASSERT(mininic_arrive(m, NULL, frame, size));
		mini_post(m->mini, VMBUS_UNLOAD, &h, sizeof h);
		mininic_turn(m);
		ASSERT_EQ(vmbus_server_protocol(m->mini->server)->state,
			  VMBUS_DISCONNECTED);
		mini_forget(m->mini);
		netvsp_reset(m->netvsp);
	}
}
