/* SPDX-License-Identifier: Apache-2.0 */
/* scsi/: commands to a disk and a DVD drive, through the synthetic controller of a mini-guest. */
#include "harness.h"
#include "miniguest/ministor.h"
#include "state/record.h"

#define MIB (1ull << 20)
#define DISK (64 * MIB)

static void free_stor(struct ministor **s)
{
	ministor_free(*s);
}
#define STOR __attribute__((cleanup(free_stor))) struct ministor *

/* One disk at LUN 0, the guest has started. */
static struct ministor *with_disk(struct scsi_unit **ret_unit)
{
	struct ministor *s = ministor_new(0);
	struct scsi_unit *unit = ministor_add(s, 0, DISK);

	EXPECT(ministor_start(s));
	if (ret_unit)
		*ret_unit = unit;
	return s;
}

static struct ministor_result ask(struct ministor *s, const u8 cdb[16], u32 size)
{
	return ministor_command(s, 0, cdb, 16, size ? STORVSP_READ : STORVSP_NO_DATA,
				size);
}

static struct ministor_result tell(struct ministor *s, const u8 cdb[16], u32 size)
{
	return ministor_command(s, 0, cdb, 16, size ? STORVSP_WRITE : STORVSP_NO_DATA,
				size);
}

static bool failed(struct ministor_result r, u8 key, u16 additional)
{
	return r.answered && r.srb_status == (SRB_ERROR | SRB_AUTOSENSE_VALID) &&
	       r.scsi_status == SCSI_CHECK_CONDITION && r.key == key &&
	       r.additional == additional && r.moved == 0;
}

static bool good(struct ministor_result r)
{
	return r.answered && r.srb_status == SRB_SUCCESS && r.scsi_status == SCSI_GOOD;
}

/* ---- what the unit says of itself ---- */

TEST(inquiry_names_a_virtual_disk_that_guests_know)
{
	STOR s = with_disk(NULL);
	u8 *data = ministor_data(s);
	struct ministor_result r = ask(s, (u8[16]){ SCSI_INQUIRY, 0, 0, 0, 96 }, 96);

	ASSERT(good(r));
	ASSERT_EQ(r.moved, 64);
	ASSERT_EQ(data[0], 0);
	ASSERT_MEM(data + 8, "Msft    Virtual Disk    ", 24);
	/* No more than the allocation length, though there is room. */
	ASSERT_EQ(ask(s, (u8[16]){ SCSI_INQUIRY, 0, 0, 0, 5 }, 96).moved, 5);
	/* No more than there is room. */
	ASSERT_EQ(ask(s, (u8[16]){ SCSI_INQUIRY, 0, 0, 0, 96 }, 8).moved, 8);
	ASSERT(failed(ask(s, (u8[16]){ SCSI_INQUIRY, 0, 0x83, 0, 96 }, 96),
		      SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB));
}

TEST(every_page_of_the_list_is_there_and_says_its_number_and_length)
{
	STOR s = with_disk(NULL);
	u8 *data = ministor_data(s), list[16];
	u32 count;

	ASSERT(good(ask(s, (u8[16]){ SCSI_INQUIRY, 1, 0, 0, 255 }, 255)));
	count = be16_at(data + 2);
	ASSERT_EQ(count, 6);
	memcpy(list, data + 4, count);
	for (u32 k = 0; k < count; k++) {
		struct ministor_result r =
			ask(s, (u8[16]){ SCSI_INQUIRY, 1, list[k], 0, 255 }, 255);

		ASSERT(good(r));
		ASSERT_EQ(data[1], list[k]);
		ASSERT_EQ(r.moved, 4u + be16_at(data + 2));
	}
	ASSERT(failed(ask(s, (u8[16]){ SCSI_INQUIRY, 1, 0xb5, 0, 255 }, 255),
		      SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB));
}

TEST(identification_is_the_units_own_and_stays)
{
	STOR s = with_disk(NULL);
	u8 *data = ministor_data(s);

	ASSERT(good(ask(s, (u8[16]){ SCSI_INQUIRY, 1, 0x83, 0, 255 }, 255)));
	/* NAA 6, 16 bytes, with the id behind the prefix. */
	ASSERT_EQ(data[5], 3);
	ASSERT_EQ(data[7], 16);
	ASSERT_MEM(data + 8, "\x60\x02\x24\x80\xd1\x00", 6);
}

