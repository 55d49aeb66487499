/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x87, SSE, AVX and the XSAVE family where the host's processor cannot be asked: what the system
 * registers forbid, state images, and the code memory of thunks. The instructions themselves are
 * compared with the host by x86_blocks.c.
 */
#include "x86_machine.h"

#include <stdio.h>

#include "soak/blocks.h"
#include "x86/cpuid.h"
#include "x86/thunk.h"

#define RUN_TO(v)                          \
	do {                               \
		ASSERT_OK(machine_run(m)); \
		ASSERT_EQ(m->vector, v);   \
	} while (0)

#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_NE BIT(5)
#define CR4_OSFXSR BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_OSXSAVE BIT(18)
#define AREA (MACHINE_DATA + 0x1000)

static bool host_has_avx(void)
{
	return x86_model_host()->xcr0 & 4;
}

static void allow_xsave(struct machine *m)
{
	m->s.cr4 |= CR4_OSXSAVE;
	m->s.xcr0 = x86_model_host()->xcr0;
}

static void put_u64(struct machine *m, u64 address, u64 v)
{
	memcpy(m->ram + address, &v, 8);
}

/* ---- what CR0 and CR4 forbid ------------------------------------------------------------------------- */

TEST(sse_raises_nm_while_ts_is_set)
{
	START(64, CODE("nop; addps %xmm1, %xmm0"));
	m->s.cr0 |= CR0_TS;
	RUN_TO(7);
	ASSERT_EQ(m->fault_rip, MACHINE_CODE + 1);
}

TEST(sse_raises_ud_without_osfxsr_even_when_ts_is_set)
{
	START(64, CODE("movaps %xmm1, %xmm0"));
	m->s.cr4 &= ~(u64)CR4_OSFXSR;
	m->s.cr0 |= CR0_TS;
	RUN_TO(6);
}

TEST(emulation_makes_sse_and_mmx_undefined)
{
	START(64, CODE("movups (%rax), %xmm0"));
	m->s.cr0 |= CR0_EM | CR0_TS;
	RUN_TO(6);
	machine_code(m, CODE("paddb %mm1, %mm0"));
	RUN_TO(6);
}

TEST(x87_raises_nm_for_em_and_for_ts)
{
	START(64, CODE("fld1"));
	m->s.cr0 |= CR0_EM;
	RUN_TO(7);
	m->s.cr0 = (m->s.cr0 & ~(u64)CR0_EM) | CR0_TS;
	machine_code(m, CODE("fninit"));
	RUN_TO(7);
}

TEST(wait_raises_nm_only_when_mp_and_ts_are_set)
{
	START(64, CODE("fwait"));
	m->s.cr0 = (m->s.cr0 & ~(u64)CR0_MP) | CR0_TS | CR0_EM;
	RUN_TO(MACHINE_HALTED);
	m->s.cr0 |= CR0_MP;
	machine_code(m, CODE("fwait"));
	RUN_TO(7);
}

TEST(avx_needs_osxsave_and_xcr0_before_ts_counts)
{
	if (!host_has_avx())
		SKIP("this host has no AVX");
	START(64, CODE("vaddps %ymm1, %ymm2, %ymm0"));
	m->s.cr0 |= CR0_TS;
	RUN_TO(6);
	allow_xsave(m);
	m->s.xcr0 = 3;
	machine_code(m, CODE("vaddps %ymm1, %ymm2, %ymm0"));
	RUN_TO(6);
	m->s.xcr0 = 7;
	machine_code(m, CODE("vaddps %ymm1, %ymm2, %ymm0"));
	RUN_TO(7);
	m->s.cr0 &= ~(u64)CR0_TS;
	machine_code(m, CODE("vaddps %ymm1, %ymm2, %ymm0"));
	RUN_TO(MACHINE_HALTED);
}

TEST(avx_is_undefined_in_real_mode)
{
	START(16, CODE16("vzeroupper"));
	allow_xsave(m);
	RUN_TO(6);
}

TEST(x87_and_sse_work_in_real_mode)
{
	START(16, CODE16("fninit; fldpi; fstps 0x10; movups 0x10, %xmm1; movss %xmm1, "
			 "0x20"));
	m->s.cr4 |= CR4_OSFXSR;
	RUN_TO(MACHINE_HALTED);
	ASSERT_EQ((u32)machine_u64(m, MACHINE_DATA + 0x20), 0x40490fdb);
}

