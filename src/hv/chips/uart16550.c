/* SPDX-License-Identifier: Apache-2.0 */
/* The 16550A: uart16550.h has the map. Under the chipset lock. */
#include "hv/chips/uart16550.h"

#include <errno.h>

#include "wall/wall.h"

enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCRATCH };

#define IER_RECEIVED 0x01u
#define IER_THR_EMPTY 0x02u
#define IER_LINE 0x04u
#define IER_MODEM 0x08u

#define IIR_MODEM 0x00u
#define IIR_NONE 0x01u
#define IIR_THR_EMPTY 0x02u
#define IIR_RECEIVED 0x04u
#define IIR_LINE 0x06u
#define IIR_TIME_OUT 0x0cu
#define IIR_FIFOS 0xc0u

#define FCR_ENABLE 0x01u
#define FCR_CLEAR_RX 0x02u
#define FCR_CLEAR_TX 0x04u
#define FCR_KEPT 0xc9u

#define LCR_BREAK 0x40u
#define LCR_DIVISOR 0x80u

#define MCR_OUT2 0x08u
#define MCR_LOOP 0x10u
#define MCR_WRITABLE 0x1fu

#define LSR_DATA 0x01u
#define LSR_OVERRUN 0x02u
#define LSR_BREAK 0x10u
#define LSR_THR_EMPTY 0x20u
#define LSR_ALL_SENT 0x40u
#define LSR_FIFO_ERROR 0x80u
#define LSR_OF_BYTE 0x1cu /* parity, framing, break: come with a byte */

#define MSR_RI 0x40u
#define MSR_CHANGES 0x0fu

static bool fifos_on(const struct uart16550 *u)
{
	return u->fcr & FCR_ENABLE;
}

static unsigned depth(const struct uart16550 *u)
{
	return fifos_on(u) ? UART16550_FIFO : 1;
}

static bool fifo_put(struct uart16550_fifo *f, unsigned limit, u8 byte, u8 flags)
{
	unsigned at = (f->head + f->count) % UART16550_FIFO;

	if (f->count >= limit)
		return false;
	f->byte[at] = byte;
	f->flags[at] = flags;
	f->count++;
	return true;
}

static void fifo_drop(struct uart16550_fifo *f, unsigned n)
{
	f->head = (u8)((f->head + n) % UART16550_FIFO);
	f->count = (u8)(f->count - n);
}

static void fifo_clear(struct uart16550_fifo *f)
{
	f->head = f->count = 0;
}

/* Line status as the guest would read it now. */
static u8 line_status(const struct uart16550 *u)
{
	u8 v = u->lsr_errors;

	if (u->rx.count)
		v |= LSR_DATA | u->rx.flags[u->rx.head];
	if (u->tx.count == 0)
		v |= LSR_THR_EMPTY | LSR_ALL_SENT;
	if (fifos_on(u))
		for (unsigned i = 0; i < u->rx.count; i++)
			if (u->rx.flags[(u->rx.head + i) % UART16550_FIFO])
				v |= LSR_FIFO_ERROR;
	return v;
}

static u8 interrupt_reason(const struct uart16550 *u)
{
	static const u8 trigger[4] = { 1, 4, 8, 14 };

	if ((u->ier & IER_LINE) && (line_status(u) & (LSR_OVERRUN | LSR_OF_BYTE)))
		return IIR_LINE;
	if ((u->ier & IER_RECEIVED) && u->rx.count) {
		if (!fifos_on(u) || u->rx.count >= trigger[u->fcr >> 6])
			return IIR_RECEIVED;
		return IIR_TIME_OUT;
	}
	if ((u->ier & IER_THR_EMPTY) && u->thr_interrupt)
		return IIR_THR_EMPTY;
	if ((u->ier & IER_MODEM) && (u->msr & MSR_CHANGES))
		return IIR_MODEM;
	return IIR_NONE;
}

static void update(struct uart16550 *u)
{
	bool level = (u->mcr & MCR_OUT2) && interrupt_reason(u) != IIR_NONE;

	if (level == u->output_level)
		return;
	u->output_level = level;
	chip_pin_set(&u->output, level);
}

