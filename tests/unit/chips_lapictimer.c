/* SPDX-License-Identifier: Apache-2.0 */
/* The timer of the local APIC: hv/chips/lapic_timer.c. */
#include "chips_lapic.h"

TEST(lapic_timer_one_shot_counts_down_and_fires_once)
{
	struct board b;
	struct lapic *l = &b.p[0].lapic;

	board_init(&b);
	enable(l);
	wr(l, 0x3e0, 0xb); /* by 1 */
	wr(l, 0x320, 0xee);
	wr(l, 0x380, 0x10000);
	ASSERT_EQ(b.p[0].alarm, b.clock.monotonic + 0x10000);
	advance(&b, 0xffff);
	ASSERT_EQ(rd(l, 0x390), 1);
	ASSERT(!requested(l, 0xee));
	advance(&b, 1);
	ASSERT_EQ(rd(l, 0x390), 0);
	ASSERT_EQ(lapic_take(l), 0xee);
	wr(l, 0xb0, 0);
	advance(&b, 10000000);
	ASSERT_EQ(lapic_take(l), -1);
	ASSERT_EQ(rd(l, 0x380), 0x10000);
	ASSERT_EQ(b.p[0].alarm, CHIP_NO_ALARM);
}

TEST(lapic_timer_divides_by_every_value_of_the_register)
{
	static const unsigned shift[8] = { 1, 2, 3, 4, 5, 6, 7, 0 };
	struct board b;
	struct lapic *l = &b.p[0].lapic;

	board_init(&b);
	enable(l);
	for (unsigned i = 0; i < 8; i++) {
		u32 config = (i & 3) | (i & 4) << 1;

		wr(l, 0x3e0, config);
		ASSERT_EQ(rd(l, 0x3e0), config);
		wr(l, 0x320, 0xee);
		wr(l, 0x380, 1000);
		ASSERT_EQ(b.p[0].alarm, b.clock.monotonic + (1000ull << shift[i]));
		advance(&b, 300ull << shift[i]);
		ASSERT_EQ(rd(l, 0x390), 700);
	}
}

TEST(lapic_timer_read_of_zero_finds_the_interrupt_requested)
{
	struct board b;
	struct lapic *l = &b.p[0].lapic;

	board_init(&b);
	enable(l);
	wr(l, 0x3e0, 0xb);
	wr(l, 0x320, 0xee);
	wr(l, 0x380, 1000);
	manual_clock_advance(&b.clock, 1000); /* the alarm is late */
	ASSERT_EQ(rd(l, 0x390), 0);
	ASSERT(requested(l, 0xee));
}

TEST(lapic_timer_periodic_keeps_its_phase_and_catches_up_with_one_interrupt)
{
	struct board b;
	struct lapic *l = &b.p[0].lapic;

	board_init(&b);
	enable(l);
	wr(l, 0x3e0, 0xb);
	wr(l, 0x320, 0x200ee);
	wr(l, 0x380, 1000000);
	for (unsigned i = 0; i < 5; i++) {
		advance(&b, 1000000);
		ASSERT_EQ(rd(l, 0x390), 1000000);
		ASSERT_EQ(lapic_take(l), 0xee);
		wr(l, 0xb0, 0);
	}
	/* Three and a half periods late: one interrupt, the phase stands. */
	manual_clock_advance(&b.clock, 3500000);
	lapic_on_alarm(l);
	ASSERT_EQ(lapic_take(l), 0xee);
	wr(l, 0xb0, 0);
	ASSERT_EQ(rd(l, 0x390), 500000);
	ASSERT_EQ(b.p[0].alarm, b.clock.monotonic + 500000);
}

TEST(lapic_timer_period_of_nanoseconds_does_not_storm)
{
	struct board b;
	struct lapic *l = &b.p[0].lapic;

	board_init(&b);
	enable(l);
	wr(l, 0x3e0, 0xb);
	wr(l, 0x320, 0x200ee);
	wr(l, 0x380, 1);
	for (unsigned i = 0; i < 100; i++) {
		advance(&b, 100000);
		lapic_take(l);
		wr(l, 0xb0, 0);
	}
	ASSERT(l->timer_fired >= 100);
	ASSERT(l->timer_fired <= 10000000 / LAPIC_MIN_PERIOD_NS + 1);
}

/* kvm-unit-tests apic: test_apic_change_mode, step by step. */
TEST(lapic_timer_mode_changes_keep_the_count)
{
	const u32 initial = 0x999999;
	struct board b;
	struct lapic *l = &b.p[0].lapic;

	board_init(&b);
	enable(l);
	wr(l, 0x3e0, 0xb);
	wr(l, 0x380, initial);
	wr(l, 0x320, 0x30000); /* periodic, masked */
	ASSERT_EQ(rd(l, 0x380), initial);
	wr(l, 0x320, 0x10000);
	wr(l, 0x380, initial);
	ASSERT(rd(l, 0x390));
	advance(&b, initial);
	ASSERT_EQ(rd(l, 0x390), 0);
	wr(l, 0x380, initial);
	advance(&b, initial / 2 + 10);
	wr(l, 0x320, 0x30000);
	ASSERT(rd(l, 0x390) > 0 && rd(l, 0x390) < initial / 2);
	advance(&b, initial / 2);
	ASSERT(rd(l, 0x390) > initial / 2);
	advance(&b, initial / 2 + 10);
	wr(l, 0x320, 0x10000);
	ASSERT(rd(l, 0x390) < initial / 2);
	advance(&b, initial);
	ASSERT_EQ(rd(l, 0x390), 0);
	wr(l, 0x320, 0x30000);
	ASSERT_EQ(rd(l, 0x390), 0);
	advance(&b, initial);
	ASSERT_EQ(rd(l, 0x390), 0);
}

