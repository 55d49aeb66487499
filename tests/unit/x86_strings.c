/* SPDX-License-Identifier: Apache-2.0 */
/* String instructions: overlap, direction, faults and steps in the middle: src/x86/string.c. */
#include "x86_machine.h"

#include "x86/cpuid.h"

#define ARITH 0x8d5
#define DF 0x400

/* Bytes that differ from their neighbours and from those a page away. */
static void fill(struct machine *m, u64 address, unsigned size)
{
	for (unsigned n = 0; n < size; n++)
		m->ram[address + n] = (u8)(n * 7 + (n >> 8) * 3 + 1);
}

/* What a processor does, element by element. */
static void move_by_the_book(u8 *ram, u64 to, u64 from, u64 count, unsigned size,
			     bool down)
{
	for (u64 n = 0; n < count; n++) {
		u8 element[8];

		memcpy(element, ram + from, size);
		memcpy(ram + to, element, size);
		from += down ? -(u64)size : size;
		to += down ? -(u64)size : size;
	}
}

TEST(moves_of_all_sizes_and_overlaps_are_as_one_by_one)
{
	static const int distances[] = { -4097, -9, -8, -1, 0,	 1,    2,
					 3,	5,  8,	9,  100, 4096, 5000 };
	const struct machine_code codes[4] = { CODE("rep movsb"), CODE("rep movsw"),
					       CODE("rep movsl"), CODE("rep movsq") };
	struct machine *m AUTO_MACHINE = machine_new(64);
	AUTO_FREE u8 *expected = malloc(MACHINE_RAM);
	const u64 middle = MACHINE_DATA + 0x5003;
	const unsigned bytes = 0x2478;

	ASSERT(m && expected);
	for (unsigned n = 0; n < 4 * 2 * ARRAY_COUNT(distances); n++) {
		const unsigned size = 1u << (n & 3);
		const bool down = n & 4;
		const u64 count = bytes / size;
		const u64 from = middle + (down ? bytes - size : 0);
		const u64 to = from + (u64)(s64)distances[n >> 3];

		machine_code(m, codes[n & 3]);
		fill(m, MACHINE_DATA, 0x10000);
		memcpy(expected, m->ram, MACHINE_RAM);
		move_by_the_book(expected, to, from, count, size, down);
		REG(SI) = from;
		REG(DI) = to;
		REG(CX) = count;
		m->s.rflags |= ARITH | (down ? DF : 0);
		RUN_TO_END();
		ASSERT_MEM(m->ram + MACHINE_DATA, expected + MACHINE_DATA, 0x10000);
		ASSERT_EQ(REG(CX), 0);
		ASSERT_EQ(REG(SI), from + (down ? -(u64)size : size) * count);
		ASSERT_EQ(REG(DI), to + (down ? -(u64)size : size) * count);
		ASSERT_EQ(m->s.rflags & ARITH, ARITH);
	}
}

TEST(move_stops_where_the_destination_faults)
{
	START(64, CODE("nop; rep movsb"));
	fill(m, MACHINE_DATA, 0x3000);
	machine_page(m, MACHINE_DATA + 0x6000, true, false);
	REG(SI) = MACHINE_DATA + 0x123;
	REG(DI) = MACHINE_DATA + 0x4800;
	REG(CX) = 0x2800;
	RUN();
	ASSERT_EQ(m->vector, 14);
	ASSERT_EQ(m->error_code, 3);
	ASSERT_EQ(m->fault_cr2, MACHINE_DATA + 0x6000);
	ASSERT_EQ(m->fault_rip, MACHINE_CODE + 1);
	ASSERT_EQ(REG(CX), 0x1000);
	ASSERT_EQ(REG(SI), MACHINE_DATA + 0x1923);
	ASSERT_EQ(REG(DI), MACHINE_DATA + 0x6000);
	ASSERT_MEM(m->ram + MACHINE_DATA + 0x4800, m->ram + MACHINE_DATA + 0x123, 0x1800);

	/* and goes on from there */
	machine_page(m, MACHINE_DATA + 0x6000, true, true);
	m->s.rip = m->fault_rip;
	m->s.activity = VP_RUNNING;
	RUN_TO_END();
	ASSERT_EQ(REG(CX), 0);
	ASSERT_MEM(m->ram + MACHINE_DATA + 0x4800, m->ram + MACHINE_DATA + 0x123, 0x2800);
}

TEST(move_stops_where_the_source_faults_with_an_element_across_the_edge)
{
	START(64, CODE("rep movsq"));
	machine_page(m, MACHINE_DATA + 0x1000, false, false);
	REG(SI) = MACHINE_DATA + 0xfec; /* two whole ones, then four bytes */
	REG(DI) = MACHINE_DATA + 0x3000;
	REG(CX) = 10;
	RUN();
	ASSERT_EQ(m->vector, 14);
	ASSERT_EQ(m->error_code, 0);
	ASSERT_EQ(m->fault_cr2, MACHINE_DATA + 0x1000);
	ASSERT_EQ(REG(CX), 8);
	ASSERT_EQ(REG(SI), MACHINE_DATA + 0xffc);
	ASSERT_EQ(REG(DI), MACHINE_DATA + 0x3010);
}

