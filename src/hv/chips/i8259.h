/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pair of 8259A interrupt controllers: master at 0x20, slave at 0xa0 on the master's line 2,
 * edge/level registers of the EISA days at 0x4d0.
 *
 *	20, a0	write	bit 4: ICW1; else bit 3: OCW3; else OCW2
 *		read	IRR or ISR, as OCW3 chose; the poll byte after a poll command
 *	21, a1	write	ICW2, ICW3, ICW4 after an ICW1; else OCW1 (mask)
 *		read	mask
 *	4d0, 4d1	1 = level-triggered; lines 0, 1, 2, 8, 13 are always edge-triggered
 *
 * The master's output is a chip_pin: LINT0 of the LAPICs hangs on it. Whoever takes the
 * interrupt calls i8259_ack.
 *
 * Thread: whoever holds the chipset lock; output is called with it held.
 * Specification: Intel 8259A data sheet (231468-003); 82371AB (PIIX4) for ELCR.
 */
#pragma once

#include "base/types.h"
#include "hv/chips/chip.h"

#define I8259_LINES 16

struct i8259_half {
	u8 lines; /* levels of the inputs */
	u8 irr;	  /* latched edges, and levels */
	u8 isr;
	u8 mask;
	u8 elcr;
	u8 base;	 /* vector of line 0 */
	u8 lowest;	 /* the line of lowest priority: 7 unless rotated */
	u8 icw_expected; /* 0 = none, else which ICW the next data write is: 2, 3, 4 */
	bool icw4_follows;
	bool single; /* ICW1: no cascade, no ICW3 */
	bool auto_eoi, rotate_on_auto_eoi;
	bool special_mask, special_fully_nested;
	bool read_isr, poll;
	bool level_all; /* ICW1 LTIM */
	bool ready;	/* an ICW sequence has been finished since power-on */
};

struct i8259 {
	struct chip_pin output;
	struct i8259_half half[2];
	bool output_level;
	u64 acks, spurious;
};

void i8259_init(struct i8259 *pic, const struct chip_pin *output);
void i8259_reset(struct i8259 *pic);

/* port: 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1. Other ports read all ones. */
u8 i8259_read(struct i8259 *pic, u16 port);
void i8259_write(struct i8259 *pic, u16 port, u8 value);

/* line 0-15; 2 has no device (the slave is there). */
void i8259_set_line(struct i8259 *pic, unsigned line, bool level);

static inline bool i8259_pending(const struct i8259 *pic)
{
	return pic->output_level;
}

/* Interrupt acknowledge: the vector; line 7's when nothing is there any more (spurious). */
u8 i8259_ack(struct i8259 *pic);

void i8259_save(const struct i8259 *pic, void *block);
int i8259_restore(struct i8259 *pic, const void *block) MUST_CHECK;
void i8259_inspect(const struct i8259 *pic, struct inspect *out);
