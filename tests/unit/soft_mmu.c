/* SPDX-License-Identifier: Apache-2.0 */
/* Paging: rights, error codes, A and D, page crossing, MMIO, ROM, flushes. SDM volume 3, chapter 4. */
#include "soft_board.h"

static struct board b;

#define P 1ull
#define W 2ull
#define U 4ull
#define A 0x20ull
#define D 0x40ull
#define PS 0x80ull
#define G 0x100ull
#define NX (1ull << 63)

#define CR4_PGE (1ull << 7)
#define CR4_SMEP (1ull << 20)
#define CR4_SMAP (1ull << 21)
#define CR4_PCIDE (1ull << 17)

GUEST_CODE(reads, "mov (%rbx), %rax; hlt");
GUEST_CODE(writes, "mov %rax, (%rbx); hlt");
GUEST_CODE(adds, "add %rax, (%rbx); hlt");
GUEST_CODE(jumps, "jmp *%rbx");
GUEST_CODE(stac_reads, "stac; mov (%rbx), %rax; clac; hlt");

/* The error code of the #PF that `code` gets at PAGES with this page-table entry; -1: none. */
struct fault_case {
	const char *what;
	const struct guest_code *code;
	u64 pte;
	bool user;
	u64 cr4, cr0_clear, efer_clear;
	int error;
};

static const struct fault_case fault_cases[] = {
	{ "absent, read", &reads, 0, .error = 0 },
	{ "absent, write", &writes, 0, .error = 2 },
	{ "absent, read-modify-write", &adds, 0, .error = 2 },
	{ "absent, user read", &reads, 0, .user = true, .error = 4 },
	{ "absent, user write", &writes, 0, .user = true, .error = 6 },
	{ "absent, fetch", &jumps, 0, .error = 0x10 },
	{ "absent, user fetch", &jumps, 0, .user = true, .error = 0x14 },
	{ "absent, fetch without NX and SMEP", &jumps, 0, .efer_clear = 0x800,
	  .error = 0 },
	{ "read-only, read", &reads, P, .error = -1 },
	{ "read-only, write", &writes, P, .error = 3 },
	{ "read-only, write without WP", &writes, P, .cr0_clear = 0x10000, .error = -1 },
	{ "read-only, user write", &writes, P | U, .user = true, .error = 7 },
	{ "read-only, user write without WP", &writes, P | U, .user = true,
	  .cr0_clear = 0x10000, .error = 7 },
	{ "read-only, read-modify-write", &adds, P, .error = 3 },
	{ "supervisor's, user read", &reads, P | W, .user = true, .error = 5 },
	{ "supervisor's, user fetch", &jumps, P | W, .user = true, .error = 0x15 },
	{ "no-execute, fetch", &jumps, P | W | NX, .error = 0x11 },
	{ "no-execute, read", &reads, P | W | NX, .error = -1 },
	{ "no-execute with NXE off", &reads, P | W | NX, .efer_clear = 0x800,
	  .error = 9 },
	{ "reserved bit, read", &reads, P | W | 1ull << 51, .error = 9 },
	{ "reserved bit, user write", &writes, P | W | U | 1ull << 51, .user = true,
	  .error = 0xf },
	{ "user's, fetch under SMEP", &jumps, P | W | U, .cr4 = CR4_SMEP, .error = 0x11 },
	{ "user's, read under SMAP", &reads, P | W | U, .cr4 = CR4_SMAP, .error = 1 },
	{ "user's, write under SMAP", &writes, P | W | U, .cr4 = CR4_SMAP, .error = 3 },
	{ "user's, read under SMAP with AC", &stac_reads, P | W | U, .cr4 = CR4_SMAP,
	  .error = -1 },
	{ "user's, user read under SMAP", &reads, P | W | U, .user = true,
	  .cr4 = CR4_SMAP, .error = -1 },
};

