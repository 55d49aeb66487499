/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tabique vm show|inspect|set|stop|reset|reboot|pause|resume|kvp|address|freeze|thaw|copy|
 * screenshot|type|keys|mouse: a VM that runs, by its control socket.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "programs/cli/live_memory.h"
#include "programs/cli/host_ask.h"
#include "programs/cli/verb.h"
#include "programs/cli/vm_desk.h"
#include "programs/cli/vm_host.h"
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
	json_t *vm = NULL, *disk, *nic;
	size_t k;
	int r = need_words(w, 0, err);

	if (r == 0 && w->isolation)
		return vm_show_isolation(w, err);
	if (r == 0)
		r = vm_ask(w, "GET", "", NULL, &vm, err);
	if (r < 0)
		return r;
	if (w->json) {
		print_json(vm);
	} else {
		json_t *disks = json_incref(json_object_get(vm, "disks"));
		json_t *nics = json_incref(json_object_get(vm, "nics"));

		json_object_del(vm, "disks");
		json_object_del(vm, "nics");
		print_tree("", vm);
		json_array_foreach(disks, k, disk) print_disk(disk);
		json_array_foreach(nics, k, nic) print_nic(nic);
		json_decref(disks);
		json_decref(nics);
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

/* Pairs; the guest gets there by and by. */
static int set(const struct vm_words *w, struct err *err)
{
	json_t *body, *state = NULL;
	int r = 0;

	if (w->name)
		return vm_set_config(w, err);
	body = json_object();
	for (unsigned k = 0; k < w->count && r == 0; k++)
		r = live_memory_read_word(w->word[k], body, err);
	if (r < 0) {
		json_decref(body);
		return r;
	}
	r = vm_ask(w, "PATCH", "", body, &state, err);
	if (r == 0 && w->json)
		print_json(state);
	json_decref(state);
	return r;
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
	if (r == 0 && w->name && !w->no_wait)
		r = host_wait(state, err);
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

static int freeze(const struct vm_words *w, struct err *err)
{
	return act(w, "freeze", err);
}

static int thaw(const struct vm_words *w, struct err *err)
{
	return act(w, "thaw", err);
}

/* ---- what the guest says of itself, and is told ---------------------------------------------- */

static int wrong_kvp(struct err *err)
{
	err_set(err, -EINVAL, "that is not how keys are asked for");
	return err_fix(err, "kvp get [KEY], kvp set KEY=VALUE, or kvp delete KEY");
}

/* One key's value, of whichever pool has it; or all of them. */
static int kvp_get(const struct vm_words *w, struct err *err)
{
	static const char *const pools[] = { "auto", "guest", "external" };
	json_t *pairs = NULL;
	bool found = w->count == 1;
	int r = w->count > 2 ? wrong_kvp(err)
			     : vm_ask(w, "GET", "/kvp", NULL, &pairs, err);

	if (r < 0)
		return r;
	if (w->count == 1)
		print(w, "", pairs);
	for (size_t k = 0; k < ARRAY_COUNT(pools) && !found; k++) {
		const json_t *value =
			json_object_get(json_object_get(pairs, pools[k]), w->word[1]);

		found = value != NULL;
		if (found && w->json)
			print_json(value);
		else if (found)
			puts(json_string_value(value));
	}
	json_decref(pairs);
	if (found)
		return 0;
	err_set(err, -ENOENT, "there is no key '%s'", w->word[1]);
	return err_fix(err, "see which there are: tabique vm kvp get");
}

static int kvp_change(const struct vm_words *w, bool set, struct err *err)
{
	const char *word = w->count == 2 ? w->word[1] : "", *equal = strchr(word, '=');
	size_t size = set && equal ? (size_t)(equal - word) : strlen(word);
	json_t *body, *state = NULL;
	int r;

	if (size == 0 || set != (equal != NULL))
		return wrong_kvp(err);
	body = set ? json_pack("{s%:s}", word, size, equal + 1)
		   : json_pack("{s:n}", word);
	if (!body) {
		err_set(err, -EINVAL, "'%s' is not UTF-8", word);
		return err_fix(err, "write it in UTF-8");
	}
	r = vm_ask(w, "PATCH", "/kvp", body, &state, err);
	json_decref(state);
	return r;
}

static int kvp(const struct vm_words *w, struct err *err)
{
	const char *what = w->count > 0 ? w->word[0] : "";

	if (strcmp(what, "get") == 0)
		return kvp_get(w, err);
	if (strcmp(what, "set") == 0 || strcmp(what, "delete") == 0)
		return kvp_change(w, what[0] == 's', err);
	return wrong_kvp(err);
}

static int address(const struct vm_words *w, struct err *err)
{
	json_t *body, *state = NULL;
	int r;

	if (w->count != 1 || (!w->dhcp && !w->address)) {
		err_set(err, -EINVAL, "which card, and what address?");
		return err_fix(err, "vm address {GUID} address=10.0.0.5 "
				    "mask=255.255.255.0, or "
				    "--dhcp");
	}
	body = json_pack("{s:s, s:b}", "adapter", w->word[0], "dhcp", w->dhcp);
	if (w->address)
		json_object_set_new(body, "address", json_string(w->address));
	if (w->mask)
		json_object_set_new(body, "mask", json_string(w->mask));
	if (w->gateway)
		json_object_set_new(body, "gateway", json_string(w->gateway));
	if (w->dns)
		json_object_set_new(body, "dns", json_string(w->dns));
	r = vm_ask(w, "PUT", "/address", body, &state, err);
	json_decref(state);
	return r;
}

static int copy(const struct vm_words *w, struct err *err)
{
	char file[PATH_MAX];
	json_t *body, *state = NULL;
	int r;

	if (w->count != 2) {
		err_set(err, -EINVAL, "which file, and where to?");
		return err_fix(err, "vm copy FILE /PATH/IN/THE/GUEST");
	}
	if (!realpath(w->word[0], file)) {
		r = -errno;
		err_set(err, r, "'%s' cannot be opened: %s", w->word[0], err_words(r));
		return err_fix(err, "check the path");
	}
	body = json_pack("{s:s, s:s, s:b}", "file", file, "to", w->word[1], "force",
			 w->force);
	if (!body) {
		err_set(err, -EINVAL, "a path is not UTF-8");
		return err_fix(err, "rename the file");
	}
	r = vm_ask(w, "POST", "/files", body, &state, err);
	json_decref(state);
	return r;
}

/* ---- the verb -------------------------------------------------------------------------------- */

static const struct vm_verb verbs[] = {
	{ "create", vm_create, { "*=", NULL } },
	{ "list", vm_list, { "--state", NULL }, .nameless = true },
	{ "start", vm_start, { "--no-wait", NULL } },
	{ "delete", vm_delete, { "--yes", NULL } },
	{ "console", vm_console, { "--serial", NULL } },
	{ "show", show, { "--isolation", NULL } },
	{ "inspect", inspect, { NULL } },
	{ "set", set, { "*=", NULL } },
	{ "stop", stop, { "--force", "--no-wait", "timeout=", NULL } },
	{ "reset", reset, { NULL } },
	{ "reboot", reboot, { NULL } },
	{ "pause", pause_vm, { NULL } },
	{ "resume", resume, { NULL } },
	{ "freeze", freeze, { NULL } },
	{ "thaw", thaw, { NULL } },
	{ "kvp", kvp, { "*=", NULL } },
	{ "address",
	  address,
	  { "address=", "mask=", "gateway=", "dns=", "--dhcp", NULL } },
	{ "copy", copy, { "--force", NULL } },
	{ "screenshot", vm_screenshot, { "-f", "--text", NULL } },
	{ "type", vm_type, { "--layout", "*=", NULL } },
	{ "keys", vm_keys, { NULL } },
	{ "mouse", vm_mouse, { "x=", "y=", "buttons=", "wheel=", NULL } },
};

static void print_help(FILE *to)
{
	fputs("usage: tabique vm create NAME [KEY=VALUE...]\n"
	      "       tabique vm list [--state STATE] [-o table|wide|json]\n"
	      "       tabique vm set NAME KEY=VALUE...\n"
	      "       tabique vm start NAME [--no-wait]\n"
	      "       tabique vm delete NAME\n"
	      "       tabique vm console NAME --serial\n"
	      "       tabique vm show NAME --isolation\n"
	      "The host's daemon keeps these. All that follows takes NAME as well, in "
	      "place of --control SOCKET.\n\n"
	      "       tabique vm show --control SOCKET [-o json]\n"
	      "       tabique vm inspect --control SOCKET [PATH] [-o json]\n"
	      "       tabique vm set --control SOCKET memory=SIZE|memory.min=SIZE "
	      "memory.max=SIZE memory.buffer=PERCENT memory.weight=N\n"
	      "       tabique vm stop --control SOCKET [timeout=60] [--no-wait] "
	      "[--force]\n"
	      "       tabique vm reset|reboot|pause|resume|freeze|thaw --control SOCKET\n"
	      "       tabique vm kvp get [KEY]|set KEY=VALUE|delete KEY --control SOCKET "
	      "[-o "
	      "json]\n"
	      "       tabique vm copy FILE /PATH/IN/THE/GUEST --control SOCKET "
	      "[--force]\n"
	      "       tabique vm address {GUID} --dhcp|address=... mask=... --control "
	      "SOCKET\n"
	      "       tabique vm screenshot -f FILE.png|--text --control SOCKET\n"
	      "       tabique vm type TEXT [--layout es|es-latam|us] --control SOCKET\n"
	      "       tabique vm keys KEYS --control SOCKET\n"
	      "       tabique vm mouse x=0..32767 y=0..32767 [buttons=BITS] [wheel=N] "
	      "--control SOCKET\n\n"
	      "SOCKET is the one that the VM was started with: tabique run --control "
	      "SOCKET.\n"
	      "set memory holds the guest at that size; the others let its needs decide "
	      "again, within them.\n"
	      "stop asks the guest to power off and waits; stop --force pulls the "
	      "plug.\n"
	      "reboot asks it to restart; reset does not ask.\n"
	      "pause lets the guest stand where it is; when it goes on it is told what "
	      "time it is.\n"
	      "kvp shows what the guest says of itself, and leaves words for it; copy "
	      "copies a "
	      "file into it.\n"
	      "freeze lets its file systems stand for ten seconds at most, or until "
	      "thaw.\n"
	      "type types a text on a keyboard of the layout that the guest is set to "
	      "(us unless\ntold); keys presses keys by name: ctrl-alt-del, \"up "
	      "enter\".\n"
	      "inspect shows the live state of both processes; PATH is a branch of it: "
	      "hv/vp/0.\n",
	      to);
}

static int run(int argc, char **argv)
{
	static const struct vm_noun noun = {
		.name = "vm",
		.help = print_help,
		.more = vm_print_fields,
		.verbs = verbs,
		.count = ARRAY_COUNT(verbs),
	};

	return vm_noun_run(&noun, argc, argv);
}

const struct verb verb_vm = {
	.name = "vm",
	.summary = "make, list, start, look at, stop and change VMs",
	.run = run,
};
