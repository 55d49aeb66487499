/* SPDX-License-Identifier: Apache-2.0 */
/* hv_netvsc of the mini-guest; see mininic.h. */
#include "mininic.h"

#include <errno.h>
#include <sys/socket.h>

#include "state/record.h"

#define CONTROL_PAGES 32

const u8 mininic_mac[6] = { 0x00, 0x15, 0x5d, 0xaa, 0xbb, 0xcc };

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void wake_at(void *owner, u64 when_ns)
{
	struct mininic *m = owner;

	m->wake_at = when_ns;
}

static void plug(struct mininic *m)
{
	int pair[2];
	struct err err = { 0 };

	require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
			   pair) == 0);
	require(netvsp_plug(m->netvsp, NET_PORT_SOCKET, pair[0], &err) == 0);
	m->wire = pair[1];
}

struct mininic *mininic_new(u16 max_sub_channels, bool spoofing)
{
	struct mininic *m = calloc(1, sizeof *m);

	require(m != NULL);
	m->mini = mini_new();
	m->version = NVSP_6_1;
	m->can = NVSP_CAN_8021Q | NVSP_CAN_RSC;
	m->mtu = 1514;
	m->wake_at = UINT64_MAX;
	manual_clock_init(&m->clock, 1000 * NS_PER_SEC, 0);
	m->config = (struct netvsp_config){
		.server = m->mini->server,
		.gm = m->mini->gm,
		.loop = m->mini->loop,
		.clock = &m->clock.clock,
		.wake_at = wake_at,
		.owner = m,
		.instance = { { 0x9e, 0x07 } },
		.mtu = 9000,
		.spoofing = spoofing,
		.max_sub_channels = max_sub_channels,
	};
	memcpy(m->config.mac, mininic_mac, sizeof m->config.mac);
	require(netvsp_new(&m->config, &m->netvsp) == 0);
	plug(m);
	m->receive_page = mini_alloc(m->mini, MININIC_RECEIVE_PAGES);
	m->send_page = mini_alloc(m->mini, MININIC_SEND_PAGES);
	m->control_page = mini_alloc(m->mini, CONTROL_PAGES);
	m->mini->first_page = m->mini->next_page;
	return m;
}

static void on_closed(void *owner)
{
	*(bool *)owner = true;
}

void mininic_free(struct mininic *m)
{
	bool closed = false;

	if (!m)
		return;
	vmbus_server_close_all(m->mini->server, on_closed, &closed);
	require(closed);
	netvsp_free(m->netvsp);
	close(m->wire);
	mini_free(m->mini);
	free(m);
}

/* ---- time and turns ---- */

static bool always(void *owner)
{
	return true;
}

struct turn {
	struct loop *loop;
	bool over;
};

static void end_turn(void *owner)
{
	struct turn *turn = owner;

	turn->over = true;
	loop_stop(turn->loop);
}

void mininic_turn(struct mininic *m)
{
	struct turn turn = { .loop = m->mini->loop };
	struct loop_alarm alarm;

	require(mini_until(m->mini, always, NULL));
	loop_alarm_init(m->mini->loop, &alarm, end_turn, &turn);
	loop_alarm_set(&alarm, 0);
	/* Somebody may have stopped the loop before. */
	while (!turn.over)
		require(loop_run(m->mini->loop) == 0);
	require(mini_until(m->mini, always, NULL));
}

void mininic_advance(struct mininic *m, u64 ns)
{
	u64 end = m->clock.monotonic + ns;

	while (m->wake_at <= end) {
		if (m->wake_at > m->clock.monotonic)
			manual_clock_advance(&m->clock, m->wake_at - m->clock.monotonic);
		netvsp_due(m->netvsp);
	}
	manual_clock_advance(&m->clock, end - m->clock.monotonic);
}

/* ---- NVSP ---- */

bool mininic_tell(struct mininic *m, const struct nvsp_message *message)
{
	return mini_send(&m->channel, VMBUS_PACKET_INBAND, 0, 0, message, sizeof *message,
			 16);
}

