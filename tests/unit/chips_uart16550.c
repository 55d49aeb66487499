/* SPDX-License-Identifier: Apache-2.0 */
/* The 16550A: hv/chips/uart16550.h. */
#include "harness.h"

#include "hv/chips/uart16550.h"
#include "wall/wall.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };
#define FCR IIR

struct board {
	struct uart16550 uart;
	bool output;
	unsigned rises, rooms;
	u8 lines;
	char sent[256];
	size_t used, takes; /* the backend takes so many bytes more */
};

static void on_output(void *owner, unsigned line, bool level)
{
	struct board *b = owner;

	EXPECT(b->output != level);
	b->output = level;
	b->rises += level;
}

static size_t on_write(void *owner, const u8 *bytes, size_t size)
{
	struct board *b = owner;
	size_t n = size < b->takes ? size : b->takes;

	if (n > sizeof b->sent - 1 - b->used)
		n = sizeof b->sent - 1 - b->used;
	memcpy(b->sent + b->used, bytes, n);
	b->used += n;
	b->takes -= n;
	return n;
}

static void on_room(void *owner)
{
	((struct board *)owner)->rooms++;
}
static void on_lines(void *owner, u8 lines)
{
	((struct board *)owner)->lines = lines;
}

static void board_init(struct board *b)
{
	memset(b, 0, sizeof *b);
	b->takes = 1000;
	uart16550_init(&b->uart,
		       &(struct uart16550_backend){
			       .write = on_write,
			       .on_room = on_room,
			       .on_lines = on_lines,
			       .owner = b,
		       },
		       &(struct chip_pin){ .set = on_output, .owner = b });
}

static u8 rd(struct board *b, unsigned offset)
{
	return uart16550_read(&b->uart, offset);
}
static void wr(struct board *b, unsigned offset, u8 value)
{
	uart16550_write(&b->uart, offset, value);
}
static void receive(struct board *b, const char *text)
{
	EXPECT_EQ(uart16550_receive(&b->uart, (const u8 *)text, strlen(text)),
		  strlen(text));
}

TEST(uart16550_after_reset)
{
	struct board b;

	board_init(&b);
	ASSERT_EQ(rd(&b, IIR), 0x01);
	ASSERT_EQ(rd(&b, LSR), 0x60);
	ASSERT_EQ(rd(&b, MSR), 0xb0);
	ASSERT_EQ(rd(&b, IER), 0);
	ASSERT_EQ(rd(&b, LCR), 0);
	ASSERT_EQ(rd(&b, DATA), 0);
}

/* Linux autoconfig: IER bits, FIFO detection, scratch, loopback test of MSR. */
TEST(uart16550_is_found_as_16550a_by_linux)
{
	struct board b;

	board_init(&b);
	wr(&b, IER, 0);
	ASSERT_EQ(rd(&b, IER), 0);
	wr(&b, IER, 0x0f);
	ASSERT_EQ(rd(&b, IER), 0x0f);
	wr(&b, IER, 0);
	wr(&b, MCR, 0x1a);
	ASSERT_EQ(rd(&b, MSR) & 0xf0, 0x90);
	wr(&b, MCR, 0);
	wr(&b, FCR, 0x01);
	ASSERT_EQ(rd(&b, IIR) >> 6, 3);
	wr(&b, FCR, 0);
	ASSERT_EQ(rd(&b, IIR) >> 6, 0);
	wr(&b, SCR, 0x5a);
	ASSERT_EQ(rd(&b, SCR), 0x5a);
	wr(&b, LCR, 0x83);
	wr(&b, DATA, 0x01);
	wr(&b, IER, 0x02);
	ASSERT_EQ(rd(&b, DATA), 0x01);
	ASSERT_EQ(rd(&b, IER), 0x02);
	wr(&b, LCR, 0x03);
	ASSERT_EQ(b.uart.divisor, 0x201);
	ASSERT_EQ(rd(&b, IER), 0);
}

TEST(uart16550_sends_what_is_polled_out)
{
	struct board b;
	const char *text = "hello, world\n";

	board_init(&b);
	for (const char *p = text; *p; p++) {
		ASSERT_EQ(rd(&b, LSR) & 0x60, 0x60);
		wr(&b, DATA, (u8)*p);
	}
	ASSERT_STR(b.sent, text);
	ASSERT_EQ(b.rises, 0);
}

