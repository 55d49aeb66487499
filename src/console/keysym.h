/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys (console/keys.h) of what RFB clients call them. Pure, any thread.
 */
#pragma once

#include "console/keys.h"

/*
 * The key that types an X keysym on a us keyboard, whatever else is held; 0: there is none. Who sends
 * keysyms sends Shift as a key of its own.
 */
u16 key_of_keysym(u32 keysym);
/* A key's number in QEMU's extended key event: scan code set 1, the byte 0xe0 as the highest bit. 0: none. */
u16 key_of_qemu(u32 number);
