/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of lock-step share: lockstep.c (the theory, running), lockstep_bus.c (what the two learn
 * from outside), lockstep_compare.c (where they differ). Thread: the VP's.
 */
#pragma once

#include "engine/soft/lockstep.h"

#define LOCKSTEP_ARITH 0x8d5u /* OF SF ZF AF PF CF */
#define LOCKSTEP_EVENTS 4096u
#define LOCKSTEP_STRING_BYTES 65536u
#define LOCKSTEP_SLOTS 64u
#define LOCKSTEP_TRAIL 24u

/* Something that the first one learned from outside, or told. */
struct lockstep_event {
	u8 kind;	/* lockstep_bus.c */
	unsigned size;	/* of an element */
	u64 where;	/* port, address, index */
	u64 value;	/* or where in `bytes` */
	unsigned count; /* elements of a string; of an MSR: 1, accepted */
};

/* A block that the second one was at, to be shown when the two have parted. */
struct lockstep_place {
	u64 rip, gpa;
	u32 mode;
	u16 bytes;
};

struct lockstep_trail {
	struct lockstep_place place[LOCKSTEP_TRAIL];
	u64 count; /* place[count % LOCKSTEP_TRAIL] is the next */
};

struct lockstep {
	struct x86_cpu cpu; /* the second one */
	struct x86_vm vm;
	struct engine_vp *vp; /* the first one */
	u8 *ram;	      /* the second one's */
	_Atomic u8 *code_map;
	u64 ram_size;
	struct engine_slot slot[LOCKSTEP_SLOTS];
	unsigned slots;
	bool begun;
	bool exact; /* the last meeting was: lockstep.c, "Loops" */

	struct lockstep_event event[LOCKSTEP_EVENTS];
	unsigned first, last; /* event[first..last): noted, not yet asked for */
	u8 bytes[LOCKSTEP_STRING_BYTES];
	unsigned bytes_used;

	struct lockstep_trail trail; /* since the last meeting */
	char words[512];	     /* why they parted; empty: they have not */

	/* counters */
	u64 meetings, compare_at; /* compare_at: when memories are to be compared next */
	u64 flags_taken;
};

/* ---- lockstep_bus.c ---- */

extern const struct x86_bus_ops lockstep_first_bus;  /* bus_vp: the VP */
extern const struct x86_bus_ops lockstep_second_bus; /* bus_vp: struct lockstep */

/* Is an interrupt the next that the second one has to meet? */
bool lockstep_interrupt_is_next(const struct lockstep *l);

/* ---- lockstep_compare.c ---- */

/* Registers that may differ from instruction to instruction; arithmetic flags are left out. */
bool lockstep_same_registers(const struct x86_cpu *a, const struct x86_cpu *b);

/* What the registers point to, as far as both have it at hand. */
bool lockstep_same_surroundings(const struct x86_cpu *a, const struct x86_cpu *b);

/* How many of these registers differ; into text, unless NULL: " rax 1 2", the VP's and the other's. */
unsigned lockstep_describe(const struct x86_cpu *a, const struct x86_cpu *b, char *text,
			   size_t size);

/* System registers and x87: the name of a difference, or NULL. */
const char *lockstep_system_difference(const struct x86_cpu *a, const struct x86_cpu *b);

/* Both memories, whole: l->words says where they differ. */
void lockstep_compare_memory(struct lockstep *l);

/* The second one takes over the first one's arithmetic flags; with frame also those that an exception
 * has just put onto the stack. true: they differed. */
bool lockstep_adopt_flags(struct lockstep *l, bool frame);
