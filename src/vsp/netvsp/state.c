/* SPDX-License-Identifier: Apache-2.0 */
/* Saved state of a network adapter, and what of it is shown; see netvsp.h. */
#include <errno.h>
#include <stdio.h>

#include "state/record.h"
#include "vsp/netvsp/adapter.h"

enum {
	STATE_INSTANCE = 1,
	STATE_VERSION,
	STATE_NDIS_MAJOR,
	STATE_NDIS_MINOR,
	STATE_MTU,
	STATE_CAN,
	STATE_RECEIVE, /* gpadl, size of a sub-allocation, count */
	STATE_SEND,    /* gpadl */
	STATE_SUB_CHANNELS,
	STATE_TABLE_TOLD,
	STATE_INITIALIZED,
	STATE_FILTER,
	STATE_MAC,
	STATE_COALESCE,
	STATE_RSS, /* on, types, entries, table, key */
	STATE_LINK_SHOWN,
	STATE_REPLY,  /* its bytes */
	STATE_ANSWER, /* channel, status, transaction */
	STATE_LENT,   /* channel, then the numbers of a chain that the guest has */
	STATE_QUIRKS,
};

struct saved_receive {
	le32 gpadl, sub_size, count;
} PACKED;

struct saved_rss {
	le32 on, types, entries;
	le16 table[NDIS_RSS_ENTRIES];
	u8 key[NDIS_RSS_KEY];
} PACKED;

struct saved_answer {
	le32 channel, status;
	le64 transaction;
} PACKED;

/* ---- save ---- */

static void save_rss(const struct rss *rss, struct state_writer *w)
{
	struct saved_rss s = { .on = le32_of(rss->on),
			       .types = le32_of(rss->types),
			       .entries = le32_of(rss->entries) };

	for (unsigned k = 0; k < NDIS_RSS_ENTRIES; k++)
		s.table[k] = le16_of(rss->table[k]);
	memcpy(s.key, rss->key, sizeof s.key);
	state_bytes(w, STATE_RSS, &s, sizeof s);
}

static void save_lent(const struct receive_buffer *b, struct state_writer *w)
{
	le32 chain[1 + RANGES];

	for (u32 k = 0; k < b->count; k++) {
		u32 n = 0, sub = k;

		if (b->head[k] == 0)
			continue;
		chain[n++] = le32_of(b->head[k] - 1u);
		for (; sub != RECEIVE_NONE && n <= RANGES; sub = b->next[sub])
			chain[n++] = le32_of(sub);
		state_bytes(w, STATE_LENT, chain, n * sizeof *chain);
	}
}

int netvsp_save(const struct netvsp *n, struct state_writer *w)
{
	const struct nvsp *v = &n->nvsp;
	const struct rndis *r = &n->rndis;

	state_begin(w, "netvsp", 1);
	state_bytes(w, STATE_INSTANCE, &n->config.instance, sizeof n->config.instance);
	state_number(w, STATE_VERSION, v->version);
	state_number(w, STATE_NDIS_MAJOR, v->ndis_major);
	state_number(w, STATE_NDIS_MINOR, v->ndis_minor);
	state_number(w, STATE_MTU, v->mtu);
	state_number(w, STATE_CAN, v->can);
	if (v->receive.size > 0) {
		const struct saved_receive s = { le32_of(v->receive.gpadl),
						 le32_of(v->receive.sub_size),
						 le32_of(v->receive.count) };

		state_bytes(w, STATE_RECEIVE, &s, sizeof s);
	}
	if (v->send.size > 0)
		state_number(w, STATE_SEND, v->send.gpadl);
	state_number(w, STATE_SUB_CHANNELS, v->sub_channels);
	state_number(w, STATE_TABLE_TOLD, n->table_told);
	state_number(w, STATE_INITIALIZED, r->initialized);
	state_number(w, STATE_FILTER, r->filter);
	state_bytes(w, STATE_MAC, r->mac, sizeof r->mac);
	state_number(w, STATE_COALESCE, r->coalesce4 | (u32)r->coalesce6 << 1);
	state_number(w, STATE_QUIRKS, r->offloads_set | (u32)r->begun_before << 1);
	save_rss(&r->rss, w);
	state_number(w, STATE_LINK_SHOWN, n->link_shown);
	for (unsigned k = 0; k < n->replies; k++)
		state_bytes(w, STATE_REPLY, n->reply[k].bytes, n->reply[k].size);
	for (unsigned k = 0; k < CHANNELS; k++) {
		const struct nic_channel *c = &n->channel[k];

		for (unsigned a = 0; a < c->answers; a++) {
			const struct saved_answer s = {
				le32_of(k), le32_of(c->answer[a].status),
				le64_of(c->answer[a].transaction)
			};

			state_bytes(w, STATE_ANSWER, &s, sizeof s);
		}
	}
	save_lent(&n->buffer, w);
	state_end(w);
	return w->failed ? -ENOMEM : 0;
}

