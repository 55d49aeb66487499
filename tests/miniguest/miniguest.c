/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's side of VMBus; see miniguest.h. */
#include "miniguest.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/clock.h"

/* ---- the host's way to the guest ---- */

static int on_post(void *host, vp_index_t vp, const void *message, u32 size)
{
	struct mini *m = host;
	u32 at = (m->message_first + m->message_count) % ARRAY_COUNT(m->message);

	if (m->refuse_messages || m->message_count == ARRAY_COUNT(m->message))
		return -EAGAIN;
	m->message[at].vp = vp;
	m->message[at].size = size;
	memcpy(m->message[at].bytes, message, size);
	m->message_count++;
	return 0;
}

static void on_signal(void *host, vp_index_t vp, u32 flag)
{
	struct mini *m = host;

	m->flag[flag]++;
	m->flag_vp[flag] = vp;
	loop_stop(m->loop);
}

static int on_connect(void *host, u32 connection, u32 relid)
{
	struct mini *m = host;

	if (m->connected[relid] || connection != VMBUS_CONNECTION_OF(relid))
		return -EEXIST;
	m->connected[relid] = true;
	return 0;
}

static void on_disconnect(void *host, u32 connection, u32 relid)
{
	struct mini *m = host;

	m->connected[relid] = false;
}

static void on_wake(void *host, u32 relid)
{
	struct mini *m = host;

	m->woken[relid] = true;
}

static const struct vmbus_host_ops host_ops = {
	.post = on_post,
	.signal = on_signal,
	.connect = on_connect,
	.disconnect = on_disconnect,
	.wake = on_wake,
};

/* What the host wanted to be reminded of. */
static void do_woken(struct mini *m)
{
	for (bool any = true; any;) {
		any = false;
		for (u32 relid = 1; relid <= VMBUS_MAX_CHANNELS; relid++) {
			if (!m->woken[relid])
				continue;
			m->woken[relid] = false;
			any = true;
			vmbus_server_signalled(m->server, relid);
		}
	}
}

/* ---- life ---- */

static int new_server(struct mini *m)
{
	return vmbus_server_new(&(struct vmbus_server_config){ .gm = m->gm,
							       .vp_count = MINI_VPS,
							       .host_ops = &host_ops,
							       .host = m },
				&m->server);
}

void mini_move(struct mini *m)
{
	vmbus_server_free(m->server);
	memset(m->connected, 0, sizeof m->connected);
	memset(m->woken, 0, sizeof m->woken);
	if (new_server(m) < 0)
		abort();
}

struct mini *mini_new(void)
{
	struct mini *m = calloc(1, sizeof *m);
	int r = m ? fake_hv_new(MINI_RAM, 65536, MINI_VPS, &m->hv) : -ENOMEM;

	if (r == 0)
		r = gm_open(m->hv->ram_fd, MINI_RAM, m->hv->dirty_fd, m->hv->code_fd,
			    m->hv->control, m->hv->hv_event, &m->gm);
	if (r == 0)
		r = loop_new(&m->loop);
	if (r == 0)
		r = vmbus_server_new(&(struct vmbus_server_config){ .gm = m->gm,
								    .vp_count = MINI_VPS,
								    .host_ops = &host_ops,
								    .host = m },
				     &m->server);
	if (r < 0)
		abort();
	m->next_page = m->first_page = MINI_FIRST_PAGE;
	m->next_gpadl = 0xe1e10;
	return m;
}

void mini_free(struct mini *m)
{
	if (!m)
		return;
	vmbus_server_free(m->server);
	loop_free(m->loop);
	gm_close(m->gm);
	fake_hv_free(m->hv);
	free(m);
}

u8 *mini_page(struct mini *m, u64 page)
{
	return m->hv->ram + page * VMBUS_PAGE;
}

u64 mini_alloc(struct mini *m, u32 pages)
{
	u64 page = m->next_page;

	/* Tests that go on for ever get the same pages again. */
	if ((page + pages) * VMBUS_PAGE > MINI_RAM)
		page = m->first_page;
	m->next_page = page + pages;
	return page;
}

