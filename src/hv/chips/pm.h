/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The power management block: ACPI fixed hardware and the reset register.
 *
 *	600	PM1a status, 16 bits, write 1 to clear: 0 timer, 5 global, 8 power button,
 *		9 sleep button, 10 RTC, 15 wake
 *	602	PM1a enable, same bits
 *	604	PM1a control, 16 bits: 0 SCI enable (read-only), 2 GBL_RLS (write-only), 10-12 sleep
 *		type, 13 sleep enable (write-only)
 *	608	PM timer, 32 bits, 3.579545 MHz; status bit 0 when bit 31 changes
 *	b2	SMI_CMD: BOARD_ACPI_ENABLE, BOARD_ACPI_DISABLE
 *	cf9	reset control: 2 = reset now, 1 = hard
 *
 * The timer is computed from the clock; an alarm is set only while its interrupt is enabled.
 * SCI (line 9, level) is up while SCI enable is 1 and a status bit meets its enable bit.
 *
 * Thread: whoever holds the chipset lock. on_sleep and on_reset are called with it held: they set a
 * flag and kick somebody, nothing more.
 * Specification: ACPI 6.4, 4.8 (fixed hardware), 4.8.3.6 (reset register).
 */
#pragma once

#include "base/clock.h"
#include "base/types.h"
#include "hv/chips/chip.h"

#define PM_STATUS_TIMER 0x0001u
#define PM_STATUS_GLOBAL 0x0020u
#define PM_STATUS_POWER_BUTTON 0x0100u
#define PM_STATUS_SLEEP_BUTTON 0x0200u
#define PM_STATUS_RTC 0x0400u
#define PM_STATUS_WAKE 0x8000u

struct pm_ops {
	/* The guest asked for sleep type 0-7 (BOARD_SLP_TYP_S5: power off). */
	void (*on_sleep)(void *owner, unsigned type);
	/* Reset register. */
	void (*on_reset)(void *owner);
};

struct pm {
	const struct pm_ops *ops;
	void *owner;
	const struct clock *clock;
	struct chip_pin sci;
	struct chip_alarm alarm;
	u16 status, enable, control; /* control: sleep type and SCI enable */
	u8 smi_command, reset_control;
	u64 timer_base_ns;  /* the timer was 0 then */
	u64 overflows_seen; /* changes of bit 31 that raised the status bit */
	bool sci_level;
	u64 power_buttons;
};

void pm_init(struct pm *pm, const struct pm_ops *ops, void *owner,
	     const struct clock *clock, const struct chip_pin *sci,
	     const struct chip_alarm *alarm);
void pm_reset(struct pm *pm);

/* port: 0x600-0x60b, 0xb2, 0xb3, 0xcf9; size 1, 2, 4. Other ports read all ones. */
u32 pm_read(struct pm *pm, u16 port, unsigned size);
void pm_write(struct pm *pm, u16 port, unsigned size, u32 value);

/* Somebody presses the button: the guest gets an event; it decides. */
void pm_press_power_button(struct pm *pm);

void pm_on_alarm(struct pm *pm);

void pm_save(const struct pm *pm, void *block);
int pm_restore(struct pm *pm, const void *block) MUST_CHECK;
void pm_inspect(const struct pm *pm, struct inspect *out);
