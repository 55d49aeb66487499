/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices that exist for bare test kernels only (--test-devices).
 *
 *	e0-e3		latch: a 32-bit register that reads back; narrow accesses touch their bytes
 *	e4		write: the guest page at that address is unmapped and mapped again
 *	e8-eb		four bytes, each for itself
 *	2000-2017	write: interrupt line n becomes value != 0
 *	ff000000	64 KiB of memory that is not RAM (each access is an MMIO)
 *
 * They keep no state worth saving: a VM with test devices is not saved.
 *
 * Thread: whoever holds the chipset lock; the callbacks are called with it held (remap: sets a
 * flag and has it done by whoever may change the memory map, before the VP goes on).
 */
#pragma once

#include "abi/board.h"
#include "base/types.h"
#include "hv/chips/chip.h"

#define PC_TESTDEV_LINES 24
#define PC_TESTDEV_MEMORY 65536u

struct pc_testdev_ops {
	void (*on_line)(void *owner, unsigned line, bool level);
	void (*on_remap)(void *owner, gpa_t page);
};

struct pc_testdev {
	const struct pc_testdev_ops *ops;
	void *owner;
	u32 latch;
	u8 bytes[4];
	u8 memory[PC_TESTDEV_MEMORY];
};

void pc_testdev_init(struct pc_testdev *dev, const struct pc_testdev_ops *ops,
		     void *owner);
void pc_testdev_reset(struct pc_testdev *dev);

/* port: those above; size 1, 2, 4. Other ports read all ones. */
u32 pc_testdev_read(struct pc_testdev *dev, u16 port, unsigned size);
void pc_testdev_write(struct pc_testdev *dev, u16 port, unsigned size, u32 value);

/* offset from 0xff000000; size 1, 2, 4, 8. Beyond the end: all ones, dropped. */
u64 pc_testdev_mmio_read(struct pc_testdev *dev, u64 offset, unsigned size);
void pc_testdev_mmio_write(struct pc_testdev *dev, u64 offset, unsigned size, u64 value);
void pc_testdev_inspect(const struct pc_testdev *dev, struct inspect *out);
