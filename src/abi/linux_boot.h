/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How Linux is started: the setup header inside a bzImage and the "zero page" that the kernel is
 * given. Specification: Linux Documentation/arch/x86/boot.rst and zero-page.rst.
 */
#pragma once

/* Tables, aligned by hand. */
/* clang-format off */

#include "base/types.h"

#define LINUX_SETUP_HEADER_OFFSET 0x1f1
#define LINUX_BOOT_FLAG 0xaa55
#define LINUX_HEADER_MAGIC 0x53726448u /* "HdrS" */
#define LINUX_PROTOCOL_RELOCATABLE 0x205
#define LINUX_PROTOCOL_CMDLINE_SIZE 0x206
#define LINUX_PROTOCOL_INIT_SIZE 0x20a
#define LINUX_PROTOCOL_XLOADFLAGS 0x20c

/* loadflags */
#define LINUX_LOADED_HIGH 0x01
#define LINUX_KEEP_SEGMENTS 0x40
#define LINUX_CAN_USE_HEAP 0x80
/* xloadflags */
#define LINUX_XLF_KERNEL_64 0x0001
#define LINUX_XLF_CAN_BE_LOADED_ABOVE_4G 0x0002

#define LINUX_LOADER_UNKNOWN 0xff
#define LINUX_ENTRY_64 0x200 /* from the start of the protected-mode part */
#define LINUX_OLD_INITRD_MAX 0x37ffffffu
#define LINUX_OLD_CMDLINE_SIZE 255
#define LINUX_OLD_LOAD_ADDRESS 0x100000u

struct linux_setup_header { /* at 0x1f1 of the file, of setup and of the zero page */
	u8 setup_sects; /* 0 means 4 */
	le16 root_flags;
	le32 syssize; /* protected-mode part, in 16 bytes */
	le16 ram_size;
	le16 vid_mode;
	le16 root_dev;
	le16 boot_flag;
	u8 jump[2]; /* the second byte + 0x202 is where the header ends */
	le32 header;
	le16 version;
	le32 realmode_swtch;
	le16 start_sys_seg;
	le16 kernel_version;
	u8 type_of_loader;
	u8 loadflags;
	le16 setup_move_size;
	le32 code32_start;
	le32 ramdisk_image;
	le32 ramdisk_size;
	le32 bootsect_kludge;
	le16 heap_end_ptr;
	u8 ext_loader_ver;
	u8 ext_loader_type;
	le32 cmd_line_ptr;
	le32 initrd_addr_max;
	le32 kernel_alignment;
	u8 relocatable_kernel;
	u8 min_alignment;
	le16 xloadflags;
	le32 cmdline_size;
	le32 hardware_subarch;
	le64 hardware_subarch_data;
	le32 payload_offset;
	le32 payload_length;
	le64 setup_data;
	le64 pref_address;
	le32 init_size;
	le32 handover_offset;
	le32 kernel_info_offset;
} PACKED;
_Static_assert(sizeof(struct linux_setup_header) == 0x26c - 0x1f1, "boot.rst");
_Static_assert(offsetof(struct linux_setup_header, header) == 0x202 - 0x1f1, "boot.rst");
_Static_assert(offsetof(struct linux_setup_header, pref_address) == 0x258 - 0x1f1, "boot.rst");

#define LINUX_E820_RAM 1
#define LINUX_E820_RESERVED 2
#define LINUX_E820_ACPI 3
#define LINUX_E820_MAX 128

struct linux_e820_entry {
	le64 base, size;
	le32 type;
} PACKED;
_Static_assert(sizeof(struct linux_e820_entry) == 20, "zero-page.rst");

struct linux_boot_params { /* the zero page */
	u8 screen_info[0x40];
	u8 apm_bios_info[0x14];
	u8 pad0[4];
	le64 tboot_addr;
	u8 ist_info[0x10];
	le64 acpi_rsdp_addr;
	u8 pad1[0x1e8 - 0x078];
	u8 e820_entries;
	u8 pad2[0x1ef - 0x1e9];
	u8 sentinel; /* 0: whoever filled this knows what it does */
	u8 pad3;
	struct linux_setup_header hdr;
	u8 pad4[0x2d0 - 0x26c];
	struct linux_e820_entry e820_table[LINUX_E820_MAX];
	u8 pad5[0x1000 - 0xcd0];
} PACKED;
_Static_assert(sizeof(struct linux_boot_params) == 4096, "zero-page.rst");
_Static_assert(offsetof(struct linux_boot_params, acpi_rsdp_addr) == 0x70, "zero-page.rst");
_Static_assert(offsetof(struct linux_boot_params, hdr) == 0x1f1, "zero-page.rst");
_Static_assert(offsetof(struct linux_boot_params, e820_table) == 0x2d0, "zero-page.rst");

/* The segments that the 32-bit and the 64-bit entry find. */
#define LINUX_BOOT_CS 0x10
#define LINUX_BOOT_DS 0x18
#define LINUX_BOOT_TSS 0x20
