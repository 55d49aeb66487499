/* SPDX-License-Identifier: Apache-2.0 */
/* Synthetic video; see video.h. In the order in which a guest goes through it. */
#include "vsp/video.h"

#include <errno.h>

#include "base/checked.h"
#include "vsp/edid.h"
#include "wall/guest_memory.h"

/* Room for a pointer's shape, the longest message. */
#define MAX_PACKET (64u << 10)
#define PACKETS_A_ROUND 32

/* Resolutions that are offered, where VRAM has room for them; the preferred one is 1024x768. */
static const struct {
	u16 width, height;
} resolutions[] = {
	{ 640, 480 },	{ 800, 600 },	{ 1024, 768 },	{ 1152, 864 },	{ 1280, 720 },
	{ 1280, 800 },	{ 1280, 1024 }, { 1360, 768 },	{ 1440, 900 },	{ 1600, 900 },
	{ 1600, 1200 }, { 1680, 1050 }, { 1920, 1080 }, { 1920, 1200 },
};
#define PREFERRED 2
_Static_assert(ARRAY_COUNT(resolutions) <= VIDEO_MAX_RESOLUTIONS, "they fit a message");

static void on_changed(struct video *v)
{
	if (v->config.changed)
		v->config.changed(v->config.owner);
}

/* ---- where VRAM lies ------------------------------------------------------------------------- */

/* The guest's choice, else the BAR's. */
static gpa_t wanted_place(const struct video *v)
{
	if (v->place == VIDEO_NOWHERE)
		return v->bar;
	return v->in_ram ? VIDEO_NOWHERE : v->place;
}

static int map(struct video *v)
{
	gpa_t gpa = wanted_place(v);
	int r = 0;

	if (gpa == v->mapped)
		return 0;
	v->counts.maps++;
	if (gpa != VIDEO_NOWHERE)
		r = v->config.map(v->config.owner, gpa);
	if (r < 0 || gpa == VIDEO_NOWHERE) {
		(void)v->config.map(v->config.owner, VIDEO_NOWHERE);
		v->mapped = VIDEO_NOWHERE;
	} else {
		v->mapped = gpa;
	}
	return r;
}

void video_set_bar(struct video *v, u32 address)
{
	v->bar = address ? address : VIDEO_NOWHERE;
	/* A BAR over RAM or a chip of ours answers nowhere. */
	if (map(v) < 0)
		v->counts.refused++;
}

static void hide(struct video *v)
{
	bool showed = v->shows;

	v->shows = false;
	v->dirt = (struct video_area){ 0 };
	v->pointer.visible = false;
	if (showed)
		on_changed(v);
}

/* The guest's choice is forgotten. */
static void forget(struct video *v)
{
	hide(v);
	v->place = VIDEO_NOWHERE;
	v->in_ram = false;
	if (map(v) < 0)
		v->counts.refused++;
}

/* ---- answers --------------------------------------------------------------------------------- */

static void send(struct video *v, enum video_message type, const void *body, u32 size)
{
	u8 bytes[sizeof(struct video_header) + sizeof(struct video_resolutions_response)];
	const struct video_header h = {
		.pipe = le32_of(VIDEO_PIPE_DATA),
		.pipe_size = le32_of(8 + size),
		.type = le32_of(type),
		.size = le32_of(8 + size),
	};

	memcpy(bytes, &h, sizeof h);
	memcpy(bytes + sizeof h, body, size);
	/* Who asks and reads no answers gets none. */
	if (vmbus_channel_send(v->vmbus, VMBUS_PACKET_INBAND, 0, 0, bytes,
			       (u32)sizeof h + size) < 0)
		v->counts.dropped++;
}

static void send_features(struct video *v)
{
	const struct video_feature_change features = {
		.dirt = v->watched,
		.position = v->watched,
		.shape = v->watched,
		.situation = 1,
	};

	send(v, VIDEO_FEATURE_CHANGE, &features, sizeof features);
}

/* ---- messages -------------------------------------------------------------------------------- */

/* A body's copy, of its whole size; false: it is too short. */
static bool take(struct video *v, const u8 *body, u32 size, void *ret_body, u32 wanted)
{
	if (size < wanted) {
		v->counts.malformed++;
		return false;
	}
	memcpy(ret_body, body, wanted);
	return true;
}

