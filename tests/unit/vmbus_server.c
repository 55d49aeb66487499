/* SPDX-License-Identifier: Apache-2.0 */
/* vmbus/server.h and vmbus/ring.h against a guest in the same process. */
#include <pthread.h>
#include <stdatomic.h>

#include "harness.h"
#include "miniguest/miniguest.h"
#include "state/record.h"

/* A device that sends back what it gets, the payload turned round, and counts what happens. */
struct echo {
	struct vmbus_channel *channel;
	unsigned opened, closed, gone, got, again;
	bool refuse;	 /* open fails */
	bool keep_open;	 /* close waits for the test */
	bool silent;	 /* reads, but answers nothing */
	unsigned budget; /* packets a call; 0: no limit */
	u8 waiting[4096];
	u32 waiting_size;
	u64 waiting_transaction;
	int last;
};

static int echo_open(void *owner, struct vmbus_channel *channel)
{
	struct echo *e = owner;

	e->opened++;
	e->channel = channel;
	return e->refuse ? -EIO : 0;
}

static bool echo_answer(struct echo *e)
{
	if (e->waiting_size > 0)
		e->last = vmbus_channel_send(e->channel, VMBUS_PACKET_COMPLETION, 0,
					     e->waiting_transaction, e->waiting,
					     e->waiting_size);
	if (e->waiting_size > 0 && e->last == -EAGAIN)
		return false;
	e->waiting_size = 0;
	return true;
}

static void echo_ready(void *owner, struct vmbus_channel *channel)
{
	struct echo *e = owner;
	u8 buffer[4096];
	struct vmbus_packet packet;
	unsigned n = 0;

	for (;;) {
		if (!echo_answer(e)) {
			vmbus_channel_pause(channel);
			return;
		}
		if (e->budget && n++ == e->budget) {
			vmbus_channel_pause(channel);
			vmbus_channel_again(channel);
			e->again++;
			return;
		}
		e->last = vmbus_channel_read(channel, buffer, sizeof buffer, &packet);
		if (e->last != 1)
			return;
		e->got++;
		if (e->silent)
			continue;
		e->waiting_size = packet.size - packet.header_size;
		e->waiting_transaction = packet.transaction;
		for (u32 k = 0; k < e->waiting_size; k++)
			e->waiting[k] = (u8)~buffer[packet.header_size + k];
	}
}

static void echo_close(void *owner, struct vmbus_channel *channel)
{
	struct echo *e = owner;

	e->closed++;
	if (!e->keep_open)
		vmbus_channel_closed(channel);
}

static void echo_gone(void *owner, u32 relid)
{
	struct echo *e = owner;

	e->gone++;
}

static const struct vmbus_device_ops echo_ops = {
	.name = "echo",
	.open = echo_open,
	.ready = echo_ready,
	.close = echo_close,
	.gone = echo_gone,
};

static void free_mini(struct mini **m)
{
	mini_free(*m);
}
#define MINI __attribute__((cleanup(free_mini))) struct mini *

static u32 add_echo(struct mini *m, struct echo *e, u8 instance)
{
	struct vmbus_offer offer = { .interface = { { 0xec } },
				     .instance = { { instance } } };
	u32 relid = 0;

	EXPECT_EQ(vmbus_server_add(m->server, &offer, &echo_ops, e, &relid), 0);
	return relid;
}

static bool open_echo(struct mini *m, struct echo *e, u32 pages, struct mini_channel *c)
{
	struct vmbus_offer_message offer;

	add_echo(m, e, 1);
	CHECK(mini_connect(m, VMBUS_5_3));
	CHECK(mini_take_offer(m, &offer));
	mini_forget(m);
	CHECK(mini_open(m, le32_get(offer.relid), pages, pages, c));
	return true;
}

