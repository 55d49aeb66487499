/* SPDX-License-Identifier: Apache-2.0 */
/* vmbus/protocol.h: what a guest is told, in every state, to every message. */
#include "harness.h"
#include "vmbus/protocol.h"
#include "wall/guest_memory.h"

#define RAM (64ull << 20)
#define VPS 4

struct fixture {
	struct gm_layout ram;
	struct vmbus_protocol p;
	struct vmbus_output out[600];
	unsigned count;
};

static void keep(void *owner, const struct vmbus_output *output)
{
	struct fixture *f = owner;

	if (f->count < ARRAY_COUNT(f->out))
		f->out[f->count++] = *output;
}

static void fixture_done(struct fixture **f)
{
	vmbus_protocol_done(&(*f)->p);
	free(*f);
}
#define FIXTURE __attribute__((cleanup(fixture_done))) struct fixture *

static struct fixture *fixture_new(void)
{
	struct fixture *f = calloc(1, sizeof *f);

	gm_layout_init(&f->ram, RAM, RAM);
	vmbus_protocol_init(&f->p, VPS, &f->ram, keep, f);
	return f;
}

static u32 type_of(const struct vmbus_output *out)
{
	struct vmbus_header h;

	if (out->kind != VMBUS_OUT_MESSAGE)
		return 0;
	memcpy(&h, out->message, sizeof h);
	return le32_get(h.type);
}

/* How many messages of a type went out since the log was emptied. */
static unsigned said(const struct fixture *f, u32 type)
{
	unsigned n = 0;

	for (unsigned k = 0; k < f->count; k++)
		n += type_of(&f->out[k]) == type;
	return n;
}

static unsigned did(const struct fixture *f, enum vmbus_output_kind kind)
{
	unsigned n = 0;

	for (unsigned k = 0; k < f->count; k++)
		n += f->out[k].kind == kind;
	return n;
}

/* ---- a guest's messages ---- */

static void post(struct fixture *f, u32 type, const void *message, u32 size)
{
	u8 bytes[VMBUS_MAX_MESSAGE] = { 0 };
	struct vmbus_header h = { .type = le32_of(type) };

	memcpy(bytes, message, size);
	memcpy(bytes, &h, sizeof h);
	vmbus_protocol_message(&f->p, VMBUS_CONNECTION_MULTI, bytes, size);
}

static void contact(struct fixture *f, u32 version, u32 vp)
{
	struct vmbus_initiate_contact m = { .version = le32_of(version),
					    .vp = le32_of(vp),
					    .sint = VMBUS_SINT };

	post(f, VMBUS_INITIATE_CONTACT, &m, sizeof m);
}

static void plain(struct fixture *f, u32 type)
{
	struct vmbus_header m = { 0 };

	post(f, type, &m, sizeof m);
}

static void about(struct fixture *f, u32 type, u32 relid)
{
	struct vmbus_relid_message m = { .relid = le32_of(relid) };

	post(f, type, &m, sizeof m);
}

static void gpadl(struct fixture *f, u32 relid, u32 id, u64 first_page, u32 pages)
{
	u8 bytes[VMBUS_MAX_MESSAGE];
	struct vmbus_gpadl_header m = { .relid = le32_of(relid),
					.gpadl = le32_of(id),
					.range_bytes = le16_of((u16)(8 + 8 * pages)),
					.range_count = le16_of(1) };
	u64 words[27] = { pages * 4096ull };
	u32 fit = pages < 26 ? pages : 26;

	for (u32 k = 0; k < fit; k++)
		words[1 + k] = first_page + k;
	memcpy(bytes, &m, sizeof m);
	memcpy(bytes + sizeof m, words, 8 + 8 * fit);
	post(f, VMBUS_GPADL_HEADER, bytes, (u32)sizeof m + 8 + 8 * fit);
}

static void gpadl_more(struct fixture *f, u32 id, u64 first_page, u32 pages)
{
	u8 bytes[VMBUS_MAX_MESSAGE];
	struct vmbus_gpadl_body m = { .gpadl = le32_of(id) };
	u64 words[28];

	for (u32 k = 0; k < pages; k++)
		words[k] = first_page + k;
	memcpy(bytes, &m, sizeof m);
	memcpy(bytes + sizeof m, words, 8 * pages);
	post(f, VMBUS_GPADL_BODY, bytes, (u32)sizeof m + 8 * pages);
}

