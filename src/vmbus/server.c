/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VMBus of one VM; see server.h.
 *
 * What the protocol puts out while it is being called is noted and done afterwards (run): messages
 * in order in a queue, everything else as bits of its channel. So neither the protocol nor a
 * device is ever entered twice.
 */
#include "vmbus/server.h"

#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "state/record.h"
#include "wall/guest_memory.h"

/* Answers that the guest has not taken yet: from so many on it has to wait with questions. */
#define MESSAGES_BUSY 256
/* Beyond them only the host's own offers and rescinds come: at most two a channel, twice. */
#define MESSAGES_MAX 2048
/* Give room back to the guest after so many packets, though there are more. */
#define READ_BATCH 16

enum { TODO_GONE = 1, TODO_CLOSE = 2, TODO_OPEN = 4 };

struct message {
	u32 vp, size;
	u8 bytes[VMBUS_MAX_MESSAGE];
};

struct device {
	const struct vmbus_device_ops *ops;
	void *owner;
	u8 todo;
	bool opened; /* open() succeeded, vmbus_channel_closed is due */
	struct vmbus_channel channel;
};

struct vmbus_server {
	struct vmbus_server_config config;
	struct vmbus_protocol protocol;
	struct device device[VMBUS_MAX_CHANNELS + 1]; /* by relid */
	bool running;				      /* run is on the stack */
	bool todo;				      /* of any device */
	void (*all_closed)(void *owner);
	void *all_closed_owner;
	bool paused;		       /* nothing is read from rings */
	void (*all_rest)(void *owner); /* who paused waits for it */
	void *all_rest_owner;
	struct message *message; /* MESSAGES_MAX of them, a circle */
	u32 message_first, message_count;
	u64 lost;
};

static void run(struct vmbus_server *server);
static int died(struct vmbus_channel *channel);

/* ---- the protocol's outputs ---- */

static void queue_message(struct vmbus_server *server, const struct vmbus_output *out)
{
	struct message *m;

	if (server->message_count == MESSAGES_MAX) {
		server->lost++;
		log_guest("vmbus: a message is dropped, the guest takes none");
		return;
	}
	m = &server->message[(server->message_first + server->message_count++) %
			     MESSAGES_MAX];
	m->vp = out->vp;
	m->size = out->size;
	memcpy(m->bytes, out->message, out->size);
}

static void on_output(void *owner, const struct vmbus_output *out)
{
	struct vmbus_server *server = owner;

	switch (out->kind) {
	case VMBUS_OUT_MESSAGE:
		queue_message(server, out);
		return;
	case VMBUS_OUT_OPEN:
		server->device[out->relid].todo |= TODO_OPEN;
		break;
	case VMBUS_OUT_CLOSE:
		server->device[out->relid].todo |= TODO_CLOSE;
		break;
	case VMBUS_OUT_GONE:
		server->device[out->relid].todo |= TODO_GONE;
		break;
	case VMBUS_OUT_RETARGET:
		return; /* the slot says it, and we look there */
	}
	server->todo = true;
}

static void flush_messages(struct vmbus_server *server)
{
	while (server->message_count > 0) {
		const struct message *m = &server->message[server->message_first];
		int r = server->config.host_ops->post(server->config.host, m->vp,
						      m->bytes, m->size);

		if (r == -EAGAIN)
			return;
		if (r < 0) {
			server->lost++;
			log_warn("vmbus: the hypervisor takes no message (%s), so this "
				 "one "
				 "is lost",
				 err_words(r));
		}
		server->message_first = (server->message_first + 1) % MESSAGES_MAX;
		server->message_count--;
	}
}

static int open_channel(struct vmbus_server *server, u32 relid)
{
	struct device *d = &server->device[relid];
	const struct vmbus_slot *s = vmbus_protocol_slot(&server->protocol, relid);
	u32 count = 0;
	const u64 *page = s->ring ? gpadl_pages(s->ring, &count) : NULL;
	int r;

	if (!page || !d->ops)
		return -ENOENT;
	d->channel = (struct vmbus_channel){
		.server = server, .relid = relid, .offer = &s->offer, .user = s->user
	};
	vmbus_ring_init(&d->channel.in, server->config.gm, page, s->downstream);
	vmbus_ring_init(&d->channel.out, server->config.gm, page + s->downstream,
			count - s->downstream);
	r = server->config.host_ops->connect(server->config.host,
					     VMBUS_CONNECTION_OF(relid), relid);
	if (r < 0)
		return r;
	r = d->ops->open(d->owner, &d->channel);
	if (r < 0)
		server->config.host_ops->disconnect(server->config.host,
						    VMBUS_CONNECTION_OF(relid), relid);
	d->opened = r == 0;
	return r;
}

