/* SPDX-License-Identifier: Apache-2.0 */
/* The CPUID model: what its leaves say must fit together. */
#include "harness.h"

#include <cpuid.h>

#include "x86/cpuid.h"

enum { A, B, C, D };

TEST(the_model_shows_no_instruction_that_the_host_lacks)
{
	struct x86_model m;
	u32 r[4], a, b, c, d;

	x86_model_init(&m, 1, 0);
	x86_cpuid(&m, 0, 1, 0, r);
	__cpuid(1, a, b, c, d);
	/* PCID, x2APIC, TSC deadline and the hypervisor bit are ours. */
	ASSERT_EQ(r[C] & ~c & ~0x81220000u, 0);
	x86_cpuid(&m, 0, 7, 0, r);
	__cpuid_count(7, 0, a, b, c, d);
	/* FSGSBASE TSC_ADJUST SMEP ERMS INVPCID SMAP CLFLUSHOPT CLWB are ours. */
	ASSERT_EQ(r[B] & ~b & ~0x01900683u, 0);
	x86_cpuid(&m, 0, 0, 0, r);
	__cpuid(0, a, b, c, d);
	ASSERT_EQ(r[B], b);
	ASSERT_EQ(r[C], c);
	ASSERT_EQ(r[D], d);
}

TEST(what_we_do_not_have_is_hidden)
{
	struct x86_model m;
	u32 r[4];

	x86_model_init(&m, 4, 0);
	x86_cpuid(&m, 0, 1, 0, r);
	ASSERT_EQ(r[C] & (BIT(3) | BIT(5) | BIT(27)), 0); /* MONITOR, VMX, OSXSAVE */
	ASSERT_EQ(r[D] & BIT(1), 0);			  /* VME */
	x86_cpuid(&m, 0, 7, 0, r);
	ASSERT_EQ(r[B] & (BIT(4) | BIT(11) | BIT(16)), 0);  /* HLE RTM AVX512F */
	ASSERT_EQ(r[C] & (BIT(3) | BIT(7) | BIT(16)), 0);   /* PKU, CET, LA57 */
	ASSERT_EQ(r[D] & (BIT(20) | BIT(22) | BIT(24)), 0); /* CET, AMX */
	x86_cpuid(&m, 0, 0x80000001, 0, r);
	ASSERT_EQ(r[C] & (BIT(2) | BIT(29)), 0); /* SVM, MWAITX */
	x86_cpuid(&m, 0, 0xa, 0, r);
	ASSERT_EQ(r[A], 0); /* no PMU */
	x86_cpuid(&m, 0, 0x40000000, 0, r);
	ASSERT_EQ(r[A] | r[B] | r[C] | r[D], 0);
}

TEST(avx_stands_and_falls_with_its_state)
{
	struct x86_model m;
	u32 one[4], seven[4], d0[4], d1[4];

	x86_model_init(&m, 1, 0);
	x86_cpuid(&m, 0, 1, 0, one);
	x86_cpuid(&m, 0, 7, 0, seven);
	x86_cpuid(&m, 0, 0xd, 0, d0);
	x86_cpuid(&m, 0, 0xd, 1, d1);
	ASSERT_EQ(!!(one[C] & BIT(28)), !!(m.xcr0 & 4));
	if (!(m.xcr0 & 4))
		ASSERT_EQ(seven[B] & BIT(5), 0);
	ASSERT_EQ(d0[A], m.xcr0);
	ASSERT_EQ(d0[D], 0);
	ASSERT_EQ(d1[A] & ~3u, 0); /* no XSAVES, no XGETBV(1) */
}

TEST(topology_leaves_agree_with_each_other)
{
	static const struct {
		u32 vps, bits;
	} sizes[] = { { 1, 0 }, { 2, 1 }, { 3, 2 }, { 4, 2 }, { 64, 6 }, { 240, 8 } };

	for (unsigned n = 0; n < ARRAY_COUNT(sizes); n++) {
		u32 vp = sizes[n].vps - 1, r[4];
		struct x86_model m;

		x86_model_init(&m, sizes[n].vps, 0);
		x86_cpuid(&m, vp, 1, 0, r);
		ASSERT_EQ(r[B] >> 24, vp);
		ASSERT_EQ(r[B] >> 16 & 0xff, sizes[n].vps);
		ASSERT_EQ(!!(r[D] & BIT(28)), sizes[n].vps > 1);
		x86_cpuid(&m, vp, 0xb, 0, r);
		ASSERT_EQ(r[A], 0);
		ASSERT_EQ(r[B], 1);
		ASSERT_EQ(r[C], 0x100);
		ASSERT_EQ(r[D], vp);
		x86_cpuid(&m, vp, 0xb, 1, r);
		ASSERT_EQ(r[A], sizes[n].bits);
		ASSERT_EQ(r[B], sizes[n].vps);
		ASSERT_EQ(r[C], 0x201);
		x86_cpuid(&m, vp, 0xb, 2, r);
		ASSERT_EQ(r[B], 0);
		ASSERT_EQ(r[C], 2);
		x86_cpuid(&m, vp, 0x80000008, 0, r);
		if (m.amd)
			ASSERT_EQ(r[C], sizes[n].bits << 12 | vp);
		ASSERT_EQ(r[A] >> 8 & 0xff, 48);
	}
}

TEST(the_tsc_frequency_is_told_where_linux_looks)
{
	struct x86_model m;
	u32 r[4];

	x86_model_init(&m, 1, 2600000000);
	m.amd = false;
	x86_cpuid(&m, 0, 0x15, 0, r);
	ASSERT_EQ((u64)r[C] * r[B] / r[A], 2600000000);
	x86_cpuid(&m, 0, 0x16, 0, r);
	ASSERT_EQ(r[A], 2600);
	m.tsc_hz = 5000000000;
	x86_cpuid(&m, 0, 0x15, 0, r);
	ASSERT_EQ((u64)r[C] * r[B] / r[A], 5000000000);
}

TEST(any_leaf_has_an_answer)
{
	struct x86_model m;
	u32 r[4];

	x86_model_init(&m, 240, 1);
	for (u64 leaf = 0; leaf < 1ull << 32; leaf += leaf & 0xfff ? 1 : 0x7ff001)
		for (u32 sub = 0; sub < 5; sub++)
			x86_cpuid(&m, 239, (u32)leaf, sub, r);
	x86_cpuid(&m, 0, 0x7fffffff, 0, r);
	ASSERT_EQ(r[A] | r[B] | r[C] | r[D], 0);
	x86_cpuid(&m, 0, 0xffffffff, ~0u, r);
	ASSERT_EQ(r[A] | r[B] | r[C] | r[D], 0);
}
