/* SPDX-License-Identifier: Apache-2.0 */
/* Shutdown; see shutdown.h. */
#include "vsp/ic/shutdown.h"

#include <errno.h>

void shutdown_ask(struct shutdown *s, bool reboot, ic_done_fn done, void *owner)
{
	/* By force: programs that do not want to end are ended. */
	const struct ic_shutdown body = {
		.reason = le32_of(IC_SHUTDOWN_PLANNED),
		.flags = le32_of(IC_SHUTDOWN_FORCE | (reboot ? IC_SHUTDOWN_REBOOT : 0)),
	};
	struct err err = { 0 };
	int r;

	if (ic_request_is_busy(&s->request, done, owner))
		return;
	r = ic_ask(&s->channel, &body, sizeof body, SHUTDOWN_ANSWER_SECONDS * NS_PER_SEC);
	if (r < 0) {
		done(owner, ic_why_not(&s->channel, r, &err), &err);
		return;
	}
	s->request = (struct ic_request){ done, owner };
}

static void on_answered(void *owner, u32 status, const u8 *body, u32 size)
{
	struct shutdown *s = owner;
	struct err err = { 0 };

	if (status == IC_OK) {
		s->accepted++;
		ic_request_end(&s->request, 0, NULL);
		return;
	}
	s->refused++;
	err_set(&err, -EPERM, "the guest will not: it answered with status %#x", status);
	err_fix(&err, "end it from inside, or pull the plug: tabique vm stop --force");
	ic_request_end(&s->request, err.code, &err);
}

static void on_silent(void *owner)
{
	struct shutdown *s = owner;
	struct err err = { 0 };

	err_set(&err, -ETIMEDOUT, "the guest's kernel has not answered in %u seconds",
		SHUTDOWN_ANSWER_SECONDS);
	err_fix(&err, "look at its console; pull the plug: tabique vm stop --force");
	ic_request_end(&s->request, err.code, &err);
}

static void on_closed(void *owner)
{
	struct shutdown *s = owner;

	ic_request_unloaded(&s->request, "if it is not ending already, try again");
}

static void inspect(const void *owner, const char *branch, struct inspect *out)
{
	const struct shutdown *s = owner;

	inspect_number(out, branch, "accepted", s->accepted);
	inspect_number(out, branch, "refused", s->refused);
}

static const struct ic_kind kind = {
	.name = "shutdown",
	.interface = IC_GUID_SHUTDOWN,
	.instance = IC_INSTANCE_SHUTDOWN,
	.message = IC_SHUTDOWN,
	.version = { { 3, 2 }, { 3, 1 }, { 3, 0 }, { 1, 0 } },
	.answered = on_answered,
	.silent = on_silent,
	.closed = on_closed,
	.inspect = inspect,
};

int shutdown_offer(struct shutdown *s, struct ic_host *host)
{
	return ic_channel_offer(&s->channel, host, &kind, s);
}