static void teardown(struct fixture *f, u32 relid, u32 id)
{
	struct vmbus_gpadl_teardown m = { .relid = le32_of(relid), .gpadl = le32_of(id) };

	post(f, VMBUS_GPADL_TEARDOWN, &m, sizeof m);
}

static void open_channel(struct fixture *f, u32 relid, u32 id, u32 vp, u32 downstream)
{
	struct vmbus_open_message m = { .relid = le32_of(relid),
					.open_id = le32_of(77),
					.gpadl = le32_of(id),
					.vp = le32_of(vp),
					.downstream = le32_of(downstream) };

	post(f, VMBUS_OPEN, &m, sizeof m);
}

static void modify(struct fixture *f, u32 relid, u32 vp)
{
	struct vmbus_modify_channel m = { .relid = le32_of(relid), .vp = le32_of(vp) };

	post(f, VMBUS_MODIFY_CHANNEL, &m, sizeof m);
}

static u32 offer(struct fixture *f, u8 instance, u16 sub, u32 primary)
{
	struct vmbus_offer o = { .interface = VMBUS_GUID_SCSI,
				 .instance = { { instance } },
				 .sub_index = sub,
				 .primary = primary };
	u32 relid = 0;

	EXPECT_EQ(vmbus_protocol_offer(&f->p, &o, &relid), 0);
	return relid;
}

/* The status word of the last answer of a type: the last four bytes of all three of them. */
static u32 last_status(const struct fixture *f, u32 type)
{
	for (unsigned k = f->count; k > 0; k--) {
		const struct vmbus_output *out = &f->out[k - 1];
		le32 status;

		if (type_of(out) != type)
			continue;
		memcpy(&status, out->message + out->size - 4, sizeof status);
		return le32_get(status);
	}
	return 0x600d;
}

static void connect_guest(struct fixture *f)
{
	contact(f, VMBUS_5_3, 0);
	plain(f, VMBUS_REQUEST_OFFERS);
}

/* Relid 1, open on GPADL 5, eight pages, four each way. */
static void open_one(struct fixture *f)
{
	offer(f, 1, 0, 0);
	connect_guest(f);
	gpadl(f, 1, 5, 100, 8);
	open_channel(f, 1, 5, 0, 4);
	vmbus_protocol_opened(&f->p, 1, true);
}

/* ---- life as it should be ---- */

TEST(guest_connects_opens_closes_and_unloads)
{
	FIXTURE f = fixture_new();

	open_one(f);
	ASSERT_EQ(said(f, VMBUS_VERSION_RESPONSE), 1);
	ASSERT_EQ(said(f, VMBUS_OFFER), 1);
	ASSERT_EQ(said(f, VMBUS_ALL_OFFERS), 1);
	ASSERT_EQ(last_status(f, VMBUS_GPADL_CREATED), VMBUS_OK);
	ASSERT_EQ(last_status(f, VMBUS_OPEN_RESULT), VMBUS_OK);
	ASSERT_EQ(did(f, VMBUS_OUT_OPEN), 1);
	f->count = 0;
	about(f, VMBUS_CLOSE, 1);
	teardown(f, 1, 5);
	ASSERT_EQ(did(f, VMBUS_OUT_CLOSE), 1);
	ASSERT_EQ(said(f, VMBUS_GPADL_TORNDOWN), 0);
	vmbus_protocol_closed(&f->p, 1);
	ASSERT_EQ(said(f, VMBUS_GPADL_TORNDOWN), 1);
	plain(f, VMBUS_UNLOAD);
	ASSERT_EQ(said(f, VMBUS_UNLOAD_RESPONSE), 1);
	ASSERT_EQ(f->p.state, VMBUS_DISCONNECTED);
}

TEST(offer_has_the_layout_that_guests_know)
{
	FIXTURE f = fixture_new();
	struct vmbus_offer_message m;
	struct vmbus_output *out;

	offer(f, 9, 0, 0);
	connect_guest(f);
	out = &f->out[1];
	ASSERT_EQ(type_of(out), VMBUS_OFFER);
	ASSERT_EQ(out->size, 196);
	memcpy(&m, out->message, sizeof m);
	ASSERT_EQ(le32_get(m.relid), 1);
	ASSERT_EQ(le32_get(m.connection), 0x10001);
	ASSERT_EQ(le16_get(m.dedicated), 1);
	ASSERT_EQ(m.monitor_id, 0xff);
	ASSERT_EQ(m.interface.bytes[0], 0xd9);
	ASSERT_EQ(m.interface.bytes[3], 0xba);
}

