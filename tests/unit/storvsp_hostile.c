/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that attacks its SCSI controller: by the ring, by lists of pages, by messages, by commands.
 * What holds in all of them: the host lives, answers what has to be answered, holds a bounded amount
 * of memory, and a guest that begins anew is served. docs/hostile-guest.md has the whole table.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/log.h"
#include "harness.h"
#include "miniguest/ministor.h"
#include "storm.h"

#define MIB (1ull << 20)
/* What a channel's requests and all tables of the VMBus may cost together. */
#define MEMORY_BOUND (24 * MIB)

static void free_stor(struct ministor **s)
{
	ministor_free(*s);
}
#define STOR __attribute__((cleanup(free_stor))) struct ministor *

static u32 random_state = 1;

static u32 next_random(void)
{
	random_state = random_state * 1664525 + 1013904223;
	return random_state >> 8 ^ random_state << 17;
}

static bool is_quiet(void *owner)
{
	return vmbus_server_protocol(owner)->state == VMBUS_DISCONNECTED;
}

/* The guest leaves and comes back: everything works as on the first day. */
static bool begins_anew(struct ministor *s)
{
	struct vmbus_header h;

	mini_post(s->mini, VMBUS_UNLOAD, &h, sizeof h);
	CHECK(mini_until(s->mini, is_quiet, s->mini->server));
	mini_forget(s->mini);
	CHECK_EQ(storvsp_unit(s->storvsp, 0)->in_flight, 0);
	CHECK(ministor_start(s));
	CHECK(ministor_write(s, 0, 0, 4096, true));
	CHECK(ministor_read(s, 0, 0, 4096));
	return true;
}

/* ---- case 1: the ring changes under the host's eyes ------------------------------------------- */

struct flipper {
	struct ministor *s;
	atomic_bool stop;
};

/* Another processor of the guest: indices, lengths, offsets, payload, now sensible, now not. */
static void *flip(void *arg)
{
	struct flipper *f = arg;
	u32 r = 12345;

	while (!atomic_load(&f->stop)) {
		const struct mini_ring *ring = r & 8 ? &f->s->channel.out
						     : &f->s->channel.in;
		u32 page = r >> 4 & 3 ? 1 : r >> 6 & 1;
		_Atomic u32 *at =
			(_Atomic u32 *)(void *)mini_page(f->s->mini, ring->page[page]);

		r = r * 1664525 + 1013904223;
		at += page ? r >> 12 & 63 : r >> 12 & 3;
		atomic_store(at, r & 0x700 ? (r >> 16) & 0xff8 : r);
	}
	return NULL;
}

/* A request that the host is not told of. */
static void mini_put_read(struct ministor *s, u64 transaction)
{
	u32 mask = mini_field(s->mini, &s->channel.out, VMBUS_RING_MASK);

	mini_set_field(s->mini, &s->channel.out, VMBUS_RING_MASK, 1);
	ministor_send(&s->channel, transaction, 0, (u8[16]){ SCSI_READ_10, [8] = 8 }, 10,
		      STORVSP_READ, s->data_page, 4096);
	mini_set_field(s->mini, &s->channel.out, VMBUS_RING_MASK, mask);
}

TEST_TIMEOUT(guest_whose_second_processor_rewrites_the_rings_harms_itself_alone, 120)
{
	STOR s = ministor_new(0);
	struct flipper f = { .s = s };
	unsigned rounds = 0;
	u64 end;
	size_t before;

	if (UNDER_TSAN)
		SKIP("the race is the guest's, and it is the test");
	log_start("test", LOG_ERROR);
	ministor_add(s, 0, 16 * MIB);
	ASSERT(ministor_start(s));
	ASSERT_OK(begins_anew(s));
	before = memory_used();
	for (end = now_ns() + storm_ns(); now_ns() < end; rounds++) {
		pthread_t thread;

		/* From good requests on. The host is called while they change. */
		for (unsigned k = 0; k < 40; k++)
			mini_put_read(s, k);
		atomic_store(&f.stop, false);
		ASSERT_EQ(pthread_create(&thread, NULL, flip, &f), 0);
		for (unsigned k = 0; k < 100; k++)
			mini_signal(&s->channel);
		atomic_store(&f.stop, true);
		pthread_join(thread, NULL);
		ASSERT_OK(begins_anew(s));
	}
	/* Rings that lived long enough for some requests, beside the two of each beginning. */
	ASSERT(rounds > 3);
	ASSERT(storvsp_unit(s->storvsp, 0)->counters.commands > 4 * rounds);
	ASSERT(memory_used() < before + MEMORY_BOUND);
}

