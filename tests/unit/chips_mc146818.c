/* SPDX-License-Identifier: Apache-2.0 */
/* The MC146818: hv/chips/mc146818.h. */
#include "chips_wires.h"
#include "hv/chips/mc146818.h"
#include "wall/wall.h"

/* 2024-02-29 23:59:50 UTC, a Thursday. */
#define LEAP_EVE 1709251190ll

struct board {
	struct wires w;
	struct mc146818 rtc;
};

static void board_init(struct board *b)
{
	memset(b, 0, sizeof *b);
	wires_init(&b->w, 10 * NS_PER_SEC, LEAP_EVE * (s64)NS_PER_SEC);
	mc146818_init(&b->rtc, &b->w.clock.clock, WIRES_PIN(&b->w), WIRES_ALARM(&b->w));
}

static void on_alarm(void *chip)
{
	mc146818_on_alarm(chip);
}

static void advance(struct board *b, u64 ns)
{
	wires_advance(&b->w, ns, on_alarm, &b->rtc);
}

static u8 rd(struct board *b, u8 index)
{
	mc146818_write(&b->rtc, 0x70, index);
	return mc146818_read(&b->rtc, 0x71);
}
static void wr(struct board *b, u8 index, u8 value)
{
	mc146818_write(&b->rtc, 0x70, index);
	mc146818_write(&b->rtc, 0x71, value);
}
static bool shows(struct board *b, u8 century, u8 year, u8 month, u8 day, u8 hour,
		  u8 minute, u8 second)
{
	CHECK_EQ(rd(b, 0x32), century);
	CHECK_EQ(rd(b, 9), year);
	CHECK_EQ(rd(b, 8), month);
	CHECK_EQ(rd(b, 7), day);
	CHECK_EQ(rd(b, 4), hour);
	CHECK_EQ(rd(b, 2), minute);
	CHECK_EQ(rd(b, 0), second);
	return true;
}

TEST(mc146818_shows_the_hosts_time_over_a_leap_day)
{
	struct board b;

	board_init(&b);
	ASSERT_OK(shows(&b, 0x20, 0x24, 0x02, 0x29, 0x23, 0x59, 0x50));
	ASSERT_EQ(rd(&b, 6), 5);
	ASSERT_EQ(rd(&b, 0x0d), 0x80);
	ASSERT_EQ(rd(&b, 0x0a), 0x26);
	ASSERT_EQ(rd(&b, 0x0b), 0x02);
	advance(&b, 10 * NS_PER_SEC);
	ASSERT_OK(shows(&b, 0x20, 0x24, 0x03, 0x01, 0x00, 0x00, 0x00));
	ASSERT_EQ(rd(&b, 6), 6);
	/* 2100 is no leap year. */
	wr(&b, 0x32, 0x21);
	wr(&b, 9, 0x00);
	wr(&b, 8, 0x02);
	wr(&b, 7, 0x28);
	advance(&b, 86400 * NS_PER_SEC);
	ASSERT_OK(shows(&b, 0x21, 0x00, 0x03, 0x01, 0x00, 0x00, 0x00));
}

TEST(mc146818_formats_binary_and_12_hours)
{
	struct board b;

	board_init(&b);
	wr(&b, 0x0b, 0x06);
	ASSERT_OK(shows(&b, 20, 24, 2, 29, 23, 59, 50));
	wr(&b, 0x0b, 0x04);
	ASSERT_EQ(rd(&b, 4), 0x80 | 11);
	wr(&b, 0x0b, 0x00);
	ASSERT_EQ(rd(&b, 4), 0x91);
	advance(&b, 10 * NS_PER_SEC);
	ASSERT_EQ(rd(&b, 4), 0x12); /* midnight */
	wr(&b, 4, 0x92);	    /* noon */
	wr(&b, 0x0b, 0x02);
	ASSERT_EQ(rd(&b, 4), 0x12);
}

TEST(mc146818_uip_is_up_244_microseconds_before_the_second_changes)
{
	struct board b;

	board_init(&b);
	advance(&b, NS_PER_SEC - 244001);
	ASSERT_EQ(rd(&b, 0x0a), 0x26);
	advance(&b, 1);
	ASSERT_EQ(rd(&b, 0x0a), 0xa6);
	ASSERT_EQ(rd(&b, 0), 0x50);
	advance(&b, 244000);
	ASSERT_EQ(rd(&b, 0x0a), 0x26);
	ASSERT_EQ(rd(&b, 0), 0x51);
	wr(&b, 0x0b, 0x82);
	advance(&b, NS_PER_SEC - 1);
	ASSERT_EQ(rd(&b, 0x0a), 0x26); /* never while SET */
}

