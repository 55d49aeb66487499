/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Feeds a fuzz target: tests/fuzz/<name>.c defines LLVMFuzzerTestOneInput, and becomes
 * build/tests/fuzz/fuzz-<name>. Inputs are made from the target's seeds (tests/fuzz/seeds/<name>)
 * by small random changes, and from nothing where there are none.
 *
 *	fuzz-verbs [--seconds N] [--runs N] [--seed N] [--keep FOLDER] [FILE...]
 *
 * With FILEs it runs those alone, once each: that is how a finding is looked at again. The input
 * under test always stands in FOLDER/fuzz-<name>.input, so it is there after a crash; FOLDER is out/fuzz of
 * the project unless told otherwise, and is made. A run that takes more than ten seconds of a processor is a
 * hang, and so is one that waits for five minutes: neither is a host that is busy or stops us for a while.
 * The same seed gives the same inputs.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>

#include "base/types.h"

#define MAX_SIZE 65536
#define MAX_SEEDS 256
#define HANG_SECONDS 10 /* of a processor */
#define WAIT_SECONDS 300

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

struct input {
	size_t size;
	u8 *data;
};

static struct input seeds[MAX_SEEDS];
static unsigned seed_count;
static u64 state;

static u64 next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1dull;
}

static u64 below(u64 limit)
{
	return limit ? (next() >> 11) % limit : 0;
}

static bool read_file(const char *path, struct input *ret_input)
{
	AUTO_FREE u8 *data = malloc(MAX_SIZE);
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size;

	if (!data || fd < 0)
		return false;
	size = read(fd, data, MAX_SIZE);
	if (size < 0)
		return false;
	ret_input->size = (size_t)size;
	ret_input->data = take_ptr(data);
	return true;
}

static void read_seeds(const char *folder)
{
	struct dirent **names;
	int count = scandir(folder, &names, NULL, alphasort);

	for (int i = 0; i < count; i++) {
		char path[4096 + 256 + 2];

		snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
		if (names[i]->d_name[0] != '.' && seed_count < MAX_SEEDS &&
		    read_file(path, &seeds[seed_count]))
			seed_count++;
		free(names[i]);
	}
	if (count >= 0)
		free(names);
}

/* Numbers at which programs go wrong. */
static u64 odd_number(void)
{
	static const u64 numbers[] = {
		0,
		1,
		2,
		3,
		4,
		7,
		8,
		15,
		16,
		31,
		32,
		63,
		64,
		127,
		128,
		255,
		256,
		511,
		512,
		4095,
		4096,
		0x7fff,
		0x8000,
		0xffff,
		0x10000,
		0x7fffffff,
		0x80000000,
		0xffffffff,
		0x100000000,
		0x7fffffffffffffff,
		0x8000000000000000,
		0xffffffffffffffff,
		0xfffffffffffff000,
	};
	u64 v = numbers[below(ARRAY_COUNT(numbers))];

	return below(4) ? v : v + below(16) - 8;
}

static size_t change(u8 *data, size_t size)
{
	size_t at = below(size), count;
	u64 v;

	switch (below(8)) {
	case 0:
		if (size)
			data[at] ^= (u8)(1u << below(8));
		return size;
	case 1:
		if (size)
			data[at] = (u8)next();
		return size;
	case 2:
	case 3: /* a number of 1, 2, 4 or 8 bytes, as fields have them */
		count = (size_t)1 << below(4);
		if (size < count)
			return size;
		at = below(size - count + 1);
		if (below(2))
			at &= ~(count - 1);
		v = odd_number();
		memcpy(data + at, &v, count);
		return size;
	case 4: /* shorter */
		return below(size + 1);
	case 5: /* longer */
		count = below(64);
		if (size + count > MAX_SIZE)
			return size;
		for (size_t i = 0; i < count; i++)
			data[size + i] = below(4) ? 0 : (u8)next();
		return size + count;
	case 6: /* a piece of another seed, or of this one, elsewhere */
		if (seed_count && size) {
			const struct input *other = &seeds[below(seed_count)];
			size_t from = below(other->size);

			count = min_u64(below(64),
					min_u64(other->size - from, size - at));
			memmove(data + at, other->data + from, count);
		}
		return size;
	case 7: /* once more, at the end */
		count = below(size - at + 1);
		if (size + count > MAX_SIZE)
			return size;
		memmove(data + size, data + at, count);
		return size + count;
	}
	return size;
}

