/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 messages (RFC 9112), as far as the API needs them: a head, and a body of a length that
 * was said. Chunked bodies and trailers are refused. Bytes in, a struct out: no I/O.
 */
#pragma once

#include "base/types.h"

#define HTTP_MAX_HEAD 8192u
#define HTTP_MAX_BODY 65536u	   /* of a request */
#define HTTP_MAX_REPLY (64u << 20) /* body of a reply: a picture of a large screen */
#define HTTP_METHOD_SIZE 12
#define HTTP_PATH_SIZE 512
#define HTTP_TAG_SIZE 40

struct http_message {
	/* a request */
	char method[HTTP_METHOD_SIZE];
	char path[HTTP_PATH_SIZE]; /* without the query, %xx decoded, begins with '/' */
	char if_match[HTTP_TAG_SIZE], if_none_match[HTTP_TAG_SIZE]; /* "": not there */
	/* a reply */
	unsigned status;
	/* both */
	bool keep_alive;
	size_t head_size, body_size; /* the body begins at head_size */
};

/*
 * The message at the beginning of bytes: 1 when it is whole, 0 when more has to come. -EBADMSG: it
 * is none; -E2BIG: head, path or body is too long; -EOPNOTSUPP: a body without a length.
 */
int http_parse_request(const char *bytes, size_t size, struct http_message *ret_message)
	MUST_CHECK;
int http_parse_reply(const char *bytes, size_t size, struct http_message *ret_message)
	MUST_CHECK;

/* The head of a reply. Returns its length, which is below HTTP_MAX_HEAD: texts are ours and short. */
struct http_reply {
	unsigned status;
	/* Of the body; NULL: events, and no length is said: they go on until the end. */
	const char *type;
	size_t body_size;
	const char *etag, *location; /* NULL: none */
	bool keep_alive;
};
size_t http_reply_write(char *ret_head, size_t size, const struct http_reply *reply);
