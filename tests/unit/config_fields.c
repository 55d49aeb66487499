/* SPDX-License-Identifier: Apache-2.0 */
/* config/vm_config.h: words and JSON of a VM's configuration; config/host_paths.h: what VMs may use. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "config/host_paths.h"
#include "config/vm_config.h"
#include "unit/harness.h"

static int check(const char *text)
{
	json_t *config = json_loads(text, 0, NULL);
	struct err err = { 0 };
	int r = config_check(config, &err);

	json_decref(config);
	return r;
}

/* A word makes this object of an empty one. */
static bool makes(const char *word, const char *want)
{
	json_t *config = json_object();
	struct err err = { 0 };
	char *text;

	CHECK_ERR(config_add_word(config, word, &err), 0);
	text = json_dumps(config, JSON_COMPACT);
	CHECK_STR(text, want);
	free(text);
	json_decref(config);
	return true;
}

TEST(words_become_the_json_of_their_type)
{
	ASSERT_OK(makes("cpus=4", "{\"cpus\":4}"));
	ASSERT_OK(makes("memory=2G", "{\"memory\":2147483648}"));
	ASSERT_OK(makes("engine=soft", "{\"engine\":\"soft\"}"));
	ASSERT_OK(makes("disk=/a.vhdx,ro", "{\"disk\":[\"/a.vhdx,ro\"]}"));
	ASSERT_OK(makes("notes=a=b", "{\"notes\":\"a=b\"}"));
	ASSERT_OK(makes("memory=", "{\"memory\":null}"));
}

TEST(word_that_comes_again_makes_a_list_longer)
{
	json_t *config = json_object();
	struct err err = { 0 };

	for (unsigned k = 0; k < VM_MAX_LIST; k++)
		ASSERT_EQ(config_add_word(config, "nic=nat", &err), 0);
	ASSERT_EQ(json_array_size(json_object_get(config, "nic")), VM_MAX_LIST);
	ASSERT_ERR(config_add_word(config, "nic=nat", &err), EINVAL);
	json_decref(config);
}

TEST(values_outside_of_their_range_are_refused)
{
	ASSERT_EQ(check("{\"cpus\":64,\"memory\":1048576,\"cpu.weight\":1}"), 0);
	ASSERT_ERR(check("{\"cpus\":0}"), EINVAL);
	ASSERT_ERR(check("{\"cpus\":65}"), EINVAL);
	ASSERT_ERR(check("{\"cpus\":-1}"), EINVAL);
	ASSERT_ERR(check("{\"cpus\":1e400}"), EINVAL);
	ASSERT_ERR(check("{\"cpus\":1.5}"), EINVAL);
	ASSERT_ERR(check("{\"cpus\":\"2\"}"), EINVAL);
	ASSERT_ERR(check("{\"memory\":1048575}"), EINVAL);
	ASSERT_ERR(check("{\"engine\":\"fast\"}"), EINVAL);
	ASSERT_ERR(check("{\"kernel\":\"vmlinuz\"}"), EINVAL);
	ASSERT_ERR(check("{\"notes\":\"a\\nb\"}"), EINVAL);
	ASSERT_ERR(check("{\"disk\":[\"a.vhdx\"]}"), EINVAL);
	ASSERT_ERR(check("{\"disk\":[\"\"]}"), EINVAL);
	ASSERT_ERR(check("{\"disk\":\"/a.vhdx\"}"), EINVAL);
	ASSERT_ERR(check("{\"nic\":[\"lan\"]}"), EINVAL);
	ASSERT_ERR(check("[]"), EINVAL);
}

TEST(key_that_there_is_not_is_refused_with_the_nearest)
{
	json_t *config = json_pack("{s:i}", "memroy", 1);
	struct err err = { 0 };

	ASSERT_ERR(config_check(config, &err), EINVAL);
	ASSERT(strstr(err.fix, "'memory'"));
	json_decref(config);
	config = json_pack("{s:i}", "zzzzzzzz", 1);
	ASSERT_ERR(config_check(config, &err), EINVAL);
	ASSERT(!strstr(err.fix, "did you mean"));
	json_decref(config);
}

TEST(changes_are_laid_over_and_null_is_the_default)
{
	json_t *config = json_pack("{s:i, s:i}", "cpus", 4, "memory", 1 << 20);
	json_t *changes = json_pack("{s:n, s:s}", "cpus", "notes", "x");
	json_t *all = config_merge(config, changes);

	ASSERT_EQ(config_number(all, "cpus"), 1);
	ASSERT_EQ(config_number(all, "memory"), 1 << 20);
	ASSERT_STR(config_text(all, "notes"), "x");
	ASSERT_EQ(json_object_size(config), 2);
	json_decref(config);
	json_decref(changes);
	json_decref(all);
}

