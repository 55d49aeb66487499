/* SPDX-License-Identifier: Apache-2.0 */
/* tabique nic attach|detach|list: the cables of a VM that runs, by its control socket. */
#include <errno.h>
#include <stdio.h>

#include "programs/cli/verb.h"
#include "programs/cli/vm_words.h"

static int set_link(const struct vm_words *w, const char *link, struct err *err)
{
	json_t *nic = NULL;
	char path[64];
	int r;

	if (w->count != 1) {
		err_set(err, -EINVAL, "which network adapter?");
		return err_fix(err, "name it as 'tabique nic list' does: nic0");
	}
	snprintf(path, sizeof path, "/nics/%.32s", w->word[0]);
	r = vm_ask(w, "PATCH", path, json_pack("{s:s}", "link", link), &nic, err);
	if (r == 0 && w->json)
		print_json(nic);
	json_decref(nic);
	return r;
}

static int attach(const struct vm_words *w, struct err *err)
{
	return set_link(w, "up", err);
}

static int detach(const struct vm_words *w, struct err *err)
{
	return set_link(w, "down", err);
}

static int list(const struct vm_words *w, struct err *err)
{
	json_t *nics = NULL, *nic;
	size_t k;
	int r = w->count ? err_set(err, -EINVAL, "'%s' is one word too many", w->word[0])
			 : vm_ask(w, "GET", "/nics", NULL, &nics, err);

	if (r < 0)
		return r;
	if (w->json)
		print_json(nics);
	else
		json_array_foreach(nics, k, nic) print_nic(nic);
	json_decref(nics);
	return 0;
}

static const struct vm_verb verbs[] = {
	{ "attach", attach, { NULL } },
	{ "detach", detach, { NULL } },
	{ "list", list, { NULL } },
};

static void print_help(FILE *to)
{
	fputs("usage: tabique nic attach nic0 --control SOCKET\n"
	      "       tabique nic detach nic0 --control SOCKET\n"
	      "       tabique nic list --control SOCKET [-o json]\n\n"
	      "attach and detach put the cable of a network adapter in and pull it out; "
	      "the "
	      "guest\n"
	      "sees its link go up and down. Adapters are called nic0, nic1... in the "
	      "order "
	      "of\n"
	      "--net.\n",
	      to);
}

static int run(int argc, char **argv)
{
	static const struct vm_noun noun = {
		.name = "nic",
		.help = print_help,
		.verbs = verbs,
		.count = ARRAY_COUNT(verbs),
	};

	return vm_noun_run(&noun, argc, argv);
}

const struct verb verb_nic = {
	.name = "nic",
	.summary = "cables of the network adapters of a VM that runs",
	.run = run,
};
