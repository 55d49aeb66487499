/* SPDX-License-Identifier: Apache-2.0 */
/* base/inspect.h: names below branches, and the end of the text. */
#include "base/inspect.h"
#include "harness.h"

TEST(lines_of_inspect_are_named_from_the_root_of_the_tree)
{
	char text[128] = "";
	struct inspect out = { .text = text, .size = sizeof text };

	inspect_line(&out, "state", "%s", "open");
	inspect_words(&out, "scsi.0", "version", "%u.%u", 6, 2);
	inspect_number(&out, "scsi.0.lun.3", "reads", 18446744073709551615ull);
	ASSERT_STR(text, "state: open\n"
			 "scsi.0.version: 6.2\n"
			 "scsi.0.lun.3.reads: 18446744073709551615\n");
	ASSERT_EQ(out.used, strlen(text));
}

TEST(inspect_cuts_a_text_that_is_full_and_ends_it)
{
	char text[16] = "";
	struct inspect out = { .text = text, .size = 8 };

	memset(text + 8, '#', 8);
	inspect_words(&out, "branch", "name", "%s", "words");
	inspect_line(&out, "more", "%d", 1);
	ASSERT_STR(text, "branch.");
	ASSERT_EQ(out.used, 7);
	ASSERT_EQ(text[8], '#');
}
