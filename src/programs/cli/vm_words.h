/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the verbs about a VM have in common: words of the command line; and the VM, by its name, which
 * the host's daemon knows, or by the control socket of `tabique run`, which stands in place of it.
 */
#pragma once

#include <jansson.h>
#include <stdio.h>

#include "base/err.h"

#define VM_MAX_WORDS 40

struct vm_words {
	const char *socket; /* --control; NULL: the VM has a name */
	const char *name;   /* of a VM of the host's daemon, the first word */
	const char *word[VM_MAX_WORDS];
	unsigned count;
	bool json, wide; /* -o json, -o wide */
	/* what single verbs know */
	bool force, no_wait, read_only, passthrough, dhcp, text;
	const char *controller, *lun, *format, *timeout;
	const char *address, *mask, *gateway, *dns;
	bool isolation, serial, yes;
	const char *state;
	const char *file, *layout, *x, *y, *buttons, *wheel;
};

/* A verb about a VM that runs, with the options that it knows, NULL at the end. */
struct vm_verb {
	const char *name;
	int (*run)(const struct vm_words *words, struct err *err);
	/* "*=": key=value of any other key is a word */
	const char *options[6];
	bool nameless; /* about all of them */
};

/*
 * Run the verb that argv[1] names, and say what went wrong. The exit code; -1: it is none of the
 * table.
 */
int vm_verb_run(const struct vm_verb *table, size_t count, int argc, char **argv);

/* vm, nic, op: verbs under one word. */
struct vm_noun {
	const char *name;
	void (*help)(FILE *to);
	void (*more)(
		void); /* to standard output after the help of a verb; NULL: nothing */
	const struct vm_verb *verbs;
	size_t count;
};

/* The same, with help and a word about verbs that there are none of. The exit code. */
int vm_noun_run(const struct vm_noun *noun, int argc, char **argv);

/* One request about the VM: path is what stands behind /1.0/vms/NAME. As control_ask. */
int vm_ask(const struct vm_words *words, const char *method, const char *path,
	   json_t *body, json_t **ret_metadata, struct err *err) MUST_CHECK;

/* GET something of the VM that is no JSON. As control_fetch. */
int vm_fetch(const struct vm_words *words, const char *path, u8 **ret_bytes,
	     size_t *ret_size, struct err *err) MUST_CHECK;

void print_json(const json_t *json);
/* As 'vm show' and 'nic list' do: a line, and one a forward. */
void print_nic(const json_t *nic);
