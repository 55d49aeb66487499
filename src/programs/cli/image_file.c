/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and locking images; see image_file.h. */
#include "programs/cli/image_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "programs/cli/may_open.h"
#include "programs/cli/nbd_address.h"

/* ---- lock ------------------------------------------------------------------------------------ */

static int lock(int fd, bool writable)
{
	struct flock l = { .l_type = writable ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_OFD_SETLK, &l) == 0)
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

/* What was opened: a file is locked, a device was taken by O_EXCL. fd becomes the file's. */
static int take(int fd, const char *path, bool writable, struct image_file *ret_file,
		struct err *err)
{
	struct stat st;
	int size = 0, r = 0;

	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (S_ISREG(st.st_mode))
		r = lock(fd, writable);
	else if (!S_ISBLK(st.st_mode))
		r = -ENOTBLK;
	else if (ioctl(fd, BLKSSZGET, &size) < 0)
		r = -errno;
	if (r == 0) {
		*ret_file = (struct image_file){ .fd = fd,
						 .device_block = (u32)size,
						 .format = disk_format_of_name(path) };
		return 0;
	}
	close(fd);
	if (r == -EBUSY) {
		err_set(err, r, "disk '%s' is in use", path);
		return err_fix(err, "stop the VM or the command that has it open");
	}
	if (r == -ENOTBLK) {
		err_set(err, -EINVAL, "disk '%s' is neither a file nor a block device",
			path);
		return err_fix(err, "give a disk image or a block device");
	}
	return err_set(err, r, "disk '%s' cannot be locked: %s", path, err_words(r));
}

static int open_failed(const char *path, int r, struct err *err)
{
	err_set(err, r, "disk '%s' cannot be opened: %s", path, err_words(r));
	if (may_open_cure(r))
		return err_fix(err, "%s", may_open_cure(r));
	return err_fix(err, r == -ENOENT  ? "check the name"
			    : r == -EBUSY ? "unmount it, or stop who uses it"
					  : "check who may read and write it");
}

static int open_nbd(const char *address, struct image_file *ret_file, struct err *err)
{
	struct image_file file = { .nbd = true, .format = DISK_RAW };
	struct nbd_address where;
	int r = nbd_address_parse(address, &where, err);

	if (r < 0)
		return r;
	file.fd = nbd_address_connect(address, &where, err);
	if (file.fd < 0)
		return file.fd;
	memcpy(file.nbd_export, where.export, sizeof file.nbd_export);
	*ret_file = file;
	return 0;
}

