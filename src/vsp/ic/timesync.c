/* SPDX-License-Identifier: Apache-2.0 */
/* Time synchronization; see timesync.h. */
#include "vsp/ic/timesync.h"

#include <errno.h>

#define ANSWER_SECONDS 10
/* The two clocks are read one after the other: further apart than this they are read again. */
#define APART_NS (NS_PER_SEC / 500)
#define TRIES 4

/* The host's time and the guest's reference time of one moment, the closest of some readings. */
static bool read_both(const struct timesync *t, s64 *ret_host_ns, u64 *ret_reference)
{
	const struct ic_host *host = t->channel.host;
	s64 best = INT64_MAX;

	for (unsigned k = 0; k < TRIES && best > (s64)APART_NS; k++) {
		s64 before = host->clock->realtime_ns(host->clock), apart;
		u64 reference;

		if (!host->reference_time(host->owner, &reference))
			return false;
		apart = host->clock->realtime_ns(host->clock) - before;
		if (apart < 0 || apart >= best)
			continue;
		best = apart;
		*ret_host_ns = before + apart / 2;
		*ret_reference = reference;
	}
	return best < INT64_MAX;
}

static int send_time(struct timesync *t, u8 flags)
{
	const u64 patience = ANSWER_SECONDS * NS_PER_SEC;
	u64 host, reference = 0;
	s64 host_ns = 0;

	if (!read_both(t, &host_ns, &reference))
		return -EIO;
	host = IC_TIME_1970 + (u64)host_ns / 100;
	if (t->channel.version.major < 4) {
		const struct ic_timesync_old body = { .host = le64_of(host),
						      .flags = flags };

		return ic_ask(&t->channel, &body, sizeof body, patience);
	}
	const struct ic_timesync body = {
		.host = le64_of(host),
		.reference = le64_of(reference),
		.flags = flags,
	};
	return ic_ask(&t->channel, &body, sizeof body, patience);
}

static void tell(struct timesync *t)
{
	bool set = t->set;

	ic_timer_set(&t->channel, ic_now(&t->channel) + TIMESYNC_SECONDS * NS_PER_SEC);
	if (!ic_is_ready(&t->channel) ||
	    send_time(t, set ? IC_TIME_SYNC : IC_TIME_SAMPLE) < 0)
		return;
	t->sets += set;
	t->samples += !set;
	t->set = false;
}

static void on_ready(void *owner)
{
	struct timesync *t = owner;

	t->set = true;
	tell(t);
}

static void on_timer(void *owner)
{
	tell(owner);
}

/* What had to wait for this answer. */
static void on_answered(void *owner, u32 status, const u8 *body, u32 size)
{
	struct timesync *t = owner;

	if (t->set)
		tell(t);
}

static void on_late(void *owner, u32 status)
{
	on_answered(owner, status, NULL, 0);
}

static void on_resumed(void *owner)
{
	struct timesync *t = owner;

	if (t->channel.state >= IC_READY)
		on_ready(t);
}

static void inspect(const void *owner, const char *branch, struct inspect *out)
{
	const struct timesync *t = owner;

	inspect_number(out, branch, "sets", t->sets);
	inspect_number(out, branch, "samples", t->samples);
}

static const struct ic_kind kind = {
	.name = "timesync",
	.interface = IC_GUID_TIMESYNC,
	.instance = IC_INSTANCE_TIMESYNC,
	.message = IC_TIMESYNC,
	.version = { { 4, 0 }, { 3, 0 }, { 1, 0 } },
	.ready = on_ready,
	.answered = on_answered,
	.late = on_late,
	.timer = on_timer,
	.resumed = on_resumed,
	.inspect = inspect,
};

int timesync_offer(struct timesync *t, struct ic_host *host)
{
	return ic_channel_offer(&t->channel, host, &kind, t);
}
