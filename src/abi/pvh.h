/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PVH: a 32-bit entry point named by an ELF note, and the start information it gets in EBX.
 * Specification: Xen docs/misc/pvh, xen/include/public/arch-x86/hvm/start_info.h and elfnote.h.
 */
#pragma once

/* Tables, aligned by hand. */
/* clang-format off */

#include "base/types.h"

#define PVH_NOTE_NAME "Xen"
#define PVH_NOTE_PHYS32_ENTRY 18

#define PVH_START_MAGIC 0x336ec578u
#define PVH_START_VERSION 1

struct pvh_start_info {
	le32 magic;
	le32 version;
	le32 flags;
	le32 module_count;
	le64 modules;
	le64 cmdline;
	le64 rsdp;
	le64 memory_map;
	le32 memory_map_entries;
	le32 reserved;
} PACKED;
_Static_assert(sizeof(struct pvh_start_info) == 56, "start_info.h");

struct pvh_module {
	le64 address, size, cmdline, reserved;
} PACKED;

struct pvh_memory_map_entry {
	le64 base, size;
	le32 type; /* as e820 */
	le32 reserved;
} PACKED;
_Static_assert(sizeof(struct pvh_memory_map_entry) == 24, "start_info.h");
