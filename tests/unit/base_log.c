/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines: base/log.h. Standard error is a pipe here, so that the exact bytes are seen. */
#include "harness.h"

#include <fcntl.h>

#include "base/log.h"

/* Sends standard error into a pipe; returns its reading end, or -1. */
static int catch_log(void)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	if (dup2(ends[1], STDERR_FILENO) < 0)
		return -1;
	close(ends[1]);
	return ends[0];
}

static const char *read_log(int fd, char *text, size_t size)
{
	ssize_t n = read(fd, text, size - 1);

	text[n < 0 ? 0 : n] = 0;
	return text;
}

TEST(line_names_program_and_level)
{
	AUTO_CLOSE int fd = catch_log();
	char text[4096];

	ASSERT(fd >= 0);
	log_start("tabique-hv", LOG_INFO);
	log_warn("vp %d: lost", 3);
	log_debug("not shown");
	ASSERT_STR(read_log(fd, text, sizeof text), "tabique-hv: warn: vp 3: lost\n");
}

TEST(control_characters_cannot_break_the_line)
{
	AUTO_CLOSE int fd = catch_log();
	char text[4096];

	ASSERT(fd >= 0);
	log_start("t", LOG_INFO);
	log_info("a\nb\033c\177d\303\261");
	ASSERT_STR(read_log(fd, text, sizeof text), "t: info: a?b?c?d\303\261\n");
}

TEST(endless_line_is_cut_and_still_ends)
{
	AUTO_CLOSE int fd = catch_log();
	char text[8192], words[4096];

	ASSERT(fd >= 0);
	memset(words, 'x', sizeof words - 1);
	words[sizeof words - 1] = 0;
	log_start("t", LOG_INFO);
	log_info("%s", words);
	read_log(fd, text, sizeof text);
	ASSERT(strlen(text) > 900);
	ASSERT(strlen(text) <= 1024);
	ASSERT_EQ(text[strlen(text) - 1], '\n');
}

TEST(guest_that_floods_is_held_back)
{
	AUTO_CLOSE int fd = catch_log();
	struct log_site site = { 0 };
	char text[8192];
	int lines = 0;

	ASSERT(fd >= 0);
	log_start("t", LOG_INFO);
	for (int i = 0; i < 1000; i++)
		log_guest_line(&site, "port 0x%x", i);
	read_log(fd, text, sizeof text);
	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	ASSERT_EQ(lines, LOG_GUEST_BURST);
}

TEST(after_the_window_it_says_how_many_lines_were_held_back)
{
	AUTO_CLOSE int fd = catch_log();
	/* A window that was opened at the beginning of time, with 25 lines in it. */
	struct log_site site = { .window_start = 1, .count = 25 };
	char text[4096];

	ASSERT(fd >= 0);
	log_start("t", LOG_INFO);
	log_guest_line(&site, "again");
	ASSERT_STR(read_log(fd, text, sizeof text), "t: warn: 15 more lines like the "
						    "next were held back\nt: warn: "
						    "again\n");
}