static void on_version(struct video *v, const u8 *body, u32 size)
{
	struct video_version_request request;
	struct video_version_response response = { .outputs = 1 };
	u32 version;

	if (!take(v, body, size, &request, sizeof request))
		return;
	version = le32_get(request.version);
	response.version = request.version;
	response.accepted = version == VIDEO_3_2 || version == VIDEO_3_5;
	if (response.accepted) {
		v->version = version;
		if (v->state == VIDEO_OPEN)
			v->state = VIDEO_AGREED;
	}
	send(v, VIDEO_VERSION_RESPONSE, &response, sizeof response);
}

static bool fits(const struct video *v, u32 width, u32 height)
{
	return (u64)width * height * 4 <= v->config.vram_size;
}

static void on_resolutions(struct video *v, const u8 *body, u32 size)
{
	struct video_resolutions_request request;
	struct video_resolutions_response response = { .standard = 1 };

	if (!take(v, body, size, &request, sizeof request))
		return;
	for (unsigned k = 0; k < ARRAY_COUNT(resolutions); k++) {
		u32 width = resolutions[k].width, height = resolutions[k].height;

		if (!fits(v, width, height) || response.count >= request.most)
			continue;
		if (k == PREFERRED)
			response.preferred = response.count;
		response.list[response.count++] =
			(struct video_resolution){ le16_of((u16)width),
						   le16_of((u16)height) };
	}
	edid_build(resolutions[PREFERRED].width, resolutions[PREFERRED].height,
		   response.edid);
	send(v, VIDEO_RESOLUTIONS_RESPONSE, &response, sizeof response);
}

/* Does a frame buffer at that address fit into RAM, whole? */
static bool is_in_ram(const struct video *v, gpa_t gpa)
{
	u64 offset;

	return gm_ram_offset(gm_layout(v->config.gm), gpa, v->config.vram_size, &offset);
}

static void on_location(struct video *v, const u8 *body, u32 size)
{
	struct video_vram_location location;
	struct video_ack ack;
	int r = 0;

	if (v->state < VIDEO_AGREED) {
		v->counts.malformed++;
		return;
	}
	if (!take(v, body, size, &location, sizeof location))
		return;
	ack.context = location.context;
	hide(v);
	v->place = location.given ? le64_get(location.gpa) : VIDEO_NOWHERE;
	v->in_ram = location.given && is_in_ram(v, v->place);
	v->state = VIDEO_PLACED;
	r = map(v);
	if (r < 0) {
		/* Linux takes anything but its own context for a refusal. */
		v->counts.refused++;
		v->state = VIDEO_AGREED;
		forget(v);
		ack.context = le64_of(~le64_get(location.context));
	}
	send(v, VIDEO_VRAM_LOCATION_ACK, &ack, sizeof ack);
}

/* Every pixel of it lies inside VRAM. */
static bool mode_is_good(const struct video *v, const struct video_mode *m)
{
	u64 line = (u64)m->width * (m->depth / 8);

	return (m->depth == 32 || m->depth == 16) && m->width > 0 &&
	       m->width <= VIDEO_MAX_WIDTH && m->height > 0 &&
	       m->height <= VIDEO_MAX_HEIGHT && line <= m->pitch &&
	       m->pitch <= v->config.vram_size &&
	       range_inside(m->offset, (u64)m->pitch * (m->height - 1) + line,
			    v->config.vram_size);
}

static void show(struct video *v, const struct video_output *output)
{
	const struct video_mode mode = {
		.width = le32_get(output->width),
		.height = le32_get(output->height),
		.pitch = le32_get(output->pitch),
		.offset = le32_get(output->offset),
		.depth = output->depth,
	};

	hide(v);
	if (!output->active)
		return;
	if (!mode_is_good(v, &mode)) {
		v->counts.refused++;
		return;
	}
	v->mode = mode;
	v->shows = true;
	v->dirt = (struct video_area){ 0, 0, mode.width, mode.height };
	on_changed(v);
}

