/* SPDX-License-Identifier: Apache-2.0 */
/* Ports 0xe9 and 0xf4: debug_port.h. Under the chipset lock. */
#include "hv/chips/debug_port.h"

#include "abi/board.h"

void debug_port_init(struct debug_port *debug,
		     void (*on_text)(void *owner, const u8 *bytes, size_t size),
		     void (*on_exit)(void *owner, u32 value), void *owner)
{
	memset(debug, 0, sizeof *debug);
	debug->on_text = on_text;
	debug->on_exit = on_exit;
	debug->owner = owner;
}

void debug_port_reset(struct debug_port *debug)
{
	debug_port_flush(debug);
}

void debug_port_flush(struct debug_port *debug)
{
	if (debug->used && debug->on_text)
		debug->on_text(debug->owner, debug->line, debug->used);
	debug->used = 0;
}

static void put(struct debug_port *debug, u8 character)
{
	debug->characters++;
	if (character == '\n') {
		/* An empty line is a line. */
		if (debug->used == 0 && debug->on_text)
			debug->on_text(debug->owner, debug->line, 0);
		debug_port_flush(debug);
		return;
	}
	debug->line[debug->used++] = character;
	if (debug->used == DEBUG_PORT_LINE)
		debug_port_flush(debug);
}

u32 debug_port_read(struct debug_port *debug, u16 port, unsigned size)
{
	if (port == BOARD_PORT_DEBUG_TEXT)
		return 0xe9;
	return size >= 4 ? UINT32_MAX : (1u << size * 8) - 1;
}

void debug_port_write(struct debug_port *debug, u16 port, unsigned size, u32 value)
{
	if (port == BOARD_PORT_DEBUG_TEXT)
		put(debug, (u8)value);
	else if (port == BOARD_PORT_DEBUG_EXIT && debug->on_exit)
		debug->on_exit(debug->owner,
			       size >= 4 ? value : value & ((1u << size * 8) - 1));
}

void debug_port_inspect(const struct debug_port *debug, struct inspect *out)
{
	inspect_line(out, "characters", "%llu", (unsigned long long)debug->characters);
	inspect_line(out, "exit port", "%s", debug->on_exit ? "there" : "absent");
}
