/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk/nbd.h and disk.h above it, against a server of our own at the other end of a socket pair: it
 * speaks the protocol (doc/proto.md of the NBD project) as far as these tests need it, says on
 * demand what no good server says, or nothing at all.
 */
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/log.h"
#include "disk/nbd_library.h"
#include "unit/disk_asked.h"
#include "unit/harness.h"

#define SIZE (4u << 20)
#define NEVER UINT64_MAX

enum {
	HAS_FLAGS = 1,
	IS_READ_ONLY = 2,
	HAS_FLUSH = 4,
	HAS_FUA = 8,
	HAS_TRIM = 32,
	HAS_ZERO = 64,
};
enum { CMD_READ, CMD_WRITE, CMD_END, CMD_FLUSH, CMD_TRIM, CMD_ZERO = 6 };

struct server {
	/* How it is. */
	u16 flags;
	u32 block, maximum;
	bool structured;
	_Atomic u32 error; /* of every request */
	u64 cut_at;	   /* it ends after so many bytes that it said */
	u64 change_at;	   /* this byte is wrong, by: */
	u8 change;
	_Atomic u64 silent_at;	   /* it says nothing more after so many */
	unsigned requests_at_most; /* it ends at the next */

	int socket;
	pthread_t thread;
	_Atomic u64 said;
	unsigned requests, reads, writes, flushes, trims, zeros, fuas;
	u64 largest;
	u8 data[SIZE];
};
static struct server server;

/* ---- the server ------------------------------------------------------------------------------- */

static bool hear(struct server *s, void *to, size_t size)
{
	return size == 0 || recv(s->socket, to, size, MSG_WAITALL) == (ssize_t)size;
}

static bool say(struct server *s, const void *from, size_t size)
{
	AUTO_FREE u8 *copy = malloc(size);
	size_t n = size;

	if (!copy)
		return false;
	memcpy(copy, from, size);
	if (s->change_at >= s->said && s->change_at - s->said < size)
		copy[s->change_at - s->said] ^= s->change;
	if (s->silent_at - s->said < n)
		n = s->silent_at - s->said;
	if (s->cut_at - s->said < n)
		n = s->cut_at - s->said;
	s->said += n;
	if (n > 0 && send(s->socket, copy, n, MSG_NOSIGNAL) != (ssize_t)n)
		return false;
	return n == size || s->silent_at == s->said;
}

static u8 *put(u8 *to, u64 value, unsigned bytes)
{
	while (bytes-- > 0)
		*to++ = (u8)(value >> (8 * bytes));
	return to;
}

static u64 take(const u8 **from, unsigned bytes)
{
	u64 value = 0;

	while (bytes-- > 0)
		value = value << 8 | *(*from)++;
	return value;
}

static bool answer_option(struct server *s, u32 option, u32 type, const u8 *data,
			  u32 size)
{
	u8 head[20], *p = put(head, 0x3e889045565a9, 8);

	put(put(put(p, option, 4), type, 4), size, 4);
	return say(s, head, sizeof head) && (size == 0 || say(s, data, size));
}

static bool describe(struct server *s, u32 option)
{
	u8 export[12], blocks[14];

	put(put(put(export, 0, 2), SIZE, 8), s->flags, 2);
	put(put(put(put(blocks, 3, 2), s->block, 4), max_u64(s->block, 4096), 4),
	    s->maximum, 4);
	return answer_option(s, option, 3, export, sizeof export) &&
	       (s->block == 0 || answer_option(s, option, 3, blocks, sizeof blocks)) &&
	       answer_option(s, option, 1, NULL, 0);
}

/* Until the client asks for the export. */
static bool negotiate(struct server *s)
{
	u8 data[512], head[16];

	if (!say(s, "NBDMAGICIHAVEOPT\0\3", 18) || !hear(s, data, 4))
		return false;
	while (hear(s, head, sizeof head)) {
		const u8 *p = head + 8;
		u32 option = (u32)take(&p, 4), size = (u32)take(&p, 4);

		if (size > sizeof data || !hear(s, data, size))
			return false;
		if (option == 7)
			return describe(s, option);
		if (!answer_option(s, option,
				   option == 8 && s->structured ? 1 : 0x80000001, NULL,
				   0))
			return false;
	}
	return false;
}

