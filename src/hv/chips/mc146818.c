/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MC146818: mc146818.h has the map. Under the chipset lock.
 *
 * Theory: while the clock runs, its ten registers are computed from the host's real time plus an
 * offset. While it stands (B.SET, or the divider held), they are bytes of memory that the guest
 * reads and writes; when it starts again, what they say becomes the new offset. The fraction of a
 * second goes on during SET; a divider that was held starts half a second before the next one.
 * Flags are raised late: `follow` looks at what has gone by since it last looked.
 */
#include "hv/chips/mc146818.h"

#include <errno.h>

#include "abi/board.h"
#include "wall/wall.h"

enum {
	REG_SECONDS = 0,
	REG_SECONDS_ALARM = 1,
	REG_MINUTES = 2,
	REG_MINUTES_ALARM = 3,
	REG_HOURS = 4,
	REG_HOURS_ALARM = 5,
	REG_WEEKDAY = 6,
	REG_DAY = 7,
	REG_MONTH = 8,
	REG_YEAR = 9,
	REG_A = 10,
	REG_B = 11,
	REG_C = 12,
	REG_D = 13,
	REG_CENTURY = BOARD_CMOS_CENTURY,
};

#define A_UIP 0x80u
#define A_RATE 0x0fu
#define A_DIVIDER 0x70u
#define A_DIVIDER_RUNS 0x20u /* 32.768 kHz */

#define B_SET 0x80u
#define B_BINARY 0x04u
#define B_24_HOURS 0x02u

/* Same bits in B (enable) and C (flag). */
#define PERIODIC 0x40u
#define ALARM 0x20u
#define UPDATE 0x10u
#define INTERRUPTS (PERIODIC | ALARM | UPDATE)
#define C_IRQ 0x80u

#define CRYSTAL_HZ 32768u
#define UIP_NS 244000u
#define HOURS_PM 0x80u
/* Real time can be set on the host: look again at least this often while an alarm is armed. */
#define LONGEST_ALARM_NS (60 * NS_PER_SEC)
/* Guest seconds stay within some 30,000 years, so that sums cannot overflow. */
#define MOST_SECONDS 1000000000000ll

static u64 now_ns(const struct mc146818 *rtc)
{
	return rtc->clock->monotonic_ns(rtc->clock);
}

static bool runs(const struct mc146818 *rtc)
{
	return !(rtc->memory[REG_B] & B_SET) &&
	       (rtc->memory[REG_A] & A_DIVIDER) == A_DIVIDER_RUNS;
}

/* ---- time ------------------------------------------------------------------------------------------ */

/* Guest time: seconds since 1970 and the rest in ns. Goes on while the registers stand. */
static s64 guest_time(const struct mc146818 *rtc, u32 *ret_ns)
{
	s64 real = rtc->clock->realtime_ns(rtc->clock);
	s64 second = real / (s64)NS_PER_SEC;
	s64 ns = real % (s64)NS_PER_SEC;

	if (ns < 0) {
		ns += (s64)NS_PER_SEC;
		second--;
	}
	ns += rtc->offset_ns;
	if (ns >= (s64)NS_PER_SEC) {
		ns -= (s64)NS_PER_SEC;
		second++;
	}
	*ret_ns = (u32)ns;
	return second + rtc->offset_seconds;
}

/* From now on it is this second and so many ns. */
static void set_guest_time(struct mc146818 *rtc, s64 second, u32 ns)
{
	s64 real_second, rest;
	u32 real_ns;

	rtc->offset_seconds = 0;
	rtc->offset_ns = 0;
	real_second = guest_time(rtc, &real_ns);
	rest = (s64)ns - real_ns;
	rtc->offset_seconds = second - real_second - (rest < 0);
	rtc->offset_ns = (u32)(rest < 0 ? rest + (s64)NS_PER_SEC : rest);
	rtc->seen_second = second;
}

struct date {
	s64 year;
	unsigned month, day, weekday; /* 1-12, 1-31, 1-7 from Sunday */
};

/* Gregorian calendar, in eras of 400 years that begin in March. */
static struct date date_of_days(s64 days)
{
	s64 z = days + 719468;
	s64 era = (z >= 0 ? z : z - 146096) / 146097;
	unsigned day_of_era = (unsigned)(z - era * 146097);
	unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 -
				day_of_era / 146096) /
			       365;
	unsigned day_of_year =
		day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	unsigned m = (5 * day_of_year + 2) / 153;
	s64 weekday = (days + 4) % 7; /* 1970 began on a Thursday */

	return (struct date){
		.year = era * 400 + year_of_era + (m >= 10),
		.month = m < 10 ? m + 3 : m - 9,
		.day = day_of_year - (153 * m + 2) / 5 + 1,
		.weekday = (unsigned)(weekday < 0 ? weekday + 7 : weekday) + 1,
	};
}

