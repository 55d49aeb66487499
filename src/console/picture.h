/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a machine shows, for who looks at it: a source of pixels, and hands that reach into the machine.
 * The machine implements both (machine/screen.c); the RFB server uses them and knows no device.
 */
#pragma once

#include "base/types.h"

#define PICTURE_MOST 4096u /* pixels each way */

struct picture_area {
	u32 x, y, width, height;
};

struct picture_source {
	/* false: nothing is shown at present. Neither is 0 nor more than PICTURE_MOST. */
	bool (*size)(void *owner, u32 *ret_width, u32 *ret_height);
	/* A line of XRGB, as wide as size() says. Negative: there is none. */
	int (*line)(void *owner, u32 y, u32 *ret_pixels);
	/* What may have changed since the last call, inside of size(); false: nothing. */
	bool (*dirt)(void *owner, struct picture_area *ret_area);
	/* Somebody looks from now on, or nobody does. */
	void (*watch)(void *owner, bool on);
};

struct picture_hands {
	/* A key of console/keys.h goes down or up. */
	void (*key)(void *owner, u16 key, bool down);
	/*
	 * The pointer is at a pixel of a screen of that size; buttons: bits, left, right, middle, back,
	 * forward; wheel: notches, away from the user positive.
	 */
	void (*point)(void *owner, u32 x, u32 y, u32 width, u32 height, u8 buttons,
		      int wheel);
};
