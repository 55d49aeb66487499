/* SPDX-License-Identifier: Apache-2.0 */
/* 32-bit protected mode: rings, gates, tasks, virtual-8086 mode, descriptor checks. */
#include "x86_rings.h"

#define TASK 0x40
#define TASK_BASE 0x64000u

TEST(int_from_ring_3_takes_the_stack_of_the_tss_and_iret_comes_back)
{
	struct machine *m AUTO_MACHINE = rings_new(32);

	ASSERT(m);
	rings_code_at(m, 0x11000, CODE32("mov %esp, %esi; mov (%esp), %edi; iret"));
	rings_gate(m, 0x40, RINGS_CODE, 0x11000, 0xee, 0);
	machine_code(m, CODE32("int $0x40; int $0x80"));
	rings_user(m);
	m->s.rflags = 0x202;
	ASSERT_EQ(rings_run(m), RINGS_SYSCALL);
	ASSERT_EQ(m->s.gpr[R_SI], RINGS_STACK0 - 20);
	ASSERT_EQ(m->s.gpr[R_DI], MACHINE_CODE + 2);
	ASSERT_EQ(rings_frame(m, 0), MACHINE_CODE + 4);
	ASSERT_EQ(rings_frame(m, 1), RINGS_USER_CODE);
	ASSERT_EQ(rings_frame(m, 2), 0x202);
	ASSERT_EQ(rings_frame(m, 3), MACHINE_STACK);
	ASSERT_EQ(rings_frame(m, 4), RINGS_USER_DATA);
	ASSERT_EQ(m->s.seg[SEG_SS].selector, RINGS_DATA);
}

TEST(a_bad_stack_in_the_tss_is_ts_or_ss_with_its_selector)
{
	static const struct {
		u16 ss;
		int vector;
		u32 code;
	} bad[] = {
		{ 0, 10, 0 },	       { RINGS_USER_DATA, 10, 0x20 },
		{ RINGS_CODE, 10, 8 }, { 0x1f8, 10, 0x1f8 },
		{ 0x48, 12, 0x48 },
	};

	for (unsigned n = 0; n < ARRAY_COUNT(bad); n++) {
		struct machine *m AUTO_MACHINE = rings_new(32);

		ASSERT(m);
		rings_descriptor(m, 0x48, rings_segment(0, 0xfffff, 0x13, 0xc), 0);
		rings_put(m, RINGS_TSS_BASE + 8, bad[n].ss, 2);
		/* That fault must have a stack: by a task. */
		rings_descriptor(m, TASK, rings_segment(TASK_BASE, 0x67, 0x89, 0), 0);
		rings_gate(m, (unsigned)bad[n].vector, TASK, 0, 0x85, 0);
		rings_put(m, TASK_BASE + 0x20, 0x11000, 4);
		rings_put(m, TASK_BASE + 0x24, 2, 4);
		rings_put(m, TASK_BASE + 0x38, 0x4f000, 4);
		rings_put(m, TASK_BASE + 0x48, RINGS_DATA, 2);
		rings_put(m, TASK_BASE + 0x4c, RINGS_CODE, 2);
		rings_put(m, TASK_BASE + 0x50, RINGS_DATA, 2);
		rings_put(m, TASK_BASE + 0x54, RINGS_DATA, 2);
		rings_code_at(m, 0x11000, CODE32("pop %eax"));
		machine_code(m, CODE32("int $0x80"));
		rings_user(m);
		ASSERT_EQ(rings_run(m), RINGS_ELSEWHERE);
		ASSERT_EQ(m->s.rip, 0x11002);
		ASSERT_EQ(m->s.gpr[R_AX], bad[n].code);
		ASSERT_EQ(m->s.tr.selector, TASK);
		/* The link, and the busy bits of both. */
		ASSERT_EQ(rings_get(m, TASK_BASE, 2), RINGS_TSS);
		ASSERT_EQ(rings_read_descriptor(m, TASK) >> 40 & 15, 11);
		ASSERT_EQ(rings_read_descriptor(m, RINGS_TSS) >> 40 & 15, 11);
		ASSERT_EQ(m->s.rflags & 0x4000, 0x4000);
		ASSERT_EQ(rings_get(m, RINGS_TSS_BASE + 0x20, 4), MACHINE_CODE);
		ASSERT_EQ(m->s.cr0 & 8, 8);
	}
}

