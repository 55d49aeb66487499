/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local APIC's timer, for lapic.c alone. Theory: the counter is never counted. It was
 * counted_from at counted_from_ns and has since gone down by one each divided tick; in periodic
 * mode it starts again from initial_count. Every change of mode or divider first takes what was
 * due (timer_check), then starts from the count of that moment. counted_from 0 = it stands.
 *
 * Thread: the VP's.
 */
#pragma once

#include "hv/chips/lapic.h"

enum lapic_timer_mode {
	LAPIC_TIMER_ONE_SHOT = 0,
	LAPIC_TIMER_PERIODIC = 1,
	LAPIC_TIMER_DEADLINE = 2,
	LAPIC_TIMER_RESERVED = 3, /* stands */
};

static inline enum lapic_timer_mode lapic_timer_mode_of(u32 lvt)
{
	return (enum lapic_timer_mode)(lvt >> 17 & 3);
}

/* The LVT entry is about to become `lvt`; and after it has. */
void lapic_timer_before_lvt(struct lapic *lapic, u32 lvt);
void lapic_timer_after_lvt(struct lapic *lapic);

void lapic_timer_set_initial(struct lapic *lapic, u32 count);
void lapic_timer_set_divide(struct lapic *lapic, u32 config);
u32 lapic_timer_current(struct lapic *lapic);
void lapic_timer_set_deadline(struct lapic *lapic, u64 deadline);
u64 lapic_timer_deadline(struct lapic *lapic);
void lapic_timer_stop(struct lapic *lapic);

/* Fire what is due and set the alarm for what comes next. */
void lapic_timer_check(struct lapic *lapic);

/* The count at time now, of a timer whose due interrupts have been fired. */
u32 lapic_timer_count_at(const struct lapic *lapic, u64 now);
