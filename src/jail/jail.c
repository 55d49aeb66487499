/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layers of the jail that hold for a whole process; see jail.h. Each layer is a function that
 * says whether it holds; jail_enter is the list of them in order.
 *
 * Indispensable: no new privileges, not dumpable, no capabilities (where we had any), and at
 * least one of {another uid, Landlock}: without these the other process of the VM could be
 * written. Without an empty root or namespaces the jail is thinner, and the report says so.
 *
 * Runs on the main thread before any other exists.
 */
#include "jail/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* Landlock's interface, as far as we use it; the kernel headers of Debian 12 know ABI 1 to 2. */
struct landlock_rules {
	u64 fs, net, scoped;
};
#define LANDLOCK_ASK_VERSION 1u

/* ---- the layers ------------------------------------------------------------------------------ */

/*
 * Own mount, IPC, UTS, cgroup and network namespaces. Where we are not root, a user namespace of
 * our own gives the right to make the others.
 */
static int enter_namespaces(const struct jail_config *config)
{
	int others = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

	if (config->role != JAIL_NAT)
		others |= CLONE_NEWNET;
	if (geteuid() != 0)
		others |= CLONE_NEWUSER;
	return unshare(others) < 0 ? -errno : 0;
}

/*
 * An empty, read-only tmpfs as root. pivot_root forgets the old root; where it is refused (we
 * live in a plain chroot), chroot does, and the capability that could undo it goes next.
 * *ret_how is the word for the report.
 */
static int enter_empty_root(const char **ret_how)
{
	unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 && errno != EINVAL)
		return -errno;
	if (mount("jail", "/tmp", "tmpfs", flags | MS_RDONLY,
		  "size=4k,nr_inodes=2,mode=0555") < 0)
		return -errno;
	if (chdir("/tmp") < 0)
		return -errno;
	if (syscall(SYS_pivot_root, ".", ".") == 0) {
		if (umount2(".", MNT_DETACH) < 0)
			return -errno;
		*ret_how = "pivot_root";
	} else {
		if (chroot(".") < 0)
			return -errno;
		*ret_how = "chroot";
	}
	return chdir("/") < 0 ? -errno : 0;
}

static int limit(int what, rlim_t value)
{
	struct rlimit now, want = { .rlim_cur = value, .rlim_max = value };

	if (getrlimit((__rlimit_resource_t)what, &now) == 0 && now.rlim_max < value)
		want.rlim_cur = want.rlim_max = now.rlim_max;
	return setrlimit((__rlimit_resource_t)what, &want) < 0 ? -errno : 0;
}

/*
 * No core dumps (guest memory is the guest's), a fixed number of descriptors. The number of
 * processes counts per uid, so it is limited only where the uid is ours alone; hv has a
 * thread a VP.
 */
static int set_limits(const struct jail_config *config)
{
	int r = limit(RLIMIT_CORE, 0);

	if (r == 0)
		r = limit(RLIMIT_NOFILE, 1024);
	if (r == 0 && config->uid != 0 && geteuid() == 0)
		r = limit(RLIMIT_NPROC, config->role == JAIL_HV ? 512 : 64);
	return r;
}

static int become_uid(u32 uid, u32 gid)
{
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
	    setresuid(uid, uid, uid) < 0)
		return -errno;
	return 0;
}

static int drop_bounding_set(void)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EPERM)
			return -errno;
	return 0;
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version =
							   _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 &&
	    errno != EINVAL)
		return -errno;
	return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

/* Every access to files, the network and other domains that this kernel's Landlock knows. */
static int all_rules(bool network, struct landlock_rules *ret_rules, size_t *ret_size)
{
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_ASK_VERSION);
	struct landlock_rules rules = { .fs = (1u << 13) - 1 };
	size_t size = sizeof rules.fs;

	if (version < 0)
		return -errno;
	if (version >= 2)
		rules.fs |= 1u << 13; /* rename across folders */
	if (version >= 3)
		rules.fs |= 1u << 14; /* truncate */
	if (version >= 5)
		rules.fs |= 1u << 15; /* ioctl on devices */
	if (version >= 4) {
		rules.net = network ? 0 : 3; /* bind, connect by TCP */
		size = offsetof(struct landlock_rules, scoped);
	}
	if (version >= 6) {
		rules.scoped = 3; /* abstract sockets, signals to other domains */
		size = sizeof rules;
	}
	*ret_rules = rules;
	*ret_size = size;
	return 0;
}

static int enter_landlock(const struct jail_config *config)
{
	struct landlock_rules rules;
	size_t size;
	int r = all_rules(config->role == JAIL_NAT, &rules, &size);

	if (r < 0)
		return r;
	AUTO_CLOSE int fd = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
	if (fd < 0)
		return -errno;
	return syscall(SYS_landlock_restrict_self, fd, 0) < 0 ? -errno : 0;
}

/* ---- the list -------------------------------------------------------------------------------- */

struct report {
	char *text;
	size_t size;
};

