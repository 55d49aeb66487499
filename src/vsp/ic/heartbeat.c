/* SPDX-License-Identifier: Apache-2.0 */
/* Heartbeat; see heartbeat.h. */
#include "vsp/ic/heartbeat.h"

static void beat(struct heartbeat *h)
{
	const struct ic_heartbeat body = { .sequence = le64_of(h->sequence) };
	u64 next = ic_now(&h->channel) + HEARTBEAT_SECONDS * NS_PER_SEC;

	/* One that is not answered yet stands for this one too. */
	if (ic_is_ready(&h->channel) && ic_ask(&h->channel, &body, sizeof body,
					       HEARTBEAT_LOST_SECONDS * NS_PER_SEC) < 0)
		h->wrong++;
	ic_timer_set(&h->channel, next);
}

static void on_ready(void *owner)
{
	struct heartbeat *h = owner;

	h->lost = false;
	h->last_ns = ic_now(&h->channel);
	beat(h);
}

static void on_timer(void *owner)
{
	beat(owner);
}

static void revive(struct heartbeat *h)
{
	h->lost = false;
	h->last_ns = ic_now(&h->channel);
}

static void on_answered(void *owner, u32 status, const u8 *body, u32 size)
{
	struct heartbeat *h = owner;
	struct ic_heartbeat answer = { 0 };

	memcpy(&answer, body, min_u64(size, sizeof answer));
	if (le64_get(answer.sequence) != h->sequence + 1)
		h->wrong++;
	h->sequence += 2;
	revive(h);
}

static void on_silent(void *owner)
{
	struct heartbeat *h = owner;

	h->lost = true;
	h->losses++;
}

static void on_late(void *owner, u32 status)
{
	struct heartbeat *h = owner;

	h->sequence += 2;
	revive(h);
}

/* What stood was not silent. After a move it beats on. */
static void on_resumed(void *owner)
{
	struct heartbeat *h = owner;

	if (h->channel.state >= IC_READY)
		on_ready(h);
}

static void inspect(const void *owner, const char *branch, struct inspect *out)
{
	const struct heartbeat *h = owner;

	inspect_words(out, branch, "guest", "%s",
		      h->channel.state < IC_READY ? "no contact"
		      : h->lost			  ? "lost contact"
						  : "ok");
	inspect_number(out, branch, "wrong", h->wrong);
	inspect_number(out, branch, "losses", h->losses);
}

static const struct ic_kind kind = {
	.name = "heartbeat",
	.interface = IC_GUID_HEARTBEAT,
	.instance = IC_INSTANCE_HEARTBEAT,
	.message = IC_HEARTBEAT,
	.version = { { 3, 0 }, { 1, 0 } },
	.ready = on_ready,
	.answered = on_answered,
	.silent = on_silent,
	.late = on_late,
	.timer = on_timer,
	.resumed = on_resumed,
	.inspect = inspect,
};

int heartbeat_offer(struct heartbeat *h, struct ic_host *host)
{
	return ic_channel_offer(&h->channel, host, &kind, h);
}
