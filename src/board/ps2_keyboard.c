/* SPDX-License-Identifier: Apache-2.0 */
/* A PS/2 keyboard; see ps2.h. */
#include "board/ps2.h"

#define ACK 0xfau
#define RESEND 0xfeu
#define PASSED 0xaau
#define BREAK 0xf0u

enum {
	SET_LEDS = 0xed,
	ECHO = 0xee,
	SCAN_SET = 0xf0,
	IDENTIFY = 0xf2,
	SET_RATE = 0xf3,
	ENABLE = 0xf4,
	DISABLE = 0xf5,
	DEFAULTS = 0xf6,
	ASK_AGAIN = 0xfe,
	RESET = 0xff,
};

/* Set 1's make code of set 2's, 0x00 to 0x7f; and of F7 and SysRq, which set 2 has at 0x83 and 0x84. */
static const u8 set_1_of_2[128] = {
	0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e,
	0x0f, 0x29, 0x59, 0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71,
	0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b, 0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04,
	0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d, 0x69, 0x31, 0x30, 0x23,
	0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f, 0x6b,
	0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19,
	0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c,
	0x1b, 0x75, 0x2b, 0x63, 0x76, 0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b,
	0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, 0x52, 0x53, 0x50, 0x4c, 0x4d,
	0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};
#define F7_SET_1 0x41u
#define F7_SET_2 0x83u
#define SYSRQ_SET_1 0x54u
#define SYSRQ_SET_2 0x84u

u8 ps2_translate(u8 byte)
{
	if (byte < 128)
		return set_1_of_2[byte];
	return byte == F7_SET_2 ? F7_SET_1 : byte == SYSRQ_SET_2 ? SYSRQ_SET_1 : byte;
}

/* 0: set 2 has no such key. */
static u8 set_2_of_1(u8 make)
{
	if (make == F7_SET_1)
		return F7_SET_2;
	if (make == SYSRQ_SET_1)
		return SYSRQ_SET_2;
	for (u8 k = 1; k < 128; k++)
		if (set_1_of_2[k] == make)
			return k;
	return 0;
}

static void set_defaults(struct ps2_keyboard *k)
{
	k->set = 2;
	k->rate = 0x2b;
	k->command = 0;
}

void ps2_keyboard_reset(struct ps2_keyboard *k)
{
	k->queue.count = 0;
	k->leds = 0;
	k->scans = true;
	set_defaults(k);
}

static void answer(struct ps2_keyboard *k, u8 byte)
{
	k->last = byte;
	ps2_queue_put(&k->queue, byte);
}

bool ps2_keyboard_key(struct ps2_keyboard *k, u16 key, bool down)
{
	u8 make = key & 0x7f, code = k->set == 1 ? make : set_2_of_1(make);

	if (!k->scans || code == 0)
		return false;
	if (ps2_queue_room(&k->queue) < 8) {
		k->lost++;
		return false;
	}
	if (key & (KEY_E0 | KEY_E1))
		ps2_queue_put(&k->queue, key & KEY_E0 ? 0xe0 : 0xe1);
	if (!down && k->set == 2)
		ps2_queue_put(&k->queue, BREAK);
	answer(k, !down && k->set == 1 ? code | 0x80 : code);
	return true;
}

static void take_argument(struct ps2_keyboard *k, u8 byte)
{
	u8 command = k->command;

	k->command = 0;
	if (command == SET_LEDS)
		k->leds = byte & 7;
	if (command == SET_RATE)
		k->rate = byte & 0x7f;
	if (command == SCAN_SET && byte > 2) {
		answer(k, RESEND);
		return;
	}
	answer(k, ACK);
	if (command == SCAN_SET && byte == 0)
		answer(k, k->set);
	else if (command == SCAN_SET)
		k->set = byte;
}

void ps2_keyboard_write(struct ps2_keyboard *k, u8 byte)
{
	if (k->command && byte < ECHO - 1) {
		take_argument(k, byte);
		return;
	}
	k->command = 0;
	switch (byte) {
	case SET_LEDS:
	case SET_RATE:
	case SCAN_SET:
		k->command = byte;
		answer(k, ACK);
		return;
	case ECHO:
		answer(k, ECHO);
		return;
	case IDENTIFY:
		answer(k, ACK);
		answer(k, 0xab);
		answer(k, 0x83);
		return;
	case ENABLE:
		k->queue.count = 0;
		k->scans = true;
		answer(k, ACK);
		return;
	case DISABLE:
	case DEFAULTS:
		set_defaults(k);
		k->queue.count = 0;
		k->scans = byte == DEFAULTS;
		answer(k, ACK);
		return;
	case ASK_AGAIN:
		answer(k, k->last);
		return;
	case RESET:
		ps2_keyboard_reset(k);
		answer(k, ACK);
		answer(k, PASSED);
		return;
	default:
		answer(k, RESEND);
		return;
	}
}