static void do_device(struct vmbus_server *server, u32 relid)
{
	struct device *d = &server->device[relid];
	u8 todo = d->todo;

	d->todo = 0;
	if (todo & TODO_CLOSE)
		d->ops->close(d->owner, &d->channel);
	if (todo & TODO_GONE) {
		if (d->ops && d->ops->gone)
			d->ops->gone(d->owner, relid);
		/* Unless gone() gave the number to another. */
		if (!vmbus_protocol_slot(&server->protocol, relid))
			d->ops = NULL;
	}
	if (todo & TODO_OPEN) {
		int r = open_channel(server, relid);

		if (r < 0)
			log_guest("vmbus: channel %u does not open: %s", relid,
				  err_words(r));
		vmbus_protocol_opened(&server->protocol, relid, r == 0);
		/* What the guest put there while it had no answer comes with no signal. */
		if (r == 0)
			server->config.host_ops->wake(server->config.host, relid);
	}
}

static bool any_open(const struct vmbus_server *server)
{
	for (u32 relid = 1; relid <= VMBUS_MAX_CHANNELS; relid++)
		if (server->device[relid].opened)
			return true;
	return false;
}

/* Is nothing on its way, of what a saved state has no word for? */
static bool all_rest(const struct vmbus_server *server)
{
	if (server->protocol.state == VMBUS_LEAVING)
		return false;
	for (u32 relid = 1; relid <= VMBUS_MAX_CHANNELS; relid++) {
		const struct vmbus_slot *s = &server->protocol.slot[relid];
		const struct device *d = &server->device[relid];

		if (s->state == VMBUS_CHANNEL_OPENING ||
		    s->state == VMBUS_CHANNEL_CLOSING ||
		    (d->opened && d->ops->at_rest && !d->ops->at_rest(d->owner)))
			return false;
	}
	return true;
}

/* Whoever waits for something that is now so. */
static void tell_waiters(struct vmbus_server *server)
{
	if (server->all_closed && !any_open(server)) {
		void (*done)(void *owner) = server->all_closed;

		server->all_closed = NULL;
		done(server->all_closed_owner);
	}
	if (server->all_rest && all_rest(server)) {
		void (*done)(void *owner) = server->all_rest;

		server->all_rest = NULL;
		done(server->all_rest_owner);
	}
}

/* Do what the protocol has put out, and what comes of that. */
static void run(struct vmbus_server *server)
{
	if (server->running)
		return;
	server->running = true;
	while (server->todo) {
		server->todo = false;
		for (u32 relid = 1; relid <= VMBUS_MAX_CHANNELS; relid++)
			if (server->device[relid].todo)
				do_device(server, relid);
	}
	flush_messages(server);
	server->running = false;
	tell_waiters(server);
}

/* ---- life ---- */

int vmbus_server_new(const struct vmbus_server_config *config,
		     struct vmbus_server **ret_server)
{
	struct vmbus_server *server = calloc(1, sizeof *server);

	if (!server)
		return -ENOMEM;
	server->message = calloc(MESSAGES_MAX, sizeof *server->message);
	if (!server->message) {
		free(server);
		return -ENOMEM;
	}
	server->config = *config;
	vmbus_protocol_init(&server->protocol, config->vp_count, gm_layout(config->gm),
			    on_output, server);
	*ret_server = server;
	return 0;
}

void vmbus_server_free(struct vmbus_server *server)
{
	if (!server)
		return;
	vmbus_protocol_done(&server->protocol);
	free(server->message);
	free(server);
}

int vmbus_server_add(struct vmbus_server *server, const struct vmbus_offer *offer,
		     const struct vmbus_device_ops *ops, void *owner, u32 *ret_relid)
{
	int r = vmbus_protocol_offer(&server->protocol, offer, ret_relid);

	if (r < 0)
		return r;
	struct device *d = &server->device[*ret_relid];
	/* The number's last owner is told before it is another's. */
	if (d->todo & TODO_GONE && d->ops && d->ops->gone)
		d->ops->gone(d->owner, *ret_relid);
	*d = (struct device){ .ops = ops, .owner = owner };
	run(server);
	return 0;
}

void vmbus_server_add_sub_channels(struct vmbus_server *server, struct vmbus_offer offer,
				   const struct vmbus_device_ops *ops, void *owner,
				   unsigned count, u32 *relid)
{
	for (unsigned k = 1; k <= count; k++) {
		int r;

		if (relid[k])
			continue;
		offer.sub_index = (u16)k;
		r = vmbus_server_add(server, &offer, ops, owner, &relid[k]);
		if (r < 0)
			log_guest("%s: sub-channel %u is not offered: %s", ops->name, k,
				  err_words(r));
	}
}