TEST(count_of_zero_touches_nothing)
{
	START(64, CODE("rep movsb; rep stosq; repe cmpsb; repne scasb; rep lodsb"));
	REG(SI) = REG(DI) = 0x8000000000000000; /* not even canonical */
	REG(CX) = 0;
	m->s.rflags |= ARITH;
	RUN_TO_END();
	ASSERT_EQ(REG(SI), 0x8000000000000000);
	ASSERT_EQ(m->s.rflags & ARITH, ARITH);
}

TEST(fill_of_all_sizes_up_and_down)
{
	START(64, CODE("rep stosb; mov $0x801, %ecx; rep stosl; std; mov $3, %ecx; rep "
		       "stosw; cld; stosq"));
	REG(AX) = 0x1122334455667788;
	REG(DI) = MACHINE_DATA + 1;
	REG(CX) = 0x1fff;
	RUN_TO_END();
	ASSERT_EQ(m->ram[MACHINE_DATA], 0);
	ASSERT_EQ(m->ram[MACHINE_DATA + 1], 0x88);
	ASSERT_EQ(m->ram[MACHINE_DATA + 0x1fff], 0x88);
	ASSERT_EQ(machine_u64(m, MACHINE_DATA + 0x2000), 0x5566778855667788);
	/* DI was at 0x4004: three words down from there, then eight bytes up. */
	ASSERT_EQ(machine_u64(m, MACHINE_DATA + 0x3ff8), 0x7788778855667788);
	ASSERT_EQ(m->ram[MACHINE_DATA + 0x4006], 0);
	ASSERT_EQ(REG(DI), MACHINE_DATA + 0x4004 - 6 + 8);
	ASSERT_EQ(machine_u64(m, MACHINE_DATA + 0x3ffe), 0x1122334455667788);
}

TEST(comparison_stops_at_the_first_difference_with_its_flags)
{
	START(64, CODE("repe cmpsb"));
	fill(m, MACHINE_DATA, 0x2000);
	memcpy(m->ram + MACHINE_DATA + 0x3001, m->ram + MACHINE_DATA, 0x2000);
	m->ram[MACHINE_DATA + 0x3001 + 0x1234] = 0xff;
	m->ram[MACHINE_DATA + 0x1234] = 0xfe;
	REG(SI) = MACHINE_DATA;
	REG(DI) = MACHINE_DATA + 0x3001;
	REG(CX) = 0x2000;
	RUN_TO_END();
	ASSERT_EQ(REG(CX), 0x2000 - 0x1235);
	ASSERT_EQ(REG(SI), MACHINE_DATA + 0x1235);
	ASSERT_EQ(m->s.rflags & ARITH, 0x95); /* fe - ff: CF SF AF PF */
}

/* Of the last comparison on AMD's processors, of before on Intel's. */
TEST(comparison_that_faults_has_the_vendors_flags)
{
	START(64, CODE("repe cmpsl"));
	machine_page(m, MACHINE_DATA + 0x1000, false, false);
	REG(SI) = MACHINE_DATA + 0xff0;
	REG(DI) = MACHINE_DATA + 0x2000;
	REG(CX) = 100;
	m->s.rflags |= ARITH;
	RUN();
	ASSERT_EQ(m->vector, 14);
	ASSERT_EQ(REG(CX), 96);
	ASSERT_EQ(m->s.rflags & ARITH, x86_model_host()->amd ? 0x44 : ARITH); /* ZF PF */
}

TEST(search_finds_and_says_so)
{
	START(64, CODE("repne scasw; mov %rcx, %rdx; mov $5, %ecx; repe scasw"));
	m->ram[MACHINE_DATA + 0x1ffe] = 0x34;
	m->ram[MACHINE_DATA + 0x1fff] = 0x12;
	REG(AX) = 0x1234;
	REG(DI) = MACHINE_DATA;
	REG(CX) = 0x5000;
	RUN_TO_END();
	ASSERT_EQ(REG(DX), 0x5000 - 0x1000);
	ASSERT_EQ(REG(DI), MACHINE_DATA + 0x2002);
	ASSERT_EQ(REG(CX), 4);
	ASSERT_EQ(m->s.rflags & 0x40, 0);
}

TEST(last_of_many_loads_is_what_remains)
{
	START(64, CODE("rep lodsw; std; lodsb"));
	fill(m, MACHINE_DATA, 0x3000);
	REG(SI) = MACHINE_DATA + 1;
	REG(CX) = 0x1234;
	REG(AX) = ~0ull;
	const u8 *p = m->ram + MACHINE_DATA + 1 + 2 * 0x1234;
	RUN_TO_END();
	ASSERT_EQ(REG(SI), MACHINE_DATA + 2 * 0x1234);
	ASSERT_EQ(REG(AX), 0xffffffffffff0000 | (u64)p[-1] << 8 | p[0]);
}