TEST(capacity_is_told_in_both_forms)
{
	STOR s = with_disk(NULL);
	u8 *data = ministor_data(s);

	ASSERT(good(ask(s, (u8[16]){ SCSI_READ_CAPACITY_10 }, 8)));
	ASSERT_EQ(be32_at(data), DISK / 512 - 1);
	ASSERT_EQ(be32_at(data + 4), 512);
	ASSERT(good(ask(s, (u8[16]){ SCSI_SERVICE_ACTION_IN_16, 0x10, [13] = 32 }, 32)));
	ASSERT_EQ(be64_at(data), DISK / 512 - 1);
	ASSERT_EQ(be32_at(data + 8), 512);
	ASSERT(failed(ask(s, (u8[16]){ SCSI_SERVICE_ACTION_IN_16, 0x11, [13] = 32 }, 32),
		      SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB));
}

TEST(mode_sense_says_that_writes_are_cached_and_fua_is_known)
{
	STOR s = with_disk(NULL);
	u8 *data = ministor_data(s);
	struct ministor_result r =
		ask(s, (u8[16]){ SCSI_MODE_SENSE_6, 0, 0x3f, 0, 255 }, 255);

	ASSERT(good(r));
	ASSERT_EQ(data[0] + 1, r.moved);
	ASSERT_EQ(data[2], 0x10);
	ASSERT_EQ(data[3], 8);
	ASSERT_EQ(data[12], 8);
	ASSERT_EQ(data[14] & 4, 4);
	r = ask(s, (u8[16]){ SCSI_MODE_SENSE_10, 8, 0x08, 0, 0, 0, 0, 0, 255 }, 255);
	ASSERT(good(r));
	ASSERT_EQ(be16_at(data) + 2, r.moved);
	ASSERT_EQ(data[8], 8);
	ASSERT(failed(ask(s, (u8[16]){ SCSI_MODE_SENSE_6, 0, 0x1c, 0, 255 }, 255),
		      SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB));
	ASSERT(failed(tell(s, (u8[16]){ SCSI_MODE_SELECT_6, 0x10, 0, 0, 24 }, 24),
		      SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_LIST));
}

TEST(unknown_command_is_refused_and_a_short_one_too)
{
	STOR s = with_disk(NULL);

	ASSERT(failed(ask(s, (u8[16]){ 0xff }, 0), SENSE_ILLEGAL_REQUEST,
		      ASC_INVALID_OPCODE));
	ASSERT(failed(ministor_command(s, 0, (u8[16]){ SCSI_READ_16 }, 10, STORVSP_READ,
				       512),
		      SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB));
}

/* ---- blocks ---- */

TEST(what_is_written_is_read_by_every_form_of_the_command)
{
	static const struct {
		u8 write[16], read[16];
	} row[] = {
		{ { SCSI_WRITE_6, 0, 0, 9, 8 }, { SCSI_READ_6, 0, 0, 9, 8 } },
		{ { SCSI_WRITE_10, 0, 0, 0, 0, 19, 0, 0, 8 },
		  { SCSI_READ_10, 0, 0, 0, 0, 19, 0, 0, 8 } },
		{ { SCSI_WRITE_12, 8, 0, 0, 0, 29, 0, 0, 0, 8 },
		  { SCSI_READ_12, 0, 0, 0, 0, 29, 0, 0, 0, 8 } },
		{ { SCSI_WRITE_16, 0, 0, 0, 0, 0, 0, 0, 0, 39, 0, 0, 0, 8 },
		  { SCSI_READ_16, 0, 0, 0, 0, 0, 0, 0, 0, 39, 0, 0, 0, 8 } },
		{ { SCSI_WRITE_VERIFY_10, 0, 0, 0, 0, 49, 0, 0, 8 },
		  { SCSI_READ_10, 0, 0, 0, 0, 49, 0, 0, 8 } },
	};
	STOR s = with_disk(NULL);
	u8 *data = ministor_data(s);

	for (unsigned k = 0; k < ARRAY_COUNT(row); k++) {
		memset(data, 0xa0 + (int)k, 4096);
		ASSERT_EQ(tell(s, row[k].write, 4096).moved, 4096);
		memset(data, 0, 4096);
		ASSERT_EQ(ask(s, row[k].read, 4096).moved, 4096);
		for (unsigned n = 0; n < 4096; n++)
			ASSERT_EQ(data[n], 0xa0 + k);
	}
}

