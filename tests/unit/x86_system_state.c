/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What random system state found (tests/soak/system): selectors that a return to ring 3 clears,
 * alignment checks of operands that are not plain, AVX under CR0.EM, SYSRET out of compatibility mode.
 */
#include "x86_rings.h"

#include "x86/cpuid.h"

#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_AM BIT(18)
#define AC 0x40000

/* A null selector kept its RPL where ring 3 was entered; the processors make it 0. */
TEST(return_to_ring_3_makes_every_null_selector_0)
{
	struct machine *m AUTO_MACHINE = rings_new(32);

	ASSERT(m);
	rings_code_at(m, 0x11000, CODE32("mov %es, %ecx; mov %fs, %edx; int $0x80"));
	machine_code(m, CODE32("mov $3, %eax; mov %eax, %es; mov $1, %eax; mov %eax, %fs;"
			       "push $0x23; push $0x40000; push $0x202; push $0x1b;"
			       "push $0x11000; iret"));
	ASSERT_EQ(rings_run(m), RINGS_SYSCALL);
	ASSERT_EQ(m->s.gpr[R_CX], 0);
	ASSERT_EQ(m->s.gpr[R_DX], 0);
}

/* Strings that went by pages, vector and x87 operands were not checked. */
TEST(alignment_is_checked_for_operands_of_every_kind)
{
	static const struct {
		unsigned misaligned, aligned;
	} offset[] = { { 1, 4 },  { 8, 16 }, { 4, 8 }, { 4, 8 },
		       { 8, 16 }, { 2, 4 },  { 2, 4 }, { 2, 4 } };

	for (unsigned n = 0; n < 2 * ARRAY_COUNT(offset); n++) {
		struct machine *m AUTO_MACHINE = rings_new(64);
		const struct machine_code code[] = {
			CODE("mov $4, %ecx; mov $0x20100, %edi; rep movsl; int $0x80"),
			CODE("movups (%rsi), %xmm0; int $0x80"),
			CODE("movq %mm0, (%rsi); int $0x80"),
			CODE("fldt (%rsi); int $0x80"),
			CODE("movdqu %xmm1, (%rsi); int $0x80"),
			CODE("fnstenv (%rsi); int $0x80"),
			CODE("fsts (%rsi); int $0x80"),
			CODE("sidt (%rsi); int $0x80"),
		};

		ASSERT(m);
		machine_code(m, code[n / 2]);
		rings_user(m);
		m->s.cr0 |= CR0_AM;
		m->s.rflags = 0x202 | AC;
		m->s.gpr[R_SI] = MACHINE_DATA + (n & 1 ? offset[n / 2].aligned
						       : offset[n / 2].misaligned);
		ASSERT_EQ(rings_run(m), n & 1 ? RINGS_SYSCALL : 17);
	}
}

TEST(avx_looks_at_ts_and_not_at_em)
{
	static const struct {
		u64 cr0;
		int vector;
	} with[] = { { 0, MACHINE_HALTED },
		     { CR0_EM, MACHINE_HALTED },
		     { CR0_TS, 7 },
		     { CR0_EM | CR0_TS, 7 } };

	if (!(x86_model_host()->leaf1_ecx & BIT(28)))
		SKIP("the processor has no AVX");
	for (unsigned n = 0; n < ARRAY_COUNT(with); n++) {
		struct machine *m AUTO_MACHINE = machine_new(64);

		ASSERT(m);
		machine_code(m, CODE("vmovups %ymm0, %ymm1"));
		m->s.cr0 |= with[n].cr0;
		m->s.cr4 |= BIT(9) | BIT(18);
		m->s.xcr0 = 7;
		ASSERT_OK(machine_run(m));
		ASSERT_EQ(m->vector, with[n].vector);
	}
}

