/* SPDX-License-Identifier: Apache-2.0 */
/* Branches, calls and the stack in all widths: src/x86/control.c and stack.c. */
#include "x86_machine.h"

TEST(loop_counts_and_sums)
{
	START(64, CODE("xor %eax, %eax; 1: add %rcx, %rax; loop 1b; dec %edx; jnz 1b"));
	REG(CX) = 1000;
	REG(DX) = 1;
	RUN_TO_END();
	ASSERT_EQ(REG(AX), 500500);
	ASSERT_EQ(REG(CX), 0);
}

/* The books' table of conditions. */
static bool holds(unsigned cc, u64 flags)
{
	const bool cf = flags & 1, pf = flags & 4, zf = flags & 0x40, sf = flags & 0x80,
		   of = flags & 0x800;
	const bool even[8] = { of, cf, zf, cf || zf, sf, pf, sf != of, zf || sf != of };

	return even[cc >> 1] != (cc & 1);
}

TEST(every_condition_jumps_when_it_should)
{
	struct machine *m AUTO_MACHINE = machine_new(64);

	ASSERT(m);
	for (unsigned n = 0; n < 16 * 32; n++) {
		const unsigned cc = n & 15;
		const u64 flags = (n >> 4 & 1) | (n >> 5 & 1) << 2 | (n >> 6 & 1) << 6 |
				  (n >> 7 & 1) << 7 | (u64)(n >> 8 & 1) << 11;
		/* jcc 1f; mov $1, %al; 1: setcc %bl; hlt */
		const u8 bytes[] = { (u8)(0x70 + cc), 2,    0xb0, 1, 0x0f,
				     (u8)(0x90 + cc), 0xc3, 0xf4 };

		machine_code(m, (struct machine_code){ bytes, sizeof(bytes) });
		m->s.rflags |= flags;
		REG(AX) = REG(BX) = 0;
		RUN_TO_END();
		if (REG(AX) == holds(cc, flags) || REG(BX) != holds(cc, flags))
			FAIL("condition %u of flags %#lx", cc, flags);
	}
}

TEST(loope_and_loopne_look_at_zf_and_count_anyway)
{
	START(64, CODE("mov $5, %ecx; 1: cmp %ecx, %ecx; loope 1b; mov %ecx, %eax;"
		       "mov $5, %ecx; 1: cmp %ecx, %ecx; loopne 1b; mov %ecx, %ebx;"
		       "mov $1, %ecx; jecxz 1f; mov $9, %edx; 1: mov $0x100000000, %rcx; "
		       "addr32 loop 1f;"
		       "mov $8, %edx; 1: nop"));
	RUN_TO_END();
	ASSERT_EQ(REG(AX), 0);
	ASSERT_EQ(REG(BX), 4);
	ASSERT_EQ(REG(DX), 9); /* ECX 0 - 1 is not 0, and clears what is above */
	ASSERT_EQ(REG(CX), 0xffffffff);
}

TEST(calls_nest_and_return)
{
	START(64, CODE("call 1f; add $100, %eax; jmp 9f; 1: inc %eax; lea 2f(%rip), "
		       "%rbx; call *%rbx; ret;"
		       "2: inc %eax; push $7; push $8; lea 3f(%rip), %rcx; mov %rcx, "
		       "0x20000; call *0x20000;"
		       "ret; 3: inc %eax; ret $16; 9: nop"));
	REG(AX) = 0;
	RUN_TO_END();
	ASSERT_EQ(REG(AX), 103);
	ASSERT_EQ(REG(SP), MACHINE_STACK);
}

TEST(return_to_nowhere_faults_at_the_return_and_keeps_the_stack)
{
	START(64, CODE("mov $0x8000000000000000, %rax; push %rax; ret $8"));
	RUN();
	ASSERT_EQ(m->vector, 13);
	ASSERT_EQ(m->error_code, 0);
	ASSERT_EQ(m->fault_rip, MACHINE_CODE + 11);
	ASSERT_EQ(REG(SP), MACHINE_STACK - 8);
}

TEST(indirect_call_to_nowhere_pushes_nothing)
{
	START(64, CODE("call *%rbx"));
	REG(BX) = 0x0000800000000000;
	RUN();
	ASSERT_EQ(m->vector, 13);
	ASSERT_EQ(m->fault_rip, MACHINE_CODE);
	ASSERT_EQ(REG(SP), MACHINE_STACK);
}

TEST(push_that_faults_leaves_rsp)
{
	START(64, CODE("mov $0x22000, %esp; push %rax"));
	machine_page(m, MACHINE_DATA + 0x1000, true, false);
	machine_page(m, MACHINE_STACK - 1, true, true);
	/* the exception's own frame would fault as well: it is the double fault that ends this */
	RUN();
	ASSERT_EQ(m->vector, MACHINE_DIED);
	ASSERT_EQ(REG(SP), 0x22000);
	ASSERT_EQ(m->fault_cr2 >> 12, 0x21);
}

