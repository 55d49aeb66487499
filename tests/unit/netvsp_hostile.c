/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that attacks its network adapter: by NVSP, by RNDIS, by the headers of frames, by what it gives
 * back. What holds in all of them: the host lives, answers what has to be answered, and serves the guest
 * when it begins anew. docs/hostile-guest.md has the whole table (cases 7 and 8).
 */
#include "base/log.h"
#include "harness.h"
#include "miniguest/mininic.h"
#include "storm.h"

static void free_nic(struct mininic **m)
{
	mininic_free(*m);
}
#define NIC __attribute__((cleanup(free_nic))) struct mininic *

static u32 random_state = 7;

static u32 next_random(void)
{
	random_state = random_state * 1664525 + 1013904223;
	return random_state >> 8 ^ random_state << 17;
}

/* The guest leaves and comes back: a frame goes each way. */
static bool begins_anew(struct mininic *m)
{
	static struct mininic_frame got;
	u8 frame[100] = { 0 }, rndis[200], wire[200];
	struct vmbus_header h;
	u32 size;

	mini_post(m->mini, VMBUS_UNLOAD, &h, sizeof h);
	mininic_turn(m);
	CHECK_EQ(vmbus_server_protocol(m->mini->server)->state, VMBUS_DISCONNECTED);
	mini_forget(m->mini);
	while (mininic_wire(m, wire, sizeof wire))
		;
	CHECK(mininic_start(m));
	memcpy(frame + 6, mininic_mac, 6);
	size = mininic_make(rndis, frame, sizeof frame, NULL, 0);
	CHECK_EQ(mininic_send_section(m, 0, rndis, size), NVSP_OK);
	CHECK_EQ(mininic_wire(m, wire, sizeof wire), 110);
	memcpy(frame, mininic_mac, 6);
	CHECK(mininic_arrive(m, NULL, frame, sizeof frame));
	CHECK_EQ(mininic_take(m, &m->channel, &got, 1), 1);
	CHECK_EQ(got.size, sizeof frame);
	return true;
}

/* ---- case 7: RNDIS frames ---- */

/* A good frame but for one word of its header. */
static u32 send_with(struct mininic *m, u32 word, u32 value)
{
	u8 frame[100] = { 0 }, rndis[400];
	const struct mininic_info infos[2] = { { RNDIS_INFO_CHECKSUM, 1 }, { 5, 0 } };
	u32 size;

	memcpy(frame + 6, mininic_mac, 6);
	size = mininic_make(rndis, frame, sizeof frame, infos, 2);
	memcpy(rndis + 4 * word, &value, 4);
	return mininic_send_pages(m, rndis, size);
}

TEST(frames_with_offsets_and_lengths_out_of_all_bounds_are_refused_and_answered)
{
	static const u32 values[] = { 0,	  1,	      7,
				      35,	  0x7fffffff, 0x80000000,
				      0xfffffff0, 0xfffffff8, 0xffffffff };
	NIC m = mininic_new(0, false);
	u8 wire[200];

	log_start("test", LOG_ERROR);
	ASSERT(mininic_start(m));
	for (u32 word = 1; word < 9; word++) {
		for (u32 k = 0; k < ARRAY_COUNT(values); k++) {
			u32 status;

			/* Out-of-band data: no one looks at it. Infos of no length are none. */
			if ((word >= 4 && word <= 6) || (word == 8 && values[k] == 0))
				continue;
			/* A shorter frame. */
			if (word == 3 && values[k] == 35)
				continue;
			status = send_with(m, word, values[k]);
			if (status == NVSP_OK)
				FAIL("word %u, value %x", word, values[k]);
			ASSERT_EQ(status, NVSP_BAD_RNDIS);
			ASSERT_EQ(mininic_wire(m, wire, sizeof wire), 0);
		}
	}
	ASSERT_OK(begins_anew(m));
}

