/* SPDX-License-Identifier: Apache-2.0 */
/* Volume shadow copy; see vss.h. */
#include "vsp/ic/vss.h"

#include <errno.h>

#include "base/log.h"

static int ask(struct vss *v, u8 operation)
{
	const struct ic_vss body = { .operation = operation };

	return ic_ask(&v->channel, &body, sizeof body, VSS_SECONDS * NS_PER_SEC);
}

/* ---- freezes --------------------------------------------------------------------------------- */

void vss_freeze(struct vss *v, ic_done_fn done, void *owner)
{
	struct err err = { 0 };
	int r;

	if (ic_request_is_busy(&v->request, done, owner))
		return;
	if (v->state != VSS_IDLE) {
		err_set(&err, -EBUSY, "the guest's file systems are frozen already");
		err_fix(&err, "they thaw by themselves; or thaw them: tabique vm thaw");
		done(owner, err.code, &err);
		return;
	}
	r = ask(v, IC_VSS_FREEZE);
	if (r < 0) {
		done(owner, ic_why_not(&v->channel, r, &err), &err);
		return;
	}
	v->state = VSS_FREEZING;
	v->request = (struct ic_request){ done, owner };
	ic_timer_set(&v->channel, ic_now(&v->channel) + VSS_SECONDS * NS_PER_SEC);
}

static void on_freeze_answer(struct vss *v, u32 status)
{
	struct err err = { 0 };

	if (status == IC_OK) {
		v->freezes++;
		v->state = VSS_FROZEN;
		ic_request_end(&v->request, 0, NULL);
		return;
	}
	v->state = VSS_IDLE;
	ic_timer_set(&v->channel, UINT64_MAX);
	err_set(&err, -EPERM,
		"the guest has not frozen its file systems: its VSS daemon does not run, "
		"or has failed (status %#x)",
		status);
	err_fix(&err, "in the guest, start its VSS daemon; in Debian: apt install "
		      "hyperv-daemons");
	ic_request_end(&v->request, err.code, &err);
}

/* ---- thaws ----------------------------------------------------------------------------------- */

/* Again in a second where it cannot be said now: the guest stands, or owes an answer. */
static void thaw(struct vss *v)
{
	v->state = VSS_THAWING;
	if (ic_is_ready(&v->channel) && ask(v, IC_VSS_THAW) == 0)
		v->tries++;
	else
		ic_timer_set(&v->channel, ic_now(&v->channel) + NS_PER_SEC);
}

void vss_thaw(struct vss *v, ic_done_fn done, void *owner)
{
	struct err err = { 0 };

	if (ic_request_is_busy(&v->request, done, owner))
		return;
	if (v->state != VSS_FROZEN) {
		err_set(&err, -EALREADY,
			"the guest's file systems are not frozen any more");
		err_fix(&err,
			"they thaw by themselves after %u seconds; freeze them again, "
			"and be quicker",
			VSS_SECONDS);
		done(owner, err.code, &err);
		return;
	}
	v->request = (struct ic_request){ done, owner };
	v->tries = 0;
	thaw(v);
}

static void thaw_alone(struct vss *v)
{
	v->alone++;
	v->tries = 0;
	thaw(v);
}

static void on_thaw_answer(struct vss *v, u32 status)
{
	struct err err = { 0 };

	if (status == IC_OK) {
		v->thaws++;
		v->state = VSS_IDLE;
		ic_timer_set(&v->channel, UINT64_MAX);
		ic_request_end(&v->request, 0, NULL);
		return;
	}
	if (v->tries < VSS_THAW_TRIES) {
		ic_timer_set(&v->channel, ic_now(&v->channel) + NS_PER_SEC);
		return;
	}
	v->state = VSS_IDLE;
	log_guest("vss: the guest has not thawed its file systems (status %#x)", status);
	err_set(&err, -EPERM,
		"the guest has not thawed its file systems: it answered with status %#x",
		status);
	err_fix(&err, "in the guest: fsfreeze -u MOUNTPOINT");
	ic_request_end(&v->request, err.code, &err);
}

