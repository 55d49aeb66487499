/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random instruction blocks, the host's processor against the interpreter (tests/soak), for as
 * long as a unit test may take. `fuzz-blocks` goes on where these stop.
 */
#include "harness.h"

#include "soak/blocks.h"

#define CASE(name, families)                                                                     \
	TEST_TIMEOUT(name, 180)                                                                  \
	{                                                                                        \
		struct blocks_run run = {                                                        \
			.seed = 1,                                                               \
			.count = 250000,                                                         \
			.isa = (families),                                                       \
			.show = 3,                                                               \
			.seconds = 120,                                                          \
		};                                                                               \
                                                                                                 \
		ASSERT_EQ(blocks_compare(&run), 0);                                              \
		ASSERT_EQ(run.differences, 0);                                                   \
		ASSERT_EQ(run.lost, 0);                                                          \
		/* Something must have happened: most blocks end in their INT3 or in a fault. */ \
		ASSERT(run.done > 1000 && run.vectors[3] > run.done / 10);                       \
	}

CASE(x86_blocks_of_integer_instructions_end_as_on_the_host, ISA_INTEGER)
CASE(x86_blocks_of_x87_instructions_end_as_on_the_host, ISA_X87)
CASE(x86_blocks_of_sse_instructions_end_as_on_the_host, ISA_SSE)
CASE(x86_blocks_of_avx_instructions_end_as_on_the_host, ISA_AVX)
CASE(x86_blocks_of_all_instructions_end_as_on_the_host, ISA_ALL)
CASE(x86_blocks_with_loops_and_calls_end_as_on_the_host, ISA_INTEGER | ISA_FLOW)
CASE(x86_blocks_with_control_flow_and_all_instructions_end_as_on_the_host,
     ISA_ALL | ISA_FLOW)

/*
 * The host's kernel forgot the x87 pointers in the middle of a block, and that was taken for a
 * difference, about once in ten runs on a loaded host (an FLD from memory, a task switch, an FCOMI that
 * raises #MF: FDP was 0). Here the host's blocks are interrupted all the time.
 */
TEST_TIMEOUT(x86_blocks_of_a_host_that_forgets_x87_pointers_are_run_again, 180)
{
	struct blocks_run run = {
		.seed = 1,
		.count = 50000,
		.isa = ISA_X87,
		.show = 3,
		.seconds = 60,
		.disturb = 20,
	};

	ASSERT_EQ(blocks_compare(&run), 0);
	ASSERT_EQ(run.differences, 0);
	ASSERT_EQ(run.lost, 0);
	ASSERT(run.done > 1000);
}
