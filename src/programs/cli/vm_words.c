/* SPDX-License-Identifier: Apache-2.0 */
/* Words about a VM that runs, and its socket; see vm_words.h. */
#include "programs/cli/vm_words.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>

#include "config/vm_config.h"
#include "control/client.h"
#include "control/http.h"
#include "control/socket.h"
#include "programs/cli/host_ask.h"
#include "programs/cli/verb.h"

static const struct {
	const char *name;
	bool value;
	size_t at; /* in struct vm_words: const char * or bool */
} options[] = {
	{ "--control", true, offsetof(struct vm_words, socket) },
	{ "--force", false, offsetof(struct vm_words, force) },
	{ "--no-wait", false, offsetof(struct vm_words, no_wait) },
	{ "--read-only", false, offsetof(struct vm_words, read_only) },
	{ "--passthrough", false, offsetof(struct vm_words, passthrough) },
	{ "--controller", true, offsetof(struct vm_words, controller) },
	{ "--lun", true, offsetof(struct vm_words, lun) },
	{ "format=", true, offsetof(struct vm_words, format) },
	{ "timeout=", true, offsetof(struct vm_words, timeout) },
	{ "--dhcp", false, offsetof(struct vm_words, dhcp) },
	{ "address=", true, offsetof(struct vm_words, address) },
	{ "mask=", true, offsetof(struct vm_words, mask) },
	{ "gateway=", true, offsetof(struct vm_words, gateway) },
	{ "dns=", true, offsetof(struct vm_words, dns) },
	{ "-f", true, offsetof(struct vm_words, file) },
	{ "--isolation", false, offsetof(struct vm_words, isolation) },
	{ "--serial", false, offsetof(struct vm_words, serial) },
	{ "--yes", false, offsetof(struct vm_words, yes) },
	{ "--state", true, offsetof(struct vm_words, state) },
	{ "--text", false, offsetof(struct vm_words, text) },
	{ "--layout", true, offsetof(struct vm_words, layout) },
	{ "x=", true, offsetof(struct vm_words, x) },
	{ "y=", true, offsetof(struct vm_words, y) },
	{ "buttons=", true, offsetof(struct vm_words, buttons) },
	{ "wheel=", true, offsetof(struct vm_words, wheel) },
};

static bool is_allowed(const char *name, const char *const *allowed)
{
	if (strcmp(name, "--control") == 0)
		return true;
	for (; *allowed; allowed++)
		if (strcmp(name, *allowed) == 0)
			return true;
	return false;
}

/* key=value: the name has the '=' in it. --option value and --option=value. */
static bool fits(const char *name, const char *word, const char **ret_value)
{
	size_t n = strlen(name);

	*ret_value = NULL;
	if (strncmp(word, name, n) != 0)
		return false;
	if (name[n - 1] == '=') {
		*ret_value = word + n;
		return true;
	}
	if (word[n] == '=')
		*ret_value = word + n + 1;
	return word[n] == '\0' || word[n] == '=';
}

static int unknown(const char *word, struct err *err)
{
	err_set(err, -EINVAL, "unknown option '%s'", word);
	return err_fix(err, "see 'tabique vm --help' and 'tabique disk --help'");
}

/* The option at *io_k. */
static int read_option(int argc, char **argv, int *io_k, const char *const *allowed,
		       struct vm_words *w, struct err *err)
{
	const char *value, *word = argv[*io_k];

	for (size_t k = 0; k < ARRAY_COUNT(options); k++) {
		char *field = (char *)w + options[k].at;

		if (!fits(options[k].name, word, &value) ||
		    !is_allowed(options[k].name, allowed))
			continue;
		if (!options[k].value) {
			if (value)
				break;
			memcpy(field, &(bool){ true }, sizeof(bool));
			return 0;
		}
		if (!value && *io_k + 1 < argc)
			value = argv[++*io_k];
		if (!value || !*value) {
			err_set(err, -EINVAL, "'%s' needs a value", options[k].name);
			return err_fix(err, "give one behind it");
		}
		memcpy(field, &value, sizeof value);
		return 0;
	}
	return unknown(word, err);
}

/* The words behind the verb. */
static int read_words(int argc, char **argv, const char *const *allowed,
		      struct vm_words *w, struct err *err)
{
	bool only_words = false; /* behind "--" */
	int r = 0;

	*w = (struct vm_words){ 0 };
	for (int k = 0; k < argc && r == 0; k++) {
		size_t letters = strspn(argv[k], "abcdefghijklmnopqrstuvwxyz");

		if (!only_words && strcmp(argv[k], "--") == 0) {
			only_words = true;
		} else if (!only_words && strcmp(argv[k], "-o") == 0 && k + 1 < argc) {
			w->json = strcmp(argv[++k], "json") == 0;
			w->wide = strcmp(argv[k], "wide") == 0;
			if (!w->json && !w->wide && strcmp(argv[k], "table") != 0) {
				err_set(err, -EINVAL, "'-o %s' is not known", argv[k]);
				r = err_fix(err, "give table, wide or json");
			}
		} else if (!only_words && (argv[k][0] == '-' ||
					   (letters > 0 && argv[k][letters] == '=' &&
					    !is_allowed("*=", allowed)))) {
			r = read_option(argc, argv, &k, allowed, w, err);
		} else if (w->count < VM_MAX_WORDS) {
			w->word[w->count++] = argv[k];
		} else {
			err_set(err, -EINVAL, "'%s' is one word too many", argv[k]);
			r = err_fix(err, "see --help");
		}
	}
	return r;
}