TEST(every_version_that_linux_asks_is_spoken_and_no_other)
{
	static const u32 spoken[] = { 0x20004, 0x30000, 0x40000, 0x40001,
				      0x50000, 0x50001, 0x50002, 0x50003 };
	FIXTURE f = fixture_new();
	struct vmbus_version_response m;

	for (unsigned k = 0; k < ARRAY_COUNT(spoken); k++) {
		f->count = 0;
		contact(f, spoken[k], 0);
		memcpy(&m, f->out[0].message, sizeof m);
		ASSERT_EQ(m.supported, 1);
		ASSERT_EQ(le32_get(m.connection),
			  spoken[k] >= VMBUS_5_0 ? VMBUS_CONNECTION_MULTI : spoken[k]);
	}
	contact(f, 0x60000, 0);
	memcpy(&m, f->out[1].message, sizeof m);
	ASSERT_EQ(m.supported, 0);
	ASSERT_EQ(f->p.state, VMBUS_DISCONNECTED);
}

TEST(answers_go_to_the_processor_that_the_contact_named)
{
	FIXTURE f = fixture_new();

	contact(f, VMBUS_5_3, 3);
	ASSERT_EQ(f->out[0].vp, 3);
	/* One that is not there: refused, and told to processor 0. */
	contact(f, VMBUS_5_3, VPS);
	ASSERT_EQ(f->out[1].vp, 0);
	ASSERT_EQ(f->p.state, VMBUS_DISCONNECTED);
}

TEST(gpadl_of_many_messages_is_created_once_it_is_whole)
{
	FIXTURE f = fixture_new();
	u32 count = 0;

	offer(f, 1, 0, 0);
	connect_guest(f);
	gpadl(f, 1, 5, 100, 26 + 28 + 3);
	ASSERT_EQ(said(f, VMBUS_GPADL_CREATED), 0);
	gpadl_more(f, 5, 126, 28);
	ASSERT_EQ(said(f, VMBUS_GPADL_CREATED), 0);
	gpadl_more(f, 5, 154, 3);
	ASSERT_EQ(said(f, VMBUS_GPADL_CREATED), 1);
	ASSERT_EQ(last_status(f, VMBUS_GPADL_CREATED), VMBUS_OK);
	const u64 *page = gpadl_pages(gpadls_find(&f->p.gpadls, 1, 5), &count);
	ASSERT_EQ(count, 57);
	for (u32 k = 0; k < count; k++)
		ASSERT_EQ(page[k], 100 + k);
	/* What comes after the end belongs to nothing. */
	gpadl_more(f, 5, 0, 1);
	ASSERT_EQ(said(f, VMBUS_GPADL_CREATED), 1);
}

TEST(gpadl_of_pages_that_are_no_memory_is_refused)
{
	static const u64 bad[] = { RAM / 4096 - 1, RAM / 4096, (1ull << 52) - 1,
				   0xfee00,	   UINT64_MAX, 1ull << 40 };
	FIXTURE f = fixture_new();

	offer(f, 1, 0, 0);
	connect_guest(f);
	for (unsigned k = 0; k < ARRAY_COUNT(bad); k++) {
		f->count = 0;
		gpadl(f, 1, 5, bad[k], 2);
		ASSERT_EQ(said(f, VMBUS_GPADL_CREATED), 1);
		ASSERT_EQ(last_status(f, VMBUS_GPADL_CREATED), VMBUS_FAILED);
	}
	ASSERT_EQ(f->p.gpadls.count, 0);
	ASSERT_EQ(f->p.gpadls.words, 0);
}

TEST(gpadl_id_in_use_is_refused_and_the_first_stays)
{
	FIXTURE f = fixture_new();

	open_one(f);
	gpadl(f, 1, 5, 200, 8);
	ASSERT_EQ(last_status(f, VMBUS_GPADL_CREATED), VMBUS_FAILED);
	ASSERT_EQ(f->p.gpadls.count, 1);
	ASSERT_EQ(gpadls_find(&f->p.gpadls, 1, 5)->word[1], 100);
}