TEST(packet_goes_to_the_device_and_its_answer_comes_back)
{
	MINI m = mini_new();
	struct echo e = { 0 };
	struct mini_channel c;
	u8 packet[256];

	ASSERT_OK(open_echo(m, &e, 4, &c));
	ASSERT(mini_send(&c, VMBUS_PACKET_INBAND, 1, 42, "hello", 5, 16));
	ASSERT_EQ(mini_receive(&c, packet, sizeof packet), 24);
	ASSERT_EQ(packet[0], VMBUS_PACKET_COMPLETION);
	ASSERT_EQ(packet[8], 42);
	ASSERT_EQ(packet[16], (u8) ~'h');
	ASSERT_EQ(packet[23], 0xff); /* the padding came too, as zeros */
	ASSERT_EQ(m->flag[c.relid], 1);
	ASSERT_EQ(mini_field(m, &c.out, VMBUS_RING_MASK), 0);
	ASSERT(mini_close_and_wait(&c));
	ASSERT_EQ(e.closed, 1);
	ASSERT(!m->connected[c.relid]);
}

TEST(packets_of_all_sizes_wrap_round_the_ring)
{
	MINI m = mini_new();
	struct echo e = { 0 };
	struct mini_channel c;
	u8 bytes[2000], packet[2100];

	ASSERT_OK(open_echo(m, &e, 2, &c));
	for (unsigned k = 0; k < 3000; k++) {
		u32 size = 1 + k * 37 % (u32)sizeof bytes, padded = (size + 7) & ~7u;

		for (u32 n = 0; n < size; n++)
			bytes[n] = (u8)(k + n);
		ASSERT(mini_send(&c, VMBUS_PACKET_INBAND, 0, k, bytes, size, 16));
		ASSERT_EQ(mini_receive(&c, packet, sizeof packet), 16 + padded);
		for (u32 n = 0; n < size; n++)
			ASSERT_EQ(packet[16 + n], (u8) ~(k + n));
	}
	ASSERT_EQ(e.got, 3000);
}

TEST(guest_is_signalled_only_when_it_had_seen_everything)
{
	MINI m = mini_new();
	struct echo e = { 0 };
	struct mini_channel c;
	u8 packet[64];

	ASSERT_OK(open_echo(m, &e, 4, &c));
	mini_send(&c, VMBUS_PACKET_INBAND, 0, 1, "a", 1, 16);
	mini_send(&c, VMBUS_PACKET_INBAND, 0, 2, "b", 1, 16);
	ASSERT_EQ(m->flag[c.relid], 1);
	ASSERT(mini_receive(&c, packet, sizeof packet));
	ASSERT(mini_receive(&c, packet, sizeof packet));
	mini_set_field(m, &c.in, VMBUS_RING_MASK, 1);
	mini_send(&c, VMBUS_PACKET_INBAND, 0, 3, "c", 1, 16);
	ASSERT_EQ(m->flag[c.relid], 1);
	ASSERT(mini_receive(&c, packet, sizeof packet));
	mini_set_field(m, &c.in, VMBUS_RING_MASK, 0);
	mini_send(&c, VMBUS_PACKET_INBAND, 0, 4, "d", 1, 16);
	ASSERT_EQ(m->flag[c.relid], 2);
}

TEST(guest_that_waits_for_room_is_signalled_when_there_is)
{
	MINI m = mini_new();
	struct echo e = { .silent = true };
	struct mini_channel c;
	u8 bytes[1000] = { 0 };

	ASSERT_OK(open_echo(m, &e, 2, &c));
	while (mini_put(&c, VMBUS_PACKET_INBAND, 0, 0, bytes, sizeof bytes, 16))
		;
	mini_set_field(m, &c.out, VMBUS_RING_PENDING_SIZE, 1024);
	mini_signal(&c);
	ASSERT_EQ(e.got, 3);
	ASSERT_EQ(m->flag[c.relid], 1);
	/* One that waits for nothing is left alone. */
	mini_set_field(m, &c.out, VMBUS_RING_PENDING_SIZE, 0);
	mini_send(&c, VMBUS_PACKET_INBAND, 0, 0, bytes, sizeof bytes, 16);
	ASSERT_EQ(m->flag[c.relid], 1);
}