static bool fault_is_right(const struct fault_case *f)
{
	/* The first 2 MiB, with all tables, become the supervisor's: SMEP and SMAP let it. */
	u64 code = f->user ? 0x200000 + CODE : CODE;

	board_put(&b, code, f->code);
	/* What a fetch from PAGES finds, if it is let. */
	b.ram[DATA] = 0xf4;
	engine_soft_ops.drop_code(b.vm, DATA >> 12, 1);
	board_page(&b, 0, f->pte ? (f->pte | DATA) : 0);
	board_long_mode(&b, 0, code);
	board_write64(&b, PD, 0x83);
	if (f->user)
		board_user_mode(&b, 0);
	b.state[0].cr4 |= f->cr4;
	b.state[0].cr0 &= ~f->cr0_clear;
	b.state[0].efer &= ~f->efer_clear;
	b.state[0].gpr[R_BX] = PAGES;
	CHECK_EQ(board_run(&b, 0), ENGINE_HALTED);
	if (f->error < 0) {
		/* HLT itself raises #GP in user code. */
		CHECK_EQ(board_exception(&b), f->user ? 13 : -1);
		return true;
	}
	CHECK_EQ(board_exception(&b), 14);
	CHECK_EQ(board_stack(&b, 0, 0), f->error);
	CHECK_EQ(b.state[0].cr2, PAGES);
	CHECK_EQ(board_stack(&b, 0, 1), f->code == &jumps ? PAGES : code);
	return true;
}

TEST(page_faults_have_the_error_codes_of_the_manual)
{
	ASSERT_OK(board_start(&b, 1));
	for (size_t n = 0; n < ARRAY_COUNT(fault_cases); n++) {
		if (!fault_is_right(&fault_cases[n]))
			harness_fail(__FILE__, __LINE__, "case: %s", fault_cases[n].what);
	}
	board_stop(&b);
}

TEST(accessed_and_dirty_bits_are_set_when_used_and_not_before)
{
	ASSERT_OK(board_start(&b, 1));
	board_put(&b, CODE, &reads);
	board_long_mode(&b, 0, CODE);
	board_page(&b, 0, DATA | P | W);
	b.state[0].gpr[R_BX] = PAGES;
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(board_read64(&b, PT), DATA | P | W | A);
	ASSERT_EQ(board_read64(&b, PML4) & (A | D), A);
	ASSERT_EQ(board_read64(&b, PDPT + 8) & (A | D), A);

	board_put(&b, CODE + 0x1000, &writes);
	b.state[0].activity = VP_RUNNING;
	b.state[0].rip = CODE + 0x1000;
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(board_read64(&b, PT), DATA | P | W | A | D);

	/* A write that faults sets neither. */
	board_page(&b, 0, DATA | P);
	b.state[0].activity = VP_RUNNING;
	b.state[0].rip = CODE + 0x1000;
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(board_exception(&b), 14);
	ASSERT_EQ(board_read64(&b, PT), DATA | P);
	board_stop(&b);
}

TEST(a_store_across_pages_is_all_or_nothing)
{
	ASSERT_OK(board_start(&b, 1));
	board_put(&b, CODE, &writes);
	board_long_mode(&b, 0, CODE);
	board_page(&b, 0, DATA | P | W);
	board_page(&b, 1, 0);
	b.state[0].gpr[R_AX] = ~0ull;
	b.state[0].gpr[R_BX] = PAGES + 0xffc;
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(board_exception(&b), 14);
	ASSERT_EQ(b.state[0].cr2, PAGES + 0x1000);
	ASSERT_EQ(board_read64(&b, DATA + 0xff8), 0);

	/* Pages that are not neighbours in memory. */
	board_page(&b, 1, (DATA + 0x5000) | P | W);
	board_long_mode(&b, 0, CODE);
	b.state[0].gpr[R_AX] = 0x1122334455667788;
	b.state[0].gpr[R_BX] = PAGES + 0xffc;
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(board_exception(&b), -1);
	ASSERT_EQ(board_read64(&b, DATA + 0xff8), 0x5566778800000000);
	ASSERT_EQ(board_read64(&b, DATA + 0x5000), 0x11223344);

	board_put(&b, CODE + 0x1000, &reads);
	b.state[0].activity = VP_RUNNING;
	b.state[0].rip = CODE + 0x1000;
	b.state[0].gpr[R_AX] = 0;
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(b.state[0].gpr[R_AX], 0x1122334455667788);
	board_stop(&b);
}

