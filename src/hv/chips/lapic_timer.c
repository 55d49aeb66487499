/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC's timer: lapic_timer.h has the theory. VP's thread. */
#include "hv/chips/lapic_timer.h"

static enum lapic_timer_mode mode_of(const struct lapic *l)
{
	return lapic_timer_mode_of(
		atomic_load_explicit(&l->lvt[LAPIC_LVT_TIMER], memory_order_relaxed));
}

static u64 now_ns(const struct lapic *l)
{
	return l->clock->monotonic_ns(l->clock);
}

/* 0000 divides by 2, 0001 by 4 ... 1010 by 128, 1011 by 1; bit 2 of the register is not used. */
static unsigned divide_shift(const struct lapic *l)
{
	u32 c = l->divide_config;

	return ((c & 3) + (c >> 1 & 4) + 1) & 7;
}

static u64 elapsed_ns(const struct lapic *l, u64 now)
{
	return now > l->counted_from_ns ? now - l->counted_from_ns : 0;
}

/* When the counter reaches 0 (again). */
static u64 due_ns(const struct lapic *l)
{
	return l->counted_from_ns + ((u64)l->counted_from << divide_shift(l));
}

u32 lapic_timer_count_at(const struct lapic *l, u64 now)
{
	u64 ticks = elapsed_ns(l, now) >> divide_shift(l);

	switch (mode_of(l)) {
	case LAPIC_TIMER_ONE_SHOT:
		return ticks < l->counted_from ? l->counted_from - (u32)ticks : 0;
	case LAPIC_TIMER_PERIODIC:
		if (ticks < l->counted_from || l->counted_from == 0)
			return l->counted_from ? l->counted_from - (u32)ticks : 0;
		if (l->initial_count == 0)
			return 0;
		return l->initial_count -
		       (u32)((ticks - l->counted_from) % l->initial_count);
	case LAPIC_TIMER_DEADLINE:
	case LAPIC_TIMER_RESERVED:
		break;
	}
	return 0;
}

/* From here on the counter counts from what it shows now; no part of a tick is lost. */
static void count_from(struct lapic *l, u64 now)
{
	u64 part = elapsed_ns(l, now) & ((1ull << divide_shift(l)) - 1);

	l->counted_from = lapic_timer_count_at(l, now);
	l->counted_from_ns = now - part;
}

static void fire(struct lapic *l)
{
	l->timer_fired++;
	lapic_deliver_local(l, LAPIC_LVT_TIMER);
}

static void set_alarm_ticks(struct lapic *l, u64 now, u64 ticks)
{
	__uint128_t ns = ((__uint128_t)ticks * NS_PER_SEC + l->tsc_hz - 1) / l->tsc_hz;

	if (ns >= CHIP_NO_ALARM - now)
		l->ops->alarm(l->owner, CHIP_NO_ALARM);
	else
		l->ops->alarm(l->owner, now + (u64)ns);
}

static void check_deadline(struct lapic *l, u64 now)
{
	u64 tsc;

	if (l->deadline == 0) {
		l->ops->alarm(l->owner, CHIP_NO_ALARM);
		return;
	}
	tsc = l->ops->tsc(l->owner);
	if (tsc < l->deadline) {
		set_alarm_ticks(l, now, l->deadline - tsc);
		return;
	}
	/* The MSR reads 0 by the time that the handler runs. */
	l->deadline = 0;
	l->ops->alarm(l->owner, CHIP_NO_ALARM);
	fire(l);
}

static void check_counter(struct lapic *l, u64 now, bool periodic)
{
	u64 when = CHIP_NO_ALARM;
	bool fires = false;

	if (l->counted_from && now >= due_ns(l)) {
		/* However late we are, it is one interrupt: the request bit is one bit. */
		fires = !periodic || l->fired_ns == 0 ||
			now - l->fired_ns >= LAPIC_MIN_PERIOD_NS;
		if (fires || !periodic) {
			count_from(l, now);
			l->fired_ns = now;
		}
	}
	if (l->counted_from) {
		when = due_ns(l);
		if (periodic && l->fired_ns)
			when = max_u64(when, l->fired_ns + LAPIC_MIN_PERIOD_NS);
		if (atomic_load_explicit(&l->lvt[LAPIC_LVT_TIMER], memory_order_relaxed) &
		    LAPIC_LVT_MASKED)
			when = CHIP_NO_ALARM;
	}
	l->ops->alarm(l->owner, when);
	if (fires)
		fire(l);
}

void lapic_timer_check(struct lapic *l)
{
	u64 now = now_ns(l);

	switch (mode_of(l)) {
	case LAPIC_TIMER_ONE_SHOT:
		check_counter(l, now, false);
		break;
	case LAPIC_TIMER_PERIODIC:
		check_counter(l, now, true);
		break;
	case LAPIC_TIMER_DEADLINE:
		check_deadline(l, now);
		break;
	case LAPIC_TIMER_RESERVED:
		l->ops->alarm(l->owner, CHIP_NO_ALARM);
		break;
	}
}

void lapic_timer_before_lvt(struct lapic *l, u32 lvt)
{
	enum lapic_timer_mode from = mode_of(l);
	enum lapic_timer_mode to = lapic_timer_mode_of(lvt);

	lapic_timer_check(l);
	count_from(l, now_ns(l));
	if ((from == LAPIC_TIMER_DEADLINE) != (to == LAPIC_TIMER_DEADLINE)) {
		/* SDM 11.5.4.1: a change to or from deadline mode disarms the timer. */
		l->deadline = 0;
		l->initial_count = 0;
		l->counted_from = 0;
	}
}

void lapic_timer_after_lvt(struct lapic *l)
{
	lapic_timer_check(l);
}

void lapic_timer_set_initial(struct lapic *l, u32 count)
{
	if (mode_of(l) == LAPIC_TIMER_DEADLINE)
		return;
	lapic_timer_check(l);
	l->initial_count = count;
	l->counted_from = count;
	l->counted_from_ns = now_ns(l);
	l->fired_ns = 0;
	lapic_timer_check(l);
}

void lapic_timer_set_divide(struct lapic *l, u32 config)
{
	u64 now = now_ns(l);

	lapic_timer_check(l);
	l->counted_from = lapic_timer_count_at(l, now);
	l->counted_from_ns = now;
	l->divide_config = config & 0xb;
	lapic_timer_check(l);
}

u32 lapic_timer_current(struct lapic *l)
{
	u64 now = now_ns(l);

	/* A guest that reads 0 finds the interrupt requested, however late our alarm is. */
	if (l->counted_from && now >= due_ns(l))
		lapic_timer_check(l);
	return lapic_timer_count_at(l, now);
}

void lapic_timer_set_deadline(struct lapic *l, u64 deadline)
{
	if (mode_of(l) != LAPIC_TIMER_DEADLINE)
		return;
	l->deadline = deadline;
	lapic_timer_check(l);
}

u64 lapic_timer_deadline(struct lapic *l)
{
	if (mode_of(l) != LAPIC_TIMER_DEADLINE)
		return 0;
	if (l->deadline)
		lapic_timer_check(l);
	return l->deadline;
}

void lapic_timer_stop(struct lapic *l)
{
	l->initial_count = 0;
	l->counted_from = 0;
	l->deadline = 0;
	l->fired_ns = 0;
	l->ops->alarm(l->owner, CHIP_NO_ALARM);
}
