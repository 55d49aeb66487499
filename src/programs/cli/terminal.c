/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user's end of the serial console; see terminal.h.
 *
 * One small buffer each way: while the guest's socket is full, standard input is not read. While standard
 * output has no room (a pager, a stopped terminal, a pipe that nobody reads) the guest's socket is not
 * read, and its UART waits as with a real line; everything else of the VM goes on. Standard output is
 * others' too and stays as it is: before each write poll says whether there is room, and a write is so
 * small that it does not block then.
 */
#include "programs/cli/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>

#define MENU_KEY 0x1d /* Ctrl-] */

/* What can be written where poll says that there is room: pipe(7), PIPE_BUF; less to a terminal. */
#define PIPE_PIECE 4096
#define OTHER_PIECE 256

struct terminal {
	struct loop *loop;
	int guest;
	const struct terminal_events *events;
	void *owner;

	bool is_tty, input_ended, broken;
	struct termios before;
	bool in_menu;

	struct loop_watch *input, *output;
	bool input_is_file; /* always readable: no watch, the alarm reads the next piece */
	struct loop_alarm piece;
	char pending[4096]; /* read from the user, not yet taken by the guest */
	size_t pending_size;

	struct loop_watch *
		room; /* of standard output, while something waits; NULL: it always has */
	size_t piece_size;
	char said[16384]; /* by the guest, and by us to who sits here; not yet written */
	size_t said_at, said_size;
};

static const char menu[] = "\r\n[l] leave  [p] power button  [r] reset  [o] power off  "
			   "[Ctrl-]] send Ctrl-]  "
			   "[other] go on: ";

/* ---- from the guest -------------------------------------------------------------------------- */

static void report_broken(struct terminal *t, int r)
{
	struct err err = { 0 };

	if (t->broken)
		return;
	t->broken = true;
	err_set(&err, r, "the console's output cannot be written: %s", err_words(r));
	if (r == -ENOSPC)
		err_fix(&err, "make room where standard output goes");
	t->events->broken(t->owner, &err);
}

static bool has_room(const struct terminal *t)
{
	struct pollfd fd = { .fd = STDOUT_FILENO, .events = POLLOUT };

	return !t->room || (poll(&fd, 1, 0) == 1 && fd.revents);
}

/* What can be written now. */
static void write_said(struct terminal *t)
{
	while (t->said_size > 0 && !t->broken && has_room(t)) {
		const size_t size = t->said_size < t->piece_size ? t->said_size
								 : t->piece_size;
		ssize_t n = write(STDOUT_FILENO, t->said + t->said_at, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			report_broken(t, -errno);
			break;
		}
		t->said_at += (size_t)n;
		t->said_size -= (size_t)n;
	}
	if (t->said_size == 0 || t->broken)
		t->said_at = t->said_size = 0;
}

/* Who is waited for: the guest, or room for what it has said. */
static void watch_output(struct terminal *t)
{
	const bool waits = t->said_size > 0;

	if (t->room)
		loop_watch_change(t->room, waits ? LOOP_WRITE : 0);
	if (t->output)
		loop_watch_change(t->output, (waits ? 0 : LOOP_READ) |
						     (t->pending_size ? LOOP_WRITE : 0));
}

/* One piece of what the guest says; false: there is none now, or the one before still waits. */
static bool take_piece(struct terminal *t)
{
	ssize_t n;

	if (t->said_size > 0 || t->broken)
		return false;
	do
		n = recv(t->guest, t->said, sizeof t->said, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n == 0) { /* hv closed its end: its pidfd tells the story */
		loop_watch_remove(t->output);
		t->output = NULL;
	}
	if (n <= 0)
		return false;
	t->said_size = (size_t)n;
	write_said(t);
	return true;
}

/* Bounded, so that a guest that never stops talking cannot starve the rest of the loop. */
static void drain_guest(struct terminal *t, unsigned rounds)
{
	while (rounds-- > 0 && take_piece(t))
		;
	watch_output(t);
}

static void on_room(void *owner, unsigned events)
{
	struct terminal *t = owner;

	write_said(t);
	watch_output(t);
}

/* From us to who sits at the terminal; a word that finds no room behind the guest's is left out. */
static void say(struct terminal *t, const char *text, size_t size)
{
	if (t->said_at + t->said_size + size > sizeof t->said)
		return;
	memcpy(t->said + t->said_at + t->said_size, text, size);
	t->said_size += size;
	write_said(t);
	watch_output(t);
}

/* ---- to the guest ---------------------------------------------------------------------------- */

