/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x87, MMX, SSE, AVX: who holds the registers when, and what the files of this part share.
 *
 * How it works
 *	The host is the same kind of processor as the guest, so nearly every vector instruction is
 *	executed by the host: thunk.c re-encodes it with fixed registers into a small routine
 *	that loads the XMM/YMM registers it uses from c->v, runs the instruction, and stores the
 *	result. vector.c decides; vector_move.c has handlers in C for the most frequent moves;
 *	vector_mask.c does masked moves and gathers element by element, since their faults
 *	are; x87.c and xsave.c have the environment and state images.
 *
 * Where state lives while the VP runs (x86_vector_enter .. x86_vector_leave)
 *	XMM/YMM: c->v. x87/MMX: the host's registers: our C code uses neither, and signal handlers
 *	are given registers of their own by the kernel. A handler that must not be disturbed by a
 *	pending x87 exception never executes a waiting x87 instruction itself.
 *	MXCSR: while its control bits are the ordinary ones (all exceptions masked, round to
 *	nearest, no FTZ, no DAZ) the guest's value is in the host's register all the time: our C
 *	code does no floating point while the VP runs, and its conversions would not differ.
 *	Otherwise c->mxcsr holds it, and thunks that depend on it load it around the instruction.
 *	FIP, FDP, FOP: kept in software, since the host's would be addresses of our own.
 *
 * Exceptions of the arithmetic (#XM, #MF) arrive as SIGFPE with RIP in a thunk: the handler sends the thread to
 * a routine that raises the exception in the guest. So they are exact: they are the host's.
 *
 * Specification: Intel SDM volume 1 chapters 8 to 14, volume 2; AMD APM volumes 1, 4, 5.
 * Thread: the VP's.
 */
#pragma once

#include "base/err.h"
#include "x86/cpu.h"

struct x86_decoded;

#define MXCSR_DEFAULT 0x1f80u
#define MXCSR_FLAGS 0x003fu
#define MXCSR_VALID 0xffffu /* AMD's misaligned mode (bit 17) is not in our model */

/* c->vector_features */
#define X86_HAS_SSE3 BIT(0)
#define X86_HAS_SSSE3 BIT(1)
#define X86_HAS_SSE41 BIT(2)
#define X86_HAS_SSE42 BIT(3)
#define X86_HAS_AES BIT(4)
#define X86_HAS_PCLMUL BIT(5)
#define X86_HAS_AVX BIT(6)
#define X86_HAS_F16C BIT(7)
#define X86_HAS_FMA BIT(8)
#define X86_HAS_AVX2 BIT(9)
#define X86_HAS_SHA BIT(10)
#define X86_HAS_XSAVE BIT(11)
#define X86_HAS_XSAVEOPT BIT(12)
#define X86_HAS_XSAVEC BIT(13)
#define X86_HAS_VAES BIT(15)
#define X86_HAS_VPCLMUL BIT(16)
#define X86_HAS_GFNI BIT(17)
#define X86_HAS_FCS_GONE BIT(18) /* CPUID.7.EBX[13]: FCS and FDS are saved as 0 */
#define X86_HAS_FDP_LAZY \
	BIT(19) /* CPUID.7.EBX[6]: FDP changes at unmasked exceptions only */

/*
 * Once a process, before the jail closes and before the first vp_run: code memory for thunks and
 * the SIGFPE handler. May be called again; then it does nothing.
 */
int x86_vector_open(struct err *err) MUST_CHECK;

/* Once a VP, when it is made: what the CPUID model allows. */
void x86_vector_init(struct x86_cpu *c);

/* From s.xsave into the places above, and back; every vp_run is between the two. */
void x86_vector_enter(struct x86_cpu *c);
void x86_vector_leave(struct x86_cpu *c);

/* The guest's MXCSR, wherever it is. Set: the value was checked against MXCSR_VALID. */
u32 x86_mxcsr_get(const struct x86_cpu *c);
void x86_mxcsr_set(struct x86_cpu *c, u32 value);

/* x87 power-on state, also FNINIT's: host registers and software pointers. */
void x87_init(struct x86_cpu *c);

/* ---- between the files of this part ----------------------------------------------------------- */

/*
 * Memory operands. vector_read gives a pointer to size bytes: the guest's page itself, or
 * c->scratch where the operand crosses pages or is no plain memory. 16-byte aligned guest
 * addresses give 16-byte aligned pointers, and scratch always is.
 */
const void *vector_read_slow(struct x86_cpu *c, const struct x86_insn *i, gva_t a,
			     unsigned size);

void vector_write_slow(struct x86_cpu *c, const struct x86_insn *i, gva_t a,
		       const void *from, unsigned size);

/* A #GP(0) for an operand that is not aligned. */
NORETURN NOINLINE COLD void vector_misaligned(struct x86_cpu *c,
					      const struct x86_insn *i);

/* Where the operand is; i->rm is its alignment - 1. The alignment comes before the segment's limit (measured
 * on Zen 4). */
static ALWAYS_INLINE gva_t vector_address(struct x86_cpu *c, const struct x86_insn *i,
					  unsigned size, bool write)
{
	const bool slow = UNLIKELY(i->flags & X86_INSN_SLOW_EA);
	const gva_t a = slow ? x86_ea_offset(c, i) + c->seg_base[i->seg]
			     : x86_ea_fast(c, i);

	if (UNLIKELY(a & i->rm))
		vector_misaligned(c, i);
	return slow ? x86_ea_slow(c, i, size, write) : a;
}

static inline void *vector_scratch(struct x86_cpu *c)
{
	return (void *)(((uintptr_t)c->scratch + 31) & ~(uintptr_t)31);
}

static ALWAYS_INLINE bool vector_hit(u64 tag, const struct x86_cpu *c, gva_t a,
				     unsigned size)
{
	return LIKELY((((a + size - 1) & ~0xfffull) | c->key) == tag);
}

static ALWAYS_INLINE const void *vector_read(struct x86_cpu *c, const struct x86_insn *i,
					     gva_t a, unsigned size)
{
	const struct x86_tlb_entry *e = x86_tlb_at(c, a);

	if (vector_hit(e->read_tag, c, a, size))
		return (const void *)(a + e->addend);
	return vector_read_slow(c, i, a, size);
}

static ALWAYS_INLINE void vector_write(struct x86_cpu *c, const struct x86_insn *i,
				       gva_t a, const void *from, unsigned size)
{
	const struct x86_tlb_entry *e = x86_tlb_at(c, a);

	if (vector_hit(e->write_tag, c, a, size)) {
		memcpy((void *)(a + e->addend), from, size);
		if (UNLIKELY(atomic_load_explicit(e->code, memory_order_relaxed)))
			x86_code_written(c, a, size);
		return;
	}
	vector_write_slow(c, i, a, from, size);
}

/* In i->flags (LOCK means nothing here): a waiting x87 or MMX instruction, whose #MF comes before
 * faults of its operand. The thunk itself raises #MF; this is for the slow paths before it. */
#define VECTOR_WAITS X86_INSN_LOCK
void x87_wait(struct x86_cpu *c, const struct x86_insn *i);

/* Choosers of the other files; d is an allowed instruction of theirs. */
bool vector_choose_thunk(const struct x86_decoded *d, struct x86_insn *i);
bool vector_choose_move(const struct x86_decoded *d, struct x86_insn *i);
bool vector_choose_mask(const struct x86_decoded *d, struct x86_insn *i);
bool x87_choose(const struct x86_decoded *d, struct x86_insn *i);
bool xsave_choose(const struct x86_decoded *d, struct x86_insn *i);
bool xsave_is(const struct x86_decoded *d);

/* Handlers that raise what the state of the processor demands. */
void vector_raise_ud(struct x86_cpu *c, const struct x86_insn *i);
void vector_raise_nm(struct x86_cpu *c, const struct x86_insn *i);

/* An image of the x87 registers in FXSAVE's format, with the guest's pointers; and back. */
struct fxsave_image {
	u16 fcw, fsw;
	u8 ftw, reserved;
	u16 fop;
	u64 fip, fdp;
	u32 mxcsr, mxcsr_mask;
	u8 st[8][16];
	u8 xmm[16][16];
	u8 unused[96];
} __attribute__((aligned(16)));
_Static_assert(sizeof(struct fxsave_image) == 512, "FXSAVE area");

/* All but MXCSR and XMM. */
void x87_save(struct x86_cpu *c, struct fxsave_image *image);
void x87_load(struct x86_cpu *c, const struct fxsave_image *image);
