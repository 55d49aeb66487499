/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC: its saved block and what inspect shows. VP's thread, or any while it stands. */
#include "hv/chips/lapic.h"

#include <errno.h>
#include <stdio.h>

#include "hv/chips/lapic_timer.h"
#include "wall/wall.h"

#define STATE_VERSION 1

struct lapic_state {
	struct chip_state_head head;
	le32 id;
	le64 base;
	le32 tpr, ldr, dfr, svr, esr, error_pending;
	le64 icr;
	le32 lvt[LAPIC_LVT_COUNT];
	le32 isr[8], tmr[8], irr[8], auto_eoi[8];
	le32 signals, lint, extint;
	le32 divide_config, initial_count, current_count;
	le64 deadline; /* guest TSC */
} PACKED;
_Static_assert(sizeof(struct lapic_state) <= WALL_CHIP_STATE_SIZE, "fits its block");

static const u32 lvt_bits[LAPIC_LVT_COUNT] = {
	[LAPIC_LVT_TIMER] = 0x000700ff,	  [LAPIC_LVT_THERMAL] = 0x000107ff,
	[LAPIC_LVT_COUNTER] = 0x000107ff, [LAPIC_LVT_LINT0] = 0x0001e7ff,
	[LAPIC_LVT_LINT1] = 0x0001e7ff,	  [LAPIC_LVT_ERROR] = 0x000100ff,
};

void lapic_save(const struct lapic *l, void *block)
{
	struct lapic_state s = {
		.id = le32_of(l->initial_id),
		.base = le64_of(atomic_load(&l->base)),
		.tpr = le32_of(atomic_load(&l->tpr)),
		.ldr = le32_of(atomic_load(&l->ldr)),
		.dfr = le32_of(atomic_load(&l->dfr)),
		.svr = le32_of(atomic_load(&l->svr)),
		.esr = le32_of(l->esr),
		.error_pending = le32_of(atomic_load(&l->error_pending)),
		.icr = le64_of(l->icr),
		.signals = le32_of(atomic_load(&l->signals)),
		.lint = le32_of(atomic_load(&l->lint)),
		.extint = le32_of(atomic_load(&l->extint)),
		.divide_config = le32_of(l->divide_config),
		.initial_count = le32_of(l->initial_count),
		.current_count = le32_of(
			lapic_timer_count_at(l, l->clock->monotonic_ns(l->clock))),
		.deadline = le64_of(l->deadline),
	};

	for (unsigned n = 0; n < LAPIC_LVT_COUNT; n++)
		s.lvt[n] = le32_of(atomic_load(&l->lvt[n]));
	for (unsigned i = 0; i < 8; i++) {
		s.isr[i] = le32_of(l->isr[i]);
		s.tmr[i] = le32_of(atomic_load(&l->tmr[i]));
		s.irr[i] = le32_of(atomic_load(&l->irr[i]));
		s.auto_eoi[i] = le32_of(l->auto_eoi[i]);
	}
	/*
	 * A timer that has run out but whose alarm has not come yet fires at once after restore:
	 * a count of 0 would lose it.
	 */
	if (l->counted_from && le32_get(s.current_count) == 0)
		s.current_count = le32_of(1);
	chip_state_finish(block, STATE_VERSION, &s, sizeof s);
}

static bool base_is_sound(const struct lapic *l, u64 base)
{
	u64 bits = (BIT64(l->gpa_bits) - 1) & ~0xfffull;

	bits |= LAPIC_BASE_BSP | LAPIC_BASE_ENABLED | LAPIC_BASE_X2APIC;
	if (base & ~bits)
		return false;
	return !(base & LAPIC_BASE_X2APIC) || (base & LAPIC_BASE_ENABLED);
}

static bool state_is_sound(const struct lapic *l, const struct lapic_state *s)
{
	bool x2apic = le64_get(s->base) & LAPIC_BASE_X2APIC;
	bool enabled = le32_get(s->svr) & LAPIC_SVR_ENABLED;
	u32 icr = (u32)le64_get(s->icr);

	if (le32_get(s->id) != l->initial_id || !base_is_sound(l, le64_get(s->base)))
		return false;
	if (le32_get(s->tpr) > 0xff || le32_get(s->svr) > 0x3ff ||
	    le32_get(s->esr) > 0xff || le32_get(s->error_pending) > 0xff)
		return false;
	if (x2apic ? le32_get(s->ldr) !=
			     (l->initial_id >> 4 << 16 | BIT(l->initial_id & 0xf))
		   : (le32_get(s->ldr) & 0x00ffffff) != 0)
		return false;
	if ((le32_get(s->dfr) & 0x0fffffff) != 0x0fffffff || (icr & ~0x000ccfffu))
		return false;
	for (unsigned n = 0; n < LAPIC_LVT_COUNT; n++) {
		u32 lvt = le32_get(s->lvt[n]);

		if (lvt & ~lvt_bits[n])
			return false;
		/* Software-disabled: all masked, but for virtual wire after power-on. */
		if (!enabled && !(lvt & LAPIC_LVT_MASKED) &&
		    !(n == LAPIC_LVT_LINT0 && lvt == APIC_EXTINT << 8))
			return false;
	}
	/* Vectors 0 to 15 are never requested. */
	if ((le32_get(s->isr[0]) | le32_get(s->irr[0])) & 0xffff)
		return false;
	if (le32_get(s->signals) & ~(0xff00u | LAPIC_SIGNAL_INIT | LAPIC_SIGNAL_STARTUP))
		return false;
	return le32_get(s->lint) <= 3 && le32_get(s->extint) <= 1 &&
	       !(le32_get(s->divide_config) & ~0xbu) &&
	       le32_get(s->current_count) <= le32_get(s->initial_count);
}

