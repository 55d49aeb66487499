/* SPDX-License-Identifier: Apache-2.0 */
/* VMs of the daemon on the command line; see vm_host.h. */
#include "programs/cli/vm_host.h"

#include <errno.h>
#include <stdio.h>

#include "config/vm_config.h"
#include "programs/cli/host_ask.h"

/* ---- made and changed ------------------------------------------------------------------------ */

/*
 * A path of here is one from '/' for the daemon, without symbolic links: "disk=a.vhdx,ro" becomes
 * "disk=/home/ana/a.vhdx,ro".
 */
static int add_word(json_t *config, const char *word, struct err *err)
{
	const char *equal = strchr(word, '=');
	char name[32] = "", whole_word[VM_PATH_SIZE + 64];
	const struct config_field *f = NULL;
	AUTO_FREE char *path = NULL, *whole = NULL;
	size_t n;

	if (equal && (size_t)(equal - word) < sizeof name) {
		memcpy(name, word, (size_t)(equal - word));
		f = config_find(name);
	}
	if (!f || (f->type != CONFIG_PATH && f->type != CONFIG_FILES) || !equal[1])
		return config_add_word(config, word, err);
	n = f->type == CONFIG_FILES ? strcspn(equal + 1, ",") : strlen(equal + 1);
	path = strndup(equal + 1, n);
	whole = path ? realpath(path, NULL) : NULL;
	if (!whole) {
		int r = -errno;

		err_set(err, r, "%s '%.200s': %s", name, path ? path : "", err_words(r));
		return err_fix(err, "check the path");
	}
	snprintf(whole_word, sizeof whole_word, "%s=%s%s", name, whole, equal + 1 + n);
	return config_add_word(config, whole_word, err);
}

static int read_config(const struct vm_words *w, json_t *config, struct err *err)
{
	int r = 0;

	for (unsigned k = 0; k < w->count && r == 0; k++)
		r = add_word(config, w->word[k], err);
	return r;
}

int vm_create(const struct vm_words *w, struct err *err)
{
	json_t *body = json_object(), *vm = NULL;
	int r = vm_name_check(w->name, err);

	if (r == 0)
		r = read_config(w, body, err);
	if (r < 0) {
		json_decref(body);
		return r;
	}
	json_object_set_new(body, "name", json_string(w->name));
	r = host_ask("POST", "/1.0/vms", body, &vm, err);
	if (r == 0 && w->json)
		print_json(vm);
	json_decref(vm);
	return r;
}

int vm_set_config(const struct vm_words *w, struct err *err)
{
	json_t *body = json_object(), *config = NULL;
	int r = read_config(w, body, err);

	if (r == 0 && w->count == 0) {
		err_set(err, -EINVAL, "what is to be set?");
		r = err_fix(err, "give key=value: tabique vm set %s memory=1G", w->name);
	}
	if (r < 0) {
		json_decref(body);
		return r;
	}
	r = vm_ask(w, "PATCH", "", body, &config, err);
	if (r == 0 && w->json)
		print_json(config);
	json_decref(config);
	return r;
}

static int one_word_too_many(const struct vm_words *w, struct err *err)
{
	if (w->count == 0)
		return 0;
	err_set(err, -EINVAL, "'%s' is one word too many", w->word[0]);
	return err_fix(err, "see 'tabique vm --help'");
}

static int named(const struct vm_words *w, struct err *err)
{
	if (!w->name) {
		err_set(err, -EINVAL, "which VM?");
		return err_fix(err, "this needs its name, not a control socket");
	}
	return one_word_too_many(w, err);
}

int vm_start(const struct vm_words *w, struct err *err)
{
	json_t *operation = NULL;
	int r = named(w, err);

	if (r == 0)
		r = vm_ask(w, "PUT", "/state", json_pack("{s:s}", "action", "start"),
			   &operation, err);
	if (r == 0 && !w->no_wait)
		r = host_wait(operation, err);
	if (r == 0 && w->json)
		print_json(operation);
	json_decref(operation);
	return r;
}

int vm_delete(const struct vm_words *w, struct err *err)
{
	json_t *nothing = NULL;
	int r = named(w, err);

	if (r == 0)
		r = vm_ask(w, "DELETE", "", NULL, &nothing, err);
	json_decref(nothing);
	return r;
}

/* ---- shown ----------------------------------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static long long number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

int vm_show_isolation(const struct vm_words *w, struct err *err)
{
	json_t *list = NULL, *p;
	size_t k;
	int r = vm_ask(w, "GET", "/isolation", NULL, &list, err);

	if (r < 0)
		return r;
	if (w->json) {
		print_json(list);
		json_decref(list);
		return 0;
	}
	printf("%-16s %-8s %-12s %-18s %-16s %s\n", "Process", "PID", "Uid",
	       "Capabilities", "No-new-privs", "Seccomp");
	json_array_foreach(list, k, p) printf(
		"%-16s %-8lld %-12lld %-18s %-16s %s\n", text_of(p, "process"),
		number_of(p, "pid"), number_of(p, "uid"), text_of(p, "capabilities"),
		json_is_true(json_object_get(p, "no_new_privileges")) ? "yes" : "no",
		number_of(p, "seccomp") == 2 ? "filter" : "none");
	json_decref(list);
	return 0;
}

static void print_row(const json_t *vm, bool wide)
{
	long long seconds = number_of(vm, "uptime");
	char uptime[32] = "-", memory[24];

	if (strcmp(text_of(vm, "state"), "off") != 0)
		snprintf(uptime, sizeof uptime, "%lldd %02lld:%02lld:%02lld",
			 seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60,
			 seconds % 60);
	printf(wide ? "%-24s %-9s %6lld  %-7s %-13s %-10s %s\n"
		    : "%-24s %-9s %6lld  %-7s %-13s %-10.10s %s\n",
	       text_of(vm, "name"), text_of(vm, "state"), number_of(vm, "cpu"),
	       size_text((u64)number_of(vm, "memory"), memory), uptime,
	       text_of(vm, "status")[0] ? text_of(vm, "status") : "-",
	       text_of(vm, "node"));
}

int vm_list(const struct vm_words *w, struct err *err)
{
	json_t *list = NULL, *vm;
	size_t k;
	int r = one_word_too_many(w, err);

	if (r == 0)
		r = host_ask("GET", "/1.0/vms", NULL, &list, err);
	if (r < 0)
		return r;
	for (k = json_array_size(list); w->state && k-- > 0;)
		if (strcmp(text_of(json_array_get(list, k), "state"), w->state) != 0)
			json_array_remove(list, k);
	if (w->json) {
		print_json(list);
	} else {
		printf("%-24s %-9s %6s  %-7s %-13s %-10s %s\n", "Name", "State", "CPU(%)",
		       "Memory", "Uptime", "Status", "Node");
		json_array_foreach(list, k, vm) print_row(vm, w->wide);
	}
	json_decref(list);
	return 0;
}

void vm_print_fields(void)
{
	size_t count;
	const struct config_field *f = config_fields(&count);
	json_t *none = json_object();

	puts("\nKEY=VALUE of create and set, with what holds where nothing is said:\n");
	for (size_t k = 0; k < count; k++) {
		char text[64];

		printf("  %-12s %s", f[k].name, f[k].help);
		if (config_show(none, &f[k], text, sizeof text)[0])
			printf(" (%s)", text);
		puts(f[k].hot ? "; also while it runs" : "");
	}
	json_decref(none);
}
