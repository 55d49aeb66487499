/* SPDX-License-Identifier: Apache-2.0 */
/* hv_utils of the mini-guest; see miniic.h. */
#include "miniic.h"

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void wake_at(void *owner, u64 when_ns)
{
	struct miniic *m = owner;

	m->wake_at = when_ns;
}

static bool reference_time(void *owner, u64 *ret_time)
{
	struct miniic *m = owner;

	*ret_time = m->reference;
	return !m->no_reference;
}

static void new_components(struct miniic *m)
{
	const struct components_config config = {
		.server = m->mini->server,
		.clock = &m->clock.clock,
		.loop = m->mini->loop,
		.wake_at = wake_at,
		.reference_time = reference_time,
		.owner = m,
	};

	m->wake_at = UINT64_MAX;
	require(components_new(&config, &m->components) == 0);
}

struct miniic *miniic_new(void)
{
	struct miniic *m = calloc(1, sizeof *m);

	require(m != NULL);
	m->mini = mini_new();
	manual_clock_init(&m->clock, 1000 * NS_PER_SEC, 1800000000ll * (s64)NS_PER_SEC);
	new_components(m);
	return m;
}

static void on_closed(void *owner)
{
	*(bool *)owner = true;
}

void miniic_free(struct miniic *m)
{
	bool closed = false;

	if (!m)
		return;
	vmbus_server_close_all(m->mini->server, on_closed, &closed);
	require(closed);
	components_free(m->components);
	mini_free(m->mini);
	free(m);
}

static struct mini_channel *channel_of(struct miniic *m, const struct ic_channel *which)
{
	for (unsigned k = 0; k < COMPONENTS; k++)
		if (m->components->channel[k] == which)
			return &m->channel[k];
	abort();
}

bool miniic_start(struct miniic *m)
{
	struct vmbus_offer_message offer[COMPONENTS];

	if (!mini_connect(m->mini, VMBUS_5_3))
		return false;
	for (unsigned k = 0; k < COMPONENTS; k++)
		if (!mini_take_offer(m->mini, &offer[k]))
			return false;
	mini_forget(m->mini);
	for (unsigned k = 0; k < COMPONENTS; k++)
		if (!mini_open(m->mini, le32_get(offer[k].relid), 4, 4, &m->channel[k]))
			return false;
	return true;
}

bool miniic_take(struct miniic *m, const struct ic_channel *which,
		 struct ic_header *ret_header, u8 **ret_body)
{
	u8 bytes[16 + sizeof m->packet];
	u32 size = mini_receive(channel_of(m, which), bytes, sizeof bytes);

	if (size < 16 + sizeof *ret_header || size > sizeof bytes)
		return false;
	m->packet_size = size - 16;
	memcpy(m->packet, bytes + 16, m->packet_size);
	memcpy(ret_header, m->packet, sizeof *ret_header);
	*ret_body = m->packet + sizeof *ret_header;
	return true;
}

bool miniic_answer_as(struct miniic *m, const struct ic_channel *which, u32 status,
		      u8 flags, u8 transaction)
{
	struct ic_header *h = (void *)m->packet;

	h->status = le32_of(status);
	h->flags = flags;
	h->transaction = transaction;
	return mini_send(channel_of(m, which), VMBUS_PACKET_INBAND, 0, 1, m->packet,
			 m->packet_size, 16);
}

bool miniic_answer(struct miniic *m, const struct ic_channel *which, u32 status)
{
	const struct ic_header *h = (const void *)m->packet;

	return miniic_answer_as(m, which, status, IC_TRANSACTION | IC_RESPONSE,
				h->transaction);
}

bool miniic_agree(struct miniic *m, const struct ic_channel *which, u16 major, u16 minor)
{
	const struct ic_wire_version chosen[2] = { { le16_of(3), le16_of(0) },
						   { le16_of(major), le16_of(minor) } };
	const u16 count = major > 0;
	struct ic_negotiate n = { .fw_count = le16_of(count), .count = le16_of(count) };
	struct ic_header h;
	u8 *body;

	if (!miniic_take(m, which, &h, &body) || le16_get(h.message) != IC_NEGOTIATE)
		return false;
	memcpy(body, &n, sizeof n);
	memcpy(body + sizeof n, chosen, sizeof chosen);
	return miniic_answer(m, which, IC_OK);
}

void miniic_advance(struct miniic *m, u64 ns)
{
	u64 end = m->clock.monotonic + ns;

	while (m->wake_at <= end) {
		if (m->wake_at > m->clock.monotonic)
			manual_clock_advance(&m->clock, m->wake_at - m->clock.monotonic);
		components_due(m->components);
	}
	manual_clock_advance(&m->clock, end - m->clock.monotonic);
}

bool miniic_move(struct miniic *m)
{
	struct state_writer w = { 0 };
	bool rests = false;
	int r;

	components_pause(m->components);
	vmbus_server_pause(m->mini->server, on_closed, &rests);
	require(rests && vmbus_server_save(m->mini->server, &w) == 0);
	components_save(m->components, &w);
	require(!w.failed);
	components_free(m->components);
	mini_move(m->mini);
	new_components(m);
	components_pause(m->components);
	r = vmbus_server_restore(m->mini->server, w.bytes, w.used);
	if (r == 0)
		r = components_restore(m->components, w.bytes, w.used);
	free(w.bytes);
	components_resume(m->components);
	return r == 0;
}

void miniic_done(void *owner, int r, const struct err *err)
{
	struct miniic_end *end = owner;

	end->times++;
	end->r = r;
	end->err = *err;
}