TEST(host_waits_for_a_guest_that_reads_slowly_and_loses_nothing)
{
	MINI m = mini_new();
	struct echo e = { 0 };
	struct mini_channel c;
	unsigned sent = 0, received = 0;
	u8 bytes[500], packet[600];

	ASSERT_OK(open_echo(m, &e, 2, &c));
	memset(bytes, 1, sizeof bytes);
	while (mini_send(&c, VMBUS_PACKET_INBAND, 0, sent, bytes, sizeof bytes, 16))
		sent++;
	/* The guest's ring is full, the host's too, and one answer waits for room. */
	ASSERT_EQ(e.waiting_size, 504);
	ASSERT(mini_field(m, &c.in, VMBUS_RING_PENDING_SIZE) >= 528);
	while (mini_receive(&c, packet, sizeof packet)) {
		ASSERT_EQ(packet[8], received);
		received++;
	}
	ASSERT_EQ(received, sent);
	ASSERT_EQ(mini_field(m, &c.in, VMBUS_RING_PENDING_SIZE), 0);
}

TEST(device_that_takes_a_few_at_a_time_gets_them_all)
{
	MINI m = mini_new();
	struct echo e = { .silent = true, .budget = 3 };
	struct mini_channel c;

	ASSERT_OK(open_echo(m, &e, 2, &c));
	for (unsigned k = 0; k < 50; k++)
		ASSERT(mini_put(&c, VMBUS_PACKET_INBAND, 0, k, "x", 1, 16));
	mini_signal(&c);
	ASSERT_EQ(e.got, 50);
	ASSERT_EQ(e.again, 16);
}

TEST(packet_that_came_before_the_answer_to_open_is_seen)
{
	MINI m = mini_new();
	struct echo e = { .refuse = true };
	struct mini_channel c;

	/* A device that cannot open: the guest is told, the connection is taken back. */
	add_echo(m, &e, 1);
	ASSERT(mini_connect(m, VMBUS_5_3));
	mini_forget(m);
	ASSERT(!mini_open(m, 1, 2, 2, &c));
	ASSERT(!m->connected[1]);
	e.refuse = false;
	ASSERT(mini_open(m, 1, 2, 2, &c));
	ASSERT_EQ(e.opened, 2);
}

/* ---- a guest that breaks its ring ---- */

static void set_header(struct mini *m, struct mini_channel *c, u16 header8, u16 size8)
{
	struct vmbus_packet_header h = { .type = le16_of(6),
					 .header_size = le16_of(header8),
					 .size = le16_of(size8) };

	memcpy(mini_page(m, c->out.page[1]), &h, sizeof h);
}

TEST(ring_with_impossible_indices_or_packets_stands_still_until_reopened)
{
	static const struct {
		u32 write;
		u16 header8, size8;
	} row[] = {
		{ 4096, 2, 3 },	      { 0xfffffff8, 2, 3 }, { 12, 2, 3 },
		{ 1, 2, 3 },	      { 8, 2, 3 },	    { 16, 2, 2 },
		{ 64, 1, 3 },	      { 64, 0, 0 },	    { 64, 4, 3 },
		{ 64, 2, 8 },	      { 64, 2, 0xffff },    { 64, 0xffff, 0xffff },
		{ 4088, 2, 510 + 1 }, { 0x80000000, 2, 3 },
	};

	for (unsigned k = 0; k < ARRAY_COUNT(row); k++) {
		MINI m = mini_new();
		struct echo e = { 0 };
		struct mini_channel c;

		ASSERT_OK(open_echo(m, &e, 2, &c));
		set_header(m, &c, row[k].header8, row[k].size8);
		mini_set_field(m, &c.out, VMBUS_RING_WRITE, row[k].write);
		mini_signal(&c);
		ASSERT_EQ(e.got, 0);
		ASSERT_ERR(e.last, EPROTO);
		/* Mended behind our back: too late. */
		mini_set_field(m, &c.out, VMBUS_RING_WRITE, 0);
		ASSERT(mini_put(&c, VMBUS_PACKET_INBAND, 0, 0, "x", 1, 16));
		mini_signal(&c);
		ASSERT_EQ(e.got, 0);
		ASSERT(mini_close_and_wait(&c));
		ASSERT(mini_open(m, c.relid, 2, 2, &c));
		ASSERT(mini_send(&c, VMBUS_PACKET_INBAND, 0, 0, "x", 1, 16));
		ASSERT_EQ(e.got, 1);
	}
}

