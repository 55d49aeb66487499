/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of integers, branches, calls and memory; see rows.h. */
#include <stdlib.h>
#include <string.h>

#include "rows.h"

/* ---- sieve: primes below 65,536 ----------------------------------------------------------- */

u64 row_sieve(long n)
{
	static u8 prime[1 << 16];
	u64 sum = 0;

	for (long k = 0; k < n; k++) {
		memset(prime, 1, sizeof prime);
		for (int i = 2; i < 1 << 16; i++) {
			if (!prime[i])
				continue;
			sum += (u64)i;
			for (int j = 2 * i; j < 1 << 16; j += i)
				prime[j] = 0;
		}
	}
	return sum;
}

/* ---- core: sorting a list, a small matrix product, a state machine, a CRC ------------------ */

struct node {
	struct node *next;
	short value, index;
};

static u32 crc16(u32 crc, u32 value)
{
	for (int i = 0; i < 8; i++) {
		u32 bit = (crc ^ value) & 1;

		value >>= 1;
		crc >>= 1;
		if (bit)
			crc ^= 0xa001;
	}
	return crc;
}

static int by_value(const struct node *a, const struct node *b)
{
	return a->value - b->value;
}

/* Bottom-up merge sort: runs of 1, 2, 4, ... until one merge is left. */
static struct node *sort_list(struct node *list,
			      int (*order)(const struct node *, const struct node *))
{
	for (int run = 1;; run *= 2) {
		struct node *p = list, *tail = NULL;
		int merges = 0;

		list = NULL;
		while (p) {
			struct node *q = p;
			int p_left = 0, q_left = run;

			merges++;
			for (int i = 0; i < run && q; i++) {
				p_left++;
				q = q->next;
			}
			while (p_left > 0 || (q_left > 0 && q)) {
				struct node *e;

				if (p_left && (!q_left || !q || order(p, q) <= 0)) {
					e = p;
					p = p->next;
					p_left--;
				} else {
					e = q;
					q = q->next;
					q_left--;
				}
				if (tail)
					tail->next = e;
				else
					list = e;
				tail = e;
			}
			p = q;
		}
		tail->next = NULL;
		if (merges <= 1)
			return list;
	}
}

enum { SIZE = 30 };

static int matrix_entry(long k)
{
	static short a[SIZE][SIZE], b[SIZE][SIZE];
	static int c[SIZE][SIZE];

	for (int i = 0; i < SIZE; i++) {
		for (int j = 0; j < SIZE; j++) {
			a[i][j] = (short)(i * j + k);
			b[i][j] = (short)(i - j);
		}
	}
	for (int i = 0; i < SIZE; i++) {
		for (int j = 0; j < SIZE; j++) {
			int sum = 0;

			for (int q = 0; q < SIZE; q++)
				sum += a[i][q] * b[q][j];
			c[i][j] = sum;
		}
	}
	return c[k % SIZE][7];
}

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

static u32 scan_numbers(u32 sum)
{
	static const char *const text = "5012,-874.5,+122,T0.3e-1F,0x1f,.,5e5,1.2.3,";
	u32 state = 0;

	for (int round = 0; round < 20; round++) {
		for (const char *p = text; *p; p++) {
			switch (state) {
			case 0:
				if (digit(*p))
					state = 1;
				else if (*p == '+' || *p == '-')
					state = 2;
				else if (*p == '.')
					state = 3;
				break;
			case 1:
				if (*p == '.')
					state = 3;
				else if (*p == ',')
					state = 0;
				break;
			case 2:
				state = digit(*p) ? 1 : 4;
				break;
			case 3:
				if (*p == 'e' || *p == 'E')
					state = 5;
				else if (*p == ',')
					state = 0;
				break;
			case 4:
				if (*p == ',')
					state = 0;
				break;
			case 5:
				state = (*p == '+' || *p == '-') ? 2 : 4;
				break;
			}
			sum += state;
		}
	}
	return sum;
}

u64 row_core(long n)
{
	static struct node nodes[200];
	u32 sum = 0;

	for (long k = 0; k < n; k++) {
		for (int i = 0; i < 200; i++) {
			nodes[i].next = i < 199 ? &nodes[i + 1] : NULL;
			nodes[i].value = (short)next_random();
			nodes[i].index = (short)i;
		}
		for (struct node *e = sort_list(nodes, by_value); e; e = e->next)
			sum = crc16(sum, (u32)e->value);
		sum = crc16(sum, (u32)matrix_entry(k));
		sum = scan_numbers(sum);
	}
	return sum;
}

/* ---- fib, icall: direct and indirect calls ------------------------------------------------ */