/* It took R11 for the flags, as 64-bit code's does. AMD64 APM volume 3, SYSRET. */
TEST(sysret_of_compatibility_mode_leaves_the_flags)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	if (!x86_model_host()->amd)
		SKIP("SYSRET is for 64-bit code alone there");
	ASSERT(m);
	rings_descriptor(m, 0x40, rings_segment(0, 0xfffff, 0x9b, 0xc), 0);
	rings_code_at(m, 0x11000, CODE32("mov $0x12000, %ecx; sysretl"));
	rings_code_at(m, 0x12000, CODE32("int $0x80"));
	machine_code(m, CODE("mov $0xad5, %r11d; push $0x40; push $0x11000; lretq"));
	m->s.efer |= 1;
	m->s.star = (u64)(RINGS_USER_CODE) << 48;
	m->s.rflags = 2;
	ASSERT_EQ(rings_run(m), RINGS_SYSCALL);
	ASSERT_EQ(rings_frame(m, 2), 0x202);
}

/* PUSHA asked for its lowest word first, and then stored nothing. */
TEST(pusha_stores_what_comes_before_the_fault)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	rings_descriptor(m, 0x40, rings_segment(0, 0xfffff, 0x9b, 0xc), 0);
	rings_code_at(m, 0x11000, CODE32("mov $0x2100c, %esp; pusha"));
	machine_code(m, CODE("mov $0x1234, %eax; mov $0x5678, %ecx; push $0x40; push "
			     "$0x11000; lretq"));
	rings_gate(m, 14, RINGS_CODE, RINGS_HANDLERS + 16 * 14, 0x8e, 1);
	machine_page(m, MACHINE_DATA, false, false);
	ASSERT_EQ(rings_run(m), 14);
	ASSERT_EQ(m->s.cr2, 0x20ffc);
	ASSERT_EQ(machine_u64(m, 0x21004), 0x123400005678);
}

/* The end of an area at which it faults; see xsave.c. */
TEST(areas_in_two_pages_fault_where_the_processors_do)
{
	static const struct {
		bool first, second;
		u64 fx, x; /* CR2 */
	} with[] = { { false, true, 0x20f00, 0x20f00 },
		     { true, false, 0x210ff, 0x2123f },
		     { false, false, 0x210ff, 0x20f00 } };

	if (!(x86_model_host()->leaf1_ecx & BIT(28)))
		SKIP("the processor has no AVX");
	for (unsigned n = 0; n < 4 * ARRAY_COUNT(with); n++) {
		struct machine *m AUTO_MACHINE = machine_new(64);
		const struct machine_code code[] = { CODE("fxsave (%rsi)"),
						     CODE("fxrstor (%rsi)"),
						     CODE("xsave (%rsi)"),
						     CODE("xrstor (%rsi)") };
		unsigned k = n / 4;

		ASSERT(m);
		machine_code(m, code[n % 4]);
		machine_page(m, MACHINE_DATA, with[k].first, true);
		machine_page(m, MACHINE_DATA + 0x1000, with[k].second, true);
		m->s.cr4 |= BIT(9) | BIT(18);
		m->s.xcr0 = 7;
		m->s.gpr[R_SI] = 0x20f00;
		m->s.gpr[R_AX] = 7;
		m->s.gpr[R_DX] = 0;
		ASSERT_OK(machine_run(m));
		ASSERT_EQ(m->vector, 14);
		/* XRSTOR comes to the header, here in the second page, before the end. */
		ASSERT_EQ(m->fault_cr2, n % 4 < 2	       ? with[k].fx
					: n % 4 == 3 && k == 1 ? 0x21100
							       : with[k].x);
	}
}

TEST(areas_are_aligned_or_gp_and_fx_areas_have_an_alignment_check)
{
	for (unsigned n = 0; n < 6; n++) {
		struct machine *m AUTO_MACHINE = rings_new(64);
		const struct machine_code code[] = { CODE("fxsave (%rsi); int $0x80"),
						     CODE("fxrstor (%rsi); int $0x80"),
						     CODE("xsave (%rsi); int $0x80") };

		ASSERT(m);
		machine_code(m, code[n / 2]);
		rings_user(m);
		m->s.cr0 |= CR0_AM;
		m->s.cr4 |= BIT(9) | BIT(18);
		m->s.rflags = 0x202 | AC;
		m->s.gpr[R_SI] = MACHINE_DATA + (n & 1 ? 4 : 2);
		ASSERT_EQ(rings_run(m), n < 4 && !(n & 1) ? 17 : 13);
	}
}

