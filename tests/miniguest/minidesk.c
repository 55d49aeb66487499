/* SPDX-License-Identifier: Apache-2.0 */
/* Keyboard, mouse and screen of the mini-guest; see minidesk.h. */
#include "miniguest/minidesk.h"

#include <errno.h>

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void on_wake(void *owner) {}

static int map(void *owner, gpa_t gpa)
{
	struct minidesk *m = owner;

	if (gpa == m->refused)
		return -EEXIST;
	m->mapped = gpa;
	m->maps++;
	return 0;
}

static void on_changed(void *owner)
{
	struct minidesk *m = owner;

	m->changes++;
}

static void new_devices(struct minidesk *m)
{
	const struct keyboard_config keyboard = { .server = m->mini->server,
						  .clock = &m->clock.clock,
						  .wake = on_wake,
						  .owner = m };
	const struct video_config video = { .server = m->mini->server,
					    .gm = m->mini->gm,
					    .vram = m->vram,
					    .vram_size = MINIDESK_VRAM,
					    .map = map,
					    .changed = on_changed,
					    .owner = m };

	m->mapped = VIDEO_NOWHERE;
	require(keyboard_init(&m->keyboard, &keyboard) == 0);
	require(mouse_init(&m->mouse, m->mini->server) == 0);
	require(video_init(&m->video, &video) == 0);
}

struct minidesk *minidesk_new(void)
{
	struct minidesk *m = calloc(1, sizeof *m);

	require(m != NULL);
	m->mini = mini_new();
	manual_clock_init(&m->clock, 1000 * NS_PER_SEC, 1800000000ll * (s64)NS_PER_SEC);
	m->vram = calloc(1, MINIDESK_VRAM);
	require(m->vram != NULL);
	m->refused = 0xfee00000;
	new_devices(m);
	return m;
}

static void on_closed(void *owner)
{
	*(bool *)owner = true;
}

static void done_devices(struct minidesk *m)
{
	keyboard_done(&m->keyboard);
	video_done(&m->video);
}

void minidesk_free(struct minidesk *m)
{
	bool closed = false;

	if (!m)
		return;
	vmbus_server_close_all(m->mini->server, on_closed, &closed);
	require(closed);
	done_devices(m);
	mini_free(m->mini);
	free(m->vram);
	free(m);
}

bool minidesk_start(struct minidesk *m)
{
	struct vmbus_offer_message offer[DESK_DEVICES];

	if (!mini_connect(m->mini, VMBUS_5_3))
		return false;
	for (unsigned k = 0; k < DESK_DEVICES; k++)
		if (!mini_take_offer(m->mini, &offer[k]))
			return false;
	mini_forget(m->mini);
	for (unsigned k = 0; k < DESK_DEVICES; k++)
		if (!mini_open(m->mini, le32_get(offer[k].relid), 4, 4, &m->channel[k]))
			return false;
	return true;
}

bool minidesk_take(struct minidesk *m, enum minidesk_device which)
{
	u8 bytes[16 + sizeof m->packet];
	u32 size = mini_receive(&m->channel[which], bytes, sizeof bytes);

	if (size < 16 || size > sizeof bytes)
		return false;
	memcpy(&m->packet_type, bytes, sizeof m->packet_type);
	m->packet_size = size - 16;
	memcpy(m->packet, bytes + 16, m->packet_size);
	return true;
}

bool minidesk_say(struct minidesk *m, enum minidesk_device which, const void *payload,
		  u32 size, bool completion)
{
	return mini_send(&m->channel[which], VMBUS_PACKET_INBAND,
			 completion ? VMBUS_PACKET_WANTS_COMPLETION : 0, ++m->transaction,
			 payload, size, 16);
}

/* ---- keyboard -------------------------------------------------------------------------------- */

bool minidesk_start_keyboard(struct minidesk *m)
{
	const struct keyboard_request request = { le32_of(KEYBOARD_REQUEST),
						  le32_of(KEYBOARD_VERSION) };
	struct keyboard_response response;

	if (!minidesk_say(m, DESK_KEYBOARD, &request, sizeof request, true) ||
	    !minidesk_take(m, DESK_KEYBOARD) ||
	    m->packet_type != VMBUS_PACKET_COMPLETION ||
	    !minidesk_take(m, DESK_KEYBOARD) || m->packet_size < sizeof response)
		return false;
	memcpy(&response, m->packet, sizeof response);
	return le32_get(response.type) == KEYBOARD_RESPONSE &&
	       le32_get(response.status) == KEYBOARD_ACCEPTED;
}

/* ---- mouse ----------------------------------------------------------------------------------- */

static bool say_mouse(struct minidesk *m, enum mouse_message type, const void *body,
		      u32 size)
{
	u8 bytes[256];
	const struct mouse_header h = { le32_of(MOUSE_PIPE_DATA), le32_of(8 + size),
					le32_of(type), le32_of(size) };

	memcpy(bytes, &h, sizeof h);
	memcpy(bytes + sizeof h, body, size);
	return minidesk_say(m, DESK_MOUSE, bytes, (u32)sizeof h + size, true);
}

