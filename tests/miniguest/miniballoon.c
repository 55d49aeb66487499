/* SPDX-License-Identifier: Apache-2.0 */
/* hv_balloon of the mini-guest; see miniballoon.h. */
#include "miniballoon.h"

#include <stdio.h>

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void wake_at(void *owner, u64 when_ns)
{
	struct miniballoon *m = owner;

	m->wake_at = when_ns;
}

static bool map_high(void *owner, u64 high)
{
	struct miniballoon *m = owner;

	if (!m->refuse_map)
		m->high = high;
	return !m->refuse_map;
}

static void new_balloon(struct miniballoon *m)
{
	const struct balloon_config config = {
		.server = m->mini->server,
		.gm = m->mini->gm,
		.clock = &m->clock.clock,
		.limits = { .min = 8 << 20,
			    .max = MINI_RAM,
			    .buffer = 25,
			    .weight = POLICY_MAX_WEIGHT },
		.dynamic = m->dynamic,
		.wake_at = wake_at,
		.map_high = map_high,
		.owner = m,
	};

	m->wake_at = UINT64_MAX;
	require(balloon_new(&config, &m->balloon) == 0);
}

struct miniballoon *miniballoon_new(bool dynamic)
{
	struct miniballoon *m = calloc(1, sizeof *m);

	require(m != NULL);
	m->mini = mini_new();
	m->dynamic = dynamic;
	require(gm_start_with(m->mini->gm, MINIBALLOON_START) == 0);
	manual_clock_init(&m->clock, 1000 * NS_PER_SEC, 1800000000ll * (s64)NS_PER_SEC);
	new_balloon(m);
	return m;
}

static void on_closed(void *owner)
{
	*(bool *)owner = true;
}

void miniballoon_free(struct miniballoon *m)
{
	bool closed = false;

	if (!m)
		return;
	vmbus_server_close_all(m->mini->server, on_closed, &closed);
	require(closed);
	balloon_free(m->balloon);
	mini_free(m->mini);
	free(m);
}

bool miniballoon_open(struct miniballoon *m)
{
	struct vmbus_offer_message offer;

	m->mini->next_page = m->mini->first_page;
	if (!mini_connect(m->mini, VMBUS_5_3) || !mini_take_offer(m->mini, &offer))
		return false;
	mini_forget(m->mini);
	m->relid = le32_get(offer.relid);
	return miniballoon_open_channel(m);
}

bool miniballoon_open_channel(struct miniballoon *m)
{
	/* Its rings are never among what it gives. */
	m->mini->next_page = m->mini->first_page;
	return mini_open(m->mini, m->relid, 4, 4, &m->channel);
}

bool miniballoon_say(struct miniballoon *m, enum balloon_type type, const void *body,
		     u32 size)
{
	u8 message[8192];
	const struct balloon_header h = {
		.type = le16_of((u16)type),
		.size = le16_of((u16)(sizeof h + size)),
	};

	memcpy(message, &h, sizeof h);
	if (size > 0)
		memcpy(message + sizeof h, body, size);
	return mini_send(&m->channel, VMBUS_PACKET_INBAND, 0, 1, message,
			 (u32)sizeof h + size, 16);
}

u32 miniballoon_take(struct miniballoon *m)
{
	u8 bytes[16 + sizeof m->packet];
	u32 size = mini_receive(&m->channel, bytes, sizeof bytes);
	struct balloon_header h;

	if (size < 16 + sizeof h || size > sizeof bytes)
		return 0;
	m->packet_size = size - 16;
	memcpy(m->packet, bytes + 16, m->packet_size);
	memcpy(&h, m->packet, sizeof h);
	require(le16_get(h.size) <= m->packet_size &&
		le16_get(h.size) <= BALLOON_MAX_MESSAGE);
	return le16_get(h.type);
}

