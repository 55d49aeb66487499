/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests and replies of the API, and the lines of inspect. What is taken for a message lies inside
 * the input, and more input behind it changes nothing.
 */
#include "control/http.h"
#include "control/inspect_tree.h"

static void require(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	const char *text = (const char *)data;
	struct http_message m, again;
	AUTO_FREE char *lines = malloc(size + 1);
	json_t *tree;

	if (http_parse_request(text, size, &m) == 1) {
		require(m.head_size + m.body_size <= size);
		require(memchr(m.path, 0, sizeof m.path) && m.path[0] == '/');
		require(memchr(m.method, 0, sizeof m.method));
		require(http_parse_request(text, m.head_size + m.body_size, &again) == 1);
		require(again.body_size == m.body_size);
	}
	if (http_parse_reply(text, size, &m) == 1)
		require(m.head_size + m.body_size <= size && m.status < 1000);
	require(lines);
	memcpy(lines, data, size);
	lines[size] = '\0';
	tree = inspect_tree(lines);
	require(json_is_object(tree));
	(void)inspect_branch(tree, lines);
	json_decref(tree);
	return 0;
}
