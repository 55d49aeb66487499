/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Computes a good many things in every number format and prints them exactly. A test runs it on
 * the host and in a guest: both must print the same. Whatever the C library chooses by CPUID
 * (string functions, libm with FMA) is exercised on the way.
 */
#include <math.h>
#include <stdio.h>

#include "base/types.h"

static u64 seed = 0x9e3779b97f4a7c15ull;

static u64 next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static u64 mix(u64 sum, u64 value)
{
	sum ^= value;
	sum *= 0x100000001b3ull;
	return sum ^ sum >> 29;
}

static u64 bits_of(double d)
{
	u64 v;

	memcpy(&v, &d, sizeof v);
	return v;
}

static void integers(void)
{
	u64 sum = 0;

	for (int i = 0; i < 20000; i++) {
		u64 a = next(), b = next() | 1;
		unsigned s = (unsigned)(next() % 63 + 1);
		__uint128_t p = (__uint128_t)a * b;

		sum = mix(sum, a / b + a % b);
		sum = mix(sum, (u64)((s64)a / (s64)(b >> s | 1)));
		sum = mix(sum, (u64)(p >> 64) ^ (u64)p);
		sum = mix(sum, (u64)(p / (b >> 3 | 1)));
		sum = mix(sum, a << s | a >> (64 - s));
		sum = mix(sum, (u64)((s64)a >> s));
		sum = mix(sum, (u64)__builtin_popcountll(a) + (u64)__builtin_clzll(b) +
				       (u64)__builtin_ctzll(b << s | 1ull << 63));
		sum = mix(sum, __builtin_bswap64(a) + __builtin_bswap32((u32)b));
		sum = mix(sum, (u32)a * (u16)b + (u8)a - (u64)(s8)b);
	}
	printf("integers %016llx\n", (unsigned long long)sum);
}

static void doubles(void)
{
	u64 sum = 0;

	for (int i = 0; i < 4000; i++) {
		double x = (double)(next() >> 20) / 1e9, y = (double)(s64)next() / 1e17;

		sum = mix(sum, bits_of(x * y - x / y));
		sum = mix(sum, bits_of(sqrt(x) + floor(y) + fma(x, y, 1.0)));
		sum = mix(sum, bits_of(sin(y) + cos(x)));
		sum = mix(sum, bits_of(exp(y / 100) + log(x + 1)));
		sum = mix(sum, bits_of(pow(x + 1, y / 50)));
		sum = mix(sum, bits_of((double)(float)x * (double)(float)y));
		sum = mix(sum, (u64)(s64)y + (u64)x + (u64)lrint(y));
	}
	printf("doubles %016llx %a %a\n", (unsigned long long)sum, exp(1.0),
	       atan2(1, 1) * 4);
}

/* The x87's 80 bits. */
static void long_doubles(void)
{
	long double x = 1.0L, total = 0;

	for (int i = 1; i < 3000; i++) {
		x = sqrtl(x * (long double)i + 1.0L / (long double)i);
		total += sinl(x) * expl(-x / 7) + logl(x) + fmodl(x, 0.3L) + atanl(x);
		total -= (long double)(s64)total / 3;
	}
	printf("long doubles %La %La\n", x, total);
}

static void vectors(void)
{
	typedef u32 v8u __attribute__((vector_size(32)));
	typedef float v8f __attribute__((vector_size(32)));
	v8u a = { 1, 2, 3, 4, 5, 6, 7, 8 };
	v8f f = { 1, 2, 3, 4, 5, 6, 7, 8 };
	u64 sum = 0;

	for (int i = 0; i < 5000; i++) {
		a = a * 1664525u + 1013904223u;
		a ^= a >> 7;
		a = __builtin_shufflevector(a, a, 3, 2, 1, 0, 7, 6, 5, 4);
		f = f * 1.0001f + __builtin_convertvector(a >> 20, v8f);
		f = f / 3.0f;
	}
	for (int i = 0; i < 8; i++)
		sum = mix(mix(sum, a[i]), bits_of((double)f[i]));
	printf("vectors %016llx\n", (unsigned long long)sum);
}

static void strings(void)
{
	static char text[70000], copy[70000];
	u64 sum = 0;

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (char)('a' + next() % 26);
	for (int i = 0; i < 300; i++) {
		size_t from = next() % 1000, to = next() % 1000, size = next() % 5000;

		memmove(copy + to, text + from, size);
		copy[to + size] = 0;
		sum = mix(sum, strlen(copy + to));
		sum = mix(sum, (u64)(memcmp(copy + to, text + from, size) == 0));
		sum = mix(sum, (u64)((char *)memchr(text + from, 'q', 60000) - text));
		memset(copy + from, 'x', size);
		sum = mix(sum, strspn(copy + from, "x"));
		memmove(text + from, text + from + 1, size);
	}
	for (size_t i = 0; i < sizeof text; i++)
		sum = mix(sum, (u8)text[i]);
	printf("strings %016llx\n", (unsigned long long)sum);
}

int main(void)
{
	integers();
	doubles();
	long_doubles();
	vectors();
	strings();
	return 0;
}