TEST(vector_registers_follow_32_bit_code)
{
	START(32, CODE32("movl $0x12345678, %eax; movd %eax, %xmm7; pshufd $0, %xmm7, "
			 "%xmm6;"
			 "movups %xmm6, 0x20000; movmskps %xmm6, %ecx"));
	m->s.cr4 |= CR4_OSFXSR;
	m->s.gpr[R_CX] = 0xffffffff;
	RUN_TO(MACHINE_HALTED);
	ASSERT_EQ(machine_u64(m, MACHINE_DATA + 8), 0x1234567812345678);
	ASSERT_EQ(m->s.gpr[R_CX], 0);
}

/* ---- alignment ---------------------------------------------------------------------------------------- */

TEST(misaligned_legacy_operand_raises_gp_but_for_the_unaligned_moves)
{
	START(64, CODE("movups 1(%rbx), %xmm0; addps 1(%rbx), %xmm0"));
	m->s.gpr[R_BX] = MACHINE_DATA;
	RUN_TO(13);
	ASSERT_EQ(m->error_code, 0);
	ASSERT_EQ(m->fault_rip, MACHINE_CODE + 4);
	machine_code(m, CODE("movaps %xmm0, 8(%rbx)"));
	RUN_TO(13);
	machine_code(m, CODE("addsd 1(%rbx), %xmm0; paddb 16(%rbx), %xmm0"));
	RUN_TO(MACHINE_HALTED);
}

TEST(vex_operand_may_be_misaligned_but_for_the_aligned_moves)
{
	if (!host_has_avx())
		SKIP("this host has no AVX");
	START(64, CODE("vaddps 1(%rbx), %ymm0, %ymm1; vmovaps 16(%rbx), %ymm0"));
	allow_xsave(m);
	m->s.gpr[R_BX] = MACHINE_DATA;
	RUN_TO(13);
	ASSERT_EQ(m->fault_rip, MACHINE_CODE + 5);
}

/* ---- arithmetic exceptions ------------------------------------------------------------------------------ */

TEST(unmasked_sse_exception_raises_xm_and_leaves_the_destination)
{
	START(64, CODE("ldmxcsr (%rbx); movaps 16(%rbx), %xmm0; xorps %xmm1, %xmm1;"
		       "divps %xmm1, %xmm0"));
	m->s.gpr[R_BX] = MACHINE_DATA;
	put_u64(m, MACHINE_DATA, 0x1d80); /* division by zero is not masked */
	put_u64(m, MACHINE_DATA + 16, 0x3f8000003f800000);
	put_u64(m, MACHINE_DATA + 24, 0x3f8000003f800000);
	RUN_TO(19);
	ASSERT_EQ(m->fault_rip, MACHINE_CODE + 10);
	u32 mxcsr;

	memcpy(&mxcsr, m->s.xsave + 24, 4);
	ASSERT_EQ(mxcsr, 0x1d84);
	ASSERT_MEM(m->s.xsave + 160, m->ram + MACHINE_DATA + 16, 16);
}

TEST(unmasked_sse_exception_without_osxmmexcpt_raises_ud)
{
	START(64, CODE("ldmxcsr (%rbx); divps %xmm1, %xmm1"));
	m->s.cr4 &= ~(u64)CR4_OSXMMEXCPT;
	m->s.gpr[R_BX] = MACHINE_DATA;
	put_u64(m, MACHINE_DATA, 0x1f00); /* 0/0 is invalid, not masked */
	RUN_TO(6);
}

TEST(mxcsr_refuses_reserved_bits)
{
	START(64, CODE("ldmxcsr (%rbx)"));
	m->s.gpr[R_BX] = MACHINE_DATA;
	put_u64(m, MACHINE_DATA, 0x11f80);
	RUN_TO(13);
}

