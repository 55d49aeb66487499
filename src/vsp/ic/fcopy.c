/* SPDX-License-Identifier: Apache-2.0 */
/* File copy; see fcopy.h. */
#include "vsp/ic/fcopy.h"

#include <errno.h>

#include "vsp/ic/text.h"

/* What Linux' daemon has to say, beside IC_FAILED. */
enum { STATUS_EXISTS = 0x80070050, STATUS_FULL = 0x80070070 };

/* ---- ends ------------------------------------------------------------------------------------ */

static void let_go(struct fcopy *f)
{
	loop_watch_remove(f->watch);
	f->watch = NULL;
	if (f->fd >= 0)
		close(take_fd(&f->fd));
}

static void end(struct fcopy *f)
{
	struct err why = f->why;

	let_go(f);
	f->state = FCOPY_IDLE;
	f->why = (struct err){ 0 };
	ic_request_end(&f->request, why.code, &why);
}

static int ask(struct fcopy *f, const void *body, u32 size)
{
	return ic_ask(&f->channel, body, size, FCOPY_ANSWER_SECONDS * NS_PER_SEC);
}

/* Nothing of it shall stay in the guest; f->why says why. Who waits hears it when that is done. */
static void cancel(struct fcopy *f)
{
	const struct ic_fcopy_header body = { .operation = le32_of(IC_FCOPY_CANCEL) };

	let_go(f);
	f->cancelled++;
	f->state = FCOPY_CANCEL;
	if (!ic_is_ready(&f->channel) || f->channel.host->paused) {
		/* As soon as it has answered what it owes (on_late), moves, or has closed. */
		ic_request_end(&f->request, f->why.code, &f->why);
		return;
	}
	if (ask(f, &body, sizeof body) < 0)
		end(f);
}

/* ---- the host's side ------------------------------------------------------------------------- */

static void read_on(struct fcopy *f);

static void on_bytes(void *owner, unsigned events)
{
	struct fcopy *f = owner;

	loop_watch_remove(f->watch);
	f->watch = NULL;
	read_on(f);
}

static void write_piece(struct fcopy *f)
{
	int r;

	f->state = FCOPY_WRITE;
	f->piece.header.operation = le32_of(IC_FCOPY_WRITE);
	f->piece.offset = le64_of(f->at);
	f->piece.size = le32_of(f->filled);
	r = ask(f, &f->piece, sizeof f->piece);
	/* The guest stands: again when it moves. */
	if (r == -EBUSY && f->channel.host->paused) {
		f->state = FCOPY_READ;
	} else if (r < 0) {
		ic_why_not(&f->channel, r, &f->why);
		cancel(f);
	}
}

static void complete(struct fcopy *f)
{
	const struct ic_fcopy_header body = { .operation = le32_of(IC_FCOPY_COMPLETE) };
	int r = ask(f, &body, sizeof body);

	f->state = FCOPY_COMPLETE;
	if (r == -EBUSY && f->channel.host->paused) {
		f->state = FCOPY_READ;
	} else if (r < 0) {
		ic_why_not(&f->channel, r, &f->why);
		cancel(f);
	}
}

/* Bytes until a piece is full; each comes once, whatever happens in between. */
static void read_on(struct fcopy *f)
{
	u32 want = (u32)min_u64(sizeof f->piece.data, f->size - f->at);
	struct err *why = &f->why;
	int r;

	f->state = FCOPY_READ;
	while (f->filled < want) {
		ssize_t n = read(f->fd, f->piece.data + f->filled, want - f->filled);

		if (n > 0) {
			f->filled += (u32)n;
			continue;
		}
		if (n < 0 && errno == EAGAIN) {
			r = loop_watch_add(f->channel.host->loop, f->fd, LOOP_READ,
					   on_bytes, f, &f->watch);
			if (r == 0)
				return;
			err_set(why, r, "the file: %s", err_words(r));
		} else if (n < 0) {
			err_set(why, -errno, "the file cannot be read: %s",
				err_words(-errno));
			err_fix(why, "look at the host's storage");
		} else {
			err_set(why, -EIO,
				"the file has become shorter while it was copied, or "
				"cannot be read");
			err_fix(why, "copy one that nobody changes");
		}
		cancel(f);
		return;
	}
	if (want > 0)
		write_piece(f);
	else
		complete(f);
}

void fcopy_copy(struct fcopy *f, const struct fcopy_order *order, int fd, ic_done_fn done,
		void *owner)
{
	struct ic_fcopy_start body = {
		.header.operation = le32_of(IC_FCOPY_START),
		.flags = le32_of((order->overwrite ? IC_FCOPY_OVERWRITE : 0) |
				 (order->make_path ? IC_FCOPY_MAKE_PATH : 0)),
		.size = le64_of(order->size),
	};
	struct err err = { 0 };
	int r = 0;

	if (f->request.done || f->state != FCOPY_IDLE) {
		err_set(&err, -EBUSY, "another file is being copied into the guest");
		r = err_fix(&err, "try again when that is done");
	} else if (ic_text_write(order->name, (u8 *)body.name, IC_FCOPY_NAME) <= 2 ||
		   ic_text_write(order->folder, (u8 *)body.folder, IC_FCOPY_NAME) <= 2) {
		err_set(&err, -EINVAL, "the name in the guest is too long, or no UTF-8");
		r = err_fix(&err, "a folder and a name have at most %u characters each",
			    IC_FCOPY_NAME - 1);
	} else {
		r = ask(f, &body, sizeof body);
		if (r < 0)
			ic_why_not(&f->channel, r, &err);
	}
	if (r < 0) {
		close(fd);
		done(owner, r, &err);
		return;
	}
	f->request = (struct ic_request){ done, owner };
	f->state = FCOPY_START;
	f->begun = false;
	f->fd = fd;
	f->size = order->size;
	f->at = 0;
	f->filled = 0;
}

