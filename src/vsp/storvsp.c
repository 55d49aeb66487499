/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The synthetic SCSI controller; see storvsp.h. In the order in which things happen: the channel
 * opens, a packet comes, the protocol's steps or a request, the request ends, the answer goes out,
 * the channel closes.
 */
#include "vsp/storvsp.h"

#include <errno.h>
#include <stdio.h>

#include "abi/storvsp.h"
#include "base/log.h"
#include "state/record.h"
#include "vsp/guest_ranges.h"
#include "wall/guest_memory.h"

/* Header, ranges of the largest transfer (and one page more, for the offset), the packet. */
#define MAX_SEGMENTS (STORVSP_MAX_TRANSFER / VMBUS_PAGE + 1)
#define MAX_PACKET 8192
#define PACKETS_A_ROUND 64
/*
 * A guest that compares lists of units finds by the first one that a unit left. Linux does not: it
 * speaks to each unit that it knows, then takes the list for those that are new. Two scans of its
 * own may be under way when a unit leaves, and take theirs before it looks whether the unit is there.
 */
#define LISTS_UNTIL_SEEN 3

enum step { AWAIT_BEGIN, AWAIT_VERSION, AWAIT_PROPERTIES, AWAIT_END, READY };

struct request {
	struct scsi_command command;
	struct channel *channel;
	struct request *next; /* free, or answers that wait for room */
	u64 transaction;
	struct storvsp_request srb; /* as it came */
	u8 lun;			    /* of a unit that is held, or NO_LUN */
	struct iovec iov[MAX_SEGMENTS];
	gpa_t gpa[MAX_SEGMENTS];
	u32 length[MAX_SEGMENTS];
	unsigned segments;
};
#define NO_LUN 0xff

struct answer {
	u64 transaction;
	struct storvsp_packet packet;
};

struct channel {
	struct storvsp *storvsp;
	struct vmbus_channel *vmbus; /* NULL: not open */
	bool closing;
	bool working; /* work is on the stack: it looks again by itself */
	unsigned in_flight;
	/* what found no room in the ring; at most STORVSP_IN_FLIGHT requests' and one more */
	struct answer waiting[STORVSP_IN_FLIGHT + 2];
	unsigned waiting_first, waiting_count;
	bool starved; /* packets wait in the ring for requests to end */
	bool reset;   /* answered when nothing is in flight any more */
	u64 reset_transaction;
};

struct storvsp {
	struct storvsp_config config;
	u32 relid;
	struct scsi_bus bus;
	unsigned held[SCSI_BUS_UNITS]; /* requests in flight by unit */
	/* what the guest knows of units, a bit each: see storvsp_attach */
	u64 met;      /* it has spoken to the one that is there */
	u64 asked;    /* by INQUIRY, so that it knows which it is */
	u64 unseen;   /* left, and the guest has not met their absence yet */
	u64 settling; /* it met their absence just now, and clears up */
	u64 replaced; /* it knew another one of the same number before */
	unsigned lists[SCSI_BUS_UNITS]; /* of units that it took since one left unseen */
	struct {
		struct scsi_unit *unit;
		void (*done)(void *owner, struct scsi_unit *unit);
		void *owner;
	} leaving[SCSI_BUS_UNITS];
	struct channel channel[STORVSP_MAX_SUB_CHANNELS + 1]; /* by sub-channel's index */
	u32 sub_relid[STORVSP_MAX_SUB_CHANNELS + 1];	      /* 0: not offered */
	enum step step;
	u16 version;
	unsigned resetting; /* channels whose reset waits */
	bool enumerate;	    /* the guest shall look at the bus, when it can be told */
	struct request *free;
	struct {
		u64 requests, refused, malformed, resets, enumerations;
	} counts;
};

static void work(struct channel *c);

/* ---- opens ---- */

static struct channel *channel_of(struct storvsp *s, struct vmbus_channel *vmbus)
{
	return &s->channel[vmbus->offer->sub_index];
}

/* A guest begins anew: it knows none. */
static void forget_units(struct storvsp *s)
{
	s->met = s->asked = s->unseen = s->settling = s->replaced = 0;
}

