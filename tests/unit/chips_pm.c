/* SPDX-License-Identifier: Apache-2.0 */
/* ACPI fixed hardware: hv/chips/pm.h. */
#include "harness.h"

#include "abi/board.h"
#include "hv/chips/pm.h"
#include "wall/wall.h"

struct board {
	struct manual_clock clock;
	struct pm pm;
	u64 alarm;
	bool sci;
	unsigned resets, sleeps, type;
};

static void on_sci(void *owner, unsigned line, bool level)
{
	struct board *b = owner;

	EXPECT(b->sci != level);
	EXPECT_EQ(line, BOARD_IRQ_SCI);
	b->sci = level;
}
static void on_alarm(void *owner, unsigned id, u64 when_ns)
{
	((struct board *)owner)->alarm = when_ns;
}
static void on_sleep(void *owner, unsigned type)
{
	((struct board *)owner)->sleeps++;
	((struct board *)owner)->type = type;
}
static void on_reset(void *owner)
{
	((struct board *)owner)->resets++;
}
static const struct pm_ops ops = { .on_sleep = on_sleep, .on_reset = on_reset };

static void board_init(struct board *b)
{
	memset(b, 0, sizeof *b);
	manual_clock_init(&b->clock, NS_PER_SEC, 0);
	pm_init(&b->pm, &ops, b, &b->clock.clock,
		&(struct chip_pin){ .set = on_sci, .owner = b, .line = BOARD_IRQ_SCI },
		&(struct chip_alarm){ .set = on_alarm, .owner = b });
}

TEST(pm_timer_runs_at_its_rate_and_wraps)
{
	struct board b;

	board_init(&b);
	ASSERT_EQ(pm_read(&b.pm, 0x608, 4), 0);
	manual_clock_advance(&b.clock, NS_PER_SEC);
	ASSERT_EQ(pm_read(&b.pm, 0x608, 4), BOARD_PM_TIMER_HZ);
	ASSERT_EQ(pm_read(&b.pm, 0x608, 2), BOARD_PM_TIMER_HZ & 0xffff);
	ASSERT_EQ(pm_read(&b.pm, 0x60a, 1), BOARD_PM_TIMER_HZ >> 16);
	pm_write(&b.pm, 0x608, 4, 0); /* read-only */
	ASSERT_EQ(pm_read(&b.pm, 0x608, 4), BOARD_PM_TIMER_HZ);
	/* 2^32 ticks are 1199.86 s. */
	manual_clock_advance(&b.clock, 1199 * NS_PER_SEC);
	ASSERT_EQ(pm_read(&b.pm, 0x608, 4), (u32)(1200ull * BOARD_PM_TIMER_HZ));
}

TEST(pm_timer_carry_interrupts_when_enabled)
{
	struct board b;
	u64 carry =
		((1ull << 31) * NS_PER_SEC + BOARD_PM_TIMER_HZ - 1) / BOARD_PM_TIMER_HZ;

	board_init(&b);
	pm_write(&b.pm, 0xb2, 1, BOARD_ACPI_ENABLE);
	ASSERT_EQ(b.alarm, CHIP_NO_ALARM);
	pm_write(&b.pm, 0x602, 2, PM_STATUS_TIMER);
	ASSERT_EQ(b.alarm, NS_PER_SEC + carry);
	manual_clock_advance(&b.clock, carry);
	pm_on_alarm(&b.pm);
	ASSERT_EQ(b.sci, 1);
	ASSERT_EQ(pm_read(&b.pm, 0x600, 2), PM_STATUS_TIMER);
	pm_write(&b.pm, 0x600, 2, PM_STATUS_TIMER);
	ASSERT_EQ(b.sci, 0);
	ASSERT_EQ(b.alarm, NS_PER_SEC + ((1ull << 32) * NS_PER_SEC + BOARD_PM_TIMER_HZ -
					 1) / BOARD_PM_TIMER_HZ);
}

