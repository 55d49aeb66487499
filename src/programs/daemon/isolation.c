/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What rights the processes of a VM have, read from outside: /proc/PID/status. What the kernel says is
 * shown as it is, not what we meant to do. See api.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "programs/daemon/api.h"

static const struct {
	const char *line, *name;
} lines[] = {
	{ "Uid:", "uid" },
	{ "Gid:", "gid" },
	{ "CapEff:", "capabilities" },
	{ "CapPrm:", "capabilities_permitted" },
	{ "CapBnd:", "capabilities_bounding" },
	{ "NoNewPrivs:", "no_new_privileges" },
	{ "Seccomp:", "seccomp" },
	{ "Threads:", "threads" },
	{ "VmRSS:", "resident_kib" },
};

static json_t *value_of(const char *name, const char *text)
{
	/* Masks as they stand; of four uids the first, all being alike. */
	if (strncmp(name, "cap", 3) == 0)
		return json_sprintf("%.*s", (int)strcspn(text, "\n"), text);
	if (strcmp(name, "no_new_privileges") == 0)
		return json_boolean(atoi(text));
	return json_integer((json_int_t)strtoull(text, NULL, 10));
}

static json_t *process(const char *who, s32 pid)
{
	json_t *p = json_pack("{s:s, s:i}", "process", who, "pid", (int)pid);
	char path[32], line[512];
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof line, f)) {
		for (size_t k = 0; k < ARRAY_COUNT(lines); k++) {
			size_t n = strlen(lines[k].line);

			if (strncmp(line, lines[k].line, n) == 0)
				json_object_set_new(
					p, lines[k].name,
					value_of(lines[k].name,
						 line + n + strspn(line + n, " \t")));
		}
	}
	if (f)
		fclose(f);
	return p;
}

void api_vm_isolation(struct daemon *d, struct api_call *c)
{
	const struct vm *vm = api_vm_running(d, c);
	json_t *list;

	if (!vm)
		return;
	list = json_array();
	json_array_append_new(list, process("tabique-hv", vm->known.hv));
	json_array_append_new(list, process("tabique-worker", vm->known.worker));
	if (vm->known.nat)
		json_array_append_new(list, process("tabique-nat", vm->known.nat));
	json_array_append_new(list, process("owner", vm->known.owner));
	json_array_append_new(list, process("tabiqued", getpid()));
	control_reply(c->call, list);
}
