/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is left of the keyboard controller where no PS/2 is configured, and port 0x92: the
 * places where a PC has its reset line. No keyboard, no mouse, no interrupt.
 *
 *	60	data: answers of 0x20, 0xaa, 0xab, 0xd0; parameters of 0x60, 0xd1
 *	64	read: status (0 data waits); write: command. 0xfe (any 0xf0-0xfe with bit 0 clear)
 *		pulses reset, 0xd1 with bit 0 clear holds it
 *	92	bit 0: 0 to 1 resets; bit 1: A20, always on
 *
 * Thread: whoever holds the chipset lock; on_reset is called with it held.
 * Specification: IBM PS/2 hardware interface technical reference, keyboard controller.
 */
#pragma once

#include "base/types.h"
#include "hv/chips/chip.h"

struct i8042 {
	void (*on_reset)(void *owner);
	void *owner;
	u8 data;
	bool data_waits;
	u8 parameter_of; /* the command whose parameter comes next on 0x60; 0 = none */
	u8 configuration;
	u8 port92;
	u64 resets;
};

void i8042_init(struct i8042 *kbc, void (*on_reset)(void *owner), void *owner);
void i8042_reset(struct i8042 *kbc);

/* port: 0x60, 0x64, 0x92. */
u8 i8042_read(struct i8042 *kbc, u16 port);
void i8042_write(struct i8042 *kbc, u16 port, u8 value);

void i8042_save(const struct i8042 *kbc, void *block);
int i8042_restore(struct i8042 *kbc, const void *block) MUST_CHECK;
void i8042_inspect(const struct i8042 *kbc, struct inspect *out);
