/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bare kernel that makes random system state from a seed, runs a few random instructions in it,
 * and says what came of it: a line a case. The same image runs under Tabique, QEMU and Bochs, and
 * the lines must be the same (tests/soak/system/soak-system compares them).
 *
 * The kernel stays in the first 4 MiB, which every case maps for supervisors. The case has the
 * arena at 4 MiB: pages 0-15 are seen through windows of 16 pages somewhere in linear
 * memory, with rights that differ; the paging structures follow them.
 *
 *	page	0-3 data, 4 code, 5 code of inner rings, 6-7 stack, 8-9 stack of inner rings,
 *		10 GDT (LDT at 0x800), 11 IDT, 12-13 TSS, 14 more TSSs, 15 data
 *
 * A case ends at the first exception whose gate leads to a stub of boot.S: it takes the registers
 * down and goes back to run_case()'s caller in long mode. How cases are made: world.c (memory, registers),
 * code.c (instructions).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define ARENA 0x400000ull
#define ARENA_PAGES 32
#define PAGE(n) ((u8 *)(ARENA + (n)*4096ull))
#define WINDOW_PAGES 16

enum {
	P_DATA = 0,
	P_CODE = 4,
	P_KCODE = 5,
	P_STACK = 6,
	P_KSTACK = 8,
	P_GDT = 10,
	P_IDT = 11,
	P_TSS = 12,
	P_TSS2 = 14,
	P_TABLES = 16,
};

/* Linear addresses of page 0 of the windows. */
#define WIN_MAIN 0x40400000ull
#define WIN_HIGH 0xffff800000000000ull /* the first canonical one above the hole */
#define WIN_EDGE \
	(0x800000000000ull - 65536) /* its last byte is the last below the hole */
#define WIN_4G (0x100000000ull - 65536)
#define WIN_OVER 0x100000000ull
#define WIN_V86 0x40000ull

/* Selectors. */
enum {
	S_KCODE = 0x08, /* the stubs' */
	S_KDATA = 0x10,
	S_DFTSS = 0x18, /* not in long mode */
	S_TSS = 0x20,
	S_LDT = 0x30,
	S_SYSTEM = 0x40, /* SYSCALL, SYSENTER: code, data, code 3, data 3, code64 3 */
	S_USER = 0x50,
	S_CODE0 = 0x68,
	S_DATA0 = 0x70,
	S_CODE3 = 0x78,
	S_DATA3 = 0x80,
	S_CODE1 = 0x88,
	S_DATA1 = 0x90,
	S_CODE2 = 0x98,
	S_DATA2 = 0xa0,
	S_CONFORM = 0xa8,
	S_CODE16 = 0xb0, /* ring of the start */
	S_DATA16 = 0xb8,
	S_DOWN = 0xc0,
	S_SMALL = 0xc8,
	S_GATE = 0xd0, /* 16 bytes each */
	S_GATE2 = 0xe0,
	S_TSS2 = 0xf0,
	S_TASK = 0xf8,
	S_RANDOM = 0x100, /* to 0x138 */
	GDT_SIZE = 0x140,
};

enum kind {
	KIND_LONG,     /* 64-bit mode */
	KIND_COMPAT,   /* 32-bit code in IA-32e mode */
	KIND_COMPAT16, /* 16-bit code in IA-32e mode */
	KIND_PAE,      /* protected mode, PAE paging */
	KIND_PAGED,    /* protected mode, 32-bit paging */
	KIND_FLAT,     /* protected mode, no paging */
	KIND_PAE16,    /* protected mode, 16-bit code */
	KIND_V86,
	KIND_COUNT,
};

enum { AX, CX, DX, BX, SP, BP, SI, DI };

struct pointer {
	u16 limit;
	u64 base;
} __attribute__((packed));

#define MSR_COUNT 8

/* What boot.S loads. Globals, so that it needs no offsets. */
extern u64 w_legacy, w_v86, w_inner, w_cr0, w_cr3, w_cr4, w_efer, w_xcr0, w_dr[8],
	w_gpr[16];
