/* SPDX-License-Identifier: Apache-2.0 */
/* The disks of `tabique run`; see run_disks.h. */
#include "programs/cli/run_disks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "programs/cli/disk_process.h"
#include "programs/cli/nbd_address.h"

/* ---- the option ---- */

static int set_word(struct run_disk *d, const char *word, size_t size, struct err *err)
{
	if (size == 2 && memcmp(word, "ro", 2) == 0) {
		d->read_only = true;
		return 0;
	}
	if ((size == 8 && memcmp(word, "bus=scsi", 8) == 0) ||
	    (size == 7 && memcmp(word, "bus=ide", 7) == 0)) {
		d->ide = size == 7;
		d->bus_given = true;
		return 0;
	}
	if (size > 7 && memcmp(word, "format=", 7) == 0) {
		for (int k = 0; k < DISK_FORMATS; k++) {
			const char *name = disk_format_name((enum disk_format)k);

			if (strlen(name) == size - 7 &&
			    memcmp(word + 7, name, size - 7) == 0) {
				d->format = k;
				return 0;
			}
		}
	}
	err_set(err, -EINVAL, "--disk: '%.*s' is not known", (int)size, word);
	return err_fix(err, "give FILE[,ro][,bus=scsi|ide][,format=raw|iso|vhd|vhdx]");
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
	struct nbd_address address;

	if (size == 0 || size >= sizeof d->path) {
		err_set(err, -EINVAL, "%s: '%.*s' is not a file name", option,
			(int)min_u64(size, 80), value);
		return err_fix(err, "give %s FILE", option);
	}
	*d = (struct run_disk){ .dvd = dvd, .read_only = dvd, .format = -1 };
	memcpy(d->path, value, size);
	if (disk_name_is_nbd(d->path) && nbd_address_parse(d->path, &address, err) < 0)
		return err_wrap(err, "%s", option);
	if (dvd)
		d->format = DISK_ISO;
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

int run_disks_settle(struct run_disks *disks, bool bios, struct err *err)
{
	unsigned ide = 0;

	for (unsigned n = 0; n < disks->count; n++) {
		struct run_disk *d = &disks->disk[n];

		if (!d->bus_given)
			d->ide = bios && d->dvd;
		ide += d->ide;
		if (d->ide && !bios) {
			err_set(err, -EINVAL, "'%s': a machine without a BIOS has no IDE",
				d->path);
			return err_fix(err, "use bus=scsi, or start with --bios");
		}
	}
	if (ide > RUN_MAX_IDE) {
		err_set(err, -EINVAL, "IDE has %d drives, these are %u", RUN_MAX_IDE,
			ide);
		return err_fix(err, "use bus=scsi for those that are not needed to boot");
	}
	return 0;
}

/* ---- files ---- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

static struct disk_facts told;

static void on_facts(const struct disk_facts *facts)
{
	told = *facts;
}

/* What the image says about its parent: *ret_facts, names "" where it has none. */
static int read_facts(const char *path, const struct image_file *file,
		      struct disk_facts *ret_facts, struct err *err)
{
	struct disk_work work = {
		.order = { .verb = DISK_VERB_FACTS, .has_source = 1 },
		.source_path = path,
		.source = *file,
		.target = { .fd = -1 },
		.facts = on_facts,
	};
	int r;

	memset(ret_facts, 0, sizeof *ret_facts);
	if (file->format != DISK_VHD && file->format != DISK_VHDX)
		return 0;
	/* It is tabique-disk's then; the lock is on the open file, which stays ours too. */
	work.order.source.format = file->format;
	work.order.source.device_block = file->device_block;
	snprintf(work.order.source.name, sizeof work.order.source.name, "%s",
		 base_name(path));
	work.source.fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
	if (work.source.fd < 0)
		return err_set(err, -errno, "disk '%s': %s", path, err_words(-errno));
	r = disk_process_run(&work, err);
	if (r == 0)
		*ret_facts = told;
	return r;
}

/* One image, its place in the list taken. */
static int add_image(struct disk_images *images, const char *path,
		     const struct image_file *file, struct err *err)
{
	struct worker_image *image = &images->image[images->count];

	if (images->count == WORKER_MAX_IMAGES) {
		close(file->fd);
		err_set(err, -ENOSPC,
			"disk '%s': all disks together have more than %d images", path,
			WORKER_MAX_IMAGES);
		return err_fix(err, "merge some of them: tabique disk merge FILE");
	}
	*image = (struct worker_image){ .format = file->format,
					.device_block = file->device_block,
					.nbd = file->nbd };
	memcpy(image->nbd_export, file->nbd_export, sizeof image->nbd_export);
	snprintf(image->name, sizeof image->name, "%.*s", (int)sizeof image->name - 1,
		 file->nbd ? path : base_name(path));
	images->fd[images->count++] = file->fd;
	return 0;
}

int run_disk_open(const struct run_disk *d, struct disk_images *images,
		  bool *ret_not_found, struct err *err)
{
	static const struct image_folders none;
	char path[2][sizeof d->path];
	struct disk_facts facts;
	struct image_file file;
	unsigned now = 0;
	int r = image_file_open(d->path, !d->read_only, &file, err);

	*ret_not_found = r == -ENOENT || r == -ENOTDIR;
	if (r < 0)
		return r;
	if (d->format >= 0)
		file.format = (enum disk_format)d->format;
	if (file.nbd && file.format != DISK_RAW && file.format != DISK_ISO) {
		close(file.fd);
		err_set(err, -EINVAL,
			"disk '%s': what an NBD server gives is raw, or an ISO image",
			d->path);
		return err_fix(err, "let the server read the format, as qemu-nbd does");
	}
	snprintf(path[now], sizeof path[now], "%s", d->path);
	for (;;) {
		r = add_image(images, path[now], &file, err);
		if (r == 0)
			r = read_facts(path[now], &file, &facts, err);
		if (r < 0 || (!facts.relative[0] && !facts.absolute[0]))
			return r;
		r = image_file_open_parent(path[now], facts.relative, facts.absolute,
					   &none, false, path[!now], sizeof path[!now],
					   &file, err);
		if (r < 0)
			return r;
		now = !now;
	}
}

void disk_images_close(struct disk_images *images)
{
	while (images->count > 0)
		close(images->fd[--images->count]);
}

int run_disks_open(const struct run_disks *disks, struct worker_config *config,
		   struct disk_images *images, bool *ret_not_found, struct err *err)
{
	unsigned ide = 0, scsi = 0;

	for (unsigned n = 0; n < disks->count; n++) {
		const struct run_disk *d = &disks->disk[n];
		u32 first = images->count;
		unsigned nth = d->ide ? ide++ : scsi++;
		int r = run_disk_open(d, images, ret_not_found, err);

		if (r < 0)
			return r;
		config->disk[n] = (struct worker_disk){
			.controller = d->ide ? WORKER_IDE + nth / WORKER_IDE_DRIVES
					     : nth / WORKER_MAX_LUNS,
			.lun = d->ide ? nth % WORKER_IDE_DRIVES : nth % WORKER_MAX_LUNS,
			.dvd = d->dvd,
			.read_only = d->read_only,
			.first_image = first,
			.level_count = images->count - first,
		};
		config->disk_count = n + 1;
	}
	config->image_count = images->count;
	memcpy(config->image, images->image, sizeof config->image);
	return 0;
}
