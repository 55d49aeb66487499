/* SPDX-License-Identifier: Apache-2.0 */
/* Files that VMs may use; see host_paths.h. */
#include "config/host_paths.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

void host_daemon_ids(u32 *ret_uid, u32 *ret_gid)
{
	const struct passwd *account;

	*ret_uid = geteuid();
	*ret_gid = getegid();
	if (*ret_uid != 0)
		return;
	account = getpwnam(HOST_DAEMON_ACCOUNT);
	*ret_uid = account ? account->pw_uid : HOST_DAEMON_UID;
	*ret_gid = account ? account->pw_gid : HOST_DAEMON_UID;
}

/* ---- the file -------------------------------------------------------------------------------- */

static int add_folder(struct host_allow *a, const char *path)
{
	int fd;

	if (a->folder_count == HOST_MAX_FOLDERS)
		return -E2BIG;
	if (path[0] != '/' || strlen(path) >= sizeof a->path[0])
		return -EINVAL;
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0
				       : -errno; /* made later: of no use until then */
	a->folder[a->folder_count] = fd;
	snprintf(a->path[a->folder_count], sizeof a->path[0], "%s", path);
	for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
		a->path[a->folder_count][n - 1] = '\0';
	a->folder_count++;
	return 0;
}

static int add_tap(struct host_allow *a, const char *name)
{
	if (a->tap_count == HOST_MAX_TAPS)
		return -E2BIG;
	if (strlen(name) >= sizeof a->tap[0])
		return -EINVAL;
	snprintf(a->tap[a->tap_count++], sizeof a->tap[0], "%s", name);
	return 0;
}

static int take_line(struct host_allow *a, char *line)
{
	char *word, *value, *more;

	line[strcspn(line, "#\n")] = '\0';
	word = strtok_r(line, " \t", &more);
	if (!word)
		return 0;
	value = strtok_r(NULL, " \t", &more);
	if (!value || strtok_r(NULL, " \t", &more))
		return -EINVAL;
	if (strcmp(word, "folder") == 0)
		return add_folder(a, value);
	return strcmp(word, "tap") == 0 ? add_tap(a, value) : -EINVAL;
}

/* Who may write the file decides what root opens. */
static int check_owner(FILE *f, const char *path, struct err *err)
{
	struct stat st;

	if (fstat(fileno(f), &st) < 0)
		return err_set(err, -errno, "'%s': %s", path, err_words(-errno));
	if (S_ISREG(st.st_mode) && (st.st_uid == 0 || st.st_uid == geteuid()) &&
	    !(st.st_mode & 022))
		return 0;
	err_set(err, -EPERM, "'%s' can be written by others than root", path);
	return err_fix(err, "chown root '%s'; chmod 644 '%s'", path, path);
}

int host_allow_read(const char *path, struct host_allow *ret_allow, struct err *err)
{
	FILE *f = fopen(path, "re");
	char line[2048];
	int r = 0;

	ret_allow->folder_count = ret_allow->tap_count = 0;
	if (!f) {
		r = -errno;
		err_set(err, r, "'%s', which lists what VMs may use, cannot be read: %s",
			path, err_words(r));
		return err_fix(err,
			       "make it: echo 'folder /var/lib/tabique/images' >'%s'",
			       path);
	}
	r = check_owner(f, path, err);
	for (unsigned number = 1; r == 0 && fgets(line, sizeof line, f); number++) {
		r = strchr(line, '\n') || feof(f) ? take_line(ret_allow, line) : -E2BIG;
		if (r < 0) {
			err_set(err, r, "'%s', line %u: %s", path, number,
				r == -EINVAL ? "it is not understood" : err_words(r));
			err_fix(err, "write 'folder /PATH' or 'tap NAME'");
		}
	}
	fclose(f);
	return r;
}

/* ---- use ------------------------------------------------------------------------------------- */

int host_allow_open(const struct host_allow *a, const char *path, int flags)
{
	struct open_how how = {
		.flags = (u64)flags | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	for (unsigned k = 0; k < a->folder_count; k++) {
		size_t n = strlen(a->path[k]);
		const char *rest = path + n;
		int fd;

		if (strncmp(path, a->path[k], n) != 0 || (n > 1 && *rest && *rest != '/'))
			continue;
		while (*rest == '/')
			rest++;
		fd = (int)syscall(SYS_openat2, a->folder[k], *rest ? rest : ".", &how,
				  sizeof how);
		return fd < 0 ? -errno : fd;
	}
	return -EACCES;
}

bool host_allow_tap(const struct host_allow *a, const char *name)
{
	for (unsigned k = 0; k < a->tap_count; k++)
		if (strcmp(a->tap[k], name) == 0)
			return true;
	return false;
}
