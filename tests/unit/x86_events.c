/* SPDX-License-Identifier: Apache-2.0 */
/* Exceptions, interrupts and IRET in long mode; single steps and breakpoints. */
#include "x86_rings.h"

TEST(int3_from_ring_3_pushes_an_aligned_frame_on_the_stack_of_the_tss)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	machine_code(m, CODE("int3"));
	rings_user(m);
	m->s.rflags = 0x246;
	m->s.gpr[R_SP] = 0x3fff3;
	ASSERT_EQ(rings_run(m), 3);
	ASSERT_EQ(m->s.gpr[R_SP], RINGS_STACK0 - 40);
	ASSERT_EQ(rings_frame(m, 0), MACHINE_CODE + 1);
	ASSERT_EQ(rings_frame(m, 1), RINGS_USER_CODE64);
	ASSERT_EQ(rings_frame(m, 2), 0x246);
	ASSERT_EQ(rings_frame(m, 3), 0x3fff3);
	ASSERT_EQ(rings_frame(m, 4), RINGS_USER_DATA);
	ASSERT_EQ(m->s.seg[SEG_SS].selector, 0);
	ASSERT_EQ(m->s.seg[SEG_CS].selector, RINGS_CODE);
	ASSERT_EQ(m->s.rflags & 0x200, 0);
}

TEST(a_fault_in_ring_0_aligns_the_same_stack_and_pushes_its_code)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	machine_code(m, CODE("mov $0x1238, %eax; mov %eax, %ds"));
	m->s.gpr[R_SP] = 0x3fff3;
	ASSERT_EQ(rings_run(m), 13);
	ASSERT_EQ(m->s.gpr[R_SP], 0x3fff0 - 48);
	ASSERT_EQ(rings_frame(m, 0), 0x1238);
	ASSERT_EQ(rings_frame(m, 1), MACHINE_CODE + 5);
	/* A fault pushes RF. */
	ASSERT_EQ(rings_frame(m, 3), 0x10002);
	ASSERT_EQ(rings_frame(m, 5), 16);
}

TEST(a_gate_with_ist_takes_its_stack_without_a_change_of_ring)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	rings_gate(m, 6, RINGS_CODE, RINGS_HANDLERS + 16 * 6, 0x8e, 1);
	machine_code(m, CODE("ud2"));
	ASSERT_EQ(rings_run(m), 6);
	ASSERT_EQ(m->s.gpr[R_SP], RINGS_IST1 - 40);
	ASSERT_EQ(m->s.seg[SEG_SS].selector, 16);
}

TEST(a_trap_gate_leaves_interrupts_on)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	rings_gate(m, 3, RINGS_CODE, RINGS_HANDLERS + 16 * 3, 0x8f, 0);
	machine_code(m, CODE("int3"));
	m->s.rflags = 0x202;
	ASSERT_EQ(rings_run(m), 3);
	ASSERT_EQ(m->s.rflags & 0x200, 0x200);
}

TEST(int_n_needs_the_gates_privilege_and_its_faults_have_no_ext_bit)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	machine_code(m, CODE("nop; int $0x30"));
	rings_user(m);
	ASSERT_EQ(rings_run(m), 13);
	ASSERT_EQ(rings_frame(m, 0), 0x30 * 8 + 2);
	ASSERT_EQ(rings_frame(m, 1), MACHINE_CODE + 1);

	rings_gate(m, 0x31, RINGS_CODE, RINGS_HANDLERS, 0x0e, 0);
	machine_code(m, CODE("int $0x31"));
	ASSERT_EQ(rings_run(m), 13 - 2);
	ASSERT_EQ(rings_frame(m, 0), 0x31 * 8 + 2);
}

TEST(a_missing_gate_of_an_exception_is_np_with_ext)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	rings_gate(m, 6, RINGS_CODE, 0, 0x0e, 0);
	machine_code(m, CODE("ud2"));
	ASSERT_EQ(rings_run(m), 11);
	ASSERT_EQ(rings_frame(m, 0), 6 * 8 + 3);
	ASSERT_EQ(rings_frame(m, 1), MACHINE_CODE);
}

TEST(a_gate_to_32_bit_code_is_gp_in_long_mode)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	rings_descriptor(m, RINGS_FREE, rings_segment(0, 0xfffff, 0x9b, 0xc), 0);
	rings_gate(m, 6, RINGS_FREE, RINGS_HANDLERS, 0x8e, 0);
	machine_code(m, CODE("ud2"));
	ASSERT_EQ(rings_run(m), 13);
	ASSERT_EQ(rings_frame(m, 0), RINGS_FREE + 1);
}