void vmbus_server_remove(struct vmbus_server *server, u32 relid)
{
	vmbus_protocol_revoke(&server->protocol, relid);
	run(server);
}

void vmbus_server_close_all(struct vmbus_server *server, void (*done)(void *owner),
			    void *owner)
{
	server->all_closed = done;
	server->all_closed_owner = owner;
	vmbus_protocol_leave(&server->protocol);
	run(server);
}

void vmbus_server_reset(struct vmbus_server *server)
{
	vmbus_protocol_reset(&server->protocol);
	server->message_count = 0;
	run(server);
}

u16 vmbus_server_message(struct vmbus_server *server, u32 connection, u32 type,
			 const void *payload, u32 size)
{
	if (connection != VMBUS_CONNECTION_CLASSIC &&
	    connection != VMBUS_CONNECTION_MULTI)
		return VMBUS_UNKNOWN_CONNECTION;
	if (type != VMBUS_MESSAGE_TYPE || size > VMBUS_MAX_MESSAGE)
		return VMBUS_BAD_PARAMETER;
	/* It asks faster than it takes answers. */
	if (server->message_count >= MESSAGES_BUSY)
		return VMBUS_NO_BUFFERS;
	vmbus_protocol_message(&server->protocol, connection, payload, size);
	run(server);
	return VMBUS_POSTED;
}

void vmbus_server_signalled(struct vmbus_server *server, u32 relid)
{
	struct device *d = &server->device[relid];

	if (relid > VMBUS_MAX_CHANNELS || !d->opened)
		return;
	d->channel.counts.signals_in++;
	if (!d->channel.dead)
		d->ops->ready(d->owner, &d->channel);
	run(server);
}

void vmbus_server_flush(struct vmbus_server *server)
{
	flush_messages(server);
}

void vmbus_server_pause(struct vmbus_server *server, void (*done)(void *owner),
			void *owner)
{
	server->paused = true;
	server->all_rest = done;
	server->all_rest_owner = owner;
	run(server);
}

void vmbus_server_resume(struct vmbus_server *server)
{
	server->paused = false;
	server->all_rest = NULL;
	for (u32 relid = 1; relid <= VMBUS_MAX_CHANNELS; relid++)
		if (server->device[relid].opened)
			server->config.host_ops->wake(server->config.host, relid);
}

/* ---- saved state ---- */

enum { MESSAGE_VP = 1, MESSAGE_BYTES };

int vmbus_server_save(const struct vmbus_server *server, struct state_writer *w)
{
	int r = vmbus_protocol_save(&server->protocol, w);

	for (u32 k = 0; r == 0 && k < server->message_count; k++) {
		const struct message *m =
			&server->message[(server->message_first + k) % MESSAGES_MAX];

		state_begin(w, "vmbusmsg", 1);
		state_number(w, MESSAGE_VP, m->vp);
		state_bytes(w, MESSAGE_BYTES, m->bytes, m->size);
		state_end(w);
	}
	return r == 0 && w->failed ? -ENOMEM : r;
}

static int restore_message(struct vmbus_server *server, struct state_record *record)
{
	struct vmbus_output out = { .kind = VMBUS_OUT_MESSAGE };
	struct state_field f;
	u64 vp = 0;
	int r;

	while ((r = state_next_field(record, &f)) == 1) {
		if (f.id == MESSAGE_VP) {
			vp = f.number;
		} else if (f.id == MESSAGE_BYTES && f.size <= VMBUS_MAX_MESSAGE) {
			memcpy(out.message, f.bytes, f.size);
			out.size = (u32)f.size;
		}
	}
	if (r < 0 || out.size < sizeof(struct vmbus_header) ||
	    vp >= server->config.vp_count || server->message_count == MESSAGES_MAX)
		return -EPROTO;
	out.vp = (vp_index_t)vp;
	queue_message(server, &out);
	return 0;
}

static int restore_messages(struct vmbus_server *server, const u8 *bytes, size_t size)
{
	struct state_record record;
	int r;

	while ((r = state_next_record(&bytes, &size, &record)) == 1) {
		if (strcmp(record.name, "vmbusmsg") == 0)
			r = restore_message(server, &record);
		if (r < 0)
			return r;
	}
	return r;
}

static void signal_guest(struct vmbus_channel *channel);