/* Linux: mc146818_set_time. */
TEST(mc146818_is_set_as_linux_sets_it)
{
	struct board b;
	u8 control, frequency;

	board_init(&b);
	control = rd(&b, 0x0b);
	wr(&b, 0x0b, control | 0x80);
	frequency = rd(&b, 0x0a);
	wr(&b, 0x0a, frequency | 0x70);
	wr(&b, 9, 0x99);
	wr(&b, 8, 0x12);
	wr(&b, 7, 0x31);
	wr(&b, 4, 0x23);
	wr(&b, 2, 0x59);
	wr(&b, 0, 0x58);
	wr(&b, 0x32, 0x19);
	advance(&b, 5 * NS_PER_SEC); /* it stands */
	ASSERT_OK(shows(&b, 0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x58));
	wr(&b, 0x0b, control);
	wr(&b, 0x0a, frequency);
	ASSERT_OK(shows(&b, 0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x58));
	/* A divider that was held starts half a second before the next one. */
	advance(&b, NS_PER_SEC / 2);
	ASSERT_EQ(rd(&b, 0), 0x59);
	advance(&b, NS_PER_SEC);
	ASSERT_OK(shows(&b, 0x20, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00));
	ASSERT_EQ(rd(&b, 6), 7);
}

TEST(mc146818_nonsense_in_its_registers_is_a_time_all_the_same)
{
	struct board b;

	board_init(&b);
	wr(&b, 0x0b, 0x82);
	for (u8 i = 0; i < 10; i++)
		wr(&b, i, 0xff);
	wr(&b, 0x32, 0xff);
	wr(&b, 0x0b, 0x02);
	ASSERT_OK(shows(&b, 0x99, 0x99, 0x12, 0x31, 0x23, 0x59, 0x59));
}

TEST(mc146818_update_interrupt_each_second)
{
	struct board b;

	board_init(&b);
	advance(&b, NS_PER_SEC / 4);
	rd(&b, 0x0c);
	wr(&b, 0x0b, 0x12);
	for (unsigned i = 1; i <= 5; i++) {
		advance(&b, i == 1 ? NS_PER_SEC * 3 / 4 : NS_PER_SEC);
		ASSERT_EQ(b.w.rises, i);
		ASSERT_EQ(rd(&b, 0x0c) & 0xb0, 0x90);
		ASSERT_EQ(b.w.output, 0);
		ASSERT_EQ(rd(&b, 0x0c), 0x00);
	}
	/* Unread, it does not come again, and no alarm is set for it. */
	advance(&b, 3 * NS_PER_SEC);
	ASSERT_EQ(b.w.rises, 6);
	ASSERT_EQ(b.w.alarm, CHIP_NO_ALARM);
	/* SET clears the enable bit. */
	wr(&b, 0x0b, 0x92);
	ASSERT_EQ(rd(&b, 0x0b), 0x82);
}

TEST(mc146818_alarm_at_a_time_and_with_fields_that_do_not_matter)
{
	struct board b;

	board_init(&b);
	wr(&b, 5, 0x00);
	wr(&b, 3, 0x00);
	wr(&b, 1, 0x05);
	rd(&b, 0x0c);
	wr(&b, 0x0b, 0x22);
	advance(&b, 14999999999ull);
	ASSERT_EQ(b.w.rises, 0);
	advance(&b, 1);
	ASSERT_EQ(b.w.rises, 1);
	ASSERT_EQ(rd(&b, 0x0c) & 0xa0, 0xa0);
	/* Every minute at second 7. */
	wr(&b, 5, 0xff);
	wr(&b, 3, 0xc0);
	wr(&b, 1, 0x07);
	advance(&b, 2 * NS_PER_SEC);
	ASSERT_EQ(b.w.rises, 2);
	rd(&b, 0x0c);
	advance(&b, 60 * NS_PER_SEC);
	ASSERT_EQ(b.w.rises, 3);
	rd(&b, 0x0c);
	/* A time of day that does not exist. */
	wr(&b, 3, 0x75);
	ASSERT_EQ(b.w.alarm, CHIP_NO_ALARM);
	/* A day ahead, in 12 hours. */
	wr(&b, 0x0b, 0x20);
	wr(&b, 5, 0x91); /* 11 pm */
	wr(&b, 3, 0x00);
	wr(&b, 1, 0x00);
	b.w.rises = 0;
	advance(&b, 86400 * NS_PER_SEC);
	ASSERT_EQ(b.w.rises, 1);
}

