/* SPDX-License-Identifier: Apache-2.0 */
/* wall/guest_memory.h: ranges, the hole, marks, flushes. */
#include <pthread.h>
#include <sys/stat.h>

#include "base/checked.h"
#include "harness.h"
#include "wall/fake_hv.h"
#include "wall/guest_memory.h"

struct fixture {
	struct fake_hv *hv;
	struct guest_memory *gm;
};

static void fixture_done(struct fixture *f)
{
	gm_close(f->gm);
	fake_hv_free(f->hv);
}
#define FIXTURE __attribute__((cleanup(fixture_done))) struct fixture

static bool fixture_init(struct fixture *f, u64 ram_size)
{
	CHECK_EQ(fake_hv_new(ram_size, 65536, 1, &f->hv), 0);
	CHECK_EQ(gm_open(f->hv->ram_fd, ram_size, f->hv->dirty_fd, f->hv->code_fd,
			 f->hv->control, f->hv->hv_event, &f->gm),
		 0);
	return true;
}

#define MIB (1ull << 20)
#define GIB (1ull << 30)

TEST(ranges_outside_ram_are_refused_and_copy_nothing)
{
	FIXTURE f = { 0 };
	u8 byte = 7, two[2] = { 9, 9 };
	u64 ticket = 0;

	ASSERT_OK(fixture_init(&f, MIB));
	ASSERT_EQ(gm_write(f.gm, MIB - 1, &byte, 1, &ticket), 0);
	ASSERT_EQ(f.hv->ram[MIB - 1], 7);
	ASSERT_ERR(gm_read(f.gm, MIB - 1, two, 2), EFAULT);
	ASSERT_EQ(two[0], 9);
	ASSERT_ERR(gm_read(f.gm, MIB, &byte, 1), EFAULT);
	ASSERT_ERR(gm_read(f.gm, UINT64_MAX, &byte, 1), EFAULT);
	ASSERT_ERR(gm_read(f.gm, UINT64_MAX - 1, two, 2), EFAULT);
	ASSERT_ERR(gm_write(f.gm, MIB - 1, two, UINT64_MAX, &ticket), EFAULT);
	ASSERT_ERR(gm_fill(f.gm, 1, 0, MIB, &ticket), EFAULT);
	ASSERT(!gm_pin(f.gm, MIB, 1));
	ASSERT(!gm_pin(f.gm, 0, MIB + 1));
	ASSERT(gm_pin(f.gm, 0, MIB));
	ASSERT_EQ(gm_read(f.gm, MIB, &byte, 0), 0);
}

TEST(ram_goes_on_above_the_hole)
{
	struct gm_layout ram, small;
	u64 offset;

	gm_layout_init(&ram, 4 * GIB, 4 * GIB);
	ASSERT(gm_ram_offset(&ram, 3 * GIB - 1, 1, &offset));
	ASSERT_EQ(offset, 3 * GIB - 1);
	ASSERT(!gm_ram_offset(&ram, 3 * GIB - 1, 2, &offset));
	ASSERT(!gm_ram_offset(&ram, 3 * GIB, 1, &offset));
	ASSERT(!gm_ram_offset(&ram, 4 * GIB - 1, 1, &offset));
	ASSERT(!gm_ram_offset(&ram, 4 * GIB - 1, 2, &offset));
	ASSERT(gm_ram_offset(&ram, 4 * GIB, GIB, &offset));
	ASSERT_EQ(offset, 3 * GIB);
	ASSERT(!gm_ram_offset(&ram, 4 * GIB, GIB + 1, &offset));
	ASSERT(!gm_ram_offset(&ram, 5 * GIB, 1, &offset));
	ASSERT(!gm_ram_offset(&ram, 4 * GIB + 1, UINT64_MAX, &offset));
	/* Nothing above the hole where RAM ends below it. */
	gm_layout_init(&small, 3 * GIB, 3 * GIB);
	ASSERT(!gm_ram_offset(&small, 4 * GIB, 1, &offset));
	gm_layout_init(&small, MIB, MIB);
	ASSERT(!gm_ram_offset(&small, 4 * GIB, 1, &offset));
}