/* Rings go on where their indices stand. */
static int resume_channel(struct vmbus_server *server, u32 relid)
{
	struct device *d = &server->device[relid];
	int r = open_channel(server, relid);

	if (r == 0)
		r = vmbus_ring_resume(&d->channel.in, true);
	if (r == 0)
		r = vmbus_ring_resume(&d->channel.out, false);
	/* Indices that make no sense are the guest's doing: as if it had written them now. */
	if (r == -EPROTO) {
		(void)died(&d->channel);
		r = 0;
	}
	return r;
}

int vmbus_server_restore(struct vmbus_server *server, const u8 *bytes, size_t size)
{
	struct vmbus_protocol *p = &server->protocol;
	int r = vmbus_protocol_restore(p, bytes, size);

	for (u32 relid = 1; r == 0 && relid <= VMBUS_MAX_CHANNELS; relid++) {
		struct vmbus_slot *s = &p->slot[relid];
		struct device *d = &server->device[relid];

		/* Sub-channels are their primary's device's. */
		if (s->used && s->offer.sub_index > 0)
			*d = (struct device){
				.ops = server->device[s->offer.primary].ops,
				.owner = server->device[s->offer.primary].owner
			};
		if (s->state == VMBUS_CHANNEL_OPEN)
			r = resume_channel(server, relid);
	}
	if (r == 0)
		r = restore_messages(server, bytes, size);
	for (u32 relid = 1; r == 0 && relid <= VMBUS_MAX_CHANNELS; relid++) {
		if (!server->device[relid].opened)
			continue;
		server->config.host_ops->wake(server->config.host, relid);
		signal_guest(&server->device[relid].channel);
	}
	if (r == 0)
		flush_messages(server);
	return r;
}

struct vmbus_protocol *vmbus_server_protocol(struct vmbus_server *server)
{
	return &server->protocol;
}

/* ---- for devices ---- */

static int died(struct vmbus_channel *channel)
{
	if (!channel->dead)
		log_guest("vmbus: channel %u: the guest broke its ring, it stands still",
			  channel->relid);
	channel->dead = true;
	return -EPROTO;
}

static void signal_guest(struct vmbus_channel *channel)
{
	struct vmbus_server *server = channel->server;
	const struct vmbus_slot *s =
		vmbus_protocol_slot(&server->protocol, channel->relid);

	if (!s || s->vp == VMBUS_NO_VP)
		return;
	channel->counts.signals_out++;
	server->config.host_ops->signal(server->config.host, s->vp, channel->relid);
}

/* The guest gets the room of what was read. */
static int tell_read(struct vmbus_channel *channel)
{
	bool wanted;
	int r = vmbus_ring_read_done(&channel->in, &wanted);

	channel->unread_done = 0;
	if (r == 0 && wanted)
		signal_guest(channel);
	return r;
}

static int set_mask(struct vmbus_channel *channel, bool masked)
{
	if (channel->masked == masked)
		return 0;
	channel->masked = masked;
	return vmbus_ring_mask(&channel->in, masked);
}

int vmbus_channel_read(struct vmbus_channel *channel, void *buffer, u32 size,
		       struct vmbus_packet *ret_packet)
{
	int r;

	if (channel->dead)
		return -EPROTO;
	if (channel->server->paused)
		return 0;
	r = set_mask(channel, true);
	if (r == 0 && channel->unread_done == READ_BATCH)
		r = tell_read(channel);
	if (r == 0)
		r = vmbus_ring_read(&channel->in, buffer, size, ret_packet);
	if (r == 0)
		r = tell_read(channel);
	if (r == 0)
		r = set_mask(channel, false);
	/* What came before the guest saw the cleared mask came without a signal. */
	if (r == 0)
		r = vmbus_ring_read(&channel->in, buffer, size, ret_packet);
	if (r < 0)
		return died(channel);
	channel->unread_done += r == 1;
	channel->counts.packets_in += r == 1;
	return r;
}

void vmbus_channel_pause(struct vmbus_channel *channel)
{
	if (!channel->dead && tell_read(channel) < 0)
		died(channel);
}

void vmbus_channel_again(struct vmbus_channel *channel)
{
	struct vmbus_server *server = channel->server;

	server->config.host_ops->wake(server->config.host, channel->relid);
}

/* *ret_wanted: the guest is to be told. */
static int put(struct vmbus_channel *channel, u16 type, u16 flags, u64 transaction,
	       const void *more, u32 more_size, const void *payload, u32 size,
	       bool *ret_wanted)
{
	int r;

	*ret_wanted = false;
	if (channel->dead)
		return -EPROTO;
	r = vmbus_ring_write_more(&channel->out, type, flags, transaction, more,
				  more_size, payload, size, ret_wanted);
	if (r == 0)
		channel->counts.packets_out++;
	if (r == -EAGAIN) {
		channel->counts.full++;
		/* Who is to make room has to know that there is something. */
		vmbus_channel_tell(channel);
	}
	return r == -EPROTO ? died(channel) : r;
}

