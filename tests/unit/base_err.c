/* SPDX-License-Identifier: Apache-2.0 */
/* The sentence that a person is told: base/err.h. */
#include "harness.h"

#include "base/err.h"

TEST(sentence_is_built_from_the_inside_out)
{
	struct err err = { 0 };

	ASSERT_ERR(err_set(&err, -EIO, "both headers damaged"), EIO);
	ASSERT_ERR(err_wrap(&err, "disk '%s'", "os.vhdx"), EIO);
	ASSERT_ERR(err_wrap(&err, "start 'web1'"), EIO);
	ASSERT_STR(err.text, "start 'web1': disk 'os.vhdx': both headers damaged");
	ASSERT_EQ(err.code, -EIO);
}

TEST(new_sentence_forgets_the_cure_of_the_old_one)
{
	struct err err = { 0 };

	err_set(&err, -EIO, "first");
	ASSERT_ERR(err_fix(&err, "try %d", 1), EIO);
	ASSERT_STR(err.fix, "try 1");
	err_set(&err, -ENOENT, "second");
	ASSERT_STR(err.fix, "");
}

TEST(sentence_too_long_ends_in_three_dots)
{
	struct err err = { 0 };
	char longest[ERR_TEXT_SIZE];

	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = 0;
	err_set(&err, -EIO, "%s", longest);
	ASSERT_STR(err.text, longest);
	err_wrap(&err, "a");
	ASSERT_EQ(strlen(err.text), ERR_TEXT_SIZE - 1);
	ASSERT_STR(err.text + ERR_TEXT_SIZE - 7, "xxx...");
	ASSERT_MEM(err.text, "a: xxx", 6);
}

TEST(words_of_an_errno_start_in_lower_case)
{
	ASSERT_STR(err_words(-ENOENT), "no such file or directory");
	ASSERT_STR(err_words(-EIO), "input/output error");
	ASSERT_STR(err_words(-123456), "error 123456");
}