static bool answer(struct server *s, u16 type, u64 cookie, u64 offset, u32 size)
{
	u8 head[28], *p;

	if (s->structured && type == CMD_READ && s->error == 0) {
		p = put(put(put(head, 0x668e33ef, 4), 1, 2), 1, 2);
		p = put(put(put(p, cookie, 8), size + 8, 4), offset, 8);
	} else {
		p = put(put(put(head, 0x67446698, 4), s->error, 4), cookie, 8);
	}
	return say(s, head, (size_t)(p - head)) &&
	       (type != CMD_READ || s->error || say(s, s->data + offset, size));
}

static bool serve_one(struct server *s)
{
	u8 head[28];
	const u8 *p = head + 4;

	if (!hear(s, head, sizeof head) || s->requests == s->requests_at_most)
		return false;
	u16 flags = (u16)take(&p, 2), type = (u16)take(&p, 2);
	u64 cookie = take(&p, 8), offset = take(&p, 8);
	u32 size = (u32)take(&p, 4);

	if (type == CMD_END || offset > SIZE || size > SIZE - offset)
		return false;
	if (type == CMD_WRITE && !hear(s, s->data + offset, size))
		return false;
	if (type == CMD_ZERO)
		memset(s->data + offset, 0, size);
	s->requests++;
	s->reads += type == CMD_READ;
	s->writes += type == CMD_WRITE;
	s->flushes += type == CMD_FLUSH;
	s->trims += type == CMD_TRIM;
	s->zeros += type == CMD_ZERO;
	s->fuas += flags & 1;
	s->largest = max_u64(s->largest, size);
	return answer(s, type, cookie, offset, size);
}

static void *server_main(void *owner)
{
	struct server *s = owner;

	if (negotiate(s))
		while (serve_one(s))
			;
	shutdown(s->socket, SHUT_RDWR);
	return NULL;
}

/* A good one. */
static void server_init(void)
{
	server = (struct server){
		.flags = HAS_FLAGS | HAS_FLUSH | HAS_FUA | HAS_TRIM | HAS_ZERO,
		.cut_at = NEVER,
		.change_at = NEVER,
		.silent_at = NEVER,
		.requests_at_most = UINT32_MAX,
		.maximum = 1u << 20,
	};
}

/* ---- a disk ------------------------------------------------------------------------------------ */

struct fixture {
	struct asked_disk a;
	struct err err;
};

static int enter(void *owner)
{
	return 0;
}

/* 0, or what disk_open said; then the server has ended. */
static int build(struct fixture *f, bool read_only, unsigned patience)
{
	const struct disk_pool_config config = { .enter_nbd = enter,
						 .nbd_patience = patience };
	struct disk_level level = { .name = "nbd", .nbd_export = "e" };
	const struct disk_open open = { .level = &level,
					.level_count = 1,
					.read_only = read_only };
	int ends[2];

	memset(f, 0, sizeof *f);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	server.socket = ends[1];
	level.fd = ends[0];
	EXPECT_EQ(pthread_create(&server.thread, NULL, server_main, &server), 0);
	return asked_open(&f->a, &config, &open, &f->err);
}

static int tear_down(struct fixture *f)
{
	int r = asked_close(&f->a);

	shutdown(server.socket, SHUT_RDWR);
	pthread_join(server.thread, NULL);
	close(server.socket);
	return r;
}

static int write_durably(struct fixture *f, void *data, u64 size)
{
	const struct iovec iov = { .iov_base = data, .iov_len = size };

	return asked_do(&f->a, (struct disk_request){ .op = DISK_WRITE,
						      .flags = DISK_FUA,
						      .iov = &iov,
						      .iov_count = 1,
						      .size = size });
}

#define NEEDS_LIBNBD()                              \
	do {                                        \
		struct err why_ = { 0 };            \
		if (nbd_library_load(&why_) < 0)    \
			SKIP("libnbd is not here"); \
		log_start("unit-disk", LOG_ERROR);  \
		server_init();                      \
	} while (0)

