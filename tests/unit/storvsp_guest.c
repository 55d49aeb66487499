/* SPDX-License-Identifier: Apache-2.0 */
/* vsp/storvsp.h against the driver of a mini-guest. */
#include "harness.h"
#include "miniguest/ministor.h"
#include "state/record.h"

#define MIB (1ull << 20)

static void free_stor(struct ministor **s)
{
	ministor_free(*s);
}
#define STOR __attribute__((cleanup(free_stor))) struct ministor *

static const u8 test_unit_ready[16] = { SCSI_TEST_UNIT_READY };

static u8 ready(struct ministor *s, u8 lun)
{
	return ministor_command(s, lun, test_unit_ready, 6, STORVSP_NO_DATA, 0).srb_status;
}

static u32 step(struct ministor *s, u32 operation, u16 number)
{
	struct storvsp_packet packet = { .sub_channels = le16_of(number) };

	return ministor_step(s, operation, &packet);
}

/* Opened, no step taken. */
static bool open_only(struct ministor *s)
{
	struct vmbus_offer_message offer;

	return mini_connect(s->mini, VMBUS_5_3) && mini_take_offer(s->mini, &offer) &&
	       (mini_forget(s->mini),
		mini_open(s->mini, le32_get(offer.relid), 32, 32, &s->channel));
}

/* A guest that has taken all steps, with a disk of that size as unit 0. */
static struct ministor *started(u16 sub_channels, u64 size)
{
	struct ministor *s = ministor_new(sub_channels);

	ministor_add(s, 0, size);
	EXPECT(ministor_start(s));
	return s;
}

/* Reads that take a while, numbered from 0. */
static bool send_large_reads(struct ministor *s, unsigned count)
{
	const u8 cdb[16] = { SCSI_READ_10, [8] = 255 };

	for (unsigned k = 0; k < count; k++)
		CHECK(ministor_send(&s->channel, k, 0, cdb, 10, STORVSP_READ,
				    s->data_page, 255 * 512));
	return true;
}

TEST(steps_are_taken_in_their_order_only)
{
	STOR s = ministor_new(2);

	ASSERT(open_only(s));
	ASSERT_EQ(step(s, STORVSP_END_INIT, 0), STORVSP_INVALID_STATE);
	ASSERT_EQ(step(s, STORVSP_QUERY_VERSION, STORVSP_WIN10), STORVSP_INVALID_STATE);
	ASSERT_EQ(step(s, STORVSP_EXECUTE_SRB, 0), STORVSP_INVALID_STATE);
	ASSERT_EQ(step(s, STORVSP_BEGIN_INIT, 0), STORVSP_OK);
	ASSERT_EQ(step(s, STORVSP_QUERY_PROPERTIES, 0), STORVSP_INVALID_STATE);
	ASSERT_EQ(step(s, STORVSP_QUERY_VERSION, 0x0700), STORVSP_REVISION_MISMATCH);
	ASSERT_EQ(step(s, STORVSP_QUERY_VERSION, STORVSP_WIN10), STORVSP_OK);
	ASSERT_EQ(step(s, STORVSP_END_INIT, 0), STORVSP_INVALID_STATE);
	ASSERT_EQ(step(s, STORVSP_CREATE_SUB_CHANNELS, 1), STORVSP_INVALID_STATE);
	ASSERT_EQ(step(s, STORVSP_QUERY_PROPERTIES, 0), STORVSP_OK);
	ASSERT_EQ(step(s, STORVSP_END_INIT, 0), STORVSP_OK);
	ASSERT_EQ(step(s, STORVSP_END_INIT, 0), STORVSP_INVALID_STATE);
	ASSERT_EQ(step(s, STORVSP_FCHBA_DATA, 0), STORVSP_INVALID_PARAMETER);
	ASSERT_EQ(step(s, 77, 0), STORVSP_INVALID_PARAMETER);
}

TEST(properties_tell_sub_channels_and_the_largest_transfer)
{
	STOR s = ministor_new(3);
	struct storvsp_packet packet = { 0 };

	ASSERT(open_only(s));
	ASSERT_EQ(step(s, STORVSP_BEGIN_INIT, 0), STORVSP_OK);
	ASSERT_EQ(step(s, STORVSP_QUERY_VERSION, STORVSP_WIN8), STORVSP_OK);
	ASSERT_EQ(ministor_step(s, STORVSP_QUERY_PROPERTIES, &packet), STORVSP_OK);
	ASSERT_EQ(le16_get(packet.properties.max_sub_channels), 3);
	ASSERT_EQ(le32_get(packet.properties.flags), STORVSP_MULTI_CHANNEL);
	ASSERT_EQ(le32_get(packet.properties.max_transfer), 1 << 20);
}