TEST(a_page_fault_whose_stack_is_missing_becomes_a_double_fault)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	machine_page(m, 0x70000, false, false);
	rings_gate(m, 8, RINGS_CODE, RINGS_HANDLERS + 16 * 8, 0x8e, 1);
	machine_code(m, CODE("mov $0x70800, %esp; mov $0x70123, %eax; mov (%rax), %al"));
	ASSERT_EQ(rings_run(m), 8);
	ASSERT_EQ(rings_frame(m, 0), 0);
	ASSERT_EQ(rings_frame(m, 4), 0x70800);
	/* The second page fault's address: the slot that could not be pushed. */
	ASSERT_EQ(m->s.cr2, 0x70800 - 8);
}

TEST(three_faults_stop_the_processor)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	machine_page(m, 0x70000, false, false);
	machine_code(m, CODE("mov $0x70800, %esp; ud2"));
	/* #UD, then #PF on its stack: delivered in turn, faults again: #DF, faults again. */
	ASSERT_EQ(rings_run(m), RINGS_DIED);
}

TEST(a_benign_exception_and_a_fault_in_its_delivery_come_one_after_the_other)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	machine_page(m, 0x70000, false, false);
	rings_gate(m, 14, RINGS_CODE, RINGS_HANDLERS + 16 * 14, 0x8e, 1);
	machine_code(m, CODE("mov $0x70800, %esp; ud2"));
	ASSERT_EQ(rings_run(m), 14);
	ASSERT_EQ(rings_frame(m, 0), 2); /* a write, by the supervisor, not present */
	ASSERT_EQ(rings_frame(m, 1), MACHINE_CODE + 5);
}

TEST(two_contributory_exceptions_make_a_double_fault)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	rings_gate(m, 0, RINGS_CODE, 0, 0x0e, 0); /* #DE's gate is not present */
	machine_code(m, CODE("xor %ecx, %ecx; div %ecx"));
	ASSERT_EQ(rings_run(m), 8);
	ASSERT_EQ(rings_frame(m, 1), MACHINE_CODE + 2);
}

/* ---- IRET, SYSCALL --------------------------------------------------------------------------- */

TEST(iretq_goes_to_ring_3_and_drops_the_kernels_segments)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	rings_code_at(m, MACHINE_CODE + 0x800, CODE("int $0x80"));
	machine_code(m, CODE("pushq $0x23; pushq $0x3f000; pushq $0x3246; pushq $0x2b;"
			     "pushq $0x10800; iretq"));
	m->s.seg[SEG_FS].base = 0x12345;
	ASSERT_EQ(rings_run(m), RINGS_SYSCALL);
	ASSERT_EQ(rings_frame(m, 0), 0x10802);
	ASSERT_EQ(rings_frame(m, 1), RINGS_USER_CODE64);
	ASSERT_EQ(rings_frame(m, 2), 0x3246);
	ASSERT_EQ(rings_frame(m, 3), 0x3f000);
	ASSERT_EQ(m->s.seg[SEG_DS].selector, 0);
	ASSERT_EQ(m->s.seg[SEG_FS].attr & SEG_ATTR_P, 0);
	ASSERT_EQ(m->s.seg[SEG_FS].base, 0x12345);
}

TEST(iretq_faults_in_the_kernel_for_what_ring_3_may_not_have)
{
	static const struct {
		u64 cs, rip, ss;
		u32 code;
	} bad[] = {
		{ 0x2b, 1ull << 47, 0x23, 0 },	 /* not canonical */
		{ 0x2b, 0x10800, 0, 0 },	 /* null SS in ring 3 */
		{ 0, 0x10800, 0x23, 0 },	 /* null CS */
		{ 0x2b, 0x10800, 0x10, 0x10 },	 /* SS of another ring */
		{ 0x2b, 0x10800, 0x2b, 0x28 },	 /* SS is code */
		{ 0x23, 0x10800, 0x23, 0x20 },	 /* CS is data */
		{ 0x2b, 0x10800, 0x103, 0x100 }, /* beyond the table */
	};

	for (unsigned n = 0; n < ARRAY_COUNT(bad); n++) {
		struct machine *m AUTO_MACHINE = rings_new(64);

		ASSERT(m);
		machine_code(m, CODE("pushq %rax; pushq $0x3f000; pushq $0x202; pushq "
				     "%rbx;"
				     "pushq %rcx; iretq"));
		m->s.gpr[R_AX] = bad[n].ss;
		m->s.gpr[R_BX] = bad[n].cs;
		m->s.gpr[R_CX] = bad[n].rip;
		ASSERT_EQ(rings_run(m), 13);
		ASSERT_EQ(rings_frame(m, 0), bad[n].code);
		ASSERT_EQ(rings_frame(m, 4), MACHINE_STACK - 40);
		ASSERT_EQ(m->s.seg[SEG_DS].selector, 16);
	}
}