GUEST_CODE(fill, "1: mov %al, (%rbx); add $8, %rbx; sub $1, %ecx; jnz 1b; hlt");

/* The translator writes several rounds at a time, to a page that it looked up before. */
TEST(loops_that_begin_where_no_address_is_raise_gp)
{
	ASSERT_OK(board_start(&b, 1));
	board_put(&b, CODE, &fill);
	board_long_mode(&b, 0, CODE);
	b.state[0].gpr[R_BX] = BIT64(63);
	b.state[0].gpr[R_CX] = 100;
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(board_exception(&b), 13);
	ASSERT_EQ(b.state[0].gpr[R_BX], BIT64(63));
	board_stop(&b);
}

TEST(addresses_that_are_not_canonical_raise_gp_or_ss)
{
	ASSERT_OK(board_start(&b, 1));
	board_put(&b, CODE, &reads);
	board_long_mode(&b, 0, CODE);
	b.state[0].gpr[R_BX] = 0x0000800000000000;
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(board_exception(&b), 13);
	b.state[0].activity = VP_RUNNING;
	b.state[0].rip = CODE;
	b.state[0].gpr[R_BX] = 0x00007ffffffffffc; /* its end is beyond */
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(board_exception(&b), 13);
	/* push with such a stack pointer */
	static const u8 push[] = { 0x50, 0xf4 };

	memcpy(b.ram + CODE + 0x1000, push, sizeof(push));
	board_long_mode(&b, 0, CODE + 0x1000);
	b.state[0].gpr[R_SP] = 0x0000800000000008;
	/* The handler's stack is no better, unless it has one of its own: IST 1. */
	board_write64(&b, 0x580 + 36, 0x1f000);
	board_write64(&b, IDT_BASE + 12 * 16,
		      board_read64(&b, IDT_BASE + 12 * 16) | 1ull << 32);
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(board_exception(&b), 12);
	ASSERT_EQ(board_stack(&b, 0, 4), 0x0000800000000008);
	board_stop(&b);
}

GUEST_CODE(mmio, "mov (%rbx), %al; mov %ax, 2(%rbx); mov %eax, 4(%rbx); mov %rax, "
		 "8(%rbx)\n"
		 "mov %al, 1(%rbx); hlt");

TEST(mmio_goes_to_the_bus_in_the_size_of_the_access)
{
	ASSERT_OK(board_start(&b, 1));
	board_put(&b, CODE, &mmio);
	board_long_mode(&b, 0, CODE);
	b.in_value = 0x7e;
	b.state[0].gpr[R_BX] = MMIO;
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(b.state[0].gpr[R_AX], 0x7e);
	ASSERT_EQ(b.out_count, 4);
	static const u64 address[] = { MMIO + 2, MMIO + 4, MMIO + 8, MMIO + 1 };
	static const unsigned size[] = { 2, 4, 8, 1 };

	for (unsigned n = 0; n < 4; n++) {
		ASSERT(b.out[n].mmio);
		ASSERT_EQ(b.out[n].address, address[n]);
		ASSERT_EQ(b.out[n].size, size[n]);
		ASSERT_EQ(b.out[n].value, 0x7e);
	}
	board_stop(&b);
}

TEST(writes_to_rom_are_dropped_and_code_in_it_runs)
{
	ASSERT_OK(board_start(&b, 1));
	memcpy(b.rom, writes_start, (size_t)(writes_end - writes_start));
	board_long_mode(&b, 0, ROM);
	b.state[0].gpr[R_AX] = ~0ull;
	b.state[0].gpr[R_BX] = ROM;
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(board_exception(&b), -1);
	ASSERT_EQ(b.rom[0], writes_start[0]);
	board_stop(&b);
}

