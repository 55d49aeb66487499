/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPUID; see cpuid.h. Bits are named where the tables below list them.
 * SDM volume 2, CPUID; AMD APM volume 3, appendix E. Thread: any.
 */
#include "x86/cpuid.h"

#include <cpuid.h>
#include <pthread.h>

#include "x86/system.h"

/* Features that the host must have for us to show them (its instructions run as they are), ... */
#define HOST_1C                                                              \
	(BIT(0) /* SSE3 */ | BIT(1) /* PCLMUL */ | BIT(9) /* SSSE3 */ |      \
	 BIT(12) /* FMA */ | BIT(13) /* CX16 */ | BIT(19) /* SSE4.1 */ |     \
	 BIT(20) /* SSE4.2 */ | BIT(22) /* MOVBE */ | BIT(23) /* POPCNT */ | \
	 BIT(25) /* AES */ | BIT(26) /* XSAVE */ | BIT(28) /* AVX */ |       \
	 BIT(29) /* F16C */ | BIT(30) /* RDRAND */)
#define HOST_7B                                                                   \
	(BIT(3) /* BMI1 */ | BIT(5) /* AVX2 */ |                                  \
	 BIT(6) /* x87 pointers at errors only */ | BIT(8) /* BMI2 */ |           \
	 BIT(13) /* no x87 CS, DS */ | BIT(18) /* RDSEED */ | BIT(19) /* ADX */ | \
	 BIT(29) /* SHA */)
#define HOST_E1C \
	(BIT(0) /* LAHF in 64-bit */ | BIT(5) /* LZCNT */ | BIT(8) /* PREFETCHW */)
#define HOST_8B BIT(2) /* XSAVE stores x87 error pointers always */
#define HOST_D1A (BIT(0) /* XSAVEOPT */ | BIT(1) /* XSAVEC */)

/* ... and those that are ours, whatever the host has. */
#define OURS_1C                                                                   \
	(BIT(17) /* PCID */ | BIT(21) /* x2APIC */ | BIT(24) /* TSC deadline */ | \
	 BIT(31) /* hypervisor */)
/* FPU DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA CMOV PAT PSE36 CLFSH MMX FXSR SSE SSE2 */
#define OURS_1D 0x078bfbfdu
#define OURS_7B                                                                \
	(BIT(0) /* FSGSBASE */ | BIT(1) /* TSC_ADJUST */ | BIT(7) /* SMEP */ | \
	 BIT(9) /* ERMS */ | BIT(10) /* INVPCID */ | BIT(20) /* SMAP */ |      \
	 BIT(23) /* CLFLUSHOPT */ | BIT(24) /* CLWB */)
#define OURS_7C (BIT(2) /* UMIP */ | BIT(22) /* RDPID */)
#define OURS_7D                                                               \
	(BIT(4) /* FSRM */ | BIT(26) /* IBRS, IBPB */ | BIT(27) /* STIBP */ | \
	 BIT(29) /* ARCH_CAPABILITIES */ | BIT(31) /* SSBD */)
/* SYSCALL NX 1G RDTSCP LM */
#define OURS_E1D (BIT(11) | BIT(20) | BIT(26) | BIT(27) | BIT(29))
/* AMD repeats these bits of 1.EDX there */
#define E1D_REPEATED 0x0183f3ffu
#define AMD_E1C BIT(22) /* topology leaves */
#define AMD_8B                                                           \
	(BIT(12) /* IBPB */ | BIT(14) /* IBRS */ | BIT(15) /* STIBP */ | \
	 BIT(26) /* SSB_NO */)
/* no nested data breakpoints, LFENCE serializes, null selectors clear bases, AutoIBRS, SRSO_NO */
#define AMD_21A (BIT(0) | BIT(2) | BIT(6) | BIT(8) | BIT(29))
#define AMD_21C (BIT(1) | BIT(2)) /* TSA_SQ_NO, TSA_L1_NO */

#define PHYSICAL_BITS 46
#define MAX_LEAF_INTEL 0x1f
#define MAX_LEAF_AMD 0x10
#define MAX_EXT_INTEL 0x80000008
#define MAX_EXT_AMD 0x80000021

