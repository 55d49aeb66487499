/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest-disk DEVICE SCALE ROW... - read and write a disk past the page cache (O_DIRECT), each row
 * with its work divided by SCALE, and say when it begins and how it ended, as guest-bench does:
 *
 *	row read4k begins
 *	row read4k ends: wall 1.2034 result 1f2e3d
 *
 * read4k, write4k: 4 KiB at random places, one at a time. read4k-16, write4k-16: the same with 16
 * under way. read1m, write1m: 1 MiB after the other. The result is of the bytes that were read, the
 * same wherever the disk holds the same.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/types.h"

enum { SMALL = 4096, LARGE = 1 << 20, DEPTH = 16 };

struct row {
	const char *name;
	unsigned long count;
	u32 size;
	unsigned depth; /* 1: by pread and pwrite */
	bool write, random;
};
static const struct row rows[] = {
	{ "read4k", 20000, SMALL, 1, .random = true },
	{ "write4k", 20000, SMALL, 1, .write = true, .random = true },
	{ "read4k-16", 60000, SMALL, DEPTH, .random = true },
	{ "write4k-16", 60000, SMALL, DEPTH, .write = true, .random = true },
	{ "read1m", 4000, LARGE, 1 },
	{ "write1m", 4000, LARGE, 1, .write = true },
};

static int disk;
static u64 disk_size;
static u8 *buffer; /* DEPTH times LARGE */
static u64 random_state, result;

static void die(const char *what)
{
	printf("guest-disk: %s: %s\n", what, strerror(errno));
	exit(1);
}

static u64 next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* Where the n-th piece of a row lies. */
static off_t place(const struct row *row, unsigned long n)
{
	u64 pieces = disk_size / row->size;

	return (off_t)((row->random ? next_random() % pieces : n % pieces) * row->size);
}

static void note(const u8 *piece)
{
	u64 word;

	memcpy(&word, piece, sizeof word);
	result = (result << 1 | result >> 63) ^ word;
}

static void one_by_one(const struct row *row, unsigned long count)
{
	for (unsigned long n = 0; n < count; n++) {
		off_t at = place(row, n);
		ssize_t r = row->write ? pwrite(disk, buffer, row->size, at)
				       : pread(disk, buffer, row->size, at);

		if (r != (ssize_t)row->size)
			die(row->name);
		if (!row->write)
			note(buffer);
	}
}

/* Always `depth` under way: an ended one is sent again with another place. */
static void many_at_once(const struct row *row, unsigned long count)
{
	struct iocb block[DEPTH];
	struct io_event event[DEPTH];
	aio_context_t context = 0;
	unsigned long sent = 0, ended = 0;

	if (syscall(SYS_io_setup, DEPTH, &context) < 0)
		die("io_setup");
	memset(block, 0, sizeof block);
	while (ended < count) {
		struct iocb *batch[DEPTH];
		long batched = 0, n = 0;

		if (sent > 0)
			n = syscall(SYS_io_getevents, context, 1, DEPTH, event, NULL);
		if (n < 0)
			die("io_getevents");
		for (long k = 0; k < n; k++) {
			if (event[k].res != (s64)row->size)
				die(row->name);
			ended++;
		}
		for (unsigned k = 0; k < (sent == 0 ? row->depth : n) &&
				     sent + (unsigned long)batched < count;
		     k++) {
			unsigned slot = sent == 0 || n == 0 ? k : (unsigned)event[k].data;

			block[slot] = (struct iocb){
				.aio_data = slot,
				.aio_lio_opcode = row->write ? IOCB_CMD_PWRITE
							     : IOCB_CMD_PREAD,
				.aio_fildes = (u32)disk,
				.aio_buf =
					(u64)(uintptr_t)(buffer + (u64)slot * row->size),
				.aio_nbytes = row->size,
				.aio_offset = place(row, sent + (unsigned long)batched),
			};
			batch[batched++] = &block[slot];
		}
		sent += (unsigned long)batched;
		for (long done = 0; done < batched;) {
			long r = syscall(SYS_io_submit, context, batched - done,
					 batch + done);

			if (r <= 0)
				die("io_submit");
			done += r;
		}
	}
	syscall(SYS_io_destroy, context);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void say(const char *line)
{
	fputs(line, stdout);
	fflush(stdout);
	tcdrain(1);
}

static void run(const struct row *row, unsigned long scale)
{
	unsigned long count = (row->count + scale - 1) / scale;
	char line[128];
	double start;

	random_state = 88172645463325252ull;
	result = 0;
	/* What was read last is no part of what is written. */
	memset(buffer, 0x5a, DEPTH * LARGE);
	snprintf(line, sizeof line, "row %s begins\n", row->name);
	say(line);
	start = now();
	if (row->depth == 1)
		one_by_one(row, count);
	else
		many_at_once(row, count);
	snprintf(line, sizeof line, "row %s ends: wall %.4f result %llx requests %lu\n",
		 row->name, now() - start, (unsigned long long)result, count);
	say(line);
}

int main(int argc, char **argv)
{
	unsigned long scale = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;

	if (scale == 0) {
		printf("usage: guest-disk DEVICE SCALE ROW...\n");
		return 2;
	}
	disk = open(argv[1], O_RDWR | O_DIRECT);
	if (disk < 0 || ioctl(disk, BLKGETSIZE64, &disk_size) < 0)
		die(argv[1]);
	buffer = mmap(NULL, DEPTH * LARGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (buffer == MAP_FAILED)
		die("memory");
	for (int k = 3; k < argc; k++)
		for (unsigned n = 0; n < ARRAY_COUNT(rows); n++)
			if (strcmp(argv[k], rows[n].name) == 0)
				run(&rows[n], scale);
	return 0;
}