/* Let out what the backend takes. The last byte that leaves makes THR empty. */
static void drain(struct uart16550 *u)
{
	bool had = u->tx.count > 0;

	while (u->tx.count) {
		/* Up to the end of the array, then from its start. */
		unsigned straight = UART16550_FIFO - u->tx.head;
		size_t n = u->tx.count < straight ? u->tx.count : straight;
		size_t taken = n;

		if (u->backend.write)
			taken = u->backend.write(u->backend.owner,
						 u->tx.byte + u->tx.head, n);
		if (taken > n)
			taken = n;
		if (taken == 0)
			break;
		u->sent += taken;
		fifo_drop(&u->tx, (unsigned)taken);
	}
	if (had && u->tx.count == 0)
		u->thr_interrupt = true;
}

static void write_thr(struct uart16550 *u, u8 value)
{
	u->thr_interrupt = false;
	update(u); /* the line falls between two interrupts, or edges get lost */
	if (u->mcr & MCR_LOOP) {
		if (!fifo_put(&u->rx, depth(u), value, 0)) {
			u->lsr_errors |= LSR_OVERRUN;
			u->overruns++;
		}
		u->thr_interrupt = u->tx.count == 0;
		return;
	}
	if (!fifo_put(&u->tx, depth(u), value, 0))
		u->overruns++; /* nobody looked at LSR: lost, as on the real part */
	drain(u);
}

/* The modem inputs as MSR bits 4-7: from outside, or from our own outputs in loopback. */
static u8 modem_inputs(const struct uart16550 *u)
{
	u8 m = u->mcr;

	if (!(m & MCR_LOOP))
		return u->inputs;
	return (u8)((m & 0x02 ? 0x10 : 0) | (m & 0x01 ? 0x20 : 0) |
		    (m & 0x04 ? 0x40 : 0) | (m & 0x08 ? 0x80 : 0));
}

static void follow_inputs(struct uart16550 *u)
{
	u8 now = modem_inputs(u);
	u8 changed = (u->msr ^ now) & 0xf0;

	/* RI tells its falling edge only. */
	if ((changed & MSR_RI) && (now & MSR_RI))
		changed &= (u8)~MSR_RI;
	u->msr = (u8)((u->msr & MSR_CHANGES) | changed >> 4 | now);
}

static void write_fcr(struct uart16550 *u, u8 value)
{
	if ((value ^ u->fcr) & FCR_ENABLE) {
		/* Switching the FIFOs on or off empties them. */
		value |= FCR_CLEAR_RX | FCR_CLEAR_TX;
	}
	if (value & FCR_CLEAR_RX)
		fifo_clear(&u->rx);
	if ((value & FCR_CLEAR_TX) && u->tx.count) {
		fifo_clear(&u->tx);
		u->thr_interrupt = true;
	}
	u->fcr = value & FCR_ENABLE ? value & FCR_KEPT : 0;
}

static void write_ier(struct uart16550 *u, u8 value)
{
	u8 before = u->ier;

	u->ier = value & 0x0f;
	/* Enabling THR empty while it is empty interrupts: Linux tests for it at start. */
	if ((u->ier & ~before & IER_THR_EMPTY) && u->tx.count == 0)
		u->thr_interrupt = true;
}

static void tell_lines(struct uart16550 *u)
{
	if (u->backend.on_lines)
		u->backend.on_lines(u->backend.owner,
				    (u8)((u->mcr & 0x03) | (u->lcr & LCR_BREAK)));
}

static u8 read_rbr(struct uart16550 *u)
{
	u8 byte = u->rx.byte[u->rx.head];

	if (u->rx.count == 0)
		return 0;
	/* An error that nobody read stays for LSR when its byte is gone. */
	u->lsr_errors |= u->rx.flags[u->rx.head];
	fifo_drop(&u->rx, 1);
	return byte;
}

static u8 read_iir(struct uart16550 *u)
{
	u8 reason = interrupt_reason(u);

	if (reason == IIR_THR_EMPTY)
		u->thr_interrupt = false;
	return reason | (fifos_on(u) ? IIR_FIFOS : 0);
}

