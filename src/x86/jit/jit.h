/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The translator: guest code that runs often becomes host code, instruction by instruction the same
 * bytes, with glue where memory, control flow and the guest's privileges come in.
 *
 * How it fits in
 *	The interpreter counts how often a block (x86/cpu.h) is entered. At the threshold, region.c collects
 *	the block and what follows it within the page into a region, translate.c writes host code for it,
 *	and the block's first record becomes x86_jit_enter(). So whoever comes to the block, by a jump, a
 *	link or the run loop, comes to the translation. Every way out that is not another region leads
 *	to the interpreter, at a record: an instruction that is not translated, an access that misses the
 *	software TLB, a page of code that was written to, a host exception. The interpreter then does
 *	that instruction with all its exceptions and goes on until it meets a region again. Nothing of
 *	the architecture's exactness is therefore in the translator, and it can refuse anything.
 *
 * Where the guest's state is while translated code runs
 *	general registers	the host's, all sixteen, RSP too. A host stack does not exist meanwhile:
 *				signal handlers run on a stack of their own
 *	two scratch registers	glue needs two, T0 and T1. A region uses a pair that none of its instructions
 *				names, or few: "Homes"; the guest's values of the pair wait in c->r. Between regions the pair
 *				is R10 and R11; a region with another pair swaps at its ends, or where a jump
 *				is linked by a piece of code that goes from pair to pair (jit.c, bridge())
 *	flags			the host's, or in c->flags after glue has had to save them: see "flags"
 *	XMM, YMM, MXCSR		the host's once a region with vector code was entered (jit.vector_live)
 *	RIP			known from the place; the page's address is in jit.rip_page, so that code
 *				is independent of where its page is mapped: a region belongs to physical bytes
 *	struct x86_cpu		at the GS base
 *
 * Flags
 *	Glue destroys flags. Where they are live (an instruction of the region, or what comes after the region, may
 *	read them) they are first saved with LAHF and SETO; where an instruction reads them they are
 *	loaded back. Liveness is exact within the region, and everything is live where it is left.
 *	Entries: one takes them in the host's register, one in c->flags. When the region's first instructions
 *	overwrite them unread, the two are one.
 *
 * Memory
 *	An access looks its page up in the interpreter's TLB (c->tlb): nine instructions, which leave in
 *	T0 the addend from linear to host address. Accesses of the same region through a base that has only
 *	been moved by constants are covered by one look-up of the whole range ("fact"), for writing if one
 *	of them writes; a range that crosses a page misses. A store is followed by a look at the page's byte
 *	in the code map. A miss first looks into c->large, pages of 2 MiB, and fills the TLB from there
 *	without leaving (jit_large_routine). Through RSP it first compares with the page that RSP met last, in a
 *	loop with the page that the same place met last; an inner loop whose addresses move by the same few
 *	bytes in each round looks once for many rounds. region.h: "How a region looks pages up", "Rounds".
 *
 * Homes
 *	A region whose instructions name so many registers that no two are left takes the two that are named
 *	least. The guest's values stay in c->r. An instruction that names one gets it loaded right before, when
 *	its glue is done, and stored right after. T0 holds a host address then if there is a memory operand,
 *	so it is one that is not named beside such; addresses load T1 when they are made.
 *
 * Worked example: "mov 8(%rdi), %rax; add $1, 16(%rdi)" with T0 = R10, T1 = R11, flags dead
 *	lea 8(%rdi), %r11			first byte of the range 8..23, to be written to
 *	lea 15(%r11), %r10			last byte
 *	shr $7, %r11d; and $0xffe0, %r11d	entry of the TLB (the kernel adds tlb_base)
 *	and $~0xfff, %r10; or %gs:key, %r10	what its tag must be
 *	cmp %gs:tlb.write_tag(%r11), %r10; jne miss
 *	mov %gs:tlb.addend(%r11), %r10; mov %r10, %gs:slot
 *	mov %gs:tlb.code(%r11), %r11; mov %r11, %gs:code
 *	mov 8(%rdi,%r10), %rax			the guest's, with another operand
 *	add $1, 16(%rdi,%r10)
 *	cmpb $0, (%r11); jne code_was_written
 *
 * Dropping
 *	A region dies with any of its blocks: its entries are overwritten by jumps to an exit, so that nobody
 *	who links to it need be known. Its memory comes back when the VP's cache is flushed whole.
 *
 * Exactness: flags that are overwritten unread are not kept, so that a fault in between shows others
 * than the processor would.
 *
 * Interrupts: a region looks at c->attention when it loops (after some rounds of an inner loop) and when it is entered, but by a direct jump to a
 * region whose head lies behind its own: these alone make no circle.
 *
 * Everything here belongs to the VP's thread; a VP has its own translations, as its own records.
 */
#pragma once

#include "base/err.h"
#include "x86/cpu.h"

/* Entries of a block before it is translated. 0: at once (tests). */
extern u32 x86_jit_threshold;

/*
 * Cycles for each look-up of a kind below which a region does little else, and from one look-up that missed
 * for more than its access to the next below which they matter: region.h. `steady`: from one time that a loop
 * went on after its rounds to the next; UINT64_MAX: every loop is taken for one that does. Tests let them
 * be many.
 */
extern struct x86_jit_patience {
	u64 sticky, large, steady, overreach;
} x86_jit_patience;

/* Once a VP, before the jail closes; size is the code memory in bytes. 0, or negative errno with err. */
int x86_jit_new(struct x86_cpu *c, size_t size, struct err *err) MUST_CHECK;
void x86_jit_free(struct x86_cpu *c);

/*
 * On the VP's thread before the jail closes: its signal stack. Without it, or where the CPU lacks what
 * we need (FSGSBASE, BMI), nothing is translated.
 */
int x86_jit_thread_start(struct x86_cpu *c) MUST_CHECK;

/* Around x86_run on that thread. */
void x86_jit_run_begin(struct x86_cpu *c);

/* The memory of all that is decoded and translated goes back to the host. Between runs, on the VP's thread. */
void x86_jit_give_back(struct x86_cpu *c);

/* With x86_cache_flush: all regions are gone. */
void x86_jit_flush(struct x86_cpu *c);

/* The block dies, and with it the region that it is the head of; all others of a region lie in the same
 * page and die at the same time. REQUIRES(b->region). */
void x86_jit_block_killed(struct x86_cpu *c, struct x86_block *b);

/* Can the translator do something with this instruction? If not, its block ends behind it, so that
 * what follows can be a region of its own. */
struct x86_decoded;
bool x86_jit_knows(const struct x86_decoded *d);

/* ---- between the files of this part --------------------------------------------------------- */

/* First record of a block that has a translation. */
void x86_jit_enter(struct x86_cpu *c, const struct x86_insn *i);
void x86_jit_hot(struct x86_cpu *c, const struct x86_insn *i);

/* SIGSEGV, SIGBUS or SIGFPE: was it the guest's, in translated code? Then the context is changed so that
 * the thread leaves that code. Async-signal-safe. */
bool x86_jit_signal(void *context);
