/* SPDX-License-Identifier: Apache-2.0 */
/* Rows in which the kernel does the work; see rows.h. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rows.h"

static u64 status_of(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child)
		abort();
	return (u64)status;
}

u64 row_shloop(long n)
{
	char script[128];
	pid_t child;

	snprintf(script, sizeof script,
		 "i=0; while [ $i -lt %ld ]; do i=$((i+1)); done; [ $i -eq %ld ]", n, n);
	child = fork();
	if (child == 0) {
		execl("/bin/busybox", "busybox", "sh", "-c", script, NULL);
		_exit(9);
	}
	return status_of(child);
}

u64 row_getppid(long n)
{
	u64 wrong = 0;
	long parent = getppid();

	for (long i = 0; i < n * 1000; i++)
		wrong += syscall(SYS_getppid) != parent;
	return wrong;
}

u64 row_pagefault(long n)
{
	enum { SIZE = 4 << 20, PAGE = 4096 };
	u64 sum = 0;

	for (long k = 0; k < n; k++) {
		u8 *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			abort();
		madvise(p, SIZE, MADV_NOHUGEPAGE);
		for (size_t i = 0; i < SIZE; i += PAGE)
			p[i] = 1;
		sum += p[0];
		munmap(p, SIZE);
	}
	return sum;
}

u64 row_fork(long n)
{
	u64 sum = 0;

	for (long i = 0; i < n; i++) {
		pid_t child = fork();

		if (child == 0)
			_exit(0);
		sum += status_of(child);
	}
	return sum;
}

u64 row_forkexec(long n)
{
	u64 sum = 0;

	for (long i = 0; i < n; i++) {
		pid_t child = fork();

		if (child == 0) {
			execl("/proc/self/exe", "guest-bench", "true", NULL);
			_exit(9);
		}
		sum += status_of(child);
	}
	return sum;
}

/* A byte there and a byte back. */
u64 row_pipe(long n)
{
	int there[2], back[2];
	pid_t child;
	char byte = 0;

	if (pipe(there) < 0 || pipe(back) < 0)
		abort();
	child = fork();
	if (child == 0) {
		for (long i = 0; i < n * 1000; i++) {
			if (read(there[0], &byte, 1) != 1 ||
			    write(back[1], &byte, 1) != 1)
				_exit(1);
		}
		_exit(0);
	}
	for (long i = 0; i < n * 1000; i++) {
		if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
			abort();
	}

	u64 status = status_of(child);

	close(there[0]);
	close(there[1]);
	close(back[0]);
	close(back[1]);
	return status;
}

/* ---- the same work by one process and by two at once --------------------------------------- */

static u64 gzip_by(int processes, long n)
{
	pid_t child[2];
	u64 sum = 0;

	for (int k = 0; k < processes; k++) {
		child[k] = fork();
		if (child[k] == 0)
			_exit(row_gzip(n) == 0);
	}
	for (int k = 0; k < processes; k++)
		sum += status_of(child[k]);
	return sum;
}

u64 row_gzip_by_one(long n)
{
	return gzip_by(1, n);
}

u64 row_gzip_by_two(long n)
{
	return gzip_by(2, n);
}
