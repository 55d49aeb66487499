/* SPDX-License-Identifier: Apache-2.0 */
/* What is easily got wrong in integer instructions: src/x86 alu, move, shift, muldiv, bits, atomic. */
#include "x86_machine.h"

#define CF 0x001
#define PF 0x004
#define AF 0x010
#define ZF 0x040
#define SF 0x080
#define OF 0x800
#define ARITH (CF | PF | AF | ZF | SF | OF)

#define FLAGS (m->s.rflags & ARITH)

TEST(shift_by_zero_leaves_flags_and_clears_the_upper_half)
{
	START(64, CODE("shl %cl, %eax"));
	m->s.rflags |= ARITH;
	REG(AX) = 0xffffffff12345678;
	REG(CX) = 0x20; /* masked to 0 */
	RUN_TO_END();
	ASSERT_EQ(REG(AX), 0x12345678);
	ASSERT_EQ(FLAGS, ARITH);
}

TEST(shift_counts_are_masked_by_operand_size)
{
	START(64, CODE("shl %cl, %rax; shl %cl, %edx; shlb %cl, %bl"));
	REG(AX) = REG(DX) = REG(BX) = 1;
	REG(CX) = 0xa1; /* 33 of 64, 1 of 32 */
	RUN_TO_END();
	ASSERT_EQ(REG(AX), 1ull << 33);
	ASSERT_EQ(REG(DX), 2);
	ASSERT_EQ(REG(BX), 2);
}

TEST(rotate_through_carry_of_a_byte_takes_nine_steps_round)
{
	START(64, CODE("rclb $9, %al; rcrb $1, %bl"));
	m->s.rflags |= CF;
	REG(AX) = 0x5a;
	REG(BX) = 0;
	RUN_TO_END();
	ASSERT_EQ(REG(AX), 0x5a);
	ASSERT_EQ(REG(BX), 0x80); /* the carry was still set */
	ASSERT_EQ(FLAGS & CF, 0);
}

TEST(double_shift_takes_bits_from_the_register)
{
	START(64, CODE("shld $8, %rbx, %rax; shrd %cl, %edx, (%rdi)"));
	REG(AX) = 0x1122334455667788;
	REG(BX) = 0xabcdef0000000000;
	REG(CX) = 4;
	REG(DX) = 0xf;
	REG(DI) = MACHINE_DATA;
	RUN_TO_END();
	ASSERT_EQ(REG(AX), 0x22334455667788ab);
	ASSERT_EQ(machine_u64(m, MACHINE_DATA), 0xf0000000);
}

TEST(results_of_32_bits_clear_the_upper_half_and_narrower_ones_do_not)
{
	START(64, CODE("add $1, %eax; add $1, %bx; add $1, %cl; add $1, %dh"));
	REG(AX) = REG(BX) = REG(CX) = REG(DX) = ~0ull;
	RUN_TO_END();
	ASSERT_EQ(REG(AX), 0);
	ASSERT_EQ(REG(BX), 0xffffffffffff0000);
	ASSERT_EQ(REG(CX), 0xffffffffffffff00);
	ASSERT_EQ(REG(DX), 0xffffffffffff00ff);
	ASSERT_EQ(FLAGS, CF | ZF | PF | AF);
}

TEST(high_byte_registers_become_low_ones_under_rex)
{
	START(64, CODE("movb $0x11, %ah; movb $0x22, %spl; movb $0x33, %r9b; movb %bh, "
		       "%al"));
	REG(AX) = REG(9) = 0;
	REG(BX) = 0x4400;
	RUN_TO_END();
	ASSERT_EQ(REG(AX), 0x1144);
	ASSERT_EQ(REG(SP), MACHINE_STACK | 0x22);
	ASSERT_EQ(REG(9), 0x33);
}

TEST(cmov_clears_the_upper_half_whatever_the_condition)
{
	START(64, CODE("cmovz %ebx, %eax; cmovnz %ebx, %edx; cmovz %bx, %cx"));
	m->s.rflags |= ZF;
	REG(AX) = REG(DX) = REG(CX) = 0xaaaaaaaaaaaaaaaa;
	REG(BX) = 0xbbbbbbbbbbbbbbbb;
	RUN_TO_END();
	ASSERT_EQ(REG(AX), 0xbbbbbbbb);
	ASSERT_EQ(REG(DX), 0xaaaaaaaa);
	ASSERT_EQ(REG(CX), 0xaaaaaaaaaaaabbbb);
}

