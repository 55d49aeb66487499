/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 messages; see http.h. */
#include "control/http.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

/* A piece of the head. */
struct piece {
	const char *at;
	size_t size;
};

/* ---- lines ----------------------------------------------------------------------------------- */

/* The next line of the head, without its end; false: there is no whole one. */
static bool next_line(struct piece *rest, struct piece *ret_line)
{
	const char *end = memchr(rest->at, '\n', rest->size);
	size_t size;

	if (!end)
		return false;
	size = (size_t)(end - rest->at);
	*ret_line = (struct piece){ rest->at, size };
	rest->at += size + 1;
	rest->size -= size + 1;
	if (size > 0 && ret_line->at[size - 1] == '\r')
		ret_line->size--;
	return true;
}

/* The next word of a line, up to a blank. */
static struct piece next_word(struct piece *line)
{
	const char *blank = memchr(line->at, ' ', line->size);
	struct piece word = { line->at, blank ? (size_t)(blank - line->at) : line->size };
	size_t used = word.size + (blank ? 1 : 0);

	line->at += used;
	line->size -= used;
	return word;
}

static bool is(struct piece p, const char *text)
{
	return p.size == strlen(text) && strncasecmp(p.at, text, p.size) == 0;
}

static struct piece trim(struct piece p)
{
	while (p.size > 0 && (p.at[0] == ' ' || p.at[0] == '\t')) {
		p.at++;
		p.size--;
	}
	while (p.size > 0 && (p.at[p.size - 1] == ' ' || p.at[p.size - 1] == '\t'))
		p.size--;
	return p;
}

static bool parse_decimal(struct piece p, size_t most_digits, u64 *ret_number)
{
	u64 n = 0;

	if (p.size == 0 || p.size > most_digits)
		return false;
	for (size_t k = 0; k < p.size; k++) {
		if (p.at[k] < '0' || p.at[k] > '9')
			return false;
		n = n * 10 + (u64)(p.at[k] - '0');
	}
	*ret_number = n;
	return true;
}

/* ---- fields ---------------------------------------------------------------------------------- */

/* One that is longer is none of ours: it is kept as something that nothing is alike. */
static int take_tag(struct piece value, char *ret_tag)
{
	if (value.size >= HTTP_TAG_SIZE)
		value = (struct piece){ "?", 1 };
	memcpy(ret_tag, value.at, value.size);
	ret_tag[value.size] = '\0';
	return 0;
}

static int take_field(struct piece line, struct http_message *m)
{
	const char *colon = memchr(line.at, ':', line.size);
	struct piece name, value;
	u64 n;

	if (!colon || colon == line.at)
		return -EBADMSG;
	name = (struct piece){ line.at, (size_t)(colon - line.at) };
	value = trim((struct piece){ colon + 1, line.size - name.size - 1 });
	if (is(name, "Content-Length")) {
		if (!parse_decimal(value, 12, &n))
			return -EBADMSG;
		m->body_size = n;
	} else if (is(name, "Transfer-Encoding")) {
		return -EOPNOTSUPP;
	} else if (is(name, "If-Match")) {
		return take_tag(value, m->if_match);
	} else if (is(name, "If-None-Match")) {
		return take_tag(value, m->if_none_match);
	} else if (is(name, "Connection")) {
		m->keep_alive = !is(value, "close");
	}
	return 0;
}

/*
 * Head and body by a function for the first line. A head that is not whole yet is not looked at
 * but for its length.
 */
static int parse(const char *bytes, size_t size, size_t max_body,
		 int (*first)(struct piece line, struct http_message *m),
		 struct http_message *ret_message)
{
	struct http_message m = { .keep_alive = true };
	const char *end = memmem(bytes, min_u64(size, HTTP_MAX_HEAD), "\r\n\r\n", 4);
	struct piece rest, line;
	int r;

