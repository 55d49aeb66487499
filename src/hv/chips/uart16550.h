/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 16550A serial port with its two FIFOs of 16 bytes.
 *
 *	0	read RBR, write THR; divisor low while LCR.7
 *	1	IER: 0 received data, 1 THR empty, 2 line status, 3 modem status; divisor high
 *	2	read IIR: 0 = none waits, 1-3 which, 6-7 FIFOs on; write FCR
 *	3	LCR: 0-1 bits, 2 stop, 3-5 parity, 6 break, 7 divisor latch
 *	4	MCR: 0 DTR, 1 RTS, 2 OUT1, 3 OUT2 (lets the interrupt out), 4 loopback
 *	5	LSR: 0 data, 1 overrun, 2 parity, 3 framing, 4 break, 5 THR empty, 6 all sent, 7 FIFO error
 *	6	MSR: 0-3 changes, 4 CTS, 5 DSR, 6 RI, 7 DCD
 *	7	scratch
 *
 * The line is as fast as what is behind it: a byte leaves when the backend takes it. While the
 * backend is full, bytes wait in the transmit FIFO and THR empty stays 0, so that a driver that
 * looks at LSR loses nothing; one that does not look overwrites, as on the real part. The other
 * way nothing is lost: whoever feeds bytes asks uart16550_room first and is told (on_room) when
 * there is room again. Overrun happens in loopback only.
 *
 * The character time-out interrupt comes at once, not after four character times: bytes below
 * the trigger level are not held back. A break received is one zero byte with LSR.4.
 *
 * Thread: whoever holds the chipset lock; the pin and the backend are called with it held.
 * Specification: National Semiconductor PC16550D data sheet.
 */
#pragma once

#include "base/types.h"
#include "hv/chips/chip.h"

#define UART16550_FIFO 16

struct uart16550_backend {
	/* Bytes for the other end: takes as many as it can now, returns how many. */
	size_t (*write)(void *owner, const u8 *bytes, size_t size);
	/* There is room for received bytes where there was none. May be NULL. */
	void (*on_room)(void *owner);
	/* DTR (bit 0), RTS (bit 1) and break (bit 6) as the guest sets them. May be NULL. */
	void (*on_lines)(void *owner, u8 lines);
	void *owner;
};

struct uart16550_fifo {
	u8 byte[UART16550_FIFO];
	u8 flags[UART16550_FIFO]; /* LSR 2-4 that came with the byte */
	u8 head, count;
};

struct uart16550 {
	struct uart16550_backend backend; /* write may be NULL: bytes vanish */
	struct chip_pin output;
	u8 ier, fcr, lcr, mcr, scratch;
	u16 divisor;
	u8 lsr_errors;	    /* LSR 1-4, until read */
	u8 msr;		    /* with the changes, until read */
	u8 inputs;	    /* CTS, DSR, RI, DCD from outside, as MSR bits 4-7 */
	bool thr_interrupt; /* THR became empty and nobody has been told */
	bool output_level;
	struct uart16550_fifo rx, tx;
	u64 received, sent, overruns;
};

/* Starts with CTS, DSR and DCD on. */
void uart16550_init(struct uart16550 *uart, const struct uart16550_backend *backend,
		    const struct chip_pin *output);
void uart16550_reset(struct uart16550 *uart);

/* offset 0-7 (masked). */
u8 uart16550_read(struct uart16550 *uart, unsigned offset);
void uart16550_write(struct uart16550 *uart, unsigned offset, u8 value);

/* How many bytes can be received now: 0 also in loopback. */
size_t uart16550_room(const struct uart16550 *uart);
/* Returns how many were taken: min(size, room). */
size_t uart16550_receive(struct uart16550 *uart, const u8 *bytes, size_t size);
/* A break on the line; false: no room, try again when on_room says so. */
bool uart16550_receive_break(struct uart16550 *uart);
/* CTS, DSR, RI, DCD as MSR bits 4-7. */
void uart16550_set_inputs(struct uart16550 *uart, u8 inputs);

/* The backend can take bytes again. */
void uart16550_on_writable(struct uart16550 *uart);
/* Do bytes wait for that? */
static inline bool uart16550_wants_to_write(const struct uart16550 *uart)
{
	return uart->tx.count > 0;
}

void uart16550_save(const struct uart16550 *uart, void *block);
int uart16550_restore(struct uart16550 *uart, const void *block) MUST_CHECK;
void uart16550_inspect(const struct uart16550 *uart, struct inspect *out);
