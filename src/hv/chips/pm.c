/* SPDX-License-Identifier: Apache-2.0 */
/* ACPI fixed hardware and the reset register: pm.h has the map. Under the chipset lock. */
#include "hv/chips/pm.h"

#include <errno.h>

#include "abi/board.h"
#include "wall/wall.h"

#define STATUS_BITS                                                    \
	(PM_STATUS_TIMER | PM_STATUS_GLOBAL | PM_STATUS_POWER_BUTTON | \
	 PM_STATUS_SLEEP_BUTTON | PM_STATUS_RTC | PM_STATUS_WAKE)
#define ENABLE_BITS (STATUS_BITS & ~PM_STATUS_WAKE)

#define CONTROL_SCI 0x0001u
#define CONTROL_SLEEP_TYPE 0x1c00u
#define CONTROL_SLEEP_ENABLE 0x2000u

#define PORT_SMI_STATUS (BOARD_PORT_SMI_CMD + 1)

#define RESET_NOW 0x04u
#define RESET_HARD 0x02u

/* Ticks since the timer was 0; its 32 bits are the low ones. */
static u64 timer_ticks(const struct pm *pm)
{
	/* The base may lie before the clock's zero, wrapped around: the difference is right. */
	u64 ns = pm->clock->monotonic_ns(pm->clock) - pm->timer_base_ns;

	if ((s64)ns < 0)
		ns = 0;
	return (u64)((__uint128_t)ns * BOARD_PM_TIMER_HZ / NS_PER_SEC);
}

static u64 ns_of_ticks(u64 ticks)
{
	__uint128_t ns = ((__uint128_t)ticks * NS_PER_SEC + BOARD_PM_TIMER_HZ - 1) /
			 BOARD_PM_TIMER_HZ;

	return ns > UINT64_MAX / 2 ? UINT64_MAX / 2 : (u64)ns;
}

/* The highest bit changes every 2^31 ticks (ten minutes): the status bit says that it did. */
static void follow_timer(struct pm *pm)
{
	u64 changes = timer_ticks(pm) >> (BOARD_PM_TIMER_BITS - 1);

	if (changes > pm->overflows_seen)
		pm->status |= PM_STATUS_TIMER;
	pm->overflows_seen = changes;
}

static void update(struct pm *pm)
{
	bool level = (pm->control & CONTROL_SCI) && (pm->status & pm->enable);
	u64 when = CHIP_NO_ALARM;

	if (level != pm->sci_level) {
		pm->sci_level = level;
		chip_pin_set(&pm->sci, level);
	}
	if ((pm->enable & PM_STATUS_TIMER) && !(pm->status & PM_STATUS_TIMER))
		when = pm->timer_base_ns +
		       ns_of_ticks((pm->overflows_seen + 1) << (BOARD_PM_TIMER_BITS - 1));
	chip_alarm_set(&pm->alarm, when);
}

static u32 read_block(struct pm *pm, u16 port)
{
	switch (port & ~3) {
	case BOARD_PORT_PM1_EVENT:
		follow_timer(pm);
		update(pm);
		return pm->status | (u32)pm->enable << 16;
	case BOARD_PORT_PM1_CONTROL:
		return pm->control;
	case BOARD_PORT_PM_TIMER:
		return (u32)timer_ticks(pm);
	}
	return UINT32_MAX;
}

u32 pm_read(struct pm *pm, u16 port, unsigned size)
{
	u32 ones = size >= 4 ? UINT32_MAX : (1u << size * 8) - 1;

	switch (port) {
	case BOARD_PORT_SMI_CMD:
		return pm->smi_command;
	case PORT_SMI_STATUS:
		return 0;
	case BOARD_PORT_RESET:
		return pm->reset_control;
	}
	return read_block(pm, port) >> (port & 3) * 8 & ones;
}

static u16 with_byte(u16 word, unsigned high, u8 value)
{
	return high ? (u16)((word & 0x00ff) | value << 8)
		    : (u16)((word & 0xff00) | value);
}

static void write_control(struct pm *pm, unsigned high, u8 value)
{
	u16 v = with_byte(pm->control, high, value);

	pm->control = (u16)((v & CONTROL_SLEEP_TYPE) | (pm->control & CONTROL_SCI));
	if (high && (v & CONTROL_SLEEP_ENABLE))
		pm->ops->on_sleep(pm->owner, (v & CONTROL_SLEEP_TYPE) >> 10);
}