static void send_pending(struct terminal *t)
{
	while (t->pending_size > 0) {
		ssize_t n = send(t->guest, t->pending, t->pending_size,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			t->pending_size = 0; /* hv is gone */
		if (n <= 0)
			break;
		t->pending_size -= (size_t)n;
		memmove(t->pending, t->pending + n, t->pending_size);
	}
	watch_output(t);
	if (t->input)
		loop_watch_change(t->input, t->pending_size ? 0 : LOOP_READ);
	if (t->input_is_file && !t->pending_size)
		loop_alarm_set(&t->piece, 0);
}

static void on_guest(void *owner, unsigned events)
{
	struct terminal *t = owner;

	if (events & LOOP_WRITE)
		send_pending(t);
	if (events & (LOOP_READ | LOOP_HANGUP))
		drain_guest(t, 4);
}

static void menu_key(struct terminal *t, char key)
{
	static const struct {
		char key;
		enum terminal_choice choice;
		const char *word;
	} rows[] = {
		{ 'l', TERMINAL_LEAVE, "leave" },
		{ 'p', TERMINAL_POWER_BUTTON, "power button" },
		{ 'r', TERMINAL_RESET, "reset" },
		{ 'o', TERMINAL_POWER_OFF, "power off" },
	};

	t->in_menu = false;
	if (key == MENU_KEY) {
		t->pending[t->pending_size++] = key;
		say(t, "\r\n", 2);
		return;
	}
	for (size_t k = 0; k < ARRAY_COUNT(rows); k++) {
		if (rows[k].key != (key | 0x20))
			continue;
		say(t, rows[k].word, strlen(rows[k].word));
		say(t, "\r\n", 2);
		t->events->chosen(t->owner, rows[k].choice);
		return;
	}
	say(t, "\r\n", 2);
}

/* The menu exists for a person at a terminal; a pipe carries every byte through. */
static void take_input(struct terminal *t, const char *text, size_t size)
{
	for (size_t k = 0; k < size; k++) {
		if (t->in_menu) {
			menu_key(t, text[k]);
		} else if (t->is_tty && text[k] == MENU_KEY) {
			t->in_menu = true;
			say(t, menu, sizeof menu - 1);
		} else {
			t->pending[t->pending_size++] = text[k];
		}
	}
	send_pending(t);
}

static void on_input(void *owner, unsigned events)
{
	struct terminal *t = owner;
	char text[sizeof t->pending];
	ssize_t n = read(STDIN_FILENO, text, sizeof text - t->pending_size);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) { /* the end of input is not the end of the guest */
		loop_watch_remove(t->input);
		t->input = NULL;
		t->input_is_file = false;
		return;
	}
	take_input(t, text, (size_t)n);
}

static void on_piece(void *owner)
{
	on_input(owner, LOOP_READ);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void make_raw(struct terminal *t)
{
	struct termios raw;

	t->is_tty = tcgetattr(STDIN_FILENO, &t->before) == 0;
	if (!t->is_tty)
		return;
	raw = t->before;
	/* Output stays cooked: the lines of our own log end well, the guest sends CR LF itself. */
	raw.c_iflag &=
		~(tcflag_t)(BRKINT | ICRNL | INLCR | IGNCR | INPCK | ISTRIP | IXON);
	raw.c_lflag &= ~(tcflag_t)(ECHO | ICANON | IEXTEN | ISIG);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
}

static bool is_pipe(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

int terminal_open(struct loop *loop, int guest, const struct terminal_events *events,
		  void *owner, struct terminal **ret_terminal, struct err *err)
{
	struct terminal *t = calloc(1, sizeof *t);
	int r;

	if (!t)
		return err_set(err, -ENOMEM, "console: %s", err_words(-ENOMEM));
	*t = (struct terminal){
		.loop = loop, .guest = guest, .events = events, .owner = owner
	};
	r = loop_watch_add(loop, guest, LOOP_READ, on_guest, t, &t->output);
	loop_alarm_init(loop, &t->piece, on_piece, t);
	t->piece_size = PIPE_PIECE;
	if (r == 0)
		r = loop_watch_add(loop, STDOUT_FILENO, 0, on_room, t, &t->room);
	if (r == -EPERM) /* a file or /dev/null: it always has room */
		r = 0;
	else if (r == 0 && !is_pipe(STDOUT_FILENO))
		t->piece_size = OTHER_PIECE;
	if (r == 0)
		r = loop_watch_add(loop, STDIN_FILENO, LOOP_READ, on_input, t, &t->input);
	if (r == -EPERM) { /* a file or /dev/null: epoll cannot watch it */
		t->input_is_file = true;
		loop_alarm_set(&t->piece, 0);
		r = 0;
	} else if (r == -EBADF) { /* closed: no input */
		r = 0;
	}
	if (r < 0) {
		terminal_close(t, false);
		return err_set(err, r, "console: %s", err_words(r));
	}
	make_raw(t);
	*ret_terminal = t;
	return 0;
}

/* All that the guest has said, however long its reader takes. */
static void finish_writing(struct terminal *t)
{
	struct pollfd fd = { .fd = STDOUT_FILENO, .events = POLLOUT };

	for (;;) {
		while (take_piece(t))
			;
		if (t->said_size == 0 || (poll(&fd, 1, -1) < 0 && errno != EINTR))
			return;
		write_said(t);
	}
}

void terminal_close(struct terminal *t, bool patient)
{
	if (!t)
		return;
	if (patient)
		finish_writing(t);
	else
		drain_guest(t, 256);
	if (t->is_tty)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &t->before);
	loop_watch_remove(t->input);
	loop_watch_remove(t->output);
	loop_watch_remove(t->room);
	loop_alarm_set(&t->piece, UINT64_MAX);
	free(t);
}
