/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saved state of the protocol: a record of the connection, one a page list, one a channel. It is
 * taken while nothing is on its way: no channel opens or closes. What comes back is checked as a
 * guest's messages are: page lists anew, channels against the devices that this machine has.
 */
#include <errno.h>

#include "state/record.h"
#include "vmbus/protocol.h"

/* Ids are never used for something else. */
enum { CONNECTION_STATE = 1, CONNECTION_VERSION, CONNECTION_VP };
enum { LIST_RELID = 1, LIST_ID, LIST_RANGES, LIST_WORDS, LIST_EXPECTED, LIST_TEARDOWN };
enum {
	CHANNEL_RELID = 1,
	CHANNEL_INTERFACE,
	CHANNEL_INSTANCE,
	CHANNEL_SUB_INDEX,
	CHANNEL_PRIMARY,
	CHANNEL_OFFERED,
	CHANNEL_RESCINDED,
	CHANNEL_OPEN,
	CHANNEL_OPEN_ID,
	CHANNEL_VP,
	CHANNEL_DOWNSTREAM,
	CHANNEL_RING,
	CHANNEL_USER,
	CHANNEL_FLAGS,
};

/* ---- save ---- */

static void save_list(const struct gpadl *g, struct state_writer *w)
{
	state_begin(w, "gpadl", 1);
	state_number(w, LIST_RELID, g->relid);
	state_number(w, LIST_ID, g->id);
	state_number(w, LIST_RANGES, g->range_count);
	state_number(w, LIST_EXPECTED, g->word_count);
	state_number(w, LIST_TEARDOWN, g->teardown);
	state_bytes(w, LIST_WORDS, g->word, g->words_have * sizeof(u64));
	state_end(w);
}

static void save_channel(u32 relid, const struct vmbus_slot *s, struct state_writer *w)
{
	state_begin(w, "channel", 1);
	state_number(w, CHANNEL_RELID, relid);
	state_bytes(w, CHANNEL_INTERFACE, &s->offer.interface, sizeof(struct guid));
	state_bytes(w, CHANNEL_INSTANCE, &s->offer.instance, sizeof(struct guid));
	state_number(w, CHANNEL_FLAGS, s->offer.flags);
	state_number(w, CHANNEL_SUB_INDEX, s->offer.sub_index);
	state_number(w, CHANNEL_PRIMARY, s->offer.primary);
	state_number(w, CHANNEL_OFFERED, s->offered);
	state_number(w, CHANNEL_RESCINDED, s->rescinded);
	if (s->state == VMBUS_CHANNEL_OPEN) {
		state_number(w, CHANNEL_OPEN, 1);
		state_number(w, CHANNEL_OPEN_ID, s->open_id);
		state_number(w, CHANNEL_VP, s->vp);
		state_number(w, CHANNEL_DOWNSTREAM, s->downstream);
		state_number(w, CHANNEL_RING, s->ring->id);
		state_bytes(w, CHANNEL_USER, s->user, sizeof s->user);
	}
	state_end(w);
}

int vmbus_protocol_save(const struct vmbus_protocol *p, struct state_writer *w)
{
	if (p->state == VMBUS_LEAVING)
		return -EBUSY;
	for (u32 relid = 1; relid <= VMBUS_MAX_CHANNELS; relid++)
		if (p->slot[relid].state == VMBUS_CHANNEL_OPENING ||
		    p->slot[relid].state == VMBUS_CHANNEL_CLOSING)
			return -EBUSY;
	state_begin(w, "vmbus", 1);
	state_number(w, CONNECTION_STATE, p->state);
	state_number(w, CONNECTION_VERSION, p->version);
	state_number(w, CONNECTION_VP, p->vp);
	state_end(w);
	for (const struct gpadl *g = p->gpadls.first; g; g = g->next)
		save_list(g, w);
	for (u32 relid = 1; relid <= VMBUS_MAX_CHANNELS; relid++)
		if (p->slot[relid].used)
			save_channel(relid, &p->slot[relid], w);
	return w->failed ? -ENOMEM : 0;
}

/* ---- restore ---- */

static int restore_connection(struct vmbus_protocol *p, struct state_record *record)
{
	struct state_field f;
	u64 state = VMBUS_DISCONNECTED, version = 0, vp = 0;
	int r;

	while ((r = state_next_field(record, &f)) == 1) {
		if (f.id == CONNECTION_STATE)
			state = f.number;
		else if (f.id == CONNECTION_VERSION)
			version = f.number;
		else if (f.id == CONNECTION_VP)
			vp = f.number;
	}
	if (r < 0 || state >= VMBUS_LEAVING || vp >= p->vp_count ||
	    version > VMBUS_VERSION(0xff, 0xff))
		return -EPROTO;
	p->state = (enum vmbus_connection_state)state;
	p->version = (u32)version;
	p->vp = (u32)vp;
	return 0;
}

