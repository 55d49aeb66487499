/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state machine of protocol.h. Order: what goes out, leaving, contact, channels, GPADLs, the
 * table of messages, events of the host.
 */
#include "vmbus/protocol.h"

#include <errno.h>

/* ---- what goes out ---- */

static void emit(struct vmbus_protocol *p, enum vmbus_output_kind kind, u32 relid, u32 vp)
{
	const struct vmbus_output out = { .kind = kind, .relid = relid, .vp = vp };

	p->emit(p->owner, &out);
}

static void send_to(struct vmbus_protocol *p, u32 vp, u32 type, const void *message,
		    u32 size)
{
	struct vmbus_output out = { .kind = VMBUS_OUT_MESSAGE, .vp = vp, .size = size };
	const struct vmbus_header header = { .type = le32_of(type) };

	memcpy(out.message, message, size);
	memcpy(out.message, &header, sizeof header);
	p->emit(p->owner, &out);
}

static void send_message(struct vmbus_protocol *p, u32 type, const void *message,
			 u32 size)
{
	send_to(p, p->vp, type, message, size);
}

static void send_relid(struct vmbus_protocol *p, u32 type, u32 relid)
{
	const struct vmbus_relid_message m = { .relid = le32_of(relid) };

	send_message(p, type, &m, sizeof m);
}

static void send_offer(struct vmbus_protocol *p, u32 relid)
{
	struct vmbus_slot *s = &p->slot[relid];
	struct vmbus_offer_message m = {
		.interface = s->offer.interface,
		.instance = s->offer.instance,
		.flags = le16_of(s->offer.flags),
		.mmio_mib = le16_of(s->offer.mmio_mib),
		.sub_index = le16_of(s->offer.sub_index),
		.relid = le32_of(relid),
		.monitor_id = 0xff,
		.dedicated = le16_of(1),
		.connection = le32_of(VMBUS_CONNECTION_OF(relid)),
	};

	memcpy(m.user, s->offer.user, sizeof m.user);
	s->offered = true;
	send_message(p, VMBUS_OFFER, &m, sizeof m);
}

static void send_open_result(struct vmbus_protocol *p, u32 relid, u32 open_id, u32 status)
{
	const struct vmbus_open_result m = {
		.relid = le32_of(relid),
		.open_id = le32_of(open_id),
		.status = le32_of(status),
	};

	p->counts.refused += status != VMBUS_OK;
	send_message(p, VMBUS_OPEN_RESULT, &m, sizeof m);
}

static void send_torndown(struct vmbus_protocol *p, u32 id)
{
	const struct vmbus_gpadl_torndown m = { .gpadl = le32_of(id) };

	send_message(p, VMBUS_GPADL_TORNDOWN, &m, sizeof m);
}

/* ---- slots and what they hold ---- */

struct vmbus_slot *vmbus_protocol_slot(struct vmbus_protocol *p, u32 relid)
{
	return relid <= VMBUS_MAX_CHANNELS && p->slot[relid].used ? &p->slot[relid]
								  : NULL;
}

/* As the guest names it: only what it has been offered. */
static struct vmbus_slot *offered_slot(struct vmbus_protocol *p, le32 relid)
{
	struct vmbus_slot *s = vmbus_protocol_slot(p, le32_get(relid));

	return s && s->offered && !s->released ? s : NULL;
}

static u32 relid_of(const struct vmbus_protocol *p, const struct vmbus_slot *s)
{
	return (u32)(s - p->slot);
}

/* A list without users whose channel goes away. */
static void drop_gpadls_of(struct vmbus_protocol *p, u32 relid)
{
	for (struct gpadl *g = p->gpadls.first, *next; g; g = next) {
		next = g->next;
		if (g->relid == relid && g->users == 0)
			gpadls_drop(&p->gpadls, g);
	}
}

static void free_slot(struct vmbus_protocol *p, u32 relid)
{
	drop_gpadls_of(p, relid);
	memset(&p->slot[relid], 0, sizeof p->slot[relid]);
	emit(p, VMBUS_OUT_GONE, relid, 0);
}