static int on_open(void *owner, struct vmbus_channel *vmbus)
{
	struct storvsp *s = owner;
	struct channel *c;

	/* From a saved state it may be anything. */
	if (vmbus->offer->sub_index > STORVSP_MAX_SUB_CHANNELS)
		return -EPROTO;
	c = channel_of(s, vmbus);
	/* One that the guest had closed may still have requests under way: then not yet. */
	if (c->vmbus)
		return -EBUSY;
	*c = (struct channel){ .storvsp = s, .vmbus = vmbus };
	vmbus->device = c;
	if (vmbus->offer->sub_index == 0) {
		s->step = AWAIT_BEGIN;
		s->enumerate = false;
		forget_units(s);
	}
	return 0;
}

/* ---- answers ---- */

static u32 packet_size(const struct storvsp *s)
{
	return s->version && s->version < STORVSP_WIN8 ? STORVSP_OLD_PACKET
						       : sizeof(struct storvsp_packet);
}

static bool flush_answers(struct channel *c)
{
	while (c->waiting_count > 0) {
		const struct answer *a = &c->waiting[c->waiting_first];

		if (vmbus_channel_send(c->vmbus, VMBUS_PACKET_COMPLETION, 0,
				       a->transaction, &a->packet,
				       packet_size(c->storvsp)) == -EAGAIN)
			return false;
		c->waiting_first = (c->waiting_first + 1) % ARRAY_COUNT(c->waiting);
		c->waiting_count--;
	}
	return true;
}

static void send_answer(struct channel *c, u64 transaction, struct storvsp_packet *packet,
			u32 status)
{
	struct answer *a;

	packet->operation = le32_of(STORVSP_COMPLETE_IO);
	packet->flags = le32_of(0);
	packet->status = le32_of(status);
	c->storvsp->counts.refused += status != STORVSP_OK;
	/* Nobody listens any more. */
	if (c->closing)
		return;
	/* There is room: no more than these are ever under way (work). */
	a = &c->waiting[(c->waiting_first + c->waiting_count++) % ARRAY_COUNT(c->waiting)];
	a->transaction = transaction;
	a->packet = *packet;
	flush_answers(c);
}

static void send_enumerate(struct storvsp *s)
{
	struct storvsp_packet packet = { .operation = le32_of(STORVSP_ENUMERATE_BUS) };
	struct channel *c = &s->channel[0];

	if (!s->enumerate || s->step != READY || !c->vmbus || c->closing)
		return;
	if (vmbus_channel_send(c->vmbus, VMBUS_PACKET_INBAND, 0, 0, &packet,
			       packet_size(s)) == -EAGAIN)
		return; /* again when there is room */
	s->enumerate = false;
	s->counts.enumerations++;
}

/* ---- the protocol's steps ---- */

static u32 query_version(struct storvsp *s, u16 version)
{
	static const u16 versions[] = { STORVSP_WIN7, STORVSP_WIN8, STORVSP_WIN8_1,
					STORVSP_WIN10 };

	for (unsigned k = 0; k < ARRAY_COUNT(versions); k++) {
		if (versions[k] != version)
			continue;
		s->version = version;
		s->step = AWAIT_PROPERTIES;
		return STORVSP_OK;
	}
	return STORVSP_REVISION_MISMATCH;
}

static void offer_sub_channels(struct storvsp *s, unsigned count);

