/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control groups; see groups.h. cgroup-v2.rst and sched-bwc.rst of the kernel. A reserve is weight: a VM
 * that is to have N percent of a processor whatever others do weighs at least as much as that is of the whole
 * host beside others of weight 100.
 */
#include "programs/launcher/groups.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/log.h"

#define PERIOD_US 100000u

static char base[128]; /* "": there are none */
static bool v2;
static char report[128];

static int write_file(const char *group, const char *file, const char *text)
{
	char path[512];
	ssize_t n;

	snprintf(path, sizeof path, "%s/%s%s%s", base, group, group[0] ? "/" : "", file);
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	return n < 0 ? -errno : 0;
}

static bool take(const char *folder, bool is_v2)
{
	snprintf(base, sizeof base, "%s/tabique", folder);
	v2 = is_v2;
	if (mkdir(base, 0755) == 0 || errno == EEXIST)
		return true;
	base[0] = '\0';
	return false;
}

/* v2: below a group that hands the processor on. */
static bool hands_on(void)
{
	return write_file("..", "cgroup.subtree_control", "+cpu") == 0 &&
	       write_file("", "cgroup.subtree_control", "+cpu") == 0;
}

void groups_open(void)
{
	if (access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0) {
		if (take("/sys/fs/cgroup", true) && !hands_on())
			base[0] = '\0';
		snprintf(report, sizeof report, "%s",
			 base[0] ? "cgroups v2" : "no cgroups (v2 is not ours)");
		return;
	}
	if (access("/sys/fs/cgroup/cpu/cpu.shares", F_OK) == 0)
		(void)take("/sys/fs/cgroup/cpu", false);
	snprintf(report, sizeof report, "%s",
		 base[0] ? "cgroups v1 (cpu)" : "no cgroups (none can be written)");
}

const char *groups_report(void)
{
	return report;
}

/* A reserve of N percent on a host of M processors beside others: at least N/M of all. */
static u64 weight_of(const struct launch_limits *l)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	u64 reserve = processors > 0 ? (u64)l->reserve * 100 / (u64)processors : 0;

	return min_u64(max_u64(l->weight, reserve), 10000);
}

int group_set(const char *name, const struct launch_limits *l)
{
	char text[64];
	int r;

	if (!base[0])
		return -EOPNOTSUPP;
	/* v1: 1024 is everybody's. */
	snprintf(text, sizeof text, "%llu",
		 (unsigned long long)(v2 ? weight_of(l)
					 : max_u64(weight_of(l) * 1024 / 100, 2)));
	r = write_file(name, v2 ? "cpu.weight" : "cpu.shares", text);
	if (r < 0)
		return r;
	if (v2 && l->limit)
		snprintf(text, sizeof text, "%u %u", l->limit * (PERIOD_US / 100),
			 PERIOD_US);
	else if (v2)
		snprintf(text, sizeof text, "max %u", PERIOD_US);
	else if (l->limit)
		snprintf(text, sizeof text, "%u", l->limit * (PERIOD_US / 100));
	else
		snprintf(text, sizeof text, "-1");
	return write_file(name, v2 ? "cpu.max" : "cpu.cfs_quota_us", text);
}

void group_make(const char *name, const struct launch_limits *limits)
{
	char path[512];

	if (!base[0])
		return;
	snprintf(path, sizeof path, "%s/%s", base, name);
	if ((mkdir(path, 0755) < 0 && errno != EEXIST) || group_set(name, limits) < 0)
		log_warn("VM '%s' has no limits of processor time: '%s' is not ours",
			 name, path);
}

void group_join(const char *name)
{
	if (base[0])
		(void)write_file(name, "cgroup.procs", "0");
}

void group_remove(const char *name)
{
	char path[512];

	if (!base[0])
		return;
	snprintf(path, sizeof path, "%s/%s", base, name);
	(void)rmdir(path);
}
