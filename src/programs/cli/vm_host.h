/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs about the VMs of the host's daemon: those that a VM's own socket does not know. */
#pragma once

#include "programs/cli/vm_words.h"

int vm_create(const struct vm_words *words, struct err *err);
int vm_start(const struct vm_words *words, struct err *err);
int vm_delete(const struct vm_words *words, struct err *err);
/* Of a VM by name. */
int vm_set_config(const struct vm_words *words, struct err *err);
int vm_show_isolation(const struct vm_words *words, struct err *err);
int vm_list(const struct vm_words *words, struct err *err);
/* The serial console, here, until Ctrl-]. */
int vm_console(const struct vm_words *words, struct err *err);

/* The fields of a configuration, for --help. */
void vm_print_fields(void);