TEST(gpadls_beyond_the_limit_are_refused)
{
	FIXTURE f = fixture_new();

	offer(f, 1, 0, 0);
	connect_guest(f);
	for (u32 id = 1; id <= GPADLS_MAX + 10; id++) {
		f->count = 0;
		gpadl(f, 1, id, 100, 1);
		ASSERT_EQ(last_status(f, VMBUS_GPADL_CREATED),
			  id <= GPADLS_MAX ? VMBUS_OK : VMBUS_FAILED);
	}
	/* Half-assembled ones count as well: 8 MiB of words and no more. */
	plain(f, VMBUS_UNLOAD);
	connect_guest(f);
	for (u32 id = 1; id <= 600; id++)
		gpadl(f, 1, id, 100, 8190);
	ASSERT(f->p.gpadls.words <= GPADLS_MAX_WORDS);
	ASSERT_EQ(last_status(f, VMBUS_GPADL_CREATED), VMBUS_FAILED);
}

TEST(channel_opens_on_whole_pages_with_room_for_both_rings_only)
{
	static const struct {
		u32 gpadl, vp, downstream;
		u32 status;
	} row[] = {
		{ 5, 0, 0, VMBUS_FAILED },	 { 5, 0, 1, VMBUS_FAILED },
		{ 5, 0, 7, VMBUS_FAILED },	 { 5, 0, 8, VMBUS_FAILED },
		{ 5, 0, 9, VMBUS_FAILED },	 { 5, 0, ~0u, VMBUS_FAILED },
		{ 6, 0, 4, VMBUS_FAILED },	 { 5, VPS, 4, VMBUS_FAILED },
		{ 5, 0, 2, VMBUS_OK },		 { 5, 0, 6, VMBUS_OK },
		{ 5, VMBUS_NO_VP, 4, VMBUS_OK },
	};
	FIXTURE f = fixture_new();

	offer(f, 1, 0, 0);
	connect_guest(f);
	gpadl(f, 1, 5, 100, 8);
	for (unsigned k = 0; k < ARRAY_COUNT(row); k++) {
		f->count = 0;
		open_channel(f, 1, row[k].gpadl, row[k].vp, row[k].downstream);
		vmbus_protocol_opened(&f->p, 1, true);
		ASSERT_EQ(said(f, VMBUS_OPEN_RESULT), 1);
		ASSERT_EQ(last_status(f, VMBUS_OPEN_RESULT), row[k].status);
		about(f, VMBUS_CLOSE, 1);
		vmbus_protocol_closed(&f->p, 1);
	}
}

TEST(gpadl_of_another_channel_opens_nothing)
{
	FIXTURE f = fixture_new();

	offer(f, 1, 0, 0);
	offer(f, 2, 0, 0);
	connect_guest(f);
	gpadl(f, 1, 5, 100, 8);
	open_channel(f, 2, 5, 0, 4);
	ASSERT_EQ(last_status(f, VMBUS_OPEN_RESULT), VMBUS_FAILED);
}

TEST(rescinded_channel_closes_and_its_number_comes_back_after_release)
{
	FIXTURE f = fixture_new();

	open_one(f);
	f->count = 0;
	vmbus_protocol_revoke(&f->p, 1);
	ASSERT_EQ(said(f, VMBUS_RESCIND), 1);
	ASSERT_EQ(did(f, VMBUS_OUT_CLOSE), 1);
	vmbus_protocol_closed(&f->p, 1);
	ASSERT_EQ(did(f, VMBUS_OUT_GONE), 0);
	/* Meanwhile nobody else gets it. */
	ASSERT_EQ(offer(f, 2, 0, 0), 2);
	open_channel(f, 1, 5, 0, 4);
	ASSERT_EQ(said(f, VMBUS_OPEN_RESULT), 0);
	teardown(f, 1, 5);
	ASSERT_EQ(said(f, VMBUS_GPADL_TORNDOWN), 1);
	about(f, VMBUS_RELID_RELEASED, 1);
	ASSERT_EQ(did(f, VMBUS_OUT_GONE), 1);
	ASSERT_EQ(offer(f, 1, 0, 0), 1);
}

TEST(release_before_the_host_has_closed_waits_for_it)
{
	FIXTURE f = fixture_new();

	open_one(f);
	vmbus_protocol_revoke(&f->p, 1);
	about(f, VMBUS_RELID_RELEASED, 1);
	ASSERT_EQ(did(f, VMBUS_OUT_GONE), 0);
	vmbus_protocol_closed(&f->p, 1);
	ASSERT_EQ(did(f, VMBUS_OUT_GONE), 1);
	ASSERT_EQ(f->p.gpadls.count, 0);
}