/* A packet of the primary channel that is no request; always answered. */
static void take_step(struct channel *c, u64 transaction, struct storvsp_packet *packet)
{
	struct storvsp *s = c->storvsp;
	u32 operation = le32_get(packet->operation), status = STORVSP_INVALID_STATE;
	unsigned sub_channels = 0;

	switch (operation) {
	case STORVSP_BEGIN_INIT:
		s->step = AWAIT_VERSION;
		status = STORVSP_OK;
		break;
	case STORVSP_QUERY_VERSION:
		if (s->step == AWAIT_VERSION || s->step == AWAIT_PROPERTIES)
			status = query_version(s, le16_get(packet->version.version));
		break;
	case STORVSP_QUERY_PROPERTIES:
		if (s->step != AWAIT_PROPERTIES && s->step != AWAIT_END)
			break;
		packet->properties = (struct storvsp_properties){
			.max_sub_channels = le16_of(s->config.max_sub_channels),
			.flags = le32_of(s->config.max_sub_channels > 0
						 ? STORVSP_MULTI_CHANNEL
						 : 0),
			.max_transfer = le32_of(STORVSP_MAX_TRANSFER),
		};
		s->step = AWAIT_END;
		status = STORVSP_OK;
		break;
	case STORVSP_END_INIT:
		if (s->step != AWAIT_END)
			break;
		s->step = READY;
		/* The guest scans now: whatever changed before, it will find. */
		s->enumerate = false;
		status = STORVSP_OK;
		break;
	case STORVSP_CREATE_SUB_CHANNELS:
		/* Windows asks before END_INIT, Linux after. */
		if (s->step != AWAIT_END && s->step != READY)
			break;
		sub_channels = le16_get(packet->sub_channels);
		status = sub_channels <= s->config.max_sub_channels
				 ? STORVSP_OK
				 : STORVSP_INVALID_PARAMETER;
		break;
	default:
		status = STORVSP_INVALID_PARAMETER;
	}
	send_answer(c, transaction, packet, status);
	if (operation == STORVSP_CREATE_SUB_CHANNELS && status == STORVSP_OK)
		offer_sub_channels(s, sub_channels);
}

/* Sub-channels 1 to count; those that are there already stay. */
static const struct vmbus_device_ops ops;
static void offer_sub_channels(struct storvsp *s, unsigned count)
{
	const struct vmbus_offer offer = { .interface = VMBUS_GUID_SCSI,
					   .instance = s->config.instance,
					   .flags = VMBUS_OFFER_ENUMERATE,
					   .primary = s->relid };

	vmbus_server_add_sub_channels(s->config.server, offer, &ops, s, count,
				      s->sub_relid);
}

static void on_gone(void *owner, u32 relid)
{
	struct storvsp *s = owner;

	for (unsigned k = 1; k <= STORVSP_MAX_SUB_CHANNELS; k++)
		if (s->sub_relid[k] == relid)
			s->sub_relid[k] = 0;
}

/* ---- requests ---- */

static struct request *request_new(struct channel *c, u64 transaction,
				   const struct storvsp_request *srb)
{
	struct storvsp *s = c->storvsp;
	struct request *q = s->free;

	if (q)
		s->free = q->next;
	else
		q = malloc(sizeof *q);
	if (!q)
		return NULL;
	q->channel = c;
	q->transaction = transaction;
	q->srb = *srb;
	q->lun = NO_LUN;
	q->segments = 0;
	c->in_flight++;
	return q;
}

static bool add_segment(struct request *q, struct guest_memory *gm, gpa_t gpa, u32 size)
{
	unsigned n = q->segments;
	u8 *host = gm_pin(gm, gpa, size);

	if (!host)
		return false;
	/* Neighbours in memory are one segment. */
	if (n > 0 && q->gpa[n - 1] + q->length[n - 1] == gpa &&
	    (u8 *)q->iov[n - 1].iov_base + q->length[n - 1] == host) {
		q->length[n - 1] += size;
		q->iov[n - 1].iov_len += size;
		return true;
	}
	if (n == MAX_SEGMENTS)
		return false;
	q->gpa[n] = gpa;
	q->length[n] = size;
	q->iov[n] = (struct iovec){ host, size };
	q->segments++;
	return true;
}

struct pieces {
	struct request *request;
	struct guest_memory *gm;
	u32 left;
};

static bool add_piece(void *owner, gpa_t gpa, u32 size)
{
	struct pieces *p = owner;

	p->left -= size;
	return add_segment(p->request, p->gm, gpa, size);
}

