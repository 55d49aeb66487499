/* SPDX-License-Identifier: Apache-2.0 */
/* The synthetic interrupt controller: slots, flags, what waits and when it goes. */
#include "harness.h"

#include "hv/synic.h"
#include "wall/wall.h"

#define MESSAGES 0x5000ull
#define EVENTS 0x6000ull
#define VECTOR 0xf3u
#define SINT 2u

struct fixture {
	struct synic s;
	u8 messages[4096] __attribute__((aligned(4096)));
	u8 events[4096] __attribute__((aligned(4096)));
	unsigned interrupts, rooms, wrote;
	u8 vector;
	bool auto_eoi[256];
	u64 now;
};

static u8 *on_page(void *owner, gpa_t gpa)
{
	struct fixture *f = owner;

	return gpa == MESSAGES ? f->messages : gpa == EVENTS ? f->events : NULL;
}
static void on_wrote(void *owner, gpa_t gpa)
{
	((struct fixture *)owner)->wrote += gpa == MESSAGES || gpa == EVENTS;
}
static void on_interrupt(void *owner, u8 vector)
{
	struct fixture *f = owner;

	f->interrupts++;
	f->vector = vector;
}
static void on_auto_eoi(void *owner, u8 vector, bool on)
{
	((struct fixture *)owner)->auto_eoi[vector] = on;
}
static void on_room(void *owner)
{
	((struct fixture *)owner)->rooms++;
}
static u64 on_now(void *owner)
{
	return ((struct fixture *)owner)->now;
}
static const struct synic_ops ops = { .page = on_page,
				      .wrote = on_wrote,
				      .interrupt = on_interrupt,
				      .auto_eoi = on_auto_eoi,
				      .room = on_room,
				      .now = on_now };

static void begin(struct fixture *f)
{
	memset(f, 0, sizeof *f);
	synic_init(&f->s, &ops, f);
}

static void open_all(struct fixture *f)
{
	begin(f);
	EXPECT(synic_msr_write(&f->s, HV_MSR_SIMP, MESSAGES | 1));
	EXPECT(synic_msr_write(&f->s, HV_MSR_SIEFP, EVENTS | 1));
	EXPECT(synic_msr_write(&f->s, HV_MSR_SINT0 + SINT, VECTOR));
	EXPECT(synic_msr_write(&f->s, HV_MSR_SCONTROL, 1));
}

static struct hv_message *slot(struct fixture *f, unsigned sint)
{
	return (struct hv_message *)f->messages + sint;
}

static int post(struct fixture *f, u32 type)
{
	return synic_post(&f->s, SINT, type, 7, "payload", 7, true);
}

static struct fixture fix;

TEST(registers_of_the_synic_read_as_at_reset)
{
	struct fixture *f = &fix;
	u64 v;

	begin(f);
	ASSERT(synic_msr_read(&f->s, HV_MSR_SCONTROL, &v));
	ASSERT_EQ(v, 0);
	ASSERT(synic_msr_read(&f->s, HV_MSR_SVERSION, &v));
	ASSERT_EQ(v, 1);
	ASSERT(synic_msr_read(&f->s, HV_MSR_EOM, &v));
	ASSERT_EQ(v, 0);
	for (u32 k = 0; k < HV_SINTS; k++) {
		ASSERT(synic_msr_read(&f->s, HV_MSR_SINT0 + k, &v));
		ASSERT_EQ(v, 0x10000);
	}
	ASSERT(!synic_msr_read(&f->s, HV_MSR_EOM + 1, &v));
	ASSERT(!synic_msr_write(&f->s, HV_MSR_SVERSION, 1));
}

TEST(sint_with_a_vector_of_an_exception_is_refused_unless_masked)
{
	begin(&fix);
	ASSERT(!synic_msr_write(&fix.s, HV_MSR_SINT0, 15));
	ASSERT(synic_msr_write(&fix.s, HV_MSR_SINT0, 15 | HV_SINT_MASKED));
	ASSERT(synic_msr_write(&fix.s, HV_MSR_SINT0, 16));
}