TEST(stack_pointer_pushed_and_popped_is_the_one_of_before)
{
	START(64, CODE("push %rsp; pop %rax; push $0x20100; pop %rsp; mov %rsp, %rbx; "
		       "mov $0x40000, %esp;"
		       "push $5; popq (%rsp); pushq -8(%rsp)"));
	RUN_TO_END();
	ASSERT_EQ(REG(AX), MACHINE_STACK);
	ASSERT_EQ(REG(BX), 0x20100);
	/* POP (RSP) writes where RSP is after the pop. */
	ASSERT_EQ(machine_u64(m, 0x40000), 5);
	ASSERT_EQ(REG(SP), 0x40000 - 8);
	ASSERT_EQ(machine_u64(m, 0x40000 - 8), 5);
}

TEST(pushes_of_16_bits_and_sign_extension)
{
	START(64, CODE("pushw $-2; pushw %ax; popq (%rdi); add $-4, %rsp; push $-1; pop "
		       "%rbx; add $4, %rsp"));
	REG(AX) = 0x1234;
	REG(DI) = MACHINE_DATA;
	RUN_TO_END();
	ASSERT_EQ(machine_u64(m, MACHINE_DATA) & 0xffffffff, 0xfffe1234);
	ASSERT_EQ(REG(BX), ~0ull);
	ASSERT_EQ(REG(SP), MACHINE_STACK - 4 + 8);
}

TEST(enter_and_leave_keep_frames)
{
	START(64, CODE("mov $0x20080, %ebp; enter $0x20, $3; mov %rsp, %rax; mov %rbp, "
		       "%rbx; leave"));
	m->ram[0x20078] = 0x11;
	m->ram[0x20070] = 0x22;
	RUN_TO_END();
	ASSERT_EQ(REG(BX), MACHINE_STACK - 8);
	ASSERT_EQ(REG(AX), MACHINE_STACK - 8 - 3 * 8 - 0x20);
	ASSERT_EQ(machine_u64(m, MACHINE_STACK - 8), 0x20080);
	ASSERT_EQ(machine_u64(m, MACHINE_STACK - 16), 0x11);
	ASSERT_EQ(machine_u64(m, MACHINE_STACK - 24), 0x22);
	ASSERT_EQ(machine_u64(m, MACHINE_STACK - 32), MACHINE_STACK - 8);
	ASSERT_EQ(REG(SP), MACHINE_STACK);
	ASSERT_EQ(REG(BP), 0x20080);
}

TEST(pusha_and_popa_of_32_bit_code)
{
	START(32, CODE32("pusha; mov 12(%esp), %eax; mov %eax, 0x20000; mov 28(%esp), "
			 "%eax; mov %eax, 0x20004;"
			 "mov $1, %ebx; popa; pushaw; popaw; call 1f; 1: pop %edx"));
	REG(AX) = 0x11111111;
	REG(BX) = 0x22222222;
	REG(DI) = 0x33333333;
	RUN_TO_END();
	ASSERT_EQ(REG(AX), 0x11111111);
	ASSERT_EQ(REG(BX), 0x22222222);
	ASSERT_EQ(REG(DI), 0x33333333);
	ASSERT_EQ(REG(SP), MACHINE_STACK);
	ASSERT_EQ(machine_u64(m, MACHINE_DATA), 0x11111111ull << 32 | MACHINE_STACK);
	ASSERT_EQ(REG(DX), m->s.rip - 2);
}

TEST(operand_size_cuts_eip_outside_of_64_bit_mode)
{
	/* JMP rel16 in 32-bit code goes to the low 64 KiB. */
	START(32, CODE32(".byte 0x66, 0xe9, 0x10, 0x00"));
	m->ram[0x14] = 0xf4; /* 0x10004 + 0x10, cut */
	RUN_TO_END();
	ASSERT_EQ(m->s.rip, 0x15);
}

TEST(real_mode_calls_push_16_bits)
{
	START(16, CODE16("call 1f; jmp 2f; 1: mov %sp, %bp; mov (%bp), %ax; ret; 2: "
			 "calll 1b; jcxz 3f; 3: push $0x1234; pop %cx"));
	REG(AX) = 0;
	REG(SP) = 0x7f0000 | 0x8000; /* what is above is nobody's business */
	RUN_TO_END();
	ASSERT_EQ(REG(CX) & 0xffff, 0x1234);
	/* CALLL pushed four bytes, RET popped two */
	ASSERT_EQ(REG(SP), 0x7f0000 | 0x7ffe);
}

TEST(real_mode_stack_wraps_at_64_kib)
{
	START(16, CODE16("push %ax; push %ax; pop %bx"));
	REG(AX) = 0x5aa5;
	REG(BX) = 0;
	REG(SP) = 2;
	RUN_TO_END();
	ASSERT_EQ(REG(SP), 0);
	ASSERT_EQ(REG(BX), 0x5aa5);
	ASSERT_EQ(m->ram[0x3fffe], 0xa5);
}

TEST(jump_beyond_the_segments_limit_faults_at_the_jump)
{
	START(32, CODE32("nop; jmp *%eax"));
	m->s.seg[SEG_CS].limit = 0x1ffff;
	REG(AX) = 0x20000;
	RUN();
	ASSERT_EQ(m->vector, 13);
	ASSERT_EQ(m->fault_rip, MACHINE_CODE + 1);
}
