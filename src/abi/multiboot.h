/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multiboot 1: the header that a kernel carries and the information that it is given.
 * Specification: The Multiboot Specification 0.6.96.
 */
#pragma once

/* Tables, aligned by hand. */
/* clang-format off */

#include "base/types.h"

#define MULTIBOOT_HEADER_MAGIC 0x1badb002u
#define MULTIBOOT_HEADER_SEARCH 8192u /* it lies whole in here, 4-aligned */
#define MULTIBOOT_LOADER_MAGIC 0x2badb002u /* in EAX */

/* Header flags: 0-15 must be understood, 16-31 may be. */
#define MULTIBOOT_PAGE_ALIGN 0x00000001u
#define MULTIBOOT_MEMORY_INFO 0x00000002u
#define MULTIBOOT_VIDEO_MODE 0x00000004u
#define MULTIBOOT_MUST_MASK 0x0000ffffu
#define MULTIBOOT_ADDRESSES 0x00010000u /* the address fields are valid */

struct multiboot_header {
	le32 magic;
	le32 flags;
	le32 checksum; /* the three add up to 0 */
	/* with MULTIBOOT_ADDRESSES */
	le32 header_addr;
	le32 load_addr;
	le32 load_end_addr; /* 0: to the end of the file */
	le32 bss_end_addr;  /* 0: no bss */
	le32 entry_addr;
} PACKED;
_Static_assert(sizeof(struct multiboot_header) == 32, "3.1.1");

#define MULTIBOOT_INFO_MEMORY 0x00000001u
#define MULTIBOOT_INFO_CMDLINE 0x00000004u
#define MULTIBOOT_INFO_MODULES 0x00000008u
#define MULTIBOOT_INFO_MEMORY_MAP 0x00000040u
#define MULTIBOOT_INFO_LOADER_NAME 0x00000200u

struct multiboot_info {
	le32 flags;
	le32 mem_lower, mem_upper; /* KiB from 0 and from 1 MiB */
	le32 boot_device;
	le32 cmdline;
	le32 mods_count, mods_addr;
	le32 syms[4];
	le32 mmap_length, mmap_addr;
	le32 drives_length, drives_addr;
	le32 config_table;
	le32 boot_loader_name;
	le32 apm_table;
	le32 vbe_control_info, vbe_mode_info;
	le16 vbe_mode, vbe_interface_seg, vbe_interface_off, vbe_interface_len;
} PACKED;
_Static_assert(sizeof(struct multiboot_info) == 88, "3.3");
_Static_assert(offsetof(struct multiboot_info, mmap_addr) == 48, "3.3");

struct multiboot_module {
	le32 start, end; /* end: the first byte behind it */
	le32 string;
	le32 reserved;
} PACKED;

struct multiboot_mmap {
	le32 size; /* of what follows: 20 */
	le64 base, length;
	le32 type; /* 1 = RAM */
} PACKED;
_Static_assert(sizeof(struct multiboot_mmap) == 24, "3.3");
