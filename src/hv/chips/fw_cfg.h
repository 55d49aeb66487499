/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The firmware configuration device's two ports over a table of read-only items.
 *
 *	510	selector, 16 bits: the item; its reading begins at byte 0
 *	511	data: the item's next byte; 0 behind its end
 *
 * Item 0 is the signature "QEMU", by which guests know the device. Keys that nobody added read
 * as 0 bytes. Writing items does not exist any more on the original either. The DMA interface
 * (0x514) belongs to the worker; item 1 (features) says whether it is there and is added like
 * any other.
 *
 * Thread: whoever holds the chipset lock; adding while the VPs stand.
 * Specification: QEMU docs/specs/fw_cfg.
 */
#pragma once

#include "base/types.h"
#include "hv/chips/chip.h"

#define FW_CFG_ITEMS 96
#define FW_CFG_SIGNATURE 0x00
#define FW_CFG_FEATURES 0x01
#define FW_CFG_MEMORY_SIZE 0x03
#define FW_CFG_CPU_COUNT 0x05
#define FW_CFG_MAX_CPUS 0x0f
#define FW_CFG_KERNEL_ADDRESS 0x07
#define FW_CFG_INITRD_SIZE 0x0b

struct fw_cfg_item {
	u16 key;
	u32 size;
	const u8 *bytes; /* hv's own copy; outlives the device */
};

struct fw_cfg {
	struct fw_cfg_item item[FW_CFG_ITEMS];
	unsigned count;
	u16 selected;
	u32 offset;
	u64 selections, bytes_read;
};

void fw_cfg_init(struct fw_cfg *cfg);
/* Selects item 0; the items stay. */
void fw_cfg_reset(struct fw_cfg *cfg);

/* Adds or replaces. -ENOSPC: the table is full; -EINVAL: key 0 or bit 14 set. */
int fw_cfg_add(struct fw_cfg *cfg, u16 key, const void *bytes, u32 size) MUST_CHECK;

/* port: 0x510, 0x511; size 1, 2 (4: as its low bytes). */
u32 fw_cfg_read(struct fw_cfg *cfg, u16 port, unsigned size);
void fw_cfg_write(struct fw_cfg *cfg, u16 port, unsigned size, u32 value);
/* String input from 0x511: count bytes. */
void fw_cfg_read_bytes(struct fw_cfg *cfg, u8 *ret_bytes, size_t count);

/* Selector and offset only: the items are configuration. */
void fw_cfg_save(const struct fw_cfg *cfg, void *block);
int fw_cfg_restore(struct fw_cfg *cfg, const void *block) MUST_CHECK;
void fw_cfg_inspect(const struct fw_cfg *cfg, struct inspect *out);