/* Linux serial8250_do_startup: the THRE test and the TXEN test. */
TEST(uart16550_thr_empty_interrupt_comes_when_enabled_and_goes_when_read)
{
	struct board b;

	board_init(&b);
	wr(&b, MCR, 0x08);
	wr(&b, IER, 0x02);
	ASSERT_EQ(b.output, 1);
	ASSERT_EQ(rd(&b, IIR), 0x02);
	ASSERT_EQ(b.output, 0);
	ASSERT_EQ(rd(&b, IIR), 0x01);
	wr(&b, IER, 0);
	wr(&b, IER, 0x02);
	ASSERT_EQ(rd(&b, IIR), 0x02);
	/* Each byte that leaves is an edge. */
	b.rises = 0;
	wr(&b, DATA, 'a');
	ASSERT_EQ(b.rises, 1);
	wr(&b, DATA, 'b'); /* without a read of IIR the line falls and rises */
	ASSERT_EQ(b.rises, 2);
	ASSERT_EQ(rd(&b, IIR), 0x02);
	ASSERT_EQ(rd(&b, IIR), 0x01);
	/* Without OUT2 nothing gets out to the line. */
	wr(&b, MCR, 0);
	wr(&b, DATA, 'c');
	ASSERT_EQ(b.output, 0);
	ASSERT_EQ(rd(&b, IIR), 0x02);
}

TEST(uart16550_full_backend_holds_thr_empty_back_and_loses_nothing)
{
	struct board b;

	board_init(&b);
	wr(&b, MCR, 0x08);
	wr(&b, FCR, 0x01);
	wr(&b, IER, 0x02);
	rd(&b, IIR);
	b.takes = 2;
	for (unsigned i = 0; i < 16; i++)
		wr(&b, DATA, (u8)('a' + i));
	ASSERT_STR(b.sent, "ab");
	ASSERT_EQ(rd(&b, LSR) & 0x60, 0);
	ASSERT(uart16550_wants_to_write(&b.uart));
	/* Bytes a and b made it empty twice; that interrupt ended with the next write. */
	ASSERT_EQ(rd(&b, IIR) & 0x0f, 0x01);
	b.takes = 5;
	uart16550_on_writable(&b.uart);
	ASSERT_EQ(rd(&b, LSR) & 0x60, 0);
	ASSERT_EQ(b.output, 0);
	b.takes = 100;
	uart16550_on_writable(&b.uart);
	ASSERT_STR(b.sent, "abcdefghijklmnop");
	ASSERT_EQ(rd(&b, LSR) & 0x60, 0x60);
	ASSERT_EQ(b.output, 1);
	ASSERT_EQ(rd(&b, IIR) & 0x0f, 0x02);
	ASSERT_EQ(b.uart.overruns, 0);
	/* One who never looks loses what does not fit, and only that. */
	b.takes = 0;
	for (unsigned i = 0; i < 20; i++)
		wr(&b, DATA, (u8)('0' + i));
	ASSERT_EQ(b.uart.overruns, 4);
	ASSERT_EQ(b.uart.tx.count, 16);
}

TEST(uart16550_receives_as_much_as_there_is_room_for)
{
	struct board b;

	board_init(&b);
	ASSERT_EQ(uart16550_room(&b.uart), 1); /* no FIFOs: a single register */
	ASSERT_EQ(uart16550_receive(&b.uart, (const u8 *)"xy", 2), 1);
	ASSERT_EQ(rd(&b, LSR), 0x61);
	ASSERT_EQ(rd(&b, DATA), 'x');
	ASSERT_EQ(b.rooms, 1);
	wr(&b, FCR, 0x01);
	ASSERT_EQ(uart16550_room(&b.uart), 16);
	receive(&b, "0123456789abcdef");
	ASSERT_EQ(uart16550_room(&b.uart), 0);
	ASSERT_EQ(uart16550_receive(&b.uart, (const u8 *)"!", 1), 0);
	ASSERT_EQ(rd(&b, LSR) & 0x02, 0);
	b.rooms = 0;
	for (unsigned i = 0; i < 16; i++)
		ASSERT_EQ(rd(&b, DATA), (u8) "0123456789abcdef"[i]);
	ASSERT_EQ(b.rooms, 1); /* told once, at the first byte of room */
	ASSERT_EQ(rd(&b, LSR), 0x60);
}

TEST(uart16550_trigger_level_and_time_out)
{
	struct board b;

	board_init(&b);
	wr(&b, MCR, 0x08);
	wr(&b, FCR, 0x81); /* 8 bytes */
	wr(&b, IER, 0x01);
	receive(&b, "1234567");
	ASSERT_EQ(b.output, 1);
	ASSERT_EQ(rd(&b, IIR), 0xcc); /* nothing is held back */
	receive(&b, "8");
	ASSERT_EQ(rd(&b, IIR), 0xc4);
	for (unsigned i = 0; i < 8; i++)
		rd(&b, DATA);
	ASSERT_EQ(b.output, 0);
	ASSERT_EQ(rd(&b, IIR), 0xc1);
	receive(&b, "12");
	wr(&b, FCR, 0x83); /* clear the receive FIFO */
	ASSERT_EQ(rd(&b, LSR), 0x60);
	ASSERT_EQ(b.output, 0);
}

