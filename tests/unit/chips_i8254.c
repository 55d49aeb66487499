/* SPDX-License-Identifier: Apache-2.0 */
/* The 8254 and port 0x61: hv/chips/i8254.h. */
#include "chips_wires.h"
#include "hv/chips/i8254.h"
#include "wall/wall.h"

struct board {
	struct wires w;
	struct i8254 pit;
};

static void board_init(struct board *b)
{
	memset(b, 0, sizeof *b);
	wires_init(&b->w, 5 * NS_PER_SEC, 0);
	i8254_init(&b->pit, &b->w.clock.clock, WIRES_PIN(&b->w), WIRES_ALARM(&b->w));
	b->w.rises = 0;
}

static void on_alarm(void *chip)
{
	i8254_on_alarm(chip);
}

static void advance(struct board *b, u64 ns)
{
	wires_advance(&b->w, ns, on_alarm, &b->pit);
}

/* The ns by which so many ticks have certainly gone by. */
static u64 ticks(u64 n)
{
	return (n * NS_PER_SEC + I8254_HZ - 1) / I8254_HZ;
}

static void wr(struct board *b, u16 port, u8 value)
{
	i8254_write(&b->pit, port, value);
}
static u8 rd(struct board *b, u16 port)
{
	return i8254_read(&b->pit, port);
}
static void program(struct board *b, u8 control, u16 count)
{
	u16 port = 0x40 + (control >> 6);

	wr(b, 0x43, control);
	wr(b, port, (u8)count);
	wr(b, port, (u8)(count >> 8));
}
static u16 latch(struct board *b, unsigned n)
{
	u8 low;

	wr(b, 0x43, (u8)(n << 6));
	low = rd(b, 0x40 + n);
	return (u16)(low | rd(b, 0x40 + n) << 8);
}
static bool speaker_output(struct board *b)
{
	return rd(b, 0x61) & 0x20;
}

/* Linux: pit_set_periodic, HZ 250. */
TEST(i8254_rate_generator_interrupts_each_period)
{
	struct board b;
	u64 start;

	board_init(&b);
	program(&b, 0x34, 4773);
	start = b.w.clock.monotonic;
	ASSERT_EQ(b.w.alarm, start + ticks(4773));
	advance(&b, NS_PER_SEC);
	ASSERT_EQ(b.w.rises, I8254_HZ / 4773);
	ASSERT_EQ(b.w.alarm, start + ticks(4773 * (I8254_HZ / 4773 + 1)));
	ASSERT_EQ(b.w.output, 1);
}

TEST(i8254_late_alarm_gives_one_interrupt_and_keeps_the_phase)
{
	struct board b;
	u64 start;

	board_init(&b);
	program(&b, 0x34, 10000);
	start = b.w.clock.monotonic;
	manual_clock_advance(&b.w.clock, ticks(35000));
	i8254_on_alarm(&b.pit);
	ASSERT_EQ(b.w.rises, 1);
	ASSERT_EQ(b.pit.missed, 2);
	ASSERT_EQ(b.w.alarm, start + ticks(40000));
	/* An alarm that comes too early is set again. */
	b.w.alarm = CHIP_NO_ALARM;
	i8254_on_alarm(&b.pit);
	ASSERT_EQ(b.w.rises, 1);
	ASSERT_EQ(b.w.alarm, start + ticks(40000));
}

TEST(i8254_counts_of_each_mode_go_as_the_data_sheet_draws_them)
{
	struct board b;

	board_init(&b);
	program(&b, 0x30, 1000);
	ASSERT_EQ(latch(&b, 0), 1000);
	advance(&b, ticks(999));
	ASSERT_EQ(latch(&b, 0), 1);
	advance(&b, ticks(2));
	ASSERT(latch(&b, 0) >= 0xfffe); /* on through zero */

	program(&b, 0x34, 1000);
	advance(&b, ticks(2001));
	ASSERT_EQ(latch(&b, 0), 999);

	program(&b, 0x36, 1000);
	advance(&b, ticks(100));
	ASSERT_EQ(latch(&b, 0), 800);
	advance(&b, ticks(500));
	ASSERT_EQ(latch(&b, 0), 800);

	program(&b, 0x34, 0); /* 65536 */
	ASSERT_EQ(latch(&b, 0), 0);
	advance(&b, ticks(1));
	ASSERT_EQ(latch(&b, 0), 0xffff);
}