TEST(infos_without_length_too_many_or_behind_the_end_are_refused)
{
	static const u32 sizes[] = { 0, 1, 11, 0xfffffffc, 0xffffffff, 17 };
	NIC m = mininic_new(0, false);
	static u8 rndis[20000], frame[100];
	struct mininic_info infos[20];
	u32 size, n;

	log_start("test", LOG_ERROR);
	ASSERT(mininic_start(m));
	memcpy(frame + 6, mininic_mac, 6);
	for (unsigned k = 0; k < ARRAY_COUNT(sizes); k++) {
		infos[0] = (struct mininic_info){ RNDIS_INFO_CHECKSUM, 0 };
		size = mininic_make(rndis, frame, sizeof frame, infos, 1);
		memcpy(rndis + sizeof(struct rndis_packet), &sizes[k], 4);
		ASSERT_EQ(mininic_send_pages(m, rndis, size), NVSP_BAD_RNDIS);
		/* The value's offset. */
		size = mininic_make(rndis, frame, sizeof frame, infos, 1);
		n = sizes[k] < 12 ? 13 : sizes[k];
		memcpy(rndis + sizeof(struct rndis_packet) + 8, &n, 4);
		ASSERT_EQ(mininic_send_pages(m, rndis, size), NVSP_BAD_RNDIS);
	}
	/* Seventeen pieces, and ten thousand bytes of them. */
	memset(infos, 0x33, sizeof infos);
	size = mininic_make(rndis, frame, sizeof frame, infos, 17);
	ASSERT_EQ(mininic_send_pages(m, rndis, size), NVSP_BAD_RNDIS);
	size = mininic_make(rndis, frame, sizeof frame, infos, 0);
	n = 36;
	memcpy(rndis + 28, &n, 4);
	n = 16000;
	memcpy(rndis + 32, &n, 4);
	n = 18000;
	memcpy(rndis + 4, &n, 4);
	ASSERT_EQ(mininic_send_pages(m, rndis, 18000), NVSP_BAD_RNDIS);
	ASSERT_OK(begins_anew(m));
}

TEST(sums_and_segments_that_point_nowhere_are_refused)
{
	NIC m = mininic_new(0, false);
	static const struct mininic_info rows[] = {
		{ RNDIS_INFO_CHECKSUM, RNDIS_SEND_IPV4 | RNDIS_SEND_TCP | 1023u << 16 },
		{ RNDIS_INFO_CHECKSUM, RNDIS_SEND_IPV4 | RNDIS_SEND_TCP | 1u << 16 },
		{ RNDIS_INFO_CHECKSUM, RNDIS_SEND_IPV4 | RNDIS_SEND_UDP | 99u << 16 },
		{ RNDIS_INFO_CHECKSUM, RNDIS_SEND_IPV4 | RNDIS_SEND_IP_HEADER },
		{ RNDIS_INFO_LSO, 0 },
		{ RNDIS_INFO_LSO, RNDIS_LSO_V2 | 34u << 20 },
		{ RNDIS_INFO_LSO, RNDIS_LSO_V2 | 1023u << 20 | 1448 },
		{ RNDIS_INFO_LSO, RNDIS_LSO_V2 | 34u << 20 | 0xfffff },
		{ RNDIS_INFO_LSO, RNDIS_LSO_V2 | RNDIS_LSO_IPV6 | 34u << 20 | 1448 },
	};
	u8 frame[100] = { 0 }, rndis[400], wire[200];

	log_start("test", LOG_ERROR);
	ASSERT(mininic_start(m));
	memcpy(frame + 6, mininic_mac, 6);
	for (unsigned k = 0; k < ARRAY_COUNT(rows); k++) {
		u32 size = mininic_make(rndis, frame, sizeof frame, &rows[k], 1);

		if (mininic_send_section(m, 0, rndis, size) != NVSP_BAD_RNDIS)
			FAIL("row %u", k);
		ASSERT_EQ(mininic_wire(m, wire, sizeof wire), 0);
	}
	ASSERT_OK(begins_anew(m));
}

TEST(sections_and_pages_that_are_not_there_are_refused)
{
	NIC m = mininic_new(0, false);
	struct nvsp_message message = { .type = le32_of(NVSP_RNDIS) };
	const u32 rows[][2] = { { 21, 100 },
				{ 0xfffffffe, 100 },
				{ 0, 6145 },
				{ 0, 0xffffffff },
				{ 20, 6144 + 4096 } };
	u8 packet[80] = { 0 }, bytes[100];

	log_start("test", LOG_ERROR);
	ASSERT(mininic_start(m));
	for (unsigned k = 0; k < ARRAY_COUNT(rows); k++) {
		message.rndis.section = le32_of(rows[k][0]);
		message.rndis.section_size = le32_of(rows[k][1]);
		ASSERT(mini_send(&m->channel, VMBUS_PACKET_INBAND, 1, k, &message,
				 sizeof message, 16));
		ASSERT_EQ(mini_receive(&m->channel, bytes, sizeof bytes), 56);
		ASSERT_EQ(bytes[20], NVSP_BAD_RNDIS);
	}
	/* A page beyond all memory, and none at all. */
	message.rndis.section = le32_of(NVSP_NO_SECTION);
	for (unsigned k = 0; k < 2; k++) {
		const u32 words[] = { 0, 1 - k, 200, 0 };

		memcpy(packet, words, sizeof words);
		memcpy(packet + 16, &(u64){ 0xffffffffffffull }, 8);
		memcpy(packet + 24, &message, sizeof message);
		ASSERT(mini_send(&m->channel, VMBUS_PACKET_GPA_DIRECT, 1, 9, packet, 64,
				 40));
		ASSERT_EQ(mini_receive(&m->channel, bytes, sizeof bytes), 56);
		ASSERT(bytes[20] != NVSP_OK || k == 1);
	}
	ASSERT_OK(begins_anew(m));
}