TEST(read_index_that_the_guest_moves_backwards_changes_nothing)
{
	MINI m = mini_new();
	struct echo e = { .silent = true };
	struct mini_channel c;

	ASSERT_OK(open_echo(m, &e, 2, &c));
	ASSERT(mini_send(&c, VMBUS_PACKET_INBAND, 0, 0, "x", 1, 16));
	mini_set_field(m, &c.out, VMBUS_RING_READ, 0);
	mini_signal(&c);
	ASSERT_EQ(e.got, 1);
}

TEST(guest_that_lies_about_what_it_has_read_cannot_be_written_over_the_end)
{
	static const u32 lie[] = { 4096, 4, 0xfffffff8 };

	for (unsigned k = 0; k < ARRAY_COUNT(lie); k++) {
		MINI m = mini_new();
		struct echo e = { 0 };
		struct mini_channel c;

		ASSERT_OK(open_echo(m, &e, 2, &c));
		mini_set_field(m, &c.in, VMBUS_RING_READ, lie[k]);
		mini_send(&c, VMBUS_PACKET_INBAND, 0, 0, "x", 1, 16);
		ASSERT_ERR(e.last, EPROTO);
		ASSERT_EQ(mini_field(m, &c.in, VMBUS_RING_WRITE), 0);
	}
}

/* A second processor of the guest that changes headers and indices while the host reads. */
struct flipper {
	struct mini *mini;
	struct mini_channel *channel;
	atomic_bool stop;
};

static void *flip(void *arg)
{
	struct flipper *f = arg;
	_Atomic u16 *header =
		(_Atomic u16 *)(void *)mini_page(f->mini, f->channel->out.page[1]);
	u32 random = 1;

	while (!atomic_load(&f->stop)) {
		random = random * 1664525 + 1013904223;
		/* Header and length: right, and anything. */
		atomic_store(&header[1], random & 1 << 20 ? 2 : (u16)(random >> 16));
		atomic_store(&header[2], random & 1 << 21 ? 3 : (u16)(random >> 8));
	}
	return NULL;
}

TEST(packet_that_changes_while_it_is_read_is_used_as_it_was_checked)
{
	struct flipper f = { 0 };
	pthread_t thread;
	unsigned good = 0;

	if (UNDER_TSAN)
		SKIP("the race is the guest's, and it is the test");
	for (unsigned round = 0; round < 300; round++) {
		MINI m = mini_new();
		struct echo e = { 0 };
		struct mini_channel c;

		ASSERT_OK(open_echo(m, &e, 2, &c));
		ASSERT(mini_put(&c, VMBUS_PACKET_INBAND, 0, 0, "12345678", 8, 16));
		f.mini = m;
		f.channel = &c;
		atomic_store(&f.stop, false);
		ASSERT_EQ(pthread_create(&thread, NULL, flip, &f), 0);
		mini_signal(&c);
		atomic_store(&f.stop, true);
		pthread_join(thread, NULL);
		/* Either it was what it had to be, or the ring stands still. */
		good += e.got;
		ASSERT(e.got == 1 || e.last == -EPROTO);
	}
	ASSERT(good <= 300);
}