TEST(a_call_gate_moves_parameters_and_retf_releases_them_on_both_stacks)
{
	struct machine *m AUTO_MACHINE = rings_new(32);

	ASSERT(m);
	/* 32-bit call gate, DPL 3, two parameters, to 8:11000. */
	rings_put(m, RINGS_GDT + 0x48, 0x0001ec0200081000, 8);
	rings_code_at(m, 0x11000,
		      CODE32("mov %esp, %esi; mov 8(%esp), %edi; mov 12(%esp), %ebp;"
			     "mov %cs, %ebx; lret $8"));
	machine_code(m, CODE32("push $0x1111; push $0x2222; lcall $0x48, $0; int $0x80"));
	rings_user(m);
	ASSERT_EQ(rings_run(m), RINGS_SYSCALL);
	ASSERT_EQ(m->s.gpr[R_SI], RINGS_STACK0 - 24);
	ASSERT_EQ(m->s.gpr[R_DI], 0x2222);
	ASSERT_EQ(m->s.gpr[R_BP], 0x1111);
	ASSERT_EQ(m->s.gpr[R_BX], RINGS_CODE);
	ASSERT_EQ(rings_frame(m, 0), MACHINE_CODE + 5 + 5 + 7 + 2);
	ASSERT_EQ(rings_frame(m, 3), MACHINE_STACK);
	ASSERT_EQ(rings_frame(m, 4), RINGS_USER_DATA);
}

TEST(a_64_bit_call_gate_pushes_a_frame_of_quadwords)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	rings_put(m, RINGS_GDT + 0x40, 0x0001ec0000081000, 8);
	rings_put(m, RINGS_GDT + 0x48, 0, 8);
	rings_code_at(m, 0x11000, CODE("mov %rsp, %rsi; mov %ss, %edi; lretq"));
	rings_put(m, 0x20000, 0x43ull << 32, 8);
	machine_code(m, CODE("mov $0x20000, %eax; lcall *(%rax); int $0x80"));
	rings_user(m);
	ASSERT_EQ(rings_run(m), RINGS_SYSCALL);
	ASSERT_EQ(m->s.gpr[R_SI], RINGS_STACK0 - 32);
	ASSERT_EQ(m->s.gpr[R_DI], 0);
	ASSERT_EQ(rings_frame(m, 0), MACHINE_CODE + 9);
	ASSERT_EQ(rings_frame(m, 4), RINGS_USER_DATA);
}

TEST(far_jumps_and_calls_to_where_one_may_not_go)
{
	static const struct {
		u16 selector;
		int vector;
		u32 code;
	} bad[] = {
		{ 0, 13, 0 },
		{ RINGS_DATA, 13, RINGS_DATA },
		{ RINGS_USER_CODE, 13, 0x18 },
		{ 0x50, 11, 0x50 }, /* code, not present */
		{ 0x100, 13, 0x100 },
		{ RINGS_TSS, 13, RINGS_TSS }, /* busy */
		{ 0x44, 13, 0x44 },	      /* no LDT */
	};

	for (unsigned n = 0; n < ARRAY_COUNT(bad); n++) {
		struct machine *m AUTO_MACHINE = rings_new(32);

		ASSERT(m);
		rings_descriptor(m, 0x50, rings_segment(0, 0xfffff, 0x1b, 0xc), 0);
		rings_put(m, 0x20000, 0x11000 | (u64)bad[n].selector << 32, 8);
		machine_code(m,
			     n & 1 ? CODE32("ljmp *0x20000") : CODE32("lcall *0x20000"));
		ASSERT_EQ(rings_run(m), bad[n].vector);
		ASSERT_EQ(rings_frame(m, 0), bad[n].code);
		ASSERT_EQ(rings_frame(m, 1), MACHINE_CODE);
	}
}