TEST(what_is_written_to_a_server_is_read_back)
{
	struct fixture f;
	u8 in[8192], out[8192] = { 0 };

	NEEDS_LIBNBD();
	memset(in, 0x5a, sizeof in);
	ASSERT_ERR(build(&f, false, 0), 0);
	EXPECT_EQ(disk_info(f.a.disk)->size, SIZE);
	EXPECT_EQ(disk_info(f.a.disk)->logical_block, 512);
	ASSERT_ERR(asked_transfer(&f.a, DISK_WRITE, in, sizeof in, 512), 0);
	ASSERT_ERR(asked_transfer(&f.a, DISK_READ, out, sizeof out, 512), 0);
	ASSERT_MEM(out, in, sizeof in);
	ASSERT_MEM(server.data + 512, in, sizeof in);
	ASSERT_ERR(asked_do(&f.a, (struct disk_request){ .op = DISK_FLUSH }), 0);
	ASSERT_ERR(asked_do(&f.a, (struct disk_request){ .op = DISK_ZERO,
							 .offset = 512,
							 .size = 512 }),
		   0);
	ASSERT_EQ(server.data[1023], 0);
	ASSERT_EQ(server.data[1024], 0x5a);
	ASSERT_ERR(tear_down(&f), 0);
	ASSERT_EQ(server.reads, 1);
	ASSERT_EQ(server.zeros, 1);
}

TEST(requests_in_many_small_pieces_reach_the_server_whole)
{
	enum { PIECES = 512, PIECE = 3000 };
	struct fixture f;
	static u8 data[PIECES][4096], back[PIECES * PIECE];
	static struct iovec iov[PIECES];
	struct disk_counters counters;
	struct iovec all = { .iov_base = back, .iov_len = sizeof back };

	NEEDS_LIBNBD();
	server.structured = true;
	for (unsigned i = 0; i < PIECES; i++) {
		memset(data[i], (int)i, PIECE);
		iov[i] = (struct iovec){ .iov_base = data[i], .iov_len = PIECE };
	}
	ASSERT_ERR(build(&f, false, 0), 0);
	ASSERT_ERR(asked_do(&f.a, (struct disk_request){ .op = DISK_WRITE,
							 .iov = iov,
							 .iov_count = PIECES,
							 .size = sizeof back }),
		   0);
	ASSERT_ERR(asked_do(&f.a, (struct disk_request){ .op = DISK_READ,
							 .iov = &all,
							 .iov_count = 1,
							 .size = sizeof back }),
		   0);
	for (unsigned i = 0; i < PIECES; i++)
		ASSERT_MEM(back + i * PIECE, data[i], PIECE);
	memset(data, 0xff, sizeof data);
	ASSERT_ERR(asked_do(&f.a, (struct disk_request){ .op = DISK_READ,
							 .iov = iov,
							 .iov_count = PIECES,
							 .size = sizeof back }),
		   0);
	for (unsigned i = 0; i < PIECES; i++)
		ASSERT_MEM(back + i * PIECE, data[i], PIECE);
	disk_count(f.a.disk, &counters);
	ASSERT_EQ(counters.by_server, 3);
	ASSERT_ERR(tear_down(&f), 0);
	ASSERT(server.largest <= 512u << 10);
}

TEST(three_hundred_requests_at_once_to_a_server_all_come_back)
{
	struct fixture f;
	static u8 data[300][512];

	NEEDS_LIBNBD();
	ASSERT_ERR(build(&f, false, 0), 0);
	ASSERT_ERR(asked_write_at_once(&f.a, data, 300, 1024), 0);
	for (unsigned i = 0; i < 300; i++)
		ASSERT_MEM(server.data + i * 1024, data[i], 512);
	ASSERT_ERR(tear_down(&f), 0);
}