TEST(uart16550_interrupts_have_their_order)
{
	struct board b;

	board_init(&b);
	wr(&b, MCR, 0x08);
	wr(&b, FCR, 0x01);
	wr(&b, IER, 0x0f);
	uart16550_set_inputs(&b.uart, 0x30); /* carrier lost */
	ASSERT(uart16550_receive_break(&b.uart));
	ASSERT_EQ(rd(&b, IIR), 0xc6);
	ASSERT_EQ(rd(&b, LSR), 0xf1);
	ASSERT_EQ(rd(&b, LSR), 0x61); /* reading it took the break away */
	ASSERT_EQ(rd(&b, IIR), 0xc4);
	ASSERT_EQ(rd(&b, DATA), 0);
	ASSERT_EQ(rd(&b, IIR), 0xc2);
	ASSERT_EQ(rd(&b, IIR), 0xc0);
	ASSERT_EQ(rd(&b, MSR), 0x38);
	ASSERT_EQ(rd(&b, IIR), 0xc1);
	ASSERT_EQ(b.output, 0);
}

TEST(uart16550_loopback_turns_everything_inside)
{
	struct board b;

	board_init(&b);
	receive(&b, "z");
	rd(&b, DATA);
	wr(&b, FCR, 0x01);
	wr(&b, MCR, 0x10);
	rd(&b, MSR);
	ASSERT_EQ(uart16550_room(&b.uart), 0);
	for (unsigned i = 0; i < 17; i++)
		wr(&b, DATA, (u8)i);
	ASSERT_EQ(b.used, 0);
	ASSERT_EQ(rd(&b, LSR), 0x63); /* the 17th overran */
	ASSERT_EQ(rd(&b, LSR), 0x61);
	for (unsigned i = 0; i < 16; i++)
		ASSERT_EQ(rd(&b, DATA), i);
	wr(&b, MCR, 0x1f);
	ASSERT_EQ(rd(&b, MSR), 0xfb); /* RI tells its fall only */
	wr(&b, MCR, 0x10);
	ASSERT_EQ(rd(&b, MSR), 0x0f);
	b.rooms = 0;
	wr(&b, MCR, 0x00);
	ASSERT_EQ(b.rooms, 1);
}

TEST(uart16550_tells_break_and_modem_outputs)
{
	struct board b;

	board_init(&b);
	wr(&b, MCR, 0x0b);
	ASSERT_EQ(b.lines, 0x03);
	wr(&b, LCR, 0x43);
	ASSERT_EQ(b.lines, 0x43);
	wr(&b, LCR, 0x03);
	ASSERT_EQ(b.lines, 0x03);
}

TEST(uart16550_state_survives_and_hostile_state_is_refused)
{
	u8 block[WALL_CHIP_STATE_SIZE], again[WALL_CHIP_STATE_SIZE];
	struct board b, other;
	static const struct {
		unsigned at;
		u8 value;
	} bad[] = {
		{ 0, 0 },    { 4, 0x10 }, { 5, 0x02 },	{ 5, 0xff },
		{ 7, 0x20 }, { 9, 0x01 }, { 11, 0x01 }, { 12, 2 },
		{ 13, 17 },  { 14, 17 },  { 34, 0x01 },
	};

	board_init(&b);
	board_init(&other);
	wr(&b, FCR, 0x41);
	wr(&b, MCR, 0x0b);
	wr(&b, IER, 0x07);
	b.takes = 0;
	wr(&b, DATA, 'x');
	wr(&b, DATA, 'y');
	receive(&b, "12345");
	rd(&b, DATA);
	ASSERT(uart16550_receive_break(&b.uart));
	uart16550_save(&b.uart, block);
	ASSERT_EQ(uart16550_restore(&other.uart, block), 0);
	uart16550_save(&other.uart, again);
	ASSERT_MEM(again, block, sizeof block);
	ASSERT_EQ(other.output, 1);
	ASSERT_EQ(rd(&other, DATA), '2');
	uart16550_on_writable(&other.uart);
	ASSERT_STR(other.sent, "xy");
	for (unsigned i = 0; i < ARRAY_COUNT(bad); i++) {
		uart16550_save(&b.uart, block);
		block[bad[i].at] = bad[i].value;
		ASSERT_ERR(uart16550_restore(&other.uart, block), EINVAL);
	}
}
