/* SPDX-License-Identifier: Apache-2.0 */
/* Eight processors' local APICs on one bus, with a clock that stands: for chips_lapic*.c. */
#pragma once

#include "harness.h"

#include "hv/chips/lapic.h"
#include "wall/wall.h"

#define COUNT 8
#define TSC_HZ 2000000000ull /* two ticks a nanosecond */

struct board;

struct processor {
	struct board *board;
	struct lapic lapic;
	unsigned notified, nmis, signalled, ended;
	u8 ended_vector;
	u64 alarm;
};

struct board {
	struct manual_clock clock;
	struct apic_bus bus;
	struct lapic *lapic[COUNT];
	struct processor p[COUNT];
};

static inline void on_notify(void *owner)
{
	((struct processor *)owner)->notified++;
}
static inline void on_nmi(void *owner)
{
	((struct processor *)owner)->nmis++;
}
static inline void on_signal(void *owner)
{
	((struct processor *)owner)->signalled++;
}
static inline void on_send(void *owner, const struct apic_message *message)
{
	struct processor *p = owner;

	apic_bus_send(&p->board->bus, message, &p->lapic);
}
static inline void on_eoi(void *owner, u8 vector)
{
	struct processor *p = owner;

	p->ended++;
	p->ended_vector = vector;
}
static inline void on_alarm(void *owner, u64 when_ns)
{
	((struct processor *)owner)->alarm = when_ns;
}
static inline u64 tsc_now(void *owner)
{
	struct processor *p = owner;

	return p->board->clock.monotonic * 2;
}

static const struct lapic_ops ops = {
	.notify = on_notify,
	.nmi = on_nmi,
	.signal = on_signal,
	.send = on_send,
	.eoi = on_eoi,
	.alarm = on_alarm,
	.tsc = tsc_now,
};

static inline void board_init(struct board *b)
{
	memset(b, 0, sizeof *b);
	manual_clock_init(&b->clock, 1000000, 0);
	for (unsigned i = 0; i < COUNT; i++) {
		b->p[i].board = b;
		b->lapic[i] = &b->p[i].lapic;
		lapic_init(&b->p[i].lapic, &ops, &b->p[i], &b->clock.clock, i, i == 0, 40,
			   TSC_HZ);
	}
	apic_bus_init(&b->bus, b->lapic, COUNT);
}

static inline void advance(struct board *b, u64 ns)
{
	u64 until = b->clock.monotonic + ns;

	/* Alarms come at their time, a bounded number of them. */
	for (unsigned n = 0; n < 10000; n++) {
		struct processor *next = NULL;

		for (unsigned i = 0; i < COUNT; i++)
			if (b->p[i].alarm <= until &&
			    (!next || b->p[i].alarm < next->alarm))
				next = &b->p[i];
		if (!next)
			break;
		if (next->alarm > b->clock.monotonic)
			manual_clock_advance(&b->clock, next->alarm - b->clock.monotonic);
		next->alarm = CHIP_NO_ALARM;
		lapic_on_alarm(&next->lapic);
	}
	manual_clock_advance(&b->clock, until - b->clock.monotonic);
}

static inline u32 rd(struct lapic *l, unsigned offset)
{
	return (u32)lapic_mmio_read(l, offset, 4);
}
static inline void wr(struct lapic *l, unsigned offset, u32 value)
{
	lapic_mmio_write(l, offset, 4, value);
}
static inline void enable(struct lapic *l)
{
	wr(l, 0xf0, 0x1ff);
}
static inline bool x2apic(struct lapic *l)
{
	u64 base;

	return lapic_msr_read(l, MSR_APIC_BASE, &base) &&
	       lapic_msr_write(l, MSR_APIC_BASE, base | LAPIC_BASE_X2APIC);
}
static inline u64 msr(struct lapic *l, u32 index)
{
	u64 value = 0xdead;

	EXPECT(lapic_msr_read(l, index, &value));
	return value;
}
static inline bool requested(struct lapic *l, u8 vector)
{
	return atomic_load(&l->irr[vector >> 5]) & BIT(vector & 31);
}
/* Requests are taken away, so that the next look shows the next message only. */
static inline u32 receivers(struct board *b, u8 vector)
{
	u32 who = 0;

	for (unsigned i = 0; i < COUNT; i++)
		if (atomic_fetch_and(&b->p[i].lapic.irr[vector >> 5], ~BIT(vector & 31)) &
		    BIT(vector & 31))
			who |= BIT(i);
	return who;
}
static inline void give(struct lapic *l, u8 vector, bool level)
{
	struct apic_message m = { .vector = vector, .level = level };

	EXPECT(lapic_accept(l, &m));
}