TEST(blocks_beyond_the_end_are_refused_in_every_form)
{
	static const u8 row[][16] = {
		{ SCSI_READ_10, 0, 0, 2, 0, 0, 0, 0, 1 },
		{ SCSI_READ_10, 0, 0, 1, 0xff, 0xff, 0, 0, 2 },
		{ SCSI_READ_10, 0, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff },
		{ SCSI_READ_16, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		  0xff, 0xff, 0xff },
		{ SCSI_READ_16, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 },
		{ SCSI_WRITE_SAME_16, 1, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 2 },
		{ SCSI_VERIFY_10, 0, 0, 2, 0, 0, 0, 0, 1 },
		{ SCSI_SYNCHRONIZE_CACHE_10, 0, 0, 2, 0, 0, 0, 0, 1 },
	};
	STOR s = with_disk(NULL);

	for (unsigned k = 0; k < ARRAY_COUNT(row); k++) {
		u8 cdb[16];

		memcpy(cdb, row[k], sizeof cdb);
		if (row[k][0] == SCSI_WRITE_SAME_16)
			be64_put(cdb + 2, DISK / 512 - 1);
		ASSERT(failed(ask(s, cdb, 1024), SENSE_ILLEGAL_REQUEST,
			      ASC_LBA_OUT_OF_RANGE));
	}
	ASSERT(ministor_read(s, 0, DISK / 512 - 1, 512));
}

TEST(transfer_that_needs_more_room_than_there_is_moves_nothing)
{
	STOR s = with_disk(NULL);
	u8 *data = ministor_data(s);

	memset(data, 0x77, 8192);
	ASSERT(failed(ask(s, (u8[16]){ SCSI_READ_10, [8] = 16 }, 4096),
		      SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB));
	ASSERT_EQ(data[0], 0x77);
	/* The wrong way round, or none at all. */
	ASSERT(failed(tell(s, (u8[16]){ SCSI_READ_10, [8] = 1 }, 512),
		      SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB));
	ASSERT(failed(ask(s, (u8[16]){ SCSI_WRITE_10, [8] = 1 }, 512),
		      SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB));
	/* More room than the command moves: the rest stays as it was. */
	ASSERT_EQ(ask(s, (u8[16]){ SCSI_READ_10, [8] = 1 }, 8192).moved, 512);
	ASSERT_EQ(data[511], 0);
	ASSERT_EQ(data[512], 0x77);
	/* No blocks at all is no error. */
	ASSERT(good(ask(s, (u8[16]){ SCSI_READ_10 }, 0)));
}

TEST(unmap_gives_up_blocks_and_refuses_lists_that_lie)
{
	STOR s = with_disk(NULL);
	u8 *data = ministor_data(s);
	u8 cdb[16] = { SCSI_UNMAP, [8] = 24 };

	/* Of no size, cut off, longer than what was sent. */
	ASSERT(good(tell(s, (u8[16]){ SCSI_UNMAP }, 0)));
	cdb[8] = 7;
	ASSERT(failed(tell(s, cdb, 24), SENSE_ILLEGAL_REQUEST,
		      ASC_PARAMETER_LIST_LENGTH));
	cdb[8] = 24;
	memset(data, 0, 4096);
	be16_put(data, 22);
	be16_put(data + 2, 32);
	ASSERT(failed(tell(s, cdb, 24), SENSE_ILLEGAL_REQUEST,
		      ASC_PARAMETER_LIST_LENGTH));
	be16_put(data + 2, 16);
	ASSERT(failed(tell(s, cdb, 16), SENSE_ILLEGAL_REQUEST,
		      ASC_PARAMETER_LIST_LENGTH));
	be64_put(data + 8, DISK / 512 - 1);
	be32_put(data + 16, 2);
	ASSERT(failed(tell(s, cdb, 24), SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE));
	be64_put(data + 8, UINT64_MAX);
	ASSERT(failed(tell(s, cdb, 24), SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE));
	/* 65,535 bytes of descriptors, all of them good: too many. */
	memset(data, 0, 65536);
	be16_put(data + 2, 65520);
	be16_put(cdb + 7, 65535);
	ASSERT(failed(tell(s, cdb, 65536), SENSE_ILLEGAL_REQUEST,
		      ASC_INVALID_FIELD_IN_LIST));
}

