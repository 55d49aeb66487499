/* SPDX-License-Identifier: Apache-2.0 */
/* The pair of 8259A: hv/chips/i8259.h. */
#include "harness.h"

#include "hv/chips/i8259.h"
#include "wall/wall.h"

struct board {
	struct i8259 pic;
	bool output;
	unsigned changes;
};

static void on_output(void *owner, unsigned line, bool level)
{
	struct board *b = owner;

	EXPECT(b->output != level); /* only changes are told */
	b->output = level;
	b->changes++;
}

static void board_init(struct board *b)
{
	memset(b, 0, sizeof *b);
	i8259_init(&b->pic, &(struct chip_pin){ .set = on_output, .owner = b });
}

static void wr(struct board *b, u16 port, u8 value)
{
	i8259_write(&b->pic, port, value);
}
static u8 rd(struct board *b, u16 port)
{
	return i8259_read(&b->pic, port);
}

/* As Linux's init_8259A does it. */
static void program(struct board *b, u8 icw4)
{
	wr(b, 0x21, 0xff);
	wr(b, 0x20, 0x11);
	wr(b, 0x21, 0x30);
	wr(b, 0x21, 0x04);
	wr(b, 0x21, icw4);
	wr(b, 0xa0, 0x11);
	wr(b, 0xa1, 0x38);
	wr(b, 0xa1, 0x02);
	wr(b, 0xa1, icw4);
	wr(b, 0x21, 0);
	wr(b, 0xa1, 0);
}

TEST(i8259_probe_of_linux_finds_the_mask_register)
{
	struct board b;

	board_init(&b);
	wr(&b, 0xa1, 0xff);
	wr(&b, 0x21, 0xfb);
	ASSERT_EQ(rd(&b, 0x21), 0xfb);
	ASSERT_EQ(rd(&b, 0xa1), 0xff);
}

TEST(i8259_says_nothing_before_it_is_programmed)
{
	struct board b;

	board_init(&b);
	wr(&b, 0x21, 0);
	i8259_set_line(&b.pic, 0, true);
	ASSERT_EQ(b.output, 0);
	wr(&b, 0x20, 0x11);
	wr(&b, 0x21, 0x30);
	ASSERT_EQ(b.output, 0);
	wr(&b, 0x21, 0x04);
	wr(&b, 0x21, 0x01);
	/* ICW1 cleared the edge latch: the line must fall first. */
	ASSERT_EQ(b.output, 0);
	i8259_set_line(&b.pic, 0, false);
	i8259_set_line(&b.pic, 0, true);
	ASSERT_EQ(b.output, 1);
	ASSERT_EQ(i8259_ack(&b.pic), 0x30);
}

TEST(i8259_edge_interrupts_once_and_eoi_lets_the_next_in)
{
	struct board b;

	board_init(&b);
	program(&b, 0x01);
	i8259_set_line(&b.pic, 4, true);
	ASSERT(i8259_pending(&b.pic));
	ASSERT_EQ(i8259_ack(&b.pic), 0x34);
	ASSERT_EQ(b.output, 0);
	i8259_set_line(&b.pic, 4, false);
	i8259_set_line(&b.pic, 4, true);
	ASSERT_EQ(b.output, 0); /* its own in-service bit holds it back */
	i8259_set_line(&b.pic, 1, true);
	ASSERT_EQ(b.output, 1);
	ASSERT_EQ(i8259_ack(&b.pic), 0x31);
	wr(&b, 0x20, 0x0b);
	ASSERT_EQ(rd(&b, 0x20), 0x12);
	wr(&b, 0x20, 0x20); /* ends 1, the highest */
	ASSERT_EQ(rd(&b, 0x20), 0x10);
	ASSERT_EQ(b.output, 0);
	wr(&b, 0x20, 0x64); /* specific EOI of 4 */
	ASSERT_EQ(b.output, 1);
	ASSERT_EQ(i8259_ack(&b.pic), 0x34);
	wr(&b, 0x20, 0x0a);
	ASSERT_EQ(rd(&b, 0x20), 0);
}