TEST(large_ram_is_reached_on_both_sides_of_the_hole)
{
	FIXTURE f = { 0 };
	u64 value = 0x1122334455667788, back = 0, ticket = 0;

	ASSERT_OK(fixture_init(&f, 4 * GIB));
	ASSERT_EQ(gm_write(f.gm, 4 * GIB + 4096, &value, 8, &ticket), 0);
	ASSERT_MEM(f.hv->ram + 3 * GIB + 4096, &value, 8);
	ASSERT_EQ(f.hv->dirty[(3 * GIB + 4096) >> 12], 1);
	ASSERT_EQ(gm_read(f.gm, 4 * GIB + 4096, &back, 8), 0);
	ASSERT_EQ(back, value);
}

TEST(memory_that_is_shorter_than_promised_is_refused)
{
	struct guest_memory *gm;
	FIXTURE f = { 0 };

	ASSERT_OK(fixture_init(&f, MIB));
	ASSERT_ERR(gm_open(f.hv->ram_fd, 2 * MIB, f.hv->dirty_fd, f.hv->code_fd,
			   f.hv->control, f.hv->hv_event, &gm),
		   EINVAL);
	ASSERT_ERR(gm_open(f.hv->ram_fd, 4095, f.hv->dirty_fd, f.hv->code_fd,
			   f.hv->control, f.hv->hv_event, &gm),
		   EINVAL);
	ASSERT_ERR(gm_open(f.hv->ram_fd, 0, f.hv->dirty_fd, f.hv->code_fd, f.hv->control,
			   f.hv->hv_event, &gm),
		   EINVAL);
}

TEST(write_marks_each_page_that_it_touches_and_no_other)
{
	FIXTURE f = { 0 };
	u64 ticket = 0;
	u8 two[2] = { 1, 2 };

	ASSERT_OK(fixture_init(&f, MIB));
	ASSERT_EQ(gm_write(f.gm, 5 * 4096 - 1, two, 2, &ticket), 0);
	ASSERT_EQ(f.hv->dirty[3], 0);
	ASSERT_EQ(f.hv->dirty[4], 1);
	ASSERT_EQ(f.hv->dirty[5], 1);
	ASSERT_EQ(f.hv->dirty[6], 0);
	ASSERT_EQ(ticket, 0);
	ASSERT(gm_published(f.gm, ticket));
}

TEST(write_to_a_page_with_code_gets_a_ticket_and_waits_for_it)
{
	FIXTURE f = { 0 };
	u64 ticket = 0;

	ASSERT_OK(fixture_init(&f, MIB));
	f.hv->code[7] = 1;
	f.hv->code[9] = 1;
	ASSERT_EQ(gm_fill(f.gm, 6 * 4096, 0x90, 5 * 4096, &ticket), 0);
	ASSERT_EQ(ticket, 1);
	ASSERT_EQ(fake_hv_flushes_asked(f.hv), 1);
	ASSERT_EQ(f.hv->control->flushes.entry[0].first_page, 7);
	ASSERT_EQ(f.hv->control->flushes.entry[0].count, 3);
	ASSERT(!gm_published(f.gm, ticket));
	fake_hv_flush_done(f.hv, 1);
	ASSERT(gm_published(f.gm, ticket));
	ASSERT_EQ(gm_wait_published(f.gm, ticket), 0);
}

TEST(pinned_write_is_noted_when_it_is_said_to_be_done)
{
	FIXTURE f = { 0 };
	u64 ticket = 0;
	u8 *p;

	ASSERT_OK(fixture_init(&f, MIB));
	f.hv->code[2] = 1;
	p = gm_pin(f.gm, 2 * 4096, 512);
	ASSERT(p);
	memset(p, 0xcc, 512);
	ASSERT_EQ(f.hv->dirty[2], 0);
	gm_written(f.gm, 2 * 4096, 512, &ticket);
	ASSERT_EQ(f.hv->dirty[2], 1);
	ASSERT_EQ(ticket, 1);
	/* Outside RAM: nothing happens. */
	gm_written(f.gm, MIB, 1, &ticket);
	ASSERT_EQ(ticket, 1);
}