struct gpadl *vmbus_protocol_hold(struct vmbus_protocol *p, u32 relid, u32 gpadl)
{
	struct gpadl *g = gpadls_find(&p->gpadls, relid, gpadl);

	if (!g || !g->ready || g->teardown)
		return NULL;
	g->users++;
	return g;
}

static void try_to_leave(struct vmbus_protocol *p);

void vmbus_protocol_let_go(struct vmbus_protocol *p, struct gpadl *g)
{
	if (--g->users > 0)
		return;
	if (g->teardown) {
		u32 id = g->id;

		gpadls_drop(&p->gpadls, g);
		send_torndown(p, id);
	}
	try_to_leave(p);
}

static void start_closing(struct vmbus_protocol *p, struct vmbus_slot *s)
{
	if (s->state == VMBUS_CHANNEL_OPENING)
		s->close = true;
	if (s->state != VMBUS_CHANNEL_OPEN)
		return;
	s->state = VMBUS_CHANNEL_CLOSING;
	emit(p, VMBUS_OUT_CLOSE, relid_of(p, s), 0);
}

/* ---- leaving ---- */

static void do_contact(struct vmbus_protocol *p, const struct vmbus_contact *c);

static bool anything_in_use(const struct vmbus_protocol *p)
{
	for (u32 relid = 1; relid <= VMBUS_MAX_CHANNELS; relid++)
		if (p->slot[relid].state != VMBUS_CHANNEL_CLOSED)
			return true;
	for (const struct gpadl *g = p->gpadls.first; g; g = g->next)
		if (g->users > 0)
			return true;
	return false;
}

/* The guest has forgotten everything; so do we. */
static void forget_guest(struct vmbus_protocol *p)
{
	gpadls_done(&p->gpadls);
	p->state = VMBUS_DISCONNECTED;
	for (u32 relid = 1; relid <= VMBUS_MAX_CHANNELS; relid++) {
		struct vmbus_slot *s = &p->slot[relid];

		if (!s->used)
			continue;
		if (s->rescinded || s->offer.sub_index > 0)
			free_slot(p, relid);
		else
			s->offered = false;
	}
}

static void try_to_leave(struct vmbus_protocol *p)
{
	if (p->state != VMBUS_LEAVING || anything_in_use(p))
		return;
	forget_guest(p);
	if (p->unload_waits) {
		struct vmbus_header m = { 0 };

		p->unload_waits = false;
		send_to(p, p->unload_vp, VMBUS_UNLOAD_RESPONSE, &m, sizeof m);
	}
	if (p->contact_waits) {
		struct vmbus_contact c = p->contact;

		p->contact_waits = false;
		do_contact(p, &c);
	}
}

void vmbus_protocol_leave(struct vmbus_protocol *p)
{
	p->state = VMBUS_LEAVING;
	for (u32 relid = 1; relid <= VMBUS_MAX_CHANNELS; relid++)
		start_closing(p, &p->slot[relid]);
	try_to_leave(p);
}

static void handle_unload(struct vmbus_protocol *p, const void *message, u32 size)
{
	p->unload_waits = true;
	p->unload_vp = p->vp;
	vmbus_protocol_leave(p);
}

/* ---- contact ---- */

static bool version_is_spoken(u32 version)
{
	static const u32 versions[] = { VMBUS_2_4, VMBUS_3_0, VMBUS_4_0, VMBUS_4_1,
					VMBUS_5_0, VMBUS_5_1, VMBUS_5_2, VMBUS_5_3 };

	for (unsigned k = 0; k < ARRAY_COUNT(versions); k++)
		if (versions[k] == version)
			return true;
	return false;
}