static struct x86_model host;
static pthread_once_t host_once = PTHREAD_ONCE_INIT;

static void read_host(void)
{
	u32 a, b, c, d, max, max_ext, xcr0_low = 0, xcr0_high;
	struct x86_model *m = &host;

	__cpuid(0, max, m->vendor[0], m->vendor[2], m->vendor[1]);
	m->amd = m->vendor[0] == 0x68747541 ||
		 m->vendor[0] == 0x6f677948; /* Auth, Hygo */
	m->physical_bits = PHYSICAL_BITS;
	m->vp_count = 1;

	__cpuid(1, a, b, c, d);
	m->signature = a;
	m->leaf1_ecx = (c & HOST_1C) | OURS_1C;
	m->leaf1_edx = OURS_1D;
	if (c & BIT(27)) /* OSXSAVE: the host's kernel saves what XCR0 says */
		__asm__ volatile("xgetbv" : "=a"(xcr0_low), "=d"(xcr0_high) : "c"(0));
	m->xcr0 = (xcr0_low & 7) | 1;
	if (max >= 7) {
		__cpuid_count(7, 0, a, b, c, d);
		m->leaf7_ebx = b & HOST_7B;
	}
	m->leaf7_ebx |= OURS_7B;
	m->leaf7_ecx = OURS_7C;
	m->leaf7_edx = OURS_7D;
	if (max >= 0xd) {
		__cpuid_count(0xd, 1, a, b, c, d);
		m->leaf13_eax = a & HOST_D1A;
	}
	if (!(m->xcr0 & 2))
		m->leaf1_ecx &= ~BIT(26);
	if (!(m->xcr0 & 4)) {
		m->leaf1_ecx &= ~(BIT(12) | BIT(28) | BIT(29));
		m->leaf7_ebx &= ~BIT(5);
		m->xcr0 &= 3;
	}

	__cpuid(0x80000000, max_ext, b, c, d);
	__cpuid(0x80000001, a, b, c, d);
	m->ext1_ecx = (c & HOST_E1C) | (m->amd ? AMD_E1C : 0);
	m->ext1_edx = OURS_E1D;
	if (m->amd)
		m->ext1_edx |= (m->leaf1_edx & E1D_REPEATED) | (d & BIT(22)); /* MMXEXT */
	if (max_ext >= 0x80000008 && m->amd) {
		__cpuid(0x80000008, a, b, c, d);
		m->ext8_ebx = (b & HOST_8B) | AMD_8B;
		m->ext21_eax = AMD_21A;
		m->ext21_ecx = AMD_21C;
	}
	if (max_ext >= 0x80000004)
		for (u32 n = 0; n < 3; n++)
			__cpuid(0x80000002 + n, m->brand[4 * n], m->brand[4 * n + 1],
				m->brand[4 * n + 2], m->brand[4 * n + 3]);
	/* New enough that no guest misses a fix in it; we apply none of what it would bring. */
	m->microcode = m->amd ? 0x0fffffff : 0x7fffffff;
}

const struct x86_model *x86_model_host(void)
{
	pthread_once(&host_once, read_host);
	return &host;
}

void x86_model_init(struct x86_model *m, u32 vp_count, u64 tsc_hz)
{
	*m = *x86_model_host();
	m->vp_count = vp_count;
	m->tsc_hz = tsc_hz;
	if (vp_count > 1) {
		m->leaf1_edx |= BIT(28); /* HTT: several logical processors a package */
		if (m->amd)
			m->ext1_ecx |= BIT(1); /* CMP_LEGACY: and they are cores */
	}
}

/* ---- answers --------------------------------------------------------------------------------- */

/* Bits of an APIC id that number the cores of the package. */
static u32 core_bits(const struct x86_model *m)
{
	u32 bits = 0;

	while (bits < 31 && (1u << bits) < m->vp_count)
		bits++;
	return bits;
}

static void set(u32 r[4], u32 a, u32 b, u32 c, u32 d)
{
	r[0] = a;
	r[1] = b;
	r[2] = c;
	r[3] = d;
}