TEST(i8259_slave_comes_through_line_2)
{
	struct board b;

	board_init(&b);
	program(&b, 0x01);
	i8259_set_line(&b.pic, 12, true);
	ASSERT_EQ(rd(&b, 0x20), 0x04);
	ASSERT_EQ(rd(&b, 0xa0), 0x10);
	ASSERT_EQ(i8259_ack(&b.pic), 0x3c);
	i8259_set_line(&b.pic, 8,
		       true); /* a higher line of the slave: master holds it back */
	ASSERT_EQ(b.output, 0);
	wr(&b, 0xa0, 0x64);
	ASSERT_EQ(b.output, 0);
	wr(&b, 0x20, 0x62);
	ASSERT_EQ(b.output, 1);
	ASSERT_EQ(i8259_ack(&b.pic), 0x38);
	/* Masked meanwhile: the request goes as it came. */
	wr(&b, 0xa0, 0x60);
	wr(&b, 0x20, 0x62);
	i8259_set_line(&b.pic, 9, true);
	ASSERT_EQ(b.output, 1);
	wr(&b, 0xa1, 0xff);
	ASSERT_EQ(b.output, 0);
	ASSERT_EQ(rd(&b, 0x20), 0);
}

TEST(i8259_special_fully_nested_lets_a_higher_slave_line_interrupt_a_lower)
{
	struct board b;

	board_init(&b);
	program(&b, 0x11);
	i8259_set_line(&b.pic, 12, true);
	ASSERT_EQ(i8259_ack(&b.pic), 0x3c);
	i8259_set_line(&b.pic, 8, true);
	ASSERT_EQ(b.output, 1);
	ASSERT_EQ(i8259_ack(&b.pic), 0x38);
}

TEST(i8259_acknowledge_without_a_request_is_spurious_line_7)
{
	struct board b;

	board_init(&b);
	program(&b, 0x01);
	ASSERT_EQ(i8259_ack(&b.pic), 0x37);
	wr(&b, 0x20, 0x0b);
	ASSERT_EQ(rd(&b, 0x20), 0); /* no service: that is how guests tell */
}

TEST(i8259_level_line_asks_while_it_is_up)
{
	struct board b;

	board_init(&b);
	program(&b, 0x01);
	wr(&b, 0x4d0, 0xff);
	wr(&b, 0x4d1, 0xff);
	ASSERT_EQ(rd(&b, 0x4d0), 0xf8);
	ASSERT_EQ(rd(&b, 0x4d1), 0xde);
	i8259_set_line(&b.pic, 5, true);
	ASSERT_EQ(i8259_ack(&b.pic), 0x35);
	wr(&b, 0x20, 0x20);
	ASSERT_EQ(b.output, 1);
	ASSERT_EQ(i8259_ack(&b.pic), 0x35);
	i8259_set_line(&b.pic, 5, false);
	wr(&b, 0x20, 0x20);
	ASSERT_EQ(b.output, 0);
	/* A level that falls before the acknowledge leaves nothing. */
	i8259_set_line(&b.pic, 5, true);
	i8259_set_line(&b.pic, 5, false);
	ASSERT_EQ(b.output, 0);
}

TEST(i8259_automatic_eoi_serves_nothing)
{
	struct board b;

	board_init(&b);
	program(&b, 0x03);
	i8259_set_line(&b.pic, 3, true);
	ASSERT_EQ(i8259_ack(&b.pic), 0x33);
	wr(&b, 0x20, 0x0b);
	ASSERT_EQ(rd(&b, 0x20), 0);
	wr(&b, 0x20, 0x80); /* rotate at each automatic EOI */
	i8259_set_line(&b.pic, 3, false);
	i8259_set_line(&b.pic, 3, true);
	ASSERT_EQ(i8259_ack(&b.pic), 0x33);
	i8259_set_line(&b.pic, 3, false);
	i8259_set_line(&b.pic, 3, true);
	i8259_set_line(&b.pic, 6, true);
	ASSERT_EQ(i8259_ack(&b.pic), 0x36); /* 3 is lowest now */
	ASSERT_EQ(i8259_ack(&b.pic), 0x33);
}