bool mininic_ask(struct mininic *m, struct nvsp_message *io_message)
{
	u8 bytes[256];
	u32 size;

	if (!mini_send(&m->channel, VMBUS_PACKET_INBAND, VMBUS_PACKET_WANTS_COMPLETION,
		       ++m->transaction, io_message, sizeof *io_message, 16))
		return false;
	size = mini_receive(&m->channel, bytes, sizeof bytes);
	if (size != 16 + sizeof *io_message || bytes[0] != VMBUS_PACKET_COMPLETION ||
	    bytes[8] != (u8)m->transaction)
		return false;
	memcpy(io_message, bytes + 16, sizeof *io_message);
	return true;
}

static bool give_buffer(struct mininic *m, u32 type, u32 gpadl, u64 first, u32 pages)
{
	static u64 page[MININIC_RECEIVE_PAGES];
	struct nvsp_message message = { .type = le32_of(type) };

	for (u32 k = 0; k < pages; k++)
		page[k] = first + k;
	if (mini_gpadl(m->mini, m->channel.relid, gpadl, page, pages) != VMBUS_OK)
		return false;
	message.buffer.gpadl = le32_of(gpadl);
	message.buffer.id = le16_of(type == NVSP_RECEIVE_BUFFER ? NVSP_RECEIVE_BUFFER_ID
								: NVSP_SEND_BUFFER_ID);
	if (!mininic_ask(m, &message))
		return false;
	if (type == NVSP_SEND_BUFFER) {
		m->section_size = le32_get(message.send_buffer_complete.section_size);
		return le32_get(message.send_buffer_complete.status) == NVSP_OK;
	}
	m->sub_size = le32_get(message.receive_buffer_complete.size);
	m->sub_count = le32_get(message.receive_buffer_complete.count);
	return le32_get(message.receive_buffer_complete.status) == NVSP_OK &&
	       le32_get(message.receive_buffer_complete.sections) == 1;
}

bool mininic_begin(struct mininic *m)
{
	struct nvsp_message init = { .type = le32_of(NVSP_INIT) };
	struct nvsp_message config = { .type = le32_of(NVSP_NDIS_CONFIG) };
	struct nvsp_message version = { .type = le32_of(NVSP_NDIS_VERSION) };
	struct vmbus_offer_message offer;

	if (!mini_connect(m->mini, VMBUS_5_3) || !mini_take_offer(m->mini, &offer))
		return false;
	mini_forget(m->mini);
	if (!mini_open(m->mini, le32_get(offer.relid), 32, 32, &m->channel))
		return false;
	init.init.min = init.init.max = le32_of(m->version);
	if (!mininic_ask(m, &init) || le32_get(init.init_complete.status) != NVSP_OK ||
	    le32_get(init.init_complete.version) != m->version)
		return false;
	config.ndis_config.mtu = le32_of(m->mtu);
	config.ndis_config.can = le64_of(m->can);
	version.ndis_version.major = le32_of(6);
	version.ndis_version.minor = le32_of(30);
	return mininic_tell(m, &config) && mininic_tell(m, &version) &&
	       give_buffer(m, NVSP_RECEIVE_BUFFER, 0xe1001, m->receive_page,
			   MININIC_RECEIVE_PAGES) &&
	       give_buffer(m, NVSP_SEND_BUFFER, 0xe1002, m->send_page,
			   MININIC_SEND_PAGES);
}

bool mininic_start(struct mininic *m)
{
	const struct rndis_initialize init = {
		.header = { le32_of(RNDIS_INITIALIZE), le32_of(sizeof init) },
		.id = le32_of(1),
		.major = le32_of(1),
		.max_transfer = le32_of(0x4000),
	};
	const le32 filter = le32_of(RNDIS_FILTER_DIRECTED | RNDIS_FILTER_MULTICAST |
				    RNDIS_FILTER_BROADCAST);
	u8 reply[512];

	return mininic_begin(m) &&
	       mininic_control(m, &init, sizeof init, reply) ==
		       sizeof(struct rndis_initialize_complete) &&
	       mininic_set(m, OID_PACKET_FILTER, &filter, sizeof filter) == RNDIS_OK;
}