/* ---- restore ---- */

static int restore_receive(struct netvsp *n, const struct state_field *f)
{
	struct saved_receive s;
	u64 size;
	u32 sub, count;

	if (f->size != sizeof s || n->nvsp.receive.size > 0)
		return -EPROTO;
	memcpy(&s, f->bytes, sizeof s);
	sub = le32_get(s.sub_size);
	count = le32_get(s.count);
	if (sub < NVSP_SUB_MIN || sub > NVSP_SUB_MAX || (sub & (sub - 1)) != 0 ||
	    count == 0 || count > NVSP_SUB_COUNT_MAX)
		return -EPROTO;
	if (nic_hold(n, le32_get(s.gpadl), &n->receive_pages, &size) < 0)
		return -EPROTO;
	/* The pages stay held: they are let go when the channel closes. */
	if ((u64)sub * count > size || size > UINT32_MAX)
		return -EPROTO;
	n->nvsp.receive.gpadl = le32_get(s.gpadl);
	n->nvsp.receive.size = (u32)size;
	n->nvsp.receive.sub_size = sub;
	n->nvsp.receive.count = count;
	return nic_receive_start(n);
}

static int restore_send(struct netvsp *n, const struct state_field *f)
{
	struct nvsp_message reply;
	u64 size;

	if (n->nvsp.send.size > 0 || f->number > UINT32_MAX ||
	    nic_hold(n, (u32)f->number, &n->send_pages, &size) < 0)
		return -EPROTO;
	nvsp_send_buffer(&n->nvsp, (u32)f->number, size, &reply);
	return n->nvsp.send.size > 0 ? 0 : -EPROTO;
}

static int restore_rss(struct netvsp *n, const struct state_field *f)
{
	struct rss *rss = &n->rndis.rss;
	struct saved_rss s;
	u32 entries;

	if (f->size != sizeof s)
		return -EPROTO;
	memcpy(&s, f->bytes, sizeof s);
	entries = le32_get(s.entries);
	if (entries > NDIS_RSS_ENTRIES || (entries & (entries - 1)) != 0 ||
	    (entries == 0 && le32_get(s.on)))
		return -EPROTO;
	rss->on = le32_get(s.on) != 0;
	rss->types = le32_get(s.types);
	rss->entries = entries;
	for (unsigned k = 0; k < NDIS_RSS_ENTRIES; k++) {
		rss->table[k] = le16_get(s.table[k]);
		if (rss->table[k] >= CHANNELS)
			return -EPROTO;
	}
	memcpy(rss->key, s.key, sizeof rss->key);
	return 0;
}

static int restore_reply(struct netvsp *n, const struct state_field *f)
{
	if (n->replies == REPLIES || f->size == 0 || f->size > RNDIS_MAX_REPLY)
		return -EPROTO;
	memcpy(n->reply[n->replies].bytes, f->bytes, f->size);
	n->reply[n->replies++].size = (u32)f->size;
	return 0;
}

static int restore_answer(struct netvsp *n, const struct state_field *f)
{
	struct saved_answer s;
	struct nic_channel *c;

	if (f->size != sizeof s)
		return -EPROTO;
	memcpy(&s, f->bytes, sizeof s);
	if (le32_get(s.channel) >= CHANNELS)
		return -EPROTO;
	c = &n->channel[le32_get(s.channel)];
	if (!c->vmbus || c->answers == ANSWERS)
		return -EPROTO;
	c->answer[c->answers++] =
		(struct answer){ le64_get(s.transaction), le32_get(s.status) };
	return 0;
}