static int restore_list(struct vmbus_protocol *p, struct state_record *record)
{
	u64 relid = 0, id = 0, ranges = 0, expected = 0, teardown = 0;
	struct state_field f, words = { 0 };
	struct gpadl *g;
	int r;

	while ((r = state_next_field(record, &f)) == 1) {
		if (f.id == LIST_RELID)
			relid = f.number;
		else if (f.id == LIST_ID)
			id = f.number;
		else if (f.id == LIST_RANGES)
			ranges = f.number;
		else if (f.id == LIST_EXPECTED)
			expected = f.number;
		else if (f.id == LIST_TEARDOWN)
			teardown = f.number;
		else if (f.id == LIST_WORDS)
			words = f;
	}
	if (r < 0 || relid > VMBUS_MAX_CHANNELS || id > UINT32_MAX ||
	    ranges > UINT16_MAX || expected > UINT16_MAX / sizeof(u64) ||
	    words.size > expected * sizeof(u64))
		return -EPROTO;
	/* As if it came in messages: the same checks. */
	r = gpadls_header(&p->gpadls, (u32)relid, (u32)id, (u32)(expected * sizeof(u64)),
			  (u32)ranges, words.bytes, (u32)words.size, &g);
	if (r == 0)
		g->teardown = teardown != 0;
	return r < 0 && r != -ENOMEM ? -EPROTO : r;
}

struct saved_channel {
	u64 relid, sub_index, primary, flags, offered, rescinded;
	u64 open, open_id, vp, downstream, ring;
	struct guid interface, instance;
	u8 user[120];
};

static void take(void *to, size_t size, const struct state_field *f)
{
	memcpy(to, f->bytes, min_u64(size, f->size));
}

static int read_channel(struct state_record *record, struct saved_channel *c)
{
	struct state_field f;
	int r;

	while ((r = state_next_field(record, &f)) == 1) {
		u64 *const number[] = {
			[CHANNEL_RELID] = &c->relid,
			[CHANNEL_SUB_INDEX] = &c->sub_index,
			[CHANNEL_PRIMARY] = &c->primary,
			[CHANNEL_OFFERED] = &c->offered,
			[CHANNEL_RESCINDED] = &c->rescinded,
			[CHANNEL_OPEN] = &c->open,
			[CHANNEL_OPEN_ID] = &c->open_id,
			[CHANNEL_VP] = &c->vp,
			[CHANNEL_DOWNSTREAM] = &c->downstream,
			[CHANNEL_RING] = &c->ring,
			[CHANNEL_FLAGS] = &c->flags,
		};

		if (f.id == CHANNEL_INTERFACE)
			take(&c->interface, sizeof c->interface, &f);
		else if (f.id == CHANNEL_INSTANCE)
			take(&c->instance, sizeof c->instance, &f);
		else if (f.id == CHANNEL_USER)
			take(c->user, sizeof c->user, &f);
		else if (f.id < ARRAY_COUNT(number) && number[f.id])
			*number[f.id] = f.number;
	}
	return r;
}

/* A slot for it: a primary channel's device must be here, sub-channels are made. */
static struct vmbus_slot *slot_of(struct vmbus_protocol *p, const struct saved_channel *c)
{
	struct vmbus_slot *s;

	if (c->relid == 0 || c->relid > VMBUS_MAX_CHANNELS || c->sub_index > UINT16_MAX)
		return NULL;
	s = &p->slot[c->relid];
	if (c->sub_index > 0) {
		struct vmbus_slot *primary =
			c->primary <= VMBUS_MAX_CHANNELS
				? vmbus_protocol_slot(p, (u32)c->primary)
				: NULL;

		if (s->used || !primary || primary->offer.sub_index > 0)
			return NULL;
		*s = (struct vmbus_slot){
			.used = true,
			.offer = { .interface = primary->offer.interface,
				   .instance = primary->offer.instance,
				   .flags = (u16)c->flags,
				   .sub_index = (u16)c->sub_index,
				   .primary = (u32)c->primary },
		};
	}
	if (!s->used || s->offered || s->offer.sub_index != c->sub_index ||
	    memcmp(&s->offer.interface, &c->interface, sizeof c->interface) != 0 ||
	    memcmp(&s->offer.instance, &c->instance, sizeof c->instance) != 0)
		return NULL;
	return s;
}

static int restore_channel(struct vmbus_protocol *p, struct state_record *record)
{
	struct saved_channel c = { 0 };
	struct vmbus_slot *s;
	struct gpadl *ring;
	int r = read_channel(record, &c);

	s = r < 0 ? NULL : slot_of(p, &c);
	if (!s)
		return -EPROTO;
	s->offered = c.offered != 0;
	s->rescinded = c.rescinded != 0;
	if (!c.open)
		return 0;
	ring = c.ring <= UINT32_MAX && c.downstream <= UINT32_MAX
		       ? vmbus_protocol_find_ring(p, (u32)c.relid, (u32)c.ring,
						  (u32)c.downstream)
		       : NULL;
	if (!ring || !s->offered || s->rescinded || c.open_id > UINT32_MAX ||
	    (c.vp >= p->vp_count && c.vp != VMBUS_NO_VP))
		return -EPROTO;
	ring->users++;
	s->ring = ring;
	s->state = VMBUS_CHANNEL_OPEN;
	s->open_id = (u32)c.open_id;
	s->vp = (u32)c.vp;
	s->downstream = (u32)c.downstream;
	memcpy(s->user, c.user, sizeof s->user);
	return 0;
}

int vmbus_protocol_restore(struct vmbus_protocol *p, const u8 *bytes, size_t size)
{
	struct state_record record;
	int r;

	if (p->state != VMBUS_DISCONNECTED || p->gpadls.count > 0)
		return -EBUSY;
	while ((r = state_next_record(&bytes, &size, &record)) == 1) {
		if (strcmp(record.name, "vmbus") == 0)
			r = restore_connection(p, &record);
		else if (strcmp(record.name, "gpadl") == 0)
			r = restore_list(p, &record);
		else if (strcmp(record.name, "channel") == 0)
			r = restore_channel(p, &record);
		if (r < 0)
			return r;
	}
	return r;
}
