/* SPDX-License-Identifier: Apache-2.0 */
/* The sentence that a person is told. No state of its own: callable from any thread. */
#include "base/err.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

/* What snprintf would have cut silently ends in "..." instead. */
static void mark_cut(char *text, size_t size, int length)
{
	if (length >= (int)size)
		memcpy(text + size - sizeof "...", "...", sizeof "...");
}

int err_set(struct err *err, int code, const char *fmt, ...)
{
	va_list ap;
	int length;

	err->code = code;
	err->fix[0] = 0;
	va_start(ap, fmt);
	length = vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);
	mark_cut(err->text, sizeof err->text, length);
	return code;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
	char inner[ERR_TEXT_SIZE], context[ERR_TEXT_SIZE];
	va_list ap;
	int length;

	va_start(ap, fmt);
	length = vsnprintf(context, sizeof context, fmt, ap);
	va_end(ap);
	mark_cut(context, sizeof context, length);
	memcpy(inner, err->text, sizeof inner);
	inner[sizeof inner - 1] = 0;
	length = snprintf(err->text, sizeof err->text, "%s: %s", context, inner);
	mark_cut(err->text, sizeof err->text, length);
	return err->code;
}

int err_fix(struct err *err, const char *fmt, ...)
{
	va_list ap;
	int length;

	va_start(ap, fmt);
	length = vsnprintf(err->fix, sizeof err->fix, fmt, ap);
	va_end(ap);
	mark_cut(err->fix, sizeof err->fix, length);
	return err->code;
}

const char *err_words(int code)
{
	/* strerrordesc_np's strings are constants, whatever the locale: no shared buffer. */
	static _Thread_local char words[96];
	const char *text = strerrordesc_np(-code);

	if (!text) {
		snprintf(words, sizeof words, "error %d", -code);
		return words;
	}
	snprintf(words, sizeof words, "%s", text);
	/* "Input/output error" becomes "input/output error"; "RFS ..." stays. */
	if (isupper((unsigned char)words[0]) && !isupper((unsigned char)words[1]))
		words[0] = (char)tolower((unsigned char)words[0]);
	return words;
}