TEST(page_tables_and_code_in_mmio_and_nowhere_do_no_harm)
{
	ASSERT_OK(board_start(&b, 1));
	board_long_mode(&b, 0, MMIO); /* code: what in_value says, bytes of HLT */
	b.in_value = 0xf4f4f4f4f4f4f4f4;
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	board_long_mode(&b, 0, 0x1800000); /* nothing there: all ones, FF FF */
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(board_exception(&b), 6);
	board_long_mode(&b, 0, CODE);
	b.state[0].cr3 =
		MMIO; /* each entry is 0xf4...: present is clear: faults to the end */
	ASSERT_EQ(board_run(&b, 0), ENGINE_TRIPLE_FAULT);
	board_stop(&b);
}

GUEST_CODE(remap, "mov (%rbx), %rax; mov %rcx, (%rdx); invlpg (%rbx); mov (%rbx), %rsi; "
		  "hlt");

TEST(invlpg_makes_a_new_entry_visible)
{
	ASSERT_OK(board_start(&b, 1));
	board_put(&b, CODE, &remap);
	board_long_mode(&b, 0, CODE);
	board_write64(&b, DATA, 111);
	board_write64(&b, DATA + 0x1000, 222);
	board_page(&b, 3, DATA | P | W);
	b.state[0].gpr[R_BX] = PAGES + 0x3000;
	b.state[0].gpr[R_CX] = (DATA + 0x1000) | P | W;
	b.state[0].gpr[R_DX] = PT + 3 * 8;
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(b.state[0].gpr[R_AX], 111);
	ASSERT_EQ(b.state[0].gpr[R_SI], 222);
	board_stop(&b);
}

GUEST_CODE(remap_large, "mov (%rbx), %rax; mov %rcx, (%rdx); invlpg 0x123456(%rbx)\n"
			"mov (%rbx), %rsi; hlt");

TEST(invlpg_of_a_large_page_forgets_all_of_it)
{
	ASSERT_OK(board_start(&b, 1));
	board_put(&b, CODE, &remap_large);
	board_long_mode(&b, 0, CODE);
	board_write64(&b, 0x400000, 111);
	board_write64(&b, 0x600000, 222);
	b.state[0].gpr[R_BX] = 0x400000;
	b.state[0].gpr[R_CX] = 0x600083;
	b.state[0].gpr[R_DX] = PD + 2 * 8;
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(b.state[0].gpr[R_AX], 111);
	ASSERT_EQ(b.state[0].gpr[R_SI], 222);
	board_stop(&b);
}

GUEST_CODE(returns_0, "mov $0, %eax; ret");
GUEST_CODE(returns_1, "mov $1, %eax; ret");
GUEST_CODE(returns_2, "mov $2, %eax; ret");

/* At DATA and in the page behind it. */
static void put_functions(void)
{
	board_put(&b, DATA, &returns_1);
	board_put(&b, DATA + 0x1000, &returns_2);
}

GUEST_CODE(remap_code, "mov $20, %edi; mov %rsp, %rbp; 1: call *%rbx; mov %eax, %esi; "
		       "call *%rbx\n"
		       "dec %edi; jnz 1b\n"
		       "mov %rcx, (%rdx); invlpg (%rbx); call *%rbx; hlt");

TEST(invlpg_of_a_code_page_is_seen_by_the_next_call)
{
	ASSERT_OK(board_start(&b, 1));
	board_put(&b, CODE, &remap_code);
	board_long_mode(&b, 0, CODE);
	put_functions();
	board_page(&b, 3, DATA | P | W);
	b.state[0].gpr[R_BX] = PAGES + 0x3000;
	b.state[0].gpr[R_CX] = (DATA + 0x1000) | P | W;
	b.state[0].gpr[R_DX] = PT + 3 * 8;
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(b.state[0].gpr[R_SI], 1);
	ASSERT_EQ(b.state[0].gpr[R_AX], 2);
	board_stop(&b);
}

GUEST_CODE(switch_spaces, "mov (%rbx), %rax; mov %rcx, %cr3; mov (%rbx), %rsi; mov %rdx, "
			  "%cr3\n"
			  "mov (%rbx), %rdi; hlt");

