/* SPDX-License-Identifier: Apache-2.0 */
/* Requests, checked, and as words; see requests.h. */
#include "programs/launcher/requests.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

static bool has_end(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static int refuse(struct err *err, const char *what)
{
	err_set(err, -EINVAL, "the launcher refuses the request: %s", what);
	return err_fix(err, "daemon and launcher have to be of one version");
}

static bool name_is_good(const char *name)
{
	if (!has_end(name, LAUNCH_NAME) || !isalnum((unsigned char)name[0]))
		return false;
	for (; *name; name++)
		if ((unsigned char)*name >= 0x80 ||
		    !(isalnum((unsigned char)*name) || *name == '-' || *name == '_'))
			return false;
	return true;
}

static bool engine_is_good(const char *engine)
{
	static const char *const engines[] = { "auto", "kvm", "soft", "interp" };

	for (size_t k = 0; k < ARRAY_COUNT(engines); k++)
		if (has_end(engine, LAUNCH_WORD_SIZE) && strcmp(engine, engines[k]) == 0)
			return true;
	return false;
}

static bool path_is_good(const char *path)
{
	return has_end(path, LAUNCH_PATH) && path[0] == '/';
}

/* Only what the host's list of taps or nobody need allow: a switch's socket is not among it yet. */
static bool nic_is_good(const char *nic)
{
	return has_end(nic, LAUNCH_WORD) &&
	       (strncmp(nic, "tap=", 4) == 0 || strcmp(nic, "nat") == 0 ||
		strncmp(nic, "nat,", 4) == 0);
}

static bool limits_are_good(const struct launch_limits *l)
{
	return l->weight >= 1 && l->weight <= 10000 && l->limit <= 100000 &&
	       l->reserve <= 100000;
}

static int check_start(const struct launch_request *r, struct err *err)
{
	if (!engine_is_good(r->engine))
		return refuse(err, "there is no such engine");
	/* --initrd has commas between several. */
	if (!path_is_good(r->kernel) || !has_end(r->initrd, LAUNCH_PATH) ||
	    (r->initrd[0] && !path_is_good(r->initrd)) || strpbrk(r->initrd, ", "))
		return refuse(err, "kernel or initrd is no whole path, or has a comma or "
				   "blank in it");
	if (!has_end(r->append, LAUNCH_APPEND))
		return refuse(err, "a text has no end");
	if (r->disk_count > LAUNCH_MAX_DISKS || r->cdrom_count > LAUNCH_MAX_DISKS ||
	    r->nic_count > LAUNCH_MAX_NICS)
		return refuse(err, "more devices than there can be");
	for (u32 k = 0; k < r->disk_count; k++)
		if (!path_is_good(r->disk[k]))
			return refuse(err, "a disk is no whole path");
	for (u32 k = 0; k < r->cdrom_count; k++)
		if (!path_is_good(r->cdrom[k]))
			return refuse(err, "a disc is no whole path");
	for (u32 k = 0; k < r->nic_count; k++)
		if (!nic_is_good(r->nic[k]))
			return refuse(err, "a network adapter is neither on nat nor on a "
					   "tap");
	return limits_are_good(&r->limits) ? 0 : refuse(err, "limits out of range");
}

int launch_request_check(const struct launch_request *r, struct err *err)
{
	if (r->version != LAUNCH_VERSION)
		return refuse(err, "another version");
	switch ((enum launch_kind)r->kind) {
	case LAUNCH_LIST:
		return 0;
	case LAUNCH_START:
	case LAUNCH_KILL:
	case LAUNCH_LIMITS:
		break;
	case LAUNCH_DONE:
	case LAUNCH_FAILED:
	case LAUNCH_VM:
	case LAUNCH_ENDED:
		return refuse(err, "it is an answer");
	default: /* from outside */
		return refuse(err, "unknown kind");
	}
	if (!name_is_good(r->name))
		return refuse(err, "that is no name of a VM");
	if (r->kind == LAUNCH_START)
		return check_start(r, err);
	if (r->kind == LAUNCH_LIMITS && !limits_are_good(&r->limits))
		return refuse(err, "limits out of range");
	return 0;
}

/* ---- words ----------------------------------------------------------------------------------- */

static void add(struct launch_words *w, size_t *io_count, const char *option,
		const char *value)
{
	w->argv[(*io_count)++] = option;
	w->argv[(*io_count)++] = value;
}

void launch_words_make(const struct launch_request *r, const char *control,
		       const char *allow, int socket, struct launch_words *w)
{
	size_t count = 0;

	snprintf(w->cpus, sizeof w->cpus, "%u", r->cpus);
	snprintf(w->memory, sizeof w->memory, "%llu", (unsigned long long)r->memory);
	snprintf(w->socket, sizeof w->socket, "%d", socket);
	add(w, &count, "tabique", "run");
	add(w, &count, "--launched", w->socket);
	add(w, &count, "--allow", allow);
	add(w, &count, "--control", control);
	add(w, &count, "--engine", r->engine);
	add(w, &count, "--cpus", w->cpus);
	add(w, &count, "--memory", w->memory);
	add(w, &count, "--kernel", r->kernel);
	if (r->initrd[0])
		add(w, &count, "--initrd", r->initrd);
	add(w, &count, "--append", r->append);
	for (u32 k = 0; k < r->disk_count; k++)
		add(w, &count, "--disk", r->disk[k]);
	for (u32 k = 0; k < r->cdrom_count; k++)
		add(w, &count, "--cdrom", r->cdrom[k]);
	for (u32 k = 0; k < r->nic_count; k++)
		add(w, &count, "--net", r->nic[k]);
	w->argv[count] = NULL;
}
