/* SPDX-License-Identifier: Apache-2.0 */
/* The small parts: i8042, debug_port, pc_testdev, fw_cfg, pci_address of hv/chips. */
#include "harness.h"

#include "hv/chips/debug_port.h"
#include "hv/chips/fw_cfg.h"
#include "hv/chips/i8042.h"
#include "hv/chips/pc_testdev.h"
#include "hv/chips/pci_address.h"
#include "wall/wall.h"

static void count_reset(void *owner)
{
	++*(unsigned *)owner;
}

TEST(i8042_resets_by_pulse_output_port_and_port_92)
{
	struct i8042 kbc;
	unsigned resets = 0;

	i8042_init(&kbc, count_reset, &resets);
	ASSERT_EQ(i8042_read(&kbc, 0x64) & 0x03, 0);
	i8042_write(&kbc, 0x64, 0xfe);
	ASSERT_EQ(resets, 1);
	i8042_write(&kbc, 0x64, 0xff); /* pulses nothing */
	ASSERT_EQ(resets, 1);
	/* kvm-unit-tests' init: read the output port, clear bit 0, write it. */
	i8042_write(&kbc, 0x64, 0xd0);
	ASSERT_EQ(i8042_read(&kbc, 0x64) & 0x01, 1);
	ASSERT_EQ(i8042_read(&kbc, 0x60), 0x03);
	ASSERT_EQ(i8042_read(&kbc, 0x64) & 0x01, 0);
	i8042_write(&kbc, 0x64, 0xd1);
	i8042_write(&kbc, 0x60, 0x03);
	ASSERT_EQ(resets, 1);
	i8042_write(&kbc, 0x64, 0xd1);
	i8042_write(&kbc, 0x60, 0x02);
	ASSERT_EQ(resets, 2);
	i8042_write(&kbc, 0x60, 0x02); /* no command: a key for nobody */
	ASSERT_EQ(resets, 2);
	ASSERT_EQ(i8042_read(&kbc, 0x92), 0x02);
	i8042_write(&kbc, 0x92, 0x03);
	ASSERT_EQ(resets, 3);
	i8042_write(&kbc, 0x92, 0x03); /* the rise counts */
	ASSERT_EQ(resets, 3);
	i8042_write(&kbc, 0x92, 0x00);
	ASSERT_EQ(i8042_read(&kbc, 0x92), 0x02); /* A20 stays on */
	i8042_write(&kbc, 0x92, 0x01);
	ASSERT_EQ(resets, 4);
}

TEST(i8042_answers_tests_and_says_that_nothing_is_plugged_in)
{
	struct i8042 kbc;
	unsigned resets = 0;

	i8042_init(&kbc, count_reset, &resets);
	i8042_write(&kbc, 0x64, 0xaa);
	ASSERT_EQ(i8042_read(&kbc, 0x60), 0x55);
	i8042_write(&kbc, 0x64, 0xab);
	ASSERT_EQ(i8042_read(&kbc, 0x60), 0x01);
	i8042_write(&kbc, 0x64, 0x60);
	i8042_write(&kbc, 0x60, 0x47);
	i8042_write(&kbc, 0x64, 0x20);
	ASSERT_EQ(i8042_read(&kbc, 0x60), 0x47);
}

TEST(i8042_state_survives_and_hostile_state_is_refused)
{
	u8 block[WALL_CHIP_STATE_SIZE], again[WALL_CHIP_STATE_SIZE];
	struct i8042 kbc, other;
	unsigned resets = 0;

	i8042_init(&kbc, count_reset, &resets);
	i8042_init(&other, count_reset, &resets);
	i8042_write(&kbc, 0x64, 0xd1);
	i8042_save(&kbc, block);
	ASSERT_EQ(i8042_restore(&other, block), 0);
	i8042_save(&other, again);
	ASSERT_MEM(again, block, sizeof block);
	i8042_write(&other, 0x60, 0x02);
	ASSERT_EQ(resets, 1);
	block[6] = 0xd2;
	ASSERT_ERR(i8042_restore(&other, block), EINVAL);
}

struct text {
	char bytes[1024];
	size_t used;
	unsigned lines, exits;
	u32 code;
};

static void on_text(void *owner, const u8 *bytes, size_t size)
{
	struct text *t = owner;

	t->lines++;
	memcpy(t->bytes + t->used, bytes, size);
	t->used += size;
	t->bytes[t->used++] = '|';
}
static void on_exit_port(void *owner, u32 value)
{
	struct text *t = owner;

	t->exits++;
	t->code = value;
}