/* Linux: pit_next_event in mode 4; mode 0 as pit_shutdown leaves it. */
TEST(i8254_one_shot_modes_interrupt_once)
{
	struct board b;

	board_init(&b);
	program(&b, 0x38, 1193);
	ASSERT_EQ(b.w.output, 1);
	ASSERT_EQ(b.w.alarm, b.w.clock.monotonic + ticks(1194));
	advance(&b, NS_PER_SEC);
	ASSERT_EQ(b.w.rises, 1);
	ASSERT_EQ(b.w.alarm, CHIP_NO_ALARM);
	/* The next event needs the count only. */
	wr(&b, 0x40, 0xa9);
	wr(&b, 0x40, 0x04);
	advance(&b, NS_PER_SEC);
	ASSERT_EQ(b.w.rises, 2);

	program(&b, 0x30, 100);
	ASSERT_EQ(b.w.output, 0);
	advance(&b, ticks(99));
	ASSERT_EQ(b.w.output, 0);
	advance(&b, ticks(2));
	ASSERT_EQ(b.w.output, 1);
	advance(&b, NS_PER_SEC);
	ASSERT_EQ(b.w.rises, 3);
	/* The first byte of a new count stops it. */
	wr(&b, 0x40, 0x10);
	advance(&b, NS_PER_SEC);
	ASSERT_EQ(b.w.output, 0);
	wr(&b, 0x40, 0x00);
	advance(&b, ticks(16));
	ASSERT_EQ(b.w.output, 1);
}

/* Linux: pit_hpet_ptimer_calibrate_cpu and quick_pit_calibrate; memtest86+ does the same. */
TEST(i8254_channel_2_times_a_calibration_through_port_0x61)
{
	struct board b;

	board_init(&b);
	wr(&b, 0x61, (u8)((rd(&b, 0x61) & ~0x02) | 0x01));
	program(&b, 0xb0, 11932);
	ASSERT(!speaker_output(&b));
	advance(&b, ticks(11931));
	ASSERT(!speaker_output(&b));
	advance(&b, ticks(1));
	ASSERT(speaker_output(&b));
	/* quick_pit_calibrate reads the high byte as it counts down. */
	program(&b, 0xb0, 0xffff);
	rd(&b, 0x42);
	ASSERT_EQ(rd(&b, 0x42), 0xff);
	advance(&b, ticks(0x100));
	rd(&b, 0x42);
	ASSERT_EQ(rd(&b, 0x42), 0xfe);
}

TEST(i8254_gate_stops_the_count_of_mode_0_and_restarts_that_of_mode_2)
{
	struct board b;

	board_init(&b);
	wr(&b, 0x61, 0);
	program(&b, 0xb0, 1000);
	advance(&b, ticks(5000));
	ASSERT_EQ(latch(&b, 2), 1000);
	wr(&b, 0x61, 1);
	advance(&b, ticks(400));
	wr(&b, 0x61, 0);
	advance(&b, ticks(5000));
	ASSERT_EQ(latch(&b, 2), 600);
	wr(&b, 0x61, 1);
	advance(&b, ticks(600));
	ASSERT(speaker_output(&b));

	program(&b, 0xb4, 1000);
	advance(&b, ticks(400));
	wr(&b, 0x61, 0);
	ASSERT(speaker_output(&b));
	wr(&b, 0x61, 1);
	ASSERT_EQ(latch(&b, 2), 1000);
}

TEST(i8254_modes_1_and_5_wait_for_the_gate)
{
	struct board b;

	board_init(&b);
	wr(&b, 0x61, 0);
	program(&b, 0xb2, 1000);
	ASSERT(speaker_output(&b));
	wr(&b, 0x61, 1);
	ASSERT(!speaker_output(&b));
	advance(&b, ticks(500));
	wr(&b, 0x61, 0); /* falling does nothing */
	wr(&b, 0x61, 1); /* rising starts anew */
	advance(&b, ticks(999));
	ASSERT(!speaker_output(&b));
	advance(&b, ticks(1));
	ASSERT(speaker_output(&b));
	/* A count that is written while it counts waits for the next rise. */
	wr(&b, 0x61, 0);
	wr(&b, 0x61, 1);
	wr(&b, 0x42, 0x10);
	wr(&b, 0x42, 0x00);
	advance(&b, ticks(500));
	ASSERT(!speaker_output(&b));
	wr(&b, 0x61, 0);
	wr(&b, 0x61, 1);
	advance(&b, ticks(16));
	ASSERT(speaker_output(&b));

	wr(&b, 0x61, 0);
	program(&b, 0xba, 10);
	advance(&b, ticks(100));
	ASSERT(speaker_output(&b));
	wr(&b, 0x61, 1);
	advance(&b, ticks(10));
	ASSERT(!speaker_output(&b)); /* the strobe, one tick long */
	advance(&b, ticks(1));
	ASSERT(speaker_output(&b));
}

TEST(i8254_new_count_of_a_periodic_mode_waits_for_the_end_of_the_period)
{
	struct board b;

	board_init(&b);
	program(&b, 0x34, 10000);
	advance(&b, ticks(25000));
	wr(&b, 0x40, (u8)2000);
	wr(&b, 0x40, 2000 >> 8);
	ASSERT_EQ(latch(&b, 0), 5000);
	advance(&b, ticks(4999));
	ASSERT_EQ(latch(&b, 0), 1);
	ASSERT_EQ(b.w.rises, 2);
	advance(&b, ticks(3));
	ASSERT(latch(&b, 0) > 1900);
	ASSERT_EQ(b.w.rises, 3);
	advance(&b, ticks(2000));
	ASSERT_EQ(b.w.rises, 4);
}