TEST(segment_registers_take_only_what_they_may_and_mark_it_accessed)
{
	static const struct {
		u16 selector;
		u8 register_number;
		int vector;
		u32 code;
	} bad[] = {
		{ 0, SEG_SS, 13, 0 },
		{ RINGS_CODE, SEG_SS, 13, 8 },
		{ RINGS_USER_DATA, SEG_SS, 13, 0x20 },
		{ 0x58, SEG_SS, 12, 0x58 },
		{ 0x58, SEG_DS, 11, 0x58 },
		{ 0x60, SEG_DS, 13, 0x60 },
		{ RINGS_TSS, SEG_ES, 13, 0x30 },
		{ 0x11, SEG_SS, 13, 0x10 },
		{ 0x13, SEG_FS, 13, 0x10 },
	};

	for (unsigned n = 0; n < ARRAY_COUNT(bad); n++) {
		struct machine *m AUTO_MACHINE = rings_new(32);

		ASSERT(m);
		rings_descriptor(m, 0x58, rings_segment(0, 0xfffff, 0x12, 0xc), 0);
		rings_descriptor(m, 0x60, rings_segment(0, 0xfffff, 0x98, 0xc), 0);
		machine_code(m, bad[n].register_number == SEG_SS ? CODE32("mov %eax, %ss")
				: bad[n].register_number == SEG_DS ? CODE32("mov %eax, "
									    "%ds")
				: bad[n].register_number == SEG_ES ? CODE32("mov %eax, "
									    "%es")
								   : CODE32("mov %eax, "
									    "%fs"));
		m->s.gpr[R_AX] = bad[n].selector;
		ASSERT_EQ(rings_run(m), bad[n].vector);
		ASSERT_EQ(rings_frame(m, 0), bad[n].code);
	}
}

TEST(a_loaded_descriptor_becomes_accessed_in_its_table)
{
	struct machine *m AUTO_MACHINE = rings_new(32);

	ASSERT(m);
	rings_descriptor(m, 0x58, rings_segment(0x12345678, 0x1234, 0xb2, 4), 0);
	machine_code(m, CODE32("mov $0x58, %eax; mov %eax, %gs"));
	ASSERT_EQ(rings_run(m), RINGS_ELSEWHERE);
	ASSERT_EQ(rings_read_descriptor(m, 0x58) >> 40 & 0xff, 0xb3);
	ASSERT_EQ(m->s.seg[SEG_GS].base, 0x12345678);
	ASSERT_EQ(m->s.seg[SEG_GS].limit, 0x1234);
	ASSERT_EQ(m->s.seg[SEG_GS].attr, 0x40b3);
}

TEST(limits_are_checked_and_faults_of_the_stack_are_ss)
{
	struct machine *m AUTO_MACHINE = rings_new(32);

	ASSERT(m);
	rings_descriptor(m, 0x58, rings_segment(0x20000, 0xfff, 0x93, 4), 0);
	machine_code(m, CODE32("mov $0x58, %eax; mov %eax, %es; mov %es:0xffc, %ebx;"
			       "mov %es:0xffd, %ebx"));
	ASSERT_EQ(rings_run(m), 13);
	ASSERT_EQ(rings_frame(m, 1), MACHINE_CODE + 14);

	machine_code(m, CODE32("mov $0x58, %eax; mov %eax, %ss; mov $0x1000, %esp; pop "
			       "%ebx"));
	m->s.seg[SEG_CS].selector = 8;
	rings_descriptor(m, TASK, rings_segment(TASK_BASE, 0x67, 0x89, 0), 0);
	rings_gate(m, 12, TASK, 0, 0x85, 0);
	rings_put(m, TASK_BASE + 0x20, RINGS_HANDLERS + 16 * 12, 4);
	rings_put(m, TASK_BASE + 0x38, 0x4f000, 4);
	rings_put(m, TASK_BASE + 0x4c, RINGS_CODE, 2);
	rings_put(m, TASK_BASE + 0x50, RINGS_DATA, 2);
	ASSERT_EQ(rings_run(m), 12);
	ASSERT_EQ(rings_frame(m, 0), 0);
}

TEST(lar_lsl_verr_verw_and_arpl_look_without_loading)
{
	struct machine *m AUTO_MACHINE = rings_new(32);

	ASSERT(m);
	rings_descriptor(m, 0x58, rings_segment(0, 0x12, 0x91, 8), 0); /* read-only, G */
	machine_code(m, CODE32("mov $0x58, %eax; lar %eax, %ebx; lsl %eax, %ecx; pushf;"
			       "verw %ax; pushf; verr %ax; pushf;"
			       "mov $0x11, %edx; mov $0x23, %edi; arpl %di, %dx; pushf;"
			       "mov $0x100, %esi; lar %esi, %ebp; pushf"));
	m->s.gpr[R_BP] = 77;
	ASSERT_EQ(rings_run(m), RINGS_ELSEWHERE);
	ASSERT_EQ(m->s.gpr[R_BX], 0x809100);
	ASSERT_EQ(m->s.gpr[R_CX], 0x12fff);
	ASSERT_EQ(m->s.gpr[R_DX], 0x13);
	ASSERT_EQ(m->s.gpr[R_BP], 77);
	ASSERT_EQ(rings_frame(m, 4) & 0x40, 0x40);
	ASSERT_EQ(rings_frame(m, 3) & 0x40, 0);
	ASSERT_EQ(rings_frame(m, 2) & 0x40, 0x40);
	ASSERT_EQ(rings_frame(m, 1) & 0x40, 0x40);
	ASSERT_EQ(rings_frame(m, 0) & 0x40, 0);
}