TEST(sub_channels_go_with_their_primary)
{
	FIXTURE f = fixture_new();

	open_one(f);
	ASSERT_EQ(offer(f, 1, 1, 1), 2);
	ASSERT_EQ(offer(f, 1, 2, 1), 3);
	f->count = 0;
	about(f, VMBUS_CLOSE, 1);
	ASSERT_EQ(said(f, VMBUS_RESCIND), 2);
	vmbus_protocol_closed(&f->p, 1);
	about(f, VMBUS_RELID_RELEASED, 2);
	about(f, VMBUS_RELID_RELEASED, 3);
	ASSERT_EQ(did(f, VMBUS_OUT_GONE), 2);
	ASSERT_EQ(offer(f, 1, 1, 1), 2);
}

TEST(contact_while_connected_closes_everything_before_it_is_answered)
{
	FIXTURE f = fixture_new();

	open_one(f);
	f->count = 0;
	contact(f, VMBUS_4_0, 1);
	ASSERT_EQ(did(f, VMBUS_OUT_CLOSE), 1);
	ASSERT_EQ(said(f, VMBUS_VERSION_RESPONSE), 0);
	/* The guest is impatient and unloads, then comes again: both are answered, in order. */
	plain(f, VMBUS_UNLOAD);
	contact(f, VMBUS_5_3, 2);
	ASSERT_EQ(f->count, 1);
	vmbus_protocol_closed(&f->p, 1);
	ASSERT_EQ(type_of(&f->out[1]), VMBUS_UNLOAD_RESPONSE);
	ASSERT_EQ(f->out[1].vp, 0);
	ASSERT_EQ(type_of(&f->out[2]), VMBUS_VERSION_RESPONSE);
	ASSERT_EQ(f->out[2].vp, 2);
	ASSERT_EQ(f->p.gpadls.count, 0);
	plain(f, VMBUS_REQUEST_OFFERS);
	ASSERT_EQ(said(f, VMBUS_OFFER), 1);
}

TEST(close_while_the_host_still_opens_closes_afterwards)
{
	FIXTURE f = fixture_new();

	offer(f, 1, 0, 0);
	connect_guest(f);
	gpadl(f, 1, 5, 100, 8);
	open_channel(f, 1, 5, 0, 4);
	about(f, VMBUS_CLOSE, 1);
	ASSERT_EQ(did(f, VMBUS_OUT_CLOSE), 0);
	vmbus_protocol_opened(&f->p, 1, true);
	ASSERT_EQ(did(f, VMBUS_OUT_CLOSE), 1);
	vmbus_protocol_closed(&f->p, 1);
	ASSERT_EQ(f->p.slot[1].state, VMBUS_CHANNEL_CLOSED);
}

TEST(device_that_fails_to_open_leaves_the_channel_closed)
{
	FIXTURE f = fixture_new();

	offer(f, 1, 0, 0);
	connect_guest(f);
	gpadl(f, 1, 5, 100, 8);
	open_channel(f, 1, 5, 0, 4);
	vmbus_protocol_opened(&f->p, 1, false);
	ASSERT_EQ(last_status(f, VMBUS_OPEN_RESULT), VMBUS_FAILED);
	teardown(f, 1, 5);
	ASSERT_EQ(said(f, VMBUS_GPADL_TORNDOWN), 1);
}

TEST(list_that_a_device_holds_is_torn_down_when_it_lets_go)
{
	FIXTURE f = fixture_new();
	struct gpadl *g;

	open_one(f);
	gpadl(f, 1, 6, 200, 2);
	g = vmbus_protocol_hold(&f->p, 1, 6);
	ASSERT(g);
	teardown(f, 1, 6);
	teardown(f, 1, 6);
	ASSERT_EQ(said(f, VMBUS_GPADL_TORNDOWN), 0);
	ASSERT(!vmbus_protocol_hold(&f->p, 1, 6));
	vmbus_protocol_let_go(&f->p, g);
	ASSERT_EQ(said(f, VMBUS_GPADL_TORNDOWN), 1);
}