static size_t make(u8 *data)
{
	size_t size = 0;
	u64 changes;

	if (seed_count && below(16)) {
		const struct input *seed = &seeds[below(seed_count)];

		size = seed->size;
		memcpy(data, seed->data, size);
	} else {
		size = below(below(8) ? 512 : 8192);
		for (size_t i = 0; i < size; i++)
			data[i] = below(3) ? (u8)next() : 0;
	}
	changes = below(below(4) ? 6 : 40);
	for (u64 i = 0; i < changes; i++)
		size = change(data, size);
	return size;
}

static void on_alarm(int signal)
{
	static const char words[] = "fuzz: hang: one input took over ten seconds, or "
				    "waits\n";

	(void)signal;
	if (write(STDERR_FILENO, words, sizeof words - 1) < 0)
		_exit(1);
	abort();
}

/* With what is above it, as mkdir -p does. */
static void make_folder(const char *folder)
{
	char path[4096];

	snprintf(path, sizeof path, "%s", folder);
	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		mkdir(path, 0755);
		*p = '/';
	}
	mkdir(path, 0755);
}

static void set_limit(unsigned seconds, unsigned waiting)
{
	const struct itimerval limit = { .it_value.tv_sec = seconds };

	setitimer(ITIMER_PROF, &limit, NULL);
	alarm(waiting);
}

static int open_current(const char *folder, const char *name)
{
	char path[4096 + 256];
	int fd;

	make_folder(folder);
	snprintf(path, sizeof path, "%s/%s.input", folder, name);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0) {
		perror(path);
		exit(2);
	}
	return fd;
}

/* The input stands in a file while it is tested, for the case that it is the last one. */
static void keep_current(int fd, const u8 *data, size_t size)
{
	if (pwrite(fd, data, size, 0) != (ssize_t)size ||
	    ftruncate(fd, (off_t)size) < 0) {
		perror("the file for the input under test");
		exit(2);
	}
}

static void test(const u8 *data, size_t size)
{
	/* A copy of exactly that size, so that a byte too far is seen. */
	AUTO_FREE u8 *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	memcpy(copy, data, size);
	set_limit(HANG_SECONDS, WAIT_SECONDS);
	LLVMFuzzerTestOneInput(copy, size);
	set_limit(0, 0);
}

static u64 seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec;
}

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	u64 seconds = 10, runs = UINT64_MAX, seed = (u64)time(NULL), count = 0, start;
	const char *keep = FUZZ_KEEP;
	static u8 data[MAX_SIZE];
	char folder[4096];
	int i = 1, fd;

	for (; i + 1 < argc && !strncmp(argv[i], "--", 2); i += 2) {
		u64 *option = !strcmp(argv[i], "--seconds") ? &seconds
			      : !strcmp(argv[i], "--runs")  ? &runs
			      : !strcmp(argv[i], "--seed")  ? &seed
							    : NULL;
		if (!strcmp(argv[i], "--keep")) {
			keep = argv[i + 1];
			continue;
		}
		if (!option)
			break;
		*option = strtoull(argv[i + 1], NULL, 0);
		if (option == &runs)
			seconds = UINT64_MAX / 2;
	}
	if (i < argc && !strncmp(argv[i], "--", 2)) {
		fprintf(stderr,
			"usage: %s [--seconds N] [--runs N] [--seed N] [--keep FOLDER] "
			"[FILE...]\n",
			name);
		return 2;
	}
	signal(SIGALRM, on_alarm);
	signal(SIGPROF, on_alarm);
	if (i < argc) {
		for (; i < argc; i++) {
			struct input input;

			if (!read_file(argv[i], &input)) {
				perror(argv[i]);
				return 2;
			}
			test(input.data, input.size);
			free(input.data);
			printf("%s: %s: ok\n", name, argv[i]);
		}
		return 0;
	}
	snprintf(folder, sizeof folder, "%s/%s", FUZZ_SEEDS,
		 strncmp(name, "fuzz-", 5) ? name : name + 5);
	read_seeds(folder);
	state = seed * 0x9e3779b97f4a7c15ull + 1;
	fd = open_current(keep, name);
	start = seconds_now();
	while (count < runs && seconds_now() - start < seconds) {
		for (int batch = 0; batch < 16 && count < runs; batch++, count++) {
			size_t size = make(data);

			keep_current(fd, data, size);
			test(data, size);
		}
	}
	close(fd);
	printf("%s: %llu inputs from %u seeds, seed %llu: nothing found\n", name,
	       (unsigned long long)count, seed_count, (unsigned long long)seed);
	return 0;
}