TEST(released_pages_read_as_zeros_and_are_marked_and_flushed_as_written)
{
	FIXTURE f = { 0 };
	u64 ticket = 0;

	ASSERT_OK(fixture_init(&f, MIB));
	memset(f.hv->ram, 0xaa, MIB);
	f.hv->code[6] = 1;
	ASSERT_EQ(gm_release(f.gm, 5 * 4096, 2 * 4096, &ticket), 0);
	ASSERT_EQ(f.hv->ram[5 * 4096 - 1], 0xaa);
	ASSERT_EQ(f.hv->ram[5 * 4096], 0);
	ASSERT_EQ(f.hv->ram[7 * 4096 - 1], 0);
	ASSERT_EQ(f.hv->ram[7 * 4096], 0xaa);
	ASSERT_EQ(f.hv->dirty[4], 0);
	ASSERT_EQ(f.hv->dirty[5], 1);
	ASSERT_EQ(f.hv->dirty[6], 1);
	ASSERT_EQ(f.hv->dirty[7], 0);
	ASSERT_EQ(ticket, 1);
	ASSERT(!gm_published(f.gm, ticket));
}

TEST(what_is_no_page_of_ram_is_not_released)
{
	FIXTURE f = { 0 };
	u64 ticket = 0;

	ASSERT_OK(fixture_init(&f, MIB));
	memset(f.hv->ram, 0xaa, MIB);
	ASSERT_ERR(gm_release(f.gm, 1, 4096, &ticket), EFAULT);
	ASSERT_ERR(gm_release(f.gm, 0, 4095, &ticket), EFAULT);
	ASSERT_ERR(gm_release(f.gm, MIB - 4096, 8192, &ticket), EFAULT);
	ASSERT_ERR(gm_release(f.gm, MIB, 4096, &ticket), EFAULT);
	ASSERT_ERR(gm_release(f.gm, 4096, UINT64_MAX - 4095, &ticket), EFAULT);
	ASSERT_EQ(gm_release(f.gm, 0, 0, &ticket), 0);
	ASSERT_EQ(f.hv->ram[0], 0xaa);
	ASSERT_EQ(f.hv->ram[MIB - 1], 0xaa);
}

TEST(what_has_not_come_yet_is_no_ram)
{
	FIXTURE f = { 0 };
	u64 ticket = 0;
	u8 byte = 7;

	ASSERT_OK(fixture_init(&f, 4 * MIB));
	ASSERT_ERR(gm_start_with(f.gm, 5 * MIB), EINVAL);
	ASSERT_ERR(gm_start_with(f.gm, 4095), EINVAL);
	ASSERT_ERR(gm_start_with(f.gm, 0), EINVAL);
	ASSERT_EQ(gm_start_with(f.gm, MIB), 0);
	ASSERT_EQ(gm_ram_size(f.gm), MIB);
	ASSERT_EQ(gm_region_size(f.gm), 4 * MIB);
	ASSERT_ERR(gm_write(f.gm, MIB, &byte, 1, &ticket), EFAULT);
	ASSERT_ERR(gm_write(f.gm, 4 * GIB, &byte, 1, &ticket), EFAULT);
	ASSERT_EQ(gm_set_high(f.gm, 2 * MIB), 0);
	ASSERT_EQ(gm_write(f.gm, 4 * GIB + 2 * MIB - 1, &byte, 1, &ticket), 0);
	ASSERT_EQ(f.hv->ram[3 * MIB - 1], 7);
	ASSERT_EQ(f.hv->dirty[(3 * MIB - 1) >> 12], 1);
	ASSERT_ERR(gm_write(f.gm, 4 * GIB + 2 * MIB, &byte, 1, &ticket), EFAULT);
	ASSERT_ERR(gm_write(f.gm, MIB, &byte, 1, &ticket), EFAULT);
	ASSERT_ERR(gm_set_high(f.gm, 4 * MIB), EINVAL);
	ASSERT_ERR(gm_set_high(f.gm, 4095), EINVAL);
	ASSERT_EQ(gm_set_high(f.gm, 0), 0);
	ASSERT(!gm_pin(f.gm, 4 * GIB, 1));
}

TEST(waiter_is_woken_when_hv_has_flushed)
{
	FIXTURE f = { 0 };
	u64 ticket = 0;

	ASSERT_OK(fixture_init(&f, MIB));
	ASSERT_EQ(fake_hv_start(f.hv), 0);
	f.hv->code[1] = 1;
	/* Many times round the ring, so that "no room" is met as well. */
	for (unsigned i = 0; i < 3 * WALL_FLUSHES; i++) {
		ASSERT_EQ(gm_fill(f.gm, 4096, (u8)i, 1, &ticket), 0);
		ASSERT_EQ(ticket, i + 1);
		if (i % 7 == 0)
			ASSERT_EQ(gm_wait_published(f.gm, ticket), 0);
	}
	ASSERT_EQ(gm_wait_published(f.gm, ticket), 0);
	ASSERT_EQ(fake_hv_flushes_asked(f.hv), 3 * WALL_FLUSHES);
}

