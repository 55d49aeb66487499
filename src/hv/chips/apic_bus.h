/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wires between the local APICs, the IOAPIC and whoever sends message-signalled
 * interrupts: one message format, and the answer to "who is meant by this destination?".
 *
 * Thread: any. The bus holds nothing that changes but one counter; what it reads of the
 * LAPICs (id, mode, logical destination, task priority) is atomic in them. No lock is needed
 * and none is taken, so a sender may hold its own.
 *
 * Specification: Intel SDM volume 3, 11.6 (inter-processor interrupts, destinations) and 11.11
 * (message-signalled interrupts).
 */
#pragma once

#include <stdatomic.h>

#include "base/types.h"

struct lapic;

/* As encoded in ICR, IOAPIC entries, LVT entries and MSI data. */
enum apic_delivery {
	APIC_FIXED = 0,
	APIC_LOWEST = 1,
	APIC_SMI = 2,
	APIC_RESERVED = 3,
	APIC_NMI = 4,
	APIC_INIT = 5,
	APIC_STARTUP = 6,
	APIC_EXTINT = 7,
};

/* As encoded in ICR bits 18-19. */
enum apic_shorthand {
	APIC_TO_DESTINATION = 0,
	APIC_TO_SELF = 1,
	APIC_TO_ALL = 2,
	APIC_TO_OTHERS = 3,
};

/* A physical destination that means everybody. Senders that have 8 bits give it for 0xff. */
#define APIC_EVERYBODY 0xffffffffu

struct apic_message {
	u32 destination; /* physical: APIC ID or APIC_EVERYBODY; logical: bits */
	u8 vector;
	u8 delivery;  /* enum apic_delivery */
	u8 shorthand; /* enum apic_shorthand; only processors send others than 0 */
	bool logical;
	bool level;  /* trigger mode: level. Else edge */
	bool assert; /* level only: 0 is the INIT de-assert that does nothing since 1995 */
};

struct apic_bus {
	struct lapic *const *lapic; /* [count]; belongs to the caller, outlives the bus */
	unsigned count;
	_Atomic u32
		turn; /* lowest priority: where the search begins, so that equals share */
};

void apic_bus_init(struct apic_bus *bus, struct lapic *const *lapic, unsigned count);

/*
 * Hand the message to everyone it is for. sender is the LAPIC whose ICR was written, or NULL
 * (IOAPIC, MSI). Returns to how many it was given.
 */
unsigned apic_bus_send(struct apic_bus *bus, const struct apic_message *message,
		       const struct lapic *sender);

/*
 * A write of data to address 0xfeexxxxx by a device. False: that address is no interrupt
 * message. Upper address bits are not looked at (no interrupt remapping here).
 */
bool apic_message_of_msi(u64 address, u32 data, struct apic_message *ret_message);