extern u64 w_fs_base, w_gs_base;
/* Where they are is the linker's: in page 15, so that what a fault of IRET pushes is seen. */
extern u64 w_frame[5];	 /* IRETQ's: RIP CS RFLAGS RSP SS */
extern u32 w_frame32[9]; /* IRETD's; ES DS FS GS behind it for V86 */
extern u32 w_far32[2];	 /* start in ring 0 outside long mode: EIP, CS */
extern u32 w_flags32;
extern u16 w_ds, w_es, w_fs, w_gs, w_ldt, w_tr;
extern struct pointer w_gdt, w_idt;
extern struct {
	u64 index, value;
} w_msr[MSR_COUNT];
extern u8 w_fpu[1024];

/* What the stubs take down. */
extern u64 s_gpr[16], s_vector, s_flags, s_cr0, s_cr2, s_cr3, s_cr4, s_efer, s_xcr0;
extern u64 s_dr[8], s_fs_base, s_gs_base, s_kgs_base;
extern u16 s_ds, s_es, s_fs, s_gs, s_ss, s_ldt, s_tr;
extern struct pointer s_gdt, s_idt;
extern u8 s_fpu[1024];

void run_case(void);
extern u8 stub64[], stub32[];
#define STUB_SIZE 32
extern u8 df_stack_top[], safe_pd[], df_tss[];

/* Random numbers of this case. */
u64 random64(void);
static inline u32 below(u32 n)
{
	return (u32)((random64() >> 32) * n >> 32);
}
static inline bool one_in(u32 n)
{
	return below(n) == 0;
}
#define PICK(array) ((array)[below(sizeof(array) / sizeof((array)[0]))])

/*
 * What a peer is known to do otherwise than the processors, and therefore is not made: bits of the
 * command line's avoid=, from the first one on. Each is as narrow as it can be. "Measured": on
 * an EPYC of the fourth generation, in ring 3. Section numbers of SDM volume 3 are those of the
 * editions whose chapter 17 is about debugging (2012 to 2023).
 */
