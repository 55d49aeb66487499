/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 8254 interval timer and port 0x61, the gate and speaker bits around its channel 2.
 *
 *	40-42	counter of channel 0-2
 *	43	control word: 6-7 channel (3 = read back), 4-5 access (0 = latch), 1-3 mode, 0 BCD
 *	61	0 gate of channel 2, 1 speaker on; read: 4 refresh toggle, 5 output of channel 2
 *
 * Nothing ticks: a channel keeps when and with what it was loaded; counts and outputs are
 * computed from the clock. Only channel 0's output is wired (interrupt line 0), so only it has
 * an alarm: at its next rising edge. Its low times are not acted out one by one: in modes 2 and
 * 3 the pin falls and rises again at the start of each period, in mode 4 at the strobe.
 * Periods shorter than I8254_MIN_ALARM_NS interrupt at that interval; counts stay true.
 *
 * Gates 0 and 1 are tied high; channel 1 is the refresh timer that nobody needs, kept whole
 * because memory testers read it.
 *
 * Thread: whoever holds the chipset lock; output and alarm are called with it held.
 * Specification: Intel 82C54 data sheet (231244-006).
 */
#pragma once

#include "abi/board.h"
#include "base/clock.h"
#include "base/types.h"
#include "hv/chips/chip.h"

#define I8254_HZ BOARD_PIT_HZ
#define I8254_MIN_ALARM_NS 50000u

struct i8254_channel {
	u8 mode;   /* 0-5 */
	u8 access; /* 1 low byte, 2 high byte, 3 low then high */
	bool bcd;
	bool gate;
	bool loaded;	 /* a count was written since the control word */
	bool started;	 /* it counts (modes 1 and 5 wait for a gate edge) */
	bool write_high; /* access 3: the next written byte is the high one */
	bool read_high;
	u8 latched_bytes; /* of the count latch left to read: 0, 1, 2 */
	bool status_latched;
	u8 status_latch;
	u8 written_low; /* access 3: waits for its high byte */
	u16 latch;
	u32 count;	   /* what it was loaded with: 1-65536, in ticks also when BCD */
	u32 next_count;	   /* modes 2, 3: taken over at the end of the period; 0 = none */
	u64 loaded_ns;	   /* when counting began */
	u64 stopped_ticks; /* gate low in modes 0, 2, 3, 4: ticks that had passed by then */
};

struct i8254 {
	const struct clock *clock;
	struct chip_pin output; /* interrupt line 0 */
	struct chip_alarm alarm;
	struct i8254_channel channel[3];
	bool speaker;
	bool output_level;
	u64 edge_ns;  /* the rising edge that the alarm is set for */
	u64 fired_ns; /* when the last one was acted out */
	u64 fired, missed;
};

void i8254_init(struct i8254 *pit, const struct clock *clock,
		const struct chip_pin *output, const struct chip_alarm *alarm);
void i8254_reset(struct i8254 *pit);

/* port: 0x40-0x43, 0x61. Other ports read all ones. */
u8 i8254_read(struct i8254 *pit, u16 port);
void i8254_write(struct i8254 *pit, u16 port, u8 value);

void i8254_on_alarm(struct i8254 *pit);

void i8254_save(const struct i8254 *pit, void *block);
int i8254_restore(struct i8254 *pit, const void *block) MUST_CHECK;
void i8254_inspect(const struct i8254 *pit, struct inspect *out);
