/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel says of processes. */
#include "harness.h"

#include <unistd.h>

#include "base/process.h"

TEST(process_that_works_has_a_beginning_and_uses_time)
{
	struct process_stat before, now;

	ASSERT(process_stat(getpid(), &before));
	ASSERT(before.began > 0);
	do
		ASSERT(process_stat(getpid(), &now));
	while (now.user_ns + now.system_ns <= before.user_ns + before.system_ns);
	ASSERT_EQ(now.began, before.began);
}

TEST(process_that_is_not_there_has_nothing)
{
	struct process_stat stat = { .began = 1 };

	ASSERT(!process_stat(0x7fffffff, &stat));
	ASSERT_EQ(stat.began, 0);
	ASSERT_EQ(stat.user_ns, 0);
}