static void do_contact(struct vmbus_protocol *p, const struct vmbus_contact *c)
{
	struct vmbus_version_response m = { .supported = c->speakable };

	p->vp = c->vp;
	if (c->speakable) {
		p->state = VMBUS_CONNECTED;
		p->version = c->version;
		m.connection =
			le32_of(c->version >= VMBUS_5_0 ? c->connection : c->version);
	}
	send_message(p, VMBUS_VERSION_RESPONSE, &m, sizeof m);
}

static void handle_contact(struct vmbus_protocol *p, u32 connection,
			   const struct vmbus_initiate_contact *m)
{
	u32 version = le32_get(m->version), vp = le32_get(m->vp);
	struct vmbus_contact c = { .version = version,
				   .vp = vp,
				   .connection = connection };

	/* Before 5.0 the bytes of sint and vtl are an interrupt page, which nobody needs. */
	c.speakable = version_is_spoken(version) && vp < p->vp_count &&
		      (version < VMBUS_5_0 || (m->sint == VMBUS_SINT && m->vtl == 0));
	if (vp >= p->vp_count)
		c.vp = 0;
	/* A guest that begins anew (kexec, firmware to system) has let go of everything. */
	p->contact_waits = true;
	p->contact = c;
	vmbus_protocol_leave(p);
}

static void handle_request_offers(struct vmbus_protocol *p, const void *message, u32 size)
{
	struct vmbus_header end = { 0 };

	if (p->state != VMBUS_CONNECTED) {
		p->counts.ignored++;
		return;
	}
	p->state = VMBUS_OFFERED;
	for (u32 relid = 1; relid <= VMBUS_MAX_CHANNELS; relid++)
		if (p->slot[relid].used)
			send_offer(p, relid);
	send_message(p, VMBUS_ALL_OFFERS, &end, sizeof end);
}

/* ---- channels ---- */

struct gpadl *vmbus_protocol_find_ring(struct vmbus_protocol *p, u32 relid, u32 id,
				       u32 downstream)
{
	struct gpadl *g = gpadls_find(&p->gpadls, relid, id);
	u32 count;

	/* Each of the two rings is a control page and at least one page of data. */
	if (!g || g->teardown || !gpadl_pages(g, &count) || downstream < 2 ||
	    downstream > count || count - downstream < 2)
		return NULL;
	return g;
}

static void handle_open(struct vmbus_protocol *p, const void *message, u32 size)
{
	const struct vmbus_open_message *m = message;
	struct vmbus_slot *s = offered_slot(p, m->relid);
	u32 relid = le32_get(m->relid), vp = le32_get(m->vp);
	struct gpadl *ring = NULL;

	/* A guest that has been told of the end waits for nothing. */
	if (s && s->rescinded) {
		p->counts.ignored++;
		return;
	}
	if (s && s->state == VMBUS_CHANNEL_CLOSED &&
	    (vp < p->vp_count || vp == VMBUS_NO_VP))
		ring = vmbus_protocol_find_ring(p, relid, le32_get(m->gpadl),
						le32_get(m->downstream));
	if (!ring) {
		send_open_result(p, relid, le32_get(m->open_id), VMBUS_FAILED);
		return;
	}
	ring->users++;
	s->state = VMBUS_CHANNEL_OPENING;
	s->close = false;
	s->open_id = le32_get(m->open_id);
	s->vp = vp;
	s->downstream = le32_get(m->downstream);
	s->ring = ring;
	memcpy(s->user, m->user, sizeof s->user);
	emit(p, VMBUS_OUT_OPEN, relid, vp);
}

static void channel_is_closed(struct vmbus_protocol *p, struct vmbus_slot *s)
{
	struct gpadl *ring = s->ring;

	s->state = VMBUS_CHANNEL_CLOSED;
	s->close = false;
	s->ring = NULL;
	vmbus_protocol_let_go(p, ring);
	/* Unless that was the last thing a leaving guest waited for. */
	if (s->released)
		free_slot(p, relid_of(p, s));
}

