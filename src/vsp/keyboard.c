/* SPDX-License-Identifier: Apache-2.0 */
/* Synthetic keyboard; see keyboard.h. */
#include "vsp/keyboard.h"

#include <errno.h>

#define MAX_PACKET 256u
#define PACKETS_A_ROUND 32

static struct stroke *stroke_of(struct keyboard *k, u64 number)
{
	return &k->stroke[number % KEYBOARD_STROKES];
}

static u64 now(const struct keyboard *k)
{
	return k->config.clock->monotonic_ns(k->config.clock);
}

static void look_at(struct keyboard *k, u64 when_ns)
{
	k->next_ns = when_ns;
	k->config.wake(k->config.owner);
}

/* ---- who waits ------------------------------------------------------------------------------- */

/* Whose last stroke is up to that number is told what became of it. */
static void answer(struct keyboard *k, u64 last, int r, const struct err *err)
{
	while (k->asked && k->asked->last <= last) {
		struct keyboard_asked *a = k->asked;

		k->asked = a->next;
		a->done(a->owner, r, err);
		free(a);
	}
}

/* What waits is thrown away. */
static void give_up(struct keyboard *k, int code, const char *text)
{
	struct err err = { 0 };

	err_set(&err, code, "%s", text);
	err_fix(&err, "look at its screen: tabique vm screenshot");
	k->counts.lost += k->queued - k->sent;
	k->sent = k->queued;
	k->events = 0;
	look_at(k, UINT64_MAX);
	answer(k, UINT64_MAX, code, &err);
}

/* ---- strokes go out -------------------------------------------------------------------------- */

static bool is_held(const struct stroke *s)
{
	return s->count == 1 && (s->key[0] & (KEY_PRESSED | KEY_RELEASED));
}

static unsigned events_of(const struct stroke *s)
{
	return is_held(s) ? 1 : 2u * s->count;
}

/* The n-th event of a stroke: each key is pressed, then each is released, the last one first. */
static struct keyboard_event event_of(const struct stroke *s, unsigned n)
{
	bool release = is_held(s) ? s->key[0] & KEY_RELEASED : n >= s->count;
	u16 key = s->key[n < s->count ? n : 2 * s->count - 1 - n];
	u32 flags = (release ? KEYBOARD_BREAK : 0) | (key & KEY_E0 ? KEYBOARD_E0 : 0) |
		    (key & KEY_E1 ? KEYBOARD_E1 : 0);

	return (struct keyboard_event){
		.type = le32_of(KEYBOARD_EVENT),
		.make = le16_of(key & 0xff),
		.flags = le32_of(flags),
	};
}

/* True when all of it is out. */
static bool send_stroke(struct keyboard *k, const struct stroke *s)
{
	for (; k->events < events_of(s); k->events++) {
		struct keyboard_event e = event_of(s, k->events);

		if (vmbus_channel_send(k->vmbus, VMBUS_PACKET_INBAND, 0, 0, &e,
				       sizeof e) < 0)
			return false;
	}
	k->events = 0;
	return true;
}

void keyboard_due(struct keyboard *k)
{
	u64 time = now(k);

	if (k->paused || k->state != KEYBOARD_READY || time < k->next_ns)
		return;
	if (vmbus_channel_is_read(k->vmbus)) {
		k->read_ns = time;
		/* A stroke that is half out is not read before its end is. */
		answer(k, k->events ? k->sent - 1 : k->sent, 0, &(struct err){ 0 });
	} else if (time - k->read_ns >= KEYBOARD_PATIENCE_NS) {
		give_up(k, -ETIMEDOUT, "the guest does not read its keyboard");
		return;
	}
	if (k->read_ns == time && k->sent < k->queued &&
	    send_stroke(k, stroke_of(k, k->sent + 1)))
		k->sent++;
	/* The last one's answer needs another look. */
	look_at(k,
		k->sent < k->queued || k->asked ? time + KEYBOARD_PACE_NS : UINT64_MAX);
}

u64 keyboard_when(const struct keyboard *k)
{
	return k->paused || k->state != KEYBOARD_READY ? UINT64_MAX : k->next_ns;
}

static void refuse(keyboard_done_fn done, void *owner, int code, const char *text,
		   const char *fix)
{
	struct err err = { 0 };

	err_set(&err, code, "%s", text);
	err_fix(&err, "%s", fix);
	if (done)
		done(owner, code, &err);
}

/* At the end of the list of those who wait; false: no memory. */
static bool remember(struct keyboard *k, keyboard_done_fn done, void *owner)
{
	struct keyboard_asked **last = &k->asked;
	struct keyboard_asked *a;

	if (!done)
		return true;
	a = calloc(1, sizeof *a);
	if (!a)
		return false;
	*a = (struct keyboard_asked){ .last = k->queued, .done = done, .owner = owner };
	while (*last)
		last = &(*last)->next;
	*last = a;
	return true;
}

