/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold KEEP END - a load whose memory is looked at: KEEP MiB are written once and read again and again;
 * beside them blocks come and go, a quarter of what is available, each written and read. Each time the guest has
 * become larger, once, nearly all that is available is taken, for three seconds. Every word says where it
 * lies and in which round it was written. Until the file END is there; exit status 1: something else was
 * read than was written.
 *
 * Memory is taken in small steps, and what is available is looked at before each: somebody else takes
 * some at the same time.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MIB (1ul << 20)
#define BLOCK (4 * MIB)
#define BLOCKS 1024
#define SPARE_KIB (100 * 1024)

struct block {
	uint64_t *word;
	uint64_t round;
};

static uint64_t meminfo(const char *name)
{
	char line[128];
	uint64_t kib = 0;
	FILE *f = fopen("/proc/meminfo", "r");

	while (f && fgets(line, sizeof line, f))
		if (strncmp(line, name, strlen(name)) == 0)
			kib = strtoull(line + strlen(name), NULL, 10);
	if (f)
		fclose(f);
	return kib;
}

static uint64_t word_at(const struct block *b, size_t n)
{
	return ((uint64_t)(uintptr_t)(b->word + n) ^ b->round << 40) *
	       0x9e3779b97f4a7c15u;
}

static void fill(struct block *b, uint64_t round)
{
	b->word = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	if (b->word == MAP_FAILED) {
		printf("hold: no address for a block\n");
		exit(2);
	}
	b->round = round;
	for (size_t n = 0; n < BLOCK / sizeof *b->word; n++)
		b->word[n] = word_at(b, n);
}

static void check(const struct block *b)
{
	for (size_t n = 0; n < BLOCK / sizeof *b->word; n++) {
		if (b->word[n] == word_at(b, n))
			continue;
		printf("hold: WRONG at %p of round %llu: %llx\n", (void *)(b->word + n),
		       (unsigned long long)b->round, (unsigned long long)b->word[n]);
		exit(1);
	}
}

static void let_go(struct block *b, size_t count)
{
	for (size_t k = 0; k < count; k++) {
		check(&b[k]);
		munmap(b[k].word, BLOCK);
	}
}

/* Blocks until `kib` are taken, or no more than the spare is available. */
static size_t take(struct block *b, uint64_t kib, uint64_t round)
{
	size_t count = 0;

	while (count < BLOCKS && count * BLOCK < kib * 1024 &&
	       meminfo("MemAvailable:") > SPARE_KIB + BLOCK / 1024)
		fill(&b[count++], round);
	return count;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Nearly all, and say so, and keep it for a while. */
static void be_full(const struct block *kept, size_t keep, uint64_t round)
{
	static struct block all[BLOCKS];
	size_t count = take(all, UINT64_MAX / 1024, round);
	double end = seconds() + 3;

	printf("hold: full with %zu MiB of %llu\n", (keep + count) * BLOCK / MIB,
	       (unsigned long long)meminfo("MemTotal:") / 1024);
	for (size_t k = 0; seconds() < end; k = (k + 1) % (keep > 0 ? keep : 1))
		if (keep > 0)
			check(&kept[k]);
	let_go(all, count);
	printf("hold: no longer full\n");
}

/* The guest's memory, when it has stopped to change. */
static uint64_t settled_total(void)
{
	uint64_t total = 0, before = 1;

	while (total != before) {
		before = total;
		sleep(1);
		total = meminfo("MemTotal:");
	}
	return total;
}

int main(int argc, char **argv)
{
	static struct block kept[BLOCKS], others[BLOCKS];
	size_t keep = argc > 1 ? strtoul(argv[1], NULL, 10) * MIB / BLOCK : 0;
	const char *end = argc > 2 ? argv[2] : "/tmp/end";
	uint64_t round = 0, least = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t k = 0; k < keep && k < BLOCKS; k++)
		fill(&kept[k], 0);
	while (access(end, F_OK) != 0) {
		uint64_t total = meminfo("MemTotal:");

		round++;
		/* Larger by 128 MiB than it has been since. */
		if (least == 0 || total > least + 128 * 1024) {
			least = settled_total();
			be_full(kept, keep, round);
		} else if (total < least) {
			least = total;
		}
		size_t count = take(others, meminfo("MemAvailable:") / 4, round);
		for (size_t k = 0; k < keep; k++)
			check(&kept[k]);
		let_go(others, count);
		usleep(20000);
	}
	printf("hold: %llu rounds, all that was written was read\n",
	       (unsigned long long)round);
	return 0;
}
