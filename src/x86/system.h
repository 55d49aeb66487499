/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The privileged architecture, as its files see each other: register bits, descriptors, stacks,
 * events. Private to src/x86; what the run loop and the MMU ask for is in cpu.h.
 *
 *	system.c	chooses the handlers; flags, HLT, CPUID, TSC and other single instructions
 *	mode.c		c->mode, bases, privilege; what follows from a change of them
 *	segment.c	descriptors and segment registers
 *	far.c		far jumps, calls and returns, call gates
 *	interrupt.c	exceptions, interrupts, INT n		iret.c	the way back
 *	task.c		task switches
 *	fast_call.c	SYSCALL, SYSENTER and their returns
 *	control_regs.c	CR0-CR8, XCR0		msr.c	model-specific registers
 *	debug.c		DR0-DR7, breakpoints, single step
 *	port.c		IN, OUT, permission bitmap
 *
 * Everything here may raise (longjmp) unless it says not; then nothing was changed but what the text
 * of the architecture lets change. `i` is NULL between instructions.
 * Thread: the VP's.
 */
#pragma once

#include "x86/cpu.h"

/* ---- register bits --------------------------------------------------------------------------- */
#define X86_CR0_PE BIT64(0)
#define X86_CR0_MP BIT64(1)
#define X86_CR0_EM BIT64(2)
#define X86_CR0_TS BIT64(3)
#define X86_CR0_ET BIT64(4)
#define X86_CR0_NE BIT64(5)
#define X86_CR0_WP BIT64(16)
#define X86_CR0_AM BIT64(18)
#define X86_CR0_NW BIT64(29)
#define X86_CR0_CD BIT64(30)
#define X86_CR0_PG BIT64(31)
#define X86_CR4_TSD BIT64(2)
#define X86_CR4_DE BIT64(3)
#define X86_CR4_PSE BIT64(4)
#define X86_CR4_PAE BIT64(5)
#define X86_CR4_PGE BIT64(7)
#define X86_CR4_PCE BIT64(8)
#define X86_CR4_OSFXSR BIT64(9)
#define X86_CR4_UMIP BIT64(11)
#define X86_CR4_FSGSBASE BIT64(16)
#define X86_CR4_PCIDE BIT64(17)
#define X86_CR4_OSXSAVE BIT64(18)
#define X86_CR4_SMEP BIT64(20)
#define X86_CR4_SMAP BIT64(21)
#define X86_EFER_SCE BIT64(0)
#define X86_EFER_LME BIT64(8)
#define X86_EFER_LMA BIT64(10)
#define X86_EFER_NXE BIT64(11)
#define X86_EFER_AUTO_IBRS BIT64(21)
#define X86_DR6_BD BIT64(13)
#define X86_DR6_BS BIT64(14)
#define X86_DR6_BT BIT64(15)
#define X86_DR7_GD BIT64(13)

static inline bool x86_protected(const struct x86_cpu *c)
{
	return c->s.cr0 & X86_CR0_PE;
}
static inline bool x86_v86(const struct x86_cpu *c)
{
	return c->eflags & X86_VM;
}
/* IA-32e mode: 64-bit and compatibility mode. */
static inline bool x86_lma(const struct x86_cpu *c)
{
	return c->s.efer & X86_EFER_LMA;
}
static inline bool x86_canonical(u64 a)
{
	return (u64)((s64)(a << 16) >> 16) == a;
}
static inline unsigned x86_iopl(const struct x86_cpu *c)
{
	return (c->eflags >> 12) & 3;
}

/* #GP(0) unless CPL is 0 (in real mode it is). */
static inline void x86_need_cpl0(struct x86_cpu *c, const struct x86_insn *i)
{
	if (UNLIKELY(c->cpl))
		x86_raise_code(c, i, X86_GP, 0);
}

/* An exception with a selector for its code; EXT is added during delivery. */
NORETURN void x86_raise_selector(struct x86_cpu *c, const struct x86_insn *i, u8 vector,
				 u16 selector);