/* ---- tasks ----------------------------------------------------------------------------------- */

static void make_task(struct machine *m, u32 eip)
{
	rings_descriptor(m, TASK, rings_segment(TASK_BASE, 0x67, 0x89, 0), 0);
	rings_put(m, TASK_BASE + 0x20, eip, 4);
	rings_put(m, TASK_BASE + 0x24, 2, 4);
	rings_put(m, TASK_BASE + 0x28, 0xaaaa, 4);
	rings_put(m, TASK_BASE + 0x38, 0x4f000, 4);
	for (unsigned n = 0; n < 6; n++)
		rings_put(m, TASK_BASE + 0x48 + 4 * n,
			  n == SEG_CS ? RINGS_CODE : RINGS_DATA, 2);
}

TEST(a_task_that_is_called_returns_by_its_link)
{
	struct machine *m AUTO_MACHINE = rings_new(32);

	ASSERT(m);
	make_task(m, 0x11000);
	rings_code_at(m, 0x11000, CODE32("mov %eax, %ebx; iret"));
	machine_code(m, CODE32("mov $0x5555, %eax; lcall $0x40, $0; mov %eax, %ecx"));
	ASSERT_EQ(rings_run(m), RINGS_ELSEWHERE);
	ASSERT_EQ(m->s.rip, MACHINE_CODE + 5 + 7 + 2 + 1);
	ASSERT_EQ(m->s.gpr[R_CX], 0x5555);
	ASSERT_EQ(m->s.tr.selector, RINGS_TSS);
	ASSERT_EQ(rings_read_descriptor(m, TASK) >> 40 & 15, 9);
	ASSERT_EQ(rings_read_descriptor(m, RINGS_TSS) >> 40 & 15, 11);
	ASSERT_EQ(rings_get(m, TASK_BASE + 0x34, 4), 0xaaaa);
	/* NT was cleared in what IRET saved. */
	ASSERT_EQ(rings_get(m, TASK_BASE + 0x24, 4) & 0x4000, 0);
	ASSERT_EQ(m->s.rflags & 0x4000, 0);
}

TEST(a_jump_to_a_task_leaves_the_old_one_free)
{
	struct machine *m AUTO_MACHINE = rings_new(32);

	ASSERT(m);
	make_task(m, 0x11000);
	rings_code_at(m, 0x11000, CODE32("nop"));
	machine_code(m, CODE32("ljmp $0x40, $0"));
	ASSERT_EQ(rings_run(m), RINGS_ELSEWHERE);
	ASSERT_EQ(m->s.rip, 0x11002);
	ASSERT_EQ(m->s.gpr[R_AX], 0xaaaa);
	ASSERT_EQ(rings_read_descriptor(m, RINGS_TSS) >> 40 & 15, 9);
	ASSERT_EQ(rings_read_descriptor(m, TASK) >> 40 & 15, 11);
	ASSERT_EQ(m->s.rflags & 0x4000, 0);
}

TEST(a_bad_segment_of_a_new_task_faults_as_the_new_task)
{
	struct machine *m AUTO_MACHINE = rings_new(32);

	ASSERT(m);
	make_task(m, 0x11000);
	rings_put(m, TASK_BASE + 0x54, 0x1f0, 2); /* DS */
	machine_code(m, CODE32("ljmp $0x40, $0"));
	ASSERT_EQ(rings_run(m), 10);
	ASSERT_EQ(rings_frame(m, 0), 0x1f0);
	ASSERT_EQ(rings_frame(m, 1), 0x11000);
	ASSERT_EQ(m->s.tr.selector, TASK);
}