TEST(hv_that_never_flushes_is_given_up)
{
	FIXTURE f = { 0 };
	u64 ticket = 0;

	ASSERT_OK(fixture_init(&f, MIB));
	f.hv->code[1] = 1;
	ASSERT_EQ(gm_fill(f.gm, 4096, 1, 1, &ticket), 0);
	ASSERT_ERR(gm_wait_published(f.gm, ticket), ETIMEDOUT);
}

/* One side of the race: hv sets the flag, fences, then reads the byte. */
struct racer {
	struct fixture *f;
	pthread_barrier_t barrier;
	unsigned rounds;
	u8 seen;
};

static void *decode(void *arg)
{
	struct racer *r = arg;

	for (unsigned i = 1; i <= r->rounds; i++) {
		pthread_barrier_wait(&r->barrier);
		atomic_store_explicit(&r->f->hv->code[3], 1, memory_order_relaxed);
		atomic_thread_fence(memory_order_seq_cst);
		r->seen = *(volatile u8 *)(r->f->hv->ram + 3 * 4096);
		pthread_barrier_wait(&r->barrier);
	}
	return NULL;
}

TEST(either_hv_decodes_the_new_byte_or_the_writer_asks_for_a_flush)
{
	FIXTURE f = { 0 };
	struct racer r = { .f = &f, .rounds = 20000 };
	pthread_t thread;

	ASSERT_OK(fixture_init(&f, MIB));
	pthread_barrier_init(&r.barrier, NULL, 2);
	ASSERT_EQ(pthread_create(&thread, NULL, decode, &r), 0);
	for (unsigned i = 1; i <= r.rounds; i++) {
		u64 ticket = 0;

		pthread_barrier_wait(&r.barrier);
		EXPECT_EQ(gm_fill(f.gm, 3 * 4096, (u8)i, 1, &ticket), 0);
		pthread_barrier_wait(&r.barrier);
		EXPECT(r.seen == (u8)i || ticket != 0);
		f.hv->code[3] = 0;
		fake_hv_flush_done(f.hv, ticket);
	}
	pthread_join(thread, NULL);
}

TEST(cleared_ram_reads_as_zeros_and_takes_no_room)
{
	FIXTURE f = { 0 };
	u64 ticket = 0;
	struct stat st;

	ASSERT_OK(fixture_init(&f, MIB));
	ASSERT_EQ(gm_fill(f.gm, 0, 0xaa, MIB, &ticket), 0);
	f.hv->code[200] = 1;
	f.hv->dirty[100] = 0;
	ASSERT_EQ(gm_clear(f.gm, &ticket), 0);
	ASSERT_EQ(f.hv->dirty[100], 1);
	ASSERT_EQ(ticket, 1);
	ASSERT_EQ(fstat(f.hv->ram_fd, &st), 0);
	ASSERT_EQ(st.st_blocks, 0);
	ASSERT_EQ(f.hv->ram[MIB / 2], 0);
}

TEST(shared_word_is_stored_whole_marked_and_loaded_again)
{
	FIXTURE f = { 0 };
	u64 ticket = 0;
	u32 value = 0;

	ASSERT_OK(fixture_init(&f, MIB));
	ASSERT_EQ(gm_store32(f.gm, 0x3004, 0x11223344, &ticket), 0);
	ASSERT_EQ(f.hv->dirty[3], 1);
	ASSERT_EQ(f.hv->dirty[2], 0);
	ASSERT_EQ(gm_load32(f.gm, 0x3004, &value), 0);
	ASSERT_EQ(value, 0x11223344);
	ASSERT_ERR(gm_load32(f.gm, 0x3006, &value), EFAULT);
	ASSERT_ERR(gm_load32(f.gm, gm_ram_size(f.gm), &value), EFAULT);
	ASSERT_ERR(gm_store32(f.gm, UINT64_MAX - 3, 0, &ticket), EFAULT);
}