TEST(nt_makes_iretq_fault)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	machine_code(m, CODE("iretq"));
	m->s.rflags = 0x4002;
	ASSERT_EQ(rings_run(m), 13);
	ASSERT_EQ(rings_frame(m, 0), 0);
}

TEST(syscall_and_sysret_exchange_rings)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	m->s.star = (u64)0x1b << 48 | (u64)8 << 32;
	m->s.lstar = 0x11000;
	m->s.sfmask = 0x600;
	m->s.efer |= 1;
	/* The kernel notes what it got and returns with other flags. */
	rings_code_at(m, 0x11000,
		      CODE("mov %rcx, %r12; mov %r11, %r13; pushfq; popq %r14;"
			   "mov %ss, %ebx; mov $0x202, %r11d; sysretq"));
	machine_code(m, CODE("syscall; int $0x80"));
	rings_user(m);
	m->s.rflags = 0x647;
	ASSERT_EQ(rings_run(m), RINGS_SYSCALL);
	ASSERT_EQ(m->s.gpr[R_12], MACHINE_CODE + 2);
	ASSERT_EQ(m->s.gpr[R_13], 0x647);
	ASSERT_EQ(m->s.gpr[R_14], 0x47);
	ASSERT_EQ(m->s.gpr[R_BX], 16);
	ASSERT_EQ(rings_frame(m, 1), RINGS_USER_CODE64);
	ASSERT_EQ(rings_frame(m, 2), 0x202);
	ASSERT_EQ(rings_frame(m, 4), RINGS_USER_DATA);
}

TEST(syscall_without_its_enable_bit_is_undefined)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	machine_code(m, CODE("syscall"));
	rings_user(m);
	ASSERT_EQ(rings_run(m), 6);
}

TEST(sysretl_goes_to_compatibility_mode)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	m->s.star = (u64)0x1b << 48 | (u64)8 << 32;
	m->s.efer |= 1;
	rings_code_at(m, 0x11000, CODE32("dec %eax; int $0x80"));
	machine_code(m, CODE("mov $1, %eax; shl $40, %rax; mov $0x11000, %ecx;"
			     "mov $0x202, %r11d; sysretl"));
	ASSERT_EQ(rings_run(m), RINGS_SYSCALL);
	/* 48 is DEC there and a REX prefix in 64-bit code. */
	ASSERT_EQ(m->s.gpr[R_AX], 0xffffffff);
	ASSERT_EQ(rings_frame(m, 1), RINGS_USER_CODE);
	ASSERT_EQ(rings_frame(m, 0), 0x11003);
}

/* ---- NMI ------------------------------------------------------------------------------------- */

TEST(an_nmi_waits_for_the_iret_of_the_one_before)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	/* The handler counts; the second NMI comes while it runs. */
	rings_code_at(m, 0x11000, CODE("inc %ebx; hlt; iretq"));
	rings_gate(m, 2, RINGS_CODE, 0x11000, 0x8e, 0);
	machine_code(m, CODE("nop"));
	m->s.nmi_pending = 1;
	ASSERT_EQ(rings_run(m), RINGS_ELSEWHERE);
	ASSERT_EQ(m->s.rip, 0x11003);
	ASSERT_EQ(m->s.interruptibility & VP_NMI_BLOCKED, VP_NMI_BLOCKED);
	engine_soft_ops.vp_nmi(m->vp);
	ASSERT(!engine_soft_ops.vp_can_wake(m->vp));
	m->s.nmi_pending = 1;
	m->s.activity = VP_RUNNING;
	ASSERT_EQ(rings_run(m), RINGS_ELSEWHERE);
	/* IRET, and at once the next. */
	ASSERT_EQ(m->s.gpr[R_BX], 2);
	ASSERT_EQ(m->s.rip, 0x11003);
	m->s.activity = VP_RUNNING;
	ASSERT_EQ(rings_run(m), RINGS_ELSEWHERE);
	ASSERT_EQ(m->s.rip, MACHINE_CODE + 2);
	ASSERT_EQ(m->s.interruptibility, 0);
}

/* ---- single step, breakpoints ---------------------------------------------------------------- */

TEST(tf_traps_after_the_instruction_behind_the_popf_that_set_it)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	machine_code(m, CODE("pushq $0x102; popfq; inc %eax; inc %eax"));
	ASSERT_EQ(rings_run(m), 1);
	ASSERT_EQ(m->s.gpr[R_AX], 1);
	ASSERT_EQ(rings_frame(m, 0), MACHINE_CODE + 8);
	ASSERT_EQ(rings_frame(m, 2), 0x102);
	ASSERT_EQ(m->s.dr6, 0xffff4ff0);
	ASSERT_EQ(m->s.rflags & 0x100, 0);
}