/* The first `left` bytes of the ranges of a GPA-direct packet's header. */
static bool add_ranges(struct request *q, struct guest_memory *gm, const u8 *bytes,
		       u32 size, u32 left)
{
	struct pieces p = { q, gm, left };

	return left == 0 ||
	       (left <= STORVSP_MAX_TRANSFER &&
		guest_ranges_walk(bytes, size, left, add_piece, &p) && p.left == 0);
}

static void detach_if_idle(struct storvsp *s, unsigned lun)
{
	struct scsi_unit *unit = s->leaving[lun].unit;

	if (!unit || s->held[lun] > 0)
		return;
	s->leaving[lun].unit = NULL;
	s->leaving[lun].done(s->leaving[lun].owner, unit);
}

static void finish_closing(struct channel *c);

static void end_request(struct request *q, struct storvsp_packet *packet, u32 status)
{
	struct channel *c = q->channel;
	struct storvsp *s = c->storvsp;
	u8 lun = q->lun;

	send_answer(c, q->transaction, packet, status);
	q->next = s->free;
	s->free = q;
	c->in_flight--;
	if (lun != NO_LUN) {
		s->held[lun]--;
		detach_if_idle(s, lun);
	}
}

static void refuse(struct request *q, u8 srb_status)
{
	struct storvsp_packet packet = { .request = q->srb };

	packet.request.srb_status = srb_status;
	packet.request.scsi_status = SCSI_GOOD;
	packet.request.sense_size = 0;
	packet.request.transfer = le32_of(0);
	end_request(q, &packet, STORVSP_OK);
}

static u8 srb_status_of(const struct scsi_command *command)
{
	if (command->absent)
		return SRB_INVALID_LUN;
	if (command->status == SCSI_GOOD)
		return SRB_SUCCESS;
	return command->sense_size > 0 ? SRB_ERROR | SRB_AUTOSENSE_VALID : SRB_ERROR;
}

/* Payload first: marked, and out of the way of code that executes there. */
static bool publish(struct request *q)
{
	struct guest_memory *gm = q->channel->storvsp->config.gm;
	u64 ticket = 0;

	if (q->command.direction != SCSI_FROM_UNIT)
		return true;
	for (unsigned k = 0; k < q->segments; k++)
		gm_written(gm, q->gpa[k], q->length[k], &ticket);
	return gm_wait_published(gm, ticket) == 0;
}

/* A reset waits for the requests of all channels. */
static void wake_resets(struct storvsp *s)
{
	for (unsigned k = 0; k <= STORVSP_MAX_SUB_CHANNELS; k++)
		if (s->channel[k].reset)
			vmbus_channel_again(s->channel[k].vmbus);
}

static void on_command_done(struct scsi_command *command)
{
	struct request *q = command->owner;
	struct channel *c = q->channel;
	struct storvsp *s = c->storvsp;
	struct storvsp_packet packet = { .request = q->srb };
	struct storvsp_request *srb = &packet.request;
	bool published = publish(q);

	srb->srb_status = published ? srb_status_of(command) : SRB_ABORTED;
	srb->scsi_status = command->absent ? SCSI_GOOD : (u8)command->status;
	srb->transfer = le32_of(command->moved);
	srb->sense_size = 0;
	if (srb->srb_status & SRB_AUTOSENSE_VALID) {
		srb->sense_size =
			(u8)min_u64(min_u64(command->sense_size, STORVSP_SENSE_SIZE),
				    q->srb.sense_size);
		memcpy(srb->sense, command->sense, srb->sense_size);
	}
	end_request(q, &packet, STORVSP_OK);
	if (c->closing)
		finish_closing(c);
	else if (c->starved && !c->working)
		vmbus_channel_again(c->vmbus);
	if (s->resetting > 0)
		wake_resets(s);
	if (c->vmbus)
		vmbus_channel_rested(c->vmbus);
}

/* The guest takes the list of units. */
static void list_is_taken(struct storvsp *s)
{
	for (unsigned lun = 0; lun < SCSI_BUS_UNITS; lun++)
		if (s->unseen & BIT64(lun) && ++s->lists[lun] >= LISTS_UNTIL_SEEN)
			s->unseen &= ~BIT64(lun);
}