/* ---- messages ---- */

u16 mini_post(struct mini *m, u32 type, void *message, u32 size)
{
	const struct vmbus_header h = { .type = le32_of(type) };
	u16 status;

	memcpy(message, &h, sizeof h);
	status = vmbus_server_message(m->server, VMBUS_CONNECTION_MULTI,
				      VMBUS_MESSAGE_TYPE, message, size);
	do_woken(m);
	return status;
}

bool mini_take(struct mini *m, u32 type, void *ret_message, u32 size)
{
	struct vmbus_header h;

	if (m->message_count == 0)
		return false;
	memcpy(&h, m->message[m->message_first].bytes, sizeof h);
	if (le32_get(h.type) != type || m->message[m->message_first].size < size)
		return false;
	memcpy(ret_message, m->message[m->message_first].bytes, size);
	m->message_first = (m->message_first + 1) % ARRAY_COUNT(m->message);
	m->message_count--;
	return true;
}

void mini_forget(struct mini *m)
{
	m->message_count = 0;
}

bool mini_connect(struct mini *m, u32 version)
{
	struct vmbus_initiate_contact contact = { .version = le32_of(version),
						  .sint = VMBUS_SINT };
	struct vmbus_version_response response;
	struct vmbus_header request;

	mini_post(m, VMBUS_INITIATE_CONTACT, &contact, sizeof contact);
	if (!mini_take(m, VMBUS_VERSION_RESPONSE, &response, sizeof response) ||
	    !response.supported)
		return false;
	return mini_post(m, VMBUS_REQUEST_OFFERS, &request, sizeof request) ==
	       VMBUS_POSTED;
}

bool mini_take_offer(struct mini *m, struct vmbus_offer_message *ret_offer)
{
	struct vmbus_header end;

	while (mini_take(m, VMBUS_ALL_OFFERS, &end, sizeof end))
		;
	return mini_take(m, VMBUS_OFFER, ret_offer, sizeof *ret_offer);
}

bool mini_unload(struct mini *m)
{
	struct vmbus_header h;

	mini_post(m, VMBUS_UNLOAD, &h, sizeof h);
	while (m->message_count > 0) {
		if (mini_take(m, VMBUS_UNLOAD_RESPONSE, &h, sizeof h))
			return true;
		m->message_first = (m->message_first + 1) % ARRAY_COUNT(m->message);
		m->message_count--;
	}
	return false;
}

/* ---- channels ---- */

u32 mini_gpadl(struct mini *m, u32 relid, u32 id, const u64 *page, u32 pages)
{
	u8 bytes[VMBUS_MAX_MESSAGE] = { 0 };
	struct vmbus_gpadl_header h = { .relid = le32_of(relid),
					.gpadl = le32_of(id),
					.range_bytes = le16_of((u16)(8 + 8 * pages)),
					.range_count = le16_of(1) };
	struct vmbus_range range = { .size = le32_of(pages * VMBUS_PAGE) };
	struct vmbus_gpadl_created created = { 0 };
	u32 done = pages < 26 ? pages : 26;

	memcpy(bytes, &h, sizeof h);
	memcpy(bytes + sizeof h, &range, sizeof range);
	memcpy(bytes + sizeof h + sizeof range, page, done * 8ul);
	mini_post(m, VMBUS_GPADL_HEADER, bytes,
		  (u32)(sizeof h + sizeof range) + done * 8);
	while (done < pages) {
		struct vmbus_gpadl_body b = { .gpadl = le32_of(id) };
		u32 n = pages - done < 28 ? pages - done : 28;

		memcpy(bytes, &b, sizeof b);
		memcpy(bytes + sizeof b, page + done, n * 8ul);
		mini_post(m, VMBUS_GPADL_BODY, bytes, (u32)sizeof b + n * 8);
		done += n;
	}
	if (!mini_take(m, VMBUS_GPADL_CREATED, &created, sizeof created))
		return UINT32_MAX;
	return le32_get(created.status);
}