TEST(unmapped_blocks_of_a_file_read_as_zeros)
{
	STOR s = with_disk(NULL);
	u8 *data = ministor_data(s);
	u8 cdb[16] = { SCSI_UNMAP, [8] = 40 };

	memset(data, 0x55, 65536);
	ASSERT(ministor_write(s, 0, 0, 65536, false));
	memset(data, 0, 40);
	be16_put(data + 2, 32);
	be64_put(data + 8, 8);
	be32_put(data + 16, 8);
	be64_put(data + 24, 64);
	be32_put(data + 32, 8);
	ASSERT(good(tell(s, cdb, 40)));
	ASSERT(ministor_read(s, 0, 0, 65536));
	ASSERT_EQ(data[4095], 0x55);
	ASSERT_EQ(data[4096], 0);
	ASSERT_EQ(data[8191], 0);
	ASSERT_EQ(data[8192], 0x55);
	ASSERT_EQ(data[64 * 512], 0);
	ASSERT_EQ(data[72 * 512], 0x55);
}

TEST(write_same_fills_blocks_with_a_pattern_or_with_zeros)
{
	STOR s = with_disk(NULL);
	u8 *data = ministor_data(s);

	memset(data, 0x3c, 512);
	/* 400 blocks from 100 on: several pieces. */
	ASSERT(good(tell(s, (u8[16]){ SCSI_WRITE_SAME_10, 0, 0, 0, 0, 100, 0, 1, 0x90 },
			 512)));
	ASSERT(ministor_read(s, 0, 0, 512 * 512));
	ASSERT_EQ(data[100 * 512 - 1], 0);
	for (unsigned n = 100 * 512; n < 500 * 512; n++)
		ASSERT_EQ(data[n], 0x3c);
	ASSERT_EQ(data[500 * 512], 0);
	/* No data: zeros. */
	ASSERT(good(tell(s, (u8[16]){ SCSI_WRITE_SAME_16, 1, [9] = 200, [13] = 10 }, 0)));
	ASSERT(ministor_read(s, 0, 0, 512 * 512));
	ASSERT_EQ(data[200 * 512 - 1], 0x3c);
	ASSERT_EQ(data[200 * 512], 0);
	ASSERT_EQ(data[210 * 512 - 1], 0);
	ASSERT_EQ(data[210 * 512], 0x3c);
	/* To the end of the disk, as older drives have it: refused, page b0 says so. */
	ASSERT(failed(tell(s, (u8[16]){ SCSI_WRITE_SAME_16, 1 }, 0),
		      SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB));
	/* A pattern over more than page b0 allows. */
	data[0] = 1;
	ASSERT(failed(tell(s, (u8[16]){ SCSI_WRITE_SAME_16, 0, [11] = 1, [13] = 1 }, 512),
		      SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB));
}

