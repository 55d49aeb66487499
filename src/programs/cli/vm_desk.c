/* SPDX-License-Identifier: Apache-2.0 */
/* Screen, keyboard and mouse of a VM that runs; see vm_desk.h. */
#include "programs/cli/vm_desk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "programs/cli/words.h"

/* ---- screen ---------------------------------------------------------------------------------- */

static int write_file(const char *path, const u8 *bytes, size_t size, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	int r = fd < 0 ? -errno : 0;

	for (size_t at = 0; r == 0 && at < size;) {
		ssize_t n = write(fd, bytes + at, size - at);

		if (n < 0)
			r = -errno;
		else
			at += (size_t)n;
	}
	if (fd >= 0 && close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0)
		return 0;
	err_set(err, r, "'%s' cannot be written: %s", path, err_words(r));
	return err_fix(err, "check the folder, and the room on its disk");
}

int vm_screenshot(const struct vm_words *w, struct err *err)
{
	AUTO_FREE u8 *bytes = NULL;
	size_t size = 0;
	int r;

	if (w->text && !w->file && w->count == 0) {
		r = vm_fetch(w, "/screen.txt", &bytes, &size, err);
		if (r == 0)
			fwrite(bytes, 1, size, stdout);
		return r;
	}
	if (!w->file || w->text || w->count > 0) {
		err_set(err, -EINVAL, "which file shall the picture become?");
		return err_fix(err, "name it: -f screen.png; or read it: --text");
	}
	r = vm_fetch(w, "/screenshot.png", &bytes, &size, err);
	return r < 0 ? r : write_file(w->file, bytes, size, err);
}

/* ---- keyboard and mouse ---------------------------------------------------------------------- */

/* body is taken; NULL: its text was not UTF-8. */
static int post(const struct vm_words *w, const char *path, json_t *body, struct err *err)
{
	json_t *state = NULL;
	int r;

	if (!body) {
		err_set(err, -EINVAL, "the text is not UTF-8");
		return err_fix(err, "write it in UTF-8");
	}
	r = vm_ask(w, "POST", path, body, &state, err);
	json_decref(state);
	return r;
}

int vm_type(const struct vm_words *w, struct err *err)
{
	if (w->count != 1) {
		err_set(err, -EINVAL, "which text?");
		return err_fix(err, "give it as one word: vm type \"some text\" --layout "
				    "es");
	}
	return post(w, "/type",
		    json_pack("{s:s, s:s}", "text", w->word[0], "layout",
			      w->layout ? w->layout : "us"),
		    err);
}

int vm_keys(const struct vm_words *w, struct err *err)
{
	if (w->count != 1) {
		err_set(err, -EINVAL, "which keys?");
		return err_fix(err, "for instance vm keys ctrl-alt-del, or \"up up "
				    "enter\"");
	}
	return post(w, "/keys", json_pack("{s:s}", "keys", w->word[0]), err);
}

/* A number between limits; no text: 0. */
static int number_of(const char *text, s64 least, s64 most, int *ret_number,
		     struct err *err)
{
	bool minus = text && text[0] == '-';
	const char *rest = "";
	u64 n = 0;

	if (text && (!parse_number(text + minus, &n, &rest) || *rest || n > INT32_MAX ||
		     (minus ? -(s64)n < least : (s64)n > most))) {
		err_set(err, -EINVAL, "'%s' is not a number from %d to %d", text,
			(int)least, (int)most);
		return err_fix(err, "see 'tabique vm --help'");
	}
	*ret_number = minus ? -(int)n : (int)n;
	return 0;
}

int vm_mouse(const struct vm_words *w, struct err *err)
{
	int x = 0, y = 0, buttons = 0, wheel = 0, r;

	if (w->count > 0 || !w->x || !w->y) {
		err_set(err, -EINVAL, "where to?");
		return err_fix(err, "vm mouse x=16384 y=16384 is the middle of the "
				    "screen");
	}
	r = number_of(w->x, 0, 32767, &x, err);
	if (r == 0)
		r = number_of(w->y, 0, 32767, &y, err);
	if (r == 0)
		r = number_of(w->buttons, 0, 31, &buttons, err);
	if (r == 0)
		r = number_of(w->wheel, -32767, 32767, &wheel, err);
	return r < 0 ? r
		     : post(w, "/mouse",
			    json_pack("{s:i, s:i, s:i, s:i}", "x", x, "y", y, "buttons",
				      buttons, "wheel", wheel),
			    err);
}
