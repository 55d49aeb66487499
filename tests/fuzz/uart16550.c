/* SPDX-License-Identifier: Apache-2.0 */
/* The 16550A, by a guest, a backend of any mood and hostile state blocks. */
#include "chip_input.h"

#include "hv/chips/uart16550.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static struct script s;
static unsigned mood;

static size_t on_write(void *owner, const u8 *bytes, size_t size)
{
	(void)owner;
	if (size == 0 || size > UART16550_FIFO)
		abort();
	s.alarms += bytes[0] + bytes[size - 1]; /* they can be read */
	return mood % 4 == 0 ? size : mood % 4 == 1 ? 0 : mood % 4 == 2 ? 1 : SIZE_MAX;
}
static void on_room(void *owner)
{
	(void)owner;
}
static void on_lines(void *owner, u8 lines)
{
	(void)owner;
	if (lines & ~0x43)
		abort();
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const u8 bytes[64];
	struct uart16550_backend backend = {
		.write = on_write,
		.on_room = on_room,
		.on_lines = on_lines,
	};
	u8 block[WALL_CHIP_STATE_SIZE];
	struct uart16550 uart;
	size_t room, taken;

	script_begin(&s, data, size);
	mood = 0;
	uart16550_init(&uart, &backend, SCRIPT_PIN(&s, 4));
	while (s.left) {
		u8 op = script_u8(&s);

		switch (op % 8) {
		case 0:
		case 1:
			uart16550_write(&uart, op >> 5, script_u8(&s));
			break;
		case 2:
			uart16550_read(&uart, op >> 5);
			break;
		case 3:
			room = uart16550_room(&uart);
			taken = uart16550_receive(&uart, bytes, op >> 3);
			if (taken > room || room > UART16550_FIFO)
				abort();
			break;
		case 4:
			mood = op >> 3;
			uart16550_on_writable(&uart);
			break;
		case 5:
			uart16550_set_inputs(&uart, script_u8(&s));
			uart16550_receive_break(&uart);
			break;
		case 6:
			SCRIPT_ROUND_TRIP(uart16550_save, uart16550_restore, &uart);
			SCRIPT_INSPECT(uart16550_inspect, &uart);
			break;
		case 7:
			if (op & 0x80) {
				uart16550_save(&uart, block);
				script_spoil(&s, block);
				(void)!uart16550_restore(&uart, block);
			}
			break;
		}
		if (uart.rx.count > UART16550_FIFO || uart.tx.count > UART16550_FIFO)
			abort();
	}
	return 0;
}