static void second_space(u64 pml4)
{
	/* The same but for PAGES, whose first page is DATA + 0x1000 */
	memcpy(b.ram + pml4, b.ram + PML4, 4096);
	memcpy(b.ram + pml4 + 0x1000, b.ram + PDPT, 4096);
	memset(b.ram + pml4 + 0x2000, 0, 0x2000);
	board_write64(&b, pml4, (pml4 + 0x1000) | 7);
	board_write64(&b, pml4 + 0x1008, (pml4 + 0x2000) | 7);
	board_write64(&b, pml4 + 0x2000, (pml4 + 0x3000) | 7);
	board_write64(&b, pml4 + 0x3000, (DATA + 0x1000) | P | W);
}

TEST(address_spaces_are_kept_apart_with_and_without_pcid)
{
	ASSERT_OK(board_start(&b, 1));
	board_put(&b, CODE, &switch_spaces);
	board_write64(&b, DATA, 111);
	board_write64(&b, DATA + 0x1000, 222);
	for (unsigned n = 0; n < 4; n++) {
		const bool pcid = n & 1, global_pages = n & 2;

		board_long_mode(&b, 0, CODE);
		board_page(&b, 0, DATA | P | W);
		second_space(0x50000);
		b.state[0].cr4 |= (pcid ? CR4_PCIDE : 0) | (global_pages ? CR4_PGE : 0);
		b.state[0].gpr[R_BX] = PAGES;
		b.state[0].gpr[R_CX] = 0x50000 | (pcid ? 5 | 1ull << 63 : 0);
		b.state[0].gpr[R_DX] = PML4 | (pcid ? 1ull << 63 : 0);
		ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
		ASSERT_EQ(b.state[0].gpr[R_AX], 111);
		ASSERT_EQ(b.state[0].gpr[R_SI], 222);
		ASSERT_EQ(b.state[0].gpr[R_DI], 111);
	}
	board_stop(&b);
}

GUEST_CODE(many_spaces, "mov $3000, %edi; xor %eax, %eax\n"
			"1: mov %rcx, %cr3; add (%rbx), %rax; mov %rdx, %cr3; add "
			"(%rbx), %rax\n"
			"dec %edi; jnz 1b; hlt");

TEST(numbers_of_address_spaces_may_run_out)
{
	ASSERT_OK(board_start(&b, 1));
	board_put(&b, CODE, &many_spaces);
	board_write64(&b, DATA, 1);
	board_write64(&b, DATA + 0x1000, 1000);
	for (u64 cr4 = 0; cr4 <= CR4_PGE; cr4 += CR4_PGE) {
		board_long_mode(&b, 0, CODE);
		board_page(&b, 0, DATA | P | W);
		second_space(0x50000);
		b.state[0].cr4 |= cr4;
		b.state[0].gpr[R_BX] = PAGES;
		b.state[0].gpr[R_CX] = 0x50000;
		b.state[0].gpr[R_DX] = PML4;
		ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
		ASSERT_EQ(b.state[0].gpr[R_AX], 3003000);
	}
	board_stop(&b);
}

GUEST_CODE(calls_in_two_spaces, "mov $200, %ebp; xor %esi, %esi; xor %edi, %edi\n"
				"1: call *%rbx; add %eax, %esi; mov %rcx, %cr3; call "
				"*%rbx; add %eax, %edi\n"
				"mov %rdx, %cr3; dec %ebp; jnz 1b; hlt");

/* Where a kernel lives, at bit 63, but not global: what it is differs from space to space. */
TEST(kernel_code_that_is_not_global_is_kept_apart)
{
	ASSERT_OK(board_start(&b, 1));
	board_put(&b, CODE, &calls_in_two_spaces);
	put_functions();
	for (unsigned pcid = 0; pcid < 2; pcid++) {
		board_long_mode(&b, 0, CODE);
		board_page(&b, 0, DATA | P | W);
		second_space(0x50000);
		board_write64(&b, PML4 + 511 * 8, PDPT | 7);
		board_write64(&b, 0x50000 + 511 * 8, 0x51000 | 7);
		b.state[0].cr4 |= CR4_PGE | (pcid ? CR4_PCIDE : 0);
		b.state[0].gpr[R_BX] = 0xffffff8000000000 + PAGES;
		b.state[0].gpr[R_CX] = 0x50000 | (pcid ? 5 | 1ull << 63 : 0);
		b.state[0].gpr[R_DX] = PML4 | (pcid ? 1ull << 63 : 0);
		ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
		ASSERT_EQ(b.state[0].gpr[R_SI], 200);
		ASSERT_EQ(b.state[0].gpr[R_DI], 400);
	}
	board_stop(&b);
}