TEST(iret_with_a_link_to_a_task_that_is_not_busy_is_ts)
{
	struct machine *m AUTO_MACHINE = rings_new(32);

	ASSERT(m);
	make_task(m, 0x11000);
	rings_put(m, RINGS_TSS_BASE, TASK, 2);
	machine_code(m, CODE32("iret"));
	m->s.rflags = 0x4002;
	ASSERT_EQ(rings_run(m), 10);
	ASSERT_EQ(rings_frame(m, 0), TASK);
	ASSERT_EQ(rings_frame(m, 1), MACHINE_CODE);
}

/* ---- virtual-8086 mode ----------------------------------------------------------------------- */

#define TO_V86(flags)                                                                  \
	CODE32("push $0x7777; push $0x6666; push $0x2000; push $0x5555; push $0x3000;" \
	       "push $0x800; push $" flags "; push $0x1100; push $0; iret")

TEST(iret_enters_virtual_8086_mode_and_an_interrupt_leaves_it)
{
	struct machine *m AUTO_MACHINE = rings_new(32);

	ASSERT(m);
	rings_code_at(m, 0x11000,
		      CODE16("mov %ds:0, %eax; mov %ss, %bx; pushw $1; int $0x80"));
	rings_put(m, 0x20000, 0xcafe, 4);
	machine_code(m, TO_V86("0x23202"));
	ASSERT_EQ(rings_run(m), RINGS_SYSCALL);
	ASSERT_EQ((u32)m->s.gpr[R_AX], 0xcafe);
	ASSERT_EQ(m->s.gpr[R_BX] & 0xffff, 0x3000);
	ASSERT_EQ(rings_get(m, 0x307fe, 2), 1);
	ASSERT_EQ(m->s.gpr[R_SP], RINGS_STACK0 - 36);
	ASSERT_EQ(rings_frame(m, 1), 0x1100);
	ASSERT_EQ(rings_frame(m, 2), 0x23202);
	ASSERT_EQ(rings_frame(m, 3), 0x7fe);
	ASSERT_EQ(rings_frame(m, 4), 0x3000);
	ASSERT_EQ(rings_frame(m, 5), 0x5555);
	ASSERT_EQ(rings_frame(m, 6), 0x2000);
	ASSERT_EQ(rings_frame(m, 7), 0x6666);
	ASSERT_EQ(rings_frame(m, 8), 0x7777);
	ASSERT_EQ(m->s.seg[SEG_DS].attr & SEG_ATTR_P, 0);
	ASSERT_EQ(m->s.rflags & 0x20000, 0);
}

TEST(virtual_8086_mode_without_iopl_3_faults_on_what_is_sensitive)
{
	for (unsigned n = 0; n < 6; n++) {
		struct machine *m AUTO_MACHINE = rings_new(32);

		ASSERT(m);
		rings_code_at(m, 0x11000,
			      n == 0   ? CODE16("int $0x80")
			      : n == 1 ? CODE16("cli")
			      : n == 2 ? CODE16("pushf")
			      : n == 3 ? CODE16("popf")
			      : n == 4 ? CODE16("iret")
				       : CODE16("in $0x60, %al"));
		machine_code(m, TO_V86("0x20202"));
		ASSERT_EQ(rings_run(m), 13);
		ASSERT_EQ(rings_frame(m, 0), 0);
		ASSERT_EQ(rings_frame(m, 1), 0);
		ASSERT_EQ(rings_frame(m, 2), 0x1100);
	}
}

TEST(the_permission_bitmap_decides_over_ports)
{
	for (unsigned n = 0; n < 3; n++) {
		struct machine *m AUTO_MACHINE = rings_new(32);

		ASSERT(m);
		/* Ports 0-23, of which 9 is forbidden; then the limit. */
		rings_put(m, RINGS_TSS_BASE + 0x68, 0xff000200, 4);
		m->s.tr.limit = 0x6b;
		machine_code(m, n == 0	 ? CODE32("in $8, %al; int $0x80")
				: n == 1 ? CODE32("in $8, %ax; int $0x80")
					 : CODE32("in $24, %al; int $0x80"));
		rings_user(m);
		ASSERT_EQ(rings_run(m), n == 0 ? RINGS_SYSCALL : 13);
	}
}

/* ---- flat segments --------------------------------------------------------------------------- */

