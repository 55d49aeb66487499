/* SPDX-License-Identifier: Apache-2.0 */
/* Code that changes: by itself, by another processor, by the worker. x86/cache.h. */
#include "soft_board.h"

#include <pthread.h>

#include "engine/soft/soft.h"

static struct board b;

/* The guest's processors race in guest memory here, on purpose: not for that sanitizer. */
#ifdef __SANITIZE_THREAD__
#define SKIP_IF_RACES_COUNT SKIP("guest memory is raced for on purpose")
#else
#define SKIP_IF_RACES_COUNT
#endif

/* Overwrites the immediate of the very next instruction, each round with another value. */
GUEST_CODE(next_changes, "mov $1000, %ecx; xor %ebx, %ebx\n"
			 "1: mov %ecx, 2f+1(%rip)\n"
			 "2: mov $0, %eax; add %rax, %rbx; dec %ecx; jnz 1b; hlt");

TEST(a_store_into_the_next_instruction_is_executed)
{
	ASSERT_OK(board_start(&b, 1));
	board_put(&b, CODE, &next_changes);
	board_long_mode(&b, 0, CODE);
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(b.state[0].gpr[R_BX], 500500);
	board_stop(&b);
}

/* The same through other doors: read-modify-write, push, string, locked, vector. */
GUEST_CODE(doors, "xor %ebx, %ebx\n"
		  "incl 1f+1(%rip); 1: mov $0, %eax; add %eax, %ebx\n"
		  "lea 2f+9(%rip), %rsp; push $7; 2: mov $0, %eax; add %eax, %ebx; nop; "
		  "nop\n"
		  "lea 3f+1(%rip), %rdi; mov $100, %eax; stosl; 3: mov $0, %eax; add "
		  "%eax, %ebx\n"
		  "lea 6f(%rip), %rsi; lea 4f+1(%rip), %rdi; mov $4, %ecx; rep movsb\n"
		  "4: mov $0, %eax; add %eax, %ebx\n"
		  "mov $2000, %edx; lock xadd %edx, 5f+1(%rip); 5: mov $0, %eax; add "
		  "%eax, %ebx\n"
		  "movd 7f(%rip), %xmm0; movd %xmm0, 8f+1(%rip); 8: mov $0, %eax; add "
		  "%eax, %ebx; hlt\n"
		  "6: .long 1000; 7: .long 10000");

TEST(every_kind_of_store_changes_code)
{
	ASSERT_OK(board_start(&b, 1));
	board_put(&b, CODE, &doors);
	/* push writes 8 bytes: from the immediate's start on, 7 0 0 0, then over what follows. */
	board_long_mode(&b, 0, CODE);
	u8 *push = memmem(b.ram + CODE, 256, "\x6a\x07", 2);

	ASSERT(push);
	/* mov $7, %eax; four bytes of the pushed 64 bits are zero: add %al, (%rax) twice. So let RAX
	 * point to memory: it is 7, which is RAM. */
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(board_exception(&b), -1);
	ASSERT_EQ(b.state[0].gpr[R_BX], 1 + 100 + 1000 + 2000 + 10000);
	ASSERT_EQ(b.ram[7], 14);
	board_stop(&b);
}

GUEST_CODE(halts_between, "mov $300, %ecx; 1: add %rcx, %rax; dec %ecx; jnz 1b; hlt");

/* Every HLT gives all translations back; what comes after it is right all the same. */
TEST(an_idle_processor_gives_its_translations_back)
{
	const u64 usual = soft_idle_ns;

	ASSERT_OK(board_start(&b, 1));
	board_put(&b, CODE, &halts_between);
	board_long_mode(&b, 0, CODE);
	soft_idle_ns = 0;
	for (unsigned n = 0; n < 3; n++) {
		b.state[0].gpr[R_AX] = 0;
		b.state[0].rip = CODE;
		b.state[0].activity = VP_RUNNING;
		ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
		ASSERT_EQ(b.state[0].gpr[R_AX], 300 * 301 / 2);
	}
	soft_idle_ns = usual;
	/* The first asks for the first time. */
	ASSERT_EQ(((struct engine_vp *)b.vp[0].vp)->cpu.jit.given_back,
		  BOARD_TRANSLATES ? 2 : 0);
	board_stop(&b);
}

/* Data beside code in one page: a counter, and lines of code that stay. */
GUEST_CODE(mixed_page, "mov $100000, %ecx; 1: incl 2f(%rip); dec %ecx; jnz 1b; hlt\n"
		       ".balign 64; 2: .long 0");

TEST(data_beside_code_does_not_decode_again_and_again)
{
	ASSERT_OK(board_start(&b, 1));
	board_put(&b, CODE, &mixed_page);
	board_long_mode(&b, 0, CODE);
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	struct hv_stats stats = { 0 };

	engine_soft_ops.vp_count(b.vp[0].vp, &stats);
	ASSERT(stats.decoded < 100);
	ASSERT(stats.code_flushes < 10);
	board_stop(&b);
}