TEST(cmov_whose_condition_is_false_still_reads_memory)
{
	START(64, CODE("cmovz (%rbx), %rax"));
	REG(BX) = MACHINE_DATA;
	REG(AX) = 7;
	machine_page(m, MACHINE_DATA, false, false);
	RUN();
	ASSERT_EQ(m->vector, 14);
	ASSERT_EQ(m->error_code, 0);
	ASSERT_EQ(m->fault_cr2, MACHINE_DATA);
	ASSERT_EQ(m->fault_rip, MACHINE_CODE);
	ASSERT_EQ(REG(AX), 7);
}

TEST(conditions_read_the_flags_that_the_books_say)
{
	START(64, CODE("setl %al; setg %bl; setbe %cl; setp %dl; setns %r8b; setno "
		       "%r9b"));
	m->s.rflags |= SF | CF | PF;
	RUN_TO_END();
	ASSERT_EQ(REG(AX) & 0xff, 1); /* SF != OF */
	ASSERT_EQ(REG(BX) & 0xff, 0);
	ASSERT_EQ(REG(CX) & 0xff, 1);
	ASSERT_EQ(REG(DX) & 0xff, 1);
	ASSERT_EQ(REG(8) & 0xff, 0);
	ASSERT_EQ(REG(9) & 0xff, 1);
}

TEST(inc_and_dec_leave_the_carry)
{
	START(64, CODE("inc %al; decl (%rdi)"));
	m->s.rflags |= CF;
	REG(AX) = 0x7f;
	REG(DI) = MACHINE_DATA;
	RUN_TO_END();
	ASSERT_EQ(REG(AX), 0x80);
	ASSERT_EQ(machine_u64(m, MACHINE_DATA), 0xffffffff);
	ASSERT_EQ(FLAGS, CF | SF | PF | AF);
}

TEST(adc_and_sbb_take_the_carry)
{
	START(64, CODE("adc $-1, %rax; sbb %rbx, %rbx; adc %ecx, (%rdi)"));
	m->s.rflags |= CF;
	REG(AX) = 5;
	REG(BX) = 1;
	REG(CX) = 2;
	REG(DI) = MACHINE_DATA;
	RUN_TO_END();
	ASSERT_EQ(REG(AX), 5);
	ASSERT_EQ(REG(BX), ~0ull);
	ASSERT_EQ(machine_u64(m, MACHINE_DATA), 3);
	ASSERT_EQ(FLAGS, PF);
}

TEST(register_xored_with_itself_is_zero_with_the_flags_of_zero)
{
	START(64, CODE("xor %eax, %eax; xor %bl, %bl"));
	m->s.rflags |= CF | OF | SF;
	REG(AX) = REG(BX) = ~0ull;
	RUN_TO_END();
	ASSERT_EQ(REG(AX), 0);
	ASSERT_EQ(REG(BX), 0xffffffffffffff00);
	ASSERT_EQ(FLAGS & ~AF, ZF | PF);
}

TEST(modify_faults_as_a_write_and_changes_nothing)
{
	START(64, CODE("add %rax, (%rbx)"));
	REG(AX) = 1;
	REG(BX) =
		MACHINE_DATA + 0xffc; /* half in the next page, which may only be read */
	machine_page(m, MACHINE_DATA + 0x1000, true, false);
	RUN();
	ASSERT_EQ(m->vector, 14);
	ASSERT_EQ(m->error_code, 3);
	ASSERT_EQ(m->fault_cr2, MACHINE_DATA + 0x1000);
	ASSERT_EQ(machine_u64(m, MACHINE_DATA + 0xff8), 0);
	ASSERT_EQ(FLAGS, 0);
}

TEST(modify_across_pages_is_done_whole)
{
	START(64, CODE("addq $-1, (%rbx); lock addl $0x10, 1(%rbx)"));
	REG(BX) = MACHINE_DATA + 0xffd;
	RUN_TO_END();
	/* ff ff ff ff ff ff ff ff, then 10 more in the four bytes from the second on */
	ASSERT_EQ(machine_u64(m, MACHINE_DATA + 0xffd), 0xffffff0000000fffull);
}

