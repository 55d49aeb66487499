/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MC146818 real-time clock with 128 bytes of CMOS.
 *
 *	70	index (bits 0-6); bit 7 = 1 masks NMI; reads all ones
 *	71	data
 *	behind	00 seconds, 01 alarm, 02 minutes, 03 alarm, 04 hours, 05 alarm, 06 weekday (Sunday
 *		is 1), 07 day, 08 month, 09 year, 32 century
 *		0a A: 7 update in progress (read-only), 4-6 divider, 0-3 periodic rate
 *		0b B: 7 SET, 6 periodic, 5 alarm, 4 update interrupt, 3 square wave, 2 binary, 1 24 h
 *		0c C: 7 IRQF, 6 PF, 5 AF, 4 UF; reading clears it
 *		0d D: 7 valid, always
 *		0e- memory
 *
 * The time is the host's real time plus an offset; what the guest sets changes the offset (and is
 * kept to the microsecond of the second). While B.SET is 1 or the divider stands, the clock
 * registers are plain memory. UIP is computed: 1 in the last 244 us of a second.
 *
 * Periodic, alarm and update interrupts use one chip_alarm, and only while one of them is
 * enabled or its flag is still to be raised. Line 8 is level: C's IRQF.
 *
 * Thread: whoever holds the chipset lock; output and alarm are called with it held. Alarms are in
 * ns of the monotonic clock.
 * Specification: Motorola MC146818A data sheet; Intel PIIX4 for the century byte's place.
 */
#pragma once

#include "base/clock.h"
#include "base/types.h"
#include "hv/chips/chip.h"

#define MC146818_BYTES 128
struct mc146818 {
	const struct clock *clock;
	struct chip_pin output; /* interrupt line 8 */
	struct chip_alarm alarm;
	u8 index;
	bool nmi_masked;
	u8 memory[MC146818_BYTES]; /* 0-9 and century: only while the clock stands */
	s64 offset_seconds;	   /* guest time = host real time + this ... */
	u32 offset_ns;		   /* ... + this, under a second */
	s64 seen_second;    /* seconds up to and with this one have raised UF and AF */
	u64 period_base_ns; /* the periodic tick that was seen last, monotonic */
	bool output_level;
	u64 interrupts;
};

void mc146818_init(struct mc146818 *rtc, const struct clock *clock,
		   const struct chip_pin *output, const struct chip_alarm *alarm);
/* The reset pin: interrupts off, flags clear. Time, memory and modes stay (battery). */
void mc146818_reset(struct mc146818 *rtc);

/* port: 0x70, 0x71. */
u8 mc146818_read(struct mc146818 *rtc, u16 port);
void mc146818_write(struct mc146818 *rtc, u16 port, u8 value);

/* Memory as firmware would set it up (sizes of RAM); index 0x0e and up, others are ignored. */
void mc146818_set_memory(struct mc146818 *rtc, u8 index, u8 value);

/*
 * What the guest's real time is ahead of the host's, ns. More than fits is cut: the state block has
 * it all.
 */
s64 mc146818_offset(const struct mc146818 *rtc);
void mc146818_set_offset(struct mc146818 *rtc, s64 ns);

/* Does the index port let NMI through? */
static inline bool mc146818_nmi_allowed(const struct mc146818 *rtc)
{
	return !rtc->nmi_masked;
}

void mc146818_on_alarm(struct mc146818 *rtc);

void mc146818_save(const struct mc146818 *rtc, void *block);
int mc146818_restore(struct mc146818 *rtc, const void *block) MUST_CHECK;
void mc146818_inspect(const struct mc146818 *rtc, struct inspect *out);
