/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks, jumps, events: the run loop and engine/soft. */
#include "soft_board.h"

#include <pthread.h>

static struct board b;

GUEST_CODE(sum_loop, "xor %eax, %eax; mov $1000000, %ecx\n"
		     "1: add %rcx, %rax; dec %ecx; jnz 1b; hlt");

TEST(a_loop_runs_and_halts)
{
	ASSERT_OK(board_start(&b, 1));
	board_put(&b, CODE, &sum_loop);
	board_long_mode(&b, 0, CODE);
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(b.state[0].gpr[R_AX], 500000500000ull);

	struct hv_stats stats = { 0 };

	engine_soft_ops.vp_count(b.vp[0].vp, &stats);
	/* What is translated is not counted. */
	ASSERT(stats.instructions <= 3000003);
	ASSERT(BOARD_TRANSLATES || stats.instructions == 3000003);
	board_stop(&b);
}

GUEST_CODE(calls, "lea 2f(%rip), %rbx; mov $1000, %ecx; xor %eax, %eax\n"
		  "1: call 3f; call *%rbx; dec %ecx; jnz 1b; hlt\n"
		  ".balign 4096\n2: add $2, %rax; ret\n"
		  ".balign 4096\n3: add $1, %rax; ret");

TEST(calls_and_returns_cross_pages)
{
	ASSERT_OK(board_start(&b, 1));
	board_put(&b, CODE, &calls);
	board_long_mode(&b, 0, CODE);
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(b.state[0].gpr[R_AX], 3000);
	ASSERT_EQ(b.state[0].gpr[R_SP], STACK);
	board_stop(&b);
}

GUEST_CODE_BITS(real_code, 16,
		"mov $0x1234, %ax; mov %ax, 0x200; mov $5, %cx\n"
		"1: inc %bx; loop 1b; hlt");

TEST(real_mode_code_runs_in_its_segment)
{
	ASSERT_OK(board_start(&b, 1));
	board_put(&b, 0x54320, &real_code);
	board_real_mode(&b, 0, 0x54320);
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(b.state[0].gpr[R_BX], 5);
	ASSERT_EQ(b.ram[0x200] | b.ram[0x201] << 8, 0x1234);
	board_stop(&b);
}

GUEST_CODE_BITS(protected_code, 32,
		"mov $100000, %ecx; xor %eax, %eax\n"
		"1: add %ecx, %eax; push %eax; pop %edx; loop 1b; hlt");

TEST(protected_mode_code_runs)
{
	ASSERT_OK(board_start(&b, 1));
	board_put(&b, CODE, &protected_code);
	board_protected_mode(&b, 0, CODE);
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(b.state[0].gpr[R_AX], (u32)5000050000ull);
	ASSERT_EQ(b.state[0].gpr[R_DX], b.state[0].gpr[R_AX]);
	board_stop(&b);
}

TEST(an_instruction_across_two_pages_runs)
{
	ASSERT_OK(board_start(&b, 1));
	/* mov $0x1122334455667788, %rax; hlt from 3 bytes before the end of a page */
	static const u8 code[] = { 0x48, 0xb8, 0x88, 0x77, 0x66, 0x55,
				   0x44, 0x33, 0x22, 0x11, 0xf4 };

	memcpy(b.ram + CODE + 0xffd, code, sizeof(code));
	board_long_mode(&b, 0, CODE + 0xffd);
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(b.state[0].gpr[R_AX], 0x1122334455667788ull);
	/* Its second half changes: the decoding must not stay. */
	b.ram[CODE + 0x1000] = 0x99;
	engine_soft_ops.drop_code(b.vm, (CODE >> 12) + 1, 1);
	board_long_mode(&b, 0, CODE + 0xffd);
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(b.state[0].gpr[R_AX], 0x1122334455669988ull);
	board_stop(&b);
}

TEST(bytes_that_are_no_instruction_raise_ud_and_16_prefixes_gp)
{
	ASSERT_OK(board_start(&b, 1));
	b.ram[CODE] = 0x0f;
	b.ram[CODE + 1] = 0x0b;
	board_long_mode(&b, 0, CODE);
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(board_exception(&b), 6);
	ASSERT_EQ(board_stack(&b, 0, 0), CODE);

	memset(b.ram + CODE + 0x100, 0x2e, 15);
	b.ram[CODE + 0x10f] = 0x90;
	board_long_mode(&b, 0, CODE + 0x100);
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(board_exception(&b), 13);
	ASSERT_EQ(board_stack(&b, 0, 0), 0);
	ASSERT_EQ(board_stack(&b, 0, 1), CODE + 0x100);
	board_stop(&b);
}

GUEST_CODE(waits, "xor %ebx, %ebx; 1: sti; hlt; inc %ebx; jmp 1b");

