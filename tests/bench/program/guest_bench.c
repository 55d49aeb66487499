/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest-bench SCALE [ROW...] - run the rows (all of them unless some are named), each with its
 * work divided by SCALE, and say on a line of its own when each begins and how it ended:
 *
 *	row sieve begins
 *	row sieve ends: cpu 0.3021 wall 0.3030 result 1f2e3d
 *
 * Seconds here are those of this machine's own kernel. On a guest's console each line is out
 * before the next row begins, so that a host that reads it knows which cost is whose.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "rows.h"

static const struct row {
	const char *name;
	u64 (*run)(long n);
	long work;
	bool named_only; /* not part of all */
} rows[] = {
	{ "sieve", row_sieve, 1500 },
	{ "core", row_core, 3000 },
	{ "fib", row_fib, 37 },
	{ "icall", row_icall, 60000 },
	{ "sha256", row_sha256, 1200 },
	{ "nbody", row_nbody, 2000 },
	{ "linpack", row_linpack, 120 },
	{ "chase64K", row_chase64k, 100 },
	{ "chase64M", row_chase64m, 30 },
	{ "memcpy1M", row_memcpy1m, 6000 },
	{ "memsmall", row_memsmall, 20000 },
	{ "gzip", row_gzip, 8 },
	{ "zstd", row_zstd, 20 },
	{ "shloop", row_shloop, 300000 },
	{ "getppid", row_getppid, 2000 },
	{ "pagefault", row_pagefault, 100 },
	{ "fork", row_fork, 1000 },
	{ "forkexec", row_forkexec, 500 },
	{ "pipe", row_pipe, 20 },
	{ "gzip-by-one", row_gzip_by_one, 16, .named_only = true },
	{ "gzip-by-two", row_gzip_by_two, 16, .named_only = true },
};

static u64 random_state;

u64 next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

void seed_random(void)
{
	random_state = 88172645463325252ull;
}

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static double cpu_seconds(void)
{
	struct rusage own, children;

	getrusage(RUSAGE_SELF, &own);
	getrusage(RUSAGE_CHILDREN, &children);
	return seconds(own.ru_utime) + seconds(own.ru_stime) +
	       seconds(children.ru_utime) + seconds(children.ru_stime);
}

static double wall_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Until the last byte has left the serial port; nothing where output is no terminal. */
static void say_it_now(void)
{
	fflush(stdout);
	tcdrain(STDOUT_FILENO);
}

/* fib's work grows by 1.618 with each step of n. */
static long scaled(const struct row *row, double scale)
{
	if (row->run == row_fib) {
		long n = row->work;

		for (; scale > 1.272; scale /= 1.618)
			n--;
		return n;
	}

	long n = (long)((double)row->work / scale);

	return n > 0 ? n : 1;
}

static bool wanted(const struct row *row, char *const *names)
{
	if (!*names)
		return !row->named_only;
	for (; *names; names++) {
		if (strcmp(*names, row->name) == 0)
			return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	double scale;

	if (argc == 2 && strcmp(argv[1], "true") == 0) /* forkexec's child */
		return 0;
	scale = argc > 1 ? atof(argv[1]) : 0;
	if (!(scale >= 0.01 && scale <= 1000)) {
		fprintf(stderr, "usage: guest-bench SCALE [ROW...]\n");
		return 2;
	}
	for (size_t k = 0; k < ARRAY_COUNT(rows); k++) {
		const struct row *row = &rows[k];

		if (!wanted(row, argv + 2))
			continue;
		seed_random();
		printf("row %s begins\n", row->name);
		say_it_now();

		double cpu = cpu_seconds(), wall = wall_seconds();
		u64 result = row->run(scaled(row, scale));

		printf("row %s ends: cpu %.4f wall %.4f result %llx\n", row->name,
		       cpu_seconds() - cpu, wall_seconds() - wall,
		       (unsigned long long)result);
		say_it_now();
	}
	puts("rows done");
	say_it_now();
	return 0;
}
