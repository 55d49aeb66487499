/* SPDX-License-Identifier: Apache-2.0 */
/* RFB clients on their sockets; see rfb_server.h. */
#include "console/rfb_server.h"

#include <errno.h>
#include <sys/socket.h>

#include "console/rfb_session.h"

#define LOOK_NS (NS_PER_SEC / RFB_RATE)
#define INPUT_SIZE 4096
#define INPUTS_A_ROUND 16
/* What is shown where there is no screen yet: black. */
#define NO_SCREEN_WIDTH 640u
#define NO_SCREEN_HEIGHT 480u

struct client {
	struct rfb_server *server;
	int fd;		 /* -1: the place is free */
	bool writing;	 /* waits for room in its socket */
	u64 deadline_ns; /* of the handshake; UINT64_MAX: it is over */
	struct loop_watch *watch;
	struct rfb_session session;
};

struct rfb_server {
	struct rfb_server_config config;
	struct rfb_frame frame;
	bool stale;    /* the source has something new */
	bool watched;  /* the source was told that somebody looks */
	bool unknown;  /* nobody looked until now: all of it may have changed */
	u64 looked_ns; /* when it was looked at last */
	u8 leds;
	struct loop_alarm alarm;
	struct client *client[RFB_CLIENTS];
	struct {
		u64 clients, refused, late, looks, updates, rectangles, bytes;
	} counts;
};

static void serve(struct rfb_server *s);

static u64 now(const struct rfb_server *s)
{
	return s->config.clock->monotonic_ns(s->config.clock);
}

/* ---- the picture ----------------------------------------------------------------------------- */

static void mark(struct rfb_server *s, u32 column, u32 row)
{
	for (unsigned k = 0; k < RFB_CLIENTS; k++)
		if (s->client[k])
			rfb_session_mark(&s->client[k]->session, column, row);
}

/* Tiles of a line that differ from the copy. */
static void take_line(struct rfb_server *s, const struct picture_area *area, u32 y,
		      const u32 *line)
{
	u32 *copy = s->frame.pixels + (size_t)y * s->frame.width;

	for (u32 x = area->x; x < area->x + area->width;) {
		u32 end = (u32)min_u64((x / RFB_TILE + 1) * RFB_TILE,
				       area->x + area->width);
		size_t size = (end - x) * sizeof *line;

		if (memcmp(copy + x, line + x, size) != 0) {
			memcpy(copy + x, line + x, size);
			mark(s, x / RFB_TILE, y / RFB_TILE);
		}
		x = end;
	}
}

/* Negative: no memory for a screen of that size; the one before stays. */
static int set_size(struct rfb_server *s, u32 width, u32 height)
{
	u32 *pixels = calloc((size_t)width * height, sizeof *pixels);

	if (!pixels)
		return -ENOMEM;
	free(s->frame.pixels);
	s->frame = (struct rfb_frame){ width, height, pixels };
	for (unsigned k = 0; k < RFB_CLIENTS; k++)
		if (s->client[k])
			rfb_session_mark_all(&s->client[k]->session);
	return 0;
}

static void look(struct rfb_server *s)
{
	u32 width = NO_SCREEN_WIDTH, height = NO_SCREEN_HEIGHT;
	struct picture_area area;
	u32 line[PICTURE_MOST];
	bool shows = s->config.source->size(s->config.owner, &width, &height);
	bool resized = width != s->frame.width || height != s->frame.height;
	bool whole = resized || s->unknown;

	s->stale = false;
	s->looked_ns = now(s);
	s->counts.looks++;
	if (resized && set_size(s, width, height) < 0)
		return;
	s->unknown = false;
	if (!s->config.source->dirt(s->config.owner, &area) && !whole && shows)
		return;
	if (whole || !shows)
		area = (struct picture_area){ 0, 0, width, height };
	area.width = (u32)min_u64(area.width, width - min_u64(area.x, width));
	area.height = (u32)min_u64(area.height, height - min_u64(area.y, height));
	memset(line, 0, sizeof line);
	for (u32 y = area.y; y < area.y + area.height; y++)
		if (!shows || s->config.source->line(s->config.owner, y, line) == 0)
			take_line(s, &area, y, line);
}