int image_file_open(const char *path, bool writable, struct image_file *ret_file,
		    struct err *err)
{
	int flags = (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	struct stat st;
	int fd;

	if (disk_name_is_nbd(path))
		return open_nbd(path, ret_file, err);
	/* O_EXCL means something for block devices only. */
	if (stat(path, &st) == 0 && S_ISBLK(st.st_mode) && writable)
		flags |= O_EXCL;
	fd = may_open(path, flags);
	if (fd < 0)
		return open_failed(path, fd, err);
	return take(fd, path, writable, ret_file, err);
}

/* ---- parents --------------------------------------------------------------------------------- */

/* The folder of a path, "." where it names none. */
static int folder_of(const char *path, char *ret_folder, size_t size)
{
	const char *slash = strrchr(path, '/');
	int n = !slash ? snprintf(ret_folder, size, ".")
		: slash == path
			? snprintf(ret_folder, size, "/")
			: snprintf(ret_folder, size, "%.*s", (int)(slash - path), path);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* name, from folder on, and not out of it by any way. */
static int open_beneath(const char *folder, const char *name, bool writable)
{
	struct open_how how = {
		.flags = (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK |
			 O_NOCTTY,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	AUTO_CLOSE int dir = may_open(folder, O_PATH | O_DIRECTORY);
	int fd;

	if (dir < 0)
		return dir;
	while (name[0] == '.' && name[1] == '/')
		name += 2;
	if (name[0] == '\0')
		return -ENOENT;
	fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof how);
	return fd < 0 ? -errno : fd;
}

struct search {
	const char *name[3]; /* as the child says it, then the last part alone */
	unsigned count;
};

static void add_name(struct search *s, const char *name)
{
	if (name[0])
		s->name[s->count++] = name;
}

static const char *last_part(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash ? slash + 1 : name;
}

static void join(const char *folder, const char *name, char *ret_path, size_t size)
{
	while (name[0] == '.' && name[1] == '/')
		name += 2;
	if (strcmp(folder, ".") == 0)
		snprintf(ret_path, size, "%s", name);
	else
		snprintf(ret_path, size, "%s/%s", folder, name);
}

int image_file_open_parent(const char *child_path, const char *relative,
			   const char *absolute, const struct image_folders *folders,
			   bool writable, char *ret_path, size_t size,
			   struct image_file *ret_file, struct err *err)
{
	struct search names = { 0 };
	char own[PATH_MAX];
	int r = folder_of(child_path, own, sizeof own), fd = -ENOENT;

	if (r < 0)
		return err_set(err, r, "disk '%s': %s", child_path, err_words(r));
	add_name(&names, relative);
	add_name(&names, last_part(relative));
	add_name(&names, last_part(absolute));
	for (unsigned i = 0; i <= folders->count && fd < 0; i++) {
		const char *folder = i == 0 ? own : folders->folder[i - 1];

		for (unsigned k = 0; k < names.count && fd < 0; k++) {
			const char *name = names.name[k];

			fd = open_beneath(folder, name, writable);
			if (fd >= 0)
				join(folder, name, ret_path, size);
		}
	}
	if (fd < 0) {
		err_set(err, -ENOENT, "disk '%s': its parent '%s' is not in its folder",
			child_path, relative[0] ? relative : absolute);
		return err_fix(err, "put it there, or name its folder: parents=DIR");
	}
	return take(fd, ret_path, writable, ret_file, err);
}

int image_file_relative(const char *from_path, const char *to_path, char *ret_relative,
			char *ret_absolute, size_t size, struct err *err)
{
	char folder[PATH_MAX], from[PATH_MAX], to[PATH_MAX];
	size_t common = 0, used;
	int n = folder_of(from_path, folder, sizeof folder);

	if (n < 0 || !realpath(folder, from) || !realpath(to_path, to))
		return err_set(err, n < 0 ? n : -errno, "'%s' cannot be found: %s",
			       to_path, err_words(n < 0 ? n : -errno));
	if (strcmp(from, "/") == 0)
		from[0] = '\0';
	/* As far as both have the same folders. */
	for (size_t i = 0;; i++) {
		if ((from[i] == '/' || from[i] == '\0') && to[i] == '/')
			common = i;
		if (from[i] != to[i] || from[i] == '\0')
			break;
	}
	used = (size_t)snprintf(ret_relative, size, "%s", from[common] ? "" : "./");
	for (const char *p = from + common; *p && used < size; p++)
		if (*p == '/')
			used += (size_t)snprintf(ret_relative + used, size - used, "../");
	if (used < size)
		used += (size_t)snprintf(ret_relative + used, size - used, "%s",
					 to + common + 1);
	n = snprintf(ret_absolute, size, "%s", to);
	if (used >= size || n < 0 || (size_t)n >= size)
		return err_set(err, -ENAMETOOLONG, "the path of '%s' is too long",
			       to_path);
	return 0;
}

/* ---- new files ------------------------------------------------------------------------------- */

int new_file_make(const char *path, struct new_file *ret_file, struct err *err)
{
	struct new_file f = { .path = path };
	char folder[PATH_MAX];
	int r;

	if (disk_name_is_nbd(path)) {
		err_set(err, -EOPNOTSUPP,
			"'%.200s' is on an NBD server, which alone can make it", path);
		return err_fix(err, "give a file");
	}
	r = folder_of(path, folder, sizeof folder);

	if (r == 0 && access(path, F_OK) == 0)
		r = -EEXIST;
	if (r == 0) {
		f.fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
		if (f.fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
			f.named = true;
			f.fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		}
		r = f.fd < 0 ? -errno : lock(f.fd, true);
	}
	if (r < 0) {
		err_set(err, r, "'%s' cannot be made: %s", path, err_words(r));
		return err_fix(err, r == -EEXIST ? "remove it or choose another name"
						 : "check the folder");
	}
	*ret_file = f;
	return 0;
}

static int sync_folder(const char *path)
{
	char folder[PATH_MAX];
	int r = folder_of(path, folder, sizeof folder);

	if (r < 0)
		return r;
	AUTO_CLOSE int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

int new_file_finish(struct new_file *f, struct err *err)
{
	char self[40];
	int r = 0;

	snprintf(self, sizeof self, "/proc/self/fd/%d", f->fd);
	if (fsync(f->fd) < 0 || (!f->named && linkat(AT_FDCWD, self, AT_FDCWD, f->path,
						     AT_SYMLINK_FOLLOW) < 0))
		r = -errno;
	if (r == 0) {
		f->named = false;
		r = sync_folder(f->path);
	}
	return r < 0 ? err_set(err, r, "'%s' cannot be made: %s", f->path, err_words(r))
		     : 0;
}

void new_file_close(struct new_file *f)
{
	if (f->named)
		unlink(f->path);
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}
