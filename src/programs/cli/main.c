/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tabique: the command line. A table of verbs; each verb reads its own options.
 */
#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "programs/cli/ps_alias.h"
#include "programs/cli/verb.h"

static const struct verb *const verbs[] = {
	&verb_run, &verb_disk, &verb_nic, &verb_switch, &verb_vm, &verb_op, &verb_events,
};

/* Words of the command line that belong to later versions: said so, not "unknown". */
static const char *const later[] = {
	"checkpoint", "backup", "node", "cluster", "park", "top",
};

void print_error(const struct err *err)
{
	fprintf(stderr, "tabique: %s\n", err->text);
	if (err->fix[0])
		fprintf(stderr, "fix: %s\n", err->fix);
}

int exit_code_of(int r)
{
	switch (-r) {
	case 0:
		return EXIT_DONE;
	case EINVAL:
		return EXIT_USAGE;
	case ENOENT:
		return EXIT_NOT_FOUND;
	case EBUSY:
	case EEXIST:
		return EXIT_BUSY;
	default:
		return EXIT_FAILED;
	}
}

static void print_help(FILE *to)
{
	fputs("usage: tabique VERB [OPTION...]\n\n", to);
	for (size_t k = 0; k < ARRAY_COUNT(verbs); k++)
		fprintf(to, "  %-8s %s\n", verbs[k]->name, verbs[k]->summary);
	fputs("\n  --host URL  another daemon's socket than this host's: unix:PATH\n"
	      "  --help     this text; 'tabique VERB --help' tells more\n"
	      "  --version  the version\n",
	      to);
}

int main(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "--help";
	static struct ps_words alias;
	struct err err = { 0 };
	int r;

	log_start("tabique", LOG_INFO);
	if (argc > 3 && strcmp(word, "--host") == 0) {
		setenv("TABIQUE_HOST", argv[2], 1);
		argc -= 2;
		argv += 2;
		word = argv[1];
	}
	if (argc < 2) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(word, "--help") == 0 || strcmp(word, "help") == 0) {
		print_help(stdout);
		return EXIT_DONE;
	}
	if (strcmp(word, "--version") == 0) {
		puts("tabique " TABIQUE_VERSION);
		return EXIT_DONE;
	}
	r = ps_alias(argc, argv, &alias, &err);
	if (r < 0) {
		print_error(&err);
		return EXIT_USAGE;
	}
	if (r > 0)
		word = alias.argv[0];
	for (size_t k = 0; k < ARRAY_COUNT(verbs); k++)
		if (strcmp(word, verbs[k]->name) == 0)
			return r > 0 ? verbs[k]->run(alias.argc, alias.argv)
				     : verbs[k]->run(argc - 1, argv + 1);
	for (size_t k = 0; k < ARRAY_COUNT(later); k++) {
		if (strcmp(word, later[k]) == 0) {
			fprintf(stderr, "tabique: '%s' is not yet part of this version\n",
				word);
			return EXIT_USAGE;
		}
	}
	fprintf(stderr, "tabique: unknown verb '%s'\nfix: see 'tabique --help'\n", word);
	return EXIT_USAGE;
}
