/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processor model: what CPUID says, and the limits of control registers that follow from it.
 *
 * The model has the vendor, family and brand of the host, since most instructions are executed by
 * the host as they are and behave as that vendor's; its features are those of x86-64-v3 and what
 * goes with it, less what the host lacks. Never shown: AVX-512, AMX, TSX, CET, MWAIT, LA57, protection keys,
 * SVM, VMX, the PMU. One socket, a core a VP, no hyper-threads; the APIC id is the VP's index.
 *
 * What a VP's registers change in the answer (OSXSAVE, sizes of the XSAVE area) the CPUID instruction
 * fills in itself. Leaves 0x40000000-0x400000ff are the partition's.
 */
#pragma once

#include "base/types.h"

struct x86_model {
	bool amd;
	u8 physical_bits;
	u32 vp_count;
	u64 tsc_hz; /* 0: leaves 0x15 and 0x16 are empty */
	u64 xcr0;   /* 1, 3 or 7 */
	u32 signature;
	u32 microcode;
	u32 vendor[3]; /* EBX EDX ECX of leaf 0 */
	u32 leaf1_ecx, leaf1_edx;
	u32 leaf7_ebx, leaf7_ecx, leaf7_edx;
	u32 leaf13_eax; /* of subleaf 1 */
	u32 ext1_ecx, ext1_edx;
	u32 ext8_ebx, ext21_eax, ext21_ecx;
	u32 brand[12];
};

/* The host's, with one VP and no TSC frequency. Made at the first call; any thread. */
const struct x86_model *x86_model_host(void);

/* A partition's: the host's with these. */
void x86_model_init(struct x86_model *m, u32 vp_count, u64 tsc_hz);

/* Pure; EAX, EBX, ECX, EDX. */
void x86_cpuid(const struct x86_model *m, u32 vp, u32 leaf, u32 subleaf, u32 ret_regs[4]);

/* Bits that may be set in CR4 and EFER, and the ARCH_CAPABILITIES MSR. Pure. */
u64 x86_model_cr4(const struct x86_model *m);
u64 x86_model_efer(const struct x86_model *m);
u64 x86_model_arch_capabilities(void);
