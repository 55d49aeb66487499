/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between our processes: SOCK_SEQPACKET pairs, one message a packet, descriptors beside
 * it. The kernel keeps the frame, so a message is whole or absent. Received descriptors are
 * close-on-exec. Any thread; one reader and one writer at a time.
 */
#pragma once

#include "base/types.h"

#define IPC_MAX_FDS 72

/* Two connected ends, close-on-exec, blocking. 0 or negative errno. */
int ipc_pair(int ret_fds[2]) MUST_CHECK;

/* Is this descriptor a socket? A program that another one starts with its end of a pair asks. */
bool ipc_is_socket(int fd);

/* Send one message; fds stay the caller's. 0 or negative errno (-EPIPE: the peer is gone). */
int ipc_send(int socket, const void *message, size_t size, const int *fds,
	     unsigned fd_count) MUST_CHECK;

/*
 * Receive one message of at most max_size bytes and max_fds descriptors. *ret_size is its size;
 * descriptors [0, *ret_fd_count) are the caller's to close. 0; -EPIPE when the peer closed;
 * -EAGAIN on a non-blocking socket; -EMSGSIZE when it was larger or brought more descriptors
 * (nothing is kept then).
 */
int ipc_receive(int socket, void *message, size_t max_size, size_t *ret_size,
		int *ret_fds, unsigned max_fds, unsigned *ret_fd_count) MUST_CHECK;

/* eventfds: ring adds 1 (never blocks, never fails); clear takes all, true if there was any. */
int ipc_event_new(void) MUST_CHECK;
void ipc_event_ring(int event);
bool ipc_event_clear(int event);