static void on_situation(struct video *v, const u8 *body, u32 size)
{
	struct video_situation situation;

	if (!take(v, body, size, &situation, sizeof situation))
		return;
	if (v->state < VIDEO_PLACED || situation.outputs == 0) {
		v->counts.malformed++;
		return;
	}
	v->counts.situations++;
	show(v, &situation.output[0]);
	send(v, VIDEO_SITUATION_ACK, &(struct video_ack){ .context = situation.context },
	     sizeof(struct video_ack));
}

static void on_position(struct video *v, const u8 *body, u32 size)
{
	struct video_pointer_position p;

	if (!take(v, body, size, &p, sizeof p))
		return;
	v->pointer.visible = p.visible;
	v->pointer.x = (s32)le32_get(p.x);
	v->pointer.y = (s32)le32_get(p.y);
}

/* Its picture is looked at by nobody yet, but that its numbers are right. */
static void on_shape(struct video *v, const u8 *body, u32 size)
{
	struct video_pointer_shape shape;
	u32 width, height;
	u64 pixels;

	if (!take(v, body, size, &shape, sizeof shape))
		return;
	width = le32_get(shape.width);
	height = le32_get(shape.height);
	/* Bytes of them: 32 bits each, or two masks of a bit each. */
	pixels = (u64)width * height;
	pixels = shape.argb ? pixels * 4 : pixels / 4;
	if (shape.part != VIDEO_POINTER_WHOLE || width > VIDEO_POINTER_MOST ||
	    height > VIDEO_POINTER_MOST || pixels > size - sizeof shape) {
		v->counts.unknown++;
		return;
	}
	v->pointer.width = width;
	v->pointer.height = height;
	v->pointer.hot_x = le32_get(shape.hot_x);
	v->pointer.hot_y = le32_get(shape.hot_y);
}

/* A coordinate of the guest's on the screen. */
static u32 clip(le32 coordinate, u32 most)
{
	s32 c = (s32)le32_get(coordinate);

	return c < 0 ? 0 : (u32)min_u64((u32)c, most);
}

static void add_dirt(struct video *v, const struct video_rectangle *r)
{
	u32 x1 = clip(r->x1, v->mode.width), x2 = clip(r->x2, v->mode.width);
	u32 y1 = clip(r->y1, v->mode.height), y2 = clip(r->y2, v->mode.height);
	struct video_area *d = &v->dirt;

	if (x1 >= x2 || y1 >= y2)
		return;
	if (d->width > 0) {
		x1 = (u32)min_u64(x1, d->x);
		y1 = (u32)min_u64(y1, d->y);
		x2 = (u32)max_u64(x2, d->x + d->width);
		y2 = (u32)max_u64(y2, d->y + d->height);
	}
	*d = (struct video_area){ x1, y1, x2 - x1, y2 - y1 };
}

static void on_dirt(struct video *v, const u8 *body, u32 size)
{
	struct video_rectangle rectangle;
	struct video_dirt dirt;

	if (!take(v, body, size, &dirt, sizeof dirt))
		return;
	if (size - sizeof dirt < dirt.count * sizeof rectangle) {
		v->counts.malformed++;
		return;
	}
	if (!v->shows)
		return;
	v->counts.dirt += dirt.count;
	for (u32 k = 0; k < dirt.count; k++) {
		memcpy(&rectangle, body + sizeof dirt + k * sizeof rectangle,
		       sizeof rectangle);
		add_dirt(v, &rectangle);
	}
	on_changed(v);
}

/* What a guest sends, by its number. */
static void (*const handlers[])(struct video *v, const u8 *body, u32 size) = {
	[VIDEO_VERSION_REQUEST] = on_version,
	[VIDEO_VRAM_LOCATION] = on_location,
	[VIDEO_SITUATION] = on_situation,
	[VIDEO_POINTER_POSITION] = on_position,
	[VIDEO_POINTER_SHAPE] = on_shape,
	[VIDEO_DIRT] = on_dirt,
	[VIDEO_RESOLUTIONS_REQUEST] = on_resolutions,
};