/* ---- case 3: lists over memory that is something else already ---------------------------------- */

TEST(lists_over_rings_page_0_and_one_page_8190_times_harm_the_guest_alone)
{
	STOR s = ministor_new(1);
	struct storvsp_packet packet = { .sub_channels = le16_of(1) };
	struct vmbus_offer_message offer;
	struct vmbus_open_result result;
	static u64 page[8190];
	u32 relid;

	log_start("test", LOG_ERROR);
	ministor_add(s, 0, MIB);
	ASSERT(ministor_start(s));
	ASSERT_EQ(ministor_step(s, STORVSP_CREATE_SUB_CHANNELS, &packet), STORVSP_OK);
	ASSERT(mini_take_offer(s->mini, &offer));
	relid = le32_get(offer.relid);
	/* The sub-channel's rings are the open channel's own, in another order; then page 0. */
	for (unsigned kind = 0; kind < 3; kind++) {
		struct vmbus_open_message open = { .relid = le32_of(relid),
						   .gpadl = le32_of(70 + kind),
						   .downstream = le32_of(4) };
		u32 count = kind == 2 ? ARRAY_COUNT(page) : 8;

		for (u32 k = 0; k < count; k++)
			page[k] = kind == 0   ? s->channel.out.page[k % 2]
				  : kind == 1 ? 0
					      : s->channel.in.page[0];
		ASSERT_EQ(mini_gpadl(s->mini, relid, 70 + kind, page, count), VMBUS_OK);
		mini_post(s->mini, VMBUS_OPEN, &open, sizeof open);
		ASSERT(mini_take(s->mini, VMBUS_OPEN_RESULT, &result, sizeof result));
		for (unsigned k = 0; k < 500; k++) {
			u32 word = next_random() % 1024;
			u32 value = k % 2 ? next_random() : next_random() % 4096 & ~7u;

			memcpy(mini_page(s->mini, page[0]) + word * 4, &value, 4);
			vmbus_server_signalled(s->mini->server, relid);
			mini_signal(&s->channel);
		}
		ASSERT_OK(begins_anew(s));
		ASSERT_EQ(ministor_step(s, STORVSP_CREATE_SUB_CHANNELS, &packet),
			  STORVSP_OK);
		ASSERT(mini_take_offer(s->mini, &offer));
		relid = le32_get(offer.relid);
	}
}

/* ---- case 6: what an open channel was opened with ----------------------------------------------- */

