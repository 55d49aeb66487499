/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user's end of the serial console: the terminal in raw mode, standard input to the guest,
 * the guest to standard output, and the menu behind Ctrl-]. Loop's thread only.
 */
#pragma once

#include "base/err.h"
#include "base/loop.h"

struct terminal;

enum terminal_choice {
	TERMINAL_LEAVE,
	TERMINAL_POWER_BUTTON,
	TERMINAL_RESET,
	TERMINAL_POWER_OFF
};

struct terminal_events {
	void (*chosen)(void *owner, enum terminal_choice choice);
	/* Standard output cannot be written any more: err says why. */
	void (*broken)(void *owner, const struct err *err);
};

/* guest: a stream socket, stays the caller's, made non-blocking. */
int terminal_open(struct loop *loop, int guest, const struct terminal_events *events,
		  void *owner, struct terminal **ret_terminal, struct err *err)
	MUST_CHECK;

/*
 * Take what the guest has still said, put the terminal back as it was. NULL is fine. patient: wait for
 * standard output as long as it takes; else what it has no room for now is lost.
 */
void terminal_close(struct terminal *terminal, bool patient);