TEST(read_only_disk_refuses_everything_that_writes)
{
	static const u8 row[][16] = {
		{ SCSI_WRITE_10, [8] = 1 },
		{ SCSI_WRITE_SAME_16, 1, [13] = 1 },
		{ SCSI_UNMAP, [8] = 24 },
	};
	STOR s = ministor_new(0);
	struct scsi_unit_config config = { .disk = ministor_disk(s, MIB, true, NULL) };
	struct scsi_unit *unit;

	ASSERT_EQ(scsi_unit_new(&config, &unit), 0);
	ASSERT_EQ(storvsp_attach(s->storvsp, 0, unit), 0);
	ASSERT(ministor_start(s));
	for (unsigned k = 0; k < ARRAY_COUNT(row); k++)
		ASSERT(failed(tell(s, row[k], 512), SENSE_DATA_PROTECT,
			      ASC_WRITE_PROTECTED));
	ASSERT(good(ask(s, (u8[16]){ SCSI_MODE_SENSE_6, 0, 0x3f, 0, 64 }, 64)));
	ASSERT_EQ(ministor_data(s)[2] & 0x80, 0x80);
	ASSERT(ministor_read(s, 0, 0, 512));
}

/* ---- what changes ---- */

TEST(unit_attention_comes_once_and_not_with_inquiry)
{
	struct scsi_unit *unit;
	STOR s = with_disk(&unit);

	scsi_unit_attention(unit, ASC_CAPACITY_CHANGED);
	scsi_unit_attention(unit, ASC_CAPACITY_CHANGED);
	ASSERT(good(ask(s, (u8[16]){ SCSI_INQUIRY, 0, 0, 0, 36 }, 36)));
	ASSERT(failed(ask(s, (u8[16]){ SCSI_TEST_UNIT_READY }, 0), SENSE_UNIT_ATTENTION,
		      ASC_CAPACITY_CHANGED));
	ASSERT(good(ask(s, (u8[16]){ SCSI_TEST_UNIT_READY }, 0)));
	scsi_unit_attention(unit, ASC_RESET);
	ASSERT(good(ask(s, (u8[16]){ SCSI_REQUEST_SENSE, [4] = 18 }, 18)));
	ASSERT_EQ(ministor_data(s)[2], SENSE_UNIT_ATTENTION);
	ASSERT(good(ask(s, (u8[16]){ SCSI_TEST_UNIT_READY }, 0)));
}

/* Linux' storvsc makes a success of it: the notice was lost, and the disk had no cache to flush. */
TEST(unit_attention_waits_while_mode_sense_is_answered)
{
	struct scsi_unit *unit;
	STOR s = with_disk(&unit);
	const u8 six[16] = { SCSI_MODE_SENSE_6, 8, 8, 0, 64 };
	const u8 ten[16] = { SCSI_MODE_SENSE_10, 8, 8, [8] = 64 };

	scsi_unit_attention(unit, ASC_CAPACITY_CHANGED);
	ASSERT(good(ask(s, six, 64)));
	ASSERT_EQ(ministor_data(s)[4], 8);
	ASSERT_EQ(ministor_data(s)[6] & 4, 4); /* writes are cached */
	ASSERT(good(ask(s, ten, 64)));
	ASSERT_EQ(ministor_data(s)[8], 8);
	ASSERT(failed(ask(s, (u8[16]){ SCSI_READ_CAPACITY_10 }, 8), SENSE_UNIT_ATTENTION,
		      ASC_CAPACITY_CHANGED));
	ASSERT(good(ask(s, (u8[16]){ SCSI_READ_CAPACITY_10 }, 8)));
}

static void on_resized(void *owner, int r)
{
	*(int *)owner = r;
}

static bool resized(void *owner)
{
	return *(int *)owner != 1;
}

TEST(disk_that_grew_tells_the_guest_and_has_room_at_its_end)
{
	struct scsi_unit *unit;
	STOR s = with_disk(&unit);
	u8 *data = ministor_data(s);
	int r = 1;

	ASSERT(!ministor_write(s, 0, DISK / 512, 512, false));
	ASSERT_EQ(scsi_unit_resize(unit, 2 * DISK, on_resized, &r), 0);
	ASSERT_ERR(scsi_unit_resize(unit, 3 * DISK, on_resized, &r), EBUSY);
	ASSERT(mini_until(s->mini, resized, &r));
	ASSERT_EQ(r, 0);
	ASSERT(failed(ask(s, (u8[16]){ SCSI_TEST_UNIT_READY }, 0), SENSE_UNIT_ATTENTION,
		      ASC_CAPACITY_CHANGED));
	ASSERT(good(ask(s, (u8[16]){ SCSI_READ_CAPACITY_10 }, 8)));
	ASSERT_EQ(be32_at(data), 2 * DISK / 512 - 1);
	ASSERT(ministor_write(s, 0, DISK / 512, 512, false));
	ASSERT(ministor_read(s, 0, 2 * DISK / 512 - 1, 512));
}

