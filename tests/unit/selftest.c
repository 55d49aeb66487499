/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cases that end in every way a case can end. This is no unit test but what the scenario
 * failing_unit_test_cannot_hide_another looks at: built as harness-selftest.
 */
#include "harness.h"

#include <signal.h>
#include <stdio.h>

static void say_cleaned(const int *value)
{
	printf("cleaned %d\n", *value);
	fflush(stdout);
}

static bool helper(void)
{
	CHECK_STR("one", "two");
	return true;
}

TEST(assert_fails_and_cleans_up)
{
	__attribute__((cleanup(say_cleaned))) int value = 5;

	ASSERT_EQ(value, 6);
	printf("not reached\n");
}

TEST_TIMEOUT(hangs, 1)
{
	signal(SIGALRM, SIG_IGN);
	for (;;)
		pause();
}

TEST(crashes)
{
	raise(SIGSEGV);
}

TEST(helper_fails)
{
	ASSERT_OK(helper());
	printf("not reached\n");
}

TEST(expectation_fails_and_it_goes_on)
{
	EXPECT(1 == 2);
	printf("went on\n");
}

TEST(leaves_early_with_status_0)
{
	_exit(0);
}

TEST(memory_differs)
{
	ASSERT_MEM("abcd", "abxd", 4);
}

TEST(skips)
{
	SKIP("no %s here", "reason");
}

TEST(passes)
{
	ASSERT_ERR(-EPROTO, EPROTO);
	ASSERT_EQ(-1, UINT64_MAX);
}