TEST(bit_string_in_memory_goes_both_ways)
{
	START(64, CODE("bts %rax, (%rdi); btc %ecx, (%rdi); lock btr %rdx, (%rdi); bt "
		       "%bx, (%rdi)"));
	REG(DI) = MACHINE_DATA + 0x1000;
	REG(AX) = (u64)-1;	/* bit 63 of the 8 bytes before */
	REG(CX) = 0xffffffe0;	/* -32: bit 0 of the 4 bytes before */
	REG(DX) = 64 * 512 + 3; /* a page on */
	REG(BX) = 0xfff0;	/* -16: bit 0 of the 2 bytes before */
	m->ram[MACHINE_DATA + 0x2000] = 0xff;
	RUN_TO_END();
	ASSERT_EQ(machine_u64(m, MACHINE_DATA + 0xff8), 0x8000000100000000);
	ASSERT_EQ(m->ram[MACHINE_DATA + 0x2000], 0xf7);
	ASSERT_EQ(FLAGS & CF,
		  0); /* bits 16-31 of ..80000001 start with 8000: bit 0 is 0 */
}

TEST(bit_number_in_an_immediate_stays_inside)
{
	START(64, CODE("btsl $33, (%rdi); btq $1, (%rdi)"));
	REG(DI) = MACHINE_DATA;
	RUN_TO_END();
	ASSERT_EQ(machine_u64(m, MACHINE_DATA), 2);
	ASSERT_EQ(FLAGS & CF, CF);
}

TEST(cmpxchg_that_does_not_match_loads_and_still_writes)
{
	START(64, CODE("cmpxchg %rbx, (%rdi)"));
	REG(DI) = MACHINE_DATA;
	REG(AX) = 1;
	REG(BX) = 2;
	m->ram[MACHINE_DATA] = 9;
	machine_page(m, MACHINE_DATA, true, false);
	RUN();
	ASSERT_EQ(m->vector, 14);
	ASSERT_EQ(m->error_code, 3);

	machine_page(m, MACHINE_DATA, true, true);
	machine_code(m, CODE("cmpxchg %ebx, (%rdi); lock cmpxchg %ebx, (%rdi)"));
	REG(AX) = ~0ull << 32 | 1;
	RUN_TO_END();
	ASSERT_EQ(REG(AX), 9);
	ASSERT_EQ(machine_u64(m, MACHINE_DATA), 2);
	ASSERT_EQ(FLAGS, ZF | PF);
}

TEST(cmpxchg_that_matches_leaves_the_accumulator_whole)
{
	START(64, CODE("lock cmpxchg %ebx, (%rdi)"));
	REG(DI) = MACHINE_DATA;
	REG(AX) = 0xffffffff00000000;
	REG(BX) = 5;
	RUN_TO_END();
	ASSERT_EQ(REG(AX), 0xffffffff00000000);
	ASSERT_EQ(m->ram[MACHINE_DATA], 5);
}

TEST(cmpxchg16b_wants_alignment)
{
	START(64, CODE("cmpxchg16b (%rdi)"));
	REG(DI) = MACHINE_DATA + 8;
	RUN();
	ASSERT_EQ(m->vector, 13);

	machine_code(m, CODE("lock cmpxchg16b (%rdi); setz %sil; lock cmpxchg16b "
			     "(%rdi)"));
	REG(DI) = MACHINE_DATA;
	REG(AX) = REG(DX) = REG(SI) = 0;
	REG(BX) = 3;
	REG(CX) = 4;
	RUN_TO_END();
	ASSERT_EQ(REG(SI), 1);
	ASSERT_EQ(REG(AX), 3);
	ASSERT_EQ(REG(DX), 4);
	ASSERT_EQ(machine_u64(m, MACHINE_DATA + 8), 4);
	ASSERT_EQ(FLAGS & ZF, 0);
}

TEST(cmpxchg8b_changes_nothing_but_zf)
{
	START(64, CODE("cmpxchg8b (%rdi)"));
	REG(DI) = MACHINE_DATA;
	REG(AX) = ~0ull;
	REG(DX) = 1;
	m->s.rflags |= CF | OF | SF | AF | PF | ZF;
	RUN_TO_END();
	ASSERT_EQ(FLAGS, CF | OF | SF | AF | PF);
	ASSERT_EQ(REG(AX), 0);
	ASSERT_EQ(REG(DX), 0);
}