bool miniballoon_start(struct miniballoon *m)
{
	const struct balloon_version version = { le32_of(BALLOON_2_0), le32_of(0) };
	const struct balloon_caps caps = { .caps = le64_of(MINIBALLOON_CAPS) };

	return miniballoon_open(m) &&
	       miniballoon_say(m, BALLOON_VERSION_REQUEST, &version, sizeof version) &&
	       miniballoon_take(m) == BALLOON_VERSION_RESPONSE &&
	       miniballoon_say(m, BALLOON_CAPS, &caps, sizeof caps) &&
	       miniballoon_take(m) == BALLOON_CAPS_RESPONSE &&
	       miniballoon_take(m) == BALLOON_INFO;
}

bool miniballoon_report(struct miniballoon *m, u64 available, u64 committed)
{
	const struct balloon_status status = {
		.available = le64_of(available),
		.committed = le64_of(committed),
	};

	return miniballoon_say(m, BALLOON_STATUS, &status, sizeof status);
}

bool miniballoon_give(struct miniballoon *m, bool more, const u64 (*range)[2], u32 count)
{
	struct {
		struct balloon_given head;
		le64 range[BALLOON_MAX_RANGES];
	} PACKED body = { .head.more_and_count = le32_of(count << 1 | more) };

	for (u32 k = 0; k < count; k++)
		body.range[k] = le64_of(range[k][0] | range[k][1] << BALLOON_PFN_BITS);
	return miniballoon_say(m, BALLOON_UP_RESPONSE, &body,
			       (u32)(sizeof body.head + count * sizeof body.range[0]));
}

u32 miniballoon_wanted(const struct miniballoon *m)
{
	struct balloon_up up;

	memcpy(&up, m->packet + sizeof(struct balloon_header), sizeof up);
	return le32_get(up.pages);
}

u64 miniballoon_got(const struct miniballoon *m)
{
	const u8 *body = m->packet + sizeof(struct balloon_header);
	struct balloon_back head;
	u64 pages = 0;

	memcpy(&head, body, sizeof head);
	for (u32 k = 0; k < le32_get(head.count); k++) {
		le64 range;

		memcpy(&range, body + sizeof head + k * sizeof range, sizeof range);
		pages += le64_get(range) >> BALLOON_PFN_BITS;
	}
	return pages;
}

void miniballoon_advance(struct miniballoon *m, u64 ns)
{
	u64 end = m->clock.monotonic + ns;

	while (m->wake_at <= end) {
		if (m->wake_at > m->clock.monotonic)
			manual_clock_advance(&m->clock, m->wake_at - m->clock.monotonic);
		balloon_due(m->balloon);
	}
	manual_clock_advance(&m->clock, end - m->clock.monotonic);
}

bool miniballoon_move(struct miniballoon *m)
{
	struct state_writer w = { 0 };
	bool rests = false;
	int r;

	balloon_pause(m->balloon);
	vmbus_server_pause(m->mini->server, on_closed, &rests);
	require(rests && vmbus_server_save(m->mini->server, &w) == 0);
	balloon_save(m->balloon, &w);
	require(!w.failed);
	balloon_free(m->balloon);
	mini_move(m->mini);
	require(gm_start_with(m->mini->gm, MINIBALLOON_START) == 0);
	m->high = 0;
	new_balloon(m);
	balloon_pause(m->balloon);
	r = balloon_restore_memory(m->balloon, w.bytes, w.used);
	if (r == 0)
		r = vmbus_server_restore(m->mini->server, w.bytes, w.used);
	if (r == 0)
		r = balloon_restore(m->balloon, w.bytes, w.used);
	free(w.bytes);
	balloon_resume(m->balloon);
	return r == 0;
}

u64 miniballoon_shown(const struct miniballoon *m, const char *name)
{
	static char text[16384];
	struct inspect out = { .text = text, .size = sizeof text };
	char line[64];
	const char *at;

	balloon_inspect(m->balloon, &out);
	snprintf(line, sizeof line, "memory.%s: ", name);
	at = strstr(text, line);
	require(at != NULL);
	return strtoull(at + strlen(line), NULL, 10);
}