/* ---- descriptors ----------------------------------------------------------------------------- */
enum {
	X86_TYPE_TSS16 = 1,
	X86_TYPE_LDT = 2,
	X86_TYPE_TSS16_BUSY = 3,
	X86_TYPE_CALL16 = 4,
	X86_TYPE_TASK_GATE = 5,
	X86_TYPE_INT16 = 6,
	X86_TYPE_TRAP16 = 7,
	X86_TYPE_TSS32 = 9,
	X86_TYPE_TSS32_BUSY = 11,
	X86_TYPE_CALL32 = 12,
	X86_TYPE_INT32 = 14,
	X86_TYPE_TRAP32 = 15,
};

/* A descriptor as it stands in its table. */
struct x86_descriptor {
	u64 raw;
	u64 high; /* second half of a 16-byte one (x86_read_descriptor16) */
	gva_t at; /* where it was read */
};

static inline unsigned x86_d_type(const struct x86_descriptor *d)
{
	return (d->raw >> 40) & 15;
}
static inline bool x86_d_s(const struct x86_descriptor *d)
{
	return d->raw & BIT64(44);
}
static inline unsigned x86_d_dpl(const struct x86_descriptor *d)
{
	return (d->raw >> 45) & 3;
}
static inline bool x86_d_present(const struct x86_descriptor *d)
{
	return d->raw & BIT64(47);
}
static inline bool x86_d_long(const struct x86_descriptor *d)
{
	return d->raw & BIT64(53);
}
static inline bool x86_d_db(const struct x86_descriptor *d)
{
	return d->raw & BIT64(54);
}
static inline bool x86_d_code(const struct x86_descriptor *d)
{
	return x86_d_s(d) && (d->raw & BIT64(43));
}
static inline bool x86_d_conforming(const struct x86_descriptor *d)
{
	return d->raw & BIT64(42);
}
static inline bool x86_d_writable_data(const struct x86_descriptor *d)
{
	return x86_d_s(d) && !(d->raw & BIT64(43)) && (d->raw & BIT64(41));
}
/* Of a call, interrupt, trap or task gate. */
static inline u16 x86_gate_selector(const struct x86_descriptor *d)
{
	return (u16)(d->raw >> 16);
}
static inline u64 x86_gate_offset(const struct x86_descriptor *d)
{
	return (d->raw & 0xffff) | ((d->raw >> 32) & 0xffff0000);
}

u64 x86_d_base(const struct x86_descriptor *d);	 /* low 32 bits' worth */
u32 x86_d_limit(const struct x86_descriptor *d); /* in bytes */
struct vp_segment x86_d_segment(const struct x86_descriptor *d, u16 selector);
static inline bool x86_null(u16 selector)
{
	return !(selector & 0xfffc);
}

/* false: outside its table, or there is no LDT. Memory may fault. */
bool x86_read_descriptor(struct x86_cpu *c, const struct x86_insn *i, u16 selector,
			 struct x86_descriptor *ret_d);
/* The upper half too, in IA-32e mode; false: outside, or its type bits are not 0. */
bool x86_read_descriptor16(struct x86_cpu *c, const struct x86_insn *i, u16 selector,
			   struct x86_descriptor *ret_d);
/* Set A in the table (and in *d) unless it is set. */
void x86_mark_accessed(struct x86_cpu *c, const struct x86_insn *i,
		       struct x86_descriptor *d);

/* Checks of a descriptor about to become SS at privilege cpl; raises with `vector` (#GP or #TS) and #SS. */
void x86_check_ss(struct x86_cpu *c, const struct x86_insn *i, u16 selector, unsigned cpl,
		  u8 vector, struct x86_descriptor *ret_d);
/* MOV, POP and the like to ES, SS, DS, FS, GS, in any mode. */
void x86_load_segment(struct x86_cpu *c, const struct x86_insn *i, unsigned seg,
		      u16 selector);
/* For task.c: with #TS for bad selectors. */
void x86_load_data_segment(struct x86_cpu *c, const struct x86_insn *i, unsigned seg,
			   u16 selector, u8 vector);
