/* SPDX-License-Identifier: Apache-2.0 */
/* Who is meant by a destination: apic_bus.h. Any thread, no lock. */
#include "hv/chips/apic_bus.h"

#include "hv/chips/lapic.h"

static unsigned send_to_all(struct apic_bus *bus, const struct apic_message *message,
			    const struct lapic *except)
{
	unsigned taken = 0;

	for (unsigned i = 0; i < bus->count; i++)
		if (bus->lapic[i] != except)
			taken += lapic_accept(bus->lapic[i], message);
	return taken;
}

/*
 * One of those that match: who works at the lowest task priority. Equals take turns, so that
 * a busy interrupt does not stay with the first processor.
 */
static unsigned send_to_lowest(struct apic_bus *bus, const struct apic_message *message)
{
	u32 first = atomic_fetch_add_explicit(&bus->turn, 1, memory_order_relaxed);
	struct lapic *best = NULL;
	u32 best_tpr = 0;

	for (unsigned i = 0; i < bus->count; i++) {
		struct lapic *l = bus->lapic[(first + i) % bus->count];
		u32 tpr = lapic_tpr(l) & 0xf0;

		if (!lapic_is_software_enabled(l) ||
		    !lapic_matches(l, message->destination, message->logical))
			continue;
		if (!best || tpr < best_tpr) {
			best = l;
			best_tpr = tpr;
		}
	}
	return best ? lapic_accept(best, message) : 0;
}

void apic_bus_init(struct apic_bus *bus, struct lapic *const *lapic, unsigned count)
{
	bus->lapic = lapic;
	bus->count = count;
	atomic_init(&bus->turn, 0);
}

unsigned apic_bus_send(struct apic_bus *bus, const struct apic_message *message,
		       const struct lapic *sender)
{
	u32 destination = message->destination;
	unsigned taken = 0;

	switch ((enum apic_shorthand)message->shorthand) {
	case APIC_TO_DESTINATION:
		break;
	case APIC_TO_ALL:
		return send_to_all(bus, message, NULL);
	case APIC_TO_OTHERS:
		return send_to_all(bus, message, sender);
	case APIC_TO_SELF:
		for (unsigned i = 0; i < bus->count; i++)
			if (bus->lapic[i] == sender)
				return lapic_accept(bus->lapic[i], message);
		return 0;
	}
	if (message->delivery == APIC_LOWEST)
		return send_to_lowest(bus, message);
	/* Nearly all messages: processor n has id n. */
	if (!message->logical && destination < bus->count &&
	    bus->lapic[destination]->initial_id == destination &&
	    lapic_matches(bus->lapic[destination], destination, false))
		return lapic_accept(bus->lapic[destination], message);
	for (unsigned i = 0; i < bus->count; i++)
		if (lapic_matches(bus->lapic[i], destination, message->logical))
			taken += lapic_accept(bus->lapic[i], message);
	return taken;
}

bool apic_message_of_msi(u64 address, u32 data, struct apic_message *ret_message)
{
	u8 destination = (u8)(address >> 12);
	bool logical = address & BIT(2);

	if ((address & 0xfff00000) != 0xfee00000)
		return false;
	*ret_message = (struct apic_message){
		.destination = !logical && destination == 0xff ? APIC_EVERYBODY
							       : destination,
		.vector = (u8)data,
		.delivery = data >> 8 & 7,
		.logical = logical,
		.level = data & BIT(15),
		.assert = data & BIT(14),
	};
	return true;
}
