/* SPDX-License-Identifier: Apache-2.0 */
/* The table of a VM's configuration; see vm_config.h. */
#include "config/vm_config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "config/words.h"

static const char *const engines[] = { "auto", "kvm", "soft", "interp", NULL };
static const char *const networks[] = { "nat", "tap=", NULL };

/* clang-format off */
static const struct config_field fields[] = {
	{ "cpus", CONFIG_NUMBER, .least = 1, .most = 64, .number = 1,
	  .help = "virtual processors" },
	{ "memory", CONFIG_SIZE, .least = 1 << 20, .most = 1ll << 40, .number = 512 << 20,
	  .help = "memory of the guest" },
	{ "engine", CONFIG_WORD, .text = "auto", .words = engines,
	  .help = "what executes the guest" },
	{ "kernel", CONFIG_PATH, .most = VM_PATH_SIZE,
	  .help = "Linux bzImage, PVH vmlinux or multiboot image to boot" },
	{ "initrd", CONFIG_PATH, .most = VM_PATH_SIZE, .help = "initial RAM disk" },
	{ "append", CONFIG_TEXT, .most = VM_APPEND_SIZE, .help = "the kernel's command line" },
	{ "disk", CONFIG_FILES, .most = VM_PATH_SIZE,
	  .help = "a SCSI disk: FILE[,ro][,format=raw|vhd|vhdx|iso]; again for more" },
	{ "cdrom", CONFIG_FILES, .most = VM_PATH_SIZE, .help = "a DVD drive with that image in it" },
	{ "nic", CONFIG_LIST, .most = VM_WORD_SIZE, .words = networks,
	  .help = "a network adapter: nat or tap=NAME, and ,mac=...; again for more" },
	{ "cpu.weight", CONFIG_NUMBER, .least = 1, .most = 10000, .number = 100, .hot = true,
	  .help = "share of the processors beside other VMs" },
	{ "cpu.limit", CONFIG_NUMBER, .least = 0, .most = 6400, .number = 0, .hot = true,
	  .help = "most it may use, percent of a processor; 0: no limit" },
	{ "cpu.reserve", CONFIG_NUMBER, .least = 0, .most = 6400, .number = 0, .hot = true,
	  .help = "what it is kept, percent of a processor" },
	{ "notes", CONFIG_TEXT, .most = VM_PATH_SIZE, .hot = true, .help = "words for people" },
};
/* clang-format on */

const struct config_field *config_fields(size_t *ret_count)
{
	*ret_count = ARRAY_COUNT(fields);
	return fields;
}

const struct config_field *config_find(const char *name)
{
	for (size_t k = 0; k < ARRAY_COUNT(fields); k++)
		if (strcmp(fields[k].name, name) == 0)
			return &fields[k];
	return NULL;
}

/* ---- names ----------------------------------------------------------------------------------- */

static int unknown(const char *name, struct err *err)
{
	const char *names[ARRAY_COUNT(fields)], *near;

	for (size_t k = 0; k < ARRAY_COUNT(fields); k++)
		names[k] = fields[k].name;
	near = nearest_word(name, names, ARRAY_COUNT(fields));
	err_set(err, -EINVAL, "a VM has no '%.60s'", name);
	return near ? err_fix(err, "did you mean '%s'?", near)
		    : err_fix(err, "see which there are: tabique vm create --help");
}

int vm_name_check(const char *name, struct err *err)
{
	size_t size = strlen(name);
	bool good = size > 0 && size < VM_NAME_SIZE && isalnum((unsigned char)name[0]);

	for (size_t k = 0; k < size && good; k++)
		good = (unsigned char)name[k] < 0x80 &&
		       (isalnum((unsigned char)name[k]) || name[k] == '-' ||
			name[k] == '_');
	/* What the API of a single VM calls it. */
	if (good && strcmp(name, "self") != 0)
		return 0;
	err_set(err, -EINVAL, "'%.80s' is no name of a VM", name);
	return err_fix(err,
		       "take up to %d letters, digits, '-' and '_', a letter or digit "
		       "first; 'self' is taken",
		       VM_NAME_SIZE - 1);
}

/* ---- checks ---------------------------------------------------------------------------------- */

static int check_range(const struct config_field *f, s64 n, struct err *err)
{
	char least[24], most[24];

	if (n >= f->least && n <= f->most)
		return 0;
	if (f->type == CONFIG_SIZE)
		err_set(err, -EINVAL, "%s can be from %s to %s", f->name,
			size_text((u64)f->least, least), size_text((u64)f->most, most));
	else
		err_set(err, -EINVAL, "%s can be from %lld to %lld, not %lld", f->name,
			(long long)f->least, (long long)f->most, (long long)n);
	return err_fix(err, "give a value in that range");
}

