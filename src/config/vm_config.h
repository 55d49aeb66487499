/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a VM is configured with: one table of fields, from which come the words of the command line
 * (`vm create web1 cpus=2`), the JSON of the API and of the VM's file, their checks, and the lists in
 * --help and in the API's document.
 *
 * A configuration is a JSON object in which only what was said stands; what was not has its default.
 * Used by the daemon and the command line. Any thread.
 */
#pragma once

#include <jansson.h>

#include "base/err.h"

/* A name goes into paths and messages: letters, digits, '-' and '_', a letter or digit first. */
#define VM_NAME_SIZE 64
#define VM_PATH_SIZE 1024
#define VM_APPEND_SIZE 2048
#define VM_WORD_SIZE 256
#define VM_MAX_LIST 16

enum config_type {
	CONFIG_NUMBER, /* an integer */
	CONFIG_SIZE,   /* bytes; as a word 512M, 2G */
	CONFIG_WORD,   /* one of a few */
	CONFIG_TEXT,   /* any text of one line */
	CONFIG_PATH,   /* the whole path of a file */
	CONFIG_LIST,   /* of texts; as words nic=nat nic=nat */
	CONFIG_FILES, /* the same of whole paths, each with words behind a comma: disk=/a.vhdx,ro */
};

struct config_field {
	const char *name;
	enum config_type type;
	s64 least,
		most; /* numbers and sizes; texts and lists: most is a length, with the end */
	s64 number;	  /* default of numbers and sizes */
	const char *text; /* default of words and texts; NULL: none */
	const char *const *
		words; /* CONFIG_WORD, NULL at the end; CONFIG_LIST: what each begins with */
	bool hot;      /* can be set while the VM runs */
	const char *help;
};
const struct config_field *config_fields(size_t *ret_count);
/* NULL: there is none of that name. */
const struct config_field *config_find(const char *name);

/* -EINVAL with the sentence: another type, out of its range, or a key that there is not, with the nearest. */
int config_check(const json_t *config, struct err *err) MUST_CHECK;
int vm_name_check(const char *name, struct err *err) MUST_CHECK;

/* "memory=2G" becomes a member of config; a list's word is added to it. "memory=": back to its default (null). */
int config_add_word(json_t *config, const char *word, struct err *err) MUST_CHECK;

/*
 * What config says once changes (checked by config_check, null: back to the default) are in it: a new
 * object. The caller's; NULL: no memory.
 */
json_t *config_merge(const json_t *config, const json_t *changes);

/* Of a checked configuration, or the default. Texts are borrowed; "" where there is none. */
s64 config_number(const json_t *config, const char *name);
const char *config_text(const json_t *config, const char *name);

/* As a person would write it: "512M", "nat nat". Returns ret_text. */
const char *config_show(const json_t *config, const struct config_field *field,
			char *ret_text, size_t size);

/* The one of count words that is written most alike; NULL: none is. */
const char *nearest_word(const char *word, const char *const *words, size_t count);
/* "a number with a unit" and the like; and a size as its shortest word. */
const char *size_text(u64 size, char ret_text[24]);