TEST(data_goes_to_the_disk_and_comes_back_up_to_the_largest_transfer)
{
	STOR s = started(0, 64 * MIB);
	u8 *data = ministor_data(s);

	for (u32 size = 512; size <= MIB; size = size * 3 / 512 * 512) {
		for (u32 k = 0; k < size; k++)
			data[k] = (u8)(k * 7 + size);
		ASSERT(ministor_write(s, 0, 100, size, true));
		memset(data, 0, size);
		ASSERT(ministor_read(s, 0, 100, size));
		for (u32 k = 0; k < size; k++)
			ASSERT_EQ(data[k], (u8)(k * 7 + size));
	}
	ASSERT(ministor_flush(s, 0));
	/* The pages that were read into are marked for a copier. */
	atomic_store(&s->mini->hv->dirty[s->data_page], 0);
	ASSERT(ministor_read(s, 0, 0, 4096));
	ASSERT_EQ(s->mini->hv->dirty[s->data_page], 1);
	ASSERT_EQ(s->mini->hv->dirty[s->data_page - 1], 0);
}

TEST(absent_units_are_no_phantoms)
{
	STOR s = ministor_new(0);
	u8 *data = ministor_data(s);
	const u8 inquiry[16] = { SCSI_INQUIRY, 0, 0, 0, 36 };
	const u8 report[16] = { SCSI_REPORT_LUNS, [8] = 4, [9] = 0 };
	struct ministor_result r;

	ministor_add(s, 3, MIB);
	ministor_add(s, 63, MIB);
	ASSERT(ministor_start(s));
	memset(data, 0, 64);
	r = ministor_command(s, 0, inquiry, 6, STORVSP_READ, 36);
	ASSERT_EQ(r.srb_status, SRB_SUCCESS);
	ASSERT_EQ(r.moved, 36);
	ASSERT_EQ(data[0], 0x7f);
	ASSERT_EQ(ready(s, 0), SRB_INVALID_LUN);
	ASSERT_EQ(ready(s, 64), SRB_INVALID_LUN);
	ASSERT_EQ(ready(s, 255), SRB_INVALID_LUN);
	ASSERT_EQ(ready(s, 63), SRB_SUCCESS);
	r = ministor_command(s, 0, report, 12, STORVSP_READ, 1024);
	ASSERT_EQ(r.moved, 24);
	ASSERT_EQ(be32_at(data), 16);
	ASSERT_EQ(data[9], 3);
	ASSERT_EQ(data[17], 63);
	/* Room for the header alone. */
	r = ministor_command(s, 0, (u8[16]){ SCSI_REPORT_LUNS, [9] = 4 }, 12,
			     STORVSP_READ, 4);
	ASSERT_EQ(r.moved, 4);
}

TEST(requests_that_make_no_sense_are_answered_as_invalid)
{
	STOR s = started(0, MIB);
	u64 page = s->data_page;

	const u8 cdb[16] = { SCSI_READ_10, [8] = 1 };
	ASSERT_EQ(ministor_command(s, 0, cdb, 0, STORVSP_NO_DATA, 0).srb_status,
		  SRB_INVALID_REQUEST);
	ASSERT_EQ(ministor_command(s, 0, cdb, 17, STORVSP_NO_DATA, 0).srb_status,
		  SRB_INVALID_REQUEST);
	ASSERT_EQ(ministor_command(s, 0, cdb, 255, STORVSP_NO_DATA, 0).srb_status,
		  SRB_INVALID_REQUEST);
	ASSERT_EQ(ministor_command(s, 0, cdb, 10, 3, 512).srb_status,
		  SRB_INVALID_REQUEST);
	/* Pages that are not there: past RAM, and so far away that the address wraps. */
	static const u64 bad[] = { MINI_RAM / VMBUS_PAGE, (1ull << 52) - 1, 1ull << 52,
				   UINT64_MAX, 0xfee00 };
	for (unsigned k = 0; k < ARRAY_COUNT(bad); k++) {
		s->data_page = bad[k];
		ASSERT_EQ(ministor_command(s, 0, cdb, 10, STORVSP_READ, 512).srb_status,
			  SRB_INVALID_REQUEST);
	}
	s->data_page = page;
	ASSERT(ministor_read(s, 0, 0, 512));
}

