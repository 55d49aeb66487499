/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interpreter's processor: registers where they are hot, the software TLB, the decoded-code
 * cache's handle, and the few calls that instruction handlers are made of. Private to src/x86 and
 * engine/soft.
 *
 * How an instruction runs
 *	decode.c turns bytes into a block: an array of struct x86_insn, each with its handler. The run
 *	loop (run.c) finds the block for CS:RIP and calls the first handler; a handler ends with
 *	NEXT(c, i), a tail call to the next record's handler, so the chain runs on the hardware's
 *	return-free jumps. The last record of every block leaves to the loop.
 *
 * Faults
 *	A handler that meets a guest exception calls x86_raise(): it does not return, it longjmps to the
 *	run loop, which delivers the exception. So a handler changes no register before its last
 *	access that can fault. RIP is not kept up to date: it is r[R_BLOCK] + i->offset, which is why
 *	everything that can fault takes `i`. No lock is held when something can raise.
 *
 * How a handler ends (all are macros that return)
 *	NEXT(c, i)		the following record: the usual case
 *	NEXT_BY_LOOP(c, i)	the same where the handler has a local in memory
 *	X86_JUMP(c, i)		direct branch taken: i->disp and i->imm as x86_decode_branch() left them.
 *				Links blocks of one page directly. Checks the target (#GP) before it goes
 *	X86_GOTO(c, i, rip)	indirect branch or return, to an offset in CS that the handler has
 *				checked with x86_check_target(); goes on without the run loop
 *	X86_LEAVE(c, i, rip)	to the run loop, which looks at everything (events, mode, step): after
 *				whatever may have changed mode, IF, TF, activity or the interrupt shadow
 *	X86_LEAVE_NEXT(c, i)	the same with the following instruction
 *	A conditional branch that is not taken ends with NEXT: the end record follows it.
 *	Records that do anything but NEXT have X86_INSN_ENDS. (A REP string instruction that wants to
 *	be interrupted may X86_LEAVE with its own RIP without that flag.)
 *
 * Events
 *	The run loop takes interrupts, NMIs and traps between blocks: see "events" below.
 *	STI and MOV SS put VP_SHADOW_... into c->interrupt_shadow and X86_LEAVE_NEXT: the loop then takes
 *	nothing before the next block, and clears it. HLT: c->s.activity = VP_HALTED and X86_LEAVE_NEXT.
 *
 * Flags
 *	The six arithmetic flags are kept as LAHF + SETO leave them: c->ah has SF ZF AF PF CF in their
 *	places (bits 7 6 4 2 0), c->of is 0 or 1. Everything else of RFLAGS is in c->eflags.
 *
 * Threads: everything here belongs to the VP's thread, but `attention` and what is marked so.
 */
#pragma once

/* Tables aligned by hand. */
/* clang-format off */

#include <setjmp.h>
#include <stdatomic.h>

#include "base/types.h"
#include "wall/vp_state.h"
#include "x86/bus.h"

struct x86_cpu;
struct x86_insn;
struct x86_block;

typedef void (*x86_fn)(struct x86_cpu *c, const struct x86_insn *i);

/* Register file indexes beyond the sixteen general ones. */
enum {
	R_ZERO = 16, /* always 0: no base, no index */
	R_BLOCK = 17, /* RIP (offset in CS) of the block's first byte; RIP-relative operands */
	R_TOP = 18, /* always 2^32: brings a negative displacement back to 32 bits, see below */
	R_FILE = 19,
};

/* Index of a segment base for effective addresses; SEG_FLAT is base 0, no checks. */
enum {
	SEG_FLAT = SEG_COUNT,
	SEG_TOP = SEG_FLAT + 1, /* 2^32 */
	/*
	 * FS and GS outside of 64-bit mode, in X86_MODE_FLAT: their base when they reach all of 4 GiB
	 * and are writable, else SEG_NOWHERE, which no TLB entry has.
	 */
	SEG_FS_FLAT = SEG_FLAT + 2,
	SEG_GS_FLAT = SEG_FLAT + 3,
	SEG_BASES = SEG_FLAT + 4,
};
#define SEG_NOWHERE BIT64(62)

/*
 * Flat 32-bit code takes the handlers of 64-bit code. They do not cut the sum to 32 bits, and need
 * not: outside of 64-bit mode no page of 4 GiB or more is ever in the TLB under the key in force, so
 * a sum that had to be cut misses, and the slow half cuts it. So that sums seldom have to be, a
 * displacement that looks like an address above 2 GiB has R_TOP or SEG_TOP added by the decoder.
 * x86_decode_flat().
 */

/*
 * One decoded instruction, 32 bytes: two to a cache line.
 *
 * Effective address (64-bit or flat): r[base] + (r[index] << scale) + disp + seg_base[seg].
 * Operand registers are byte offsets into c->r for 8-bit operands (so AH is offset 1) and register
 * numbers else, as each handler's table says.
 */
struct x86_insn {
	x86_fn fn;
	u64 imm;	/* immediate, link of a direct branch, pointer to a thunk, ... */
	s32 disp;
	u8 base, index, scale, seg;
	u8 reg;		/* operand encoded in ModRM.reg (or the destination) */
	u8 rm;		/* operand encoded in ModRM.rm when it is a register */
	u8 length;	/* bytes, 1-15 */
	u8 flags;	/* X86_INSN_... */
	u16 offset;	/* of this instruction from the block's first byte */
	u16 extra;	/* the handler's own */
};
_Static_assert(sizeof(struct x86_insn) == 32, "two records a cache line");

#define X86_INSN_SLOW_EA 1 /* address size not 64: x86_ea_slow(); i->seg is real, or x86_decode_flat()'s */
#define X86_INSN_LOCK 2
#define X86_INSN_REP 4
#define X86_INSN_REPNE 8
#define X86_INSN_ADDR32 16
#define X86_INSN_ADDR16 32
#define X86_INSN_ENDS 64  /* the block ends behind this record */
#define X86_INSN_WRAP 128 /* decode's own: the true disp is disp + 2^32 */

/*
 * A run of decoded instructions. Records are never reused while anybody may stand in them: a block
 * that is dropped has all its records turned into exits, and the memory comes back when the
 * whole cache is flushed, between blocks.
 */
struct x86_block {
	u64 gpa;		     /* of the first byte; with mode the key of the cache */
	struct x86_block *next_hash; /* cache.c: same bucket */
	struct x86_block *next_page; /* cache.c: same page */
	u64 ram_page;		     /* of the first byte, X86_NO_RAM_PAGE in ROM */
	u64 ram_page2;		     /* of the last byte where it crosses, else X86_NO_RAM_PAGE */
	struct x86_block *next_page2;
	u16 mode;     /* X86_MODE_... it was decoded for */
	u16 bytes;    /* of code */
	u8 count;     /* instructions, without the end record */
	u8 dead : 1;  /* dropped */
	u8 once : 1;  /* not kept, valid for one execution only */
	u8 narrow : 1, wide : 1, steady : 1; /* how it is translated: x86/jit/region.h, "How a region looks pages up" */
	u16 restless;		 /* the same, a bit for each of its look-ups in loops */
	u32 heat;     /* entries until it is translated */
	u32 region;   /* its translation: jit.h; 0: none */
	struct x86_insn insn[];
};
_Static_assert(sizeof(struct x86_block) == 64, "a cache line, and records aligned behind it");
#define X86_NO_RAM_PAGE UINT64_MAX

/*
 * Where a RIP goes on, valid for one key (mode, address space, generation). RIPs with bit 63 have a key of
 * their own, which has no address space while the kernel's code is global. Two entries to a set: a RIP's own
 * (x86_jump_index()), and its neighbour's where it is driven to by the next one. With one entry only, a
 * guest that forked all the time left translated code 230,000 times a second for two that met.
 */
#define X86_JUMP_BITS 14
#define X86_JUMP_COUNT (1u << X86_JUMP_BITS)
struct x86_jump_entry {
	u64 rip, key;
	struct x86_block *block;
	u64 code; /* host address of its translation, or jit.no_code */
};

/* ---- software TLB ---------------------------------------------------------------------------
 * Direct-mapped by linear page. A tag is the linear page | c->key, where key is 12 bits of address
 * space and privilege, so that a CR3, PCID or ring switch changes the key and drops nothing.
 * Bits 0-1 of the key: 0 supervisor that may touch user pages (no SMAP, or AC set), 1 supervisor
 * under SMAP, 2 user. Bits 2-11: number of the address space, from 1.
 * A page that is no plain memory, or not allowed, never gets a tag.
 *
 * Each of these three privileges has a part of its own, so that a kernel that is called does not
 * drive out what its caller uses, nor itself where it opens SMAP: c->tlb_base.
 */
#define X86_TLB_BITS 11
#define X86_TLB_COUNT (1u << X86_TLB_BITS)
#define X86_TLB_PARTS 3
#define X86_TLB_PART_BITS (X86_TLB_BITS + 5) /* of a part's size in bytes */
#define X86_TAG_NONE 1ull /* no key has only bit 0 (keys start at 4) */

struct x86_tlb_entry {
	u64 read_tag;
	u64 write_tag;	/* only when D is set, the page writable, and its dirty mark set if logged */
	u64 addend;	/* host address = linear address + addend */
	_Atomic u8 *code; /* after a store: nonzero = x86_code_written() */
};

/*
 * Behind it, for translated code, pages of 2 MiB that are RAM throughout, in one piece and not logged.
 * Tags are those of the TLB with 9 address bits less. Entries of KERNEL_SPACE (mmu.c) are global ones only.
 */
#define X86_TLB_LARGE_COUNT 64u
#define X86_TLB_LARGE_PART_BITS 12 /* of a part's size in bytes */
#define X86_LARGE_SIZE BIT64(21)

struct x86_tlb_large {
	u64 read_tag;
	u64 write_tag;
	u64 quiet_tag;	      /* write_tag where no page of it held code */
	u64 addend;
	_Atomic u8 *code;     /* of its first 4 KiB */
	_Atomic u8 *any_code; /* after a store that relied on quiet_tag: nonzero = x86_large_written() */
	u64 spare[2];
};

/* Why the run loop should look up at the next block; set by any thread (atomic or). */
#define X86_ATTN_KICK 1u
#define X86_ATTN_INTERRUPT 2u /* vp_interrupt(true) since last look */
#define X86_ATTN_NMI 4u
#define X86_ATTN_DROP 8u      /* code or write rights: see engine/soft */
#define X86_ATTN_TRAP 16u     /* own thread: single step or data breakpoint after this instruction */

/* c->lines: events that wait until they can be taken. */
#define X86_LINE_INTERRUPT 1u
#define X86_LINE_NMI 2u

/* What a block's decoding depends on besides its bytes: part of the look-up key. */
#define X86_MODE_LONG 1u    /* CS.L in long mode */
#define X86_MODE_D 2u	    /* CS.D: 32-bit operands */
#define X86_MODE_SS_B 4u    /* 32-bit stack */
#define X86_MODE_PE 8u
#define X86_MODE_V86 16u
#define X86_MODE_FLAT 32u   /* DS ES SS CS: base 0, limit 4 GiB, usual rights */
#define X86_MODE_USER 64u   /* CPL 3 */
#define X86_MODE_NO_FPU 128u  /* CR0.EM or TS: x87/SSE raise; decoded to the raising handler */
#define X86_MODE_NO_SSE 256u  /* !CR4.OSFXSR or EM */
#define X86_MODE_NO_AVX 512u  /* !CR4.OSXSAVE or XCR0 lacks AVX */
#define X86_MODE_NO_VEX 2048u /* CR0.TS; EM is nothing to AVX */
#define X86_MODE_STEP 1024u   /* TF or breakpoints armed: blocks of one instruction */

/* The event that delivery is busy with; see "events" below. */
struct x86_event {
	bool valid;
	bool has_code;
	bool external; /* EXT bit of error codes: not an INT n */
	u8 vector;
	u8 type; /* VP_EVENT_... */
	u32 code;
};

struct x86_jit;

/*
 * A page that a look-up in a loop met last: x86/jit/gen.h. Those of a region lie in a row, behind one whose
 * `page` is the epoch in which they were met: c->key | c->flushes.
 */
struct x86_jit_sticky {
	u64 page, addend, code;
};
#define X86_JIT_STICKY_COUNT (1u << 18)

/* The translator's part of a processor, reached by translated code through the GS base; jit.h. */
struct x86_jit_state {
	u64 rip_page; /* RIP of the first byte of the page being executed */
	u64 target;   /* of the indirect branch under way */
	u64 ret;      /* a host address to go on at */
	u64 t0, t1;   /* scratch registers' values, for C */
	u64 host_sp;  /* the stack that was left */
	u64 no_code;  /* jump[].code of blocks without a translation */
	u64 slot[8], code[8]; /* pages looked up: address, byte in the code map */
	/*
	 * The page that was met last through RSP, by the supervisor and by the user, and the key that it holds
	 * for: x86_key_set(), x86_stack_forget().
	 */
	struct x86_jit_sticky stack[2];
	u64 stack_key[2];
	u64 limit; /* of the rounds of a loop: x86/jit/rounds.c */
	u64 fill[4];	      /* what the look-up in `large` works with */
	/* Look-ups of a kind that may still be done before we see how much time they take: x86/jit/region.h. */
	s32 sticky_credit, large_credit, steady_credit;
	u64 credit_since; /* host TSC when they were given */
	struct jit_site *sites;
	u64 run_view;	      /* host address of the code memory */
	u64 string[2];	      /* MOVS, STOS: addend of the destination; its byte in the code map */
	u32 site;	      /* where translated code left */
	u32 link;	      /* site whose jump may be linked to the region entered next */
	u8 vector_live;	      /* XMM, YMM, MXCSR are in the host's registers */
	bool skip;	      /* the next record is interpreted, its translation notwithstanding */
	bool ready;	      /* the thread has what translated code needs */
	u64 made;	      /* counter: regions */
	u64 given_back;	      /* counter: times that the guest was idle and all went */
	struct x86_jit *own;
	struct x86_jit_sticky sticky[X86_JIT_STICKY_COUNT];
};

struct x86_cpu {
	/* hot: the first cache lines */
	u64 r[R_FILE];
	union {
		struct {
			u8 of; /* 0 or 1 */
			u8 ah; /* SF ZF - AF - PF - CF, as LAHF */
		};
		u16 flags; /* both, as LAHF and SETO %al leave them in AX */
	};
	u16 pad;
	u32 eflags; /* RFLAGS without the six arithmetic flags; bit 1 set */
	u64 key;    /* TLB key now in force: x86_key_set() */
	u64 flushes; /* counts, in steps of 4096, whenever an entry of the TLB that held is taken out */
	u32 tlb_base; /* and its part of tlb[]: offset in bytes */
	_Atomic u32 attention;
	u32 mode;   /* X86_MODE_... */
	u64 seg_base[SEG_BASES]; /* [SEG_FLAT] stays 0; long mode: 0 but for FS and GS */
	u64 rip; /* valid between blocks only; next RIP when a handler leaves to the loop */
	struct x86_block *block;     /* being executed */
	u64 jump_keys[2]; /* of jump[] entries that hold now: x86_jump_key() */
	const struct x86_insn *next; /* builds without tail calls: what the loop steps to */
	u64 instructions;	     /* counter; whole blocks at their start */
	u64 *link; /* link slot of the branch that left to the loop, or NULL */
	struct x86_jit_state jit;
	struct x86_tlb_entry tlb[X86_TLB_PARTS][X86_TLB_COUNT];
	struct x86_tlb_large large[X86_TLB_PARTS][X86_TLB_LARGE_COUNT];
	struct x86_jump_entry jump[X86_JUMP_COUNT];

	/*
	 * Vector and x87 registers while x86_run runs; outside of it they are in s.xsave. See vector.h:
	 * x86_vector_enter, x86_vector_leave. x87 and MMX live in the host's own registers meanwhile.
	 */
	u8 v[20][32];		/* XMM in [n][0..15], upper half of YMM behind it; 16-19: thunks' */
	u32 mxcsr;		/* valid while mxcsr_swap, else the host's register is the guest's */
	u32 host_mxcsr;		/* what C code runs with */
	u8 mxcsr_swap;		/* the guest's control bits are unusual: loaded around FP thunks only */
	u16 fop, fcs, fds;	/* last x87 instruction; the host's are our own addresses */
	u64 fip, fdp;
	u64 scratch[16];	/* memory operands that are not in one plain page */
	u32 vector_features;	/* X86_HAS_..., from the CPUID model */

	/*
	 * cold: everything else of the architecture. Stale in here while the VP runs: gpr, rip, rflags,
	 * tsc (the registers above win). s.seg[] is the truth of segments with their bases: who writes
	 * one calls x86_mode_changed(), or x86_segment_base_changed() when only FS or GS changed.
	 */
	struct vp_state s;
	u8 cpl;
	u8 interrupt_shadow; /* VP_SHADOW_..., for the boundary after this instruction */

	/* exception in flight (x86_raise -> run loop) */
	struct {
		u8 vector;
		u8 type; /* VP_EVENT_... */
		bool has_code;
		u32 code;
		u64 rip;
	} fault;
	jmp_buf on_fault;

	/* system part: events, debugging, the model's limits (x86_system_init) */
	struct x86_event event;
	bool db_trap;	 /* the #DB in flight is a trap: RIP is the next instruction's, RF clear */
	bool step_tf;	 /* TF was set when the instruction began */
	bool amd;	 /* vendor of the presented model: SYSCALL and SYSENTER differ */
	u32 dr6_pending; /* data breakpoints and BS, for the boundary after this instruction */
	u64 cr4_allowed, efer_allowed, xcr0_allowed;

	const struct x86_bus_ops *bus;
	void *bus_vp;
	struct x86_cache *cache;  /* decoded code; cache.c */
	struct x86_vm *vm;	  /* shared by the VPs: code lines, split lock; engine/soft */
	u64 physical_mask;	  /* bits of a page-table entry that are address */
	s64 tsc_offset;		  /* guest TSC = host TSC + this */

	/* counters */
	u64 decoded, tlb_misses, exceptions, interrupts, halts, hypercalls, pauses;
	u64 exits_pio, exits_mmio, code_flushes;

	struct x86_mmu *mmu;   /* address-space numbers, fetch pages; mmu.c */
	_Atomic u32 lines;     /* X86_LINE_...: what is pending from outside; any thread */
	unsigned index;	       /* in vm->cpu */
};

/* ---- leaving --------------------------------------------------------------------------------- */

/* RIP of the instruction that i is. */
static inline u64 x86_insn_rip(const struct x86_cpu *c, const struct x86_insn *i)
{
	return c->r[R_BLOCK] + i->offset;
}

/* RIP of the following instruction, cut to the mode's width. */
static inline u64 x86_next_rip(const struct x86_cpu *c, const struct x86_insn *i)
{
	u64 rip = c->r[R_BLOCK] + i->offset + i->length;

	return c->mode & X86_MODE_LONG ? rip : (u32)rip;
}

/* run.c. i = NULL: between instructions, RIP is c->rip. Both longjmp to c->on_fault with 1. */
NORETURN void x86_raise(struct x86_cpu *c, const struct x86_insn *i, u8 vector);
NORETURN void x86_raise_code(struct x86_cpu *c, const struct x86_insn *i, u8 vector, u32 code);

enum { X86_DE = 0, X86_DB = 1, X86_NMI = 2, X86_BP = 3, X86_OF = 4, X86_BR = 5, X86_UD = 6, X86_NM = 7,
       X86_DF = 8, X86_TS = 10, X86_NP = 11, X86_SS = 12, X86_GP = 13, X86_PF = 14, X86_MF = 16,
       X86_AC = 17, X86_MC = 18, X86_XM = 19 };

/* ---- memory ---------------------------------------------------------------------------------- */

/* Slow halves: walk, raise, cross pages, MMIO. size 1-8. implicit = system access (GDT, TSS):
 * supervisor rights whatever CPL is. */
NOINLINE u64 x86_load_slow(struct x86_cpu *c, const struct x86_insn *i, gva_t a, unsigned size);
NOINLINE void x86_store_slow(struct x86_cpu *c, const struct x86_insn *i, gva_t a, unsigned size,
			     u64 value);
NOINLINE void x86_code_written(struct x86_cpu *c, gva_t a, unsigned size);
u64 x86_load_system(struct x86_cpu *c, const struct x86_insn *i, gva_t a, unsigned size);
void x86_store_system(struct x86_cpu *c, const struct x86_insn *i, gva_t a, unsigned size,
		      u64 value);

/*
 * Any size (vector operands, FXSAVE areas, up to 4096): all or nothing. to_host faults before
 * anything is copied; to_guest faults before anything is written.
 */
void x86_copy_from_guest(struct x86_cpu *c, const struct x86_insn *i, gva_t a, void *to,
			 unsigned size);
void x86_copy_to_guest(struct x86_cpu *c, const struct x86_insn *i, gva_t a, const void *from,
		       unsigned size);

/*
 * Accesses of the stack (PUSH, POP, CALL, RET, ENTER, LEAVE): as x86_load_slow/x86_store_slow, but limit and
 * canonical faults are #SS. `a` is the offset in SS; the pointer's new value is the handler's business. 64-bit code
 * should use x86_push64/x86_pop64 below.
 */
u64 x86_stack_load(struct x86_cpu *c, const struct x86_insn *i, u64 a, unsigned size);
void x86_stack_store(struct x86_cpu *c, const struct x86_insn *i, u64 a, unsigned size,
		     u64 value);
/* Raise what a push of `size` bytes from the present stack pointer would raise. */
void x86_stack_probe(struct x86_cpu *c, const struct x86_insn *i, u64 a, unsigned size);

/* #AC where alignment is checked: for vector and x87 operands (16 bytes are the most that counts). */
void x86_check_aligned(struct x86_cpu *c, const struct x86_insn *i, gva_t a, unsigned size);

/* Fault as an access of any size would (read or write), touch nothing. */
void x86_probe(struct x86_cpu *c, const struct x86_insn *i, gva_t a, unsigned size,
	       bool write);

/*
 * Read-modify-write of plain (not LOCK) instructions: the load half faults as a write does. The
 * store that follows is x86_store*().
 */
NOINLINE u64 x86_load_rmw_slow(struct x86_cpu *c, const struct x86_insn *i, gva_t a,
			       unsigned size);

/*
 * LOCK where x86_pointer_for_write() gave NULL: begin returns the old value and holds the VM's
 * split lock; end writes (pass the old value to leave memory as it was) and lets it go. Nothing
 * between them may raise. size 1-8, and 16 through `ret16`/`value16` with the others ignored.
 */
u64 x86_split_begin(struct x86_cpu *c, const struct x86_insn *i, gva_t a, unsigned size,
		    void *ret16);
void x86_split_end(struct x86_cpu *c, const struct x86_insn *i, gva_t a, unsigned size,
		   u64 value, const void *value16);

/*
 * Bulk access for REP strings: host pointer to `a`, allowed and ready for the access, and in
 * *ret_size how many bytes of the page follow; NULL when the page is not plain memory (element by element
 * then). Faults as the first byte's access would. After writing: x86_code_check().
 */
u8 *x86_pointer_for_bulk(struct x86_cpu *c, const struct x86_insn *i, gva_t a, bool write,
			 unsigned *ret_size);

/*
 * Host pointer for an atomic or in-place access that lies within one page of plain memory and is
 * writable, faulting as a write would; NULL: not plain memory or it crosses a page, use the slow
 * path (the split lock). After writing through it: x86_code_check().
 */
void *x86_pointer_for_write(struct x86_cpu *c, const struct x86_insn *i, gva_t a, unsigned size);
void x86_code_check(struct x86_cpu *c, gva_t a, unsigned size);

/* Guest data has no alignment that we could rely on; one host access each, as x86 promises. */
typedef u8 x86_u8;
typedef u16 x86_u16 __attribute__((aligned(1), may_alias));
typedef u32 x86_u32 __attribute__((aligned(1), may_alias));
typedef u64 x86_u64 __attribute__((aligned(1), may_alias));

/* Which part of the TLB a key's pages are in. 3 is user mode too, one that never hits. */
static ALWAYS_INLINE unsigned x86_tlb_part(u64 key)
{
	return key & 2 ? 2 : key & 1;
}

/* No address is canonical that would be taken for one in this page: nor is it for the host. */
static ALWAYS_INLINE void x86_stack_forget(struct x86_cpu *c, unsigned user)
{
	c->jit.stack[user].page = BIT64(63);
	c->jit.stack[user].addend = 0;
}

static ALWAYS_INLINE void x86_key_set(struct x86_cpu *c, u64 key)
{
	const unsigned user = !!(key & 2);

	if (c->jit.stack_key[user] != key) {
		c->jit.stack_key[user] = key;
		x86_stack_forget(c, user);
	}
	c->key = key;
	c->tlb_base = x86_tlb_part(key) << X86_TLB_PART_BITS;
}

static ALWAYS_INLINE const struct x86_tlb_entry *x86_tlb_at(const struct x86_cpu *c, gva_t a)
{
	_Static_assert(sizeof(struct x86_tlb_entry) == 32, "the shift below");
	_Static_assert(sizeof(c->tlb[0]) == BIT64(X86_TLB_PART_BITS), "a part");
	return (const void *)((const u8 *)c->tlb + c->tlb_base +
			      ((a >> 7) & ((X86_TLB_COUNT - 1) << 5)));
}

/* The tag that an access of `size` bytes must find; one that crosses a page finds none. */
static ALWAYS_INLINE u64 x86_tlb_tag(const struct x86_cpu *c, gva_t a, unsigned size)
{
	return ((a + size - 1) & ~0xfffull) | c->key;
}

#define X86_LOAD(bits) \
static ALWAYS_INLINE u##bits x86_load##bits(struct x86_cpu *c, const struct x86_insn *i, gva_t a) \
{ \
	const struct x86_tlb_entry *e = x86_tlb_at(c, a); \
 \
	if (LIKELY(x86_tlb_tag(c, a, bits / 8) == e->read_tag)) \
		return *(const volatile x86_u##bits *)(a + e->addend); \
	return (u##bits)x86_load_slow(c, i, a, bits / 8); \
}
X86_LOAD(8)
X86_LOAD(16)
X86_LOAD(32)
X86_LOAD(64)

#define X86_LOAD_RMW(bits) \
static ALWAYS_INLINE u##bits x86_load_rmw##bits(struct x86_cpu *c, const struct x86_insn *i, \
						gva_t a) \
{ \
	const struct x86_tlb_entry *e = x86_tlb_at(c, a); \
 \
	if (LIKELY(x86_tlb_tag(c, a, bits / 8) == e->write_tag)) \
		return *(const volatile x86_u##bits *)(a + e->addend); \
	return (u##bits)x86_load_rmw_slow(c, i, a, bits / 8); \
}
X86_LOAD_RMW(8)
X86_LOAD_RMW(16)
X86_LOAD_RMW(32)
X86_LOAD_RMW(64)

#define X86_STORE(bits) \
static ALWAYS_INLINE void x86_store##bits(struct x86_cpu *c, const struct x86_insn *i, gva_t a, \
					  u##bits v) \
{ \
	const struct x86_tlb_entry *e = x86_tlb_at(c, a); \
 \
	if (LIKELY(x86_tlb_tag(c, a, bits / 8) == e->write_tag)) { \
		*(volatile x86_u##bits *)(a + e->addend) = v; \
		if (UNLIKELY(atomic_load_explicit(e->code, memory_order_relaxed))) \
			x86_code_written(c, a, bits / 8); \
		return; \
	} \
	x86_store_slow(c, i, a, bits / 8, v); \
}
X86_STORE(8)
X86_STORE(16)
X86_STORE(32)
X86_STORE(64)

/*
 * Hot handlers without a stack frame. The functions above call their slow halves and come back,
 * which makes the compiler save registers on the way in. A frequent form is better written twice:
 * the fast handler does only what hits, else it ends with a tail call to the slow one:
 *
 *	static void mov_load64_slow(c, i)	NOINLINE, built with x86_ea and x86_load64
 *	static void mov_load64(c, i)
 *	{
 *		gva_t a = x86_ea_fast(c, i);
 *		const struct x86_tlb_entry *e = x86_tlb_at(c, a);
 *
 *		if (UNLIKELY(!x86_hit_read(c, i, e, a, 8)))
 *			X86_TAIL(c, i, mov_load64_slow);
 *		c->r[i->reg] = x86_at64(e, a);
 *		NEXT(c, i);
 *	}
 *
 * A store is the last thing: X86_STORE_NEXT(64, c, i, e, a, value), with x86_hit_write() true for the
 * same e and a. It stores, looks whether the page held code, and goes on.
 */
static ALWAYS_INLINE bool x86_hit_read(const struct x86_cpu *c, const struct x86_insn *i,
				       const struct x86_tlb_entry *e, gva_t a, unsigned size)
{
	return x86_tlb_tag(c, a, size) == e->read_tag && !(i->flags & X86_INSN_SLOW_EA);
}
static ALWAYS_INLINE bool x86_hit_write(const struct x86_cpu *c, const struct x86_insn *i,
					const struct x86_tlb_entry *e, gva_t a, unsigned size)
{
	return x86_tlb_tag(c, a, size) == e->write_tag && !(i->flags & X86_INSN_SLOW_EA);
}
#define x86_at8(e, a) (*(volatile x86_u8 *)((a) + (e)->addend))
#define x86_at16(e, a) (*(volatile x86_u16 *)((a) + (e)->addend))
#define x86_at32(e, a) (*(volatile x86_u32 *)((a) + (e)->addend))
#define x86_at64(e, a) (*(volatile x86_u64 *)((a) + (e)->addend))

/* The rest of X86_STORE_NEXT on a page that held code: x86_code_written(), then NEXT. */
void x86_code_written_next8(struct x86_cpu *c, const struct x86_insn *i, gva_t a);
void x86_code_written_next16(struct x86_cpu *c, const struct x86_insn *i, gva_t a);
void x86_code_written_next32(struct x86_cpu *c, const struct x86_insn *i, gva_t a);
void x86_code_written_next64(struct x86_cpu *c, const struct x86_insn *i, gva_t a);

#define X86_STORE_NEXT(bits, c, i, e, a, v) \
	do { \
		x86_at##bits(e, a) = (u##bits)(v); \
		if (UNLIKELY(atomic_load_explicit((e)->code, memory_order_relaxed))) { \
			x86_code_written_next##bits((c), (i), (a)); \
			return; \
		} \
		NEXT(c, i); \
	} while (0)

/* End the fast handler with its slow twin. */
#define X86_TAIL(c, i, slow) \
	do { \
		slow((c), (i)); \
		return; \
	} while (0)

/* 64-bit mode's stack. RSP changes after the access, so a fault leaves it alone. */
NOINLINE void x86_push64_slow(struct x86_cpu *c, const struct x86_insn *i, u64 v);
NOINLINE u64 x86_pop64_slow(struct x86_cpu *c, const struct x86_insn *i);

static ALWAYS_INLINE void x86_push64(struct x86_cpu *c, const struct x86_insn *i, u64 v)
{
	gva_t a = c->r[R_SP] - 8;
	const struct x86_tlb_entry *e = x86_tlb_at(c, a);

	if (LIKELY(x86_tlb_tag(c, a, 8) == e->write_tag)) {
		x86_at64(e, a) = v;
		c->r[R_SP] = a;
		if (UNLIKELY(atomic_load_explicit(e->code, memory_order_relaxed)))
			x86_code_written(c, a, 8);
	} else {
		x86_push64_slow(c, i, v);
	}
}

static ALWAYS_INLINE u64 x86_pop64(struct x86_cpu *c, const struct x86_insn *i)
{
	gva_t a = c->r[R_SP];
	const struct x86_tlb_entry *e = x86_tlb_at(c, a);

	if (LIKELY(x86_tlb_tag(c, a, 8) == e->read_tag)) {
		c->r[R_SP] = a + 8;
		return x86_at64(e, a);
	}
	return x86_pop64_slow(c, i);
}

/* ---- effective addresses ----------------------------------------------------------------------
 * `size` and `write` serve the limit and rights checks of the slow path, which raises #GP or #SS.
 * Non-canonical addresses are caught by the TLB miss.
 */
NOINLINE gva_t x86_ea_slow(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool write);

/* LEA: the offset alone, cut to the address size, no segment and no check. */
u64 x86_ea_offset(const struct x86_cpu *c, const struct x86_insn *i);

/* Linear address of an offset that an instruction has by itself (strings, XLAT): limit and rights as
 * for x86_ea_slow(). seg may be SEG_FLAT; the offset is already cut to the address size. */
gva_t x86_linear(struct x86_cpu *c, const struct x86_insn *i, unsigned seg, u64 offset,
		 unsigned size, bool write);

/* Right only without X86_INSN_SLOW_EA; x86_hit_read/write check that. */
static ALWAYS_INLINE gva_t x86_ea_fast(const struct x86_cpu *c, const struct x86_insn *i)
{
	return c->r[i->base] + (c->r[i->index] << i->scale) + (u64)(s64)i->disp +
	       c->seg_base[i->seg];
}

static ALWAYS_INLINE gva_t x86_ea(struct x86_cpu *c, const struct x86_insn *i, unsigned size,
				  bool write)
{
	if (UNLIKELY(i->flags & X86_INSN_SLOW_EA))
		return x86_ea_slow(c, i, size, write);
	return c->r[i->base] + (c->r[i->index] << i->scale) + (u64)(s64)i->disp +
	       c->seg_base[i->seg];
}

/* ---- flags ------------------------------------------------------------------------------------ */
#define X86_CF 0x001u
#define X86_PF_FLAG 0x004u
#define X86_AF 0x010u
#define X86_ZF 0x040u
#define X86_SF 0x080u
#define X86_TF 0x100u
#define X86_IF 0x200u
#define X86_DF_FLAG 0x400u
#define X86_OF_FLAG 0x800u
#define X86_IOPL 0x3000u
#define X86_NT 0x4000u
#define X86_RF 0x10000u
#define X86_VM 0x20000u
#define X86_AC_FLAG 0x40000u
#define X86_VIF 0x80000u
#define X86_VIP 0x100000u
#define X86_ID 0x200000u
#define X86_ARITH 0x8d5u

static inline u64 x86_get_rflags(const struct x86_cpu *c)
{
	return c->eflags | (c->ah & 0xd5u) | ((u32)c->of << 11) | 2u;
}

/* All flags as given; the caller masked what may change. Follow with x86_flags_changed(). */
static inline void x86_set_rflags(struct x86_cpu *c, u64 v)
{
	c->ah = (u8)((v & 0xd5u) | 2u);
	c->of = (v >> 11) & 1;
	c->eflags = (u32)((v & ~(u64)X86_ARITH) | 2u);
}

/*
 * After x86_set_rflags, or any change of TF, VM, AC or RF: recomputes c->mode and c->key when they
 * depend on what changed. (IF is looked at by the run loop.)
 */
void x86_flags_changed(struct x86_cpu *c);

/* ---- mode -------------------------------------------------------------------------------------
 * After any change of CR0, CR3, CR4, EFER, XCR0, CPL, segments, TF/AC/VM or DR7: recompute c->mode, c->key
 * and seg_base. The handler must then leave to the loop (the next block may decode differently).
 */
void x86_mode_changed(struct x86_cpu *c);

/*
 * mmu.c: the key for CR0, CR3, CR4, EFER, c->cpl and AC as they are now; x86_mode_changed asks, after
 * it has set c->mode (c->jump_keys follow from both). With alignment checking in force (CR0.AM, AC, CPL 3) it is a key that never hits, so that the slow
 * path can check.
 */
u64 x86_tlb_key(struct x86_cpu *c);

/* Only the base of FS or GS changed (WRFSBASE, SWAPGS, MSR): no need to leave. */
static inline void x86_segment_base_changed(struct x86_cpu *c, unsigned seg)
{
	c->seg_base[seg] = c->s.seg[seg].base;
	if (!(c->mode & X86_MODE_LONG))
		x86_mode_changed(c);
}

/* After CR3 was written (the value without bit 63); keep = that bit: nothing is flushed. Picks the number of the
 * address space and calls x86_mode_changed(). PAE: x86_pdptes_load() first. */
void x86_cr3_changed(struct x86_cpu *c, bool keep);
/* PAE paging: load the four PDPTEs of c->s.cr3's table; false: reserved bits, raise #GP. */
bool x86_pdptes_load(struct x86_cpu *c, u64 cr3);
/* INVPCID 0-3; the caller checked the descriptor. */
void x86_tlb_invpcid(struct x86_cpu *c, unsigned type, u16 pcid, gva_t a);

void x86_tlb_flush_all(struct x86_cpu *c);		/* globals too */
void x86_tlb_flush_space(struct x86_cpu *c, u64 cr3);	/* this CR3/PCID's, not globals */
void x86_tlb_flush_page(struct x86_cpu *c, gva_t a);	/* in every address space, globals too */

/* ---- events -----------------------------------------------------------------------------------
 * The run loop calls these between instructions, after its setjmp. Delivery touches guest memory,
 * so they may leave by x86_raise (i = NULL: the fault's RIP is c->rip); the loop then calls
 * x86_deliver_fault again as for any fault: c->event remembers what was being delivered, and
 * two exceptions become a double fault, three the end. c->rip is the interrupted instruction's RIP
 * before and the handler's after.
 *
 * x86_deliver_fault: c->fault, as x86_raise left it. false: triple fault; c->s.activity is
 * VP_SHUTDOWN. REQUIRES the registers as they were when the instruction began.
 */
bool x86_deliver_fault(struct x86_cpu *c);
void x86_deliver_interrupt(struct x86_cpu *c, u8 vector); /* clears c->interrupt_shadow */
void x86_deliver_nmi(struct x86_cpu *c);		  /* and blocks further ones */

/*
 * Debugging: in X86_MODE_STEP a block is one instruction, and the loop calls x86_step_before (may
 * raise #DB for an execution breakpoint) before it and x86_step_after when it is complete and
 * c->rip is the next (may raise #DB with c->db_trap). X86_ATTN_TRAP asks for x86_step_after too.
 * While c->interrupt_shadow is set and something is pending, one instruction is run in the same
 * way; the loop clears the shadow after it.
 */
void x86_step_before(struct x86_cpu *c);
void x86_step_after(struct x86_cpu *c);

/* Data breakpoints, for mmu.c: a watched page never gets a tag; after a slow access, report it. */
bool x86_page_watched(const struct x86_cpu *c, gva_t a);
void x86_watch_access(struct x86_cpu *c, gva_t a, unsigned size, bool write);

/* May CPL do I/O on these ports? Raises #GP(0) when not. */
void x86_io_check(struct x86_cpu *c, const struct x86_insn *i, u16 port, unsigned size);

/* Once, when the VP is made: the limits of the model; physical_mask, amd, ..._allowed. */
void x86_system_init(struct x86_cpu *c);
/* After c->s, r, ah, of, eflags and rip were set from outside: cpl, mode, key, bases. */
void x86_system_loaded(struct x86_cpu *c);

/* ---- decode ------------------------------------------------------------------------------------
 * decode.c asks each family in turn to choose a handler; the first that says yes has filled fn and
 * what it needs. ends_block: control may not simply go on to the next record.
 */
struct x86_decoded; /* decode.h: Zydis' result and the mode */

bool x86_choose_integer(const struct x86_decoded *d, struct x86_insn *i);
bool x86_choose_control(const struct x86_decoded *d, struct x86_insn *i);
bool x86_choose_string(const struct x86_decoded *d, struct x86_insn *i);
bool x86_choose_system(const struct x86_decoded *d, struct x86_insn *i);
bool x86_choose_vector(const struct x86_decoded *d, struct x86_insn *i);

/* ---- the end of a handler ------------------------------------------------------------------------
 * In builds that cannot promise tail calls (sanitizers, -O0) every ending notes in c->next what comes
 * and returns, and the run loop steps records itself.
 */
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && \
	!defined(__SANITIZE_THREAD__) && !defined(X86_NO_TAIL_CALLS)
#define X86_TAIL_CALLS 1
#else
#define X86_TAIL_CALLS 0
#endif

#if X86_TAIL_CALLS && defined(__clang__)
#define X86_RUN(c, i) __attribute__((musttail)) return (i)->fn((c), (i))
#elif X86_TAIL_CALLS
/* The empty asm keeps the address in one register: ADD, then a jump through memory. */
#define X86_RUN(c, i) \
	do { \
		const struct x86_insn *run_ = (i); \
		__asm__("# next record" : "+r"(run_)); \
		run_->fn((c), run_); \
		return; \
	} while (0)
#else
#define X86_RUN(c, i)              \
	do {                       \
		(c)->next = (i);   \
		return;            \
	} while (0)
#endif

#define NEXT(c, i) X86_RUN(c, (i) + 1)

/*
 * NEXT for a handler that has a local in memory (its address goes to another function): there gcc
 * makes no jump of a call, and a guest that loops over the instruction would grow our stack until
 * it ends. By the run loop, then. tests/tools/check-jumps finds handlers that need this.
 */
#define NEXT_BY_LOOP(c, i)           \
	do {                         \
		(c)->next = (i) + 1; \
		return;              \
	} while (0)

#define X86_LEAVE(c, i, rip_)       \
	do {                        \
		(c)->rip = (rip_);  \
		(c)->next = NULL;   \
		return;             \
	} while (0)
#define X86_LEAVE_NEXT(c, i) X86_LEAVE(c, i, x86_next_rip(c, i))

/* Is rip within CS, or canonical? Raises #GP(0) for the instruction that is i. Before any register
 * changes. */
NOINLINE COLD void x86_check_target_slow(struct x86_cpu *c, const struct x86_insn *i,
					 u64 rip);
static ALWAYS_INLINE void x86_check_target(struct x86_cpu *c, const struct x86_insn *i,
					   u64 rip)
{
	if (UNLIKELY(!(c->mode & X86_MODE_LONG) || (u64)((s64)(rip << 16) >> 16) != rip))
		x86_check_target_slow(c, i, rip);
}

/* jit.c: what a block's last entry before its translation goes to. */
extern const struct x86_insn x86_hot_record;

static ALWAYS_INLINE const struct x86_insn *x86_enter(struct x86_cpu *c,
						      struct x86_block *block, u64 rip)
{
	c->r[R_BLOCK] = rip;
	c->block = block;
	c->instructions += block->count;
	if (UNLIKELY(--block->heat == 0))
		return &x86_hot_record;
	return block->insn;
}

#define X86_JUMP_HASH 0x61c88647u /* spreads over the upper bits of a product: 2^32 / golden ratio^2 */

static ALWAYS_INLINE unsigned x86_jump_index(u64 rip)
{
	return ((u32)rip * X86_JUMP_HASH) >> (32 - X86_JUMP_BITS);
}

/* The entry that has rip, under whatever key; else its own, which another one may have. */
static ALWAYS_INLINE struct x86_jump_entry *x86_jump_at(struct x86_cpu *c, u64 rip)
{
	struct x86_jump_entry *own = &c->jump[x86_jump_index(rip)];
	struct x86_jump_entry *next = &c->jump[x86_jump_index(rip) ^ 1];

	return UNLIKELY(own->rip != rip) && next->rip == rip ? next : own;
}

static ALWAYS_INLINE u64 x86_jump_key(const struct x86_cpu *c, u64 rip)
{
	return c->jump_keys[rip >> 63];
}

#define X86_GOTO(c, i, rip_)                                                          \
	do {                                                                          \
		u64 goto_ = (rip_);                                                   \
		const struct x86_jump_entry *e_ = x86_jump_at((c), goto_);            \
                                                                                      \
		if (LIKELY(e_->rip == goto_ && e_->key == x86_jump_key((c), goto_) && \
			   !atomic_load_explicit(&(c)->attention,                     \
						 memory_order_relaxed))) {            \
			const struct x86_insn *to_ = x86_enter((c), e_->block, goto_); \
			X86_RUN((c), to_);                                            \
		}                                                                     \
		X86_LEAVE((c), (i), goto_);                                           \
	} while (0)

/* A direct branch without a link, yet or ever: run.c. */
void x86_jump_unlinked(struct x86_cpu *c, const struct x86_insn *i);

#if X86_TAIL_CALLS && defined(__clang__)
#define X86_JUMP_UNLINKED(c, i) __attribute__((musttail)) return x86_jump_unlinked((c), (i))
#else
#define X86_JUMP_UNLINKED(c, i)                \
	do {                                   \
		x86_jump_unlinked((c), (i));   \
		return;                        \
	} while (0)
#endif

#define X86_JUMP(c, i)                                                             \
	do {                                                                       \
		struct x86_block *link_ = (struct x86_block *)(i)->imm;            \
                                                                                   \
		if (LIKELY(link_ && !atomic_load_explicit(&(c)->attention,         \
							  memory_order_relaxed))) { \
			const struct x86_insn *to_ = x86_enter(                    \
				(c), link_, (c)->r[R_BLOCK] + (u64)(s64)(i)->disp); \
			X86_RUN((c), to_);                                         \
		}                                                                  \
		X86_JUMP_UNLINKED((c), (i));                                       \
	} while (0)

/* Target of a direct branch, cut to the mode's width (the handler of a 16-bit operand size cuts
 * further and uses X86_GOTO). CALL pushes only after x86_check_target() of it. */
static inline u64 x86_jump_target(const struct x86_cpu *c, const struct x86_insn *i)
{
	u64 rip = c->r[R_BLOCK] + (u64)(s64)i->disp +
		  (i->flags & X86_INSN_WRAP ? BIT64(32) : 0);

	return c->mode & X86_MODE_LONG ? rip : (u32)rip;
}