TEST(control_messages_out_of_all_bounds_get_an_answer_or_none_and_nothing_else)
{
	static const u32 values[] = { 0, 7, 19, 21, 0x7fffffff, 0xfffffff8, 0xffffffff };
	NIC m = mininic_new(3, false);
	u8 reply[512], message[64] = { 0 };
	const struct rndis_request q = { .header = { le32_of(RNDIS_SET), le32_of(48) },
					 .id = le32_of(5),
					 .oid = le32_of(OID_RSS_PARAMETERS),
					 .length = le32_of(20),
					 .offset = le32_of(20) };

	log_start("test", LOG_ERROR);
	ASSERT(mininic_start(m));
	for (u32 oid = 0; oid < 5; oid++) {
		static const u32 oids[] = { OID_RSS_PARAMETERS, OID_CONFIG_PARAMETER,
					    (u32)OID_OFFLOAD_PARAMETERS,
					    OID_PACKET_FILTER, OID_MULTICAST_LIST };

		for (u32 word = 1; word < 12; word++) {
			for (u32 k = 0; k < ARRAY_COUNT(values); k++) {
				memcpy(message, &q, sizeof q);
				memcpy(message + 12, &oids[oid], 4);
				memcpy(message + 4 * word, &values[k], 4);
				(void)mininic_control(m, message, 48, reply);
			}
		}
	}
	for (u32 k = 0; k < 20000; k++) {
		for (u32 n = 0; n < sizeof message; n++)
			message[n] = (u8)next_random();
		memcpy(message, &(u32){ next_random() % 10 }, 4);
		memcpy(message + 4, &(u32){ next_random() % 4 ? 64 : next_random() }, 4);
		(void)mininic_control(m, message, 64, reply);
	}
	ASSERT_OK(begins_anew(m));
}

/* ---- case 8, and what is given back ---- */

TEST(guest_that_asks_and_never_takes_the_replies_is_told_that_we_are_busy)
{
	NIC m = mininic_new(0, false);
	const struct rndis_keep_alive alive = {
		{ le32_of(RNDIS_KEEP_ALIVE), le32_of(12) }, le32_of(9)
	};
	struct nvsp_message message = { .type = le32_of(NVSP_RNDIS),
					.rndis = { le32_of(1), le32_of(0),
						   le32_of(12) } };
	size_t before;

	log_start("test", LOG_ERROR);
	ASSERT(mininic_start(m));
	memcpy(mini_page(m->mini, m->send_page), &alive, sizeof alive);
	before = memory_used();
	for (unsigned k = 0; k < 20000; k++)
		mini_send(&m->channel, VMBUS_PACKET_INBAND, 1, k, &message,
			  sizeof message, 16);
	ASSERT(memory_used() < before + (1u << 20));
	ASSERT_OK(begins_anew(m));
}

TEST(what_the_guest_does_not_have_it_cannot_give_back)
{
	NIC m = mininic_new(0, false);
	static struct mininic_frame got;
	u8 frame[100] = { 0 };
	u64 held;

	log_start("test", LOG_ERROR);
	ASSERT(mininic_start(m));
	memcpy(frame, mininic_mac, 6);
	ASSERT(mininic_arrive(m, NULL, frame, sizeof frame));
	ASSERT_EQ(mininic_take(m, &m->channel, &got, 1), 1);
	held = got.transaction;
	for (u64 k = 0; k < 5000; k++)
		if (k != held)
			ASSERT(mininic_return(&m->channel, k));
	ASSERT(mininic_return(&m->channel, UINT64_MAX));
	/* Once, not twice: the same place would be given to two frames. */
	for (unsigned k = 0; k < 100; k++)
		ASSERT(mininic_return(&m->channel, held));
	ASSERT_OK(begins_anew(m));
}

/* ---- NVSP in every state ---- */