	if (!end)
		return size >= HTTP_MAX_HEAD ? -E2BIG : 0;
	m.head_size = (size_t)(end - bytes) + 4;
	if (memchr(bytes, '\0', m.head_size))
		return -EBADMSG;
	rest = (struct piece){ bytes, m.head_size - 2 };
	if (!next_line(&rest, &line))
		return -EBADMSG;
	r = first(line, &m);
	while (r == 0 && next_line(&rest, &line))
		r = take_field(line, &m);
	if (r == 0 && m.body_size > max_body)
		r = -E2BIG;
	if (r < 0)
		return r;
	*ret_message = m;
	return size - m.head_size >= m.body_size;
}

/* ---- requests -------------------------------------------------------------------------------- */

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int take_path(struct piece target, char *ret_path)
{
	size_t used = 0;

	if (target.size == 0 || target.at[0] != '/')
		return -EBADMSG;
	for (size_t k = 0; k < target.size && target.at[k] != '?'; k++) {
		char c = target.at[k];

		if (c == '%') {
			int high = k + 2 < target.size ? hex(target.at[k + 1]) : -1;
			int low = high >= 0 ? hex(target.at[k + 2]) : -1;

			if (low < 0 || (high == 0 && low == 0))
				return -EBADMSG;
			c = (char)(high << 4 | low);
			k += 2;
		}
		if (used + 1 >= HTTP_PATH_SIZE)
			return -E2BIG;
		ret_path[used++] = c;
	}
	ret_path[used] = '\0';
	return 0;
}

static int take_version(struct piece word, struct http_message *m)
{
	if (is(word, "HTTP/1.0"))
		m->keep_alive = false;
	else if (!is(word, "HTTP/1.1"))
		return -EBADMSG;
	return 0;
}

static int first_of_request(struct piece line, struct http_message *m)
{
	struct piece method = next_word(&line), target = next_word(&line);
	int r;

	if (method.size == 0 || method.size >= sizeof m->method)
		return -EBADMSG;
	memcpy(m->method, method.at, method.size);
	r = take_path(target, m->path);
	return r < 0 ? r : take_version(line, m);
}

int http_parse_request(const char *bytes, size_t size, struct http_message *ret_message)
{
	return parse(bytes, size, HTTP_MAX_BODY, first_of_request, ret_message);
}

/* ---- replies --------------------------------------------------------------------------------- */

static int first_of_reply(struct piece line, struct http_message *m)
{
	struct piece version = next_word(&line), status = next_word(&line);
	u64 n;

	if (take_version(version, m) < 0 || !parse_decimal(status, 3, &n))
		return -EBADMSG;
	m->status = (unsigned)n;
	return 0;
}

int http_parse_reply(const char *bytes, size_t size, struct http_message *ret_message)
{
	return parse(bytes, size, HTTP_MAX_REPLY, first_of_reply, ret_message);
}

static const char *words_of(unsigned status)
{
	static const struct {
		unsigned status;
		const char *words;
	} rows[] = {
		{ 200, "OK" },
		{ 201, "Created" },
		{ 202, "Accepted" },
		{ 304, "Not Modified" },
		{ 400, "Bad Request" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 409, "Conflict" },
		{ 412, "Precondition Failed" },
		{ 413, "Content Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
	};

	for (size_t k = 0; k < ARRAY_COUNT(rows); k++)
		if (rows[k].status == status)
			return rows[k].words;
	return "Unknown";
}

size_t http_reply_write(char *head, size_t size, const struct http_reply *r)
{
	char length[48] = "";

	if (r->type)
		snprintf(length, sizeof length, "Content-Length: %zu\r\n", r->body_size);
	return (size_t)snprintf(
		head, size, "HTTP/1.1 %u %s\r\nContent-Type: %s\r\n%s%s%s%s%s%s%s%s\r\n",
		r->status, words_of(r->status), r->type ? r->type : "text/event-stream",
		length, r->etag ? "ETag: " : "", r->etag ? r->etag : "",
		r->etag ? "\r\n" : "", r->location ? "Location: " : "",
		r->location ? r->location : "", r->location ? "\r\n" : "",
		r->keep_alive ? "" : "Connection: close\r\n");
}
