/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Screen, keyboard and mouse as a PC with a BIOS has them: VGA (board/vga.h) and the keyboard controller
 * (board/ps2.h), joined to the wall. The desk shows and uses them where the guest has no driver for the
 * synthetic ones (yet).
 *
 *	1. pc_desk_new
 *	2. pc_desk_connect	hv is there: ports, the window at A0000
 *	3. pc_desk_due		at the time that pc_desk_when says
 *	4. pc_desk_reset, pc_desk_save, pc_desk_restore at any time
 *	5. pc_desk_free
 *
 * A screen is looked at PC_DESK_RATE times a second while somebody watches: what the guest writes into
 * memory that is mapped nobody tells us. In text modes that is a comparison of the characters.
 *
 * Thread: the loop's.
 */
#pragma once

#include "board/ps2.h"
#include "board/vga.h"
#include "console/picture.h"

struct worker_end;

#define PC_DESK_RATE 30u

struct pc_desk_config {
	struct worker_end *end;
	const struct clock *clock;
	u8 *vram; /* the VRAM region: the frame buffer and VGA_TEXT_SIZE more */
	u32 frame_size;
	u32 slot;		    /* of the wall, for the window */
	void (*reset)(void *owner); /* the guest resets the machine by its keyboard */
	void (*changed)(void *owner);
	void (*leds)(void *owner, u16 leds);
	void (*wake)(void *owner); /* what pc_desk_when says has changed */
	void *owner;
};

struct pc_desk;

int pc_desk_new(const struct pc_desk_config *config, struct pc_desk **ret_desk)
	MUST_CHECK;
void pc_desk_free(struct pc_desk *desk);
int pc_desk_connect(struct pc_desk *desk, struct err *err) MUST_CHECK;

u64 pc_desk_when(const struct pc_desk *desk);
void pc_desk_due(struct pc_desk *desk);

/* As in console/picture.h. */
bool pc_desk_size(const struct pc_desk *desk, u32 *ret_width, u32 *ret_height);
int pc_desk_line(const struct pc_desk *desk, u32 y, u32 *ret_pixels) MUST_CHECK;
bool pc_desk_take_dirt(struct pc_desk *desk, struct picture_area *ret_area);
void pc_desk_watch(struct pc_desk *desk, bool on);
bool pc_desk_text(const struct pc_desk *desk, char *ret_text, size_t size);

void pc_desk_type(struct pc_desk *desk, const struct stroke *stroke, unsigned count,
		  ps2_done_fn done, void *owner);
void pc_desk_hold(struct pc_desk *desk, u16 key, bool down);
/* x and y: 0 to most, of the screen's width and height. */
void pc_desk_point(struct pc_desk *desk, u32 x, u32 y, u32 most, int wheel, u8 buttons);

void pc_desk_reset(struct pc_desk *desk);
void pc_desk_save(const struct pc_desk *desk, struct state_writer *writer);
int pc_desk_restore(struct pc_desk *desk, const u8 *bytes, size_t size) MUST_CHECK;
void pc_desk_inspect(const struct pc_desk *desk, struct inspect *out);
