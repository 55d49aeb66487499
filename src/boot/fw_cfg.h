/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the firmware configuration device (ports 0x510, 0x511, in hv) shows: the items' bytes go into
 * the ROM region, hv is told key by key where they are. Numbers as QEMU has them, since
 * firmware and test kernels know those: docs/specs/fw_cfg, include/standard-headers.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

struct boot_image;
struct worker_end;

/* The end of what is used in the ROM region grows item by item. */
struct fw_cfg_builder {
	u8 *rom; /* the ROM region, mapped */
	u64 rom_size, used;
	struct worker_end *end;
};

/* Features, memory size, processors, and the kernel's size and bytes where they fit. */
int fw_cfg_add_machine(struct fw_cfg_builder *b, u64 ram_size, u32 vp_count,
		       const struct boot_image *kernel, struct err *err) MUST_CHECK;