/* A packet whose ranges are the test's. */
static u8 send_ranges(struct ministor *s, u32 count, const u64 *word, u32 words,
		      u32 transfer)
{
	u8 bytes[4096 + 80];
	const struct vmbus_gpa_direct h = { .range_count = le32_of(count) };
	struct storvsp_packet packet = {
		.operation = le32_of(STORVSP_EXECUTE_SRB),
		.request = { .cdb_size = 10,
			     .data_in = STORVSP_READ,
			     .transfer = le32_of(transfer),
			     .cdb = { SCSI_READ_10, [7] = (u8)(transfer / 512 >> 8),
				      [8] = (u8)(transfer / 512) } },
	};

	memcpy(bytes, &h, sizeof h);
	memcpy(bytes + 8, word, words * 8ul);
	memcpy(bytes + 8 + words * 8ul, &packet, sizeof packet);
	if (!mini_send(&s->channel, VMBUS_PACKET_GPA_DIRECT, 1, 9, bytes, 72 + words * 8,
		       24 + words * 8) ||
	    mini_wait(&s->channel, bytes, sizeof bytes) != 80)
		return 0;
	return bytes[16 + 12 + 2];
}

TEST(ranges_of_any_shape_are_checked_before_a_byte_moves)
{
	STOR s = started(0, MIB);
	u64 p = s->data_page;
	u8 *data = ministor_data(s);

	memset(data, 0xee, 16384);
	/* Two ranges with offsets: 512 bytes at the end of one page, 512 within the next. */
	ASSERT_EQ(send_ranges(s, 2,
			      (u64[]){ 3584ull << 32 | 512, p, 8ull << 32 | 512, p + 1 },
			      4, 1024),
		  SRB_SUCCESS);
	ASSERT_EQ(data[3583], 0xee);
	ASSERT_EQ(data[3584], 0);
	ASSERT_EQ(data[4096], 0xee);
	ASSERT_EQ(data[4104], 0);
	ASSERT_EQ(data[4616], 0xee);
	/* One page again and again. */
	ASSERT_EQ(send_ranges(s, 1, (u64[]){ 16384, p, p, p, p }, 5, 16384), SRB_SUCCESS);
	/* Fewer pages than the size needs, an offset beyond a page, a size of 0, no range. */
	ASSERT_EQ(send_ranges(s, 1, (u64[]){ 8192, p }, 2, 8192), SRB_INVALID_REQUEST);
	ASSERT_EQ(send_ranges(s, 1, (u64[]){ 4096ull << 32 | 512, p }, 2, 512),
		  SRB_INVALID_REQUEST);
	ASSERT_EQ(send_ranges(s, 1, (u64[]){ 0, p }, 2, 512), SRB_INVALID_REQUEST);
	ASSERT_EQ(send_ranges(s, 0, (u64[]){ 512, p }, 2, 512), SRB_INVALID_REQUEST);
	ASSERT_EQ(send_ranges(s, 0xffffffff, (u64[]){ 512, p }, 2, 1024),
		  SRB_INVALID_REQUEST);
	/* A transfer larger than the ranges, or than we take. */
	ASSERT_EQ(send_ranges(s, 1, (u64[]){ 512, p }, 2, 1024), SRB_INVALID_REQUEST);
	ASSERT_EQ(send_ranges(s, 1, (u64[]){ 0xffffffff, p }, 2, 0xfffffe00),
		  SRB_INVALID_REQUEST);
}

TEST(many_requests_at_once_are_all_answered_once)
{
	STOR s = started(0, 64 * MIB);
	const u8 cdb[16] = { SCSI_READ_10, [8] = 8 };
	bool seen[2000] = { 0 };
	unsigned sent = 0, got = 0;
	u8 bytes[128];

	while (got < 2000) {
		while (sent < 2000 && ministor_send(&s->channel, sent, 0, cdb, 10,
						    STORVSP_READ, s->data_page, 4096))
			sent++;
		ASSERT_EQ(mini_wait(&s->channel, bytes, sizeof bytes), 80);
		u64 transaction;
		memcpy(&transaction, bytes + 8, sizeof transaction);
		ASSERT(transaction < sent && !seen[transaction]);
		seen[transaction] = true;
		got++;
	}
}

