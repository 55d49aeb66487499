/* SPDX-License-Identifier: Apache-2.0 */
/* Synthetic timers and reference time, with the clock stopped. */
#include "harness.h"

#include "hv/reference_time.h"
#include "hv/stimer.h"

#define DIRECT(vector) (HV_STIMER_DIRECT | (u64)(vector) << HV_STIMER_VECTOR_SHIFT)
#define BY_SINT(sint) ((u64)(sint) << HV_STIMER_SINT_SHIFT)

struct fixture {
	struct stimers t;
	u64 now, alarm;
	unsigned interrupts, messages, cancels;
	u8 vector;
	unsigned sint, timer;
	u64 expiry;
	bool slot_full;
};

static u64 on_now(void *owner)
{
	return ((struct fixture *)owner)->now;
}
static void on_alarm(void *owner, u64 when)
{
	((struct fixture *)owner)->alarm = when;
}
static void on_interrupt(void *owner, u8 vector)
{
	struct fixture *f = owner;

	f->interrupts++;
	f->vector = vector;
}
static bool on_message(void *owner, unsigned timer, unsigned sint, u64 expiry)
{
	struct fixture *f = owner;

	if (f->slot_full)
		return false;
	f->messages++;
	f->timer = timer;
	f->sint = sint;
	f->expiry = expiry;
	return true;
}
static void on_cancel(void *owner, unsigned timer)
{
	((struct fixture *)owner)->cancels += timer < HV_STIMERS;
}
static const struct stimer_ops ops = { .now = on_now,
				       .alarm = on_alarm,
				       .interrupt = on_interrupt,
				       .message = on_message,
				       .cancel = on_cancel };
static struct fixture fix;

static struct fixture *begin(u64 now)
{
	memset(&fix, 0, sizeof fix);
	stimer_init(&fix.t, &ops, &fix);
	fix.now = now;
	fix.alarm = STIMER_NEVER;
	return &fix;
}

static void set(struct fixture *f, unsigned n, bool count, u64 value)
{
	EXPECT(stimer_msr_write(&f->t, HV_MSR_STIMER0_CONFIG + 2 * n + count, value));
}

static u64 get(struct fixture *f, unsigned n, bool count)
{
	u64 v = 0;

	EXPECT(stimer_msr_read(&f->t, HV_MSR_STIMER0_CONFIG + 2 * n + count, &v));
	return v;
}

static void turn(struct fixture *f, u64 now)
{
	f->now = now;
	stimer_look(&f->t);
}

TEST(one_shot_timer_interrupts_at_its_time_and_is_off_then)
{
	struct fixture *f = begin(1000);

	set(f, 0, true, 5000);
	set(f, 0, false, HV_STIMER_ENABLED | DIRECT(0xed));
	ASSERT_EQ(f->alarm, 5000);
	turn(f, 4999);
	ASSERT_EQ(f->interrupts, 0);
	turn(f, 5000);
	ASSERT_EQ(f->interrupts, 1);
	ASSERT_EQ(f->vector, 0xed);
	ASSERT_EQ(f->alarm, STIMER_NEVER);
	ASSERT_EQ(get(f, 0, false), DIRECT(0xed));
	turn(f, 9000);
	ASSERT_EQ(f->interrupts, 1);
}

/* What Linux does: the configuration once, then a count for each event. */
TEST(count_enables_a_timer_that_says_so)
{
	struct fixture *f = begin(1000);

	set(f, 0, false, HV_STIMER_ENABLED | HV_STIMER_AUTO_ENABLE | DIRECT(0xed));
	ASSERT_EQ(f->alarm, STIMER_NEVER);
	for (u64 k = 1; k <= 3; k++) {
		set(f, 0, true, 1000 + 100 * k);
		ASSERT_EQ(f->alarm, 1000 + 100 * k);
		turn(f, 1000 + 100 * k);
		ASSERT_EQ(f->interrupts, k);
	}
	set(f, 0, true, 2000);
	set(f, 0, true, 0);
	ASSERT_EQ(f->alarm, STIMER_NEVER);
	turn(f, 3000);
	ASSERT_EQ(f->interrupts, 3);
}

TEST(deadline_in_the_past_fires_at_once)
{
	struct fixture *f = begin(1000);

	set(f, 2, false, HV_STIMER_AUTO_ENABLE | DIRECT(0x31));
	set(f, 2, true, 999);
	ASSERT_EQ(f->interrupts, 1);
	ASSERT_EQ(f->alarm, STIMER_NEVER);
}

TEST(periodic_timer_keeps_its_phase_and_makes_up_for_nothing)
{
	struct fixture *f = begin(10000);

	set(f, 1, true, 1000);
	set(f, 1, false, HV_STIMER_ENABLED | HV_STIMER_PERIODIC | BY_SINT(3));
	ASSERT_EQ(f->alarm, 11000);
	turn(f, 11000);
	ASSERT_EQ(f->messages, 1);
	ASSERT_EQ(f->timer, 1);
	ASSERT_EQ(f->sint, 3);
	ASSERT_EQ(f->expiry, 11000);
	turn(f, 15500);
	ASSERT_EQ(f->messages, 2);
	ASSERT_EQ(f->alarm, 16000);
	set(f, 1, false, 0);
	ASSERT_EQ(f->alarm, STIMER_NEVER);
	ASSERT(f->cancels > 0);
}