static u8 read_lsr(struct uart16550 *u)
{
	u8 v = line_status(u);

	u->lsr_errors = 0;
	if (u->rx.count)
		u->rx.flags[u->rx.head] = 0;
	return v;
}

static u8 read_register(struct uart16550 *u, unsigned offset)
{
	u8 v;

	switch (offset & 7) {
	case REG_DATA:
		return u->lcr & LCR_DIVISOR ? (u8)u->divisor : read_rbr(u);
	case REG_IER:
		return u->lcr & LCR_DIVISOR ? (u8)(u->divisor >> 8) : u->ier;
	case REG_IIR_FCR:
		return read_iir(u);
	case REG_LCR:
		return u->lcr;
	case REG_MCR:
		return u->mcr;
	case REG_LSR:
		return read_lsr(u);
	case REG_MSR:
		v = u->msr;
		u->msr &= (u8)~MSR_CHANGES;
		return v;
	}
	return u->scratch;
}

static void write_register(struct uart16550 *u, unsigned offset, u8 value)
{
	switch (offset & 7) {
	case REG_DATA:
		if (u->lcr & LCR_DIVISOR)
			u->divisor = (u16)((u->divisor & 0xff00) | value);
		else
			write_thr(u, value);
		break;
	case REG_IER:
		if (u->lcr & LCR_DIVISOR)
			u->divisor = (u16)((u->divisor & 0xff) | value << 8);
		else
			write_ier(u, value);
		break;
	case REG_IIR_FCR:
		write_fcr(u, value);
		break;
	case REG_LCR:
		u->lcr = value;
		tell_lines(u);
		break;
	case REG_MCR:
		u->mcr = value & MCR_WRITABLE;
		follow_inputs(u);
		tell_lines(u);
		break;
	case REG_LSR: /* factory test */
	case REG_MSR:
		break;
	case REG_SCRATCH:
		u->scratch = value;
		break;
	}
}

/* After every access: the pin, and whoever waits for room. */
static void after(struct uart16550 *u, size_t room_before)
{
	update(u);
	if (room_before == 0 && uart16550_room(u) && u->backend.on_room)
		u->backend.on_room(u->backend.owner);
}

u8 uart16550_read(struct uart16550 *u, unsigned offset)
{
	size_t room = uart16550_room(u);
	u8 v = read_register(u, offset);

	after(u, room);
	return v;
}

void uart16550_write(struct uart16550 *u, unsigned offset, u8 value)
{
	size_t room = uart16550_room(u);

	write_register(u, offset, value);
	after(u, room);
}

size_t uart16550_room(const struct uart16550 *u)
{
	if ((u->mcr & MCR_LOOP) || u->rx.count >= depth(u))
		return 0;
	return depth(u) - u->rx.count;
}

size_t uart16550_receive(struct uart16550 *u, const u8 *bytes, size_t size)
{
	size_t n = min_u64(size, uart16550_room(u));

	for (size_t i = 0; i < n; i++)
		fifo_put(&u->rx, depth(u), bytes[i], 0);
	u->received += n;
	update(u);
	return n;
}

bool uart16550_receive_break(struct uart16550 *u)
{
	if (uart16550_room(u) == 0)
		return false;
	fifo_put(&u->rx, depth(u), 0, LSR_BREAK);
	update(u);
	return true;
}

void uart16550_set_inputs(struct uart16550 *u, u8 inputs)
{
	u->inputs = inputs & 0xf0;
	follow_inputs(u);
	update(u);
}

void uart16550_on_writable(struct uart16550 *u)
{
	drain(u);
	update(u);
}

void uart16550_init(struct uart16550 *u, const struct uart16550_backend *backend,
		    const struct chip_pin *output)
{
	memset(u, 0, sizeof *u);
	u->backend = *backend;
	u->output = *output;
	u->inputs = 0xb0;
	uart16550_reset(u);
}

void uart16550_reset(struct uart16550 *u)
{
	u->ier = u->fcr = u->lcr = u->mcr = u->scratch = 0;
	u->divisor = 0;
	u->lsr_errors = 0;
	u->msr = u->inputs;
	u->thr_interrupt = false;
	fifo_clear(&u->rx);
	fifo_clear(&u->tx);
	update(u);
}

/* ---- state --------------------------------------------------------------------------------------- */