/* ---- RNDIS ---- */

static bool send_rndis(struct mininic *m, u32 channel, u32 section, u32 section_size,
		       u32 bytes)
{
	struct nvsp_message message = {
		.type = le32_of(NVSP_RNDIS),
		.rndis = { le32_of(channel), le32_of(section), le32_of(section_size) },
	};
	u8 packet[16 + 8 * CONTROL_PAGES + sizeof message];
	u32 at = 0;

	if (bytes > 0) {
		const struct vmbus_gpa_direct h = { .range_count = le32_of(1) };
		const struct vmbus_range range = { .size = le32_of(bytes) };

		memcpy(packet, &h, sizeof h);
		memcpy(packet + 8, &range, sizeof range);
		at = 16;
		for (u32 k = 0; k * VMBUS_PAGE < bytes; k++, at += 8)
			memcpy(packet + at, &(u64){ m->control_page + k }, 8);
	}
	memcpy(packet + at, &message, sizeof message);
	return mini_send(&m->channel,
			 bytes > 0 ? VMBUS_PACKET_GPA_DIRECT : VMBUS_PACKET_INBAND,
			 VMBUS_PACKET_WANTS_COMPLETION, ++m->transaction, packet,
			 at + (u32)sizeof message, 16 + at);
}

static u32 answer_of(struct mininic *m)
{
	struct nvsp_message message;
	u8 bytes[256];
	u32 size = mini_receive(&m->channel, bytes, sizeof bytes);

	if (size != 16 + sizeof message || bytes[0] != VMBUS_PACKET_COMPLETION ||
	    bytes[8] != (u8)m->transaction)
		return 0;
	memcpy(&message, bytes + 16, sizeof message);
	return le32_get(message.type) == NVSP_RNDIS_COMPLETE
		       ? le32_get(message.rndis_complete.status)
		       : 0;
}

u32 mininic_heard(struct mininic *m, u8 message[512])
{
	struct nvsp_transfer_range range;
	u8 bytes[256];
	u32 size = mini_receive(&m->channel, bytes, sizeof bytes), n;

	if (size == 0 || bytes[0] != VMBUS_PACKET_TRANSFER_PAGES)
		return 0;
	memcpy(&range, bytes + 24, sizeof range);
	n = (u32)min_u64(le32_get(range.size), 512);
	memcpy(message, mini_page(m->mini, m->receive_page) + le32_get(range.offset), n);
	(void)mininic_return(&m->channel, (u64)bytes[8] | (u64)bytes[9] << 8);
	return n;
}

u32 mininic_control(struct mininic *m, const void *message, u32 size, u8 reply[512])
{
	memcpy(mini_page(m->mini, m->control_page), message, size);
	if (!send_rndis(m, NVSP_CHANNEL_CONTROL, NVSP_NO_SECTION, 0, size) ||
	    answer_of(m) != NVSP_OK)
		return 0;
	return mininic_heard(m, reply);
}

u32 mininic_query(struct mininic *m, u32 oid, void *ret_data, u32 *io_size)
{
	const struct rndis_request q = { .header = { le32_of(RNDIS_QUERY), le32_of(32) },
					 .id = le32_of(77),
					 .oid = le32_of(oid),
					 .length = le32_of(4),
					 .offset = le32_of(20) };
	struct rndis_query_complete c;
	u8 reply[512], message[32] = { 0 };
	u32 size;

	memcpy(message, &q, sizeof q);
	/* As Linux asks for capabilities: type and revision of what it knows. */
	message[28] = NDIS_OFFLOAD;
	message[29] = 3;
	size = mininic_control(m, message, sizeof message, reply);
	if (size < sizeof c)
		return UINT32_MAX;
	memcpy(&c, reply, sizeof c);
	size = le32_get(c.length);
	if (le32_get(c.id) != 77 || size > *io_size ||
	    (size > 0 && le32_get(c.offset) != 16))
		return UINT32_MAX;
	memcpy(ret_data, reply + sizeof c, size);
	*io_size = size;
	return le32_get(c.status);
}