struct cache {
	u32 type, level; /* 1 data, 2 instruction, 3 both */
	u32 kib, ways;
	bool shared; /* by all cores */
};
static const struct cache caches[] = {
	{ 1, 1, 32, 8, false },
	{ 2, 1, 32, 8, false },
	{ 3, 2, 1024, 8, false },
	{ 3, 3, 32768, 16, true },
};

/* Leaves 4 (Intel) and 0x8000001d (AMD) have one shape. */
static void cache_leaf(const struct x86_model *m, u32 subleaf, u32 r[4])
{
	const struct cache *k;
	u32 sharing;

	if (subleaf >= ARRAY_COUNT(caches))
		return;
	k = &caches[subleaf];
	sharing = k->shared ? (1u << core_bits(m)) - 1 : 0;
	set(r, k->type | k->level << 5 | BIT(8) | (sharing & 0xfff) << 14,
	    63 | (k->ways - 1) << 22, k->kib * 1024 / 64 / k->ways - 1, 0);
	if (!m->amd) {
		u32 cores = (1u << core_bits(m)) - 1;

		r[0] |= (cores < 63 ? cores : 63) << 26;
	}
}

static void topology_leaf(const struct x86_model *m, u32 vp, u32 subleaf, u32 r[4])
{
	if (subleaf == 0)
		set(r, 0, 1, 1 << 8, vp); /* threads of a core */
	else if (subleaf == 1)
		set(r, core_bits(m), m->vp_count & 0xffff, 2 << 8 | 1, vp);
	else
		set(r, 0, 0, subleaf & 0xff, vp);
}

static void xsave_leaf(const struct x86_model *m, u32 subleaf, u32 r[4])
{
	u32 size = m->xcr0 & 4 ? 832 : 576;

	if (!(m->leaf1_ecx & BIT(26)))
		return;
	if (subleaf == 0)
		set(r, (u32)m->xcr0, size, size, 0);
	else if (subleaf == 1)
		set(r, m->leaf13_eax, m->leaf13_eax & BIT(1) ? size : 0, 0, 0);
	else if (subleaf == 2 && (m->xcr0 & 4))
		set(r, 256, 576, 0, 0);
}

static void tsc_leaf(const struct x86_model *m, u32 r[4])
{
	u32 ratio = m->tsc_hz > UINT32_MAX ? 2 : 1;

	if (m->tsc_hz && m->tsc_hz / ratio <= UINT32_MAX)
		set(r, 1, ratio, (u32)(m->tsc_hz / ratio), 0);
}

static void basic(const struct x86_model *m, u32 vp, u32 leaf, u32 subleaf, u32 r[4])
{
	u32 mhz = (u32)(m->tsc_hz / 1000000);

	switch (leaf) {
	case 0:
		set(r, m->amd ? MAX_LEAF_AMD : MAX_LEAF_INTEL, m->vendor[0], m->vendor[2],
		    m->vendor[1]);
		break;
	case 1:
		set(r, m->signature,
		    vp << 24 | (m->vp_count < 255 ? m->vp_count : 255) << 16 | 8 << 8,
		    m->leaf1_ecx, m->leaf1_edx);
		break;
	case 2:
		if (!m->amd)
			set(r, 0x00feff01, 0, 0, 0); /* "see leaf 4" */
		break;
	case 4:
		if (!m->amd)
			cache_leaf(m, subleaf, r);
		break;
	case 6:
		set(r, BIT(2), 0, 0, 0); /* the APIC timer never stops */
		break;
	case 7:
		if (subleaf == 0)
			set(r, 0, m->leaf7_ebx, m->leaf7_ecx, m->leaf7_edx);
		break;
	case 0xb:
		topology_leaf(m, vp, subleaf, r);
		break;
	case 0xd:
		xsave_leaf(m, subleaf, r);
		break;
	case 0x15:
		if (!m->amd)
			tsc_leaf(m, r);
		break;
	case 0x16:
		if (!m->amd && mhz)
			set(r, mhz & 0xffff, mhz & 0xffff, 100, 0);
		break;
	case 0x1f:
		if (!m->amd)
			topology_leaf(m, vp, subleaf, r);
		break;
	}
}

