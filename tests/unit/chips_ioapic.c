/* SPDX-License-Identifier: Apache-2.0 */
/* The IOAPIC: hv/chips/ioapic.h; the sequences of kvm-unit-tests' ioapic test. */
#include "harness.h"

#include "hv/chips/ioapic.h"
#include "wall/wall.h"

struct board {
	struct ioapic io;
	struct apic_message last;
	unsigned delivered;
	unsigned takers; /* what deliver returns */
};

static unsigned on_deliver(void *owner, const struct apic_message *message)
{
	struct board *b = owner;

	b->last = *message;
	b->delivered++;
	return b->takers;
}

static void board_init(struct board *b)
{
	memset(b, 0, sizeof *b);
	b->takers = 1;
	ioapic_init(&b->io, on_deliver, b);
}

static u32 rd(struct board *b, u8 index)
{
	ioapic_write(&b->io, 0, 4, index);
	return ioapic_read(&b->io, 0x10, 4);
}
static void wr(struct board *b, u8 index, u32 value)
{
	ioapic_write(&b->io, 0, 4, index);
	ioapic_write(&b->io, 0x10, 4, value);
}

#define EDGE 0u
#define LEVEL 0x8000u
#define MASK 0x10000u
#define REMOTE_IRR 0x4000u

TEST(ioapic_registers_are_writable_where_the_part_has_them_so)
{
	struct board b;

	board_init(&b);
	ASSERT_EQ(rd(&b, 1), 0x00170020);
	wr(&b, 1, ~0x00170020u);
	ASSERT_EQ(rd(&b, 1), 0x00170020);
	wr(&b, 0, 0xffffffff);
	ASSERT_EQ(rd(&b, 0), 0x0f000000);
	ASSERT_EQ(rd(&b, 2), 0x0f000000);
	wr(&b, 2, 0);
	ASSERT_EQ(rd(&b, 2), 0x0f000000);
	ASSERT_EQ(rd(&b, 0x10), 0x10000);
	ASSERT_EQ(rd(&b, 0x3f), 0);
	ASSERT_EQ(rd(&b, 0x40), 0xffffffff);
	ASSERT_EQ(rd(&b, 0x05), 0xffffffff);
	wr(&b, 0x3e, 0xffffffff);
	ASSERT_EQ(rd(&b, 0x3e), 0x0001afff);
	wr(&b, 0x3f, 0xffffffff);
	ASSERT_EQ(rd(&b, 0x3f), 0xff000000);
	ASSERT_EQ(ioapic_read(&b.io, 0x00, 4), 0x3f);
	ASSERT_EQ(ioapic_read(&b.io, 0x10, 1), 0);
	ASSERT_EQ(ioapic_read(&b.io, 0x20, 4), 0);
}

TEST(ioapic_edge_delivers_once_a_rise)
{
	struct board b;

	board_init(&b);
	wr(&b, 0x10 + 2 * 14, 0x76 | EDGE);
	wr(&b, 0x11 + 2 * 14, 3u << 24);
	ioapic_set_pin(&b.io, 14, true);
	ioapic_set_pin(&b.io, 14, true);
	ASSERT_EQ(b.delivered, 1);
	ASSERT_EQ(b.last.vector, 0x76);
	ASSERT_EQ(b.last.destination, 3);
	ASSERT_EQ(b.last.level, 0);
	ioapic_set_pin(&b.io, 14, false);
	ioapic_set_pin(&b.io, 14, true);
	ASSERT_EQ(b.delivered, 2);
	ASSERT_EQ(rd(&b, 0x10 + 2 * 14), 0x76);
}

TEST(ioapic_edge_while_masked_is_lost)
{
	struct board b;

	board_init(&b);
	wr(&b, 0x10 + 2 * 14, 0x81 | EDGE | MASK);
	ioapic_set_pin(&b.io, 14, true);
	wr(&b, 0x10 + 2 * 14, 0x81 | EDGE);
	ASSERT_EQ(b.delivered, 0);
	ioapic_set_pin(&b.io, 14, false);
	ioapic_set_pin(&b.io, 14, true);
	ASSERT_EQ(b.delivered, 1);
}

TEST(ioapic_level_waits_for_eoi_and_asks_again_while_up)
{
	struct board b;

	board_init(&b);
	wr(&b, 0x10 + 2 * 14, 0x77 | LEVEL);
	ioapic_set_pin(&b.io, 14, true);
	ASSERT_EQ(b.delivered, 1);
	ASSERT(b.last.level);
	ASSERT_EQ(rd(&b, 0x10 + 2 * 14), 0x77 | LEVEL | REMOTE_IRR);
	ioapic_set_pin(&b.io, 14, false);
	ioapic_set_pin(&b.io, 14, true); /* coalesced */
	ASSERT_EQ(b.delivered, 1);
	ioapic_eoi(&b.io, 0x78); /* another vector */
	ASSERT_EQ(b.delivered, 1);
	ioapic_eoi(&b.io, 0x77);
	ASSERT_EQ(b.delivered, 2);
	ioapic_set_pin(&b.io, 14, false);
	ioapic_eoi(&b.io, 0x77);
	ASSERT_EQ(b.delivered, 2);
	ASSERT_EQ(rd(&b, 0x10 + 2 * 14), 0x77 | LEVEL);
}

