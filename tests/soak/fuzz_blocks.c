/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz-blocks - random instruction blocks, host against interpreter and translator. See blocks.h.
 *
 *	fuzz-blocks [--seed N] [--count N] [--isa integer|x87|sse|avx|all|flow|integer-flow]
 *		    [--keep-going] [--show N] [--seconds N] [--result FILE] | --excluded
 *
 * A block has a seed; a run takes the whole batches of 128 that the seeds N to N + COUNT - 1 lie in,
 * so a run can be continued where another ended, and --seed S --count 1 repeats block S among its
 * neighbours. Exit 0: no difference; 1: differences; 2: could not run.
 * With --result a line "date seed-first seed-last isa blocks differences" is appended to FILE.
 */
#include "blocks.h"

#include <getopt.h>
#include <stdio.h>
#include <time.h>

static bool parse_isa(const char *word, unsigned *ret_isa)
{
	static const struct {
		const char *name;
		unsigned isa;
	} table[] = { { "integer", ISA_INTEGER },
		      { "x87", ISA_X87 },
		      { "sse", ISA_SSE },
		      { "avx", ISA_AVX },
		      { "all", ISA_ALL },
		      { "flow", ISA_ALL | ISA_FLOW },
		      { "integer-flow", ISA_INTEGER | ISA_FLOW } };

	for (unsigned k = 0; k < ARRAY_COUNT(table); k++) {
		if (strcmp(table[k].name, word) == 0) {
			*ret_isa = table[k].isa;
			return true;
		}
	}
	return false;
}

static int write_result(const char *path, const struct blocks_run *run, const char *isa)
{
	FILE *f = fopen(path, "a");
	time_t now = time(NULL);
	struct tm tm;
	char date[40];

	if (!f)
		return -1;
	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm);
	fprintf(f, "%s seeds %llu-%llu isa %s blocks %llu differences %llu\n", date,
		(unsigned long long)run->seed,
		(unsigned long long)(run->seed + run->done - 1), isa,
		(unsigned long long)run->done, (unsigned long long)run->differences);
	return fclose(f);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "count", required_argument, NULL, 'c' },
		{ "isa", required_argument, NULL, 'i' },
		{ "keep-going", no_argument, NULL, 'k' },
		{ "show", required_argument, NULL, 'w' },
		{ "seconds", required_argument, NULL, 't' },
		{ "result", required_argument, NULL, 'r' },
		{ "excluded", no_argument, NULL, 'x' },
		{ NULL, 0, NULL, 0 },
	};
	struct blocks_run run = {
		.seed = 1, .count = 1000000, .isa = ISA_ALL, .show = 10
	};
	const char *result = NULL, *isa = "all";
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case 's':
			run.seed = strtoull(optarg, NULL, 0);
			break;
		case 'c':
			run.count = strtoull(optarg, NULL, 0);
			break;
		case 'i':
			isa = optarg;
			if (!parse_isa(isa, &run.isa)) {
				fprintf(stderr, "fuzz-blocks: --isa is integer, x87, "
						"sse, avx, all, flow or integer-flow\n");
				return 2;
			}
			break;
		case 'k':
			run.keep_going = true;
			break;
		case 'w':
			run.show = (unsigned)strtoul(optarg, NULL, 0);
			break;
		case 't':
			run.seconds = strtod(optarg, NULL);
			break;
		case 'r':
			result = optarg;
			break;
		case 'x':
			generate_init();
			print_excluded();
			return 0;
		default:
			return 2;
		}
	}
	clock_t start = clock();
	int r = blocks_compare(&run);

	if (r < 0) {
		fprintf(stderr, "fuzz-blocks: cannot set up both sides: %s\n",
			strerror(-r));
		return 2;
	}
	printf("%llu blocks, %llu instructions, %llu differences, %llu lost, "
	       "%llu translations, %llu strayed, %llu with pointers forgotten by the "
	       "host, %.1f CPU s; "
	       "ended by:",
	       (unsigned long long)run.done, (unsigned long long)run.instructions,
	       (unsigned long long)run.differences, (unsigned long long)run.lost,
	       (unsigned long long)run.translations, (unsigned long long)run.strayed,
	       (unsigned long long)run.forgotten,
	       (double)(clock() - start) / CLOCKS_PER_SEC);
	for (unsigned k = 0; k < 33; k++)
		if (run.vectors[k])
			printf(" %s%u: %llu", k == 32 ? "other " : "#", k,
			       (unsigned long long)run.vectors[k]);
	printf("\n");
	if (result && write_result(result, &run, isa) != 0) {
		fprintf(stderr, "fuzz-blocks: cannot write '%s'\n", result);
		return 2;
	}
	return run.differences ? 1 : 0;
}