TEST(debug_port_gathers_lines_and_ends)
{
	struct text t = { 0 };
	struct debug_port d;

	debug_port_init(&d, on_text, on_exit_port, &t);
	ASSERT_EQ(debug_port_read(&d, 0xe9, 1), 0xe9);
	ASSERT_EQ(debug_port_read(&d, 0xf4, 1), 0xff);
	for (const char *p = "one\n\ntwo"; *p; p++)
		debug_port_write(&d, 0xe9, 1, (u8)*p);
	ASSERT_STR(t.bytes, "one||");
	debug_port_flush(&d);
	ASSERT_STR(t.bytes, "one||two|");
	debug_port_flush(&d);
	ASSERT_EQ(t.lines, 3);
	for (unsigned i = 0; i < 600; i++)
		debug_port_write(&d, 0xe9, 1, 'x');
	ASSERT_EQ(t.lines, 5); /* too long: in pieces */
	debug_port_write(&d, 0xf4, 4, 0x10);
	ASSERT_EQ(t.exits, 1);
	ASSERT_EQ(t.code, 0x10);
	debug_port_write(&d, 0xf4, 1, 0x101);
	ASSERT_EQ(t.code, 1);
	debug_port_init(&d, on_text, NULL, &t);
	debug_port_write(&d, 0xf4, 1, 1);
	ASSERT_EQ(t.exits, 2);
}

struct lines {
	u32 up;
	gpa_t page;
	unsigned remaps;
};
static void on_line(void *owner, unsigned line, bool level)
{
	struct lines *l = owner;

	l->up = level ? l->up | BIT(line) : l->up & ~BIT(line);
}
static void on_remap(void *owner, gpa_t page)
{
	struct lines *l = owner;

	l->page = page;
	l->remaps++;
}

TEST(pc_testdev_latches_lines_and_memory)
{
	static const struct pc_testdev_ops ops = { .on_line = on_line,
						   .on_remap = on_remap };
	AUTO_FREE struct pc_testdev *dev = malloc(sizeof *dev);
	struct lines l = { 0 };

	ASSERT(dev);
	pc_testdev_init(dev, &ops, &l);
	/* kvm-unit-tests realmode: byte, word, double word through 0xe0. */
	pc_testdev_write(dev, 0xe0, 4, 0x12345678);
	pc_testdev_write(dev, 0xe0, 1, 0xff);
	ASSERT_EQ(pc_testdev_read(dev, 0xe0, 1), 0xff);
	ASSERT_EQ(pc_testdev_read(dev, 0xe0, 2), 0x56ff);
	ASSERT_EQ(pc_testdev_read(dev, 0xe0, 4), 0x123456ff);
	ASSERT_EQ(pc_testdev_read(dev, 0xe2, 1), 0x34);
	ASSERT_EQ(pc_testdev_read(dev, 0xe3, 4), 0xffffff12);
	pc_testdev_write(dev, 0xe9, 1, 0xab);
	ASSERT_EQ(pc_testdev_read(dev, 0xe8, 4), 0xab00);
	ASSERT_EQ(pc_testdev_read(dev, 0xeb, 2), 0xff00);
	pc_testdev_write(dev, 0xe4, 4, 0x00123456);
	ASSERT_EQ(l.page, 0x00123000);
	pc_testdev_write(dev, 0x200e, 1, 1);
	pc_testdev_write(dev, 0x2017, 1, 1);
	pc_testdev_write(dev, 0x2018, 1, 1);
	ASSERT_EQ(l.up, BIT(14) | BIT(23));
	pc_testdev_write(dev, 0x200e, 1, 0);
	ASSERT_EQ(l.up, BIT(23));
	pc_testdev_mmio_write(dev, 0xfff8, 8, 0x1122334455667788);
	ASSERT_EQ(pc_testdev_mmio_read(dev, 0xfffc, 4), 0x11223344);
	pc_testdev_mmio_write(dev, 0xfffd, 4, 0);
	ASSERT_EQ(pc_testdev_mmio_read(dev, 0xfffd, 4), UINT64_MAX);
	ASSERT_EQ(pc_testdev_mmio_read(dev, 0xfffffffffffffffc, 8), UINT64_MAX);
	ASSERT_EQ(pc_testdev_mmio_read(dev, 0xfff8, 8), 0x1122334455667788);
	pc_testdev_reset(dev);
	ASSERT_EQ(l.up, 0);
	ASSERT_EQ(pc_testdev_read(dev, 0xe0, 4), 0);
}

static u8 next_byte(struct fw_cfg *cfg)
{
	return (u8)fw_cfg_read(cfg, 0x511, 1);
}