TEST(addresses_of_flat_32_bit_code_wrap_at_4_gib)
{
	struct machine *m AUTO_MACHINE = rings_new(32);

	ASSERT(m);
	for (unsigned n = 0; n < 64; n++)
		rings_put(m, MACHINE_DATA + 4 * n, 0x1000 + n, 4);
	/* Distances, addresses, and sums above 4 GiB by each of their parts. */
	machine_code(m, CODE32("mov -16(%ebx), %eax; mov %eax, 0x20100;"
			       "mov 0x8001fff4(%ebp), %eax; mov %eax, 0x20104;"
			       "mov -0x7ffe0000(,%esi,4), %eax; mov %eax, 0x20108;"
			       "mov 0x20010(%ecx,%edx,4), %eax; mov %eax, 0x2010c;"
			       "mov -0x10000000(%edi,%esi,8), %eax; mov %eax, 0x20110;"
			       "add 0x8001fff8(%ebp), %eax; mov %eax, 0x8002010c(%ebp);"
			       "incl 0x20010(%ecx,%edx,4);"
			       "lock; addl $0x100, 0x80020000(%ebp);"
			       "movl $0x77, (%ebx,%ecx)"));
	m->s.gpr[R_BX] = MACHINE_DATA + 16;
	m->s.gpr[R_BP] = 0x80000008;
	m->s.gpr[R_SI] = 0x20000001;
	m->s.gpr[R_CX] = 0xfffffffc;
	m->s.gpr[R_DX] = 0xfffffffe;
	m->s.gpr[R_DI] = 0x10000000 + MACHINE_DATA;
	ASSERT_EQ(rings_run(m), RINGS_ELSEWHERE);
	ASSERT_EQ(rings_get(m, 0x20100, 4), 0x1000);
	/* 0x8001fff4 + 0x80000008 = 0x1fffc, before the numbers. */
	ASSERT_EQ(rings_get(m, 0x20104, 4), 0);
	/* 4 * 0x20000001 = 0x80000004, and with the address 0x20004. */
	ASSERT_EQ(rings_get(m, 0x20108, 4), 0x1001);
	ASSERT_EQ(rings_get(m, 0x2010c, 4), 0x1001);
	/* 8 * 0x20000001 = 8. */
	ASSERT_EQ(rings_get(m, 0x20110, 4), 0x1002);
	ASSERT_EQ(rings_get(m, 0x20114, 4), 0x1002 + 0x1000);
	ASSERT_EQ(rings_get(m, 0x20004, 4), 0x1002);
	ASSERT_EQ(rings_get(m, 0x20008, 4), 0x1102);
	ASSERT_EQ(rings_get(m, 0x2000c, 4), 0x77);
}

TEST(a_segment_override_is_checked_in_flat_code)
{
	static const struct {
		u64 descriptor;
		int ends;
	} fs[] = {
		{ 0x00cf92030000ffff, RINGS_ELSEWHERE }, /* 30000, 4 GiB */
		{ 0x00cf90030000ffff, 13 },		 /* not writable */
		{ 0x0040920300000fff, 13 },		 /* 4 KiB */
		{ 0x00cf96030000ffff, 13 },		 /* down from 4 GiB: nothing */
		{ 0, 13 },				 /* null */
	};

	for (unsigned n = 0; n < ARRAY_COUNT(fs); n++) {
		struct machine *m AUTO_MACHINE = rings_new(32);

		ASSERT(m);
		rings_descriptor(m, 0x48, fs[n].descriptor, 0);
		/* The same records with a good segment, then with this. */
		rings_descriptor(m, 0x50, 0x00cf92030000ffff, 0);
		machine_code(m, CODE32("mov $0x50, %ecx; mov $2, %edx;"
				       "1: mov %cx, %fs; movl $5, %fs:0xffff0000;"
				       "movl $6, %fs:-8(%ebx); mov %eax, %ecx;"
				       "dec %edx; jnz 1b"));
		m->s.gpr[R_AX] = fs[n].descriptor ? 0x48 : 0;
		m->s.gpr[R_BX] = 0x1008;
		ASSERT_EQ(rings_run(m), fs[n].ends);
		ASSERT_EQ(rings_get(m, MACHINE_DATA, 4), 5);
		ASSERT_EQ(rings_get(m, 0x31000, 4), 6);
		ASSERT_EQ(m->s.gpr[R_DX], n ? 1 : 0);
	}
	/* Code is readable and never writable. */
	struct machine *m AUTO_MACHINE = rings_new(32);

	ASSERT(m);
	machine_code(m, CODE32("mov %cs:0x20000, %eax; mov %eax, %cs:0x20000"));
	ASSERT_EQ(rings_run(m), 13);
}