TEST(rounding_of_the_guest_stays_the_guests)
{
	START(64, CODE("ldmxcsr (%rbx); cvtss2si 4(%rbx), %eax; stmxcsr 8(%rbx);"
		       "ldmxcsr 12(%rbx); cvtss2si 4(%rbx), %ecx"));
	m->s.gpr[R_BX] = MACHINE_DATA;
	put_u64(m, MACHINE_DATA,
		0x3fc00000ull << 32 | 0x5f80);	       /* 1.5, towards +infinity */
	put_u64(m, MACHINE_DATA + 8, 0x7f80ull << 32); /* towards 0 */
	RUN_TO(MACHINE_HALTED);
	ASSERT_EQ(m->s.gpr[R_AX], 2);
	ASSERT_EQ(m->s.gpr[R_CX], 1);
	ASSERT_EQ((u32)machine_u64(m, MACHINE_DATA + 8), 0x5fa0);
}

TEST(unmasked_x87_exception_raises_mf_at_the_next_waiting_instruction)
{
	START(64, CODE("fninit; fldcw (%rbx); fld1; fldz; fdivrp; fnstsw %ax; nop; "
		       "fld1"));
	m->s.cr0 |= CR0_NE;
	m->s.gpr[R_BX] = MACHINE_DATA;
	put_u64(m, MACHINE_DATA, 0x37b); /* division by zero is not masked */
	RUN_TO(16);
	ASSERT_EQ(m->s.gpr[R_AX] & 0x84, 0x84);
	ASSERT_EQ(m->fault_rip, MACHINE_CODE + 13);
}

TEST(x87_exception_without_ne_is_dropped)
{
	START(64, CODE("fninit; fldcw (%rbx); fld1; fldz; fdivrp; fld1; fwait; fnstsw "
		       "%ax"));
	m->s.cr0 &= ~(u64)CR0_NE;
	m->s.gpr[R_BX] = MACHINE_DATA;
	put_u64(m, MACHINE_DATA, 0x37b);
	RUN_TO(MACHINE_HALTED);
	ASSERT_EQ(m->s.gpr[R_AX] & 0x80, 0);
}

/* ---- state images -------------------------------------------------------------------------------------- */

TEST(fxsave_gives_what_fxrstor_took)
{
	START(64, CODE("fxrstor64 (%rbx); fxsave64 (%rcx)"));
	m->s.gpr[R_BX] = AREA;
	m->s.gpr[R_CX] = AREA + 512;
	for (unsigned k = 0; k < 512; k++)
		m->ram[AREA + k] = (u8)(k * 7);
	put_u64(m, AREA, 0x00ff00000000037f);
	put_u64(m, AREA + 8, 0);
	put_u64(m, AREA + 16, 0);
	put_u64(m, AREA + 24, 0xffff00001f80);
	for (unsigned k = 0; k < 8; k++) /* ten bytes of each register count */
		memset(m->ram + AREA + 32 + 16 * k + 10, 0, 6);
	memset(m->ram + AREA + 4, 0xff, 1);
	m->ram[AREA + 5] = m->ram[AREA + 6] = m->ram[AREA + 7] = 0;
	RUN_TO(MACHINE_HALTED);
	ASSERT_MEM(m->ram + AREA, m->ram + AREA + 512, 416);
}

TEST(fxsave_area_must_be_aligned)
{
	START(64, CODE("fxsave 8(%rbx)"));
	m->s.gpr[R_BX] = AREA;
	RUN_TO(13);
}

TEST(fxrstor_refuses_reserved_bits_of_mxcsr)
{
	START(64, CODE("fxrstor (%rbx)"));
	m->s.gpr[R_BX] = AREA;
	put_u64(m, AREA + 24, 0x80000000);
	RUN_TO(13);
}

TEST(xsave_needs_osxsave_and_alignment)
{
	START(64, CODE("xsave (%rbx)"));
	m->s.gpr[R_BX] = AREA;
	RUN_TO(6);
	allow_xsave(m);
	m->s.gpr[R_BX] = AREA + 16;
	machine_code(m, CODE("xsave (%rbx)"));
	RUN_TO(13);
	m->s.gpr[R_BX] = AREA;
	m->s.cr0 |= CR0_TS;
	machine_code(m, CODE("xsave (%rbx)"));
	RUN_TO(7);
}

