/* SPDX-License-Identifier: Apache-2.0 */
/* control/http.h and control/inspect_tree.h: bytes in, structs out. */
#include <stdio.h>

#include "control/http.h"
#include "control/inspect_tree.h"
#include "unit/harness.h"

static int parse(const char *text, struct http_message *m)
{
	return http_parse_request(text, strlen(text), m);
}

TEST(request_is_whole_only_with_its_last_byte)
{
	static const char text[] = "POST /1.0/vms/self/disks?x=1 HTTP/1.1\r\n"
				   "host: a\r\nCONTENT-length:  4 \r\n\r\nbodyGET";
	size_t whole = sizeof text - 1 - 3;
	struct http_message m;

	for (size_t size = 0; size < whole; size++)
		ASSERT_EQ(http_parse_request(text, size, &m), 0);
	ASSERT_EQ(http_parse_request(text, sizeof text - 1, &m), 1);
	ASSERT_STR(m.method, "POST");
	ASSERT_STR(m.path, "/1.0/vms/self/disks");
	ASSERT_EQ(m.head_size + m.body_size, whole);
	ASSERT_EQ(m.body_size, 4);
	ASSERT(m.keep_alive);
}

TEST(requests_that_make_no_sense_are_told_apart)
{
	struct http_message m;
	AUTO_FREE char *long_one = malloc(HTTP_MAX_HEAD + 1);

	ASSERT_ERR(parse("\r\n\r\n", &m), EBADMSG);
	ASSERT_ERR(parse("GET / HTTP/2\r\n\r\n", &m), EBADMSG);
	ASSERT_ERR(parse("GET x HTTP/1.1\r\n\r\n", &m), EBADMSG);
	ASSERT_ERR(parse("GETGETGETGET / HTTP/1.1\r\n\r\n", &m), EBADMSG);
	ASSERT_ERR(parse("GET /%zz HTTP/1.1\r\n\r\n", &m), EBADMSG);
	ASSERT_ERR(parse("GET /%4 HTTP/1.1\r\n\r\n", &m), EBADMSG);
	ASSERT_ERR(parse("GET /%00 HTTP/1.1\r\n\r\n", &m), EBADMSG);
	ASSERT_ERR(parse("GET / HTTP/1.1\r\nno colon\r\n\r\n", &m), EBADMSG);
	ASSERT_ERR(parse("GET / HTTP/1.1\r\nContent-Length: 1e3\r\n\r\n", &m), EBADMSG);
	ASSERT_ERR(parse("GET / HTTP/1.1\r\nContent-Length: 9999999999999\r\n\r\n", &m),
		   EBADMSG);
	ASSERT_ERR(parse("GET / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n", &m), E2BIG);
	ASSERT_ERR(parse("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", &m),
		   EOPNOTSUPP);
	memset(long_one, 'a', HTTP_MAX_HEAD);
	ASSERT_EQ(http_parse_request(long_one, HTTP_MAX_HEAD - 1, &m), 0);
	ASSERT_ERR(http_parse_request(long_one, HTTP_MAX_HEAD, &m), E2BIG);
	memcpy(long_one, "GET /", 5);
	memcpy(long_one + 700, " HTTP/1.1\r\n\r\n", 13);
	ASSERT_ERR(http_parse_request(long_one, 713, &m), E2BIG);
}

TEST(connection_stays_unless_somebody_wants_it_closed)
{
	struct http_message m;

	ASSERT_EQ(parse("GET / HTTP/1.0\r\n\r\n", &m), 1);
	ASSERT(!m.keep_alive);
	ASSERT_EQ(parse("GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", &m), 1);
	ASSERT(!m.keep_alive);
}

TEST(reply_is_read_as_it_was_written)
{
	char head[512];
	size_t size = http_reply_write(head, sizeof head - 3,
				       &(struct http_reply){ .status = 409,
							     .type = "application/"
								     "problem+json",
							     .body_size = 3,
							     .etag = "\"1\"" });
	struct http_message m;

	ASSERT_EQ(http_parse_reply(head, size, &m), 0);
	memcpy(head + size, "{}\n", 3);
	ASSERT_EQ(http_parse_reply(head, size + 3, &m), 1);
	ASSERT_EQ(m.status, 409);
	ASSERT_EQ(m.head_size, size);
	ASSERT(!m.keep_alive);
}

static bool tree_is(const char *lines, const char *json)
{
	json_t *tree = inspect_tree(lines);
	AUTO_FREE char *text = json_dumps(tree, JSON_COMPACT);

	json_decref(tree);
	CHECK_STR(text, json);
	return true;
}

TEST(lines_make_a_tree_and_nonsense_makes_nothing)
{
	ASSERT_OK(tree_is("a.b: 1\na.c: x y\nd: 0\n", "{\"a\":{\"b\":1,\"c\":\"x "
						      "y\"},\"d\":0}"));
	/* Registers are text, though some have digits alone. */
	ASSERT_OK(tree_is("rip: 0010\nn: 12345678901234567890\n", "{\"rip\":\"0010\","
								  "\"n\":"
								  "\"12345678901234567890"
								  "\"}"));
	ASSERT_OK(tree_is("m: a\nm: b\nm: c\n", "{\"m\":[\"a\",\"b\",\"c\"]}"));
	/* A leaf is no branch, names have letters, text is text, and the end may be cut. */
	ASSERT_OK(tree_is("a: 1\na.b: 2\n.x: 3\nno\n: 5\nz: \xff\033", "{\"a\":1,\"z\":"
								       "\"??\"}"));
	ASSERT_OK(tree_is("1.2.3.4.5.6.7.8.9: deep\n", "{\"1\":{\"2\":{\"3\":{\"4\":{"
						       "\"5\":{\"6\":"
						       "{\"7\":{\"8\":{}}}}}}}}}"));
}

TEST(branch_is_found_by_its_path)
{
	json_t *tree = inspect_tree("vp.0.rip: 5\n");

	ASSERT(inspect_branch(tree, "") == tree);
	ASSERT_EQ(json_integer_value(inspect_branch(tree, "/vp//0/rip/")), 5);
	ASSERT(!inspect_branch(tree, "vp/1"));
	ASSERT(!inspect_branch(tree, "vp/0/rip/x"));
	json_decref(tree);
}