GUEST_CODE(calls_then_remaps, "mov $100, %ebp\n"
			      "1: call *%rbx; mov %rcx, %cr3; mov %rdi, %cr3; dec %ebp; "
			      "jnz 1b\n"
			      "mov %eax, %esi; mov %r8, (%rdx); invlpg (%rbx); call "
			      "*%rbx; hlt");

/* A global page of code is the same in every space until INVLPG says otherwise. */
TEST(global_code_stays_until_invlpg)
{
	ASSERT_OK(board_start(&b, 1));
	board_put(&b, CODE, &calls_then_remaps);
	put_functions();
	board_long_mode(&b, 0, CODE);
	board_page(&b, 0, DATA | P | W | G);
	second_space(0x50000);
	board_write64(&b, PML4 + 511 * 8, PDPT | 7);
	b.state[0].cr4 |= CR4_PGE;
	b.state[0].gpr[R_BX] = 0xffffff8000000000 + PAGES;
	b.state[0].gpr[R_CX] = 0x50000;
	b.state[0].gpr[R_DI] = PML4;
	b.state[0].gpr[R_DX] = PT;
	b.state[0].gpr[R_8] = (DATA + 0x1000) | P | W | G;
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(b.state[0].gpr[R_SI], 1);
	ASSERT_EQ(b.state[0].gpr[R_AX], 2);
	board_stop(&b);
}

GUEST_CODE(walks_and_writes_code, "mov $1, %r8d; xor %esi, %esi\n"
				  "1: mov $0x400000, %ebx\n"
				  "2: mov (%rbx), %eax; mov %r8d, 0x11(%rbx); add $4096, "
				  "%rbx\n"
				  "cmp $0xe00000, %rbx; jb 2b\n"
				  "cmp $30, %r8d; jb 3f; call *%rdi; add %rax, %rsi\n"
				  "3: inc %r8d; cmp $61, %r8d; "
				  "jne 1b; hlt");

/*
 * More pages than the TLB has entries, in pages of 2 MiB: translated code comes to look those up first, and
 * then to trust that none of them holds code. Then one does: a function whose result is overwritten.
 */
TEST(code_in_large_pages_is_seen_to_change)
{
	for (unsigned user = 0; user < 2; user++) {
		ASSERT_OK(board_start(&b, 1));
		board_put(&b, CODE, &walks_and_writes_code);
		board_long_mode(&b, 0, CODE);
		if (user)
			board_user_mode(&b, 0);
		board_put(&b, 0xc00010, &returns_0);
		b.state[0].gpr[R_DI] = 0xc00010;
		ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
		ASSERT_EQ(board_exception(&b), user ? 13 : -1); /* HLT */
		ASSERT_EQ(b.state[0].gpr[R_SI], 60 * 61 / 2 - 29 * 30 / 2);
		board_stop(&b);
	}
}

GUEST_CODE_BITS(paged_32, 32,
		"mov %ecx, %cr3; mov %edx, %cr0; jmp 1f\n"
		"1: mov (%ebx), %eax; mov %eax, 4(%ebx); mov (%esi), %edi; hlt");