TEST(names_of_vms_are_no_paths)
{
	static const char *const wrong[] = { "",   ".",	  "..",	  "a/b", "a.b", "-a",
					     "_a", "a b", "self", "ñ",	 "a\n" };
	char longest[VM_NAME_SIZE + 1];
	struct err err = { 0 };

	for (size_t k = 0; k < ARRAY_COUNT(wrong); k++)
		ASSERT_ERR(vm_name_check(wrong[k], &err), EINVAL);
	memset(longest, 'a', sizeof longest);
	longest[VM_NAME_SIZE] = '\0';
	ASSERT_ERR(vm_name_check(longest, &err), EINVAL);
	longest[VM_NAME_SIZE - 1] = '\0';
	ASSERT_EQ(vm_name_check(longest, &err), 0);
	ASSERT_EQ(vm_name_check("web-1_B", &err), 0);
}

TEST(sizes_are_shown_as_short_as_they_are_exact)
{
	char text[24];

	ASSERT_STR(size_text(512ull << 20, text), "512M");
	ASSERT_STR(size_text(3ull << 40, text), "3T");
	ASSERT_STR(size_text(1025, text), "1025");
	ASSERT_STR(size_text(0, text), "0");
}

/* ---- what VMs may use ------------------------------------------------------------------------ */

struct fixture {
	char folder[64], list[96];
	struct host_allow allow;
};

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	fputs(text, f);
	fclose(f);
}

static void put_list(struct fixture *f, const char *text)
{
	put(f->list, text);
	chmod(f->list, 0644);
}

static bool build(struct fixture *f)
{
	char path[160], text[128];

	memset(f, 0, sizeof *f);
	snprintf(f->folder, sizeof f->folder, "/tmp/tabique-allow-XXXXXX");
	CHECK(mkdtemp(f->folder));
	snprintf(f->list, sizeof f->list, "%s/list", f->folder);
	snprintf(path, sizeof path, "%s/in", f->folder);
	CHECK(mkdir(path, 0755) == 0);
	snprintf(path, sizeof path, "%s/in/file", f->folder);
	put(path, "x");
	snprintf(path, sizeof path, "%s/in/link", f->folder);
	CHECK(symlink("file", path) == 0);
	snprintf(text, sizeof text, "# images\nfolder %s/in/\ntap tap0\n", f->folder);
	put_list(f, text);
	return true;
}

static void tear_down(struct fixture *f)
{
	static const char *const names[] = { "in/link", "in/file", "in", "list", "" };
	char path[160];

	for (size_t k = 0; k < ARRAY_COUNT(names); k++) {
		snprintf(path, sizeof path, "%s/%s", f->folder, names[k]);
		(void)remove(path);
	}
}

static int try_open(struct fixture *f, const char *name)
{
	char path[160];
	int fd;

	snprintf(path, sizeof path, "%s/%s", f->folder, name);
	fd = host_allow_open(&f->allow, path, O_RDONLY);
	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

TEST(only_files_below_listed_folders_are_opened)
{
	struct fixture f;
	struct err err = { 0 };

	ASSERT_OK(build(&f));
	ASSERT_EQ(host_allow_read(f.list, &f.allow, &err), 0);
	ASSERT_EQ(try_open(&f, "in/file"), 0);
	ASSERT_ERR(try_open(&f, "in/link"), ELOOP);
	ASSERT_ERR(try_open(&f, "in/../list"), EXDEV);
	ASSERT_ERR(try_open(&f, "in/nothing"), ENOENT);
	ASSERT_ERR(try_open(&f, "list"), EACCES);
	ASSERT_ERR(try_open(&f, "inside"), EACCES);
	ASSERT(host_allow_tap(&f.allow, "tap0"));
	ASSERT(!host_allow_tap(&f.allow, "tap01"));
	tear_down(&f);
}

TEST(list_that_others_may_write_or_that_is_not_understood_is_refused)
{
	struct fixture f;
	struct err err = { 0 };

	ASSERT_OK(build(&f));
	chmod(f.list, 0666);
	ASSERT_ERR(host_allow_read(f.list, &f.allow, &err), EPERM);
	put_list(&f, "folder relative\n");
	ASSERT_ERR(host_allow_read(f.list, &f.allow, &err), EINVAL);
	put_list(&f, "folder /tmp and more\n");
	ASSERT_ERR(host_allow_read(f.list, &f.allow, &err), EINVAL);
	put_list(&f, "everything\n");
	ASSERT_ERR(host_allow_read(f.list, &f.allow, &err), EINVAL);
	tear_down(&f);
}