TEST(xadd_and_xchg_with_one_register_twice)
{
	START(64, CODE("xadd %eax, %eax; xchg %rbx, (%rdi); xadd %cl, %ch"));
	REG(AX) = 0xf00000007;
	REG(BX) = 6;
	REG(CX) = 0x0102;
	REG(DI) = MACHINE_DATA;
	m->ram[MACHINE_DATA] = 1;
	RUN_TO_END();
	ASSERT_EQ(REG(AX), 14);
	ASSERT_EQ(REG(BX), 1);
	ASSERT_EQ(m->ram[MACHINE_DATA], 6);
	ASSERT_EQ(REG(CX), 0x0301);
}

TEST(division_by_zero_and_overflow_are_exceptions_that_change_nothing)
{
	const struct {
		struct machine_code code;
		u64 a, d, by;
		int vector;
		u64 quotient, rest;
	} cases[] = {
		{ CODE("div %rbx"), 5, 0, 0, 0, 5, 0 },
		{ CODE("div %rbx"), 5, 1, 1, 0, 5, 1 },
		{ CODE("div %rbx"), 5, 1, 2, MACHINE_HALTED, 0x8000000000000002, 1 },
		{ CODE("div %ebx"), 0, 7, 7, 0, 0, 7 },
		{ CODE("div %bl"), 0x1ff, 0, 2, MACHINE_HALTED, 0x01ff, 0 },
		{ CODE("div %bl"), 0x200, 0, 2, 0, 0x200, 0 },
		{ CODE("idiv %rbx"), 1ull << 63, ~0ull, ~0ull, 0, 1ull << 63, ~0ull },
		{ CODE("idiv %rbx"), 1ull << 63, ~0ull, 1, MACHINE_HALTED, 1ull << 63,
		  0 },
		{ CODE("idiv %rbx"), 0, 1ull << 63, 3, 0, 0, 1ull << 63 },
		{ CODE("idiv %rbx"), 0, ~0ull, 2, MACHINE_HALTED, 1ull << 63, 0 },
		{ CODE("idiv %rbx"), 0, 1, -2ull, MACHINE_HALTED, 1ull << 63, 0 },
		{ CODE("idiv %rbx"), 0, 1, 2, 0, 0, 1 },
		{ CODE("idiv %rbx"), -7ull, ~0ull, 2, MACHINE_HALTED, -3ull, ~0ull },
		{ CODE("idiv %ebx"), 0, 0x80000000, 0xffffffff, 0, 0, 0x80000000 },
		{ CODE("idiv %ebx"), 0x80000000, 0xffffffff, 0xffffffff, 0, 0x80000000,
		  0xffffffff },
		{ CODE("idiv %bx"), 0x8000, 0xffff, 1, MACHINE_HALTED, 0x8000, 0 },
		{ CODE("idiv %bl"), 0xff80, 0, 0xff, 0, 0xff80, 0 },
		{ CODE("idiv %bl"), 0xff80, 0, 1, MACHINE_HALTED, 0x0080, 0 },
	};

	for (unsigned n = 0; n < ARRAY_COUNT(cases); n++) {
		START(64, cases[n].code);
		REG(AX) = cases[n].a;
		REG(DX) = cases[n].d;
		REG(BX) = cases[n].by;
		RUN();
		if (m->vector != cases[n].vector || REG(AX) != cases[n].quotient ||
		    REG(DX) != cases[n].rest)
			FAIL("case %u: vector %d, %#lx rest %#lx", n, m->vector, REG(AX),
			     REG(DX));
	}
}

TEST(multiplication_says_whether_the_upper_half_matters)
{
	START(64, CODE("mul %rbx; setc %r8b; imul %cl; setc %r9b; mov %eax, %r10d; imul "
		       "$3, %r11, %r11"));
	REG(AX) = 1ull << 63;
	REG(BX) = 2;
	REG(CX) = 0xff;
	REG(8) = REG(9) = 0;
	REG(11) = -5ull;
	RUN_TO_END();
	ASSERT_EQ(REG(DX), 1);
	ASSERT_EQ(REG(8), 1);
	ASSERT_EQ(REG(9), 0);
	ASSERT_EQ(REG(11), -15ull);
	ASSERT_EQ(FLAGS & (CF | OF), 0);
}