static bool somebody_waits(const struct rfb_server *s)
{
	for (unsigned k = 0; k < RFB_CLIENTS; k++)
		if (s->client[k] && rfb_session_waits(&s->client[k]->session))
			return true;
	return false;
}

/* ---- clients --------------------------------------------------------------------------------- */

static void drop(struct rfb_server *s, unsigned place)
{
	struct client *c = take_ptr(s->client[place]);

	s->counts.updates += c->session.counts.updates;
	s->counts.rectangles += c->session.counts.rectangles;
	loop_watch_remove(c->watch);
	close(c->fd);
	rfb_session_done(&c->session);
	free(c);
}

/* What is there to send goes out, as far as the socket takes it. False: the client is gone. */
static bool flush(struct client *c)
{
	const u8 *bytes;
	size_t size;

	while ((size = rfb_session_output(&c->session, &bytes)) > 0) {
		struct iovec v = { .iov_base = (u8 *)bytes, .iov_len = size };
		const struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
		ssize_t n = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return false;
		if (n < 0)
			break;
		rfb_session_sent(&c->session, (size_t)n);
		c->server->counts.bytes += (u64)n;
	}
	if (c->writing != (size > 0)) {
		c->writing = size > 0;
		loop_watch_change(c->watch, LOOP_READ | (c->writing ? LOOP_WRITE : 0u));
	}
	return c->session.state != RFB_STATE_OVER;
}