TEST(lapic_timer_divide_change_goes_on_from_the_count)
{
	struct board b;
	struct lapic *l = &b.p[0].lapic;

	board_init(&b);
	enable(l);
	wr(l, 0x3e0, 0xb);
	wr(l, 0x320, 0xee);
	wr(l, 0x380, 1000);
	advance(&b, 400);
	wr(l, 0x3e0, 0x3); /* by 16 */
	ASSERT_EQ(rd(l, 0x390), 600);
	advance(&b, 16);
	ASSERT_EQ(rd(l, 0x390), 599);
	advance(&b, 599 * 16 - 1);
	ASSERT(!requested(l, 0xee));
	advance(&b, 1);
	ASSERT(requested(l, 0xee));
}

TEST(lapic_timer_masked_at_its_end_loses_the_interrupt)
{
	struct board b;
	struct lapic *l = &b.p[0].lapic;

	board_init(&b);
	enable(l);
	wr(l, 0x3e0, 0xb);
	wr(l, 0x320, 0x100ee);
	wr(l, 0x380, 1000);
	ASSERT_EQ(b.p[0].alarm, CHIP_NO_ALARM);
	advance(&b, 2000);
	wr(l, 0x320, 0xee);
	advance(&b, 2000);
	ASSERT(!requested(l, 0xee));
	/* Unmasked in time, it comes. */
	wr(l, 0x320, 0x100ee);
	wr(l, 0x380, 1000);
	advance(&b, 500);
	wr(l, 0x320, 0xee);
	advance(&b, 500);
	ASSERT(requested(l, 0xee));
}

TEST(lapic_tsc_deadline_in_the_past_fires_at_once_and_reads_zero)
{
	struct board b;
	struct lapic *l = &b.p[0].lapic;

	board_init(&b);
	enable(l);
	wr(l, 0x320, 0x400ef);
	ASSERT(lapic_msr_write(l, MSR_TSC_DEADLINE, tsc_now(&b.p[0])));
	ASSERT_EQ(lapic_take(l), 0xef);
	ASSERT_EQ(msr(l, MSR_TSC_DEADLINE), 0);
	wr(l, 0xb0, 0);
	ASSERT(lapic_msr_write(l, MSR_TSC_DEADLINE, 1));
	ASSERT_EQ(lapic_take(l), 0xef);
}

TEST(lapic_tsc_deadline_comes_when_the_counter_reaches_it)
{
	struct board b;
	struct lapic *l = &b.p[0].lapic;
	u64 deadline;

	board_init(&b);
	enable(l);
	wr(l, 0x320, 0x400ef);
	deadline = tsc_now(&b.p[0]) + 2001; /* 1000.5 ns */
	ASSERT(lapic_msr_write(l, MSR_TSC_DEADLINE, deadline));
	ASSERT_EQ(msr(l, MSR_TSC_DEADLINE), deadline);
	ASSERT_EQ(b.p[0].alarm, b.clock.monotonic + 1001);
	advance(&b, 1000);
	lapic_on_alarm(l); /* too early: set again */
	ASSERT(!requested(l, 0xef));
	ASSERT_EQ(b.p[0].alarm, b.clock.monotonic + 1);
	advance(&b, 1);
	ASSERT(requested(l, 0xef));
	ASSERT_EQ(msr(l, MSR_TSC_DEADLINE), 0);
	/* 0 disarms. */
	ASSERT(lapic_msr_write(l, MSR_TSC_DEADLINE, tsc_now(&b.p[0]) + 1000));
	ASSERT(lapic_msr_write(l, MSR_TSC_DEADLINE, 0));
	ASSERT_EQ(b.p[0].alarm, CHIP_NO_ALARM);
	/* The end of time is not the past. */
	ASSERT(lapic_msr_write(l, MSR_TSC_DEADLINE, UINT64_MAX));
	ASSERT(b.p[0].alarm > b.clock.monotonic + NS_PER_SEC);
}

TEST(lapic_tsc_deadline_and_counter_do_not_mix)
{
	struct board b;
	struct lapic *l = &b.p[0].lapic;

	board_init(&b);
	enable(l);
	wr(l, 0x3e0, 0xb);
	wr(l, 0x320, 0xee);
	ASSERT(lapic_msr_write(l, MSR_TSC_DEADLINE, 1)); /* ignored */
	ASSERT_EQ(msr(l, MSR_TSC_DEADLINE), 0);
	ASSERT(!requested(l, 0xee));
	wr(l, 0x380, 1000);
	wr(l, 0x320, 0x400ef); /* disarms */
	ASSERT_EQ(rd(l, 0x380), 0);
	ASSERT_EQ(rd(l, 0x390), 0);
	wr(l, 0x380, 1000); /* ignored */
	ASSERT_EQ(rd(l, 0x390), 0);
	advance(&b, 5000);
	ASSERT_EQ(lapic_take(l), -1);
	ASSERT(lapic_msr_write(l, MSR_TSC_DEADLINE, tsc_now(&b.p[0]) + 2000));
	wr(l, 0x320, 0xee); /* disarms */
	ASSERT_EQ(b.p[0].alarm, CHIP_NO_ALARM);
	wr(l, 0x320, 0x400ef);
	ASSERT_EQ(msr(l, MSR_TSC_DEADLINE), 0);
	wr(l, 0x320, 0x600ef); /* reserved mode: stands */
	wr(l, 0x380, 1000);
	advance(&b, 5000);
	ASSERT_EQ(lapic_take(l), -1);
}
