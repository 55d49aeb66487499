/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two debugging ports: 0xe9, where a write is a character of text (Bochs invented it; it
 * reads as 0xe9 so that the guest can find it), and 0xf4, where a write ends the VM
 * (--debug-exit). Text is gathered into lines.
 *
 * Thread: whoever holds the chipset lock; the callbacks are called with it held.
 */
#pragma once

#include "base/types.h"
#include "hv/chips/chip.h"

#define DEBUG_PORT_LINE 256

struct debug_port {
	/* A line (without its end), or a piece of one that is too long. Guest's bytes: not text yet. */
	void (*on_text)(void *owner, const u8 *bytes, size_t size);
	/* A write to 0xf4. NULL: the port is not there. */
	void (*on_exit)(void *owner, u32 value);
	void *owner;
	u8 line[DEBUG_PORT_LINE];
	unsigned used;
	u64 characters;
};

void debug_port_init(struct debug_port *debug,
		     void (*on_text)(void *owner, const u8 *bytes, size_t size),
		     void (*on_exit)(void *owner, u32 value), void *owner);
void debug_port_reset(struct debug_port *debug);

/* port: 0xe9, 0xf4; size 1, 2, 4. */
u32 debug_port_read(struct debug_port *debug, u16 port, unsigned size);
void debug_port_write(struct debug_port *debug, u16 port, unsigned size, u32 value);

/* Give out what waits without a line end (the VM ends). */
void debug_port_flush(struct debug_port *debug);
void debug_port_inspect(const struct debug_port *debug, struct inspect *out);