/* Skips a completion. */
static bool take_mouse(struct minidesk *m, enum mouse_message type)
{
	struct mouse_header h;

	do {
		if (!minidesk_take(m, DESK_MOUSE))
			return false;
	} while (m->packet_type == VMBUS_PACKET_COMPLETION);
	memcpy(&h, m->packet, sizeof h);
	return m->packet_size >= sizeof h && le32_get(h.type) == (u32)type;
}

bool minidesk_start_mouse(struct minidesk *m)
{
	const struct mouse_request request = { le32_of(MOUSE_VERSION) };
	const u8 ack = 0;

	return say_mouse(m, MOUSE_REQUEST, &request, sizeof request) &&
	       take_mouse(m, MOUSE_RESPONSE) &&
	       m->packet[sizeof(struct mouse_header) + 4] == 1 &&
	       take_mouse(m, MOUSE_DEVICE) &&
	       say_mouse(m, MOUSE_DEVICE_ACK, &ack, sizeof ack) &&
	       minidesk_take(m, DESK_MOUSE) && m->packet_type == VMBUS_PACKET_COMPLETION;
}

/* ---- video ----------------------------------------------------------------------------------- */

bool minidesk_say_video(struct minidesk *m, enum video_message type, const void *body,
			u32 size)
{
	u8 bytes[8192];
	const struct video_header h = { le32_of(VIDEO_PIPE_DATA), le32_of(8 + size),
					le32_of(type), le32_of(8 + size) };

	memcpy(bytes, &h, sizeof h);
	memcpy(bytes + sizeof h, body, size);
	return minidesk_say(m, DESK_VIDEO, bytes, (u32)sizeof h + size, false);
}

static bool take_video(struct minidesk *m, enum video_message type)
{
	struct video_header h;

	if (!minidesk_take(m, DESK_VIDEO))
		return false;
	memcpy(&h, m->packet, sizeof h);
	return m->packet_size >= sizeof h && le32_get(h.type) == (u32)type;
}

bool minidesk_start_video(struct minidesk *m, gpa_t gpa)
{
	const struct video_version_request version = { le32_of(VIDEO_3_5) };
	const struct video_vram_location location = { .context = le64_of(gpa),
						      .given = 1,
						      .gpa = le64_of(gpa) };
	struct video_ack ack;

	if (!minidesk_say_video(m, VIDEO_VERSION_REQUEST, &version, sizeof version) ||
	    !take_video(m, VIDEO_VERSION_RESPONSE) ||
	    m->packet[sizeof(struct video_header) + 4] != 1 ||
	    !minidesk_say_video(m, VIDEO_VRAM_LOCATION, &location, sizeof location) ||
	    !take_video(m, VIDEO_VRAM_LOCATION_ACK))
		return false;
	memcpy(&ack, m->packet + sizeof(struct video_header), sizeof ack);
	return le64_get(ack.context) == gpa;
}

bool minidesk_situation(struct minidesk *m, u32 width, u32 height, u32 pitch, u32 offset,
			u8 depth)
{
	const struct video_situation situation = {
		.context = le64_of(77),
		.outputs = 1,
		.output = { { .active = 1,
			      .offset = le32_of(offset),
			      .depth = depth,
			      .width = le32_of(width),
			      .height = le32_of(height),
			      .pitch = le32_of(pitch) } },
	};

	return minidesk_say_video(m, VIDEO_SITUATION, &situation, sizeof situation) &&
	       take_video(m, VIDEO_SITUATION_ACK);
}

/* ---- time, other hosts ----------------------------------------------------------------------- */

void minidesk_advance(struct minidesk *m, u64 ns)
{
	u64 end = m->clock.monotonic + ns, when;

	while ((when = keyboard_when(&m->keyboard)) <= end) {
		if (when > m->clock.monotonic)
			manual_clock_advance(&m->clock, when - m->clock.monotonic);
		keyboard_due(&m->keyboard);
	}
	manual_clock_advance(&m->clock, end - m->clock.monotonic);
}

void minidesk_save(struct minidesk *m, struct state_writer *w)
{
	bool rests = false;

	keyboard_pause(&m->keyboard);
	mouse_pause(&m->mouse);
	vmbus_server_pause(m->mini->server, on_closed, &rests);
	require(rests && vmbus_server_save(m->mini->server, w) == 0);
	keyboard_save(&m->keyboard, w);
	mouse_save(&m->mouse, w);
	video_save(&m->video, w);
	require(!w->failed);
}

bool minidesk_restore(struct minidesk *m, const struct state_writer *w)
{
	int r;

	done_devices(m);
	mini_move(m->mini);
	new_devices(m);
	keyboard_pause(&m->keyboard);
	mouse_pause(&m->mouse);
	r = vmbus_server_restore(m->mini->server, w->bytes, w->used);
	if (r == 0)
		r = keyboard_restore(&m->keyboard, w->bytes, w->used);
	if (r == 0)
		r = mouse_restore(&m->mouse, w->bytes, w->used);
	if (r == 0)
		r = video_restore(&m->video, w->bytes, w->used);
	keyboard_resume(&m->keyboard);
	mouse_resume(&m->mouse);
	return r == 0;
}

bool minidesk_move(struct minidesk *m)
{
	struct state_writer w = { 0 };
	bool ok;

	minidesk_save(m, &w);
	ok = minidesk_restore(m, &w);
	free(w.bytes);
	return ok;
}
