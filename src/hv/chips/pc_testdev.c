/* SPDX-License-Identifier: Apache-2.0 */
/* Devices for bare test kernels: pc_testdev.h. Under the chipset lock. */
#include "hv/chips/pc_testdev.h"

#include "base/checked.h"

static u32 ones(unsigned size)
{
	return size >= 4 ? UINT32_MAX : (1u << size * 8) - 1;
}

void pc_testdev_init(struct pc_testdev *dev, const struct pc_testdev_ops *ops,
		     void *owner)
{
	memset(dev, 0, sizeof *dev);
	dev->ops = ops;
	dev->owner = owner;
}

void pc_testdev_reset(struct pc_testdev *dev)
{
	dev->latch = 0;
	memset(dev->bytes, 0, sizeof dev->bytes);
	memset(dev->memory, 0, sizeof dev->memory);
	for (unsigned line = 0; line < PC_TESTDEV_LINES; line++)
		dev->ops->on_line(dev->owner, line, false);
}

/* An access of `size` bytes at byte `at` of the latch; what hangs over reads ones. */
static u32 read_latch(const struct pc_testdev *dev, unsigned at, unsigned size)
{
	u64 wide = dev->latch | 0xffffffffull << 32;

	return (u32)(wide >> at * 8) & ones(size);
}

static void write_latch(struct pc_testdev *dev, unsigned at, unsigned size, u32 value)
{
	u32 mask = ones(size) << at * 8;

	dev->latch = (dev->latch & ~mask) | (value << at * 8 & mask);
}

u32 pc_testdev_read(struct pc_testdev *dev, u16 port, unsigned size)
{
	u32 value = 0;

	switch (port) {
	case BOARD_PORT_TEST_LATCH ... BOARD_PORT_TEST_LATCH + 3:
		return read_latch(dev, port & 3, size);
	case BOARD_PORT_TEST_BYTES ... BOARD_PORT_TEST_BYTES + 3:
		for (unsigned i = size; i-- > 0;)
			value = value << 8 |
				((port & 3) + i < 4 ? dev->bytes[(port & 3) + i] : 0xffu);
		return value;
	}
	return ones(size);
}

void pc_testdev_write(struct pc_testdev *dev, u16 port, unsigned size, u32 value)
{
	switch (port) {
	case BOARD_PORT_TEST_LATCH ... BOARD_PORT_TEST_LATCH + 3:
		write_latch(dev, port & 3, size, value);
		break;
	case BOARD_PORT_TEST_FLUSH:
		dev->ops->on_remap(dev->owner, value & ~0xfffu);
		break;
	case BOARD_PORT_TEST_BYTES ... BOARD_PORT_TEST_BYTES + 3:
		for (unsigned i = 0; i < size && (port & 3) + i < 4; i++)
			dev->bytes[(port & 3) + i] = (u8)(value >> i * 8);
		break;
	case BOARD_PORT_TEST_LINES ... BOARD_PORT_TEST_LINES + PC_TESTDEV_LINES - 1:
		dev->ops->on_line(dev->owner, port - BOARD_PORT_TEST_LINES,
				  value & ones(size));
		break;
	}
}

u64 pc_testdev_mmio_read(struct pc_testdev *dev, u64 offset, unsigned size)
{
	u64 value = UINT64_MAX;

	if (size <= sizeof value && range_inside(offset, size, sizeof dev->memory)) {
		value = 0;
		memcpy(&value, dev->memory + offset, size);
	}
	return value;
}

void pc_testdev_mmio_write(struct pc_testdev *dev, u64 offset, unsigned size, u64 value)
{
	if (size <= sizeof value && range_inside(offset, size, sizeof dev->memory))
		memcpy(dev->memory + offset, &value, size);
}

void pc_testdev_inspect(const struct pc_testdev *dev, struct inspect *out)
{
	inspect_line(out, "latch", "0x%08x", dev->latch);
	inspect_line(out, "bytes", "%02x %02x %02x %02x", dev->bytes[0], dev->bytes[1],
		     dev->bytes[2], dev->bytes[3]);
}
