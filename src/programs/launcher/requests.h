/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of a request to the launcher, and the words of the command line that it becomes. No I/O, no
 * parsing: a text is looked at for its end, for what would begin another word, and that paths are whole.
 * Any thread.
 */
#pragma once

#include "wall/launch_order.h"

/* -EINVAL with the sentence. Afterwards every text of the request ends inside its field. */
int launch_request_check(const struct launch_request *request, struct err *err)
	MUST_CHECK;

/*
 * argv of `tabique run` for a LAUNCH_START that was checked: pointers into *ret_words, NULL at the end. socket is
 * the descriptor that it will have.
 */
#define LAUNCH_MAX_ARGS (28 + 2 * (2 * LAUNCH_MAX_DISKS + LAUNCH_MAX_NICS))
struct launch_words {
	char cpus[16], memory[24], socket[16];
	const char *argv[LAUNCH_MAX_ARGS];
};
void launch_words_make(const struct launch_request *request, const char *control,
		       const char *allow, int socket, struct launch_words *ret_words);
