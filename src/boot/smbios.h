/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's SMBIOS: who made it. Guests know a Generation 1 machine by "Microsoft Corporation",
 * "Virtual Machine"; with these words Linux' ata_piix leaves IDE disks to the VMBus. The firmware
 * adds what it says of itself.
 */
#pragma once

#include "abi/smbios.h"

#define SMBIOS_TABLE_SIZE 1024

/* Structures into table; the anchor without address and checksums, which the firmware fills in. */
u32 smbios_build(u8 table[SMBIOS_TABLE_SIZE], struct smbios_anchor *ret_anchor);
