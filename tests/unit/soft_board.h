/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A board for tests of the processor: engine_soft on a bus that is an array. Guest code is
 * written as assembly in the test file itself:
 *
 *	GUEST_CODE(adds, "mov $2, %eax; add $3, %eax; hlt");
 *	...
 *	ASSERT_OK(board_start(&m, 1));
 *	board_put(&m, CODE, &adds);
 *	board_long_mode(&m, 0, CODE);
 *	ASSERT_EQ(board_run(&m, 0), ENGINE_HALTED);
 *	ASSERT_EQ(m.state[0].gpr[R_AX], 5);
 *
 * board_long_mode: 64-bit, CPL 0, paging identity (2 MiB pages of 1 GiB, writable and user), a GDT and an
 * IDT whose 32 exception handlers write their vector to port 0xf4 and halt: board_exception() then
 * tells which came. Memory is 16 MiB at 0; ROM (writes dropped) at ROM; MMIO from MMIO on.
 */
#pragma once

#include "harness.h"

#include <pthread.h>

#include "hv/engine.h"

/* unit-soft is the interpreter alone, unit-soft-translated is built with 1. */
#ifndef BOARD_TRANSLATES
#define BOARD_TRANSLATES 0
#endif

#define RAM_SIZE 0x1000000ull
#define ROM 0x1000000ull /* one page, copied from m->rom */
#define MMIO 0x2000000ull

/* Where board_long_mode puts things. */
#define GDT 0x500
#define PML4 0x1000
#define PDPT 0x2000
#define PD 0x3000
#define PT 0x4000 /* not linked: for tests that want 4 KiB pages, see board_page() */
#define IDT_BASE 0x6000
#define HANDLERS 0x7000
#define CODE 0x10000
#define STACK 0x20000 /* top */
#define DATA 0x30000
/* The linear addresses of board_page(): the 2 MiB from here on are mapped by PT. */
#define PAGES 0x40000000ull

#define SEL_CODE 0x08
#define SEL_DATA 0x10
#define SEL_USER_CODE 0x2b /* in SYSRET's order: data below code */
#define SEL_USER_DATA 0x23

#define BOARD_VPS 4

struct guest_code {
	const u8 *start, *end;
};

#define GUEST_CODE_BITS(name, bits, text)                                        \
	__asm__(".pushsection .rodata.guest\n.balign 64\n.code" #bits "\n" #name \
		"_start:\n" text "\n" #name "_end:\n.code64\n.popsection");      \
	extern const u8 name##_start[], name##_end[];                            \
	static const struct guest_code name = { name##_start, name##_end }
#define GUEST_CODE(name, text) GUEST_CODE_BITS(name, 64, text)

struct board {
	u8 *ram;
	u8 rom[4096];
	_Atomic u8 *code_map, *dirty_map;
	bool log_dirty;
	struct engine_vm *vm;
	struct board_vp {
		struct board *board;
		struct engine_vp *vp;
		unsigned index;
		pthread_t thread;   /* that runs it */
		_Atomic int vector; /* what interrupt_take gives once; -1 none */
	} vp[BOARD_VPS];
	unsigned vp_count;
	struct vp_state state[BOARD_VPS]; /* set before, read after board_run */
	/* What the guest wrote to ports and MMIO. */
	_Atomic u32 out_count;
	struct {
		u64 address;
		u64 value;
		unsigned size;
		bool mmio;
	} out[64];
	u64 in_value; /* what port and MMIO reads give */
	void (*on_out)(struct board *m, u16 port, u32 value); /* may be NULL */
};

bool board_start(struct board *m, unsigned vps) MUST_CHECK;
void board_stop(struct board *m);

void board_put(struct board *m, u64 at, const struct guest_code *code);
void board_long_mode(struct board *m, unsigned vp, u64 rip);
/* The same for 32-bit protected mode without paging, and for real mode with CS = base >> 4. */
void board_protected_mode(struct board *m, unsigned vp, u32 eip);
void board_real_mode(struct board *m, unsigned vp, u32 base);
/* CPL 3 in what board_long_mode made. */
void board_user_mode(struct board *m, unsigned vp);
/* Map linear PAGES + n * 4096 with this page-table entry. */
void board_page(struct board *m, unsigned n, u64 pte);

/* m->state[vp] in, run until something else than a kick, m->state[vp] out. */
enum engine_exit board_run(struct board *m, unsigned vp);
/* Go on without setting the state. */
enum engine_exit board_continue(struct board *m, unsigned vp);

/* The vector that the handlers reported last, or -1. The frame's words: error code first if it has. */
int board_exception(const struct board *m);
u64 board_stack(const struct board *m, unsigned vp, unsigned word);

static inline u64 board_read64(const struct board *m, u64 at)
{
	u64 v;

	memcpy(&v, m->ram + at, 8);
	return v;
}
static inline void board_write64(struct board *m, u64 at, u64 v)
{
	memcpy(m->ram + at, &v, 8);
}