static s64 days_of_date(s64 year, unsigned month, unsigned day)
{
	s64 y = year - (month <= 2);
	s64 era = (y >= 0 ? y : y - 399) / 400;
	unsigned year_of_era = (unsigned)(y - era * 400);
	unsigned day_of_year = (153 * (month + (month > 2 ? -3u : 9u)) + 2) / 5 + day - 1;

	return era * 146097 + (s64)year_of_era * 365 + year_of_era / 4 -
	       year_of_era / 100 + day_of_year - 719468;
}

/* ---- the registers' number formats ----------------------------------------------------------------- */

static u8 encode(const struct mc146818 *rtc, unsigned v)
{
	if (rtc->memory[REG_B] & B_BINARY)
		return (u8)v;
	return (u8)(v / 10 % 10 << 4 | v % 10);
}

static unsigned decode(const struct mc146818 *rtc, u8 v)
{
	if (rtc->memory[REG_B] & B_BINARY)
		return v;
	return (v >> 4) * 10u + (v & 15);
}

static u8 encode_hours(const struct mc146818 *rtc, unsigned hour)
{
	if (rtc->memory[REG_B] & B_24_HOURS)
		return encode(rtc, hour);
	return encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOURS_PM : 0);
}

static unsigned decode_hours(const struct mc146818 *rtc, u8 v)
{
	unsigned hour;

	if (rtc->memory[REG_B] & B_24_HOURS)
		return decode(rtc, v);
	hour = decode(rtc, v & (u8)~HOURS_PM) % 12;
	return v & HOURS_PM ? hour + 12 : hour;
}

/* The byte that a clock register shows at that guest second. */
static u8 clock_byte(const struct mc146818 *rtc, u8 index, s64 second)
{
	s64 days = second / 86400;
	unsigned rest;
	struct date d;

	if (second % 86400 < 0)
		days--;
	rest = (unsigned)(second - days * 86400);
	d = date_of_days(days);
	switch (index) {
	case REG_SECONDS:
		return encode(rtc, rest % 60);
	case REG_MINUTES:
		return encode(rtc, rest / 60 % 60);
	case REG_HOURS:
		return encode_hours(rtc, rest / 3600);
	case REG_WEEKDAY:
		return encode(rtc, d.weekday);
	case REG_DAY:
		return encode(rtc, d.day);
	case REG_MONTH:
		return encode(rtc, d.month);
	case REG_YEAR:
		return encode(rtc, (unsigned)(d.year % 100 + 100) % 100);
	case REG_CENTURY:
		return encode(rtc, (unsigned)(d.year / 100 % 100 + 100) % 100);
	}
	return 0;
}

static const u8 clock_registers[] = { REG_SECONDS, REG_MINUTES, REG_HOURS, REG_WEEKDAY,
				      REG_DAY,	   REG_MONTH,	REG_YEAR,  REG_CENTURY };

static bool is_clock_register(u8 index)
{
	for (unsigned i = 0; i < ARRAY_COUNT(clock_registers); i++)
		if (clock_registers[i] == index)
			return true;
	return false;
}

static void store_time(struct mc146818 *rtc, s64 second)
{
	for (unsigned i = 0; i < ARRAY_COUNT(clock_registers); i++)
		rtc->memory[clock_registers[i]] =
			clock_byte(rtc, clock_registers[i], second);
}

static unsigned bounded(unsigned v, unsigned low, unsigned high)
{
	return v < low ? low : v > high ? high : v;
}

/* What the stored registers say; nonsense is taken as the nearest sense. */
static s64 stored_time(const struct mc146818 *rtc)
{
	const u8 *m = rtc->memory;
	s64 year = bounded(decode(rtc, m[REG_CENTURY]), 0, 99) * 100 +
		   bounded(decode(rtc, m[REG_YEAR]), 0, 99);
	s64 days = days_of_date(year, bounded(decode(rtc, m[REG_MONTH]), 1, 12),
				bounded(decode(rtc, m[REG_DAY]), 1, 31));

	return days * 86400 + bounded(decode_hours(rtc, m[REG_HOURS]), 0, 23) * 3600 +
	       bounded(decode(rtc, m[REG_MINUTES]), 0, 59) * 60 +
	       bounded(decode(rtc, m[REG_SECONDS]), 0, 59);
}

/* ---- interrupts -------------------------------------------------------------------------------------- */

