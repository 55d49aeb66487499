/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 16550 and the stream socket behind it. No byte is lost either way: received bytes wait in
 * the socket while the chip has no room, sent ones in `out` and then in the chip's own FIFO
 * (its line status says so) while the socket has none.
 *
 * Bytes go in pieces: a line, half the buffer, or what has come within a few milliseconds. One by one
 * they cost two system calls and two changes of process each, most of a boot's output.
 *
 * Threads: the VP that writes the end of a line writes it to the socket itself. What is left, or
 * waits for room, is the loop thread's: it has an alarm, or watches the socket. All state is under the chipset lock, but
 * the watch, which is the loop's. A VP that wants the watch changed sets `look` and rings the
 * partition's self_event.
 */
#pragma once

#include <pthread.h>

#include "base/loop.h"
#include "base/types.h"
#include "hv/chips/uart16550.h"

#define SERIAL_OUT 16384u
#define SERIAL_IN 256u

struct serial {
	struct uart16550 uart;
	pthread_mutex_t *lock; /* the chipset lock */
	struct loop *loop;
	int fd; /* -1: nobody is there (any more): bytes vanish */
	int self_event;
	struct loop_watch *watch; /* loop thread */
	unsigned watched;
	struct loop_alarm
		retry; /* also after the peer closed its half: no watch, see serial.c */
	_Atomic bool look; /* the loop thread should look at what to watch */
	bool blocked;	   /* the socket took no more: its watch says when it does */
	bool flush_set;	   /* loop thread: the alarm is set to push what is in `out` */
	bool flush_asked;  /* the loop thread will push what is in `out` soon */
	bool hung_up;	   /* the peer closed its half: epoll says so for ever */
	bool in_ended;	   /* and everything before that was read */
	u8 in[SERIAL_IN];
	unsigned in_head, in_count;
	u8 out[SERIAL_OUT];
	unsigned out_head, out_count;
	u64 dropped;
};

/* lock: the chipset's. fd stays the caller's. Before the VPs run; chipset_init. */
void serial_init(struct serial *serial, int fd, pthread_mutex_t *lock, struct loop *loop,
		 int self_event, const struct chip_pin *pin);
/* Loop thread, no lock held: watch what has to be watched. */
void serial_look(struct serial *serial);
void serial_done(struct serial *serial);
/* Loop thread: is everything that the guest sent in the socket? */
bool serial_drained(struct serial *serial);
