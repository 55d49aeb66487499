/* SPDX-License-Identifier: Apache-2.0 */
/* PowerShell's verbs as ours; see ps_alias.h. */
#include "programs/cli/ps_alias.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

/* What a parameter becomes: key=VALUE, or "--flag" for a switch, or the name (""). */
struct parameter {
	const char *name, *ours;
};

struct alias {
	const char *name;
	const char *ours[3]; /* noun, verb, a word behind the name */
	struct parameter parameters[8];
};

/* clang-format off */
#define NAMED { "-Name", "" }, { "-VMName", "" }
static const struct alias aliases[] = {
	{ "New-VM", { "vm", "create" }, { NAMED, { "-MemoryStartupBytes", "memory=" }, { "-VHDPath", "disk=" } } },
	{ "Get-VM", { "vm", "list" }, { NAMED } },
	{ "Set-VM", { "vm", "set" }, { NAMED, { "-MemoryStartupBytes", "memory=" }, { "-ProcessorCount", "cpus=" },
		{ "-Notes", "notes=" } } },
	{ "Set-VMMemory", { "vm", "set" }, { NAMED, { "-StartupBytes", "memory=" } } },
	{ "Set-VMProcessor", { "vm", "set" }, { NAMED, { "-Count", "cpus=" }, { "-Maximum", "cpu.limit=" },
		{ "-Reserve", "cpu.reserve=" }, { "-RelativeWeight", "cpu.weight=" } } },
	{ "Start-VM", { "vm", "start" }, { NAMED } },
	{ "Stop-VM", { "vm", "stop" }, { NAMED, { "-TurnOff", "--force" }, { "-Force", NULL } } },
	{ "Restart-VM", { "vm", "reboot" }, { NAMED, { "-Force", NULL } } },
	{ "Suspend-VM", { "vm", "pause" }, { NAMED } },
	{ "Resume-VM", { "vm", "resume" }, { NAMED } },
	{ "Remove-VM", { "vm", "delete" }, { NAMED, { "-Force", NULL } } },
	{ "Get-VMHardDiskDrive", { "vm", "show" }, { NAMED } },
	{ "Get-VMNetworkAdapter", { "nic", "list" }, { NAMED } },
};
/* clang-format on */

static const struct alias *find_alias(const char *word)
{
	for (size_t k = 0; k < ARRAY_COUNT(aliases); k++)
		if (strcasecmp(aliases[k].name, word) == 0)
			return &aliases[k];
	return NULL;
}

static const struct parameter *find_parameter(const struct alias *a, const char *word)
{
	for (const struct parameter *p = a->parameters;
	     p < a->parameters + ARRAY_COUNT(a->parameters) && p->name; p++)
		if (strcasecmp(p->name, word) == 0)
			return p;
	return NULL;
}

static int unknown(const struct alias *a, const char *word, struct err *err)
{
	char all[ERR_FIX_SIZE] = "";

	for (const struct parameter *p = a->parameters;
	     p < a->parameters + ARRAY_COUNT(a->parameters) && p->name; p++)
		snprintf(all + strlen(all), sizeof all - strlen(all), " %s", p->name);
	err_set(err, -EINVAL, "%s: '%.60s' is not known here", a->name, word);
	return err_fix(err, "it takes%s", all);
}

int ps_alias(int argc, char **argv, struct ps_words *w, struct err *err)
{
	const struct alias *a = find_alias(argv[1]);
	const char *name = NULL;
	size_t used = 0;
	int k;

	if (!a)
		return 0;
	/* The name's place is behind the verb, wherever it was given. */
	w->argc = 3;
	w->argv[0] = (char *)(uintptr_t)a->ours[0];
	w->argv[1] = (char *)(uintptr_t)a->ours[1];
	for (k = 2; k < argc && w->argc < PS_MAX_WORDS; k++) {
		const struct parameter *p = find_parameter(a, argv[k]);

		if (!p && argv[k][0] == '-' && strcmp(argv[k], "-o") != 0)
			return unknown(a, argv[k], err);
		if (!p && argv[k][0] != '-' && !name) {
			name = argv[k];
		} else if (!p) { /* ours: key=value, -o json */
			w->argv[w->argc++] = argv[k];
			if (strcmp(argv[k], "-o") == 0 && k + 1 < argc)
				w->argv[w->argc++] = argv[++k];
		} else if (!p->ours) {
			continue; /* it does not ask anyway */
		} else if (p->ours[0] == '-') {
			w->argv[w->argc++] = (char *)(uintptr_t)p->ours;
		} else if (k + 1 == argc) {
			err_set(err, -EINVAL, "%s: %s needs a value", a->name, p->name);
			return err_fix(err, "give one behind it");
		} else if (!p->ours[0]) {
			name = argv[++k];
		} else {
			int n = snprintf(w->text + used, sizeof w->text - used, "%s%s",
					 p->ours, argv[++k]);

			if (n < 0 || (size_t)n >= sizeof w->text - used)
				return err_set(err, -EINVAL, "%s: too many words",
					       a->name);
			w->argv[w->argc++] = w->text + used;
			used += (size_t)n + 1;
		}
	}
	if (k < argc)
		return err_set(err, -EINVAL, "%s: too many words", a->name);
	if (name) {
		w->argv[2] = (char *)(uintptr_t)name;
		if (strcmp(a->ours[1], "list") == 0 && strcmp(a->ours[0], "vm") == 0)
			w->argv[1] = (char *)(uintptr_t) "show"; /* Get-VM NAME */
	} else {
		memmove(&w->argv[2], &w->argv[3], (size_t)(w->argc - 3) * sizeof(char *));
		w->argc--;
	}
	w->argv[w->argc] = NULL;
	return 1;
}