TEST(target_processor_changes_and_the_guest_hears_it_since_5_3)
{
	FIXTURE f = fixture_new();

	open_one(f);
	f->count = 0;
	modify(f, 1, 2);
	ASSERT_EQ(did(f, VMBUS_OUT_RETARGET), 1);
	ASSERT_EQ(last_status(f, VMBUS_MODIFY_RESPONSE), VMBUS_OK);
	modify(f, 1, VPS);
	ASSERT_EQ(last_status(f, VMBUS_MODIFY_RESPONSE), VMBUS_FAILED);
	ASSERT_EQ(f->p.slot[1].vp, 2);
	modify(f, 2, 0);
	ASSERT_EQ(said(f, VMBUS_MODIFY_RESPONSE), 3);
}

TEST(two_primaries_of_one_name_are_refused)
{
	FIXTURE f = fixture_new();
	struct vmbus_offer o = { .interface = VMBUS_GUID_SCSI };
	u32 relid;

	ASSERT_EQ(vmbus_protocol_offer(&f->p, &o, &relid), 0);
	ASSERT_ERR(vmbus_protocol_offer(&f->p, &o, &relid), EEXIST);
	o.sub_index = 1;
	o.primary = 9;
	ASSERT_ERR(vmbus_protocol_offer(&f->p, &o, &relid), ENOENT);
	for (unsigned k = 1; k < VMBUS_MAX_CHANNELS; k++) {
		o = (struct vmbus_offer){ .instance = { { (u8)k, (u8)(k >> 8) } } };
		ASSERT_EQ(vmbus_protocol_offer(&f->p, &o, &relid), 0);
	}
	o = (struct vmbus_offer){ .instance = { { 0, 0, 1 } } };
	ASSERT_ERR(vmbus_protocol_offer(&f->p, &o, &relid), ENOSPC);
}

TEST(reset_of_the_guest_forgets_everything_without_a_word)
{
	FIXTURE f = fixture_new();

	open_one(f);
	offer(f, 1, 1, 1);
	f->count = 0;
	vmbus_protocol_reset(&f->p);
	ASSERT_EQ(f->count, 1); /* the sub-channel is gone */
	ASSERT_EQ(f->out[0].kind, VMBUS_OUT_GONE);
	ASSERT_EQ(f->p.gpadls.count, 0);
	connect_guest(f);
	ASSERT_EQ(said(f, VMBUS_OFFER), 1);
}

/* ---- every state, every message ---- */

enum state {
	NOT_THERE,
	CONNECTED,
	OFFERED, /* channel 1 closed, GPADL 5 made */
	OPENING,
	OPEN,
	CLOSING,
	RESCINDED,
	LEAVING,
	STATES,
};

static struct fixture *in_state(enum state state)
{
	struct fixture *f = fixture_new();

	offer(f, 1, 0, 0);
	if (state == NOT_THERE)
		return f;
	contact(f, VMBUS_5_3, 0);
	if (state == CONNECTED)
		return f;
	plain(f, VMBUS_REQUEST_OFFERS);
	gpadl(f, 1, 5, 100, 8);
	if (state == OFFERED)
		return f;
	open_channel(f, 1, 5, 0, 4);
	if (state == OPENING)
		return f;
	vmbus_protocol_opened(&f->p, 1, true);
	if (state == CLOSING)
		about(f, VMBUS_CLOSE, 1);
	if (state == RESCINDED) {
		vmbus_protocol_revoke(&f->p, 1);
		vmbus_protocol_closed(&f->p, 1);
	}
	if (state == LEAVING)
		plain(f, VMBUS_UNLOAD);
	return f;
}

/* Each message, valid in itself, about channel 1 and GPADL 5 (the second header: 6). */
static void say(struct fixture *f, u32 type)
{
	u8 whole[VMBUS_MAX_MESSAGE] = { 0 };

	switch (type) {
	case VMBUS_INITIATE_CONTACT:
		contact(f, VMBUS_5_3, 0);
		return;
	case VMBUS_OPEN:
		open_channel(f, 1, 5, 0, 4);
		return;
	case VMBUS_CLOSE:
	case VMBUS_RELID_RELEASED:
	case VMBUS_CLOSE_RESERVED:
		about(f, type, 1);
		return;
	case VMBUS_GPADL_HEADER:
		gpadl(f, 1, 6, 300, 8);
		return;
	case VMBUS_GPADL_BODY:
		gpadl_more(f, 5, 300, 8);
		return;
	case VMBUS_GPADL_TEARDOWN:
		teardown(f, 1, 5);
		return;
	case VMBUS_MODIFY_CHANNEL:
		modify(f, 1, 1);
		return;
	case VMBUS_REQUEST_OFFERS:
	case VMBUS_UNLOAD:
		plain(f, type);
		return;
	default:
		post(f, type, whole, sizeof whole);
	}
}