/* As many as the host takes while nobody reads its answers: some find no room. */
static bool is_idle(void *owner)
{
	return storvsp_unit(owner, 0)->in_flight == 0;
}

static unsigned send_until_full(struct ministor *s, unsigned sent, unsigned most)
{
	const u8 cdb[16] = { SCSI_READ_10, [8] = 8 };
	unsigned before;

	do {
		before = sent;
		while (sent < most && ministor_send(&s->channel, sent, 0, cdb, 10,
						    STORVSP_READ, s->data_page, 4096))
			sent++;
		EXPECT(mini_until(s->mini, is_idle, s->storvsp));
	} while (sent > before);
	return sent;
}

TEST(guest_that_reads_no_answers_costs_a_bounded_number_of_requests)
{
	STOR s = started(0, 64 * MIB);
	unsigned sent, got = 0;
	u8 bytes[128];

	/* As long as the host takes some: its ring of answers fills, then it stops reading. */
	sent = send_until_full(s, 0, UINT32_MAX);
	/* More than both rings hold: the host has the others, at most one answer too many each. */
	ASSERT(sent > 2 * 1100);
	ASSERT(sent < 2 * 1500 + STORVSP_IN_FLIGHT);
	while (got < sent) {
		ASSERT_EQ(mini_wait(&s->channel, bytes, sizeof bytes), 80);
		got++;
	}
}

/* ---- sub-channels ---- */

TEST(sub_channels_take_requests_and_go_with_the_primary)
{
	STOR s = started(2, MIB);
	struct vmbus_offer_message offer[2];
	struct mini_channel sub[2];
	u8 bytes[128];

	ASSERT_EQ(step(s, STORVSP_CREATE_SUB_CHANNELS, 3), STORVSP_INVALID_PARAMETER);
	ASSERT_EQ(step(s, STORVSP_CREATE_SUB_CHANNELS, 2), STORVSP_OK);
	for (unsigned k = 0; k < 2; k++) {
		ASSERT(mini_take_offer(s->mini, &offer[k]));
		ASSERT_EQ(le16_get(offer[k].sub_index), k + 1);
		ASSERT_MEM(offer[k].instance.bytes, "\x5c\x51", 2);
	}
	for (unsigned k = 0; k < 2; k++) {
		ASSERT(mini_open(s->mini, le32_get(offer[k].relid), 8, 8, &sub[k]));
		ASSERT(ministor_send(&sub[k], 70 + k, 0,
				     (u8[16]){ SCSI_READ_10, [8] = 1 }, 10, STORVSP_READ,
				     s->data_page, 512));
		ASSERT_EQ(mini_wait(&sub[k], bytes, sizeof bytes), 80);
		ASSERT_EQ(bytes[8], 70 + k);
		ASSERT_EQ(bytes[16 + 12 + 2], SRB_SUCCESS);
	}
	/* Asked again: they are there. */
	ASSERT_EQ(step(s, STORVSP_CREATE_SUB_CHANNELS, 2), STORVSP_OK);
	ASSERT_EQ(s->mini->message_count, 0);
	mini_close(&s->channel);
	struct vmbus_relid_message m;
	ASSERT(mini_take(s->mini, VMBUS_RESCIND, &m, sizeof m));
	ASSERT(mini_take(s->mini, VMBUS_RESCIND, &m, sizeof m));
	for (unsigned k = 0; k < 2; k++) {
		ASSERT(mini_close_and_wait(&sub[k]));
		m.relid = offer[k].relid;
		mini_post(s->mini, VMBUS_RELID_RELEASED, &m, sizeof m);
	}
	/* And a guest that comes back finds everything again. */
	ASSERT(mini_unload(s->mini));
	ASSERT(ministor_start(s));
	ASSERT_EQ(step(s, STORVSP_CREATE_SUB_CHANNELS, 1), STORVSP_OK);
	ASSERT(mini_take_offer(s->mini, &offer[0]));
}

/* ---- what comes and goes ---- */

/* The next packet must be the host's wish that the bus be looked at. */
static bool take_enumerate(struct ministor *s)
{
	u8 bytes[128];

	return mini_receive(&s->channel, bytes, sizeof bytes) == 80 &&
	       bytes[0] == VMBUS_PACKET_INBAND && bytes[6] == 0 &&
	       bytes[16] == STORVSP_ENUMERATE_BUS;
}