/* ---- what happens ---------------------------------------------------------------------------- */

static void on_timer(void *owner)
{
	struct vss *v = owner;

	if (v->state == VSS_FROZEN)
		thaw_alone(v);
	else if (v->state == VSS_THAWING)
		thaw(v);
}

static void on_answered(void *owner, u32 status, const u8 *body, u32 size)
{
	struct vss *v = owner;

	if (v->state == VSS_FREEZING)
		on_freeze_answer(v, status);
	else if (v->state == VSS_THAWING)
		on_thaw_answer(v, status);
}

static void on_silent(void *owner)
{
	struct vss *v = owner;
	struct err err = { 0 };

	/* What had waited for versions to be agreed was never asked. */
	if (v->state == VSS_FREEZING)
		v->state = v->channel.state == IC_SILENT ? VSS_LATE : VSS_IDLE;
	err_set(&err, -ETIMEDOUT, "the guest has not answered in %u seconds",
		VSS_SECONDS);
	err_fix(&err, "look at its console; it is told to thaw as soon as it answers");
	ic_request_end(&v->request, err.code, &err);
}

static void on_late(void *owner, u32 status)
{
	struct vss *v = owner;

	if (v->state == VSS_LATE && status != IC_OK)
		v->state = VSS_IDLE;
	else if (v->state == VSS_LATE)
		thaw_alone(v);
	else if (v->state == VSS_THAWING)
		on_thaw_answer(v, status);
}

static void on_closed(void *owner)
{
	struct vss *v = owner;

	v->state = VSS_IDLE;
	ic_request_unloaded(&v->request, "try again when it is there");
}

/* ---- elsewhere ------------------------------------------------------------------------------- */

static u64 keep(const void *owner)
{
	const struct vss *v = owner;

	return v->state;
}

/* Nobody here knows what it was frozen for: it thaws, or does when it has answered. */
static void kept(void *owner, u64 state)
{
	struct vss *v = owner;

	v->state = state == VSS_FREEZING || state == VSS_LATE	 ? VSS_LATE
		   : state == VSS_FROZEN || state == VSS_THAWING ? VSS_THAWING
								 : VSS_IDLE;
}

static void on_resumed(void *owner)
{
	struct vss *v = owner;

	if (v->channel.state < IC_READY)
		v->state = VSS_IDLE;
	else if (v->state == VSS_LATE && v->channel.state == IC_READY)
		v->state = VSS_THAWING;
	/* Here the timer goes on; what came from elsewhere has none. */
	if (v->state == VSS_THAWING && v->channel.timer == UINT64_MAX)
		thaw(v);
}

static void inspect(const void *owner, const char *branch, struct inspect *out)
{
	static const char *const states[] = { "idle", "freezing", "frozen", "late",
					      "thawing" };
	const struct vss *v = owner;

	inspect_words(out, branch, "file_systems", "%s", states[v->state]);
	inspect_number(out, branch, "freezes", v->freezes);
	inspect_number(out, branch, "thaws", v->thaws);
	inspect_number(out, branch, "thaws_unasked", v->alone);
}

static const struct ic_kind kind = {
	.name = "vss",
	.interface = IC_GUID_VSS,
	.instance = IC_INSTANCE_VSS,
	.message = IC_VSS,
	.version = { { 5, 0 }, { 3, 0 }, { 1, 0 } },
	.answered = on_answered,
	.silent = on_silent,
	.late = on_late,
	.closed = on_closed,
	.timer = on_timer,
	.resumed = on_resumed,
	.inspect = inspect,
	.keep = keep,
	.kept = kept,
};

int vss_offer(struct vss *v, struct ic_host *host)
{
	return ic_channel_offer(&v->channel, host, &kind, v);
}