TEST(pointers_of_32_bits_wrap_and_clear_their_upper_halves)
{
	START(64, CODE("rep movsb (%esi), %es:(%edi)"));
	fill(m, MACHINE_DATA, 32);
	REG(SI) = 0xabc00000000 | MACHINE_DATA;
	REG(DI) = 0xdef00000000 | (MACHINE_DATA + 0x1000);
	REG(CX) = 0x12300000020;
	RUN_TO_END();
	ASSERT_MEM(m->ram + MACHINE_DATA + 0x1000, m->ram + MACHINE_DATA, 32);
	ASSERT_EQ(REG(CX), 0);
	ASSERT_EQ(REG(SI), MACHINE_DATA + 32);
	ASSERT_EQ(REG(DI), MACHINE_DATA + 0x1020);
}

TEST(offsets_of_16_bits_wrap_inside_a_move)
{
	START(16, CODE16("rep movsb"));
	fill(m, MACHINE_DATA, 0x10000);
	REG(SI) = 0xfffe;
	REG(DI) = 0x4000;
	REG(CX) = 4;
	RUN_TO_END();
	const u8 *data = m->ram + MACHINE_DATA;
	ASSERT_EQ(data[0x4000], data[0xfffe]);
	ASSERT_EQ(data[0x4001], data[0xffff]);
	ASSERT_EQ(data[0x4002], data[0]);
	ASSERT_EQ(data[0x4003], data[1]);
	ASSERT_EQ(REG(SI), 2);
}

TEST(segment_override_is_the_sources)
{
	START(64, CODE("fs lodsb; fs movsb; stosb"));
	m->s.seg[SEG_FS].base = MACHINE_DATA;
	m->ram[MACHINE_DATA + 3] = 0x33;
	m->ram[MACHINE_DATA + 4] = 0x44;
	REG(SI) = 3;
	REG(DI) = MACHINE_DATA + 0x100;
	RUN_TO_END();
	ASSERT_EQ(REG(AX) & 0xff, 0x33);
	ASSERT_EQ(m->ram[MACHINE_DATA + 0x100], 0x44);
	ASSERT_EQ(m->ram[MACHINE_DATA + 0x101], 0x33);
}

TEST(single_step_traps_after_each_element)
{
	START(64, CODE("rep movsb"));
	REG(SI) = MACHINE_DATA;
	REG(DI) = MACHINE_DATA + 0x100;
	REG(CX) = 3;
	m->s.rflags |= 0x100;
	RUN();
	ASSERT_EQ(m->vector, 1);
	ASSERT_EQ(REG(CX), 2);
	ASSERT_EQ(m->fault_rip, MACHINE_CODE);
}

TEST(move_over_its_own_code_is_finished_and_then_seen)
{
	/* The NOPs behind become MOV $0x77, %AL. */
	START(64, CODE("rep movsb; nop; nop"));
	memcpy(m->ram + MACHINE_DATA, "\xb0\x77", 2);
	REG(SI) = MACHINE_DATA;
	REG(DI) = MACHINE_CODE + 2;
	REG(CX) = 2;
	REG(AX) = 0;
	RUN_TO_END();
	ASSERT_EQ(REG(AX), 0x77);
}

TEST(string_from_a_port_goes_to_memory)
{
	START(64, CODE("mov $0x1f0, %edx; rep insw; mov $0x3f8, %edx; mov $4, %ecx; rep "
		       "outsb"));
	for (unsigned n = 0; n < sizeof(m->port_data); n++)
		m->port_data[n] = (u8)(n * 5);
	REG(DI) = MACHINE_DATA + 0xf01;
	REG(SI) = MACHINE_DATA + 0xf01;
	REG(CX) = 256;
	RUN_TO_END();
	ASSERT_EQ(REG(DI), MACHINE_DATA + 0x1101);
	ASSERT_EQ(REG(SI), MACHINE_DATA + 0xf05);
	ASSERT_EQ(REG(CX), 0);
	ASSERT_EQ(m->port_size, 4);
	ASSERT_EQ(m->ram[MACHINE_DATA + 0xf02], 5);
}

TEST(port_is_not_read_when_the_destination_faults)
{
	START(64, CODE("rep insb"));
	machine_page(m, MACHINE_DATA, true, false);
	REG(DX) = 0x60;
	REG(DI) = MACHINE_DATA;
	REG(CX) = 4;
	RUN();
	ASSERT_EQ(m->vector, 14);
	ASSERT_EQ(m->error_code, 3);
	ASSERT_EQ(REG(CX), 4);
}
