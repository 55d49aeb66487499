/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree that the lines of inspect (base/inspect.h) describe: "a.b: 1" is {"a": {"b": 1}}. A name
 * that comes again makes a list of its values. What is no line of that kind, or lies too deep, is
 * left out: the text comes from processes that guests may have taken over.
 */
#pragma once

#include <jansson.h>

/* NULL: no memory. The caller's. */
json_t *inspect_tree(const char *text);

/* The branch at "vp/0"; "" is the tree itself. Borrowed; NULL: there is none. */
json_t *inspect_branch(json_t *tree, const char *path);
