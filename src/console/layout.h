/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyboard layouts: which strokes a guest that is configured for a layout takes for a character.
 * es (Spain), es-latam (Latin America), us; as the Linux console and X have them. Characters that have
 * no key of their own are typed by a dead key before the letter, or before a blank.
 *
 * Pure: no state, any thread.
 */
#pragma once

#include "base/err.h"
#include "console/keys.h"

struct layout;

/* NULL: there is none of that name. */
const struct layout *layout_find(const char *name);
/* "es, es-latam, us" */
const char *layout_names(void);

/*
 * The strokes of a text in UTF-8, at most `most` of them. Their number, or -EINVAL: it is not UTF-8, or has
 * a character that the layout cannot type, and err names it; -E2BIG: there are more.
 */
int layout_type(const struct layout *layout, const char *text, struct stroke *ret_strokes,
		unsigned most, struct err *err) MUST_CHECK;

/*
 * The strokes of keys by their names: "ctrl-alt-del", "f2 enter": a blank between strokes, '-' between
 * the keys of one. Letters and digits are places of the us layout. As layout_type.
 */
int keys_parse(const char *text, struct stroke *ret_strokes, unsigned most,
	       struct err *err) MUST_CHECK;