static u64 NOINLINE fib(long n)
{
	return n < 2 ? (u64)n : fib(n - 1) + fib(n - 2);
}

u64 row_fib(long n)
{
	return fib(n);
}

static u64 NOINLINE add_one(u64 x)
{
	return x + 1;
}

static u64 NOINLINE treble(u64 x)
{
	return x * 3;
}

static u64 NOINLINE fold(u64 x)
{
	return x ^ x >> 3;
}

static u64 NOINLINE take_seven(u64 x)
{
	return x - 7;
}

u64 row_icall(long n)
{
	static u64 (*volatile const table[4])(u64) = { add_one, treble, fold,
						       take_seven };
	u64 x = 1;

	for (long i = 0; i < n * 1000; i++)
		x = table[(u64)i * 2654435761u >> 9 & 3](x);
	return x;
}

/* ---- sha256: n times 64 KiB --------------------------------------------------------------- */

static const u32 round_words[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
	0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
	0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
	0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
	0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
	0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
	0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
	0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
};

static u32 rotated(u32 x, int by)
{
	return x >> by | x << (32 - by);
}

static void sha256_block(u32 hash[8], const u8 *p)
{
	u32 w[64];

	for (int i = 0; i < 16; i++)
		w[i] = (u32)p[4 * i] << 24 | (u32)p[4 * i + 1] << 16 |
		       (u32)p[4 * i + 2] << 8 | p[4 * i + 3];
	for (int i = 16; i < 64; i++)
		w[i] = w[i - 16] + w[i - 7] +
		       (rotated(w[i - 15], 7) ^ rotated(w[i - 15], 18) ^ w[i - 15] >> 3) +
		       (rotated(w[i - 2], 17) ^ rotated(w[i - 2], 19) ^ w[i - 2] >> 10);

	u32 a = hash[0], b = hash[1], c = hash[2], d = hash[3];
	u32 e = hash[4], f = hash[5], g = hash[6], h = hash[7];

	for (int i = 0; i < 64; i++) {
		u32 t = h + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) +
			((e & f) ^ (~e & g)) + round_words[i] + w[i];
		u32 u = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) +
			((a & b) ^ (a & c) ^ (b & c));

		h = g;
		g = f;
		f = e;
		e = d + t;
		d = c;
		c = b;
		b = a;
		a = t + u;
	}
	hash[0] += a;
	hash[1] += b;
	hash[2] += c;
	hash[3] += d;
	hash[4] += e;
	hash[5] += f;
	hash[6] += g;
	hash[7] += h;
}

u64 row_sha256(long n)
{
	static u8 data[65536];
	u32 hash[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

	for (long k = 0; k < n; k++) {
		for (size_t i = 0; i < sizeof data; i += 64)
			sha256_block(hash, data + i);
	}
	return (u64)hash[0] << 32 | hash[7];
}

/* ---- chase: each load gives the next one's address ---------------------------------------- */

static u64 chase(size_t bytes, long steps)
{
	size_t count = bytes / sizeof(u32);
	u32 *next = malloc(bytes);
	u32 at = 0;

	if (!next)
		abort();
	/* Sattolo's shuffle: one cycle through all of them. */
	for (size_t i = 0; i < count; i++)
		next[i] = (u32)i;
	for (size_t i = count - 1; i > 0; i--) {
		size_t j = next_random() % i;
		u32 t = next[i];

		next[i] = next[j];
		next[j] = t;
	}
	for (long i = 0; i < steps; i++)
		at = next[at];
	free(next);
	return at;
}

u64 row_chase64k(long n)
{
	return chase(64 << 10, n * 1000000);
}

u64 row_chase64m(long n)
{
	return chase(64 << 20, n * 100000);
}

/* ---- memory: large copies, and many small ones with a strlen ------------------------------ */

u64 row_memcpy1m(long n)
{
	static u8 from[1 << 20], to[1 << 20];

	memset(from, 1, sizeof from);
	for (long i = 0; i < n; i++) {
		memcpy(to, from, sizeof from);
		from[i & 0xfffff]++;
		__asm__ volatile("" ::"r"(to) : "memory");
	}
	return to[77];
}

u64 row_memsmall(long n)
{
	static u8 from[4096], to[4096];
	u64 sum = 0;

	for (long i = 0; i < n * 1000; i++) {
		memcpy(to + (i & 1023), from + (i * 3 & 1023), (size_t)(i * 7 & 255));
		__asm__ volatile("" ::"r"(to) : "memory");
		sum += to[5] + strlen((const char *)to + 2048);
	}
	return sum;
}