#define STATE_VERSION 1

struct uart16550_state {
	struct chip_state_head head;
	u8 ier, fcr, lcr, mcr, scratch, lsr_errors, msr, inputs, thr_interrupt;
	u8 rx_count, tx_count, reserved;
	le16 divisor;
	u8 rx[UART16550_FIFO], rx_flags[UART16550_FIFO], tx[UART16550_FIFO];
} PACKED;
_Static_assert(sizeof(struct uart16550_state) <= WALL_CHIP_STATE_SIZE, "fits its block");

void uart16550_save(const struct uart16550 *u, void *block)
{
	struct uart16550_state s = {
		.ier = u->ier,
		.fcr = u->fcr,
		.lcr = u->lcr,
		.mcr = u->mcr,
		.scratch = u->scratch,
		.lsr_errors = u->lsr_errors,
		.msr = u->msr,
		.inputs = u->inputs,
		.thr_interrupt = u->thr_interrupt,
		.rx_count = u->rx.count,
		.tx_count = u->tx.count,
		.divisor = le16_of(u->divisor),
	};

	for (unsigned i = 0; i < u->rx.count; i++) {
		s.rx[i] = u->rx.byte[(u->rx.head + i) % UART16550_FIFO];
		s.rx_flags[i] = u->rx.flags[(u->rx.head + i) % UART16550_FIFO];
	}
	for (unsigned i = 0; i < u->tx.count; i++)
		s.tx[i] = u->tx.byte[(u->tx.head + i) % UART16550_FIFO];
	chip_state_finish(block, STATE_VERSION, &s, sizeof s);
}

static bool state_is_sound(const struct uart16550_state *s)
{
	unsigned limit = s->fcr & FCR_ENABLE ? UART16550_FIFO : 1;

	for (unsigned i = 0; i < UART16550_FIFO; i++)
		if (s->rx_flags[i] & ~LSR_OF_BYTE)
			return false;
	return s->ier <= 0x0f && !(s->fcr & ~FCR_KEPT) &&
	       (s->fcr == 0 || (s->fcr & FCR_ENABLE)) && s->mcr <= MCR_WRITABLE &&
	       !(s->lsr_errors & ~(LSR_OF_BYTE | LSR_OVERRUN)) && !(s->inputs & 0x0f) &&
	       s->thr_interrupt <= 1 && s->rx_count <= limit && s->tx_count <= limit;
}

int uart16550_restore(struct uart16550 *u, const void *block)
{
	struct uart16550_state s;

	if (!chip_state_take(block, STATE_VERSION, &s, sizeof s) || !state_is_sound(&s))
		return -EINVAL;
	u->ier = s.ier;
	u->fcr = s.fcr;
	u->lcr = s.lcr;
	u->mcr = s.mcr;
	u->scratch = s.scratch;
	u->lsr_errors = s.lsr_errors;
	u->inputs = s.inputs;
	u->msr = s.msr;
	follow_inputs(u);
	u->thr_interrupt = s.thr_interrupt;
	u->divisor = le16_get(s.divisor);
	fifo_clear(&u->rx);
	fifo_clear(&u->tx);
	for (unsigned i = 0; i < s.rx_count; i++)
		fifo_put(&u->rx, UART16550_FIFO, s.rx[i], s.rx_flags[i]);
	for (unsigned i = 0; i < s.tx_count; i++)
		fifo_put(&u->tx, UART16550_FIFO, s.tx[i], 0);
	update(u);
	return 0;
}

void uart16550_inspect(const struct uart16550 *u, struct inspect *out)
{
	inspect_line(out, "registers",
		     "ier 0x%02x fcr 0x%02x lcr 0x%02x mcr 0x%02x lsr 0x%02x msr 0x%02x "
		     "divisor %u",
		     u->ier, u->fcr, u->lcr, u->mcr, line_status(u), u->msr, u->divisor);
	inspect_line(out, "waiting", "received %u to send %u", u->rx.count, u->tx.count);
	inspect_line(out, "counts", "received %llu sent %llu lost %llu",
		     (unsigned long long)u->received, (unsigned long long)u->sent,
		     (unsigned long long)u->overruns);
}
