/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steady NAME ROUNDS - a computation that keeps its state in registers of every kind (general, x87,
 * SSE, and AVX where the processor has it) and prints a running checksum each round. The same line
 * by line on every processor. A test stops the machine under it and lets it go on elsewhere.
 *
 * Each round moves to another CPU where there are several. At the end, on standard error: did the
 * time stamp counter or CLOCK_MONOTONIC ever go back, on whatever CPU it was read?
 */
#include <sched.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

#include "base/types.h"

#define STEPS 200000

static u64 last_tsc;
static s64 last_ns;
static unsigned backwards;

static void look_at_clocks(void)
{
	struct timespec t;
	unsigned cpu;
	u64 tsc;
	s64 ns;

	_mm_lfence();
	tsc = __rdtscp(&cpu);
	clock_gettime(CLOCK_MONOTONIC, &t);
	ns = t.tv_sec * 1000000000 + t.tv_nsec;
	if (tsc < last_tsc || ns < last_ns)
		backwards++;
	last_tsc = tsc;
	last_ns = ns;
}

static void next_cpu(unsigned round)
{
	cpu_set_t all, one;

	if (sched_getaffinity(0, sizeof all, &all) < 0)
		return;
	CPU_ZERO(&one);
	CPU_SET(round % (unsigned)(CPU_COUNT(&all) > 1 ? CPU_COUNT(&all) : 1), &one);
	sched_setaffinity(0, sizeof one, &one);
	look_at_clocks();
	sched_setaffinity(0, sizeof all, &all);
}

/* Four lanes of a multiplicative hash in one YMM register, all the way. */
__attribute__((target("avx2"))) static void vectors_avx(u64 v[4])
{
	__m256i x = _mm256_loadu_si256((const __m256i *)v);
	const __m256i k = _mm256_set1_epi64x(0x9e3779b9);

	for (unsigned n = 0; n < STEPS; n++) {
		__m256i low = _mm256_mul_epu32(x, k);
		__m256i high = _mm256_slli_epi64(
			_mm256_mul_epu32(_mm256_srli_epi64(x, 32), k), 32);

		x = _mm256_add_epi64(low, high);
		x = _mm256_xor_si256(x, _mm256_srli_epi64(x, 29));
		x = _mm256_add_epi64(x, k);
	}
	_mm256_storeu_si256((__m256i *)v, x);
}

static void vectors(u64 v[4])
{
	for (unsigned k = 0; k < 4; k++) {
		u64 x = v[k];

		for (unsigned n = 0; n < STEPS; n++) {
			x *= 0x9e3779b9;
			x ^= x >> 29;
			x += 0x9e3779b9;
		}
		v[k] = x;
	}
}

/* A logistic map that chaos makes sensitive to the last bit, in x87 and in SSE. */
static void reals(long double *io_x, double *io_y)
{
	long double x = *io_x;
	double y = *io_y;

	for (unsigned n = 0; n < STEPS; n++) {
		x = 3.9L * x * (1.0L - x);
		y = 3.9 * y * (1.0 - y);
		__asm__ volatile("" : "+t"(x), "+x"(y)); /* they stay where they are */
	}
	*io_x = x;
	*io_y = y;
}

static u64 integers(u64 s)
{
	for (unsigned n = 0; n < STEPS; n++) {
		s ^= s << 13;
		s ^= s >> 7;
		s ^= s << 17;
		s += (u64)((unsigned __int128)s * 0xd1342543de82ef95ull >> 64);
	}
	return s;
}

static u64 mix(u64 sum, const void *bytes, size_t size)
{
	const u8 *p = bytes;

	while (size--)
		sum = (sum ^ *p++) * 0x100000001b3ull;
	return sum;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "sum";
	unsigned rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 10;
	u64 v[4] = { 1, 22, 333, 4444 }, s = 88172645463325252ull,
	    sum = 14695981039346656037ull;
	long double x = 0.4L;
	double y = 0.6;

	sum = mix(sum, name, strlen(name));
	for (unsigned n = 1; n <= rounds; n++) {
		s = integers(s);
		reals(&x, &y);
		if (__builtin_cpu_supports("avx2"))
			vectors_avx(v);
		else
			vectors(v);
		sum = mix(mix(mix(mix(sum, &s, 8), &x, 10), &y, 8), v, sizeof v);
		printf("%s %u of %u: %016llx\n", name, n, rounds,
		       (unsigned long long)sum);
		fflush(stdout);
		next_cpu(n);
	}
	fprintf(stderr, "%s: clocks went back %u times\n", name, backwards);
	return 0;
}