u32 mininic_set(struct mininic *m, u32 oid, const void *data, u32 size)
{
	const struct rndis_request q = { .header = { le32_of(RNDIS_SET),
						     le32_of((u32)sizeof q + size) },
					 .id = le32_of(78),
					 .oid = le32_of(oid),
					 .length = le32_of(size),
					 .offset = le32_of(20) };
	struct rndis_set_complete c;
	u8 reply[512], message[1024];

	memcpy(message, &q, sizeof q);
	memcpy(message + sizeof q, data, size);
	if (mininic_control(m, message, (u32)sizeof q + size, reply) != sizeof c)
		return UINT32_MAX;
	memcpy(&c, reply, sizeof c);
	return le32_get(c.status);
}

u32 mininic_make(u8 *to, const void *frame, u32 size, const struct mininic_info *infos,
		 unsigned count)
{
	u32 info_size = count * 16, data = (u32)sizeof(struct rndis_packet) + info_size;
	const struct rndis_packet p = {
		.header = { le32_of(RNDIS_PACKET), le32_of(data + size) },
		.data_offset = le32_of(data - 8),
		.data_size = le32_of(size),
		.info_offset = le32_of(count ? (u32)sizeof p - 8 : 0),
		.info_size = le32_of(info_size),
	};

	memcpy(to, &p, sizeof p);
	for (unsigned k = 0; k < count; k++) {
		const u32 info[4] = { 16, infos[k].type, 12, infos[k].value };

		memcpy(to + sizeof p + 16 * k, info, sizeof info);
	}
	memcpy(to + data, frame, size);
	return data + size;
}

u32 mininic_send_section(struct mininic *m, u32 section, const void *rndis, u32 size)
{
	memcpy(mini_page(m->mini, m->send_page) + section * m->section_size, rndis,
	       min_u64(size, m->section_size));
	if (!send_rndis(m, NVSP_CHANNEL_DATA, section, size, 0))
		return 0;
	return answer_of(m);
}

u32 mininic_send_pages(struct mininic *m, const void *rndis, u32 size)
{
	memcpy(mini_page(m->mini, m->control_page), rndis, size);
	if (!send_rndis(m, NVSP_CHANNEL_DATA, NVSP_NO_SECTION, 0, size))
		return 0;
	return answer_of(m);
}

/* ---- the wire ---- */

u32 mininic_wire(struct mininic *m, u8 *ret_bytes, u32 size)
{
	ssize_t n = recv(m->wire, ret_bytes, size, 0);

	return n < 0 ? 0 : (u32)n;
}

bool mininic_arrive(struct mininic *m, const struct virtio_net_hdr *todo,
		    const void *frame, u32 size)
{
	static const struct virtio_net_hdr nothing;
	struct iovec iov[] = { { (void *)(uintptr_t)(todo ? todo : &nothing), 10 },
			       { (void *)(uintptr_t)frame, size } };
	const struct msghdr message = { .msg_iov = iov, .msg_iovlen = 2 };
	bool ok = sendmsg(m->wire, &message, 0) == (ssize_t)(10 + size);

	mininic_turn(m);
	return ok;
}

static void read_infos(struct mininic_frame *f, const u8 *bytes, u32 size)
{
	for (u32 at = 0; at + 16 <= size; at += 16) {
		u32 word[4];

		memcpy(word, bytes + at, sizeof word);
		if (word[1] == RNDIS_INFO_CHECKSUM) {
			f->has_sum = true;
			f->sum = word[3];
		} else if (word[1] == RNDIS_INFO_VLAN) {
			f->has_vlan = true;
			f->vlan = word[3];
		} else if (word[1] == RNDIS_INFO_HASH) {
			f->has_hash = true;
			f->hash = word[3];
		}
	}
}