bool mini_open(struct mini *m, u32 relid, u32 out_pages, u32 in_pages,
	       struct mini_channel *ret_channel)
{
	u32 pages = out_pages + in_pages;
	u64 page[1024], first = mini_alloc(m, pages);
	struct mini_channel *c = ret_channel;
	struct vmbus_open_result result = { 0 };
	struct vmbus_open_message open = { .relid = le32_of(relid),
					   .open_id = le32_of(relid),
					   .downstream = le32_of(out_pages) };

	*c = (struct mini_channel){ .mini = m, .relid = relid, .gpadl = m->next_gpadl++ };
	for (u32 k = 0; k < pages; k++)
		page[k] = first + k;
	memcpy(c->out.page, page, out_pages * sizeof *page);
	memcpy(c->in.page, page + out_pages, in_pages * sizeof *page);
	c->out.size = (out_pages - 1) * VMBUS_PAGE;
	c->in.size = (in_pages - 1) * VMBUS_PAGE;
	memset(mini_page(m, first), 0, (size_t)pages * VMBUS_PAGE);
	mini_set_field(m, &c->out, VMBUS_RING_FEATURES, 1);
	mini_set_field(m, &c->in, VMBUS_RING_FEATURES, 1);
	if (mini_gpadl(m, relid, c->gpadl, page, pages) != VMBUS_OK)
		return false;
	open.gpadl = le32_of(c->gpadl);
	mini_post(m, VMBUS_OPEN, &open, sizeof open);
	return mini_take(m, VMBUS_OPEN_RESULT, &result, sizeof result) &&
	       le32_get(result.status) == VMBUS_OK;
}

void mini_close(struct mini_channel *c)
{
	struct vmbus_relid_message close = { .relid = le32_of(c->relid) };

	mini_post(c->mini, VMBUS_CLOSE, &close, sizeof close);
}

static bool has_message(void *owner)
{
	struct mini *m = owner;

	return m->message_count > 0;
}

bool mini_close_and_wait(struct mini_channel *c)
{
	struct vmbus_gpadl_teardown teardown = { .relid = le32_of(c->relid),
						 .gpadl = le32_of(c->gpadl) };
	struct vmbus_gpadl_torndown torndown;

	mini_close(c);
	mini_post(c->mini, VMBUS_GPADL_TEARDOWN, &teardown, sizeof teardown);
	return mini_until(c->mini, has_message, c->mini) &&
	       mini_take(c->mini, VMBUS_GPADL_TORNDOWN, &torndown, sizeof torndown) &&
	       le32_get(torndown.gpadl) == c->gpadl;
}

/* ---- rings ---- */

static _Atomic u32 *field(struct mini *m, const struct mini_ring *ring, u32 at)
{
	return (_Atomic u32 *)(void *)(mini_page(m, ring->page[0]) + at);
}

u32 mini_field(struct mini *m, const struct mini_ring *ring, u32 at)
{
	return atomic_load(field(m, ring, at));
}

void mini_set_field(struct mini *m, const struct mini_ring *ring, u32 at, u32 value)
{
	atomic_store(field(m, ring, at), value);
}

static u32 copy_in(struct mini_channel *c, u32 at, const void *bytes, u32 size)
{
	for (u32 k = 0; k < size; k++) {
		u64 page = c->out.page[1 + at / VMBUS_PAGE];

		mini_page(c->mini, page)[at % VMBUS_PAGE] = ((const u8 *)bytes)[k];
		at = at + 1 == c->out.size ? 0 : at + 1;
	}
	return at;
}

static void copy_out(struct mini_channel *c, u32 at, void *bytes, u32 size)
{
	for (u32 k = 0; k < size; k++) {
		u64 page = c->in.page[1 + at / VMBUS_PAGE];

		((u8 *)bytes)[k] = mini_page(c->mini, page)[at % VMBUS_PAGE];
		at = at + 1 == c->in.size ? 0 : at + 1;
	}
}