TEST(two_level_paging_with_4_mib_pages_works)
{
	ASSERT_OK(board_start(&b, 1));
	board_put(&b, CODE, &paged_32);
	board_protected_mode(&b, 0, CODE);
	static const u32 identity = 0x83; /* 4 MiB */
	const u32 table = 0x51000 | 7, pte = DATA | 3;

	memcpy(b.ram + 0x50000, &identity, 4);
	memcpy(b.ram + 0x50000 + 0x100 * 4, &table, 4);
	memcpy(b.ram + 0x51000 + 5 * 4, &pte, 4);
	board_write64(&b, DATA, 77);
	b.state[0].cr4 = 0x610; /* PSE */
	b.state[0].gpr[R_CX] = 0x50000;
	b.state[0].gpr[R_DX] = 0x80010033;
	b.state[0].gpr[R_BX] = 0x40005000;
	b.state[0].gpr[R_SI] = 0x40006000; /* absent */
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(board_exception(&b), 14);
	ASSERT_EQ(b.state[0].cr2, 0x40006000);
	ASSERT_EQ(board_read64(&b, DATA), 77 | 77ull << 32);
	u32 after;

	memcpy(&after, b.ram + 0x51000 + 5 * 4, 4);
	ASSERT_EQ(after, DATA | 3 | 0x60);
	memcpy(&after, b.ram + 0x50000, 4);
	ASSERT_EQ(after & 0x20, 0x20);
	board_stop(&b);
}

TEST(pae_paging_works_and_checks_its_pointers)
{
	ASSERT_OK(board_start(&b, 1));
	board_put(&b, CODE, &paged_32);
	board_protected_mode(&b, 0, CODE);
	board_write64(&b, 0x50020, 0x51000 | 1); /* PDPTEs are at a multiple of 32 */
	board_write64(&b, 0x50028, 0x52000 | 1);
	board_write64(&b, 0x50030, 0);
	board_write64(&b, 0x50038, 0);
	board_write64(&b, 0x51000, 0x83);
	board_write64(&b, 0x52000, 0x53000 | 3);
	board_write64(&b, 0x53000 + 5 * 8, DATA | 3);
	board_write64(&b, DATA, 77);
	b.state[0].cr4 = 0x620;
	b.state[0].gpr[R_CX] = 0x50020;
	b.state[0].gpr[R_DX] = 0x80010033;
	b.state[0].gpr[R_BX] = 0x40005000;
	b.state[0].gpr[R_SI] = 0x80000000;
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(board_exception(&b), 14);
	ASSERT_EQ(b.state[0].cr2, 0x80000000);
	ASSERT_EQ(board_read64(&b, DATA), 77 | 77ull << 32);

	/* A reserved bit in a pointer: the move to CR0 raises #GP. */
	board_write64(&b, 0x50030, 0x54000 | 0x3);
	b.state[0].cr0 = 0x10033;
	b.state[0].rip = CODE;
	b.state[0].activity = VP_RUNNING;
	b.state[0].gpr[R_DX] = 0x80010033;
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(board_exception(&b), 13);
	board_stop(&b);
}

TEST(the_dirty_map_is_marked_again_after_write_rights_were_dropped)
{
	ASSERT_OK(board_start(&b, 1));
	b.log_dirty = true;
	board_put(&b, CODE, &writes);
	board_long_mode(&b, 0, CODE);
	b.state[0].gpr[R_BX] = DATA;
	ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
	ASSERT_EQ(b.dirty_map[DATA >> 12], 1);
	for (unsigned n = 0; n < 3; n++) {
		atomic_store(&b.dirty_map[DATA >> 12], 0);
		engine_soft_ops.drop_write_rights(b.vm);
		b.state[0].activity = VP_RUNNING;
		b.state[0].rip = CODE;
		ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
		ASSERT_EQ(b.dirty_map[DATA >> 12], 1);
	}
	board_stop(&b);
}

GUEST_CODE(unaligned, "mov 1(%rbx), %eax; mov (%rbx), %rax; ud2");

TEST(alignment_is_checked_in_user_mode_with_ac)
{
	ASSERT_OK(board_start(&b, 1));
	board_put(&b, CODE, &unaligned);
	for (unsigned on = 0; on < 2; on++) {
		board_long_mode(&b, 0, CODE);
		board_user_mode(&b, 0);
		b.state[0].cr0 |= 0x40000;
		b.state[0].rflags |= on ? 0x40000 : 0;
		b.state[0].gpr[R_BX] = DATA;
		ASSERT_EQ(board_run(&b, 0), ENGINE_HALTED);
		ASSERT_EQ(board_exception(&b), on ? 17 : 6);
	}
	board_stop(&b);
}