static void on_packet(struct video *v, const struct vmbus_packet *packet)
{
	const u8 *payload = v->packet + packet->header_size;
	u32 size = packet->size - packet->header_size, type, said;
	struct video_header h;

	if (packet->type == VMBUS_PACKET_COMPLETION)
		return;
	if (packet->type != VMBUS_PACKET_INBAND || size < sizeof h) {
		v->counts.malformed++;
		return;
	}
	memcpy(&h, payload, sizeof h);
	type = le32_get(h.type);
	said = le32_get(h.size);
	if (le32_get(h.pipe) != VIDEO_PIPE_DATA || said < 8 ||
	    said - 8 > size - sizeof h) {
		v->counts.malformed++;
		return;
	}
	if (type < ARRAY_COUNT(handlers) && handlers[type])
		handlers[type](v, payload + sizeof h, said - 8);
	else
		v->counts.unknown++;
}

/* ---- the channel ----------------------------------------------------------------------------- */

static int on_open(void *owner, struct vmbus_channel *vmbus)
{
	struct video *v = owner;

	v->vmbus = vmbus;
	v->state = VIDEO_OPEN;
	return 0;
}

static void on_ready(void *owner, struct vmbus_channel *vmbus)
{
	struct video *v = owner;
	struct vmbus_packet packet;

	for (unsigned k = 0; k < PACKETS_A_ROUND; k++) {
		if (vmbus_channel_read(vmbus, v->packet, MAX_PACKET, &packet) != 1)
			return;
		on_packet(v, &packet);
	}
	vmbus_channel_pause(vmbus);
	vmbus_channel_again(vmbus);
}

static void on_close(void *owner, struct vmbus_channel *vmbus)
{
	struct video *v = owner;

	v->vmbus = NULL;
	v->state = VIDEO_CLOSED;
	forget(v);
	vmbus_channel_closed(vmbus);
}

static const struct vmbus_device_ops device_ops = {
	.name = "video",
	.open = on_open,
	.ready = on_ready,
	.close = on_close,
};

/* ---- life ------------------------------------------------------------------------------------ */

int video_init(struct video *v, const struct video_config *config)
{
	const struct vmbus_offer offer = {
		.interface = VIDEO_GUID_CLASS,
		.instance = VIDEO_GUID_INSTANCE,
		.flags = VMBUS_OFFER_ENUMERATE,
		.mmio_mib = (u16)(config->vram_size >> 20),
	};
	int r;

	*v = (struct video){
		.config = *config,
		.bar = VIDEO_NOWHERE,
		.place = VIDEO_NOWHERE,
		.mapped = VIDEO_NOWHERE,
		.packet = malloc(MAX_PACKET),
	};
	if (!v->packet)
		return -ENOMEM;
	r = vmbus_server_add(config->server, &offer, &device_ops, v, &v->relid);
	if (r < 0)
		video_done(v);
	return r;
}

void video_done(struct video *v)
{
	free(take_ptr(v->packet));
}

void video_reset(struct video *v)
{
	forget(v);
}

/* ---- for who shows it ------------------------------------------------------------------------ */

const struct video_mode *video_mode(const struct video *v)
{
	return v->shows ? &v->mode : NULL;
}

static u32 widen(u16 p)
{
	u32 red = p >> 11, green = p >> 5 & 63, blue = p & 31;

	return (red << 3 | red >> 2) << 16 | (green << 2 | green >> 4) << 8 |
	       (blue << 3 | blue >> 2);
}

int video_line(const struct video *v, u32 y, u32 *ret_pixels)
{
	const struct video_mode *m = &v->mode;
	u32 size = m->width * (m->depth / 8);
	u64 at = (u64)m->offset + (u64)m->pitch * y;
	u16 *narrow;
	int r = 0;

	if (!v->shows)
		return -ENODEV;
	if (y >= m->height)
		return -EINVAL;
	/* 16 bits come into the upper half, so that each is read before its place is written. */
	narrow = (u16 *)ret_pixels + (m->depth == 16 ? m->width : 0);
	if (v->in_ram)
		r = gm_read(v->config.gm, v->place + at, narrow, size);
	else
		memcpy(narrow, v->config.vram + at, size);
	if (m->depth == 16)
		for (u32 x = 0; x < m->width; x++)
			ret_pixels[x] = widen(narrow[x]);
	else
		for (u32 x = 0; x < m->width; x++)
			ret_pixels[x] &= 0xffffff;
	return r;
}