TEST(durable_writes_are_flushed_where_a_server_has_no_fua)
{
	struct fixture f;
	u8 data[512] = { 0 };

	NEEDS_LIBNBD();
	server.flags = HAS_FLAGS | HAS_FLUSH;
	ASSERT_ERR(build(&f, false, 0), 0);
	ASSERT_ERR(asked_transfer(&f.a, DISK_WRITE, data, sizeof data, 0), 0);
	ASSERT_EQ(server.flushes, 0);
	ASSERT_ERR(write_durably(&f, data, sizeof data), 0);
	ASSERT_EQ(server.flushes, 1);
	/* what it cannot do at all: zeros are written, trims forgotten */
	memset(server.data, 1, SIZE);
	ASSERT_ERR(asked_do(&f.a, (struct disk_request){ .op = DISK_ZERO, .size = 4096 }),
		   0);
	ASSERT_EQ(server.data[4095], 0);
	ASSERT_ERR(asked_do(&f.a, (struct disk_request){ .op = DISK_TRIM, .size = 8192 }),
		   0);
	ASSERT_ERR(tear_down(&f), 0);
	ASSERT_EQ(server.fuas + server.trims + server.zeros, 0);
}

TEST(durable_writes_are_asked_of_a_server_that_has_fua)
{
	struct fixture f;
	u8 data[512] = { 0 };

	NEEDS_LIBNBD();
	ASSERT_ERR(build(&f, false, 0), 0);
	ASSERT_ERR(write_durably(&f, data, sizeof data), 0);
	ASSERT_EQ(server.fuas, 1);
	ASSERT_EQ(server.flushes, 0);
	ASSERT_ERR(tear_down(&f), 0);
}

TEST(export_for_reading_only_is_refused_for_writing)
{
	struct fixture f;
	u8 data[512];

	NEEDS_LIBNBD();
	server.flags |= IS_READ_ONLY;
	ASSERT_ERR(build(&f, false, 0), EROFS);
	ASSERT(strstr(f.err.text, "for reading only"));
	ASSERT_ERR(tear_down(&f), 0);
	server_init();
	server.flags |= IS_READ_ONLY;
	ASSERT_ERR(build(&f, true, 0), 0);
	ASSERT_ERR(asked_transfer(&f.a, DISK_READ, data, sizeof data, 0), 0);
	ASSERT_ERR(asked_transfer(&f.a, DISK_WRITE, data, sizeof data, 0), EROFS);
	ASSERT_ERR(tear_down(&f), 0);
}

TEST(blocks_of_a_server_become_sectors_or_it_is_refused)
{
	struct fixture f;

	NEEDS_LIBNBD();
	server.block = 4096;
	ASSERT_ERR(build(&f, false, 0), 0);
	ASSERT_EQ(disk_info(f.a.disk)->logical_block, 4096);
	/* a trim of half of each of two blocks is none; of more, the whole block in it */
	ASSERT_ERR(asked_do(&f.a, (struct disk_request){ .op = DISK_TRIM,
							 .offset = 2048,
							 .size = 4096 }),
		   0);
	ASSERT_EQ(server.trims, 0);
	ASSERT_ERR(asked_do(&f.a, (struct disk_request){ .op = DISK_TRIM,
							 .offset = 2048,
							 .size = 8192 }),
		   0);
	ASSERT_EQ(server.trims, 1);
	ASSERT_ERR(tear_down(&f), 0);
	server_init();
	server.block = 65536;
	ASSERT_ERR(build(&f, false, 0), EOPNOTSUPP);
	ASSERT(strstr(f.err.text, "65536"));
	ASSERT_ERR(tear_down(&f), 0);
}

TEST(largest_request_of_a_server_is_kept)
{
	struct fixture f;
	static u8 data[1 << 20];

	NEEDS_LIBNBD();
	server.block = 512;
	server.maximum = 65536;
	ASSERT_ERR(build(&f, false, 0), 0);
	ASSERT_ERR(asked_transfer(&f.a, DISK_WRITE, data, sizeof data, 0), 0);
	ASSERT_ERR(tear_down(&f), 0);
	ASSERT_EQ(server.writes, 16);
	ASSERT_EQ(server.largest, 65536);
}