static unsigned period_shift(const struct mc146818 *rtc)
{
	unsigned rate = rtc->memory[REG_A] & A_RATE;

	/* 1 and 2 are 256 and 128 Hz: what 8 and 9 are. 0: none. */
	if (rate == 1 || rate == 2)
		rate += 7;
	return rate ? rate - 1 : 0;
}

static bool has_period(const struct mc146818 *rtc)
{
	return (rtc->memory[REG_A] & A_RATE) &&
	       (rtc->memory[REG_A] & A_DIVIDER) == A_DIVIDER_RUNS;
}

static u64 period_ns(const struct mc146818 *rtc, u64 periods)
{
	return (u64)(((__uint128_t)periods << period_shift(rtc)) * NS_PER_SEC /
		     CRYSTAL_HZ);
}

static u64 periods_gone(const struct mc146818 *rtc)
{
	u64 now = now_ns(rtc);
	u64 ns = now > rtc->period_base_ns ? now - rtc->period_base_ns : 0;

	return (u64)((__uint128_t)ns * CRYSTAL_HZ / NS_PER_SEC) >> period_shift(rtc);
}

static bool alarm_field_fits(const struct mc146818 *rtc, u8 index, unsigned value)
{
	u8 v = rtc->memory[index];

	if ((v & 0xc0) == 0xc0)
		return true; /* don't care */
	return (index == REG_HOURS_ALARM ? decode_hours(rtc, v) : decode(rtc, v)) ==
	       value;
}

/*
 * The first second after `after` that the alarm registers fit, or -1. Fields are tried from the
 * hour down, so that no more than some hundred steps are needed, and no more are made.
 */
static bool next_alarm(const struct mc146818 *rtc, s64 after, s64 *ret_second)
{
	s64 t = after + 1;

	for (unsigned step = 0; step < 500; step++) {
		unsigned rest = (unsigned)((t % 86400 + 86400) % 86400);

		if (!alarm_field_fits(rtc, REG_HOURS_ALARM, rest / 3600)) {
			t += 3600 - rest % 3600;
		} else if (!alarm_field_fits(rtc, REG_MINUTES_ALARM, rest / 60 % 60)) {
			t += 60 - rest % 60;
		} else if (!alarm_field_fits(rtc, REG_SECONDS_ALARM, rest % 60)) {
			t++;
		} else {
			*ret_second = t;
			return true;
		}
	}
	return false; /* the registers hold no time of day */
}

/* Raise the flags of what has gone by. */
static void follow(struct mc146818 *rtc)
{
	s64 alarm;
	u32 ns;

	if (has_period(rtc)) {
		u64 periods = periods_gone(rtc);

		if (periods) {
			rtc->memory[REG_C] |= PERIODIC;
			rtc->period_base_ns += period_ns(rtc, periods);
		}
	}
	if (runs(rtc)) {
		s64 second = guest_time(rtc, &ns);

		if (second > rtc->seen_second) {
			rtc->memory[REG_C] |= UPDATE;
			if (next_alarm(rtc, rtc->seen_second, &alarm) && alarm <= second)
				rtc->memory[REG_C] |= ALARM;
		}
		rtc->seen_second = second;
	}
}

/* Monotonic time at which the guest's clock shows the second. */
static u64 when_second(const struct mc146818 *rtc, s64 second)
{
	u32 ns;
	s64 now = guest_time(rtc, &ns);
	u64 wait;

	if (second <= now)
		return now_ns(rtc);
	if (second - now > 60)
		return now_ns(rtc) + LONGEST_ALARM_NS;
	wait = (u64)(second - now) * NS_PER_SEC - ns;
	return now_ns(rtc) + min_u64(wait, LONGEST_ALARM_NS);
}

static void update(struct mc146818 *rtc)
{
	u8 wanted = rtc->memory[REG_B] & INTERRUPTS & (u8)~rtc->memory[REG_C];
	bool level = rtc->memory[REG_B] & rtc->memory[REG_C] & INTERRUPTS;
	u64 when = CHIP_NO_ALARM;
	s64 alarm;

	if (level != rtc->output_level) {
		rtc->output_level = level;
		rtc->interrupts += level;
		chip_pin_set(&rtc->output, level);
	}
	if ((wanted & PERIODIC) && has_period(rtc))
		when = rtc->period_base_ns + period_ns(rtc, 1) + 1;
	if ((wanted & UPDATE) && runs(rtc))
		when = min_u64(when, when_second(rtc, rtc->seen_second + 1));
	if ((wanted & ALARM) && runs(rtc) && next_alarm(rtc, rtc->seen_second, &alarm))
		when = min_u64(when, when_second(rtc, alarm));
	chip_alarm_set(&rtc->alarm, when);
}