TEST(open_channel_keeps_the_rings_that_it_was_opened_with)
{
	STOR s = ministor_new(0);
	u64 page[8], first = mini_alloc(s->mini, 8);
	struct vmbus_open_message open = { .relid = { 1 },
					   .gpadl = le32_of(99),
					   .downstream = le32_of(4) };
	struct vmbus_gpadl_body body = { 0 };
	struct vmbus_gpadl_teardown teardown = { 0 };
	u8 message[VMBUS_MAX_MESSAGE] = { 0 };
	u8 *other = mini_page(s->mini, first);

	ministor_add(s, 0, MIB);
	ASSERT(ministor_start(s));
	open.relid = le32_of(s->channel.relid);
	for (unsigned k = 0; k < 8; k++)
		page[k] = first + k;
	memset(other, 0x5a, 8 * VMBUS_PAGE);
	/* Another list under another id, opened upon the open channel: refused. */
	ASSERT_EQ(mini_gpadl(s->mini, s->channel.relid, 99, page, 8), VMBUS_OK);
	mini_post(s->mini, VMBUS_OPEN, &open, sizeof open);
	mini_forget(s->mini);
	/* Another list under the id of the rings: refused. And more pages for it: of no list. */
	ASSERT_EQ(mini_gpadl(s->mini, s->channel.relid, s->channel.gpadl, page, 8),
		  VMBUS_FAILED);
	body.gpadl = le32_of(s->channel.gpadl);
	memcpy(message, &body, sizeof body);
	memcpy(message + sizeof body, page, sizeof page);
	mini_post(s->mini, VMBUS_GPADL_BODY, message, sizeof body + sizeof page);
	mini_forget(s->mini);
	/* Torn down while they are in use: answered when they are not. */
	teardown.relid = le32_of(s->channel.relid);
	teardown.gpadl = le32_of(s->channel.gpadl);
	mini_post(s->mini, VMBUS_GPADL_TEARDOWN, &teardown, sizeof teardown);
	ASSERT_EQ(s->mini->message_count, 0);
	/* All the time the channel works where it was, and nothing was written elsewhere. */
	ASSERT(ministor_write(s, 0, 8, 4096, false));
	ASSERT(ministor_read(s, 0, 8, 4096));
	for (unsigned k = 0; k < 8 * VMBUS_PAGE; k++)
		ASSERT_EQ(other[k], 0x5a);
	mini_close(&s->channel);
	ASSERT_EQ(s->mini->message_count, 1);
	ASSERT_OK(begins_anew(s));
}

/* ---- cases 9 and 10: commands ---------------------------------------------------------------------- */

TEST(commands_out_of_all_bounds_are_answered)
{
	static const struct {
		u32 cdb_size, size;
		u8 direction;
		u8 cdb[16];
	} row[] = {
		{ 0, 512, STORVSP_READ, { SCSI_READ_10, [8] = 1 } },
		{ 17, 512, STORVSP_READ, { SCSI_READ_10, [8] = 1 } },
		{ 255, 512, STORVSP_READ, { SCSI_READ_10, [8] = 1 } },
		{ 1, 512, STORVSP_READ, { SCSI_READ_16 } },
		{ 12, 4, STORVSP_READ, { SCSI_REPORT_LUNS, [9] = 4 } },
		{ 16,
		  512,
		  STORVSP_READ,
		  { SCSI_READ_16, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
		    255, 255 } },
		/* More or less than the pages that came with it. */
		{ 10, 512, STORVSP_READ, { SCSI_READ_10, [8] = 200 } },
		{ 10, 65536, STORVSP_READ, { SCSI_READ_10, [8] = 1 } },
		{ 10, 0, STORVSP_NO_DATA, { SCSI_WRITE_10, [8] = 255 } },
		{ 10, 65536, STORVSP_WRITE, { SCSI_UNMAP, [7] = 255, [8] = 255 } },
		{ 16, 512, STORVSP_WRITE, { SCSI_WRITE_SAME_16, 0 } },
		{ 16,
		  512,
		  STORVSP_WRITE,
		  { SCSI_WRITE_SAME_16, 8, [10] = 255, 255, 255, 255 } },
		{ 16,
		  0,
		  STORVSP_NO_DATA,
		  { SCSI_WRITE_SAME_16, 1, [10] = 255, 255, 255, 255 } },
		{ 10, 0, STORVSP_NO_DATA, { SCSI_VERIFY_10, 2, [8] = 8 } },
		{ 10, 0, STORVSP_NO_DATA, { SCSI_VERIFY_10, 6, [8] = 8 } },
		{ 10, 0, STORVSP_NO_DATA, { SCSI_VERIFY_10, 0, [7] = 255, 255 } },
		{ 10,
		  24,
		  STORVSP_WRITE,
		  { SCSI_PERSISTENT_RESERVE_OUT, 0, [5] = 255, 255, 255, 255 } },
		{ 10, 0, STORVSP_NO_DATA, { SCSI_PERSISTENT_RESERVE_OUT, 0x1f, 255 } },
		{ 10,
		  8192,
		  STORVSP_READ,
		  { SCSI_PERSISTENT_RESERVE_IN, 0x1f, [7] = 255, 255 } },
	};
	STOR s = ministor_new(0);
	size_t before;

	ministor_add(s, 0, MIB);
	ASSERT(ministor_start(s));
	before = memory_used();
	memset(ministor_data(s), 0xff, MIB);
	for (unsigned k = 0; k < ARRAY_COUNT(row); k++)
		ASSERT(ministor_command(s, 0, row[k].cdb, row[k].cdb_size,
					row[k].direction, row[k].size)
			       .answered);
	for (unsigned k = 0; k < 5000; k++) {
		u8 cdb[16];

		for (unsigned n = 0; n < sizeof cdb; n++)
			cdb[n] = (u8)(next_random() % 4 ? next_random() : 0);
		ASSERT(ministor_command(s, next_random() % 2, cdb, 1 + next_random() % 16,
					(u8)(next_random() % 3), next_random() % 9 * 512)
			       .answered);
	}
	ASSERT_OK(begins_anew(s));
	ASSERT(memory_used() < before + MEMORY_BOUND);
}