void keyboard_type(struct keyboard *k, const struct stroke *stroke, unsigned count,
		   keyboard_done_fn done, void *owner)
{
	bool idle = k->sent == k->queued && !k->asked;

	if (k->state != KEYBOARD_READY) {
		refuse(done, owner, -ENOTCONN,
		       "the guest has no driver for its keyboard (yet)",
		       "wait until it has come up; on Linux the module is "
		       "hyperv_keyboard");
		return;
	}
	if (k->paused) {
		refuse(done, owner, -EBUSY, "the guest stands",
		       "let it go on: tabique vm resume");
		return;
	}
	if (count > KEYBOARD_STROKES - (k->queued - k->sent)) {
		refuse(done, owner, -EBUSY, "the guest is still being typed at",
		       "try again when it has read that");
		return;
	}
	for (unsigned n = 0; n < count; n++)
		*stroke_of(k, ++k->queued) = stroke[n];
	if (!remember(k, done, owner)) {
		k->queued -= count;
		refuse(done, owner, -ENOMEM, err_words(-ENOMEM), "try again");
		return;
	}
	if (!idle)
		return;
	k->read_ns = now(k);
	look_at(k, k->read_ns);
}

void keyboard_hold(struct keyboard *k, u16 key, bool down)
{
	const struct stroke s = {
		.count = 1,
		.key = { (u16)(key | (down ? KEY_PRESSED : KEY_RELEASED)) },
	};

	keyboard_type(k, &s, 1, NULL, NULL);
}

/* ---- what the guest says --------------------------------------------------------------------- */

static void send(struct keyboard *k, u16 type, u64 transaction, const void *body,
		 u32 size)
{
	/* Who asks and reads no answers gets none. */
	if (vmbus_channel_send(k->vmbus, type, 0, transaction, body, size) < 0)
		k->counts.dropped++;
}

static void on_request(struct keyboard *k, const struct keyboard_request *request)
{
	bool ok = le32_get(request->version) == KEYBOARD_VERSION;
	const struct keyboard_response response = {
		.type = le32_of(KEYBOARD_RESPONSE),
		.status = le32_of(ok ? KEYBOARD_ACCEPTED : 0),
	};

	send(k, VMBUS_PACKET_INBAND, 0, &response, sizeof response);
	if (ok && k->state == KEYBOARD_OPEN)
		k->state = KEYBOARD_READY;
}

static void on_packet(struct keyboard *k, const struct vmbus_packet *packet,
		      const u8 *bytes)
{
	const u8 *payload = bytes + packet->header_size;
	u32 size = packet->size - packet->header_size;
	struct keyboard_request request;
	struct keyboard_leds leds;

	if (packet->type == VMBUS_PACKET_COMPLETION)
		return;
	/* Linux' driver waits for it as well as for the answer. */
	if (packet->flags & VMBUS_PACKET_WANTS_COMPLETION)
		send(k, VMBUS_PACKET_COMPLETION, packet->transaction, NULL, 0);
	if (packet->type != VMBUS_PACKET_INBAND || size < sizeof request) {
		k->counts.malformed++;
		return;
	}
	memcpy(&request, payload, sizeof request);
	if (le32_get(request.type) == KEYBOARD_REQUEST) {
		on_request(k, &request);
	} else if (le32_get(request.type) == KEYBOARD_LEDS) {
		memcpy(&leds, payload, sizeof leds);
		k->leds = le16_get(leds.leds);
		if (k->config.leds)
			k->config.leds(k->config.owner, k->leds);
	} else {
		k->counts.unknown++;
	}
}

/* ---- the channel ----------------------------------------------------------------------------- */

static int on_open(void *owner, struct vmbus_channel *vmbus)
{
	struct keyboard *k = owner;

	k->vmbus = vmbus;
	k->state = KEYBOARD_OPEN;
	return 0;
}

static void on_ready(void *owner, struct vmbus_channel *vmbus)
{
	struct keyboard *k = owner;
	struct vmbus_packet packet;
	u8 bytes[MAX_PACKET];

	for (unsigned n = 0; n < PACKETS_A_ROUND; n++) {
		if (vmbus_channel_read(vmbus, bytes, sizeof bytes, &packet) != 1)
			return;
		on_packet(k, &packet, bytes);
	}
	vmbus_channel_pause(vmbus);
	vmbus_channel_again(vmbus);
}

static void on_close(void *owner, struct vmbus_channel *vmbus)
{
	struct keyboard *k = owner;

	/* Ctrl-Alt-Del may have been the last that it read. */
	if (k->sent == k->queued && vmbus_channel_is_read(vmbus))
		answer(k, k->sent, 0, &(struct err){ 0 });
	k->vmbus = NULL;
	k->state = KEYBOARD_CLOSED;
	k->leds = 0;
	give_up(k, -ENOTCONN, "the guest has closed its keyboard");
	vmbus_channel_closed(vmbus);
}

static const struct vmbus_device_ops device_ops = {
	.name = "keyboard",
	.open = on_open,
	.ready = on_ready,
	.close = on_close,
};