/* The first word is the VM's name, unless its socket was given. */
static int take_name(struct vm_words *w, struct err *err)
{
	if (w->socket)
		return 0;
	if (w->count == 0) {
		err_set(err, -EINVAL, "which VM?");
		return err_fix(err, "give its name, or its control socket: --control "
				    "SOCKET, as given to tabique run");
	}
	w->name = w->word[0];
	w->count--;
	memmove(&w->word[0], &w->word[1], w->count * sizeof w->word[0]);
	if (!strpbrk(w->name, "/."))
		return vm_name_check(w->name, err);
	/* A file, where the VM was left out. */
	err_set(err, -EINVAL, "which VM? '%.80s' is no name of a VM", w->name);
	return err_fix(err, "give its name first, or its control socket: --control "
			    "SOCKET");
}

int vm_verb_run(const struct vm_verb *table, size_t count, int argc, char **argv)
{
	const struct vm_verb *verb = table;
	struct err err = { 0 };
	struct vm_words w;
	int r;

	while (verb < table + count && strcmp(argv[1], verb->name) != 0)
		verb++;
	if (verb == table + count)
		return -1;
	r = read_words(argc - 2, argv + 2, verb->options, &w, &err);
	if (r == 0 && !verb->nameless)
		r = take_name(&w, &err);
	if (r == 0)
		r = verb->run(&w, &err);
	if (r < 0)
		print_error(&err);
	return exit_code_of(r);
}

static bool asks_for_help(int argc, char **argv)
{
	for (int k = 2; k < argc; k++)
		if (strcmp(argv[k], "--help") == 0)
			return true;
	return false;
}

int vm_noun_run(const struct vm_noun *noun, int argc, char **argv)
{
	struct err err = { 0 };
	int code;

	if (argc < 2 || strcmp(argv[1], "--help") == 0) {
		noun->help(argc < 2 ? stderr : stdout);
		return argc < 2 ? EXIT_USAGE : EXIT_DONE;
	}
	if (asks_for_help(argc, argv)) {
		noun->help(stdout);
		if (noun->more)
			noun->more();
		return EXIT_DONE;
	}
	code = vm_verb_run(noun->verbs, noun->count, argc, argv);
	if (code >= 0)
		return code;
	err_set(&err, -EINVAL, "'%s %s' is not part of this version", noun->name,
		argv[1]);
	err_fix(&err, "see 'tabique %s --help'", noun->name);
	print_error(&err);
	return EXIT_USAGE;
}

/* The whole path, and a connection, which is the caller's. */
static int approach(const struct vm_words *w, const char *path,
		    char ret_whole[HTTP_PATH_SIZE], int *ret_fd, struct err *err)
{
	int n = snprintf(ret_whole, HTTP_PATH_SIZE, "/1.0/vms/%s%s",
			 w->socket ? "self" : w->name, path);

	if (n < 0 || n >= (int)HTTP_PATH_SIZE)
		return err_set(err, -EINVAL, "'%.80s...' is too long", path);
	return w->socket ? control_connect(w->socket, CONTROL_OF_VM, ret_fd, err)
			 : host_connect(ret_fd, err);
}

int vm_fetch(const struct vm_words *w, const char *path, u8 **ret_bytes, size_t *ret_size,
	     struct err *err)
{
	char whole[HTTP_PATH_SIZE];
	int fd = -1, r = approach(w, path, whole, &fd, err);

	if (r < 0)
		return r;
	r = control_fetch(fd, whole, ret_bytes, ret_size, err);
	close(fd);
	return r;
}

int vm_ask(const struct vm_words *w, const char *method, const char *path, json_t *body,
	   json_t **ret_metadata, struct err *err)
{
	char whole[HTTP_PATH_SIZE];
	int fd = -1, r = approach(w, path, whole, &fd, err);

	if (r < 0) {
		json_decref(body);
		return r;
	}
	r = control_ask(fd, method, whole, body, ret_metadata, err);
	close(fd);
	return r;
}

void print_json(const json_t *json)
{
	json_dumpf(json, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	putchar('\n');
}

void print_nic(const json_t *nic)
{
	json_t *forward;
	size_t k;

	printf("nic: %s %s %s mtu %lld link %s\n",
	       json_string_value(json_object_get(nic, "id")),
	       json_string_value(json_object_get(nic, "network")),
	       json_string_value(json_object_get(nic, "mac")),
	       (long long)json_integer_value(json_object_get(nic, "mtu")),
	       json_string_value(json_object_get(nic, "link")));
	json_array_foreach(json_object_get(nic, "forwards"), k, forward)
		printf("forward: %s %s\n", json_string_value(json_object_get(nic, "id")),
		       json_string_value(forward));
}
