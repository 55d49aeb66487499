/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the verbs about a VM that runs have in common: words of the command line, and the VM's
 * control socket, which stands in place of its name.
 */
#pragma once

#include <jansson.h>

#include "base/err.h"

#define VM_MAX_WORDS 4

struct vm_words {
	const char *socket; /* --control */
	const char *word[VM_MAX_WORDS];
	unsigned count;
	bool json; /* -o json */
	/* what single verbs know */
	bool force, no_wait, read_only, passthrough;
	const char *controller, *lun, *format, *timeout;
};

/* The words behind the verb. -EINVAL with the sentence; allowed: names of options, NULL at the end. */
int vm_words_read(int argc, char **argv, const char *const *allowed,
		  struct vm_words *ret_words, struct err *err) MUST_CHECK;

/* One request about the VM: path is what stands behind /1.0/vms/self. As control_ask. */
int vm_ask(const struct vm_words *words, const char *method, const char *path,
	   json_t *body, json_t **ret_metadata, struct err *err) MUST_CHECK;

void print_json(const json_t *json);