/* A sub-allocation leaves the free ones: it is the guest's. False: it is already. */
static bool take_from_free(struct receive_buffer *b, u32 sub)
{
	for (u32 k = 0; k < b->free_count; k++) {
		if (b->free[k] != sub)
			continue;
		b->free[k] = b->free[--b->free_count];
		return true;
	}
	return false;
}

static int restore_lent(struct netvsp *n, const struct state_field *f)
{
	struct receive_buffer *b = &n->buffer;
	le32 word[1 + RANGES];
	u32 count = (u32)(f->size / sizeof *word), first;

	if (f->size > sizeof word || f->size % sizeof *word != 0 || count < 2)
		return -EPROTO;
	memcpy(word, f->bytes, f->size);
	if (le32_get(word[0]) >= CHANNELS || !n->channel[le32_get(word[0])].vmbus)
		return -EPROTO;
	first = le32_get(word[1]);
	for (u32 k = 1; k < count; k++) {
		u32 sub = le32_get(word[k]);

		if (!take_from_free(b, sub))
			return -EPROTO;
		b->next[sub] = k + 1 < count ? le32_get(word[k + 1]) : RECEIVE_NONE;
	}
	(void)receive_buffer_lend(b, first, le32_get(word[0]));
	return 0;
}

static int restore_number(struct netvsp *n, const struct state_field *f)
{
	struct nvsp *v = &n->nvsp;
	struct rndis *r = &n->rndis;
	u32 number = (u32)f->number;

	if (f->id != STATE_CAN && f->number > UINT32_MAX)
		return -EPROTO;
	switch (f->id) {
	case STATE_VERSION:
		v->version = number;
		return 0;
	case STATE_NDIS_MAJOR:
		v->ndis_major = number;
		return 0;
	case STATE_NDIS_MINOR:
		v->ndis_minor = number;
		return 0;
	case STATE_MTU:
		v->mtu = number <= NVSP_MAX_MTU ? number : 0;
		return 0;
	case STATE_CAN:
		v->can = f->number;
		return 0;
	case STATE_SUB_CHANNELS:
		v->sub_channels = number;
		return number < CHANNELS ? 0 : -EPROTO;
	case STATE_TABLE_TOLD:
		n->table_told = number;
		return 0;
	case STATE_INITIALIZED:
		r->initialized = number;
		return 0;
	case STATE_FILTER:
		r->filter = number;
		return 0;
	case STATE_COALESCE:
		r->coalesce4 = number & 1;
		r->coalesce6 = number & 2;
		return 0;
	case STATE_QUIRKS:
		r->offloads_set = number & 1;
		r->begun_before = number & 2;
		return 0;
	case STATE_LINK_SHOWN:
		n->link_shown = number;
		return 0;
	}
	return 0;
}

static int restore_record(struct netvsp *n, struct state_record *record)
{
	struct state_field f;
	int r;

	while ((r = state_next_field(record, &f)) == 1) {
		switch (f.id) {
		case STATE_INSTANCE:
			break;
		case STATE_RECEIVE:
			r = restore_receive(n, &f);
			break;
		case STATE_SEND:
			r = restore_send(n, &f);
			break;
		case STATE_MAC:
			if (f.size != sizeof n->rndis.mac || f.bytes[0] & 1)
				return -EPROTO;
			memcpy(n->rndis.mac, f.bytes, f.size);
			break;
		case STATE_RSS:
			r = restore_rss(n, &f);
			break;
		case STATE_REPLY:
			r = restore_reply(n, &f);
			break;
		case STATE_ANSWER:
			r = restore_answer(n, &f);
			break;
		case STATE_LENT:
			r = restore_lent(n, &f);
			break;
		default:
			r = restore_number(n, &f);
		}
		if (r < 0)
			return r;
	}
	return r;
}

