/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fuzz targets of hv's chips share: the input read as a script of operations, a clock
 * that the script moves, one alarm that comes at its time. A target checks as it goes that a
 * chip takes back every state that it gives out.
 */
#pragma once

#include <stdio.h>

#include "base/clock.h"
#include "hv/chips/chip.h"
#include "wall/wall.h"

struct script {
	const u8 *data;
	size_t left;
	struct manual_clock clock;
	u64 alarm;
	unsigned alarms;
	u32 pins; /* as the chip set them */
};

static inline u8 script_u8(struct script *s)
{
	if (s->left == 0)
		return 0;
	s->left--;
	return *s->data++;
}
static inline u16 script_u16(struct script *s)
{
	u16 low = script_u8(s);

	return (u16)(low | script_u8(s) << 8);
}
static inline u32 script_u32(struct script *s)
{
	u32 low = script_u16(s);

	return low | (u32)script_u16(s) << 16;
}
static inline u64 script_u64(struct script *s)
{
	u64 low = script_u32(s);

	return low | (u64)script_u32(s) << 32;
}

/* A block that is nearly good: some bytes of it as the input wants them. */
static inline void script_spoil(struct script *s, u8 *block)
{
	for (unsigned n = script_u8(s) % 8 + 1; n > 0; n--) {
		unsigned at = script_u16(s) % 256;

		block[at] = script_u8(s);
	}
}

static inline void script_begin(struct script *s, const u8 *data, size_t size)
{
	*s = (struct script){ .data = data, .left = size, .alarm = CHIP_NO_ALARM };
	manual_clock_init(&s->clock, 1000 * NS_PER_SEC, 1700000000 * (s64)NS_PER_SEC);
}

/* Up to some seconds; more now and then. */
static inline u64 script_time(struct script *s)
{
	u64 ns = script_u32(s);

	return ns & 1 ? ns << (ns >> 1 & 15) : ns;
}

static inline void script_on_alarm(void *owner, unsigned id, u64 when_ns)
{
	(void)id;
	((struct script *)owner)->alarm = when_ns;
}

/* Lines are told as changes only. */
static inline void script_on_pin(void *owner, unsigned line, bool level)
{
	struct script *s = owner;

	if (level == !!(s->pins & BIT(line)))
		abort();
	s->pins ^= BIT(line);
}

#define SCRIPT_PIN(s, n) \
	(&(struct chip_pin){ .set = script_on_pin, .owner = (s), .line = (n) })
#define SCRIPT_ALARM(s) (&(struct chip_alarm){ .set = script_on_alarm, .owner = (s) })

/* Let time pass; alarms come, up to a hundred of them, then late. */
#define SCRIPT_ADVANCE(s, ns, on_alarm)                                                  \
	do {                                                                             \
		u64 until_ = (s)->clock.monotonic + (ns);                                \
		for (unsigned n_ = 0; n_ < 100 && (s)->alarm <= until_; n_++) {          \
			if ((s)->alarm > (s)->clock.monotonic)                           \
				manual_clock_advance(&(s)->clock,                        \
						     (s)->alarm - (s)->clock.monotonic); \
			(s)->alarm = CHIP_NO_ALARM;                                      \
			on_alarm;                                                        \
		}                                                                        \
		manual_clock_advance(&(s)->clock, until_ - (s)->clock.monotonic);        \
	} while (0)

/* What a chip gave out it must take back, and give out again. */
static inline void script_check(int r, const u8 *first, const u8 *second)
{
	if (r != 0) {
		fprintf(stderr, "own state refused\n");
		abort();
	}
	for (unsigned i = 0; i < WALL_CHIP_STATE_SIZE; i++) {
		if (first[i] == second[i])
			continue;
		fprintf(stderr,
			"state changed on its round trip: byte %u %02x, then %02x\n", i,
			first[i], second[i]);
		abort();
	}
}

#define SCRIPT_ROUND_TRIP(save, restore, chip)                                         \
	do {                                                                           \
		static u8 first_[WALL_CHIP_STATE_SIZE], second_[WALL_CHIP_STATE_SIZE]; \
		int r_;                                                                \
		save(chip, first_);                                                    \
		r_ = restore(chip, first_);                                            \
		save(chip, second_);                                                   \
		script_check(r_, first_, second_);                                     \
	} while (0)

#define SCRIPT_INSPECT(show, chip)                                             \
	do {                                                                   \
		static char text_[2048];                                       \
		struct inspect out_ = { .text = text_, .size = sizeof text_ }; \
		show(chip, &out_);                                             \
	} while (0)
