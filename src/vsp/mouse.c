/* SPDX-License-Identifier: Apache-2.0 */
/* Synthetic mouse; see mouse.h. */
#include "vsp/mouse.h"

#include <errno.h>

#define MAX_PACKET 256u
#define PACKETS_A_ROUND 32

/* HID 1.11, appendix E.10, with absolute places. Its 15th byte must not be 0x25: Linux would change it. */
/* clang-format off */
static const u8 report_descriptor[] = {
	0x05, 0x01,	  /* usage page: generic desktop */
	0x09, 0x02,	  /* usage: mouse */
	0xa1, 0x01,	  /* collection: application */
	0x09, 0x01,	  /*   usage: pointer */
	0xa1, 0x00,	  /*   collection: physical */
	0x05, 0x09,	  /*     usage page: buttons */
	0x19, 0x01,	  /*     first: 1 */
	0x29, 0x05,	  /*     last: 5 */
	0x15, 0x00,	  /*     least: 0 */
	0x25, 0x01,	  /*     most: 1 */
	0x95, 0x05,	  /*     five of them */
	0x75, 0x01,	  /*     of a bit each */
	0x81, 0x02,	  /*     input: variable, absolute */
	0x95, 0x01, 0x75, 0x03, 0x81, 0x03, /* three bits of nothing */
	0x05, 0x01,	  /*     usage page: generic desktop */
	0x09, 0x30,	  /*     usage: x */
	0x09, 0x31,	  /*     usage: y */
	0x15, 0x00,	  /*     least: 0 */
	0x26, 0xff, 0x7f, /*     most: 32767 */
	0x75, 0x10,	  /*     of 16 bits each */
	0x95, 0x02,	  /*     two of them */
	0x81, 0x02,	  /*     input: variable, absolute */
	0x09, 0x38,	  /*     usage: wheel */
	0x16, 0x01, 0x80, /*     least: -32767 */
	0x26, 0xff, 0x7f, /*     most: 32767 */
	0x95, 0x01,	  /*     one of them */
	0x81, 0x06,	  /*     input: variable, relative */
	0xc0,		  /*   end */
	0xc0,		  /* end */
};
/* clang-format on */

/* ---- packets to the guest -------------------------------------------------------------------- */

#define MAX_BODY (sizeof(struct mouse_device) + sizeof report_descriptor)

static int send(struct mouse *m, enum mouse_message type, const void *body, u32 size)
{
	u8 bytes[sizeof(struct mouse_header) + MAX_BODY];
	const struct mouse_header h = {
		.pipe = le32_of(MOUSE_PIPE_DATA),
		.pipe_size = le32_of(8 + size),
		.type = le32_of(type),
		.size = le32_of(size),
	};

	memcpy(bytes, &h, sizeof h);
	memcpy(bytes + sizeof h, body, size);
	return vmbus_channel_send(m->vmbus, VMBUS_PACKET_INBAND, 0, 0, bytes,
				  (u32)sizeof h + size);
}

static void send_device(struct mouse *m)
{
	u8 body[MAX_BODY];
	const struct mouse_device device = {
		.size = le32_of(32),
		.vendor = le16_of(0x045e),
		.product = le16_of(0x0621),
		.version = le16_of(0x0100),
		.hid = {
			.length = sizeof device.hid,
			.type = 0x21,
			.version = le16_of(0x0111),
			.descriptors = 1,
			.report_type = 0x22,
			.report_size = le16_of(sizeof report_descriptor),
		},
	};

	memcpy(body, &device, sizeof device);
	memcpy(body + sizeof device, report_descriptor, sizeof report_descriptor);
	if (send(m, MOUSE_DEVICE, body, sizeof body) < 0)
		m->counts.dropped++;
}

/* The event goes out, or waits. */
static void report(struct mouse *m)
{
	const struct mouse_report r = {
		.buttons = m->event.buttons,
		.x = le16_of(m->event.x),
		.y = le16_of(m->event.y),
		.wheel = le16_of((u16)m->event.wheel),
	};

	m->waits = send(m, MOUSE_REPORT, &r, sizeof r) < 0;
	if (m->waits)
		return;
	m->counts.reports++;
	m->event.wheel = 0;
}