void vmbus_protocol_opened(struct vmbus_protocol *p, u32 relid, bool ok)
{
	struct vmbus_slot *s = vmbus_protocol_slot(p, relid);

	if (!s || s->state != VMBUS_CHANNEL_OPENING)
		return;
	if (!s->rescinded && p->state != VMBUS_LEAVING)
		send_open_result(p, relid, s->open_id, ok ? VMBUS_OK : VMBUS_FAILED);
	if (!ok) {
		channel_is_closed(p, s);
		return;
	}
	s->state = VMBUS_CHANNEL_OPEN;
	if (s->close)
		start_closing(p, s);
}

void vmbus_protocol_closed(struct vmbus_protocol *p, u32 relid)
{
	struct vmbus_slot *s = vmbus_protocol_slot(p, relid);

	if (s && s->state == VMBUS_CHANNEL_CLOSING)
		channel_is_closed(p, s);
}

static void revoke_sub_channels(struct vmbus_protocol *p, u32 primary)
{
	for (u32 relid = 1; relid <= VMBUS_MAX_CHANNELS; relid++)
		if (p->slot[relid].used && p->slot[relid].offer.sub_index > 0 &&
		    p->slot[relid].offer.primary == primary)
			vmbus_protocol_revoke(p, relid);
}

static void handle_close(struct vmbus_protocol *p, const void *message, u32 size)
{
	const struct vmbus_relid_message *m = message;
	struct vmbus_slot *s = offered_slot(p, m->relid);

	if (!s || s->close ||
	    (s->state != VMBUS_CHANNEL_OPEN && s->state != VMBUS_CHANNEL_OPENING)) {
		p->counts.ignored++;
		return;
	}
	start_closing(p, s);
	/* New ones are offered when the device is asked for them again. */
	if (s->offer.sub_index == 0)
		revoke_sub_channels(p, le32_get(m->relid));
}

static void handle_relid_released(struct vmbus_protocol *p, const void *message, u32 size)
{
	const struct vmbus_relid_message *m = message;
	struct vmbus_slot *s = offered_slot(p, m->relid);

	if (!s || !s->rescinded) {
		p->counts.ignored++;
		return;
	}
	s->released = true;
	if (s->state == VMBUS_CHANNEL_CLOSED)
		free_slot(p, le32_get(m->relid));
}

static void handle_modify(struct vmbus_protocol *p, const void *message, u32 size)
{
	const struct vmbus_modify_channel *m = message;
	struct vmbus_slot *s = offered_slot(p, m->relid);
	u32 vp = le32_get(m->vp);
	bool ok = s && s->state == VMBUS_CHANNEL_OPEN && vp < p->vp_count;
	const struct vmbus_modify_response answer = {
		.relid = m->relid,
		.status = le32_of(ok ? VMBUS_OK : VMBUS_FAILED),
	};

	if (p->version < VMBUS_4_1) {
		p->counts.ignored++;
		return;
	}
	if (ok) {
		s->vp = vp;
		emit(p, VMBUS_OUT_RETARGET, le32_get(m->relid), vp);
	} else {
		p->counts.refused++;
	}
	if (p->version >= VMBUS_5_3)
		send_message(p, VMBUS_MODIFY_RESPONSE, &answer, sizeof answer);
}

/* ---- GPADLs ---- */

static void send_created(struct vmbus_protocol *p, u32 relid, u32 id, int r)
{
	const struct vmbus_gpadl_created m = {
		.relid = le32_of(relid),
		.gpadl = le32_of(id),
		.status = le32_of(r == 0 ? VMBUS_OK : VMBUS_FAILED),
	};

	p->counts.refused += r != 0;
	send_message(p, VMBUS_GPADL_CREATED, &m, sizeof m);
}

static void handle_gpadl_header(struct vmbus_protocol *p, const void *message, u32 size)
{
	const struct vmbus_gpadl_header *m = message;
	u32 relid = le32_get(m->relid), id = le32_get(m->gpadl);
	struct gpadl *g = NULL;
	int r = offered_slot(p, m->relid) ? 0 : -ENOENT;

	if (r == 0)
		r = gpadls_header(&p->gpadls, relid, id, le16_get(m->range_bytes),
				  le16_get(m->range_count), m + 1, size - sizeof *m, &g);
	if (r < 0 || g->ready)
		send_created(p, relid, id, r);
}