TEST(xsave_writes_only_what_was_asked_for)
{
	START(64, CODE("pcmpeqb %xmm3, %xmm3; xsave (%rbx)"));
	allow_xsave(m);
	m->s.gpr[R_AX] = 2;
	m->s.gpr[R_BX] = AREA;
	memset(m->ram + AREA, 0x5a, 1024);
	memset(m->ram + AREA + 512, 0, 64);
	put_u64(m, AREA + 512, 1); /* kept: not asked for */
	RUN_TO(MACHINE_HALTED);
	ASSERT_EQ(machine_u64(m, AREA), 0x5a5a5a5a5a5a5a5a);
	ASSERT_EQ(machine_u64(m, AREA + 160 + 48), ~0ull);
	ASSERT_EQ(machine_u64(m, AREA + 512), 3);
	ASSERT_EQ(machine_u64(m, AREA + 576), 0x5a5a5a5a5a5a5a5a);
}

TEST(xsaveopt_does_not_write_what_has_its_first_value)
{
	START(64, CODE("pxor %xmm0, %xmm0; xsaveopt (%rbx)"));
	allow_xsave(m);
	m->s.gpr[R_AX] = 6;
	m->s.gpr[R_BX] = AREA;
	memset(m->ram + AREA, 0x5a, 512);
	put_u64(m, AREA + 512, 7);
	RUN_TO(MACHINE_HALTED);
	ASSERT_EQ(machine_u64(m, AREA + 160), 0x5a5a5a5a5a5a5a5a);
	ASSERT_EQ(machine_u64(m, AREA + 512), 1);
	ASSERT_EQ((u32)machine_u64(m, AREA + 24), 0x1f80);
}

TEST(xsavec_writes_a_compacted_header)
{
	START(64, CODE("pcmpeqb %xmm0, %xmm0; xsavec (%rbx); pxor %xmm0, %xmm0; xrstor "
		       "(%rbx);"
		       "movups %xmm0, 1024(%rbx)"));
	allow_xsave(m);
	m->s.gpr[R_AX] = 3;
	m->s.gpr[R_BX] = AREA;
	RUN_TO(MACHINE_HALTED);
	ASSERT_EQ(machine_u64(m, AREA + 512) & 2, 2);
	ASSERT_EQ(machine_u64(m, AREA + 520), BIT64(63) | 3);
	ASSERT_EQ(machine_u64(m, AREA + 1024), ~0ull);
}

TEST(xrstor_sets_to_first_values_what_the_header_leaves_out)
{
	START(64, CODE("pcmpeqb %xmm5, %xmm5; xrstor (%rbx); movups %xmm5, 1024(%rbx)"));
	allow_xsave(m);
	m->s.gpr[R_AX] = 2;
	m->s.gpr[R_BX] = AREA;
	put_u64(m, AREA + 24, 0x1f80);
	memset(m->ram + AREA + 160, 0x5a, 256);
	RUN_TO(MACHINE_HALTED);
	ASSERT_EQ(machine_u64(m, AREA + 1024), 0);
}

static int xrstor_with(u64 bv, u64 comp, u64 third, u64 last, u32 mxcsr)
{
	struct machine *m AUTO_MACHINE = machine_new(64);

	if (!m)
		return -100;
	machine_code(m, CODE("xrstor (%rbx)"));
	allow_xsave(m);
	m->s.gpr[R_AX] = ~0ull;
	m->s.gpr[R_DX] = ~0ull;
	m->s.gpr[R_BX] = AREA;
	memcpy(m->ram + AREA + 24, &mxcsr, 4);
	memcpy(m->ram + AREA, &(u16){ 0x37f }, 2);
	put_u64(m, AREA + 512, bv);
	put_u64(m, AREA + 520, comp);
	put_u64(m, AREA + 528, third);
	put_u64(m, AREA + 568, last);
	return machine_run(m) ? m->vector : -101;
}