/* Unit lun is spoken to. */
static void unit_is_addressed(struct storvsp *s, unsigned lun, u8 opcode)
{
	u64 bit = BIT64(lun);

	if (s->bus.unit[lun]) {
		s->met |= bit;
		if (opcode == SCSI_INQUIRY)
			s->asked |= bit;
	} else if (opcode != SCSI_INQUIRY && (s->unseen | s->settling) & bit) {
		s->unseen &= ~bit;
		s->settling |= bit;
	}
}

static void execute(struct channel *c, u64 transaction,
		    const struct storvsp_packet *packet, const u8 *ranges,
		    u32 ranges_size)
{
	struct storvsp *s = c->storvsp;
	const struct storvsp_request *srb = &packet->request;
	struct request *q = request_new(c, transaction, srb);
	u32 size = srb->data_in == STORVSP_NO_DATA ? 0 : le32_get(srb->transfer);
	struct scsi_command *command;

	s->counts.requests++;
	if (!q) {
		struct storvsp_packet answer = *packet;

		answer.request.srb_status = SRB_BUSY;
		send_answer(c, transaction, &answer, STORVSP_OK);
		return;
	}
	if (srb->cdb_size == 0 || srb->cdb_size > STORVSP_CDB_SIZE ||
	    srb->data_in > STORVSP_NO_DATA ||
	    !add_ranges(q, s->config.gm, ranges, ranges_size, size)) {
		s->counts.malformed++;
		refuse(q, SRB_INVALID_REQUEST);
		return;
	}
	command = &q->command;
	memset(command->cdb, 0, sizeof command->cdb);
	memcpy(command->cdb, srb->cdb, srb->cdb_size);
	command->cdb_size = srb->cdb_size;
	command->direction = size == 0			    ? SCSI_NO_DATA
			     : srb->data_in == STORVSP_READ ? SCSI_FROM_UNIT
							    : SCSI_TO_UNIT;
	command->size = size;
	command->iov = q->iov;
	command->iov_count = q->segments;
	command->done = on_command_done;
	command->owner = q;
	/* Who reaches an IDE disk names channel and drive as path and target. */
	u8 path = s->config.ide ? 0 : srb->path, target = s->config.ide ? 0 : srb->target;

	if (path == 0 && target == 0 && srb->lun < SCSI_BUS_UNITS) {
		if (command->cdb[0] == SCSI_REPORT_LUNS)
			list_is_taken(s);
		else
			unit_is_addressed(s, srb->lun, command->cdb[0]);
		if (s->bus.unit[srb->lun]) {
			q->lun = srb->lun;
			s->held[q->lun]++;
		}
	}
	scsi_bus_execute(&s->bus, path, target, srb->lun, command);
}

/* ---- resets: answered when nothing is in flight ---- */

static void start_reset(struct channel *c, u64 transaction)
{
	c->reset = true;
	c->storvsp->resetting++;
	c->reset_transaction = transaction;
	c->storvsp->counts.resets++;
}

static bool finish_reset(struct channel *c)
{
	struct storvsp *s = c->storvsp;
	struct storvsp_packet packet = { 0 };

	for (unsigned k = 0; k <= STORVSP_MAX_SUB_CHANNELS; k++)
		if (s->channel[k].in_flight > 0)
			return false;
	for (unsigned k = 0; k < SCSI_BUS_UNITS; k++)
		if (s->bus.unit[k])
			scsi_unit_reset(s->bus.unit[k]);
	c->reset = false;
	s->resetting--;
	send_answer(c, c->reset_transaction, &packet, STORVSP_OK);
	return true;
}

/* ---- a packet comes ---- */