/* They stayed as they were: IRET of ring 0 pops them. SDM volume 2, IRET. */
TEST(iret_of_ring_0_sets_and_clears_vif_and_vip)
{
	for (unsigned n = 0; n < 2; n++) {
		struct machine *m AUTO_MACHINE = rings_new(32);

		ASSERT(m);
		rings_code_at(m, 0x11000, CODE32("pushf; pop %eax; int $0x80"));
		machine_code(m, CODE32("push $0x23; push $0x40000; push %ebx; push $0x1b;"
				       "push $0x11000; iret"));
		m->s.rflags = n ? 0x180002 : 2;
		m->s.gpr[R_BX] = n ? 2 : 0x180002;
		ASSERT_EQ(rings_run(m), RINGS_SYSCALL);
		ASSERT_EQ(m->s.gpr[R_AX] & 0x180000, n ? 0 : 0x180000);
	}
}

/* The second half was not looked at. AMD64 APM volume 3, LAR. */
TEST(lar_and_lsl_want_the_second_half_of_a_system_descriptor_untyped)
{
	static const u64 high[] = { 0, 0x100, 0x1000, 0x10000000000, 0x100000000000 };

	for (unsigned n = 0; n < ARRAY_COUNT(high); n++) {
		struct machine *m AUTO_MACHINE = rings_new(64);

		ASSERT(m);
		rings_descriptor(m, 0x40, rings_segment(0, 0x67, 0x89, 0), high[n]);
		machine_code(m, CODE("mov $0x40, %eax; lar %eax, %ecx; setz %dl; lsl "
				     "%eax, "
				     "%ebx; setz %dh"));
		m->s.gpr[R_BX] = m->s.gpr[R_CX] = m->s.gpr[R_DX] = 1;
		ASSERT_EQ(rings_run(m), RINGS_ELSEWHERE);
		ASSERT_EQ(m->s.gpr[R_DX], n < 3 ? 0x101 : 0);
		ASSERT_EQ(m->s.gpr[R_CX], n < 3 ? 0x8900 : 1);
		ASSERT_EQ(m->s.gpr[R_BX], n < 3 ? 0x67 : 1);
	}
}

/* They began with the lowest, the processors begin with the highest. */
TEST(a_frame_in_two_pages_faults_at_its_highest_word_first)
{
	for (unsigned n = 0; n < 2; n++) {
		struct machine *m AUTO_MACHINE = rings_new(64);

		ASSERT(m);
		machine_code(m, n ? CODE("mov $0x20ff8, %esp; lretq")
				  : CODE("mov $0x20ff8, %esp; iretq"));
		rings_gate(m, 14, RINGS_CODE, RINGS_HANDLERS + 16 * 14, 0x8e, 1);
		machine_page(m, MACHINE_DATA, false, false);
		machine_page(m, MACHINE_DATA + 0x1000, false, false);
		ASSERT_EQ(rings_run(m), 14);
		ASSERT_EQ(m->s.cr2, n ? 0x21000 : 0x21008);
	}
}

/* The destination's segment was looked at before the source was read. */
TEST(movs_reads_before_it_looks_at_es)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	rings_descriptor(m, 0x40, rings_segment(0, 0xfffff, 0x9b, 0xc), 0);
	rings_code_at(m, 0x11000, CODE32("movsl"));
	machine_code(m, CODE("xor %eax, %eax; mov %eax, %es; mov $0x20000, %esi; mov "
			     "$0x30000, "
			     "%edi; push $0x40; push $0x11000; lretq"));
	machine_page(m, MACHINE_DATA, false, false);
	ASSERT_EQ(rings_run(m), 14);
	ASSERT_EQ(m->s.cr2, 0x20000);
}

/* The two numbers were taken for one operand, whose address does not wrap inside. */
TEST(bound_reads_two_operands_whose_addresses_wrap_apart)
{
	struct machine *m AUTO_MACHINE = machine_new(32);

	ASSERT(m);
	machine_code(m, CODE32("addr16 bound %cx, (%si)"));
	m->s.gpr[R_SI] = 0xfffe;
	m->s.gpr[R_CX] = 50;
	m->ram[0] = 49;
	ASSERT_OK(machine_run(m));
	ASSERT_EQ(m->vector, 5);
}