TEST(reservations_are_registered_held_and_released)
{
	STOR s = with_disk(NULL);
	u8 *data = ministor_data(s);
	u8 out[16] = { SCSI_PERSISTENT_RESERVE_OUT, 0, [8] = 24 };

	/* Without a key nothing can be reserved. */
	memset(data, 0, 24);
	out[1] = 1;
	out[2] = 1;
	ASSERT_EQ(tell(s, out, 24).scsi_status, SCSI_RESERVATION_CONFLICT);
	out[1] = 0;
	be64_put(data + 8, 0xabc);
	ASSERT(good(tell(s, out, 24)));
	ASSERT_EQ(tell(s, out, 24).scsi_status, SCSI_RESERVATION_CONFLICT);
	memset(data, 0, 24);
	be64_put(data, 0xabc);
	out[1] = 1;
	ASSERT(good(tell(s, out, 24)));
	ASSERT(good(ask(s, (u8[16]){ SCSI_PERSISTENT_RESERVE_IN, 1, [8] = 64 }, 64)));
	ASSERT_EQ(be32_at(data + 4), 16);
	ASSERT_EQ(be64_at(data + 8), 0xabc);
	ASSERT_EQ(data[21], 1);
	memset(data, 0, 24);
	be64_put(data, 0xabc);
	out[1] = 2;
	ASSERT(good(tell(s, out, 24)));
	ASSERT(good(ask(s, (u8[16]){ SCSI_PERSISTENT_RESERVE_IN, 1, [8] = 64 }, 64)));
	ASSERT_EQ(be32_at(data + 4), 0);
	/* Malformed: another length, no such action, no such type. */
	out[8] = 23;
	ASSERT(failed(tell(s, out, 24), SENSE_ILLEGAL_REQUEST,
		      ASC_PARAMETER_LIST_LENGTH));
	out[8] = 24;
	out[1] = 0x1f;
	ASSERT(failed(tell(s, out, 24), SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB));
	out[1] = 1;
	out[2] = 2;
	ASSERT(failed(tell(s, out, 24), SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB));
	ASSERT(failed(tell(s, out, 12), SENSE_ILLEGAL_REQUEST,
		      ASC_PARAMETER_LIST_LENGTH));
}

/* ---- DVD ---- */

static void on_medium(void *owner)
{
	*(bool *)owner = true;
}

