/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host whose storage fails, and a process that is killed: what was flushed before is there afterwards,
 * and a failed flush is never followed by one that says all is well.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "unit/disk_model.h"
#include "unit/harness.h"

#define BLOCKS 24
#define PIECE 4096u

/* Piece n of round r goes to a place of its own; places lie in many blocks. */
static u64 place_of(const struct image *im, u64 n)
{
	u64 step = im->size / BLOCKS & ~(u64)(PIECE - 1);

	return n % BLOCKS * step;
}

static void fill(u8 *data, u64 n)
{
	for (u64 i = 0; i < PIECE; i += 8) {
		u64 v = n * 0x9e3779b97f4a7c15ull + i;

		memcpy(data + i, &v, sizeof v);
	}
}

static int write_piece(struct image *im, u64 n)
{
	u8 data[PIECE];
	struct iovec iov = { .iov_base = data, .iov_len = sizeof data };

	fill(data, n);
	return image_write(im, &iov, 1, place_of(im, n));
}

/* Pieces [0, flushed) are there, but where a later one, up to `written`, took their place. */
static bool pieces_there(struct image *im, u64 flushed, u64 written)
{
	for (u64 n = flushed > BLOCKS ? flushed - BLOCKS : 0; n < flushed; n++) {
		u8 now[PIECE], wanted[PIECE];
		struct iovec iov = { .iov_base = now, .iov_len = sizeof now };
		bool there = false;

		CHECK_ERR(image_read(im, &iov, 1, place_of(im, n)), 0);
		for (u64 k = n; k <= written && !there; k += BLOCKS) {
			fill(wanted, k);
			there = memcmp(now, wanted, PIECE) == 0;
		}
		CHECK(there);
	}
	return true;
}

/* ---- storage that fails ---- */

/* Work until something fails; *ret_flushed pieces are durable. After a failed flush: only errors. */
static bool work_until_failure(struct image *im, u64 *ret_flushed, u64 *ret_written)
{
	u64 n = 0;
	int r = 0;

	*ret_flushed = 0;
	for (; n < 3 * BLOCKS && r == 0; n++) {
		r = write_piece(im, n);
		if (r == 0 && n % 5 == 4) {
			r = image_flush(im);
			if (r == 0)
				*ret_flushed = n + 1;
			else if (r != -ENOSPC)
				CHECK_ERR(image_flush(im), EIO);
		}
	}
	*ret_written = n;
	return true;
}

static bool survives(const char *name, int error, bool sticky, u64 fail_at, bool *ret_end)
{
	struct model m;
	struct err err = { 0 };
	struct image *im;
	u64 flushed = 0, written = 0;

	CHECK_OK(model_new(&m, model_kind_named(name), 3));
	m.power[0].ops = 0;
	m.power[0].fail_at = fail_at;
	m.power[0].fail_with = error;
	m.power[0].fail_sticky = sticky;
	if (model_open_files(m.kind, m.power, false, &im, &err) == 0) {
		CHECK_OK(work_until_failure(im, &flushed, &written));
		image_abandon(im);
	}
	*ret_end = m.power[0].ops < fail_at;
	m.power[0].fail_at = 0;
	CHECK_ERR(model_open_files(m.kind, m.power, false, &im, &err), 0);
	CHECK_OK(pieces_there(im, flushed, written));
	CHECK_ERR(image_close(im), 0);
	model_free(&m);
	return true;
}

static bool survives_at_every_place(const char *name)
{
	bool end = false;

	for (u64 at = 1; !end; at += 1 + at / 40) {
		CHECK_OK(survives(name, -EIO, false, at, &end));
		CHECK_OK(survives(name, -ENOSPC, false, at, &end));
		CHECK_OK(survives(name, -EIO, true, at, &end));
	}
	return true;
}

TEST_TIMEOUT(storage_that_fails_anywhere_loses_nothing_that_was_flushed, 60)
{
	ASSERT_OK(survives_at_every_place("large-vhd-dynamic"));
	ASSERT_OK(survives_at_every_place("large-vhd-differencing"));
	ASSERT_OK(survives_at_every_place("large-vhdx-dynamic"));
	ASSERT_OK(survives_at_every_place("large-vhdx-differencing"));
}

/* ---- a process that is killed ---- */

NORETURN static void write_for_ever(int fd, enum disk_format format, u64 first,
				    int pipe_end)
{
	struct storage *s;
	struct image *im;
	struct err err;

	if (storage_open_file(fd, false, 0, &s) < 0 ||
	    image_open(format, s, false, &im, &err) < 0)
		_exit(1);
	for (u64 n = first;; n++) {
		u64 done = n + 1;

		if (write_piece(im, n) < 0)
			_exit(2);
		if (n % 3 == 2 &&
		    (image_flush(im) < 0 || write(pipe_end, &done, sizeof done) < 0))
			_exit(3);
	}
}

/* *flushed moves on to what the process had flushed before it was killed, after `wanted` flushes. */
static bool kill_a_writer(int fd, enum disk_format format, unsigned wanted, u64 *flushed)
{
	int ends[2], status;
	u64 done;

	CHECK_ERR(pipe(ends), 0);
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		write_for_ever(fd, format, *flushed, ends[1]);
	close(ends[1]);
	while (wanted-- > 0 && read(ends[0], &done, sizeof done) == sizeof done)
		*flushed = done;
	kill(pid, SIGKILL);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status));
	/* It may have flushed more before the signal came. */
	while (read(ends[0], &done, sizeof done) == sizeof done)
		*flushed = done;
	close(ends[0]);
	return true;
}

static bool killed_again_and_again(enum disk_format format)
{
	const struct image_create create = { .format = format,
					     .type = IMAGE_DYNAMIC,
					     .size = 64u << 20 };
	char name[] = "/tmp/disk-killed-XXXXXX";
	AUTO_CLOSE int fd = mkstemp(name);
	struct storage *s;
	struct image *im;
	struct err err = { 0 };
	u64 flushed = 0;

	CHECK(fd >= 0);
	unlink(name);
	CHECK_ERR(storage_open_file(fd, false, 0, &s), 0);
	CHECK_ERR(image_create(s, &create, &err), 0);
	storage_close(s);
	for (unsigned k = 0; k < 15; k++) {
		CHECK_OK(kill_a_writer(fd, format, 1 + k % 4, &flushed));
		CHECK_ERR(storage_open_file(fd, k % 2, 0, &s), 0);
		CHECK_ERR(image_open(format, s, k % 2, &im, &err), 0);
		CHECK_OK(pieces_there(im, flushed, flushed + 4 * BLOCKS));
		CHECK_ERR(image_close(im), 0);
	}
	return true;
}

TEST_TIMEOUT(process_killed_while_it_writes_leaves_all_that_it_flushed, 60)
{
	ASSERT_OK(killed_again_and_again(DISK_VHD));
	ASSERT_OK(killed_again_and_again(DISK_VHDX));
}