TEST(fw_cfg_reads_items_and_zeroes_behind_them)
{
	static const u8 cpus[2] = { 4, 0 };
	u8 bytes[6];
	struct fw_cfg cfg;

	fw_cfg_init(&cfg);
	ASSERT_EQ(fw_cfg_add(&cfg, FW_CFG_CPU_COUNT, cpus, sizeof cpus), 0);
	fw_cfg_write(&cfg, 0x510, 2, 0);
	ASSERT_EQ(next_byte(&cfg), 'Q');
	ASSERT_EQ(next_byte(&cfg), 'E');
	fw_cfg_read_bytes(&cfg, bytes, sizeof bytes);
	ASSERT_MEM(bytes, "MU\0\0\0\0", 6);
	fw_cfg_write(&cfg, 0x510, 2, 5);
	ASSERT_EQ(next_byte(&cfg), 4);
	ASSERT_EQ(next_byte(&cfg), 0);
	for (unsigned i = 0; i < 1000; i++)
		ASSERT_EQ(next_byte(&cfg), 0);
	fw_cfg_write(&cfg, 0x510, 2, 0x4005); /* asks to write; selects */
	ASSERT_EQ(next_byte(&cfg), 4);
	fw_cfg_write(&cfg, 0x511, 1, 0x99); /* data is read-only */
	fw_cfg_write(&cfg, 0x510, 2, 0x1234);
	ASSERT_EQ(next_byte(&cfg), 0);
	/* Replaced, and a full table. */
	ASSERT_EQ(fw_cfg_add(&cfg, 5, "\x07", 1), 0);
	fw_cfg_write(&cfg, 0x510, 2, 5);
	ASSERT_EQ(next_byte(&cfg), 7);
	ASSERT_ERR(fw_cfg_add(&cfg, 0, "x", 1), EINVAL);
	ASSERT_ERR(fw_cfg_add(&cfg, 0x4001, "x", 1), EINVAL);
	for (u16 key = 0x100; key < 0x100 + FW_CFG_ITEMS - 1; key++)
		ASSERT_EQ(fw_cfg_add(&cfg, key, "x", 1), 0);
	ASSERT_ERR(fw_cfg_add(&cfg, 0x300, "x", 1), ENOSPC);
}

TEST(fw_cfg_restored_offset_never_reads_outside_its_item)
{
	u8 block[WALL_CHIP_STATE_SIZE];
	static const u8 item[4] = { 1, 2, 3, 4 };
	u8 bytes[8];
	struct fw_cfg cfg;

	fw_cfg_init(&cfg);
	ASSERT_EQ(fw_cfg_add(&cfg, 9, item, sizeof item), 0);
	fw_cfg_write(&cfg, 0x510, 2, 9);
	fw_cfg_read_bytes(&cfg, bytes, 3);
	fw_cfg_save(&cfg, block);
	fw_cfg_reset(&cfg);
	ASSERT_EQ(next_byte(&cfg), 'Q');
	ASSERT_EQ(fw_cfg_restore(&cfg, block), 0);
	ASSERT_EQ(next_byte(&cfg), 4);
	memset(block + 6, 0xff, 4);
	ASSERT_EQ(fw_cfg_restore(&cfg, block), 0);
	fw_cfg_read_bytes(&cfg, bytes, sizeof bytes);
	ASSERT_MEM(bytes, "\0\0\0\0\0\0\0\0", 8);
	block[5] = 0x40;
	ASSERT_ERR(fw_cfg_restore(&cfg, block), EINVAL);
}

TEST(pci_address_finds_only_what_is_present)
{
	u8 block[WALL_CHIP_STATE_SIZE];
	const u64 present[4] = { BIT64(0) | BIT64(57), 0, 0, BIT64(63) };
	struct pci_address latch;
	u8 function = 0xaa, reg = 0xaa;

	pci_address_init(&latch);
	/* Linux's probe of mechanism 1. */
	pci_address_write(&latch, 0xcfb, 1, 0x01);
	pci_address_write(&latch, 0xcf8, 4, 0x80000000);
	ASSERT_EQ(pci_address_read(&latch, 0xcf8, 4), 0x80000000);
	ASSERT_EQ(pci_address_read(&latch, 0xcf8, 2), 0xffff);
	ASSERT(!pci_address_target(&latch, 0xcfc, &function, &reg));
	ASSERT_EQ(function, 0xaa);
	pci_address_set_present(&latch, present);
	ASSERT(pci_address_target(&latch, 0xcfe, &function, &reg));
	ASSERT_EQ(function, 0);
	ASSERT_EQ(reg, 2);
	pci_address_write(&latch, 0xcf8, 4, 0xff0039ff); /* device 7 function 1 */
	ASSERT_EQ(pci_address_read(&latch, 0xcf8, 4), 0x800039fc);
	ASSERT(pci_address_target(&latch, 0xcff, &function, &reg));
	ASSERT_EQ(function, 57);
	ASSERT_EQ(reg, 0xff);
	pci_address_write(&latch, 0xcf8, 4, 0x8000ff00);
	ASSERT(pci_address_target(&latch, 0xcfc, &function, &reg));
	pci_address_write(&latch, 0xcf8, 4, 0x80010000); /* bus 1 */
	ASSERT(!pci_address_target(&latch, 0xcfc, &function, &reg));
	pci_address_write(&latch, 0xcf8, 4, 0x00000000); /* not enabled */
	ASSERT(!pci_address_target(&latch, 0xcfc, &function, &reg));
	pci_address_write(&latch, 0xcf8, 4, 0x80003904);
	pci_address_save(&latch, block);
	pci_address_reset(&latch);
	ASSERT_EQ(pci_address_restore(&latch, block), 0);
	ASSERT_EQ(latch.address, 0x80003904);
	block[4] |= 1;
	ASSERT_ERR(pci_address_restore(&latch, block), EINVAL);
}