static void on_detached(void *owner, struct scsi_unit *unit)
{
	*(struct scsi_unit **)owner = unit;
}

TEST(unit_that_comes_or_goes_is_announced)
{
	STOR s = started(0, MIB);
	struct scsi_unit *gone = NULL, *unit;

	unit = ministor_add(s, 5, MIB);
	ASSERT(take_enumerate(s));
	ASSERT_EQ(ready(s, 5), SRB_SUCCESS);
	ASSERT_EQ(storvsp_detach(s->storvsp, 5, on_detached, &gone), 0);
	ASSERT(gone == unit);
	ASSERT(take_enumerate(s));
	ASSERT_ERR(storvsp_attach(s->storvsp, 5, unit), EAGAIN);
	ASSERT_EQ(ready(s, 5), SRB_INVALID_LUN);
	ASSERT_ERR(storvsp_attach(s->storvsp, 5, unit), EAGAIN);
	ASSERT_EQ(storvsp_attach(s->storvsp, 5, unit), 0);
	ASSERT(take_enumerate(s));
	ASSERT_EQ(storvsp_detach(s->storvsp, 5, on_detached, &gone), 0);
	ASSERT(take_enumerate(s));
	ASSERT_ERR(storvsp_detach(s->storvsp, 5, on_detached, &gone), ENOENT);
	ASSERT_EQ(disk_close(unit->disk), 0);
	scsi_unit_free(unit);
}

static bool take_list(struct ministor *s)
{
	const u8 cdb[16] = { SCSI_REPORT_LUNS, [9] = 64 };

	return ministor_command(s, 0, cdb, 12, STORVSP_READ, 64).srb_status ==
	       SRB_SUCCESS;
}

static bool ask_who(struct ministor *s, u8 lun)
{
	const u8 cdb[16] = { SCSI_INQUIRY, [4] = 36 };

	return ministor_command(s, lun, cdb, 6, STORVSP_READ, 36).srb_status ==
	       SRB_SUCCESS;
}

/*
 * Linux took a list in a scan that had begun before the unit left; the next one that came under its
 * number was taken for it, with its size and its cached blocks.
 */
TEST(unit_is_not_replaced_before_the_guest_met_its_absence)
{
	STOR s = started(0, MIB);
	struct scsi_unit *gone = NULL, *unit;

	unit = ministor_add(s, 5, MIB);
	ASSERT(take_enumerate(s));
	/* A unit that the guest never spoke to is nobody's. */
	ASSERT_EQ(storvsp_detach(s->storvsp, 5, on_detached, &gone), 0);
	ASSERT(take_enumerate(s));
	ASSERT_EQ(storvsp_attach(s->storvsp, 5, unit), 0);
	ASSERT(take_enumerate(s));
	ASSERT(ask_who(s, 5));
	ASSERT_EQ(storvsp_detach(s->storvsp, 5, on_detached, &gone), 0);
	ASSERT(take_enumerate(s));
	ASSERT(take_list(s));
	ASSERT_ERR(storvsp_attach(s->storvsp, 5, unit), EAGAIN);
	ASSERT(ask_who(s, 5));
	ASSERT_ERR(storvsp_attach(s->storvsp, 5, unit), EAGAIN);
	ASSERT(take_list(s));
	ASSERT_ERR(storvsp_attach(s->storvsp, 5, unit), EAGAIN);
	/* A guest that goes by lists only has seen it by now. */
	ASSERT(take_list(s));
	ASSERT_EQ(storvsp_attach(s->storvsp, 5, unit), 0);
	ASSERT(take_enumerate(s));
	ASSERT_EQ(storvsp_detach(s->storvsp, 5, on_detached, &gone), 0);
	ASSERT_EQ(disk_close(unit->disk), 0);
	scsi_unit_free(unit);
}

TEST(unit_is_overlooked_until_the_guest_asks_it_who_it_is)
{
	STOR s = ministor_new(0);

	ministor_add(s, 0, MIB);
	ASSERT(!storvsp_overlooked(s->storvsp, 0));
	ASSERT(ministor_start(s));
	ASSERT(storvsp_overlooked(s->storvsp, 0));
	ASSERT_EQ(ready(s, 0), SRB_SUCCESS);
	ASSERT(storvsp_overlooked(s->storvsp, 0));
	ASSERT(ask_who(s, 0));
	ASSERT(!storvsp_overlooked(s->storvsp, 0));
	ASSERT(!storvsp_overlooked(s->storvsp, 1));
}

