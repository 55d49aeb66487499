/* SPDX-License-Identifier: Apache-2.0 */
/* Disks of a VM that runs; see disk_live.h. */
#include "programs/cli/disk_live.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "base/disk_format.h"
#include "programs/cli/vm_words.h"
#include "programs/cli/words.h"

static int wrong_usage(struct err *err)
{
	err_set(err, -EINVAL, "too few or too many words");
	return err_fix(err, "see 'tabique disk --help'");
}

static int wrong_unit(const char *word, struct err *err)
{
	err_set(err, -EINVAL, "'%s' is no unit of a SCSI controller", word);
	return err_fix(err, "give for instance scsi0:3: controllers 0 to 3, units 0 to "
			    "63");
}

static void tell(const struct vm_words *w, const char *what, json_t *disk)
{
	const char *id = json_string_value(json_object_get(disk, "id"));
	json_int_t size = json_integer_value(json_object_get(disk, "size"));

	if (w->json)
		print_json(disk);
	else if (size > 0)
		printf("%s %s: %lld bytes\n", what, id ? id : "", (long long)size);
	else
		printf("%s %s\n", what, id ? id : "");
	json_decref(disk);
}

/* The server has a folder of its own: paths are made whole here. */
static int whole_path(const char *path, char ret_path[PATH_MAX], struct err *err)
{
	char folder[PATH_MAX];
	int n;

	if (path[0] == '/' || disk_name_is_nbd(path))
		n = snprintf(ret_path, PATH_MAX, "%s", path);
	else if (getcwd(folder, sizeof folder))
		n = snprintf(ret_path, PATH_MAX, "%s/%s", folder, path);
	else
		return err_set(err, -errno, "this folder: %s", err_words(-errno));
	return n < 0 || n >= PATH_MAX
		       ? err_set(err, -ENAMETOOLONG, "'%s' is too long", path)
		       : 0;
}

static int attach(const struct vm_words *w, struct err *err)
{
	u32 controller = 0, lun = 0;
	char path[PATH_MAX], unit[64];
	json_t *body, *disk = NULL;
	int r;

	if (w->count != 1)
		return wrong_usage(err);
	snprintf(unit, sizeof unit, "%s:%s", w->controller ? w->controller : "scsi0",
		 w->lun ? w->lun : "0");
	if (!parse_unit(unit, &controller, &lun))
		return wrong_unit(unit, err);
	r = whole_path(w->word[0], path, err);
	if (r < 0)
		return r;
	body = json_pack("{s:s, s:b, s:b}", "file", path, "read_only", w->read_only,
			 "passthrough", w->passthrough);
	if (!body) {
		err_set(err, -EINVAL, "'%s' is not UTF-8", w->word[0]);
		return err_fix(err, "rename the file");
	}
	if (w->controller)
		json_object_set_new(body, "controller", json_integer(controller));
	if (w->lun)
		json_object_set_new(body, "lun", json_integer(lun));
	if (w->format)
		json_object_set_new(body, "format", json_string(w->format));
	r = vm_ask(w, "POST", "/disks", body, &disk, err);
	if (r == 0)
		tell(w, "attached", disk);
	return r;
}

static int unit_path(const char *word, char *ret_path, size_t size, struct err *err)
{
	u32 controller, lun;

	if (!parse_unit(word, &controller, &lun))
		return wrong_unit(word, err);
	snprintf(ret_path, size, "/disks/scsi%u:%u", controller, lun);
	return 0;
}

static int detach(const struct vm_words *w, struct err *err)
{
	char path[64];
	json_t *disk = NULL;
	int r = w->count == 1 ? unit_path(w->word[0], path, sizeof path, err)
			      : wrong_usage(err);

	if (r == 0)
		r = vm_ask(w, "DELETE", path, NULL, &disk, err);
	if (r == 0)
		tell(w, "detached", disk);
	return r;
}

static int resize(const struct vm_words *w, struct err *err)
{
	const char *word = w->count == 2 ? w->word[1] : "";
	bool grow = word[0] == '+';
	char path[64];
	json_t *disk = NULL;
	u64 size = 0;
	int r = w->count == 1 || w->count == 2
			? unit_path(w->word[0], path, sizeof path, err)
			: wrong_usage(err);

	if (r < 0)
		return r;
	if (word[0] &&
	    (!parse_size(word + grow, &size) || size == 0 || size > (u64)INT64_MAX)) {
		err_set(err, -EINVAL, "'%s' is no size", word);
		return err_fix(err, "a size is a number and K, M, G or T: 200G, or +20G");
	}
	r = vm_ask(w, "PATCH", path,
		   size == 0
			   ? json_object()
			   : json_pack("{s:I}", grow ? "grow" : "size", (json_int_t)size),
		   &disk, err);
	if (r == 0)
		tell(w, "resized", disk);
	return r;
}

/* file NULL: none. */
static int set_medium(const struct vm_words *w, const char *file, const char *what,
		      struct err *err)
{
	char unit[64], path[PATH_MAX];
	json_t *body, *disk = NULL;
	int r = unit_path(w->word[0], unit, sizeof unit, err);

	if (r == 0 && file)
		r = whole_path(file, path, err);
	if (r < 0)
		return r;
	body = json_pack("{s:s?, s:b}", "medium", file ? path : NULL, "force", w->force);
	if (!body) {
		err_set(err, -EINVAL, "'%s' is not UTF-8", file);
		return err_fix(err, "rename the file");
	}
	r = vm_ask(w, "PATCH", unit, body, &disk, err);
	if (r == 0)
		tell(w, what, disk);
	return r;
}

static int insert(const struct vm_words *w, struct err *err)
{
	return w->count == 2 ? set_medium(w, w->word[1], "inserted into", err)
			     : wrong_usage(err);
}

static int eject(const struct vm_words *w, struct err *err)
{
	return w->count == 1 ? set_medium(w, NULL, "ejected from", err)
			     : wrong_usage(err);
}

static const struct vm_verb verbs[] = {
	{ "attach",
	  attach,
	  { "--controller", "--lun", "--read-only", "--passthrough", "format=", NULL } },
	{ "detach", detach, { NULL } },
	{ "resize", resize, { NULL } },
	{ "insert", insert, { "--force", NULL } },
	{ "eject", eject, { "--force", NULL } },
};

bool disk_live_wants(int argc, char **argv)
{
	static const char *const always[] = { "attach", "detach", "insert", "eject" };

	for (size_t k = 0; k < ARRAY_COUNT(always); k++)
		if (strcmp(argv[1], always[k]) == 0)
			return true;
	/* What has '/' or '.' in it is a file, else a VM: the name of one has neither. */
	if (argc > 3 && argv[2][0] != '-' && !strpbrk(argv[2], "/.") &&
	    strcmp(argv[1], "resize") == 0)
		return true;
	for (int k = 2; k < argc; k++)
		if (strcmp(argv[k], "--control") == 0 ||
		    strncmp(argv[k], "--control=", 10) == 0)
			return strcmp(argv[1], "resize") == 0;
	return false;
}

int disk_live_run(int argc, char **argv)
{
	return vm_verb_run(verbs, ARRAY_COUNT(verbs), argc, argv);
}