TEST(period_has_a_least_length)
{
	struct fixture *f = begin(0);

	set(f, 0, true, 1);
	set(f, 0, false, HV_STIMER_ENABLED | HV_STIMER_PERIODIC | DIRECT(0x31));
	ASSERT_EQ(f->alarm, STIMER_MIN_PERIOD);
	ASSERT_EQ(get(f, 0, true), 1);
}

TEST(timer_that_could_tell_nobody_cannot_be_enabled)
{
	struct fixture *f = begin(0);

	set(f, 0, true, 100);
	set(f, 0, false, HV_STIMER_ENABLED); /* SINT 0 */
	ASSERT_EQ(get(f, 0, false), 0);
	set(f, 0, false, HV_STIMER_ENABLED | DIRECT(15));
	ASSERT_EQ(get(f, 0, false), DIRECT(15));
	ASSERT_EQ(f->alarm, STIMER_NEVER);
	ASSERT(!stimer_msr_write(&f->t, HV_MSR_STIMER0_CONFIG, BIT64(13)));
}

TEST(four_timers_share_the_alarm)
{
	struct fixture *f = begin(0);

	for (unsigned n = 0; n < 4; n++) {
		set(f, n, true, 400 - 100 * n + 1000);
		set(f, n, false, HV_STIMER_ENABLED | DIRECT(0x40 + n));
	}
	ASSERT_EQ(f->alarm, 1100);
	turn(f, 1100);
	ASSERT_EQ(f->vector, 0x43);
	ASSERT_EQ(f->alarm, 1200);
	turn(f, UINT64_MAX - 1);
	ASSERT_EQ(f->interrupts, 4);
}

TEST(numbers_at_the_end_of_time_do_not_wrap)
{
	struct fixture *f = begin(UINT64_MAX - 500);

	set(f, 0, true, 1000);
	set(f, 0, false, HV_STIMER_ENABLED | HV_STIMER_PERIODIC | DIRECT(0x31));
	ASSERT_EQ(f->alarm, STIMER_NEVER);
	set(f, 1, true, UINT64_MAX);
	set(f, 1, false, HV_STIMER_ENABLED | DIRECT(0x31));
	turn(f, UINT64_MAX - 2);
	ASSERT_EQ(f->interrupts, 0);
}

TEST(armed_timers_survive_saving_and_restoring)
{
	struct fixture *f = begin(1000);
	struct stimer_state state[HV_STIMERS], bad[HV_STIMERS];

	set(f, 0, true, 5000);
	set(f, 0, false, HV_STIMER_ENABLED | DIRECT(0xed));
	stimer_save(&f->t, state);
	f = begin(2000);
	ASSERT_EQ(stimer_restore(&f->t, state), 0);
	stimer_look(&f->t);
	ASSERT_EQ(f->alarm, 5000);
	turn(f, 5000);
	ASSERT_EQ(f->interrupts, 1);

	memcpy(bad, state, sizeof bad);
	bad[0].config = le64_of(HV_STIMER_ENABLED);
	ASSERT_ERR(stimer_restore(&f->t, bad), EINVAL);
	memcpy(bad, state, sizeof bad);
	bad[3].config = le64_of(BIT64(40));
	ASSERT_ERR(stimer_restore(&f->t, bad), EINVAL);
	memcpy(bad, state, sizeof bad);
	bad[0].count = le64_of(0);
	ASSERT_ERR(stimer_restore(&f->t, bad), EINVAL);
}

TEST(reference_time_counts_tenths_of_a_microsecond_by_the_tsc)
{
	struct reference_time t;

	reference_time_init(&t, 2500000000);
	ASSERT_EQ(reference_time_at(&t, 123456789), 0);
	reference_time_run(&t, 1000000000);
	/* 64 bits of fraction: a unit may be missing. */
	u64 second = reference_time_at(&t, 3500000000);
	ASSERT(second >= 9999999 && second <= 10000000);
	u64 day = reference_time_at(&t, 1000000000 + 86400ull * 2500000000);
	ASSERT(day >= 86400ull * 10000000 - 1 && day <= 86400ull * 10000000);
}

TEST(reference_time_stands_while_the_vm_stands)
{
	struct reference_time t;

	reference_time_init(&t, 1000000000);
	reference_time_run(&t, 500);
	reference_time_stop(&t, 1000500);
	u64 stood = reference_time_at(&t, 999999999);
	ASSERT(stood >= 9999 && stood <= 10000);
	reference_time_run(&t, 5000000000);
	ASSERT_EQ(reference_time_at(&t, 5000000000), stood);
	reference_time_stop(&t, 5000000000);
	reference_time_set(&t, 77);
	reference_time_run(&t, 10);
	ASSERT_EQ(reference_time_at(&t, 10), 77);
}

TEST(page_of_the_time_gives_what_the_register_gives)
{
	struct reference_time t;
	struct hv_reference_tsc_page page;

	reference_time_init(&t, 2596126000);
	reference_time_set(&t, 1234567);
	reference_time_run(&t, 0x123456789abcdef);
	reference_time_page(&t, 9, &page);
	ASSERT_EQ(le32_get(page.sequence), 9);
	for (u64 tsc = 0x123456789abcdef; tsc < 0x133456789abcdef;
	     tsc += 0x3456789abcdf) {
		u64 by_page = (u64)((unsigned __int128)tsc * le64_get(page.scale) >> 64) +
			      le64_get(page.offset);

		ASSERT_EQ(by_page, reference_time_at(&t, tsc));
	}
	ASSERT_EQ(reference_time_next(0), 1);
	ASSERT_EQ(reference_time_next(UINT32_MAX - 1), 1);
	ASSERT_EQ(reference_time_next(UINT32_MAX), 1);
}