/* False: it is gone, or talks nonsense. */
static bool hear(struct client *c)
{
	u8 bytes[INPUT_SIZE];

	for (unsigned k = 0; k < INPUTS_A_ROUND; k++) {
		struct iovec v = { .iov_base = bytes, .iov_len = sizeof bytes };
		struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
		ssize_t n = recvmsg(c->fd, &m, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (n <= 0)
			return false;
		rfb_session_hear(&c->session, bytes, (size_t)n);
		if (c->session.state == RFB_STATE_OVER)
			return false;
		if (c->session.state == RFB_STATE_NORMAL)
			c->deadline_ns = UINT64_MAX;
	}
	return true;
}

static unsigned place_of(const struct client *c)
{
	unsigned k = 0;

	while (c->server->client[k] != c)
		k++;
	return k;
}

static void on_client(void *owner, unsigned events)
{
	struct client *c = owner;
	struct rfb_server *s = c->server;

	if ((events & (LOOP_READ | LOOP_HANGUP)) && !hear(c))
		drop(s, place_of(c));
	serve(s);
}

int rfb_server_add(struct rfb_server *s, int fd)
{
	struct client *c = calloc(1, sizeof *c);
	unsigned place = 0;
	int r = c ? 0 : -ENOMEM;

	while (r == 0 && place < RFB_CLIENTS && s->client[place])
		place++;
	if (place == RFB_CLIENTS) {
		s->counts.refused++;
		r = -EBUSY;
	}
	if (r == 0)
		r = loop_watch_add(s->config.loop, fd, LOOP_READ, on_client, c,
				   &c->watch);
	if (r < 0) {
		free(c);
		close(fd);
		return r;
	}
	c->server = s;
	c->fd = fd;
	c->deadline_ns = now(s) + RFB_HANDSHAKE_NS;
	rfb_session_init(&c->session, &s->frame, s->config.hands, s->config.owner,
			 s->config.name);
	rfb_session_set_leds(&c->session, s->leds);
	s->client[place] = c;
	s->counts.clients++;
	serve(s);
	return 0;
}

/* ---- time ------------------------------------------------------------------------------------ */

/* The source hears when the first one comes and the last one goes. */
static void watch_or_not(struct rfb_server *s)
{
	bool anybody = false;

	for (unsigned k = 0; k < RFB_CLIENTS; k++)
		anybody |= s->client[k] != NULL;
	if (s->watched == anybody)
		return;
	s->watched = anybody;
	s->unknown |= anybody;
	s->config.source->watch(s->config.owner, anybody);
	/* The first one is told the right size. */
	if (anybody)
		look(s);
}

static void set_alarm(struct rfb_server *s)
{
	u64 when = UINT64_MAX;

	for (unsigned k = 0; k < RFB_CLIENTS; k++)
		if (s->client[k])
			when = min_u64(when, s->client[k]->deadline_ns);
	if (s->stale && somebody_waits(s))
		when = min_u64(when, s->looked_ns + LOOK_NS);
	loop_alarm_set(&s->alarm, when);
}

/* All that can be done now is done. */
static void serve(struct rfb_server *s)
{
	u64 time = now(s);

	watch_or_not(s);
	if (s->stale && somebody_waits(s) && time >= s->looked_ns + LOOK_NS)
		look(s);
	for (unsigned k = 0; k < RFB_CLIENTS; k++) {
		struct client *c = s->client[k];

		if (!c)
			continue;
		rfb_session_update(&c->session);
		s->counts.late += c->deadline_ns <= time;
		if (c->deadline_ns <= time || !flush(c))
			drop(s, k);
	}
	watch_or_not(s);
	set_alarm(s);
}

static void on_alarm(void *owner)
{
	serve(owner);
}

void rfb_server_changed(struct rfb_server *s)
{
	s->stale = true;
	set_alarm(s);
}

void rfb_server_set_leds(struct rfb_server *s, u8 leds)
{
	s->leds = leds;
	for (unsigned k = 0; k < RFB_CLIENTS; k++)
		if (s->client[k])
			rfb_session_set_leds(&s->client[k]->session, leds);
	serve(s);
}

/* ---- life ------------------------------------------------------------------------------------ */

int rfb_server_new(const struct rfb_server_config *config, struct rfb_server **ret_server)
{
	struct rfb_server *s = calloc(1, sizeof *s);
	int r;

	if (!s)
		return -ENOMEM;
	s->config = *config;
	r = set_size(s, NO_SCREEN_WIDTH, NO_SCREEN_HEIGHT);
	if (r < 0) {
		free(s);
		return r;
	}
	s->stale = true;
	loop_alarm_init(config->loop, &s->alarm, on_alarm, s);
	*ret_server = s;
	return 0;
}

void rfb_server_free(struct rfb_server *s)
{
	if (!s)
		return;
	for (unsigned k = 0; k < RFB_CLIENTS; k++)
		if (s->client[k])
			drop(s, k);
	watch_or_not(s);
	loop_alarm_set(&s->alarm, UINT64_MAX);
	free(s->frame.pixels);
	free(s);
}

void rfb_server_inspect(const struct rfb_server *s, struct inspect *out)
{
	u64 updates = s->counts.updates, rectangles = s->counts.rectangles, clients = 0;

	for (unsigned k = 0; k < RFB_CLIENTS; k++) {
		if (!s->client[k])
			continue;
		clients++;
		updates += s->client[k]->session.counts.updates;
		rectangles += s->client[k]->session.counts.rectangles;
	}
	inspect_number(out, "screen", "clients", clients);
	inspect_number(out, "screen", "width", s->frame.width);
	inspect_number(out, "screen", "height", s->frame.height);
	inspect_number(out, "screen", "connections", s->counts.clients);
	inspect_number(out, "screen", "refused", s->counts.refused);
	inspect_number(out, "screen", "late", s->counts.late);
	inspect_number(out, "screen", "looks", s->counts.looks);
	inspect_number(out, "screen", "updates", updates);
	inspect_number(out, "screen", "rectangles", rectangles);
	inspect_number(out, "screen", "bytes", s->counts.bytes);
}
