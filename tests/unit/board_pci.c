/* SPDX-License-Identifier: Apache-2.0 */
/* board/pci.h: configuration spaces as a kernel probes them. */
#include "board/pci.h"
#include "harness.h"
#include "state/record.h"

#define LATCH(number, at) (0x80000000u | (u32)(number) << 8 | (at))

struct board {
	struct pci_bus bus;
	struct pci_function bridge, video;
	unsigned changes;
	u32 address;
};

static void on_changed(void *owner, const struct pci_function *f, u8 at, unsigned size)
{
	struct board *b = owner;

	b->changes++;
	b->address = pci_bar_address(f, 0);
}

static bool board_init(struct board *b)
{
	*b = (struct board){
		.video = { .name = "video",
			   .number = PCI_FUNCTION(8, 0),
			   .vendor = 0x1414,
			   .device = 0x5353,
			   .class = PCI_CLASS_VGA,
			   .command_mask = 7,
			   .command = PCI_COMMAND_MEMORY,
			   .bar = { { 8 << 20, 0xf8000000, PCI_BAR_PREFETCH } },
			   .changed = on_changed,
			   .owner = b },
	};
	pci_bus_init(&b->bus);
	pci_host_bridge_init(&b->bridge);
	CHECK_EQ(pci_bus_add(&b->bus, &b->bridge), 0);
	CHECK_EQ(pci_bus_add(&b->bus, &b->video), 0);
	CHECK(pci_bus_add(&b->bus, &b->video) < 0);
	return true;
}

TEST(functions_say_who_they_are_in_every_width)
{
	struct board b;

	ASSERT_OK(board_init(&b));
	ASSERT_EQ(pci_bus_read(&b.bus, LATCH(0, 0), 0, 4), 0x71928086);
	ASSERT_EQ(pci_bus_read(&b.bus, LATCH(0x40, 0), 0, 4), 0x53531414);
	ASSERT_EQ(pci_bus_read(&b.bus, LATCH(0x40, 0), 2, 2) & 0xffff, 0x5353);
	ASSERT_EQ(pci_bus_read(&b.bus, LATCH(0x40, 0), 1, 1) & 0xff, 0x14);
	ASSERT_EQ(pci_bus_read(&b.bus, LATCH(0x40, 8), 0, 4), 0x03000000);
	/* Nobody, another bus, a latch that is switched off. */
	ASSERT_EQ(pci_bus_read(&b.bus, LATCH(0x41, 0), 0, 4), UINT32_MAX);
	ASSERT_EQ(pci_bus_read(&b.bus, LATCH(0, 0) | 0x10000, 0, 4), UINT32_MAX);
	ASSERT_EQ(pci_bus_read(&b.bus, 0, 0, 4), UINT32_MAX);
	/* Across the port's end. */
	ASSERT_EQ(pci_bus_read(&b.bus, LATCH(0, 0), 2, 4), 0xffff7192);
}

TEST(bar_tells_its_size_and_moves)
{
	struct board b;

	ASSERT_OK(board_init(&b));
	ASSERT_EQ(pci_bar_address(&b.video, 0), 0xf8000000);
	pci_bus_write(&b.bus, LATCH(0x40, 4), 0, 2, 0);
	ASSERT_EQ(b.address, 0);
	pci_bus_write(&b.bus, LATCH(0x40, 0x10), 0, 4, UINT32_MAX);
	ASSERT_EQ(pci_bus_read(&b.bus, LATCH(0x40, 0x10), 0, 4), 0xff800008);
	pci_bus_write(&b.bus, LATCH(0x40, 0x10), 0, 4, 0xf1234567);
	ASSERT_EQ(b.address, 0);
	pci_bus_write(&b.bus, LATCH(0x40, 4), 0, 2, 0xffff);
	ASSERT_EQ(pci_bus_read(&b.bus, LATCH(0x40, 4), 0, 2) & 0xffff, 7);
	ASSERT_EQ(b.address, 0xf1000000);
	/* The others have none, and nothing of the first lines can be written. */
	pci_bus_write(&b.bus, LATCH(0x40, 0x14), 0, 4, UINT32_MAX);
	ASSERT_EQ(pci_bus_read(&b.bus, LATCH(0x40, 0x14), 0, 4), 0);
	pci_bus_write(&b.bus, LATCH(0x40, 0), 0, 4, 0);
	ASSERT_EQ(pci_bus_read(&b.bus, LATCH(0x40, 0), 0, 4), 0x53531414);
	pci_bus_reset(&b.bus);
	ASSERT_EQ(b.address, 0xf8000000);
}

TEST(state_goes_on_elsewhere_and_takes_only_what_a_guest_could_write)
{
	struct state_writer w = { 0 };
	struct board b, other;

	ASSERT_OK(board_init(&b));
	pci_bus_write(&b.bus, LATCH(0x40, 0x10), 0, 4, 0xf1000000);
	b.video.config[0] = 0x15;
	pci_bus_save(&b.bus, &w);
	ASSERT_OK(board_init(&other));
	ASSERT(pci_bus_restore(&other.bus, w.bytes, w.used) < 0);
	free(w.bytes);
	w = (struct state_writer){ 0 };
	b.video.config[0] = 0x14;
	b.video.config[0x40] = 0xff;
	pci_bus_save(&b.bus, &w);
	ASSERT_EQ(pci_bus_restore(&other.bus, w.bytes, w.used), 0);
	ASSERT_EQ(other.address, 0xf1000000);
	ASSERT_EQ(other.video.config[0x40], 0);
	for (size_t size = 1; size < w.used; size++)
		ASSERT(pci_bus_restore(&other.bus, w.bytes, size) <= 0);
	free(w.bytes);
}
