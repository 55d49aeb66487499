/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest benchmark: rows of work whose cost is compared between the host's processor and
 * guests. A row does the same work everywhere and says so by its result, which depends on
 * nothing but `n`; who compares the results knows that the work was really done.
 *
 *	compute.c	integers, branches, calls, memory
 *	floating.c	scalar double precision
 *	compress.c	zlib and Zstandard, memory to memory
 *	system.c	system calls, page faults, processes, a shell
 *	guest_bench.c	the table of the rows, and main()
 */
#pragma once

#include "base/types.h"

/* xorshift64, seeded anew for each row. */
u64 next_random(void);
void seed_random(void);

/* compute.c */
u64 row_sieve(long n);
u64 row_core(long n);
u64 row_fib(long n);
u64 row_icall(long n);
u64 row_sha256(long n);
u64 row_chase64k(long n);
u64 row_chase64m(long n);
u64 row_memcpy1m(long n);
u64 row_memsmall(long n);

/* floating.c */
u64 row_nbody(long n);
u64 row_linpack(long n);

/* compress.c: n MiB of text there and back */
u64 row_gzip(long n);
u64 row_zstd(long n);

/* system.c */
u64 row_shloop(long n);
u64 row_getppid(long n);
u64 row_pagefault(long n);
u64 row_fork(long n);
u64 row_forkexec(long n);
u64 row_pipe(long n);
/* n MiB gzipped by each of one or two processes at once. */
u64 row_gzip_by_one(long n);
u64 row_gzip_by_two(long n);