/* Double word k of YMM register n. */
static void put_ymm(struct machine *m, unsigned n, unsigned k, u32 v)
{
	m->s.xsave[512] |= 7;
	memcpy(m->s.xsave + (k < 4 ? 160 : 576 - 16) + 16 * n + 4 * k, &v, 4);
}

/* The limit was asked for the whole operand, and gathers asked for none. */
TEST(limits_are_those_of_the_elements_that_a_mask_selects)
{
	static const struct {
		unsigned first, selected;
		int vector;
	} with[] = { { 0x20ff0, 0, MACHINE_HALTED },
		     { 0x20ff0, 0x00000008, MACHINE_HALTED },
		     { 0x20ff0, 0x00000010, 13 },
		     { 0x30000, 0, MACHINE_HALTED },
		     { 0x20ffe, 0x00000001, 13 } };

	if (!(x86_model_host()->leaf7_ebx & BIT(5)))
		SKIP("the processor has no AVX2");
	for (unsigned n = 0; n < 3 * ARRAY_COUNT(with); n++) {
		struct machine *m AUTO_MACHINE = machine_new(32);
		const struct machine_code code[] = {
			CODE32("vmaskmovps (%esi), %ymm1, %ymm2"),
			CODE32("vmaskmovps %ymm2, %ymm1, (%esi)"),
			CODE32("vgatherdps %ymm1, (%esi, %ymm3, 4), %ymm2"),
		};

		ASSERT(m);
		machine_code(m, code[n % 3]);
		m->s.cr4 |= BIT(9) | BIT(18);
		m->s.xcr0 = 7;
		m->s.seg[SEG_DS].limit = 0x20fff;
		m->s.gpr[R_SI] = with[n / 3].first;
		for (unsigned k = 0; k < 8; k++) {
			u32 mask = with[n / 3].selected >> k & 1 ? 0x80000000 : 0;

			put_ymm(m, 1, k, mask);
			put_ymm(m, 3, k, k);
		}
		ASSERT_OK(machine_run(m));
		ASSERT_EQ(m->vector, with[n / 3].vector);
	}
}

/* It asked for limit and rights. SDM volume 2, INVLPG: no such exception. */
TEST(invlpg_asks_for_no_limit)
{
	struct machine *m AUTO_MACHINE = rings_new(32);

	ASSERT(m);
	machine_code(m, CODE32("xor %eax, %eax; mov %eax, %ds; invlpg 0x20000"));
	ASSERT_EQ(rings_run(m), RINGS_ELSEWHERE);
}

/* The handler of the fault was interrupted for the breakpoint that the first half had touched. */
TEST(an_instruction_that_faults_leaves_no_data_breakpoint_behind)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	machine_code(m, CODE("mov $0x20004, %esi; mov $0x21000, %edi; movsl"));
	machine_page(m, MACHINE_DATA + 0x1000, false, false);
	m->s.dr[0] = 0x20004;
	m->s.dr7 = 0x402 | 0xf0000;
	ASSERT_EQ(rings_run(m), 14);
	ASSERT_EQ(m->s.dr6, 0xffff0ff0);
}

/* The limit came first, and with it #SS. */
TEST(alignment_comes_before_the_limit)
{
	static const struct {
		unsigned at;
		int vector[4];
	} with[] = { { 0x50008, { 13, 13, 13, 12 } }, { 0x50000, { 12, 12, 12, 12 } } };

	if (!(x86_model_host()->leaf1_ecx & BIT(28)))
		SKIP("the processor has no AVX");
	for (unsigned n = 0; n < 4 * ARRAY_COUNT(with); n++) {
		struct machine *m AUTO_MACHINE = machine_new(32);
		const struct machine_code code[] = { CODE32("movaps %ss:(%esi), %xmm1"),
						     CODE32("movaps %xmm1, %ss:(%esi)"),
						     CODE32("xsave %ss:(%esi)"),
						     CODE32("fxsave %ss:(%esi)") };

		ASSERT(m);
		machine_code(m, code[n % 4]);
		m->s.cr4 |= BIT(9) | BIT(18);
		m->s.xcr0 = 7;
		m->s.seg[SEG_SS].limit = 0x4ffff;
		m->s.gpr[R_SI] = with[n / 4].at;
		ASSERT_OK(machine_run(m));
		ASSERT_EQ(m->vector, with[n / 4].vector[n % 4]);
	}
}
