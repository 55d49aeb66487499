/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the firmware configuration device (ports 0x510, 0x511, in hv) shows: the items' bytes go into
 * the ROM region, hv is told key by key where they are. Numbers as QEMU has them, since
 * firmware and test kernels know those: docs/specs/fw_cfg, include/standard-headers.
 *
 *	1. fw_cfg_add_machine, fw_cfg_add_kernel, fw_cfg_add_file in any order
 *	2. fw_cfg_end	the list of the files
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

struct boot_image;
struct worker_end;

#define FW_CFG_FILES 32
#define FW_CFG_NAME_SIZE 56

struct fw_cfg_file {
	u32 size;
	char name[FW_CFG_NAME_SIZE];
};

/* The end of what is used in the ROM region grows item by item. */
struct fw_cfg_builder {
	u8 *rom; /* the ROM region, mapped */
	u64 rom_size, used;
	struct worker_end *end;
	struct fw_cfg_file file[FW_CFG_FILES];
	unsigned file_count;
};

/* Features, memory size, processors. */
int fw_cfg_add_machine(struct fw_cfg_builder *b, u64 ram_size, u32 vp_count,
		       struct err *err) MUST_CHECK;
/* The kernel's size and bytes, where they fit. */
int fw_cfg_add_kernel(struct fw_cfg_builder *b, const struct boot_image *kernel,
		      struct err *err) MUST_CHECK;
/* A file that firmware finds by its name. The bytes are copied. */
int fw_cfg_add_file(struct fw_cfg_builder *b, const char *name, const void *bytes,
		    u32 size, struct err *err) MUST_CHECK;
int fw_cfg_end(struct fw_cfg_builder *b, struct err *err) MUST_CHECK;