static s16 turn(s32 wheel)
{
	return (s16)(wheel > INT16_MAX	  ? INT16_MAX
		     : wheel < -INT16_MAX ? -INT16_MAX
					  : wheel);
}

int mouse_move(struct mouse *m, const struct mouse_event *event, struct err *err)
{
	s32 wheel = event->wheel;

	if (event->x > MOUSE_MOST || event->y > MOUSE_MOST ||
	    (event->buttons & ~MOUSE_BUTTONS)) {
		err_set(err, -EINVAL, "the mouse has no such place or button");
		return err_fix(err, "places are 0 to 32767, buttons bits 0 to 4");
	}
	if (m->state != MOUSE_READY) {
		err_set(err, -ENOTCONN, "the guest has no driver for its mouse (yet)");
		return err_fix(err, "wait until it has come up; on Linux the module is "
				    "hid_hyperv");
	}
	if (m->paused) {
		err_set(err, -EBUSY, "the guest stands");
		return err_fix(err, "let it go on: tabique vm resume");
	}
	if (m->waits) {
		m->counts.merged++;
		wheel += m->event.wheel;
	}
	m->event = *event;
	m->event.wheel = turn(wheel);
	report(m);
	return 0;
}

/* ---- what the guest says --------------------------------------------------------------------- */

static void on_request(struct mouse *m, const u8 *body, u32 size)
{
	struct mouse_request request;
	struct mouse_response response;

	if (size < sizeof request) {
		m->counts.malformed++;
		return;
	}
	memcpy(&request, body, sizeof request);
	response = (struct mouse_response){
		.version = request.version,
		.approved = le32_get(request.version) == MOUSE_VERSION,
	};
	if (send(m, MOUSE_RESPONSE, &response, sizeof response) < 0)
		m->counts.dropped++;
	if (!response.approved)
		return;
	if (m->state == MOUSE_OPEN)
		m->state = MOUSE_ASKED;
	send_device(m);
}

static void on_packet(struct mouse *m, const struct vmbus_packet *packet, const u8 *bytes)
{
	const u8 *payload = bytes + packet->header_size;
	u32 size = packet->size - packet->header_size;
	struct mouse_header h;

	if (packet->type == VMBUS_PACKET_COMPLETION)
		return;
	if (packet->flags & VMBUS_PACKET_WANTS_COMPLETION &&
	    vmbus_channel_send(m->vmbus, VMBUS_PACKET_COMPLETION, 0, packet->transaction,
			       NULL, 0) < 0)
		m->counts.dropped++;
	if (packet->type != VMBUS_PACKET_INBAND || size < sizeof h) {
		m->counts.malformed++;
		return;
	}
	memcpy(&h, payload, sizeof h);
	if (le32_get(h.pipe) != MOUSE_PIPE_DATA)
		m->counts.malformed++;
	else if (le32_get(h.type) == MOUSE_REQUEST)
		on_request(m, payload + sizeof h, size - (u32)sizeof h);
	else if (le32_get(h.type) == MOUSE_DEVICE_ACK && m->state == MOUSE_ASKED)
		m->state = MOUSE_READY;
	else
		m->counts.unknown++;
}

/* ---- the channel ----------------------------------------------------------------------------- */

static int on_open(void *owner, struct vmbus_channel *vmbus)
{
	struct mouse *m = owner;

	m->vmbus = vmbus;
	m->state = MOUSE_OPEN;
	return 0;
}

static void on_ready(void *owner, struct vmbus_channel *vmbus)
{
	struct mouse *m = owner;
	struct vmbus_packet packet;
	u8 bytes[MAX_PACKET];

	if (m->waits && !m->paused)
		report(m);
	for (unsigned n = 0; n < PACKETS_A_ROUND; n++) {
		if (vmbus_channel_read(vmbus, bytes, sizeof bytes, &packet) != 1)
			return;
		on_packet(m, &packet, bytes);
	}
	vmbus_channel_pause(vmbus);
	vmbus_channel_again(vmbus);
}

static void on_close(void *owner, struct vmbus_channel *vmbus)
{
	struct mouse *m = owner;

	m->vmbus = NULL;
	m->state = MOUSE_CLOSED;
	m->waits = false;
	m->event = (struct mouse_event){ 0 };
	vmbus_channel_closed(vmbus);
}