TEST(i8259_rotation_and_set_priority)
{
	struct board b;

	board_init(&b);
	program(&b, 0x01);
	wr(&b, 0x20, 0xc4); /* 4 is lowest, so 5 is highest */
	i8259_set_line(&b.pic, 0, true);
	i8259_set_line(&b.pic, 5, true);
	ASSERT_EQ(i8259_ack(&b.pic), 0x35);
	wr(&b, 0x20, 0xa0); /* rotate on non-specific EOI: 5 becomes lowest */
	i8259_set_line(&b.pic, 6, true);
	ASSERT_EQ(i8259_ack(&b.pic), 0x36);
	wr(&b, 0x20, 0xe6); /* specific, and rotate */
	ASSERT_EQ(i8259_ack(&b.pic), 0x30);
	wr(&b, 0x20, 0x20);
	ASSERT_EQ(b.output, 0);
}

TEST(i8259_special_mask_lets_lower_lines_in)
{
	struct board b;

	board_init(&b);
	program(&b, 0x01);
	i8259_set_line(&b.pic, 1, true);
	ASSERT_EQ(i8259_ack(&b.pic), 0x31);
	i8259_set_line(&b.pic, 4, true);
	ASSERT_EQ(b.output, 0);
	wr(&b, 0x21, 0x02);
	wr(&b, 0x20, 0x68);
	ASSERT_EQ(b.output, 1);
	ASSERT_EQ(i8259_ack(&b.pic), 0x34);
	wr(&b, 0x20, 0x20); /* ends 4: the masked 1 is not looked at */
	wr(&b, 0x20, 0x0b);
	ASSERT_EQ(rd(&b, 0x20), 0x02);
	wr(&b, 0x20, 0x48);
}

TEST(i8259_poll_acknowledges_by_reading)
{
	struct board b;

	board_init(&b);
	program(&b, 0x01);
	wr(&b, 0x20, 0x0c);
	ASSERT_EQ(rd(&b, 0x20), 0x07);
	i8259_set_line(&b.pic, 6, true);
	wr(&b, 0x20, 0x0c);
	ASSERT_EQ(rd(&b, 0x20), 0x86);
	ASSERT_EQ(b.output, 0);
	wr(&b, 0x20, 0x0b);
	ASSERT_EQ(rd(&b, 0x20), 0x40);
}

TEST(i8259_state_survives_and_hostile_state_is_refused)
{
	u8 block[WALL_CHIP_STATE_SIZE], again[WALL_CHIP_STATE_SIZE];
	struct board b, other;

	board_init(&b);
	board_init(&other);
	program(&b, 0x13);
	wr(&b, 0x4d1, 0x02);
	wr(&b, 0x20, 0xc4);
	i8259_set_line(&b.pic, 9, true);
	i8259_set_line(&b.pic, 4, true);
	i8259_save(&b.pic, block);
	ASSERT_EQ(i8259_restore(&other.pic, block), 0);
	i8259_save(&other.pic, again);
	ASSERT_MEM(again, block, sizeof block);
	ASSERT_EQ(other.output, 1);
	ASSERT_EQ(i8259_ack(&other.pic), 0x39);
	for (unsigned at = 4; at < 25; at++) {
		static const u8 allowed[21] = { 1, 1, 1, 1, 0, 0, 0, 0, 1, 0, 1,
						1, 1, 1, 0, 0, 0, 0, 1, 0, 0 };

		i8259_save(&b.pic, block);
		block[at] = 0xff;
		if (!allowed[at - 4])
			ASSERT_ERR(i8259_restore(&other.pic, block), EINVAL);
	}
}