TEST(dvd_drive_is_empty_gets_a_medium_and_gives_it_back)
{
	STOR s = ministor_new(0);
	struct scsi_unit *unit;
	struct disk *medium = ministor_disk(s, 4 * MIB, true, NULL);
	u8 *data = ministor_data(s);
	bool changed = false;
	const u8 ready[16] = { SCSI_TEST_UNIT_READY };
	const u8 event[16] = { SCSI_GET_EVENT_STATUS, 1, 0, 0, 0x10, [8] = 8 };
	const u8 eject[16] = { SCSI_START_STOP, [4] = 2 };

	ASSERT_EQ(scsi_unit_new(&(struct scsi_unit_config){ .dvd = true }, &unit), 0);
	ASSERT_EQ(storvsp_attach(s->storvsp, 0, unit), 0);
	ASSERT(ministor_start(s));
	ASSERT(good(ask(s, (u8[16]){ SCSI_INQUIRY, 0, 0, 0, 36 }, 36)));
	ASSERT_EQ(data[0], SCSI_TYPE_CD);
	ASSERT_EQ(data[1], 0x80);
	ASSERT(failed(ask(s, ready, 0), SENSE_NOT_READY, ASC_NO_MEDIUM));
	ASSERT(failed(ask(s, (u8[16]){ SCSI_READ_10, [8] = 1 }, 2048), SENSE_NOT_READY,
		      ASC_NO_MEDIUM));
	scsi_unit_set_medium(unit, medium, on_medium, &changed);
	ASSERT(changed);
	ASSERT(good(ask(s, event, 8)));
	ASSERT_EQ(data[4], 2);
	ASSERT_EQ(data[5], 2);
	ASSERT(failed(ask(s, ready, 0), SENSE_UNIT_ATTENTION, ASC_MEDIUM_CHANGED));
	ASSERT(good(ask(s, ready, 0)));
	ASSERT(good(ask(s, (u8[16]){ SCSI_READ_TOC, 2, 0, 0, 0, 0, 0, 0, 20 }, 20)));
	ASSERT_EQ(be16_at(data), 18);
	ASSERT_EQ(data[14], 0xaa);
	ASSERT(good(ask(s, (u8[16]){ SCSI_GET_CONFIGURATION, [8] = 64 }, 64)));
	ASSERT_EQ(be16_at(data + 6), 0x10);
	/* A drive writes nothing. */
	ASSERT(failed(tell(s, (u8[16]){ SCSI_WRITE_10, [8] = 1 }, 512),
		      SENSE_ILLEGAL_REQUEST, ASC_INVALID_OPCODE));
	ASSERT(good(ask(s, (u8[16]){ SCSI_PREVENT_ALLOW, [4] = 1 }, 0)));
	ASSERT(failed(ask(s, eject, 0), SENSE_ILLEGAL_REQUEST, ASC_REMOVAL_PREVENTED));
	ASSERT(good(ask(s, (u8[16]){ SCSI_PREVENT_ALLOW }, 0)));
	ASSERT(good(ask(s, eject, 0)));
	ASSERT(!unit->disk);
	ASSERT(failed(ask(s, ready, 0), SENSE_NOT_READY, ASC_NO_MEDIUM));
	ASSERT_EQ(disk_close(medium), 0);
}

/* Another reader would keep it busy for ever: who asks meanwhile shall ask again. */
TEST(medium_changes_when_the_last_read_has_ended)
{
	STOR s = ministor_new(0);
	struct scsi_unit *unit;
	struct disk *old = ministor_disk(s, 4 * MIB, true, NULL);
	struct disk *new = ministor_disk(s, 8 * MIB, true, NULL);
	bool changed = false;
	const u8 ready[16] = { SCSI_TEST_UNIT_READY };
	const struct scsi_unit_config config = { .dvd = true, .disk = old };

	ASSERT_EQ(scsi_unit_new(&config, &unit), 0);
	ASSERT_EQ(storvsp_attach(s->storvsp, 0, unit), 0);
	ASSERT(ministor_start(s));
	unit->in_flight++; /* one that the disk does not answer yet */
	scsi_unit_set_medium(unit, new, on_medium, &changed);
	ASSERT(failed(ask(s, ready, 0), SENSE_NOT_READY, ASC_BECOMING_READY));
	ASSERT(good(ask(s, (u8[16]){ SCSI_INQUIRY, 0, 0, 0, 36 }, 36)));
	ASSERT(!changed && unit->disk == old);
	unit->in_flight--;
	ASSERT(good(ask(s, (u8[16]){ SCSI_INQUIRY, 0, 0, 0, 36 }, 36)));
	ASSERT(changed && unit->disk == new);
	ASSERT(failed(ask(s, ready, 0), SENSE_UNIT_ATTENTION, ASC_MEDIUM_CHANGED));
	ASSERT(good(ask(s, ready, 0)));
	ASSERT_EQ(disk_close(old), 0);
}

/* ---- saved state ---- */

