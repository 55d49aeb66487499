/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The south bridge, 82371AB: what of it a guest finds on the PCI bus. Three functions of device 1:
 *
 *	0	ISA bridge: routing of the four PCI interrupts (60-63), kept for who reads it
 *	1	IDE: bus master ports (BAR4), timings, which channels are on
 *	3	power management: where its ports are; they stand where hv has them (600)
 *
 * 1. piix4_init; 2. pci_bus_add of the functions; the bus resets, saves and restores them.
 * Thread: the loop's.
 */
#pragma once

#include "board/pci.h"

struct ide;
struct worker_end;

struct piix4 {
	struct pci_function isa, ide, pm;
	struct ide *drives;
	struct worker_end *end;
	u32 master; /* port of the bus master; 0: nowhere */
};

void piix4_init(struct piix4 *piix, struct ide *drives, struct worker_end *end);