TEST(message_goes_into_its_slot_and_interrupts)
{
	struct fixture *f = &fix;

	open_all(f);
	ASSERT_EQ(post(f, 1), 0);
	ASSERT_EQ(le32_get(slot(f, SINT)->type), 1);
	ASSERT_EQ(slot(f, SINT)->payload_size, 7);
	ASSERT_EQ(slot(f, SINT)->flags, 0);
	ASSERT_EQ(le64_get(slot(f, SINT)->sender), 7);
	ASSERT_MEM(slot(f, SINT)->payload, "payload", 7);
	ASSERT_EQ(f->interrupts, 1);
	ASSERT_EQ(f->vector, VECTOR);
	ASSERT(f->wrote > 0);
}

TEST(second_message_waits_says_so_and_goes_at_eom)
{
	struct fixture *f = &fix;

	open_all(f);
	ASSERT_EQ(post(f, 1), 0);
	ASSERT_EQ(post(f, 2), 0);
	ASSERT_EQ(le32_get(slot(f, SINT)->type), 1);
	ASSERT_EQ(slot(f, SINT)->flags, HV_MESSAGE_PENDING);
	ASSERT_EQ(f->interrupts, 1);
	ASSERT_EQ(post(f, 3), 0);
	slot(f, SINT)->type = le32_of(0);
	ASSERT(synic_msr_write(&f->s, HV_MSR_EOM, 0));
	ASSERT_EQ(le32_get(slot(f, SINT)->type), 2);
	ASSERT_EQ(slot(f, SINT)->flags, HV_MESSAGE_PENDING); /* the third */
	slot(f, SINT)->type = le32_of(0);
	ASSERT(synic_msr_write(&f->s, HV_MSR_EOM, 0));
	ASSERT_EQ(le32_get(slot(f, SINT)->type), 3);
	ASSERT_EQ(slot(f, SINT)->flags, 0);
	ASSERT_EQ(f->interrupts, 3);
}

TEST(message_waits_for_a_controller_that_is_off_and_for_a_masked_sint)
{
	struct fixture *f = &fix;

	begin(f);
	ASSERT_EQ(post(f, 1), 0);
	ASSERT(synic_msr_write(&f->s, HV_MSR_SIMP, MESSAGES | 1));
	ASSERT(synic_msr_write(&f->s, HV_MSR_SCONTROL, 1));
	ASSERT_EQ(le32_get(slot(f, SINT)->type), 0);
	ASSERT(synic_msr_write(&f->s, HV_MSR_SINT0 + SINT, VECTOR));
	ASSERT_EQ(le32_get(slot(f, SINT)->type), 1);
	ASSERT_EQ(f->interrupts, 1);
}

TEST(message_page_that_is_no_memory_keeps_the_message)
{
	struct fixture *f = &fix;

	open_all(f);
	ASSERT(synic_msr_write(&f->s, HV_MSR_SIMP, 0xfee00000 | 1));
	ASSERT_EQ(post(f, 1), 0);
	ASSERT_EQ(f->interrupts, 0);
	ASSERT(synic_msr_write(&f->s, HV_MSR_SIMP, MESSAGES | 1));
	ASSERT_EQ(f->interrupts, 1);
}

TEST(polled_sint_gets_its_message_without_an_interrupt)
{
	struct fixture *f = &fix;

	open_all(f);
	ASSERT(synic_msr_write(&f->s, HV_MSR_SINT0 + SINT, VECTOR | HV_SINT_POLLING));
	ASSERT_EQ(post(f, 1), 0);
	ASSERT_EQ(le32_get(slot(f, SINT)->type), 1);
	ASSERT_EQ(f->interrupts, 0);
}

