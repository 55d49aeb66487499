/* SPDX-License-Identifier: Apache-2.0 */
/* Control registers, EFER, MSRs: what may not be written, and what follows from what may. */
#include "x86_rings.h"

#include "x86/cpuid.h"

/* Runs "mov %rax, %crN" (or WRMSR) with a value; the vector, or RINGS_ELSEWHERE. */
static NOINLINE int write_cr(struct machine *m, struct machine_code code, u64 v)
{
	machine_code(m, code);
	m->s.gpr[R_AX] = v;
	return rings_run(m);
}

static int write_msr(struct machine *m, u32 index, u64 v)
{
	machine_code(m, CODE("wrmsr"));
	m->s.gpr[R_CX] = index;
	m->s.gpr[R_AX] = (u32)v;
	m->s.gpr[R_DX] = v >> 32;
	return rings_run(m);
}

static int read_msr(struct machine *m, u32 index, u64 *ret_value)
{
	int vector;

	machine_code(m, CODE("rdmsr"));
	m->s.gpr[R_CX] = index;
	vector = rings_run(m);
	*ret_value = m->s.gpr[R_DX] << 32 | m->s.gpr[R_AX];
	return vector;
}

TEST(control_registers_refuse_what_is_incoherent)
{
	static const struct {
		unsigned cr;
		u64 v;
	} bad[] = {
		{ 0, 0x80010030 },  /* PG without PE */
		{ 0, 0xa0010031 },  /* NW without CD */
		{ 0, 0x180010031 }, /* bit 32 */
		{ 0, 0x00010031 },  /* PG off in 64-bit code */
		{ 3, 1ull << 52 },  /* beyond MAXPHYADDR */
		{ 3, 1ull << 63 },  /* NOFLUSH without PCIDE */
		{ 4, 0x600 },	    /* PAE off in long mode */
		{ 4, 0x2620 },	    /* VMXE */
		{ 4, 0x1620 },	    /* LA57 */
		{ 4, 0x621 },	    /* VME: we have none */
		{ 4, 1ull << 32 | 0x620 },
		{ 8, 16 },
	};

	for (unsigned n = 0; n < ARRAY_COUNT(bad); n++) {
		struct machine *m AUTO_MACHINE = rings_new(64);
		struct machine_code code;

		ASSERT(m);
		code = bad[n].cr == 0	? CODE("mov %rax, %cr0")
		       : bad[n].cr == 3 ? CODE("mov %rax, %cr3")
		       : bad[n].cr == 4 ? CODE("mov %rax, %cr4")
					: CODE("mov %rax, %cr8");
		ASSERT_EQ(write_cr(m, code, bad[n].v), 13);
		ASSERT_EQ(rings_frame(m, 0), 0);
		ASSERT_EQ(rings_frame(m, 1), MACHINE_CODE);
		ASSERT_EQ(m->s.cr0, 0x80010031);
		ASSERT_EQ(m->s.cr4, 0x620);
	}
}

TEST(pcids_need_a_cr3_whose_low_bits_are_clear)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	m->s.cr3 |= 8;
	ASSERT_EQ(write_cr(m, CODE("mov %rax, %cr4"), 0x20620), 13);
	m->s.cr3 &= ~8ull;
	ASSERT_EQ(write_cr(m, CODE("mov %rax, %cr4"), 0x20620), RINGS_ELSEWHERE);
	ASSERT_EQ(write_cr(m, CODE("mov %rax, %cr3"), m->s.cr3 | 5 | 1ull << 63),
		  RINGS_ELSEWHERE);
	ASSERT_EQ(m->s.cr3 >> 63, 0);
	ASSERT_EQ(m->s.cr3 & 0xfff, 5);
}