static void write_byte(struct pm *pm, u16 port, u8 value)
{
	switch (port) {
	case BOARD_PORT_PM1_EVENT:
	case BOARD_PORT_PM1_EVENT + 1:
		follow_timer(pm);
		pm->status &= (u16) ~(value << (port & 1) * 8);
		break;
	case BOARD_PORT_PM1_EVENT + 2:
	case BOARD_PORT_PM1_EVENT + 3:
		follow_timer(pm);
		pm->enable = with_byte(pm->enable, port & 1, value) & ENABLE_BITS;
		break;
	case BOARD_PORT_PM1_CONTROL:
	case BOARD_PORT_PM1_CONTROL + 1:
		write_control(pm, port & 1, value);
		break;
	case BOARD_PORT_SMI_CMD:
		pm->smi_command = value;
		if (value == BOARD_ACPI_ENABLE)
			pm->control |= CONTROL_SCI;
		else if (value == BOARD_ACPI_DISABLE)
			pm->control &= (u16)~CONTROL_SCI;
		break;
	case BOARD_PORT_RESET:
		pm->reset_control = value & RESET_HARD;
		if (value & RESET_NOW)
			pm->ops->on_reset(pm->owner);
		break;
	}
}

void pm_write(struct pm *pm, u16 port, unsigned size, u32 value)
{
	for (unsigned i = 0; i < size && i < 4; i++)
		write_byte(pm, (u16)(port + i), (u8)(value >> i * 8));
	update(pm);
}

void pm_press_power_button(struct pm *pm)
{
	pm->power_buttons++;
	pm->status |= PM_STATUS_POWER_BUTTON;
	update(pm);
}

void pm_on_alarm(struct pm *pm)
{
	follow_timer(pm);
	update(pm);
}

void pm_init(struct pm *pm, const struct pm_ops *ops, void *owner,
	     const struct clock *clock, const struct chip_pin *sci,
	     const struct chip_alarm *alarm)
{
	memset(pm, 0, sizeof *pm);
	pm->ops = ops;
	pm->owner = owner;
	pm->clock = clock;
	pm->sci = *sci;
	pm->alarm = *alarm;
	pm_reset(pm);
}

void pm_reset(struct pm *pm)
{
	pm->status = pm->enable = pm->control = 0;
	pm->smi_command = pm->reset_control = 0;
	pm->timer_base_ns = pm->clock->monotonic_ns(pm->clock);
	pm->overflows_seen = 0;
	update(pm);
}

/* ---- state --------------------------------------------------------------------------------------- */

#define STATE_VERSION 1

struct pm_state {
	struct chip_state_head head;
	le16 status, enable, control;
	u8 smi_command, reset_control;
	le32 timer;
	u8 timer_carry; /* bit 31 changed and the status bit does not say so yet */
} PACKED;
_Static_assert(sizeof(struct pm_state) <= WALL_CHIP_STATE_SIZE, "fits its block");

void pm_save(const struct pm *pm, void *block)
{
	u64 ticks = timer_ticks(pm);
	struct pm_state s = {
		.status = le16_of(pm->status),
		.enable = le16_of(pm->enable),
		.control = le16_of(pm->control),
		.smi_command = pm->smi_command,
		.reset_control = pm->reset_control,
		.timer = le32_of((u32)ticks),
		.timer_carry = ticks >> (BOARD_PM_TIMER_BITS - 1) > pm->overflows_seen,
	};

	chip_state_finish(block, STATE_VERSION, &s, sizeof s);
}

int pm_restore(struct pm *pm, const void *block)
{
	struct pm_state s;
	u64 now = pm->clock->monotonic_ns(pm->clock);
	u32 timer;

	if (!chip_state_take(block, STATE_VERSION, &s, sizeof s) ||
	    (le16_get(s.status) & ~STATUS_BITS) || (le16_get(s.enable) & ~ENABLE_BITS) ||
	    (le16_get(s.control) & ~(CONTROL_SCI | CONTROL_SLEEP_TYPE)) ||
	    (s.reset_control & ~RESET_HARD) || s.timer_carry > 1)
		return -EINVAL;
	timer = le32_get(s.timer);
	pm->status = le16_get(s.status) | (s.timer_carry ? PM_STATUS_TIMER : 0);
	pm->enable = le16_get(s.enable);
	pm->control = le16_get(s.control);
	pm->smi_command = s.smi_command;
	pm->reset_control = s.reset_control;
	/* The clock of a host that has just booted may be younger than the timer: it wraps. */
	pm->timer_base_ns = now - ns_of_ticks(timer);
	pm->overflows_seen = timer >> (BOARD_PM_TIMER_BITS - 1);
	update(pm);
	return 0;
}

void pm_inspect(const struct pm *pm, struct inspect *out)
{
	inspect_line(out, "pm1", "status 0x%04x enable 0x%04x control 0x%04x", pm->status,
		     pm->enable, pm->control);
	inspect_line(out, "timer", "%u", (u32)timer_ticks(pm));
	inspect_line(out, "sci", "%u", pm->sci_level);
	inspect_line(out, "power buttons", "%llu", (unsigned long long)pm->power_buttons);
}
