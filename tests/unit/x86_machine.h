/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small machine around one processor of the software engine, for tests of instructions.
 *
 * Memory: 1 MiB of RAM at 0, linear = physical. In 64-bit mode paging is on, a page table entry a
 * page, so that a test can take a page away (machine_page). Code is put at MACHINE_CODE and ends
 * in HLT; each of the 32 exceptions has a handler that is a HLT, so a run ends with
 * machine.vector telling how: MACHINE_HALTED, or the exception with its code, RIP and CR2.
 *
 *	struct machine *m AUTO_MACHINE = machine_new(64);
 *
 *	ASSERT(m);
 *	machine_code(m, CODE("shl $0, %eax"));
 *	m->s.gpr[R_AX] = ~0ull;
 *	ASSERT_OK(machine_run(m));
 */
#pragma once

#include "harness.h"

#include "hv/engine.h"

#define MACHINE_RAM 0x100000u
#define MACHINE_CODE 0x10000u
#define MACHINE_DATA 0x20000u  /* 16 pages, zero at first */
#define MACHINE_STACK 0x40000u /* grows down from here; RSP at the start */

#define MACHINE_HALTED (-1)
#define MACHINE_DIED (-2) /* triple fault */
#define MACHINE_SPUN (-3) /* kicked: only if a test asks for it */

struct machine {
	/* Registers before and after a run; rip and the stack are set by machine_code(). */
	struct vp_state s;

	/* How the last run ended; after an exception s has the registers of its moment. */
	int vector;
	u32 error_code;
	u64 fault_rip, fault_cr2;

	u8 *ram;
	unsigned bits; /* 16, 32, 64 */

	/* The last string of bytes written to a port, and what the next read gives. */
	u8 port_data[8192];
	unsigned port_size;

	struct engine_vm *vm;
	struct engine_vp *vp;
	_Atomic u8 *code_map, *dirty_map;
};

/*
 * Code of a test: a string of instructions, AT&T syntax, for CODE, CODE32 and CODE16. It is put
 * among the constants, under a name of its own.
 */
struct machine_code {
	const u8 *bytes;
	unsigned size;
};
/* clang-format off */
#define CODE_NAMED(name, mode, text) ({                                                 \
	extern const u8 name[] __attribute__((visibility("hidden")));                   \
	extern const u8 name##_end[] __attribute__((visibility("hidden")));             \
	/* Once, even where the compiler makes two copies of the function. */                \
	__asm__ volatile(".pushsection .rodata\n.ifndef " #name "\n" #name ":\n" mode    \
			 "\n" text "\nhlt\n.code64\n" #name "_end:\n.endif\n.popsection"); \
	(struct machine_code){ name, (unsigned)(name##_end - name) }; })
#define CODE_NUMBERED(number, mode, text) CODE_NAMED(code_##number, mode, text)
#define CODE_IN_MODE(number, mode, text) CODE_NUMBERED(number, mode, text)
/* clang-format on */
#define CODE(text) CODE_IN_MODE(__COUNTER__, ".code64", text)
#define CODE32(text) CODE_IN_MODE(__COUNTER__, ".code32", text)
#define CODE16(text) CODE_IN_MODE(__COUNTER__, ".code16", text)

/* bits: 64 (long mode), 32 (protected, flat, no paging), 16 (real mode). NULL: no memory. */
struct machine *machine_new(unsigned bits);
void machine_free(struct machine *m);
static inline void machine_cleanup(struct machine **m)
{
	machine_free(*m);
}
#define AUTO_MACHINE __attribute__((cleanup(machine_cleanup)))

/* Put code in place and RIP, RSP and flags at their start; other registers stay. */
void machine_code(struct machine *m, struct machine_code code);

/* 64 bits only: present and writable bits of the page of an address. */
void machine_page(struct machine *m, u64 address, bool present, bool writable);

/* Run to the end of the code or to an exception. */
bool machine_run(struct machine *m);

/* A case in few words: a machine with code in it, registers, the run. */
#define START(bits_, code_)                                  \
	struct machine *m AUTO_MACHINE = machine_new(bits_); \
	ASSERT(m);                                           \
	machine_code(m, code_)
#define RUN() ASSERT_OK(machine_run(m))
#define RUN_TO_END()                                  \
	do {                                          \
		ASSERT_OK(machine_run(m));            \
		ASSERT_EQ(m->vector, MACHINE_HALTED); \
	} while (0)
#define REG(r) (m->s.gpr[R_##r])

static inline u64 machine_u64(const struct machine *m, u64 address)
{
	u64 v;

	memcpy(&v, m->ram + address, 8);
	return v;
}