TEST(control_registers_belong_to_ring_0_and_some_do_not_exist)
{
	for (unsigned n = 0; n < 5; n++) {
		struct machine *m AUTO_MACHINE = rings_new(64);

		ASSERT(m);
		machine_code(m, n == 0	 ? CODE("mov %cr0, %rax")
				: n == 1 ? CODE("clts")
				: n == 2 ? CODE("hlt")
				: n == 3 ? CODE("rdmsr")
					 : CODE("mov %rax, %dr7"));
		rings_user(m);
		ASSERT_EQ(rings_run(m), 13);
		ASSERT_EQ(rings_frame(m, 1), MACHINE_CODE);

		machine_code(m, CODE(".byte 0x0f, 0x20, 0xe8")); /* mov %cr5, %rax */
		ASSERT_EQ(rings_run(m), 6);
	}
}

TEST(long_mode_is_entered_and_left_through_cr0)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	/* Compatibility code turns paging off and on again: LMA follows. */
	rings_code_at(m, 0x11000,
		      CODE32("mov %cr0, %eax; btr $31, %eax; mov %eax, %cr0;"
			     "mov $0xc0000080, %ecx; rdmsr; mov %eax, %ebx;"
			     "mov %cr0, %eax; bts $31, %eax; mov %eax, %cr0;"
			     "rdmsr; mov %eax, %esi"));
	rings_descriptor(m, RINGS_FREE, rings_segment(0, 0xfffff, 0x9b, 0xc), 0);
	rings_put(m, 0x20000, 0x11000 | (u64)RINGS_FREE << 32, 8);
	machine_code(m, CODE("mov $0x20000, %eax; ljmp *(%rax)"));
	ASSERT_EQ(rings_run(m), RINGS_ELSEWHERE);
	ASSERT_EQ(m->s.gpr[R_BX], 0x100);
	ASSERT_EQ(m->s.gpr[R_SI], 0x500);
	ASSERT_EQ(m->s.efer, 0x500);
}

TEST(lme_cannot_change_under_paging_and_reserved_bits_fault)
{
	struct machine *m AUTO_MACHINE = rings_new(64);
	u64 v;

	ASSERT(m);
	ASSERT_EQ(write_msr(m, 0xc0000080, 0), 13);
	ASSERT_EQ(write_msr(m, 0xc0000080, 0x1500), 13); /* SVME */
	ASSERT_EQ(write_msr(m, 0xc0000080, 0x101), RINGS_ELSEWHERE);
	ASSERT_EQ(read_msr(m, 0xc0000080, &v), RINGS_ELSEWHERE);
	ASSERT_EQ(v, 0x501); /* LMA is not software's */
}

TEST(msrs_check_what_they_are_given)
{
	static const struct {
		u32 index;
		u64 good, bad;
	} msr[] = {
		{ 0xc0000082, 0xffff800000000000, 1ull << 47 },
		{ 0xc0000100, 0x7fffffffffff, 1ull << 63 },
		{ 0xc0000102, 0x1000, 1ull << 47 },
		{ 0xc0000103, 0xffffffff, 0 },
		{ 0x277, 0x0007040600070406, 0x0007040600070402 },
		{ 0x2ff, 0xc06, 0x1c06 },
		{ 0x200, 0x80000006, 0x80000002 },
		{ 0x201, 0x3f80000800, 0x3f80000400 },
		{ 0x250, 0x0606060606060606, 0x0606060606060607 },
		{ 0x48, 1, 8 },
		{ 0x3b, 5, 0 },
	};

	for (unsigned n = 0; n < ARRAY_COUNT(msr); n++) {
		struct machine *m AUTO_MACHINE = rings_new(64);
		u64 v;

		ASSERT(m);
		ASSERT_EQ(write_msr(m, msr[n].index, msr[n].good), RINGS_ELSEWHERE);
		if (msr[n].bad)
			ASSERT_EQ(write_msr(m, msr[n].index, msr[n].bad), 13);
		m->s.seg[SEG_CS].selector = 8;
		ASSERT_EQ(read_msr(m, msr[n].index, &v), RINGS_ELSEWHERE);
		ASSERT_EQ(v, msr[n].good);
	}
}