TEST(full_queue_refuses_and_says_when_there_is_room)
{
	struct fixture *f = &fix;

	open_all(f);
	ASSERT_EQ(post(f, 1), 0);
	for (unsigned k = 0; k < SYNIC_QUEUE; k++)
		ASSERT_EQ(post(f, 2 + k), 0);
	ASSERT_ERR(post(f, 99), EAGAIN);
	ASSERT_EQ(f->rooms, 0);
	slot(f, SINT)->type = le32_of(0);
	ASSERT(synic_msr_write(&f->s, HV_MSR_EOM, 0));
	ASSERT_EQ(f->rooms, 1);
	ASSERT_EQ(post(f, 100), 0);
}

TEST(messages_of_different_sints_do_not_wait_for_each_other)
{
	struct fixture *f = &fix;

	open_all(f);
	ASSERT(synic_msr_write(&f->s, HV_MSR_SINT0 + 5, 0x55));
	ASSERT_EQ(post(f, 1), 0);
	ASSERT_EQ(post(f, 2), 0);
	ASSERT_EQ(synic_post(&f->s, 5, 3, 0, "", 0, true), 0);
	ASSERT_EQ(le32_get(slot(f, 5)->type), 3);
	ASSERT_EQ(f->vector, 0x55);
}

TEST(event_interrupts_once_until_the_guest_clears_its_flag)
{
	struct fixture *f = &fix;

	open_all(f);
	ASSERT_EQ(synic_signal(&f->s, SINT, 65), HV_SUCCESS);
	ASSERT_EQ(f->events[SINT * 256 + 8], 2);
	ASSERT_EQ(f->interrupts, 1);
	ASSERT_EQ(synic_signal(&f->s, SINT, 65), HV_SUCCESS);
	ASSERT_EQ(f->interrupts, 1);
	f->events[SINT * 256 + 8] = 0;
	ASSERT_EQ(synic_signal(&f->s, SINT, 65), HV_SUCCESS);
	ASSERT_EQ(f->interrupts, 2);
	synic_signal_word(&f->s, SINT, 31, 1ull << 63);
	ASSERT_EQ(f->events[SINT * 256 + 255], 0x80);
	ASSERT_EQ(f->interrupts, 3);
}

TEST(event_of_a_masked_sint_is_dropped)
{
	struct fixture *f = &fix;

	open_all(f);
	ASSERT(synic_msr_write(&f->s, HV_MSR_SINT0 + SINT, VECTOR | HV_SINT_MASKED));
	ASSERT_EQ(synic_signal(&f->s, SINT, 1), HV_INVALID_SYNIC_STATE);
	ASSERT_EQ(f->events[SINT * 256], 0);
	ASSERT_EQ(f->s.dropped_events, 1);
}

TEST(vector_ends_by_itself_while_any_of_its_sints_says_so)
{
	struct fixture *f = &fix;

	begin(f);
	ASSERT(synic_msr_write(&f->s, HV_MSR_SINT0, 0x40 | HV_SINT_AUTO_EOI));
	ASSERT(f->auto_eoi[0x40]);
	ASSERT(synic_msr_write(&f->s, HV_MSR_SINT0 + 1, 0x40));
	ASSERT(f->auto_eoi[0x40]);
	ASSERT(synic_msr_write(&f->s, HV_MSR_SINT0,
			       0x40 | HV_SINT_AUTO_EOI | HV_SINT_MASKED));
	ASSERT(!f->auto_eoi[0x40]);
}

TEST(timer_message_waits_for_its_slot_and_tells_both_times)
{
	struct fixture *f = &fix;
	struct hv_timer_message t;

	open_all(f);
	ASSERT_EQ(post(f, 1), 0);
	ASSERT(synic_timer_message(&f->s, 3, SINT, 1000));
	ASSERT(!synic_timer_message(&f->s, 3, SINT, 2000)); /* one at a time */
	ASSERT_EQ(slot(f, SINT)->flags, HV_MESSAGE_PENDING);
	slot(f, SINT)->type = le32_of(0);
	f->now = 1500;
	ASSERT(synic_msr_write(&f->s, HV_MSR_EOM, 0));
	ASSERT_EQ(le32_get(slot(f, SINT)->type), HV_MESSAGE_TIMER_EXPIRED);
	memcpy(&t, slot(f, SINT)->payload, sizeof t);
	ASSERT_EQ(le32_get(t.index), 3);
	ASSERT_EQ(le64_get(t.expiration), 1000);
	ASSERT_EQ(le64_get(t.delivery), 1500);
}

