/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI tables that the loader writes. Specification: ACPI 6.4, chapter 5 (section numbers at each
 * structure); AML opcodes of chapter 20.
 */
#pragma once

/* Tables, aligned by hand. */
/* clang-format off */

#include "base/types.h"

struct acpi_rsdp { /* 5.2.5.3 */
	char signature[8]; /* "RSD PTR " */
	u8 checksum;	   /* of the first 20 bytes */
	char oem_id[6];
	u8 revision; /* 2 */
	le32 rsdt;
	le32 length;
	le64 xsdt;
	u8 extended_checksum; /* of all */
	u8 reserved[3];
} PACKED;
_Static_assert(sizeof(struct acpi_rsdp) == 36, "5.2.5.3");
#define ACPI_RSDP_FIRST_SIZE 20

struct acpi_header { /* 5.2.6 */
	char signature[4];
	le32 length;
	u8 revision;
	u8 checksum;
	char oem_id[6];
	char oem_table_id[8];
	le32 oem_revision;
	char creator_id[4];
	le32 creator_revision;
} PACKED;
_Static_assert(sizeof(struct acpi_header) == 36, "5.2.6");

#define ACPI_SPACE_MEMORY 0
#define ACPI_SPACE_IO 1

struct acpi_address { /* 5.2.3.2 */
	u8 space, bit_width, bit_offset, access_size; /* access: 1 byte, 2 word, 3 dword */
	le64 address;
} PACKED;
_Static_assert(sizeof(struct acpi_address) == 12, "5.2.3.2");

#define ACPI_FADT_REVISION 6
#define ACPI_FADT_MINOR 0
/* flags */
#define ACPI_FADT_WBINVD 0x00000001u
#define ACPI_FADT_PROC_C1 0x00000004u
#define ACPI_FADT_SLP_BUTTON 0x00000020u /* 1: there is no fixed sleep button */
#define ACPI_FADT_RTC_S4 0x00000080u
#define ACPI_FADT_TMR_VAL_EXT 0x00000100u
#define ACPI_FADT_RESET_REG_SUP 0x00000400u
#define ACPI_FADT_APIC_PHYSICAL 0x00080000u
/* boot architecture flags */
#define ACPI_BOOT_LEGACY_DEVICES 0x0001
#define ACPI_BOOT_8042 0x0002
#define ACPI_BOOT_NO_VGA 0x0004

struct acpi_fadt { /* 5.2.9 */
	struct acpi_header header;
	le32 firmware_ctrl, dsdt;
	u8 reserved0, preferred_pm_profile;
	le16 sci_int;
	le32 smi_cmd;
	u8 acpi_enable, acpi_disable, s4bios_req, pstate_cnt;
	le32 pm1a_evt_blk, pm1b_evt_blk, pm1a_cnt_blk, pm1b_cnt_blk;
	le32 pm2_cnt_blk, pm_tmr_blk, gpe0_blk, gpe1_blk;
	u8 pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len;
	u8 gpe0_blk_len, gpe1_blk_len, gpe1_base, cst_cnt;
	le16 p_lvl2_lat, p_lvl3_lat, flush_size, flush_stride;
	u8 duty_offset, duty_width, day_alrm, mon_alrm, century;
	le16 iapc_boot_arch;
	u8 reserved1;
	le32 flags;
	struct acpi_address reset_reg;
	u8 reset_value;
	le16 arm_boot_arch;
	u8 fadt_minor_version;
	le64 x_firmware_ctrl, x_dsdt;
	struct acpi_address x_pm1a_evt_blk, x_pm1b_evt_blk, x_pm1a_cnt_blk, x_pm1b_cnt_blk;
	struct acpi_address x_pm2_cnt_blk, x_pm_tmr_blk, x_gpe0_blk, x_gpe1_blk;
	struct acpi_address sleep_control_reg, sleep_status_reg;
	u8 hypervisor_vendor[8];
} PACKED;
_Static_assert(sizeof(struct acpi_fadt) == 276, "5.2.9");
_Static_assert(offsetof(struct acpi_fadt, flags) == 112, "5.2.9");
_Static_assert(offsetof(struct acpi_fadt, x_dsdt) == 140, "5.2.9");

