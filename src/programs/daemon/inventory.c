/* SPDX-License-Identifier: Apache-2.0 */
/* VMs and their files; see inventory.h. */
#include "programs/daemon/inventory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/log.h"

#define FORMAT 1
#define MAX_FILE (256u << 10)

const char *vm_state_word(enum vm_state state)
{
	switch (state) {
	case VM_OFF:
		return "off";
	case VM_STARTING:
		return "starting";
	case VM_RUNNING:
		return "running";
	case VM_PAUSED:
		return "paused";
	case VM_STOPPING:
		return "stopping";
	}
	return "";
}

/* ---- the list -------------------------------------------------------------------------------- */

/* The place of a name, or where it would come. */
static unsigned place_of(const struct inventory *i, const char *name)
{
	unsigned low = 0, high = i->count;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (strcmp(i->vm[middle]->name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct vm *inventory_find(const struct inventory *i, const char *name)
{
	unsigned k = place_of(i, name);

	return k < i->count && strcmp(i->vm[k]->name, name) == 0 ? i->vm[k] : NULL;
}

static void set_config(struct vm *vm, json_t *config)
{
	AUTO_FREE char *text = json_dumps(config, JSON_COMPACT | JSON_SORT_KEYS);
	u64 hash = 0xcbf29ce484222325ull;

	for (const char *p = text ? text : ""; *p; p++)
		hash = (hash ^ (u8)*p) * 0x100000001b3ull;
	snprintf(vm->etag, sizeof vm->etag, "\"%016llx\"", (unsigned long long)hash);
	json_decref(vm->config);
	vm->config = config;
}

/* config is taken. */
static struct vm *insert(struct inventory *i, const char *name, json_t *config)
{
	struct vm *vm = calloc(1, sizeof *vm);
	unsigned k = place_of(i, name);

	if (!vm)
		return NULL;
	snprintf(vm->name, sizeof vm->name, "%s", name);
	set_config(vm, config);
	memmove(&i->vm[k + 1], &i->vm[k], (i->count - k) * sizeof i->vm[0]);
	i->vm[k] = vm;
	i->count++;
	return vm;
}

static void forget(struct inventory *i, struct vm *vm)
{
	unsigned k = place_of(i, vm->name);

	memmove(&i->vm[k], &i->vm[k + 1], (i->count - k - 1) * sizeof i->vm[0]);
	i->count--;
	json_decref(vm->config);
	free(vm);
}

/* ---- files ----------------------------------------------------------------------------------- */

static int write_all(int fd, const char *text, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, text, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		text += n;
		size -= (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

static int sync_folder(const char *folder)
{
	AUTO_CLOSE int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Beside the file, then in its place; a name that begins with '.' is no VM's. */
static int replace(const struct inventory *i, const char *name, const char *text)
{
	char path[PATH_MAX], beside[PATH_MAX];
	int r;

	snprintf(path, sizeof path, "%s/%s.json", i->folder, name);
	snprintf(beside, sizeof beside, "%s/.%s.new", i->folder, name);
	(void)unlink(beside);
	AUTO_CLOSE int fd =
		open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = write_all(fd, text, strlen(text));
	if (r == 0 && rename(beside, path) < 0)
		r = -errno;
	if (r == 0)
		return sync_folder(i->folder);
	(void)unlink(beside);
	return r;
}

/* config: borrowed. */
static int save(const struct inventory *i, const char *name, const json_t *config,
		struct err *err)
{
	json_t *file = json_pack("{s:i, s:s, s:O}", "format", FORMAT, "name", name,
				 "config", config);
	AUTO_FREE char *text = json_dumps(file, JSON_INDENT(2));
	int r = text ? replace(i, name, text) : -ENOMEM;

	json_decref(file);
	if (r == 0)
		return 0;
	err_set(err, r, "the file of VM '%s' cannot be written: %s", name, err_words(r));
	return r == -ENOSPC ? err_fix(err, "make room in '%s'", i->folder)
			    : err_fix(err, "check the folder '%s'", i->folder);
}

static int check_file(const json_t *file, const char *name, struct err *err)
{
	const json_t *config = json_object_get(file, "config");

	if (json_integer_value(json_object_get(file, "format")) != FORMAT)
		return err_set(err, -EINVAL, "it is of another version");
	if (strcmp(json_string_value(json_object_get(file, "name")) ?: "", name) != 0)
		return err_set(err, -EINVAL, "it is another VM's");
	return config_check(config, err);
}

static int read_text(const char *path, char *text, size_t size, struct err *err)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, text, size);

	if (n < 0)
		return err_set(err, -errno, "%s", err_words(-errno));
	if ((size_t)n == size)
		return err_set(err, -E2BIG, "it is longer than %zu bytes", size - 1);
	return (int)n;
}

static int load(struct inventory *i, const char *name, struct err *err)
{
	AUTO_FREE char *text = malloc(MAX_FILE + 1);
	char path[PATH_MAX];
	json_error_t where;
	json_t *file;
	int r;

	if (!text)
		return err_set(err, -ENOMEM, "%s", err_words(-ENOMEM));
	snprintf(path, sizeof path, "%s/%s.json", i->folder, name);
	r = read_text(path, text, MAX_FILE + 1, err);
	if (r < 0)
		return r;
	file = json_loadb(text, (size_t)r, JSON_REJECT_DUPLICATES, &where);
	r = file ? check_file(file, name, err)
		 : err_set(err, -EINVAL, "line %d: %s", where.line, where.text);
	if (r == 0 && !insert(i, name, json_incref(json_object_get(file, "config"))))
		r = err_set(err, -ENOMEM, "%s", err_words(-ENOMEM));
	json_decref(file);
	return r;
}

/* ---- changes --------------------------------------------------------------------------------- */

int inventory_add(struct inventory *i, const char *name, json_t *config,
		  struct vm **ret_vm, struct err *err)
{
	char path[PATH_MAX];
	int r = 0;

	snprintf(path, sizeof path, "%s/%s.json", i->folder, name);
	/* Also one that could not be read: it is not to be lost. */
	if (inventory_find(i, name) || access(path, F_OK) == 0) {
		err_set(err, -EEXIST, "there is a VM '%s' already", name);
		r = err_fix(err, "take another name, or delete it: tabique vm delete %s",
			    name);
	} else if (i->count == INVENTORY_MAX_VMS) {
		err_set(err, -ENOSPC, "there are %d VMs already", INVENTORY_MAX_VMS);
		r = err_fix(err, "delete one");
	} else {
		r = save(i, name, config, err);
	}
	if (r < 0) {
		json_decref(config);
		return r;
	}
	*ret_vm = insert(i, name, config);
	return *ret_vm ? 0 : err_set(err, -ENOMEM, "%s", err_words(-ENOMEM));
}

int inventory_change(struct inventory *i, struct vm *vm, json_t *config, struct err *err)
{
	int r = save(i, vm->name, config, err);

	if (r < 0)
		json_decref(config);
	else
		set_config(vm, config);
	return r;
}

int inventory_remove(struct inventory *i, struct vm *vm, struct err *err)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/%s.json", i->folder, vm->name);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_set(err, -errno, "the file of VM '%s' cannot be removed: %s",
			       vm->name, err_words(-errno));
	forget(i, vm);
	return sync_folder(i->folder) < 0
		       ? err_set(err, -EIO, "the folder '%s' cannot be made durable",
				 i->folder)
		       : 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

/* "web1.json" -> "web1"; false: it is no VM's file. */
static bool name_of(const char *file, char *ret_name)
{
	size_t n = strlen(file);
	struct err err;

	if (n <= 5 || n - 5 >= VM_NAME_SIZE || strcmp(file + n - 5, ".json") != 0)
		return false;
	memcpy(ret_name, file, n - 5);
	ret_name[n - 5] = '\0';
	return vm_name_check(ret_name, &err) == 0;
}

int inventory_open(struct inventory *i, const char *state, struct err *err)
{
	char name[VM_NAME_SIZE];
	struct dirent *entry;
	DIR *folder;

	snprintf(i->folder, sizeof i->folder, "%s/vms", state);
	i->count = 0;
	if (mkdir(i->folder, 0700) < 0 && errno != EEXIST && errno != ENOSPC)
		return err_set(err, -errno, "'%s' cannot be made: %s", i->folder,
			       err_words(-errno));
	folder = opendir(i->folder);
	if (!folder)
		return err_set(err, -errno, "'%s' cannot be read: %s", i->folder,
			       err_words(-errno));
	while ((entry = readdir(folder))) {
		struct err why = { 0 };

		if (!name_of(entry->d_name, name) || i->count == INVENTORY_MAX_VMS)
			continue;
		if (load(i, name, &why) < 0)
			log_error("VM '%s' is left out: '%s/%s': %s", name, i->folder,
				  entry->d_name, why.text);
	}
	closedir(folder);
	return 0;
}

void inventory_close(struct inventory *i)
{
	while (i->count > 0)
		forget(i, i->vm[i->count - 1]);
}