static void handle_gpadl_body(struct vmbus_protocol *p, const void *message, u32 size)
{
	const struct vmbus_gpadl_body *m = message;
	struct gpadl *g = NULL;
	u32 relid = 0;
	int r = gpadls_body(&p->gpadls, le32_get(m->gpadl), m + 1, size - sizeof *m,
			    &relid, &g);

	/* Its header was refused, and that was said. */
	if (r == -ENOENT)
		p->counts.ignored++;
	else if (r < 0 || g->ready)
		send_created(p, relid, le32_get(m->gpadl), r);
}

static void handle_gpadl_teardown(struct vmbus_protocol *p, const void *message, u32 size)
{
	const struct vmbus_gpadl_teardown *m = message;
	struct gpadl *g = gpadls_find(&p->gpadls, le32_get(m->relid), le32_get(m->gpadl));

	if (g && g->teardown) {
		p->counts.ignored++; /* one answer is due */
		return;
	}
	if (g && g->users > 0) {
		g->teardown = true;
		return;
	}
	if (g)
		gpadls_drop(&p->gpadls, g);
	else
		p->counts.refused++;
	/* Of one that never was as well: the guest waits for this. */
	send_torndown(p, le32_get(m->gpadl));
}

/* ---- what we do not have ---- */

static void handle_tl_connect(struct vmbus_protocol *p, const void *message, u32 size)
{
	const struct vmbus_tl_connect *m = message;
	const struct vmbus_tl_connect_result answer = {
		.endpoint = m->endpoint,
		.service = m->service,
		.status = le32_of(VMBUS_REFUSED),
	};

	p->counts.refused++;
	send_message(p, VMBUS_TL_CONNECT_RESULT, &answer, sizeof answer);
}

static void handle_close_reserved(struct vmbus_protocol *p, const void *message, u32 size)
{
	const struct vmbus_relid_message *m = message;

	/* None was ever opened, so it is closed. */
	send_relid(p, VMBUS_CLOSE_RESERVED_RESPONSE, le32_get(m->relid));
}

static void handle_nothing(struct vmbus_protocol *p, const void *message, u32 size)
{
	p->counts.ignored++;
}

/* ---- the table ---- */

static const struct {
	u32 min_size; /* 0: not a message that guests send */
	void (*handle)(struct vmbus_protocol *p, const void *message, u32 size);
} table[VMBUS_MESSAGE_TYPES] = {
	[VMBUS_REQUEST_OFFERS] = { sizeof(struct vmbus_header), handle_request_offers },
	[VMBUS_OPEN] = { sizeof(struct vmbus_open_message), handle_open },
	[VMBUS_CLOSE] = { sizeof(struct vmbus_relid_message), handle_close },
	[VMBUS_GPADL_HEADER] = { sizeof(struct vmbus_gpadl_header), handle_gpadl_header },
	[VMBUS_GPADL_BODY] = { sizeof(struct vmbus_gpadl_body), handle_gpadl_body },
	[VMBUS_GPADL_TEARDOWN] = { sizeof(struct vmbus_gpadl_teardown),
				   handle_gpadl_teardown },
	[VMBUS_RELID_RELEASED] = { sizeof(struct vmbus_relid_message),
				   handle_relid_released },
	[VMBUS_INITIATE_CONTACT] = { sizeof(struct vmbus_initiate_contact), NULL },
	[VMBUS_UNLOAD] = { sizeof(struct vmbus_header), handle_unload },
	[VMBUS_OPEN_RESERVED] = { sizeof(struct vmbus_header), handle_nothing },
	[VMBUS_CLOSE_RESERVED] = { sizeof(struct vmbus_relid_message),
				   handle_close_reserved },
	[VMBUS_TL_CONNECT] = { sizeof(struct vmbus_tl_connect), handle_tl_connect },
	[VMBUS_MODIFY_CHANNEL] = { sizeof(struct vmbus_modify_channel), handle_modify },
};