enum {
	/* Bochs 2.7: SYSENTER and SYSEXIT work in long mode also on a processor of AMD's.
	 * AMD64 APM volume 3, SYSENTER: #UD in long mode. */
	AVOID_SYSENTER_LONG,
	/* Bochs 2.7 reads the first operand of CMPS before the second; AMD's processors fault at
	 * the second (measured: an EPYC; the manuals say nothing). Both point to the same then. */
	AVOID_CMPS_ORDER,
	/* Bochs 2.7 has no AMD processor with UMIP. */
	AVOID_UMIP,
	/* Bochs 2.7: the RF that it set for a first fault is still there when the double fault
	 * stores EFLAGS into a TSS. SDM volume 3, 17.3.1.1: #DF is no fault-class exception. */
	AVOID_DF_RF,
	/* Bochs 2.7 pushes the frame of an event or the return address of a CALL, and looks then
	 * whether the target is canonical and, for far ones, within the limit. SDM volume 2, INT n,
	 * CALL: looks first. (Bytes below the stack pointer: no program sees it.) */
	AVOID_EARLY_PUSH,
	/* Bochs 2.7 pushes on the present stack with the rights of the conforming code segment's
	 * DPL. SDM volume 3, 4.6.1: the access mode is CPL's. */
	AVOID_CONFORMING,
	/* Bochs 2.7 takes CPL 3 while a task's segments are loaded, so that a fault there finds
	 * a stack. The manuals leave open what stack it is: SDM volume 3, 7.3. */
	AVOID_TASK_STACK,
	/* Bochs 2.7 reads the two parts of a far pointer in an order of its own, with their limits
	 * checked apart. The manuals say nothing; AMD's processors fault at the first byte (measured). */
	AVOID_FAR_POINTER,
	/* Bochs 2.7: a SYSCALL that masks TF by SFMASK is followed by a single step's trap, and a
	 * SYSRET that sets TF is not. The processors do it the other way round (so say Linux'
	 * entry code and kvm-unit-tests' syscall; SDM volume 2, SYSCALL: the flags change first). */
	AVOID_SYSCALL_TF,
	/* Bochs 2.7: #AC before #GP of an address that is not canonical; AMD's processors do it the
	 * other way round (measured). */
	AVOID_AC_FIRST,
	/* Bochs 2.7: an x87 push of an empty register onto a full one is an overflow before it is an
	 * underflow. AMD's processors see the underflow (C1 = 0; measured). */
	AVOID_X87_BOTH,
	/* Bochs 2.7: FXRSTOR has loaded x87 registers before it finds MXCSR's reserved bits. AMD's
	 * processors load nothing (measured). And its AMD processors have MXCSR.MM, which is in
	 * the mask that FXSAVE and XSAVE store. */
	AVOID_FX_AREA,
	/* Bochs 2.7: a far CALL between compatibility mode and 64-bit code pushes as the target's stack
	 * is, ours as that of the mode that the instruction began in (AMD64 APM volume 3, CALL
	 * (far): the pushes come before the new CS). Not measured. And what becomes of RSP's upper
	 * half in compatibility mode (SYSRET) is left open. */
	AVOID_FAR_TO_64,
	/* Bochs 2.7 does not check the alignment of what may be unaligned of 16 and more bytes; AMD's
	 * processors do (measured). SDM volume 2 leaves it open. And it checks that of XSAVE and XRSTOR
	 * by 4 bytes, before #GP by 64; AMD's processors have #GP alone (measured). */
	AVOID_VECTOR_AC,
	/* Bochs 2.7: IRETD of virtual-8086 mode looks at no limit. SDM volume 2, IRET,
	 * RETURN-FROM-VIRTUAL-8086-MODE (older editions): #GP(0) where EIP is beyond CS' limit. */
	AVOID_V86_IRET,
	/* Bochs 2.7: XSAVE and XRSTOR fault where it comes to, the header first. AMD's processors
	 * ask for the first byte, then for the last (measured; src/x86/xsave.c). */
	AVOID_XSAVE_FAULT,
	/* Bochs 2.7: IRET to a stack segment that is not present is #NP(SS). SDM volume 2, IRET,
	 * RETURN-TO-OUTER-PRIVILEGE-LEVEL: #SS(SS); so do AMD's processors (measured). */
	AVOID_IRET_STACK,
	/* Bochs 2.7: VMASKMOVPS comes to its elements from the last on, and its 16-bit addresses do not
	 * wrap. AMD's processors name the first one in CR2, and each element's address wraps by itself
	 * (measured); the manuals give no order. */
	AVOID_MASKED,
	/* Bochs 2.7: SGDT and SIDT have stored the limit before they ask for the rest. The manuals give no
	 * order; ours are all or nothing. And it checks the alignment of the parts; SDM volume 3, 6.15,
	 * #AC: that of the whole, by 4. */
	AVOID_TABLE_STORE,
	/* Bochs 2.7: the frame of an event goes to a user's page in spite of SMAP if the interrupted
	 * program has EFLAGS.AC. For ours it is an implicit access; the manuals do not say. */
	AVOID_SMAP_PUSH,
	/* Bochs 2.7: IRETQ and a far return to 64-bit code of rings 0 to 2 take a null SS of any RPL.
	 * SDM volume 3, 6.15, #GP: its RPL must be CPL. */
	AVOID_NULL_STACK,
	/* No error of anybody's: 16-bit code, and code without paging, can jump to where no code was
	 * made. What random bytes do is left open in too many ways. And without paging what is no
	 * address of the arena is the firmware's: addresses of 16 bits, address registers out of memory;
	 * so is a page directory at 0. */
	AVOID_STRAYS,
	/* Bochs 2.7 wants 8 bytes of a 32-bit TSS for a ring's stack. SDM volume 2, INT n: up to
	 * TSSstackAddress + 5. */
	AVOID_TSS_LIMIT,
	/* SDM volume 3, 17.2.4: a breakpoint on code whose length is not 1 is undefined. */
	AVOID_DR7_LENGTH,
	/* Bochs 2.7: a string instruction with 32-bit addresses and a count of 0 clears the upper halves
	 * of RSI and RDI. AMD's processors leave them (measured). */
	AVOID_SHORT_REP,
	/* Bochs 2.7 decodes a repeated string instruction anew after each element, so that one which
	 * writes over its own bytes becomes another. AMD's processors go on with the one that they
	 * began, until something interrupts it (measured, 6,600 times; the manuals say nothing). */
	AVOID_OWN_BYTES,
	/* Bochs 2.7: IRET without REX.W pops no stack pointer where the ring stays. SDM volume 3,
	 * 6.14.3: in 64-bit mode always; so do AMD's processors (measured). */
	AVOID_IRET_SAME,
	/* Bochs 2.7: SYSRET to an address that is not canonical is #GP of ring 0, as on Intel's
	 * processors. On AMD's it is the fetch in ring 3 that faults (so says Xen's XSA-7). */
	AVOID_SYSRET_TARGET,
	/* Bochs' ryzen has SVM, and EFER.SVME with it; our processor has not. */
	AVOID_SVM,
	/* Bochs 2.7: an x87 store of an invalid number asks for no memory where the exception is
	 * not masked, and FSTP to 80 bits has set IE and SF before it faults there. AMD's processors
	 * fault first, and set nothing (measured). The operand has been touched then. */
	AVOID_X87_STORE,
	/* Bochs 2.7: what SYSCALL, SYSRET, SYSENTER or SYSEXIT load as CS can be written through. SDM
	 * volume 2, SYSCALL: it is an execute/read segment. */
	AVOID_CODE_WRITE,
	/* Bochs 2.7: where an event in long mode finds that its new stack is not canonical, #SS has the old
	 * SS' selector in its error code. SDM volume 2, INT n, INTER-PRIVILEGE-LEVEL-INTERRUPT:
	 * none. */
	AVOID_FAR_STACK,
	/* Bochs 2.7 keeps what it knew of the stack's page over a SYSCALL: the base of SS, and the rights
	 * of ring 3 (which SMAP ends). SDM volume 2, SYSCALL: SS' base is 0, CPL 0. */
	AVOID_SYSCALL_STACK,
	/* No error of Bochs': operands of several parts whose 16-bit address wraps between them. On AMD's
	 * processors and on Bochs each part wraps by itself (measured: XSAVE, FXSAVE, SGDT, the x87's
	 * environment); ours takes them for one and faults. */
	AVOID_WRAPPED_PARTS,
	/* Bochs 2.7: IRET's frame does not wrap on a 16-bit stack. On AMD's processors it does, as what
	 * other instructions pop (measured). */
	AVOID_WRAPPED_FRAME,
	/* Bochs 2.7 comes to the words of a new task's state segment in an order of its own, so that CR2
	 * differs where it is in no memory (SDM volume 3, 7.3, leaves it open), and to the CS in it after
	 * DS, ES, FS and GS (SDM volume 3, table 7-1: before them). */
	AVOID_TASK_FAULT,
	/* Bochs 2.7: with DR7.GD a MOV of debug registers is #DB in every ring; ours, as KVM's emulator, looks
	 * for ring 0 first. SDM volume 2, MOV: both exceptions, no order. */
	AVOID_GENERAL_DETECT,
};