static void handle(struct channel *c, const u8 *bytes, const struct vmbus_packet *p)
{
	struct storvsp *s = c->storvsp;
	struct storvsp_packet packet = { 0 };
	u32 size = p->size - p->header_size;
	bool direct = p->type == VMBUS_PACKET_GPA_DIRECT;
	u32 operation;

	if (p->type == VMBUS_PACKET_COMPLETION)
		return;
	if (size < STORVSP_OLD_PACKET || (p->type != VMBUS_PACKET_INBAND && !direct)) {
		s->counts.malformed++;
		send_answer(c, p->transaction, &packet, STORVSP_INVALID_PARAMETER);
		return;
	}
	memcpy(&packet, bytes + p->header_size, min_u64(size, sizeof packet));
	operation = le32_get(packet.operation);
	if (operation == STORVSP_EXECUTE_SRB && s->step == READY) {
		u32 ranges =
			direct ? p->header_size - (u32)sizeof(struct vmbus_packet_header)
			       : 0;

		execute(c, p->transaction, &packet,
			bytes + sizeof(struct vmbus_packet_header), ranges);
	} else if (operation == STORVSP_RESET_BUS || operation == STORVSP_RESET_ADAPTER ||
		   operation == STORVSP_RESET_LUN) {
		start_reset(c, p->transaction);
	} else if (c == &s->channel[0] && operation != STORVSP_EXECUTE_SRB) {
		take_step(c, p->transaction, &packet);
	} else {
		send_answer(c, p->transaction, &packet, STORVSP_INVALID_STATE);
	}
}

/* Take packets while there is room for what comes of them. */
static void work(struct channel *c)
{
	struct vmbus_packet p;
	u8 bytes[MAX_PACKET];

	c->working = true;
	c->starved = false;
	send_enumerate(c->storvsp);
	for (unsigned n = 0;; n++) {
		if (!flush_answers(c)) {
			vmbus_channel_pause(c->vmbus);
			break; /* the guest signals when there is room */
		}
		if (c->in_flight >= STORVSP_IN_FLIGHT || (c->reset && !finish_reset(c))) {
			c->starved = true;
			vmbus_channel_pause(c->vmbus);
			break;
		}
		if (n == PACKETS_A_ROUND) {
			vmbus_channel_pause(c->vmbus);
			vmbus_channel_again(c->vmbus);
			break;
		}
		if (vmbus_channel_read(c->vmbus, bytes, sizeof bytes, &p) != 1)
			break;
		handle(c, bytes, &p);
	}
	c->working = false;
}

static void on_ready(void *owner, struct vmbus_channel *vmbus)
{
	struct channel *c = vmbus->device;

	if (c->closing)
		return;
	work(c);
	vmbus_channel_rested(vmbus);
}

/* ---- closes ---- */

static void finish_closing(struct channel *c)
{
	struct vmbus_channel *vmbus = c->vmbus;

	if (c->in_flight > 0)
		return;
	c->vmbus = NULL;
	vmbus_channel_closed(vmbus);
}

static void on_close(void *owner, struct vmbus_channel *vmbus)
{
	struct storvsp *s = owner;
	struct channel *c = vmbus->device;

	c->closing = true;
	c->waiting_count = 0;
	s->resetting -= c->reset;
	c->reset = false;
	if (c == &s->channel[0]) {
		s->step = AWAIT_BEGIN;
		s->version = 0;
		forget_units(s);
	}
	finish_closing(c);
}

/* ---- life ---- */

int storvsp_new(const struct storvsp_config *config, struct storvsp **ret_storvsp)
{
	static const struct guid ide = VMBUS_GUID_IDE, scsi = VMBUS_GUID_SCSI;
	struct vmbus_offer offer = { .interface = config->ide ? ide : scsi,
				     .instance = config->instance,
				     .flags = VMBUS_OFFER_ENUMERATE };
	struct storvsp *s;
	int r;

	if (config->max_sub_channels > STORVSP_MAX_SUB_CHANNELS)
		return -EINVAL;
	s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;
	s->config = *config;
	r = vmbus_server_add(config->server, &offer, &ops, s, &s->relid);
	if (r < 0) {
		free(s);
		return r;
	}
	*ret_storvsp = s;
	return 0;
}

void storvsp_free(struct storvsp *s)
{
	struct request *q;

	if (!s)
		return;
	while ((q = s->free)) {
		s->free = q->next;
		free(q);
	}
	free(s);
}

void storvsp_rescan(struct storvsp *s)
{
	s->enumerate = true;
	send_enumerate(s);
}