void vmbus_protocol_message(struct vmbus_protocol *p, u32 connection, const void *message,
			    u32 size)
{
	const struct vmbus_header *header = message;
	u32 type = size >= sizeof *header ? le32_get(header->type) : 0;

	p->counts.messages++;
	if (type >= VMBUS_MESSAGE_TYPES || table[type].min_size == 0 ||
	    size < table[type].min_size) {
		p->counts.malformed++;
		return;
	}
	if (type == VMBUS_INITIATE_CONTACT) {
		handle_contact(p, connection, message);
		return;
	}
	/* Of a guest that has not come yet, or is leaving, only contact and unload count. */
	if (type != VMBUS_UNLOAD &&
	    (p->state == VMBUS_DISCONNECTED || p->state == VMBUS_LEAVING)) {
		p->counts.ignored++;
		return;
	}
	table[type].handle(p, message, size);
}

/* ---- events of the host ---- */

void vmbus_protocol_init(struct vmbus_protocol *p, u32 vp_count,
			 const struct gm_layout *ram,
			 void (*emit_fn)(void *owner, const struct vmbus_output *output),
			 void *owner)
{
	*p = (struct vmbus_protocol){
		.vp_count = vp_count,
		.emit = emit_fn,
		.owner = owner,
	};
	gpadls_init(&p->gpadls, ram);
}

void vmbus_protocol_done(struct vmbus_protocol *p)
{
	gpadls_done(&p->gpadls);
}

void vmbus_protocol_reset(struct vmbus_protocol *p)
{
	for (u32 relid = 1; relid <= VMBUS_MAX_CHANNELS; relid++) {
		p->slot[relid].state = VMBUS_CHANNEL_CLOSED;
		p->slot[relid].ring = NULL;
	}
	forget_guest(p);
	p->version = p->vp = p->unload_vp = 0;
	p->unload_waits = p->contact_waits = false;
}

static bool same_guid(const struct guid *a, const struct guid *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}

int vmbus_protocol_offer(struct vmbus_protocol *p, const struct vmbus_offer *offer,
			 u32 *ret_relid)
{
	u32 free_relid = 0;

	if (offer->sub_index > 0) {
		const struct vmbus_slot *s = vmbus_protocol_slot(p, offer->primary);

		if (!s || s->rescinded || s->offer.sub_index > 0)
			return -ENOENT;
	}
	for (u32 relid = VMBUS_MAX_CHANNELS; relid > 0; relid--) {
		const struct vmbus_slot *s = &p->slot[relid];

		if (!s->used)
			free_relid = relid;
		else if (s->offer.sub_index == offer->sub_index &&
			 same_guid(&s->offer.interface, &offer->interface) &&
			 same_guid(&s->offer.instance, &offer->instance))
			return -EEXIST;
	}
	if (free_relid == 0)
		return -ENOSPC;
	p->slot[free_relid] = (struct vmbus_slot){ .used = true, .offer = *offer };
	*ret_relid = free_relid;
	if (p->state == VMBUS_OFFERED)
		send_offer(p, free_relid);
	return 0;
}

void vmbus_protocol_revoke(struct vmbus_protocol *p, u32 relid)
{
	struct vmbus_slot *s = vmbus_protocol_slot(p, relid);

	if (!s || s->rescinded)
		return;
	if (s->offer.sub_index == 0)
		revoke_sub_channels(p, relid);
	if (!s->offered) {
		free_slot(p, relid);
		return;
	}
	s->rescinded = true;
	/* Of a guest that is leaving nothing is left to tell. */
	if (p->state == VMBUS_OFFERED)
		send_relid(p, VMBUS_RESCIND, relid);
	start_closing(p, s);
}