/* ---- life ------------------------------------------------------------------------------------ */

int keyboard_init(struct keyboard *k, const struct keyboard_config *config)
{
	const struct vmbus_offer offer = {
		.interface = KEYBOARD_GUID_CLASS,
		.instance = KEYBOARD_GUID_INSTANCE,
		.flags = VMBUS_OFFER_ENUMERATE,
	};
	int r;

	*k = (struct keyboard){
		.config = *config,
		.stroke = calloc(KEYBOARD_STROKES, sizeof *k->stroke),
		.next_ns = UINT64_MAX,
	};
	if (!k->stroke)
		return -ENOMEM;
	r = vmbus_server_add(config->server, &offer, &device_ops, k, &k->relid);
	if (r < 0)
		keyboard_done(k);
	return r;
}

void keyboard_done(struct keyboard *k)
{
	while (k->asked) {
		struct keyboard_asked *a = k->asked;

		k->asked = a->next;
		free(a);
	}
	free(take_ptr(k->stroke));
}

void keyboard_pause(struct keyboard *k)
{
	k->paused = true;
	k->config.wake(k->config.owner);
}

/* Its time stood. */
void keyboard_resume(struct keyboard *k)
{
	k->paused = false;
	k->read_ns = now(k);
	if (k->sent < k->queued || k->asked)
		k->next_ns = k->read_ns;
	k->config.wake(k->config.owner);
}

/* ---- state ----------------------------------------------------------------------------------- */

enum { STATE_STATE = 1, STATE_LEDS, STATE_EVENTS, STATE_STROKE };

void keyboard_save(const struct keyboard *k, struct state_writer *w)
{
	state_begin(w, "keyb", 1);
	state_number(w, STATE_STATE, k->state);
	state_number(w, STATE_LEDS, k->leds);
	state_number(w, STATE_EVENTS, k->events);
	for (u64 n = k->sent + 1; n <= k->queued; n++) {
		const struct stroke *s = &k->stroke[n % KEYBOARD_STROKES];

		/* Host's and wire's order are one (x86). */
		state_bytes(w, STATE_STROKE, s->key, s->count * sizeof s->key[0]);
	}
	state_end(w);
}

static int restore_stroke(struct keyboard *k, const struct state_field *f)
{
	struct stroke s = { .count = (u8)(f->size / sizeof s.key[0]) };

	if (f->size == 0 || f->size > sizeof s.key || f->size % sizeof s.key[0] ||
	    k->queued - k->sent == KEYBOARD_STROKES)
		return -EPROTO;
	memcpy(s.key, f->bytes, f->size);
	*stroke_of(k, ++k->queued) = s;
	return 0;
}

static int restore_record(struct keyboard *k, struct state_record *record)
{
	u64 state = KEYBOARD_CLOSED, events = 0;
	struct state_field f;
	int r;

	while ((r = state_next_field(record, &f)) == 1) {
		if (f.id == STATE_STATE)
			state = f.number;
		else if (f.id == STATE_LEDS)
			k->leds = (u16)f.number;
		else if (f.id == STATE_EVENTS)
			events = f.number;
		else if (f.id == STATE_STROKE && restore_stroke(k, &f) < 0)
			return -EPROTO;
	}
	/* Open is what the VMBus says is open. */
	if (r < 0 || state > KEYBOARD_READY ||
	    (state == KEYBOARD_CLOSED) != (k->vmbus == NULL) ||
	    (state != KEYBOARD_READY && k->queued > k->sent) ||
	    (events > 0 && k->queued == k->sent) ||
	    (k->queued > k->sent && events >= events_of(stroke_of(k, k->sent + 1))))
		return -EPROTO;
	k->state = (enum keyboard_state)state;
	k->events = (unsigned)events;
	return 0;
}

int keyboard_restore(struct keyboard *k, const u8 *bytes, size_t size)
{
	struct state_record record;
	int r;

	while ((r = state_next_record(&bytes, &size, &record)) == 1)
		if (strcmp(record.name, "keyb") == 0)
			return restore_record(k, &record);
	return r < 0 ? r : -EPROTO;
}

void keyboard_inspect(const struct keyboard *k, struct inspect *out)
{
	static const char *const states[] = { "closed", "open", "ready" };

	inspect_words(out, "keyboard", "state", "%s", states[k->state]);
	inspect_number(out, "keyboard", "channel", k->relid);
	inspect_number(out, "keyboard", "leds", k->leds);
	inspect_number(out, "keyboard", "strokes", k->sent - k->counts.lost);
	inspect_number(out, "keyboard", "waiting", k->queued - k->sent);
	inspect_number(out, "keyboard", "lost", k->counts.lost);
	inspect_number(out, "keyboard", "malformed", k->counts.malformed);
	inspect_number(out, "keyboard", "unknown", k->counts.unknown);
	inspect_number(out, "keyboard", "dropped", k->counts.dropped);
}
