/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VGA: IBM's registers, text, planar and packed modes, and the extension of Bochs for modes with a linear
 * frame buffer. vga_show.c makes pictures of it.
 *
 * Memory. The first 256 KiB of VRAM are the four planes, the byte at an offset in each plane side by side:
 *
 *	VRAM	 0: plane 0, offset 0 | 1: plane 1, offset 0 | 2 | 3 | 4: plane 0, offset 1 | ...
 *
 * so that what a guest writes in chain-4 modes and by VBE is VRAM as it is, and is mapped into the
 * window at A0000 directly. In text modes the guest sees planes 0 and 1 alternating, which is not
 * how they lie here: while the registers are such that text is plain memory, it lies in a piece of
 * its own behind the frame buffer (the text piece), which is mapped, and planes 0 and 1 are copied from
 * and to it when that begins and ends. Else each access comes here (vga_memory_read, _write).
 *
 *	registers say			window			where planes 0 and 1 are
 *	VBE, 8 bits or more		mapped: the bank	-
 *	chain 4				mapped: VRAM		VRAM
 *	odd/even, plain			mapped: text piece	text piece
 *	anything else, fonts too	not mapped: accesses	VRAM
 *
 * Writes to CRTC, attribute controller and DAC and into the window change values alone and may be
 * posted; sequencer, graphics controller, MISC and VBE move the window and may not.
 *
 * Specification: IBM VGA technical reference; vbe_display_api.txt of Bochs. Not there: pel
 * panning, blinking (a cursor stands still), interrupts at retrace.
 *
 * Thread: the loop's.
 */
#pragma once

#include "abi/vga.h"
#include "base/clock.h"
#include "base/inspect.h"
#include "base/types.h"

struct state_writer;

#define VGA_PLANES_SIZE (256u << 10)
#define VGA_TEXT_SIZE (128u << 10)
#define VGA_WINDOW 0xa0000u
#define VGA_WINDOW_SIZE (128u << 10)
#define VGA_MOST 4096u /* pixels each way */
#define VGA_MOST_COLUMNS 256u

struct vga_config {
	u8 *vram; /* the frame buffer, and behind it VGA_TEXT_SIZE for the text piece */
	u32 vram_size; /* of the frame buffer; 1 MiB or more, a multiple of 64 KiB */
	const struct clock *clock;
	/* Show VRAM from offset on at gpa, and nothing else in the window; size 0: nothing at all. */
	int (*map)(void *owner, gpa_t gpa, u32 size, u32 offset);
	void *owner;
};

struct vga {
	struct vga_config config;
	u8 misc, feature;
	u8 attribute_index;
	bool attribute_data; /* the next write to 3c0 is a value */
	u8 attribute[32];
	u8 sequencer_index, sequencer[8];
	u8 graphics_index, graphics[16];
	u8 crtc_index, crtc[256];
	u8 dac[256][3];
	u8 dac_mask, dac_read, dac_write, dac_part;
	bool dac_reads; /* the last index written was for reading */
	u8 latch[4];
	u16 vbe_index, vbe[VBE_COUNT];
	/* the window as it is mapped */
	gpa_t window;
	u32 window_size, window_offset;
	bool text_piece; /* planes 0 and 1 lie there */
	u64 changes;	 /* of what registers and accesses show */
	struct {
		u64 port_reads, port_writes, reads, writes, maps, copies;
	} counts;
};

void vga_init(struct vga *vga, const struct vga_config *config);
/* As at power-on, which is a text mode of 80 by 25 without a font. Memory stays. */
void vga_reset(struct vga *vga);
/* hv was told nothing yet, or all anew: the window as it should be. */
void vga_map(struct vga *vga);

/* A port from VGA_PORT or VBE_PORT on; size 1 or 2, 4 at VBE's. */
u32 vga_port_read(struct vga *vga, u16 port, unsigned size);
void vga_port_write(struct vga *vga, u16 port, unsigned size, u32 value);
/* offset from A0000, size 1 to 8; not called where the window is mapped. */
u64 vga_memory_read(struct vga *vga, u32 offset, unsigned size);
void vga_memory_write(struct vga *vga, u32 offset, unsigned size, u64 value);

/* ---- what it shows (vga_show.c) ---- */

struct vga_mode {
	enum { VGA_BLANK, VGA_TEXT, VGA_PLANAR, VGA_CGA, VGA_256, VGA_VBE } kind;
	u32 width, height; /* 0: VGA_BLANK */
	u32 columns, rows; /* of text */
};
/* False: numbers that make no picture. */
bool vga_mode(const struct vga *vga, struct vga_mode *ret_mode);
/* A line of that mode, XRGB. */
void vga_line(const struct vga *vga, const struct vga_mode *mode, u32 y, u32 *ret_pixels);
/*
 * The text on the screen in UTF-8, a line a row, blanks at their ends left out. False: no text mode, or
 * it does not fit.
 */
bool vga_text(const struct vga *vga, char *ret_text, size_t size);

/* A character cell of a text mode: its code and attribute. */
u16 vga_cell(const struct vga *vga, u32 offset);

/* State, a record "vga"; VRAM's contents are not in it. Restore maps the window. -EPROTO. */
void vga_save(const struct vga *vga, struct state_writer *writer);
int vga_restore(struct vga *vga, const u8 *bytes, size_t size) MUST_CHECK;
void vga_inspect(const struct vga *vga, struct inspect *out);
