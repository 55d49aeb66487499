/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices of the worker that exist for test kernels only (--test-devices): what crosses the wall,
 * made visible to a guest. (hv's own test devices are in hv/chips/pc_testdev.h.) All registers
 * are 32 bits wide unless said otherwise.
 *
 *	the disk: writes code into guest RAM as a disk does, and says when it is there
 *	3100	W pattern: a number
 *	3104	W address, low half; 3108 high half
 *	310c	W length in bytes, a multiple of 8, at most 1 MiB
 *	3110	W command: 1 start, 2 acknowledge (the line goes down)
 *		R status: 0 idle, 1 busy, 2 done, 3 failed (not RAM, bad length)
 *	3114	W 1: raise interrupt line 11 at the end, 0: do not
 *	3118	R commands done since reset
 *	The bytes: `mov $pattern,%eax; ret; nop; nop` again and again, in any mode.
 *
 *	the string port: a queue of 8192 bytes
 *	3120	1, 2 or 4 bytes: W appends, R takes out (0 where empty)
 *	3124	R crossings of the wall since reset that were string instructions
 *
 *	the posted port: writes do not wait
 *	3130	W value: sum = sum * 31 + value. R sum
 *	3134	R writes since reset
 *
 *	the bell: a doorbell, and an interrupt that is raised by an eventfd
 *	3140	W 7, 4 bytes wide: rings, as an event signalled to connection 0x2345 does. Every
 *		other write: counts as another
 *	3144	R rings since reset
 *	3148	R others since reset
 *	314c	W vector: processor 0 gets it soon after a ring; 0: none. R 1: the engine watches
 *		the eventfd itself, 0: it comes through the lines' ring
 *
 *	the latch: 4 KiB at fe800000 that keep what is written, 1 to 8 bytes at a time
 *
 * Thread: loop thread. The disk's work is done after its start command was answered, so that the
 * guest runs meanwhile.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

struct guest_memory;
struct loop;
struct test_devices;
struct worker_end;

/* The parts; then, with hv there, their ports and addresses. */
int test_devices_new(struct worker_end *end, struct guest_memory *gm, struct loop *loop,
		     struct test_devices **ret_devices, struct err *err) MUST_CHECK;
int test_devices_connect(struct test_devices *devices, struct err *err) MUST_CHECK;
void test_devices_free(struct test_devices *devices);
void test_devices_reset(struct test_devices *devices);