bool mini_put(struct mini_channel *c, u16 type, u16 flags, u64 transaction,
	      const void *bytes, u32 size, u32 header_size)
{
	static const u8 zeros[8];
	u32 write = mini_field(c->mini, &c->out, VMBUS_RING_WRITE);
	u32 read = mini_field(c->mini, &c->out, VMBUS_RING_READ);
	u32 padded = (size + 7) & ~7u, at = write;
	u32 used = write >= read ? write - read : c->out.size - read + write;
	const struct vmbus_packet_header h = {
		.type = le16_of(type),
		.header_size = le16_of((u16)(header_size / 8)),
		.size = le16_of((u16)((sizeof h + padded) / 8)),
		.flags = le16_of(flags),
		.transaction = le64_of(transaction),
	};
	const le32 trailer[2] = { le32_of(0), le32_of(write) };

	if (sizeof h + padded + sizeof trailer >= c->out.size - used)
		return false;
	at = copy_in(c, at, &h, sizeof h);
	at = copy_in(c, at, bytes, size);
	at = copy_in(c, at, zeros, padded - size);
	at = copy_in(c, at, trailer, sizeof trailer);
	mini_set_field(c->mini, &c->out, VMBUS_RING_WRITE, at);
	return true;
}

void mini_signal(struct mini_channel *c)
{
	if (c->mini->connected[c->relid])
		vmbus_server_signalled(c->mini->server, c->relid);
	do_woken(c->mini);
}

bool mini_send(struct mini_channel *c, u16 type, u16 flags, u64 transaction,
	       const void *bytes, u32 size, u32 header_size)
{
	u32 before = mini_field(c->mini, &c->out, VMBUS_RING_WRITE);

	if (!mini_put(c, type, flags, transaction, bytes, size, header_size))
		return false;
	/* Only a reader that sleeps and had everything needs it. */
	if (mini_field(c->mini, &c->out, VMBUS_RING_MASK) == 0 &&
	    mini_field(c->mini, &c->out, VMBUS_RING_READ) == before)
		mini_signal(c);
	return true;
}

u32 mini_receive(struct mini_channel *c, void *ret_packet, u32 size)
{
	struct mini *m = c->mini;
	u32 read = mini_field(m, &c->in, VMBUS_RING_READ);
	u32 write = mini_field(m, &c->in, VMBUS_RING_WRITE);
	u32 pending, whole, used;
	struct vmbus_packet_header h;

	if (read == write)
		return 0;
	copy_out(c, read, &h, sizeof h);
	whole = le16_get(h.size) * 8u;
	copy_out(c, read, ret_packet, whole < size ? whole : size);
	used = write >= read ? write - read : c->in.size - read + write;
	read += whole + VMBUS_PACKET_TRAILER;
	mini_set_field(m, &c->in, VMBUS_RING_READ, read % c->in.size);
	pending = mini_field(m, &c->in, VMBUS_RING_PENDING_SIZE);
	if (pending > 0 && c->in.size - used + whole + VMBUS_PACKET_TRAILER > pending)
		mini_signal(c);
	return whole;
}

/* ---- time ---- */

bool mini_until(struct mini *m, bool (*cond)(void *owner), void *owner)
{
	u64 end = host_clock.monotonic_ns(&host_clock) + 5 * NS_PER_SEC;
	struct loop_alarm alarm;

	loop_alarm_init(m->loop, &alarm, (loop_alarm_fn)(void *)loop_stop, m->loop);
	while (do_woken(m), !cond(owner)) {
		u64 now = host_clock.monotonic_ns(&host_clock);

		if (now >= end)
			return false;
		loop_alarm_set(&alarm, min_u64(now + NS_PER_SEC / 100, end));
		if (loop_run(m->loop) < 0)
			abort();
		loop_alarm_set(&alarm, UINT64_MAX);
	}
	return true;
}

static bool has_packet(void *owner)
{
	struct mini_channel *c = owner;

	return mini_field(c->mini, &c->in, VMBUS_RING_READ) !=
	       mini_field(c->mini, &c->in, VMBUS_RING_WRITE);
}

u32 mini_wait(struct mini_channel *c, void *ret_packet, u32 size)
{
	return mini_until(c->mini, has_packet, c) ? mini_receive(c, ret_packet, size) : 0;
}
