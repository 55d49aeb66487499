/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine of x86_machine.h with privilege: kernel and user segments, a TSS, an IDT whose 256
 * handlers are each a HLT in ring 0, pages that the user may touch. Registers are looked at as the
 * handler finds them, and the frame where it lies.
 *
 *	struct machine *m AUTO_MACHINE = rings_new(64);
 *
 *	ASSERT(m);
 *	machine_code(m, CODE("int3"));
 *	rings_user(m);
 *	ASSERT_EQ(rings_run(m), 3);
 *	ASSERT_EQ(rings_frame(m, 1), RINGS_USER_CODE);
 */
#pragma once

#include "x86_machine.h"

/* Selectors. In 64-bit machines USER_CODE is 32-bit (compatibility) code, USER_CODE64 64-bit. */
#define RINGS_CODE 0x08
#define RINGS_DATA 0x10
#define RINGS_USER_CODE 0x1b
#define RINGS_USER_DATA 0x23
#define RINGS_USER_CODE64 0x2b
#define RINGS_TSS 0x30
#define RINGS_FREE 0x40 /* from here to 0xf8: the test's, two slots each for long mode */

#define RINGS_GDT 0x60000u
#define RINGS_IDT 0x61000u
#define RINGS_HANDLERS 0x62000u
#define RINGS_TSS_BASE 0x63000u
#define RINGS_STACK0 0x50000u /* ring 0's, from the TSS */
#define RINGS_IST1 0x58000u

#define RINGS_SYSCALL 0x80 /* the gate that ring 3 may use */

#define RINGS_ELSEWHERE (-1) /* halted, in no handler */
#define RINGS_DIED (-2)	     /* triple fault */

/* bits: 64, 32. */
struct machine *rings_new(unsigned bits);

/* Registers as for ring 3: 64-bit code in a 64-bit machine. After machine_code(). */
void rings_user(struct machine *m);

/* Put code somewhere else than machine_code() does. */
void rings_code_at(struct machine *m, u64 address, struct machine_code code);

/* Run; the vector whose handler halted, or RINGS_.... Failing to run at all gives -3. */
int rings_run(struct machine *m);

/* Slot n of the handler's stack, 4 or 8 bytes a slot. */
u64 rings_frame(const struct machine *m, unsigned n);

/* A descriptor of the GDT; and a gate of the IDT (type with P and DPL, as byte 5). */
void rings_descriptor(struct machine *m, u16 selector, u64 raw, u64 high);
u64 rings_read_descriptor(const struct machine *m, u16 selector);
void rings_gate(struct machine *m, unsigned vector, u16 selector, u64 offset, u8 type,
		unsigned ist);

/* A segment descriptor from its parts; flags are G, D, L, AVL (high nibble of byte 6). */
u64 rings_segment(u32 base, u32 limit, u8 type, u8 flags);

void rings_put(struct machine *m, u64 address, u64 value, unsigned size);
u64 rings_get(const struct machine *m, u64 address, unsigned size);