TEST(xrstor_checks_the_header)
{
	ASSERT_EQ(xrstor_with(3, 0, 0, 0, 0x1f80), MACHINE_HALTED);
	ASSERT_EQ(xrstor_with(8, 0, 0, 0, 0x1f80), 13); /* not in XCR0 */
	ASSERT_EQ(xrstor_with(3, 1, 0, 0, 0x1f80),
		  13); /* XCOMP_BV of the standard format */
	ASSERT_EQ(xrstor_with(3, 0, 1, 0, 0x1f80), 13); /* reserved */
	ASSERT_EQ(xrstor_with(0, 0, 0, 0, 0x10000),
		  13); /* MXCSR counts whatever XSTATE_BV says */
	ASSERT_EQ(xrstor_with(1, BIT64(63) | 3, 0, 0, 0x10000),
		  MACHINE_HALTED); /* not here */
	ASSERT_EQ(xrstor_with(3, BIT64(63) | 1, 0, 0, 0x1f80),
		  13); /* BV beyond XCOMP_BV */
	ASSERT_EQ(xrstor_with(1, BIT64(63) | BIT64(9) | 1, 0, 0, 0x1f80), 13);
	ASSERT_EQ(xrstor_with(1, BIT64(63) | 1, 0, 1, 0x1f80),
		  13); /* reserved, at the end */
}

TEST(environment_has_16_bit_format_with_the_prefix)
{
	START(64, CODE("fninit; fldpi; data16 fnstenv (%rbx); fnstenv 32(%rbx)"));
	m->s.gpr[R_BX] = MACHINE_DATA;
	RUN_TO(MACHINE_HALTED);
	ASSERT_EQ(machine_u64(m, MACHINE_DATA) & 0xffffffffffff, 0x3fff3800037f);
	ASSERT_EQ((u16)machine_u64(m, MACHINE_DATA + 6), (MACHINE_CODE + 2) & 0xffff);
	ASSERT_EQ(machine_u64(m, MACHINE_DATA + 32), 0xffff3800ffff037f);
	ASSERT_EQ((u32)machine_u64(m, MACHINE_DATA + 44), MACHINE_CODE + 2);
}

/* ---- thunks --------------------------------------------------------------------------------------------- */

TEST(no_page_is_writable_and_executable)
{
	START(64, CODE("addps %xmm1, %xmm0"));
	RUN_TO(MACHINE_HALTED);

	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	unsigned writable = 0, executable = 0, both = 0;

	ASSERT(f);
	while (fgets(line, sizeof(line), f)) {
		both += strstr(line, " rwx") != NULL;
		if (!strstr(line, "tabique-thunks"))
			continue;
		writable += strstr(line, " rw-s") != NULL;
		executable += strstr(line, " r-xs") != NULL;
	}
	fclose(f);
	ASSERT_EQ(both, 0);
	ASSERT_EQ(writable, 1);
	ASSERT_EQ(executable, 1);
}

TEST_TIMEOUT(thunks_of_standard_registers_do_the_same, 120)
{
	struct blocks_run run = {
		.seed = 900000000,
		.count = 30000,
		.isa = ISA_SSE | ISA_AVX,
		.show = 3,
		.seconds = 60,
	};

	thunk_limit(1); /* no room for particular ones */
	ASSERT_EQ(blocks_compare(&run), 0);
	ASSERT_EQ(run.differences, 0);
	ASSERT(run.done > 1000);
}

/* Elements beyond 4 GiB were looked for there. Random blocks found it, seed 202611230003680971. */
TEST(masked_elements_wrap_at_4_gib_when_addresses_have_32_bits)
{
	START(64, CODE("vpcmpeqd %xmm0, %xmm0, %xmm0\n"
		       "vpslldq $8, %xmm0, %xmm0\n" /* the second element alone */
		       "mov $0xfffffff8, %edi\n"
		       "vmaskmovpd (%edi), %xmm0, %xmm1\n"
		       "vpextrq $1, %xmm1, %rax\n"
		       "inc %rax\n"
		       "vpinsrq $1, %rax, %xmm1, %xmm1\n"
		       "vmaskmovpd %xmm1, %xmm0, (%edi)"));
	if (!host_has_avx())
		SKIP("the host has no AVX");
	allow_xsave(m);
	put_u64(m, 0, 0x123456789abcdef0);
	RUN_TO(MACHINE_HALTED);
	ASSERT_EQ(m->s.gpr[R_AX], 0x123456789abcdef1);
	ASSERT_EQ(machine_u64(m, 0), 0x123456789abcdef1);
}
