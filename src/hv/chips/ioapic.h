/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The IOAPIC (82093AA and its heirs with an EOI register): 24 pins, a redirection entry each.
 *
 *	at 0xfec00000	00	index of the register behind the window
 *			10	window
 *			40	EOI: ends a vector, as a LAPIC's broadcast does
 *	behind it	00	id (bits 24-27)
 *			01	version 0x20, 23 = highest pin (read-only)
 *			02	arbitration id (read-only, follows the id)
 *			10-3f	redirection entries, low and high half
 *	an entry	0-7 vector, 8-10 delivery, 11 logical, 12 send pending, 13 active low,
 *			14 remote IRR, 15 level, 16 mask, 56-63 destination
 *
 * A pin's level is "the device asks" or not: the polarity bit is kept for the guest to read and
 * changes nothing, because the lines of this board have no voltage. Edges that come while the
 * entry is masked are lost, as on the real part. Remote IRR stops a level-triggered pin until
 * EOI; making the entry edge-triggered clears it (Linux has relied on that since 82093AA days).
 *
 * Thread: whoever holds the chipset lock. deliver is called with it held and must not come back.
 * Specification: Intel 82093AA data sheet; ICH9 data sheet 13.5 (version 0x20, EOI register).
 */
#pragma once

#include "abi/board.h"
#include "base/types.h"
#include "hv/chips/apic_bus.h"
#include "hv/chips/chip.h"

#define IOAPIC_PINS BOARD_IOAPIC_PINS

struct ioapic {
	/* set once */
	unsigned (*deliver)(void *owner, const struct apic_message *message);
	void *owner;

	u8 index;
	u8 id;	    /* 4 bits */
	u32 levels; /* a bit a pin */
	u64 entry[IOAPIC_PINS];

	u64 delivered[IOAPIC_PINS], eois;
};

/* deliver: pass it to apic_bus_send with no sender, return its result. */
void ioapic_init(struct ioapic *ioapic,
		 unsigned (*deliver)(void *owner, const struct apic_message *message),
		 void *owner);
/* Power-on: all entries masked. The levels of the pins stay: they belong to the devices. */
void ioapic_reset(struct ioapic *ioapic);

/* offset from 0xfec00000; registers are 32 bits wide, other sizes read and write nothing. */
u32 ioapic_read(struct ioapic *ioapic, unsigned offset, unsigned size);
void ioapic_write(struct ioapic *ioapic, unsigned offset, unsigned size, u32 value);

/* pin >= IOAPIC_PINS is ignored. */
void ioapic_set_pin(struct ioapic *ioapic, unsigned pin, bool level);

/* The message that this pin sends; false while it is masked. */
bool ioapic_message(const struct ioapic *ioapic, unsigned pin,
		    struct apic_message *ret_message);

/* A LAPIC ended this level-triggered vector. */
void ioapic_eoi(struct ioapic *ioapic, u8 vector);

void ioapic_save(const struct ioapic *ioapic, void *block);
int ioapic_restore(struct ioapic *ioapic, const void *block) MUST_CHECK;
void ioapic_inspect(const struct ioapic *ioapic, struct inspect *out);