/* world.c */
extern enum kind kind;
extern unsigned start_cpl, code_bits;
extern u64 window; /* linear address of page 0 as the start code sees it */
extern bool x87_case;
extern u64 avoid; /* bit n: the n-th AVOID_... */
static inline bool avoids(unsigned what)
{
	return avoid >> what & 1;
}
void make_world(void);
u16 any_selector(void);
u16 stack_selector(u16 s);
u64 any_address(void);
const u8 *descriptor_of(u16 selector);
bool is_conforming(u16 selector);
bool is_64_bit(u16 selector);

/* forgive.c, after a case */
void forgive(void);
bool strayed(void); /* what ended it was no instruction that was made */
/* A repeated store is not what it was in the memory before the case. */
bool overwrote_itself(const u8 *before);

/* code.c, code_vector.c */
enum { FRAGMENTS = 8 };
struct fragment {
	u64 offset;    /* in the window */
	unsigned bits; /* 16, 32, 64 */
	u32 size;
};
extern struct fragment fragment[FRAGMENTS];
/* The instructions with REP that store, wherever they are in the fragments. */
struct repeated {
	u64 offset; /* in the window */
	u32 size;
};
enum { REPEATED = 64 };
extern struct repeated repeated[REPEATED];
extern unsigned repeated_count;
void place_fragments(void);
void fill_fragments(void);

static inline bool long_mode(void)
{
	return kind <= KIND_COMPAT16;
}