TEST(ring_that_lies_upon_itself_harms_the_guest_alone)
{
	MINI m = mini_new();
	struct echo e = { 0 };
	struct vmbus_open_message open = { .relid = le32_of(1),
					   .gpadl = le32_of(9),
					   .downstream = le32_of(2) };
	struct vmbus_open_result result;
	/* One page eight times: control pages and data of both rings. */
	u64 page[8];

	add_echo(m, &e, 1);
	ASSERT(mini_connect(m, VMBUS_5_3));
	mini_forget(m);
	for (unsigned k = 0; k < 8; k++)
		page[k] = 1500;
	ASSERT_EQ(mini_gpadl(m, 1, 9, page, 8), VMBUS_OK);
	mini_post(m, VMBUS_OPEN, &open, sizeof open);
	ASSERT(mini_take(m, VMBUS_OPEN_RESULT, &result, sizeof result));
	ASSERT_EQ(le32_get(result.status), VMBUS_OK);
	for (u32 k = 0; k < 4096; k += 8) {
		u32 words[4] = { k, 0, 0, 8 };

		memcpy(mini_page(m, 1500), words, sizeof words);
		vmbus_server_signalled(m->server, 1);
	}
	ASSERT(mini_unload(m));
	ASSERT_EQ(e.closed, 1);
}

/* ---- messages ---- */

TEST(messages_wait_in_order_while_the_hypervisor_has_no_room)
{
	MINI m = mini_new();
	struct echo e[3] = { 0 };
	struct vmbus_offer_message offer;

	for (u8 k = 0; k < 3; k++)
		add_echo(m, &e[k], k);
	ASSERT(mini_connect(m, VMBUS_5_3));
	mini_forget(m);
	m->refuse_messages = true;
	ASSERT(!mini_connect(m, VMBUS_5_3));
	struct vmbus_header h;
	mini_post(m, VMBUS_REQUEST_OFFERS, &h, sizeof h);
	ASSERT_EQ(m->message_count, 0);
	m->refuse_messages = false;
	vmbus_server_flush(m->server);
	ASSERT_EQ(m->message_count, 5);
	struct vmbus_version_response response;
	ASSERT(mini_take(m, VMBUS_VERSION_RESPONSE, &response, sizeof response));
	for (u32 k = 1; k <= 3; k++) {
		ASSERT(mini_take_offer(m, &offer));
		ASSERT_EQ(le32_get(offer.relid), k);
	}
}

TEST(messages_that_wait_for_the_guest_go_with_its_state)
{
	MINI m = mini_new();
	struct state_writer w = { 0 };
	struct echo e = { 0 };
	struct vmbus_offer_message offer;
	struct vmbus_header h;

	add_echo(m, &e, 1);
	m->refuse_messages = true;
	struct vmbus_initiate_contact contact = { .version = le32_of(VMBUS_5_3),
						  .sint = VMBUS_SINT,
						  .vp = le32_of(2) };
	ASSERT_EQ(mini_post(m, VMBUS_INITIATE_CONTACT, &contact, sizeof contact), 0);
	ASSERT_EQ(mini_post(m, VMBUS_REQUEST_OFFERS, &h, sizeof h), 0);
	ASSERT_EQ(m->message_count, 0);
	ASSERT_EQ(vmbus_server_save(m->server, &w), 0);
	u8 *saved = w.bytes;
	mini_move(m);
	m->refuse_messages = false;
	add_echo(m, &e, 1);
	ASSERT_EQ(vmbus_server_restore(m->server, saved, w.used), 0);
	free(saved);
	ASSERT_EQ(m->message_count, 3);
	struct vmbus_version_response response;
	ASSERT(mini_take(m, VMBUS_VERSION_RESPONSE, &response, sizeof response));
	ASSERT_EQ(m->message[0].vp, 2);
	ASSERT_EQ(response.supported, 1);
	ASSERT(mini_take_offer(m, &offer));
	ASSERT(mini_take(m, VMBUS_ALL_OFFERS, &h, sizeof h));
}

TEST(guest_that_takes_no_answers_is_told_to_wait)
{
	MINI m = mini_new();
	struct vmbus_header h;
	unsigned posted = 0;

	m->refuse_messages = true;
	while (posted < 10000 && mini_post(m, VMBUS_UNLOAD, &h, sizeof h) == VMBUS_POSTED)
		posted++;
	ASSERT_EQ(posted, 256);
	m->refuse_messages = false;
	vmbus_server_flush(m->server);
	ASSERT_EQ(mini_post(m, VMBUS_UNLOAD, &h, sizeof h), VMBUS_POSTED);
}