static const struct vmbus_device_ops device_ops = {
	.name = "mouse",
	.open = on_open,
	.ready = on_ready,
	.close = on_close,
};

/* ---- life ------------------------------------------------------------------------------------ */

int mouse_init(struct mouse *m, struct vmbus_server *server)
{
	const struct vmbus_offer offer = {
		.interface = MOUSE_GUID_CLASS,
		.instance = MOUSE_GUID_INSTANCE,
		.flags = VMBUS_OFFER_ENUMERATE,
	};

	_Static_assert(sizeof report_descriptor > 14, "Linux looks at its 15th byte");
	*m = (struct mouse){ .server = server };
	return vmbus_server_add(server, &offer, &device_ops, m, &m->relid);
}

void mouse_pause(struct mouse *m)
{
	m->paused = true;
}

void mouse_resume(struct mouse *m)
{
	m->paused = false;
	if (m->vmbus && m->waits)
		vmbus_channel_again(m->vmbus);
}

/* ---- state ----------------------------------------------------------------------------------- */

enum { STATE_STATE = 1, STATE_WAITS, STATE_X, STATE_Y, STATE_BUTTONS, STATE_WHEEL };

void mouse_save(const struct mouse *m, struct state_writer *w)
{
	state_begin(w, "mouse", 1);
	state_number(w, STATE_STATE, m->state);
	state_number(w, STATE_WAITS, m->waits);
	state_number(w, STATE_X, m->event.x);
	state_number(w, STATE_Y, m->event.y);
	state_number(w, STATE_BUTTONS, m->event.buttons);
	state_number(w, STATE_WHEEL, (u16)m->event.wheel);
	state_end(w);
}

static int restore_record(struct mouse *m, struct state_record *record)
{
	u64 state = MOUSE_CLOSED, waits = 0, x = 0, y = 0, buttons = 0, wheel = 0;
	struct state_field f;
	int r;

	while ((r = state_next_field(record, &f)) == 1) {
		u64 *const field[] = {
			[STATE_STATE] = &state,
			[STATE_WAITS] = &waits,
			[STATE_X] = &x,
			[STATE_Y] = &y,
			[STATE_BUTTONS] = &buttons,
			[STATE_WHEEL] = &wheel,
		};

		if (f.id < ARRAY_COUNT(field) && field[f.id])
			*field[f.id] = f.number;
	}
	/* Open is what the VMBus says is open. */
	if (r < 0 || state > MOUSE_READY ||
	    (state == MOUSE_CLOSED) != (m->vmbus == NULL) ||
	    waits > (state == MOUSE_READY) || x > MOUSE_MOST || y > MOUSE_MOST ||
	    (buttons & ~(u64)MOUSE_BUTTONS))
		return -EPROTO;
	m->state = (enum mouse_state)state;
	m->waits = waits;
	m->event = (struct mouse_event){ (u16)x, (u16)y, (u8)buttons, (s16)wheel };
	return 0;
}

int mouse_restore(struct mouse *m, const u8 *bytes, size_t size)
{
	struct state_record record;
	int r;

	while ((r = state_next_record(&bytes, &size, &record)) == 1)
		if (strcmp(record.name, "mouse") == 0)
			return restore_record(m, &record);
	return r < 0 ? r : -EPROTO;
}

void mouse_inspect(const struct mouse *m, struct inspect *out)
{
	static const char *const states[] = { "closed", "open", "asked", "ready" };

	inspect_words(out, "mouse", "state", "%s", states[m->state]);
	inspect_number(out, "mouse", "channel", m->relid);
	inspect_words(out, "mouse", "place", "%u,%u", m->event.x, m->event.y);
	inspect_number(out, "mouse", "buttons", m->event.buttons);
	inspect_number(out, "mouse", "reports", m->counts.reports);
	inspect_number(out, "mouse", "merged", m->counts.merged);
	inspect_number(out, "mouse", "malformed", m->counts.malformed);
	inspect_number(out, "mouse", "unknown", m->counts.unknown);
	inspect_number(out, "mouse", "dropped", m->counts.dropped);
}