static void extended(const struct x86_model *m, u32 vp, u32 leaf, u32 subleaf, u32 r[4])
{
	switch (leaf) {
	case 0x80000000:
		set(r, m->amd ? MAX_EXT_AMD : MAX_EXT_INTEL, 0, 0, 0);
		if (m->amd)
			set(r, MAX_EXT_AMD, m->vendor[0], m->vendor[2], m->vendor[1]);
		break;
	case 0x80000001:
		set(r, m->amd ? m->signature : 0, 0, m->ext1_ecx, m->ext1_edx);
		break;
	case 0x80000002:
	case 0x80000003:
	case 0x80000004: {
		const u32 *b = m->brand + 4 * (leaf - 0x80000002);

		set(r, b[0], b[1], b[2], b[3]);
		break;
	}
	case 0x80000005: /* 64-entry TLBs, 32 KiB caches of 8 ways */
		if (m->amd)
			set(r, 0xff40ff40, 0xff40ff40, 0x20080140, 0x20080140);
		break;
	case 0x80000006: /* L2 of 1 MiB, 8 ways; L3 of 32 MiB, 16 ways */
		set(r, 0, m->amd ? 0x42004200 : 0, 1024 << 16 | 6 << 12 | 1 << 8 | 64,
		    m->amd ? 64 << 18 | 8 << 12 | 1 << 8 | 64 : 0);
		break;
	case 0x80000007:
		set(r, 0, 0, 0, BIT(8)); /* invariant TSC */
		break;
	case 0x80000008:
		set(r, m->physical_bits | 48 << 8, m->ext8_ebx,
		    m->amd ? core_bits(m) << 12 | ((m->vp_count - 1) & 0xff) : 0, 0);
		break;
	case 0x8000001d:
		if (m->amd)
			cache_leaf(m, subleaf, r);
		break;
	case 0x8000001e:
		if (m->amd)
			set(r, vp, vp & 0xff, 0, 0);
		break;
	case 0x80000021:
		if (m->amd)
			set(r, m->ext21_eax, 0, m->ext21_ecx, 0);
		break;
	}
}

void x86_cpuid(const struct x86_model *m, u32 vp, u32 leaf, u32 subleaf, u32 ret_regs[4])
{
	set(ret_regs, 0, 0, 0, 0);
	if (leaf < 0x40000000)
		basic(m, vp, leaf, subleaf, ret_regs);
	else if (leaf >= 0x80000000)
		extended(m, vp, leaf, subleaf, ret_regs);
}

u64 x86_model_cr4(const struct x86_model *m)
{
	/* TSD DE PSE PAE MCE PGE PCE OSFXSR OSXMMEXCPT UMIP FSGSBASE PCIDE SMEP SMAP */
	u64 bits = 0x330ffc;

	return m->leaf1_ecx & BIT(26) ? bits | X86_CR4_OSXSAVE : bits;
}

u64 x86_model_efer(const struct x86_model *m)
{
	u64 bits = X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE;

	return m->ext21_eax & BIT(8) ? bits | X86_EFER_AUTO_IBRS : bits;
}

u64 x86_model_arch_capabilities(void)
{
	/*
	 * Guest code is never executed speculatively on behalf of another of the same guest: no cache
	 * or predictor of ours holds what these attacks read. Between guest and host it is the host's
	 * own mitigations that count. RDCL_NO IBRS_ALL SKIP_L1DFL SSB_NO MDS_NO PSCHANGE_MC_NO
	 * TAA_NO SBDR_SSDP_NO FBSDP_NO PSDP_NO BHI_NO PBRSB_NO GDS_NO RFDS_NO ITS_NO
	 */
	return BIT64(0) | BIT64(1) | BIT64(3) | BIT64(4) | BIT64(5) | BIT64(6) |
	       BIT64(8) | BIT64(13) | BIT64(14) | BIT64(15) | BIT64(20) | BIT64(24) |
	       BIT64(26) | BIT64(27) | BIT64(62);
}
