/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Somebody asked a component for something and waits for what became of it. One at a time for each
 * component; done is called once, perhaps from inside. err says why where r is negative.
 */
#pragma once

#include <errno.h>

#include "vsp/ic/channel.h"

typedef void (*ic_done_fn)(void *owner, int r, const struct err *err);

struct ic_request {
	ic_done_fn done; /* NULL: nobody waits */
	void *owner;
};

static inline void ic_request_end(struct ic_request *request, int r,
				  const struct err *err)
{
	static const struct err none;
	struct ic_request ended = *request;

	*request = (struct ic_request){ 0 };
	if (ended.done)
		ended.done(ended.owner, r, err ? err : &none);
}

/* -EBUSY and its sentence, where somebody waits already. */
static inline bool ic_request_is_busy(const struct ic_request *request, ic_done_fn done,
				      void *owner)
{
	struct err err = { 0 };

	if (!request->done)
		return false;
	err_set(&err, -EBUSY, "the guest is being asked for the same already");
	err_fix(&err, "try again when that is done");
	done(owner, err.code, &err);
	return true;
}

/* The guest has closed the channel, and whoever waits is told: it did not come to what it was to do. */
static inline void ic_say_unloaded(struct err *err, const char *before, const char *fix)
{
	err_set(err, -ENOTCONN, "the guest has unloaded its driver before it %s", before);
	err_fix(err, "%s", fix);
}
static inline void ic_request_unloaded(struct ic_request *request, const char *fix)
{
	struct err err = { 0 };

	ic_say_unloaded(&err, "answered", fix);
	ic_request_end(request, err.code, &err);
}
