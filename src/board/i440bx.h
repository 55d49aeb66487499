/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The north bridge as firmware wants it: host bridge with the programmable attribute map (PAM), by
 * which 13 pieces of memory from 768 KiB to 1 MiB are ROM, or RAM that may or may not be written.
 *
 *	59	F0000-FFFFF (bits 4-5)
 *	5a-5f	C0000-EFFFF: two pieces of 16 KiB a byte, the lower one in bits 0-1
 *		bit 0 (4): reads go to RAM; bit 1 (5): writes do
 *
 * At power-on all of it is ROM. A piece whose writes alone go to RAM is taken for RAM: firmware
 * copies itself by other addresses. Specification: Intel 82441FX and 82443BX, register PAM.
 *
 * 1. i440bx_init; 2. pci_bus_add, of its function; the bus resets, saves and restores it.
 * Thread: the loop's.
 */
#pragma once

#include "base/inspect.h"
#include "board/pci.h"

#define I440BX_PIECES 13

enum i440bx_kind { I440BX_ROM, I440BX_READ_ONLY, I440BX_RAM };

struct i440bx {
	struct pci_function function;
	enum i440bx_kind piece[I440BX_PIECES];
	/* The piece has another kind now. */
	void (*map)(void *owner, unsigned piece, gpa_t gpa, u64 size,
		    enum i440bx_kind kind);
	void *owner;
};

void i440bx_init(struct i440bx *bridge,
		 void (*map)(void *owner, unsigned piece, gpa_t gpa, u64 size,
			     enum i440bx_kind kind),
		 void *owner);
/* All pieces once more, whatever they were: hv was told nothing yet. */
void i440bx_map_all(struct i440bx *bridge);
void i440bx_inspect(const struct i440bx *bridge, struct inspect *out);