int storvsp_attach(struct storvsp *s, unsigned lun, struct scsi_unit *unit)
{
	if (lun >= SCSI_BUS_UNITS)
		return -EINVAL;
	if (s->bus.unit[lun] || s->leaving[lun].unit)
		return -EBUSY;
	if ((s->unseen | s->settling) & BIT64(lun)) {
		s->settling &= ~BIT64(lun);
		return -EAGAIN;
	}
	s->bus.unit[lun] = unit;
	s->met &= ~BIT64(lun);
	s->asked &= ~BIT64(lun);
	storvsp_rescan(s);
	return 0;
}

int storvsp_detach(struct storvsp *s, unsigned lun,
		   void (*done)(void *owner, struct scsi_unit *unit), void *owner)
{
	if (lun >= SCSI_BUS_UNITS)
		return -ENOENT;
	if (s->leaving[lun].unit)
		return -EALREADY;
	if (!s->bus.unit[lun])
		return -ENOENT;
	s->leaving[lun].unit = s->bus.unit[lun];
	s->leaving[lun].done = done;
	s->leaving[lun].owner = owner;
	s->bus.unit[lun] = NULL;
	s->unseen |= s->met & BIT64(lun);
	s->replaced |= s->met & BIT64(lun);
	s->lists[lun] = 0;
	storvsp_rescan(s);
	detach_if_idle(s, lun);
	return 0;
}

bool storvsp_overlooked(const struct storvsp *s, unsigned lun)
{
	return lun < SCSI_BUS_UNITS && s->bus.unit[lun] && s->step == READY &&
	       (~s->asked | s->replaced) & BIT64(lun);
}

struct scsi_unit *storvsp_unit(const struct storvsp *s, unsigned lun)
{
	return lun < SCSI_BUS_UNITS ? s->bus.unit[lun] : NULL;
}

/* ---- state ---- */

enum {
	STATE_INSTANCE = 1,
	STATE_STEP,
	STATE_VERSION,
	STATE_ENUMERATE,
	STATE_ANSWER,
	STATE_UNSEEN,
	STATE_MET,
	STATE_ASKED,
};

static bool at_rest(const void *owner)
{
	const struct storvsp *s = owner;

	for (unsigned k = 0; k <= STORVSP_MAX_SUB_CHANNELS; k++)
		if (s->channel[k].in_flight > 0 || s->channel[k].reset ||
		    (s->channel[k].vmbus && s->channel[k].closing))
			return false;
	return true;
}

int storvsp_save(const struct storvsp *s, struct state_writer *w)
{
	if (!at_rest(s))
		return -EBUSY;
	state_begin(w, "storvsp", 1);
	state_bytes(w, STATE_INSTANCE, &s->config.instance, sizeof s->config.instance);
	state_number(w, STATE_STEP, s->step);
	state_number(w, STATE_VERSION, s->version);
	state_number(w, STATE_ENUMERATE, s->enumerate);
	/* What settles has time to do so while the guest moves. */
	state_number(w, STATE_UNSEEN, s->unseen);
	state_number(w, STATE_MET, s->met);
	state_number(w, STATE_ASKED, s->asked);
	for (unsigned k = 0; k <= STORVSP_MAX_SUB_CHANNELS; k++) {
		const struct channel *c = &s->channel[k];

		/* Channel, transaction, packet: answers that found no room. */
		for (unsigned n = 0; n < c->waiting_count; n++) {
			const struct answer *a = &c->waiting[(c->waiting_first + n) %
							     ARRAY_COUNT(c->waiting)];
			struct {
				le64 channel, transaction;
				struct storvsp_packet packet;
			} PACKED saved = { le64_of(k), le64_of(a->transaction),
					   a->packet };

			state_bytes(w, STATE_ANSWER, &saved, sizeof saved);
		}
	}
	state_end(w);
	return w->failed ? -ENOMEM : 0;
}