static int check_text(const struct config_field *f, const char *text, struct err *err)
{
	if (strlen(text) >= (size_t)f->most) {
		err_set(err, -EINVAL, "%s is longer than %lld characters", f->name,
			(long long)f->most - 1);
		return err_fix(err, "give a shorter one");
	}
	for (const char *p = text; *p; p++) {
		if ((unsigned char)*p >= ' ' && *p != 0x7f)
			continue;
		err_set(err, -EINVAL, "%s has a control character in it", f->name);
		return err_fix(err, "give one line of text");
	}
	if ((f->type == CONFIG_PATH || f->type == CONFIG_FILES) && text[0] != '/') {
		err_set(err, -EINVAL, "%s '%.80s' is not the whole path of a file",
			f->name, text);
		return err_fix(err, "begin it with '/'");
	}
	return 0;
}

static int check_word(const struct config_field *f, const char *text, struct err *err)
{
	char all[128] = "";

	for (const char *const *w = f->words; *w; w++) {
		if (strcmp(*w, text) == 0)
			return 0;
		snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s",
			 all[0] ? ", " : "", *w);
	}
	err_set(err, -EINVAL, "%s cannot be '%.60s'", f->name, text);
	return err_fix(err, "give one of %s", all);
}

static const char *type_words(enum config_type type)
{
	switch (type) {
	case CONFIG_NUMBER:
		return "a whole number";
	case CONFIG_SIZE:
		return "a number of bytes";
	case CONFIG_WORD:
		return "a word";
	case CONFIG_TEXT:
		return "a text";
	case CONFIG_PATH:
		return "a path";
	case CONFIG_LIST:
	case CONFIG_FILES:
		return "a list of texts";
	}
	return "";
}

static int another_type(const struct config_field *f, struct err *err)
{
	err_set(err, -EINVAL, "%s is not %s", f->name, type_words(f->type));
	return err_fix(err, "see GET /1.0/openapi.json, schema VM");
}

/* Does it begin with one of the words? There may be none to begin with. */
static bool begins_well(const struct config_field *f, const char *text)
{
	for (const char *const *w = f->words; w && *w; w++)
		if (strncmp(text, *w, strlen(*w)) == 0)
			return true;
	return !f->words;
}

static int check_list(const struct config_field *f, const json_t *list, struct err *err)
{
	json_t *value;
	size_t k;
	int r = 0;

	if (json_array_size(list) > VM_MAX_LIST) {
		err_set(err, -EINVAL, "%s: more than %d", f->name, VM_MAX_LIST);
		return err_fix(err, "leave some out");
	}
	json_array_foreach(list, k, value)
	{
		if (r < 0)
			break;
		if (!json_is_string(value) || json_string_length(value) == 0)
			return another_type(f, err);
		r = check_text(f, json_string_value(value), err);
		if (r == 0 && !begins_well(f, json_string_value(value))) {
			err_set(err, -EINVAL, "%s: there is no network '%.80s'", f->name,
				json_string_value(value));
			r = err_fix(err, "give nat or tap=NAME");
		}
	}
	return r;
}

static int check_field(const struct config_field *f, const json_t *value, struct err *err)
{
	switch (f->type) {
	case CONFIG_NUMBER:
	case CONFIG_SIZE:
		return json_is_integer(value)
			       ? check_range(f, json_integer_value(value), err)
			       : another_type(f, err);
	case CONFIG_WORD:
		return json_is_string(value)
			       ? check_word(f, json_string_value(value), err)
			       : another_type(f, err);
	case CONFIG_TEXT:
	case CONFIG_PATH:
		return json_is_string(value)
			       ? check_text(f, json_string_value(value), err)
			       : another_type(f, err);
	case CONFIG_LIST:
	case CONFIG_FILES:
		return json_is_array(value) ? check_list(f, value, err)
					    : another_type(f, err);
	}
	return another_type(f, err);
}