/* LLDT, and task.c's with #TS. */
void x86_load_ldt(struct x86_cpu *c, const struct x86_insn *i, u16 selector, u8 vector);
/* After CPL grew: data segments that it may not have become null. Never raises. */
void x86_drop_privileged_segments(struct x86_cpu *c);
/* A real-mode or virtual-8086 value. Never raises. */
void x86_set_real_segment(struct x86_cpu *c, unsigned seg, u16 selector);

/* ---- stacks ----------------------------------------------------------------------------------
 * A stack being pushed on or popped from, before any of it becomes the register's. Faults are
 * #SS(error). Accesses are the supervisor's when `system`.
 */
struct x86_stack {
	u64 base, sp, mask;
	u32 limit;
	u16 attr;
	bool wide; /* 64-bit: canonical, no limit */
	bool system;
	u16 error;
};

struct x86_stack x86_stack_now(const struct x86_cpu *c);
/* The stack of a segment that is about to be SS, for code that is 64-bit or not, at `cpl`. */
struct x86_stack x86_stack_of(const struct x86_cpu *c, const struct vp_segment *ss,
			      u64 sp, bool wide, unsigned cpl, u16 error);
void x86_stack_push(struct x86_cpu *c, const struct x86_insn *i, struct x86_stack *st,
		    unsigned size, u64 value);
u64 x86_stack_pop(struct x86_cpu *c, const struct x86_insn *i, struct x86_stack *st,
		  unsigned size);
/*
 * The next `count` words. In protected mode the highest is read first, so that it is the one that faults
 * (measured for RETF and IRET on Zen 4).
 */
void x86_stack_pop_frame(struct x86_cpu *c, const struct x86_insn *i,
			 struct x86_stack *st, unsigned size, unsigned count,
			 u64 *ret_words);
/* Room for `bytes` more? Raises #SS when not; touches nothing. */
void x86_stack_room(struct x86_cpu *c, const struct x86_insn *i,
		    const struct x86_stack *st, unsigned bytes);
/* RSP of a stack: only the bits that its width owns change. Never raises. */
void x86_stack_commit(struct x86_cpu *c, const struct x86_stack *st);

/* ---- far transfers --------------------------------------------------------------------------- */

/* #GP(0 or EXT) when offset is outside a code segment about to be entered. */
void x86_check_offset(struct x86_cpu *c, const struct x86_insn *i,
		      const struct x86_descriptor *cs, u64 offset);
/* CS from its descriptor, with RPL = cpl, and the privilege itself. Never raises. */
void x86_set_cs(struct x86_cpu *c, const struct x86_descriptor *d, u16 selector,
		unsigned cpl);
/* SS of IA-32e mode after a change of privilege. Never raises. */
void x86_set_null_ss(struct x86_cpu *c, u16 selector, unsigned cpl);
/* The checks of far RET and IRET on the CS they popped; raises. */
void x86_check_return_cs(struct x86_cpu *c, const struct x86_insn *i, u16 selector,
			 struct x86_descriptor *ret_d);
/* Their checks on the SS they popped, going to code `cs` at its RPL. false: a null one, allowed. */
bool x86_check_return_ss(struct x86_cpu *c, const struct x86_insn *i,
			 const struct x86_descriptor *cs, u16 cs_selector, u16 ss,
			 struct x86_descriptor *ret_d);

/* SS:SP for a privilege level from the TSS; raises #TS. */
void x86_tss_stack(struct x86_cpu *c, const struct x86_insn *i, unsigned cpl, u16 *ret_ss,
		   u64 *ret_sp);
/* IA-32e mode: RSPn (slot = privilege level) or ISTn (slot = 3 + n). */
u64 x86_tss_stack64(struct x86_cpu *c, const struct x86_insn *i, unsigned slot);

enum x86_task_reason { X86_TASK_JUMP, X86_TASK_CALL, X86_TASK_RETURN };

