/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the cases that harness.h registers: one forked process each, in a process group of its
 * own, watched through a pidfd so that a case cannot switch its time limit off.
 */
#include "harness.h"

#include <fnmatch.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

/* Not 0: a case whose process merely ends has not passed. */
#define EXIT_PASSED 42
#define EXIT_FAILED 1
#define EXIT_SKIPPED 77

static struct test_case *first_case;
static struct test_case **last_case = &first_case;

/* Of the process that runs a case. */
static const struct test_case *running;
static atomic_bool failed;
static atomic_bool skipped;

void harness_register(struct test_case *test)
{
	*last_case = test;
	last_case = &test->next;
}

void harness_fail(const char *file, int line, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	printf("%s:%d: %s: %s\n", file, line, running ? running->name : "?", text);
	fflush(stdout);
	atomic_store(&failed, true);
}

void harness_skip(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	printf("skip: %s: %s\n", running ? running->name : "?", text);
	fflush(stdout);
	atomic_store(&skipped, true);
}

bool harness_eq(const char *file, int line, const char *a_text, const char *b_text, u64 a,
		u64 b)
{
	if (a == b)
		return true;
	harness_fail(file, line, "%s is %lld (0x%llx), not %s = %lld (0x%llx)", a_text,
		     (long long)a, (unsigned long long)a, b_text, (long long)b,
		     (unsigned long long)b);
	return false;
}

bool harness_str(const char *file, int line, const char *a_text, const char *b_text,
		 const char *a, const char *b)
{
	if (a && b && !strcmp(a, b))
		return true;
	harness_fail(file, line, "%s is \"%s\", not %s = \"%s\"", a_text,
		     a ? a : "(null)", b_text, b ? b : "(null)");
	return false;
}

bool harness_mem(const char *file, int line, const char *a_text, const char *b_text,
		 const void *a, const void *b, size_t size)
{
	const u8 *p = a, *q = b;

	for (size_t i = 0; i < size; i++) {
		if (p[i] == q[i])
			continue;
		harness_fail(file, line,
			     "%s differs from %s at byte %zu of %zu: 0x%02x, not 0x%02x",
			     a_text, b_text, i, size, p[i], q[i]);
		return false;
	}
	return true;
}

bool harness_err(const char *file, int line, const char *text, const char *error_text,
		 s64 r, int error)
{
	if (r == -(s64)error)
		return true;
	if (r < 0 && r > -4096)
		harness_fail(file, line, "%s is %lld (%s), not -%s", text, (long long)r,
			     strerror((int)-r), error_text);
	else
		harness_fail(file, line, "%s is %lld, not -%s", text, (long long)r,
			     error_text);
	return false;
}

bool harness_ok(const char *file, int line, const char *text, bool ok)
{
	if (!ok)
		harness_fail(file, line, "%s", text);
	return ok;
}

static int run_here(const struct test_case *test)
{
	running = test;
	test->run();
	if (atomic_load(&failed))
		return EXIT_FAILED;
	return atomic_load(&skipped) ? EXIT_SKIPPED : EXIT_PASSED;
}

/* A case that waits may take so many times its limit: on a busy host it waits for a processor. */
#define WAITING 5

static unsigned limit_of(const struct test_case *test)
{
	const char *patience = getenv("PATIENCE");
	unsigned times = patience ? (unsigned)atoi(patience) : 1;

	return test->timeout_seconds * (times ? times : 1);
}

static u64 seconds_of(clockid_t clock)
{
	struct timespec t = { 0 };

	clock_gettime(clock, &t);
	return (u64)t.tv_sec;
}

/* Its limit has gone by, and it has had as much of a processor, or hangs without one. */
static bool is_over(const struct test_case *test, pid_t pid, u64 began)
{
	u64 took = seconds_of(CLOCK_MONOTONIC) - began, limit = limit_of(test);
	clockid_t clock;

	if (took < limit || took >= WAITING * limit)
		return took >= limit;
	return clock_getcpuclockid(pid, &clock) != 0 || seconds_of(clock) >= limit;
}

/* Returns the wait status of the case's process, or -1 when it ran out of time. */
static int run_in_process(const struct test_case *test)
{
	struct pollfd end = { .events = POLLIN };
	u64 began = seconds_of(CLOCK_MONOTONIC);
	int status, ready;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		perror("fork");
		exit(2);
	}
	if (pid == 0) {
		setpgid(0, 0);
		exit(run_here(test));
	}
	setpgid(pid, pid);
	end.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (end.fd < 0) {
		perror("pidfd_open");
		exit(2);
	}
	do
		ready = poll(&end, 1, 1000);
	while (ready <= 0 && !is_over(test, pid, began));
	close(end.fd);
	kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return ready > 0 ? status : -1;
}

static bool wanted(const struct test_case *test, int count, char **patterns)
{
	if (count == 0)
		return true;
	for (int i = 0; i < count; i++)
		if (!fnmatch(patterns[i], test->name, 0))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	unsigned passed_count = 0, failed_count = 0, skipped_count = 0;
	bool list = false, no_fork = false;
	int first = 1;

	for (; first < argc && argv[first][0] == '-'; first++) {
		if (!strcmp(argv[first], "--list")) {
			list = true;
		} else if (!strcmp(argv[first], "--no-fork")) {
			no_fork = true;
		} else {
			fprintf(stderr, "usage: %s [--list] [--no-fork] [PATTERN...]\n",
				argv[0]);
			return 2;
		}
	}
	for (struct test_case *test = first_case; test; test = test->next) {
		int status;

		if (!wanted(test, argc - first, argv + first))
			continue;
		if (list) {
			printf("%s\n", test->name);
			continue;
		}
		if (no_fork)
			status = run_here(test) << 8;
		else
			status = run_in_process(test);

		if (status != -1 && WIFEXITED(status) &&
		    WEXITSTATUS(status) == EXIT_PASSED) {
			passed_count++;
		} else if (status != -1 && WIFEXITED(status) &&
			   WEXITSTATUS(status) == EXIT_SKIPPED) {
			skipped_count++;
		} else {
			failed_count++;
			if (status == -1)
				printf("%s:%d: %s: not done after %u s\n", test->file,
				       test->line, test->name, limit_of(test));
			else if (WIFSIGNALED(status))
				printf("%s:%d: %s: killed by signal %d (%s)\n",
				       test->file, test->line, test->name,
				       WTERMSIG(status), strsignal(WTERMSIG(status)));
			else if (WEXITSTATUS(status) != EXIT_FAILED)
				printf("%s:%d: %s: exit status %d\n", test->file,
				       test->line, test->name, WEXITSTATUS(status));
		}
	}
	if (list)
		return 0;
	if (passed_count + failed_count + skipped_count == 0) {
		fprintf(stderr, "%s: no such case\n", argv[0]);
		return 2;
	}
	printf("%u passed, %u failed, %u skipped\n", passed_count, failed_count,
	       skipped_count);
	return failed_count ? 1 : 0;
}