void mc146818_on_alarm(struct mc146818 *rtc)
{
	follow(rtc);
	update(rtc);
}

/* ---- registers ----------------------------------------------------------------------------------------- */

static u8 read_c(struct mc146818 *rtc)
{
	u8 v = rtc->memory[REG_C];

	if (v & rtc->memory[REG_B] & INTERRUPTS)
		v |= C_IRQ;
	rtc->memory[REG_C] = 0;
	update(rtc);
	return v;
}

static u8 read_data(struct mc146818 *rtc)
{
	s64 second;
	u32 ns;

	follow(rtc);
	if (runs(rtc) && is_clock_register(rtc->index)) {
		second = guest_time(rtc, &ns);
		return clock_byte(rtc, rtc->index, second);
	}
	switch (rtc->index) {
	case REG_A:
		guest_time(rtc, &ns);
		return rtc->memory[REG_A] |
		       (runs(rtc) && ns >= NS_PER_SEC - UIP_NS ? A_UIP : 0);
	case REG_C:
		return read_c(rtc);
	case REG_D:
		return 0x80;
	}
	return rtc->memory[rtc->index];
}

/* A or B change: the clock may stop or start, formats may change. */
static void write_mode(struct mc146818 *rtc, u8 index, u8 value)
{
	bool ran = runs(rtc);
	bool held = (rtc->memory[REG_A] & A_DIVIDER) != A_DIVIDER_RUNS;
	bool had_period = has_period(rtc);
	u8 rate = rtc->memory[REG_A] & A_RATE;
	u32 ns;
	s64 second = guest_time(rtc, &ns);

	if (ran)
		store_time(rtc, second);
	rtc->memory[index] = value;
	if (held && (rtc->memory[REG_A] & A_DIVIDER) == A_DIVIDER_RUNS)
		ns = NS_PER_SEC / 2;
	if (!ran && runs(rtc)) {
		set_guest_time(rtc, stored_time(rtc), ns);
	} else if (held && (rtc->memory[REG_A] & A_DIVIDER) == A_DIVIDER_RUNS) {
		/* Still SET: the time is yet to come, the fraction begins here. */
		set_guest_time(rtc, second, ns);
	}
	if (has_period(rtc) && (!had_period || (rtc->memory[REG_A] & A_RATE) != rate))
		rtc->period_base_ns = now_ns(rtc);
}

static void write_data(struct mc146818 *rtc, u8 value)
{
	s64 second;
	u32 ns;

	follow(rtc);
	switch (rtc->index) {
	case REG_A:
		write_mode(rtc, REG_A, value & (u8)~A_UIP);
		break;
	case REG_B:
		/* SET ends and forbids the update interrupt. */
		write_mode(rtc, REG_B, value & B_SET ? value & (u8)~UPDATE : value);
		break;
	case REG_C:
	case REG_D:
		break;
	default:
		if (runs(rtc) && is_clock_register(rtc->index)) {
			second = guest_time(rtc, &ns);
			store_time(rtc, second);
			rtc->memory[rtc->index] = value;
			set_guest_time(rtc, stored_time(rtc), ns);
		} else {
			rtc->memory[rtc->index] = value;
		}
	}
	update(rtc);
}

u8 mc146818_read(struct mc146818 *rtc, u16 port)
{
	return port & 1 ? read_data(rtc) : 0xff;
}

void mc146818_write(struct mc146818 *rtc, u16 port, u8 value)
{
	if (port & 1) {
		write_data(rtc, value);
		return;
	}
	rtc->index = value & 0x7f;
	rtc->nmi_masked = value & 0x80;
}

void mc146818_set_memory(struct mc146818 *rtc, u8 index, u8 value)
{
	if (index > REG_D && index < MC146818_BYTES && index != REG_CENTURY)
		rtc->memory[index] = value;
}

s64 mc146818_offset(const struct mc146818 *rtc)
{
	const s64 most = 4000000000 - 1; /* 126 years; ns of them fit easily */
	s64 s = rtc->offset_seconds;

	s = s > most ? most : s < -most ? -most : s;
	return s * (s64)NS_PER_SEC + rtc->offset_ns;
}

void mc146818_set_offset(struct mc146818 *rtc, s64 ns)
{
	s64 rest = ns % (s64)NS_PER_SEC;
	u32 now;

	rtc->offset_seconds = ns / (s64)NS_PER_SEC - (rest < 0);
	rtc->offset_ns = (u32)(rest < 0 ? rest + (s64)NS_PER_SEC : rest);
	rtc->seen_second = guest_time(rtc, &now);
	update(rtc);
}

