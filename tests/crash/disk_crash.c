/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts under images, as many as one has time for:
 *
 *	disk-crash [--states N] [--seed N]
 *
 * Runs of work over all kinds with islands (plain, growing, merging, with a log that goes
 * around its end), each with a seed of its own that
 * follows from the first, until N states were tried. Every run ends with its line only when it
 * failed; the last line counts. Then the negative controls, each of which must be caught; exit 1 when a
 * state lost something or a control was not caught.
 */
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "unit/disk_crash.h"
#include "unit/harness.h"

/* What the shared files say when the work itself goes wrong. */
void harness_fail(const char *file, int line, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "%s:%d: ", file, line);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
}

bool harness_eq(const char *file, int line, const char *a_text, const char *b_text, u64 a,
		u64 b)
{
	if (a != b)
		harness_fail(file, line, "%s is %llu, not %llu", a_text,
			     (unsigned long long)a, (unsigned long long)b);
	return a == b;
}

bool harness_err(const char *file, int line, const char *text, const char *error_text,
		 s64 r, int error)
{
	if (r != -error)
		harness_fail(file, line, "%s is %lld, not -%s", text, (long long)r,
			     error_text);
	return r == -error;
}

bool harness_mem(const char *file, int line, const char *p_text, const char *q_text,
		 const void *p, const void *q, size_t size)
{
	bool same = memcmp(p, q, size) == 0;

	if (!same)
		harness_fail(file, line, "%s differs from %s", p_text, q_text);
	return same;
}

bool harness_ok(const char *file, int line, const char *text, bool ok)
{
	if (!ok)
		harness_fail(file, line, "%s", text);
	return ok;
}

#define STATES_OF_RUN 600

struct totals {
	u64 runs, states, nested, wrapped, failures;
};

static const struct model_kind *kind_number(u64 n)
{
	return &model_kinds[model_kind_count - model_large_kinds + n % model_large_kinds];
}

static bool one_run(u64 seed, u64 n, struct totals *t)
{
	const struct model_kind *kind = kind_number(n);
	u64 how = n / model_large_kinds % 4;
	struct crash_run run = {
		.kind = kind,
		.seed = seed + n,
		.steps = 20 + (unsigned)(n * 7 % 100),
		.grow = how == 1,
		.merge = how == 2 && kind->levels > 1,
		.wrap = how == 3 && kind->format == DISK_VHDX,
	};

	if (!crash_run(&run, STATES_OF_RUN)) {
		fprintf(stderr, "disk-crash: %s, seed %llu: the work failed\n",
			kind->name, (unsigned long long)run.seed);
		return false;
	}
	t->runs++;
	t->states += run.states;
	t->nested += run.nested;
	t->wrapped += run.wrapped;
	t->failures += run.failures;
	if (run.failures)
		printf("%llu of %llu states lost something: %s\n",
		       (unsigned long long)run.failures, (unsigned long long)run.states,
		       run.first);
	return true;
}

static bool control_caught(const char *name, enum crash_control control, bool merge,
			   u64 seed)
{
	u64 failures = 0, states = 0;

	for (u64 n = 0; n < model_large_kinds; n++) {
		struct crash_run run = { .kind = kind_number(n),
					 .seed = seed + n,
					 .steps = 80,
					 .merge = merge,
					 .control = control };

		if (merge && run.kind->levels == 1)
			continue;
		if (!crash_run(&run, STATES_OF_RUN))
			return false;
		failures += run.failures;
		states += run.states;
	}
	printf("control '%s': %llu of %llu states caught\n", name,
	       (unsigned long long)failures, (unsigned long long)states);
	return failures > 0;
}

int main(int argc, char **argv)
{
	u64 states = 20000, seed = (u64)time(NULL), n = 0;
	struct totals t = { 0 };
	bool caught = true;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--states") == 0)
			states = strtoull(argv[i + 1], NULL, 0);
		else if (strcmp(argv[i], "--seed") == 0)
			seed = strtoull(argv[i + 1], NULL, 0);
	}
	while (t.states < states)
		if (!one_run(seed, n++, &t))
			return 1;
	caught &= control_caught("a flush is said and not done", CRASH_LOST_FLUSH, false,
				 seed);
	caught &= control_caught("a flush of a merge is said and not done",
				 CRASH_LOST_FLUSH, true, seed);
	caught &= control_caught("a bit of the block table flips", CRASH_BIT_FLIP, false,
				 seed);
	caught &= control_caught("no barriers inside of a commit", CRASH_NO_BARRIERS,
				 false, seed);
	printf("disk-crash: seed %llu, %llu runs, in %llu of them the log went around "
	       "its "
	       "end, %llu states, of these %llu cut again while being opened: %llu lost "
	       "something\n",
	       (unsigned long long)seed, (unsigned long long)t.runs,
	       (unsigned long long)t.wrapped, (unsigned long long)t.states,
	       (unsigned long long)t.nested, (unsigned long long)t.failures);
	return t.failures || !caught;
}