TEST(errors_of_a_server_keep_their_meaning)
{
	struct fixture f;
	u8 data[512] = { 0 };

	NEEDS_LIBNBD();
	ASSERT_ERR(build(&f, false, 0), 0);
	server.error = 28; /* NBD_ENOSPC */
	ASSERT_ERR(asked_transfer(&f.a, DISK_WRITE, data, sizeof data, 0), ENOSPC);
	server.error = 5; /* NBD_EIO */
	ASSERT_ERR(asked_transfer(&f.a, DISK_READ, data, sizeof data, 0), EIO);
	server.error = 0;
	ASSERT_ERR(asked_transfer(&f.a, DISK_WRITE, data, sizeof data, 0), 0);
	/* after a flush that failed nothing is believed any more */
	server.error = 28;
	ASSERT_ERR(asked_do(&f.a, (struct disk_request){ .op = DISK_FLUSH }), EIO);
	server.error = 0;
	ASSERT_ERR(asked_transfer(&f.a, DISK_WRITE, data, sizeof data, 0), EIO);
	ASSERT_ERR(tear_down(&f), EIO);
}

TEST(server_that_goes_ends_what_is_under_way_with_an_error)
{
	struct fixture f;
	struct disk_request request[100];
	u8 data[512] = { 0 };
	const struct iovec iov = { .iov_base = data, .iov_len = sizeof data };

	NEEDS_LIBNBD();
	server.requests_at_most = 3;
	ASSERT_ERR(build(&f, false, 0), 0);
	for (unsigned i = 0; i < 100; i++) {
		request[i] = (struct disk_request){
			.op = DISK_READ, .iov = &iov, .iov_count = 1, .size = 512
		};
		asked_submit(&f.a, &request[i]);
	}
	ASSERT_ERR(asked_wait(&f.a), EIO);
	ASSERT_ERR(asked_transfer(&f.a, DISK_READ, data, sizeof data, 0), EIO);
	ASSERT_ERR(tear_down(&f), EIO);
}

TEST(server_that_says_nothing_is_given_up)
{
	struct fixture f;
	u8 data[512];

	NEEDS_LIBNBD();
	server.silent_at = 0;
	ASSERT_ERR(build(&f, false, 100), EIO);
	ASSERT(strstr(f.err.text, "does not answer"));
	ASSERT_ERR(tear_down(&f), 0);
	server_init();
	ASSERT_ERR(build(&f, false, 1000), 0);
	server.silent_at = server.said;
	ASSERT_ERR(asked_transfer(&f.a, DISK_READ, data, sizeof data, 0), EIO);
	ASSERT_ERR(tear_down(&f), EIO);
}

/* Everything that is said, from the first byte on, is wrong once; or it ends there. */
static void use(void)
{
	struct fixture f;
	static u8 data[4096];
	int r = build(&f, false, 20);

	if (r == 0) {
		(void)write_durably(&f, data, sizeof data);
		(void)asked_transfer(&f.a, DISK_READ, data, sizeof data, 512);
		(void)asked_do(&f.a,
			       (struct disk_request){ .op = DISK_ZERO, .size = 512 });
		(void)asked_do(&f.a, (struct disk_request){ .op = DISK_FLUSH });
	}
	(void)tear_down(&f);
}

TEST_TIMEOUT(any_wrong_byte_of_a_server_leads_to_an_error_or_to_nothing, 120)
{
	static const u8 change[] = { 0x01, 0x80, 0xff };
	u64 said;

	NEEDS_LIBNBD();
	server.block = 512;
	server.structured = true;
	use();
	said = server.said;
	ASSERT(said > 4300);
	for (u64 at = 0; at < said; at++) {
		if (at > 200 && at < said - 200) /* the data that was read */
			continue;
		for (unsigned k = 0; k < ARRAY_COUNT(change) + 1; k++) {
			server_init();
			server.block = 512;
			server.structured = true;
			if (k == ARRAY_COUNT(change)) {
				server.cut_at = at;
			} else {
				server.change_at = at;
				server.change = change[k];
			}
			use();
		}
	}
}