/* Found by random system state: AMD's processors drop the upper half of TSC_AUX, Intel's fault. */
TEST(upper_half_of_tsc_aux_is_the_vendors)
{
	struct machine *m AUTO_MACHINE = rings_new(64);
	u64 v;

	ASSERT(m);
	ASSERT_EQ(write_msr(m, 0xc0000103, BIT64(32) | 5),
		  x86_model_host()->amd ? RINGS_ELSEWHERE : 13);
	m->s.seg[SEG_CS].selector = 8;
	ASSERT_EQ(read_msr(m, 0xc0000103, &v), RINGS_ELSEWHERE);
	ASSERT_EQ(v, x86_model_host()->amd ? 5 : 0);
}

TEST(unknown_msrs_and_writes_to_constants_are_gp)
{
	struct machine *m AUTO_MACHINE = rings_new(64);
	u64 v;

	ASSERT(m);
	ASSERT_EQ(read_msr(m, 0x12345678, &v), 13);
	ASSERT_EQ(write_msr(m, 0x12345678, 0), 13);
	ASSERT_EQ(write_msr(m, 0x10a, 0), 13);
	ASSERT_EQ(read_msr(m, 0x10a, &v), RINGS_ELSEWHERE);
	ASSERT_EQ(v & 1, 1); /* RDCL_NO */
	ASSERT_EQ(write_msr(m, 0xfe, 0), 13);
}

TEST(the_time_stamp_can_be_set_and_adjusted)
{
	struct machine *m AUTO_MACHINE = rings_new(64);
	u64 v, before;

	ASSERT(m);
	ASSERT_EQ(write_msr(m, 0x10, 1000), RINGS_ELSEWHERE);
	ASSERT_EQ(read_msr(m, 0x10, &before), RINGS_ELSEWHERE);
	ASSERT(before >= 1000 && before < 1ull << 40);
	ASSERT_EQ(read_msr(m, 0x3b, &v), RINGS_ELSEWHERE);
	ASSERT_EQ(write_msr(m, 0x3b, v + (1ull << 50)), RINGS_ELSEWHERE);
	ASSERT_EQ(read_msr(m, 0x10, &v), RINGS_ELSEWHERE);
	ASSERT(v >= before + (1ull << 50));
	m->s.cr4 |= 4;
	machine_code(m, CODE("rdtsc"));
	rings_user(m);
	ASSERT_EQ(rings_run(m), 13);
}

TEST(umip_hides_tables_from_ring_3)
{
	for (unsigned n = 0; n < 4; n++) {
		for (unsigned umip = 0; umip < 2; umip++) {
			struct machine *m AUTO_MACHINE = rings_new(64);

			ASSERT(m);
			m->s.cr4 |= umip << 11;
			machine_code(m, n == 0	 ? CODE("sgdt 0x20000; int $0x80")
					: n == 1 ? CODE("sidt 0x20000; int $0x80")
					: n == 2 ? CODE("str %eax; int $0x80")
						 : CODE("smsw %eax; int $0x80"));
			rings_user(m);
			ASSERT_EQ(rings_run(m), umip ? 13 : RINGS_SYSCALL);
		}
	}
}

TEST(sgdt_stores_ten_bytes_and_lgdt_takes_them)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	rings_put(m, 0x20020, 0x1122334455660077, 8);
	rings_put(m, 0x20028, 0x7788, 2);
	machine_code(m, CODE("sgdt 0x20000; sidt 0x20010; lidt 0x20020"));
	ASSERT_EQ(rings_run(m), 13); /* not canonical */
	ASSERT_EQ(rings_get(m, 0x20000, 2), 0xff);
	ASSERT_EQ(rings_get(m, 0x20002, 8), RINGS_GDT);
	ASSERT_EQ(rings_get(m, 0x20012, 8), RINGS_IDT);
}