/* The flag is raised whether or not anybody enabled it: polled alarms. */
TEST(mc146818_flags_of_what_went_by_are_there_when_read)
{
	struct board b;

	board_init(&b);
	wr(&b, 5, 0x00);
	wr(&b, 3, 0x00);
	wr(&b, 1, 0x05);
	rd(&b, 0x0c);
	advance(&b, 14 * NS_PER_SEC);
	ASSERT_EQ(rd(&b, 0x0c), 0x50);
	advance(&b, NS_PER_SEC);
	ASSERT_EQ(rd(&b, 0x0c), 0x70);
	ASSERT_EQ(b.w.rises, 0);
}

TEST(mc146818_periodic_interrupt_at_its_rate)
{
	struct board b;

	board_init(&b);
	wr(&b, 0x0a, 0x26); /* 1024 Hz */
	rd(&b, 0x0c);
	wr(&b, 0x0b, 0x42);
	for (unsigned i = 0; i < 1024 * 4; i++) {
		advance(&b, NS_PER_SEC / 4096);
		if (b.w.output)
			rd(&b, 0x0c);
	}
	ASSERT(b.w.rises >= 1023 && b.w.rises <= 1025);
	b.w.rises = 0;
	wr(&b, 0x0a, 0x2f); /* 2 Hz */
	rd(&b, 0x0c);
	for (unsigned i = 0; i < 100; i++) {
		advance(&b, NS_PER_SEC / 10);
		if (b.w.output)
			rd(&b, 0x0c);
	}
	ASSERT(b.w.rises >= 19 && b.w.rises <= 20);
	b.w.rises = 0;
	wr(&b, 0x0a, 0x20); /* none */
	rd(&b, 0x0c);
	b.w.rises = 0;
	advance(&b, NS_PER_SEC);
	ASSERT_EQ(b.w.rises, 0);
	ASSERT_EQ(b.w.alarm, CHIP_NO_ALARM);
}

TEST(mc146818_memory_index_and_nmi_mask)
{
	struct board b;

	board_init(&b);
	mc146818_set_memory(&b.rtc, 0x34, 0x12);
	mc146818_set_memory(&b.rtc, 0x0b, 0xff); /* a register: ignored */
	ASSERT_EQ(rd(&b, 0x34), 0x12);
	ASSERT_EQ(rd(&b, 0x0b), 0x02);
	wr(&b, 0x8f, 0x0a); /* the shutdown byte, with NMI masked */
	ASSERT(!mc146818_nmi_allowed(&b.rtc));
	ASSERT_EQ(rd(&b, 0x0f), 0x0a);
	ASSERT(mc146818_nmi_allowed(&b.rtc));
	wr(&b, 0x7f, 0x77);
	mc146818_reset(&b.rtc);
	ASSERT_EQ(rd(&b, 0x7f), 0x77);
	ASSERT_EQ(rd(&b, 0x0f), 0x0a); /* the battery keeps it */
	ASSERT_EQ(mc146818_read(&b.rtc, 0x70), 0xff);
}

TEST(mc146818_state_survives_and_hostile_state_is_refused)
{
	u8 block[WALL_CHIP_STATE_SIZE], again[WALL_CHIP_STATE_SIZE];
	struct board b, other;
	static const struct {
		unsigned at;
		u8 value;
	} bad[] = { { 2, 0 },		{ 4, 0x80 },	    { 5, 2 },
		    { 6 + 0x0a, 0x80 }, { 6 + 0x0c, 0x80 }, { 6 + 0x0d, 0x01 },
		    { 141, 0x7f },	{ 145, 0xff },	    { 153, 0x80 },
		    { 161, 0x01 } };

	board_init(&b);
	board_init(&other);
	wr(&b, 9, 0x30);
	wr(&b, 0x40, 0x99);
	wr(&b, 0x0b, 0x42);
	advance(&b, NS_PER_SEC / 3);
	manual_clock_advance(&other.w.clock, NS_PER_SEC / 3);
	rd(&b, 0); /* raises the flags of what went by, as restoring does */
	mc146818_save(&b.rtc, block);
	ASSERT_EQ(mc146818_restore(&other.rtc, block), 0);
	mc146818_save(&other.rtc, again);
	ASSERT_MEM(again, block, sizeof block);
	ASSERT_OK(shows(&other, 0x20, 0x30, 0x03, 0x01, 0x23, 0x59, 0x50));
	ASSERT_EQ(other.w.output, 1);
	for (unsigned i = 0; i < ARRAY_COUNT(bad); i++) {
		mc146818_save(&b.rtc, block);
		block[bad[i].at] = bad[i].value;
		ASSERT_ERR(mc146818_restore(&other.rtc, block), EINVAL);
	}
}