void video_watch(struct video *v, bool on)
{
	if (v->watched == on)
		return;
	v->watched = on;
	if (v->state == VIDEO_PLACED)
		send_features(v);
}

bool video_take_dirt(struct video *v, struct video_area *ret_area)
{
	if (v->dirt.width == 0)
		return false;
	*ret_area = v->dirt;
	v->dirt = (struct video_area){ 0 };
	return true;
}

/* ---- state ----------------------------------------------------------------------------------- */

enum {
	STATE_STATE = 1,
	STATE_VERSION,
	STATE_PLACE,
	STATE_OUTPUT, /* a struct video_output; none: it shows nothing */
};

void video_save(const struct video *v, struct state_writer *w)
{
	const struct video_output output = {
		.active = 1,
		.offset = le32_of(v->mode.offset),
		.depth = (u8)v->mode.depth,
		.width = le32_of(v->mode.width),
		.height = le32_of(v->mode.height),
		.pitch = le32_of(v->mode.pitch),
	};

	state_begin(w, "video", 1);
	state_number(w, STATE_STATE, v->state);
	state_number(w, STATE_VERSION, v->version);
	state_number(w, STATE_PLACE, v->place);
	if (v->shows)
		state_bytes(w, STATE_OUTPUT, &output, sizeof output);
	state_end(w);
}

static int restore_record(struct video *v, struct state_record *record)
{
	struct video_output output = { 0 };
	u64 state = VIDEO_CLOSED;
	struct state_field f;
	int r;

	while ((r = state_next_field(record, &f)) == 1) {
		if (f.id == STATE_STATE)
			state = f.number;
		else if (f.id == STATE_VERSION)
			v->version = (u32)f.number;
		else if (f.id == STATE_PLACE)
			v->place = f.number;
		else if (f.id == STATE_OUTPUT && f.size == sizeof output)
			memcpy(&output, f.bytes, sizeof output);
	}
	/* Open is what the VMBus says is open. */
	if (r < 0 || state > VIDEO_PLACED ||
	    (state == VIDEO_CLOSED) != (v->vmbus == NULL) ||
	    (state < VIDEO_PLACED && v->place != VIDEO_NOWHERE))
		return -EPROTO;
	v->state = (enum video_state)state;
	v->in_ram = v->place != VIDEO_NOWHERE && is_in_ram(v, v->place);
	if (map(v) < 0)
		return -EPROTO;
	if (v->state == VIDEO_PLACED)
		show(v, &output);
	return output.active && !v->shows ? -EPROTO : 0;
}

int video_restore(struct video *v, const u8 *bytes, size_t size)
{
	struct state_record record;
	int r;

	while ((r = state_next_record(&bytes, &size, &record)) == 1)
		if (strcmp(record.name, "video") == 0)
			return restore_record(v, &record);
	return r < 0 ? r : -EPROTO;
}

static void inspect_place(struct inspect *out, const char *name, gpa_t gpa)
{
	if (gpa == VIDEO_NOWHERE)
		inspect_words(out, "video", name, "nowhere");
	else
		inspect_words(out, "video", name, "0x%llx", (unsigned long long)gpa);
}

void video_inspect(const struct video *v, struct inspect *out)
{
	static const char *const states[] = { "closed", "open", "agreed", "placed" };

	inspect_words(out, "video", "state", "%s", states[v->state]);
	inspect_number(out, "video", "channel", v->relid);
	inspect_number(out, "video", "vram", v->config.vram_size);
	inspect_place(out, "vram_at", v->mapped);
	inspect_place(out, "frame_buffer", v->place);
	if (v->shows)
		inspect_words(out, "video", "screen", "%ux%u, %u bits, pitch %u",
			      v->mode.width, v->mode.height, v->mode.depth,
			      v->mode.pitch);
	else
		inspect_words(out, "video", "screen", "none");
	inspect_number(out, "video", "situations", v->counts.situations);
	inspect_number(out, "video", "rectangles", v->counts.dirt);
	inspect_number(out, "video", "maps", v->counts.maps);
	inspect_number(out, "video", "refused", v->counts.refused);
	inspect_number(out, "video", "malformed", v->counts.malformed);
	inspect_number(out, "video", "unknown", v->counts.unknown);
	inspect_number(out, "video", "dropped", v->counts.dropped);
}