TEST(buffers_are_given_once_and_taken_back_at_any_time)
{
	NIC m = mininic_new(0, false);
	struct nvsp_message buffer = { .type = le32_of(NVSP_RECEIVE_BUFFER),
				       .buffer = { le32_of(0xe1001), le16_of(0xcafe) } };
	struct nvsp_message init = { .type = le32_of(NVSP_INIT),
				     .init = { le32_of(NVSP_5), le32_of(NVSP_5) } };
	struct nvsp_message revoke = { .type = le32_of(NVSP_REVOKE_RECEIVE_BUFFER) };
	struct vmbus_gpadl_teardown teardown = { .gpadl = le32_of(0xe1001) };
	u8 frame[100] = { 0 };

	log_start("test", LOG_ERROR);
	ASSERT(mininic_start(m));
	/* Another one, another version, while it is in use: no. */
	ASSERT(mininic_ask(m, &buffer));
	ASSERT(le32_get(buffer.receive_buffer_complete.status) != NVSP_OK);
	ASSERT(mininic_ask(m, &init));
	ASSERT(le32_get(init.init_complete.status) != NVSP_OK);
	/* Torn down while we have it: answered when we have not. */
	teardown.relid = le32_of(m->channel.relid);
	mini_post(m->mini, VMBUS_GPADL_TEARDOWN, &teardown, sizeof teardown);
	ASSERT_EQ(m->mini->message_count, 0);
	memcpy(frame, mininic_mac, 6);
	ASSERT(mininic_arrive(m, NULL, frame, sizeof frame));
	ASSERT(mininic_tell(m, &revoke));
	ASSERT_EQ(m->mini->message_count, 1);
	/* Without a buffer nothing comes, and nobody falls over. */
	ASSERT(mininic_arrive(m, NULL, frame, sizeof frame));
	ASSERT(mininic_tell(m, &revoke));
	ASSERT_OK(begins_anew(m));
}

TEST(any_messages_in_any_order_leave_an_adapter_that_begins_anew)
{
	NIC m = mininic_new(3, false);
	static const u32 types[] = { 1,	  2,   100, 101, 102, 103, 104, 105, 106,
				     107, 108, 125, 128, 129, 131, 133, 134, 0 };
	u8 bytes[8192];
	unsigned anew = 0;
	size_t before;

	log_start("test", LOG_ERROR);
	ASSERT(mininic_start(m));
	ASSERT_OK(begins_anew(m));
	before = memory_used();
	for (unsigned k = 0; k < 40000; k++) {
		struct nvsp_message message;
		u32 *word = (u32 *)(void *)&message;

		for (unsigned n = 1; n < 10; n++)
			word[n] = next_random() % 3 ? next_random() % 4 : next_random();
		word[0] = types[next_random() % ARRAY_COUNT(types)];
		if (next_random() % 4 == 0)
			word[1] = 0xe1001 + next_random() % 3;
		if (!mini_send(&m->channel,
			       next_random() % 8 ? VMBUS_PACKET_INBAND
						 : next_random() % 12,
			       1, next_random() % 600, &message,
			       next_random() % 4 ? 40 : next_random() % 6 * 8, 16) ||
		    k % 2000 == 0) {
			ASSERT_OK(begins_anew(m));
			anew++;
		}
		while (mini_receive(&m->channel, bytes, sizeof bytes))
			;
		mini_forget(m->mini);
	}
	ASSERT(anew >= 20);
	ASSERT(memory_used() < before + (4u << 20));
	ASSERT_OK(begins_anew(m));
}

/* ---- frames from outside ---- */

TEST(frames_of_a_hostile_peer_are_dropped_or_delivered_and_stay_in_their_place)
{
	static struct mininic_frame got[64];
	static u8 frame[66000];

	for (unsigned parts = 0; parts < 2; parts++) {
		NIC m = mininic_new(3, false);
		struct virtio_net_hdr todo;

		if (!parts)
			m->can = 0;
		log_start("test", LOG_ERROR);
		ASSERT(mininic_start(m));
		for (unsigned k = 0; k < 20000; k++) {
			u32 size = next_random() % 3 ? next_random() % 200
						     : next_random() % 66000;
			unsigned n;

			todo = (struct virtio_net_hdr){
				.flags = (u8)(next_random() % 4),
				.gso_type = next_random() % 2 ? (u8)(next_random() % 6)
							      : 0,
				.gso_size = (u16)(next_random() % 3000),
				.csum_start =
					(u16)(next_random() % 2 ? 34 : next_random()),
				.csum_offset =
					(u16)(next_random() % 2 ? 16 : next_random()),
			};
			for (unsigned b = 0; b < 64; b++)
				frame[b] = (u8)next_random();
			if (next_random() % 4)
				memcpy(frame, mininic_mac, 6);
			if (next_random() % 2)
				memcpy(frame + 12, (u8[]){ 8, 0, 0x45 }, 3);
			else if (next_random() % 2)
				memcpy(frame + 12, (u8[]){ 0x81, 0, 0, 5, 8, 0, 0x45 },
				       7);
			if (!mininic_arrive(m, &todo, frame, size))
				mininic_turn(m);
			while ((n = mininic_take(m, &m->channel, got, 64)) > 0)
				ASSERT(mininic_return(&m->channel,
						      got[n - 1].transaction));
		}
		ASSERT_OK(begins_anew(m));
	}
}