/*
 * Linux found the new unit in a scan, and then what had been queued for the old one took it away:
 * it had asked, and never spoke to it again.
 */
TEST(unit_that_replaced_one_may_be_overlooked_though_it_was_asked)
{
	STOR s = started(0, MIB);
	struct scsi_unit *gone = NULL, *unit = storvsp_unit(s->storvsp, 0);

	ASSERT(ask_who(s, 0));
	ASSERT_EQ(storvsp_detach(s->storvsp, 0, on_detached, &gone), 0);
	ASSERT(take_enumerate(s));
	ASSERT(!storvsp_overlooked(s->storvsp, 0));
	ASSERT_EQ(ready(s, 0), SRB_INVALID_LUN);
	ASSERT_ERR(storvsp_attach(s->storvsp, 0, unit), EAGAIN);
	ASSERT_EQ(storvsp_attach(s->storvsp, 0, unit), 0);
	ASSERT(take_enumerate(s));
	ASSERT(ask_who(s, 0));
	ASSERT(storvsp_overlooked(s->storvsp, 0));
}

TEST(unit_with_requests_in_flight_leaves_after_the_last)
{
	STOR s = started(0, 64 * MIB);
	struct scsi_unit *gone = NULL, *unit = storvsp_unit(s->storvsp, 0);
	unsigned answers = 0;
	u8 bytes[128];

	ASSERT_OK(send_large_reads(s, 20));
	ASSERT_EQ(storvsp_detach(s->storvsp, 0, on_detached, &gone), 0);
	ASSERT(!gone);
	ASSERT_ERR(storvsp_attach(s->storvsp, 0, unit), EBUSY);
	ASSERT_ERR(storvsp_detach(s->storvsp, 0, on_detached, &gone), EALREADY);
	while (answers < 20) {
		ASSERT_EQ(mini_wait(&s->channel, bytes, sizeof bytes), 80);
		answers += bytes[0] == VMBUS_PACKET_COMPLETION;
	}
	ASSERT(gone == unit);
	ASSERT_EQ(unit->in_flight, 0);
	ASSERT_EQ(disk_close(unit->disk), 0);
	scsi_unit_free(unit);
}

TEST(reset_is_answered_after_everything_that_was_under_way)
{
	STOR s = started(0, 64 * MIB);
	struct storvsp_packet packet = { .operation = le32_of(STORVSP_RESET_BUS) };
	u8 bytes[128];

	ASSERT_OK(send_large_reads(s, 20));
	ASSERT(mini_send(&s->channel, VMBUS_PACKET_INBAND, 1, 77, &packet, sizeof packet,
			 16));
	for (unsigned k = 0; k < 20; k++) {
		ASSERT_EQ(mini_wait(&s->channel, bytes, sizeof bytes), 80);
		ASSERT(bytes[8] < 20);
	}
	ASSERT_EQ(mini_wait(&s->channel, bytes, sizeof bytes), 80);
	ASSERT_EQ(bytes[8], 77);
	/* And the unit says that it was reset. */
	ASSERT_EQ(
		ministor_command(s, 0, test_unit_ready, 6, STORVSP_NO_DATA, 0).additional,
		ASC_RESET);
}

TEST(channel_that_closes_under_way_waits_for_the_disk)
{
	STOR s = started(0, 64 * MIB);

	ASSERT_OK(send_large_reads(s, 50));
	ASSERT(mini_close_and_wait(&s->channel));
	ASSERT_EQ(storvsp_unit(s->storvsp, 0)->in_flight, 0);
	/* The guest may do with its pages what it likes; then it opens again. */
	ASSERT(mini_unload(s->mini));
	ASSERT(ministor_start(s));
	ASSERT(ministor_read(s, 0, 0, 4096));
}

