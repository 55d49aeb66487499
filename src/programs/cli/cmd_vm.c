/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tabique vm show|inspect|stop|reset|reboot|pause|resume: a VM that runs, by its control socket.
 */
#include <errno.h>
#include <stdio.h>

#include "programs/cli/verb.h"
#include "programs/cli/vm_words.h"
#include "programs/cli/words.h"

/* How long a guest may take to end, unless told otherwise. */
#define STOP_SECONDS 60

/* ---- what is shown --------------------------------------------------------------------------- */

static void print_value(const char *name, const json_t *value)
{
	if (json_is_string(value))
		printf("%s: %s\n", name, json_string_value(value));
	else if (json_is_integer(value))
		printf("%s: %lld\n", name, (long long)json_integer_value(value));
	else if (json_is_boolean(value))
		printf("%s: %s\n", name, json_is_true(value) ? "yes" : "no");
}

/* A tree as lines "branch.name: value", as deep as its text was. */
static void print_tree(const char *branch, const json_t *tree)
{
	const char *key;
	json_t *value;
	size_t k;

	if (json_is_array(tree)) {
		json_array_foreach(tree, k, value) print_tree(branch, value);
		return;
	}
	if (!json_is_object(tree)) {
		print_value(branch, tree);
		return;
	}
	json_object_foreach((json_t *)(uintptr_t)tree, key, value)
	{
		char name[512];

		snprintf(name, sizeof name, "%s%s%s", branch, branch[0] ? "." : "", key);
		print_tree(name, value);
	}
}

static void print(const struct vm_words *w, const char *branch, const json_t *tree)
{
	if (w->json)
		print_json(tree);
	else
		print_tree(branch, tree);
}

/* A drive without a medium: "-". */
static void print_disk(const json_t *disk)
{
	const char *file = json_string_value(json_object_get(disk, "file"));
	bool read_only = json_is_true(json_object_get(disk, "read_only"));

	printf("disk: %s %s %s%s\n", json_string_value(json_object_get(disk, "id")),
	       json_string_value(json_object_get(disk, "format")),
	       file && *file ? file : "-", read_only ? " (read-only)" : "");
}

/* ---- verbs ----------------------------------------------------------------------------------- */

static int need_words(const struct vm_words *w, unsigned most, struct err *err)
{
	if (w->count <= most)
		return 0;
	err_set(err, -EINVAL, "'%s' is one word too many", w->word[most]);
	return err_fix(err, "with --control SOCKET the VM needs no name");
}

static int show(const struct vm_words *w, struct err *err)
{
	json_t *vm = NULL, *disk;
	size_t k;
	int r = need_words(w, 0, err);

	if (r == 0)
		r = vm_ask(w, "GET", "", NULL, &vm, err);
	if (r < 0)
		return r;
	if (w->json) {
		print_json(vm);
	} else {
		json_t *disks = json_incref(json_object_get(vm, "disks"));

		json_object_del(vm, "disks");
		print_tree("", vm);
		json_array_foreach(disks, k, disk) print_disk(disk);
		json_decref(disks);
	}
	json_decref(vm);
	return 0;
}

static int inspect(const struct vm_words *w, struct err *err)
{
	char path[256];
	json_t *tree = NULL;
	int r = need_words(w, 1, err);

	snprintf(path, sizeof path, "/inspect%s%s", w->count ? "/" : "",
		 w->count ? w->word[0] : "");
	if (r == 0)
		r = vm_ask(w, "GET", path, NULL, &tree, err);
	if (r < 0)
		return r;
	/* Lines are named as in the whole tree. */
	for (char *p = path; *p; p++)
		if (*p == '/')
			*p = '.';
	print(w, w->count ? path + strlen("/inspect/") : "", tree);
	json_decref(tree);
	return 0;
}

static int stop(const struct vm_words *w, struct err *err)
{
	const char *rest = "";
	u64 seconds = STOP_SECONDS;
	json_t *state = NULL;
	int r = need_words(w, 0, err);

	if (r == 0 && w->timeout &&
	    (!parse_number(w->timeout, &seconds, &rest) || *rest || seconds == 0 ||
	     seconds > 86400)) {
		err_set(err, -EINVAL, "'timeout=%s' is not a number of seconds",
			w->timeout);
		r = err_fix(err, "give 1 to 86400");
	}
	if (r < 0)
		return r;
	if (w->no_wait)
		seconds = 0;
	r = vm_ask(w, "PUT", "/state",
		   json_pack("{s:s, s:b, s:I}", "action", "stop", "force", w->force,
			     "wait", (json_int_t)seconds),
		   &state, err);
	if (r == 0 && w->json)
		print_json(state);
	json_decref(state);
	return r;
}

/* What needs nothing but its name. */
static int act(const struct vm_words *w, const char *action, struct err *err)
{
	json_t *state = NULL;
	int r = need_words(w, 0, err);

	if (r == 0)
		r = vm_ask(w, "PUT", "/state", json_pack("{s:s}", "action", action),
			   &state, err);
	if (r == 0 && w->json)
		print_json(state);
	json_decref(state);
	return r;
}

static int reset(const struct vm_words *w, struct err *err)
{
	return act(w, "reset", err);
}

static int reboot(const struct vm_words *w, struct err *err)
{
	return act(w, "reboot", err);
}

static int pause_vm(const struct vm_words *w, struct err *err)
{
	return act(w, "pause", err);
}

static int resume(const struct vm_words *w, struct err *err)
{
	return act(w, "resume", err);
}

/* ---- the verb -------------------------------------------------------------------------------- */

static const struct vm_verb verbs[] = {
	{ "show", show, { NULL } },
	{ "inspect", inspect, { NULL } },
	{ "stop", stop, { "--force", "--no-wait", "timeout=", NULL } },
	{ "reset", reset, { NULL } },
	{ "reboot", reboot, { NULL } },
	{ "pause", pause_vm, { NULL } },
	{ "resume", resume, { NULL } },
};

static void print_help(FILE *to)
{
	fputs("usage: tabique vm show --control SOCKET [-o json]\n"
	      "       tabique vm inspect --control SOCKET [PATH] [-o json]\n"
	      "       tabique vm stop --control SOCKET [timeout=60] [--no-wait] "
	      "[--force]\n"
	      "       tabique vm reset|reboot|pause|resume --control SOCKET\n\n"
	      "SOCKET is the one that the VM was started with: tabique run --control "
	      "SOCKET.\n"
	      "stop asks the guest to power off and waits; stop --force pulls the "
	      "plug.\n"
	      "reboot asks it to restart; reset does not ask.\n"
	      "pause lets the guest stand where it is; when it goes on it is told what "
	      "time it is.\n"
	      "inspect shows the live state of both processes; PATH is a branch of it: "
	      "hv/vp/0.\n",
	      to);
}

static int run(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "";
	struct err err = { 0 };
	int code;

	if (argc < 2 || strcmp(word, "--help") == 0) {
		print_help(argc < 2 ? stderr : stdout);
		return argc < 2 ? EXIT_USAGE : EXIT_DONE;
	}
	code = vm_verb_run(verbs, ARRAY_COUNT(verbs), argc, argv);
	if (code >= 0)
		return code;
	err_set(&err, -EINVAL, "'vm %s' is not part of this version", word);
	err_fix(&err, "see 'tabique vm --help'");
	print_error(&err);
	return EXIT_USAGE;
}

const struct verb verb_vm = {
	.name = "vm",
	.summary = "look at a VM that runs, stop, pause and reset it",
	.run = run,
};