/* 0: whole; else RNDIS_PART... */
static u32 part_of(const u8 *bytes, u32 size)
{
	for (u32 at = 0; at + 16 <= size; at += 16) {
		u32 word[4];

		memcpy(word, bytes + at, sizeof word);
		if (word[1] == (u32)RNDIS_INFO_PACKET_ID)
			return word[3] >> 8 & 0xff;
	}
	return 0;
}

unsigned mininic_take(struct mininic *m, struct mini_channel *channel,
		      struct mininic_frame *frames, unsigned count)
{
	static u8 bytes[8192];
	u32 size = mini_receive(channel, bytes, sizeof bytes), ranges;
	unsigned got = 0;
	bool more = false;

	if (size == 0 || bytes[0] != VMBUS_PACKET_TRANSFER_PAGES)
		return 0;
	memcpy(&ranges, bytes + 20, sizeof ranges);
	for (u32 k = 0; k < ranges && got < count; k++) {
		struct mininic_frame *f = &frames[got];
		struct nvsp_transfer_range range;
		struct rndis_packet p;
		const u8 *sub;
		u32 part, info, info_size;

		memcpy(&range, bytes + 24 + 8 * k, sizeof range);
		sub = mini_page(m->mini, m->receive_page) + le32_get(range.offset);
		memcpy(&p, sub, sizeof p);
		/* What Linux looks at. */
		require(le32_get(range.size) <= m->sub_size &&
			le32_get(p.header.size) <= le32_get(range.size) &&
			8 + le32_get(p.data_offset) + le32_get(p.data_size) <=
				le32_get(p.header.size));
		info = 8 + le32_get(p.info_offset);
		info_size = le32_get(p.info_size);
		require(info_size == 0 ||
			(info >= sizeof p &&
			 info + info_size <= 8 + le32_get(p.data_offset)));
		part = part_of(sub + info, info_size);
		require(more == (part && !(part & RNDIS_PART_FIRST)));
		if (!more) {
			f->size = f->parts = 0;
			f->has_sum = f->has_vlan = f->has_hash = false;
			read_infos(f, sub + info, info_size);
			memcpy(&f->transaction, bytes + 8, 8);
		}
		require(f->size + le32_get(p.data_size) <= sizeof f->bytes);
		memcpy(f->bytes + f->size, sub + 8 + le32_get(p.data_offset),
		       le32_get(p.data_size));
		f->size += le32_get(p.data_size);
		f->parts++;
		more = part && !(part & RNDIS_PART_LAST);
		got += !more;
	}
	/* A frame does not go over packets. */
	require(!more);
	return got;
}

bool mininic_return(struct mini_channel *channel, u64 transaction)
{
	const struct nvsp_message m = { .type = le32_of(NVSP_RNDIS_COMPLETE),
					.rndis_complete = { le32_of(NVSP_OK) } };

	return mini_send(channel, VMBUS_PACKET_COMPLETION, 0, transaction, &m, sizeof m,
			 16);
}

/* ---- to another host ---- */

bool mininic_move(struct mininic *m)
{
	struct state_writer w = { 0 };
	bool rests = false;
	int r;

	netvsp_pause(m->netvsp);
	vmbus_server_pause(m->mini->server, on_closed, &rests);
	require(rests && vmbus_server_save(m->mini->server, &w) == 0);
	require(netvsp_save(m->netvsp, &w) == 0);
	netvsp_free(m->netvsp);
	close(m->wire);
	mini_move(m->mini);
	m->config.server = m->mini->server;
	require(netvsp_new(&m->config, &m->netvsp) == 0);
	plug(m);
	netvsp_pause(m->netvsp);
	r = vmbus_server_restore(m->mini->server, w.bytes, w.used);
	if (r == 0)
		r = netvsp_restore(m->netvsp, w.bytes, w.used);
	free(w.bytes);
	netvsp_resume(m->netvsp, true);
	mininic_turn(m);
	return r == 0;
}