TEST(compatibility_mode_sees_nothing_of_the_upper_halves)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	rings_put(m, MACHINE_DATA, 0xfeedbeef, 4);
	rings_code_at(m, 0x11000,
		      CODE32("mov $0x23, %edi; mov %edi, %ds; mov %edi, %es;"
			     "mov (%ebx), %eax; mov %eax, 4(%ebx,%ecx,8);"
			     "mov -8(%ebx,%edx), %edx; int $0x80"));
	machine_code(m, CODE("mov (%rsi), %eax; push $0x23; push $0x40000; push $2;"
			     "push $0x1b; push $0x11000; iretq"));
	m->s.gpr[R_SI] = MACHINE_DATA;
	m->s.gpr[R_BX] = 0x7654321000000000 | MACHINE_DATA;
	m->s.gpr[R_CX] = 0x1000000000000001;
	m->s.gpr[R_DX] = 0xffffffff00000008;
	m->s.gpr[R_AX] = 0;
	ASSERT_EQ(rings_run(m), RINGS_SYSCALL);
	ASSERT_EQ((u32)m->s.gpr[R_AX], 0xfeedbeef);
	ASSERT_EQ((u32)m->s.gpr[R_DX], 0xfeedbeef);
	ASSERT_EQ(rings_get(m, MACHINE_DATA + 12, 4), 0xfeedbeef);
}

/* ---- real mode ------------------------------------------------------------------------------- */

TEST(real_mode_keeps_limits_that_protected_mode_set)
{
	struct machine *m AUTO_MACHINE = rings_new(32);

	ASSERT(m);
	/* "Unreal": DS keeps 4 GiB after PE was cleared and DS loaded again. */
	rings_descriptor(m, 0x58, rings_segment(0x10000, 0xffff, 0x9b, 0), 0);
	rings_code_at(m, 0x10100,
		      CODE16("mov %cr0, %eax; and $0xfe, %al; mov %eax, %cr0;"
			     "ljmp $0x1000, $0x180"));
	rings_code_at(m, 0x10180,
		      CODE16("xor %ax, %ax; mov %ax, %ds; mov $0x20000, %ebx;"
			     "mov (%ebx), %ecx; mov %cs, %dx"));
	rings_put(m, 0x20000, 0xfeedbeef, 4);
	machine_code(m, CODE32("ljmp $0x58, $0x100"));
	ASSERT_EQ(rings_run(m), RINGS_ELSEWHERE);
	ASSERT_EQ(m->s.gpr[R_CX], 0xfeedbeef);
	ASSERT_EQ(m->s.gpr[R_DX] & 0xffff, 0x1000);
	ASSERT_EQ(m->s.cr0 & 1, 0);
}

TEST(real_mode_interrupts_push_six_bytes_and_iret_takes_them)
{
	struct machine *m AUTO_MACHINE = machine_new(16);

	ASSERT(m);
	rings_put(m, 0x40 * 4, 0x12000000, 4); /* 1200:0 */
	rings_code_at(m, 0x12000, CODE16("mov %sp, %bx; pushf; pop %cx; iret"));
	machine_code(m, CODE16("sti; int $0x40; pushf; pop %dx"));
	ASSERT_EQ(rings_run(m), RINGS_ELSEWHERE);
	ASSERT_EQ(m->s.gpr[R_BX] & 0xffff, 0x8000 - 6);
	ASSERT_EQ(m->s.gpr[R_CX] & 0x200, 0);
	ASSERT_EQ(m->s.gpr[R_DX] & 0x200, 0x200);
	ASSERT_EQ(m->s.gpr[R_SP], 0x8000);
}

/* The TSS was read before the old task was saved into it; and a TSS to save in needed all of its bytes. */
TEST(iret_to_the_task_itself_goes_on_behind_it)
{
	struct machine *m AUTO_MACHINE = rings_new(32);

	ASSERT(m);
	rings_put(m, RINGS_TSS_BASE, RINGS_TSS, 2);
	rings_put(m, RINGS_TSS_BASE + 0x20, 0x11000, 4);
	machine_code(m, CODE32("mov $0x5555, %eax; iret; mov %eax, %ecx"));
	m->s.rflags = 0x4002;
	m->s.tr.limit = 0x5f;
	ASSERT_EQ(rings_run(m), RINGS_ELSEWHERE);
	ASSERT_EQ(m->s.rip, MACHINE_CODE + 5 + 1 + 2 + 1);
	ASSERT_EQ(m->s.gpr[R_CX], 0x5555);
}