int lapic_restore(struct lapic *l, const void *block)
{
	struct lapic_state s;

	if (!chip_state_take(block, STATE_VERSION, &s, sizeof s) ||
	    !state_is_sound(l, &s))
		return -EINVAL;
	atomic_store(&l->base, le64_get(s.base));
	atomic_store(&l->tpr, le32_get(s.tpr));
	atomic_store(&l->ldr, le32_get(s.ldr));
	atomic_store(&l->dfr, le32_get(s.dfr));
	atomic_store(&l->svr, le32_get(s.svr));
	l->esr = le32_get(s.esr);
	atomic_store(&l->error_pending, le32_get(s.error_pending));
	l->icr = le64_get(s.icr);
	for (unsigned n = 0; n < LAPIC_LVT_COUNT; n++)
		atomic_store(&l->lvt[n], le32_get(s.lvt[n]));
	for (unsigned i = 0; i < 8; i++) {
		l->isr[i] = le32_get(s.isr[i]);
		atomic_store(&l->tmr[i], le32_get(s.tmr[i]));
		atomic_store(&l->irr[i], le32_get(s.irr[i]));
		l->auto_eoi[i] = le32_get(s.auto_eoi[i]);
	}
	atomic_store(&l->signals, le32_get(s.signals));
	atomic_store(&l->lint, le32_get(s.lint));
	atomic_store(&l->extint, le32_get(s.extint));
	l->divide_config = le32_get(s.divide_config);
	l->initial_count = le32_get(s.initial_count);
	l->counted_from = le32_get(s.current_count);
	l->counted_from_ns = l->clock->monotonic_ns(l->clock);
	l->fired_ns = 0;
	l->deadline = le64_get(s.deadline);
	lapic_timer_check(l);
	return 0;
}

static void inspect_vectors(struct inspect *out, const char *name, const u32 *words)
{
	char text[8 * 9 + 1];
	int at = 0;

	/* Highest vector first, as one long number. */
	for (int i = 7; i >= 0; i--)
		at += snprintf(text + at, sizeof text - (size_t)at, "%08x%s", words[i],
			       i ? "_" : "");
	inspect_line(out, name, "%s", text);
}

void lapic_inspect(const struct lapic *l, struct inspect *out)
{
	static const char *const names[LAPIC_LVT_COUNT] = {
		[LAPIC_LVT_TIMER] = "lvt timer",     [LAPIC_LVT_THERMAL] = "lvt thermal",
		[LAPIC_LVT_COUNTER] = "lvt counter", [LAPIC_LVT_LINT0] = "lvt lint0",
		[LAPIC_LVT_LINT1] = "lvt lint1",     [LAPIC_LVT_ERROR] = "lvt error",
	};
	u32 irr[8], tmr[8];

	for (unsigned i = 0; i < 8; i++) {
		irr[i] = atomic_load(&l->irr[i]);
		tmr[i] = atomic_load(&l->tmr[i]);
	}
	inspect_line(out, "id", "%u", l->initial_id);
	inspect_line(out, "mode", "%s at 0x%llx",
		     lapic_is_x2apic(l)	   ? "x2apic"
		     : lapic_is_enabled(l) ? "xapic"
					   : "disabled",
		     (unsigned long long)lapic_base_gpa(l));
	inspect_line(out, "svr", "0x%03x", atomic_load(&l->svr));
	inspect_line(out, "tpr", "0x%02x", atomic_load(&l->tpr));
	inspect_line(out, "ldr", "0x%08x dfr 0x%08x", atomic_load(&l->ldr),
		     atomic_load(&l->dfr));
	inspect_vectors(out, "irr", irr);
	inspect_vectors(out, "isr", l->isr);
	inspect_vectors(out, "tmr", tmr);
	for (unsigned n = 0; n < LAPIC_LVT_COUNT; n++)
		inspect_line(out, names[n], "0x%05x", atomic_load(&l->lvt[n]));
	inspect_line(out, "icr", "0x%016llx", (unsigned long long)l->icr);
	inspect_line(out, "esr", "0x%02x", l->esr);
	inspect_line(out, "timer", "initial %u current %u divide 0x%x deadline %llu",
		     l->initial_count,
		     lapic_timer_count_at(l, l->clock->monotonic_ns(l->clock)),
		     l->divide_config, (unsigned long long)l->deadline);
	inspect_line(out, "counts",
		     "accepted %llu taken %llu eoi %llu ipi %llu timer %llu",
		     (unsigned long long)atomic_load(&l->accepted),
		     (unsigned long long)l->taken, (unsigned long long)l->eois,
		     (unsigned long long)l->ipis, (unsigned long long)l->timer_fired);
}
