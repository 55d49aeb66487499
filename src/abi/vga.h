/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VGA as guests know it: IBM's registers by their indices, and the extension of Bochs ("VBE dispi") by which
 * the VGA BIOS of SeaBIOS sets modes with a linear frame buffer. No behaviour.
 */
#pragma once

#define VGA_PORT 0x3b0u
#define VGA_PORT_COUNT 0x30u
#define VGA_PORT_ATTRIBUTE 0x3c0u
#define VGA_PORT_ATTRIBUTE_READ 0x3c1u
#define VGA_PORT_MISC 0x3c2u /* read: input status 0 */
#define VGA_PORT_SEQUENCER 0x3c4u
#define VGA_PORT_DAC_MASK 0x3c6u
#define VGA_PORT_DAC_READ 0x3c7u /* read: what the DAC does */
#define VGA_PORT_DAC_WRITE 0x3c8u
#define VGA_PORT_DAC 0x3c9u
#define VGA_PORT_MISC_READ 0x3ccu
#define VGA_PORT_GRAPHICS 0x3ceu
#define VGA_PORT_CRTC 0x3d4u /* 3b4 where MISC says monochrome */
#define VGA_PORT_STATUS 0x3dau

#define VBE_PORT 0x1ceu /* index, then data at 1cf; data at 1d0 too */
#define VBE_PORT_COUNT 3u

#define VGA_MISC_COLOUR 0x01u
#define VGA_MISC_RAM 0x02u

/* Attribute controller */
#define VGA_AR_MODE 0x10u
#define VGA_AR_MODE_GRAPHICS 0x01u
#define VGA_AR_MODE_LINE_GRAPHICS 0x04u
#define VGA_AR_MODE_BLINK 0x08u
#define VGA_AR_MODE_SELECT 0x80u
#define VGA_AR_PLANES 0x12u
#define VGA_AR_SELECT 0x14u
#define VGA_AR_COUNT 0x15u
#define VGA_AR_INDEX_SHOW 0x20u

/* Sequencer */
#define VGA_SR_CLOCKING 1u
#define VGA_SR_CLOCKING_8 0x01u
#define VGA_SR_CLOCKING_HALF 0x08u
#define VGA_SR_CLOCKING_OFF 0x20u
#define VGA_SR_MAP_MASK 2u
#define VGA_SR_FONT 3u
#define VGA_SR_MEMORY 4u
#define VGA_SR_MEMORY_NO_ODD_EVEN 0x04u
#define VGA_SR_MEMORY_CHAIN_4 0x08u
#define VGA_SR_COUNT 5u

/* Graphics controller */
#define VGA_GR_SET 0u
#define VGA_GR_ENABLE_SET 1u
#define VGA_GR_COMPARE 2u
#define VGA_GR_ROTATE 3u
#define VGA_GR_READ_PLANE 4u
#define VGA_GR_MODE 5u
#define VGA_GR_MODE_READ_COMPARE 0x08u
#define VGA_GR_MODE_ODD_EVEN 0x10u
#define VGA_GR_MISC 6u
#define VGA_GR_MISC_GRAPHICS 0x01u
#define VGA_GR_DONT_CARE 7u
#define VGA_GR_BIT_MASK 8u
#define VGA_GR_COUNT 9u

/* CRT controller */
#define VGA_CR_DISPLAY_END 0x01u
#define VGA_CR_OVERFLOW 0x07u
#define VGA_CR_SCAN 0x09u
#define VGA_CR_CURSOR_START 0x0au
#define VGA_CR_CURSOR_END 0x0bu
#define VGA_CR_START_HIGH 0x0cu
#define VGA_CR_START_LOW 0x0du
#define VGA_CR_CURSOR_HIGH 0x0eu
#define VGA_CR_CURSOR_LOW 0x0fu
#define VGA_CR_PROTECT 0x11u
#define VGA_CR_VERTICAL_END 0x12u
#define VGA_CR_OFFSET 0x13u
#define VGA_CR_MODE 0x17u
#define VGA_CR_LINE_COMPARE 0x18u
#define VGA_CR_COUNT 0x19u

/* VBE dispi */
enum vbe_register {
	VBE_ID,
	VBE_WIDTH,
	VBE_HEIGHT,
	VBE_BITS,
	VBE_ENABLE,
	VBE_BANK,
	VBE_VIRTUAL_WIDTH,
	VBE_VIRTUAL_HEIGHT,
	VBE_X,
	VBE_Y,
	VBE_MEMORY, /* units of 64 KiB */
	VBE_COUNT,
};
#define VBE_ID_0 0xb0c0u
#define VBE_ID_5 0xb0c5u
#define VBE_ENABLED 0x01u
#define VBE_CAPABILITIES 0x02u /* reads give the most that there is */
#define VBE_DAC_8 0x20u
#define VBE_NO_CLEAR 0x80u