TEST(pm_power_button_raises_sci_in_acpi_mode_until_cleared)
{
	struct board b;

	board_init(&b);
	pm_write(&b.pm, 0x602, 2, 0xffff);
	ASSERT_EQ(pm_read(&b.pm, 0x602, 2), 0x0721);
	pm_press_power_button(&b.pm);
	ASSERT_EQ(b.sci, 0); /* legacy mode */
	ASSERT_EQ(pm_read(&b.pm, 0x604, 2), 0);
	pm_write(&b.pm, 0xb2, 1, BOARD_ACPI_ENABLE);
	ASSERT_EQ(pm_read(&b.pm, 0x604, 2), 1);
	ASSERT_EQ(b.sci, 1);
	pm_write(&b.pm, 0x600, 2, 0x0200); /* another bit */
	ASSERT_EQ(b.sci, 1);
	pm_write(&b.pm, 0x601, 1, 0x01); /* by byte */
	ASSERT_EQ(b.sci, 0);
	ASSERT_EQ(pm_read(&b.pm, 0x600, 4), 0x07210000);
	pm_press_power_button(&b.pm);
	pm_write(&b.pm, 0xb2, 1, BOARD_ACPI_DISABLE);
	ASSERT_EQ(b.sci, 0);
}

/* ACPICA: the type first, then type and enable. */
TEST(pm_sleep_type_is_told_when_enabled)
{
	struct board b;

	board_init(&b);
	pm_write(&b.pm, 0xb2, 1, BOARD_ACPI_ENABLE);
	pm_write(&b.pm, 0x604, 2, BOARD_SLP_TYP_S5 << 10 | 1);
	ASSERT_EQ(b.sleeps, 0);
	ASSERT_EQ(pm_read(&b.pm, 0x604, 2), BOARD_SLP_TYP_S5 << 10 | 1);
	pm_write(&b.pm, 0x604, 2, BOARD_SLP_TYP_S5 << 10 | 0x2000 | 1);
	ASSERT_EQ(b.sleeps, 1);
	ASSERT_EQ(b.type, BOARD_SLP_TYP_S5);
	ASSERT_EQ(pm_read(&b.pm, 0x604, 2), BOARD_SLP_TYP_S5 << 10 | 1);
	pm_write(&b.pm, 0x605, 1, 0x20);
	ASSERT_EQ(b.sleeps, 2);
	ASSERT_EQ(b.type, 0);
}

TEST(pm_reset_register_resets_on_bit_2)
{
	struct board b;

	board_init(&b);
	pm_write(&b.pm, 0xcf9, 1, 0x02);
	ASSERT_EQ(b.resets, 0);
	ASSERT_EQ(pm_read(&b.pm, 0xcf9, 1), 0x02);
	pm_write(&b.pm, 0xcf9, 1, BOARD_RESET_VALUE);
	ASSERT_EQ(b.resets, 1);
	pm_write(&b.pm, 0xcf9, 1, 0x00);
	pm_write(&b.pm, 0xcf9, 1, 0x04);
	ASSERT_EQ(b.resets, 2);
}

TEST(pm_state_survives_and_hostile_state_is_refused)
{
	u8 block[WALL_CHIP_STATE_SIZE], again[WALL_CHIP_STATE_SIZE];
	struct board b, other;
	static const struct {
		unsigned at;
		u8 value;
	} bad[] = { { 2, 0 },	 { 4, 0x02 },  { 7, 0x80 },
		    { 9, 0x20 }, { 11, 0x04 }, { 16, 2 } };

	board_init(&b);
	board_init(&other);
	manual_clock_init(&other.clock, 5, 0); /* a host that has just booted */
	pm_write(&b.pm, 0xb2, 1, BOARD_ACPI_ENABLE);
	pm_write(&b.pm, 0x602, 2, 0x0101);
	pm_press_power_button(&b.pm);
	manual_clock_advance(&b.clock, 1000 * NS_PER_SEC);
	pm_save(&b.pm, block);
	ASSERT_EQ(pm_restore(&other.pm, block), 0);
	ASSERT_EQ(pm_read(&other.pm, 0x608, 4), pm_read(&b.pm, 0x608, 4));
	ASSERT_EQ(pm_read(&other.pm, 0x600, 2), 0x0101); /* the carry was not lost */
	ASSERT_EQ(other.sci, 1);
	manual_clock_advance(&other.clock, NS_PER_SEC);
	manual_clock_advance(&b.clock, NS_PER_SEC);
	ASSERT_EQ(pm_read(&other.pm, 0x608, 4), pm_read(&b.pm, 0x608, 4));
	pm_read(&b.pm, 0x600, 2);
	pm_save(&b.pm, block);
	pm_save(&other.pm, again);
	ASSERT_MEM(again, block, sizeof block);
	for (unsigned i = 0; i < ARRAY_COUNT(bad); i++) {
		pm_save(&b.pm, block);
		block[bad[i].at] = bad[i].value;
		ASSERT_ERR(pm_restore(&other.pm, block), EINVAL);
	}
}