TEST(ring_torn_down_under_way_is_answered_late_and_its_number_is_free_then)
{
	STOR s = started(0, 64 * MIB);
	struct vmbus_gpadl_teardown m = { 0 };
	struct vmbus_gpadl_torndown torndown;
	u32 relid = s->channel.relid, gpadl = s->channel.gpadl;
	struct vmbus_open_message open = { .relid = le32_of(relid),
					   .gpadl = le32_of(gpadl),
					   .downstream = le32_of(4) };
	struct vmbus_open_result result;
	u64 page[8];

	ASSERT_OK(send_large_reads(s, 50));
	/* Without a close: the list is in use. */
	m.relid = le32_of(relid);
	m.gpadl = le32_of(gpadl);
	mini_post(s->mini, VMBUS_GPADL_TEARDOWN, &m, sizeof m);
	ASSERT(!mini_take(s->mini, VMBUS_GPADL_TORNDOWN, &torndown, sizeof torndown));
	/* The same number again: refused while the first is there. */
	ASSERT_EQ(mini_gpadl(s->mini, relid, gpadl, &s->data_page, 1), VMBUS_FAILED);
	ASSERT(mini_close_and_wait(&s->channel));
	ASSERT_EQ(storvsp_unit(s->storvsp, 0)->in_flight, 0);
	/* Under its number the channel is opened on other pages. */
	for (unsigned k = 0; k < ARRAY_COUNT(page); k++)
		page[k] = mini_alloc(s->mini, 1);
	ASSERT_EQ(mini_gpadl(s->mini, relid, gpadl, page, ARRAY_COUNT(page)), VMBUS_OK);
	mini_post(s->mini, VMBUS_OPEN, &open, sizeof open);
	ASSERT(mini_take(s->mini, VMBUS_OPEN_RESULT, &result, sizeof result));
	ASSERT_EQ(le32_get(result.status), VMBUS_OK);
	ASSERT(mini_close_and_wait(&s->channel));
}

TEST(inspect_shows_steps_units_and_counts)
{
	STOR s = ministor_new(0);
	char text[2048];
	struct inspect out = { .text = text, .size = sizeof text };

	ministor_add(s, 7, MIB);
	ASSERT(ministor_start(s));
	ASSERT(ministor_read(s, 7, 0, 4096));
	storvsp_inspect(s->storvsp, "scsi.0", &out);
	ASSERT(strstr(text, "scsi.0.step: ready\nscsi.0.version: 6.2\n"));
	ASSERT(strstr(text, "scsi.0.requests: 1\n"));
	ASSERT(strstr(text, "scsi.0.lun.7.kind: disk\nscsi.0.lun.7.format: raw\n"
			    "scsi.0.lun.7.size: 1048576\n"));
	ASSERT(strstr(text, "scsi.0.lun.7.read_bytes: 4096\n"));
	ASSERT(strstr(text, "scsi.0.lun.7.image.reads: 1\n"));
}

/* ---- saved state ---- */

/* Another host in place of this one, with the same unit: as after its start. */
static bool another_host(struct ministor *s, u16 sub_channels, struct scsi_unit *unit)
{
	struct storvsp_config config = {
		.gm = s->mini->gm,
		.instance = { { 0x5c, 0x51 } },
		.max_sub_channels = sub_channels,
	};

	storvsp_free(s->storvsp);
	mini_move(s->mini);
	config.server = s->mini->server;
	CHECK_EQ(storvsp_new(&config, &s->storvsp), 0);
	CHECK_EQ(storvsp_attach(s->storvsp, 0, unit), 0);
	return true;
}

static int restore_host(struct ministor *s, const struct state_writer *state)
{
	int r = vmbus_server_restore(s->mini->server, state->bytes, state->used);

	return r < 0 ? r : storvsp_restore(s->storvsp, state->bytes, state->used);
}

static bool save_host(struct ministor *s, struct state_writer *state)
{
	CHECK_EQ(vmbus_server_save(s->mini->server, state), 0);
	CHECK_EQ(storvsp_save(s->storvsp, state), 0);
	return true;
}

/* The guest goes on under another host that is given this one's state. */
static bool move_guest(struct ministor *s, u16 sub_channels, struct scsi_unit *unit)
{
	struct state_writer state = { 0 };

	CHECK_OK(save_host(s, &state));
	CHECK_OK(another_host(s, sub_channels, unit));
	CHECK_EQ(restore_host(s, &state), 0);
	free(state.bytes);
	return true;
}