/*
 * Processor 1 runs `mov $imm, %eax; ret` in a loop and publishes what it saw; processor 0 writes a
 * new immediate, then a flag; the other answers through memory. As Linux does with INT3 less text
 * patching: the reader serializes (CPUID) once it saw the flag.
 */
#define FLAG (DATA + 0x100)
#define SEEN (DATA + 0x180)
#define TARGET (DATA + 0x1000)

GUEST_CODE(writer, "mov $1, %ecx; mov $0x31001, %rdi; mov $0x30100, %rsi; mov $0x30180, "
		   "%rdx\n"
		   "1: mov %ecx, (%rdi); mov %ecx, (%rsi)\n"
		   "2: pause; cmp %ecx, (%rdx); jb 2b; ja 3f\n"
		   "inc %ecx; cmp $500, %ecx; jbe 1b; hlt; 3: ud2");
GUEST_CODE(reader, "mov $0x31000, %rdi; mov $0x30100, %rsi; mov $0x30180, %r8; xor %ebp, "
		   "%ebp\n"
		   "1: call *%rdi; mov (%rsi), %r9d; cmp %ebp, %r9d; je 1b\n"
		   "mov %r9d, %ebp; xor %eax, %eax; cpuid; call *%rdi\n"
		   "mov %eax, (%r8); cmp %r9d, %eax; jne 2f\n"
		   "cmp $500, %eax; jb 1b; hlt; 2: ud2");

static void *run_one(void *arg)
{
	unsigned n = *(unsigned *)arg;

	if (board_run(&b, n) != ENGINE_HALTED)
		harness_fail(__FILE__, __LINE__, "processor %u did not halt", n);
	return NULL;
}

TEST_TIMEOUT(code_that_another_processor_wrote_is_executed, 60)
{
	static unsigned number[2] = { 0, 1 };
	pthread_t thread[2];

	SKIP_IF_RACES_COUNT;
	ASSERT_OK(board_start(&b, 2));
	board_put(&b, CODE, &writer);
	board_put(&b, CODE + 0x1000, &reader);
	static const u8 target[] = { 0xb8, 0, 0, 0, 0, 0xc3 };

	memcpy(b.ram + TARGET, target, sizeof(target));
	board_long_mode(&b, 0, CODE);
	board_long_mode(&b, 1, CODE + 0x1000);
	for (unsigned n = 0; n < 2; n++)
		pthread_create(&thread[n], NULL, run_one, &number[n]);
	for (unsigned n = 0; n < 2; n++)
		pthread_join(thread[n], NULL);
	ASSERT_EQ(board_exception(&b), -1);
	ASSERT_EQ(b.state[1].gpr[R_AX], 500);
	ASSERT_EQ(b.state[0].gpr[R_CX], 501);
	board_stop(&b);
}

/*
 * The worker's part: writes the data, full barrier, reads the mark, asks for the drop where it is
 * set, and only then publishes. The guest calls into the page all the time, and checks after it
 * saw the publication.
 */
GUEST_CODE(disk_reader, "mov $0x31000, %rdi; mov $0x30100, %rsi; xor %ebp, %ebp\n"
			"1: call *%rdi; mov (%rsi), %r9d; cmp %ebp, %r9d; je 1b\n"
			"mov %r9d, %ebp; call *%rdi; cmp %r9d, %eax; jb 2f\n"
			"mov %r9d, 0x80(%rsi)\n"
			"cmp $100000, %r9d; jb 1b; hlt; 2: ud2");

TEST_TIMEOUT(code_that_the_worker_wrote_is_executed_once_it_is_published, 60)
{
	static unsigned number = 0;
	pthread_t thread;

	SKIP_IF_RACES_COUNT;
	ASSERT_OK(board_start(&b, 1));
	board_put(&b, CODE, &disk_reader);
	static const u8 target[] = { 0xb8, 0, 0, 0, 0, 0xc3 };

	memcpy(b.ram + TARGET, target, sizeof(target));
	board_long_mode(&b, 0, CODE);
	pthread_create(&thread, NULL, run_one, &number);

	_Atomic u32 *flag = (_Atomic u32 *)(b.ram + FLAG),
		    *seen = (_Atomic u32 *)(b.ram + SEEN);
	u32 drops = 0;

	for (u32 n = 1; n <= 100000 && b.out_count == 0; n++) {
		memcpy(b.ram + TARGET + 1, &n, 4);
		atomic_thread_fence(memory_order_seq_cst);
		if (atomic_load(&b.code_map[TARGET >> 12])) {
			engine_soft_ops.drop_code(b.vm, TARGET >> 12, 1);
			drops++;
		}
		atomic_store(flag, n);
		/* Mostly at once, now and then after the guest has caught up. */
		while (n % 64 == 0 && atomic_load(seen) < n && b.out_count == 0)
			sched_yield();
	}
	pthread_join(thread, NULL);
	ASSERT_EQ(board_exception(&b), -1);
	ASSERT_EQ(b.state[0].gpr[R_BP], 100000);
	ASSERT(drops > 500);
	board_stop(&b);
}