/*
 * The answer that each message gets at once in each state: its type, negative where its status
 * says failure, 0 where there is none. "-" in a comment: what waits for the host.
 */
static const s8 answers[STATES][VMBUS_MESSAGE_TYPES] = {
	[NOT_THERE] = { [VMBUS_INITIATE_CONTACT] = VMBUS_VERSION_RESPONSE,
			[VMBUS_UNLOAD] = VMBUS_UNLOAD_RESPONSE },
	[CONNECTED] = { [VMBUS_INITIATE_CONTACT] = VMBUS_VERSION_RESPONSE,
			[VMBUS_UNLOAD] = VMBUS_UNLOAD_RESPONSE,
			[VMBUS_REQUEST_OFFERS] = VMBUS_ALL_OFFERS,
			[VMBUS_OPEN] = -VMBUS_OPEN_RESULT,
			[VMBUS_GPADL_HEADER] = -VMBUS_GPADL_CREATED,
			[VMBUS_GPADL_TEARDOWN] = VMBUS_GPADL_TORNDOWN,
			[VMBUS_CLOSE_RESERVED] = VMBUS_CLOSE_RESERVED_RESPONSE,
			[VMBUS_TL_CONNECT] = -VMBUS_TL_CONNECT_RESULT,
			[VMBUS_MODIFY_CHANNEL] = -VMBUS_MODIFY_RESPONSE },
	[OFFERED] = { [VMBUS_INITIATE_CONTACT] = VMBUS_VERSION_RESPONSE,
		      [VMBUS_UNLOAD] = VMBUS_UNLOAD_RESPONSE,
		      [VMBUS_OPEN] = 0 /* - */,
		      [VMBUS_GPADL_HEADER] = VMBUS_GPADL_CREATED,
		      [VMBUS_GPADL_TEARDOWN] = VMBUS_GPADL_TORNDOWN,
		      [VMBUS_CLOSE_RESERVED] = VMBUS_CLOSE_RESERVED_RESPONSE,
		      [VMBUS_TL_CONNECT] = -VMBUS_TL_CONNECT_RESULT,
		      [VMBUS_MODIFY_CHANNEL] = -VMBUS_MODIFY_RESPONSE },
	[OPENING] = { [VMBUS_OPEN] = -VMBUS_OPEN_RESULT,
		      [VMBUS_GPADL_HEADER] = VMBUS_GPADL_CREATED,
		      [VMBUS_CLOSE_RESERVED] = VMBUS_CLOSE_RESERVED_RESPONSE,
		      [VMBUS_TL_CONNECT] = -VMBUS_TL_CONNECT_RESULT,
		      [VMBUS_MODIFY_CHANNEL] = -VMBUS_MODIFY_RESPONSE },
	[OPEN] = { [VMBUS_OPEN] = -VMBUS_OPEN_RESULT,
		   [VMBUS_GPADL_HEADER] = VMBUS_GPADL_CREATED,
		   [VMBUS_CLOSE_RESERVED] = VMBUS_CLOSE_RESERVED_RESPONSE,
		   [VMBUS_TL_CONNECT] = -VMBUS_TL_CONNECT_RESULT,
		   [VMBUS_MODIFY_CHANNEL] = VMBUS_MODIFY_RESPONSE },
	[CLOSING] = { [VMBUS_OPEN] = -VMBUS_OPEN_RESULT,
		      [VMBUS_GPADL_HEADER] = VMBUS_GPADL_CREATED,
		      [VMBUS_CLOSE_RESERVED] = VMBUS_CLOSE_RESERVED_RESPONSE,
		      [VMBUS_TL_CONNECT] = -VMBUS_TL_CONNECT_RESULT,
		      [VMBUS_MODIFY_CHANNEL] = -VMBUS_MODIFY_RESPONSE },
	[RESCINDED] = { [VMBUS_INITIATE_CONTACT] = VMBUS_VERSION_RESPONSE,
			[VMBUS_UNLOAD] = VMBUS_UNLOAD_RESPONSE,
			[VMBUS_OPEN] = 0 /* the guest has been told */,
			[VMBUS_GPADL_HEADER] = VMBUS_GPADL_CREATED,
			[VMBUS_GPADL_TEARDOWN] = VMBUS_GPADL_TORNDOWN,
			[VMBUS_CLOSE_RESERVED] = VMBUS_CLOSE_RESERVED_RESPONSE,
			[VMBUS_TL_CONNECT] = -VMBUS_TL_CONNECT_RESULT,
			[VMBUS_MODIFY_CHANNEL] = -VMBUS_MODIFY_RESPONSE },
	[LEAVING] = { 0 },
};