/* ---- case 15: more messages than anybody could mean ------------------------------------------------ */

/* Lines on standard error from here on, counted at the end. */
static int catch_log(void)
{
	int fd = memfd_create("log", MFD_CLOEXEC);

	if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
		return -1;
	log_start("test", LOG_WARN);
	return fd;
}

static unsigned lines_of(int fd)
{
	static char text[MIB];
	ssize_t n = pread(fd, text, sizeof text, 0);
	unsigned lines = 0;

	for (ssize_t k = 0; k < n; k++)
		lines += text[k] == '\n';
	return lines;
}

static void flood_with(struct ministor *s, u32 type)
{
	u8 message[VMBUS_MAX_MESSAGE];
	const u32 small[4] = { next_random() % 3, next_random() % 2000,
			       next_random() % 65536 << 16 | 1, next_random() % 8 };

	for (unsigned n = 0; n < sizeof message; n++)
		message[n] = (u8)next_random();
	if (next_random() % 8)
		memcpy(message + sizeof(struct vmbus_header), small, sizeof small);
	mini_post(s->mini, type, message,
		  next_random() % 8 ? (u32)sizeof message
				    : 8 + next_random() % (VMBUS_MAX_MESSAGE - 8));
	if (next_random() % 4)
		mini_forget(s->mini);
}

TEST_TIMEOUT(flood_of_messages_meets_limits_and_few_lines_in_the_log, 120)
{
	STOR s = ministor_new(4);
	AUTO_CLOSE int log = catch_log();
	u64 end = now_ns() + storm_ns();
	unsigned sent = 0;
	size_t before;

	ASSERT(log >= 0);
	ministor_add(s, 0, MIB);
	ASSERT(ministor_start(s));
	before = memory_used();
	/* Lists alone first: they are what memory is held for. Then everything. */
	for (; sent < 20000; sent++)
		flood_with(s, sent % 3 ? VMBUS_GPADL_HEADER : VMBUS_GPADL_BODY);
	ASSERT(memory_used() < before + MEMORY_BOUND);
	for (; now_ns() < end; sent++)
		flood_with(s, next_random() % 32);
	ASSERT(sent > 20000);
	ASSERT(memory_used() < before + MEMORY_BOUND);
	/* Ten lines of each place that has something to say: four of them are reached. */
	ASSERT(lines_of(log) <= 4 * LOG_GUEST_BURST);
	ASSERT_OK(begins_anew(s));
}
