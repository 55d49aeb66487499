/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four threads on shared memory, with counts that come out exactly when locked operations are
 * atomic, and with the orders that x86 promises: stores are seen in order, and after a full
 * barrier no load is early. Prints one line a part.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/types.h"

#define THREADS 4
#define ROUNDS 20000

static atomic_ullong adds, swaps, bits_lost;
static _Atomic u32 bits;
static u64 guarded;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static __uint128_t wide;

/* Litmus tests, one pair of threads each; on lines of their own. */
static struct {
	_Alignas(64) _Atomic u32 data;
	_Alignas(64) _Atomic u32 flag;
	_Alignas(64) _Atomic u32 x;
	_Alignas(64) _Atomic u32 y;
	_Alignas(64) _Atomic u32 step[2];
} l;
static u32 seen[2];
static u64 out_of_order, both_early;

static void *count(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;

	for (int i = 0; i < ROUNDS; i++) {
		unsigned long long old;

		atomic_fetch_add(&adds, 1);
		old = atomic_load(&swaps);
		while (!atomic_compare_exchange_weak(&swaps, &old, old + 3))
			;
		/* Each thread owns one bit of a shared word: bts and btr must not lose others'. */
		if (atomic_fetch_or(&bits, 1u << me) & 1u << me)
			atomic_fetch_add(&bits_lost, 1);
		if (!(atomic_fetch_and(&bits, ~(1u << me)) & 1u << me))
			atomic_fetch_add(&bits_lost, 1);
		if (i % 10 == 0) {
			pthread_mutex_lock(&mutex);
			guarded++;
			pthread_mutex_unlock(&mutex);
		}
	}
	return NULL;
}

static void *count_wide(void *arg)
{
	for (int i = 0; i < ROUNDS / 10; i++) {
		u64 low = (u64)wide, high = (u64)(wide >> 64);
		u8 done;

		do {
			u64 new_low = low + 1, new_high = high + (new_low == 0);

			__asm__ volatile("lock cmpxchg16b %1"
					 : "=@ccz"(done), "+m"(wide), "+a"(low),
					   "+d"(high)
					 : "b"(new_low), "c"(new_high)
					 : "memory");
		} while (!done);
	}
	return arg;
}

static void meet(unsigned me, u32 round)
{
	atomic_store(&l.step[me], round);
	for (unsigned spins = 0; atomic_load(&l.step[!me]) < round; spins++)
		if (spins % 256 == 255)
			sched_yield();
}

static void *litmus(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;

	for (u32 round = 1; round <= ROUNDS / 4; round++) {
		meet(me, round * 3);
		/* Message passing: who sees the flag sees the data. */
		if (me == 0) {
			atomic_store_explicit(&l.data, round, memory_order_relaxed);
			atomic_store_explicit(&l.flag, round, memory_order_release);
		} else if (atomic_load_explicit(&l.flag, memory_order_acquire) == round &&
			   atomic_load_explicit(&l.data, memory_order_relaxed) != round) {
			out_of_order++;
		}
		/* Store buffering: with a full barrier not both can miss the other's store. */
		if (me == 0) {
			atomic_store_explicit(&l.x, round, memory_order_relaxed);
			__asm__ volatile("mfence" ::: "memory");
			seen[0] = atomic_load_explicit(&l.y, memory_order_relaxed);
		} else {
			atomic_store_explicit(&l.y, round, memory_order_relaxed);
			__asm__ volatile("mfence" ::: "memory");
			seen[1] = atomic_load_explicit(&l.x, memory_order_relaxed);
		}
		meet(me, round * 3 + 1);
		if (me == 0 && seen[0] != round && seen[1] != round)
			both_early++;
		meet(me, round * 3 + 2);
	}
	return NULL;
}

static void run(void *(*fn)(void *), unsigned threads)
{
	pthread_t thread[THREADS];

	for (unsigned i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, fn, (void *)(uintptr_t)i)) {
			printf("no thread\n");
			exit(1);
		}
	for (unsigned i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
}

int main(void)
{
	run(count, THREADS);
	printf("adds %llu swaps %llu guarded %llu bits lost %llu\n", atomic_load(&adds),
	       atomic_load(&swaps), (unsigned long long)guarded, atomic_load(&bits_lost));
	run(count_wide, THREADS);
	printf("wide %llu\n", (unsigned long long)wide);
	run(litmus, 2);
	printf("out of order %llu both early %llu\n", (unsigned long long)out_of_order,
	       (unsigned long long)both_early);
	return 0;
}