int config_check(const json_t *config, struct err *err)
{
	const char *name;
	json_t *value;

	if (!json_is_object(config))
		return err_set(err, -EINVAL, "a configuration is a JSON object");
	json_object_foreach((json_t *)(uintptr_t)config, name, value)
	{
		const struct config_field *f = config_find(name);
		int r = !f		      ? unknown(name, err)
			: json_is_null(value) ? 0
					      : check_field(f, value, err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- words ----------------------------------------------------------------------------------- */

static json_t *value_of(const struct config_field *f, const char *text)
{
	const char *rest = "";
	u64 n;

	switch (f->type) {
	case CONFIG_NUMBER:
		if (!parse_number(text, &n, &rest) || *rest || n > INT64_MAX)
			return NULL;
		return json_integer((json_int_t)n);
	case CONFIG_SIZE:
		if (!parse_size(text, &n) || n > INT64_MAX)
			return NULL;
		return json_integer((json_int_t)n);
	case CONFIG_WORD:
	case CONFIG_TEXT:
	case CONFIG_PATH:
	case CONFIG_LIST:
	case CONFIG_FILES:
		return json_string(text);
	}
	return NULL;
}

static int not_a_value(const struct config_field *f, const char *text, struct err *err)
{
	err_set(err, -EINVAL, "%s cannot be '%.80s'", f->name, text);
	return f->type == CONFIG_SIZE
		       ? err_fix(err, "give a number with a unit, for instance %s=512M",
				 f->name)
	       : f->type == CONFIG_NUMBER ? err_fix(err, "give a whole number")
					  : err_fix(err, "write it in UTF-8");
}

int config_add_word(json_t *config, const char *word, struct err *err)
{
	const char *equal = strchr(word, '=');
	const struct config_field *f;
	char name[32];
	json_t *value, *alone;
	int r;

	if (!equal || (size_t)(equal - word) >= sizeof name) {
		err_set(err, -EINVAL, "'%.60s' is not key=value", word);
		return err_fix(err, "give for instance cpus=2 memory=1G");
	}
	snprintf(name, sizeof name, "%.*s", (int)(equal - word), word);
	f = config_find(name);
	if (!f)
		return unknown(name, err);
	value = equal[1] ? value_of(f, equal + 1) : json_null();
	if (!value)
		return not_a_value(f, equal + 1, err);
	if ((f->type == CONFIG_LIST || f->type == CONFIG_FILES) && equal[1]) {
		json_t *list = json_object_get(config, name);

		list = json_is_array(list) ? json_incref(list) : json_array();
		json_array_append_new(list, value);
		value = list;
	}
	alone = json_pack("{s:O}", name, value);
	r = config_check(alone, err);
	json_decref(alone);
	if (r < 0)
		json_decref(value);
	else
		json_object_set_new(config, name, value);
	return r;
}

/* ---- values ---------------------------------------------------------------------------------- */

json_t *config_merge(const json_t *config, const json_t *changes)
{
	json_t *all = json_deep_copy(config), *value;
	const char *name;

	json_object_foreach((json_t *)(uintptr_t)changes, name, value)
	{
		if (json_is_null(value))
			json_object_del(all, name);
		else
			json_object_set(all, name, value);
	}
	return all;
}

s64 config_number(const json_t *config, const char *name)
{
	const json_t *value = json_object_get(config, name);
	const struct config_field *f = config_find(name);

	return json_is_integer(value) ? json_integer_value(value) : f ? f->number : 0;
}

const char *config_text(const json_t *config, const char *name)
{
	const json_t *value = json_object_get(config, name);
	const struct config_field *f = config_find(name);

	return json_is_string(value) ? json_string_value(value)
	       : f && f->text	     ? f->text
				     : "";
}

const char *size_text(u64 size, char ret_text[24])
{
	static const char units[] = " KMGTPE";
	unsigned k = 0;

	while (size && size % 1024 == 0 && units[k + 1]) {
		size /= 1024;
		k++;
	}
	snprintf(ret_text, 24, k ? "%llu%c" : "%llu", (unsigned long long)size, units[k]);
	return ret_text;
}

const char *config_show(const json_t *config, const struct config_field *f,
			char *ret_text, size_t size)
{
	const json_t *list = json_object_get(config, f->name);
	char number[24];
	json_t *value;
	size_t k;

	switch (f->type) {
	case CONFIG_NUMBER:
		snprintf(ret_text, size, "%lld",
			 (long long)config_number(config, f->name));
		break;
	case CONFIG_SIZE:
		snprintf(ret_text, size, "%s",
			 size_text((u64)config_number(config, f->name), number));
		break;
	case CONFIG_WORD:
	case CONFIG_TEXT:
	case CONFIG_PATH:
		snprintf(ret_text, size, "%s", config_text(config, f->name));
		break;
	case CONFIG_LIST:
	case CONFIG_FILES:
		ret_text[0] = '\0';
		json_array_foreach(list, k, value)
			snprintf(ret_text + strlen(ret_text), size - strlen(ret_text),
				 "%s%s", k ? " " : "", json_string_value(value));
		break;
	}
	return ret_text;
}

/* ---- nearest --------------------------------------------------------------------------------- */

#define NEAREST_SIZE 32

/* Letters to change, add, take away or swap with a neighbour: optimal string alignment. */
static unsigned distance(const char *a, const char *b)
{
	unsigned d[NEAREST_SIZE + 1][NEAREST_SIZE + 1];
	size_t n = strlen(a), m = strlen(b);

	if (n > NEAREST_SIZE || m > NEAREST_SIZE)
		return NEAREST_SIZE;
	for (size_t i = 0; i <= n; i++) {
		for (size_t j = 0; j <= m; j++) {
			unsigned same, best;

			if (i == 0 || j == 0) {
				d[i][j] = (unsigned)(i + j);
				continue;
			}
			same = tolower((unsigned char)a[i - 1]) != b[j - 1];
			best = d[i - 1][j - 1] + same;
			if (d[i - 1][j] + 1 < best)
				best = d[i - 1][j] + 1;
			if (d[i][j - 1] + 1 < best)
				best = d[i][j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best)
				best = d[i - 2][j - 2] + 1;
			d[i][j] = best;
		}
	}
	return d[n][m];
}

const char *nearest_word(const char *word, const char *const *words, size_t count)
{
	const char *best = NULL;
	/* More than a third of it wrong, and it is another word. */
	unsigned least = (unsigned)strlen(word) / 3 + 2;

	for (size_t k = 0; k < count; k++) {
		unsigned d = distance(word, words[k]);

		if (d >= least)
			continue;
		least = d;
		best = words[k];
	}
	return best;
}
