/* SPDX-License-Identifier: Apache-2.0 */
/* Between code.c and code_vector.c: instructions as bytes, to the end of the present fragment. */
#pragma once

#include "system.h"

/* Of the present fragment: 16, 32, 64. */
extern unsigned bits;

void byte(unsigned v);
void bytes(u64 v, unsigned count); /* from the lowest on */

/* Prefixes, then what `opcode` bytes (from the lowest on) say, ModRM with a memory operand. */
void memory(unsigned prefix, bool w, u32 opcode, unsigned opcode_size, unsigned reg);
void set_register(unsigned reg, u64 v);
void push_number(u64 v, unsigned size);

/* Families in code_vector.c. */
void vector(void);
void x87(void);
void touched(bool written, bool aligned, u32 last, u32 opcode, unsigned reg);