void mc146818_init(struct mc146818 *rtc, const struct clock *clock,
		   const struct chip_pin *output, const struct chip_alarm *alarm)
{
	u32 ns;

	memset(rtc, 0, sizeof *rtc);
	rtc->clock = clock;
	rtc->output = *output;
	rtc->alarm = *alarm;
	rtc->memory[REG_A] = A_DIVIDER_RUNS | 6;
	rtc->memory[REG_B] = B_24_HOURS;
	rtc->seen_second = guest_time(rtc, &ns);
	rtc->period_base_ns = now_ns(rtc);
	mc146818_reset(rtc);
}

void mc146818_reset(struct mc146818 *rtc)
{
	follow(rtc);
	rtc->memory[REG_B] &= (u8) ~(INTERRUPTS | 0x08);
	rtc->memory[REG_C] = 0;
	rtc->index = 0;
	rtc->nmi_masked = false;
	update(rtc);
}

/* ---- state --------------------------------------------------------------------------------------------- */

#define STATE_VERSION 1

struct mc146818_state {
	struct chip_state_head head;
	u8 index, nmi_masked;
	u8 memory[MC146818_BYTES];
	le64 offset_seconds; /* two's complement */
	le32 offset_ns;
	le64 seen_second;
	le64 period_age_ns;
} PACKED;
_Static_assert(sizeof(struct mc146818_state) <= WALL_CHIP_STATE_SIZE, "fits its block");

void mc146818_save(const struct mc146818 *rtc, void *block)
{
	struct mc146818_state s = {
		.index = rtc->index,
		.nmi_masked = rtc->nmi_masked,
		.offset_seconds = le64_of((u64)rtc->offset_seconds),
		.offset_ns = le32_of(rtc->offset_ns),
		.seen_second = le64_of((u64)rtc->seen_second),
		.period_age_ns =
			le64_of(min_u64(now_ns(rtc) - rtc->period_base_ns, NS_PER_SEC)),
	};

	memcpy(s.memory, rtc->memory, sizeof s.memory);
	chip_state_finish(block, STATE_VERSION, &s, sizeof s);
}

static bool seconds_are_sound(s64 v)
{
	return v >= -MOST_SECONDS && v <= MOST_SECONDS;
}

int mc146818_restore(struct mc146818 *rtc, const void *block)
{
	struct mc146818_state s;
	s64 offset, seen;
	u64 now = now_ns(rtc);

	if (!chip_state_take(block, STATE_VERSION, &s, sizeof s))
		return -EINVAL;
	offset = (s64)le64_get(s.offset_seconds);
	seen = (s64)le64_get(s.seen_second);
	if (s.index >= MC146818_BYTES || s.nmi_masked > 1 || (s.memory[REG_A] & A_UIP) ||
	    (s.memory[REG_C] & ~INTERRUPTS) || s.memory[REG_D] ||
	    !seconds_are_sound(offset) || !seconds_are_sound(seen) ||
	    le32_get(s.offset_ns) >= NS_PER_SEC || le64_get(s.period_age_ns) > NS_PER_SEC)
		return -EINVAL;
	rtc->index = s.index;
	rtc->nmi_masked = s.nmi_masked;
	memcpy(rtc->memory, s.memory, sizeof rtc->memory);
	rtc->offset_seconds = offset;
	rtc->offset_ns = le32_get(s.offset_ns);
	rtc->seen_second = seen;
	rtc->period_base_ns = now - min_u64(now, le64_get(s.period_age_ns));
	follow(rtc);
	update(rtc);
	return 0;
}

void mc146818_inspect(const struct mc146818 *rtc, struct inspect *out)
{
	u32 ns;
	s64 second = guest_time(rtc, &ns);
	s64 days = second / 86400 - (second % 86400 < 0);
	unsigned rest = (unsigned)(second - days * 86400);
	struct date d = date_of_days(days);

	inspect_line(out, "time", "%04lld-%02u-%02u %02u:%02u:%02u%s", (long long)d.year,
		     d.month, d.day, rest / 3600, rest / 60 % 60, rest % 60,
		     runs(rtc) ? "" : " (stands)");
	inspect_line(out, "registers", "a 0x%02x b 0x%02x c 0x%02x", rtc->memory[REG_A],
		     rtc->memory[REG_B], rtc->memory[REG_C]);
	inspect_line(out, "alarm", "%02x:%02x:%02x", rtc->memory[REG_HOURS_ALARM],
		     rtc->memory[REG_MINUTES_ALARM], rtc->memory[REG_SECONDS_ALARM]);
	inspect_line(out, "interrupts", "%llu", (unsigned long long)rtc->interrupts);
}
