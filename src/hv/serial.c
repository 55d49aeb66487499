/* SPDX-License-Identifier: Apache-2.0 */
/* A serial port's socket; see serial.h. */
#include "hv/serial.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/ipc.h"

/* Where the loop cannot watch for room (the peer closed its half, which epoll reports for ever). */
#define RETRY_NS 2000000ull
/* How long the beginning of a line may wait for its end. */
#define FLUSH_NS 4000000ull

static void ask_loop(struct serial *s)
{
	if (!atomic_exchange(&s->look, true))
		ipc_event_ring(s->self_event);
}

/* ---- guest to socket: chipset lock ---------------------------------------------------------- */

static void drop_out(struct serial *s)
{
	s->dropped += s->out_count;
	s->out_count = 0;
	s->fd = -1;
}

/* As many bytes of `out` as the socket takes now. */
static void push_out(struct serial *s)
{
	while (s->out_count > 0 && s->fd >= 0) {
		unsigned piece = s->out_count, to_end = SERIAL_OUT - s->out_head;
		ssize_t n;

		if (piece > to_end)
			piece = to_end;
		n = write(s->fd, s->out + s->out_head, piece);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			s->blocked = true;
			return;
		}
		if (n < 0) { /* the console went away: the guest is not to suffer */
			drop_out(s);
			ask_loop(s);
			return;
		}
		s->out_head = (s->out_head + (unsigned)n) % SERIAL_OUT;
		s->out_count -= (unsigned)n;
	}
	s->blocked = false;
}

static size_t on_uart_write(void *owner, const u8 *bytes, size_t size)
{
	struct serial *s = owner;
	bool was_blocked = s->blocked, line_ends = false;
	size_t n = 0;

	if (s->fd < 0) {
		s->dropped += size;
		return size;
	}
	while (n < size && s->out_count < SERIAL_OUT) {
		line_ends |= bytes[n] == '\n';
		s->out[(s->out_head + s->out_count) % SERIAL_OUT] = bytes[n++];
		s->out_count++;
	}
	if (was_blocked)
		return n;
	if (line_ends || s->out_count > SERIAL_OUT / 2)
		push_out(s);
	if (s->blocked || (s->out_count > 0 && !s->flush_asked)) {
		s->flush_asked = true;
		ask_loop(s);
	}
	return n;
}

/* ---- socket to guest ------------------------------------------------------------------------ */

static void feed_in(struct serial *s)
{
	while (s->in_count > 0) {
		size_t n = uart16550_receive(&s->uart, s->in + s->in_head, s->in_count);

		if (n == 0)
			return;
		s->in_head += (unsigned)n;
		s->in_count -= (unsigned)n;
	}
	s->in_head = 0;
}

/* Under the chipset lock, on the VP that made room. */
static void on_uart_room(void *owner)
{
	struct serial *s = owner;

	if (s->in_count == 0)
		return;
	feed_in(s);
	if (s->in_count == 0)
		ask_loop(s);
}

static void read_in(struct serial *s)
{
	ssize_t n;

	if (s->in_count > 0 || s->fd < 0)
		return;
	do {
		n = read(s->fd, s->in, sizeof s->in);
	} while (n < 0 && errno == EINTR);
	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		s->in_ended = true;
		return;
	}
	if (n < 0)
		return;
	s->in_head = 0;
	s->in_count = (unsigned)n;
	feed_in(s);
}

/* ---- the loop's part ------------------------------------------------------------------------ */

static void on_socket(void *owner, unsigned events)
{
	struct serial *s = owner;

	pthread_mutex_lock(s->lock);
	if (events & LOOP_HANGUP)
		s->hung_up = true;
	if (events & (LOOP_READ | LOOP_HANGUP))
		read_in(s);
	s->flush_asked = false;
	push_out(s);
	if (s->out_count < SERIAL_OUT)
		uart16550_on_writable(&s->uart);
	pthread_mutex_unlock(s->lock);
	serial_look(s);
}

static void on_retry(void *owner)
{
	struct serial *s = owner;

	s->flush_set = false;
	on_socket(s, 0);
}

void serial_look(struct serial *s)
{
	unsigned want = 0;
	bool ended, gone, flush;

	atomic_store(&s->look, false);
	pthread_mutex_lock(s->lock);
	/* What came before the hang-up is read first, as the guest makes room. */
	ended = s->in_ended || (s->hung_up && s->in_count > 0);
	gone = s->fd < 0;
	if (!ended && s->in_count == 0)
		want |= LOOP_READ;
	if (s->blocked)
		want |= LOOP_WRITE;
	flush = s->out_count > 0 && !s->blocked && !gone;
	/* What a VP wrote until now is seen to; the next byte asks again. */
	s->flush_asked = flush;
	pthread_mutex_unlock(s->lock);

	if (flush && !s->flush_set) {
		s->flush_set = true;
		loop_alarm_set(&s->retry,
			       host_clock.monotonic_ns(&host_clock) + FLUSH_NS);
	}
	if (ended || gone) {
		loop_watch_remove(s->watch);
		s->watch = NULL;
		if (!gone && (want & LOOP_WRITE))
			loop_alarm_set(&s->retry,
				       host_clock.monotonic_ns(&host_clock) + RETRY_NS);
		return;
	}
	if (!s->watch) {
		if (loop_watch_add(s->loop, s->fd, want, on_socket, s, &s->watch) < 0)
			s->watch = NULL;
	} else if (want != s->watched) {
		loop_watch_change(s->watch, want);
	}
	s->watched = want;
}

bool serial_drained(struct serial *s)
{
	bool drained;

	pthread_mutex_lock(s->lock);
	push_out(s);
	drained = s->out_count == 0 || s->fd < 0;
	pthread_mutex_unlock(s->lock);
	return drained;
}

void serial_init(struct serial *s, int fd, pthread_mutex_t *lock, struct loop *loop,
		 int self_event, const struct chip_pin *pin)
{
	struct uart16550_backend backend = { .write = on_uart_write,
					     .on_room = on_uart_room,
					     .owner = s };

	*s = (struct serial){
		.lock = lock, .loop = loop, .fd = fd, .self_event = self_event
	};
	loop_alarm_init(loop, &s->retry, on_retry, s);
	uart16550_init(&s->uart, &backend, pin);
}

void serial_done(struct serial *s)
{
	loop_alarm_set(&s->retry, UINT64_MAX);
	loop_watch_remove(s->watch);
	s->watch = NULL;
}
