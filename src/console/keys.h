/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys as a keyboard knows them: places, not letters. A key is the make code of scan code set 1, with
 * KEY_E0 where that byte stands before it. A stroke is some keys that are pressed one after the
 * other and then released in the reverse order: a letter with its Shift.
 */
#pragma once

#include "base/types.h"

#define KEY_E0 0x100u
#define KEY_E1 0x200u

/* A key of a stroke of one that is only pressed, or only released: somebody's finger is on it. */
#define KEY_PRESSED 0x400u
#define KEY_RELEASED 0x800u

#define STROKE_KEYS 8

struct stroke {
	u8 count;
	u16 key[STROKE_KEYS];
};

/* Some keys that are named here and elsewhere. */
#define KEY_CTRL 0x1du
#define KEY_SHIFT 0x2au
#define KEY_ALT 0x38u
#define KEY_ALTGR (KEY_E0 | 0x38u)
#define KEY_SPACE 0x39u
#define KEY_ENTER 0x1cu
#define KEY_TAB 0x0fu
#define KEY_BACKSPACE 0x0eu
#define KEY_ESCAPE 0x01u
