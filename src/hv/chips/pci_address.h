/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration address latch at 0xcf8 and the map of which functions of bus 0 exist. A
 * guest that looks for devices asks for thousands that are not there; those it is told here,
 * without crossing the wall. The data port 0xcfc of a present function is the worker's.
 *
 *	cf8	32-bit accesses only: 31 enable, 16-23 bus, 11-15 device, 8-10 function, 2-7 register
 *
 * Thread: whoever holds the chipset lock; the map changes while the VPs stand.
 * Specification: PCI Local Bus 3.0, 3.2.2.3.2 (configuration mechanism 1).
 */
#pragma once

#include "base/types.h"
#include "hv/chips/chip.h"

struct pci_address {
	u32 address;
	u64 present[4]; /* bit device * 8 + function, of bus 0 */
	u64 absent_reads;
};

void pci_address_init(struct pci_address *latch);
/* The address; the map stays. */
void pci_address_reset(struct pci_address *latch);
void pci_address_set_present(struct pci_address *latch, const u64 present[4]);

/* port: 0xcf8-0xcfb; anything but 4 bytes at 0xcf8 reads all ones and writes nothing. */
u32 pci_address_read(struct pci_address *latch, u16 port, unsigned size);
void pci_address_write(struct pci_address *latch, u16 port, unsigned size, u32 value);

/*
 * Where an access to 0xcfc-0xcff goes: true, with bus 0's device * 8 + function and the register
 * (0-255, from the address and the port's low two bits), when that function exists. False: reads
 * are all ones, writes go nowhere.
 */
bool pci_address_target(struct pci_address *latch, u16 port, u8 *ret_function,
			u8 *ret_register);

void pci_address_save(const struct pci_address *latch, void *block);
int pci_address_restore(struct pci_address *latch, const void *block) MUST_CHECK;
void pci_address_inspect(const struct pci_address *latch, struct inspect *out);