TEST(scan_of_zero_leaves_the_destination)
{
	START(64, CODE("bsf %rbx, %rax; setz %r8b; tzcnt %ebx, %ecx; lzcnt %bx, %dx"));
	REG(AX) = 77;
	REG(BX) = REG(8) = 0;
	REG(CX) = REG(DX) = ~0ull;
	RUN_TO_END();
	ASSERT_EQ(REG(AX), 77);
	ASSERT_EQ(REG(8), 1);
	ASSERT_EQ(REG(CX), 32);
	ASSERT_EQ(REG(DX), 0xffffffffffff0010);
	ASSERT_EQ(FLAGS & CF, CF);
}

TEST(bmi_does_what_it_is_named_for)
{
	START(64, CODE("andn %rbx, %rax, %r8; bextr %rcx, %rbx, %r9; blsr %rbx, %r10;"
		       "bzhi %rdx, %rbx, %r11; pdep %rdx, %rax, %r12; pext %rbx, %rbx, "
		       "%r13;"
		       "mulx %rbx, %r14, %r15; rorx $4, %rbx, %rsi; sarx %rcx, %rdi, "
		       "%rdi"));
	REG(AX) = 0x0f;
	REG(BX) = 0xff;
	REG(CX) = 0x0404; /* four bits from bit 4; shift by 4 */
	REG(DX) = 0x11;
	REG(DI) = 1ull << 63;
	RUN_TO_END();
	ASSERT_EQ(REG(8), 0xf0);
	ASSERT_EQ(REG(9), 0xf);
	ASSERT_EQ(REG(10), 0xfe);
	ASSERT_EQ(REG(11), 0xff);
	ASSERT_EQ(REG(12), 0x11);
	ASSERT_EQ(REG(13), 0xff);
	ASSERT_EQ(REG(14), 0x11 * 0xff);
	ASSERT_EQ(REG(15), 0);
	ASSERT_EQ(REG(SI), 0xf00000000000000f);
	ASSERT_EQ(REG(DI), 0xf800000000000000);
}

TEST(two_carry_chains_do_not_meet)
{
	START(64, CODE("adcx %rbx, %rax; adox %rbx, %rcx"));
	m->s.rflags |= CF | ZF;
	REG(AX) = ~0ull;
	REG(BX) = 0;
	REG(CX) = 5;
	RUN_TO_END();
	ASSERT_EQ(REG(AX), 0);
	ASSERT_EQ(REG(CX), 5);
	ASSERT_EQ(FLAGS, CF | ZF);
}

TEST(lea_is_cut_to_address_and_operand_size)
{
	START(64, CODE("lea 8(%rbx,%rbx), %eax; lea 8(%ebx), %rcx; lea 4(%rbx), %dx; lea "
		       "0x10(%rip), %rsi"));
	REG(BX) = 0xfffffffffffffff8;
	REG(DX) = 0;
	RUN_TO_END();
	ASSERT_EQ(REG(AX), 0xfffffff8);
	ASSERT_EQ(REG(CX), 0);
	ASSERT_EQ(REG(DX), 0xfffc);
	ASSERT_EQ(REG(SI), m->s.rip - 1 + 0x10);
}

TEST(addresses_of_32_bits_wrap)
{
	START(64, CODE("movb $1, 0x10(%ebx); btsl %ecx, (%edi); movb $2, "
		       "0x20000(%ebx,%eax,4)"));
	REG(BX) = 0xffffffff00000000 | (MACHINE_DATA - 0x10);
	REG(AX) = 0xffffffffc0000000 - 0x7fc4; /* * 4 = -0x1ff10 mod 2^32 */
	REG(DI) = 0x10;
	REG(CX) = 8 * (MACHINE_DATA - 0x10) + 3;
	RUN_TO_END();
	ASSERT_EQ(m->ram[MACHINE_DATA] & ~8, 1);
	ASSERT_EQ(m->ram[MACHINE_DATA] & 8, 8);
	ASSERT_EQ(m->ram[MACHINE_DATA + 0xe0], 2);
}

TEST(xlat_adds_al_without_sign)
{
	START(64, CODE("xlat"));
	REG(BX) = MACHINE_DATA;
	REG(AX) = 0x12ff;
	m->ram[MACHINE_DATA + 0xff] = 0x42;
	RUN_TO_END();
	ASSERT_EQ(REG(AX), 0x1242);
}

