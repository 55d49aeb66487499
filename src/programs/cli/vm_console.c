/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tabique vm console NAME --serial: the guest's serial console here, by the daemon: what it says is asked
 * for from byte to byte, what is typed is posted. Ctrl-] leaves. A thread listens, the main one types.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <termios.h>

#include "programs/cli/vm_host.h"

#define LEAVE 0x1d /* Ctrl-] */

struct listener {
	const struct vm_words *words;
	struct err err; /* why it ended */
	int over;	/* eventfd */
};

static void print_text(const json_t *answer)
{
	const json_t *text = json_object_get(answer, "text");

	fwrite(json_string_value(text) ? json_string_value(text) : "", 1,
	       json_string_length(text), stdout);
	fflush(stdout);
}

static void *listen_on(void *owner)
{
	struct listener *l = owner;
	char path[48] = "/serial/0";
	int r = 0;

	while (r == 0) {
		json_t *answer = NULL;

		r = vm_ask(l->words, "GET", path, NULL, &answer, &l->err);
		if (r == 0) {
			print_text(answer);
			snprintf(path, sizeof path, "/serial/%lld",
				 (long long)json_integer_value(
					 json_object_get(answer, "to")));
		}
		json_decref(answer);
	}
	eventfd_write(l->over, 1);
	return NULL;
}

/* 1: Ctrl-] was in it. */
static int type(const struct vm_words *w, const char *text, size_t size, struct err *err)
{
	const char *leave = memchr(text, LEAVE, size);
	json_t *nothing = NULL, *body;
	size_t n = leave ? (size_t)(leave - text) : size;
	int r = 0;

	body = json_pack("{s:s%}", "text", text, n);
	if (!body) /* half a letter: a terminal sends whole ones */
		return 0;
	if (n > 0)
		r = vm_ask(w, "POST", "/serial", body, &nothing, err);
	else
		json_decref(body);
	json_decref(nothing);
	return r < 0 ? r : leave != NULL;
}

static int converse(const struct vm_words *w, struct listener *l, struct err *err)
{
	struct pollfd p[2] = { { .fd = STDIN_FILENO, .events = POLLIN },
			       { .fd = l->over, .events = POLLIN } };
	char text[256];
	int r = 0;

	while (r == 0) {
		ssize_t n;

		if (poll(p, 2, -1) < 0)
			continue;
		if (p[1].revents) {
			*err = l->err;
			return err->code;
		}
		n = read(STDIN_FILENO, text, sizeof text);
		if (n > 0)
			r = type(w, text, (size_t)n, err);
		else
			p[0].fd = -1; /* the end of input is not the end of the guest */
	}
	return r < 0 ? r : 0;
}

int vm_console(const struct vm_words *w, struct err *err)
{
	struct listener l = { .words = w, .over = eventfd(0, EFD_CLOEXEC) };
	struct termios before, raw;
	bool is_tty = tcgetattr(STDIN_FILENO, &before) == 0;
	json_t *answer = NULL;
	pthread_t thread;
	int r;

	if (!w->serial) {
		err_set(err, -EINVAL, "which console?");
		return err_fix(err, "the serial one is: tabique vm console NAME "
				    "--serial");
	}
	r = vm_ask(w, "GET", "/state", NULL, &answer, err);
	json_decref(answer);
	if (r == 0 && (l.over < 0 || pthread_create(&thread, NULL, listen_on, &l) != 0))
		r = err_set(err, -ENOMEM, "%s", err_words(-ENOMEM));
	if (r < 0)
		return r;
	if (is_tty) {
		fputs("Ctrl-] leaves.\r\n", stderr);
		raw = before;
		raw.c_iflag &= ~(tcflag_t)(BRKINT | ICRNL | INLCR | IGNCR | IXON);
		raw.c_lflag &= ~(tcflag_t)(ECHO | ICANON | IEXTEN | ISIG);
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
	}
	r = converse(w, &l, err);
	if (is_tty)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
	/* The listener waits for the guest: it ends with us. */
	pthread_detach(thread);
	fflush(NULL);
	if (r < 0 && r != -EHOSTDOWN && r != -EPIPE && r != -EBUSY)
		return r;
	_exit(0);
}