static bool is_of(const struct netvsp *n, struct state_record record)
{
	struct state_field f;

	while (state_next_field(&record, &f) == 1)
		if (f.id == STATE_INSTANCE && f.size == sizeof n->config.instance &&
		    memcmp(f.bytes, &n->config.instance, f.size) == 0)
			return true;
	return false;
}

int netvsp_restore(struct netvsp *n, const u8 *bytes, size_t size)
{
	struct vmbus_protocol *p = vmbus_server_protocol(n->config.server);
	struct state_record record;
	int r;

	/* Sub-channels that the guest had been offered are offered. */
	for (u32 relid = 1; relid <= VMBUS_MAX_CHANNELS; relid++) {
		const struct vmbus_slot *slot = vmbus_protocol_slot(p, relid);

		if (!slot || slot->offer.sub_index == 0 ||
		    slot->offer.primary != n->relid)
			continue;
		if (slot->offer.sub_index >= CHANNELS)
			return -EPROTO;
		n->sub_relid[slot->offer.sub_index] = relid;
	}
	while ((r = state_next_record(&bytes, &size, &record)) == 1)
		if (strcmp(record.name, "netvsp") == 0 && is_of(n, record))
			return restore_record(n, &record);
	return r < 0 ? r : -EPROTO;
}

/* ---- inspect ---- */

static void inspect_drops(const struct netvsp *n, const char *branch, struct inspect *out)
{
	inspect_number(out, branch, "dropped_spoofed", n->drops.spoofed);
	inspect_number(out, branch, "dropped_malformed", n->drops.malformed);
	inspect_number(out, branch, "dropped_unplugged", n->drops.unplugged);
	inspect_number(out, branch, "dropped_no_buffer", n->drops.no_buffer);
	inspect_number(out, branch, "dropped_ring_full", n->drops.ring_full);
	inspect_number(out, branch, "dropped_unwanted", n->drops.unwanted);
	inspect_number(out, branch, "dropped_unreadable", n->drops.unreadable);
	inspect_number(out, branch, "bad_returns", n->drops.bad_returns);
	inspect_number(out, branch, "stalls", n->drops.stalls);
	inspect_number(out, branch, "replies_lost", n->drops.replies_lost);
	inspect_number(out, branch, "link_changes", n->drops.links);
}

void netvsp_inspect(const struct netvsp *n, const char *branch, struct inspect *out)
{
	const u8 *mac = n->rndis.mac;
	char name[64];

	inspect_words(out, branch, "mac", "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
		      mac[2], mac[3], mac[4], mac[5]);
	inspect_words(out, branch, "link", "%s", nic_link_is_up(n) ? "up" : "down");
	inspect_words(out, branch, "version", "%u.%u", n->nvsp.version >> 16,
		      n->nvsp.version & 0xffff);
	inspect_number(out, branch, "channel", n->relid);
	inspect_number(out, branch, "mtu",
		       n->nvsp.mtu > 14 ? n->nvsp.mtu - 14 : n->config.mtu);
	inspect_number(out, branch, "filter", n->rndis.filter);
	inspect_words(out, branch, "large_frames", "%s",
		      nic_takes_parts(n) ? "yes" : "no");
	inspect_number(out, branch, "frames_out", n->counts.frames_out);
	inspect_number(out, branch, "frames_in", n->counts.frames_in);
	inspect_number(out, branch, "buffers", n->buffer.count);
	inspect_number(out, branch, "buffers_free", n->buffer.free_count);
	inspect_number(out, branch, "requests", n->rndis.requests);
	inspect_number(out, branch, "refused", n->rndis.refused);
	inspect_number(out, branch, "malformed", n->nvsp.malformed + n->rndis.malformed);
	inspect_drops(n, branch, out);
	for (unsigned k = 0; k < CHANNELS; k++) {
		if (!n->channel[k].vmbus)
			continue;
		snprintf(name, sizeof name, "%s.queue.%u", branch, k);
		inspect_number(out, name, "frames_in", n->channel[k].frames_in);
		inspect_number(out, name, "frames_out", n->channel[k].frames_out);
	}
	if (n->port) {
		snprintf(name, sizeof name, "%s.port", branch);
		net_port_inspect(n->port, name, out);
	}
}