TEST(mov_ss_delays_the_single_step_by_one_instruction)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	machine_code(m, CODE("mov $16, %eax; mov %eax, %ss; inc %ebx; inc %ebx"));
	m->s.rflags = 0x102;
	m->s.rip += 5; /* at MOV SS */
	m->s.gpr[R_AX] = 16;
	ASSERT_EQ(rings_run(m), 1);
	ASSERT_EQ(m->s.gpr[R_BX], 1);
}

TEST(a_syscall_that_masks_tf_is_not_trapped_at_its_entry)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	m->s.star = (u64)0x1b << 48 | (u64)8 << 32;
	m->s.lstar = 0x11000;
	m->s.sfmask = 0x100;
	m->s.efer |= 1;
	rings_code_at(m, 0x11000, CODE("inc %ebx; sysretq"));
	machine_code(m, CODE("syscall; nop"));
	rings_user(m);
	m->s.rflags = 0x102;
	ASSERT_EQ(rings_run(m), 1);
	/* Trapped after the call as a whole. */
	ASSERT_EQ(m->s.gpr[R_BX], 1);
	ASSERT_EQ(rings_frame(m, 0), MACHINE_CODE + 2);
	ASSERT_EQ(rings_frame(m, 1), RINGS_USER_CODE64);
}

TEST(an_execution_breakpoint_faults_before_its_instruction_and_rf_passes_it)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	machine_code(m, CODE("nop; inc %ebx; nop"));
	m->s.dr[1] = MACHINE_CODE + 1;
	m->s.dr7 = 0x408;
	ASSERT_EQ(rings_run(m), 1);
	ASSERT_EQ(m->s.gpr[R_BX], 0);
	ASSERT_EQ(rings_frame(m, 0), MACHINE_CODE + 1);
	ASSERT_EQ(m->s.dr6, 0xffff0ff2);

	/* The handler returns with RF in the image. */
	rings_put(m, m->s.gpr[R_SP] + 16, 0x10002, 8);
	rings_code_at(m, RINGS_HANDLERS + 0x1000, CODE("iretq"));
	m->s.rip = RINGS_HANDLERS + 0x1000;
	m->s.activity = VP_RUNNING;
	ASSERT_EQ(rings_run(m), RINGS_ELSEWHERE);
	ASSERT_EQ(m->s.gpr[R_BX], 1);
	ASSERT_EQ(m->s.rflags & 0x10000, 0);
}

TEST(a_data_breakpoint_traps_after_the_write_that_touched_it)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	machine_code(m, CODE("mov $0x20000, %ecx; mov 4(%rcx), %eax; mov %eax, 8(%rcx);"
			     "movb $7, 6(%rcx); inc %ebx"));
	m->s.dr[0] = 0x20004;
	m->s.dr7 = 0x402 | 0xd0000; /* four bytes, writes */
	m->s.dr6 = 0xffff4ff2;	    /* B1 goes, BS stays */
	ASSERT_EQ(rings_run(m), 1);
	ASSERT_EQ(m->s.gpr[R_BX], 0);
	ASSERT_EQ(rings_frame(m, 0), MACHINE_CODE + 15);
	ASSERT_EQ(m->ram[0x20006], 7);
	ASSERT_EQ(m->s.dr6, 0xffff4ff1);
}

/* It came behind the handler's first instruction. */
TEST(a_data_breakpoint_that_a_frame_is_pushed_over_traps_before_the_handler)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	machine_code(m, CODE("ud2"));
	rings_user(m);
	m->s.dr[0] = RINGS_STACK0 - 8;
	m->s.dr7 = 0x402 | 0xd0000; /* four bytes, writes */
	ASSERT_EQ(rings_run(m), 1);
	ASSERT_EQ(rings_frame(m, 0), RINGS_HANDLERS + 16 * 6);
	ASSERT_EQ(m->s.dr6, 0xffff0ff1);
}

TEST(general_detect_faults_on_debug_registers_and_goes_off)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	machine_code(m, CODE("nop; mov %dr0, %rax"));
	m->s.dr7 = 0x2400;
	ASSERT_EQ(rings_run(m), 1);
	ASSERT_EQ(rings_frame(m, 0), MACHINE_CODE + 1);
	ASSERT_EQ(m->s.dr6, 0xffff2ff0);
	ASSERT_EQ(m->s.dr7, 0x400);
}

TEST(int1_needs_no_privilege_and_leaves_dr6)
{
	struct machine *m AUTO_MACHINE = rings_new(64);

	ASSERT(m);
	machine_code(m, CODE(".byte 0xf1"));
	rings_user(m);
	ASSERT_EQ(rings_run(m), 1);
	ASSERT_EQ(rings_frame(m, 0), MACHINE_CODE + 1);
	ASSERT_EQ(m->s.dr6, 0xffff0ff0);
}
