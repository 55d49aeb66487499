/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMBIOS structures that the machine with a BIOS has. Specification: DMTF DSP0134 2.7; all numbers
 * little-endian. Strings lie behind a structure, counted from 1, two zeros at the end.
 */
#pragma once

/* Tables aligned by hand. */
/* clang-format off */

#include "base/types.h"

struct smbios_anchor { /* 5.2.1 */
	char anchor[4]; /* "_SM_" */
	u8 checksum, length;
	u8 major, minor;
	le16 largest; /* structure, bytes */
	u8 revision, formatted[5];
	char middle[5]; /* "_DMI_" */
	u8 middle_checksum;
	le16 table_size;
	le32 table;
	le16 count;
	u8 bcd;
} PACKED;
_Static_assert(sizeof(struct smbios_anchor) == 31, "5.2.1");

struct smbios_head { u8 type, length; le16 handle; } PACKED;

struct smbios_system { /* type 1 */
	struct smbios_head head;
	u8 vendor, product, version, serial;
	u8 uuid[16];
	u8 wake_up; /* 6: power switch */
	u8 sku, family;
} PACKED;
_Static_assert(sizeof(struct smbios_system) == 27, "7.2");

struct smbios_board { /* type 2 */
	struct smbios_head head;
	u8 vendor, product, version, serial, asset, features, location;
	le16 chassis;
	u8 type; /* 10: motherboard */
	u8 contained;
} PACKED;
_Static_assert(sizeof(struct smbios_board) == 15, "7.3");

struct smbios_chassis { /* type 3 */
	struct smbios_head head;
	u8 vendor, type /* 3: desktop */, version, serial, asset;
	u8 boot, power, thermal, security; /* 3: safe, 3: none */
} PACKED;
_Static_assert(sizeof(struct smbios_chassis) == 13, "7.4");