TEST(fs_and_gs_bases_move_by_swapgs_and_wrfsbase)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	m->s.kernel_gs_base = 0x21000;
	rings_put(m, 0x21008, 0x1234, 8);
	rings_put(m, 0x22008, 0x5678, 8);
	machine_code(m, CODE("swapgs; mov %gs:8, %rax; mov $0x22000, %ecx; wrfsbase %rcx;"
			     "mov %fs:8, %rbx; rdgsbase %rdx"));
	ASSERT_EQ(rings_run(m), 6);
	m->s.cr4 |= 1 << 16;
	m->s.kernel_gs_base = 0x21000;
	m->s.seg[SEG_GS].base = 0;
	machine_code(m, CODE("swapgs; mov %gs:8, %rax; mov $0x22000, %ecx; wrfsbase %rcx;"
			     "mov %fs:8, %rbx; rdgsbase %rdx"));
	ASSERT_EQ(rings_run(m), RINGS_ELSEWHERE);
	ASSERT_EQ(m->s.gpr[R_AX], 0x1234);
	ASSERT_EQ(m->s.gpr[R_BX], 0x5678);
	ASSERT_EQ(m->s.gpr[R_DX], 0x21000);
	ASSERT_EQ(m->s.kernel_gs_base, 0);
	machine_code(m, CODE("mov $1, %ecx; shl $47, %rcx; wrfsbase %rcx"));
	ASSERT_EQ(rings_run(m), 13);
}

TEST(popf_in_ring_3_changes_neither_if_nor_iopl)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	machine_code(m, CODE("pushq $0x3cd5; popfq; int $0x80"));
	rings_user(m);
	m->s.rflags = 0x202;
	ASSERT_EQ(rings_run(m), RINGS_SYSCALL);
	ASSERT_EQ(rings_frame(m, 2), 0xed7);
}

TEST(smap_and_smep_guard_the_users_pages)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	m->s.cr4 |= 1 << 21;
	/* Code, tables and stack are the kernel's again, the data page stays the user's. */
	for (u64 a = 0; a < MACHINE_RAM; a += 4096)
		machine_page(m, a, true, true);
	rings_put(m, 0x4000 + 8 * 0x20, 0x20007, 8);
	machine_code(m, CODE("stac; mov 0x20000, %eax; clac; mov 0x20000, %eax"));
	ASSERT_EQ(rings_run(m), 14);
	ASSERT_EQ(rings_frame(m, 0), 1);
	ASSERT_EQ(rings_frame(m, 1), MACHINE_CODE + 13);
	ASSERT_EQ(m->s.cr2, 0x20000);

	m->s.cr4 |= 1 << 20;
	machine_code(m, CODE("mov $0x20000, %eax; jmp *%rax"));
	ASSERT_EQ(rings_run(m), 14);
	ASSERT_EQ(rings_frame(m, 0), 0x11);
	ASSERT_EQ(rings_frame(m, 1), 0x20000);
}

TEST(xcr0_takes_only_what_the_model_has)
{
	static const u64 bad[] = { 0, 2, 5, 9, 1ull << 63 };
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	machine_code(m, CODE("xsetbv"));
	m->s.gpr[R_AX] = 1;
	ASSERT_EQ(rings_run(m), 6); /* no OSXSAVE */
	m->s.cr4 |= 1 << 18;
	for (unsigned n = 0; n < ARRAY_COUNT(bad); n++) {
		machine_code(m, CODE("xsetbv"));
		m->s.gpr[R_AX] = (u32)bad[n];
		m->s.gpr[R_DX] = bad[n] >> 32;
		ASSERT_EQ(rings_run(m), 13);
	}
	machine_code(m, CODE("xsetbv; xor %eax, %eax; xgetbv"));
	m->s.gpr[R_AX] = 3;
	m->s.gpr[R_DX] = 0;
	ASSERT_EQ(rings_run(m), RINGS_ELSEWHERE);
	ASSERT_EQ(m->s.gpr[R_AX], 3);
}