TEST(guest_goes_on_with_its_channels_under_a_host_that_was_given_the_state)
{
	STOR s = started(1, MIB);
	struct vmbus_offer_message offer;
	struct mini_channel sub;
	struct scsi_unit *unit = storvsp_unit(s->storvsp, 0);
	u8 *data = ministor_data(s), bytes[128];

	ASSERT_EQ(step(s, STORVSP_CREATE_SUB_CHANNELS, 1), STORVSP_OK);
	ASSERT(mini_take_offer(s->mini, &offer));
	ASSERT(mini_open(s->mini, le32_get(offer.relid), 8, 8, &sub));
	memset(data, 0x21, 4096);
	ASSERT(ministor_write(s, 0, 8, 4096, false));
	ASSERT_OK(move_guest(s, 1, unit));
	memset(data, 0, 4096);
	ASSERT(ministor_read(s, 0, 8, 4096));
	ASSERT_EQ(data[4095], 0x21);
	ASSERT(ministor_send(&sub, 70, 0, (u8[16]){ SCSI_READ_10, [8] = 1 }, 10,
			     STORVSP_READ, s->data_page, 512));
	ASSERT_EQ(mini_wait(&sub, bytes, sizeof bytes), 80);
	ASSERT_EQ(bytes[8], 70);
	/* The sub-channel is known: not offered twice. */
	ASSERT_EQ(step(s, STORVSP_CREATE_SUB_CHANNELS, 1), STORVSP_OK);
	ASSERT_EQ(s->mini->message_count, 0);
	ASSERT(mini_close_and_wait(&sub));
	mini_close(&s->channel);
	ASSERT(mini_unload(s->mini));
}

static void note_done(void *owner)
{
	*(bool *)owner = true;
}

static bool is_done(void *owner)
{
	return *(bool *)owner;
}

/*
 * Requests everywhere: in the ring, at the disk, answers that found no room. At each move those at
 * the disk end first, and the others are found by the next host.
 */
TEST(requests_that_were_anywhere_at_a_move_are_each_answered_once)
{
	STOR s = started(0, 64 * MIB);
	struct scsi_unit *unit = storvsp_unit(s->storvsp, 0);
	static u8 seen[8000];
	unsigned sent = 0, got = 0, moves = 0;
	u8 bytes[128];

	for (unsigned turn = 0; got < ARRAY_COUNT(seen); turn++) {
		u64 transaction;
		bool done = false;

		sent = send_until_full(s, sent, ARRAY_COUNT(seen));
		for (unsigned n = 0; turn % 3 && n < turn * 100 && got < sent; n++) {
			ASSERT_EQ(mini_wait(&s->channel, bytes, sizeof bytes), 80);
			memcpy(&transaction, bytes + 8, sizeof transaction);
			ASSERT(transaction < sent);
			ASSERT_EQ(seen[transaction]++, 0);
			got++;
		}
		vmbus_server_pause(s->mini->server, note_done, &done);
		ASSERT(mini_until(s->mini, is_done, &done));
		ASSERT_EQ(unit->in_flight, 0);
		/* Every other time it goes on where it was. */
		if (turn % 2) {
			vmbus_server_resume(s->mini->server);
			continue;
		}
		ASSERT_OK(move_guest(s, 0, unit));
		moves++;
	}
	ASSERT(moves > 5);
	/* And none that nobody asked for. */
	ASSERT_EQ(mini_receive(&s->channel, bytes, sizeof bytes), 0);
}

TEST_TIMEOUT(state_with_any_byte_changed_is_refused_or_taken_and_never_worse, 120)
{
	STOR s = started(1, MIB);
	struct state_writer w = { 0 };
	struct scsi_unit *unit = storvsp_unit(s->storvsp, 0);
	unsigned taken = 0, refused = 0;

	ASSERT_OK(save_host(s, &w));
	for (size_t at = 0; at < w.used; at++) {
		u8 was = w.bytes[at];
		int r;

		w.bytes[at] ^= (u8)(1 + at * 37);
		ASSERT_OK(another_host(s, 1, unit));
		r = restore_host(s, &w);
		taken += r == 0;
		refused += r != 0;
		w.bytes[at] = was;
		/* Cut off there, it is whole only at the end of a record. */
		struct state_record record;
		const u8 *p = w.bytes;
		size_t left = at;
		while ((r = state_next_record(&p, &left, &record)) == 1)
			;
		ASSERT(r == 0 || r == -EPROTO);
	}
	ASSERT(taken > 0 && refused > 100);
	ASSERT_OK(another_host(s, 0, unit));
	free(w.bytes);
}
