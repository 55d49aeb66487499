/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hyperv_keyboard, hid_hyperv and hyperv_fb of the mini-guest: open the channels, say what those drivers
 * say, and take what comes. The host's clock stands until it is told to move.
 */
#pragma once

#include "base/clock.h"
#include "miniguest/miniguest.h"
#include "vsp/keyboard.h"
#include "vsp/mouse.h"
#include "vsp/video.h"

#define MINIDESK_VRAM (8u << 20)

enum minidesk_device { DESK_KEYBOARD, DESK_MOUSE, DESK_VIDEO, DESK_DEVICES };

struct minidesk {
	struct mini *mini;
	struct manual_clock clock;
	struct keyboard keyboard;
	struct mouse mouse;
	struct video video;
	u8 *vram;
	gpa_t mapped;  /* where the host has put VRAM */
	gpa_t refused; /* an address where it may not */
	unsigned maps;
	unsigned changes; /* of the screen */
	struct mini_channel channel[DESK_DEVICES];
	u64 transaction;
	u8 packet[8192]; /* taken last, its payload */
	u32 packet_size;
	u16 packet_type;
};

struct minidesk *minidesk_new(void);
void minidesk_free(struct minidesk *m);

/* Connect and open all three channels. */
bool minidesk_start(struct minidesk *m);
/* The host's next packet; false: there is none. */
bool minidesk_take(struct minidesk *m, enum minidesk_device which);
/* A payload as it is, with a wish for a completion or without. */
bool minidesk_say(struct minidesk *m, enum minidesk_device which, const void *payload,
		  u32 size, bool completion);

/* The driver's first words, and the right answers to them. */
bool minidesk_start_keyboard(struct minidesk *m);
bool minidesk_start_mouse(struct minidesk *m);
/* Up to a frame buffer at gpa; false: that was refused. */
bool minidesk_start_video(struct minidesk *m, gpa_t gpa);
/* A message of the video driver's. */
bool minidesk_say_video(struct minidesk *m, enum video_message type, const void *body,
			u32 size);
bool minidesk_situation(struct minidesk *m, u32 width, u32 height, u32 pitch, u32 offset,
			u8 depth);

/* Time goes by; the host does what is due. */
void minidesk_advance(struct minidesk *m, u64 ns);
/* The whole host is another, from the state of this one. */
bool minidesk_move(struct minidesk *m);
/* Another host from a state. */
bool minidesk_restore(struct minidesk *m, const struct state_writer *w);
void minidesk_save(struct minidesk *m, struct state_writer *w);
