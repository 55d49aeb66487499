/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The EDID of our screen: VESA E-EDID 1.4, one block, one detailed timing with reduced blanking. Any
 * thread.
 */
#pragma once

#include "abi/video.h"
#include "base/types.h"

/* width and height: what it likes best, up to 4095 each. */
void edid_build(u32 width, u32 height, u8 ret_block[VIDEO_EDID_SIZE]);