/* ---- the guest's side ------------------------------------------------------------------------ */

static void refused(struct fcopy *f, u32 status)
{
	struct err *why = &f->why;

	if (status == STATUS_EXISTS) {
		err_set(why, -EEXIST, "the guest has a file of that name");
		err_fix(why, "take another one, or write over it: --force");
	} else if (status == STATUS_FULL) {
		err_set(why, -ENOSPC, "the guest's disk is full");
		err_fix(why, "make room in the guest");
	} else if (f->state == FCOPY_START) {
		err_set(why, -EPERM,
			"the guest does not take it: its file copy daemon does not run, "
			"or cannot "
			"make that file (status %#x)",
			status);
		err_fix(why, "name a folder that is there; in Debian: apt install "
			     "hyperv-daemons");
	} else {
		err_set(why, -EIO, "the guest could not write it (status %#x)", status);
		err_fix(why, "look at the guest's disk and journal");
	}
	/* What was not begun is not cancelled. */
	if (f->state == FCOPY_START)
		end(f);
	else
		cancel(f);
}

static void on_answered(void *owner, u32 status, const u8 *body, u32 size)
{
	struct fcopy *f = owner;

	if (f->state == FCOPY_CANCEL) {
		end(f);
		return;
	}
	if (f->state == FCOPY_IDLE)
		return;
	if (status != IC_OK) {
		refused(f, status);
		return;
	}
	if (f->state == FCOPY_COMPLETE) {
		f->copies++;
		end(f);
		return;
	}
	f->begun = true;
	f->at += f->filled;
	f->bytes += f->filled;
	f->filled = 0;
	read_on(f);
}

static void on_silent(void *owner)
{
	struct fcopy *f = owner;

	if (f->state == FCOPY_CANCEL) {
		end(f);
		return;
	}
	err_set(&f->why, -ETIMEDOUT, "the guest has not answered in %u seconds",
		FCOPY_ANSWER_SECONDS);
	err_fix(&f->why, "in the guest, start its file copy daemon; in Debian: apt "
			 "install hyperv-daemons");
	if (f->channel.state == IC_SILENT)
		cancel(f);
	else
		end(f);
}

/* It has not answered in time, or here. */
static void on_late(void *owner, u32 status)
{
	struct fcopy *f = owner;

	if (f->state != FCOPY_CANCEL)
		return;
	if (f->begun || status == IC_OK)
		cancel(f);
	else
		end(f);
}

static void on_closed(void *owner)
{
	struct fcopy *f = owner;

	if (f->state == FCOPY_IDLE)
		return;
	if (f->why.code == 0)
		ic_say_unloaded(&f->why, "had all", "try again when it is there");
	end(f);
}

/* ---- elsewhere ------------------------------------------------------------------------------- */

static u64 keep(const void *owner)
{
	const struct fcopy *f = owner;

	return f->state == FCOPY_IDLE ? 0 : f->begun ? 2 : 1;
}

static void kept(void *owner, u64 copying)
{
	struct fcopy *f = owner;

	f->state = copying ? FCOPY_CANCEL : FCOPY_IDLE;
	f->begun = copying == 2;
}

static void on_resumed(void *owner)
{
	struct fcopy *f = owner;

	if (f->channel.state < IC_READY && !f->request.done)
		f->state = FCOPY_IDLE;
	/* What came from elsewhere; and what had to wait here. */
	if (f->state == FCOPY_CANCEL && ic_is_ready(&f->channel) && f->begun)
		cancel(f);
	else if (f->state == FCOPY_READ && !f->watch)
		read_on(f);
}

static void inspect(const void *owner, const char *branch, struct inspect *out)
{
	static const char *const states[] = { "idle",	"starts",    "reads",
					      "writes", "completes", "cancels" };
	const struct fcopy *f = owner;

	inspect_words(out, branch, "copy", "%s", states[f->state]);
	inspect_number(out, branch, "copies", f->copies);
	inspect_number(out, branch, "bytes", f->bytes);
	inspect_number(out, branch, "cancelled", f->cancelled);
}

static const struct ic_kind kind = {
	.name = "fcopy",
	.interface = IC_GUID_FCOPY,
	.instance = IC_INSTANCE_FCOPY,
	.message = IC_FCOPY,
	.version = { { 1, 1 } },
	.answered = on_answered,
	.silent = on_silent,
	.late = on_late,
	.closed = on_closed,
	.resumed = on_resumed,
	.inspect = inspect,
	.keep = keep,
	.kept = kept,
};

int fcopy_offer(struct fcopy *f, struct ic_host *host)
{
	f->fd = -1;
	return ic_channel_offer(&f->channel, host, &kind, f);
}

void fcopy_done(struct fcopy *f)
{
	let_go(f);
}