TEST(message_to_another_port_or_of_another_type_is_refused)
{
	MINI m = mini_new();
	u8 bytes[240] = { VMBUS_UNLOAD };

	ASSERT_EQ(vmbus_server_message(m->server, 2, 1, bytes, 8), 0x12);
	ASSERT_EQ(vmbus_server_message(m->server, 0x10001, 1, bytes, 8), 0x12);
	ASSERT_EQ(vmbus_server_message(m->server, 1, 2, bytes, 8), 5);
	ASSERT_EQ(vmbus_server_message(m->server, 1, 1, bytes, 241), 5);
	ASSERT_EQ(vmbus_server_message(m->server, 1, 1, bytes, 0), 0);
	ASSERT_EQ(m->message_count, 0);
	ASSERT_EQ(vmbus_server_message(m->server, 4, 1, bytes, 8), 0);
	ASSERT_EQ(m->message_count, 1);
}

/* ---- ends ---- */

static void on_closed(void *owner)
{
	*(bool *)owner = true;
}

TEST(unload_and_reset_wait_for_the_device_to_let_go)
{
	MINI m = mini_new();
	struct echo e = { .keep_open = true };
	struct mini_channel c;
	bool closed = false;

	ASSERT_OK(open_echo(m, &e, 2, &c));
	ASSERT(!mini_unload(m));
	vmbus_server_close_all(m->server, on_closed, &closed);
	ASSERT(!closed);
	ASSERT_EQ(e.closed, 1);
	/* Its last I/O may still complete through the guest's pages. */
	ASSERT_EQ(vmbus_channel_send(e.channel, VMBUS_PACKET_COMPLETION, 0, 1, "x", 1),
		  0);
	vmbus_channel_closed(e.channel);
	ASSERT(closed);
	mini_forget(m);
	vmbus_server_reset(m->server);
	e.keep_open = false;
	ASSERT(mini_connect(m, VMBUS_4_0));
	mini_forget(m);
	ASSERT(mini_open(m, c.relid, 2, 2, &c));
	vmbus_server_close_all(m->server, on_closed, &closed);
}

TEST(removed_device_is_gone_after_the_guest_released_it)
{
	MINI m = mini_new();
	struct echo e = { 0 };
	struct mini_channel c;
	struct vmbus_relid_message rescind, release = { .relid = le32_of(1) };

	ASSERT_OK(open_echo(m, &e, 2, &c));
	vmbus_server_remove(m->server, c.relid);
	ASSERT(mini_take(m, VMBUS_RESCIND, &rescind, sizeof rescind));
	ASSERT_EQ(le32_get(rescind.relid), c.relid);
	ASSERT_EQ(e.closed, 1);
	ASSERT_EQ(e.gone, 0);
	ASSERT(mini_close_and_wait(&c));
	mini_post(m, VMBUS_RELID_RELEASED, &release, sizeof release);
	ASSERT_EQ(e.gone, 1);
}

TEST(inspect_tells_connection_and_channels)
{
	MINI m = mini_new();
	struct echo e = { 0 };
	struct mini_channel c;
	char text[1024];
	struct inspect out = { .text = text, .size = sizeof text };
	struct inspect small = { .text = text, .size = 10 };

	ASSERT_OK(open_echo(m, &e, 2, &c));
	mini_send(&c, VMBUS_PACKET_INBAND, 0, 0, "x", 1, 16);
	vmbus_server_inspect(m->server, &out);
	ASSERT(strstr(text, "vmbus.state: offered\nvmbus.version: 5.3\n"));
	ASSERT(strstr(text, "vmbus.messages: 4\n"));
	ASSERT(strstr(text, "vmbus.channel.1.device: echo\n"));
	ASSERT(strstr(text, "vmbus.channel.1.state: open\n"));
	ASSERT(strstr(text, "vmbus.channel.1.packets_in: 1\n"));
	ASSERT(strstr(text, "vmbus.channel.1.signals_in: 2\n"));
	/* A text that is too small is cut. */
	vmbus_server_inspect(m->server, &small);
	ASSERT_EQ(strlen(text), 9);
}