struct acpi_facs { /* 5.2.10; 64-aligned, no checksum */
	char signature[4];
	le32 length, hardware_signature, waking_vector, global_lock, flags;
	le64 x_waking_vector;
	u8 version; /* 2 */
	u8 reserved0[3];
	le32 ospm_flags;
	u8 reserved1[24];
} PACKED;
_Static_assert(sizeof(struct acpi_facs) == 64, "5.2.10");

#define ACPI_MADT_REVISION 5
#define ACPI_MADT_PCAT_COMPAT 1u
#define ACPI_MADT_ENABLED 1u

struct acpi_madt { /* 5.2.12 */
	struct acpi_header header;
	le32 lapic_address, flags;
} PACKED;

enum { ACPI_MADT_LAPIC = 0, ACPI_MADT_IOAPIC = 1, ACPI_MADT_OVERRIDE = 2, ACPI_MADT_LAPIC_NMI = 4,
       ACPI_MADT_X2APIC = 9, ACPI_MADT_X2APIC_NMI = 10 };

struct acpi_madt_lapic { /* 5.2.12.2 */
	u8 type, length, uid, apic_id;
	le32 flags;
} PACKED;
struct acpi_madt_ioapic { /* 5.2.12.3 */
	u8 type, length, id, reserved;
	le32 address, gsi_base;
} PACKED;
#define ACPI_ACTIVE_HIGH_EDGE 0x0005
#define ACPI_ACTIVE_HIGH_LEVEL 0x000d
struct acpi_madt_override { /* 5.2.12.5 */
	u8 type, length, bus, source;
	le32 gsi;
	le16 flags;
} PACKED;
struct acpi_madt_lapic_nmi { /* 5.2.12.7 */
	u8 type, length, uid;
	le16 flags;
	u8 lint;
} PACKED;
struct acpi_madt_x2apic { /* 5.2.12.12 */
	u8 type, length;
	le16 reserved;
	le32 apic_id, flags, uid;
} PACKED;
struct acpi_madt_x2apic_nmi { /* 5.2.12.13 */
	u8 type, length;
	le16 flags;
	le32 uid;
	u8 lint, reserved[3];
} PACKED;
_Static_assert(sizeof(struct acpi_madt_lapic) == 8 && sizeof(struct acpi_madt_ioapic) == 12 &&
	       sizeof(struct acpi_madt_override) == 10 && sizeof(struct acpi_madt_lapic_nmi) == 6 &&
	       sizeof(struct acpi_madt_x2apic) == 16 && sizeof(struct acpi_madt_x2apic_nmi) == 12,
	       "5.2.12");

/* AML (20.3) */
enum {
	AML_ZERO = 0x00,
	AML_ONE = 0x01,
	AML_NAME = 0x08,
	AML_BYTE = 0x0a,
	AML_WORD = 0x0b,
	AML_DWORD = 0x0c,
	AML_STRING = 0x0d,
	AML_QWORD = 0x0e,
	AML_SCOPE = 0x10,
	AML_BUFFER = 0x11,
	AML_PACKAGE = 0x12,
	AML_DUAL_NAME = 0x2e,
	AML_MULTI_NAME = 0x2f,
	AML_EXTENDED = 0x5b,
	AML_EXT_DEVICE = 0x82,
	AML_ROOT = 0x5c,
	AML_PARENT = 0x5e,
};
/* Resource descriptors (6.4) */
#define ACPI_RESOURCE_IRQ 0x22	    /* 2-byte mask follows: edge, active high, exclusive */
#define ACPI_RESOURCE_IO 0x47	    /* information, min, max, alignment, length */
#define ACPI_RESOURCE_IO_DECODE_16 1
#define ACPI_RESOURCE_END 0x79
#define ACPI_RESOURCE_WORD 0x88	 /* address space descriptors: numbers of 16 bits ... */
#define ACPI_RESOURCE_DWORD 0x87 /* ... and of 32 */
#define ACPI_WINDOW_FIXED 0x0c	 /* of both: begin and end are what they are; passed on downwards */
enum acpi_window { ACPI_WINDOW_MEMORY, ACPI_WINDOW_IO, ACPI_WINDOW_BUS };
