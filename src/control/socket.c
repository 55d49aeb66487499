/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket's place; see socket.h. Addresses of UNIX sockets are short: the folder is opened
 * and the socket is named from there.
 */
#include "control/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define BACKLOG 64

static const struct {
	int type;
	const char *what, *who, *start; /* words; the path follows start */
} kinds[] = {
	[CONTROL_OF_VM] = { SOCK_STREAM, "control socket", "VM",
			    "tabique run ... --control" },
	[CONTROL_OF_SWITCH] = { SOCK_SEQPACKET, "switch socket", "switch",
				"tabique switch run" },
	[CONTROL_OF_SCREEN] = { SOCK_STREAM, "screen's socket", "VM",
				"tabique run ... --screen" },
	[CONTROL_OF_DAEMON] = { SOCK_STREAM, "API socket", "daemon",
				"tabiqued --run; its socket is" },
	[CONTROL_OF_LAUNCHER] = { SOCK_SEQPACKET, "launcher socket", "launcher",
				  "tabique-launcher --run; its socket is" },
};

/* Folder of a path, opened, and the socket's address by way of it. */
struct spot {
	int folder;
	const char *name; /* in path */
	struct sockaddr_un address;
};

static int open_spot(const char *path, struct spot *ret_spot)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	struct spot s = { .folder = -1,
			  .name = name,
			  .address = { .sun_family = AF_UNIX } };
	char folder[PATH_MAX];
	int n = snprintf(folder, sizeof folder, "%.*s",
			 slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");

	if (n < 0 || (size_t)n >= sizeof folder)
		return -ENAMETOOLONG;
	if (name[0] == '\0')
		return -EISDIR;
	s.folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s.folder < 0)
		return -errno;
	n = snprintf(s.address.sun_path, sizeof s.address.sun_path, "/proc/self/fd/%d/%s",
		     s.folder, name);
	if ((size_t)n >= sizeof s.address.sun_path) {
		close(s.folder);
		return -ENAMETOOLONG;
	}
	*ret_spot = s;
	return 0;
}

/* Connected, or a negative errno. */
static int try_connect(const struct spot *s, enum control_kind kind, int flags)
{
	AUTO_CLOSE int fd = socket(AF_UNIX, kinds[kind].type | SOCK_CLOEXEC | flags, 0);

	if (fd < 0 ||
	    connect(fd, (const struct sockaddr *)&s->address, sizeof s->address) < 0)
		return -errno;
	return take_fd(&fd);
}

/* What stands in the way of a new socket goes, if it is a socket without anybody behind it. */
static int make_room(const struct spot *s, enum control_kind kind)
{
	struct stat st;
	int fd;

	if (fstatat(s->folder, s->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = try_connect(s, kind, SOCK_NONBLOCK);
	if (fd >= 0)
		close(fd);
	if (fd != -ECONNREFUSED)
		return fd >= 0 || fd == -EAGAIN || fd == -EPROTOTYPE ? -EBUSY : fd;
	return unlinkat(s->folder, s->name, 0) < 0 ? -errno : 0;
}

static int make_socket(const struct spot *s, enum control_kind kind,
		       struct control_place *ret_place)
{
	AUTO_CLOSE int fd =
		socket(AF_UNIX, kinds[kind].type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask = umask(0177);
	struct stat st;
	int r = fd < 0 || bind(fd, (const struct sockaddr *)&s->address,
			       sizeof s->address) < 0
			? -errno
			: 0;

	umask(mask);
	if (r == 0 && (listen(fd, BACKLOG) < 0 ||
		       fstatat(s->folder, s->name, &st, AT_SYMLINK_NOFOLLOW) < 0))
		r = -errno;
	if (r < 0)
		return r;
	ret_place->device = st.st_dev;
	ret_place->inode = st.st_ino;
	ret_place->fd = take_fd(&fd);
	return 0;
}

int control_listen(const char *path, enum control_kind kind,
		   struct control_place *ret_place, struct err *err)
{
	const char *what = kinds[kind].what;
	struct control_place place = { .fd = -1 };
	struct spot s = { .folder = -1 };
	int r = open_spot(path, &s);

	if (r == 0 && flock(s.folder, LOCK_EX) < 0)
		r = -errno;
	if (r == 0)
		r = make_room(&s, kind);
	if (r == 0)
		r = make_socket(&s, kind, &place);
	if (r == 0) {
		/* We may be in another folder when it is to be removed. */
		place.path = realpath(path, NULL);
		if (!place.path)
			r = -errno;
	}
	if (s.folder >= 0)
		close(s.folder);
	if (r == 0) {
		*ret_place = place;
		return 0;
	}
	if (place.fd >= 0)
		close(place.fd);
	switch (r) {
	case -EBUSY:
		err_set(err, r, "%s '%s' is in use", what, path);
		return err_fix(err, "take another name, or end the %s that has it",
			       kinds[kind].who);
	case -EEXIST:
		err_set(err, r, "%s '%s': a file of that name is there", what, path);
		return err_fix(err, "take another name, or remove the file");
	default:
		err_set(err, r, "%s '%s' cannot be made: %s", what, path, err_words(r));
		return err_fix(err, "check the folder and who may write there");
	}
}

void control_unlisten(struct control_place *place)
{
	struct spot s = { .folder = -1 };
	struct stat st;

	if (place->fd < 0)
		return;
	if (open_spot(place->path, &s) == 0 && flock(s.folder, LOCK_EX) == 0 &&
	    fstatat(s.folder, s.name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_dev == place->device && st.st_ino == place->inode)
		unlinkat(s.folder, s.name, 0);
	if (s.folder >= 0)
		close(s.folder);
	close(take_fd(&place->fd));
	free(take_ptr(place->path));
}

int control_connect(const char *path, enum control_kind kind, int *ret_fd,
		    struct err *err)
{
	struct spot s = { .folder = -1 };
	int r = open_spot(path, &s);

	if (r == 0) {
		r = try_connect(&s, kind, 0);
		close(s.folder);
	}
	if (r >= 0) {
		*ret_fd = r;
		return 0;
	}
	if (r == -ECONNREFUSED || r == -ENOENT || r == -ENOTDIR || r == -ENOTSOCK) {
		err_set(err, -ENOENT, "no %s listens on '%s'", kinds[kind].who, path);
		return err_fix(err, "start it with: %s %s", kinds[kind].start, path);
	}
	if (r == -EPROTOTYPE) {
		err_set(err, -EINVAL, "'%s' is not the socket of a %s", path,
			kinds[kind].who);
		return err_fix(err, "start it with: %s %s", kinds[kind].start, path);
	}
	err_set(err, r, "%s '%s': %s", kinds[kind].what, path, err_words(r));
	return err_fix(err, "check the path and who may use it: ls -l '%s'", path);
}
