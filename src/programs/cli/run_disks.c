/* SPDX-License-Identifier: Apache-2.0 */
/* The disks of `tabique run`; see run_disks.h. */
#include "programs/cli/run_disks.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

static const char *const format_names[] = {
	[WORKER_IMAGE_RAW] = "raw",
	[WORKER_IMAGE_ISO] = "iso",
	[WORKER_IMAGE_VHD] = "vhd",
	[WORKER_IMAGE_VHDX] = "vhdx",
};

/* ---- the option ---- */

static int set_word(struct run_disk *d, const char *word, size_t size, struct err *err)
{
	if (size == 2 && memcmp(word, "ro", 2) == 0) {
		d->read_only = true;
		return 0;
	}
	if (size == 8 && memcmp(word, "bus=scsi", 8) == 0)
		return 0;
	if (size == 7 && memcmp(word, "bus=ide", 7) == 0) {
		err_set(err, -EINVAL, "--disk: bus=ide is not yet part of this version");
		return err_fix(err, "use bus=scsi");
	}
	if (size > 7 && memcmp(word, "format=", 7) == 0) {
		for (size_t k = 0; k < ARRAY_COUNT(format_names); k++) {
			if (strlen(format_names[k]) == size - 7 &&
			    memcmp(word + 7, format_names[k], size - 7) == 0) {
				d->format = (int)k;
				return 0;
			}
		}
	}
	err_set(err, -EINVAL, "--disk: '%.*s' is not known", (int)size, word);
	return err_fix(err, "give FILE[,ro][,bus=scsi][,format=raw|iso|vhd|vhdx]");
}

int run_disks_add(struct run_disks *disks, const char *value, bool dvd, struct err *err)
{
	size_t size = strcspn(value, ",");
	const char *option = dvd ? "--cdrom" : "--disk";

	if (disks->count == WORKER_MAX_DISKS) {
		err_set(err, -EINVAL, "%s: a VM can have at most %d disks", option,
			WORKER_MAX_DISKS);
		return err_fix(err, "leave some out");
	}
	struct run_disk *d = &disks->disk[disks->count];
	if (size == 0 || size >= sizeof d->path) {
		err_set(err, -EINVAL, "%s: '%.*s' is not a file name", option,
			(int)min_u64(size, 80), value);
		return err_fix(err, "give %s FILE", option);
	}
	*d = (struct run_disk){ .dvd = dvd, .read_only = dvd, .format = -1 };
	memcpy(d->path, value, size);
	if (dvd)
		d->format = WORKER_IMAGE_ISO;
	while (value[size]) {
		const char *word = value + size + 1;
		size_t n = strcspn(word, ",");
		int r = set_word(d, word, n, err);

		if (r < 0)
			return r;
		size += 1 + n;
	}
	disks->count++;
	return 0;
}

/* ---- files ---- */

static int format_of_name(const char *path)
{
	static const struct {
		const char *end;
		int format;
	} ends[] = {
		{ ".iso", WORKER_IMAGE_ISO },	 { ".vhd", WORKER_IMAGE_VHD },
		{ ".avhd", WORKER_IMAGE_VHD },	 { ".vhdx", WORKER_IMAGE_VHDX },
		{ ".avhdx", WORKER_IMAGE_VHDX },
	};
	size_t length = strlen(path);

	for (size_t k = 0; k < ARRAY_COUNT(ends); k++) {
		size_t n = strlen(ends[k].end);

		if (length > n && strcasecmp(path + length - n, ends[k].end) == 0)
			return ends[k].format;
	}
	return WORKER_IMAGE_RAW;
}

/* The lock lives as long as somebody has the open file: the worker, until it ends. */
static int lock(int fd, bool read_only)
{
	struct flock l = { .l_type = read_only ? F_RDLCK : F_WRLCK,
			   .l_whence = SEEK_SET };

	if (fcntl(fd, F_OFD_SETLK, &l) == 0)
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

static int open_failed(const char *path, int r, bool *ret_not_found, struct err *err)
{
	*ret_not_found = r == -ENOENT || r == -ENOTDIR;
	if (r == -EBUSY) {
		err_set(err, r, "disk '%s' is in use", path);
		return err_fix(err, "stop the VM or the command that has it open");
	}
	err_set(err, r, "disk '%s' cannot be opened: %s", path, err_words(r));
	return err_fix(err, *ret_not_found ? "check the path"
					   : "check who may read and write it");
}

static int open_one(const struct run_disk *d, int *ret_fd, u32 *ret_block,
		    bool *ret_not_found, struct err *err)
{
	int flags = (d->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK |
		    O_NOCTTY;
	struct stat st;
	int r = 0, block = 0;

	/* A device that is mounted, or another VM's, is refused by O_EXCL. */
	if (!d->read_only && stat(d->path, &st) == 0 && S_ISBLK(st.st_mode))
		flags |= O_EXCL;
	AUTO_CLOSE int fd = open(d->path, flags);
	if (fd < 0)
		return open_failed(d->path, -errno, ret_not_found, err);
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (S_ISREG(st.st_mode))
		r = lock(fd, d->read_only);
	else if (!S_ISBLK(st.st_mode))
		r = S_ISDIR(st.st_mode) ? -EISDIR : -ENOTBLK;
	else if (ioctl(fd, BLKSSZGET, &block) < 0)
		r = -errno;
	if (r < 0)
		return open_failed(d->path, r, ret_not_found, err);
	*ret_block = (u32)block;
	*ret_fd = take_fd(&fd);
	return 0;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

int run_disks_open(const struct run_disks *disks, struct worker_config *config,
		   int *ret_image_fd, bool *ret_not_found, struct err *err)
{
	for (unsigned n = 0; n < disks->count; n++) {
		const struct run_disk *d = &disks->disk[n];
		struct worker_image *image = &config->image[config->image_count];
		int r = open_one(d, &ret_image_fd[config->image_count],
				 &image->device_block, ret_not_found, err);

		if (r < 0)
			return r;
		snprintf(image->name, sizeof image->name, "%s", base_name(d->path));
		image->format =
			(u32)(d->format < 0 ? format_of_name(d->path) : d->format);
		config->disk[n] = (struct worker_disk){
			.controller = n / WORKER_MAX_LUNS,
			.lun = n % WORKER_MAX_LUNS,
			.dvd = d->dvd,
			.read_only = d->read_only,
			.first_image = config->image_count,
			.level_count = 1,
		};
		config->image_count++;
		config->disk_count = n + 1;
	}
	return 0;
}