static void say(struct report *report, const char *layer, int r)
{
	size_t used = strlen(report->text);

	if (used + 1 >= report->size)
		return;
	if (r == 0)
		snprintf(report->text + used, report->size - used, "%s%s",
			 used ? ", " : "", layer);
	else
		snprintf(report->text + used, report->size - used, "%sNO %s (%s)",
			 used ? ", " : "", layer, err_words(r));
}

int jail_enter(const struct jail_config *config, char *report_text, size_t size,
	       struct err *err)
{
	struct report report = { .text = report_text, .size = size };
	const char *how = "empty root";
	u32 out = config->leave_out;
	bool own_uid = false, landlock = false;
	bool was_root = geteuid() == 0;
	int r;

	report_text[0] = '\0';

	/* 1. Namespaces, and in them a root folder with nothing in it. */
	r = out & JAIL_NO_NAMESPACES ? -ECANCELED : enter_namespaces(config);
	say(&report, "namespaces", r);
	if (r == 0)
		r = out & JAIL_NO_ROOT ? -ECANCELED : enter_empty_root(&how);
	say(&report, how, r);

	/* 2. Limits, while we may still set them. */
	r = set_limits(config);
	if (r < 0)
		return err_set(err, r, "jail: cannot set resource limits: %s",
			       err_words(r));

	/* 3. Nothing of root's: the bounding set needs CAP_SETPCAP, so it goes first. */
	if (was_root && !(out & JAIL_NO_CAPS))
		(void)drop_bounding_set();
	if (config->uid != 0 && was_root) {
		r = out & JAIL_NO_UID ? -ECANCELED : become_uid(config->uid, config->uid);
		own_uid = r == 0;
		say(&report, "own uid", r);
	}
	if (!(out & JAIL_NO_CAPS)) {
		r = drop_capabilities();
		if (r < 0)
			return err_set(err, r, "jail: cannot drop capabilities: %s",
				       err_words(r));
	}

	/* 4. No way back up, and closed to others of the same uid. After the uid changed, since
	 * that resets the flag. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(err, -errno, "jail: cannot set no-new-privileges: %s",
			       err_words(-errno));
	if (!(out & JAIL_NO_DUMPABLE) && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_set(err, -errno, "jail: cannot become undumpable: %s",
			       err_words(-errno));

	/* 5. No files, no network, no other process. */
	r = out & JAIL_NO_LANDLOCK ? -ECANCELED : enter_landlock(config);
	landlock = r == 0;
	say(&report, "Landlock", r);

	if (!own_uid && !landlock && !(out & (JAIL_NO_UID | JAIL_NO_LANDLOCK))) {
		err_set(err, -EPERM,
			"jail: neither another user id nor Landlock can be had here, so "
			"the "
			"two processes of a VM would not be apart");
		return err_fix(err, "run as root, or on a kernel with Landlock (5.13 or "
				    "later, "
				    "'landlock' in the lsm= list)");
	}
	return 0;
}

/* ---- programs of the host -------------------------------------------------------------------- */

/* read_file, read_dir; and what makes, writes, removes and renames files. */
#define LANDLOCK_READ (1u << 2 | 1u << 3)
#define LANDLOCK_WRITE                                                                \
	(LANDLOCK_READ | 1u << 1 | 1u << 4 | 1u << 5 | 1u << 7 | 1u << 8 | 1u << 13 | \
	 1u << 14)

static int allow_folders(int ruleset, const char *const *folders, u64 rights)
{
	for (unsigned k = 0; k < JAIL_MAX_FOLDERS && folders[k]; k++) {
		struct {
			u64 rights;
			s32 folder;
		} PACKED rule = { .rights = rights };
		AUTO_CLOSE int fd = open(folders[k], O_PATH | O_CLOEXEC);

		rule.folder = fd;
		if (fd < 0 || syscall(SYS_landlock_add_rule, ruleset, 1, &rule, 0) < 0)
			return -errno;
	}
	return 0;
}

static int allow_only(const struct jail_service *service)
{
	struct landlock_rules rules;
	size_t size;
	int r = all_rules(true, &rules, &size);

	if (r < 0)
		return r;
	AUTO_CLOSE int fd = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
	if (fd < 0)
		return -errno;
	r = allow_folders(fd, service->writable, LANDLOCK_WRITE & rules.fs);
	if (r == 0)
		r = allow_folders(fd, service->readable, LANDLOCK_READ);
	if (r == 0 && syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		r = -errno;
	return r;
}

int jail_service(const struct jail_service *service, char *report_text, size_t size,
		 struct err *err)
{
	struct report report = { .text = report_text, .size = size };
	int r = 0;

	report_text[0] = '\0';
	if (geteuid() == 0)
		(void)drop_bounding_set();
	if (service->uid != 0 && geteuid() == 0) {
		r = become_uid(service->uid, service->gid);
		say(&report, "own uid", r);
	}
	if (r == 0)
		r = drop_capabilities();
	if (r == 0 && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		       prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0))
		r = -errno;
	if (r < 0)
		return err_set(err, r, "rights cannot be dropped: %s", err_words(r));
	say(&report, "Landlock", allow_only(service));
	return 0;
}