static int restore_answer(struct storvsp *s, const struct state_field *f)
{
	const struct {
		le64 channel, transaction;
		struct storvsp_packet packet;
	} PACKED *saved = (const void *)f->bytes;
	struct channel *c;

	if (f->size != sizeof *saved || f->number > STORVSP_MAX_SUB_CHANNELS)
		return -EPROTO;
	c = &s->channel[f->number];
	if (!c->vmbus || c->waiting_count == ARRAY_COUNT(c->waiting))
		return -EPROTO;
	c->waiting[c->waiting_count++] =
		(struct answer){ .transaction = le64_get(saved->transaction),
				 .packet = saved->packet };
	return 0;
}

static int restore_record(struct storvsp *s, struct state_record *record)
{
	struct state_field f;
	int r;

	/* Where it is not said, the guest knows what is there. */
	s->met = s->asked = ~0ull;
	while ((r = state_next_field(record, &f)) == 1) {
		if (f.id == STATE_STEP && f.number <= READY)
			s->step = (enum step)f.number;
		else if (f.id == STATE_VERSION && f.number <= UINT16_MAX)
			s->version = (u16)f.number;
		else if (f.id == STATE_ENUMERATE)
			s->enumerate = f.number != 0;
		else if (f.id == STATE_UNSEEN)
			s->unseen = f.number;
		else if (f.id == STATE_MET)
			s->met = f.number;
		else if (f.id == STATE_ASKED)
			s->asked = f.number;
		else if (f.id == STATE_ANSWER)
			r = restore_answer(s, &f);
		else if (f.id == STATE_STEP || f.id == STATE_VERSION)
			r = -EPROTO;
		if (r < 0)
			return r;
	}
	return r;
}

static bool is_of(const struct storvsp *s, struct state_record record)
{
	struct state_field f;

	while (state_next_field(&record, &f) == 1)
		if (f.id == STATE_INSTANCE && f.size == sizeof s->config.instance &&
		    memcmp(f.bytes, &s->config.instance, f.size) == 0)
			return true;
	return false;
}

int storvsp_restore(struct storvsp *s, const u8 *bytes, size_t size)
{
	struct vmbus_protocol *p = vmbus_server_protocol(s->config.server);
	struct state_record record;
	int r;

	/* Sub-channels that the guest had been offered are offered. */
	for (u32 relid = 1; relid <= VMBUS_MAX_CHANNELS; relid++) {
		const struct vmbus_slot *slot = vmbus_protocol_slot(p, relid);

		if (!slot || slot->offer.sub_index == 0 ||
		    slot->offer.primary != s->relid)
			continue;
		if (slot->offer.sub_index > STORVSP_MAX_SUB_CHANNELS)
			return -EPROTO;
		s->sub_relid[slot->offer.sub_index] = relid;
	}
	while ((r = state_next_record(&bytes, &size, &record)) == 1)
		if (strcmp(record.name, "storvsp") == 0 && is_of(s, record))
			return restore_record(s, &record);
	return r < 0 ? r : -EPROTO;
}

void storvsp_inspect(const struct storvsp *s, const char *branch, struct inspect *out)
{
	static const char *const steps[] = { "begin", "version", "properties", "end",
					     "ready" };
	char name[64];

	inspect_words(out, branch, "step", "%s", steps[s->step]);
	inspect_words(out, branch, "version", "%u.%u", s->version >> 8,
		      s->version & 0xff);
	inspect_number(out, branch, "channel", s->relid);
	inspect_number(out, branch, "requests", s->counts.requests);
	inspect_number(out, branch, "refused", s->counts.refused);
	inspect_number(out, branch, "malformed", s->counts.malformed);
	inspect_number(out, branch, "resets", s->counts.resets);
	inspect_number(out, branch, "enumerations", s->counts.enumerations);
	for (unsigned k = 0; k < SCSI_BUS_UNITS; k++) {
		if (!s->bus.unit[k])
			continue;
		snprintf(name, sizeof name, "%s.lun.%u", branch, k);
		scsi_unit_inspect(s->bus.unit[k], name, out);
	}
}

static const struct vmbus_device_ops ops = {
	.name = "scsi",
	.open = on_open,
	.ready = on_ready,
	.close = on_close,
	.gone = on_gone,
	.at_rest = at_rest,
};
