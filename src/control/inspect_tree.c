/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of inspect as a tree; see inspect_tree.h. */
#include "control/inspect_tree.h"

#include "base/types.h"

#define MAX_DEPTH 8
#define MAX_PART 64

/* A number where the text is how one would print it; else text, without what is no text. */
static json_t *value_of(const char *text, size_t size)
{
	char clean[512];
	u64 n = 0;
	size_t k;

	for (k = 0; k < size && text[k] >= '0' && text[k] <= '9'; k++)
		n = n * 10 + (u64)(text[k] - '0');
	if (k == size && size > 0 && size < 19 && (text[0] != '0' || size == 1))
		return json_integer((json_int_t)n);
	size = min_u64(size, sizeof clean - 1);
	for (k = 0; k < size; k++)
		clean[k] = text[k] >= ' ' && text[k] <= '~' ? text[k] : '?';
	return json_stringn(clean, size);
}

/* value is taken. */
static void set_leaf(json_t *branch, const char *name, json_t *value)
{
	json_t *old = json_object_get(branch, name);

	if (!old) {
		json_object_set_new(branch, name, value);
	} else if (json_is_array(old)) {
		json_array_append_new(old, value);
	} else {
		json_t *list = json_array();

		json_array_append(list, old);
		json_array_append_new(list, value);
		json_object_set_new(branch, name, list);
	}
}

static void take_line(json_t *tree, const char *line, size_t size)
{
	const char *end = memmem(line, size, ": ", 2);
	size_t left = end ? (size_t)(end - line) : 0;
	json_t *branch = tree;

	for (unsigned depth = 0; left > 0 && depth < MAX_DEPTH; depth++) {
		const char *dot = memchr(line, '.', left);
		size_t n = dot ? (size_t)(dot - line) : left;
		char part[MAX_PART];
		json_t *next;

		if (n == 0 || n >= sizeof part)
			return;
		memcpy(part, line, n);
		part[n] = '\0';
		if (!dot) {
			size_t value = (size_t)(line + size - (end + 2));

			set_leaf(branch, part, value_of(end + 2, value));
			return;
		}
		next = json_object_get(branch, part);
		if (!next) {
			next = json_object();
			json_object_set_new(branch, part, next);
		}
		if (!json_is_object(next))
			return;
		branch = next;
		line += n + 1;
		left -= n + 1;
		size -= n + 1;
	}
}

json_t *inspect_tree(const char *text)
{
	json_t *tree = json_object();

	while (tree && *text) {
		size_t size = strcspn(text, "\n");

		take_line(tree, text, size);
		text += size + (text[size] != '\0');
	}
	return tree;
}

json_t *inspect_branch(json_t *tree, const char *path)
{
	while (tree && *path) {
		size_t size = strcspn(path, "/");

		if (size > 0) {
			char part[MAX_PART];

			if (size >= sizeof part)
				return NULL;
			memcpy(part, path, size);
			part[size] = '\0';
			tree = json_object_get(tree, part);
		}
		path += size + (path[size] != '\0');
	}
	return tree;
}