TEST(a_halted_processor_wakes_for_an_interrupt_it_may_take)
{
	ASSERT_OK(board_start(&b, 1));
	struct engine_vp *vp = b.vp[0].vp;

	board_put(&b, CODE, &waits);
	board_long_mode(&b, 0, CODE);
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(b.state[0].activity, VP_HALTED);
	ASSERT(!engine_soft_ops.vp_can_wake(vp));
	ASSERT_EQ(engine_soft_ops.vp_run(vp), ENGINE_HALTED);

	atomic_store(&b.vp[0].vector, 0x55);
	engine_soft_ops.vp_interrupt(vp, true);
	ASSERT(engine_soft_ops.vp_can_wake(vp));
	ASSERT_EQ(board_continue(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(board_exception(&b), 0x55);
	/* The frame says: behind the HLT. And the handler halts with IF clear. */
	ASSERT_EQ(board_stack(&b, 0, 0), CODE + 4);
	ASSERT(!engine_soft_ops.vp_can_wake(vp));
	atomic_store(&b.vp[0].vector, 0x56);
	engine_soft_ops.vp_interrupt(vp, true);
	ASSERT(!engine_soft_ops.vp_can_wake(vp));
	engine_soft_ops.vp_nmi(vp);
	ASSERT(engine_soft_ops.vp_can_wake(vp));
	ASSERT_EQ(board_continue(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(board_exception(&b), 2);
	board_stop(&b);
}

GUEST_CODE(sti_shadow, "mov $1, %eax; sti; inc %eax; inc %eax; hlt");

TEST(sti_lets_one_more_instruction_run_before_an_interrupt)
{
	ASSERT_OK(board_start(&b, 1));
	board_put(&b, CODE, &sti_shadow);
	board_long_mode(&b, 0, CODE);
	atomic_store(&b.vp[0].vector, 0x40);
	engine_soft_ops.vp_interrupt(b.vp[0].vp, true);
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(board_exception(&b), 0x40);
	ASSERT_EQ(board_stack(&b, 0, 0), CODE + 8);
	board_stop(&b);
}

GUEST_CODE(sti_window, "sti; nop; cli; inc %eax; hlt");

TEST(an_interrupt_gets_in_between_sti_nop_and_cli)
{
	/* The three were one block, and nobody looked before the CLI. */
	ASSERT_OK(board_start(&b, 1));
	board_put(&b, CODE, &sti_window);
	board_long_mode(&b, 0, CODE);
	atomic_store(&b.vp[0].vector, 0x40);
	engine_soft_ops.vp_interrupt(b.vp[0].vp, true);
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(board_exception(&b), 0x40);
	ASSERT_EQ(board_stack(&b, 0, 0), CODE + 2);
	board_stop(&b);
}

GUEST_CODE(spins, "1: inc %rax; jmp 1b");

static void *kick_later(void *arg)
{
	struct timespec t = { .tv_nsec = 1000000 };

	nanosleep(&t, NULL);
	engine_soft_ops.vp_kick(b.vp[0].vp);
	return NULL;
}

TEST(a_kick_ends_a_loop_and_is_not_lost_before_the_run)
{
	pthread_t thread;

	ASSERT_OK(board_start(&b, 1));
	board_put(&b, CODE, &spins);
	board_long_mode(&b, 0, CODE);
	struct err err;

	ASSERT_EQ(engine_soft_ops.vp_set_state(b.vp[0].vp, &b.state[0], &err), 0);
	engine_soft_ops.vp_kick(b.vp[0].vp);
	ASSERT_EQ(engine_soft_ops.vp_run(b.vp[0].vp), ENGINE_KICKED);
	engine_soft_ops.vp_get_state(b.vp[0].vp, &b.state[0]);
	ASSERT_EQ(b.state[0].gpr[R_AX], 0);

	pthread_create(&thread, NULL, kick_later, NULL);
	ASSERT_EQ(engine_soft_ops.vp_run(b.vp[0].vp), ENGINE_KICKED);
	pthread_join(thread, NULL);
	engine_soft_ops.vp_get_state(b.vp[0].vp, &b.state[0]);
	ASSERT(b.state[0].gpr[R_AX] > 0);
	board_stop(&b);
}

TEST(a_triple_fault_shuts_down)
{
	ASSERT_OK(board_start(&b, 1));
	b.ram[CODE] = 0x0f;
	b.ram[CODE + 1] = 0x0b;
	board_long_mode(&b, 0, CODE);
	b.state[0].idtr.limit = 0;
	ASSERT_EQ(board_run(&b, 0), ENGINE_TRIPLE_FAULT);
	ASSERT_EQ(b.state[0].activity, VP_SHUTDOWN);
	board_stop(&b);
}

GUEST_CODE(steps, "pushf; orl $0x100, (%rsp); popf; mov $1, %eax; mov $2, %eax; hlt");

TEST(trap_flag_stops_after_the_next_instruction)
{
	ASSERT_OK(board_start(&b, 1));
	board_put(&b, CODE, &steps);
	board_long_mode(&b, 0, CODE);
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(board_exception(&b), 1);
	ASSERT_EQ(b.state[0].gpr[R_AX] >> 8, 0); /* the handler wrote AL */
	ASSERT_EQ(board_stack(&b, 0, 0), CODE + 14);
	ASSERT(b.state[0].dr6 & 0x4000);
	board_stop(&b);
}
