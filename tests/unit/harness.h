/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unit tests: one sentence that must hold, one process each.
 *
 *	TEST(ring_refuses_packet_longer_than_what_was_written)
 *	{
 *		AUTO_FREE u8 *page = calloc(1, 4096);
 *
 *		ASSERT(page);
 *		ASSERT_ERR(ring_peek(page), EPROTO);
 *	}
 *
 * - Each case runs in a process of its own with a time limit (20 s, or TEST_TIMEOUT; PATIENCE times that
 *   where the environment says so), so that a crash or a hang fails that case alone. Seconds in which it
 *   has no processor count a fifth: a busy host is no hang. What it leaves running is killed.
 * - A failing ASSERT prints "file:line: case: what" and returns from the function, so that
 *   AUTO_FREE, AUTO_CLOSE and the like still run.
 * - A helper that returns bool uses CHECK in place of ASSERT (it returns false), and is called
 *   as ASSERT_OK(helper()). EXPECT notes a failure and goes on: for void functions,
 *   callbacks and other threads.
 * - SKIP("why") ends a case that cannot be run here; it is counted apart.
 *
 * Files tests/unit/<area>_*.c form one program, unit-<area>:
 *	unit-base [--list] [--no-fork] [PATTERN...]
 * Its last line is "N passed, N failed, N skipped".
 */
#pragma once

#include <errno.h>

#include "base/types.h"

struct test_case {
	const char *name;
	const char *file;
	int line;
	unsigned timeout_seconds;
	void (*run)(void);
	struct test_case *next;
};

#define TEST_SECONDS 20

/* What a thread sanitizer cannot see through (seccomp, clone without its knowledge) is skipped. */
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN true
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN true
#endif
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN false
#endif

#define TEST(name) TEST_TIMEOUT(name, TEST_SECONDS)

#define TEST_TIMEOUT(name_, seconds_)                                   \
	static void test_##name_(void);                                 \
	static struct test_case case_##name_ = {                        \
		.name = #name_,                                         \
		.file = __FILE__,                                       \
		.line = __LINE__,                                       \
		.timeout_seconds = (seconds_),                          \
		.run = test_##name_,                                    \
	};                                                              \
	__attribute__((constructor)) static void register_##name_(void) \
	{                                                               \
		harness_register(&case_##name_);                        \
	}                                                               \
	static void test_##name_(void)

/* clang-format off */
#define HARNESS_TRY(ok, leave) do { if (!(ok)) leave; } while (0)

#define HARNESS_TRUE(cond) ((cond) ? true : (harness_fail(__FILE__, __LINE__, "%s", #cond), false))
#define HARNESS_EQ(a, b) \
	harness_eq(__FILE__, __LINE__, #a, #b, (u64)(a), (u64)(b))
#define HARNESS_STR(a, b) harness_str(__FILE__, __LINE__, #a, #b, (a), (b))
#define HARNESS_MEM(p, q, size) harness_mem(__FILE__, __LINE__, #p, #q, (p), (q), (size))
#define HARNESS_ERR(expr, error) \
	harness_err(__FILE__, __LINE__, #expr, #error, (s64)(expr), (error))

/* In a test: a failure ends the case. The second argument is what is expected. */
#define ASSERT(cond) HARNESS_TRY(HARNESS_TRUE(cond), return)
#define ASSERT_EQ(a, b) HARNESS_TRY(HARNESS_EQ(a, b), return)
#define ASSERT_STR(a, b) HARNESS_TRY(HARNESS_STR(a, b), return)
#define ASSERT_MEM(p, q, size) HARNESS_TRY(HARNESS_MEM(p, q, size), return)
#define ASSERT_ERR(expr, error) HARNESS_TRY(HARNESS_ERR(expr, error), return)
/* For helpers made of CHECKs, which have already said what was wrong. */
#define ASSERT_OK(helper) HARNESS_TRY(harness_ok(__FILE__, __LINE__, #helper, (helper)), return)

/* In a helper that returns bool. */
#define CHECK(cond) HARNESS_TRY(HARNESS_TRUE(cond), return false)
#define CHECK_EQ(a, b) HARNESS_TRY(HARNESS_EQ(a, b), return false)
#define CHECK_STR(a, b) HARNESS_TRY(HARNESS_STR(a, b), return false)
#define CHECK_MEM(p, q, size) HARNESS_TRY(HARNESS_MEM(p, q, size), return false)
#define CHECK_ERR(expr, error) HARNESS_TRY(HARNESS_ERR(expr, error), return false)
#define CHECK_OK(helper) \
	HARNESS_TRY(harness_ok(__FILE__, __LINE__, #helper, (helper)), return false)

/* Anywhere: note the failure, go on; true when it held. */
#define EXPECT(cond) ((void)HARNESS_TRUE(cond))
#define EXPECT_EQ(a, b) ((void)HARNESS_EQ(a, b))

/* A failure with words of its own; ends the case. */
#define FAIL(...) do { harness_fail(__FILE__, __LINE__, __VA_ARGS__); return; } while (0)
#define SKIP(...) do { harness_skip(__VA_ARGS__); return; } while (0)
/* clang-format on */

void harness_register(struct test_case *test);
void harness_fail(const char *file, int line, const char *fmt, ...) PRINTF(3, 4);
void harness_skip(const char *fmt, ...) PRINTF(1, 2);
bool harness_eq(const char *file, int line, const char *a_text, const char *b_text, u64 a,
		u64 b);
bool harness_str(const char *file, int line, const char *a_text, const char *b_text,
		 const char *a, const char *b);
bool harness_mem(const char *file, int line, const char *a_text, const char *b_text,
		 const void *a, const void *b, size_t size);
bool harness_err(const char *file, int line, const char *text, const char *error_text,
		 s64 r, int error);
bool harness_ok(const char *file, int line, const char *text, bool ok);