int vmbus_channel_send_more(struct vmbus_channel *channel, u16 type, u16 flags,
			    u64 transaction, const void *more, u32 more_size,
			    const void *payload, u32 size)
{
	bool wanted;
	int r = put(channel, type, flags, transaction, more, more_size, payload, size,
		    &wanted);

	if (r == 0) {
		channel->owed |= wanted;
		vmbus_channel_tell(channel);
	}
	return r;
}

int vmbus_channel_send(struct vmbus_channel *channel, u16 type, u16 flags,
		       u64 transaction, const void *payload, u32 size)
{
	return vmbus_channel_send_more(channel, type, flags, transaction, NULL, 0,
				       payload, size);
}

int vmbus_channel_send_quietly(struct vmbus_channel *channel, u16 type, u16 flags,
			       u64 transaction, const void *payload, u32 size)
{
	bool wanted;
	int r = put(channel, type, flags, transaction, NULL, 0, payload, size, &wanted);

	channel->owed |= wanted;
	return r;
}

void vmbus_channel_tell(struct vmbus_channel *channel)
{
	if (!channel->owed)
		return;
	channel->owed = false;
	/* A guest that was reading anyway has seen it. */
	if (!vmbus_ring_is_read(&channel->out))
		signal_guest(channel);
}

bool vmbus_channel_is_read(struct vmbus_channel *channel)
{
	return !channel->dead && vmbus_ring_is_read(&channel->out);
}

void vmbus_channel_rested(struct vmbus_channel *channel)
{
	if (channel->server->all_rest)
		run(channel->server);
}

void vmbus_channel_closed(struct vmbus_channel *channel)
{
	struct vmbus_server *server = channel->server;
	struct device *d = &server->device[channel->relid];

	if (!d->opened)
		return;
	d->opened = false;
	server->config.host_ops->disconnect(
		server->config.host, VMBUS_CONNECTION_OF(channel->relid), channel->relid);
	vmbus_protocol_closed(&server->protocol, channel->relid);
	run(server);
}

/* ---- inspect ---- */

static void inspect_channel(const struct vmbus_server *server, u32 relid,
			    struct inspect *out)
{
	static const char *const states[] = { "closed", "opening", "open", "closing" };
	const struct vmbus_slot *s = &server->protocol.slot[relid];
	const struct vmbus_channel *c = &server->device[relid].channel;
	char branch[32];

	snprintf(branch, sizeof branch, "vmbus.channel.%u", relid);
	inspect_words(out, branch, "device", "%s", server->device[relid].ops->name);
	inspect_words(out, branch, "state", "%s%s%s", states[s->state],
		      s->rescinded ? ", rescinded" : "", c->dead ? ", dead" : "");
	inspect_number(out, branch, "sub_channel", s->offer.sub_index);
	if (s->state != VMBUS_CHANNEL_CLOSED)
		inspect_number(out, branch, "vp", s->vp);
	inspect_number(out, branch, "packets_in", c->counts.packets_in);
	inspect_number(out, branch, "packets_out", c->counts.packets_out);
	inspect_number(out, branch, "signals_in", c->counts.signals_in);
	inspect_number(out, branch, "signals_out", c->counts.signals_out);
	inspect_number(out, branch, "full", c->counts.full);
}

void vmbus_server_inspect(const struct vmbus_server *server, struct inspect *out)
{
	static const char *const states[] = { "disconnected", "connected", "offered",
					      "leaving" };
	const struct vmbus_protocol *p = &server->protocol;

	inspect_line(out, "vmbus.state", "%s", states[p->state]);
	inspect_line(out, "vmbus.version", "%u.%u", p->version >> 16,
		     p->version & 0xffff);
	inspect_number(out, "vmbus", "messages", p->counts.messages);
	inspect_number(out, "vmbus", "malformed", p->counts.malformed);
	inspect_number(out, "vmbus", "ignored", p->counts.ignored);
	inspect_number(out, "vmbus", "refused", p->counts.refused);
	inspect_number(out, "vmbus", "gpadls", p->gpadls.count);
	inspect_number(out, "vmbus", "waiting", server->message_count);
	inspect_number(out, "vmbus", "lost", server->lost);
	for (u32 relid = 1; relid <= VMBUS_MAX_CHANNELS; relid++)
		if (p->slot[relid].used && server->device[relid].ops)
			inspect_channel(server, relid, out);
}