TEST(what_waits_survives_saving_and_restoring)
{
	struct fixture *f = &fix;
	static struct fixture other;
	struct synic_state state;
	u8 half[2][WALL_CHIP_STATE_SIZE];

	open_all(f);
	for (unsigned k = 0; k < 12; k++)
		ASSERT_EQ(post(f, 1 + k), 0);
	ASSERT(synic_timer_message(&f->s, 1, SINT, 5));
	synic_save(&f->s, &state);
	synic_save_queue(&f->s, 0, half[0]);
	synic_save_queue(&f->s, 1, half[1]);

	begin(&other);
	ASSERT_EQ(synic_restore(&other.s, &state), 0);
	ASSERT_ERR(synic_restore_queue(&other.s, 1, half[1]), EINVAL); /* out of turn */
	ASSERT_EQ(synic_restore_queue(&other.s, 0, half[0]), 0);
	ASSERT_EQ(synic_restore_queue(&other.s, 1, half[1]), 0);
	for (u32 k = 0; k < 11; k++) {
		ASSERT(synic_msr_write(&other.s, HV_MSR_EOM, 0));
		ASSERT_EQ(le32_get(slot(&other, SINT)->type), 2 + k);
		slot(&other, SINT)->type = le32_of(0);
	}
	synic_look(&other.s);
	ASSERT_EQ(le32_get(slot(&other, SINT)->type), HV_MESSAGE_TIMER_EXPIRED);
}

TEST(state_that_no_synic_ever_had_is_refused)
{
	struct fixture *f = &fix;
	struct synic_state state, bad;
	u8 block[WALL_CHIP_STATE_SIZE];

	open_all(f);
	synic_save(&f->s, &state);
	bad = state;
	bad.sint[4] = le64_of(3);
	ASSERT_ERR(synic_restore(&f->s, &bad), EINVAL);
	bad = state;
	bad.timer_waits = 0x10;
	ASSERT_ERR(synic_restore(&f->s, &bad), EINVAL);
	bad = state;
	bad.timer_sint[0] = 16;
	ASSERT_ERR(synic_restore(&f->s, &bad), EINVAL);
	ASSERT_EQ(post(f, 1), 0);
	ASSERT_EQ(post(f, 2), 0);
	synic_save_queue(&f->s, 0, block);
	ASSERT_EQ(synic_restore(&f->s, &state), 0);
	block[4] = SYNIC_QUEUE_BLOCK + 1; /* count */
	ASSERT_ERR(synic_restore_queue(&f->s, 0, block), EINVAL);
	block[4] = 1;
	block[5] = HV_SINTS; /* its SINT */
	ASSERT_ERR(synic_restore_queue(&f->s, 0, block), EINVAL);
}

TEST(reset_forgets_all_that_waited)
{
	struct fixture *f = &fix;

	open_all(f);
	ASSERT_EQ(post(f, 1), 0);
	ASSERT_EQ(post(f, 2), 0);
	synic_reset(&f->s);
	memset(f->messages, 0, sizeof f->messages);
	f->interrupts = 0;
	ASSERT(synic_msr_write(&f->s, HV_MSR_SIMP, MESSAGES | 1));
	ASSERT(synic_msr_write(&f->s, HV_MSR_SINT0 + SINT, VECTOR));
	ASSERT(synic_msr_write(&f->s, HV_MSR_SCONTROL, 1));
	ASSERT_EQ(f->interrupts, 0);
	ASSERT_EQ(le32_get(slot(f, SINT)->type), 0);
}