TEST(ioapic_level_masked_asks_when_unmasked)
{
	struct board b;

	board_init(&b);
	wr(&b, 0x10 + 2 * 14, 0x82 | LEVEL | MASK);
	ioapic_set_pin(&b.io, 14, true);
	ASSERT_EQ(b.delivered, 0);
	wr(&b, 0x10 + 2 * 14, 0x82 | LEVEL);
	ASSERT_EQ(b.delivered, 1);
	/* Masked in its own handler, then EOI: quiet until unmasked. */
	wr(&b, 0x10 + 2 * 14, 0x82 | LEVEL | MASK);
	ioapic_eoi(&b.io, 0x82);
	ASSERT_EQ(b.delivered, 1);
	wr(&b, 0x10 + 2 * 14, 0x82 | LEVEL);
	ASSERT_EQ(b.delivered, 2);
}

TEST(ioapic_eoi_register_and_edge_trick_end_a_level_interrupt)
{
	struct board b;

	board_init(&b);
	wr(&b, 0x10, 0x50 | LEVEL);
	ioapic_set_pin(&b.io, 0, true);
	ioapic_set_pin(&b.io, 0, false);
	ioapic_write(&b.io, 0x40, 4, 0x50);
	ASSERT_EQ(rd(&b, 0x10), 0x50 | LEVEL);
	ioapic_set_pin(&b.io, 0, true);
	ASSERT_EQ(rd(&b, 0x10), 0x50 | LEVEL | REMOTE_IRR);
	/* Linux on old parts: mask and edge, then back. */
	wr(&b, 0x10, 0x50 | MASK);
	ASSERT_EQ(rd(&b, 0x10), 0x50 | MASK);
	wr(&b, 0x10, 0x50 | LEVEL);
	ASSERT_EQ(b.delivered, 3);
	/* The guest cannot set remote IRR or send pending. */
	ioapic_set_pin(&b.io, 0, false);
	ioapic_eoi(&b.io, 0x50);
	wr(&b, 0x10, 0x50 | LEVEL | REMOTE_IRR | 0x1000);
	ASSERT_EQ(rd(&b, 0x10), 0x50 | LEVEL);
}

TEST(ioapic_destination_changed_while_in_service_still_ends)
{
	struct board b;

	board_init(&b);
	wr(&b, 0x10 + 2 * 13, 0x64 | LEVEL);
	ioapic_set_pin(&b.io, 13, true);
	ioapic_set_pin(&b.io, 13, false);
	wr(&b, 0x11 + 2 * 13, 1u << 24);
	ASSERT_EQ(rd(&b, 0x10 + 2 * 13), 0x64 | LEVEL | REMOTE_IRR);
	ioapic_eoi(&b.io, 0x64);
	ASSERT_EQ(rd(&b, 0x10 + 2 * 13), 0x64 | LEVEL);
}

TEST(ioapic_message_that_nobody_took_does_not_block_the_pin)
{
	struct board b;

	board_init(&b);
	b.takers = 0;
	wr(&b, 0x10, 0x50 | LEVEL);
	ioapic_set_pin(&b.io, 0, true);
	ASSERT_EQ(b.delivered, 1);
	ASSERT_EQ(rd(&b, 0x10), 0x50 | LEVEL);
}

TEST(ioapic_destinations_broadcast_and_logical)
{
	struct board b;

	board_init(&b);
	wr(&b, 0x11, 0xffu << 24);
	wr(&b, 0x10, 0x50);
	ioapic_set_pin(&b.io, 0, true);
	ASSERT_EQ(b.last.destination, APIC_EVERYBODY);
	ioapic_set_pin(&b.io, 0, false);
	wr(&b, 0x10, 0x0950); /* logical, lowest priority */
	ioapic_set_pin(&b.io, 0, true);
	ASSERT_EQ(b.last.destination, 0xff);
	ASSERT_EQ(b.last.delivery, APIC_LOWEST);
	ASSERT(b.last.logical);
	ioapic_set_pin(&b.io, 24, true); /* there is no such pin */
	ASSERT_EQ(b.delivered, 2);
}

TEST(ioapic_state_survives_and_hostile_state_is_refused)
{
	u8 block[WALL_CHIP_STATE_SIZE], again[WALL_CHIP_STATE_SIZE];
	struct board b, other;

	board_init(&b);
	board_init(&other);
	wr(&b, 0, 0x05000000);
	wr(&b, 0x10 + 2 * 9, 0x77 | LEVEL);
	ioapic_set_pin(&b.io, 9, true);
	ioapic_save(&b.io, block);
	ASSERT_EQ(ioapic_restore(&other.io, block), 0);
	ioapic_save(&other.io, again);
	ASSERT_MEM(again, block, sizeof block);
	ioapic_eoi(&other.io, 0x77); /* still up: again */
	ASSERT_EQ(other.delivered, 1);

	block[5] = 0x10; /* id of five bits */
	ASSERT_ERR(ioapic_restore(&other.io, block), EINVAL);
	ioapic_save(&b.io, block);
	block[11] = 1; /* a 25th pin */
	ASSERT_ERR(ioapic_restore(&other.io, block), EINVAL);
	ioapic_save(&b.io, block);
	block[12 + 9 * 8 + 1] &= 0x7f; /* remote IRR of an edge */
	ASSERT_ERR(ioapic_restore(&other.io, block), EINVAL);
	ioapic_save(&b.io, block);
	block[12 + 3] = 1; /* reserved bit of an entry */
	ASSERT_ERR(ioapic_restore(&other.io, block), EINVAL);
	ioapic_reset(&b.io);
	ASSERT_EQ(rd(&b, 0x10 + 2 * 9), MASK);
}