/*
 * Switch to the task of a TSS selector that came from a far transfer, a task gate, an event or
 * (RETURN) the back link. Makes all checks; next_rip is what the old task saves. Afterwards c->rip is
 * the new task's, and an exception belongs to it. `code` is pushed on its stack when given.
 */
void x86_task_switch(struct x86_cpu *c, const struct x86_insn *i, u16 selector,
		     enum x86_task_reason reason, u64 next_rip, const u32 *code);

/* ---- events ---------------------------------------------------------------------------------- */

/* INT n, INT3, INTO, INT1 by instruction i: c->rip is the handler's afterwards. */
void x86_software_interrupt(struct x86_cpu *c, const struct x86_insn *i, u8 vector,
			    u8 type);
/* Raise #DB for a trap at an instruction boundary, with these bits of DR6. */
NORETURN void x86_raise_trap(struct x86_cpu *c, u32 dr6);
/* Loads of RFLAGS by POPF and IRET: which bits may change. */
u64 x86_flags_mask(const struct x86_cpu *c, unsigned osz);
/* Flags from a task or a return: RF only matters while breakpoints are armed. Never raises. */
void x86_load_flags(struct x86_cpu *c, u64 flags);

void x86_dr7_changed(struct x86_cpu *c);
/* A port access: I/O breakpoints. */
void x86_watch_port(struct x86_cpu *c, u16 port, unsigned size);

/* ---- MSRs: msr.c; false: #GP ----------------------------------------------------------------- */
bool x86_msr_read(struct x86_cpu *c, u32 index, u64 *ret_value);
bool x86_msr_write(struct x86_cpu *c, u32 index, u64 value);
u64 x86_tsc(const struct x86_cpu *c);

/* ---- handlers, chosen by system.c ------------------------------------------------------------ */
#define X86_HANDLER(name) void name(struct x86_cpu *c, const struct x86_insn *i)

/* extra: operand size in bytes, and whether the operand is memory */
#define X86_EXTRA_MEM 0x100
#define X86_EXTRA_SIZE 0x0ff
#define X86_EXTRA_WIDE \
	0x200 /* the register form writes this width and not the operand size */

X86_HANDLER(x86_mov_from_segment);
X86_HANDLER(x86_mov_to_segment);
X86_HANDLER(x86_push_segment);
X86_HANDLER(x86_pop_segment);
X86_HANDLER(x86_load_far_pointer);
X86_HANDLER(x86_lgdt);
X86_HANDLER(x86_lidt);
X86_HANDLER(x86_sgdt);
X86_HANDLER(x86_sidt);
X86_HANDLER(x86_lldt);
X86_HANDLER(x86_ltr);
X86_HANDLER(x86_sldt);
X86_HANDLER(x86_str);
X86_HANDLER(x86_lar);
X86_HANDLER(x86_lsl);
X86_HANDLER(x86_verr);
X86_HANDLER(x86_verw);
X86_HANDLER(x86_arpl);
X86_HANDLER(x86_far_jump);
X86_HANDLER(x86_far_call);
X86_HANDLER(x86_far_return);
X86_HANDLER(x86_iret);
X86_HANDLER(x86_int);
X86_HANDLER(x86_int3);
X86_HANDLER(x86_into);
X86_HANDLER(x86_int1);
X86_HANDLER(x86_syscall);
X86_HANDLER(x86_sysret);
X86_HANDLER(x86_sysenter);
X86_HANDLER(x86_sysexit);
X86_HANDLER(x86_mov_from_cr);
X86_HANDLER(x86_mov_to_cr);
X86_HANDLER(x86_mov_from_dr);
X86_HANDLER(x86_mov_to_dr);
X86_HANDLER(x86_smsw);
X86_HANDLER(x86_lmsw);
X86_HANDLER(x86_clts);
X86_HANDLER(x86_xgetbv);
X86_HANDLER(x86_xsetbv);
X86_HANDLER(x86_rdmsr);
X86_HANDLER(x86_wrmsr);
X86_HANDLER(x86_in);
X86_HANDLER(x86_out);