TEST(byte_order_and_extension)
{
	START(64, CODE("bswap %eax; movbe (%rdi), %cx; movsbq (%rdi), %rdx; movzwl %bx, "
		       "%ebx; movslq 4(%rdi), %r8; cqo; cdqe"));
	REG(AX) = 0x1122334455667788;
	REG(BX) = 0xffffffffffff8001;
	REG(CX) = 0;
	REG(DI) = MACHINE_DATA;
	memcpy(m->ram + MACHINE_DATA, "\x80\x01\0\0\0\0\0\x80", 8);
	RUN_TO_END();
	ASSERT_EQ(REG(CX), 0x8001);
	ASSERT_EQ(REG(BX), 0x8001);
	ASSERT_EQ(REG(8), 0xffffffff80000000);
	ASSERT_EQ(REG(DX), 0); /* CQO of a positive RAX */
	ASSERT_EQ(REG(AX), 0xffffffff88776655);
}

TEST(absolute_address_of_64_bits)
{
	START(64, CODE("movabs %al, 0x20008; movabs 0x20008, %eax"));
	REG(AX) = ~0ull;
	RUN_TO_END();
	ASSERT_EQ(REG(AX), 0xff);
}

TEST(decimal_arithmetic_of_32_bit_code)
{
	START(32, CODE32("daa; mov %al, %bl; mov $0x15, %al; sub $0x26, %al; das; mov "
			 "%al, %bh;"
			 "mov $0x4f, %eax; aam; mov %eax, %ecx; aad; mov %eax, %edx; mov "
			 "$0x0f, %eax; aaa"));
	REG(AX) = 0x9a;
	REG(BX) = 0;
	RUN_TO_END();
	ASSERT_EQ(REG(BX), 0x8900);
	ASSERT_EQ(REG(CX), 0x0709);
	ASSERT_EQ(REG(DX), 0x4f);
	ASSERT_EQ(REG(AX), 0x0105);
}

TEST(aam_by_zero_is_a_division_error)
{
	START(32, CODE32("aam $0"));
	RUN();
	ASSERT_EQ(m->vector, 0);
	ASSERT_EQ(m->fault_rip, MACHINE_CODE);
}

TEST(bound_outside_is_its_own_exception)
{
	START(32, CODE32("bound %eax, (%ebx); bound %ecx, (%ebx)"));
	REG(BX) = MACHINE_DATA;
	m->ram[MACHINE_DATA] = 1;
	m->ram[MACHINE_DATA + 4] = 5;
	REG(AX) = 5;
	REG(CX) = 6;
	RUN();
	ASSERT_EQ(m->vector, 5);
	ASSERT_EQ(m->fault_rip, MACHINE_CODE + 2);
}

TEST(flags_go_to_ah_and_back)
{
	START(64, CODE("lahf; sahf; cmc; std"));
	m->s.rflags |= CF | ZF | OF;
	REG(AX) = 0;
	RUN_TO_END();
	ASSERT_EQ(REG(AX), 0x4300);
	ASSERT_EQ(FLAGS, ZF | OF);
	ASSERT_EQ(m->s.rflags & 0x400, 0x400);
}

TEST(real_mode_wraps_offsets_at_64_kib)
{
	START(16, CODE16("mov %al, 1(%bx,%si); add $1, %ax; mov %eax, (%di)"));
	REG(AX) = 0x12ffff;
	REG(BX) = 0xfff0;
	REG(SI) = 0x000f;
	REG(DI) = 0x100;
	RUN_TO_END();
	ASSERT_EQ(m->ram[MACHINE_DATA], 0xff);
	ASSERT_EQ(machine_u64(m, MACHINE_DATA + 0x100), 0x120000);
}

TEST(real_mode_word_at_the_segments_end_is_a_fault)
{
	START(16, CODE16("mov %ax, (%bx)"));
	REG(BX) = 0xffff;
	RUN();
	ASSERT_EQ(m->vector, 13);
}

TEST(undefined_instruction_is_said_at_its_own_address)
{
	START(64, CODE("nop; ud2"));
	RUN();
	ASSERT_EQ(m->vector, 6);
	ASSERT_EQ(m->fault_rip, MACHINE_CODE + 1);
}

TEST(code_that_changes_the_next_instruction_sees_the_change)
{
	/* The store's target is the immediate of the mov that follows. */
	START(64, CODE("movb $0x55, 1f+1(%rip); 1: mov $0x11, %al"));
	REG(AX) = 0;
	RUN_TO_END();
	ASSERT_EQ(REG(AX), 0x55);
}