TEST(i8254_read_back_latches_count_and_status)
{
	struct board b;

	board_init(&b);
	wr(&b, 0x43, 0x34);
	wr(&b, 0x43, 0xe2); /* status of channel 0 */
	ASSERT_EQ(rd(&b, 0x40), 0x80 | 0x40 | 0x34);
	wr(&b, 0x40, 0xe8);
	wr(&b, 0x40, 0x03);
	wr(&b, 0x43, 0xc2); /* both */
	advance(&b, ticks(500));
	wr(&b, 0x43, 0xd2); /* the second count latch is ignored */
	ASSERT_EQ(rd(&b, 0x40), 0x80 | 0x34);
	ASSERT_EQ(rd(&b, 0x40), 0xe8);
	ASSERT_EQ(rd(&b, 0x40), 0x03);
	ASSERT_EQ(rd(&b, 0x40), 0xf4); /* live again: 500 */
	ASSERT_EQ(rd(&b, 0x40), 0x01);
	/* One-byte accesses. */
	wr(&b, 0x43, 0x14);
	wr(&b, 0x40, 0x50);
	wr(&b, 0x43, 0x00);
	ASSERT_EQ(rd(&b, 0x40), 0x50);
	wr(&b, 0x43, 0x24);
	wr(&b, 0x40, 0x50);
	wr(&b, 0x43, 0x00);
	ASSERT_EQ(rd(&b, 0x40), 0x50);
	ASSERT_EQ(b.pit.channel[0].count, 0x5000);
}

TEST(i8254_counts_in_decimal_when_asked)
{
	struct board b;

	board_init(&b);
	program(&b, 0x35, 0x1234);
	ASSERT_EQ(b.pit.channel[0].count, 1234);
	ASSERT_EQ(latch(&b, 0), 0x1234);
	advance(&b, ticks(235));
	ASSERT_EQ(latch(&b, 0), 0x0999);
	program(&b, 0x35, 0x0000);
	ASSERT_EQ(b.pit.channel[0].count, 10000);
	program(&b, 0x35, 0xffff); /* not digits: bounded anyway */
	ASSERT(b.pit.channel[0].count >= 2 && b.pit.channel[0].count <= 10000);
}

TEST(i8254_refresh_bit_toggles_every_15_microseconds)
{
	struct board b;
	unsigned changes = 0;
	u8 last;

	board_init(&b);
	last = rd(&b, 0x61) & 0x10;
	for (unsigned i = 0; i < 1000; i++) {
		advance(&b, 1000);
		changes += (rd(&b, 0x61) & 0x10) != last;
		last = rd(&b, 0x61) & 0x10;
	}
	ASSERT(changes >= 66 && changes <= 67);
}

TEST(i8254_shortest_periods_do_not_storm)
{
	struct board b;

	board_init(&b);
	program(&b, 0x34, 1);
	advance(&b, 10000000);
	ASSERT(b.w.rises >= 100 && b.w.rises <= 10000000 / I8254_MIN_ALARM_NS + 1);
}

TEST(i8254_state_survives_and_hostile_state_is_refused)
{
	u8 block[WALL_CHIP_STATE_SIZE], again[WALL_CHIP_STATE_SIZE];
	struct board b, other;

	board_init(&b);
	board_init(&other);
	manual_clock_advance(&other.w.clock, 77 * NS_PER_SEC);
	wr(&b, 0x61, 3);
	program(&b, 0x34, 10000);
	program(&b, 0xb6, 3000);
	advance(&b, ticks(2500));
	wr(&b, 0x40, 0x12); /* half a count */
	i8254_save(&b.pit, block);
	ASSERT_EQ(i8254_restore(&other.pit, block), 0);
	i8254_save(&other.pit, again);
	ASSERT_MEM(again, block, sizeof block);
	ASSERT_EQ(latch(&other, 0), latch(&b, 0));
	ASSERT_EQ(latch(&other, 2), latch(&b, 2));
	ASSERT_EQ(other.w.alarm - other.w.clock.monotonic,
		  b.w.alarm - b.w.clock.monotonic);
	/* A host that has just booted has less time behind it than the channel. */
	manual_clock_init(&other.w.clock, 10, 0);
	ASSERT_EQ(i8254_restore(&other.pit, block), 0);

	static const struct {
		unsigned at;
		u8 value;
	} bad[] = {
		{ 4, 6 },     /* mode */
		{ 5, 0 },     /* access */
		{ 6, 0xff },  /* flags */
		{ 6, 0x0c },  /* gate of channel 0 low */
		{ 7, 3 },     /* three latched bytes */
		{ 12, 1 },    /* count 1 of mode 2 (with the next) */
		{ 15, 1 },    /* count over 65536 */
		{ 19, 1 },    /* next count over 65536 */
		{ 27, 0xff }, /* age */
	};

	for (unsigned i = 0; i < ARRAY_COUNT(bad); i++) {
		i8254_save(&b.pit, block);
		block[bad[i].at] = bad[i].value;
		if (bad[i].at == 12)
			block[13] = 0;
		ASSERT_ERR(i8254_restore(&other.pit, block), EINVAL);
	}
}