static s8 answer_of(const struct fixture *f)
{
	for (unsigned k = f->count; k > 0; k--) {
		u32 type = type_of(&f->out[k - 1]);
		bool has_status =
			type == VMBUS_OPEN_RESULT || type == VMBUS_GPADL_CREATED ||
			type == VMBUS_MODIFY_RESPONSE || type == VMBUS_TL_CONNECT_RESULT;

		if (type != 0)
			return (s8)(has_status && last_status(f, type) != VMBUS_OK
					    ? -(int)type
					    : (int)type);
	}
	return 0;
}

TEST(every_message_has_its_answer_in_every_state)
{
	for (unsigned state = 0; state < STATES; state++) {
		for (u32 type = 0; type < VMBUS_MESSAGE_TYPES; type++) {
			FIXTURE f = in_state((enum state)state);

			f->count = 0;
			say(f, type);
			if (answer_of(f) != answers[state][type])
				FAIL("state %u, message %u: answer %d, not %d", state,
				     type, answer_of(f), answers[state][type]);
		}
	}
}

TEST(message_that_is_cut_short_changes_nothing)
{
	static const u32 whole[VMBUS_MESSAGE_TYPES] = {
		[VMBUS_REQUEST_OFFERS] = 8,  [VMBUS_OPEN] = 148,
		[VMBUS_CLOSE] = 12,	     [VMBUS_GPADL_HEADER] = 20,
		[VMBUS_GPADL_BODY] = 16,     [VMBUS_GPADL_TEARDOWN] = 16,
		[VMBUS_RELID_RELEASED] = 12, [VMBUS_INITIATE_CONTACT] = 40,
		[VMBUS_UNLOAD] = 8,	     [VMBUS_OPEN_RESERVED] = 8,
		[VMBUS_CLOSE_RESERVED] = 12, [VMBUS_TL_CONNECT] = 40,
		[VMBUS_MODIFY_CHANNEL] = 16,
	};
	FIXTURE f = in_state(OPEN);
	u8 bytes[VMBUS_MAX_MESSAGE] = { 0 };

	f->count = 0;
	for (u32 type = 0; type < VMBUS_MESSAGE_TYPES; type++) {
		bytes[0] = (u8)type;
		for (u32 size = 0; size < whole[type]; size++)
			vmbus_protocol_message(&f->p, 1, bytes, size);
	}
	ASSERT_EQ(f->count, 0);
	ASSERT_EQ(f->p.slot[1].state, VMBUS_CHANNEL_OPEN);
}

/* Whatever the two sides do, in whatever order, a guest that leaves gets its answer. */
TEST(any_walk_through_the_states_ends_with_an_unload_that_is_answered)
{
	u32 random = 20261122;

	for (unsigned walk = 0; walk < 2000; walk++) {
		FIXTURE f = in_state((enum state)(walk % STATES));

		for (unsigned step = 0; step < 40; step++) {
			random = random * 1664525 + 1013904223;
			f->count = 0;
			switch (random >> 24 & 7) {
			case 0:
				vmbus_protocol_opened(&f->p, 1, random >> 20 & 1);
				break;
			case 1:
				vmbus_protocol_closed(&f->p, 1);
				break;
			case 2:
				if (random >> 16 & 1)
					vmbus_protocol_revoke(&f->p, 1);
				break;
			default:
				say(f, random >> 8 & 31);
			}
			ASSERT(f->count < 8);
		}
		f->count = 0;
		plain(f, VMBUS_UNLOAD);
		vmbus_protocol_opened(&f->p, 1, true);
		vmbus_protocol_closed(&f->p, 1);
		ASSERT_EQ(said(f, VMBUS_UNLOAD_RESPONSE), 1);
		ASSERT_EQ(f->p.gpadls.count, 0);
	}
}
