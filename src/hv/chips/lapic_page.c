/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local APIC as a register page of 1 KiB, each register at its xAPIC offset (lapic.h has the
 * map): the form in which engines with APICs of their own give and take it. In x2APIC mode the ID
 * register holds all 32 bits, as KVM_CAP_X2APIC_API has it. Any thread while the VP stands.
 */
#include "hv/chips/lapic.h"
#include "hv/chips/lapic_timer.h"

static const u16 lvt_offset[LAPIC_LVT_COUNT] = {
	[LAPIC_LVT_TIMER] = 0x320,   [LAPIC_LVT_THERMAL] = 0x330,
	[LAPIC_LVT_COUNTER] = 0x340, [LAPIC_LVT_LINT0] = 0x350,
	[LAPIC_LVT_LINT1] = 0x360,   [LAPIC_LVT_ERROR] = 0x370,
};

static void put(u8 *page, unsigned offset, u32 value)
{
	memcpy(page + offset, &value, sizeof value);
}

static u32 get(const u8 *page, unsigned offset)
{
	u32 value;

	memcpy(&value, page + offset, sizeof value);
	return value;
}

void lapic_to_page(const struct lapic *l, u8 *page)
{
	bool x2apic = lapic_is_x2apic(l);

	memset(page, 0, LAPIC_PAGE_SIZE);
	put(page, 0x20, x2apic ? l->initial_id : l->initial_id << 24);
	put(page, 0x30, LAPIC_VERSION);
	put(page, 0x80, atomic_load(&l->tpr));
	put(page, 0xd0, atomic_load(&l->ldr));
	put(page, 0xe0, atomic_load(&l->dfr));
	put(page, 0xf0, atomic_load(&l->svr));
	for (unsigned k = 0; k < 8; k++) {
		put(page, 0x100 + 16 * k, l->isr[k]);
		put(page, 0x180 + 16 * k, atomic_load(&l->tmr[k]));
		put(page, 0x200 + 16 * k, atomic_load(&l->irr[k]));
	}
	put(page, 0x280, l->esr);
	put(page, 0x300, (u32)l->icr);
	put(page, 0x310, (u32)(l->icr >> 32));
	for (unsigned n = 0; n < LAPIC_LVT_COUNT; n++)
		put(page, lvt_offset[n], atomic_load(&l->lvt[n]));
	put(page, 0x380, l->initial_count);
	put(page, 0x390, lapic_timer_count_at(l, l->clock->monotonic_ns(l->clock)));
	put(page, 0x3e0, l->divide_config);
}

void lapic_from_page(struct lapic *l, const u8 *page, u64 base, u64 deadline)
{
	atomic_store(&l->base, base);
	atomic_store(&l->tpr, get(page, 0x80));
	atomic_store(&l->ldr, get(page, 0xd0));
	atomic_store(&l->dfr, get(page, 0xe0));
	atomic_store(&l->svr, get(page, 0xf0));
	for (unsigned k = 0; k < 8; k++) {
		l->isr[k] = get(page, 0x100 + 16 * k);
		atomic_store(&l->tmr[k], get(page, 0x180 + 16 * k));
		atomic_store(&l->irr[k], get(page, 0x200 + 16 * k));
	}
	l->esr = get(page, 0x280);
	l->icr = get(page, 0x300) & ~(1u << 12) /* send pending */;
	l->icr |= (u64)get(page, 0x310) << 32;
	for (unsigned n = 0; n < LAPIC_LVT_COUNT; n++)
		atomic_store(&l->lvt[n], get(page, lvt_offset[n]) & ~(1u << 12));
	l->initial_count = get(page, 0x380);
	l->counted_from = get(page, 0x390);
	l->counted_from_ns = l->clock->monotonic_ns(l->clock);
	l->divide_config = get(page, 0x3e0);
	l->deadline = deadline;
}