TEST(unit_goes_on_with_its_reservation_and_attentions_from_its_state)
{
	STOR s = with_disk(NULL);
	struct scsi_unit *old = storvsp_unit(s->storvsp, 0);
	struct disk *small = ministor_disk(s, MIB, false, NULL);
	struct scsi_unit *new;
	struct state_writer w = { 0 };

	old->reservation = (struct scsi_reservation){
		.key = 0xabc, .generation = 3, .held = true, .type = 5
	};
	scsi_unit_attention(old, ASC_RESET);
	ASSERT_EQ(scsi_unit_save(old, 0x105, &w), 0);
	AUTO_FREE u8 *saved = w.bytes;
	/* On a disk of another size, which the guest must hear of. */
	ASSERT_EQ(scsi_unit_new(&(struct scsi_unit_config){ .disk = small }, &new), 0);
	ASSERT_EQ(scsi_unit_restore(new, 0x106, saved, w.used), 0);
	ASSERT_EQ(new->reservation.key, 0);
	ASSERT_EQ(new->attention_count, 0);
	ASSERT_EQ(scsi_unit_restore(new, 0x105, saved, w.used), 0);
	ASSERT_EQ(new->reservation.key, 0xabc);
	ASSERT_EQ(new->reservation.generation, 3);
	ASSERT(new->reservation.held);
	ASSERT_EQ(new->reservation.type, 5);
	ASSERT_EQ(new->attention_count, 2);
	ASSERT_EQ(new->attention[0], ASC_RESET);
	ASSERT_EQ(new->attention[1], ASC_CAPACITY_CHANGED);
	/* Commands under way are no state. */
	old->in_flight++;
	ASSERT_ERR(scsi_unit_save(old, 0, &w), EBUSY);
	old->in_flight--;
	/* Cut short, it is refused or as if it were not there; never half taken. */
	for (size_t size = 0; size < w.used; size++) {
		new->reservation.key = 7;
		if (scsi_unit_restore(new, 0x105, saved, size) < 0)
			ASSERT_EQ(new->reservation.key, 7);
	}
	scsi_unit_free(new);
	ASSERT_EQ(disk_close(small), 0);
}

TEST(drive_stays_empty_and_a_medium_that_is_missing_is_noticed)
{
	STOR s = ministor_new(0);
	struct disk *medium = ministor_disk(s, MIB, true, NULL);
	struct scsi_unit *empty, *full;
	struct state_writer w = { 0 }, v = { 0 };

	ASSERT_EQ(scsi_unit_new(&(struct scsi_unit_config){ .dvd = true }, &empty), 0);
	ASSERT_EQ(scsi_unit_new(&(struct scsi_unit_config){ .dvd = true, .disk = medium },
				&full),
		  0);
	full->tray_locked = true;
	ASSERT_EQ(scsi_unit_save(empty, 1, &w), 0);
	ASSERT_EQ(scsi_unit_save(full, 1, &v), 0);
	AUTO_FREE u8 *of_empty = w.bytes;
	AUTO_FREE u8 *of_full = v.bytes;
	ASSERT_ERR(scsi_unit_restore(empty, 1, of_full, v.used), EPROTO);
	ASSERT(!empty->tray_locked);
	ASSERT_EQ(scsi_unit_restore(full, 1, of_full, v.used), 0);
	ASSERT(full->tray_locked);
	ASSERT(full->disk == medium);
	/* The guest had pressed eject. */
	ASSERT_EQ(scsi_unit_restore(full, 1, of_empty, w.used), 0);
	ASSERT(!full->disk);
	scsi_unit_free(empty);
	scsi_unit_free(full);
	ASSERT_EQ(disk_close(medium), 0);
}

/* Any CDB, any direction, any size: an answer, and the disk as large as before. */
TEST_TIMEOUT(any_bytes_as_a_command_are_answered, 60)
{
	struct scsi_unit *unit;
	STOR s = with_disk(&unit);
	u32 random = 5;

	for (unsigned k = 0; k < 20000; k++) {
		u8 cdb[16];
		u32 size;

		for (unsigned n = 0; n < 16; n++) {
			random = random * 1664525 + 1013904223;
			cdb[n] = (u8)(random >> 24);
		}
		/* Mostly commands that exist, and small numbers. */
		if (k % 2)
			memset(cdb + 2, 0, 10);
		size = random >> 8 & 0x3fff;
		struct ministor_result r = ministor_command(
			s, 0, cdb, 1 + (random >> 4) % 16, (u8)(random >> 2) % 3, size);
		ASSERT(r.answered);
		ASSERT(r.moved <= size);
	}
	ASSERT_EQ(disk_info(unit->disk)->size, DISK);
	ASSERT_EQ(unit->in_flight, 0);
}
